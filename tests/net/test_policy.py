#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Policies on live flows: the data path puts each flow under the policy that `autocork policy show --match` names."""
import contextlib
import ctypes
import os
import pathlib
import select
import socket

from lib import Stream, check, equal, main, wait_for, world

PR_SET_NAME = 15
POLICIES = """
[policy rest]
mode = observe
[policy range]
ports = 7000-7099
mode = observe
[policy port]
ports = 7001
mode = observe
[policy port-server]
ports = 7002
side = server
mode = observe
[policy port-client]
ports = 7002
side = client
mode = observe
[policy pattern]
programs = ac-*
mode = observe
[policy exact]
programs = ac-[0-9], ac-exact
mode = observe
[policy group]
cgroups = {inner}
mode = observe
[policy net]
peers = 127.0.0.8/29, fd00::/8, 127.1.0.0/16
mode = observe
[policy host]
peers = 127.0.0.9, ::1
ports = 7003
mode = observe
"""


@contextlib.contextmanager
def named(name):
    """This thread under another name."""
    libc = ctypes.CDLL(None)
    with open("/proc/thread-self/comm", encoding="ascii") as comm:
        old = comm.read().strip()
    libc.prctl(PR_SET_NAME, name.encode())
    try:
        yield
    finally:
        libc.prctl(PR_SET_NAME, old.encode())


def explained(agent, port, flow, cgroup):
    question = f"port={port} side={flow['side']} peer={flow['remote']} program={flow['program']} cgroup={cgroup}"
    return agent.ask("policy", "show", "--match", question)[0]["policy"]


def check_flow(w, expected, port, address="127.0.0.1", connect=None, name="python3", cgroup="/"):
    """expected: policies of the client's and of the server's end."""
    with named(name), Stream(w.net, address, connect=connect, port=port) as stream:
        stream.exchange(rounds=2)
        flows = [flow for flow in w.agent.flows() if port in (flow["local_port"], flow["remote_port"])]
        found = {flow["side"]: flow for flow in flows}
        what = f"port {port}, {connect or address}, {name}"
        equal(sorted(found), ["client", "server"], f"{what}: sides of the flows seen")
        for side, wanted in zip(("client", "server"), expected):
            equal(found[side]["policy"], wanted, f"{what}: policy of the {side}")
            equal(explained(w.agent, port, found[side], cgroup), wanted, f"{what}: what is explained of the {side}")


def path_of(group):
    """A cgroup as policies name it."""
    path, parts = group.path, []
    while (path.parent / "cgroup.procs").exists():
        parts.insert(0, path.name)
        path = path.parent
    return "/" + "/".join(parts)


def test_most_specific():
    """the most specific policy takes each flow, on both sides, IPv4, IPv6 and v4-mapped"""
    with world("[policy start]\nmode = observe\n") as w:
        inner = w.group.child("inner")
        w.agent.reload(POLICIES.format(inner=path_of(inner)))
        check_flow(w, ("rest", "rest"), 9000)
        check_flow(w, ("range", "range"), 7050)
        check_flow(w, ("port", "port"), 7001)
        check_flow(w, ("port-client", "port-server"), 7002)
        check_flow(w, ("pattern", "pattern"), 7001, name="ac-other")
        check_flow(w, ("exact", "exact"), 7001, name="ac-exact")
        check_flow(w, ("net", "range"), 7050, "127.0.0.10")
        check_flow(w, ("net", "range"), 7050, "::", connect="127.1.2.3")
        check_flow(w, ("host", "range"), 7003, "127.0.0.9")
        check_flow(w, ("host", "host"), 7003, "::1")
        check_flow(w, ("rest", "rest"), 7103, "::1")
        inner.add("0")  # this process
        check_flow(w, ("group", "group"), 7001, cgroup=path_of(inner))
        check_flow(w, ("group", "group"), 7001, cgroup=path_of(inner), name="ac-exact")
        check_flow(w, ("host", "host"), 7003, "::1", cgroup=path_of(inner))
        w.group.add("0")


def test_cgroup_comes_and_goes():
    """a control group that is made after the policies counts from then on, also when it is made anew"""
    with world("[policy start]\nmode = observe\n") as w:
        name = path_of(w.group) + "/later"
        w.agent.reload(f"[policy rest]\nmode = observe\n[policy later]\ncgroups = {name}\nmode = observe\n")

        def exists():
            return w.agent.ask("policy", "show")[0]["cgroups"] == [{"path": name, "exists": True}]

        check(not exists(), "it exists already")
        for _ in range(2):
            check_flow(w, ("rest", "rest"), 7001)
            later = w.group.child("later")
            wait_for(exists, 10, "the agent sees it come")
            later.add("0")
            check_flow(w, ("later", "later"), 7001, cgroup=name)
            w.group.add("0")
            later.remove()
            del w.group.children["later"]
            wait_for(lambda: not exists(), 10, "the agent sees it go")


STAYS = """[policy rest]
mode = observe
[policy inner]
cgroups = {inner}
mode = observe
"""


def test_listener_that_stays():
    """each connection to one listener is matched by itself: by its peer, by its listener's control group, after a
    reload"""
    with world() as w, contextlib.ExitStack() as stack:
        inner = w.group.child("inner")
        policies = STAYS.format(inner=path_of(inner))
        w.agent.reload(policies)
        listeners = []
        with w.net.inside():
            for group in w.group, inner:
                group.add("0")
                listener = stack.enter_context(socket.socket())
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                listener.bind(("0.0.0.0", 7003))
                listener.listen()
                listener.setblocking(False)
                listeners.append(listener)
            w.group.add("0")

        def policy_of(source):
            """Of a connection from there: (which of the listeners got it, the policy of the server's end)."""
            with w.net.inside():
                client = socket.create_connection(("127.0.0.1", 7003), source_address=(source, 0))
            with client:
                wait_for(lambda: select.select(listeners, [], [], 0)[0], 5, "the connection to come in")
                got = listeners.index(select.select(listeners, [], [], 0)[0][0])
                with listeners[got].accept()[0]:
                    port = client.getsockname()[1]
                    return (got, *[flow["policy"] for flow in w.agent.flows() if flow["side"] == "server" and
                                   flow["remote_port"] == port])

        def check_all(expected, sources=("127.0.0.1",)):
            """expected: for each listener and source."""
            seen = {}

            def complete():
                for source in sources:
                    got, *policy = policy_of(source)
                    seen.setdefault((got, source), set()).update(policy or [None])
                return len(seen) == len(expected)
            # The kernel spreads them by their ports.
            wait_for(complete, 20, "connections to both")
            for _ in range(4):
                complete()
            equal(seen, {key: {policy} for key, policy in expected.items()}, "policies by listener and source")

        check_all({(0, "127.0.0.1"): "rest", (1, "127.0.0.1"): "inner"})
        w.agent.reload(policies.replace("inner]", "other]"))
        check_all({(0, "127.0.0.1"): "rest", (1, "127.0.0.1"): "other"})
        w.agent.reload(policies.replace("observe", "off", 1))
        check_all({(0, "127.0.0.1"): None, (1, "127.0.0.1"): "inner"})
        w.agent.reload(f"{policies}[policy host]\npeers = 127.0.0.9\nports = 7003\nmode = observe\n")
        check_all({(0, "127.0.0.1"): "rest", (1, "127.0.0.1"): "inner", (0, "127.0.0.9"): "host",
                   (1, "127.0.0.9"): "host"}, ("127.0.0.1", "127.0.0.9"))
        w.agent.reload(policies)
        check_all({(0, "127.0.0.9"): "rest", (1, "127.0.0.9"): "inner"}, ("127.0.0.9",))


POD = "0f7a3b52-91de-4c0a-8e55-{:012x}"


def test_pods_and_patterns():
    """patterns of control groups, and pods by the names of their logs: what they stand for is followed as it comes and
    goes"""
    with world("[policy start]\nmode = observe\n") as w, contextlib.ExitStack() as undo:
        base = path_of(w.group)
        namespace = f"ac-{os.getpid()}"
        w.agent.reload(f"[policy rest]\nmode = observe\n[policy web]\npods = {namespace}/web-*\nmode = observe\n"
                       f"[policy job]\ncgroups = {base}/job-*\nmode = observe\n")

        def groups():
            return sorted(group["path"] for group in w.agent.ask("policy", "show")[0]["cgroups"])

        equal(groups(), [], "control groups at first")
        check_flow(w, ("rest", "rest"), 7001)
        logs = pathlib.Path("/var/log/pods")
        for directory in logs, pathlib.Path("/var/log/containers"):
            if not directory.exists():
                directory.mkdir()
                undo.callback(directory.rmdir)
        for i, (pod, policy) in enumerate((("web-1", "web"), ("web-2", "web"), ("db-0", "rest"))):
            uid = POD.format(os.getpid() * 8 + i)
            name = f"pod{uid.replace('-', '_')}.slice"
            entry = logs / f"{namespace}_{pod}_{uid}"
            entry.mkdir()
            undo.callback(lambda entry=entry: entry.exists() and entry.rmdir())
            group = w.group.child(name)
            if policy == "web":
                wait_for(lambda: groups() == [f"{base}/{name}"], 10,
                         f"{pod} to be seen")  # pylint: disable=cell-var-from-loop
            group.add("0")
            check_flow(w, (policy, policy), 7001, cgroup=f"{base}/{name}")
            w.group.add("0")
            entry.rmdir()
            group.remove()
            del w.group.children[name]
            wait_for(lambda: groups() == [], 10, f"{pod} to be gone")
        job = w.group.child("job-1")
        wait_for(lambda: groups() == [f"{base}/job-1"], 10, "job-1 to be seen")
        job.add("0")
        check_flow(w, ("job", "job"), 7001, cgroup=f"{base}/job-1")
        w.group.add("0")


def test_directory_is_followed():
    """files that change are in force a moment later without a word; a wrong one changes nothing and is named; a
    ConfigMap too"""
    with world("[policy web]\nports = 7001\nmode = observe\n") as w:
        def reloads():
            state = w.agent.status()["policy"]["reload"]
            return state["good"], state["bad"]

        w.agent.write_policy("[policy later]\nports = 7001\nside = server\nmode = observe\n", "later.conf")
        wait_for(lambda: reloads() == (2, 0), 10, "the reload")
        check_flow(w, ("web", "later"), 7001)
        w.agent.write_policy("[policy wrong]\nmode = offf\n", "wrong.conf")
        wait_for(lambda: reloads() == (2, 1), 10, "the refusal")
        state = w.agent.status()["policy"]["reload"]
        check(not state["ok"] and "wrong.conf:2" in state["error"], f"the refusal says: {state}")
        check_flow(w, ("web", "later"), 7001)
        (w.agent.policies / "wrong.conf").unlink()
        wait_for(lambda: reloads() == (3, 1), 10, "the reload without it")

        for name in "first", "second":
            (w.agent.policies / f"..{name}").mkdir()
            (w.agent.policies / f"..{name}" / "map.conf").write_text(
                f"[policy {name}]\nports = 7001\nside = client\nmode = observe\n")
        os.symlink("..first", w.agent.policies / "..data")
        os.symlink("..data/map.conf", w.agent.policies / "map.conf")
        wait_for(lambda: reloads() == (4, 1), 10, "the reload of the ConfigMap")
        check_flow(w, ("first", "later"), 7001)
        os.symlink("..second", w.agent.policies / "..data_tmp")
        os.rename(w.agent.policies / "..data_tmp", w.agent.policies / "..data")
        wait_for(lambda: reloads() == (5, 1), 10, "the reload of the ConfigMap's next version")
        check_flow(w, ("second", "later"), 7001)


def test_reload_takes_all_or_nothing():
    """an invalid file changes nothing; a drop-in changes what it names; thousands of policies come and go"""
    with world("[policy web]\nports = 7001\nmode = observe\n") as w:
        check_flow(w, ("web", "web"), 7001)
        w.agent.write_policy("[policy other]\nports = 7001\nside = server\nmode = observe\n[policy web]\nmode = offf\n",
                             "60-bad.conf")
        try:
            w.agent.reload("[policy web]\nports = 7001\nmode = observe\n")
        except AssertionError as error:
            check("60-bad.conf:6: mode: unknown word \"offf\"" in str(error), f"the error says: {error}")
        else:
            raise AssertionError("an invalid file was accepted")
        check_flow(w, ("web", "web"), 7001)
        w.agent.write_policy("[policy web]\nports = 7002\n", "zz-local.conf")
        w.agent.write_policy("", "60-bad.conf")
        w.agent.reload("[policy web]\nports = 7001\nmode = observe\n[policy rest]\nmode = observe\n")
        check_flow(w, ("rest", "rest"), 7001)
        check_flow(w, ("web", "web"), 7002)
        w.agent.write_policy("".join(f"[policy p{i}]\nports = {1 + i}\nmode = observe\n" for i in range(10000)),
                             "many.conf")
        w.agent.write_policy("", "zz-local.conf")
        w.agent.reload("[policy rest]\nmode = observe\n")
        check_flow(w, ("p7004", "p7004"), 7005)
        check_flow(w, ("rest", "rest"), 17005)


main(globals())
