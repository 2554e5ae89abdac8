#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""A new connection knows what the last one learned: few of its messages wait for a delayed ACK."""
import time

from lib import Stream, check, main, world
from ports import pattern, tcp_info

STALL_S = 0.03
# A policy as users have it, but for the patience that Python needs on a busy machine.
POLICY = "[policy all]\nmode = autocork\nmax_hold = 20ms\nburst_gap = 20ms\n"


def message(stream, sizes):
    """Sends a message in writes of `sizes`, has it answered, and says whether it waited for an ACK."""
    start, before = time.monotonic(), tcp_info(stream.client)["data_segs_out"]
    for size in sizes:
        stream.client.sendall(pattern(0, size))
    stream.receive(stream.server, sum(sizes))
    took = time.monotonic() - start
    stream.server.sendall(b"ok")
    stream.receive(stream.client, 2)
    return took > STALL_S and tcp_info(stream.client)["data_segs_out"] - before > 1


def connection(w, port, messages, greeting=(12, 30), body=(2, 20, 40)):
    """As MQTT's CONNECT and PUBLISH. Returns how many messages waited."""
    with Stream(w.net, no_delay=False, port=port) as stream:
        waited = message(stream, greeting)
        waited += sum(message(stream, body) for _ in range(messages))
        return stream.port, waited


def test_after_long_ones():
    """after a connection of 400 messages the next ones have at most 3 messages that wait"""
    with world(POLICY) as w:
        port, _ = connection(w, 0, 400)
        waited = [connection(w, port, 40)[1] for _ in range(5)]
        check(max(waited) <= 3, f"messages that waited, by connection: {waited}")


def test_after_short_ones():
    """so it is where every connection is short: after three of them, at most 3 messages of each wait"""
    with world(POLICY) as w:
        port, _ = connection(w, 0, 8)
        waited = [connection(w, port, 8)[1] for _ in range(12)]
        check(max(waited[2:]) <= 3, f"messages that waited, by connection: {waited}")


def test_after_other_ones():
    """connections that write each message at once do not undo it"""
    with world(POLICY) as w:
        port, _ = connection(w, 0, 200)
        for _ in range(3):
            connection(w, port, 20, greeting=(42,), body=(62,))
        waited = [connection(w, port, 40)[1] for _ in range(3)]
        check(max(waited) <= 3, f"messages that waited, by connection: {waited}")


main(globals())
