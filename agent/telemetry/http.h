/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * A small HTTP server inside the agent's event loop: GET and HEAD of fixed paths, read-only. No client can make it wait
 * or grow: connections, header bytes and times are bounded, and who exceeds them is dropped.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "lib/fault.h"

#define HTTP_CONNECTIONS 32
#define HTTP_SHARE 8		    /* of them, those of one user of this machine, or of one other machine */
#define HTTP_CONNECTION_BYTES 16384 /* of one connection: request line, headers, buffers */

struct http_request {
	const char *query;  /* name=value of ?name=value asked for by the route, NULL if it was not sent */
	const char *accept; /* header, NULL if it was not sent */
};

struct http_answer {
	unsigned status;  /* 200 unless changed */
	const char *type; /* Content-Type; a string that lives on */
	const void *body;
	size_t size;
	void *to_free; /* the body, if free() is to be called on it */
};

struct http_route {
	const char *path;
	const char *query; /* name of the one argument, or NULL */
	/* Fills the answer; non-zero gives 500. */
	int (*make)(void *context, const struct http_request *request, struct http_answer *answer);
};

struct http_options {
	const char *address; /* ADDRESS:PORT, an IPv4 or [IPv6] address or "localhost", port 0 takes a free one; or the
			      * path of a Unix socket */
	unsigned idle_s;     /* a connection on which nothing moves for so long is closed */
	unsigned request_s;  /* so long may one request take from its first byte to the last of its answer */
	const struct http_route *routes;
	size_t route_count;
	void *context; /* of the routes' functions */
};

struct http_counters {
	uint64_t requests; /* answered, whatever the status */
	uint64_t refused;  /* connections cut for taking too long or for others' sake, nonsense */
};

struct http;

int http_start(struct http **http, sd_event *loop, const struct http_options *options, struct fault *fault);
void http_stop(struct http *http); /* NULL is allowed */
/* "http://127.0.0.1:12675", or "http://unix:/run/x.sock:"; the path of a page goes behind it. */
const char *http_url(const struct http *http);
struct http_counters http_counters(const struct http *http);
