/* SPDX-License-Identifier: MIT */
/*
 * Bytes as the texts that tests are written in: a case of tests/linux/cases/, and the one-line scripts of
 * tests/unit/script.h. What is read as a case and written down again must read as the same case.
 */
#include "fuzz.h"

#include <script.h>

#include "../../tools/fuzz/case.h"

static bool read_case(const char *text, size_t len, struct round *round)
{
	FILE *from = fmemopen((void *)(uintptr_t)text, len, "r");
	char message[200] = "";
	bool good;

	if (!from)
		abort();
	good = fuzz_case_read(from, "input", round, message, sizeof(message)) == 0;
	fclose(from);
	if (!good && (message[0] == '\0' || strchr(message, '\n') || strncmp(message, "input", 5) != 0))
		fuzz_fail("a case is refused with '%s'", message);
	return good;
}

static char *write_case(const struct round *round, size_t *len)
{
	char *text = NULL;
	FILE *to = open_memstream(&text, len);

	if (!to)
		abort();
	fuzz_case_write(to, round, "as it was read");
	fclose(to);
	return text;
}

static void try_case(const char *text, size_t len)
{
	struct round once, twice;
	char *first, *second;
	size_t first_len, second_len;

	if (!read_case(text, len, &once))
		return;
	first = write_case(&once, &first_len);
	if (!read_case(first, first_len, &twice))
		fuzz_fail("a case that was written can't be read:\n%s", first);
	second = write_case(&twice, &second_len);
	if (first_len != second_len || memcmp(first, second, first_len))
		fuzz_fail("a case reads as another:\n%s---\n%s", first, second);
	free(first);
	free(second);
	fuzz_case_free(&once);
	fuzz_case_free(&twice);
}

static void try_script(const char *text)
{
	struct script_op op;

	while (script_next(&text, &op) > 0)
		;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 2);

	if (!text)
		abort();
	memcpy(text, data, size);
	text[size] = '\n';
	text[size + 1] = '\0';
	try_case(text, size + 1);
	try_script(text);
	free(text);
	return 0;
}
