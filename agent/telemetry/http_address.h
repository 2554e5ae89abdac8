/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Addresses of the HTTP server: what it listens on, and which Host a request may name. */
#pragma once
#include <stdbool.h>
#include <sys/socket.h>

#include "lib/fault.h"

/* "127.0.0.1:12675", "[::1]:12675", "localhost:12675". */
int http_address_parse(const char *text, struct sockaddr_storage *address, socklen_t *size, struct fault *fault);
/* "http://127.0.0.1:12675" */
void http_address_url(const struct sockaddr_storage *address, char *url, size_t size);
bool http_address_loopback(const struct sockaddr_storage *address);
/*
 * Whether a server on loopback may answer a request with this Host header (NULL: none): an IP address, localhost or
 * this machine's own name. A web page elsewhere can have its own name resolve to 127.0.0.1 and read our answers (DNS
 * rebinding), but it cannot choose the Host.
 */
bool http_host_allowed(const char *host);
