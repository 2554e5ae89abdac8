#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""HTTP servers from Debian's packages: bodies unchanged, fewer segments, no misses, congestion control given back."""
import http.client
import re
import socket
import ssl

from lib import MANAGE, Program, build, check, equal, main, program, world
from servers import Gunicorn, Haproxy, HttpServer, Nginx, Server

REQUESTS = 300


class Mhd(Server):
    """tests/net/mhd_server.c: libmicrohttpd, which corks by itself."""

    body = b"m" * 600

    def command(self):
        return [build("tests/net/mhd_server"), self.port, len(self.body)]


def fetch(w, port, body, requests=REQUESTS, tls=False, close=False, path="/file.bin"):
    """Fetches one after the other and compares each. Returns the connection, open, unless it is to be closed."""
    context = ssl._create_unverified_context() if tls else None
    connection = None
    with w.net.inside():
        for number in range(requests):
            if connection is None:
                connection = (http.client.HTTPSConnection("127.0.0.1", port, timeout=20, context=context) if tls else
                              http.client.HTTPConnection("127.0.0.1", port, timeout=20))
            connection.request("GET", path, headers={"Connection": "close"} if close else {})
            response = connection.getresponse()
            equal(response.status, 200, f"status of request {number}")
            equal(response.read(), body, f"body of request {number}")
            if close:
                connection.close()
                connection = None
    return connection


def segments_per_fetch(w, server, **how):
    """After a first round that teaches."""
    connection = fetch(w, server.port, server.body, 100, **how)
    if connection:
        connection.close()
    before = w.net.segments()
    connection = fetch(w, server.port, server.body, **how)
    return (w.net.segments() - before) / REQUESTS, connection


def given_back(w, connection, server):
    """With the connection alive, stop the agent: nothing is left on a wrapper, and it still serves."""
    w.agent.stop()
    equal(w.net.wrapped(), 0, "flows on a wrapper after the stop")
    if connection:
        connection.request("GET", "/file.bin")
        equal(connection.getresponse().read(), server.body, "a body after the stop")
        connection.close()


def serve(make, most, least_bursts=REQUESTS, **how):
    """`most` segments per request or connection, acknowledgements included."""
    with world(MANAGE) as w, make(w) as server:
        segments, connection = segments_per_fetch(w, server, **how)
        check(segments <= most, f"{segments:.2f} segments per request, not {most}")
        w.misses_below(0.01, least_bursts)
        given_back(w, connection, server)


def test_nginx_keepalive():
    """nginx, sendfile on, keep-alive"""
    serve(lambda w: Nginx(w.net, w.servers), 2.2)


def test_nginx_no_sendfile():
    """nginx, sendfile off, keep-alive"""
    serve(lambda w: Nginx(w.net, w.servers, sendfile=False), 2.2)


def test_nginx_close():
    """nginx, Connection: close"""
    serve(lambda w: Nginx(w.net, w.servers), 11, close=True)


def test_nginx_large():
    """nginx, a body of many segments"""
    serve(lambda w: Nginx(w.net, w.servers, size=300000), 60)


def test_nginx_tls():
    """nginx with TLS, keep-alive"""
    serve(lambda w: Nginx(w.net, w.servers, tls=True), 2.4, tls=True)


def test_nginx_tls_close():
    """nginx with TLS, Connection: close"""
    serve(lambda w: Nginx(w.net, w.servers, tls=True), 20, tls=True, close=True)


def test_nginx_reload():
    """nginx's worker replaced under load: no request fails"""
    with world(MANAGE) as w, Nginx(w.net, w.servers) as server:
        for _ in range(5):
            fetch(w, server.port, server.body, 50, close=True)
            w.net.run(program("nginx"), "-p", str(server.directory), "-e", str(server.directory / "error.log"), "-c",
                      str(server.directory / "nginx.conf"), "-s", "reload")
        # Not keep-alive: an old worker that is leaving may close an idle connection at any moment.
        fetch(w, server.port, server.body, 50, close=True)


def test_nginx_load():
    """nginx under wrk, 16 connections: 2 segments per request, no misses"""
    with world(MANAGE) as w, Nginx(w.net, w.servers) as server:
        def load():
            with Program(w.net, [program("wrk"), "-c16", "-t1", "-d2s", f"http://127.0.0.1:{server.port}/file.bin"],
                         w.clients) as client:
                output = client.wait(30)
            check("Non-2xx" not in output and "Socket errors" not in output, output)
            return int(re.search(r"(\d+) requests in", output)[1])
        load()
        before = w.net.segments()
        requests = load()
        segments = (w.net.segments() - before) / requests
        check(segments <= 2.1, f"{segments:.3f} segments per request")
        w.misses_below(0.001, requests)


def test_gunicorn():
    """gunicorn, a body in three pieces"""
    serve(lambda w: Gunicorn(w.net, w.servers), 14)


def test_http_server():
    """Python's http.server, headers and body apart"""
    serve(lambda w: HttpServer(w.net, w.servers), 3.2)


def test_microhttpd():
    """libmicrohttpd, which corks by itself"""
    serve(lambda w: Mhd(w.net, w.servers), 3.2, least_bursts=1)


def test_haproxy():
    """HAProxy in front of nginx: both hops"""
    with world(MANAGE) as w, Nginx(w.net, w.servers) as nginx, Haproxy(w.net, nginx.port, w.servers) as proxy:
        proxy.body = nginx.body
        segments, connection = segments_per_fetch(w, proxy)
        check(segments <= 4.6, f"{segments:.2f} segments per request over two hops")
        w.misses_below(0.01, REQUESTS)
        given_back(w, connection, proxy)


def test_nginx_pipeline():
    """pipelined requests: 20 in one write, answered in order"""
    with world(MANAGE) as w, Nginx(w.net, w.servers) as server:
        fetch(w, server.port, server.body, 200).close()
        with w.net.inside(), socket.create_connection(("127.0.0.1", server.port), 20) as sock:
            for _ in range(20):
                sock.sendall(b"GET /file.bin HTTP/1.1\r\nHost: x\r\n\r\n" * 20)
                got = b""
                while got.count(server.body) < 20:
                    piece = sock.recv(65536)
                    check(piece, "the connection ended")
                    got += piece
                equal(got.count(b"HTTP/1.1 200 OK"), 20, "responses")


main(globals())
