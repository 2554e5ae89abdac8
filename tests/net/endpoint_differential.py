#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""The same random calls on two connections, one of the stack and one of the kernel, and their results compared:
endpoint_differential.py NETNS ADDRESS PORT KERNEL_PORT SEED ROUNDS. The peers are kernel sockets of namespace NETNS."""
import array
import ctypes
import errno
import fcntl
import os
import random
import select
import socket
import struct
import sys
import termios
import time

NETNS, ADDRESS, PORTS = sys.argv[1], sys.argv[2], (int(sys.argv[3]), int(sys.argv[4]))
SEED, ROUNDS = int(sys.argv[5]), int(sys.argv[6])
STEPS = 60
libc = ctypes.CDLL(None, use_errno=True)
FLAGS = (0, select.EPOLLET, select.EPOLLONESHOT, select.EPOLLET | select.EPOLLONESHOT)
MASKS = (select.EPOLLIN, select.EPOLLOUT, select.EPOLLIN | select.EPOLLOUT, select.EPOLLIN | select.EPOLLRDHUP,
         select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP, select.EPOLLRDHUP)


def enter(path):
    fd = os.open(path, os.O_RDONLY)
    if libc.setns(fd, 0x40000000):
        raise OSError(ctypes.get_errno(), "setns")
    os.close(fd)


def result(call, *arguments):
    """What a call gives, errors by name; bytes stay bytes."""
    try:
        return call(*arguments)
    except BlockingIOError:
        return "EAGAIN"
    except OSError as error:
        return errno.errorcode.get(error.errno, error.errno)


class Side:
    """A connection, accepted from its listener, its peer, and the epoll set (with a pipe, and a set in a set) it is
    in."""

    def __init__(self, listener, port, home):
        self.listener = listener
        enter(NETNS)
        self.peer = socket.socket()
        enter(home)
        # Not waiting: the stack runs in this very process.
        self.peer.setblocking(False)
        self.peer.connect_ex((ADDRESS, port))
        listener.settimeout(10)
        self.own, peer = listener.accept()
        listener.settimeout(None)
        assert peer == self.peer.getsockname(), (peer, self.peer.getsockname())
        self.own.setblocking(False)
        # Without Nagle's algorithm: whether a byte waits for an ACK is a matter of time.
        for side in self.own, self.peer:
            side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.fd = self.own.fileno()
        self.set, self.outer = select.epoll(), select.epoll()
        self.outer.register(self.set.fileno(), select.EPOLLIN)
        self.dups = []

    def close(self):
        for thing in self.own, self.peer, self.set, self.outer:
            thing.close()
        for fd in self.dups:
            os.close(fd)

    def events(self):
        return sorted((("own" if fd == self.fd else "other"), mask) for fd, mask in self.set.poll(0))

    def polled(self):
        poll = select.poll()
        poll.register(self.fd, select.POLLIN | select.POLLOUT | select.POLLRDHUP)
        return [mask for _, mask in poll.poll(0)]

    def selected(self):
        return [len(ready) for ready in select.select([self.fd], [self.fd], [self.fd], 0)]

    def unread(self):
        value = array.array("i", [0])
        fcntl.ioctl(self.fd, termios.FIONREAD, value)
        return value[0]


def option(level, name):
    return lambda side: side.own.getsockopt(level, name)


def dup(side):
    side.dups.append(os.dup(side.fd))
    return os.fstat(side.dups[-1]).st_mode >> 12


def undup(side):
    if side.dups:
        os.close(side.dups.pop())


def read_all(side):
    got = b""
    while isinstance(data := result(side.peer.recv, 65536), bytes) and data:
        got += data
    return got, data


def shown(value):
    if isinstance(value, bytes) and len(value) > 20:
        return f"{len(value)} bytes {value[:2]!r}…{value[-2:]!r}"
    return f"({', '.join(map(shown, value))})" if isinstance(value, tuple) else f"{value!r:.120}"


def step(random_):
    """A call with its arguments, the same for both sides: (name, function of a side)."""
    size = random_.choice((1, 10, 100, 1448, 5000))
    data = bytes([random_.randrange(256)]) * size
    mask, flag = random_.choice(MASKS), random_.choice(FLAGS)
    how = random_.choice((socket.SHUT_WR, socket.SHUT_RDWR))
    calls = [
        (9, "peer sends", lambda s: s.peer.send(data)),
        (9, f"recv {size}", lambda s: s.own.recv(size)),
        (4, "peek", lambda s: s.own.recv(size, socket.MSG_PEEK)),
        (3, "recvmsg", lambda s: s.own.recvmsg(size)[:3]),
        (2, "recvfrom", lambda s: s.own.recvfrom(size)),
        (2, "readv", lambda s: os.readv(s.fd, [bytearray(size // 2 + 1), bytearray(size)])),
        (7, "send", lambda s: s.own.send(data)),
        (3, "sendmsg", lambda s: s.own.sendmsg([data, b"tail"])),
        (2, "writev", lambda s: os.writev(s.fd, [data, data])),
        (6, "peer reads", read_all),
        (9, f"add {mask:x} {flag:x}", lambda s: s.set.register(s.fd, mask | flag)),
        (9, f"mod {mask:x} {flag:x}", lambda s: s.set.modify(s.fd, mask | flag)),
        (2, "del", lambda s: s.set.unregister(s.fd)),
        (14, "epoll", lambda s: s.events()),
        (6, "poll", lambda s: s.polled()),
        (4, "select", lambda s: s.selected()),
        (4, "outer", lambda s: len(s.outer.poll(0))),
        (4, "FIONREAD", lambda s: s.unread()),
        (2, "dup", dup),
        (2, "close dup", undup),
        (1, "peer FIN", lambda s: s.peer.shutdown(socket.SHUT_WR)),
        (1, f"shutdown {how}", lambda s: s.own.shutdown(how)),
        (1, "nodelay", lambda s: s.own.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)),
        (1, "nodelay?", lambda s: s.own.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) >= 0),
        (1, "error?", option(socket.SOL_SOCKET, socket.SO_ERROR)),
        (1, "type?", option(socket.SOL_SOCKET, socket.SO_TYPE)),
        (1, "flags", lambda s: fcntl.fcntl(s.fd, fcntl.F_GETFL)),
        (1, "fd flags", lambda s: fcntl.fcntl(s.fd, fcntl.F_GETFD)),
        (1, "accept on it", lambda s: s.own.accept()),
        (1, "connect it", lambda s: s.own.connect((ADDRESS, 1))),
        (1, "seek", lambda s: os.lseek(s.fd, 0, os.SEEK_CUR)),
    ]
    if random_.random() < 0.01:
        return "peer RST", lambda s: (s.peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)),
                                      s.peer.close())[1]
    return random_.choices([call[1:] for call in calls], [call[0] for call in calls])[0]


def settle(listeners):
    """What is on the cable arrives, and the stack looks at it."""
    time.sleep(0.002)
    select.select(listeners, [], [], 0)
    time.sleep(0.001)
    select.select(listeners, [], [], 0)


def main():
    home = "/proc/self/ns/net"
    listeners = [socket.create_server((ADDRESS, port)) for port in PORTS]
    # The namespace that is come back to must be named by what does not follow.
    keep = os.open(home, os.O_RDONLY)
    home = f"/proc/self/fd/{keep}"
    select.select(listeners, [], [], 0)
    time.sleep(0.1)
    total = 0
    for number in range(ROUNDS):
        random_ = random.Random(SEED * 1000003 + number)
        sides = [Side(listener, port, home) for listener, port in zip(listeners, PORTS)]
        story, last = [], []
        for _ in range(STEPS):
            name, call = last.pop(0) if last else step(random_)
            found = [result(call, side) for side in sides]
            story.append(f"{name}: {shown(found[1])}")
            settle(listeners)
            total += 1
            if found[0] != found[1]:
                print("\n".join(story[-25:]))
                print(f"seed {SEED} round {number}: {name}: the stack gives {shown(found[0])}, the kernel {shown(found[1])}")
                sys.exit(1)
            # Reset: what poll() and the first read say of it. Later the kernel keeps some errors that the stack gives
            # once.
            if name == "peer RST" and not last:
                last = [("poll", lambda s: s.polled()), ("epoll", lambda s: s.events()),
                        ("last recv", lambda s: s.own.recv(100000)), ("last recv", lambda s: s.own.recv(1))]
            if name == "last recv" and not last:
                break
            # What comes for a socket that is shut for reading resets it in the kernel, and is dropped by the stack.
            if name == f"shutdown {socket.SHUT_RDWR}" and found[0] is None:
                break
        for side in sides:
            side.close()
    print(f"{ROUNDS} rounds, {total} calls, the same results")


main()
