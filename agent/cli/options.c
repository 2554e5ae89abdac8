/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "cli/options.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/usage.h"
#include "lib/paths.h"

/* argp's keys: the letter, or a number of the row. */
enum { KEY_HELP = 'h', KEY_OWN = 0x1000, KEY_COMMON = 0x2000 };

#define GROUP_COMMON 10

static const struct cli_option common_options[] = {
	{ "json", 0, 0, "Print JSON: one object, or one per line", CLI_FLAG, CLI_AT(struct cli, json),
	  .group = GROUP_COMMON },
	{ "control", 0, "PATH", "Control socket of the agent (default " AUTOCORK_CONTROL ")", CLI_TEXT,
	  CLI_AT(struct cli, control), .group = GROUP_COMMON },
	{ 0 },
};

struct parsing {
	struct cli *cli;
	const struct cli_syntax *syntax;
	void *input;
};

/* ------------------------------------------------------------------ values */

long cli_number(const struct argp_state *state, const char *option, const char *text, long low, long high)
{
	char *end;
	long value;

	errno = 0;
	value = strtol(text, &end, 10);
	if (errno || end == text || *end || value < low || value > high)
		argp_error(state, "--%s %s: not a whole number from %ld to %ld", option, text, low, high);
	return value;
}

double cli_seconds(const struct argp_state *state, const char *option, const char *text, double low, double high)
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

static int word_index(const struct argp_state *state, const struct cli_option *option, const char *text)
{
	char all[256] = "";
	size_t used = 0;

	for (int i = 0; option->words[i]; i++)
		if (!strcmp(option->words[i], text))
			return i;
	for (int i = 0; option->words[i] && used < sizeof(all); i++)
		used += snprintf(all + used, sizeof(all) - used, "%s%s", i ? ", " : "", option->words[i]);
	argp_error(state, "--%s %s: not one of %s", option->name, text, all);
	return 0;
}

static void store_integer(void *field, size_t size, long value)
{
	switch (size) {
	case 1:
		*(uint8_t *)field = value;
		break;
	case 2:
		*(uint16_t *)field = value;
		break;
	case 4:
		*(uint32_t *)field = value;
		break;
	default:
		*(uint64_t *)field = value;
	}
}

static void to_field(const struct argp_state *state, const struct cli_option *option, const char *arg, void *field)
{
	switch (option->value) {
	case CLI_FLAG:
		store_integer(field, option->size, option->set ?: 1);
		break;
	case CLI_NUMBER:
		store_integer(field, option->size, cli_number(state, option->name, arg, option->low, option->high));
		break;
	case CLI_WORD:
		store_integer(field, option->size, word_index(state, option, arg));
		break;
	case CLI_SECONDS:
		*(double *)field = cli_seconds(state, option->name, arg, option->low, option->high);
		break;
	case CLI_DIGITS:
		cli_number(state, option->name, arg, option->low, option->high);
		*(const char **)field = arg;
		break;
	default:
		*(const char **)field = arg;
	}
}

static void to_request(const struct argp_state *state, const struct cli_option *option, const char *arg,
		       json_t *request)
{
	json_t *value;

	switch (option->value) {
	case CLI_FLAG:
		value = json_true();
		break;
	case CLI_NUMBER:
		value = json_integer(cli_number(state, option->name, arg, option->low, option->high));
		break;
	case CLI_SECONDS:
		value = json_real(cli_seconds(state, option->name, arg, option->low, option->high));
		break;
	case CLI_WORD:
		value = json_string(option->words[word_index(state, option, arg)]);
		break;
	default:
		value = json_string(arg);
	}
	if (json_object_set_new(request, option->member, value))
		argp_error(state, "--%s %s: not UTF-8", option->name, arg);
}

static void take(const struct argp_state *state, const struct cli_option *option, char *arg, void *input)
{
	void *field = (char *)input + option->offset;

	if (option->take)
		option->take(state, arg, input);
	else if (option->member)
		to_request(state, option, arg, *(json_t **)field);
	else
		to_field(state, option, arg, field);
}

/* ------------------------------------------------------------------ argp */

static int key_of(const struct cli_option *list, const struct cli_option *option, int base)
{
	return option->letter ?: base + (int)(option - list);
}

static const struct cli_option *find(const struct cli_option *list, int base, int key)
{
	for (const struct cli_option *option = list; option && option->name; option++)
		if (key_of(list, option, base) == key)
			return option;
	return NULL;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct parsing *parsing = state->input;
	const struct cli_syntax *syntax = parsing->syntax;
	const struct cli_option *own = find(syntax->options, KEY_OWN, key), *common;

	if (own) {
		take(state, own, arg, parsing->input);
		return 0;
	}
	common = find(common_options, KEY_COMMON, key);
	if (common) {
		take(state, common, arg, parsing->cli);
		return 0;
	}
	switch (key) {
	case KEY_HELP:
		argp_state_help(state, stdout, ARGP_HELP_STD_HELP);
		return 0;
	case ARGP_KEY_ARG:
		if (!syntax->argument)
			return ARGP_ERR_UNKNOWN;
		syntax->argument(state, arg, parsing->input);
		return 0;
	case ARGP_KEY_END:
		if (syntax->check)
			syntax->check(state, parsing->input);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static char *filter_help(int key, const char *text, void *input)
{
	const struct parsing *parsing = input;
	char *tail = NULL;
	size_t size;
	FILE *out;

	if (key != ARGP_KEY_HELP_POST_DOC || !parsing || !parsing->syntax->tail)
		return (char *)text;
	out = open_memstream(&tail, &size);
	if (!out)
		return NULL;
	parsing->syntax->tail(out, parsing->input);
	fclose(out);
	return tail;
}

/* "no-delay" for "no_delay"; NULL where that is the same. */
static char *dashed(const char *name)
{
	char *copy = strchr(name, '_') ? strdup(name) : NULL;

	for (char *p = copy; p && *p; p++)
		if (*p == '_')
			*p = '-';
	return copy;
}

static struct argp_option *add_alias(struct argp_option *to, const struct cli_option *option, int key)
{
	const char *names[] = { option->name, option->alias };

	if (option->alias)
		*to++ = (struct argp_option){ option->alias, key, 0, OPTION_ALIAS, 0, option->group };
	for (int i = 0; i < 2 && names[i]; i++) {
		char *name = dashed(names[i]);

		if (name)
			*to++ = (struct argp_option){ name, key, 0, OPTION_ALIAS | OPTION_HIDDEN, 0, option->group };
	}
	return to;
}

static struct argp_option *add_rows(struct argp_option *to, const struct cli_option *list, int base)
{
	for (const struct cli_option *option = list; option && option->name; option++) {
		int key = key_of(list, option, base), flags = option->optional ? OPTION_ARG_OPTIONAL : 0;

		*to++ = (struct argp_option){ option->name, key, option->arg, flags, option->help, option->group };
		to = add_alias(to, option, key);
	}
	return to;
}

static size_t count_rows(const struct cli_option *list)
{
	size_t count = 0;

	while (list && list[count].name)
		count++;
	return count;
}

void cli_parse(struct cli *cli, const struct cli_syntax *syntax, int argc, char **argv, void *input)
{
	/* A row is four at most, with its aliases; the title of the common ones, the hidden -h and the end. */
	size_t rows = 4 * (count_rows(syntax->options) + count_rows(common_options)) + 3;
	struct argp_option options[rows], *next = options;
	struct parsing parsing = { cli, syntax, input };
	const struct argp argp = {
		.options = options,
		.parser = parse,
		.args_doc = syntax->args_doc,
		.doc = syntax->doc,
		.help_filter = filter_help,
	};

	memset(options, 0, sizeof(options));
	next = add_rows(next, syntax->options, KEY_OWN);
	*next++ = (struct argp_option){ 0, 0, 0, 0, "Common options:", GROUP_COMMON };
	next = add_rows(next, common_options, KEY_COMMON);
	*next = (struct argp_option){ 0, KEY_HELP, 0, OPTION_HIDDEN, 0, GROUP_COMMON };
	/* In order: what follows the name of a command (`bench client …`) is for that one to parse. */
	usage_catch(argc, argv);
	argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &parsing);
	usage_release();
	for (struct argp_option *option = options; option < next; option++)
		if (option->flags == (OPTION_ALIAS | OPTION_HIDDEN))
			free((char *)option->name);
}
