# Flows that cannot be managed: a congestion control without a wrapper, kernel TLS from the start and later, a locked
# route. They take their time: in a slow guest the observer may need a second to come.
policy '[policy patient]\nmode = autocork\nburst_gap = 500ms\nmax_hold = 100ms\npacket_worth = 10ms\nadopt = yes'
before=$(bpf_objects 2>&1)
grep -qw vegas /proc/sys/net/ipv4/tcp_available_congestion_control && vegas=yes || vegas=
sysctl -qw net.ipv4.tcp_congestion_control=${vegas:+vegas}
check "the agent starts" agent_start
echo "@doctor $(ask doctor --json | tr -d '\n')"
server 7201 7203
client vegas --port 7201 --no_delay --messages 1000 --pause 3000
sysctl -qw net.ipv4.tcp_congestion_control=cubic

ktls() { # ktls NAME PORT first|later
	/tools-test/ktls_flow "$2" "$3" 1000 >/tmp/ktls 2>&1
	echo "@$1 {\"exit\": $?, \"said\": $(tail -n 1 /tmp/ktls | grep '^{' || echo null)}"
	cat /tmp/ktls
}
ktls ktls.first 7211 first
ktls ktls.later 7212 later

/tools/ip route replace local 127.0.0.1 dev lo table local proto kernel scope host src 127.0.0.1 congctl lock cubic
client locked --port 7203 --no_delay --host 127.0.0.1 --messages 1000 --pause 3000
services
check "the agent stops" agent_stop
check "nothing is left in the kernel" nothing_left "$before"
