/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "lib/json.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

/* Length of the well-formed UTF-8 sequence at p (RFC 3629), 0 if there is none or if it is a control character. */
static size_t utf8_length(const unsigned char *p, size_t left)
{
	static const struct {
		unsigned char first, last; /* range of the first byte */
		unsigned char low, high;   /* range of the second: excludes overlong forms, surrogates and > U+10FFFF */
		size_t length;
	} forms[] = {
		{ 0xc3, 0xdf, 0x80, 0xbf, 2 }, { 0xe0, 0xe0, 0xa0, 0xbf, 3 }, { 0xe1, 0xec, 0x80, 0xbf, 3 },
		{ 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 }, { 0xf0, 0xf0, 0x90, 0xbf, 4 },
		{ 0xf1, 0xf3, 0x80, 0xbf, 4 }, { 0xf4, 0xf4, 0x80, 0x8f, 4 },
	};

	if (*p < 0x80)
		return *p >= 0x20 && *p != 0x7f;
	/* U+0080 … U+009F are the C1 controls, which terminals obey. */
	if (*p == 0xc2)
		return left >= 2 && p[1] >= 0xa0 && p[1] <= 0xbf ? 2 : 0;
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		if (*p < forms[i].first || *p > forms[i].last)
			continue;
		if (left < forms[i].length || p[1] < forms[i].low || p[1] > forms[i].high)
			return 0;
		for (size_t k = 2; k < forms[i].length; k++)
			if ((p[k] & 0xc0) != 0x80)
				return 0;
		return forms[i].length;
	}
	return 0;
}

json_t *json_text(const char *bytes, size_t max)
{
	const unsigned char *p = (const unsigned char *)bytes;
	size_t left = strnlen(bytes, max), used = 0;
	char *text = malloc(left * 4 + 1); /* every byte may become \xNN */
	json_t *value;

	if (!text)
		return NULL;
	while (left) {
		size_t length = utf8_length(p, left);

		if (length) {
			memcpy(text + used, p, length);
			used += length;
		} else {
			used += sprintf(text + used, "\\x%02x", *p);
			length = 1;
		}
		p += length;
		left -= length;
	}
	value = json_stringn(text, used);
	free(text);
	return value;
}

json_t *json_text_or_null(const char *text)
{
	return (text ? json_text(text, SIZE_MAX) : NULL) ?: json_null();
}

json_t *json_address(const uint8_t address[16])
{
	char text[INET6_ADDRSTRLEN];

	if (IN6_IS_ADDR_V4MAPPED((const struct in6_addr *)address))
		inet_ntop(AF_INET, address + 12, text, sizeof(text));
	else
		inet_ntop(AF_INET6, address, text, sizeof(text));
	return json_string(text);
}

json_t *json_fault(const struct fault *fault)
{
	return json_pack("{s{si so}}", "error", "exit_code", fault->exit_code, "message",
			 json_text(fault->text, sizeof(fault->text)));
}

bool json_is_fault(const json_t *value, struct fault *fault)
{
	const json_t *error = json_object_get(value, "error");

	if (!json_is_object(error))
		return false;
	fault_set(fault, json_number(error, "exit_code") ?: EXIT_FAILED, "%s", json_member_text(error, "message"));
	return true;
}

bool json_print(FILE *out, json_t *value)
{
	bool good = value && !json_dumpf(value, out, JSON_COMPACT | JSON_ENCODE_ANY) && fputc('\n', out) != EOF;

	json_decref(value);
	return good;
}

json_int_t json_number(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	return json_is_real(value) ? (json_int_t)json_real_value(value) : json_integer_value(value);
}

const char *json_member_text(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key)) ?: "";
}
