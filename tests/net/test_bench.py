#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""`autocork bench`: counts what it says it counts, checks what it says it checks, and refuses nonsense. No agent."""
import json
import os
import re
import socket
import subprocess

from agent import RUNTIME, SANITIZED
from lib import Net, Program, build, check, equal, free_port, main, no_agent, wait_port

try:
    import jsonschema
except ImportError:
    jsonschema = None
ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")


class Bench:
    """A server in a namespace; client() runs one client against it."""

    def __init__(self):
        self.net = Net()
        self.port = free_port(self.net)
        self.server = Program(self.net, [build("autocork"), "bench", "server", "--json", "--port", self.port])
        wait_port(self.net, self.port, alive=self.server)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.server.stop()
        self.net.close()

    def client(self, *options, environment=None, host="localhost"):
        with Program(self.net, [build("autocork"), "bench", "client", "--json", "--port", self.port, "--host", host,
                                *options], environment=environment) as client:
            return json.loads(client.wait().splitlines()[-1])


def packets(found, wanted, what):
    """On a busy machine a tail-loss probe may add a packet, a full window (10 at first) join two."""
    check(abs(found - wanted) <= 0.03 * wanted, f"{what}: {found}, not {wanted}")


def test_packets():
    """packets per message are those of the writes"""
    with Bench() as bench:
        for options, segments in (
                (["--no_delay"], 15), (["--no_delay", "--buffers", 7], 7), (["--no_delay", "--cork"], 1),
                (["--cork"], 1),
                (["--no_delay", "--header_plus_payload"], 2), (["--no_delay", "--single_request"], 1)):
            result = bench.client("--messages", 200, *options)
            packets(result["segments"], segments, f"packets per message with {options}")
            packets(result["server_segments"], 1, f"packets per response with {options}")
            check(0 < result["p50_us"] <= result["p90_us"] <= result["p99_us"] <= result["max_us"],
                  f"percentiles: {result}")
            check(result["cpu_us"] > 0 and result["server_cpu_us"] > 0, f"CPU: {result}")


def test_families():
    """IPv4, IPv6, and one server for both"""
    with Bench() as bench:
        for host in "127.0.0.1", "::1":
            packets(bench.client("--messages", 200, "--no_delay", host=host)["segments"], 15, host)


def test_check():
    """every byte is compared, in echoes, in random cuts, in large messages, over many connections"""
    with Bench() as bench:
        for options in (["--echo", "--no_delay"], ["--echo", "--random", "--no_delay", "--size", 100],
                        ["--buffers", 3, "--size", 500000, "--echo", "--response_writes", 9, "--messages", 5],
                        ["--connections", 50, "--no_delay"],
                        ["--response", 5000, "--response_writes", 5, "--server_no_delay",
                         "--no_delay"]):
            equal(bench.client("--check", "--messages", 300, *options)["wrong_bytes"], 0, f"wrong bytes with {options}")


def test_wrong_bytes_are_found():
    """a server that changes one byte is found out"""
    with Net() as net:
        with net.inside():
            listener = socket.create_server(("127.0.0.1", 0))
        command = [build("autocork"), "bench", "client", "--check", "--no_delay", "--single_request", "--host",
                   "127.0.0.1",
                   "--port", listener.getsockname()[1], "--messages", 1, "--response", 50]
        with listener, Program(net, command) as client:
            server = listener.accept()[0]
            with server:
                got = b""
                while len(got) < 32 + 30:
                    got += server.recv(1000)
                right = bytes(((i * 0x9e3779b97f4a7c15) & (1 << 64) - 1) >> 56 for i in range(50))
                server.sendall(right[:20] + bytes([right[20] ^ 1]) + right[21:] + bytes(16))
                code = client.process.wait(20)
            equal(code, 1, "exit code")
            check("1 bytes differ" in client.output(), client.output())


def test_preload():
    """the LD_PRELOAD autocork makes one packet of a message, and leaves Nagle's flows alone"""
    library = build("tests/bench/preload_autocork.so")
    check(os.path.exists(library), "not built: make build/tests/bench/preload_autocork.so")
    with Bench() as bench:
        preload = {**SANITIZED, "LD_PRELOAD": " ".join(filter(None, (RUNTIME, library)))}
        packets(bench.client("--messages", 300, "--no_delay", environment=preload)["segments"], 1,
                "packets with TCP_NODELAY")
        equal(bench.client("--messages", 300, "--no_delay", "--check", "--echo", "--random",
                           environment=preload)["wrong_bytes"],
              0, "wrong bytes")
        check(bench.client("--messages", 10, environment=preload)["segments"] > 1,
              "a flow without TCP_NODELAY was corked")
        packets(bench.client("--messages", 300, environment=dict(preload, AUTOCORK_ALL="1"))["segments"], 1,
                "packets without TCP_NODELAY, all sockets corked")


def test_programs():
    """the bench of real programs starts them and counts their segments per operation"""
    script = os.path.join(ROOT, "tests", "bench", "programs")
    done = subprocess.run([script, "--try", "--seconds", "0.2", "--only", "redis,haproxy"], capture_output=True,
                          text=True,
                          check=False)
    equal(done.returncode, 0, done.stderr)
    for name, segments in ("redis", 2.0), ("haproxy", 6.0):
        line = next(line for line in done.stderr.splitlines() if line.startswith(name))
        found = float(re.search(r"segments ([\d.]+)", line)[1])
        check(0.95 * segments <= found <= 1.1 * segments, line)


def test_strangers():
    """a server survives whatever connects to it"""
    with Bench() as bench:
        for nonsense in (b"", b"x", b"GET / HTTP/1.1\r\n\r\n" * 9, b"acbench1" + b"\xff" * 24, b"acbench1" + bytes(24),
                         os.urandom(5000)):
            with bench.net.inside(), socket.create_connection(("127.0.0.1", bench.port), 10) as sock:
                sock.sendall(nonsense)
                sock.shutdown(socket.SHUT_WR)
                try:
                    equal(sock.recv(100), b"", f"the answer to {nonsense[:20]}")
                except ConnectionResetError:
                    pass
        packets(bench.client("--messages", 200, "--no_delay")["segments"], 15, "packets per message afterwards")


COPY_MODES = ["send", "unaligned", "read", "zerocopy", "sendfile", "splice"]


def test_copy():
    """every way to send carries the same bytes, at the same rate, and says so as docs/schema has it"""
    with Bench() as bench:
        for size, where in ((8192, []), (3001, ["127.0.0.1", "--port", bench.port]), (1 << 20, [])):
            with Program(bench.net, [build("autocork"), "bench", "copy", "--json", "--check", "--rounds", 2, "--for",
                                     "200ms",
                                     "--rate", 1000, "--size", size, *where]) as copy:
                found = json.loads(copy.wait().splitlines()[-1])
            equal([mode["mode"] for mode in found["modes"]], COPY_MODES, "modes")
            for mode in found["modes"]:
                equal(mode["wrong_bytes"], 0, f"wrong bytes of {mode}")
                # 200 ms of 1 Gbit/s are 25 MB, three times around the source; up to a call more, as calls are whole,
                # and less where the machine was busy at the end.
                check(mode["bytes"] <= 25e6 + size, f"bytes: {mode}")
                check(mode["bytes"] >= 24e6 or not mode["rate_reached"], f"bytes: {mode}")
                check(mode["cpu_percent"] > 0 and mode["ratio"] > 0 and mode["segments"] > 0, f"figures: {mode}")
            zerocopy = found["modes"][COPY_MODES.index("zerocopy")]
            equal(zerocopy["zerocopy"]["completed"], zerocopy["calls"], "zero-copy calls completed")
            if jsonschema:
                with open(f"{ROOT}/docs/schema/bench-copy.json", encoding="utf-8") as schema:
                    jsonschema.validate(found, json.load(schema))


def test_usage():
    """nonsense on the command line is refused by name, with the documented exit code"""
    def run(*words):
        return subprocess.run([build("autocork"), "bench", *words], capture_output=True, text=True, timeout=20,
                              check=False)
    for words, named in ((["client", "--port", "0"], "port"), (["client", "--port", "http"], "http"),
                         (["sideways"], "sideways"),
                         (["client", "--buffers", "-1"], "buffers"),
                         (["client", "--messages", "99999999999"], "messages"),
                         (["client", "--buffers", "2", "--header_plus_payload"], "header_plus_payload"),
                         (["client", "--size", "16777216", "--buffers", "2"], "size"),
                         (["copy", "--modes", "send,teleport"], "teleport"), (["copy", "--modes", ""], "modes"),
                         (["copy", "--size", "0"], "size"), (["copy", "--for", "nan"], "for"),
                         (["copy", "a", "b"], "HOST"),
                         (["server", "--connections", "x"], "connections")):
        done = run(*words)
        equal(done.returncode, 2, f"exit code of {words}")
        check(named in done.stderr, f"{words}: {done.stderr}")
    equal(run().returncode, 2, "exit code without a side")
    done = run("client", "--json", "--port", "1")
    equal(done.returncode, 1, "exit code of a client that nobody answers")
    check("refused" in json.loads(done.stdout)["error"]["message"], done.stdout)
    for words in ["--help"], ["client", "--help"], ["server", "--help"], ["copy", "--help"]:
        check("Examples:" in run(*words).stdout, f"{words} has no examples")


with no_agent():
    main(globals())
