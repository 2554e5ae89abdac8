#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""The end of a connection while something is held: everything written arrives, then the end, and no socket stays
behind."""
import socket
import struct

from lib import Stream, check, equal, main, wait_for, world


def learned(w, count=1):
    streams = []
    for _ in range(count):
        stream = Stream(w.net)
        w.learn(stream)
        streams.append(stream)
    return streams


def to_the_end(sock):
    out = bytearray()
    while True:
        data = sock.recv(65536)
        if not data:
            return bytes(out)
        out += data


def no_flow_left(w):
    wait_for(lambda: not w.net.flows(), 10, "no socket left")


def test_shutdown():
    """shutdown(SHUT_WR) sends what is held, then the end"""
    with world() as w:
        for writes in 1, 2, 4:
            stream, = learned(w)
            with stream:
                data = w.hold(stream, writes)
                stream.client.shutdown(socket.SHUT_WR)
                equal(to_the_end(stream.server), data, f"what {writes} writes said")
                stream.server.sendall(b"bye")
                equal(to_the_end_after(stream), b"bye", "the other direction")
        no_flow_left(w)


def to_the_end_after(stream):
    stream.server.close()
    return to_the_end(stream.client)


def test_close():
    """close() sends what is held, then the end"""
    with world() as w:
        for writes in 1, 2, 4:
            stream, = learned(w)
            with stream:
                data = w.hold(stream, writes)
                stream.client.close()
                equal(to_the_end(stream.server), data, f"what {writes} writes said")
        no_flow_left(w)


def test_peer_half_closed():
    """a peer that has closed its direction still gets everything"""
    with world() as w:
        stream, = learned(w)
        with stream:
            stream.server.shutdown(socket.SHUT_WR)
            equal(stream.client.recv(1), b"", "the end")
            data = w.hold(stream, 3) + w.hold(stream, 4)
            stream.client.close()
            equal(to_the_end(stream.server), data, "what was written in CLOSE_WAIT")
        no_flow_left(w)


def test_reset():
    """a reset, from either side, ends it at once and leaves nothing"""
    with world() as w:
        for side in "client", "server":
            stream, = learned(w)
            with stream:
                w.hold(stream, 3)
                one, other = (stream.client, stream.server) if side == "client" else (stream.server, stream.client)
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                one.close()
                try:
                    while other.recv(65536):
                        pass
                    check(side == "client", f"{side}: an orderly end instead of a reset")
                except ConnectionResetError:
                    pass
        no_flow_left(w)


def test_linger():
    """SO_LINGER waits until what is held has been taken"""
    with world() as w:
        stream, = learned(w)
        with stream:
            data = w.hold(stream, 3)
            stream.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 20))
            stream.client.close()
            equal(to_the_end(stream.server), data, "what was written")
        no_flow_left(w)


def test_many_closing():
    """50 connections closed in the middle of a burst"""
    with world() as w:
        streams = learned(w, 50)
        wanted = [w.hold(stream, 1 + number % 4) for number, stream in enumerate(streams)]
        for stream in streams:
            stream.client.close()
        for stream, data in zip(streams, wanted):
            equal(to_the_end(stream.server), data, "what was written")
            stream.server.close()
        no_flow_left(w)
        totals = wait_for(lambda: (t := w.agent.totals())["flows"] == 0 and t, 10, "no flow in the agent's books")
        equal(totals["managed"], 0, "managed flows")


main(globals())
