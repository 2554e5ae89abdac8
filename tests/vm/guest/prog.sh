# The tests of single BPF programs, as they run on the machine that built them.
mount -t bpf bpf /sys/fs/bpf
cd /ac/prog
export EMULATED=1
for test in ./test_*; do
	CMOCKA_MESSAGE_OUTPUT=TAP $test >/tmp/said 2>&1
	status=$?
	cat /tmp/said
	[ $status -eq 0 ] || grep -q '^not ok' /tmp/said || not_ok "${test#./} ended with status $status"
done
