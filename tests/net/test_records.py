#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""The map of flows: every socket has its record, under its program's name, and leaves none behind."""
import contextlib
import ctypes
import json
import socket
import struct
import subprocess
import threading

from lib import (MANAGE, OFF, Agent, Cgroup, Net, Stream, build, check, control, equal, forked, main, wait_for,
                 world)
from netns import libc
from records import records

PR_SET_NAME = 15
LEAST_MAX_FLOWS = 1024
SMALL_MAP = ("--max-flows", str(LEAST_MAX_FLOWS))


def bpf_map(name):
    """The entries of a map of the agent's: there is one agent at a time."""
    out = subprocess.run(["bpftool", "-j", "map", "show", "name", name], capture_output=True, text=True, check=True)
    found = json.loads(out.stdout)
    number = (found if isinstance(found, dict) else found[-1])["id"]
    out = subprocess.run(["bpftool", "-j", "map", "dump", "id", str(number)], capture_output=True, text=True,
                         check=True)
    return json.loads(out.stdout)


def in_the_wheel():
    """Flows that hold, or held less than max_hold ago."""
    return bpf_map("wheel")[0]["formatted"]["value"]["members"]


def places_borrowed():
    """Scratch of look-ups of policies: a place that is not returned is lost."""
    return sum(cpu["value"]["borrowed"] for entry in bpf_map("match_scratch") for cpu in entry["formatted"]["values"])


def close_by_reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def test_nothing_stays():
    """whichever way connections end, their records go with them, and the wheel has no hold left"""
    with world() as w:
        for end in socket.socket.close, close_by_reset:
            for first, second in ("client", "server"), ("server", "client"):
                # 24 in all: beyond 32 ports of one program they share a service, which rests after so many holds in
                # vain.
                for _ in range(6):
                    with Stream(w.net) as stream:
                        w.learn(stream)
                        w.hold(stream, 2)
                        end(getattr(stream, first))
                        end(getattr(stream, second))
        # Made, bound, refused or listening: never a connection.
        with w.net.inside():
            for act in (lambda s: None, lambda s: s.bind(("127.0.0.1", 0)),
                        lambda s: s.connect_ex(("127.0.0.1", 1)), lambda s: (s.bind(("127.0.0.1", 0)), s.listen())):
                with socket.socket() as sock:
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    act(sock)
        wait_for(lambda: not w.net.flows(), 10, "no socket left")
        equal(records(), 0, "records without a socket")
        wait_for(lambda: in_the_wheel() == 0, 5, "nobody left in the wheel")
        equal(places_borrowed(), 0, "places for look-ups not returned")


def disconnect(sock):
    unspecified = struct.pack("H14x", socket.AF_UNSPEC)
    equal(libc.connect(sock.fileno(), unspecified, len(unspecified)), 0, "connect(AF_UNSPEC)")


def test_connected_again():
    """a socket that is disconnected and connects again is one more flow, managed as the first was, and none is left
    open"""
    with world() as w:
        with Stream(w.net) as stream:
            w.learn(stream)
            equal(w.agent.totals()["managed"], 1, "managed flows")
            disconnect(stream.client)
            stream.server.close()
            with w.net.inside():
                listener = socket.create_server(("127.0.0.1", 0))
            with listener:
                stream.client.connect(listener.getsockname())
                stream.server = listener.accept()[0]
            w.learn(stream)
            service = w.agent.service(stream.client.getpeername()[1], "client")
            equal((service["flows"], service["flows_opened"], service["refused"]["no_wrapper"]), (1, 1, 0),
                  "of the second service: flows, opened, refused")
            equal(w.agent.totals()["flows"], 2, "flows")
            # Again, while the observer looks at it.
            with Stream(w.net) as other:
                watched = control("watched")
                other.exchange(writes=1)
                check(watched >= 2, f"{watched} flows watched, both ends of a new one among them")
                disconnect(other.client)
                other.server.close()
                with w.net.inside(), socket.create_server(("127.0.0.1", 0)) as listener:
                    other.client.connect(listener.getsockname())
        wait_for(lambda: not w.net.flows(), 10, "no socket left")
        equal((w.agent.totals()["flows"], records()), (0, 0), "flows and records left")
        equal(control("watched"), 0, "flows watched")


def test_left_alone():
    """a connection that the policy leaves alone takes no record from others, also one that it left alone only later"""
    with world() as w, Stream(w.net) as stream:
        w.learn(stream)
        equal(records(), 2, "records of both ends")
        w.agent.reload(OFF)
        equal(records(), 0, "records of a connection that is left alone from now on")
        equal(control("watched"), 0, "flows watched")
        with Stream(w.net) as another:
            another.exchange()
            equal(records(), 0, "records of a new one")


def test_older_connections():
    """those of other control groups, and those that the policy does not adopt, have no records"""
    adopt = MANAGE + "adopt = yes\n"
    with Cgroup() as group, Net("cubic") as net:
        for inside, policy, count in (False, adopt, 0), (True, MANAGE, 0), (True, adopt, 2):
            if inside:
                group.enter()
            with Stream(net) as stream, Agent(group, policy) as agent:
                equal((records(), len(agent.flows())), (count, count),
                      f"records and flows, {'inside' if inside else 'outside'}, {policy.splitlines()[-1]}")
                stream.exchange()


def listening(net, name, address, port):
    """Another process of that name, which echoes."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET

    def serve(ready):
        libc.prctl(PR_SET_NAME, ctypes.c_char_p(name.encode()))
        with net.inside(), socket.socket(family) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            listener.bind((address, port))
            listener.listen()
            ready()
            kept = []	# what is accepted stays open
            while True:
                kept.append(listener.accept()[0])
                threading.Thread(target=lambda sock=kept[-1]: sock.sendall(sock.recv(100))).start()
    return forked(serve)


PORT = 7070
LISTENERS = ("alpha", "127.0.0.1"), ("beta", "127.0.0.2"), ("gamma", "::1")


def talk(net, stack, address):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with net.inside():
        client = stack.enter_context(socket.socket(family))
    client.settimeout(10)
    client.connect((address, PORT))
    client.sendall(b"hello")
    equal(client.recv(100), b"hello", "the echo")


def accepted_by(agent):
    """Open server flows of the port by program."""
    names = [flow["program"] for flow in agent.flows() if flow["side"] == "server" and flow["local_port"] == PORT]
    return {name: names.count(name) for name in names}


def listeners(net, stack):
    for name, address in LISTENERS:
        stack.enter_context(listening(net, name, address, PORT))


def test_names():
    """programs that listen on one port, each on an address of its own, are told apart"""
    with world(MANAGE) as w, contextlib.ExitStack() as stack:
        listeners(w.net, stack)
        for _, address in LISTENERS:
            talk(w.net, stack, address)
        equal(accepted_by(w.agent), {name: 1 for name, _ in LISTENERS}, "accepted flows by program")


def test_older_names():
    """so are those that listened before the agent came, and the connections that they had"""
    with Cgroup() as group, Net("cubic") as net, contextlib.ExitStack() as stack:
        group.enter()
        listeners(net, stack)
        for _, address in LISTENERS:
            talk(net, stack, address)
        with Agent(group, MANAGE + "adopt = yes\n") as agent:
            equal(accepted_by(agent), {name: 1 for name, _ in LISTENERS}, "adopted flows by program")
            for _, address in LISTENERS:
                talk(net, stack, address)
            equal(accepted_by(agent), {name: 2 for name, _ in LISTENERS}, "accepted flows by program")


def test_any_address():
    """who listens on every address is named whichever one a connection came in by, IPv4 to an IPv6 socket included"""
    with world(MANAGE) as w, contextlib.ExitStack() as stack:
        stack.enter_context(listening(w.net, "delta", "::", PORT))
        for address in "127.0.0.1", "127.0.0.9", "::1":
            talk(w.net, stack, address)
        equal(accepted_by(w.agent), {"delta": 3}, "accepted flows by program")


def test_too_many():
    """connections above --max-flows are left alone, work, and are counted; when others go, new ones are followed"""
    pairs = LEAST_MAX_FLOWS // 2 + 50
    with Cgroup() as group, Net("cubic") as net:
        group.enter()
        with Agent(group, MANAGE, SMALL_MAP) as agent, contextlib.ExitStack() as stack:
            with net.inside():
                listener = stack.enter_context(socket.create_server(("127.0.0.1", PORT), backlog=1000))
            ends = []
            for _ in range(pairs):
                with net.inside():
                    ends.append(socket.create_connection(("127.0.0.1", PORT), timeout=10))
                ends.append(listener.accept()[0])
                ends[-2].sendall(b"x")
                equal(ends[-1].recv(1), b"x", "what was sent")
            stack.callback(lambda: [end.close() for end in ends])
            status = agent.status()
            lost = status["agent"]["flows_lost"]
            equal(status["totals"]["flows"] + lost, 2 * pairs, "flows followed and lost")
            check(lost >= 2 * pairs - LEAST_MAX_FLOWS, f"{lost} flows lost")
            page = subprocess.run([build("autocork"), "status", "--control", agent.control], capture_output=True,
                                  text=True, check=True).stdout
            check("were not followed" in page, "status does not say that connections were not followed:\n" + page)
            for end in ends:
                end.close()
            wait_for(lambda: not records(), 10, "records gone")
            with Stream(net) as stream:
                stream.exchange()
                equal(agent.totals()["flows"], 2, "flows followed once there is room")


if __name__ == "__main__":
    main(globals())
