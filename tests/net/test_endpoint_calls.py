#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""What single calls give on the program's own TCP, beside what they give on the kernel's."""
from agent import ROOT
from endpoint import KERNEL_PORT, PORT, Endpoint, private_mounts
from netns import Pair
from tap import check, main


def test_stories():
    """signals, no descriptor left, dup, calls by number, small stacks, threads, timeouts, SO_LINGER, O_NONBLOCK, half
    close, SIGPIPE, sendfile, epoll in epoll, options: the same ends on both"""
    with Endpoint() as point:
        home = f"/proc/{point.a.resident.pid}/ns/net"
        run = point.run("python3", str(ROOT / "tests/net/endpoint_calls.py"), home, Pair.B4, PORT, KERNEL_PORT)
        text = run.wait(110)
        check(point.steered() > 100, f"one half of it is steered: {point.steered()}")
        check("stories, 0 with another end" in text, "\n".join(line for line in text.splitlines() if line[:1] != "#"))


if __name__ == "__main__":
    private_mounts()
    main(globals())
