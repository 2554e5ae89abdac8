#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""The tests of tests/prog (BPF_PROG_TEST_RUN tables) on stock kernels: another verifier, another JIT."""
import os

from harness import BUILD, ENDS, Suite

tests = [path for path in sorted((BUILD / "tests/prog").glob("test_*")) if not path.suffix and os.access(path, os.X_OK)]


def judge(kernel):
    kernel.boot("prog.sh", 480, files=[(test, f"/ac/prog/{test.name}") for test in tests], agent=False)


with Suite("prog") as suite:
    if suite.check(tests, f"{len(tests)} tests are built", "run make check, or make build/tests/prog/test_NAME"):
        suite.each_kernel(judge, ENDS)
