/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* autocork record: what programs do on a port, as a trace for `autocork replay`. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/client.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "commands/commands.h"
#include "lib/clock.h"
#include "lib/json.h"
#include "lib/names.h"
#include "lib/version.h"
#include "replay/recorder.h"

#define FOR_DEFAULT_S 10
#define FULL 1 /* of the visitor */

struct recording {
	const struct cli *cli;
	json_t *request;
	double seconds;
	const char *path;  /* NULL: standard output */
	enum ac_side side; /* AC_SIDE_ANY: both */
	struct recorder *recorder;
	FILE *out;
	bool created; /* the file was not there before */
};

static void check(const struct argp_state *state, void *input)
{
	const struct recording *recording = input;

	if (!json_object_get(recording->request, "port"))
		argp_error(state, "--port is missing: name the port to record");
	if (recording->cli->json && !recording->path)
		argp_error(state, "--json needs --output FILE: standard output is taken");
}

static const struct cli_option options[] = {
	CLI_FLOW_PORT(CLI_IN(struct recording, request, "port")),
	CLI_FLOW_PROGRAM(CLI_IN(struct recording, request, "program")),
	{ "side", 's', "SIDE", "Where both ends are on this machine: only the server's or the client's", CLI_WORD,
	  .words = side_names, CLI_AT(struct recording, side) },
	CLI_FOR(0.1, "Record for TIME (30s, 2m); 10s without it", CLI_AT(struct recording, seconds)),
	{ "output", 'o', "FILE", "Write the trace to FILE instead of standard output", CLI_TEXT,
	  CLI_AT(struct recording, path) },
	{ 0 },
};

static const struct cli_syntax syntax = {
	.options = options,
	.check = check,
	.doc = "Records when the programs on a port write, how much, and when they read, from what the agent sees, and "
	       "writes a trace that autocork replay takes. No byte of the data is recorded.\n"
	       "\n"
	       "Examples:\n"
	       "  autocork record --port 80 --side server -o web.trace\n"
	       "  autocork record --port 6379 --for 1m | autocork replay -\n"
	       "\v"
	       "A write with MSG_MORE or TCP_CORK joins the next one, as in the kernel. A read is entered when it "
	       "returns; calls of poll and epoll_wait are not seen (autocork replay --no-app-wait fits). Events that "
	       "were lost are counted in the file and on standard error.",
};

static bool open_output(struct recording *recording, struct fault *fault)
{
	int fd;

	recording->out = stdout;
	if (!recording->path)
		return true;
	/* Not emptied before there is something to put in. */
	fd = open(recording->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	recording->created = fd >= 0;
	if (fd < 0 && errno == EEXIST)
		fd = open(recording->path, O_WRONLY | O_CLOEXEC);
	recording->out = fd < 0 ? NULL : fdopen(fd, "w");
	if (!recording->out)
		fault_set(fault, EXIT_FAILED, "%s: cannot write: %s: name another --output FILE", recording->path,
			  strerror(errno));
	return recording->out;
}

static bool close_output(struct recording *recording, bool keep, struct fault *fault)
{
	bool failed = fflush(recording->out) || ferror(recording->out);

	if (recording->path) {
		failed |= fclose(recording->out) != 0;
		if (!keep && recording->created)
			unlink(recording->path);
	}
	if (failed)
		fault_set(fault, EXIT_FAILED, "%s: cannot write: %s: the trace is not whole",
			  recording->path ? recording->path : "standard output", strerror(errno));
	return !failed;
}

static int visit(json_t *event, void *context)
{
	struct recording *recording = context;
	const json_t *side = json_object_get(event, "side");

	if (recording->side != AC_SIDE_ANY && side &&
	    strcmp(json_string_value(side) ? json_string_value(side) : "", side_names[recording->side]))
		return 0;
	return recorder_hear(recording->recorder, event) ? 0 : FULL;
}

/* What the reader of the file must know, in its comments; what the user must, on standard error. */
static void write_trace(const struct recording *recording, const struct trace *trace)
{
	struct recorder_counts counts = recorder_counts(recording->recorder);
	long long port = json_number(recording->request, "port");
	char note[512], when[32], missing[256] = "";
	time_t now = time(NULL);
	size_t used = 0;

	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", gmtime(&now));
	if (counts.lost)
		used += snprintf(missing + used, sizeof(missing) - used,
				 "%llu events were lost: messages have gaps there\n", (unsigned long long)counts.lost);
	if (counts.left_out)
		used += snprintf(missing + used, sizeof(missing) - used,
				 "%llu calls of more than %d connections were left out\n",
				 (unsigned long long)counts.left_out, TRACE_FLOWS_MAX);
	if (counts.full)
		snprintf(missing + used, sizeof(missing) - used, "ended early, at %zu events\n", trace->count);
	snprintf(note, sizeof(note),
		 "autocork %s, %s: port %lld, %.3g s: %llu flows, %llu writes, %llu reads\n"
		 "reads are entered when they return; calls of poll are not recorded\n%s",
		 AUTOCORK_VERSION, when, port, recording->seconds, (unsigned long long)counts.flows,
		 (unsigned long long)counts.writes, (unsigned long long)counts.reads,
		 *missing ? missing : "0 events were lost\n");
	trace_write(trace, note, recording->out);
	if (recording->cli->json)
		return;
	fprintf(stderr, "%llu flows, %llu writes, %llu reads\n%s", (unsigned long long)counts.flows,
		(unsigned long long)counts.writes, (unsigned long long)counts.reads, missing);
}

static void print_json(const struct recording *recording)
{
	struct recorder_counts counts = recorder_counts(recording->recorder);

	json_print(stdout, json_pack("{ss sI sf sI sI sI sI sI sb}", "file", recording->path, "port",
				     json_number(recording->request, "port"), "seconds", recording->seconds, "flows",
				     (json_int_t)counts.flows, "writes", (json_int_t)counts.writes, "reads",
				     (json_int_t)counts.reads, "lost", (json_int_t)counts.lost, "left_out",
				     (json_int_t)counts.left_out, "full", counts.full));
}

static int record(struct recording *recording, struct fault *fault)
{
	uint64_t start = monotonic_us();
	const struct trace *trace;
	double elapsed;
	/* Sending the request frees it, and its port is named later. */
	int result = client_watch(recording->cli->control, json_incref(recording->request), recording->seconds, visit,
				  recording, fault);

	elapsed = (monotonic_us() - start) * 1e-6;
	/* Ctrl-C: what was seen until then. */
	if (elapsed < recording->seconds)
		recording->seconds = elapsed;
	if (result < 0)
		return -1;
	trace = recorder_trace(recording->recorder);
	if (!recorder_counts(recording->recorder).writes)
		return fault_set(
			fault, EXIT_FAILED,
			"port %lld: nothing was written there within %.3g s: record while its programs are busy "
			"(autocork flows --port %lld lists what the agent sees)",
			(long long)json_number(recording->request, "port"), recording->seconds,
			(long long)json_number(recording->request, "port"));
	/* A pipe or a device cannot be emptied, and need not be. */
	if (recording->path && ftruncate(fileno(recording->out), 0) && errno != EINVAL)
		return fault_set(fault, EXIT_FAILED, "%s: cannot be emptied: %s: name another --output FILE",
				 recording->path, strerror(errno));
	write_trace(recording, trace);
	return 0;
}

int command_record(struct cli *cli, int argc, char **argv)
{
	struct recording recording = { .cli = cli, .seconds = FOR_DEFAULT_S, .recorder = recorder_new() };
	json_t *types = json_array();
	struct fault fault;
	bool failed;
	int result;

	for (size_t i = 0; recorder_types[i]; i++)
		json_array_append_new(types, json_string(recorder_types[i]));
	recording.request = json_pack("{ss so}", "op", "events", "types", types);
	cli_parse(cli, &syntax, argc, argv, &recording);
	if (!recording.recorder || !open_output(&recording, &fault)) {
		if (!recording.recorder)
			fault_set(&fault, EXIT_FAILED, "record: out of memory: end other programs");
		return cli_fail(cli, &fault);
	}
	if (cli->terminal && !cli->json)
		fprintf(stderr, "Recording for %g seconds; Ctrl-C ends it early …\n", recording.seconds);
	failed = record(&recording, &fault);
	failed |= !close_output(&recording, !failed, &fault);
	if (!failed && cli->json)
		print_json(&recording);
	recorder_free(recording.recorder);
	json_decref(recording.request);
	result = failed ? cli_fail(cli, &fault) : EXIT_OK;
	interrupt_finish();
	return result;
}
