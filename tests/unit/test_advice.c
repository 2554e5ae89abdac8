/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Advice, a trial's verdicts, the last hour, names of units: what telemetry works out without a kernel. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "policy/set.h"
#include "telemetry/advice.h"
#include "telemetry/budget.h"
#include "telemetry/history.h"
#include <autocork/predictor.h>

#include "telemetry/trial_judge.h"
#include "telemetry/unit_names.h"

static void verdicts(void **state)
{
	static const struct {
		struct advice_counts counts;
		enum advice_verdict verdict;
	} cases[] = {
		{ { 0 }, ADVICE_UNKNOWN },
		{ { .writes = 1500, .bursts = 99, .shadow_held = 1386 }, ADVICE_UNKNOWN },
		{ { .writes = 15000, .bursts = 1000, .shadow_held = 14000 }, ADVICE_MANAGE },
		{ { .writes = 15000, .bursts = 1000, .shadow_held = 14000, .shadow_misses = 200 }, ADVICE_DOUBTFUL },
		{ { .writes = 1000, .bursts = 1000 }, ADVICE_LEAVE },
		/* what was inferred is not known any better: of 15 bursts seen too little, of 120 what 120 say */
		{ { .writes = 15000, .bursts = 1000, .shadow_held = 14000, .inferred_bursts = 905 }, ADVICE_UNKNOWN },
		{ { .writes = 15000, .bursts = 1000, .shadow_held = 14000, .inferred_bursts = 880 }, ADVICE_MANAGE },
		{ { .writes = 150000, .bursts = 10000, .shadow_held = 140000, .shadow_misses = 300 }, ADVICE_MANAGE },
		{ { .writes = 150000,
		    .bursts = 10000,
		    .shadow_held = 140000,
		    .shadow_misses = 300,
		    .inferred_bursts = 9800 },
		  ADVICE_DOUBTFUL },
		{ { .writes = 1000, .bursts = 950, .shadow_held = 50 }, ADVICE_LEAVE },
		/* two writes a message: a packet is worth it on connections that stay, not on one for each message */
		{ { .writes = 2000, .bursts = 1000, .shadow_held = 1000, .opened = 10 }, ADVICE_MANAGE },
		{ { .writes = 2000, .bursts = 1000, .shadow_held = 1000, .opened = 1000 }, ADVICE_LEAVE },
		{ { .writes = 15000, .bursts = 1000, .held = 14000 }, ADVICE_MANAGED },
		/* a few of its flows are managed: the others still gain */
		{ { .writes = 15000, .bursts = 1000, .held = 1000, .shadow_held = 13000 }, ADVICE_MANAGE },
		/* Nagle's algorithm joins them anyway: one packet a burst, which is too little, unless they wait for an
		 * ACK */
		{ { .writes = 15000, .bursts = 1000, .shadow_held = 14000, .shadow_merged = 13000 }, ADVICE_LEAVE },
		{ { .writes = 15000,
		    .bursts = 1000,
		    .shadow_held = 14000,
		    .shadow_merged = 13000,
		    .shadow_stall_us = 40000000 },
		  ADVICE_MANAGE },
		/* 40 ms each make few bursts in a minute: enough to tell, if they do not miss most of the time */
		{ { .writes = 300, .bursts = 20, .shadow_held = 280, .shadow_stall_us = 800000 }, ADVICE_MANAGE },
		{ { .writes = 300, .bursts = 20, .shadow_held = 280, .shadow_stall_us = 800000, .shadow_misses = 10 },
		  ADVICE_MANAGE },
		{ { .writes = 285, .bursts = 19, .shadow_held = 266, .shadow_stall_us = 760000 }, ADVICE_UNKNOWN },
		{ { .writes = 300, .bursts = 20, .shadow_held = 280, .shadow_stall_us = 30000, .shadow_misses = 10 },
		  ADVICE_UNKNOWN },
		{ { .writes = 400,
		    .bursts = 40,
		    .shadow_held = 360,
		    .shadow_stall_us = 1600000,
		    .inferred_bursts = 21 },
		  ADVICE_UNKNOWN },
		/* it corks by itself: no burst to see, or one write each */
		{ { .writes = 400, .corked = 800 }, ADVICE_CORKS },
		{ { .writes = 2000, .bursts = 1000, .corked = 1000 }, ADVICE_CORKS },
		{ { .writes = 99, .corked = 99 }, ADVICE_UNKNOWN },
		{ { .writes = 1000, .bursts = 1000, .corked = 3 }, ADVICE_LEAVE },
		{ { .writes = 15000, .bursts = 1000, .shadow_held = 14000, .corked = 1000 }, ADVICE_MANAGE },
		/* nothing that may come over the socket makes it worse than wrong */
		{ { .writes = 1, .bursts = UINT64_MAX, .shadow_held = UINT64_MAX, .shadow_misses = UINT64_MAX },
		  ADVICE_DOUBTFUL },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct advice advice = advice_make(80, AC_SIDE_SERVER, "nginx", &cases[i].counts, 10);

		if (advice.verdict != cases[i].verdict)
			fail_msg("case %zu: %s, not %s", i, advice_verdict_name(advice.verdict),
				 advice_verdict_name(cases[i].verdict));
		assert_true(advice.confidence >= 0 && advice.confidence <= 1);
	}
}

/* Copies are told whatever the verdict is, from a rate on. */
static void copies(void **state)
{
	struct advice_counts before = { .large_copied_bytes = 1000 },
			     counts = { .large_copied_bytes = 1000 + 10 * ADVICE_COPIES_MIN };
	struct advice advice;

	advice_counts_since(&counts, &before);
	advice = advice_make(80, AC_SIDE_SERVER, "nginx", &counts, 10);
	assert_float_equal(advice.copied_bytes_per_s, ADVICE_COPIES_MIN, 1e-9);
	assert_true(advice_names_copies(&advice));
	assert_int_equal(advice.verdict, ADVICE_UNKNOWN);
	advice = advice_make(80, AC_SIDE_SERVER, "nginx", &counts, 10.1);
	assert_false(advice_names_copies(&advice));
}

static void figures(void **state)
{
	struct advice_counts counts = { .writes = 15000, .bursts = 1000, .shadow_held = 14000, .shadow_misses = 10 };
	struct advice advice = advice_make(80, AC_SIDE_SERVER, "nginx", &counts, 10);

	assert_float_equal(advice.copied_bytes_per_s, 0, 0);
	assert_false(advice_names_copies(&advice));
	assert_float_equal(advice.packets_per_s, 1400, 1e-9);
	assert_float_equal(advice.misses_per_s, 1, 1e-9);
	assert_float_equal(advice.saved_share, 14.0 / 15, 1e-9);
	assert_float_equal(advice.cpu_share, (14000 * ADVICE_CPU_US_PER_PACKET - 1000 * ADVICE_CPU_US_PER_BURST) / 1e7,
			   1e-9);
	/* A connection for each message of two writes costs more than its packet is worth. */
	assert_true(advice_cpu_us(1000, 1000, 10) > 0);
	assert_true(advice_cpu_us(1000, 1000, 1000) < 0);
	/* The same in advice, whether they are managed or would be. */
	counts.opened = 1000;
	counts.managed = 3;
	advice = advice_make(80, AC_SIDE_SERVER, "nginx", &counts, 10);
	assert_float_equal(advice.cpu_share, advice_cpu_us(14000, 1000, 1000) / 1e7, 1e-9);
	counts.managed = 1200;
	advice = advice_make(80, AC_SIDE_SERVER, "nginx", &counts, 10);
	assert_float_equal(advice.cpu_share, advice_cpu_us(14000, 1000, 1200) / 1e7, 1e-9);
	counts.shadow_merged = 13000;
	counts.shadow_stall_us = 40000000;
	advice = advice_make(80, AC_SIDE_SERVER, "nginx", &counts, 10);
	assert_float_equal(advice.packets_per_s, 100, 1e-9);
	assert_float_equal(advice.stall_s_per_s, 4, 1e-9);
	assert_float_equal(advice.stall_s_per_burst, 0.04, 1e-9);
	/* Wilson's upper bound of 10 in 1,000, by hand: 0.01661 */
	assert_float_equal(advice.confidence, 1 - 0.01661, 2e-4);
	/* 10 in 1,000 of which 100 were seen: 1 in 100, 0.0436 */
	counts.inferred_bursts = 900;
	advice = advice_make(80, AC_SIDE_SERVER, "nginx", &counts, 10);
	assert_float_equal(advice.confidence, 1 - 0.0436, 2e-4);
}

/* Waiting comes first, whatever the packets, and whatever short waits of many bursts add up to. */
static void harm(void **state)
{
	static const struct advice list[] = {
		{ .stall_s_per_burst = 0.04, .stall_s_per_s = 0.9, .packets_per_s = 20 },
		{ .stall_s_per_burst = 0.04, .stall_s_per_s = 0.4, .packets_per_s = 30 },
		{ .stall_s_per_burst = 0.0005, .stall_s_per_s = 5, .packets_per_s = 9000 },
		{ .packets_per_s = 5000 },
		{ .packets_per_s = 0 },
	};
	const size_t count = sizeof(list) / sizeof(list[0]);

	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < count; j++)
			assert_int_equal(advice_compare(&list[i], &list[j]), (i > j) - (i < j));
}

/* Every count is of the time since. */
static void counts_since(void **state)
{
	struct advice_counts now, before;
	uint64_t *n = (uint64_t *)&now, *b = (uint64_t *)&before;
	size_t count = sizeof(now) / sizeof(*n);

	for (size_t i = 0; i < count; i++) {
		n[i] = 1000 + 3 * i;
		b[i] = 900 + i;
	}
	n[0] = 7; /* begun anew */
	advice_counts_since(&now, &before);
	assert_int_equal(n[0], 7);
	for (size_t i = 1; i < count; i++)
		assert_int_equal(n[i], 100 + 2 * i);
}

static void ids_are_stable(void **state)
{
	struct advice_counts counts = { 0 };
	struct advice a = advice_make(80, AC_SIDE_SERVER, "nginx", &counts, 1);
	struct advice b = advice_make(80, AC_SIDE_SERVER, "nginx", &(struct advice_counts){ .writes = 5 }, 9);

	assert_string_equal(a.id, "ac-04gvgt5sj");
	assert_string_equal(a.id, b.id);
	assert_string_not_equal(a.id, advice_make(81, AC_SIDE_SERVER, "nginx", &counts, 1).id);
	assert_string_not_equal(a.id, advice_make(80, AC_SIDE_CLIENT, "nginx", &counts, 1).id);
	assert_string_not_equal(a.id, advice_make(80, AC_SIDE_SERVER, "nginy", &counts, 1).id);
}

/* What is emitted is accepted by the policy's own reader, whatever the program is called. */
static void emitted_policy_is_valid(void **state)
{
	static const char *const programs[] = { "nginx", "a b", "x,y",	      "[policy evil]",	 "#;=\"'",
						"*",	 "",	"\\xff\\x0a", "0123456789abcdef" };
	char path[] = "/tmp/autocork-advice-XXXXXX";
	char *argument[] = { path, NULL };
	int fd = mkstemp(path);
	struct policy_errors errors = { 0 };
	struct fault fault;
	FILE *file = fdopen(fd, "w");

	assert_non_null(file);
	for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
		struct advice advice =
			advice_make(1000 + i, i % AC_SIDE_MAX, programs[i], &(struct advice_counts){ 0 }, 1);

		advice_policy(file, &advice, 1000 + i, i % AC_SIDE_MAX, programs[i]);
	}
	fclose(file);
	if (policy_check_files(argument, 1, &errors, &fault))
		fail_msg("%s:%d: %s", errors.list[0].file, errors.list[0].line, errors.list[0].what);
	policy_errors_free(&errors);
	unlink(path);
}

/* Time first, then packets, then CPU; and what rests on a sample says so. */
static void emitted_policy_says_why(void **state)
{
	struct advice advice = advice_make(1883, AC_SIDE_CLIENT, "mqtt",
					   &(struct advice_counts){ .writes = 3200,
								    .bursts = 1600,
								    .inferred_bursts = 1500,
								    .shadow_held = 1600,
								    .shadow_stall_us = 64000000 },
					   10);
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	advice_policy(out, &advice, 1883, AC_SIDE_CLIENT, "mqtt");
	fclose(out);
	if (!strstr(text, "# 40.0 ms less waiting for ACKs in a message.\n"
			  "# ≈160.0 packets a second fewer, 50% of the writes; 0.05% of one CPU saved.\n"
			  "# Confidence 97.4%, 0.00 messages a second held too long.\n"
			  "# Inferred from a sample: 1 message in 16 was seen.\n"
			  "[policy ac-"))
		fail_msg("%s", text);
	free(text);
}

/* One '?' stands for one byte, also for one that had to be written as four. */
static void emitted_program_matches(void **state)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	advice_conditions(out, 80, AC_SIDE_CLIENT, "a\\xff\\x0ab c");
	fclose(out);
	assert_string_equal(text, "ports = 80\nside = client\nprograms = a??b?c\n");
	free(text);
}

static void trial_ends_for_the_right_reason(void **state)
{
	struct trial_phase before = { .seconds = 5, .stats = { .writes = 1000, .segments = 1000, .retransmits = 1 } };
	struct trial_phase trial = { .seconds = 5, .stats = { .writes = 1000, .bursts = 100, .held = 900 } };

	assert_int_equal(trial_judge(&before, &trial, 1000), TRIAL_GOOD);
	trial.stats.misses = 6;
	assert_int_equal(trial_judge(&before, &trial, 1000), TRIAL_MISSES);
	trial.stats.misses = 5;
	trial.stats.hold_time[ac_bucket(900)] = 990;
	trial.stats.hold_time[ac_bucket(5000)] = 10;
	assert_float_equal(trial_hold_p99(&trial), 1023, 0);
	assert_int_equal(trial_judge(&before, &trial, 1100), TRIAL_GOOD);
	trial.stats.hold_time[ac_bucket(5000)] = 11;
	assert_int_equal(trial_judge(&before, &trial, 1100), TRIAL_DELAY);
	trial.host_segments = 1000;
	trial.host_retransmits = 3;
	assert_int_equal(trial_judge(&before, &trial, 1e6), TRIAL_RETRANSMITS);
	/* the same share as before is no worse */
	before.host_segments = 1000;
	before.host_retransmits = 3;
	assert_int_equal(trial_judge(&before, &trial, 1e6), TRIAL_GOOD);
	/* nor are a few where there was none */
	before.host_retransmits = 0;
	trial.host_retransmits = 2;
	assert_int_equal(trial_judge(&before, &trial, 1e6), TRIAL_GOOD);
	/* too little to say anything */
	trial = (struct trial_phase){
		.stats = { .writes = 99, .bursts = 9, .misses = 9, .segments = 199, .retransmits = 199 }
	};
	assert_int_equal(trial_judge(&before, &trial, 1), TRIAL_GOOD);
	assert_int_equal(trial_conclude(&before, &trial, 1), TRIAL_IDLE);
	trial.stats.writes = 100;
	assert_int_equal(trial_conclude(&before, &trial, 1), TRIAL_MISSES);
	trial.stats.misses = 0;
	assert_int_equal(trial_conclude(&before, &trial, 1), TRIAL_GOOD);
}

/* Nagle's algorithm sends the first write alone, if nothing is on its way, and joins the others. */
static void packets_saved(void **state)
{
	assert_int_equal(ac_packets_saved(4, true, AC_NAGLE_OFF), 4);
	assert_int_equal(ac_packets_saved(4, false, AC_NAGLE_OFF), 3);
	assert_int_equal(ac_packets_saved(4, true, AC_NAGLE_SENDS), 1);
	assert_int_equal(ac_packets_saved(1, true, AC_NAGLE_SENDS), 1);
	assert_int_equal(ac_packets_saved(1, false, AC_NAGLE_SENDS), 0);
	assert_int_equal(ac_packets_saved(4, true, AC_NAGLE_KEEPS), 0);
}

static void trial_predicts_segments(void **state)
{
	struct trial_phase before = {
		.stats = { .writes = 1500, .bursts = 100, .shadow_held = 1400, .shadow_merged = 1300, .segments = 200 },
	};
	struct trial_phase begun = { .stats = { .segments = 1000 } };
	struct trial_phase trial = { .stats = { .bursts = 50, .segments = 1052 } };
	struct trial_phase idle = { .stats = { .segments = 9 } };

	assert_float_equal(trial_segments_per_burst(&before), 2, 1e-9);
	assert_float_equal(trial_segments_predicted(&before), 1, 1e-9);
	assert_float_equal(trial_saved_share(&before), 100.0 / 1500, 1e-9);
	trial_since(&trial, &begun);
	assert_float_equal(trial_segments_per_burst(&trial), 1.04, 1e-9);
	/* of the host too; what fell was begun anew */
	begun = (struct trial_phase){
		.seconds = 7, .stats = { .writes = 9 }, .host_segments = 100, .host_retransmits = 5
	};
	trial = (struct trial_phase){
		.seconds = 9, .stats = { .writes = 8 }, .host_segments = 150, .host_retransmits = 6
	};
	trial_since(&trial, &begun);
	assert_float_equal(trial.seconds, 2, 1e-9);
	assert_int_equal(trial.stats.writes, 0);
	assert_int_equal(trial.host_segments, 50);
	assert_int_equal(trial.host_retransmits, 1);
	/* flows that were not looked at, counters that do not fit together */
	before.stats.segments = 50;
	assert_float_equal(trial_segments_predicted(&before), 0, 0);
	assert_float_equal(trial_segments_predicted(&idle), 0, 0);
	assert_float_equal(trial_segments_per_burst(&idle), 0, 0);
}

static void history_keeps_the_last_hour(void **state)
{
	struct history *history = calloc(1, sizeof(*history));
	json_t *json, *held;

	for (int i = 0; i < HISTORY_SAMPLES + 10; i++)
		history_add(history, 5.0 * i, &(struct ac_service_stats){ .held = 50ull * i });
	history_add(history, 5.0 * (HISTORY_SAMPLES + 10), &(struct ac_service_stats){ .held = 7 }); /* begun anew */
	json = history_json(history);
	held = json_object_get(json, "held");
	assert_int_equal(json_array_size(held), HISTORY_SAMPLES - 1);
	assert_int_equal(json_array_size(json_object_get(json, "time")), HISTORY_SAMPLES - 1);
	assert_float_equal(json_real_value(json_array_get(held, 0)), 10, 1e-9);
	assert_true(json_is_null(json_array_get(held, HISTORY_SAMPLES - 2)));
	assert_float_equal(json_real_value(json_array_get(json_object_get(json, "time"), 0)), 5.0 * 12, 1e-9);
	json_decref(json);
	free(history);
}

#define ID16 "0123456789abcdef"
#define ID64 ID16 ID16 ID16 ID16 /* a container's */

static void units_have_short_names(void **state)
{
	static const char *const cases[][2] = {
		{ "", "" },
		{ "/", "" },
		{ "/system.slice/nginx.service", "nginx.service" },
		{ "/system.slice/nginx.service/worker", "nginx.service" },
		{ "/user.slice/user-1000.slice/user@1000.service/app.slice/web.service", "web.service" },
		{ "/system.slice/docker-0123.scope", "docker-0123.scope" },
		{ "/system.slice/docker-0123.scope/init", "docker-0123.scope" },
		{ "/kubepods.slice/kubepods-besteffort.slice/cri-containerd-" ID64 ".scope",
		  "cri-containerd-" ID64 ".scope" },
		{ "/docker/" ID64, ID64 },
		{ "/lxc/web/init", "init" },
		{ "/a\nb", "a\\x0ab" },
	};
	char name[UNIT_NAME_LEN];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		unit_name_from_path(cases[i][0], name, sizeof(name));
		assert_string_equal(name, cases[i][1]);
	}
}

#define ID ID64
#define POD "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"
#define UID "0f7a3b52-91de-4c0a-8e55-000000000001"
#define UID_ "0f7a3b52_91de_4c0a_8e55_000000000001"
#define SLICE "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" UID_ ".slice/"

static void containers_are_known_by_their_cgroups(void **state)
{
	static const char *const inside[] = {
		"/docker/" ID,
		"/system.slice/docker-" ID ".scope",
		"/user.slice/user-1000.slice/user@1000.service/user.slice/docker-" ID ".scope",
		SLICE "cri-containerd-" ID ".scope",
		SLICE "crio-" ID ".scope",
		SLICE "crio-" ID ".scope/container",
		SLICE "docker-" ID ".scope",
		"/kubepods/burstable/pod" UID "/" ID,
		"/kubepods/besteffort/pod" UID "/crio-" ID,
		"/kubepods/pod" UID "/" ID "/init.scope",
		"/system.slice/containerd.service/kubepods-burstable-pod" UID_ ".slice:cri-containerd:" ID,
		"/system.slice/nerdctl-" ID ".scope",
		"/default/" ID,
		"/machine.slice/libpod-" ID ".scope",
		"/machine.slice/libpod-" ID ".scope/container",
		"/machine.slice/libpod-payload-" ID,
		"/machine.slice/machine-libpod_pod_" POD ".slice/libpod-" ID ".scope",
		"/libpod_parent/libpod_pod_" POD "/libpod-" ID,
		"/docker/" POD "/kubelet/kubepods/besteffort/pod" UID "/" ID, /* kind: the inner one */
		"/docker/" ID "/system.slice/nginx.service",
	};
	static const char *const outside[] = {
		"",
		"/",
		"/system.slice/nginx.service",
		"/user.slice/user-1000.slice/session-3.scope",
		SLICE,
		"/kubepods/burstable/pod" UID,
		"/machine.slice/libpod-conmon-" ID ".scope",
		SLICE "crio-conmon-" ID ".scope",
		"/machine.slice/machine-libpod_pod_" POD ".slice",
		"/libpod_parent/libpod_pod_" POD "/libpod-conmon-" ID,
		"/docker/" ID "0", /* 65 */
		"/docker/x" ID,
		"/docker/0123456789abcdef",
		"/docker/0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF",
		"/run-r0123456789abcdef0123456789abcdef.scope",
	};
	char id[CONTAINER_ID_LEN];

	for (size_t i = 0; i < AC_ARRAY_SIZE(inside); i++) {
		container_from_path(inside[i], id);
		if (strcmp(id, ID))
			fail_msg("%s: \"%s\"", inside[i], id);
	}
	for (size_t i = 0; i < AC_ARRAY_SIZE(outside); i++) {
		container_from_path(outside[i], id);
		if (*id)
			fail_msg("%s: \"%s\"", outside[i], id);
	}
}

static void budget_is_kept_without_swinging(void **state)
{
	static const struct {
		double share;	   /* of a CPU, while it looks */
		unsigned from, to; /* shift: one second in 2^shift */
	} steps[] = {
		{ 0, 0, 0 },	 { 0.0099, 0, 0 }, { 0.011, 0, 4 }, /* at once one in 16: 25 ns a write */
		{ 0.15, 0, 4 },	 { 0.17, 0, 5 },   { 0.6, 4, 6 },    { 1.1, 0, 7 },  { 64, 0, 7 },
		{ 0.011, 4, 4 }, { 0.0034, 4, 4 }, { 0.0033, 4, 0 }, /* three times less than the budget */
		{ 0.17, 7, 6 },	 { 0.1, 6, 5 },	   { 0.05, 7, 4 },   { 0.11, 5, 5 }, { 0, 7, 0 },
	};

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		unsigned shift = budget_step(steps[i].from, steps[i].share, 0.01);

		if (shift != steps[i].to)
			fail_msg("from %u at %.4f: %u, not %u", steps[i].from, steps[i].share, shift, steps[i].to);
		/* The same cost leaves it where it is. */
		assert_int_equal(budget_step(shift, steps[i].share, 0.01), shift);
	}
	assert_int_equal(budget_step(5, 1, 0), 0); /* no bound */
}

/* How often the cost is measured in `length` s, looked at each 5 s, with this traffic and share. */
static unsigned measured_times(struct budget_pace *pace, double from, double length, double traffic, double share)
{
	unsigned times = 0;

	for (double now = from; now < from + length; now += BUDGET_PACE_MIN_S) {
		if (!budget_measures(pace, now, traffic))
			continue;
		budget_measured(pace, now, traffic, share, 0.01);
		times++;
	}
	return times;
}

static void cost_is_measured_where_traffic_changes(void **state)
{
	struct budget_pace pace = { 0 };

	/* Idle: after 0, 5, 15, 35, 75, 155 s, then each 2 minutes. */
	assert_int_equal(measured_times(&pace, 0, 3600, 3, 0), 5 + 29);
	/* What an idle machine does now and then is no change; a program that begins is, at once, and when it ends. */
	assert_int_equal(measured_times(&pace, 3600, 10, 90, 0), 0);
	assert_int_equal(measured_times(&pace, 3610, 5, 5000, 0.001), 1);
	assert_int_equal(measured_times(&pace, 3615, 5, 5000, 0.001), 1);
	assert_int_equal(measured_times(&pace, 3620, 5, 4000, 0.001), 0);
	assert_int_equal(measured_times(&pace, 3625, 5, 0, 0), 1);
	/* Steady and far from the budget: rarely. Near it: each time. */
	pace = (struct budget_pace){ 0 };
	assert_int_equal(measured_times(&pace, 0, 3600, 5000, 0.0024), 5 + 29);
	/* It ends while nothing is due. */
	assert_int_equal(measured_times(&pace, 3600, 5, 0, 0), 1);
	assert_int_equal(measured_times(&pace, 3635, 600, 5000, 0.0026), 120);
	/* No bound: it is measured for the metrics only. */
	pace = (struct budget_pace){ .period = BUDGET_PACE_MAX_S };
	budget_measured(&pace, 0, 0, 0.5, 0);
	assert_true(pace.due == BUDGET_PACE_MAX_S);
}

/* Share of a time in which all is counted, with one who asks for `seconds` each second, and for how long at once. */
static double exact_share(struct budget_exact *exact, double from, double length, double seconds, double *shortest)
{
	double exact_s = 0, run = 0;

	*shortest = length;
	for (double now = from; now < from + length; now++) {
		if (budget_exact(exact, now, seconds, false) > now) {
			exact_s++;
			run++;
		} else if (run) {
			*shortest = run < *shortest ? run : *shortest;
			run = 0;
		}
	}
	return exact_s / length;
}

static void exact_counting_is_bounded(void **state)
{
	struct budget_exact exact = { 0 };
	double shortest;

	/* Who asks once has what was asked for, and no more of it is taken for what overlaps. */
	assert_true(budget_exact(&exact, 10000, 30, false) == 10030);
	assert_true(budget_exact(&exact, 10001, 5, false) == 10030);
	assert_true(budget_exact(&exact, 10020, 30, false) == 10050);
	assert_true(exact.used > 39.9 && exact.used < 50.1);
	assert_true(budget_exact(&exact, 20000, 3700, false) == 20600);
	/* Used up: one who must have it has it all the same. */
	assert_true(budget_exact(&exact, 20600, 3700, false) == 20600);
	assert_true(budget_exact(&exact, 20600, 17, true) == 20617);
	/* All who ask and ask: ten minutes at once, then a sixth of the time, in pieces that are worth it. */
	exact = (struct budget_exact){ 0 };
	assert_true(exact_share(&exact, 100000, 600, 12, &shortest) == 1);
	assert_true(exact_share(&exact, 100600, 36000, 12, &shortest) < 0.2);
	assert_true(shortest >= 12);
	assert_true(exact_share(&exact, 200000, 36000, 3700, &shortest) < 0.2);
	assert_true(shortest >= BUDGET_EXACT_MIN_S);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(verdicts),
		cmocka_unit_test(copies),
		cmocka_unit_test(figures),
		cmocka_unit_test(harm),
		cmocka_unit_test(counts_since),
		cmocka_unit_test(ids_are_stable),
		cmocka_unit_test(emitted_policy_is_valid),
		cmocka_unit_test(emitted_program_matches),
		cmocka_unit_test(trial_ends_for_the_right_reason),
		cmocka_unit_test(packets_saved),
		cmocka_unit_test(trial_predicts_segments),
		cmocka_unit_test(history_keeps_the_last_hour),
		cmocka_unit_test(units_have_short_names),
		cmocka_unit_test(emitted_policy_says_why),
		cmocka_unit_test(containers_are_known_by_their_cgroups),
		cmocka_unit_test(budget_is_kept_without_swinging),
		cmocka_unit_test(cost_is_measured_where_traffic_changes),
		cmocka_unit_test(exact_counting_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
