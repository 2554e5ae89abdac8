# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Servers from Debian's packages, each with a configuration of the test's own and nothing of the host's."""
import pathlib
import shutil
import subprocess
import tempfile

from programs import Program, free_port, program, wait_port


class Server:
    """Base: a temporary directory, a free port, a program in the foreground. Subclasses fill command()."""

    def __init__(self, net, cgroup=None, port=None, cpu=None):
        self.net = net
        self.port = port or free_port(net)
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="autocork-test-"))
        self.program = None
        try:
            self.program = Program(net, self.command(), cgroup, environment=self.environment(),
                                   directory=self.directory,
                                   cpu=cpu)
            wait_port(net, self.port, alive=self.program)
        except BaseException:
            self.stop()
            raise

    def command(self):
        raise NotImplementedError

    def environment(self):
        return {}

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.stop()

    def stop(self):
        if self.program:
            self.program.stop()
        shutil.rmtree(self.directory, ignore_errors=True)


class Nginx(Server):
    """One worker; file.bin has `size` bytes."""

    def __init__(self, net, cgroup=None, port=None, cpu=None, size=600, sendfile=True, tls=False, extra=""):
        self.size, self.sendfile, self.tls, self.extra = size, sendfile, tls, extra
        self.body = bytes((i * 7 + (i >> 8)) & 255 for i in range(size))
        super().__init__(net, cgroup, port, cpu)

    def command(self):
        root = self.directory / "root"
        root.mkdir()
        (root / "file.bin").write_bytes(self.body)
        listen = "ssl" if self.tls else ""
        keys = ""
        if self.tls:
            certificate(self.directory)
            keys = f"ssl_certificate {self.directory}/cert.pem; ssl_certificate_key {self.directory}/key.pem;"
        (self.directory / "nginx.conf").write_text(f"""
daemon off;
user root;
worker_processes 1;
pid {self.directory}/pid;
error_log {self.directory}/error.log;
events {{ worker_connections 4096; }}
http {{
	access_log off;
	sendfile {'on' if self.sendfile else 'off'};
	keepalive_requests 100000000;
	client_body_temp_path {self.directory}/body;
	proxy_temp_path {self.directory}/proxy;
	fastcgi_temp_path {self.directory}/fastcgi;
	uwsgi_temp_path {self.directory}/uwsgi;
	scgi_temp_path {self.directory}/scgi;
	server {{
		listen {self.port} {listen};
		listen [::]:{self.port} {listen};
		root {root};
		{keys}
		{self.extra}
	}}
}}
""")
        return [program("nginx"), "-p", self.directory, "-e", self.directory / "error.log", "-c",
                self.directory / "nginx.conf"]


class Redis(Server):
    def command(self):
        return [program("redis-server"), "--port", self.port, "--save", "", "--appendonly", "no", "--dir",
                self.directory]


class Gunicorn(Server):
    """A WSGI application whose body comes in pieces, so that the server writes more than once per response."""

    APPLICATION = """
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "600")])
    return [b"x" * 200, b"y" * 200, b"z" * 200]
"""
    body = b"x" * 200 + b"y" * 200 + b"z" * 200

    def command(self):
        (self.directory / "wsgi.py").write_text(self.APPLICATION)
        return [program("gunicorn"), "--chdir", self.directory, "--worker-tmp-dir", self.directory, "--workers", "1",
                "--threads", "4", "--keep-alive", "30", "--bind", f"0.0.0.0:{self.port}", "wsgi:app"]


class HttpServer(Server):
    """Python's own: headers and body are separate writes."""

    body = bytes(range(256)) * 4

    def command(self):
        (self.directory / "file.bin").write_bytes(self.body)
        return ["/usr/bin/python3", "-m", "http.server", "--directory", self.directory, "--protocol", "HTTP/1.1",
                self.port]


class Haproxy(Server):
    """HTTP in front of another server."""

    def __init__(self, net, backend_port, cgroup=None, port=None, cpu=None):
        self.backend_port = backend_port
        super().__init__(net, cgroup, port, cpu)

    def command(self):
        (self.directory / "haproxy.cfg").write_text(f"""
global
	maxconn 1000
	nbthread 1
defaults
	mode http
	timeout connect 5s
	timeout client 30s
	timeout server 30s
frontend front
	bind 0.0.0.0:{self.port}
	default_backend back
backend back
	http-reuse always
	server nginx 127.0.0.1:{self.backend_port}
""")
        return [program("haproxy"), "-db", "-f", self.directory / "haproxy.cfg"]


def certificate(directory):
    """A self-signed one, valid for the length of a test."""
    subprocess.run([program("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                    "-nodes",
                    "-days", "2", "-subj", "/CN=localhost", "-keyout", directory / "key.pem", "-out",
                    directory / "cert.pem"],
                   check=True, capture_output=True)
