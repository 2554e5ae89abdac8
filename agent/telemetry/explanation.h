/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* One event of a flow as a sentence: what became of the writes, and why. Pure. */
#pragma once
#include <jansson.h>
#include <stdio.h>

/* For first_hold, release, miss and response, in the form of event_json(); of other types the name. */
void explanation_print(FILE *out, const json_t *event);
