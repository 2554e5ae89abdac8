/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "endpoint/mtcp/config.h"

#include <errno.h>
#include <ini.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_BYTES 190 /* libinih's own bound is 200: a longer line would become two */

/* The keys that are numbers. */
static const struct number {
	const char *name;
	size_t at; /* in struct mtcp_conf */
	int most;  /* 0: the number of CPUs */
	const char *unit;
} numbers[] = {
#define AT(member) offsetof(struct mtcp_conf, member)
	{ "num_cores", AT(num_cores), 0, "CPUs" },
	{ "max_concurrency", AT(max_concurrency), 1 << 20, "sockets" },
	{ "max_num_buffers", AT(max_num_buffers), 1 << 20, "connections" },
	{ "rcvbuf", AT(rcvbuf_size), CONFIG_BUFFER_MAX, "bytes" },
	{ "sndbuf", AT(sndbuf_size), CONFIG_BUFFER_MAX, "bytes" },
#undef AT
};
#define NUMBERS (sizeof(numbers) / sizeof(numbers[0]))

enum { KEY_IO = NUMBERS, KEY_PORT, KEY_DPDK_ARGS, KEYS };

struct reader {
	FILE *file;
	int cpus, line;
	struct config config;
	bool seen[KEYS];
	void (*warn)(void *context, const char *text);
	void *context;
	char text[CONFIG_TEXT]; /* the first error */
};

void config_default(struct config *config, int cpus)
{
	memset(config, 0, sizeof(*config));
	config->conf = (struct mtcp_conf){ .num_cores = cpus,
					   .max_concurrency = 10000,
					   .max_num_buffers = 10000,
					   .rcvbuf_size = 8192,
					   .sndbuf_size = 8192,
					   .tcp_timewait = 0,
					   .tcp_timeout = 30 };
}

static int most_of(const struct number *number, int cpus)
{
	return number->most ?: cpus;
}

static const int *value_of(const struct mtcp_conf *conf, const struct number *number)
{
	return (const int *)((const char *)conf + number->at);
}

void config_check(const struct mtcp_conf *conf, int cpus, char text[CONFIG_TEXT])
{
	*text = 0;
	for (size_t i = 0; i < NUMBERS && !*text; i++) {
		int value = *value_of(conf, &numbers[i]);

		if (value < 1 || value > most_of(&numbers[i], cpus))
			snprintf(text, CONFIG_TEXT, "%s = %d: not a number from 1 to %d (%s): change it",
				 numbers[i].name, value, most_of(&numbers[i], cpus), numbers[i].unit);
	}
}

static void fail(struct reader *reader, const char *key, const char *value, const char *reason)
{
	if (!*reader->text)
		snprintf(reader->text, CONFIG_TEXT, "%d: %.32s = %.32s: %s", reader->line, key, value, reason);
}

static void take_number(struct reader *reader, const struct number *number, const char *text)
{
	char *end, reason[96];
	long value;

	errno = 0;
	value = strtol(text, &end, 10);
	snprintf(reason, sizeof(reason), "not a number from 1 to %d (%s): change it", most_of(number, reader->cpus),
		 number->unit);
	if (errno || end == text || *end || value < 1 || value > most_of(number, reader->cpus))
		fail(reader, number->name, text, reason);
	else
		*(int *)((char *)&reader->config.conf + number->at) = value;
}

static void take_io(struct reader *reader, const char *value)
{
	reader->config.dpdk = !strcmp(value, "dpdk");
	if (!reader->config.dpdk && strcmp(value, "af_xdp"))
		fail(reader, "io", value, "not a way to the packets: write af_xdp or dpdk");
}

/* mTCP takes several names; an engine here has one queue of one interface. */
static void take_port(struct reader *reader, const char *value)
{
	if (strpbrk(value, " \t,"))
		fail(reader, "port", value, "one interface for all contexts: name one");
	else if (!*value || strlen(value) >= sizeof(reader->config.interface))
		fail(reader, "port", value, "not the name of an interface: write one of `ip link`");
	else
		strcpy(reader->config.interface, value);
}

static size_t key_of(const char *name)
{
	size_t i = 0;

	while (i < NUMBERS && strcmp(numbers[i].name, name))
		i++;
	if (i < NUMBERS)
		return i;
	return !strcmp(name, "io")	  ? KEY_IO :
	       !strcmp(name, "port")	  ? KEY_PORT :
	       !strcmp(name, "dpdk_args") ? KEY_DPDK_ARGS :
					    KEYS;
}

static int take_key(void *context, const char *section, const char *name, const char *value)
{
	struct reader *reader = context;
	size_t key = key_of(name);
	char text[CONFIG_TEXT];

	if (*section) {
		fail(reader, name, value, "the file has no [sections]: remove them");
	} else if (key == KEYS) {
		snprintf(text, sizeof(text), "%d: %.32s: not used by autocork: remove the line", reader->line, name);
		reader->warn(reader->context, text);
	} else if (reader->seen[key]) {
		fail(reader, name, value, "the key is there twice: keep one");
	} else {
		reader->seen[key] = true;
		if (key == KEY_IO)
			take_io(reader, value);
		else if (key == KEY_PORT)
			take_port(reader, value);
		else if (key == KEY_DPDK_ARGS)
			strcpy(reader->config.dpdk_args, value); /* a line is shorter */
		else
			take_number(reader, &numbers[key], value);
	}
	return 1;
}

/* For libinih: the line without its comment; it has no continued lines, and # begins a comment anywhere. */
static char *read_line(char *out, int size, void *context)
{
	struct reader *reader = context;
	char *line = NULL, *start;
	size_t room = 0;

	if (getline(&line, &room, reader->file) < 0) {
		free(line);
		return NULL;
	}
	reader->line++;
	line[strcspn(line, "#\n")] = 0;
	start = line + strspn(line, " \t\r");
	if (strlen(start) > LINE_MAX_BYTES || (int)strlen(start) >= size) {
		fail(reader, "the line", "...", "longer than 190 characters: shorten it");
		*start = 0;
	} else if (*start && *start != '[' && !strchr(start, '=')) {
		fail(reader, start, "", "no key and value: write KEY = VALUE");
		*start = 0;
	}
	strcpy(out, start);
	free(line);
	return out;
}

int config_read(FILE *file, struct config *config, int cpus, void (*warn)(void *context, const char *text),
		void *context, char text[CONFIG_TEXT])
{
	struct reader reader = { .file = file, .cpus = cpus, .config = *config, .warn = warn, .context = context };
	int bad = ini_parse_stream(read_line, &reader, take_key, &reader);

	if (bad > 0)
		fail(&reader, "the line", "", "it cannot be read: write KEY = VALUE");
	else if (bad < 0 || ferror(file))
		fail(&reader, "the file", "", "it cannot be read: check that it is a file");
	if (reader.config.dpdk && !*reader.config.interface)
		fail(&reader, "io", "dpdk", "it needs `port`: name the interface whose addresses the stack has");
	if (!reader.config.dpdk && *reader.config.dpdk_args)
		fail(&reader, "dpdk_args", reader.config.dpdk_args,
		     "it is for io = dpdk: write that, or remove the line");
	strcpy(text, reader.text);
	if (*reader.text)
		return -1;
	/* Without a word of its own, every socket may have buffers. */
	if (reader.seen[key_of("max_concurrency")] && !reader.seen[key_of("max_num_buffers")])
		reader.config.conf.max_num_buffers = reader.config.conf.max_concurrency;
	*config = reader.config;
	return 0;
}
