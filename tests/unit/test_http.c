/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The HTTP server: answers, and what clients that are slow, greedy or mad can do to it. It runs in a child. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "telemetry/http.h"
#include "telemetry/http_address.h"
#include "telemetry/metrics.h"

#define IDLE_S 6
#define REQUEST_S 6
#define PAGE_SERVICES 500

static pid_t child;
static struct sockaddr_storage address;
static socklen_t address_size;
static char url[80];

/* A page as big as the real one, made anew for each request. */
static int make_page(void *context, const struct http_request *request, struct http_answer *answer)
{
	struct telemetry_snapshot snapshot = {
		.services = calloc(PAGE_SERVICES, sizeof(*snapshot.services)),
		.service_count = PAGE_SERVICES,
		.agent.version = "test",
	};
	enum metrics_format format = metrics_format_accepted(request->accept);
	char *page = NULL;
	FILE *out = open_memstream(&page, &answer->size);

	for (int i = 0; i < PAGE_SERVICES; i++)
		snapshot.services[i].port = i + 1;
	metrics_write(context, &snapshot, format, out);
	fclose(out);
	free(snapshot.services);
	answer->type = metrics_content_type(format);
	answer->body = answer->to_free = page;
	return 0;
}

static int make_echo(void *context, const struct http_request *request, struct http_answer *answer)
{
	answer->type = "text/plain";
	answer->body = request->query ? "asked" : "plain";
	answer->size = 5;
	return request->query && !strcmp(request->query, "fail");
}

static const struct http_route routes[] = {
	{ "/metrics", NULL, make_page },
	{ "/echo", "word", make_echo },
};

static void serve(int report)
{
	struct http_options options = {
		"127.0.0.1:0", IDLE_S, REQUEST_S, routes, 2, metrics_new(METRICS_SERIES_DEFAULT)
	};
	struct fault fault;
	struct http *http;
	sd_event *loop;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (sd_event_new(&loop) < 0 || http_start(&http, loop, &options, &fault))
		_exit(1);
	dprintf(report, "%s", http_url(http));
	close(report);
	_exit(sd_event_loop(loop) < 0);
}

static int start(void **state)
{
	int ends[2];
	ssize_t n;
	struct fault fault;

	if (pipe(ends))
		return -1;
	child = fork();
	if (!child) {
		close(ends[0]);
		serve(ends[1]);
	}
	close(ends[1]);
	n = read(ends[0], url, sizeof(url) - 1);
	close(ends[0]);
	if (n <= 0)
		return -1;
	url[n] = '\0';
	return http_address_parse(url + strlen("http://"), &address, &address_size, &fault);
}

static int stop(void **state)
{
	int status;

	/* It must still be alive after all that was done to it. */
	if (waitpid(child, &status, WNOHANG) != 0)
		return -1;
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	return 0;
}

static int dial(void)
{
	int fd = socket(address.ss_family, SOCK_STREAM, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, address_size), 0);
	return fd;
}

/* Sends the request and reads until the peer closes or nothing comes for `patience` ms. */
static size_t ask(const char *request, char *answer, size_t size, int patience)
{
	int fd = dial();
	struct pollfd wait = { .fd = fd, .events = POLLIN };
	size_t used = 0;
	ssize_t n;

	assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), strlen(request));
	while (used < size - 1 && poll(&wait, 1, patience) == 1 && (n = read(fd, answer + used, size - 1 - used)) > 0)
		used += n;
	answer[used] = '\0';
	close(fd);
	return used;
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

static void answers(void **state)
{
	static const struct {
		const char *request, *start, *has;
	} cases[] = {
		{ GET("/echo"), "HTTP/1.1 200 ", "\r\n\r\nplain" },
		{ GET("/echo?word=x"), "HTTP/1.1 200 ", "\r\n\r\nasked" },
		{ GET("/echo?other=x"), "HTTP/1.1 200 ", "\r\n\r\nplain" },
		{ GET("/echo?word=fail"), "HTTP/1.1 500 ", "see the agent's log" },
		{ GET("/metrics"), "HTTP/1.1 200 ", "Content-Type: text/plain; version=0.0.4" },
		{ "GET /metrics HTTP/1.1\r\nHost: [::1]:9\r\nAccept: application/openmetrics-text\r\nConnection: "
		  "close\r\n\r\n",
		  "HTTP/1.1 200 ", "# EOF\n" },
		{ GET("/"), "HTTP/1.1 404 ", "" },
		{ GET("/../etc/passwd"), "HTTP/1.1 404 ", "" },
		{ "HEAD /echo HTTP/1.1\r\nHost: 127.0.0.1:1\r\nConnection: close\r\n\r\n", "HTTP/1.1 200 ",
		  "Content-Length: 5" },
		{ "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
		  "HTTP/1.1 405 ", "Allow: GET, HEAD" },
		{ "GET /echo HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n", "HTTP/1.1 421 ", "" },
	};
	static char answer[1 << 20];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ask(cases[i].request, answer, sizeof(answer), 5000);
		if (strncmp(answer, cases[i].start, strlen(cases[i].start)) || !strstr(answer, cases[i].has))
			fail_msg("asked %s\ngot %.300s", cases[i].request, answer);
	}
	/* libmicrohttpd 1.0 closes without a word, 0.9 says why. */
	ask("\x16\x03\x01 nonsense\r\n\r\n", answer, sizeof(answer), 5000);
	assert_true(!*answer || (!strncmp(answer, "HTTP/1.", 7) && !strncmp(answer + 8, " 400 ", 5)));
	ask(GET("/echo"), answer, sizeof(answer), 5000);
	assert_non_null(strstr(answer, "Content-Security-Policy: default-src 'none'"));
	assert_non_null(strstr(answer, "nosniff"));
}

static void huge_header_is_refused(void **state)
{
	static char request[256 << 10], answer[4096];
	int head = sprintf(request, "GET /echo HTTP/1.1\r\nHost: localhost\r\nX-Long: ");
	struct pollfd wait = { .fd = dial(), .events = POLLIN };

	memset(request + head, 'x', sizeof(request) - head);
	send(wait.fd, request, sizeof(request), MSG_NOSIGNAL | MSG_DONTWAIT);
	assert_int_equal(poll(&wait, 1, 5000 + IDLE_S * 1000),
			 1); /* an error or the end, in any case no more reading */
	close(wait.fd);
	ask(GET("/echo"), answer, sizeof(answer), 5000);
	assert_non_null(strstr(answer, "plain"));
}

static size_t still_open(const int *fds, size_t count)
{
	size_t open = 0;

	for (size_t i = 0; i < count; i++)
		open += !poll(&(struct pollfd){ .fd = fds[i], .events = POLLIN }, 1, 0);
	return open;
}

/* A user with more connections than there are places, of which some wait for an answer that he does not read. */
static void one_user_has_a_share(void **state)
{
	int fds[2 * HTTP_CONNECTIONS];
	char answer[4096];
	pid_t other;
	int status;

	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
		fds[i] = dial();
		if (i % 4 == 0)
			send(fds[i], GET("/metrics"), strlen(GET("/metrics")), MSG_NOSIGNAL);
	}
	/* The same user; their own silence would end the others after IDLE_S. */
	ask(GET("/echo"), answer, sizeof(answer), IDLE_S * 1000 / 2);
	assert_non_null(strstr(answer, "plain"));
	assert_true(still_open(fds, sizeof(fds) / sizeof(fds[0])) <= HTTP_SHARE);
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		close(fds[i]);
	if (getuid())
		skip();
	for (size_t i = 0; i < HTTP_SHARE; i++)
		fds[i] = dial();
	other = fork();
	if (!other) {
		/* nobody: his connections take none of root's away. */
		int his[2 * HTTP_CONNECTIONS];

		if (setgid(65534) || setuid(65534))
			_exit(1);
		for (size_t i = 0; i < sizeof(his) / sizeof(his[0]); i++)
			his[i] = dial();
		poll(NULL, 0, 200);
		_exit(still_open(his, sizeof(his) / sizeof(his[0])) > HTTP_SHARE ? 2 : 0);
	}
	assert_int_equal(waitpid(other, &status, 0), other);
	assert_int_equal(status, 0);
	assert_int_equal(still_open(fds, HTTP_SHARE), HTTP_SHARE);
	for (size_t i = 0; i < HTTP_SHARE; i++)
		close(fds[i]);
}

/* One byte a while keeps a connection from being idle; the request's own time ends it. */
static void trickling_client_is_cut(void **state)
{
	struct pollfd wait = { .fd = dial(), .events = POLLIN };
	time_t start = time(NULL);
	int closed = 0;

	while (!closed && time(NULL) - start < 60) {
		send(wait.fd, "G", 1, MSG_NOSIGNAL);
		closed = poll(&wait, 1, 300);
	}
	assert_int_equal(closed, 1);
	close(wait.fd);
}

/* Asks for the big page and never reads it. */
static void client_that_does_not_read_stops_nobody(void **state)
{
	char answer[4096];
	int fd = dial(), small = 4096;

	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	for (int i = 0; i < 20; i++)
		send(fd, GET("/metrics"), strlen(GET("/metrics")), MSG_NOSIGNAL);
	ask(GET("/echo"), answer, sizeof(answer), 5000);
	assert_non_null(strstr(answer, "plain"));
	close(fd);
}

static long resident_pages(void)
{
	char path[64];
	long size, resident = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/statm", child);
	file = fopen(path, "r");
	assert_non_null(file);
	assert_int_equal(fscanf(file, "%ld %ld", &size, &resident), 2);
	fclose(file);
	return resident;
}

static void thousand_scrapes_in_constant_memory(void **state)
{
	static char answer[1 << 20];
	long before = 0;

	for (int i = 0; i < 1100; i++) {
		if (i == 100)
			before = resident_pages();
		assert_true(ask(GET("/metrics"), answer, sizeof(answer), 5000) > 100000);
	}
	print_message("# %ld pages before, %ld after\n", before, resident_pages());
	assert_true(resident_pages() <= before + before / 10);
}

static void busy_port_is_said(void **state)
{
	struct http_options options = { .address = url + strlen("http://"), .idle_s = 1, .request_s = 1 };
	struct fault fault = { 0 };
	struct http *http;
	sd_event *loop;

	assert_true(sd_event_new(&loop) >= 0);
	assert_int_equal(http_start(&http, loop, &options, &fault), -1);
	assert_non_null(strstr(fault.text, "Address already in use"));
	sd_event_unref(loop);
}

/* Which group may read it is a matter of the socket's mode; whoever else is there, a file or a server, stays. */
static void unix_socket(void **state)
{
	char directory[] = "/tmp/autocork-http-XXXXXX", path[64], text[256] = "";
	struct http_options options = { path, IDLE_S, REQUEST_S, routes, 2, NULL };
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	struct fault fault = { 0 };
	struct http *http, *second;
	struct stat status;
	sd_event *loop;
	int fd;

	assert_non_null(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/page.sock", directory);
	strcpy(to.sun_path, path);
	assert_true(sd_event_new(&loop) >= 0);
	/* A file. */
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	close(fd);
	assert_int_equal(http_start(&http, loop, &options, &fault), -1);
	assert_non_null(strstr(fault.text, "Address already in use"));
	unlink(path);
	/* What a killed agent left. */
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	close(fd);
	if (http_start(&http, loop, &options, &fault))
		fail_msg("%s", fault.text);
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0660);
	assert_int_equal(http_start(&second, loop, &options, &fault), -1);
	snprintf(text, sizeof(text), "http://unix:%s:", path);
	assert_string_equal(http_url(http), text);

	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	assert_int_equal(send(fd, GET("/echo"), strlen(GET("/echo")), MSG_NOSIGNAL), strlen(GET("/echo")));
	for (int i = 0; i < 100 && recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT) < 0; i++)
		sd_event_run(loop, 100000);
	assert_memory_equal(text, "HTTP/1.1 200", 12);
	close(fd);
	http_stop(http);
	assert_int_equal(stat(path, &status), -1);
	rmdir(directory);
	sd_event_unref(loop);
}

static void addresses(void **state)
{
	static const char *const good[] = { "127.0.0.1:1", "[::1]:65535", "localhost:0", "0.0.0.0:9737", "[::]:1" };
	static const char *const bad[] = {
		"",	  ":",	   "9737",    "127.0.0.1",	"127.0.0.1:",	  "127.0.0.1:65536", "127.0.0.1:-1",
		"::1:80", "[::1]", "[::1:80", "[127.0.0.1]:80", "example.org:80", "127.0.0.1:8x",    "[]:1"
	};
	struct sockaddr_storage parsed;
	struct fault fault;
	socklen_t size;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_int_equal(http_address_parse(good[i], &parsed, &size, &fault), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(http_address_parse(bad[i], &parsed, &size, &fault), -1);
	assert_true(http_host_allowed("10.1.2.3:80"));
	assert_true(http_host_allowed("LOCALHOST"));
	assert_false(http_host_allowed("localhost.evil.example"));
	assert_false(http_host_allowed("[::1"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses),
		cmocka_unit_test(answers),
		cmocka_unit_test(busy_port_is_said),
		cmocka_unit_test(unix_socket),
		cmocka_unit_test(huge_header_is_refused),
		cmocka_unit_test(thousand_scrapes_in_constant_memory),
		cmocka_unit_test(client_that_does_not_read_stops_nobody),
		cmocka_unit_test(one_user_has_a_share),
		cmocka_unit_test(trickling_client_is_cut),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
