/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "bench/copy_sink.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/sides.h"

static _Noreturn void serve(const struct bench_server_options *options, int out, pid_t parent)
{
	struct fault fault;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent || dup2(out, STDOUT_FILENO) < 0 || !bench_server_run(options, &fault))
		_exit(EXIT_FAILED);
	fprintf(stderr, "autocork: %s\n", fault.text);
	_exit(EXIT_FAILED);
}

int bench_sink_start(struct bench_sink *sink, const char *host, int family, struct fault *fault)
{
	struct bench_server_options options = { .host = host, .port = "0", .family = family, .json = true };
	pid_t self = getpid();
	json_t *line;
	int ends[2];

	if (pipe2(ends, O_CLOEXEC))
		return fault_set(fault, EXIT_FAILED, "sink: %s: raise the limits of this user", strerror(errno));
	fflush(stdout);
	sink->pid = fork();
	if (!sink->pid)
		serve(&options, ends[1], self);
	close(ends[1]);
	/* Its first line is {"port": N}; what it says later goes nowhere. */
	line = sink->pid > 0 ? json_loadfd(ends[0], JSON_DISABLE_EOF_CHECK, NULL) : NULL;
	close(ends[0]);
	snprintf(sink->port, sizeof(sink->port), "%d", (int)json_integer_value(json_object_get(line, "port")));
	json_decref(line);
	if (strcmp(sink->port, "0"))
		return 0;
	bench_sink_stop(sink);
	return fault_set(fault, EXIT_FAILED, "sink on %s: it did not start: name a HOST with `autocork bench server`",
			 host);
}

void bench_sink_stop(struct bench_sink *sink)
{
	if (sink->pid <= 0)
		return;
	kill(sink->pid, SIGKILL);
	waitpid(sink->pid, NULL, 0);
	sink->pid = 0;
}
