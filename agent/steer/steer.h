/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Steering: rules from the policy files put in force on interfaces, by the XDP program of bpf/steer.bpf.c.
 *
 * Everything that must outlive the caller is pinned in a bpffs (steer_root()), one directory per interface; so the agent, the
 * command line and an agent that was restarted see and change the same state, and a crash never breaks a steered connection.
 */
#pragma once
#include <autocork/steer.h>
#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/fault.h"

/* What one policy asks for on one interface. The policy reader makes these; lists are in file order, later ones win. */
struct steer_spec {
	const char *policy;		/* name of the [policy NAME] section, shorter than STEER_NAME_LEN */
	char interface[IF_NAMESIZE];
	enum steer_mode mode;		/* STEER_AF_XDP or STEER_DPDK */
	unsigned int protocols;		/* bits 1 << enum steer_protocol */
	unsigned int directions;	/* bits 1 << enum steer_direction */
	bool all_queues;		/* else the bits of `queues` */
	uint64_t queues[STEER_QUEUES_MAX / 64];
	const struct steer_ports {
		uint16_t first, last;	/* inclusive */
	} *ports;			/* none: every port (ICMP has no ports and ignores them) */
	size_t port_count;
	const struct steer_peer {
		uint8_t address[16];	/* v4-mapped for IPv4 */
		uint8_t bits;		/* 0 … 128 */
	} *peers;			/* none: any peer */
	size_t peer_count;
};
