# Messages of 15 small writes on loopback, on a flow that is left alone and on one that is managed, by each algorithm.
policy '[policy plain]\nports = 7100-7199\nmode = off\n'\
'[policy managed]\nports = 7200-7299\nmode = autocork\nburst_gap = 500ms\nmax_hold = 100ms\npacket_worth = 10ms'
before=$(bpf_objects 2>&1)
check "the agent starts" agent_start
ask doctor --json >/tmp/doctor.json
echo "@status {\"exit\": $?}"
echo "@doctor $(tr -d '\n' </tmp/doctor.json)"

number=0
sysctl -qw net.ipv4.tcp_ecn=1	# DCTCP falls back to Reno without, also where the listener is not DCTCP's
for algorithm in reno dctcp bbr cubic; do
	number=$((number + 1))
	sysctl -qw net.ipv4.tcp_congestion_control=$algorithm
	server 710$number 720$number
	client $algorithm.plain --port 710$number --no_delay --messages 100
	client $algorithm.managed --port 720$number --no_delay --warmup 300 --pause 1000 --messages 300
done
client ipv6.managed --host ::1 --port 720$number --no_delay --warmup 300 --pause 1000 --messages 300
client nagle.plain --port 710$number --messages 30
client nagle.managed --port 720$number --warmup 300 --pause 1000 --messages 300
client single.managed --port 720$number --no_delay --single_request --messages 300
client random.managed --port 720$number --no_delay --random --echo --buffers 40 --size 300 --messages 200
echo "@ways $(/ac/ways_client 7250 20 40 2>&1)"
services
check "the agent stops" agent_stop
check "nothing is left in the kernel" nothing_left "$before"
