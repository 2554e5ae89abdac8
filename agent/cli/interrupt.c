/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "cli/interrupt.h"

#include <signal.h>
#include <stddef.h>
#include <stdio.h>

static volatile sig_atomic_t came;
static void (*on_signal)(void);

static void handle(int number)
{
	came = 1;
	if (on_signal)
		on_signal();
}

void interrupt_catch(void (*also)(void))
{
	struct sigaction action = { .sa_handler = handle, .sa_flags = SA_RESETHAND };

	on_signal = also;
	sigaction(SIGINT, &action, NULL);
}

bool interrupt_came(void)
{
	return came;
}

void interrupt_finish(void)
{
	signal(SIGINT, SIG_DFL);
	if (!came)
		return;
	fflush(stdout);
	raise(SIGINT);
}
