/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Types of keys that hold a list, its elements separated by commas. */
#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "lib/memory.h"
#include "policy/keys.h"
#include "policy/strings.h"

/* Calls take() with each element, trimmed; stops at the first reason. */
typedef char *list_take(const struct policy_key *key, const char *element, void *field);

static char *list_each(const struct policy_key *key, const char *text, void *field, list_take *take)
{
	char *copy = memory_string(text), *rest = copy, *element, *reason = NULL;

	while (!reason && (element = strsep(&rest, ","))) {
		size_t length;

		element += strspn(element, " \t");
		length = strlen(element);
		while (length && strchr(" \t", element[length - 1]))
			element[--length] = '\0';
		reason = length ? take(key, element, field) : memory_string("an element of the list is empty");
	}
	free(copy);
	return reason;
}

/* ------------------------------------------------------------------ numbers and ranges */

static bool range_number(const char *text, size_t length, double most, uint16_t *number)
{
	uint32_t value = 0;

	if (!length)
		return false;
	for (size_t i = 0; i < length; i++) {
		if (!isdigit((unsigned char)text[i]))
			return false;
		value = 10 * value + (uint32_t)(text[i] - '0');
		if (value > most)
			return false;
	}
	*number = (uint16_t)value;
	return true;
}

static char *ranges_take(const struct policy_key *key, const char *element, void *field)
{
	struct policy_ranges *ranges = field;
	size_t length = strcspn(element, "-");
	size_t first = length, last;
	struct policy_range range;

	while (first && strchr(" \t", element[first - 1]))
		first--;
	last = length + (element[length] == '-');
	last += strspn(element + last, " \t");
	if (!range_number(element, first, key->most, &range.first) || range.first < key->least)
		return memory_format("bad number in \"%s\"", element);
	range.last = range.first;
	if (element[length] && !range_number(element + last, strlen(element + last), key->most, &range.last))
		return memory_format("bad number in \"%s\"", element);
	if (range.last < range.first)
		return memory_format("range \"%s\" ends before it starts", element);
	ranges->list = memory_room(ranges->list, ranges->count, sizeof(range));
	ranges->list[ranges->count++] = range;
	return NULL;
}

static int range_order(const void *a, const void *b)
{
	const struct policy_range *x = a, *y = b;

	return x->first != y->first ? (x->first > y->first) - (x->first < y->first) :
				      (x->last > y->last) - (x->last < y->last);
}

static void range_print(const struct policy_range *range, FILE *out)
{
	if (range->first == range->last)
		fprintf(out, "%u", range->first);
	else
		fprintf(out, "%u-%u", range->first, range->last);
}

static char *range_text(const struct policy_range *range)
{
	return range->first == range->last ? memory_format("%u", range->first) :
					     memory_format("%u-%u", range->first, range->last);
}

static char *ranges_parse(const struct policy_key *key, const char *text, void *field)
{
	struct policy_ranges *ranges = field;
	char *reason;

	if (key->fallback && !strcmp(text, key->fallback))
		return NULL;
	reason = list_each(key, text, field, ranges_take);
	if (reason)
		return reason;
	qsort(ranges->list, ranges->count, sizeof(*ranges->list), range_order);
	for (size_t i = 1; i < ranges->count; i++) {
		if (ranges->list[i].first <= ranges->list[i - 1].last) {
			char *a = range_text(&ranges->list[i - 1]), *b = range_text(&ranges->list[i]);

			reason = memory_format("%s and %s overlap", a, b);
			free(a);
			free(b);
			return reason;
		}
	}
	return NULL;
}

static void ranges_print(const struct policy_key *key, const void *field, FILE *out)
{
	const struct policy_ranges *ranges = field;

	if (!ranges->count && key->fallback)
		fputs(key->fallback, out);
	for (size_t i = 0; i < ranges->count; i++) {
		fputs(i ? ", " : "", out);
		range_print(&ranges->list[i], out);
	}
}

static void ranges_clear(void *field)
{
	struct policy_ranges *ranges = field;

	free(ranges->list);
	memset(ranges, 0, sizeof(*ranges));
}

const struct policy_type policy_type_ranges = { sizeof(struct policy_ranges), ranges_parse, ranges_print,
						ranges_clear };

/* ------------------------------------------------------------------ words */

static char *strings_add(struct policy_strings *strings, const char *element)
{
	strings_append(strings, element);
	return NULL;
}

static int string_order(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Keeps the order of the file; looks for doubles in a sorted copy, since a list may be long. */
static char *strings_parse(const struct policy_key *key, const char *text, void *field, list_take *take)
{
	struct policy_strings *strings = field;
	char *reason = list_each(key, text, field, take), **sorted;

	if (reason || strings->count < 2)
		return reason;
	sorted = memory_zeroed(strings->count, sizeof(*sorted));
	memcpy(sorted, strings->list, strings->count * sizeof(*sorted));
	qsort(sorted, strings->count, sizeof(*sorted), string_order);
	for (size_t i = 1; !reason && i < strings->count; i++) {
		if (!strcmp(sorted[i - 1], sorted[i]))
			reason = memory_format("\"%s\" is listed twice", sorted[i]);
	}
	free(sorted);
	return reason;
}

static void strings_print(const struct policy_key *key, const void *field, FILE *out)
{
	const struct policy_strings *strings = field;

	for (size_t i = 0; i < strings->count; i++)
		fprintf(out, "%s%s", i ? ", " : "", strings->list[i]);
}

static void strings_clear(void *field)
{
	strings_free(field);
}

static bool printable(const char *text)
{
	for (; *text; text++) {
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			return false;
	}
	return true;
}

/* ac_glob_match() knows no escapes and takes no notice of a set that is left open: both must not get that far. */
static char *glob_reason(const char *pattern)
{
	if (!printable(pattern))
		return memory_string("a program's name has control characters");
	if (strlen(pattern) >= AC_COMM_LEN)
		return memory_format(
			"\"%s\" is longer than 15 characters, at which the kernel cuts names: write \"%.15s\"", pattern,
			pattern);
	for (const char *at = pattern; *at; at++) {
		if (*at != '[')
			continue;
		at += at[1] == '!' ? 2 : 1;
		for (bool first = true; *at != ']' || first; at++, first = false) {
			if (!*at)
				return memory_format("\"%s\" has a [ without its ]", pattern);
			if (*at == '-' && !first && at[1] && at[1] != ']' &&
			    (unsigned char)at[-1] > (unsigned char)at[1])
				return memory_format("the range %.3s in \"%s\" ends before it starts", at - 1, pattern);
		}
	}
	return NULL;
}

static char *globs_take(const struct policy_key *key, const char *element, void *field)
{
	char *reason = glob_reason(element);

	return reason ? reason : strings_add(field, element);
}

static char *globs_parse(const struct policy_key *key, const char *text, void *field)
{
	return strings_parse(key, text, field, globs_take);
}

const struct policy_type policy_type_globs = { sizeof(struct policy_strings), globs_parse, strings_print,
					       strings_clear };

static char *paths_take(const struct policy_key *key, const char *element, void *field)
{
	char path[4096];
	size_t length = strlen(element);

	if (element[0] != '/' || length >= sizeof(path) || !printable(element))
		return memory_format("\"%.100s\" is not a path", element);
	memcpy(path, element, length + 1);
	while (length > 1 && path[length - 1] == '/')
		path[--length] = '\0';
	if (strstr(path, "//") || strstr(path, "/../") || strstr(path, "/./"))
		return memory_format("\"%s\" is not a plain path", element);
	if ((length >= 3 && !strcmp(path + length - 3, "/..")) || (length >= 2 && !strcmp(path + length - 2, "/.")))
		return memory_format("\"%s\" is not a plain path", element);
	return strings_add(field, path);
}

static char *paths_parse(const struct policy_key *key, const char *text, void *field)
{
	return strings_parse(key, text, field, paths_take);
}

const struct policy_type policy_type_paths = { sizeof(struct policy_strings), paths_parse, strings_print,
					       strings_clear };

/* Names of Kubernetes objects, and what patterns of them are made of. */
#define POD_CHARS "abcdefghijklmnopqrstuvwxyz0123456789.-*?[]!"

static char *pods_take(const struct policy_key *key, const char *element, void *field)
{
	size_t length = strspn(element, POD_CHARS);

	if (!length || element[length] != '/' || !element[length + 1] ||
	    element[length + 1 + strspn(element + length + 1, POD_CHARS)])
		return memory_format("\"%.100s\" is not NAMESPACE/NAME", element);
	return strings_add(field, element);
}

static char *pods_parse(const struct policy_key *key, const char *text, void *field)
{
	return strings_parse(key, text, field, pods_take);
}

const struct policy_type policy_type_pods = { sizeof(struct policy_strings), pods_parse, strings_print, strings_clear };

static char *interfaces_take(const struct policy_key *key, const char *element, void *field)
{
	if (!policy_interface_valid(element))
		return memory_format("\"%s\" cannot be the name of an interface", element);
	return strings_add(field, element);
}

static char *interfaces_parse(const struct policy_key *key, const char *text, void *field)
{
	return strings_parse(key, text, field, interfaces_take);
}

const struct policy_type policy_type_interfaces = { sizeof(struct policy_strings), interfaces_parse, strings_print,
						    strings_clear };

/* ------------------------------------------------------------------ networks */

#define V4_BITS 96 /* ::ffff:0:0/96 holds IPv4 */

static bool peer_is_v4(const struct policy_peer *peer)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

	return peer->bits >= V4_BITS && !memcmp(peer->address, mapped, sizeof(mapped));
}

static void peer_print(const struct policy_peer *peer, FILE *out)
{
	char text[INET6_ADDRSTRLEN];
	bool v4 = peer_is_v4(peer);

	inet_ntop(v4 ? AF_INET : AF_INET6, peer->address + (v4 ? 12 : 0), text, sizeof(text));
	fputs(text, out);
	if (peer->bits != 128)
		fprintf(out, "/%d", peer->bits - (v4 ? V4_BITS : 0));
}

static char *peer_text(const struct policy_peer *peer)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return memory_string("?");
	peer_print(peer, out);
	fclose(out);
	return text ? text : memory_string("?");
}

static void peer_mask(struct policy_peer *peer)
{
	for (unsigned int i = 0; i < 128; i++) {
		if (i >= peer->bits)
			peer->address[i / 8] &= (uint8_t) ~(0x80 >> i % 8);
	}
}

static char *peers_take(const struct policy_key *key, const char *element, void *field)
{
	struct policy_peers *peers = field;
	struct policy_peer peer = { .bits = 128 }, masked;
	size_t length = strcspn(element, "/");
	char address[INET6_ADDRSTRLEN];
	bool v4 = !memchr(element, ':', length);
	uint16_t bits;

	if (length >= sizeof(address))
		return memory_format("\"%.100s\" is not an address", element);
	memcpy(address, element, length);
	address[length] = '\0';
	if (inet_pton(v4 ? AF_INET : AF_INET6, address, peer.address + (v4 ? 12 : 0)) != 1)
		return memory_format("\"%s\" is not an address", address);
	if (v4)
		peer.address[10] = peer.address[11] = 0xff;
	if (element[length]) {
		const char *prefix = element + length + 1;

		if (!range_number(prefix, strlen(prefix), v4 ? 32 : 128, &bits))
			return memory_format("\"%s\" has no prefix length from 0 to %d", element, v4 ? 32 : 128);
		peer.bits = (uint8_t)(bits + (v4 ? V4_BITS : 0));
	}
	masked = peer;
	peer_mask(&masked);
	if (memcmp(&masked, &peer, sizeof(peer))) {
		char *network = peer_text(&masked), *reason;

		reason = memory_format("\"%s\" has bits set behind its prefix: write %s", element, network);
		free(network);
		return reason;
	}
	peers->list = memory_room(peers->list, peers->count, sizeof(peer));
	peers->list[peers->count++] = peer;
	return NULL;
}

static int peer_order(const void *a, const void *b)
{
	const struct policy_peer *x = a, *y = b;
	int order = memcmp(x->address, y->address, sizeof(x->address));

	return order ? order : x->bits - y->bits;
}

static char *peers_parse(const struct policy_key *key, const char *text, void *field)
{
	struct policy_peers *peers = field;
	char *reason = list_each(key, text, field, peers_take);

	if (reason)
		return reason;
	/* Sorted by address, then width, a network that holds another one comes right before the first it holds. */
	qsort(peers->list, peers->count, sizeof(*peers->list), peer_order);
	for (size_t i = 1; i < peers->count; i++) {
		struct policy_peer outer = peers->list[i - 1], inner = peers->list[i];

		inner.bits = outer.bits;
		peer_mask(&inner);
		if (!memcmp(&inner, &outer, sizeof(inner))) {
			char *a = peer_text(&outer), *b = peer_text(&peers->list[i]);

			reason = memory_format("%s and %s overlap", a, b);
			free(a);
			free(b);
			return reason;
		}
	}
	return NULL;
}

static void peers_print(const struct policy_key *key, const void *field, FILE *out)
{
	const struct policy_peers *peers = field;

	for (size_t i = 0; i < peers->count; i++) {
		fputs(i ? ", " : "", out);
		peer_print(&peers->list[i], out);
	}
}

static void peers_clear(void *field)
{
	struct policy_peers *peers = field;

	free(peers->list);
	memset(peers, 0, sizeof(*peers));
}

const struct policy_type policy_type_peers = { sizeof(struct policy_peers), peers_parse, peers_print, peers_clear };
