/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "steer/local.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/array.h"

#define LOOPBACK_INDEX 1 /* in every network namespace */
#define ANSWER_MAX 65536

/* An interface, as far as frames for it may come in by another one. */
struct link {
	uint32_t index, lower, master;
	uint64_t station;
};

struct dump {
	struct steer_local_key *locals;
	struct link *links;
	size_t local_count, local_room, link_count, link_room;
	bool loopback; /* 127.0.0.0/8 and ::1 too */
	int error;
};

static void add_local(struct dump *dump, int family, const void *address, unsigned int bits)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff }, loopback[16] = { [15] = 1 };
	struct steer_local_key key = { 0 };

	if (family == AF_INET) {
		memcpy(key.address, mapped, 12);
		memcpy(key.address + 12, address, 4);
		key.prefixlen = 96 + bits;
	} else {
		memcpy(key.address, address, 16);
		key.prefixlen = bits;
	}
	/* What comes from a wire for these is nobody's. */
	if (!dump->loopback && ((family == AF_INET && key.address[12] == 127) || !memcmp(key.address, loopback, 16)))
		return;
	if (!array_room(&dump->locals, dump->local_count, &dump->local_room, sizeof(*dump->locals))) {
		dump->error = ENOMEM;
		return;
	}
	dump->locals[dump->local_count++] = key;
}

static const struct rtattr *find(const struct rtattr *list, int length, unsigned short type)
{
	for (; RTA_OK(list, length); list = RTA_NEXT(list, length))
		if ((list->rta_type & NLA_TYPE_MASK) == type)
			return list;
	return NULL;
}

static uint32_t number(const struct rtattr *attribute)
{
	uint32_t value = 0;

	if (attribute && RTA_PAYLOAD(attribute) == sizeof(value))
		memcpy(&value, RTA_DATA(attribute), sizeof(value));
	return value;
}

static size_t address_size(int family)
{
	return family == AF_INET ? 4 : family == AF_INET6 ? 16 : 0;
}

static void take_address(struct dump *dump, const struct nlmsghdr *message)
{
	const struct ifaddrmsg *address = NLMSG_DATA(message);
	const struct rtattr *local = find(IFA_RTA(address), IFA_PAYLOAD(message), IFA_LOCAL);

	if (!local)
		local = find(IFA_RTA(address), IFA_PAYLOAD(message), IFA_ADDRESS);
	if (local && address_size(address->ifa_family) && RTA_PAYLOAD(local) == address_size(address->ifa_family))
		add_local(dump, address->ifa_family, RTA_DATA(local), 8 * RTA_PAYLOAD(local));
}

/* `ip route add local …` makes whole networks local. */
static void take_route(struct dump *dump, const struct nlmsghdr *message)
{
	static const uint8_t any[16];
	const struct rtmsg *route = NLMSG_DATA(message);
	const struct rtattr *target;
	size_t size = address_size(route->rtm_family);

	if (route->rtm_type != RTN_LOCAL || route->rtm_table != RT_TABLE_LOCAL || !size)
		return;
	target = find(RTM_RTA(route), RTM_PAYLOAD(message), RTA_DST);
	if (!target || RTA_PAYLOAD(target) == size)
		add_local(dump, route->rtm_family, target ? RTA_DATA(target) : any, route->rtm_dst_len);
}

static void take_link(struct dump *dump, const struct nlmsghdr *message)
{
	const struct ifinfomsg *info = NLMSG_DATA(message);
	const struct rtattr *list = IFLA_RTA(info), *station;
	int length = IFLA_PAYLOAD(message);
	struct link *link;

	if (!array_room(&dump->links, dump->link_count, &dump->link_room, sizeof(*dump->links))) {
		dump->error = ENOMEM;
		return;
	}
	link = &dump->links[dump->link_count++];
	*link = (struct link){
		.index = info->ifi_index,
		/* The number is another namespace's. */
		.lower = find(list, length, IFLA_LINK_NETNSID) ? 0 : number(find(list, length, IFLA_LINK)),
		.master = number(find(list, length, IFLA_MASTER)),
	};
	station = find(list, length, IFLA_ADDRESS);
	if (station && RTA_PAYLOAD(station) == 6)
		memcpy(&link->station, RTA_DATA(station), 6);
}

/* All messages of one kind; 0, or errno. */
static int ask(int fd, struct dump *dump, unsigned short type, int family)
{
	struct {
		struct nlmsghdr header;
		union {
			struct rtmsg route;
			struct ifaddrmsg address;
			struct ifinfomsg link;
		};
	} request = { .header = { .nlmsg_type = type, .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP } };
	char *answer = malloc(ANSWER_MAX);
	int error = answer ? -1 : ENOMEM;

	request.header.nlmsg_len = NLMSG_LENGTH(type == RTM_GETROUTE ? sizeof(request.route) :
						type == RTM_GETADDR  ? sizeof(request.address) :
								       sizeof(request.link));
	if (type == RTM_GETROUTE) {
		request.route.rtm_family = family;
		request.route.rtm_table = RT_TABLE_LOCAL;
	}
	if (!error || (answer && send(fd, &request, request.header.nlmsg_len, 0) < 0))
		error = errno;
	while (error < 0) {
		ssize_t length = recv(fd, answer, ANSWER_MAX, 0);
		int left = length;

		if (length < 0)
			error = errno;
		for (struct nlmsghdr *at = (void *)answer; error < 0 && NLMSG_OK(at, (unsigned int)left);
		     at = NLMSG_NEXT(at, left)) {
			if (at->nlmsg_type == NLMSG_DONE)
				error = 0;
			else if (at->nlmsg_type == NLMSG_ERROR)
				error = -((struct nlmsgerr *)NLMSG_DATA(at))->error;
			else if (at->nlmsg_type == RTM_NEWADDR)
				take_address(dump, at);
			else if (at->nlmsg_type == RTM_NEWROUTE)
				take_route(dump, at);
			else if (at->nlmsg_type == RTM_NEWLINK)
				take_link(dump, at);
		}
	}
	free(answer);
	return error;
}

static int collect(struct dump *dump)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE), strict = 1, error;

	if (fd < 0)
		return errno;
	/* The kernel then lists the one table that is asked for, not a million routes. */
	setsockopt(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &strict, sizeof(strict));
	/* clang-format off */
	error = ask(fd, dump, RTM_GETADDR, AF_UNSPEC) ?: ask(fd, dump, RTM_GETLINK, AF_UNSPEC) ?:
		ask(fd, dump, RTM_GETROUTE, AF_INET) ?: ask(fd, dump, RTM_GETROUTE, AF_INET6) ?: dump->error;
	/* clang-format on */
	close(fd);
	return error;
}

/* The interface's own link address first, then those of what lies on top of it: its bridge or bond, VLANs, VRRP. */
static void list_stations(const struct dump *dump, uint32_t index, uint64_t stations[STEER_STATIONS])
{
	const struct link *own = NULL;
	size_t count = 0;

	for (size_t i = 0; i < dump->link_count; i++)
		if (dump->links[i].index == index)
			own = &dump->links[i];
	memset(stations, 0, STEER_STATIONS * sizeof(*stations));
	if (!own || !own->station)
		return;
	stations[count++] = own->station;
	for (size_t i = 0; i < dump->link_count && count < STEER_STATIONS; i++) {
		const struct link *link = &dump->links[i];
		bool above = link->lower == index ||
			     (own->master && (link->index == own->master || link->lower == own->master)),
		     known = false;

		for (size_t k = 0; k < count; k++)
			known |= stations[k] == link->station;
		if (above && link->station && !known)
			stations[count++] = link->station;
	}
}

static bool has(const struct dump *dump, const struct steer_local_key *key)
{
	for (size_t i = 0; i < dump->local_count; i++)
		if (!memcmp(&dump->locals[i], key, sizeof(*key)))
			return true;
	return false;
}

static int write_locals(int map, const struct dump *dump)
{
	struct steer_local_key key, next;
	uint32_t one = 1;
	bool more;

	for (size_t i = 0; i < dump->local_count; i++)
		if (bpf_map_update_elem(map, &dump->locals[i], &one, BPF_ANY))
			return errno;
	more = !bpf_map_get_next_key(map, NULL, &next);
	while (more) {
		key = next;
		more = !bpf_map_get_next_key(map, &key, &next);
		if (!has(dump, &key))
			bpf_map_delete_elem(map, &key);
	}
	return 0;
}

int local_refresh(const struct steer_tables *tables, int ifindex, struct fault *fault)
{
	struct dump dump = { .loopback = ifindex == LOOPBACK_INDEX };
	struct steer_control control;
	uint64_t stations[STEER_STATIONS];
	uint32_t zero = 0;
	int error = collect(&dump);

	if (!error)
		error = write_locals(tables->steer_locals, &dump);
	if (!error && bpf_map_lookup_elem(tables->steer_control, &zero, &control))
		error = errno;
	if (!error) {
		list_stations(&dump, ifindex, stations);
		if (memcmp(stations, control.stations, sizeof(stations))) {
			memcpy(control.stations, stations, sizeof(stations));
			error = bpf_map_update_elem(tables->steer_control, &zero, &control, BPF_ANY) ? errno : 0;
		}
	}
	free(dump.locals);
	free(dump.links);
	if (error == ENOSPC)
		return fault_set(fault, EXIT_FAILED,
				 "steering: this machine has more than %d addresses: use `transit = yes`, which does "
				 "not look at them",
				 STEER_LOCALS_MAX);
	return error ? fault_set(fault, EXIT_FAILED,
				 "steering: asking for this machine's addresses failed: %s: try again",
				 strerror(error)) :
		       0;
}
