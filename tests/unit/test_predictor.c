/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The predictor: what it holds, what it must never do, and what it costs to be wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <autocork/predictor.h>

static const struct ac_tuning usual = { .burst_gap_us = 200, .need_max = 50, .wait_us = 40 };

/* A program with one connection: writes 5 us apart, reads the answer after each burst. */
struct program {
	struct ac_predictor p;
	const struct ac_tuning *tuning;
	__u32 now;
	bool read;
	enum ac_nagle nagle;
	unsigned int bursts, held, misses;
};

static struct program program_new(const struct ac_prior *prior)
{
	struct program program = { .tuning = &usual, .now = 1000 };

	ac_predictor_init(&program.p, prior, program.now);
	return program;
}

static bool write_one(struct program *program, __u32 bytes)
{
	struct ac_outcome outcome =
		ac_on_write(&program->p, program->tuning, program->now, bytes, program->read, program->nagle);

	program->read = false;
	program->now += 5;
	program->bursts += outcome.ended > 0;
	program->misses += outcome.missed;
	program->held += outcome.verdict;
	return outcome.verdict == AC_HOLD;
}

/* One burst of n writes, the first of `first` bytes, and the read of the answer: which writes were held (bit 0: the
 * first)? */
static __u64 burst_of(struct program *program, unsigned int n, __u32 first)
{
	__u64 held = 0;

	for (unsigned int i = 0; i < n; i++)
		held |= (__u64)write_one(program, i ? 20 : first) << (i & 63);
	program->read = true;
	program->now += 60;
	return held;
}

static __u64 burst(struct program *program, unsigned int n)
{
	return burst_of(program, n, 20);
}

static void bursts(struct program *program, unsigned int count, unsigned int n)
{
	while (count--)
		burst(program, n);
}

static __u32 random_state;

static __u32 random_below(__u32 limit)
{
	random_state = random_state * 1664525 + 1013904223;
	return (__u64)(random_state >> 8) * limit >> 24;
}

/* What the header promises, whatever the program does. */
static unsigned int misses_allowed(const struct program *program)
{
	__u64 earned = (__u64)(program->bursts + 1) * (AC_EARN / program->tuning->need_max);

	return AC_ALLOWANCE + 1 + 2 * AC_DUPLEX_TRIALS + earned / AC_MISS;
}

static void learns_a_constant_burst_from_two(void **state)
{
	for (unsigned int n = 1; n <= 300; n++) {
		struct program program = program_new(NULL);

		burst(&program, n);
		burst(&program, n);
		assert_int_equal(program.held, 0);
		for (int again = 0; again < 300; again++) {
			unsigned int before = program.held;

			burst(&program, n);
			/* In bursts longer than a millisecond the first byte has waited long enough at every 201st. */
			assert_int_equal(program.held - before, n - 1 - (n - 1) / 201);
		}
		assert_int_equal(program.misses, 0);
	}
}

/* The agent attaches its observer in the middle of the first message: seen as bench client's first message on a busy
 * machine. */
static void a_pause_in_the_first_message_is_no_end(void **state)
{
	for (unsigned int at = 1; at < 15; at++) {
		struct program program = program_new(NULL);

		for (unsigned int i = 0; i < 15; i++) {
			if (i == at)
				program.now += 473;
			write_one(&program, 20);
		}
		program.read = true;
		burst(&program, 15);
		assert_int_equal(program.held, 0);
		assert_int_equal(burst(&program, 15), 0x3fff);
		assert_int_equal(program.misses, 0);
	}
}

/* In shadow: 100 us between two writes, of which the program itself ran for `ran_us`. */
static unsigned int held_where_it_ran(__u32 ran_us)
{
	struct program program = program_new(NULL);

	for (int count = 0; count < 100; count++) {
		for (unsigned int i = 0; i < 5; i++) {
			program.now += 95;
			if (i)
				ac_on_ran(&program.p, program.now, ran_us);
			write_one(&program, 20);
		}
		program.read = true;
		program.now += 60;
	}
	assert_int_equal(program.misses, 0);
	return program.held;
}

/* Others had the processor in the meantime: whom the write before has woken. */
static void in_shadow_a_gap_is_what_the_program_ran(void **state)
{
	assert_int_equal(held_where_it_ran(20), 98 * 4);
	assert_in_range(held_where_it_ran(100), 0, 98);
	assert_int_equal(held_where_it_ran(UINT32_MAX), held_where_it_ran(100)); /* nothing makes a gap longer */
}

/* The same, and the first writes were not seen at all: the burst teaches nothing, the two after it all. */
static void a_burst_seen_in_part_is_no_lesson(void **state)
{
	struct program program = program_new(NULL);

	for (unsigned int i = 0; i < 15; i++) {
		if (i == 9)
			program.now += 300;
		if (i == 4)
			ac_on_unseen(&program.p, program.now);
		if (i >= 4)
			write_one(&program, 20);
	}
	program.read = true;
	burst(&program, 15);
	assert_false(ac_predictor_promises(&program.p));
	burst(&program, 15);
	assert_true(ac_predictor_promises(&program.p));
	assert_int_equal(program.held, 0);
	assert_int_equal(burst(&program, 15), 0x3fff);
	assert_int_equal(program.misses, 0);
}

/* A feed that never reads: the first pause is thought over, the next ones end bursts. */
static void a_second_pause_shows_a_feed(void **state)
{
	struct program program = program_new(NULL);

	for (int i = 0; i < 3; i++) {
		burst(&program, 8);
		program.read = false;
		program.now += 5000;
	}
	assert_int_equal(program.held, 0);
	assert_int_equal(burst(&program, 8), 0x7f);
	assert_int_equal(program.misses, 0);

	program = program_new(NULL);
	for (unsigned int i = 0; i < 4; i++) {
		static const unsigned int lengths[] = { 3, 4, 8, 8 };

		burst(&program, lengths[i]);
		program.read = false;
		program.now += 5000;
	}
	assert_int_equal(burst(&program, 8), 0x77); /* learned from 4, 8 and 8 */
}

static void holds_only_what_always_goes_on(void **state)
{
	struct program program = program_new(NULL);

	for (int i = 0; i < 100; i++) {
		burst(&program, 2);
		burst(&program, 5);
	}
	assert_int_equal(burst(&program, 5), 0xd); /* 1, 3 and 4; the second is let go, and so is the last */
	assert_int_equal(burst(&program, 2), 0x1);
	assert_int_equal(program.misses, 0);
}

static void tells_messages_by_the_size_of_their_first_write(void **state)
{
	struct program program = program_new(NULL);

	for (int i = 0; i < 100; i++) {
		burst_of(&program, 2, 280);
		burst_of(&program, 1, 180);
	}
	assert_int_equal(program.misses, 0);
	assert_int_equal(burst_of(&program, 2, 290), 0x1);
	assert_int_equal(burst_of(&program, 1, 185), 0);
	assert_int_equal(burst_of(&program, 2, 5000), 0); /* of these nothing is known */
}

static void a_miss_is_counted_once_and_remembered(void **state)
{
	struct program program = program_new(NULL);

	bursts(&program, 300, 6);
	burst(&program, 4); /* its last write was held */
	assert_int_equal(program.misses, 0);
	assert_int_equal(burst(&program, 6), 0x17); /* the fourth is not held any more, the others are */
	assert_int_equal(program.misses, 1);
	bursts(&program, 20, 6);
	assert_int_equal(burst(&program, 6), 0x17);
	bursts(&program, 50, 6);
	assert_int_equal(burst(&program, 6), 0x1f);
	assert_int_equal(program.misses, 1);
}

/* The level that a miss leaves: one for the stop, two for the hold that was wrong. */
static void a_miss_weighs_more_than_a_stop(void **state)
{
	struct program missed = program_new(NULL), stopped = program_new(NULL);

	burst(&stopped, 6);
	burst(&stopped, 4); /* nothing was held yet */
	burst(&stopped, 6);
	assert_int_equal(stopped.misses, 0);
	assert_false(stopped.p.level[1] & ac_slot(&stopped.p, 4));
	bursts(&missed, 3, 6);
	burst(&missed, 4);
	burst(&missed, 6);
	assert_int_equal(missed.misses, 1);
	assert_true(missed.p.level[0] & missed.p.level[1] & ac_slot(&missed.p, 4));
}

static void misses_are_bounded_for_any_pattern(void **state)
{
	static const __u16 needs[] = { 2, 10, 50, 255 };

	for (unsigned int pattern = 0; pattern < 12; pattern++) {
		for (size_t i = 0; i < AC_ARRAY_SIZE(needs); i++) {
			const struct ac_tuning tuning = { .burst_gap_us = 200, .need_max = needs[i], .wait_us = 40 };
			struct program program = program_new(NULL);

			random_state = pattern;
			program.tuning = &tuning;
			for (int n = 0; n < 50000; n++) {
				unsigned int goes_on = pattern < 4 ? 900 : pattern < 8 ? 990 : 998, length = 1;

				while (length < 60 && random_below(1000) < goes_on)
					length++;
				if (pattern % 4 == 1)
					length = 1 + length % 10;
				else if (pattern % 4 == 2)
					length = random_below(300) ? 10 : 9;
				else if (pattern % 4 == 3)
					length = 70 - n % 70;
				burst_of(&program, length, 20 << random_below(5));
			}
			assert_in_range(program.misses, 0, misses_allowed(&program));
		}
	}
}

/* A program that does its worst: it stops exactly where it is held. */
static void misses_are_bounded_for_an_adversary(void **state)
{
	struct program program = program_new(NULL);

	for (int n = 0; n < 200000; n++) {
		for (int i = 0; i < 12 && !write_one(&program, 20); i++)
			;
		program.read = true;
		program.now += 60;
	}
	assert_in_range(program.misses, 1, misses_allowed(&program));
}

static void random_lengths_settle_without_missing_for_ever(void **state)
{
	struct program program = program_new(NULL);

	random_state = 1;
	for (int n = 0; n < 20000; n++)
		burst(&program, 1 + random_below(10));
	assert_in_range(program.misses, 0, 8);
	assert_false(ac_predictor_gains(&program.p));
	assert_true(ac_predictor_idle(&program.p));
}

static void a_late_write_goes_on_with_its_burst(void **state)
{
	struct program program = program_new(NULL);
	struct ac_outcome outcome;

	bursts(&program, 10, 3);
	assert_true(write_one(&program, 20));
	program.now += 1500; /* longer than burst_gap; nothing has released it */
	outcome = ac_on_write(&program.p, &usual, program.now, 20, false, AC_NAGLE_OFF);
	assert_int_equal(outcome.ended, 0);
	assert_int_equal(outcome.missed, 0);
	assert_int_equal(outcome.verdict, AC_RELEASE); /* the first byte has waited long enough */
	assert_false(write_one(&program, 20));
	program.read = true;
	assert_int_equal(burst(&program, 3), 0x3); /* once is no pattern */
	assert_true(write_one(&program, 20));
	program.now += 1500;
	write_one(&program, 20);
	write_one(&program, 20);
	program.read = true;
	assert_int_equal(burst(&program, 3), 0x2); /* but now the first costs more than it saves */
	bursts(&program, 20, 3);
	assert_int_equal(burst(&program, 3), 0x2);
	bursts(&program, 4, 3);
	assert_int_equal(burst(&program, 3), 0x3);
	assert_int_equal(program.misses, 0);
}

/* The same on a flow whose bursts had nothing to teach any more: it has to learn anew. */
static void stalls_end_the_short_cut(void **state)
{
	struct program program = program_new(NULL);

	bursts(&program, 600, 3);
	assert_int_not_equal(program.p.steady, 0);
	for (int n = 0; n < 2; n++) {
		write_one(&program, 20);
		program.now += 1500;
		write_one(&program, 20);
		write_one(&program, 20);
		program.read = true;
		program.now += 60;
	}
	assert_int_equal(burst(&program, 3), 0x2);
	bursts(&program, 50, 3);
	assert_int_equal(burst(&program, 3), 0x3);
	assert_int_equal(program.misses, 0);
}

/* burst_gap itself is no longer pause yet. */
static void the_gap_is_included(void **state)
{
	struct program program = program_new(NULL);

	for (int n = 0; n < 10; n++) { /* a feed: no read ends its bursts */
		for (int i = 0; i < 4; i++)
			write_one(&program, 80);
		program.now += 3000;
	}
	for (int i = 0; i < 4; i++) {
		if (i)
			program.now += usual.burst_gap_us - 5;
		write_one(&program, 80);
		assert_int_equal(program.p.len, i + 1);
	}
}

static void a_gap_ends_the_burst_of_a_program_that_never_reads(void **state)
{
	struct program program = program_new(NULL);

	for (int n = 0; n < 100; n++) {
		for (int i = 0; i < 4; i++)
			write_one(&program, 80);
		program.now += 3000;
	}
	assert_int_equal(program.bursts, 98); /* the first pause might have been a stall */
	assert_int_equal(program.held, 97 * 3);
	assert_int_equal(program.misses, 0);
}

static void a_stall_is_not_the_end_where_reads_end_bursts(void **state)
{
	struct program program = program_new(NULL);
	struct ac_outcome outcome;

	for (int n = 0; n < 20; n++) { /* before anything is held: 6 writes, a stall somewhere in between */
		for (int i = 0; i < 6; i++) {
			program.now += i == 1 + n % 5 && n > 3 ? 1000 : 0;
			write_one(&program, 20);
		}
		program.read = true;
		program.now += 60;
	}
	assert_int_equal(program.bursts, 19);
	assert_int_equal(program.misses, 0);

	/* A pause of 64 gaps is the end all the same: a feed may have begun. */
	write_one(&program, 20);
	write_one(&program, 20);
	ac_on_release(&program.p);
	program.now += AC_STALL_GAPS * usual.burst_gap_us;
	outcome = ac_on_write(&program.p, &usual, program.now, 20, false, AC_NAGLE_OFF);
	assert_int_equal(outcome.ended, 2);
}

static void time_may_wrap(void **state)
{
	struct program program = program_new(NULL);

	program.now = -200;
	bursts(&program, 10, 3);
	assert_int_equal(program.held, 16);
	assert_int_equal(program.bursts, 9);
	assert_int_equal(program.misses, 0);
}

static void lengths_may_saturate(void **state)
{
	struct program program = program_new(NULL);

	bursts(&program, 3, 70000);
	assert_int_equal(program.p.len, 0xffff);
	assert_int_equal(program.bursts, 2);
}

static void a_deadline_in_a_stalled_burst_is_no_miss(void **state)
{
	struct program program = program_new(NULL);

	bursts(&program, 300, 5);
	assert_true(write_one(&program, 20));
	assert_true(write_one(&program, 20));
	assert_int_equal(ac_on_burst_end(&program.p, &usual, AC_END_DEADLINE), 0); /* it may go on … */
	assert_int_equal(program.p.debt, 0);
	program.now += 4000;
	for (int i = 2; i < 5; i++) /* … and does: nothing more is risked in it */
		assert_false(write_one(&program, 20));
	program.read = true;
	program.now += 60;
	assert_int_equal(program.p.debt, AC_OVERDUE_COST);
	assert_int_equal(burst(&program, 5), 0xf); /* once is no pattern */
	assert_int_equal(program.misses, 0);
}

static void a_deadline_ends_the_holding_of_long_bursts(void **state)
{
	struct program program = program_new(NULL);

	bursts(&program, 20, 40);
	for (int i = 0; i < 30; i++)
		assert_true(write_one(&program, 20));
	assert_int_equal(ac_on_burst_end(&program.p, &usual, AC_END_DEADLINE), 0);
	program.now += 4000;
	for (int i = 30; i < 40; i++)
		assert_false(write_one(&program, 20));
	assert_int_equal(program.misses, 0);
}

static void a_deadline_that_a_read_follows_is_a_miss(void **state)
{
	struct program program = program_new(NULL);

	bursts(&program, 300, 5);
	assert_true(write_one(&program, 20));
	assert_true(write_one(&program, 20));
	assert_int_equal(ac_on_burst_end(&program.p, &usual, AC_END_DEADLINE), 0);
	program.now += 4000;
	program.read = true;
	write_one(&program, 20);
	assert_int_equal(program.misses, 1);
	assert_true(program.p.debt > AC_MISS / 2);
}

static void stalls_in_every_burst_end_the_holding(void **state)
{
	struct program program = program_new(NULL);

	bursts(&program, 300, 2);
	for (int n = 0; n < 20; n++) {
		write_one(&program, 20);
		program.now += 1000;
		write_one(&program, 20);
		program.read = true;
		program.now += 60;
	}
	assert_false(write_one(&program, 20));
	assert_int_equal(program.misses, 0);
}

static void a_deadline_ends_the_burst_of_a_feed(void **state)
{
	struct program program = program_new(NULL);

	for (int n = 0; n < 10; n++) {
		for (int i = 0; i < 4; i++)
			write_one(&program, 80);
		program.now += 3000;
	}
	assert_true(write_one(&program, 80));
	assert_true(write_one(&program, 80));
	assert_int_equal(ac_on_burst_end(&program.p, &usual, AC_END_DEADLINE), 2);
	assert_int_equal(program.p.len, 0);
	assert_int_equal(program.p.holding, 0);
	assert_int_equal(program.p.debt, AC_MISS);
}

static void in_shadow_a_pause_shows_what_the_deadline_would_have_done(void **state)
{
	const struct ac_tuning shadow = { .burst_gap_us = 200, .need_max = 50, .hold_gaps = 10, .wait_us = 40 };
	struct program program = program_new(NULL);
	struct ac_outcome outcome;

	program.tuning = &shadow;
	for (int n = 0; n < 10; n++) {
		for (int i = 0; i < 4; i++)
			write_one(&program, 80);
		program.now += 3000;
	}
	assert_true(write_one(&program, 80));
	program.now += AC_FEED_HOLD * shadow.wait_us - 5;
	assert_false(write_one(&program, 80)); /* late, but in time */
	assert_int_equal(program.bursts, 9);
	program.now += 3000;
	assert_true(write_one(&program, 80));
	program.now += AC_FEED_HOLD * shadow.wait_us;
	outcome = ac_on_write(&program.p, &shadow, program.now, 80, false, AC_NAGLE_OFF);
	assert_int_equal(outcome.ended, 1);
	assert_int_equal(outcome.missed, 1);
}

static void in_shadow_a_read_ends_a_wrong_hold(void **state)
{
	struct program program = program_new(NULL);

	bursts(&program, 100, 3);
	assert_int_equal(burst(&program, 2), 0x3); /* the last write was held in vain */
	program.now += 44000;
	assert_int_equal(burst(&program, 3), 0x1); /* the first write: its hold begins now, not with that one */
	assert_int_equal(program.misses, 1);
}

static void nothing_ends_where_nothing_began(void **state)
{
	struct program program = program_new(NULL);

	for (int cause = 0; cause < AC_END_MAX; cause++)
		assert_int_equal(ac_on_burst_end(&program.p, &usual, cause), 0);
	assert_int_equal(program.p.debt, 0);
}

static void full_segments_are_not_worth_holding(void **state)
{
	const struct ac_tuning ethernet = { .burst_gap_us = 200, .need_max = 50, .full = 1448 >> 8, .wait_us = 40 };
	struct program program = program_new(NULL);

	for (int n = 0; n < 100; n++) { /* a bulk transfer that waits for room now and then */
		for (int i = 0; i < 20; i++)
			write_one(&program, 131072);
		program.now += 1000;
	}
	assert_int_equal(program.held, 0);
	assert_false(ac_predictor_gains(&program.p));
	assert_true(ac_predictor_idle(&program.p));

	program = program_new(NULL);
	for (int n = 0; n < 100; n++) { /* a header, then much */
		write_one(&program, 260);
		for (int i = 0; i < 4; i++)
			write_one(&program, 65536);
		program.read = true;
		program.now += 60;
	}
	assert_int_equal(program.held, 98); /* the header travels with the body's first segment */
	assert_true(ac_predictor_gains(&program.p));

	program = program_new(NULL);
	program.tuning = &ethernet;
	for (int n = 0; n < 10; n++)
		burst_of(&program, 3, 1279);
	assert_int_equal(burst_of(&program, 3, 1279), 0x3);
	for (int n = 0; n < 10; n++)
		burst_of(&program, 3, 1280);
	/* held as it follows smaller ones, not as it follows these */
	assert_int_equal(burst_of(&program, 3, 1280), 0x2);
}

static void full_segments_are_in_no_hurry(void **state)
{
	struct program program = program_new(NULL);

	/* What was left of a write that found no room, and then the next: a small write before a large one, by
	 * chance. */
	for (int n = 0; n < 8; n++) {
		write_one(&program, 106);
		for (int i = 0; i < 20; i++)
			write_one(&program, 131072);
		program.now += 1000000;
		write_one(&program, 131072);
		assert_false(ac_predictor_promises(&program.p));
		program.now += 1000000;
	}
}

static void what_was_overruled_is_no_gain(void **state)
{
	struct program program = program_new(NULL);

	bursts(&program, 100, 3);
	assert_true(ac_predictor_gains(&program.p));
	for (int n = 0; n < 200; n++) {
		for (int i = 0; i < 3; i++)
			if (write_one(&program, 20))
				ac_on_release(&program.p); /* a full segment waits, always */
		program.read = true;
	}
	assert_true(ac_predictor_idle(&program.p));
	assert_int_equal(program.misses, 0);
}

static void close_and_foreign_releases_are_no_misses(void **state)
{
	struct program program = program_new(NULL);

	bursts(&program, 10, 5);
	write_one(&program, 20);
	write_one(&program, 20);
	ac_on_release(&program.p); /* an ACK let it go */
	program.read = true;
	assert_true(write_one(&program, 20));
	assert_int_equal(program.misses, 0);
	assert_int_equal(ac_on_burst_end(&program.p, &usual, AC_END_CLOSE), 1);
	assert_int_equal(program.p.debt, 0);
}

/* The flow came off its wrapper with a write held, and others followed before the observer saw it again. */
static void writes_that_were_not_seen_are_no_miss(void **state)
{
	struct program program = program_new(NULL);

	bursts(&program, 10, 5);
	assert_true(write_one(&program, 20));
	ac_on_unseen(&program.p, program.now);
	program.read = true;
	burst(&program, 5);
	assert_int_equal(program.misses, 0);
	assert_int_equal(program.p.debt, 0);
}

/* What was not held because it fills a segment keeps its place in the burst when the pause before it turns out to be an
 * end. */
static void a_cut_after_a_pause_counts_from_the_pause(void **state)
{
	struct program program = program_new(NULL);

	write_one(&program, 80);
	write_one(&program, 80);
	program.now += 1000; /* nothing tells yet what this is */
	write_one(&program, 80);
	write_one(&program, AC_FULL);
	write_one(&program, 80);
	write_one(&program, 80);
	program.now += 1000; /* no read again: a feed, and a burst of four, the second of them full */
	write_one(&program, 80);
	assert_int_equal(program.bursts, 1);
	assert_true(ac_streak_any(&program.p) & ac_slot(&program.p, 1));
	assert_false(ac_streak_any(&program.p) & (ac_slot(&program.p, 2) | ac_slot(&program.p, 3)));
}

/* A policy may allow gaps longer than max_hold: then a write that follows the deadline is not even late. */
static void a_deadline_counts_where_the_gap_is_longer(void **state)
{
	const struct ac_tuning patient = { .burst_gap_us = 10000, .need_max = 50, .wait_us = 40 };
	struct program program = program_new(NULL);

	program.tuning = &patient;
	bursts(&program, 600, 3); /* nothing to learn from any more */
	for (int n = 0; n < 2; n++) {
		assert_true(write_one(&program, 20));
		assert_int_equal(ac_on_burst_end(&program.p, &patient, AC_END_DEADLINE), 0);
		program.now += 3000;
		assert_false(write_one(&program, 20));
		assert_false(write_one(&program, 20));
		program.read = true;
		program.now += 60;
	}
	assert_int_equal(burst(&program, 3), 0x2);
	bursts(&program, 50, 3);
	assert_int_equal(burst(&program, 3), 0x3);
}

static void a_long_good_conduct_makes_up_for_a_stop(void **state)
{
	struct program program = program_new(NULL);

	burst(&program, 2);
	bursts(&program, 600, 4); /* the second write stopped once, 600 bursts ago */
	write_one(&program, 20);
	write_one(&program, 20);
	ac_on_release(&program.p);
	program.read = true;
	bursts(&program, 9, 4);
	assert_int_equal(burst(&program, 4), 0x7); /* 8 are enough for what counts as its first stop */
	assert_int_equal(program.misses, 0);
}

static void a_debt_stops_all_holding_until_it_is_paid(void **state)
{
	struct program program = program_new(NULL);
	unsigned int n = 0;

	bursts(&program, 300, 10);
	for (int length = 9; length > 5; length--) /* four surprises in a row */
		burst(&program, length);
	assert_int_equal(burst(&program, 10), 0);
	assert_int_equal(program.misses, AC_ALLOWANCE + 1);
	while (!burst(&program, 10))
		n++;
	/* One miss must be paid off; then what has not failed for 255 bursts is held again. */
	assert_in_range(n, 1100, 1300);
	assert_int_equal(burst(&program, 10), 0x1ff);
	assert_int_equal(program.misses, AC_ALLOWANCE + 1);
}

static void gains_and_idles_with_a_margin(void **state)
{
	struct program program = program_new(NULL);
	unsigned int n = 0;

	assert_false(ac_predictor_gains(&program.p));
	assert_false(ac_predictor_idle(&program.p)); /* too young to be judged */
	burst(&program, 2);
	burst(&program, 2);
	ac_on_burst_end(&program.p, &usual, AC_END_READ);
	assert_true(ac_predictor_gains(&program.p)); /* managed before the third message */
	bursts(&program, 50, 2);
	while (!ac_predictor_idle(&program.p)) {
		burst(&program, 1);
		n++;
	}
	assert_in_range(n, 60, 130); /* a slot that learns anew is no reason to leave the wrapper */
	assert_false(ac_predictor_gains(&program.p));

	program = program_new(NULL);
	bursts(&program, AC_SETTLING + 1, 1);
	assert_true(ac_predictor_idle(&program.p));
}

/* Ten writes every millisecond; somebody else reads in the middle, now here, now there. */
static unsigned int reader_thread(struct program *program, int count)
{
	unsigned int before = program->held;

	while (count--) {
		unsigned int at = random_below(20);

		for (unsigned int i = 0; i < 10; i++) {
			program->read |= i == at;
			write_one(program, 40);
		}
		program->now += 1000;
		program->read = true;
	}
	return program->held - before;
}

static void a_reader_thread_is_seen_through(void **state)
{
	struct program program = program_new(NULL);

	random_state = 7;
	reader_thread(&program, 400);
	assert_true(ac_predictor_duplex(&program.p));
	assert_in_range(reader_thread(&program, 1000), 8900, 9000);
	assert_in_range(program.misses, 0, 4);
}

/* The other way round: reads that did mean something end a trial of not heeding them. */
static void a_failed_trial_is_given_up(void **state)
{
	struct program program = program_new(NULL);
	unsigned int before;

	random_state = 7;
	reader_thread(&program, 400);
	assert_true(ac_predictor_duplex(&program.p));
	bursts(&program, 2000, 2);
	assert_false(ac_predictor_duplex(&program.p));
	before = program.held;
	bursts(&program, 1000, 2);
	assert_int_equal(program.held - before, 1000);
	assert_in_range(program.misses, 0, misses_allowed(&program));
}

/* And where the program then waits for answers to what was held, two misses are enough. */
static void a_trial_that_misses_is_given_up(void **state)
{
	struct program program = program_new(NULL);
	int n;

	random_state = 7;
	reader_thread(&program, 400);
	program.p.debt = 0;
	program.misses = 0;
	for (n = 0; n < 1000 && ac_predictor_duplex(&program.p); n++) {
		burst(&program, 1 + random_below(9));
		program.now += 1000;
	}
	assert_in_range(n, 2, 100);
	assert_int_equal(program.misses, 2);
}

static void a_prior_serves_the_first_burst(void **state)
{
	struct ac_prior prior = {};

	for (int flow = 0; flow < 100; flow++) {
		struct program program = program_new(&prior);
		__u64 held = burst(&program, 3);

		assert_int_equal(held, flow < 4 ? 0 : 0x3);
		ac_on_burst_end(&program.p, &usual, AC_END_READ);
		ac_prior_learn(&prior, &program.p);
		if (flow > 20) {
			program = program_new(&prior);
			assert_true(ac_predictor_gains(&program.p));
		}
	}
	assert_int_equal(prior.debt, 0);
}

static void a_prior_knows_long_bursts(void **state)
{
	struct ac_prior prior = {};

	for (int flow = 0; flow < 10; flow++) {
		struct program program = program_new(&prior);

		bursts(&program, 3, flow ? 90 : 100);
		if (flow > 5)
			assert_int_equal(program.held, 3 * 89);
		assert_int_equal(program.misses, 0);
		ac_on_burst_end(&program.p, &usual, AC_END_CLOSE);
		ac_prior_learn(&prior, &program.p);
	}
	assert_int_equal(prior.long_len, 90);
}

static void a_wrong_prior_is_dropped_at_once(void **state)
{
	struct ac_prior prior = {};
	struct program program;

	for (int flow = 0; flow < 20; flow++) {
		program = program_new(&prior);
		bursts(&program, 3, 4);
		ac_on_burst_end(&program.p, &usual, AC_END_READ);
		ac_prior_learn(&prior, &program.p);
	}
	program = program_new(&prior);
	assert_int_equal(burst(&program, 2), 0x3);
	assert_int_equal(burst(&program, 4) & 0x6, 0); /* the flow: not the second, nor the third it never saw */
	assert_int_equal(program.misses, 1);
	assert_true(ac_prior_due(&program.p));
	ac_prior_learn(&prior, &program.p);
	assert_false(ac_prior_due(&program.p));
	program = program_new(&prior);
	assert_int_equal(burst(&program, 4) & 0x2, 0); /* its siblings: not the second */
}

static void short_connections_share_one_debt(void **state)
{
	struct ac_prior prior = {};
	unsigned int count = 0, misses = 0;

	random_state = 3;
	for (int flow = 0; flow < 20000; flow++) {
		struct program program = program_new(&prior);

		for (int n = 0; n < 3; n++) {
			burst(&program, random_below(10) ? 3 : 1);
			if (ac_prior_due(&program.p))
				ac_prior_learn(&prior, &program.p);
		}
		program.misses += program.p.holding;
		ac_on_burst_end(&program.p, &usual, AC_END_READ);
		ac_prior_learn(&prior, &program.p);
		count += 3;
		misses += program.misses;
	}
	assert_in_range(misses, 1, AC_ALLOWANCE + 2 + count / 1000);
}

static void a_torn_prior_does_no_more_than_a_wrong_one(void **state)
{
	random_state = 9;
	for (int round = 0; round < 1000; round++) {
		struct program program;
		struct ac_prior prior;
		__u8 *byte = (__u8 *)&prior;

		for (size_t i = 0; i < sizeof(prior); i++)
			byte[i] = random_below(256);
		program = program_new(&prior);
		for (int n = 0; n < 200; n++)
			burst(&program, 1 + random_below(30));
		assert_in_range(program.misses, 0, misses_allowed(&program));
		ac_prior_learn(&prior, &program.p);
		assert_in_range(prior.debt, 0, AC_PRIOR_DEBT_MAX);
	}
}

/* The short cut for bursts that teach nothing must not change what is learned. */
static void the_short_cut_changes_nothing(void **state)
{
	struct program with = program_new(NULL), without = program_new(NULL);

	random_state = 5;
	for (unsigned int n = 0; n < 20000; n++) {
		unsigned int length = n % 1000 < 900 ? 1 + n / 4000 : 1 + random_below(6);

		without.p.steady = 0;
		assert_true(burst(&with, length) == burst(&without, length));
		without.p.steady = with.p.steady;
		assert_memory_equal(&with.p, &without.p, sizeof(with.p));
	}
}

/* One burst of n writes, `gap` apart. */
static __u64 slow_burst(struct program *program, unsigned int n, __u32 gap, bool read)
{
	__u64 held = 0;

	for (unsigned int i = 0; i < n; i++) {
		program->now += i ? gap - 5 : 0;
		held |= (__u64)write_one(program, 20) << i;
	}
	program->read = read;
	program->now += read ? 60 : 5000;
	return held;
}

static void a_wait_must_be_worth_the_packet(void **state)
{
	const struct ac_tuning generous = { .burst_gap_us = 200, .need_max = 50, .wait_us = 100 };

	for (__u32 gap = 10; gap <= 200; gap += 10) {
		struct program program = program_new(NULL), patient = program_new(NULL);

		patient.tuning = &generous;
		for (int n = 0; n < 50; n++) {
			slow_burst(&program, 3, gap, true);
			slow_burst(&patient, 3, gap, true);
		}
		assert_int_equal(slow_burst(&program, 3, gap, true), gap <= 40 ? 0x3 : 0);
		assert_int_equal(slow_burst(&patient, 3, gap, true), gap <= 100 ? 0x3 : 0);
		assert_int_equal(program.misses + patient.misses, 0);
	}
}

/* A wait of 100 us now and then is paid for by those that are short; one in three is not. */
static void the_mean_wait_decides(void **state)
{
	for (int every = 2; every <= 40; every++) {
		struct program program = program_new(NULL);
		unsigned int held = 0;

		for (int n = 0; n < 2000; n++)
			held += slow_burst(&program, 2, n % every ? 10 : 150, true);
		if (every <= 3)
			assert_in_range(held, 0, 200);
		else if (every >= 8)
			assert_in_range(held, 1900, 2000);
	}
}

/* A program that is learned on a quiet machine and then slows down is left alone within a few bursts. */
static void what_became_slow_is_let_go(void **state)
{
	struct program program = program_new(NULL);
	unsigned int held = 0;

	bursts(&program, 300, 4);
	for (int n = 0; n < 100; n++)
		held += ac_popcount(slow_burst(&program, 4, 600, true));
	assert_in_range(held, 1, 9);
	bursts(&program, 60, 4);
	assert_int_equal(burst(&program, 4), 0x7);
}

static void waits_beyond_the_exact_slots_count_too(void **state)
{
	struct program program = program_new(NULL);

	bursts(&program, 20, 40);
	for (int n = 0; n < 4; n++) {
		for (unsigned int i = 0; i < 40; i++) {
			program.now += i == 25 || i == 30 ? 600 : 0;
			write_one(&program, 20);
		}
		program.read = true;
		program.now += 60;
	}
	assert_int_equal(burst(&program, 40) >> AC_EXACT, 0);
	bursts(&program, 40, 40);
	assert_int_equal(burst(&program, 40) >> AC_EXACT, (1ull << (39 - AC_EXACT)) - 1);
}

static void the_first_byte_of_a_feed_waits_little(void **state)
{
	struct program program = program_new(NULL);
	__u32 since = 0, longest = 0;
	bool held = false;

	for (int n = 0; n < 20; n++)
		slow_burst(&program, 60, 20, false);
	for (int i = 0; i < 60; i++) {
		if (!held)
			since = program.now;
		held = write_one(&program, 20);
		program.now += 15;
		if (!held && program.now - since > longest)
			longest = program.now - since;
	}
	assert_in_range(longest, 100, AC_BOUND * usual.wait_us + 20);
	assert_int_equal(ac_hold_limit(&program.p, &usual, 2000), AC_FEED_HOLD * usual.wait_us);
	bursts(&program, 20, 5); /* now reads end its bursts: somebody waits for the whole */
	assert_int_equal(ac_hold_limit(&program.p, &usual, 2000), 2000);
}

/*
 * A message of n writes without TCP_NODELAY to a peer that delays its ACKs, or not: what is not held leaves at once or
 * waits for the ACK of what did. The last one comes after a `pause`. Did it stall?
 */
static bool nagle_message_late(struct program *program, unsigned int n, __u32 first, bool delays, __u32 pause)
{
	bool sent = false, kept = false, held = false;

	for (unsigned int i = 0; i < n; i++) {
		if (pause && i == n - 1) {
			program->now += pause;
			if (held && pause > 2000) { /* max_hold */
				program->misses += !!ac_on_burst_end(&program->p, program->tuning, AC_END_DEADLINE);
				sent = true;
			}
		}
		program->nagle = sent ? AC_NAGLE_KEEPS : AC_NAGLE_SENDS;
		held = write_one(program, i ? 20 : first);
		kept |= !held && sent;
		sent |= !held;
	}
	if (held) /* max_hold lets it go */
		program->misses += !!ac_on_burst_end(&program->p, program->tuning, AC_END_DEADLINE);
	program->now += kept && delays ? 40000 : 60;
	if (kept)
		ac_on_ack(&program->p, program->now);
	program->read = true;
	program->now += 60;
	return kept && delays;
}

static bool nagle_message(struct program *program, unsigned int n, __u32 first, bool delays)
{
	return nagle_message_late(program, n, first, delays, 0);
}

static void two_stalls_make_patient(void **state)
{
	struct program program = program_new(NULL);

	assert_true(nagle_message(&program, 3, 20, true));
	assert_true(nagle_message(&program, 3, 20, true));
	for (int n = 0; n < 100; n++)
		assert_false(nagle_message(&program, 3, 20 << n % 8, true)); /* of whatever size the first write is */
	assert_int_equal(program.misses, 0);
}

/* Where the last write is often late, as of a program whose CPU others have: max_hold is little beside a stall. */
static void patience_bears_late_writes(void **state)
{
	const struct ac_tuning tuning = { .burst_gap_us = 200, .need_max = 50, .hold_gaps = 10, .wait_us = 40 };
	const struct {
		__u32 pause;
		int every, stalls_least, stalls_most;
	} cases[] = {
		{ 1500, 1, 0, 0 },
		{ 5000, 10, 50, 50 }, /* what max_hold ends stalls, and nothing else does */
		{ 5000, 4, 125, 125 },
		{ 5000, 2, 250, 500 }, /* this is not worth holding for */
	};

	for (size_t i = 0; i < AC_ARRAY_SIZE(cases); i++) {
		struct program program = program_new(NULL);
		int stalls = 0;

		program.tuning = &tuning;
		for (int n = 0; n < 100; n++)
			nagle_message(&program, 6, 20, true);
		for (int n = 0; n < 500; n++)
			stalls += nagle_message_late(&program, 6, 20, true, n % cases[i].every ? 0 : cases[i].pause);
		assert_in_range(stalls, cases[i].stalls_least, cases[i].stalls_most);
	}
}

static void quick_acks_take_the_patience(void **state)
{
	struct program program = program_new(NULL);

	for (int n = 0; n < 20; n++)
		nagle_message(&program, 3, 20, true);
	assert_true(program.p.patient);
	assert_true(program.p.nagle > 0);
	program.nagle = AC_NAGLE_KEEPS;
	write_one(&program, 20);
	ac_on_ack(&program.p, program.now);
	assert_int_equal(program.p.nagle, 0);
	program.read = true;
	write_one(&program, 20);
	assert_false(program.p.patient);
}

static void with_nodelay_there_is_no_patience(void **state)
{
	struct program program = program_new(NULL);

	for (int n = 0; n < 20; n++)
		nagle_message(&program, 3, 20, true);
	program.nagle = AC_NAGLE_OFF;
	write_one(&program, 20);
	assert_false(program.p.patient);
}

/* What the next connection may cost does not depend on what those before it did. */
static void a_new_connection_stalls_three_times_at_most(void **state)
{
	struct ac_prior prior = {};

	random_state = 21;
	for (int connection = 0; connection < 2000; connection++) {
		struct program program = program_new(&prior);
		int kind = random_below(6), stalls = 0;

		if (kind == 0) { /* random lengths, until the debt stops all holding */
			for (int n = 0; n < 50; n++)
				burst(&program, 1 + random_below(10));
		} else if (kind == 1) { /* a peer that acknowledges at once */
			for (int n = 0; n < 20; n++)
				nagle_message(&program, 1 + random_below(5), 20, false);
		} else if (kind == 2) { /* single writes */
			bursts(&program, 30, 1);
		} else { /* CONNECT in 2 writes, then PUBLISH in 3 */
			stalls += nagle_message(&program, 2, 14, true);
			for (int n = 0; n < (kind == 3 ? 2 : 100); n++)
				stalls += nagle_message(&program, 3, 2, true);
			assert_in_range(stalls, 0, 3);
		}
		ac_on_burst_end(&program.p, &usual, AC_END_CLOSE);
		ac_prior_learn(&prior, &program.p);
	}
}

/* Patience is paid for: 20 misses for a stall, 2 ms each beside 40. */
static void patience_has_a_price(void **state)
{
	for (int pattern = 0; pattern < 4; pattern++) {
		struct program program = program_new(NULL);
		unsigned int stalls = 0;

		random_state = pattern;
		for (int n = 0; n < 5000; n++) {
			const unsigned int lengths[] = { 1 + random_below(2), 1 + random_below(10), 3 - !(n % 50),
							 1 + n % 3 };

			stalls += nagle_message(&program, lengths[pattern], 20, true);
		}
		assert_in_range(program.misses, 0, AC_CREDIT_MAX + misses_allowed(&program) + 20 * stalls);
		assert_in_range(stalls, 2, 1000); /* without patience nearly all of them */
	}
}

static void rests_double_and_are_forgotten(void **state)
{
	struct program program = program_new(NULL);
	__u32 last = 0;

	for (int off = 0; off < 14; off++) {
		__u32 rest;

		ac_predictor_rest(&program.p);
		assert_true(ac_predictor_rests(&program.p));
		rest = program.p.rest_until_us - program.p.last_us;
		assert_int_equal(rest, !off ? AC_REST_US : last < AC_REST_LONGEST_US ? 2 * last : last);
		last = rest;
		bursts(&program, 20, 3); /* it gains, and yet it waits … */
		assert_false(ac_predictor_promises(&program.p));
		assert_int_equal(ac_predictor_rests_long(&program.p), off >= AC_REST_WATCHED);
		program.now = program.p.rest_until_us + 1000;
		if (!(off % 3))
			program.now += AC_REST_FORGOTTEN * last; /* it takes its time: that is not on a wrapper */
		bursts(&program, 2, 3);				 /* … until then */
		assert_true(ac_predictor_promises(&program.p));
		ac_predictor_try(&program.p);
		program.now += AC_REST_FORGOTTEN * last / 2; /* not long enough */
		bursts(&program, 2, 3);
	}
	program.now += AC_REST_FORGOTTEN * last; /* on its wrapper for long enough */
	bursts(&program, 2, 3);
	ac_predictor_rest(&program.p);
	assert_int_equal(program.p.rest_until_us - program.p.last_us, AC_REST_US);
	program.now += 1u << 31; /* the clock has wrapped half-way: that is over too */
	bursts(&program, 2, 3);
	assert_true(ac_predictor_promises(&program.p));
}

static void a_rest_is_handed_on(void **state)
{
	struct ac_prior prior = {};
	struct program program = program_new(&prior), other = program_new(&prior);

	bursts(&program, 20, 3);
	ac_predictor_rest(&program.p);
	ac_predictor_rest(&program.p);
	ac_prior_learn(&prior, &program.p);
	bursts(&other, 20, 3);
	ac_prior_learn(&prior, &other.p); /* it never came off: that says nothing of those that did */
	ac_predictor_rest(&other.p);
	ac_prior_learn(&prior, &other.p); /* a shorter rest takes nothing off a longer one */
	program = program_new(&prior);
	bursts(&program, 4, 3);
	assert_false(ac_predictor_promises(&program.p));
	program.now += 3 * AC_REST_US;
	bursts(&program, 4, 3);
	assert_true(ac_predictor_promises(&program.p));
	ac_predictor_rest(&program.p);
	assert_int_equal(program.p.rest_until_us - program.p.last_us, 4 * AC_REST_US);
	ac_prior_learn(&prior, &program.p);
	/* As long in shadow it is not: only a new flow, of which nothing is known, forgets by time alone. */
	program.now = program.p.rest_until_us + (AC_REST_FORGOTTEN << 3) * AC_REST_US + 1000;
	bursts(&program, 4, 3);
	ac_prior_learn(&prior, &program.p);
	assert_int_equal(prior.rests, 3);
	ac_predictor_init(&other.p, &prior, program.now);
	assert_int_equal(other.p.rests, 0);
	ac_predictor_try(&program.p);
	program.now += (AC_REST_FORGOTTEN << 3) * AC_REST_US;
	bursts(&program, 4, 3);
	ac_prior_learn(&prior, &program.p); /* long enough on the wrapper: forgotten */
	assert_int_equal(prior.rests, 0);
}

/* Connections of one message of n writes; the FIN comes `gap` after the last one. What is held of the next one's? */
static __u64 closes_after(unsigned int n, __u32 gap, struct ac_prior *prior)
{
	__u64 held = 0;

	for (int connection = 0; connection < 6; connection++) {
		struct program program = program_new(prior);

		held = burst(&program, n);
		assert_int_equal(ac_on_fin(&program.p, &usual, program.now - 65 + gap), n);
		assert_int_equal(program.p.len, 0);
		assert_int_equal(program.misses, 0);
		ac_prior_learn(prior, &program.p);
	}
	return held;
}

static void the_fin_is_waited_for_where_it_follows_at_once(void **state)
{
	for (unsigned int n = 1; n <= 24; n++) { /* in more the first byte waits longer than a new flow may */
		struct ac_prior prior = {}, late = {}, later = {};
		struct program program;

		assert_int_equal(closes_after(n, 10, &prior), (1ull << n) - 1);
		if (n <= AC_EXACT) /* more than it is worth */
			assert_int_equal(closes_after(n, 100, &late), (1ull << (n - 1)) - 1);
		assert_int_equal(closes_after(n, 300, &later), (1ull << (n - 1)) - 1); /* and that is no part of it */
		program = program_new(&prior);
		assert_true(ac_predictor_promises(&program.p)); /* programs with one write too */
	}
}

/* The program that closed goes on instead: that is a miss, and the write is let go from now on. */
static void a_fin_that_does_not_come_is_a_miss(void **state)
{
	struct ac_prior prior = {};
	struct program program;

	closes_after(2, 10, &prior);
	program = program_new(&prior);
	assert_int_equal(burst(&program, 2), 0x3);
	burst(&program, 2);
	assert_int_equal(program.misses, 1);
	ac_prior_learn(&prior, &program.p);
	program = program_new(&prior);
	assert_int_equal(burst(&program, 2) & 0x2, 0);
}

/* The peer of such connections needs the whole message: it is no feed, whose holds are short. */
static void a_fin_ends_bursts_as_a_read_does(void **state)
{
	struct ac_prior prior = {}, later = {};
	struct program program;

	closes_after(2, 10, &prior);
	closes_after(2, 300, &later);
	program = program_new(&prior);
	assert_int_equal(ac_hold_limit(&program.p, &usual, 2000), 2000);
	program = program_new(&later);
	assert_int_equal(ac_hold_limit(&program.p, &usual, 2000), AC_FEED_HOLD * usual.wait_us);
}

/* A hold ran out before the connection's end. Whether that was a miss, nobody knows until then. */
static void a_deadline_before_a_fin_is_a_miss_of_who_slept(void **state)
{
	static const struct {
		bool awake, peer_first;
	} cases[] = { { true, false }, { false, false }, { false, true } };

	for (unsigned int i = 0; i < 3; i++) {
		struct ac_prior prior = {};
		struct program program;

		closes_after(2, 10, &prior);
		program = program_new(&prior);
		assert_int_equal(burst(&program, 2), 0x3);
		assert_int_equal(ac_on_burst_end(&program.p, &usual, AC_END_DEADLINE), 0);
		assert_int_equal(program.p.debt, 0);
		program.now += 4000;
		if (cases[i].awake)
			ac_on_awake(&program.p);
		if (cases[i].peer_first)
			assert_int_equal(ac_on_burst_end(&program.p, &usual, AC_END_CLOSE), 2);
		else
			assert_int_equal(ac_on_fin(&program.p, &usual, program.now), 2);
		/* What the burst saved pays some back. */
		assert_in_range(program.p.debt, cases[i].awake ? AC_OVERDUE_COST - 20 : AC_MISS,
				cases[i].awake ? AC_OVERDUE_COST : AC_MISS);
		assert_int_equal(program.p.overdue, 0);
		ac_prior_learn(&prior, &program.p);
		program = program_new(&prior);
		/* The last one is let go from now on. */
		assert_int_equal(burst(&program, 2), cases[i].awake ? 0x3 : 0x1);
	}
}

static void costs_count_like_plain_numbers(void **state)
{
	struct ac_predictor p = {};
	unsigned int plain[32] = {};

	random_state = 13;
	for (int round = 0; round < 5000; round++) {
		__u32 slots = random_below(1 << 16) << 16 | random_below(1 << 16), any = 0, costly = 0;
		int bit = random_below(AC_COST_PLANES);
		bool earn = random_below(4);

		if (earn)
			ac_cost_earn(&p, slots);
		else
			ac_cost_add(&p, slots, bit);
		for (int i = 0; i < 32; i++) {
			unsigned int cost = 0;

			if (slots >> i & 1)
				plain[i] = !earn ? plain[i] + (1 << bit) : plain[i] - !!plain[i];
			plain[i] = plain[i] < 63 ? plain[i] : 63;
			for (int b = 0; b < AC_COST_PLANES; b++)
				cost |= (p.cost[b] >> i & 1) << b;
			assert_int_equal(cost, plain[i]);
			any |= (__u32) !!cost << i;
			costly |= (__u32)(cost >= AC_COST_HIGH) << i;
		}
		assert_int_equal(ac_cost_any(&p), any);
		assert_int_equal(ac_costly(&p), costly);
	}
}

static void sliced_counters_count_like_plain_ones(void **state)
{
	struct ac_predictor p = {};
	unsigned int plain[32];

	random_state = 11;
	for (int round = 0; round < 200; round++) {
		unsigned int n = random_below(256);

		memset(p.streak, 0, sizeof(p.streak));
		for (int i = 0; i < 32; i++) {
			plain[i] = random_below(4) ? random_below(256) : n;
			for (int b = 0; b < AC_STREAK_PLANES; b++)
				p.streak[b] |= ((plain[i] >> b) & 1) << i;
		}
		for (int i = 0; i < 32; i++) {
			assert_int_equal(ac_streak_at_least(&p, n) >> i & 1, plain[i] >= n);
			assert_int_equal(ac_streak_full(&p) >> i & 1, plain[i] == 255);
			assert_int_equal(ac_streak_any(&p) >> i & 1, plain[i] > 0);
			assert_int_equal(ac_streak_prior(&p) >> i & 1, plain[i] == AC_PRIOR_STREAK);
		}
	}
	for (unsigned int i = 0; i < 32; i++)
		assert_int_equal(ac_popcount(~0u >> i), 32 - i);
}

static void levels_go_up_and_down_between_their_ends(void **state)
{
	struct ac_predictor p = {};

	for (int step = 0; step < 5; step++) {
		__u32 up = (p.level[1] & 1) << 1 | (p.level[0] & 1),
		      down = (p.level[1] >> 1 & 1) << 1 | (p.level[0] >> 1 & 1);

		assert_int_equal(up, step < 3 ? step : 3);
		assert_int_equal(down, !step ? 0 : step < 4 ? 4 - step : 0);
		if (!step) {
			ac_level_up(&p, 2);
			ac_level_up(&p, 2);
			ac_level_up(&p, 2);
		} else {
			ac_level_down(&p, 2);
		}
		ac_level_up(&p, 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(learns_a_constant_burst_from_two),
		cmocka_unit_test(a_pause_in_the_first_message_is_no_end),
		cmocka_unit_test(in_shadow_a_gap_is_what_the_program_ran),
		cmocka_unit_test(a_burst_seen_in_part_is_no_lesson),
		cmocka_unit_test(a_second_pause_shows_a_feed),
		cmocka_unit_test(holds_only_what_always_goes_on),
		cmocka_unit_test(tells_messages_by_the_size_of_their_first_write),
		cmocka_unit_test(a_miss_is_counted_once_and_remembered),
		cmocka_unit_test(a_miss_weighs_more_than_a_stop),
		cmocka_unit_test(misses_are_bounded_for_any_pattern),
		cmocka_unit_test(misses_are_bounded_for_an_adversary),
		cmocka_unit_test(random_lengths_settle_without_missing_for_ever),
		cmocka_unit_test(a_late_write_goes_on_with_its_burst),
		cmocka_unit_test(stalls_end_the_short_cut),
		cmocka_unit_test(the_gap_is_included),
		cmocka_unit_test(a_gap_ends_the_burst_of_a_program_that_never_reads),
		cmocka_unit_test(a_stall_is_not_the_end_where_reads_end_bursts),
		cmocka_unit_test(time_may_wrap),
		cmocka_unit_test(lengths_may_saturate),
		cmocka_unit_test(a_deadline_in_a_stalled_burst_is_no_miss),
		cmocka_unit_test(a_deadline_ends_the_holding_of_long_bursts),
		cmocka_unit_test(a_deadline_that_a_read_follows_is_a_miss),
		cmocka_unit_test(stalls_in_every_burst_end_the_holding),
		cmocka_unit_test(a_deadline_ends_the_burst_of_a_feed),
		cmocka_unit_test(in_shadow_a_pause_shows_what_the_deadline_would_have_done),
		cmocka_unit_test(in_shadow_a_read_ends_a_wrong_hold),
		cmocka_unit_test(nothing_ends_where_nothing_began),
		cmocka_unit_test(full_segments_are_not_worth_holding),
		cmocka_unit_test(full_segments_are_in_no_hurry),
		cmocka_unit_test(what_was_overruled_is_no_gain),
		cmocka_unit_test(close_and_foreign_releases_are_no_misses),
		cmocka_unit_test(writes_that_were_not_seen_are_no_miss),
		cmocka_unit_test(a_cut_after_a_pause_counts_from_the_pause),
		cmocka_unit_test(a_deadline_counts_where_the_gap_is_longer),
		cmocka_unit_test(a_long_good_conduct_makes_up_for_a_stop),
		cmocka_unit_test(a_debt_stops_all_holding_until_it_is_paid),
		cmocka_unit_test(gains_and_idles_with_a_margin),
		cmocka_unit_test(a_reader_thread_is_seen_through),
		cmocka_unit_test(a_failed_trial_is_given_up),
		cmocka_unit_test(a_trial_that_misses_is_given_up),
		cmocka_unit_test(a_prior_serves_the_first_burst),
		cmocka_unit_test(a_prior_knows_long_bursts),
		cmocka_unit_test(a_wrong_prior_is_dropped_at_once),
		cmocka_unit_test(short_connections_share_one_debt),
		cmocka_unit_test(a_torn_prior_does_no_more_than_a_wrong_one),
		cmocka_unit_test(the_short_cut_changes_nothing),
		cmocka_unit_test(a_wait_must_be_worth_the_packet),
		cmocka_unit_test(the_mean_wait_decides),
		cmocka_unit_test(what_became_slow_is_let_go),
		cmocka_unit_test(waits_beyond_the_exact_slots_count_too),
		cmocka_unit_test(the_first_byte_of_a_feed_waits_little),
		cmocka_unit_test(two_stalls_make_patient),
		cmocka_unit_test(patience_bears_late_writes),
		cmocka_unit_test(quick_acks_take_the_patience),
		cmocka_unit_test(with_nodelay_there_is_no_patience),
		cmocka_unit_test(a_new_connection_stalls_three_times_at_most),
		cmocka_unit_test(patience_has_a_price),
		cmocka_unit_test(rests_double_and_are_forgotten),
		cmocka_unit_test(a_rest_is_handed_on),
		cmocka_unit_test(the_fin_is_waited_for_where_it_follows_at_once),
		cmocka_unit_test(a_fin_that_does_not_come_is_a_miss),
		cmocka_unit_test(a_fin_ends_bursts_as_a_read_does),
		cmocka_unit_test(a_deadline_before_a_fin_is_a_miss_of_who_slept),
		cmocka_unit_test(costs_count_like_plain_numbers),
		cmocka_unit_test(sliced_counters_count_like_plain_ones),
		cmocka_unit_test(levels_go_up_and_down_between_their_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
