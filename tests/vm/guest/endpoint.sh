# A program under `autocork run` on a stock kernel: its own TCP, a live connection that moves to the kernel, an agent
# that stops and comes back, kill -9, nothing left. Program and agent are here, the clients behind a cable.
# Results go to the host also from within check().
exec 3>&1
PORT=9000 HERE=10.9.0.1
mount -t bpf bpf /sys/fs/bpf
ip netns add far
ip link add cable numrxqueues 1 numtxqueues 1 type veth peer name cable netns far numrxqueues 1 numtxqueues 1 || exit 1
ip addr add $HERE/24 dev cable
ip addr add fd09::1/64 dev cable nodad
ip link set cable up
ip -n far addr add 10.9.0.2/24 dev cable
ip -n far addr add fd09::2/64 dev cable nodad
ip -n far link set cable up
# A sender's partial checksums would reach the program unfinished.
ip netns exec far /tools/ethtool -K cable tx off >/dev/null
policy "[policy web]\nports = $PORT\nsteer = endpoint\ninterface = cable\nmode = off"

status() { ask endpoint status --json; }
# count NAME: the program's counter; nothing without a program.
count() { status | sed -n "s/.*\"$1\": *\([0-9]*\).*/\1/p"; }
steered() { autocork steer status cable --json | sed -n 's/.*"steered": *\([0-9]*\).*/\1/p'; }
at_least() { [ "$(count "$1")" -ge "$2" ] || { cat /tmp/server.log "$AGENT_LOG"; false; }; }
# far_client NAME OPTION…: compares every byte of what comes back.
far_client() {
	_name=$1
	shift
	ip netns exec far /ac/autocork bench client --json --check --echo --single_request --port $PORT "$@" >/tmp/$_name.json 2>&1
	_status=$?
	echo "@$_name $(grep '^{' /tmp/$_name.json || echo null)" >&3
	return $_status
}
serve() { # serve COMMAND…: the program; it listens when this returns
	"$@" bench server --port $PORT >/tmp/server.log 2>&1 &
	SERVER=$!
	wait_for 30 listening $PORT
}
program_gone() { [ "$(count pid)" = "" ]; }

before=$(bpf_objects 2>&1)
check "the agent starts" agent_start --without-wrappers
check "the program starts" serve /ac/autocork run --verbose -- /ac/autocork
# Before Linux 6.4 a bound AF_XDP socket cannot be mapped: the program is told so, and the kernel serves.
case $(uname -r) in 6.[0-3].*)
	refused() { grep -q "endpoints need Linux 6.4" /tmp/server.log; }
	check "it is told why it has no queue" wait_for 30 refused
	check "the kernel serves it" far_client kernel --host $HERE --connections 16 --messages 320
	echo "@refused $(status)"
	kill $SERVER
	wait $SERVER
	check "the agent stops" agent_stop
	check "steering is detached" autocork steer detach cable
	check "nothing is left in the kernel" nothing_left "$before"
	exit 0
	;;
esac
check "it has its queue" wait_for 30 at_least pid 1
check "16 connections, bytes compared" far_client small --host $HERE --connections 16 --messages 320
check "IPv6, bytes compared" far_client six --host fd09::1 --messages 50
check "they were the program's own" at_least accepted 17
echo "@stack $(status)"

# An answer of 2 MB is more than the stack keeps: the connection moves to the kernel and goes on there.
check "a live connection moves to the kernel" far_client moved --host $HERE --buffers 2 --size 1000000 --messages 4
check "it was handed over" at_least handed_over 1
echo "@handed_over $(status)"

# Without an agent the program goes on; the next one finds it.
ip netns exec far /ac/autocork bench client --json --check --echo --single_request --port $PORT --host $HERE \
	--pause 100000 --messages 200 >/tmp/across.json 2>&1 &
across=$!
wait_for 10 at_least accepted 19 || not_ok "a connection on the program's own TCP"
check "the agent stops" agent_stop
check "the program serves without an agent" far_client alone --host $HERE --messages 50
check "the agent starts again" agent_start --without-wrappers
check "it finds the program" wait_for 30 at_least accepted 20
check "a connection lives across both" wait $across
echo "@across $(cat /tmp/across.json)"

# kill -9
ip netns exec far /ac/autocork bench client --check --echo --single_request --port $PORT --host $HERE --pause 50000 \
	--messages 100000 >/tmp/killed.log 2>&1 &
client=$!
wait_for 10 at_least connections 1 || not_ok "a connection before the kill"
kill -KILL $SERVER
wait $SERVER
wait $client
grep -q "Connection reset by peer" /tmp/killed.log && ok "a client of a killed program is reset" ||
	not_ok "a client of a killed program is reset: $(cat /tmp/killed.log)"
check "the agent forgets the program" wait_for 10 program_gone
served=$(steered)
check "the kernel's server starts" serve /ac/autocork
check "the kernel serves" far_client kernel --host $HERE --messages 50
[ "$(steered)" = "$served" ] && ok "without the steering" || not_ok "steered: $served, then $(steered)"
kill $SERVER
wait $SERVER

# keys MAP: how many a pinned table of the steering has.
keys() { /tools/bpftool map dump pinned "$(find /sys/fs/bpf -name "$1")" | grep -c '^key'; }
echo "@left {\"listeners\": $(keys steer_listeners), \"doors\": $(keys steer_doors), \"syns\": $(keys steer_syns)," \
	"\"silent\": $(keys steer_silent), \"open\": $(keys steer_flows), \"closed\": $(keys steer_closed)}"
check "the agent stops at last" agent_stop
check "steering is detached" autocork steer detach cable
check "nothing is left in the kernel" nothing_left "$before"
pins=$(find /sys/fs/bpf ! -type d)
[ -z "$pins" ] && ok "nothing is pinned" || not_ok "nothing is pinned: $pins"
