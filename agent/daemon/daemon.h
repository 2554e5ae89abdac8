/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The agent while it runs: what its operations and parts may look at. */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "daemon/control.h"
#include "daemon/machine.h"
#include "engine/engine.h"
#include "lib/fault.h"
#include "policy/set.h"

#define DAEMON_DIRS_MAX 16

struct daemon_options {
	const char *policy_dirs[DAEMON_DIRS_MAX + 1]; /* ended by NULL; none = policy_default_dirs */
	const char *control;
	struct engine_options engine;
};

/* The last attempt to load the policy files, the one at start included. */
struct reload_state {
	int64_t at; /* CLOCK_REALTIME, seconds */
	bool ok;
	uint32_t good, bad;   /* attempts so far */
	uint64_t fingerprint; /* of the files then: policy_fingerprint() */
	char error[512];      /* why the last one was refused; "" if it was not */
};

struct daemon {
	struct daemon_options options;
	sd_event *loop;
	struct engine *engine;
	struct policy_set *policy;  /* in force */
	struct policy_set *beneath; /* with a policy on trial: what is in force without it; else NULL */
	char *overlay;		    /* the text of that policy, or NULL */
	struct control *control;
	struct machine machine; /* what makes it the only agent here */
	struct reload_state reload;
	int64_t started;     /* CLOCK_REALTIME, seconds */
	uint64_t started_us; /* CLOCK_MONOTONIC */
	void **part_data;    /* one per row of daemon_parts[] */
	size_t parts_started;
};

/* Runs until SIGTERM or SIGINT. Returns 0 or fills the fault; nothing stays in the kernel either way. */
int daemon_run(const struct daemon_options *options, struct fault *fault);
/* For what keeps the loop for long, before each of its steps: the kernel's programs and systemd see that the agent
 * lives. */
void daemon_stay_alive(struct daemon *daemon);
/* Loads the policy files and puts them in force, or keeps what is in force and says why. Tells systemd and the
 * parts. */
int daemon_reload(struct daemon *daemon, struct fault *fault);
/* Puts the same files in force with what their patterns and pods of control groups stand for now. Tells the parts. */
int daemon_expand(struct daemon *daemon, struct fault *fault);
/* Where they are, ended by NULL. */
const char *const *daemon_policy_dirs(const struct daemon *daemon);

/*
 * Puts a policy over those in force, in memory only: what is in the files and not reloaded stays so, and a reload goes
 * beneath it. NULL takes it back. The parts are told as of a reload.
 */
int daemon_overlay(struct daemon *daemon, const char *text, struct fault *fault);

/* The operations of the control socket (agent/parts/ops.c): a feature adds its row. */
extern const struct control_op daemon_ops[];
extern const size_t daemon_op_count;

/*
 * What runs inside the agent beside the engine (agent/parts/parts.c): a feature adds its row. Each function may be
 * NULL. Started in order once the engine runs and the policies are in force, with all privileges; stopped in reverse
 * order before the engine. A part that cannot start stops the agent: a part whose absence is bearable logs it and
 * returns 0.
 */
struct daemon_part {
	const char *name;
	int (*start)(struct daemon *daemon, void **data, struct fault *fault);
	void (*stop)(void *data);
	/* After each reload, good or bad (daemon->reload says which), and when a policy on trial comes or goes;
	 * `policy` is in force. */
	void (*reloaded)(struct daemon *daemon, void *data);
	/* Adds members to the answer of the "status" operation. */
	void (*status)(struct daemon *daemon, void *data, json_t *status);
	/* Why something that the policies ask of this part is not in force; NULL: it is. Valid until the next call. */
	const char *(*unmet)(const struct daemon *daemon, const void *data);
};
extern const struct daemon_part daemon_parts[];
extern const size_t daemon_part_count;

int daemon_parts_start(struct daemon *daemon, struct fault *fault);
void daemon_parts_stop(struct daemon *daemon);
void daemon_parts_reloaded(struct daemon *daemon);
void daemon_parts_status(struct daemon *daemon, json_t *status);
/* The first of them that cannot do what the policies ask; NULL: there is none. */
const char *daemon_parts_unmet(const struct daemon *daemon);
/* What the part of that name put into *data; NULL if it did not start. For its operations. */
void *daemon_part_data(const struct daemon *daemon, const char *name);
