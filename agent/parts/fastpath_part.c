/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "parts/fastpath_part.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fastpath-client/fastpath_json.h"
#include "fastpath-client/fastpath_plan.h"
#include "fastpath-client/fastpath_stats.h"
#include "lib/clock.h"
#include "lib/json.h"
#include "lib/log.h"

#define DELAY_MAX_S 30u
#define STEADY_S 60  /* one that ran this long did not fail at once: the next delay is short again */
#define STOP_MS 5000 /* to end after SIGTERM */

struct fastpath_part {
	struct daemon *daemon;
	char program[PATH_MAX], run_dir[PATH_MAX], stats[PATH_MAX];
	char **wanted, **running; /* commands, NULL = none */
	pid_t pid;		  /* 0 = none runs */
	int pidfd;
	time_t since;
	unsigned int failures; /* in a row */
	uint64_t restarts;
	sd_event_source *exit, *timer;
	char error[512]; /* why none runs; "" if one does or none is wanted */
};

/* Beside the agent's own program, wherever that was installed or built. */
static bool find_program(char *path, size_t size)
{
	ssize_t length = readlink("/proc/self/exe", path, size - 1);
	char *slash;

	if (length < 0)
		return false;
	path[length] = 0;
	slash = strrchr(path, '/');
	return slash &&
	       (size_t)snprintf(slash + 1, size - (slash + 1 - path), "autocork-fastpath") < size - (slash + 1 - path);
}

static void start(struct fastpath_part *part);

static int on_timer(sd_event_source *source, uint64_t now, void *context)
{
	start(context);
	return 0;
}

static void start_later(struct fastpath_part *part, uint64_t seconds)
{
	part->timer = sd_event_source_disable_unref(part->timer);
	if (sd_event_add_time_relative(part->daemon->loop, &part->timer, CLOCK_MONOTONIC, seconds * 1000000, 10000,
				       on_timer, part) < 0)
		log_error("autocork-fastpath: no timer: it stays down until the next reload");
}

static void failed(struct fastpath_part *part, const char *why)
{
	unsigned int delay = part->failures < 5 ? 1u << part->failures : DELAY_MAX_S;

	snprintf(part->error, sizeof(part->error), "%s", why);
	log_warning("autocork-fastpath: %s: again in %u s", why, delay);
	part->failures++;
	start_later(part, delay);
}

static void forget(struct fastpath_part *part)
{
	part->exit = sd_event_source_disable_unref(part->exit);
	if (part->pidfd >= 0)
		close(part->pidfd);
	part->pidfd = -1;
	part->pid = 0;
	fastpath_plan_free(part->running);
	part->running = NULL;
}

/* It ended. */
static int on_exit_of(sd_event_source *source, int fd, uint32_t events, void *context)
{
	struct fastpath_part *part = context;
	bool asked = !fastpath_plan_equal(part->running, part->wanted);
	char why[96] = "ended";
	int status;

	/* One that was taken over is no child of ours. */
	if (waitpid(part->pid, &status, WNOHANG) == part->pid)
		snprintf(why, sizeof(why), WIFSIGNALED(status) ? "was killed by signal %d" : "ended with status %d",
			 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	forget(part);
	if (monotonic_seconds() - part->since >= STEADY_S)
		part->failures = 0;
	if (asked)
		start(part);
	else
		failed(part, why);
	return 0;
}

/* Takes care of a process from now on. False if it is gone already. */
static bool watch(struct fastpath_part *part, pid_t pid, char **command)
{
	part->pidfd = pidfd_open(pid, 0);
	if (part->pidfd < 0 ||
	    sd_event_add_io(part->daemon->loop, &part->exit, part->pidfd, EPOLLIN, on_exit_of, part) < 0) {
		forget(part);
		return false;
	}
	part->pid = pid;
	part->since = monotonic_seconds();
	part->running = command;
	part->error[0] = 0;
	return true;
}

/* The command line of a process, as a command. */
static char **command_of(pid_t pid)
{
	char path[64], text[8192], **words = calloc(64, sizeof(*words));
	ssize_t length;
	int fd, count = 0;

	snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	length = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
	if (fd >= 0)
		close(fd);
	if (length < 0)
		length = 0;
	text[length] = 0;
	for (char *word = text; words && word < text + length && count < 63; word += strlen(word) + 1)
		words[count++] = strdup(word);
	return words;
}

/* One may run that an agent before us, killed, has left: true if it does and is ours now, or ends now. */
static bool take_over(struct fastpath_part *part)
{
	struct fault fault;
	bool alive;
	struct fastpath_file *file = fastpath_stats_read(part->stats, &alive, &fault);
	pid_t pid = file ? (pid_t)file->pid : 0;
	char **command;

	free(file);
	if (!pid || !alive)
		return false;
	command = command_of(pid);
	if (!watch(part, pid, command)) {
		fastpath_plan_free(command);
		return false;
	}
	if (fastpath_plan_equal(command, part->wanted)) {
		log_info("autocork-fastpath: took over process %d", (int)pid);
		return true;
	}
	/* Its exit starts the right one. */
	pidfd_send_signal(part->pidfd, SIGTERM, NULL, 0);
	return true;
}

static bool spawn(char **command, pid_t *pid, int *err)
{
	posix_spawnattr_t attributes;
	sigset_t none, all;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawnattr_init(&attributes);
	/* The agent takes its signals from a descriptor and has them blocked. */
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setsigdefault(&attributes, &all);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	*err = posix_spawn(pid, command[0], NULL, &attributes, command, environ);
	posix_spawnattr_destroy(&attributes);
	return !*err;
}

static void start(struct fastpath_part *part)
{
	char why[512];
	char **command;
	struct fault fault;
	pid_t pid;
	int err;

	part->timer = sd_event_source_disable_unref(part->timer);
	if (part->pid || !part->wanted || take_over(part))
		return;
	if (fastpath_plan(part->daemon->policy, part->program, part->run_dir, &command, &fault) || !command)
		return;
	if (!spawn(command, &pid, &err)) {
		fastpath_plan_free(command);
		snprintf(why, sizeof(why), "%.200s: %s", part->program,
			 err == ENOENT ? "not installed, it is built where DPDK's development files are" :
					 strerror(err));
		failed(part, why);
		return;
	}
	if (!watch(part, pid, command)) {
		fastpath_plan_free(command);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		failed(part, "cannot be watched");
		return;
	}
	part->restarts++;
	log_info("autocork-fastpath: started as process %d", (int)pid);
}

/* Works out what is wanted, and makes it so. */
static void apply(struct fastpath_part *part)
{
	struct fault fault;
	char **wanted;

	if (fastpath_plan(part->daemon->policy, part->program, part->run_dir, &wanted, &fault)) {
		log_error("%s", fault.text);
		snprintf(part->error, sizeof(part->error), "%s", fault.text);
		wanted = NULL;
	} else {
		part->error[0] = 0;
	}
	fastpath_plan_free(part->wanted);
	part->wanted = wanted;
	part->failures = 0;
	if (part->pid && !fastpath_plan_equal(part->running, part->wanted))
		pidfd_send_signal(part->pidfd, SIGTERM, NULL, 0);
	else
		start(part);
}

int fastpath_part_start(struct daemon *daemon, void **data, struct fault *fault)
{
	struct fastpath_part *part = calloc(1, sizeof(*part));

	if (!part)
		return fault_set(fault, EXIT_FAILED, "fast path: out of memory");
	part->daemon = daemon;
	part->pidfd = -1;
	/* Beside the control socket: a second agent with a socket of its own has counters of its own. */
	if (!find_program(part->program, sizeof(part->program)) ||
	    !fastpath_stats_beside(daemon->options.control, part->run_dir, sizeof(part->run_dir)) ||
	    !fastpath_stats_path(part->run_dir, FASTPATH_AGENT_NAME, part->stats, sizeof(part->stats))) {
		free(part);
		return fault_set(fault, EXIT_FAILED, "fast path: a path is too long: install to a shorter one");
	}
	apply(part);
	*data = part;
	return 0;
}

void fastpath_part_stop(void *data)
{
	struct fastpath_part *part = data;
	struct pollfd end = { .fd = part->pidfd, .events = POLLIN };

	if (part->pid) {
		pidfd_send_signal(part->pidfd, SIGTERM, NULL, 0);
		if (poll(&end, 1, STOP_MS) < 1) {
			log_warning("autocork-fastpath: process %d does not end: killed", (int)part->pid);
			pidfd_send_signal(part->pidfd, SIGKILL, NULL, 0);
			poll(&end, 1, STOP_MS);
		}
		waitpid(part->pid, NULL, WNOHANG);
	}
	forget(part);
	sd_event_source_disable_unref(part->timer);
	fastpath_plan_free(part->wanted);
	free(part);
}

void fastpath_part_reloaded(struct daemon *daemon, void *data)
{
	if (daemon->reload.ok)
		apply(data);
}

void fastpath_part_status(struct daemon *daemon, void *data, json_t *status)
{
	const struct fastpath_part *part = data;
	json_t *all = fastpath_json(part->run_dir);

	json_object_set_new(all, "wanted", json_boolean(part->wanted != NULL));
	json_object_set_new(all, "pid", json_integer(part->pid));
	json_object_set_new(all, "restarts", json_integer(part->restarts > 1 ? part->restarts - 1 : 0));
	json_object_set_new(all, "error", json_text_or_null(part->error));
	json_object_set_new(status, "fastpath", all);
}

const char *fastpath_part_unmet(const struct daemon *daemon, const void *data)
{
	static char why[sizeof(((struct fastpath_part *)0)->error) + 64];
	const struct fastpath_part *part = data;

	if (!part->wanted || part->pid)
		return NULL;
	snprintf(why, sizeof(why), "autocork-fastpath: %s", *part->error ? part->error : "it is being started");
	return why;
}
