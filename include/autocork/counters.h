/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * What is counted for each service: the one list. struct ac_service_stats (service.h), the members of the operation
 * "services" (agent/daemon/report.c) and the metrics (agent/telemetry/metrics_service.c) are made of it; the schemas
 * and docs/control.md are held against it by a test. Each row has a kind, and what that needs:
 *
 *	COUNT	field, metric, unit of the metric, help
 *	TIME	field, metric, help; in microseconds, the metric in seconds
 *	SUM	field; what the values of a SPREAD add up to, no metric of its own
 *	OPEN	name, opened, closed, help; no field: the difference of these two
 *	BY	field, names, first, end, metric, help; an array by a list of names
 *	LIST	field, names, first, end; the same, where elements are metrics of their own:
 *	PART	field, index, metric, help
 *	SPREAD	field, name in JSON, field of its sum, metric, unit, help, few, all, scale; a histogram
 *
 * where few and all are (first, last, step): the buckets whose tops become `le`, where there is room for few or for
 * all; step 0: there are no few.
 *
 * In the order of what they are worth as metrics: a service has series of its own for the first of them, as far as
 * [agent] series allows, and the rest is added up for the host. What docs/alerts.yml and docs/grafana.json ask of a
 * service is within METRICS_SERIES_DEFAULT (test_metrics).
 */
#pragma once

/* clang-format off: a table */
#define AC_COUNTERS(X) \
	X(COUNT, held, "held_writes", "", \
	  "Packets saved: writes held, except those that Nagle's algorithm would have merged anyway.") \
	/* Of stall_us. */ \
	X(TIME, shadow_stall_us, "avoidable_stall_seconds", \
	  "Part of stall_seconds that holding the previous write would have avoided.") \
	X(COUNT, writes, "writes", "", "Calls that queued data: write, send, sendmsg, writev and their like.") \
	X(COUNT, bursts, "bursts", "", "Messages written: runs of writes that belong together.") \
	X(COUNT, misses, "misses", "", \
	  "Messages held too long: the message was complete while a part of it was still held.") \
	/* Late: more than AC_LATE_US. */ \
	X(COUNT, holds_late, "holds_late", "", "Holds that ended more than 1 ms after their max_hold.") \
	X(OPEN, flows, flows_opened, flows_closed, "TCP flows open now.") \
	X(COUNT, flows_managed, "flows_managed", "", "Flows that came under management.") \
	X(COUNT, shadow_held, "shadow_held_writes", "", \
	  "Writes that would have been held, on flows that are not managed.") \
	X(COUNT, shadow_merged, "shadow_merged_writes", "", \
	  "Part of shadow_held_writes that Nagle's algorithm would have merged anyway.") \
	X(COUNT, shadow_misses, "shadow_misses", "", \
	  "Messages that would have been held too long, on flows that are not managed.") \
	/* This and the other counts of segments, packets and payload: of a flow when it closes. */ \
	X(COUNT, segments, "sent_segments", "", "Data segments sent.") \
	X(SUM, hold_us) \
	X(SPREAD, hold_time, "hold_time_us", hold_us, "hold_seconds", "seconds", \
	  "Added delay of a message: from its first held write to the release.", (15, 31, 4), (7, 37, 2), 1e-6) \
	X(BY, refused, refusal_names, AC_REFUSAL_NONE + 1, AC_REFUSAL_MAX, "flows_refused", \
	  "Flows that are not managed although a policy says so, by reason.") \
	X(BY, released, reason_names, 0, AC_REASON_MAX, "releases", "Releases of held writes, by reason.") \
	/* Not the writes behind the one that is kept. */ \
	X(COUNT, stalls, "stalls", "", \
	  "Times Nagle's algorithm kept a write until an ACK came, on flows that are not managed.") \
	X(TIME, stall_us, "stall_seconds", "Time for which Nagle's algorithm kept writes (see stalls).") \
	X(TIME, saved_wait_us, "saved_wait_seconds", \
	  "Time that messages no longer waited for an ACK, estimated from the waits measured before holding began.") \
	X(COUNT, retransmits, "retransmits", "", "Segments retransmitted.") \
	X(COUNT, inferred_bursts, "inferred_bursts", "", \
	  "Part of bursts that was not observed but inferred from the observed part of the time.") \
	X(COUNT, flows_opened, "flows_opened", "", "TCP flows seen for the first time.") \
	X(COUNT, flows_closed, "flows_closed", "", "TCP flows that ended.") \
	X(COUNT, flows_passed, "flows_passed", "", \
	  "Connections deliberately not tracked (client with nothing to gain); excluded from all other metrics.") \
	X(COUNT, flows_returned, "flows_returned", "", "Flows that left management while still open.") \
	X(COUNT, written_bytes, "written_bytes", "bytes", "Bytes queued by writes.") \
	X(COUNT, small_writes, "small_writes", "", "Calls that queued less than a full segment.") \
	X(COUNT, reads, "reads", "", "Calls that took data.") \
	X(COUNT, read_bytes, "read_bytes", "bytes", "Bytes taken by reads.") \
	X(COUNT, packets_out, "sent_packets", "", "Segments sent, acknowledgements included.") \
	X(COUNT, packets_in, "received_packets", "", "Segments received, acknowledgements included.") \
	X(COUNT, sent_bytes, "sent_bytes", "bytes", "Payload of segments sent, retransmissions included.") \
	X(COUNT, received_bytes, "received_bytes", "bytes", "Payload received, each byte once.") \
	X(TIME, rtt_us, "rtt_seconds", "Sum of the smoothed round-trip times of flows that ended.") \
	X(COUNT, rtts, "rtt_flows", "", "Flows whose round-trip time is in autocork_rtt_seconds_total.") \
	X(SUM, late_us) \
	X(SPREAD, lateness, "lateness_us", late_us, "hold_lateness_seconds", "seconds", \
	  "How long after its max_hold a hold ended, for holds that lasted longer.", (0, 0, 0), (13, 37, 4), 1e-6) \
	X(SPREAD, burst_length, "burst_length", writes, "burst_writes", "", \
	  "Writes in a message; the sum includes the writes of messages under way.", (0, 0, 0), (1, 11, 1), 1) \
	/* Not of managed flows. */ \
	X(SUM, sized_bytes) \
	X(SPREAD, write_size, "write_size", sized_bytes, "write_size_bytes", "bytes", \
	  "Size of the writes that were observed.", (0, 0, 0), (7, 31, 2), 1) \
	X(COUNT, more_writes, "more_writes", "", "Writes with MSG_MORE.") \
	X(COUNT, spliced_bytes, "spliced_bytes", "bytes", "Bytes queued by sendfile and splice, by reference.") \
	X(COUNT, zerocopy_bytes, "zerocopy_bytes", "bytes", "Bytes queued with MSG_ZEROCOPY.") \
	/* At least AC_LARGE_WRITE. */ \
	X(COUNT, large_copied_bytes, "large_copied_bytes", "bytes", \
	  "Bytes copied by writes of at least 16 KiB: they could have been spliced.") \
	X(LIST, option_calls, option_names, 0, AC_OPTION_MAX) \
	X(LIST, option_idle, option_names, 0, AC_OPTION_MAX) \
	X(PART, option_calls, AC_OPTION_NODELAY, "nodelay_calls", "Calls of setsockopt(TCP_NODELAY).") \
	X(PART, option_idle, AC_OPTION_NODELAY, "nodelay_idle_calls", "Of these, calls that changed nothing.") \
	X(PART, option_calls, AC_OPTION_CORK, "cork_calls", "Calls of setsockopt(TCP_CORK).") \
	X(PART, option_idle, AC_OPTION_CORK, "cork_idle_calls", "Of these, calls that changed nothing.") \
	/* Below AC_SMALL_PACKET; while observed. */ \
	X(COUNT, small_out, "sent_small_packets", "", \
	  "Segments sent with a payload of 1 to 127 bytes; counted only with small_packets = yes.") \
	X(COUNT, small_in, "received_small_packets", "", \
	  "Segments received with a payload of 1 to 127 bytes; counted only with small_packets = yes.")
/* clang-format on */
