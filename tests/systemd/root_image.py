# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""A Debian system on a disk image: made by mmdebstrap, whose packages the archive keyring verifies; in the cache."""
import fcntl
import os
import shutil
import subprocess
import tempfile

from kernel_image import CACHE, KEYRING, NoKernel, mirror

# What an administrator has, and what the agent's programs are linked with (Makefile, LIBS).
COMMON = ("ansible-core", "systemd", "systemd-sysv", "dbus", "udev", "iproute2", "procps", "kmod", "bpftool",
          "libbpf1", "libcap-ng0", "libinih1", "libjansson4", "libncursesw6", "libsystemd0", "libxdp1")
# autocork-fastpath is built with the DPDK of this machine's release only.
OF_SUITE = {
    "bookworm": ("libelf1", "libmicrohttpd12", "libbsd0", "libfdt1", "libnuma1", "librte-eal23", "librte-ethdev23",
                 "librte-mempool-ring23", "librte-net-af-xdp23", "librte-telemetry23"),
    "trixie": ("libelf1t64", "libmicrohttpd12t64"),
}
SIZE = "1200M"


def fetch(suite):
    """The image's file. Boot it with a snapshot: it is everybody's."""
    folder = CACHE.parent / "roots"
    folder.mkdir(parents=True, exist_ok=True)
    packages = ",".join((*COMMON, *OF_SUITE[suite]))
    image, made = folder / f"{suite}.ext4", folder / f"{suite}.packages"
    with open(folder / f"{suite}.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if image.is_file() and made.is_file() and made.read_text() == packages:
            return image
        for program in "mmdebstrap", "mke2fs":
            if not shutil.which(program):
                raise NoKernel(f"{program}: not installed: run make deps")
        # As an archive first: in the folder that mmdebstrap works in, parts of this machine are mounted. Not below
        # build/: make would take its *.d for lists of what needs what.
        with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="autocork-root-") as work:
            run("mmdebstrap", "--quiet", "--variant=minbase", f"--include={packages}",
                "--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/locale/*", suite,
                f"{work}/root.tar", f"deb [signed-by={KEYRING}] {mirror()} {suite} main")
            os.mkdir(f"{work}/root")
            run("tar", "-C", f"{work}/root", "-xpf", f"{work}/root.tar", "--exclude=./dev/*")
            image.unlink(missing_ok=True)
            run("mke2fs", "-q", "-t", "ext4", "-d", f"{work}/root", image, SIZE)
        made.write_text(packages)
    return image


def run(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise NoKernel(f"{command[0]}: {' '.join(done.stdout.split())[-400:] or done.returncode}")
