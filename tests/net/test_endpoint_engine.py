#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""The endpoint's TCP engine over AF_XDP on a cable, with the kernel as its client."""
import contextlib
import hashlib
import os
import signal
import socket
import struct
import subprocess
import threading
import time

from agent import build
from netns import PR_SET_PDEATHSIG, Pair, libc, setns
from tap import Skip, check, equal, main

PORT = 8080
PATTERN = bytes(i % 251 for i in range(251 * 4096))


class Server:
    """engine_server in net b of a cable without checksum offload on the client's side (AF_XDP copies what is there)."""

    def __init__(self, pair, *more):
        self.pair = pair
        path = build("tests/net/engine_server")
        if not os.path.exists(path):
            raise Skip("built without lwIP's source")
        for net in pair.a, pair.b:
            net.run("ethtool", "-K", "cable", "tx", "off", "rx", "off", "tso", "off", "gso", "off", "gro", "off")
        self.process = subprocess.Popen([path, build("tests/net/xdp_to_xsk.bpf.o"), "cable", str(PORT), *more],
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                        preexec_fn=self._move)
        line = self.process.stdout.readline().strip()
        if line != "ready":
            raise AssertionError(f"engine_server: {line} {self.process.stderr.read()}")

    def _move(self):
        setns(self.pair.b.fd)
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        out, error = self.process.communicate(timeout=20)
        check("autocork:" not in error, error)
        return {key: int(value) for key, value in (field.split("=") for field in out.split())}

    def cpu(self):
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def switches(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            return sum(int(line.split()[1]) for line in file if "ctxt_switches" in line)


@contextlib.contextmanager
def served(*more):
    with Pair() as pair:
        server = Server(pair, *more)
        try:
            yield pair, server
        finally:
            if server.process.poll() is None:
                server.process.kill()
                server.process.wait()


def connect(pair, address=Pair.B4, timeout=20):
    with pair.a.inside():
        return socket.create_connection((address, PORT), timeout=timeout)


def read_all(sock):
    digest, size = hashlib.sha256(), 0
    while data := sock.recv(1 << 16):
        digest.update(data)
        size += len(data)
    return size, digest.hexdigest()


def pattern_digest(size):
    digest = hashlib.sha256()
    for at in range(0, size, len(PATTERN)):
        digest.update(PATTERN[:size - at])
    return digest.hexdigest()


def test_echo_over_both_ip_versions():
    with served() as (pair, server):
        for address in Pair.B4, Pair.B6:
            with connect(pair, address) as sock:
                for size in 1, 64, 1448, 1449, 30000:
                    sock.sendall(b"E" * size)
                    got = b""
                    while len(got) < size:
                        got += sock.recv(size - len(got))
                    equal(got, b"E" * size, f"an echo of {size} bytes from {address}")
        stats = server.stop()
        equal(stats["accepted"], 2, "connections")
        equal(stats["bad_checksum"] + stats["bad_frame"], 0, "bad frames")


def test_bulk_from_and_to_the_engine():
    with served() as (pair, server):
        for address, size in (Pair.B4, 20 << 20), (Pair.B6, 20 << 20):
            with connect(pair, address) as sock:
                sock.sendall(b"S%d\n" % size)
                equal(read_all(sock), (size, pattern_digest(size)), "a stream from the engine")
            with connect(pair, address) as sock:
                sock.sendall(b"D")
                for _ in range(size // len(PATTERN)):
                    sock.sendall(PATTERN)
                sock.shutdown(socket.SHUT_WR)
                equal(int(sock.makefile().readline()), 1 + size // len(PATTERN) * len(PATTERN), "bytes that arrived")


def test_a_half_closed_connection_goes_on():
    with served() as (pair, server), connect(pair) as sock:
        size = 5 << 20
        sock.sendall(b"S%d\n" % size)
        sock.shutdown(socket.SHUT_WR)
        time.sleep(0.2)
        equal(read_all(sock), (size, pattern_digest(size)), "a stream to a client that has shut down")


def test_a_port_is_used_again_at_once():
    """The server closes first and keeps the TIME_WAIT; the client's ports are so few that each comes back at once."""
    with served() as (pair, server):
        count = 10000
        pair.a.sysctl("ipv4/ip_local_port_range", "40000 40063")
        began = time.monotonic()
        for _ in range(count):
            with pair.a.inside():
                sock = socket.create_connection((Pair.B4, PORT), timeout=5)
            sock.sendall(b"C")
            equal(sock.recv(1), b"", "the server's FIN")
            sock.close()
        took = time.monotonic() - began
        stats = server.stop()
        equal(stats["accepted"], count, "connections")
        check(stats["time_wait"] <= 64, f"{stats['time_wait']} in TIME_WAIT")
        print(f"# {count} short connections in {took:.1f} s")


def test_an_idle_engine_does_not_wake_up():
    with served() as (pair, server):
        socks = [connect(pair) for _ in range(200)]
        for sock in socks:
            sock.sendall(b"Ex")
        for sock in socks:
            equal(sock.recv(2), b"Ex", "an echo")
        time.sleep(1)
        before = server.switches()
        time.sleep(3)
        check(server.switches() - before <= 2, f"{server.switches() - before} wake-ups in 3 s")
        for sock in socks:
            sock.sendall(b"y")
        for sock in socks:
            equal(sock.recv(1), b"y", "an echo")
            sock.close()


def test_a_killed_engine_frees_its_queue():
    with served() as (pair, server):
        sock = connect(pair)
        sock.sendall(b"E")
        equal(sock.recv(1), b"E", "an echo")
        server.process.kill()
        server.process.wait()
        with pair.b.inside():
            kernel = socket.create_server((Pair.B4, PORT))
        began = time.monotonic()
        sock.sendall(b"x")
        with contextlib.suppress(ConnectionResetError):
            equal(sock.recv(1), b"", "the dead server's answer")
        check(time.monotonic() - began < 5, "no RST after the server's death")
        with connect(pair) as second:
            kernel.accept()[0].sendall(b"k")
            equal(second.recv(1), b"k", "the kernel's answer")
        kernel.close()


def moved_streams(pair, address, size, half_close):
    """A download, an upload and an echo at the same time; each moves in mid-transfer."""
    failed = []

    def download():
        with connect(pair, address) as sock:
            sock.sendall(b"S%d\n" % size)
            if half_close:
                sock.shutdown(socket.SHUT_WR)
            equal(read_all(sock), (size, pattern_digest(size)), "a stream that moved")

    def upload():
        with connect(pair, address) as sock:
            sock.sendall(b"D")
            for _ in range(size // len(PATTERN)):
                sock.sendall(PATTERN)
            sock.shutdown(socket.SHUT_WR)
            equal(int(sock.makefile().readline()), 1 + size // len(PATTERN) * len(PATTERN), "bytes that arrived")

    def echo():
        with connect(pair, address) as sock:
            sent, got = hashlib.sha256(), hashlib.sha256()
            for i in range(size // 8192):
                block = b"E" + struct.pack("<Q", i) + PATTERN[:1 + i % 8000]
                sock.sendall(block)
                sent.update(block)
                left = len(block)
                while left:
                    data = sock.recv(left)
                    check(data, "the echo ended")
                    got.update(data)
                    left -= len(data)
            equal(got.digest(), sent.digest(), "an echo that moved")

    def guarded(work):
        try:
            work()
        except BaseException as error:  # shown by the test's own thread
            failed.append(f"{work.__name__}: {error}")

    threads = [threading.Thread(target=guarded, args=(work,)) for work in (download, upload, echo)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    check(not failed, "; ".join(failed))


def test_connections_move_to_the_kernel_under_load():
    for after in 1, 100000, 3000000:
        with served(str(after)) as (pair, server):
            for address in Pair.B4, Pair.B6:
                moved_streams(pair, address, 6 << 20, False)
            stats = server.stop()
            equal(stats["hand_overs"], 6 if after <= 100000 else 4, "connections that moved (an echo is shorter)")
            equal(stats["connections"], 0, "connections left in the engine")
            print(f"# after {after} bytes: up to {stats['most_moved']} bytes moved with a connection")


def test_a_half_closed_connection_moves():
    with served("100000") as (pair, server):
        for address in Pair.B4, Pair.B6:
            moved_streams(pair, address, 6 << 20, True)
        stats = server.stop()
        equal(stats["hand_overs"], 6, "connections that moved")
        check(stats["states_moved"] & 1 << 8, f"none moved in CLOSE_WAIT: {stats['states_moved']:#x}")


main(globals())
