# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""A cgroup v2 subtree of the test's own, on a pure or a hybrid hierarchy: the agent is limited to it, so the host stays
alone."""
import os
import pathlib
import signal
import time

from tap import Skip


def root():
    """Where cgroup v2 is mounted."""
    for line in pathlib.Path("/proc/self/mounts").read_text().splitlines():
        fields = line.split()
        if fields[2] == "cgroup2":
            return pathlib.Path(fields[1])
    raise Skip("cgroup v2 is not mounted")


def own():
    """The v2 cgroup of this process."""
    for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines():
        if line.startswith("0::"):
            return root() / line[3:].lstrip("/")
    return root()


class Cgroup:
    count = 0

    def __init__(self, parent=None, name=None):
        if parent is None:
            Cgroup.count += 1
            self.path = root() / f"autocork-test-{os.getpid()}-{Cgroup.count}"
        else:
            self.path = parent.path / name
        self.path.mkdir()
        self.children = {}
        self.home = None

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.remove()

    def child(self, name):
        if name not in self.children:
            self.children[name] = Cgroup(self, name)
        return self.children[name]

    def add(self, pid):
        (self.path / "cgroup.procs").write_text(str(pid))

    def enter(self):
        """Takes this process in, so that sockets it makes are the agent's business; remove() takes it out again."""
        if self.home is None:
            self.home = own()
        self.add(os.getpid())

    def leave(self):
        if self.home is not None:
            (self.home / "cgroup.procs").write_text(str(os.getpid()))
            self.home = None

    def pids(self):
        return [int(pid) for pid in (self.path / "cgroup.procs").read_text().split()]

    def cpu_us(self):
        """CPU time of all that ever ran here, children included, microseconds."""
        for line in (self.path / "cpu.stat").read_text().splitlines():
            name, value = line.split()
            if name == "usage_usec":
                return int(value)
        raise Skip("cpu.stat has no usage_usec")

    def remove(self):
        self.leave()
        for child in self.children.values():
            child.remove()
        self.children = {}
        # What a test left behind in here is its own: nothing else was ever put into this cgroup.
        for attempt in range(100):
            pids = self.pids()
            for pid in pids:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            try:
                self.path.rmdir()
                return
            except OSError:
                time.sleep(0.02)
