/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Policy files: from *.conf drop-ins to the tables of include/autocork/policy.h, and to what the agent itself is told.
 * docs/policy.md says it for users; agent/policy/keys.c holds the one table of keys.
 */
#pragma once
#include <autocork/policy.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>

#include "lib/fault.h"

/* ------------------------------------------------------------------ values of the keys, as parsed */

/* Inclusive; a single number has first == last. Lists are sorted and do not overlap. */
struct policy_range {
	uint16_t first, last;
};
struct policy_ranges {
	struct policy_range *list;
	size_t count; /* 0 = all */
};
struct policy_strings {
	char **list;
	size_t count; /* 0 = any */
};
struct policy_peer {
	uint8_t address[16]; /* IPv6, or v4-mapped */
	uint8_t bits;	     /* leading bits that count, of 128 */
};
struct policy_peers {
	struct policy_peer *list;
	size_t count; /* 0 = any */
};
struct policy_endpoint {
	struct sockaddr_storage address;
	socklen_t length; /* 0 = off */
	char text[108];	  /* as given: "/run/autocork/metrics.sock", "127.0.0.1:12675", "[::1]:12675", "off" */
};

enum policy_removal { POLICY_REMOVAL_DRAIN, POLICY_REMOVAL_MOVE };
enum policy_steer { POLICY_STEER_NONE, POLICY_STEER_AF_XDP, POLICY_STEER_DPDK, POLICY_STEER_ENDPOINT };
enum policy_direction { POLICY_DIRECTION_IN, POLICY_DIRECTION_OUT, POLICY_DIRECTION_ANY };
enum policy_protocol { POLICY_PROTOCOL_TCP, POLICY_PROTOCOL_UDP, POLICY_PROTOCOL_ANY, POLICY_PROTOCOL_ICMP };
enum policy_job { POLICY_JOB_COALESCE, POLICY_JOB_REFLECT };

/* [policy NAME] */
struct policy_config {
	struct policy_ranges ports;
	uint8_t side;			/* enum ac_side */
	struct policy_strings programs; /* shell patterns for the comm */
	struct policy_strings cgroups;	/* paths below the cgroup v2 root, starting with '/'; shell patterns */
	struct policy_strings pods;	/* NAMESPACE/NAME, shell patterns */
	struct policy_peers peers;
	uint8_t mode; /* enum ac_mode */
	uint32_t max_hold_us;
	uint32_t burst_gap_us;
	double confidence;	  /* 0.5 … 0.996 */
	uint32_t packet_worth_us; /* 5 … 10,000 */
	bool adopt;
	uint32_t rto_min_us; /* 5,000 … 200,000; 0 = the flow's own */
	uint8_t steer;	     /* enum policy_steer; the rest is for the fast path */
	char interface[16];  /* IFNAMSIZ; empty = none */
	struct policy_ranges queues;
	uint8_t direction; /* enum policy_direction */
	uint8_t protocol;  /* enum policy_protocol */
	bool transit;	   /* other machines' addresses too */
	uint8_t removal;   /* enum policy_removal */
};

/* [agent] */
struct policy_agent {
	double budget; /* share of one CPU for observing, 0.001 … 1; 0 = no limit */
	struct policy_endpoint metrics;
	uint16_t series;    /* of one service on the metrics page; POLICY_SERIES_ALL */
	bool small_packets; /* count them: costs every packet of the machine */
};
#define POLICY_SERIES_ALL UINT16_MAX

/* [fastpath] */
struct policy_fastpath {
	uint8_t job;	  /* enum policy_job */
	uint32_t hold_us; /* 0 = merge only within one receive burst */
	struct policy_strings interfaces;
};

/* ------------------------------------------------------------------ a policy set */

/* What a file said when it was read. */
struct policy_text {
	char *bytes;
	size_t length;
};

/* Where a value was set. file is NULL for a default. */
struct policy_place {
	const char *file; /* lives as long as the set */
	int line;
};

/* User-side record of a policy. */
struct policy_origin {
	char *name;	  /* [policy NAME]; "built-in" for number 0 */
	const char *file; /* of its last heading, which decides ties; NULL for number 0 */
	int line;
	bool ruled; /* has a mode, so the data path knows it; false: it only steers */
	struct policy_config config;
	struct policy_strings paths; /* what its cgroups and pods stood for when the set was compiled */
	struct policy_place *places; /* per key, in the order of its section's keys (keys.h) */
};

/* A cgroup that a rule names. */
struct policy_cgroup {
	char *path;  /* as given */
	uint64_t id; /* AC_CGROUP_UNRESOLVED until it exists */
};

struct policy_set {
	struct ac_policy *policies;    /* [0] is the built-in default */
	struct policy_origin *origins; /* same index */
	size_t policy_count;
	struct ac_rule *rules;
	uint32_t *rule_cgroups; /* per rule: index into cgroups + 1, or 0 = any */
	size_t rule_count;
	uint32_t *chain;
	size_t chain_count;
	struct ac_link *links;
	size_t link_count;
	struct ac_name *names; /* AC_NAMES of them */
	struct ac_span *spans;
	size_t span_count;
	struct ac_port ports[AC_PORTS];

	struct policy_agent agent;
	struct policy_place *agent_places;
	struct policy_fastpath fastpath;
	struct policy_place *fastpath_places;
	struct policy_cgroup *cgroups;
	size_t cgroup_count;
	char **files;		   /* read, in order */
	bool pods_cut;		   /* some pods may be missing: there are more control groups than are looked at */
	struct policy_text *texts; /* what each of them said: what is put over a set needs no file */
	size_t file_count;
};

/* ------------------------------------------------------------------ loading */

struct policy_error {
	char *file;
	int line;   /* 0 where the file as a whole is meant */
	char *what; /* "WHAT: WHAT IS ALLOWED" */
};
struct policy_errors {
	struct policy_error *list;
	size_t count;
};
void policy_errors_free(struct policy_errors *errors);

/* /usr/lib, /run and /etc/autocork/policy.d, ended by NULL. */
extern const char *const policy_default_dirs[];

/*
 * Reads and compiles every *.conf of the directories (ended by NULL), by file name; a file masks its namesake of an
 * earlier directory, a later file's value replaces an earlier one's. dirs NULL stands for policy_default_dirs, which
 * need not exist; directories that are named must. No file at all gives the built-in default: observe everything.
 * Returns 0 and a new set, or -1 with all errors (may be NULL if only the fault is wanted) and a fault that says the
 * first: EXIT_CONFIG. Nothing in the kernel is touched.
 */
int policy_load(struct policy_set **set, const char *const *dirs, struct policy_errors *errors, struct fault *fault);

/* The same for single files, in the order given. */
int policy_load_files(struct policy_set **set, char *const *files, size_t count, struct policy_errors *errors,
		      struct fault *fault);
/*
 * What `base` was made from, and a text (NULL: none) after all of it, that errors and origins call `name`. No file is
 * read; patterns and pods of control groups are what they are now.
 */
int policy_load_over(struct policy_set **set, const struct policy_set *base, const char *name, const char *text,
		     struct fault *fault);
/* Compiles policy_load_files() and throws the set away. */
int policy_check_files(char *const *files, size_t count, struct policy_errors *errors, struct fault *fault);

/* Of what the files of these directories say, as far as they can be read; the same for the same names and texts. */
uint64_t policy_fingerprint(const char *const *dirs);

void policy_set_free(struct policy_set *set);

/*
 * Looks the cgroups up again where cgroup v2 is mounted (not mounted: nothing resolves), or below root. Returns how
 * many rules got another id: apply the set again if not 0.
 */
size_t policy_resolve_cgroups(struct policy_set *set);
size_t policy_resolve_cgroups_at(struct policy_set *set, const char *root);

/* ------------------------------------------------------------------ asking */

/* Is the flow's cgroup `cgroup` or below it? */
typedef bool policy_in_cgroup(uint64_t cgroup, void *context);

/*
 * What the data path does, in C: the number of the rule that decides, or -1 if none does (policy 0).
 * in_cgroup NULL: the flow's cgroup is not known, rules that name one do not match.
 */
int64_t policy_match(const struct policy_set *set, const struct ac_facts *facts, policy_in_cgroup *in_cgroup,
		     void *context);
/* Can a flow fall through all rules to the built-in default? */
bool policy_default_reachable(const struct policy_set *set);

/* ------------------------------------------------------------------ showing (docs/policy.md documents both shapes) */

/* {"valid": bool, "files": [...], "errors": [{"file", "line", "what"}]} */
json_t *policy_check_json(char *const *files, size_t count, const struct policy_errors *errors);
/* {"policies": [{"name", "number", "origin", "rules", "keys": {KEY: {"value", "origin"}}}], "agent": {...}, …} */
json_t *policy_show_json(const struct policy_set *set);
/* The text of `autocork policy show [--origin]`, made from the JSON, so that it also prints what came over a socket. */
void policy_show_print(FILE *out, const json_t *shown, bool origin);
