/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "steer/steer_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/lock.h"
#include "steer/pins.h"
#include "steer/renames.h"
#include "steer/steer_tables.h"

#define LOCK "/run/autocork/steer.lock"
#define OWNERS "/run/autocork/owners" /* NAMESPACE-INDEX, a lock file for each interface; root's alone */
#define WAIT_MS 10000
#define LOOK_MS 20

/* Held by this process for a while, by steer_try_lock(); -1 = not. */
static int held = -1;

static void describe(pid_t process, char *text, size_t size)
{
	char path[64], name[32] = "?";
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)process);
	file = process > 0 ? fopen(path, "re") : NULL;
	if (file) {
		if (fgets(name, sizeof(name), file))
			name[strcspn(name, "\n")] = 0;
		fclose(file);
	}
	if (process > 0)
		snprintf(text, size, "process %d (%s)", (int)process, name);
	else
		snprintf(text, size, "a process that cannot be seen from here");
}

static int take(bool wait, struct fault *fault)
{
	static const struct timespec pause = { .tv_nsec = LOOK_MS * 1000000 };
	char holder[64];
	int fd;

	if (held >= 0)
		return dup(held);
	if (mkdir("/run/autocork", 0755) && errno != EEXIST)
		return pins_refused("/run/autocork", fault);
	fd = open(LOCK, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return pins_refused(LOCK, fault);
	for (int waited = 0; flock(fd, LOCK_EX | LOCK_NB); waited += LOOK_MS) {
		if (errno == EWOULDBLOCK && wait && waited < WAIT_MS) {
			nanosleep(&pause, NULL);
			continue;
		}
		if (errno == EWOULDBLOCK) {
			describe(lock_holder(fd), holder, sizeof(holder));
			fault_set(fault, EXIT_FAILED, LOCK ": %s holds it: wait until it has ended, or end it", holder);
		} else {
			pins_refused(LOCK, fault);
		}
		close(fd);
		return -1;
	}
	names_follow();
	return fd;
}

int steer_lock(struct fault *fault)
{
	return take(true, fault);
}

int steer_try_lock(struct fault *fault)
{
	int fd = take(false, fault);

	if (held < 0)
		held = fd;
	return fd;
}

void steer_unlock(int lock)
{
	if (lock < 0)
		return;
	if (lock == held)
		held = -1;
	close(lock);
}

static void owner_path(int ifindex, char path[128])
{
	snprintf(path, 128, OWNERS "/%llu-%d", (unsigned long long)tables_namespace(), ifindex);
}

static int own(int ifindex, const char *interface, char path[128], pid_t *holder, struct fault *fault)
{
	char text[64];
	int fd;

	*holder = 0;
	if (mkdir(OWNERS, 0700) && errno != EEXIST)
		return pins_refused(OWNERS, fault);
	owner_path(ifindex, path);
	fd = lock_take(path, holder);
	if (fd >= 0)
		return fd;
	if (fd != -EWOULDBLOCK) {
		errno = -fd;
		return pins_refused(path, fault);
	}
	describe(*holder, text, sizeof(text));
	return fault_set(fault, EXIT_FAILED,
			 "%s: %s steers it by policies of its own: change those and reload it, or stop it first",
			 interface, text);
}

int steer_own(int ifindex, const char *interface, struct fault *fault)
{
	char path[128];
	pid_t holder;

	return own(ifindex, interface, path, &holder, fault);
}

void steer_disown(int ifindex, int owned)
{
	char path[128];

	owner_path(ifindex, path);
	lock_release(path, owned);
}

int steer_may_change(int ifindex, const char *interface, struct fault *fault)
{
	char path[128];
	pid_t holder;
	int fd = own(ifindex, interface, path, &holder, fault);

	if (fd < 0)
		return holder == getpid() ? 0 : -1;
	lock_release(path, fd);
	return 0;
}
