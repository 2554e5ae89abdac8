#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Random lives of connections, ended in each way: all counters equal what the test itself, TCP_INFO and the namespace's
own statistics count. TEST_SEED=n repeats a run."""
import ctypes
import json
import os
import random
import socket
import struct
import subprocess
import tempfile

from lib import PATIENT, Stream, build, check, control, equal, main, pattern, tcp_info, wait_for, world

OBSERVE = "[policy all]\nmode = observe\nmax_hold = 50ms\nburst_gap = 50ms\n"
MANAGED = PATIENT + "[policy look]\nports = 1\nmode = observe\n"
LIVES = 30  # a port each: more than 32 of a program share a row (docs/policy.md)
LINGER_NOW = struct.pack("ii", 1, 0)
UNSPECIFIED = struct.pack("H14x", socket.AF_UNSPEC)
libc = ctypes.CDLL(None, use_errno=True)


def close(stream):
    stream.client.close()


def shutdown(stream):
    stream.client.shutdown(socket.SHUT_WR)


def unread(stream):
    stream.server.sendall(b"?")
    wait_for(lambda: stream.client.recv(1, socket.MSG_PEEK), 5, "input")
    stream.truth["server"].append(1)
    stream.client.close()


def linger(stream):
    stream.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOW)
    stream.client.close()


def disconnect(stream):
    equal(libc.connect(stream.client.fileno(), UNSPECIFIED, len(UNSPECIFIED)), 0, "connect(AF_UNSPEC)")


def peer(stream):
    stream.server.close()


def peer_resets(stream):
    stream.server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOW)
    stream.server.close()


ENDS = close, shutdown, unread, linger, disconnect, peer, peer_resets


def segments_sent(net):
    """Of the namespace, since it is there."""
    with net.inside(), open("/proc/thread-self/net/snmp", encoding="ascii") as file:
        names, values = (line.split()[1:] for line in file if line.startswith("Tcp:"))
    return int(dict(zip(names, values))["OutSegs"])


def live(stream, dice, shape):
    """Some messages there and back, all of them read. `shape`: of the sizes of writes in a message, alike or at
    random."""
    stream.truth = {"client": [], "server": []}
    for _ in range(dice.choice((0, 1, 3, 20))):
        sizes = shape or [dice.choice((1, 20, 20, 300, 5000, 30000)) for _ in range(dice.randrange(1, 5))]
        for size in sizes:
            stream.client.sendall(pattern(0, size))
        stream.receive(stream.server, sum(sizes))
        stream.server.sendall(b"ok")
        stream.receive(stream.client, 2)
        stream.truth["client"] += sizes
        stream.truth["server"].append(2)


def lives(policy, dice):
    with world(policy) as w, tempfile.TemporaryFile("w+") as out:
        listener = subprocess.Popen([build("autocork"), "events", "--json", "--control", w.agent.control, "--type",
                                     "flow_closed"],
                                    stdout=out, stderr=subprocess.DEVNULL)
        try:
            wait_for(lambda: control("event_mask"), 5, "the listener")
            by_way(w, dice, out)
        finally:
            listener.terminate()
            listener.wait()


def by_way(w, dice, out):
    seen = 0
    for number in range(LIVES):
        end = ENDS[number % len(ENDS)]
        shape = [20, 20, 20] if number % 2 else None
        before = segments_sent(w.net)
        # A service each: a port that comes twice would have two lives.
        port = 20000 + number
        with Stream(w.net, port=port) as stream:
            live(stream, dice, shape)
            info = {"client": tcp_info(stream.client)["data_segs_out"],
                    "server": tcp_info(stream.server)["data_segs_out"]}
            info["server"] += end is unread
            end(stream)
        what = f"{end.__name__}, life {number}"
        rows = wait_for(lambda: (r := [w.agent.service(port, side) for side in ("client", "server")])
                        and all(row and row["flows_closed"] == row["flows_opened"] for row in r) and r, 10, what)
        sent = segments_sent(w.net) - before
        # The SYN-ACK is the listener's. What is sent twice the namespace counts once.
        equal(sum(row["packets_out"] - row["retransmits"] for row in rows) + 1, sent, f"packets, {what}")
        for side, row, other in ("client", rows[0], rows[1]), ("server", rows[1], rows[0]):
            truth = stream.truth[side]
            equal((row["flows_opened"], row["flows_closed"], row["rtt_flows"] if "rtt_flows" in row else 1), (1, 1, 1),
                  f"flows of the {side}, {what}")
            equal((row["writes"], row["written_bytes"]), (len(truth), sum(truth)), f"writes of the {side}, {what}")
            # A busy machine may send a tail twice after it was asked.
            check(info[side] <= row["segments"] <= info[side] + row["retransmits"],
                  f"{row['segments']} segments of the {side}, not {info[side]}, {what}")
            if not row["retransmits"]:
                equal(row["sent_bytes"], sum(truth), f"bytes sent by the {side}, {what}")
            equal(row["received_bytes"], sum(stream.truth["server" if side == "client" else "client"]),
                  f"bytes that the {side} received, {what}")

        def told():
            out.seek(0)
            return [json.loads(line) for line in out][seen:]
        events = wait_for(lambda: len(told()) >= 2 and told(), 5, f"events, {what}")
        seen += 2
        equal(sorted((e["written_bytes"], e["read_bytes"], e["segments"]) for e in events),
              sorted((sum(stream.truth[a]), sum(stream.truth[b]), row["segments"])
                     for a, b, row in (("client", "server", rows[0]), ("server", "client", rows[1]))),
              f"events, {what}")
        for event in events:
            check(event["bursts"] > 0 or not event["written_bytes"],
                  f"no burst of {event['written_bytes']} bytes, {what}")


def seeded():
    seed = int(os.environ.get("TEST_SEED") or random.randrange(1 << 30))
    print(f"# TEST_SEED={seed}", flush=True)
    return random.Random(seed)


def test_observed():
    """of connections that are observed"""
    lives(OBSERVE, seeded())


def test_managed():
    """of connections that a policy manages"""
    lives(MANAGED, seeded())


main(globals())
