# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Alternating rounds: each mode of a work gets its turn in every round, so that what the machine does meanwhile
meets all alike.

A mode is a way to run the same programs. Between two modes the agent is started or stopped, and the programs are
started anew: a baseline has no agent in the kernel at all, not one that looks away."""
import contextlib
import os
import statistics

import bpf_profile
from lib import MANAGE, OBSERVE, OFF, Agent, Cgroup, Net, build

PRELOAD = build("tests/bench/preload_autocork.so")
# name -> the policy of the agent that runs meanwhile; None: no agent
MODES = {"unmanaged": None, "managed": MANAGE, "off": OFF, "observed": OBSERVE, "preload": None, "corked": None}


def _cpus():
    return sorted(os.sched_getaffinity(0))


# name -> the CPUs of servers and clients; None: wherever the scheduler puts them
PLACEMENTS = {
    "apart": lambda: (_cpus()[-1], _cpus()[0]),
    "same": lambda: (_cpus()[-1], _cpus()[-1]),
    "free": lambda: (None, None),
}


class Plan:
    """How long and how often to measure, and where."""

    def __init__(self, rounds=5, seconds=2.0, cpus="same", modes=None, profile=False):
        self.rounds, self.seconds, self.cpus, self.modes, self.profile = rounds, seconds, cpus, modes, profile


class Stage:
    """What a work measures on: a namespace with cubic on every route, a cgroup and a CPU for the servers, and for the
    clients.

    The CPUs are fixed because the scheduler would choose, run by run, whether the two sides share one, and that choice
    decides more about a round trip than anything measured here."""

    def __init__(self, net, group, mode, agent, plan, cpus):
        self.net, self.mode, self.agent, self.seconds = net, mode, agent, plan.seconds
        self.server, self.client = group.child("server"), group.child("client")
        self.server_cpu, self.client_cpu = PLACEMENTS[cpus]()

    def environment(self):
        return {"LD_PRELOAD": PRELOAD} if self.mode == "preload" else {}

    @contextlib.contextmanager
    def count(self, figures):
        """Adds what the block cost: segments in the namespace, CPU microseconds of each side."""
        before = self.net.segments(), self.server.cpu_us(), self.client.cpu_us()
        yield
        figures["segments"] = self.net.segments() - before[0]
        figures["server_cpu"] = self.server.cpu_us() - before[1]
        figures["client_cpu"] = self.client.cpu_us() - before[2]


@contextlib.contextmanager
def stage(mode, plan, cpus, policy):
    with contextlib.ExitStack() as stack:
        group = stack.enter_context(Cgroup())
        net = stack.enter_context(Net("cubic"))
        agent = stack.enter_context(Agent(group, policy)) if policy else None
        yield Stage(net, group, mode, agent, plan, cpus or plan.cpus)


class Row:
    """A line of the table: `managed` against `base`, medians both; and their ratio, where that is not simply the
    quotient."""

    def __init__(self, work, figure, base, managed, must, ratio=None, against="unmanaged"):
        self.work, self.figure, self.base, self.managed, self.against = work, figure, base, managed, against
        self.ratio = ratio if ratio is not None else managed / base if base else None
        self.must = must
        self.ok = must.met(self) if must else None

    def json(self):
        return {"work": self.work, "figure": self.figure, "against": self.against, "base": self.base,
                "managed": self.managed,
                "ratio": self.ratio, "must": str(self.must) if self.must else None, "ok": self.ok}


class Must:
    """A bound: on the ratio, or with of="managed" on the figure itself."""

    def __init__(self, low=None, high=None, of="ratio", text=None):
        self.low, self.high, self.of, self.text = low, high, of, text

    def met(self, row):
        value = getattr(row, self.of)
        return (value is not None and (self.low is None or value >= self.low)
                and (self.high is None or value <= self.high))

    def __str__(self):
        if self.text:
            return self.text
        name = "x " if self.of == "ratio" else ""
        if self.low is not None and self.high is not None:
            return f"{name}{self.low:g} to {self.high:g}"
        return f"{name}>= {self.low:g}" if self.low is not None else f"{name}<= {self.high:g}"


class Rounds:
    """What the rounds of a work gave: rounds[mode][figure] is a median."""

    def __init__(self, history, modes):
        self.history = history
        self.median = {mode: {figure: statistics.median(taken[mode][figure] for taken in history)
                              for figure in history[0][mode]} for mode in modes}
        for mode in modes:
            if "missed" in self.median[mode]:
                bursts = sum(taken[mode]["bursts"] for taken in history)
                missed = sum(taken[mode]["missed"] for taken in history)
                self.median[mode]["misses"] = missed / bursts if bursts else 0.0

    def __getitem__(self, mode):
        return self.median[mode]

    def ratio(self, figure, managed, against):
        """The median of the ratios within each round: what drifts from round to round is in both sides of each."""
        ratios = [taken[managed][figure] / taken[against][figure] for taken in self.history if taken[against][figure]]
        return statistics.median(ratios) if ratios else None


class Work:
    """One line, or a few, of the table. A subclass says what to run and what must hold."""

    name = title = ""
    modes = ("unmanaged", "managed")
    cpus = None		# a placement that belongs to the work; None: the plan's

    def policy(self, mode):
        """Of the agent that runs meanwhile; None: no agent."""
        return MODES[mode]

    def measure(self, stage):
        """Runs once on the stage; returns figures by name."""
        raise NotImplementedError

    def rows(self, rounds):
        """Lines from the rounds."""
        raise NotImplementedError

    def pair(self, rounds, figure, text, must=None, against="unmanaged", managed="managed"):
        return Row(self.title, text, rounds[against][figure], rounds[managed][figure], must,
                   rounds.ratio(figure, managed, against), against)

    def misses(self, rounds):
        """The line every work has: misses per burst over all its managed rounds."""
        return Row(self.title, "misses per burst", None, rounds["managed"]["misses"],
                   Must(high=0.001, of="managed", text="< 0.1%"))


def measure_round(work, mode, plan, say):
    with stage(mode, plan, work.cpus, work.policy(mode)) as here, contextlib.ExitStack() as stack:
        lines = []
        if plan.profile and here.agent:
            stack.enter_context(bpf_profile.programs(lines))
        figures = work.measure(here)
        stack.close()
        for line in lines:
            say(line)
        if here.agent:
            totals = here.agent.totals()
            figures["bursts"], figures["missed"] = totals["bursts"], totals["misses"]
    return figures


def run(work, plan, say):
    """All rounds of a work: {"rows": [Row], "rounds": [{mode: figures}]}; no rows if not all of its modes are
    wanted."""
    history = []
    wanted = tuple(mode for mode in work.modes if not plan.modes or mode in plan.modes)
    for number in range(plan.rounds):
        # Back and forth, so that a drift of the machine favours no mode.
        order = wanted if number % 2 == 0 else tuple(reversed(wanted))
        taken = {}
        for mode in order:
            taken[mode] = measure_round(work, mode, plan, say)
            say(f"{work.name} round {number + 1}/{plan.rounds} {mode}: " +
                " ".join(f"{name}={value:.6g}" for name, value in taken[mode].items()))
        history.append(taken)
    rounds = Rounds(history, wanted)
    return {"rows": work.rows(rounds) if wanted == work.modes else [], "rounds": history, "median": rounds.median}
