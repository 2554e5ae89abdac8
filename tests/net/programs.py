# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Programs as Debian ships them, started in a namespace and a cgroup, and stopped with them."""
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import traceback

from netns import PR_SET_PDEATHSIG, libc, setns
from tap import Skip, equal, wait_for


def program(name):
    """Its path; Debian's own, not one that a version manager puts first."""
    path = shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin")
    if not path:
        raise Skip(f"{name} is not installed")
    return path


def free_port(net):
    with net.inside(), socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_port(net, port, seconds=15, host="127.0.0.1", alive=None):
    """Until something listens there; asks the kernel, so that no connection disturbs what the agent counts."""
    def listens():
        if alive is not None and alive.process.poll() is not None:
            raise AssertionError(f"{alive.command[0]} ended with {alive.process.returncode}:\n{alive.output()[-2000:]}")
        return f":{port} " in net.run("ss", "-tlnH", f"sport = :{port}")
    wait_for(listens, seconds, f"a listener on port {port}")


@contextlib.contextmanager
def forked(serve):
    """A copy of this process that runs serve(ready) until the block ends; the block begins once it has called
    ready()."""
    heard, told = os.pipe()
    child = os.fork()
    if not child:
        try:
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            serve(lambda: os.write(told, b"x"))
        except BaseException:  # this process is a copy of the test, and must not go on as one
            traceback.print_exc()
        finally:
            os._exit(1)
    os.close(told)
    try:
        equal(os.read(heard, 1), b"x", "the child's word that it serves")
        yield
    finally:
        os.close(heard)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


class Program:
    """`with Program(net, command, cgroup=…) as p:` — its output goes to a file; leaving the block ends its process
    group."""

    def __init__(self, net, command, cgroup=None, environment=None, directory=None, cpu=None):
        self.command = [str(word) for word in command]
        self.file = tempfile.TemporaryFile("w+")

        def enter():
            setns(net.fd)
            if cgroup is not None:
                cgroup.add(0)
            if cpu is not None:
                os.sched_setaffinity(0, {cpu})
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=self.file, stderr=self.file,
                                        preexec_fn=enter, start_new_session=True, cwd=directory,
                                        env=dict(os.environ, **environment) if environment else None)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.stop()

    def output(self):
        self.file.flush()
        return os.pread(self.file.fileno(), 1 << 24, 0).decode(errors="replace")

    def wait(self, seconds=60):
        """Its output, once it ended well."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.command[0]}: not done within {seconds} s:\n{self.output()[-2000:]}") from None
        if code:
            raise AssertionError(f"{' '.join(self.command)}: {code}:\n{self.output()[-2000:]}")
        return self.output()

    def stop(self, seconds=5):
        end = time.monotonic() + seconds
        for number in signal.SIGTERM, signal.SIGKILL:
            try:
                os.killpg(self.process.pid, number)
            except ProcessLookupError:
                break
            while self.process.poll() is None and time.monotonic() < end:
                time.sleep(0.01)
        self.process.wait()
        self.file.close()
