#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""The container image: its size, that it holds a program's writes, that it leaves nothing, and what fails without each
mount and capability (the table of deploy/container/README.md)."""
import contextlib
import json
import pathlib
import subprocess
import tempfile

from podman import ROOT, Container, Podman
from lib import Cgroup, Net, Program, build, check, equal, free_port, main, no_agent, wait_for, wait_port

MOST_BYTES = 40_000_000
MANAGE = "[policy all]\nmode = autocork\nmax_hold = 20ms\n"


@contextlib.contextmanager
def container(policy=MANAGE, **more):
    with contextlib.ExitStack() as stack:
        directory = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="autocork-image-")))
        (directory / "test.conf").write_text(policy)
        podman, cgroup = stack.enter_context(Podman()), stack.enter_context(Cgroup())
        stack.enter_context(no_agent())
        yield stack.enter_context(Container(podman, cgroup, directory, **more)), cgroup


def struct_ops():
    out = subprocess.run(["bpftool", "-j", "struct_ops", "list"], capture_output=True, text=True, check=True).stdout
    return json.loads(out or "[]")


def segments(net, cgroup, port, messages):
    """Packets of one message of 15 writes."""
    with Program(net, [build("autocork"), "bench", "client", "--json", "--no_delay", "--host", "127.0.0.1", "--port",
                       str(port), "--messages", str(messages)], cgroup) as client:
        return json.loads(client.wait())["segments"]


def test_size():
    """the image has at most 40 MB, unpacked"""
    with Podman() as podman:
        size = json.loads(podman("inspect", podman.image))[0]["Size"]
    print(f"# {size / 1e6:.1f} MB")
    check(5_000_000 < size <= MOST_BYTES, f"{size} bytes")


def test_flow_is_held():
    """a flow of another container's kind is held: 15 writes, one packet; read-only; stopped without a trace"""
    with container() as (agent, cgroup), Net() as net:
        port = free_port(net)
        with Program(net, [build("autocork"), "bench", "server", "--port", str(port)], cgroup):
            wait_port(net, port)
            check(agent.started(), agent.log())
            held = wait_for(lambda: (lambda found: found if found < 2 else None)(segments(net, cgroup, port, 2000)), 60,
                            "packets of a message")
            equal(agent.stop(), 0, "exit code")
            equal(struct_ops(), [], "what is left in the kernel")
            free = segments(net, cgroup, port, 200)
        print(f"# {held:.2f} packets per message with the container, {free:.2f} after its end")
        check(held < 2, f"{held} packets per message")
        check(free > 12, f"{free} packets per message after the end")


def fails(what, text, code):
    """Without `what` the agent ends, and its last words have `text`."""
    with container(without=(what,)) as (agent, _):
        check(not agent.started(), f"it runs without {what}: {agent.log()}")
        check(text in agent.log().splitlines()[-1], agent.log())
        equal(agent.state()["ExitCode"], code, "exit code")


def test_without_host_cgroups():
    """without the host's control groups: exit 4, and what to do"""
    fails("cgroup", "cgroup", 4)


def test_without_run():
    """without a writable /run/autocork: no control socket"""
    fails("run", "/run/autocork", 1)


def without_what_starts(name):
    fails(name, f"CAP_{name}", 1)


def test_without_bpf():
    """without CAP_BPF it does not start, and says so"""
    without_what_starts("BPF")


def test_without_perfmon():
    """without CAP_PERFMON it does not start, and says so"""
    without_what_starts("PERFMON")


def test_without_net_admin():
    """without CAP_NET_ADMIN it does not start, and says so"""
    without_what_starts("NET_ADMIN")


def test_without_sys_admin():
    """without CAP_SYS_ADMIN it does not start, and says so"""
    without_what_starts("SYS_ADMIN")


def feature(name, without):
    with container(without=(without,)) as (agent, _):
        check(agent.started(), agent.log())
        found = {row["name"]: row for row in agent.ask("status")["features"]}
        print(f"# without {without}: " + "; ".join(f"{n}: {row['reason']}" for n, row in found.items()
                                                  if not row["works"]))
        return found[name]["works"], agent.ask("status")["agent"]["mode"]


def test_without_sys_ptrace():
    """without CAP_SYS_PTRACE nothing can be released, so nothing is held; the agent says so"""
    equal(feature("release", "SYS_PTRACE"), (False, "observe"), "release, mode")


def test_without_host_pids():
    """without the host's processes nothing can be released, so nothing is held; the agent says so"""
    equal(feature("release", "pid"), (False, "observe"), "release, mode")


main(globals())
