# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Sockets of the test itself: a connected pair whose every byte is known, and what the kernel counted on a socket."""
import fcntl
import os
import select
import socket
import struct

from netns import setns

TCP_INFO = 11
TCP_CONGESTION = 13
ESTABLISHED = 1
# A prime length, so that a shift by any power of two, or by a segment, changes every byte.
PATTERN = bytes((i * i * 7 + i * 31 + (i >> 3)) & 255 for i in range(65521))


def pattern(position, size):
    """The bytes of a stream from `position` on."""
    start = position % len(PATTERN)
    out = PATTERN[start:start + size]
    while len(out) < size:
        out += PATTERN[:size - len(out)]
    return out


def tcp_info(sock):
    """The members of struct tcp_info (linux/tcp.h) that tests look at."""
    raw = sock.getsockopt(socket.IPPROTO_TCP, TCP_INFO, 256)
    return {
        "state": raw[0],
        "rto": struct.unpack_from("I", raw, 8)[0],
        "unacked": struct.unpack_from("I", raw, 24)[0],
        "snd_cwnd": struct.unpack_from("I", raw, 80)[0],
        "retransmits": struct.unpack_from("I", raw, 100)[0],
        "segs_out": struct.unpack_from("I", raw, 136)[0],
        "segs_in": struct.unpack_from("I", raw, 140)[0],
        "notsent_bytes": struct.unpack_from("I", raw, 144)[0],
        "data_segs_out": struct.unpack_from("I", raw, 156)[0],
    }


def seen_congestion(sock):
    """As its program sees it."""
    return sock.getsockopt(socket.IPPROTO_TCP, TCP_CONGESTION, 16).rstrip(b"\0").decode()


def _diag(sock):
    """One request of sock_diag(7): a packed address is as long as an IPv6 one."""
    def packed(address):
        return socket.inet_pton(sock.family, address).ljust(16, b"\0")
    (local, local_port), (remote, remote_port) = sock.getsockname()[:2], sock.getpeername()[:2]
    body = struct.pack("BBBxI", sock.family, socket.IPPROTO_TCP, 1 << 3, 0xffffffff)	# INET_DIAG_CONG
    body += struct.pack("!HH16s16s", local_port, remote_port, packed(local), packed(remote))
    body += struct.pack("III", 0, 0xffffffff, 0xffffffff)	# any interface, no cookie
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 4) as netlink:
        netlink.settimeout(10)
        netlink.send(struct.pack("IHHII", 16 + len(body), 20, 1, 1, 0) + body)
        return netlink.recv(8192)


def congestion(sock):
    """As the kernel has it, wrappers included: what `ss -i` shows."""
    home, namespace = os.open("/proc/thread-self/ns/net", os.O_RDONLY), fcntl.ioctl(sock, 0x894c)	# SIOCGSKNS
    try:
        setns(namespace)
        answer = _diag(sock)
    finally:
        setns(home)
        os.close(home)
        os.close(namespace)
    at = 16 + 72
    while at + 4 <= len(answer):
        length, kind = struct.unpack_from("HH", answer, at)
        if kind == 4:
            return answer[at + 4:at + length].rstrip(b"\0").decode()
        at += (length + 3) & ~3
    raise AssertionError(f"sock_diag says nothing of {sock}: {answer[:64]!r}")


class Stream:
    """A connection between two sockets of this process: client and server. `address` is where the server listens."""

    def __init__(self, net, address="127.0.0.1", connect=None, no_delay=True, server_net=None, send_buffer=None,
                 port=0):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with (server_net or net).inside():
            listener = socket.socket(family)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            listener.bind((address, port))
            listener.listen()
        connect = connect or address
        with net.inside():
            self.client = socket.socket(socket.AF_INET6 if ":" in connect else socket.AF_INET)
        if send_buffer:
            self.client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
        self.port = listener.getsockname()[1]
        self.client.connect((connect, self.port))
        self.server = listener.accept()[0]
        listener.close()
        for sock in self.client, self.server:
            if no_delay:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.settimeout(30)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.client.close()
        self.server.close()

    @staticmethod
    def receive(sock, size):
        out = bytearray()
        while len(out) < size:
            piece = sock.recv(min(65536, size - len(out)))
            if not piece:
                raise AssertionError(f"the stream ended after {len(out)} of {size} bytes")
            out += piece
        return bytes(out)

    def exchange(self, writes=5, size=20, rounds=1, answer=b"ok"):
        """Requests in small writes, each read whole and answered. Returns data segments per request."""
        before = tcp_info(self.client)["data_segs_out"]
        for _ in range(rounds):
            for i in range(writes):
                self.client.sendall(pattern(i * size, size))
            if self.receive(self.server, writes * size) != pattern(0, writes * size):
                raise AssertionError("the request's bytes differ")
            self.server.sendall(answer)
            if self.receive(self.client, len(answer)) != answer:
                raise AssertionError("the answer's bytes differ")
        return (tcp_info(self.client)["data_segs_out"] - before) / rounds

    def silent(self, seconds):
        """Nothing arrives on either side meanwhile."""
        return not select.select([self.client, self.server], [], [], seconds)[0]
