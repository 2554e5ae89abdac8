/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "telemetry/selfcost.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <uthash.h>

#include "lib/array.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/text.h"

/* Windows after which the agent's descriptors are looked at again: it has some 400, and each takes a system call. */
#define SCAN_WINDOWS 12

/* A program by its kernel id. */
struct program {
	uint32_t id;
	int fd; /* -1: the agent has it no more */
	char name[BPF_OBJ_NAME_LEN * 4];
	uint64_t start_ns, start_runs;	 /* at the start of the window */
	uint64_t run_ns, runs;		 /* in all windows */
	uint64_t window_ns, window_runs; /* in the last one */
	bool seen;			 /* the window has its start */
	UT_hash_handle hh;
};

struct selfcost {
	struct program *programs;
	int measuring; /* descriptor that keeps the kernel measuring, -1 outside windows */
	uint64_t window_start, measured_ns;
	unsigned known; /* windows for which the programs are known; 0: they are to be looked for */
	double share, observing;
	bool refused; /* the kernel does not measure */
	struct telemetry_program *shown_programs;
	struct telemetry_map *shown_maps;
};

/* Every BPF program and map the agent has is a descriptor of its process: no part of it needs to tell us about its own.
 */
static void visit_descriptors(const char *kind, void (*visit)(int fd, void *context), void *context)
{
	DIR *directory = opendir("/proc/self/fd");
	struct dirent *entry;
	char target[64];
	ssize_t length;

	while (directory && (entry = readdir(directory))) {
		length = readlinkat(dirfd(directory), entry->d_name, target, sizeof(target) - 1);
		if (length <= 0)
			continue;
		target[length] = '\0';
		if (!strcmp(target, kind))
			visit((int)strtol(entry->d_name, NULL, 10), context);
	}
	if (directory)
		closedir(directory);
}

static struct program *program_of(struct selfcost *cost, const struct bpf_prog_info *info)
{
	struct program *program;

	HASH_FIND(hh, cost->programs, &info->id, sizeof(info->id), program);
	if (program)
		return program;
	program = calloc(1, sizeof(*program));
	if (!program)
		return NULL;
	program->id = info->id;
	program->fd = -1;
	text_clean(program->name, sizeof(program->name), info->name, sizeof(info->name));
	HASH_ADD(hh, cost->programs, id, sizeof(program->id), program);
	return program;
}

static void note_program(int fd, void *context)
{
	struct bpf_prog_info info = { 0 };
	struct program *program;
	__u32 size = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &size))
		return;
	program = program_of(context, &info);
	if (program)
		program->fd = fd;
}

static void scan(struct selfcost *cost)
{
	if (cost->known && cost->known--)
		return;
	for (struct program *p = cost->programs; p; p = p->hh.next)
		p->fd = -1;
	visit_descriptors("anon_inode:bpf-prog", note_program, cost);
	cost->known = SCAN_WINDOWS;
}

/* False where the descriptor is another's by now. */
static bool read_program(struct selfcost *cost, struct program *program, struct bpf_prog_info *info)
{
	__u32 size = sizeof(*info);

	memset(info, 0, sizeof(*info));
	if (program->fd >= 0 && !bpf_obj_get_info_by_fd(program->fd, info, &size) && info->id == program->id)
		return true;
	if (program->fd >= 0)
		cost->known = 0;
	program->fd = -1;
	return false;
}

static void open_window(struct selfcost *cost)
{
	struct bpf_prog_info info;

	for (struct program *p = cost->programs; p; p = p->hh.next) {
		p->seen = read_program(cost, p, &info);
		p->start_ns = info.run_time_ns;
		p->start_runs = info.run_cnt;
	}
}

static void close_window(struct selfcost *cost)
{
	struct bpf_prog_info info;

	for (struct program *p = cost->programs; p; p = p->hh.next) {
		if (!p->seen || !read_program(cost, p, &info))
			continue;
		p->window_ns = info.run_time_ns - p->start_ns;
		p->window_runs = info.run_cnt - p->start_runs;
	}
}

/* The programs of bpf/observe.bpf.c, by what their names begin with. */
static bool observes(const struct program *program)
{
	static const char *const names[] = { "write_", "sendpage_", "read_", "recv_", "poll_", "option_", "packet_" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strncmp(program->name, names[i], strlen(names[i])))
			return true;
	return false;
}

static void add_up_window(struct selfcost *cost, uint64_t length_ns, unsigned one_in)
{
	uint64_t observing = 0, others = 0;

	for (struct program *p = cost->programs; p; p = p->hh.next) {
		*(observes(p) ? &observing : &others) += p->window_ns;
		p->run_ns += observes(p) ? p->window_ns / one_in : p->window_ns;
		p->runs += observes(p) ? p->window_runs / one_in : p->window_runs;
		p->window_ns = p->window_runs = 0;
	}
	cost->measured_ns += length_ns;
	cost->share = length_ns ? (double)(others + observing / one_in) / length_ns : 0;
	cost->observing = length_ns ? (double)observing / length_ns : 0;
}

void selfcost_begin(struct selfcost *cost)
{
	if (cost->measuring >= 0 || cost->refused)
		return;
	cost->measuring = bpf_enable_stats(BPF_STATS_RUN_TIME);
	if (cost->measuring < 0) {
		log_info("cost of the BPF programs: cannot be measured: %s: their times stay 0", strerror(errno));
		cost->refused = true;
		return;
	}
	scan(cost);
	open_window(cost);
	cost->window_start = monotonic_ns();
}

void selfcost_end(struct selfcost *cost, unsigned one_in)
{
	if (cost->measuring < 0)
		return;
	close_window(cost);
	add_up_window(cost, monotonic_ns() - cost->window_start, one_in);
	close(cost->measuring);
	cost->measuring = -1;
}

struct selfcost *selfcost_new(void)
{
	struct selfcost *cost = calloc(1, sizeof(*cost));

	if (cost)
		cost->measuring = -1;
	return cost;
}

void selfcost_free(struct selfcost *cost)
{
	struct program *program, *next;

	if (!cost)
		return;
	if (cost->measuring >= 0)
		close(cost->measuring);
	HASH_ITER(hh, cost->programs, program, next) {
		HASH_DEL(cost->programs, program);
		free(program);
	}
	free(cost->shown_programs);
	free(cost->shown_maps);
	free(cost);
}

struct map_seen {
	uint32_t id;
	struct telemetry_map shown;
};

struct maps {
	struct map_seen *list;
	size_t count, room;
};

static uint64_t memory_of(int fd)
{
	char path[64], line[128];
	uint64_t bytes = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "memlock: %" SCNu64, &bytes) == 1)
			break;
	if (file)
		fclose(file);
	return bytes;
}

static void add_map(int fd, void *context)
{
	struct maps *maps = context;
	struct bpf_map_info info = { 0 };
	struct map_seen *map;
	__u32 size = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &size))
		return;
	for (size_t i = 0; i < maps->count; i++)
		if (maps->list[i].id == info.id)
			return;
	if (!array_room(&maps->list, maps->count, &maps->room, sizeof(*maps->list)))
		return;
	map = &maps->list[maps->count++];
	map->id = info.id;
	map->shown.bytes = memory_of(fd);
	text_clean(map->shown.name, sizeof(map->shown.name), info.name, sizeof(info.name));
}

/* The same source may be loaded in several objects, and names are cut at 15 characters: a name is shown once. */
static size_t show_maps(struct maps *maps, struct telemetry_map *shown)
{
	size_t count = 0, at;

	for (size_t i = 0; i < maps->count; i++) {
		for (at = 0; at < count && strcmp(shown[at].name, maps->list[i].shown.name); at++)
			;
		if (at == count)
			shown[count++] = maps->list[i].shown;
		else
			shown[at].bytes += maps->list[i].shown.bytes;
	}
	return count;
}

static size_t show_programs(const struct selfcost *cost, struct telemetry_program *shown)
{
	size_t count = 0, at;

	for (const struct program *p = cost->programs; p; p = p->hh.next) {
		for (at = 0; at < count && strcmp(shown[at].name, p->name); at++)
			;
		if (at == count) {
			memset(&shown[count], 0, sizeof(shown[count]));
			memcpy(shown[count++].name, p->name, sizeof(p->name));
		}
		shown[at].run_ns += p->run_ns;
		shown[at].runs += p->runs;
	}
	return count;
}

void selfcost_snapshot(struct selfcost *cost, struct telemetry_snapshot *snapshot)
{
	struct maps maps = { 0 };

	free(cost->shown_programs);
	free(cost->shown_maps);
	visit_descriptors("anon_inode:bpf-map", add_map, &maps);
	cost->shown_programs = calloc(HASH_COUNT(cost->programs) + 1, sizeof(*cost->shown_programs));
	cost->shown_maps = calloc(maps.count + 1, sizeof(*cost->shown_maps));
	snapshot->programs = cost->shown_programs;
	snapshot->program_count = cost->shown_programs ? show_programs(cost, cost->shown_programs) : 0;
	snapshot->maps = cost->shown_maps;
	snapshot->map_count = cost->shown_maps ? show_maps(&maps, cost->shown_maps) : 0;
	snapshot->agent.measured_seconds = cost->measured_ns * 1e-9;
	free(maps.list);
}

double selfcost_share(const struct selfcost *cost)
{
	return cost->share;
}

double selfcost_observing(const struct selfcost *cost)
{
	return cost->observing;
}
