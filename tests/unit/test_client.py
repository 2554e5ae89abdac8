#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""autocork against a control socket that does not answer as an agent does, and with its standard output closed."""
import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

from run_tests import run_tests

HERE = pathlib.Path(__file__).resolve().parent
AUTOCORK = HERE.parents[1] / os.environ.get("BUILD", "build") / "autocork"
ITEM = b'{"item": {"phase": "before", "counts": {}}}\n'


class FakeAgent:
    """Takes one client after the other, reads what it asks, and sends this; `heard` is all that came."""

    def __init__(self, answer):
        self.answer, self.heard, self.serving = answer, b"", None
        self.directory = tempfile.TemporaryDirectory()
        self.path = self.directory.name + "/control.sock"
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(self.path)
        self.socket.listen()
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        client, _ = self.socket.accept()
        with client:
            if self.serving:
                self.serving(client)
                return
            self.heard = client.recv(65536)
            with contextlib.suppress(OSError):  # it may be gone already
                client.sendall(self.answer)
                client.shutdown(socket.SHUT_WR)
                while more := client.recv(65536):
                    self.heard += more

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.thread.join(10)
        self.socket.close()
        self.directory.cleanup()


def run(*words, closed=False):
    return subprocess.run([AUTOCORK, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, timeout=30, check=False, preexec_fn=(lambda: os.close(1)) if closed else None)


def an_answer_that_is_none_is_a_fault():
    for answer, reason in [(b"", "went away"), (b'{"reply": ', "not JSON"), (b'{"reply": \n', "not JSON"),
                           (b"[]\n", "not JSON"), (b"\xff\xfe\n", "not JSON"), (b"{}\n", "another kind"),
                           (b'{"item": {}}\n', "another kind"), (b"\0" * 70000, "not JSON")]:
        with FakeAgent(answer) as agent:
            done = run("status", "--control", agent.path)
        assert done.returncode == 1 and agent.path in done.stderr and reason in done.stderr, (answer[:20], done)
    for command in "flows", "services", "events":
        for answer in b"", b'{"item": {}', b"nonsense\n":
            with FakeAgent(answer) as agent:
                done = run(command, "--control", agent.path)
            assert done.returncode == 1 and agent.path in done.stderr, (command, answer, done)


def members_that_are_missing_or_of_another_kind_do_no_harm():
    empty = b'{"reply": {}}\n'
    wrong = b'{"reply": {"agent": 1, "features": {}, "policy": [], "totals": "x", "services": 3, "metrics_url": []}}\n'
    for command in "status", "doctor", "reload":
        for answer in empty, wrong:
            with FakeAgent(answer) as agent:
                done = run(command, "--control", agent.path)
            assert done.returncode >= 0, (command, answer, done)
    for command in ("flows",), ("services",), ("events",), ("trial", "--port", "80"), ("responses",), ("advise",):
        for item in b"{}", b"1", b'{"type": 1, "port": "x", "side": [], "phase": 2, "counts": 3, "waste": 4}':
            with FakeAgent(b'{"item": ' + item + b'}\n{"end": {"items": 1}}\n') as agent:
                done = run(*command, "--control", agent.path)
            assert done.returncode >= 0, (command, item, done)


def status_asks_for_what_it_shows():
    """With every counter of a thousand services, reading the answer takes longer than all else."""
    service = {"number": 1, "port": 80, "side": "server", "program": "shown", "writes": 7}
    members = json.loads((HERE.parents[1] / "docs/schema/services.json").read_text())
    reply = json.dumps({"reply": {"services": [service]}}).encode() + b"\n"
    for words, fields in ((), True), (("--json",), False):
        with FakeAgent(reply) as agent:
            done = run("status", *words, "--control", agent.path)
        assert done.returncode == 0 and "shown" in done.stdout, done
        asked = json.loads(agent.heard.splitlines()[0])
        assert ("fields" in asked) == fields, (words, asked)
        assert not fields or set(service) <= set(asked["fields"]) and "released" not in asked["fields"], asked
        assert set(asked.get("fields", ())) <= set(members["properties"]), asked


def status_asks_an_older_agent_as_it_used_to():
    replies = [b'{"error": {"exit_code": 2, "message": "status: it takes no arguments"}}\n',
               b'{"reply": {"services": [{"number": 1, "port": 80, "program": "shown"}]}}\n']
    with FakeAgent(b"") as agent:
        def serve(client):
            client.recv(65536)
            client.sendall(replies[0])
            again, _ = agent.socket.accept()
            with again:
                agent.heard = again.recv(65536)
                again.sendall(replies[1])
                again.recv(65536)
        agent.serving = serve
        done = run("status", "--control", agent.path)
    assert done.returncode == 0 and "shown" in done.stdout and not done.stderr, done
    assert json.loads(agent.heard) == {"op": "status"}, agent.heard


def a_signal_or_a_pause_within_a_line_loses_nothing():
    reply = {"agent": {"version": "x" * 70000}}
    item = ITEM.replace(b"before", b"x" * 70000)

    def stopped_and_continued(words, pieces, pause):
        """The answer in two pieces; between them the program is stopped and goes on, and time passes."""
        with FakeAgent(b"") as agent:
            sent, more = threading.Event(), threading.Event()

            def serve(client):
                agent.heard = client.recv(65536)
                client.sendall(pieces[0])
                sent.set()
                more.wait(20)
                client.sendall(pieces[1])
                client.shutdown(socket.SHUT_WR)
                client.recv(65536)
            agent.serving = serve
            process = subprocess.Popen([AUTOCORK, *words, "--control", agent.path], stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE, text=True)
            assert sent.wait(20)
            time.sleep(pause)
            process.send_signal(signal.SIGSTOP)
            time.sleep(0.1)
            process.send_signal(signal.SIGCONT)
            time.sleep(0.1)
            more.set()
            out, error = process.communicate(timeout=30)
            return process.returncode, out, error
    text = json.dumps({"reply": reply}).encode() + b"\n"
    code, out, error = stopped_and_continued(("status", "--json"), (text[:30000], text[30000:]), 0.2)
    assert "not JSON" not in error and "does not answer" not in error, error
    event = json.dumps({"item": {"type": "flow_opened", "text": "x" * 70000}}).encode() + b"\n"
    code, out, error = stopped_and_continued(("events", "--json"), (event[:30000], event[30000:]), 0.2)
    assert "not JSON" not in error and "x" * 70000 in out, (code, error)
    # The time of a watch passes in mid-line; what comes then is still a line.
    code, out, error = stopped_and_continued(("responses", "--port", "80", "--for", "1s"),
                                             (item[:30000], item[30000:]), 1.5)
    assert "not JSON" not in error, (code, error)


def a_path_that_is_no_agents_is_named():
    for path, reason in ("/etc/passwd", "is no socket"), ("/", "is no socket"), ("/nonexistent/x", "no agent"):
        done = run("status", "--control", path)
        assert done.returncode == 1 and f"{path}: {reason}" in done.stderr, done
    for path in "", "x" * 108:
        done = run("status", "--control", path)
        assert done.returncode == 2 and "1 to 107 bytes" in done.stderr, done


def what_is_printed_goes_nowhere_else():
    """With standard output closed, the control socket does not become it."""
    with FakeAgent(ITEM * 3) as agent:
        done = run("trial", "--port", "80", "--control", agent.path, closed=True)
        agent.thread.join(10)
        asked = json.loads(agent.heard)
    assert asked["op"] == "trial", agent.heard
    assert done.returncode == 1, done


def a_trial_ends_while_its_listener_hears_nothing():
    """The thread that listens to events has one connection, and waits there when the trial is over."""
    def serve(socket_, answers):
        for answer in answers:
            client, _ = socket_.accept()
            clients.append(client)
            client.recv(65536)
            first, *rest = clients
            first.sendall(ITEM if not rest else answer)

    clients, interrupted = [], b'{"item": {"phase": "interrupted", "taken_back": true}}\n'
    with tempfile.TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"{directory}/control.sock")
        listening.listen()
        thread = threading.Thread(target=serve, args=(listening, (ITEM, interrupted)), daemon=True)
        thread.start()
        done = run("trial", "--port", "80", "--control", f"{directory}/control.sock")
        thread.join(10)
    assert done.returncode == 1 and "taken back" in done.stdout, done


TESTS = [an_answer_that_is_none_is_a_fault, members_that_are_missing_or_of_another_kind_do_no_harm,
         status_asks_for_what_it_shows, status_asks_an_older_agent_as_it_used_to,
         a_signal_or_a_pause_within_a_line_loses_nothing, a_path_that_is_no_agents_is_named,
         what_is_printed_goes_nowhere_else, a_trial_ends_while_its_listener_hears_nothing]


sys.exit(run_tests(TESTS))
