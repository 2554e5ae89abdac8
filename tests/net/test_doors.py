#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""The agent's doors: what other users of the machine can do to it, and what it may do itself."""
import contextlib
import os
import pathlib
import re
import signal
import socket
import stat
import subprocess
import tempfile
import time
import urllib.parse
import urllib.request

from cgroup import root as cgroup_root
from lib import OBSERVE, Agent, Cgroup, Net, build, check, control, equal, forked, main, no_agent

AGENT_LOCK = pathlib.Path("/run/autocork/agent.lock")


def mode_of(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def test_locks_are_its_own():
    """nobody else may open the agent's locks, not even those that an earlier version left"""
    with Agent() as agent:
        agent.stop()
        lock = pathlib.Path(agent.control + ".lock")
        lock.touch(0o644)
        lock.chmod(0o644)
        agent.start()
        equal((oct(mode_of(lock)), oct(mode_of(AGENT_LOCK))), ("0o600", "0o600"), "modes of the locks")


def test_confined_by_hand():
    """started by hand it gains no privileges and filters its system calls, as under its unit"""
    with Agent() as agent:
        status = pathlib.Path(f"/proc/{agent.process.pid}/status").read_text()
        equal(re.search(r"NoNewPrivs:\s*(\d)", status)[1], "1", "no_new_privs")
        equal(re.search(r"Seccomp:\s*(\d)", status)[1], "2", "seccomp")
        agent.reload("[policy all]\nmode = observe\n")


def test_few_descriptors():
    """with 100 descriptors it manages if it may have more, observes and says so if not, and answers either way"""
    with Agent() as agent:
        agent.stop()
        agent.command = ["prlimit", "--nofile=100:100", *agent.command]
        agent.start()
        raised = "descriptors: at most 100" not in agent.log()
        equal(agent.status()["agent"]["mode"], "autocork" if raised else "observe", "mode")
        clients = []
        for _ in range(10):
            clients.append(socket.socket(socket.AF_UNIX))
            clients[-1].connect(agent.control)
        check(agent.services() is not None, "services are listed")
        for client in clients:
            client.close()
    with Agent() as agent:
        agent.stop()
        agent.command = ["prlimit", "--nofile=100:4096", *agent.command]
        agent.start()
        equal(agent.status()["agent"]["mode"], "autocork", "mode where the limit can be raised")


def other_agent(agent, *before):
    """Another agent, started behind these words: its exit code and what it says."""
    with tempfile.TemporaryDirectory() as directory:
        command = [*before, build("autocorkd"), "--control", directory + "/c.sock", "--policy-dir", str(agent.policies)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
        except subprocess.TimeoutExpired:
            return None, "it runs"
        return done.returncode, done.stderr


def test_second_agent_elsewhere():
    """an agent with a /run of its own finds the first one's heartbeat in the kernel and ends; a killed one is no
    obstacle"""
    elsewhere = "unshare", "-m", "sh", "-c", 'mount -t tmpfs none /run && exec "$0" "$@"'
    with Cgroup() as group, Agent(group) as agent:
        code, said = other_agent(agent, *elsewhere)
        equal(code, 1, f"exit code of the second ({said})")
        check("another autocorkd" in said and "bpftool map show id" in said, said)
        equal(agent.status()["agent"]["mode"], "autocork", "the first one's mode")
        agent.kill()
        agent.start()
        equal(agent.status()["agent"]["mode"], "autocork", "mode after the restart")


def test_cgroup_namespace():
    """of a part of the control groups only, it does not start and says what to give; given the machine's, it does"""
    own = 'umount -R /sys/fs/cgroup; mkdir -p /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup'
    enter = "unshare", "--cgroup", "--mount", "sh", "-ec"
    with Cgroup() as group, Agent(policy=OBSERVE) as agent:
        agent.stop()
        group.enter()
        with no_agent():
            code, said = other_agent(agent, *enter, own + '; exec "$0" "$@"')
        equal(code, 4, f"exit code ({said})")
        check("--cgroupns=host" in said and "-v /sys/fs/cgroup:" in said, said)
        host = agent.directory / "host"
        host.mkdir()
        agent.command = [*enter, f'mount --bind {cgroup_root()} {host}; {own}; exec "$0" "$@"', *agent.command]
        agent.start()
        equal(agent.status()["agent"]["mode"], "autocork", "mode")


def heartbeat_us():
    return control("alive_until_us")


def least_heartbeat(seconds, meanwhile):
    """meanwhile() again and again: how many seconds the heartbeat was ahead at least, negative if it was late."""
    least, end = float("inf"), time.monotonic() + seconds
    while time.monotonic() < end:
        meanwhile()
        least = min(least, heartbeat_us() / 1e6 - time.monotonic())
    return least


def test_many_requests():
    """clients that ask for thousands of things at once starve neither the heartbeat nor a SIGTERM"""
    request = b'{"op": "status"}\n'
    with Agent() as agent:
        clients = []
        for _ in range(40):
            client = socket.socket(socket.AF_UNIX)
            client.connect(agent.control)
            client.setblocking(False)
            clients.append(client)

        def ask_on():
            for client in clients:
                try:
                    client.send(request * 3000)
                except BlockingIOError:
                    pass
                try:
                    client.recv(1 << 20)
                except BlockingIOError:
                    pass

        least = least_heartbeat(4, ask_on)
        check(least > 0, f"the heartbeat was {-least:.1f} s late")
        begun = time.monotonic()
        agent.process.send_signal(signal.SIGTERM)
        agent.process.wait(10)
        check(time.monotonic() - begun < 3, f"SIGTERM took {time.monotonic() - begun:.1f} s")
        agent._gone()
        for client in clients:
            client.close()


def write_on(net):
    """For some seconds, as fast as it can; reads what it wrote."""
    with net.inside(), socket.create_server(("127.0.0.1", 0)) as listener, \
            socket.create_connection(listener.getsockname()) as client:
        server = listener.accept()[0]
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        end = time.monotonic() + 12
        while time.monotonic() < end:
            for _ in range(100):
                client.send(b"x")
            server.recv(1 << 16)


def test_many_events():
    """programs that write faster than the agent can tell a listener of it starve neither the heartbeat nor a client"""
    with Net() as net, Agent(policy=OBSERVE) as agent, contextlib.ExitStack() as stack:
        os.setpriority(os.PRIO_PROCESS, agent.process.pid, 10)
        for _ in os.sched_getaffinity(0):
            stack.enter_context(forked(lambda ready: (ready(), write_on(net))))
        listener = stack.enter_context(subprocess.Popen(
            [build("autocork"), "events", "--type", "write", "--json", "--control", agent.control],
            stdout=subprocess.DEVNULL))
        try:
            time.sleep(2)
            least = least_heartbeat(5, agent.status)
        finally:
            listener.kill()
        check(least > 0, f"the heartbeat was {-least:.1f} s late")


def test_idle_readers():
    """a user who keeps 49 connections to the metrics page open, without a word, takes it from nobody"""
    with Agent(policy=OBSERVE + "[agent]\nmetrics = 127.0.0.1:0\n") as agent:
        url = agent.status()["metrics_url"]
        parts = urllib.parse.urlsplit(url)

        def nobody(ready):
            os.setgid(65534)
            os.setuid(65534)
            idle = [socket.socket() for _ in range(49)]
            for client in idle:
                client.connect((parts.hostname, parts.port))
            ready()
            signal.pause()

        with forked(nobody):
            begun = time.monotonic()
            with urllib.request.urlopen(url, timeout=20) as page:
                check(b"autocork_" in page.read(), "the page")
            check(time.monotonic() - begun < 10, f"the page took {time.monotonic() - begun:.1f} s")


main(globals())
