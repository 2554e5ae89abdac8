# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""What the vm tests share: one TAP stream for all kernels, guests that report in TAP, and results as JSON for the host
to judge."""
import concurrent.futures
import json
import os
import re
import sys
import threading

import libraries
from kernel_image import HERE, NoKernel, fetch, table
from machine import Machine

ROOT = HERE.parents[1]
BUILD = ROOT / "build"
# What the guests' scripts expect under /ac, beside their common part (guest/lib.sh).
PROGRAMS = ("autocorkd", "autocork")
# Loading the wrapper of an algorithm takes an emulated processor some seconds: a test of none of them does without
# these.
TWO_WRAPPERS = ("tcp_bbr", "tcp_dctcp")
# The guests take what other tests leave of the processors: times as long as a guest needs on a machine of its own.
PATIENCE = 3
# The oldest and the newest kernel: where what is between them does as one of them.
ENDS = ("6.1", "7")
VERDICT = re.compile(r"(ok|not ok)\b[ \d-]*(.*?)(?: *# *SKIP *(.*))?$")


class Suite:
    """One test file. `with Suite("name") as suite: suite.each_kernel(judge)`; its exit is the program's."""

    def __init__(self, name):
        self.name, self.count, self.failed = name, 0, 0
        self.lock = threading.Lock()

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if kind is None:
            print(f"1..{self.count}", flush=True)
            sys.exit(1 if self.failed else 0)

    def check(self, good, text, *details):
        with self.lock:
            self.count += 1
            self.failed += not good
            print(f"{'ok' if good else 'not ok'} {self.count} - {text}", flush=True)
            for detail in () if good else details:
                print(f"# {detail}", flush=True)
        return good

    def skip(self, text, reason):
        with self.lock:
            self.count += 1
            print(f"ok {self.count} - {text} # SKIP {reason}", flush=True)

    def note(self, text):
        with self.lock:
            print(f"# {text}", flush=True)

    def each_kernel(self, judge, labels=()):
        """Calls judge(kernel) for every kernel, or those of the labels, two at a time: an emulated machine keeps one
        processor busy."""
        with concurrent.futures.ThreadPoolExecutor(max_workers=min(2, os.cpu_count() or 1)) as pool:
            for done in [pool.submit(judge, kernel) for kernel in self.kernels(labels)]:
                done.result()

    def kernels(self, labels=()):
        """The kernels of the table that are booted unasked, or of these labels; or those that VM_KERNELS names."""
        wanted = os.environ.get("VM_KERNELS", "").replace(",", " ").split() or labels
        for row in table():
            if row.label not in wanted if wanted else row.need == "hand":
                continue
            try:
                image = fetch(row)
            except (NoKernel, OSError) as error:
                if row.need == "must":
                    self.check(False, f"{row.label}: a kernel to boot", error)
                else:
                    self.skip(f"{row.label}: {self.name}", str(error))
                continue
            yield Kernel(self, image)


class Kernel:
    """A kernel of a suite."""

    def __init__(self, suite, image):
        self.suite, self.image, self.label = suite, image, image.label
        self.build = BUILD if image.architecture == "amd64" else BUILD / image.architecture

    def check(self, good, text, *details):
        return self.suite.check(good, f"{self.label}: {text}", *details)

    def boot(self, script, seconds, files=(), modules=(), without=(), agent=True, variables=None, release=None):
        """
        `release`: the agent's programs run with that Debian release's libraries, not with this machine's.
        Boots and runs guest/SCRIPT. Its lines "ok …" and "not ok …" become checks of the suite, its lines "@NAME {…}"
        are returned as {NAME: object}, the rest is printed as comments. Fails if the guest did not end in time, or the
        kernel complained.
        """
        files = [(HERE / "guest/lib.sh", "/guest/lib.sh"), (HERE / "guest" / script, "/guest/script.sh"), *files]
        programs = [(self.build / program, f"/ac/{program}") for program in PROGRAMS] if agent else []
        exports = "".join(f"export {name}='{value}'\n" for name, value in (variables or {}).items())
        try:
            plain, scripts = libraries.files(release, programs) if release else ((), {})
        except (NoKernel, OSError) as error:
            self.check(False, f"{self.suite.name}: the guest's libraries", error)
            return {}
        return self.run(seconds, f"{exports}. /guest/lib.sh\n. /guest/script.sh\n",
                        files if release else files + programs,
                        modules, plain=plain, scripts=scripts, without=without)

    def run(self, seconds, *machine, **more):
        """Boots a Machine of this kernel with these arguments; what it says is dealt with as boot() tells."""
        results = {}

        def relay(line):
            word = line.split(" ", 1)[0]
            verdict = VERDICT.match(line)
            if verdict:
                good, text, reason = verdict.groups()
                if reason is None:
                    self.check(good == "ok", text)
                else:
                    self.suite.skip(f"{self.label}: {text}", reason)
            elif word.startswith("@"):
                try:
                    results[word[1:]] = json.loads(line[len(word):])
                except ValueError:
                    self.check(False, f"{word[1:]}: JSON from the guest", line)
            elif line and not re.match(r"1\.\.\d|libbpf: elf: skipping", line):
                self.suite.note(f"{self.label}: {line.lstrip('# ')}")

        try:
            outcome = Machine(self.image, *machine, **more).run(f"{self.suite.name}.{self.label}", PATIENCE * seconds, relay)
        except (NoKernel, OSError) as error:
            self.check(False, f"{self.suite.name}: the guest", error)
            return results
        tail = [] if outcome.status == 0 else outcome.log.splitlines()[-15:]
        self.check(outcome.status == 0, f"{self.suite.name}: the guest ran to its end", *tail,
                   f"stopped after {PATIENCE * seconds} s" if outcome.timed_out else f"status {outcome.status}")
        self.check(not outcome.complaints, f"{self.suite.name}: no complaint in the kernel's log", *outcome.complaints)
        self.suite.note(f"{self.label} ({self.image.release}): {outcome.seconds:.0f} s, {outcome.processor:.0f} s of a processor")
        return results


__all__ = ["BUILD", "ENDS", "ROOT", "TWO_WRAPPERS", "Kernel", "Suite"]
