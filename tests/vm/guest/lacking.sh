# A kernel on which nothing can be learned: the agent starts, doctor tells what is missing, every flow is left as it is.
policy '[policy managed]\nports = 7200-7299\nmode = autocork\nburst_gap = 500ms\nmax_hold = 100ms\npacket_worth = 10ms'
before=$(bpf_objects 2>&1)
check "the agent starts" agent_start
echo "@doctor $(ask doctor --json | tr -d '\n')"
number=0
for algorithm in cubic reno; do
	number=$((number + 1))
	sysctl -qw net.ipv4.tcp_congestion_control=$algorithm
	server 720$number
	client $algorithm --port 720$number --no_delay --messages 300 --pause 1000
done
check "the agent stops" agent_stop
check "nothing is left in the kernel" nothing_left "$before"
