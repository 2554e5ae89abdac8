# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""A test file is functions named test_*, run in order: a return is ok, Skip a skip, any other exception a failure.
Prints TAP."""
import contextlib
import os
import re
import signal
import subprocess
import sys
import time
import traceback

# What runs at a low priority (tests/run, beside others) gets what is left of the processors.
PATIENCE = 4 if os.nice(0) > 0 else 1
# One test may take this long before it counts as failed; TEST_SECONDS of tests/run bounds the file.
LIMIT_S = int(os.environ.get("TEST_LIMIT", "120")) * PATIENCE
TROUBLE = re.compile(r"WARNING:|BUG:|Oops|general protection|Call Trace|refcount_t|UBSAN|KASAN|hung_task|soft lockup|"
                     r"TCP: .*(?:bug|unexpected)", re.I)


class Skip(Exception):
    """The test cannot be run here; str() is the reason."""


def check(good, text):
    if not good:
        raise AssertionError(text)


def _shown(value):
    text = repr(value)
    return text if len(text) <= 1000 else f"{text[:500]} … {text[-100:]} ({len(text)} characters)"


def equal(found, wanted, what):
    if found != wanted:
        raise AssertionError(f"{what}: {_shown(found)}, not {_shown(wanted)}")


def wait_for(condition, seconds=10, what="condition"):
    """Polls until condition() is true and returns its value; a state is waited for, a time never."""
    end = time.monotonic() + seconds * PATIENCE
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {seconds} s (last: {value!r})")
        time.sleep(0.02)


def kernel_log():
    out = subprocess.run(["dmesg"], capture_output=True, text=True, check=False)
    return out.stdout.splitlines()


@contextlib.contextmanager
def quiet_kernel():
    """Fails if the kernel warns meanwhile. Programs that crash are none of its business."""
    seen = set(kernel_log())
    yield
    trouble = [line for line in kernel_log() if line not in seen and TROUBLE.search(line)]
    check(not trouble, "the kernel warned: " + "; ".join(trouble[:5]))


def _late(signum, frame):
    where = " < ".join(f"{f.name}:{f.lineno}" for f in reversed(traceback.extract_stack(frame)[-8:]))
    raise AssertionError(f"not done within {LIMIT_S} s, in {where}")


def _run(function):
    with contextlib.ExitStack() as stack:
        signal.signal(signal.SIGALRM, _late)
        signal.alarm(LIMIT_S)
        stack.callback(signal.alarm, 0)
        stack.enter_context(quiet_kernel())
        function()


def _say(text):
    print(text, flush=True)


def main(scope):
    """Runs the test_* functions of a module's globals(); TEST_ONLY=pattern runs only those that match."""
    tests = [value for name, value in scope.items() if name.startswith("test_") and callable(value)]
    # Of two tests with one name Python keeps the second and says nothing.
    with open(scope["__file__"], encoding="utf-8") as source:
        written = len(re.findall(r"^def test_", source.read(), re.M))
    if written != len(tests):
        sys.exit(f"{scope['__file__']}: {written} tests, {len(tests)} names: rename the one that stands twice")
    only = os.environ.get("TEST_ONLY", "")
    tests = [test for test in tests if only in test.__name__]
    _say(f"TAP version 13\n1..{len(tests)}")
    failed = 0
    for number, test in enumerate(tests, 1):
        text = " ".join((test.__doc__ or test.__name__).split()).rstrip(".")
        began = time.monotonic()
        try:
            if os.geteuid():
                raise Skip("needs root")
            _run(test)
            _say(f"ok {number} - {text}")
        except Skip as reason:
            _say(f"ok {number} - {text} # SKIP {reason}")
        except Exception as error:  # a test may fail in any way
            failed += 1
            _say(f"not ok {number} - {text}")
            for line in (str(error) or repr(error)).splitlines()[:40]:
                _say(f"# {line}")
            if not isinstance(error, AssertionError) or os.environ.get("V"):
                for line in traceback.format_exc().splitlines():
                    _say(f"# {line}")
        _say(f"# took {time.monotonic() - began:.1f} s")
    sys.exit(1 if failed else 0)
