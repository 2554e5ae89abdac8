/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* agent/cli/options.c: each kind of value goes where its row says, and what is wrong ends with EXIT_USAGE. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/options.h"
#include "lib/json.h"

enum colour { RED, GREEN, BLUE };

struct input {
	bool flag;
	uint8_t small;
	uint16_t medium;
	long large;
	enum colour colour;
	double seconds;
	const char *text, *digits, *argument;
	int taken;
	json_t *request;
};

static const char *const colours[] = { "red", "green", "blue", NULL };

static void take(const struct argp_state *state, char *arg, void *data)
{
	((struct input *)data)->taken = arg ? cli_number(state, "taken", arg, 1, 9) : -1;
}

#define AT(field) CLI_AT(struct input, field)
static const struct cli_option options[] = {
	{ "flag_of_two_words", 'F', 0, "A flag", CLI_FLAG, AT(flag) },
	{ "seven", 0, 0, "A number without a value", CLI_FLAG, .set = 7, AT(small) },
	{ "medium", 'm', "N", "A number", CLI_NUMBER, .low = 1, .high = 65535, AT(medium), .alias = "middle" },
	{ "large", 0, "N", "Another", CLI_NUMBER, .low = -5, .high = UINT32_MAX, AT(large) },
	{ "colour", 'c', "COLOUR", "A word", CLI_WORD, .words = colours, AT(colour) },
	{ "digits", 0, "N", "A number as text", CLI_DIGITS, .low = 0, .high = 10, AT(digits) },
	{ "text", 't', "TEXT", "A text", CLI_TEXT, AT(text) },
	{ "taken", 0, "N", "By hand", CLI_OTHER, .take = take, .optional = true },
	CLI_FOR(0.1, "A time", AT(seconds)),
	CLI_FLOW_PORT(CLI_IN(struct input, request, "port")),
	CLI_FLOW_PROGRAM(CLI_IN(struct input, request, "program")),
	{ "side", 0, "SIDE", "A word", CLI_WORD, .words = colours, CLI_IN(struct input, request, "side") },
	{ "all", 0, 0, "A flag", CLI_FLAG, CLI_IN(struct input, request, "all") },
	{ 0 },
};

static void argument(struct argp_state *state, char *arg, void *data)
{
	((struct input *)data)->argument = arg;
}

static const struct cli_syntax syntax = { .options = options, .argument = argument, .doc = "A test." };

#define PARSE(input, ...) \
	parse(input, (char *[]){ "test", __VA_ARGS__, NULL }, \
	      sizeof((char *[]){ "test", __VA_ARGS__ }) / sizeof(char *))

static struct cli parse(struct input *input, char **argv, int argc)
{
	struct cli cli = { .control = "default" };

	cli_parse(&cli, &syntax, argc, argv, input);
	return cli;
}

static void test_values(void **state)
{
	struct input input = { 0 };
	/* A field that were written too wide would spoil one that was written before. */
	struct cli cli = PARSE(&input, "--flag_of_two_words", "--large", "-5", "-m300", "--seven", "word", "-c", "blue",
			       "--digits=010", "--text", "\xff", "--taken=3", "--for", "1500ms", "--json");

	assert_true(input.flag);
	assert_int_equal(input.small, 7);
	assert_int_equal(input.medium, 300);
	assert_int_equal(input.large, -5);
	assert_int_equal(input.colour, BLUE);
	assert_string_equal(input.digits, "010");
	assert_string_equal(input.text, "\xff");
	assert_string_equal(input.argument, "word");
	assert_int_equal(input.taken, 3);
	assert_true(input.seconds == 1.5);
	assert_true(cli.json);
	assert_string_equal(cli.control, "default");
}

static void test_other_names(void **state)
{
	struct input input = { 0 };

	PARSE(&input, "--flag-of-two-words", "--middle", "5", "--taken");
	assert_true(input.flag);
	assert_int_equal(input.medium, 5);
	assert_int_equal(input.taken, -1);
}

static void test_request(void **state)
{
	struct input input = { .request = json_object() };
	json_t *wanted = json_pack("{si ss ss sb}", "port", 80, "program", "ngin*", "side", "green", "all", 1);

	PARSE(&input, "-p", "80", "-P", "ngin*", "--side=green", "--all");
	assert_true(json_equal(input.request, wanted));
	json_decref(wanted);
	json_decref(input.request);
}

static int exit_code(char *option)
{
	int status;
	pid_t child = fork();

	if (!child) {
		struct input input = { .request = json_object() };

		argp_err_exit_status = EXIT_USAGE;
		if (!freopen("/dev/null", "w", stderr))
			_exit(9);
		PARSE(&input, option);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void test_wrong_usage(void **state)
{
	char *wrong[] = {
		"--medium=0",	  "--medium=65536", "--medium=1x", "--medium=", "--large=99999999999999999999",
		"--colour=re",	  "--digits=11",    "--digits=x",  "--taken=0", "--for=0",
		"--for=nan",	  "--for=90000",    "--for=1w",	   "--port=0",	"--port=65536",
		"--program=\xff", "--side=x",	    "--no-such",   "--medium",
	};

	assert_int_equal(exit_code("--medium=65535"), 0);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		if (exit_code(wrong[i]) != EXIT_USAGE)
			fail_msg("%s is taken", wrong[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_other_names),
		cmocka_unit_test(test_request),
		cmocka_unit_test(test_wrong_usage),
	};

	return cmocka_run_group_tests_name("options", tests, NULL, NULL);
}
