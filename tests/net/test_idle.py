#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""After an idle time, when the kernel begins with a small window again, a message is still few segments, whatever the algorithm."""
import contextlib
import socket
import time

from lib import Skip, Stream, check, main, world
from ports import TCP_CONGESTION

WRITES, STREAMS = 5, 4
IDLE_S = 0.12, 0.3, 1, 10
# One for the message, and what one delayed ACK may add.
MOST = 3.0
ALGORITHMS = {"cubic": "wrapper cubic", "reno": "wrapper reno", "bbr": "wrapper bbr", "dctcp": "wrapper dctcp"}


def learned_streams(stack, w, algorithm):
    streams = {}
    for idle in IDLE_S:
        streams[idle] = [stack.enter_context(Stream(w.net)) for _ in range(STREAMS)]
        for stream in streams[idle]:
            stream.client.setsockopt(socket.IPPROTO_TCP, TCP_CONGESTION, algorithm.encode())
            w.learn(stream, WRITES)
    return streams


def test_after_idle():
    """5 writes are at most 3 segments 120 ms, 300 ms, 1 s and 10 s after the last message, on each wrapper"""
    with contextlib.ExitStack() as stack:
        w = stack.enter_context(world())
        wrappers = [name for name, feature in ALGORITHMS.items() if w.agent.feature(feature)]
        if not wrappers:
            raise Skip("no wrapper")
        streams = {name: learned_streams(stack, w, name) for name in wrappers}
        start = time.monotonic()
        seen = {name: dict.fromkeys(IDLE_S, 0) for name in wrappers}
        for idle in IDLE_S:
            time.sleep(max(0, start + idle - time.monotonic()))
            for name in wrappers:
                seen[name][idle] = sum(stream.exchange(WRITES) for stream in streams[name][idle]) / STREAMS
        print(f"# segments of a request: {seen}")
        for name in wrappers:
            for idle, segments in seen[name].items():
                check(segments <= MOST, f"{name}: {segments} segments {idle} s after the last message: {seen[name]}")


main(globals())
