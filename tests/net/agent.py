# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""The agent under test: build/autocorkd with a control socket, policy files and a cgroup of the test's own."""
import contextlib
import fcntl
import json
import os
import pathlib
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from netns import PR_SET_PDEATHSIG, libc
from records import records

ROOT = pathlib.Path(__file__).resolve().parents[2]
MANAGE = "[policy all]\nmode = autocork\n"
OBSERVE = "[policy all]\nmode = observe\n"
OFF = "[policy all]\nmode = off\n"
# The names of congestion controls are global to the kernel: one agent at a time, whichever checkout it is from.
LOCK = pathlib.Path("/run/lock/autocork-test.lock")
START_S = 90  # a machine with 16 ready programs for two processors took more than 30
# tests/sanitize/run: the address sanitizer of the library comes before what is preloaded. It installs no handlers of
# its own: they lack SA_RESTART, and the library cannot tell which handler has interrupted a call.
RUNTIME = os.environ.get("SANITIZER_RUNTIME")
NO_HANDLERS = "".join(f":handle_{name}=0" for name in ("segv", "sigbus", "sigfpe", "sigill", "abort"))
SANITIZED = {"LD_PRELOAD": RUNTIME,
             "ASAN_OPTIONS": os.environ["ASAN_OPTIONS"] + ":verify_asan_link_order=0" + NO_HANDLERS} if RUNTIME else {}


@contextlib.contextmanager
def no_agent():
    """No agent of any test runs meanwhile: it might manage every flow of the host."""
    with LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def build(name):
    """A file under build/ (or BUILD), made by `make`."""
    return str(ROOT / os.environ.get("BUILD", "build") / name)


def control(member):
    """What the agent and its programs tell each other (include/autocork/control.h): "watched" has flows that the
    observer looks at."""
    end = time.monotonic() + 10
    while True:
        out = subprocess.run(["bpftool", "-j", "map", "dump", "name", "control"], capture_output=True, text=True,
                             check=True).stdout
        first = json.loads(out)[0]
        # Of several maps of that name bpftool makes another list: an agent that has ended has one for a moment.
        if "formatted" in first:
            return first["formatted"]["value"][member]
        if time.monotonic() > end:
            raise AssertionError(f"several maps named control: {out[:500]}")
        time.sleep(0.1)


class Agent:
    """`with Agent(cgroup) as agent:` runs one. It holds a lock from start() to stop() or kill()."""

    def __init__(self, cgroup=None, policy=MANAGE, arguments=(), log_level="info"):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="autocork-test-"))
        self.control = str(self.directory / "control.sock")
        self.policies = self.directory / "policy.d"
        self.policies.mkdir()
        self.log_path = self.directory / "log"
        self.write_policy(policy)
        self.command = [build("autocorkd"), "--control", self.control, "--policy-dir", str(self.policies),
                        "--log-level", log_level, *arguments]
        if cgroup is not None:
            self.command += ["--cgroup", str(cgroup.path)]
        self.process = None
        self.lock = None

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(self, *error):
        try:
            if self.process:
                self.stop()
        finally:
            self.remove()

    def write_policy(self, text, name="test.conf"):
        (self.policies / name).write_text(text)

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def start(self):
        """Returns once the agent says READY=1 (sd_notify)."""
        self.lock = LOCK.open("w")
        fcntl.flock(self.lock, fcntl.LOCK_EX)
        notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        address = str(self.directory / f"notify-{time.monotonic_ns()}")
        notify.bind(address)
        environment = dict(os.environ, NOTIFY_SOCKET=address)
        with self.log_path.open("a") as log:
            # A test that is killed leaves no agent to the next one.
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                            env=environment,
                                            preexec_fn=lambda: libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM))
        end = time.monotonic() + START_S
        with notify:
            while time.monotonic() < end and self.process.poll() is None:
                if select.select([notify], [], [], 0.1)[0] and b"READY=1" in notify.recv(4096):
                    return self
        self.kill()
        raise AssertionError("the agent did not start:\n" + self.log()[-2000:])

    def ask(self, *arguments):
        """`autocork ARGUMENTS --json`, parsed: one value, or a list of lines."""
        done = subprocess.run([build("autocork"), arguments[0], "--json", "--control", self.control, *arguments[1:]],
                              capture_output=True, text=True, check=False)
        if done.returncode:
            raise AssertionError(f"autocork {' '.join(arguments)}: {done.returncode}: {done.stdout}{done.stderr}")
        return [json.loads(line) for line in done.stdout.splitlines()]

    def status(self):
        return self.ask("status")[0]

    def totals(self):
        return self.status()["totals"]

    def flows(self):
        return self.ask("flows")

    def services(self):
        return self.ask("services")

    def service(self, port, side):
        """The counters of a port's side, added up over programs; None while there are none."""
        rows = [row for row in self.services() if row["port"] == port and row["side"] == side]
        if not rows:
            return None
        total = {}
        for row in rows:
            for name, value in row.items():
                if isinstance(value, int) and name not in ("number", "port", "cgroup"):
                    total[name] = total.get(name, 0) + value
        for group in "refused", "released", "option_calls", "option_idle":
            total[group] = {name: sum(row[group].get(name, 0) for row in rows) for name in rows[0][group]}
        return total

    def feature(self, name):
        """Whether a feature named like this works here."""
        return any(row["works"] for row in self.status()["features"] if row["name"].startswith(name))

    def reload(self, policy):
        """Puts other policies in force by SIGHUP."""
        before = self.status()["policy"]["reload"]
        self.write_policy(policy)
        self.process.send_signal(signal.SIGHUP)
        end = time.monotonic() + 10
        while time.monotonic() < end:
            now = self.status()["policy"]["reload"]
            if now["good"] + now["bad"] > before["good"] + before["bad"]:
                if not now["ok"]:
                    raise AssertionError("reload: " + str(now["error"]))
                return
            time.sleep(0.02)
        raise AssertionError("reload: not done within 10 s")

    def stop(self, seconds=15):
        """SIGTERM; every flow is given back before it exits."""
        self.records_have_sockets()
        self.process.terminate()
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the agent did not stop within {seconds} s:\n" + self.log()[-2000:]) from None
        self._gone()
        if code:
            raise AssertionError(f"the agent ended with {code}:\n" + self.log()[-2000:])

    def records_have_sockets(self):
        """No record outlives its socket: there are never more of them than TCP sockets on the whole machine."""
        def sockets():
            words = pathlib.Path("/proc/net/sockstat").read_text().split("TCP:")[1].split()
            return int(words[words.index("alloc") + 1])

        def left():
            before = sockets()
            taken = records(self.process.pid)
            # Connections come and go meanwhile.
            return taken - max(before, sockets())
        end = time.monotonic() + 15
        while (more := left()) > 0:
            if time.monotonic() > end:
                raise AssertionError(f"{more} records more than there are TCP sockets")
            time.sleep(0.1)

    def kill(self):
        """SIGKILL: it gets no chance to give anything back."""
        self.process.kill()
        self.process.wait()
        self._gone()

    def _gone(self):
        self.process = None
        self.lock.close()
        self.lock = None

    def remove(self):
        if self.process:
            self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)
