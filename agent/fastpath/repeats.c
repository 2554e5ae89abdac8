/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What came a second time: see repeats.h. */
#include "fastpath/repeats.h"

#define WHOLE_MAX (1u << 30)
#define AGAIN_MIN 4096
#define MEMORY (256u << 10) /* merged bytes after which both counts are halved: what is long past matters less */
#define PENANCE_MIN (1u << 20)
#define PENANCE_MAX (1u << 30)

static void see_new(struct repeats *repeats, uint32_t length)
{
	repeats->next += length;
	if (repeats->whole < WHOLE_MAX)
		repeats->whole += length;
	repeats->careful = repeats->careful > length ? repeats->careful - length : 0;
}

/* A path that takes large packets loses a few; one that does not, all. */
static void judge(struct repeats *repeats)
{
	if (repeats->careful || !repeats->merged || repeats->again < AGAIN_MIN || repeats->again < repeats->merged)
		return;
	repeats->penance = repeats->penance ? repeats->penance * 2 : PENANCE_MIN;
	if (repeats->penance > PENANCE_MAX)
		repeats->penance = PENANCE_MAX;
	repeats->careful = repeats->penance;
	repeats->merged = repeats->again = 0;
}

bool repeats_see(struct repeats *repeats, uint32_t sequence, uint32_t length)
{
	int32_t back = repeats->next - sequence;
	bool again;

	if (!repeats->known || back < 0) {
		repeats->known = true;
		repeats->next = sequence;
		repeats->whole = 0;
		back = 0;
	}
	if (!back) {
		see_new(repeats, length);
		return repeats->careful;
	}
	/* A sender without SACK goes back to the hole, and sends all that follows once more. */
	again = (uint32_t)back <= repeats->whole && sequence != repeats->filled;
	if (again) {
		repeats->again += length;
		judge(repeats);
	} else {
		repeats->filled = sequence + length;
	}
	if ((uint32_t)back < length)
		see_new(repeats, length - back);
	return again || repeats->careful;
}

void repeats_merge(struct repeats *repeats, uint32_t length)
{
	repeats->merged += length;
	if (repeats->merged < MEMORY)
		return;
	repeats->merged /= 2;
	repeats->again /= 2;
	repeats->penance = 0;
}
