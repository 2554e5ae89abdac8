/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The counters of a running autocork-fastpath, in a small file that it maps and writes (no lock, no system call, no
 * thread) and that the agent reads. The writer holds a lock on the file while it lives, so a reader knows a dead one's
 * file from a live one's whatever killed it. Needs no DPDK.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/fault.h"

#define FASTPATH_RUN_DIR "/run/autocork/fastpath" /* NAME.stats, one per instance */
#define FASTPATH_NAME_LEN 32			  /* letters, digits, '-', '_', '.'; not starting with '.' */
#define FASTPATH_QUEUES_MAX 128			  /* receive queues over all ports */

/* X(field, kind, help): one per receive queue. kind is counter or gauge. Only appended to: a new one raises
 * FASTPATH_STATS_VERSION. */
#define FASTPATH_COUNTERS(X) \
	X(rx_packets, counter, "Frames received.") \
	X(rx_bytes, counter, "Bytes received.") \
	X(tx_packets, counter, "Frames sent.") \
	X(tx_bytes, counter, "Bytes sent.") \
	X(tx_dropped, counter, "Frames dropped because the sending port was full.") \
	X(ignored, counter, "Frames that the reflector could not answer.") \
	X(merged, counter, "Segments merged into the previous one: packets saved.") \
	X(delayed, counter, "Frames that waited for the whole hold time.") \
	X(evicted, counter, "Flows forgotten because the flow table was full.") \
	X(bad_checksum, counter, "Small segments passed on untouched because of a wrong or unfinished checksum.") \
	X(opaque, counter, "Packets of unknown flow (fragments, malformed).") \
	X(flows, gauge, "Flows remembered.") \
	X(held, gauge, "Frames held.") \
	X(bursts, counter, "Receive bursts that held at least one frame.") \
	X(busy_cycles, counter, "Time-stamp counter cycles spent on those bursts.") \
	X(sleeps, counter, "Times the queue's core went to sleep with nothing to do.") \
	X(too_long, counter, "Frames sent although they exceed the sending port's MTU; the port may drop them.")

/* One receive queue; written by its core alone. */
struct fastpath_queue {
	uint32_t port;	/* number of the port it receives on */
	uint32_t queue; /* number of the queue on that port */
	uint32_t core;
	uint32_t pad;
	char interface[32]; /* kernel interface where there is one, else the device's name */
#define X(field, kind, help) uint64_t field;
	FASTPATH_COUNTERS(X)
#undef X
} __attribute__((aligned(64))); /* no two cores write to one cache line */

#define FASTPATH_STATS_MAGIC 0x53465041u /* "APFS" */
#define FASTPATH_STATS_VERSION 2

/* The file: this, then `queues` times struct fastpath_queue. */
struct fastpath_file {
	uint32_t magic; /* written last: a file without it is still being made */
	uint32_t version;
	uint32_t queues;
	uint32_t pid;
	uint64_t started; /* seconds since the epoch */
	uint64_t beat;	  /* CLOCK_MONOTONIC seconds, refreshed at least twice a second while the process turns */
	uint64_t cycles_per_second;
	char job[16];
	char name[FASTPATH_NAME_LEN];
	char pad[40];
	struct fastpath_queue queue[];
};
_Static_assert(sizeof(struct fastpath_file) == 128, "the queues start on a cache line");

struct fastpath_counter {
	const char *name, *help;
	size_t offset; /* of its uint64_t in struct fastpath_queue */
	bool gauge;
};
extern const struct fastpath_counter fastpath_counters[];
extern const size_t fastpath_counter_count;

static inline uint64_t fastpath_counter_value(const struct fastpath_queue *queue,
					      const struct fastpath_counter *counter)
{
	return *(const uint64_t *)((const char *)queue + counter->offset);
}

/* True if the text may name an instance. */
bool fastpath_name_valid(const char *name);
/* "DIR/NAME.stats" into path; false if it does not fit or the name is not valid. dir NULL means FASTPATH_RUN_DIR. */
bool fastpath_stats_path(const char *dir, const char *name, char *path, size_t size);

/* Where the agent keeps the files of the process that it runs: beside its control socket (NULL: the usual one). */
bool fastpath_stats_beside(const char *control, char *dir, size_t size);

/* Writer. Makes the file (and the last element of its directory), takes the lock, maps it. A second writer is
 * refused. */
struct fastpath_file *fastpath_stats_create(const char *path, uint32_t queues, int *fd, struct fault *fault);
/* To be called once name, job and queues are filled in: readers accept the file from now on. */
void fastpath_stats_publish(struct fastpath_file *file);
/* Removes the file and unmaps it. */
void fastpath_stats_destroy(struct fastpath_file *file, const char *path, int fd);

/*
 * Reader: a copy of the file, to be freed with free(). *alive: its writer runs. NULL with the fault set if there is no
 * such file or it is not one of ours (of another version, cut short, still being made). Counters are read one by one,
 * not as one snapshot.
 */
struct fastpath_file *fastpath_stats_read(const char *path, bool *alive, struct fault *fault);
/* Calls visit for every *.stats in dir (NULL: FASTPATH_RUN_DIR), unreadable ones left out; returns how many. No
 * directory: 0. */
typedef void fastpath_stats_visit(const struct fastpath_file *file, bool alive, void *context);
int fastpath_stats_each(const char *dir, fastpath_stats_visit *visit, void *context);
