# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Steering under test: a cable between a client (net `a`) and a steered machine (net `b`, interface `cable`), the
command line and the agent's steering part in b, kernel servers and consumers that answer differently. Pins are in a
bpffs of this process's own."""
import contextlib
import ctypes
import json
import os
import signal
import socket
import subprocess
import tempfile
import threading

from agent import build
from netns import Pair, _call, setns
from programs import Program
from tap import check, wait_for

CLONE_NEWNS = 0x20000
POLICY = "[policy {name}]\nports = {ports}\nsteer = af_xdp\ninterface = cable\nprotocol = {protocol}\n"


FRESH = {"/sys/fs/bpf": "bpf", "/run/autocork": "tmpfs"}


def private_mounts():
    """Mounts from here on are this process's own, and end with it."""
    _call("unshare", CLONE_NEWNS)
    os.makedirs("/run/autocork", exist_ok=True)
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)


def policy(ports, name="steered", protocol="tcp", more=""):
    return POLICY.format(ports=ports, name=name, protocol=protocol) + more


class KernelServer:
    """A TCP and UDP server behind the kernel's stack: answers with '!' in front."""

    def __init__(self, net, port, address="::"):
        self.stopping = False
        with net.inside():
            self.tcp = socket.create_server((address, port), family=socket.AF_INET6, dualstack_ipv6=True)
            self.udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
            self.udp.bind((address, port))
        threading.Thread(target=self._accept, daemon=True).start()
        threading.Thread(target=self._datagrams, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        for sock in self.tcp, self.udp:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                peer = self.tcp.accept()[0]
                threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    @staticmethod
    def _serve(peer):
        with contextlib.suppress(OSError), peer:
            while data := peer.recv(65536):
                peer.sendall(b"!" + data)

    def _datagrams(self):
        with contextlib.suppress(OSError):
            while True:
                data, peer = self.udp.recvfrom(65536)
                if not peer: # shut down
                    return
                self.udp.sendto(b"!" + data, peer)


class Client:
    """A connection from a to b; who() tells which side of the steering answers."""

    def __init__(self, net, address, port):
        with net.inside():
            self.socket = socket.create_connection((address, port), timeout=5)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.socket.close()

    def who(self):
        self.socket.sendall(b"hello")
        answer = self.socket.recv(100)
        return {b"HELLO": "consumer", b"!hello": "kernel"}.get(answer, repr(answer))


def udp_who(net, address, port, size=5, tries=3):
    """Who answers a datagram; None if nobody."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with net.inside():
        client = socket.socket(family, socket.SOCK_DGRAM)
    data = (b"hello" * size)[:size]
    with client:
        client.settimeout(1)
        for _ in range(tries):
            client.sendto(data, (address, port))
            try:
                answer = client.recv(65536)
            except (TimeoutError, ConnectionRefusedError):
                continue
            return {data.swapcase(): "consumer", b"!" + data: "kernel", data: "mirror"}.get(answer, repr(answer))
    return None


class Steered:
    def __init__(self, **options):
        self.stack = contextlib.ExitStack()
        # libxdp, too, pins by the number of the interface, which is the same in every namespace.
        for path, kind in FRESH.items():
            subprocess.run(["mount", "-t", kind, kind, path], check=True)
            self.stack.callback(subprocess.run, ["umount", "-l", path], check=True)
        self.pair = self.stack.enter_context(Pair(**options))
        self.a, self.b = self.pair.a, self.pair.b
        self.directory = self.stack.enter_context(tempfile.TemporaryDirectory())

    def __enter__(self):
        return self

    def __exit__(self, *error):
        with self.stack:
            self.steer("detach", "cable", "--force", check=False)

    def write(self, text):
        with open(os.path.join(self.directory, "test.conf"), "w", encoding="ascii") as file:
            file.write(text)

    def steer(self, *arguments, check=True, net=None):
        """`autocork steer …` in b: what it printed and its exit code."""
        done = subprocess.run([build("autocork"), "steer", *arguments], capture_output=True, text=True, check=False,
                              preexec_fn=lambda: setns((net or self.b).fd))
        if check and done.returncode:
            raise AssertionError(f"steer {' '.join(arguments)}: {done.returncode}: {done.stdout}{done.stderr}")
        return done

    def attach(self, text, *more):
        self.write(text)
        return self.steer("attach", "cable", "--policy-dir", self.directory, *more)

    def apply(self, text):
        self.write(text)
        return self.steer("apply", "cable", "--policy-dir", self.directory)

    def status(self):
        return json.loads(self.steer("status", "cable", "--json").stdout)["interfaces"][0]

    def rule(self, name="steered"):
        return next((rule for rule in self.status()["rules"] if rule["policy"] == name), None)

    def has_consumer(self):
        return any(queue["consumer"] for queue in self.status()["queues"])

    def server(self, port):
        return self.stack.enter_context(KernelServer(self.b, port))

    def consumer(self, *more, queue=0):
        """Started, and its socket in the map."""
        program = Program(self.b, [build("tests/net/steer_consumer"), "cable", queue, *more])
        self.stack.callback(lambda: program.process.poll() is None and program.stop())
        said(program, "ready")
        return program

    def agent(self, text, net=None):
        self.write(text)
        program = Program(net or self.b, [build("tests/net/steer_agent"), self.directory])
        self.stack.callback(lambda: program.process.poll() is None and program.stop())
        said(program, "ready")
        return program

    def reload(self, agent, text):
        self.write(text)
        count = agent.output().count("reloaded\n")
        agent.process.send_signal(signal.SIGHUP)
        wait_for(lambda: agent.output().count("reloaded\n") > count, 10, "reload")

    def client(self, port, address=Pair.B4):
        return self.stack.enter_context(Client(self.a, address, port))


def said(program, line):
    def there():
        check(program.process.poll() is None, f"{program.command[0]} ended: {program.output()[-2000:]}")
        return f"{line}\n" in program.output()
    wait_for(there, 20, f"'{line}' of {program.command[0]}")
