#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""rto_min: how soon the kernel sends again, as a policy says it, and given back."""
import socket

from lib import MANAGE, OFF, Skip, Stream, check, congestion, equal, main, tcp_info, wait_for, world

TCP_RTO_MIN_US = 45
OWN_US = 200000


def policy(rto_min, rest=""):
    return f"[policy all]\nmode = autocork\nadopt = yes\nrto_min = {rto_min}\n{rest}"


def floor(sock):
    """The socket's least timeout, microseconds; None where the kernel does not tell (before 6.15)."""
    try:
        return sock.getsockopt(socket.IPPROTO_TCP, TCP_RTO_MIN_US)
    except OSError:
        return None


def floors(stream, wanted, what):
    found = floor(stream.client), floor(stream.server)
    check(found in ((wanted, wanted), (None, None)), f"{what}: {found}, not {wanted} on both sides")


def comes_down(stream, below_us):
    """With each round trip by a quarter of what is left; a stalled machine makes the round trips vary for a while."""
    def both():
        stream.exchange(writes=1, rounds=20)
        return all(tcp_info(sock)["rto"] < below_us for sock in (stream.client, stream.server))
    wait_for(both, 20, f"timeouts of both sides below {below_us} us")


def test_without():
    """without the key no flow's timeout changes, managed or not"""
    with world() as w, Stream(w.net) as stream:
        w.learn(stream)
        floors(stream, OWN_US, "the least timeout")
        for sock in stream.client, stream.server:
            check(tcp_info(sock)["rto"] >= OWN_US, f"a timeout of {tcp_info(sock)['rto']} us")
        w.agent.reload(policy(0))
        floors(stream, OWN_US, "the least timeout with rto_min = 0")


def test_both_sides():
    """new flows get the policy's least timeout, on a wrapper or not; the stop gives it back"""
    with world(policy("60ms")) as w, Stream(w.net) as stream, Stream(w.net, "::1") as six:
        w.learn(stream)
        equal((congestion(stream.client), congestion(stream.server)), ("autocork_cubic", "cubic"),
              "congestion control of both sides")
        for each in stream, six:
            floors(each, 60000, "the least timeout")
            comes_down(each, 120000)
            for sock in each.client, each.server:
                check(tcp_info(sock)["rto"] >= 60000, f"a timeout of {tcp_info(sock)['rto']} us")
        w.give_back(stream)
        for each in stream, six:
            floors(each, OWN_US, "the least timeout after the stop")


def test_adopted():
    """a flow that exists already gets it when it is adopted"""
    with world(OFF) as w, Stream(w.net) as stream:
        stream.exchange(rounds=5)
        floors(stream, OWN_US, "the least timeout")
        w.agent.reload(policy("60ms"))
        floors(stream, 60000, "the least timeout, adopted")
        comes_down(stream, 120000)


def test_reload():
    """each reload brings flows to what it says, or back"""
    with world(policy("60ms")) as w, Stream(w.net) as stream:
        comes_down(stream, 120000)
        w.agent.reload(policy("20ms"))
        floors(stream, 20000, "the least timeout, lowered again")
        comes_down(stream, 60000)
        for text, wanted in ((policy("100ms"), 100000), (MANAGE, OWN_US), (policy("60ms"), 60000),
                             (policy("60ms").replace("autocork", "observe"), OWN_US), (policy("60ms"), 60000),
                             (OFF, OWN_US)):
            w.agent.reload(text)
            floors(stream, wanted, f"the least timeout with {text!r}")
        stream.exchange(rounds=3)


def test_own():
    """a program's own value stays if it is less, comes back if it was more, and is not undone if it came later"""
    with world(OFF) as w, Stream(w.net) as less, Stream(w.net) as more, Stream(w.net) as later:
        if floor(less.client) is None:
            raise Skip("this kernel has no option TCP_RTO_MIN_US")
        for stream, own in (less, 20000), (more, 100000):
            for sock in stream.client, stream.server:
                sock.setsockopt(socket.IPPROTO_TCP, TCP_RTO_MIN_US, own)
        w.agent.reload(policy("60ms"))
        floors(less, 20000, "what was less")
        floors(more, 60000, "what was more")
        for sock in later.client, later.server:
            equal(floor(sock), 60000, "the least timeout")
            sock.setsockopt(socket.IPPROTO_TCP, TCP_RTO_MIN_US, 80000)
        w.agent.stop()
        floors(less, 20000, "what was less, after the stop")
        floors(more, 100000, "what was more, after the stop")
        floors(later, 80000, "what came later, after the stop")


main(globals())
