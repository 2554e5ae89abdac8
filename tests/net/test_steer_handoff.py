#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Every door through which a consumer gets the steered flows (docs/steering.md), with dpdk-testpmd as Debian ships it,
and with a client that speaks the AF_XDP device plugin's handshake as newer DPDK does."""
import contextlib
import os
import signal
import socket
import subprocess

from netns import Pair
from programs import Program, program
from steering import Steered, policy, private_mounts, said, udp_who
from tap import Skip, check, equal, main, wait_for

SOCKET = "/run/autocork/afxdp.sock"


@contextlib.contextmanager
def testpmd(steered, devargs="", interface="cable"):
    """dpdk-testpmd that sends every packet back to where it came from; no option of ours but the interface."""
    command = [program("dpdk-testpmd"), "-l", "0,1", "--no-huge", "--no-shconf", "-m", "256", "--no-pci",
               "--no-telemetry", "--vdev", f"net_af_xdp0,iface={interface}{devargs}", "--", "--forward-mode=5tswap",
               "--auto-start", "--stats-period=60", "--nb-cores=1", "--total-num-mbufs=8192"]
    pmd = Program(steered.b, command)
    try:
        def forwards():
            check(pmd.process.poll() is None, f"testpmd ended:\n{pmd.output()[-3000:]}")
            return "Port 0: link state" in pmd.output() or "NIC statistics" in pmd.output()
        wait_for(forwards, 60, "testpmd")
        yield pmd
    finally:
        if pmd.process.poll() is None:
            pmd.stop()


def prepare(steered):
    """A sender's partial checksums would come back unfinished: the classic trap of veth (docs/steering.md)."""
    steered.a.run("ethtool", "-K", "cable", "tx", "off")
    steered.server(9001)


def mirrored(steered, port=9000):
    return wait_for(lambda: udp_who(steered.a, Pair.B4, port), 20, f"an answer on port {port}")


def test_testpmd():
    """an unmodified testpmd with only iface= gets what the rules name, survives kill -9, and detaches nothing"""
    with Steered() as steered:
        prepare(steered)
        steered.attach(policy(9000, protocol="udp"))
        identity = steered.status()["program_id"]
        with testpmd(steered) as pmd:
            check(steered.has_consumer(), "the consumer is seen")
            equal(mirrored(steered), "mirror", "the steered port")
            equal(udp_who(steered.a, Pair.B4, 9001), "kernel", "the other port")
            pmd.process.send_signal(signal.SIGKILL)
            pmd.process.wait()
        wait_for(lambda: not steered.has_consumer(), 10, "the end of the consumer")
        equal(steered.status()["state"], "attached", "after kill -9")
        with testpmd(steered):
            equal(mirrored(steered), "mirror", "after the restart")
        status = steered.status()
        equal((status["state"], status["program_id"]), ("attached", identity), "after its clean end")
        check(steered.rule()["packets"] >= 2, f"hits: {steered.rule()}")


def test_l2fwd():
    """DPDK's l2fwd, built from Debian's examples as it is, gets every packet that the rule names and sends it on"""
    source = "/usr/share/dpdk/examples/l2fwd/main.c"
    if not os.path.exists(source):
        raise Skip("DPDK's examples are not installed: dpdk-doc")
    with Steered() as steered:
        prepare(steered)
        steered.attach(policy(9000, protocol="udp"))
        file = os.path.join(steered.directory, "l2fwd")
        flags = [subprocess.run(["pkg-config", what, "libdpdk"], capture_output=True, text=True,
                                check=True).stdout.split()
                 for what in ("--cflags", "--libs")]
        subprocess.run(["gcc", "-O1", *flags[0], source, "-o", file, *flags[1]], check=True)
        with Program(steered.b, [file, "-l", "0", "--no-huge", "--no-shconf", "-m", "256", "--no-pci", "--no-telemetry",
                                 "--vdev", "net_af_xdp0,iface=cable", "--", "-p", "1", "--no-mac-updating"]) as l2fwd:
            def forwards():
                check(l2fwd.process.poll() is None, f"l2fwd ended:\n{l2fwd.output()[-3000:]}")
                return steered.has_consumer() and "entering main loop" in l2fwd.output()
            wait_for(forwards, 90, "l2fwd")
            with steered.a.inside():
                back = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
                client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            back.bind(("cable", 0x0800))
            back.settimeout(20)
            for number in range(10):
                client.sendto(b"l2fwd %d" % number, (Pair.B4, 9000))
            seen = set()
            while len(seen) < 10:
                frame, address = back.recvfrom(2000)
                if address[2] != socket.PACKET_OUTGOING and b"l2fwd " in frame:
                    seen.add(frame[frame.index(b"l2fwd "):][:7])
            equal((len(seen), steered.rule()["packets"]), (10, 10), "packets")
            back.close(), client.close()
            equal(udp_who(steered.a, Pair.B4, 9001), "kernel", "the other port")


def test_xdp_prog():
    """testpmd loads the exported object by xdp_prog= and shares the tables by their pins; rules change under it"""
    with Steered() as steered:
        prepare(steered)
        file = os.path.join(steered.directory, "steer.bpf.o")
        steered.steer("export", file)
        steered.attach(policy(9000, protocol="udp"), "--mode", "share")
        equal(steered.status()["state"], "not attached", "before")
        with testpmd(steered, f",xdp_prog={file}"):
            equal(steered.status()["state"], "shared", "state")
            check(steered.has_consumer(), "the consumer is seen")
            equal(mirrored(steered), "mirror", "the steered port")
            equal(udp_who(steered.a, Pair.B4, 9001), "kernel", "the other port")
            steered.apply(policy(9001, protocol="udp"))
            equal(mirrored(steered, 9001), "mirror", "after a change of rules")
            check(steered.status()["packets"]["steered"] >= 2, "its packets are counted in the tables")
        steered.b.run("ip", "link", "set", "dev", "cable", "xdp", "off", check=False)
        steered.steer("detach", "cable")
        left = [name for name in os.listdir("/sys/fs/bpf") if name.startswith(("steer_", "xsks_"))]
        equal(left, [], "pins left")


def test_pinned_map():
    """the pinned map (DPDK's use_pinned_map) is all that a consumer needs"""
    with Steered() as steered:
        steered.server(9000)
        steered.attach(policy(9000))
        path = steered.status()["xsks_map"]
        steered.consumer("pinned", path)
        equal(steered.client(9000).who(), "consumer", "port 9000")


def test_handshake():
    """a consumer that gets the map from the agent's socket (DPDK's use_cni) needs nothing else"""
    with Steered() as steered:
        steered.server(9000)
        steered.agent(policy(9000))
        equal(os.stat(SOCKET).st_mode & 0o777 in (0o600, 0o660), True, "its permissions")
        steered.consumer("handoff", SOCKET)
        equal(steered.client(9000).who(), "consumer", "port 9000")


def ask(*requests):
    """The answers of one conversation, with the number of descriptors each brought; None where the server hung up."""
    answers = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
        server.settimeout(5)
        server.connect(SOCKET)
        for request in requests:
            try:
                server.send(request)
                data, fds, _, _ = socket.recv_fds(server, 1000, 4)
            except (BrokenPipeError, ConnectionResetError):
                data, fds = b"", []
            for fd in fds:
                os.close(fd)
            answers.append((data.decode(), len(fds)) if data else None)
    return answers


def test_handshake_rules():
    """the handshake's order is kept, nonsense is refused, and the agent lives through all of it"""
    with Steered() as steered:
        agent = steered.agent(policy(9000))
        equal(ask(b"/connect,host", b"/version", b"/xsk_map_fd,cable", b"/fin", b"/version"),
              [("/host_ok", 0), ("0.1", 0), ("/fd_ack", 1), ("/fin_ack", 0), None], "a conversation")
        equal(ask(b"/connect,host", b"/xsk_map_fd, cable"), [("/host_ok", 0), ("/fd_ack", 1)], "a space first")
        for name in b"nothere", b"../../../etc", b"", b"x" * 100, b"a/b", b"lo":
            equal(ask(b"/connect,host", b"/xsk_map_fd," + name)[1], ("/fd_nak", 0), f"interface {name}")
        equal(ask(b"/xsk_map_fd,cable", b"/version"), [("/host_nak", 0), None], "without /connect")
        equal(ask(b"/connect,host", b"/dance", b"/config_busy_poll,1,2"),
              [("/host_ok", 0), ("/nak", 0), ("/nak", 0)], "unknown requests")
        equal(ask(b"/connect," + b"x" * 300), [None], "a request that is too long")
        equal(ask(b"/connect,host", b"\0\xff" * 20), [("/host_ok", 0), ("/nak", 0)], "nonsense")
        idle = []
        for _ in range(20):
            client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            client.connect(SOCKET)
            idle.append(client)
        wait_for(lambda: "more than" in agent.output(), 10, "the limit of clients")
        for client in idle:
            client.close()
        wait_for(lambda: ask(b"/connect,host")[0] == ("/host_ok", 0), 10, "an answer after the crowd")
        # A descriptor sent along must not pile up in the agent.
        def descriptors():
            return len(os.listdir(f"/proc/{agent.process.pid}/fd"))
        before = wait_for(descriptors)
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server, open("/dev/null", "rb") as null:
            server.connect(SOCKET)
            for _ in range(50):
                socket.send_fds(server, [b"/connect,host"], [null.fileno()])
                server.recv(100)
        wait_for(lambda: descriptors() <= before + 1, 10, "descriptors dropped")


if __name__ == "__main__":
    if not os.geteuid():
        private_mounts()
    main(globals())
