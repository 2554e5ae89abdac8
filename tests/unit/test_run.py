#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""tests/run itself, on a tree of small files: what it counts, what it runs again, and when it fails."""
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/net"))
from tap import check, equal, main  # noqa: E402

GOOD = "echo 'ok 1 - good'"
BAD = "echo 'not ok 1 - bad'; exit 1"
ONCE = "[ -e $0.seen ] && echo 'ok 1 - second' || { touch $0.seen; echo 'not ok 1 - first'; }"


def run(layers, **files):
    """What tests/run says of these files; net__a is tests/net/test_a."""
    with tempfile.TemporaryDirectory() as tree:
        tree = pathlib.Path(tree)
        (tree / "tests").mkdir()
        shutil.copy(ROOT / "tests/run", tree / "tests/run")
        for name, body in files.items():
            layer, name = name.split("__")
            file = tree / "tests" / layer / f"test_{name}"
            file.parent.mkdir(exist_ok=True)
            file.write_text(f"#!/bin/bash\n{body}\n")
            file.chmod(0o755)
        done = subprocess.run(["tests/run", *layers], cwd=tree, capture_output=True, text=True, timeout=300,
                              env={"PATH": "/usr/bin:/bin"})
        equal(done.stderr, "", "stderr")
        return done.returncode, done.stdout, done.stdout.splitlines()[-1]


def test_count():
    """passed, failed and skipped are added up; one that says nothing, or dies, has failed"""
    equal(run(["unit"], unit__a=GOOD, unit__b="echo 'ok 1 # SKIP why'")[::2], (0, "1 passed, 0 failed, 1 skipped"), "good")
    equal(run(["unit"], unit__a=GOOD, unit__b=BAD)[::2], (1, "1 passed, 1 failed, 0 skipped"), "bad")
    equal(run(["unit"], unit__a=":")[::2], (1, "0 passed, 1 failed, 0 skipped"), "silent")
    equal(run(["unit"], unit__a=GOOD + "; exit 3")[::2], (1, "1 passed, 1 failed, 0 skipped"), "died")
    equal(run(["unit"])[::2], (1, "0 passed, 0 failed, 0 skipped"), "nothing")


def test_again():
    """what fails beside others runs again alone, and that run counts; the first is told"""
    code, text, last = run(["net", "vm"], net__a=ONCE, vm__b=ONCE, net__c=GOOD)
    equal((code, last), (0, "3 passed, 0 failed, 0 skipped"), "second runs")
    check("# not ok 1 - first" in text and "\nnot ok" not in text, text)
    check("# failed beside others and ran again alone\n# tests/net/test_a\n# tests/vm/test_b\n" in text, text)
    code, text, last = run(["net", "vm"], net__a=BAD, vm__b=GOOD)
    equal((code, last), (1, "1 passed, 1 failed, 0 skipped"), "fails twice")
    check("# failed\n# tests/net/test_a: 1 - bad\n" in text, text)


def test_not_again():
    """alone there is no second try, nor for the unit layer, nor where many fail"""
    equal(run(["net"], net__a=ONCE)[::2], (1, "0 passed, 1 failed, 0 skipped"), "nothing beside it")
    equal(run(["unit", "net", "vm"], unit__a=ONCE, net__b=GOOD, vm__c=GOOD)[0], 1, "unit")
    many = {f"net__{number}": ONCE for number in range(12)}
    equal(run(["net", "vm"], vm__b=GOOD, **many)[::2], (1, "11 passed, 2 failed, 0 skipped"), "many")


main(globals())
