/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Walks over the records of all flows (bpf/dump.bpf.c), whatever network namespace they are in. */
#pragma once
#include <autocork/record.h>

struct engine;

/* Adds up what the open flows will leave to their services, into tables.live. 0 or -errno. */
int walk_add_up(struct engine *engine);
/* Visits every open flow until take() returns non-zero. The record is only valid in the call. 0 or -errno. */
typedef int walk_take(const struct ac_flow_record *record, void *context);
int walk_flows(struct engine *engine, walk_take *take, void *context);
