# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""What each BPF program costs: runs and nanoseconds per run while a block runs, as the kernel counts them
(BPF_ENABLE_STATS)."""
import contextlib
import ctypes
import json
import os
import struct
import subprocess

SYS_BPF = 321	# x86-64
BPF_ENABLE_STATS, BPF_STATS_RUN_TIME = 32, 0


def _programs():
    done = subprocess.run(["bpftool", "-j", "prog", "show"], capture_output=True, text=True, check=True)
    return {entry["id"]: entry for entry in json.loads(done.stdout)}


@contextlib.contextmanager
def counted(rows):
    """Fills `rows` with (nanoseconds, runs, type, name) of each program that ran, dearest first. The clock itself costs
    about 40 ns per run."""
    attributes = struct.pack("I", BPF_STATS_RUN_TIME).ljust(128, b"\0")
    fd = ctypes.CDLL(None, use_errno=True).syscall(SYS_BPF, BPF_ENABLE_STATS, attributes, len(attributes))
    if fd < 0:
        raise OSError(ctypes.get_errno(), "BPF_ENABLE_STATS: " + os.strerror(ctypes.get_errno()))
    try:
        before = _programs()
        yield
        for number, entry in _programs().items():
            old = before.get(number, {})
            runs = entry.get("run_cnt", 0) - old.get("run_cnt", 0)
            spent = entry.get("run_time_ns", 0) - old.get("run_time_ns", 0)
            if runs:
                rows.append((spent, runs, entry["type"], entry.get("name", "?")))
        rows.sort(reverse=True)
    finally:
        os.close(fd)


@contextlib.contextmanager
def programs(lines):
    """The same as lines of text."""
    rows = []
    with counted(rows):
        yield
    lines += [f"    {name:<24} {kind:<16} {runs:>10} runs {spent / runs:>8.0f} ns {spent / 1e6:>10.1f} ms"
              for spent, runs, kind, name in rows]
