#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""A fleet of three: agents in QEMU on one virtual network, one of them a canary, the same service on each, and one
Prometheus with the configuration of docs/deploy.md, the rules and alerts of docs/. What it says of them is judged."""
import contextlib
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "vm"))

from harness import BUILD, ROOT, TWO_WRAPPERS, Kernel, Suite  # noqa: E402
from kernel_image import NoKernel, fetch, row_of  # noqa: E402

NETWORK, PORT = "10.75.0", 12675
# Host, its last byte, its mode. Observers are what the rest of a fleet is.
HOSTS = (("canary", 1, "autocork"), ("observer-1", 2, "observe"), ("observer-2", 3, "observe"))
SERVICE = {"comm": "shop", "port": "8084", "side": "server"}
WRITES = 15
MOST_CANARY, LEAST_OBSERVER, MOST_OBSERVER = 1.5, 14, 20	# a first scrape may come between packets and messages
SECONDS = 600		# of a guest; harness.py adds its patience
READY_SECONDS, RULES_SECONDS = 900, 400
MEMORY = 512
LOOPBACK = urllib.request.build_opener(urllib.request.ProxyHandler({}))

# The interface comes last: what is scraped then has no first messages, when nothing was learned yet. Emulated
# processors pause for milliseconds between two writes, hence the long gap (tests/vm/README.md).
GUEST = """. /guest/lib.sh
before=$(bpf_objects 2>&1)
policy '[agent]\\nmetrics = {address}:{port}\\n[policy services]\\nmode = {mode}\\n'\\
'burst_gap = 500ms\\nmax_hold = 100ms\\npacket_worth = 10ms'
ip addr add {address}/24 dev eth0
check "the agent starts" agent_start
/ac/shop bench server --port {service} >/dev/null &
wait_for 30 listening {service}
visit() {{
	/ac/visitor bench client --json --host 127.0.0.1 --port {service} --no_delay --server_no_delay \\
		--response=30 --response_writes={writes} "$@" >/tmp/visits 2>&1
}}
check "messages before it is looked at" visit --messages 400 --pause 1000
while visit --messages 1000000 --rate 20; do :; done &
VISITS=$!
ip link set eth0 up
echo "# in the network"
nc -l -p 7 >/dev/null
kill $VISITS
killall visitor shop
check "the agent stops" agent_stop
check "nothing is left in the kernel" nothing_left "$before"
"""


def sh(*words):
    subprocess.run(words, check=True)


class Network:
    """Machines and Prometheus on a bridge, in a network namespace that ends with this process."""

    def __init__(self):
        sh("ip", "link", "set", "lo", "up")
        sh("ip", "link", "add", "fleet", "type", "bridge")
        sh("ip", "addr", "add", f"{NETWORK}.254/24", "dev", "fleet")
        sh("ip", "link", "set", "fleet", "up")

    @staticmethod
    def port(number):
        """What QEMU is told of a machine's interface."""
        sh("ip", "tuntap", "add", f"fleet{number}", "mode", "tap")
        sh("ip", "link", "set", f"fleet{number}", "master", "fleet", "up")
        return ("-netdev", f"tap,id=net,ifname=fleet{number},script=no,downscript=no", "-device",
                f"virtio-net-pci,netdev=net,romfile=,mac=52:54:00:75:00:{number:02x}")


class Guest:
    def __init__(self, suite, network, name, number, mode):
        self.name, self.address = name, f"{NETWORK}.{number}"
        kernel = Kernel(suite, fetch(row_of("6.1")))
        kernel.label = name
        script = GUEST.format(address=self.address, port=PORT, mode=mode, service=SERVICE["port"], writes=WRITES)
        files = [(ROOT / "tests/vm/guest/lib.sh", "/guest/lib.sh"), (BUILD / "autocorkd", "/ac/autocorkd"),
                 *((BUILD / "autocork", f"/ac/{program}") for program in ("autocork", SERVICE["comm"], "visitor"))]
        self.thread = threading.Thread(target=kernel.run, args=(SECONDS, script, files), kwargs={
            "modules": ("virtio_pci", "virtio_net"), "without": TWO_WRAPPERS, "memory": MEMORY,
            "more": network.port(number)})
        self.thread.start()

    def ready(self):
        with contextlib.suppress(OSError), LOOPBACK.open(f"http://{self.address}:{PORT}/-/ready", timeout=5) as page:
            return page.status == 200
        return False

    def end(self):
        """Its script goes on to its end once somebody connects; a machine that never came so far ends in time."""
        while self.thread.is_alive():
            with contextlib.suppress(OSError):
                socket.create_connection((self.address, 7), timeout=5).close()
            self.thread.join(5)


class Prometheus:
    """With the configuration of docs/deploy.md. Static targets instead of Kubernetes, as that page allows; scraped and
    evaluated every 5 s, because the rates are of 5 minutes and nobody waits for them."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        text = re.search(r"^```yaml\n(.*?)^```", (ROOT / "docs/deploy.md").read_text(), re.M | re.S)[1]
        targets = "".join(f"      - targets: ['{NETWORK}.{number}:{PORT}']\n        labels: {{ instance: {name}"
                          + (', canary: "true"' if mode == "autocork" else "") + " }\n" for name, number, mode in HOSTS)
        for pattern, new in ((r"    kubernetes_sd_configs:\n(?:      .*\n)+?    relabel_configs:\n(?:      .*\n)+",
                              f"    static_configs:\n{targets}"),
                             (r"remote_write:\n(?:  .*\n)+", ""),
                             (r"scrape_interval: 30s", "scrape_interval: 5s"),
                             (r"global:\n", "global:\n  evaluation_interval: 5s\n")):
            text, replaced = re.subn(pattern, new, text)
            assert replaced == 1, f"docs/deploy.md: {pattern}: {text}"
        for name in re.findall(r"^  - (\S+\.yml)$", text, re.M):
            shutil.copy(ROOT / "docs" / name, folder)
        (self.folder / "prometheus.yml").write_text(text)
        self.log = open(self.folder / "log", "w", encoding="utf-8")
        self.process = subprocess.Popen(
            ["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
             "--web.listen-address=127.0.0.1:9090"], stdout=self.log, stderr=subprocess.STDOUT)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.process.terminate()
        self.process.wait()
        self.log.close()

    @staticmethod
    def ask(query):
        """[({label: value}, number)]"""
        url = "http://127.0.0.1:9090/api/v1/query?" + urllib.parse.urlencode({"query": query})
        with contextlib.suppress(OSError), LOOPBACK.open(url, timeout=20) as answer:
            return [(row["metric"], float(row["value"][1])) for row in json.load(answer)["data"]["result"]]
        return []

    def one(self, query):
        """The only number, or NaN."""
        rows = self.ask(query)
        return rows[0][1] if len(rows) == 1 else float("nan")


def wait_for(condition, seconds):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(2)
    return condition()


def panel(name):
    """A query of the fleet's dashboard, which is the advice that docs/deploy.md names."""
    text = (ROOT / "docs/grafana-fleet.json").read_text()
    return next(query for query in re.findall(r'"expr": "(topk.*)"', text) if name in query)


def judge(suite, prometheus):
    per_host = 'instance:autocork_segments:rate5m / instance:autocork_messages:rate5m'

    def good(mode, value):
        return value <= MOST_CANARY if mode == "autocork" else LEAST_OBSERVER <= value <= MOST_OBSERVER

    def rows():
        return {labels["instance"]: value for labels, value in prometheus.ask(per_host)}

    def known():
        now, counted = rows(), named()
        return (counted and counted[0] >= 2 and all(good(mode, now.get(name, float("nan"))) for name, _, mode in HOSTS)
                and good("autocork", mean("true")) and good("observe", mean("")))

    def mean(canary):
        return prometheus.one(f'canary:autocork_segments_per_message:ratio{{canary="{canary}"}}')

    def named():
        return [count for labels, count in prometheus.ask(panel("service:autocork_wasting_hosts:count"))
                if SERVICE.items() <= labels.items()]

    wait_for(known, RULES_SECONDS)
    suite.check(prometheus.one('sum(up{job="autocork"})') == len(HOSTS), "one Prometheus scrapes three agents at once",
                prometheus.ask("up"))
    last = rows()
    for name, _, mode in HOSTS:
        value = last.get(name, float("nan"))
        suite.check(good(mode, value), f"{name}, {mode}: {value:.2f} segments per message", last)
    canary, rest = mean("true"), mean("")
    suite.check(good("autocork", canary) and good("observe", rest),
                f"the canary beside the rest: {canary:.2f} and {rest:.2f} segments per message")
    hosts = named()
    suite.check(len(hosts) == 1 and hosts[0] in (2, 3), f"the advice names the service, with {hosts} hosts",
                prometheus.ask(panel("service:autocork_wasting_hosts:count")))
    most = prometheus.ask(panel("service:autocork_wasted_packets:rate5m"))
    suite.check(bool(most) and max(most, key=lambda row: row[1])[0]["comm"] in (SERVICE["comm"], "visitor"),
                "and it wastes most", most)
    for labels, value in most:
        suite.note(f"{labels.get('comm')} {labels.get('side')} {labels.get('port')}: {value:.0f} packets/s wasted")
    # Not those of delays, nor of an agent whose release process was too slow to start: emulated processors are slow.
    alerts = prometheus.ask('ALERTS{alertname=~"AutocorkFleet(Down|NotInForce|SeesNothing)|AutocorkCanaryNoGain"}')
    suite.check(not alerts, "no agent is down, blind or behind, and the canary gains", alerts)


def main():
    with Suite("fleet") as suite, tempfile.TemporaryDirectory(prefix="autocork-fleet-") as folder:
        network = Network()
        guests = [Guest(suite, network, *host) for host in HOSTS]
        try:
            ready = wait_for(lambda: all(guest.ready() for guest in guests), READY_SECONDS)
            suite.check(ready, "three agents are ready", [(guest.name, guest.ready()) for guest in guests])
            if ready:
                with Prometheus(folder) as prometheus:
                    judge(suite, prometheus)
                    guests[-1].end()
                    suite.check(wait_for(lambda: prometheus.ask('ALERTS{alertname="AutocorkFleetDown"}'), 60),
                                "an agent that has gone is an alert", prometheus.ask("fleet:autocork_down:count"))
        finally:
            for guest in guests:
                guest.end()


if __name__ == "__main__":
    if "fleet" not in sys.argv[1:]:
        try:
            fetch(row_of("6.1"))		# the namespace has no way out
        except (NoKernel, OSError) as error:
            sys.exit(f"not ok 1 - a kernel to boot: {error}")
        os.execvp("unshare", ["unshare", "--net", sys.executable, __file__, "fleet"])
    main()
