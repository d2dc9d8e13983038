/* SPDX-License-Identifier: MIT */
/*
 * Owners of anonymous pages. Which areas may become one again depends on whose their private
 * pages are, so the owners are given, shared and reused exactly where Linux (6.18) does it.
 * Called by faults (prepare), fork, and whoever makes areas visible or gone.
 *
 *	P writes   P's area has owner A             chain A        A: links 1, active 1, children 1
 *	P forks C  C's area has owner B below A     chain B A      A: links 2, active 1, children 2
 *	C forks D  D's area has owner E below B     chain E B A    B: links 2, active 1, children 1
 *	C exits    B has no area of its own left, and one child only:
 *	D forks F  F's area has owner B again       chain E B A    B: links 2, active 1, children 1
 *
 * A root is never reused while somebody has it in his chain: it is its own child, and has
 * another.
 *
 * The counters of a family are under its root's lock. Areas hold one reference on their chain,
 * the chain one on each owner in it, an owner one on its parent; so a family is freed from its
 * youngest up. A chain never changes once an area has it. Nothing here sleeps.
 */
#include "internal.h"

#include "vma/policy.h"

static struct quire_anon *real_owner(struct quire_anon *anon)
{
	return anon == QUIRE_ANON_FROZEN ? NULL : anon;
}

/* ---- Owners and chains ------------------------------------------------------------------- */

/* A new owner with one reference; parent NULL: a root. */
static struct quire_anon *new_owner(struct quire *q, struct quire_anon *parent, quire_gfp_t gfp)
{
	struct quire_anon *anon = quire_cache_alloc(q, &q->objects.anon_cache, gfp | QUIRE_GFP_ZERO);

	if (!anon)
		return NULL;
	anon->refs = 1;
	anon->root = parent ? parent->root : anon;
	anon->parent = parent ? parent : anon;
	if (parent)
		(void)quire_fetch_add(&parent->refs, 1u);
	return anon;
}

static void put_owner(struct quire *q, struct quire_anon *anon)
{
	/* The last reference of a child is the last but one of its parent, perhaps. */
	while (anon && quire_fetch_sub(&anon->refs, 1u) == 1) {
		struct quire_anon *parent = anon->parent != anon ? anon->parent : NULL;

		quire_assert(q,
			     anon->nr_links == 0 && anon->nr_active == 0 && anon->nr_children == 0);
		quire_cache_free(q, &q->objects.anon_cache, anon);
		anon = parent;
	}
}

static struct quire_anon_chain *new_chain(struct quire *q, uint32_t count, quire_gfp_t gfp)
{
	struct quire_anon_chain *chain;

	if (count <= QUIRE_ANON_CHAIN_SHORT)
		chain = quire_cache_alloc(q, &q->objects.chain_cache, gfp);
	else
		chain = quire_kmalloc(q, sizeof(*chain) + (size_t)count * sizeof(chain->anon[0]),
				      gfp);
	if (!chain)
		return NULL;
	chain->refs = 1;
	chain->room = count;
	chain->count = count;
	chain->counted = false;
	return chain;
}

static void free_chain(struct quire *q, struct quire_anon_chain *chain)
{
	if (chain->room <= QUIRE_ANON_CHAIN_SHORT)
		quire_cache_free(q, &q->objects.chain_cache, chain);
	else
		quire_kfree(q, chain);
}

/* ---- Counters; root's lock held ---------------------------------------------------------- */

static void add_links(struct quire_anon_chain *chain)
{
	for (uint32_t i = 0; i < chain->count; i++)
		if (chain->anon[i]->nr_links++ == 0)
			chain->anon[i]->parent->nr_children++;
}

static void drop_links(struct quire_anon_chain *chain)
{
	for (uint32_t i = 0; i < chain->count; i++)
		if (--chain->anon[i]->nr_links == 0)
			chain->anon[i]->parent->nr_children--;
}

static void count_area(struct quire *q, struct quire_anon *anon, struct quire_anon_chain *chain)
{
	quire_spin_lock(q, &anon->root->lock);
	add_links(chain);
	anon->nr_active++;
	quire_spin_unlock(q, &anon->root->lock);
}

static void uncount_area(struct quire *q, struct quire_anon *anon, struct quire_anon_chain *chain)
{
	quire_spin_lock(q, &anon->root->lock);
	quire_assert(q, anon->nr_active > 0);
	anon->nr_active--;
	drop_links(chain);
	quire_spin_unlock(q, &anon->root->lock);
}

void quire_anon_link(struct quire *q, struct quire_vma *vma)
{
	if (!real_owner(vma->anon))
		return;
	if (vma->chain->counted)
		vma->chain->counted = false; /* by fork; no other area has the chain yet */
	else
		count_area(q, vma->anon, vma->chain);
}

void quire_anon_unlink(struct quire *q, struct quire_vma *vma)
{
	if (real_owner(vma->anon))
		uncount_area(q, vma->anon, vma->chain);
}

/* Drop the references that an area with these had. */
static void release(struct quire *q, struct quire_anon *anon, struct quire_anon_chain *chain)
{
	if (!chain || quire_fetch_sub(&chain->refs, 1u) != 1)
		return;
	if (chain->counted)
		uncount_area(q, anon, chain);
	for (uint32_t i = 0; i < chain->count; i++)
		put_owner(q, chain->anon[i]);
	free_chain(q, chain);
}

void quire_anon_release(struct quire *q, struct quire_vma *vma)
{
	release(q, real_owner(vma->anon), vma->chain);
	vma->anon = NULL;
	vma->chain = NULL;
}

void quire_anon_share(struct quire_vma *to, const struct quire_vma *from)
{
	/* A fault may be giving from an owner just now: it writes the chain first. */
	struct quire_anon *anon = real_owner(quire_load_acquire(&from->anon));

	quire_assert(to->mm->q, !real_owner(to->anon) && !to->chain);
	to->anon = anon;
	to->chain = anon ? from->chain : NULL;
	if (anon)
		(void)quire_fetch_add(&to->chain->refs, 1u);
}

/* ---- The first private write ------------------------------------------------------------- */

/* Could a and b, which follow each other, be one area but for their rights? (a before b.) */
static bool compatible(const struct quire_vma *a, const struct quire_vma *b)
{
	return a->end == b->start && a->file == b->file &&
	       ((a->flags ^ b->flags) & ~(QUIRE_VM_ACCESS_FLAGS | QUIRE_VM_STICKY)) == 0 &&
	       quire_policy_equal(a->policy, b->policy) &&
	       b->pgoff == a->pgoff + quire_vma_pages(a);
}

/*
 * May an area take over this neighbour's owner? Not one with ancestors: it would get theirs too.
 * mm's anon_lock held.
 */
static bool shareable(const struct quire_vma *neighbour)
{
	return real_owner(neighbour->anon) && neighbour->chain->count == 1;
}

/* vma's neighbours, as whoever asks sees them: NULL where nothing touches it. */
struct neighbours {
	struct quire_vma *prev, *next;
};

/* Those in the index. Writer lock held, or in a grace period. */
static struct neighbours look_around(const struct quire_vma *vma)
{
	struct quire_index *index = &vma->mm->index;
	struct neighbours n = {
		.prev = quire_index_before(index, vma->start),
		.next = quire_index_find(index, vma->end),
	};

	if (n.next && n.next->start != vma->end)
		n.next = NULL;
	if (n.prev && n.prev->end != vma->start)
		n.prev = NULL;
	return n;
}

/* The neighbour whose owner vma shares, or NULL. mm's anon_lock held. */
static struct quire_vma *find_shareable(const struct quire_vma *vma, const struct neighbours *n)
{
	if (n->next && compatible(vma, n->next) && shareable(n->next))
		return n->next;
	if (n->prev && compatible(n->prev, vma) && shareable(n->prev))
		return n->prev;
	return NULL;
}

/* Make anon vma's owner. mm's anon_lock held; the area can have one. */
static void set_owner(struct quire *q, struct quire_vma *vma, struct quire_anon *anon,
		      struct quire_anon_chain *chain)
{
	vma->chain = chain;
	if (quire_load(&vma->state) != QUIRE_VMA_NEW)
		count_area(q, anon, chain);
	quire_store_release(&vma->anon, anon);
}

/* 0: the area may be given an owner; 1: it has one; -EAGAIN. mm's anon_lock held. */
static int look(const struct quire_vma *vma)
{
	uint32_t state = quire_load_acquire(&vma->state);
	struct quire_anon *anon = quire_load(&vma->anon);

	if (real_owner(anon))
		return 1;
	if (anon == QUIRE_ANON_FROZEN || (state != QUIRE_VMA_NEW && state != QUIRE_VMA_ALIVE))
		return -QUIRE_EAGAIN;
	return 0;
}

/*
 * drawn: the neighbours, which stay; NULL: those in the index at the moment. Of these one may die
 * while we look: then it has a successor in the index already, and we look again, so that the
 * answer is never a dead one's.
 */
static int prepare(struct quire_vma *vma, const struct neighbours *drawn, quire_gfp_t gfp)
{
	struct quire_mm *mm = vma->mm;
	struct quire *q = mm->q;
	struct quire_anon *anon = NULL;
	struct quire_anon_chain *chain = NULL;
	struct quire_vma *neighbour;
	struct neighbours n;
	int err;

	if (real_owner(quire_load_acquire(&vma->anon)))
		return 0;

	quire_grace_enter(q);
	quire_spin_lock(q, &mm->anon_lock);
	for (;;) {
		err = look(vma);
		if (err)
			break;
		n = drawn ? *drawn : look_around(vma);
		neighbour = find_shareable(vma, &n);
		if (neighbour && quire_load_acquire(&neighbour->state) == QUIRE_VMA_DEAD)
			continue;
		if (neighbour) {
			(void)quire_fetch_add(&neighbour->chain->refs, 1u);
			set_owner(q, vma, neighbour->anon, neighbour->chain);
			break;
		}
		if (chain) {
			chain->anon[0] = anon;
			set_owner(q, vma, anon, chain);
			anon = NULL;
			chain = NULL;
			break;
		}
		/* A new one; and then everything again, since the lock was dropped. */
		quire_spin_unlock(q, &mm->anon_lock);
		quire_grace_leave(q);
		anon = new_owner(q, NULL, gfp);
		chain = anon ? new_chain(q, 1, gfp) : NULL;
		quire_grace_enter(q);
		quire_spin_lock(q, &mm->anon_lock);
		if (!chain) {
			err = look(vma);
			if (err == 0)
				err = -QUIRE_ENOMEM;
			break;
		}
	}
	quire_spin_unlock(q, &mm->anon_lock);
	quire_grace_leave(q);

	put_owner(q, anon);
	if (chain)
		free_chain(q, chain);
	return err < 0 ? err : 0;
}

int quire_anon_prepare(struct quire_vma *vma, quire_gfp_t gfp)
{
	return prepare(vma, NULL, gfp);
}

int quire_anon_prepare_between(struct quire_vma *vma, struct quire_vma *prev,
			       struct quire_vma *next)
{
	const struct neighbours drawn = {.prev = prev, .next = next};

	quire_assert(vma->mm->q, vma->state == QUIRE_VMA_NEW);
	return prepare(vma, &drawn, QUIRE_GFP_KERNEL);
}

/* ---- Fork -------------------------------------------------------------------------------- */

/* The ancestor whose owner the child takes over, oldest first. Root's lock held. */
static struct quire_anon *find_reusable(const struct quire_anon_chain *chain)
{
	for (uint32_t i = chain->count; i--;)
		if (chain->anon[i]->nr_children < 2 && chain->anon[i]->nr_active == 0)
			return chain->anon[i];
	return NULL;
}

int quire_anon_fork(struct quire_vma *child, struct quire_vma *parent)
{
	struct quire *q = child->mm->q;
	struct quire_anon *owner = real_owner(quire_load_acquire(&parent->anon)), *fresh, *anon;
	struct quire_anon_chain *from = parent->chain, *chain;
	struct quire_anon *old_anon = real_owner(child->anon);
	struct quire_anon_chain *old_chain = child->chain;

	if (!owner) {
		quire_anon_release(q, child);
		return 0;
	}

	/* Reserve for the longer answer: the choice itself is made under the lock, once. */
	fresh = new_owner(q, owner, QUIRE_GFP_KERNEL);
	chain = fresh ? new_chain(q, from->count + 1, QUIRE_GFP_KERNEL) : NULL;
	if (!chain) {
		put_owner(q, fresh);
		return -QUIRE_ENOMEM;
	}

	quire_spin_lock(q, &owner->root->lock);
	anon = find_reusable(from);
	chain->count = 0;
	if (!anon)
		anon = chain->anon[chain->count++] = fresh;
	for (uint32_t i = 0; i < from->count; i++) {
		chain->anon[chain->count++] = from->anon[i];
		(void)quire_fetch_add(&from->anon[i]->refs, 1u);
	}
	chain->counted = true;
	add_links(chain);
	anon->nr_active++;
	quire_spin_unlock(q, &owner->root->lock);

	if (anon != fresh)
		put_owner(q, fresh);
	child->anon = anon;
	child->chain = chain;
	release(q, old_anon, old_chain);
	return 0;
}

/* ---- Check ------------------------------------------------------------------------------- */

quire_broken_t quire_anon_check(struct quire *q, const struct quire_vma *vma)
{
	const struct quire_anon_chain *chain = vma->chain;
	struct quire_anon *own = real_owner(vma->anon);
	quire_broken_t broken = NULL;
	bool found = false;

	if (!own)
		return chain ? "anon: an area without an owner has no chain" : NULL;
	if (!chain || chain->count == 0 || chain->count > chain->room)
		return "anon: an area with an owner has a chain";
	quire_spin_lock(q, &own->root->lock);
	for (uint32_t i = 0; i < chain->count && !broken; i++) {
		const struct quire_anon *anon = chain->anon[i];

		found |= anon == own;
		if (anon->root != own->root || anon->parent->root != own->root)
			broken = "anon: owners in a chain are of one family";
		else if (anon->nr_links == 0)
			broken = "anon: nr_links counts this area";
		else if (anon->nr_active > anon->nr_links)
			broken = "anon: nr_active <= nr_links";
		else if (anon->parent->nr_children == 0)
			broken = "anon: nr_children counts every child with links";
	}
	if (!broken && !found)
		broken = "anon: an area's owner is in its chain";
	if (!broken && own->nr_active == 0)
		broken = "anon: nr_active counts this area";
	quire_spin_unlock(q, &own->root->lock);
	return broken;
}
