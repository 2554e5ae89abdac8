# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""autocork-fastpath between two namespaces, or at the end of a cable."""
import contextlib
import json
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time

from agent import build
from netns import Net
from ports import pattern, tcp_info
from programs import Program
from tap import Skip, check, wait_for


def cable(one, one_name, two, two_name, queues=1):
    """A veth pair as AF_XDP can take it: as many receive queues as the peer sends on, and every checksum complete when
    it leaves."""
    count = ("numrxqueues", str(queues), "numtxqueues", str(queues))
    one.ip("link", "add", one_name, *count, "type", "veth", "peer", "name", two_name, *count)
    if two is not one:
        one.ip("link", "set", two_name, "netns", f"/proc/{os.getpid()}/fd/{two.fd}")
    for net, name in (one, one_name), (two, two_name):
        net.run("ethtool", "-K", name, "tx", "off", "txvlan", "off", "rxvlan", "off")
        net.ip("link", "set", name, "up")


class Road:
    """Namespaces a, middle and b: a's `cable` ends in middle as `left`, b's as `right`. spoil: a lossy forwarder before
    `left`."""

    A4, B4, A6, B6 = "10.78.0.1", "10.78.0.2", "fd78::1", "fd78::2"

    def __init__(self, spoil=None, queues=1):
        if not os.path.exists(build("autocork-fastpath")):
            raise Skip("autocork-fastpath is not built: no libdpdk-dev")
        self.a, self.middle, self.b = Net(), Net(), Net()
        self.lossy = None
        if spoil:
            cable(self.a, "cable", self.middle, "before")
            cable(self.middle, "after", self.middle, "left")
            self.lossy = Program(self.middle, [build("tests/net/lossy"), "before", "after", *spoil])
            wait_for(lambda: "ready" in self.lossy.output(), what="the lossy forwarder")
        else:
            cable(self.a, "cable", self.middle, "left", queues)
        cable(self.b, "cable", self.middle, "right", queues)
        for net, four, six in (self.a, self.A4, self.A6), (self.b, self.B4, self.B6):
            net.ip("addr", "add", four + "/24", "dev", "cable")
            net.ip("addr", "add", six + "/64", "dev", "cable", "nodad")

    def __enter__(self):
        return self

    def __exit__(self, *error):
        if self.lossy:
            self.lossy.stop()
        for net in self.a, self.middle, self.b:
            net.close()

    def spoiled(self):
        """What the lossy forwarder did, having ended it: {"there": …, "lost": …}."""
        self.lossy.process.terminate()
        words = self.lossy.wait().split()[1:]
        return dict(zip(words[::2], map(int, words[1::2])))


class Beyond:
    """A host `net` behind b of a road, which routes to it over a link of MTU 1300. How the sender may learn that:
    `end`: the host has that MTU, and announces it; `router`: b tells it; `silent`: b drops what is too long and tells
    nobody, so the sender has to find out by itself (tcp_mtu_probing)."""

    C4, C6 = "10.79.0.2", "fd79::2"

    def __init__(self, road, how):
        self.net = Net()
        cable(road.b, "further", self.net, "end")
        for net, name, gate4, gate6, four, six in (
                (road.b, "further", None, None, "10.79.0.1", "fd79::1"),
                (self.net, "end", "10.79.0.1", "fd79::1", self.C4, self.C6),
                (road.a, None, road.B4, road.B6, None, None)):
            if name:
                net.ip("addr", "add", four + "/24", "dev", name)
                net.ip("addr", "add", six + "/64", "dev", name, "nodad")
            if gate4:
                net.ip("route", "add", "10.78.0.0/15", "via", gate4)
                net.ip("-6", "route", "add", "fd78::/15", "via", gate6)
        road.b.sysctl("ipv4/ip_forward", 1)
        road.b.sysctl("ipv6/conf/all/forwarding", 1)
        road.b.ip("link", "set", "further", "mtu", "1300")
        if how == "end":
            self.net.ip("link", "set", "end", "mtu", "1300")
        if how == "silent":
            road.a.sysctl("ipv4/tcp_mtu_probing", 1)
            for family, protocol in ("-4", "icmp"), ("-6", "ipv6-icmp"):
                road.b.ip(family, "rule", "add", "iif", "lo", "ipproto", protocol, "pref", "0", "blackhole")

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.net.close()


class Fastpath(Program):
    """`with Fastpath(net, "-i", "left", …) as fast:` — runs it, and waits until it does."""

    def __init__(self, net, *arguments, expect="running as", run_dir=None, prefix=()):
        self.own = None if run_dir else tempfile.mkdtemp(prefix="fastpath-")
        self.run_dir = run_dir or self.own
        words = list(arguments)
        at = words.index("--") if "--" in words else len(words)
        words[at:at] = ["--run-dir", self.run_dir]
        super().__init__(net, [*prefix, build("autocork-fastpath"), *words])
        if expect:
            wait_for(self._started, 30, "autocork-fastpath to start")

    def _started(self):
        if self.process.poll() is not None:
            raise AssertionError(f"autocork-fastpath ended with {self.process.returncode}:\n{self.output()[-2000:]}")
        return "running as" in self.output()

    def stop(self, seconds=5):
        super().stop(seconds)
        if self.own:
            shutil.rmtree(self.own, ignore_errors=True)

    def instances(self):
        out = subprocess.run([build("autocork"), "fastpath", "--json", "--run-dir", self.run_dir], capture_output=True,
                             text=True,
                             check=True)
        return json.loads(out.stdout)["instances"]

    def lanes(self):
        """Its queues, with their counters. Fresh: the process publishes four times a second."""
        time.sleep(0.6)
        return [queue for instance in self.instances() for queue in instance["queues"]]

    def counters(self, interface=None):
        """Summed over the queues (of one interface)."""
        total = {}
        for queue in self.lanes():
            if interface in (None, queue["interface"]):
                for name, value in queue["counters"].items():
                    total[name] = total.get(name, 0) + value
        return total

    def cpu_seconds(self):
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as file:
            words = file.read().rsplit(")", 1)[1].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def connection(road, address, to=None):
    """A TCP connection from a to b, or to the namespace `to`: (client, server)."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with (to or road.b).inside():
        listener = socket.socket(family)
    listener.bind((address, 0))
    listener.listen()
    with road.a.inside():
        client = socket.socket(family)
    client.settimeout(30)
    client.connect(listener.getsockname()[:2])
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    server = listener.accept()[0]
    server.settimeout(60)
    with listener, client, server:
        yield client, server


def stream(client, server, size, count, pause_s=0):
    """Sends `count` writes of `size` bytes and checks every byte at the other end. Returns (segments sent, segments
    received)."""
    total, trouble = size * count, []

    def receive():
        position = 0
        while position < total:
            try:
                data = server.recv(1 << 18)
            except OSError as error:
                trouble.append(f"after {position} of {total} bytes: {error}")
                return
            if data != pattern(position, len(data)) or not data:
                trouble.append(f"wrong bytes behind {position} of {total}")
                return
            position += len(data)

    before, heard = tcp_info(client)["data_segs_out"], _segments_in(server)
    reader = threading.Thread(target=receive, daemon=True)
    reader.start()
    for i in range(count):
        client.sendall(pattern(i * size, size))
        if pause_s:
            # Sleeping is too coarse for microseconds.
            end = time.perf_counter() + pause_s
            while time.perf_counter() < end:
                pass
    reader.join(60)
    check(not reader.is_alive() and not trouble, "; ".join(trouble) or "the stream stalled")
    return tcp_info(client)["data_segs_out"] - before, _segments_in(server) - heard


def _segments_in(sock):
    raw = sock.getsockopt(socket.IPPROTO_TCP, 11, 256)  # TCP_INFO
    return int.from_bytes(raw[152:156], "little")  # tcpi_data_segs_in
