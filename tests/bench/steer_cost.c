/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * What the steering program costs per packet with few and with many rules: BPF_PROG_TEST_RUN, alternating rounds,
 * medians. Prints one JSON object: {"packet kind": {"10": ns, "10000": ns}, …}.
 */
#include <err.h>
#include <jansson.h>
#include <net/if.h>

#include "../prog/steer_set.h"

#define REPEAT 300000
#define ROUNDS_MAX 99

enum { KINDS = 4, SIZES = 2 };

static const struct {
	const char *name;
	unsigned char flags; /* TCP's; 0 = UDP */
	unsigned int port, from;
} kinds[KINDS] = {
	{ "UDP, named by a rule", 0, 20003, 40000 },
	{ "TCP, a steered flow", 0x10, 20003, 40000 },
	{ "TCP, a named port, not steered", 0x10, 20003, 40001 },
	{ "TCP, no rule names it", 0x10, 443, 40000 },
};
static const unsigned int sizes[SIZES] = { 10, 10000 };

static size_t make_packet(unsigned char *packet, unsigned char flags, unsigned int from, unsigned int port)
{
	size_t length = flags ? 40 : 28;

	memset(packet, 0, 64);
	packet[12] = 8;
	packet[14] = 0x45;
	packet[17] = length;
	packet[22] = 64;
	packet[23] = flags ? 6 : 17;
	memcpy(packet + 26, "\xc0\0\2\1\xc0\0\2\2", 8);
	packet[34] = from >> 8;
	packet[35] = from;
	packet[36] = port >> 8;
	packet[37] = port;
	if (flags) {
		packet[46] = 5 << 4;
		packet[47] = flags;
	} else {
		packet[39] = 8;
	}
	return 60;
}

static unsigned int cost(struct steer_bpf *steer, unsigned char *packet, size_t length, unsigned int repeat)
{
	struct xdp_md context = { .data_end = length, .ingress_ifindex = if_nametoindex("lo") };
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = packet, .data_size_in = length, .ctx_in = &context,
		    .ctx_size_in = sizeof(context), .repeat = repeat);

	if (bpf_prog_test_run_opts(bpf_program__fd(steer->progs.xsk_def_prog), &options))
		err(1, "BPF_PROG_TEST_RUN");
	return options.duration;
}

static int by_value(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? strtol(argv[1], NULL, 10) : 9;
	int values[KINDS][SIZES][ROUNDS_MAX];
	struct steer_bpf *steer[SIZES];
	struct steer_tables tables = { 0 };
	unsigned char packet[64];
	uint32_t queue = 0;
	int socket = steer_socket();
	struct fault fault;
	json_t *report = json_object();

	if (rounds < 1 || rounds > ROUNDS_MAX || socket < 0)
		errx(2, "usage: steer_cost [ROUNDS], 1 to %d, as root", ROUNDS_MAX);
	for (int size = 0; size < SIZES; size++) {
		char *text = steer_many(sizes[size], "protocol = any");

		steer[size] = steer_load(&tables);
		if (!steer[size] || steer_own(&tables, "::ffff:192.0.2.2") || steer_put(&tables, text, &fault))
			errx(1, "loading: %s", fault.text);
		free(text);
		if (bpf_map_update_elem(tables.xsks_map, &queue, &socket, BPF_ANY))
			err(1, "xsks_map");
		/* The steered flow of the second kind. */
		cost(steer[size], packet, make_packet(packet, 2, 40000, 20003), 1);
		cost(steer[size], packet, make_packet(packet, 16, 40000, 20003), 1);
	}
	for (int round = 0; round < rounds; round++)
		for (int kind = 0; kind < KINDS; kind++)
			for (int i = 0; i < SIZES; i++) {
				int size = (round + i) % SIZES; /* back and forth */
				size_t length =
					make_packet(packet, kinds[kind].flags, kinds[kind].from, kinds[kind].port);

				values[kind][size][round] = cost(steer[size], packet, length, REPEAT);
			}
	for (int kind = 0; kind < KINDS; kind++) {
		json_t *row = json_object();

		for (int size = 0; size < SIZES; size++) {
			char name[16];

			qsort(values[kind][size], rounds, sizeof(int), by_value);
			snprintf(name, sizeof(name), "%u", sizes[size]);
			json_object_set_new(row, name, json_integer(values[kind][size][rounds / 2]));
		}
		json_object_set_new(report, kinds[kind].name, row);
	}
	json_dumpf(report, stdout, JSON_INDENT(1));
	putchar('\n');
	json_decref(report);
	for (int size = 0; size < SIZES; size++)
		steer_bpf__destroy(steer[size]);
	return 0;
}
