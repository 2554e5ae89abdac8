/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Lists of words, each its own copy. */
#pragma once
#include "policy/set.h"

void strings_append(struct policy_strings *strings, const char *text);
/* Sorts, and drops doubles. */
void strings_unite(struct policy_strings *strings);
bool strings_equal(const struct policy_strings *a, const struct policy_strings *b);
void strings_free(struct policy_strings *strings);
