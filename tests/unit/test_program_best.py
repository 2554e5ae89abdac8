#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""tests/bench/program_best.py: which programs README.md shows, and which bounds a program misses."""
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests/net"), str(ROOT / "tests/bench")]
import program_best  # noqa: E402
from tap import check, equal, main  # noqa: E402


def row(name="x", rate=1.0, p99=1.0, cpu=1.0, misses=0, bursts=20000, managed=2.0, bpf=0.02, spread=0.0):
    def around(ratio):
        return ratio - spread, ratio + spread
    return {"program": name, "operation": "GET", "per_second": 1000, "rate": rate, "p99_ratio": p99, "cpu": cpu,
            "rate_interval": around(rate), "p99_interval": around(p99), "cpu_interval": around(cpu),
            "p50": 44000.0, "p50_managed": 31.4, "misses": misses, "bursts": bursts, "segments": 4.0,
            "segments_managed": managed, "bpf_share": bpf}


def test_interval():
    """the order statistics that enclose the median in 95 of 100 cases, as the sign test's tables have them"""
    for count, first in ((1, 1), (5, 1), (6, 1), (8, 1), (9, 2), (11, 2), (12, 3), (15, 4), (20, 6), (50, 18)):
        equal(program_best.interval(list(range(count, 0, -1))), (first, count + 1 - first), f"of 1 to {count}")


def test_missed():
    """a bound is missed just beyond it"""
    for wanted, values in (("", {}), ("", {"rate": 0.98, "p99": 1.05}), ("rate", {"rate": 0.979}),
                           ("p99", {"p99": 1.051}), ("", {"misses": 19}), ("misses", {"misses": 20}),
                           ("", {"misses": 4, "bursts": 100}), ("misses", {"misses": 5, "bursts": 100}),
                           ("", {"bursts": 0}), ("rate?", {"rate": 0.9, "spread": 0.09}),
                           ("rate", {"rate": 0.9, "spread": 0.07}), ("p99?", {"p99": 1.2, "spread": 0.16}),
                           ("p99", {"p99": 1.2, "spread": 0.14}), ("rate, p99, misses", {"rate": 0.5, "p99": 2, "misses": 999})):
        equal(program_best.missed(row(**values)), wanted, f"{values}")


def test_verdict():
    """less than noise is the same; gained here and lost there is a loss; who is left alone does neither"""
    for wanted, values in (("gain", {"rate": 1.02}), ("same", {"rate": 1.01}), ("gain", {"cpu": 0.98}),
                           ("loss", {"cpu": 1.06}), ("same", {"cpu": 1.06, "spread": 0.02}),
                           ("same", {"cpu": 0.5, "rate": 0.97, "spread": 0.02}),
                           ("same", {"rate": 1.1, "spread": 0.1}), ("gain", {"rate": 1.1, "spread": 0.09}),
                           ("same", {"cpu": 0.9, "spread": 0.1}), ("gain", {"cpu": 0.9, "spread": 0.09}),
                           ("same", {"rate": 0.9, "spread": 0.09}), ("loss", {"rate": 1.5, "p99": 1.2}),
                           ("loss", {"rate": 0.97, "cpu": 0.5}),
                           ("same", {"rate": 0.7, "p99": 2, "managed": 4.05, "bpf": 0.005}),
                           ("loss", {"rate": 0.7, "managed": 3.9, "bpf": 0.005}),
                           ("loss", {"rate": 0.7, "managed": 4.0, "bpf": 0.01}),
                           ("loss", {"rate": 0.7, "managed": 4.0, "bpf": 0.005, "misses": 5})):
        equal(program_best.verdict(row(**values)), wanted, f"{values}")


def test_text():
    """the best ten in order, every loss, and everybody else by name"""
    rows = [row(f"g{number}", rate=1.1 + number) for number in range(12)] + [row("same"), row("slow", rate=0.9),
                                                                            row("late", p99=1.5)]
    text = program_best.text(rows, "Where.")
    lines = [line.split(" | ")[0].strip("| ") for line in text.splitlines() if line.startswith("| ")][2:]
    equal(lines, [f"g{number}" for number in range(11, 1, -1)] + ["late", "slow"], "rows")
    check("Gained too: g1 (x2.1), g0 (x1.1)." in text and "Neither gained nor lost: same (x1)." in text, text)
    check("44 ms | 31.4 µs" in text and "15 programs" in text and "Where." in text, text)
    left_alone = program_best.text([row(rate=0.7, managed=4.0, bpf=0.005)], "")
    check("None lost" not in left_alone and "counts as neither" in left_alone, left_alone)
    unsure = program_best.text([row("maybe", rate=0.97, spread=0.02)], "")
    check("cannot tell" in unsure and "maybe." in unsure and "None lost" not in unsure, unsure)
    check("None lost" not in text and "cannot tell" not in text and "None lost" in program_best.text(rows[:13], ""), text)


main(globals())
