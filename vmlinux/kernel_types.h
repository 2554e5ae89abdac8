/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The kernel types that the BPF programs touch, each cut down to the members used. CO-RE finds the members' real places
 * at load time (preserve_access_index), so only names and types matter here, not order or size. Taken by hand from the
 * BTF of 6.18 (`bpftool btf dump file /sys/kernel/btf/vmlinux format c`) and compared with 6.1 and 7.1. A type or member
 * more is copied from there; what only some kernels have is asked for with bpf_core_field_exists().
 */
#pragma once

#include <linux/types.h>
#include <stdbool.h>
#include <linux/bpf.h>

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __s32 s32;
typedef __u64 u64;

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct kernfs_node {
	u64 id;
};

struct cgroup {
	int level;
	struct kernfs_node *kn;
	struct cgroup *ancestors[]; /* 6.1+ (commit 7f203bc89eb6); ancestor ids before */
};

struct sock_cgroup_data {
	struct cgroup *cgroup;
};

struct ns_common {
	unsigned int inum;
};

struct netns_ipv4 {
	u8 sysctl_tcp_min_tso_segs;
	u8 sysctl_tcp_slow_start_after_idle;
	unsigned int sysctl_tcp_notsent_lowat;
};

struct net {
	struct ns_common ns;
	struct netns_ipv4 ipv4;
};

typedef struct {
	struct net *net;
} possible_net_t;

struct in6_addr {
	union {
		__u8 u6_addr8[16];
		__be32 u6_addr32[4];
	} in6_u;
};

typedef struct {
	__s64 counter;
} atomic64_t;

struct sock_common {
	__be32 skc_daddr;
	__be32 skc_rcv_saddr;
	__be16 skc_dport;
	__u16 skc_num;
	unsigned short skc_family;
	volatile unsigned char skc_state;
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
	unsigned long skc_flags;
	atomic64_t skc_cookie;
};

struct socket;
struct sk_buff {
	struct sk_buff *prev;
	char cb[48];
	unsigned int end;	/* sk_buff_data_t of 64-bit kernels */
	unsigned char *head;
};

struct sk_buff_head {
	struct sk_buff *prev;
};

struct skb_shared_info {
	__u8 flags;
	__u8 nr_frags;
};

struct tcp_skb_cb {
	__u8 eor : 1;
};

typedef struct {
	int owned;
} socket_lock_t;

struct sock {
	struct sock_common __sk_common;
	socket_lock_t sk_lock;
	struct sk_buff_head sk_write_queue;
	u32 sk_tsflags;		/* 16 bits up to 6.4 */
	u8 sk_bpf_cb_flags;	/* 6.15+ */
	int sk_wmem_queued;
	int sk_sndbuf;
	u8 sk_shutdown;
	u16 sk_protocol;
	struct sock_cgroup_data sk_cgrp_data;
	struct socket *sk_socket;
};

struct inet_sock {
	struct sock sk;
	__be16 inet_sport;
};

struct tcp_ulp_ops;

/* Only handed through to the wrapped algorithm, but libbpf takes a forward declaration for another type: one member is
 * enough. */
struct rate_sample {
	u64 prior_mstamp;
};

struct ack_sample {
	u32 pkts_acked;
};

/* Handed through, like the above. */
enum tcp_ca_event { CA_EVENT_TX_START };

struct tcp_congestion_ops {
	/* Only the members that a wrapper fills: libbpf looks each one up in the kernel's own struct by name. */
	u32 (*ssthresh)(struct sock *sk);
#ifndef AC_CONG_CONTROL
	void (*cong_avoid)(struct sock *sk, u32 ack, u32 acked);
#elif defined(AC_CONG_CONTROL_OLD)
	void (*cong_control)(struct sock *sk, const struct rate_sample *rs); /* before 6.10 (commit 57bfc7605ca5) */
#else
	void (*cong_control)(struct sock *sk, u32 ack, int flag, const struct rate_sample *rs);
#endif
	void (*set_state)(struct sock *sk, u8 new_state);
#ifdef AC_CWND_EVENT_TX_START
	void (*cwnd_event_tx_start)(struct sock *sk); /* 7.1+, split off cwnd_event */
#endif
	void (*cwnd_event)(struct sock *sk, enum tcp_ca_event event);
	void (*in_ack_event)(struct sock *sk, u32 flags);
	void (*pkts_acked)(struct sock *sk, const struct ack_sample *sample);
	u32 (*min_tso_segs)(struct sock *sk);
	u32 (*undo_cwnd)(struct sock *sk);
	u32 (*sndbuf_expand)(struct sock *sk);
	char name[16];
	u32 flags;
	void (*init)(struct sock *sk);
	void (*release)(struct sock *sk);
};

struct inet_connection_sock {
	struct inet_sock icsk_inet;
	__u32 icsk_rto;
	__u32 icsk_rto_min;
	const struct tcp_congestion_ops *icsk_ca_ops;
	const struct tcp_ulp_ops *icsk_ulp_ops;
	__u8 icsk_ca_state : 5;
	__u8 icsk_ca_dst_locked : 1;
	u64 icsk_ca_priv[13];
};

struct minmax_sample {
	u32 t, v;
};

struct minmax {
	struct minmax_sample s[3];
};

struct tcp_sock {
	struct inet_connection_sock inet_conn;
	u64 tcp_mstamp;
	u64 tcp_wstamp_ns;
	u32 snd_cwnd;
	u32 snd_cwnd_cnt;
	u32 snd_ssthresh;
	u32 max_packets_out;
	u32 packets_out;
	u32 retrans_out;
	u32 sacked_out;
	u32 lost_out;
	u32 delivered;
	u32 app_limited;
	u32 write_seq;
	u32 pushed_seq;
	u32 snd_nxt;
	u32 snd_una;
	u32 snd_wnd;
	u64 bytes_sent;
	u32 snd_up;
	u32 snd_sml;
	u32 copied_seq;
	u32 mss_cache;
	u32 notsent_lowat;
	u32 lsndtime;
	u32 data_segs_out;
	u32 segs_out;
	u32 segs_in;
	u32 total_retrans;
	u32 srtt_us;
	struct minmax rtt_min;
	u64 bytes_received;
	u8 nonagle : 4;
	u8 repair : 1;
	u8 bpf_sock_ops_cb_flags;
	bool is_mptcp;
};

struct iov_iter {
	unsigned long count;
};

struct msghdr {
	struct iov_iter msg_iter;
	unsigned int msg_flags;
};

struct file;

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
};

struct files_struct {
	struct fdtable *fdt;
};

struct io_uring_task;

struct sched_entity {
	u64 exec_start;
	u64 sum_exec_runtime;
};

struct task_struct {
	char comm[16];
	struct sched_entity se;
	unsigned long nvcsw;
	int pid;
	int tgid;
	unsigned int flags;
	struct task_struct *real_parent;
	struct task_struct *group_leader;
	struct files_struct *files;
	struct io_uring_task *io_uring; /* CONFIG_IO_URING */
};

struct socket {
	struct file *file;
	struct sock *sk;
};

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
	u64 session_id;
	u64 seq_num;
};

struct bpf_iter__tcp {
	struct bpf_iter_meta *meta;
	struct sock_common *sk_common;
};

struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};

struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	u32 fd;
	struct file *file;
};

struct bpf_iter__bpf_map_elem {
	struct bpf_iter_meta *meta;
	void *key;
	void *value;
};

/* include/net/sock.h; the values are looked up in the kernel's BTF */
enum sock_flags { SOCK_DONE = 1, SOCK_ZEROCOPY = 26 };

#pragma clang attribute pop

/* include/net/tcp_states.h; part of the user-space ABI (tcp_diag). */
enum {
	TCP_ESTABLISHED = 1,
	TCP_SYN_SENT = 2,
	TCP_FIN_WAIT1 = 4,
	TCP_FIN_WAIT2 = 5,
	TCP_TIME_WAIT = 6,
	TCP_CLOSE = 7,
	TCP_CLOSE_WAIT = 8,
	TCP_LAST_ACK = 9,
	TCP_LISTEN = 10,
	TCP_CLOSING = 11,
};

/* include/uapi/linux/tcp.h */
enum { TCP_CA_Open, TCP_CA_Disorder, TCP_CA_CWR, TCP_CA_Recovery, TCP_CA_Loss };

/* include/net/tcp.h: bits of tp->nonagle; the same on all kernels since 2.6 */
enum { TCP_NAGLE_OFF = 1, TCP_NAGLE_CORK = 2, TCP_NAGLE_PUSH = 4 };

/* include/net/tcp.h */
enum { TCP_CONG_NEEDS_ECN = 0x2, TCP_INIT_CWND = 10 };

/* include/linux/skbuff.h: the pages belong to the program until a notification */
enum { SKBFL_ZEROCOPY_ENABLE = 1 };

/* include/uapi/linux/bpf.h, of headers newer than Debian 12's */
enum { AC_TCP_BPF_SOCK_OPS_CB_FLAGS = 1008 /* 6.12+ */, AC_SK_BPF_CB_TX_TIMESTAMPING = 1 /* 6.15+ */ };

/* include/linux/socket.h: 6.5+; only the kernel itself may set it */
enum { MSG_SPLICE_PAGES = 0x8000000 };

/* asm-generic/socket values, which a BPF program cannot include beside the types above. */
enum { MSG_DONTWAIT = 0x40, MSG_MORE = 0x8000, MSG_ZEROCOPY = 0x4000000 };
/* include/linux/sched.h: bits of task->flags */
enum { PF_IO_WORKER = 0x10, PF_KTHREAD = 0x200000 };

enum { SOCK_STREAM = 1 };
enum {
	AF_INET = 2,
	AF_INET6 = 10,
	SOL_TCP = 6,
	TCP_NODELAY = 1,
	TCP_CORK = 3,
	TCP_INFO = 11,
	TCP_CONGESTION = 13,
	TCP_REPAIR = 19,
	IPPROTO_TCP = 6,
};
