#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Telemetry of a busy server: 10,000 live flows over 500 ports, scraped a thousand times."""
import contextlib
import http.client
import pathlib
import re
import resource
import signal
import socket
import statistics
import time
import urllib.parse

from agent import SANITIZED
from lib import Skip, check, equal, forked, main, world

PORTS, FLOWS_PER_PORT, FIRST_PORT = 500, 20, 20000
FLOWS = PORTS * FLOWS_PER_PORT
REQUEST = b"header and body"
# The scrapes themselves come over TCP, from the same cgroup: they are not to be counted.
POLICY = f"""[agent]
metrics = 127.0.0.1:0
budget = off
[policy flows]
ports = {FIRST_PORT}-{FIRST_PORT + PORTS - 1}
mode = observe
[policy others]
mode = off
"""
SCRAPES, WARM_UP = 1000, 50
SERIES_MAX = 2000
# The figure asked for is 50 ms; a machine under tests is slower now and then, a page that grows with the flows is
# always.
MEDIAN_MAX_S = 0.2
# Of the agent's resident memory over all scrapes: an allocator may take a page or two more, a leak takes one per
# scrape. A sanitizer keeps up to 1 MB of what was freed.
GROWTH_MAX = (1024 if SANITIZED else 512) * 1024


def need_descriptors(count):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    hard = hard if hard == resource.RLIM_INFINITY else max(hard, count)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count), hard))
    except (OSError, ValueError):
        raise Skip(f"{count} open files are needed, and not allowed") from None


def serve(ready):
    """Accepts, reads and answers in the order in which the other process asks; keeps everything open."""
    kept = []
    for port in range(FIRST_PORT, FIRST_PORT + PORTS):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen()
        kept.append(listener)
    ready()
    for listener in list(kept):
        for _ in range(FLOWS_PER_PORT):
            kept.append(listener.accept()[0])
            kept[-1].recv(len(REQUEST), socket.MSG_WAITALL)
            kept[-1].sendall(b"answer")
    signal.pause()


@contextlib.contextmanager
def many_flows(net):
    """FLOWS connections, each with a request of two writes and an answer behind it."""
    with contextlib.ExitStack() as stack:
        with net.inside():
            # An unprivileged limit on open files is below what both ends need.
            stack.enter_context(forked(serve))
            for number in range(FLOWS):
                address = "127.0.0.1", FIRST_PORT + number // FLOWS_PER_PORT
                client = stack.enter_context(socket.create_connection(address, timeout=10))
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                client.sendall(REQUEST[:4])
                client.sendall(REQUEST[4:])
                client.recv(100)
        yield


class Scraper:
    """What Prometheus does: one connection, kept."""

    def __init__(self, agent):
        url = urllib.parse.urlsplit(agent.status()["metrics_url"])
        self.connection, self.path = http.client.HTTPConnection(url.netloc, timeout=10), url.path

    def scrape(self):
        """The page, and how long it took."""
        start = time.monotonic()
        self.connection.request("GET", self.path, headers={"Accept": "application/openmetrics-text; version=1.0.0"})
        page = self.connection.getresponse().read()
        return page.decode(), time.monotonic() - start


def resident(pid):
    return int(re.search(r"^VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text(), re.M)[1]) * 1024


def test_scrapes():
    """10,000 flows over 500 ports: the series are bounded and add up, a scrape is quick, a thousand take no memory"""
    need_descriptors(FLOWS + PORTS + 100)
    with world(POLICY) as w, many_flows(w.net):
        scraper, pid = Scraper(w.agent), w.agent.process.pid
        page = scraper.scrape()[0]

        def total(name):
            return sum(float(value) for value in re.findall(rf"^autocork_{name}(?:{{.*}})? (\S+)$", page, re.M))
        equal((total("flows"), total("writes_total")), (2 * FLOWS, 3 * FLOWS), "flows, and writes on all of them")
        check('port="other"' in page, "no series for what found no place")
        for _ in range(WARM_UP):
            scraper.scrape()
        before, times, most = resident(pid), [], 0
        for _ in range(SCRAPES):
            page, seconds = scraper.scrape()
            times.append(seconds)
            most = max(most, sum(line[0] != "#" for line in page.splitlines()))
        growth = resident(pid) - before
        times.sort()
        print(f"# {most} series, {len(page)} bytes; a scrape takes {statistics.median(times) * 1e3:.1f} ms, 99% of "
              f"them at most {times[SCRAPES * 99 // 100] * 1e3:.1f} ms; resident memory {before} bytes, {growth:+} "
              f"over {SCRAPES} scrapes", flush=True)
        check(most <= SERIES_MAX, f"{most} series")
        check(statistics.median(times) < MEDIAN_MAX_S, f"a scrape takes {statistics.median(times):.3f} s")
        check(growth <= GROWTH_MAX, f"resident memory grew by {growth} bytes")


if __name__ == "__main__":
    main(globals())
