#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Programs on their own TCP over a road that loses, repeats and reorders packets, both ways, beside the same programs
on the kernel's: every byte arrives."""
import os
import pathlib
import socket
import subprocess
import sys
import threading
import time

from agent import ROOT, build
from endpoint import KERNEL_PORT, PORT, Endpoint, private_mounts
from fastpath import cable
from netns import Net, Pair, setns
from programs import Program, program, wait_port
from steering import said
from tap import check, equal, main, wait_for

ECHO = str(ROOT / "tests/net/endpoint_echo.py")
SPOIL = "200", "200", "400"     # per 10,000: lost, sent twice, overtaken
PATIENCE = 100


class Spoiled(Endpoint):
    """The client is a third namespace, `a`, behind two forwarders: one spoils what it sends, one what it gets."""

    def __init__(self):
        super().__init__()
        middle = self.a
        self.a = self.stack.enter_context(Net())
        cable(self.a, "cable", middle, "left")
        cable(middle, "between", middle, "behind")
        # The kernel's server must send whole checksums and no long frames, as the forwarders know no other.
        self.b.run("ethtool", "-K", "cable", "tx", "off")
        middle.ip("addr", "flush", "dev", "cable")
        self.a.ip("addr", "add", Pair.A4 + "/24", "dev", "cable")
        self.a.ip("addr", "add", Pair.A6 + "/64", "dev", "cable", "nodad")
        self.forwarders = [self.stack.enter_context(Program(middle, [build("tests/net/lossy"), *names, *SPOIL, seed]))
                           for seed, names in ((11, ("left", "between")), (12, ("cable", "behind")))]
        for forwarder in self.forwarders:
            said(forwarder, "ready")

    def spoiled(self):
        """What the forwarders did, having ended them."""
        for forwarder in self.forwarders:
            forwarder.process.terminate()
            words = forwarder.wait().split()[1:]
            did = dict(zip(words[::2], map(int, words[1::2])))
            check(did["lost"] and did["repeated"] and did["reordered"], f"the forwarder spoils packets: {did}")

    def both(self, work):
        """work(port) with the program's own TCP, then with the kernel's; says how long each took."""
        took = []
        for port in PORT, KERNEL_PORT:
            begun = time.monotonic()
            work(port)
            took.append(time.monotonic() - begun)
        print(f"# {sys._getframe(1).f_code.co_name}: own TCP {took[0]:.1f} s, the kernel's {took[1]:.1f} s")


def at_once(count, work):
    failed = []

    def guarded(number):
        try:
            work(number)
        except BaseException as error:  # shown by the test's own thread
            failed.append(f"{number}: {type(error).__name__}: {error}")
    threads = [threading.Thread(target=guarded, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    check(not failed, "; ".join(failed))


def connect(point, port, address):
    with point.a.inside():
        return socket.create_connection((address, port), timeout=PATIENCE)


def echoes(point, port, address, sizes):
    """Sends from one thread while another reads: large messages fill both directions."""
    with connect(point, port, address) as connection:
        for size in sizes:
            data, got = os.urandom(size), b""
            sender = threading.Thread(target=connection.sendall, args=(data,))
            sender.start()
            while len(got) < size and (more := connection.recv(1 << 16)):
                got += more
            sender.join()
            equal(got == data, True, f"{size} bytes come back: {len(got)}")
        connection.shutdown(socket.SHUT_WR)
        equal(connection.recv(1), b"", "the server's end")


def servers(point, kind):
    for port in PORT, KERNEL_PORT:
        command = ["python3", ECHO, kind, port]
        said(point.run(*command) if port == PORT else point.stack.enter_context(Program(point.b, command)), "ready")


def test_echo():
    """eight connections that send both ways, IPv4 and IPv6, small and large messages"""
    with Spoiled() as point:
        servers(point, "epoll")
        point.serves()
        with point.own_tcp(8):
            point.both(lambda port: at_once(8, lambda number: echoes(
                point, port, Pair.B6 if number % 2 else Pair.B4, (1, 64, 1460, 20000, 200000, 1, 5000))))
        wait_for(lambda: point.instances()[0]["retransmitted"], 10, "lost packets that are sent again, counted")
        point.spoiled()


def test_moves():
    """a server that forks for each connection: it moves to the kernel while packets are lost"""
    with Spoiled() as point:
        servers(point, "fork")
        echoes(point, PORT, Pair.B4, (10,))
        wait_for(point.instances, 30, "the program's queue")
        before = point.instances()[0]["handed_over"]
        point.both(lambda port: at_once(6, lambda number: echoes(point, port, Pair.B4, (1, 3000, 100000, 10))))
        wait_for(lambda: point.instances()[0]["handed_over"] >= before + 3, 30, "hand-overs")
        point.spoiled()


NGINX = """
daemon off;
worker_processes 1;
pid {directory}/{port}.pid;
error_log {directory}/{port}.log info;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy; fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi; scgi_temp_path {directory}/scgi;
    server {{ listen {port}; root {directory}; }}
}}
"""


def test_downloads():
    """nginx: files of 2 MB, which go on in the kernel as bulk, small ones, a connection for each"""
    with Spoiled() as point:
        path = pathlib.Path(point.directory)
        path.chmod(0o755)
        pages = {"large": os.urandom(2 << 20), "small": b"y" * 600}
        for name, data in pages.items():
            (path / name).write_bytes(data)
        for port in PORT, KERNEL_PORT:
            (path / f"{port}.nginx").write_text(NGINX.format(directory=path, port=port))
            command = [program("nginx"), "-c", str(path / f"{port}.nginx")]
            server = point.run(*command) if port == PORT else point.stack.enter_context(Program(point.b, command))
            wait_port(point.b, port, alive=server)
        point.serves()

        def get(port, name):
            done = subprocess.run(["curl", "-sS", "-m", str(PATIENCE), f"http://{Pair.B4}:{port}/{name}"],
                                  capture_output=True, check=False, preexec_fn=lambda: setns(point.a.fd))
            check(not done.returncode, f"{name}: {done.returncode}: {done.stderr.decode()}")
            equal(done.stdout == pages[name], True, f"{name}: {len(done.stdout)} bytes")
        with point.own_tcp(24):
            point.both(lambda port: at_once(4, lambda number: [get(port, name) for name in
                                                               ("small", "small", "large", "small", "small", "small")]))
        point.spoiled()


if __name__ == "__main__":
    private_mounts()
    main(globals())
