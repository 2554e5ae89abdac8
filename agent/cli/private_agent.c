/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "cli/private_agent.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli/client.h"

#define START_S 30
#define PROGRAM "autocorkd"

static const char policy[] = "[policy everything]\nmode = observe\nadopt = yes\n";

/* Beside this program, as in the build folder, else in the sbin beside its bin, as installed. */
static void find_program(char path[PATH_MAX])
{
	static const char *const places[] = { "%.*s/" PROGRAM, "%.*s/../sbin/" PROGRAM };
	char self[PATH_MAX - 32];
	ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);

	while (length > 0 && self[length] != '/')
		length--;
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]) && length > 0; i++) {
		snprintf(path, PATH_MAX, places[i], (int)length, self);
		if (!access(path, X_OK))
			return;
	}
	snprintf(path, PATH_MAX, PROGRAM);
}

/* `name` in the agent's directory. */
static void place(const struct private_agent *agent, const char *name, char path[64])
{
	snprintf(path, 64, "%s/%s", agent->directory, name);
}

static int write_policy(const struct private_agent *agent)
{
	char path[64];
	FILE *file;

	place(agent, "observe.conf", path);
	file = fopen(path, "wxe");
	if (!file || fputs(policy, file) < 0) {
		if (file)
			fclose(file);
		return -1;
	}
	return fclose(file);
}

static void run(const struct private_agent *agent, pid_t parent)
{
	char program[PATH_MAX], log[64];
	int fd;

	place(agent, "log", log);
	fd = open(log, O_WRONLY | O_CREAT | O_EXCL, 0600);
	if (fd >= 0) {
		dup2(fd, STDOUT_FILENO);
		dup2(fd, STDERR_FILENO);
	}
	/* A session of its own: Ctrl-C is for the command, which then stops it. */
	setsid();
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(1);
	find_program(program);
	execlp(program, PROGRAM, "--policy-dir", agent->directory, "--control", agent->control, NULL);
	fprintf(stderr, "%s: %s: install it, or give --control PATH of an agent that runs\n", program, strerror(errno));
	_exit(127);
}

/* The last line that it wrote. */
static int fail(struct private_agent *agent, struct fault *fault)
{
	char path[64], line[400] = "", *end;
	FILE *file;

	place(agent, "log", path);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file))
		;
	if (file)
		fclose(file);
	end = strchr(line, '\n');
	if (end)
		*end = '\0';
	private_agent_stop(agent);
	return fault_set(fault, EXIT_FAILED, "no agent runs, and one of its own could not start: %s",
			 *line ? line : "it said nothing: run autocork doctor");
}

int private_agent_start(struct private_agent *agent, struct fault *fault)
{
	pid_t self = getpid();

	*agent = (struct private_agent){ .directory = "/tmp/autocork-XXXXXX" };
	if (!mkdtemp(agent->directory))
		return fault_set(fault, EXIT_FAILED, "/tmp: no directory can be made: %s: free some space",
				 strerror(errno));
	place(agent, "control.sock", agent->control);
	if (write_policy(agent)) {
		private_agent_stop(agent);
		return fault_set(fault, EXIT_FAILED, "%s: cannot be written: free some space", agent->directory);
	}
	agent->pid = fork();
	if (!agent->pid)
		run(agent, self);
	for (int tries = 0; agent->pid > 0 && tries < START_S * 10; tries++) {
		if (client_listens(agent->control))
			return 0;
		if (waitpid(agent->pid, NULL, WNOHANG) == agent->pid) {
			agent->pid = 0;
			break;
		}
		nanosleep(&(struct timespec){ .tv_nsec = 100000000 }, NULL);
	}
	return fail(agent, fault);
}

void private_agent_stop(struct private_agent *agent)
{
	static const char *const files[] = { "observe.conf", "log", "control.sock", "control.sock.lock" };
	char path[64];

	if (agent->pid > 0) {
		kill(agent->pid, SIGTERM);
		waitpid(agent->pid, NULL, 0);
	}
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		place(agent, files[i], path);
		unlink(path);
	}
	rmdir(agent->directory);
	agent->pid = 0;
}
