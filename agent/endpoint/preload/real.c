/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "endpoint/preload/real.h"

#include <dlfcn.h>

struct real real_table;
bool real_ready;

void real_init(void)
{
#define X(type, name, arguments) *(void **)&real_table.name = dlsym(RTLD_NEXT, #name);
	REAL_FUNCTIONS(X)
#undef X
	real_ready = true;
}
