#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""autocork-fastpath end to end, over AF_XDP on veth cables between namespaces, without huge pages."""
import collections
import concurrent.futures
import contextlib
import os
import re
import socket
import struct
import subprocess
import time

from fastpath import Fastpath, Road, cable, connection, stream
from frames import checksum
from lib import Net, Skip, build, check, equal, main, wait_for
from netns import interface_locks

BUMP = ("-i", "left", "-i", "right")


def test_stream():
    """a stream through the bump arrives byte for byte, in fewer packets, over IPv4 and IPv6"""
    with Road() as road, Fastpath(road.middle, *BUMP) as fast:
        for address in road.B4, road.B6:
            with connection(road, address) as (client, server):
                sent, got = stream(client, server, 100, 20000)
                check(got < sent, f"{address}: {sent} segments sent, {got} received")
        counters = fast.counters("left")
        check(counters["merged"] > 0 and not counters["bad_checksum"], f"{counters}")
        equal(counters["tx_packets"], counters["rx_packets"] - counters["merged"], "frames sent")


def test_hold():
    """with a hold a paced stream of 100-byte segments needs far fewer packets, and no frame is held for ever"""
    with Road() as road, Fastpath(road.middle, *BUMP, "--hold", "200us") as fast:
        with connection(road, road.B4) as (client, server):
            sent, got = stream(client, server, 100, 20000, 5e-6)
            # Far from what an idle machine gives: a busy one puts pauses longer than the hold between segments.
            check(got <= 0.6 * sent, f"{sent} segments sent, {got} received")
        equal(fast.counters()["held"], 0, "frames held after the stream")


def several(road, count, size):
    """So many connections at once, alternately of IPv4 and IPv6, each a stream of its own."""
    # The namespaces belong to threads: sockets are made here, one after the other, and used there.
    with contextlib.ExitStack() as stack:
        pairs = [stack.enter_context(connection(road, road.B6 if i % 2 else road.B4)) for i in range(count)]
        with concurrent.futures.ThreadPoolExecutor(count) as pool:
            for done in [pool.submit(stream, client, server, 100, size) for client, server in pairs]:
                done.result()


def test_queues():
    """several queues: all carry traffic, one core each, and every byte of every flow arrives"""
    for queues in 2, 4:
        with Road(queues=queues) as road, Fastpath(road.middle, *BUMP, "--queues", "all", "--hold", "50us") as fast:
            # A program on the receiver's end makes it count by queue: frames leave by the number they came in on.
            road.b.ip("link", "set", "cable", "xdpdrv", "obj", build("tests/net/xdp_pass.bpf.o"), "sec", "xdp")
            # Enough flows that a hash leaves no queue without one, but for one time in 200,000.
            several(road, 48, 1000)
            lanes = fast.lanes()
            counts = re.findall(r"rx_queue_(\d+)_xdp_packets: (\d+)", road.b.run("ethtool", "-S", "cable"))
            # The kernel of the middle says a few things of its own.
            equal([int(number) for number, count in counts if int(count) > 20], list(range(queues)),
                  f"queues that frames left by: {counts}")
            equal(len(lanes), 2 * queues, "queues")
            for lane in lanes:
                check(lane["counters"]["rx_packets"] and lane["counters"]["tx_packets"], f"nothing went through {lane}")
            check(sum(lane["counters"]["merged"] for lane in lanes) > 0, "nothing was merged")
            equal(sum(lane["counters"]["bad_checksum"] + lane["counters"]["tx_dropped"] for lane in lanes), 0,
                  "bad or dropped")
            cores = min(queues, len(os.sched_getaffinity(0)))
            equal(len({lane["core"] for lane in lanes}), cores, "cores")
            equal({lane["queue"]: lane["core"] for lane in lanes if lane["interface"] == "left"},
                  {lane["queue"]: lane["core"] for lane in lanes if lane["interface"] == "right"},
                  "cores of the queues")
            equal("queues share them" in fast.output(), queues > cores, "the warning about too few cores")


def test_fewer_queues():
    """fewer queues than there are, where that is asked for: it is said"""
    with Road(queues=3) as road, Fastpath(road.middle, *BUMP, "--queues", "1") as fast:
        check("left: 1 of 3 queues are taken" in fast.output(), fast.output())
        equal(len(fast.lanes()), 2, "queues")


def test_both_ways():
    """both directions at once, requests and answers, through a hold"""
    with Road() as road, Fastpath(road.middle, *BUMP, "--hold", "200us"):
        with connection(road, road.B6) as (client, server):
            for i in range(300):
                for _ in range(3):
                    client.sendall(b"q" * (20 + i))
                got = b""
                while len(got) < 3 * (20 + i):
                    got += server.recv(65536)
                server.sendall(b"a" * i + b"!")
                answer = b""
                while not answer.endswith(b"!"):
                    answer += client.recv(65536)
                equal((got, len(answer)), (b"q" * (60 + 3 * i), i + 1), f"round {i}")


def tcp_frame6(road, sequence, data):
    """A TCP segment from a to b over IPv6."""
    ends = socket.inet_pton(socket.AF_INET6, road.A6) + socket.inet_pton(socket.AF_INET6, road.B6)
    tcp = struct.pack("!HHIIBBHHH", 1000, 2000, sequence, 1, 0x50, 0x18, 500, 0, 0) + data
    tcp = tcp[:16] + struct.pack("!H", checksum(ends + struct.pack("!IHBB", len(tcp), 0, 0, 6) + tcp)) + tcp[18:]
    return (bytes.fromhex("020000000002020000000001") + b"\x86\xdd" + struct.pack("!IHBB", 6 << 28, len(tcp), 6,
                                                                                  64) + ends + tcp)


def tcp_frame(road, tag, sequence, data):
    """A TCP segment from a to b over IPv4, in a VLAN if there is a tag."""
    ends = socket.inet_aton(road.A4) + socket.inet_aton(road.B4)
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 40 + len(data), 1, 0x4000, 64, 6, 0) + ends
    ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
    tcp = struct.pack("!HHIIBBHHH", 1000, 2000, sequence, 1, 0x50, 0x18, 500, 0, 0) + data
    tcp = tcp[:16] + struct.pack("!H", checksum(ends + struct.pack("!HH", 6, len(tcp)) + tcp)) + tcp[18:]
    vlan = b"" if tag is None else struct.pack("!HH", 0x8100, tag)
    return bytes.fromhex("020000000002020000000001") + vlan + b"\x08\0" + ip + tcp


def test_vlan():
    """tagged segments are merged with those of their VLAN only"""
    with Road() as road, Fastpath(road.middle, *BUMP, "--hold", "10ms"):
        with road.a.inside():
            sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        with road.b.inside():
            # ETH_P_ALL; the kernel takes the tag out of the frame and into ancillary data (PACKET_AUXDATA).
            hearer = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        with sender, hearer:
            hearer.setsockopt(263, 8, 1)
            hearer.bind(("cable", 0))
            hearer.settimeout(5)
            sender.bind(("cable", 0))
            # 8 segments in each of two VLANs, in turns: one sequence, but not one flow.
            for i in range(8):
                for tag in 10, 11:
                    sender.send(tcp_frame(road, tag, 1000 + 20 * i, bytes([i]) * 20))
            arrived = {10: [], 11: []}
            while sum(len(b"".join(pieces)) for pieces in arrived.values()) < 2 * 160:
                data, extra, _, _ = hearer.recvmsg(2048, 256)
                if data[12:14] == b"\x08\x00" and data[14 + 9] == 6:
                    (tag,) = struct.unpack_from("H", extra[0][2], 16)
                    arrived[tag].append(data[54:14 + int.from_bytes(data[16:18], "big")])
            for tag, pieces in arrived.items():
                equal(b"".join(pieces), b"".join(bytes([i]) * 20 for i in range(8)), f"VLAN {tag}")
                check(len(pieces) < 8, f"VLAN {tag}: nothing was merged")


def test_lossy():
    """loss, repetition and reordering before the bump: every byte arrives, in order"""
    with Road(spoil=(50, 50, 100, 7)) as road, Fastpath(road.middle, *BUMP, "--hold", "50us"):
        for address in road.B4, road.B6:
            with connection(road, address) as (client, server):
                stream(client, server, 100, 30000)
        did = road.spoiled()
        check(did["lost"] and did["repeated"] and did["reordered"], f"{did}")


def test_forward():
    """the job `forward` merges nothing and loses nothing"""
    def packets(net):
        with net.inside(), open("/proc/thread-self/net/dev", encoding="ascii") as file:
            numbers = next(line for line in file if line.strip().startswith("cable:")).split(":")[1].split()
        return int(numbers[1])

    with Road() as road, Fastpath(road.middle, *BUMP, "--job", "forward") as fast:
        with connection(road, road.B4) as (client, server):
            stream(client, server, 100, 5000)
            # A burst beyond every cache, so that each buffer has its turn. What counts is what comes out of the far
            # end.
            with road.a.inside(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                for _ in range(300):
                    for _ in range(100):
                        sender.sendto(b"x" * 64, (road.B4, 9))
                    time.sleep(0.002)
            stream(client, server, 100, 5000)
        counters = fast.counters()
        equal((counters["merged"], counters["tx_packets"]), (0, counters["rx_packets"]), "merged, sent")
        # The kernel of the middle says a few things of its own (multicast listener reports).
        for net, sent in (road.b, fast.counters("left")["tx_packets"]), (road.a, fast.counters("right")["tx_packets"]):
            check(0 <= packets(net) - sent < 100, f"{sent} frames sent, {packets(net)} arrived")


def test_partial_checksums():
    """a sender that leaves checksums to its hardware is counted, and nothing of it is merged or mended in silence"""
    with Road() as road, Fastpath(road.middle, *BUMP) as fast:
        with connection(road, road.B4) as (client, server):
            stream(client, server, 100, 100)
            before = fast.counters("left")["bad_checksum"]
            road.a.run("ethtool", "-K", "cable", "tx", "on")
            client.sendall(b"lost on the way")
            wait_for(lambda: fast.counters("left")["bad_checksum"] > before, 10, "the counter to move")
            road.a.run("ethtool", "-K", "cable", "tx", "off")


def echo_id():
    return os.getpid() & 0xffff


def ping(net, address, number, device="cable"):
    """One echo request with a raw socket; True if its reply comes within a second."""
    six = ":" in address
    body = struct.pack("!HH", echo_id(), number) + b"x" * 40
    head = bytes([128 if six else 8, 0])
    total = sum(struct.unpack(f"!{(len(body) + 4) // 2}H", head + b"\0\0" + body))
    total = (total & 0xffff) + (total >> 16)
    total = (total & 0xffff) + (total >> 16)
    with net.inside():
        sock = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_RAW, 58 if six else 1)
    with sock:
        sock.settimeout(1)
        # The kernel fills in the checksum of ICMPv6.
        sock.sendto(head + struct.pack("!H", ~total & 0xffff) + body, (address, 0))
        end = time.monotonic() + 1
        try:
            while time.monotonic() < end:
                data = sock.recv(2048)
                data = data if six else data[20:]
                if data[0] == (129 if six else 0) and data[4:] == body:
                    return True
        except TimeoutError:
            pass
    return False


def test_reflect():
    """the reflector answers ping and UDP echo for its addresses, ARP and neighbour discovery included"""
    if not os.path.exists(build("autocork-fastpath")):
        raise Skip("autocork-fastpath is not built: no libdpdk-dev")
    with Net() as a, Net() as far:
        cable(a, "cable", far, "end")
        a.ip("addr", "add", "10.78.0.1/24", "dev", "cable")
        a.ip("addr", "add", "fd78::1/64", "dev", "cable", "nodad")
        with Fastpath(far, "-j", "reflect", "-i", "end", "-a", "10.78.0.9", "-a", "fd78::9") as fast:
            for address in "10.78.0.9", "fd78::9":
                wait_for(lambda: ping(a, address, 1), 10, f"a ping of {address}")
                with a.inside(), socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET,
                                               socket.SOCK_DGRAM) as sock:
                    sock.settimeout(5)
                    for size in 0, 1, 100, 1400:
                        sock.sendto(b"u" * size, (address, 9000))
                        equal(sock.recv(2048), b"u" * size, f"{address}: echo of {size} bytes")
            check(not ping(a, "10.78.0.8", 2), "an address that is not its own was answered")
            check(fast.counters()["tx_packets"] >= 12, "answers were counted")


def killed_and_restarted(road, *more):
    """kill -9 in mid-stream, with data on the way: started again it takes the interfaces over and the stream goes
    on."""
    with Fastpath(road.middle, *BUMP, *more, "--name", "bump") as first, connection(road, road.B4) as (client, server):
        stream(client, server, 100, 5000)
        first.process.kill()
        first.process.wait()
        equal(first.instances()[0]["state"], "dead", "its state")
        client.setblocking(False)
        client.send(b"z" * 5000)
        client.setblocking(True)
        with Fastpath(road.middle, *BUMP, *more, "--name", "bump", run_dir=first.run_dir) as second:
            equal([one["state"] for one in second.instances()], ["running"], "states")
            got = b""
            while len(got) < 5000:
                got += server.recv(5000)
            equal(got, b"z" * 5000, "what was sent meanwhile")
            client.settimeout(30)
            stream(client, server, 100, 5000)
            return second.output()


def test_restart():
    """kill -9 in mid-stream: started again, it takes the interfaces over and the stream goes on"""
    with Road() as road:
        killed_and_restarted(road)


def test_stop():
    """SIGTERM: ends with 0, takes its counters, the XDP program and promiscuous mode with it"""
    with Road() as road, Fastpath(road.middle, *BUMP) as fast:
        links = road.middle.ip("-d", "link", "show", "left")
        check("promiscuity 1" in links or "PROMISC" in links, links)
        fast.process.terminate()
        equal(fast.process.wait(20), 0, "its status")
        equal(os.listdir(fast.run_dir), [], "files left")
        for name in "left", "right":
            links = road.middle.ip("-d", "link", "show", name)
            check("xdp" not in links and "PROMISC" not in links, links)
        check("stopped" in fast.output(), fast.output())


def refused(net, *arguments, prefix=()):
    """Its exit code and the last line it says."""
    with Fastpath(net, *arguments, expect=None, prefix=prefix) as fast:
        code = fast.process.wait(30)
        lines = fast.output().strip().splitlines()
        return code, next((line for line in reversed(lines) if line.startswith("autocork-fastpath: ")), "")


def test_refusals():
    """wrong arguments, interfaces and queues: a message that says what to do, and nothing stays behind"""
    with Road() as road:
        cases = [
            (("-i", "nowhere", "-i", "left"), 1, "no such interface"),
            (("-i", "left"), 2, "pairs"),
            (("-i", "left", "-i", "right", "--queues", "4"), 1, "--queues 1"),
            (("-i", "left", "-i", "right", "--queues", "0"), 2, "1 to"),
            (("-i", "left", "-i", "right", "--cores", "1000"), 2, "--cores"),
            (("-i", "left", "-i", "right", "--cores", "0-"), 2, "--cores"),
            (("-i", "left", "-i", "right", "--hold", "1s"), 2, "10ms"),
            (("-i", "left", "-i", "left"), 2, "twice"),
            (("-j", "sing", "-i", "left"), 2, "unknown"),
            (("-i", "a,b"), 2, "not the name"),
            ((), 2, "no port"),
            (("-i", "left", "-i", "right", "--", "--no-such-argument"), 1, "DPDK"),
        ]
        for arguments, code, words in cases:
            got, line = refused(road.middle, *arguments)
            equal(got, code, f"exit code of {arguments}")
            if code == 1:
                check(words in line, f"{arguments}: {line}")
        for name in "left", "right":
            check("xdp" not in road.middle.ip("-d", "link", "show", name), f"{name} has a program")


def test_missing_rights():
    """without a capability, or with too little memory to lock: a message that names it, and nothing stays behind"""
    def without(*names):
        return ("prlimit", "--memlock=8388608:8388608", "setpriv",
                "--bounding-set=" + ",".join("-" + name for name in names))

    with Road() as road:
        for lacks, words in (
                (("all",), ("CAP_NET_RAW", "CAP_NET_ADMIN", "CAP_SYS_ADMIN", "as root")),
                (("net_raw",), ("lacks CAP_NET_RAW",)),
                (("net_admin",), ("lacks CAP_NET_ADMIN",)),
                (("sys_admin",), ("lacks CAP_SYS_ADMIN",)),
                (("ipc_lock", "sys_resource"), ("lock 8192 KiB", "ulimit -l unlimited", "CAP_IPC_LOCK"))):
            code, line = refused(road.middle, *BUMP, prefix=without(*lacks))
            equal(code, 1, f"exit code without {lacks}")
            for word in words:
                check(word in line, f"without {lacks}: {word} is not in: {line}")
            for name in "left", "right":
                links = road.middle.ip("-d", "link", "show", name)
                check("xdp" not in links and "PROMISC" not in links, f"without {lacks}: {links}")
        # What is not needed is not asked for.
        with Fastpath(road.middle, *BUMP, prefix=without("bpf", "perfmon", "sys_resource")), \
                connection(road, road.B4) as (client, server):
            stream(client, server, 100, 1000)


def malformed(road):
    """Frames from a to b that contradict themselves at every layer, told apart by their length or content."""
    good4, good6 = tcp_frame(road, None, 1000, b"x" * 60), tcp_frame6(road, 1000, b"x" * 60)
    for good, ip in (good4, 20), (good6, 40):
        # Cut everywhere, without the headers' knowledge.
        yield from (good[:length] for length in range(14, len(good)))
        # Every byte of the headers behind the addresses of the link replaced, the checksums left as they were.
        for at in range(14, 14 + ip + 20):
            for value in 0, 0xff, good[at] ^ 0x10:
                if value != good[at]:
                    yield good[:at] + bytes([value]) + good[at + 1:]
    # Tags that promise more than there is, extension headers without end.
    link = good4[:12]
    yield link + bytes.fromhex("8100")
    yield link + bytes.fromhex("88a8000181000002")
    yield link + bytes.fromhex("86dd") + good6[14:20] + b"\0" + good6[21:54] + b"\0\xff" * 30
    yield link + bytes.fromhex("86dd") + good6[14:20] + b"\0" + good6[21:54] + b"\0\0" * 30


def test_malformed():
    """malformed frames of every layer pass a bump untouched, are ignored by the reflector, and harm neither"""
    with Road() as road:
        frames = list(malformed(road))
        # The hearing kernel takes tags out of frames, and pads nothing: compare what has none.
        plain = [frame for frame in frames if frame[12:14] not in (b"\x81\0", b"\x88\xa8")]
        with road.a.inside():
            sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        with road.b.inside():
            hearer = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        with sender, hearer, Fastpath(road.middle, *BUMP, "--hold", "1ms") as fast:
            hearer.bind(("cable", 0))
            hearer.settimeout(5)
            sender.bind(("cable", 0))
            heard = []
            for at in range(0, len(frames), 16):
                for frame in frames[at:at + 16]:
                    sender.send(frame)
                wanted = sum(1 for frame in frames[:at + 16] if frame in plain)
                while len(heard) < wanted:
                    data = hearer.recv(2048)
                    if data[6:12] == frames[0][6:12] and data[12:14] not in (b"\x81\0", b"\x88\xa8"):
                        heard.append(data)
            # A few are right in spite of all (another hop limit), and those may wait while frames of other flows pass.
            heard, plain = collections.Counter(heard), collections.Counter(plain)
            differ = (heard - plain) + (plain - heard)
            check(not differ, f"{len(differ)} frames differ: {[frame.hex() for frame in differ][:4]}")
            counters = fast.counters("left")
            equal((counters["merged"], counters["held"]), (0, 0), "merged, held")
            check(counters["bad_checksum"] and counters["opaque"], f"{counters}")
            with connection(road, road.B4) as (client, server):
                stream(client, server, 100, 1000)
        with road.a.inside():
            sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        with sender, Fastpath(road.middle, "-j", "reflect", "-i", "left") as fast:
            sender.bind(("cable", 0))
            for frame in frames:
                sender.send(frame)
            wait_for(lambda: fast.counters()["ignored"] >= len(frames) - 64, 10, "the frames to be ignored")
            equal(fast.counters()["tx_dropped"], 0, "dropped")
            equal([one["state"] for one in fast.instances()], ["running"], "state")


def test_second():
    """a second process on the same interfaces, or of the same name, is refused and leaves the first one alone"""
    with Road() as road, Fastpath(road.middle, *BUMP, "--name", "one") as first:
        code, line = refused(road.middle, *BUMP, "--name", "two")
        check(code == 1 and "another autocork-fastpath" in line, f"{code}: {line}")
        code, line = refused(road.middle, "-j", "reflect", "--", "--no-pci", "--vdev=net_af_xdp0,iface=right")
        check(code == 1 and "another autocork-fastpath" in line, f"{code}: {line}")
        cable(road.middle, "more", road.middle, "less")
        with Fastpath(road.middle, "-i", "more", "-i", "less", "--name", "one", expect=None,
                      run_dir=first.run_dir) as second:
            equal(second.process.wait(30), 1, "status of a second of the same name")
        with connection(road, road.B4) as (client, server):
            stream(client, server, 100, 5000)


def test_squatter():
    """a user who binds the name of a claim does not keep it from starting"""
    with Road() as road:
        before = interface_locks("claims", road.middle)
        with road.middle.inside():
            squat = subprocess.Popen(["python3", "-c",
                                      "import os, socket, time; os.setuid(65534); s = socket.socket(socket.AF_UNIX); "
                                      "s.bind('\\0autocork-fastpath/left'); s.listen(); print('ready', flush=True); "
                                      "time.sleep(60)"],
                                     stdout=subprocess.PIPE)
        try:
            equal(squat.stdout.readline(), b"ready\n", "the squatter")
            with Fastpath(road.middle, *BUMP) as fast, connection(road, road.B4) as (client, server):
                stream(client, server, 100, 1000)
                check("autocork-fastpath/left" not in fast.output(), fast.output())
                equal(os.stat("/run/autocork/claims").st_mode & 0o777, 0o700, "who may make claims")
                check(interface_locks("claims", road.middle), "its interfaces are not claimed")
            equal(interface_locks("claims", road.middle) - before, set(), "claims of an ended one")
        finally:
            squat.kill()
            squat.wait()


def test_foreign():
    """somebody else's XDP program is refused, and still there afterwards"""
    program = build("tests/net/xdp_pass.bpf.o")
    if not os.path.exists(program):
        raise Skip(f"{program} is not built")
    with Road() as road:
        road.middle.ip("link", "set", "right", "xdp", "obj", program, "sec", "xdp")
        code, line = refused(road.middle, *BUMP)
        check(code == 1 and "foreign XDP program" in line, f"{code}: {line}")
        check("xdp" in road.middle.ip("link", "show", "right"), "the foreign program is gone")
        check("xdp" not in road.middle.ip("link", "show", "left"), "a program was left behind")
        road.middle.ip("link", "set", "right", "xdp", "off")
        with Fastpath(road.middle, *BUMP), connection(road, road.B4) as (client, server):
            stream(client, server, 100, 1000)


def test_vanished():
    """an interface that vanishes ends it with a message"""
    with Road() as road, Fastpath(road.middle, *BUMP) as fast:
        road.middle.ip("link", "del", "left")
        equal(fast.process.wait(20), 1, "its status")
        check("gone" in fast.output(), fast.output())


def test_idle():
    """it sleeps while nothing comes, on every queue, and wakes for what does; while polling it never sleeps"""
    with Road(queues=2) as road:
        with Fastpath(road.middle, *BUMP, "--queues", "all", "--hold", "50us") as fast:
            for _ in range(2):
                before, sleeps = fast.cpu_seconds(), fast.counters()["sleeps"]
                time.sleep(3)
                # Two cores: a tenth of what polling would take. Four beats a second are what it wakes for.
                check(fast.cpu_seconds() - before < 0.6, f"{fast.cpu_seconds() - before} s of CPU in 3 s while idle")
                check(fast.counters()["sleeps"] > sleeps, "it did not sleep")
                several(road, 8, 500)
        with (Fastpath(road.middle, *BUMP, "--queues", "all", "--wait", "poll", "--cores", "0") as fast,
              connection(road, road.B4) as (client, server)):
            stream(client, server, 100, 1000)
            equal(fast.counters()["sleeps"], 0, "sleeps while polling")


def test_other_drivers():
    """ports of other DPDK drivers work by --vdev: two taps joined by the bump"""
    if not os.path.exists("/dev/net/tun"):
        raise Skip("no /dev/net/tun")
    with Net() as a, Net() as b, Net() as middle:
        with Fastpath(middle, "--", "--no-pci", "--vdev=net_tap0,iface=left", "--vdev=net_tap1,iface=right"):
            for net, name, address in (a, "left", "10.78.0.1/24"), (b, "right", "10.78.0.2/24"):
                middle.ip("link", "set", name, "netns", f"/proc/{os.getpid()}/fd/{net.fd}")
                net.ip("link", "set", name, "up")
                net.ip("addr", "add", address, "dev", name)
            wait_for(lambda: ping(a, "10.78.0.2", 1), 10, "a ping through the taps")


HUGE = "/sys/kernel/mm/hugepages/hugepages-2048kB/"


def number_in(path):
    with open(path, encoding="ascii") as file:
        return int(file.read())


@contextlib.contextmanager
def huge_pages(count):
    """So many free huge pages, reserved for this block where there are fewer; nothing is mounted."""
    before, missing = number_in(HUGE + "nr_hugepages"), count - number_in(HUGE + "free_hugepages")

    def reserve(number):
        with open(HUGE + "nr_hugepages", "w", encoding="ascii") as file:
            file.write(str(number))
    try:
        if missing > 0:
            with contextlib.suppress(OSError):
                reserve(before + missing)
            if number_in(HUGE + "free_hugepages") < count:
                raise Skip(f"no {count} huge pages of 2 MiB to be had (vm.nr_hugepages)")
        yield
    finally:
        if missing > 0:
            with contextlib.suppress(OSError):
                reserve(before)


def test_huge_pages():
    """huge pages are used where there are some, given back at the end, and kill -9 leaves none behind"""
    with huge_pages(64), Road() as road:
        free = number_in(HUGE + "free_hugepages")
        with Fastpath(road.middle, *BUMP) as fast, connection(road, road.B4) as (client, server):
            check("normal pages" not in fast.output(), fast.output())
            check(number_in(HUGE + "free_hugepages") < free, "no huge page was taken")
            stream(client, server, 100, 1000)
        wait_for(lambda: number_in(HUGE + "free_hugepages") == free, 10, "the pages of the stopped process")
        killed_and_restarted(road, "--memory", "huge")
        wait_for(lambda: number_in(HUGE + "free_hugepages") == free, 10, "the pages of the killed process")


def test_no_huge_pages():
    """where there are no huge pages, auto takes normal ones and says so; huge is refused"""
    if number_in(HUGE + "free_hugepages"):
        raise Skip("there are free huge pages")
    with Road() as road:
        with Fastpath(road.middle, *BUMP) as fast:
            check("so normal pages are used" in fast.output(), fast.output())
        code, line = refused(road.middle, *BUMP, "--memory", "huge")
        check(code == 1 and "DPDK" in line and "MiB" in line, f"{code}: {line}")


main(globals())
