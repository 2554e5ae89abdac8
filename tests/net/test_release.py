#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""The release process: wrong holds end by a descriptor of the program's own, in time, and whoever keeps a lock keeps
nobody else."""
import contextlib
import ctypes
import fcntl
import json
import mmap
import os
import pathlib
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time

from lib import Agent, Cgroup, Net, Skip, Stream, check, congestion, equal, main, wait_for, world
from netns import libc
from records import maps_of

HOLD_MS = 20
POLICY = f"[policy all]\nmode = autocork\nmax_hold = {HOLD_MS}ms\nburst_gap = {HOLD_MS}ms\nadopt = yes\n"
# The kernel's own timer would come after 200 ms.
WIDE_MS = 120


def release_processes(agent):
    """The pids of those that live, by name (15 characters of it), and of those that are stuck."""
    found = set()
    children = pathlib.Path(f"/proc/{agent.process.pid}/task/{agent.process.pid}/children").read_text().split()
    for pid in children:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
            if "(autocork-releas)" in stat and stat.rpartition(")")[2].split()[0] != "Z":
                found.add(int(pid))
    return found


def wait_replaced(agent, before, gone):
    """Until as many as `before` are there again, without those of `gone`."""
    wait_for(lambda: len(now := release_processes(agent)) == len(before) and not now & gone, 30,
             "other release processes")


def hold_ms(w, stream):
    """How long what is held takes to arrive."""
    data = w.hold(stream)
    start = time.monotonic()
    equal(stream.receive(stream.server, len(data)), data, "what was held")
    return (time.monotonic() - start) * 1000


def service(w, stream):
    return w.agent.service(stream.port, "client")


def learned(w, stream):
    w.learn(stream)
    stream.exchange(rounds=50)


def test_in_time():
    """a wrong hold ends soon after max_hold, for its deadline, and lateness is counted and shown"""
    with world(POLICY) as w, Stream(w.net) as stream:
        learned(w, stream)
        times = []
        for _ in range(20):
            times.append(hold_ms(w, stream))
            learned(w, stream)
        # This process is not scheduled in real time: what it sees is late now and then, or over when it looks.
        check(HOLD_MS / 2 < sorted(times)[10] < HOLD_MS + 30, f"{sorted(times)} ms")
        row = service(w, stream)
        # While the flow learned, a busy machine may have made more.
        check(row["released"]["deadline"] >= 20 and not row["released"]["ceiling"], f"released: {row['released']}")
        check(0 < row["late_us"] < 20 * 30000, f"{row['late_us']} us late in all")
        check(row["holds_late"] <= 10, f"{row['holds_late']} of 20 ended more than 1 ms late")
        equal(row["option_calls"]["cork"], 0, "calls of the program to TCP_CORK")


def timer_turns():
    """Turns of soft high-resolution timers on the whole machine: the wheel's, and hardly any other."""
    rows = pathlib.Path("/proc/softirqs").read_text().splitlines()
    return sum(map(int, next(row for row in rows if row.split()[0] == "HRTIMER:").split()[1:]))


def test_timer_is_rare():
    """while holds end by themselves the wheel's timer comes some hundred times a second, not for each of them"""
    with world() as w, Stream(w.net) as stream:
        learned(w, stream)
        rates, before = [], w.agent.totals()["held"]
        # Where the machine keeps a program from running in a hold, that is a wrong one: the wheel is wary for a while.
        while not rates or (min(rates) > 1000 and len(rates) < 40):
            start, turns = time.monotonic(), timer_turns()
            stream.exchange(rounds=300)
            rates.append((timer_turns() - turns) / (time.monotonic() - start))
        check(w.agent.totals()["held"] - before > 300, "hardly anything was held")
        check(min(rates) < 1000, f"turns a second: {sorted(rates)}")


def test_corked():
    """what the program has corked itself is not uncorked"""
    with world(POLICY) as w, Stream(w.net) as stream:
        learned(w, stream)
        data = w.hold(stream, 2)
        stream.client.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
        time.sleep(3 * HOLD_MS / 1000)
        check(stream.client.getsockopt(socket.IPPROTO_TCP, socket.TCP_CORK), "the cork was taken off")
        stream.client.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)
        equal(stream.receive(stream.server, len(data)), data, "what was held")


def test_another_takes_over():
    """those that are killed or stopped are replaced, and holds end as before; the others do the work meanwhile"""
    with world(POLICY) as w, Stream(w.net) as stream:
        learned(w, stream)
        for sign in signal.SIGKILL, signal.SIGSTOP:
            for every in False, True:
                before = release_processes(w.agent)
                check(len(before) >= 2, f"release processes: {before}")
                gone = before if every else set(list(before)[:1])
                for pid in gone:
                    os.kill(pid, sign)
                took = hold_ms(w, stream)
                check(every or took < WIDE_MS, f"after signal {sign} what was held took {took:.0f} ms")
                wait_replaced(w.agent, before, gone)
                learned(w, stream)
                check(hold_ms(w, stream) < WIDE_MS, f"the next one took long after signal {sign}")
                learned(w, stream)
        equal(service(w, stream)["refused"]["lock_held"], 0, "flows refused")


def loader(program):
    """What the kernel has run this program by."""
    listed = subprocess.run(["ldd", program], stdout=subprocess.PIPE, text=True, check=True).stdout
    return next(line.split()[0] for line in listed.splitlines() if line.split()[0].startswith("/"))


def test_the_same_program_again():
    """it is the agent's own program, also where that was replaced meanwhile, or run by a dynamic loader"""
    for by_loader in False, True:
        with Cgroup() as group, tempfile.TemporaryDirectory() as directory:
            agent = Agent(group)
            copy = f"{directory}/autocorkd"
            shutil.copy(agent.command[0], copy)
            agent.command[:1] = [loader(copy), copy] if by_loader else [copy]
            with agent:
                first = release_processes(agent)
                check(first, f"no release process (by a loader: {by_loader}):\n{agent.log()[-500:]}")
                if not by_loader:
                    shutil.copy("/bin/false", f"{copy}.new")
                    os.replace(f"{copy}.new", copy)
                for pid in first:
                    os.kill(pid, signal.SIGKILL)
                wait_replaced(agent, first, first)


UFFD_USER_MODE_ONLY, UFFDIO_API, UFFDIO_REGISTER, UFFDIO_ZEROPAGE = 1, 0xc018aa3f, 0xc020aa00, 0xc020aa04
SYS_USERFAULTFD, PAGE = 323, 4096


class MissingPage:
    """Memory that does not come until come() is called, and keeps whoever touches it waiting."""

    def __init__(self):
        self.fd = libc.syscall(SYS_USERFAULTFD, os.O_CLOEXEC)
        if self.fd < 0:
            raise Skip("no userfaultfd for us")
        fcntl.ioctl(self.fd, UFFDIO_API, bytearray(struct.pack("QQQ", 0xaa, 0, 0)))
        self.map = mmap.mmap(-1, 2 * PAGE)
        self.map[:PAGE] = b"x" * PAGE
        self.address = ctypes.addressof(ctypes.c_char.from_buffer(self.map))
        fcntl.ioctl(self.fd, UFFDIO_REGISTER, bytearray(struct.pack("QQQQ", self.address + PAGE, PAGE, 1, 0)))

    def send_over_it(self, sock, before):
        """A write of which `before` bytes are there and one is not: the socket stays locked meanwhile."""
        libc.send(sock.fileno(), ctypes.c_void_p(self.address + PAGE - before), ctypes.c_size_t(before + 1), 0)

    def come(self):
        fcntl.ioctl(self.fd, UFFDIO_ZEROPAGE, bytearray(struct.pack("QQQq", self.address + PAGE, PAGE, 0, 0)))


def lock(w, stream):
    """Something is held, and the program keeps the socket's lock: the page and the thread, once the release process
    that waits for the lock has a successor. None if the hold was over before the lock was taken."""
    missing, first = MissingPage(), release_processes(w.agent)
    w.hold(stream, 2)
    thread = threading.Thread(target=missing.send_over_it, args=(stream.client, 20))
    thread.start()
    with contextlib.suppress(AssertionError):
        wait_for(lambda: release_processes(w.agent) - first, 4, "another release process")
        return missing, thread
    missing.come()
    thread.join(5)
    stream.receive(stream.server, 2 * 20 + 21)
    learned(w, stream)
    return None


@contextlib.contextmanager
def locked(w, stream):
    """The program keeps the lock of the stream's socket, while something is held, until the block ends."""
    missing, thread = wait_for(lambda: lock(w, stream), 60, "another release process")
    try:
        yield
    finally:
        missing.come()
        thread.join(5)


def refused(w, port):
    """Another flow of the group: refused as soon as it would hold."""
    other = Stream(w.net, port=port)
    for _ in range(50):
        other.exchange()
    # The agent takes it off its wrapper.
    wait_for(lambda: congestion(other.client) == w.net.congestion, 10, "the other flow's own congestion control")
    return other


def test_lock_held():
    """a program that keeps its socket locked keeps the release process only: the agent answers, another takes over,
    that control group is managed no more, and the agent stops, is killed and starts again"""
    # Long enough to lock the socket meanwhile.
    with world(POLICY.replace(f"{HOLD_MS}ms", "100ms")) as w, Stream(w.net) as stream:
        learned(w, stream)
        with locked(w, stream):
            check(w.agent.status()["agent"]["pid"] == w.agent.process.pid, "no answer")
            with refused(w, stream.port):
                check(service(w, stream)["refused"]["lock_held"] > 0, "nothing counted as lock_held")
            start = time.monotonic()
            w.agent.process.terminate()
            equal(w.agent.process.wait(15), 0, "the agent's exit code")
            check(time.monotonic() - start < 5, f"the stop took {time.monotonic() - start:.1f} s")
            w.agent._gone()
            # A child of the agent's that is stuck at the socket outlives it, and keeps nothing from the next one.
            for end in w.agent.kill, w.agent.stop:
                w.agent.start()
                check(w.agent.status()["agent"]["pid"] == w.agent.process.pid, "no answer after the next start")
                end()
        w.agent.start()


def test_lock_keeps_nobody_else():
    """while one release process waits for a lock, and nobody replaces it, another ends the other flows' holds"""
    with world(POLICY.replace(f"{HOLD_MS}ms", "50ms")) as w, Stream(w.net) as stream, Stream(w.net) as other:
        learned(w, stream)
        learned(w, other)
        missing = MissingPage()
        thread = threading.Thread(target=missing.send_over_it, args=(stream.client, 20))
        os.kill(w.agent.process.pid, signal.SIGSTOP)
        try:
            w.hold(stream, 2)
            thread.start()
            took = [hold_ms(w, other) for _ in range(2)]
        finally:
            missing.come()
            thread.join(5)
            os.kill(w.agent.process.pid, signal.SIGCONT)
        check(max(took) < 50 + WIDE_MS, f"{took} ms")


AVOIDED_MAX = 256


def map_of(agent, name):
    """The number of the agent's map: one that was killed may have left another of that name for a moment."""
    done = subprocess.run(["bpftool", "-j", "map", "show"], capture_output=True, text=True, check=True)
    named = {row["id"] for row in json.loads(done.stdout) if row.get("name") == name} & maps_of(agent.process.pid)
    check(named, f"the agent has no map {name}")
    return named.pop()


def keys_of(number):
    done = subprocess.run(["bpftool", "-j", "map", "dump", "id", str(number)], capture_output=True, text=True,
                          check=True)
    return {row["formatted"]["key"] for row in json.loads(done.stdout)}


def test_locks_of_many_groups():
    """a control group that keeps a lock is avoided however many did before: who did longest ago is forgotten"""
    with world(POLICY.replace(f"{HOLD_MS}ms", "100ms")) as w, Stream(w.net) as stream:
        learned(w, stream)
        number, before = map_of(w.agent, "avoided"), set(range(1, AVOIDED_MAX + 1))
        rows = ""
        for group in before:
            value = struct.pack("=IIQ", 1, 1, 1000 - group)
            words = (" ".join(f"0x{byte:02x}" for byte in some) for some in (struct.pack("=Q", group), value))
            rows += f"map update id {number} " + "key {} value {}\n".format(*words)
        subprocess.run(["bpftool", "batch", "file", "-"], input=rows, text=True, stdout=subprocess.DEVNULL, check=True)
        equal(keys_of(number), before, "control groups avoided")
        with locked(w, stream):
            equal(len(keys_of(number) - before), 1, "further control groups avoided")
            equal(before - keys_of(number), {AVOIDED_MAX}, "forgotten")
            with refused(w, stream.port):
                check(service(w, stream)["refused"]["lock_held"] > 0, "nothing counted as lock_held")


def test_lock_held_for_a_moment():
    """a lock that is kept for a moment, as a busy machine may, keeps its control group from being managed for that long
    only: also flows that were refused meanwhile"""
    with world(POLICY.replace(f"{HOLD_MS}ms", "100ms")) as w, Stream(w.net) as stream:
        learned(w, stream)
        with locked(w, stream):
            other = refused(w, stream.port)
        stream.receive(stream.server, 2 * 20 + 21)
        wait_for(lambda: "managed as before" in w.agent.log(), 5, "the end of it")
        with other, Stream(w.net, port=stream.port) as later:
            for one in later, stream, other:
                learned(w, one)


def test_nothing_is_opened():
    """descriptors of others that look like namespaces and become FIFOs or terminals meanwhile neither stop the agent
    nor become its terminal"""
    with world(POLICY) as w, Stream(w.net) as stream:
        w.learn(stream)
        os.mkfifo(w.agent.directory / "fifo")
        # Nobody writes to it: to open it for reading would wait for ever.
        fifo = os.open(w.agent.directory / "fifo", os.O_RDONLY | os.O_NONBLOCK)
        master, slave = os.openpty()
        # A namespace that nobody lives in, first met at the descriptor that changes.
        other = Net(resident=False)
        namespace, number = fcntl.fcntl(other.fd, fcntl.F_DUPFD_CLOEXEC, 500), other.fd
        end = time.monotonic() + 3

        def swap():
            while time.monotonic() < end:
                for what in namespace, fifo, namespace, slave:
                    os.dup2(what, number)

        thread = threading.Thread(target=swap)
        thread.start()
        while time.monotonic() < end:
            w.agent.reload(POLICY)
        thread.join()
        terminal = int(pathlib.Path(f"/proc/{w.agent.process.pid}/stat").read_text().rpartition(")")[2].split()[4])
        mine = int(pathlib.Path("/proc/self/stat").read_text().rpartition(")")[2].split()[4])
        equal(terminal, mine, "the agent's controlling terminal")
        other.close()
        for fd in namespace, fifo, master, slave:
            os.close(fd)


main(globals())
