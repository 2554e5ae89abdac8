/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "telemetry/http_address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "lib/paths.h"

/* Splits "NAME:PORT" or "[NAME]:PORT"; the port may be missing if port is NULL. */
static bool split(const char *text, char *name, size_t size, const char **port)
{
	const char *end, *colon;
	size_t length;

	if (*text == '[') {
		end = strchr(++text, ']');
		if (!end)
			return false;
		colon = end + 1;
	} else {
		colon = end = text + strcspn(text, ":");
	}
	length = end - text;
	if (!length || length >= size || (*colon && *colon != ':') || (port && !*colon))
		return false;
	memcpy(name, text, length);
	name[length] = '\0';
	if (port)
		*port = colon + 1;
	return true;
}

int http_address_parse(const char *text, struct sockaddr_storage *address, socklen_t *size, struct fault *fault)
{
	struct sockaddr_in *four = (struct sockaddr_in *)address;
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)address;
	char name[INET6_ADDRSTRLEN], *end;
	const char *port;
	unsigned long number;

	memset(address, 0, sizeof(*address));
	if (!split(text, name, sizeof(name), &port))
		goto bad;
	errno = 0;
	number = strtoul(port, &end, 10);
	if (errno || end == port || *end || *port == '-' || *port == '+' || number > 65535)
		goto bad;
	if (!strcmp(name, "localhost"))
		strcpy(name, "127.0.0.1");
	if (*text != '[' && inet_pton(AF_INET, name, &four->sin_addr) == 1) {
		four->sin_family = AF_INET;
		four->sin_port = htons(number);
		*size = sizeof(*four);
		return 0;
	}
	if (*text == '[' && inet_pton(AF_INET6, name, &six->sin6_addr) == 1) {
		six->sin6_family = AF_INET6;
		six->sin6_port = htons(number);
		*size = sizeof(*six);
		return 0;
	}
bad:
	return fault_set(fault, EXIT_CONFIG,
			 "metrics address %s: not ADDRESS:PORT: write for example " AUTOCORK_METRICS " or "
			 "[::1]:" AUTOCORK_METRICS_PORT,
			 text);
}

void http_address_url(const struct sockaddr_storage *address, char *url, size_t size)
{
	const struct sockaddr_in *four = (const struct sockaddr_in *)address;
	const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)address;
	char name[INET6_ADDRSTRLEN];

	if (address->ss_family == AF_INET)
		snprintf(url, size, "http://%s:%u", inet_ntop(AF_INET, &four->sin_addr, name, sizeof(name)),
			 ntohs(four->sin_port));
	else
		snprintf(url, size, "http://[%s]:%u", inet_ntop(AF_INET6, &six->sin6_addr, name, sizeof(name)),
			 ntohs(six->sin6_port));
}

bool http_host_allowed(const char *host)
{
	char name[256], own[HOST_NAME_MAX + 1];
	struct in6_addr address;

	if (!host)
		return true;
	if (!split(host, name, sizeof(name), NULL))
		return false;
	if (inet_pton(AF_INET, name, &address) == 1 || inet_pton(AF_INET6, name, &address) == 1)
		return true;
	if (!strcasecmp(name, "localhost"))
		return true;
	if (gethostname(own, sizeof(own)))
		return false;
	own[sizeof(own) - 1] = '\0';
	return *own && !strcasecmp(name, own);
}

bool http_address_loopback(const struct sockaddr_storage *address)
{
	const struct sockaddr_in *four = (const struct sockaddr_in *)address;
	const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)address;

	if (address->ss_family == AF_INET)
		return ntohl(four->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
	return IN6_IS_ADDR_LOOPBACK(&six->sin6_addr);
}
