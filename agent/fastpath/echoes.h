/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Ends loops. A service that answers an answer (another echo service, another reflector) would have the two send one
 * datagram to and fro for ever. Such a datagram is the same every time, and a question seldom is: the same bytes
 * between the same ends are answered ECHOES_BURST times, and then ECHOES_PER_SECOND times a second. One that is not
 * answered ends the loop, if its round trip takes less than that. Pure.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#define ECHOES_BURST 32
#define ECHOES_PER_SECOND 4

struct echoes;

struct echoes *echoes_new(void); /* NULL: out of memory */
void echoes_free(struct echoes *echoes);
/* May it be answered? `hash`: of the datagram's ends and bytes, with a seed. Counts it. */
bool echoes_allow(struct echoes *echoes, uint64_t hash, uint64_t now_ns);
