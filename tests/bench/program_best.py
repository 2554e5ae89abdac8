# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""What README.md says of the programs: those that gain most, those that lose, and who does neither. Pure."""
import math
import textwrap

import table

BEST = 10
RATE, P99 = 0.98, 1.05	# what no program may fall below, or exceed
CPU = 1.05	# no bound: where the client is the slower side, a loss shows here only
MANY, MISSES, FEW_MISSES = 10000, 0.001, 5
NOTICED = 0.02	# less is noise
SHARE = 0.01	# of the CPU in BPF programs: less cannot make a program slower by what is noticed
HEAD = ("program", "operation", "per second", "", "p50", "", "p99", "CPU", "of it BPF", "segments", "", "")


def interval(ratios):
    """Where the true median is, in at least 95 of 100 runs, whatever the distribution: the order statistics beside the
    median (the sign test turned round). With fewer than 6 ratios there is no such interval: all of them."""
    ordered, count = sorted(ratios), len(ratios)
    outside, rank = 0.5 ** count, 0	# the share below the least of them; how many are left out at each end
    while rank < (count - 1) // 2 and 2 * (outside + math.comb(count, rank + 1) * 0.5 ** count) <= 0.05:
        rank += 1
        outside += math.comb(count, rank) * 0.5 ** count
    return ordered[rank], ordered[-1 - rank]


def missed(row):
    """The bounds that this row misses, with commas. "rate?": the median does, while its interval reaches the bound."""
    most = MISSES * row["bursts"] if row["bursts"] >= MANY else FEW_MISSES
    return ", ".join(name for name, bad in (
        ("rate" if row["rate_interval"][1] < RATE else "rate?", row["rate"] < RATE),
        ("p99" if row["p99_interval"][0] > P99 else "p99?", row["p99_ratio"] > P99),
        ("misses", row["misses"] >= most and row["misses"] > 0)) if bad)


def untouched(row):
    """The same segments, hardly a hold in vain, hardly a BPF program: what its time says is the machine's."""
    return (abs(row["segments_managed"] / row["segments"] - 1) < NOTICED and row["misses"] < FEW_MISSES
            and row["bpf_share"] < SHARE)


def slower(row):
    """Beyond doubt: what the speed of the machine alone can make of it does not count."""
    return row["rate_interval"][1] < RATE or row["p99_interval"][0] > P99 or row["cpu_interval"][0] > CPU


def verdict(row):
    if untouched(row):
        return "same"
    if slower(row):
        return "loss"
    faster = row["rate"] >= 1 + NOTICED and row["rate_interval"][0] > 1
    cheaper = row["cpu"] <= 1 - NOTICED and row["cpu_interval"][1] < 1 and row["rate"] >= RATE
    return "gain" if faster or cheaper else "same"


def duration(us):
    return f"{us / 1000:.3g} ms" if us >= 1000 else f"{us:.3g} µs"


def cells(row):
    return (row["program"], row["operation"], table.number(row["per_second"]), f"x{row['rate']:.3g}",
            duration(row["p50"]), duration(row["p50_managed"]), f"x{row['p99_ratio']:.3g}", f"x{row['cpu']:.2f}",
            f"{row['bpf_share']:.1%}", f"{row['segments']:.2f}", f"{row['segments_managed']:.2f}",
            {"gain": "**gain**"}.get(verdict(row), verdict(row)))


def text(rows, how):
    """`how`: where and how it was measured."""
    kinds = {kind: sorted((row for row in rows if verdict(row) == kind), key=lambda row: -row["rate"])
             for kind in ("gain", "same", "loss")}
    shown = kinds["gain"][:BEST] + kinds["loss"]
    out = [f"{len(rows)} programs as Debian ships them, without and with management, p99 and CPU as ratios "
           f"(`make bench WORK=programs`): {how} [docs/bench.md](docs/bench.md#real-programs) has all of them.", "",
           table.plain([HEAD, ("---",) * 2 + ("---:",) * (len(HEAD) - 3) + ("---",), *map(cells, shown)])]
    for kind, words in ("gain", "Gained too"), ("same", "Neither gained nor lost"):
        names = [f"{row['program']} (x{row['rate']:.3g})" for row in kinds[kind] if row not in shown]
        if names:
            out += ["", f"{words}: {', '.join(names)}."]
    if any(map(untouched, rows)):
        out += ["", f"A program counts as neither, whatever its times, if it sends as many segments as before, nearly "
                f"all its holds were right, and BPF programs take less than {SHARE:.0%} of its CPU time: what is left is "
                f"the speed of the machine."]
    unsure = [row["program"] for row in rows if "?" in missed(row) and not slower(row) and not untouched(row)]
    if unsure:
        out += ["", f"This run cannot tell whether these lost more than {1 - RATE:.0%} of their rate, or {P99 - 1:.0%} in "
                f"p99: {', '.join(unsure)}."]
    elif not any(map(slower, rows)):
        out += ["", f"None lost more than {1 - RATE:.0%} of its rate, or {P99 - 1:.0%} in p99 or CPU."]
    return "\n".join(line if line.startswith("|") else textwrap.fill(line, table.WIDTH) for line in out)
