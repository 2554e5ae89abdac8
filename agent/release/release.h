/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * A release process: ends holds that nobody else ends, through descriptors of the programs' own. It is the agent's
 * child and the same program under another name, so that there is no second file to install. It alone waits for locks
 * that others keep. Several of them share the work: whoever is free takes what is due next (release/dues.h).
 */
#pragma once
#include <autocork/release.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>

/* The name that makes the program this process: argv[0]. */
#define RELEASE_NAME "autocork-release"

/* What it is given, by descriptor. */
enum release_fd {
	RELEASE_DUES = 3, /* the maps of these names … */
	RELEASE_OWNERS,
	RELEASE_STATE,	/* `releaser` */
	RELEASE_FIND,	/* … and the program bpf/find.bpf.c */
	RELEASE_REPORT, /* a pipe to the agent */
	RELEASE_FD_END,
};

/* What it tells when it has started. Errors are numbers as in errno. */
struct release_report {
	int takes;    /* 0, or why it may not take descriptors of others */
	int realtime; /* 0, or why it is not scheduled in real time */
	int locked;   /* 0, or why its memory is not locked */
	int finds;    /* 0, or why descriptors cannot be found */
	bool capable; /* it has CAP_SYS_PTRACE */
};

/* The first thing that main() asks. */
bool release_is_me(int argc, char **argv);
/* Starts it, with the environment of this process: the libraries may come from there. Returns 0 or a number as in
 * errno. */
int release_spawn(pid_t *pid, const posix_spawn_file_actions_t *actions, posix_spawnattr_t *attributes,
		  const char *const arguments[]);
/* argv[1]: a descriptor of the agent's, to try with; argv[2]: entries of the map `owners`; argv[3]: its place in the
 * map `releaser`; argv[4]: how many there are. Ends with the agent. */
int release_main(int argc, char **argv);
