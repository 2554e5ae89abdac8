#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""The tests' own tools, without an agent: what they count must be right before anything is judged by it."""
import os
import socket

from lib import Cgroup, Net, Pair, Program, Stream, build, check, equal, free_port, main, no_agent, tcp_info, wait_port
from ports import congestion


def test_congestion():
    """sockets of a namespace get the congestion control asked for, both sides, both families"""
    for name in "cubic", "reno":
        with Net(name) as net:
            for address in "127.0.0.1", "::1":
                with Stream(net, address) as stream:
                    equal((congestion(stream.client), congestion(stream.server)), (name, name), address)


def test_segments():
    """small writes are counted as the segments they are"""
    with Net() as net, Stream(net) as stream:
        check(5.0 <= stream.exchange(writes=5, rounds=50) < 5.2, "segments per request in 5 writes")
        check(net.segments() >= 300, f"{net.segments()} segments counted in the namespace")


def test_pair():
    """two namespaces reach each other over IPv4 and IPv6"""
    with Pair() as pair:
        for address in pair.B4, pair.B6:
            with Stream(pair.a, address, server_net=pair.b) as stream:
                stream.exchange(rounds=3)
                equal(congestion(stream.client), "cubic", "congestion control")


def test_mapped():
    """an IPv4 client reaches an IPv6 server"""
    with Net() as net, Stream(net, "::", connect="127.0.0.1") as stream:
        equal(stream.server.family, socket.AF_INET6, "the server's family")
        check(stream.server.getpeername()[0].startswith("::ffff:"), "its peer is v4-mapped")
        stream.exchange()


def test_cgroup():
    """programs run in the cgroup, are accounted there, and go with it"""
    with Cgroup() as group, Net() as net:
        port = free_port(net)
        server = Program(net, [build("autocork"), "bench", "server", "--port", port], group.child("server"))
        wait_port(net, port, alive=server)
        equal(group.child("server").pids(), [server.process.pid], "processes")
        client = Program(net, [build("autocork"), "bench", "client", "--port", port, "--no_delay", "--messages", 500],
                         group.child("client"))
        client.wait()
        check(group.cpu_us() > 0, "CPU time is counted")
        group.enter()
        check(os.getpid() in group.pids(), "this process is in")
        path = group.path
        client.stop()
        server.stop()
    check(not path.exists(), "the cgroup is gone")


def test_info():
    """TCP_INFO's offsets are those of the kernel"""
    with Net() as net, Stream(net) as stream:
        info = tcp_info(stream.client)
        equal((info["state"], info["data_segs_out"], info["unacked"]), (1, 0, 0), "a new flow")
        stream.client.sendall(b"x")
        stream.receive(stream.server, 1)
        equal(tcp_info(stream.client)["data_segs_out"], 1, "after one write")


with no_agent():
    main(globals())
