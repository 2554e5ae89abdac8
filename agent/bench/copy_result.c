/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Medians, ratios and rates of `autocork bench copy`, and how they are printed. */
#include <stdio.h>
#include <stdlib.h>

#include "bench/copy.h"
#include "lib/json.h"
#include "lib/table.h"

double bench_copy_cost(const struct bench_copy_sample *sample)
{
	return sample->bytes ? (double)(sample->user_ns + sample->system_ns) / (double)sample->bytes : 0;
}

static int by_cost(const void *a, const void *b)
{
	double x = bench_copy_cost(a), y = bench_copy_cost(b);

	return x < y ? -1 : x > y;
}

const struct bench_copy_sample *bench_copy_median(struct bench_copy_sample *samples, uint32_t count)
{
	qsort(samples, count, sizeof(*samples), by_cost);
	return &samples[(count - 1) / 2];
}

double bench_copy_rate(const struct bench_copy_sample *sample)
{
	return sample->elapsed_ns ? (double)sample->bytes * 8000 / (double)sample->elapsed_ns : 0;
}

bool bench_copy_kept_up(const struct bench_copy_sample *sample, uint32_t rate_mbit)
{
	return bench_copy_rate(sample) >= 0.97 * rate_mbit;
}

static double percent(const struct bench_copy_sample *sample, uint64_t ns)
{
	return sample->elapsed_ns ? 100.0 * (double)ns / (double)sample->elapsed_ns : 0;
}

/* Against plain send(); 0 where there is nothing to compare. Per byte, so that it holds where a mode did not keep
 * up. */
static double ratio(const struct bench_copy_sample *sample, const struct bench_copy_sample *plain)
{
	return plain && bench_copy_cost(plain) > 0 ? bench_copy_cost(sample) / bench_copy_cost(plain) : 0;
}

static json_t *mode_json(const struct bench_copy_options *o, enum bench_copy_mode mode,
			 const struct bench_copy_sample *s, const struct bench_copy_sample *plain)
{
	json_t *object =
		json_pack("{s:s, s:f, s:f, s:f, s:f, s:f, s:b, s:f, s:I, s:I, s:I}", "mode", bench_copy_name(mode),
			  "cpu_percent", percent(s, s->user_ns + s->system_ns), "user_percent", percent(s, s->user_ns),
			  "system_percent", percent(s, s->system_ns), "cpu_us_per_megabyte", bench_copy_cost(s) * 1000,
			  "rate_mbit", bench_copy_rate(s), "rate_reached", bench_copy_kept_up(s, o->rate_mbit),
			  "server_cpu_percent", percent(s, s->server_cpu_ns), "bytes", (json_int_t)s->bytes, "calls",
			  (json_int_t)s->calls, "segments", (json_int_t)s->segments);

	json_object_set_new(object, "ratio", plain ? json_real(ratio(s, plain)) : json_null());
	if (mode == BENCH_COPY_ZEROCOPY)
		json_object_set_new(object, "zerocopy",
				    json_pack("{s:I, s:I}", "completed", (json_int_t)s->zerocopy_done, "copied",
					      (json_int_t)s->zerocopy_copied));
	if (o->check)
		json_object_set_new(object, "wrong_bytes", json_integer((json_int_t)s->wrong_bytes));
	return object;
}

static bool print_json(const struct bench_copy_options *o, const struct bench_copy_sample *const *medians)
{
	json_t *list = json_array();

	for (int mode = 0; mode < BENCH_COPY_MODES; mode++)
		if (medians[mode])
			json_array_append_new(list, mode_json(o, mode, medians[mode], medians[BENCH_COPY_SEND]));
	return json_print(stdout,
			  json_pack("{s:i, s:i, s:i, s:f, s:o}", "rate_mbit", (int)o->rate_mbit, "size", (int)o->size,
				    "rounds", (int)o->rounds, "seconds", o->seconds, "modes", list));
}

static void print_notes(const struct bench_copy_options *o, const struct bench_copy_sample *const *medians)
{
	const struct bench_copy_sample *zero = medians[BENCH_COPY_ZEROCOPY];

	for (int mode = 0; mode < BENCH_COPY_MODES; mode++)
		if (medians[mode] && !bench_copy_kept_up(medians[mode], o->rate_mbit))
			printf("%s reached %.0f of %u Mbit/s only: its ratio is per byte, its share is not "
			       "comparable.\n",
			       bench_copy_name(mode), bench_copy_rate(medians[mode]), o->rate_mbit);
	if (zero && zero->zerocopy_copied)
		printf("zerocopy: the kernel copied %llu of %llu calls after all. It does so wherever the receiver is "
		       "on this\n"
		       "machine: what MSG_ZEROCOPY saves shows only on a real network card.\n",
		       (unsigned long long)zero->zerocopy_copied, (unsigned long long)zero->zerocopy_done);
	if (!o->host)
		puts("On loopback the sender's CPU pays for the receiving side's protocol work, too, in all modes "
		     "alike.");
}

bool bench_copy_print(const struct bench_copy_options *options, const struct bench_copy_sample *const *medians)
{
	static const struct table_column columns[] = {
		{ "MODE", TABLE_LEFT },	   { "CPU", TABLE_RIGHT },   { "USER", TABLE_RIGHT },
		{ "SYSTEM", TABLE_RIGHT }, { "US/MB", TABLE_RIGHT }, { "RATIO", TABLE_RIGHT },
		{ "MBIT/S", TABLE_RIGHT }, { "WHAT", TABLE_LEFT },
	};
	const struct bench_copy_sample *plain = medians[BENCH_COPY_SEND];
	struct table *table;

	if (options->json)
		return print_json(options, medians);
	table = table_new(columns, sizeof(columns) / sizeof(columns[0]));
	for (int mode = 0; mode < BENCH_COPY_MODES; mode++) {
		const struct bench_copy_sample *s = medians[mode];

		if (!s)
			continue;
		table_cell(table, TABLE_BOLD, "%s", bench_copy_name(mode));
		table_cell(table, TABLE_PLAIN, "%.2f%%", percent(s, s->user_ns + s->system_ns));
		table_cell(table, TABLE_PLAIN, "%.2f%%", percent(s, s->user_ns));
		table_cell(table, TABLE_PLAIN, "%.2f%%", percent(s, s->system_ns));
		table_cell(table, TABLE_PLAIN, "%.1f", bench_copy_cost(s) * 1000);
		if (plain)
			table_cell(table, TABLE_PLAIN, "%.2f", ratio(s, plain));
		else
			table_cell(table, TABLE_PLAIN, "%s", "");
		table_cell(table, TABLE_PLAIN, "%.0f", bench_copy_rate(s));
		table_cell(table, TABLE_DIM, "%s", bench_copy_what(mode));
	}
	table_print(table, stdout, false, 0);
	table_free(table);
	print_notes(options, medians);
	return !ferror(stdout);
}
