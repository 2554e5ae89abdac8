#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Short stories of calls, each told on a connection of the stack and on one of the kernel: what every call gives must
be the same. endpoint_calls.py NETNS ADDRESS PORT KERNEL_PORT. The peers are kernel sockets of namespace NETNS."""
import array
import contextlib
import ctypes
import errno
import faulthandler
import fcntl
import os
import resource
import select
import signal
import socket
import struct
import sys
import tempfile
import termios
import threading
import time

NETNS, ADDRESS, PORTS = sys.argv[1], sys.argv[2], (int(sys.argv[3]), int(sys.argv[4]))
ONLY = sys.argv[5] if len(sys.argv) > 5 else ""
libc = ctypes.CDLL(None, use_errno=True)
HOME = os.open("/proc/self/ns/net", os.O_RDONLY)
AWAY = os.open(NETNS, os.O_RDONLY)
PATIENCE = 30
# What x86-64 calls them.
SYS = {"read": 0, "write": 1, "close": 3, "dup": 32, "sendto": 44, "shutdown": 48, "accept4": 288}


def enter(fd):
    if libc.setns(fd, 0x40000000):
        raise OSError(ctypes.get_errno(), "setns")


def name_of(code):
    return errno.errorcode.get(code, code)


def result(call, *arguments):
    """What a call gives, errors by name."""
    try:
        return call(*arguments)
    except OSError as error:
        return "EAGAIN" if isinstance(error, (BlockingIOError, TimeoutError)) else name_of(error.errno)


def plain(call, *arguments):
    """A call of the C library as it is: Python's own begin anew after a signal."""
    ctypes.set_errno(0)
    value = call(*arguments)
    return value if value >= 0 else name_of(ctypes.get_errno())


def recv(fd, size=100, flags=0):
    room = ctypes.create_string_buffer(max(size, 1))
    got = plain(libc.recv, fd, room, size, flags)
    return room.raw[:got] if isinstance(got, int) else got


timers = []


def later(seconds, call, *arguments):
    """Some time after the present call has begun to wait; never, where the story is over before."""
    timer = threading.Timer(seconds, call, arguments)
    timer.daemon = True
    timers.append(timer)
    timer.start()


def await_(condition):
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


class Side:
    def __init__(self, listener, port):
        self.listener, self.port = listener, port
        self.open = []

    def peer(self):
        """A client that has connected, or will: the stack runs in this process, so nobody waits here."""
        enter(AWAY)
        peer = socket.socket()
        enter(HOME)
        self.open.append(peer)
        peer.setblocking(False)
        peer.connect_ex((ADDRESS, self.port))
        peer.settimeout(PATIENCE)
        return peer

    def pair(self):
        peer = self.peer()
        self.listener.settimeout(PATIENCE)
        own = self.listener.accept()[0]
        self.listener.settimeout(None)
        self.open.append(own)
        own.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return own, peer

    def end(self):
        while timers:
            timers[-1].cancel()
            timers.pop().join(PATIENCE)
        for thing in self.open:
            with contextlib.suppress(OSError):
                thing.close()
        self.open = []

    @staticmethod
    def arrived(own, size):
        value = array.array("i", [0])

        def enough():
            fcntl.ioctl(own.fileno(), termios.FIONREAD, value)
            return value[0] >= size
        return await_(enough)


@contextlib.contextmanager
def alarm(restart, seconds=0.2):
    """A signal comes now and again; the C library's calls go on after it, or do not."""
    seen = []
    before = signal.signal(signal.SIGALRM, lambda *_: seen.append(1))
    signal.siginterrupt(signal.SIGALRM, not restart)
    signal.setitimer(signal.ITIMER_REAL, seconds, seconds)
    try:
        yield seen
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


# ------------------------------------------------------------------ the stories: what they return is compared


def a_signal_restarts_a_read(side):
    own, peer = side.pair()
    with alarm(True):
        later(1, peer.send, b"late")
        return recv(own.fileno())


def a_signal_ends_a_read(side):
    own, peer = side.pair()
    with alarm(False):
        later(5, peer.send, b"late")
        return recv(own.fileno())


def a_signal_ends_a_read_with_a_timeout(side):
    own, peer = side.pair()
    own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 20, 0))
    with alarm(True):
        later(5, peer.send, b"late")
        return recv(own.fileno())


def a_signal_restarts_an_accept(side):
    with alarm(True):
        later(1, side.peer)
        fd = plain(libc.accept, side.listener.fileno(), None, None)
    if not isinstance(fd, int):
        return fd
    os.close(fd)
    return "accepted"


def a_signal_ends_a_poll(side):
    own, peer = side.pair()
    with alarm(True):
        later(5, peer.send, b"late")
        entry = struct.pack("ihh", own.fileno(), select.POLLIN, 0)
        return plain(libc.poll, ctypes.create_string_buffer(entry), 1, 20000)


def a_signal_restarts_a_write(side):
    own, peer = side.pair()
    data = os.urandom(1 << 20)
    own.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
    got = []

    def read_all():
        while len(b"".join(got)) < len(data) and (more := result(peer.recv, 1 << 16)):
            got.append(more if isinstance(more, bytes) else data)
    with alarm(True):
        later(1, read_all)
        sent = plain(libc.send, own.fileno(), data, len(data), 0)
    # A part may have been taken before the signal: the kernel says so, too.
    own.close()
    return isinstance(sent, int) and sent > 0


def no_descriptor_left(side):
    """accept() fails, and the connection waits for the next one."""
    peer = side.peer()
    select.select([side.listener], [], [], PATIENCE)
    side.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 2, 0))
    held = []
    try:
        while True:
            held.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        pass
    refused = [plain(libc.accept, side.listener.fileno(), None, None) for _ in range(3)]
    for fd in held:
        os.close(fd)
    side.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, 0))
    side.listener.settimeout(5)
    own = result(side.listener.accept)
    side.listener.settimeout(None)
    if isinstance(own, str):
        return refused, own
    with own[0] as connection:
        connection.send(b"here")
        return refused, result(peer.recv, 10)


def a_set_under_another_number(side):
    """An epoll set whose first number is closed, a connection in it that moves to the kernel."""
    own, peer = side.pair()
    first = select.epoll()
    first.register(own.fileno(), select.EPOLLIN)
    second = select.epoll.fromfd(os.dup(first.fileno()))
    first.close()
    side.open.append(second)
    peer.send(b"one")
    one = [mask for _, mask in second.poll(10)]
    got = own.recv(10)
    own.getsockopt(socket.SOL_SOCKET, 56)   # SO_INCOMING_NAPI_ID: the kernel's to answer
    peer.send(b"two")
    return one, got, [mask for _, mask in second.poll(10)], own.recv(10)


def held_back(side):
    """TCP_CORK and MSG_MORE: what waits leaves by itself, and with the last write."""
    own, peer = side.pair()
    own.send(b"first ", socket.MSG_MORE)
    own.send(b"second")
    out = [result(peer.recv, 12, socket.MSG_WAITALL)]
    own.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
    own.send(b"corked")
    side.listener.settimeout(2)     # a wait of the program: the stack runs
    out.append(result(side.listener.accept))
    side.listener.settimeout(None)
    out.append(result(peer.recv, 6, socket.MSG_WAITALL))
    own.send(b"again")
    own.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)
    out.append(result(peer.recv, 5, socket.MSG_WAITALL))
    return out


def calls_by_number(side):
    own, peer = side.pair()
    fd, room = own.detach(), ctypes.create_string_buffer(20)
    peer.send(b"hello")
    out = [plain(libc.syscall, SYS["read"], fd, room, 20), room.value]
    out.append(plain(libc.syscall, SYS["write"], fd, b"there", 5))
    out.append(plain(libc.syscall, SYS["sendto"], fd, b"again", 5, 0, None, 0))
    copy = plain(libc.syscall, SYS["dup"], fd)
    out.append(result(peer.recv, 5, socket.MSG_WAITALL))
    out.append(result(peer.recv, 5, socket.MSG_WAITALL))
    out.append(plain(libc.syscall, SYS["close"], fd))
    out.append(plain(libc.send, copy, b"copy", 4, 0))
    out.append(result(peer.recv, 4, socket.MSG_WAITALL))
    out.append(plain(libc.syscall, SYS["shutdown"], copy, socket.SHUT_WR))
    out.append(result(peer.recv, 4))
    out.append(plain(libc.syscall, SYS["close"], copy))
    return out


def closed_by_number(side):
    own, peer = side.pair()
    fd = own.detach()
    closed = plain(libc.syscall, SYS["close"], fd)
    return closed, result(peer.recv, 10), plain(libc.recv, fd, ctypes.create_string_buffer(1), 1, 0)


def accepted_by_number(side):
    peer = side.peer()
    select.select([side.listener], [], [], PATIENCE)
    later(5, side.peer)
    fd = plain(libc.syscall, SYS["accept4"], side.listener.fileno(), None, None, 0)
    if not isinstance(fd, int):
        return fd
    peer.send(b"x")
    got = recv(fd)
    os.close(fd)
    return got


def many_descriptors_on_a_small_stack(side):
    """poll() of 60,000 entries in a thread whose stack has 256 KB."""
    own, peer = side.pair()
    peer.send(b"x")
    side.arrived(own, 1)
    count, found = 60000, []
    entries = ctypes.create_string_buffer(struct.pack("ihh", own.fileno(), select.POLLIN, 0) +
                                          struct.pack("ihh", -1, 0, 0) * (count - 1))
    threading.stack_size(256 << 10)
    thread = threading.Thread(target=lambda: found.extend([plain(libc.poll, entries, count, 5000), recv(own.fileno()),
                                                           plain(libc.poll, entries, count, 100)]))
    thread.start()
    threading.stack_size(0)
    thread.join(PATIENCE)
    return found


def threads_leave_nothing(side):
    """100 threads that wait for a connection each, one after the other."""
    def count():
        return len(os.listdir("/proc/self/fd"))

    def serve():
        own.recv(10)
    own, peer = side.pair()
    before = count()
    for _ in range(100):
        thread = threading.Thread(target=serve)
        thread.start()
        time.sleep(0.001)
        peer.send(b"x")
        thread.join(PATIENCE)
    return count() - before < 10


def nothing_to_read_or_write(side):
    own, peer = side.pair()
    fd, none = own.fileno(), ctypes.create_string_buffer(1)
    own.setblocking(False)
    out = [plain(libc.recv, fd, none, 0, 0), plain(libc.read, fd, none, 0), plain(libc.send, fd, none, 0, 0),
           plain(libc.write, fd, none, 0), result(os.readv, fd, []), result(os.writev, fd, []),
           result(own.recvmsg, 0), result(own.sendmsg, [])]
    peer.send(b"x")
    side.arrived(own, 1)
    out += [plain(libc.recv, fd, none, 0, 0), plain(libc.read, fd, none, 0), plain(libc.recv, fd, none, 0, 2),
            recv(fd)]
    peer.shutdown(socket.SHUT_WR)
    out.append(await_(lambda: recv(fd) == b""))
    out += [plain(libc.recv, fd, none, 0, 0), plain(libc.read, fd, none, 0)]
    own.shutdown(socket.SHUT_WR)
    out += [plain(libc.send, fd, none, 0, 0x4000), plain(libc.write, fd, none, 0)]
    return out


def a_read_that_times_out(side):
    own, peer = side.pair()
    own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, 300000))
    begun = time.monotonic()
    got = recv(own.fileno())
    waited = time.monotonic() - begun
    peer.send(b"part")
    # MSG_WAITALL: what came before the time was over.
    part = recv(own.fileno(), 100, socket.MSG_WAITALL)
    return got, waited >= 0.29, part, own.getsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, 16)


def a_write_that_times_out(side):
    own, _ = side.pair()
    own.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", 0, 300000))
    own.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
    data = bytes(1 << 20)
    found = [plain(libc.send, own.fileno(), data, len(data), 0)]
    while isinstance(found[-1], int) and len(found) < 50:
        found.append(plain(libc.send, own.fileno(), data, len(data), 0))
    return isinstance(found[0], int) and found[0] < 20 << 20, found[-1]


def inherited_by_accept(side):
    name = socket.SO_RCVTIMEO
    side.listener.setsockopt(socket.SOL_SOCKET, name, struct.pack("ll", 3, 0))
    own, _ = side.pair()
    found = own.getsockopt(socket.SOL_SOCKET, name, 16)
    side.listener.setsockopt(socket.SOL_SOCKET, name, struct.pack("ll", 0, 0))
    return found, fcntl.fcntl(own.fileno(), fcntl.F_GETFL) & os.O_NONBLOCK


def an_accept_that_times_out(side):
    side.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, 200000))
    begun = time.monotonic()
    found = plain(libc.accept, side.listener.fileno(), None, None)
    side.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, 0))
    return found, time.monotonic() - begun > 0.19


def closed_with_linger_0(side):
    own, peer = side.pair()
    own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    own.send(b"lost or not")
    own.close()
    got = result(peer.recv, 100)
    return result(peer.recv, 100) if isinstance(got, bytes) else got


def closed_with_linger(side):
    own, peer = side.pair()
    own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 5))
    own.sendall(b"kept" * 1000)
    found = own.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8)
    own.close()
    return found, result(peer.recv, 4000, socket.MSG_WAITALL), result(peer.recv, 1)


def closed_with_unread_data(side):
    own, peer = side.pair()
    peer.send(b"never read")
    side.arrived(own, 10)
    own.close()
    return result(peer.recv, 10)


def switches_between_waiting_and_not(side):
    own, peer = side.pair()
    fd, value = own.fileno(), array.array("i", [1])
    copy = os.dup(fd)
    fcntl.ioctl(fd, termios.FIONBIO, value)
    out = [recv(fd), recv(copy), fcntl.fcntl(copy, fcntl.F_GETFL)]
    fcntl.fcntl(copy, fcntl.F_SETFL, 0)
    later(0.3, peer.send, b"waited")
    out += [recv(fd), recv(fd, 10, socket.MSG_DONTWAIT)]
    fcntl.fcntl(fd, fcntl.F_SETFL, os.O_NONBLOCK)
    out += [recv(copy), fcntl.fcntl(fd, fcntl.F_GETFL)]
    os.close(copy)
    out.append(recv(fd))
    return out


def a_half_closed_connection(side):
    own, peer = side.pair()
    peer.send(b"last words")
    peer.shutdown(socket.SHUT_WR)
    side.arrived(own, 10)
    out = [own.recv(4, socket.MSG_PEEK), own.recv(100), own.recv(100), result(own.send, b"an answer"),
           result(peer.recv, 9, socket.MSG_WAITALL), result(own.shutdown, socket.SHUT_RD), result(own.recv, 1)]
    out += [result(own.shutdown, socket.SHUT_WR), result(own.send, b"x"), result(peer.recv, 1)]
    return out


def signals_of_a_broken_pipe(side):
    seen = []
    before = signal.signal(signal.SIGPIPE, lambda *_: seen.append(1))
    own, _ = side.pair()
    own.shutdown(socket.SHUT_WR)
    out = []
    with tempfile.TemporaryFile() as file:
        file.write(b"x" * 100)
        file.flush()
        for call in (lambda: plain(libc.send, own.fileno(), b"x", 1, 0),
                     lambda: plain(libc.send, own.fileno(), b"x", 1, socket.MSG_NOSIGNAL),
                     lambda: plain(libc.write, own.fileno(), b"x", 1),
                     lambda: result(own.sendmsg, [b"x"]),
                     lambda: result(os.sendfile, own.fileno(), file.fileno(), 0, 10)):
            seen.clear()
            out += [call(), len(seen)]
    signal.signal(signal.SIGPIPE, before)
    return out


def woken_by_shutdown(side):
    own, _ = side.pair()
    later(0.3, own.shutdown, socket.SHUT_RD)
    return recv(own.fileno())


def files_that_are_sent(side):
    own, peer = side.pair()
    out = []
    with tempfile.TemporaryFile() as file:
        data = os.urandom(100000)
        file.write(data)
        file.flush()
        fd, to = file.fileno(), own.fileno()
        out += [result(os.sendfile, to, fd, 0, 1000), result(peer.recv, 1000, socket.MSG_WAITALL) == data[:1000]]
        out += [os.lseek(fd, 99000, os.SEEK_SET), result(os.sendfile, to, fd, None, 5000),
                os.lseek(fd, 0, os.SEEK_CUR), result(peer.recv, 1000, socket.MSG_WAITALL) == data[99000:]]
        out += [result(os.sendfile, to, fd, 100000, 10), result(os.sendfile, to, fd, 200000, 10),
                result(os.sendfile, to, fd, 0, 0)]
        out += [result(os.sendfile, to, 999, 0, 10), result(os.sendfile, to, own.fileno(), 0, 10)]
        ends = os.pipe()
        os.write(ends[1], b"in a pipe")
        out.append(result(os.sendfile, to, ends[0], 0, 9))
        out += [result(os.splice, ends[0], to, 9), result(peer.recv, 9, socket.MSG_WAITALL)]
        for end in ends:
            os.close(end)
    return out


def what_epoll_refuses(side):
    own, _ = side.pair()
    fd, out = own.fileno(), []
    exclusive, oneshot = select.EPOLLEXCLUSIVE, select.EPOLLONESHOT
    with select.epoll() as set_, select.epoll() as other:
        for mask in (select.EPOLLIN | exclusive | oneshot, select.EPOLLIN | exclusive | select.EPOLLRDHUP,
                     select.EPOLLIN | exclusive | select.EPOLLET, select.EPOLLIN | exclusive):
            out.append(result(set_.register, fd, mask))
            out.append(result(set_.modify, fd, mask))
            out.append(result(set_.modify, fd, select.EPOLLIN))
            out.append(result(set_.unregister, fd))
        out += [result(set_.register, fd, 0), set_.poll(0), result(set_.register, fd, 1),
                result(set_.modify, fd, 1 << 29), result(set_.modify, fd, 1 << 29 | select.EPOLLOUT),
                len(set_.poll(0))]
        out += [result(set_.register, set_.fileno(), 1), result(other.register, set_.fileno(), exclusive | 1),
                result(other.register, set_.fileno(), 1), result(set_.register, other.fileno(), 1)]
        out += [result(set_.unregister, 998), result(set_.register, 998, 1), result(set_.modify, other.fileno(), 1)]
        # More room than the kernel allows, none, less than none.
        room = ctypes.create_string_buffer(120)
        for most in 0, -1, 1 << 30, 10:
            out.append(plain(libc.epoll_wait, set_.fileno(), room, most, 0))
        out.append(plain(libc.epoll_wait, fd, room, 10, 0))
        out.append(plain(libc.epoll_ctl, fd, 1, fd, room))
    return out


def sets_in_sets(side):
    """Three deep, and in poll() and select()."""
    own, peer = side.pair()
    sets = [select.epoll() for _ in range(3)]
    out = []

    def all_of_them():
        poll = select.poll()
        poll.register(sets[2].fileno(), select.POLLIN)
        return ([len(set_.poll(0)) for set_ in sets], [mask for _, mask in poll.poll(0)],
                [len(x) for x in select.select([sets[1].fileno()], [sets[1].fileno()], [], 0)])
    for flags in 0, select.EPOLLET:
        sets[0].register(own.fileno(), select.EPOLLIN | flags)
        sets[1].register(sets[0].fileno(), select.EPOLLIN)
        sets[2].register(sets[1].fileno(), select.EPOLLIN)
        out.append(all_of_them())
        peer.send(b"x")
        side.arrived(own, 1)
        out.append([len(set_.poll(10)) for set_ in reversed(sets)])
        out.append(all_of_them())
        own.recv(10)
        out.append(all_of_them())
        for inner, outer in zip(sets, sets[1:]):
            outer.unregister(inner.fileno())
        sets[0].unregister(own.fileno())
    # One waits in the outermost, without end, for what comes to the innermost.
    sets[0].register(own.fileno(), select.EPOLLIN)
    sets[1].register(sets[0].fileno(), select.EPOLLIN)
    later(0.3, peer.send, b"y")
    out.append([mask for _, mask in sets[1].poll(PATIENCE)])
    # Nobody asks the innermost meanwhile: what comes next is news to the one around it all the same.
    own.recv(10)
    out.append(len(sets[1].poll(0)))
    peer.send(b"z")
    side.arrived(own, 1)
    out.append(len(sets[1].poll(1)))
    for set_ in sets:
        set_.close()
    return out


def kernel_files_beside(side):
    """A timer, an event, a signal and a child's end in one set with a connection."""
    own, peer = side.pair()
    out = []
    with select.epoll() as set_:
        event = libc.eventfd(0, os.O_NONBLOCK | os.O_CLOEXEC)
        timer = libc.timerfd_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        libc.timerfd_settime(timer, 0, struct.pack("qqqq", 0, 0, 0, 50000000), None)
        names = {own.fileno(): "connection", event: "event", timer: "timer"}
        for fd in names:
            set_.register(fd, select.EPOLLIN)
        out.append([names[fd] for fd, _ in set_.poll(PATIENCE)])
        os.read(timer, 8)
        later(0.1, os.write, event, struct.pack("q", 1))
        out.append([names[fd] for fd, _ in set_.poll(PATIENCE)])
        later(0.1, peer.send, b"x")
        os.read(event, 8)
        out.append([names[fd] for fd, _ in set_.poll(PATIENCE)])
        os.write(event, struct.pack("q", 1))
        out.append(sorted(names[fd] for fd, _ in set_.poll(PATIENCE)) == ["connection", "event"] or
                   sorted(names[fd] for fd, _ in set_.poll(PATIENCE)) in (["connection"], ["event"]))
        os.close(event)
        os.close(timer)
    return out


def numbers_and_what_they_share(side):
    own, peer = side.pair()
    fd = own.detach()
    out = [result(os.dup2, fd, 700), result(os.fstat(700).st_mode.__rshift__, 12)]
    os.close(fd)
    out += [recv(fd), result(os.write, 700, b"still here"), result(peer.recv, 10, socket.MSG_WAITALL)]
    out += [result(fcntl.fcntl, 700, fcntl.F_DUPFD_CLOEXEC, 800), fcntl.fcntl(800, fcntl.F_GETFD),
            fcntl.fcntl(700, fcntl.F_GETFD)]
    libc.close_range(650, 750, 0)
    out += [recv(700), result(os.write, 800, b"and here"), result(peer.recv, 8, socket.MSG_WAITALL)]
    # What lies under a number is closed when another is put there.
    null = os.open("/dev/null", os.O_RDWR)
    os.dup2(null, 800)
    os.close(null)
    out += [result(peer.recv, 1), result(os.write, 800, b"x")]
    os.close(800)
    return out


def options(side):
    own, _ = side.pair()
    tcp, sol = socket.IPPROTO_TCP, socket.SOL_SOCKET
    out = []
    for level, name, value in (
            (tcp, socket.TCP_NODELAY, 0), (tcp, socket.TCP_KEEPIDLE, 77), (tcp, socket.TCP_KEEPCNT, 4),
            (tcp, socket.TCP_KEEPINTVL, 9), (sol, socket.SO_KEEPALIVE, 1), (tcp, socket.TCP_USER_TIMEOUT, 12345),
            (sol, socket.SO_RCVLOWAT, 5), (tcp, socket.TCP_KEEPIDLE, 0), (tcp, socket.TCP_KEEPCNT, 1000),
            (tcp, 9999, 1), (9999, 1, 1), (sol, 9999, 1), (tcp, socket.TCP_CORK, 1), (tcp, socket.TCP_CORK, 0),
            (sol, socket.SO_PRIORITY, 3), (socket.IPPROTO_IP, socket.IP_TOS, 16)):
        out += [result(own.setsockopt, level, name, value), result(own.getsockopt, level, name)]
    for level, name, size in (tcp, socket.TCP_NODELAY, 1), (tcp, socket.TCP_NODELAY, 3), (sol, socket.SO_ERROR, 4):
        out.append(result(own.getsockopt, level, name, size))
    out.append(result(own.setsockopt, tcp, socket.TCP_NODELAY, b"\1"))
    return out


def reset_by_the_peer(side):
    own, peer = side.pair()
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()
    poll = select.poll()
    poll.register(own.fileno(), select.POLLIN)
    out = [[mask for _, mask in poll.poll(PATIENCE * 1000)]]
    out += [result(own.send, b"x"), result(own.recv, 1), result(own.getpeername), result(own.shutdown, socket.SHUT_WR),
            own.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)]
    return out


STORIES = [story for name, story in list(globals().items()) if callable(story) and story.__module__ == "__main__" and
           getattr(story, "__code__", None) is not None and story.__code__.co_varnames[:1] == ("side",)]


def main():
    listeners = [socket.create_server((ADDRESS, port)) for port in PORTS]
    select.select(listeners, [], [], 0)
    time.sleep(0.1)
    # Python's own handler of SIGINT interrupts calls: one that restarts them is to be the only one.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 100000), hard))
    wrong = 0
    for story in STORIES:
        if ONLY not in story.__name__:
            continue
        found, begun = [], time.monotonic()
        print(f"# {story.__name__}", flush=True)
        faulthandler.dump_traceback_later(3 * PATIENCE, exit=True)
        # The kernel first: a story that hurts the stack is then told to its end.
        for listener, port in reversed(list(zip(listeners, PORTS))):
            side = Side(listener, port)
            try:
                found.append(story(side))
            except Exception as error:  # what Python makes of an error of the story
                found.append(f"{type(error).__name__}: {error}")
            side.end()
        if found[0] != found[1]:
            wrong += 1
            print(f"{story.__name__}: the kernel gives {found[0]!r:.600}, the stack {found[1]!r:.600}", flush=True)
        print(f"# {time.monotonic() - begun:.1f} s", flush=True)
    faulthandler.cancel_dump_traceback_later()
    print(f"{len(STORIES)} stories, {wrong} with another end", flush=True)


main()
