#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""The agent killed, started again, started twice, stopped, in the middle of a stream: no byte lost, no stall, nothing
left."""
from harness import TWO_WRAPPERS, Suite

# The kernel ends a hold without an agent after max(RTO, 200 ms); the rest is room for an emulated processor of a busy
# machine, which loads an agent meanwhile. Who waits for an agent waits for ever.
STALL_US = 5000000


def judge(kernel):
    said = kernel.boot("restart.sh", 480, without=TWO_WRAPPERS)
    for run in ("killed", "stopped", "orphaned"):
        wrong, longest = (said.get(run, {}).get(name) for name in ("wrong_bytes", "max_us"))
        kernel.check(wrong == 0, f"{run}: bytes identical", said.get(run, "no result"))
        kernel.check(longest is not None and longest < STALL_US, f"{run}: longest message {longest} us")
    for run in ("after", "last"):
        packets = said.get(run, {}).get("segments", 0)
        kernel.check(0.99 < packets < 1.01, f"{run} a restart: packets per message {packets:.2f}")


with Suite("restart") as suite:
    suite.each_kernel(judge)
