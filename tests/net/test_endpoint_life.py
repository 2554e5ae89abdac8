#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""The agent ends and starts again while programs run on their own TCP: they go on, are found again, and nothing
stays."""
import contextlib
import os
import signal
import socket
import subprocess
import threading
import time

from agent import ROOT, build
from endpoint import POLICY, PORT, Endpoint, answer, private_mounts
from netns import Pair
from programs import Program
from steering import said
from tap import check, equal, main, wait_for

ECHO = str(ROOT / "tests/net/endpoint_echo.py")


class Life(Endpoint):
    def echo(self, kind="epoll"):
        server = self.run("python3", ECHO, kind, PORT)
        said(server, "ready")
        self.exchange(self.connect())
        wait_for(self.instances, 10, "the program's queue")
        return server

    @staticmethod
    def exchange(connection, size=20000):
        data = os.urandom(size)
        equal(answer(connection, data, size) == data, True, f"{size} bytes come back")

    def steered_exchange(self, connection):
        before = self.steered()
        self.exchange(connection)
        check(self.steered() > before, "it is steered")

    def end_agent(self, how):
        self.keeper.process.send_signal(how)
        self.keeper.process.wait(10)

    def start_agent(self, policy=POLICY):
        self.keeper = self.agent(policy)

    def listeners(self):
        """What the steering's table says of ports, as the kernel has it."""
        path = subprocess.run(["find", "/sys/fs/bpf", "-name", "steer_listeners"], capture_output=True, text=True,
                              check=True).stdout.split()
        dump = subprocess.run(["bpftool", "map", "dump", "pinned", path[0]], capture_output=True, text=True, check=True)
        return dump.stdout.count("key")

    def join(self, queue, kind, *version):
        program = Program(self.b, [build("tests/net/endpoint_join"), "cable", str(queue), kind, *version])
        with program:
            program.process.wait(10)
            return program.output()


def test_found_again():
    """an agent that is stopped, or killed, and started again knows the program, its port and what it has counted"""
    with Life() as point:
        server = point.echo()
        open_before = point.connect()
        point.exchange(open_before)
        for how in signal.SIGKILL, signal.SIGTERM, signal.SIGKILL:
            known = point.instances()[0]
            point.end_agent(how)
            point.steered_exchange(open_before)
            point.steered_exchange(point.connect())
            point.start_agent()
            wait_for(point.instances, 15, "the program to be found again")
            wait_for(lambda known=known: point.instances()[0]["accepted"] > known["accepted"], 10, "its counters")
            found = point.instances()[0]
            for member in "pid", "program", "uid", "interface", "queue", "ports":
                equal(found[member], known[member], member)
            check("is still taken by" in point.keeper.output(), point.keeper.output())
            point.steered_exchange(open_before)
            point.steered_exchange(point.connect())
        equal(point.listeners(), 1, "ports in the steering's table")
        server.process.kill()
        server.process.wait()
        wait_for(lambda: not point.has_consumer(), 10, "the queue to be free")
        wait_for(lambda: not point.instances() and not point.listeners(), 10, "nothing of it")


def test_new_agent_hands_over():
    """a program that forks for each connection: the agent that it has joined moves them, and what was open before
    too"""
    with Life() as point:
        point.echo("fork")
        for _ in range(2):
            point.end_agent(signal.SIGKILL)
            point.start_agent()
            wait_for(point.instances, 15, "the program to be found again")
            before = point.instances()[0]["handed_over"]
            for _ in range(3):
                connection = point.connect()
                point.exchange(connection)
                point.exchange(connection)
            wait_for(lambda before=before: point.instances()[0]["handed_over"] >= before + 3, 10, "hand-overs")
            equal(point.instances()[0]["handover_failed"], 0, "failed ones")


def test_terminated():
    """a signal without a handler: what the program wrote, and the peer has not taken yet, arrives all the same, and
    then the end, as from the kernel"""
    for number in signal.SIGTERM, signal.SIGHUP:
        with Life() as point:
            server = point.echo("threads")
            with point.a.inside():
                client = point.stack.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.settimeout(20)
            client.connect((Pair.B4, PORT))
            data = os.urandom(100000)
            client.sendall(data)
            wait_for(lambda: point.instances()[0]["connections"] >= 1, 20, "it is on the stack")
            time.sleep(1)
            server.process.send_signal(number)
            equal(server.process.wait(20), -number, "how it ended")
            got = b""
            while len(got) < len(data) and (more := client.recv(65536)):
                got += more
            check(got == data, f"{len(got)} of {len(data)} bytes")
            equal(client.recv(1), b"", "the end")


def test_both_are_killed():
    """agent and program are killed, in both orders: the kernel serves, the next agent finds no queue taken and no
    port"""
    with Life() as point:
        for agent_first in True, False:
            server = point.echo()
            if agent_first:
                point.end_agent(signal.SIGKILL)
            else:
                server.process.send_signal(signal.SIGSTOP) # it cannot join
                point.end_agent(signal.SIGKILL)
                point.start_agent()
            server.process.kill()
            server.process.wait()
            wait_for(lambda: not point.has_consumer(), 10, "the queue to be free")
            if agent_first:
                equal(point.listeners(), 1, "what the program left")
                point.start_agent()
            with point.server(PORT):
                equal(point.client(PORT).who(), "kernel", "who serves")
            point.echo().process.kill()
            wait_for(lambda: not point.listeners(), 10, "no port stays")
            wait_for(lambda: not point.instances(), 10, "no program stays")


def test_next_agent_sweeps():
    """what a program left behind while no agent ran is gone once there is one, before anybody asks for the queue"""
    with Life() as point:
        server = point.echo()
        point.end_agent(signal.SIGKILL)
        server.process.kill()
        server.process.wait()
        equal(point.listeners(), 1, "what the program left")
        point.start_agent()
        equal(point.listeners(), 0, "what is left")


def test_not_its_queue():
    """who claims a queue with another socket, while its owner has not come back yet, is refused"""
    with Life() as point:
        server = point.echo()
        server.process.send_signal(signal.SIGSTOP)
        point.end_agent(signal.SIGKILL)
        point.start_agent()
        for queue, kind, word in ((0, "xsk", "it is not this program's"), (0, "tcp", "no AF_XDP socket"),
                                  (4000000000, "xsk", "no AF_XDP socket")):
            check(word in point.join(queue, kind), f"queue {queue}, {kind}: {point.join(queue, kind)}")
        check(not point.instances(), "nobody has joined")
        server.process.send_signal(signal.SIGCONT)
        wait_for(point.instances, 15, "the owner")
        check("is another's now" in point.join(0, "xsk"), "with the owner there")
        point.steered_exchange(point.connect())


def answer_strangely(agent):
    with contextlib.suppress(OSError):
        while True:
            conversation, _ = agent.accept()
            # `autocork run` looks whether somebody is there, and goes.
            with conversation, contextlib.suppress(BrokenPipeError):
                conversation.recv(1 << 16)
                conversation.send(b"an answer of another version")


def test_two_versions():
    """an agent and a library of different versions: each of them says so, and the kernel serves"""
    with Life() as point:
        check("its library is of another version" in point.join(0, "xsk", "1"), "the agent's answer")
        wait_for(lambda: "endpoint_join (pid " in point.keeper.output() and
                 "its library is of another version" in point.keeper.output(), 10, "the agent's log")
        point.end_agent(signal.SIGTERM)
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as agent:
            agent.bind("/run/autocork/endpoint.sock")
            agent.listen()
            thread = threading.Thread(target=answer_strangely, args=(agent,))
            thread.start()
            try:
                server = point.run("python3", ECHO, "epoll", PORT, options=["--verbose"])
                said(server, "autocork: the agent is of another version than this program's library: restart the older "
                             "of the two")
                point.exchange(point.connect())
            finally:
                agent.shutdown(socket.SHUT_RDWR)
                thread.join()


if __name__ == "__main__":
    private_mounts()
    main(globals())
