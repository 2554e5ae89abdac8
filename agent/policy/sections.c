/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Reads policy files with libinih and merges their sections. */
#include "policy/sections.h"

#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "lib/memory.h"

#define FILE_BYTES_MAX (16u << 20)
#define LINE_BYTES_MAX (256u << 10) /* holds a list of every other port */
#define NAME_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
#define NAME_LENGTH_MAX 32 /* libinih cuts headings at 49 characters without a word */

/*
 * libinih tells its handler of keys only: neither of headings, so that an empty or a repeated section would go
 * unnoticed, nor of more than the first line that it does not understand. All of that is seen here, where it asks for
 * its next line.
 */
struct reader {
	struct sections *sections;
	struct policy_errors *errors;
	const char *file;
	const char *next, *end;
	int line;		 /* number of the line handed out last */
	bool expects_key;	 /* that line must make libinih call the handler */
	struct section *section; /* NULL: before the first heading, or after a bad one */
	bool skip;		 /* keys belong to a heading that is wrong: one error is enough */
};

__attribute__((format(printf, 2, 3))) static void reader_error(struct reader *reader, const char *format, ...)
{
	va_list args;
	char *what = NULL;

	va_start(args, format);
	if (vasprintf(&what, format, args) < 0)
		what = NULL;
	va_end(args);
	policy_error_add(reader->errors, reader->file, reader->line, "%s", what ? what : format);
	free(what);
}

static struct section *section_get(struct sections *sections, enum policy_section kind, const char *title)
{
	const struct policy_section_kind *about = policy_section_kind(kind);
	struct section *section;

	HASH_FIND_STR(sections->by_title, title, section);
	if (section)
		return section;
	section = memory_zeroed(1, sizeof(*section));
	section->kind = kind;
	section->title = memory_string(title);
	section->values = memory_zeroed(1, about->size);
	section->places = memory_zeroed(about->key_count, sizeof(*section->places));
	policy_values_init(kind, section->values);
	HASH_ADD_KEYPTR(hh, sections->by_title, section->title, strlen(section->title), section);
	sections->policies += kind == POLICY_SECTION_POLICY;
	return section;
}

/* The section that "[TITLE]" opens, or NULL with an error. */
static struct section *section_open(struct reader *reader, const char *title)
{
	enum policy_section kind;
	struct section *section;
	size_t word = strcspn(title, " \t");
	char copy[sizeof(SECTION_POLICY) + NAME_LENGTH_MAX];
	const char *name = title + word + strspn(title + word, " \t"), *near;

	for (kind = 0; kind < POLICY_SECTION_MAX; kind++) {
		const char *known = policy_section_kind(kind)->name;

		if (strlen(known) == word && !strncmp(title, known, word))
			break;
	}
	if (kind == POLICY_SECTION_MAX || (kind != POLICY_SECTION_POLICY && *name)) {
		snprintf(copy, sizeof(copy), "%.*s", (int)word, title);
		near = policy_section_near(copy);
		reader_error(reader, "unknown section [%.60s]%s%s%s: allowed are [policy NAME], [agent] and [fastpath]",
			     title, near ? ", did you mean [" : "", near ? near : "", near ? "]?" : "");
		return NULL;
	}
	if (kind != POLICY_SECTION_POLICY) {
		section = section_get(reader->sections, kind, policy_section_kind(kind)->name);
	} else if (!*name || strlen(name) > NAME_LENGTH_MAX || name[strspn(name, NAME_CHARS)]) {
		reader_error(reader,
			     "bad policy name in [%.60s]: allowed are 1 to %d characters out of A-Z a-z 0-9 . _ -",
			     title, NAME_LENGTH_MAX);
		return NULL;
	} else {
		snprintf(copy, sizeof(copy), SECTION_POLICY "%s", name);
		section = section_get(reader->sections, kind, copy);
	}
	if (section->file == reader->file) {
		reader_error(reader, "duplicate section [%s] (first on line %d): use each name once per file",
			     section->title, section->line);
		return section;
	}
	/* A section counts as the file's that spoke of it last: move it to the end of the order. */
	HASH_DEL(reader->sections->by_title, section);
	HASH_ADD_KEYPTR(hh, reader->sections->by_title, section->title, strlen(section->title), section);
	section->file = reader->file;
	section->line = reader->line;
	return section;
}

static void read_heading(struct reader *reader, const char *text)
{
	const char *close = strchr(text, ']'), *rest;
	char title[128];
	size_t length;

	reader->section = NULL;
	reader->skip = true;
	if (!close) {
		reader_error(reader, "a heading without its ]: allowed are [policy NAME], [agent] and [fastpath]");
		return;
	}
	rest = close + 1 + strspn(close + 1, " \t\r\n");
	if (*rest && *rest != ';' && *rest != '#') {
		reader_error(reader, "text after a heading: allowed is a comment that starts with ;");
		return;
	}
	text += 1 + strspn(text + 1, " \t");
	length = close > text ? (size_t)(close - text) : 0;
	while (length && strchr(" \t", text[length - 1]))
		length--;
	snprintf(title, sizeof(title), "%.*s", (int)length, text);
	reader->section = section_open(reader, title);
	reader->skip = !reader->section;
}

/* The line before made libinih call nobody: it was no key. */
static void unread_key(struct reader *reader)
{
	if (reader->expects_key)
		reader_error(reader, "neither a heading nor a key: allowed are [SECTION], KEY = VALUE and comments "
				     "that start with ; or #");
	reader->expects_key = false;
}

/* An ini_reader in the manner of fgets(). */
static char *read_line(char *buffer, int size, void *stream)
{
	struct reader *reader = stream;
	const char *newline, *text;
	size_t length;

	unread_key(reader);
	if (reader->next == reader->end)
		return NULL;
	newline = memchr(reader->next, '\n', (size_t)(reader->end - reader->next));
	length = (size_t)((newline ? newline + 1 : reader->end) - reader->next);
	reader->line++;
	if (length >= (size_t)size || memchr(reader->next, '\0', length)) {
		reader_error(reader,
			     length >= (size_t)size ? "line too long: allowed are %u bytes" :
						      "a NUL byte: allowed is text in lines of at most %u bytes",
			     LINE_BYTES_MAX);
		strcpy(buffer, "\n");
		reader->next += length;
		return buffer;
	}
	memcpy(buffer, reader->next, length);
	buffer[length] = '\0';
	reader->next += length;

	text = buffer + strspn(buffer, " \t\r\n\v\f");
	if (*text == '[')
		read_heading(reader, text);
	else
		reader->expects_key = *text && *text != ';' && *text != '#';
	return buffer;
}

static int take_key(void *user, const char *title, const char *name, const char *value)
{
	struct reader *reader = user;
	struct section *section = reader->section;
	const struct policy_section_kind *kind;
	const struct policy_key *key;
	struct policy_place *place;
	char *reason;
	int index;

	reader->expects_key = false;
	if (!section) {
		if (!reader->skip)
			reader_error(reader,
				     "%.60s before any section: allowed are [policy NAME], [agent] and [fastpath]",
				     name);
		return 1;
	}
	kind = policy_section_kind(section->kind);
	index = policy_key_find(section->kind, name);
	if (index < 0) {
		const char *near = policy_key_near(section->kind, name);
		char *allowed = memory_string("");

		for (size_t i = 0; i < kind->key_count; i++) {
			char *longer = memory_format("%s%s%s", allowed, i ? ", " : "", kind->keys[i].name);

			free(allowed);
			allowed = longer;
		}
		reader_error(reader, "unknown key \"%.60s\"%s%s%s: allowed are %s", name, near ? ", did you mean " : "",
			     near ? near : "", near ? "?" : "", allowed);
		free(allowed);
		section->wrong = true;
		return 1;
	}
	key = &kind->keys[index];
	place = &section->places[index];
	if (place->file == reader->file) {
		reader_error(reader, "duplicate key %s (first on line %d): use each key once per section", key->name,
			     place->line);
		return 1;
	}
	reason = policy_key_set(key, section->values, *value ? value : NULL);
	if (reason) {
		reader_error(reader, "%s: %s: allowed: %s", key->name, reason, key->allowed);
		section->wrong = true;
	}
	free(reason);
	/* An empty value takes back what earlier files said. */
	*place = *value ? (struct policy_place){ reader->file, reader->line } : (struct policy_place){ 0 };
	return 1;
}

void sections_read(struct sections *sections, const char *name, const char *text, size_t length,
		   struct policy_errors *errors)
{
	struct reader reader = { .sections = sections, .errors = errors, .next = text, .end = text + length };

	sections->files = memory_room(sections->files, sections->file_count, sizeof(*sections->files));
	sections->texts = memory_room(sections->texts, sections->file_count, sizeof(*sections->texts));
	sections->files[sections->file_count] = memory_string(name);
	sections->texts[sections->file_count] = (struct policy_text){ memory_zeroed(length + 1, 1), length };
	memcpy(sections->texts[sections->file_count].bytes, text, length);
	reader.file = sections->files[sections->file_count++];

	/* A byte order mark is no part of the first line. */
	if (length >= 3 && !memcmp(text, "\xef\xbb\xbf", 3))
		reader.next += 3;
	/* Lists may be long, and an indented file must not have its second key taken for a continuation of the
	 * first. */
	ini_use_stack = false;
	ini_allow_realloc = false;
	ini_max_line = ini_initial_alloc = LINE_BYTES_MAX;
	ini_allow_multiline = false;
	if (ini_parse_stream(read_line, &reader, take_key, &reader) == -2)
		policy_error_add(errors, reader.file, 0, "out of memory: allowed are lines of at most %u bytes",
				 LINE_BYTES_MAX);
	unread_key(&reader);
}

/* Opening a device may do something (a watchdog starts, a tape rewinds), and a FIFO may wait: what it is is asked
 * before. */
static int open_file(const char *path, struct stat *status, struct policy_errors *errors)
{
	int place = open(path, O_PATH | O_CLOEXEC), fd = -1;
	char link[sizeof("/proc/self/fd/") + 10];

	if (place < 0 || fstat(place, status)) {
		policy_error_add(errors, path, 0, "cannot be read: %s: allowed is a readable file", strerror(errno));
	} else if (S_ISCHR(status->st_mode) && status->st_rdev == makedev(1, 3)) {
		status->st_size = 0; /* a link to /dev/null masks a namesake; it is not read */
		return place;
	} else if (!S_ISREG(status->st_mode)) {
		policy_error_add(errors, path, 0,
				 "not a file: allowed is a regular file, or a link to one or to /dev/null");
	} else {
		/* The same file, whatever the path leads to by now. O_NONBLOCK: a lease on it may make us wait. */
		snprintf(link, sizeof(link), "/proc/self/fd/%d", place);
		fd = open(link, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
		if (fd < 0)
			policy_error_add(errors, path, 0, "cannot be read: %s: allowed is a readable file",
					 strerror(errno));
	}
	if (place >= 0)
		close(place);
	return fd;
}

/* The file's text, or NULL with an error. */
static char *read_text(const char *path, size_t *length, struct policy_errors *errors)
{
	struct stat status;
	int fd = open_file(path, &status, errors);
	char *text = NULL;

	*length = 0;
	if (fd < 0)
		return NULL;
	if (status.st_size > FILE_BYTES_MAX) {
		policy_error_add(errors, path, 0, "too large: allowed are %u bytes", FILE_BYTES_MAX);
		goto out;
	}
	text = memory_zeroed((size_t)status.st_size, 1);
	while (*length < (size_t)status.st_size) {
		ssize_t got = read(fd, text + *length, (size_t)status.st_size - *length);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			policy_error_add(errors, path, 0, "cannot be read: %s: allowed is a readable file",
					 strerror(errno));
			free(text);
			text = NULL;
			break;
		}
		if (!got)
			break;
		*length += (size_t)got;
	}
out:
	close(fd);
	return text;
}

void sections_read_file(struct sections *sections, const char *path, struct policy_errors *errors)
{
	size_t length;
	char *text = read_text(path, &length, errors);

	if (text)
		sections_read(sections, path, text, length, errors);
	free(text);
}

/* FNV-1a */
static void mix(uint64_t *print, const char *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++)
		*print = (*print ^ (uint8_t)bytes[i]) * 0x100000001b3;
}

uint64_t policy_fingerprint(const char *const *dirs)
{
	struct policy_errors errors = { 0 };
	uint64_t print = 0xcbf29ce484222325;
	size_t count, length;
	char **files = policy_files_list(dirs, false, &count, &errors);

	for (size_t i = 0; i < count; i++) {
		char *text = read_text(files[i], &length, &errors);

		mix(&print, files[i], strlen(files[i]) + 1);
		mix(&print, (const char *)&length, sizeof(length));
		mix(&print, text, length);
		free(text);
		free(files[i]);
	}
	free(files);
	/* What could not be read, and why: it may be readable next time. */
	for (size_t i = 0; i < errors.count; i++)
		mix(&print, errors.list[i].what, strlen(errors.list[i].what) + 1);
	policy_errors_free(&errors);
	return print;
}

void sections_free(struct sections *sections)
{
	struct section *section, *next;

	HASH_ITER(hh, sections->by_title, section, next) {
		HASH_DEL(sections->by_title, section);
		if (section->values)
			policy_values_clear(section->kind, section->values);
		free(section->values);
		free(section->places);
		free(section->title);
		free(section);
	}
	for (size_t i = 0; i < sections->file_count; i++) {
		free(sections->files[i]);
		free(sections->texts[i].bytes);
	}
	free(sections->files);
	free(sections->texts);
	memset(sections, 0, sizeof(*sections));
}
