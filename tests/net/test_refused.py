#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Flows that cannot be managed: each is counted once with its reason, and works as if there were no agent (kTLS:
tests/vm/test_refused.py)."""
import json
import signal
import subprocess
import sys

from lib import Agent, Cgroup, Net, PATIENT, Skip, Stream, build, check, congestion, equal, main, wait_for, world


def left_alone(agent, stream, reason):
    """The client's end gains, but cannot be managed: counted once, and the packets stay as they are."""
    def counted():
        service = agent.service(stream.port, "client")
        return service and service["refused"][reason]

    for _ in range(60):
        segments = stream.exchange(rounds=50)
        if counted():
            break
    # Other reasons to look at it come and go: a flow of the namespace that is managed or given back, a reload.
    for _ in range(3):
        agent.reload(PATIENT)
        stream.exchange(rounds=50)
    segments = stream.exchange(rounds=100)
    check(5.0 <= segments < 5.2, f"{segments} segments per request of 5 writes")
    equal(congestion(stream.client), "cubic", "the congestion control")
    refused = agent.service(stream.port, "client")["refused"]
    equal({name: number for name, number in refused.items() if number}, {reason: 1}, "reasons counted")
    row, = (flow for flow in agent.flows() if flow["side"] == "client" and flow["remote_port"] == stream.port)
    equal(row["refusal"], reason, "why it is left alone")


def test_route_locked():
    """a route that locks the congestion control"""
    with world() as w:
        w.net.use("cubic", locked=True)
        with Stream(w.net) as stream:
            left_alone(w.agent, stream, "route_locked")
            w.give_back(stream)


# In a PID namespace of its own, as in a container without the host's; signals go on to the agent, which ends with this.
CONTAINED = """
import ctypes, os, signal, sys
libc = ctypes.CDLL(None)
assert not libc.unshare(0x20000000)
pid = os.fork()
if not pid:
    libc.prctl(1, signal.SIGKILL)
    os.execvp("unshare", ["unshare", "--mount-proc", *sys.argv[1:]])
for number in signal.SIGTERM, signal.SIGHUP:
    signal.signal(number, lambda number, _: os.kill(pid, number))
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


def test_observes():
    """an agent that can only observe, forced or in a PID namespace of its own: flows of network namespaces that it does
    not see are counted too, and doctor and status say why"""
    with Cgroup() as group, Net() as net:
        group.enter()
        with Agent(group, PATIENT, ["--without-wrappers"]) as agent, Stream(net) as stream:
            left_alone(agent, stream, "observes")
        agent = Agent(group, PATIENT)
        agent.command = [sys.executable, "-c", CONTAINED, *agent.command]
        with agent, Stream(net) as stream:
            left_alone(agent, stream, "observes")
            equal(agent.status()["agent"]["mode"], "observe", "the mode")
            for command in "doctor", "status":
                said = subprocess.run([build("autocork"), command, "--control", agent.control], capture_output=True,
                                      text=True, check=False).stdout
                check("PID namespace" in said and "hostPID" in said, f"{command}: {said}")


def test_not_in_time():
    """connections that end before the agent has come to them are counted, and keep their service from nothing: those
    that it sees gain"""
    with world() as w:
        port = 47002
        w.agent.process.send_signal(signal.SIGSTOP)
        try:
            for _ in range(20):
                with Stream(w.net, port=port) as stream:
                    stream.exchange(rounds=1)
        finally:
            w.agent.process.send_signal(signal.SIGCONT)
        for side in "client", "server":
            wait_for(lambda side=side: w.agent.service(port, side)["refused"]["not_in_time"] >= 20, 10,
                     "reasons counted")

        def first_request():
            with Stream(w.net, port=port) as stream:
                segments = stream.exchange(rounds=1)
                stream.exchange(rounds=3)
            return segments

        wait_for(lambda: sum(first_request() for _ in range(10)) <= 20, 40,
                 "connections that gain from their first request on")


def struct_ops_links():
    """The links by which wrappers are registered; empty where bpftool or the kernel knows none."""
    links = json.loads(subprocess.run(["bpftool", "-j", "link", "show"], capture_output=True, text=True,
                                      check=True).stdout)
    return {row["id"] for row in links if row["type"] == "struct_ops"}


def test_error():
    """wrappers that somebody else has taken away: the kernel refuses, flows go on, the agent stops cleanly"""
    before = struct_ops_links()
    with world() as w:
        mine = struct_ops_links() - before
        if not mine:
            raise Skip("this kernel has no struct_ops links")
        for link in mine:
            done = subprocess.run(["bpftool", "link", "detach", "id", str(link)], capture_output=True, text=True,
                                  check=False)
            if done.returncode:
                raise Skip(f"this kernel does not detach struct_ops: {done.stderr.strip()}")
        with Stream(w.net) as stream:
            left_alone(w.agent, stream, "error")
            w.give_back(stream)


def test_counted_once():
    """a refusal is not counted again when other flows come and go"""
    with world() as w:
        w.net.use("cubic", locked=True)
        with Stream(w.net) as locked:
            wait_for(lambda: locked.exchange(rounds=50)
                     and (w.agent.service(locked.port, "client") or {"refused": {"route_locked": 0}})
                     ["refused"]["route_locked"], 20, "the refusal")
            w.net.use("cubic")
            for _ in range(3):
                with Stream(w.net) as other:
                    w.learn(other)
                locked.exchange(rounds=50)
            equal(w.agent.service(locked.port, "client")["refused"]["route_locked"], 1, "times counted")


main(globals())
