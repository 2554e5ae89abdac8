#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Wrong holds end at once where fentry sees the program go to read, and after max_hold where only tracepoints are
used."""
from harness import ENDS, TWO_WRAPPERS, Suite

MAX_HOLD_US = 100000
WRONG = 20  # connections whose first message is shorter than what their service has learned


def judge(kernel):
    said = kernel.boot("wait.sh", 360, without=TWO_WRAPPERS)

    def figures(way):
        service = next((row for row in said.get(f"{way}.services", []) if row["side"] == "client"), {})
        features = {row["name"]: row for row in said.get(f"{way}.doctor", {}).get("features", [])}
        return said.get(f"{way}.fewer", {}), service.get("released", {}), features, service

    run, released, features, service = figures("fentry")
    kernel.check(features.get("fentry", {}).get("works") is True, "fentry is used", features.get("fentry"))
    kernel.check(released.get("app_wait", 0) >= WRONG * 3 // 4,
                 f"fentry: wrong holds end when the program reads: {released}")
    kernel.check(run.get("p50_us", MAX_HOLD_US) < MAX_HOLD_US / 2,
                 f"fentry: at once: median {run.get('p50_us')} us of {MAX_HOLD_US}")

    run, released, features, service = figures("tracepoints")
    kernel.check(features.get("fentry", {}).get("works") is False, "fentry can be forced off", features.get("fentry"))
    kernel.check(released.get("app_wait") == 0, f"tracepoints: no release by fentry: {released}")
    if features.get("write hook", {}).get("works"):
        kernel.check(released.get("deadline", 0) >= WRONG // 2,
                     f"tracepoints: wrong holds end at their deadline: {released}")
        kernel.check(run.get("p50_us", 0) < 2 * MAX_HOLD_US,
                     f"tracepoints: soon after max_hold: median {run.get('p50_us')} us")
    else:
        # Before 6.3 there is no tracepoint either: nothing is learned, so nothing is held.
        kernel.check(service.get("held") == 0, "neither: nothing is held", service)
        kernel.check(8.9 < run.get("segments", 0) < 9.1,
                     f"neither: packets as without the agent: {run.get('segments')}")
    for way in ("fentry", "tracepoints"):
        for part in ("train", "fewer"):
            name = f"{way}.{part}"
            kernel.check(said.get(name, {}).get("wrong_bytes") == 0, f"{name}: bytes identical",
                         said.get(name, "no result"))


if __name__ == "__main__":
    with Suite("wait") as suite:
        suite.each_kernel(judge, ENDS)
