/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The agent's life: start, loop, reload, stop. */
#include "daemon/daemon.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#include "daemon/limits.h"
#include "daemon/machine.h"
#include "daemon/privileges.h"
#include "daemon/report.h"
#include "daemon/seccomp.h"
#include "lib/clock.h"
#include "lib/log.h"

#define BEAT_US (ENGINE_BEAT_MS * 1000ull)
#define BEAT_ACCURACY_US 10000 /* sd-event's own default is 250 ms, a whole beat */

/*
 * Each turn of the loop serves one source, of those that wait the most urgent; what only reports (clients, pages) has
 * sd-event's normal priority, which is behind all of these.
 */
enum { PRIORITY_SIGNALS = -300, PRIORITY_BEAT = -200, PRIORITY_ENGINE = SD_EVENT_PRIORITY_IMPORTANT };

/* What `systemctl status` shows. */
static void notify_ready(const struct daemon *daemon)
{
	sd_notifyf(0, "READY=1\nSTATUS=mode %s, %zu policies%s%s", report_daemon_mode(daemon),
		   daemon->policy->policy_count - 1,
		   daemon->reload.ok ? "" : "; last reload refused: ", daemon->reload.error);
}

const char *const *daemon_policy_dirs(const struct daemon *daemon)
{
	return *daemon->options.policy_dirs ? daemon->options.policy_dirs : policy_default_dirs;
}

static int read_policies(struct daemon *daemon, struct policy_set **set, struct fault *fault)
{
	const char *const *dirs = daemon->options.policy_dirs;

	/* What changes between the two is noticed later (agent/parts/files_part.c). */
	daemon->reload.fingerprint = policy_fingerprint(daemon_policy_dirs(daemon));
	return policy_load(set, *dirs ? dirs : NULL, NULL, fault);
}

#define OVERLAY_NAME "(on trial)"

void daemon_stay_alive(struct daemon *daemon)
{
	if (daemon->engine) /* parts are also tried without one (tests/net/steer_agent.c) */
		engine_stay_alive(daemon->engine);
	sd_notify(0, "WATCHDOG=1");
}

static int apply(struct daemon *daemon, const struct policy_set *set, struct fault *fault)
{
	/* Reading thousands of files takes a while, and so does applying them. */
	daemon_stay_alive(daemon);
	return engine_apply(daemon->engine, set, fault);
}

static void forget_overlay(struct daemon *daemon)
{
	free(daemon->overlay);
	daemon->overlay = NULL;
}

/* Puts what the files say in force, beneath a policy on trial if there is one, or frees it. */
static int replace(struct daemon *daemon, struct policy_set *set, struct fault *fault)
{
	struct policy_set *over = NULL;

	if (daemon->overlay && policy_load_over(&over, set, OVERLAY_NAME, daemon->overlay, fault)) {
		log_warning("the policy on trial does not go with the new ones, it is taken back: %s", fault->text);
		forget_overlay(daemon);
	}
	if (apply(daemon, over ?: set, fault)) {
		policy_set_free(over);
		policy_set_free(set);
		return -1;
	}
	policy_set_free(daemon->policy);
	policy_set_free(daemon->beneath);
	daemon->policy = over ?: set;
	daemon->beneath = over ? set : NULL;
	return 0;
}

static int overlay_add(struct daemon *daemon, const char *text, struct fault *fault)
{
	struct policy_set *over;
	char *copy = strdup(text);

	if (!copy)
		return fault_set(fault, EXIT_FAILED, "trial: out of memory");
	if (policy_load_over(&over, daemon->policy, OVERLAY_NAME, text, fault)) {
		free(copy);
		return -1;
	}
	if (apply(daemon, over, fault)) {
		policy_set_free(over);
		free(copy);
		return -1;
	}
	daemon->beneath = daemon->policy;
	daemon->policy = over;
	daemon->overlay = copy;
	return 0;
}

/* Compiles again what a set was made from, and puts it in force. */
static int take_anew(struct daemon *daemon, const struct policy_set *from, struct fault *fault)
{
	struct policy_set *set;

	if (policy_load_over(&set, from, NULL, NULL, fault))
		return -1;
	if (apply(daemon, set, fault)) {
		policy_set_free(set);
		return -1;
	}
	policy_set_free(daemon->policy);
	daemon->policy = set;
	return 0;
}

int daemon_expand(struct daemon *daemon, struct fault *fault)
{
	if (take_anew(daemon, daemon->policy, fault))
		return -1;
	daemon_parts_reloaded(daemon);
	return 0;
}

static int overlay_remove(struct daemon *daemon, struct fault *fault)
{
	if (!daemon->beneath)
		return 0;
	/* Control groups may have come or gone meanwhile. */
	if (take_anew(daemon, daemon->beneath, fault))
		return -1;
	policy_set_free(daemon->beneath);
	daemon->beneath = NULL;
	forget_overlay(daemon);
	return 0;
}

int daemon_overlay(struct daemon *daemon, const char *text, struct fault *fault)
{
	int result = text ? overlay_add(daemon, text, fault) : overlay_remove(daemon, fault);

	if (!result)
		daemon_parts_reloaded(daemon);
	return result;
}

static void record(struct reload_state *reload, int result, const struct fault *fault)
{
	reload->at = time(NULL);
	reload->ok = !result;
	reload->good += !result;
	reload->bad += !!result;
	snprintf(reload->error, sizeof(reload->error), "%s", result ? fault->text : "");
}

int daemon_reload(struct daemon *daemon, struct fault *fault)
{
	struct policy_set *set;
	int result;

	/* systemd 253 and later wait for this pair (Type=notify-reload); earlier ones show it. */
	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu", (unsigned long long)monotonic_us());
	result = read_policies(daemon, &set, fault) || replace(daemon, set, fault) ? -1 : 0;
	record(&daemon->reload, result, fault);
	if (result)
		log_error("reload refused, the policies in force stay: %s", fault->text);
	else
		log_info("reloaded: policies %zu, files %zu", daemon->policy->policy_count - 1,
			 daemon->policy->file_count);
	daemon_parts_reloaded(daemon);
	notify_ready(daemon);
	return result;
}

static int on_hangup(sd_event_source *source, const struct signalfd_siginfo *info, void *data)
{
	struct fault fault;

	daemon_reload(data, &fault);
	return 0;
}

static int on_end(sd_event_source *source, const struct signalfd_siginfo *info, void *data)
{
	struct daemon *daemon = data;

	log_info("%s: giving every flow back", strsignal(info->ssi_signo));
	return sd_event_exit(daemon->loop, 0);
}

static int on_beat(sd_event_source *source, uint64_t usec, void *data)
{
	struct daemon *daemon = data;

	engine_beat(daemon->engine);
	sd_event_source_set_time_relative(source, BEAT_US);
	return 0;
}

static int on_engine(sd_event_source *source, int fd, uint32_t events, void *data)
{
	struct daemon *daemon = data;

	engine_dispatch(daemon->engine);
	return 0;
}

static int add_timer(struct daemon *daemon, uint64_t period_us, uint64_t accuracy_us, int64_t priority,
		     sd_event_time_handler_t handler)
{
	sd_event_source *source;
	int error = sd_event_add_time_relative(daemon->loop, &source, CLOCK_MONOTONIC, period_us, accuracy_us, handler,
					       daemon);

	if (error < 0)
		return error;
	sd_event_source_set_priority(source, priority);
	sd_event_source_set_enabled(source, SD_EVENT_ON);
	error = sd_event_source_set_floating(source, true);
	sd_event_source_unref(source);
	return error;
}

static int add_signal(struct daemon *daemon, int signal, int64_t priority, sd_event_signal_handler_t handler)
{
	sd_event_source *source;
	int error = sd_event_add_signal(daemon->loop, &source, signal, handler, daemon);

	if (error < 0)
		return error;
	sd_event_source_set_priority(source, priority);
	error = sd_event_source_set_floating(source, true);
	sd_event_source_unref(source);
	return error;
}

static int build_loop(struct daemon *daemon, struct fault *fault)
{
	sd_event *loop = daemon->loop;
	sd_event_source *engine = NULL;
	bool failed;
	int error;

	failed = (error = add_signal(daemon, SIGTERM, PRIORITY_SIGNALS, on_end)) < 0 ||
		 (error = add_signal(daemon, SIGINT, PRIORITY_SIGNALS, on_end)) < 0 ||
		 (error = add_signal(daemon, SIGHUP, PRIORITY_ENGINE, on_hangup)) < 0 ||
		 (error = sd_event_add_io(loop, &engine, engine_fd(daemon->engine), EPOLLIN, on_engine, daemon)) < 0 ||
		 (error = sd_event_source_set_priority(engine, PRIORITY_ENGINE)) < 0 ||
		 (error = sd_event_source_set_floating(engine, true)) < 0 ||
		 (error = add_timer(daemon, BEAT_US, BEAT_ACCURACY_US, PRIORITY_BEAT, on_beat)) < 0 ||
		 (error = sd_event_set_watchdog(loop, true)) < 0;
	sd_event_source_unref(engine);
	if (failed)
		return fault_set(fault, EXIT_FAILED, "event loop: %s", strerror(-error));
	return 0;
}

static int start(struct daemon *daemon, struct fault *fault)
{
	const struct daemon_options *options = &daemon->options;
	int error = sd_event_new(&daemon->loop);
	struct policy_set *set;
	bool few;

	if (error < 0)
		return fault_set(fault, EXIT_FAILED, "event loop: %s", strerror(-error));
	if (limits_raise(&few, fault))
		return -1;
	if (few)
		daemon->options.engine.few_descriptors = daemon->options.engine.without_wrappers = true;
	/* A second agent, and one with invalid policies, must find out before it touches the kernel. */
	if (privileges_check(fault) || seccomp_confine(fault) ||
	    control_start(&daemon->control, daemon->loop, options->control, daemon_ops, daemon_op_count, daemon,
			  fault) ||
	    machine_take(&daemon->machine, fault) || read_policies(daemon, &set, fault))
		return -1;
	if (engine_start(&daemon->engine, &options->engine, fault)) {
		policy_set_free(set);
		return -1;
	}
	if (replace(daemon, set, fault))
		return -1;
	record(&daemon->reload, 0, fault);
	if (daemon_parts_start(daemon, fault) || build_loop(daemon, fault))
		return -1;
	return privileges_drop(fault);
}

static void stop(struct daemon *daemon)
{
	daemon_parts_stop(daemon);
	engine_stop(daemon->engine);
	machine_release(&daemon->machine);
	control_stop(daemon->control);
	policy_set_free(daemon->policy);
	policy_set_free(daemon->beneath);
	free(daemon->overlay);
	sd_event_unref(daemon->loop);
}

/* The loop reads these; until it runs they wait, so that no start is left half done. */
static void block_signals(void)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	signal(SIGPIPE, SIG_IGN);
}

int daemon_run(const struct daemon_options *options, struct fault *fault)
{
	struct daemon daemon = { .options = *options,
				 .machine = { .lock = -1, .claim = -1 },
				 .started = time(NULL),
				 .started_us = monotonic_us() };
	int result;

	block_signals();
	result = start(&daemon, fault);
	if (!result) {
		report_log(&daemon);
		notify_ready(&daemon);
		result = sd_event_loop(daemon.loop);
		if (result)
			fault_set(fault, EXIT_FAILED, "event loop: %s", strerror(-result));
	}
	sd_notify(0, "STOPPING=1");
	stop(&daemon);
	return result ? -1 : 0;
}
