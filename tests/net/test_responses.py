#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""What a program did for each response: the writes, option calls, segments and bytes told are exactly those made."""
import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import time

from lib import OBSERVE, Skip, Stream, build, check, control, equal, main, program, tcp_info, wait_for, world
from servers import Nginx
from test_telemetry import Listener, valid, wait_until_asked

NODELAY, CORK = socket.TCP_NODELAY, socket.TCP_CORK


def option(sock, name, value):
    sock.setsockopt(socket.IPPROTO_TCP, name, value)


def told(w, serve, rounds=3, no_delay=True):
    """Has the server side of a connection serve() that many requests; returns what was told of each, and the segments
    sent."""
    with Listener(w.agent, "events", "--type", "response") as listener, Stream(w.net, no_delay=no_delay) as stream:
        segments = []
        for _ in range(rounds):
            stream.client.sendall(b"request")
            stream.receive(stream.server, 7)
            before = tcp_info(stream.server)["data_segs_out"]
            stream.receive(stream.client, serve(stream.server))
            segments.append(tcp_info(stream.server)["data_segs_out"] - before)
        stream.client.sendall(b"bye")
        stream.receive(stream.server, 3)
        ours, end = [], time.monotonic() + 20
        while len(ours) < rounds and time.monotonic() < end:
            event = listener.read(lambda e: e["type"] in ("response", "lost"))[-1]
            equal(event["type"], "response", "type")
            if event["side"] == "server" and event["local_port"] == stream.port:
                ours.append(event)
        valid("events", *ours)
        return ours, segments


def supported(w):
    if not w.agent.feature("write hook"):
        raise Skip("this kernel has no hook for writes")


def figures(w, serve, *, writes, size, nodelay=0, cork=0, idle=0):
    supported(w)
    events, segments = told(w, serve)
    for event, sent in zip(events, segments):
        equal([event[n] for n in ("writes", "bytes", "nodelay_calls", "cork_calls", "idle_calls", "segments",
                                  "overlaps")],
              [writes, size, nodelay, cork, idle, sent, False],
              "writes, bytes, TCP_NODELAY calls, TCP_CORK calls, idle calls, segments, overlaps")
    return events


def header_and_body(sock):
    sock.sendall(b"h" * 80)
    sock.sendall(b"b" * 500)
    return 580


def test_one_write():
    """one write is one segment, and nothing else"""
    with world(OBSERVE) as w:
        def serve(sock):
            sock.sendall(b"x" * 100)
            return 100
        event = figures(w, serve, writes=1, size=100)[-1]
        equal((event["head_bytes"], event["segments"], event["tail_us"]), (100, 1, 0), "head, segments, tail")


def test_header_and_body():
    """a header sent alone is seen as such"""
    with world(OBSERVE) as w:
        event = figures(w, header_and_body, writes=2, size=580)[-1]
        equal((event["head_bytes"], event["segments"]), (80, 2), "head, segments")


def test_corked():
    """TCP_CORK around header and body: one segment, two option calls, none of them idle"""
    with world(OBSERVE) as w:
        def serve(sock):
            option(sock, CORK, 1)
            size = header_and_body(sock)
            option(sock, CORK, 0)
            return size
        event = figures(w, serve, writes=2, size=580, cork=2)[-1]
        equal((event["head_bytes"], event["segments"]), (0, 1), "head, segments")


def test_closed():
    """a response that the end of the connection ends is told as such, without the FIN"""
    with world(OBSERVE) as w:
        supported(w)
        with Listener(w.agent, "events", "--type", "response") as listener, Stream(w.net) as stream:
            stream.client.sendall(b"request")
            stream.receive(stream.server, 7)
            stream.server.sendall(b"x" * 100)
            stream.receive(stream.client, 100)
            stream.server.close()
            stream.client.close()
            event = listener.read(lambda e: e["side"] == "server" and e["local_port"] == stream.port)[-1]
            equal([event[n] for n in ("writes", "bytes", "segments", "closed", "overlaps")], [1, 100, 1, True, False],
                  "writes, bytes, segments, closed, overlaps")


def test_idle_options():
    """option calls that change nothing are counted"""
    with world(OBSERVE) as w:
        def serve(sock):
            option(sock, NODELAY, 1)
            option(sock, CORK, 0)
            sock.sendall(b"x" * 100)
            option(sock, NODELAY, 1)
            return 100
        # The last call of a response comes after the client may have read it, and before the next read all the same.
        figures(w, serve, writes=1, size=100, nodelay=2, cork=1, idle=3)


def test_sendfile():
    """a sendfile of many pages is one write"""
    with world(OBSERVE) as w, tempfile.TemporaryFile() as file:
        size = 200000
        file.write(b"f" * size)
        file.flush()

        def serve(sock):
            sent = 0
            while sent < size:
                step = os.sendfile(sock.fileno(), file.fileno(), sent, size - sent)
                check(step > 0, "sendfile sent nothing")
                sent += step
                calls.append(step)
            return size
        calls = []
        supported(w)
        events, segments = told(w, serve)
        equal(sum(e["writes"] for e in events), len(calls), "sendfile calls")
        for event, sent in zip(events, segments):
            equal((event["bytes"], event["segments"]), (size, sent), "bytes and segments")


def test_late_tail():
    """under Nagle's algorithm the last part waits for the peer's delayed acknowledgement"""
    with world(OBSERVE) as w:
        supported(w)
        events, segments = told(w, header_and_body, rounds=20, no_delay=False)
        equal([e["segments"] for e in events], segments, "segments")
        late = [e["tail_us"] for e in events if e["tail_us"] > 1000]
        check(late and max(late) < 1000000, f"tails: {[e['tail_us'] for e in events]}")
        check(not any(e["tail_corked"] for e in events), "nobody corked")


def test_held():
    """what the gate holds back is no late tail: nothing that the program could do better"""
    with world() as w:
        supported(w)
        with Listener(w.agent, "events", "--type", "response") as listener, Stream(w.net) as stream:
            def serve(writes):
                stream.client.sendall(b"request")
                stream.receive(stream.server, 7)
                before = tcp_info(stream.server)["data_segs_out"]
                for _ in range(writes):
                    stream.server.sendall(b"x" * 20)
                stream.receive(stream.client, 20 * writes)
                return tcp_info(stream.server)["data_segs_out"] - before
            wait_for(lambda: serve(5) == 1, 20, "a server that is managed")
            start = time.monotonic()
            serve(2)
            check(time.monotonic() - start > 0.04, "nothing was held back")
            serve(5)
            event = listener.read(lambda e: e["side"] == "server" and e["local_port"] == stream.port and
                                  e["writes"] == 2)[-1]
            equal((event["tail_us"], event["segments"]), (0, 1), "time of a late tail, segments")


def test_report():
    """autocork responses: the patterns, the most frequent first, with what each wastes; the table says the same"""
    def answer(stream, *parts):
        stream.client.sendall(b"request")
        stream.receive(stream.server, 7)
        for part in parts:
            stream.server.sendall(part)
        stream.receive(stream.client, sum(map(len, parts)))
    with world(OBSERVE) as w:
        supported(w)
        command = [build("autocork"), "responses", "--for", "1h", "--control", w.agent.control]
        with Stream(w.net) as stream:
            command += ["--port", str(stream.port)]
            watches = [subprocess.Popen([*command, *more], stdout=subprocess.PIPE, text=True)
                       for more in (["--json"], [])]
            for watch in watches:
                wait_until_asked(w.agent, watch)
            for _ in range(5):
                answer(stream, b"h" * 80, b"b" * 500)
            for _ in range(10):
                answer(stream, b"x" * 100)
            # The read that ends the last one; its own answer has not ended when the watch does.
            answer(stream, b"x" * 100)
            for watch in watches:
                watch.send_signal(signal.SIGINT)
            outputs = [watch.communicate(timeout=30)[0] for watch in watches]
        equal([watch.returncode for watch in watches], [-signal.SIGINT] * 2, "exit codes")
        report = json.loads(outputs[0])
        valid("responses", report)
        equal(report["responses"], sum(p["responses"] for p in report["patterns"]), "sum")
        one, two = (p for p in report["patterns"] if p["side"] == "server")
        totals = [[p[name]["total"] for name in ("writes", "bytes", "segments")] for p in (one, two)]
        equal([(p["port"], p["responses"], *sums) for p, sums in zip((one, two), totals)],
              [(stream.port, 10, 10, 1000, 10), (stream.port, 5, 10, 2900, 10)],
              "port, responses, writes, bytes, segments")
        equal([{u["name"]: (u["responses"], u["amount"]) for u in p["waste"]} for p in (one, two)],
              [{}, {"head_alone": (5, 5), "more_segments": (5, 5)}], "waste")
        check("head_alone: in 5 of " in outputs[1] and "writev()" in outputs[1], outputs[1])


def test_nothing_is_lost():
    """at the rate that nginx reaches here every response is in the report, by both sides"""
    with world(OBSERVE) as w, Nginx(w.net, w.servers) as server:
        supported(w)
        watch = subprocess.Popen([build("autocork"), "responses", "--for", "8s", "--json", "--port", str(server.port),
                                  "--control", w.agent.control], stdout=subprocess.PIPE, text=True)
        time.sleep(2)
        text = w.net.run(program("wrk"), "-c16", "-t1", "-d3s", f"http://127.0.0.1:{server.port}/file.bin")
        requests = int(re.search(r"(\d+) requests in", text).group(1))
        report = json.loads(watch.communicate(timeout=30)[0])
        print(f"# {requests} requests in 3 s", flush=True)
        for side in "server", "client":
            seen = sum(p["responses"] for p in report["patterns"] if p["side"] == side)
            # Those under way when wrk went away it does not count.
            check(requests <= seen <= requests + 16, f"{side}: {seen} responses to {requests} requests")
        # An answer of nginx is a header and a body; all have the same size.
        body = max((p for p in report["patterns"] if p["side"] == "server"), key=lambda p: p["responses"])
        equal(body["bytes"]["min"], body["bytes"]["max"], "bytes of the least and the largest answer")
        equal(body["writes"]["total"], body["writes"]["min"] * body["responses"], "writes of all answers")


def test_watches_count_for_themselves():
    """a watch that begins later has what came later; more than 8 at a time are refused, and leave room when they end"""
    with world(OBSERVE) as w, Stream(w.net) as stream:
        supported(w)

        def begin():
            sock = socket.socket(socket.AF_UNIX)
            sock.settimeout(20)
            sock.connect(w.agent.control)
            sock.sendall(json.dumps({"op": "responses", "port": stream.port}).encode() + b"\n")
            lines = sock.makefile()
            return sock, lines, json.loads(lines.readline())

        def end(sock, lines):
            sock.shutdown(socket.SHUT_WR)
            rows = [json.loads(line) for line in lines]
            equal(rows[-1], {"end": {"items": len(rows) - 1}}, "the last line")
            sock.close()
            return sum(row["item"]["responses"] for row in rows[:-1] if row["item"]["side"] == "client")

        early = begin()
        equal(early[2], {"item": {"watching": True}}, "the first line")
        check(control("event_mask"), "short connections may be passed by while somebody watches")
        stream.exchange(rounds=10)
        late = begin()
        stream.exchange(rounds=5)
        equal((end(*early[:2]), end(*late[:2])), (15, 5), "responses of the early and the late watch")
        equal(control("event_mask"), 0, "what must be told once nobody watches")
        watches = [begin() for _ in range(8)]
        equal([watch[2] for watch in watches], [{"item": {"watching": True}}] * 8, "eight watches")
        refused = begin()
        check("8 are watching already" in refused[2]["error"]["message"], f"the ninth: {refused[2]}")
        watches[0][1].close()
        watches[0][0].close()
        wait_for(lambda: "item" in begin()[2], 10, "room for another one")
        for sock, lines, _ in watches[1:]:
            end(sock, lines)


def test_interrupted():
    """Ctrl-C ends the watch early, with the report of what was seen until then; a second one is not needed"""
    with world(OBSERVE) as w:
        supported(w)
        command = [build("autocork"), "responses", "--for", "1h", "--control", w.agent.control]
        with Stream(w.net) as stream:
            watches = [subprocess.Popen([*command, "--port", str(stream.port), *more], stdout=subprocess.PIPE,
                                        text=True)
                       for more in (["--json"], [])]
            for watch in watches:
                wait_until_asked(w.agent, watch)
            for _ in range(11):
                stream.exchange(2, 20, 1)
            time.sleep(0.5)
            for watch in watches:
                watch.send_signal(signal.SIGINT)
            outputs = [watch.communicate(timeout=20)[0] for watch in watches]
        equal([watch.returncode for watch in watches], [-signal.SIGINT] * 2, "exit codes")
        report = json.loads(outputs[0])
        valid("responses", report)
        check(0 < report["seconds"] < 60, f"seconds: {report['seconds']}")
        equal([(p["responses"], p["writes"]["total"]) for p in report["patterns"] if p["side"] == "client"], [(11, 22)],
              "responses and writes of the client")
        check(str(stream.port) in outputs[1] and "RESPONSES" in outputs[1], outputs[1])


def test_doctor():
    """doctor says that responses can be told, and how"""
    with world(OBSERVE) as w:
        supported(w)
        row = [row for row in w.agent.ask("doctor")[0]["features"] if row["name"] == "responses"]
        equal([(r["works"], "tracepoints" in r["reason"]) for r in row], [(True, True)], "the row")


if __name__ == "__main__":
    main(globals())
