/* SPDX-License-Identifier: MIT */
/*
 * The address space's lines of /proc/PID/status, and /proc/PID/statm. Counters are read without the
 * writer lock, each as it is at that moment.
 *
 * Layout: proc_pid_status(5), proc_pid_statm(5).
 */
#include "proc/emit.h"

static uint64_t rss_pages(struct quire_mm *mm, enum quire_rss kind)
{
	int64_t pages = quire_load(&mm->rss[kind]);

	return pages > 0 ? (uint64_t)pages : 0;
}

void quire_proc_text_pages(const struct quire_mm *mm, uint64_t *exe, uint64_t *lib)
{
	uint64_t text =
		(quire_page_up(mm->layout.end_code) - quire_page_down(mm->layout.start_code)) >>
		QUIRE_PAGE_SHIFT;
	uint64_t exec = quire_load(&mm->exec_vm);

	*exe = text < exec ? text : exec;
	*lib = exec - *exe;
}

int quire_proc_status(struct quire_mm *mm, struct quire_sink *sink)
{
	struct emitter e;
	uint64_t anon = rss_pages(mm, QUIRE_RSS_ANON), file = rss_pages(mm, QUIRE_RSS_FILE);
	uint64_t shmem = rss_pages(mm, QUIRE_RSS_SHMEM), rss = anon + file + shmem;
	uint64_t total = quire_load(&mm->total_vm), peak = quire_load(&mm->hiwater_vm);
	int64_t highest = quire_load(&mm->hiwater_rss);
	uint64_t hwm = highest > 0 ? (uint64_t)highest : 0;
	uint64_t exe, lib;
	size_t i;

	quire_proc_text_pages(mm, &exe, &lib);
	quire_emitter_init(&e, sink);
	const struct {
		const char *name;
		uint64_t pages;
	} line[] = {
		{"VmPeak:\t", peak > total ? peak : total},
		{"VmSize:\t", total},
		{"VmLck:\t", quire_load(&mm->locked_vm)},
		{"VmPin:\t", quire_load(&mm->pinned_vm)},
		{"VmHWM:\t", hwm > rss ? hwm : rss},
		{"VmRSS:\t", rss},
		{"RssAnon:\t", anon},
		{"RssFile:\t", file},
		{"RssShmem:\t", shmem},
		{"VmData:\t", quire_load(&mm->data_vm)},
		{"VmStk:\t", quire_load(&mm->stack_vm)},
		{"VmExe:\t", exe},
		{"VmLib:\t", lib},
		{"VmPTE:\t", quire_pgtable_bytes(&mm->pt) >> QUIRE_PAGE_SHIFT},
		{"VmSwap:\t", rss_pages(mm, QUIRE_RSS_SWAP)},
	};
	for (i = 0; i < QUIRE_ARRAY_SIZE(line); i++)
		quire_emit_kb(&e, line[i].name, 0, line[i].pages << QUIRE_PAGE_SHIFT);
	return quire_emitter_finish(&e);
}

int quire_proc_statm(struct quire_mm *mm, struct quire_sink *sink)
{
	struct emitter e;
	struct quire_text *t = &e.text;
	uint64_t shared = rss_pages(mm, QUIRE_RSS_FILE) + rss_pages(mm, QUIRE_RSS_SHMEM);
	uint64_t exe, lib;

	quire_emitter_init(&e, sink);
	quire_proc_text_pages(mm, &exe, &lib);
	quire_text_u64(t, quire_load(&mm->total_vm), 1);
	quire_text_char(t, ' ');
	quire_text_u64(t, shared + rss_pages(mm, QUIRE_RSS_ANON), 1);
	quire_text_char(t, ' ');
	quire_text_u64(t, shared, 1);
	quire_text_char(t, ' ');
	/* Linux does not cap this one by exec_vm. */
	quire_text_u64(
		t,
		(quire_page_up(mm->layout.end_code) - quire_page_down(mm->layout.start_code)) >>
			QUIRE_PAGE_SHIFT,
		1);
	quire_text_put(t, " 0 ");
	quire_text_u64(t, quire_load(&mm->data_vm) + quire_load(&mm->stack_vm), 1);
	quire_text_put(t, " 0\n");
	return quire_emitter_finish(&e);
}
