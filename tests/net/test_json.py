#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Every subcommand with --json prints what docs/schema says, with an agent that has something to tell, and without
one."""
import re
import subprocess

from agent import ROOT
from lib import Program, Stream, build, check, equal, free_port, main, wait_for, wait_port, world
from schemas import validate

AUTOCORK = build("autocork")
NOWHERE = "/nonexistent/autocork.sock"
TRACE = sorted((ROOT / "tests/unit/traces").glob("*.trace"))[0]

# Subcommand, schema, further words ({port}: of a flow that writes; {policy}: of a file), least lines, exit codes.
PRINTS = (
    ("status", "status", (), 1, {0}),
    ("services", "services", (), 2, {0}),
    ("flows", "flows", (), 2, {0}),
    ("doctor", "doctor", (), 1, {0, 4}),
    ("doctor", "doctor", ("--no-agent",), 1, {0, 1, 4}),
    ("advise", "advise", ("--all",), 1, {0}),
    ("advise", "advise", ("--all", "--for", "1s"), 1, {0}),
    ("try", "try", ("--all", "--for", "1s"), 1, {0}),
    ("top", "top", ("--once", "--delay", "0.2"), 1, {0}),
    ("top", "top", ("--once", "--delay", "0.2", "--flows"), 1, {0}),
    ("trial", "trial", ("--port", "{port}", "--for", "2s", "--max-delay", "1s"), 2, {0, 1}),
    ("responses", "responses", (), 1, {0}),
    ("reload", "reload", (), 1, {0}),
    ("policy show", "policy-show", (), 1, {0}),
    ("policy show", "policy-match", ("--match", "port=80 peer=::1"), 1, {0}),
    ("policy check", "policy-check", ("{policy}",), 1, {0}),
    ("record", "record", ("--port", "{port}", "--for", "5s", "-o", "/dev/null"), 1, {0}),
    ("replay", "replay", (str(TRACE),), 1, {0}),
    ("fastpath", "fastpath", (), 1, {0}),
    ("steer", "steer", ("status",), 1, {0}),
    ("endpoint", "endpoint", ("status",), 1, {0}),
    ("endpoint", "endpoint-flows", ("flows",), 0, {0}),
    ("endpoint", "endpoint-top", ("top", "--once", "--delay", "0.2"), 0, {0}),
)
# These listen until they are ended: schema, and a type of event that is waited for.
LISTENS = {"events": ("events", "flow_closed"), "explain": ("explain", "complete")}
# The bench has two ends; test_bench.py looks at its copy.
BENCH = "bench"
SIDES = {"bench client", "bench server", "bench copy"}
# Prints what its program does.
RUN = {"run"}
# Schemas that no row names: of errors, of an HTTP answer, of the bench.
OTHERS = {"error", "overview", "bench-client", "bench-server", "bench-copy"}


def run(*words):
    return subprocess.run([AUTOCORK, *words], capture_output=True, text=True, timeout=60, check=False,
                          stdin=subprocess.DEVNULL)


def commands(*words):
    """Those that --help lists, down to the last verb."""
    text = run(*words, "--help").stdout
    names = re.findall(r"^  ([a-z][a-z-]*)  ", text[text.find("\nCommands"):], re.M) if "\nCommands" in text else []
    for name in names:
        below = list(commands(*words, name))
        yield from below or [" ".join((*words, name))]


def test_none_is_forgotten():
    """every subcommand that --help lists, and every schema, is looked at here"""
    equal(sorted({row[0] for row in PRINTS} | set(LISTENS) | SIDES | RUN), sorted(commands()), "subcommands")
    schemas = {row[1] for row in PRINTS} | {schema for schema, _ in LISTENS.values()} | OTHERS
    equal(sorted(schemas), sorted(path.stem for path in (ROOT / "docs/schema").glob("*.json")), "schemas")


def test_prints():
    """what prints once, with flows that are managed"""
    with world() as w, Stream(w.net) as stream:
        w.learn(stream)
        names = {"port": stream.port, "policy": w.agent.policies / "test.conf"}
        for command, schema, words, at_least, codes in PRINTS:
            words = [*command.split(), "--json", "--control", w.agent.control,
                     *(word.format(**names) for word in words)]
            with Program(w.net, [AUTOCORK, *words]) as program:
                while program.process.poll() is None:
                    stream.exchange(rounds=5)
                code, text = program.process.returncode, program.output()
            check(code in codes, f"{words}: exit code {code}: {text[-300:]}")
            # The program's standard error is in it too, where an error is said once more.
            text = "".join(line + "\n" for line in text.splitlines() if not code or line.startswith("{"))
            validate("error" if code == 1 and '"error"' in text[:10] else schema, text, at_least if code != 1 else 1)


def test_listens():
    """events and explained releases"""
    with world() as w, Stream(w.net) as stream:
        w.learn(stream)
        words = "--json", "--control", w.agent.control
        for command, (schema, awaited) in LISTENS.items():
            with Program(w.net, [AUTOCORK, command, *words]) as listener:
                def seen(listener=listener, awaited=awaited):
                    with Stream(w.net) as another:
                        another.exchange(rounds=20)
                        stream.exchange(rounds=5)
                    return awaited in listener.output()
                wait_for(seen, 20, f"{awaited} in {command}")
                run("reload", *words)
                stream.exchange(rounds=5)
                whole, _, _ = listener.output().rpartition("\n")
            validate(schema, whole, at_least=4)


def test_bench():
    """both ends of the bench"""
    with world() as w:
        port = free_port(w.net)
        with Program(w.net, [AUTOCORK, BENCH, "server", "--port", port, "--once", "--json"]) as server:
            wait_port(w.net, port, alive=server)
            validate("bench-client", w.net.run(AUTOCORK, BENCH, "client", "--port", str(port), "--messages", "50",
                                               "--json"))
            validate("bench-server", server.wait(10), at_least=2)


def test_errors():
    """a refused reload, an invalid policy, no agent: each is an object that says so"""
    with world() as w:
        words = "--json", "--control", w.agent.control
        w.agent.write_policy("[policy x]\nmode = sometimes\n")
        done = run("reload", *words)
        equal(done.returncode, 3, "exit code of a refused reload")
        validate("error", done.stdout)
        validate("status", run("status", *words).stdout)
        done = run("policy", "check", "--json", str(w.agent.policies / "test.conf"))
        equal(done.returncode, 3, "exit code of a policy check")
        equal(validate("policy-check", done.stdout)[0]["valid"], False, "valid")
    for command in sorted({row[0] for row in PRINTS} | set(LISTENS)):
        if command in ("doctor", "policy show", "policy check", "fastpath", "try"):
            continue  # they do without an agent
        needed = {"trial": ("--port", "80"), "record": ("--port", "80", "-o", "/dev/null"),
                  "replay": ("/nonexistent",), "steer": ("attach", "nothere"),
                  "endpoint": ("status",)}
        done = run(*command.split(), "--json", "--control", NOWHERE, *needed.get(command, ()))
        check(done.returncode in (1, 3), f"{command}: exit code {done.returncode}: {done.stdout}{done.stderr}")
        equal(validate("error", done.stdout)[0]["error"]["exit_code"], done.returncode, f"exit code of {command}")


if __name__ == "__main__":
    main(globals())
