#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Echo servers of several kinds, for test_endpoint.py: endpoint_echo.py KIND PORT [ADDRESS]."""
import asyncio
import os
import select
import selectors
import socket
import sys
import threading
import time

KIND, PORT = sys.argv[1], int(sys.argv[2])
ADDRESS = sys.argv[3] if len(sys.argv) > 3 else "::"


def listener():
    family = socket.AF_INET6 if ":" in ADDRESS else socket.AF_INET
    return socket.create_server((ADDRESS, PORT), family=family, dualstack_ipv6=ADDRESS == "::")


def serve_blocking(connection):
    with connection:
        while data := connection.recv(65536):
            connection.sendall(data)


async def serve_async(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def run_async():
    server = await asyncio.start_server(serve_async, sock=listener())
    print("ready", flush=True)
    await server.serve_forever()


def run_selector(selector):
    """Kernel descriptors (a pipe and a timer thread that writes to it) are in the same set."""
    server = listener()
    server.setblocking(False)
    ticks, tick = os.pipe()
    selector.register(server, selectors.EVENT_READ)
    selector.register(ticks, selectors.EVENT_READ)
    threading.Thread(target=lambda: [os.write(tick, b"x") for _ in iter(lambda: threading.Event().wait(0.05), 1)],
                     daemon=True).start()
    print("ready", flush=True)
    while True:
        for key, _ in selector.select(5):
            if key.fileobj is server:
                connection = server.accept()[0]
                connection.setblocking(False)
                selector.register(connection, selectors.EVENT_READ)
            elif key.fileobj == ticks:
                os.read(ticks, 100)
            else:
                data = key.fileobj.recv(65536)
                if data:
                    key.fileobj.setblocking(True)
                    key.fileobj.sendall(data)
                    key.fileobj.setblocking(False)
                else:
                    selector.unregister(key.fileobj)
                    key.fileobj.close()


def run_threads():
    server = listener()
    print("ready", flush=True)
    while True:
        threading.Thread(target=serve_blocking, args=(server.accept()[0],), daemon=True).start()


def run_hoard():
    """Accepts no more than one connection until something comes on it."""
    server = listener()
    print("ready", flush=True)
    while not server.accept()[0].recv(1):
        pass
    while True:
        threading.Thread(target=serve_blocking, args=(server.accept()[0],), daemon=True).start()


def run_fork():
    server = listener()
    print("ready", flush=True)
    while True:
        connection = server.accept()[0]
        if not os.fork():
            server.close()
            serve_blocking(connection)
            os._exit(0)
        connection.close()


def run_late():
    """One connection by epoll. After its answer to a message that names a number of seconds, it computes that long; to
    one that begins with a minus, it sleeps."""
    with listener() as server:
        print("ready", flush=True)
        connection = server.accept()[0]
    loop = select.epoll()
    loop.register(connection, select.EPOLLIN)
    while True:
        loop.poll()
        data = connection.recv(65536)
        if not data:
            return
        connection.send(data)
        if data[0] == ord("x"):
            continue
        if data[0] == ord("-"):
            time.sleep(float(data[1:]))
        end = time.monotonic() + max(float(data), 0)
        while time.monotonic() < end:
            pass


KINDS = {
    "late": run_late, "hoard": run_hoard,
    "async": lambda: asyncio.run(run_async()), "threads": run_threads, "fork": run_fork,
    "select": lambda: run_selector(selectors.SelectSelector()), "poll": lambda: run_selector(selectors.PollSelector()),
    "epoll": lambda: run_selector(selectors.EpollSelector()),
}
assert select
KINDS[KIND]()
