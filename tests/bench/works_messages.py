# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Messages in small writes, sent by `autocork bench client` and answered by its server. The time of a message is the
median of its run: one pause of the machine says nothing about ten thousand messages."""
import json
import re

from harness import Must, Row, Work
from lib import Program, build, free_port, wait_port

NAGLE_MESSAGES = 50	# 44 ms each while unmanaged
# Warm-up in messages per message measured: the agent's observer stays for most of a second after a flow came.
SETTLING = 2
LEARNED_US = 20000	# a message below this met no delayed acknowledgement


def exchange(stage, *options):
    """One client run against a fresh server: the client's JSON and its standard error lines."""
    port = free_port(stage.net)
    bench = [build("autocork"), "bench"]
    with Program(stage.net, [*bench, "server", "--port", port], stage.server, cpu=stage.server_cpu) as server:
        wait_port(stage.net, port, alive=server)
        with Program(stage.net, [*bench, "client", "--json", "--host", "127.0.0.1", "--port", port, *options],
                     stage.client, cpu=stage.client_cpu, environment=stage.environment()) as client:
            output = client.wait(120).splitlines()
    return json.loads(output[-1]), output[:-1]


class NoDelay(Work):
    modes = ("unmanaged", "managed", "preload")

    def __init__(self, writes, bound, limit):
        """Bounds of CPU against unmanaged, and of time and CPU against the preloaded library."""
        self.writes, self.bound, self.against = writes, bound, limit
        self.name = f"nodelay{writes}"
        self.title = f"message in {writes} writes, TCP_NODELAY"

    def measure(self, stage):
        messages = max(200, int(stage.seconds * 300000 / (self.writes + 10)))
        result, _ = exchange(stage, "--no_delay", "--buffers", self.writes, "--warmup", SETTLING * messages,
                             "--messages", messages)
        return {"us": result["message_us"], "p50": result["p50_us"], "p99": result["p99_us"],
                "segments": result["segments"],
                "cpu_us": result["cpu_us"], "server_cpu_us": result["server_cpu_us"],
                "both_cpu_us": result["cpu_us"] + result["server_cpu_us"]}

    def rows(self, rounds):
        return [
            self.pair(rounds, "segments", "segments per message", Must(0.995, 1.005, of="managed", text="1.00")),
            self.pair(rounds, "cpu_us", "client CPU per message, us", Must(high=self.bound) if self.bound else None),
            self.pair(rounds, "both_cpu_us", "CPU of both sides, us"),
            self.pair(rounds, "p50", "time per message, us"),
            self.pair(rounds, "p50", "time per message, us", Must(high=self.against), against="preload"),
            self.pair(rounds, "cpu_us", "client CPU per message, us", Must(high=self.against), against="preload"),
            self.misses(rounds),
        ]


class Nagle(Work):
    name, title = "nagle15", "message in 15 writes, Nagle"
    modes = ("unmanaged", "managed", "corked")

    def measure(self, stage):
        options = ["--cork"] if stage.mode == "corked" else []
        messages = NAGLE_MESSAGES if stage.mode == "unmanaged" else max(200, int(stage.seconds * 12000))
        first, lines = exchange(stage, *options, "--messages", 20, "--each")
        times = [float(re.search(r": ([\d.]+) us", line)[1]) for line in lines]
        slow = [number for number, us in enumerate(times, 1) if us > LEARNED_US]
        warmup = 20 if stage.mode == "unmanaged" else SETTLING * messages
        result, _ = exchange(stage, *options, "--warmup", warmup, "--messages", messages)
        return {"us": result["message_us"], "p50": result["p50_us"], "segments": result["segments"],
                "cpu_us": result["cpu_us"],
                "learning": slow[-1] if slow else 0}

    def rows(self, rounds):
        return [
            self.pair(rounds, "p50", "time per message, us"),
            self.pair(rounds, "p50", "time per message, us", Must(high=1.1), against="corked"),
            self.pair(rounds, "segments", "segments per message", against="corked"),
            Row(self.title, "messages until learned", None, rounds["managed"]["learning"], Must(high=3, of="managed")),
            self.misses(rounds),
        ]


class Unmanaged(Work):
    """A flow that a policy leaves alone: what the agent's presence costs it."""

    modes = ("unmanaged", "off")

    def __init__(self, writes):
        self.writes = writes
        self.name = f"off{writes}"
        self.title = f"unmanaged flow beside the agent, {writes} write{'s' if writes > 1 else ''} per message"

    def measure(self, stage):
        messages = max(200, int(stage.seconds * 200000 / (self.writes + 10)))
        result, _ = exchange(stage, "--no_delay", "--buffers", self.writes, "--warmup", messages // 10, "--messages",
                             messages)
        return {"rate": 1e6 / result["message_us"], "p50_rate": 1e6 / result["p50_us"],
                "cpu_us": result["cpu_us"] + result["server_cpu_us"]}

    def rows(self, rounds):
        return [
            self.pair(rounds, "p50_rate", "messages per second", Must(low=0.995), managed="off"),
            self.pair(rounds, "cpu_us", "CPU of both sides, us", managed="off"),
        ]


class Random(Work):
    """A program without a pattern: wrong holds must end in time."""

    name, title = "random", "1 to 15 writes per message at random, TCP_NODELAY"
    MAX_HOLD_US, GRACE_US = 2000, 5000

    def measure(self, stage):
        messages = max(500, int(stage.seconds * 2500))
        result, _ = exchange(stage, "--no_delay", "--random", "--messages", messages)
        return {"us": result["message_us"], "p50": result["p50_us"], "p999": result["p999_us"], "max": result["max_us"],
                "segments": result["segments"]}

    def rows(self, rounds):
        base, managed = rounds["unmanaged"]["p999"], rounds["managed"]["p999"]
        limit = base + self.MAX_HOLD_US + self.GRACE_US
        return [
            Row(self.title, "p99.9 of a message, us", base, managed,
                Must(high=limit, of="managed", text="without + max_hold + 5 ms")),
            self.pair(rounds, "p50", "time per message, us"),
            self.misses(rounds),
        ]


WORKS = [NoDelay(15, 0.55, 1.05), NoDelay(100, None, 1.10), Nagle(), Unmanaged(1), Unmanaged(15), Random()]
