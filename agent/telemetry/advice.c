/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "telemetry/advice.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

/* FNV-1a, 64 bits: an id needs to be stable, not secret. */
static uint64_t hash(uint64_t sum, const void *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		sum = (sum ^ ((const unsigned char *)bytes)[i]) * 0x100000001b3ull;
	return sum;
}

static void make_id(char id[ADVICE_ID_LEN], uint16_t port, uint8_t side, const char *program)
{
	static const char digits[] = "0123456789abcdefghjkmnpqrstvwxyz"; /* no i, l, o, u */
	const unsigned char key[] = { port >> 8, port & 0xff, side };
	uint64_t sum = hash(hash(0xcbf29ce484222325ull, key, sizeof(key)), program, strlen(program));

	memcpy(id, "ac-", 3);
	for (int i = 3; i < ADVICE_ID_LEN - 1; i++, sum >>= 5)
		id[i] = digits[sum & 31];
	id[ADVICE_ID_LEN - 1] = '\0';
}

/*
 * Upper bound of a share of which `hits` of `tries` were seen: Wilson's score at z = 1.645, one-sided 95%. It does not
 * call nothing out of ten certain, and needs no table.
 */
static double upper_bound(double hits, double tries)
{
	const double z = 1.645, z2 = z * z;
	double share;

	if (tries <= 0)
		return 1;
	share = hits > tries ? 1 : hits / tries;
	share = (share + z2 / (2 * tries) + z * sqrt(share * (1 - share) / tries + z2 / (4 * tries * tries))) /
		(1 + z2 / tries);
	return share < 1 ? share : 1;
}

/* What is known for sure rests on what was seen. */
static double seen_bursts(const struct advice_counts *counts)
{
	return counts->bursts > counts->inferred_bursts ? counts->bursts - counts->inferred_bursts : 0;
}

/* At least every second of its messages goes through MSG_MORE or TCP_CORK. Writes under those end no burst. */
static bool corks(const struct advice_counts *counts)
{
	return counts->corked && counts->writes >= ADVICE_BURSTS_MIN && counts->corked >= counts->bursts / 2;
}

static enum advice_verdict judge(const struct advice *advice, const struct advice_counts *counts)
{
	if (counts->held > counts->shadow_held)
		return ADVICE_MANAGED;
	/* Who waits 40 ms for each acknowledgement makes few bursts, and a miss costs far less than that. */
	if (advice->stall_s_per_burst >= ADVICE_STALL_MIN_S && seen_bursts(counts) >= ADVICE_STALLED_BURSTS_MIN &&
	    (1 - advice->confidence) * ADVICE_MISS_S * ADVICE_STALL_WORTH <= advice->stall_s_per_burst)
		return ADVICE_MANAGE;
	if (seen_bursts(counts) < ADVICE_BURSTS_MIN)
		return corks(counts) ? ADVICE_CORKS : ADVICE_UNKNOWN;
	if ((advice->saved_share < ADVICE_SAVED_MIN || advice->cpu_share <= 0) &&
	    advice->stall_s_per_burst < ADVICE_STALL_MIN_S)
		return corks(counts) ? ADVICE_CORKS : ADVICE_LEAVE;
	return advice->confidence < ADVICE_CONFIDENCE_MIN ? ADVICE_DOUBTFUL : ADVICE_MANAGE;
}

/* That came under management, or would have. */
static double new_flows(const struct advice_counts *counts)
{
	return counts->opened > counts->managed ? counts->opened : counts->managed;
}

double advice_cpu_us(double packets, double bursts, double flows)
{
	return packets * ADVICE_CPU_US_PER_PACKET - bursts * ADVICE_CPU_US_PER_BURST - flows * ADVICE_CPU_US_PER_FLOW;
}

struct advice advice_make(uint16_t port, uint8_t side, const char *program, const struct advice_counts *counts,
			  double seconds)
{
	uint64_t merged = counts->shadow_merged < counts->shadow_held ? counts->shadow_merged : counts->shadow_held;
	double held = (double)counts->held + (counts->shadow_held - merged),
	       misses = (double)counts->misses + counts->shadow_misses, stall_s = counts->shadow_stall_us * 1e-6;
	struct advice advice = { .one_in = 1 };

	make_id(advice.id, port, side, program);
	if (counts->writes)
		advice.saved_share = held / counts->writes;
	if (counts->bursts) {
		double seen = seen_bursts(counts);

		advice.stall_s_per_burst = stall_s / counts->bursts;
		advice.one_in = seen ? counts->bursts / seen : 1;
		advice.confidence = 1 - upper_bound(misses * seen / counts->bursts, seen);
	}
	if (seconds > 0) {
		advice.packets_per_s = held / seconds;
		advice.misses_per_s = misses / seconds;
		advice.stall_s_per_s = stall_s / seconds;
		advice.copied_bytes_per_s = counts->large_copied_bytes / seconds;
		advice.cpu_share = advice_cpu_us(held, counts->bursts, new_flows(counts)) / (seconds * 1e6);
	}
	advice.verdict = judge(&advice, counts);
	return advice;
}

int advice_compare(const struct advice *a, const struct advice *b)
{
	bool stalls = a->stall_s_per_burst >= ADVICE_STALL_MIN_S, others = b->stall_s_per_burst >= ADVICE_STALL_MIN_S;

	if (stalls != others)
		return stalls ? -1 : 1;
	if (stalls && a->stall_s_per_s != b->stall_s_per_s)
		return a->stall_s_per_s > b->stall_s_per_s ? -1 : 1;
	return (a->packets_per_s < b->packets_per_s) - (a->packets_per_s > b->packets_per_s);
}

bool advice_names_copies(const struct advice *advice)
{
	return advice->copied_bytes_per_s >= ADVICE_COPIES_MIN;
}

const char *advice_verdict_name(enum advice_verdict verdict)
{
	static const char *const names[] = {
		[ADVICE_UNKNOWN] = "unknown", [ADVICE_LEAVE] = "leave",	    [ADVICE_DOUBTFUL] = "doubtful",
		[ADVICE_MANAGE] = "manage",   [ADVICE_MANAGED] = "managed", [ADVICE_CORKS] = "corks",
	};

	return names[verdict];
}

/*
 * A program's name as a pattern that matches it: what the policy's syntax gives a meaning becomes '?', and so does what
 * text_clean() wrote as \xNN.
 */
static void print_pattern(FILE *out, const char *program)
{
	for (int i = 0; *program && i < AC_COMM_LEN - 1; i++) {
		bool escape = program[0] == '\\' && program[1] == 'x' && isxdigit((unsigned char)program[2]) &&
			      isxdigit((unsigned char)program[3]);

		putc(isalnum((unsigned char)*program) || strchr("._+-:/@", *program) ? *program : '?', out);
		program += escape ? 4 : 1;
	}
}

void advice_conditions(FILE *out, uint16_t port, uint8_t side, const char *program)
{
	fprintf(out, "ports = %u\n", port);
	if (side == AC_SIDE_SERVER || side == AC_SIDE_CLIENT)
		fprintf(out, "side = %s\n", side == AC_SIDE_SERVER ? "server" : "client");
	if (*program) {
		fputs("programs = ", out);
		print_pattern(out, program);
		putc('\n', out);
	}
}

void advice_policy(FILE *out, const struct advice *advice, uint16_t port, uint8_t side, const char *program)
{
	const char *about = advice->one_in > 1 ? "≈" : "";

	/* Time, packets, CPU: in this order everywhere. */
	if (advice->stall_s_per_burst >= ADVICE_STALL_MIN_S)
		fprintf(out, "# %.1f ms less waiting for ACKs in a message.\n", advice->stall_s_per_burst * 1e3);
	fprintf(out, "# %s%.1f packets a second fewer, %.0f%% of the writes; %.2f%% of one CPU saved.\n", about,
		advice->packets_per_s, advice->saved_share * 100, advice->cpu_share * 100);
	fprintf(out, "# Confidence %.1f%%, %.2f messages a second held too long.\n", advice->confidence * 100,
		advice->misses_per_s);
	if (advice->one_in > 1)
		fprintf(out, "# Inferred from a sample: 1 message in %.0f was seen.\n", advice->one_in);
	fprintf(out, "[policy %s]\nmode = autocork\n", advice->id);
	advice_conditions(out, port, side, program);
}

static void since(uint64_t *now, uint64_t before)
{
	if (*now >= before)
		*now -= before;
}

void advice_counts_since(struct advice_counts *counts, const struct advice_counts *before)
{
	since(&counts->writes, before->writes);
	since(&counts->bursts, before->bursts);
	since(&counts->inferred_bursts, before->inferred_bursts);
	since(&counts->held, before->held);
	since(&counts->misses, before->misses);
	since(&counts->shadow_held, before->shadow_held);
	since(&counts->shadow_misses, before->shadow_misses);
	since(&counts->shadow_merged, before->shadow_merged);
	since(&counts->shadow_stall_us, before->shadow_stall_us);
	since(&counts->segments, before->segments);
	since(&counts->retransmits, before->retransmits);
	since(&counts->large_copied_bytes, before->large_copied_bytes);
	since(&counts->corked, before->corked);
	since(&counts->opened, before->opened);
	since(&counts->managed, before->managed);
}
