#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""The four cases of the GNU libmicrohttpd system-call study: the report has exactly the calls that strace counts, and
the data segments that tcpdump counts."""
import http.client
import json
import os
import re
import signal
import subprocess
import tempfile
import time

from lib import OBSERVE, Program, Skip, build, check, equal, free_port, main, program, wait_for, wait_port, world
from test_telemetry import valid

REQUESTS = 20
SIZE = 1000
WRITE_CALLS = "sendto", "sendmsg", "sendmmsg", "sendfile", "write", "writev"
CALL = re.compile(r"^\d+ +(\w+)\((\d+)(.*)\) += (-?\d+)")


def traced(text):
    """What strace saw on connections: writes, option calls and bytes of each response."""
    found, begun = [], {}
    for line in text.splitlines():
        check("unfinished" not in line or "accept" in line, f"strace: a call of two threads at once: {line}")
        match = CALL.match(line)
        if not match:
            continue
        name, fd, words, result = match[1], int(match[2]), match[3], int(match[4])
        if name == "recvfrom" and result >= 0 or name == "close":
            ended = begun.pop(fd, None)
            if ended and ended["writes"]:
                found.append(ended)
                ended = None
            if name != "close":
                begun[fd] = ended or {"writes": 0, "bytes": 0, "nodelay_calls": 0, "cork_calls": 0}
        elif fd not in begun:
            # Before the first read: that is for the connection, and for no response.
            continue
        elif name in WRITE_CALLS and result > 0:
            begun[fd]["writes"] += 1
            begun[fd]["bytes"] += result
        elif name == "setsockopt" and "TCP_NODELAY" in words:
            begun[fd]["nodelay_calls"] += 1
        elif name == "setsockopt" and "TCP_CORK" in words:
            begun[fd]["cork_calls"] += 1
    return found


def fetch(net, port, path, size):
    with net.inside():
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        connection.connect()
    for _ in range(REQUESTS):
        connection.request("GET", path)
        equal(len(connection.getresponse().read()), size, "size of the body")
    connection.close()


def segments_of(dump):
    """Data segments that tcpdump saw; it must have seen all packets."""
    dump.process.send_signal(signal.SIGINT)
    dump.process.wait(20)
    text = dump.output()
    check("0 packets dropped by kernel" in text, text[-500:])
    return sum(int(length) > 0 for length in re.findall(r"Flags .*? length (\d+)", text))


def reported(path, size):
    """The report of a server that was asked REQUESTS times, and what the other two saw."""
    with world(OBSERVE) as w, tempfile.TemporaryDirectory() as directory:
        if not w.agent.feature("write hook"):
            raise Skip("this kernel has no hook for writes")
        # As on a cable: a packet that tcpdump sees is a segment.
        w.net.ip("link", "set", "lo", "mtu", "1500")
        w.net.run(program("ethtool"), "-K", "lo", "tso", "off", "gso", "off", "gro", "off")
        port, trace = free_port(w.net), os.path.join(directory, "trace")
        calls = ",".join((*WRITE_CALLS, "recvfrom", "setsockopt", "close"))
        server = Program(w.net, [program("strace"), "-f", "-s", "0", "-e", "trace=" + calls, "-e", "signal=none",
                                 "-o", trace, build("tests/net/mhd_server"), port, SIZE], w.servers)
        dump = Program(w.net, [program("tcpdump"), "-i", "lo", "-n", "-B", "8192", f"tcp src port {port}"])
        with server, dump:
            wait_port(w.net, port, alive=server)
            wait_for(lambda: "listening on" in dump.output(), 10, "tcpdump")
            watch = subprocess.Popen([build("autocork"), "responses", "--for", "6s", "--port", str(port), "--json",
                                      "--control", w.agent.control], stdout=subprocess.PIPE, text=True)
            time.sleep(1)
            fetch(w.net, port, path, size)
            report = json.loads(watch.communicate(timeout=30)[0])
            segments = segments_of(dump)
        valid("responses", report)
        with open(trace, encoding="utf-8") as file:
            return [p for p in report["patterns"] if p["side"] == "server"], traced(file.read()), segments


def exact(path, size=SIZE):
    patterns, calls, segments = reported(path, size)

    def total(name):
        return sum(p[name]["total"] if isinstance(p[name], dict) else p[name] for p in patterns)
    equal((len(calls), total("responses")), (REQUESTS, REQUESTS), "responses: strace, report")
    for name in "writes", "bytes", "nodelay_calls", "cork_calls":
        equal(total(name), sum(call[name] for call in calls), name + ": report, strace")
    writes = [call["writes"] for call in calls]
    equal((min(p["writes"]["min"] for p in patterns), max(p["writes"]["max"] for p in patterns)),
          (min(writes), max(writes)), "fewest, most writes: report, strace")
    equal(total("segments") + total("retransmits"), segments, "data segments: report, tcpdump")
    for p in patterns:
        print(f"# {p['responses']} x: writes {p['writes']['mean']:.1f}, TCP_NODELAY {p['nodelay_calls']}, TCP_CORK "
              f"{p['cork_calls']} (idle {p['idle_calls']}), segments {p['segments']['mean']:.1f}, waste "
              f"{[(u['name'], u['responses'], u['amount']) for u in p['waste']]}", flush=True)
    return patterns


def test_tiny():
    """a tiny response"""
    exact("/tiny", 5)


def test_modest():
    """header and body of modest size"""
    exact("/")


def test_sendfile():
    """a file"""
    exact("/sendfile")


def test_continuous():
    """a continuous response of 20 pieces"""
    exact("/continuous", 20 * SIZE)


if __name__ == "__main__":
    main(globals())
