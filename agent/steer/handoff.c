/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "steer/handoff.h"

#include <errno.h>
#include <grp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/log.h"
#include "steer/steer_tables.h"

struct handoff_client {
	struct handoff *handoff; /* NULL = this place is free */
	int fd;
	bool connected; /* it said /connect */
	sd_event_source *readable, *idle;
};

struct handoff {
	sd_event *loop;
	sd_event_source *listening, *again;
	int fd;
	bool refusing; /* said already */
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	struct handoff_client clients[HANDOFF_CLIENTS_MAX];
};

static void drop(struct handoff_client *client)
{
	sd_event_source_disable_unref(client->readable);
	sd_event_source_disable_unref(client->idle);
	close(client->fd);
	*client = (struct handoff_client){ .fd = -1 };
}

static bool answer(struct handoff_client *client, const char *text, int fd)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { { 0 } };
	struct iovec data = { (void *)text, strlen(text) };
	struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1 };
	struct cmsghdr *rights = &control.align;

	if (fd >= 0) {
		message.msg_control = control.bytes;
		message.msg_controllen = sizeof(control.bytes);
		rights->cmsg_level = SOL_SOCKET;
		rights->cmsg_type = SCM_RIGHTS;
		rights->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(rights), &fd, sizeof(int));
	}
	return sendmsg(client->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)data.iov_len;
}

static bool answer_map(struct handoff_client *client, const char *interface)
{
	struct steer_tables tables;
	struct fault fault;
	bool sent;

	if (tables_open(&tables, interface, &fault)) {
		log_warning("hand-off: %s", fault.text);
		return answer(client, "/fd_nak", -1);
	}
	sent = answer(client, "/fd_ack", tables.xsks_map);
	tables_close(&tables);
	log_info("%s: its XSKMAP was handed to a client of %s", interface, client->handoff->path);
	return sent;
}

/* false: the conversation is over. */
static bool serve(struct handoff_client *client, const char *request)
{
	static const char connect[] = "/connect,", map[] = "/xsk_map_fd,";

	if (!strncmp(request, connect, sizeof(connect) - 1)) {
		client->connected = true;
		return answer(client, "/host_ok", -1);
	}
	if (!client->connected) {
		answer(client, "/host_nak", -1);
		return false;
	}
	if (!strcmp(request, "/version"))
		return answer(client, HANDOFF_VERSION, -1);
	if (!strncmp(request, map, sizeof(map) - 1)) {
		request += sizeof(map) - 1;
		return answer_map(client, request + strspn(request, " "));
	}
	if (!strcmp(request, "/fin")) {
		answer(client, "/fin_ack", -1);
		return false;
	}
	return answer(client, "/nak", -1);
}

static int on_request(sd_event_source *source, int fd, uint32_t events, void *context)
{
	struct handoff_client *client = context;
	char request[HANDOFF_REQUEST_MAX + 1];
	/* MSG_TRUNC: the true length, so that a longer request is seen to be one. No control buffer: the kernel drops
	 * descriptors that are sent along. */
	ssize_t length = recv(fd, request, HANDOFF_REQUEST_MAX, MSG_DONTWAIT | MSG_TRUNC);

	if (length < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (length <= 0 || length > HANDOFF_REQUEST_MAX) {
		drop(client);
		return 0;
	}
	request[length] = 0;
	if (!serve(client, request))
		drop(client);
	else
		sd_event_source_set_time_relative(client->idle, HANDOFF_IDLE_S * 1000000ull);
	return 0;
}

static int on_idle(sd_event_source *source, uint64_t now, void *context)
{
	drop(context);
	return 0;
}

static int on_again(sd_event_source *source, uint64_t now, void *context)
{
	struct handoff *handoff = context;

	sd_event_source_set_enabled(handoff->listening, SD_EVENT_ON);
	return 0;
}

/* A connection that cannot be accepted stays readable: looked at again later, or the loop would spin. */
static void rest(struct handoff *handoff, int error)
{
	if (!handoff->refusing)
		log_warning("%s: accepting a client failed: %s: it is tried again each second%s", handoff->path,
			    strerror(error),
			    error == EMFILE ? "; allow the agent more open files (LimitNOFILE= of its service, "
					      "ulimit -n)" :
					      "");
	handoff->refusing = true;
	if (sd_event_source_set_time_relative(handoff->again, HANDOFF_REST_S * 1000000ull) < 0 ||
	    sd_event_source_set_enabled(handoff->again, SD_EVENT_ONESHOT) < 0)
		return;
	sd_event_source_set_enabled(handoff->listening, SD_EVENT_OFF);
}

static int on_connection(sd_event_source *source, int fd, uint32_t events, void *context)
{
	struct handoff *handoff = context;
	struct handoff_client *client = NULL;
	int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	for (size_t i = 0; i < HANDOFF_CLIENTS_MAX && !client; i++)
		if (!handoff->clients[i].handoff)
			client = &handoff->clients[i];
	if (peer < 0) {
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
			rest(handoff, errno);
		return 0;
	}
	handoff->refusing = false;
	if (!client) {
		log_warning("hand-off: more than %d clients: one is sent away", HANDOFF_CLIENTS_MAX);
		close(peer);
		return 0;
	}
	*client = (struct handoff_client){ .handoff = handoff, .fd = peer };
	if (sd_event_add_io(handoff->loop, &client->readable, peer, EPOLLIN, on_request, client) < 0 ||
	    sd_event_add_time_relative(handoff->loop, &client->idle, CLOCK_MONOTONIC, HANDOFF_IDLE_S * 1000000ull,
				       1000000, on_idle, client) < 0)
		drop(client);
	return 0;
}

/* The socket may be used by root, and by the group if there is one. */
static void open_to_group(const char *path)
{
	struct group *group = getgrnam(HANDOFF_GROUP);

	if (group && (chown(path, -1, group->gr_gid) || chmod(path, 0660)))
		log_warning("%s: giving it to group %s failed: %s: only root can use it", path, HANDOFF_GROUP,
			    strerror(errno));
}

static int listen_at(struct handoff *handoff, struct fault *fault)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int probe = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	mode_t mask;
	bool used;

	strcpy(address.sun_path, handoff->path);
	used = probe >= 0 && !connect(probe, (struct sockaddr *)&address, sizeof(address));
	if (probe >= 0)
		close(probe);
	if (used)
		return fault_set(fault, EXIT_FAILED, "%s: another agent answers there: stop it first", handoff->path);
	unlink(handoff->path);
	handoff->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	mask = umask(0177);
	if (handoff->fd < 0 || bind(handoff->fd, (struct sockaddr *)&address, sizeof(address)) ||
	    listen(handoff->fd, 8)) {
		umask(mask);
		return fault_set(fault, EXIT_FAILED, "%s: %s: use_cni= cannot work", handoff->path, strerror(errno));
	}
	umask(mask);
	open_to_group(handoff->path);
	return 0;
}

int handoff_start(struct handoff **result, sd_event *loop, const char *path, struct fault *fault)
{
	struct handoff *handoff = calloc(1, sizeof(*handoff));

	*result = NULL;
	if (!handoff)
		return fault_set(fault, EXIT_FAILED, "%s: out of memory", path);
	handoff->fd = -1;
	handoff->loop = loop;
	if (strlen(path) >= sizeof(handoff->path)) {
		free(handoff);
		return fault_set(fault, EXIT_USAGE, "%s: too long for a socket's path", path);
	}
	strcpy(handoff->path, path);
	if (listen_at(handoff, fault))
		goto fail;
	if (sd_event_add_io(loop, &handoff->listening, handoff->fd, EPOLLIN, on_connection, handoff) < 0 ||
	    sd_event_add_time_relative(loop, &handoff->again, CLOCK_MONOTONIC, HANDOFF_REST_S * 1000000ull, 1000,
				       on_again, handoff) < 0 ||
	    sd_event_source_set_enabled(handoff->again, SD_EVENT_OFF) < 0) {
		fault_set(fault, EXIT_FAILED, "%s: watching it failed", path);
		goto fail;
	}
	*result = handoff;
	return 0;
fail:
	sd_event_source_disable_unref(handoff->listening);
	if (handoff->fd >= 0)
		close(handoff->fd);
	free(handoff);
	return -1;
}

void handoff_stop(struct handoff *handoff)
{
	if (!handoff)
		return;
	for (size_t i = 0; i < HANDOFF_CLIENTS_MAX; i++)
		if (handoff->clients[i].handoff)
			drop(&handoff->clients[i]);
	sd_event_source_disable_unref(handoff->listening);
	sd_event_source_disable_unref(handoff->again);
	close(handoff->fd);
	unlink(handoff->path);
	free(handoff);
}
