/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What only shows once all files are merged: missing and contradicting keys. */
#include "policy/sections.h"

static const struct policy_place *place_of(const struct section *section, const char *key)
{
	return &section->places[policy_key_find(section->kind, key)];
}

/* At the key's place if it was set, else at the section's heading. */
#define CHECK_ERROR(errors, section, place, format, ...) \
	policy_error_add(errors, (place)->file ? (place)->file : (section)->file, \
			 (place)->file ? (place)->line : (section)->line, "[%s]: " format, (section)->title, \
			 ##__VA_ARGS__)

static void check_steering(const struct section *section, struct policy_errors *errors)
{
	static const char *const steering[] = { "interface", "queues", "direction", "protocol", "transit", "removal" };
	static const char *const unknown[] = { "programs", "cgroups", "pods" };
	const struct policy_config *config = section->values;
	const struct policy_place *steer = place_of(section, "steer"), *removal = place_of(section, "removal");

	if (!steer->file) {
		for (size_t i = 0; i < AC_ARRAY_SIZE(steering); i++) {
			const struct policy_place *place = place_of(section, steering[i]);

			if (place->file)
				CHECK_ERROR(errors, section, place,
					    "%s without steer: allowed beside steer = af_xdp, dpdk, endpoint or none",
					    steering[i]);
		}
		return;
	}
	if (config->steer == POLICY_STEER_NONE)
		return;
	if (!config->interface[0])
		CHECK_ERROR(errors, section, steer, "steer without interface: allowed is steer with interface = NAME");
	if (config->protocol == POLICY_PROTOCOL_ICMP) {
		if (config->ports.count)
			CHECK_ERROR(errors, section, place_of(section, "ports"),
				    "ports beside protocol = icmp, which has none: allowed is protocol = icmp with "
				    "peers or alone");
	} else if (!config->ports.count) {
		CHECK_ERROR(errors, section, steer,
			    "steer without ports, which would take every connection of the machine: allowed is steer "
			    "with ports = LIST");
	}
	if (config->steer == POLICY_STEER_ENDPOINT &&
	    (config->protocol != POLICY_PROTOCOL_TCP || config->direction != POLICY_DIRECTION_IN))
		CHECK_ERROR(
			errors, section, steer,
			"steer = endpoint takes TCP connections that are made to this machine: allowed beside it are "
			"protocol = tcp and direction = in");
	if (config->steer != POLICY_STEER_ENDPOINT && removal->file)
		CHECK_ERROR(errors, section, removal,
			    "removal without an endpoint: allowed is removal with steer = endpoint");
	if (config->side != AC_SIDE_ANY &&
	    config->direction != (config->side == AC_SIDE_SERVER ? POLICY_DIRECTION_IN : POLICY_DIRECTION_OUT))
		CHECK_ERROR(
			errors, section, place_of(section, "side"),
			"side = %s beside another direction: allowed are side = server with direction = in, side = client "
			"with direction = out, and side = any",
			config->side == AC_SIDE_SERVER ? "server" : "client");
	for (size_t i = 0; i < AC_ARRAY_SIZE(unknown); i++) {
		const struct policy_place *place = place_of(section, unknown[i]);

		if (place->file)
			CHECK_ERROR(errors, section, place,
				    "%s beside steer, but a packet at the driver has no program yet: allowed are ports "
				    "and peers",
				    unknown[i]);
	}
}

/* A hold must be over before what was sent earlier is sent again: the kernel's own timer would end it, and take it for
 * a loss. */
static void check_times(const struct section *section, struct policy_errors *errors)
{
	const struct policy_config *config = section->values;
	const struct policy_place *floor = place_of(section, "rto_min");

	if (config->rto_min_us && config->max_hold_us >= config->rto_min_us)
		CHECK_ERROR(
			errors, section, floor->file ? floor : place_of(section, "max_hold"),
			"max_hold (%uus) is not below rto_min (%uus): allowed is a max_hold below it, or rto_min = 0",
			config->max_hold_us, config->rto_min_us);
}

void sections_check(const struct sections *sections, struct policy_errors *errors)
{
	struct section *section, *next;

	HASH_ITER(hh, sections->by_title, section, next) {
		const struct policy_config *config = section->values;

		if (section->kind != POLICY_SECTION_POLICY || section->wrong)
			continue;
		if (!place_of(section, "mode")->file && config->steer == POLICY_STEER_NONE)
			policy_error_add(errors, section->file, section->line,
					 "[%s]: mode is missing: allowed: mode = %s", section->title,
					 "off, observe or autocork");
		check_times(section, errors);
		check_steering(section, errors);
	}
}
