#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Connections that end right behind their last write: the FIN leaves with it."""
import socket
import struct
import time

from ports import TCP_INFO
from tap import check, equal, main, wait_for
from world import world


def connection(net, listener, writes, pause=0.0):
    """Asks, is answered in small writes, and then closed. Returns the segments that the client got."""
    with net.inside():
        client = socket.socket()
    client.connect(listener.getsockname())
    server = listener.accept()[0]
    server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    time.sleep(0.05)  # so new a connection would be over before an observer could be attached for it
    client.sendall(b"?" * 20)
    server.recv(20, socket.MSG_WAITALL)
    for _ in range(writes):
        server.sendall(b"x" * 20)
    if pause:
        time.sleep(pause)
    server.close()
    got = bytearray()
    while piece := client.recv(4096):
        got += piece
    equal(bytes(got), b"x" * 20 * writes, "what the client got")
    segments = struct.unpack_from("I", client.getsockopt(socket.IPPROTO_TCP, TCP_INFO, 256), 140)[0]
    client.close()
    return segments


def listening(net):
    with net.inside():
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        listener.listen()
    return listener


def watched(w, listener):
    """A connection that stays: connections as short as these are over before an observer could be attached for them."""
    port = listener.getsockname()[1]
    with w.net.inside():
        client = socket.socket()
    client.connect(listener.getsockname())
    server = listener.accept()[0]

    def seen():
        server.sendall(b"x")
        client.recv(1)
        time.sleep(0.3)
        return w.agent.service(port, "server")["writes"]

    wait_for(seen, 20, "the observer")
    return client, server


def joined(congestion, writes):
    with world(congestion_control=congestion) as w, listening(w.net) as listener:
        port = listener.getsockname()[1]
        spare = watched(w, listener)
        before = [connection(w.net, listener, writes) for _ in range(3)]
        for _ in range(40):
            connection(w.net, listener, writes)
        after = [connection(w.net, listener, writes) for _ in range(20)]
        # One segment instead of the writes and the FIN.
        check(min(before) - sorted(after)[10] == writes, f"segments of each connection: {before}, learned {after}")
        row = w.agent.service(port, "server")
        check(row["bursts"] >= 60, f"{row['bursts']} bursts counted of 63 connections")
        check(row["held"] >= 20 * writes - 2, f"{row['held']} writes held")
        check(row["misses"] == 0, f"{row['misses']} misses")
        for sock in spare:
            sock.close()


def test_two_writes():
    """two writes and close() are one segment, CUBIC"""
    joined("cubic", 2)


def test_one_write():
    """one write and close() are one segment, CUBIC"""
    joined("cubic", 1)


def test_bbr():
    """two writes and close() are one segment, BBR"""
    joined("bbr", 2)


def test_no_close():
    """a program that stops closing is not held up for long, nor often"""
    with world() as w, listening(w.net) as listener:
        port = listener.getsockname()[1]
        spare = watched(w, listener)
        for _ in range(30):
            connection(w.net, listener, 1)
        for _ in range(10):
            begin = time.monotonic()
            connection(w.net, listener, 1, pause=0.2)
            check(time.monotonic() - begin < 5, "a connection took 5 s")
        row = w.agent.service(port, "server")
        for sock in spare:
            sock.close()
        check(row["held"] >= 20, f"{row['held']} writes held")
        check(1 <= row["misses"] <= 5, f"{row['misses']} misses, the first at a connection's end")


main(globals())
