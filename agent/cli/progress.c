/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "cli/progress.h"

#include <math.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "cli/interrupt.h"
#include "lib/clock.h"

static void rest(double seconds)
{
	nanosleep(&(struct timespec){ (time_t)seconds, (seconds - (time_t)seconds) * 1e9 }, NULL);
}

void progress_wait(const struct cli *cli, const char *what, double seconds)
{
	bool shown = cli->terminal && !cli->json && isatty(STDERR_FILENO);
	double end = monotonic_seconds() + seconds, left;

	while (!interrupt_came() && (left = end - monotonic_seconds()) > 0) {
		if (shown)
			fprintf(stderr, "\r%s: %.0f s left \033[K", what, ceil(left));
		rest(shown && left > 1 ? 1 : left);
	}
	if (shown)
		fputs("\r\033[K", stderr);
}
