/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "engine/releaser.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "lib/process.h"
#include "release/release.h"

/* On a host that is busy while it boots: who is not ready by then leaves the agent observing until its next start. */
#define START_MS 20000
/* Who keeps a lock for longer does it on purpose, or is stopped; a busy machine keeps programs from running for
 * less. */
#define FORGIVE_US 2000000

static const char without[] = "nothing is managed, only observed: nothing could end a wrong hold";

/* The kernel's number for a namespace that was there from its start (include/linux/proc_ns.h, PROC_PID_INIT_INO). */
#define INITIAL_PID_NAMESPACE 0xEFFFFFFCu

static bool sees_all_processes(void)
{
	struct stat own;

	return !stat("/proc/self/ns/pid", &own) && own.st_ino == INITIAL_PID_NAMESPACE;
}

/*
 * A descriptor that is taken gets the taker's class in a net_cls or net_prio hierarchy (sock_update_classid(),
 * net/core/sock.c): the administrator's marks would go.
 */
static bool has_net_classes(void)
{
	FILE *file = fopen("/proc/cgroups", "re");
	char line[128], name[64];
	unsigned int hierarchy;
	bool found = false;

	while (file && fgets(line, sizeof(line), file))
		found |= sscanf(line, "%63s %u", name, &hierarchy) == 2 && hierarchy &&
			 (!strcmp(name, "net_cls") || !strcmp(name, "net_prio"));
	if (file)
		fclose(file);
	return found;
}

/* Two at least, or nobody would do anything while one waits. */
static size_t workers_wanted(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	return cpus < 2 ? 2 : cpus > AC_RELEASE_WORKERS ? AC_RELEASE_WORKERS : cpus;
}

static int spawn(struct releaser *releaser, size_t place, int report)
{
	const int given[] = { releaser->dues, releaser->owners_map, releaser->state_map, releaser->find, report };
	char sample[16], count[24], which[24], workers[24]; /* an int, the rest as wide as size_t */
	const char *const arguments[] = { sample, count, which, workers, NULL };
	pid_t *pid = &releaser->worker[place].pid;
	/* In real time from its first instruction on: on a busy machine it would else take long to start. */
	const struct sched_param priority = { .sched_priority = sched_get_priority_min(SCHED_FIFO) };
	const short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP;
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	int high[AC_ARRAY_SIZE(given)], err = 0;
	sigset_t none;

	snprintf(sample, sizeof(sample), "%d", releaser->dues);
	snprintf(count, sizeof(count), "%zu", releaser->owner_count);
	snprintf(which, sizeof(which), "%zu", place);
	snprintf(workers, sizeof(workers), "%zu", workers_wanted());
	sigemptyset(&none);
	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attributes);
	/* A group of its own: Ctrl-C is for the agent, which still needs it to give flows back. */
	posix_spawnattr_setsigmask(&attributes, &none);
	for (size_t i = 0; i < AC_ARRAY_SIZE(given); i++) {
		/* Above the numbers that they get, or one would be put over another. */
		high[i] = fcntl(given[i], F_DUPFD_CLOEXEC, RELEASE_FD_END);
		if (high[i] < 0)
			err = errno;
		else
			posix_spawn_file_actions_adddup2(&actions, high[i], RELEASE_DUES + i);
	}
	posix_spawnattr_setschedpolicy(&attributes, SCHED_FIFO);
	posix_spawnattr_setschedparam(&attributes, &priority);
	posix_spawnattr_setflags(&attributes, flags | POSIX_SPAWN_SETSCHEDULER);
	if (!err)
		err = release_spawn(pid, &actions, &attributes, arguments);
	if (err == EPERM) {
		posix_spawnattr_setflags(&attributes, flags);
		err = release_spawn(pid, &actions, &attributes, arguments);
	}
	for (size_t i = 0; i < AC_ARRAY_SIZE(given); i++)
		if (high[i] >= 0)
			close(high[i]);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	if (err)
		*pid = 0;
	return err;
}

/* Starts one. With `report` waits for what it tells, for a while. Returns 0 or a number as in errno. */
static int start(struct releaser *releaser, size_t place, struct release_report *report)
{
	struct pollfd poll_pipe = { .events = POLLIN };
	int ends[2], err;

	if (pipe2(ends, O_CLOEXEC))
		return errno;
	err = spawn(releaser, place, ends[1]);
	close(ends[1]);
	poll_pipe.fd = ends[0];
	if (!err && report &&
	    (poll(&poll_pipe, 1, START_MS) != 1 || read(ends[0], report, sizeof(*report)) != sizeof(*report)))
		err = ECHILD;
	close(ends[0]);
	return err;
}

static void end(struct releaser_worker *worker)
{
	if (!worker->pid)
		return;
	kill(worker->pid, SIGKILL);
	waitpid(worker->pid, NULL, 0);
	worker->pid = 0;
}

/* Starts the next one in the agent's loop: nobody waits for it. */
static void start_next(struct releaser *releaser, size_t place)
{
	struct releaser_worker *worker = &releaser->worker[place];
	int was = worker->error;

	worker->killed = false;
	__atomic_store_n(&releaser->state->worker[place].pid, 0, __ATOMIC_RELEASE);
	worker->error = start(releaser, place, NULL);
	if (worker->error && worker->error != was)
		log_error("release process: cannot be started: %s: the others do its work, or nothing is held",
			  strerror(worker->error));
}

/* May anything be held? Not if locks keep so many of them that nobody can take the next one's place. */
static void tell(const struct releaser *releaser)
{
	bool some = false, killed = false;

	for (size_t i = 0; i < releaser->workers; i++) {
		some |= releaser->worker[i].pid && !releaser->worker[i].killed;
		killed |= releaser->worker[i].killed;
	}
	__atomic_store_n(&releaser->control->releases, some && !killed, __ATOMIC_RELEASE);
}

static const char *why_not(const struct release_report *report, int err, const char **mend)
{
	*mend = "run `autocorkd --log-level debug` and see what it says";
	if (err)
		return "it does not start";
	if (!report->capable) {
		*mend = "give autocorkd's service CAP_SYS_PTRACE";
		return "CAP_SYS_PTRACE is missing";
	}
	if (report->takes) {
		*mend = "set kernel.yama.ptrace_scope to 2 or less (3 lasts until the next boot), or let the security module allow ptrace";
		return "descriptors of other processes cannot be taken";
	}
	if (report->finds) {
		*mend = "a kernel from 6.1 on";
		return "descriptors cannot be found";
	}
	return NULL;
}

bool releaser_start(struct releaser *releaser, const struct shared_maps *shared, int find, struct ac_control *control,
		    size_t owners, struct features *features)
{
	struct release_report report = {};
	const char *reason = NULL, *mend = "";
	int err;

	*releaser = (struct releaser){
		.dues = objects_map(shared, "dues"),
		.owners_map = objects_map(shared, "owners"),
		.state_map = objects_map(shared, "releaser"),
		.avoided = objects_map(shared, "avoided"),
		.find = find,
		.control = control,
		.owner_count = owners,
	};
	releaser->state = mmap(NULL, sysconf(_SC_PAGESIZE), PROT_READ | PROT_WRITE, MAP_SHARED, releaser->state_map, 0);
	releaser->owners = mmap(NULL, owners * sizeof(struct ac_owner), PROT_READ | PROT_WRITE, MAP_SHARED,
				releaser->owners_map, 0);
	control->agent = getpid();
	if (releaser->state == MAP_FAILED || releaser->owners == MAP_FAILED) {
		reason = "no memory";
	} else if (!sees_all_processes()) {
		reason = "the agent is in a PID namespace of its own";
		mend = "run it in the host's: docker run --pid=host, hostPID: true";
	} else if (has_net_classes()) {
		reason = "a net_cls or net_prio hierarchy is mounted, whose marks a taken descriptor would lose";
		mend = "use cgroup v2, and nftables or tc to mark by its groups";
	} else {
		err = start(releaser, 0, &report);
		reason = why_not(&report, err, &mend);
		err = err ? err : report.takes ? report.takes : report.finds;
		if (reason)
			end(&releaser->worker[0]);
		if (reason && err) {
			features_note(features, "release", false, without, mend, "%s: %s", reason, strerror(err));
			return false;
		}
	}
	if (reason) {
		features_note(features, "release", false, without, mend, "%s", reason);
		return false;
	}
	releaser->workers = workers_wanted();
	for (size_t i = 1; i < releaser->workers; i++)
		start_next(releaser, i);
	features_note(features, "release", true, "", "", "by descriptors of the programs' own, %zu processes",
		      releaser->workers);
	features_note(
		features, "release in time", !report.realtime && !report.locked,
		"on a busy machine a wrong hold lasts some milliseconds longer, counted in autocork_holds_late_total",
		"CAP_SYS_NICE and CAP_IPC_LOCK, and RestrictRealtime=no in a unit", "%s%s%s",
		report.realtime ? "no real-time scheduling: " :
		report.locked	? "memory cannot be locked: " :
				  "SCHED_FIFO 1, memory locked",
		report.realtime || report.locked ? strerror(report.realtime ? report.realtime : report.locked) : "",
		"");
	tell(releaser);
	return true;
}

/* Does another one still wait for a lock of this control group? */
static bool waits_for(const struct releaser *releaser, uint64_t cgroup)
{
	for (size_t i = 0; i < RELEASER_STUCK_MAX; i++)
		if (releaser->stuck[i].pid && releaser->stuck[i].number && releaser->stuck[i].cgroup == cgroup)
			return true;
	return false;
}

/* The lock is free: whoever kept it for a moment only is managed again. */
static void forgive(struct releaser *releaser, const struct releaser_stuck *was)
{
	struct ac_owner *owner = &releaser->owners[was->number];
	struct ac_avoided avoided;

	if (owner->cookie == was->cookie && owner->reach == AC_REACH_LOCKED)
		owner->reach = AC_REACH_UNKNOWN;
	if (monotonic_us() - was->since_us > FORGIVE_US || waits_for(releaser, was->cgroup) ||
	    bpf_map_lookup_elem(releaser->avoided, &was->cgroup, &avoided) || avoided.times >= AC_AVOID_TIMES)
		return;
	avoided.now = 0;
	bpf_map_update_elem(releaser->avoided, &was->cgroup, &avoided, BPF_EXIST);
	releaser->forgave = true;
	log_info("control group %llu: its socket's lock is free again: its flows are managed as before",
		 (unsigned long long)was->cgroup);
}

static void reap(struct releaser *releaser)
{
	for (size_t i = 0; i < RELEASER_STUCK_MAX; i++) {
		struct releaser_stuck was = releaser->stuck[i];

		if (!was.pid || !waitpid(was.pid, NULL, WNOHANG))
			continue;
		releaser->stuck[i].pid = 0;
		if (was.number)
			forgive(releaser, &was);
	}
}

/*
 * Forgets the control group that kept a lock longest ago, but for those that are waited for: it may be gone, and one
 * that does so again is avoided again.
 */
static void forget_oldest(const struct releaser *releaser)
{
	uint64_t *before = NULL, cgroup, oldest = 0, oldest_us = UINT64_MAX;
	struct ac_avoided avoided;

	for (; !bpf_map_get_next_key(releaser->avoided, before, &cgroup); before = &cgroup) {
		if (waits_for(releaser, cgroup) || bpf_map_lookup_elem(releaser->avoided, &cgroup, &avoided) ||
		    avoided.since_us >= oldest_us)
			continue;
		oldest = cgroup;
		oldest_us = avoided.since_us;
	}
	if (oldest)
		bpf_map_delete_elem(releaser->avoided, &oldest);
}

/* Nothing of the control group is managed from now on. */
static void avoid(struct releaser *releaser, struct releaser_stuck *stuck, uint32_t number)
{
	struct ac_owner *owner = &releaser->owners[number];
	struct ac_avoided avoided = {};

	stuck->number = number;
	stuck->cookie = owner->cookie;
	stuck->cgroup = owner->cgroup;
	owner->reach = AC_REACH_LOCKED;
	if (bpf_map_lookup_elem(releaser->avoided, &stuck->cgroup, &avoided))
		__atomic_fetch_add(&releaser->control->avoids, 1, __ATOMIC_RELEASE);
	avoided.now = 1;
	avoided.times++;
	avoided.since_us = stuck->since_us;
	if (bpf_map_update_elem(releaser->avoided, &stuck->cgroup, &avoided, BPF_ANY)) {
		forget_oldest(releaser);
		bpf_map_update_elem(releaser->avoided, &stuck->cgroup, &avoided, BPF_ANY);
	}
	log_warning("control group %llu: a program keeps its socket locked: its flows are not managed (lock_held)",
		    (unsigned long long)stuck->cgroup);
}

static bool leave_behind(struct releaser *releaser, const struct releaser_stuck *stuck)
{
	for (size_t i = 0; i < RELEASER_STUCK_MAX; i++)
		if (!releaser->stuck[i].pid) {
			releaser->stuck[i] = *stuck;
			return true;
		}
	return false;
}

/* One that does not answer, in that state (process_state()), makes room for another. */
static void replace(struct releaser *releaser, size_t place, char state)
{
	struct ac_release_worker *shared = &releaser->state->worker[place];
	struct releaser_worker *worker = &releaser->worker[place];
	struct releaser_stuck stuck = { .pid = worker->pid, .since_us = monotonic_us() };
	uint32_t number = shared->due.number;

	kill(worker->pid, SIGKILL);
	/* Not interruptible, in a socket's lock. */
	if (state == 'D' && __atomic_load_n(&shared->since_us, __ATOMIC_ACQUIRE) && number < releaser->owner_count)
		avoid(releaser, &stuck, number);
	if (leave_behind(releaser, &stuck)) {
		log_info("release process: did not answer: another one is started");
		start_next(releaser, place);
		return;
	}
	log_error("release process: %d of them wait for locks that programs keep: nothing is held until one is free",
		  RELEASER_STUCK_MAX);
	worker->killed = true;
}

static void look_at_stuck(struct releaser *releaser, size_t place)
{
	const struct ac_release_worker *shared = &releaser->state->worker[place];
	const struct releaser_worker *worker = &releaser->worker[place];
	uint32_t since_us = __atomic_load_n(&shared->since_us, __ATOMIC_ACQUIRE);
	char state;

	/* One that starts is not stuck yet. */
	if (!worker->pid || worker->killed || shared->pid != (uint32_t)worker->pid || !since_us ||
	    (uint32_t)monotonic_us() - since_us < AC_STUCK_US)
		return;
	state = process_state(worker->pid);
	/* It wants to run, and another one would have to wait like it. */
	if (state != 'R')
		replace(releaser, place, state);
}

void releaser_is_stuck(struct releaser *releaser)
{
	releaser_look(releaser);
	for (size_t i = 0; i < releaser->workers; i++)
		look_at_stuck(releaser, i);
	if (releaser->workers)
		tell(releaser);
}

static void look_at_ended(struct releaser *releaser, size_t place)
{
	struct releaser_worker *worker = &releaser->worker[place];
	int status;

	if (worker->pid && waitpid(worker->pid, &status, WNOHANG | WUNTRACED) <= 0)
		return;
	if (worker->pid && WIFSTOPPED(status)) {
		replace(releaser, place, 'T');
		return;
	}
	if (worker->pid)
		log_warning("release process: ended: another one is started");
	worker->pid = 0;
	start_next(releaser, place);
}

void releaser_look(struct releaser *releaser)
{
	if (!releaser->workers)
		return;
	reap(releaser);
	for (size_t i = 0; i < releaser->workers; i++)
		look_at_ended(releaser, i);
	tell(releaser);
}

void releaser_stop(struct releaser *releaser)
{
	for (size_t i = 0; i < releaser->workers; i++)
		if (releaser->worker[i].pid)
			kill(releaser->worker[i].pid, SIGKILL);
	/* Not waited for: it may be stuck. Whoever is left ends when its lock is free. */
	if (releaser->state && releaser->state != MAP_FAILED)
		munmap(releaser->state, sysconf(_SC_PAGESIZE));
	if (releaser->owners && releaser->owners != MAP_FAILED)
		munmap(releaser->owners, releaser->owner_count * sizeof(*releaser->owners));
	*releaser = (struct releaser){};
}
