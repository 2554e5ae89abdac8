/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "policy/inotify.h"

#include <string.h>
#include <unistd.h>

bool inotify_on_path(const char *path, const char *entry)
{
	size_t length = strlen(entry);

	for (const char *at = path; (at = strstr(at, entry)); at++) {
		if ((at == path || at[-1] == '/') && (at[length] == '/' || !at[length]))
			return true;
	}
	return false;
}

bool inotify_read(int fd, inotify_concerns *concerns, const void *context)
{
	char buffer[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
	bool concerned = false;
	ssize_t length;

	while ((length = read(fd, buffer, sizeof(buffer))) > 0) {
		for (char *at = buffer; at < buffer + length;) {
			const struct inotify_event *event = (const void *)at;

			concerned |= (event->mask & IN_Q_OVERFLOW) || concerns(context, event);
			at += sizeof(*event) + event->len;
		}
	}
	return concerned;
}

int inotify_fault(int error, struct fault *fault)
{
	return fault_set(fault, EXIT_FAILED, "inotify: %s: raise fs.inotify.max_user_instances and max_user_watches",
			 strerror(-error));
}
