#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""2 ms delay, 3% loss and 10% reordering each way: every byte arrives, in a packet per message, and managed flows are
not slower than unmanaged ones, and than those of a program that corks by itself; with rto_min what is lost is sent
again sooner."""
from operator import sub
from statistics import mean, median

from harness import ENDS, Suite

ALGORITHMS = ("cubic", "bbr", "dctcp", "reno")
CLIENTS = (1, 2, 3)
WAYS = ("plain", "managed", "prompt", "corked")
# A lost packet costs 200 ms, and one message in twenty meets one: fewer messages would leave the comparison to chance.
MESSAGES = 360
ROOM = 1.6


def judge(kernel):
    said = kernel.boot("loss.sh", 600, variables={"MESSAGES": MESSAGES})

    def figures(way, name, algorithms=ALGORITHMS):
        runs = (said.get(f"{algorithm}.{way}.{number}", {}) for algorithm in algorithms for number in CLIENTS)
        return [run.get(name, float("nan")) for run in runs]

    for algorithm in ALGORITHMS:
        wrong = [number for way in WAYS for number in figures(way, "wrong_bytes", [algorithm])]
        runs = len(WAYS) * len(CLIENTS)
        kernel.check(wrong == [0] * runs, f"{algorithm}: bytes identical in {runs * MESSAGES} messages", wrong)
        # What is sent again, in vain too, is a matter of loss and of a starved machine's times, not of what was merged.
        first = {way: mean(map(sub, figures(way, "segments", [algorithm]),
                               [lost / MESSAGES for lost in figures(way, "retransmits", [algorithm])]))
                 for way in ("plain", "managed", "prompt")}
        # After a loss the gate is open until the flow has recovered, and where writes wait for the window the kernel
        # merges by itself. 6 to 15 and 1.0 to 1.2; on a machine with six processes per processor 7.7 and 4.7.
        for way, with_what in ("managed", ""), ("prompt", " with rto_min"):
            kernel.check(0.9 < first[way] < 0.8 * first["plain"],
                         f"{algorithm}: packets per message: {first[way]:.2f} managed{with_what}, {first['plain']:.2f} unmanaged")
    # The 99th percentile is the kernel's 200 ms wherever the only packet of a message or of its answer may be lost: in
    # 9,000 messages each it was 229 ms unmanaged, 222 ms managed and 223 ms corked by the program. With rto_min = 60ms
    # it was 83 ms, and the mean 10.3 ms where it was 24.6 ms unmanaged. All of them run side by side, but a busy
    # machine gives to one what it takes from another: what is left here is that nobody waits for holds of 100 ms, or
    # for 200 ms more.
    for name, figure, pool in (("mean", "message_us", mean), ("p50", "p50_us", median), ("p90", "p90_us", median),
                               ("p99", "p99_us", median)):
        plain, managed, corked = (pool(figures(way, figure)) for way in ("plain", "managed", "corked"))
        kernel.check(managed < ROOM * plain and managed < ROOM * corked,
                     f"{name} time of a message: {managed:.0f} us managed, {plain:.0f} us unmanaged, "
                     f"{corked:.0f} us corked by the program")
    plain, prompt = (mean(figures(way, "message_us")) for way in ("plain", "prompt"))
    kernel.check(prompt < plain,
                 f"mean time of a message: {prompt:.0f} us managed with rto_min, {plain:.0f} us unmanaged")


with Suite("loss") as suite:
    suite.each_kernel(judge, ENDS)
