/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* agent/release/descriptor.c: whose descriptor is taken, when process numbers are used again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "release/descriptor.h"

#define ATTEMPTS 1000 /* others take process numbers too */

/* The next process gets this number, unless another takes it first. False without the right to say so. */
static bool choose_next(pid_t number)
{
	FILE *last = fopen("/proc/sys/kernel/ns_last_pid", "we");
	bool good = last && fprintf(last, "%d", number - 1) > 0;

	return last && !fclose(last) && good;
}

static pid_t start(void)
{
	pid_t child = fork();

	if (!child) {
		pause();
		_exit(0);
	}
	assert_true(child > 0);
	return child;
}

static void end(pid_t child)
{
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, NULL, 0), child);
}

/* Another process with that number, 0 if it cannot be had. */
static pid_t start_again(pid_t number)
{
	for (int i = 0; i < ATTEMPTS && choose_next(number); i++) {
		pid_t child = start();

		if (child == number)
			return child;
		end(child);
	}
	return 0;
}

static uint64_t cookie_of(int sock)
{
	uint64_t cookie = 0;
	socklen_t size = sizeof(cookie);

	assert_int_equal(getsockopt(sock, SOL_SOCKET, SO_COOKIE, &cookie, &size), 0);
	return cookie;
}

static void number_used_again(void **state)
{
	int sock = socket(AF_INET, SOCK_STREAM, 0), copy;
	pid_t child = start(), again;
	uint64_t cookie = cookie_of(sock);

	copy = descriptor_take_socket(child, sock, cookie);
	if (copy == -EPERM || copy == -ENOSYS) {
		end(child);
		skip();
	}
	assert_true(copy >= 0);
	close(copy);
	end(child);
	assert_int_equal(descriptor_take_socket(child, sock, cookie), -ESRCH);
	again = start_again(child);
	if (!again)
		skip();
	copy = descriptor_take_socket(again, sock, cookie);
	assert_true(copy >= 0);
	close(copy);
	/* Nobody asked in between: what is open is the one before. */
	end(again);
	again = start_again(child);
	if (!again)
		skip();
	copy = descriptor_take_socket(again, sock, cookie);
	end(again);
	assert_true(copy >= 0);
	close(copy);
	close(sock);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(number_used_again) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
