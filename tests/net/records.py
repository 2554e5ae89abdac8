# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""How many records of flows the agent's BPF programs have in use, read from the index itself (bpf/index.bpf.h)."""
import contextlib
import ctypes
import json
import mmap
import os
import pathlib
import subprocess

from netns import libc

SYS_BPF = {"x86_64": 321, "aarch64": 280}[os.uname().machine]
MAP_GET_FD_BY_ID = 14


def maps_of(pid):
    """The numbers of the maps that a process has open; none if it has ended."""
    lines = []
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for file in pathlib.Path(f"/proc/{pid}/fdinfo").iterdir():
            with contextlib.suppress(FileNotFoundError):
                lines += file.read_text().splitlines()
    return {int(line.split()[1]) for line in lines if line.startswith("map_id:")}


def _indexes():
    """Of the running agent; of one that is just being taken away too."""
    out = subprocess.run(["bpftool", "-j", "map", "show", "name", "flow_index"], capture_output=True, text=True,
                         check=False).stdout.strip()
    found = json.loads(out or "[]")
    return found if isinstance(found, list) else [found]


def records(pid=None):
    """The places taken, of that agent if one is named: a child of one that was killed may wait for a socket's lock, and
    keep its maps. By mapping the index: a dump of its 16,384 buckets takes bpftool half a second."""
    taken, own = 0, maps_of(pid) if pid else None
    for index in _indexes():
        if own is not None and index["id"] not in own:
            continue
        attributes = ctypes.create_string_buffer(index["id"].to_bytes(4, "little"), 128)
        descriptor = libc.syscall(SYS_BPF, MAP_GET_FD_BY_ID, attributes, len(attributes))
        if descriptor < 0:  # it is gone by now
            continue
        try:
            with mmap.mmap(descriptor, index["bytes_value"] * index["max_entries"], prot=mmap.PROT_READ) as pages:
                taken += sum(1 for entry in memoryview(pages[:]).cast("Q") if entry)
        finally:
            os.close(descriptor)
    return taken
