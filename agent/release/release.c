/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "release/release.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "lib/clock.h"
#include "release/descriptor.h"
#include "release/dues.h"
#include "release/finder.h"
#include "release/pending.h"
#include "release/rerun.h"

struct release {
	struct ac_owner *owners;
	uint32_t owner_count;
	struct ac_releaser *state;
	struct ac_release_worker *me;
	struct dues dues;
	struct pending pending;
	pid_t agent;
};

static size_t own_words;

bool release_is_me(int argc, char **argv)
{
	own_words = argc;
	return argv[0] && !strcmp(argv[0], RELEASE_NAME);
}

int release_spawn(pid_t *pid, const posix_spawn_file_actions_t *actions, posix_spawnattr_t *attributes,
		  const char *const arguments[])
{
	const char *argv[COMMAND_WORDS_MAX];
	size_t length = 0;
	char *line = command_line(&length);
	int err = line ? command_again(line, length, own_words, RELEASE_NAME, arguments, argv) : errno;

	/* Not by its path: there may be a newer one by now, which knows other maps. */
	if (!err)
		err = posix_spawn(pid, "/proc/self/exe", actions, attributes, (char **)argv, environ);
	free(line);
	return err;
}

/* False if the descriptor that is known is not of this socket, or no more. */
static bool push(const struct ac_owner *owner)
{
	int copy = owner->tgid ? descriptor_take_socket(owner->tgid, owner->fd, owner->cookie) : -ESRCH;

	if (copy < 0)
		return false;
	descriptor_push(copy);
	/* If the program has closed its own meanwhile, this is the end of the socket. */
	close(copy);
	return true;
}

static void set_reach(struct ac_owner *owner, uint64_t cookie, enum ac_reach reach)
{
	/* The record may have become another flow's; who then is told the wrong thing is asked again. */
	if (owner->cookie == cookie)
		__atomic_store_n(&owner->reach, reach, __ATOMIC_RELEASE);
}

/* Whether another release process is at that socket, and perhaps waits for its lock. */
static bool is_served_by_another(const struct release *release, const struct ac_due *due)
{
	for (size_t i = 0; i < AC_RELEASE_WORKERS; i++) {
		const struct ac_release_worker *worker = &release->state->worker[i];

		if (worker != release->me && __atomic_load_n(&worker->since_us, __ATOMIC_ACQUIRE) &&
		    worker->due.cookie == due->cookie)
			return true;
	}
	return false;
}

static bool may_serve(const struct release *release, const struct ac_owner *owner, const struct ac_due *due)
{
	return owner->cookie == due->cookie && owner->reach != AC_REACH_LOCKED &&
	       (due->what != AC_DUE_RELEASE || !is_served_by_another(release, due));
}

static void serve(struct release *release, const struct ac_due *due)
{
	struct ac_owner *owner = &release->owners[due->number];

	if (due->what == AC_DUE_RELEASE && push(owner))
		return;
	switch (finder_find(release->state, release->me, owner, due->number)) {
	case FINDER_FOUND:
		set_reach(owner, due->cookie, AC_REACH_FOUND);
		if (due->what == AC_DUE_RELEASE)
			push(owner);
		break;
	case FINDER_NOBODY:
		set_reach(owner, due->cookie, AC_REACH_NONE);
		break;
	case FINDER_LATER:
		/* The next hold asks again; this one is left to the kernel's own timer. */
		set_reach(owner, due->cookie, AC_REACH_UNKNOWN);
		break;
	}
}

/* Any call on the socket may wait for its lock: a getsockopt() too, where a cgroup program looks at it. */
static void handle(struct release *release, const struct ac_due *due)
{
	struct ac_release_worker *me = release->me;

	me->due = *due;
	__atomic_store_n(&me->since_us, (uint32_t)monotonic_us() | 1, __ATOMIC_RELEASE);
	if (due->number < release->owner_count && may_serve(release, &release->owners[due->number], due))
		serve(release, due);
	__atomic_store_n(&me->since_us, 0, __ATOMIC_RELEASE);
}

/* The hold may have ended in the meantime, and another begun, whose time is not over. */
static bool is_of_last_hold(const struct release *release, const struct ac_due *due)
{
	return __atomic_load_n(&release->owners[due->number].end_us, __ATOMIC_RELAXED) == due->due_us;
}

/* What is due later is looked for now: the first hold of a flow takes no longer than the others. */
static void take(struct release *release, const struct ac_due *due)
{
	struct ac_due look = *due;

	if (pending_is_over(due, monotonic_us())) {
		handle(release, due);
		return;
	}
	look.what = AC_DUE_FIND;
	if (due->number >= release->owner_count)
		return;
	if (!release->owners[due->number].tgid)
		handle(release, &look);
	pending_add(&release->pending, due);
}

/* One thing: of what is over by now first, of what is new then. False if there is nothing. */
static bool step(struct release *release)
{
	struct ac_due due;

	if (pending_take(&release->pending, monotonic_us(), &due)) {
		if (is_of_last_hold(release, &due))
			handle(release, &due);
	} else if (dues_take(&release->dues, &due))
		take(release, &due);
	else
		return false;
	return true;
}

static void work(struct release *release)
{
	struct ac_due due;

	/* What the one before us in this place was stopped at; of a socket that it was stuck with the agent has marked
	 * it. */
	if (release->me->since_us) {
		due = release->me->due;
		handle(release, &due);
	}
	while (!dues_wait(&release->dues, pending_rest_us(&release->pending, monotonic_us())))
		while (step(release))
			;
}

static void *map_memory(int fd, size_t bytes)
{
	size_t page = sysconf(_SC_PAGESIZE);
	void *memory = mmap(NULL, (bytes + page - 1) / page * page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

/* Before the privileges for it go. Of the memory, what is used is locked: most of the program and its libraries never
 * is. */
static void raise_priority(struct release_report *report)
{
	const struct sched_param lowest = { .sched_priority = sched_get_priority_min(SCHED_FIFO) };

	report->realtime = sched_setscheduler(0, SCHED_FIFO, &lowest) ? errno : 0;
	report->locked = mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) ? errno : 0;
}

/*
 * Each on CPUs of its own, as far as there are enough. The scheduler does not move who waits for a CPU that is in the
 * kernel, for milliseconds where that cannot be preempted, and would have two of them wait for the same one.
 */
static void spread(unsigned long place, unsigned long workers)
{
	unsigned long seen = 0;
	cpu_set_t all, own;

	if (!workers || sched_getaffinity(0, sizeof(all), &all))
		return;
	CPU_ZERO(&own);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &all) && seen++ % workers == place)
			CPU_SET(cpu, &own);
	if (CPU_COUNT(&own))
		sched_setaffinity(0, sizeof(own), &own);
}

static void drop_privileges(void)
{
	bool bound;

	capng_get_caps_process();
	bound = capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP);
	if (!capng_have_capability(CAPNG_PERMITTED, CAP_SYS_PTRACE))
		return;
	capng_clear(CAPNG_SELECT_BOTH);
	capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_BOUNDING_SET, CAP_SYS_PTRACE);
	capng_apply(bound ? CAPNG_SELECT_BOTH : CAPNG_SELECT_CAPS);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

/* Goes through what will be done later, so that its pages are there by then. */
static void try_all(const struct release *release, int of_the_agent, struct release_report *report)
{
	int copy = descriptor_take(release->agent, of_the_agent);

	report->takes = copy < 0 ? -copy : 0;
	if (copy >= 0)
		close(copy);
	report->finds = finder_try();
	capng_get_caps_process();
	report->capable = capng_have_capability(CAPNG_EFFECTIVE, CAP_SYS_PTRACE);
}

static void tell(const struct release_report *report)
{
	/* Of one that takes over nobody waits for it. */
	signal(SIGPIPE, SIG_IGN);
	if (write(RELEASE_REPORT, report, sizeof(*report)) < 0)
		errno = 0;
	close(RELEASE_REPORT);
}

int release_main(int argc, char **argv)
{
	/* Too large for the stack. */
	static struct release release;
	struct release_report report = {};
	unsigned long place;

	release.agent = getppid();
	/* The thread that started us is the agent's main one. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NAME, RELEASE_NAME);
	if (argc != 5 || getppid() != release.agent)
		return 2;
	for (int fd = RELEASE_DUES; fd < RELEASE_FD_END; fd++)
		fcntl(fd, F_SETFD, FD_CLOEXEC);
	release.owner_count = strtoul(argv[2], NULL, 10);
	release.owners = map_memory(RELEASE_OWNERS, release.owner_count * sizeof(*release.owners));
	release.state = map_memory(RELEASE_STATE, sizeof(*release.state));
	place = strtoul(argv[3], NULL, 10);
	if (!release.owners || !release.state || place >= AC_RELEASE_WORKERS || dues_map(&release.dues, RELEASE_DUES))
		return 1;
	release.me = &release.state->worker[place];
	spread(place, strtoul(argv[4], NULL, 10));
	raise_priority(&report);
	try_all(&release, strtol(argv[1], NULL, 10), &report);
	drop_privileges();
	__atomic_store_n(&release.me->pid, getpid(), __ATOMIC_RELEASE);
	tell(&report);
	work(&release);
	return 1;
}
