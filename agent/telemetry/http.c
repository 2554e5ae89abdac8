/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "telemetry/http.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "telemetry/http_address.h"
#include "telemetry/http_peer.h"
#include "telemetry/http_unix.h"

#define BACKLOG 128
#define CUT_AT_ONCE 16u /* those that are cut are MHD's until it has seen their end */
#define SWEEP_US 500000 /* how often connections that take too long are looked for, while there are any */

struct http {
	struct MHD_Daemon *daemon;
	struct http_options options;
	struct http_counters counters;
	sd_event_source *io, *timer;
	struct connection *connections;
	bool loopback;	/* who opens it to the network wants to be asked by any name */
	char path[108]; /* of its Unix socket, "" = it has none */
	char url[128];
};

/* What MHD does not watch: the total time of a request. */
struct connection {
	struct connection *prev, *next;
	struct MHD_Connection *connection;
	uint64_t since; /* µs; when it connected, or its last answer was done */
	uint64_t peer;	/* http_peer() */
	bool busy;	/* a request is being answered */
	bool cut;
};

static void cut(struct http *http, struct connection *c)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(c->connection, MHD_CONNECTION_INFO_CONNECTION_FD);

	/* MHD sees the end of the stream and cleans up by itself. */
	if (info)
		shutdown(info->connect_fd, SHUT_RDWR);
	c->cut = true;
	http->counters.refused++;
}

static unsigned connections_of(const struct http *http, uint64_t peer)
{
	unsigned count = 0;

	for (const struct connection *c = http->connections; c; c = c->next)
		count += !c->cut && c->peer == peer;
	return count;
}

/* Idle ones go first, of these the one that has been so for longest. */
static bool goes_before(const struct connection *a, const struct connection *b)
{
	return a->busy == b->busy ? a->since <= b->since : !a->busy;
}

/* There may be one too many: one of those goes who have most. */
static void make_room(struct http *http, uint64_t newest)
{
	struct connection *victim = NULL;
	unsigned all = 0, most = 0;
	bool full;

	for (const struct connection *c = http->connections; c; c = c->next)
		all += !c->cut;
	full = all > HTTP_CONNECTIONS;
	if (!full && connections_of(http, newest) <= HTTP_SHARE)
		return;
	/* From the newest to the oldest. */
	for (struct connection *c = http->connections; c; c = c->next) {
		unsigned count = connections_of(http, c->peer);

		if (c->cut || (!full && c->peer != newest))
			continue;
		if (!victim || count > most || (count == most && goes_before(c, victim))) {
			victim = c;
			most = count;
		}
	}
	if (victim)
		cut(http, victim);
}

static void connection_notify(void *context, struct MHD_Connection *mhd, void **slot,
			      enum MHD_ConnectionNotificationCode code)
{
	const union MHD_ConnectionInfo *info;
	struct http *http = context;
	struct connection *connection = *slot;

	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		connection = calloc(1, sizeof(*connection));
		*slot = connection;
		if (!connection)
			return;
		connection->connection = mhd;
		connection->since = monotonic_us();
		connection->next = http->connections;
		if (connection->next)
			connection->next->prev = connection;
		http->connections = connection;
		info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
		if (info)
			connection->peer = http_peer(info->connect_fd);
		make_room(http, connection->peer);
	} else if (connection) {
		if (connection->prev)
			connection->prev->next = connection->next;
		else
			http->connections = connection->next;
		if (connection->next)
			connection->next->prev = connection->prev;
		free(connection);
		*slot = NULL;
	}
}

static void request_completed(void *context, struct MHD_Connection *mhd, void **request,
			      enum MHD_RequestTerminationCode code)
{
	struct http *http = context;
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	struct connection *connection = info ? info->socket_context : NULL;

	if (code == MHD_REQUEST_TERMINATED_COMPLETED_OK)
		http->counters.requests++;
	if (connection) {
		connection->since = monotonic_us();
		connection->busy = false;
	}
}

static void cut_slow(struct http *http)
{
	uint64_t now = monotonic_us();

	for (struct connection *c = http->connections; c; c = c->next)
		if (!c->cut && now - c->since >= http->options.request_s * 1000000ull)
			cut(http, c);
}

static enum MHD_Result queue(struct MHD_Connection *mhd, const struct http_answer *answer)
{
	struct MHD_Response *response =
		MHD_create_response_from_buffer(answer->size, answer->to_free ? answer->to_free : (void *)answer->body,
						answer->to_free ? MHD_RESPMEM_MUST_FREE : MHD_RESPMEM_PERSISTENT);
	enum MHD_Result result;

	if (!response) {
		free(answer->to_free);
		return MHD_NO;
	}
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, answer->type);
	MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
	MHD_add_response_header(response, "X-Frame-Options", "DENY");
	MHD_add_response_header(response, "Referrer-Policy", "no-referrer");
	MHD_add_response_header(
		response, "Content-Security-Policy",
		"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
	if (answer->status == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	result = MHD_queue_response(mhd, answer->status, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result say(struct MHD_Connection *mhd, unsigned status, const char *text)
{
	return queue(mhd, &(struct http_answer){ .status = status,
						 .type = "text/plain; charset=utf-8",
						 .body = text,
						 .size = strlen(text) });
}

static enum MHD_Result answer(void *context, struct MHD_Connection *mhd, const char *url, const char *method,
			      const char *version, const char *upload, size_t *upload_size, void **request_slot)
{
	struct http *http = context;
	struct http_answer made = { .status = MHD_HTTP_OK };
	struct http_request request;
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	if (info && info->socket_context)
		((struct connection *)info->socket_context)->busy = true;
	if (strcmp(method, MHD_HTTP_METHOD_GET) && strcmp(method, MHD_HTTP_METHOD_HEAD)) {
		http->counters.refused++;
		return say(mhd, MHD_HTTP_METHOD_NOT_ALLOWED, "This server is read-only: GET and HEAD.\n");
	}
	if (http->loopback &&
	    !http_host_allowed(MHD_lookup_connection_value(mhd, MHD_HEADER_KIND, MHD_HTTP_HEADER_HOST))) {
		http->counters.refused++;
		return say(mhd, 421, "Host: ask by address, localhost or this machine's name.\n");
	}
	request.accept = MHD_lookup_connection_value(mhd, MHD_HEADER_KIND, MHD_HTTP_HEADER_ACCEPT);
	for (size_t i = 0; i < http->options.route_count; i++) {
		const struct http_route *route = &http->options.routes[i];

		if (strcmp(url, route->path))
			continue;
		request.query =
			route->query ? MHD_lookup_connection_value(mhd, MHD_GET_ARGUMENT_KIND, route->query) : NULL;
		if (route->make(http->options.context, &request, &made))
			return say(mhd, MHD_HTTP_INTERNAL_SERVER_ERROR,
				   "The answer could not be made: see the agent's log.\n");
		return queue(mhd, &made);
	}
	return say(mhd, MHD_HTTP_NOT_FOUND, "Nothing here: / has the list.\n");
}

/* MHD runs in this loop: after each run it says when it wants to run again, events or not. */
static void run(struct http *http)
{
	MHD_UNSIGNED_LONG_LONG wait_ms;
	uint64_t wait_us = UINT64_MAX, now;
	bool busy = http->connections;

	MHD_run(http->daemon);
	cut_slow(http);
	if (MHD_get_timeout(http->daemon, &wait_ms) == MHD_YES)
		wait_us = wait_ms * 1000;
	/*
	 * Once more after the last connection went, too: libmicrohttpd 0.9.75 takes its listening socket out of the
	 * epoll set at the connection limit, puts it back at the start of a run only, and does not ask for that run.
	 */
	if ((busy || http->connections) && wait_us > SWEEP_US)
		wait_us = SWEEP_US;
	if (wait_us == UINT64_MAX) {
		sd_event_source_set_enabled(http->timer, SD_EVENT_OFF);
		return;
	}
	now = monotonic_us();
	sd_event_source_set_time(http->timer, now + wait_us);
	sd_event_source_set_enabled(http->timer, SD_EVENT_ONESHOT);
}

static int on_io(sd_event_source *source, int fd, uint32_t events, void *context)
{
	run(context);
	return 0;
}

static int on_time(sd_event_source *source, uint64_t usec, void *context)
{
	run(context);
	return 0;
}

static void on_log(void *context, const char *format, va_list args)
{
	char line[256];

	vsnprintf(line, sizeof(line), format, args);
	line[strcspn(line, "\n")] = '\0';
	log_debug("http: %s", line);
}

static int listen_on(struct http *http, const char *text, struct fault *fault)
{
	struct sockaddr_storage address;
	socklen_t size;
	int fd, one = 1;

	if (*text == '/') {
		fd = http_unix_listen(text, BACKLOG, fault);
		if (fd >= 0) {
			snprintf(http->path, sizeof(http->path), "%s", text);
			snprintf(http->url, sizeof(http->url), "http://unix:%s:", text);
		}
		return fd;
	}
	if (http_address_parse(text, &address, &size, fault))
		return -1;
	fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return fault_set(fault, EXIT_FAILED, "metrics address %s: no socket: %s", text, strerror(errno));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&address, size) || listen(fd, BACKLOG)) {
		fault_set(
			fault, EXIT_FAILED,
			"metrics address %s: %s: name another in `metrics =` of [agent], or stop who listens there (ss "
			"-ltnp); then autocork reload",
			text, strerror(errno));
		close(fd);
		return -1;
	}
	getsockname(fd, (struct sockaddr *)&address, &size);
	http_address_url(&address, http->url, sizeof(http->url));
	http->loopback = http_address_loopback(&address);
	return fd;
}

int http_start(struct http **result, sd_event *loop, const struct http_options *options, struct fault *fault)
{
	struct http *http = calloc(1, sizeof(*http));
	const union MHD_DaemonInfo *info;
	int fd;

	if (!http)
		return fault_set(fault, EXIT_FAILED, "metrics: out of memory");
	http->options = *options;
	fd = listen_on(http, options->address, fault);
	if (fd < 0) {
		free(http);
		return -1;
	}
	/* clang-format off */
	http->daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_ERROR_LOG, 0, NULL, NULL, answer, http,
					MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL,
					MHD_OPTION_LISTEN_SOCKET, fd,
					MHD_OPTION_CONNECTION_LIMIT, HTTP_CONNECTIONS + CUT_AT_ONCE,
					MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HTTP_CONNECTION_BYTES,
					MHD_OPTION_CONNECTION_TIMEOUT, options->idle_s,
					MHD_OPTION_NOTIFY_CONNECTION, connection_notify, http,
					MHD_OPTION_NOTIFY_COMPLETED, request_completed, http, MHD_OPTION_END);
	/* clang-format on */
	if (!http->daemon) {
		close(fd);
		free(http);
		return fault_set(fault, EXIT_FAILED, "metrics address %s: the HTTP server does not start: see the log",
				 options->address);
	}
	info = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	if (!info || sd_event_add_io(loop, &http->io, info->epoll_fd, EPOLLIN, on_io, http) < 0 ||
	    sd_event_add_time(loop, &http->timer, CLOCK_MONOTONIC, 0, 0, on_time, http) < 0) {
		http_stop(http);
		return fault_set(fault, EXIT_FAILED, "metrics: no event source: see the limits on descriptors");
	}
	*result = http;
	return 0;
}

void http_stop(struct http *http)
{
	if (!http)
		return;
	sd_event_source_disable_unref(http->io);
	sd_event_source_disable_unref(http->timer);
	if (*http->path)
		unlink(http->path);
	MHD_stop_daemon(http->daemon);
	free(http);
}

const char *http_url(const struct http *http)
{
	return http->url;
}

struct http_counters http_counters(const struct http *http)
{
	return http->counters;
}
