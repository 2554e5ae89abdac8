#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""What joining writes would swallow, and what a hold must not cost: stamps of what is sent, ends of records,
notifications of zero-copy writes, the window."""
import os
import signal
import socket
import struct
import time

from lib import Stream, check, equal, main, pattern, tcp_info, wait_for, world

SO_TIMESTAMPING, SO_ZEROCOPY, MSG_ZEROCOPY = 37, 60, 0x4000000
TX_SOFTWARE, SOFTWARE, OPT_ID, OPT_TSONLY = 1 << 1, 1 << 4, 1 << 7, 1 << 11
WRITES, SIZE, ROUNDS = 5, 20, 40
ORIGIN_TIMESTAMPING, ORIGIN_ZEROCOPY = 4, 5


def told(sock, origin):
    """(first, last) of each message of this origin in the error queue."""
    found = []
    sock.setblocking(False)
    try:
        while True:
            for level, _, data in sock.recvmsg(1, 512, socket.MSG_ERRQUEUE)[1]:
                if level in (socket.IPPROTO_IP, socket.IPPROTO_IPV6) and len(data) >= 16:
                    _, kind, _, _, _, first, last = struct.unpack_from("IBBBBII", data)
                    found += [(first, last)] if kind == origin else []
    except BlockingIOError:
        return found
    finally:
        sock.settimeout(30)


def requests(stream, flags=0, each=lambda: None):
    """ROUNDS requests, `each` called after one. Returns segments per request."""
    before = tcp_info(stream.client)["data_segs_out"]
    for _ in range(ROUNDS):
        for i in range(WRITES):
            stream.client.send(pattern(i * SIZE, SIZE), flags)
        equal(stream.receive(stream.server, WRITES * SIZE), pattern(0, WRITES * SIZE), "the request")
        stream.server.sendall(b"ok")
        stream.receive(stream.client, 2)
        each()
    return (tcp_info(stream.client)["data_segs_out"] - before) / ROUNDS


def refused(w, stream):
    return {name: count for name, count in w.agent.service(stream.port, "client")["refused"].items()
            if count and name != "no_gain"}


def test_stamps():
    """a flow that asks for a stamp of each write gets them all"""
    with world() as w, Stream(w.net) as stream:
        w.learn(stream)
        stream.client.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPING, TX_SOFTWARE | SOFTWARE | OPT_ID | OPT_TSONLY)
        stamps = []
        # The error queue takes no more than the receive buffer.
        segments = requests(stream, each=lambda: stamps.extend(told(stream.client, ORIGIN_TIMESTAMPING)))
        check(segments >= WRITES, f"{segments} segments per request of {WRITES} writes")
        equal(len(stamps), ROUNDS * WRITES, "stamps")
        equal(refused(w, stream), {"stamped": 1}, "why the flow is not held")
        stream.client.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPING, 0)
        w.learn(stream)


def test_records():
    """writes that end records are not held: none could join another"""
    with world() as w, Stream(w.net) as stream:
        w.learn(stream)
        segments = requests(stream, socket.MSG_EOR)
        check(segments >= WRITES, f"{segments} segments per request of {WRITES} writes")
        equal(refused(w, stream), {"record": 1}, "why the flow is not held")
        w.learn(stream)


def test_zerocopy():
    """each small zero-copy write has its own notification; what goes before such a write is held as ever"""
    with world() as w, Stream(w.net) as stream:
        stream.client.setsockopt(socket.SOL_SOCKET, SO_ZEROCOPY, 1)
        w.learn(stream)
        requests(stream, MSG_ZEROCOPY)
        messages = []

        def all_told():
            messages.extend(told(stream.client, ORIGIN_ZEROCOPY))
            return sum(last - first + 1 for first, last in messages) >= ROUNDS * WRITES
        wait_for(all_told, 5, "all notifications")
        equal(sorted(n for first, last in messages for n in range(first, last + 1)), list(range(ROUNDS * WRITES)),
              "calls that were notified")
        equal(refused(w, stream), {"zerocopy": 1}, "why the flow is not held")
        w.learn(stream)


def outlasts(congestion_control, stopped):
    """A hold that outlasts the retransmission timeout, then a write that ends a record, and one that cannot join it."""
    with world("[policy all]\nmode = autocork\nmax_hold = 4ms\nburst_gap = 4ms\nrto_min = 5ms\n",
               congestion_control) as w, \
            Stream(w.net) as stream:
        for _ in range(4):
            w.learn(stream, limit=6000)
            before = tcp_info(stream.client)
            check(before["rto"] < 100000, f"a timeout of {before['rto']} us")
            stream.client.sendall(pattern(0, SIZE))
            if stopped:
                os.kill(w.agent.process.pid, signal.SIGSTOP)
            try:
                time.sleep(0.05)
                stream.client.send(pattern(SIZE, SIZE), socket.MSG_EOR)
                stream.client.send(pattern(2 * SIZE, SIZE), socket.MSG_EOR)
                stream.client.send(pattern(3 * SIZE, 5000))
                equal(stream.receive(stream.server, 3 * SIZE + 5000), pattern(0, 3 * SIZE + 5000), "the bytes")
                window = tcp_info(stream.client)["snd_cwnd"]
                check(window >= min(10, before["snd_cwnd"]), f"a window of {window}, {before['snd_cwnd']} before")
            finally:
                os.kill(w.agent.process.pid, signal.SIGCONT)
            stream.server.sendall(b"ok")
            stream.receive(stream.client, 2)


def test_window():
    """a hold that outlasts the timeout costs no window"""
    for name in "cubic", "reno":
        outlasts(name, False)


def test_window_stopped():
    """nor with the agent stopped meanwhile"""
    for name in "cubic", "reno":
        outlasts(name, True)


main(globals())
