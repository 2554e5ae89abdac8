# Two namespaces with delay, loss and reordering between them; clients unmanaged, managed, managed with a timeout of less
# and corking by themselves side by side, so that all see the same times.
policy '[policy plain]\nports = 7100-7199\nmode = off\n'\
'[policy managed]\nports = 7200-7299\nmode = autocork\nburst_gap = 500ms\nmax_hold = 100ms\npacket_worth = 10ms\n'\
'[policy prompt]\nports = 7300-7399\nmode = autocork\nburst_gap = 500ms\nmax_hold = 50ms\npacket_worth = 10ms\nrto_min = 60ms'
# A namespace may only use what the first one allows.
sysctl -qw net.ipv4.tcp_allowed_congestion_control="reno cubic bbr dctcp"
ip netns add near
ip netns add far
ip link add near netns near type veth peer name far netns far
for side in near:10.9.0.1 far:10.9.0.2; do
	name=${side%:*}
	ip -n $name addr add ${side#*:}/24 dev $name
	ip -n $name link set lo up
	ip -n $name link set $name up
	ip netns exec $name /tools/tc qdisc add dev $name root netem delay 2ms loss 3% reorder 10%
	# DCTCP: a SYN sent again keeps ECN
	ip netns exec $name /bin/sysctl -qw net.ipv4.tcp_ecn=1 net.ipv4.tcp_ecn_fallback=0
done
check "the agent starts" agent_start

far_listens() { ip netns exec far /bin/grep -qi ":$(printf %04X "$1") 0*:0000 0A" /proc/net/tcp /proc/net/tcp6; }
# One client: OUT PORT OPTION…
one() {
	_out=$1 _port=$2
	shift 2
	ip netns exec near /ac/autocork bench client --host 10.9.0.2 --port $_port --no_delay --json --check \
		--warmup 20 --messages "$MESSAGES" "$@" >/tmp/$_out.json 2>&1
}
number=0
for algorithm in cubic bbr dctcp reno; do
	number=$((number + 1))
	for side in near far; do
		ip netns exec $side /bin/sysctl -qw net.ipv4.tcp_congestion_control=$algorithm
	done
	# The listener decides whether DCTCP's ECN is agreed on: each algorithm has its own.
	for port in 710$number 720$number 730$number; do
		ip netns exec far /ac/autocork bench server --port $port >/dev/null &
		wait_for 30 far_listens $port || not_ok "a server on port $port"
	done
	clients=
	for client in 1 2 3; do
		one $algorithm.plain.$client 710$number &
		clients="$clients $!"
		one $algorithm.managed.$client 720$number &
		clients="$clients $!"
		one $algorithm.prompt.$client 730$number &
		clients="$clients $!"
		one $algorithm.corked.$client 710$number --cork &
		clients="$clients $!"
	done
	wait $clients
	for client in 1 2 3; do
		for way in plain managed prompt corked; do
			echo "@$algorithm.$way.$client $(cat /tmp/$algorithm.$way.$client.json)"
		done
	done
done
services
check "the agent stops" agent_stop
