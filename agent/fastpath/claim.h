/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Claims on kernel interfaces, before DPDK touches them. The AF_XDP driver of 22.11 detaches whatever XDP program it
 * finds when it closes a port, even one that it failed to open: so who else is there is asked first.
 */
#pragma once
#include <stdbool.h>

#include "lib/fault.h"

/*
 * Refuses an interface that another autocork-fastpath of this network namespace has, or that carries an XDP program of
 * others. Holds the claim until claims_end() or the end of the process. *had_program: a program that hands packets to
 * AF_XDP sockets is there already (the agent's steering, or what a killed process left): it must stay if we fail.
 */
int claim_interface(const char *name, bool *had_program, struct fault *fault);
void claims_end(void);
/* The interface of a DPDK argument that makes an AF_XDP port ("--vdev=net_af_xdp0,iface=eth1"), in a static buffer;
 * NULL for others. */
const char *claim_argument_interface(const char *argument);
