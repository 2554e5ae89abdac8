/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The web page in a real browser, fed by made-up services; leaves build/tests/web.png to look at. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "telemetry/http.h"
#include "telemetry/overview.h"
#include "telemetry/web.h"

#define BROWSER \
	"timeout 90 chromium --headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run " \
	"--user-data-dir=build/tests/web.profile --virtual-time-budget=8000 --window-size=1200,1250 "

static pid_t child;
static char url[80];

static int answer_overview(void *context, const struct http_request *request, struct http_answer *answer)
{
	static struct history history;
	struct telemetry_service services[3] = {
		{ .port = 80, .side = AC_SIDE_SERVER, .comm = "nginx", .unit = "nginx.service" },
		{ .port = 6379, .side = AC_SIDE_CLIENT, .comm = "<b>app</b>", .unit = "app@1.service" },
		{ .overflow = true },
	};
	struct telemetry_snapshot snapshot = {
		.services = services,
		.service_count = 3,
		.agent = { .version = "9.9.9", .start_time = time(NULL) - 7300, .sampling = 1, .reload_good = true },
	};
	struct ac_service_stats *nginx = &services[0].stats, *app = &services[1].stats;
	json_t *overview;
	char *text;

	*nginx = (struct ac_service_stats){ .flows_opened = 4000,
					    .flows_closed = 3984,
					    .writes = 868000,
					    .bursts = 434000,
					    .held = 434000,
					    .misses = 12,
					    .hold_us = 9000000 };
	nginx->released[AC_REASON_COMPLETE] = 433000;
	nginx->released[AC_REASON_APP_WAIT] = 900;
	nginx->released[AC_REASON_DEADLINE] = 100;
	for (int i = 4; i < 20; i++)
		nginx->hold_time[i] = 60000 * exp(-(i - 9) * (i - 9) / 6.0);
	*app = (struct ac_service_stats){
		.flows_opened = 20, .writes = 150000, .bursts = 10000, .shadow_held = 139000, .shadow_misses = 3
	};
	services[2].stats.writes = 70;
	memset(&history, 0, sizeof(history));
	for (int i = 0; i < 240; i++)
		history_add(&history, time(NULL) - 1200 + 5 * i,
			    &(struct ac_service_stats){ .held = 5000ull * i + 4000 * sin(i / 9.0),
							.shadow_held = 700ull * i });
	overview = overview_json(&snapshot, &history, time(NULL), "autocork");
	text = json_dumps(overview, JSON_COMPACT);
	json_decref(overview);
	answer->type = "application/json";
	answer->body = answer->to_free = text;
	answer->size = strlen(text);
	return 0;
}

#define X(path, name, mime) \
	static int answer_##name(void *context, const struct http_request *request, struct http_answer *answer) \
	{ \
		answer->type = mime; \
		answer->body = web_##name; \
		answer->size = web_##name##_end - web_##name; \
		return 0; \
	}
WEB_FILES(X)
#undef X

static const struct http_route routes[] = {
	/* clang-format off */
	{ "/api/overview", NULL, answer_overview },
#define X(path, name, mime) { path, NULL, answer_##name },
	WEB_FILES(X)
#undef X
	/* clang-format on */
};

static int start(void **state)
{
	struct http_options options = { "127.0.0.1:0", 30, 30, routes, sizeof(routes) / sizeof(routes[0]), NULL };
	struct fault fault;
	struct http *http;
	sd_event *loop;
	int ends[2];
	ssize_t n;

	if (pipe(ends))
		return -1;
	child = fork();
	if (!child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		signal(SIGPIPE, SIG_IGN);
		if (sd_event_new(&loop) < 0 || http_start(&http, loop, &options, &fault))
			_exit(1);
		dprintf(ends[1], "%s", http_url(http));
		close(ends[1]);
		_exit(sd_event_loop(loop) < 0);
	}
	close(ends[1]);
	n = read(ends[0], url, sizeof(url) - 1);
	close(ends[0]);
	return n > 0 ? 0 : -1;
}

static int stop(void **state)
{
	kill(child, SIGKILL);
	return waitpid(child, NULL, 0) == child ? 0 : -1;
}

static void need_browser(void)
{
	if (system("command -v chromium >/dev/null")) {
		print_message("# chromium is not installed\n");
		skip();
	}
}

static char *run(const char *arguments)
{
	static char text[1 << 20];
	char command[1024];
	size_t size;
	FILE *out;

	snprintf(command, sizeof(command), BROWSER "%s %s/ 2>build/tests/web.log", arguments, url);
	out = popen(command, "r");
	assert_non_null(out);
	size = fread(text, 1, sizeof(text) - 1, out);
	text[size] = '\0';
	assert_int_equal(pclose(out), 0);
	return text;
}

static void page_shows_what_the_agent_says(void **state)
{
	static const char *const wanted[] = {
		"9.9.9, mode autocork, up 2 h",
		"<b>434k</b><span>packets saved</span>",
		"<td>complete</td>",
		"of CPU time saved (estimate)</span>",
		"<td class=\"text minor\">nginx.service</td>",
		"&lt;b&gt;app&lt;/b&gt;", /* a program's name is no markup */
		"<td class=\"text manage\">manage</td>",
		"class=\"uplot", /* the chart was drawn: scripts run under the policy */
		"≤ 63 µs",
	};
	const char *page;

	need_browser();
	page = run("--dump-dom");
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		if (!strstr(page, wanted[i]))
			fail_msg("not on the page: %s\n%s", wanted[i], page);
	assert_non_null(strstr(page, "id=\"problem\" role=\"status\" hidden"));
	/* Nothing is loaded from elsewhere. */
	assert_null(strstr(page, "http://"));
	assert_null(strstr(page, "https://"));
}

static void page_has_a_picture(void **state)
{
	need_browser();
	unlink("build/tests/web.png");
	run("--screenshot=build/tests/web.png");
	assert_int_equal(access("build/tests/web.png", R_OK), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(page_shows_what_the_agent_says),
		cmocka_unit_test(page_has_a_picture),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
