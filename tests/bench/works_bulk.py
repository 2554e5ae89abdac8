# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Programs that have nothing to gain: they must lose nothing."""
import json
import re
import time

import bpf_profile
from harness import Must, Row, Work
from lib import Program, free_port, program, wait_port
from servers import Redis


# The observer looks at new connections and leaves; what tells the agent's own cost comes a second later, briefly.
SETTLE_S = 3


class RedisWork(Work):
    def __init__(self, pipeline, per_second):
        self.pipeline, self.per_second = pipeline, per_second
        self.name = f"redis-P{pipeline}"
        self.title = f"redis-benchmark -P {pipeline}, 50 connections"

    def measure(self, stage):
        with Redis(stage.net, stage.server, cpu=stage.server_cpu) as server:
            self.load(stage, server, 0.3)
            figures = {}
            with stage.count(figures):
                rate, requests = self.load(stage, server, 1)
            result = {"rate": rate, "cpu_us": (figures["server_cpu"] + figures["client_cpu"]) / requests,
                      "segments": figures["segments"] / requests}
            if stage.agent:
                result["runs"] = self.runs(stage, server)
            return result

    def runs(self, stage, server):
        """Of BPF programs per request, on connections that are known by then."""
        def processed():
            output = stage.net.run(program("redis-cli"), "-p", str(server.port), "info", "stats")
            return int(re.search(r"total_commands_processed:(\d+)", output)[1])
        rows = []
        with self.client(stage, server, int(self.per_second * 3600)):
            time.sleep(SETTLE_S)
            before = processed()
            with bpf_profile.counted(rows):
                time.sleep(stage.seconds)
                requests = processed() - before
        return sum(row[1] for row in rows) / requests

    def client(self, stage, server, requests):
        return Program(stage.net, [program("redis-benchmark"), "-p", server.port, "-P", self.pipeline, "-c", 50, "-n",
                                   requests, "-t", "get", "--csv"], stage.client, cpu=stage.client_cpu)

    def load(self, stage, server, share):
        requests = int(self.per_second * stage.seconds * share)
        with self.client(stage, server, requests) as client:
            output = client.wait(120)
        # "test","rps",…  then  "GET","61349.69",…
        return float(output.strip().splitlines()[-1].split(",")[1].strip('"')), requests

    def rows(self, rounds):
        return [
            self.pair(rounds, "rate", "requests per second", Must(low=0.99)),
            self.pair(rounds, "cpu_us", "CPU per request, us"),
            Row(self.title, "runs of BPF programs per request, once known", None, rounds["managed"]["runs"],
                Must(high=0.01, of="managed")),
            self.misses(rounds),
        ]


class Iperf(Work):
    def __init__(self, streams):
        self.streams = streams
        self.name = f"iperf3-{streams}"
        self.title = f"iperf3, {streams} stream{'s' if streams > 1 else ''}"

    def measure(self, stage):
        port = free_port(stage.net)
        with Program(stage.net, [program("iperf3"), "-s", "-1", "-p", port], stage.server,
                     cpu=stage.server_cpu) as server:
            wait_port(stage.net, port, alive=server)
            figures = {}
            with stage.count(figures):
                with Program(stage.net, [program("iperf3"), "-c", "127.0.0.1", "-p", port, "-P", self.streams, "-J",
                                         "-t",
                                         max(1, round(stage.seconds))], stage.client, cpu=stage.client_cpu) as client:
                    result = json.loads(client.wait(60))
        received = result["end"]["sum_received"]
        return {"rate": received["bits_per_second"] / 1e9,
                "cpu_us": (figures["server_cpu"] + figures["client_cpu"]) / (received["bytes"] / 1e6)}

    def rows(self, rounds):
        return [
            self.pair(rounds, "rate", "Gbit per second", Must(low=0.99)),
            self.pair(rounds, "cpu_us", "CPU per megabyte, us"),
            self.misses(rounds),
        ]


WORKS = [RedisWork(1, 50000), RedisWork(16, 400000), Iperf(1), Iperf(8)]
