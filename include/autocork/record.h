/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* A live flow as the dump iterator writes it: its state, and what only its socket knows. */
#pragma once
#include <autocork/flow.h>

struct ac_flow_record {
	__u64 cookie;		/* socket cookie, unique per boot */
	__u32 netns;		/* inode number of the network namespace */
	__u16 local_port, remote_port;	/* host order */
	__u8 local[16], remote[16];	/* IPv6, or v4-mapped */
	__u32 age_ms;
	__u32 written_bytes;	/* modulo 2^32 */
	__u32 segments;		/* data segments sent */
	__u32 retransmits;
	__u32 srtt_us;
	__u32 packets_out, packets_in;
	__u32 small_below;	/* a call with fewer bytes is a small one */
	__u32 call_bytes;	/* queued by the call that flow.call describes and that is in no counter yet */
	__u32 pad;
	__u64 sent_bytes, received_bytes;
	char comm[AC_COMM_LEN];
	struct ac_flow flow;
};
