/* SPDX-License-Identifier: MIT */
/*
 * Bytes as a recording, which is parsed, and served where it parses. The last line of a recording holds a sum of all others, which
 * no fuzzer guesses: unless the first byte is '=', the first line is put before the bytes and a last one that is right behind them.
 */
#include "fuzz.h"

#include <inttypes.h>
#include <machine.h>
#include <string.h>

#include "../../tools/record.h"
#include "../../tools/recording.h"

/* Made once: a machine of that size takes longer to make than most recordings to serve. */
static struct world *the_world(const struct recording *r)
{
	static struct world *world;

	if (!world)
		world = world_create(&r->system, NULL);
	world_set_system(world, &r->system);
	return world;
}

static void serve(struct recording *r)
{
	struct world *w = the_world(r);
	struct server sv;
	struct space *space;
	int64_t ours;

	serve_start(&sv, r, w);
	while (serve_run(&sv, &ours) != SERVE_DONE)
		;
	for (space = w->spaces; space; space = space->next) {
		if (space->mm)
			fuzz_check(quire_mm_check(space->mm));
	}
	serve_stop(&sv);
	world_reset(w);
	quire_grace_wait(w->q);
	for (uint32_t i = 1; i <= w->nr_files; i++) {
		if (w->files[i])
			fuzz_fail("file %u is left", i);
	}
	if (w->q->mms.committed)
		fuzz_fail("%lld pages are promised to nobody", (long long)w->q->mms.committed);
	if (machine_failed(w->machine))
		fuzz_fail("the machine reported something");
}

static void close_recording(struct text *t)
{
	uint64_t lines = 0;
	size_t i;

	if (t->len && t->p[t->len - 1] != '\n')
		text_add(t, "\n", 1);
	for (i = 0; i < t->len; i++)
		lines += t->p[i] == '\n';
	text_printf(t, "done %" PRIx64 " %" PRIx64 "\n", lines, tool_hash(t->p, t->len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct text t = { 0 };
	struct recording *r;

	if (size && data[0] == '=') {
		text_add(&t, (const char *)data + 1, size - 1);
	} else {
		text_printf(&t, "quire-recording %d\n", RECORDING_VERSION);
		text_add(&t, (const char *)data, size);
		close_recording(&t);
	}
	r = recording_parse("input", t.p ? t.p : "", t.len);
	if (!r->bad)
		serve(r);
	recording_free(r);
	text_free(&t);
	return 0;
}
