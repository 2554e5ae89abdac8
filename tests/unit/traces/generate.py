#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Makes the synthetic traces of this folder: each says in its header which pattern it is and what it stands for.

  generate.py DIRECTORY [BURSTS [NAME…]]   writes NAME.trace (all patterns if none is named) with that many bursts

Without BURSTS each gets as many as make a file of some thousand lines; the committed files are those.

The output depends on nothing but the arguments (one seeded generator per pattern), so running it again changes nothing.
"""
import os
import random
import sys

WRITE_US = 5  # between two writes of a burst
TURN_US = 60  # from the last write of a burst to the answer, and from the answer to the next burst


class Trace:
    def __init__(self, name, **header):
        self.random = random.Random(name)
        self.header = " ".join(f"{key}={value}" for key, value in header.items())
        self.now = 1000
        self.lines = []

    def event(self, kind, size=0, flow=0):
        tail = f" {size} {flow}" if flow else f" {size}" if size else ""
        self.lines.append(f"{self.now} {kind}{tail}")

    def writes(self, sizes, flow=0, gap=WRITE_US):
        for size in sizes:
            self.event("w", size, flow)
            self.now += gap

    def exchange(self, sizes, flow=0):
        """One burst, then the program waits for the answer and reads it."""
        self.writes(sizes, flow)
        self.event("r", 0, flow)
        self.now += TURN_US
        self.event("r", 120, flow)
        self.now += TURN_US


PATTERNS = {}


def pattern(usual=300, **header):
    def register(function):
        PATTERNS[function.__name__] = (function, header, usual)
        return function
    return register


@pattern(usual=150)
def constant_15(trace, bursts):
    "RPC client: every request is 15 writes, then it waits for the answer."
    for _ in range(bursts):
        trace.exchange([20] * 15)


@pattern(usual=100, nodelay=0, rtt=60)
def constant_15_nagle(trace, bursts):
    "The same without TCP_NODELAY: the answer comes 40 ms late, when the delayed ACK lets the rest of the message go."
    for _ in range(bursts):
        trace.writes([20] * 15)
        trace.event("r")
        trace.now += 40000
        trace.event("r", 120)
        trace.now += TURN_US


@pattern(usual=40, mss=65483)
def constant_100(trace, bursts):
    "Requests of 100 small writes on loopback (a full segment is never reached)."
    for _ in range(bursts):
        trace.exchange([20] * 100)


@pattern(usual=40)
def constant_100_ethernet(trace, bursts):
    "Requests of 100 writes of 64 bytes: full segments fill up in the middle of the burst."
    for _ in range(bursts):
        trace.exchange([64] * 100)


@pattern(usual=60)
def around_100(trace, bursts):
    "Requests of 99 to 101 writes at random, one in 50 of 60."
    for _ in range(bursts):
        trace.exchange([10] * (60 if trace.random.random() < 0.02 else trace.random.randint(99, 101)))


@pattern()
def header_body(trace, bursts):
    "HTTP server: header and body are two writes."
    for _ in range(bursts):
        trace.exchange([238, 600])


@pattern(usual=600)
def header_body_304(trace, bursts):
    "HTTP server: header and body, and one response in 20 is a header alone, of another size class."
    for _ in range(bursts):
        trace.exchange([180] if trace.random.random() < 0.05 else [280, 600])


@pattern(usual=600)
def header_body_head(trace, bursts):
    "HTTP server: one response in 20 is a header alone that looks like the others (HEAD requests)."
    for _ in range(bursts):
        trace.exchange([238] if trace.random.random() < 0.05 else [238, 600])


@pattern(usual=1200)
def header_body_rare(trace, bursts):
    "HTTP server: one response in 300 is a header alone that looks like the others."
    for _ in range(bursts):
        trace.exchange([238] if trace.random.random() < 1 / 300 else [238, 600])


@pattern()
def single(trace, bursts):
    "One write per message: nothing to gain."
    for _ in range(bursts):
        trace.exchange([100])


@pattern(usual=400)
def mixed_2_5(trace, bursts):
    "Messages of 2 or 5 writes at random."
    for _ in range(bursts):
        trace.exchange([50] * trace.random.choice((2, 5)))


@pattern()
def alternating_2_5(trace, bursts):
    "Messages of 2 and 5 writes in turn."
    for i in range(bursts):
        trace.exchange([50] * (2, 5)[i % 2])


@pattern()
def mixed_2_5_sized(trace, bursts):
    "Messages of 2 or 5 writes at random; the first write's size tells which."
    for _ in range(bursts):
        trace.exchange(trace.random.choice(([40, 50], [100, 50, 50, 50, 50])))


@pattern()
def random_10(trace, bursts):
    "1 to 10 writes, each length as likely as any other."
    for _ in range(bursts):
        trace.exchange([50] * trace.random.randint(1, 10))


@pattern(usual=60)
def random_geometric(trace, bursts):
    "A burst goes on after each write with probability 0.99."
    for _ in range(bursts):
        n = 1
        while trace.random.random() < 0.99:
            n += 1
        trace.exchange([10] * n)


@pattern(usual=100)
def growing(trace, bursts):
    "Each burst is one write longer than the one before, from 1 to 50 and again."
    for i in range(bursts):
        trace.exchange([10] * (1 + i % 50))


@pattern(usual=100)
def shrinking(trace, bursts):
    "Each burst is one write shorter than the one before, from 50 to 1 and again."
    for i in range(bursts):
        trace.exchange([10] * (50 - i % 50))


@pattern(usual=400)
def phases(trace, bursts):
    "15 writes for 100 bursts, then 7 for 100, and again."
    for i in range(bursts):
        trace.exchange([20] * (15, 7)[i // 100 % 2])


@pattern()
def one_way(trace, bursts):
    "A feed that never reads: 8 writes, then a pause."
    for _ in range(bursts):
        trace.writes([80] * 8)
        trace.now += trace.random.randint(2000, 9000)


@pattern()
def one_way_random(trace, bursts):
    "A feed that never reads: 4 to 12 writes, then a pause."
    for _ in range(bursts):
        trace.writes([80] * trace.random.randint(4, 12))
        trace.now += trace.random.randint(3000, 9000)


@pattern(usual=300)
def late_writes(trace, bursts):
    "10 writes, and one burst in 20 stops for 0.5 ms somewhere in the middle (a page fault, a scheduler)."
    for _ in range(bursts):
        cut = trace.random.randint(1, 9) if trace.random.random() < 0.05 else 0
        trace.writes([60] * cut)
        trace.now += 500 if cut else 0
        trace.exchange([60] * (10 - cut))


@pattern()
def slow_writes(trace, bursts):
    "5 writes 150 to 250 us apart: around burst_gap."
    for _ in range(bursts):
        for _ in range(5):
            trace.event("w", 60)
            trace.now += trace.random.randint(150, 250)
        trace.event("r")
        trace.now += 1000


@pattern()
def pipelining_server(trace, bursts):
    "Up to 8 requests are there at once; each is read, and answered in 2 writes."
    done = 0
    while done < bursts:
        for _ in range(trace.random.randint(1, 8)):
            trace.event("r", 60)
            trace.now += 10
            trace.writes([40, 200])
            done += 1
        trace.event("p")
        trace.now += 300


@pattern(usual=120)
def pipelining_client(trace, bursts):
    "8 requests of 3 writes each, then 8 answers."
    for _ in range(bursts):
        trace.exchange([30] * 24)


@pattern()
def reader_thread(trace, bursts):
    "Messages of 10 writes every 1 ms; another thread reads at random times, in three bursts of ten within one."
    for _ in range(bursts):
        read_at = trace.random.randint(0, 9) if trace.random.random() < 0.3 else -1
        for i in range(10):
            trace.event("w", 40)
            trace.now += 2
            if i == read_at:
                trace.event("r", 100)
            trace.now += 3
        trace.now += 500
        trace.event("r", 100)
        trace.now += 450


@pattern()
def reader_thread_busy(trace, bursts):
    "The same, and something is read during every burst, one to three times."
    for _ in range(bursts):
        read_at = trace.random.sample(range(10), trace.random.randint(1, 3))
        for i in range(10):
            trace.event("w", 40)
            trace.now += 2
            if i in read_at:
                trace.event("r", 100)
            trace.now += 3
        trace.now += 950


@pattern()
def chunked(trace, bursts):
    "HTTP chunked: a header, 1 to 9 chunks, and always the last chunk of 5 bytes."
    for _ in range(bursts):
        chunks = [trace.random.randint(200, 900) for _ in range(trace.random.randint(1, 9))]
        trace.exchange([180] + chunks + [5])


@pattern(mss=65483)
def bulk(trace, bursts):
    "Writes of 128 KB, one after the other; 4 to 40 fit into the send buffer, then the program waits for room."
    for i in range(bursts // 10):
        trace.writes([131072] * trace.random.randint(4, 40), gap=40)
        trace.now += trace.random.randint(200, 900)


@pattern(usual=200, mss=65483)
def header_bulk(trace, bursts):
    "HTTP server that sends large files: a small header, then 4 writes of 64 KB."
    for i in range(bursts):
        trace.exchange([260] + [65536] * 4)


@pattern(usual=400)
def short_connections(trace, bursts):
    "Connection: close: one request, header and body, end."
    for i in range(bursts):
        flow = i % 4
        trace.event("o", 0, flow)
        trace.event("r", 90, flow)
        trace.now += 20
        trace.writes([238, 600], flow)
        trace.event("c", 0, flow)
        trace.now += 40


@pattern(usual=400)
def short_keepalive(trace, bursts):
    "Connections of 5 requests each: header, body, body, read again; the client closes."
    for i in range(bursts // 5):
        trace.event("o", 0, i % 4)
        for _ in range(5):
            trace.event("r", 90, i % 4)
            trace.now += 20
            trace.writes([238, 600, 300], i % 4)
        trace.event("r", 0, i % 4)
        trace.now += 200
        trace.event("c", 0, i % 4)


@pattern(usual=500)
def short_mixed(trace, bursts):
    "Connections of 5 requests each; one response in ten is a header alone that looks like the others."
    for i in range(bursts // 5):
        trace.event("o", 0, i % 4)
        for _ in range(5):
            trace.event("r", 90, i % 4)
            trace.now += 20
            trace.writes([238] if trace.random.random() < 0.1 else [238, 600], i % 4)
        trace.event("r", 0, i % 4)
        trace.now += 200
        trace.event("c", 0, i % 4)


@pattern()
def short_then_other(trace, bursts):
    "Short connections of 3-write messages; half-way the program is replaced by one that writes once."
    for i in range(bursts // 2):
        trace.event("o", 0, 0)
        for _ in range(2):
            trace.event("r", 90)
            trace.now += 20
            trace.writes([238] if i >= bursts // 4 else [238, 10, 20])
            trace.event("r", 0)
            trace.now += 300
        trace.event("c", 0, 0)


def feed(trace, gaps):
    """One write per message, the program reads nothing; one in 100 waits for the scheduler."""
    for gap in gaps:
        trace.event("w", 60)
        trace.now += max(1, round(gap)) + (trace.random.randint(300, 1000) if trace.random.random() < 0.01 else 0)


@pattern(usual=1000)
def feed_20(trace, bursts):
    "A feed: one message every 20 us."
    feed(trace, (20 * trace.random.uniform(0.8, 1.2) for _ in range(bursts)))


@pattern(usual=1000)
def feed_50(trace, bursts):
    "A feed: one message every 50 us."
    feed(trace, (50 * trace.random.uniform(0.8, 1.2) for _ in range(bursts)))


@pattern(usual=1000)
def feed_100(trace, bursts):
    "A feed: one message every 100 us."
    feed(trace, (100 * trace.random.uniform(0.8, 1.2) for _ in range(bursts)))


@pattern(usual=1000)
def feed_150(trace, bursts):
    "A feed: one message every 150 us."
    feed(trace, (150 * trace.random.uniform(0.8, 1.2) for _ in range(bursts)))


@pattern(usual=1000)
def feed_poisson(trace, bursts):
    "A feed: messages at random, 50 us apart on average."
    feed(trace, (trace.random.expovariate(1 / 50) for _ in range(bursts)))


@pattern(usual=400)
def dns_in_flight(trace, bursts):
    "DNS server over TCP with 20 queries in flight: what one read brings is answered one by one, until the next read."
    for _ in range(bursts):
        queries = min(20, 1 + int(trace.random.expovariate(1 / 3)))
        trace.event("r", 50 * queries)
        for _ in range(queries):
            trace.now += trace.random.randint(8, 40)
            trace.event("w", trace.random.randint(80, 180))
        trace.now += trace.random.randint(5, 120)


@pattern()
def node_chunks(trace, bursts):
    "A response in 4 pieces, each made by another turn of the event loop."
    for _ in range(bursts):
        trace.event("r", 90)
        trace.now += 40
        for size in (180, 400, 400, 5):
            trace.event("w", size)
            trace.now += trace.random.randint(55, 130)
        trace.event("p")
        trace.now += 60


@pattern()
def http2_threads(trace, bursts):
    "HTTP/2: 4 threads answer on one connection, each a HEADERS frame and up to 200 us later a DATA frame."
    times = []
    for thread in range(4):
        now = trace.now + thread * 50
        for _ in range(bursts // 4):
            times.append((now, "r", 40))
            now += trace.random.randint(20, 60)
            times.append((now, "w", 60))
            now += trace.random.randint(0, 200)
            times.append((now, "w", 300))
            now += trace.random.randint(100, 300)
    for trace.now, kind, size in sorted(times):
        trace.event(kind, size)


@pattern(usual=400)
def late_bodies(trace, bursts):
    "HTTP server: header and body, and one body in 20 comes 1 to 5 ms late (a cache that missed)."
    for _ in range(bursts):
        trace.event("r", 90)
        trace.now += 20
        trace.event("w", 238)
        trace.now += trace.random.randint(1000, 5000) if trace.random.random() < 0.05 else WRITE_US
        trace.event("w", 600)
        trace.now += WRITE_US
        trace.event("p")
        trace.now += TURN_US


def stalled(trace, sizes, flow):
    """A message on a connection without TCP_NODELAY: its answer comes when the delayed ACK has let the rest go."""
    trace.writes(sizes, flow, gap=12)
    trace.event("p", 0, flow)
    trace.now += 40000
    trace.event("r", 4, flow)
    trace.now += TURN_US


@pattern(usual=240, nodelay=0, rtt=60)
def mqtt_reconnects(trace, bursts):
    "MQTT without TCP_NODELAY, 6 connections one after the other: CONNECT in 2 writes, then PUBLISH in 3 and PUBACK."
    for connection in range(6):
        trace.event("o", 0, connection)
        stalled(trace, [14, 20], connection)
        for _ in range(bursts // 6):
            stalled(trace, [2, 12, trace.random.choice((30, 60, 90))], connection)
        trace.event("c", 0, connection)
        trace.now += 1000


@pattern(usual=60, nodelay=0, rtt=60)
def fastcgi_new(trace, bursts):
    "FastCGI backend without TCP_NODELAY: a new connection for each response of 21 writes."
    for _ in range(bursts):
        trace.event("o")
        trace.event("r", 200)
        trace.now += 50
        stalled(trace, [8] * 21, 0)
        trace.event("c")
        trace.now += 200


@pattern(usual=60, nodelay=0, rtt=60)
def fastcgi_random(trace, bursts):
    "The same, of 2 to 40 writes."
    for _ in range(bursts):
        trace.event("o")
        trace.event("r", 200)
        trace.now += 50
        stalled(trace, [8] * trace.random.randint(2, 40), 0)
        trace.event("c")
        trace.now += 200


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    directory = sys.argv[1]
    for name in sys.argv[3:] or PATTERNS:
        function, header, usual = PATTERNS[name]
        bursts = int(sys.argv[2]) if len(sys.argv) > 2 else usual
        trace = Trace(name, **header)
        function(trace, bursts)
        with open(os.path.join(directory, name + ".trace"), "w", encoding="ascii") as out:
            print("autocork-trace 1", trace.header, file=out)
            print(f"# {function.__doc__}", file=out)
            print(f"# Synthetic: generate.py DIRECTORY {bursts} {name}", file=out)
            print("\n".join(trace.lines), file=out)


if __name__ == "__main__":
    main()
