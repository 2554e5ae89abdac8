/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "endpoint/preload/embed.h"

#include <stdio.h>

#include "endpoint/preload/ask.h"
#include "endpoint/preload/instance.h"
#include "endpoint/preload/real.h"

SHIM void autocork_endpoint_setup(const struct endpoint_setup *setup)
{
	instance_lock();
	instance_setup(setup);
	instance_unlock();
}

SHIM int autocork_endpoint_serve(int listener, char *text, size_t size)
{
	struct file *file;
	int result = -1;

	instance_lock();
	file = files_find(listener);
	snprintf(text, size, "the descriptor is no listener");
	if (file && file->kind == FILE_LISTENER) {
		instance_serve(listener, file);
		result = file->socket ? 0 : -1;
		snprintf(text, size, "%s",
			 *ask_refusal() ?
				 ask_refusal() :
				 "the listener's address is none of the queue's interface: bind it to one, or to all");
	}
	instance_unlock();
	return result;
}

SHIM void autocork_endpoint_finish(void)
{
	instance_lock();
	instance_finish();
	instance_unlock();
}
