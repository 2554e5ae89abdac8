#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""What `autocork doctor` finds on stock kernels: everything that the mechanism needs loads on each of them."""
from harness import Suite

# Features that every kernel of the table has; the others are fallbacks, or belong to one version.
NEEDED = ("fentry", "wrapper cubic", "wrapper bbr", "wrapper reno", "wrapper dctcp", "write hook", "read hook",
          "flow end")


def judge(kernel):
    said = kernel.boot("doctor.sh", 180)
    features = {feature["name"]: feature for feature in said.get("doctor", {}).get("features", [])}
    kernel.check(said.get("status", {}).get("exit") == 0, "doctor finds nothing that it cannot do without",
                 said.get("status"))
    for name in NEEDED:
        feature = features.get(name, {})
        kernel.check(feature.get("works") is True, f"{name} works", feature or f"not among {', '.join(features)}")
    for name, feature in sorted(features.items()):
        print(f"# {kernel.label}: {name}: {'works' if feature['works'] else 'no'} {feature['reason']}")


with Suite("doctor") as suite:
    suite.each_kernel(judge)
