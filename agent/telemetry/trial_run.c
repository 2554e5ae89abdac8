/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "telemetry/trial_run.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/text.h"
#include "telemetry/advice.h"
#include "telemetry/series.h"
#include "telemetry/telemetry.h"
#include "telemetry/trial_judge.h"

#define STEP_US 1000000
#define BASELINE_MIN_S 2.0
#define BASELINE_MAX_S 15.0
#define TRIAL_MIN_S 2.0

enum phase { IDLE, BASELINE, TRIAL };

/* What the control socket keeps of us: clients may outlive the trial, which stops before the socket does. */
struct subscription {
	struct trial *trial; /* NULL once it is gone */
	struct control_client *client;
};

struct trial {
	struct daemon *daemon;
	struct subscription *subscription; /* NULL once the client is gone */
	sd_event_source *timer;
	enum phase phase;
	uint16_t port;
	uint8_t side;
	char program[AC_COMM_LEN * 4 + 1];
	double seconds, max_delay_us;	  /* seconds: of both phases */
	struct trial_phase begun, before; /* counters at the start of the phase; what the baseline showed */
};

/* Of all CPUs: a guest's time is in user and nice already; idle and iowait are no work. */
static double read_cpu(void)
{
	FILE *file = fopen("/proc/stat", "re");
	uint64_t user = 0, nice = 0, system = 0, irq = 0, softirq = 0;

	if (file && fscanf(file, "cpu %" SCNu64 " %" SCNu64 " %" SCNu64 " %*u %*u %" SCNu64 " %" SCNu64, &user, &nice,
			   &system, &irq, &softirq) != 5)
		user = nice = system = irq = softirq = 0;
	if (file)
		fclose(file);
	return (double)(user + nice + system + irq + softirq) / sysconf(_SC_CLK_TCK);
}

static void read_host(struct trial_phase *phase)
{
	FILE *file = fopen("/proc/net/snmp", "re");
	char line[512];
	uint64_t out, again;

	/* Tcp: RtoAlgorithm RtoMin RtoMax MaxConn ActiveOpens PassiveOpens AttemptFails EstabResets CurrEstab InSegs
	 * OutSegs RetransSegs */
	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "Tcp: %*d %*d %*d %*d %*d %*d %*d %*d %*d %*d %" SCNu64 " %" SCNu64, &out, &again) ==
		    2) {
			phase->host_segments = out;
			phase->host_retransmits = again;
		}
	}
	if (file)
		fclose(file);
}

static bool is_tried(const struct trial *trial, uint16_t port, uint8_t side, const char comm[AC_COMM_LEN])
{
	char program[sizeof(trial->program)];

	if (port != trial->port || (trial->side && side != trial->side))
		return false;
	text_clean(program, sizeof(program), comm, AC_COMM_LEN);
	return !*trial->program || !strcmp(program, trial->program);
}

static bool is_tried_flow(const struct trial *trial, const struct engine_flow *flow)
{
	return is_tried(trial, flow->side == AC_SIDE_CLIENT ? flow->remote_port : flow->local_port, flow->side,
			flow->comm);
}

struct reading {
	const struct trial *trial;
	struct trial_phase *phase;
};

static int add_service(const struct engine_service *service, void *context)
{
	struct reading *reading = context;
	const struct ac_service_key *key = &service->key;

	if (service->number && is_tried(reading->trial, key->port, key->side, key->comm))
		service_stats_add(&reading->phase->stats, &service->stats);
	return 0;
}

static int read_phase(const struct trial *trial, struct trial_phase *phase)
{
	struct reading reading = { trial, phase };

	memset(phase, 0, sizeof(*phase));
	phase->seconds = monotonic_seconds();
	phase->host_cpu = read_cpu();
	read_host(phase);
	return engine_services(trial->daemon->engine, add_service, &reading) < 0 ? -1 : 0;
}

/* ------------------------------------------------------------------ its policy */

struct tuning {
	const struct trial *trial;
	const struct policy_config *config; /* NULL: no flow of the service is open */
};

static int find_config(const struct engine_flow *flow, void *context)
{
	struct tuning *tuning = context;
	const struct policy_set *policy = tuning->trial->daemon->policy;

	if (!is_tried_flow(tuning->trial, flow) || flow->policy >= policy->policy_count)
		return 0;
	tuning->config = &policy->origins[flow->policy].config;
	return 1;
}

/* The text is malloc()ed; NULL without memory. */
static char *write_policy(const struct trial *trial)
{
	struct tuning tuning = { .trial = trial };
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	fputs("[policy autocork-trial]\nmode = autocork\nadopt = yes\n", out);
	advice_conditions(out, trial->port, trial->side, trial->program);
	/* Only the mode is on trial: the rest stays as the service's own policy has it. */
	engine_flows(trial->daemon->engine, find_config, &tuning);
	if (tuning.config) {
		fprintf(out, "max_hold = %uus\nburst_gap = %uus\nconfidence = %.3f\npacket_worth = %uus\n",
			tuning.config->max_hold_us, tuning.config->burst_gap_us, tuning.config->confidence,
			tuning.config->packet_worth_us);
		if (tuning.config->rto_min_us)
			fprintf(out, "rto_min = %uus\n", tuning.config->rto_min_us);
	}
	if (fclose(out)) {
		free(text);
		return NULL;
	}
	return text;
}

static int put_in_force(const struct trial *trial, struct fault *fault)
{
	char *text = write_policy(trial);
	int result = text ? daemon_overlay(trial->daemon, text, fault) : fault_set(fault, EXIT_FAILED, "out of memory");

	free(text);
	return result;
}

/* Is nothing of the trial in force any more? */
static bool end(struct trial *trial)
{
	struct fault fault;

	trial->timer = sd_event_source_disable_unref(trial->timer);
	trial->phase = IDLE;
	if (!trial->daemon->overlay || !daemon_overlay(trial->daemon, NULL, &fault))
		return true;
	log_error("trial: its policy is still in force: %s: reload, or start the agent again", fault.text);
	return false;
}

/* ------------------------------------------------------------------ its course */

static json_t *phase_json(const struct trial_phase *phase)
{
	const struct ac_service_stats *stats = &phase->stats;
#define N(value) ((json_int_t)(value))

	return json_pack("{sf sf sI sI sI sI sI sI sI sf sf}", "seconds", phase->seconds, "cpu_seconds",
			 phase->host_cpu, "writes", N(stats->writes), "bursts", N(stats->bursts), "held",
			 N(stats->held), "shadow_held", N(stats->shadow_held), "misses", N(stats->misses), "segments",
			 N(stats->segments), "retransmits", N(phase->host_retransmits), "saved_share",
			 trial_saved_share(phase), "hold_p99_us", trial_hold_p99(phase));
}

static void push(struct trial *trial, json_t *item)
{
	if (trial->subscription)
		control_push(trial->subscription->client, item);
	else
		json_decref(item);
}

static void push_phase(struct trial *trial, const struct trial_phase *counts)
{
	push(trial, json_pack("{ss so}", "phase", trial->phase == BASELINE ? "before" : "trial", "counts",
			      phase_json(counts)));
}

static void finish(struct trial *trial, const struct trial_phase *phase, enum trial_verdict verdict, bool early)
{
	double predicted = trial_saved_share(&trial->before), saved = trial_saved_share(phase);
	bool taken_back = end(trial);

	log_info("trial of port %u: %s%s: saved %.1f%% of the writes, %.1f%% were predicted", trial->port,
		 trial_verdict_name(verdict), early ? ", ended early" : "", saved * 100, predicted * 100);
	push(trial, json_pack("{ss ss sb sb sb so so sf sf s{sf sf sf}}", "phase", "done", "verdict",
			      trial_verdict_name(verdict), "early", early, "taken_back", taken_back, "gain",
			      trial_gains(&trial->before, phase), "before", phase_json(&trial->before), "trial",
			      phase_json(phase), "predicted_saved_share", predicted, "saved_share", saved,
			      "segments_per_burst", "before", trial_segments_per_burst(&trial->before), "predicted",
			      trial_segments_predicted(&trial->before), "trial", trial_segments_per_burst(phase)));
}

static void failed(struct trial *trial, const char *why)
{
	bool taken_back = end(trial);

	push(trial,
	     json_pack("{ss so sb}", "phase", "failed", "error", json_text_or_null(why), "taken_back", taken_back));
}

static void begin_trial(struct trial *trial)
{
	struct fault fault;

	fault_set(&fault, EXIT_FAILED, "services cannot be read from the kernel");
	if (put_in_force(trial, &fault) || read_phase(trial, &trial->begun)) {
		log_error("trial of port %u: %s", trial->port, fault.text);
		failed(trial, fault.text);
		return;
	}
	trial->phase = TRIAL;
	/* At once, so that the client counts the responses from now on as those of the trial. */
	push_phase(trial, &(struct trial_phase){ 0 });
}

static int on_time(sd_event_source *source, uint64_t usec, void *context)
{
	struct trial *trial = context;
	double baseline = fmin(fmax(trial->seconds / 4, BASELINE_MIN_S), BASELINE_MAX_S);
	double rest = fmax(trial->seconds - baseline, TRIAL_MIN_S);
	struct trial_phase now;
	enum trial_verdict verdict;
	bool over;

	sd_event_source_set_time_relative(source, STEP_US);
	if (read_phase(trial, &now)) {
		failed(trial, "services cannot be read from the kernel");
		return 0;
	}
	over = now.seconds - trial->begun.seconds >= (trial->phase == BASELINE ? baseline : rest);
	trial_since(&now, &trial->begun);
	if (trial->phase == BASELINE) {
		push_phase(trial, &now);
		if (!over)
			return 0;
		trial->before = now;
		begin_trial(trial);
		return 0;
	}
	verdict = (over ? trial_conclude : trial_judge)(&trial->before, &now, trial->max_delay_us);
	if (verdict != TRIAL_GOOD || over)
		finish(trial, &now, verdict, !over);
	else
		push_phase(trial, &now);
	return 0;
}

static void client_gone(void *context)
{
	struct subscription *subscription = context;
	struct trial *trial = subscription->trial;

	/* A client of an earlier trial may go only now. */
	if (trial && trial->subscription == subscription) {
		trial->subscription = NULL;
		if (trial->phase != IDLE)
			log_info("trial of port %u: client disconnected: the policy is taken back", trial->port);
		end(trial);
	}
	free(subscription);
}

/* What the list of one item is made of, at the end of an interrupted trial. */
static json_t *next_item(void *context)
{
	json_t **item = context, *next = item ? *item : NULL;

	if (item)
		*item = NULL;
	return next;
}

static void free_item(void *context)
{
	json_t **item = context;

	json_decref(item ? *item : NULL);
	free(item);
}

/* The client has seen enough, and wants to hear that nothing of it is in force. */
static void interrupted(void *context)
{
	struct subscription *subscription = context;
	struct trial *trial = subscription->trial;
	json_t **item = calloc(1, sizeof(*item));
	bool taken_back = true;

	if (trial && trial->subscription == subscription) {
		trial->subscription = NULL;
		if (trial->phase != IDLE)
			log_info("trial of port %u: interrupted: the policy is taken back", trial->port);
		taken_back = end(trial);
	}
	if (item)
		*item = json_pack("{ss sb}", "phase", "interrupted", "taken_back", taken_back);
	control_list(subscription->client, &(struct control_list){ next_item, free_item, item });
	free(subscription);
}

/* Whoever listened before is answered no more. */
static int subscribe(struct trial *trial, struct control_client *client)
{
	struct subscription *subscription = calloc(1, sizeof(*subscription));

	if (!subscription)
		return -1;
	*subscription = (struct subscription){ trial, client };
	if (trial->subscription)
		trial->subscription->trial = NULL;
	trial->subscription = subscription;
	control_subscribe(client, client_gone, subscription);
	control_on_end(client, interrupted);
	return 0;
}

int trial_run(struct trial *trial, struct control_client *client, const json_t *request, struct fault *fault)
{
	const char *op, *program = "", *side = "any";
	json_int_t port = 0;
	double seconds = 60, max_delay_us = 10000;
	json_error_t error;

	if (json_unpack_ex((json_t *)request, &error, 0, "{ss sI s?s s?s s?F s?F !}", "op", &op, "port", &port,
			   "program", &program, "side", &side, "seconds", &seconds, "max_delay_us", &max_delay_us))
		return fault_set(fault, EXIT_USAGE, "trial: %s: it takes port, program, side, seconds, max_delay_us",
				 error.text);
	if (port < 1 || port > 65535 || !(seconds >= 1 && seconds <= 86400) ||
	    !(max_delay_us >= 1 && max_delay_us <= 1e6))
		return fault_set(fault, EXIT_USAGE,
				 "trial: out of range: port 1 to 65535, seconds 1 to 86400, max_delay_us 1 to 1000000");
	if (strcmp(side, "any") && strcmp(side, "server") && strcmp(side, "client"))
		return fault_set(fault, EXIT_USAGE, "trial: side %.20s: server, client or any", side);
	if (trial->phase != IDLE)
		return fault_set(fault, EXIT_FAILED, "trial: one is under way for port %u: wait until it has ended",
				 trial->port);
	trial->port = port;
	trial->side = !strcmp(side, "server") ? AC_SIDE_SERVER : !strcmp(side, "client") ? AC_SIDE_CLIENT : AC_SIDE_ANY;
	text_clean(trial->program, sizeof(trial->program), program, AC_COMM_LEN);
	trial->seconds = seconds;
	trial->max_delay_us = max_delay_us;
	/* What is managed is always counted, but what is compared with it is not. */
	telemetry_count_all(trial->daemon, BASELINE_MAX_S + 2 * STEP_US * 1e-6, true);
	if (read_phase(trial, &trial->begun) || subscribe(trial, client))
		return fault_set(fault, EXIT_FAILED, "trial: cannot begin: see the agent's log");
	trial->phase = BASELINE;
	if (sd_event_add_time_relative(trial->daemon->loop, &trial->timer, CLOCK_MONOTONIC, STEP_US, 0, on_time,
				       trial) < 0 ||
	    sd_event_source_set_enabled(trial->timer, SD_EVENT_ON) < 0) {
		failed(trial, "no event source");
	}
	return 0;
}

struct trial *trial_new(struct daemon *daemon)
{
	struct trial *trial = calloc(1, sizeof(*trial));

	if (!trial)
		return NULL;
	trial->daemon = daemon;
	return trial;
}

void trial_free(struct trial *trial)
{
	if (!trial)
		return;
	trial->timer = sd_event_source_disable_unref(trial->timer);
	/* The agent stops: every flow is given back anyway. */
	if (trial->subscription)
		trial->subscription->trial = NULL;
	free(trial);
}
