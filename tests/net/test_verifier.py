#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""What the kernel's verifier had to look at, program by program, is what docs/kernels.md says."""
import json
import os
import pathlib
import re
import subprocess

from agent import ROOT
from lib import Skip, check, main, world

SERIES = "6.18"    # of kernels: the table's; others count otherwise
SLACK = 1.5        # and so does another compiler
SMALL = 1000       # what has fewer is not in the table


def verified(pid):
    """Number of each program that the process has a descriptor of -> instructions."""
    programs = {}
    for entry in pathlib.Path(f"/proc/{pid}/fdinfo").iterdir():
        try:
            text = entry.read_text()
        except OSError:    # closed meanwhile
            continue
        number, count = (re.search(rf"^{field}:\s*(\d+)$", text, re.M) for field in ("prog_id", "verified_insns"))
        if number and count:
            programs[int(number[1])] = int(count[1])
    return programs


def loaded(pid):
    """Name -> instructions: programs of one name count by the largest."""
    counts = verified(pid)
    shown = json.loads(subprocess.run(["bpftool", "-j", "prog", "show"], capture_output=True, check=True).stdout)
    programs = {}
    for entry in shown:
        # DCTCP is a module of the kernel, which may be there or not.
        if entry["id"] in counts and not entry.get("name", "dctcp").startswith("dctcp"):
            programs[entry["name"]] = max(programs.get(entry["name"], 0), counts[entry["id"]])
    return programs


def test_instructions():
    """each program of a running agent has as many verified instructions as the table says, give or take half"""
    if not os.uname().release.startswith(SERIES + "."):
        raise Skip(f"the table is of Linux {SERIES}")
    table = {name: int(count.replace(",", "")) for name, count in
             re.findall(r"^\| `([a-z0-9_]+)` \| ([0-9,]+) \|$", (ROOT / "docs/kernels.md").read_text(), re.M)}
    with world() as w:
        programs = loaded(w.agent.process.pid)
    large = {name: count for name, count in programs.items() if count >= SMALL}
    rows = "\n".join(f"| `{name}` | {count:,} |" for name, count in sorted(large.items(), key=lambda row: -row[1]))
    check(len(programs) > 20 and len(table) > 10, f"few programs, or rows: {rows}")
    wrong = {name: (count, table.get(name)) for name, count in programs.items()
             if not (table[name] / SLACK <= count <= table[name] * SLACK if name in table else count < SMALL * SLACK)}
    check(not wrong, f"seen, and in the table: {wrong}; the whole table:\n{rows}")


if __name__ == "__main__":
    main(globals())
