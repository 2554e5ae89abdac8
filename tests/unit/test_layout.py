#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""The layout that .editorconfig and .clang-format ask for, and how the folders of agent/ lean on each other."""
import collections
import itertools
import os
import re
import subprocess
import sys

from run_tests import run_tests

COLUMNS = 120
BACK = 1    # telemetry shows what the parts do, and is one
NO_TREE = "git lists no files here"
# A message stays in one piece, so that a search for it finds it.
MESSAGE = re.compile(r"""(["'`]).{30,}""")
# What .editorconfig exempts.
EXEMPT = re.compile(r"^third_party/|\.(patch|trace)$|/crlf\.conf$")


def sources():
    """Files that somebody writes by hand."""
    listed = subprocess.run(["git", "ls-files", "*.c", "*.h", "*.py", ":!*.mk", "tests/run", "tests/bench"],
                            capture_output=True, text=True, check=False)
    return listed.stdout.split()


def lines_fit():
    if not sources():
        return NO_TREE
    wrong = []
    for path in sources():
        with open(path, encoding="utf-8") as source:
            for number, line in enumerate(source, 1):
                if len(line.rstrip("\n").expandtabs(8)) > COLUMNS and not MESSAGE.search(line):
                    wrong.append(f"{path}:{number}")
    assert not wrong, f"lines of more than {COLUMNS} columns: {' '.join(wrong)}"
    return None


def no_blanks_at_the_end():
    listed = subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=False).stdout.split()
    if not listed:
        return NO_TREE
    wrong = []
    for path in (path for path in listed if not EXEMPT.search(path)):
        with open(path, encoding="utf-8", newline="") as text:
            wrong += [f"{path}:{number}" for number, line in enumerate(text, 1) if line != line.rstrip() + "\n"]
    assert not wrong, f"blanks at the end of a line, or no end of the last line: {' '.join(wrong)}"
    return None


def includes_of_agent():
    """Folder of agent/ -> folders whose headers it includes -> one example each."""
    found = collections.defaultdict(dict)
    for path in (path for path in sources() if path.startswith("agent/")):
        folder = os.path.dirname(path)
        with open(path, encoding="utf-8") as source:
            for header in re.findall(r'^#include "([^"]+)"', source.read(), re.M):
                other = os.path.dirname(f"agent/{header}")
                if os.path.exists(f"agent/{header}") and other != folder:
                    found[folder].setdefault(other, f"{path} includes {header}")
    return found


def reach(arrows, start):
    seen, todo = set(), [start]
    while todo:
        new = set(arrows.get(todo.pop(), ())) - seen
        seen |= new
        todo += new
    return seen


def few_arrows_run_back():
    """Folders lean on each other in one direction. An arrow runs back if no order of the folders has all forward."""
    if not sources():
        return NO_TREE
    arrows = includes_of_agent()
    assert len(arrows) > 10, arrows
    circles = {frozenset(other for other in reach(arrows, folder) if folder in reach(arrows, other))
               for folder in arrows}
    back = []
    for circle in circles - {frozenset()}:
        assert len(circle) < 8, f"folders that all lean on each other: {sorted(circle)}"
        back += min(([arrows[a][b] for i, a in enumerate(order) for b in order[:i] if b in arrows[a]]
                     for order in itertools.permutations(circle)), key=len)
    assert len(back) <= BACK, f"arrows that run back: {back}"
    return None


def file_names_stand_once():
    """A .c and the .h beside it may share a name. Nothing else in agent/ does, so a name says which file is meant."""
    if not sources():
        return NO_TREE
    places = collections.defaultdict(set)
    for path in (path for path in sources() if path.startswith("agent/") and path.endswith((".c", ".h"))):
        stem, _ = os.path.splitext(path)
        places[os.path.basename(stem)].add(stem)
    assert len(places) > 100, places
    twice = sorted(" and ".join(sorted(stems)) for stems in places.values() if len(stems) > 1)
    assert not twice, f"file names that stand twice: {', '.join(twice)}"
    return None


sys.exit(run_tests([lines_fit, no_blanks_at_the_end, few_arrows_run_back, file_names_stand_once]))
