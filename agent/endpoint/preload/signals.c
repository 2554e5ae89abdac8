/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "endpoint/preload/signals.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>

#include "endpoint/preload/instance.h"

bool signals_restart(uint64_t deadline)
{
	struct sigaction action;
	int kept = errno;
	sigset_t blocked;

	if (kept != EINTR || deadline != FOREVER)
		return false;
	sigemptyset(&blocked);
	pthread_sigmask(SIG_SETMASK, NULL, &blocked);
	for (int number = 1; number < NSIG; number++) {
		if (sigismember(&blocked, number) || sigaction(number, NULL, &action))
			continue;
		if (action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN && !(action.sa_flags & SA_RESTART)) {
			errno = kept;
			return false;
		}
	}
	errno = kept;
	return true;
}
