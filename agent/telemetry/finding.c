/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "telemetry/finding.h"

#include "lib/units.h"

static enum finding_kind kind_of(const struct finding *finding, const struct advice_counts *counts)
{
	if (counts->held > counts->shadow_held)
		return FINDING_MANAGED;
	if (counts->bursts < FINDING_MESSAGES_MIN)
		return FINDING_QUIET;
	if (finding->wait_s >= ADVICE_STALL_MIN_S)
		return FINDING_WAITS;
	return finding->packets_now - finding->packets_possible >= FINDING_PACKETS_MIN ? FINDING_PACKETS :
											 FINDING_NOTHING;
}

struct finding finding_make(const struct advice_counts *counts, double seconds)
{
	/* Nagle's algorithm joined some writes with others: holding those saves no packet. */
	double merged = counts->shadow_merged < counts->shadow_held ? counts->shadow_merged : counts->shadow_held;
	double saved = counts->shadow_held - merged, bursts = counts->bursts;
	struct finding finding = { 0 };

	if (counts->bursts) {
		finding.wait_s = counts->shadow_stall_us * 1e-6 / bursts;
		finding.packets_now = counts->segments / bursts;
		finding.packets_possible = saved < counts->segments ? (counts->segments - saved) / bursts : 0;
		if (finding.packets_possible < 1)
			finding.packets_possible = finding.packets_now < 1 ? finding.packets_now : 1;
	}
	if (seconds > 0)
		finding.messages_per_s = bursts / seconds;
	finding.kind = kind_of(&finding, counts);
	return finding;
}

const char *finding_name(enum finding_kind kind)
{
	static const char *const names[] = {
		[FINDING_WAITS] = "waits",     [FINDING_PACKETS] = "packets", [FINDING_MANAGED] = "managed",
		[FINDING_NOTHING] = "nothing", [FINDING_QUIET] = "quiet",
	};

	return names[kind];
}

/* Seconds waited, or packets sent in vain, a second. */
static double harm(const struct finding *finding)
{
	double each =
		finding->kind == FINDING_WAITS ? finding->wait_s : finding->packets_now - finding->packets_possible;

	return each * finding->messages_per_s;
}

int finding_compare(const struct finding *a, const struct finding *b)
{
	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	return (harm(a) < harm(b)) - (harm(a) > harm(b));
}

void finding_print(FILE *out, const struct finding *finding, uint16_t port, uint8_t side, const char *program)
{
	const char *messages = side == AC_SIDE_SERVER ? "responses" : side == AC_SIDE_CLIENT ? "requests" : "messages";
	struct units wait;

	fprintf(out, "%s %s port %u ", *program ? program : "a program",
		side == AC_SIDE_CLIENT ? "as a client of" : "on", port);
	switch (finding->kind) {
	case FINDING_WAITS:
		fprintf(out, "waits %s for each of %.0f %s a second (Nagle)", units_delay(&wait, finding->wait_s * 1e6),
			finding->messages_per_s, messages);
		break;
	case FINDING_PACKETS:
		fprintf(out, "sends %.1f packets where %.1f would do, %.0f %s a second", finding->packets_now,
			finding->packets_possible, finding->messages_per_s, messages);
		break;
	case FINDING_MANAGED:
		fprintf(out, "is managed already: %.1f packets for each of %.0f %s a second", finding->packets_now,
			finding->messages_per_s, messages);
		break;
	case FINDING_NOTHING:
		fprintf(out, "has nothing to gain: %.1f packets for each of %.0f %s a second", finding->packets_now,
			finding->messages_per_s, messages);
		break;
	case FINDING_QUIET:
		fprintf(out, "wrote too little to tell");
		break;
	}
	fputs(".\n", out);
}
