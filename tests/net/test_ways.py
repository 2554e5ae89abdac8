#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Each way of writing is seen and managed: a message in pieces leaves as one segment, whichever call writes them. test_uring has io_uring,
test_swallowed has MSG_ZEROCOPY."""
import ctypes
import os
import socket

from lib import Stream, check, equal, main, pattern, tcp_info, world
from netns import libc

WRITES, SIZE, LEARN, ROUNDS = 5, 20, 120, 40
MESSAGE = pattern(0, WRITES * SIZE)


def pieces():
    return [MESSAGE[i * SIZE:(i + 1) * SIZE] for i in range(WRITES)]


def each(call):
    """A message by WRITES calls of call(sock, piece)."""
    def send(sock, _):
        for piece in pieces():
            equal(call(sock, piece), SIZE, "bytes taken")
    return send


class iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_char_p), ("len", ctypes.c_size_t)]


class msghdr(ctypes.Structure):
    _fields_ = [("name", ctypes.c_void_p), ("namelen", ctypes.c_uint32), ("iov", ctypes.POINTER(iovec)), ("iovlen", ctypes.c_size_t),
                ("control", ctypes.c_void_p), ("controllen", ctypes.c_size_t), ("flags", ctypes.c_int)]


class mmsghdr(ctypes.Structure):
    _fields_ = [("header", msghdr), ("len", ctypes.c_uint32)]


def sendmmsg(sock, _):
    """All pieces in one system call."""
    vectors = (iovec * WRITES)(*[iovec(piece, SIZE) for piece in pieces()])
    messages = (mmsghdr * WRITES)()
    for i, message in enumerate(messages):
        message.header.iov, message.header.iovlen = ctypes.pointer(vectors[i]), 1
    equal(libc.sendmmsg(sock.fileno(), messages, WRITES, 0), WRITES, "messages taken")


def sendfile(sock, file):
    for i in range(WRITES):
        equal(os.sendfile(sock.fileno(), file, i * SIZE, SIZE), SIZE, "bytes taken")


def header_and_file(sock, file):
    """As web servers do."""
    sock.sendall(MESSAGE[:SIZE])
    equal(os.sendfile(sock.fileno(), file, SIZE, len(MESSAGE) - SIZE), len(MESSAGE) - SIZE, "bytes taken")


def splice(sock, file):
    out, into = os.pipe()
    for i in range(WRITES):
        os.splice(file, into, SIZE, offset_src=i * SIZE)
        equal(os.splice(out, sock.fileno(), SIZE), SIZE, "bytes taken")
    os.close(out)
    os.close(into)


# name -> (how a message is written, how many writes the agent counts for it)
WAYS = {
    "write": (each(lambda sock, piece: os.write(sock.fileno(), piece)), WRITES),
    "writev": (each(lambda sock, piece: os.writev(sock.fileno(), [piece[:5], piece[5:]])), WRITES),
    "send": (each(lambda sock, piece: sock.send(piece)), WRITES),
    "sendmsg": (each(lambda sock, piece: sock.sendmsg([piece[:7], piece[7:]])), WRITES),
    "sendmmsg": (sendmmsg, WRITES),
    "sendfile": (sendfile, WRITES),
    "header and sendfile": (header_and_file, 2),
    "splice": (splice, WRITES),
}


def exchange(stream, way, file, rounds):
    """Returns segments per message."""
    before = tcp_info(stream.client)["data_segs_out"]
    for _ in range(rounds):
        way(stream.client, file)
        equal(stream.receive(stream.server, len(MESSAGE)), MESSAGE, "the message")
        stream.server.sendall(b"ok")
        stream.receive(stream.client, 2)
    return (tcp_info(stream.client)["data_segs_out"] - before) / rounds


def test_ways():
    """a message in pieces is one segment by write, writev, send, sendmsg, sendmmsg, sendfile and splice, and each piece is counted"""
    file = os.memfd_create("message")
    os.write(file, MESSAGE)
    seen, wrong = {}, []
    with world() as w:
        for name, (way, writes) in WAYS.items():
            with Stream(w.net) as stream:
                exchange(stream, way, file, LEARN)
                before = w.agent.service(stream.port, "client")
                segments = exchange(stream, way, file, ROUNDS)
                now = w.agent.service(stream.port, "client")
                counted = (now["writes"] - before["writes"]) / ROUNDS
                seen[name] = segments, counted
                # What the last message wrote is counted when the next begins.
                if segments > 1.2 or not writes - 0.2 <= counted <= writes + 0.2:
                    wrong.append(name)
    os.close(file)
    print(f"# segments of a message, writes counted: {seen}")
    check(not wrong, f"{wrong}: (segments, writes counted): {seen}")


main(globals())
