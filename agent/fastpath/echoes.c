/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* How often the same datagram came: see echoes.h. */
#include "fastpath/echoes.h"

#include <stdlib.h>

#define SETS 4096u
#define WAYS 4u
#define REFILL_NS (1000000000 / ECHOES_PER_SECOND)

struct echo {
	uint64_t hash;
	uint64_t empty_ns; /* when its bucket is empty again: each answer fills in REFILL_NS */
};

/* A bucket that leaks, for each datagram seen of late. */
struct echoes {
	struct echo sets[SETS][WAYS];
};

struct echoes *echoes_new(void)
{
	return calloc(1, sizeof(struct echoes));
}

void echoes_free(struct echoes *echoes)
{
	free(echoes);
}

bool echoes_allow(struct echoes *echoes, uint64_t hash, uint64_t now_ns)
{
	struct echo *set = echoes->sets[hash % SETS], *echo = set;

	/* Else the emptiest makes room: datagrams that come once push none out that came often. */
	for (struct echo *other = set; other < set + WAYS; other++) {
		if (other->hash == hash) {
			echo = other;
			break;
		}
		if (other->empty_ns < echo->empty_ns)
			echo = other;
	}
	if (echo->hash != hash)
		*echo = (struct echo){ .hash = hash };
	if (echo->empty_ns < now_ns)
		echo->empty_ns = now_ns;
	if (echo->empty_ns - now_ns > (uint64_t)(ECHOES_BURST - 1) * REFILL_NS)
		return false;
	echo->empty_ns += REFILL_NS;
	return true;
}
