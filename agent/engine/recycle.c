/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "engine/recycle.h"

#include <bpf/bpf.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "engine/inside.h"
#include "engine/walk.h"

/* Runs in a row in which a service had no flow before its number is taken. */
#define IDLE_RUNS 3
/* From here on numbers are short: of all, and of a control group. */
#define SHORT_ALL (AC_SERVICES_MAX * 3 / 4)
#define SHORT_CGROUP (AC_CGROUP_SERVICES * 3 / 4)
/* Runs that are left out, at most, after one with nothing to do: each walks over all flows. */
#define RESTS_MAX 31

/*
 * A number is taken back in two steps. First its key goes, so that no flow joins it any more; one that was about to
 * will have by the next run. If it has no flow then either, its counters are kept and set to zero, and the number is
 * free.
 */
struct slot {
	uint64_t opened;   /* flows_opened at the last run */
	unsigned int idle; /* runs */
	bool leaving;
};

struct recycler {
	struct slot slots[AC_SERVICES_MAX];
	struct ac_service_key keys[AC_SERVICES_MAX]; /* all zero: no service */
	struct ac_service_stats gone;
	uint32_t refused;   /* control.services_refused at the last run */
	unsigned int rests; /* after the last run: 0, 1, 3, 7 … while there is nothing to do */
	unsigned int rests_left;
};

struct recycler *recycler_new(void)
{
	return calloc(1, sizeof(struct recycler));
}

void recycler_free(struct recycler *r)
{
	free(r);
}

const struct ac_service_stats *recycler_gone(const struct recycler *r)
{
	return &r->gone;
}

static bool is_used(const struct ac_service_key *key)
{
	static const struct ac_service_key none;

	return memcmp(key, &none, sizeof(none));
}

/* A control group's services, or a program's in it, as they are told apart in service_room. */
static struct ac_service_key room_of(const struct ac_service_key *key, bool program)
{
	struct ac_service_key room = { .cgroup = key->cgroup };

	if (program) {
		room.side = key->side;
		memcpy(room.comm, key->comm, sizeof(room.comm));
	}
	return room;
}

static void add_one(int map, const struct ac_service_key *room)
{
	uint32_t count = 0;

	bpf_map_lookup_elem(map, room, &count);
	count++;
	bpf_map_update_elem(map, room, &count, BPF_ANY);
}

/* Counts again what is taken of each room: what was given back is room. */
static void count_rooms(const struct recycler *r, int map)
{
	struct ac_service_key room, next;
	bool more = !bpf_map_get_next_key(map, NULL, &next);

	while (more) {
		room = next;
		more = !bpf_map_get_next_key(map, &room, &next);
		bpf_map_delete_elem(map, &room);
	}
	for (uint32_t number = 1; number < AC_SERVICES_MAX; number++) {
		if (!is_used(&r->keys[number]) || r->slots[number].leaving)
			continue;
		for (int program = 0; program < 2; program++) {
			room = room_of(&r->keys[number], program);
			add_one(map, &room);
		}
	}
}

static uint32_t services_of(const struct recycler *r, uint64_t cgroup)
{
	uint32_t count = 0;

	for (uint32_t number = 1; number < AC_SERVICES_MAX; number++)
		count += is_used(&r->keys[number]) && r->keys[number].cgroup == cgroup;
	return count;
}

static uint32_t read_all(struct recycler *r, const struct tables *tables, int keys)
{
	uint32_t count = 0;

	for (uint32_t number = 1; number < AC_SERVICES_MAX; number++) {
		uint64_t opened = 0;

		if (bpf_map_lookup_elem(keys, &number, &r->keys[number]) || !is_used(&r->keys[number]))
			continue;
		count++;
		for (unsigned int slot = 0; slot < tables->stats_slots; slot++)
			opened += tables->stats[ac_stats_at(slot, number)].flows_opened;
		r->slots[number].idle = opened == r->slots[number].opened ? r->slots[number].idle + 1 : 0;
		r->slots[number].opened = opened;
	}
	return count;
}

/* Keeps what it counted, and gives the number back. */
static void let_go(struct recycler *r, struct engine *engine, uint32_t number)
{
	static const struct ac_service_memory forgotten;
	static const struct ac_service_key none;
	struct shared_maps *maps = &engine->shared;
	struct tables *tables = &engine->tables;

	engine_tables_sum(tables, number, &r->gone);
	for (unsigned int slot = 0; slot < tables->stats_slots; slot++)
		memset(&tables->stats[ac_stats_at(slot, number)], 0, sizeof(*tables->stats));
	bpf_map_update_elem(objects_map(maps, "service_memory"), &number, &forgotten, BPF_ANY);
	bpf_map_update_elem(objects_map(maps, "service_keys"), &number, &none, BPF_ANY);
	if (engine->shown)
		memset(&engine->shown[number], 0, sizeof(engine->shown[number]));
	r->keys[number] = none;
	r->slots[number] = (struct slot){};
	bpf_map_update_elem(objects_map(maps, "free_services"), NULL, &number, BPF_ANY);
}

void recycler_run(struct recycler *r, struct engine *engine)
{
	const struct ac_control *control = engine->tables.control;
	struct shared_maps *maps = &engine->shared;
	struct ac_live *live = engine->tables.live;
	bool refused = control->services_refused != r->refused, busy = refused;
	uint32_t count;

	/* As long as numbers were never short this is all. */
	if (!refused && control->services_next < SHORT_CGROUP)
		return;
	if (!refused && r->rests_left) {
		r->rests_left--;
		return;
	}
	r->refused = control->services_refused;
	count = read_all(r, &engine->tables, objects_map(maps, "service_keys"));
	memset(live, 0, AC_SERVICES_MAX * sizeof(*live));
	if (walk_add_up(engine))
		return;
	for (uint32_t number = 1; number < AC_SERVICES_MAX; number++) {
		struct slot *slot = &r->slots[number];

		if (!is_used(&r->keys[number]) || live[number].flows) {
			slot->idle = 0;
		} else if (slot->leaving) {
			let_go(r, engine, number);
			busy = true;
		} else if (slot->idle < IDLE_RUNS) {
			busy = true;
		} else if (count >= SHORT_ALL || services_of(r, r->keys[number].cgroup) >= SHORT_CGROUP) {
			bpf_map_delete_elem(objects_map(maps, "services"), &r->keys[number]);
			/* What listeners know of it is over too. */
			__atomic_fetch_add(&engine->tables.control->services_recycled, 1, __ATOMIC_RELEASE);
			slot->leaving = true;
			busy = true;
		}
	}
	count_rooms(r, objects_map(maps, "service_room"));
	r->rests = busy ? 0 : r->rests < RESTS_MAX ? 2 * r->rests + 1 : RESTS_MAX;
	r->rests_left = r->rests;
}
