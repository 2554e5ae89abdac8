#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Programs built by the cross compiler run on Debian's arm64 kernels, by the tests of the x86 ones: packets per message
with and without the agent, each way of writing, wrong holds that end, every byte compared. And what Linux 6.1 lacks on
arm64 is told."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "vm"))

import test_messages  # noqa: E402
import test_wait  # noqa: E402
from harness import Suite  # noqa: E402

OLDEST, NEWEST = "arm64-6.12", "arm64-7"
LACKING = "arm64-6.1"


def holds_nothing(kernel):
    """BPF may call the functions of CUBIC, BBR and DCTCP on x86 only; there is no fentry, and no tracepoint of
    writes."""
    said = kernel.boot("lacking.sh", 240)
    features = {feature["name"]: feature for feature in said.get("doctor", {}).get("features", [])}
    for name, words in (("fentry", "kernel"), ("write hook", "6.3"), ("read hook", "6.3"), ("wrapper cubic", "6.12"),
                        ("wrapper bbr", "6.12"), ("wrapper dctcp", "6.12"),
                        ("default algorithm", "tcp_congestion_control=reno")):
        feature = features.get(name, {})
        kernel.check(feature.get("works") is False and words in feature.get("fix", ""),
                     f"{name}: doctor tells that it is missing, and what has it", feature)
    kernel.check(features.get("wrapper reno", {}).get("works") is True, "Reno's wrapper is there",
                 features.get("wrapper reno"))
    for algorithm in ("cubic", "reno"):
        run = said.get(algorithm, {})
        kernel.check(run.get("wrong_bytes") == 0, f"{algorithm}: bytes identical", run)
        kernel.check(run.get("segments", 0) > 14, f"{algorithm}: packets as without the agent: {run.get('segments')}")


TESTS = (("messages", test_messages.judge, (OLDEST, NEWEST)), ("wait", test_wait.judge, (OLDEST, NEWEST)),
         ("lacking", holds_nothing, (LACKING,)))

with Suite("arm64") as suite:
    for name, judge, labels in TESTS:
        suite.name = name
        suite.each_kernel(judge, labels)
