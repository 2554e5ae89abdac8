#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Whichever way a connection ends while something is held, as much of it arrives as without the agent."""
import contextlib
import ctypes
import os
import signal
import socket
import struct

from lib import (Agent, Cgroup, Net, PATIENT, Stream, World, check, congestion, equal, main, no_agent, pattern,
                 wait_for, world)

LINGER_NOW = struct.pack("ii", 1, 0)
TIMES = 4
SIZE = 20
libc = ctypes.CDLL(None, use_errno=True)


def until_the_end(sock):
    """What arrives before the end, be it orderly or a reset."""
    out = bytearray()
    try:
        while data := sock.recv(65536):
            out += data
    except ConnectionResetError:
        pass
    return bytes(out)


def arrives(sock):
    """Input that the program has not read yet."""
    wait_for(lambda: sock.recv(1, socket.MSG_PEEK), 5, "the input")


def unread(stream, write):
    stream.server.sendall(b"?")
    arrives(stream.client)
    write(stream.client)
    stream.client.close()


def unread_later(stream, write):
    write(stream.client)
    stream.server.sendall(b"?")
    stream.client.close()


def linger(stream, write):
    stream.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOW)
    write(stream.client)
    stream.client.close()


def disconnect(stream, write):
    write(stream.client)
    unspecified = struct.pack("H14x", socket.AF_UNSPEC)
    equal(libc.connect(stream.client.fileno(), unspecified, len(unspecified)), 0, "connect(AF_UNSPEC)")
    stream.client.close()


def shutdown_write(stream, write):
    write(stream.client)
    stream.client.shutdown(socket.SHUT_WR)


def shutdown_both(stream, write):
    stream.server.sendall(b"?")
    arrives(stream.client)
    write(stream.client)
    stream.client.shutdown(socket.SHUT_RDWR)
    stream.client.close()


def close(stream, write):
    write(stream.client)
    stream.client.close()


def by_a_process(stream, act):
    """The connection is that of another process alone when it acts."""
    ready, go = os.pipe()
    child = os.fork()
    if not child:
        os.read(ready, 1)
        act(stream.client)
        os._exit(0)
    stream.client.close()
    os.write(go, b"!")
    os.waitpid(child, 0)
    os.close(ready)
    os.close(go)


def exits(stream, write):
    stream.server.sendall(b"?")
    arrives(stream.client)
    by_a_process(stream, write)


def killed(stream, write):
    def write_and_die(sock):
        write(sock)
        os.kill(os.getpid(), signal.SIGKILL)
    stream.server.sendall(b"?")
    arrives(stream.client)
    by_a_process(stream, write_and_die)


RESETS = {"close() with unread input": unread, "close() with input since the write": unread_later,
          "SO_LINGER 0": linger,
          "connect(AF_UNSPEC)": disconnect, "exit with unread input": exits, "SIGKILL with unread input": killed}
ORDERLY = {"close()": close, "shutdown(SHUT_WR)": shutdown_write, "shutdown(SHUT_RDWR)": shutdown_both}


def write(sock):
    sock.sendall(pattern(0, SIZE))


def messages(streams, end):
    """How many of the last messages arrive."""
    count = 0
    for stream in streams:
        with stream:
            end(stream, write)
            count += until_the_end(stream.server) == pattern(0, SIZE)
    return count


def learned(w):
    stream = Stream(w.net)
    w.learn(stream)
    equal(congestion(stream.client), "autocork_" + w.net.congestion, "the congestion control")
    return stream


def all_arrive(w, ways, is_reset):
    for name, end in ways.items():
        before = w.agent.totals()["misses"]
        held = 0
        for _ in range(TIMES):
            stream = learned(w)
            port = stream.port
            equal(messages([stream], end), 1, f"last messages that arrive, {name}")
            row = wait_for(lambda: (r := w.agent.service(port, "client"))["flows_closed"] and r, 5, "the flow's end")
            held += row["released"]["closing"]
        # On a busy machine max_hold may come first.
        check(2 * held >= TIMES, f"{held} of {TIMES} holds ended as closing, {name}")
        if is_reset:
            missed = w.agent.totals()["misses"] - before
            check(missed >= held, f"{missed} misses of {held} holds, {name}")


def test_without():
    """without the agent every last message arrives, in each way of ending"""
    with no_agent(), Net() as net:
        for name, end in {**RESETS, **ORDERLY}.items():
            equal(messages([Stream(net) for _ in range(TIMES)], end), TIMES, name)


def test_resets():
    """a reset of the program's own does not take along what is held; it is a miss, on record as closing"""
    with world() as w:
        all_arrive(w, RESETS, True)


def test_resets_reno():
    """the same on reno"""
    with world(congestion_control="reno") as w:
        all_arrive(w, RESETS, True)


def test_resets_bbr():
    """the same on BBR"""
    with world(congestion_control="bbr") as w:
        all_arrive(w, RESETS, True)


def test_orderly():
    """neither does the FIN"""
    with world() as w:
        all_arrive(w, ORDERLY, False)


def test_enrolled_at_once():
    """the same of connections that are managed from their first write on"""
    with world() as w:
        held = 0
        for name, end in RESETS.items():
            stream = learned(w)
            port = stream.port
            stream.exchange(rounds=100)
            stream.client.close()
            stream.server.close()
            again = Stream(w.net, port=port)
            equal(congestion(again.client), "autocork_cubic", "the congestion control at once")
            again.exchange(rounds=10)
            equal(messages([again], end), 1, f"last messages that arrive, {name}")
            held += w.agent.service(port, "client")["released"]["closing"]
        check(2 * held >= len(RESETS), f"{held} holds ended as closing")


def test_adopted():
    """the same of connections older than the agent"""
    with Cgroup() as group, Net() as net, contextlib.ExitStack() as stack:
        group.enter()
        with no_agent():
            streams = {name: stack.enter_context(Stream(net)) for name in RESETS}
        agent = stack.enter_context(Agent(group, PATIENT))
        w = World.__new__(World)
        w.net, w.agent = net, agent
        held = 0
        for name, stream in streams.items():
            w.learn(stream)
            equal(messages([stream], RESETS[name]), 1, f"last messages that arrive, {name}")
            held += agent.service(stream.port, "client")["released"]["closing"]
        check(2 * held >= len(RESETS), f"{held} holds ended as closing")


def test_learned_from():
    """a server whose last message always is alone is not held for long"""
    with world() as w:
        with learned(w) as stream:
            port = stream.port
        for _ in range(20):
            with Stream(w.net, port=port) as stream:
                stream.exchange(rounds=2)
                unread(stream, write)
                equal(until_the_end(stream.server), pattern(0, SIZE), "the last message")
        before = w.agent.totals()["misses"]
        for _ in range(20):
            with Stream(w.net, port=port) as stream:
                stream.exchange(rounds=2)
                unread(stream, write)
                equal(until_the_end(stream.server), pattern(0, SIZE), "the last message")
        missed = w.agent.totals()["misses"] - before
        check(missed <= 4, f"{missed} misses in 20 more connections")


def test_crossing_reset():
    """a peer's reset that crosses what is held ends the hold, and is on record"""
    with world() as w:
        stream = learned(w)
        with stream:
            w.hold(stream, 2)
            stream.server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOW)
            stream.server.close()
            row = wait_for(lambda: (r := w.agent.service(stream.port, "client"))["flows_closed"] and r, 5,
                           "the flow's end")
            equal((row["released"]["closing"], row["misses"]), (1, 1), "holds that ended as closing, misses")


main(globals())
