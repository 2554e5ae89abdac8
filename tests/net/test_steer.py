#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Steering end to end: real connections over a cable, a consumer with an AF_XDP socket on one side of it."""
import json
import os
import re
import signal
import socket
import struct
import subprocess

from agent import build
from netns import Pair, interface_locks
from programs import program
from steering import Steered, policy, private_mounts, udp_who
from tap import Skip, check, equal, main, wait_for


def test_isolation():
    """only what the policy names is steered, TCP and UDP, both families"""
    with Steered() as steered:
        steered.server(9000), steered.server(9001)
        steered.attach(policy(9000, protocol="any"))
        steered.consumer()
        for address in Pair.B4, Pair.B6:
            equal(steered.client(9000, address).who(), "consumer", f"{address} port 9000")
            equal(steered.client(9001, address).who(), "kernel", f"{address} port 9001")
            equal(udp_who(steered.a, address, 9000), "consumer", f"{address} UDP port 9000")
            equal(udp_who(steered.a, address, 9001), "kernel", f"{address} UDP port 9001")
        rule = steered.rule()
        equal(rule["flows_opened"], 2, "connections steered")
        check(rule["packets"] >= 2 * 3 + 2, f"hits: {rule}")


def test_protocol_and_peers():
    """a rule for TCP leaves UDP alone; one with peers leaves others alone"""
    with Steered() as steered:
        steered.server(9000), steered.server(9002)
        steered.a.ip("addr", "add", "10.77.0.99/24", "dev", "cable")
        steered.attach(policy(9000) + policy(9002, name="peer", more="peers = 10.77.0.99\n"))
        steered.consumer()
        equal(steered.client(9000).who(), "consumer", "TCP")
        equal(udp_who(steered.a, Pair.B4, 9000), "kernel", "UDP")
        equal(steered.client(9002).who(), "kernel", "another peer")
        with steered.a.inside():
            other = socket.create_connection((Pair.B4, 9002), timeout=5, source_address=("10.77.0.99", 0))
        with other:
            other.sendall(b"hello")
            equal(other.recv(100), b"HELLO", "the peer")


def test_live_change():
    """rules change under open connections, and none of them moves"""
    with Steered() as steered:
        steered.server(9000), steered.server(9005)
        steered.attach(policy(9000))
        steered.consumer()
        old, kernel = steered.client(9000), steered.client(9005)
        equal((old.who(), kernel.who()), ("consumer", "kernel"), "before")
        steered.apply(policy(9005, name="moved"))
        for _ in range(3):
            equal((old.who(), kernel.who()), ("consumer", "kernel"), "connections that were open")
        equal((steered.client(9000).who(), steered.client(9005).who()), ("kernel", "consumer"), "new connections")
        equal(steered.rule()["state"], "draining", "the rule that went")
        opened = steered.rule()["flows_opened"]
        steered.apply(policy(9000))
        equal(old.who(), "consumer", "after the rule came back")
        rule = steered.rule()
        equal((rule["state"], rule["flows_opened"]), ("active", opened), "the rule that came back, with its counters")


def test_many_changes():
    """a hundred changes while a connection talks"""
    with Steered() as steered:
        steered.server(9000)
        steered.attach(policy(9000))
        steered.consumer()
        talk = steered.client(9000)
        for number in range(100):
            steered.apply(policy(9000 if number % 2 else 9100, name=f"p{number % 7}"))
            equal(talk.who(), "consumer", f"change {number}")


def test_outgoing():
    """an outgoing connection of the steered machine that uses a steered port as its own is left alone"""
    with Steered() as steered:
        steered.attach(policy(9000))
        steered.consumer()
        with steered.a.inside():
            server = socket.create_server((Pair.A4, 8080))
        with steered.b.inside():
            client = socket.create_connection((Pair.A4, 8080), timeout=5, source_address=(Pair.B4, 9000))
        with server, client:
            peer = server.accept()[0]
            for _ in range(3):
                peer.sendall(b"to the kernel")
                equal(client.recv(100), b"to the kernel", "what arrives")
                client.sendall(b"back")
                equal(peer.recv(100), b"back", "what is sent")
            peer.close()
        equal(steered.rule()["packets"], 0, "packets of the rule")


def test_consumer_exit():
    """without a consumer the kernel answers; with one again new connections are steered, old ones stay"""
    with Steered() as steered:
        steered.server(9000)
        steered.attach(policy(9000))
        check(not steered.has_consumer(), "no consumer yet")
        kernel = steered.client(9000)
        equal(kernel.who(), "kernel", "nobody there")
        for number in range(2):
            consumer = steered.consumer()
            check(steered.has_consumer(), "the consumer is seen")
            equal(steered.client(9000).who(), "consumer", f"consumer {number}")
            equal(kernel.who(), "kernel", "the kernel's connection")
            consumer.process.send_signal(signal.SIGKILL)
            consumer.process.wait()
            wait_for(lambda: not steered.has_consumer(), 10, "the consumer's end")
            equal(steered.status()["state"], "attached", "the program")
            equal(steered.client(9000).who(), "kernel", "after its end")
        check(steered.rule()["no_consumer"] > 0, "packets without a consumer are counted")


def test_agent_killed():
    """the agent dies by kill -9 and comes back: connections and rules never notice"""
    with Steered() as steered:
        steered.server(9000), steered.server(9001)
        agent = steered.agent(policy(9000))
        steered.consumer()
        old = steered.client(9000)
        equal(old.who(), "consumer", "before")
        agent.process.kill()
        agent.process.wait()
        equal((old.who(), steered.client(9000).who()), ("consumer", "consumer"), "while there is no agent")
        agent = steered.agent(policy(9000))
        equal((old.who(), steered.rule()["flows_opened"]), ("consumer", 2), "a new agent takes over")
        steered.reload(agent, policy(9001, name="other"))
        equal((old.who(), steered.client(9000).who(), steered.client(9001).who()), ("consumer", "kernel", "consumer"),
              "its reload")
        agent.stop()
        equal((old.who(), steered.status()["state"]), ("consumer", "attached"), "after a clean stop")


def test_agent_lets_go():
    """an interface that no policy names any more is detached at once if nothing is steered there"""
    with Steered() as steered:
        before = interface_locks("owners", steered.b)
        agent = steered.agent(policy(9000))
        equal((steered.status()["state"], bool(interface_locks("owners", steered.b))), ("attached", True), "state, and an owner")
        steered.reload(agent, "[policy none]\nports = 80\nmode = observe\n")
        done = steered.steer("status", "cable", check=False)
        equal((done.returncode, "nothing is steered" in done.stderr), (1, True), f"status: {done.stderr}")
        equal("xdp" in steered.b.ip("link", "show", "cable"), False, "a program on the interface")
        equal(interface_locks("owners", steered.b) - before, set(), "owners of the interface")


def test_by_hand():
    """attach without a rule is refused and leaves nothing"""
    with Steered() as steered:
        done = steered.steer("attach", "cable", "--policy-dir", steered.directory, check=False)
        equal((done.returncode, "no policy steers it" in done.stderr), (3, True), f"without rules: {done.stderr}")
        steered.write(policy(9000).replace("cable", "other"))
        done = steered.steer("attach", "cable", "--policy-dir", steered.directory, check=False)
        equal((done.returncode, "no policy steers it" in done.stderr), (3, True), f"rules of another: {done.stderr}")
        equal("xdp" in steered.b.ip("link", "show", "cable"), False, "a program on the interface")


def test_interface_vanishes():
    """the interface goes and comes back under the agent; by hand its leftovers can be removed"""
    with Steered() as steered:
        agent = steered.agent(policy(9000))
        for _ in range(2):
            index = steered.b.ip("-o", "link", "show", "cable").split(":")[0]
            steered.b.ip("link", "del", "cable")
            wait_for(lambda: steered.status()["state"] == "vanished", 10, "vanishing")
            steered.b.ip("link", "add", "cable", "type", "veth", "peer", "name", "other")
            wait_for(lambda: steered.status()["state"] == "attached", 10, "its return")
            check(steered.b.ip("-o", "link", "show", "cable").split(":")[0] != index, "it is another interface")
        check(agent.output().count("does not exist") <= 4, f"said too often: {agent.output()}")
        agent.stop()
        steered.b.ip("link", "del", "cable")
        steered.steer("detach", "cable")


def test_other_namespace():
    """an interface of the same name in another network namespace is not taken for the steered one"""
    with Steered() as steered:
        steered.server(9000)
        steered.attach(policy(9000))
        steered.consumer()
        steered.write(policy(9000))
        for arguments in ("detach", "cable", "--force"), ("status", "cable"), ("apply", "cable"), ("attach", "cable"):
            more = ("--policy-dir", steered.directory) if arguments[0] in ("apply", "attach") else ()
            done = steered.steer(*arguments, *more, net=steered.a, check=False)
            equal(done.returncode, 1, f"{arguments}: exit code")
            check("another network namespace" in done.stderr, f"{arguments}: {done.stderr}")
        agent = steered.agent("[policy none]\nports = 80\nmode = observe\n", net=steered.a)
        check("detached" not in agent.output(), agent.output())
        equal((steered.client(9000).who(), steered.rule()["state"]), ("consumer", "active"), "what is steered")


def test_foreign_program():
    """somebody else's XDP program is refused by id and name, and stays"""
    with Steered() as steered:
        steered.write(policy(9000))
        steered.b.ip("link", "set", "dev", "cable", "xdp", "obj", build("tests/net/xdp_pass.bpf.o"), "sec", "xdp")
        identity = re.search(r"prog/xdp id (\d+)", steered.b.ip("link", "show", "cable")).group(1)
        done = steered.steer("attach", "cable", "--policy-dir", steered.directory, check=False)
        equal(done.returncode, 1, "exit code")
        for word in f"id {identity}", "somebody_elses_program", "ip link set dev cable xdp off":
            check(word in done.stderr, f"{word} is not in: {done.stderr}")
        check(f"id {identity}" in steered.b.ip("link", "show", "cable"), "it stays")
        equal(steered.steer("status").stdout.count("cable"), 0, "nothing is left behind")
        steered.b.ip("link", "set", "dev", "cable", "xdp", "off")
        steered.steer("attach", "cable", "--policy-dir", steered.directory)
        # And the other way round: nothing attached by netlink replaces ours.
        foreign = steered.b.run("ip", "-force", "link", "set", "dev", "cable", "xdp", "obj",
                                build("tests/net/xdp_pass.bpf.o"), "sec", "xdp", check=False)
        equal((foreign, steered.status()["state"]), ("", "attached"), "the steering program")


def test_default_program():
    """a consumer that came first has its own program on the interface: the message says what to do"""
    with Steered() as steered:
        steered.write(policy(9000))
        steered.consumer()
        done = steered.steer("attach", "cable", "--policy-dir", steered.directory, check=False)
        equal(done.returncode, 1, "exit code")
        check("default XDP program" in done.stderr or "another XDP program" in done.stderr, done.stderr)


def test_generic():
    """generic XDP works the same"""
    with Steered() as steered:
        steered.server(9000)
        steered.attach(policy(9000), "--mode", "generic")
        equal(steered.status()["mode"], "generic", "mode")
        steered.consumer()
        equal(steered.client(9000).who(), "consumer", "port 9000")


def test_fallback_to_generic():
    """where the driver refuses native XDP, generic is used, and it is said"""
    with Steered(mtu=9000) as steered:
        steered.server(9000)
        done = steered.attach(policy(9000))
        equal(steered.status()["mode"], "generic", "mode")
        check("native XDP is refused" in done.stderr, done.stderr)
        steered.consumer()
        equal(steered.client(9000).who(), "consumer", "port 9000")


def tagged(tags, mac, payload):
    """A UDP datagram from 10.77.0.1 to port 9000 of 10.77.0.2 in a frame with these VLAN tags."""
    udp = struct.pack("!HHHH", 40000, 9000, 8 + len(payload), 0) + payload
    addresses = socket.inet_aton(Pair.A4) + socket.inet_aton(Pair.B4)
    head = struct.pack("!BBHHHBB", 0x45, 0, 20 + len(udp), 0, 0, 64, 17)
    total = sum(struct.unpack("!10H", head + b"\0\0" + addresses))
    total = (total & 0xffff) + (total >> 16)
    head += struct.pack("!H", ~((total & 0xffff) + (total >> 16)) & 0xffff) + addresses
    vlans = b"".join(struct.pack("!HH", kind, number) for kind, number in tags)
    return bytes.fromhex(mac.replace(":", "")) + bytes.fromhex("02aaaaaaaaaa") + vlans + b"\x08\x00" + head + udp


def test_vlan():
    """frames with one and two VLAN tags are steered, and answered with their tags"""
    with Steered() as steered:
        steered.attach(policy(9000, protocol="any"))
        steered.consumer()
        mac = steered.b.ip("-o", "link", "show", "cable").split("link/ether ")[1].split()[0]
        with steered.a.inside():
            raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        raw.bind(("cable", 0))
        raw.setsockopt(263, 8, 1)  # SOL_PACKET, PACKET_AUXDATA: the kernel takes the outer tag out of the frame
        raw.settimeout(5)
        for tags in ((0x8100, 5),), ((0x88a8, 7), (0x8100, 5)):
            before = steered.rule()["packets"]
            raw.send(tagged(tags, mac, b"hello" * 4))
            while True:
                frame, ancillary, _, _ = raw.recvmsg(2000, 200)
                if b"HELLO" * 4 in frame:
                    break
            status, _, _, _, _, tag, kind = struct.unpack("IIIHHHH", ancillary[0][2])
            check(status & 0x10, "the answer has a tag")
            equal((kind, tag), tags[0], "the outer tag")
            equal(frame[12:14] == b"\x81\0", len(tags) == 2, "an inner tag")
            equal(steered.rule()["packets"], before + 1, "packets of the rule")
        raw.close()


def test_fragments():
    """fragments of a steered port go to the kernel"""
    with Steered() as steered:
        steered.server(9000)
        steered.attach(policy(9000, protocol="any"))
        steered.consumer()
        for address in Pair.B4, Pair.B6:
            equal(udp_who(steered.a, address, 9000, size=1000), "consumer", f"{address} whole")
            equal(udp_who(steered.a, address, 9000, size=4000), "kernel", f"{address} in fragments")
        check(steered.status()["packets"]["fragment"] >= 6, "fragments are counted")


def test_queues():
    """a queue that is not there is refused, and the rules in force stay"""
    with Steered() as steered:
        steered.server(9000)
        steered.attach(policy(9000))
        steered.consumer()
        steered.write(policy(9000, more="queues = 3\n"))
        done = steered.steer("apply", "cable", "--policy-dir", steered.directory, check=False)
        equal(done.returncode, 3, "exit code")
        check("no receive queue 3" in done.stderr and "0 to 0" in done.stderr, done.stderr)
        equal(steered.client(9000).who(), "consumer", "port 9000")


def test_no_bpffs():
    """where a bpffs would end with the mount namespace, nothing is attached that would end with it"""
    with Steered() as steered:
        steered.write(policy(9000))
        # As `ip netns exec` does: mounts come in, none goes out. The outer shell stays: it is the machine.
        script = (f"mount --make-rshared / && unshare --mount --propagation slave sh -c '"
                  f"mount -t tmpfs tmpfs /sys/fs/bpf && "
                  f"{build('autocork')} steer attach cable --policy {steered.directory} 2>&1; echo $?'; true")
        said = steered.b.run("unshare", "--mount", "--propagation", "private", "sh", "-c", script)
        check("nsenter --net=" in said and said.endswith("\n1\n"), said)
        equal("xdp" in steered.b.ip("link", "show", "cable"), False, "a program on the interface")


def test_other_version():
    """tables of another version are not touched, and can be removed"""
    with Steered() as steered:
        steered.write(policy(9000))
        directory = "/sys/fs/bpf/autocork/steer/cable"
        os.makedirs(directory)
        subprocess.run([program("bpftool"), "map", "create", directory + "/steer_control", "type", "array", "key", "4",
                        "value", "16", "entries", "1", "name", "steer_control"], check=True)
        done = steered.steer("attach", "cable", "--policy-dir", steered.directory, check=False)
        equal((done.returncode, "another version" in done.stderr), (1, True), done.stderr)
        steered.steer("detach", "cable")
        steered.steer("attach", "cable", "--policy-dir", steered.directory)


def test_memory():
    """the tables take as much memory as docs/steering.md says"""
    with open(os.path.join(os.path.dirname(__file__), "../../docs/steering.md"), encoding="utf-8") as file:
        said = re.search(r"about (\d+) MB of kernel memory plus ([\d.]+) MB per CPU", file.read())
    with Steered() as steered:
        steered.attach(policy(9000))
        pins = "/sys/fs/bpf/autocork/steer/cable"
        took = 0
        for name in set(os.listdir(pins)) - {"link"}:
            done = subprocess.run(["bpftool", "-j", "map", "show", "pinned", f"{pins}/{name}"], capture_output=True,
                                  text=True, check=False)
            took += 0 if done.returncode else json.loads(done.stdout)["bytes_memlock"]
    # Kernels before 6.4 say what they allowed for, and not what they took.
    promised = (float(said[1]) + float(said[2]) * os.cpu_count()) * 1e6
    check(promised * 0.8 < took < promised * 1.2, f"{took} bytes, not about {promised}")


def test_json():
    """what --json prints is what docs/schema/steer.json says"""
    try:
        import jsonschema
    except ImportError:
        raise Skip("python3-jsonschema is not installed") from None
    with open(os.path.join(os.path.dirname(__file__), "../../docs/schema/steer.json"), encoding="ascii") as file:
        validator = jsonschema.Draft202012Validator(json.load(file))
    with Steered() as steered:
        said = [steered.steer("status", "--json").stdout]
        steered.attach(policy(9000))
        steered.consumer()
        steered.server(9000)
        with steered.client(9000) as client:
            equal(client.who(), "consumer", "port 9000")
            said += [steered.steer("status", "--json", net=net).stdout for net in (steered.a, steered.b)]
            steered.write(policy(9001, name="other"))
            said.append(steered.steer("apply", "cable", "--json", "--policy-dir", steered.directory).stdout)
        for text in said:
            validator.validate(json.loads(text))
        rules = json.loads(said[-1])["interfaces"][0]["rules"]
        equal([rule["state"] for rule in rules], ["draining", "active"], "states")


def test_detach():
    """detach refuses while steered connections live, unless forced; attach twice is no accident"""
    with Steered() as steered:
        steered.server(9000)
        steered.attach(policy(9000))
        steered.attach(policy(9000))
        steered.consumer()
        talk = steered.client(9000)
        equal(talk.who(), "consumer", "port 9000")
        done = steered.steer("detach", "cable", check=False)
        equal((done.returncode, "1 steered connections live" in done.stderr), (1, True), done.stderr)
        equal(talk.who(), "consumer", "after the refusal")
        steered.steer("detach", "cable", "--force")
        equal("xdp" in steered.b.ip("link", "show", "cable"), False, "a program on the interface")
        equal(os.listdir("/sys/fs/bpf/autocork/steer"), [], "pins left")
        equal(steered.client(9000).who(), "kernel", "port 9000")


def test_bad_input():
    """wrong names, wrong words and missing rights are answered, and leave nothing"""
    with Steered() as steered:
        steered.write(policy(9000))
        for arguments, code, word in (
                (("attach", "nothere"), 1, "no such interface"), (("attach", "../../tmp"), 1, "no such interface"),
                (("attach",), 2, "needs a name"), (("dance", "cable"), 2, "not an action"),
                (("status", "cable"), 1, "steer attach"),
                (("detach", "cable"), 1, "nothing is steered"), (("apply", "cable"), 1, "steer attach"),
                (("status", "a/b"), 2, "not the name"), (("attach", "cable", "--mode", "odd"), 2, "native"),
                (("attach", "cable", "--policy", "/nonexistent"), 3, "/nonexistent")):
            if "--policy" not in arguments and arguments[0] in ("attach", "apply"):
                arguments += ("--policy-dir", steered.directory)
            done = steered.steer(*arguments, check=False)
            equal(done.returncode, code, f"{arguments}: {done.stderr}")
            check(word in done.stderr, f"{arguments}: {done.stderr}")
        steered.steer("detach", "cable", check=False)
        done = steered.b.run("setpriv", "--bounding-set=-all", "--inh-caps=-all", "--",
                             build("autocork"), "steer", "attach", "cable", "--json", check=False)
        check('"error"' in done, f"without capabilities: {done}")
        equal("xdp" in steered.b.ip("link", "show", "cable"), False, "a program on the interface")


if __name__ == "__main__":
    if not os.geteuid():
        private_mounts()
    main(globals())
