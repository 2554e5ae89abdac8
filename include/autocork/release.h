/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * What the BPF programs and the release process (agent/release/) tell each other. A hold that nobody else ends is ended
 * by a descriptor of the program's own: this says which flow, and whose.
 */
#pragma once
#include <autocork/types.h>

/* Is there a descriptor of the flow's socket? */
enum ac_reach {
	AC_REACH_UNKNOWN, /* nobody has looked; plain system calls need one */
	AC_REACH_ASKED,	  /* the release process was asked to look: nothing is held until it has */
	AC_REACH_FOUND,	  /* it was there */
	AC_REACH_NONE,	  /* there is none: nothing is held any more */
	AC_REACH_LOCKED,  /* somebody keeps the socket's lock: not to be tried again */
};

/* Whose socket it is: the value of the map `owners`, by the number of the flow's record. Written by the gate, but for
 * tgid, fd and reach. */
struct ac_owner {
	__u64 cookie; /* of the socket that all else is about */
	__u64 cgroup; /* its control group */
	__u32 writer; /* thread group that began the last hold; a guess where the gate ran in a softirq */
	__u32 tgid;   /* where a descriptor was found … */
	__s32 fd;     /* … and its number there */
	__u32 reach;  /* enum ac_reach */
	__u32 next;   /* number of the next record in the wheel's slot */
	__u32 queued; /* it is in a slot */
	__u32 end_us; /* when its last hold must have ended */
};

/* What the release process is asked for: the record of the ring buffer `dues`. */
enum ac_due_what {
	AC_DUE_RELEASE, /* let what is held go */
	AC_DUE_FIND,	/* is there a descriptor? */
};

struct ac_due {
	__u64 cookie;
	__u32 number;
	__u32 what;   /* enum ac_due_what */
	__u32 due_us; /* when; at once if that is over. CLOCK_MONOTONIC, wraps */
};

/*
 * A hold is handed over so long before its end, or at half of it: the wheel's timer runs in a softirq, which may keep
 * it waiting. The release process sleeps until then by itself.
 */
#define AC_DUE_AHEAD_US 1024

/* Release processes that work side by side, at most: who waits for a lock keeps nobody from the others. */
#define AC_RELEASE_WORKERS 4

/* How one of them is doing. */
struct ac_release_worker {
	struct ac_due due; /* what it is at: the lock that it may wait for is of that socket */
	__u32 since_us;	   /* CLOCK_MONOTONIC, when it began with that; 0 = it is at nothing */
	__u32 pid;	   /* of the process in this place, once it is ready */
	__u32 wanted;	   /* number of the record whose descriptor bpf/find.bpf.c looks for … */
	__u32 tgid;	   /* … and where it found it; 0 = nowhere */
	__s32 fd;
} __attribute__((aligned(64)));

/* The one value of the map `releaser`, mapped into their memory and the agent's. */
struct ac_releaser {
	__u64 next_look_us; /* before that nobody looks at all processes */
	struct ac_release_worker worker[AC_RELEASE_WORKERS];
};

/*
 * The value of the map `avoided`, by control group: a socket of it was kept locked, or is. A busy machine may keep
 * whoever holds a lock from running for a while: who lets go soon is managed again, so many times.
 */
struct ac_avoided {
	__u32 now;	/* nothing of it is managed */
	__u32 times;	/* that it was so */
	__u64 since_us; /* CLOCK_MONOTONIC, the last time: where the map is full the oldest one goes */
};
#define AC_AVOIDED_MAX 256
#define AC_AVOID_TIMES 16

/* So long after it was asked for something a release process counts as stuck. */
#define AC_STUCK_US 10000
/* A hold that ends so much after its max_hold counts as late. */
#define AC_LATE_US 1000
