/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The engine's life: load, attach, serve kicks, give back. */
#include "engine/engine.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bpf/dump.skel.h"
#include "bpf/find.skel.h"
#include "bpf/life.skel.h"
#include "bpf/reconcile.skel.h"
#include "engine/inside.h"
#include "engine/passes.h"
#include "engine/walk.h"
#include "lib/cgroup.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/softirqs.h"

/* Three beats may be late before holding stops: under load the agent may not run for a while, and a stall costs only
 * savings. */
#define ALIVE_US (4 * ENGINE_BEAT_MS * 1000ull)

#define FRAGMENTS_BUILT 17 /* MAX_SKB_FRAGS, unless built otherwise */

/* Half of the places stay free: bpf/index.bpf.h says why that is enough. */
static unsigned int index_buckets(unsigned int max_flows)
{
	unsigned int buckets = 1;

	while (buckets * 4 < max_flows)
		buckets *= 2;
	return buckets;
}

static void size_maps(struct engine *engine, struct bpf_object *object)
{
	/* Records have a number 0, which is nobody's. */
	const struct {
		const char *name;
		unsigned int entries;
	} maps[] = { { "flow_index", index_buckets(engine->max_flows) },
		     { "free_records", engine->max_flows },
		     { "records", engine->max_flows + 1 },
		     { "owners", engine->max_flows + 1 },
		     { "service_stats", engine_stats_slots() * AC_SERVICES_MAX } };

	for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]); i++) {
		struct bpf_map *map = bpf_object__find_map_by_name(object, maps[i].name);

		if (map)
			bpf_map__set_max_entries(map, maps[i].entries);
	}
}

/* `object`: NULL if it could not be opened. */
static int load(struct engine *engine, struct bpf_object *object, const char *name, struct fault *fault)
{
	int err = -errno;

	if (object) {
		size_maps(engine, object);
		err = objects_load(object, &engine->shared);
	}
	if (!err)
		return 0;
	return fault_set(fault, EXIT_UNSUPPORTED, "BPF program %s: %s: %s: run `autocork doctor`", name,
			 err == -EPERM || err == -EACCES ? "the kernel refuses it" : "cannot be loaded",
			 objects_complaint()[0] ? objects_complaint() : strerror(-err));
}

#define OPEN_AND_LOAD(engine, name, fault) \
	((engine)->name = OBJECTS_OPEN(name), load(engine, (engine)->name ? (engine)->name->obj : NULL, #name, fault))

static int attach_iterator(struct engine *engine, enum iterator which, struct bpf_program *program, struct fault *fault)
{
	engine->iterators[which] = bpf_program__attach_iter(program, NULL);
	if (!engine->iterators[which])
		return fault_set(fault, EXIT_UNSUPPORTED, "iterator %s: cannot be attached: %s: run `autocork doctor`",
				 bpf_program__name(program), strerror(errno));
	return 0;
}

static int load_all(struct engine *engine, struct fault *fault)
{
	if (OPEN_AND_LOAD(engine, life, fault) || OPEN_AND_LOAD(engine, reconcile, fault) ||
	    OPEN_AND_LOAD(engine, find, fault) || OPEN_AND_LOAD(engine, dump, fault) ||
	    attach_iterator(engine, ITERATOR_RECONCILE, engine->reconcile->progs.reconcile, fault) ||
	    attach_iterator(engine, ITERATOR_NAMES, engine->reconcile->progs.name_owners, fault))
		return -1;
	return 0;
}

/* How deep the subtree lies below the root: the level of its cgroup. */
static unsigned int cgroup_level(const char *root, const char *path)
{
	unsigned int level = 0;

	for (const char *at = path + strlen(root); *at; at++)
		level += *at == '/' && at[1] && at[1] != '/';
	return level;
}

static int open_cgroup(struct engine *engine, const char *path, struct fault *fault)
{
	const char *root = cgroup_root(fault);
	char *whole;
	int fd;

	if (!root)
		return -1;
	if (!cgroup_is_root(root))
		return fault_set(fault, EXIT_UNSUPPORTED,
				 "%s: shows only what is in the agent's cgroup namespace: start its container with "
				 "--cgroupns=host, or give it the host's mount beside its own: "
				 "-v /sys/fs/cgroup:/host/cgroup:ro",
				 root);
	whole = realpath(path ? path : root, NULL);
	fd = whole ? open(whole, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	if (fd < 0) {
		fault_set(fault, EXIT_FAILED, "cgroup %s: %s: name a directory below %s", path ? path : root,
			  strerror(errno), root);
		free(whole);
		return -1;
	}
	if (strncmp(whole, root, strlen(root))) {
		fault_set(fault, EXIT_FAILED, "cgroup %s: not in the cgroup v2 tree: name a directory below %s", path,
			  root);
		free(whole);
		close(fd);
		return -1;
	}
	engine->tables.control->cgroup = cgroup_id(whole);
	engine->tables.control->cgroup_level = cgroup_level(root, whole);
	engine->cgroup = fd;
	free(whole);
	return 0;
}

/* Without these flows would stay in the map for ever, and their sockets' addresses would name others. */
static int attach_ends(struct engine *engine, struct fault *fault)
{
	const struct {
		const struct bpf_program *program;
		const char *tracepoint;
	} ends[] = { { engine->life->progs.flow_closed, "tcp_destroy_sock" },
		     { engine->life->progs.flow_closed_too, "tcp_destroy_sock" },
		     { engine->life->progs.flow_resets, "tcp_send_reset" } };

	_Static_assert(AC_ARRAY_SIZE(ends) == AC_ARRAY_SIZE(engine->ends), "a link each");
	for (size_t i = 0; i < AC_ARRAY_SIZE(ends); i++) {
		engine->ends[i] = bpf_program__attach(ends[i].program);
		if (!engine->ends[i])
			return fault_set(fault, EXIT_UNSUPPORTED, "tracepoint %s: %s: run `autocork doctor`",
					 ends[i].tracepoint, strerror(errno));
	}
	features_note(&engine->features, "flow end", true, "", "", "sockops and tracepoint tcp_destroy_sock");
	return 0;
}

static int attach_sockops(struct engine *engine, const char *path, struct fault *fault)
{
	engine->sockops = objects_attach(engine->life->progs.enroll, engine->cgroup);
	if (!engine->sockops)
		return fault_set(fault, EXIT_UNSUPPORTED, "sockops on cgroup %s: %s: run `autocork doctor`",
				 path ? path : "root", strerror(errno));
	return 0;
}

/*
 * A watched flow may be idle for hours (a pool's connection, the control connection of a transfer): after PATIENCE
 * beats without a burst of any watched flow the observer goes, and glances every GLANCE_BEATS; a burst seen, or a new
 * flow, makes it patient again. To attach it costs some ms: where hardly any packet came in since the last glance, it
 * glances only every GLANCE_BEATS_QUIET.
 */
#define PATIENCE 2
#define GLANCE_BEATS 16
#define GLANCE_BEATS_QUIET 256
#define GLANCE_PACKETS 16 /* four seconds of a message each second, both ends here */

static void start_watching(struct engine *engine)
{
	int err;

	engine->tables.control->watching = 1;
	err = observer_watch(&engine->observer, true, engine->small_packets);
	if (err)
		log_warning("observer: cannot be attached: %s: new flows learn nothing until it can", strerror(-err));
	else if (!engine->tables.control->looks_since_ms)
		engine->tables.control->looks_since_ms = (uint32_t)(monotonic_us() / 1000) | 1;
}

/*
 * Unless a flow has begun to be watched since control.watch_begins was what is given here. Who begins after that finds
 * `watching` 0, and kicks.
 */
static void stop_watching(struct engine *engine, uint32_t begins)
{
	struct ac_control *control = engine->tables.control;

	__atomic_store_n(&control->watching, 0, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&control->watch_begins, __ATOMIC_SEQ_CST) != begins) {
		engine->patience = PATIENCE;
		start_watching(engine);
		return;
	}
	engine->tables.control->looks_since_ms = 0;
	observer_watch(&engine->observer, false, engine->small_packets);
}

/*
 * Observing costs every write of the machine, so it stops when all flows are either managed or known to have nothing to
 * gain. Every RECHECK_BEATS it comes back for RECHECK_FOR beats, for flows that have changed.
 */
#define RECHECK_BEATS 240
#define RECYCLE_BEATS 4
#define RECHECK_FOR 4

static bool is_time_to_glance(struct engine *engine)
{
	uint64_t packets;

	if (engine->beats % GLANCE_BEATS)
		return false;
	if (!softirqs_received(&packets))
		return true;
	if (packets - engine->packets < GLANCE_PACKETS && engine->beats % GLANCE_BEATS_QUIET)
		return false;
	engine->packets = packets;
	return true;
}

static bool is_worth_watching(struct engine *engine)
{
	const struct ac_control *control = engine->tables.control;

	if (control->watched_bursts != engine->watched_bursts) {
		engine->watched_bursts = control->watched_bursts;
		engine->patience = PATIENCE;
	} else if (engine->patience)
		engine->patience--;
	return control->watched > 0 && (engine->patience || is_time_to_glance(engine));
}

/* Takes in the flows that exist and are not followed. Only the task that owns a socket knows the program's name. */
static void adopt(struct engine *engine)
{
	struct ac_control *control = engine->tables.control;

	engine->passed = control->passed;
	pass_here(engine->iterators[ITERATOR_NAMES]);
	control->reconcile = AC_RECONCILE_ADOPT;
	pass_everywhere(engine->iterators[ITERATOR_RECONCILE]);
	control->reconcile = AC_RECONCILE_TEND;
}

static void update_watching(struct engine *engine, uint32_t begins)
{
	struct ac_control *control = engine->tables.control;

	control->sees_all = (engine->observes && control->weight) || engine->rechecks;
	if (control->sees_all || engine->worth_watching)
		start_watching(engine);
	else
		stop_watching(engine, begins);
}

static void review_watching(struct engine *engine)
{
	uint32_t begins = engine->tables.control->watch_begins;

	engine->rechecks = engine->manages && engine->beats % RECHECK_BEATS >= RECHECK_BEATS - RECHECK_FOR;
	engine->worth_watching = is_worth_watching(engine);
	/* A connection that was passed by and lives on may be another kind than its short-lived siblings. */
	if (engine->beats % RECHECK_BEATS == RECHECK_BEATS - RECHECK_FOR &&
	    engine->passed != engine->tables.control->passed)
		adopt(engine);
	engine->beats++;
	update_watching(engine, begins);
}

void engine_sample(struct engine *engine, unsigned int weight)
{
	struct ac_control *control = engine->tables.control;
	uint32_t begins = control->watch_begins;

	if (weight == control->weight)
		return;
	/* No flow has its weight before the observer is there, or has it still when it goes. */
	if (!weight) {
		__atomic_store_n(&control->weight, 0, __ATOMIC_RELAXED);
		engine_weigh(engine);
		update_watching(engine, begins);
		return;
	}
	if (engine->observes) {
		/* What flows wrote before was not to be seen. */
		control->looks_since_ms = 0;
		control->sees_all = true;
		start_watching(engine);
	}
	__atomic_store_n(&control->weight, weight, __ATOMIC_RELAXED);
	engine_weigh(engine);
}

static void want(struct pending *pending, uint32_t netns)
{
	for (size_t i = 0; i < pending->count; i++)
		if (pending->netns[i] == netns)
			return;
	if (pending->count == PENDING_MAX)
		pending->everywhere = true;
	else
		pending->netns[pending->count++] = netns;
}

/* As in the event hub: the kernel may kick faster than it is served. */
#define KICKS_PER_TURN 256

static int on_kick(void *context, void *data, size_t size)
{
	const struct ac_kick *kick = data;
	struct engine *engine = context;

	switch (kick->what) {
	case AC_KICK_STUCK:
		releaser_is_stuck(&engine->releaser);
		break;
	case AC_KICK_RECONCILE:
		want(&engine->to_reconcile, kick->netns);
		break;
	case AC_KICK_WATCH:
		engine->patience = PATIENCE;
		start_watching(engine);
		break;
	case AC_KICK_DISMISS:
		engine->patience = 0;
		engine->watched_bursts = engine->tables.control->watched_bursts;
		if (!engine->tables.control->sees_all)
			stop_watching(engine, kick->netns);
		break;
	}
	return --engine->kicks_left ? 0 : -EAGAIN;
}

static void serve(struct pending *pending, const struct bpf_link *iterator)
{
	if (pending->everywhere) {
		pass_everywhere(iterator);
	} else {
		for (size_t i = 0; i < pending->count; i++) {
			int err = pass_in(iterator, pending->netns[i]);

			/* A namespace that is gone has no flows left. */
			if (err && err != -ESRCH && err != -EDEADLK)
				log_warning("network namespace %u: %s", pending->netns[i], strerror(-err));
		}
	}
	pending->count = 0;
	pending->everywhere = false;
}

static bool start_releaser(struct engine *engine)
{
	int find = bpf_program__fd(engine->find->progs.find);

	return releaser_start(&engine->releaser, &engine->shared, find, engine->tables.control, engine->max_flows + 1,
			      &engine->features);
}

int engine_start(struct engine **out, const struct engine_options *options, struct fault *fault)
{
	struct engine *engine = calloc(1, sizeof(*engine));
	int stale, err;

	if (!engine)
		return fault_set(fault, EXIT_FAILED, "engine: out of memory");
	*out = engine;
	engine->max_flows = options->max_flows ?: AC_FLOWS_DEFAULT;
	engine->recycler = recycler_new();
	if (!engine->recycler) {
		fault_set(fault, EXIT_FAILED, "engine: out of memory");
		goto fail;
	}
	objects_capture_log();
	if (options->few_descriptors)
		objects_save_descriptors();
	libbpf_set_strict_mode(LIBBPF_STRICT_ALL);
	stale = wrappers_remove_stale();
	if (stale)
		log_info("took over from an agent that was killed: %d wrappers removed", stale);
	if (load_all(engine, fault) || engine_tables_map(&engine->tables, &engine->shared, fault) ||
	    open_cgroup(engine, options->cgroup, fault))
		goto fail;
	engine->fragments = open("/proc/sys/net/core/max_skb_frags", O_RDONLY | O_CLOEXEC);
	engine->tables.control->tick_ns = tick_ns();
	engine->tables.control->weight = 1;
	engine->tables.control->records_next = 1;
	engine->tables.control->records_max = engine->max_flows + 1;
	engine->tables.control->index_mask = index_buckets(engine->max_flows) - 1;
	engine_beat(engine);
	if (!options->without_wrappers && start_releaser(engine))
		engine->tables.control->wrappers =
			wrappers_register(engine->wrappers, &engine->shared, &engine->features);
	else if (options->without_wrappers)
		features_note(&engine->features, "wrappers", false, "nothing is managed, only observed", NULL,
			      "forced off");
	if (attach_ends(engine, fault))
		goto fail;
	err = observer_start(&engine->observer, engine->cgroup, &engine->shared, options->without_fentry,
			     &engine->features);
	if (err) {
		fault_set(fault, EXIT_FAILED, "observer: cannot be attached: %s: run `autocork doctor`",
			  strerror(-err));
		goto fail;
	}
	engine->kicks = ring_buffer__new(objects_map(&engine->shared, "kicks"), on_kick, engine, NULL);
	if (!engine->kicks) {
		fault_set(fault, EXIT_FAILED, "ring buffer: %s: check the memory limit of autocorkd", strerror(errno));
		goto fail;
	}
	if (attach_sockops(engine, options->cgroup, fault))
		goto fail;
	return 0;
fail:
	engine_stop(engine);
	*out = NULL;
	return -1;
}

void engine_stop(struct engine *engine)
{
	if (!engine)
		return;
	/* First no new holds, then no new flows, then all flows back, and only then their wrappers away. */
	if (engine->tables.control) {
		engine->tables.control->alive_until_us = 0;
		engine->tables.control->reconcile = AC_RECONCILE_GIVE_BACK;
	}
	bpf_link__destroy(engine->sockops);
	if (engine->iterators[ITERATOR_RECONCILE] && engine->tables.control && engine->tables.control->wrappers)
		pass_everywhere(engine->iterators[ITERATOR_RECONCILE]);
	wrappers_unregister(engine->wrappers);
	releaser_stop(&engine->releaser);
	observer_stop(&engine->observer);
	responses_stop(&engine->responses);
	if (engine->cgroup)
		close(engine->cgroup);
	if (engine->fragments > 0)
		close(engine->fragments);
	for (size_t i = 0; i < AC_ARRAY_SIZE(engine->ends); i++)
		bpf_link__destroy(engine->ends[i]);
	for (int i = 0; i < ITERATOR_MAX; i++)
		bpf_link__destroy(engine->iterators[i]);
	ring_buffer__free(engine->kicks);
	engine_tables_unmap(&engine->tables);
	OBJECTS_CLOSE(engine->dump);
	OBJECTS_CLOSE(engine->find);
	OBJECTS_CLOSE(engine->reconcile);
	OBJECTS_CLOSE(engine->life);
	recycler_free(engine->recycler);
	free(engine->shown);
	free(engine);
}

int engine_apply(struct engine *engine, const struct policy_set *set, struct fault *fault)
{
	engine_tables_apply(&engine->tables, set);
	engine->small_packets = set->agent.small_packets;
	engine->observes = engine->manages = false;
	for (size_t i = 0; i < set->policy_count; i++) {
		/* The built-in default, where nothing leads to it, observes nobody. */
		if (i == AC_POLICY_DEFAULT && !policy_default_reachable(set))
			continue;
		engine->observes |= set->policies[i].mode == AC_MODE_OBSERVE;
		engine->manages |= set->policies[i].mode == AC_MODE_AUTOCORK;
	}
	review_watching(engine);
	adopt(engine);
	if (engine->tables.control->weight != 1)
		engine_weigh(engine);
	return 0;
}

int engine_fd(const struct engine *engine)
{
	return ring_buffer__epoll_fd(engine->kicks);
}

int engine_dispatch(struct engine *engine)
{
	int err;

	engine->kicks_left = KICKS_PER_TURN;
	err = ring_buffer__consume(engine->kicks);
	serve(&engine->to_reconcile, engine->iterators[ITERATOR_RECONCILE]);
	return err < 0 && err != -EAGAIN ? err : 0;
}

/* What cannot be read, in a network namespace of one's own for instance, is as the kernel is built. */
static void look_at_fragments(struct engine *engine)
{
	char text[16] = "";

	if (engine->fragments <= 0 || pread(engine->fragments, text, sizeof(text) - 1, 0) <= 0)
		snprintf(text, sizeof(text), "%d", FRAGMENTS_BUILT);
	engine->tables.control->fragments = (uint32_t)strtoul(text, NULL, 10);
}

void engine_stay_alive(struct engine *engine)
{
	__atomic_store_n(&engine->tables.control->alive_until_us, monotonic_us() + ALIVE_US, __ATOMIC_RELEASE);
}

void engine_beat(struct engine *engine)
{
	look_at_fragments(engine);
	if (engine->kicks) {
		review_watching(engine);
		if (engine->beats % RECYCLE_BEATS == 0)
			recycler_run(engine->recycler, engine);
	}
	releaser_look(&engine->releaser);
	/* Those that were refused meanwhile are watched by nobody. */
	if (engine->releaser.forgave && engine->kicks) {
		engine->releaser.forgave = false;
		pass_everywhere(engine->iterators[ITERATOR_RECONCILE]);
	}
	engine_stay_alive(engine);
}
