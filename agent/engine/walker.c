/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "engine/walker.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/log.h"
#include "lib/process.h"

#define LOOK_MS 5
/* Looks in a row that find it waiting: it is stuck. Other work of its kind makes it wait for microseconds. */
#define STUCK_LOOKS 10

static struct {
	pid_t pid;
	uint32_t netns;
} stuck[WALKERS_STUCK_MAX];

/* Shared with the child. */
static volatile uint32_t *at;

static void reap(void)
{
	for (int i = 0; i < WALKERS_STUCK_MAX; i++)
		if (stuck[i].pid && waitpid(stuck[i].pid, NULL, WNOHANG))
			stuck[i].pid = 0;
}

static int leave_behind(pid_t pid, int place)
{
	kill(pid, SIGKILL);
	if (waitpid(pid, NULL, WNOHANG) == pid)
		return -EDEADLK;
	stuck[place].pid = pid;
	stuck[place].netns = *at;
	log_warning(
		"network namespace %u: a program keeps its socket locked: flows there change their state no more until it lets go",
		*at);
	return -EDEADLK;
}

/* -EDEADLK if it is stuck. */
static int wait_for(pid_t pid)
{
	int pidfd = pidfd_open(pid, 0), waits = 0, status;
	struct pollfd ends = { .fd = pidfd, .events = POLLIN };

	while (poll(&ends, 1, LOOK_MS) != 1 && waits < STUCK_LOOKS) {
		char state = process_state(pid);

		waits = state == 'D' || state == 'S' ? waits + 1 : 0;
	}
	if (pidfd >= 0)
		close(pidfd);
	if (waitpid(pid, &status, WNOHANG) != pid)
		return -EDEADLK;
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -EINTR;
}

/* And where messages go. */
static void keep_only(int fd)
{
	if (fd > STDERR_FILENO + 1)
		close_range(STDERR_FILENO + 1, fd - 1, 0);
	close_range(fd + 1, ~0U, 0);
}

int walker_do(walker_run *run, void *context, int fd)
{
	int place = 0, err;
	pid_t pid;

	reap();
	while (place < WALKERS_STUCK_MAX && stuck[place].pid)
		place++;
	if (!at) {
		at = mmap(NULL, sizeof(*at), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		if (at == MAP_FAILED)
			at = NULL;
	}
	if (!at)
		return -ENOMEM;
	if (place == WALKERS_STUCK_MAX)
		return -EBUSY;
	*at = 0;
	pid = fork();
	if (pid < 0)
		return -errno;
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		keep_only(fd);
		_exit(-run(context));
	}
	err = wait_for(pid);
	return err == -EDEADLK ? leave_behind(pid, place) : err;
}

void walker_at(uint32_t netns)
{
	*at = netns;
}

bool walker_is_stuck(uint32_t netns)
{
	for (int i = 0; i < WALKERS_STUCK_MAX; i++)
		if (stuck[i].pid && stuck[i].netns == netns)
			return true;
	return false;
}
