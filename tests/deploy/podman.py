# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""The image under podman, with storage of its own that is gone afterwards."""
import json
import os
import pathlib
import resource
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/net"))
from lib import Skip, build, wait_for

CAPABILITIES = ("BPF", "PERFMON", "NET_ADMIN", "SYS_ADMIN", "SYS_PTRACE", "DAC_READ_SEARCH", "SYS_NICE", "IPC_LOCK")
# What deploy/kubernetes mounts too; bpffs is for steering only.
MOUNTS = {"cgroup": ["-v", "/sys/fs/cgroup:/sys/fs/cgroup:ro"], "run": ["--tmpfs", "/run/autocork"],
          "bpffs": ["-v", "/sys/fs/bpf:/sys/fs/bpf"]}


class Podman:
    def __init__(self):
        self.archive = pathlib.Path(build("autocork-image.tar"))
        if not self.archive.is_file():
            raise Skip(f"{self.archive}: not built: run make image")
        for program in "podman", "runc":
            if not shutil.which(program):
                raise Skip(f"{program} is not installed")
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="autocork-podman-", dir="/var/tmp"))
        # crun refuses a hybrid hierarchy of control groups, and an overlay cannot lie on an overlay.
        self.words = ["podman", "--root", self.directory / "root", "--runroot", self.directory / "run",
                      "--storage-driver", "vfs", "--runtime", "runc", "--cgroup-manager", "cgroupfs"]
        try:
            self.image = self("load", "-q", "-i", self.archive).split(": ", 1)[1].strip()
        except BaseException:
            self.remove()
            raise

    def __call__(self, *words, good=True, seconds=120):
        done = subprocess.run([str(word) for word in (*self.words, *words)], capture_output=True, text=True,
                              timeout=seconds, check=False)
        if good and done.returncode:
            raise AssertionError(f"podman {words[0]}: {done.returncode}: {done.stderr.strip()[-500:]}")
        return done.stdout + ("" if good else done.stderr)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.remove()

    def remove(self):
        self("rm", "--all", "--force", good=False)
        shutil.rmtree(self.directory, ignore_errors=True)


class Container:
    """The agent, as deploy/container/README.md starts it: with everything but `without`."""

    def __init__(self, podman, cgroup, policies, without=(), more=()):
        self.podman, self.name = podman, f"autocork-test-{os.getpid()}-{time.monotonic_ns()}"
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        words = ["run", "-d", "--name", self.name, "--network=none", "--cap-drop=all", "--read-only",
                 "--read-only-tmpfs=false", "--ulimit", f"nofile={min(files, 16384)}", "--ulimit", "nproc=4096",
                 "-v", f"{policies}:/etc/autocork/policy.d:ro", *more]
        words += [word for name, mount in MOUNTS.items() if name not in without for word in mount]
        words += [f"--cap-add={name}" for name in CAPABILITIES if name not in without]
        words += [] if "pid" in without else ["--pid=host"]
        self.podman(*words, podman.image, "--cgroup", cgroup.path)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.podman("rm", "--force", "--time", "20", self.name, good=False)

    def log(self):
        return self.podman("logs", self.name, good=False)

    def state(self):
        return json.loads(self.podman("inspect", self.name))[0]["State"]

    def started(self):
        """True once the agent runs, False if it has ended."""
        def known():
            if " runs: mode " in self.log():
                return "runs"
            return "ended" if self.state()["Status"] == "exited" else None
        return wait_for(known, 60, "the agent's start") == "runs"

    def ask(self, *words):
        return json.loads(self.podman("exec", self.name, "autocork", words[0], "--json", *words[1:]))

    def stop(self):
        """The agent's exit code."""
        self.podman("stop", "--time", "30", self.name)
        return self.state()["ExitCode"]
