/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* docs/policy.md and docs/examples against the table of keys: neither may say what the parser does not. */
#include <glob.h>

#include "policy/fixture.h"
#include "policy/keys.h"

static char *read_whole(const char *path)
{
	char *text = NULL;
	size_t size = 0;
	FILE *file = fopen(path, "re");

	if (!file)
		fail_msg("%s: cannot be read", path);
	assert_true(getdelim(&text, &size, '\0', file) > 0);
	fclose(file);
	return text;
}

static char *table_row(const struct policy_key *key)
{
	char *row;

	assert_true(asprintf(&row, "| `%s` | %s | %s%s%s | %s |\n", key->name, key->allowed, key->fallback ? "`" : "",
			     key->fallback ? key->fallback : "", key->fallback ? "`" : "", key->doc) > 0);
	return row;
}

/* The tables of the page are these rows and no others. Where this fails, it prints what belongs there. */
static void test_tables(void **state)
{
	char *page = read_whole("docs/policy.md");
	size_t rows = 0, keys = 0;

	for (enum policy_section section = 0; section < POLICY_SECTION_MAX; section++) {
		const struct policy_section_kind *kind = policy_section_kind(section);

		for (size_t i = 0; i < kind->key_count; i++, keys++) {
			char *row = table_row(&kind->keys[i]);

			if (!strstr(page, row))
				fail_msg("docs/policy.md lacks this row:\n%s", row);
			free(row);
		}
	}
	for (const char *at = page; (at = strstr(at, "\n| `")); at++)
		rows++;
	assert_int_equal(rows, keys);
	free(page);
}

/* Every ```ini block of the page is a valid file. */
static void test_blocks(void **state)
{
	char *page = read_whole("docs/policy.md"), *at = page, directory[64];
	size_t blocks = 0;

	fixture_directory(directory);
	while ((at = strstr(at, "\n```ini\n"))) {
		char *start = at + 8, *end = strstr(start, "\n```"), *files[1];
		struct fault fault;

		assert_non_null(end);
		end[1] = '\0';
		files[0] = (char *)fixture_write(directory, "block.conf", start);
		if (policy_check_files(files, 1, NULL, &fault))
			fail_msg("%s\n%s", fault.text, start);
		end[1] = '`';
		at = end + 4;
		blocks++;
	}
	assert_true(blocks >= 3);
	fixture_remove(directory);
	free(page);
}

static void test_examples(void **state)
{
	glob_t found;
	bool every_flow = false;

	assert_int_equal(glob("docs/examples/*/*.conf", 0, NULL, &found), 0);
	for (size_t i = 0; i < found.gl_pathc; i++) {
		struct policy_set *set;
		struct fault fault;

		if (policy_load_files(&set, &found.gl_pathv[i], 1, NULL, &fault))
			fail_msg("%s", fault.text);
		if (strstr(found.gl_pathv[i], "every-flow")) {
			struct ac_facts facts = { .port = 4711, .side = AC_SIDE_CLIENT };
			int64_t rule = policy_match(set, &facts, NULL, NULL);

			assert_true(rule >= 0);
			assert_int_equal(set->policies[set->rules[rule].policy].mode, AC_MODE_AUTOCORK);
			every_flow = true;
		}
		policy_set_free(set);
	}
	assert_true(every_flow);
	globfree(&found);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tables),
		cmocka_unit_test(test_blocks),
		cmocka_unit_test(test_examples),
	};

	return cmocka_run_group_tests_name("policy_docs", tests, NULL, NULL);
}
