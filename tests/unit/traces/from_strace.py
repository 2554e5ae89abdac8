#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Makes a trace for `autocork replay` from an strace of a server or a client.

  strace -f -ttt -yy -s 0 -e trace=network,read,write,readv,writev,sendfile,close,epoll_wait,poll,select -o LOG PROGRAM…
  from_strace.py [--port PORT] [--events N] [--divide N] [--note TEXT] LOG > NAME.trace

Every TCP connection that the program reads or writes becomes a flow. --port keeps connections of that local or remote
port. A wait (poll, epoll_wait, select) counts for the flows that the thread wrote to since its last wait.
"""
import argparse
import re
import sys

LINE = re.compile(r"^(\d+)\s+(\d+\.\d+) (.*)$")
CALL = re.compile(r"^(\w+)\((?:(\d+)<(TCP[^>]*->[^>]*)>)?")
RESULT = re.compile(r"\)\s+= (-?\d+)")
RESUMED = re.compile(r"^<\.\.\. (\w+) resumed>")
WRITES = {"write", "writev", "send", "sendto", "sendmsg", "sendfile"}
READS = {"read", "readv", "recv", "recvfrom", "recvmsg"}
WAITS = {"poll", "ppoll", "select", "pselect6", "epoll_wait", "epoll_pwait"}


def calls(lines):
    """(entry time in us, thread, name, connection, result) of each finished call, by entry time."""
    unfinished, done = {}, []
    for line in lines:
        match = LINE.match(line)
        if not match:
            continue
        thread, text = match[1], match[3]
        now = round(float(match[2]) * 1e6)
        if RESUMED.match(text):
            start = unfinished.pop(thread, None)
            if not start:
                continue
            now, name, connection = start
        else:
            call = CALL.match(text)
            if not call:
                continue
            name, connection = call[1], call[3]
            if text.endswith("<unfinished ...>"):
                unfinished[thread] = now, name, connection
                continue
        result = RESULT.search(text)
        done.append((now, thread, name, connection, int(result[1]) if result else 0))
    done += [(now, thread, name, connection, 0) for thread, (now, name, connection) in unfinished.items()]
    return sorted(done, key=lambda call: call[0])


def events(done, port, divide):
    flows, spoke, count, first = {}, {}, 0, None
    for now, thread, name, connection, result in done:
        first = now if first is None else first
        if name in WAITS:
            for flow in sorted(spoke.pop(thread, ())):
                yield (now - first) // divide, "p", 0, flow
            continue
        if not connection or port and f":{port}]" not in connection and f":{port}-" not in connection:
            continue
        if connection not in flows:
            flows[connection] = count
            count += 1
        flow = flows[connection]
        if name in WRITES and result > 0:
            spoke.setdefault(thread, set()).add(flow)
            yield (now - first) // divide, "w", result, flow
        elif name in READS:
            yield (now - first) // divide, "r", max(result, 0), flow
        elif name in ("close", "shutdown"):
            yield (now - first) // divide, "c", 0, flow
            if name == "close":
                del flows[connection]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int)
    parser.add_argument("--events", type=int, default=4000)
    parser.add_argument("--divide", type=int, default=1, help="divide times by this: strace stretches them")
    parser.add_argument("--note", action="append", default=[])
    parser.add_argument("log")
    options = parser.parse_args()
    with open(options.log, encoding="utf-8", errors="replace") as log:
        lines = log.readlines()
    done = calls(lines)
    nodelay = any("TCP_NODELAY, [1]" in line for line in lines)
    print(f"autocork-trace 1 nodelay={nodelay:d} mss=65483 rtt=50")
    for note in options.note:
        print("#", note)
    writing = set()
    for i, (now, kind, size, flow) in enumerate(events(done, options.port, options.divide)):
        # Cut between bursts, not in the middle of one.
        if i >= options.events and not writing:
            break
        (writing.add if kind == "w" else writing.discard)(flow)
        print(now, kind, *((size, flow) if flow else (size,) if size else ()))


if __name__ == "__main__":
    sys.exit(main())
