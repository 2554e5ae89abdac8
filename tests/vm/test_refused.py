#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Flows that cannot be managed on stock kernels: each is counted with its reason, and works as if there were no
agent."""
from harness import BUILD, ENDS, TWO_WRAPPERS, Suite

# Those that a kernel has built in are left out; tls finds its cipher by itself only where modprobe is.
MODULES = ("tcp_vegas", "tls", "aesni_intel", "ghash_clmulni_intel", "ghash_generic", "ctr", "gcm")
KTLS = BUILD / "tests/net/ktls_flow"


def judge(kernel):
    said = kernel.boot("refused.sh", 360, files=[(KTLS, "/tools-test/ktls_flow")], modules=MODULES,
                       without=TWO_WRAPPERS)
    services = said.get("services", [])

    def counted(port):
        """How many clients of that port were left alone, by reason."""
        return {reason: number for row in services if (row["port"], row["side"]) == (port, "client")
                for reason, number in row["refused"].items() if number}

    def alone(name, port, reason):
        run = said.get(name, {})
        kernel.check(run.get("wrong_bytes") == 0, f"{name}: bytes identical", run)
        kernel.check(run.get("segments", 0) > 14, f"{name}: packets as without the agent: {run.get('segments')}")
        kernel.check(counted(port) == {reason: 1}, f"{name}: its client's end is counted once, as {reason}",
                     counted(port))

    if kernel.image.modules.get("tcp_vegas"):
        alone("vegas", 7201, "no_wrapper")
        default = next((row for row in said.get("doctor", {}).get("features", [])
                        if row["name"] == "default algorithm"), {})
        kernel.check(default.get("works") is False and default.get("reason") == "vegas"
                     and "sysctl" in default.get("fix", ""),
                     "doctor names a default congestion control that has no wrapper, and what to do", default)
    else:
        kernel.suite.skip(f"{kernel.label}: a congestion control without a wrapper", "this kernel has no vegas")
    alone("locked", 7203, "route_locked")

    for name, port in ("ktls.first", 7211), ("ktls.later", 7212):
        run = said.get(name, {})
        if run.get("exit") == 77:
            kernel.suite.skip(f"{kernel.label}: {name}", "this kernel has no kTLS")
            continue
        kernel.check(run.get("exit") == 0, f"{name}: records arrive whole", run)
        kernel.check((run.get("said") or {}).get("segments") == 5, f"{name}: nothing is held on kTLS", run)
    if said.get("ktls.first", {}).get("exit") == 0:
        # Before 6.5 kTLS sends by do_tcp_sendpages(), which is no hook of the observer's: never seen, never asked for.
        seen = any(row["writes"] for row in services if (row["port"], row["side"]) == (7211, "client"))
        kernel.check(counted(7211) == ({"ulp": 1} if seen else {}),
                     "ktls.first: its client's end is counted once, as ulp", counted(7211))


with Suite("refused") as suite:
    suite.each_kernel(judge, ENDS)
