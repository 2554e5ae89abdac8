#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Everything a program may do to a socket beside write(): each works while the flow is managed, or leaves it
unmanaged."""
import errno
import os
import socket
import struct
import tempfile

from lib import Skip, Stream, check, congestion, equal, main, pattern, tcp_info, wait_for, world

MSG_EOR, MSG_MORE = 0x80, 0x8000
MSG_ZEROCOPY, MSG_FASTOPEN = 0x4000000, 0x20000000
SO_ZEROCOPY = 60
TCP_FASTOPEN, TCP_ULP = 23, 31
SOL_TLS, TLS_TX, TLS_RX = 282, 1, 2
IPPROTO_MPTCP = 262


def nodelay(sock, on):
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, on)


def cork(sock, on):
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, on)


def expect(stream, data, what):
    equal(stream.receive(stream.server, len(data)), data, what)
    stream.server.sendall(b"ok")
    equal(stream.receive(stream.client, 2), b"ok", "the answer")


def test_no_delay_again():
    """TCP_NODELAY set again within a burst lets go what is held, as it does without the agent"""
    with world() as w, Stream(w.net) as stream:
        w.learn(stream)
        for _ in range(20):
            data = w.hold(stream, 2)
            nodelay(stream.client, 1)
            expect(stream, data, "what was written before")
        w.give_back(stream)


def left_to_itself(request):
    """A program that joins by itself the 5 writes that `request` makes of its 100 bytes."""
    with world() as w, Stream(w.net) as stream:
        def seen():
            before = tcp_info(stream.client)["data_segs_out"]
            for _ in range(100):
                request(stream.client)
                expect(stream, pattern(0, 100), "the request")
            segments = (tcp_info(stream.client)["data_segs_out"] - before) / 100
            check(1.0 <= segments < 1.05, f"{segments} segments per request that the program joined")
            return w.agent.totals()["bursts"]
        # 100 requests may be over before the observer is there.
        wait_for(seen, 30, "a burst that the agent saw")
        w.misses_below(0.02)


def test_cork_user():
    """a program that corks by itself is left to itself"""
    def request(client):
        cork(client, 1)
        for i in range(5):
            client.sendall(pattern(i * 20, 20))
        cork(client, 0)
    left_to_itself(request)


def test_cork_after_learning():
    """a program that begins to cork while the flow is managed"""
    with world() as w, Stream(w.net) as stream:
        w.learn(stream)
        for _ in range(20):
            cork(stream.client, 1)
            data = w.hold(stream, 5)
            cork(stream.client, 0)
            expect(stream, data, "the request")
            data = w.hold(stream, 5)
            expect(stream, data, "the request without a cork")


def test_more():
    """MSG_MORE: the program says itself what belongs together"""
    def request(client):
        for i in range(5):
            client.send(pattern(i * 20, 20), MSG_MORE if i < 4 else 0)
    left_to_itself(request)


def test_more_after_learning():
    """MSG_MORE on a flow that is managed"""
    with world() as w, Stream(w.net) as stream:
        w.learn(stream)
        for number in range(60):
            for i in range(5):
                stream.client.send(pattern(i * 20, 20), MSG_MORE if i < 4 and number % 3 else 0)
            expect(stream, pattern(0, 100), "the request")


def test_record_end():
    """MSG_EOR keeps its writes in segments of their own; bytes are unchanged"""
    with world() as w, Stream(w.net) as stream:
        w.learn(stream)
        for _ in range(30):
            for i in range(5):
                stream.client.send(pattern(i * 20, 20), MSG_EOR)
            expect(stream, pattern(0, 100), "the request")
        w.give_back(stream)


def test_urgent():
    """urgent data does not wait behind what is held"""
    with world() as w, Stream(w.net) as stream:
        w.learn(stream)
        for _ in range(10):
            data = w.hold(stream, 2)
            stream.client.send(b"!", socket.MSG_OOB)

            def urgent():
                try:
                    return stream.server.recv(1, socket.MSG_OOB | socket.MSG_DONTWAIT)
                except OSError as error:
                    check(error.errno in (errno.EINVAL, errno.EAGAIN), f"recv: {error}")
                    return None
            equal(wait_for(urgent, 5, "the urgent byte"), b"!", "the urgent byte")
            expect(stream, data, "what was written before")
        w.give_back(stream)


def test_sendfile():
    """a header by write() and a body by sendfile()"""
    with world() as w, Stream(w.net) as stream, tempfile.TemporaryFile() as file:
        file.write(pattern(20, 600))
        file.flush()
        for _ in range(100):
            stream.client.sendall(pattern(0, 20))
            equal(os.sendfile(stream.client.fileno(), file.fileno(), 0, 600), 600, "sendfile")
            expect(stream, pattern(0, 620), "header and body")

        def segments():
            before = tcp_info(stream.client)["data_segs_out"]
            for _ in range(50):
                stream.client.sendall(pattern(0, 20))
                os.sendfile(stream.client.fileno(), file.fileno(), 0, 600)
                expect(stream, pattern(0, 620), "header and body")
            return (tcp_info(stream.client)["data_segs_out"] - before) / 50
        # A machine that is busy for a moment makes the predictor careful for some bursts.
        wait_for(lambda: segments() <= 1.2, 30, "header and body in one segment")
        w.give_back(stream)


def test_splice():
    """a header by write() and a body by splice()"""
    with world() as w, Stream(w.net) as stream:
        read, write = os.pipe()
        try:
            for _ in range(100):
                stream.client.sendall(pattern(0, 20))
                os.write(write, pattern(20, 600))
                equal(os.splice(read, stream.client.fileno(), 600), 600, "splice")
                expect(stream, pattern(0, 620), "header and body")
        finally:
            os.close(read)
            os.close(write)
        w.give_back(stream)


def test_zerocopy():
    """MSG_ZEROCOPY writes complete and arrive"""
    with world() as w, Stream(w.net) as stream:
        stream.client.setsockopt(socket.SOL_SOCKET, SO_ZEROCOPY, 1)
        w.learn(stream)
        data = pattern(0, 30000)
        for _ in range(10):
            stream.client.sendall(b"header")
            sent = stream.client.send(data, MSG_ZEROCOPY)
            expect(stream, b"header" + data[:sent], "header and body")
        done = set()

        def completions():
            try:
                _, ancillary, _, _ = stream.client.recvmsg(1, 1024, socket.MSG_ERRQUEUE)
            except BlockingIOError:
                return len(done) == 10
            for _, _, value in ancillary:
                low, high = struct.unpack_from("II", value, 8)
                done.update(range(low, high + 1))
            return len(done) == 10
        wait_for(completions, 5, "a completion for each write")


def test_fastopen():
    """TCP_FASTOPEN: the first write travels in the SYN"""
    with world() as w:
        try:
            w.net.sysctl("ipv4/tcp_fastopen", 3)
        except OSError as error:
            raise Skip(f"tcp_fastopen cannot be set here: {error}") from None
        with w.net.inside():
            listener = socket.create_server(("127.0.0.1", 0))
            listener.setsockopt(socket.IPPROTO_TCP, TCP_FASTOPEN, 16)
            for number in range(10):
                client = socket.socket()
                nodelay(client, 1)
                # Blocking: with a timeout Python makes the socket non-blocking, and the first one has no cookie yet.
                client.sendto(pattern(0, 20), MSG_FASTOPEN, listener.getsockname())
                client.settimeout(10)
                server = listener.accept()[0]
                server.settimeout(10)
                for i in range(1, 5):
                    client.sendall(pattern(i * 20, 20))
                equal(Stream.receive(server, 100), pattern(0, 100), f"connection {number}")
                client.close()
                equal(server.recv(1), b"", "the end")
                server.close()
            listener.close()


def test_ktls():
    """kernel TLS: records arrive whole"""
    with world() as w, Stream(w.net) as stream:
        w.learn(stream)
        # struct tls12_crypto_info_aes_gcm_128: version 1.2, cipher 51, iv, key, salt, record number
        keys = struct.pack("HH8s16s4s8s", 0x0303, 51, b"i" * 8, b"k" * 16, b"s" * 4, b"\0" * 8)
        try:
            for sock in stream.client, stream.server:
                sock.setsockopt(socket.IPPROTO_TCP, TCP_ULP, b"tls")
        except OSError as error:
            raise Skip(f"this kernel has no kTLS: {error}") from None
        stream.client.setsockopt(SOL_TLS, TLS_TX, keys)
        stream.server.setsockopt(SOL_TLS, TLS_RX, keys)
        stream.server.setsockopt(SOL_TLS, TLS_TX, keys)
        stream.client.setsockopt(SOL_TLS, TLS_RX, keys)
        for number in range(100):
            for i in range(5):
                stream.client.sendall(pattern(i * 20, 20))
            expect(stream, pattern(0, 100), f"request {number}")
        w.agent.stop()
        equal(w.net.wrapped(), 0, "flows on a wrapper after the stop")


def test_mptcp():
    """MPTCP connections are left alone, and counted"""
    with world() as w:
        with w.net.inside():
            try:
                listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, IPPROTO_MPTCP)
                client = socket.socket(socket.AF_INET, socket.SOCK_STREAM, IPPROTO_MPTCP)
            except OSError as error:
                raise Skip(f"this kernel has no MPTCP: {error}") from None
        with listener, client:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            client.settimeout(10)
            client.connect(listener.getsockname())
            server = listener.accept()[0]
            server.settimeout(10)
            with server:
                for number in range(100):
                    for i in range(5):
                        client.sendall(pattern(i * 20, 20))
                    equal(Stream.receive(server, 100), pattern(0, 100), f"request {number}")
                    server.sendall(b"ok")
                    equal(Stream.receive(client, 2), b"ok", "the answer")
                equal(w.net.wrapped(), 0, "flows on a wrapper")
                refused = w.agent.totals()
                equal(refused["held"], 0, "writes held")
                counted = sum(row["refused"]["mptcp"] for row in w.agent.services())
                check(counted > 0, "no flow was counted as refused for MPTCP")


def test_own_congestion_control():
    """a program that chooses another congestion control while managed keeps its choice"""
    with world() as w, Stream(w.net) as stream:
        w.learn(stream)
        stream.client.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"reno")
        for _ in range(50):
            data = w.hold(stream, 5)
            expect(stream, data, "the request")
        w.agent.stop()
        equal(congestion(stream.client), "reno", "the congestion control after the stop")


main(globals())
