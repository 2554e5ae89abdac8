#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""`make demo`."""
import pathlib
import re
import subprocess

from lib import check, equal, main


def test_demo():
    """a program side by side with itself: 15 packets per message, and one"""
    demo = pathlib.Path(__file__).resolve().parents[1] / "bench" / "demo"
    done = subprocess.run([demo], capture_output=True, text=True, check=False)
    equal(done.returncode, 0, f"exit code of {demo}: {done.stderr}")
    unmanaged, managed = re.search(r"packets per message +([\d.]+) +([\d.]+)", done.stdout).groups()
    check(14.5 < float(unmanaged) < 15.5 and 1 <= float(managed) < 1.5,
          f"{unmanaged} and {managed} packets per message")


main(globals())
