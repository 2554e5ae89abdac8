#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""The layout that .editorconfig and .clang-format ask for."""
import re
import subprocess
import sys

from run_tests import run_tests

COLUMNS = 120
NO_TREE = "git lists no files here"
# A message stays in one piece, so that a search for it finds it.
MESSAGE = re.compile(r"""(["'`]).{30,}""")


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
    if not sources():
        return NO_TREE
    wrong = []
    for path in sources():
        with open(path, encoding="utf-8") as source:
            wrong += [f"{path}:{number}" for number, line in enumerate(source, 1) if line != line.rstrip() + "\n"]
    assert not wrong, f"blanks at the end of a line, or no end of the last line: {' '.join(wrong)}"
    return None


sys.exit(run_tests([lines_fit, no_blanks_at_the_end]))
