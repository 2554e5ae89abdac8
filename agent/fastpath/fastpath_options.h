/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What autocork-fastpath is told on its command line, and what of it becomes arguments of DPDK's EAL. Needs no DPDK. */
#pragma once
#include <limits.h>
#include <net/if.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

#include "fastpath-client/fastpath_stats.h"
#include "fastpath/reflect.h"
#include "lib/fault.h"

#define FASTPATH_PORTS_MAX 16

/* X(id, name, text) */
#define FASTPATH_JOBS(X) \
	X(COALESCE, "coalesce", "forward between pairs of ports, merging small TCP segments") \
	X(FORWARD, "forward", "forward between pairs of ports, changing nothing") \
	X(REFLECT, "reflect", "answer ICMP echo and UDP echo on every port")

enum fastpath_job {
#define X(id, name, text) FASTPATH_JOB_##id,
	/* clang-format off */
	FASTPATH_JOBS(X)
#undef X
	FASTPATH_JOB_MAX,
	/* clang-format on */
};

enum fastpath_wait { FASTPATH_WAIT_INTERRUPT, FASTPATH_WAIT_POLL };
enum fastpath_memory { FASTPATH_MEMORY_AUTO, FASTPATH_MEMORY_HUGE, FASTPATH_MEMORY_NORMAL };

struct fastpath_options {
	enum fastpath_job job;
	enum fastpath_wait wait;
	enum fastpath_memory memory;
	char name[FASTPATH_NAME_LEN];
	char run_dir[PATH_MAX / 2];
	char interfaces[FASTPATH_PORTS_MAX][IF_NAMESIZE]; /* each becomes a net_af_xdp port, in this order */
	size_t interface_count;
	uint32_t queues; /* per port; 0 = as many as the interface has */
	uint64_t hold_ns;
	uint32_t flows;			/* per receive queue */
	uint32_t mtu;			/* largest IP datagram made; 0 = the sending port's MTU */
	struct reflect_options reflect; /* its addresses */
	const char *cores;		/* EAL core list, NULL = all that this process may run on */
	bool keep_privileges;
	char **eal; /* arguments after "--" */
	int eal_count;
};

const char *fastpath_job_name(enum fastpath_job job);
/* Parses, prints help or version and exits where asked to; exits with EXIT_USAGE and a message on a wrong argument. */
void options_parse(struct fastpath_options *options, int argc, char **argv);
/* "50us", "2ms", "0": nanoseconds; false if it is no time or above COALESCE_HOLD_MAX_NS. */
bool options_parse_hold(const char *text, uint64_t *ns);
/* "7", "9000-9010,9020": false if it is no such list. */
bool options_parse_ports(const char *list, struct reflect_options *reflect);
/* "0", "2-3,5": a set; false if it is no such list. */
bool options_parse_cores(const char *list, cpu_set_t *cores);

/*
 * The arguments for rte_eal_init(), from malloc(): options->queues of every interface, as a device each where apart[]
 * says so, huge pages or not, memory to take in MiB. Returns how many (argv[n] is NULL), or -1 without memory.
 */
int options_eal_arguments(const struct fastpath_options *options, const bool *apart, bool huge, uint32_t memory_mib,
			  char ***argv);
