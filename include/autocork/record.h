/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Live flows as bpf/dump.bpf.c tells them: one by one, and added up. */
#pragma once
#include <autocork/flow.h>
#include <autocork/service.h>

/* A flow: its state, and what only its socket knows. */
struct ac_flow_record {
	__u64 cookie;		       /* socket cookie, unique per boot */
	__u32 netns;		       /* inode number of the network namespace */
	__u16 local_port, remote_port; /* host order */
	__u8 local[16], remote[16];    /* IPv6, or v4-mapped */
	__u32 age_ms;
	__u32 written_bytes; /* modulo 2^32 */
	__u32 segments;	     /* data segments sent */
	__u32 srtt_us;
	struct ac_flow flow;
};

/* Which records a run of the programs looks at: the context of both. */
struct ac_walk {
	__u32 from;  /* number of the first one */
	__u32 count; /* in: records to look at, AC_WALK_STEP at most for dump(); out, of dump(): flows found */
};
#define AC_WALK_STEP 1024

/* What the open flows of a service will leave to it when they close. */
struct ac_live {
	struct ac_service_stats stats;
	__u64 flows;
	__u64 managed; /* of them, those on a wrapper */
};
