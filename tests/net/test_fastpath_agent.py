#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""The agent runs autocork-fastpath for `steer = dpdk`: starts it, restarts it, takes it over, stops it."""
import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import time

from agent import Agent
from lib import Net, Skip, build, check, equal, main, program, wait_for

POLICY = """
[policy echo]
ports = 9000
protocol = udp
steer = dpdk
interface = {interface}

[fastpath]
job = reflect
"""


def here(*command):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


@contextlib.contextmanager
def end_of_cable(queues=1):
    """An interface in the agent's own namespace, with a name of this test's, and the namespace at the cable's other
    end."""
    if not os.path.exists(build("autocork-fastpath")):
        raise Skip("autocork-fastpath is not built: no libdpdk-dev")
    name = f"fpt{os.getpid()}"[:15]
    count = ("numrxqueues", str(queues), "numtxqueues", str(queues))
    with Net() as far:
        here("ip", "link", "add", name, *count, "type", "veth", "peer", "name", "cable", *count)
        try:
            here("ip", "link", "set", "cable", "netns", f"/proc/{os.getpid()}/fd/{far.fd}")
            for run, device in (here, name), (far.run, "cable"):
                run("ethtool", "-K", device, "tx", "off")
                run("ip", "link", "set", device, "up")
            here("ip", "addr", "add", "10.78.9.1/24", "dev", name)
            far.ip("addr", "add", "10.78.9.2/24", "dev", "cable")
            yield name, far
        finally:
            subprocess.run([build("autocork"), "steer", "detach", name, "--force"], capture_output=True, check=False)
            here("ip", "link", "del", name)


def echoed(far, port):
    """Does a datagram to the agent's machine come back?"""
    with far.inside():
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with sock:
        sock.settimeout(0.5)
        sock.connect(("10.78.9.1", port))
        try:
            sock.send(b"hello")
            return sock.recv(100) == b"hello"
        except OSError:  # nothing came, or the kernel says that nobody is there
            return False


def state(agent):
    return agent.status()["fastpath"]


def runs(agent, other_than=0):
    """Its process, once it answers for itself."""
    def ready():
        fast = state(agent)
        up = any(one["state"] == "running" and one["pid"] == fast["pid"] for one in fast["instances"])
        return fast["pid"] if up and fast["pid"] != other_than else 0
    return wait_for(ready, 30, "autocork-fastpath to run")


def ended(pid):
    try:
        # A zombie has no command line.
        return not pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return True


def test_life():
    """steered flows are answered, no others; killed, it comes back; the policy gone, it goes"""
    with end_of_cable() as (name, far), Agent(policy=POLICY.format(interface=name)) as agent:
        pid = runs(agent)
        wait_for(lambda: echoed(far, 9000), 20, "an echo on the steered port")
        check(not echoed(far, 9001), "a port that no rule names was answered")
        os.kill(pid, signal.SIGKILL)
        second = runs(agent, pid)
        wait_for(lambda: echoed(far, 9000), 20, "an echo after the restart")
        equal(state(agent)["restarts"], 1, "restarts")
        # Another job is another process.
        agent.write_policy(POLICY.format(interface=name).replace("reflect", "coalesce"))
        agent.ask("reload")
        wait_for(lambda: ended(second), 20, "the old process to end")
        check("pairs" in wait_for(lambda: state(agent)["error"], 5, "an error"), f"{state(agent)}")
        agent.write_policy(POLICY.format(interface=name))
        agent.ask("reload")
        third = runs(agent, second)
        agent.write_policy("")
        agent.ask("reload")
        wait_for(lambda: ended(third), 20, "the process to end")
        equal((state(agent)["wanted"], state(agent)["instances"]), (False, []), "wanted, instances")


def test_queues():
    """several queues of a steered interface: each has its socket, all carry flows, what comes back is what was sent"""
    with end_of_cable(3) as (name, far), Agent(policy=POLICY.format(interface=name)) as agent:
        runs(agent)
        wait_for(lambda: echoed(far, 9000), 20, "an echo on the steered port")
        with far.inside():
            flows = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(40)]
        for number, flow in enumerate(flows):
            with flow:
                flow.settimeout(5)
                flow.connect(("10.78.9.1", 9000))
                for size in 1, 500, 1400:
                    flow.send(bytes([number]) * size)
                    equal(flow.recv(2000), bytes([number]) * size, f"flow {number}")

        def lanes():
            return [lane for one in state(agent)["instances"] for lane in one["queues"]]
        equal([lane["queue"] for lane in lanes()], [0, 1, 2], "queues")
        wait_for(lambda: all(lane["counters"]["tx_packets"] for lane in lanes()), 5, "answers from every queue")
        said = json.loads(subprocess.run([build("autocork"), "steer", "status", name, "--json"], capture_output=True,
                                         text=True,
                                         check=True).stdout)["interfaces"][0]
        equal([queue["consumer"] for queue in said["queues"]], [True] * 3, "queues with a consumer")
        check(said["rules"][0]["packets"] >= 120 and not said["rules"][0]["no_consumer"], f"{said['rules']}")


def test_ping():
    """plain ping checks a deployment: the prober's goes through the fast path, everybody else's to the kernel"""
    probe = POLICY.replace("[fastpath]", """[policy probe]
protocol = icmp
peers = 10.78.9.2
steer = dpdk
interface = {interface}

[fastpath]""")
    with end_of_cable() as (name, far), Agent(policy=probe.format(interface=name)) as agent:
        runs(agent)
        far.ip("addr", "add", "10.78.9.3/24", "dev", "cable")

        def answered():
            return sum(lane["counters"]["tx_packets"] for one in state(agent)["instances"] for lane in one["queues"])

        def pinged(source):
            """How many of three answers the fast path gave."""
            before = answered()
            said = far.run(program("busybox"), "ping", "-c", "3", "-I", source, "10.78.9.1")
            check("3 packets received" in said, said)
            time.sleep(0.6)  # the counters are published four times a second
            return answered() - before
        wait_for(lambda: echoed(far, 9000), 20, "an echo on the steered port")
        time.sleep(0.6)
        equal((pinged("10.78.9.2"), pinged("10.78.9.3")), (3, 0),
              "answers of the fast path to the prober, to somebody else")


def test_take_over():
    """after kill -9 of the agent the process goes on, and the next agent takes it over; a clean stop ends it"""
    with end_of_cable() as (name, far), Agent(policy=POLICY.format(interface=name)) as agent:
        pid = runs(agent)
        agent.kill()
        check(not ended(pid), "the process ended with the agent")
        wait_for(lambda: echoed(far, 9000), 20, "an echo without an agent")
        agent.start()
        equal(runs(agent), pid, "the process")
        agent.stop()
        wait_for(lambda: ended(pid), 10, "the process to end with the agent")


main(globals())
