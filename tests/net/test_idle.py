#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""After an idle time, when the kernel begins with a small window again, a message is still few segments, whatever the
algorithm."""
import contextlib
import http.client
import itertools
import os
import pathlib
import socket
import subprocess
import tempfile
import time

from lib import Skip, Stream, check, equal, main, world
from ports import TCP_CONGESTION, pattern, tcp_info
from servers import Nginx

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


CONNECTIONS = 20
KEEP_ALIVE_S = 0.12, 0.3, 1
# What a delayed ACK may take, and a busy machine.
SETTLE_S = 0.1


def packets(connections):
    return sum(sum(tcp_info(connection.sock)[field] for field in ("segs_out", "segs_in")) for connection in connections)


def fetch_each(connections, body):
    for connection in connections:
        connection.request("GET", "/file.bin")
        equal(connection.getresponse().read(), body, "the body")


def test_nginx_after_idle():
    """nginx with 20 keep-alive connections: a request and its response are at most 3 packets, however long nobody
    asked"""
    with contextlib.ExitStack() as stack:
        w = stack.enter_context(world())
        server = stack.enter_context(Nginx(w.net, w.servers))
        connections = []
        with w.net.inside():
            for _ in range(CONNECTIONS):
                connections.append(stack.enter_context(
                    contextlib.closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=20))))
                connections[-1].connect()
        for _ in range(40):
            fetch_each(connections, server.body)
        seen = {}
        for idle in KEEP_ALIVE_S:
            # Whom the machine interrupts within a response gets a second chance.
            for _ in range(2):
                time.sleep(idle)
                before = packets(connections)
                fetch_each(connections, server.body)
                time.sleep(SETTLE_S)
                seen[idle] = min(seen.get(idle, 9), (packets(connections) - before) / CONNECTIONS)
        print(f"# packets of a request with its response: {seen}")
        check(max(seen.values()) <= MOST, f"packets of a request with its response: {seen}")


def warn_again():
    """Warnings that the kernel gives once it gives once more."""
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run(["mount", "-t", "debugfs", "none", directory], check=True)
        try:
            (pathlib.Path(directory) / "clear_warn_once").write_text("1")
        except PermissionError:
            print("# this kernel does not let warnings be re-armed", flush=True)
        finally:
            subprocess.run(["umount", directory], check=True)


def after_idle(stream, send, size):
    """A message after each of two idle times, sent in a way of its own: its bytes arrive, and soon."""
    for _ in range(2):
        time.sleep(0.4)
        start = time.monotonic()
        send()
        equal(stream.receive(stream.server, size), pattern(0, size), "the message")
        check(time.monotonic() - start < 5, f"a message took {time.monotonic() - start:.1f} s")
        stream.server.sendall(b"ok")
        stream.receive(stream.client, 2)


@contextlib.contextmanager
def fragments(most):
    """Of one segment, on the whole machine."""
    setting = pathlib.Path("/proc/sys/net/core/max_skb_frags")
    before = setting.read_text()
    setting.write_text(str(most))
    try:
        yield
    finally:
        setting.write_text(before)


PIECES, PAGE = 40, 4096


def first_is_held(stream, file):
    """Is the first write after an idle time held, for others to join it? The rest of the message follows."""
    time.sleep(0.6)  # the agent looks at the setting four times a second
    os.sendfile(stream.client.fileno(), file, 0, 20)
    held = tcp_info(stream.client)["notsent_bytes"] > 0
    for i in range(1, WRITES):
        os.sendfile(stream.client.fileno(), file, i * PAGE, 20)
    equal(stream.receive(stream.server, 20 * WRITES), pattern(0, 20 * WRITES), "the message")
    stream.server.sendall(b"ok")
    stream.receive(stream.client, 2)
    return held


@contextlib.contextmanager
def scattered():
    """A file with 20 bytes of the pattern at the head of each page."""
    with tempfile.TemporaryFile() as file:
        for i in range(PIECES):
            file.seek(i * PAGE)
            file.write(pattern(20 * i, 20))
        file.flush()
        yield file.fileno()


def test_no_room_to_join():
    """after an idle time, writes that do not join the segment before them: MSG_EOR, many fragments, a small
    max_skb_frags"""
    held = {17: 0, 1: 0}
    with world() as w, scattered() as file:
        warn_again()
        wrappers = [name for name, feature in ALGORITHMS.items() if w.agent.feature(feature)]
        for name, most in itertools.product(wrappers, held):
            with Stream(w.net) as stream:
                stream.client.setsockopt(socket.IPPROTO_TCP, TCP_CONGESTION, name.encode())

                def records(every, sock=stream.client):
                    for i in range(WRITES):
                        sock.send(pattern(20 * i, 20), 0 if i % every else socket.MSG_EOR)

                def pages(sock=stream.client):
                    for i in range(PIECES):
                        os.sendfile(sock.fileno(), file, i * PAGE, 20)
                w.learn(stream, WRITES)
                with fragments(most):
                    # BBR does not restart its window: it may hold in any case.
                    held[most] += first_is_held(stream, file) and name != "bbr"
                    after_idle(stream, lambda: records(1), 20 * WRITES)
                    after_idle(stream, lambda: records(2), 20 * WRITES)
                    after_idle(stream, pages, 20 * PIECES)
    check(held[17] and not held[1], f"first writes held, by fragments that a segment may have: {held}")


main(globals())
