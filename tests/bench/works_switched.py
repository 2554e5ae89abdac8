# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Programs whose segments stay as they are: only time can tell what the agent costs them, and the machine's speed
changes more than that from round to round. So one load runs, on the same connections, and the policy is switched
beneath it."""
import concurrent.futures
import contextlib
import pathlib
import statistics
import tempfile
import time

import program_table
from harness import Must, Row, Work
from lib import MANAGE, OBSERVE, OFF
from program_load import load

TURNS = 3  # of each policy in a round
START_S = 2  # until the load is there
# The load goes on beneath the switched policy, whose flows are not new: it comes to those that are open.
ADOPT = "adopt = yes\n"


class Switched(Work):
    """`settle`: from a switch until the agent has learned what it learns anew. `span`: how long a policy is measured, if
    not as long as in other works."""

    modes = ("switched",)

    def __init__(self, name, title, case, on=MANAGE, settle=3.0, span=None, rate=None, cpu=None):
        self.name, self.title, self.on, self.settle, self.span = name, title, on, settle, span
        self.rate, self.cpu = rate, cpu
        self.case = next(entry for entry in program_table.CASES if entry.name == case)

    def policy(self, mode):
        return OFF

    def measure(self, stage):
        span = self.span or stage.seconds
        seconds = START_S + 2 * TURNS * (self.settle + span + 0.5)
        with contextlib.ExitStack() as stack:
            stage.directory = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="autocork-bench-")))
            port = self.case.serve(stage, stack)
            pool = stack.enter_context(concurrent.futures.ThreadPoolExecutor(max_workers=1))
            under_way = pool.submit(load, stage, self.case, port, seconds)
            time.sleep(START_S)
            taken = {"off": [], "on": []}
            for turn in range(TURNS):
                for name in ("off", "on") if turn % 2 == 0 else ("on", "off"):
                    taken[name].append(self.turn(stage, OFF if name == "off" else self.on + ADOPT, span))
            assert not under_way.done(), f"{self.case.name}: the load ended within {seconds} s"
            under_way.result()
        figures = {}
        for what in "rate", "cpu_us":
            for name, turns in taken.items():
                figures[f"{what}_{name}"] = statistics.median(turn[what] for turn in turns)
            figures[f"{what}_ratio"] = statistics.median(on[what] / off[what]
                                                         for on, off in zip(taken["on"], taken["off"]))
        return figures

    def turn(self, stage, policy, span):
        stage.agent.reload(policy)
        time.sleep(self.settle)
        cost, begun = {}, time.monotonic()
        with stage.count(cost):
            time.sleep(span)
        seconds = time.monotonic() - begun
        return {"rate": cost["segments"] / seconds,
                "cpu_us": (cost["server_cpu"] + cost["client_cpu"]) / max(1, cost["segments"])}

    def rows(self, rounds):
        median = rounds["switched"]

        def row(what, text, must):
            return Row(self.title, text, median[f"{what}_off"], median[f"{what}_on"], must, median[f"{what}_ratio"],
                       "policy off")
        return [row("rate", "segments per second", self.rate and Must(low=self.rate)),
                row("cpu_us", "CPU per segment, us", self.cpu and Must(high=self.cpu))]


WORKS = [
    Switched("switched-bind", "bind, dnsperf over TCP, policy switched beneath it", "bind", rate=0.99),
    Switched("switched-postgresql", "PostgreSQL, pgbench, the same", "PostgreSQL", rate=0.98),
    Switched("switched-lighttpd", "lighttpd, 600-byte file, the same", "lighttpd", rate=0.98),
    Switched("switched-node", "node in 5 pieces behind nginx, the same", "node behind nginx", rate=0.98),
    # Once it is above its budget the agent looks for one second in 16.
    Switched("switched-observe", "only observed: lighttpd, the same", "lighttpd", on=OBSERVE, settle=6, span=16,
             cpu=1.01),
]
