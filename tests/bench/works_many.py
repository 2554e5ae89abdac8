# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Ten thousand flows at once: what the agent keeps of each, and whether it still answers."""
import pathlib
import statistics
import subprocess
import time

from harness import Must, Row, Work
from lib import Program, build, free_port, wait_for, wait_port

CONNECTIONS = 10000
ENDS = 2 * CONNECTIONS	# both ends of a connection are here, and each is a flow
STATUS_TRIES = 5
SETTLE_S, STILL_BYTES = 15, 128 << 10


def settled_bytes():
    """The same, once it stays: what the round before left is freed behind its back, and would be taken for this
    one's."""
    before, end = kernel_bytes(), time.monotonic() + SETTLE_S
    while time.monotonic() < end:
        time.sleep(0.5)
        now = kernel_bytes()
        if abs(now - before) < STILL_BYTES:
            return now
        before = now
    return before


def kernel_bytes():
    """Slab and per-CPU memory."""
    wanted = {"SUnreclaim", "Percpu"}
    total = 0
    for line in pathlib.Path("/proc/meminfo").read_text().splitlines():
        name, rest = line.split(":")
        if name in wanted:
            total += int(rest.split()[0]) * 1024
    return total


class Many(Work):
    name, title = "flows", "10,000 connections, both ends here: 20,000 flows"

    def measure(self, stage):
        port = free_port(stage.net)
        bench = [build("autocork"), "bench"]
        with Program(stage.net, [*bench, "server", "--port", port], stage.server, cpu=stage.server_cpu) as server:
            wait_port(stage.net, port, alive=server)
            # Two messages' worth of writes on each connection, so that each has learned something.
            before = settled_bytes()
            with Program(stage.net, [*bench, "client", "--no_delay", "--host", "127.0.0.1", "--port", port,
                                     "--connections", CONNECTIONS, "--messages", 4 * CONNECTIONS, "--keep", 60],
                         stage.client, cpu=stage.client_cpu) as client:
                wait_for(lambda: "packets per message" in client.output(), 120, "the messages' end")
                figures = {"bytes": (settled_bytes() - before) / ENDS}
                if stage.agent:
                    figures["status_ms"], figures["seen"] = self.status(stage.agent)
        return figures

    @staticmethod
    def status(agent):
        times = []
        for _ in range(STATUS_TRIES):
            start = time.monotonic()
            subprocess.run([build("autocork"), "status", "--control", agent.control], stdout=subprocess.DEVNULL,
                           check=True)
            times.append((time.monotonic() - start) * 1000)
        return statistics.median(times), agent.totals()["flows"]

    def rows(self, rounds):
        base, managed = rounds["unmanaged"]["bytes"], rounds["managed"]["bytes"]
        return [
            Row(self.title, "kernel memory per flow, bytes", base, managed,
                Must(high=base + 512, of="managed", text="without + 512")),
            Row(self.title, "flows that status counts", None, rounds["managed"]["seen"], Must(low=ENDS, of="managed")),
            Row(self.title, "autocork status, ms", None, rounds["managed"]["status_ms"], Must(high=100, of="managed")),
        ]


WORKS = [Many()]
