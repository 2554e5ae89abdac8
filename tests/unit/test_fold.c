/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Sentences that are folded at the width of a terminal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "cli/fold.h"

/* The text becomes this on a terminal of 20 columns. */
static void expect(const char *text, const char *wanted)
{
	char *shown = NULL;
	size_t size;
	FILE *out = open_memstream(&shown, &size), *stream = fold_open(out, 20);

	assert_non_null(stream);
	fputs(text, stream);
	fclose(stream);
	fclose(out);
	assert_string_equal(shown, wanted);
	free(shown);
}

static void test_lines_that_fit(void **state)
{
	expect("12345678 012345 7890\n", "12345678 012345 7890\n");
	expect("PORT    WASTE\n  80    none\n\n", "PORT    WASTE\n  80    none\n\n");
	expect("no end", "no end");
	expect("\rphase 1\rphase 2", "\rphase 1\rphase 2");
}

static void test_breaks(void **state)
{
	expect("12345678 012345 78901\n", "12345678 012345\n  78901\n");
	expect("  name: one two three four\n", "  name: one two\n    three four\n");
	expect("a line longer than two of them are wide\nnext\n",
	       "a line longer than\n  two of them are\n  wide\nnext\n");
	expect("           far from the left\n", "           far from\nthe left\n");
	expect("a 23456789012345678901234567890\n", "a\n  23456789012345678901234567890\n");
}

static void test_width(void **state)
{
	/* Sequences take no room, nor do the second bytes of letters. */
	expect("\033[1m12345678\033[0m 012345 7890\033[K\n", "\033[1m12345678\033[0m 012345 7890\033[K\n");
	expect("≈≈≈≈≈≈≈≈ 012345 7890\n", "≈≈≈≈≈≈≈≈ 012345 7890\n");
	expect("≈≈≈≈≈≈≈≈ 012345 78901\n", "≈≈≈≈≈≈≈≈ 012345\n  78901\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines_that_fit),
		cmocka_unit_test(test_breaks),
		cmocka_unit_test(test_width),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
