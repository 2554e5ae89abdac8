/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* An engine without a kernel, for tests of what stands on agent/engine/engine.h. */
#pragma once
#include "engine/engine.h"

struct fake_engine {
	unsigned int stayed_alive;
	struct engine_service services[4];
	size_t service_count;
	struct engine_flow *flows;
	size_t flow_count;
	struct engine_feature features[4];
	size_t feature_count;
	uint32_t event_types;
	unsigned int weight; /* of observed flows */
	bool refuse_policies, refuse_watches;
	int watches;	       /* under way */
	uint16_t watched_port; /* of the last one */
	struct engine_response responses[4];
	size_t response_count;
	unsigned int tried_rest;
	unsigned int applied, beats;
	size_t policies; /* of the last set applied */
};

extern struct fake_engine fake_engine;
