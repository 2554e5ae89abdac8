/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Brings the steering program onto an interface and takes it off again. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <linux/magic.h>
#include <unistd.h>

#include "bpf/steer.skel.h"
#include "lib/log.h"
#include "steer/interface.h"
#include "steer/local.h"
#include "steer/pins.h"
#include "steer/steer.h"
#include "steer/steer_lock.h"
#include "steer/steer_tables.h"

/* Where an interface stands, from its pins. */
struct attached {
	char directory[PATH_MAX];
	bool tables;	  /* it has pins */
	int link;	  /* descriptor, or -1 */
	uint32_t program; /* id, of the link */
	uint32_t index;	  /* interface of the link; 0 = it vanished */
};

static int look(const char *root, const char *interface, struct attached *attached, struct fault *fault)
{
	char path[PATH_MAX];
	struct bpf_link_info info = { 0 };
	uint32_t length = sizeof(info);
	struct stat status;

	*attached = (struct attached){ .link = -1 };
	if (pins_path(attached->directory, root, interface, NULL, fault) ||
	    pins_path(path, root, interface, "link", fault))
		return -1;
	attached->tables = !stat(attached->directory, &status);
	attached->link = bpf_obj_get(path);
	if (attached->link < 0 && errno != ENOENT)
		return pins_refused(path, fault);
	if (attached->link >= 0 && !bpf_obj_get_info_by_fd(attached->link, &info, &length)) {
		attached->program = info.prog_id;
		attached->index = info.xdp.ifindex;
	}
	return 0;
}

static int refuse_foreign(const char *interface, int index, uint32_t own, struct fault *fault)
{
	struct interface_xdp xdp;
	char advice[INTERFACE_ADVICE_LEN];

	if (interface_xdp(index, &xdp, fault))
		return -1;
	if (!xdp.program || xdp.program == own)
		return 0;
	interface_xdp_advice(interface, &xdp, advice);
	if (!strcmp(xdp.name, "xsk_def_prog"))
		return fault_set(
			fault, EXIT_FAILED,
			"%s: an AF_XDP program attached its own default XDP program (id %u, \"%s\", %s): stop it, run "
			"%s if the program stays, then attach steering first",
			interface, xdp.program, xdp.name, xdp.mode, advice);
	return fault_set(
		fault, EXIT_FAILED,
		"%s: another XDP program is attached (id %u, \"%s\", %s) and will not be replaced: remove it with what "
		"attached it, or with %s",
		interface, xdp.program, xdp.name, xdp.mode, advice);
}

/* libbpf's words one level lower: what they mean for the user is said by the fault. */
static int log_libbpf(enum libbpf_print_level level, const char *format, va_list arguments)
{
	char text[1024];

	vsnprintf(text, sizeof(text), format, arguments);
	text[strcspn(text, "\n")] = 0;
	log_write(level == LIBBPF_WARN ? LOG_LEVEL_INFO : LOG_LEVEL_DEBUG, "%s", text);
	return 0;
}

static struct steer_bpf *load(const char *interface, int index, const char *directory, struct fault *fault)
{
	LIBBPF_OPTS(bpf_object_open_opts, options, .pin_root_path = directory);
	libbpf_print_fn_t before = libbpf_set_print(log_libbpf);
	struct steer_bpf *steer = steer_bpf__open_opts(&options);
	int error = steer ? steer_bpf__load(steer) : -errno;
	bool files;

	libbpf_set_print(before);
	if (!error && tables_claim(bpf_map__fd(steer->maps.steer_control), index, bpf_map__fd(steer->maps.xsks_map)))
		error = -errno;
	if (!error)
		return steer;
	steer_bpf__destroy(steer);
	files = error == -EMFILE || error == -ENFILE;
	if (error == -EPERM || error == -EACCES)
		fault_set(fault, EXIT_FAILED,
			  "%s: loading the steering program failed: %s: run as root, or with CAP_BPF, "
			  "CAP_NET_ADMIN and CAP_PERFMON",
			  interface, strerror(-error));
	else if (error == -EINVAL)
		fault_set(fault, EXIT_FAILED,
			  "%s: loading the steering program failed: the tables pinned at %s are of another version, or "
			  "the kernel is too old: `autocork steer detach %s`, then attach again",
			  interface, directory, interface);
	else
		fault_set(fault, error == -ENOMEM || files ? EXIT_FAILED : EXIT_UNSUPPORTED,
			  "%s: loading the steering program failed: %s: %s", interface, strerror(-error),
			  files ? PINS_MORE_FILES : "see the lines above");
	return NULL;
}

/* Descriptor of the new link, or a negative errno. */
static int create_link(int program, int index, enum steer_attach_mode mode)
{
	LIBBPF_OPTS(bpf_link_create_opts, options,
		    .flags = mode == STEER_ATTACH_NATIVE ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE);

	return bpf_link_create(program, index, BPF_XDP, &options);
}

static int attach_new(struct steer_bpf *steer, const char *interface, int index, enum steer_attach_mode mode,
		      struct fault *fault)
{
	int program = bpf_program__fd(steer->progs.xsk_def_prog), link;

	link = create_link(program, index, mode == STEER_ATTACH_GENERIC ? STEER_ATTACH_GENERIC : STEER_ATTACH_NATIVE);
	if (link < 0 && mode == STEER_ATTACH_AUTO && link != -EBUSY && link != -EEXIST && link != -EPERM &&
	    link != -ENODEV) {
		log_info("%s: native XDP is refused (%s): using generic XDP, which costs more per packet", interface,
			 strerror(-link));
		link = create_link(program, index, STEER_ATTACH_GENERIC);
	}
	if (link == -EBUSY || link == -EEXIST)
		return fault_set(fault, EXIT_FAILED, "%s: another XDP program was attached meanwhile: remove it first",
				 interface);
	if (link == -ENODEV)
		return fault_set(fault, EXIT_FAILED, "%s: the interface vanished: attach again when it is back",
				 interface);
	if (link == -ENOSPC)
		return fault_set(
			fault, EXIT_FAILED,
			"%s: the driver has too few queues for XDP (on veth: rx queues of this end >= tx queues of "
			"the peer): `ethtool -L`, or --mode generic",
			interface);
	if (link == -ERANGE)
		return fault_set(fault, EXIT_FAILED,
				 "%s: its MTU is too large for native XDP: lower it, or --mode generic", interface);
	if (link < 0)
		return fault_set(fault, EXIT_FAILED,
				 "%s: attaching the steering program failed: %s: try --mode generic", interface,
				 strerror(-link));
	return link;
}

static int pin(int fd, const char *root, const char *interface, const char *name, struct fault *fault)
{
	char path[PATH_MAX];

	if (pins_path(path, root, interface, name, fault))
		return -1;
	unlink(path);
	if (bpf_obj_pin(fd, path))
		return fault_set(fault, EXIT_FAILED, "%s: pinning failed: %s: check that the bpffs is writable", path,
				 strerror(errno));
	return 0;
}

/* Puts the program of this version in the place of one that is attached; no packet sees neither. */
static int update(struct steer_bpf *steer, const struct attached *attached, const char *interface, struct fault *fault)
{
	int program = bpf_program__fd(steer->progs.xsk_def_prog), old = bpf_prog_get_fd_by_id(attached->program);
	struct bpf_prog_info new_info = { 0 }, old_info = { 0 };
	uint32_t new_length = sizeof(new_info), old_length = sizeof(old_info);
	int error = 0;

	if (old < 0 || bpf_obj_get_info_by_fd(old, &old_info, &old_length) ||
	    bpf_obj_get_info_by_fd(program, &new_info, &new_length) ||
	    memcmp(old_info.tag, new_info.tag, sizeof(new_info.tag))) {
		error = bpf_link_update(attached->link, program, NULL);
		if (!error)
			log_info("%s: the steering program was brought up to date", interface);
	}
	if (old >= 0)
		close(old);
	return error ? fault_set(fault, EXIT_FAILED,
				 "%s: bringing the steering program up to date failed: %s: the old one goes on",
				 interface, strerror(-error)) :
		       0;
}

/* Second names for the tables, where a program that DPDK loads by itself looks for them. */
static int share(struct steer_bpf *steer, const char *interface, struct fault *fault)
{
	struct bpf_map *map;
	struct statfs status;
	char path[PATH_MAX];

	if (statfs(PINS_SYSTEM, &status) || status.f_type != BPF_FS_MAGIC)
		if (mount("bpf", PINS_SYSTEM, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700"))
			return fault_set(fault, EXIT_FAILED,
					 PINS_SYSTEM ": mounting a bpffs failed: %s: mount one there as root",
					 strerror(errno));
	bpf_object__for_each_map(map, steer->obj) {
		snprintf(path, sizeof(path), PINS_SYSTEM "/%s", bpf_map__name(map));
		if (!access(path, F_OK))
			return fault_set(fault, EXIT_FAILED,
					 "%s: exists: xdp_prog= can share the tables of one interface only: "
					 "`autocork steer detach` the other, or remove the file",
					 path);
	}
	bpf_object__for_each_map(map, steer->obj) {
		snprintf(path, sizeof(path), PINS_SYSTEM "/%s", bpf_map__name(map));
		if (bpf_obj_pin(bpf_map__fd(map), path))
			return fault_set(fault, EXIT_FAILED, "%s: pinning failed: %s: check that the bpffs is writable",
					 path, strerror(errno));
	}
	return 0;
}

static bool same_map(int a, int b)
{
	struct bpf_map_info first = { 0 }, second = { 0 };
	uint32_t length = sizeof(first);

	return !bpf_obj_get_info_by_fd(a, &first, &length) && !bpf_obj_get_info_by_fd(b, &second, &length) &&
	       first.id == second.id;
}

/* Removes the second names again, if they are this interface's. */
static void unshare_tables(const struct steer_tables *tables)
{
	const struct {
		const char *path;
		int fd;
	} list[] = {
#define X(map) { PINS_SYSTEM "/" #map, tables->map },
		STEER_TABLES(X)
#undef X
	};

	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		int fd = bpf_obj_get(list[i].path);

		if (fd < 0)
			continue;
		if (same_map(fd, list[i].fd))
			unlink(list[i].path);
		close(fd);
	}
}

/* Has the losses counted: by a program on the kernel's tracepoint, which is pinned with the rest. */
static void watch_losses(struct steer_bpf *steer, const char *root, const char *interface)
{
	struct bpf_link *link = bpf_program__attach(steer->progs.steer_loss);
	struct fault fault;

	if (!link)
		log_warning("%s: counting what the hand-over loses is not possible: %s: steering works all the same",
			    interface, strerror(errno));
	else if (pin(bpf_link__fd(link), root, interface, "losses", &fault))
		log_warning("%s", fault.text);
	bpf_link__destroy(link);
}

/* With the lock held. */
static int refresh(const char *interface, int index, struct fault *fault)
{
	struct steer_tables tables;
	int result;

	if (tables_open(&tables, interface, fault))
		return -1;
	result = local_refresh(&tables, index, fault);
	tables_close(&tables);
	return result;
}

static int attach_locked(const char *interface, enum steer_attach_mode mode, struct fault *fault)
{
	char root[PATH_MAX];
	struct attached attached;
	struct steer_bpf *steer = NULL;
	struct steer_tables tables;
	int index = interface_index(interface, fault), link = -1, result = -1;
	bool fresh;

	if (index < 0 || steer_may_change(index, interface, fault) || pins_root(root, true, fault) ||
	    look(root, interface, &attached, fault))
		return -1;
	fresh = !attached.tables;
	/* Unreadable tables are load()'s to explain. */
	if (!fresh && tables_open(&tables, interface, fault)) {
		if (tables.elsewhere)
			goto out;
	} else if (!fresh) {
		tables_close(&tables);
	}
	if (attached.link >= 0 && attached.index != (uint32_t)index) {
		log_info("%s: the interface that was steered is gone, another has its name: starting afresh",
			 interface);
		close(attached.link);
		attached.link = -1;
		pins_remove(root, interface);
		fresh = true;
	}
	if (mode != STEER_ATTACH_SHARE && refuse_foreign(interface, index, attached.program, fault))
		goto out;
	if (mode == STEER_ATTACH_SHARE && attached.link >= 0) {
		fault_set(fault, EXIT_FAILED,
			  "%s: the steering program is attached: detach it before its tables are shared", interface);
		goto out;
	}
	if (mkdir(attached.directory, 0700) && errno != EEXIST) {
		pins_refused(attached.directory, fault);
		goto out;
	}
	steer = load(interface, index, attached.directory, fault);
	if (!steer || pin(bpf_program__fd(steer->progs.steer_presence), root, interface, "presence", fault) ||
	    refresh(interface, index, fault))
		goto out;
	watch_losses(steer, root, interface);
	if (mode == STEER_ATTACH_SHARE) {
		result = share(steer, interface, fault);
	} else if (attached.link >= 0) {
		result = update(steer, &attached, interface, fault);
	} else {
		link = attach_new(steer, interface, index, mode, fault);
		if (link >= 0)
			result = pin(link, root, interface, "link", fault);
	}
	if (interface_queues(interface) > STEER_QUEUES_MAX)
		log_warning("%s: has more than %d receive queues: packets of the others stay with the kernel",
			    interface, STEER_QUEUES_MAX);
out:
	if (link >= 0)
		close(link);
	if (attached.link >= 0)
		close(attached.link);
	steer_bpf__destroy(steer);
	if (result && fresh)
		pins_remove(root, interface);
	return result;
}

int steer_attach(const char *interface, enum steer_attach_mode mode, struct fault *fault)
{
	int lock = steer_lock(fault), result;

	if (lock < 0)
		return -1;
	result = attach_locked(interface, mode, fault);
	steer_unlock(lock);
	return result;
}

static int detach_locked(const char *interface, bool force, struct fault *fault)
{
	char root[PATH_MAX];
	struct attached attached;
	struct steer_tables tables;
	struct steer_load load = { 0 };
	struct fault unreadable;

	if (pins_root(root, false, fault) || (*root && look(root, interface, &attached, fault)))
		return -1;
	if (!*root || !attached.tables)
		return fault_set(fault, EXIT_FAILED,
				 "%s: nothing is steered there: `autocork steer status` lists what is", interface);
	if (attached.link >= 0)
		close(attached.link);
	/* Tables of another version cannot be counted, and must be removable. */
	if (!tables_open(&tables, interface, &unreadable)) {
		if (!tables_tidy(&tables, &load, &unreadable))
			free(load.rule_flows);
		if (!(load.flows + load.closing) || force || !attached.index)
			unshare_tables(&tables);
		tables_close(&tables);
	} else if (tables.elsewhere) {
		*fault = unreadable;
		return -1;
	}
	if (load.flows + load.closing && !force && attached.index)
		return fault_set(fault, EXIT_FAILED,
				 "%s: %u steered connections live and would be reset: take the rules away and wait, "
				 "or use --force",
				 interface, load.flows + load.closing);
	pins_remove(root, interface);
	return 0;
}

int steer_detach(const char *interface, bool force, struct fault *fault)
{
	int lock = steer_lock(fault), result;

	if (lock < 0)
		return -1;
	result = detach_locked(interface, force, fault);
	steer_unlock(lock);
	return result;
}

int steer_apply(const char *interface, const struct policy_set *set, struct fault *fault)
{
	unsigned int queues = interface_queues(interface);
	struct steer_tables tables;
	struct steer_plan plan;
	int lock, result = 0, index = interface_index(interface, fault);

	if (index < 0 || plan_make(&plan, set, interface, fault))
		return -1;
	for (size_t i = 0; i < plan.rule_count && !result; i++)
		if (plan.rules[i].queue_limit > queues)
			result = fault_set(fault, EXIT_CONFIG, "%s: %s has no receive queue %u: it has queues 0 to %u",
					   plan.rules[i].policy, interface, plan.rules[i].queue_limit - 1, queues - 1);
	lock = result ? -1 : steer_lock(fault);
	result = lock < 0 || steer_may_change(index, interface, fault) || tables_open(&tables, interface, fault) ? -1 :
														   0;
	if (!result) {
		result = local_refresh(&tables, index, fault) ?: tables_apply(&tables, &plan, fault);
		tables_close(&tables);
	}
	steer_unlock(lock);
	plan_free(&plan);
	return result;
}

int steer_refresh(const char *interface, struct fault *fault)
{
	int index = interface_index(interface, fault), lock = index < 0 ? -1 : steer_lock(fault), result;

	if (lock < 0)
		return -1;
	result = refresh(interface, index, fault);
	steer_unlock(lock);
	return result;
}

int steer_export(const char *path, struct fault *fault)
{
	size_t size;
	const void *bytes = steer_bpf__elf_bytes(&size);
	FILE *file = fopen(path, "w");
	bool bad = !file || fwrite(bytes, 1, size, file) != size;

	if (file && fclose(file))
		bad = true;
	return bad ? fault_set(fault, EXIT_FAILED,
			       "%s: writing failed: %s: name a file in a directory you may write to", path,
			       strerror(errno)) :
		     0;
}
