#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""What the whole agent shows of programs with their own TCP: status, metrics, events and the row of `autocork
doctor`."""
import json
import os
import re
import signal
import urllib.request

from agent import ROOT, Agent, build
from endpoint import POLICY, PORT, Endpoint, answer, private_mounts
from programs import Program
from schemas import validate
from steering import said
from tap import check, equal, main, wait_for
from terminal import Terminal

ECHO = str(ROOT / "tests/net/endpoint_echo.py")
HTTP = "[agent]\nmetrics = 127.0.0.1:0\n"


class Views(Endpoint):
    """The agent is autocorkd itself, in b."""

    def __init__(self, policy=POLICY):
        super().__init__(policy=None)
        self.whole = Agent(policy=HTTP + policy)
        with self.b.inside():
            self.stack.enter_context(self.whole)

    def row(self):
        return next((row for row in self.whole.ask("doctor")[0]["features"] if row["name"] == "endpoint"), None)

    def metrics(self):
        with self.b.inside(), urllib.request.urlopen(self.whole.status()["metrics_url"], timeout=10) as page:
            text = page.read().decode()
        return {name: float(value) for name, value in re.findall(r"^autocork_endpoint_(\S+) (\S+)$", text, re.M)}


def echo_three(point):
    """Three connections to a server that forks for each."""
    server = point.run("python3", ECHO, "fork", PORT)
    said(server, "ready")
    # Before the program has its queue and the port, the kernel serves.
    wait_for(lambda: any(row["ports"] for row in point.whole.status()["endpoint"]) and
             answer(point.connect(), b"hello", 5) == b"hello", 15, "the queue")
    before = point.whole.status()["endpoint"][0]["handed_over"]
    for _ in range(3):
        data = os.urandom(5000)
        equal(answer(point.connect(), data, 5000), data, "echo")
    wait_for(lambda: point.whole.status()["endpoint"][0]["handed_over"] >= before + 3, 10, "hand-overs")
    return server


def test_views():
    """a program that forks: its connections and why they moved, in status, metrics and events, while it runs and
    after"""
    with Views() as point:
        events = point.stack.enter_context(Program(point.b, [build("autocork"), "events", "--json", "--type",
                                                             "endpoint", "--control",
                                                             point.whole.control]))
        wait_for(lambda: os.path.exists(f"/proc/{events.process.pid}/fd/3"), 10, "the listener")
        equal(point.metrics()["programs"], 0, "programs before")
        server = echo_three(point)
        row = point.whole.status()["endpoint"][0]
        equal(row["handed_over_for"]["fork"], row["handed_over"], "why")
        equal(sum(row["handed_over_for"].values()), row["handed_over"], "all of them")
        # A program writes down what it counts now and then. Of each of the four connections SYN and ACK are its own;
        # what comes behind may be the kernel's already.
        found = wait_for(lambda: (seen := point.metrics())["segments_in_total"] >= 8 and seen, 10, "what it counted")
        equal((found["programs"], found["listeners"]), (1, 1), "now")
        check(found['moved_total{reason="fork"}'] >= 3, found)
        check(found["polls_total"] > 3, found)
        check("1 programs have a queue" in point.row()["reason"] and point.row()["works"], point.row())
        server.process.send_signal(signal.SIGKILL)
        server.process.wait()
        wait_for(lambda: not point.whole.status()["endpoint"], 10, "its end")
        after = point.metrics()
        equal(after["programs"], 0, "programs after")
        for name, value in found.items():
            check(not name.endswith("_total") or after[name] >= value, f"{name} fell from {value} to {after[name]}")

        def told():
            return [json.loads(line) for line in events.output().splitlines()]
        wait_for(lambda: any(event["what"] == "ended" for event in told()), 10, "the last event")
        equal([event["what"] for event in told() if event["what"] != "handed_over"], ["started", "ended"], "events")
        moved = [event for event in told() if event["what"] == "handed_over"]
        equal(len(moved), int(after['moved_total{reason="fork"}']), "an event for each")
        equal({(event["reason"], event["interface"], event["queue"], event["pid"]) for event in moved},
              {("fork", "cable", 0, row["pid"])}, "what they say")


def top(point, *more):
    """`autocork endpoint top --once`, as text or as its lines of JSON."""
    return point.b.run(build("autocork"), "endpoint", "top", "--once", "--control", point.whole.control, *more)


def test_top():
    """endpoint top: the rates of a program that works, as lines and as a screen with keys"""
    with Views() as point:
        server = point.run("python3", ECHO, "epoll", PORT)
        said(server, "ready")
        wait_for(lambda: answer(point.connect(), b"hello", 5) == b"hello" and point.whole.status()["endpoint"], 15,
                 "the queue")
        connection = point.connect()

        def busy():
            for _ in range(200):
                answer(connection, b"x" * 100, 100)
            return next((row for row in map(json.loads, top(point, "--json", "--delay", "0.3").splitlines())), None)
        row = wait_for(lambda: (seen := busy()) and seen["segments_in_per_second"] > 0 and seen, 20, "a rate")
        equal((row["pid"], row["interface"], row["queue"]), (server.process.pid, "cable", 0), "whose it is")
        validate("endpoint-top", json.dumps(row))
        check(row["polls_per_second"] > 0 and row["dropped_per_second"] == 0, row)
        head, line = top(point, "--delay", "0.1").splitlines()
        check(head.split()[:4] == ["PROGRAM", "PID", "INTERFACE", "QUEUE"], head)
        equal(line.split()[1], str(server.process.pid), line)
        equal(top(point, "--delay", "0.1", "--json", "--filter", "none such"), "", "filtered")
        with Terminal([build("autocork"), "endpoint", "top", "--control", point.whole.control], columns=120) as screen:
            screen.wait_for(str(server.process.pid), 30)
            screen.type("g")
            screen.wait_for("by AGAIN/s", 30)
            screen.type("h")
            screen.wait_for("endpoint top: keys", 30)
            screen.type("xq")
            equal(screen.wait(30), 0, "it quits")


def test_doctor():
    """no row without a policy; what is missing is named: the interface, its steering, the right to AF_XDP"""
    with Views(policy="[policy none]\nports = 1\nmode = off\n") as point:
        equal(point.row(), None, "without a policy")
        equal(point.metrics(), {}, "metrics without a policy")
        point.whole.write_policy(HTTP + POLICY.replace("cable", "no-such-if"))
        point.whole.ask("reload")
        row = point.row()
        check(not row["works"] and "no-such-if: the interface does not exist" in row["reason"], row)
        check("interface" in row["fix"], row)
        point.whole.write_policy(HTTP + POLICY)
        point.whole.ask("reload")
        wait_for(lambda: point.row()["works"], 10, f"a good row: {point.row()}")
        check("0 programs have a queue" in point.row()["reason"] and "static programs" in point.row()["without"],
              point.row())
        point.steer("detach", "cable", "--force")
        check("cable: its steering is not attached" in point.row()["reason"], point.row())


if __name__ == "__main__":
    private_mounts()
    main(globals())
