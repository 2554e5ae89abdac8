/* SPDX-License-Identifier: GPL-2.0 */
/* All flows of all network namespaces, for whoever reads the iterators: one by one, or added up by service. */
#include "calls.bpf.h"
#include "flow.bpf.h"
#include <autocork/record.h>

/* By service number; the agent sets it to zero before a pass. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, AC_SERVICES_MAX);
	__type(key, __u32);
	__type(value, struct ac_live);
} live SEC(".maps");

/*
 * Writes no record, so one read() sees all flows. With records, each read() of 32 KiB begins at the head of one of the kernel's few
 * lists and walks to where it was: with 20,000 flows a page of metrics took 35 ms so, and takes 19.
 */
SEC("iter/bpf_sk_storage_map")
int add_up(struct bpf_iter__bpf_sk_storage_map *ctx)
{
	struct ac_service_stats *stats, *left;
	struct ac_control *c = the_control();
	struct ac_flow *f = ctx->value;
	struct sock *sk = ctx->sk;
	struct ac_live *sum;
	struct tcp_sock *tp;
	__u32 number, bytes;

	if (!sk || !f || !(f->flags & AC_FLOW_OPEN))
		return 0;
	tp = bpf_skc_to_tcp_sock(sk);
	number = f->service;
	sum = bpf_map_lookup_elem(&live, &number);
	left = stats_of(f);
	if (!tp || !sum || !left || !c)
		return 0;
	flow_weigh(f, left, sk, tp, c);
	sum->managed += f->wrapper != AC_WRAPPER_NONE;
	stats = &sum->stats;
	count_socket(stats, sk, tp, f->weight);
	bytes = ac_call_bytes(f, tp->write_seq, sk->sk_shutdown & SEND_SHUTDOWN);
	if (bytes)
		ac_call_count(stats, f->call, bytes, tp->mss_cache, f->weight);
	return 0;
}

SEC("iter/bpf_sk_storage_map")
int dump(struct bpf_iter__bpf_sk_storage_map *ctx)
{
	struct ac_flow_record record = {};
	struct ac_service_key *key;
	struct ac_flow *f = ctx->value;
	struct sock *sk = ctx->sk;
	struct tcp_sock *tp;
	__u32 number;

	if (!sk || !f || !(f->flags & AC_FLOW_OPEN))
		return 0;
	tp = bpf_skc_to_tcp_sock(sk);
	if (!tp)
		return 0;
	record.cookie = bpf_get_socket_cookie(sk);
	record.netns = netns_of(sk);
	flow_addresses(sk, record.local, record.remote);
	record.local_port = sk->__sk_common.skc_num;
	record.remote_port = bpf_ntohs(sk->__sk_common.skc_dport);
	record.age_ms = now_ms() - f->opened_ms;
	record.written_bytes = tp->write_seq - f->first_seq;
	record.segments = tp->data_segs_out;
	record.srtt_us = tp->srtt_us >> 3;
	bpf_probe_read_kernel(&record.flow, sizeof(record.flow), f);
	number = record.flow.service;
	key = bpf_map_lookup_elem(&service_keys, &number);
	if (key)
		__builtin_memcpy(record.comm, key->comm, AC_COMM_LEN);
	bpf_seq_write(ctx->meta->seq, &record, sizeof(record));
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
