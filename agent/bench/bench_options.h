/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What the two sides of the benchmark can be told. The names with underscores are those of the classic autocork
 * test. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "cli/cli.h"

#define BENCH_PORT "5001"
#define BENCH_SIZE_MAX (16u << 20)   /* a message or a response, bytes: both sides keep one in memory */
#define BENCH_MESSAGES_MAX 10000000u /* every message's time is kept, 8 bytes each, for exact percentiles */
#define BENCH_CONNECTIONS_MAX 60000u /* one client address has 64k ports */

/* How a message is cut into writes. */
enum bench_cut {
	BENCH_CUT_EVEN,	  /* `buffers` writes of `size` bytes */
	BENCH_CUT_HEADER, /* a header of three buffers, then the rest */
	BENCH_CUT_SINGLE, /* one write */
	BENCH_CUT_RANDOM, /* 1 … `buffers` writes, drawn anew for each message */
};

struct bench_client_options {
	const char *host, *port;
	int family; /* AF_UNSPEC, AF_INET or AF_INET6 */
	enum bench_cut cut;
	bool no_delay, cork, check, echo, server_no_delay, each, json, verbose;
	uint32_t messages, warmup, connections;
	uint32_t buffers, size;
	uint32_t response, response_writes;
	uint32_t pause_us;	 /* between two messages */
	uint32_t write_pause_us; /* between two writes of a message */
	uint32_t keep_s;	 /* before closing */
	uint32_t seed;
};

struct bench_server_options {
	const char *host, *port;
	int family;
	bool no_delay, json, verbose;
	uint32_t connections; /* to serve before leaving; 0 = for ever */
};

/* Fill the options from the command line; print and exit with EXIT_USAGE on a bad one, as argp does. */
void bench_client_parse(struct bench_client_options *options, struct cli *cli, int argc, char **argv);
void bench_server_parse(struct bench_server_options *options, struct cli *cli, int argc, char **argv);
