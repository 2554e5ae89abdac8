/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What all JSON output has in common: strings that come from elsewhere, addresses, errors, one line per value. */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "lib/fault.h"

/*
 * A string of bytes that nobody promised to be UTF-8 (a comm, a path), at most max bytes or up to its NUL. Control
 * characters and malformed sequences become \xNN, so the value is safe to show in a terminal too.
 */
json_t *json_text(const char *bytes, size_t max);
/* The same for a whole string; null for NULL. Never NULL, so json_pack() may have it as "o". */
json_t *json_text_or_null(const char *text);
/* An address as every table of the agent keeps it: IPv6, or IPv4 in its v4-mapped form. */
json_t *json_address(const uint8_t address[16]);
/* {"error": {"exit_code": 3, "message": "THING: REASON: NEXT STEP"}} */
json_t *json_fault(const struct fault *fault);
/* Reads such an object back; false if it is none. */
bool json_is_fault(const json_t *value, struct fault *fault);
/* Writes the value as one line and frees it. False if the stream failed. */
bool json_print(FILE *out, json_t *value);
/* A member's number or string, with a default where it is missing: for printing what an agent of another version sent.
 */
json_int_t json_number(const json_t *object, const char *key);
const char *json_member_text(const json_t *object, const char *key);
