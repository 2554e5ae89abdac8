/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "telemetry/explanation.h"

#include <autocork/flow.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "lib/json.h"
#include "lib/units.h"

#define SEGMENT_BYTES 1448 /* Ethernet with time stamps: where the event does not know */

static void count(FILE *out, json_int_t number, const char *one, const char *many)
{
	fprintf(out, "%" PRIdMAX " %s", (intmax_t)number, number == 1 ? one : many);
}

static const char *reason_text(const char *name)
{
	static const struct {
		const char *name, *text;
	} reasons[] = {
#define X(id, name, text) { name, text },
		AC_REASONS(X)
#undef X
	};

	for (size_t i = 0; i < AC_ARRAY_SIZE(reasons); i++)
		if (!strcmp(reasons[i].name, name))
			return reasons[i].text;
	return "for a reason that this version does not know";
}

static void print_release(FILE *out, const json_t *event)
{
	json_int_t writes = json_number(event, "writes"), held = json_number(event, "held");
	const char *reason = json_member_text(event, "reason");
	struct units delay;

	count(out, writes, "write", "writes");
	fprintf(out, "; %s%" PRIdMAX " held, %s", held == writes && held > 1 ? "all " : "", (intmax_t)held,
		units_delay(&delay, json_number(event, "hold_us")));
	fprintf(out, ", then sent together: %s (%s)", reason_text(reason), reason);
}

static void print_miss(FILE *out, const json_t *event)
{
	const char *reason = json_member_text(event, "reason");
	struct units delay;

	count(out, json_number(event, "writes"), "write", "writes");
	fprintf(out, "; held too long, %s, as none followed: %s (%s)",
		units_delay(&delay, json_number(event, "hold_us")), reason_text(reason), reason);
}

/* Why the last part waited, and which part that was. */
static void print_wait(FILE *out, const json_t *event)
{
	json_int_t writes = json_number(event, "writes"), tail = json_number(event, "tail_us");
	bool head = json_number(event, "head_bytes") && writes > 1, two = json_number(event, "segments") == 2;
	struct units delay;

	if (head)
		fputs("the first left at once, ", out);
	if (head && two)
		fprintf(out, "%" PRIdMAX, (intmax_t)writes - 1);
	else
		fputs(writes == 1 ? "its last part" : "the last part", out);
	fprintf(out, " waited %s for %s", units_delay(&delay, tail),
		json_is_true(json_object_get(event, "tail_corked")) ? "the program to uncork (TCP_CORK)" :
								      "an ACK (Nagle)");
}

static void print_response(FILE *out, const json_t *event)
{
	json_int_t writes = json_number(event, "writes"), segments = json_number(event, "segments");
	json_int_t bytes = json_number(event, "bytes"), mss = json_number(event, "mss") ?: SEGMENT_BYTES;
	json_int_t needed = (bytes + mss - 1) / mss;
	struct units span;

	count(out, writes, "write", "writes");
	fputs("; ", out);
	if (json_number(event, "tail_us") > 0) {
		print_wait(out, event);
		return;
	}
	/* Parts of it were unsent at the read: the segments are not its own. */
	if (json_is_true(json_object_get(event, "overlaps"))) {
		fprintf(out, "%" PRIdMAX " bytes, of which some were still unsent when the program read again",
			(intmax_t)bytes);
		return;
	}
	count(out, segments, "packet", "packets");
	if (segments > needed)
		fprintf(out, " where %" PRIdMAX " would do", (intmax_t)needed);
	fprintf(out, ", without waiting%s%s", writes > 1 ? ", within " : "",
		writes > 1 ? units_delay(&span, json_number(event, "span_us")) : "");
}

void explanation_print(FILE *out, const json_t *event)
{
	const char *type = json_member_text(event, "type");

	if (!strcmp(type, "release"))
		print_release(out, event);
	else if (!strcmp(type, "miss"))
		print_miss(out, event);
	else if (!strcmp(type, "response"))
		print_response(out, event);
	else if (!strcmp(type, "first_hold"))
		fputs("a write of this connection was held for the first time", out);
	else if (!strcmp(type, "lost"))
		fprintf(out, "%" PRIdMAX " events were lost: narrow the filter", (intmax_t)json_number(event, "count"));
	else
		fputs(type, out);
}
