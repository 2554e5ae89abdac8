#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""`autocork doctor` where a step fails: it names the step and what can be done, and nothing stays registered."""
import json
import subprocess
import sys

from lib import build, check, equal, main, no_agent, wait_for

# Registers a wrapper's congestion control with a link and waits: somebody else has the name.
OCCUPY = r"""
import ctypes, sys
bpf = ctypes.CDLL("libbpf.so.1", use_errno=True)
for name in "bpf_object__open", "bpf_object__next_map", "bpf_map__attach_struct_ops":
    getattr(bpf, name).restype = ctypes.c_void_p
pointer = ctypes.c_void_p
obj = pointer(bpf.bpf_object__open(sys.argv[1].encode()))
ops, last = None, None
while last := bpf.bpf_object__next_map(obj, pointer(last)):
    if bpf.bpf_map__type(pointer(last)) == 26:  # BPF_MAP_TYPE_STRUCT_OPS
        ops = last
bpf.bpf_map__set_map_flags(pointer(ops), 1 << 13)  # BPF_F_LINK
assert not bpf.bpf_object__load(obj)
link = bpf.bpf_map__attach_struct_ops(pointer(ops))
assert link
fd = bpf.bpf_map__fd(pointer(ops))
# libbpf 1.1 has not made the link yet.
if bpf.bpf_link__fd(pointer(link)) == fd:
    assert bpf.bpf_link_create(fd, 0, 44, None) >= 0  # BPF_STRUCT_OPS
print("registered", flush=True)
sys.stdin.read()
"""


def registered():
    out = subprocess.run(["bpftool", "-j", "struct_ops", "list"], capture_output=True, text=True, check=True).stdout
    return sorted(row["name"] for row in json.loads(out) if row["name"].startswith("autocork_"))


def doctor():
    done = subprocess.run([build("autocork"), "doctor", "--no-agent", "--json"], capture_output=True, text=True,
                          timeout=60, check=False)
    return done.returncode, {row["name"]: row for row in json.loads(done.stdout)["features"]}


def test_name_is_taken():
    """a wrapper whose name is taken: doctor says that registering failed and why, not that the kernel lacks
    something"""
    with no_agent():
        with subprocess.Popen([sys.executable, "-c", OCCUPY, build("bpf/gate_reno.bpf.o")], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as other:
            said = other.stdout.readline()
            check(said == "registered\n", other.stderr.read() if not said else said)
            code, features = doctor()
            equal(code, 0, "exit code where the other wrappers work")
            row = features["wrapper reno"]
            check(row["works"] is False and row["reason"].startswith("register: File exists"), row)
            check("bpftool struct_ops list" in row["fix"] and "CONFIG_" not in row["fix"], row)
            check(features["wrapper cubic"]["works"], features["wrapper cubic"])
            wait_for(lambda: registered() == ["autocork_reno"], what="only the other's is left")
            other.stdin.close()
        wait_for(lambda: registered() == [], what="nothing is left")
        equal(doctor()[1]["wrapper reno"]["works"], True, "registered when the name is free")
        wait_for(lambda: registered() == [], what="trying leaves nothing")



main(globals())
