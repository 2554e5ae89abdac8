#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""The agent comes and goes, is killed, reloaded, started twice: programs notice nothing, and nothing stays in the
kernel."""
import contextlib
import json
import random
import socket
import signal
import struct
import subprocess
import threading
import time

from lib import (MANAGE, OBSERVE, OFF, PATIENT, Agent, Net, Program, Stream, build, check, congestion, equal, free_port,
                 main, tcp_info, wait_for, wait_port, world)

STALL_S = 5	# far above anything the agent may add, far below a test's limit


def timely(stream, rounds=50):
    """Requests go on, none of them stalls. Returns segments per request."""
    slowest, before = 0.0, tcp_info(stream.client)["data_segs_out"]
    for _ in range(rounds):
        start = time.monotonic()
        stream.exchange()
        slowest = max(slowest, time.monotonic() - start)
    check(slowest < STALL_S, f"a request took {slowest:.1f} s")
    return (tcp_info(stream.client)["data_segs_out"] - before) / rounds


def unmanaged(segments, what):
    """5 writes are 5 segments; on a busy machine a probe for a lost tail may add one."""
    check(5.0 <= segments < 5.2, f"{what}: {segments}, not 5.0")


def struct_ops():
    """Numbers of the struct_ops maps in the kernel; others than ours may come and go."""
    out = subprocess.run(["bpftool", "-j", "map", "show"], capture_output=True, text=True, check=False).stdout
    return {entry["id"] for entry in json.loads(out or "[]") if entry.get("type") == "struct_ops"}


def gone(mine):
    check(mine, "the agent registered nothing")
    wait_for(lambda: not mine & struct_ops(), 10, "nothing of the agent's left in the kernel")


def test_stop():
    """a clean stop gives every flow back, and leaves nothing in the kernel"""
    before = struct_ops()
    with world() as w, Stream(w.net) as one, Stream(w.net, "::1") as two:
        mine = struct_ops() - before
        w.learn(one)
        w.learn(two)
        check(w.net.wrapped() > 0, "no flow was managed")
        w.give_back(one, two)
        unmanaged(timely(one), "segments per request without the agent")
        gone(mine)


def test_kill():
    """kill -9: flows live on, nothing is held any more, nothing stalls"""
    with world() as w, Stream(w.net) as stream, Stream(w.net, no_delay=False) as nagle:
        w.learn(stream)
        w.learn(nagle)
        data = w.hold(stream)
        w.agent.kill()
        equal(stream.receive(stream.server, len(data)), data, "what was held when it was killed")
        stream.server.sendall(b"ok")
        stream.receive(stream.client, 2)
        timely(stream, 20)
        timely(nagle, 20)
        # Once the heartbeat is stale: as if unmanaged, and for good.
        wait_for(lambda: timely(stream, 5) >= 5.0, 10, "flows behave as if unmanaged")
        time.sleep(1.5)
        unmanaged(timely(stream, 500), "segments per request, long after the agent was killed")


def test_kill_under_load():
    """kill -9 in the middle of a client's run: no byte differs, the run ends"""
    with world() as w:
        port = free_port(w.net)
        with Program(w.net, [build("autocork"), "bench", "server", "--port", port], w.servers) as server:
            wait_port(w.net, port, alive=server)
            with Program(w.net, [build("autocork"), "bench", "client", "--host", "127.0.0.1", "--port", port,
                                 "--no_delay",
                                 "--check", "--echo", "--messages", 30000, "--connections", 4], w.clients) as client:
                wait_for(lambda: w.net.wrapped() > 0, 10, "a managed flow")
                w.agent.kill()
                client.wait(100)


def test_restart_takes_over():
    """a restart after kill -9 takes live flows over and learns again"""
    before = struct_ops()
    with world() as w, Stream(w.net) as stream:
        w.learn(stream)
        w.agent.kill()
        timely(stream, 5)
        w.agent.start()
        mine = struct_ops() - before
        w.learn(stream)
        w.give_back(stream)
        gone(mine)


def test_restart_with_another_policy():
    """flows that an agent which was killed had managed are given back where the policy leaves them alone by now"""
    with world() as w, Stream(w.net) as stream:
        w.learn(stream)
        w.agent.kill()
        equal(congestion(stream.client), "autocork_cubic", "what the killed agent has left")
        w.agent.write_policy(OFF)
        w.agent.start()
        equal(w.net.wrapped(), 0, "flows on a wrapper")
        stream.exchange(rounds=3)


def test_restarts():
    """five restarts under a flow that never rests"""
    with world() as w, Stream(w.net) as stream:
        for number in range(5):
            timely(stream, 100)
            if number % 2:
                w.agent.kill()
            else:
                w.agent.stop()
            timely(stream, 20)
            w.agent.start()
        w.learn(stream)
        w.give_back(stream)


def come_and_go(w, stop, slowest, seed):
    """Connections one after the other, each with a rhythm and an end of its own."""
    dice = random.Random(seed)
    while not stop.is_set():
        with Stream(w.net, dice.choice(("127.0.0.1", "::1"))) as stream:
            writes = dice.choice((1, 3, 5, 15))
            for _ in range(dice.randrange(1, 60)):
                start = time.monotonic()
                stream.exchange(writes if dice.random() < 0.9 else dice.choice((1, 2, 3)))
                slowest[0] = max(slowest[0], time.monotonic() - start)
            for _ in range(dice.randrange(4)):
                stream.client.sendall(b"x")
            if dice.random() < 0.3:
                stream.client.shutdown(socket.SHUT_WR)
            elif dice.random() < 0.3:
                stream.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def guarded(failures, function, *arguments):
    try:
        function(*arguments)
    except Exception as error:  # handed to the main thread
        failures.append(repr(error))


def goes_on(stream, stop, slowest):
    """Requests on a connection that lives through all of it."""
    while not stop.is_set():
        start = time.monotonic()
        stream.exchange()
        slowest[0] = max(slowest[0], time.monotonic() - start)


def test_churn():
    """flows live on, come and go while the agent is killed, stopped and reloaded: none stalls or stays on a wrapper"""
    before, stop, slowest, failures = struct_ops(), threading.Event(), [0.0], []

    def settled(policy):
        """Flows are on wrappers where a policy manages them, and no others are, whoever put them there."""
        wanted = "autocork" in policy
        wait_for(lambda: (w.net.wrapped() > 0) == wanted, 20, f"flows managed: {wanted}")
    with world() as w, Stream(w.net) as stream:
        work = [(goes_on, stream, stop, slowest), *((come_and_go, w, stop, slowest, seed) for seed in range(4))]
        threads = [threading.Thread(target=guarded, args=(failures, *one)) for one in work]
        for thread in threads:
            thread.start()
        try:
            # Under the one policy it is killed, under the other it starts again.
            for policy, other in (PATIENT, OFF), (PATIENT, PATIENT), (OBSERVE, PATIENT), (PATIENT, OBSERVE):
                w.agent.reload(policy)
                settled(policy)
                w.agent.kill()
                w.agent.write_policy(other)
                w.agent.start()
                settled(other)
                w.agent.stop()
                equal(w.net.wrapped(), 0, "flows on a wrapper after a stop")
                w.agent.start()
            mine = struct_ops() - before
        finally:
            stop.set()
            for thread in threads:
                thread.join(30)
        check(not failures, "; ".join(failures))
        check(slowest[0] < STALL_S, f"a request took {slowest[0]:.1f} s")
        w.agent.stop()
        equal(w.net.wrapped(), 0, "flows on a wrapper at the end")
        gone(mine)


def test_ends_in_an_interrupt():
    """thousands of connections that a killed program leaves: the kernel ends many of them in an interrupt of the
    programs that see others end; each is counted as closed, and no record stays"""
    connections = 10000
    with world() as w, Program(w.net, [build("autocork"), "bench", "server", "--port", 7100], w.group) as server:
        wait_port(w.net, 7100, alive=server)
        for turn in range(1, 4):
            words = [build("autocork"), "bench", "client", "--no_delay", "--host", "127.0.0.1", "--port", 7100,
                     "--connections", connections, "--messages", 2 * connections, "--keep", 60]
            with Program(w.net, words, w.group) as client:
                wait_for(lambda client=client: "packets per message" in client.output(), 60, "the messages")
            for side in "client", "server":
                wait_for(lambda side=side, ends=turn * connections:
                         (w.agent.service(7100, side) or {}).get("flows_closed") == ends, 15,
                         f"{turn * connections} flows closed")


def test_adopt():
    """flows that exist already are adopted where the policy says so, and only there"""
    with world("[policy none]\nmode = off\n") as w, Stream(w.net) as stream, Stream(w.net, "::1") as six:
        for one in stream, six:
            unmanaged(one.exchange(rounds=20), "segments per request while off")
        w.agent.stop()
        w.agent.write_policy(PATIENT.replace("adopt = yes", "adopt = no"))
        w.agent.start()
        unmanaged(timely(stream, 100), "segments per request without adoption")
        w.agent.stop()
        w.agent.write_policy(PATIENT)
        w.agent.start()
        w.learn(stream)
        w.learn(six)
        w.give_back(stream, six)


def test_reload():
    """a reload puts another mode in force for new flows, by SIGHUP"""
    with world() as w:
        with Stream(w.net) as stream:
            w.learn(stream)
        w.agent.reload(OFF)
        with Stream(w.net) as stream:
            unmanaged(stream.exchange(rounds=50), "segments per request while off")
        w.agent.reload(PATIENT)
        with Stream(w.net) as stream:
            w.learn(stream)


def test_bad_reload():
    """a reload with a mistake keeps what is in force, and says where the mistake is"""
    with world() as w, Stream(w.net) as stream:
        w.learn(stream)
        with contextlib.suppress(AssertionError):
            w.agent.reload("[policy broken]\nmode = sometimes\n")
            raise RuntimeError("a mistake was accepted")
        reload = w.agent.status()["policy"]["reload"]
        equal((reload["ok"], reload["good"], reload["bad"]), (False, 1, 1), "the reload on record, and those before")
        check("test.conf:2" in reload["error"], f"the error does not name the place: {reload['error']}")
        check(stream.exchange(rounds=20) <= 1.1, "the flow is managed no longer")


def test_reload_within_a_hold():
    """what is held when a reload takes the flow off the gate leaves with it, not when the kernel's own timer says so"""
    bold = PATIENT.replace("50ms", "100ms", 1)
    took = []
    with world(bold) as w, Stream(w.net) as stream:
        for _ in range(3):
            w.learn(stream)
            data, start = w.hold(stream, 2), time.monotonic()
            w.agent.write_policy(OFF)  # and not before: a second later the agent would take it by itself
            w.agent.process.send_signal(signal.SIGHUP)
            equal(stream.receive(stream.server, len(data)), data, "what was held")
            took.append(time.monotonic() - start)
            wait_for(lambda: w.net.wrapped() == 0, 10, "the flow given back")
            stream.server.sendall(b"ok")
            stream.receive(stream.client, 2)
            w.agent.reload(bold)
    # That timer comes after 200 ms.
    check(min(took) < 0.09, f"what was held took {took}")


def test_second_instance():
    """a second agent on the same control socket refuses, and the first goes on"""
    with world() as w, Stream(w.net) as stream:
        w.learn(stream)
        done = subprocess.run(w.agent.command, capture_output=True, text=True, timeout=30, check=False)
        check(done.returncode == 1, f"exit code {done.returncode}: {done.stderr}")
        check(w.agent.control in done.stderr, f"the message does not name the socket: {done.stderr}")
        check(stream.exchange(rounds=20) <= 1.1, "the first agent's flow is managed no longer")


def test_namespaces():
    """flows of several network namespaces are managed, swept and given back"""
    with (world() as w, Net() as second, Net("reno") as third, Stream(second) as two, Stream(third) as three,
          Stream(w.net) as one):
        for stream in one, two, three:
            w.learn(stream)
            data = w.hold(stream)
            equal(stream.receive(stream.server, len(data)), data, "the bytes of a wrong hold")
            stream.server.sendall(b"ok")
            stream.receive(stream.client, 2)
        w.agent.stop()
        for stream, wanted in (one, "cubic"), (two, "cubic"), (three, "reno"):
            equal(congestion(stream.client), wanted, "the congestion control after the stop")
            timely(stream, 5)


def test_namespace_without_residents():
    """flows of a namespace that lives only by a descriptor are managed and given back"""
    with world() as w, Net(resident=False) as other, Stream(other) as stream:
        w.learn(stream)
        check(other.wrapped() > 0, "no flow was managed")
        w.agent.stop()
        equal(other.wrapped(), 0, "flows on a wrapper after the stop")


def test_outside_the_cgroup():
    """flows of other cgroups are left alone"""
    with world() as w:
        w.group.leave()
        with Stream(w.net) as stream:
            unmanaged(stream.exchange(rounds=100), "segments per request")
            equal(w.net.wrapped(), 0, "flows on a wrapper")


def test_no_privileges():
    """without privileges it refuses with a message, and leaves nothing"""
    before = struct_ops()
    done = subprocess.run(["setpriv", "--reuid=65534", "--clear-groups", "--bounding-set=-all", build("autocorkd"),
                           "--control", "/tmp/autocork-nobody.sock"], capture_output=True, text=True, timeout=30,
                           check=False)
    check(done.returncode in (1, 4), f"exit code {done.returncode}: {done.stderr}")
    check(done.stderr.strip(), "no message")
    equal(struct_ops() - before, set(), "struct_ops left in the kernel")


def test_idle():
    """an agent that starts and stops without any flow"""
    with Net(), Agent(policy=MANAGE) as agent:
        equal(agent.status()["totals"]["held"], 0, "writes held")


main(globals())
