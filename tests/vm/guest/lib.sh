# What the guests' scripts share. Lines that begin with "ok", "not ok" or "@NAME" are read by harness.py.
PATH=/ac:/tools:$PATH
# busybox's shell would run its applets of these names; not in children such as `ip netns exec`, where the path is to be said.
ip() { /tools/ip "$@"; }
tc() { /tools/tc "$@"; }

ok() { echo "ok - $*"; }
not_ok() { echo "not ok - $*"; }

# check TEXT COMMAND…: one TAP line from the command's status; what it printed only if it failed.
check() {
	_text=$1
	shift
	if _said=$("$@" 2>&1); then ok "$_text"; else
		not_ok "$_text"
		echo "$_said" | tail -n 20
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
