#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Whole Debian systems boot, and the agent goes through its life under the unit as `make install` ships it: start,
adopt, reload (by Ansible's role too), restart and KILL under load, watchdog, steering, DPDK, stop, users and groups."""
import concurrent.futures
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "vm"))

from harness import ROOT, TWO_WRAPPERS, Kernel, Suite  # noqa: E402
from kernel_image import NoKernel, fetch, row_of  # noqa: E402
import root_image  # noqa: E402

# Debian release, kernel of tests/vm/kernels, and why there is no autocork-fastpath for it.
SYSTEMS = (("bookworm", "6.1", ""), ("trixie", "6.12", "it is built with the DPDK of another release"))
# The kernel ends a hold without an agent after max(RTO, 200 ms); the rest is room for an emulated processor.
STALL_US = 2000000
SECONDS = 1200  # ten minutes on a machine of its own, most of them of Ansible
# systemd sets up binary formats where a package (python3) names some.
MODULES = ("virtio_blk", "virtio_pci", "crc32c_generic", "ext4", "autofs4", "binfmt_misc")


# How `autocork responses` ends where it can watch; below 6.16 it says what the kernel lacks.
EXIT_UNSUPPORTED = 4


def installed(folder, no_fastpath):
    """[(file, its place in the initramfs)]: what `make install` makes, and the test."""
    subprocess.run(["make", "-s", "-C", str(ROOT), "install", f"DESTDIR={folder}", "PREFIX=/usr"], check=True,
                   stdout=subprocess.DEVNULL)
    if not pathlib.Path(folder, "usr/sbin/autocork-fastpath").is_file():
        no_fastpath = no_fastpath or "this machine has no DPDK to build it with"
    for name, where in (("run", "autocork-test"), ("autocork-test.service", "etc/systemd/system")):
        pathlib.Path(folder, where).mkdir(parents=True, exist_ok=True)
        shutil.copy(HERE / "guest" / name, pathlib.Path(folder, where))
    shutil.copytree(ROOT / "deploy/ansible", pathlib.Path(folder, "autocork-test/ansible"))
    pathlib.Path(folder, "autocork-test/variables").write_text(f"SKIP_DPDK='{no_fastpath}'\n", encoding="ascii")
    return [(path, f"/install/{path.relative_to(folder)}") for path in pathlib.Path(folder).rglob("*")
            if path.is_file() and not path.is_symlink()]


def judge(kernel, release, no_fastpath):
    with tempfile.TemporaryDirectory() as folder:
        said = kernel.run(SECONDS, (HERE / "guest/boot").read_text(), modules=MODULES, without=TWO_WRAPPERS,
                          memory=1536,
                          plain=installed(folder, no_fastpath), disk=root_image.fetch(release))
    for run in "older", "restarted", "killed", "stopped":
        figures = said.get(run, {})
        kernel.check(figures.get("clients", 0) > 0 and figures["clients"] == figures["ended_well"]
                     and figures["wrong_bytes"] == 0, f"{run}: bytes identical", figures)
        kernel.check(figures.get("max_us", STALL_US) < STALL_US, f"{run}: longest message {figures.get('max_us')} us")
    responses = said.get("responses", {})
    text = responses.get("said", "")
    kernel.check(responses.get("exit") == EXIT_UNSUPPORTED and "this kernel has no " in text and "6.16" in text,
                 "responses: what this kernel lacks is said", responses)


def main():
    wanted = os.environ.get("SYSTEMS", "").split()
    with Suite("systemd") as suite, concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        runs = []
        for release, label, no_fastpath in SYSTEMS:
            if wanted and release not in wanted:
                continue
            try:
                kernel = Kernel(suite, fetch(row_of(label)))
                kernel.label = release
                root_image.fetch(release)
            except (NoKernel, OSError) as error:
                suite.check(False, f"{release}: a system to boot", error)
                continue
            runs.append(pool.submit(judge, kernel, release, no_fastpath))
        for run in runs:
            run.result()


main()
