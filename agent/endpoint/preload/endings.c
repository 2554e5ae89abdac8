/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Fork, exec, exit: where a process's own TCP ends, its connections go on in the kernel. */
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "endpoint/preload/endings.h"
#include "endpoint/preload/instance.h"
#include "endpoint/preload/real.h"
#include "endpoint/preload/spill.h"

static void stop(void);

/* Both processes may use the connections afterwards. */
static void before_fork(void)
{
	instance_lock();
	instance_flush();
	spill_make_all();
	instance_hand_over_all(ENDPOINT_FOR_FORK);
}

static void after_fork(void)
{
	instance_unlock();
}

/*
 * A signal that ends the process. In the kernel the process's last bytes, and the connections in a queue that others
 * share, would outlive it: so they go there. Only where this thread sleeps in a wait of ours is it safe to work here;
 * anywhere else the process ends at once.
 */
static void on_end(int number)
{
	if (instance_is_own_process() && instance_is_asleep())
		stop();
	signal(number, SIG_DFL);
	raise(number); /* blocked until this handler returns */
}

void process_catch_ends(void)
{
	static const int ends[] = { SIGTERM, SIGINT, SIGHUP };
	struct sigaction ours = { .sa_handler = on_end, .sa_flags = SA_RESTART }, old;

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		if (!sigaction(ends[i], NULL, &old) && !(old.sa_flags & SA_SIGINFO) && old.sa_handler == SIG_DFL)
			sigaction(ends[i], &ours, NULL);
}

static char preload[PATH_MAX + sizeof("LD_PRELOAD=")], spill[4096];

__attribute__((constructor)) static void start(void)
{
	const char *named = getenv("LD_PRELOAD");

	real_functions();
	pthread_atfork(before_fork, after_fork, instance_forked);
	/* Programs empty their environment; what they start is to have it again. */
	if (named && strlen(named) < PATH_MAX) {
		strcpy(stpcpy(preload, "LD_PRELOAD="), named);
		spill_inherit();
	}
}

__attribute__((destructor)) static void stop(void)
{
	if (!instance_is_own_process() || !instance_try_lock())
		return;
	instance_exits();
	instance_unlock();
}

SHIM __attribute__((noreturn)) void _exit(int status)
{
	stop();
	syscall(SYS_exit_group, status);
	__builtin_unreachable();
}

SHIM __attribute__((noreturn)) void _Exit(int status)
{
	_exit(status);
}

/* ------------------------------------------------------------------ exec */

static void before_exec(void)
{
	if (!instance_is_own_process() || !instance_try_lock())
		return;
	instance_hand_over_all(ENDPOINT_FOR_EXEC);
	if (!*preload || !spill_before_exec(spill, sizeof(spill)))
		*spill = 0;
	instance_unlock();
}

/* It came back: exec has failed. */
static int after_exec(int result)
{
	if (*spill && instance_is_own_process())
		spill_exec_failed();
	return result;
}

/* The environment with this library in it, and the spills of its listeners. Freed by nobody: exec does. */
static char *const *with_preload(char *const *environment)
{
	size_t count = 0;
	bool named = false;
	char **copy;

	/* In the child of vfork() the heap is the parent's, and would keep this. */
	if (!*preload || !environment || !instance_is_own_process())
		return environment;
	for (; environment[count]; count++)
		named = named || !strncmp(environment[count], "LD_PRELOAD=", strlen("LD_PRELOAD="));
	if (named && !*spill)
		return environment;
	copy = calloc(count + 3, sizeof(*copy));
	if (!copy)
		return environment;
	memcpy(copy, environment, count * sizeof(*copy));
	if (!named)
		copy[count++] = preload;
	if (*spill)
		copy[count] = spill;
	return copy;
}

SHIM int execve(const char *path, char *const *arguments, char *const *environment)
{
	before_exec();
	return after_exec(REAL(execve)(path, arguments, with_preload(environment)));
}

SHIM int execv(const char *path, char *const *arguments)
{
	before_exec();
	return after_exec(REAL(execve)(path, arguments, with_preload(environ)));
}

SHIM int execvpe(const char *file, char *const *arguments, char *const *environment)
{
	before_exec();
	return after_exec(REAL(execvpe)(file, arguments, with_preload(environment)));
}

SHIM int execvp(const char *file, char *const *arguments)
{
	before_exec();
	return after_exec(REAL(execvpe)(file, arguments, with_preload(environ)));
}

SHIM int fexecve(int fd, char *const *arguments, char *const *environment)
{
	before_exec();
	return after_exec(REAL(fexecve)(fd, arguments, with_preload(environment)));
}

enum { BY_PATH, BY_FILE, WITH_ENVIRONMENT };

static int exec_list(int how, const char *path, const char *first, va_list arguments)
{
	size_t count = 1, i = 1;
	va_list copy;

	va_copy(copy, arguments);
	while (va_arg(copy, char *))
		count++;
	va_end(copy);
	if (count > INT_MAX / sizeof(char *) / 4) {
		errno = E2BIG;
		return -1;
	}
	{
		char *list[count + 1], *const *environment = environ;

		list[0] = (char *)first;
		while ((list[i] = va_arg(arguments, char *)))
			i++;
		if (how == WITH_ENVIRONMENT)
			environment = va_arg(arguments, char *const *);
		return how == BY_FILE ? execvpe(path, list, environment) : execve(path, list, environment);
	}
}

#define EXEC_LIST(name, how) \
	SHIM int name(const char *path, const char *first, ...) \
	{ \
		va_list arguments; \
		int result; \
\
		va_start(arguments, first); \
		result = exec_list(how, path, first, arguments); \
		va_end(arguments); \
		return result; \
	}

EXEC_LIST(execl, BY_PATH)
EXEC_LIST(execlp, BY_FILE)
EXEC_LIST(execle, WITH_ENVIRONMENT)
