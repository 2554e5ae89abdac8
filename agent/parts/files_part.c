/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "parts/files_part.h"

#include "lib/log.h"
#include "policy/dir_watch.h"

#define SETTLE_US 1000000

/* Who asks for a reload right after a change does not get a second one, and neither does a file that was only
 * touched. */
static void changed(void *context)
{
	struct daemon *daemon = context;
	struct fault fault;

	if (policy_fingerprint(daemon_policy_dirs(daemon)) == daemon->reload.fingerprint)
		return;
	log_info("the policy files changed");
	daemon_reload(daemon, &fault);
}

/* Without a watch the agent does all else as it should. */
int files_part_start(struct daemon *daemon, void **data, struct fault *fault)
{
	struct dir_watch *watch;
	const char *const *dirs = daemon_policy_dirs(daemon);

	if (dir_watch_new(&watch, daemon->loop, dirs, DIR_WATCH_FILES, SETTLE_US, changed, daemon, fault)) {
		log_warning("%s: until then, policy files are read again by 'autocork reload' only", fault->text);
		return 0;
	}
	*data = watch;
	changed(daemon); /* between loading and watching */
	return 0;
}

void files_part_stop(void *data)
{
	dir_watch_free(data);
}
