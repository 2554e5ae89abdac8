#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""io_uring: writes may run in a worker of the kernel's, not in the program; the flow is the socket all the same."""
import socket
import threading

from lib import PATIENT, Program, Skip, build, check, equal, main, world

NO_URING = 77
# So many that learning, for which a busy machine lets the agent wait, is a small part.
MESSAGES, WRITES, SIZE = 10000, 5, 20


def echo_server(listener):
    server = listener.accept()[0]
    with server:
        while True:
            got = b""
            while len(got) < WRITES * SIZE:
                piece = server.recv(WRITES * SIZE - len(got))
                if not piece:
                    return
                got += piece
            server.sendall(got)


def run(how):
    with world(PATIENT) as w:
        with w.net.inside():
            listener = socket.create_server(("127.0.0.1", 0))
        with listener:
            thread = threading.Thread(target=echo_server, args=(listener,), daemon=True)
            thread.start()
            before = w.net.segments()
            with Program(w.net, [build("tests/net/uring_client"), listener.getsockname()[1], MESSAGES, WRITES, how],
                         w.clients) as client:
                if client.process.wait(60) == NO_URING:
                    raise Skip("this kernel has no io_uring for us")
                equal(client.process.returncode, 0, client.output())
            thread.join(10)
        segments = (w.net.segments() - before) / MESSAGES
        check(segments < WRITES, f"{segments:.2f} segments per request and answer, of {WRITES} + 1 without the agent")
        w.agent.stop()
        equal(w.net.wrapped(), 0, "flows on a wrapper after the stop")


def test_inline():
    """linked writes in the program's own context"""
    run("inline")


def test_async():
    """linked writes in the kernel's worker threads"""
    run("async")


main(globals())
