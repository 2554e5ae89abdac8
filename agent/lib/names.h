/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The names that policies, JSON and metrics give to what the shared headers number. Each list ends with NULL. */
#pragma once
#include <autocork/flow.h>
#include <autocork/policy.h>
#include <autocork/types.h>
#include <jansson.h>

extern const char *const mode_names[AC_MODE_MAX + 1];
extern const char *const side_names[AC_SIDE_MAX + 1];
extern const char *const reason_names[AC_REASON_MAX + 1];
extern const char *const refusal_names[AC_REFUSAL_MAX + 1];
extern const char *const option_names[AC_OPTION_MAX + 1];
/* the kernel's: "autocork_cubic"; NULL where there is none */
extern const char *const wrapper_names[AC_WRAPPER_MAX + 1];

/* The name as JSON; null where the kernel side, perhaps of a newer version, says something that has no name here. */
#define NAME_JSON(names, index) name_json(names, AC_ARRAY_SIZE(names), index)
json_t *name_json(const char *const *names, size_t count, size_t index);
