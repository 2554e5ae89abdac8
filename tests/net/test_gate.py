#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""The gate on plain sockets: requests in small writes become one segment, and nothing else changes."""
import contextlib
import os
import pathlib
import select
import socket
import time

from lib import (LEARN_S, MANAGE, OFF, PATIENT, Program, Stream, check, congestion, control, equal, main, tcp_info,
                 wait_for, world)


def one_segment(address, connect=None, no_delay=True, congestion_control="cubic"):
    with world(congestion_control=congestion_control) as w, Stream(w.net, address, connect, no_delay) as stream:
        w.learn(stream)
        segments = stream.exchange(rounds=200)
        check(segments <= 1.05, f"{segments} segments per request in 5 writes")
        equal(congestion(stream.client), "autocork_" + congestion_control, "the client's congestion control")
        w.misses_below(0.02, 200)
        w.give_back(stream)


def test_ipv4():
    """5 writes with TCP_NODELAY leave as one segment, IPv4"""
    one_segment("127.0.0.1")


def test_ipv6():
    """5 writes with TCP_NODELAY leave as one segment, IPv6"""
    one_segment("::1")


def test_mapped():
    """5 writes with TCP_NODELAY leave as one segment, IPv4 to an IPv6 socket"""
    one_segment("::", "127.0.0.1")


def test_nagle():
    """5 writes without TCP_NODELAY leave as one segment"""
    one_segment("127.0.0.1", no_delay=False)


def test_reno():
    """5 writes leave as one segment on reno"""
    one_segment("127.0.0.1", congestion_control="reno")


def test_bbr():
    """5 writes leave as one segment on BBR"""
    one_segment("127.0.0.1", congestion_control="bbr")


def test_options_unchanged():
    """the program's socket options read as it set them"""
    with world() as w, Stream(w.net) as stream, Stream(w.net, no_delay=False) as nagle:
        w.learn(stream)
        w.learn(nagle)
        for wanted, one in (1, stream), (0, nagle):
            for sock in one.client, one.server:
                equal(bool(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)), bool(wanted), "TCP_NODELAY")
                equal(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_CORK), 0, "TCP_CORK")
        w.hold(nagle)
        wait_for(lambda: select.select([nagle.server], [], [], 0)[0], 5, "the held bytes")
        equal(nagle.client.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY), 0,
              "TCP_NODELAY after a wrong hold was ended")


def test_wrong_hold():
    """a burst that stops short is released without the program's help"""
    with world() as w, Stream(w.net) as stream:
        w.learn(stream)
        before = w.agent.totals()["misses"]
        data = w.hold(stream)
        equal(stream.receive(stream.server, len(data)), data, "the bytes")
        stream.server.sendall(b"ok")
        stream.receive(stream.client, 2)
        # Only the next write tells a burst that was over from a program that was kept waiting.
        stream.exchange(rounds=20)
        wait_for(lambda: w.agent.totals()["misses"] > before, 5, "a miss on record")
        w.give_back(stream)


def test_wrong_hold_without_waiting():
    """a sender that never reads again loses nothing"""
    with world() as w, Stream(w.net) as stream:
        w.learn(stream)
        for _ in range(20):
            data = w.hold(stream, writes=2)
            equal(stream.receive(stream.server, len(data)), data, "the bytes")


def test_window_grows():
    """the gate does not make a flow's window grow, nor shrink it"""
    with world() as w, Stream(w.net) as stream:
        w.learn(stream)
        stream.exchange(rounds=1000)
        w.agent.stop()
        stream.exchange(rounds=2)
        window = next(line.split("cwnd:")[1].split()[0] for line in w.net.flows()
                      if f":{stream.port} " in line.split("cubic")[0])
        check(2 <= int(window) <= 40, f"a window of {window} segments after 1000 requests of one segment")


def test_large_after_small():
    """a full segment does not wait behind small writes"""
    with world(MANAGE) as w, Stream(w.net) as stream:
        w.learn(stream)
        for size in 70000, 1, 200000, 3, 65536:
            data = bytes(size % 251 for _ in range(size))
            stream.client.sendall(data)
            equal(stream.receive(stream.server, size), data, f"{size} bytes")
            stream.server.sendall(b"ok")
            stream.receive(stream.client, 2)


def test_transfer_after_hold():
    """what a hold takes from the window is given back once: a transfer after it grows the window"""
    with world() as w:
        # Segments so small that the window, not the receiver, limits a transfer.
        w.net.ip("link", "set", "lo", "mtu", "1500")
        with Stream(w.net) as stream:
            w.learn(stream)
            equal(congestion(stream.client), "autocork_cubic", "the congestion control")
            before, data = tcp_info(stream.client)["snd_cwnd"], bytes(1 << 18)
            for _ in range(20):
                stream.client.sendall(data)
                stream.receive(stream.server, len(data))
            after = tcp_info(stream.client)["snd_cwnd"]
            check(after >= 2 * before, f"a window of {before} segments has grown to {after}")
            w.learn(stream)


def test_idle_window():
    """a burst after an idle time whose writes cannot share a segment does not meet a window of zero"""
    with world(congestion_control="cubic") as w, Stream(w.net) as stream:
        w.learn(stream, writes=3)
        for _ in range(3):
            # Longer than the retransmission timeout: the kernel restarts the window when it queues a new segment, and
            # after MSG_EOR every write is one.
            time.sleep(0.6)
            for _ in range(3):
                stream.client.send(b"h" * 20, socket.MSG_EOR)
            stream.receive(stream.server, 60)
            stream.server.sendall(b"ok")
            stream.receive(stream.client, 2)
        w.give_back(stream)


def test_no_gain():
    """a flow of single writes is not slowed and soon not managed"""
    with world() as w, Stream(w.net) as stream:
        segments = stream.exchange(writes=1, rounds=500)
        check(1.0 <= segments < 1.05, f"{segments} segments per request in one write")
        equal(w.agent.totals()["held"], 0, "writes held")
        equal(congestion(stream.client), "cubic", "the congestion control")
        counted = sum(row["refused"]["no_gain"] for row in w.agent.services())
        equal(counted, 2, "flows counted as having nothing to gain: both ends")
        with Stream(w.net) as another:
            another.exchange(writes=1, rounds=10)
            equal(control("watched"), 2, "flows watched: both ends of a new one")
        wait_for(lambda: not control("watched"), 5, "no flow watched once it is closed")


def test_no_gain_later():
    """a flow that stops gaining comes off its wrapper, and is counted with that reason, once"""
    with world() as w, Stream(w.net) as stream:
        port = stream.server.getsockname()[1]
        for _ in range(2):
            w.learn(stream)
            equal(congestion(stream.client), "autocork_cubic", "the congestion control of what gains")
            for _ in range(50):
                stream.exchange(writes=1, rounds=50)
                if congestion(stream.client) == "cubic":
                    break
            equal(congestion(stream.client), "cubic", "the congestion control of what gains no more")
            equal(w.agent.service(port, "client")["refused"]["no_gain"], 1, "times counted")
            row, = (flow for flow in w.agent.flows() if flow["side"] == "client")
            equal(row["refusal"], "no_gain", "why it is left alone")


def connected(stack, listener, count):
    """So many connections, both ends of each."""
    pairs = []
    for _ in range(count):
        client = stack.enter_context(socket.create_connection(listener.getsockname()))
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        pairs.append((client, stack.enter_context(listener.accept()[0])))
    return pairs


def exchange(client, server, writes):
    """A request in small writes, and its answer."""
    for _ in range(writes):
        client.sendall(b"x" * 50)
    got = 0
    while got < 50 * writes:
        got += len(server.recv(50 * writes))
    server.sendall(b"!")
    client.recv(1)


def test_no_gain_again():
    """where eight flows promise and come off, the next ones are left alone"""
    with world() as w, w.net.inside(), socket.create_server(("127.0.0.1", 0)) as listener:
        def until(wanted, pairs, writes):
            """All of them are there, or have had every chance."""
            deadline = time.monotonic() + 30
            while time.monotonic() < deadline and any(congestion(pair[0]) != wanted for pair in pairs):
                for pair in pairs:
                    if congestion(pair[0]) != wanted:
                        exchange(*pair, writes)

        def managed():
            return w.agent.service(listener.getsockname()[1], "client")["flows_managed"]

        with contextlib.ExitStack() as stack:
            pairs = connected(stack, listener, 8)
            until("autocork_cubic", pairs, 3)
            until("cubic", pairs, 1)
            equal([congestion(pair[0]) for pair in pairs], ["cubic"] * 8, "the congestion control of what gains no more")
        equal(managed(), 8, "flows that were on a wrapper")
        time.sleep(1) # their rest is over
        with contextlib.ExitStack() as stack:
            pairs = connected(stack, listener, 3)
            for _ in range(20):
                for pair in pairs:
                    exchange(*pair, 3)
                time.sleep(0.01) # for the agent's pass
            equal([congestion(pair[0]) for pair in pairs], ["cubic"] * 3, "the congestion control of the next ones")
        equal(managed(), 8, "flows managed, after eight that came off")


PROGRAM_PORTS = 32	# AC_PROGRAM_PORTS


@contextlib.contextmanager
def connections(listener, count):
    """So many connections, each used for one byte there and one back."""
    with contextlib.ExitStack() as stack:
        for client, server in connected(stack, listener, count):
            client.sendall(b"?")
            equal(server.recv(1), b"?", "the request")
            server.sendall(b"!")
            equal(client.recv(1), b"!", "the answer")
        yield


def test_passed_by():
    """of a client that connects again and again with nothing to gain few connections are followed, and what lives on"""
    with world() as w, w.net.inside(), socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def connect(count):
            for _ in range(count):
                with connections(listener, 1):
                    pass
        # Those that end before the observer is there say nothing of the service.
        connect(1)
        wait_for(lambda: control("watching"), 20, "the observer, for the new flows")
        connect(10)
        passed = w.agent.service(port, "client")["flows_passed"]
        # It may have left before the last one, on a busy machine.
        check(not passed or not control("watching"), f"{passed} connections passed by while the observer looks")
        early = [socket.socket() for _ in range(16)]
        for sock in early:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        wait_for(lambda: not control("watching"), 10, "the observer to leave")
        for sock in early:
            sock.connect(listener.getsockname())
            listener.accept()[0].close()
            sock.close()
        row = w.agent.service(port, "client")
        equal((row["flows_opened"], row["flows_passed"]), (12 - passed, 15 + passed),
              "connections, with 16 that had set an option before")
        connect(200)
        row = w.agent.service(port, "client")
        equal(row["flows_opened"] + row["flows_passed"], 227, "connections, followed or not")
        check(195 <= row["flows_passed"] - passed <= 205, f"{row['flows_passed']} of 216 were passed by")
        row = w.agent.service(port, "server")
        equal((row["flows_opened"], row["flows_passed"]), (227, 0), "connections of the server, followed and not")
        with connections(listener, 8):
            clients = [flow for flow in w.agent.flows() if flow["side"] == "client"]
            check(len(clients) <= 1, f"{len(clients)} of 8 are followed")
            # What the agent does once a minute for connections that were passed by, it does at a reload too.
            w.agent.reload(PATIENT)
            clients = [flow["program"] for flow in w.agent.flows() if flow["side"] == "client"]
            equal(clients, [pathlib.Path("/proc/self/comm").read_text().strip()] * 8, "programs of those that live on")
        # Other policies may be in force for it by now.
        w.agent.reload(OFF)
        passed = w.agent.service(port, "client")["flows_passed"]
        wait_for(lambda: not control("watching"), 10, "the observer to leave")
        connect(20)
        equal(w.agent.service(port, "client")["flows_passed"], passed, "connections passed by, of a program left alone")


def test_passed_by_on_many_ports():
    """the same of a client that connects to more ports than are services of their own, as one of FTP does"""
    with world() as w, w.net.inside():
        def connect(count):
            for _ in range(count):
                with socket.create_server(("127.0.0.1", 0)) as listener, connections(listener, 1):
                    pass
        connect(PROGRAM_PORTS + 1)
        wait_for(lambda: control("watching"), 20, "the observer, for the new flows")
        connect(10)	# that gain nothing, seen from their beginning on
        wait_for(lambda: not control("watching"), 10, "the observer to leave")
        before = w.agent.service(0, "client")
        connect(100)
        row = w.agent.service(0, "client")
        equal(row["flows_opened"] + row["flows_passed"] - before["flows_opened"] - before["flows_passed"], 100,
              "connections, followed or not")
        check(row["flows_passed"] - before["flows_passed"] >= 90, f"{row['flows_passed']} of 100 were passed by")


# Runs before the server on the same CPU whenever a packet comes, and for longer than a packet is worth to wait.
EAGER = """
import os, socket, sys, time
os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
for _ in range(int(sys.argv[2])):
    with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as sock:
        sock.sendall(b"?")
        while sock.recv(4096):
            end = time.monotonic() + 300e-6
            while time.monotonic() < end:
                pass
"""


def test_eager_receiver():
    """a packet that wakes its receiver on the same CPU does not make the program's own pauses long"""
    cpu, before = max(os.sched_getaffinity(0)), os.sched_getaffinity(0)
    with world(MANAGE) as w, w.net.inside(), socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def serve(count, pause=0):
            """So many connections of a message in 6 pieces: segments per connection. Pauses after the third."""
            segments = sum(row["segments"] for row in w.agent.services() if row["side"] == "server")
            with Program(w.net, ["/usr/bin/python3", "-c", EAGER, port, count], cpu=cpu) as client:
                for _ in range(count):
                    sock = listener.accept()[0]
                    with sock:
                        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                        equal(sock.recv(1), b"?", "the request")
                        for number in range(6):
                            if number == 3 and pause:
                                time.sleep(pause)
                            sock.send(b"x" * 30)
                client.wait()
            return (w.agent.service(port, "server")["segments"] - segments) / count
        os.sched_setaffinity(0, {cpu})
        try:
            serve(60)
            serve(20, pause=0.02)	# the third is not held any more, and so wakes the client …
            segments = [serve(40) for _ in range(4)]	# … which is to be told from that pause
        finally:
            os.sched_setaffinity(0, before)
        check(min(segments) <= 1.5, f"{segments} segments for a message in 6 pieces")


def test_watches_what_is_busy():
    """as long as a flow that is looked at has bursts, the observer stays"""
    with world() as w, Stream(w.net) as stream:
        stream.exchange(writes=1)
        wait_for(lambda: control("watching"), 5, "the observer")
        for _ in range(100):	# of 256 that would make it tire
            stream.exchange(writes=1)
            time.sleep(0.03)
            equal((control("watching"), control("watched")), (1, 2), "the observer, and flows looked at")


def test_gains_never():
    """of a program whose long connections had nothing to gain, new ones are no reason to observe"""
    with world() as w, contextlib.ExitStack() as stack:
        port = None
        for _ in range(8):
            stream = stack.enter_context(Stream(w.net, port=port or 0))
            port = stream.port
            # Some rounds may be over before the observer is there.
            for _ in range(20):
                stream.exchange(writes=1, rounds=300)
                if not control("watched"):
                    break
        equal(control("watched"), 0, "flows watched that had nothing to gain")
        stack.enter_context(Stream(w.net, port=port)).exchange(writes=1)
        equal(control("watched"), 0, "flows watched, with a new one")


def no_reason(what):
    """A flow comes off its wrapper and then never ends a burst again: not for long it keeps the observer on the
    machine's flows."""
    with world() as w, Stream(w.net) as stream:
        w.learn(stream)
        for _ in range(100):
            stream.exchange(writes=1, rounds=50)
            if congestion(stream.client) == "cubic" and control("watched") == 1:
                break
        equal((congestion(stream.client), control("watched")), ("cubic", 1), "off the wrapper, and watched")
        end = time.monotonic() + 30
        while control("watched") and time.monotonic() < end:
            for _ in range(100):
                what(stream)
        equal(control("watched"), 0, "flows watched")


def test_bulk_after_gain():
    """a flow that came off its wrapper and sends in bulk is soon no reason to observe"""
    def send(stream):
        stream.client.sendall(bytes(65536))
        stream.receive(stream.server, 65536)
    no_reason(send)


def test_reader_after_gain():
    """a flow that came off its wrapper and only reads is soon no reason to observe"""
    def read(stream):
        stream.server.sendall(bytes(100))
        stream.receive(stream.client, 100)
    no_reason(read)


def test_busy_beside_quiet():
    """the observer does not stay for a flow that writes now and then where it sees much of one that does not need it"""
    with world() as w, Stream(w.net) as busy:
        end = time.monotonic() + 30
        while control("watched") and time.monotonic() < end:
            for _ in range(100):
                busy.client.sendall(bytes(65536))
                busy.receive(busy.server, 65536)
        equal(control("watched"), 0, "flows watched")
        with Stream(w.net) as quiet:
            for _ in range(100):
                quiet.exchange(writes=1, rounds=1)
                for _ in range(20000):
                    busy.client.send(b"x")
                busy.receive(busy.server, 20000)
                if not control("watching"):
                    break
            equal((control("watching"), control("watched")), (0, 2),
                  "the observer is there, flows it would be there for")


def test_off():
    """mode = off leaves flows alone"""
    with world("[policy all]\nmode = off\n") as w, Stream(w.net) as stream:
        check(5.0 <= (segments := stream.exchange(rounds=100)) < 5.2, f"{segments} segments per request of 5 writes")
        equal(w.net.wrapped(), 0, "flows on a wrapper")


def test_observe():
    """mode = observe counts what could be saved and holds nothing"""
    with world("[policy all]\nmode = observe\nburst_gap = 50ms\npacket_worth = 10ms\n") as w, Stream(w.net) as stream:
        check(5.0 <= (segments := stream.exchange(rounds=200)) < 5.2, f"{segments} segments per request of 5 writes")
        equal(w.net.wrapped(), 0, "flows on a wrapper")
        totals = w.agent.totals()
        equal(totals["held"], 0, "writes held")
        check(totals["shadow_held"] > 500, f"{totals['shadow_held']} writes would have been held of 800")


def test_short_connections():
    """short connections of a known service gain from their first burst on"""
    with world() as w:
        # A busy machine lets the agent wait: not a number of connections, but a time.
        learned, end = 5, time.monotonic() + LEARN_S
        while learned > 1.1 and time.monotonic() < end:
            with Stream(w.net, port=47001) as stream:
                stream.exchange(rounds=2)
                learned = stream.exchange(rounds=1)
        segments = 0
        for _ in range(20):
            with Stream(w.net, port=47001) as stream:
                segments += stream.exchange(rounds=1)
        check(segments / 20 <= 2, f"{segments / 20} segments in the first request of 5 writes")


main(globals())
