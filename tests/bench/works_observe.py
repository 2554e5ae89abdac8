# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""What it costs to be watched: a policy that only observes, against no agent at all."""
import time

from harness import Must, Row, Work
from works_http import NginxWork
from works_messages import exchange

WRITES = 15
# For one second in twenty, the first a second after its start, the agent has the kernel time every BPF program, which
# makes them half as dear again: a short run must not be all in it.
OWN_WINDOW_S = 2.2


def settled(stage):
    if stage.agent:
        time.sleep(OWN_WINDOW_S)
    return stage


class ObservedWrites(Work):
    """On one CPU the time of a message is what both sides spend on it, and its median repeats better than their CPU
    time."""

    name, title = "observe15", f"only observed: message in {WRITES} writes, TCP_NODELAY"
    modes = ("unmanaged", "observed")

    def measure(self, stage):
        messages = max(200, int(stage.seconds * 6000))
        result, _ = exchange(settled(stage), "--no_delay", "--buffers", WRITES, "--warmup", messages // 10,
                             "--messages", messages)
        return {"p50": result["p50_us"], "client_cpu_us": result["cpu_us"],
                "cpu_us": result["cpu_us"] + result["server_cpu_us"]}

    def rows(self, rounds):
        def more(figure, must=None):
            ns = (rounds["observed"][figure] - rounds["unmanaged"][figure]) * 1000 / WRITES
            return Row(self.title, "that is more per write, ns", None, ns, must)
        return [
            self.pair(rounds, "p50", "time per message, us", managed="observed"),
            more("p50", Must(high=60, of="managed")),
            self.pair(rounds, "cpu_us", "CPU of both sides, us", managed="observed"),
            more("cpu_us"),
            self.pair(rounds, "client_cpu_us", "of it the client, us", managed="observed"),
            more("client_cpu_us"),
        ]


class ObservedNginx(NginxWork):
    name, title = "observe-nginx", "only observed: nginx, 600-byte file, keep-alive, 16 connections"
    modes = ("unmanaged", "observed")

    def measure(self, stage):
        return super().measure(settled(stage))

    def rows(self, rounds):
        return [
            self.pair(rounds, "rate", "requests per second", managed="observed"),
            self.pair(rounds, "cpu_us", "CPU per request, us", Must(high=1.01), managed="observed"),
            self.pair(rounds, "server_cpu_us", "of it nginx, us", managed="observed"),
        ]


WORKS = [ObservedWrites(), ObservedNginx()]
