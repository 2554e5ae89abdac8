/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * A small libmicrohttpd server for tests/net: `mhd_server PORT BYTES` answers every GET with that many 'm'; /tiny with
 * 5 of them, /sendfile with a file of that size, /continuous with PIECES pieces of that size, one after the other.
 */
#include <errno.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PIECES 20

enum { PLAIN, TINY, SENDFILE, CONTINUOUS, KINDS };

static const char *const urls[KINDS] = { [TINY] = "/tiny", [SENDFILE] = "/sendfile", [CONTINUOUS] = "/continuous" };

static ssize_t next_piece(void *size, uint64_t position, char *to, size_t room)
{
	if (position >= PIECES * *(size_t *)size)
		return MHD_CONTENT_READER_END_OF_STREAM;
	room = room < *(size_t *)size ? room : *(size_t *)size;
	memset(to, 'm', room);
	return room;
}

static struct MHD_Response *file_response(const char *body, size_t size)
{
	FILE *file = tmpfile();

	if (!file || fwrite(body, size, 1, file) != 1 || fflush(file))
		return NULL;
	return MHD_create_response_from_fd(size, dup(fileno(file)));
}

static enum MHD_Result answer(void *responses, struct MHD_Connection *connection, const char *url, const char *method,
			      const char *version, const char *upload, size_t *upload_size, void **request)
{
	static int known;

	/* An answer at the first call, which has only the headers, makes it close the connection after. */
	if (!*request) {
		*request = &known;
		return MHD_YES;
	}
	for (int i = 0; i < KINDS; i++)
		if (urls[i] && !strcmp(url, urls[i]))
			return MHD_queue_response(connection, MHD_HTTP_OK, ((struct MHD_Response **)responses)[i]);
	return MHD_queue_response(connection, MHD_HTTP_OK, ((struct MHD_Response **)responses)[PLAIN]);
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
	struct MHD_Response *responses[KINDS];
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
	responses[PLAIN] = MHD_create_response_from_buffer(size, body, MHD_RESPMEM_MUST_FREE);
	responses[TINY] = MHD_create_response_from_buffer(5, "mmmmm", MHD_RESPMEM_PERSISTENT);
	responses[SENDFILE] = file_response(body, size);
	responses[CONTINUOUS] = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, size, next_piece, &size, NULL);
	for (int i = 0; i < KINDS; i++)
		if (!responses[i])
			return 1;
	daemon = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD, (uint16_t)number(argv[1], 65535), NULL, NULL, answer,
				  responses, MHD_OPTION_END);
	if (!daemon) {
		fprintf(stderr, "mhd_server: port %s: cannot listen\n", argv[1]);
		return 1;
	}
	pause();
	MHD_stop_daemon(daemon);
	for (int i = 0; i < KINDS; i++)
		MHD_destroy_response(responses[i]);
	return 0;
}
