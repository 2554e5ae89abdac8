#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""mTCP's programming interface on the stack: the two examples of docs/examples/mtcp over a cable, and what the agent
sees."""
import os
import signal
import subprocess
import tempfile
import time

from agent import build
from endpoint import POLICY, PORT, Endpoint, answer, private_mounts
from netns import Pair, setns
from programs import Program, wait_port
from tap import Skip, check, equal, main, wait_for

CONFIG = "io = {io}\nport = {port}\nnum_cores = {cores}\nmax_concurrency = {most}\nrcvbuf = 65536\nsndbuf = 65536\n"


def cpu_ticks(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        return sum(map(int, file.read().rsplit(")", 1)[1].split()[11:13]))


class Examples(Endpoint):
    def __init__(self, cores=1, most=2000, io="af_xdp", more="", **options):
        if os.cpu_count() < cores:
            raise Skip(f"{cores} CPUs are needed")
        super().__init__(**options)
        self.cores = cores
        folder = self.stack.enter_context(tempfile.TemporaryDirectory())
        self.server_config = self.config(folder, "server", "cable", cores, most, io, more)
        self.client_config = self.config(folder, "client", "lo", 1, 5000, "af_xdp", "")

    @staticmethod
    def config(folder, name, interface, cores, most, io, more):
        path = os.path.join(folder, name + ".ini")
        with open(path, "w", encoding="utf-8") as file:
            file.write(CONFIG.format(io=io, port=interface, cores=cores, most=most) + more)
        return path

    def start(self, port=PORT):
        server = self.stack.enter_context(Program(self.b,
                                                  [build("tests/net/mtcp_server"), self.server_config, str(port)]))
        wait_port(self.b, port, alive=server)
        return server

    def client(self, connections, requests, size, port=PORT):
        done = subprocess.run([build("tests/net/mtcp_client"), self.client_config, Pair.B4, str(port), str(connections),
                               str(requests), str(size)], capture_output=True, text=True, timeout=60, check=False,
                              preexec_fn=lambda: setns(self.a.fd))
        check(done.returncode == 0 and f"{connections} connections" in done.stdout, done.stdout + done.stderr)


def test_examples():
    """client and server in mTCP's style, the server on its own TCP: few and many connections, short and long
    messages"""
    with Examples() as point:
        server = point.start()
        wait_for(lambda: len(point.instances()) == 1, 10, "the context's queue")
        for connections, requests, size in (1, 500, 64), (16, 200, 64), (1000, 3, 200), (4, 5, 300000):
            before = point.steered()
            point.client(connections, requests, size)
            check(point.steered() > before + connections * requests, "they are steered")
        wait_for(lambda: point.instances()[0]["accepted"] == 1021, 10, "all counted")
        equal((point.instances()[0]["program"], point.instances()[0]["ports"]), ("mtcp_server", [PORT]), "who serves")
        check("kernel's TCP serves" not in server.output(), server.output())
        # What a client of another kind sees, with data in both directions at its end.
        connection = point.connect()
        equal(answer(connection, b"z" * 5000, 5000), b"z" * 5000, "echo")
        connection.shutdown(1)
        equal(connection.recv(1), b"", "its end")
        server.process.send_signal(signal.SIGTERM)
        equal(server.process.wait(10), 0, "the server's end")
        wait_for(lambda: not point.has_consumer(), 10, "the queue to be free")


def test_two_cores():
    """two contexts in one process, a TCP and a queue each, on one port"""
    with Examples(cores=2, policy=None) as point:
        for net in point.a, point.b:
            net.run("ethtool", "-L", "cable", "rx", "2", "tx", "2")
        point.keeper = point.agent(POLICY)
        server = point.start()
        wait_for(lambda: len(point.instances()) == 2, 10, "two queues")
        point.client(64, 50, 64)
        found = {i["queue"]: i["accepted"] for i in point.instances()}
        wait_for(lambda: sum(i["accepted"] for i in point.instances()) == 64, 10, f"all counted: {found}")
        equal({i["pid"] for i in point.instances()}, {server.process.pid}, "one process")
        check(all(i["accepted"] for i in point.instances()), f"both serve: {point.instances()}")
        server.process.send_signal(signal.SIGINT)
        equal(server.process.wait(10), 0, "the server's end")
        wait_for(lambda: not point.has_consumer(), 10, "the queues to be free")


def test_its_end_with_open_connections():
    """a context that is destroyed, and a process that is killed, leave no queue and no connection behind"""
    with Examples() as point:
        for how, gone in (signal.SIGTERM, (b"",)), (signal.SIGKILL, (b"", None)):
            server = point.start()
            wait_for(point.instances, 10, "the context's queue")
            connection = point.connect()
            equal(answer(connection, b"abc", 3), b"abc", "echo")
            server.process.send_signal(how)
            server.process.wait(10)
            try:
                connection.sendall(b"x" if how == signal.SIGKILL else b"")
                got = connection.recv(1)
            except ConnectionError:
                got = None
            check(got in gone, f"{how}: {got}")
            wait_for(lambda: not point.has_consumer(), 10, "the queue to be free")


def test_bounds():
    """max_concurrency holds: connections beyond it wait, and are served when others have ended"""
    with Examples(most=10) as point:
        point.start()
        wait_for(point.instances, 10, "the context's queue")
        first = [point.connect() for _ in range(8)] # with the listener and the epoll set: 10
        for connection in first:
            equal(answer(connection, b"abc", 3), b"abc", "echo")
        first.pop().close()
        equal(answer(point.connect(), b"later", 5), b"later", "in its place")


def test_kernel_serves_where_it_must():
    """a port without a policy, another interface than the policy's: a line that says why, and the kernel's TCP
    serves"""
    with Examples() as point:
        other = point.start(9100)
        point.client(4, 10, 64, 9100)
        point.server_config = point.client_config # port = lo
        wrong = point.start()
        point.client(4, 10, 64)
        equal(point.steered(), 0, "steered packets")
        for server, word in ((other, "port 9100: no policy gives it to an endpoint"),
                             (wrong, "port 9000: no policy gives it to an endpoint on lo")):
            check(word in server.output() and "the kernel's TCP serves it" in server.output(), server.output())


def test_dpdk():
    """io = dpdk: the same programs, the server's queue by DPDK's AF_XDP driver, over steer = af_xdp; idle, it sleeps;
    its end leaves nothing"""
    if not os.path.exists(build("libautocork-ring-dpdk.so")):
        raise Skip("libautocork-ring-dpdk.so is not built: DPDK is missing")
    with Examples(io="dpdk", policy=POLICY.replace("steer = endpoint", "steer = af_xdp")) as point:
        server = point.start()
        wait_for(point.has_consumer, 20, "DPDK's socket in the steering")
        for connections, requests, size in (16, 50, 64), (4, 5, 300000):
            before = point.steered()
            point.client(connections, requests, size)
            check(point.steered() > before + connections * requests, "they are steered")
        check("kernel's TCP serves" not in server.output(), server.output())
        connection = point.connect()
        equal(answer(connection, b"z" * 5000, 5000), b"z" * 5000, "echo")
        before = cpu_ticks(server.process.pid)
        time.sleep(0.5)
        check(cpu_ticks(server.process.pid) - before < 20, "it sleeps while nothing comes")
        server.process.send_signal(signal.SIGTERM)
        equal(connection.recv(1), b"", "an end that is none by reset")
        equal(server.process.wait(10), 0, "the server's end")
        wait_for(lambda: not point.has_consumer(), 10, "the queue to be free")


def test_dpdk_with_a_device_of_its_own_choice():
    """dpdk_args: a device that is not the interface's is refused; one with other values is used"""
    if not os.path.exists(build("libautocork-ring-dpdk.so")):
        raise Skip("libautocork-ring-dpdk.so is not built: DPDK is missing")
    base = "dpdk_args = --no-pci --no-huge -m 96 --vdev="
    with Examples(io="dpdk", more=base + "net_null0\n", policy=None) as point:
        done = subprocess.run([build("tests/net/mtcp_server"), point.server_config, str(PORT)], capture_output=True,
                              text=True, timeout=60, check=False, preexec_fn=lambda: setns(point.b.fd))
        check(done.returncode and "is not cable: name as port the interface" in done.stderr, done.stderr)
    with Examples(io="dpdk", more=base + "net_af_xdp7,iface=cable,busy_budget=0\n",
                  policy=POLICY.replace("steer = endpoint", "steer = af_xdp")) as point:
        point.start()
        wait_for(point.has_consumer, 20, "DPDK's socket in the steering")
        point.client(8, 20, 1000)
        check(point.steered() > 160, "they are steered")


if __name__ == "__main__":
    private_mounts()
    main(globals())
