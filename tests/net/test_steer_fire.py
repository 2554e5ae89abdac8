#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Steering under fire: forged packets, other owners, other names, held locks, full rings. What the tables keep when
they are full is in tests/prog/test_steer.c."""
import fcntl
import json
import os
import re
import resource
import signal
import socket
import struct
import subprocess
import time

from agent import build
from frames import checksum, mac
from netns import Pair
from programs import Program
from steering import Client, Steered, policy, private_mounts, said, udp_who
from tap import check, equal, main, wait_for

SYN, RST, ACK = 0x02, 0x04, 0x10


class Forger:
    """Sends segments in the name of a client of a, to b."""

    def __init__(self, steered):
        with steered.a.inside():
            self.raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        self.raw.bind(("cable", 0))
        self.head = mac(steered.b, "cable") + mac(steered.a, "cable") + b"\x08\x00"

    def send(self, client, flags, sequence, acknowledged=0):
        source, target = client.getsockname(), client.getpeername()
        addresses = socket.inet_aton(source[0]) + socket.inet_aton(target[0])
        tcp = struct.pack("!HHIIBBHHH", source[1], target[1], sequence, acknowledged, 0x50, flags, 65535, 0, 0)
        tcp = tcp[:16] + struct.pack("!H", checksum(addresses + struct.pack("!HH", 6, len(tcp)) + tcp)) + tcp[18:]
        head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), 0, 0, 64, 6, 0) + addresses
        self.raw.send(self.head + head[:10] + struct.pack("!H", checksum(head)) + head[12:] + tcp)


def test_kernel_keeps_its_own():
    """SYNs on a connection that the kernel has move nothing to the consumer"""
    with Steered() as steered:
        steered.server(9000)
        kernel = steered.client(9000)
        equal(kernel.who(), "kernel", "before the rule")
        steered.attach(policy(9000))
        steered.consumer()
        forger = Forger(steered)
        for sequence in 1, 2**31, 12345678, 12345678:
            forger.send(kernel.socket, SYN, sequence)
            equal(kernel.who(), "kernel", f"after a SYN of {sequence}")
        equal(steered.client(9000).who(), "consumer", "a new one")
        equal(steered.rule()["flows_opened"], 1, "connections steered")


def test_steered_stays():
    """resets and SYNs with wrong numbers take nothing from the consumer, also when the rule is gone"""
    with Steered() as steered:
        steered.server(9000)
        steered.attach(policy(9000))
        steered.consumer()
        talk, forger = steered.client(9000), Forger(steered)
        for rules in policy(9000), "[policy none]\nports = 80\nmode = observe\n":
            steered.apply(rules)
            for flags in RST, RST | ACK, SYN, SYN:
                forger.send(talk.socket, flags, int.from_bytes(os.urandom(4), "big"))
                equal(talk.who(), "consumer", f"after flags {flags:#x}")
        equal(steered.status()["closing"], 0, "connections that are taken for closed")


def test_renamed():
    """an interface gets another name, and the policy that name: connections live on, new ones are steered"""
    with Steered() as steered:
        steered.server(9000)
        agent = steered.agent(policy(9000))
        steered.consumer()
        old = steered.client(9000)
        equal(old.who(), "consumer", "before")
        steered.b.ip("link", "set", "cable", "name", "lan1")
        equal(old.who(), "consumer", "renamed")
        steered.reload(agent, policy(9000).replace("cable", "lan1"))
        wait_for(lambda: "lan1: steering is attached" in agent.output(), 10, "steering under the new name")
        equal((old.who(), steered.client(9000).who()), ("consumer", "consumer"), "with the policy")
        check("foreign" not in agent.output() and "another XDP program" not in agent.output(), agent.output())
        status = json.loads(steered.steer("status", "lan1", "--json").stdout)["interfaces"][0]
        equal((status["state"], status["rules"][0]["flows_opened"]), ("attached", 2), "status")
        # By hand, and names that are exchanged.
        agent.stop()
        steered.b.ip("link", "add", "cable", "type", "veth", "peer", "name", "spare")
        steered.write(policy(9001, name="other"))
        steered.steer("attach", "cable", "--policy-dir", steered.directory)
        for before, after in ("lan1", "aside"), ("cable", "lan1"), ("aside", "cable"):
            steered.b.ip("link", "set", before, "name", after)
        equal((old.who(), steered.rule()["flows_opened"]), ("consumer", 2), "names exchanged")
        steered.steer("detach", "lan1")


def test_advice_works():
    """what a refusal advises takes the foreign program away, in each mode and by link"""
    with Steered() as steered:
        steered.write(policy(9000))
        foreign = build("tests/net/xdp_pass.bpf.o")
        for way in "xdpdrv", "xdpgeneric", "link":
            if way == "link":
                holder = Program(steered.b, [build("tests/net/xdp_link"), foreign, "cable"])
                said(holder, "ready")
            else:
                steered.b.ip("link", "set", "dev", "cable", way, "obj", foreign, "sec", "xdp")
            done = steered.steer("attach", "cable", "--policy-dir", steered.directory, check=False)
            equal(done.returncode, 1, f"{way}: {done.stderr}")
            advice = re.findall(r"`([^`]+)`", done.stderr)
            equal(len(advice), 1, f"{way}: {done.stderr}")
            if os.path.exists(build("autocork-fastpath")):
                refused = subprocess.run(["nsenter", f"--net=/proc/{steered.b.resident.pid}/ns/net",
                                          build("autocork-fastpath"), "-i", "cable", "-j", "reflect"],
                                         capture_output=True, text=True, check=False, timeout=60)
                check(advice[0] in refused.stderr, f"{way}: autocork-fastpath: {refused.stderr}")
            steered.b.run(*advice[0].split())
            steered.steer("attach", "cable", "--policy-dir", steered.directory)
            steered.steer("detach", "cable")
            if way == "link":
                holder.stop()


def test_lock_held():
    """whoever holds the lock holds up no agent, and is named"""
    with Steered() as steered:
        with open("/run/autocork/steer.lock", "w", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            start = time.monotonic()
            agent = steered.agent(policy(9000))
            for _ in range(3):
                steered.reload(agent, policy(9000))
            check(time.monotonic() - start < 15, "the agent waited for the lock")
            wait_for(lambda: f"process {os.getpid()} (" in agent.output(), 10, f"the holder's name: {agent.output()}")
            equal(agent.output().count("holds it"), 1, "said once")
            refused = steered.steer("status", check=False)
            equal((refused.returncode, f"process {os.getpid()} (" in refused.stderr), (1, True), refused.stderr)
        wait_for(lambda: "steering is attached" in agent.output(), 10, "steering once the lock is free")
        equal(steered.rule()["state"], "active", "the rule")


def test_second_owner():
    """a second agent with other policies, and the command line, change nothing of what the first one steers"""
    with Steered() as steered:
        first = steered.agent(policy(9000))
        steered.write(policy(9001, name="other"))
        with Program(steered.b, [build("tests/net/steer_agent"), steered.directory]) as second:
            said(second, "ready")
            check(f"process {first.process.pid} (" in second.output() and "policies of its own" in second.output(),
                  second.output())
            equal([rule["policy"] for rule in steered.status()["rules"]], ["steered"], "rules")
            for action in "apply", "attach":
                refused = steered.steer(action, "cable", "--policy-dir", steered.directory, check=False)
                equal((refused.returncode, f"process {first.process.pid} (" in refused.stderr), (1, True),
                      f"{action}: {refused.stderr}")
            # One that has no policy for it takes nothing away either.
            steered.reload(second, "[policy none]\nports = 80\nmode = observe\n")
            equal([(rule["policy"], rule["state"]) for rule in steered.status()["rules"]], [("steered", "active")],
                  "rules")
            first.stop()
            steered.reload(second, policy(9001, name="other"))
            equal([rule["policy"] for rule in steered.status()["rules"] if rule["state"] == "active"], ["other"],
                  "rules when the first has gone")


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        words = file.read().rsplit(")", 1)[1].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def test_no_descriptors():
    """a client that cannot be accepted waits; the agent does not spin, and says why"""
    with Steered() as steered:
        agent = steered.agent(policy(9000))
        pid = agent.process.pid
        limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        used = {int(name) for name in os.listdir(f"/proc/{pid}/fd")}
        free = min(set(range(len(used) + 1)) - used)  # the number that the next descriptor would get
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (free, limits[1]))
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
            client.connect("/run/autocork/afxdp.sock")
            wait_for(lambda: "allow the agent more open files" in agent.output(), 10, "the reason")
            before = cpu_seconds(pid)
            time.sleep(2)
            check(cpu_seconds(pid) - before < 0.4, f"{cpu_seconds(pid) - before} s of CPU in 2 s")
            resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
            client.settimeout(10)
            client.send(b"/connect,host")
            equal(client.recv(100), b"/host_ok", "the answer")


def test_few_descriptors():
    """an agent that may open too few files says so, and steers once it may open more"""
    for most in 8, 16, 36:
        with Steered() as steered:
            steered.write(policy(9000))
            with Program(steered.b, ["prlimit", f"--nofile={most}:200", build("tests/net/steer_agent"),
                                     steered.directory]) as agent:
                said(agent, "ready")
                check("allow it more open files" in agent.output() and "root" not in agent.output(),
                      f"{most}: {agent.output()}")
                resource.prlimit(agent.process.pid, resource.RLIMIT_NOFILE, (200, 200))
                steered.reload(agent, policy(9000))
                wait_for(lambda: "steering is attached" in agent.output(), 10, f"{most}: steering: {agent.output()}")


def test_losses_are_counted():
    """what a consumer that stands, or whose buffers are too small, does not get is counted as lost, with the reason"""
    with Steered(mtu=9000) as steered:
        steered.server(9000)
        steered.attach(policy(9000, protocol="udp"), "--mode", "generic")
        consumer = steered.consumer()
        equal(udp_who(steered.a, Pair.B4, 9000), "consumer", "before")
        before = steered.status()["packets"]
        with steered.a.inside():
            client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        client.sendto(b"x" * 4000, (Pair.B4, 9000))
        wait_for(lambda: steered.status()["packets"]["lost_size"] == 1, 10, "the packet that does not fit")
        equal(steered.status()["packets"]["steered"], before["steered"], "it is not steered")
        consumer.process.send_signal(signal.SIGSTOP)
        for _ in range(5000):
            client.sendto(b"hello", (Pair.B4, 9000))

        def sums():
            now = steered.status()["packets"]
            return now["lost_ring"] + now["lost_buffer"], now["steered"] - before["steered"]
        wait_for(lambda: sum(sums()) >= 5000, 10, "5,000 packets")
        lost, got = sums()
        check(lost > 3000 and lost + got == 5000, f"{lost} lost and {got} steered of 5000")
        equal(steered.rule()["lost"], lost + 1, "the rule's losses")
        check("lost: " in steered.steer("status", "cable").stdout, "the status says why")
        consumer.process.send_signal(signal.SIGCONT)
        client.close()


def test_only_ours():
    """packets for addresses of others are the kernel's, unless `transit = yes`; an address that comes is ours"""
    with Steered() as steered:
        other = "10.77.0.50"
        steered.a.ip("neigh", "replace", other, "lladdr", mac(steered.b, "cable").hex(":"), "dev", "cable")
        agent = steered.agent(policy(9000, protocol="any"))
        steered.consumer()
        equal(udp_who(steered.a, Pair.B4, 9000), "consumer", "our own address")
        equal(udp_who(steered.a, other, 9000), None, "another's")
        check(steered.status()["packets"]["transit"] >= 3, "they are counted")
        steered.reload(agent, policy(9000, protocol="any", more="transit = yes\n"))
        equal(udp_who(steered.a, other, 9000), "consumer", "with transit = yes")
        steered.reload(agent, policy(9000, protocol="any"))
        equal(udp_who(steered.a, other, 9000, tries=1), None, "without it again")
        steered.b.ip("addr", "add", other + "/24", "dev", "cable")
        wait_for(lambda: udp_who(steered.a, other, 9000, tries=1) == "consumer", 10, "the address that came")
        equal(Client(steered.a, other, 9000).who(), "consumer", "TCP to it")
        steered.b.ip("addr", "del", other + "/24", "dev", "cable")
        wait_for(lambda: udp_who(steered.a, other, 9000, tries=1) is None, 10, "the address that went")
        steered.a.ip("neigh", "replace", Pair.B4, "lladdr", "02:00:00:00:00:99", "dev", "cable")
        steered.b.ip("link", "set", "cable", "promisc", "on")
        equal(udp_who(steered.a, Pair.B4, 9000, tries=1), None, "a frame for another station")


if __name__ == "__main__":
    if not os.geteuid():
        private_mounts()
    main(globals())
