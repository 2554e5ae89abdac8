# The agent dies, is started again, is started twice, and stops, while a stream of messages runs.
policy '[policy all]\nports = 7002\nmode = autocork\nburst_gap = 500ms\nmax_hold = 100ms\npacket_worth = 10ms\nadopt = yes'
server 7002
before=$(bpf_objects 2>&1)
check "the agent starts" agent_start

managed_flow() { /tools/ss -tin dport = 7002 | grep -q autocork_; }
no_managed_flow() { ! /tools/ss -tin | grep -q autocork_; }

(client killed --port 7002 --no_delay --pause 1000 --messages 3000 >/tmp/killed.out) &
stream=$!
check "the stream is managed" wait_for 10 managed_flow
sleep 1
agent_kill
sleep 2
check "the agent starts again" agent_start
check "a second agent is refused" \
	sh -c '! timeout 20 /ac/autocorkd --policy-dir /tmp/policy.d --control /run/autocork.sock'
check "the first goes on" ask status
client after --port 7002 --no_delay --warmup 300 --pause 1000 --messages 300
wait $stream
cat /tmp/killed.out

(client stopped --port 7002 --no_delay --pause 1000 --messages 1500 >/tmp/stopped.out) &
stream=$!
check "a new stream is managed" wait_for 10 managed_flow
sleep 1
check "the agent stops" agent_stop
check "every flow has its own algorithm back" no_managed_flow
check "nothing is left in the kernel" nothing_left "$before"
wait $stream
cat /tmp/stopped.out

# Killed and not started again: flows go on unmanaged, and what stays is found at the next start.
check "the agent starts a third time" agent_start
(client orphaned --port 7002 --no_delay --pause 1000 --messages 2000 >/tmp/orphaned.out) &
stream=$!
check "a third stream is managed" wait_for 10 managed_flow
agent_kill
wait $stream
cat /tmp/orphaned.out
check "the agent starts over what a dead one left" agent_start
client last --port 7002 --no_delay --warmup 300 --pause 1000 --messages 300
check "the agent stops at last" agent_stop
check "nothing is left in the kernel at last" nothing_left "$before"
