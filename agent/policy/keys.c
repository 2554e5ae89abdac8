/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "policy/keys.h"

#include <stdlib.h>
#include <string.h>

#include "lib/memory.h"
#include "lib/paths.h"
#include "lib/names.h"

static const char *const steers[] = { [POLICY_STEER_NONE] = "none",
				      [POLICY_STEER_AF_XDP] = "af_xdp",
				      [POLICY_STEER_DPDK] = "dpdk",
				      [POLICY_STEER_ENDPOINT] = "endpoint",
				      NULL };
static const char *const directions[] = {
	[POLICY_DIRECTION_IN] = "in", [POLICY_DIRECTION_OUT] = "out", [POLICY_DIRECTION_ANY] = "any", NULL
};
static const char *const protocols[] = { [POLICY_PROTOCOL_TCP] = "tcp",
					 [POLICY_PROTOCOL_UDP] = "udp",
					 [POLICY_PROTOCOL_ANY] = "any",
					 [POLICY_PROTOCOL_ICMP] = "icmp",
					 NULL };
static const char *const removals[] = { [POLICY_REMOVAL_DRAIN] = "drain", [POLICY_REMOVAL_MOVE] = "move", NULL };
static const char *const jobs[] = { [POLICY_JOB_COALESCE] = "coalesce", [POLICY_JOB_REFLECT] = "reflect", NULL };

#define KEY(section_, struct_, name_, field_, type_) \
	.section = section_, .name = name_, .offset = offsetof(struct struct_, field_), .type = &policy_type_##type_
#define POLICY(name, field, type) KEY(POLICY_SECTION_POLICY, policy_config, name, field, type)
#define AGENT(name, field, type) KEY(POLICY_SECTION_AGENT, policy_agent, name, field, type)
#define FASTPATH(name, field, type) KEY(POLICY_SECTION_FASTPATH, policy_fastpath, name, field, type)

/* Sections in the order of their enum, keys in the order of docs/policy.md. */
static const struct policy_key keys[] = {
	{ POLICY("ports", ports, ranges), .least = 1, .most = 65535, .fallback = "all",
	  .allowed = "all, or numbers from 1 to 65535 and ranges such as 8000-8099, separated by commas, that do not "
		     "overlap",
	  .doc = "The service's ports: local where the program accepts, remote where it connects." },
	{ POLICY("side", side, name), .names = side_names, .fallback = "any", .allowed = "server, client or any",
	  .doc = "`server` takes flows that were accepted, `client` those that were connected." },
	{ POLICY("programs", programs, globs),
	  .allowed = "program names of at most 15 characters, with * ? [a-z] [!a-z], separated by commas",
	  .doc = "Names of the programs that own the socket, as `ps -o comm` shows them; shell patterns. "
		 "Left out: every program." },
	{ POLICY("cgroups", cgroups, paths),
	  .allowed = "paths below the cgroup v2 root that start with /, with * ? [a-z] [!a-z], separated by commas",
	  .doc = "Control groups, each with everything below it; shell patterns. One that does not exist matches "
		 "nothing until it does. "
		 "Left out: every control group." },
	{ POLICY("pods", pods, pods), .allowed = "NAMESPACE/NAME, with * ? [a-z] [!a-z], separated by commas",
	  .doc = "Kubernetes pods of this machine, shell patterns: `shop/web-*`. Beside `cgroups`: either will do." },
	{ POLICY("peers", peers, peers),
	  .allowed = "IPv4 or IPv6 addresses and networks such as 10.0.0.0/8 or fd00::/8, separated by commas, that do "
		     "not overlap",
	  .doc = "Remote addresses. An IPv4 network also takes IPv4 over an IPv6 socket. Left out: every peer." },
	{ POLICY("mode", mode, name), .names = mode_names, .allowed = "off, observe or autocork",
	  .doc = "`off` leaves the flow alone, `observe` counts and works out what could be saved, `autocork` also "
		 "holds writes. "
		 "Must be given, except where `steer` is." },
	{ POLICY("max_hold", max_hold_us, duration), .least = 100, .most = 100000, .fallback = "2ms",
	  .allowed = "a duration from 100us to 100ms",
	  .doc = "The longest time a write may be held: the bound of the added delay." },
	{ POLICY("burst_gap", burst_gap_us, duration), .least = 10, .most = 1000000, .fallback = "200us",
	  .allowed = "a duration from 10us to 1s",
	  .doc = "A pause between two writes longer than this starts a new message." },
	{ POLICY("confidence", confidence, fraction), .least = 0.5, .most = 0.996, .fallback = "0.98",
	  .allowed = "a number from 0.5 to 0.996, or 50% to 99.6%",
	  .doc = "How sure the predictor must be that a message goes on before it holds a write, once it has been wrong "
		 "there." },
	{ POLICY("packet_worth", packet_worth_us, duration), .least = 5, .most = 10000, .fallback = "40us",
	  .allowed = "a duration from 5us to 10ms",
	  .doc = "How much waiting a packet saved is worth. Where the next write of a message usually comes later than "
		 "this, a write is not held for it." },
	{ POLICY("adopt", adopt, yesno), .fallback = "no", .allowed = "yes or no",
	  .doc = "Whether connections that the agent does not follow yet when the policy comes into force (older than the "
		 "agent, or `off` until now) are taken in too. Those that it follows take a new policy at once." },
	{ POLICY("rto_min", rto_min_us, floor), .least = 5000, .most = 200000, .fallback = "0",
	  .allowed = "0, or a duration from 5ms to 200ms",
	  .doc = "The least time to wait for the ACK of a packet before it is sent again, of flows with `mode = autocork`; "
		 "the kernel's own is 200ms. `0` leaves it as it is. Use 50ms or more unless peers are known to ACK immediately." },
	{ POLICY("steer", steer, name), .names = steers, .fallback = "none",
	  .allowed = "none, af_xdp, dpdk or endpoint",
	  .doc = "Takes the flows out of the kernel at the driver: `af_xdp` hands them to whoever opens the AF_XDP "
		 "sockets, `dpdk` to "
		 "autocork-fastpath, which the agent then runs, `endpoint` to the program under `autocork run` that listens "
		 "there. Needs `ports` and `interface`." },
	{ POLICY("interface", interface, interface),
	  .allowed = "the name of a network interface, at most 15 characters",
	  .doc = "The network interface whose packets are steered." },
	{ POLICY("queues", queues, ranges), .least = 0, .most = 1023, .fallback = "all",
	  .allowed = "all, or receive queues from 0 to 1023 such as 0, 2-3, separated by commas, that do not overlap",
	  .doc = "The receive queues whose packets are steered." },
	{ POLICY("direction", direction, name), .names = directions, .fallback = "in", .allowed = "in, out or any",
	  .doc = "`in` steers flows to the ports on this machine, `out` the replies from those ports elsewhere." },
	{ POLICY("protocol", protocol, name), .names = protocols, .fallback = "tcp", .allowed = "tcp, udp, icmp or any",
	  .doc = "The protocol of the steered packets. `icmp` is ping, of both IP versions, and has no `ports`." },
	{ POLICY("transit", transit, yesno), .fallback = "no", .allowed = "yes or no",
	  .doc = "Whether packets for other machines are steered too: for addresses that this one does not have, other "
		 "link addresses, multicast." },
	{ POLICY("removal", removal, name), .names = removals, .fallback = "drain", .allowed = "drain or move",
	  .doc = "What becomes of open connections of `steer = endpoint` when no policy names their port any more: "
		 "`drain` leaves them to the program's own TCP until they end, `move` gives them to the kernel, alive. "
		 "New ones are the kernel's either way." },

	{ AGENT("budget", budget, budget), .least = 0.001, .most = 1, .fallback = "1%",
	  .allowed = "0.1% to 100%, or off",
	  .doc = "The share of one CPU that observing may cost; above it, telemetry looks for one second in 16 to 128 and infers the rest. `off` sets no bound." },
	{ AGENT("metrics", metrics, endpoint), .fallback = AUTOCORK_METRICS,
	  .allowed = "ADDRESS:PORT such as " AUTOCORK_METRICS " or [::1]:" AUTOCORK_METRICS_PORT
		     " (port 0 takes a free one), "
		     "the path of a Unix socket, or off",
	  .doc = "Where the metrics and the web page are served. On loopback every user of the machine may read them, on a "
		 "Unix socket root and the group `autocork`." },
	{ AGENT("series", series, series), .least = 0, .most = 1000, .fallback = "20",
	  .allowed = "a number from 0 to 1000, or all",
	  .doc = "How many series of one service the metrics page may have. The metrics that they do not suffice for "
		 "are added up for the host: docs/metrics.md has their order." },
	{ AGENT("small_packets", small_packets, yesno), .fallback = "no", .allowed = "yes or no",
	  .doc = "Whether packets with less than 128 bytes of payload are counted on observed flows. Needs a look at "
		 "every packet of the machine, which costs more than all other counters together." },

	{ FASTPATH("job", job, name), .names = jobs, .fallback = "coalesce", .allowed = "coalesce or reflect",
	  .doc = "What autocork-fastpath does: `coalesce` merges small segments of the traffic it forwards between two "
		 "interfaces, `reflect` answers ICMP and UDP echo on the steered ports." },
	{ FASTPATH("hold", hold_us, duration), .least = 0, .most = 10000, .fallback = "0us",
	  .allowed = "a duration from 0us to 10ms",
	  .doc = "The longest time `coalesce` holds a segment; 0us merges only what arrives together and adds no "
		 "delay." },
	{ FASTPATH("interfaces", interfaces, interfaces), .allowed = "names of network interfaces, separated by commas",
	  .doc = "The interfaces that autocork-fastpath opens besides those of the policies with `steer = dpdk`; "
		 "`coalesce` "
		 "forwards between the two." },
};

_Static_assert(AC_ARRAY_SIZE(keys) <= POLICY_KEYS_MAX, "no section has more keys than POLICY_KEYS_MAX");

static struct policy_section_kind kinds[POLICY_SECTION_MAX] = {
	[POLICY_SECTION_POLICY] = { .name = "policy", .size = sizeof(struct policy_config) },
	[POLICY_SECTION_AGENT] = { .name = "agent", .size = sizeof(struct policy_agent) },
	[POLICY_SECTION_FASTPATH] = { .name = "fastpath", .size = sizeof(struct policy_fastpath) },
};

__attribute__((constructor)) static void count_keys(void)
{
	for (size_t i = 0; i < AC_ARRAY_SIZE(keys); i++) {
		struct policy_section_kind *kind = &kinds[keys[i].section];

		if (!kind->key_count++)
			kind->keys = &keys[i];
	}
}

const struct policy_section_kind *policy_section_kind(enum policy_section section)
{
	return &kinds[section];
}

int policy_key_find(enum policy_section section, const char *name)
{
	for (size_t i = 0; i < kinds[section].key_count; i++) {
		if (!strcmp(kinds[section].keys[i].name, name))
			return (int)i;
	}
	return -1;
}

/* Edits (insert, drop, replace) that turn one word into the other; words longer than a row are as far as can be. */
static unsigned int distance(const char *a, const char *b)
{
	unsigned int row[32];
	size_t width = strlen(b);

	if (width >= AC_ARRAY_SIZE(row))
		return -1;
	for (size_t j = 0; j <= width; j++)
		row[j] = j;
	for (size_t i = 0; a[i]; i++) {
		unsigned int diagonal = row[0];

		row[0] = i + 1;
		for (size_t j = 0; j < width; j++) {
			unsigned int least = diagonal + (a[i] != b[j]);

			diagonal = row[j + 1];
			if (least > diagonal + 1)
				least = diagonal + 1;
			if (least > row[j] + 1)
				least = row[j] + 1;
			row[j + 1] = least;
		}
	}
	return row[width];
}

const char *policy_key_near(enum policy_section section, const char *name)
{
	const char *near = NULL;
	unsigned int least = 3;

	for (size_t i = 0; i < kinds[section].key_count; i++) {
		unsigned int edits = distance(name, kinds[section].keys[i].name);

		if (edits < least && edits < strlen(name)) {
			least = edits;
			near = kinds[section].keys[i].name;
		}
	}
	return near;
}

const char *policy_section_near(const char *name)
{
	for (size_t i = 0; i < POLICY_SECTION_MAX; i++) {
		if (distance(name, kinds[i].name) < 3)
			return kinds[i].name;
	}
	return NULL;
}

char *policy_key_set(const struct policy_key *key, void *values, const char *text)
{
	void *field = (char *)values + key->offset;
	union {
		max_align_t align;
		char bytes[sizeof(struct policy_endpoint)];
	} parsed = { 0 };
	char *reason = NULL;

	if (!text)
		text = key->fallback;
	if (text)
		reason = key->type->parse(key, text, &parsed);
	if (reason) {
		if (key->type->clear)
			key->type->clear(&parsed);
		return reason;
	}
	if (key->type->clear)
		key->type->clear(field);
	memcpy(field, &parsed, key->type->size);
	return NULL;
}

char *policy_key_text(const struct policy_key *key, const void *values)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return memory_string("");
	key->type->print(key, (const char *)values + key->offset, out);
	fclose(out);
	return text ? text : memory_string("");
}

void policy_values_init(enum policy_section section, void *values)
{
	memset(values, 0, kinds[section].size);
	for (size_t i = 0; i < kinds[section].key_count; i++)
		free(policy_key_set(&kinds[section].keys[i], values, NULL));
}

void policy_values_clear(enum policy_section section, void *values)
{
	for (size_t i = 0; i < kinds[section].key_count; i++) {
		const struct policy_key *key = &kinds[section].keys[i];

		if (key->type->clear)
			key->type->clear((char *)values + key->offset);
	}
}
