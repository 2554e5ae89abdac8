# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""The guest's root file system: busybox, iproute2, what the test brings, with shared libraries; as a cpio archive."""
import lzma
import os
import pathlib
import re
import stat

import sysroot
from kernel_image import HERE

# What every guest has beside busybox, under /tools: busybox's shell prefers its own applets `ip` and `tc` to any PATH.
TOOLS = ("ip", "tc", "ss", "bpftool")
# Linux loads these by itself on a full system, through modprobe; here the guest's init loads them, in this order.
MODULES = ("veth", "sch_netem", "sch_fq", "tcp_bbr", "tcp_dctcp", "tls", "inet_diag", "tcp_diag")
APPLETS = ("awk base64 cat chmod cmp cp cut date dd diff dmesg echo env expr find grep head hexdump hostname id insmod "
           "kill killall ln ls lsmod md5sum mkdir mkfifo mknod mount mv nc paste pidof ping poweroff printf ps pwd rm "
           "rmdir sed seq setsid cttyhack sh sha256sum sleep sort stat strings stty sync sysctl tail taskset tee time "
           "timeout top touch tr true uname uniq usleep vi wc wget which xargs zcat").split()
PASSWD = "root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n"
GROUP = "root:x:0:\nnogroup:x:65534:\n"


class Cpio:
    """Writes the `newc` format (Documentation/driver-api/early-userspace/buffer-format)."""

    def __init__(self, stream):
        self.stream, self.inode, self.names = stream, 0, set()

    def add(self, name, mode, data=b"", device=(0, 0)):
        name = name.strip("/")
        if name in self.names:
            return
        parent = os.path.dirname(name)
        if parent:
            self.add(parent, stat.S_IFDIR | 0o755)
        self.names.add(name)
        self.inode += 1
        encoded = name.encode() + b"\0"
        fields = (self.inode, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(encoded), 0)
        self.stream.write(b"070701" + b"".join(b"%08X" % field for field in fields))
        self.padded(encoded, 110)
        self.padded(data, 0)

    def padded(self, data, before):
        self.stream.write(data + b"\0" * (-(before + len(data)) % 4))

    def close(self):
        self.add("TRAILER!!!", 0)


class Initramfs:
    def __init__(self, stream, image):
        self.cpio, self.image, self.loaded = Cpio(stream), image, []
        self.system = sysroot.of(image.architecture)
        self.text("etc/passwd", PASSWD)
        self.text("etc/group", GROUP)
        self.text("etc/hosts", "127.0.0.1 localhost\n::1 localhost\n")
        for folder in ("proc", "sys", "dev", "tmp", "run", "mnt", "var"):
            self.cpio.add(folder, stat.S_IFDIR | 0o755)
        self.cpio.add("dev/console", stat.S_IFCHR | 0o600, device=(5, 1))
        self.file(self.system.tool("busybox")[0], "/bin/busybox")
        for applet in APPLETS:
            self.cpio.add(f"bin/{applet}", stat.S_IFLNK | 0o777, b"/bin/busybox")
        for tool in TOOLS:
            path, name = self.system.tool(tool)
            self.file(path, name)
            self.cpio.add(f"tools/{tool}", stat.S_IFLNK | 0o777, name.encode())
        # glibc loads it at run time, at the first pthread_exit() or cancel.
        path, name = self.system.library("libgcc_s.so.1")
        self.plain(name, path)
        self.file(HERE / "guest/init", "/init")

    def text(self, name, text, mode=0o644):
        self.cpio.add(name, stat.S_IFREG | mode, text.encode())

    def file(self, path, name=None):
        """Adds a file of the host (a folder with all below it) under its own path or another name, with its
        libraries."""
        path = pathlib.Path(os.path.abspath(path))
        name = str(name or path)
        if path.is_dir():
            for below in sorted(path.rglob("*")):
                if below.is_file():
                    self.file(below, f"{name}/{below.relative_to(path)}")
            return
        if self.plain(name, path).startswith(b"\x7fELF"):
            for library, its_name in self.system.libraries(path):
                self.plain(its_name, library)

    def plain(self, name, path):
        data = path.read_bytes()
        self.cpio.add(name, stat.S_IFREG | (path.stat().st_mode & 0o777), data)
        return data

    def module(self, name):
        """Adds a module with those it needs, in the order they load. One that is built in, or not built at all, is left
        out."""
        name = name.replace("-", "_")
        path = self.image.modules.get(name)
        if name in self.loaded or path is None:
            return
        data = path.read_bytes()
        if path.suffix == ".xz":
            data = lzma.decompress(data)
        needs = re.search(rb"\0depends=([^\0]*)\0", data)
        for need in needs[1].decode().split(",") if needs else ():
            self.module(need)
        self.loaded.append(name)
        self.cpio.add(f"modules/{name}.ko", stat.S_IFREG | 0o644, data)

    def close(self):
        self.text("modules/order", "".join(f"{name}\n" for name in self.loaded))
        self.cpio.close()
