#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""What ends a hold, by the reason on record: all that must not wait goes at once, and only a wrong guess meets the
deadline."""
import json
import os
import select
import signal
import socket
import subprocess
import time

from lib import MANAGE, PATIENT, Stream, check, equal, main, pattern, wait_for, world

TCP_NOTSENT_LOWAT = 25
LOWAT = 50
SLOW = MANAGE.replace("mode", "max_hold = 100ms\nburst_gap = 50ms\npacket_worth = 10ms\nmode")


def released(w, stream):
    return w.agent.service(stream.port, "client")["released"]


def wrong_hold(w, stream):
    """One that only its deadline ends; the flow then learns again."""
    data = w.hold(stream, 2)
    equal(stream.receive(stream.server, len(data)), data, "what was held")
    stream.server.sendall(b"ok")
    stream.receive(stream.client, 2)
    w.learn(stream)


def ends(reason, act, writes=2, mtu=65536, then=lambda w: None, **stream_options):
    """Of a flow that lives on, one hold more is on record as released for this reason, and none for another; only that
    of the deadline is a miss. `act` returns what it wrote; `then` happens once the flow has learned."""
    with world() as w:
        w.net.ip("link", "set", "lo", "mtu", str(mtu))
        with Stream(w.net, **stream_options) as stream:
            w.learn(stream)
            # What ended the hold before has no say in the next one.
            wrong_hold(w, stream)
            then(w)
            # Before the hold: on a busy machine to ask takes longer than that may last.
            before, misses = released(w, stream), w.agent.service(stream.port, "client")["misses"]
            data = w.hold(stream, writes)
            data += act(stream.client) or b""
            equal(stream.receive(stream.server, len(data)), data, "what was written")
            after = wait_for(lambda: (now := released(w, stream)) != before and now, 5, "a hold on record")
            equal({name: after[name] - before[name] for name in after if after[name] != before[name]}, {reason: 1},
                  "released")
            if reason in ("complete", "full", "option"):
                # Only the next write tells a burst that was over from one that goes on.
                stream.server.sendall(b"ok")
                stream.receive(stream.client, 2)
                stream.exchange(rounds=2)
                equal(w.agent.service(stream.port, "client")["misses"], misses, "misses")


def write(sock, *sizes):
    for size in sizes:
        sock.sendall(pattern(7, size))
    return b"".join(pattern(7, size) for size in sizes)


def test_last():
    """the last write of the burst"""
    ends("complete", lambda sock: write(sock, 20, 20, 20))


def test_urgent():
    """urgent data does not wait"""
    def urgent(sock):
        sock.send(b"!", socket.MSG_OOB)
    ends("full", urgent)


def test_full():
    """small writes that fill a segment together do not wait"""
    ends("full", lambda sock: write(sock, 700, 730), writes=1, mtu=1500)


def test_send_buffer():
    """half a send buffer does not wait: the program may need the other half for the rest of the burst"""
    ends("full", lambda sock: write(sock, 5000), writes=1, send_buffer=4608)


def test_not_sent_low():
    """TCP_NOTSENT_LOWAT: half of it does not wait, so that poll() finds the socket writable as ever"""
    with world() as w, Stream(w.net) as stream:
        w.learn(stream)
        stream.client.setsockopt(socket.IPPROTO_TCP, TCP_NOTSENT_LOWAT, LOWAT)
        before = released(w, stream)
        for _ in range(10):
            for number in range(5):
                check(select.select([], [stream.client], [], 0)[1], f"not writable after {number} writes")
                stream.client.sendall(pattern(number * 20, 20))
            equal(stream.receive(stream.server, 100), pattern(0, 100), "the request")
            stream.server.sendall(b"ok")
            stream.receive(stream.client, 2)
        after = released(w, stream)
        check(after["full"] > before["full"], f"nothing was let go early: {after}")


def test_not_sent_low_of_all():
    """the same where it is the namespace's"""
    ends("full", lambda sock: write(sock, 20), writes=1, then=lambda w: w.net.sysctl("ipv4/tcp_notsent_lowat", LOWAT))


def test_no_delay_again():
    """TCP_NODELAY set again"""
    def again(sock):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    ends("option", again)


def test_uncorked():
    """TCP_CORK taken away, and nothing was written meanwhile"""
    def cork(sock):
        for value in 1, 0:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, value)
    ends("option", cork)


def test_shutdown():
    """what shutdown(SHUT_WR) lets go counts as released by it, at once"""
    def shutdown(sock):
        sock.shutdown(socket.SHUT_WR)
    ends("closing", shutdown)


def test_found_nothing():
    """a read that finds nothing: the program waits for an answer"""
    def look(sock):
        sock.setblocking(False)
        try:
            sock.recv(1)
        except BlockingIOError:
            pass
        sock.settimeout(30)
    ends("app_wait", look)
    # And not at the deadline.
    with world(SLOW) as w, Stream(w.net) as stream:
        took = []
        for _ in range(2):
            w.learn(stream)
            data, start = w.hold(stream, 2), time.monotonic()
            look(stream.client)
            equal(stream.receive(stream.server, len(data)), data, "what was held")
            took.append(time.monotonic() - start)
            stream.server.sendall(b"ok")
            stream.receive(stream.client, 2)
        check(min(took) < 0.08, f"what was held took {min(took):.3f} s")


def test_more_behind():
    """a write with MSG_MORE, which the kernel keeps for 200 ms, keeps nothing before it back beyond max_hold"""
    def more(sock):
        sock.send(b"more", socket.MSG_MORE)
        return b"more"
    ends("deadline", more)


def test_time_held():
    """the time of a wrong hold is max_hold, and on record"""
    with world() as w, Stream(w.net) as stream:
        w.learn(stream)
        before = w.agent.service(stream.port, "client")
        wrong_hold(w, stream)
        after = w.agent.service(stream.port, "client")
        equal(after["released"]["deadline"] - before["released"]["deadline"], 1, "holds that met their deadline")
        held_us = after["hold_us"] - before["hold_us"]
        check(50000 <= held_us < 3000000, f"{held_us} us held, of which one hold has 50 ms")


def test_own_deadline():
    """where one hold has met its deadline, another that began later waits for its own"""
    with world(MANAGE.replace("mode", "max_hold = 100ms\nburst_gap = 50ms\npacket_worth = 10ms\nmode")) as w, \
            Stream(w.net) as first, Stream(w.net) as second:
        for stream in first, second:
            w.learn(stream)
        data = w.hold(first, 2)
        time.sleep(0.05)
        start = time.monotonic()
        w.hold(second, 2)
        took = []
        for stream in first, second:
            equal(stream.receive(stream.server, len(data)), data, "what was held")
            took.append(time.monotonic() - start)
        check(took[1] >= 0.099, f"from the second hold on: {took}")


def test_own_congestion_control():
    """the program chooses another congestion control while something is held: that leaves at once, as max_hold says"""
    def choose(sock):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"reno")
    ends("closing", choose)
    with world() as w:
        took = []
        for _ in range(5):
            with Stream(w.net) as stream:
                w.learn(stream)
                data = w.hold(stream, 2)
                start = time.monotonic()
                choose(stream.client)
                equal(stream.receive(stream.server, len(data)), data, "what was held")
                took.append(time.monotonic() - start)
        # The kernel's own timer comes after 200 ms.
        check(min(took) < 0.15, f"what was held took {min(took):.3f} s")


def test_ceiling():
    """an agent that does not run for a while: the kernel's own timer sends what is held, and holds go on as ever"""
    with world(SLOW) as w, Stream(w.net) as stream:
        w.learn(stream)
        data, pid = w.hold(stream, 2), w.agent.process.pid
        os.kill(pid, signal.SIGSTOP)
        try:
            equal(stream.receive(stream.server, len(data)), data, "what was held")
        finally:
            os.kill(pid, signal.SIGCONT)
        stream.server.sendall(b"ok")
        stream.receive(stream.client, 2)
        w.learn(stream)
        before = released(w, stream)
        w.hold(stream, 2)
        equal(stream.receive(stream.server, len(data)), data, "what was held after that")
        after = wait_for(lambda: (now := released(w, stream)) != before and now, 5, "a hold on record")
        equal(sum(after.values()) - sum(before.values()), 1, f"holds ended, {before} and then {after}")


def wheel():
    """Flows in the wheel of due holds (include/autocork/control.h, struct ac_wheel): how many, and in how many
    slots."""
    out = subprocess.run(["bpftool", "-j", "map", "dump", "name", "wheel"], capture_output=True, text=True,
                         check=True).stdout
    value = json.loads(out)[0]["formatted"]["value"]
    return value["members"], sum(1 for first in value["first"] if first)


def test_wheel():
    """a flow that holds is in one slot of the wheel, and leaves it when that is due"""
    with world(PATIENT.replace("= 50ms", "= 100ms")) as w, Stream(w.net) as stream:
        w.learn(stream)
        stream.exchange(rounds=100)
        seen = []
        # To look takes a program's start, on a busy machine longer than the hold.
        while (1, 1) not in seen and len(seen) < 20:
            w.learn(stream)
            data = w.hold(stream)
            seen.append(wheel())
            check(seen[-1] in ((0, 0), (1, 1)), f"flows and slots while something is held: {seen}")
            equal(stream.receive(stream.server, len(data)), data, "what was held")
            wait_for(lambda: wheel() == (0, 0), 5, "an empty wheel")
        check((1, 1) in seen, f"flows and slots while something is held: {seen}")


main(globals())
