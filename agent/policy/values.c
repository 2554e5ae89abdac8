/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Types of keys that hold one value. */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "lib/memory.h"
#include "policy/keys.h"

_Static_assert(sizeof(((struct policy_config *)0)->interface) == IFNAMSIZ, "interface holds any name");

static char *name_parse(const struct policy_key *key, const char *text, void *field)
{
	for (uint8_t value = 0; key->names[value]; value++) {
		if (!strcmp(text, key->names[value])) {
			*(uint8_t *)field = value;
			return NULL;
		}
	}
	return memory_format("unknown word \"%s\"", text);
}

static void name_print(const struct policy_key *key, const void *field, FILE *out)
{
	fputs(key->names[*(const uint8_t *)field], out);
}

const struct policy_type policy_type_name = { sizeof(uint8_t), name_parse, name_print, NULL };

static char *bool_parse(const struct policy_key *key, const char *text, void *field)
{
	static const struct {
		const char *word;
		bool value;
	} words[] = { { "yes", true },	  { "no", false }, { "true", true },
		      { "false", false }, { "on", true },  { "off", false } };

	for (size_t i = 0; i < AC_ARRAY_SIZE(words); i++) {
		if (!strcasecmp(text, words[i].word)) {
			*(bool *)field = words[i].value;
			return NULL;
		}
	}
	return memory_format("\"%s\" is neither yes nor no", text);
}

static void bool_print(const struct policy_key *key, const void *field, FILE *out)
{
	fputs(*(const bool *)field ? "yes" : "no", out);
}

const struct policy_type policy_type_yesno = { sizeof(bool), bool_parse, bool_print, NULL };

/* strtod() alone would also take signs, blanks, hexadecimal, exponents, "inf" and "nan". */
static bool read_number(const char *text, double *number, const char **unit)
{
	size_t digits = strspn(text, "0123456789"), length = digits;
	char copy[32], *end;

	if (text[length] == '.') {
		size_t decimals = strspn(text + length + 1, "0123456789");

		if (!decimals)
			return false;
		length += 1 + decimals;
	}
	if (!digits || length >= sizeof(copy))
		return false;
	memcpy(copy, text, length);
	copy[length] = '\0';
	*number = strtod(copy, &end);
	*unit = text + length + strspn(text + length, " \t");
	return !*end;
}

static char *out_of_range(const char *text)
{
	return memory_format("%s is out of range", text);
}

static const struct {
	const char *name;
	uint32_t us;
} units[] = { { "s", 1000000 }, { "ms", 1000 }, { "us", 1 } };

static char *duration_parse(const struct policy_key *key, const char *text, void *field)
{
	const char *unit;
	double number;

	if (!read_number(text, &number, &unit))
		return memory_format("\"%s\" is not a duration", text);
	for (size_t i = 0; i < AC_ARRAY_SIZE(units); i++) {
		if (strcmp(unit, units[i].name))
			continue;
		number *= units[i].us;
		if (number < key->least || number > key->most)
			return out_of_range(text);
		*(uint32_t *)field = (uint32_t)(number + 0.5);
		return NULL;
	}
	return *unit ? memory_format("unknown unit \"%s\" (us, ms and s are known)", unit) :
		       memory_format("\"%s\" has no unit (us, ms or s)", text);
}

static void duration_print(const struct policy_key *key, const void *field, FILE *out)
{
	uint32_t us = *(const uint32_t *)field;

	for (size_t i = 0; i < AC_ARRAY_SIZE(units); i++) {
		if (us % units[i].us == 0 && (us || units[i].us == 1)) {
			fprintf(out, "%u%s", us / units[i].us, units[i].name);
			return;
		}
	}
}

const struct policy_type policy_type_duration = { sizeof(uint32_t), duration_parse, duration_print, NULL };

static char *floor_parse(const struct policy_key *key, const char *text, void *field)
{
	if (!strcmp(text, "0")) {
		*(uint32_t *)field = 0;
		return NULL;
	}
	return duration_parse(key, text, field);
}

static void floor_print(const struct policy_key *key, const void *field, FILE *out)
{
	if (*(const uint32_t *)field)
		duration_print(key, field, out);
	else
		fputs("0", out);
}

const struct policy_type policy_type_floor = { sizeof(uint32_t), floor_parse, floor_print, NULL };

static char *fraction_parse(const struct policy_key *key, const char *text, void *field)
{
	const char *unit;
	double number;

	if (!read_number(text, &number, &unit) || (*unit && strcmp(unit, "%")))
		return memory_format("\"%s\" is not a number", text);
	if (*unit)
		number /= 100;
	if (number < key->least || number > key->most)
		return out_of_range(text);
	*(double *)field = number;
	return NULL;
}

static void fraction_print(const struct policy_key *key, const void *field, FILE *out)
{
	fprintf(out, "%.6g", *(const double *)field);
}

const struct policy_type policy_type_fraction = { sizeof(double), fraction_parse, fraction_print, NULL };

static char *budget_parse(const struct policy_key *key, const char *text, void *field)
{
	const char *unit;
	double number;

	if (!strcmp(text, "off")) {
		*(double *)field = 0;
		return NULL;
	}
	if (!read_number(text, &number, &unit) || strcmp(unit, "%"))
		return memory_format("\"%s\" is not a percentage", text);
	if (number / 100 < key->least || number / 100 > key->most)
		return out_of_range(text);
	*(double *)field = number / 100;
	return NULL;
}

static void budget_print(const struct policy_key *key, const void *field, FILE *out)
{
	double budget = *(const double *)field;

	if (budget > 0)
		fprintf(out, "%.6g%%", budget * 100);
	else
		fputs("off", out);
}

const struct policy_type policy_type_budget = { sizeof(double), budget_parse, budget_print, NULL };

static char *series_parse(const struct policy_key *key, const char *text, void *field)
{
	const char *unit;
	double number;

	if (!strcmp(text, "all")) {
		*(uint16_t *)field = POLICY_SERIES_ALL;
		return NULL;
	}
	if (!read_number(text, &number, &unit) || *unit || strchr(text, '.'))
		return memory_format("\"%s\" is not a whole number", text);
	if (number < key->least || number > key->most)
		return out_of_range(text);
	*(uint16_t *)field = (uint16_t)number;
	return NULL;
}

static void series_print(const struct policy_key *key, const void *field, FILE *out)
{
	uint16_t series = *(const uint16_t *)field;

	if (series == POLICY_SERIES_ALL)
		fputs("all", out);
	else
		fprintf(out, "%u", series);
}

const struct policy_type policy_type_series = { sizeof(uint16_t), series_parse, series_print, NULL };

/* What the kernel's dev_valid_name() allows, and nothing that could not be printed. */
bool policy_interface_valid(const char *name)
{
	if (!*name || strlen(name) >= IFNAMSIZ || !strcmp(name, ".") || !strcmp(name, ".."))
		return false;
	for (; *name; name++) {
		if (*name == '/' || *name == ':' || !isgraph((unsigned char)*name))
			return false;
	}
	return true;
}

static char *interface_parse(const struct policy_key *key, const char *text, void *field)
{
	if (!policy_interface_valid(text))
		return memory_format("\"%s\" cannot be the name of an interface", text);
	strcpy(field, text);
	return NULL;
}

static void interface_print(const struct policy_key *key, const void *field, FILE *out)
{
	fputs(field, out);
}

const struct policy_type policy_type_interface = { IFNAMSIZ, interface_parse, interface_print, NULL };

static char *endpoint_parse(const struct policy_key *key, const char *text, void *field)
{
	struct policy_endpoint *endpoint = field;
	struct sockaddr_in *in = (struct sockaddr_in *)&endpoint->address;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&endpoint->address;
	struct sockaddr_un *un = (struct sockaddr_un *)&endpoint->address;
	const char *colon = strrchr(text, ':'), *unit;
	char host[INET6_ADDRSTRLEN + 2];
	size_t length;
	double port;

	if (!strcmp(text, "off")) {
		strcpy(endpoint->text, text);
		return NULL;
	}
	if (*text == '/') {
		if (strlen(text) >= sizeof(un->sun_path))
			return memory_format("\"%.100s...\" is longer than a socket's path can be", text);
		un->sun_family = AF_UNIX;
		strcpy(un->sun_path, text);
		strcpy(endpoint->text, text);
		endpoint->length = sizeof(*un);
		return NULL;
	}
	length = colon ? (size_t)(colon - text) : 0;
	if (!length || length >= sizeof(host) || strlen(text) >= sizeof(endpoint->text))
		return memory_format("\"%.100s\" is not ADDRESS:PORT", text);
	if (!read_number(colon + 1, &port, &unit) || *unit || port > 65535 || strchr(colon, '.'))
		return memory_format("\"%s\" is not a port from 0 to 65535", colon + 1);
	memcpy(host, text, length);
	host[length] = '\0';
	if (host[0] == '[' && host[length - 1] == ']') {
		host[length - 1] = '\0';
		if (inet_pton(AF_INET6, host + 1, &in6->sin6_addr) != 1)
			return memory_format("\"%s\" is not an IPv6 address", host + 1);
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons((uint16_t)port);
		endpoint->length = sizeof(*in6);
	} else {
		if (inet_pton(AF_INET, host, &in->sin_addr) != 1)
			return memory_format("\"%s\" is not an IPv4 address (IPv6 goes in [])", host);
		in->sin_family = AF_INET;
		in->sin_port = htons((uint16_t)port);
		endpoint->length = sizeof(*in);
	}
	strcpy(endpoint->text, text);
	return NULL;
}

static void endpoint_print(const struct policy_key *key, const void *field, FILE *out)
{
	fputs(((const struct policy_endpoint *)field)->text, out);
}

const struct policy_type policy_type_endpoint = { sizeof(struct policy_endpoint), endpoint_parse, endpoint_print,
						  NULL };
