/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include <arpa/inet.h>
#include <errno.h>
#include <fnmatch.h>
#include <limits.h>
#include <string.h>

#include "lib/cgroup.h"
#include "telemetry/event_format.h"

static int read_types(struct event_filter *filter, const json_t *types, struct fault *fault)
{
	size_t i;
	const json_t *value;

	if (!types)
		return 0;
	filter->types = 0;
	json_array_foreach((json_t *)types, i, value) {
		const char *name = json_string_value(value);
		uint32_t type = name ? event_type_find(name) : AC_EVENT_MAX;

		if (type == AC_EVENT_MAX)
			return fault_set(fault, EXIT_USAGE,
					 "events: type %.40s: there is no such type: see autocork events --help",
					 name ? name : "that is no string");
		filter->types |= AC_EVENT_BIT(type);
	}
	return 0;
}

static int read_address(struct event_filter *filter, const char *text, struct fault *fault)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

	if (!text)
		return 0;
	filter->has_address = true;
	memcpy(filter->address, mapped, sizeof(mapped));
	if (inet_pton(AF_INET, text, filter->address + 12) == 1 || inet_pton(AF_INET6, text, filter->address) == 1)
		return 0;
	return fault_set(fault, EXIT_USAGE, "events: address %.60s: not an IPv4 or IPv6 address: write it in numbers",
			 text);
}

static int read_cgroup(struct event_filter *filter, const char *path, struct fault *fault)
{
	char directory[PATH_MAX];
	const char *root;

	if (!path)
		return 0;
	root = cgroup_root(fault);
	if (!root)
		return -1;
	if (*path != '/')
		return fault_set(fault, EXIT_USAGE,
				 "events: cgroup %.60s: not a path: write it from the root, /system.slice/…", path);
	if (snprintf(directory, sizeof(directory), "%s%s", root, path) >= (int)sizeof(directory))
		return fault_set(fault, EXIT_USAGE, "events: cgroup: the path is too long");
	filter->cgroup = cgroup_id(directory);
	if (!filter->cgroup)
		return fault_set(fault, EXIT_USAGE, "events: cgroup %s: %s: name one below %s", path, strerror(errno),
				 root);
	return 0;
}

static int read_pattern(char *to, size_t size, const char *what, const char *pattern, struct fault *fault)
{
	if (!pattern)
		return 0;
	if (!*pattern || strlen(pattern) >= size)
		return fault_set(fault, EXIT_USAGE, "events: %s: a pattern has 1 to %zu characters", what, size - 1);
	strcpy(to, pattern);
	return 0;
}

int event_filter_read(struct event_filter *filter, const json_t *request, struct fault *fault)
{
	const char *op, *program = NULL, *unit = NULL, *cgroup = NULL, *address = NULL;
	json_int_t port = 0, netns = 0;
	json_t *types = NULL;
	json_error_t error;

	*filter = (struct event_filter){ .types = ~AC_EVENT_ON_REQUEST };
	if (json_unpack_ex((json_t *)request, &error, 0, "{ss s?o s?I s?s s?s s?s s?s s?I !}", "op", &op, "types",
			   &types, "port", &port, "program", &program, "unit", &unit, "cgroup", &cgroup, "address",
			   &address, "netns", &netns))
		return fault_set(fault, EXIT_USAGE,
				 "events: %s: it takes types, port, program, unit, cgroup, address, netns", error.text);
	if (port < 0 || port > 65535 || netns < 0 || netns > UINT32_MAX)
		return fault_set(
			fault, EXIT_USAGE,
			"events: port or netns out of range: a port is 1 to 65535, netns the namespace's inode number");
	if (types && !json_is_array(types))
		return fault_set(fault, EXIT_USAGE, "events: types: not a list of names");
	filter->port = port;
	filter->netns = netns;
	return read_types(filter, types, fault) || read_address(filter, address, fault) ||
			       read_cgroup(filter, cgroup, fault) ||
			       read_pattern(filter->program, sizeof(filter->program), "program", program, fault) ||
			       read_pattern(filter->unit, sizeof(filter->unit), "unit", unit, fault) ?
		       -1 :
		       0;
}

bool event_filter_wants(const struct event_filter *filter, const struct ac_event *event, const char *unit)
{
	const struct ac_event_flow *flow = &event->flow;
	char comm[AC_COMM_LEN + 1] = "";

	memcpy(comm, flow->comm, AC_COMM_LEN);
	return event->type < AC_EVENT_MAX && filter->types & AC_EVENT_BIT(event->type) &&
	       (!filter->port || filter->port == flow->local_port || filter->port == flow->remote_port) &&
	       (!filter->netns || filter->netns == flow->netns) &&
	       (!filter->cgroup || filter->cgroup == flow->cgroup) &&
	       (!filter->has_address || !memcmp(filter->address, flow->local, 16) ||
		!memcmp(filter->address, flow->remote, 16)) &&
	       (!*filter->program || !fnmatch(filter->program, comm, 0)) &&
	       (!*filter->unit || !fnmatch(filter->unit, unit, 0));
}
