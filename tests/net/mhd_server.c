/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* A small libmicrohttpd server for tests/net/test_http.py: `mhd_server PORT BYTES` answers every GET with that many 'm'. */
#include <errno.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static enum MHD_Result answer(void *body, struct MHD_Connection *connection, const char *url, const char *method,
			      const char *version, const char *upload, size_t *upload_size, void **request)
{
	static int known;

	/* An answer at the first call, which has only the headers, makes it close the connection after. */
	if (!*request) {
		*request = &known;
		return MHD_YES;
	}
	return MHD_queue_response(connection, MHD_HTTP_OK, body);
}

static long number(const char *text, long max)
{
	char *end;
	long value;

	errno = 0;
	value = strtol(text, &end, 10);
	if (errno || *end || value < 1 || value > max) {
		fprintf(stderr, "mhd_server: %s: not a number from 1 to %ld\n", text, max);
		exit(2);
	}
	return value;
}

int main(int argc, char **argv)
{
	struct MHD_Response *response;
	struct MHD_Daemon *daemon;
	size_t size;
	char *body;

	if (argc != 3) {
		fprintf(stderr, "usage: mhd_server PORT BYTES\n");
		return 2;
	}
	size = (size_t)number(argv[2], 1 << 24);
	body = malloc(size);
	if (!body)
		return 1;
	memset(body, 'm', size);
	response = MHD_create_response_from_buffer(size, body, MHD_RESPMEM_MUST_FREE);
	daemon = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD, (uint16_t)number(argv[1], 65535), NULL, NULL, answer, response,
				  MHD_OPTION_END);
	if (!daemon) {
		fprintf(stderr, "mhd_server: port %s: cannot listen\n", argv[1]);
		return 1;
	}
	pause();
	MHD_stop_daemon(daemon);
	MHD_destroy_response(response);
	return 0;
}
