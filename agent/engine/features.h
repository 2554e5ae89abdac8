/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What was tried on this kernel and how it went: for the log, `autocork doctor` and the metrics. */
#pragma once
#include "engine/engine.h"

struct features {
	struct engine_feature list[32];
	size_t count;
};

/* Notes the outcome; `without` and `mend` are static strings, NULL where they say nothing. Logged once, here. */
void features_note(struct features *features, const char *name, bool works, const char *without, const char *mend,
		   const char *format, ...) __attribute__((format(printf, 6, 7)));

/* Connections that wrote past a hook that is attached: it does not work, whatever it said when it was tried. */
void features_note_unseen(struct features *features, unsigned int connections);
