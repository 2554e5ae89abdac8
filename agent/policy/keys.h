/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The one table of sections and keys. To add a key: a field in policy.h and a row in keys.c; parser, errors, `policy
 * show`, and the check of docs/policy.md follow from the row.
 */
#pragma once
#include "policy/set.h"

enum policy_section { POLICY_SECTION_POLICY, POLICY_SECTION_AGENT, POLICY_SECTION_FASTPATH, POLICY_SECTION_MAX };

struct policy_key;

/* How a value is read, written and freed. A zeroed field is a valid empty value of every type. */
struct policy_type {
	size_t size;
	/* Fills the zeroed field; where it cannot, returns a malloc()ed reason such as `"0" is not a port`. */
	char *(*parse)(const struct policy_key *key, const char *text, void *field);
	/* Writes what parse() would accept again. */
	void (*print)(const struct policy_key *key, const void *field, FILE *out);
	void (*clear)(void *field); /* may be NULL */
};

struct policy_key {
	enum policy_section section;
	const char *name;
	const struct policy_type *type;
	size_t offset;	      /* of the field in the section's struct */
	const char *fallback; /* the default, as text; NULL = none: empty, or must be given */
	const char *allowed;  /* ends every error about this key */
	const char *doc;
	const char *const *names; /* of an enumeration, by value, ended by NULL */
	double least, most;	  /* of a number, in the unit of the field */
};

struct policy_section_kind {
	const char *name; /* [NAME] or, for policies, [NAME x] */
	size_t size;
	const struct policy_key *keys;
	size_t key_count;
};

const struct policy_section_kind *policy_section_kind(enum policy_section section);
#define POLICY_KEYS_MAX 32

/* Index of a key in its section, or -1. */
int policy_key_find(enum policy_section section, const char *name);
/* The name of an allowed key or section that the given one probably was meant to be, or NULL. */
const char *policy_key_near(enum policy_section section, const char *name);
const char *policy_section_near(const char *name);

/* Replaces a key's value in a section's struct; NULL text stands for the default. Reason as in policy_type.parse(). */
char *policy_key_set(const struct policy_key *key, void *values, const char *text);
char *policy_key_text(const struct policy_key *key, const void *values);
void policy_values_init(enum policy_section section, void *values);
void policy_values_clear(enum policy_section section, void *values);

/* The types, in values.c and lists.c */
extern const struct policy_type policy_type_name; /* one of key->names, a byte */
extern const struct policy_type policy_type_yesno;
extern const struct policy_type policy_type_duration; /* microseconds, uint32_t */
extern const struct policy_type policy_type_floor;    /* the same, or 0 */
extern const struct policy_type policy_type_fraction; /* 0.98 or 98% */
extern const struct policy_type policy_type_budget;   /* 1%, or off: 0 */
extern const struct policy_type policy_type_series;   /* a number, or all: POLICY_SERIES_ALL; uint16_t */
extern const struct policy_type policy_type_interface;
extern const struct policy_type policy_type_endpoint;
extern const struct policy_type policy_type_ranges; /* within least … most; the word "all" is the empty list */
extern const struct policy_type policy_type_globs;
extern const struct policy_type policy_type_paths;
extern const struct policy_type policy_type_pods;
extern const struct policy_type policy_type_peers;
extern const struct policy_type policy_type_interfaces;

/* Can the name be that of a network interface? Shared by two types. */
bool policy_interface_valid(const char *name);
