# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Network namespaces of the test's own: one with its loopback (Net), or two joined by a cable (Pair). They have no
names and no mounts: a namespace lives as long as this process holds it open."""
import contextlib
import ctypes
import os
import pathlib
import signal
import subprocess

CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1
libc = ctypes.CDLL(None, use_errno=True)


def _call(name, *args):
    if getattr(libc, name)(*args):
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")


def setns(fd):
    _call("setns", fd, CLONE_NEWNET)


class Net:
    """A namespace. `congestion` is given to every route, because a namespace may set as its default only what the host
    allows all users; programs then get it without asking, and it is not locked.

    A process lives in it unless `resident` is false: then only a descriptor of this process leads to it."""

    def __init__(self, congestion="cubic", resident=True):
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        try:
            _call("unshare", CLONE_NEWNET)
            self.fd = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        finally:
            setns(home)
            os.close(home)
        self.resident = None
        if resident:
            self.resident = subprocess.Popen(["sleep", "infinity"], preexec_fn=self._move_in)
        self.congestion, self.routed = congestion, False
        self.ip("link", "set", "lo", "up")
        self.use(congestion)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def _move_in(self):
        setns(self.fd)
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

    def close(self):
        if self.resident:
            self.resident.kill()
            self.resident.wait()
            self.resident = None
        if self.fd is not None:
            os.close(self.fd)
            self.fd = None

    @contextlib.contextmanager
    def inside(self):
        """Sockets made in this block (and files of /proc/net opened there) belong to the namespace."""
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        setns(self.fd)
        try:
            yield self
        finally:
            setns(home)
            os.close(home)

    def run(self, *command, check=True, **options):
        """Runs a command to its end; returns its output."""
        done = subprocess.run(command, preexec_fn=self._move_in, capture_output=True, text=True, check=False, **options)
        if check and done.returncode:
            said = done.stderr.strip() or done.stdout.strip()
            raise AssertionError(f"{' '.join(command)}: {done.returncode}: {said}")
        return done.stdout

    def ip(self, *args):
        return self.run("ip", *args)

    def sysctl(self, name, value=None):
        path = pathlib.Path("/proc/sys/net") / name
        with self.inside():
            if value is not None:
                path.write_text(str(value))
            return path.read_text().strip()

    def use(self, congestion, locked=False):
        """Makes `congestion` what new sockets get; `locked`: by routes that let no socket choose another."""
        self.congestion = congestion
        try:
            self.sysctl("ipv4/tcp_congestion_control", congestion)
            if not locked and not self.routed:
                return
        except OSError:
            pass
        self.routed = True
        for family in "-4", "-6":
            for table in "local", "main":
                for line in self.ip(family, "route", "show", "table", table).splitlines():
                    route = line.split()
                    if "broadcast" in route or "multicast" in route or "anycast" in route:
                        continue
                    if "congctl" in route:
                        at = route.index("congctl")
                        route[at:at + 2 + (route[at + 1] == "lock")] = []
                    if "pref" in route:
                        at = route.index("pref")
                        route[at:at + 2] = []
                    # IPv6 keys its routes by metric as well, and would keep both.
                    self.ip(family, "route", "del", *route, "table", table)
                    self.ip(family, "route", "add", *route, "table", table, "congctl", *(["lock"] if locked else []),
                            congestion)

    def counters(self, protocol="Tcp"):
        """A section of /proc/net/snmp, or of netstat ("TcpExt")."""
        with self.inside():
            text = pathlib.Path("/proc/thread-self/net", "netstat" if protocol.endswith("Ext") else "snmp").read_text()
        rows = [line.split()[1:] for line in text.splitlines() if line.startswith(protocol + ":")]
        return dict(zip(rows[0], map(int, rows[1])))

    def segments(self):
        """TCP segments sent in this namespace so far, acknowledgements included."""
        return self.counters()["OutSegs"]

    def flows(self):
        """Established flows as ss shows them: one line each, congestion control included."""
        return self.run("ss", "-tinOH", "state", "connected", "exclude", "time-wait", "exclude",
                        "syn-sent").splitlines()

    def wrapped(self):
        """How many of them run on a wrapper of the agent."""
        return sum("autocork_" in line for line in self.flows())


def interface_locks(folder, net):
    """The lock files under /run/autocork of interfaces in this namespace. One that was killed may have left its own."""
    return {path.name for path in pathlib.Path("/run/autocork", folder).glob(f"{os.fstat(net.fd).st_ino}-*")}


class Pair:
    """Two namespaces, a and b, joined by a veth cable; b may be slowed where the kernel has netem."""

    A4, B4, A6, B6 = "10.77.0.1", "10.77.0.2", "fd77::1", "fd77::2"

    def __init__(self, congestion="cubic", mtu=1500):
        self.a, self.b = Net(congestion), Net(congestion)
        self.a.ip("link", "add", "cable", "mtu", str(mtu), "type", "veth", "peer", "name", "other")
        # A namespace without a name is named by a process or a descriptor: this process's own.
        self.a.ip("link", "set", "other", "netns", f"/proc/{os.getpid()}/fd/{self.b.fd}")
        self.b.ip("link", "set", "other", "mtu", str(mtu), "name", "cable")
        for net, four, six in (self.a, self.A4, self.A6), (self.b, self.B4, self.B6):
            net.ip("addr", "add", four + "/24", "dev", "cable")
            net.ip("addr", "add", six + "/64", "dev", "cable", "nodad")
            net.ip("link", "set", "cable", "up")
        for net in (self.a, self.b):
            net.use(congestion)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.a.close()
        self.b.close()

    def segments(self):
        return self.a.segments() + self.b.segments()


