/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* A policy set as JSON, and that JSON as text. docs/policy.md documents both. */
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>

#include "lib/json.h"
#include "lib/memory.h"
#include "policy/keys.h"

static json_t *place_json(const char *file, int line)
{
	char *place;
	json_t *json;

	if (!file)
		return json_string("default");
	place = memory_format("%s:%d", file, line);
	json = json_text(place, SIZE_MAX);
	free(place);
	return json;
}

static json_t *key_json(const struct policy_key *key, const void *values, const struct policy_place *place)
{
	char *text = policy_key_text(key, values);
	json_t *json = json_pack("{s:o, s:o}", "value", json_text(text, SIZE_MAX), "origin",
				 place_json(place->file, place->line));

	free(text);
	return json;
}

/*
 * defaults NULL: none are known. Else what was not set is shared between policies: thousands of them would make
 * millions of strings.
 */
static json_t *keys_json(enum policy_section section, const void *values, const struct policy_place *places,
			 const json_t *defaults)
{
	const struct policy_section_kind *kind = policy_section_kind(section);
	json_t *keys = json_object();

	for (size_t i = 0; i < kind->key_count; i++) {
		json_t *known = places[i].file ? NULL : json_object_get(defaults, kind->keys[i].name);

		json_object_set_new_nocheck(keys, kind->keys[i].name,
					    known ? json_incref(known) : key_json(&kind->keys[i], values, &places[i]));
	}
	return keys;
}

static json_t *defaults_json(enum policy_section section)
{
	static const struct policy_place unset[POLICY_KEYS_MAX];
	void *values = memory_zeroed(1, policy_section_kind(section)->size);
	json_t *defaults;

	policy_values_init(section, values);
	defaults = keys_json(section, values, unset, NULL);
	policy_values_clear(section, values);
	free(values);
	return defaults;
}

json_t *policy_show_json(const struct policy_set *set)
{
	json_t *policies = json_array(), *cgroups = json_array(), *files = json_array();
	json_t *defaults = defaults_json(POLICY_SECTION_POLICY);
	size_t *rules = memory_zeroed(set->policy_count, sizeof(*rules));

	for (size_t i = 0; i < set->rule_count; i++)
		rules[set->rules[i].policy]++;
	for (size_t i = 0; i < set->policy_count; i++) {
		const struct policy_origin *origin = &set->origins[i];

		json_array_append_new(policies,
				      json_pack("{s:s, s:I, s:o, s:I, s:o}", "name", origin->name, "number",
						(json_int_t)i, "origin", place_json(origin->file, origin->line),
						"rules", (json_int_t)rules[i], "keys",
						keys_json(POLICY_SECTION_POLICY, &origin->config, origin->places,
							  i ? defaults : NULL)));
	}
	json_decref(defaults);
	free(rules);
	for (size_t i = 0; i < set->cgroup_count; i++)
		json_array_append_new(cgroups,
				      json_pack("{s:o, s:b}", "path", json_text(set->cgroups[i].path, SIZE_MAX),
						"exists", set->cgroups[i].id != AC_CGROUP_UNRESOLVED));
	for (size_t i = 0; i < set->file_count; i++)
		json_array_append_new(files, json_text(set->files[i], SIZE_MAX));
	return json_pack("{s:o, s:o, s:o, s:o, s:o}", "policies", policies, "agent",
			 keys_json(POLICY_SECTION_AGENT, &set->agent, set->agent_places, NULL), "fastpath",
			 keys_json(POLICY_SECTION_FASTPATH, &set->fastpath, set->fastpath_places, NULL), "cgroups",
			 cgroups, "files", files);
}

json_t *policy_check_json(char *const *files, size_t count, const struct policy_errors *errors)
{
	json_t *names = json_array(), *list = json_array();

	for (size_t i = 0; i < count; i++)
		json_array_append_new(names, json_text(files[i], SIZE_MAX));
	for (size_t i = 0; i < errors->count; i++) {
		const struct policy_error *error = &errors->list[i];

		json_array_append_new(list, json_pack("{s:o, s:i, s:o}", "file", json_text(error->file, SIZE_MAX),
						      "line", error->line, "what", json_text(error->what, SIZE_MAX)));
	}
	return json_pack("{s:b, s:o, s:o}", "valid", !errors->count, "files", names, "errors", list);
}

static const char *string_of(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "";
}

/*
 * As a file would say it. Without origins only what was set; with them also the defaults, each with where it comes
 * from.
 */
static void print_keys(FILE *out, const json_t *keys, bool origin)
{
	const char *name;
	int width = 10;
	json_t *key;

	json_object_foreach((json_t *)keys, name, key)
		if (origin || strcmp(string_of(key, "origin"), "default"))
			width = MAX(width, (int)strlen(name));
	json_object_foreach((json_t *)keys, name, key) {
		const char *from = string_of(key, "origin"), *value = string_of(key, "value");

		if (origin)
			fprintf(out, "%-*s = %-24s ; %s\n", width, name, value, from);
		else if (strcmp(from, "default"))
			fprintf(out, "%-*s = %s\n", width, name, value);
	}
}

void policy_show_print(FILE *out, const json_t *shown, bool origin)
{
	static const char *const single[] = { "agent", "fastpath" };
	size_t index;
	json_t *policy, *cgroup;

	json_array_foreach(json_object_get(shown, "policies"), index, policy) {
		const char *from = string_of(policy, "origin");

		fprintf(out, "%s[policy %s]", index ? "\n" : "", string_of(policy, "name"));
		if (!index)
			fprintf(out, " ; where no other policy matches: mode = observe\n");
		else
			fprintf(out, origin ? " ; %s\n" : "\n", from);
		print_keys(out, json_object_get(policy, "keys"), origin);
	}
	for (size_t i = 0; i < AC_ARRAY_SIZE(single); i++) {
		fprintf(out, "\n[%s]\n", single[i]);
		print_keys(out, json_object_get(shown, single[i]), origin);
	}
	json_array_foreach(json_object_get(shown, "cgroups"), index, cgroup) {
		if (!json_is_true(json_object_get(cgroup, "exists")))
			fprintf(out, "\n; cgroup %s does not exist (yet): its rules match nothing\n",
				string_of(cgroup, "path"));
	}
}
