/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Which descriptors of the program are ours: open files of three kinds, and the table from numbers to them. A number
 * that is not in the table is the kernel's alone.
 *
 * Each of ours has a real descriptor of the same number: the listener's and the epoll set's own, a placeholder for a
 * connection. So the numbers are the kernel's, and so are all limits on them.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "endpoint/tcp_engine.h"

enum file_kind { FILE_LISTENER, FILE_CONNECTION, FILE_EPOLL };

/* A file in an epoll set, under one descriptor. */
struct item {
	struct file *set, *file;
	int fd;
	uint32_t events; /* what was asked for, with EPOLLET and so on; 0: ONESHOT has fired */
	epoll_data_t data;
	struct item *next_of_file;
	struct item *next_of_set, *previous_of_set;
	struct item *next_ready, *previous_ready;
	bool ready; /* in the set's list of those that may have something to say */
};

/* An open file description: dup() shares it. */
struct file {
	enum file_kind kind;
	unsigned refs; /* descriptors, and calls that sleep on it */
	unsigned descriptors;
	struct item *items; /* the sets that it is in */

	/* FILE_LISTENER and FILE_CONNECTION */
	struct engine_socket *socket; /* NULL: a listener that the kernel alone serves, a connection that is lost */
	int domain;		      /* of the addresses that the program sees */
	uint64_t receive_timeout, send_timeout; /* ns; 0: none. A listener's are for its connections */

	/* FILE_LISTENER */
	int backlog;
	bool v6only;
	union engine_address local;
	uint64_t try_again; /* CLOCK_MONOTONIC, ns: when the broker is asked anew */
	bool spills;	    /* it has a spill (spill.h): the ends that are read and written */
	int spill[2];

	/* FILE_CONNECTION */
	bool nonblocking;
	bool failing; /* a hand-over failed: it is not tried again and again */

	/* FILE_EPOLL */
	int fd;	       /* a descriptor of it, for adding what is handed over */
	unsigned turn; /* busy waits so far */
	struct item *members, *first_ready, *last_ready;
};

/* NULL: not ours. Without the lock it only tells whether the number is ours at all. */
struct file *files_find(int fd);
/* A new file with one reference, that of the descriptor. NULL with errno. */
struct file *files_new(int fd, enum file_kind kind, bool cloexec);
/* One more descriptor of it; what the number was before is forgotten. 0 or -1 with errno. */
int files_share(int fd, struct file *file, bool cloexec);
/* The number is not ours any more. The file, if that was its last descriptor (the caller then ends it), else NULL. */
struct file *files_remove(int fd);
void files_release(struct file *file);
bool files_cloexec(int fd);
void files_set_cloexec(int fd, bool cloexec);
/* The next number of ours from fd on, or -1. */
int files_next(int fd);

/* Are there any of this kind? */
extern unsigned files_count[3];

/* Descriptors of the library itself: they lie high, and the program cannot close them. */
int files_hide(int fd); /* moves it; the new number */
bool files_is_hidden(int fd);
void files_unhide(int fd); /* closes it */
int files_next_hidden(int fd);
