#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""redis-server: pipelined commands, replies in order; a server that answers with one write must not be touched."""
import socket

from lib import MANAGE, Program, check, equal, main, program, world
from servers import Redis


def command(*words):
    out = b"*%d\r\n" % len(words)
    for word in words:
        word = word if isinstance(word, bytes) else str(word).encode()
        out += b"$%d\r\n%s\r\n" % (len(word), word)
    return out


def expect(sock, wanted, what):
    got = b""
    while len(got) < len(wanted):
        piece = sock.recv(len(wanted) - len(got))
        check(piece, f"{what}: the connection ended")
        got += piece
    equal(got, wanted, what)


def connect(w, server):
    with w.net.inside():
        sock = socket.create_connection(("127.0.0.1", server.port), 20)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def test_pipeline():
    """100 commands in one write, replies in order, many times"""
    with world(MANAGE) as w, Redis(w.net, w.servers) as server, connect(w, server) as sock:
        for turn in range(50):
            sock.sendall(b"".join(command("SET", f"key{i}", f"value{turn}-{i}") for i in range(100)))
            expect(sock, b"+OK\r\n" * 100, "replies to SET")
            sock.sendall(b"".join(command("GET", f"key{i}") for i in range(100)))
            values = [f"value{turn}-{i}".encode() for i in range(100)]
            expect(sock, b"".join(b"$%d\r\n%s\r\n" % (len(value), value) for value in values), "replies to GET")


def test_split_commands():
    """a client that writes a command in pieces, each one segment after learning"""
    with world(MANAGE) as w, Redis(w.net, w.servers) as server, connect(w, server) as sock:
        def set_value(number):
            for piece in b"*3\r\n", b"$3\r\nSET\r\n", b"$3\r\nkey\r\n", b"$5\r\n", b"%05d\r\n" % number:
                sock.sendall(piece)
            expect(sock, b"+OK\r\n", "the reply")
        for number in range(500):
            set_value(number)
        before = w.net.segments()
        for number in range(200):
            set_value(number)
        segments = (w.net.segments() - before) / 200
        check(segments < 3, f"{segments:.2f} segments per command in 5 writes and its reply")
        sock.sendall(command("GET", "key"))
        expect(sock, b"$5\r\n00199\r\n", "the value")


def test_benchmark():
    """redis-benchmark with and without pipelining: no errors, nothing held, no misses"""
    with world(MANAGE) as w, Redis(w.net, w.servers) as server:
        for pipeline in 1, 16:
            with Program(w.net, [program("redis-benchmark"), "-p", server.port, "-P", pipeline, "-c", 20, "-n", 20000,
                                 "-t",
                                 "set,get", "--csv"], w.clients) as client:
                output = client.wait(60)
            check('"SET"' in output and '"GET"' in output and "rror" not in output, output)
        w.misses_below(0.001, 1000)
        w.agent.stop()
        equal(w.net.wrapped(), 0, "flows on a wrapper after the stop")


main(globals())
