#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Who is who: the program of a flow is the process that accepts or connects, by its process's name; services are
bounded."""
import contextlib
import ctypes
import socket
import threading
import time

from lib import check, equal, forked, main, wait_for, world
from netns import libc
from test_records import bpf_map, records

PR_SET_NAME = 15
ONLY = """[policy mine]
programs = the-worker
mode = autocork
max_hold = 20ms
burst_gap = 50ms
[policy rest]
mode = off
"""


def rename(name):
    """The calling thread's name."""
    libc.prctl(PR_SET_NAME, ctypes.c_char_p(name.encode()), 0, 0, 0)


def serve(listener, name=None):
    """Accepts, and answers each request with a header and a body."""
    if name:
        rename(name)
    while True:
        connection = listener.accept()[0]
        with connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while connection.recv(100):
                connection.send(b"h" * 50)
                connection.send(b"b" * 100)


def ask(client, times=1):
    for _ in range(times):
        client.send(b"?")
        left = 150
        while left:
            left -= len(client.recv(left))


def listen(net, **options):
    with net.inside():
        return socket.create_server(("127.0.0.1", 0), **options)


def connect(net, listener):
    with net.inside():
        return socket.create_connection(listener.getsockname())


def program_of(w, client):
    """Of the server's end of a connection."""
    port = client.getsockname()[1]
    return [(flow["program"], flow["policy"]) for flow in w.agent.flows() if flow["side"] == "server" and
            flow["remote_port"] == port]


def check_activated(policies):
    with world(policies) as w, listen(w.net) as listener:
        rename("the-activator")
        with forked(lambda ready: (rename("the-worker"), ready(), serve(listener))):
            for _ in range(3):
                with connect(w.net, listener) as client:
                    ask(client, 3)
                    wait_for(lambda: (ask(client), program_of(w, client) == [("the-worker", "mine")])[1], 10,
                             "the program that accepted")
                    wait_for(lambda: (ask(client, 20), any(f["held"] for f in w.agent.flows()))[1], 20,
                             "its writes are held")
        rename("python3")


def test_socket_activation():
    """one listens, another accepts: the flow is the second one's, and its policy holds, from the first connection on"""
    for mode in "off", "observe":
        check_activated(ONLY.replace("mode = off", f"mode = {mode}"))


def test_two_programs_at_one_port():
    """SO_REUSEPORT: each connection belongs to the program that accepted it; the policy of the one is not the
    other's"""
    with world(ONLY) as w, listen(w.net, reuse_port=True) as first, w.net.inside():
        second = socket.socket()
        second.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        second.bind(first.getsockname())
        second.listen()
        with forked(lambda ready: (second.close(), rename("the-worker"), ready(), serve(first))):
            with forked(lambda ready: (first.close(), rename("another"), ready(), serve(second))):
                found = set()

                def both():
                    with connect(w.net, first) as client:
                        for _ in range(10):
                            ask(client)
                            time.sleep(0.05)
                        found.update(program_of(w, client) or [("none", None)])
                    return len(found) > 1
                wait_for(both, 30, "connections of both")
                # What the policy leaves alone is in no list.
                equal(found, {("the-worker", "mine"), ("none", None)}, "programs, and the policies they have")


def test_name_set_later():
    """a program that names itself after listen(), or after it has accepted, is called so from then on"""
    with world() as w, listen(w.net) as listener:
        def later(ready):
            ready()
            for name in "first-name", "second-name":
                rename(name)
                connection = listener.accept()[0]
                with connection:
                    while connection.recv(100):
                        connection.send(b"h" * 150)
        with forked(later):
            for name in "first-name", "second-name":
                with connect(w.net, listener) as client:
                    wait_for(lambda: (ask(client), [p for p, _ in program_of(w, client)] == [name])[1], 10,
                             f"{name} is seen")


def in_thread(name, function):
    """What a thread of that name does."""
    done = []

    def run():
        rename(name)
        done.append(function())
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return done[0]


def test_threads():
    """threads with names of their own are one program and one service, whether they accept or connect"""
    with world() as w, listen(w.net) as listener:
        def threads(ready):
            rename("the-process")
            for number in range(20):
                threading.Thread(target=serve, args=(listener, f"thread-{number}")).start()
            ready()
            threading.Event().wait()
        with forked(threads), contextlib.ExitStack() as stack:
            clients = [stack.enter_context(in_thread(f"client-{n}",
                                                     lambda: connect(w.net, listener))) for n in range(20)]

            def seen():
                for client in clients:
                    ask(client)
                return {flow["program"] for flow in w.agent.flows() if flow["side"] == "server"} == {"the-process"}
            wait_for(seen, 20, "all server flows are the process's")
            rows = {(row["side"], row["program"]) for row in w.agent.services() if row["flows"]}
            with open("/proc/self/comm", encoding="utf-8") as own:
                equal(rows, {("server", "the-process"), ("client", own.read().strip())}, "services")


def test_many_ports():
    """100 passive ports are few services, and what they count is the whole"""
    with world() as w, contextlib.ExitStack() as stack:
        for _ in range(100):
            listener = stack.enter_context(listen(w.net))
            client = stack.enter_context(connect(w.net, listener))
            stack.enter_context(listener.accept()[0])
            client.send(b"x")
        rows = w.agent.services()
        check(len(rows) <= 2 * 33, f"{len(rows)} services")
        equal(sum(row["flows"] for row in rows), 200, "flows of all services")
        equal(sum(row["flows"] for row in rows if not row["port"]), 2 * (100 - 32), "flows of further ports")


def test_names_without_end():
    """a program that connects under thousands of names does not take the services of others; a reload keeps its
    policies"""
    with world(ONLY) as w, listen(w.net) as listener:
        with forked(lambda ready: (rename("the-worker"), ready(), serve(listener))):
            with connect(w.net, listener) as kept:
                wait_for(lambda: (ask(kept), program_of(w, kept) == [("the-worker", "mine")])[1], 10, "a managed flow")
                w.agent.reload(ONLY.replace("mode = off", "mode = observe"))
                with listen(w.net) as other:
                    for number in range(600):
                        rename(f"name-{number}")
                        with connect(w.net, other):
                            other.accept()[0].close()
                    rename("python3")
                    rows = w.agent.services()
                    check(len(rows) <= 257, f"{len(rows)} services of one control group")
                    # Their numbers come back.
                    wait_for(lambda: (ask(kept), len(w.agent.services()) < 200)[1], 30, "services nobody uses any more")
                    equal(w.agent.totals()["flows_opened"] >= 600, True, "what they counted is still there")
                    with connect(w.net, other) as client, other.accept()[0]:
                        equal(program_of(w, client), [("python3", "rest")], "who had a number before")
                        equal(w.agent.service(other.getsockname()[1], "server")["flows"], 1, "flows of its service")
                w.agent.reload(ONLY)
                equal(program_of(w, kept), [("the-worker", "mine")], "the flow after a reload")


def test_other_sockets_take_no_record():
    """UNIX, UDP and MPTCP sockets that set TCP options, and TCP sockets that come to nothing, take no record for
    good"""
    with world() as w:
        with w.net.inside(), contextlib.ExitStack() as stack:
            for family, kind, protocol in ((socket.AF_UNIX, socket.SOCK_STREAM, 0),
                                           (socket.AF_UNIX, socket.SOCK_DGRAM, 0),
                                           (socket.AF_INET, socket.SOCK_DGRAM, 0),
                                           (socket.AF_INET6, socket.SOCK_DGRAM, 0),
                                           (socket.AF_INET, socket.SOCK_STREAM, 262),
                                           (socket.AF_INET6, socket.SOCK_STREAM, 262)):
                for _ in range(50):
                    with contextlib.suppress(OSError):
                        sock = stack.enter_context(socket.socket(family, kind, protocol))
                        for option in socket.TCP_NODELAY, socket.TCP_CORK:
                            sock.setsockopt(socket.IPPROTO_TCP, option, 1)
            equal(records(), 0, "records of sockets that are no TCP sockets")
            for _ in range(50):
                stack.enter_context(socket.socket()).setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        equal(records(), 0, "records when all are closed")
        equal(len(bpf_map("control")), 1, "the agent's map was read")


if __name__ == "__main__":
    main(globals())
