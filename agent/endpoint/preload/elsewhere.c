/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The C library's calls that wait for something other than a descriptor: what was kept back for the program's next wait
 * leaves before them. (Waits that are not here, such as a computation, are the agent's to see: broker.c.)
 */
#include <dlfcn.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "endpoint/preload/instance.h"
#include "endpoint/preload/real.h"

/* X(type, name, parameters, arguments) */
#define WAITS(X) \
	X(unsigned, sleep, (unsigned seconds), (seconds)) \
	X(int, usleep, (useconds_t time), (time)) \
	X(int, nanosleep, (const struct timespec *time, struct timespec *left), (time, left)) \
	X(int, clock_nanosleep, (clockid_t clock, int flags, const struct timespec *time, struct timespec *left), \
	  (clock, flags, time, left)) \
	X(int, pause, (void), ()) \
	X(int, sigsuspend, (const sigset_t *set), (set)) \
	X(int, sigwait, (const sigset_t *set, int *number), (set, number)) \
	X(int, sigwaitinfo, (const sigset_t *set, siginfo_t *info), (set, info)) \
	X(int, sigtimedwait, (const sigset_t *set, siginfo_t *info, const struct timespec *time), (set, info, time)) \
	X(pid_t, wait, (int *status), (status)) \
	X(pid_t, waitpid, (pid_t pid, int *status, int options), (pid, status, options)) \
	X(pid_t, wait3, (int *status, int options, struct rusage *usage), (status, options, usage)) \
	X(pid_t, wait4, (pid_t pid, int *status, int options, struct rusage *usage), (pid, status, options, usage)) \
	X(int, waitid, (idtype_t type, id_t id, siginfo_t * info, int options), (type, id, info, options)) \
	X(int, sem_wait, (sem_t * sem), (sem)) \
	X(int, sem_timedwait, (sem_t * sem, const struct timespec *time), (sem, time)) \
	X(int, semop, (int id, struct sembuf *ops, size_t count), (id, ops, count)) \
	X(ssize_t, msgrcv, (int id, void *message, size_t size, long type, int flags), \
	  (id, message, size, type, flags)) \
	X(int, flock, (int fd, int operation), (fd, operation)) \
	X(int, lockf, (int fd, int command, off_t size), (fd, command, size))

static struct {
#define X(type, name, parameters, arguments) type(*name) parameters;
	WAITS(X)
#undef X
} real;

__attribute__((constructor)) static void find_real(void)
{
#define X(type, name, parameters, arguments) *(void **)&real.name = dlsym(RTLD_NEXT, #name);
	WAITS(X)
#undef X
}

#define X(type, name, parameters, arguments) \
	SHIM type name parameters \
	{ \
		if (!real.name) \
			find_real(); \
		instance_elsewhere(); \
		return real.name arguments; \
	}
WAITS(X)
#undef X
