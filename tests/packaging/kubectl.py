# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""kubectl of Debian trixie, which has a kustomize that knows today's fields: fetched by apt, verified by the archive
keyring, unpacked, and run by its own loader."""
import fcntl
import pathlib
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "vm"))
from kernel_image import CACHE, Apt, NoKernel, run

SUITE, PACKAGES = "trixie", ("kubectl", "libc6")


def fetch():
    """The command, as a list; from the cache if it is there. NoKernel says why it cannot be had."""
    folder = CACHE.parent / "kubectl"
    folder.mkdir(parents=True, exist_ok=True)
    tree = folder / SUITE
    with open(folder / "lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not tree.is_dir():
            apt = Apt(folder / "apt", [SUITE])
            apt.get("update", "--error-on=any")
            apt.get("download", *PACKAGES, cwd=folder / "apt")
            new = folder / "new"
            shutil.rmtree(new, ignore_errors=True)
            for package in (folder / "apt").glob("*.deb"):
                run("dpkg", "-x", str(package), str(new))
            new.rename(tree)
            shutil.rmtree(folder / "apt")
    libraries = tree / "usr/lib/x86_64-linux-gnu"
    return [str(libraries / "ld-linux-x86-64.so.2"), "--library-path", str(libraries), str(tree / "usr/bin/kubectl")]


def kustomize(folder):
    """(what `kubectl kustomize` prints, None), or (None, what it complains of)."""
    done = subprocess.run([*fetch(), "kustomize", str(folder)], capture_output=True, text=True, timeout=120,
                          check=False)
    return (None, done.stderr) if done.returncode else (done.stdout, None)
