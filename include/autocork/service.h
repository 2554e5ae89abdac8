/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * A service is what users name: (port, side, program, cgroup). Every flow belongs to one; totals, histograms and the
 * prior that lets short connections gain from their first burst are kept per service, in maps of bounded size.
 */
#pragma once
#include <autocork/types.h>
#include <autocork/flow.h>
#include <autocork/histogram.h>

#define AC_SERVICES_MAX 1024	/* number 0 is the overflow service: flows that found no free number */

/*
 * No control group, and no program, takes all numbers: a program's ports beyond AC_PROGRAM_PORTS are one service, a
 * control group's services beyond AC_CGROUP_SERVICES belong to number 0.
 */
#define AC_PROGRAM_PORTS 32
#define AC_CGROUP_SERVICES 256

struct ac_service_key {
	__u64 cgroup;		/* cgroup v2 id of the socket */
	__u16 port;		/* local on a server, remote on a client; 0 = the program's further ports */
	__u8 side;		/* enum ac_side */
	__u8 pad[5];
	char comm[AC_COMM_LEN];
};

/* What a service remembers from flow to flow. Written by many CPUs without a lock; the worst is a flow that learns by
 * itself. */
struct ac_service_memory {
	struct ac_prior prior;
	__u32 no_gain;		/* flows in a row that had nothing to gain, saturating at AC_NO_GAIN_KNOWN */
	__u32 left_alone; /* control.policy_generation when a flow that a policy wants managed was left alone for that;
			     0 = never */
	__u32 connects;		/* of a client with nothing to gain: decides which of its connections are followed */
} __attribute__((aligned(64)));	/* a cache line: client and server of one service may run on two CPUs */
#define AC_NO_GAIN_KNOWN 8 /* from here on new flows are no reason to observe; the agent's recheck notices a change */

#define AC_SMALL_PACKET 128	/* bytes: a payload below is worth less than twice the headers of its Ethernet frame */
#define AC_LARGE_WRITE 16384	/* bytes: four pages; below, copying is cheaper than handing over pages */

/*
 * While the telemetry samples, an observed flow that is looked at stands for so many as there are for each of them, and
 * one that is not for none. All counters that the observer or the flow's socket keeps are weighed so, and no others:
 * sums stay what they would be if all flows were looked at, as far as the sample is like the rest, and the counters of
 * a service go with each other, being of the same flows at any time.
 */
#define AC_WEIGHT_MAX 128	/* fits in ac_flow.weight */

/* `out`: the bits of control.sample_mask that the flow's first sequence number has set. */
static __always_inline __u32 ac_flow_weight(__u8 mode, __u64 out, __u64 mask)
{
	if (mode != AC_MODE_OBSERVE)
		return 1;
	return out ? 0 : (__u32)mask + 1;
}

/* One per CPU and service; user space adds them up. All counters only grow. */
struct ac_service_stats {
	__u64 flows_opened;
	__u64 flows_closed;
	__u64 flows_passed; /* connections not followed, in no other count here: a client's that has nothing to gain */
	__u64 flows_managed;	/* enrolments on a wrapper */
	__u64 flows_returned;	/* taken off the wrapper while still open */
	__u64 refused[AC_REFUSAL_MAX];
	__u64 writes;		/* write, send, sendmsg, writev … calls that queued data */
	__u64 written_bytes;
	__u64 small_writes;	/* calls with less than a full segment */
	__u64 reads;
	__u64 read_bytes;
	__u64 bursts;
	__u64 inferred_bursts;	/* of these, those that nobody saw: what weights above 1 added */
	__u64 held; /* packets saved: writes held, but for those that Nagle's algorithm would have joined anyway */
	__u64 misses;
	__u64 shadow_held;	/* the same two, for flows in shadow */
	__u64 shadow_misses;
	__u64 shadow_merged; /* of shadow_held, writes that Nagle's algorithm joined with others anyway: no packets to
				save */
	__u64 stalls; /* writes that Nagle's algorithm kept until an ACK came, the ones behind them not counted; in
			 shadow */
	__u64 stall_us;		/* the time these waited, summed */
	__u64 shadow_stall_us;	/* of it, what holding would have saved: the write before it would have left with it */
	__u64 released[AC_REASON_MAX];
	__u64 hold_us;		/* added delay: time from the first held write of a burst to its release, summed */
	__u64 holds_late;	/* holds that ended more than AC_LATE_US after their max_hold */
	__u64 late_us;		/* what all of those that outlived it took longer, summed */
	__u64 segments;		/* data segments sent; this and the next seven are folded in when a flow closes */
	__u64 retransmits;
	__u64 packets_out;	/* segments sent, acknowledgements included, each one of a GSO packet */
	__u64 packets_in;
	__u64 sent_bytes;	/* payload of these, retransmissions included */
	__u64 received_bytes;	/* payload taken in, each byte once */
	__u64 rtt_us;		/* smoothed round-trip times of flows that had one, summed */
	__u64 rtts;		/* how many had */
	__u64 small_out; /* packets with 1 … AC_SMALL_PACKET - 1 bytes of payload; [agent] small_packets. Counted while
			    observed, as the next eight */
	__u64 small_in;
	__u64 more_writes;	/* calls with MSG_MORE */
	__u64 spliced_bytes;	/* queued by sendfile and splice, by reference */
	__u64 zerocopy_bytes;	/* queued by MSG_ZEROCOPY */
	__u64 large_copied_bytes; /* copied by calls of at least AC_LARGE_WRITE bytes: they could have been spliced */
	__u64 option_calls[AC_OPTION_MAX]; /* setsockopt() */
	__u64 option_idle[AC_OPTION_MAX]; /* of these, calls that found the value they set */
	__u64 sized_bytes;	/* of the writes in write_size, which has none of managed flows */
	__u64 write_size[AC_BUCKETS];	/* bytes */
	__u64 burst_length[AC_BUCKETS];	/* writes */
	__u64 hold_time[AC_BUCKETS];	/* microseconds */
	__u64 lateness[AC_BUCKETS];	/* microseconds above max_hold, of the holds that outlived it */
};

/* Packets that holding would save on flows in shadow. The two are not read at one instant. */
static __always_inline __u64 ac_shadow_saved(const struct ac_service_stats *stats)
{
	return stats->shadow_held > stats->shadow_merged ? stats->shadow_held - stats->shadow_merged : 0;
}
