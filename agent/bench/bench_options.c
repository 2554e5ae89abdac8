/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Command lines of `autocork bench client` and `autocork bench server`. */
#include "bench/bench_options.h"

#include <sys/socket.h>

#include "cli/options.h"

#define PAUSE_MAX_US 60000000
#define KEEP_MAX_S 86400

/* Groups of the client's help. */
enum { WHERE = 1, HOW_MANY, SHAPE, SOCKET, ANSWER, OUTPUT };

static void take_rate(const struct argp_state *state, char *arg, void *input)
{
	struct bench_client_options *o = input;

	o->pause_us = 1000000 / cli_number(state, "rate", arg, 1, 1000000);
}

#define AT(field) CLI_AT(struct bench_client_options, field)
#define NUMBER(least, most) CLI_NUMBER, .low = (least), .high = (most)
static const struct cli_option client_table[] = {
	{ "host", 0, "HOST", "server's name or address [localhost]", CLI_TEXT, AT(host), .group = WHERE },
	{ "port", 'p', "PORT", "server's port [" BENCH_PORT "]", CLI_DIGITS, .low = 1, .high = 65535, AT(port),
	  .group = WHERE },
	{ "ipv4", '4', 0, "IPv4 only", CLI_FLAG, .set = AF_INET, AT(family), .group = WHERE },
	{ "ipv6", '6', 0, "IPv6 only", CLI_FLAG, .set = AF_INET6, AT(family), .group = WHERE },
	{ "connections", 0, "N", "connections that take turns, message by message [1]",
	  NUMBER(1, BENCH_CONNECTIONS_MAX), AT(connections), .group = WHERE },

	{ "messages", 'N', "N", "messages to send [10000]", NUMBER(1, BENCH_MESSAGES_MAX), AT(messages),
	  .alias = "nr_logical_packets", .group = HOW_MANY },
	{ "warmup", 0, "N", "messages sent first that count for nothing [0]", NUMBER(0, BENCH_MESSAGES_MAX), AT(warmup),
	  .group = HOW_MANY },
	{ "pause", 0, "USEC", "rest between two messages [0]", NUMBER(0, PAUSE_MAX_US), AT(pause_us),
	  .group = HOW_MANY },
	{ "rate", 'r', "PER_SECOND", "the same, as messages per second", CLI_OTHER, .take = take_rate,
	  .group = HOW_MANY },

	{ "buffers", 'b', "N", "writes per message [15]", NUMBER(1, 100000), AT(buffers), .group = SHAPE },
	{ "size", 'S', "BYTES", "bytes per write [2]", NUMBER(1, BENCH_SIZE_MAX), AT(size), .group = SHAPE },
	{ "header_plus_payload", 'H', 0, "send a message as a header of three buffers, then the rest", CLI_FLAG,
	  .set = BENCH_CUT_HEADER, AT(cut), .group = SHAPE },
	{ "single_request", 's', 0, "send a message in a single write", CLI_FLAG, .set = BENCH_CUT_SINGLE, AT(cut),
	  .group = SHAPE },
	{ "random", 0, 0, "cut each message anew into 1 to N writes", CLI_FLAG, .set = BENCH_CUT_RANDOM, AT(cut),
	  .group = SHAPE },
	{ "seed", 0, "N", "of the random cuts [1]", NUMBER(0, UINT32_MAX), AT(seed), .group = SHAPE },
	{ "write_pause", 0, "USEC", "rest between two writes of a message [0]", NUMBER(0, PAUSE_MAX_US),
	  AT(write_pause_us), .group = SHAPE },

	{ "no_delay", 'n', 0, "set TCP_NODELAY", CLI_FLAG, AT(no_delay), .group = SOCKET },
	{ "cork", 'c', 0, "set TCP_CORK before each message, take it off after", CLI_FLAG, AT(cork), .group = SOCKET },

	{ "response", 0, "BYTES", "bytes of a response [2]", NUMBER(1, BENCH_SIZE_MAX), AT(response), .group = ANSWER },
	{ "response_writes", 0, "N", "writes per response [1]", NUMBER(1, 100000), AT(response_writes),
	  .group = ANSWER },
	{ "server_no_delay", 0, 0, "the server is to set TCP_NODELAY too", CLI_FLAG, AT(server_no_delay),
	  .group = ANSWER },
	{ "echo", 0, 0, "the response is the message itself", CLI_FLAG, AT(echo), .group = ANSWER },
	{ "check", 'C', 0, "both sides compare every byte", CLI_FLAG, AT(check), .group = ANSWER },

	{ "each", 0, 0, "print each message's time and packets (slows the client)", CLI_FLAG, AT(each),
	  .group = OUTPUT },
	{ "keep", 0, "SECONDS", "keep the connections open that long at the end [0]", NUMBER(0, KEEP_MAX_S), AT(keep_s),
	  .group = OUTPUT },
	{ "verbose", 'v', 0, "also print the classic line", CLI_FLAG, AT(verbose), .group = OUTPUT },
	{ 0 },
};
#undef AT

#define AT(field) CLI_AT(struct bench_server_options, field)
static const struct cli_option server_table[] = {
	{ "host", 0, "HOST", "address to listen on [all]", CLI_TEXT, AT(host), .group = 1 },
	{ "port", 'p', "PORT", "port to listen on, 0 for a free one [" BENCH_PORT "]", CLI_DIGITS, .high = 65535,
	  AT(port), .group = 1 },
	{ "ipv4", '4', 0, "IPv4 only", CLI_FLAG, .set = AF_INET, AT(family), .group = 1 },
	{ "ipv6", '6', 0, "IPv6 only", CLI_FLAG, .set = AF_INET6, AT(family), .group = 1 },
	{ "connections", 0, "N", "leave after N connections [0 = never]", NUMBER(0, UINT32_MAX), AT(connections),
	  .group = 1 },
	{ "once", 0, 0, "the same as --connections=1", CLI_FLAG, .set = 1, AT(connections), .group = 1 },
	{ "no_delay", 'n', 0, "set TCP_NODELAY", CLI_FLAG, AT(no_delay), .group = 2 },
	{ "verbose", 'v', 0, "print a line per connection", CLI_FLAG, AT(verbose), .group = 3 },
	{ 0 },
};
#undef AT

static void take_host(struct argp_state *state, char *host, void *input)
{
	struct bench_client_options *o = input;

	if (o->host)
		argp_error(state, "%s: one HOST only", host);
	o->host = host;
}

static void check_client(const struct argp_state *state, void *input)
{
	struct bench_client_options *o = input;

	o->host = o->host ?: "localhost";
	if ((uint64_t)o->buffers * o->size > BENCH_SIZE_MAX)
		argp_error(state, "--buffers times --size: a message is at most %u bytes", BENCH_SIZE_MAX);
	if ((uint64_t)o->messages + o->warmup > BENCH_MESSAGES_MAX)
		argp_error(state, "--messages and --warmup: at most %u together", BENCH_MESSAGES_MAX);
	if (o->cut == BENCH_CUT_HEADER && o->buffers < 4)
		argp_error(state, "--header_plus_payload: needs --buffers of at least 4");
	if (o->echo)
		o->response = o->buffers * o->size;
	if (o->response_writes > o->response)
		argp_error(state, "--response_writes=%u: more than the %u bytes of a response", o->response_writes,
			   o->response);
}

static const struct cli_syntax client_syntax = {
	.options = client_table,
	.argument = take_host,
	.check = check_client,
	.args_doc = "[HOST]",
	.doc = "Sends messages, each cut into small writes, waits for the response of each, and prints microseconds, "
	       "packets and CPU per message. The server is told by the client what to expect: it needs no matching "
	       "options.\n\n"
	       "Examples:\n"
	       "  autocork bench client --no_delay          15 writes of 2 bytes\n"
	       "  autocork bench client --no_delay --cork   the same, corked\n"
	       "  autocork bench client --buffers=100 --json HOST\n"
	       "  autocork bench client --echo --check      both sides compare bytes\n",
};

static const struct cli_syntax server_syntax = {
	.options = server_table,
	.doc = "Answers the messages of `autocork bench client`.\n\n"
	       "Examples:\n"
	       "  autocork bench server                          serve until stopped\n"
	       "  autocork bench server --port=0 --once --json   one client, on a free port\n",
};

void bench_client_parse(struct bench_client_options *options, struct cli *cli, int argc, char **argv)
{
	*options = (struct bench_client_options){
		.port = BENCH_PORT,
		.family = AF_UNSPEC,
		.messages = 10000,
		.connections = 1,
		.buffers = 15,
		.size = 2,
		.response = 2,
		.response_writes = 1,
		.seed = 1,
	};
	cli_parse(cli, &client_syntax, argc, argv, options);
	options->json = cli->json;
}

void bench_server_parse(struct bench_server_options *options, struct cli *cli, int argc, char **argv)
{
	*options = (struct bench_server_options){ .port = BENCH_PORT, .family = AF_UNSPEC };
	cli_parse(cli, &server_syntax, argc, argv, options);
	options->json = cli->json;
}
