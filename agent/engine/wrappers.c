/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "engine/wrappers.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bpf/gate_bbr.skel.h"
#include "bpf/gate_bbr_71.skel.h"
#include "bpf/gate_bbr_old.skel.h"
#include "bpf/gate_cubic.skel.h"
#include "bpf/gate_cubic_71.skel.h"
#include "bpf/gate_dctcp.skel.h"
#include "bpf/gate_dctcp_71.skel.h"
#include "bpf/gate_reno.skel.h"
#include "lib/log.h"

/* linux/bpf.h of Debian 12 is older than 6.4. */
#define BPF_F_LINK_FLAG (1u << 13)
#define BPF_STRUCT_OPS_ATTACH 44

/* Every wrapper's variants, in the order tried: the kernel's own struct and kfuncs decide which one loads. */
static const struct variant {
	enum ac_wrapper wrapper;
	const char *kernels;
	const void *(*bytes)(size_t *size);
} variants[] = {
	{ AC_WRAPPER_CUBIC, "7.1+", gate_cubic_71_bpf__elf_bytes },
	{ AC_WRAPPER_CUBIC, "up to 7.0", gate_cubic_bpf__elf_bytes },
	{ AC_WRAPPER_BBR, "7.1+", gate_bbr_71_bpf__elf_bytes },
	{ AC_WRAPPER_BBR, "6.10 to 7.0", gate_bbr_bpf__elf_bytes },
	{ AC_WRAPPER_BBR, "up to 6.9", gate_bbr_old_bpf__elf_bytes },
	{ AC_WRAPPER_RENO, "6.1+", gate_reno_bpf__elf_bytes },
	{ AC_WRAPPER_DCTCP, "7.1+", gate_dctcp_71_bpf__elf_bytes },
	{ AC_WRAPPER_DCTCP, "up to 7.0", gate_dctcp_bpf__elf_bytes },
};

/* 6.1 lets BPF call the functions of CUBIC, BBR and DCTCP on x86 only; 6.12 on arm64 too. */
#ifdef __x86_64__
#define SINCE ""
#else
#define SINCE "Linux 6.12 or later, and "
#endif

static const struct {
	const char *feature, *mend;
} wrapper_texts[AC_WRAPPER_MAX] = {
	[AC_WRAPPER_CUBIC] = { "wrapper cubic", SINCE "a kernel with CONFIG_BPF_JIT, CONFIG_DEBUG_INFO_BTF and CUBIC" },
	[AC_WRAPPER_BBR] = { "wrapper bbr", SINCE "`modprobe tcp_bbr`, then restart autocorkd" },
	[AC_WRAPPER_RENO] = { "wrapper reno", "a kernel with CONFIG_BPF_JIT and CONFIG_DEBUG_INFO_BTF" },
	[AC_WRAPPER_DCTCP] = { "wrapper dctcp", SINCE "`modprobe tcp_dctcp`, then restart autocorkd" },
};

static const char *const kernel_names[AC_WRAPPER_MAX] = {
#define X(id, kernel, wrapper) [AC_WRAPPER_##id] = kernel,
	AC_WRAPPERS(X)
#undef X
};

int wrappers_remove_stale(void)
{
	__u32 id = 0, zero = 0;
	int removed = 0;

	while (!bpf_map_get_next_id(id, &id)) {
		struct bpf_map_info info = {};
		__u32 size = sizeof(info);
		int fd = bpf_map_get_fd_by_id(id);

		if (fd < 0)
			continue;
		/* Of a registration with a link only the map may linger, and it refuses the call. */
		if (!bpf_obj_get_info_by_fd(fd, &info, &size) && info.type == BPF_MAP_TYPE_STRUCT_OPS &&
		    !strncmp(info.name, "autocork_", 9) && !bpf_map_delete_elem(fd, &zero))
			removed++;
		close(fd);
	}
	return removed;
}

static struct bpf_map *struct_ops_map(struct bpf_object *object)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, object)
		if (bpf_map__type(map) == BPF_MAP_TYPE_STRUCT_OPS)
			return map;
	return NULL;
}

static void set_app_limited_writable(struct bpf_object *object, bool writable)
{
	struct bpf_map *map;
	size_t size;
	bool *value;

	/* .rodata of a wrapper holds nothing else. */
	bpf_object__for_each_map(map, object)
		if (bpf_map__is_internal(map) && strstr(bpf_map__name(map), ".rodata") &&
		    (value = (bool *)bpf_map__initial_value(map, &size)) && size == sizeof(*value))
			*value = writable;
}

/* The steps to a registered wrapper, in their order: the one that failed says what can be done. */
enum step { STEP_OPEN, STEP_LOAD, STEP_REGISTER, STEP_MAX };

static const struct {
	const char *name, *mend; /* mend: NULL = the wrapper's own */
} steps[STEP_MAX] = {
	[STEP_OPEN] = { "open", "libbpf 1.1 or later, and the packages of one release" },
	[STEP_LOAD] = { "load", NULL },
	[STEP_REGISTER] = { "register",
			    "`bpftool struct_ops list`: end who has this name; else report it with this line" },
};

/* What is known of the tries so far: the one that came farthest. */
struct attempt {
	enum step step;
	int err;	     /* 0 = registered */
	char complaint[160]; /* libbpf's, "" = none */
};

/*
 * Registers a loaded struct_ops map. Returns 0 or -errno, with nothing left registered. The link is a descriptor of
 * this process, so the kernel takes the registration back however the process ends.
 */
static int register_map(struct wrapper *w, struct bpf_map *map, bool linked)
{
	struct bpf_link *link = bpf_map__attach_struct_ops(map);

	if (!link)
		return -errno;
	if (linked) {
		/* For a map with BPF_F_LINK libbpf 1.1 has only stored the value; from 1.2 on it has made the link. */
		w->link = bpf_link__fd(link) != bpf_map__fd(map) ?
				  bpf_link__fd(link) :
				  bpf_link_create(bpf_map__fd(map), 0, BPF_STRUCT_OPS_ATTACH, NULL);
		if (w->link < 0) {
			int err = -errno;

			w->link = -1;
			bpf_link__destroy(link);
			return err;
		}
	}
	/* Frees libbpf's side only: the registration goes on. */
	bpf_link__disconnect(link);
	bpf_link__destroy(link);
	return 0;
}

/* Loads and registers one variant in one way. */
static struct attempt try(struct wrapper *w, const struct variant *variant, bool linked, bool app_limited,
			  struct shared_maps *shared)
{
	struct attempt attempt = { .step = STEP_OPEN };
	size_t size, shared_before = shared->count;
	const void *bytes = variant->bytes(&size);
	struct bpf_object *object = objects_open(bytes, size);
	struct bpf_map *map = object ? struct_ops_map(object) : NULL;

	if (!map) {
		attempt.err = object ? -ENOENT : -errno;
	} else {
		set_app_limited_writable(object, app_limited);
		if (linked)
			bpf_map__set_map_flags(map, bpf_map__map_flags(map) | BPF_F_LINK_FLAG);
		attempt.step = STEP_LOAD;
		attempt.err = objects_load(object, shared);
	}
	if (!attempt.err) {
		attempt.step = STEP_REGISTER;
		attempt.err = register_map(w, map, linked);
	}
	if (attempt.err) {
		snprintf(attempt.complaint, sizeof(attempt.complaint), "%s", objects_complaint());
		/* The maps that it brought go with it. */
		shared->count = shared_before;
		objects_close(object);
		return attempt;
	}
	w->object = object;
	w->map = bpf_map__fd(map);
	return attempt;
}

/* Tries the ways of loading one variant; `best` becomes the attempt that came farthest. */
static void register_one(struct wrapper *w, const struct variant *variant, struct shared_maps *shared,
			 struct attempt *best, char *reason, size_t size)
{
	/* Newest first. 6.4 brought links, 6.12 had app_limited writable. */
	static const struct {
		bool linked, app_limited;
	} ways[] = { { true, true }, { true, false }, { false, false } };

	for (size_t i = 0; i < AC_ARRAY_SIZE(ways); i++) {
		struct attempt attempt = try(w, variant, ways[i].linked, ways[i].app_limited, shared);

		if (!attempt.err) {
			snprintf(reason, size, "variant for kernels %s%s%s", variant->kernels,
				 ways[i].linked ? ", linked" : ", without link",
				 ways[i].app_limited ? "" : ", app_limited not writable");
			return;
		}
		if (attempt.step >= best->step) {
			*best = attempt;
			snprintf(reason, size, "%s: %.110s, with libbpf %u.%u", steps[attempt.step].name,
				 attempt.complaint[0] ? attempt.complaint : strerror(-attempt.err),
				 libbpf_major_version(), libbpf_minor_version());
		}
		/*
		 * A kernel function is missing or another: no way of loading helps, and each try takes a second in a
		 * slow guest. Nor does one where the name is taken.
		 */
		if (strstr(attempt.complaint, "ksym") || attempt.err == -EEXIST)
			return;
	}
}

/* What a socket gets that does not ask: where that has no wrapper, nearly nothing on this machine can be managed. */
static void note_default(uint64_t set, struct features *features)
{
	/* Only what has a wrapper here is advised. */
	static const char *const mends[AC_WRAPPER_MAX] = {
		/* clang-format off */
		[AC_WRAPPER_NONE] = "one of the wrappers above",
#define X(id, kernel, wrapper) \
	[AC_WRAPPER_##id] = "`sysctl net.ipv4.tcp_congestion_control=" kernel "`, and the same in each namespace",
		AC_WRAPPERS(X)
#undef X
		/* clang-format on */
	};
	char name[16] = ""; /* TCP_CA_NAME_MAX */
	FILE *file = fopen("/proc/sys/net/ipv4/tcp_congestion_control", "re");
	int there = AC_WRAPPER_NONE;
	bool works = false;

	if (!file || fscanf(file, "%15s", name) != 1)
		snprintf(name, sizeof(name), "not readable");
	for (int w = AC_WRAPPER_MAX - 1; w > AC_WRAPPER_NONE; w--) {
		if (!(set & 1ull << w))
			continue;
		there = w;
		works |= !strcmp(name, kernel_names[w]);
	}
	if (file)
		fclose(file);
	features_note(features, "default algorithm", works,
		      "flows that do not choose another are only observed, counted as no_wrapper", mends[there], "%s",
		      name);
}

uint64_t wrappers_register(struct wrapper wrappers[AC_WRAPPER_MAX], struct shared_maps *shared,
			   struct features *features)
{
	uint64_t set = 0;

	for (int w = AC_WRAPPER_NONE + 1; w < AC_WRAPPER_MAX; w++) {
		char reason[sizeof(features->list[0].reason)] = "no variant";
		struct attempt best = { .step = STEP_OPEN };
		const char *mend;

		wrappers[w] = (struct wrapper){ .link = -1, .map = -1 };
		for (size_t v = 0; v < AC_ARRAY_SIZE(variants) && !wrappers[w].object; v++)
			if ((int)variants[v].wrapper == w)
				register_one(&wrappers[w], &variants[v], shared, &best, reason, sizeof(reason));
		if (wrappers[w].object)
			set |= 1ull << w;
		mend = steps[best.step].mend;
		features_note(features, wrapper_texts[w].feature, wrappers[w].object,
			      "flows with this congestion control are only observed",
			      mend ? mend : wrapper_texts[w].mend, "%s", reason);
	}
	note_default(set, features);
	return set;
}

void wrappers_unregister(struct wrapper wrappers[AC_WRAPPER_MAX])
{
	__u32 zero = 0;

	for (int w = AC_WRAPPER_NONE + 1; w < AC_WRAPPER_MAX; w++) {
		if (!wrappers[w].object)
			continue;
		if (wrappers[w].link >= 0)
			close(wrappers[w].link);
		else
			bpf_map_delete_elem(wrappers[w].map, &zero);
		objects_close(wrappers[w].object);
		wrappers[w].object = NULL;
	}
}
