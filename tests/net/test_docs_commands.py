#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""The commands of docs/steering.md and docs/fastpath.md, read from the pages and run as they are written. Which are
not, and why, is in NOT_RUN; a command of another kind that comes to a page fails until it is dealt with."""
import os
import re
import shlex
import signal
import subprocess

from agent import build
from programs import Program, program
from steering import Steered, private_mounts
from tap import Skip, check, equal, main, wait_for

DOCS = os.path.join(os.path.dirname(__file__), "../../docs")
# What a command line holds -> why it cannot run here.
NOT_RUN = {
    "…": "is a part of a command",
    "use_cni=": "DPDK 23.03 and newer",
    "use_pinned_map=": "DPDK 24.07 and newer",
    "ethtool -L": "a veth has no combined channels",
    "ethtool -N": "a veth has no filters",
    "-a 0000:": "a physical port",
    "-c 2-5": "six cores",
    "COALESCE_BYTES=": "ten gigabytes",
}
LONG = {"dpdk-testpmd": "Press enter to exit", "autocork-fastpath": "running as"}


def commands(page):
    """Its indented lines that begin with a program's name, without the words beside them."""
    with open(os.path.join(DOCS, page), encoding="utf-8") as file:
        text = re.sub(r"```.*?```", "", file.read(), flags=re.S)
    for line in re.findall(r"^    (\S.*)$", text, flags=re.M):
        line = re.split(r"\s+#|\s{2,}", line)[0].strip()
        if re.match(r"(autocork|dpdk|ethtool|ip|nsenter|bpftool|[A-Z_]+=)", line):
            yield line


def write_policy(page):
    """The page's first policy, where the commands look for the files."""
    with open(os.path.join(DOCS, page), encoding="utf-8") as file:
        text = re.search(r"```ini\n(.*?)```", file.read(), flags=re.S)[1]
    os.makedirs("/run/autocork/policy.d", exist_ok=True)
    with open("/run/autocork/policy.d/50-page.conf", "w", encoding="utf-8") as file:
        file.write(text)


def until_started(steered, words, pattern, directory):
    with Program(steered.b, words, directory=directory) as running:
        def started():
            ended = running.process.poll() is not None
            found = re.search(pattern, running.output())
            check(found or not ended, f"{' '.join(words)}: ended:\n{running.output()[-1500:]}")
            return found
        wait_for(started, 120, f"the start of {' '.join(words)}")
        # testpmd waits for a key, and ends by itself where there is no terminal.
        if running.process.poll() is None:
            running.process.send_signal(signal.SIGINT)
        wait_for(lambda: running.process.poll() is not None, 30, "its end")
        equal(running.process.returncode, 0, f"{' '.join(words)}:\n{running.output()[-1500:]}")


def run_page(page, steered):
    ran = 0
    for line in commands(page):
        if any(part in line for part in NOT_RUN):
            continue
        words = shlex.split(line)
        name = words[0]
        words[0] = build(name) if name.startswith("autocork") else program(name)
        # The ways of docs/steering.md exclude each other.
        if "--mode share" in line:
            steered.steer("detach", "eth1", "--force", check=False)
        if name in LONG:
            until_started(steered, words, LONG[name], steered.directory)
        else:
            steered.b.run(*words, cwd=steered.directory)
        ran += 1
    return ran


def set_up(steered):
    steered.b.ip("link", "set", "cable", "name", "eth1")
    os.makedirs("/run/dpdk", exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run/dpdk"], check=True)
    steered.stack.callback(subprocess.run, ["umount", "-l", "/run/dpdk"], check=True)


def test_steering():
    """every command of docs/steering.md"""
    with Steered() as steered:
        set_up(steered)
        write_policy("steering.md")
        check(run_page("steering.md", steered) >= 10, "the page has lost its commands")
        steered.b.run("ip", "link", "set", "dev", "eth1", "xdp", "off", check=False)
        steered.steer("detach", "eth1", "--force", check=False)


def test_fastpath():
    """every command of docs/fastpath.md"""
    if not os.path.exists(build("autocork-fastpath")):
        raise Skip("autocork-fastpath is not built: no libdpdk-dev")
    with Steered() as steered:
        set_up(steered)
        steered.b.ip("link", "add", "eth2", "type", "veth", "peer", "name", "other2")
        steered.b.ip("link", "set", "eth2", "up")
        with open(os.path.join(steered.directory, "in.pcap"), "wb") as file:
            file.write(bytes.fromhex("d4c3b2a1020004000000000000000000ffff000001000000"))
        check(run_page("fastpath.md", steered) >= 7, "the page has lost its commands")


if __name__ == "__main__":
    if not os.geteuid():
        private_mounts()
    main(globals())
