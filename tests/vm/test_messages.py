#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Everything that the mechanism needs loads on stock kernels. Messages of 15 small writes: packets per message, with
and without the agent; every byte compared. And each way of writing."""
from harness import Suite

ALGORITHMS = ("cubic", "bbr", "dctcp", "reno")
# Features that every kernel of the table has; the others are fallbacks, or belong to one version.
NEEDED = ("fentry", *(f"wrapper {algorithm}" for algorithm in ALGORITHMS), "write hook", "read hook", "flow end",
          "release")


# By zero copy each piece has a notification of its own.
UNHELD = "zerocopy"
WAYS = 10


def ways(kernel, seen):
    kernel.check(len(seen) == WAYS, f"{WAYS} ways of writing", seen)
    for name, way in seen.items():
        few = way["segments"] >= 5 if name == UNHELD else way["segments"] < 1.2
        kernel.check(few, f"written by {name}: a message in pieces leaves as {way['segments']:.2f} segments")


def doctor(kernel, said):
    features = {feature["name"]: feature for feature in said.get("doctor", {}).get("features", [])}
    kernel.check(said.get("status", {}).get("exit") == 0, "doctor finds nothing that it cannot do without",
                 said.get("status"))
    for name in NEEDED:
        feature = features.get(name, {})
        kernel.check(feature.get("works") is True, f"{name} works", feature or f"not among {', '.join(features)}")
    for name, feature in sorted(features.items()):
        kernel.suite.note(f"{kernel.label}: {name}: {'works' if feature['works'] else 'no'} {feature['reason']}")


def judge(kernel):
    said = kernel.boot("messages.sh", 300, files=[(kernel.build / "tests/net/ways_client", "/ac/ways_client")])
    doctor(kernel, said)
    ways(kernel, said.get("ways", {}))

    def figure(run, name):
        return said.get(run, {}).get(name, float("nan"))

    def intact(run):
        kernel.check(figure(run, "wrong_bytes") == 0, f"{run}: bytes identical", said.get(run, "no result"))

    for run in sorted(name for name in said if "." in name):
        intact(run)
    for algorithm in ALGORITHMS:
        plain, managed = (figure(f"{algorithm}.{way}", "segments") for way in ("plain", "managed"))
        kernel.check(plain > 14, f"{algorithm}: 15 packets per message unmanaged: {plain:.2f}")
        kernel.check(0.99 < managed < 1.1, f"{algorithm}: one packet per message managed: {managed:.2f}")
    managed = figure("ipv6.managed", "segments")
    kernel.check(0.99 < managed < 1.1, f"IPv6: one packet per message managed: {managed:.2f}")
    plain, managed = figure("nagle.plain", "p50_us"), figure("nagle.managed", "p50_us")
    kernel.check(plain > 30000, f"Nagle waits for the delayed ACK unmanaged: {plain:.0f} us")
    kernel.check(managed < plain / 3, f"Nagle does not wait managed: {managed:.0f} us")
    packets = figure("nagle.managed", "segments")
    kernel.check(0.99 < packets < 1.1, f"Nagle: one packet per message managed: {packets:.2f}")
    longest = figure("single.managed", "p99_us")
    kernel.check(longest < 30000, f"messages in one write are not held: p99 {longest:.0f} us")


if __name__ == "__main__":
    with Suite("messages") as suite:
        suite.each_kernel(judge)
