# What the agent can use on this kernel.
before=$(bpf_objects 2>&1)
autocork doctor --json >/tmp/doctor.json
echo "@status {\"exit\": $?}"
echo "@doctor $(tr -d '\n' </tmp/doctor.json)"
check "trying leaves nothing in the kernel" nothing_left "$before"
