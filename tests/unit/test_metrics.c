/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The metrics page: totals, cap on series, and what Prometheus' own parsers say of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/text.h"
#include "telemetry/metrics.h"

#define ALL POLICY_SERIES_ALL

static const struct engine_feature features[] = {
	{ .name = "fentry", .works = false, .reason = "EPERM" },
	{ .name = "iter/tcp", .works = true },
};

/* A snapshot of n services on ports 1 … n; service i was written to i times. */
static struct telemetry_snapshot snapshot_of(size_t n)
{
	static struct telemetry_program program = { "gate_write", 1234567890, 1000 };
	static struct telemetry_map map = { "flows", 65536 };
	struct telemetry_snapshot snapshot = {
		.services = calloc(n + 1, sizeof(*snapshot.services)),
		.service_count = n,
		.features = features,
		.feature_count = AC_ARRAY_SIZE(features),
		.programs = &program,
		.program_count = 1,
		.maps = &map,
		.map_count = 1,
		.agent = { .version = "1.2",
			   .mode = "autocork",
			   .start_time = 1700000000.25,
			   .reload_good = true,
			   .sampling = 1 },
	};

	for (size_t i = 0; i < n; i++) {
		struct telemetry_service *service = &snapshot.services[i];

		*service = (struct telemetry_service){ .port = i + 1, .side = AC_SIDE_SERVER, .comm = "nginx" };
		strcpy(service->unit, "nginx.service");
		service->stats.flows_opened = 3;
		service->stats.flows_closed = 1;
		service->stats.writes = i + 1;
		service->stats.hold_us = 1500;
		service->stats.released[AC_REASON_COMPLETE] = 2;
		service->stats.hold_time[ac_bucket(700)] = 2;
	}
	return snapshot;
}

static char *write_page(struct metrics *metrics, struct telemetry_snapshot *snapshot, enum metrics_format format,
			int *series)
{
	char *page = NULL;
	size_t size;
	FILE *out = open_memstream(&page, &size);
	int n;

	assert_non_null(out);
	n = metrics_write(metrics, snapshot, format, out);
	fclose(out);
	if (series)
		*series = n;
	return page;
}

/* Adds up the samples of one name; n tells how many there were. */
static double sum_of(const char *page, const char *name, unsigned *n)
{
	double sum = 0;
	size_t length = strlen(name);

	*n = 0;
	for (const char *line = page; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
		if (strncmp(line, name, length) || (line[length] != '{' && line[length] != ' '))
			continue;
		const char *value = line + strcspn(line, "\n");

		while (*value != ' ')
			value--;
		sum += strtod(value, NULL);
		++*n;
	}
	return sum;
}

static unsigned samples(const char *page)
{
	unsigned n = 0;

	for (const char *line = page; *line; line = strchr(line, '\n') + 1)
		n += *line != '#';
	return n;
}

static void totals_right_above_cap(void **state)
{
	struct metrics *metrics = metrics_new(ALL);
	struct telemetry_snapshot snapshot = snapshot_of(500);
	int series;
	unsigned n;
	char *page = write_page(metrics, &snapshot, METRICS_OPENMETRICS, &series);

	assert_int_equal(series, samples(page));
	assert_in_range(series, 500, sum_of(page, "autocork_series_limit", &n));
	assert_float_equal(sum_of(page, "autocork_writes_total", &n), 500 * 501 / 2, 0);
	assert_in_range(n, 20, 499);
	assert_float_equal(sum_of(page, "autocork_hold_seconds_count", &n), 1000, 0);
	assert_float_equal(sum_of(page, "autocork_hold_seconds_sum", &n), 0.75, 1e-9);
	assert_float_equal(sum_of(page, "autocork_releases_total", &n), 1000, 0);
	assert_float_equal(sum_of(page, "autocork_flows", &n), 1000, 0);
	/* Those without series of their own are counted. */
	sum_of(page, "autocork_writes_total", &n);
	assert_float_equal(sum_of(page, "autocork_services_in_other", &(unsigned){ 0 }), 500 - (n - 1), 0);
	/* The busiest have series of their own, the least busy have not. */
	assert_non_null(strstr(page, "autocork_writes_total{port=\"500\""));
	assert_null(strstr(page, "autocork_writes_total{port=\"1\""));
	free(page);
	free(snapshot.services);
	metrics_free(metrics);
}

/* How many samples of one page have this text. */
static unsigned having(const char *page, const char *text)
{
	unsigned n = 0;

	for (const char *at = page; (at = strstr(at, text)); at++)
		n++;
	return n;
}

static void a_service_has_as_many_series_as_it_may(void **state)
{
	/* Wanted, and what the first metrics of the table then take: hold_seconds with 5 buckets is 8, with 16 is 19.
	 */
	static const struct {
		unsigned wanted, has;
	} cases[] = { { 0, 0 }, { 1, 1 }, { 12, 12 }, { 19, 12 }, { 20, 20 }, { 30, 20 }, { 31, 31 }, { 42, 31 } };

	for (size_t i = 0; i < AC_ARRAY_SIZE(cases); i++) {
		struct metrics *metrics = metrics_new(cases[i].wanted);
		struct telemetry_snapshot snapshot = snapshot_of(3);
		int series;
		char *page = write_page(metrics, &snapshot, METRICS_OPENMETRICS, &series);
		unsigned n;

		assert_int_equal(having(page, "port=\"2\""), cases[i].has);
		assert_int_equal(series, samples(page));
		assert_float_equal(sum_of(page, "autocork_series_per_service", &n), cases[i].has, 0);
		/* Whatever is left out per service, the host has it. */
		assert_float_equal(sum_of(page, "autocork_writes_total", &n), 6, 0);
		assert_int_equal(n, cases[i].has > 2 ? 3 : 1);
		assert_float_equal(sum_of(page, "autocork_flows", &n), 6, 0);
		assert_float_equal(sum_of(page, "autocork_hold_seconds_count", &n), 6, 0);
		assert_float_equal(sum_of(page, "autocork_releases_total", &n), 6, 0);
		assert_non_null(strstr(page, "autocork_releases_total{reason=\"complete\"} 6\n"));
		assert_int_equal(having(page, "hold_seconds_bucket{"), cases[i].has == 20 ? 18 :
								       cases[i].has == 31 ? 51 :
											    17);
		free(page);
		free(snapshot.services);
		metrics_free(metrics);
	}
}

static void default_page_is_small(void **state)
{
	struct metrics *metrics = metrics_new(METRICS_SERIES_DEFAULT);
	struct telemetry_snapshot snapshot = snapshot_of(500);
	unsigned n;
	char *page = write_page(metrics, &snapshot, METRICS_OPENMETRICS, NULL);

	assert_in_range(sum_of(page, "autocork_series_limit", &n), samples(page), 2000);
	assert_int_equal(having(page, "port=\"500\""), METRICS_SERIES_DEFAULT);
	assert_int_equal(having(page, "port=\"other\""), METRICS_SERIES_DEFAULT);
	assert_float_equal(sum_of(page, "autocork_metrics_added_up", &n), metrics_added_up(metrics), 0);
	assert_true(metrics_added_up(metrics) > 20);
	assert_float_equal(sum_of(page, "autocork_writes_total", &n), 500 * 501 / 2, 0);
	free(page);
	free(snapshot.services);
	metrics_free(metrics);
	metrics = metrics_new(ALL);
	assert_int_equal(metrics_added_up(metrics), 0);
	metrics_free(metrics);
}

static void own_series_are_kept(void **state)
{
	struct metrics *metrics = metrics_new(METRICS_SERIES_DEFAULT);
	struct telemetry_snapshot snapshot = snapshot_of(500);
	char *page = write_page(metrics, &snapshot, METRICS_TEXT, NULL);
	struct telemetry_service *quiet = &snapshot.services[0];

	assert_int_equal(quiet->port, 1);
	quiet->stats.writes = 1000000; /* now the busiest, but it comes too late: nobody's counter may vanish */
	free(page);
	page = write_page(metrics, &snapshot, METRICS_TEXT, NULL);
	assert_non_null(strstr(page, "autocork_writes_total{port=\"500\""));
	assert_null(strstr(page, "autocork_writes_total{port=\"1\""));
	free(page);
	/* The place of a service that is gone is given away. */
	snapshot.service_count = 499;
	page = write_page(metrics, &snapshot, METRICS_TEXT, NULL);
	assert_non_null(strstr(page, "autocork_writes_total{port=\"1\""));
	free(page);
	free(snapshot.services);
	metrics_free(metrics);
}

static void equal_labels_are_added_up(void **state)
{
	struct metrics *metrics = metrics_new(METRICS_SERIES_DEFAULT);
	struct telemetry_snapshot snapshot = snapshot_of(3);
	unsigned n;
	char *page;

	snapshot.services[2].port = 1;
	snapshot.services[1].overflow = true;
	/* Counters of different CPUs: the close is seen, the opening is not yet. */
	snapshot.services[1].stats.flows_opened = 0;
	page = write_page(metrics, &snapshot, METRICS_TEXT, NULL);
	assert_non_null(strstr(page, "autocork_writes_total{port=\"1\",side=\"server\",comm=\"nginx\","
				     "unit=\"nginx.service\"} 4\n"));
	assert_non_null(strstr(page, "autocork_writes_total{port=\"other\",side=\"other\",comm=\"other\","
				     "unit=\"other\"} 2\n"));
	sum_of(page, "autocork_writes_total", &n);
	assert_int_equal(n, 2);
	assert_non_null(
		strstr(page, "autocork_flows{port=\"other\",side=\"other\",comm=\"other\",unit=\"other\"} 0\n"));
	free(page);
	free(snapshot.services);
	/* What is in a container says in which. */
	snapshot = snapshot_of(2);
	snapshot.services[1].port = 1;
	strcpy(snapshot.services[1].container, "0123456789abcdef");
	page = write_page(metrics, &snapshot, METRICS_TEXT, NULL);
	assert_non_null(strstr(page, "unit=\"nginx.service\",container=\"0123456789abcdef\"} 2\n"));
	assert_non_null(strstr(page, "unit=\"nginx.service\"} 1\n"));
	free(page);
	free(snapshot.services);
	/* A label more tells them apart. */
	snapshot = snapshot_of(2);
	snapshot.services[1].port = 1;
	strcpy(snapshot.services[1].unit, "other.service");
	page = write_page(metrics, &snapshot, METRICS_TEXT, NULL);
	assert_float_equal(sum_of(page, "autocork_writes_total", &n), 3, 0);
	assert_int_equal(n, 2);
	free(page);
	free(snapshot.services);
	metrics_free(metrics);
}

static void histogram_is_cumulative(void **state)
{
	struct metrics *metrics = metrics_new(ALL);
	struct telemetry_snapshot snapshot = snapshot_of(1);
	char *page = write_page(metrics, &snapshot, METRICS_OPENMETRICS, NULL);

	assert_non_null(strstr(page, "unit=\"nginx.service\",le=\"0.000511\"} 0\n"));
	assert_non_null(strstr(page, "unit=\"nginx.service\",le=\"0.001023\"} 2\n"));
	assert_non_null(strstr(page, "unit=\"nginx.service\",le=\"0.524287\"} 2\n"));
	assert_non_null(strstr(page, "# TYPE autocork_writes counter\n"));
	assert_non_null(strstr(page, "# UNIT autocork_hold_seconds seconds\n"));
	assert_string_equal(page + strlen(page) - 6, "# EOF\n");
	free(page);
	page = write_page(metrics, &snapshot, METRICS_TEXT, NULL);
	assert_non_null(strstr(page, "# TYPE autocork_writes_total counter\n"));
	assert_null(strstr(page, "# EOF"));
	assert_null(strstr(page, "# UNIT"));
	free(page);
	free(snapshot.services);
	metrics_free(metrics);
}

static void names_are_cleaned(void **state)
{
	static const struct {
		const char *dirty, *clean;
	} cases[] = {
		{ "nginx", "nginx" },
		{ "a\nb\x1b[31m", "a\\x0ab\\x1b[31m" },
		{ "\xc3\xa4\xff", "\xc3\xa4\\xff" },
	};
	char text[64];

	for (size_t i = 0; i < AC_ARRAY_SIZE(cases); i++)
		assert_string_equal(text_clean(text, sizeof(text), cases[i].dirty, strlen(cases[i].dirty)),
				    cases[i].clean);
	assert_string_equal(text_clean(text, 3, "\xe2\x82\xac", 3), ""); /* no half of a character */
	assert_string_equal(text_clean(text, sizeof(text), "sixteen bytes!!!tail", 16), "sixteen bytes!!!");
}

static void accept_header_chooses(void **state)
{
	assert_int_equal(metrics_format_accepted(NULL), METRICS_TEXT);
	assert_int_equal(metrics_format_accepted("text/plain;version=0.0.4"), METRICS_TEXT);
	assert_int_equal(metrics_format_accepted("application/openmetrics-text;version=1.0.0,text/plain;q=0.5"),
			 METRICS_OPENMETRICS);
}

static int parser_says(const char *command, enum metrics_format format, unsigned per_service)
{
	struct metrics *metrics = metrics_new(per_service);
	struct telemetry_snapshot snapshot = snapshot_of(40);
	FILE *parser;
	char *page;

	strcpy(snapshot.services[3].comm, "a\"b\\c d");
	strcpy(snapshot.services[4].unit, "");
	page = write_page(metrics, &snapshot, format, NULL);
	parser = popen(command, "w");
	assert_non_null(parser);
	fputs(page, parser);
	free(page);
	free(snapshot.services);
	metrics_free(metrics);
	return pclose(parser);
}

static void promtool_accepts(void **state)
{
	if (system("command -v promtool >/dev/null")) {
		print_message("# promtool is not installed (package prometheus)\n");
		skip();
	}
	assert_int_equal(parser_says("promtool check metrics", METRICS_TEXT, ALL), 0);
	assert_int_equal(parser_says("promtool check metrics", METRICS_TEXT, METRICS_SERIES_DEFAULT), 0);
	assert_int_equal(parser_says("promtool check metrics", METRICS_TEXT, 0), 0);
}

#define PYTHON \
	"/usr/bin/python3 -c 'import sys\nfrom prometheus_client%s.parser import text_string_to_metric_families as " \
	"parse\n" \
	"n = sum(len(f.samples) for f in parse(sys.stdin.read()))\nsys.exit(n < 500)'"

static void python_parser_accepts(void **state)
{
	char command[512];

	if (system("/usr/bin/python3 -c 'import prometheus_client' 2>/dev/null")) {
		print_message("# python3-prometheus-client is not installed\n");
		skip();
	}
	snprintf(command, sizeof(command), PYTHON, ".openmetrics");
	assert_int_equal(parser_says(command, METRICS_OPENMETRICS, METRICS_SERIES_DEFAULT), 0);
	snprintf(command, sizeof(command), PYTHON, "");
	assert_int_equal(parser_says(command, METRICS_TEXT, ALL), 0);
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return now.tv_sec + now.tv_nsec * 1e-9;
}

#ifdef __SANITIZE_ADDRESS__
#define SLOWER 10
#else
#define SLOWER 1
#endif

/* A page of 1,024 services takes some milliseconds of CPU; the limit is far above, for slow machines. */
static void page_of_all_services_is_quick(void **state)
{
	struct metrics *metrics = metrics_new(ALL);
	struct telemetry_snapshot snapshot = snapshot_of(AC_SERVICES_MAX);
	double start = seconds(), each;

	for (int i = 0; i < 10; i++)
		free(write_page(metrics, &snapshot, METRICS_OPENMETRICS, NULL));
	each = (seconds() - start) / 10;
	print_message("# %.1f ms a page\n", each * 1e3);
	assert_true(each < 0.05 * SLOWER);
	free(snapshot.services);
	metrics_free(metrics);
}

/* ------------------------------------------------------------------ documentation */

static char *file_text(const char *path)
{
	FILE *file = fopen(path, "r");
	char *text = NULL;
	size_t size = 0;

	if (!file)
		fail_msg("%s is not there", path);
	if (getdelim(&text, &size, '\0', file) < 0)
		fail_msg("%s cannot be read", path);
	fclose(file);
	return text;
}

static void sample_name(const struct metrics_family *family, char *name, size_t size)
{
	const char *suffix = !strcmp(family->type, "counter") ? "_total" : !strcmp(family->type, "info") ? "_info" : "";

	snprintf(name, size, "autocork_%s%s", family->name, suffix);
}

static void find_in_page(const struct metrics_family *family, void *page)
{
	char name[128];

	sample_name(family, name, sizeof(name));
	if (!strstr(page, name))
		fail_msg("%s is not documented", name);
}

static void every_metric_is_documented(void **state)
{
	static const char *const pages[] = { "docs/metrics.md", "docs/man/autocork-metrics.7" };

	for (size_t i = 0; i < AC_ARRAY_SIZE(pages); i++) {
		char *page = file_text(pages[i]);

		metrics_families(find_in_page, page);
		free(page);
	}
}

/* The page's rows are the table's, in its order, which decides what `series` exports per service. */
struct rows {
	const char *at;	  /* the row before ended here */
	const char *host; /* where those begin that are per host only */
};

static void find_row(const struct metrics_family *family, void *context)
{
	struct rows *rows = context;
	struct metrics_share share = metrics_share(family->name);
	char name[128], row[1024], series[32], *labels = NULL;
	size_t size;
	FILE *out;

	if (!share.all)
		return;
	sample_name(family, name, sizeof(name));
	out = open_memstream(&labels, &size);
	for (const char *label = family->labels; *label;) {
		size_t length = strcspn(label, ",");

		fprintf(out, "%s`%.*s`", label == family->labels ? "" : ", ", (int)length, label);
		label += length + (label[length] == ',');
	}
	fclose(out);
	if (share.few)
		snprintf(series, sizeof(series), "%u, or %u", share.few, share.all);
	else
		snprintf(series, sizeof(series), "%u", share.all);
	snprintf(row, sizeof(row), "\n| `%s` | %s | %s | %s | %s |\n", name, family->type, labels, series,
		 family->help);
	free(labels);
	rows->at = strstr(rows->at, row);
	if (!rows->at)
		fail_msg("docs/metrics.md: not there, or not in the table's order: %s", row);
	if (share.by_default != (rows->at < rows->host))
		fail_msg("docs/metrics.md: in the wrong section: %s", row);
	rows->at++;
}

static void every_metric_of_services_is_in_its_place(void **state)
{
	char *page = file_text("docs/metrics.md");
	struct rows rows = { page, strstr(page, "\n## Per host") };

	assert_non_null(rows.host);
	metrics_families(find_row, &rows);
	free(page);
}

struct wanted {
	char name[128];
	bool found;
	struct metrics_share share;
};

static void compare_name(const struct metrics_family *family, void *context)
{
	struct wanted *wanted = context;
	char name[128];
	size_t length;

	sample_name(family, name, sizeof(name));
	length = strlen(name);
	if (strcmp(wanted->name, name) &&
	    !(!strcmp(family->type, "histogram") && !strncmp(wanted->name, name, length) &&
	      (!strcmp(wanted->name + length, "_bucket") || !strcmp(wanted->name + length, "_sum") ||
	       !strcmp(wanted->name + length, "_count"))))
		return;
	wanted->found = true;
	wanted->share = metrics_share(family->name);
}

/* Calls `visit` for each name of a metric in a text. */
static unsigned each_name(const char *text, void (*visit)(const struct wanted *wanted, const char *file),
			  const char *file)
{
	unsigned names = 0;

	for (const char *at = text; (at = strstr(at, "autocork_")); names++) {
		struct wanted wanted = { 0 };
		size_t length = strspn(at, "abcdefghijklmnopqrstuvwxyz0123456789_");

		if (at > text && at[-1] == ':') { /* a recorded one */
			at += length;
			continue;
		}
		memcpy(wanted.name, at, length < 127 ? length : 127);
		metrics_families(compare_name, &wanted);
		visit(&wanted, file);
		at += length;
	}
	return names;
}

static void must_exist(const struct wanted *wanted, const char *file)
{
	if (!wanted->found)
		fail_msg("%s: %s does not exist", file, wanted->name);
}

static void must_be_per_service(const struct wanted *wanted, const char *file)
{
	if (wanted->share.all && !wanted->share.by_default)
		fail_msg("%s asks for %s of a service: by default it is the host's only", file, wanted->name);
}

/* A line that names the label `port` asks for a service. */
static void dashboards_and_alerts_need_the_default_only(void **state)
{
	static const char *const files[] = { "docs/grafana.json", "docs/alerts.yml", "docs/recording-rules.yml" };

	for (size_t i = 0; i < AC_ARRAY_SIZE(files); i++) {
		char *text = file_text(files[i]), *rest = text;
		unsigned names = 0;

		for (char *line; (line = strsep(&rest, "\n"));)
			if (strstr(line, "port"))
				names += each_name(line, must_be_per_service, files[i]);
		assert_true(names > 1);
		free(text);
	}
}

/* Dashboards, rules and pages name no metric that does not exist. */
static void every_name_in_the_documentation_exists(void **state)
{
	static const char *const pages[] = { "docs/metrics.md", "docs/man/autocork-metrics.7", "docs/grafana.json",
					     "docs/alerts.yml", "docs/recording-rules.yml" };

	for (size_t i = 0; i < AC_ARRAY_SIZE(pages); i++) {
		char *page = file_text(pages[i]);

		assert_true(each_name(page, must_exist, pages[i]) > 5);
		free(page);
	}
	if (!system("command -v promtool >/dev/null")) {
		assert_int_equal(system("promtool check rules docs/alerts.yml >/dev/null"), 0);
		assert_int_equal(system("promtool test rules tests/unit/alerts_test.yml >/dev/null"), 0);
		assert_int_equal(
			system("promtool check rules docs/recording-rules.yml docs/fleet-alerts.yml >/dev/null"), 0);
		assert_int_equal(system("promtool test rules tests/unit/fleet_test.yml >/dev/null"), 0);
	}
}

#define RECORDED "abcdefghijklmnopqrstuvwxyz0123456789_:"

/* What the alerts and the dashboard of a fleet ask for is recorded, what is recorded for an instance is one series. */
static void a_fleet_rests_on_what_is_recorded(void **state)
{
	static const char *const files[] = { "docs/fleet-alerts.yml", "docs/grafana-fleet.json" };
	char *rules = file_text("docs/recording-rules.yml"), record[128];

	for (size_t i = 0; i < AC_ARRAY_SIZE(files); i++) {
		char *text = file_text(files[i]);
		unsigned names = 0;

		for (char *at = text; (at = strstr(at, ":autocork_")); names++) {
			while (at > text && strchr(RECORDED, at[-1]))
				at--;
			snprintf(record, sizeof(record), "record: %.*s\n", (int)strspn(at, RECORDED), at);
			if (!strstr(rules, record))
				fail_msg("%s: nothing is recorded as %s", files[i], record);
			at += strspn(at, RECORDED);
		}
		assert_true(names > 8);
		free(text);
	}
	for (char *at = rules; (at = strstr(at, "record: instance:")); at++) {
		char *end = strstr(at + 1, "record: ");
		size_t length = end ? (size_t)(end - at) : strlen(at);

		if (!memmem(at, length, "by (instance, canary", 20) || memmem(at, length, "port", 4))
			fail_msg("more than one series of a host: %.60s", at);
	}
	free(rules);
}

/* Tests of promtool name every alert: as one that fires. */
static void every_alert_has_a_test(void **state)
{
	static const char *const files[][2] = { { "docs/alerts.yml", "tests/unit/alerts_test.yml" },
						{ "docs/fleet-alerts.yml", "tests/unit/fleet_test.yml" } };

	for (size_t i = 0; i < AC_ARRAY_SIZE(files); i++) {
		char *rules = file_text(files[i][0]), *tests = file_text(files[i][1]), fires[128];
		unsigned alerts = 0;

		for (const char *at = rules; (at = strstr(at, "- alert: ")); alerts++) {
			at += strlen("- alert: ");
			snprintf(fires, sizeof(fires), "alertname=\"%.*s\"", (int)strcspn(at, "\n"), at);
			if (!strstr(tests, fires))
				fail_msg("%s: %s does not fire there", files[i][1], fires);
		}
		assert_true(alerts > 8);
		free(rules);
		free(tests);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(totals_right_above_cap),
		cmocka_unit_test(a_service_has_as_many_series_as_it_may),
		cmocka_unit_test(default_page_is_small),
		cmocka_unit_test(own_series_are_kept),
		cmocka_unit_test(equal_labels_are_added_up),
		cmocka_unit_test(histogram_is_cumulative),
		cmocka_unit_test(names_are_cleaned),
		cmocka_unit_test(accept_header_chooses),
		cmocka_unit_test(promtool_accepts),
		cmocka_unit_test(python_parser_accepts),
		cmocka_unit_test(page_of_all_services_is_quick),
		cmocka_unit_test(every_metric_is_documented),
		cmocka_unit_test(every_metric_of_services_is_in_its_place),
		cmocka_unit_test(dashboards_and_alerts_need_the_default_only),
		cmocka_unit_test(a_fleet_rests_on_what_is_recorded),
		cmocka_unit_test(every_alert_has_a_test),
		cmocka_unit_test(every_name_in_the_documentation_exists),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
