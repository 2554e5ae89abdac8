/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The control socket: requests of every shape, clients that misbehave, sockets that are not ours to take. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/control.h"
#include "lib/log.h"

#define LIST_ITEMS 50000

static struct fixture {
	char dir[64], path[80];
	sd_event *loop;
	struct control *control;
	int finished; /* streams */
	int echoes;
	int made, done, gone; /* list items made, lists done, subscribers gone */
	struct control_client *subscriber;
	uint64_t later_us; /* how far the agent's clock is ahead */
} f;

/* The linker leads the agent's calls here (unit.mk). */
int __real_sd_event_now(sd_event *loop, clockid_t clock, uint64_t *usec);
int __wrap_sd_event_now(sd_event *loop, clockid_t clock, uint64_t *usec);

int __wrap_sd_event_now(sd_event *loop, clockid_t clock, uint64_t *usec)
{
	int result = __real_sd_event_now(loop, clock, usec);

	*usec += f.later_us;
	return result;
}

static int op_echo(struct daemon *daemon, struct control_client *client, const json_t *request, struct fault *fault)
{
	f.echoes++;
	control_reply(client, json_deep_copy(request));
	return 0;
}

static int op_fail(struct daemon *daemon, struct control_client *client, const json_t *request, struct fault *fault)
{
	return fault_set(fault, EXIT_CONFIG, "thing: reason: next step");
}

static json_t *make_item(void *context)
{
	return f.made < LIST_ITEMS ? json_pack("{si}", "n", f.made++) : NULL;
}

static void list_done(void *context)
{
	f.done++;
}

static int op_list(struct daemon *daemon, struct control_client *client, const json_t *request, struct fault *fault)
{
	f.made = f.done = 0;
	control_list(client, &(struct control_list){ make_item, list_done, NULL });
	return 0;
}

static void subscriber_gone(void *context)
{
	f.gone++;
	f.subscriber = NULL;
}

static int op_watch(struct daemon *daemon, struct control_client *client, const json_t *request, struct fault *fault)
{
	f.subscriber = client;
	control_subscribe(client, subscriber_gone, NULL);
	return 0;
}

/* A stream that ends with a list when the client has said all. */
static void stream_ends(void *context)
{
	f.finished++;
	f.made = f.done = 0;
	control_list(f.subscriber, &(struct control_list){ make_item, list_done, NULL });
}

static int op_sum(struct daemon *daemon, struct control_client *client, const json_t *request, struct fault *fault)
{
	op_watch(daemon, client, request, fault);
	control_on_end(client, stream_ends);
	return 0;
}

static const struct control_op ops[] = {
	{ "echo", CONTROL_READ, op_echo },   { "fail", CONTROL_READ, op_fail },	    { "list", CONTROL_READ, op_list },
	{ "watch", CONTROL_READ, op_watch }, { "change", CONTROL_CHANGE, op_echo }, { "sum", CONTROL_READ, op_sum },
};

static int open_control(struct control **control, struct fault *fault)
{
	return control_start(control, f.loop, f.path, ops, sizeof(ops) / sizeof(ops[0]), NULL, fault);
}

static int setup(void **state)
{
	struct fault fault;

	memset(&f, 0, sizeof(f));
	log_set_level(LOG_LEVEL_ERROR);
	strcpy(f.dir, "/tmp/autocork-control-XXXXXX");
	assert_non_null(mkdtemp(f.dir));
	assert_int_equal(chmod(f.dir, 0755), 0);
	snprintf(f.path, sizeof(f.path), "%s/control.sock", f.dir);
	assert_true(sd_event_new(&f.loop) >= 0);
	return open_control(&f.control, &fault);
}

static int teardown(void **state)
{
	control_stop(f.control);
	sd_event_unref(f.loop);
	/* Nothing may be left there. */
	return rmdir(f.dir);
}

/* Lets the agent's side run until it has nothing to do. */
static void pump(void)
{
	/* Everything is in this process: what is not ready now never will be. */
	while (sd_event_run(f.loop, 0) > 0)
		;
}

static int dial(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	strcpy(address.sun_path, f.path);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
	pump();
}

/* What has arrived, as a string; *ended: the agent hung up. */
static const char *hear(int fd, bool *ended)
{
	static char text[65536];
	size_t used = 0;
	ssize_t n;

	do {
		n = recv(fd, text + used, sizeof(text) - 1 - used, 0);
		used += n > 0 ? n : 0;
	} while (n > 0 && used < sizeof(text) - 1);
	if (ended)
		*ended = n == 0 || (n < 0 && errno != EAGAIN);
	text[used] = 0;
	return text;
}

static void answers_in_order(void **state)
{
	int fd = dial();

	say(fd, "{\"op\":\"echo\",\"n\":1}\n\n{\"op\":\"fail\"}\n{\"op\":\"echo\",\"n\":2}\n");
	assert_string_equal(hear(fd, NULL), "{\"reply\":{\"op\":\"echo\",\"n\":1}}\n"
					    "{\"error\":{\"exit_code\":3,\"message\":\"thing: reason: next step\"}}\n"
					    "{\"reply\":{\"op\":\"echo\",\"n\":2}}\n");
	say(fd, "{\"op\":\"ec");
	assert_string_equal(hear(fd, NULL), "");
	say(fd, "ho\"}\n");
	assert_string_equal(hear(fd, NULL), "{\"reply\":{\"op\":\"echo\"}}\n");
	close(fd);
	pump();
}

static int on_beat(sd_event_source *source, uint64_t usec, void *data)
{
	*(int *)data = f.echoes;
	return 0;
}

/* What is due meanwhile comes between two requests of a client that asks for thousands at once. */
static void one_request_a_turn(void **state)
{
	static const char request[] = "\n\n{\"op\":\"echo\"}\n";
	char many[50 * (sizeof(request) - 1) + 1] = "";
	int fd = dial(), at_beat = -1, turns = 0;
	sd_event_source *beat;

	for (int i = 0; i < 50; i++)
		strcat(many, request);
	pump();
	assert_int_equal(send(fd, many, strlen(many), 0), strlen(many));
	shutdown(fd, SHUT_WR);
	sd_event_run(f.loop, 0);
	assert_int_equal(f.echoes, 1);
	assert_true(sd_event_add_time(f.loop, &beat, CLOCK_MONOTONIC, 0, 0, on_beat, &at_beat) >= 0);
	sd_event_source_set_priority(beat, SD_EVENT_PRIORITY_IMPORTANT);
	while (at_beat < 0 && turns++ < 4)
		sd_event_run(f.loop, 0);
	assert_in_range(at_beat, 1, 3);
	pump();
	/* All are answered, though it asks no more. */
	assert_int_equal(f.echoes, 50);
	sd_event_source_unref(beat);
	close(fd);
	pump();
}

static void half_closed_client_gets_its_answer(void **state)
{
	bool ended;
	int fd = dial();

	assert_true(send(fd, "{\"op\":\"echo\"}\n", 14, 0) == 14);
	shutdown(fd, SHUT_WR);
	pump();
	assert_string_equal(hear(fd, &ended), "{\"reply\":{\"op\":\"echo\"}}\n");
	assert_true(ended);
	close(fd);
}

static void nonsense_gets_an_error_each(void **state)
{
	static const char *const bad[] = {
		"hello\n",
		"[]\n",
		"{}\n",
		"42\n",
		"{\"op\":42}\n",
		"{\"op\":\"echo\",\"op\":\"echo\"}\n",
		"{\"op\":\"echo\"\n",
		"\xff\xfe\n",
		"{\"op\":\"no such\"}\n",
	};
	int fd = dial();

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const char *answer;

		say(fd, bad[i]);
		answer = hear(fd, NULL);
		assert_memory_equal(answer, "{\"error\":{\"exit_code\":2,", 24);
		assert_int_equal(strcspn(answer, "\n"), strlen(answer) - 1);
	}
	say(fd, "{\"op\":\"no such\"}\n");
	assert_non_null(strstr(hear(fd, NULL), "this agent knows echo, fail, list, watch, change"));
	say(fd, "{\"op\":\"echo\"}\n");
	assert_string_equal(hear(fd, NULL), "{\"reply\":{\"op\":\"echo\"}}\n");
	close(fd);
	pump();
}

/* The same seed on every run: a failure can be looked at. */
static void random_bytes_never_hurt(void **state)
{
	unsigned int seed = 1;
	int fd = dial();

	for (int round = 0; round < 500; round++) {
		char bytes[200];

		for (size_t i = 0; i < sizeof(bytes); i++)
			bytes[i] = rand_r(&seed) % 7 ? rand_r(&seed) : "{}[]\":,\n0"[rand_r(&seed) % 9];
		assert_int_equal(send(fd, bytes, sizeof(bytes), MSG_NOSIGNAL), sizeof(bytes));
		pump();
		hear(fd, NULL);
	}
	say(fd, "\n{\"op\":\"echo\"}\n");
	assert_non_null(strstr(hear(fd, NULL), "{\"reply\":{\"op\":\"echo\"}}\n"));
	close(fd);
	pump();
}

static void huge_request_is_refused(void **state)
{
	static char huge[CONTROL_REQUEST_MAX + 2];
	bool ended;
	int fd = dial();

	memset(huge, ' ', sizeof(huge));
	for (size_t sent = 0; sent < sizeof(huge);) {
		ssize_t n = send(fd, huge + sent, sizeof(huge) - sent, MSG_NOSIGNAL);

		assert_true(n > 0 || errno == EAGAIN);
		sent += n > 0 ? n : 0;
		pump();
		if (n < 0)
			break;
	}
	assert_non_null(strstr(hear(fd, &ended), "longer than 64 KiB"));
	assert_true(ended);
	close(fd);

	/* The longest that is allowed: spaces and a request. */
	fd = dial();
	strcpy(huge + CONTROL_REQUEST_MAX - 13, "{\"op\":\"echo\"}");
	huge[CONTROL_REQUEST_MAX] = '\n';
	for (size_t sent = 0; sent < CONTROL_REQUEST_MAX + 1;) {
		ssize_t n = send(fd, huge + sent, CONTROL_REQUEST_MAX + 1 - sent, MSG_NOSIGNAL);

		assert_true(n > 0);
		sent += n;
		pump();
	}
	assert_string_equal(hear(fd, NULL), "{\"reply\":{\"op\":\"echo\"}}\n");
	close(fd);
	pump();
}

static void list_is_made_as_it_is_read(void **state)
{
	size_t lines = 0;
	bool ended = false;
	int made, fd = dial();

	say(fd, "{\"op\":\"list\"}\n");
	made = f.made;
	/* The socket takes some 200 KiB, the agent keeps 64 KiB: not all of the 1 MB. */
	assert_in_range(made, 1, LIST_ITEMS / 2);
	pump();
	assert_int_equal(f.made, made);
	while (lines < LIST_ITEMS + 1) {
		const char *text = hear(fd, &ended);

		assert_false(ended);
		for (const char *c = text; *c; c++)
			lines += *c == '\n';
		if (lines == LIST_ITEMS + 1)
			assert_non_null(strstr(text, "{\"items\":50000}}\n"));
		pump();
	}
	assert_int_equal(lines, LIST_ITEMS + 1);
	assert_int_equal(f.done, 1);
	say(fd, "{\"op\":\"echo\"}\n");
	assert_string_equal(hear(fd, NULL), "{\"reply\":{\"op\":\"echo\"}}\n");
	close(fd);
	pump();
	assert_int_equal(f.done, 1);
}

static void list_ends_with_its_client(void **state)
{
	int fd = dial();

	say(fd, "{\"op\":\"list\"}\n");
	assert_int_equal(f.done, 0);
	close(fd);
	pump();
	assert_int_equal(f.done, 1);
}

static void subscriber_that_does_not_read_loses_lines(void **state)
{
	size_t taken = 0, heard = 0;
	int fd = dial();

	say(fd, "{\"op\":\"watch\"}\n");
	assert_non_null(f.subscriber);
	while (control_push(f.subscriber, json_pack("{ss}", "event", "something of a certain length")))
		assert_in_range(++taken, 1, 100000);
	/* What was taken arrives, all of it. */
	for (size_t got = 1; got;) {
		const char *text = hear(fd, NULL);

		got = 0;
		for (const char *c = text; *c; c++)
			got += *c == '\n';
		heard += got;
		pump();
	}
	assert_int_equal(heard, taken);
	assert_true(control_push(f.subscriber, json_pack("{ss}", "event", "again")));
	close(fd);
	pump();
	assert_int_equal(f.gone, 1);
	assert_null(f.subscriber);
}

static void stream_ends_with_a_list(void **state)
{
	bool ended = false;
	size_t lines = 0;
	int fd = dial();

	say(fd, "{\"op\":\"sum\"}\n");
	assert_non_null(f.subscriber);
	assert_int_equal(f.finished, 0);
	shutdown(fd, SHUT_WR);
	pump();
	assert_int_equal(f.finished, 1);
	while (!ended) {
		for (const char *c = hear(fd, &ended); *c; c++)
			lines += *c == '\n';
		pump();
	}
	assert_int_equal(lines, LIST_ITEMS + 1);
	/* One of the two ends of it, not both, and once. */
	assert_int_equal(f.done, 1);
	assert_int_equal(f.gone, 0);
	close(fd);
	/* A client that goes altogether wants no list. */
	fd = dial();
	say(fd, "{\"op\":\"sum\"}\n");
	f.done = 0;
	close(fd);
	pump();
	assert_int_equal(f.gone + f.done, 1);
}

static void push_to_a_client_that_went(void **state)
{
	int fd = dial();

	say(fd, "{\"op\":\"watch\"}\n");
	close(fd);
	/* The agent has not seen the close yet. */
	control_push(f.subscriber, json_pack("{ss}", "event", "lost"));
	assert_int_equal(f.gone, 0);
	pump();
	assert_int_equal(f.gone, 1);
}

static void clients_are_bounded(void **state)
{
	int fds[CONTROL_CLIENTS_MAX], late;
	bool ended;

	for (int i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		fds[i] = dial();
		pump();
	}
	late = dial();
	pump();
	assert_non_null(strstr(hear(late, &ended), "64 clients are connected already"));
	assert_true(ended);
	close(late);
	close(fds[0]);
	pump();
	fds[0] = dial();
	say(fds[0], "{\"op\":\"echo\"}\n");
	assert_string_equal(hear(fds[0], NULL), "{\"reply\":{\"op\":\"echo\"}}\n");
	for (int i = 0; i < CONTROL_CLIENTS_MAX; i++)
		close(fds[i]);
	pump();
}

/* Lets the agent look for clients of the kind that it drops, which it does every two seconds. */
static void wait_for_check(void)
{
	for (int i = 0; i < 10; i++) {
		sd_event_run(f.loop, 250000);
		pump();
	}
}

static bool hung_up(int fd)
{
	bool ended;

	hear(fd, &ended);
	return ended;
}

static void idle_clients_are_dropped_but_no_listeners(void **state)
{
	int idle = dial(), listener = dial();

	say(listener, "{\"op\":\"watch\"}\n");
	say(idle, "{\"op\":\"echo\"}\n");
	f.later_us = (CONTROL_IDLE_S - 5) * 1000000ull;
	wait_for_check();
	assert_false(hung_up(idle));
	f.later_us = (CONTROL_IDLE_S + 1) * 1000000ull;
	wait_for_check();
	assert_true(hung_up(idle));
	assert_false(hung_up(listener));
	assert_int_equal(f.gone, 0);
	close(idle);
	close(listener);
	pump();
}

static void stalled_clients_are_dropped(void **state)
{
	int stalled = dial(), slow = dial();

	say(stalled, "{\"op\":\"list\"}\n");
	say(slow, "{\"op\":\"echo\"}\n");
	/* Until the socket takes no more. */
	for (int i = 0; i < 10; i++)
		say(stalled, "{\"op\":\"echo\"}\n");
	/* To send more, and to take nothing, is no progress. */
	f.later_us = (CONTROL_STALL_S - 4) * 1000000ull;
	say(stalled, "{\"op\":\"echo\"}\n");
	f.later_us = (CONTROL_STALL_S + 1) * 1000000ull;
	wait_for_check();
	assert_int_equal(f.done, 1);
	/* One that has all its answers may take its time. */
	assert_non_null(strstr(hear(slow, NULL), "reply"));
	assert_false(hung_up(slow));
	close(stalled);
	close(slow);
	pump();
}

/* Out of descriptors the agent leaves who comes waiting, and serves them once there are some. */
static void clients_wait_for_descriptors(void **state)
{
	struct rlimit before, none;
	int fd = dial();

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = fd + 1;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	say(fd, "{\"op\":\"echo\"}\n");
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_string_equal(hear(fd, NULL), "");
	wait_for_check();
	assert_string_equal(hear(fd, NULL), "{\"reply\":{\"op\":\"echo\"}}\n");
	close(fd);
	pump();
}

static void each_list_is_counted_by_itself(void **state)
{
	const char *text, *end;
	int fd = dial();

	for (int i = 0; i < 2; i++) {
		char expected[64];

		say(fd, "{\"op\":\"list\"}\n");
		do {
			text = hear(fd, NULL);
			end = strstr(text, "{\"end\"");
			pump();
		} while (!end && *text);
		assert_non_null(end);
		snprintf(expected, sizeof(expected), "{\"end\":{\"items\":%d}}\n", LIST_ITEMS);
		assert_string_equal(end, expected);
	}
	close(fd);
	pump();
}

static void other_users_are_refused(void **state)
{
	int pipe_fds[2], status;
	char text[256] = "";
	struct stat there;
	pid_t pid;

	assert_int_equal(stat(f.path, &there), 0);
	assert_int_equal(there.st_mode & 0777, 0660);
	if (geteuid())
		skip();
	/* Even where the file's permissions would let it in, SO_PEERCRED does not. */
	assert_int_equal(chmod(f.path, 0666), 0);
	assert_int_equal(pipe(pipe_fds), 0);
	pid = fork();
	if (!pid) {
		int fd;
		struct sockaddr_un address = { .sun_family = AF_UNIX };

		strcpy(address.sun_path, f.path);
		if (setgid(65534) || setuid(65534))
			_exit(1);
		fd = socket(AF_UNIX, SOCK_STREAM, 0);
		if (connect(fd, (struct sockaddr *)&address, sizeof(address)))
			_exit(2);
		dup2(pipe_fds[1], 1);
		_exit(write(1, text, recv(fd, text, sizeof(text), 0)) < 0);
	}
	for (int i = 0; i < 100 && waitpid(pid, &status, WNOHANG) != pid; i++)
		sd_event_run(f.loop, 100000);
	assert_int_equal(status, 0);
	assert_true(read(pipe_fds[0], text, sizeof(text) - 1) > 0);
	assert_non_null(strstr(text, "uid 65534 is not allowed"));
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

static void second_agent_is_refused(void **state)
{
	struct control *second;
	struct fault fault;
	struct stat status;
	char pid[32], lock[96];
	int fd;

	assert_int_equal(open_control(&second, &fault), -1);
	/* Nobody else may lock it. */
	snprintf(lock, sizeof(lock), "%s.lock", f.path);
	assert_int_equal(stat(lock, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0600);
	snprintf(pid, sizeof(pid), "(pid %d)", getpid());
	assert_non_null(strstr(fault.text, pid));
	assert_int_equal(fault.exit_code, EXIT_FAILED);
	/* And the first one goes on. */
	fd = dial();
	say(fd, "{\"op\":\"echo\"}\n");
	assert_string_equal(hear(fd, NULL), "{\"reply\":{\"op\":\"echo\"}}\n");
	close(fd);
	pump();
}

static int bind_at_path(bool listening)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strcpy(address.sun_path, f.path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	if (listening)
		assert_int_equal(listen(fd, 1), 0);
	return fd;
}

static void killed_agents_socket_is_taken_over(void **state)
{
	struct fault fault;
	int fd;

	control_stop(f.control);
	f.control = NULL;
	close(bind_at_path(false));
	assert_int_equal(open_control(&f.control, &fault), 0);
	fd = dial();
	close(fd);
	pump();
}

static void what_is_not_ours_is_refused(void **state)
{
	struct fault fault;
	char lock[96], long_path[200];
	int fd, waiting[2];

	control_stop(f.control);
	f.control = NULL;
	snprintf(lock, sizeof(lock), "%s.lock", f.path);

	fd = bind_at_path(true);
	assert_int_equal(open_control(&f.control, &fault), -1);
	assert_non_null(strstr(fault.text, "another program"));
	assert_int_equal(access(f.path, F_OK), 0);
	assert_int_equal(access(lock, F_OK), -1);
	close(fd);
	unlink(f.path);

	/* So is one that others wait for already. */
	fd = bind_at_path(true);
	for (int i = 0; i < 2; i++)
		waiting[i] = dial();
	assert_int_equal(open_control(&f.control, &fault), -1);
	assert_non_null(strstr(fault.text, "another program"));
	for (int i = 0; i < 2; i++)
		close(waiting[i]);
	close(fd);
	unlink(f.path);

	close(open(f.path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	assert_int_equal(open_control(&f.control, &fault), -1);
	assert_non_null(strstr(fault.text, "is no socket"));
	assert_int_equal(access(f.path, F_OK), 0);
	unlink(f.path);

	memset(long_path, 'x', sizeof(long_path) - 1);
	long_path[sizeof(long_path) - 1] = 0;
	assert_int_equal(control_start(&f.control, f.loop, long_path, ops, 1, NULL, &fault), -1);
	assert_int_equal(fault.exit_code, EXIT_USAGE);
	assert_int_equal(control_start(&f.control, f.loop, "/nonexistent/directory/socket", ops, 1, NULL, &fault), -1);
	assert_non_null(strstr(fault.text, "/nonexistent/directory"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(answers_in_order),
		TEST(one_request_a_turn),
		TEST(half_closed_client_gets_its_answer),
		TEST(nonsense_gets_an_error_each),
		TEST(random_bytes_never_hurt),
		TEST(huge_request_is_refused),
		TEST(list_is_made_as_it_is_read),
		TEST(list_ends_with_its_client),
		TEST(subscriber_that_does_not_read_loses_lines),
		TEST(stream_ends_with_a_list),
		TEST(push_to_a_client_that_went),
		TEST(clients_are_bounded),
		TEST(idle_clients_are_dropped_but_no_listeners),
		TEST(stalled_clients_are_dropped),
		TEST(clients_wait_for_descriptors),
		TEST(each_list_is_counted_by_itself),
		TEST(other_users_are_refused),
		TEST(second_agent_is_refused),
		TEST(killed_agents_socket_is_taken_over),
		TEST(what_is_not_ours_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
