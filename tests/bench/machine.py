# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""What a figure was measured on; without it the figure says nothing."""
import os
import pathlib
import platform
import subprocess


PLACES = {"apart": "servers and clients on a CPU each", "same": "servers and clients on one CPU", "free": "on any CPU"}


def _first(path, key):
    for line in pathlib.Path(path).read_text().splitlines():
        if line.startswith(key):
            return line.split(":", 1)[1].strip()
    return "unknown"


def _version(*command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return None
    lines = (done.stdout + done.stderr).strip().splitlines()
    return lines[0].strip() if lines else None


def describe(cpus):
    memory = int(_first("/proc/meminfo", "MemTotal").split()[0]) // 1024
    return {
        "cpu": _first("/proc/cpuinfo", "model name"),
        "cores": len(os.sched_getaffinity(0)),
        "virtual": "hypervisor" in _first("/proc/cpuinfo", "flags").split(),
        "memory_mib": memory,
        "load": round(os.getloadavg()[0], 1),	# before anything is measured: what else the machine does
        "kernel": platform.release(),
        "libc": os.confstr("CS_GNU_LIBC_VERSION"),
        "congestion_control": "cubic, both sides, both modes",
        "network": f"loopback of a network namespace; {PLACES[cpus]}",
        "programs": [text for text in (_version("nginx", "-v"), _version("redis-server", "--version"),
                                       _version("iperf3", "-v"),
                                       _version("wrk", "-v")) if text],
    }


def host(machine):
    """The machine itself; what runs on it has a network of its own."""
    return (f"{machine['cpu']}, {machine['cores']} cores{' (virtual machine)' if machine['virtual'] else ''}, "
            f"{machine['memory_mib']} MiB, load average {machine['load']} at the start; "
            f"Linux {machine['kernel']}, {machine['libc']}")


def text(machine):
    return f"{host(machine)}; {machine['congestion_control']}; {machine['network']}"
