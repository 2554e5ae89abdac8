/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* mTCP's configuration file: "key = value" lines. Pure: nothing is asked of the system, nothing printed. */
#pragma once
#include <net/if.h>
#include <stdbool.h>
#include <stdio.h>

#include "endpoint/mtcp/mtcp_api.h"

#define CONFIG_BUFFER_MAX (4 << 20) /* the engine's own bound */
#define CONFIG_TEXT 256

struct config {
	struct mtcp_conf conf;
	char interface[IF_NAMESIZE]; /* empty: whichever a policy names */
	bool dpdk;		     /* io = dpdk */
	char dpdk_args[CONFIG_TEXT]; /* empty: AF_XDP devices on the interface */
};

/* What mTCP has when its file says nothing. */
void config_default(struct config *config, int cpus);
/* "" or what is wrong with the numbers: "KEY = VALUE: REASON: NEXT STEP". */
void config_check(const struct mtcp_conf *conf, int cpus, char text[CONFIG_TEXT]);
/*
 * 0; or -1 with "LINE: ..." in text, and config as it was. warn() gets each line that is not used here, in the same
 * form.
 */
int config_read(FILE *file, struct config *config, int cpus, void (*warn)(void *context, const char *text),
		void *context, char text[CONFIG_TEXT]);
