# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""The soak's programs: a server, and clients that write and end in every way that there is. All bytes are compared."""
import collections
import ctypes
import errno
import json
import os
import random
import signal
import socket
import struct
import sys
import tempfile
import threading
import time

HEADER = struct.Struct("!4sQIIB3x")  # magic, connection, offset in the table, length, whether an answer is wanted
MAGIC = b"SOAK"
TABLE = random.Random(13).randbytes(1 << 20)
LONGEST = 40000
LATE_S = 0.3
MSG_ZEROCOPY, SO_ZEROCOPY = 0x4000000, 60
SO_LINGER_ZERO = struct.pack("ii", 1, 0)
LIBC = ctypes.CDLL(None, use_errno=True)


def message(rng, answer, connection_id=0):
    length = rng.choice((1, rng.randrange(1, 60), rng.randrange(60, 1500), rng.randrange(1500, LONGEST)))
    offset = rng.randrange(len(TABLE) - length)
    return HEADER.pack(MAGIC, connection_id, offset, length, answer) + TABLE[offset:offset + length]


def pieces(rng, data):
    """Cut as programs do: a header and a body, lines, a few large ones; mostly the same number each time."""
    cuts = {HEADER.size, *(rng.randrange(1, len(data)) for _ in range(rng.choice((0, 1, 1, 3, 3, 8))))}
    cuts = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    return [data[a:b] for a, b in zip(cuts, cuts[1:])]


# ------------------------------------------------------------------ ways of writing

def by_write(sock, parts):
    for part in parts:
        while part:
            part = part[os.write(sock.fileno(), part):]


def by_send(sock, parts):
    for part in parts:
        sock.sendall(part)


def by_writev(sock, parts):
    rest = list(parts)
    while rest:
        done = os.writev(sock.fileno(), rest[:4])
        while rest and done >= len(rest[0]):
            done -= len(rest.pop(0))
        if rest:
            rest[0] = rest[0][done:]


def by_sendmsg(sock, parts):
    for at in range(0, len(parts), 2):
        data = b"".join(parts[at:at + 2])
        while data:
            data = data[sock.sendmsg([data[:7], data[7:]]):]


class Iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_char_p), ("length", ctypes.c_size_t)]


class Mmsghdr(ctypes.Structure):
    _fields_ = [("name", ctypes.c_void_p), ("namelen", ctypes.c_uint), ("iov", ctypes.POINTER(Iovec)),
                ("iovlen", ctypes.c_size_t), ("control", ctypes.c_void_p), ("controllen", ctypes.c_size_t),
                ("flags", ctypes.c_int), ("padding", ctypes.c_int), ("sent", ctypes.c_uint)]


def by_sendmmsg(sock, parts):
    iovecs = [Iovec(part, len(part)) for part in parts]
    headers = (Mmsghdr * len(parts))(*(Mmsghdr(iov=ctypes.pointer(iovec), iovlen=1) for iovec in iovecs))
    done = LIBC.sendmmsg(sock.fileno(), headers, len(parts), 0)
    if done < 0:
        raise OSError(ctypes.get_errno(), "sendmmsg")
    by_send(sock, [parts[done - 1][headers[done - 1].sent:], *parts[done:]])


def by_more(sock, parts):
    for part in parts[:-1]:
        while part:
            part = part[sock.send(part, socket.MSG_MORE):]
    sock.sendall(parts[-1])


def by_eor(sock, parts):
    for part in parts:
        while part:
            part = part[sock.send(part, socket.MSG_EOR):]


def by_cork(sock, parts):
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
    by_send(sock, parts)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)


def by_push(sock, parts):
    """TCP_NODELAY off, and on for the end of the message."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 0)
    by_send(sock, parts)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def by_sendfile(sock, parts):
    sock.sendall(parts[0])
    rest = b"".join(parts[1:])
    with tempfile.TemporaryFile() as file:
        file.write(rest)
        file.flush()
        at = 0
        while at < len(rest):
            at += os.sendfile(sock.fileno(), file.fileno(), at, len(rest) - at)


def by_splice(sock, parts):
    for part in parts:
        for at in range(0, len(part), 4096):
            out, into = os.pipe()
            try:
                left = os.write(into, part[at:at + 4096])
                while left:
                    done = LIBC.splice(out, None, sock.fileno(), None, left, 0)
                    if done < 0:
                        raise OSError(ctypes.get_errno(), "splice")
                    left -= done
            finally:
                os.close(out)
                os.close(into)


# The kernel sends from these pages later: they must not go before. The last ones of some hundred messages are enough.
LENT = collections.deque(maxlen=4000)


def by_zerocopy(sock, parts):
    sock.setsockopt(socket.SOL_SOCKET, SO_ZEROCOPY, 1)
    for part in parts:
        while part:
            LENT.append(part)
            try:
                part = part[sock.send(part, MSG_ZEROCOPY):]
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                part = part[sock.send(part):]
        while True:  # who does not take them runs out of room for them
            try:
                sock.recvmsg(1, 1024, socket.MSG_ERRQUEUE | socket.MSG_DONTWAIT)
            except BlockingIOError:
                break


def by_waiting(sock, parts):
    """Late: each part after a time in which a hold may have ended, or not."""
    for part in parts:
        sock.sendall(part)
        time.sleep(random.choice((0, 0.0001, 0.001, 0.004)))


WRITE = [by_write, by_send, by_writev, by_sendmsg, by_sendmmsg, by_more, by_eor, by_cork, by_push, by_sendfile,
         by_splice,
         by_zerocopy, by_waiting]


# ------------------------------------------------------------------ ways of ending

def end_close(sock):
    sock.close()


def end_shutdown(sock):
    sock.shutdown(socket.SHUT_WR)
    while sock.recv(65536):
        pass
    sock.close()


def end_linger(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, SO_LINGER_ZERO)
    sock.close()


def end_unspec(sock):
    LIBC.connect(sock.fileno(), bytes(16), 16)
    sock.close()


def end_unread(sock):
    """The server sends as well ("B"), and nobody reads it: close() then resets."""
    sock.close()


def end_killed(sock):
    os.kill(os.getpid(), signal.SIGKILL)


# Ends that keep everything that was written before them; the others may lose what the kernel had not sent.
GRACEFUL = {end_close, end_shutdown, end_killed}
END = [end_close, end_shutdown, end_linger, end_unspec, end_unread, end_killed]


# ------------------------------------------------------------------ server

class Server:
    """Answers each message with one of its own; counts what came, per connection."""

    def __init__(self, address):
        self.listener = socket.create_server((address, 0), backlog=256,
                                             family=socket.AF_INET6 if ":" in address else socket.AF_INET)
        self.port = self.listener.getsockname()[1]
        self.lock, self.came, self.wrong = threading.Lock(), {}, 0
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            sock, peer = self.listener.accept()
            threading.Thread(target=self.serve, args=(sock, random.Random(peer[1])), daemon=True).start()

    def serve(self, sock, rng):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, rng.randrange(2))
        write = rng.choice(WRITE)
        count = wrong = connection_id = 0
        with sock:
            try:
                while True:
                    good, wanted, connection_id = receive(sock, connection_id)
                    if good is None:
                        break
                    count += 1
                    wrong += not good
                    if wanted:
                        write(sock, pieces(rng, message(rng, 0)))
            except OSError as error:
                if error.errno not in (errno.ECONNRESET, errno.EPIPE, errno.ETIMEDOUT):
                    wrong += 1
        with self.lock:
            self.wrong += wrong
            self.came[connection_id] = count


def receive(sock, connection_id=0):
    """(whether the bytes are right, whether an answer is wanted, the connection); the first is None at the end."""
    head = exactly(sock, HEADER.size)
    if len(head) < HEADER.size:
        return None, 0, connection_id
    magic, connection_id, offset, length, wanted = HEADER.unpack(head)
    if magic != MAGIC or length > LONGEST:
        return False, 0, connection_id
    body = exactly(sock, length)
    # A stream that was reset may end within a message; what came must be right.
    if len(body) < length:
        return (None if TABLE.startswith(body, offset) else False), 0, connection_id
    return body == TABLE[offset:offset + length], wanted, connection_id


def exactly(sock, size):
    got = bytearray()
    while len(got) < size:
        piece = sock.recv(size - len(got))
        if not piece:
            break
        got += piece
    return bytes(got)


# ------------------------------------------------------------------ client

def client(address, port, seed, until):
    """One connection after the other; each is a process of its own where it is to be killed. Prints a line of JSON for
    each: its number, its messages, its way of ending, those that were late."""
    rng = random.Random(seed)
    while time.time() < until:
        style, end = rng.choice(WRITE), rng.choice(END)
        seed = rng.random()
        if end is not end_killed:
            connection(address, port, random.Random(seed), style, end)
            continue
        child = os.fork()
        if not child:
            connection(address, port, random.Random(seed), style, end)
            os._exit(1)
        os.waitpid(child, 0)


def connection(address, port, rng, style, end):
    said = collections.Counter()
    own = rng.getrandbits(63)
    try:
        sock = socket.create_connection((address, port), timeout=30)
        sock.settimeout(None)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, rng.randrange(2))
        for _ in range(rng.choice((1, 3, 20, 100))):
            begin = time.monotonic()
            style(sock, pieces(rng, message(rng, 1, own)))
            good, _, _ = receive(sock)
            said["messages"] += 1
            said["wrong"] += not good
            said["late"] += time.monotonic() - begin > LATE_S
        # The last message: nobody waits for it, so what ends the connection comes right behind it.
        style(sock, pieces(rng, message(rng, end is end_unread, own)))
        if end is end_unread:
            time.sleep(0.002)
        said["last"] = 1
        print(json.dumps({"id": own, "style": style.__name__, "end": end.__name__, "graceful": end in GRACEFUL,
                          **said}),
              flush=True)
        end(sock)
    except OSError as error:
        print(json.dumps({"id": own, "style": style.__name__, "end": end.__name__, "graceful": False,
                          "error": str(error),
                          **said}), flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    client(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
