/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The steering program loaded without pins, with rules from a policy text: for tests and measurements. */
#pragma once
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/if_xdp.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bpf/steer.skel.h"
#include "policy/set.h"
#include "steer/steer_plan.h"
#include "steer/steer_tables.h"

static inline int steer_quiet(enum libbpf_print_level level, const char *format, va_list arguments)
{
	return level == LIBBPF_WARN ? vfprintf(stderr, format, arguments) : 0;
}

static inline struct steer_bpf *steer_load(struct steer_tables *tables)
{
	struct steer_bpf *steer;
	struct bpf_map *map;

	libbpf_set_print(steer_quiet);
	steer = steer_bpf__open();
	if (!steer)
		return NULL;
	bpf_object__for_each_map(map, steer->obj)
		bpf_map__set_pin_path(map, NULL);
	if (steer_bpf__load(steer)) {
		steer_bpf__destroy(steer);
		return NULL;
	}
#define X(name) tables->name = bpf_map__fd(steer->maps.name);
	STEER_TABLES(X)
#undef X
	return steer;
}

/* Makes the address (IPv6, or v4-mapped) one of this machine. */
static inline int steer_own(const struct steer_tables *tables, const char *address)
{
	struct steer_local_key key = { .prefixlen = 128 };
	uint32_t one = 1;

	return inet_pton(AF_INET6, address, key.address) == 1 ?
		       bpf_map_update_elem(tables->steer_locals, &key, &one, BPF_ANY) :
		       -1;
}

/* An AF_XDP socket far enough set up to be put into an XSKMAP; no interface needed. */
static inline int steer_socket(void)
{
	static const int rings[] = { XDP_UMEM_FILL_RING, XDP_UMEM_COMPLETION_RING, XDP_RX_RING };
	struct xdp_umem_reg umem = { .len = 64 * 2048, .chunk_size = 2048 };
	int fd = socket(AF_XDP, SOCK_RAW, 0), entries = 64;
	void *memory = mmap(NULL, umem.len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	umem.addr = (uintptr_t)memory;
	if (fd < 0 || memory == MAP_FAILED || setsockopt(fd, SOL_XDP, XDP_UMEM_REG, &umem, sizeof(umem)))
		return -1;
	for (size_t i = 0; i < sizeof(rings) / sizeof(rings[0]); i++)
		if (setsockopt(fd, SOL_XDP, rings[i], &entries, sizeof(entries)))
			return -1;
	return fd;
}

/* The set of a policy text; NULL, with the reason on stderr, if it is invalid. */
static inline struct policy_set *steer_policies(const char *text)
{
	char path[] = "/tmp/steer-XXXXXX.conf", *const files[] = { path };
	int fd = mkstemps(path, 5);
	struct policy_set *set = NULL;
	struct fault fault;

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		return NULL;
	close(fd);
	if (policy_load_files(&set, files, 1, NULL, &fault)) {
		fprintf(stderr, "%s\n", fault.text);
		set = NULL;
	}
	unlink(path);
	return set;
}

/* Compiles the text for interface eth1 and puts it in force. */
static inline int steer_put(struct steer_tables *tables, const char *text, struct fault *fault)
{
	struct policy_set *set = steer_policies(text);
	struct steer_plan plan;
	int result = -1;

	fault->text[0] = 0;
	if (set && !plan_make(&plan, set, "eth1", fault)) {
		result = tables_apply(tables, &plan, fault);
		plan_free(&plan);
	}
	policy_set_free(set);
	return result;
}

/* `count` policies, one port each, from port 20000 on. Freed by the caller. */
static inline char *steer_many(unsigned int count, const char *more)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	for (unsigned int i = 0; i < count; i++)
		fprintf(out, "[policy p%u]\nports = %u\nsteer = af_xdp\ninterface = eth1\n%s\n", i, 20000 + i, more);
	fclose(out);
	return text;
}
