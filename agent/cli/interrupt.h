/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Ctrl-C ends every command in the same way: it dies of SIGINT (130 in a shell), after what it has to say. One that has
 * something to say or to undo catches the signal first.
 */
#pragma once
#include <stdbool.h>

/* `also` runs in the signal handler; NULL: nothing. A second signal ends the program at once. */
void interrupt_catch(void (*also)(void));
bool interrupt_came(void);
/* Back to how signals were; dies of SIGINT if it came meanwhile. */
void interrupt_finish(void);
