# The agent with another release's libraries: each wrapper is registered and holds, and nothing is left over.
policy '[policy managed]\nports = 7200-7299\nmode = autocork\nburst_gap = 500ms\nmax_hold = 100ms\npacket_worth = 10ms'
before=$(bpf_objects 2>&1)
check "the agent starts" agent_start
echo "@doctor $(ask doctor --json | tr -d '\n')"
# What is mapped, not what was meant.
echo "@libbpf \"$(grep -o '/[^ ]*libbpf[^ ]*' /proc/$AGENT/maps | head -n 1)\""
echo "@loader \"$(readlink /proc/$AGENT/exe)\""
number=0
sysctl -qw net.ipv4.tcp_ecn=1	# DCTCP falls back to Reno without
for algorithm in reno dctcp bbr cubic; do
	number=$((number + 1))
	sysctl -qw net.ipv4.tcp_congestion_control=$algorithm
	server 720$number
	client $algorithm --port 720$number --no_delay --warmup 300 --pause 1000 --messages 100
done
check "the agent stops" agent_stop
check "nothing is left in the kernel" nothing_left "$before"
check "doctor tries by itself" sh -c 'autocork doctor --no-agent >/tmp/doctor'
check "trying leaves nothing in the kernel" nothing_left "$before"
