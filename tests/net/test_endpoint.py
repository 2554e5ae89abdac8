#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Unmodified programs under `autocork run`: on their own TCP where the policy says so, on the kernel's elsewhere."""
import os
import pathlib
import signal
import socket
import subprocess
import time

from agent import ROOT, build
from endpoint import KERNEL_PORT, POLICY, PORT, SANITIZED, Endpoint, answer, directory_for, private_mounts
from netns import Pair, setns
from programs import Program, program
from steering import said
from tap import Skip, check, equal, main, wait_for

ECHO = str(ROOT / "tests/net/endpoint_echo.py")


def echo(point, kind, *more, port=PORT):
    server = point.run("python3", ECHO, kind, port, *more)
    said(server, "ready")
    return server


def check_echo(point, address=Pair.B4, port=PORT, sizes=(1, 64, 1460, 100000, 300000)):
    connection = point.connect(port, address)
    for size in sizes:
        data = os.urandom(size)
        equal(answer(connection, data, size) == data, True, f"{size} bytes come back")
    return connection


def test_echo_of_every_kind():
    """select, poll, epoll, asyncio and threads, with a pipe in the same set; IPv4 and IPv6; loopback stays the
    kernel's"""
    with Endpoint() as point:
        for kind in "async", "threads", "select", "poll", "epoll":
            server = echo(point, kind)
            # A thread in accept(), or a set that is waited on: then the queue is asked for.
            check_echo(point)
            point.serves()
            before = point.steered()
            for address in Pair.B4, Pair.B6:
                check_echo(point, address)
            check(point.steered() > before + 200, f"{kind}: its connections are steered: {point.steered() - before}")
            equal(len(point.flows()) >= 2, True, f"{kind}: flows")
            before = point.steered()
            with point.b.inside():
                local = socket.create_connection(("127.0.0.1", PORT), timeout=10)
            with local:
                equal(answer(local, b"hello", 5), b"hello", f"{kind}: loopback")
            equal(point.steered(), before, f"{kind}: loopback is not steered")
            server.process.kill()
            server.process.wait()
            wait_for(lambda: not point.has_consumer(), 10, "the queue to be free")


def test_port_without_policy():
    """a port that no policy names is the kernel's, in the same way of starting"""
    with Endpoint() as point:
        echo(point, "epoll", port=KERNEL_PORT)
        check_echo(point, port=KERNEL_PORT)
        equal(point.steered(), 0, "steered packets")


def test_no_agent():
    """without an agent the program says so and runs on the kernel"""
    with Endpoint(policy=None) as point:
        server = echo(point, "async")
        check_echo(point)
        check("no agent gives out queues" in server.output(), server.output())


def test_refused():
    """more programs than queues, an agent that may lock no memory: a message, and the kernel serves the program"""
    with Endpoint() as point:
        echo(point, "epoll")
        check_echo(point)
        point.serves()
        second = point.run("python3", ECHO, "epoll", str(PORT + 1), options=["--verbose"])
        said(second, "ready")
        wait_for(lambda: "1 of 1 queues are taken: the kernel serves this program" in second.output(), 10,
                 "the word of the taken queue")
        before = point.steered()
        check_echo(point, port=PORT + 1)
        equal(point.steered(), before, "steered packets of the second program")
    with Endpoint(policy=None) as point:
        point.write(POLICY)
        # Root may lock memory without a limit: by a capability, which is taken away.
        agent = point.stack.enter_context(Program(point.b, [
            program("prlimit"), "--memlock=65536", program("setpriv"), "--bounding-set=-ipc_lock",
            build("tests/net/steer_agent"),
            point.directory]))
        said(agent, "ready")
        server = point.run("python3", ECHO, "epoll", PORT, options=["--verbose"])
        said(server, "ready")
        check_echo(point)
        wait_for(lambda: "UMEM" in server.output() and "LimitMEMLOCK" in server.output(), 10,
                 "the word of locked memory")
        check(not point.has_consumer(), "no queue is taken")
        check(agent.process.poll() is None, agent.output())


def test_fork_per_connection():
    """a server that forks for each connection: what is open goes on in the kernel, in the child"""
    with Endpoint() as point:
        echo(point, "fork")
        for _ in range(3):
            check_echo(point)
        point.serves()
        for _ in range(5):
            check_echo(point)


def test_killed():
    """kill -9: the client sees a reset, the queue is free, the kernel takes the port, the next program its queue"""
    with Endpoint() as point:
        first = echo(point, "epoll")
        check_echo(point)
        point.serves()
        connection = check_echo(point)
        # The kernel's server that takes over: it listens beside the first one.
        first.process.send_signal(signal.SIGKILL)
        first.process.wait()
        begun = time.monotonic()
        try:
            connection.sendall(b"x")
            got = connection.recv(1)
        except ConnectionResetError:
            got = None
        took = time.monotonic() - begun
        equal(got, None, "after kill -9")
        check(took < 5, f"the reset took {took:.3f} s")
        wait_for(lambda: not point.has_consumer(), 10, "the queue to be free")
        point.server(PORT)
        equal(point.client(PORT).who(), "kernel", "the next connection")
        wait_for(lambda: "is free again" in point.keeper.output(), 10, "the agent's word")


NGINX = """
user www-data;
worker_processes {workers};
daemon off;
master_process on;
pid {directory}/pid;
error_log {directory}/error.log info;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    sendfile on;
    client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy; fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi; scgi_temp_path {directory}/scgi;
    server {{
        listen {port}{more};
        listen [::]:{port}{more} ipv6only=on;
        root {directory};
        location /twice/ {{ proxy_pass http://127.0.0.1:{port}/; }}
    }}
}}
"""


def nginx(point, directory, workers, more="", orphan=False):
    """With orphan the master's parent ends, as where it is a daemon: without that nginx takes no USR2."""
    path = pathlib.Path(directory)
    (path / "small").write_bytes(b"y" * 600)
    (path / "large").write_bytes(os.urandom(8 << 20))
    (path / "nginx.conf").write_text(NGINX.format(workers=workers, directory=directory, port=PORT, more=more))
    command = [program("nginx"), "-c", str(path / "nginx.conf")]
    if orphan:
        command = ["sh", "-c", '(sh -c \'"$0" "$@" & sleep 0.3\' "$0" "$@"); exec sleep 100', *command]
    return point.run(*command, port=PORT)


def get(point, path, host=Pair.B4):
    url = f"http://[{host}]:{PORT}/{path}" if ":" in host else f"http://{host}:{PORT}/{path}"
    done = subprocess.run(["curl", "-sS", "-g", "-m", "30", url], capture_output=True, check=False,
                          preexec_fn=lambda: setns(point.a.fd))
    if done.returncode:
        raise AssertionError(f"curl {path}: {done.returncode}: {done.stderr.decode()}")
    return done.stdout


def test_nginx():
    """nginx with one worker of www-data: small and large files, IPv6, a proxy to itself by loopback, many
    connections"""
    with Endpoint() as point, directory_for("www-data") as directory:
        server = nginx(point, directory, 1)
        point.serves()
        large = pathlib.Path(directory, "large").read_bytes()
        for host in Pair.B4, Pair.B6:
            equal(get(point, "small", host), b"y" * 600, "a small file")
            equal(get(point, "large", host) == large, True, "a large file")
        check(point.instances()[0]["handed_over_for"]["bulk"] >= 2, f"bulk goes on in the kernel: {point.instances()}")
        equal(get(point, "twice/small"), b"y" * 600, "through the proxy")
        check(" uid 33" in point.keeper.output(), "the worker is www-data's: " + point.keeper.output())
        said_by_wrk = point.a.run("wrk", "-c", "16", "-t", "1", "-d", "1s", f"http://{Pair.B4}:{PORT}/small")
        check("Non-2xx" not in said_by_wrk and "Socket errors" not in said_by_wrk, said_by_wrk)
        said_by_wrk = point.a.run("wrk", "-c", "16", "-t", "1", "-d", "1s", "-H", "Connection: close",
                                  f"http://{Pair.B4}:{PORT}/small")
        check("Non-2xx" not in said_by_wrk and "Socket errors" not in said_by_wrk, said_by_wrk)
        check(server.process.poll() is None, server.output())
        # Its end: nothing stays taken.
        server.process.send_signal(signal.SIGQUIT)
        server.process.wait(10)
        wait_for(lambda: not point.has_consumer(), 10, "the queue to be free")


def test_answer_before_work():
    """a program that was prompt, and then computes or sleeps after its answer: the answer does not wait for its end"""
    with Endpoint() as point:
        for late in b"20", b"-20":
            server = echo(point, "late")
            point.serves()
            before = point.steered()
            connection = point.connect()
            for _ in range(300):
                equal(answer(connection, b"x", 1), b"x", "a prompt answer")
            check(point.steered() >= before + 300, "it is steered")
            begun = time.monotonic()
            equal(answer(connection, late, len(late)), late, "the answer before the work")
            check(time.monotonic() - begun < 10, f"after {time.monotonic() - begun:.1f} s")
            server.process.kill()
            wait_for(lambda: not point.has_consumer(), 10, "the queue to be free")


def test_nginx_two_workers():
    """two workers, a queue each: both serve, and one that is killed comes back"""
    with Endpoint(policy=None) as point, directory_for("www-data") as directory:
        for net in point.a, point.b:
            net.run("ethtool", "-L", "cable", "rx", "2", "tx", "2")
        point.agent(POLICY)
        server = nginx(point, directory, 2, " reuseport")

        def consumers():
            return sum(queue["consumer"] for queue in point.status()["queues"])
        wait_for(lambda: get(point, "small") and consumers() == 2, 20, "two queues")
        said_by_wrk = point.a.run("wrk", "-c", "32", "-t", "1", "-d", "1s", f"http://{Pair.B4}:{PORT}/small")
        check("Non-2xx" not in said_by_wrk and "Socket errors" not in said_by_wrk, said_by_wrk)
        worker = subprocess.run(["pgrep", "-n", "-P", str(server.process.pid)], capture_output=True, text=True,
                                check=True).stdout.strip()
        os.kill(int(worker), signal.SIGKILL)
        wait_for(lambda: get(point, "small") and consumers() == 2, 20, "two queues again")


def children(pid):
    return [int(line) for line in subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False)
            .stdout.split()]


def test_nginx_reload():
    """reload and upgrade (USR2) under load: no connection is lost, the next worker takes the queue when the last has
    ended"""
    if SANITIZED:
        raise Skip("the next nginx has no ASAN_OPTIONS: the one before passes on what its own environment names")
    with Endpoint() as point, directory_for("www-data") as directory:
        nginx(point, directory, 1, orphan=True)
        point.serves()

        def pid(name="pid"):
            return int(pathlib.Path(directory, name).read_text())
        master = pid()
        # Connections all the time, so that the worker that ends has some that it has not accepted.
        load = point.stack.enter_context(Program(point.a, ["wrk", "-c", "16", "-t", "1", "-d", "5s", "--timeout", "10s",
                                                           "-H", "Connection: close",
                                                           f"http://{Pair.B4}:{PORT}/small"]))
        for _ in range(6):
            os.kill(master, signal.SIGHUP)
            for _ in range(10):
                equal(get(point, "small"), b"y" * 600, "while it reloads")
        wait_for(lambda: get(point, "small") and point.has_consumer(), 20, "the new worker's queue")
        os.kill(master, signal.SIGUSR2)
        pids = [pathlib.Path(directory, name) for name in ("pid", "pid.oldbin")]
        wait_for(lambda: all(path.exists() for path in pids) and children(pid()), 10, "the new master's worker")
        os.kill(master, signal.SIGQUIT)
        for _ in range(10):
            equal(get(point, "small"), b"y" * 600, "while it is upgraded")
        load.process.wait(30)
        said_by_wrk = load.output()
        check("requests in" in said_by_wrk and "Socket errors" not in said_by_wrk and "Non-2xx" not in said_by_wrk,
              said_by_wrk)
        os.kill(pid(), signal.SIGQUIT)
        wait_for(lambda: not point.has_consumer(), 10, "the queue to be free")


def test_nginx_reload_without_agent():
    """reloads while no agent runs: the kernel serves at once although the worker that ends goes on, which completes what
    it has; the next agent gives the last worker the queue"""
    with Endpoint() as point, directory_for("www-data") as directory:
        server = nginx(point, directory, 1)
        wait_for(lambda: get(point, "small") and point.has_consumer(), 20, "the worker's queue")
        half = point.connect()
        half.sendall(b"GET /small HTTP/1.0\r\n")
        old = children(server.process.pid)
        point.keeper.process.kill()
        point.keeper.process.wait()
        before = point.steered()
        equal(get(point, "small"), b"y" * 600, "on its own TCP")
        check(point.steered() > before, "new connections are steered without an agent")
        for _ in range(2):
            workers = children(server.process.pid)
            server.process.send_signal(signal.SIGHUP)
            wait_for(lambda workers=workers: set(children(server.process.pid)) - set(workers), 20, "the next worker")
            begun, before = time.monotonic(), point.steered()
            # Those of the very first moment may still be the old worker's: it closes its listener a little later.
            for _ in range(200):
                equal(get(point, "small"), b"y" * 600, "while it reloads")
                if point.steered() == before:
                    break
                before = point.steered()
            for _ in range(10):
                equal(get(point, "small"), b"y" * 600, "after that")
            equal(point.steered(), before, "the kernel serves")
            check(time.monotonic() - begun < 20, f"it took {time.monotonic() - begun:.1f} s")
            check(set(old) <= set(children(server.process.pid)), "the worker with half a request goes on")
        got = answer(half, b"\r\n", 10000)
        check(got.endswith(b"\r\n\r\n" + b"y" * 600), "the other half of the request")
        point.agent(POLICY)

        def again():
            before = point.steered()
            get(point, "small")
            return point.steered() > before
        wait_for(again, 30, "the last worker's queue")


def test_redis():
    """redis: pipelines, large values, a fork for its snapshot while connections are open"""
    with Endpoint() as point, directory_for("redis") as directory:
        point.run(program("redis-server"), "--port", PORT, "--bind", "0.0.0.0", "--protected-mode", "no", "--save", "",
                  "--dir", directory, port=PORT)
        point.serves()
        connection = point.connect()
        equal(answer(connection, b"PING\r\n" * 1000, 7000), b"+PONG\r\n" * 1000, "a pipeline")
        value = os.urandom(1 << 20).hex().encode()[:1 << 20]
        equal(answer(connection, b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1048576\r\n" + value + b"\r\n", 5), b"+OK\r\n", "SET")
        want = b"$1048576\r\n" + value + b"\r\n"
        equal(answer(connection, b"GET k\r\n", len(want)) == want, True, "GET")
        check(answer(connection, b"BGSAVE\r\n", 1).startswith(b"+"), "BGSAVE")
        equal(answer(connection, b"GET k\r\n", len(want)).endswith(value + b"\r\n"), True, "GET after the fork")
        point.a.run("redis-benchmark", "-h", Pair.B4, "-p", str(PORT), "-c", "32", "-n", "5000", "-t", "get,set", "-q")


def test_memcached():
    """memcached with four threads: accepted in one, read in another"""
    with Endpoint() as point:
        point.run(program("memcached"), "-u", "nobody", "-p", PORT, "-U", 0, "-t", 4, port=PORT)
        check(point.connect(), "the first connection")
        point.serves()
        before = point.steered()
        connections = [point.connect() for _ in range(16)]
        for i, connection in enumerate(connections):
            name, value = f"k{i}", os.urandom(5000).hex().encode()
            equal(answer(connection, f"set {name} 0 0 {len(value)}\r\n".encode() + value + b"\r\n", 8), b"STORED\r\n",
                  "set")
            want = f"VALUE {name} 0 {len(value)}\r\n".encode() + value + b"\r\nEND\r\n"
            equal(answer(connection, f"get {name}\r\n".encode(), len(want)), want, "get")
        check(point.steered() > before + 100, "they are steered")


HAPROXY = """
global
    nbthread 1
defaults
    mode http
    timeout connect 10s
    timeout client 10s
    timeout server 10s
listen web
    bind {address}:{port}
    server backend 127.0.0.1:{backend}
"""
APP = """
def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "600")])
    return [b"y" * 600]
"""


def check_web(point):
    """Pages over the program's own TCP, one by one and many at once."""
    for _ in range(3):
        equal(get(point, "small"), b"y" * 600, "a page")
    point.serves()
    before = point.steered()
    said_by_wrk = point.a.run("wrk", "-c", "8", "-t", "1", "-d", "1s", f"http://{Pair.B4}:{PORT}/small")
    check("Non-2xx" not in said_by_wrk and "Socket errors" not in said_by_wrk, said_by_wrk)
    check(point.steered() > before + 50, f"its packets are steered: {point.steered() - before}")


def test_haproxy():
    """haproxy before an nginx that the kernel serves: kernel and own connections in one set"""
    with Endpoint() as point, directory_for("www-data") as directory:
        path = pathlib.Path(directory)
        (path / "small").write_bytes(b"y" * 600)
        (path / "nginx.conf").write_text(NGINX.format(workers=1, directory=directory, port=KERNEL_PORT, more=""))
        point.run(program("nginx"), "-c", str(path / "nginx.conf"), port=KERNEL_PORT)
        (path / "haproxy.cfg").write_text(HAPROXY.format(address=Pair.B4, port=PORT, backend=KERNEL_PORT))
        point.run(program("haproxy"), "-db", "-f", str(path / "haproxy.cfg"), port=PORT)
        check_web(point)


def test_gunicorn():
    """gunicorn: a worker that its master forks"""
    with Endpoint() as point, directory_for("www-data") as directory:
        pathlib.Path(directory, "pages.py").write_text(APP)
        point.run(program("gunicorn"), "--chdir", directory, "--no-sendfile", "-w", "1", "-b", f"{Pair.B4}:{PORT}",
                  "pages:app",
                  port=PORT)
        check_web(point)


def test_differential():
    """the same random calls on a connection of the stack and on one of the kernel give the same results"""
    with Endpoint() as point:
        home = f"/proc/{point.a.resident.pid}/ns/net"
        run = point.run("python3", str(ROOT / "tests/net/endpoint_differential.py"), home, Pair.B4, PORT, KERNEL_PORT,
                        os.environ.get("TEST_SEED", "1"), os.environ.get("TEST_ROUNDS", "25"))
        text = run.wait(90)
        check(point.steered() > 100, f"one half of it is steered: {point.steered()}")
        check("rounds, " in text, text)


def test_run_says_why_not():
    """static programs, Go's, and wrong ones: a message, and they run as they would"""
    static = "/bin/busybox"
    done = subprocess.run([build("autocork"), "run", "--", static, "echo", "hi"], capture_output=True, text=True,
                          check=True)
    equal(done.stdout, "hi\n", "it runs")
    check("statically linked" in done.stderr and "it runs on the kernel's TCP" in done.stderr, done.stderr)
    done = subprocess.run([build("autocork"), "run", "--", "no-such-program"], capture_output=True, text=True,
                          check=False)
    check(done.returncode == 1 and "no-such-program: No such file" in done.stderr, done.stderr)
    done = subprocess.run([build("autocork"), "run", "--spin", "1s", "--", "true"], capture_output=True, text=True,
                          check=False)
    check(done.returncode == 2 and "0us to 10ms" in done.stderr, done.stderr)


if __name__ == "__main__":
    private_mounts()
    main(globals())
