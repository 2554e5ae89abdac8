/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "commands/trial_times.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/client.h"
#include "lib/json.h"

#define ENOUGH 1 /* of the visitor */

/* One trial in a process. The thread lives as long as the process. */
static struct {
	pthread_mutex_t mutex;
	struct trial_times_of of;
	enum trial_times_phase phase;
	size_t count[TRIAL_TIMES_PHASES];
	double us[TRIAL_TIMES_PHASES][TRIAL_TIMES_MAX];
} times = { .mutex = PTHREAD_MUTEX_INITIALIZER };

static bool is_wanted(const json_t *event)
{
	return (!times.of.side || !strcmp(times.of.side, json_member_text(event, "side"))) &&
	       (!times.of.program || !strcmp(times.of.program, json_member_text(event, "program")));
}

/* From the first write to the last, and until what waited then has left. */
static double duration_us(const json_t *event)
{
	return (double)(json_number(event, "span_us") + json_number(event, "tail_us"));
}

static bool is_full(void)
{
	bool full;

	pthread_mutex_lock(&times.mutex);
	full = times.count[times.phase] == TRIAL_TIMES_MAX;
	pthread_mutex_unlock(&times.mutex);
	return full;
}

static int visit(json_t *event, void *context)
{
	if (strcmp(json_member_text(event, "type"), "response") || !is_wanted(event))
		return 0;
	pthread_mutex_lock(&times.mutex);
	if (times.count[times.phase] < TRIAL_TIMES_MAX)
		times.us[times.phase][times.count[times.phase]++] = duration_us(event);
	pthread_mutex_unlock(&times.mutex);
	return is_full() ? ENOUGH : 0;
}

static void *listen_to_responses(void *context)
{
	struct fault ignored;

	for (;;) {
		json_t *request = json_pack("{ss s[s] sI}", "op", "events", "types", "response", "port",
					    (json_int_t)times.of.port);

		if (client_list(times.of.control, request, visit, NULL, &ignored) < 0)
			return NULL;
		while (is_full())
			nanosleep(&(struct timespec){ .tv_nsec = 50000000 }, NULL);
	}
}

bool trial_times_start(const struct trial_times_of *of)
{
	sigset_t all, before;
	pthread_t thread;
	bool started;

	times.of = *of;
	/* Ctrl-C is the main thread's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	started = !pthread_create(&thread, NULL, listen_to_responses, NULL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (started)
		pthread_detach(thread);
	return started;
}

void trial_times_enter(enum trial_times_phase phase)
{
	pthread_mutex_lock(&times.mutex);
	times.phase = phase;
	pthread_mutex_unlock(&times.mutex);
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

bool trial_times_read(enum trial_times_phase phase, struct trial_times_result *result)
{
	double *us = times.us[phase];
	size_t count;

	pthread_mutex_lock(&times.mutex);
	count = times.count[phase];
	times.count[phase] = TRIAL_TIMES_MAX;
	pthread_mutex_unlock(&times.mutex);
	*result = (struct trial_times_result){ .count = count };
	if (count < TRIAL_TIMES_MIN)
		return false;
	qsort(us, count, sizeof(*us), by_value);
	result->p50_us = us[(count - 1) / 2];
	result->p99_us = us[(count - 1) * 99 / 100];
	return true;
}
