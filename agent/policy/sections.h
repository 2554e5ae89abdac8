/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Inside the policy module: what the files say, merged but not compiled; and the list of what is wrong with them. */
#pragma once
#include <uthash.h>

#include "policy/keys.h"

/* One [policy NAME], [agent] or [fastpath], with the values of all files that speak of it. */
struct section {
	enum policy_section kind;
	char *title;	  /* "policy web", "agent": the key of the hash */
	const char *file; /* of the last heading */
	int line;
	void *values;		     /* the struct of the kind */
	struct policy_place *places; /* per key */
	bool wrong;		     /* an error was reported: no second one for what may follow from it */
	UT_hash_handle hh;	     /* kept in the order of the last headings */
};

struct sections {
	struct section *by_title;
	char **files;		   /* every file read; the places point to these strings */
	struct policy_text *texts; /* what each of them says */
	size_t file_count;
	size_t policies;
};

/* All take ownership of nothing and add to errors. The name is what errors call the file. */
void sections_read(struct sections *sections, const char *name, const char *text, size_t length,
		   struct policy_errors *errors);
/* Opens a file and reads it; `/dev/null` and empty files are fine. */
void sections_read_file(struct sections *sections, const char *path, struct policy_errors *errors);
/* What only shows once all files are merged: missing and contradicting keys. */
void sections_check(const struct sections *sections, struct policy_errors *errors);
void sections_free(struct sections *sections);

/* The *.conf of the directories, by file name, namesakes masked: malloc()ed paths. */
char **policy_files_list(const char *const *dirs, bool must_exist, size_t *count, struct policy_errors *errors);

/* Compiles sections, which are emptied: their values move into the set. NULL with errors where limits are broken. */
struct policy_set *policy_compile(struct sections *sections, struct policy_errors *errors);

void policy_error_add(struct policy_errors *errors, const char *file, int line, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* Name of a policy's section: behind "policy ". */
#define SECTION_POLICY "policy "
static inline const char *section_policy_name(const struct section *section)
{
	return section->title + sizeof(SECTION_POLICY) - 1;
}
