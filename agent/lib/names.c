/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "lib/names.h"

const char *const mode_names[AC_MODE_MAX + 1] = {
	[AC_MODE_OFF] = "off",
	[AC_MODE_OBSERVE] = "observe",
	[AC_MODE_AUTOCORK] = "autocork",
};

const char *const side_names[AC_SIDE_MAX + 1] = {
	[AC_SIDE_ANY] = "any",
	[AC_SIDE_SERVER] = "server",
	[AC_SIDE_CLIENT] = "client",
};

const char *const reason_names[AC_REASON_MAX + 1] = {
#define X(id, name, text) [AC_REASON_##id] = name,
	AC_REASONS(X)
#undef X
};

const char *const refusal_names[AC_REFUSAL_MAX + 1] = {
#define X(id, name, text) [AC_REFUSAL_##id] = name,
	AC_REFUSALS(X)
#undef X
};

const char *const option_names[AC_OPTION_MAX + 1] = {
#define X(id, name, value) [AC_OPTION_##id] = name,
	AC_OPTIONS(X)
#undef X
};

const char *const wrapper_names[AC_WRAPPER_MAX + 1] = {
#define X(id, kernel, wrapper) [AC_WRAPPER_##id] = wrapper,
	AC_WRAPPERS(X)
#undef X
};

json_t *name_json(const char *const *names, size_t count, size_t index)
{
	return index < count && names[index] ? json_string(names[index]) : json_null();
}
