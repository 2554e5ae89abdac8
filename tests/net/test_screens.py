#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""What the command line shows to people: the live screen of `autocork top`, and the texts whose JSON other tests look
at."""
import contextlib
import os
import re
import signal
import subprocess
import threading
import time

from agent import ROOT
from lib import PATIENT, Skip, Stream, build, check, equal, main, wait_for, world
from terminal import Terminal


@contextlib.contextmanager
def busy(policy=PATIENT):
    """An agent, a flow that has learned, and requests on it all the time."""
    with world(policy) as w, Stream(w.net) as stream:
        if policy == PATIENT:
            w.learn(stream)
        stop, failure = threading.Event(), []

        def run():
            try:
                while not stop.wait(0.01):
                    stream.exchange(rounds=5)
            except Exception as error:  # handed to the main thread
                failure.append(repr(error))
        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield w, stream
        finally:
            stop.set()
            thread.join(30)
        check(not failure, "; ".join(failure))


def said(agent, *words, code=0):
    """What a subcommand prints into a pipe."""
    done = subprocess.run([build("autocork"), *map(str, words), "--control", agent.control], capture_output=True,
                          text=True, timeout=60, check=False)
    equal(done.returncode, code, f"exit code of {' '.join(map(str, words))}: {done.stdout}{done.stderr}")
    check("\033" not in done.stdout, "an escape sequence in a pipe")
    return done.stdout if not code else done.stderr


def test_top():
    """top on a terminal: both screens, sorting, filter, pause, and every key that it names"""
    with busy() as (w, stream):
        with Terminal([build("autocork"), "top", "--delay", "0.2", "--control", w.agent.control]) as top:
            ours = re.compile(rf"^ *{stream.port} client ", re.M)
            top.wait_for("autocork top")
            wait_for(lambda: top.read() and ours.search(top.text()), 10, "the service's line")
            check("services" in top.text().splitlines()[0], top.text())
            rates = re.compile(r"^\S+ waiting, [1-9]\S* packets saved/s of [1-9]\S* writes/s", re.M)
            wait_for(lambda: top.read() and rates.search(top.text()), 10, "writes and packets saved")
            top.type("\t")
            top.wait_for(f"127.0.0.1:{stream.port}")
            check("PEER" in top.text() and "flows" in top.text().splitlines()[0], top.text())
            top.type("o")
            top.wait_for("by AGE")
            top.type("f")
            top.wait_for("services")
            for key, column in (("p", "PORT"), ("n", "PROGRAM"), ("o", "FLOWS"), ("w", "WRITES/s"), ("t", "TIME/s"),
                                ("s", "SAVED/s"), ("r", "ALL"), ("m", "LONG")):
                top.type(key)
                top.wait_for(f"by {column}")
            top.type("R")
            top.wait_for("reversed")
            top.type("/")
            top.wait_for("filter: _")
            top.type("nobodyx\b")
            top.wait_for("filter: nobody_")
            top.wait_for("Nothing matches the filter.")
            top.type("\n")
            top.wait_for("filter: nobody\n")
            top.type("\x1b")
            wait_for(lambda: top.read() and ours.search(top.text()), 10, "the line once the filter is gone")
            for key in "h", "?":
                top.type(key)
                top.wait_for("autocork top: keys")
                top.wait_for("arrows, pages scroll")
                top.wait_for("SAVED: packets saved")
                top.type("x")
                top.wait_for("writes/s")
            top.type(" ")
            top.wait_for("(paused)")
            top.type("q")
            equal(top.wait(), 0, "exit code")


def test_top_without_agent():
    """top says what is wrong when the agent goes, and goes on"""
    with world() as w, Stream(w.net):
        with Terminal([build("autocork"), "top", "--delay", "0.2", "--control", w.agent.control]) as top:
            top.wait_for("services")
            w.agent.kill()
            top.wait_for(w.agent.control[:40])
            w.agent.start()
            wait_for(lambda: top.read() and "writes/s" in top.text(), 20, "the agent that is back")
            top.type("q")
            equal(top.wait(), 0, "exit code")


def test_unknown_terminal():
    """top on a terminal that is not known says so"""
    with world() as w:
        with Terminal(["env", "TERM=nonsense", build("autocork"), "top", "--control", w.agent.control]) as top:
            equal(top.wait(), 1, "exit code")
            check("autocork: top: TERM=nonsense: " in top.text(), top.text())
        with Terminal(["env", "TERM=dumb", build("autocork"), "top", "--control", w.agent.control]) as top:
            equal(top.wait(), 1, "exit code on a terminal that cannot move its cursor")
            check("autocork: top: TERM=dumb: " in top.text(), top.text())


def test_interrupt():
    """Ctrl-C ends every command in the same way: by SIGINT, after what it has to say"""
    with busy("[policy all]\nmode = observe\n") as (w, stream):
        def ends(said, *words):
            with subprocess.Popen([build("autocork"), *map(str, words), "--control", w.agent.control], text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as command:
                time.sleep(3)
                command.send_signal(signal.SIGINT)
                text = command.communicate(timeout=20)[0]
            equal(command.returncode, -signal.SIGINT, f"{words}: how it ended")
            check(said in text, f"{words}: {text}")
        ends("saved", "status", "--watch")
        ends("", "events")
        ends("PORT", "responses", "--for", "60s")
        ends("", "advise", "--for", "60s")
        ends(str(stream.port), "try", "--all", "--for", "60s")
        ends("Interrupted. The policy is taken back.", "trial", "--port", stream.port, "--for", "60s")
        with Terminal([build("autocork"), "top", "--control", w.agent.control]) as top:
            top.wait_for("writes/s")
            top.type("\x03")
            top.wait()
            equal(os.WTERMSIG(top.status), signal.SIGINT, "how top ended")


def test_explain_unmanaged():
    """explain says in words what becomes of the messages of a connection that is not managed"""
    with world("[policy all]\nmode = observe\n") as w, Stream(w.net, no_delay=False) as stream:
        if not w.agent.feature("write hook"):
            raise Skip("this kernel has no hook for writes")
        with subprocess.Popen([build("autocork"), "explain", "--port", str(stream.port), "--count", "40", "--control",
                               w.agent.control], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              text=True) as explain:
            def ended():
                stream.exchange(9, 20, 5)
                return explain.poll() is not None
            wait_for(ended, 60, "40 lines")
            lines = [line for line in explain.stdout.read().splitlines() if " client " in line]
        waits = re.compile(r"9 writes; the first left at once, 8 waited [0-9.]+ms for an ACK \(Nagle\)\.$")
        check(any(waits.search(line) for line in lines), lines)


def test_texts():
    """services, top --once, advise --emit, policy show --match, events and explain in words"""
    with busy() as (w, stream):
        page = said(w.agent, "services")
        block = next(part for part in re.split("^port ", page, flags=re.M)
                     if part.startswith(f"{stream.port}, client, "))
        for wanted in r"^ +held +[1-9]", r"^ +released +complete [1-9]":
            check(re.search(wanted, block, re.M), block)
        row = re.compile(rf"^ *\S+ +[1-9]\S* +{stream.port} +\S+ +- +client +1 +1(?: +[1-9]\S*){{2}} ", re.M)
        page = said(w.agent, "status")
        check(row.search(page),
              f"no saved packets, flow, managed flow, messages and writes of {stream.port} in:\n{page}")
        check(re.match(r"saved +(≈\S+ of waiting, )?[1-9]\S* packets, ≈\S+ of CPU\n"
                       r"flows +1 of \d+ open ones managed\n", page), page)
        for words in ("--once",), ("--once", "--flows"):
            head, *rows = said(w.agent, "top", *words, "--delay", "0.3").splitlines()
            check(re.search(r"TIME/s +SAVED/s", head) and len(head) <= 80, head)
            check(any(row.startswith(f"{stream.port:5} client") for row in rows), rows)
        check(not said(w.agent, "top", "--once", "--filter", "nobody").splitlines()[1:], "a row that does not match")
        said(w.agent, "top", "--filter", "x" * 100, code=2)
        text = said(w.agent, "policy", "show", "--match", f"port={stream.port} side=client")
        check(re.search(r"^yes +all ", text, re.M) and re.search(r"^all: mode autocork", text, re.M), text)
        lines = said(w.agent, "explain", "--port", stream.port, "--count", "50").splitlines()
        equal(len(lines), 50, "lines of explain --count 50")
        release = re.compile(r"\d\d:\d\d:\d\d\.\d{6}  client +\S+ +127\.0\.0\.1:\d+ > 127\.0\.0\.1:\d+  "
                             r"5 writes; 4 held, \S+s, then sent together: its last write came, as predicted \(complete\)\.$")
        ours = [line for line in lines if " client " in line]
        check(sum(bool(release.match(line)) for line in ours) > 10, lines)
        check(said(w.agent, "advise", "--emit", "--for", "1s").startswith("# Written by autocork advise"), "no policy")
        said(w.agent, "advise", "--emit", "--json", code=2)


# The commands of README.md and docs that show something and end, and how their verdicts begin; PORT: the service's.
NARROW = {
    "status": "TIME SAVED ",
    "services": "port PORT, ",
    "flows": "MANAGED ",
    "flows --managed": "MANAGED ",
    "advise --all": "ADVICE ",
    "advise --emit": "# Written by autocork advise",
    "explain --port PORT --count 4": "",
    "events --type release --count 4": "",
    "responses --port PORT --for 1s": "PORT ",
    "top --once": "PORT ",
    "top --once --flows": "PORT ",
    "trial --port PORT --side client --for 2s --max-delay 1s": "FOR EACH MESSAGE ",
    "try --all --for 1s": "python3 as a client ",
    "policy show": "",
    "policy show --match port=PORT": "yes",
    "doctor": "FEATURE ",
    "endpoint status": "",
    "endpoint flows": "",
    "fastpath": "",
    "steer status": "",
    "reload": "",
}
LISTS = "status", "flows", "advise --all"   # they have a row of the service


def shown_on(agent, width, words):
    """The command's exit code, its lines on a terminal so wide, and the longest line that it wrote."""
    with Terminal([build("autocork"), *words, "--control", agent.control], columns=width, lines=200) as terminal:
        code = terminal.wait(60)
        return code, terminal.text().splitlines(), terminal.longest


def test_narrow_terminals():
    """at 80 and at 40 columns each command shows its verdict, and no line is longer"""
    with busy() as (w, stream):
        wrong = []
        for width in 80, 40:
            for command, wanted in NARROW.items():
                # A file, and a file's path, stay whole.
                if width == 40 and command in ("advise --emit", "policy show --match port=PORT"):
                    continue
                command, wanted = (text.replace("PORT", str(stream.port)) for text in (command, wanted))
                code, rows, longest = shown_on(w.agent, width, command.split())
                good = longest <= width and any(row.lstrip().startswith(wanted) for row in rows)
                if command in LISTS:
                    good = good and code == 0 and any(str(stream.port) in row for row in rows)
                if not good:
                    wrong.append((width, command, code, longest, rows))
        check(not wrong, wrong)


def test_sampling_in_words():
    """an event says numbers that are no integers as they are"""
    observe = "[agent]\nbudget = 0.1%\n[policy all]\nmode = observe\n"
    with world(observe) as w, Stream(w.net) as stream:
        with subprocess.Popen([build("autocork"), "events", "--type", "sampling", "--count", "1", "--control",
                               w.agent.control], stdout=subprocess.PIPE, text=True) as events:
            def ended():
                stream.exchange(15, 20, 200)
                return events.poll() is not None
            wait_for(ended, 60, "sampling")
            check(re.search(r"  ratio 0\.0\d+\n$", events.stdout.read()), "the ratio")


def test_trial():
    """a trial in words: both phases, what was saved, and the exit code"""
    with busy("[policy all]\nmode = observe\nmax_hold = 50ms\nburst_gap = 50ms\npacket_worth = 10ms\n") as (w, stream):
        text = said(w.agent, "trial", "--port", stream.port, "--side", "client", "--for", "4s", "--max-delay", "1s")
        check(re.search(r"^before .* could be saved\ntrial +0 s .*\ntrial .* saved, .* held too long, delay p99 ", text, re.M), text)
        share = r"[78]\d\.\d%"
        check(re.search(rf"packets were saved, {share} of the writes; {share} were predicted\.$", text, re.M), text)
        check("Nothing got worse. The policy is taken back" in text, text)
        for row in r"packets +[4-5]\.\d\d +[12]\.\d\d", r"response p50 +\S+s +\S+s", r"response p99 +\S+s +\S+s", \
                   r"CPU \(machine\) +\S+s +\S+s":
            check(re.search(rf"^{row}$", text, re.M), text)
        check(text.index("\nresponse p50") < text.index("\npackets ") < text.index("\nCPU "), f"time comes first: {text}")


def test_trial_without_gain():
    """a trial of a service that writes each message at once says that there is nothing to gain"""
    with world("[policy all]\nmode = observe\n") as w, Stream(w.net) as stream:
        with subprocess.Popen([build("autocork"), "trial", "--port", str(stream.port), "--for", "4s", "--max-delay",
                               "1s",
                               "--control", w.agent.control], stdout=subprocess.PIPE, text=True) as trial:
            while trial.poll() is None:
                stream.exchange(1, 100, 20)
            text = trial.stdout.read()
        equal(trial.returncode, 0, "exit code")
        check("Nothing to gain: " in text and "The policy is taken back" in text, text)


def test_trial_of_nothing():
    """a trial of a port that nobody uses says so, and is no success"""
    with world() as w:
        text = said(w.agent, "services")
        equal(text, "No TCP flow has been seen yet.\n", "services")
        done = subprocess.run([build("autocork"), "trial", "--port", "9", "--for", "1s", "--control", w.agent.control],
                              capture_output=True, text=True, timeout=60, check=False)
        equal(done.returncode, 1, "exit code")
        check("Too little was written to tell." in done.stdout, done.stdout)


def test_replay():
    """replay with another confidence; a bad one, two traces and none are usage errors"""
    trace = "tests/unit/traces/mixed_2_5.trace"

    def replay(*words, code=0):
        done = subprocess.run([build("autocork"), "replay", *words], capture_output=True, text=True, check=False,
                              cwd=ROOT)
        equal(done.returncode, code, f"exit code of replay {words}: {done.stderr}")
        return done.stdout
    check(replay("--confidence", "0.5", trace) != replay("--confidence", "0.996", trace), "confidence changes nothing")
    for words in ("--confidence", "2", trace), ("--confidence", "x", trace), (trace, trace), ():
        replay(*words, code=2)


main(globals())
