/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Tells when the policy directories change: inotify, in the agent's loop, once the changes have come to rest. */
#pragma once
#include <stdint.h>
#include <systemd/sd-event.h>

#include "lib/fault.h"

struct dir_watch;

/* Called from the event loop. policy_fingerprint() then says whether what the files say is another. */
typedef void dir_watch_changed(void *context);

/* Of what: entries that come and go, or their contents and attributes too. */
enum dir_watch_of { DIR_WATCH_ENTRIES, DIR_WATCH_FILES };

/*
 * dirs is ended by NULL and outlives the watch; they need not exist. A change counts when nothing has followed it for
 * settle_us, or when changes have gone on for ten times as long.
 */
int dir_watch_new(struct dir_watch **watch, sd_event *event, const char *const *dirs, enum dir_watch_of of,
		  uint64_t settle_us, dir_watch_changed *changed, void *context, struct fault *fault);
/* As if something had changed now. */
void dir_watch_look(struct dir_watch *watch);
/* Also from within changed(). */
void dir_watch_free(struct dir_watch *watch);
