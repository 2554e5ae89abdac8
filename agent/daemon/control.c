/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The control socket's clients: reading requests, answering them, never waiting for anyone. */
#include "daemon/control.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/control_socket.h"
#include "lib/json.h"
#include "lib/log.h"

#define LOW_WATER 65536	 /* a list is continued when less than this waits to be read */
#define CHECK_US 2000000 /* how often stalled and idle clients are looked for */

struct control {
	struct control_socket socket;
	sd_event *loop;
	sd_event_source *accept, *check;
	const struct control_op *ops;
	size_t op_count;
	struct daemon *daemon;
	struct control_client *clients;
	size_t client_count;
};

struct control_client {
	struct control *control;
	struct control_client *prev, *next;
	sd_event_source *source;
	int fd;
	struct control_peer peer;
	struct client_input {
		char bytes[CONTROL_REQUEST_MAX + 1];
		size_t used;
	} in;
	char *out;
	size_t out_used, out_size;
	struct control_list list;
	size_t items;
	void (*gone)(void *context);
	void (*finish)(void *context); /* NULL: a stream has no end but the client's */
	void *gone_context;
	uint64_t progress_us; /* when it last asked or took something */
	bool listing, subscribed, answered;
	bool ended;   /* it asks no more; what it has asked is answered */
	bool closing; /* close once everything is read: it asked for nothing we could go on after */
	bool broken;  /* close now */
};

static uint64_t now_us(struct control *control)
{
	uint64_t now = 0;

	sd_event_now(control->loop, CLOCK_MONOTONIC, &now);
	return now;
}

static void client_free(struct control_client *client)
{
	struct control *control = client->control;

	sd_event_source_disable_unref(client->source);
	if (client->listing)
		client->list.done(client->list.context);
	if (client->subscribed)
		client->gone(client->gone_context);
	if (client->prev)
		client->prev->next = client->next;
	else
		control->clients = client->next;
	if (client->next)
		client->next->prev = client->prev;
	control->client_count--;
	close(client->fd);
	free(client->out);
	free(client);
}

/* Sends what the socket takes now. */
static void client_flush(struct control_client *client)
{
	size_t sent = 0;

	while (sent < client->out_used) {
		ssize_t n = send(client->fd, client->out + sent, client->out_used - sent, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0) {
			client->broken |= errno != EAGAIN && errno != EINTR;
			break;
		}
		sent += n;
	}
	if (!sent)
		return;
	client->progress_us = now_us(client->control);
	client->out_used -= sent;
	memmove(client->out, client->out + sent, client->out_used);
}

static int append(const char *bytes, size_t size, void *data)
{
	struct control_client *client = data;

	if (client->out_size - client->out_used < size) {
		size_t room = (client->out_used + size) * 2;
		char *out = realloc(client->out, room);

		if (!out)
			return -1;
		client->out = out;
		client->out_size = room;
	}
	memcpy(client->out + client->out_used, bytes, size);
	client->out_used += size;
	return 0;
}

/* Queues {KEY: value} as a line. Takes the reference. */
static void client_line(struct control_client *client, const char *key, json_t *value)
{
	json_t *line = json_pack("{so}", key, value);

	if (!line || json_dump_callback(line, append, client, JSON_COMPACT) || append("\n", 1, client)) {
		log_error("control: answer to pid %d: out of memory: it is disconnected", client->peer.pid);
		client->broken = true;
	}
	json_decref(line);
}

static void client_error(struct control_client *client, const struct fault *fault)
{
	json_t *error = json_fault(fault);

	client_line(client, "error", json_incref(json_object_get(error, "error")));
	json_decref(error);
}

void control_reply(struct control_client *client, json_t *value)
{
	client->answered = true;
	client_line(client, "reply", value);
}

void control_list(struct control_client *client, const struct control_list *list)
{
	client->answered = true;
	client->list = *list;
	client->listing = true;
	client->items = 0;
}

void control_subscribe(struct control_client *client, void (*gone)(void *context), void *context)
{
	client->answered = true;
	client->gone = gone;
	client->finish = NULL;
	client->gone_context = context;
	client->subscribed = true;
}

void control_on_end(struct control_client *client, void (*finish)(void *context))
{
	client->finish = finish;
}

static void finish_stream(struct control_client *client)
{
	client->subscribed = false;
	client->finish(client->gone_context);
}

bool control_push(struct control_client *client, json_t *value)
{
	if (client->out_used >= CONTROL_PENDING_MAX || client->broken) {
		json_decref(value);
		return false;
	}
	client_line(client, "item", value);
	client_flush(client);
	/* The caller may be in the middle of its list of subscribers: a broken client is freed by its own event, not
	 * here. */
	sd_event_source_set_io_events(client->source, EPOLLIN | (client->out_used || client->broken ? EPOLLOUT : 0));
	return true;
}

static void continue_list(struct control_client *client)
{
	while (client->listing && client->out_used < LOW_WATER && !client->broken) {
		json_t *item = client->list.next(client->list.context);

		if (item) {
			client->items++;
			client_line(client, "item", item);
			continue;
		}
		client->listing = false;
		client->list.done(client->list.context);
		client_line(client, "end", json_pack("{sI}", "items", (json_int_t)client->items));
	}
}

static int unknown_op(struct control *control, const char *name, struct fault *fault)
{
	char names[256] = "";

	for (size_t i = 0; i < control->op_count; i++) {
		size_t used = strlen(names);

		snprintf(names + used, sizeof(names) - used, "%s%s", i ? ", " : "", control->ops[i].name);
	}
	return fault_set(fault, EXIT_USAGE, "request: unknown op \"%.40s\": this agent knows %s", name, names);
}

static int run_request(struct control_client *client, const json_t *request, struct fault *fault)
{
	struct control *control = client->control;
	const char *name = json_string_value(json_object_get(request, "op"));

	if (!name)
		return fault_set(fault, EXIT_USAGE,
				 "request: no \"op\": send one JSON object a line, {\"op\": \"status\"}");
	for (size_t i = 0; i < control->op_count; i++) {
		const struct control_op *op = &control->ops[i];

		if (strcmp(op->name, name))
			continue;
		if (op->access == CONTROL_CHANGE && !client->peer.may_change)
			return fault_set(fault, EXIT_FAILED, "%s: uid %u may ask but not change: run it as root", name,
					 client->peer.uid);
		return op->run(control->daemon, client, request, fault);
	}
	return unknown_op(control, name, fault);
}

static void handle_line(struct control_client *client, const char *line, size_t length)
{
	struct fault fault;
	json_error_t error;
	json_t *request = json_loadb(line, length, JSON_REJECT_DUPLICATES, &error);
	int result;

	client->answered = false;
	if (!request)
		result =
			fault_set(&fault, EXIT_USAGE, "request: not JSON: %s: send one JSON object a line", error.text);
	else
		result = run_request(client, request, &fault);
	if (result && !client->answered)
		client_error(client, &fault);
	json_decref(request);
}

static bool is_busy(const struct control_client *client)
{
	return client->out_used || client->listing || client->subscribed || client->broken;
}

static void take_off(struct client_input *in, size_t length)
{
	in->used -= length;
	memmove(in->bytes, in->bytes + length, in->used);
}

static bool has_request(const struct client_input *in)
{
	return memchr(in->bytes, '\n', in->used) || in->used > CONTROL_REQUEST_MAX;
}

/*
 * One request a turn of the loop, and the next only when the answer to the one before has been read: a client that asks
 * for much at once waits behind all else that the agent has to do.
 */
static void handle_request(struct control_client *client)
{
	struct client_input *in = &client->in;
	size_t length = 0;
	char *end;

	if (is_busy(client) || client->closing || !has_request(in))
		return;
	while (length < in->used && in->bytes[length] == '\n')
		length++;
	take_off(in, length);
	end = memchr(in->bytes, '\n', in->used);
	if (end) {
		length = end + 1 - in->bytes;
		handle_line(client, in->bytes, length - 1);
		take_off(in, length);
	} else if (in->used > CONTROL_REQUEST_MAX) {
		client->closing = true;
		client_error(client, &(struct fault){ EXIT_USAGE, "request: longer than 64 KiB: send less" });
	}
	continue_list(client);
	client_flush(client);
}

/* Reads what is there; a half-closed client still gets its answers. */
static void client_read(struct control_client *client)
{
	struct client_input *in = &client->in;
	ssize_t n;

	if (client->ended || in->used == sizeof(in->bytes))
		return;
	n = recv(client->fd, in->bytes + in->used, sizeof(in->bytes) - in->used, MSG_DONTWAIT);
	if (n > 0) {
		in->used += n;
		/* One that sends on and on but takes nothing makes no progress. */
		if (!is_busy(client))
			client->progress_us = now_us(client->control);
	} else if (n == 0) {
		client->ended = true;
	} else if (errno != EAGAIN && errno != EINTR) {
		client->broken = true;
	}
}

/* Nothing more will come of it. */
static bool is_done(const struct control_client *client)
{
	if (client->broken)
		return true;
	if (client->ended && client->subscribed)
		return true;
	return !is_busy(client) && (client->closing || (client->ended && !has_request(&client->in)));
}

/* What is not read stays in the socket: a client that only sends stops itself. One that has asked on gets a turn of its
 * own. */
static uint32_t events_wanted(const struct control_client *client)
{
	bool full = client->in.used == sizeof(client->in.bytes) || client->closing || client->ended;
	bool asks = !is_busy(client) && has_request(&client->in);

	return (full ? 0 : EPOLLIN) | (client->out_used || client->listing || asks ? EPOLLOUT : 0);
}

static int on_client(sd_event_source *source, int fd, uint32_t events, void *data)
{
	struct control_client *client = data;

	if (events & EPOLLIN)
		client_read(client);
	if (events & EPOLLERR)
		client->broken = true;
	if (client->ended && client->subscribed && client->finish)
		finish_stream(client);
	client_flush(client);
	continue_list(client);
	client_flush(client);
	handle_request(client);
	if (is_done(client) || events & EPOLLHUP)
		client_free(client);
	else
		sd_event_source_set_io_events(source, events_wanted(client));
	return 0;
}

static int on_accept(sd_event_source *source, int fd, uint32_t events, void *data)
{
	struct control *control = data;
	struct control_client *client;
	struct control_peer peer;
	struct fault fault;
	int client_fd = control_socket_accept(&control->socket, &peer);

	if (client_fd < 0) {
		/* Out of descriptors: without a pause the loop would spin on the waiting client. */
		if (errno == EMFILE || errno == ENFILE)
			sd_event_source_set_enabled(source, SD_EVENT_OFF);
		return 0;
	}
	client = calloc(1, sizeof(*client));
	if (!client) {
		close(client_fd);
		return 0;
	}
	client->control = control;
	client->fd = client_fd;
	client->peer = peer;
	client->progress_us = now_us(control);
	client->next = control->clients;
	if (client->next)
		client->next->prev = client;
	control->clients = client;
	control->client_count++;
	if (sd_event_add_io(control->loop, &client->source, client_fd, EPOLLIN, on_client, client) < 0) {
		client_free(client);
		return 0;
	}
	if (!peer.may_read)
		fault_set(&fault, EXIT_FAILED,
			  "control socket: uid %u is not allowed: run it as root or join the group %s", peer.uid,
			  control->socket.group);
	else if (control->client_count > CONTROL_CLIENTS_MAX)
		fault_set(&fault, EXIT_FAILED, "control socket: %d clients are connected already: try again",
			  CONTROL_CLIENTS_MAX);
	else
		return 0;
	client_error(client, &fault);
	client_flush(client);
	client_free(client);
	return 0;
}

static int on_check(sd_event_source *source, uint64_t usec, void *data)
{
	struct control *control = data;
	struct control_client *client, *next;
	uint64_t now = now_us(control);

	for (client = control->clients; client; client = next) {
		uint64_t quiet = now - client->progress_us;

		next = client->next;
		if (client->out_used && quiet > CONTROL_STALL_S * 1000000ull) {
			log_warning("control: pid %d does not read its answers: it is disconnected", client->peer.pid);
			client_free(client);
		} else if (!is_busy(client) && quiet > CONTROL_IDLE_S * 1000000ull) {
			client_free(client);
		}
	}
	sd_event_source_set_enabled(control->accept, SD_EVENT_ON);
	sd_event_source_set_time_relative(source, CHECK_US);
	sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
	return 0;
}

int control_start(struct control **result, sd_event *loop, const char *path, const struct control_op *ops,
		  size_t op_count, struct daemon *daemon, struct fault *fault)
{
	struct control *control = calloc(1, sizeof(*control));
	int error;

	if (!control)
		return fault_set(fault, EXIT_FAILED, "%s: out of memory", path);
	*control = (struct control){ .loop = loop, .ops = ops, .op_count = op_count, .daemon = daemon };
	if (control_socket_open(&control->socket, path, fault)) {
		free(control);
		return -1;
	}
	error = sd_event_add_io(loop, &control->accept, control->socket.fd, EPOLLIN, on_accept, control);
	if (error >= 0)
		error = sd_event_add_time_relative(loop, &control->check, CLOCK_MONOTONIC, CHECK_US, 0, on_check,
						   control);
	if (error < 0) {
		control_stop(control);
		return fault_set(fault, EXIT_FAILED, "%s: cannot be watched: %s", path, strerror(-error));
	}
	*result = control;
	return 0;
}

void control_stop(struct control *control)
{
	if (!control)
		return;
	while (control->clients)
		client_free(control->clients);
	sd_event_source_disable_unref(control->accept);
	sd_event_source_disable_unref(control->check);
	control_socket_close(&control->socket);
	free(control);
}
