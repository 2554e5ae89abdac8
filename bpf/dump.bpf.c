/* SPDX-License-Identifier: GPL-2.0 */
/* All flows of all network namespaces, for the agent: one by one, or added up by service. */
#include "calls.bpf.h"
#include "flow.bpf.h"
#include <autocork/record.h>

/* By service number; the agent sets it to zero before it walks. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, AC_SERVICES_MAX);
	__type(key, __u32);
	__type(value, struct ac_live);
} live SEC(".maps");

/*
 * The socket of a record. Nothing here holds its lock or a reference: it may be gone, or another by now, so it
 * is read by probing only, and a flow that closes meanwhile may be seen with what is left of it.
 */
static __always_inline struct tcp_sock *socket_of(const struct ac_flow *f)
{
	return (struct tcp_sock *)f->sock;
}

/* What dump() found in this run, in the order of the records. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, AC_WALK_STEP);
	__type(key, __u32);
	__type(value, struct ac_flow_record);
} dumped SEC(".maps");

/* The record of a flow that is open, or NULL. */
static __always_inline struct ac_flow *walk_record(__u32 number)
{
	struct ac_flow *f = number ? bpf_map_lookup_elem(&records, &number) : NULL;

	return f && f->sock && f->flags & AC_FLOW_OPEN ? f : NULL;
}

static long add_one(__u32 step, struct ac_walk *walk)
{
	struct ac_flow *f = walk_record(walk->from + step);
	struct ac_control *c = the_control();
	struct ac_service_stats *left;
	struct socket_counts counts;
	struct ac_live *sum;
	__u32 number, bytes;

	if (!f)
		return 0;
	number = f->service;
	sum = bpf_map_lookup_elem(&live, &number);
	left = stats_of(f);
	if (!sum || !left || !c)
		return 0;
	socket_counts_probed(&counts, socket_of(f));
	flow_weigh(f, left, &counts, c);
	sum->flows++;
	sum->managed += f->wrapper != AC_WRAPPER_NONE;
	socket_count(&sum->stats, &counts, f->weight);
	bytes = ac_call_bytes(f, counts.write_seq, counts.shut);
	if (bytes)
		ac_call_count(&sum->stats, f->call, bytes, counts.mss, f->weight);
	return 0;
}

/*
 * The agent runs these by BPF_PROG_TEST_RUN (Linux 5.14), part of the records at a time. An iterator over the elements
 * of a map (iter/bpf_map_elem) would serve as well, but some hardened kernels refuse it: it may write to the map's
 * memory.
 */
SEC("syscall")
int add_up(struct ac_walk *args)
{
	struct ac_walk walk = { .from = args->from };
	__u32 count = args->count;

	bpf_loop(count, add_one, &walk, 0);
	return 0;
}

/* As sock_addresses(), by probing. */
static __always_inline void dump_addresses(struct ac_flow_record *record, struct tcp_sock *tp)
{
	if (SOCK_PROBED(tp, __sk_common.skc_family) == AF_INET6) {
		BPF_CORE_READ_INTO((struct in6_addr *)record->local, tp,
				   inet_conn.icsk_inet.sk.__sk_common.skc_v6_rcv_saddr);
		BPF_CORE_READ_INTO((struct in6_addr *)record->remote, tp,
				   inet_conn.icsk_inet.sk.__sk_common.skc_v6_daddr);
		return;
	}
	record->local[10] = record->local[11] = record->remote[10] = record->remote[11] = 0xff;
	*(__be32 *)(record->local + 12) = SOCK_PROBED(tp, __sk_common.skc_rcv_saddr);
	*(__be32 *)(record->remote + 12) = SOCK_PROBED(tp, __sk_common.skc_daddr);
}

static long dump_one(__u32 step, struct ac_walk *walk)
{
	struct ac_flow *f = walk_record(walk->from + step);
	__u32 place = walk->count;
	struct ac_flow_record *record;
	struct tcp_sock *tp;

	record = f ? bpf_map_lookup_elem(&dumped, &place) : NULL;
	if (!record)
		return 0;
	walk->count = place + 1;
	tp = socket_of(f);
	record->cookie = SOCK_PROBED(tp, __sk_common.skc_cookie.counter);
	record->netns = BPF_CORE_READ(tp, inet_conn.icsk_inet.sk.__sk_common.skc_net.net, ns.inum);
	dump_addresses(record, tp);
	record->local_port = SOCK_PROBED(tp, __sk_common.skc_num);
	record->remote_port = bpf_ntohs(SOCK_PROBED(tp, __sk_common.skc_dport));
	record->age_ms = now_ms() - f->opened_ms;
	record->written_bytes = BPF_CORE_READ(tp, write_seq) - f->first_seq;
	record->segments = BPF_CORE_READ(tp, data_segs_out);
	record->srtt_us = BPF_CORE_READ(tp, srtt_us) >> 3;
	bpf_probe_read_kernel(&record->flow, sizeof(record->flow), f);
	return 0;
}

SEC("syscall")
int dump(struct ac_walk *args)
{
	struct ac_walk walk = { .from = args->from };
	__u32 count = args->count;

	bpf_loop(count, dump_one, &walk, 0);
	args->count = walk.count;
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
