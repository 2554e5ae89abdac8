#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Telemetry against real flows: counters that equal what was sent, the metrics page, events, advice, trials, bad
clients."""
import contextlib
import json
import os
import queue
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.request

import cgroup
from lib import Program, Stream, build, check, control, equal, main, program, tcp_info, wait_for, world
from schemas import valid
from servers import Nginx

HTTP = "[agent]\nmetrics = 127.0.0.1:0\nseries = all\n"
OBSERVED = HTTP + "[policy all]\nmode = observe\nmax_hold = 50ms\nburst_gap = 50ms\npacket_worth = 10ms\n"
MANAGED = HTTP + "[policy all]\nmode = autocork\nmax_hold = 50ms\nburst_gap = 50ms\npacket_worth = 10ms\nadopt = yes\n"
WRITES, SIZE, ROUNDS = 15, 20, 200


def get(agent, path="/metrics", accept="application/openmetrics-text"):
    url = agent.status()["metrics_url"].removesuffix("/metrics") + path
    with urllib.request.urlopen(urllib.request.Request(url, headers={"Accept": accept}), timeout=10) as answer:
        return answer.read().decode()


def samples(page, name, **labels):
    """Values of a metric's samples that have these labels."""
    rows = re.findall(rf"^autocork_{name}(?:{{(.*)}})? (\S+)$", page, re.M)
    return [float(value) for text, value in rows if all(f'{k}="{v}"' in text for k, v in labels.items())]


def wait_until_asked(agent, process):
    """Returns when the agent has taken the request of that client."""
    def waits():
        """It sleeps with a connection, or has ended."""
        try:
            with open(f"/proc/{process.pid}/stat", encoding="utf-8") as file:
                sleeps = file.read().rsplit(")", 1)[1].split()[0] == "S"
            files = [os.readlink(entry.path) for entry in os.scandir(f"/proc/{process.pid}/fd")]
        except FileNotFoundError:
            return process.poll() is not None
        return process.poll() is not None or sleeps and any(name.startswith("socket:") for name in files)
    wait_for(waits, 30, "the client's request")
    # The agent takes one request after the other.
    agent.ask("status")


class Listener:
    """`autocork events` or `explain` in the background."""

    def __init__(self, agent, *words):
        self.process = subprocess.Popen([build("autocork"), *words, "--json", "--control", agent.control],
                                        stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True)
        self.lines = queue.Queue()
        threading.Thread(target=lambda: [self.lines.put(line) for line in self.process.stdout], daemon=True).start()
        wait_until_asked(agent, self.process)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.process.kill()
        self.process.wait()

    def read(self, until, seconds=15):
        """Events up to the first for which `until` holds."""
        seen, end = [], time.monotonic() + seconds
        while time.monotonic() < end:
            with contextlib.suppress(queue.Empty):
                seen.append(json.loads(self.lines.get(timeout=0.2)))
                if until(seen[-1]):
                    return seen
        raise AssertionError(f"not seen within {seconds} s; seen: {[e['type'] for e in seen]}")


def test_counters_equal_what_was_sent():
    """writes, bytes, reads and segments of an observed flow are exactly those that happened"""
    with world(OBSERVED) as w:
        with Stream(w.net) as stream:
            stream.exchange(WRITES, SIZE, ROUNDS)
            port, segments = stream.port, tcp_info(stream.client)["data_segs_out"]
            row, = (flow for flow in w.agent.flows() if flow["side"] == "client")
            equal((row["writes"], row["written_bytes"]), (WRITES * ROUNDS - 1, WRITES * SIZE * ROUNDS),
                  "writes of the open flow, but for the one that may still go on, and bytes")
            check(row["age_us"] < 60e6, f"age: {row['age_us']} us")
        wait_for(lambda: w.agent.service(port, "client")["flows_closed"] == 1, 10, "the flow's end")
        client, server = w.agent.service(port, "client"), w.agent.service(port, "server")
        equal(client["writes"], WRITES * ROUNDS, "writes of the client")
        equal(client["written_bytes"], WRITES * SIZE * ROUNDS, "bytes of the client")
        equal(client["small_writes"], WRITES * ROUNDS, "small writes")
        equal(client["segments"], segments, "segments of the client, as TCP_INFO has them")
        equal((client["bursts"], server["bursts"]), (ROUNDS, ROUNDS), "bursts, the last ones included")
        equal((client["rtts"], server["rtts"]), (1, 1), "flows with a round-trip time")
        equal(server["writes"], ROUNDS, "writes of the server")
        equal(client["read_bytes"], 2 * ROUNDS, "bytes read by the client")
        equal(server["read_bytes"], WRITES * SIZE * ROUNDS, "bytes read by the server")
        page = get(w.agent)
        equal(samples(page, "writes_total", port=port, side="client"), [WRITES * ROUNDS], "writes on the page")
        equal(samples(page, "write_size_bytes_bucket", port=port, side="client", le="31.0"), [WRITES * ROUNDS], "sizes")
        equal(samples(page, "sent_segments_total", port=port, side="client"), [segments], "segments on the page")


def test_metrics_page():
    """one page, two formats, both taken by Prometheus' own parsers; the overview has the shape its schema says"""
    with world(MANAGED) as w, Stream(w.net) as stream:
        w.learn(stream, WRITES)
        page, classic = get(w.agent), get(w.agent, accept="*/*")
        check(page.endswith("# EOF\n") and "# EOF" not in classic, "the end of the page")
        check(sum(samples(page, "held_writes_total")) > 0, "nothing was held")
        equal(sum(samples(page, "releases_total")), sum(samples(page, "hold_seconds_count")), "releases and holds")
        check(len([line for line in page.splitlines() if line[0] != "#"]) <= 2000, "too many series")
        overview = json.loads(get(w.agent, "/api/overview"))
        valid("overview", overview)
        equal(get(w.agent, "/-/ready"), "OK\n", "ready")
        check("<title>autocork</title>" in get(w.agent, "/"), "the web page")
        valid("top", *w.agent.ask("top", "--once", "--delay", "0.2"),
              *w.agent.ask("top", "--once", "--flows", "--delay", "0.2"))
        done = subprocess.run(["promtool", "check", "metrics"], input=classic, capture_output=True, text=True,
                              check=False)
        equal((done.returncode, done.stdout + done.stderr), (0, ""), "promtool")


def test_series():
    """a service has 20 series by default, the rest is the host's; a reload with another number takes effect"""
    def of(page, port):
        return [line for line in page.splitlines() if f'port="{port}",side="client"' in line]

    few = MANAGED.replace("series = all\n", "")
    with world(few) as w, Stream(w.net) as stream:
        w.learn(stream, WRITES)
        page = get(w.agent)
        equal(len(of(page, stream.port)), 20, "series of the client by default")
        equal(sum(samples(page, "releases_total")), sum(samples(page, "hold_seconds_count")), "releases and holds")
        check(sum(samples(page, "releases_total")) > 0 and 'releases_total{reason=' in page, "releases of the host")
        status = w.agent.status()["telemetry"]
        equal((status["series"], [status["metrics_added_up"]]), (20, samples(page, "metrics_added_up")), "status")
        shown = subprocess.run([build("autocork"), "status", "--control", w.agent.control], capture_output=True,
                               text=True, timeout=60, check=True).stdout
        check("20 series per service" in shown, shown)
        for series, wanted in ("0", [0]), ("1", [1]), ("all", range(100, 200)):
            w.agent.reload(few.replace("[policy", f"series = {series}\n[policy"))
            page = get(w.agent)
            check(len(of(page, stream.port)) in wanted, f"{series}: {len(of(page, stream.port))} series of the client")
        equal(samples(page, "metrics_added_up"), [0], "metrics added up with series = all")


def readiness(agent):
    try:
        return 200, get(agent, "/-/ready")
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_ready_is_what_is_in_force():
    """control groups that come and make more rules than there is room for, and an interface that is not there, are said
    by ready, the page and the status, until they are gone"""
    def holds(code, word):
        def now():
            status, in_force = w.agent.status()["policy"], samples(get(w.agent), "policy_in_force")
            answer = readiness(w.agent)
            return (answer[0] == code and word in answer[1] and in_force == [float(code == 200)] and
                    word in (status["unmet"] or "OK"))
        wait_for(now, 30, f"ready to be {code} {word}")

    with world(OBSERVED) as w:
        path = w.group.path.relative_to(cgroup.root())
        names = ",".join(f"p{i}" for i in range(100))
        peers = ",".join(f"10.9.{i}.0/24" for i in range(60))
        w.agent.reload(OBSERVED + f"[policy many]\nmode = observe\nprograms = {names}\npeers = {peers}\n"
                       f"cgroups = /{path}/many-*\n")
        holds(200, "OK")
        children = [w.group.child(f"many-{i}") for i in range(5)]
        holds(200, "OK")
        children.append(w.group.child("many-5"))    # 36,000 rules, and there is room for 32,768
        holds(503, "make 36000 rules")
        children.pop().remove()
        del w.group.children["many-5"]
        holds(200, "OK")
        w.agent.reload(OBSERVED + "[policy nowhere]\nports = 47009\nsteer = af_xdp\ninterface = acnowhere0\n")
        holds(503, "acnowhere0")
        w.agent.reload(OBSERVED)
        holds(200, "OK")


def test_ready():
    """ready is what the files ask for being in force: not after a reload that was refused, until a good one"""
    def ready():
        return readiness(w.agent)

    with world(MANAGED) as w:
        equal(ready(), (200, "OK\n"), "ready")
        equal(samples(get(w.agent), "mode", mode="autocork"), [1], "autocork_mode")
        w.agent.write_policy("[policy all]\nmode = never\n")
        reload = [build("autocork"), "reload", "--control", w.agent.control]
        check(subprocess.run(reload, capture_output=True, check=False).returncode, "a wrong file was taken")
        code, text = ready()
        check(code == 503 and "policy check" in text, f"{code}: {text}")
        equal(get(w.agent, "/-/healthy"), "OK\n", "healthy")
        w.agent.reload(MANAGED)
        equal(ready()[0], 200, "ready")


def test_events():
    """a flow's life is told in order, with its summary; explain has one line per release"""
    with world(MANAGED) as w:
        with Listener(w.agent, "events") as events, Listener(w.agent, "explain") as explain:
            with Stream(w.net) as stream:
                port = stream.port
                w.learn(stream, WRITES)
                stream.exchange(WRITES, SIZE, 20)
            ours = [e for e in events.read(lambda e: e["type"] == "flow_closed" and e["side"] == "client" and
                                           e["remote_port"] == port) if e.get("remote_port") == port]
            valid("events", *ours)
            equal(len({e["cookie"] for e in ours}), 1, "names of the one flow")
            check(ours[0]["cookie"], "a flow without a name")
            kinds = [e["type"] for e in ours]
            for kind in "flow_opened", "flow_managed", "first_hold", "flow_closed":
                check(kind in kinds, f"no {kind} in {kinds}")
            check(kinds[0] == "flow_opened" and kinds[-1] == "flow_closed", f"order: {kinds}")
            check(ours[-1]["held"] >= (WRITES - 1) * 15, f"summary: {ours[-1]}")
            release = explain.read(lambda e: e["type"] == "release" and e["reason"] == "complete"
                                   and e["writes"] == WRITES)[-1]
            valid("events", release)
            equal((release["held"], release["bytes"]), (WRITES - 1, WRITES * SIZE),
                  "writes held and bytes of a release")
        equal(samples(get(w.agent), "events_lost_total"), [0], "events lost")


def test_backoff():
    """misses in a row are told as a back-off, with the bursts that it will last"""
    # The connection after the listener: the observer does not wait long for one that is idle.
    with world(MANAGED) as w, Listener(w.agent, "events", "--type", "backoff") as events, Stream(w.net) as stream:
        w.learn(stream, WRITES)
        for _ in range(10):
            w.hold(stream, 2)
            stream.receive(stream.server, 40)
            stream.server.sendall(b"ok")
            stream.receive(stream.client, 2)
            stream.exchange(WRITES, SIZE, 50)
        event = events.read(lambda e: True)[-1]
        valid("events", event)
        equal((event["type"], event["side"], event["remote_port"]), ("backoff", "client", stream.port), "the event")
        check(1 <= event["pause_bursts"] < 10000 and 1 < event["misses"] <= 10, str(event))


def test_all_are_told():
    """while somebody listens, no connection is passed by"""
    def connect(count):
        for _ in range(count):
            with Stream(w.net, port=47003) as stream:
                stream.exchange(1)
    with world(MANAGED) as w:
        # Those that end before the observer is there say nothing of the service.
        connect(1)
        wait_for(lambda: control("watching"), 20, "the observer")
        connect(20)
        wait_for(lambda: not control("watching"), 20, "the observer to leave")
        connect(1)
        check(w.agent.service(47003, "client")["flows_passed"] > 0, "no connection was passed by: nothing to test")
        with Listener(w.agent, "events", "--type", "flow_opened") as events:
            connect(5)
            told = []

            def fifth(event):
                told.append(event["side"])
                return told.count("client") == 5
            events.read(fifth)
        wait_for(lambda: not control("event_mask"), 5, "nothing to be told once nobody listens")


def test_container_ids():
    """two containers whose ids differ in the last digit stay two, whole, on the page, in the overview and in events"""
    units = [f"cri-containerd-{'0123456789abcdef' * 3}0123456789abcde{last}.scope" for last in "ef"]
    with world(OBSERVED) as w, Listener(w.agent, "events", "--unit", units[1]) as events:
        for unit in units:
            w.group.child(unit).add(os.getpid())
            with Stream(w.net, port=47004) as stream:
                stream.exchange()
            w.group.add(os.getpid())
        seen = events.read(lambda e: e["type"] == "flow_closed" and e["side"] == "client")
        equal({event["unit"] for event in seen}, {units[1]}, "units of the events")
        page, overview = get(w.agent), json.loads(get(w.agent, "/api/overview"))
        for unit in units:
            equal(len(samples(page, "writes_total", unit=unit, side="client")), 1, f"series of {unit}")
            equal(len(samples(page, "writes_total", container=unit[-70:-6], side="client")), 1, f"container of {unit}")
            rows = [row for row in overview["services"] if (row["unit"], row["side"]) == (unit, "client")]
            equal(len(rows), 1, f"rows of {unit} in the overview")


def test_filters():
    """a filter lets through what it names only; a wrong one is refused with the next step"""
    with world(MANAGED) as w:
        with Listener(w.agent, "events", "--type", "flow_opened", "--program", "nobody") as none, \
                Listener(w.agent, "events", "--type", "flow_closed", "--address", "127.0.0.1") as closed:
            with Stream(w.net) as stream:
                stream.exchange()
            event = closed.read(lambda e: True)[0]
            equal(event["type"], "flow_closed", "type")
            time.sleep(0.5)
            check(none.lines.empty(), "an event that the filter does not want")
        for words in (["--port", "0"], ["--type", "nonsense"], ["--address", "localhost"], ["--cgroup", "/no/such"],
                      ["--netns", "x"]):
            done = subprocess.run([build("autocork"), "events", *words, "--control", w.agent.control],
                                  capture_output=True,
                                  text=True, timeout=20, check=False)
            equal(done.returncode, 2, f"exit code of events {words}: {done.stderr}")


def saves_what_was_predicted(lines):
    """A trial's lines: what the shadow predicted from the quarter before, the rest of the time saved."""
    valid("trial", *lines)
    end = lines[-1]
    equal((end["phase"], end["early"]), ("done", False), "end of the trial")
    segments = end["segments_per_burst"]
    print(f"# saved share of the writes {end['saved_share']:.3f}, predicted {end['predicted_saved_share']:.3f}; "
          f"segments per burst {segments}", flush=True)
    check(abs(end["saved_share"] - end["predicted_saved_share"]) < 0.1 * end["predicted_saved_share"],
          f"predicted {end['predicted_saved_share']:.3f}, saved {end['saved_share']:.3f}")
    saved, predicted = segments["before"] - segments["trial"], segments["before"] - segments["predicted"]
    check(abs(saved - predicted) < 0.1 * predicted, f"segments per burst: {segments}")


def test_nginx_saves_what_was_predicted():
    """advice and trial on nginx, header and body in two writes, keep-alive: the segments saved are those predicted"""
    with world(OBSERVED) as w, Nginx(w.net, w.servers) as server:
        load = [program("wrk"), "-c16", "-t1", "-d30s", f"http://127.0.0.1:{server.port}/file.bin"]
        with Program(w.net, load, w.clients):
            def advised():
                return [a for a in w.agent.ask("advise", "--port", str(server.port)) if a["program"] == "nginx"]
            wait_for(lambda: [a["verdict"] for a in advised()] == ["manage"], 10, "advice to manage nginx")
            saves_what_was_predicted(w.agent.ask("trial", "--port", str(server.port), "--side", "server", "--for", "6s",
                                                 "--max-delay", "1s"))


def on_trial(agent):
    """The keys of the policy on trial, {} if there is none."""
    policies = agent.ask("policy", "show")[0]["policies"]
    return {policy["name"]: policy["keys"] for policy in policies}.get("autocork-trial", {})


def test_advice_and_trial():
    """what advice predicts, a trial saves; the policy is taken back, also when who asked is killed"""
    with world(OBSERVED + "rto_min = 60ms\n") as w, Stream(w.net) as stream:
        stream.exchange(WRITES, SIZE, ROUNDS)
        port = stream.port
        advised = [a for a in w.agent.ask("advise", "--port", str(port)) if a["side"] == "client"]
        equal([a["verdict"] for a in advised], ["manage"], "advice")
        trial = subprocess.Popen([build("autocork"), "trial", "--port", str(port), "--side", "client", "--for", "4s",
                                  "--max-delay", "1s", "--json", "--control", w.agent.control], stdout=subprocess.PIPE,
                                  text=True)
        while trial.poll() is None:
            stream.exchange(WRITES, SIZE, 20)
        lines = [json.loads(line) for line in trial.stdout.read().splitlines()]
        trial.stdout.close()
        saves_what_was_predicted(lines)
        left = sorted(path.name for path in w.agent.policies.iterdir())
        equal(left, ["test.conf"], "policy files after the trial")
        wait_for(lambda: w.net.wrapped() == 0, 10, "flows given back after the trial")
        trial = subprocess.Popen([build("autocork"), "trial", "--port", str(port), "--for", "60s", "--control",
                                  w.agent.control],
                                 stdout=subprocess.DEVNULL)
        keys = wait_for(lambda: on_trial(w.agent), 30, "the trial's policy")
        equal([keys[name]["value"] for name in ("max_hold", "burst_gap", "confidence", "packet_worth", "rto_min")],
              ["50ms", "50ms", "0.98", "10ms", "60ms"], "what the service's own policy says, in the trial's")
        trial.kill()
        trial.wait()
        wait_for(lambda: not on_trial(w.agent), 10, "the policy to be taken back")


def test_trial_and_files():
    """a trial is no file: invalid files beside it do not keep it in force, what was not reloaded stays so, a reload
    goes beneath"""
    with world(OBSERVED) as w, Stream(w.net) as stream:
        def try_it(meanwhile):
            with subprocess.Popen([build("autocork"), "trial", "--port", str(stream.port), "--for", "3s",
                                   "--max-delay", "1s",
                                   "--json", "--control", w.agent.control], stdout=subprocess.PIPE, text=True) as trial:
                def begun():
                    stream.exchange(WRITES, SIZE, 20)
                    return on_trial(w.agent)
                wait_for(begun, 30, "the trial's policy")
                meanwhile()
                end = json.loads(trial.stdout.read().splitlines()[-1])
            valid("trial", end)
            return end

        def names():
            return [policy["name"] for policy in w.agent.ask("policy", "show")[0]["policies"]]

        def spoil():
            w.agent.write_policy("[policy later]\nmode = off\n", "20-later.conf")
            w.agent.write_policy("nonsense\n", "30-bad.conf")

        before = names()
        equal(try_it(spoil)["taken_back"], True, "taken back beside an invalid file")
        equal(names(), before, "policies after the trial: nobody reloaded")
        (w.agent.policies / "30-bad.conf").unlink()

        def reload():
            equal(subprocess.run([build("autocork"), "reload", "--control", w.agent.control], check=False,
                                 stdout=subprocess.DEVNULL).returncode, 0, "reload within a trial")
            check(on_trial(w.agent), "the trial goes on")
        equal(try_it(reload)["taken_back"], True, "taken back after a reload")
        check("later" in names() and not on_trial(w.agent), f"policies after the reload: {names()}")


def test_trial_of_a_program():
    """of another program on the port nothing is counted; an agent that ends meanwhile, in any way, leaves no policy"""
    with world(OBSERVED) as w, Stream(w.net) as stream:
        words = "--port", str(stream.port), "--program", "nobody", "--for", "60s", "--max-delay", "1s"
        trial = subprocess.Popen([build("autocork"), "trial", *words, "--json", "--control", w.agent.control],
                                 stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        with trial:
            def begun():
                stream.exchange(WRITES, SIZE, 20)
                return on_trial(w.agent).get("programs", {}).get("value") == "nobody"
            wait_for(begun, 30, "the trial's policy")
            w.agent.kill()
            lines = [json.loads(line) for line in trial.stdout]
        equal({line["counts"]["writes"] for line in lines if line.get("phase") == "before"}, {0}, "writes of nobody")
        w.agent.start()
        equal(on_trial(w.agent), {}, "the killed agent's trial")
        with subprocess.Popen([build("autocork"), "trial", *words, "--control", w.agent.control],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
            wait_for(lambda: on_trial(w.agent), 30, "the policy of another trial")
            w.agent.stop()


def budget(percent):
    return OBSERVED.replace("[policy", f"budget = {percent}%\n[policy")


def one_in(agent):
    """Observed flows are looked at for one second in so many."""
    return round(1 / agent.status()["telemetry"]["sampling"])


def until_sampling(agent, stream):
    """Keeps a flow busy until the agent is above its budget."""
    def busy():
        stream.exchange(WRITES, SIZE, 200)
        return one_in(agent) > 1
    wait_for(busy, 60, "sampling under load")


def sampling_ends(w):
    """By a budget that is large enough: what others do on this machine costs the observer something too, so that it may
    not be idle when this test is."""
    w.agent.reload(budget(100))
    wait_for(lambda: one_in(w.agent) == 1, 140, "the end of sampling")


def count_exactly(agent, stream):
    """Who looks at what happens from now on sees all of it, over the budget too: not 16 times as much, nor nothing."""
    with subprocess.Popen([build("autocork"), "advise", "--for", "4s", "--all", "--json", "--control", agent.control],
                          stdout=subprocess.PIPE, text=True) as advise:
        wait_for(lambda: one_in(agent) == 1, 30, "all counted")
        stream.exchange(WRITES, SIZE, 100)
        rows = [json.loads(line) for line in advise.stdout]
    rows = {row["side"]: row for row in rows if row["port"] == stream.port}
    equal({side: row["seen"]["writes"] for side, row in rows.items()}, {"client": 100 * WRITES, "server": 100},
          "writes while advise looked")
    equal({row["one_in"] for row in rows.values()}, {1}, "said to be inferred")


def said(agent, *words):
    return subprocess.run([build("autocork"), *words, "--control", agent.control], capture_output=True, text=True,
                          check=True).stdout


def hangs():
    """Is any hook there that sees writes?"""
    return control("watching") == 1


def test_budget():
    """above its budget the telemetry looks for one second in so many, says so in every view, and recovers"""
    with world(budget(0.1)) as w, Stream(w.net) as stream:
        with Listener(w.agent, "events", "--type", "sampling") as events:
            until_sampling(w.agent, stream)
            page, rarely = said(w.agent, "status"), one_in(w.agent)
            check(rarely in (16, 32, 64, 128), f"looks for one second in {rarely}")
            check(f"looked at for 1 second in {rarely}" in page, f"status:\n{page}")
            equal(samples(get(w.agent), "sampling_ratio"), [1 / rarely], "the metric")
            event = events.read(lambda e: True)[-1]
            valid("events", event)
            equal((event["type"], event["ratio"]), ("sampling", 1 / rarely), "the event")
            count_exactly(w.agent, stream)
            sampling_ends(w)
            equal(events.read(lambda e: True)[-1]["ratio"], 1, "the event of the recovery")
        check("budget" not in said(w.agent, "status"), "status still speaks of the budget")


def test_sample_is_one_population():
    """in seconds that are looked at all counts for as many, in between nothing is there; what a socket counted goes
    with the writes seen"""
    def counted():
        rows = {side: w.agent.service(stream.port, side) for side in ("client", "server")}
        for row in rows.values():
            row["options"] = row["option_calls"]["nodelay"]
        return rows

    def round_of(*, times=20):
        """What so many messages and an option call add to both sides, in one state of the observer; None if it has
        changed."""
        before, hung = counted(), hangs()
        stream.client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        segments = stream.exchange(WRITES, SIZE, times)
        after, names = counted(), ("writes", "written_bytes", "segments", "retransmits", "sent_bytes",
                                   "received_bytes", "read_bytes", "bursts", "inferred_bursts", "options")
        if hangs() != hung:
            return None
        return hung, round(times * segments), {side: {name: after[side][name] - before[side][name] for name in names}
                                               for side in after}

    with world(budget(100)) as w, Stream(w.net) as stream:
        stream.exchange()
        hung, segments, grown = round_of()
        equal((hung, grown["client"]["writes"], grown["client"]["segments"]), (True, 20 * WRITES, segments),
              "observed always")
        w.agent.reload(budget(0.1))
        until_sampling(w.agent, stream)
        seen = {}

        def both_seen():
            rarely = one_in(w.agent)
            got = round_of(times=2)
            if got and rarely == one_in(w.agent):
                weight = got[2]["client"]["writes"] / (2 * WRITES)
                # A turn in the middle of it: the flow is looked at from its own time on, the hook is there before.
                if weight in (0, rarely):
                    seen.setdefault(weight > 0, []).append((weight, *got))
            time.sleep(0.02)
            return len(seen.get(True, [])) > 3 and len(seen.get(False, [])) > 3
        wait_for(both_seen, 140, "a second that is looked at, and one that is not")
        for weight, hung, segments, grown in seen[True] + seen[False]:
            client, server = grown["client"], grown["server"]
            if not weight:
                equal((set(client.values()), set(server.values())), ({0}, {0}), "counted while nobody looks")
                continue
            check(hung, "counted, without a hook")
            # The kernel may join two writes by itself, and a slow machine send a segment again.
            equal(client["segments"], weight * segments, f"segments of {client}")
            equal(client["options"], weight, f"option calls of {client}")
            if not client["retransmits"]:
                equal(client["sent_bytes"], client["written_bytes"], f"bytes of {client}")
            equal(server["received_bytes"], server["read_bytes"], f"bytes of {server}")
            equal(client["inferred_bursts"] * weight, client["bursts"] * (weight - 1), f"inferred of {client}")
        # A turn takes its time on a busy machine: the hook may be there a moment longer.
        check(not all(hung for _, hung, _, _ in seen[False]), "hooks while nobody looks")
        page = said(w.agent, "status")
        check(re.search(rf"{stream.port}.*≈", page), f"status does not mark what is inferred:\n{page}")
        sampling_ends(w)
        equal(round_of()[2]["client"]["writes"], 20 * WRITES, "writes after")
        before = counted()["client"]
        stream.client.close()
        stream.server.close()
        after = counted()["client"]
        for name in "segments", "sent_bytes", "received_bytes", "writes":
            equal(after[name], before[name], f"{name} of a flow that closed")


def test_stalls():
    """what Nagle's algorithm makes a program wait for is measured, and advised against"""
    with world(OBSERVED) as w, Stream(w.net, no_delay=False) as stream:
        stream.exchange(WRITES, SIZE, 30)
        before = w.agent.service(stream.port, "client")
        start = time.monotonic()
        segments = stream.exchange(WRITES, SIZE, 20)
        elapsed_us = (time.monotonic() - start) * 1e6
        after = w.agent.service(stream.port, "client")
        new = {name: after[name] - before[name] for name in ("stalls", "stall_us", "shadow_stall_us", "shadow_held",
                                                             "shadow_merged", "bursts")}
        equal(segments, 2, "segments of a request that Nagle's algorithm cuts in two")
        check(19 <= new["stalls"] <= 21, f"stalls in 20 requests: {new}")
        check(0.7 * elapsed_us < new["stall_us"] <= elapsed_us, f"stalls in {elapsed_us:.0f} us: {new}")
        check(new["shadow_stall_us"] > 0.7 * new["stall_us"], f"what holding would have saved: {new}")
        packets = (new["shadow_held"] - new["shadow_merged"]) / new["bursts"]
        check(0.9 < packets < 1.1, f"packets to save per request: {packets}: {new}")
        equal(w.agent.service(stream.port, "server")["stalls"], 0, "stalls of a side that answers with one write")
        advised = [a for a in w.agent.ask("advise", "--all", "--port", str(stream.port)) if a["side"] == "client"][0]
        valid("advise", advised)
        check(0.02 < advised["stall_seconds_per_burst"] < 0.1, f"advice: {advised}")
        page = get(w.agent)
        check(samples(page, "stall_seconds_total", port=stream.port, side="client")[0] > 0.2, "stalls on the page")


# Runs first on the CPU that both share, as soon as something came, and for long.
PREEMPTS = """
import os, socket, sys, time
sock = socket.socket(fileno=int(sys.argv[1]))
sock.setblocking(True)
os.sched_setaffinity(0, {int(sys.argv[2])})
os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
left = int(sys.argv[3])
while piece := sock.recv(left):
    left -= len(piece)
    end = time.perf_counter() + 0.0005
    while time.perf_counter() < end:
        pass
    if not left:
        sock.sendall(b"ok")
        left = int(sys.argv[3])
"""
PREEMPTED = "[agent]\nbudget = off\n[policy all]\nmode = observe\nmax_hold = 50ms\nburst_gap = 50ms\n" \
            "packet_worth = 200us\n"


def test_advice_beside_a_receiver_that_preempts():
    """a receiver on the same CPU, woken by each packet, runs before the next write: advice knows that it would not be
    woken"""
    cpu, writes = min(os.sched_getaffinity(0)), 5
    with world(PREEMPTED) as w, Stream(w.net) as stream:
        command = [sys.executable, "-c", PREEMPTS, str(stream.server.fileno()), str(cpu), str(writes * SIZE)]
        with subprocess.Popen(command, pass_fds=[stream.server.fileno()]) as receiver:
            allowed = os.sched_getaffinity(0)
            os.sched_setaffinity(0, {cpu})
            try:
                for _ in range(300):
                    for _ in range(writes):
                        stream.client.send(bytes(SIZE))
                    equal(stream.receive(stream.client, 2), b"ok", "the answer")
            finally:
                os.sched_setaffinity(0, allowed)
                receiver.kill()
        row = w.agent.service(stream.port, "client")
        check(row["segments"] > 0.9 * row["writes"], f"each write woke the receiver: {row}")
        held = row["shadow_held"] / row["bursts"]
        check(held > 0.9 * (writes - 1), f"{held} writes to hold of {writes - 1} in a message: {row}")


def test_saved_beside_nagle():
    """a packet that Nagle's algorithm had joined with others anyway is none that holding saves"""
    with world(OBSERVED) as w, Stream(w.net, no_delay=False) as stream:
        unmanaged = 2   # segments of a request: see test_stalls
        # Without a stall that was measured nobody knows what a hold spares.
        stream.exchange(WRITES, SIZE, 5)
        check(w.agent.service(stream.port, "client")["stalls"] > 2, "stalls were measured")
        w.agent.reload(MANAGED)
        w.learn(stream, WRITES)
        before = w.agent.service(stream.port, "client")
        segments = stream.exchange(WRITES, SIZE, 50)
        wait_for(lambda: w.agent.service(stream.port, "client")["bursts"] >= before["bursts"] + 49, 5, "all bursts")
        after = w.agent.service(stream.port, "client")
        saved = after["held"] - before["held"]
        check(segments < 1.2, f"{segments} segments a request")
        # A delayed ACK is 40 ms, on a busy machine a little more.
        spared = (after["saved_wait_us"] - before["saved_wait_us"]) / (after["held"] - before["held"])
        check(20_000 < spared < 200_000, f"{spared} us spared by a hold: {after}")
        flow = next(flow for flow in w.agent.flows() if flow["remote_port"] == stream.port)
        share = after["saved_wait_us"] * flow["held"] / after["held"]
        check(flow["saved_wait_us"] and abs(flow["saved_wait_us"] - share) <= 0.01 * share, f"of the flow: {flow}")
        check(abs(saved - 50 * (unmanaged - segments)) <= 5, f"{saved} packets saved, {segments} segments a request")


def test_predicted_where_nothing_is_merged():
    """messages of two writes, of which the second waits for an ACK: one packet saved in each, and few misses, though
    one message had three"""
    with world(OBSERVED) as w, Stream(w.net, no_delay=False) as stream:
        for number, writes in (8, 2), (1, 3), (60, 2):
            stream.exchange(writes, SIZE, number)
        wait_for(lambda: w.agent.service(stream.port, "client")["bursts"] >= 68, 5, "all bursts")
        row = w.agent.service(stream.port, "client")
        check(row["stalls"] > 40, f"stalls: {row}")
        saved = row["shadow_held"] - row["shadow_merged"]
        check(55 <= saved <= 70, f"{saved} packets that holding would have saved: {row}")
        check(row["shadow_misses"] < 30, f"misses that holding would have made: {row}")


def test_stalls_that_stay():
    """messages of one or two writes: where the second waits for an ACK, holding the first is worth a miss in between"""
    with world(OBSERVED) as w, Stream(w.net, no_delay=False) as stream:
        for number in range(60):
            stream.exchange(1 + number % 2, SIZE)
        row = w.agent.service(stream.port, "client")
        check(row["stalls"] > 10, f"stalls: {row}")
        check(row["shadow_held"] and row["shadow_stall_us"] > 100_000, f"what holding would have saved: {row}")


def test_bad_clients():
    """a listener that never reads, a busy port, a client that hangs: the agent goes on and says what was lost"""
    with world(MANAGED) as w, Stream(w.net) as stream:
        with socket.socket(socket.AF_UNIX) as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.connect(w.agent.control)
            deaf.sendall(b'{"op": "events", "types": ["release", "miss"]}\n')
            w.learn(stream, WRITES)
            end = time.monotonic() + 30
            while time.monotonic() < end and not samples(get(w.agent), "events_lost_total")[0]:
                stream.exchange(WRITES, SIZE, 200)
            check(samples(get(w.agent), "events_lost_total")[0] > 0, "nothing was lost by a client that never reads")
            # Once it reads, it is told how much that was, and only once.
            deaf.settimeout(1)

            def heard():
                text = b""
                with contextlib.suppress(TimeoutError):
                    while data := deaf.recv(1 << 20):
                        text += data
                return [json.loads(line)["item"]["type"] for line in text.splitlines()]
            heard()
            stream.exchange(WRITES, SIZE, 5)
            check("lost" in heard(), "it is not told that it has lost something")
            stream.exchange(WRITES, SIZE, 5)
            equal(set(heard()), {"release"}, "events after that")
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            busy = f"127.0.0.1:{taken.getsockname()[1]}"
            w.agent.reload(MANAGED.replace("127.0.0.1:0", busy))
            equal(w.agent.status()["metrics_url"], None, "metrics_url while the port is taken")
            page = subprocess.run([build("autocork"), "status", "--control", w.agent.control], capture_output=True,
                                  text=True, timeout=60, check=True).stdout
            check(re.search(rf"^metrics +metrics address {busy}: Address already in use", page, re.M) or
                  re.search(rf"^metrics +{busy}: Address already in use", page, re.M), page)
            check(f"metrics address {busy}: Address already in use" in w.agent.log(), "the log does not name the port")
        w.agent.reload(MANAGED.replace("127.0.0.1:0", busy))
        equal(w.agent.status()["metrics_error"], None, "metrics_error once it is free")
        check(get(w.agent).endswith("# EOF\n"), "no page after the port is free")


if __name__ == "__main__":
    main(globals())
