/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The agent's steering and endpoint parts without the rest of the agent, for tests: reads the policy directory named,
 * steers, reads it again on SIGHUP, and prints the endpoint's status on SIGUSR1. What is global to the kernel
 * (congestion controls) stays out of it, so that many can run.
 */
#include <err.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <systemd/sd-event.h>

#include "lib/log.h"
#include "policy/set.h"
#include "parts/endpoint_part.h"
#include "parts/steer_part.h"

static void *part, *endpoint;

static int load(struct daemon *daemon)
{
	const char *const dirs[] = { daemon->options.policy_dirs[0], NULL };
	struct policy_set *set;
	struct fault fault;

	daemon->reload.ok = !policy_load(&set, dirs, NULL, &fault);
	if (!daemon->reload.ok) {
		log_error("%s", fault.text);
		return -1;
	}
	policy_set_free(daemon->policy);
	daemon->policy = set;
	return 0;
}

static int on_hangup(sd_event_source *source, const struct signalfd_siginfo *info, void *context)
{
	struct daemon *daemon = context;

	load(daemon);
	steer_part_reloaded(daemon, part);
	endpoint_part_reloaded(daemon, endpoint);
	puts(daemon->reload.ok ? "reloaded" : "kept");
	fflush(stdout);
	return 0;
}

static int on_question(sd_event_source *source, const struct signalfd_siginfo *info, void *context)
{
	json_t *status = json_object();
	char *text;

	endpoint_part_status(context, endpoint, status);
	text = json_dumps(status, JSON_COMPACT);
	puts(text);
	fflush(stdout);
	free(text);
	json_decref(status);
	return 0;
}

int main(int argc, char **argv)
{
	struct daemon daemon = { .options.policy_dirs[0] = argv[1] };
	struct fault fault;
	sigset_t signals;

	if (argc != 2)
		errx(2, "usage: steer_agent DIRECTORY");
	sigemptyset(&signals);
	sigaddset(&signals, SIGHUP);
	sigaddset(&signals, SIGUSR1);
	sigaddset(&signals, SIGTERM);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	if (sd_event_default(&daemon.loop) < 0 ||
	    sd_event_add_signal(daemon.loop, NULL, SIGHUP, on_hangup, &daemon) < 0 ||
	    sd_event_add_signal(daemon.loop, NULL, SIGUSR1, on_question, &daemon) < 0 ||
	    sd_event_add_signal(daemon.loop, NULL, SIGTERM, NULL, NULL) < 0)
		errx(1, "event loop");
	if (load(&daemon) || steer_part_start(&daemon, &part, &fault) ||
	    endpoint_part_start(&daemon, &endpoint, &fault))
		return 1;
	puts("ready");
	fflush(stdout);
	sd_event_loop(daemon.loop);
	endpoint_part_stop(endpoint);
	steer_part_stop(part);
	policy_set_free(daemon.policy);
	sd_event_unref(daemon.loop);
	return 0;
}
