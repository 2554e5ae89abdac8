/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "steer/pins.h"

#include <dirent.h>
#include <errno.h>
#include <linux/magic.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "lib/log.h"

static bool is_bpffs(const char *path)
{
	struct statfs stat;

	return !statfs(path, &stat) && stat.f_type == BPF_FS_MAGIC;
}

int pins_refused(const char *path, struct fault *fault)
{
	const char *next = "look at the path, and at `dmesg`";

	if (errno == EROFS)
		next = "give the service ReadWritePaths=" PINS_SYSTEM
		       "/autocork, as autocorkd.service does, or run this on "
		       "the machine itself";
	else if (errno == EPERM || errno == EACCES)
		next = "steering needs root";
	else if (errno == EMFILE || errno == ENFILE)
		next = PINS_MORE_FILES;
	return fault_set(fault, EXIT_FAILED, "%s: %s: %s", path, strerror(errno), next);
}

static int make_directory(const char *path, mode_t mode, struct fault *fault)
{
	if (mkdir(path, mode) && errno != EEXIST)
		return pins_refused(path, fault);
	return 0;
}

/*
 * `ip netns exec` and services with PrivateMounts= give a mount namespace that ends with them. Its root receives mounts
 * of the machine and passes none on ("master:" in proc(5)'s mountinfo); where that does not show, init's namespace may.
 */
static bool mounts_are_ours_alone(void)
{
	FILE *file = fopen("/proc/self/mountinfo", "re");
	struct stat own, init;
	char line[4096], point[2048], options[1024];
	bool receives = false;

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "%*s %*s %*s %*s %2047s %*s %1023[^-]", point, options) == 2 && !strcmp(point, "/"))
			receives = strstr(options, "master:");
	if (file)
		fclose(file);
	return receives ||
	       (!stat("/proc/self/ns/mnt", &own) && !stat("/proc/1/ns/mnt", &init) && own.st_ino != init.st_ino);
}

static int mount_private(struct fault *fault)
{
	if (mounts_are_ours_alone())
		return fault_set(fault, EXIT_FAILED,
				 "no bpffs is mounted in this mount namespace, and what is pinned in one of its own "
				 "would go with it: run `mount -t bpf bpf " PINS_SYSTEM "` on the machine; for another "
				 "network namespace use `nsenter --net=`, not `ip netns exec`");
	if (make_directory("/run/autocork", 0755, fault) || make_directory(PINS_PRIVATE, 0700, fault))
		return -1;
	if (mount("bpf", PINS_PRIVATE, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700"))
		return fault_set(fault, EXIT_FAILED,
				 "%s: mounting a bpffs failed: %s: run `mount -t bpf bpf " PINS_SYSTEM "` as root",
				 PINS_PRIVATE, strerror(errno));
	log_info("no bpffs at " PINS_SYSTEM ": mounted one at " PINS_PRIVATE " for steering");
	return 0;
}

int pins_root(char path[PATH_MAX], bool create, struct fault *fault)
{
	/* The private one first: it was mounted when there was no other, and pins may be in it. */
	const char *bpffs = is_bpffs(PINS_PRIVATE) ? PINS_PRIVATE : is_bpffs(PINS_SYSTEM) ? PINS_SYSTEM : NULL;

	*path = 0;
	if (!bpffs && !create)
		return 0;
	if (!bpffs && mount_private(fault))
		return -1;
	snprintf(path, PATH_MAX, "%s/autocork", bpffs ?: PINS_PRIVATE);
	if (create && make_directory(path, 0700, fault))
		return -1;
	strcat(path, "/steer");
	return create ? make_directory(path, 0700, fault) : 0;
}

int pins_path(char path[PATH_MAX], const char *root, const char *interface, const char *name, struct fault *fault)
{
	/* bpffs refuses dots in names; "." and ".." must not get through either. An interface called eth0.5 becomes
	 * eth0:5, which the kernel allows in no interface's name. */
	char clean[IF_NAMESIZE];
	size_t length = strlen(interface);

	if (!length || length >= sizeof(clean) || strpbrk(interface, "/: \t\n"))
		return fault_set(fault, EXIT_USAGE,
				 "%s: not the name of an interface: at most %zu characters, no / and no space",
				 interface, sizeof(clean) - 1);
	for (size_t i = 0; i <= length; i++)
		clean[i] = interface[i] == '.' ? ':' : interface[i];
	snprintf(path, PATH_MAX, "%s/%s%s%s", root, clean, name ? "/" : "", name ?: "");
	return 0;
}

void pins_remove(const char *root, const char *interface)
{
	char path[PATH_MAX], link[PATH_MAX];
	struct dirent *entry;
	struct fault fault;
	DIR *directory;

	if (pins_path(path, root, interface, NULL, &fault) || pins_path(link, root, interface, "link", &fault))
		return;
	unlink(link);
	directory = opendir(path);
	if (!directory)
		return;
	while ((entry = readdir(directory)))
		unlinkat(dirfd(directory), entry->d_name, 0);
	closedir(directory);
	if (rmdir(path))
		log_warning("%s: %s", path, strerror(errno));
}

int pins_each(int (*visit)(const char *interface, void *context), void *context, struct fault *fault)
{
	char root[PATH_MAX], names[256][IF_NAMESIZE];
	struct dirent *entry;
	size_t count = 0;
	DIR *directory;
	char *colon;
	int stop = 0;

	if (pins_root(root, false, fault))
		return -1;
	directory = *root ? opendir(root) : NULL;
	if (!directory)
		return 0;
	while ((entry = readdir(directory)) && count < sizeof(names) / sizeof(names[0])) {
		if (entry->d_name[0] == '.' || strlen(entry->d_name) >= IF_NAMESIZE)
			continue;
		strcpy(names[count], entry->d_name);
		while ((colon = strchr(names[count], ':')))
			*colon = '.';
		count++;
	}
	closedir(directory);
	/* The visitor may remove the directory it is shown. */
	for (size_t i = 0; i < count && !stop; i++)
		stop = visit(names[i], context);
	return stop;
}
