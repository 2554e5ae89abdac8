/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "daemon/machine.h"

#include <autocork/control.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/lock.h"
#include "lib/log.h"
#include "lib/paths.h"

#define HEARTBEAT_MOST_US 5000000 /* what says that it is alive for longer is no heartbeat */
#define CLAIM_LOOKS 10
#define CLAIM_LOOK_US 20000

/* For how long, in us, this map lets an agent's programs hold on; 0 if it is not an agent's, or nobody beats. */
static uint64_t heartbeat_in(int map)
{
	struct bpf_map_info info = { 0 };
	uint32_t size = sizeof(info), zero = 0;
	struct ac_control *control;
	uint64_t until = 0, now;

	if (bpf_obj_get_info_by_fd(map, &info, &size) || strcmp(info.name, "control") || info.max_entries != 1 ||
	    info.type != BPF_MAP_TYPE_ARRAY || !(info.map_flags & BPF_F_MMAPABLE) || info.value_size < sizeof(until))
		return 0;
	/* Another version's record may have another size; the heartbeat is the first of it. */
	_Static_assert(!offsetof(struct ac_control, alive_until_us), "the heartbeat comes first");
	control = malloc(info.value_size > sizeof(*control) ? info.value_size : sizeof(*control));
	if (control && !bpf_map_lookup_elem(map, &zero, control))
		until = control->alive_until_us;
	free(control);
	now = monotonic_us();
	return until > now && until - now < HEARTBEAT_MOST_US ? until - now : 0;
}

/* The longest of all agents' heartbeats, and the map it is in. */
static uint64_t heartbeat_left(uint32_t *map)
{
	uint64_t longest = 0;

	for (uint32_t id = 0; !bpf_map_get_next_id(id, &id);) {
		int fd = bpf_map_get_fd_by_id(id);
		uint64_t left = fd < 0 ? 0 : heartbeat_in(fd);

		if (fd >= 0)
			close(fd);
		if (left > longest) {
			longest = left;
			*map = id;
		}
	}
	return longest;
}

/*
 * An agent with a /run of its own, in a container for instance, has its lock elsewhere; its heartbeat is in the kernel.
 * That of an agent which was killed is fresh for a moment too: only who goes on beating lives.
 */
static int refuse_second(struct fault *fault)
{
	uint32_t map = 0;
	uint64_t left = heartbeat_left(&map);

	if (!left)
		return 0;
	usleep(left);
	if (!heartbeat_left(&map))
		return 0;
	return fault_set(fault, EXIT_FAILED,
			 "machine: another autocorkd manages it, with a /run of its own: stop that one; "
			 "`bpftool map show id %u` names its process",
			 map);
}

/*
 * Agents that start at the same moment, each with a /run of its own, see no heartbeat yet. So each one makes a map of
 * this name before it looks for those of others: the kernel numbers maps in the order in which they are made, and the
 * first one has the machine. No unprivileged user can make a map of this type. It goes with the process.
 */
#define CLAIM "autocork_claim"
#define CLAIM_TYPE BPF_MAP_TYPE_QUEUE

static bool is_claim(uint32_t id)
{
	struct bpf_map_info info = { 0 };
	uint32_t size = sizeof(info);
	int fd = bpf_map_get_fd_by_id(id), error;

	if (fd < 0)
		return false;
	error = bpf_obj_get_info_by_fd(fd, &info, &size);
	close(fd);
	return !error && info.type == CLAIM_TYPE && !strcmp(info.name, CLAIM);
}

/* The claim that was made before this one, 0 if none. */
static uint32_t earlier_claim(int claim)
{
	struct bpf_map_info own = { 0 };
	uint32_t size = sizeof(own);

	if (bpf_obj_get_info_by_fd(claim, &own, &size))
		return 0;
	for (uint32_t id = 0; !bpf_map_get_next_id(id, &id) && id < own.id;)
		if (is_claim(id))
			return id;
	return 0;
}

static int refuse_later(int claim, struct fault *fault)
{
	uint32_t earlier = earlier_claim(claim);

	/* Looking at a map keeps it for a moment: of one that has just gone too. */
	for (int i = 0; i < CLAIM_LOOKS && earlier; i++) {
		usleep(CLAIM_LOOK_US);
		earlier = earlier_claim(claim);
	}
	if (!earlier)
		return 0;
	return fault_set(
		fault, EXIT_FAILED,
		"machine: another autocorkd has started before this one, with a /run of its own: stop that one; "
		"`bpftool map show id %u` names its process",
		earlier);
}

static int take_lock(struct fault *fault)
{
	char directory[] = AUTOCORK_LOCK;
	pid_t holder = 0;
	int fd;

	mkdir(dirname(directory), 0755);
	fd = lock_take(AUTOCORK_LOCK, &holder);
	if (fd >= 0)
		return fd;
	if (fd == -EWOULDBLOCK)
		return fault_set(fault, EXIT_FAILED,
				 AUTOCORK_LOCK
				 ": another autocorkd (pid %d) manages this machine, and a machine has one: "
				 "ask it (autocork status), or stop it first",
				 holder);
	/* A machine without /run, a minimal image for instance: there the claim must do. */
	log_warning(AUTOCORK_LOCK ": %s: another autocorkd is found in the kernel only", strerror(-fd));
	return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

int machine_take(struct machine *machine, struct fault *fault)
{
	machine->claim = -1;
	machine->lock = take_lock(fault);
	if (machine->lock < 0)
		return -1;
	/* Where the kernel refuses it the engine says so, with what can be done. */
	machine->claim = bpf_map_create(CLAIM_TYPE, CLAIM, 0, sizeof(uint32_t), 1, NULL);
	if (!(machine->claim >= 0 && refuse_later(machine->claim, fault)) && !refuse_second(fault))
		return 0;
	machine_release(machine);
	return -1;
}

void machine_release(struct machine *machine)
{
	struct stat ours, there;

	if (machine->claim >= 0)
		close(machine->claim);
	if (machine->lock < 0)
		return;
	if (!fstat(machine->lock, &ours) && !stat(AUTOCORK_LOCK, &there) && ours.st_ino == there.st_ino &&
	    ours.st_dev == there.st_dev)
		lock_release(AUTOCORK_LOCK, machine->lock);
	else
		close(machine->lock);
	machine->lock = machine->claim = -1;
}
