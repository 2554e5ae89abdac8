#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
# Records the recorded_*.trace files of this folder anew: real servers from Debian's packages, on loopback, under
# strace.
#   record.sh DIRECTORY
# Needs: nginx-light redis-server redis-tools gunicorn python3 strace wrk. Times differ from run to run; strace
# stretches them three to five times, so they are divided by 4. What a program does, and in which order, is what counts.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=$(cd "$1" && pwd)
work=$(mktemp -d)
pids=()
cleanup() {
	for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
	wait 2>/dev/null || true
	rm -rf "$work"
}
trap cleanup EXIT
cd "$work"

wait_port() { # until something listens there
	for _ in $(seq 100); do
		(exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return
		sleep 0.05
	done
	echo "nothing listens on port $1" >&2
	exit 1
}

record() { # record NAME PORT NOTE SERVER… -- LOAD…: the server is traced
	local name=$1 port=$2 note=$3 server=()
	shift 3
	while [ "$1" != -- ]; do
		server+=("$1")
		shift
	done
	shift
	strace -f -ttt -yy -s 0 --seccomp-bpf -o "$name.log" \
		-e trace=network,read,write,readv,writev,sendfile,close,epoll_wait,epoll_pwait,poll,select,pselect6 \
		"${server[@]}" >"$name.out" 2>&1 &
	local pid=$!
	pids+=("$pid")
	wait_port "$port"
	"$@" >"$name.load" 2>&1 || true
	# strace passes the signal on to none: the server is its child.
	# shellcheck disable=SC2046 # one or more
	kill $(ps -o pid= --ppid "$pid") 2>/dev/null || true
	wait "$pid" 2>/dev/null || true
	origin="record.sh, $(uname -sr), ${server[0]} from Debian $(cat /etc/debian_version)"
	"$here/from_strace.py" --divide 4 --port "$port" --events "${EVENTS:-1500}" --note "$note" \
		--note "Recorded: $origin, times divided by 4" \
		"$name.log" >"$out/recorded_$name.trace"
	echo "$name: $(grep -c ' w ' "$out/recorded_$name.trace") writes"
}

mkdir www
head -c 600 /dev/zero | tr '\0' x >www/file
cat >nginx.conf <<CONF
daemon off; master_process off; pid $work/nginx.pid; error_log $work/error.log;
events { worker_connections 256; }
http {
	access_log off; sendfile on; keepalive_requests 100000;
	client_body_temp_path $work/a; proxy_temp_path $work/b; fastcgi_temp_path $work/c;
	uwsgi_temp_path $work/d; scgi_temp_path $work/e;
	server { listen 127.0.0.1:18471; root $work/www; }
}
CONF
cat >app.py <<'APP'
def app(environ, start_response):
    body = [b"x" * 200] * (3 if environ["PATH_INFO"] == "/chunks" else 1)
    headers = [("Content-Type", "text/plain")]
    if len(body) == 1:
        headers.append(("Content-Length", "200"))
    start_response("200 OK", headers)
    return iter(body)
APP
cat >post.py <<'POST'
import http.client
import sys

connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]))
for i in range(300):
    connection.request("POST", "/", body=b"x" * (100 + i % 50), headers={"Content-Type": "text/plain"})
    connection.getresponse().read()
connection.close()
POST
cat >conditional.py <<'CONDITIONAL'
# One request in ten finds the file unchanged: the answer is a header alone.
import http.client
import random
import sys

random.seed(1)
connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]))
connection.request("GET", "/file")
response = connection.getresponse()
tag = response.getheader("ETag")
response.read()
for _ in range(500):
    connection.request("GET", "/file", headers={"If-None-Match": tag} if random.random() < 0.1 else {})
    connection.getresponse().read()
CONDITIONAL

record nginx_keepalive 18471 "nginx, 600-byte file by sendfile, 8 keep-alive connections" \
	nginx -c "$work/nginx.conf" -- wrk -t1 -c8 -d1 http://127.0.0.1:18471/file
record nginx_close 18471 "nginx, 600-byte file by sendfile, a connection per request" \
	nginx -c "$work/nginx.conf" -- wrk -t1 -c4 -d1 -H "Connection: close" http://127.0.0.1:18471/file
record nginx_conditional 18471 "nginx, 600-byte file by sendfile, one answer in ten is 304 Not Modified" \
	nginx -c "$work/nginx.conf" -- python3 conditional.py 18471
record redis_single 18473 "redis-server, one command at a time, 8 connections" \
	redis-server --port 18473 --save "" --appendonly no -- redis-benchmark -p 18473 -c 8 -n 1200 -t get -q
record redis_pipeline 18473 "redis-server, 16 commands at a time, 4 connections" \
	redis-server --port 18473 --save "" --appendonly no -- \
	redis-benchmark -p 18473 -c 4 -n 12000 -P 16 -t get,lrange_100 -q
record http_server 18474 "python3 -m http.server, HTTP/1.1, a connection per request" \
	python3 -m http.server -p HTTP/1.1 -b 127.0.0.1 -d "$work/www" 18474 -- \
	bash -c 'for i in $(seq 150); do curl -s -o /dev/null http://127.0.0.1:18474/file; done'
record http_server_keepalive 18474 "python3 -m http.server, HTTP/1.1, keep-alive" \
	python3 -m http.server -p HTTP/1.1 -b 127.0.0.1 -d "$work/www" 18474 -- \
	wrk -t1 -c2 -d1 http://127.0.0.1:18474/file
record gunicorn 18475 "gunicorn, sync worker, header and body, a connection per request" \
	gunicorn -w 1 -b 127.0.0.1:18475 app:app -- wrk -t1 -c2 -d1 http://127.0.0.1:18475/
record gunicorn_chunked 18475 "gunicorn, gthread worker, keep-alive, a chunked answer" \
	gunicorn -w 1 -k gthread --threads 1 -b 127.0.0.1:18475 app:app -- wrk -t1 -c1 -d1 http://127.0.0.1:18475/chunks

# The client's side: header and body of a POST are two writes.
nginx -c "$work/nginx.conf" &
pids+=($!)
wait_port 18471
strace -f -ttt -yy -s 0 --seccomp-bpf -o client.log -e trace=network,read,write,close,poll python3 post.py 18471
"$here/from_strace.py" --divide 4 --port 18471 --events 1500 \
	--note "python3 http.client, POST: header and body are two writes" \
	--note "Recorded: record.sh, $(uname -sr), python3 from Debian $(cat /etc/debian_version), times divided by 4" \
	client.log >"$out/recorded_http_client_post.trace"
