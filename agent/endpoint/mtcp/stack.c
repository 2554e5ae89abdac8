/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "endpoint/mtcp/stack.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <unistd.h>

#define LIBRARY "libautocork-endpoint.so"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct stack *unused;

int stack_find(const char *library, char *path, size_t size)
{
	static const char *const places[] = { "", "autocork/" };
	char folder[PATH_MAX];
	Dl_info own;

	if (!dladdr(&unused, &own) || !realpath(own.dli_fname, folder))
		return -1;
	strrchr(folder, '/')[1] = 0;
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		if (snprintf(path, size, "%s%s%s", folder, places[i], library) < (int)size && !access(path, R_OK))
			return 0;
	return -1;
}

static int open_library(void)
{
	char path[PATH_MAX];

	return stack_find(LIBRARY, path, sizeof(path)) ? -1 : open(path, O_RDONLY | O_CLOEXEC);
}

static int copy_library(void)
{
	int from = open_library(), copy = -1;
	ssize_t sent = -1;

	if (from >= 0)
		copy = memfd_create(LIBRARY, MFD_CLOEXEC);
	if (copy >= 0)
		while ((sent = sendfile(copy, from, NULL, 1 << 20)) > 0)
			;
	if (from >= 0)
		close(from);
	if (!sent)
		return copy;
	if (copy >= 0)
		close(copy);
	return -1;
}

/* The descriptor stays open: its number is the copy's name, and no two may have the same. */
static struct stack *load(char *text, size_t size)
{
	struct stack *stack = calloc(1, sizeof(*stack));
	int fd = copy_library();
	bool whole = true;
	char path[64];
	void *handle;

	if (!stack || fd < 0) {
		snprintf(text, size, LIBRARY ": %s: put it beside libautocork-mtcp.so (make install does)",
			 strerror(errno));
		goto fail;
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!handle) {
		snprintf(text, size, LIBRARY ": %s: /proc must be there, and vm.memfd_noexec below 2", dlerror());
		goto fail;
	}
#define X(type, name, arguments) \
	*(void **)&stack->name = dlsym(handle, #name); \
	whole = whole && stack->name;
	STACK_FUNCTIONS(X)
#undef X
	if (whole)
		return stack;
	snprintf(text, size, LIBRARY ": of another version than libautocork-mtcp.so: install both from one tree");
	dlclose(handle);
fail:
	free(stack);
	if (fd >= 0)
		close(fd);
	return NULL;
}

struct stack *stack_get(char *text, size_t size)
{
	struct stack *stack;

	pthread_mutex_lock(&lock);
	stack = unused;
	if (stack)
		unused = stack->next;
	else
		stack = load(text, size);
	pthread_mutex_unlock(&lock);
	return stack;
}

void stack_put(struct stack *stack)
{
	pthread_mutex_lock(&lock);
	stack->next = unused;
	unused = stack;
	pthread_mutex_unlock(&lock);
}
