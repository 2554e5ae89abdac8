#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Steering is attached, changed and detached on stock kernels."""
from harness import Suite


def judge(kernel):
    said = kernel.boot("steer.sh", 240)
    status = said.get("status", {}).get("interfaces", [{}])[0]
    program = [status.get(name) for name in ("state", "mode", "program")]
    kernel.check(program == ["attached", "native", "xsk_def_prog"], "native, with the name libxdp looks for", status)
    kernel.check(status.get("queues") == [{"queue": 0, "consumer": False}], "a queue, and nobody there", status)
    kernel.check(status.get("xsks_map", "").startswith("/run/autocork/bpf/"), "a bpffs was mounted", status)
    rules = [rule["policy"] for rule in status.get("rules", [])]
    kernel.check(rules == ["trading"], "the rule is in force", status)


with Suite("steer") as suite:
    suite.each_kernel(judge)
