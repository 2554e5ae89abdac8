/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The engine from inside: shared by the files of this folder only. */
#pragma once
#include <autocork/record.h>
#include <bpf/libbpf.h>

#include "engine/engine.h"
#include "engine/features.h"
#include "engine/objects.h"
#include "engine/recycle.h"
#include "engine/observer.h"
#include "engine/releaser.h"
#include "engine/response_observer.h"
#include "engine/tables.h"
#include "engine/wrappers.h"

enum iterator { ITERATOR_RECONCILE, ITERATOR_NAMES, ITERATOR_MAX };

/* Namespaces that kicks have asked for and the next dispatch serves. */
#define PENDING_MAX 64

struct pending {
	uint32_t netns[PENDING_MAX];
	size_t count;
	bool everywhere; /* more than fit */
};

struct engine {
	struct features features;
	struct shared_maps shared;
	struct life_bpf *life;
	struct reconcile_bpf *reconcile;
	struct find_bpf *find;
	struct dump_bpf *dump;
	struct bpf_link *sockops, *ends[3]; /* of connections: their resets, and their sockets' end, twice */
	int fragments;			    /* net.core.max_skb_frags, open; 0 or less: it cannot be read */
	unsigned int max_flows;		    /* as in struct engine_options, never 0 */
	struct ac_service_stats *shown;	    /* of each service, what engine_services() said last */
	struct bpf_link *iterators[ITERATOR_MAX];
	struct observer observer;
	struct responses responses; /* told of one by one */
	unsigned int watchers;	    /* that have them added up */
	uint32_t event_types;	    /* that somebody listens to */
	int cgroup;		    /* the directory whose flows are handled, open; 0 = not yet */
	struct wrapper wrappers[AC_WRAPPER_MAX];
	struct tables tables;
	struct recycler *recycler;
	struct ring_buffer *kicks;
	unsigned int kicks_left; /* that may still be read in this turn of the loop */
	bool tried_rest;	 /* engine_try_rest() did */
	struct releaser releaser;
	struct pending to_reconcile;
	bool observes;		 /* a policy observes: its flows are watched from their first write on */
	bool small_packets;	 /* are to be counted, while observing */
	bool manages;		 /* a policy manages: flows with nothing to gain are looked at again now and then */
	bool rechecks;		 /* those flows' turn is now */
	bool worth_watching;	 /* the observer is there for watched flows */
	unsigned int beats;	 /* since start, wraps */
	unsigned int patience;	 /* beats that the observer still waits for a watched flow to do something */
	uint64_t packets;	 /* softirqs_received() at the last glance */
	uint32_t watched_bursts; /* control.watched_bursts at the last beat */
	uint32_t passed;	 /* control.passed at the last adopt() */
};

/* Tells the kernel side what is wanted: event_types, and whether there are watchers. */
void engine_listen(struct engine *engine);

#define RESPONSES_REFUSED "responses: cannot be watched: %s: it takes a kernel from 6.16 on"

/* Gives every flow the weight that goes with control.weight and its policy now. */
void engine_weigh(struct engine *engine);
