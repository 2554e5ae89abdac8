/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The TCP engine of the endpoint, against itself over a wire that loses, reorders and copies frames. */
#include <errno.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "engines.h"

#define SERVER4 "10.0.0.1"
#define SERVER6 "fd00::1"
#define CLIENT4 "10.0.0.2"
#define CLIENT6 "fd00::2"

static struct side server, client;

static void start(uint64_t seed, struct engine_config config)
{
	virtual_now = 1000000000000ull;
	memory_pair(&server.wire, &client.wire, seed);
	side_start(&server, SERVER4, SERVER6, config);
	side_start(&client, CLIENT4, CLIENT6, config);
}

static void stop(void)
{
	client.call.engine_destroy(client.engine);
	server.call.engine_destroy(server.engine);
	assert_int_equal(server.wire.taken, 0);
	assert_int_equal(client.wire.taken, 0);
	memory_close(&server.wire.ring);
	memory_close(&client.wire.ring);
}

static struct engine_socket *listen_on(const char *address, uint16_t port, int backlog)
{
	union engine_address local = address_of(address, port);
	struct engine_socket *listener = NULL;

	assert_int_equal(server.call.engine_listen(server.engine, &local, backlog, false, &listener), 0);
	return listener;
}

static struct engine_socket *connect_from(const char *from, uint16_t from_port, const char *to, uint16_t port)
{
	union engine_address local = address_of(from, from_port), peer = address_of(to, port);
	struct engine_socket *socket = NULL;

	assert_int_equal(client.call.engine_connect(client.engine, &local, &peer, &socket), 0);
	return socket;
}

static ssize_t put(struct side *side, struct engine_socket *socket, const void *data, size_t len)
{
	struct iovec iov = { (void *)(uintptr_t)data, len };

	return side->call.engine_write(socket, &iov, 1, 0);
}

static ssize_t get(struct side *side, struct engine_socket *socket, void *data, size_t len, int flags)
{
	struct iovec iov = { data, len };

	return side->call.engine_read(socket, &iov, 1, flags);
}

static uint32_t ready(struct side *side, struct engine_socket *socket)
{
	return side->call.engine_ready(socket);
}

static void echo(const char *listen_address, const char *to, const char *from, int family)
{
	struct engine_socket *listener, *c, *s;
	union engine_address peer;
	char buffer[64];

	start(1, (struct engine_config){ 0 });
	listener = listen_on(listen_address, 80, 8);
	c = connect_from(from, 4000, to, 80);
	assert_int_equal(ready(&client, c), 0);
	assert_int_equal(put(&client, c, "x", 1), -EAGAIN);
	run_for(&server, &client, 10);
	assert_int_equal(ready(&client, c), EPOLLOUT);
	assert_int_equal(ready(&server, listener), EPOLLIN);
	s = server.call.engine_accept(listener);
	assert_non_null(s);
	assert_null(server.call.engine_accept(listener));
	server.call.engine_peer(s, &peer);
	assert_int_equal(peer.sa.sa_family, family);
	assert_int_equal(ntohs(peer.in.sin_port), 4000);
	assert_int_equal(ready(&server, s), EPOLLOUT);
	assert_int_equal(get(&server, s, buffer, sizeof(buffer), 0), -EAGAIN);
	server.edges = 0;
	assert_int_equal(put(&client, c, "hello", 5), 5);
	run_for(&server, &client, 10);
	assert_int_equal(server.edges, EPOLLIN);
	assert_int_equal(ready(&server, s), EPOLLIN | EPOLLOUT);
	assert_int_equal(get(&server, s, buffer, sizeof(buffer), MSG_PEEK), 5);
	assert_int_equal(get(&server, s, buffer, 2, 0), 2);
	assert_int_equal(get(&server, s, buffer + 2, 60, 0), 3);
	assert_memory_equal(buffer, "hello", 5);
	assert_int_equal(put(&server, s, buffer, 5), 5);
	run_for(&server, &client, 10);
	assert_int_equal(get(&client, c, buffer, sizeof(buffer), 0), 5);
	/* Half close: the other way goes on. A FIN is an edge of all that is true, as the kernel's. */
	server.edges = 0;
	assert_int_equal(client.call.engine_shutdown(c, SHUT_WR), 0);
	client.edges = 0;
	run_for(&server, &client, 10);
	assert_int_equal(server.edges, EPOLLIN | EPOLLOUT | EPOLLRDHUP);
	assert_int_equal(client.edges, EPOLLOUT); /* when it is acknowledged */
	assert_int_equal(ready(&server, s), EPOLLIN | EPOLLOUT | EPOLLRDHUP);
	assert_int_equal(get(&server, s, buffer, sizeof(buffer), 0), 0);
	assert_int_equal(put(&server, s, "late", 4), 4);
	run_for(&server, &client, 10);
	assert_int_equal(get(&client, c, buffer, sizeof(buffer), 0), 4);
	assert_int_equal(put(&client, c, "x", 1), -EPIPE);
	server.call.engine_close(s);
	run_for(&server, &client, 10);
	assert_int_equal(ready(&client, c), EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLHUP);
	assert_int_equal(client.call.engine_state(c), TCP_CLOSE);
	client.call.engine_close(c);
	stop();
}

static void echo_over_ipv4(void **state)
{
	echo(SERVER4, SERVER4, CLIENT4, AF_INET);
}

static void echo_over_ipv6(void **state)
{
	echo("::", SERVER6, CLIENT6, AF_INET6);
}

static void an_ipv6_listener_takes_ipv4_as_mapped(void **state)
{
	echo("::", SERVER4, CLIENT4, AF_INET6);
}

static uint64_t sent_by(struct side *side)
{
	struct engine_stats stats;

	side->call.engine_stats(side->engine, &stats);
	assert_int_equal(stats.segments_out, side->wire.sent);
	return stats.segments_out;
}

/* What is written one after the other, and the FIN, before anything has left. */
static void writes_share_a_segment(void **state)
{
	static char body[1460];
	struct engine_socket *listener, *c, *s;
	char buffer[4096];
	uint64_t before;

	start(1, (struct engine_config){ 0 });
	listener = listen_on(SERVER4, 80, 8);
	c = connect_from(CLIENT4, 4000, SERVER4, 80);
	run_for(&server, &client, 10);
	s = server.call.engine_accept(listener);
	assert_int_equal(server.call.engine_set_option(s, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, 4), 0);

	before = sent_by(&server);
	assert_int_equal(put(&server, s, "head", 4), 4);
	assert_int_equal(put(&server, s, "", 0), 0);
	assert_int_equal(put(&server, s, "body", 4), 4);
	assert_int_equal(sent_by(&server), before + 1);
	run_for(&server, &client, 10);
	assert_int_equal(get(&client, c, buffer, sizeof(buffer), 0), 8);
	assert_memory_equal(buffer, "headbody", 8);

	/* What is more than a segment; and what has left. */
	before = sent_by(&server);
	assert_int_equal(put(&server, s, "head", 4), 4);
	assert_int_equal(put(&server, s, body, sizeof(body)), sizeof(body));
	run_for(&server, &client, 10);
	assert_int_equal(sent_by(&server), before + 2);
	assert_int_equal(get(&client, c, buffer, sizeof(buffer), 0), 4 + sizeof(body));
	before = sent_by(&server);
	assert_int_equal(put(&server, s, "a", 1), 1);
	server.call.engine_flush(server.engine);
	assert_int_equal(put(&server, s, "b", 1), 1);
	run_for(&server, &client, 10);
	assert_int_equal(sent_by(&server), before + 2);
	assert_int_equal(get(&client, c, buffer, sizeof(buffer), 0), 2);

	/* Another thread may wait on the ring; somebody else may be sending what has waited for long. */
	for (int late = 0; late < 2; late++) {
		before = sent_by(&server);
		side_alone = late;
		assert_int_equal(put(&server, s, "a", 1), 1);
		virtual_now += late ? 150000000 : 0;
		assert_int_equal(put(&server, s, "b", 1), 1);
		side_alone = 1;
		assert_int_equal(sent_by(&server), before + 2);
		run_for(&server, &client, 10);
		assert_int_equal(get(&client, c, buffer, sizeof(buffer), 0), 2);
	}

	before = sent_by(&server);
	assert_int_equal(put(&server, s, "end", 3), 3);
	server.call.engine_close(s);
	assert_int_equal(sent_by(&server), before + 1);
	run_for(&server, &client, 10);
	assert_int_equal(get(&client, c, buffer, sizeof(buffer), 0), 3);
	assert_int_equal(get(&client, c, buffer, sizeof(buffer), 0), 0);
	client.call.engine_close(c);
	run_for(&server, &client, 10);
	stop();
}

/* A stream of bytes that both ends can compute. */
static uint8_t byte_at(uint64_t seed, uint64_t at)
{
	uint64_t mixed = (seed + at / 8) * 0x9e3779b97f4a7c15ull;

	return (uint8_t)((mixed ^ mixed >> 29) >> (at % 8 * 8));
}

struct stream {
	struct side *side;
	struct engine_socket *socket;
	uint64_t seed_out, seed_in, sent, received, total_out, total_in;
	bool shut, ended;
};

static void step(struct stream *stream, uint64_t *random)
{
	uint8_t buffer[20000];
	ssize_t got;

	while (stream->sent < stream->total_out) {
		size_t want = 1 + wire_random(random) % sizeof(buffer);
		want = want < stream->total_out - stream->sent ? want : stream->total_out - stream->sent;
		for (size_t i = 0; i < want; i++)
			buffer[i] = byte_at(stream->seed_out, stream->sent + i);
		got = put(stream->side, stream->socket, buffer, want);
		if (got == -EAGAIN)
			break;
		assert_true(got > 0);
		stream->sent += (uint64_t)got;
	}
	if (stream->sent == stream->total_out && !stream->shut) {
		assert_int_equal(stream->side->call.engine_shutdown(stream->socket, SHUT_WR), 0);
		stream->shut = true;
	}
	while (!stream->ended) {
		size_t want = 1 + wire_random(random) % sizeof(buffer);
		got = get(stream->side, stream->socket, buffer, want, 0);
		if (got == -EAGAIN)
			break;
		assert_true(got >= 0);
		stream->ended = got == 0;
		for (ssize_t i = 0; i < got; i++)
			assert_int_equal(buffer[i], byte_at(stream->seed_in, stream->received + (uint64_t)i));
		stream->received += (uint64_t)got;
	}
}

/* Both ways at the same time, to the last byte, in virtual time. Returns how long it took, in ms. */
static uint64_t transfer(uint64_t seed, uint64_t bytes, unsigned lose, unsigned swap, unsigned copy,
			 struct engine_config config)
{
	uint64_t random = seed, began;
	struct stream a = { .side = &client, .seed_out = 1, .seed_in = 2, .total_out = bytes, .total_in = bytes / 2 };
	struct stream b = { .side = &server, .seed_out = 2, .seed_in = 1, .total_out = bytes / 2, .total_in = bytes };
	struct engine_socket *listener;

	start(seed, config);
	began = virtual_now;
	for (struct side *side = &server; side; side = side == &server ? &client : NULL) {
		side->wire.lose = lose;
		side->wire.swap = swap;
		side->wire.copy = copy;
	}
	listener = listen_on("::", 80, 8);
	a.socket = connect_from(CLIENT4, 4000, SERVER4, 80);
	for (unsigned rounds = 0; !a.ended || !b.ended; rounds++) {
		assert_true(rounds < 2000000);
		if (!b.socket)
			b.socket = server.call.engine_accept(listener);
		if (client.call.engine_state(a.socket) != TCP_SYN_SENT)
			step(&a, &random);
		if (b.socket)
			step(&b, &random);
		if (!run_both(&server, &client))
			assert_true(next_deadline(&server, &client, virtual_now + 600000000000ull));
		virtual_now += 100000; /* a round trip takes time */
	}
	assert_int_equal(a.received, a.total_in);
	assert_int_equal(b.received, b.total_in);
	uint64_t took = (virtual_now - began) / 1000000;
	client.call.engine_close(a.socket);
	server.call.engine_close(b.socket);
	stop();
	return took;
}

static void bulk_both_ways(void **state)
{
	transfer(1, 16 << 20, 0, 0, 0, (struct engine_config){ 0 });
	transfer(2, 4 << 20, 0, 0, 0, (struct engine_config){ .receive_buffer = 8192, .send_buffer = 5000 });
	transfer(3, 8 << 20, 0, 0, 0, (struct engine_config){ .receive_buffer = 4 << 20, .send_buffer = 4 << 20 });
}

static void bulk_with_loss_order_and_copies(void **state)
{
	for (uint64_t seed = 1; seed <= 8; seed++)
		transfer(seed * 7919, 1 << 20, seed % 3 * 25, seed % 4 * 50, seed % 2 * 50,
			 (struct engine_config){ 0 });
}

static void an_idle_engine_has_no_deadline(void **state)
{
	enum { COUNT = 1000 };
	struct engine_socket *listener, *c[COUNT], *s[COUNT];
	char byte;

	start(3, (struct engine_config){ 0 });
	listener = listen_on(SERVER4, 80, COUNT);
	for (int i = 0; i < COUNT; i++)
		c[i] = connect_from(CLIENT4, (uint16_t)(2000 + i), SERVER4, 80);
	run_for(&server, &client, 10);
	for (int i = 0; i < COUNT; i++) {
		s[i] = server.call.engine_accept(listener);
		assert_non_null(s[i]);
		assert_int_equal(put(&server, s[i], "x", 1), 1);
	}
	run_for(&server, &client, 1000);
	assert_true(server.call.engine_deadline(server.engine) == ENGINE_NEVER);
	assert_true(client.call.engine_deadline(client.engine) == ENGINE_NEVER);
	run_for(&server, &client, 3600000);
	for (int i = 0; i < COUNT; i++) {
		assert_int_equal(get(&client, c[i], &byte, 1, 0), 1);
		assert_int_equal(put(&client, c[i], "y", 1), 1);
	}
	run_for(&server, &client, 10);
	for (int i = 0; i < COUNT; i++)
		assert_int_equal(get(&server, s[i], &byte, 1, 0), 1);
	stop();
}

static void a_port_is_used_again_at_once(void **state)
{
	struct engine_stats stats;
	struct engine_socket *listener, *c, *s;
	char byte;

	start(4, (struct engine_config){ 0 });
	listener = listen_on(SERVER4, 80, 16);
	/* The server closes first, so that it has the TIME_WAIT; the client comes again from the same few ports. */
	for (int i = 0; i < 10000; i++) {
		c = connect_from(CLIENT4, (uint16_t)(2000 + i % 3), SERVER4, 80);
		run_both(&server, &client);
		s = server.call.engine_accept(listener);
		assert_non_null(s);
		server.call.engine_close(s);
		run_both(&server, &client);
		assert_int_equal(get(&client, c, &byte, 1, 0), 0);
		client.call.engine_close(c);
		run_both(&server, &client);
		virtual_now += 1000000;
	}
	server.call.engine_stats(server.engine, &stats);
	assert_int_equal(stats.accepted, 10000);
	assert_true(stats.time_wait <= 3);
	/* They end by themselves, and then nothing is left to wait for. */
	run_for(&server, &client, 130000);
	server.call.engine_stats(server.engine, &stats);
	assert_int_equal(stats.time_wait, 0);
	assert_true(server.call.engine_deadline(server.engine) == ENGINE_NEVER);
	stop();
}

static void refused_reset_and_unread(void **state)
{
	struct engine_socket *listener, *c, *s;
	char byte;

	start(5, (struct engine_config){ 0 });
	c = connect_from(CLIENT4, 4000, SERVER4, 81);
	run_for(&server, &client, 10);
	assert_int_equal(ready(&client, c), EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLHUP | EPOLLERR);
	assert_int_equal(client.call.engine_take_error(c), ECONNREFUSED);
	client.call.engine_close(c);

	listener = listen_on(SERVER4, 80, 16);
	c = connect_from(CLIENT4, 4001, SERVER4, 80);
	run_for(&server, &client, 10);
	s = server.call.engine_accept(listener);
	put(&client, c, "abc", 3);
	run_for(&server, &client, 10);
	server.call.engine_close(s); /* with unread data: RST */
	run_for(&server, &client, 10);
	assert_true(ready(&client, c) & EPOLLERR);
	assert_int_equal(get(&client, c, &byte, 1, 0), -ECONNRESET);
	assert_int_equal(get(&client, c, &byte, 1, 0), 0);
	assert_int_equal(put(&client, c, "x", 1), -EPIPE);
	/* Programs set options after a RST as before it. */
	int on = 1, got = 0;
	socklen_t len = sizeof(got);
	assert_int_equal(client.call.engine_set_option(c, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)), 0);
	assert_int_equal(client.call.engine_set_option(c, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)), 0);
	assert_int_equal(client.call.engine_get_option(c, IPPROTO_TCP, TCP_NODELAY, &got, &len), 0);
	assert_int_equal(got, 1);
	assert_int_equal(client.call.engine_set_option(c, IPPROTO_TCP, 99, &on, sizeof(on)), -EOPNOTSUPP);
	client.call.engine_close(c);
	stop();
}

static void a_lost_peer_is_given_up(void **state)
{
	struct engine_socket *listener, *c, *s;
	int on = 1, idle = 10, interval = 5, count = 3;

	start(6, (struct engine_config){ 0 });
	listener = listen_on(SERVER4, 80, 16);
	c = connect_from(CLIENT4, 4001, SERVER4, 80);
	run_for(&server, &client, 10);
	s = server.call.engine_accept(listener);
	server.call.engine_set_option(s, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	server.call.engine_set_option(s, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	server.call.engine_set_option(s, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
	server.call.engine_set_option(s, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
	/* A peer that answers keeps it. */
	run_for(&server, &client, 120000);
	assert_int_equal(ready(&server, s), EPOLLOUT);
	client.wire.lose = server.wire.lose = 1000;
	run_for(&server, &client, 15000);
	assert_int_equal(ready(&server, s), EPOLLOUT);
	run_for(&server, &client, 15000);
	assert_true(ready(&server, s) & EPOLLERR);
	assert_int_equal(server.call.engine_take_error(s), ETIMEDOUT);
	/* Data that nobody acknowledges. */
	assert_int_equal(put(&client, c, "x", 1), 1);
	run_for(&server, &client, 3600000);
	assert_int_equal(client.call.engine_take_error(c), ETIMEDOUT);
	stop();
}

static void limits_hold(void **state)
{
	struct engine_stats stats;

	start(7, (struct engine_config){ .max_connections = 50, .max_half_open = 10 });
	listen_on(SERVER4, 80, 1000);
	for (int i = 0; i < 40; i++)
		connect_from(CLIENT4, (uint16_t)(2000 + i), SERVER4, 80);
	/* All SYNs arrive before the first answer. */
	client.call.engine_flush(client.engine);
	server.call.engine_poll(server.engine, virtual_now, 0);
	server.call.engine_stats(server.engine, &stats);
	assert_int_equal(stats.half_open, 10);
	assert_int_equal(stats.connections, 10);
	assert_int_equal(stats.limit_hit, 30);
	run_for(&server, &client, 60000);
	server.call.engine_stats(server.engine, &stats);
	assert_int_equal(stats.half_open, 0);
	assert_int_equal(stats.connections, 40); /* the others by their next SYN */
	stop();
}

static void a_zero_window_is_probed(void **state)
{
	static uint8_t block[65536], sink[65536];
	struct engine_socket *listener, *c, *s;
	uint64_t sent = 0, received = 0;
	ssize_t got;

	start(8, (struct engine_config){ .receive_buffer = 20000 });
	listener = listen_on(SERVER4, 80, 16);
	c = connect_from(CLIENT4, 4001, SERVER4, 80);
	run_for(&server, &client, 10);
	s = server.call.engine_accept(listener);
	while ((got = put(&client, c, block, sizeof(block))) > 0)
		sent += (uint64_t)got;
	run_for(&server, &client, 600000);  /* ten minutes of a reader that sleeps */
	got = server.call.engine_unread(s); /* the window's field counts in 128 bytes */
	assert_in_range(got, 20000 - 128, 20000);
	/* The window's opening is lost: a probe finds it. */
	server.wire.lose = 1000;
	assert_int_equal(get(&server, s, sink, sizeof(sink), 0), got);
	received += (uint64_t)got;
	run_both(&server, &client);
	server.wire.lose = 0;
	for (int i = 0; i < 1000 && received < sent; i++) {
		run_for(&server, &client, 1000);
		while ((got = get(&server, s, sink, sizeof(sink), 0)) > 0)
			received += (uint64_t)got;
	}
	assert_int_equal(received, sent);
	stop();
}

/* Any order of calls on both ends, against a model of two byte streams. */
static void random_calls(uint64_t seed)
{
	struct end {
		struct side *side;
		struct engine_socket *socket;
		uint64_t sent, received;
		bool shut;
	} ends[2] = { { .side = &client }, { .side = &server } };
	uint64_t random = seed;
	uint8_t buffer[8192];
	struct engine_socket *listener;
	bool reset = false;

	start(seed,
	      (struct engine_config){ .receive_buffer = 4096 + seed % 100000, .send_buffer = 4096 + seed % 70000 });
	client.wire.lose = server.wire.lose = seed % 5 * 20;
	client.wire.swap = server.wire.swap = seed % 7 * 20;
	client.wire.copy = server.wire.copy = seed % 3 * 20;
	listener = listen_on(SERVER6, 80, 8);
	ends[0].socket = connect_from(CLIENT6, 4000, SERVER6, 80);
	for (int i = 0; i < 40 && !(ends[1].socket = server.call.engine_accept(listener)); i++)
		run_for(&server, &client, 1000);
	assert_non_null(ends[1].socket);
	for (int i = 0; i < 400 && !reset; i++) {
		struct end *end = &ends[wire_random(&random) % 2], *other = end == ends ? ends + 1 : ends;
		size_t size = 1 + wire_random(&random) % sizeof(buffer);
		ssize_t got;

		switch (wire_random(&random) % 8) {
		case 0:
		case 1:
		case 2:
			for (size_t j = 0; j < size; j++)
				buffer[j] = byte_at(seed + (uint64_t)(end - ends), end->sent + j);
			got = put(end->side, end->socket, buffer, size);
			if (end->shut)
				assert_int_equal(got, -EPIPE);
			else if (got >= 0)
				end->sent += (uint64_t)got;
			else
				assert_int_equal(got, -EAGAIN);
			break;
		case 3:
		case 4: {
			int flags = wire_random(&random) % 4 ? 0 : MSG_PEEK;
			got = get(end->side, end->socket, buffer, size, flags);
			if (got < 0) {
				assert_int_equal(got, -EAGAIN);
				break;
			}
			if (got == 0) {
				assert_true(other->shut);
				assert_int_equal(end->received, other->sent);
			}
			for (ssize_t j = 0; j < got; j++)
				assert_int_equal(buffer[j],
						 byte_at(seed + (uint64_t)(other - ends), end->received + (uint64_t)j));
			if (!flags)
				end->received += (uint64_t)got;
			break;
		}
		case 5:
			if (wire_random(&random) % 20 == 0 && !end->shut &&
			    end->side->call.engine_shutdown(end->socket, SHUT_WR) == 0)
				end->shut = true;
			break;
		default:
			run_for(&server, &client, wire_random(&random) % 50);
		}
	}
	stop();
}

static void any_order_of_calls(void **state)
{
	for (uint64_t seed = 1; seed <= 40; seed++)
		random_calls(seed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(echo_over_ipv4),
		cmocka_unit_test(echo_over_ipv6),
		cmocka_unit_test(an_ipv6_listener_takes_ipv4_as_mapped),
		cmocka_unit_test(writes_share_a_segment),
		cmocka_unit_test(bulk_both_ways),
		cmocka_unit_test(bulk_with_loss_order_and_copies),
		cmocka_unit_test(an_idle_engine_has_no_deadline),
		cmocka_unit_test(a_port_is_used_again_at_once),
		cmocka_unit_test(refused_reset_and_unread),
		cmocka_unit_test(a_lost_peer_is_given_up),
		cmocka_unit_test(limits_hold),
		cmocka_unit_test(a_zero_window_is_probed),
		cmocka_unit_test(any_order_of_calls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
