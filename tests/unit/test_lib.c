/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* agent/lib: tables, numbers, JSON of strings that nobody checked, log levels. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/array.h"
#include "lib/clock.h"
#include "lib/json.h"
#include "lib/lock.h"
#include "lib/log.h"
#include "lib/softirqs.h"
#include "lib/table.h"
#include "lib/units.h"

static const struct table_column columns[] = {
	{ "NAME", TABLE_LEFT },
	{ "COUNT", TABLE_RIGHT },
	{ "WHY", TABLE_LEFT },
};

static char *printed(struct table *table, bool colour, size_t width)
{
	char *text;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	table_print(table, out, colour, width);
	fclose(out);
	return text;
}

static void assert_prints(struct table *table, bool colour, size_t width, const char *expected)
{
	char *text = printed(table, colour, width);

	assert_string_equal(text, expected);
	free(text);
}

static struct table *sample(void)
{
	struct table *table = table_new(columns, 3);

	table_cell(table, TABLE_PLAIN, "nginx");
	table_cell(table, TABLE_GOOD, "%d", 12345678);
	table_cell(table, TABLE_PLAIN, "%s", "");
	table_cell(table, TABLE_PLAIN, "größer");
	table_cell(table, TABLE_PLAIN, "7");
	table_cell(table, TABLE_BAD, "no_gain");
	return table;
}

static void table_lines_up(void **state)
{
	struct table *table = sample();

	assert_prints(table, false, 0,
		      "NAME       COUNT  WHY\n"
		      "nginx   12345678  -\n"
		      "größer         7  no_gain\n");
	table_free(table);
}

static void table_is_cut_at_the_width(void **state)
{
	struct table *table = sample();

	/* Also in the middle of a cell, never in the middle of a character. */
	assert_prints(table, false, 20,
		      "NAME       COUNT  WH\n"
		      "nginx   12345678  -\n"
		      "größer         7  no\n");
	assert_prints(table, false, 3, "NAM\nngi\ngrö\n");
	table_free(table);
}

static void table_colours_only_where_asked(void **state)
{
	struct table *table = sample();
	char *text = printed(table, true, 0);

	assert_non_null(strstr(text, "  \033[32m12345678\033[0m  -\n"));
	assert_non_null(strstr(text, "\033[31mno_gain\033[0m\n"));
	free(text);
	table_free(table);
	assert_string_equal(table_paint(TABLE_BAD, false), "");
}

static void table_without_rows(void **state)
{
	struct table *table = table_new(columns, 3);

	assert_prints(table, false, 0, "NAME  COUNT  WHY\n");
	table_free(table);
}

static void softirqs_are_added_up(void **state)
{
	static char table[] = "                    CPU0       CPU1       CPU2\n"
			      "      NET_TX:          1          2          4\n"
			      "      NET_RX:         10          0 5000000000\n"
			      "       BLOCK:        100        100        100\n";
	FILE *file = fmemopen(table, strlen(table), "r"), *without = fmemopen(table, 48, "r");
	uint64_t count = 0;

	assert_true(softirqs_received_in(file, &count));
	assert_true(count == 5000000010);
	assert_false(softirqs_received_in(without, &count));
	assert_true(softirqs_received(&count) && count);
	fclose(file);
	fclose(without);
}

static void units_of_counts(void **state)
{
	static const struct {
		uint64_t count;
		const char *text;
	} cases[] = {
		{ 0, "0" },
		{ 99999, "99999" },
		{ 100000, "100k" },
		{ 999499, "999k" },
		{ 999500, "1.00M" },
		{ 1234567, "1.23M" },
		{ 12345678, "12.3M" },
		{ 123456789, "123M" },
		{ 9995000000, "10.0G" },
		{ UINT64_MAX, "18.4E" },
	};
	struct units units;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_string_equal(units_count(&units, cases[i].count), cases[i].text);
}

static void units_of_time(void **state)
{
	struct units units;

	assert_string_equal(units_delay(&units, 0), "0us");
	assert_string_equal(units_delay(&units, 85.4), "85us");
	assert_string_equal(units_delay(&units, 999.6), "1.00ms");
	assert_string_equal(units_delay(&units, 1250), "1.25ms");
	assert_string_equal(units_delay(&units, 2500000), "2.50s");
	assert_string_equal(units_age(&units, 0), "0s");
	assert_string_equal(units_age(&units, 59), "59s");
	assert_string_equal(units_age(&units, 184), "3m 04s");
	assert_string_equal(units_age(&units, 5 * 3600 + 6 * 60 + 59), "5h 06m");
	assert_string_equal(units_age(&units, 7 * 86400 + 8 * 3600), "7d 08h");
}

static void assert_text(const char *bytes, size_t max, const char *expected)
{
	json_t *value = json_text(bytes, max);

	assert_non_null(value);
	assert_string_equal(json_string_value(value), expected);
	json_decref(value);
}

static void json_of_any_bytes(void **state)
{
	static const char full[4] = { 'a', 'b', 'c', 'd' }; /* no NUL: as long as a comm can be */

	assert_text("nginx", 16, "nginx");
	assert_text(full, 4, "abcd");
	assert_text("", 16, "");
	assert_text("größe €𝄞", 64, "größe €𝄞");
	assert_text("\033[2J", 16, "\\x1b[2J");
	assert_text("a\x7f\n", 16, "a\\x7f\\x0a");
	assert_text("\xc2\x9b"
		    "31m",
		    16, "\\xc2\\x9b31m");			     /* CSI as one C1 character */
	assert_text("\xc0\xaf", 16, "\\xc0\\xaf");		     /* overlong */
	assert_text("\xed\xa0\x80", 16, "\\xed\\xa0\\x80");	     /* surrogate */
	assert_text("\xf4\x90\x80\x80", 16, "\\xf4\\x90\\x80\\x80"); /* above U+10FFFF */
	assert_text("\xe2\x82\xac", 2, "\\xe2\\x82");		     /* cut */
	assert_text("\xff\xfe", 16, "\\xff\\xfe");
}

static void json_of_a_string_or_none(void **state)
{
	json_t *text = json_text_or_null("a\xff"), *none = json_text_or_null(NULL), *empty = json_text_or_null("");

	assert_string_equal(json_string_value(text), "a\\xff");
	assert_true(json_is_null(none));
	assert_string_equal(json_string_value(empty), "");
	json_decref(text);
	json_decref(none);
	json_decref(empty);
}

static void json_of_addresses(void **state)
{
	static const uint8_t mapped[16] = { [10] = 0xff, [11] = 0xff, [12] = 10, [15] = 1 };
	static const uint8_t loopback[16] = { [15] = 1 };
	json_t *v4 = json_address(mapped), *v6 = json_address(loopback);

	assert_string_equal(json_string_value(v4), "10.0.0.1");
	assert_string_equal(json_string_value(v6), "::1");
	json_decref(v4);
	json_decref(v6);
}

static void faults_travel_as_json(void **state)
{
	struct fault fault, arrived;
	json_t *value, *other = json_pack("{ss}", "reply", "x");

	assert_int_equal(fault_set(&fault, EXIT_CONFIG, "%s: bad: mend it", "thing"), -1);
	value = json_fault(&fault);
	assert_true(json_is_fault(value, &arrived));
	assert_int_equal(arrived.exit_code, EXIT_CONFIG);
	assert_string_equal(arrived.text, "thing: bad: mend it");
	assert_false(json_is_fault(other, &arrived));
	json_decref(value);
	json_decref(other);
	/* Whoever it comes from, it is no success. */
	value = json_pack("{s{ss}}", "error", "message", "x");
	assert_true(json_is_fault(value, &arrived));
	assert_int_equal(arrived.exit_code, EXIT_FAILED);
	json_decref(value);
}

static void log_levels_have_names(void **state)
{
	enum log_level level = LOG_LEVEL_INFO;

	assert_true(log_level_parse("debug", &level));
	assert_int_equal(level, LOG_LEVEL_DEBUG);
	assert_true(log_level_parse("error", &level));
	assert_int_equal(level, LOG_LEVEL_ERROR);
	assert_false(log_level_parse("Debug", &level));
	assert_false(log_level_parse("", &level));
}

/* What is logged at a level, as text. */
static const char *logged(enum log_level threshold)
{
	static char text[256];
	FILE *file = tmpfile();
	int before = dup(2);
	ssize_t length;

	assert_non_null(file);
	dup2(fileno(file), 2);
	log_set_level(threshold);
	for (int level = LOG_LEVEL_ERROR; level <= LOG_LEVEL_DEBUG; level++)
		log_write(level, "%d", level);
	log_set_level(LOG_LEVEL_INFO);
	dup2(before, 2);
	close(before);
	length = pread(fileno(file), text, sizeof(text) - 1, 0);
	text[length > 0 ? length : 0] = '\0';
	fclose(file);
	return text;
}

static void the_level_itself_is_logged(void **state)
{
	unsetenv("JOURNAL_STREAM");
	assert_string_equal(logged(LOG_LEVEL_ERROR), "test_lib: error: 0\n");
	assert_string_equal(logged(LOG_LEVEL_INFO), "test_lib: error: 0\ntest_lib: warning: 1\ntest_lib: info: 2\n");
	setenv("JOURNAL_STREAM", "8:9", 1);
	assert_string_equal(logged(LOG_LEVEL_WARNING), "<3>0\n<4>1\n");
	unsetenv("JOURNAL_STREAM");
}

#define LOCKERS 4
#define FIGHT_NS 500000000ull

/* Takes and releases the lock; counts where another has it too. */
static int fight(const char *path, atomic_int *holders)
{
	uint64_t end = monotonic_ns() + FIGHT_NS;
	int fd, twice = 0;
	pid_t holder;

	while (monotonic_ns() < end) {
		fd = lock_take(path, &holder);
		if (fd == -EWOULDBLOCK)
			continue;
		if (fd < 0)
			return -1;
		twice += atomic_fetch_add(holders, 1) != 0;
		sched_yield();
		atomic_fetch_sub(holders, 1);
		lock_release(path, fd);
	}
	return twice;
}

/* Who releases it removes the file, which others may have open by then. */
static void a_lock_has_one_holder(void **state)
{
	atomic_int *holders = mmap(NULL, sizeof(*holders), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	char directory[] = "/tmp/autocork-lock-XXXXXX", path[64];
	int status;

	assert_true(holders != MAP_FAILED);
	assert_non_null(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/lock", directory);
	for (int i = 0; i < LOCKERS; i++)
		if (!fork())
			_exit(fight(path, holders) ? 1 : 0);
	for (int i = 0; i < LOCKERS; i++) {
		assert_true(wait(&status) > 0);
		assert_int_equal(status, 0);
	}
	munmap(holders, sizeof(*holders));
	assert_int_equal(rmdir(directory), 0);
}

static void an_array_grows(void **state)
{
	uint64_t *numbers = NULL;
	size_t room = 0, moves = 0, before;

	for (size_t count = 0; count < 1000; count++) {
		before = room;
		assert_true(array_room(&numbers, count, &room, sizeof(*numbers)));
		assert_true(room > count);
		moves += room != before;
		numbers[count] = count * count;
	}
	for (size_t i = 0; i < 1000; i++)
		assert_int_equal(numbers[i], i * i);
	assert_in_range(moves, 2, 10);
	free(numbers);
}

static void an_array_without_memory_stays(void **state)
{
	char *bytes = NULL;
	size_t room = 0, had;
	const char *was;

	assert_true(array_room(&bytes, 0, &room, 1));
	memset(bytes, 'x', room);
	was = bytes;
	had = room;
	assert_false(array_room(&bytes, room, &room, SIZE_MAX / 2));
	assert_ptr_equal(bytes, was);
	assert_int_equal(room, had);
	for (size_t i = 0; i < had; i++)
		assert_int_equal(bytes[i], 'x');
	free(bytes);
}

static void clocks_agree(void **state)
{
	struct timespec before, after;
	uint64_t us, ns;
	double s;

	clock_gettime(CLOCK_MONOTONIC, &before);
	us = monotonic_us();
	s = monotonic_seconds();
	ns = monotonic_ns();
	clock_gettime(CLOCK_MONOTONIC, &after);
	assert_in_range(us, before.tv_sec * 1000000ull + before.tv_nsec / 1000,
			after.tv_sec * 1000000ull + after.tv_nsec / 1000);
	assert_in_range(ns, us * 1000, after.tv_sec * 1000000000ull + after.tv_nsec);
	/* A double has room for days in steps below a microsecond. */
	assert_true(s >= us * 1e-6 - 1e-5 && s <= ns * 1e-9 + 1e-5);
	assert_true(clock_seconds(CLOCK_REALTIME) >= time(NULL) - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table_lines_up),
		cmocka_unit_test(table_is_cut_at_the_width),
		cmocka_unit_test(table_colours_only_where_asked),
		cmocka_unit_test(table_without_rows),
		cmocka_unit_test(softirqs_are_added_up),
		cmocka_unit_test(units_of_counts),
		cmocka_unit_test(units_of_time),
		cmocka_unit_test(json_of_any_bytes),
		cmocka_unit_test(json_of_a_string_or_none),
		cmocka_unit_test(json_of_addresses),
		cmocka_unit_test(faults_travel_as_json),
		cmocka_unit_test(log_levels_have_names),
		cmocka_unit_test(the_level_itself_is_logged),
		cmocka_unit_test(a_lock_has_one_holder),
		cmocka_unit_test(an_array_grows),
		cmocka_unit_test(an_array_without_memory_stays),
		cmocka_unit_test(clocks_agree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
