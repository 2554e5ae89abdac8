/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Numbers of services that nobody uses any more are given to others, when numbers get short. */
#pragma once
#include <autocork/service.h>

struct engine;
struct recycler;

/* NULL without memory. */
struct recycler *recycler_new(void);
void recycler_free(struct recycler *recycler); /* NULL is allowed */
/* To be called now and then, 250 ms apart at least. */
void recycler_run(struct recycler *recycler, struct engine *engine);
/* What the services that are gone have counted: number 0 goes on with it, so that no total falls. */
const struct ac_service_stats *recycler_gone(const struct recycler *recycler);
