/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "steer/renames.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/log.h"
#include "steer/pins.h"
#include "steer/steer_tables.h"

/* Number of the interface that the pins of this name belong to; 0 if it is not in this namespace, or there are none. */
static int owner_of(const char *root, const char *name)
{
	char path[PATH_MAX];
	struct fault fault;
	int control, index;

	if (pins_path(path, root, name, "steer_control", &fault))
		return 0;
	control = bpf_obj_get(path);
	if (control < 0)
		return 0;
	index = tables_owner(control);
	close(control);
	return index;
}

/*
 * Its program is attached to nothing any more: another interface has its number now. The kernel hands a number out
 * again where an interface had it that came from another namespace.
 */
static bool vanished(const char *root, const char *name)
{
	struct bpf_link_info info = { 0 };
	__u32 length = sizeof(info);
	char path[PATH_MAX];
	struct fault fault;
	bool gone;
	int link;

	if (pins_path(path, root, name, "link", &fault))
		return false;
	link = bpf_obj_get(path);
	if (link < 0)
		return false;
	gone = !bpf_obj_get_info_by_fd(link, &info, &length) && !info.xdp.ifindex;
	close(link);
	return gone;
}

struct moves {
	char root[PATH_MAX];
	char before[256][IF_NAMESIZE]; /* as many as pins_each() visits */
	int index[256];
	size_t count;
};

static bool put(const char *root, const char *from, const char *to)
{
	char old[PATH_MAX], new[PATH_MAX];
	struct fault fault;

	return !pins_path(old, root, from, NULL, &fault) && !pins_path(new, root, to, NULL, &fault) &&
	       !rename(old, new);
}

/* A name that no interface has: ":7" in the bpffs. */
static void pass_name(char name[IF_NAMESIZE], int index)
{
	snprintf(name, IF_NAMESIZE, ".%d", index);
}

static int look(const char *interface, void *context)
{
	struct moves *moves = context;
	char now[IF_NAMESIZE], aside[IF_NAMESIZE];
	int index = owner_of(moves->root, interface);

	if (!index || !if_indextoname(index, now) || !strcmp(now, interface) || vanished(moves->root, interface))
		return 0;
	/* Aside first: two interfaces may have exchanged their names. */
	pass_name(aside, index);
	if (strcmp(interface, aside) && !put(moves->root, interface, aside))
		return 0;
	strcpy(moves->before[moves->count], interface);
	moves->index[moves->count++] = index;
	return 0;
}

void names_follow(void)
{
	static struct moves moves;
	char now[IF_NAMESIZE], aside[IF_NAMESIZE], path[PATH_MAX], left[IF_NAMESIZE];
	struct fault fault;
	int other;

	moves.count = 0;
	if (pins_root(moves.root, false, &fault) || !*moves.root)
		return;
	pins_each(look, &moves, &fault);
	for (size_t i = 0; i < moves.count; i++) {
		pass_name(aside, moves.index[i]);
		if (!if_indextoname(moves.index[i], now))
			continue;
		/* What an interface that is gone left under this name. */
		other = owner_of(moves.root, now);
		if (other && !if_indextoname(other, left))
			pins_remove(moves.root, now);
		if (put(moves.root, aside, now))
			log_info("%s: is called %s now: its steering goes on under that name", moves.before[i], now);
		else if (!pins_path(path, moves.root, now, NULL, &fault))
			log_warning("%s: is called %s now, but its steering cannot be moved to %s: %s", moves.before[i],
				    now, path, strerror(errno));
	}
}
