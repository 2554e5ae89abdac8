#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Forged SYNs against a program on its own TCP: its memory is bounded, and honest clients are served, by the kernel
while it lasts."""
import errno
import pathlib
import random
import re
import socket
import struct
import time

from agent import ROOT
from endpoint import PORT, Endpoint, answer, private_mounts
from netns import Pair
from steering import said
from tap import check, equal, main, wait_for

ECHO = str(ROOT / "tests/net/endpoint_echo.py")
SYNS = 40000
FORGED = "10.77.0.0/16"


def fold(total):
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return total


def mac(net):
    return bytes.fromhex(re.search(r"link/ether ([0-9a-f:]+)", net.ip("link", "show", "cable"))[1].replace(":", ""))


def forged(point, count):
    """Whole frames: SYNs to the port, each from an address and port of its own."""
    head = mac(point.b) + mac(point.a) + b"\x08\x00"
    to = socket.inet_aton(Pair.B4)
    draw = random.Random(7)
    for number in range(count):
        source = bytes((10, 77, number >> 8 & 0xff, number & 0xff))
        ip = bytearray(struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40, number & 0xffff, 0, 64, 6, 0, source, to))
        ip[10:12] = struct.pack("!H", ~fold(sum(struct.unpack("!10H", ip))) & 0xffff)
        tcp = bytearray(struct.pack("!HHIIBBHHH", draw.randrange(1024, 65536), PORT, draw.getrandbits(32), 0, 0x50, 2,
                                    64240, 0, 0))
        tcp[16:18] = struct.pack("!H", ~fold(sum(struct.unpack("!10H", tcp)) + sum(struct.unpack("!4H", source + to))
                                             + 6 + 20) & 0xffff)
        yield head + bytes(ip) + bytes(tcp)


def resident(server):
    status = pathlib.Path(f"/proc/{server.process.pid}/status").read_text()
    return int(re.search(r"^VmRSS:\s+(\d+)", status, re.M)[1])


def send(raw, frame):
    """The cable may be full for a moment."""
    end = time.monotonic() + 10
    while True:
        try:
            return raw.send(frame)
        except OSError as error:
            if error.errno != errno.ENOBUFS or time.monotonic() > end:
                raise
        time.sleep(0.001)


def test_forged_syns():
    """40,000 of them: bounded memory, honest clients are served meanwhile and after, then by the program again"""
    with Endpoint() as point:
        server = point.run("python3", ECHO, "epoll", PORT)
        said(server, "ready")
        point.serves()
        equal(answer(point.connect(), b"hello", 5), b"hello", "before")
        old, before = point.connect(), resident(server)
        with point.a.inside():
            raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        raw.bind(("cable", 0))
        for number, frame in enumerate(forged(point, SYNS)):
            send(raw, frame)
            if number % 10000 == 9999:
                begun = time.monotonic()
                equal(answer(point.connect(), b"hello", 5), b"hello", f"an honest client after {number + 1}")
                check(time.monotonic() - begun < 8, f"it waited {time.monotonic() - begun:.1f} s")
        seen = wait_for(lambda: (row := point.instances()[0]) and row["half_open"] > 1000 and row, 10, "half-open ones")
        equal(seen["ports"], [], "the kernel takes new connections")
        check(seen["half_open"] < 10000, seen)
        grown = resident(server) - before
        check(grown < 30000, f"{grown} KB more")
        equal(answer(old, b"hello", 5), b"hello", "a connection that was there before")
        # The forged addresses become real: each answers with a reset.
        point.a.ip("route", "add", "local", FORGED, "dev", "lo")
        wait_for(lambda: point.instances()[0]["ports"] == [PORT], 60, "the port is the program's again")

        def own():
            accepted = point.instances()[0]["accepted"]
            equal(answer(point.connect(), b"hello", 5), b"hello", "after")
            time.sleep(0.5)
            return point.instances()[0]["accepted"] > accepted
        wait_for(own, 20, "a connection on the stack")
        check(grown < 30000 and resident(server) - before < 40000, "and the memory stays")


if __name__ == "__main__":
    private_mounts()
    main(globals())
