# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""One run of a stock kernel under QEMU: build the initramfs, boot, relay what the guest says, judge the kernel's
log."""
import os
import pathlib
import re
import select
import shlex
import subprocess
import tempfile
import time
import typing

import sysroot
from initramfs import MODULES, Initramfs
from kernel_image import HERE, NoKernel

LOGS = pathlib.Path(os.environ.get("AUTOCORK_VM_LOGS") or HERE.parents[1] / "build/vm/log")
# mitigations=off: retpolines and the like cost an emulated processor a sixth of its time and are not what is tested.
KERNEL_OPTIONS = "loglevel=6 panic=-1 mitigations=off random.trust_cpu=on"
# A whole system: a unit that names no time to start has 90 s, and the agent's programs take that where machines
# compete.
SYSTEM_OPTIONS = "vm.system systemd.default_timeout_start_sec=600"


class Emulated(typing.NamedTuple):
    """What QEMU is told of a machine of one architecture: its first serial line is the kernel's log, the other, with
    `output`, is the guest's output (guest/init)."""
    program: str
    machine: tuple
    output: tuple
    options: str
    modules: tuple = ()


EMULATED = {
    # QEMU 7.2 computes the flags after cmpxchg16b from stale state: an interrupt at that point saves and restores
    # nonsense, and the kernel ends in a double fault, in one boot of four.
    # slab_debug: without cmpxchg16b 6.18 and later refuse kmalloc_nolock(), and with it BPF's socket-local storage
    # (7.0+), except from caches that are being checked; the checks are welcome as well.
    "amd64": Emulated("qemu-system-x86_64", ("-cpu", "max,cx16=off"), ("-serial", "stdio"),
                      "console=ttyS0 no_timer_check slab_debug=F,kmalloc-*"),
    # This board has one serial line.
    "arm64": Emulated("qemu-system-aarch64", ("-machine", "virt", "-cpu", "neoverse-n1"),
                      ("-chardev", "stdio,id=output", "-device", "virtio-serial-pci", "-device",
                       "virtconsole,chardev=output"), "console=ttyAMA0", ("virtio_pci", "virtio_console")),
}
# With a thread per processor QEMU 7.2 may go on running code that another processor has just patched: the attaching or
# detaching of fentry then ended in "Oops: int3" in one run of three.
ACCELERATOR = "tcg,thread=single"
# What a healthy kernel never logs. "cut here" heads every WARN_ON, "Call Trace" every other report.
COMPLAINT = re.compile(
    r"WARNING:|BUG:|Oops|\bcut here\b|[Ss]elf-detected stall|detected stalls|rcu_\w+ kthread starved|soft lockup"
    r"|hard LOCKUP|blocked for more than|Kernel panic|general protection fault|[Uu]nable to handle|refcount_t:|UBSAN"
    r"|KASAN|Call Trace:|Out of memory|oom-kill")


class Outcome:
    """How a run ended. `processor`: seconds that QEMU has used of one, which a busy machine does not make more."""

    def __init__(self, status, output, log, seconds, processor, timed_out):
        self.status, self.output, self.log, self.timed_out = status, output, log, timed_out
        self.seconds, self.processor = seconds, processor

    @property
    def complaints(self):
        """Lines of the kernel's log that must not be there."""
        return [line for line in self.log.splitlines() if COMPLAINT.search(line)]


class Machine:
    """A kernel image with what its guest gets: files with their libraries, plain files without, scripts, modules, one
    shell command; and perhaps the disk of a whole system. `without`: modules that every other guest has. `more`:
    further words for QEMU."""

    def __init__(self, image, command, files=(), modules=(), memory=1024, plain=(), scripts=None, disk=None,
                 without=(), more=()):
        self.image, self.command, self.files, self.memory = image, command, files, memory
        self.emulated = EMULATED[image.architecture]
        self.modules = [module for module in (*self.emulated.modules, *MODULES, *modules) if module not in without]
        self.plain, self.scripts, self.disk, self.more = plain, scripts or {}, disk, more

    def initramfs(self, path):
        with open(path, "wb") as stream:
            root = Initramfs(stream, self.image)
            root.text("guest/command", self.command)
            root.text("guest/hint", f"{self.image.release}: the command is `sh /guest/command`; leave with `exit`\n")
            for file in self.files:
                name = None
                if isinstance(file, tuple):
                    file, name = file
                root.file(file, name)
            for path, name in self.plain:
                root.plain(name, pathlib.Path(path))
            for name, text in self.scripts.items():
                root.text(name, text, 0o755)
            for module in self.modules:
                root.module(module)
            root.close()

    def qemu(self, initramfs, *more, append=""):
        qemu, _ = sysroot.Here.tool(self.emulated.program)
        return [qemu, "-accel", ACCELERATOR, *self.emulated.machine, "-smp", "2", "-m", str(self.memory), "-nodefaults",
                "-no-user-config",
                "-no-reboot", "-display", "none", "-kernel", str(self.image.vmlinuz), "-initrd", str(initramfs),
                "-append", f"{self.emulated.options} {KERNEL_OPTIONS} {append}", *self.more, *more]

    def interactive(self):
        """A shell on the guest's console; returns QEMU's exit status."""
        with tempfile.TemporaryDirectory() as folder:
            self.initramfs(f"{folder}/initramfs")
            return subprocess.run(self.qemu(f"{folder}/initramfs", "-serial", "mon:stdio", append="vm.shell"),
                                  check=False).returncode

    def run(self, name, seconds, relay=print):
        """Boots, runs the command, ends after it or after `seconds`. `relay` gets every line of the guest as it
        comes."""
        LOGS.mkdir(parents=True, exist_ok=True)
        console = LOGS / f"{name}.console"
        console.unlink(missing_ok=True)
        begin = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            self.initramfs(f"{folder}/initramfs")
            more, append = (), ""
            if self.disk:
                # What the guest writes to the disk goes with it.
                more, append = ("-snapshot", "-drive", f"file={self.disk},format=raw,if=virtio"), SYSTEM_OPTIONS
            command = self.qemu(f"{folder}/initramfs", "-serial", f"file:{console}", *self.emulated.output,
                                *more, append=append)
            with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT) as qemu:
                output, timed_out = self.listen(qemu, begin + seconds, relay)
                _, code, used = os.wait4(qemu.pid, 0)
                qemu.returncode = os.waitstatus_to_exitcode(code)
        # A whole system may still say that it goes.
        status = next((int(line.split()[1]) for line in output[-5:] if line.startswith("guest-status ")), None)
        output = [line for line in output if not line.startswith("guest-status ")]
        (LOGS / f"{name}.output").write_text("".join(f"{line}\n" for line in output))
        log = console.read_text(errors="replace").replace("\r", "") if console.exists() else ""
        return Outcome(status, output, log, time.monotonic() - begin, used.ru_utime + used.ru_stime, timed_out)

    @staticmethod
    def listen(qemu, deadline, relay):
        output, rest = [], b""
        while True:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([qemu.stdout], [], [], left)[0]:
                qemu.kill()
                return output, True
            chunk = os.read(qemu.stdout.fileno(), 65536)
            if not chunk:
                return output, False
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                line = line.decode(errors="replace").rstrip("\r")
                output.append(line)
                if not line.startswith("guest-status "):
                    relay(line)


def shell_command(words):
    """The words of a command line as one line for the guest's shell."""
    return " ".join(shlex.quote(word) for word in words) + "\n"


__all__ = ["Machine", "NoKernel", "Outcome", "shell_command"]
