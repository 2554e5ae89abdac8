# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""nginx serving a small file to wrk: header and body are two writes."""
import re

from harness import Must, Row, Work
from lib import Program, program
from servers import Nginx


class Served(Nginx):
    def __init__(self, stage):
        self.extra_environment = dict(stage.environment(), AUTOCORK_ALL="1")
        super().__init__(stage.net, stage.server, cpu=stage.server_cpu)

    def environment(self):
        return self.extra_environment


class NginxWork(Work):
    """Mode `preload` is the limit: as much as whoever knows where a response ends can gain."""

    headers = ()

    def measure(self, stage):
        with Served(stage) as server:
            self.load(stage, server, 0.3 * stage.seconds)
            return self.count(stage, server)

    def count(self, stage, server):
        figures = {}
        with stage.count(figures):
            requests, elapsed = self.load(stage, server, stage.seconds)
        return {
            "rate": requests / elapsed,
            "segments": figures["segments"] / requests,
            "cpu_us": (figures["server_cpu"] + figures["client_cpu"]) / requests,
            "server_cpu_us": figures["server_cpu"] / requests,
        }

    def load(self, stage, server, seconds):
        """wrk counts whole seconds only, so short runs are one second."""
        headers = [word for header in self.headers for word in ("-H", header)]
        with Program(stage.net, [program("wrk"), "-c16", "-t1", f"-d{max(1, round(seconds))}s", *headers,
                                 f"http://127.0.0.1:{server.port}/file.bin"], stage.client,
                                 cpu=stage.client_cpu) as client:
            output = client.wait()
        if "Non-2xx" in output or "Socket errors" in output:
            raise AssertionError("wrk met errors:\n" + output)
        requests, elapsed, unit = re.search(r"(\d+) requests in ([\d.]+)(m?s)", output).groups()
        return int(requests), float(elapsed) / (1000 if unit == "ms" else 1)


class KeepAlive(NginxWork):
    def __init__(self, name, cpus=None, where=""):
        self.name, self.cpus, self.title = name, cpus, "nginx, 600-byte file, keep-alive, 16 connections" + where

    modes = ("unmanaged", "managed", "preload")

    def limit(self, rounds, figure, text):
        """Which part of the limit's gain is reached."""
        gain, most = (rounds.ratio(figure, mode, "unmanaged") - 1 for mode in ("managed", "preload"))
        return Row(self.title, f"{text}: gain against the limit's", most, gain, Must(low=0.75))

    def rows(self, rounds):
        return [
            self.pair(rounds, "segments", "segments per request", Must(1.98, 2.02, of="managed", text="2.00 (1%)")),
            self.pair(rounds, "rate", "requests per second", Must(low=1.2)),
            self.pair(rounds, "cpu_us", "CPU per request, us", Must(high=0.82)),
            self.pair(rounds, "server_cpu_us", "of it nginx, us"),
            self.limit(rounds, "rate", "requests per second"),
            self.limit(rounds, "cpu_us", "CPU per request"),
            self.misses(rounds),
        ]


class Close(NginxWork):
    headers = ("Connection: close",)

    def __init__(self, name, cpus=None, where=""):
        self.name, self.cpus, self.title = name, cpus, "nginx, the same, Connection: close" + where

    def rows(self, rounds):
        base, managed = rounds["unmanaged"]["segments"], rounds["managed"]["segments"]
        return [
            Row(self.title, "segments per connection", base, managed, Must(high=9.05, of="managed", text="9")),
            self.pair(rounds, "rate", "connections per second", Must(low=1.0)),
            self.pair(rounds, "cpu_us", "CPU per connection, us"),
            self.pair(rounds, "server_cpu_us", "of it nginx, us"),
            self.misses(rounds),
        ]


# As between two machines: the client takes no time from the server, but each packet may have to wake the other side.
APART = "apart", "; wrk on a CPU of its own"
WORKS = [KeepAlive("nginx"), KeepAlive("nginx-apart", *APART), Close("nginx-close"), Close("nginx-close-apart", *APART)]
