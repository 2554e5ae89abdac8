# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""The shared libraries of another Debian release, for the programs that this machine built: fetched by apt, verified
by its archive keyring, unpacked, and run by their own loader."""
import fcntl
import shutil

from kernel_image import CACHE, Apt, NoKernel
from sysroot import needed

# What the agent's programs are linked with (Makefile, LIBS), by the packages' names of that release.
PACKAGES = {
    "trixie": ("libbpf1", "libsystemd0", "libjansson4", "libinih1", "libmicrohttpd12t64", "libncursesw6", "libtinfo6",
               "libcap-ng0", "libseccomp2", "libxdp1", "libelf1t64", "libgcc-s1", "libc6"),
}
LOADER = "ld-linux-x86-64.so.2"
# The loader would be the program that `comm` and /proc/PID/exe name: nothing here asks for either.
RUNNER = """#!/bin/sh
exec {folder}/{loader} --library-path {folder} {program} "$@"
"""


def fetch(suite):
    """The folder with that release's libraries, from the cache if it is there."""
    folder = CACHE.parent / "libraries" / suite
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        tree = folder / "tree"
        if not tree.is_dir():
            new = folder / "tree.new"
            Apt(folder / "apt", [suite]).unpack(PACKAGES[suite], new)
            # Only the libraries themselves: what else is in the packages is of no use, and no program may find it.
            (new / "usr/lib/x86_64-linux-gnu").rename(folder / "all")
            shutil.rmtree(new)
            new.mkdir()
            for file in (folder / "all").glob("*.so*"):
                shutil.move(file, new)
            shutil.rmtree(folder / "all")
            new.rename(tree)
            shutil.rmtree(folder / "apt")
    return tree


def version(suite, package):
    """The version that a library's file name ends with."""
    return next(file.name.split(".so.")[1] for file in fetch(suite).glob(f"{package}.so.*.*"))


def files(suite, programs):
    """[(host file, guest file)] that make each (host file, guest file) of `programs` run with that release's
    libraries, and {guest file: text} of the scripts that start them."""
    libraries, folder = fetch(suite), f"/{suite}"
    found, scripts, seen, todo = [], {}, set(), []
    for path, guest in programs:
        inside = f"{folder}/bin/{guest.rsplit('/', 1)[-1]}"
        # As data: its libraries are not to come from this machine.
        found.append((path, inside))
        scripts[guest] = RUNNER.format(folder=folder, loader=LOADER, program=inside)
        todo.append(path)
    todo += [libraries / LOADER, libraries / "libgcc_s.so.1"]
    while todo:
        for name in needed(todo.pop()):
            if name not in seen:
                seen.add(name)
                if not (libraries / name).is_file():
                    raise NoKernel(f"{suite}: {name}: in none of its packages")
                todo.append(libraries / name)
    for name in sorted(seen | {LOADER, "libgcc_s.so.1"}):
        found.append((libraries / name, f"{folder}/{name}"))
    return found, scripts
