#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""autocork-fastpath under fire: names and descriptors taken by others, MTUs that change."""
import socket
import struct
import subprocess
import time

from agent import build
from fastpath import Beyond, Fastpath, Road, connection, stream
from frames import checksum, mac
from ports import tcp_info
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


def test_narrow_path():
    """merging behind a port of MTU 1500 when the path further on takes 1300: hardly anything is sent again"""
    for how in "end", "router", "silent":
        with (Road() as road, Beyond(road, how) as beyond,
              Fastpath(road.middle, "-i", "left", "-i", "right", "--hold", "200us") as fast):
            for address in beyond.C4, beyond.C6:
                with connection(road, address, beyond.net) as (client, server):
                    if how == "silent":
                        # Here the size is learned from what comes again: as much as the sender had under way.
                        stream(client, server, 100, 1000)
                    before = tcp_info(client)["retransmits"]
                    sent, received = stream(client, server, 100, 9000, 2e-5)
                    again = tcp_info(client)["retransmits"] - before
                    # Without a bound each packet that is merged to more than 1300 bytes: 238 and more.
                    check(again < 100, f"{how}, {address}: {again} of {sent} segments were sent again")
                    check(received < 0.8 * sent, f"{how}, {address}: {received} of {sent} arrived: few were merged")
            equal(fast.counters()["too_long"], 0, "packets above the port's MTU")


def test_loops():
    """one forged datagram keeps a reflector busy neither with another one nor with an echo service, at any port"""
    def settled(fast):
        """What it has answered, once that no longer changes."""
        counts = [fast.counters()["tx_packets"]]
        wait_for(lambda: counts.append(fast.counters()["tx_packets"]) or counts[-1] == counts[-2] > 0, 10,
                 "an end of the answers")
        return counts[-1]

    with Road() as road:
        reflect = "-j", "reflect", "-a", "10.78.0.9", "-i"
        with (Fastpath(road.middle, *reflect, "left") as fast, road.a.inside(),
              socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as echo):
            echo.bind((road.A4, 9000))
            echo.settimeout(1)
            for port in 5000, 7:
                before, heard = fast.counters()["tx_packets"], 0
                echo.sendto(b"forged", ("10.78.0.9", port))
                end = time.monotonic() + 10
                while time.monotonic() < end:
                    try:
                        echo.sendto(*echo.recvfrom(2048))
                    except TimeoutError:
                        break
                    heard += 1
                check(0 < heard < 100, f"port {port}: {heard} answers heard")
                check(settled(fast) - before < 100, f"port {port}: {fast.counters()['tx_packets'] - before} answers")
            # A client that asks something else each time is always answered.
            for number in range(500):
                echo.sendto(b"%d" % number, ("10.78.0.9", 7))
                equal(echo.recv(100), b"%d" % number, "answer")
        # As many hops as a datagram can have.
        with Fastpath(road.b, *reflect, "cable") as one, Fastpath(road.middle, *reflect[:3], "10.78.0.8", "-i",
                                                                 "right") as other:
            udp = struct.pack("!HHHH", 5000, 6000, 14, 0) + b"forged"
            ends = socket.inet_aton("10.78.0.8") + socket.inet_aton("10.78.0.9")
            head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 255, 17, 0) + ends
            head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
            with road.middle.inside(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as forger:
                forger.bind(("right", 0))
                forger.send(mac(road.b, "cable") + mac(road.middle, "right") + b"\x08\0" + head + udp)
            total = settled(one) + settled(other)
            check(total < 100, f"two reflectors: {total} answers")


if __name__ == "__main__":
    main(globals())
