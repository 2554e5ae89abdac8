/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "policy/explain.h"

#include <autocork/policy_match.h>

#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "lib/memory.h"
#include "policy/keys.h"
#include "policy/rank.h"
#include "policy/steered.h"

struct flow {
	const struct policy_set *set;
	struct ac_facts facts;
	bool peer_known;
	char cgroup[4096]; /* empty: not known */
};

#define FLOW_FORM "write it as 'port=443 side=server peer=10.0.0.1 program=nginx cgroup=/a/b'"

/* Reads one value with the parser of the key of that name, so that --match and the files agree on what is
 * well-formed. */
static int read_value(const char *key_name, const char *text, void *values, struct fault *fault)
{
	const struct policy_key *key =
		&policy_section_kind(POLICY_SECTION_POLICY)->keys[policy_key_find(POLICY_SECTION_POLICY, key_name)];
	char *reason = policy_key_set(key, values, text);

	if (!reason)
		return 0;
	fault_set(fault, EXIT_USAGE, "%s: %s: " FLOW_FORM, text, reason);
	free(reason);
	return -1;
}

static int read_port(struct flow *flow, const char *text, struct policy_config *config, struct fault *fault)
{
	if (read_value("ports", text, config, fault))
		return -1;
	if (config->ports.count != 1 || config->ports.list[0].first != config->ports.list[0].last)
		return fault_set(fault, EXIT_USAGE, "port=%s: not one port: " FLOW_FORM, text);
	flow->facts.port = config->ports.list[0].first;
	return 0;
}

static int read_side(struct flow *flow, const char *text, struct policy_config *config, struct fault *fault)
{
	if (read_value("side", text, config, fault))
		return -1;
	if (config->side == AC_SIDE_ANY)
		return fault_set(fault, EXIT_USAGE, "side=any: a flow has one side, server or client: " FLOW_FORM);
	flow->facts.side = config->side;
	return 0;
}

static int read_peer(struct flow *flow, const char *text, struct policy_config *config, struct fault *fault)
{
	if (read_value("peers", text, config, fault))
		return -1;
	if (config->peers.count != 1 || config->peers.list[0].bits != 128)
		return fault_set(fault, EXIT_USAGE, "peer=%s: not one address: " FLOW_FORM, text);
	memcpy(flow->facts.peer, config->peers.list[0].address, sizeof(flow->facts.peer));
	flow->peer_known = true;
	return 0;
}

static int read_program(struct flow *flow, const char *text, struct policy_config *config, struct fault *fault)
{
	/* As the kernel does: a longer name is cut. */
	snprintf(flow->facts.comm, sizeof(flow->facts.comm), "%s", text);
	return 0;
}

static int read_cgroup(struct flow *flow, const char *text, struct policy_config *config, struct fault *fault)
{
	if (read_value("cgroups", text, config, fault))
		return -1;
	snprintf(flow->cgroup, sizeof(flow->cgroup), "%s", config->cgroups.list[0]);
	return 0;
}

static const struct {
	const char *name;
	int (*read)(struct flow *flow, const char *text, struct policy_config *config, struct fault *fault);
} words[] = {
	{ "port", read_port },	     { "side", read_side },	{ "peer", read_peer },
	{ "program", read_program }, { "cgroup", read_cgroup },
};

static int read_word(struct flow *flow, char *word, struct fault *fault)
{
	struct policy_config config = { 0 };
	char *value = strchr(word, '=');
	int result;

	for (size_t i = 0; value && value[1] && i < AC_ARRAY_SIZE(words); i++) {
		if (strlen(words[i].name) != (size_t)(value - word) ||
		    strncmp(words[i].name, word, (size_t)(value - word)))
			continue;
		result = words[i].read(flow, value + 1, &config, fault);
		policy_values_clear(POLICY_SECTION_POLICY, &config);
		return result;
	}
	return fault_set(fault, EXIT_USAGE, "%.100s: neither port, side, peer, program nor cgroup: " FLOW_FORM, word);
}

static int read_flow(struct flow *flow, const char *text, struct fault *fault)
{
	char *copy = memory_string(text), *rest = copy, *word;
	int result = 0;

	while (!result && (word = strsep(&rest, " ,\t"))) {
		if (*word)
			result = read_word(flow, word, fault);
	}
	free(copy);
	if (!result && !flow->facts.port)
		result = fault_set(fault, EXIT_USAGE, "%.100s: no port: " FLOW_FORM, *text ? text : "--match");
	return result;
}

/* A flow's cgroup is known by its path here, not by its id, so that a question can be asked about what does not run. */
static bool in_cgroup(uint64_t id, void *context)
{
	const struct flow *flow = context;

	for (size_t i = 0; i < flow->set->cgroup_count; i++) {
		const struct policy_cgroup *cgroup = &flow->set->cgroups[i];
		size_t length = strlen(cgroup->path);

		if (cgroup->id == id && !strncmp(flow->cgroup, cgroup->path, length) &&
		    (!flow->cgroup[length] || flow->cgroup[length] == '/'))
			return true;
	}
	return false;
}

/* The first condition of a rule that the flow does not meet, NULL if it meets all. */
static const char *unmet(struct flow *flow, const struct ac_rule *rule)
{
	struct ac_rule one = { .side = rule->side };

	if (!ac_rule_matches(&one, &flow->facts))
		return "side";
	if (rule->peer_bits && (!flow->peer_known || !ac_peer_matches(rule->peer, rule->peer_bits, flow->facts.peer)))
		return "peers";
	if (rule->program[0] && !ac_glob_match(rule->program, flow->facts.comm))
		return "programs";
	if (rule->cgroup && (rule->cgroup == AC_CGROUP_UNRESOLVED || !in_cgroup(rule->cgroup, flow)))
		return "cgroups";
	return NULL;
}

json_t *policy_explain_place(const struct policy_origin *origin)
{
	char *place = origin->file ? memory_format("%s:%d", origin->file, origin->line) : memory_string("default");
	json_t *json = json_text(place, SIZE_MAX);

	free(place);
	return json;
}

/*
 * Goes through the port's rules in their order, to the policy that takes the flow; its rules in a row are one entry.
 * The data path comes to the same, and passes over the rules of other peers without a look, which are told of here.
 */
static uint32_t walk(struct flow *flow, json_t *considered, size_t *more)
{
	const struct policy_set *set = flow->set;
	uint32_t last = AC_POLICY_DEFAULT, decides = AC_POLICY_DEFAULT;
	size_t count;
	struct ranked *rules = rank_rules_at(set, flow->facts.port, &count);

	for (size_t i = 0; i < count && decides == AC_POLICY_DEFAULT; i++) {
		const struct ac_rule *rule = &set->rules[rules[i].rule];
		const char *because = unmet(flow, rule);
		size_t listed = json_array_size(considered);
		json_t *entry = NULL;

		/* Beyond EXPLAIN_MAX only what matches is listed. */
		if (!because || listed < EXPLAIN_MAX || (rule->policy == last && !*more))
			entry = json_pack("{s:s, s:o, s:b, s:s?}", "policy", set->origins[rule->policy].name, "origin",
					  policy_explain_place(&set->origins[rule->policy]), "matches", !because,
					  "because", because);
		if (rule->policy == last && !*more)
			json_array_set_new(considered, listed - 1, entry);
		else if (entry)
			json_array_append_new(considered, entry);
		else if (rule->policy != last)
			++*more;
		last = rule->policy;
		if (!because)
			decides = last;
	}
	free(rules);
	return decides;
}

int policy_explain(const struct policy_set *set, const char *text, json_t **explained, struct fault *fault)
{
	struct flow flow = { .set = set, .facts.side = AC_SIDE_SERVER };
	json_t *considered;
	size_t more = 0;
	uint32_t policy;
	char *mode;

	if (read_flow(&flow, text, fault))
		return -1;
	considered = json_array();
	policy = walk(&flow, considered, &more);
	mode = policy_key_text(
		&policy_section_kind(POLICY_SECTION_POLICY)->keys[policy_key_find(POLICY_SECTION_POLICY, "mode")],
		&set->origins[policy].config);
	*explained =
		json_pack("{s:{s:i, s:s, s:o?, s:o?, s:o?}, s:s, s:i, s:o, s:s, s:o, s:I}", "flow", "port",
			  flow.facts.port, "side", flow.facts.side == AC_SIDE_SERVER ? "server" : "client", "peer",
			  flow.peer_known ? json_address(flow.facts.peer) : NULL, "program",
			  flow.facts.comm[0] ? json_text(flow.facts.comm, sizeof(flow.facts.comm)) : NULL, "cgroup",
			  flow.cgroup[0] ? json_text(flow.cgroup, SIZE_MAX) : NULL, "policy", set->origins[policy].name,
			  "number", (int)policy, "origin", policy_explain_place(&set->origins[policy]), "mode", mode,
			  "considered", considered, "more", (json_int_t)more);
	json_object_set_new(*explained, "steered", policy_steered_json(set, &flow.facts, flow.peer_known));
	free(mode);
	return 0;
}

void policy_explain_print(FILE *out, const json_t *explained)
{
	json_int_t more = json_number(explained, "more");
	size_t index;
	json_t *entry;

	json_array_foreach(json_object_get(explained, "considered"), index, entry) {
		bool matches = json_is_true(json_object_get(entry, "matches"));

		fprintf(out, "%-3s  %-32s  %s%s%s\n", matches ? "yes" : "no", json_member_text(entry, "policy"),
			json_member_text(entry, "origin"), matches ? "" : "  differs in ",
			matches ? "" : json_member_text(entry, "because"));
	}
	if (more)
		fprintf(out, "     and %lld more that do not match\n", (long long)more);
	fprintf(out, "%s: mode %s (%s)\n", json_member_text(explained, "policy"), json_member_text(explained, "mode"),
		json_member_text(explained, "origin"));
	json_array_foreach(json_object_get(explained, "steered"), index, entry)
		fprintf(out, "%s: steered on %s to %s, before the kernel sees it (%s)\n",
			json_member_text(entry, "policy"), json_member_text(entry, "interface"),
			json_member_text(entry, "steer"), json_member_text(entry, "origin"));
}
