/* SPDX-License-Identifier: MIT */
/*
 * mbind(2), set_mempolicy(2), get_mempolicy(2), migrate_pages(2), move_pages(2). Called by hosts. What a policy is, and
 * what becomes of it when a page is allocated, stands in src/vma/policy.c; how a page moves in migrate.c.
 *
 *	area       |-------A-------|
 *	mbind          |-------|
 *	after      |-A-|---P---|-A-|    and areas with one policy merge
 *
 * mbind checks and draws all of it, then asks drivers, then commits. Pages move afterwards, still under the writer lock:
 * one that cannot move is no reason to take the policy back.
 */
#include <base/string.h>
#include <mm/migrate.h>
#include <vma/policy.h>

#define MOVES (QUIRE_MPOL_MF_MOVE | QUIRE_MPOL_MF_MOVE_ALL)

/* ---- mbind ------------------------------------------------------------------------------- */

struct binding {
	/* input */
	struct quire_mm *mm;
	quire_uaddr_t start, end;
	uint64_t nodes; /* as asked for */
	uint32_t flags;
	struct quire_mempolicy *policy; /* NULL: default */
	/* derived */
	struct quire_plan plan;
	quire_uaddr_t done; /* [start, done) has the policy in the plan */
	/* reserved */
	bool locked;		      /* policies.lock, from the first object on */
	struct quire_object *objects; /* that will have other policies, by policies_link */
};

/* The part of vma that the call is about. */
static void part_of(const struct binding *b, const struct quire_vma *vma, quire_uaddr_t *start,
		    quire_uaddr_t *end)
{
	*start = vma->start > b->start ? vma->start : b->start;
	*end = vma->end < b->end ? vma->end : b->end;
}

static struct quire_migration to_policy(const struct binding *b)
{
	return (struct quire_migration){
		.mm = b->mm,
		.nodes = b->nodes,
		.inverted = true,
		.all = (b->flags & QUIRE_MPOL_MF_MOVE_ALL) != 0,
		.policy = b->policy,
	};
}

/* Is there a hole behind vma, within the range? */
static bool ends_before_hole(const struct binding *b, const struct quire_vma *vma)
{
	const struct quire_vma *next;

	if (vma->end >= b->end)
		return false;
	next = quire_index_find(&b->mm->index, vma->end);
	return !next || next->start > vma->end;
}

/* Holes, and with STRICT alone pages that lie elsewhere: whichever Linux meets first. */
static int check_range(const struct binding *b)
{
	bool strict = (b->flags & (QUIRE_MPOL_MF_STRICT | MOVES)) == QUIRE_MPOL_MF_STRICT;
	struct quire_migration m = to_policy(b);
	struct quire_index_walk walk;
	struct quire_vma *vma;

	vma = quire_index_intersection(&b->mm->index, b->start, b->end);
	if (!vma || (b->policy && vma->start > b->start))
		return -QUIRE_EFAULT;
	quire_index_walk_start(&walk, &b->mm->index, b->start);
	while ((vma = quire_index_walk_next(&walk)) && vma->start < b->end) {
		quire_uaddr_t start, end;

		if (b->policy && ends_before_hole(b, vma))
			return -QUIRE_EFAULT;
		part_of(b, vma, &start, &end);
		if (strict && quire_has_misplaced_page(&m, vma, start, end))
			return -QUIRE_EIO;
	}
	return 0;
}

/* ---- Objects' policies ------------------------------------------------------------------- */

/* vma maps shared memory whose policies are ours to keep: its object; else NULL. */
static struct quire_object *shared_memory(const struct quire_vma *vma)
{
	if (!vma->object || !(vma->object->flags & QUIRE_OBJECT_SHMEM) ||
	    (vma->ops && vma->ops->set_policy))
		return NULL;
	return vma->object;
}

/* [first, end) of the object, which an area in the plan keeps alive. -ENOMEM. */
static int draw_object(struct binding *b, struct quire_object *object, uint64_t first, uint64_t end)
{
	struct quire_shared_policy *base, *drawn;
	struct quire *q = b->mm->q;

	if (!b->locked)
		quire_mutex_lock(q, &q->policies.lock);
	b->locked = true;
	base = object->policies_link ? object->policies_drawn : object->policies;
	if (quire_shared_policy_draw(q, base, first, end, b->policy, &drawn))
		return -QUIRE_ENOMEM;
	if (object->policies_link) {
		quire_shared_policy_free(q, object->policies_drawn);
	} else {
		object->policies_link = b->objects ? b->objects : object;
		b->objects = object;
	}
	object->policies_drawn = drawn;
	return 0;
}

/* What was drawn comes true, or not. */
static void end_objects(struct binding *b, bool commit)
{
	struct quire *q = b->mm->q;

	while (b->objects) {
		struct quire_object *object = b->objects;

		b->objects = object->policies_link != object ? object->policies_link : NULL;
		if (commit)
			quire_object_set_policy(object, object->policies_drawn);
		else
			quire_shared_policy_free(q, object->policies_drawn);
		object->policies_drawn = NULL;
		object->policies_link = NULL;
	}
	if (b->locked)
		quire_mutex_unlock(q, &q->policies.lock);
	b->locked = false;
}

/* ---- Areas' policies --------------------------------------------------------------------- */

/* [start, end) of vma, an area of the picture, which may be gone afterwards. */
static int draw_area(struct binding *b, struct quire_vma *vma, quire_uaddr_t start,
		     quire_uaddr_t end)
{
	struct quire_object *object = shared_memory(vma);
	uint64_t first = quire_linear_page_index(vma, start);
	int err;

	if (quire_policy_equal(vma->policy, b->policy))
		return 0;
	if (!quire_plan_modify_policy(&b->plan, vma, start, end, b->policy, &err))
		return err;
	if (object && draw_object(b, object, first, first + ((end - start) >> QUIRE_PAGE_SHIFT))) {
		b->plan.out_of_memory = true;
		return -QUIRE_ENOMEM;
	}
	return 0;
}

static int draw(struct binding *b)
{
	int err = 0;

	for (b->done = b->start; !err && b->done < b->end;) {
		struct quire_vma *vma = quire_plan_find(&b->plan, b->done);
		quire_uaddr_t start, end;

		if (!vma || vma->start >= b->end)
			break;
		part_of(b, vma, &start, &end);
		if (start < b->done)
			start = b->done;
		err = draw_area(b, vma, start, end);
		if (!err)
			b->done = end;
	}
	return err;
}

/* What a driver sees of its area: the part that the policy is for. */
static int tell_driver(const struct binding *b, const struct quire_vma *vma,
		       struct quire_mempolicy *policy)
{
	struct quire_vma part;

	memset(&part, 0, sizeof(part));
	part_of(b, vma, &part.start, &part.end);
	if (part.end > b->done)
		part.end = b->done;
	part.flags = vma->flags;
	part.mm = vma->mm;
	part.pgoff = quire_linear_page_index(vma, part.start);
	part.object = vma->object;
	part.file = vma->file;
	part.ops = vma->ops;
	part.private_data = vma->private_data;
	part.policy = vma->policy;
	part.id = vma->id;
	return vma->ops->set_policy(&part, policy);
}

/* Drivers of the areas that change, as they are still in the index. One that refuses: those before hear of it. */
static int ask_drivers(const struct binding *b, quire_uaddr_t end, bool take_back)
{
	struct quire_index_walk walk;
	struct quire_vma *vma;
	int err = 0;

	quire_index_walk_start(&walk, &b->mm->index, b->start);
	while (!err && (vma = quire_index_walk_next(&walk)) && vma->start < end) {
		if (!vma->ops || !vma->ops->set_policy ||
		    quire_policy_equal(vma->policy, b->policy))
			continue;
		if (take_back) {
			(void)tell_driver(b, vma, vma->policy);
			continue;
		}
		err = tell_driver(b, vma, b->policy);
		if (err)
			(void)ask_drivers(b, vma->start, true);
	}
	return err;
}

/* ---- The whole --------------------------------------------------------------------------- */

/* Pages that lie elsewhere. How many could not be moved. */
static uint64_t move_pages(const struct binding *b)
{
	struct quire_migration m = to_policy(b);
	struct quire_index_walk walk;
	struct quire_vma *vma;

	quire_index_walk_start(&walk, &b->mm->index, b->start);
	while ((vma = quire_index_walk_next(&walk)) && vma->start < b->end) {
		quire_uaddr_t start, end;

		if (!quire_vma_is_migratable(vma) && !(b->flags & QUIRE_MPOL_MF_STRICT))
			continue;
		part_of(b, vma, &start, &end);
		quire_migrate_range(&m, vma, start, end);
	}
	return m.failed;
}

static int set_policies(struct binding *b)
{
	int err, refused = 0;

	quire_plan_init(&b->plan, b->mm);
	err = draw(b);
	if (b->plan.out_of_memory || quire_plan_reserve(&b->plan))
		refused = -QUIRE_ENOMEM;
	if (!refused && b->plan.has_ops)
		refused = ask_drivers(b, b->done, false);
	end_objects(b, !refused);
	if (refused) {
		quire_plan_cancel(&b->plan);
		return refused;
	}
	quire_plan_commit(&b->plan);
	quire_plan_finish(&b->plan);
	return err;
}

static int bind_locked(struct binding *b)
{
	int err = check_range(b);

	if (!err)
		err = set_policies(b);
	if (!err && (b->flags & MOVES) && move_pages(b) && (b->flags & QUIRE_MPOL_MF_STRICT))
		err = -QUIRE_EIO;
	return err;
}

int quire_mbind(struct quire_mm *mm, quire_uaddr_t addr, uint64_t len, uint32_t mode,
		const uint64_t *nodemask, uint64_t maxnode, uint32_t flags)
{
	struct quire_policy_request rq;
	struct binding b;
	int err = quire_policy_parse(&rq, mode, nodemask, maxnode);

	if (err)
		return err;
	if (flags & ~(MOVES | QUIRE_MPOL_MF_STRICT))
		return -QUIRE_EINVAL;
	if ((flags & QUIRE_MPOL_MF_MOVE_ALL) && !mm->limits.cap_sys_nice)
		return -QUIRE_EPERM;
	if (addr & ~QUIRE_PAGE_MASK)
		return -QUIRE_EINVAL;
	if (rq.mode == QUIRE_MPOL_DEFAULT)
		flags &= ~QUIRE_MPOL_MF_STRICT;
	len = quire_page_up(len);
	if (addr + len < addr)
		return -QUIRE_EINVAL;
	if (!len)
		return 0;
	b.mm = mm;
	b.start = addr;
	b.end = addr + len;
	b.nodes = rq.nodes;
	b.flags = flags;
	b.locked = false;
	b.objects = NULL;
	err = quire_policy_make(mm->q, &rq, &b.policy);
	if (err)
		return err;
	quire_mutex_lock(mm->q, &mm->lock);
	err = bind_locked(&b);
	quire_mutex_unlock(mm->q, &mm->lock);
	quire_policy_put(mm->q, b.policy);
	return err;
}

/* ---- A thread's -------------------------------------------------------------------------- */

static bool interleaves(const struct quire_mempolicy *policy)
{
	return policy && (policy->mode == QUIRE_MPOL_INTERLEAVE ||
			  policy->mode == QUIRE_MPOL_WEIGHTED_INTERLEAVE);
}

int quire_set_mempolicy(struct quire *q, struct quire_task_policy *task, uint32_t mode,
			const uint64_t *nodemask, uint64_t maxnode)
{
	struct quire_mempolicy *policy, *old = task->policy;
	struct quire_policy_request rq;
	int err = quire_policy_parse(&rq, mode, nodemask, maxnode);

	if (!err)
		err = quire_policy_make(q, &rq, &policy);
	if (err)
		return err;
	task->policy = policy;
	if (interleaves(policy)) {
		task->il_prev = QUIRE_MAX_NUMNODES - 1; /* the first node is next */
		task->il_weight = 0;
	}
	quire_policy_put(q, old);
	return 0;
}

/* ---- Asking ------------------------------------------------------------------------------ */

#define GET_FLAGS (QUIRE_MPOL_F_NODE | QUIRE_MPOL_F_ADDR | QUIRE_MPOL_F_MEMS_ALLOWED)

/* The node that this thread's next page without an offset will be from. */
static unsigned next_node(const struct quire_task_policy *task)
{
	if (task->policy->mode == QUIRE_MPOL_WEIGHTED_INTERLEAVE && task->il_weight)
		return task->il_prev;
	return quire_next_node(task->policy->nodes, task->il_prev);
}

/* The policy of the area at addr, with a reference, in *policy. -EFAULT. */
static int find_policy(struct quire_mm *mm, quire_uaddr_t addr, struct quire_mempolicy **policy)
{
	struct quire_vma *vma;
	int err = 0;

	quire_grace_enter(mm->q);
	vma = quire_find_vma(mm, addr);
	if (!vma || vma->start > addr)
		err = -QUIRE_EFAULT;
	else
		*policy = quire_policy_get(quire_vma_policy(vma, addr));
	quire_grace_leave(mm->q);
	return err;
}

/* The node of the page at addr, which is faulted in. */
static int find_node(struct quire_mm *mm, quire_uaddr_t addr, uint32_t *node)
{
	struct quire_page *page;
	int err = quire_get_user_page(mm, quire_page_down(addr), QUIRE_ACCESS_READ, &page);

	if (err)
		return err;
	*node = quire_page_node(page);
	(void)quire_page_put(mm->q, page);
	return 0;
}

static int get_policy(struct quire_mm *mm, const struct quire_task_policy *task, uint32_t *mode,
		      uint64_t *nodes, quire_uaddr_t addr, uint32_t flags)
{
	struct quire_mempolicy *policy = task ? task->policy : NULL;
	int err = 0;

	if (flags & QUIRE_MPOL_F_ADDR)
		err = find_policy(mm, addr, &policy);
	else if (addr)
		return -QUIRE_EINVAL;
	else
		policy = quire_policy_get(policy);
	if (err)
		return err;
	*mode = policy ? policy->mode | policy->flags : QUIRE_MPOL_DEFAULT;
	*nodes = 0;
	if (policy)
		*nodes = policy->user_nodes ? policy->user_nodes : policy->nodes;
	if ((flags & GET_FLAGS) == (QUIRE_MPOL_F_NODE | QUIRE_MPOL_F_ADDR))
		err = find_node(mm, addr, mode);
	else if ((flags & QUIRE_MPOL_F_NODE) && interleaves(policy))
		*mode = next_node(task);
	else if (flags & QUIRE_MPOL_F_NODE)
		err = -QUIRE_EINVAL;
	quire_policy_put(mm->q, policy);
	return err;
}

int quire_get_mempolicy(struct quire_mm *mm, const struct quire_task_policy *task, uint32_t *mode,
			uint64_t *nodemask, uint64_t maxnode, quire_uaddr_t addr, uint32_t flags)
{
	uint64_t words = (maxnode - 1) / 64 + ((maxnode - 1) % 64 != 0), nodes;
	uint32_t answer = 0;
	int err = 0;

	if (nodemask && maxnode < mm->q->pages.nr_nodes)
		return -QUIRE_EINVAL;
	if (flags & ~GET_FLAGS)
		return -QUIRE_EINVAL;
	if (flags & QUIRE_MPOL_F_MEMS_ALLOWED) {
		if (flags != QUIRE_MPOL_F_MEMS_ALLOWED)
			return -QUIRE_EINVAL;
		nodes = quire_memory_nodes(mm->q);
	} else {
		err = get_policy(mm, task, &answer, &nodes, addr, flags);
	}
	if (err)
		return err;
	if (nodemask && words * 8 > QUIRE_PAGE_SIZE)
		return -QUIRE_EINVAL;
	if (mode)
		*mode = answer;
	for (uint64_t i = 0; nodemask && i < words; i++)
		nodemask[i] = i ? 0 : nodes;
	return 0;
}

/* ---- From node to node ------------------------------------------------------------------- */

/* To go to that node or nowhere. */
static struct quire_mempolicy only_node(unsigned node)
{
	return (struct quire_mempolicy){.refs = 1, .mode = QUIRE_MPOL_BIND, .nodes = 1u << node};
}

static unsigned weight_of(uint64_t nodes)
{
	unsigned n = 0;

	for (; nodes; nodes &= nodes - 1)
		n++;
	return n;
}

/* Where pages of a node of from go: the n-th node of from to the n-th of to, round and round. */
static unsigned counterpart(unsigned node, uint64_t from, uint64_t to)
{
	return quire_nth_node(to, weight_of(from & ((UINT64_C(1) << node) - 1)));
}

/*
 * The next pair whose turn it is: best one whose destination is not itself still to be emptied, so that no page moves
 * twice. False: none is left.
 */
static bool next_pair(uint64_t from, uint64_t to, uint64_t left, unsigned *source, unsigned *dest)
{
	bool found = false;

	for (; left; left &= left - 1) {
		unsigned s = quire_ffs64(left), d;

		/* With other numbers of nodes there is no pairing to be kept: what is there may stay. */
		if (weight_of(from) != weight_of(to) && (to >> s & 1))
			continue;
		d = counterpart(s, from, to);
		if (s == d)
			continue;
		found = true;
		*source = s;
		*dest = d;
		if (!(left >> d & 1))
			break;
	}
	return found;
}

/* Drivers may refuse, before anything has moved. */
static int ask_to_migrate(struct quire_mm *mm, uint64_t from, uint64_t to)
{
	struct quire_index_walk walk;
	struct quire_vma *vma;
	int err = 0;

	quire_index_walk_start(&walk, &mm->index, 0);
	while (!err && (vma = quire_index_walk_next(&walk))) {
		if (vma->ops && vma->ops->migrate)
			err = vma->ops->migrate(vma, from, to);
	}
	return err;
}

static void empty_node(struct quire_migration *m)
{
	struct quire_index_walk walk;
	struct quire_vma *vma;

	quire_index_walk_start(&walk, &m->mm->index, 0);
	while ((vma = quire_index_walk_next(&walk))) {
		if (quire_vma_is_migratable(vma))
			quire_migrate_range(m, vma, vma->start, vma->end);
	}
}

static int64_t migrate_locked(struct quire_mm *mm, uint64_t from, uint64_t to, bool all)
{
	struct quire_mempolicy there = only_node(0);
	struct quire_migration m = {.mm = mm, .all = all, .policy = &there};
	unsigned source = 0, dest = 0;
	uint64_t left = from;
	int err = ask_to_migrate(mm, from, to);

	if (err)
		return err;
	while (!m.out_of_memory && next_pair(from, to, left, &source, &dest)) {
		left &= ~(UINT64_C(1) << source);
		m.nodes = UINT64_C(1) << source;
		there = only_node(dest);
		empty_node(&m);
	}
	return m.out_of_memory ? -QUIRE_ENOMEM : (int64_t)m.failed;
}

int64_t quire_migrate_pages(struct quire_mm *caller, struct quire_mm *mm, uint64_t maxnode,
			    const uint64_t *from, const uint64_t *to)
{
	bool capable = caller->limits.cap_sys_nice;
	uint64_t memory = quire_memory_nodes(mm->q), old, new;
	int64_t answer = quire_nodemask_parse(from, maxnode, &old);

	if (!answer)
		answer = quire_nodemask_parse(to, maxnode, &new);
	if (answer)
		return answer;
	if ((new & ~memory) && !capable)
		return -QUIRE_EPERM;
	new &= memory;
	if (!new)
		return -QUIRE_EINVAL;
	quire_mutex_lock(mm->q, &mm->lock);
	answer = migrate_locked(mm, old, new, capable);
	quire_mutex_unlock(mm->q, &mm->lock);
	return answer;
}

/* ---- Page by page ------------------------------------------------------------------------ */

/*
 * As Linux does it: pages that follow each other and go to one node are a batch, whose status is written when it ends: with
 * the last page, a page for another node, or one that has a status of its own. A batch of which a page could not be moved
 * ends the call.
 */
struct moving {
	struct quire_mm *mm;
	uint64_t nr_pages;
	const quire_uaddr_t *pages;
	const int *nodes;
	int *status;
	struct quire_migration to;
	struct quire_mempolicy there; /* to.policy */
	unsigned node;
	uint64_t start; /* of the batch */
	bool batch;	/* there is one, for node */
};

static struct quire_vma *area_at(struct quire_mm *mm, quire_uaddr_t addr)
{
	struct quire_vma *vma = quire_find_vma(mm, addr);

	return vma && vma->start <= addr ? vma : NULL;
}

static int status_of(enum quire_moved moved, unsigned node)
{
	switch (moved) {
	case QUIRE_MOVED:
	case QUIRE_MOVED_HERE:
		return (int)node;
	case QUIRE_MOVED_NOTHING:
		return -QUIRE_ENOENT;
	case QUIRE_MOVED_SHARED:
		return -QUIRE_EACCES;
	case QUIRE_MOVED_NEVER:
		return -QUIRE_EBUSY;
	default:
		return -QUIRE_EFAULT;
	}
}

static void find_pages(struct moving *v)
{
	for (uint64_t i = 0; i < v->nr_pages; i++) {
		struct quire_vma *vma = area_at(v->mm, v->pages[i]);
		unsigned node = 0;

		v->status[i] = -QUIRE_EFAULT;
		if (vma)
			v->status[i] = status_of(
				quire_find_page(vma, quire_page_down(v->pages[i]), &node), node);
	}
}

/* The batch ends before page i. What the call says if it ends with it, else 0. */
static int64_t end_batch(struct moving *v, uint64_t i)
{
	if (!v->batch)
		return 0;
	v->batch = false;
	if (v->to.out_of_memory)
		return -QUIRE_ENOMEM;
	if (v->to.failed)
		return (int64_t)(v->to.failed + (v->nr_pages - i));
	while (v->start < i)
		v->status[v->start++] = (int)v->node;
	return 0;
}

/* Page i goes to v->node, in the batch that there is. What the call says if it ends with it, else 0. */
static int64_t move_one(struct moving *v, uint64_t i)
{
	struct quire_vma *vma = area_at(v->mm, v->pages[i]);
	enum quire_moved r = QUIRE_MOVED_ZEROES; /* EFAULT */
	int64_t err;

	if (vma && quire_vma_is_migratable(vma))
		r = quire_migrate_page(&v->to, vma, quire_page_down(v->pages[i]));
	if (r == QUIRE_MOVED)
		return 0;
	if (r == QUIRE_MOVED_BUSY || r == QUIRE_MOVED_NO_PAGE) {
		v->to.failed++;
		v->to.out_of_memory = r == QUIRE_MOVED_NO_PAGE;
		return v->to.out_of_memory ? -QUIRE_ENOMEM : 0;
	}
	v->status[i] = status_of(r, v->node);
	err = end_batch(v, i);
	return err > 0 ? err - 1 : err; /* this page has a status */
}

static int64_t move_batches(struct moving *v)
{
	uint32_t memory = quire_memory_nodes(v->mm->q);
	int64_t err = 0, end;
	uint64_t i;

	for (i = 0; i < v->nr_pages; i++) {
		int node = v->nodes[i];

		if (node < 0 || node >= QUIRE_NR_NODES || !(memory >> node & 1)) {
			err = -QUIRE_ENODEV;
			break;
		}
		if (v->batch && (unsigned)node != v->node)
			err = end_batch(v, i);
		if (err)
			return err;
		if (!v->batch) {
			v->batch = true;
			v->start = i;
			v->node = (unsigned)node;
			v->there = only_node(v->node);
			v->to.nodes = UINT64_C(1) << node;
			v->to.failed = 0;
		}
		err = move_one(v, i);
		if (err)
			return err;
	}
	end = end_batch(v, i);
	return err ? err : end;
}

int64_t quire_move_pages(struct quire_mm *caller, struct quire_mm *mm, uint64_t nr_pages,
			 const quire_uaddr_t *pages, const int *nodes, int *status, uint32_t flags)
{
	struct moving v = {
		.mm = mm,
		.nr_pages = nr_pages,
		.pages = pages,
		.nodes = nodes,
		.status = status,
		.to = {.mm = mm, .inverted = true, .policy = &v.there},
	};
	int64_t answer = 0;

	if (flags & ~MOVES)
		return -QUIRE_EINVAL;
	if ((flags & QUIRE_MPOL_MF_MOVE_ALL) && !caller->limits.cap_sys_nice)
		return -QUIRE_EPERM;
	v.to.all = (flags & QUIRE_MPOL_MF_MOVE_ALL) != 0;
	quire_mutex_lock(mm->q, &mm->lock);
	if (nodes)
		answer = move_batches(&v);
	else
		find_pages(&v);
	quire_mutex_unlock(mm->q, &mm->lock);
	return answer;
}
