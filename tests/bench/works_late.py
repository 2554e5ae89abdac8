# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""How late a wrong hold ends: after its max_hold, for the slowest of a thousand, beside many flows, in many
namespaces, on a busy machine.

Streams learn messages of 5 writes; then each writes 3 and waits, all at once: what is held leaves at its deadline. How
late that was the agent counts (`lateness_us` of its services), in buckets: a figure is the top of its bucket. Beside it
stands what the machine can do meanwhile: how late a real-time process wakes up that sleeps for 2 ms. No release process
can be better than that."""
import contextlib
import os
import subprocess
import sys
import time

from harness import Must, Row, Work
from lib import Net, Program, Stream, build, free_port, wait_for, wait_port
from ports import pattern

STREAMS = 20	# at least; one in each namespace
HOLDS = 1000
LEARN_ROUNDS, SIZE, WRITES, FEWER = 60, 20, 5, 3
LONGEST_S = 60
IDLE_PER_PORT = 10000
# One millisecond, and what the buckets round up.
LATE_US = 1023
MACHINE = "real-time sleeper"
BUSY = "while :; do :; done"
# Prints p50 and p99.9 when its input ends.
SLEEPER = """
import gc, os, select, sys, time
os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
gc.disable()
late = []
while not select.select([sys.stdin], [], [], 0)[0]:
    due = time.monotonic() + 0.002
    time.sleep(max(due - time.monotonic(), 0))
    late.append((time.monotonic() - due) * 1e6)
late.sort()
print(*(int(late[min(int(len(late) * share), len(late) - 1)]) for share in (0.5, 0.999)))
"""


class Late(Work):
    """Wrong holds of flows in `spaces` namespaces, beside `flows` others, with `busy` loops per CPU."""

    modes = ("managed",)

    def __init__(self, name, title, max_hold="2ms", flows=1, spaces=1, busy=0):
        self.name, self.title = "late-" + name, "wrong holds: " + title
        self.max_hold, self.flows, self.spaces, self.busy = max_hold, flows, spaces, busy

    def policy(self, mode):
        return f"[policy all]\nmode = autocork\nmax_hold = {self.max_hold}\nburst_gap = {self.max_hold}\npacket_worth = 1ms\n" \
               "confidence = 0.5\n"

    def measure(self, stage):
        with contextlib.ExitStack() as stack:
            self.idle_flows(stage, stack)
            stage.client.enter()
            nets = [stage.net] + [stack.enter_context(Net("cubic")) for _ in range(self.spaces - 1)]
            streams = [stack.enter_context(Stream(nets[i % self.spaces])) for i in range(max(STREAMS, self.spaces))]
            for _ in range(self.busy * len(os.sched_getaffinity(0))):
                stack.enter_context(contextlib.closing(Busy()))
            sleeper = stack.enter_context(contextlib.closing(Sleeper()))
            end = time.monotonic() + LONGEST_S
            while self.wrong(stage) < HOLDS and time.monotonic() < end:
                for stream in streams:
                    stream.exchange(WRITES, SIZE, LEARN_ROUNDS)
                self.hold_all(streams)
            return self.figures(stage) | sleeper.figures()

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

    @staticmethod
    def wrong(stage):
        return sum(service["released"]["deadline"] for service in stage.agent.services())

    @staticmethod
    def figures(stage):
        buckets = {}
        for service in stage.agent.services():
            for top, count in service["lateness_us"]:
                top = float("inf") if top is None else top
                buckets[top] = buckets.get(top, 0) + count
        ended = max(Late.wrong(stage), sum(buckets.values()))
        late = sum(service["holds_late"] for service in stage.agent.services())
        figures = {"holds": ended, "late": late, "p50": 0, "p999": 0}
        # Those that ended in time are in no bucket.
        seen = ended - sum(buckets.values())
        for top in sorted(buckets):
            for name, share in ("p50", 0.5), ("p999", 0.999):
                if seen < share * ended <= seen + buckets[top]:
                    figures[name] = top
            seen += buckets[top]
        return figures

    def rows(self, rounds):
        seen = rounds["managed"]
        return [
            Row(self.title, f"lateness, p99.9 of {seen['holds']:.0f}, us", seen["floor_p999"], seen["p999"],
                Must(high=LATE_US, of="managed", text="max_hold + 1 ms"), against=MACHINE),
            Row(self.title, "lateness, p50, us", seen["floor_p50"], seen["p50"], None, against=MACHINE),
            Row(self.title, "later than 1 ms", None, seen["late"], None),
        ]


class Sleeper:
    """What a process in real time can have of this machine."""

    def __init__(self):
        self.process = subprocess.Popen([sys.executable, "-c", SLEEPER], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True)

    def figures(self):
        p50, p999 = self.process.communicate(timeout=10)[0].split()
        return {"floor_p50": int(p50), "floor_p999": int(p999)}

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
