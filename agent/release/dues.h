/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The readers' side of the ring buffer `dues`, for several processes: each record goes to one of them, whoever is free
 * first. libbpf's reader must be the only one.
 */
#pragma once
#include <autocork/release.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dues {
	int fd;
	unsigned long *taken;	    /* up to here, by all processes; the kernel reads it */
	const unsigned long *given; /* up to here, by the kernel */
	const char *data;	    /* twice one after the other, so that no record is in two parts */
	size_t mask;
};

/* `fd`: the map. Returns 0 or a number as in errno. */
int dues_map(struct dues *dues, int fd);
/* False if there is none, or not yet. What was taken is nobody else's. */
bool dues_take(struct dues *dues, struct ac_due *due);
/* Until there may be one, or so long (-1: for ever). Returns 0 or a number as in errno. */
int dues_wait(const struct dues *dues, int64_t rest_us);
