# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Programs that once lost under management: none may be slower (`make bench WORK=never-slower`)."""
import contextlib
import json
import pathlib
import tempfile

import program_table
from harness import Must, Row, Work
from lib import Program, build, free_port, wait_port
from program_load import WARM, load

WAIT_US = 20	# a wait that nobody notices, beside 5%


class Stable(Must):
    """p50 or p99: at most 1.05 x unmanaged and 20 us."""

    def met(self, row):
        return row.managed <= 1.05 * row.base + WAIT_US

    def __str__(self):
        return f"x 1.05 + {WAIT_US}"


def turns(stage):
    """How often flows went on a wrapper or off it, by the agent's counters: who listens to events changes what is
    followed."""
    if not stage.agent:
        return 0
    return sum(row["flows_managed"] + row["flows_returned"] for row in stage.agent.services())


class Slower(Work):
    """`rate`: its least ratio; `waits`: figures that may not become longer."""

    modes = ("unmanaged", "observed", "managed")
    rate, waits = None, ()

    def serve(self, stage, stack):
        """Its server's port."""
        raise NotImplementedError

    def load(self, stage, port, seconds):
        raise NotImplementedError

    def measure(self, stage):
        with contextlib.ExitStack() as stack:
            stage.directory = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="autocork-bench-")))
            port = self.serve(stage, stack)
            self.load(stage, port, max(WARM, stage.seconds))
            cost = {}
            with stage.count(cost):
                figures = self.load(stage, port, stage.seconds)
            operations = figures["operations"]
            return {"rate": operations / figures["seconds"], "p50": figures["p50"], "p99": figures["p99"],
                    "segments": cost["segments"] / operations,
                    "cpu_us": (cost["server_cpu"] + cost["client_cpu"]) / operations, "turns": turns(stage)}

    def rows(self, rounds):
        rows = []
        for mode in self.modes[1:]:
            word = "" if mode == "managed" else ", only observed"
            if self.rate:
                rows.append(self.pair(rounds, "rate", f"per second{word}", Must(low=self.rate), managed=mode))
            for figure in self.waits:
                rows.append(self.pair(rounds, figure, f"{figure}{word}, us", Stable(), managed=mode))
        rows.append(self.pair(rounds, "segments", "segments per operation"))
        rows.append(self.pair(rounds, "cpu_us", "CPU per operation, us"))
        rows.append(Row(self.title, "times on and off a wrapper", None, rounds["managed"]["turns"], None))
        rows.append(self.misses(rounds))
        return rows


class RealProgram(Slower):
    """One of `make bench WORK=programs`."""

    def __init__(self, name, title, case, rate=None, waits=()):
        self.name, self.title, self.rate, self.waits = name, title, rate, waits
        self.case = next(entry for entry in program_table.CASES if entry.name == case)

    def serve(self, stage, stack):
        return self.case.serve(stage, stack)

    def load(self, stage, port, seconds):
        return load(stage, self.case, port, seconds)


class Stream(Slower):
    """tests/bench/stream.c. Each side has a CPU: what is measured is the way of one message."""

    cpus = "apart"
    waits = ("p50", "p99")

    def __init__(self, name, title, *words):
        self.name, self.title, self.words = name, title, words

    def serve(self, stage, stack):
        port = free_port(stage.net)
        server = stack.enter_context(Program(stage.net, [build("tests/bench/stream"), "serve", port], stage.server,
                                             cpu=stage.server_cpu))
        wait_port(stage.net, port, alive=server)
        return port

    def load(self, stage, port, seconds):
        kind, *more = self.words
        with Program(stage.net, [build("tests/bench/stream"), kind, port, seconds, *more], stage.client,
                     cpu=stage.client_cpu) as client:
            return json.loads(client.wait().splitlines()[-1])


WORKS = [
    RealProgram("never-slower-bind", "bind, dnsperf over TCP, 4 connections", "bind", rate=0.99),
    RealProgram("never-slower-unbound", "unbound, the same", "unbound", rate=0.99),
    Stream("never-slower-feed", "one message every 100 us", "feed", 100),
    RealProgram("never-slower-node", "node in 5 pieces behind nginx, unbuffered", "node behind nginx", waits=("p99",)),
    Stream("never-slower-frames", "HTTP/2 frames of 4 threads", "frames"),
]
