/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Numbers as people read them. Each function fills and returns a buffer of its caller. */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct units {
	char text[24];
};

/* 0 … 99999 in full, then 123k, 4.56M, 7.89G … */
const char *units_count(struct units *units, uint64_t count);
/* Microseconds: "0us", "85us", "1.25ms", "2.50s" */
const char *units_delay(struct units *units, double us);
/* Microseconds too, but from two minutes on as an age */
const char *units_time(struct units *units, uint64_t us);
/* Seconds: "12s", "3m 04s", "5h 06m", "7d 08h" */
const char *units_age(struct units *units, uint64_t seconds);
