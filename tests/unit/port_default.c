/* SPDX-License-Identifier: MIT */
/*
 * What the OPTIONAL functions of the port do for a host that has none of them: this program is such a
 * host, with the mandatory ones alone, as small as they can be.
 */
#include <quire/quire.h>

#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <setjmp.h>
#include <cmocka.h>

#define RAM (UINT64_C(8) << 20)

void *quire_port_phys_to_virt(struct quire *q, quire_paddr_t pa)
{
	return (char *)q->host + pa;
}

unsigned quire_port_cpu(struct quire *q)
{
	(void)q;
	return 0;
}

unsigned long quire_port_irq_save(struct quire *q)
{
	(void)q;
	return 0;
}

void quire_port_irq_restore(struct quire *q, unsigned long flags)
{
	(void)q;
	(void)flags;
}

void quire_port_preempt_disable(struct quire *q)
{
	(void)q;
}

void quire_port_preempt_enable(struct quire *q)
{
	(void)q;
}

/* One thread: whoever would have to wait would wait for ever. */
void quire_port_wait(struct quire *q, const uint32_t *word, uint32_t value)
{
	(void)q;
	(void)word;
	(void)value;
	abort();
}

void quire_port_wake(struct quire *q, const uint32_t *word, unsigned n)
{
	(void)q;
	(void)word;
	(void)n;
}

void quire_port_tlb_flush(struct quire *q, const struct quire_tlb_flush *flush)
{
	(void)q;
	(void)flush;
}

static struct quire instance;

static int setup(void **state)
{
	struct quire_range range = { 0, RAM, QUIRE_RANGE_USABLE, 0 };
	struct quire_config config = { .map = &range, .nr_ranges = 1, .zones = 1u << QUIRE_ZONE_NORMAL };

	memset(&instance, 0, sizeof(instance));
	instance.nr_cpus = 1;
	instance.host = aligned_alloc(QUIRE_PAGE_SIZE, RAM);
	memset(instance.host, 0xdd, RAM);
	quire_grace_init(&instance);
	*state = &instance;
	return quire_page_init(&instance, &config) ?: quire_slab_init(&instance);
}

static int teardown(void **state)
{
	(void)state;
	free(instance.host);
	return 0;
}

static void mandatory_functions_are_enough_for_pages_and_objects(void **state)
{
	struct quire *q = *state;
	unsigned char *object = quire_kmalloc(q, 100, QUIRE_GFP_ZERO);
	struct quire_page *page = quire_page_alloc(q, 0, 4);

	assert_int_equal(object[0] | object[99], 0);
	quire_kfree(q, object);
	quire_page_free(q, page, 4);
	assert_null(quire_slab_check(q));
	assert_null(quire_page_check(q));
}

static bool is_zero(const unsigned char *bytes, size_t len)
{
	size_t i;

	for (i = 0; i < len && !bytes[i]; i++)
		;
	return i == len;
}

static void frames_are_zeroed_by_memset(void **state)
{
	struct quire *q = *state;
	struct quire_page *page = quire_page_alloc(q, QUIRE_GFP_ZERO, 0);
	unsigned char *bytes = quire_page_to_virt(q, page);

	assert_true(is_zero(bytes, QUIRE_PAGE_SIZE));
	memset(bytes, 1, QUIRE_PAGE_SIZE);
	quire_page_zero(q, page);
	assert_true(is_zero(bytes, QUIRE_PAGE_SIZE));
	quire_page_put(q, page);
}

static void time_stands_still_and_nothing_is_random(void **state)
{
	assert_int_equal(quire_port_clock_ns(*state), 0);
	assert_int_equal(quire_port_random(*state), 0);
	assert_int_equal(quire_port_random(*state), 0);
	quire_port_relax(*state);
	quire_port_tlb_flush_local(*state, 1, 0);
	quire_port_log(*state, QUIRE_LOG_ERR, "to nobody");
}

static void report_stops_the_machine(void **state)
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		signal(SIGILL, SIG_DFL);
		signal(SIGTRAP, SIG_DFL);
		quire_report(*state, "something that cannot be", 1);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_false(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(mandatory_functions_are_enough_for_pages_and_objects, setup, teardown),
		cmocka_unit_test_setup_teardown(frames_are_zeroed_by_memset, setup, teardown),
		cmocka_unit_test_setup_teardown(time_stands_still_and_nothing_is_random, setup, teardown),
		cmocka_unit_test_setup_teardown(report_stops_the_machine, setup, teardown),
	};

	return cmocka_run_group_tests_name("port_default", tests, NULL, NULL);
}
