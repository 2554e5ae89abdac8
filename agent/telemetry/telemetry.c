/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "telemetry/telemetry.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <autocork/event.h>

#include "daemon/report.h"
#include "lib/clock.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/text.h"
#include "lib/version.h"
#include "parts/endpoint_part.h"
#include "telemetry/event_hub.h"
#include "telemetry/fastpath.h"
#include "telemetry/history.h"
#include "telemetry/http.h"
#include "telemetry/metrics.h"
#include "telemetry/overview.h"
#include "telemetry/response_watch.h"
#include "telemetry/sampling.h"
#include "telemetry/selfcost.h"
#include "telemetry/series.h"
#include "telemetry/trial_run.h"
#include "telemetry/unit_names.h"
#include "telemetry/web.h"

#define HTTP_IDLE_S 30 /* a scraper that comes every 15 s keeps its connection */
#define HTTP_REQUEST_S 60

struct telemetry {
	struct daemon *daemon;
	struct metrics *metrics;
	unsigned series; /* of one service that they were made for */
	struct unit_names *names;
	struct selfcost *cost;
	struct http *http;
	struct trial *trial;
	struct event_hub *events;
	struct response_watch *watches;
	uint32_t reloads; /* that were told of */
	struct sampling *sampling;
	struct history history;
	sd_event_source *timer;
	double scrape_seconds;
	char address[108]; /* asked for; "" = off */
	char refused[512]; /* why nothing is served there; "" = it is, or is not wanted */
};

struct collection {
	struct telemetry *telemetry;
	struct telemetry_snapshot *snapshot;
};

static int collect_service(const struct engine_service *service, void *context)
{
	struct collection *collection = context;
	struct telemetry_snapshot *snapshot = collection->snapshot;
	struct telemetry_service *to;

	if (snapshot->service_count == AC_SERVICES_MAX)
		return 1;
	to = &snapshot->services[snapshot->service_count++];
	*to = (struct telemetry_service){
		.port = service->key.port,
		.side = service->key.side,
		.overflow = service->number == 0,
		.stats = service->stats,
	};
	text_clean(to->comm, sizeof(to->comm), service->key.comm, sizeof(service->key.comm));
	memcpy(to->unit, unit_name(collection->telemetry->names, service->key.cgroup), sizeof(to->unit));
	snprintf(to->container, sizeof(to->container), "%s",
		 unit_container(collection->telemetry->names, service->key.cgroup));
	return 0;
}

static uint64_t count_descriptors(void)
{
	DIR *directory = opendir("/proc/self/fd");
	uint64_t count = 0;

	while (directory && readdir(directory))
		count++;
	if (directory)
		closedir(directory);
	return count > 3 ? count - 3 : 0; /* ".", ".." and the directory's own */
}

static uint64_t resident_bytes(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	unsigned long size, resident = 0;

	if (file && fscanf(file, "%lu %lu", &size, &resident) != 2)
		resident = 0;
	if (file)
		fclose(file);
	return (uint64_t)resident * sysconf(_SC_PAGESIZE);
}

static void collect_agent(struct telemetry *telemetry, struct telemetry_agent *agent)
{
	const struct daemon *daemon = telemetry->daemon;
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	agent->version = AUTOCORK_VERSION;
	agent->mode = report_daemon_mode(daemon);
	agent->start_time = daemon->started;
	agent->cpu_seconds = usage.ru_utime.tv_sec + usage.ru_stime.tv_sec +
			     (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
	agent->memory_bytes = resident_bytes();
	agent->descriptors = count_descriptors();
	agent->reload_good = daemon->reload.ok;
	agent->reload_time = daemon->reload.at;
	agent->reloads_good = daemon->reload.good;
	agent->reloads_failed = daemon->reload.bad;
	agent->in_force = !report_unmet(daemon);
	/* The built-in one is none of them. */
	agent->policies = daemon->policy->policy_count - 1;
	agent->sampling = 1.0 / sampling_one_in(telemetry->sampling);
	agent->flows_lost = engine_flows_lost(daemon->engine);
	agent->events_lost = event_hub_lost(telemetry->events);
	agent->scrape_seconds = telemetry->scrape_seconds;
	if (telemetry->http) {
		struct http_counters counters = http_counters(telemetry->http);

		agent->http_requests = counters.requests;
		agent->http_refused = counters.refused;
	}
}

/* The services are to be freed by the caller. */
static int collect(struct telemetry *telemetry, struct telemetry_snapshot *snapshot)
{
	struct collection collection = { telemetry, snapshot };

	*snapshot = (struct telemetry_snapshot){ .services = calloc(AC_SERVICES_MAX, sizeof(*snapshot->services)) };
	if (!snapshot->services)
		return -1;
	if (engine_services(telemetry->daemon->engine, collect_service, &collection) < 0) {
		log_error("telemetry: services cannot be read from the kernel");
		free(snapshot->services);
		return -1;
	}
	snapshot->features = engine_features(telemetry->daemon->engine, &snapshot->feature_count);
	collect_agent(telemetry, &snapshot->agent);
	selfcost_snapshot(telemetry->cost, snapshot);
	fastpath_snapshot(telemetry->daemon->options.control, snapshot);
	snapshot->steer_count = steer_counters(snapshot->steer, TELEMETRY_STEER_MAX);
	snapshot->has_endpoint = endpoint_part_sum(telemetry->daemon, &snapshot->endpoint);
	return 0;
}

/* ------------------------------------------------------------------ HTTP */

static int answer_metrics(void *context, const struct http_request *request, struct http_answer *answer)
{
	struct telemetry *telemetry = context;
	enum metrics_format format = metrics_format_accepted(request->accept);
	double start = monotonic_seconds();
	struct telemetry_snapshot snapshot;
	char *page = NULL;
	int written;
	FILE *out;

	if (collect(telemetry, &snapshot))
		return -1;
	out = open_memstream(&page, &answer->size);
	written = out ? metrics_write(telemetry->metrics, &snapshot, format, out) : -1;
	free(snapshot.services);
	if (out && fclose(out))
		written = -1;
	telemetry->scrape_seconds = monotonic_seconds() - start;
	answer->type = metrics_content_type(format);
	answer->body = answer->to_free = page;
	if (written < 0)
		free(page);
	return written < 0 ? -1 : 0;
}

static int answer_overview(void *context, const struct http_request *request, struct http_answer *answer)
{
	struct telemetry *telemetry = context;
	struct telemetry_snapshot snapshot;
	json_t *overview;
	char *text;

	if (collect(telemetry, &snapshot))
		return -1;
	overview = overview_json(&snapshot, &telemetry->history, clock_seconds(CLOCK_REALTIME),
				 report_daemon_mode(telemetry->daemon));
	free(snapshot.services);
	text = json_dumps(overview, JSON_COMPACT);
	json_decref(overview);
	if (!text)
		return -1;
	answer->type = "application/json";
	answer->body = answer->to_free = text;
	answer->size = strlen(text);
	return 0;
}

static int answer_good(void *context, const struct http_request *request, struct http_answer *answer)
{
	answer->type = "text/plain; charset=utf-8";
	answer->body = "OK\n";
	answer->size = 3;
	return 0;
}

/* What the files ask for is in force: an orchestrator goes on to the next host only then. */
static int answer_ready(void *context, const struct http_request *request, struct http_answer *answer)
{
	const struct telemetry *telemetry = context;
	const char *why = report_unmet(telemetry->daemon);
	char *body;

	if (!why)
		return answer_good(context, request, answer);
	if (asprintf(&body, "%s\n", why) < 0)
		return -1;
	answer->type = "text/plain; charset=utf-8";
	answer->body = answer->to_free = body;
	answer->status = 503;
	answer->size = strlen(body);
	return 0;
}

#define FILE_ROUTE(path, name) { path, NULL, answer_##name },
#define FILE_ANSWER(path, name, mime) \
	static int answer_##name(void *context, const struct http_request *request, struct http_answer *answer) \
	{ \
		answer->type = mime; \
		answer->body = web_##name; \
		answer->size = web_##name##_end - web_##name; \
		return 0; \
	}
#define X(path, name, mime) FILE_ANSWER(path, name, mime)
WEB_FILES(X)
#undef X

static const struct http_route routes[] = {
	/* clang-format off */
	{ "/metrics", NULL, answer_metrics },
	{ "/-/healthy", NULL, answer_good },
	{ "/-/ready", NULL, answer_ready },
	{ "/api/overview", NULL, answer_overview },
#define X(path, name, mime) FILE_ROUTE(path, name)
	WEB_FILES(X)
#undef X
	/* clang-format on */
};

/* The agent does its work without a page; that it is missing is said once, and in the status. */
static void serve(struct telemetry *telemetry)
{
	const struct policy_endpoint *wanted = &telemetry->daemon->policy->agent.metrics;
	const char *address = wanted->length ? wanted->text : "";
	struct http_options options = {
		.address = address,
		.idle_s = HTTP_IDLE_S,
		.request_s = HTTP_REQUEST_S,
		.routes = routes,
		.route_count = AC_ARRAY_SIZE(routes),
		.context = telemetry,
	};
	struct fault fault;

	if (!strcmp(address, telemetry->address))
		return;
	snprintf(telemetry->address, sizeof(telemetry->address), "%s", address);
	http_stop(telemetry->http);
	telemetry->http = NULL;
	*telemetry->refused = '\0';
	if (!*address)
		return;
	if (http_start(&telemetry->http, telemetry->daemon->loop, &options, &fault)) {
		log_warning("%s; the agent goes on without metrics and web page", fault.text);
		snprintf(telemetry->refused, sizeof(telemetry->refused), "%s", fault.text);
		*telemetry->address = '\0'; /* a reload tries again */
		return;
	}
	log_info("metrics at %s/metrics, web page at %s/", http_url(telemetry->http), http_url(telemetry->http));
}

/* ------------------------------------------------------------------ the part */

static double budget_of(void *context)
{
	const struct daemon *daemon = context;

	return daemon->policy->agent.budget;
}

void telemetry_count_all(struct daemon *daemon, double seconds, bool is_sure)
{
	struct telemetry *telemetry = daemon_part_data(daemon, "telemetry");

	if (telemetry)
		sampling_count_all(telemetry->sampling, seconds, is_sure);
}

static int on_time(sd_event_source *source, uint64_t usec, void *context)
{
	struct telemetry *telemetry = context;
	unsigned period_s = sampling_one_in(telemetry->sampling);
	struct ac_service_stats totals;

	/* A rate is that of whole turns of the sampling. */
	if (period_s < HISTORY_PERIOD_S)
		period_s = HISTORY_PERIOD_S;
	engine_totals(telemetry->daemon->engine, &totals);
	history_add(&telemetry->history, clock_seconds(CLOCK_REALTIME), &totals);
	return sd_event_source_set_time_relative(source, period_s * 1000000ull);
}

/* Another number of series starts a new choice of services that have their own. */
static void take_series(struct telemetry *telemetry)
{
	unsigned wanted = telemetry->daemon->policy->agent.series;
	struct metrics *metrics;

	if (telemetry->metrics && wanted == telemetry->series)
		return;
	metrics = metrics_new(wanted);
	if (!metrics)
		return;
	metrics_free(telemetry->metrics);
	telemetry->metrics = metrics;
	telemetry->series = wanted;
}

int telemetry_start(struct daemon *daemon, void **data, struct fault *fault)
{
	struct telemetry *telemetry = calloc(1, sizeof(*telemetry));

	if (!telemetry)
		return fault_set(fault, EXIT_FAILED, "telemetry: out of memory");
	telemetry->daemon = daemon;
	telemetry->reloads = daemon->reload.good + daemon->reload.bad;
	take_series(telemetry);
	telemetry->names = unit_names_new();
	telemetry->cost = selfcost_new();
	telemetry->events = event_hub_new(daemon, telemetry->names);
	if (telemetry->cost && telemetry->events)
		telemetry->sampling = sampling_start(daemon->loop, daemon->engine, telemetry->cost, telemetry->events,
						     budget_of, daemon);
	if (!telemetry->events || !telemetry->metrics || !telemetry->names || !telemetry->sampling ||
	    sd_event_add_time_relative(daemon->loop, &telemetry->timer, CLOCK_MONOTONIC, 0, 0, on_time, telemetry) <
		    0 ||
	    sd_event_source_set_enabled(telemetry->timer, SD_EVENT_ON) < 0) {
		telemetry_stop(telemetry);
		return fault_set(fault, EXIT_FAILED, "telemetry: out of memory or event sources");
	}
	telemetry->trial = trial_new(daemon);
	serve(telemetry);
	*data = telemetry;
	return 0;
}

void telemetry_stop(void *data)
{
	struct telemetry *telemetry = data;

	trial_free(telemetry->trial);
	http_stop(telemetry->http);
	response_watches_stop(&telemetry->watches);
	sampling_stop(telemetry->sampling);
	event_hub_free(telemetry->events);
	sd_event_source_disable_unref(telemetry->timer);
	selfcost_free(telemetry->cost);
	unit_names_free(telemetry->names);
	metrics_free(telemetry->metrics);
	free(telemetry);
}

void telemetry_reloaded(struct daemon *daemon, void *data)
{
	struct telemetry *telemetry = data;
	const struct reload_state *reload = &daemon->reload;

	bool reloaded = reload->good + reload->bad != telemetry->reloads;

	telemetry->reloads = reload->good + reload->bad;
	if (reloaded)
		event_hub_note(telemetry->events, AC_EVENT_RELOAD,
			       json_pack("{sb so}", "ok", reload->ok, "error",
					 reload->ok ? json_null() : json_text(reload->error, sizeof(reload->error))));
	if (reload->ok || !reloaded)
		event_hub_note(telemetry->events, AC_EVENT_POLICY_CHANGED,
			       json_pack("{sI}", "policies", (json_int_t)daemon->policy->policy_count - 1));
	sampling_measure_soon(telemetry->sampling);
	take_series(telemetry);
	serve(telemetry);
}

void telemetry_note(struct daemon *daemon, uint32_t type, json_t *detail)
{
	struct telemetry *telemetry = daemon_part_data(daemon, "telemetry");

	if (telemetry)
		event_hub_note(telemetry->events, type, detail);
	else
		json_decref(detail);
}

void telemetry_status(struct daemon *daemon, void *data, json_t *status)
{
	struct telemetry *telemetry = data;
	char url[144];

	if (telemetry->http) {
		snprintf(url, sizeof(url), "%s/metrics", http_url(telemetry->http));
		json_object_set_new(status, "metrics_url", json_string(url));
	} else {
		json_object_set_new(status, "metrics_url", json_null());
	}
	json_object_set_new(status, "metrics_error",
			    json_text_or_null(*telemetry->refused ? telemetry->refused : NULL));
	json_object_set_new(status, "telemetry",
			    json_pack("{sf sf so sI}", "sampling", 1.0 / sampling_one_in(telemetry->sampling),
				      "cpu_share", selfcost_share(telemetry->cost), "series",
				      telemetry->series == POLICY_SERIES_ALL ? json_null() :
									       json_integer(telemetry->series),
				      "metrics_added_up", (json_int_t)metrics_added_up(telemetry->metrics)));
}

int telemetry_op_trial(struct daemon *daemon, struct control_client *client, const json_t *request, struct fault *fault)
{
	struct telemetry *telemetry = daemon_part_data(daemon, "telemetry");

	if (!telemetry || !telemetry->trial)
		return fault_set(fault, EXIT_FAILED, "trial: the agent is starting or stopping: try again");
	return trial_run(telemetry->trial, client, request, fault);
}

int telemetry_op_events(struct daemon *daemon, struct control_client *client, const json_t *request,
			struct fault *fault)
{
	struct telemetry *telemetry = daemon_part_data(daemon, "telemetry");

	if (!telemetry)
		return fault_set(fault, EXIT_FAILED, "events: the agent is starting or stopping: try again");
	return event_hub_subscribe(telemetry->events, client, request, fault);
}

int telemetry_op_responses(struct daemon *daemon, struct control_client *client, const json_t *request,
			   struct fault *fault)
{
	struct telemetry *telemetry = daemon_part_data(daemon, "telemetry");

	if (!telemetry)
		return fault_set(fault, EXIT_FAILED, "responses: the agent is starting or stopping: try again");
	return response_watch_subscribe(&telemetry->watches, daemon->engine, client, request, fault);
}
