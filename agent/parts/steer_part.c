/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "parts/steer_part.h"

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
#include "steer/steer_lock.h"
#include "steer/steer_tables.h"

#define TIDY_S 30	  /* how often idle flows are forgotten and drained interfaces let go */
#define RETRY_S 1	  /* until the lock is free */
#define SETTLE_US 50000	  /* from a change of interfaces to the look at it */
#define STEER_REPORTED 64 /* interfaces whose losses are looked at */

struct wanted {
	char name[IF_NAMESIZE];
	bool ready;	 /* attached, its rules in force */
	int index;	 /* when it was attached; names change */
	int owned;	 /* lock on its rules, -1 = none */
	uint64_t lost;	 /* packets that the hand-over lost, when that was said last */
	char error[512]; /* why not; said once */
};

struct steer_part {
	struct daemon *daemon;
	struct handoff *handoff;
	sd_event_source *links, *tidy, *retry;
	bool unapplied; /* what the policies say is not in force yet */
	char busy[512]; /* why nothing can be changed; said once */
	int netlink;
	struct wanted *wanted;
	size_t count;
};

static bool exists(const char *interface)
{
	return if_nametoindex(interface) != 0;
}

static void let_go(struct wanted *wanted)
{
	steer_disown(wanted->index, wanted->owned);
	wanted->owned = -1;
	wanted->ready = false;
}

/* Makes the rules of the interface of this number ours, if they are nobody's. */
static int claim(struct wanted *wanted, int index, struct fault *fault)
{
	if (wanted->owned >= 0 && wanted->index == index)
		return 0;
	let_go(wanted);
	wanted->owned = steer_own(index, wanted->name, fault);
	wanted->index = index;
	return wanted->owned < 0 ? -1 : 0;
}

/* All of what follows with the lock held: the loop never waits for it. */
static void bring_up(struct steer_part *part, struct wanted *wanted)
{
	int index = if_nametoindex(wanted->name);
	struct fault fault;

	if (!index) {
		if (wanted->ready || !*wanted->error)
			log_warning("%s: a policy steers it, but it does not exist: waiting for it", wanted->name);
		let_go(wanted);
		strcpy(wanted->error, "the interface does not exist");
		return;
	}
	/* The verifier reads the programs anew for each interface. */
	daemon_stay_alive(part->daemon);
	if (claim(wanted, index, &fault) || steer_attach(wanted->name, STEER_ATTACH_AUTO, &fault) ||
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
	*wanted->error = 0;
}

static struct wanted *find(const struct steer_part *part, const char *interface)
{
	for (size_t i = 0; i < part->count; i++)
		if (!strcmp(part->wanted[i].name, interface))
			return &part->wanted[i];
	return NULL;
}

/* Whether this agent may change what is pinned for the interface: no other one steers it. */
static bool is_free(const char *interface)
{
	struct fault fault;

	return !exists(interface) || !steer_may_change(if_nametoindex(interface), interface, &fault);
}

/* An interface that has pins: forgets what is idle, and lets it go if no policy names it and nothing is left. */
static int visit(const char *interface, void *context)
{
	const struct steer_part *part = context;
	struct steer_tables tables;
	struct steer_load load = { 0 };
	struct fault fault;
	bool idle;

	/* Another namespace's, or of another version: not ours to remove. */
	if (tables_open(&tables, interface, &fault))
		return 0;
	idle = !tables_tidy(&tables, &load, &fault) && !load.flows && !load.half_open && !load.closing && !load.active;
	free(load.rule_flows);
	tables_close(&tables);
	if (find(part, interface) || (!idle && exists(interface)) || !is_free(interface))
		return 0;
	if (!steer_detach(interface, !exists(interface), &fault))
		log_info("%s: nothing is steered there any more: detached", interface);
	return 0;
}

static int retire(const char *interface, void *context)
{
	const struct steer_part *part = context;
	struct fault fault;

	if (!find(part, interface) && exists(interface) && is_free(interface) && steer_apply(interface, NULL, &fault))
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
		list[count] = known ? *known : (struct wanted){ .owned = -1, .lost = UINT64_MAX };
		if (known)
			known->owned = -1; /* handed on */
		memcpy(list[count++].name, config->interface, IF_NAMESIZE);
	}
	for (size_t i = 0; i < part->count; i++)
		let_go(&part->wanted[i]);
	part->wanted = list;
	part->count = count;
	free(old);
	return 0;
}

/* The lock, or -1: then it is said who has it, and tried again soon. */
static int try_lock(struct steer_part *part)
{
	struct fault fault;
	int lock = steer_try_lock(&fault);

	if (lock >= 0) {
		*part->busy = 0;
		return lock;
	}
	if (strcmp(part->busy, fault.text))
		log_warning("%s: tried again each %d s", fault.text, RETRY_S);
	snprintf(part->busy, sizeof(part->busy), "%s", fault.text);
	sd_event_source_set_time_relative(part->retry, RETRY_S * 1000000ull);
	sd_event_source_set_enabled(part->retry, SD_EVENT_ONESHOT);
	return -1;
}

static void apply(struct steer_part *part)
{
	struct fault fault;
	int lock;

	/* With a group at once: giving the socket to it later takes a capability that is dropped after the start. */
	if ((part->count || getgrnam(HANDOFF_GROUP)) && !part->handoff &&
	    handoff_start(&part->handoff, part->daemon->loop, HANDOFF_SOCKET, &fault))
		log_warning("%s", fault.text);
	part->unapplied = true;
	lock = try_lock(part);
	if (lock < 0)
		return;
	part->unapplied = false;
	for (size_t i = 0; i < part->count; i++)
		bring_up(part, &part->wanted[i]);
	pins_each(retire, part, &fault);
	pins_each(visit, part, &fault);
	steer_unlock(lock);
}

static void apply_policies(struct steer_part *part)
{
	if (list_wanted(part))
		log_error("steering: out of memory: the rules in force stay");
	else
		apply(part);
}

/* What the hand-over lost since the last look: a consumer that is too slow, or whose buffers are too small. */
static void report_losses(struct steer_part *part)
{
	struct steer_counters counters[STEER_REPORTED];
	size_t count = steer_counters(counters, STEER_REPORTED);

	for (size_t i = 0; i < count; i++) {
		struct wanted *wanted = find(part, counters[i].interface);
		uint64_t lost = 0;

		for (int verdict = STEER_VERDICT_LOST_FIRST; verdict < STEER_VERDICT_MAX; verdict++)
			lost += counters[i].packets[verdict];
		if (wanted && lost > wanted->lost)
			log_warning("%s: %llu packets were lost on the way to the consumer: `autocork steer status %s` "
				    "says why",
				    wanted->name, (unsigned long long)(lost - wanted->lost), wanted->name);
		if (wanted)
			wanted->lost = lost;
	}
}

/* What is not in force yet, or not any more. */
static void catch_up(struct steer_part *part)
{
	struct fault fault;
	int lock;

	if (part->unapplied) {
		apply(part);
		return;
	}
	lock = try_lock(part);
	if (lock < 0)
		return;
	for (size_t i = 0; i < part->count; i++) {
		struct wanted *wanted = &part->wanted[i];

		if (!wanted->ready || (int)if_nametoindex(wanted->name) != wanted->index)
			bring_up(part, wanted);
		else if (steer_refresh(wanted->name, &fault))
			log_warning("%s", fault.text);
	}
	steer_unlock(lock);
}

static int on_retry(sd_event_source *source, uint64_t now, void *context)
{
	catch_up(context);
	return 0;
}

static int on_tidy(sd_event_source *source, uint64_t now, void *context)
{
	struct steer_part *part = context;
	struct fault fault;
	int lock;

	catch_up(part);
	lock = try_lock(part);
	if (lock >= 0)
		pins_each(visit, part, &fault);
	steer_unlock(lock);
	report_losses(part);
	sd_event_source_set_time_relative(source, TIDY_S * 1000000ull);
	return 0;
}

/* An interface or an address came or went: which one is asked again, so lost messages do no harm. */
static int on_links(sd_event_source *source, int fd, uint32_t events, void *context)
{
	struct steer_part *part = context;
	char buffer[16384];

	while (recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT) > 0)
		;
	/* Some come at once: one look a little later serves them all. */
	sd_event_source_set_time_relative(part->retry, SETTLE_US);
	sd_event_source_set_enabled(part->retry, SD_EVENT_ONESHOT);
	return 0;
}

static int watch_links(void)
{
	struct sockaddr_nl address = { .nl_family = AF_NETLINK,
				       .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR };
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
	    sd_event_source_set_enabled(part->tidy, SD_EVENT_ON) < 0 ||
	    sd_event_add_time_relative(daemon->loop, &part->retry, CLOCK_MONOTONIC, RETRY_S * 1000000ull, 1000,
				       on_retry, part) < 0 ||
	    sd_event_source_set_enabled(part->retry, SD_EVENT_OFF) < 0) {
		steer_part_stop(part);
		return fault_set(fault, EXIT_FAILED, "steering: watching the network interfaces failed: %s",
				 strerror(errno));
	}
	apply_policies(part);
	*data = part;
	return 0;
}

void steer_part_stop(void *data)
{
	struct steer_part *part = data;

	handoff_stop(part->handoff);
	sd_event_source_disable_unref(part->links);
	sd_event_source_disable_unref(part->tidy);
	sd_event_source_disable_unref(part->retry);
	for (size_t i = 0; i < part->count; i++)
		let_go(&part->wanted[i]);
	if (part->netlink >= 0)
		close(part->netlink);
	free(part->wanted);
	free(part);
}

void steer_part_reloaded(struct daemon *daemon, void *data)
{
	if (daemon->reload.ok)
		apply_policies(data);
}

void steer_part_status(struct daemon *daemon, void *data, json_t *status)
{
	const struct steer_part *part = data;
	json_t *list = json_array();

	for (size_t i = 0; i < part->count; i++)
		json_array_append_new(list,
				      json_pack("{so, sb, so}", "interface", json_text_or_null(part->wanted[i].name),
						"steered", (int)part->wanted[i].ready, "error",
						json_text_or_null(*part->wanted[i].error ? part->wanted[i].error :
											   NULL)));
	json_object_set_new(status, "steer", list);
}

const char *steer_part_unmet(const struct daemon *daemon, const void *data)
{
	static char why[sizeof(((struct wanted *)0)->error) + 64];
	const struct steer_part *part = data;

	if (part->unapplied)
		return *part->busy ? part->busy : "steering: its tables are being changed: try again";
	for (size_t i = 0; i < part->count; i++) {
		const struct wanted *wanted = &part->wanted[i];

		if (wanted->ready)
			continue;
		snprintf(why, sizeof(why), "steering of %s: %s", wanted->name, wanted->error);
		return why;
	}
	return NULL;
}
