# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Programs under `autocork run` on the steered side of a cable (steering.py): ports 9000 to 9009 are the endpoint's,
from 9010 on the kernel's."""
import contextlib
import json
import os
import signal
import socket
import subprocess

from agent import SANITIZED, build
from netns import Pair, setns
from programs import Program, wait_port
from steering import Steered, private_mounts
from tap import Skip, check, wait_for

POLICY = "[policy web]\nports = 9000-9009\nsteer = endpoint\ninterface = cable\nmode = off\n"
PORT, KERNEL_PORT = 9000, 9010


class Endpoint(Steered):
    def __init__(self, policy=POLICY, **options):
        if not os.path.exists(build("libautocork-endpoint.so")):
            raise Skip("libautocork-endpoint.so is not built: the source of lwIP is missing")
        super().__init__(**options)
        # A sender's partial checksums would reach the program unfinished (docs/steering.md).
        self.a.run("ethtool", "-K", "cable", "tx", "off")
        if policy:
            self.keeper = self.agent(policy)

    def run(self, *command, port=None, options=(), environment=None):
        """`autocork run` of a program; with a port, once it listens there."""
        program = self.stack.enter_context(Program(self.b, [build("autocork"), "run", *options, "--", *command],
                                                   environment={**SANITIZED, **(environment or {})}))
        if port:
            wait_port(self.b, port, alive=program)
        return program

    def connect(self, port=PORT, address=Pair.B4, net=None):
        with (net or self.a).inside():
            return self.stack.enter_context(socket.create_connection((address, port), timeout=10))

    def command(self, *arguments):
        """`autocork ARGUMENTS --json` in b, its lines."""
        done = subprocess.run([build("autocork"), arguments[0], "--json", *arguments[1:]], capture_output=True,
                              text=True,
                              check=True, preexec_fn=lambda: setns(self.b.fd))
        return [json.loads(line) for line in done.stdout.splitlines()]

    def flows(self):
        return self.command("endpoint", "flows")

    def instances(self):
        """What the agent knows of the programs: the member `endpoint` of its status."""
        def answers():
            return [line for line in self.keeper.output().splitlines() if line.startswith('{"endpoint":')]
        before = len(answers())
        self.keeper.process.send_signal(signal.SIGUSR1)
        wait_for(lambda: len(answers()) > before, 10, "the agent's status")
        return json.loads(answers()[-1])["endpoint"]

    def steered(self):
        return self.status()["packets"]["steered"]

    def accepted(self):
        """Connections that programs' own TCP has accepted so far, by its own counter."""
        return sum(instance["accepted"] for instance in self.instances())

    @contextlib.contextmanager
    def own_tcp(self, connections=1):
        """At least so many connections of this block are the programs' own TCP's, not the kernel's."""
        before = self.accepted()
        yield
        wait_for(lambda: self.accepted() >= before + connections, 30, f"{connections} connections on own TCP")

    def serves(self):
        """The program has its queue and listens there."""
        def taken():
            check(self.keeper.process.poll() is None, f"the agent ended: {self.keeper.output()[-1000:]}")
            return self.has_consumer()
        wait_for(taken, 10, "the program's queue")


def answer(connection, request, size):
    connection.sendall(request)
    got = b""
    while len(got) < size:
        more = connection.recv(65536)
        if not more:
            break
        got += more
    return got


@contextlib.contextmanager
def directory_for(user):
    """A directory that an unprivileged program can use."""
    import pwd
    import tempfile
    with tempfile.TemporaryDirectory() as path:
        os.chmod(path, 0o755)
        os.chown(path, pwd.getpwnam(user).pw_uid, -1)
        yield path


__all__ = ["Endpoint", "KERNEL_PORT", "PORT", "POLICY", "answer", "directory_for", "private_mounts"]
