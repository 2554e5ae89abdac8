/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* An error on its way to the user: what failed, why, what to do next; and the exit code that goes with it. */
#pragma once

/* Exit codes, documented in autocork(1). */
enum exit_code {
	EXIT_OK = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
	EXIT_CONFIG = 3,
	EXIT_UNSUPPORTED = 4,
};

struct fault {
	enum exit_code exit_code;
	char text[512];
};

/* Fills the fault and returns -1, so that a caller can `return fault_set(...)`. Message: "THING: REASON: NEXT STEP". */
int fault_set(struct fault *fault, enum exit_code exit_code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
