/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "endpoint/preload/ask.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "endpoint/preload/real.h"

#define PATIENCE_S 5

static uint16_t moves[ENDPOINT_PORTS_MAX];
static unsigned move_count;
static char refusal[sizeof(((struct endpoint_answer *)0)->text)];

static void note_refusal(const char *text)
{
	snprintf(refusal, sizeof(refusal), "%s", text);
	if (getenv("AUTOCORK_ENDPOINT_DEBUG"))
		dprintf(2, "autocork: %s\n", refusal);
}

const char *ask_refusal(void)
{
	return refusal;
}

int ask_connect(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = ENDPOINT_SOCKET };
	struct timeval patience = { .tv_sec = PATIENCE_S };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	move_count = 0;
	if (fd < 0)
		return -1;
	if (REAL(connect)(fd, (struct sockaddr *)&address, sizeof(address)) ||
	    REAL(setsockopt)(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) ||
	    REAL(setsockopt)(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience))) {
		note_refusal(ENDPOINT_SOCKET ": no agent gives out queues: start autocorkd, and write a policy with "
					     "steer = endpoint");
		REAL(close)(fd);
		return -1;
	}
	return fd;
}

static int say(int broker, const struct endpoint_request *request, int fd)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { { 0 } };
	struct iovec data = { (void *)request, sizeof(*request) };
	struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1 };

	if (fd >= 0) {
		message.msg_control = control.bytes;
		message.msg_controllen = sizeof(control.bytes);
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.align), &fd, sizeof(int));
	}
	return REAL(sendmsg)(broker, &message, MSG_NOSIGNAL) == sizeof(*request) ? 0 : -1;
}

static bool is_move(const struct endpoint_answer *answer, ssize_t length)
{
	if (length != sizeof(*answer) || answer->version != ENDPOINT_VERSION || !answer->move)
		return false;
	if (move_count < ENDPOINT_PORTS_MAX)
		moves[move_count++] = answer->move;
	return true;
}

bool ask_next_move(uint16_t *port)
{
	if (!move_count)
		return false;
	*port = moves[--move_count];
	return true;
}

void ask_hear_unasked(int broker)
{
	struct endpoint_answer answer;

	while (is_move(&answer, REAL(recv)(broker, &answer, sizeof(answer), MSG_DONTWAIT)))
		;
}

/* The answer and its descriptors; those that do not come are -1. 0, or an errno value. */
static int hear(int broker, struct endpoint_answer *answer, int fds[ENDPOINT_FDS_MAX])
{
	union {
		char bytes[CMSG_SPACE(ENDPOINT_FDS_MAX * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec data = { answer, sizeof(*answer) };
	struct msghdr message = {
		.msg_iov = &data, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control)
	};
	ssize_t length;

	for (int i = 0; i < ENDPOINT_FDS_MAX; i++)
		fds[i] = -1;
	do
		length = REAL(recvmsg)(broker, &message, MSG_CMSG_CLOEXEC);
	while ((length < 0 && errno == EINTR) || is_move(answer, length));
	if (length <= 0)
		return ECONNRESET;
	if (length != sizeof(*answer) || answer->version != ENDPOINT_VERSION) {
		strcpy(answer->text,
		       "the agent is of another version than this program's library: restart the older of the two");
		return EPROTO;
	}
	for (struct cmsghdr *part = CMSG_FIRSTHDR(&message); part; part = CMSG_NXTHDR(&message, part))
		if (part->cmsg_level == SOL_SOCKET && part->cmsg_type == SCM_RIGHTS)
			memcpy(fds, CMSG_DATA(part), part->cmsg_len - CMSG_LEN(0));
	return answer->error;
}

static int converse(int broker, const struct endpoint_request *request, int fd, struct endpoint_answer *answer,
		    int fds[ENDPOINT_FDS_MAX])
{
	int error = say(broker, request, fd) ? ECONNRESET : hear(broker, answer, fds);

	*refusal = 0;
	if (!error)
		return 0;
	answer->text[sizeof(answer->text) - 1] = 0;
	note_refusal(error == ECONNRESET ? ENDPOINT_SOCKET ": the agent does not answer: look at its log" :
					   answer->text);
	return error;
}

int ask_open(int broker, int listener, const char *interface, struct endpoint_answer *grant, struct ask_pages *pages)
{
	struct endpoint_request request = { .version = ENDPOINT_VERSION, .op = ENDPOINT_OPEN };
	int fds[ENDPOINT_FDS_MAX], error;

	snprintf(request.interface, sizeof(request.interface), "%s", interface);
	error = converse(broker, &request, listener, grant, fds);
	if (!error && fds[3] < 0)
		error = EPROTO;
	if (error)
		return error;
	grant->ring.xsk = fds[0];
	grant->ring.umem = fds[1];
	*pages = (struct ask_pages){ fds[2], fds[3] };
	return 0;
}

int ask_join(int broker, int xsk, const char *interface, uint32_t queue, struct ask_pages *pages)
{
	struct endpoint_request request = { .version = ENDPOINT_VERSION, .op = ENDPOINT_JOIN, .queue = queue };
	struct endpoint_answer answer;
	int fds[ENDPOINT_FDS_MAX], error;

	snprintf(request.interface, sizeof(request.interface), "%s", interface);
	error = converse(broker, &request, xsk, &answer, fds);
	if (!error && fds[1] < 0)
		error = EPROTO;
	if (error)
		return error;
	*pages = (struct ask_pages){ fds[0], fds[1] };
	return 0;
}

int ask_listen(int broker, int listener)
{
	struct endpoint_request request = { .version = ENDPOINT_VERSION, .op = ENDPOINT_LISTEN };
	struct endpoint_answer answer;
	int fds[ENDPOINT_FDS_MAX];

	return converse(broker, &request, listener, &answer, fds);
}

void ask_unlisten(int broker, uint16_t port)
{
	struct endpoint_request request = { .version = ENDPOINT_VERSION, .op = ENDPOINT_UNLISTEN, .port = port };
	struct endpoint_answer answer;
	int fds[ENDPOINT_FDS_MAX];

	converse(broker, &request, -1, &answer, fds);
}

int ask_hand_over(int broker, const struct handover *connection, enum endpoint_reason reason, int bytes, uint32_t size,
		  uint32_t *taken)
{
	struct endpoint_request request = { .version = ENDPOINT_VERSION,
					    .op = ENDPOINT_HANDOVER,
					    .bytes = size,
					    .reason = reason,
					    .connection = *connection };
	struct endpoint_answer answer;
	int fds[ENDPOINT_FDS_MAX];

	if (converse(broker, &request, bytes, &answer, fds))
		return -1;
	*taken = answer.taken;
	return fds[0];
}
