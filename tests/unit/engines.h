/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Two engines back to back in virtual time. lwIP has globals, so each is a copy of the library of its own. */
#pragma once
#include <arpa/inet.h>
#include <assert.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

#include "endpoint/tcp_engine.h"
#include "ring_memory.h"

/* clang-format off */
#define ENGINE_CALLS(X) \
	X(engine_create) X(engine_destroy) X(engine_poll) X(engine_flush) X(engine_deadline) X(engine_set_link) \
	X(engine_listen) X(engine_accept) X(engine_connect) X(engine_set_tag) X(engine_tag) X(engine_local) \
	X(engine_peer) X(engine_ready) X(engine_unread) X(engine_unsent) X(engine_take_error) X(engine_read) \
	X(engine_write) X(engine_shutdown) X(engine_close) X(engine_abort) X(engine_drop) X(engine_set_option) \
	X(engine_get_option) X(engine_stats) X(engine_state) X(engine_each)
/* clang-format on */

struct engine_calls {
#define X(name) __typeof__(&name) name;
	ENGINE_CALLS(X)
#undef X
};

struct side {
	struct memory_ring wire;
	struct engine_calls call;
	struct engine *engine;
	void *library;
	uint32_t edges; /* all that notify() said since the test cleared it */
};

static uint64_t virtual_now;
static char side_alone = 1;

static uint64_t virtual_clock(void *context)
{
	return virtual_now;
}

static void note_edges(void *context, struct engine_socket *socket, uint32_t events)
{
	((struct side *)context)->edges |= events;
}

/* dlopen() knows a file by its inode: a copy is another library, with globals of its own. */
static void *load_copy(const char *path)
{
	char name[64];
	uint8_t buffer[65536];
	ssize_t got;
	int from = open(path, O_RDONLY), to = memfd_create("engine", 0);

	assert(from >= 0 && to >= 0);
	while ((got = read(from, buffer, sizeof(buffer))) > 0)
		assert(write(to, buffer, (size_t)got) == got);
	close(from);
	snprintf(name, sizeof(name), "/proc/self/fd/%d", to);
	void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
	if (!library)
		fprintf(stderr, "%s\n", dlerror());
	assert(library);
	return library;
}

static union engine_address address_of(const char *text, uint16_t port)
{
	union engine_address address = { 0 };

	if (inet_pton(AF_INET, text, &address.in.sin_addr) == 1) {
		address.in.sin_family = AF_INET;
		address.in.sin_port = htons(port);
	} else {
		assert(inet_pton(AF_INET6, text, &address.in6.sin6_addr) == 1);
		address.in6.sin6_family = AF_INET6;
		address.in6.sin6_port = htons(port);
	}
	return address;
}

static bool find_neighbour(void *context, const union engine_address *to, uint8_t mac[6])
{
	memset(mac, 2, 6);
	return true;
}

static void side_start(struct side *side, const char *v4, const char *v6, struct engine_config config)
{
	if (!side->library) {
		char path[256];

		snprintf(path, sizeof(path), "%s/tests/unit/engine_copy.so", getenv("BUILD") ?: "build");
		side->library = load_copy(path);
#define X(name) \
	side->call.name = (__typeof__(&name))dlsym(side->library, #name); \
	assert(side->call.name);
		ENGINE_CALLS(X)
#undef X
	}
	config.ring = &side->wire.ring;
	config.addresses[0] = address_of(v4, 0);
	config.addresses[1] = address_of(v6, 0);
	config.address_count = 2;
	config.neighbour = find_neighbour;
	config.notify = note_edges;
	config.clock = virtual_clock;
	config.alone = &side_alone;
	config.context = side;
	side->edges = 0;
	side->engine = side->call.engine_create(&config);
	assert(side->engine);
}

/* Both run until nothing is on the wire. Frames that were moved. */
static inline unsigned run_both(struct side *a, struct side *b)
{
	unsigned total = 0, moved;

	do {
		moved = a->call.engine_poll(a->engine, virtual_now, 0);
		moved += b->call.engine_poll(b->engine, virtual_now, 0);
		total += moved;
	} while (moved);
	return total;
}

/* Time goes to the next deadline, and no further than `limit`. False: neither engine has one before it. */
static inline bool next_deadline(struct side *a, struct side *b, uint64_t limit)
{
	uint64_t one = a->call.engine_deadline(a->engine), two = b->call.engine_deadline(b->engine);
	uint64_t next = one < two ? one : two;

	if (next > limit) {
		virtual_now = limit > virtual_now ? limit : virtual_now;
		return false;
	}
	virtual_now = next > virtual_now ? next : virtual_now + 1;
	return true;
}

static inline void run_for(struct side *a, struct side *b, uint64_t ms)
{
	uint64_t limit = virtual_now + ms * 1000000;

	do
		run_both(a, b);
	while (next_deadline(a, b, limit));
	run_both(a, b);
}
