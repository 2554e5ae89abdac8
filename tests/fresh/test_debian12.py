#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""The first ten minutes on a fresh Debian 12 whose mirror is near: README.md's first step until it says what it found,
and the Debian packages. What is fetched is in the cache before a clock runs."""
import contextlib
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time

from system import ENVIRONMENT, ROOT, System

sys.path.insert(0, str(ROOT / "tests/net"))

from agent import no_agent  # noqa: E402
from tap import check, main  # noqa: E402

CLONE = "/autocork"
INSTALL = "apt-get", "install", "-qy", "--no-install-recommends"
FIRST = "make", "git"       # what a minimal system lacks before it can have a clone and run make
PACKAGES, FINDING_S = 100, 180
DEB_PACKAGES, DEB_S = 10, 3


def say(text):
    print(f"# {text}", flush=True)


class Step:
    end = None

    def stop(self):
        self.end = time.monotonic()


class Clock:
    """Adds up the time of steps, and the processors' time that they took."""

    def __init__(self):
        self.seconds = self.busy = 0
        self.load = os.getloadavg()[0]

    @contextlib.contextmanager
    def step(self, name):
        """A step lasts until stop(), or the block's end. The processors' time is that of the whole block."""
        step, began, busy = Step(), time.monotonic(), self.children()
        yield step
        took, busy = (step.end or time.monotonic()) - began, self.children() - busy
        self.seconds, self.busy = self.seconds + took, self.busy + busy
        say(f"{name}: {took:.1f} s, {busy:.1f} s of CPU")

    @staticmethod
    def children():
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    def check(self, most, name):
        """A machine that had other work, or gave this little of itself, is judged by the processors' time alone."""
        others = self.load >= 1 or os.nice(0) > 0
        say(f"{name}: {self.seconds:.1f} s, {self.busy:.1f} s of CPU, at most {most} s; "
            f"{f'beside other work: load {self.load:.1f}, nice {os.nice(0)}' if others else 'alone'}")
        check((self.busy / os.cpu_count() if others else self.seconds) <= most, f"{name}: more than {most} s")


def needed():
    """The packages of `make deps`."""
    words = re.search(r"^DEPS := ((?:.*\\\n)*.*)$", (ROOT / "Makefile").read_text(), re.M)[1]
    return words.replace("\\\n", " ").split()


def first_finding(system, clock):
    """`make run` until the demonstration is measured, then Ctrl-C. What it says."""
    said = []
    with no_agent(), clock.step("make run, until it says what it found") as step, \
            subprocess.Popen(system.words("make", "run", at=CLONE), stdin=subprocess.DEVNULL, text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=ENVIRONMENT,
                             start_new_session=True,
                             preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)) as run:
        for line in run.stdout:
            said.append(line)
            if "  with autocork: " in line:
                step.stop()
                break
        time.sleep(3)   # its page comes
        os.killpg(run.pid, signal.SIGINT)
        said += run.stdout.readlines()
    return "".join(said[-60:])


def packages_are_built(system):
    """As README.md says; the file of the package `autocork`."""
    system.run(*INSTALL, "dpkg-dev")
    system.run("apt-get", "build-dep", "-qy", "--no-install-recommends", f"{CLONE}/")
    system.run("dpkg-buildpackage", "-b", "-us", "-uc", at=CLONE, DEB_BUILD_OPTIONS="noautodbgsym")
    built, = system.root.glob("autocork_*.deb")
    return built


def package_is_installed(file):
    """On another fresh system."""
    with System("bookworm") as system:
        target = system.root / file.name
        shutil.copy(file, target)
        system.run("apt-get", "update", "-q")
        system.run("apt-get", "install", "-qy", "--download-only", f"/{file.name}")
        before, clock = system.packages(), Clock()
        with clock.step("apt-get install"):
            system.run("apt-get", "install", "-qy", f"/{file.name}")
        came = system.packages() - before
        say(f"{len(came)} packages, at most {DEB_PACKAGES}: {', '.join(sorted(came))}")
        clock.check(DEB_S, "the Debian package is installed")
        check("autocork" in came and len(came) <= DEB_PACKAGES, f"{len(came)} packages")
        check(system.run("autocork", "--version").startswith("autocork "), "its version")
        system.run("getent", "group", "autocork")


def test_first_minutes():
    """Debian 12: few packages, and minutes, from the clone to the first finding; the package installs in seconds"""
    with System("bookworm") as system:
        system.run("apt-get", "update", "-q")
        system.run(*INSTALL, "--download-only", *FIRST, *needed())
    with System("bookworm") as system:
        clock, before = Clock(), system.packages()
        with clock.step(f"{' and '.join(FIRST)} installed"):
            system.run("sh", "-c", f"apt-get update -q && {' '.join((*INSTALL, *FIRST))}")
        own = system.packages()
        with clock.step("clone"):
            system.clone()
        with clock.step("make deps"):
            system.run("make", "deps", at=CLONE)
        came = system.packages()
        say(f"{len(came - own)} packages by make deps, {len(own - before)} for {' and '.join(FIRST)}; "
            f"at most {PACKAGES}")
        text = first_finding(system, clock)
        for line in re.findall(r"^  with.*", text, re.M):
            say(line.strip())
        check("  with autocork: " in text and "every flow is its own again" in text, text)
        check("demo    port " in text and "not a whole number" not in text, f"the page, and a client that goes on: {text}")
        clock.check(FINDING_S, "from the clone to the first finding")
        check(len(came - own) <= PACKAGES, f"{len(came - own)} packages by make deps")
        package_is_installed(packages_are_built(system))


main(globals())
