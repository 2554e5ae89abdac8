# What the guests' scripts share. Lines that begin with "ok", "not ok" or "@NAME" are read by harness.py.
PATH=/ac:/tools:$PATH
# busybox's shell would run its applets of these names; not in children such as `ip netns exec`, where the path is to be
# said.
ip() { /tools/ip "$@"; }
tc() { /tools/tc "$@"; }

ok() { echo "ok - $*"; }
not_ok() { echo "not ok - $*"; }

# check TEXT COMMAND…: one TAP line from the command's status; what it printed only if it failed.
check() {
	_text=$1
	shift
	# Not in a subshell: the command may set variables.
	if "$@" >/tmp/said 2>&1; then ok "$_text"; else
		not_ok "$_text"
		tail -n 20 /tmp/said
	fi
}

# wait_for SECONDS COMMAND…: polls until the command succeeds.
wait_for() {
	_tries=$(($1 * 10))
	shift
	while ! "$@" >/dev/null 2>&1; do
		_tries=$((_tries - 1))
		[ $_tries -gt 0 ] || return 1
		usleep 100000
	done
}

SOCKET=/run/autocork.sock POLICIES=/tmp/policy.d AGENT_LOG=/tmp/agent.log
autocork() { /ac/autocork "$@"; }
ask() { /ac/autocork --control "$SOCKET" "$@"; }

# policy TEXT: the only policy file of the agent.
policy() {
	mkdir -p "$POLICIES"
	printf '%b\n' "$1" >"$POLICIES/test.conf"
}

# agent_start [OPTION…]: starts the agent and waits until it answers; fails with its log.
agent_start() {
	/ac/autocorkd --policy-dir "$POLICIES" --control "$SOCKET" "$@" >"$AGENT_LOG" 2>&1 &
	AGENT=$!
	wait_for 30 agent_answers || {
		cat "$AGENT_LOG"
		return 1
	}
}

# It answers, and it is the one that was started: the socket of a killed one may still be there.
agent_answers() { ask status --json | grep -q "\"pid\": *$AGENT\b"; }

# agent_stop: asks it to stop and waits; its exit status.
agent_stop() {
	kill -TERM "$AGENT"
	wait "$AGENT" || {
		_status=$?
		cat "$AGENT_LOG"
		return $_status
	}
}

agent_kill() {
	kill -KILL "$AGENT"
	wait "$AGENT"
	true
}

# What programs and users of BPF are in the kernel: equal before the agent ran and after it stopped.
bpf_objects() {
	/tools/bpftool prog show | grep -c '^[0-9]*:'
	/tools/bpftool map show | grep -c '^[0-9]*:'
	/tools/bpftool link show | grep -c '^[0-9]*:'
	/tools/bpftool struct_ops list
	/tools/bpftool cgroup tree /sys/fs/cgroup | grep -w autocork
	grep -o 'autocork[a-z_]*' /proc/sys/net/ipv4/tcp_available_congestion_control
}
same_bpf_objects() { [ "$(bpf_objects 2>&1)" = "$BPF_BEFORE" ]; }
# nothing_left BEFORE: waits, because the kernel frees programs and maps only after a grace period.
nothing_left() {
	BPF_BEFORE=$1
	wait_for 10 same_bpf_objects || {
		/tools/bpftool prog show
		/tools/bpftool link show
		/tools/bpftool struct_ops list
		return 1
	}
}

# server PORT…: answers the benchmark's clients on each of these ports.
server() {
	for _port in "$@"; do
		/ac/autocork bench server --port "$_port" >/dev/null &
		wait_for 10 listening "$_port"
	done
}
listening() { grep -qi ":$(printf %04X "$1") 0*:0000 0A" /proc/net/tcp /proc/net/tcp6; }

# services: what the agent counted, to the host as @services.
services() { echo "@services [$(ask services --json | paste -sd,)]"; }

# client NAME OPTION…: runs the benchmark's client and reports its figures to the host as @NAME.
client() {
	_name=$1
	shift
	/ac/autocork bench client --json --check "$@" >"/tmp/$_name.json" 2>&1
	echo "@$_name $(cat "/tmp/$_name.json")"
}
