/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "cli/client.h"

#include <errno.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "cli/interrupt.h"
#include "lib/clock.h"
#include "lib/json.h"
#include "lib/paths.h"

#define CALL_TIMEOUT_S 10

static bool is_no_socket(const char *path)
{
	struct stat info;

	return !stat(path, &info) && !S_ISSOCK(info.st_mode);
}

static int explain_connect(const char *path, int error, struct fault *fault)
{
	if ((error == ECONNREFUSED || error == EACCES) && is_no_socket(path))
		error = ENOTSOCK;
	switch (error) {
	case ENOENT:
	case ECONNREFUSED:
		return fault_set(
			fault, EXIT_FAILED,
			"%s: no agent is running there: start it (systemctl start autocorkd), or name its socket with "
			"--control PATH",
			path);
	case EACCES:
	case EPERM:
		return fault_set(fault, EXIT_FAILED,
				 "%s: not allowed to ask the agent: run as root or join the group %s", path,
				 AUTOCORK_GROUP);
	case EINVAL:
	case ENAMETOOLONG:
		return fault_set(fault, EXIT_USAGE, "--control %s: a socket's path has 1 to %zu bytes: name another",
				 path, sizeof(((struct sockaddr_un *)0)->sun_path) - 1);
	case ENOTSOCK:
		return fault_set(fault, EXIT_FAILED, "%s: is no socket: name the agent's with --control PATH", path);
	default:
		return fault_set(fault, EXIT_FAILED, "%s: cannot connect to the agent: %s: check --control PATH", path,
				 strerror(error));
	}
}

/* A connected socket, or a negative errno. */
static int dial(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	/* No path is a name of its own to the kernel, which nobody listens at. */
	if (!*path)
		return -EINVAL;
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address))) {
		int error = errno;

		if (fd >= 0)
			close(fd);
		return -error;
	}
	return fd;
}

bool client_listens(const char *control)
{
	int fd = dial(control);

	if (fd >= 0)
		close(fd);
	/* One that may not be asked is one all the same. */
	return fd != -ENOENT && fd != -ECONNREFUSED;
}

static FILE *client_open(const char *path, struct fault *fault)
{
	FILE *stream;
	int fd = dial(path);

	if (fd < 0) {
		explain_connect(path, -fd, fault);
		return NULL;
	}
	stream = fdopen(fd, "r+");
	if (!stream) {
		explain_connect(path, errno, fault);
		close(fd);
		return NULL;
	}
	/* One thread uses it. exit() of glibc 2.41 would wait for its lock, which a thread holds while it reads. */
	__fsetlocking(stream, FSETLOCKING_BYCALLER);
	return stream;
}

static int send_request(const char *path, FILE *stream, json_t *request, struct fault *fault)
{
	char *text = request ? json_dumps(request, JSON_COMPACT) : NULL;
	struct iovec parts[] = { { text, text ? strlen(text) : 0 }, { "\n", 1 } };
	struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };
	ssize_t sent = -1;

	/* Not through the stream: a request is one message, and an agent that is gone must give EPIPE, no signal. */
	if (text)
		sent = sendmsg(fileno(stream), &message, MSG_NOSIGNAL);
	json_decref(request);
	free(text);
	if (sent < 0)
		return fault_set(fault, EXIT_FAILED, "%s: request cannot be sent: %s: see the agent's log", path,
				 strerror(errno));
	return 0;
}

#define SILENT (-2)    /* the socket's timeout passed */
#define SIGNALLED (-3) /* a signal came: SIGCONT too ends a read that has a timeout */

/* What the agent sends, and the part of a line that came before a timeout or a signal. */
struct answer {
	const char *control;
	FILE *stream;
	char *piece, *line;
	size_t piece_size, length;
};

static bool answer_open(struct answer *answer, const char *control, struct fault *fault)
{
	*answer = (struct answer){ .control = control, .stream = client_open(control, fault) };
	return answer->stream;
}

static void answer_close(struct answer *answer)
{
	free(answer->piece);
	free(answer->line);
	fclose(answer->stream);
}

/* Reads one line, from its beginning whatever came in between. */
static int receive(struct answer *answer, json_t **value, struct fault *fault)
{
	ssize_t length;
	int error;

	errno = 0;
	length = getline(&answer->piece, &answer->piece_size, answer->stream);
	error = errno;
	if (length > 0) {
		char *line = realloc(answer->line, answer->length + length);

		if (!line)
			return fault_set(fault, EXIT_FAILED, "%s: no memory for the answer: free some, then try again",
					 answer->control);
		memcpy(line + answer->length, answer->piece, length);
		answer->line = line;
		answer->length += length;
	}
	if ((length <= 0 || answer->piece[length - 1] != '\n') &&
	    (error == EAGAIN || error == EWOULDBLOCK || error == EINTR)) {
		clearerr(answer->stream);
		return error == EINTR ? SIGNALLED : SILENT;
	}
	if (!answer->length)
		return fault_set(fault, EXIT_FAILED, "%s: the agent went away in mid-answer: see its log",
				 answer->control);
	*value = json_loadb(answer->line, answer->length, 0, NULL);
	answer->length = 0;
	if (!json_is_object(*value)) {
		json_decref(*value);
		return fault_set(fault, EXIT_FAILED,
				 "%s: the answer is not JSON: is this an autocorkd? check --control PATH",
				 answer->control);
	}
	if (json_is_fault(*value, fault)) {
		json_decref(*value);
		return -1;
	}
	return 0;
}

int client_call(const char *control, json_t *request, json_t **reply, struct fault *fault)
{
	struct timeval timeout = { .tv_sec = CALL_TIMEOUT_S };
	struct answer answer;
	json_t *value = NULL;
	int result;

	if (!answer_open(&answer, control, fault)) {
		json_decref(request);
		return -1;
	}
	setsockopt(fileno(answer.stream), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	result = send_request(control, answer.stream, request, fault);
	if (result)
		goto out;
	while ((result = receive(&answer, &value, fault)) == SIGNALLED)
		;
	if (result == SILENT)
		result = fault_set(fault, EXIT_FAILED, "%s: the agent does not answer: see its log", control);
	if (result)
		goto out;
	*reply = json_incref(json_object_get(value, "reply"));
	json_decref(value);
	result = *reply ? 0 :
			  fault_set(fault, EXIT_FAILED,
				    "%s: the answer is of another kind than asked for: use the agent's own autocork",
				    control);
out:
	answer_close(&answer);
	return result;
}

/* False once that time has come. */
static bool wait_until(FILE *stream, double end)
{
	double left = end - monotonic_seconds();
	struct timeval timeout = { .tv_sec = (time_t)left, .tv_usec = (left - (time_t)left) * 1e6 };

	/* A timeout of 0 would be none. */
	if (left < 1e-6)
		return false;
	setsockopt(fileno(stream), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	return true;
}

static int listening = -1;

/* As if the time had come; a second one ends the program. */
static void on_interrupt(void)
{
	shutdown(listening, SHUT_WR);
}

/* Hands items to the visitor until the end, or, unless `end` is NULL, until that time. SILENT: it has come.
 * SIGNALLED: SIGINT has, where it is to end this. */
static int visit_items(struct answer *answer, const double *end, bool ends_at_sigint, client_visit *visit,
		       void *context, struct fault *fault)
{
	int result = 0;

	while (!result) {
		json_t *value, *item;

		result = end && !wait_until(answer->stream, *end) ? SILENT : receive(answer, &value, fault);
		if (result == SIGNALLED && !(ends_at_sigint && interrupt_came())) {
			result = 0;
			continue;
		}
		if (result)
			break;
		item = json_object_get(value, "item");
		if (!item) {
			json_decref(value);
			break;
		}
		result = visit(item, context);
		json_decref(value);
	}
	return result;
}

int client_list(const char *control, json_t *request, client_visit *visit, void *context, struct fault *fault)
{
	struct answer answer;
	int result;

	if (!answer_open(&answer, control, fault)) {
		json_decref(request);
		return -1;
	}
	result = send_request(control, answer.stream, request, fault);
	if (!result)
		result = visit_items(&answer, NULL, true, visit, context, fault);
	answer_close(&answer);
	return result;
}

int client_watch(const char *control, json_t *request, double seconds, client_visit *visit, void *context,
		 struct fault *fault)
{
	struct answer answer;
	double end;
	int result;

	if (!answer_open(&answer, control, fault)) {
		json_decref(request);
		return -1;
	}
	listening = fileno(answer.stream);
	interrupt_catch(on_interrupt);
	result = send_request(control, answer.stream, request, fault);
	end = monotonic_seconds() + seconds;
	if (!result)
		result = visit_items(&answer, &end, true, visit, context, fault);
	if (result == SILENT || result == SIGNALLED) {
		shutdown(fileno(answer.stream), SHUT_WR);
		end = monotonic_seconds() + CALL_TIMEOUT_S;
		result = visit_items(&answer, &end, false, visit, context, fault);
		if (result == SILENT)
			result = fault_set(fault, EXIT_FAILED, "%s: the agent does not answer: see its log", control);
	}
	answer_close(&answer);
	return result;
}
