# Steering on a stock kernel: attached natively to a veth, rules in force, counters, nothing left behind.
ip link add eth7 numrxqueues 1 numtxqueues 1 type veth peer name peer numrxqueues 1 numtxqueues 1 || exit 1
ip link set eth7 up && ip link set peer up
policy '[policy trading]\nports = 9000-9010\nsteer = af_xdp\ninterface = eth7\nprotocol = any\n'
before=$(bpf_objects 2>&1)
check "attach" autocork steer attach eth7 --policy $POLICIES
echo "@status $(autocork steer status eth7 --json)"
check "attach again" autocork steer attach eth7 --policy $POLICIES
policy '[policy trading]\nports = 80\nsteer = af_xdp\ninterface = eth7\nqueues = 7\n'
autocork steer apply eth7 --policy $POLICIES --json >/tmp/said 2>&1
[ $? -eq 3 ] && ok "a queue that is not there is refused" ||
	not_ok "a queue that is not there is refused: $(cat /tmp/said)"
check "detach" autocork steer detach eth7
check "nothing is left" nothing_left "$before"
policy '[policy trading]\nports = 80\nsteer = af_xdp\ninterface = eth7\n'
check "generic" autocork steer attach eth7 --mode generic --policy $POLICIES
ip link del eth7
autocork steer status eth7 --json | grep -q '"vanished"' && ok "it vanished" || not_ok "it vanished"
check "detach what is left" autocork steer detach eth7
check "nothing is left at the end" nothing_left "$before"
