/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* agent/release/rerun.c: the agent runs itself again, also where a dynamic loader was told to run it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "release/rerun.h"

#define TEXT_MAX 1024

static const char *const arguments[] = { "7", "72000", NULL };

/* `line` has spaces for zeros. The words that come out, with spaces between. */
static const char *again(const char *line, size_t own)
{
	static char text[TEXT_MAX];
	const char *argv[COMMAND_WORDS_MAX];
	char bytes[TEXT_MAX];
	size_t length = strlen(line);

	for (size_t i = 0; i <= length; i++)
		bytes[i] = line[i] == ' ' ? 0 : line[i];
	*text = 0;
	if (command_again(bytes, length + !!length, own, "again", arguments, argv))
		return NULL;
	for (size_t i = 0; argv[i]; i++) {
		strcat(text, i ? " " : "");
		strcat(text, argv[i]);
	}
	return text;
}

static void by_itself(void **state)
{
	assert_string_equal(again("/usr/sbin/autocorkd", 1), "again 7 72000");
	assert_string_equal(again("autocorkd --control /run/x --cgroup /a", 5), "again 7 72000");
	/* Empty words count; a program may have overwritten its line. */
	assert_string_equal(again("autocorkd --control ", 3), "again 7 72000");
	assert_string_equal(again("", 3), "again 7 72000");
}

static void by_a_loader(void **state)
{
	assert_string_equal(again("/lib64/ld.so ./autocorkd", 1), "/lib64/ld.so --argv0 again ./autocorkd 7 72000");
	assert_string_equal(again("ld.so --library-path /a:/b /b/autocorkd --control /run/x", 3),
			    "ld.so --library-path /a:/b --argv0 again /b/autocorkd 7 72000");
	assert_string_equal(again("ld.so --argv0 other /b/autocorkd -x", 2),
			    "ld.so --argv0 other --argv0 again /b/autocorkd 7 72000");
	assert_string_equal(again("ld.so --preload  autocorkd", 1), "ld.so --preload  --argv0 again autocorkd 7 72000");
}

static void too_many_words(void **state)
{
	/* The loader's, "--argv0", the name, the program, two arguments, NULL. */
	char line[TEXT_MAX] = "ld.so";

	for (int i = 0; i < COMMAND_WORDS_MAX - 7; i++)
		strcat(line, " x");
	strcat(line, " program");
	assert_non_null(again(line, 1));
	strcat(line, " y");
	assert_non_null(again(line, 2));
	assert_null(again(line, 1));
}

static void own_line(void **state)
{
	size_t length = 0;
	char *line = command_line(&length);

	assert_non_null(line);
	assert_true(length >= sizeof("test_release_command"));
	assert_int_equal(line[length - 1], 0);
	assert_non_null(strstr(line, "test_release_command"));
	free(line);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(by_itself),
		cmocka_unit_test(by_a_loader),
		cmocka_unit_test(too_many_words),
		cmocka_unit_test(own_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
