# What a kernel must offer before anything of autocork is tried on it.
check "BTF of the kernel" test -s /sys/kernel/btf/vmlinux
for name in reno cubic bbr dctcp; do
	check "congestion control $name" grep -qw $name /proc/sys/net/ipv4/tcp_available_congestion_control
done
check "cgroup v2" test -f /sys/fs/cgroup/cgroup.procs
check "a veth pair" ip link add v0 type veth peer name v1
check "netem" tc qdisc add dev v0 root netem delay 2ms loss 3% reorder 10%
check "loopback" ping -c 1 -W 2 127.0.0.1
echo "@kernel {\"release\": \"$(uname -r)\"}"
