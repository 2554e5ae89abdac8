/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#pragma once
#include <stdbool.h>
#include <stdint.h>

/*
 * Does a blocking call go on after a signal? ppoll() never does; the calls that sleep in it do where SA_RESTART says so
 * and the socket has no time limit (signal(7)). Which signal came cannot be seen here: the call goes on if every
 * handler that this thread could have run says so. errno stays.
 */
bool signals_restart(uint64_t deadline);
