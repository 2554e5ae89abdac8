# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""What it costs to be watched: a policy that only observes, against no agent at all."""
import time

from harness import Must, Row, Work
from works_http import NginxWork, Served
from works_messages import exchange

WRITES = 15
# Above its budget the agent looks for one second in 16, or fewer: what that costs on average takes a whole turn to see.
TURN_S = 16


def tire(stage, load):
    """Keeps the load up until the agent is above its budget; returns how many seconds a turn has."""
    if not stage.agent:
        load()
        return TURN_S
    end = time.monotonic() + 60
    while time.monotonic() < end:
        load()
        ratio = stage.agent.status()["telemetry"]["sampling"]
        if ratio < 1:
            return round(1 / ratio)
    raise AssertionError("the agent stays in its budget: this load costs less than 1% of a CPU")


class ObservedWrites(Work):
    """On average: a median would leave out the seconds in which the agent looks."""

    name, title = "observe15", f"only observed: message in {WRITES} writes, TCP_NODELAY"
    modes = ("unmanaged", "observed")

    def measure(self, stage):
        def send(messages):
            result, _ = exchange(stage, "--no_delay", "--buffers", WRITES, "--messages", messages)
            taken.append(result["message_us"])
            return result

        taken = []
        turn_s = tire(stage, lambda: send(5000))
        result = send(int(turn_s * 1e6 / taken[-1]))
        return {"us": result["message_us"], "client_cpu_us": result["cpu_us"],
                "cpu_us": result["cpu_us"] + result["server_cpu_us"]}

    def rows(self, rounds):
        def more(figure, must=None):
            ns = (rounds["observed"][figure] - rounds["unmanaged"][figure]) * 1000 / WRITES
            return Row(self.title, "that is more per write, ns", None, ns, must)
        return [
            self.pair(rounds, "us", "time per message, us", managed="observed"),
            more("us", Must(high=25, of="managed")),
            self.pair(rounds, "cpu_us", "CPU of both sides, us", managed="observed"),
            more("cpu_us"),
            self.pair(rounds, "client_cpu_us", "of it the client, us", managed="observed"),
            more("client_cpu_us"),
        ]


class ObservedNginx(NginxWork):
    name, title = "observe-nginx", "only observed: nginx, 600-byte file, keep-alive, 16 connections"
    modes = ("unmanaged", "observed")

    def measure(self, stage):
        with Served(stage) as server:
            stage.seconds = tire(stage, lambda: self.load(stage, server, 1))
            return self.count(stage, server)

    def rows(self, rounds):
        return [
            self.pair(rounds, "rate", "requests per second", managed="observed"),
            self.pair(rounds, "cpu_us", "CPU per request, us", Must(high=1.01), managed="observed"),
            self.pair(rounds, "server_cpu_us", "of it nginx, us", managed="observed"),
        ]


WORKS = [ObservedWrites(), ObservedNginx()]
