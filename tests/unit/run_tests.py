# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Runs functions as tests and prints TAP. What one returns is why it was skipped."""


def run_tests(tests):
    """True if one failed: the exit code."""
    failed = 0
    print(f"1..{len(tests)}")
    for number, test in enumerate(tests, 1):
        try:
            skipped = test()
            print(f"ok {number} - {test.__name__}" + (f" # SKIP {skipped}" if skipped else ""))
        except Exception as error:
            failed += 1
            print(f"not ok {number} - {test.__name__}: {type(error).__name__}: {error}")
    return failed > 0
