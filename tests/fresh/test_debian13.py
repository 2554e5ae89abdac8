#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Debian 13's compilers and libraries (gcc 14, clang 19, libbpf 1.5, DPDK 24.11): no warning, and the unit and program
tests pass."""
import pathlib
import re
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "net"))

from system import ENVIRONMENT, System  # noqa: E402
from tap import check, main  # noqa: E402

CLONE = "/autocork"
VERSIONS = ("gcc", "clang", "libbpf-dev", "libdpdk-dev", "libxdp-dev", "bpftool")


def say(text):
    print(f"# {text}", flush=True)


def tests_pass(system):
    """Runs both layers; what failed, and why, is said."""
    done = subprocess.run(system.words("tests/run", "unit", "prog", at=CLONE), stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False, env=ENVIRONMENT, timeout=1800)
    count = re.findall(r"^\d+ passed, \d+ failed, \d+ skipped$", done.stdout, re.M)
    for line in count or done.stdout.splitlines()[-20:]:
        say(line)
    skipped = re.findall(r"^ *(?:not )?ok .*# *SKIP.*$", done.stdout, re.M)
    failed = [line for line in re.findall(r"^ *not ok .*$(?:\n *#.*$)*", done.stdout, re.M) if "SKIP" not in line]
    for line in skipped:
        say(line.strip())
    check(count and not done.returncode, "\n".join(failed[:20]) or "it ended early")


def test_builds_and_passes():
    """Debian 13's toolchain: builds without a warning, unit and program tests pass"""
    with System("trixie") as system:
        began, before = time.monotonic(), system.packages()
        system.run("sh", "-c", "apt-get update -q && apt-get install -qy --no-install-recommends make git")
        system.clone()
        system.run("make", "unit-deps", at=CLONE)
        say(f"{len(system.packages() - before)} packages, {time.monotonic() - began:.0f} s")
        for line in system.run("dpkg-query", "-W", *VERSIONS).splitlines():
            say(line.replace("\t", " "))
        began = time.monotonic()
        system.run("make", "-j2", "tests", at=CLONE, CI="true")
        for name in "autocork", "autocorkd", "autocork-fastpath", "libautocork-endpoint.so":
            check((system.root / "autocork/build" / name).exists(), f"{name}: not built")
        say(f"built in {time.monotonic() - began:.0f} s")
        began = time.monotonic()
        tests_pass(system)
        say(f"tests in {time.monotonic() - began:.0f} s")


main(globals())
