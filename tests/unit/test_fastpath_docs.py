#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""autocork-fastpath(8) and --help name the same options; docs/fastpath.md names every counter."""
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = ROOT / os.environ.get("BUILD", "build") / "autocork-fastpath"
failed = 0


def report(number, text, missing):
    global failed
    failed += bool(missing)
    print(f"{'not ok' if missing else 'ok'} {number} - {text}" + (f"\n# {missing}" if missing else ""))


print("1..2")
if PROGRAM.exists():
    shown = subprocess.run([PROGRAM, "--help"], capture_output=True, text=True, check=True).stdout
    offered = set(re.findall(r"^ +(?:-\S, +)?--([a-z-]+)", shown, re.M)) - {"help", "usage", "version"}
    page = (ROOT / "docs/man/autocork-fastpath.8").read_text()
    described = set(re.findall(r"^\.It .*?Fl -([a-z-]+)", page, re.M))
    report(1, "the manual page has the options of --help", sorted(offered ^ described))
else:
    print("ok 1 - the manual page has the options of --help # SKIP autocork-fastpath is not built: no libdpdk-dev")
header = (ROOT / "agent/fastpath-client/fastpath_stats.h").read_text()
counters = set(re.findall(r"^\tX\((\w+), (?:counter|gauge)", header, re.M))
text = (ROOT / "docs/fastpath.md").read_text()
report(2, "docs/fastpath.md names every counter",
       sorted(name for name in counters if f"`{name}`" not in text) if counters else "none found")
sys.exit(failed > 0)
