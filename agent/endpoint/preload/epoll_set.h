/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The epoll sets' part that is ours: which files are in which set, and which may have something to say. */
#pragma once
#include "endpoint/preload/descriptors.h"

/* All with the lock. */
void events_happened(struct file *file, uint32_t events); /* an edge: these became true, or true once more */
void events_forget(struct file *file);			  /* it leaves all sets, or the set loses all members */
uint32_t events_level(struct file *file);		  /* what poll() would say now */
void events_add_spill(struct file *listener);		  /* into the sets that the listener is in (spill.h) */
