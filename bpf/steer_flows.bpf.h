/* SPDX-License-Identifier: GPL-2.0 */
/* Where the steering program keeps its TCP flows: which table, and from one to another. autocork/steer.h says why. */
#pragma once

STEER_MAP(steer_syns, BPF_MAP_TYPE_LRU_HASH, struct steer_flow_key, struct steer_flow, STEER_SYNS_MAX, 0);
STEER_MAP(steer_silent, BPF_MAP_TYPE_HASH, struct steer_flow_key, struct steer_flow, STEER_SILENT_MAX, 0);
STEER_MAP(steer_flows, BPF_MAP_TYPE_HASH, struct steer_flow_key, struct steer_flow, STEER_FLOWS_MAX, 0);
STEER_MAP(steer_closed, BPF_MAP_TYPE_LRU_HASH, struct steer_flow_key, struct steer_flow, STEER_CLOSED_MAX, 0);

#define STEER_ANSWER_MAX (1u << 30) /* an acknowledgement further from our SYN is an old or a wrong one */

enum steer_place { STEER_PLACE_OPEN, STEER_PLACE_SILENT, STEER_PLACE_SYNS, STEER_PLACE_CLOSED };

/* Closed ones last: a newer connection between the same ports may have begun. */
static __always_inline struct steer_flow *steer_find(const struct steer_flow_key *key, __u32 *place)
{
	struct steer_flow *flow = bpf_map_lookup_elem(&steer_flows, key);

	*place = STEER_PLACE_OPEN;
	if (flow)
		return flow;
	*place = STEER_PLACE_SILENT;
	flow = bpf_map_lookup_elem(&steer_silent, key);
	if (flow)
		return flow;
	*place = STEER_PLACE_SYNS;
	flow = bpf_map_lookup_elem(&steer_syns, key);
	if (flow)
		return flow;
	*place = STEER_PLACE_CLOSED;
	return bpf_map_lookup_elem(&steer_closed, key);
}

static __always_inline long steer_put(const struct steer_flow_key *key, const struct steer_flow *flow, __u32 place)
{
	switch (place) {
	case STEER_PLACE_OPEN:
		return bpf_map_update_elem(&steer_flows, key, flow, BPF_ANY);
	case STEER_PLACE_SILENT:
		return bpf_map_update_elem(&steer_silent, key, flow, BPF_ANY);
	case STEER_PLACE_SYNS:
		return bpf_map_update_elem(&steer_syns, key, flow, BPF_ANY);
	default:
		return bpf_map_update_elem(&steer_closed, key, flow, BPF_ANY);
	}
}

static __always_inline void steer_drop(const struct steer_flow_key *key, __u32 place)
{
	switch (place) {
	case STEER_PLACE_OPEN:
		bpf_map_delete_elem(&steer_flows, key);
		break;
	case STEER_PLACE_SILENT:
		bpf_map_delete_elem(&steer_silent, key);
		break;
	case STEER_PLACE_SYNS:
		bpf_map_delete_elem(&steer_syns, key);
		break;
	default:
		bpf_map_delete_elem(&steer_closed, key);
	}
}

/* Not 0: the table is full, the flow stays as it is where it is. */
static __always_inline long steer_move(const struct steer_flow_key *key, const struct steer_flow *flow, __u32 from,
				       __u32 to)
{
	long error = steer_put(key, flow, to);

	if (!error && from != to)
		steer_drop(key, from);
	return error;
}

static __always_inline void steer_forget(const struct steer_flow_key *key)
{
	bpf_map_delete_elem(&steer_flows, key);
	bpf_map_delete_elem(&steer_silent, key);
	bpf_map_delete_elem(&steer_syns, key);
	bpf_map_delete_elem(&steer_closed, key);
}

/* Silent for so long that its owner has given it up too. Signed: another CPU may have seen it a moment later. */
static __always_inline bool steer_is_idle(const struct steer_flow *flow, __u32 now)
{
	return (__s32)(now - flow->seen) > (flow->state == STEER_HALF_OPEN ? STEER_IDLE_SYN : STEER_IDLE_OPEN);
}

/* What a peer sends behind its FIN: nothing but acknowledgements. */
static __always_inline bool steer_ends(const struct steer_packet *packet, const struct steer_flow *flow)
{
	return flow->flags & STEER_FLOW_FIN && !packet->data && packet->sequence == flow->next + 1;
}
