/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Loading as a whole: all files or none, and every error at once. */
#include <stdlib.h>
#include <string.h>

#include "policy/sections.h"

/* As a reader walks through them; what was found only after merging would come last otherwise. */
static int by_place(const void *a, const void *b)
{
	const struct policy_error *x = a, *y = b;
	int order = strcmp(x->file, y->file);

	return order ? order : (x->line > y->line) - (x->line < y->line);
}

static int errors_fault(const struct policy_errors *errors, struct fault *fault)
{
	const struct policy_error *first = &errors->list[0];
	char more[96] = "";

	if (errors->count > 1)
		snprintf(more, sizeof(more), " (and %zu more: autocork policy check lists them)", errors->count - 1);
	if (first->line)
		return fault_set(fault, EXIT_CONFIG, "%s:%d: %s%s", first->file, first->line, first->what, more);
	return fault_set(fault, EXIT_CONFIG, "%s: %s%s", first->file, first->what, more);
}

/* Takes what was read; everything or nothing. */
static int finish(struct policy_set **set, struct sections *sections, struct policy_errors *errors,
		  struct policy_errors *wanted, struct fault *fault)
{
	int result = 0;

	sections_check(sections, errors);
	*set = errors->count ? NULL : policy_compile(sections, errors);
	if (!*set) {
		qsort(errors->list, errors->count, sizeof(*errors->list), by_place);
		result = errors_fault(errors, fault);
	}
	sections_free(sections);
	if (wanted)
		*wanted = *errors;
	else
		policy_errors_free(errors);
	return result;
}

int policy_load_files(struct policy_set **set, char *const *files, size_t count, struct policy_errors *errors,
		      struct fault *fault)
{
	struct policy_errors found = { 0 };
	struct sections sections = { 0 };

	for (size_t i = 0; i < count; i++)
		sections_read_file(&sections, files[i], &found);
	return finish(set, &sections, &found, errors, fault);
}

int policy_load(struct policy_set **set, const char *const *dirs, struct policy_errors *errors, struct fault *fault)
{
	struct policy_errors found = { 0 };
	struct sections sections = { 0 };
	size_t count;
	char **files = policy_files_list(dirs ? dirs : policy_default_dirs, dirs, &count, &found);

	for (size_t i = 0; i < count; i++) {
		sections_read_file(&sections, files[i], &found);
		free(files[i]);
	}
	free(files);
	return finish(set, &sections, &found, errors, fault);
}

int policy_load_over(struct policy_set **set, const struct policy_set *base, const char *name, const char *text,
		     struct fault *fault)
{
	struct policy_errors found = { 0 };
	struct sections sections = { 0 };

	for (size_t i = 0; i < base->file_count; i++)
		sections_read(&sections, base->files[i], base->texts[i].bytes, base->texts[i].length, &found);
	if (text)
		sections_read(&sections, name, text, strlen(text), &found);
	return finish(set, &sections, &found, NULL, fault);
}

int policy_check_files(char *const *files, size_t count, struct policy_errors *errors, struct fault *fault)
{
	struct policy_set *set;
	int result = policy_load_files(&set, files, count, errors, fault);

	policy_set_free(set);
	return result;
}
