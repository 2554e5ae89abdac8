/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "telemetry/commands.h"

double argument_seconds(const struct argp_state *state, const char *option, const char *text, double low, double high)
{
	static const struct {
		const char *suffix;
		double seconds;
	} units[] = { { "", 1 }, { "s", 1 }, { "ms", 1e-3 }, { "m", 60 }, { "min", 60 }, { "h", 3600 } };
	double value;
	char *end;

	errno = 0;
	value = strtod(text, &end);
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (errno || end == text || strcmp(end, units[i].suffix))
			continue;
		value *= units[i].seconds;
		/* Written so that NaN fails, too. */
		if (value >= low && value <= high)
			return value;
	}
	argp_error(state, "--%s %s: not a duration from %gs to %gs, such as 30s, 2m or 1h", option, text, low, high);
	return low;
}
