/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The command line of autocork-fastpath: see options.h and docs/fastpath.md. */
#include "fastpath/fastpath_options.h"

#include <argp.h>
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fastpath/coalesce.h"
#include "lib/log.h"
#include "lib/version.h"

#define FLOWS_DEFAULT 16384
#define MTU_MIN 576 /* RFC 791: what every host takes */

enum key {
	KEY_HOLD = 256,
	KEY_MEMORY,
	KEY_RUN_DIR,
	KEY_KEEP_PRIVILEGES,
	KEY_LOG,
};

static const struct argp_option table[] = {
	{ "job", 'j', "JOB", 0, "coalesce, forward or reflect (default: coalesce)", 1 },
	{ "interface", 'i', "IFACE", 0,
	  "use this kernel interface through AF_XDP; repeat it, the order makes the pairs", 1 },
	{ "queues", 'q', "N|all", 0, "receive queues per port (default: all)", 1 },
	{ "hold", KEY_HOLD, "TIME", 0,
	  "coalesce: let segments of a stream wait this long for the next, such as 50us "
	  "(default: 0, merge only within a receive burst; at most 10ms)",
	  2 },
	{ "flows", 'f', "N", 0, "coalesce: flows remembered per receive queue (default: 16384)", 2 },
	{ "mtu", 'm', "BYTES", 0, "coalesce: largest IP packet to make (default: the MTU of the sending port)", 2 },
	{ "address", 'a', "IP", 0, "reflect: answer for this address only, ARP and neighbour discovery too; repeat it",
	  3 },
	{ "ports", 'p', "LIST", 0, "reflect: answer on these UDP ports only, such as 9000-9010,9020 (default: all)",
	  3 },
	{ "wait", 'w', "HOW", 0,
	  "interrupt: sleep while there is nothing to do (default); poll: never sleep, one core each", 4 },
	{ "cores", 'c', "LIST", 0, "cores to run on, such as 2-3 (default: all allowed ones)", 4 },
	{ "memory", KEY_MEMORY, "KIND", 0, "huge, normal or auto: huge pages if there are any (default: auto)", 4 },
	{ "name", 'n', "NAME", 0, "name of this instance (default: the first interface, else \"fastpath\")", 5 },
	{ "run-dir", KEY_RUN_DIR, "DIR", 0, "where NAME.stats is kept (default: " FASTPATH_RUN_DIR ")", 5 },
	{ "keep-privileges", KEY_KEEP_PRIVILEGES, NULL, 0,
	  "do not drop capabilities after start (physical ports keep them anyway)", 5 },
	{ "log", KEY_LOG, "LEVEL", 0, "error, warning, info or debug (default: info)", 5 },
	{ 0 },
};

static const char doc[] = "Forwards, merges or answers packets in user space, with DPDK.\v"
			  "Examples:\n"
			  "  autocork-fastpath -i eth1 -i eth2              merge, add no delay\n"
			  "  autocork-fastpath -i eth1 -i eth2 --hold 50us  wait for more, up to 50 us\n"
			  "  autocork-fastpath -j reflect -i eth1           answer ping and UDP echo\n"
			  "  autocork-fastpath -c 2 -w poll -- -a 0000:03:00.0 -a 0000:03:00.1\n"
			  "\n"
			  "What follows \"--\" goes to DPDK (--vdev, -a, -d, --log-level …).";

static const char *const job_names[] = {
#define X(id, name, text) [FASTPATH_JOB_##id] = name,
	FASTPATH_JOBS(X)
#undef X
};

const char *fastpath_job_name(enum fastpath_job job)
{
	return job_names[job];
}

/* The index of a word in a list; a usage error if it is not there. */
static int choose(const struct argp_state *state, const char *option, const char *word, const char *const *words,
		  int count)
{
	for (int i = 0; i < count; i++)
		if (!strcmp(word, words[i]))
			return i;
	argp_error(state, "--%s: %s: unknown, see --help", option, word);
	return -1;
}

static uint32_t number(const struct argp_state *state, const char *option, const char *text, uint32_t low,
		       uint32_t high)
{
	char *end;
	unsigned long value;

	errno = 0;
	value = strtoul(text, &end, 10);
	if (errno || end == text || *end || text[0] == '-' || value < low || value > high)
		argp_error(state, "--%s: %s: give a number from %u to %u", option, text, low, high);
	return value;
}

bool options_parse_hold(const char *text, uint64_t *ns)
{
	static const struct {
		const char *suffix;
		uint64_t ns;
	} units[] = { { "us", 1000 }, { "ms", 1000000 }, { "ns", 1 } };
	unsigned long value;
	char *end;

	errno = 0;
	value = strtoul(text, &end, 10);
	if (errno || end == text || text[0] < '0' || text[0] > '9' || value > COALESCE_HOLD_MAX_NS)
		return false;
	if (!value && !*end) {
		*ns = 0;
		return true;
	}
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(end, units[i].suffix))
			continue;
		*ns = value * units[i].ns;
		return *ns <= COALESCE_HOLD_MAX_NS;
	}
	return false;
}

static void add_address(const struct argp_state *state, struct fastpath_options *options, const char *text)
{
	struct reflect_options *reflect = &options->reflect;
	uint8_t *address;

	if (reflect->address_count == REFLECT_ADDRESSES)
		argp_error(state, "--address: %s: at most %d addresses", text, REFLECT_ADDRESSES);
	address = reflect->addresses[reflect->address_count];
	memset(address, 0, 10);
	memset(address + 10, 0xff, 2);
	if (inet_pton(AF_INET, text, address + 12) != 1 && inet_pton(AF_INET6, text, address) != 1)
		argp_error(state, "--address: %s: give an IPv4 or IPv6 address", text);
	reflect->address_count++;
}

static void add_interface(const struct argp_state *state, struct fastpath_options *options, const char *name)
{
	if (options->interface_count == FASTPATH_PORTS_MAX)
		argp_error(state, "--interface: %s: at most %d interfaces", name, FASTPATH_PORTS_MAX);
	/* A comma would end the name in DPDK's device arguments. */
	if (!*name || strlen(name) >= IF_NAMESIZE || strpbrk(name, ",/ "))
		argp_error(state, "--interface: %s: not the name of an interface", name);
	for (size_t i = 0; i < options->interface_count; i++)
		if (!strcmp(options->interfaces[i], name))
			argp_error(state, "--interface: %s: given twice", name);
	strcpy(options->interfaces[options->interface_count++], name);
}

bool options_parse_cores(const char *list, cpu_set_t *cores)
{
	CPU_ZERO(cores);
	for (;;) {
		unsigned long first, last;
		char *end;

		if (!isdigit((unsigned char)*list))
			return false;
		first = last = strtoul(list, &end, 10);
		if (*end == '-') {
			if (!isdigit((unsigned char)end[1]))
				return false;
			last = strtoul(end + 1, &end, 10);
		}
		if (last < first || last >= CPU_SETSIZE)
			return false;
		for (; first <= last; first++)
			CPU_SET(first, cores);
		if (*end != ',')
			return !*end;
		list = end + 1;
	}
}

bool options_parse_ports(const char *list, struct reflect_options *reflect)
{
	for (;;) {
		unsigned long first, last;
		char *end;

		if (!isdigit((unsigned char)*list))
			return false;
		first = last = strtoul(list, &end, 10);
		if (*end == '-') {
			if (!isdigit((unsigned char)end[1]))
				return false;
			last = strtoul(end + 1, &end, 10);
		}
		if (!first || last < first || last > UINT16_MAX)
			return false;
		for (; first <= last; first++)
			reflect->ports[first / 64] |= 1ull << first % 64;
		reflect->some_ports = true;
		if (*end != ',')
			return !*end;
		list = end + 1;
	}
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
	static const char *const waits[] = { "interrupt", "poll" };
	static const char *const memories[] = { "auto", "huge", "normal" };
	struct fastpath_options *options = state->input;
	enum log_level level;
	cpu_set_t cores;

	switch (key) {
	case 'j':
		options->job = choose(state, "job", argument, job_names, FASTPATH_JOB_MAX);
		return 0;
	case 'i':
		add_interface(state, options, argument);
		return 0;
	case 'q':
		options->queues =
			!strcmp(argument, "all") ? 0 : number(state, "queues", argument, 1, FASTPATH_QUEUES_MAX);
		return 0;
	case KEY_HOLD:
		if (!options_parse_hold(argument, &options->hold_ns))
			argp_error(state, "--hold: %s: give a time from 0 to 10ms, such as 50us", argument);
		return 0;
	case 'f':
		options->flows = number(state, "flows", argument, COALESCE_FLOWS_MIN, COALESCE_FLOWS_MAX);
		return 0;
	case 'm':
		options->mtu = number(state, "mtu", argument, MTU_MIN, UINT16_MAX);
		return 0;
	case 'a':
		add_address(state, options, argument);
		return 0;
	case 'p':
		if (!options_parse_ports(argument, &options->reflect))
			argp_error(state, "--ports: %s: give numbers and ranges, such as 9000-9010,9020", argument);
		return 0;
	case 'w':
		options->wait = choose(state, "wait", argument, waits, 2);
		return 0;
	case 'c':
		if (!options_parse_cores(argument, &cores))
			argp_error(state, "--cores: %s: give numbers and ranges, such as 0-1,3", argument);
		options->cores = argument;
		return 0;
	case 'n':
		if (!fastpath_name_valid(argument))
			argp_error(state, "--name: %s: up to %d letters, digits, - _ .", argument,
				   FASTPATH_NAME_LEN - 1);
		strcpy(options->name, argument);
		return 0;
	case KEY_MEMORY:
		options->memory = choose(state, "memory", argument, memories, 3);
		return 0;
	case KEY_RUN_DIR:
		if (strlen(argument) >= sizeof(options->run_dir))
			argp_error(state, "--run-dir: %s: too long", argument);
		strcpy(options->run_dir, argument);
		return 0;
	case KEY_KEEP_PRIVILEGES:
		options->keep_privileges = true;
		return 0;
	case KEY_LOG:
		if (!log_level_parse(argument, &level))
			argp_error(state, "--log: %s: error, warning, info or debug", argument);
		log_set_level(level);
		return 0;
	case ARGP_KEY_ARG:
		/* argp hands over what stands after "--" as plain arguments; before it there are none. */
		if (!state->quoted || state->next - 1 < state->quoted)
			argp_error(state, "%s: unknown argument; what is for DPDK comes after --", argument);
		options->eal = state->argv + state->next - 1;
		options->eal_count = state->argc - state->next + 1;
		state->next = state->argc;
		return 0;
	case ARGP_KEY_END:
		if (!options->interface_count && !options->eal_count)
			argp_error(state, "no port: give --interface, or --vdev or -a after --");
		if (options->reflect.address_count && options->job != FASTPATH_JOB_REFLECT)
			argp_error(state, "--address goes with --job reflect only");
		if (options->reflect.some_ports && options->job != FASTPATH_JOB_REFLECT)
			argp_error(state, "--ports goes with --job reflect only");
		if (options->hold_ns && options->job != FASTPATH_JOB_COALESCE)
			argp_error(state, "--hold goes with --job coalesce only");
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

void options_parse(struct fastpath_options *options, int argc, char **argv)
{
	static const struct argp argp = { table, parse, "[-- DPDK-ARGUMENT…]", doc, NULL, NULL, NULL };

	argp_program_version = "autocork-fastpath " AUTOCORK_VERSION;
	argp_err_exit_status = EXIT_USAGE;
	*options = (struct fastpath_options){ .flows = FLOWS_DEFAULT, .run_dir = FASTPATH_RUN_DIR };
	argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, options);
	if (options->name[0])
		return;
	/* An interface may be called what no instance may. */
	if (options->interface_count && fastpath_name_valid(options->interfaces[0]))
		strcpy(options->name, options->interfaces[0]);
	else
		strcpy(options->name, "fastpath");
}

int options_eal_arguments(const struct fastpath_options *options, const bool *apart, bool huge, uint32_t memory_mib,
			  char ***argv)
{
	size_t most = 16 + options->interface_count * options->queues + options->eal_count;
	char **list = calloc(most, sizeof(*list));
	int count = 0;
	bool failed = !list;

#define ADD(...) (failed = failed || asprintf(&list[count++], __VA_ARGS__) < 0)
	ADD("autocork-fastpath");
	ADD("--file-prefix=autocork-%s", options->name);
	/* Neither leaves files behind nor lets another process attach, so a killed one is replaced without cleaning
	 * up. */
	ADD(huge ? "--in-memory" : "--no-huge");
	if (!huge)
		ADD("--no-shconf");
	ADD("--no-telemetry"); /* the counters file works in every mode, DPDK's socket only with files shared */
	ADD("-m");
	ADD("%u", memory_mib);
	if (options->cores) {
		ADD("-l");
		ADD("%s", options->cores);
	}
	/* Devices are taken because they were named, never because they were found. */
	if (!options->eal_count)
		ADD("--no-pci");
	for (size_t i = 0; i < options->interface_count; i++)
		for (uint32_t q = 0; q < (apart[i] ? options->queues : 1); q++)
			ADD("--vdev=net_af_xdp_%zu_%u,iface=%s,start_queue=%u,queue_count=%u", i, q,
			    options->interfaces[i], q, apart[i] ? 1 : options->queues);
	for (int i = 0; i < options->eal_count; i++)
		ADD("%s", options->eal[i]);
#undef ADD
	*argv = list;
	return failed ? -1 : count;
}
