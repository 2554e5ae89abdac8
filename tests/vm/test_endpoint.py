#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""An unmodified server under `autocork run` on stock kernels: its own TCP, a live connection that moves to the kernel,
an agent that stops and comes back, kill -9; every byte compared, nothing left."""
import shutil

from harness import BUILD, ENDS, TWO_WRAPPERS, Suite

LIBRARY = "libautocork-endpoint.so"
RUNS = ("small", "six", "moved", "alone", "across", "kernel")
DROPPED = ("bad_frame", "bad_checksum", "no_memory", "limit_hit", "no_neighbour")


def judge(kernel):
    files = [(kernel.build / LIBRARY, f"/ac/{LIBRARY}"), (shutil.which("ethtool") or "/sbin/ethtool", "/tools/ethtool")]
    said = kernel.boot("endpoint.sh", 300, files=files, without=TWO_WRAPPERS)
    if "refused" in said:
        result = said.get("kernel") or {}
        kernel.check(result.get("wrong_bytes") == 0, "kernel: bytes identical", result)
        kernel.check(said["refused"].get("instances") == [], "no queue is taken", said["refused"])
        return
    for run in RUNS:
        result = said.get(run) or {}
        kernel.check(result.get("wrong_bytes") == 0, f"{run}: bytes identical", result)
    instance, = said.get("stack", {}).get("instances") or [{}]
    kernel.check([instance.get(name) for name in ("program", "interface", "ports", "accepted")] ==
                 ["autocork", "cable", [9000], 17], "the agent shows the program", instance)
    kernel.check(not any(instance.get(name, 1) for name in DROPPED), "no packet was dropped", instance)
    instance, = said.get("handed_over", {}).get("instances") or [{}]
    kernel.check((instance.get("handed_over_for") or {}).get("bulk") == 1 and instance.get("handover_failed") == 0,
                 "a hand-over for bulk, and none that failed", instance)
    left = said.get("left", {"listeners": None})
    kernel.check(not any(number != 0 for number in left.values()), "no entry stays in the steering's tables", left)


with Suite("endpoint") as suite:
    if (BUILD / LIBRARY).exists():
        suite.each_kernel(judge, ENDS)
    else:
        suite.skip("endpoint", f"{LIBRARY} is not built: the source of lwIP is missing")
