#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""What changes under programs that run on their own TCP: the interface, its MTU and addresses, the neighbour, the
queues; and how much stays after many connections."""
import os
import select
import signal
import socket
import threading
import time

from agent import ROOT
from endpoint import POLICY, PORT, Endpoint, answer, private_mounts
from netns import Pair
from steering import said
from tap import check, equal, main, wait_for

ECHO = str(ROOT / "tests/net/endpoint_echo.py")
PATIENCE = 60


class Changing(Endpoint):
    def echo(self, kind="epoll"):
        server = self.run("python3", ECHO, kind, PORT)
        said(server, "ready")
        self.exchange(self.connect())
        self.serves()
        wait_for(self.instances, 10, "the program's queue")
        return server

    def connect(self, *arguments, **options):
        connection = super().connect(*arguments, **options)
        connection.settimeout(PATIENCE)
        return connection

    @staticmethod
    def exchange(connection, size=20000):
        data = os.urandom(size)
        equal(answer(connection, data, size) == data, True, f"{size} bytes come back")

    def new_and_old(self, old, size=20000):
        """The old connection goes on, and a new one is the program's own."""
        self.exchange(old, size)
        with self.own_tcp():
            self.exchange(self.connect(), size)


def test_link_down_and_up():
    """the server's interface, then the client's, goes down and comes up: connections go on, new ones come"""
    with Changing() as point:
        point.echo()
        old = point.connect()
        point.exchange(old)
        for net in point.b, point.a:
            net.ip("link", "set", "cable", "down")
            half = threading.Thread(target=old.sendall, args=(b"while it is down",))
            half.start()
            time.sleep(0.5)
            net.ip("link", "set", "cable", "up")
            # Addresses of IPv6 go with the link.
            net.ip("addr", "replace", (Pair.B6 if net is point.b else Pair.A6) + "/64", "dev", "cable", "nodad")
            half.join()
            got = b""
            while len(got) < 16 and (more := old.recv(100)):
                got += more
            equal(got, b"while it is down", "what was sent meanwhile")
            point.new_and_old(old)


def test_neighbour_changes():
    """the client has another hardware address: open connections follow, for their next packet says so"""
    with Changing() as point:
        point.echo()
        old = point.connect()
        point.exchange(old)
        for last in "11", "12":
            point.a.ip("link", "set", "cable", "address", f"02:00:00:00:00:{last}")
            point.new_and_old(old)
        # The server's own: the client learns of it, the program looks at it once a second.
        point.b.ip("link", "set", "cable", "address", "02:00:00:00:00:21")
        point.a.ip("neigh", "flush", "dev", "cable")
        wait_for(lambda: not time.sleep(1.5) and point.connect(), PATIENCE, "a connection")
        point.new_and_old(old)


def test_mtu_and_addresses_change():
    """a smaller MTU, the old one again, and an address more: what open and new connections send fits, the new address
    is served"""
    with Changing() as point:
        point.echo()
        old = point.connect()
        point.exchange(old)
        for mtu in "1300", "1500":
            for net in point.a, point.b:
                net.ip("link", "set", "cable", "mtu", mtu)
            # It is looked at once a second, while there is traffic.
            point.exchange(old, 10)
            time.sleep(1.2)
            point.exchange(old, 10)
            point.exchange(old, 100000)
            with point.own_tcp():
                point.exchange(point.connect(), 100000)
        equal(point.instances()[0]["handed_over"], 0, "all on the stack")
        point.b.ip("addr", "add", "10.77.0.9/24", "dev", "cable")
        point.exchange(old, 10)
        time.sleep(1.2)
        point.exchange(old, 10)
        wait_for(lambda: not point.exchange(point.connect(address="10.77.0.9")), PATIENCE, "the new address")
        point.new_and_old(old)


def test_queues_change():
    """one queue, two, and one again: who was served is served, nothing stays taken"""
    with Changing() as point:
        server = point.echo()
        old = point.connect()
        point.exchange(old)
        for count in "2", "1":
            for net in point.a, point.b:
                net.run("ethtool", "-L", "cable", "rx", count, "tx", count, check=False)
            point.exchange(old)
            for _ in range(4):
                point.exchange(point.connect())
        server.process.kill()
        server.process.wait()
        wait_for(lambda: not point.has_consumer() and not point.instances(), 30, "the queue to be free")


def keep_talking(connection, until, wrong):
    while not until.is_set():
        data = os.urandom(3000)
        if answer(connection, data, len(data)) != data:
            wrong.append(connection)
            return


def test_policy_goes():
    """a reload takes the policy away: with removal = move every open connection goes on in the kernel, whether it is in
    use or waits; with removal = drain they stay; new ones are the kernel's; it comes back"""
    for kind in "epoll", "select", "threads":
        with Changing(POLICY + "removal = move\n") as point:
            point.echo(kind)
            quiet = [point.connect(), point.connect(address=Pair.B6)]
            busy = [point.connect(), point.connect(address=Pair.B6)]
            for connection in quiet:
                point.exchange(connection)
            until, wrong = threading.Event(), []
            talks = [threading.Thread(target=keep_talking, args=(connection, until, wrong)) for connection in busy]
            for talk in talks:
                talk.start()
            time.sleep(0.3)
            before = point.instances()[0]["connections"]
            point.reload(point.keeper, "[policy none]\nports = 80\nmode = observe\n")
            wait_for(lambda: point.instances()[0]["handed_over_for"]["policy"] >= before >= 4, 20,
                     f"{kind}: {before} connections in the kernel: {point.instances()}")
            equal(point.instances()[0]["handover_failed"], 0, "failed ones")
            steered = point.steered()
            for connection in quiet:
                point.exchange(connection)
            time.sleep(0.3)
            until.set()
            for talk in talks:
                talk.join()
            equal(wrong, [], f"{kind}: bytes of those in use")
            equal(point.steered(), steered, "packets of them that are steered")
            accepted = point.accepted()
            point.exchange(point.connect())
            equal(point.accepted(), accepted, "new ones on own TCP")
            point.reload(point.keeper, POLICY)
            wait_for(lambda: not point.exchange(point.connect()) and point.accepted() > accepted, PATIENCE,
                     "own TCP again")
            for connection in quiet:
                point.exchange(connection)
    with Changing() as point:
        point.echo()
        old = point.connect()
        point.exchange(old)
        point.reload(point.keeper, "[policy none]\nports = 80\nmode = observe\n")
        time.sleep(1)
        steered = point.steered()
        point.exchange(old)
        check(point.steered() > steered, "it has stayed")
        equal(point.instances()[0]["handed_over"], 0, "in the kernel")


def test_policy_goes_before_accept():
    """a reload takes the policy away while connections wait to be accepted: they go on in the kernel, and so does what
    the program waits for"""
    with Changing(POLICY + "removal = move\n") as point:
        server = point.run("python3", ECHO, "hoard", PORT)
        said(server, "ready")
        control = point.connect()
        point.serves()
        wait_for(point.instances, 10, "the program's queue")
        control.close()
        wait_for(lambda: not point.instances()[0]["connections"], 10, "its end")
        control = point.connect()
        waiting = [point.connect(), point.connect(address=Pair.B6)]
        for connection in waiting:
            connection.sendall(b"early")
        wait_for(lambda: point.instances()[0]["accepted"] >= 3, 10, "on own TCP")
        point.reload(point.keeper, "[policy none]\nports = 80\nmode = observe\n")
        wait_for(lambda: point.instances()[0]["handed_over"] == 3, 10, f"three in the kernel: {point.instances()}")
        check(not select.select(waiting, [], [], 0.5)[0], "nothing of them is accepted yet")
        control.sendall(b"x")
        for connection in waiting:
            equal(connection.recv(100), b"early", "what was sent before")
            point.exchange(connection)
        point.exchange(point.connect())


def test_many_short_connections():
    """2,000 connections after each other, each closed by the client or reset: no descriptor, flow, connection or memory
    stays"""
    with Changing() as point:
        server = point.echo("async")

        def resident():
            with open(f"/proc/{server.process.pid}/statm", encoding="ascii") as file:
                return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

        def descriptors():
            return len(os.listdir(f"/proc/{server.process.pid}/fd"))

        def some(count):
            with point.a.inside():
                for i in range(count):
                    connection = socket.create_connection((Pair.B4, PORT), timeout=PATIENCE)
                    equal(answer(connection, b"hello", 5), b"hello", "an echo")
                    if i % 8 == 0:
                        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                    connection.close()
        some(500)
        before = resident(), descriptors()
        with point.own_tcp(2000):
            some(2000)
        wait_for(lambda: descriptors() <= before[1], 30, f"descriptors as before, {before[1]}")
        # One is that of echo().
        wait_for(lambda: point.instances()[0]["connections"] <= 1, 30, "no connection stays")
        check(resident() - before[0] < 4 << 20, f"memory grew from {before[0]} to {resident()}")
        equal(point.instances()[0]["no_memory"], 0, "memory was there")


if __name__ == "__main__":
    private_mounts()
    main(globals())
