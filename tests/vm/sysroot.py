#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Where a guest's tools and shared libraries come from: this machine, or, for another architecture, Debian's packages
of it, unpacked below build/. Run as a program it fetches them and prints the folder: what programs of that architecture
are built with."""
import fcntl
import os
import pathlib
import re
import shutil
import subprocess
import sys

from kernel_image import CACHE, Apt, NoKernel

SUITE = "bookworm"
# To build with (Makefile, DEPS), and the tools of a guest.
PACKAGES = ("libbpf-dev", "libc6-dev", "libcap-ng-dev", "libcmocka-dev", "libelf-dev", "libinih-dev", "libjansson-dev",
            "libmicrohttpd-dev", "libncurses-dev", "libseccomp-dev", "libsystemd-dev", "uthash-dev", "libgcc-s1",
            "busybox-static", "iproute2", "bpftool")


def needed(program):
    """The names of the shared libraries that a program or library of any architecture asks for itself."""
    listed = subprocess.run(["readelf", "-dW", program], stdout=subprocess.PIPE, text=True, check=True).stdout
    return re.findall(r"\(NEEDED\).*\[(\S+)\]", listed)


def relink(tree):
    """Links from the root on would lead to this machine's files."""
    for link in tree.rglob("*"):
        target = os.readlink(link) if link.is_symlink() else ""
        if target.startswith("/"):
            link.unlink()
            link.symlink_to(os.path.relpath(f"{tree}{target}", link.parent))


class Here:
    """This machine. Each answer is (file, its name in the guest)."""

    @staticmethod
    def tool(name):
        found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
        if not found:
            raise NoKernel(f"{name}: not installed: run make check-deps")
        return found, found

    @staticmethod
    def library(name):
        path = f"/lib/x86_64-linux-gnu/{name}"
        return pathlib.Path(path), path

    @staticmethod
    def libraries(program):
        """The shared libraries that a program loads, the dynamic loader among them."""
        listed = subprocess.run(["ldd", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                                check=False)
        missing = re.findall(r"^\s*(\S+) => not found", listed.stdout, re.M)
        if missing:
            raise NoKernel(f"{program}: {', '.join(missing)} not found on this machine")
        return [(pathlib.Path(path), path)
                for path in re.findall(r"(?:=> |^\s*)(/\S+) \(0x", listed.stdout, re.M)]


class Sysroot:
    """Another architecture: `triplet` is its folder of libraries, `loader` its dynamic loader."""

    def __init__(self, architecture, triplet, loader):
        self.architecture, self.triplet, self.loader = architecture, triplet, loader

    def fetch(self):
        folder = CACHE.parent / "sysroot" / self.architecture
        folder.mkdir(parents=True, exist_ok=True)
        tree, made = folder / "tree", folder / "packages"
        wanted = f"{SUITE} {' '.join(PACKAGES)}"
        with open(folder / "lock", "w", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (tree.is_dir() and made.is_file() and made.read_text() == wanted):
                Apt(folder / "apt", [SUITE], self.architecture).unpack(PACKAGES, tree)
                shutil.rmtree(folder / "apt")
                relink(tree)
                made.write_text(wanted)
        return tree

    def found(self, names, what):
        tree = self.fetch()
        for name in names:
            if (tree / name).exists():
                return tree / name, f"/{name}"
        raise NoKernel(f"{what}: in no package of {self.architecture} (tests/vm/sysroot.py)")

    def tool(self, name):
        return self.found([f"{folder}/{name}" for folder in ("usr/sbin", "usr/bin", "sbin", "bin")], name)

    def library(self, name):
        return self.found([f"{folder}/{self.triplet}/{name}" for folder in ("lib", "usr/lib")], name)

    def libraries(self, program):
        found, todo = {}, [program]
        while todo:
            for name in needed(todo.pop()):
                if name not in found and name != self.loader:
                    found[name] = self.library(name)
                    todo.append(found[name][0])
        loader = [self.found([f"lib/{self.loader}"], self.loader)] if found else []
        return [*found.values(), *loader]


SYSTEMS = {"amd64": Here(), "arm64": Sysroot("arm64", "aarch64-linux-gnu", "ld-linux-aarch64.so.1")}


def of(architecture):
    return SYSTEMS[architecture]


if __name__ == "__main__":
    try:
        print(of(sys.argv[1]).fetch())
    except NoKernel as error:
        sys.exit(f"sysroot: {error}")
