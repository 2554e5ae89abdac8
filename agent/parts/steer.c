/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "parts/steer.h"

#include <errno.h>
#include <grp.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/json.h"
#include "lib/log.h"
#include "steer/handoff.h"
#include "steer/pins.h"
#include "steer/steer.h"
#include "steer/tables.h"

#define TIDY_S 30	/* how often idle flows are forgotten and drained interfaces let go */

struct wanted {
	char name[IF_NAMESIZE];
	bool ready;		/* attached, its rules in force */
	unsigned int index;	/* when it was attached */
	char error[512];	/* why not; said once */
};

struct steer_part {
	struct daemon *daemon;
	struct handoff *handoff;
	sd_event_source *links, *tidy;
	int netlink;
	struct wanted *wanted;
	size_t count;
};

static bool exists(const char *interface)
{
	return if_nametoindex(interface) != 0;
}

static void bring_up(struct steer_part *part, struct wanted *wanted)
{
	struct fault fault;

	if (!exists(wanted->name)) {
		if (wanted->ready || !*wanted->error)
			log_warning("%s: a policy steers it, but it does not exist: waiting for it", wanted->name);
		wanted->ready = false;
		strcpy(wanted->error, "the interface does not exist");
		return;
	}
	if (steer_attach(wanted->name, STEER_ATTACH_AUTO, &fault) ||
	    steer_apply(wanted->name, part->daemon->policy, &fault)) {
		/* It is tried again and again: said only when it changes. */
		if (strcmp(wanted->error, fault.text))
			log_error("%s", fault.text);
		strcpy(wanted->error, fault.text);
		wanted->ready = false;
		return;
	}
	if (!wanted->ready)
		log_info("%s: steering is attached, its rules are in force", wanted->name);
	wanted->ready = true;
	wanted->index = if_nametoindex(wanted->name);
	*wanted->error = 0;
}

static struct wanted *find(const struct steer_part *part, const char *interface)
{
	for (size_t i = 0; i < part->count; i++)
		if (!strcmp(part->wanted[i].name, interface))
			return &part->wanted[i];
	return NULL;
}

/* An interface that has pins: forgets what is idle, and lets it go if no policy names it and nothing is left. */
static int visit(const char *interface, void *context)
{
	const struct steer_part *part = context;
	struct steer_tables tables;
	struct steer_load load = { 0 };
	struct fault fault;
	int lock = pins_lock(&fault);
	bool idle;

	if (lock < 0)
		return 0;
	/* Another namespace's, or of another version: not ours to remove. */
	if (tables_open(&tables, interface, &fault)) {
		close(lock);
		return 0;
	}
	idle = !tables_tidy(&tables, &load, &fault) && !load.flows && !load.half_open && !load.active;
	free(load.rule_flows);
	tables_close(&tables);
	close(lock);
	if (find(part, interface) || (!idle && exists(interface)))
		return 0;
	if (!steer_detach(interface, !exists(interface), &fault))
		log_info("%s: nothing is steered there any more: detached", interface);
	return 0;
}

static int retire(const char *interface, void *context)
{
	const struct steer_part *part = context;
	struct fault fault;

	if (!find(part, interface) && exists(interface) && steer_apply(interface, NULL, &fault))
		log_warning("%s", fault.text);
	return 0;
}

static int list_wanted(struct steer_part *part)
{
	const struct policy_set *set = part->daemon->policy;
	struct wanted *list = calloc(set->policy_count + 1, sizeof(*list)), *old = part->wanted, *known;
	size_t count = 0;

	if (!list)
		return -1;
	for (size_t i = 1; i < set->policy_count; i++) {
		const struct policy_config *config = &set->origins[i].config;
		bool seen = config->steer == POLICY_STEER_NONE;

		for (size_t j = 0; j < count && !seen; j++)
			seen = !strcmp(list[j].name, config->interface);
		if (seen)
			continue;
		known = find(part, config->interface);
		if (known)
			list[count] = *known;
		memcpy(list[count++].name, config->interface, IF_NAMESIZE);
	}
	part->wanted = list;
	part->count = count;
	free(old);
	return 0;
}

static void apply(struct steer_part *part)
{
	struct fault fault;

	if (list_wanted(part)) {
		log_error("steering: out of memory: the rules in force stay");
		return;
	}
	/* With a group at once: giving the socket to it later takes a capability that is dropped after the start. */
	if ((part->count || getgrnam(HANDOFF_GROUP)) && !part->handoff &&
	    handoff_start(&part->handoff, part->daemon->loop, HANDOFF_SOCKET, &fault))
		log_warning("%s", fault.text);
	for (size_t i = 0; i < part->count; i++)
		bring_up(part, &part->wanted[i]);
	pins_each(retire, part, &fault);
	pins_each(visit, part, &fault);
}

static int on_tidy(sd_event_source *source, uint64_t now, void *context)
{
	struct steer_part *part = context;
	struct fault fault;

	for (size_t i = 0; i < part->count; i++)
		if (!part->wanted[i].ready)
			bring_up(part, &part->wanted[i]);
	pins_each(visit, part, &fault);
	sd_event_source_set_time_relative(source, TIDY_S * 1000000ull);
	return 0;
}

/* An interface came or went: which one is asked again, so lost messages do no harm. */
static int on_links(sd_event_source *source, int fd, uint32_t events, void *context)
{
	struct steer_part *part = context;
	char buffer[16384];

	while (recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT) > 0)
		;
	for (size_t i = 0; i < part->count; i++) {
		struct wanted *wanted = &part->wanted[i];

		if (wanted->ready ? if_nametoindex(wanted->name) != wanted->index : exists(wanted->name))
			bring_up(part, wanted);
	}
	return 0;
}

static int watch_links(void)
{
	struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);

	if (fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(address))) {
		close(fd);
		return -1;
	}
	return fd;
}

int steer_part_start(struct daemon *daemon, void **data, struct fault *fault)
{
	struct steer_part *part = calloc(1, sizeof(*part));

	if (!part)
		return fault_set(fault, EXIT_FAILED, "steering: out of memory");
	part->daemon = daemon;
	part->netlink = watch_links();
	if (part->netlink < 0 ||
	    sd_event_add_io(daemon->loop, &part->links, part->netlink, EPOLLIN, on_links, part) < 0 ||
	    sd_event_add_time_relative(daemon->loop, &part->tidy, CLOCK_MONOTONIC, TIDY_S * 1000000ull, 1000000,
				       on_tidy, part) < 0 ||
	    sd_event_source_set_enabled(part->tidy, SD_EVENT_ON) < 0) {
		steer_part_stop(part);
		return fault_set(fault, EXIT_FAILED, "steering: watching the network interfaces failed: %s",
				 strerror(errno));
	}
	apply(part);
	*data = part;
	return 0;
}

void steer_part_stop(void *data)
{
	struct steer_part *part = data;

	handoff_stop(part->handoff);
	sd_event_source_disable_unref(part->links);
	sd_event_source_disable_unref(part->tidy);
	if (part->netlink >= 0)
		close(part->netlink);
	free(part->wanted);
	free(part);
}

void steer_part_reloaded(struct daemon *daemon, void *data)
{
	if (daemon->reload.ok)
		apply(data);
}

void steer_part_status(struct daemon *daemon, void *data, json_t *status)
{
	const struct steer_part *part = data;
	json_t *list = json_array();

	for (size_t i = 0; i < part->count; i++)
		json_array_append_new(list, json_pack("{so, sb, so}", "interface",
						      json_text_or_null(part->wanted[i].name), "steered",
						      (int)part->wanted[i].ready, "error",
						      json_text_or_null(*part->wanted[i].error ? part->wanted[i].error
											       : NULL)));
	json_object_set_new(status, "steer", list);
}
