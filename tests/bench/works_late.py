# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""How late a wrong hold ends: after its max_hold, for the slowest of thousands, beside many flows, in many
namespaces, on a busy machine.

Streams learn messages of 5 writes; then each writes 3 and waits, all at once: what is held leaves at its deadline. How
long each hold lasted the agent tells (`autocork events --type miss`). The percentiles are those of all rounds together.
Beside them stands what the machine can do meanwhile: how late a real-time process wakes up that sleeps for 2 ms. No
release process can be better than that."""
import contextlib
import json
import math
import os
import subprocess
import sys
import time

from harness import Must, Row, Work
from lib import Net, Program, Stream, build, control, free_port, wait_for, wait_port
from ports import pattern

STREAMS = 20	# at least; one in each namespace
HOLDS = 400	# in a round
# A flow that was wrong may be wrong again after some 50 messages.
LEARN_ROUNDS, SIZE, WRITES, FEWER = 60, 20, 5, 3
LONGEST_S = 60
IDLE_PER_PORT = 10000
LATE_US = 1000
MACHINE = "real-time sleeper"
BUSY = "while :; do :; done"
# Prints how late it was each time, when its input ends.
SLEEPER = """
import gc, os, select, sys, time
os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
gc.disable()
late = []
while not select.select([sys.stdin], [], [], 0)[0]:
    due = time.monotonic() + 0.002
    time.sleep(max(due - time.monotonic(), 0))
    late.append((time.monotonic() - due) * 1e6)
print(*map(int, late))
"""


class Late(Work):
    """Wrong holds of flows in `spaces` namespaces, beside `flows` others, with `busy` loops per CPU."""

    modes = ("managed",)

    def __init__(self, name, title, max_hold="2ms", flows=1, spaces=1, busy=0):
        self.name, self.title = "late-" + name, "wrong holds: " + title
        self.max_hold, self.flows, self.spaces, self.busy = max_hold, flows, spaces, busy
        # Of all rounds.
        self.lateness, self.machine = [], []

    def policy(self, mode):
        return (f"[policy all]\nmode = autocork\nmax_hold = {self.max_hold}\nburst_gap = {self.max_hold}\n"
                "packet_worth = 1ms\nconfidence = 0.5\n")

    def measure(self, stage):
        with contextlib.ExitStack() as stack:
            self.idle_flows(stage, stack)
            stage.client.enter()
            nets = [stage.net] + [stack.enter_context(Net("cubic")) for _ in range(self.spaces - 1)]
            streams = [stack.enter_context(Stream(nets[i % self.spaces])) for i in range(max(STREAMS, self.spaces))]
            for _ in range(self.busy * len(os.sched_getaffinity(0))):
                stack.enter_context(contextlib.closing(Busy()))
            misses = stack.enter_context(contextlib.closing(Misses(stage)))
            sleeper = stack.enter_context(contextlib.closing(Sleeper()))
            end = time.monotonic() + LONGEST_S
            while len(misses.seen()) < HOLDS and time.monotonic() < end:
                for stream in streams:
                    stream.exchange(WRITES, SIZE, LEARN_ROUNDS)
                self.hold_all(streams)
            machine = sleeper.lateness()
            lateness = [max(miss["hold_us"] - duration_us(self.max_hold), 0) for miss in misses.seen()]
        self.machine += machine
        self.lateness += lateness
        return {"holds": len(lateness), "late": sum(late > LATE_US for late in lateness),
                "p50": percentile(lateness, 0.5), "p999": percentile(lateness, 0.999),
                "floor_p50": percentile(machine, 0.5), "floor_p999": percentile(machine, 0.999)}

    @staticmethod
    def hold_all(streams):
        for stream in streams:
            for i in range(FEWER):
                stream.client.sendall(pattern(i * SIZE, SIZE))
        for stream in streams:
            assert stream.receive(stream.server, FEWER * SIZE) == pattern(0, FEWER * SIZE)

    def idle_flows(self, stage, stack):
        """Both ends of each connection are here: two flows."""
        bench = [build("autocork"), "bench"]
        for start in range(0, self.flows // 2, IDLE_PER_PORT):
            connections, port = min(IDLE_PER_PORT, self.flows // 2 - start), free_port(stage.net)
            server = stack.enter_context(Program(stage.net, [*bench, "server", "--port", port], stage.server))
            wait_port(stage.net, port, alive=server)
            idle = stack.enter_context(Program(stage.net,
                                               [*bench, "client", "--no_delay", "--host", "127.0.0.1", "--port", port,
                                                           "--connections", connections, "--messages", 2 * connections,
                                                           "--keep", 300],
                                               stage.client))
            wait_for(lambda idle=idle: "packets per message" in idle.output(), 120, "idle connections")

    def rows(self, rounds):
        def row(figure, share, must):
            return Row(self.title, figure, percentile(self.machine, share), percentile(self.lateness, share), must,
                       against=MACHINE)
        return [
            row(f"lateness, p99.9 of {len(self.lateness)}, us", 0.999,
                Must(high=LATE_US, of="managed", text="max_hold + 1 ms")),
            row("lateness, p50, us", 0.5, None),
            Row(self.title, f"later than 1 ms, of {len(self.lateness)}", None,
                sum(late > LATE_US for late in self.lateness), None),
        ]


class Misses:
    """Each wrong hold that ended at its deadline, and how long it took, as the agent tells it."""

    def __init__(self, stage):
        self.program = Program(stage.net, [build("autocork"), "events", "--control", stage.agent.control, "--json",
                                           "--type", "miss"])
        wait_for(lambda: control("event_mask"), 30, "events that are listened to")

    def seen(self):
        # The last line may be half there.
        lines = self.program.output().rpartition("\n")[0].splitlines()
        return [miss for miss in map(json.loads, lines) if miss["reason"] == "deadline"]

    def close(self):
        self.program.stop()


def duration_us(text):
    return int(text[:-2]) * {"us": 1, "ms": 1000}[text[-2:]]


def percentile(values, share):
    return sorted(values)[max(math.ceil(len(values) * share) - 1, 0)] if values else 0


class Sleeper:
    """What a process in real time can have of this machine."""

    def __init__(self):
        self.process = subprocess.Popen([sys.executable, "-c", SLEEPER], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True)

    def lateness(self):
        return list(map(int, self.process.communicate(timeout=10)[0].split()))

    def close(self):
        self.process.kill()
        self.process.wait()


class Busy:
    def __init__(self):
        self.process = subprocess.Popen(["sh", "-c", BUSY], stdin=subprocess.DEVNULL)

    def close(self):
        self.process.kill()
        self.process.wait()


WORKS = [
    Late("1", "max_hold 2 ms, no other flow"),
    Late("1000", "beside 1,000 flows", flows=1000),
    Late("20000", "beside 20,000 flows", flows=20000),
    Late("60000", "beside 60,000 flows", flows=60000),
    Late("20ns", "in 20 namespaces at once", spaces=20),
    Late("150ns", "in 150 namespaces at once", spaces=150),
    Late("busy", "two busy loops per CPU", busy=2),
    Late("100us", "max_hold 100 us", max_hold="100us"),
    Late("20ms", "max_hold 20 ms", max_hold="20ms"),
]
