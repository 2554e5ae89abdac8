/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Will the dynamic linker put a library in front of the C library in this program, and does the program call that
 * one? */
#pragma once
#include <limits.h>
#include <stdbool.h>

enum executable_kind {
	EXECUTABLE_DYNAMIC,
	EXECUTABLE_STATIC,
	EXECUTABLE_GO,	    /* makes its system calls itself */
	EXECUTABLE_SETUID,  /* the linker ignores LD_PRELOAD there */
	EXECUTABLE_FOREIGN, /* of another architecture or word size */
	EXECUTABLE_UNREADABLE,
};

/* The path that execvp() would take. false with errno. */
bool executable_find(const char *name, char path[PATH_MAX]);
/* Of a script, its interpreter's. */
enum executable_kind executable_kind(const char *path);
const char *executable_reason(enum executable_kind kind);
