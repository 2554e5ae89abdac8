#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""program_client.py KIND PORT SECONDS: one connection to a server, one operation after the other; prints how many, and
their times. For protocols that no tool of Debian's measures. The system's python3, for its packages."""
import json
import socket
import sys
import time


def lines(stream, count=1):
    return [stream.readline() for _ in range(count)][-1]


def connect(port):
    sock = socket.create_connection(("127.0.0.1", port))
    return sock, sock.makefile("rb")


def string(text):
    return len(text).to_bytes(2, "big") + text


def mqtt(port):
    """PUBLISH with QoS 1 as simple clients write it: header, topic, payload; Nagle's algorithm."""
    sock, stream = connect(port)
    sock.sendall(b"\x10\x10" + string(b"MQTT") + b"\x04\x02\x00\x3c" + string(b"test"))
    stream.read(4)
    topic, payload = string(b"a/topic"), b"x" * 60

    def publish():
        sock.sendall(bytes((0x32, len(topic) + 2 + len(payload))))
        sock.sendall(topic + b"\x00\x01")
        sock.sendall(payload)
        assert stream.read(4)[:1] == b"\x40"
    return publish


def beanstalk(port):
    """put: the command, then the job; Nagle's algorithm."""
    sock, stream = connect(port)

    def put():
        sock.sendall(b"put 0 0 60 100\r\n")
        sock.sendall(b"x" * 100 + b"\r\n")
        number = lines(stream).split()[1]
        sock.sendall(b"delete " + number + b"\r\n")
        assert lines(stream) == b"DELETED\r\n"
    return put


def memcached(port):
    from pymemcache.client.base import Client
    client = Client(("127.0.0.1", port), no_delay=True)

    def both():
        client.set("key", b"x" * 100, noreply=False)
        assert len(client.get("key")) == 100
    return both


def ftp(port):
    from ftplib import FTP
    client = FTP()
    client.connect("127.0.0.1", port)
    client.login()

    def retrieve():
        got = []
        client.retrbinary("RETR file.bin", got.append)
        assert sum(map(len, got)) == 600
    return retrieve


def imap(port):
    from imaplib import IMAP4
    client = IMAP4("127.0.0.1", port)
    client.login("user", "pass")
    client.select("INBOX")

    def fetch():
        assert client.fetch("1", "(FLAGS BODY[])")[0] == "OK"
    return fetch


def nats(port):
    """A message published and delivered to the same connection."""
    sock, stream = connect(port)
    lines(stream)
    sock.sendall(b'CONNECT {"verbose":false}\r\nSUB subject 1\r\n')

    def publish():
        sock.sendall(b"PUB subject 60\r\n")
        sock.sendall(b"x" * 60 + b"\r\n")
        while not (line := lines(stream)).startswith(b"MSG"):
            assert line == b"PING\r\n", line
            sock.sendall(b"PONG\r\n")
        lines(stream)
    return publish


def websocket(port):
    import asyncio
    import websockets
    loop = asyncio.new_event_loop()

    async def begin():
        return await websockets.connect(f"ws://127.0.0.1:{port}", compression=None)
    client = loop.run_until_complete(begin())

    async def once():
        await client.send("x" * 100)
        for _ in range(3):
            await client.recv()
    return lambda: loop.run_until_complete(once())


KINDS = {"mqtt": mqtt, "beanstalk": beanstalk, "memcached": memcached, "ftp": ftp, "imap": imap, "nats": nats,
         "websocket": websocket}


def main():
    kind, port, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    operation, times = KINDS[kind](port), []
    start = now = time.perf_counter()
    while now - start < seconds or len(times) < 10:
        operation()
        then, now = now, time.perf_counter()
        times.append(now - then)
    times.sort()
    print(json.dumps({"operations": len(times), "seconds": now - start, "p50": times[len(times) // 2] * 1e6,
                      "p99": times[len(times) * 99 // 100] * 1e6}))


if __name__ == "__main__":
    main()
