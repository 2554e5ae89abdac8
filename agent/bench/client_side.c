/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The client: sends messages in small writes, waits for each response, and measures. */
#include <endian.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bench/result.h"
#include "bench/sides.h"
#include "bench/wire.h"
#include "lib/clock.h"

struct connection {
	int fd;
	bool greeted;		 /* the hello is out */
	uint32_t left;		 /* messages still to send */
	uint64_t sent, received; /* bytes, for the pattern's position */
	struct bench_counted start;
};

struct client {
	const struct bench_client_options *options;
	struct connection *connections;
	uint8_t *room;	   /* a hello, then a message */
	uint8_t *response; /* a response, then a report */
	uint32_t message_size;
	struct bench_result result;
	struct fault *fault;
};

static void rest(uint32_t us)
{
	struct timespec t = { us / 1000000, us % 1000000 * 1000 };

	if (us)
		clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL);
}

/* How many of `total` messages connection number `i` gets when they take turns. */
static uint32_t share(uint32_t total, uint32_t i, uint32_t connections)
{
	return total / connections + (i < total % connections);
}

static int connect_all(struct client *client)
{
	const struct bench_client_options *o = client->options;
	struct addrinfo *list = bench_resolve(o->host, o->port, o->family, client->fault);

	if (!list)
		return -1;
	bench_allow_files(o->connections);
	for (uint32_t i = 0; i < o->connections; i++) {
		struct connection *c = &client->connections[i];

		c->fd = bench_connect(list, o->host, o->port, client->fault);
		c->left = share(o->warmup + o->messages, i, o->connections);
		if (c->fd < 0) {
			freeaddrinfo(list);
			return -1;
		}
		if (o->no_delay)
			bench_no_delay(c->fd);
	}
	freeaddrinfo(list);
	return 0;
}

static struct bench_hello hello(const struct client *client, uint32_t number)
{
	const struct bench_client_options *o = client->options;
	struct bench_hello h = {
		.flags = htole32((o->check ? BENCH_HELLO_CHECK : 0) | (o->echo ? BENCH_HELLO_ECHO : 0) |
				 (o->server_no_delay ? BENCH_HELLO_NO_DELAY : 0)),
		.message_size = htole32(client->message_size),
		.response_size = htole32(o->response),
		.response_writes = htole32(o->response_writes),
		.messages = htole32(share(o->warmup + o->messages, number, o->connections)),
		.warmup = htole32(share(o->warmup, number, o->connections)),
	};

	memcpy(h.magic, BENCH_MAGIC, sizeof(h.magic));
	return h;
}

/* The end of write number `i` of `writes` in a message of `size` bytes. */
static uint32_t cut_at(const struct bench_client_options *o, uint32_t size, uint32_t i, uint32_t writes)
{
	if (o->cut == BENCH_CUT_HEADER && i == 0)
		return 3 * o->size;
	return (uint32_t)((uint64_t)size * (i + 1) / writes);
}

static uint32_t writes_of_next(struct client *client, uint64_t *random)
{
	const struct bench_client_options *o = client->options;

	switch (o->cut) {
	case BENCH_CUT_SINGLE:
		return 1;
	case BENCH_CUT_HEADER:
		return 2;
	case BENCH_CUT_RANDOM:
		/* Knuth's MMIX generator: the same cuts for the same seed on every machine. */
		*random = *random * 6364136223846793005u + 1442695040888963407u;
		return 1 + (uint32_t)(*random >> 33) % o->buffers;
	default:
		return o->buffers;
	}
}

static void set_cork(int fd, int on)
{
	setsockopt(fd, SOL_TCP, TCP_CORK, &on, sizeof(on));
}

static int send_message(struct client *client, struct connection *c, uint32_t writes)
{
	const struct bench_client_options *o = client->options;
	uint8_t *message = client->room + sizeof(struct bench_hello);
	uint32_t begin = 0;

	if (o->check)
		bench_fill(message, client->message_size, c->sent);
	if (o->cork)
		set_cork(c->fd, 1);
	for (uint32_t i = 0; i < writes; i++) {
		uint32_t end = cut_at(o, client->message_size, i, writes), front = 0;

		if (i)
			rest(o->write_pause_us);
		if (!c->greeted) {
			struct bench_hello h = hello(client, (uint32_t)(c - client->connections));

			memcpy(client->room, &h, sizeof(h));
			front = sizeof(h);
			c->greeted = true;
		}
		if (bench_write_all(c->fd, message + begin - front, end - begin + front))
			return -1;
		begin = end;
	}
	if (o->cork)
		set_cork(c->fd, 0);
	c->sent += client->message_size;
	return 0;
}

static void take_report(struct client *client)
{
	struct bench_report report;
	uint64_t cpu;

	memcpy(&report, client->response + client->options->response, sizeof(report));
	cpu = le64toh(report.cpu_ns);
	/* Connections share one server process and run side by side: the longest account covers the others. */
	if (client->result.server_cpu_ns < cpu)
		client->result.server_cpu_ns = cpu;
	client->result.server_segments += le32toh(report.segments);
	client->result.wrong_bytes += le32toh(report.wrong_bytes);
}

static int read_response(struct client *client, struct connection *c)
{
	const struct bench_client_options *o = client->options;
	bool last = --c->left == 0;

	if (bench_read_all(c->fd, client->response, o->response + (last ? sizeof(struct bench_report) : 0)))
		return -1;
	if (o->check)
		client->result.wrong_bytes += bench_wrong(client->response, o->response, c->received);
	c->received += o->response;
	if (last)
		take_report(client);
	return 0;
}

static int exchange(struct client *client, uint32_t number, uint64_t *random, uint64_t *ns)
{
	struct connection *c = &client->connections[number % client->options->connections];
	uint32_t writes = writes_of_next(client, random);
	uint64_t start = monotonic_ns();

	if (send_message(client, c, writes) || read_response(client, c))
		return fault_set(client->fault, EXIT_FAILED, "message %u: %s: see what the server says", number + 1,
				 strerror(errno));
	*ns = monotonic_ns() - start;
	return 0;
}

static void print_each(struct client *client, uint32_t number, uint64_t ns, uint32_t *segments)
{
	struct connection *c = &client->connections[number % client->options->connections];
	struct bench_counted now;

	bench_count(c->fd, &now);
	fprintf(client->options->json ? stderr : stdout, "message %u: %.1f us, %u packets\n", number + 1,
		(double)ns / 1000, now.segments - *segments);
	*segments = now.segments;
}

static int run(struct client *client)
{
	const struct bench_client_options *o = client->options;
	struct bench_result *r = &client->result;
	uint64_t random = o->seed, begin = 0, ns = 0;
	uint32_t each_segments = 0;
	struct bench_cpu before = { 0 }, after;
	struct bench_counted counted;

	for (uint32_t i = 0; i < o->warmup + o->messages; i++) {
		if (i == o->warmup) {
			for (uint32_t k = 0; k < o->connections; k++)
				bench_count(client->connections[k].fd, &client->connections[k].start);
			bench_cpu_used(&before);
			begin = monotonic_ns();
		}
		if (exchange(client, i, &random, &ns))
			return -1;
		if (i >= o->warmup)
			r->message_ns[i - o->warmup] = ns;
		if (o->each)
			print_each(client, i, ns, &each_segments);
		rest(o->pause_us);
	}
	r->elapsed_ns = monotonic_ns() - begin;
	bench_cpu_used(&after);
	r->user_ns = after.user_ns - before.user_ns;
	r->system_ns = after.system_ns - before.system_ns;
	for (uint32_t k = 0; k < o->connections; k++) {
		bench_count(client->connections[k].fd, &counted);
		r->segments += counted.segments - client->connections[k].start.segments;
		r->retransmits += counted.retransmits - client->connections[k].start.retransmits;
	}
	return 0;
}

static void client_free(struct client *client)
{
	for (uint32_t i = 0; client->connections && i < client->options->connections; i++)
		if (client->connections[i].fd >= 0)
			close(client->connections[i].fd);
	free(client->connections);
	free(client->room);
	free(client->response);
	free(client->result.message_ns);
}

static int client_allocate(struct client *client)
{
	const struct bench_client_options *o = client->options;

	client->connections = calloc(o->connections, sizeof(*client->connections));
	client->room = malloc(sizeof(struct bench_hello) + client->message_size);
	client->response = malloc(o->response + sizeof(struct bench_report));
	client->result.message_ns = calloc(o->messages, sizeof(*client->result.message_ns));
	for (uint32_t i = 0; client->connections && i < o->connections; i++)
		client->connections[i].fd = -1;
	if (!client->connections || !client->room || !client->response || !client->result.message_ns)
		return fault_set(client->fault, EXIT_FAILED, "memory for %u messages: %s: ask for fewer", o->messages,
				 strerror(ENOMEM));
	bench_fill(client->room + sizeof(struct bench_hello), client->message_size, 0);
	return 0;
}

int bench_client_run(const struct bench_client_options *options, struct fault *fault)
{
	struct client client = {
		.options = options,
		.fault = fault,
		.message_size = options->buffers * options->size,
		.result.messages = options->messages,
	};
	int status = -1;

	signal(SIGPIPE, SIG_IGN);
	if (client_allocate(&client) || connect_all(&client) || run(&client))
		goto out;
	bench_result_print(options, &client.result);
	fflush(stdout);
	rest(options->keep_s * 1000000u);
	status = 0;
	if (client.result.wrong_bytes)
		status = fault_set(fault, EXIT_FAILED,
				   "%llu bytes differ from what was sent: keep this run's packet trace",
				   (unsigned long long)client.result.wrong_bytes);
out:
	client_free(&client);
	return status;
}
