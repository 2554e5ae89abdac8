/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "engine/objects.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/log.h"

static char complaint[160];

/* The verifier's log ends with statistics; what a person wants is libbpf's own line, or the verifier's last words
 * before them. */
static void remember(const char *line)
{
	static const char prefix[] = "libbpf: ";

	if (!strncmp(line, prefix, sizeof(prefix) - 1))
		line += sizeof(prefix) - 1;
	snprintf(complaint, sizeof(complaint), "%.*s", (int)strcspn(line, "\n"), line);
}

/* The verifier's log has thousands of lines; the last ones say what it refused. */
#define LINES_LOGGED 16

static void log_last_lines(char *text)
{
	char *line, *save, *from = text + strlen(text);

	for (int lines = 0; from > text && lines <= LINES_LOGGED; from--)
		lines += from[-1] == '\n';
	for (line = strtok_r(from, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		log_debug("%s", line);
}

__attribute__((format(printf, 2, 0))) static int print(enum libbpf_print_level level, const char *format, va_list args)
{
	char *text;

	if (level == LIBBPF_DEBUG || vasprintf(&text, format, args) < 0)
		return 0;
	if (level == LIBBPF_WARN && !complaint[0])
		remember(text);
	log_last_lines(text);
	free(text);
	return 0;
}

void objects_capture_log(void)
{
	libbpf_set_print(print);
}

const char *objects_complaint(void)
{
	return complaint;
}

const char *objects_why(int error)
{
	static const char no_target[] = "failed to find kernel BTF type ID of '";
	static char why[sizeof(complaint)];
	const char *target = strstr(complaint, no_target);

	if (!target)
		return complaint[0] ? complaint : strerror(-error);
	/* libbpf ends with -ESRCH, "No such process", which is nobody's process. */
	target += sizeof(no_target) - 1;
	snprintf(why, sizeof(why), "this kernel has no %.*s to attach to", (int)strcspn(target, "'"), target);
	return why;
}

void objects_forget_complaint(void)
{
	complaint[0] = 0;
}

struct bpf_object *objects_open(const void *bytes, size_t size)
{
	objects_forget_complaint();
	return bpf_object__open_mem(bytes, size, NULL);
}

int objects_map(const struct shared_maps *shared, const char *name)
{
	for (size_t i = 0; i < shared->count; i++)
		if (!strcmp(shared->map[i].name, name))
			return shared->map[i].fd;
	return -1;
}

static bool is_shared(const struct bpf_map *map)
{
	return !bpf_map__is_internal(map) && bpf_map__type(map) != BPF_MAP_TYPE_STRUCT_OPS;
}

int objects_load_guest(struct bpf_object *object, const struct shared_maps *shared)
{
	struct bpf_map *map;
	int err;

	bpf_object__for_each_map(map, object) {
		int fd = is_shared(map) ? objects_map(shared, bpf_map__name(map)) : -1;

		if (fd >= 0 && (err = bpf_map__reuse_fd(map, fd)))
			return err;
	}
	return bpf_object__load(object);
}

/*
 * libbpf closes what it opened, by number, when an object is closed: by then the number may be another file's. So an
 * object whose descriptors were closed behind its back is never closed; the few there are stay until the process ends.
 */
static struct {
	bool wanted;
	struct bpf_object *object[64];
	size_t count;
} stripped;

void objects_save_descriptors(void)
{
	stripped.wanted = true;
}

static void strip(struct bpf_object *object, const struct shared_maps *shared)
{
	struct bpf_map *map;

	if (!stripped.wanted || stripped.count == sizeof(stripped.object) / sizeof(stripped.object[0]))
		return;
	stripped.object[stripped.count++] = object;
	bpf_object__for_each_map(map, object) {
		int shared_fd = is_shared(map) ? objects_map(shared, bpf_map__name(map)) : -1;

		if (shared_fd >= 0 && shared_fd != bpf_map__fd(map))
			close(bpf_map__fd(map));
	}
}

/* Was it stripped? Then only its programs go. */
static bool unload_stripped(struct bpf_object *object)
{
	struct bpf_program *program;

	for (size_t i = 0; i < stripped.count; i++) {
		if (stripped.object[i] != object)
			continue;
		bpf_object__for_each_program(program, object)
			bpf_program__unload(program);
		return true;
	}
	return false;
}

void objects_close(struct bpf_object *object)
{
	if (!unload_stripped(object))
		bpf_object__close(object);
}

void objects_close_skeleton(struct bpf_object_skeleton *skeleton)
{
	if (!unload_stripped(*skeleton->obj))
		bpf_object__destroy_skeleton(skeleton);
}

int objects_load(struct bpf_object *object, struct shared_maps *shared)
{
	int err = objects_load_guest(object, shared);
	struct bpf_map *map;

	if (err)
		return err;
	bpf_object__for_each_map(map, object) {
		const char *name = bpf_map__name(map);

		if (!is_shared(map) || objects_map(shared, name) >= 0)
			continue;
		if (shared->count == sizeof(shared->map) / sizeof(shared->map[0]))
			return -E2BIG;
		snprintf(shared->map[shared->count].name, sizeof(shared->map[0].name), "%s", name);
		shared->map[shared->count++].fd = bpf_map__fd(map);
	}
	strip(object, shared);
	return 0;
}

struct bpf_link *objects_attach(const struct bpf_program *program, int cgroup)
{
	switch (bpf_program__type(program)) {
	case BPF_PROG_TYPE_CGROUP_SKB:
	case BPF_PROG_TYPE_CGROUP_SOCKOPT:
	case BPF_PROG_TYPE_SOCK_OPS:
		return bpf_program__attach_cgroup(program, cgroup);
	default:
		return bpf_program__attach(program);
	}
}
