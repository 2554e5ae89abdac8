# Wrong holds. The service has learned 15 writes per message; then come connections whose messages have fewer: the last
# write of their first message is held, and the program goes to read. max_hold is long, so that an early end of a hold
# is seen.
policy '[policy wait]\nports = 7200\nmode = autocork\nburst_gap = 500ms\nmax_hold = 100ms\npacket_worth = 10ms'
server 7200
for way in fentry tracepoints; do
	before=$(bpf_objects 2>&1)
	[ $way = fentry ] && option= || option=--without-fentry
	check "the agent starts with $way" agent_start $option
	client $way.train --port 7200 --no_delay --connections 10 --messages 600
	client $way.fewer --port 7200 --no_delay --connections 20 --messages 20 --buffers 9
	services | sed "s/^@services/@$way.services/"
	echo "@$way.doctor $(ask doctor --json | tr -d '\n')"
	check "the agent stops with $way" agent_stop
	check "nothing is left in the kernel with $way" nothing_left "$before"
done
