# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""A fresh Debian: the system that mmdebstrap makes, whose packages the archive keyring verifies, entered by chroot in
a mount namespace of its own. What apt fetches stays in a cache, so that a second run stands for a mirror nearby."""
import fcntl
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/vm"))

from kernel_image import CACHE, KEYRING, mirror  # noqa: E402

# Every host has them; mmdebstrap's minimal system has not.
BASE = ("systemd", "systemd-sysv")
# Its own /run and /tmp; the kernel's file systems are the machine's.
ENTER = """set -e
mount --make-rprivate /
for at in proc sys dev; do mount --rbind /$at {root}/$at; done
for at in run tmp; do mount -t tmpfs tmpfs {root}/$at; done
mount --bind {archives} {root}/var/cache/apt/archives
exec chroot {root} /bin/sh -c 'cd "$0" && exec "$@"' "$0" "$@"
"""
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C.UTF-8",
               "DEBIAN_FRONTEND": "noninteractive"}


def call(*words, **more):
    words = [str(word) for word in words]
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **more)
    if done.returncode:
        # Two jobs of make: what went wrong may stand well before the end.
        lines = done.stdout.splitlines()
        wrong = [line for line in lines if re.search(r"error|warning|\*\*\*|^E:", line)] or lines
        raise AssertionError(f"{' '.join(words[-3:])}: status {done.returncode}:\n" + "\n".join(wrong[-25:]))
    return done.stdout


def archive(suite):
    """The minimal system as an archive, from the cache if it is there."""
    folder = CACHE.parent / "fresh"
    (folder / suite / "partial").mkdir(parents=True, exist_ok=True)
    file = folder / f"{suite}.tar"
    with open(folder / f"{suite}.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not file.is_file():
            call("mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(BASE)}", suite, f"{file}.new.tar",
                 f"deb [signed-by={KEYRING}] {mirror()} {suite} main")
            pathlib.Path(f"{file}.new.tar").rename(file)
    return file, folder / suite


class System:
    """`with System("bookworm") as system: system.run("make", at="/autocork")`."""

    def __init__(self, suite):
        self.suite = suite

    def __enter__(self):
        file, self.archives = archive(self.suite)
        # Not below build/: make would take its *.d for lists of what needs what.
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="autocork-fresh-", dir="/var/tmp"))
        call("tar", "-C", self.root, "-xpf", file, "--exclude=./dev/*")
        self.script = ENTER.format(root=self.root, archives=self.archives)
        return self

    def __exit__(self, *what):
        # Its mounts went with the namespace of each command.
        shutil.rmtree(self.root)

    def words(self, *words, at="/"):
        """The command line that runs `words` inside."""
        return ["unshare", "--mount", "sh", "-c", self.script, at, *words]

    def run(self, *words, at="/", timeout=1800, **environment):
        return call(*self.words(*words, at=at), timeout=timeout, env=ENVIRONMENT | environment)

    def clone(self):
        """This tree's last commit, as one gets it: /autocork."""
        call("git", "clone", "--quiet", "--no-hardlinks", ROOT, self.root / "autocork")

    def packages(self):
        return set(self.run("dpkg-query", "-W", "-f", "${Package}\\n").split())
