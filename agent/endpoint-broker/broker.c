/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "endpoint-broker/broker.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "endpoint-broker/move.h"
#include "endpoint-broker/proof.h"
#include "endpoint-broker/seat.h"
#include "lib/json.h"
#include "lib/log.h"
#include "steer/interface.h"

#define FRAMES_EACH_WAY 4096
#define LOOK_EVERY_US 200000
#define STRANGERS_MAX 64

struct instance {
	struct broker *broker;
	struct instance *next;
	sd_event_source *source;
	int fd;
	struct ucred peer;
	char program[16];
	struct seat seat; /* .xsk < 0: it has no queue yet */
	struct {
		uint16_t number;
		bool open;  /* false: it gets no new connections, but what it has is its own */
		bool moves; /* what it has moves to the kernel when no policy names the port any more */
	} ports[ENDPOINT_PORTS_MAX];
	unsigned port_count;
	const struct endpoint_page *page;
	struct endpoint_page seen;
	uint64_t kept_since;		     /* as it was at the last look */
	uint64_t moved[ENDPOINT_REASON_MAX]; /* connections handed over, by why */
};

struct broker {
	sd_event *loop;
	sd_event_source *listening, *looking;
	int fd;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	const struct policy_set *const *policies;
	struct instance *instances;
	unsigned count;
	struct broker_sum ended;	/* counters of those that are gone: they never fall */
	pid_t strangers[STRANGERS_MAX]; /* said already: a program asks again every 5 s */
	unsigned stranger_count;
	broker_event *event;
	void *context;
};

/* A copy: the program can change its page at any time, and a counter that falls is not believed. */
static void look(struct instance *it)
{
#define X(name, help) it->seen.name = it->page->name;
	ENDPOINT_GAUGES(X)
#undef X
#define X(name, help) it->seen.name = it->page->name > it->seen.name ? it->page->name : it->seen.name;
	ENDPOINT_COUNTERS(X)
#undef X
}

static json_t *instance_json(struct instance *it)
{
	json_t *ports = json_array(), *reasons = json_object(), *row;

	look(it);
	for (unsigned i = 0; i < it->port_count; i++)
		if (it->ports[i].open)
			json_array_append_new(ports, json_integer(it->ports[i].number));
	for (unsigned i = 0; i < ENDPOINT_REASON_MAX; i++)
		json_object_set_new(reasons, endpoint_reasons[i], json_integer(it->moved[i]));
	row = json_pack("{si so sI so si so so}", "pid", it->peer.pid, "program",
			json_text(it->program, sizeof(it->program)), "uid", (json_int_t)it->peer.uid, "interface",
			json_text_or_null(it->seat.interface), "queue", it->seat.queue, "ports", ports,
			"handed_over_for", reasons);
#define X(name, help) json_object_set_new(row, #name, json_integer(it->seen.name));
	ENDPOINT_GAUGES(X)
	ENDPOINT_COUNTERS(X)
#undef X
	return row;
}

static void tell(struct instance *it, const char *what, const char *reason)
{
	if (it->broker->event)
		it->broker->event(it->broker->context,
				  json_pack("{ss ss? si so sI so si}", "what", what, "reason", reason, "pid",
					    it->peer.pid, "program", json_text(it->program, sizeof(it->program)), "uid",
					    (json_int_t)it->peer.uid, "interface",
					    json_text_or_null(it->seat.interface), "queue", it->seat.queue));
}

/* Its counters go on in the sum. */
static void remember(struct instance *it)
{
	struct broker_sum *ended = &it->broker->ended;

	look(it);
#define X(name, help) ended->page.name += it->seen.name;
	ENDPOINT_COUNTERS(X)
#undef X
	for (unsigned i = 0; i < ENDPOINT_REASON_MAX; i++)
		ended->moved[i] += it->moved[i];
}

/* A program that waits elsewhere, or computes, although it kept its answer for its next wait: the answer leaves now. */
static void send_kept(struct instance *it)
{
	uint64_t since = it->page->kept_since;

	if (since && since == it->kept_since)
		sendto(it->seat.xsk, NULL, 0, MSG_DONTWAIT, NULL, 0);
	it->kept_since = since;
}

static int on_look(sd_event_source *source, uint64_t time, void *context)
{
	struct broker *broker = context;
	bool any = false;

	for (struct instance *it = broker->instances; it; it = it->next) {
		if (it->seat.xsk < 0 || !it->page)
			continue;
		any = true;
		send_kept(it);
	}
	if (any && sd_event_source_set_time_relative(source, LOOK_EVERY_US) >= 0)
		sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
	return 0;
}

/* While there are programs. */
static void look_on(struct broker *broker)
{
	int on;

	if (sd_event_source_get_enabled(broker->looking, &on) > 0)
		return;
	if (sd_event_source_set_time_relative(broker->looking, LOOK_EVERY_US) >= 0)
		sd_event_source_set_enabled(broker->looking, SD_EVENT_ONESHOT);
}

/* With `keep` its queue stays its own: it goes on without the agent. */
static void drop(struct instance *instance, bool keep)
{
	struct instance **at = &instance->broker->instances;

	while (*at != instance)
		at = &(*at)->next;
	*at = instance->next;
	instance->broker->count--;
	if (instance->seat.xsk >= 0) {
		remember(instance);
		/* What it wrote before it ended leaves all the same. */
		if (!keep && instance->page->kept_since)
			sendto(instance->seat.xsk, NULL, 0, MSG_DONTWAIT, NULL, 0);
		if (!keep) {
			tell(instance, "ended", NULL);
			log_info("%s: queue %u is free again: %s (pid %d) has ended", instance->seat.interface,
				 instance->seat.queue, instance->program, instance->peer.pid);
		}
		seat_leave(&instance->seat, keep);
	}
	if (instance->page)
		munmap((void *)instance->page, ENDPOINT_PAGE_SIZE);
	sd_event_source_disable_unref(instance->source);
	close(instance->fd);
	free(instance);
}

static bool answer(struct instance *instance, const struct endpoint_answer *text, const int *fds, unsigned count)
{
	union {
		char bytes[CMSG_SPACE(ENDPOINT_FDS_MAX * sizeof(int))];
		struct cmsghdr align;
	} control = { { 0 } };
	struct iovec data = { (void *)text, sizeof(*text) };
	struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1 };

	if (count) {
		message.msg_control = control.bytes;
		message.msg_controllen = CMSG_SPACE(count * sizeof(int));
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(&control.align), fds, count * sizeof(int));
	}
	return sendmsg(instance->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) == sizeof(*text);
}

static bool refuse(struct instance *instance, int error, const char *text)
{
	struct endpoint_answer refusal = { .version = ENDPOINT_VERSION, .error = error };

	snprintf(refusal.text, sizeof(refusal.text), "%s", text);
	return answer(instance, &refusal, NULL, 0);
}

/* A program that does not take it keeps its connections until they end. */
static void ask_to_move(struct instance *instance, uint16_t port)
{
	struct endpoint_answer request = { .version = ENDPOINT_VERSION, .move = port };

	answer(instance, &request, NULL, 0);
}

static bool names_port(const struct policy_config *config, uint16_t port)
{
	for (size_t i = 0; i < config->ports.count; i++)
		if (port >= config->ports.list[i].first && port <= config->ports.list[i].last)
			return true;
	return false;
}

static bool names_queue(const struct policy_config *config, unsigned queue)
{
	for (size_t i = 0; i < config->queues.count; i++)
		if (queue >= config->queues.list[i].first && queue <= config->queues.list[i].last)
			return true;
	return !config->queues.count;
}

/* The policy that gives the port to an endpoint; interface NULL: on any. */
static const struct policy_config *policy_of(const struct broker *broker, uint16_t port, const char *interface)
{
	const struct policy_set *set = *broker->policies;

	for (size_t i = 1; i < set->policy_count; i++) {
		const struct policy_config *config = &set->origins[i].config;

		if (config->steer == POLICY_STEER_ENDPOINT && names_port(config, port) &&
		    (!interface || !strcmp(interface, config->interface)))
			return config;
	}
	return NULL;
}

/* A policy of another kind also wants the queue: its packets must not reach this program. */
static bool wanted_elsewhere(const struct broker *broker, const char *interface, unsigned queue)
{
	const struct policy_set *set = *broker->policies;

	for (size_t i = 1; i < set->policy_count; i++) {
		const struct policy_config *config = &set->origins[i].config;

		if (config->steer != POLICY_STEER_NONE && config->steer != POLICY_STEER_ENDPOINT &&
		    !strcmp(interface, config->interface) && names_queue(config, queue))
			return true;
	}
	return false;
}

static bool is_taken(const struct broker *broker, const char *interface, unsigned queue)
{
	for (const struct instance *it = broker->instances; it; it = it->next)
		if (it->seat.xsk >= 0 && it->seat.queue == queue && !strcmp(it->seat.interface, interface))
			return true;
	return false;
}

/* The first free queue that the policy names. 0, or an errno value with the reason. */
static int take_queue(struct instance *instance, const struct policy_config *config, struct endpoint_answer *grant,
		      struct fault *fault)
{
	unsigned queues = interface_queues(config->interface), shared = 0, busy = 0;

	for (unsigned queue = 0; queue < queues && queue < STEER_QUEUES_MAX; queue++) {
		int error;

		if (!names_queue(config, queue))
			continue;
		if (wanted_elsewhere(instance->broker, config->interface, queue)) {
			shared++;
			continue;
		}
		if (is_taken(instance->broker, config->interface, queue)) {
			busy++;
			continue;
		}
		error = seat_take(&instance->seat, config->interface, queue, FRAMES_EACH_WAY, &grant->ring, fault);
		if (!error)
			return 0;
		if (error != -EBUSY)
			return -error;
		busy++;
	}
	if (busy) {
		fault_set(fault, EXIT_FAILED,
			  "%s: %u of %u queues are taken: the kernel serves this program until one is free",
			  config->interface, busy, queues);
		return EBUSY;
	}
	if (shared)
		fault_set(
			fault, EXIT_FAILED,
			"%s: its queues are those of a policy with steer = af_xdp or dpdk: give the policies different queues",
			config->interface);
	else
		fault_set(fault, EXIT_FAILED, "%s: it has %u queues, and the policy names none of these: change queues",
			  config->interface, queues);
	return ENXIO;
}

/* A page that both sides map; sealed, so that reading it cannot fail. */
static int share_page(struct instance *instance)
{
	int fd = memfd_create("autocork-endpoint", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	void *page;

	if (fd < 0)
		return -1;
	if (ftruncate(fd, ENDPOINT_PAGE_SIZE) || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
		goto fail;
	page = mmap(NULL, ENDPOINT_PAGE_SIZE, PROT_READ, MAP_SHARED, fd, 0);
	if (page == MAP_FAILED)
		goto fail;
	instance->page = page;
	return fd;
fail:
	close(fd);
	return -1;
}

static bool serve_open(struct instance *instance, const char *wanted, int listener)
{
	struct endpoint_answer grant = { .version = ENDPOINT_VERSION };
	const struct policy_config *config;
	struct fault fault;
	int port = proof_port(listener, &fault), page;
	bool sent;

	if (port < 0)
		return refuse(instance, EPERM, fault.text);
	if (instance->page)
		return refuse(instance, EALREADY, "endpoint: this program has had its queue");
	config = policy_of(instance->broker, port, *wanted ? wanted : NULL);
	if (!config) {
		snprintf(fault.text, sizeof(fault.text),
			 "port %d: no policy gives it to an endpoint%s%s: write one with steer = endpoint", port,
			 *wanted ? " on " : "", wanted);
		return refuse(instance, ENOENT, fault.text);
	}
	grant.error = take_queue(instance, config, &grant, &fault);
	if (grant.error)
		return refuse(instance, grant.error, fault.text);
	page = share_page(instance);
	if (page < 0) {
		seat_leave(&instance->seat, false);
		close(grant.ring.umem);
		return refuse(instance, ENOMEM, "endpoint: no memory for its statistics");
	}
	grant.index = instance->seat.index;
	grant.queue = instance->seat.queue;
	memcpy(grant.interface, instance->seat.interface, sizeof(grant.interface));
	sent = answer(instance, &grant, (int[]){ grant.ring.xsk, grant.ring.umem, page, instance->seat.door }, 4);
	close(grant.ring.umem);
	close(page);
	if (sent) {
		look_on(instance->broker);
		tell(instance, "started", NULL);
		log_info("%s: queue %u is taken by %s (pid %d, uid %u)", instance->seat.interface, instance->seat.queue,
			 instance->program, instance->peer.pid, instance->peer.uid);
	}
	return sent;
}

static bool serve_join(struct instance *instance, const struct endpoint_request *request, int xsk)
{
	struct endpoint_answer done = { .version = ENDPOINT_VERSION };
	struct fault fault;
	int error, page;
	bool sent;

	if (instance->page)
		return refuse(instance, EALREADY, "endpoint: this program has had its queue");
	if (is_taken(instance->broker, request->interface, request->queue) ||
	    wanted_elsewhere(instance->broker, request->interface, request->queue))
		return refuse(instance, EBUSY, "endpoint: the queue is another's now");
	error = seat_join(&instance->seat, request->interface, request->queue, xsk, &fault);
	if (error)
		return refuse(instance, -error, fault.text);
	page = share_page(instance);
	if (page < 0) {
		seat_leave(&instance->seat, true);
		return refuse(instance, ENOMEM, "endpoint: no memory for its statistics");
	}
	sent = answer(instance, &done, (int[]){ page, instance->seat.door }, 2);
	close(page);
	look_on(instance->broker);
	tell(instance, "joined", NULL);
	log_info("%s: queue %u is still taken by %s (pid %d, uid %u)", instance->seat.interface, instance->seat.queue,
		 instance->program, instance->peer.pid, instance->peer.uid);
	return sent;
}

static bool serve_listen(struct instance *instance, int listener)
{
	struct endpoint_answer done = { .version = ENDPOINT_VERSION };
	const struct policy_config *config;
	struct fault fault;
	int port = proof_port(listener, &fault);
	unsigned i = 0;

	if (port < 0)
		return refuse(instance, EPERM, fault.text);
	if (instance->seat.xsk < 0)
		return refuse(instance, ENOTCONN, "endpoint: this program has no queue");
	while (i < instance->port_count && instance->ports[i].number != port)
		i++;
	if (i < instance->port_count && instance->ports[i].open)
		return answer(instance, &done, NULL, 0);
	config = policy_of(instance->broker, port, instance->seat.interface);
	if (!config) {
		snprintf(fault.text, sizeof(fault.text), "port %d: no policy gives it to an endpoint on %s", port,
			 instance->seat.interface);
		return refuse(instance, ENOENT, fault.text);
	}
	if (i == ENDPOINT_PORTS_MAX || seat_open_port(&instance->seat, port))
		return refuse(instance, ENOSPC, "endpoint: it listens on too many ports: the kernel serves this one");
	instance->ports[i].number = port;
	instance->ports[i].open = true;
	instance->ports[i].moves = config->removal == POLICY_REMOVAL_MOVE;
	if (i == instance->port_count)
		instance->port_count++;
	return answer(instance, &done, NULL, 0);
}

static bool serve_unlisten(struct instance *instance, uint16_t port)
{
	struct endpoint_answer done = { .version = ENDPOINT_VERSION };

	for (unsigned i = 0; i < instance->port_count; i++) {
		if (instance->ports[i].number != port)
			continue;
		seat_close_port(&instance->seat, port);
		instance->ports[i].open = false;
	}
	return answer(instance, &done, NULL, 0);
}

static bool had_port(const struct instance *instance, uint16_t port)
{
	for (unsigned i = 0; i < instance->port_count; i++)
		if (instance->ports[i].number == port)
			return true;
	return false;
}

static bool serve_handover(struct instance *instance, const struct endpoint_request *request, int bytes)
{
	struct endpoint_answer done = { .version = ENDPOINT_VERSION };
	struct fault fault;
	int sock, error;
	bool sent;

	if (instance->seat.xsk < 0)
		return refuse(instance, ENOTCONN, "endpoint: this program has no queue");
	/* sin_port and sin6_port are at one place. */
	if (!had_port(instance, ntohs(request->connection.local.in.sin_port)))
		return refuse(instance, EPERM, "hand-over: the connection is not to a port of this program");
	error = move_connection(&instance->seat, &request->connection, bytes, request->bytes, &sock, &done.taken,
				&fault);
	if (error)
		return refuse(instance, error, fault.text);
	sent = answer(instance, &done, &sock, 1);
	close(sock);
	instance->moved[request->reason] += sent;
	if (sent)
		tell(instance, "handed_over", endpoint_reasons[request->reason]);
	return sent;
}

/* false: the conversation is over. */
static bool serve(struct instance *instance, const struct endpoint_request *request, int fd)
{
	switch (request->op) {
	case ENDPOINT_OPEN:
		return serve_open(instance, request->interface, fd);
	case ENDPOINT_JOIN:
		return serve_join(instance, request, fd);
	case ENDPOINT_LISTEN:
		return serve_listen(instance, fd);
	case ENDPOINT_UNLISTEN:
		return serve_unlisten(instance, request->port);
	case ENDPOINT_HANDOVER:
		return serve_handover(instance, request, fd);
	}
	return false;
}

static unsigned take_fds(struct msghdr *message, int fds[ENDPOINT_FDS_MAX])
{
	unsigned count = 0;

	for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part; part = CMSG_NXTHDR(message, part)) {
		if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < (part->cmsg_len - CMSG_LEN(0)) / sizeof(int) && count < ENDPOINT_FDS_MAX; i++)
			memcpy(&fds[count++], CMSG_DATA(part) + i * sizeof(int), sizeof(int));
	}
	return count;
}

static void tell_of_stranger(const struct instance *instance, const char *text)
{
	struct broker *broker = instance->broker;

	for (unsigned i = 0; i < broker->stranger_count; i++)
		if (broker->strangers[i] == instance->peer.pid)
			return;
	if (broker->stranger_count == STRANGERS_MAX)
		return;
	broker->strangers[broker->stranger_count++] = instance->peer.pid;
	log_warning("%s (pid %d): %s; until then it goes on without this agent", instance->program, instance->peer.pid,
		    text);
}

static int on_request(sd_event_source *source, int fd, uint32_t events, void *context)
{
	struct instance *instance = context;
	struct endpoint_request request;
	union {
		char bytes[CMSG_SPACE(ENDPOINT_FDS_MAX * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec data = { &request, sizeof(request) };
	struct msghdr message = {
		.msg_iov = &data, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control)
	};
	int fds[ENDPOINT_FDS_MAX];
	/* MSG_TRUNC: the true length, so that a longer request is seen to be one. */
	ssize_t length = recvmsg(fd, &message, MSG_DONTWAIT | MSG_TRUNC | MSG_CMSG_CLOEXEC);
	unsigned count;
	const char *text;
	bool goes_on;

	if (length < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (length <= 0) {
		drop(instance, false);
		return 0;
	}
	count = take_fds(&message, fds);
	if (!endpoint_request_valid(&request, length, message.msg_flags & MSG_CTRUNC ? UINT32_MAX : count, &text)) {
		refuse(instance, EPROTO, text);
		tell_of_stranger(instance, text);
		goes_on = false;
	} else {
		goes_on = serve(instance, &request, count ? fds[0] : -1);
	}
	for (unsigned i = 0; i < count; i++)
		close(fds[i]);
	if (!goes_on)
		drop(instance, false);
	return 0;
}

static void read_name(struct instance *instance)
{
	char path[64];
	FILE *file;

	strcpy(instance->program, "?");
	snprintf(path, sizeof(path), "/proc/%d/comm", instance->peer.pid);
	file = fopen(path, "re");
	if (!file)
		return;
	if (fgets(instance->program, sizeof(instance->program), file))
		instance->program[strcspn(instance->program, "\n")] = 0;
	fclose(file);
}

/* One user cannot take all the places. */
static unsigned places_of(const struct broker *broker, uid_t uid)
{
	unsigned count = 0;

	for (const struct instance *it = broker->instances; it; it = it->next)
		count += it->peer.uid == uid;
	return count;
}

static int on_connection(sd_event_source *source, int fd, uint32_t events, void *context)
{
	struct broker *broker = context;
	int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct instance *instance;
	socklen_t size = sizeof(instance->peer);

	if (peer < 0)
		return 0;
	instance = calloc(1, sizeof(*instance));
	if (!instance || broker->count >= BROKER_INSTANCES_MAX ||
	    getsockopt(peer, SOL_SOCKET, SO_PEERCRED, &instance->peer, &size) ||
	    places_of(broker, instance->peer.uid) >= BROKER_INSTANCES_MAX / 4) {
		free(instance);
		close(peer);
		return 0;
	}
	instance->broker = broker;
	instance->fd = peer;
	instance->seat.xsk = -1;
	read_name(instance);
	instance->next = broker->instances;
	broker->instances = instance;
	broker->count++;
	if (sd_event_add_io(broker->loop, &instance->source, peer, EPOLLIN, on_request, instance) < 0)
		drop(instance, false);
	return 0;
}

static int listen_at(struct broker *broker, struct fault *fault)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int probe = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	mode_t mask;
	bool used, failed;

	strcpy(address.sun_path, broker->path);
	used = probe >= 0 && !connect(probe, (struct sockaddr *)&address, sizeof(address));
	if (probe >= 0)
		close(probe);
	if (used)
		return fault_set(fault, EXIT_FAILED, "%s: another agent answers there: stop it first", broker->path);
	unlink(broker->path);
	broker->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* For everybody: the proof that comes with a request decides. */
	mask = umask(0);
	failed = broker->fd < 0 || bind(broker->fd, (struct sockaddr *)&address, sizeof(address)) ||
		 listen(broker->fd, 64);
	umask(mask);
	if (failed)
		return fault_set(fault, EXIT_FAILED,
				 "%s: %s: no program can be served by its own TCP: remove what is there", broker->path,
				 strerror(errno));
	return 0;
}

static void sweep(const struct broker *broker)
{
	const struct policy_set *set = *broker->policies;

	for (size_t i = 1; i < set->policy_count; i++)
		if (set->origins[i].config.steer == POLICY_STEER_ENDPOINT)
			seats_sweep(set->origins[i].config.interface);
}

int broker_start(struct broker **result, sd_event *loop, const char *path, const struct policy_set *const *policies,
		 broker_event *event, void *context, struct fault *fault)
{
	struct broker *broker = calloc(1, sizeof(*broker));

	*result = NULL;
	if (!broker)
		return fault_set(fault, EXIT_FAILED, "%s: out of memory", path);
	*broker = (struct broker){ .loop = loop, .fd = -1, .policies = policies, .event = event, .context = context };
	if (strlen(path) >= sizeof(broker->path)) {
		free(broker);
		return fault_set(fault, EXIT_USAGE, "%s: too long for a socket's path", path);
	}
	strcpy(broker->path, path);
	if (listen_at(broker, fault))
		goto fail;
	if (sd_event_add_io(loop, &broker->listening, broker->fd, EPOLLIN, on_connection, broker) < 0) {
		fault_set(fault, EXIT_FAILED, "%s: watching it failed", path);
		goto fail;
	}
	if (sd_event_add_time_relative(loop, &broker->looking, CLOCK_MONOTONIC, LOOK_EVERY_US, LOOK_EVERY_US / 2,
				       on_look, broker) < 0) {
		sd_event_source_disable_unref(broker->listening);
		fault_set(fault, EXIT_FAILED, "%s: no timer", path);
		goto fail;
	}
	sweep(broker);
	*result = broker;
	return 0;
fail:
	if (broker->fd >= 0)
		close(broker->fd);
	free(broker);
	return -1;
}

void broker_stop(struct broker *broker)
{
	if (!broker)
		return;
	while (broker->instances)
		drop(broker->instances, true);
	sd_event_source_disable_unref(broker->looking);
	sd_event_source_disable_unref(broker->listening);
	close(broker->fd);
	unlink(broker->path);
	free(broker);
}

void broker_reloaded(struct broker *broker)
{
	for (struct instance *it = broker->instances; it; it = it->next) {
		if (it->seat.xsk < 0)
			continue;
		seat_refresh(&it->seat);
		for (unsigned i = 0; i < it->port_count; i++) {
			uint16_t port = it->ports[i].number;
			const struct policy_config *config = policy_of(broker, port, it->seat.interface);

			if (config && it->ports[i].open)
				seat_open_port(&it->seat, port);
			else
				seat_close_port(&it->seat, port);
			if (!config && it->ports[i].moves)
				ask_to_move(it, port);
			it->ports[i].moves = config && config->removal == POLICY_REMOVAL_MOVE;
		}
	}
}

/* ------------------------------------------------------------------ what is told */

json_t *broker_instances(const struct broker *broker)
{
	json_t *list = json_array();

	for (struct instance *it = broker->instances; it; it = it->next)
		if (it->seat.xsk >= 0)
			json_array_append_new(list, instance_json(it));
	return list;
}

void broker_sum(const struct broker *broker, struct broker_sum *sum)
{
	*sum = broker->ended;
	for (struct instance *it = broker->instances; it; it = it->next) {
		if (it->seat.xsk < 0)
			continue;
		look(it);
		sum->programs++;
#define X(name, help) sum->page.name += it->seen.name;
		ENDPOINT_GAUGES(X)
		ENDPOINT_COUNTERS(X)
#undef X
		for (unsigned i = 0; i < ENDPOINT_REASON_MAX; i++)
			sum->moved[i] += it->moved[i];
	}
}
