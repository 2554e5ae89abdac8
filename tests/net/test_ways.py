#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Each way of writing is seen and managed: a message in pieces leaves as one segment, whichever call writes them. The
vm layer does the same on its kernels; test_uring has io_uring's worker threads, test_swallowed what becomes of
zero-copy notifications."""
import json

from lib import Program, build, check, equal, main, world

FIRST_PORT, LEARN_S, ROUNDS = 17400, 3, 100
# A page that is sent without a copy has a notification of its own: nothing is merged.
UNHELD = "zerocopy"
# Writes that the agent counts for a message.
WRITES = {"header and sendfile": 2}


def test_ways():
    """a message in pieces is one segment by each way of writing but zero copy, and each piece is counted"""
    with world() as w:
        with Program(w.net, [build("tests/net/ways_client"), FIRST_PORT, LEARN_S, ROUNDS], w.clients) as client:
            equal(client.process.wait(60), 0, client.output())
            seen = json.loads(client.output())
        for name, way in seen.items():
            way["writes"] = w.agent.service(way["port"], "client")["writes"] / way["messages"]
    print(f"# {seen}")
    for name, way in seen.items():
        pieces = WRITES.get(name, 5)
        if name == UNHELD:
            check(way["segments"] >= pieces, f"{name}: {way['segments']} segments of a message")
            continue
        check(way["segments"] < 1.2, f"{name}: {way['segments']} segments of a message")
        # A busy agent counts a part of the writes, until the flow is managed.
        check(pieces * 0.8 < way["writes"] <= pieces, f"{name}: {way['writes']} writes counted of {pieces}")


main(globals())
