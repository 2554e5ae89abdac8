/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* BPF objects: opened from the bytes in this program, their maps shared by name. */
#pragma once
#include <bpf/libbpf.h>
#include <stddef.h>

#include "lib/fault.h"

/* Maps seen so far: the first object that has a map creates it, later ones are given its descriptor. */
struct shared_maps {
	struct {
		char name[32];
		int fd; /* owned by the object that created it */
	} map[48];
	size_t count;
};

/* libbpf's last complaint since objects_open(), one line; "" if there was none. */
const char *objects_complaint(void);
/* Why loading failed, for a person: the complaint, or `error` (-errno) where there was none. */
const char *objects_why(int error);
/* Sends libbpf's messages to the log, one level lower. Call once. */
void objects_capture_log(void);

/* Opens the object without loading it; NULL and errno on failure. */
struct bpf_object *objects_open(const void *bytes, size_t size);
/* The same of a skeleton, whose members are its maps and programs: NULL and errno if that fails. */
#define OBJECTS_OPEN(name) (objects_forget_complaint(), name##_bpf__open())
#define OBJECTS_CLOSE(opened) \
	do { \
		if (opened) \
			objects_close_skeleton((opened)->skeleton); \
		free(opened); \
		(opened) = NULL; \
	} while (0)
void objects_forget_complaint(void);
void objects_close_skeleton(struct bpf_object_skeleton *skeleton);
/* Shares maps, loads. Returns 0 or -errno; the object is the caller's either way. */
int objects_load(struct bpf_object *object, struct shared_maps *shared);
/* The same, but maps that only this object has stay its own: for one that goes before the others do. */
int objects_load_guest(struct bpf_object *object, const struct shared_maps *shared);
/* NULL is allowed. */
void objects_close(struct bpf_object *object);
/*
 * From now on objects_load() gives the second descriptors of shared maps back: libbpf keeps one per object and map, 80
 * in all, and an agent with few of them (ulimit -n 100) would find none left for its clients.
 */
void objects_save_descriptors(void);
/* Attaches a program to what its section names, or to `cgroup` (a descriptor) if it is of that kind. NULL and errno on
 * failure. */
struct bpf_link *objects_attach(const struct bpf_program *program, int cgroup);
/* Descriptor of a shared map, -1 if no object has it. */
int objects_map(const struct shared_maps *shared, const char *name);
