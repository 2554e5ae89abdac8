/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "lib/units.h"

#include <inttypes.h>
#include <stdio.h>

const char *units_count(struct units *units, uint64_t count)
{
	static const char prefixes[] = "kMGTPE";
	double value = count;
	size_t prefix = 0;

	if (count < 100000) {
		snprintf(units->text, sizeof(units->text), "%" PRIu64, count);
		return units->text;
	}
	/* 999.5 would be printed as 1000 of the smaller unit */
	for (value /= 1000; value >= 999.5 && prefixes[prefix + 1]; prefix++)
		value /= 1000;
	snprintf(units->text, sizeof(units->text), "%.*f%c",
		 value < 9.995 ? 2 :
		 value < 99.95 ? 1 :
				 0,
		 value, prefixes[prefix]);
	return units->text;
}

const char *units_delay(struct units *units, double us)
{
	if (us < 999.5)
		snprintf(units->text, sizeof(units->text), "%.0fus", us);
	else if (us < 999995)
		snprintf(units->text, sizeof(units->text), "%.2fms", us / 1e3);
	else
		snprintf(units->text, sizeof(units->text), "%.2fs", us / 1e6);
	return units->text;
}

const char *units_age(struct units *units, uint64_t seconds)
{
	static const struct {
		uint64_t above;
		uint64_t unit;
		uint64_t part;
		const char *format;
	} forms[] = {
		{ 86400, 86400, 3600, "%" PRIu64 "d %02" PRIu64 "h" },
		{ 3600, 3600, 60, "%" PRIu64 "h %02" PRIu64 "m" },
		{ 60, 60, 1, "%" PRIu64 "m %02" PRIu64 "s" },
		{ 0, 1, 1, "%" PRIu64 "s" },
	};
	size_t i = 0;

	while (seconds < forms[i].above)
		i++;
	snprintf(units->text, sizeof(units->text), forms[i].format, seconds / forms[i].unit,
		 seconds % forms[i].unit / forms[i].part);
	return units->text;
}

const char *units_time(struct units *units, uint64_t us)
{
	return us < 120000000 ? units_delay(units, us) : units_age(units, us / 1000000);
}
