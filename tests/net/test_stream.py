#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Byte-exact streams: random write sizes, random pauses, both directions at once. What is held must still arrive,
whole, in order."""
import random
import select
import threading
import time

from lib import MANAGE, Pair, Stream, check, equal, main, pattern, world

SMALL = (1, 2, 3, 20, 100, 500, 1448)
MIXED = SMALL + (1449, 4000, 20000, 70000)
PAUSES = (0, 0, 0, 0, 0, 0, 0.0001, 0.001, 0.005)


class Failure(list):
    """What threads met."""

    def guard(self, function, *args):
        try:
            function(*args)
        except Exception as error:  # handed to the main thread
            self.append(f"{function.__name__}: {error!r}")


def send(sock, total, sizes, pauses, seed):
    dice = random.Random(seed)
    position = 0
    while position < total:
        size = min(dice.choice(sizes), total - position)
        sock.sendall(pattern(position, size))
        position += size
        pause = dice.choice(pauses)
        if pause:
            time.sleep(pause)


def receive(sock, total):
    position = 0
    while position < total:
        data = sock.recv(65536)
        check(data, f"the stream ended at {position} of {total}")
        check(data == pattern(position, len(data)), f"bytes differ after position {position}")
        position += len(data)


def both_ways(stream, total, sizes, pauses=PAUSES, seed=1):
    failure = Failure()
    threads = [threading.Thread(target=failure.guard, args=args) for args in (
        (send, stream.client, total, sizes, pauses, seed), (receive, stream.server, total),
        (send, stream.server, total, sizes, pauses, seed + 1), (receive, stream.client, total))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(90)
        check(not thread.is_alive(), "a direction stalled")
    check(not failure, "; ".join(failure))


def streams(address, connect=None):
    with world(MANAGE) as w, Stream(w.net, address, connect) as stream, Stream(w.net, address, connect,
                                                                               no_delay=False) as nagle:
        w.learn(stream)
        both_ways(stream, 150000, SMALL)
        both_ways(stream, 2000000, MIXED, seed=3)
        both_ways(nagle, 60000, SMALL, seed=5)
        w.give_back(stream, nagle)


def test_ipv4():
    """random sizes and pauses, both directions, IPv4"""
    streams("127.0.0.1")


def test_ipv6():
    """random sizes and pauses, both directions, IPv6"""
    streams("::1")


def test_mapped():
    """random sizes and pauses, both directions, v4-mapped"""
    streams("::", "127.0.0.1")


def test_cable():
    """random sizes and pauses between two namespaces of real segment size"""
    with world(MANAGE) as w, Pair() as pair:
        for address in pair.B4, pair.B6:
            with Stream(pair.a, address, server_net=pair.b) as stream:
                both_ways(stream, 400000, MIXED)


def test_small_buffer():
    """a small SO_SNDBUF: held bytes fill it, and the program must not wait for room for ever"""
    with world() as w, Stream(w.net, send_buffer=4608) as stream:
        w.learn(stream)
        both_ways(stream, 200000, SMALL, (0,))
        for _ in range(50):
            data = pattern(0, 30000)
            stream.client.sendall(data)
            equal(stream.receive(stream.server, len(data)), data, "the bytes")


def test_partial_writes():
    """non-blocking writes that are taken only in part"""
    with world() as w, Stream(w.net, send_buffer=4608) as stream:
        w.learn(stream)
        stream.client.setblocking(False)
        dice, position, got, total = random.Random(7), 0, 0, 300000
        end = time.monotonic() + 60
        while got < total:
            check(time.monotonic() < end, f"stalled at {position} written, {got} read")
            readable, writable, _ = select.select([stream.server], [stream.client] if position < total else [], [], 5)
            check(readable or writable, f"stalled at {position} written, {got} read")
            if writable:
                try:
                    position += stream.client.send(pattern(position, min(dice.choice(MIXED), total - position)))
                except BlockingIOError:
                    pass
            if readable and (not writable or dice.random() < 0.3):
                data = stream.server.recv(dice.choice(MIXED))
                equal(data, pattern(got, len(data)), f"the bytes after {got}")
                got += len(data)


def test_one_way():
    """a stream in one direction, nobody ever answers"""
    with world(MANAGE) as w, Stream(w.net) as stream:
        failure = Failure()
        reader = threading.Thread(target=failure.guard, args=(receive, stream.server, 100000))
        reader.start()
        send(stream.client, 100000, (10, 20, 100), (0, 0, 0, 0, 0.001), 11)
        reader.join(30)
        check(not reader.is_alive() and not failure, f"stalled: {failure}")


def test_reader_thread():
    """a program that writes in one thread while another reads for ever"""
    with world(MANAGE) as w, Stream(w.net) as stream:
        w.learn(stream)
        failure = Failure()
        reader = threading.Thread(target=failure.guard, args=(receive, stream.client, 60000))
        reader.start()
        for number in range(600):
            for i in range(5):
                stream.client.sendall(pattern(i * 20, 20))
            equal(stream.receive(stream.server, 100), pattern(0, 100), f"request {number}")
            stream.server.sendall(pattern(number * 100, 100))
        reader.join(30)
        check(not reader.is_alive() and not failure, f"stalled: {failure}")


def test_many_flows():
    """100 flows at once, each with a rhythm of its own"""
    with world(MANAGE) as w:
        flows = [Stream(w.net) for _ in range(100)]
        try:
            for turn in range(20):
                for number, stream in enumerate(flows):
                    for i in range(1 + number % 7):
                        stream.client.sendall(pattern(i * 10, 10))
                for number, stream in enumerate(flows):
                    size = 10 * (1 + number % 7)
                    equal(stream.receive(stream.server, size), pattern(0, size), f"flow {number}, turn {turn}")
                    stream.server.sendall(b"ok")
                for stream in flows:
                    stream.receive(stream.client, 2)
            w.agent.stop()
            equal(w.net.wrapped(), 0, "flows on a wrapper after the stop")
        finally:
            for stream in flows:
                stream.__exit__()


def test_pattern():
    """the streams' pattern has no short period (a test of the tests)"""
    data = pattern(0, 200000)
    for shift in 1, 2, 100, 256, 1448, 65483:
        differ = sum(a != b for a, b in zip(data, data[shift:]))
        check(differ > 0.5 * (len(data) - shift), f"shifted by {shift}, only {differ} bytes differ")


main(globals())
