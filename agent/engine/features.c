/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "engine/features.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/log.h"

void features_note(struct features *features, const char *name, bool works, const char *without, const char *mend,
		   const char *format, ...)
{
	struct engine_feature *feature;
	va_list args;

	if (features->count == AC_ARRAY_SIZE(features->list))
		return;
	feature = &features->list[features->count++];
	*feature = (struct engine_feature){ .name = name, .works = works, .without = without, .mend = mend };
	va_start(args, format);
	vsnprintf(feature->reason, sizeof(feature->reason), format, args);
	va_end(args);
	if (works)
		log_debug("%s: %s", name, feature->reason);
	else
		log_info("%s: not available: %s%s%s", name, feature->reason, without ? "; without it " : "",
			 without ? without : "");
}

void features_note_unseen(struct features *features, unsigned int connections)
{
	for (size_t i = 0; connections && i < features->count; i++) {
		struct engine_feature *feature = &features->list[i];

		if (strcmp(feature->name, "write hook"))
			continue;
		feature->works = false;
		snprintf(feature->reason, sizeof(feature->reason), "%u connections wrote and it saw nothing of it",
			 connections);
		feature->without = "flows that write in such a way are never managed, and their writes are not counted";
		feature->mend = "a report of this kernel's version and of the program's way of writing";
	}
}
