/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Command lines of `autocork bench client` and `autocork bench server`. */
#include "bench/options.h"

#include <argp.h>
#include <sys/socket.h>


enum {
	KEY_BUFFERS = 'b', KEY_CHECK = 'C', KEY_CORK = 'c', KEY_HEADER = 'H', KEY_MESSAGES = 'N', KEY_NO_DELAY = 'n',
	KEY_PORT = 'p', KEY_RATE = 'r', KEY_SINGLE = 's', KEY_SIZE = 'S', KEY_VERBOSE = 'v', KEY_V4 = '4', KEY_V6 = '6',
	KEY_CONNECTIONS = 256, KEY_EACH, KEY_ECHO, KEY_HOST, KEY_KEEP, KEY_ONCE, KEY_PAUSE, KEY_RANDOM, KEY_RESPONSE,
	KEY_RESPONSE_WRITES, KEY_SEED, KEY_SERVER_NO_DELAY, KEY_WARMUP, KEY_WRITE_PAUSE,
};

#define HIDDEN_ALIAS (OPTION_ALIAS | OPTION_HIDDEN)

static const struct argp_option client_table[] = {
	{ "host", KEY_HOST, "HOST", 0, "server's name or address [localhost]", 1 },
	{ "port", KEY_PORT, "PORT", 0, "server's port [" BENCH_PORT "]", 1 },
	{ "ipv4", KEY_V4, 0, 0, "IPv4 only", 1 },
	{ "ipv6", KEY_V6, 0, 0, "IPv6 only", 1 },
	{ "connections", KEY_CONNECTIONS, "N", 0, "connections that take turns, message by message [1]", 1 },

	{ "nr_logical_packets", KEY_MESSAGES, "N", 0, "messages to send [10000]", 2 },
	{ "messages", KEY_MESSAGES, 0, OPTION_ALIAS, 0, 2 },
	{ "nr-logical-packets", KEY_MESSAGES, 0, HIDDEN_ALIAS, 0, 2 },
	{ "warmup", KEY_WARMUP, "N", 0, "messages sent first that count for nothing [0]", 2 },
	{ "pause", KEY_PAUSE, "USEC", 0, "rest between two messages [0]", 2 },
	{ "rate", KEY_RATE, "PER_SECOND", 0, "the same, as messages per second", 2 },

	{ "buffers", KEY_BUFFERS, "N", 0, "writes per message [15]", 3 },
	{ "size", KEY_SIZE, "BYTES", 0, "bytes per write [2]", 3 },
	{ "header_plus_payload", KEY_HEADER, 0, 0, "send a message as a header of three buffers, then the rest", 3 },
	{ "header-plus-payload", KEY_HEADER, 0, HIDDEN_ALIAS, 0, 3 },
	{ "single_request", KEY_SINGLE, 0, 0, "send a message in a single write", 3 },
	{ "single-request", KEY_SINGLE, 0, HIDDEN_ALIAS, 0, 3 },
	{ "random", KEY_RANDOM, 0, 0, "cut each message anew into 1 to N writes", 3 },
	{ "seed", KEY_SEED, "N", 0, "of the random cuts [1]", 3 },
	{ "write_pause", KEY_WRITE_PAUSE, "USEC", 0, "rest between two writes of a message [0]", 3 },

	{ "no_delay", KEY_NO_DELAY, 0, 0, "set TCP_NODELAY", 4 },
	{ "no-delay", KEY_NO_DELAY, 0, HIDDEN_ALIAS, 0, 4 },
	{ "cork", KEY_CORK, 0, 0, "set TCP_CORK before each message, take it off after", 4 },

	{ "response", KEY_RESPONSE, "BYTES", 0, "bytes of a response [2]", 5 },
	{ "response_writes", KEY_RESPONSE_WRITES, "N", 0, "writes per response [1]", 5 },
	{ "server_no_delay", KEY_SERVER_NO_DELAY, 0, 0, "the server is to set TCP_NODELAY too", 5 },
	{ "echo", KEY_ECHO, 0, 0, "the response is the message itself", 5 },
	{ "check", KEY_CHECK, 0, 0, "both sides compare every byte", 5 },

	{ "each", KEY_EACH, 0, 0, "print each message's time and packets (slows the client)", 6 },
	{ "keep", KEY_KEEP, "SECONDS", 0, "keep the connections open that long at the end [0]", 6 },
	{ "verbose", KEY_VERBOSE, 0, 0, "also print the classic line", 6 },
	{ 0 },
};

static const struct argp_option server_table[] = {
	{ "host", KEY_HOST, "HOST", 0, "address to listen on [all]", 1 },
	{ "port", KEY_PORT, "PORT", 0, "port to listen on, 0 for a free one [" BENCH_PORT "]", 1 },
	{ "ipv4", KEY_V4, 0, 0, "IPv4 only", 1 },
	{ "ipv6", KEY_V6, 0, 0, "IPv6 only", 1 },
	{ "connections", KEY_CONNECTIONS, "N", 0, "leave after N connections [0 = never]", 1 },
	{ "once", KEY_ONCE, 0, 0, "the same as --connections=1", 1 },
	{ "no_delay", KEY_NO_DELAY, 0, 0, "set TCP_NODELAY", 2 },
	{ "no-delay", KEY_NO_DELAY, 0, HIDDEN_ALIAS, 0, 2 },
	{ "verbose", KEY_VERBOSE, 0, 0, "print a line per connection", 3 },
	{ 0 },
};

static uint32_t number(struct argp_state *state, const char *name, const char *text, uint32_t min, uint32_t max)
{
	return (uint32_t)cli_number(state, name, text, min, max);
}

static const char *port_number(struct argp_state *state, const char *text, uint32_t min)
{
	number(state, "port", text, min, 65535);
	return text;
}

static error_t client_option(int key, char *arg, struct argp_state *state)
{
	struct bench_client_options *o = state->input;

	switch (key) {
	case KEY_HOST:
	case ARGP_KEY_ARG: o->host = arg; break;
	case KEY_PORT: o->port = port_number(state, arg, 1); break;
	case KEY_V4: o->family = AF_INET; break;
	case KEY_V6: o->family = AF_INET6; break;
	case KEY_CONNECTIONS: o->connections = number(state, "connections", arg, 1, BENCH_CONNECTIONS_MAX); break;
	case KEY_MESSAGES: o->messages = number(state, "messages", arg, 1, BENCH_MESSAGES_MAX); break;
	case KEY_WARMUP: o->warmup = number(state, "warmup", arg, 0, BENCH_MESSAGES_MAX); break;
	case KEY_PAUSE: o->pause_us = number(state, "pause", arg, 0, 60000000); break;
	case KEY_RATE: o->pause_us = 1000000 / number(state, "rate", arg, 1, 1000000); break;
	case KEY_BUFFERS: o->buffers = number(state, "buffers", arg, 1, 100000); break;
	case KEY_SIZE: o->size = number(state, "size", arg, 1, BENCH_SIZE_MAX); break;
	case KEY_HEADER: o->cut = BENCH_CUT_HEADER; break;
	case KEY_SINGLE: o->cut = BENCH_CUT_SINGLE; break;
	case KEY_RANDOM: o->cut = BENCH_CUT_RANDOM; break;
	case KEY_SEED: o->seed = number(state, "seed", arg, 0, UINT32_MAX); break;
	case KEY_WRITE_PAUSE: o->write_pause_us = number(state, "write_pause", arg, 0, 60000000); break;
	case KEY_NO_DELAY: o->no_delay = true; break;
	case KEY_CORK: o->cork = true; break;
	case KEY_RESPONSE: o->response = number(state, "response", arg, 1, BENCH_SIZE_MAX); break;
	case KEY_RESPONSE_WRITES: o->response_writes = number(state, "response_writes", arg, 1, 100000); break;
	case KEY_SERVER_NO_DELAY: o->server_no_delay = true; break;
	case KEY_ECHO: o->echo = true; break;
	case KEY_CHECK: o->check = true; break;
	case KEY_EACH: o->each = true; break;
	case KEY_KEEP: o->keep_s = number(state, "keep", arg, 0, 86400); break;
	case KEY_VERBOSE: o->verbose = true; break;
	case ARGP_KEY_END:
		if ((uint64_t)o->buffers * o->size > BENCH_SIZE_MAX)
			argp_error(state, "--buffers times --size: a message is at most %u bytes", BENCH_SIZE_MAX);
		if ((uint64_t)o->messages + o->warmup > BENCH_MESSAGES_MAX)
			argp_error(state, "--messages and --warmup: at most %u together", BENCH_MESSAGES_MAX);
		if (o->cut == BENCH_CUT_HEADER && o->buffers < 4)
			argp_error(state, "--header_plus_payload: needs --buffers of at least 4");
		if (o->echo)
			o->response = o->buffers * o->size;
		if (o->response_writes > o->response)
			argp_error(state, "--response_writes=%u: more than the %u bytes of a response",
				   o->response_writes, o->response);
		break;
	default: return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

static error_t server_option(int key, char *arg, struct argp_state *state)
{
	struct bench_server_options *o = state->input;

	switch (key) {
	case KEY_HOST: o->host = arg; break;
	case KEY_PORT: o->port = port_number(state, arg, 0); break;
	case KEY_V4: o->family = AF_INET; break;
	case KEY_V6: o->family = AF_INET6; break;
	case KEY_CONNECTIONS: o->connections = number(state, "connections", arg, 0, UINT32_MAX); break;
	case KEY_ONCE: o->connections = 1; break;
	case KEY_NO_DELAY: o->no_delay = true; break;
	case KEY_VERBOSE: o->verbose = true; break;
	default: return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

static const struct argp client_argp = {
	.options = client_table,
	.parser = client_option,
	.args_doc = "[HOST]",
	.doc = "Sends messages, each cut into small writes, waits for the response of each, and prints microseconds, packets "
	       "and CPU per message. The server is told by the client what to expect: it needs no matching options.\n\n"
	       "Examples:\n"
	       "  autocork bench client --no_delay          15 writes of 2 bytes each, TCP_NODELAY\n"
	       "  autocork bench client --no_delay --cork   the same, corked by the program\n"
	       "  autocork bench client --buffers=100 --json HOST\n"
	       "  autocork bench client --echo --check      every byte compared, on both sides\n",
};

static const struct argp server_argp = {
	.options = server_table,
	.parser = server_option,
	.doc = "Answers the messages of `autocork bench client`.\n\n"
	       "Examples:\n"
	       "  autocork bench server                             serve until stopped\n"
	       "  autocork bench server --port=0 --once --json      a free port, one connection\n",
};

void bench_client_parse(struct bench_client_options *options, struct cli *cli, int argc, char **argv)
{
	*options = (struct bench_client_options){
		.host = "localhost", .port = BENCH_PORT, .family = AF_UNSPEC, .messages = 10000, .connections = 1,
		.buffers = 15, .size = 2, .response = 2, .response_writes = 1, .seed = 1,
	};
	cli_parse(cli, &client_argp, argc, argv, options);
	options->json = cli->json;
}

void bench_server_parse(struct bench_server_options *options, struct cli *cli, int argc, char **argv)
{
	*options = (struct bench_server_options){ .port = BENCH_PORT, .family = AF_UNSPEC };
	cli_parse(cli, &server_argp, argc, argv, options);
	options->json = cli->json;
}
