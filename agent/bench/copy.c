/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Sends the stream in every mode, round by round, paced to one rate. */
#include "bench/copy.h"

#include <endian.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bench/copy_modes.h"
#include "bench/copy_sink.h"
#include "bench/sides.h"
#include "bench/wire.h"
#include "lib/clock.h"

#define TICK_NS 1000000u /* what is due is sent a thousand times a second */
#define PATIENCE_S 10	 /* a receiver that takes nothing for so long is given up */

struct copy {
	const struct bench_copy_options *options;
	struct bench_copy_source source;
	struct bench_copy_sample *sample;
	enum bench_copy_mode mode;
	int fd;
	struct fault *fault;
};

/* Zero-copy calls need memory to note what is under way: waits until some of it is free again. */
static bool wait_for_completion(struct copy *copy)
{
	struct pollfd poll_fd = { .fd = copy->fd };
	uint64_t before = copy->sample->zerocopy_done;

	bench_copy_completions(copy->fd, copy->sample);
	if (copy->sample->zerocopy_done == before && poll(&poll_fd, 1, PATIENCE_S * 1000) > 0)
		bench_copy_completions(copy->fd, copy->sample);
	return copy->sample->zerocopy_done > before;
}

static int send_until(struct copy *copy, uint64_t due)
{
	struct bench_copy_sample *s = copy->sample;

	while (s->bytes < due) {
		size_t offset = s->bytes % BENCH_COPY_SOURCE, n = copy->options->size;
		ssize_t sent;

		if (n > BENCH_COPY_SOURCE - offset)
			n = BENCH_COPY_SOURCE - offset;
		sent = bench_copy_send(&copy->source, copy->mode, copy->fd, offset, n);
		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0 && errno == ENOBUFS && wait_for_completion(copy))
			continue;
		if (sent <= 0)
			return fault_set(copy->fault, EXIT_FAILED,
					 "%s: %s: see what the receiver says, or leave it out of --modes",
					 bench_copy_name(copy->mode), sent ? strerror(errno) : "nothing was sent");
		s->bytes += (uint64_t)sent;
		s->calls++;
	}
	return 0;
}

static int pace(struct copy *copy, uint64_t start)
{
	const struct bench_copy_options *o = copy->options;
	uint64_t end = start + (uint64_t)(o->seconds * 1e9);

	for (uint64_t next = start + TICK_NS;; next += TICK_NS) {
		struct timespec wake = { (time_t)(next / 1000000000), (long)(next % 1000000000) };

		while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &wake, NULL) == EINTR)
			;
		if (send_until(copy, (uint64_t)((double)(next - start) * o->rate_mbit / 8000)))
			return -1;
		if (copy->mode == BENCH_COPY_ZEROCOPY)
			bench_copy_completions(copy->fd, copy->sample);
		/* By the clock as well: a mode that cannot keep up must end, too. */
		if (next >= end || monotonic_ns() >= end)
			return 0;
	}
}

static int take_report(struct copy *copy)
{
	struct bench_copy_sample *s = copy->sample;
	struct bench_sink_report report;

	if (shutdown(copy->fd, SHUT_WR) || bench_read_all(copy->fd, &report, sizeof(report)))
		return fault_set(copy->fault, EXIT_FAILED, "%s: %s: see what the server says",
				 bench_copy_name(copy->mode), strerror(errno));
	s->server_cpu_ns = le64toh(report.cpu_ns);
	s->wrong_bytes = le64toh(report.wrong_bytes);
	if (le64toh(report.bytes) != s->bytes)
		return fault_set(copy->fault, EXIT_FAILED,
				 "%s: %llu bytes sent, %llu received: keep this run's packet trace",
				 bench_copy_name(copy->mode), (unsigned long long)s->bytes,
				 (unsigned long long)le64toh(report.bytes));
	return 0;
}

static int prepare(struct copy *copy)
{
	struct bench_hello hello = {
		.flags = htole32(BENCH_HELLO_SINK | (copy->options->check ? BENCH_HELLO_CHECK : 0)),
		.message_size = htole32(BENCH_COPY_SOURCE),
		.response_size = htole32(1),
		.response_writes = htole32(1),
	};
	struct timeval patience = { .tv_sec = PATIENCE_S };
	int on = 1;

	memcpy(hello.magic, BENCH_MAGIC, sizeof(hello.magic));
	setsockopt(copy->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	setsockopt(copy->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (copy->mode == BENCH_COPY_ZEROCOPY && setsockopt(copy->fd, SOL_SOCKET, SO_ZEROCOPY, &on, sizeof(on)))
		return fault_set(copy->fault, EXIT_UNSUPPORTED, "zerocopy: %s: leave it out of --modes",
				 strerror(errno));
	if (bench_write_all(copy->fd, &hello, sizeof(hello)))
		return fault_set(copy->fault, EXIT_FAILED, "greeting: %s: see what the server says", strerror(errno));
	return 0;
}

static int measure(struct copy *copy)
{
	struct bench_copy_sample *s = copy->sample;
	struct bench_counted counted_before, counted;
	struct bench_cpu before, after;
	uint64_t start;

	if (prepare(copy))
		return -1;
	bench_count(copy->fd, &counted_before);
	bench_cpu_used(&before);
	start = monotonic_ns();
	if (pace(copy, start))
		return -1;
	/* The report comes when all is received: what the sender still had to do for it is in the account. */
	if (take_report(copy))
		return -1;
	s->elapsed_ns = monotonic_ns() - start;
	while (copy->mode == BENCH_COPY_ZEROCOPY && s->zerocopy_done < s->calls && wait_for_completion(copy))
		;
	bench_cpu_used(&after);
	bench_count(copy->fd, &counted);
	s->user_ns = after.user_ns - before.user_ns;
	s->system_ns = after.system_ns - before.system_ns;
	s->segments = counted.segments - counted_before.segments;
	return 0;
}

static int measure_all(struct copy *copy, const struct addrinfo *list, const char *host, const char *port,
		       struct bench_copy_sample (*samples)[BENCH_COPY_ROUNDS_MAX])
{
	const struct bench_copy_options *o = copy->options;

	for (uint32_t round = 0; round < o->rounds; round++)
		for (int mode = 0; mode < BENCH_COPY_MODES; mode++) {
			int status;

			if (!(o->modes & 1u << mode))
				continue;
			copy->fd = bench_connect(list, host, port, copy->fault);
			if (copy->fd < 0)
				return -1;
			copy->mode = mode;
			copy->sample = &samples[mode][round];
			status = measure(copy);
			close(copy->fd);
			if (status)
				return -1;
		}
	return 0;
}

/* Every round counts here, not only the median. */
static int check_bytes(const struct bench_copy_options *o, struct bench_copy_sample (*samples)[BENCH_COPY_ROUNDS_MAX],
		       struct fault *fault)
{
	for (int mode = 0; mode < BENCH_COPY_MODES; mode++)
		for (uint32_t round = 0; round < o->rounds; round++)
			if (samples[mode][round].wrong_bytes)
				return fault_set(fault, EXIT_FAILED,
						 "%s: %llu bytes differ from what was sent: keep this run's "
						 "packet trace",
						 bench_copy_name(mode),
						 (unsigned long long)samples[mode][round].wrong_bytes);
	return 0;
}

int bench_copy_run(const struct bench_copy_options *options, struct fault *fault)
{
	static struct bench_copy_sample samples[BENCH_COPY_MODES][BENCH_COPY_ROUNDS_MAX];
	const struct bench_copy_sample *medians[BENCH_COPY_MODES] = { 0 };
	struct copy copy = { .options = options, .fault = fault };
	const char *own = options->family == AF_INET6 ? "::1" : "127.0.0.1";
	const char *host = options->host ? options->host : own;
	struct bench_sink sink = { 0 };
	struct addrinfo *list = NULL;
	int status = -1;

	signal(SIGPIPE, SIG_IGN);
	if (!options->host && bench_sink_start(&sink, own, options->family, fault))
		return -1;
	if (bench_copy_open(&copy.source, options->size, fault))
		goto out;
	list = bench_resolve(host, options->host ? options->port : sink.port, options->family, fault);
	if (!list || measure_all(&copy, list, host, options->host ? options->port : sink.port, samples) ||
	    check_bytes(options, samples, fault))
		goto close;
	for (int mode = 0; mode < BENCH_COPY_MODES; mode++)
		if (options->modes & 1u << mode)
			medians[mode] = bench_copy_median(samples[mode], options->rounds);
	status = bench_copy_print(options, medians) ?
			 0 :
			 fault_set(fault, EXIT_FAILED, "stdout: %s: make room", strerror(errno));
close:
	bench_copy_close(&copy.source);
out:
	if (list)
		freeaddrinfo(list);
	bench_sink_stop(&sink);
	return status;
}
