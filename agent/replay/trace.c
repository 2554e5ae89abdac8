/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Reads and writes recorded traces (replay/trace.h says what they look like). */
#include "replay/trace.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/array.h"

#define FIELDS_MAX 4
#define MAGIC "autocork-trace"

static const char letters[] = "owrpc"; /* order of enum trace_kind */

struct reader {
	const char *name;
	unsigned long line;
	struct trace *trace;
	struct fault *fault;
	bool headed;
};

#define reject(reader, format, ...) \
	fault_set((reader)->fault, EXIT_CONFIG, "%s:%lu: " format, (reader)->name, (reader)->line, ##__VA_ARGS__)

static bool parse_number(const char *text, uint64_t max, uint64_t *value)
{
	char *end;

	if (!isdigit((unsigned char)*text))
		return false;
	errno = 0;
	*value = strtoull(text, &end, 10);
	return !errno && !*end && *value <= max;
}

static int read_option(struct reader *reader, char *field)
{
	struct trace *trace = reader->trace;
	char *value = strchr(field, '=');
	uint64_t number;

	if (!value)
		return reject(reader, "'%.40s': a header option is NAME=VALUE", field);
	*value++ = '\0';
	if (!strcmp(field, "nodelay")) {
		if (!parse_number(value, 1, &number))
			return reject(reader, "nodelay=%.40s: 0 or 1 is allowed", value);
		trace->nodelay = number;
	} else if (!strcmp(field, "mss")) {
		if (!parse_number(value, TRACE_MSS_MAX, &number) || !number)
			return reject(reader, "mss=%.40s: 1 to 65535 is allowed", value);
		trace->mss = number;
	} else if (!strcmp(field, "rtt")) {
		if (!parse_number(value, TRACE_RTT_MAX, &number))
			return reject(reader, "rtt=%.40s: 0 to 10000000 microseconds is allowed", value);
		trace->rtt_us = number;
	} else {
		return reject(reader, "'%.40s': no such header option: nodelay, mss and rtt are known", field);
	}
	return 0;
}

static int read_header(struct reader *reader, char *text)
{
	char *save, *field = strtok_r(text, " \t", &save);
	uint64_t version;

	if (strcmp(field, MAGIC))
		return reject(reader, "not a trace: the first line must be '" MAGIC " %d'", TRACE_VERSION);
	field = strtok_r(NULL, " \t", &save);
	if (!field || !parse_number(field, UINT32_MAX, &version))
		return reject(reader, "a version must follow '" MAGIC "': this program reads version %d",
			      TRACE_VERSION);
	if (version != TRACE_VERSION)
		return reject(reader, "trace version %.10s: this program reads version %d", field, TRACE_VERSION);
	while ((field = strtok_r(NULL, " \t", &save)))
		if (read_option(reader, field))
			return -1;
	reader->headed = true;
	return 0;
}

bool trace_append(struct trace *trace, const struct trace_event *event)
{
	size_t at = trace->count;

	if (!array_room(&trace->events, trace->count, &trace->room, sizeof(*trace->events)))
		return false;
	for (; at && trace->events[at - 1].time_us > event->time_us; at--)
		trace->events[at] = trace->events[at - 1];
	trace->events[at] = *event;
	trace->count++;
	if (trace->flow_count <= event->flow)
		trace->flow_count = event->flow + 1;
	return true;
}

static int read_event(struct reader *reader, char *text)
{
	struct trace *trace = reader->trace;
	struct trace_event event = {};
	uint64_t time_us, bytes = 0, flow = 0;
	char *field[FIELDS_MAX], *save, *next;
	const char *letter;
	int count = 0;

	for (next = strtok_r(text, " \t", &save); next; next = strtok_r(NULL, " \t", &save)) {
		if (count == FIELDS_MAX)
			return reject(reader, "'%.40s': a line is TIME EVENT [BYTES [FLOW]]", next);
		field[count++] = next;
	}
	if (count < 2)
		return reject(reader, "'%.40s': a line is TIME EVENT [BYTES [FLOW]]", field[0]);
	if (!parse_number(field[0], TRACE_TIME_MAX, &time_us))
		return reject(reader, "'%.40s': the time is a whole number of microseconds", field[0]);
	if (trace->count && time_us < trace->events[trace->count - 1].time_us)
		return reject(reader, "'%.40s': the time goes back: sort the lines by time", field[0]);
	letter = strchr(letters, field[1][0]);
	if (!letter || field[1][1])
		return reject(reader, "'%.40s': the event is one of o, w, r, p and c", field[1]);
	if (count > 2 && !parse_number(field[2], TRACE_BYTES_MAX, &bytes))
		return reject(reader, "'%.40s': bytes are a whole number, at most %u", field[2], TRACE_BYTES_MAX);
	if (count > 3 && !parse_number(field[3], TRACE_FLOWS_MAX - 1, &flow))
		return reject(reader, "'%.40s': flows are whole numbers below %d", field[3], TRACE_FLOWS_MAX);
	if (trace->count == TRACE_EVENTS_MAX)
		return reject(reader, "more than %d events: cut the trace", TRACE_EVENTS_MAX);

	event.time_us = time_us;
	event.kind = letter - letters;
	event.bytes = bytes;
	event.flow = flow;
	return trace_append(trace, &event) ? 0 : reject(reader, "out of memory: use a shorter trace");
}

static int read_line(struct reader *reader, char *text, size_t length)
{
	if (memchr(text, '\0', length))
		return reject(reader, "a NUL byte: not a text file");
	text[strcspn(text, "#\r\n")] = '\0';
	text += strspn(text, " \t");
	if (!*text)
		return 0;
	return reader->headed ? read_event(reader, text) : read_header(reader, text);
}

int trace_read(FILE *in, const char *name, struct trace *trace, struct fault *fault)
{
	struct reader reader = { .name = name, .trace = trace, .fault = fault };
	char *text = NULL;
	size_t room = 0;
	ssize_t length;
	int err = 0;

	trace_init(trace);
	errno = 0;
	while (!err && (length = getline(&text, &room, in)) >= 0) {
		reader.line++;
		err = read_line(&reader, text, length);
		errno = 0;
	}
	if (!err && !feof(in))
		err = fault_set(fault, EXIT_FAILED, "%s: cannot read: %s: give the path of a trace, or - for stdin",
				name, strerror(errno));
	if (!err && !reader.headed) {
		reader.line++;
		err = reject(&reader, "empty: the first line must be '" MAGIC " %d'", TRACE_VERSION);
	}
	free(text);
	if (err)
		trace_free(trace);
	return err;
}

void trace_init(struct trace *trace)
{
	*trace = (struct trace){ .mss = 1448, .rtt_us = 100, .nodelay = true };
}

static void write_note(const char *note, FILE *out)
{
	while (*note) {
		size_t length = strcspn(note, "\n");

		fprintf(out, "# %.*s\n", (int)length, note);
		note += length + (note[length] == '\n');
	}
}

void trace_write(const struct trace *trace, const char *note, FILE *out)
{
	uint64_t start = trace->count ? trace->events[0].time_us : 0;

	fprintf(out, MAGIC " %d nodelay=%d mss=%u rtt=%u\n", TRACE_VERSION, trace->nodelay, trace->mss, trace->rtt_us);
	write_note(note, out);
	for (size_t i = 0; i < trace->count; i++) {
		const struct trace_event *event = &trace->events[i];

		fprintf(out, "%" PRIu64 " %c", event->time_us - start, letters[event->kind]);
		if (event->bytes || event->flow)
			fprintf(out, " %u", event->bytes);
		if (event->flow)
			fprintf(out, " %u", event->flow);
		putc('\n', out);
	}
}

void trace_free(struct trace *trace)
{
	free(trace->events);
	*trace = (struct trace){};
}
