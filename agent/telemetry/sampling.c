/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "telemetry/sampling.h"

#include <stdlib.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "lib/softirqs.h"
#include "telemetry/budget.h"

#define WINDOW_US 1000000 /* in which it looks; its cost is measured all the while */
/* While it always looks, its cost is measured for so long, and looked whether it has to be so often. */
#define MEASURE_US 250000
#define PERIOD_US ((uint64_t)(BUDGET_PACE_MIN_S * 1e6))

struct sampling {
	struct engine *engine;
	struct selfcost *cost;
	struct event_hub *events;
	double (*budget)(void *context);
	void *context;
	sd_event_source *timer;
	bool measures;	 /* a window of selfcost is open */
	unsigned wanted; /* shift, by the budget */
	unsigned shift;	 /* in force */
	double turns_s;	 /* what beginning to look and ceasing took last: a walk over all flows each */
	struct budget_exact exact;
	struct budget_pace pace;
	double traffic;	  /* per second, lately */
	uint64_t packets; /* softirqs_received() at `counted` */
	double counted;
};

/* `looks`: now, too. */
static void settle(struct sampling *s, bool looks)
{
	double start = monotonic_seconds();
	unsigned shift = start < s->exact.until ? 0 : s->wanted;

	engine_sample(s->engine, looks || !shift ? 1u << shift : 0);
	s->turns_s = (looks ? 0 : s->turns_s) + monotonic_seconds() - start;
	if (shift == s->shift)
		return;
	s->shift = shift;
	event_hub_note(s->events, AC_EVENT_SAMPLING, json_pack("{sf}", "ratio", 1.0 / (1u << shift)));
}

/* Where all is counted for a while, no longer than that. */
static uint64_t pause_us(const struct sampling *s)
{
	double left = s->exact.until - monotonic_seconds();

	if (s->shift)
		return ((uint64_t)WINDOW_US << s->shift) - WINDOW_US;
	return left > 0 && left * 1e6 < PERIOD_US ? (uint64_t)(left * 1e6) : PERIOD_US;
}

static void keep_budget(struct sampling *s)
{
	double share = selfcost_observing(s->cost), budget = s->budget(s->context);
	unsigned wanted = budget_step(s->wanted, share, budget), least;

	/* Where there are many flows it is the turns that cost. */
	least = budget_step(BUDGET_SHIFT_MIN, share + s->turns_s, budget);
	if (wanted && wanted < least)
		wanted = least;
	if (wanted == s->wanted)
		return;
	s->wanted = wanted;
	log_info("observing takes %.2f%% of one CPU while it looks, the budget is %.2f%%: it looks for 1 second in %u",
		 share * 100, budget * 100, 1u << wanted);
}

/* False: it cannot be told. */
static bool look_at_traffic(struct sampling *s)
{
	double now = monotonic_seconds();
	uint64_t packets;

	if (!softirqs_received(&packets))
		return false;
	s->traffic = (double)(packets - s->packets) / (now - s->counted);
	s->packets = packets;
	s->counted = now;
	return true;
}

static bool has_to_measure(struct sampling *s)
{
	return !look_at_traffic(s) || s->shift || budget_measures(&s->pace, monotonic_seconds(), s->traffic);
}

static int on_time(sd_event_source *source, uint64_t usec, void *context)
{
	struct sampling *s = context;

	if (s->measures) {
		s->measures = false;
		selfcost_end(s->cost, 1u << s->shift);
		keep_budget(s);
		budget_measured(&s->pace, monotonic_seconds(), s->traffic, selfcost_observing(s->cost),
				s->budget(s->context));
	} else if (has_to_measure(s)) {
		s->measures = true;
		settle(s, true);
		selfcost_begin(s->cost);
		return sd_event_source_set_time_relative(source, s->shift ? WINDOW_US : MEASURE_US);
	}
	settle(s, false);
	return sd_event_source_set_time_relative(source, pause_us(s));
}

void sampling_measure_soon(struct sampling *s)
{
	s->pace = (struct budget_pace){ 0 };
}

void sampling_count_all(struct sampling *s, double seconds, bool is_sure)
{
	if (seconds <= 0)
		return;
	budget_exact(&s->exact, monotonic_seconds(), seconds, is_sure);
	if (!s->shift || monotonic_seconds() >= s->exact.until)
		return;
	settle(s, true);
	if (!s->measures)
		sd_event_source_set_time_relative(s->timer, pause_us(s));
}

unsigned sampling_one_in(const struct sampling *s)
{
	return 1u << s->shift;
}

struct sampling *sampling_start(sd_event *loop, struct engine *engine, struct selfcost *cost, struct event_hub *events,
				double (*budget)(void *context), void *context)
{
	struct sampling *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	*s = (struct sampling){
		.engine = engine, .cost = cost, .events = events, .budget = budget, .context = context
	};
	if (sd_event_add_time_relative(loop, &s->timer, CLOCK_MONOTONIC, WINDOW_US, 0, on_time, s) < 0 ||
	    sd_event_source_set_enabled(s->timer, SD_EVENT_ON) < 0) {
		sampling_stop(s);
		return NULL;
	}
	return s;
}

void sampling_stop(struct sampling *s)
{
	if (!s)
		return;
	sd_event_source_disable_unref(s->timer);
	free(s);
}
