#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""autocork record: what a program did is in the trace, and autocork replay finds the same messages in it."""
import collections
import json
import os
import pathlib
import signal
import socket
import subprocess
import tempfile
import time

from lib import Skip, Stream, build, check, equal, main, wait_for, world

AUTOCORK = build("autocork")
# A pause of a busy machine ends no message.
POLICY = "[policy all]\nmode = observe\nburst_gap = 50ms\n"
ROUNDS, WRITES, SIZE = 40, 4, 50


class Recording:
    """`autocork record` in the background, from when it is attached; ends at finish()."""

    def __init__(self, w, port, path):
        if not w.agent.feature("write hook"):
            raise Skip("this kernel has no hook for writes")
        self.path = path
        self.process = subprocess.Popen([AUTOCORK, "record", "--port", str(port), "--side", "server", "--for", "120s",
                                         "-o", str(path), "--control", w.agent.control], stderr=subprocess.PIPE, text=True)
        # A program of bpf/responses.bpf.c, which nobody else here uses.
        wait_for(lambda: "packet_comes" in subprocess.run(["bpftool", "prog", "show"], capture_output=True, text=True,
                                                          check=True).stdout, 30, "the recorder's programs")
        time.sleep(0.5)

    def finish(self):
        """What it said, and the trace's events by flow: [(kind, bytes), …]."""
        self.process.send_signal(signal.SIGINT)
        said = self.process.communicate(timeout=30)[1]
        equal(self.process.returncode, -signal.SIGINT, f"exit code: {said}")
        check(self.path.exists(), f"no trace: {said}")
        flows = collections.defaultdict(list)
        for line in self.path.read_text().splitlines()[1:]:
            if not line.startswith("#"):
                _, kind, size, flow = (*line.split(), "0", "0")[:4]
                flows[int(flow)].append((kind, int(size)))
        return said, flows


def replay(path, *words):
    return json.loads(subprocess.run([AUTOCORK, "replay", "--json", *words, str(path)], capture_output=True, text=True,
                                     check=True).stdout)


def answer(stream, *writes):
    """A request, and a response in these writes: (bytes, flags)."""
    stream.client.sendall(b"request")
    stream.receive(stream.server, 7)
    for size, flags in writes:
        stream.server.send(b"x" * size, flags)
    stream.receive(stream.client, sum(size for size, _ in writes))


def test_messages():
    """known writes: the trace has each, and its replay the messages that the agent counted"""
    with world(POLICY) as w, tempfile.TemporaryDirectory() as folder:
        trace = pathlib.Path(folder, "known.trace")
        with Stream(w.net, no_delay=True) as stream:
            recording = Recording(w, stream.port, trace)
            for _ in range(ROUNDS):
                answer(stream, *[(SIZE, 0)] * WRITES)
            stream.server.close()
            port = stream.port
        wait_for(lambda: w.agent.service(port, "server")["flows_closed"] == 1, 30, "the flow's end")
        said, flows = recording.finish()
        equal(list(flows), [0], "flows")
        calls = [event for event in flows[0] if event != ("o", 0) and event != ("r", 0)]
        equal(calls, ([("r", 7)] + [("w", SIZE)] * WRITES) * ROUNDS + [("c", 0)], "what the server did")
        check("0 events were lost" in trace.read_text() and "lost" not in said, f"lost: {said}")
        result = replay(trace, "--burst-gap", "50000")
        equal((result["flows"], result["writes"], result["written_bytes"]),
              (1, ROUNDS * WRITES, ROUNDS * WRITES * SIZE), "flows, writes and bytes replayed")
        equal(result["bursts"], w.agent.service(port, "server")["bursts"], "messages, replayed and as the agent counted")
        equal(result["bursts"], ROUNDS, "messages")
        equal(result["packets_without"], ROUNDS * WRITES + 1, "packets without the agent, the FIN's included")
        check(result["packets_with"] < ROUNDS * 2, f"packets with it: {result['packets_with']}")


def test_corked():
    """what a program corks by itself is one write; with Nagle's algorithm the trace says so"""
    with world(POLICY) as w, tempfile.TemporaryDirectory() as folder:
        trace = pathlib.Path(folder, "corked.trace")
        with Stream(w.net, no_delay=False) as stream:
            recording = Recording(w, stream.port, trace)
            for _ in range(5):
                answer(stream, (80, socket.MSG_MORE), (500, 0))
            _, flows = recording.finish()
        equal([size for kind, size in flows[0] if kind == "w"], [580] * 5, "writes")
        check("nodelay=0" in trace.read_text(), "nodelay")


def test_lost():
    """a recorder that is too slow says how much it did not get, in the file and to its user"""
    with world(POLICY) as w, tempfile.TemporaryDirectory() as folder:
        trace = pathlib.Path(folder, "lost.trace")
        with Stream(w.net, no_delay=True) as stream:
            recording = Recording(w, stream.port, trace)
            recording.process.send_signal(signal.SIGSTOP)
            # Some 800 have room, once the agent has told them. Who reads nothing for 10 s is disconnected.
            end = time.monotonic() + 4
            while time.monotonic() < end:
                answer(stream, *[(SIZE, 0)] * 50)
                time.sleep(0.02)
            recording.process.send_signal(signal.SIGCONT)
            said, _ = recording.finish()
        check("events were lost" in said and " 0 events" not in said, f"said: {said}")
        check(said.splitlines()[1] in trace.read_text(), "the same in the file")
        replay(trace)


def test_nothing():
    """nothing written: an error that says so, and no file; one that was there stays as it is"""
    with world(POLICY) as w, tempfile.TemporaryDirectory() as folder:
        trace = pathlib.Path(folder, "x.trace")

        def record():
            done = subprocess.run([AUTOCORK, "record", "--port", "1", "--for", "0.2s", "-o", str(trace), "--control",
                                   w.agent.control], capture_output=True, text=True, check=False)
            check(done.returncode == 1 and "port 1: nothing was written there" in done.stderr, f"{done}")
        record()
        check(not os.path.exists(trace), "an empty file stays")
        trace.write_text("mine")
        record()
        equal(trace.read_text(), "mine", "the file that was there")


if __name__ == "__main__":
    main(globals())
