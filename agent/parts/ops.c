/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The operations of the control socket (docs/control.md): a feature adds its row to the table at the end. */
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/daemon.h"
#include "daemon/report.h"
#include "lib/array.h"
#include "lib/json.h"
#include "parts/endpoint_part.h"
#include "policy/explain.h"
#include "telemetry/series.h"
#include "telemetry/telemetry.h"

/* A growing array of what a visitor saw; items are written out as the client reads them. */
struct snapshot {
	struct daemon *daemon;
	char *rows;
	size_t row_size, count, room, at;
	json_t *(*item)(struct snapshot *snapshot, const void *row);
};

static void snapshot_free(void *context)
{
	struct snapshot *snapshot = context;

	if (!snapshot)
		return;
	free(snapshot->rows);
	free(snapshot);
}

static int snapshot_add(struct snapshot *snapshot, const void *row)
{
	if (!array_room(&snapshot->rows, snapshot->count, &snapshot->room, snapshot->row_size))
		return -1;
	memcpy(snapshot->rows + snapshot->count++ * snapshot->row_size, row, snapshot->row_size);
	return 0;
}

static json_t *snapshot_next(void *context)
{
	struct snapshot *snapshot = context;

	return snapshot->at < snapshot->count ?
		       snapshot->item(snapshot, snapshot->rows + snapshot->at++ * snapshot->row_size) :
		       NULL;
}

static void snapshot_list(struct control_client *client, struct snapshot *snapshot)
{
	control_list(client, &(struct control_list){ snapshot_next, snapshot_free, snapshot });
}

/* ------------------------------------------------------------------ flows */

struct flows_request {
	struct snapshot *snapshot;
	const char *program;
	json_int_t port, limit;
	int managed;
};

static int add_flow(const struct engine_flow *flow, void *context)
{
	const struct flows_request *wanted = context;
	char comm[AC_COMM_LEN + 1] = "";

	if (wanted->port && flow->local_port != wanted->port && flow->remote_port != wanted->port)
		return 0;
	if (wanted->managed && flow->wrapper == AC_WRAPPER_NONE)
		return 0;
	memcpy(comm, flow->comm, AC_COMM_LEN);
	if (wanted->program && fnmatch(wanted->program, comm, 0))
		return 0;
	if (snapshot_add(wanted->snapshot, flow))
		return -1;
	return wanted->limit && wanted->snapshot->count >= (size_t)wanted->limit;
}

static json_t *flow_item(struct snapshot *snapshot, const void *row)
{
	return report_flow(snapshot->daemon, row);
}

/* Who compares two readings asks for all flows in between: what a sample of few says may be twice what is true. */
static int count_all(struct daemon *daemon, const char *op, double seconds, struct fault *fault)
{
	if (!(seconds >= 0 && seconds <= TELEMETRY_EXACT_MAX_S))
		return fault_set(fault, EXIT_USAGE, "%s: exact_seconds is out of range: 0 to %.0f are allowed", op,
				 TELEMETRY_EXACT_MAX_S);
	telemetry_count_all(daemon, seconds, false);
	return 0;
}

static int op_flows(struct daemon *daemon, struct control_client *client, const json_t *request, struct fault *fault)
{
	struct flows_request wanted = { 0 };
	json_error_t error;
	const char *op;
	double exact = 0;

	if (json_unpack_ex((json_t *)request, &error, 0, "{ss s?I s?s s?b s?I s?F !}", "op", &op, "port", &wanted.port,
			   "program", &wanted.program, "managed", &wanted.managed, "limit", &wanted.limit,
			   "exact_seconds", &exact))
		return fault_set(fault, EXIT_USAGE, "flows: %s: it takes port, program, managed, limit, exact_seconds",
				 error.text);
	if (count_all(daemon, "flows", exact, fault))
		return -1;
	if (wanted.port < 0 || wanted.port > 65535 || wanted.limit < 0)
		return fault_set(fault, EXIT_USAGE,
				 "flows: port or limit out of range: a port is 1 to 65535, a limit above 0");
	wanted.snapshot = calloc(1, sizeof(*wanted.snapshot));
	if (!wanted.snapshot)
		return fault_set(fault, EXIT_FAILED, "flows: out of memory");
	*wanted.snapshot =
		(struct snapshot){ .daemon = daemon, .row_size = sizeof(struct engine_flow), .item = flow_item };
	if (engine_flows(daemon->engine, add_flow, &wanted) < 0) {
		snapshot_free(wanted.snapshot);
		return fault_set(fault, EXIT_FAILED, "flows: cannot be read from the kernel: see the agent's log");
	}
	snapshot_list(client, wanted.snapshot);
	return 0;
}

/* ------------------------------------------------------------------ services and status */

static int add_service(const struct engine_service *service, void *context)
{
	return snapshot_add(context, service);
}

static json_t *service_item(struct snapshot *snapshot, const void *row)
{
	const struct engine_service *service = row;

	return report_service(service, report_members(true), true);
}

static struct snapshot *services_snapshot(struct daemon *daemon, struct fault *fault)
{
	struct snapshot *snapshot = calloc(1, sizeof(*snapshot));

	if (!snapshot) {
		fault_set(fault, EXIT_FAILED, "services: out of memory");
		return NULL;
	}
	*snapshot = (struct snapshot){
		.daemon = daemon,
		.row_size = sizeof(struct engine_service),
		.item = service_item,
	};
	if (engine_services(daemon->engine, add_service, snapshot) < 0) {
		snapshot_free(snapshot);
		fault_set(fault, EXIT_FAILED, "services: cannot be read from the kernel: see the agent's log");
		return NULL;
	}
	return snapshot;
}

/* No operation without arguments may be given any: a client that means something by one would wait for it in vain. */
static int no_arguments(const json_t *request, const char *name, struct fault *fault)
{
	if (json_object_size(request) == 1)
		return 0;
	return fault_set(fault, EXIT_USAGE, "%s: it takes no arguments: send {\"op\": \"%s\"}", name, name);
}

static int op_services(struct daemon *daemon, struct control_client *client, const json_t *request, struct fault *fault)
{
	struct snapshot *snapshot;
	json_error_t error;
	const char *op;
	double exact = 0;

	if (json_unpack_ex((json_t *)request, &error, 0, "{ss s?F !}", "op", &op, "exact_seconds", &exact))
		return fault_set(fault, EXIT_USAGE, "services: %s: it takes exact_seconds", error.text);
	if (count_all(daemon, "services", exact, fault))
		return -1;
	snapshot = services_snapshot(daemon, fault);
	if (!snapshot)
		return -1;
	snapshot_list(client, snapshot);
	return 0;
}

/* Which services, and what of each. */
struct status_request {
	uint64_t members;
	json_int_t limit;
	bool all;
};

static int read_status_request(struct status_request *wanted, const json_t *request, struct fault *fault)
{
	json_t *fields = NULL;
	json_error_t error;
	const char *op;

	*wanted = (struct status_request){ .members = report_members(false) };
	if (json_unpack_ex((json_t *)request, &error, 0, "{ss s?o s?I !}", "op", &op, "fields", &fields, "limit",
			   &wanted->limit))
		return fault_set(fault, EXIT_USAGE, "status: %s: it takes fields, limit", error.text);
	if (wanted->limit < 0)
		return fault_set(fault, EXIT_USAGE, "status: limit is out of range: it is above 0");
	if (fields && !json_is_array(fields))
		return fault_set(fault, EXIT_USAGE, "status: fields is no list: name members of a service");
	wanted->all = !fields;
	return fields ? report_members_named(fields, &wanted->members, fault) : 0;
}

static json_t *totals_json(const struct engine_service *services, size_t count)
{
	struct engine_service sum = { 0 };
	json_t *object, *totals = json_object();
	const char *name;
	json_t *value;

	for (size_t i = 0; i < count; i++) {
		service_stats_add(&sum.stats, &services[i].stats);
		sum.managed += services[i].managed;
	}
	object = report_service(&sum, report_members(false), true);
	json_object_foreach(object, name, value)
		if (json_is_integer(value) && strcmp(name, "number") && strcmp(name, "port") && strcmp(name, "cgroup"))
			json_object_set(totals, name, value);
	json_decref(object);
	return totals;
}

static int by_writes(const void *x, const void *y)
{
	const struct engine_service *a = x, *b = y;

	return (a->stats.writes < b->stats.writes) - (a->stats.writes > b->stats.writes);
}

static int op_status(struct daemon *daemon, struct control_client *client, const json_t *request, struct fault *fault)
{
	const struct engine_feature *features;
	struct status_request wanted;
	struct engine_service *rows;
	struct snapshot *snapshot;
	json_t *services, *totals, *status;
	size_t count;

	if (read_status_request(&wanted, request, fault))
		return -1;
	snapshot = services_snapshot(daemon, fault);
	if (!snapshot)
		return -1;
	rows = (struct engine_service *)snapshot->rows;
	count = snapshot->count;
	totals = totals_json(rows, count);
	if (wanted.limit && count)
		qsort(rows, count, sizeof(*rows), by_writes);
	if (wanted.limit && (size_t)wanted.limit < count)
		count = wanted.limit;
	services = json_array();
	for (size_t i = 0; i < count; i++)
		json_array_append_new(services, report_service(&rows[i], wanted.members, wanted.all));
	snapshot_free(snapshot);
	features = engine_features(daemon->engine, &count);
	status = json_pack("{so so so so so}", "agent", report_agent(daemon), "features",
			   report_features(features, count), "policy", report_policy(daemon), "totals", totals,
			   "services", services);
	daemon_parts_status(daemon, status);
	control_reply(client, status);
	return 0;
}

/* ------------------------------------------------------------------ the rest */

static int op_doctor(struct daemon *daemon, struct control_client *client, const json_t *request, struct fault *fault)
{
	const struct engine_feature *features;
	size_t count;
	json_t *list;

	if (no_arguments(request, "doctor", fault))
		return -1;
	engine_try_rest(daemon->engine);
	features = engine_features(daemon->engine, &count);
	list = report_features(features, count);
	endpoint_part_doctor(daemon, list);
	control_reply(client, json_pack("{ss so}", "mode", report_mode(features, count), "features", list));
	return 0;
}

static int op_policy(struct daemon *daemon, struct control_client *client, const json_t *request, struct fault *fault)
{
	const char *op, *match = NULL;
	json_error_t error;
	json_t *reply;

	if (json_unpack_ex((json_t *)request, &error, 0, "{ss s?s !}", "op", &op, "match", &match))
		return fault_set(fault, EXIT_USAGE, "policy: %s: it takes match", error.text);
	if (!match)
		reply = policy_show_json(daemon->policy);
	else if (policy_explain(daemon->policy, match, &reply, fault))
		return -1;
	control_reply(client, reply);
	return 0;
}

static int op_reload(struct daemon *daemon, struct control_client *client, const json_t *request, struct fault *fault)
{
	if (no_arguments(request, "reload", fault) || daemon_reload(daemon, fault))
		return -1;
	control_reply(client, report_policy(daemon));
	return 0;
}

const struct control_op daemon_ops[] = {
	{ "status", CONTROL_READ, op_status },
	{ "services", CONTROL_READ, op_services },
	{ "flows", CONTROL_READ, op_flows },
	{ "doctor", CONTROL_READ, op_doctor },
	{ "policy", CONTROL_READ, op_policy },
	{ "reload", CONTROL_CHANGE, op_reload },
	{ "events", CONTROL_READ, telemetry_op_events },
	{ "responses", CONTROL_READ, telemetry_op_responses },
	{ "endpoint", CONTROL_READ, endpoint_op },
	{ "trial", CONTROL_CHANGE, telemetry_op_trial },
};

const size_t daemon_op_count = sizeof(daemon_ops) / sizeof(daemon_ops[0]);
