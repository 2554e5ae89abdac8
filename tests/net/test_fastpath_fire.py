#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""autocork-fastpath under fire: names and descriptors taken by others, MTUs that change."""
import socket
import subprocess

from agent import build
from fastpath import Fastpath, Road, connection, stream
from tap import check, equal, main, wait_for


def refused(road, *words):
    """What it says when it does not start."""
    done = subprocess.run(["nsenter", f"--net=/proc/{road.middle.resident.pid}/ns/net", *words], capture_output=True,
                          text=True, check=False, timeout=120)
    equal(done.returncode, 1, f"exit code: {done.stderr}")
    return done.stderr


def test_names_and_descriptors():
    """a name that anybody took keeps nothing from starting; a second process and too few descriptors are refused"""
    with Road() as road:
        with road.middle.inside():
            squatter = socket.socket(socket.AF_UNIX)
        squatter.bind("\0autocork-fastpath/left")
        squatter.listen(0)
        said = refused(road, "prlimit", "--nofile=16:16", build("autocork-fastpath"), "-i", "left", "-i", "right")
        check("open files: 16 are allowed" in said and "ulimit -n" in said, said)
        with Fastpath(road.middle, "-i", "left", "-i", "right") as fast:
            said = refused(road, build("autocork-fastpath"), "-j", "reflect", "-i", "right", "-n", "second")
            check(f"another autocork-fastpath has it (process {fast.process.pid})" in said, said)
        squatter.close()


def test_mtu():
    """an --mtu above the port's is said and not used; a port's MTU that changes is noticed"""
    with Road() as road, Fastpath(road.middle, "-i", "left", "-i", "right", "--mtu", "9000", "--hold", "1ms") as fast:
        wait_for(lambda: "--mtu 9000 is more than it can be" in fast.output(), 10, "the warning")
        with connection(road, road.B4) as (client, server):
            sent, received = stream(client, server, 100, 2000)
            check(received < sent, f"{received} of {sent} segments arrived: nothing was merged")
            equal(fast.counters()["too_long"], 0, "packets above the MTU")
        road.middle.ip("link", "set", "right", "mtu", "1300")
        wait_for(lambda: "right: its MTU is 1300 now" in fast.output(), 10, "the change")
        road.b.ip("link", "set", "cable", "mtu", "1300")
        with connection(road, road.B4) as (client, server):
            stream(client, server, 100, 2000)
        equal(fast.counters()["too_long"], 0, "packets above the new MTU")


if __name__ == "__main__":
    main(globals())
