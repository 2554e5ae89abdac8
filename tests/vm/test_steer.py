#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Steering is attached, changed and detached on stock kernels."""
from harness import Suite

with Suite("steer") as suite:
    for kernel in suite.kernels():
        said = kernel.boot("steer.sh", 120)
        status = said.get("status", {}).get("interfaces", [{}])[0]
        kernel.check((status.get("state"), status.get("mode"), status.get("program")) == ("attached", "native", "xsk_def_prog"),
                     "native, with the name that libxdp looks for", status)
        kernel.check(status.get("queues") == [{"queue": 0, "consumer": False}], "queues are seen, and that nobody is there", status)
        kernel.check(status.get("xsks_map", "").startswith("/run/autocork/bpf/"), "a bpffs was mounted where there was none", status)
        kernel.check([rule["policy"] for rule in status.get("rules", [])] == ["trading"], "the rule is in force", status)
