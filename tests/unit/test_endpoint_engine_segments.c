/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The engine against segments that no honest peer sends: sequence number attacks, old duplicates, floods, damage. */
#include <errno.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "engines.h"
#include "segment.h"

#define SERVER "10.0.0.1"
#define PEER "10.0.0.2"
#define MS 1000000ull

static struct side server;
static struct memory_ring peer; /* what the engine sends arrives here, and nobody answers */
static struct engine_socket *listener;
static uint32_t stamp;

static void begin(struct engine_config config)
{
	union engine_address local = address_of(SERVER, 80);

	virtual_now = 1000000000000ull;
	stamp = 5000;
	memory_pair(&server.wire, &peer, 1);
	side_start(&server, SERVER, "fd00::1", config);
	assert_int_equal(server.call.engine_listen(server.engine, &local, 1000, false, &listener), 0);
}

static void finish(void)
{
	server.call.engine_destroy(server.engine);
	assert_int_equal(server.wire.taken, 0);
	memory_close(&server.wire.ring);
	memory_close(&peer.ring);
}

/* Waits so long, and looks at all deadlines on the way. */
static void pass(uint64_t ns)
{
	uint64_t limit = virtual_now + ns;

	for (;;) {
		server.call.engine_poll(server.engine, virtual_now, 0);
		uint64_t next = server.call.engine_deadline(server.engine);
		if (next > limit)
			break;
		virtual_now = next > virtual_now ? next : virtual_now + 1;
	}
	virtual_now = limit;
	server.call.engine_poll(server.engine, virtual_now, 0);
}

static void tell(const struct segment *s)
{
	uint8_t frame[WIRE_ROOM];

	wire_put(&server.wire, frame, segment_frame(frame, s, PEER, SERVER));
	server.call.engine_poll(server.engine, virtual_now, 0);
}

/* The engine's next segment; false: it is silent. */
static bool hear(struct segment *s)
{
	if (peer.tail == peer.head)
		return false;
	struct wire_frame *frame = &peer.frames[peer.tail++ % WIRE_FRAMES];
	assert_true(segment_read(frame->data, frame->len, s));
	return true;
}

static void hear_nothing(void)
{
	struct segment s;

	assert_false(hear(&s));
}

static void hear_ack(uint32_t ack)
{
	struct segment s;

	assert_true(hear(&s));
	assert_int_equal(s.flags & (ACK | SYN | RST | FIN), ACK);
	assert_int_equal(s.ack, ack);
}

static const uint8_t SYN_OPTIONS[12] = { 2, 4, 5, 180, 4, 2, 1, 1, 1, 3, 3, 7 };

static struct segment syn_of(uint16_t port, uint32_t seq)
{
	struct segment s = { .source = port,
			     .dest = 80,
			     .seq = seq,
			     .flags = SYN,
			     .window = 64000,
			     .stamped = true,
			     .ts_value = stamp,
			     .option_len = sizeof(SYN_OPTIONS) };

	memcpy(s.options, SYN_OPTIONS, sizeof(SYN_OPTIONS));
	return s;
}

/* A connection; next is what both sides expect next. */
static struct engine_socket *establish(uint16_t port, uint32_t seq, struct segment *next)
{
	struct segment s = syn_of(port, seq), answer;

	tell(&s);
	assert_true(hear(&answer));
	assert_int_equal(answer.flags, SYN | ACK);
	assert_int_equal(answer.ack, seq + 1);
	*next = (struct segment){ .source = port,
				  .dest = 80,
				  .seq = seq + 1,
				  .ack = answer.seq + 1,
				  .flags = ACK,
				  .window = 500,
				  .stamped = true,
				  .ts_value = ++stamp,
				  .ts_echo = answer.ts_value };
	tell(next);
	struct engine_socket *socket = server.call.engine_accept(listener);
	assert_non_null(socket);
	hear_nothing();
	return socket;
}

static struct segment with_data(struct segment s, const char *text)
{
	s.len = (uint16_t)strlen(text);
	memcpy(s.data, text, s.len);
	s.flags |= PSH;
	return s;
}

static bool lives(struct engine_socket *socket)
{
	return server.call.engine_state(socket) == TCP_ESTABLISHED;
}

static void resets(void **state)
{
	struct engine_socket *socket;
	struct segment next, s;

	begin((struct engine_config){ 0 });
	socket = establish(1000, 7000, &next);
	s = next;
	s.flags = RST;
	s.seq = next.seq + 1; /* in the window, not exact: RFC 5961 */
	tell(&s);
	hear_ack(next.seq);
	assert_true(lives(socket));
	s.seq = next.seq - 1;
	tell(&s);
	s.seq = next.seq + (8 << 20);
	tell(&s);
	hear_nothing();
	assert_true(lives(socket));
	s.seq = next.seq;
	tell(&s);
	hear_nothing();
	assert_int_equal(server.call.engine_take_error(socket), ECONNRESET);
	finish();
}

static void syns_in_a_connection(void **state)
{
	struct engine_socket *socket;
	struct segment next, s;

	begin((struct engine_config){ 0 });
	socket = establish(1000, 7000, &next);
	for (uint32_t offset = 0; offset < 3; offset++) {
		s = syn_of(1000, next.seq + offset * 5000);
		pass(1000 * MS);
		tell(&s);
		hear_ack(next.seq);
		assert_true(lives(socket));
	}
	/* A flood of them gets two answers a second at most. */
	pass(1000 * MS);
	for (int i = 0; i < 1000; i++) {
		s = syn_of(1000, next.seq + (uint32_t)i);
		tell(&s);
	}
	hear_ack(next.seq);
	hear_nothing();
	finish();
}

static void blind_data(void **state)
{
	struct engine_socket *socket;
	struct segment next, s;
	struct engine_stats stats;

	begin((struct engine_config){ 0 });
	socket = establish(1000, 7000, &next);
	s = with_data(next, "evil");
	s.ack = next.ack + 1; /* of what was never sent */
	tell(&s);
	hear_ack(next.seq);
	assert_int_equal(server.call.engine_unread(socket), 0);
	s.ack = next.ack - (1 << 20); /* long ago */
	tell(&s);
	hear_nothing(); /* within the half second */
	assert_int_equal(server.call.engine_unread(socket), 0);
	s.flags = PSH; /* without an ACK */
	s.ack = next.ack;
	tell(&s);
	assert_int_equal(server.call.engine_unread(socket), 0);
	s = with_data(next, "good");
	tell(&s);
	assert_int_equal(server.call.engine_unread(socket), 4);
	server.call.engine_stats(server.engine, &stats);
	assert_int_equal(stats.challenge_ack, 1);
	finish();
}

static void old_duplicates(void **state)
{
	struct engine_socket *socket;
	struct segment next, s;
	struct engine_stats before, after;

	begin((struct engine_config){ 0 });
	socket = establish(1000, 7000, &next);
	server.call.engine_stats(server.engine, &before);
	s = with_data(next, "old");
	s.ts_value = next.ts_value - 1;
	tell(&s);
	hear_ack(next.seq);
	assert_int_equal(server.call.engine_unread(socket), 0);
	server.call.engine_stats(server.engine, &after);
	assert_int_equal(after.paws_dropped - before.paws_dropped, 1);
	s.ts_value = next.ts_value;
	tell(&s);
	assert_int_equal(server.call.engine_unread(socket), 3);
	/* After 24 days of silence, an old timestamp says nothing. */
	pass(25ull * 24 * 3600 * 1000 * MS);
	while (hear(&s))
		;
	s = with_data(next, "new");
	s.seq += 3;
	s.ts_value = next.ts_value - 1000;
	tell(&s);
	assert_int_equal(server.call.engine_unread(socket), 6);
	finish();
}

static void numbers_are_not_foreseen(void **state)
{
	enum { COUNT = 64, NEAR = 100000 };
	uint32_t numbers[COUNT], neighbours = 0;
	struct segment s, answer;

	begin((struct engine_config){ 0 });
	for (int i = 0; i < COUNT; i++) {
		s = syn_of((uint16_t)(1000 + i), 7000);
		tell(&s);
		assert_true(hear(&answer));
		numbers[i] = answer.seq;
		for (int j = 0; j < i; j++)
			neighbours += numbers[i] - numbers[j] + NEAR <= 2 * NEAR;
	}
	/* Of 2,016 pairs of random ones a tenth of one is near, on average; more than three in one of a million
	 * runs. */
	assert_in_range(neighbours, 0, 3);
	finish();
}

static void time_wait(void **state)
{
	struct engine_socket *socket;
	struct engine_stats stats;
	struct segment next, s, answer;
	uint32_t last;

	begin((struct engine_config){ 0 });
	socket = establish(1000, 7000, &next);
	server.call.engine_close(socket);
	server.call.engine_flush(server.engine);
	assert_true(hear(&answer));
	assert_true(answer.flags & FIN);
	s = next;
	s.flags = FIN | ACK;
	s.ack = last = answer.seq + 1;
	tell(&s);
	hear_ack(next.seq + 1);
	server.call.engine_stats(server.engine, &stats);
	assert_int_equal(stats.time_wait, 1);
	/* An old SYN: an ACK, and it stays. */
	s = syn_of(1000, 6000);
	s.ts_value = next.ts_value - 10;
	tell(&s);
	hear_ack(next.seq + 1);
	/* A RST that is not exact. */
	s = next;
	s.flags = RST;
	s.seq = next.seq + 100;
	tell(&s);
	server.call.engine_stats(server.engine, &stats);
	assert_int_equal(stats.time_wait, 1);
	/* A new SYN, by its number or by its timestamp, with a number of ours beyond the old ones. */
	s = syn_of(1000, 6000);
	s.ts_value = next.ts_value + 1;
	tell(&s);
	assert_true(hear(&answer));
	assert_int_equal(answer.flags, SYN | ACK);
	assert_int_equal(answer.ack, 6001);
	assert_true((int32_t)(answer.seq - last) > 0);
	server.call.engine_stats(server.engine, &stats);
	assert_int_equal(stats.time_wait, 0);
	finish();
}

static void a_simultaneous_close(void **state)
{
	struct engine_socket *socket;
	struct segment next, s, answer;

	begin((struct engine_config){ 0 });
	socket = establish(1000, 7000, &next);
	server.call.engine_shutdown(socket, SHUT_WR);
	assert_true(hear(&answer));
	s = next;
	s.flags = FIN | ACK; /* sent before our FIN was seen */
	tell(&s);
	hear_ack(next.seq + 1);
	assert_int_equal(server.call.engine_state(socket), TCP_CLOSING);
	s.flags = ACK;
	s.seq++;
	s.ack = answer.seq + 1;
	tell(&s);
	assert_int_equal(server.call.engine_state(socket), TCP_CLOSE);
	assert_int_equal(server.call.engine_ready(socket), EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLHUP);
	server.call.engine_close(socket);
	finish();
}

static void damaged_frames(void **state)
{
	struct engine_stats stats;
	struct segment s = syn_of(1000, 7000);
	uint8_t frame[WIRE_ROOM], bad[WIRE_ROOM];
	uint32_t len = segment_frame(frame, &s, PEER, SERVER);

	begin((struct engine_config){ 0 });
	/* Each bit of the IP and TCP headers turned: never an answer, but for the fields that no checksum has. */
	for (uint32_t bit = ETH_HLEN * 8; bit < len * 8; bit++) {
		memcpy(bad, frame, len);
		bad[bit / 8] ^= (uint8_t)(1 << bit % 8);
		wire_put(&server.wire, bad, len);
		server.call.engine_poll(server.engine, virtual_now, 0);
		hear_nothing();
	}
	for (uint32_t cut = 0; cut < len; cut++) {
		wire_put(&server.wire, frame, cut);
		server.call.engine_poll(server.engine, virtual_now, 0);
		hear_nothing();
	}
	/* For another machine; from nowhere. */
	len = segment_frame(frame, &s, PEER, "10.0.0.9");
	wire_put(&server.wire, frame, len);
	static const char *const nowhere[] = { "0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255" };
	for (int i = 0; i < 4; i++) {
		len = segment_frame(frame, &s, nowhere[i], SERVER);
		wire_put(&server.wire, frame, len);
	}
	server.call.engine_poll(server.engine, virtual_now, 0);
	hear_nothing();
	server.call.engine_stats(server.engine, &stats);
	assert_int_equal(stats.not_ours, 1);
	assert_int_equal(stats.connections, 0);
	assert_true(stats.bad_checksum > 100);
	assert_true(stats.bad_frame > 50);
	finish();
}

static void options_that_lie(void **state)
{
	static const uint8_t LIES[][8] = {
		{ 2, 0 },	 { 2, 1, 1, 1 }, { 2, 4, 0, 0 },  { 3, 3, 255, 0 }, { 3, 40 },
		{ 8, 10, 1, 2 }, { 8, 2 },	 { 5, 255 },	  { 4, 200 },	    { 1, 1, 1, 2 },
		{ 1, 1, 1, 8 },	 { 254, 0 },	 { 0, 8, 10, 1 }, { 2, 4, 0, 1 },
	};
	struct engine_socket *socket;
	struct segment next, s, answer;

	begin((struct engine_config){ 0 });
	for (unsigned i = 0; i < sizeof(LIES) / sizeof(*LIES); i++) {
		s = syn_of((uint16_t)(2000 + i), 7000);
		s.stamped = false;
		s.option_len = 8;
		memcpy(s.options, LIES[i], 8);
		tell(&s);
	}
	while (hear(&answer))
		;
	socket = establish(1000, 7000, &next);
	for (unsigned i = 0; i < sizeof(LIES) / sizeof(*LIES); i++) {
		s = with_data(next, "x");
		s.seq += i;
		s.stamped = false;
		s.option_len = 8;
		memcpy(s.options, LIES[i], 8);
		tell(&s);
	}
	assert_int_equal(server.call.engine_unread(socket), sizeof(LIES) / sizeof(*LIES));
	finish();
}

static void a_flood_of_syns(void **state)
{
	struct engine_stats stats;
	struct segment s, answer;

	begin((struct engine_config){ .max_half_open = 500 });
	for (uint32_t i = 0; i < 60000; i++) {
		s = syn_of((uint16_t)(1024 + i), i);
		tell(&s);
		while (hear(&answer))
			;
	}
	server.call.engine_stats(server.engine, &stats);
	assert_int_equal(stats.connections, 500);
	assert_int_equal(stats.limit_hit, 60000 - 500);
	/* All is forgotten after a while, and nothing is left to wait for. */
	pass(60000 * MS);
	server.call.engine_stats(server.engine, &stats);
	assert_int_equal(stats.connections, 0);
	assert_true(server.call.engine_deadline(server.engine) == ENGINE_NEVER);
	finish();
}

/* Segments that wait for one before them do not keep the ring's frames, however many they are. */
static void out_of_order_does_not_starve_the_ring(void **state)
{
	struct engine_socket *socket;
	struct segment next, s, answer;

	begin((struct engine_config){ 0 });
	socket = establish(1000, 7000, &next);
	for (int i = 0; i < 2000; i++) {
		s = with_data(next, "gap");
		s.seq += 1 + (uint32_t)i * 5;
		tell(&s);
		while (hear(&answer))
			;
		assert_true(server.wire.taken <= 256 / 4);
	}
	assert_int_equal(server.call.engine_unread(socket), 0);
	finish();
}

static unsigned too_long; /* packets that take_stream() did not take */

/* A peer that takes what arrives in order, if its packet is no longer than `mtu`, and acknowledges it. */
static uint32_t take_stream(struct segment *next, uint32_t mtu, const uint8_t *stream)
{
	static uint32_t taken;
	struct segment s;
	bool any = false;

	taken = stream ? taken : 0;
	while (stream && hear(&s)) {
		if (40u + s.option_len + s.len > mtu) {
			too_long++;
			continue;
		}
		if (!s.len)
			continue;
		any = true;
		if (s.seq != next->ack)
			continue;
		assert_memory_equal(s.data, stream + taken, s.len);
		taken += s.len;
		next->ack += s.len;
		next->ts_value = ++stamp;
		next->ts_echo = s.ts_value;
	}
	if (any)
		tell(next);
	return taken;
}

static void write_bytes(struct engine_socket *socket, uint8_t *bytes, uint32_t size)
{
	struct iovec iov = { bytes, size };

	assert_int_equal(server.call.engine_write(socket, &iov, 1, 0), size);
	server.call.engine_flush(server.engine);
}

/* Writes the first bytes of a stream. */
static uint8_t *write_stream(struct engine_socket *socket, uint32_t size, uint32_t first)
{
	uint8_t *stream = malloc(size);

	for (uint32_t i = 0; i < size; i++)
		stream[i] = (uint8_t)(i * 7 + i / 251);
	write_bytes(socket, stream, first);
	return stream;
}

/* What was sent in full segments, what waits, and what is written afterwards: all fits. */
static void a_smaller_mtu(void **state)
{
	enum { SIZE = 100000, MORE = 5000, MTU = 600 };
	static const uint8_t mac[6] = { 2, 2, 2, 2, 2, 2 };
	struct engine_socket *socket;
	struct segment next, s;
	uint8_t *stream;
	uint32_t taken = 0;

	begin((struct engine_config){ 0 });
	socket = establish(1000, 7000, &next);
	next.window = 64000 >> 7;
	stream = write_stream(socket, SIZE, SIZE - MORE);
	take_stream(&next, 0, NULL);
	while (taken < 20000) {
		pass(10 * MS);
		taken = take_stream(&next, 1500, stream);
	}
	while (hear(&s)) /* lost on the way */
		;
	server.call.engine_set_link(server.engine, mac, MTU);
	too_long = 0;
	write_bytes(socket, stream + SIZE - MORE, MORE);
	for (int i = 0; i < 2000 && taken < SIZE; i++) {
		pass(100 * MS);
		taken = take_stream(&next, MTU, stream);
	}
	assert_int_equal(taken, SIZE);
	assert_int_equal(too_long, 0);
	assert_true(lives(socket));
	free(stream);
	finish();
}

/* A router on the way drops what is long, and its ICMP is not ours to hear. */
static void a_path_that_takes_no_long_packets(void **state)
{
	enum { SIZE = 30000 };
	struct engine_socket *socket;
	struct segment next;
	uint8_t *stream;
	uint32_t taken = 0;

	begin((struct engine_config){ 0 });
	socket = establish(1000, 7000, &next);
	stream = write_stream(socket, SIZE, SIZE);
	take_stream(&next, 0, NULL);
	for (int i = 0; i < 2000 && taken < SIZE; i++) {
		pass(100 * MS);
		taken = take_stream(&next, 1000, stream);
	}
	assert_int_equal(taken, SIZE);
	assert_in_range(too_long, 4, 100);
	assert_true(lives(socket));
	free(stream);
	finish();
}

/* A forged "packet too big" changes nothing: it is the kernel's to judge. Neither do fragments. */
static void icmp_and_fragments(void **state)
{
	struct engine_socket *socket;
	struct segment next, s;
	struct engine_stats before, after;
	uint8_t frame[WIRE_ROOM], quoted[WIRE_ROOM];
	struct iphdr ip;
	uint32_t len;
	int mss, now;
	socklen_t size = sizeof(mss);

	begin((struct engine_config){ 0 });
	socket = establish(1000, 7000, &next);
	assert_int_equal(server.call.engine_get_option(socket, IPPROTO_TCP, TCP_MAXSEG, &mss, &size), 0);
	server.call.engine_stats(server.engine, &before);
	s = (struct segment){ .source = 80, .dest = 1000, .seq = next.ack, .flags = ACK };
	segment_frame(quoted, &s, SERVER, PEER);
	s = next;
	len = segment_frame(frame, &s, PEER, SERVER);
	memcpy(&ip, frame + ETH_HLEN, sizeof(ip));
	uint8_t *icmp = frame + ETH_HLEN + sizeof(ip);
	memset(icmp, 0, 8);
	icmp[0] = 3, icmp[1] = 4, icmp[7] = 68; /* fragmentation needed, MTU 68 */
	memcpy(icmp + 8, quoted + ETH_HLEN, 28);
	uint16_t check = ~sum_fold(sum_bytes(icmp, 36, 0));
	memcpy(icmp + 2, &check, 2);
	ip.protocol = IPPROTO_ICMP;
	ip.tot_len = htons(sizeof(ip) + 36);
	ip.check = 0;
	ip.check = ~sum_fold(sum_bytes(&ip, sizeof(ip), 0));
	memcpy(frame + ETH_HLEN, &ip, sizeof(ip));
	wire_put(&server.wire, frame, ETH_HLEN + sizeof(ip) + 36);
	/* A whole segment that says it is the first fragment, the last, and one in the middle. */
	static const uint16_t PARTS[] = { 0x2000, 0x0010, 0x2010 };
	s = with_data(next, "part");
	for (int i = 0; i < 3; i++) {
		len = segment_frame(frame, &s, PEER, SERVER);
		memcpy(&ip, frame + ETH_HLEN, sizeof(ip));
		ip.frag_off = htons(PARTS[i]);
		ip.check = 0;
		ip.check = ~sum_fold(sum_bytes(&ip, sizeof(ip), 0));
		memcpy(frame + ETH_HLEN, &ip, sizeof(ip));
		wire_put(&server.wire, frame, len);
	}
	server.call.engine_poll(server.engine, virtual_now, 0);
	hear_nothing();
	server.call.engine_stats(server.engine, &after);
	assert_int_equal(after.bad_frame - before.bad_frame, 4);
	assert_int_equal(server.call.engine_unread(socket), 0);
	assert_int_equal(server.call.engine_get_option(socket, IPPROTO_TCP, TCP_MAXSEG, &now, &size), 0);
	assert_int_equal(now, mss);
	tell(&s);
	assert_int_equal(server.call.engine_unread(socket), 4);
	finish();
}

/* A closed window is probed with a byte at most, ever less often, as long as the peer answers. */
static void a_closed_window(void **state)
{
	struct engine_socket *socket;
	struct segment next, s;
	uint8_t *stream;
	uint64_t last = 0, gap = 0;
	int probes = 0;

	begin((struct engine_config){ 0 });
	socket = establish(1000, 7000, &next);
	stream = write_stream(socket, 3000, 100);
	next.window = 0; /* with the acknowledgement of these */
	take_stream(&next, 0, NULL);
	assert_int_equal(take_stream(&next, 1500, stream), 100);
	write_bytes(socket, stream + 100, 2900);
	for (int i = 0; i < 3000; i++) {
		pass(100 * MS);
		if (!hear(&s))
			continue;
		assert_true(s.len <= 1);
		if (probes > 1 && gap < 50000 * MS)
			assert_true(virtual_now - last >= gap);
		gap = virtual_now - last;
		last = virtual_now;
		probes++;
		next.ts_value = ++stamp;
		tell(&next);
		hear_nothing();
	}
	assert_in_range(probes, 5, 40); /* in five minutes */
	assert_true(lives(socket));
	next.window = 500;
	next.ts_value = ++stamp;
	tell(&next);
	for (int i = 0; i < 100 && take_stream(&next, 1500, stream) < 3000; i++)
		pass(100 * MS);
	assert_int_equal(take_stream(&next, 1500, stream), 3000);
	free(stream);
	finish();
}

static void keep_alives(void **state)
{
	static const struct {
		int level, name, value;
	} OPTIONS[] = { { SOL_SOCKET, SO_KEEPALIVE, 1 },
			{ IPPROTO_TCP, TCP_KEEPIDLE, 10 },
			{ IPPROTO_TCP, TCP_KEEPINTVL, 2 },
			{ IPPROTO_TCP, TCP_KEEPCNT, 3 } };
	struct engine_socket *socket;
	struct segment next, s;

	begin((struct engine_config){ 0 });
	socket = establish(1000, 7000, &next);
	for (unsigned i = 0; i < sizeof(OPTIONS) / sizeof(*OPTIONS); i++)
		assert_int_equal(server.call.engine_set_option(socket, OPTIONS[i].level, OPTIONS[i].name,
							       &OPTIONS[i].value, sizeof(int)),
				 0);
	pass(9000 * MS);
	hear_nothing();
	tell(&next); /* from here on anew */
	/* A peer that answers lives on. */
	for (int i = 0; i < 5; i++) {
		pass(12000 * MS);
		assert_true(hear(&s));
		assert_int_equal(s.seq, next.ack - 1);
		assert_true(s.len <= 1);
		while (hear(&s))
			;
		next.ts_value = ++stamp;
		tell(&next);
		assert_true(lives(socket));
	}
	/* A silent one: three probes, then the end. */
	int probes = 0;
	for (int i = 0; i < 300 && lives(socket); i++) {
		pass(100 * MS);
		while (hear(&s))
			probes += !(s.flags & RST);
	}
	assert_int_equal(probes, 3);
	assert_int_equal(server.call.engine_take_error(socket), ETIMEDOUT);
	finish();
}

/* Urgent bytes stay in their place in the stream, wherever the pointer points. */
static void urgent_data(void **state)
{
	static const uint16_t POINTERS[] = { 0, 1, 3, 6, 7, 65535 };
	struct engine_socket *socket;
	struct segment next, s;
	char got[64] = "";
	struct iovec iov = { got, sizeof(got) };

	begin((struct engine_config){ 0 });
	socket = establish(1000, 7000, &next);
	for (unsigned i = 0; i < sizeof(POINTERS) / sizeof(*POINTERS); i++) {
		s = with_data(next, "urgent");
		s.flags |= URG;
		s.urgent = POINTERS[i];
		next.seq += 6;
		tell(&s);
	}
	assert_int_equal(server.call.engine_read(socket, &iov, 1, 0), 36);
	assert_memory_equal(got, "urgenturgenturgenturgenturgenturgent", 36);
	assert_true(lives(socket));
	finish();
}

/* Data that overlaps what is there, in every way: each byte of the stream is given once. */
static void overlaps(void **state)
{
	static const char ALL[] = "abcdefghijklmnopqrstuvwxyz";
	struct engine_socket *socket;
	struct segment next, s, answer;
	char got[64] = "";
	struct iovec iov = { got, sizeof(got) };
	uint64_t seed = 7;

	begin((struct engine_config){ 0 });
	socket = establish(1000, 7000, &next);
	for (int i = 0; i < 2000; i++) {
		uint32_t from = wire_random(&seed) % 26, len = 1 + wire_random(&seed) % (26 - from);

		s = next;
		s.seq += from;
		s.flags |= PSH;
		s.len = (uint16_t)len;
		memcpy(s.data, ALL + from, len);
		tell(&s);
		while (hear(&answer))
			;
	}
	assert_int_equal(server.call.engine_read(socket, &iov, 1, 0), 26);
	assert_string_equal(got, ALL);
	finish();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(resets),
		cmocka_unit_test(syns_in_a_connection),
		cmocka_unit_test(blind_data),
		cmocka_unit_test(old_duplicates),
		cmocka_unit_test(numbers_are_not_foreseen),
		cmocka_unit_test(time_wait),
		cmocka_unit_test(a_simultaneous_close),
		cmocka_unit_test(damaged_frames),
		cmocka_unit_test(options_that_lie),
		cmocka_unit_test(a_flood_of_syns),
		cmocka_unit_test(out_of_order_does_not_starve_the_ring),
		cmocka_unit_test(a_smaller_mtu),
		cmocka_unit_test(a_path_that_takes_no_long_packets),
		cmocka_unit_test(icmp_and_fragments),
		cmocka_unit_test(a_closed_window),
		cmocka_unit_test(keep_alives),
		cmocka_unit_test(urgent_data),
		cmocka_unit_test(overlaps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
