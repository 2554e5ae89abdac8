# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""The programs of `make bench WORK=programs`: how each is started from a directory of its own, what its client does."""
import os
import pathlib
import shutil
import subprocess

from lib import build, program
from servers import Nginx, Server
from tap import Skip

HERE = pathlib.Path(__file__).resolve().parent
PIECES = 5


class Served(Server):
    """A program of the table, started on the stage. `back`: the port of the server behind it."""

    def __init__(self, case, stage, back=0):
        self.case, self.back, self.extra = case, back, stage.environment()
        super().__init__(stage.net, stage.server, cpu=stage.server_cpu)

    def fill(self, text):
        return text.format(port=self.port, dir=self.directory, back=self.back, pieces=PIECES)

    def command(self):
        # Some programs give up root by themselves.
        os.chmod(self.directory, 0o777)
        for name, text in self.case.files.items():
            (self.directory / name).parent.mkdir(parents=True, exist_ok=True)
            (self.directory / name).write_text(self.fill(text))
        if self.case.prepare:
            self.case.prepare(self.directory)
        command = [self.fill(word) for word in self.case.start]
        first = pathlib.Path(command[0])
        if first.is_absolute() and not first.exists():
            raise Skip(f"{first} is not installed")
        return [first if first.is_absolute() else program(command[0]), *command[1:]]

    def environment(self):
        return {"HOME": str(self.directory), **self.extra}


class Case:
    """`back`: a case, or "nginx", that is started first. `client`: a name in CLIENTS of program_load.py, or the KIND of
    program_client.py."""

    def __init__(self, name, operation, start, packages, client="wrk", files=None, back=None, prepare=None, url="/"):
        self.name, self.operation, self.start, self.packages = name, operation, start.split("\n"), packages
        self.client, self.files, self.back, self.prepare, self.url = client, files or {}, back, prepare, url

    def serve(self, stage, stack):
        """Its port, once all of it serves."""
        back = 0
        if self.back == "nginx":
            back = stack.enter_context(Nginx(stage.net, stage.server, cpu=stage.server_cpu)).port
        elif self.back:
            back = self.back.serve(stage, stack)
        return stack.enter_context(Served(self, stage, back)).port


def compiled(source, name, *compiler):
    """A program built from source once, kept in build/."""
    target = pathlib.Path(build("tests/bench/programs")) / name
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        work = target.parent / (name + ".source")
        work.mkdir(exist_ok=True)
        text, file = source
        (work / file).write_text(text)
        subprocess.run([program(compiler[0]), *compiler[1:], file], cwd=work, check=True, capture_output=True,
                       env=dict(os.environ, GOCACHE=str(target.parent / "go"), HOME=str(work)))
        shutil.move(work / name, target)
    return target


def go_server(directory):
    shutil.copy(compiled((GO, "main.go"), "flush", "go", "build", "-o", "flush"), directory / "flush")


def java_server(directory):
    shutil.copy(compiled((JAVA, "Web.java"), "Web.class", "javac"), directory / "Web.class")


GO = """package main
import ("net/http"; "os"; "strings")
func main() {
	http.ListenAndServe("127.0.0.1:" + os.Args[1], http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for i := 0; i < 5; i++ { w.Write([]byte(strings.Repeat("x", 100))); w.(http.Flusher).Flush() }
	}))
}
"""
JAVA = """import com.sun.net.httpserver.*;
import java.net.*;
public class Web {
	public static void main(String[] a) throws Exception {
		HttpServer s = HttpServer.create(new InetSocketAddress("127.0.0.1", Integer.parseInt(a[0])), 0);
		s.createContext("/", e -> { byte[] b = new byte[600]; e.sendResponseHeaders(200, b.length);
			e.getResponseBody().write(b); e.close(); });
		s.start();
	}
}
"""
NODE = """require('http').createServer((q, r) => {{
	r.writeHead(200);
	let left = {pieces};
	const next = () => {{ r.write('x'.repeat(100)); --left ? setImmediate(next) : r.end(); }};
	next();
}}).listen({port}, '127.0.0.1');
"""
AIOHTTP = """from aiohttp import web
async def answer(request):
    response = web.StreamResponse()
    await response.prepare(request)
    for _ in range({pieces}):
        await response.write(b'x' * 100)
    return response
app = web.Application()
app.router.add_get('/', answer)
web.run_app(app, host='127.0.0.1', port={port}, print=None, access_log=None)
"""
TORNADO = """import tornado.ioloop, tornado.web
class Answer(tornado.web.RequestHandler):
    async def get(self):
        for _ in range({pieces}):
            self.write('x' * 100)
            await self.flush()
tornado.web.Application([('/', Answer)], log_function=lambda h: None).listen({port}, '127.0.0.1')
tornado.ioloop.IOLoop.current().start()
"""
WEBSOCKETS = """import asyncio, websockets
async def answer(socket, path=None):
    async for text in socket:
        for _ in range(3):
            await socket.send(text)
async def main():
    async with websockets.serve(answer, '127.0.0.1', {port}, compression=None):
        await asyncio.Future()
asyncio.run(main())
"""
WSGI = """def application(environ, start_response):
    start_response('200 OK', [('Content-Length', '500')])
    for _ in range({pieces}):
        yield b'x' * 100
"""
HTTPD = """-module(web).
-export([start/0]).
start() ->
    inets:start(),
    {{ok, _}} = inets:start(httpd, [{{port, {port}}}, {{bind_address, {{127, 0, 0, 1}}}}, {{server_name, "x"}},
        {{server_root, "{dir}"}}, {{document_root, "{dir}"}}, {{max_keep_alive_request, 100000000}}]).
"""
BIND = """options {{ directory "{dir}"; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; pid-file none;
	recursion no; session-keyfile "{dir}/key"; managed-keys-directory "{dir}"; }};
controls {{ }};
zone "test" {{ type primary; file "{dir}/zone"; }};
"""
ZONE = "$TTL 60\n@ SOA ns.test. a.test. 1 60 60 60 60\n NS ns\nns A 127.0.0.1\n"
UNBOUND = """server:
	interface: 127.0.0.1@{port}
	username: ""
	chroot: ""
	directory: "{dir}"
	pidfile: ""
	use-syslog: no
	logfile: "{dir}/log"
	incoming-num-tcp: 100
	local-zone: "test." static
	local-data: "ns.test. A 127.0.0.1"
remote-control:
	control-enable: no
"""
PHP = "<?php for ($i = 0; $i < {pieces}; $i++) {{ echo str_repeat('x', 100); flush(); }}\n"
FPM = """[global]
error_log = {dir}/log
daemonize = no
[www]
listen = 127.0.0.1:{port}
pm = static
pm.max_children = 8
php_admin_value[output_buffering] = 0
user = nobody
group = nogroup
"""
NGINX = """daemon off;
user root;
worker_processes 1;
pid {dir}/pid;
error_log {dir}/error.log;
events {{ }}
http {{
	access_log off;
	keepalive_requests 100000000;
	client_body_temp_path {dir}/body;
	proxy_temp_path {dir}/proxy;
	fastcgi_temp_path {dir}/fastcgi;
	uwsgi_temp_path {dir}/uwsgi;
	scgi_temp_path {dir}/scgi;
	%s
	server {{ listen {port}; root {dir}/root; location / {{ %s }} }}
}}
"""
UPSTREAM = "upstream back {{ server 127.0.0.1:{back}; keepalive 8; keepalive_requests 100000000; }}"
NGINX_FRONT = NGINX.replace("%s", UPSTREAM, 1)
NGINX_FILES = NGINX.replace("%s", "sendfile on;", 1).replace("%s", "")
START_NGINX = "nginx\n-p\n{dir}\n-e\n{dir}/error.log\n-c\n{dir}/nginx.conf"
FASTCGI = "fastcgi_pass back; fastcgi_keep_conn on; fastcgi_buffering off; fastcgi_param REQUEST_METHOD GET; " \
          "fastcgi_param SCRIPT_FILENAME /%s;"
PROXY = "proxy_pass http://back; proxy_http_version 1.1; proxy_buffering off; proxy_set_header Connection '';"
PAGE = {"root/file.bin": "x" * 600}
fpm = Case("php-fpm", "", "/usr/sbin/php-fpm8.2\n-y\n{dir}/fpm.conf", "php-fpm", files={"fpm.conf": FPM})
node = Case("node", f"GET, {PIECES} writes", "/usr/bin/node\n{dir}/web.js", "nodejs", files={"web.js": NODE})


def php_page(directory):
    """Where php-fpm, in a directory of its own, finds it."""
    page = pathlib.Path(build("tests/bench/programs"))
    page.mkdir(parents=True, exist_ok=True)
    (page / "page.php").write_text(PHP.format(pieces=PIECES))


def mailbox(directory):
    for part in "cur", "new", "tmp":
        (directory / "mail" / part).mkdir(parents=True)
    (directory / "mail" / "cur" / "1.a:2,S").write_text("Subject: test\n\n" + "x" * 600 + "\n")
    subprocess.run(["chown", "-R", "nobody:nogroup", directory / "mail"], check=True)


def database(directory):
    """postgres refuses to be root."""
    subprocess.run(["chown", "postgres", directory], check=True)
    bin_ = next(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), None)
    if not bin_:
        raise Skip("postgres is not installed")
    subprocess.run(["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", bin_ / "initdb", "-A", "trust",
                    "-N", "-D", directory / "data"], check=True, capture_output=True, cwd="/")
    (directory / "bin").symlink_to(bin_)


DOVECOT = """protocols = imap
base_dir = {dir}/run
log_path = {dir}/log
ssl = no
disable_plaintext_auth = no
default_login_user = nobody
default_internal_user = nobody
default_internal_group = nogroup
mail_location = maildir:{dir}/mail
first_valid_uid = 1
mail_max_userip_connections = 1000
passdb {{
	driver = static
	args = password=pass
}}
userdb {{
	driver = static
	args = uid=nobody gid=nogroup home={dir}/home
}}
service imap-login {{
	chroot =
	inet_listener imap {{
		address = 127.0.0.1
		port = {port}
	}}
	inet_listener imaps {{
		port = 0
	}}
}}
"""

CASES = [
    Case("php-fpm behind nginx", f"GET, {PIECES} pieces, unbuffered", START_NGINX, "php-fpm nginx-light",
         files={"nginx.conf": NGINX_FRONT.replace("%s", FASTCGI % build("tests/bench/programs/page.php"))}, back=fpm,
         prepare=php_page),
    Case("Java HttpServer", "GET, header and body", "/usr/bin/java\n-Xshare:auto\n-cp\n{dir}\nWeb\n{port}",
         "openjdk-17-jdk-headless", prepare=java_server),
    node,
    Case("node behind nginx", f"GET, {PIECES} pieces, unbuffered", START_NGINX, "nodejs nginx-light",
         files={"nginx.conf": NGINX_FRONT.replace("%s", PROXY)}, back=node),
    Case("Go net/http", f"GET, {PIECES} Flush()", "{dir}/flush\n{port}", "golang-go", prepare=go_server),
    Case("Erlang inets", "GET, 600-byte file",
         "/usr/bin/erl\n-noshell\n-pa\n{dir}\n-eval\ncd(\"{dir}\"), {{ok, web}} = compile:file(web), "
         "{{module, web}} = code:load_file(web), web:start().".replace("cd(", "file:set_cwd("),
         "rabbitmq-server", files={"web.erl": HTTPD, "file.bin": "x" * 600}, url="/file.bin"),
    Case("mosquitto", "PUBLISH QoS 1, 3 writes", "mosquitto\n-c\n{dir}/m.conf", "mosquitto", client="mqtt",
         files={"m.conf": "listener {port} 127.0.0.1\nallow_anonymous true\nuser root\n"}),
    Case("beanstalkd", "put in 2 writes, delete", "beanstalkd\n-l\n127.0.0.1\n-p\n{port}", "beanstalkd",
         client="beanstalk"),
    Case("memcached", "set and get, pymemcache", "memcached\n-u\nnobody\n-l\n127.0.0.1\n-p\n{port}\n-U\n0",
         "memcached python3-pymemcache", client="memcached"),
    Case("aiohttp", f"GET, {PIECES} writes", "/usr/bin/python3\n{dir}/web.py", "python3-aiohttp",
         files={"web.py": AIOHTTP}),
    Case("uwsgi", f"GET, {PIECES} pieces",
         "uwsgi\n--plugin\npython3\n--http11-socket\n127.0.0.1:{port}\n--add-header\nConnection: Keep-Alive\n--wsgi-file\n"
         "{dir}/app.py\n--disable-logging\n--need-app", "uwsgi-core uwsgi-plugin-python3", files={"app.py": WSGI}),
    Case("gunicorn", f"GET, {PIECES} pieces",
         "gunicorn\n--chdir\n{dir}\n--worker-tmp-dir\n{dir}\n--threads\n4\n--keep-alive\n30\n--bind\n127.0.0.1:{port}\n"
         "app:application", "gunicorn", files={"app.py": WSGI}),
    Case("tornado", f"GET, {PIECES} flush()", "/usr/bin/python3\n{dir}/web.py", "python3-tornado",
         files={"web.py": TORNADO}),
    Case("tinyproxy", "GET through it", "/usr/bin/tinyproxy\n-d\n-c\n{dir}/t.conf", "tinyproxy-bin nginx-light",
         back="nginx",
         files={"t.conf": "Port {port}\nListen 127.0.0.1\nMaxClients 100\nLogLevel Critical\nReverseOnly Yes\n"
                          "ReversePath \"/\" \"http://127.0.0.1:{back}/\"\n"}, url="/file.bin"),
    Case("nginx", "GET, 600-byte file", START_NGINX, "nginx-light", url="/file.bin",
         files={"nginx.conf": NGINX_FILES, **PAGE}),
    Case("nginx without keep-alive", "GET, 600-byte file", START_NGINX, "nginx-light", client="wrk-close",
         url="/file.bin", files={"nginx.conf": NGINX_FILES, **PAGE}),
    Case("lighttpd", "GET, 600-byte file", "lighttpd\n-D\n-f\n{dir}/l.conf", "lighttpd", url="/file.bin",
         files={"l.conf": "server.port = {port}\nserver.bind = \"127.0.0.1\"\nserver.document-root = \"{dir}/root\"\n"
                          "server.max-keep-alive-requests = 1000000\n", **PAGE}),
    Case("varnish", "GET, cached", "varnishd\n-F\n-j\nnone\n-a\n127.0.0.1:{port}\n-b\n127.0.0.1:{back}\n-n\n{dir}/v\n"
         "-s\nmalloc,16m", "varnish nginx-light", back="nginx", url="/file.bin"),
    Case("haproxy", "GET through it", "haproxy\n-db\n-f\n{dir}/h.cfg", "haproxy nginx-light", back="nginx",
         url="/file.bin",
         files={"h.cfg": "global\n\tnbthread 1\ndefaults\n\tmode http\n\ttimeout connect 5s\n\ttimeout client 30s\n"
                         "\ttimeout server 30s\nfrontend front\n\tbind 127.0.0.1:{port}\n\tdefault_backend back\n"
                         "backend back\n\thttp-reuse always\n\tserver nginx 127.0.0.1:{back}\n"}),
    Case("Apache", "GET, 600-byte file", "apache2\n-DFOREGROUND\n-d\n{dir}\n-f\n{dir}/a.conf", "apache2-bin",
         url="/file.bin",
         files={"a.conf": "Listen 127.0.0.1:{port}\nServerName x\nPidFile {dir}/pid\nErrorLog {dir}/log\n"
                          "DocumentRoot {dir}/root\nMaxKeepAliveRequests 0\nUser nobody\nGroup nogroup\n"
                          + "".join(f"LoadModule {n}_module /usr/lib/apache2/modules/mod_{n}.so\n"
                                    for n in ("mpm_event", "authz_core")), **PAGE}),
    Case("redis", "SET and GET", "redis-server\n--port\n{port}\n--save\n\n--appendonly\nno\n--dir\n{dir}",
         "redis-server",
         client="redis"),
    Case("bind", "query over TCP", "named\n-g\n-n\n1\n-c\n{dir}/named.conf", "bind9 dnsperf", client="dns",
         files={"named.conf": BIND, "zone": ZONE, "queries": "ns.test A\n"}),
    Case("unbound", "query over TCP", "unbound\n-d\n-c\n{dir}/u.conf", "unbound dnsperf", client="dns",
         files={"u.conf": UNBOUND}),
    Case("vsftpd", "RETR of 600 bytes", "vsftpd\n{dir}/v.conf", "vsftpd", client="ftp",
         files={"v.conf": "listen=YES\nlisten_address=127.0.0.1\nlisten_port={port}\nbackground=NO\nanonymous_enable=YES\n"
                          "anon_root={dir}/root\nsecure_chroot_dir={dir}/empty\nseccomp_sandbox=NO\nxferlog_enable=NO\n"
                          "isolate=NO\nisolate_network=NO\nftp_username=ftp\nrun_as_launching_user=NO\n",
                **PAGE, "empty/.x": ""}, prepare=lambda d: os.chmod(d / "root", 0o755)),
    Case("dovecot", "IMAP FETCH", "dovecot\n-F\n-c\n{dir}/d.conf", "dovecot-imapd", client="imap",
         files={"d.conf": DOVECOT}, prepare=mailbox),
    Case("PostgreSQL", "SELECT, pgbench", "/usr/bin/setpriv\n--reuid=postgres\n--regid=postgres\n--clear-groups\n"
         "{dir}/bin/postgres\n-D\n{dir}/data\n-p\n{port}\n-h\n127.0.0.1\n-k\n\n-F", "postgresql", client="pgbench",
         prepare=database),
    Case("websockets", "message, 3 answers", "/usr/bin/python3\n{dir}/web.py", "python3-websockets", client="websocket",
         files={"web.py": WEBSOCKETS}),
    Case("NATS", "PUB in 2 writes, MSG", "nats-server\n-a\n127.0.0.1\n-p\n{port}", "nats-server", client="nats"),
]
