/* SPDX-License-Identifier: GPL-2.0 */
/* Who listens where: names the program of an accepted flow, and tells which side of a connection an older flow is. */
#pragma once
#include "match.bpf.h"
#include "tcp.bpf.h"
#include <autocork/service.h>

struct listener_key {
	__u32 netns;
	__u16 port;
	__u16 family;
	__u8 address[16]; /* 0 = any */
};

/* What the last flow that was accepted there falls under, so that the next one does not look through all the tables. */
union found {
	__u64 word; /* 0: nothing; read and written as a whole */
	struct {
		__u16 generation; /* of the policies */
		__u16 recycled;	  /* control.services_recycled */
		__u16 policy : 15, half : 1;
		__u16 service : 10, renamed : 6; /* renamed: of the listener */
	};
};
_Static_assert(AC_POLICIES_MAX <= 1 << 15 && AC_SERVICES_MAX <= 1 << 10, "their numbers fit");

struct listener {
	char comm[AC_COMM_LEN]; /* who accepted last; until then, who listens */
	__u64 cgroup;		/* of the socket that listens */
	union found found;
	__u8 seen;    /* connections in a row that this program accepted, saturating at LISTENER_SURE */
	__u8 mixed;   /* several programs accept: SO_REUSEPORT, or one that got the socket from another */
	__u8 renamed; /* how often comm has changed, wraps */
};
#define LISTENER_SURE 8

/* Both padded with zeros. Not memcmp(): of what may be unaligned clang makes a call. */
static __always_inline bool comm_same(const char a[AC_COMM_LEN], const char b[AC_COMM_LEN])
{
	__u64 x[2], y[2];

	__builtin_memcpy(x, a, sizeof(x));
	__builtin_memcpy(y, b, sizeof(y));
	return x[0] == y[0] && x[1] == y[1];
}

/* What nobody listens on any more leaves by age. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct listener_key);
	__type(value, struct listener);
} listeners SEC(".maps");

/* Of a listener, or of what it accepted. */
static __always_inline void listener_key(struct listener_key *key, struct sock *sk)
{
	key->netns = netns_of(sk);
	key->port = sk->__sk_common.skc_num;
	key->family = sk->__sk_common.skc_family;
	if (key->family == AF_INET6)
		BPF_CORE_READ_INTO((struct in6_addr *)key->address, sk, __sk_common.skc_v6_rcv_saddr);
	else
		*(__be32 *)key->address = sk->__sk_common.skc_rcv_saddr;
}

static __always_inline void listener_note(struct sock *sk, const char comm[AC_COMM_LEN], __u64 flags)
{
	struct listener_key key = {};
	struct listener listener = {};

	__builtin_memcpy(listener.comm, comm, AC_COMM_LEN);
	listener.cgroup = cgroup_id(sk);
	listener_key(&key, sk);
	bpf_map_update_elem(&listeners, &key, &listener, flags);
}

/* Where the connection came in, NULL if it did not. */
static __always_inline struct listener *listener_find(struct sock *sk)
{
	struct listener_key key = {};
	struct listener *listener;

	listener_key(&key, sk);
	listener = bpf_map_lookup_elem(&listeners, &key);
	if (listener)
		return listener;
	__builtin_memset(key.address, 0, sizeof(key.address));
	return bpf_map_lookup_elem(&listeners, &key);
}

/* Is what was found still right, for a flow that is accepted now? */
static __always_inline bool listener_knows(const struct listener *listener, union found found, struct sock *sk,
					   const struct ac_control *c)
{
	return found.word && found.generation == (__u16)c->policy_generation &&
	       found.recycled == (__u16)c->services_recycled && found.renamed == (listener->renamed & 63) &&
	       listener->cgroup == cgroup_id(sk);
}

/* An accepted flow's program was seen. */
static __always_inline void listener_seen(struct sock *sk, const char comm[AC_COMM_LEN])
{
	struct listener *listener = listener_find(sk);

	if (!listener)
		return;
	if (comm_same(listener->comm, comm)) {
		if (listener->seen < LISTENER_SURE)
			listener->seen++;
		return;
	}
	/* Who listened need not be who accepts; two who accept are two. */
	listener->mixed |= listener->seen > 0;
	/* Before and after: what another CPU finds meanwhile is nobody's. */
	listener->renamed++;
	barrier();
	__builtin_memcpy(listener->comm, comm, AC_COMM_LEN);
	barrier();
	listener->renamed++;
	listener->seen = 1;
}
