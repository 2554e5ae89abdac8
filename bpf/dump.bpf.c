/* SPDX-License-Identifier: GPL-2.0 */
/* All flows of all network namespaces, as records of struct ac_flow_record, for whoever reads the iterator. */
#include "calls.bpf.h"
#include "flow.bpf.h"
#include <autocork/record.h>

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
	record.retransmits = tp->total_retrans;
	record.srtt_us = tp->srtt_us >> 3;
	record.packets_out = tp->segs_out;
	record.packets_in = tp->segs_in;
	record.sent_bytes = tp->bytes_sent;
	record.received_bytes = received_bytes(sk, tp);
	record.small_below = tp->mss_cache;
	record.call_bytes = ac_call_bytes(f, tp->write_seq, sk->sk_shutdown & SEND_SHUTDOWN);
	bpf_probe_read_kernel(&record.flow, sizeof(record.flow), f);
	number = record.flow.service;
	key = bpf_map_lookup_elem(&service_keys, &number);
	if (key)
		__builtin_memcpy(record.comm, key->comm, AC_COMM_LEN);
	bpf_seq_write(ctx->meta->seq, &record, sizeof(record));
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
