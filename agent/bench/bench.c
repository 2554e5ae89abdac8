/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* `autocork bench`: chooses the side; holds what both share. */
#include "bench/bench.h"

#include <argp.h>
#include <jansson.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "bench/sides.h"

void bench_count(int fd, struct bench_counted *counted)
{
	struct tcp_info info;
	socklen_t size = sizeof(info);

	memset(&info, 0, sizeof(info));
	getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size);
	counted->segments = info.tcpi_data_segs_out;
	counted->retransmits = info.tcpi_total_retrans;
}

void bench_no_delay(int fd)
{
	int on = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

void bench_allow_files(uint32_t connections)
{
	struct rlimit limit;
	rlim_t need = (rlim_t)connections + 64;

	if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur >= need)
		return;
	limit.rlim_cur = need;
	if (limit.rlim_max < need)
		limit.rlim_max = need;	/* root may */
	setrlimit(RLIMIT_NOFILE, &limit);
}

static int failed(const struct fault *fault, bool json)
{
	if (json) {
		json_t *object = json_pack("{s:s}", "error", fault->text);

		json_dumpf(object, stdout, JSON_COMPACT);
		putchar('\n');
		json_decref(object);
	} else {
		fprintf(stderr, "autocork bench: %s\n", fault->text);
	}
	return fault->exit_code;
}

static int client(int argc, char **argv)
{
	struct bench_client_options options;
	struct fault fault;

	bench_client_parse(&options, argc, argv);
	return bench_client_run(&options, &fault) ? failed(&fault, options.json) : EXIT_OK;
}

static int server(int argc, char **argv)
{
	struct bench_server_options options;
	struct fault fault;

	bench_server_parse(&options, argc, argv);
	return bench_server_run(&options, &fault) ? failed(&fault, options.json) : EXIT_OK;
}

static const struct side {
	const char *name, *program, *help;
	int (*run)(int argc, char **argv);
} sides[] = {
	{ "client", "autocork bench client", "send messages in small writes and time them", client },
	{ "server", "autocork bench server", "answer them", server },
};

static int usage(FILE *out)
{
	fprintf(out, "Usage: autocork bench client|server [OPTION...]\n\n"
		     "  autocork bench server &\n"
		     "  autocork bench client --no_delay\n\n");
	for (size_t i = 0; i < sizeof(sides) / sizeof(sides[0]); i++)
		fprintf(out, "  %-8s %s\n", sides[i].name, sides[i].help);
	fprintf(out, "\n`autocork bench client --help` lists the options.\n");
	return out == stdout ? EXIT_OK : EXIT_USAGE;
}

int bench_command(int argc, char **argv)
{
	argp_err_exit_status = EXIT_USAGE;
	if (argc < 2)
		return usage(stderr);
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-?") || !strcmp(argv[1], "help"))
		return usage(stdout);
	for (size_t i = 0; i < sizeof(sides) / sizeof(sides[0]); i++) {
		if (strcmp(argv[1], sides[i].name))
			continue;
		argv[1] = (char *)sides[i].program;
		return sides[i].run(argc - 1, argv + 1);
	}
	fprintf(stderr, "autocork bench: %s: unknown side: say client or server\n", argv[1]);
	return EXIT_USAGE;
}
