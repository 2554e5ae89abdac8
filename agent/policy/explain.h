/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Which policy takes a flow, and why not the others: `autocork policy show --match FLOW`. */
#pragma once
#include "policy/set.h"

/*
 * FLOW is "port=443 side=server peer=10.0.0.1 program=nginx cgroup=/a/b", separated by blanks or commas. The port must
 * be given; the side is server unless said otherwise; what is not given is not known, and policies that ask for it do
 * not match.
 *
 * {"flow": {…}, "policy": NAME, "number": N, "origin": "FILE:LINE", "mode": MODE,
 *  "considered": [{"policy": NAME, "origin": …, "matches": bool, "because": CONDITION or null}], "more": N,
 *  "steered": policy_steered_json()}
 * considered: in the order of the data path up to the one that matches, at most EXPLAIN_MAX; more: how many it leaves
 * out.
 */
#define EXPLAIN_MAX 100
int policy_explain(const struct policy_set *set, const char *flow, json_t **explained, struct fault *fault);
/* "FILE:LINE", or "default". */
json_t *policy_explain_place(const struct policy_origin *origin);
void policy_explain_print(FILE *out, const json_t *explained);
