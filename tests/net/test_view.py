#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""What a program sees and sets of its own sockets is as it would be without the agent."""
import os
import socket

from lib import Stream, check, congestion, equal, main, pattern, seen_congestion, tcp_info, world

TCP_REPAIR = 19
NOBODY = 65534


def unprivileged(what):
    """What a user without privileges makes of it: an errno, 0 if all went well."""
    child = os.fork()
    if not child:
        code = 99
        try:
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
            what()
            code = 0
        except OSError as error:
            code = error.errno
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def own_name(name):
    with world(congestion_control=name) as w, Stream(w.net) as stream, Stream(w.net) as other:
        w.learn(stream)
        equal((congestion(stream.client), seen_congestion(stream.client)), ("autocork_" + name, name), "the name")
        seen = stream.client.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16)
        equal(seen, name.encode().ljust(16, b"\0"), "all of the answer")
        for size in 1, 2, 4, 9:
            short = stream.client.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, size)
            equal(short, seen[:size], f"an answer of {size} bytes")
        if name == "cubic":	# what every user may choose
            equal(unprivileged(lambda: other.client.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, seen)), 0,
                  "the same for another socket")


def test_name():
    """a program reads the name of the algorithm that it has, and can set that on another socket without root"""
    for name in "cubic", "reno", "bbr":
        own_name(name)


def test_name_inherited():
    """so it does on what it accepted, from a listener that was given the name too"""
    with world() as w, Stream(w.net) as stream:
        w.learn(stream)
        seen = seen_congestion(stream.client).encode()
        with w.net.inside(), socket.create_server(("127.0.0.1", 0)) as listener:
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, seen)
            equal(seen_congestion(listener), "cubic", "of the listener")
            with socket.create_connection(listener.getsockname()) as client, listener.accept()[0] as server:
                for _ in range(100):
                    for i in range(5):
                        server.sendall(pattern(i * 20, 20))
                    equal(Stream.receive(client, 100), pattern(0, 100), "the bytes")
                    client.sendall(b"ok")
                    Stream.receive(server, 2)
                    equal(seen_congestion(server), "cubic", "of what it accepted")


def test_window():
    """a program that asks TCP_INFO for room before it writes sees its real window"""
    for name in "cubic", "bbr":
        with world(congestion_control=name) as w, Stream(w.net) as stream:
            w.learn(stream)
            held = w.agent.totals()["held"]
            for _ in range(50):
                for i in range(5):
                    info = tcp_info(stream.client)
                    check(info["snd_cwnd"] >= 2, f"a window of {info['snd_cwnd']} after {i} writes")
                    check(info["snd_cwnd"] > info["unacked"], "no room")
                    stream.client.sendall(pattern(i * 20, 20))
                equal(stream.receive(stream.server, 100), pattern(0, 100), "the bytes")
                stream.server.sendall(b"ok")
                stream.receive(stream.client, 2)
            check(w.agent.totals()["held"] - held > 50, "hardly anything was held")


def test_other_answers():
    """answers of other options, and of a small or a large buffer, are the kernel's own"""
    with world() as w, Stream(w.net) as stream, Stream(w.net) as plain:
        w.learn(stream)
        for size in 8, 80, 83, 84, 248, 1000:
            equal(len(stream.client.getsockopt(socket.IPPROTO_TCP, 11, size)),
                  len(plain.client.getsockopt(socket.IPPROTO_TCP, 11, size)), f"length of TCP_INFO in {size} bytes")
        for option in socket.TCP_NODELAY, socket.TCP_KEEPIDLE, socket.TCP_USER_TIMEOUT:
            equal(stream.client.getsockopt(socket.IPPROTO_TCP, option),
                  plain.client.getsockopt(socket.IPPROTO_TCP, option), f"option {option}")
        equal(stream.client.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE), socket.SOCK_STREAM, "SO_TYPE")


def test_repair():
    """repair mode on and off again within a hold: what is held leaves first"""
    with world() as w, Stream(w.net) as stream:
        for no_delay in 1, 0:
            stream.client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, no_delay)
            w.learn(stream)
            before = w.agent.service(stream.port, "client")["released"]["option"]
            data = w.hold(stream, 2)
            stream.client.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
            equal(tcp_info(stream.client)["notsent_bytes"], 0, "bytes not sent in repair mode")
            stream.client.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 0)
            equal(stream.receive(stream.server, len(data)), data, "what was held")
            equal(stream.client.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY), no_delay, "TCP_NODELAY")
            stream.server.sendall(b"ok")
            stream.receive(stream.client, 2)
            released = w.agent.service(stream.port, "client")["released"]["option"] - before
            equal(released, 1, "holds that the option ended")


main(globals())
