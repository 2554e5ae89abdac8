#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""libautocork-mtcp.so without an agent: configuration, order of calls, and its calls on the kernel's TCP by loopback.
Each case is a process of its own (CHILD below): what it prints, and what the library says on stderr."""
import os
import subprocess
import sys
import tempfile
import textwrap

from run_tests import run_tests

os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
BUILD = os.environ.get("BUILD", "build")
LIBRARY = os.path.abspath(f"{BUILD}/libautocork-mtcp.so")

CHILD = """
import ctypes, errno, os, signal, socket, struct, sys
m = ctypes.CDLL(sys.argv[1], use_errno=True)
V, I, B = ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p
m.mtcp_create_context.restype = V
m.mtcp_read.restype = m.mtcp_recv.restype = m.mtcp_write.restype = ctypes.c_ssize_t
m.EventToString.restype = B
m.EventToString.argtypes = [ctypes.c_uint32]
class Conf(ctypes.Structure):
    _fields_ = [(n, I) for n in "num_cores max_concurrency max_num_buffers rcvbuf sndbuf timewait timeout".split()]
class Event(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("events", ctypes.c_uint32), ("data", ctypes.c_uint64)]
IN, OUT, ERR, HUP, ET, ONESHOT, RDHUP = 1, 4, 8, 16, 1 << 31, 1 << 30, 0x2000
ADD, DEL, MOD = 1, 2, 3
FILE = sys.argv[2].encode()
def call(name, *a):
    "The result, or the name of the error."
    got = getattr(m, "mtcp_" + name)(*[V(x) if i == 0 and x is X.get("mctx") else x for i, x in enumerate(a)])
    return errno.errorcode[ctypes.get_errno()] if got == -1 or (name == "create_context" and not got) else got
X = {}
def context(cpu=0, path=FILE):
    m.mtcp_init(path), m.mtcp_core_affinitize(cpu)
    X["mctx"] = m.mtcp_create_context(cpu)
    return X["mctx"]
def address(port=0, host="127.0.0.1"):
    return struct.pack("=HH4s8x", socket.AF_INET, socket.htons(port), socket.inet_aton(host))
def listener(c, host="127.0.0.1"):
    s = call("socket", c, socket.AF_INET, 1, 0)
    assert call("bind", c, s, address(0, host), 16) == 0 and call("listen", c, s, 10) == 0
    name, size = ctypes.create_string_buffer(16), I(16)
    call("getsockname", c, s, name, ctypes.byref(size))
    return s, socket.ntohs(struct.unpack_from("H", name.raw, 2)[0])
def pair(c):
    s, port = listener(c)
    peer = socket.create_connection(("127.0.0.1", port), timeout=10)
    return s, call("accept", c, s, None, None), peer
def wait(c, e, timeout=5000, most=8):
    events = (Event * most)()
    got = call("epoll_wait", c, e, events, most, timeout)
    return got if isinstance(got, str) else [(hex(events[i].events), events[i].data) for i in range(got)]
def watch(c, e, s, events, op=ADD):
    return call("epoll_ctl", c, e, op, s, ctypes.byref(Event(events, s)))
"""


def child(code, config="io = af_xdp\nnum_cores = 1\n"):
    """Lines on stdout, text on stderr."""
    with tempfile.NamedTemporaryFile("w", suffix=".ini") as file:
        file.write(config)
        file.flush()
        done = subprocess.run([sys.executable, "-c", CHILD + textwrap.dedent(code), LIBRARY, file.name],
                              capture_output=True,
                              text=True, timeout=60, check=False)
        said = done.stderr.replace(file.name, "FILE")
    assert done.returncode == 0, f"ended with {done.returncode}: {said[-1500:]}"
    return done.stdout.split("\n")[:-1], said


def gives(code, wanted, config="io = af_xdp\nnum_cores = 1\n", says=()):
    lines, said = child(code, config)
    assert lines == wanted, f"{lines}, not {wanted}; {said[-800:]}"
    for part in says:
        assert part in said, f"{part!r} is not in {said!r}"
    return said


BAD = {
    "io = dpdk": ("io = dpdk", "it needs `port`"),
    "dpdk_args = --no-pci": ("dpdk_args = --no-pci: it is for io = dpdk",),
    "io = netmap": ("io = netmap", "write af_xdp or dpdk"), "io = psio": ("af_xdp or dpdk",),
    "io =": ("af_xdp or dpdk",),
    "io = af_xdp\nnum_cores = 0": ("line 2: num_cores = 0", "from 1 to"), "num_cores = -1": ("num_cores = -1",),
    "num_cores = two": ("num_cores = two",), "num_cores = 1x": ("num_cores = 1x",),
    "num_cores = 100000": ("num_cores = 100000", "(CPUs)"), "num_cores =": ("num_cores",),
    "num_cores = 99999999999999999999": ("num_cores",), "max_concurrency = 0": ("max_concurrency",),
    "max_concurrency = 2000000": ("from 1 to 1048576",), "max_num_buffers = -5": ("max_num_buffers",),
    "rcvbuf = 0": ("rcvbuf = 0", "bytes"), "rcvbuf = 4194305": ("from 1 to 4194304",), "sndbuf = 8k": ("sndbuf = 8k",),
    "port = no-such-if": ("port = no-such-if", "ip link"), "port = lo lo": ("one interface",),
       "port = lo,eth0": ("one interface",),
    "port = an-interface-too-long": ("ip link",), "port =": ("ip link",),
    "rcvbuf = 1\nrcvbuf = 2": ("line 2: rcvbuf", "twice"), "[mtcp]\nio = af_xdp": ("[sections]",),
       "io": ("KEY = VALUE",),
    "x" * 300: ("190 characters",), "io = af_xdp\n\n# x\n\nsndbuf = no": ("line 5: sndbuf",),
    "rcvbuf = 5" + "5" * 5000: ("190 characters",), "io = \x01\x02": ("af_xdp or dpdk",),
}


def a_bad_configuration_is_refused():
    lines, said = child(f"""
        for config in {list(BAD)!r}:
            open(FILE, "w").write(config)
            print(call("init", FILE), call("core_affinitize", 0), file=sys.stderr)
    """)
    told = said.split("EINVAL EPERM\n")
    assert not lines and len(told) == len(BAD) + 1, said
    for (config, parts), text in zip(BAD.items(), told):
        assert text.startswith("autocork-mtcp: ") and all(part in text for part in parts), f"{config[:80]!r}: {text!r}"


def dpdk_takes_no_interface_that_is_not_steered():
    """With the driver's own program on it the kernel would lose it whole."""
    if not os.path.exists(f"{BUILD}/libautocork-ring-dpdk.so"):
        gives("print(call('init', FILE))", ["EINVAL"], "io = dpdk\nport = lo\n",
              ("libautocork-ring-dpdk.so cannot be loaded: install autocork-mtcp-dpdk",))
        return
    gives("print(call('init', FILE))", ["EINVAL"], "io = dpdk\nport = lo\nnum_cores = 1\nrcvbuf = 8192\n",
          ("port = lo: ", "MTU above 1500"))


def a_missing_file_is_named():
    gives("print(call('init', b'/nonexistent/m.ini'), call('init', b'/tmp'))", ["ENOENT EINVAL"],
          says=("/nonexistent/m.ini: No such file or directory", "/tmp: line 0: the file"))


def good_configurations_are_taken():
    show = "c = Conf(); print(call('init', FILE), call('getconf', ctypes.byref(c)), *[getattr(c, n) for n, _ in c._fields_[:5]])"
    cpus = os.sysconf("SC_NPROCESSORS_CONF")
    for config, wanted in (("", f"{cpus} 10000 10000 8192 8192"),
                           ("# only\n\n   # comments\n", f"{cpus} 10000 10000 8192 8192"),
                           ("num_cores=1\nmax_concurrency=50\n", "1 50 50 8192 8192"),
                           ("\tio = af_xdp # so\r\nport = lo\r\nnum_cores = 1\r\nmax_concurrency = 1048576\nmax_num_buffers = 7\n"
                            "rcvbuf = 4194304\nsndbuf = 1", "1 1048576 7 4194304 1")):
        gives(show, [f"0 0 {wanted}"], config)


def other_keys_are_warned_of():
    said = gives("print(call('init', FILE))", ["0"],
                 "io = af_xdp\nnum_mem_ch = 4\nport = lo\ntcp_timeout = 30\nstat_print = lo\nnonsense = 1\nIO = dpdk\n")
    for line, key in (2, "num_mem_ch"), (4, "tcp_timeout"), (5, "stat_print"), (6, "nonsense"), (7, "IO"):
        assert f"FILE: line {line}: {key}: not used by autocork: remove the line" in said, said


def the_order_is_checked():
    gives("""
        print(call("core_affinitize", 0), call("create_context", 0))
        print(call("init", FILE), call("init", FILE))
        print(call("create_context", 0))
        print(call("core_affinitize", -1), call("core_affinitize", 100000))
        print(call("core_affinitize", 0))
        print(call("create_context", 1), call("create_context", -1))
        X["mctx"] = m.mtcp_create_context(0)
        print(bool(X["mctx"]), call("create_context", 0))
        c = Conf(); call("getconf", ctypes.byref(c))
        print(call("setconf", ctypes.byref(c)))
        m.mtcp_destroy()
        print(call("core_affinitize", 0), call("init", FILE), call("core_affinitize", 0), bool(m.mtcp_create_context(0)))
    """, ["EPERM EPERM", "0 EALREADY", "EPERM", "EINVAL EINVAL", "0", "EINVAL EINVAL", "True EBUSY", "EBUSY",
          "EPERM 0 0 True"],
          says=("mtcp_core_affinitize(0): mtcp_init() was not called: call it first",
                "mtcp_create_context(0): mtcp_init() was not",
                "mtcp_init: it was called before: call mtcp_destroy() first",
                "this thread has no CPU yet: call mtcp_core_aff",
                "mtcp_core_affinitize(-1): this machine has the CPUs 0 to",
                "num_cores = 1 allows the CPUs 0 to 0: raise num_cores",
                "CPU 0 has a context", "there are contexts already"))
    if os.sysconf("SC_NPROCESSORS_CONF") > 1:
        gives("call('init', FILE); call('core_affinitize', 1); print(call('create_context', 0))", ["EINVAL"],
              "num_cores = 2", ("this thread was given CPU 1",))


def setconf_is_checked_and_used():
    gives("""
        c = Conf(); call("getconf", ctypes.byref(c))
        c.max_concurrency = 3
        print(call("setconf", ctypes.byref(c)), call("setconf", None), call("getconf", None))
        c.num_cores = 0
        print(call("setconf", ctypes.byref(c)))
        c = context(path=None)
        print([call("socket", c, 2, 1, 0) for _ in range(4)])
    """, ["0 EINVAL EINVAL", "EINVAL", "[0, 1, 2, 'ENFILE']"], says=("num_cores = 0",))


def wrong_numbers_are_refused():
    gives("""
        c = context()
        for bad in -1, 0, 5, 10**6:
            print(call("close", c, bad), call("read", c, bad, None, 0), call("listen", c, bad, 1), call("accept", c, bad, None, None),
                  call("epoll_wait", c, bad, None, 1, 0), call("setsock_nonblock", c, bad), call("abort", c, bad))
        print(call("socket", None, 2, 1, 0), call("epoll_create", None, 1), call("close", None, 0))
        print(call("socket", c, 99, 1, 0), call("socket", c, 2, 2, 0), call("socket", c, 2, 1, 17))
        s, e = call("socket", c, 2, 1, 0), call("epoll_create", c, 10)
        print(call("accept", c, s, None, None), call("epoll_wait", c, s, None, 1, 0), call("listen", c, e, 1),
              call("read", c, e, None, 0), watch(c, s, s, IN), watch(c, e, e, IN), watch(c, e, 77, IN))
        print(call("epoll_create", c, 0), call("epoll_create1", c, 1), watch(c, e, s, IN, 9), watch(c, e, s, IN, DEL))
        print(call("writev", c, s, None, -1), call("close", c, s), call("close", c, s))
    """, ["EBADF EBADF EBADF EBADF EBADF EBADF EBADF"] * 4 +
          ["EACCES EACCES EACCES", "EAFNOSUPPORT ESOCKTNOSUPPORT EPROTONOSUPPORT",
           "EINVAL EINVAL ENOTSOCK EBADF EINVAL EINVAL EBADF", "EINVAL EINVAL EINVAL ENOENT", "EINVAL 0 EBADF"])


def a_connection_is_served():
    gives("""
        c = context()
        s, a, peer = pair(c)
        buf = ctypes.create_string_buffer(100)
        peer.sendall(b"hello")
        n = I()
        print(call("recv", c, a, buf, 100, socket.MSG_PEEK), call("socket_ioctl", c, a, 0x541B, ctypes.byref(n)), n.value)
        print(call("read", c, a, buf, 100), buf.value, call("write", c, a, b"world", 5), peer.recv(100))
        class Iov(ctypes.Structure):
            _fields_ = [("base", V), ("len", ctypes.c_size_t)]
        parts = [ctypes.create_string_buffer(b, len(b)) for b in (b"ab", b"cde")]
        iov = (Iov * 2)(*[Iov(ctypes.addressof(p), len(p)) for p in parts])
        print(call("writev", c, a, iov, 2), peer.recv(100))
        peer.sendall(b"UVXYZ")
        print(call("readv", c, a, iov, 2), parts[0].raw + parts[1].raw)
        print(call("setsock_nonblock", c, a), call("read", c, a, buf, 100))
        who, size = ctypes.create_string_buffer(16), I(16)
        call("getpeername", c, a, who, ctypes.byref(size))
        print(who.raw == address(peer.getsockname()[1]), m.mtcp_get_connection_cnt(V(c)))
        one, size = I(1), I(4)
        print(call("setsockopt", c, a, 6, 1, ctypes.byref(one), 4), call("getsockopt", c, a, 6, 1, ctypes.byref(one), ctypes.byref(size)),
              one.value)
        peer.shutdown(socket.SHUT_WR)
        import time; time.sleep(0.05)
        print(call("read", c, a, buf, 100), call("close", c, a), peer.recv(1), m.mtcp_get_connection_cnt(V(c)))
    """, ["5 0 5", "5 b'hello' 5 b'world'", "5 b'abcde'", "5 b'UVXYZ'", "0 EAGAIN", "True 1", "0 0 1", "0 0 b'' 0"],
          says=("no agent gives out queues: start autocorkd", "the kernel's TCP serves it"))


def abort_resets_and_a_dead_peer_raises_no_signal():
    gives("""
        c = context()
        s, a, peer = pair(c)
        print(call("abort", c, a))
        try:
            print(peer.recv(1))
        except ConnectionResetError:
            print("reset")
        b = call("connect", c, call("socket", c, 2, 1, 0), address(1), 16)
        print(b)
        s, a, peer = pair(c)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)); peer.close()
        import time; time.sleep(0.05)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        print(call("write", c, a, b"x", 1) in ("ECONNRESET", "EPIPE"), call("write", c, a, b"x", 1))
    """, ["0", "reset", "ECONNREFUSED", "True EPIPE"])


def epoll_has_levels_edges_and_oneshot():
    gives("""
        c = context()
        s, a, peer = pair(c)
        e = call("epoll_create", c, 10)
        print(watch(c, e, a, IN), watch(c, e, a, IN), wait(c, e, 0))
        peer.sendall(b"x")
        print(wait(c, e), wait(c, e, 0), call("epoll_wait", c, e, (Event * 1)(), 0, 0))
        print(watch(c, e, a, IN | ET, MOD), wait(c, e), wait(c, e, 0))
        print(watch(c, e, a, IN | OUT | ONESHOT, MOD), wait(c, e), wait(c, e, 0), watch(c, e, a, OUT, MOD), wait(c, e))
        print(watch(c, e, a, 0, DEL), wait(c, e, 0), watch(c, e, a, 0, DEL))
        p = (I * 2)()
        print(call("pipe", c, p), watch(c, e, p[0], IN), call("write", c, p[1], b"y", 1), wait(c, e) == [("0x1", p[0])])
        print(call("close", c, p[1]), call("close", c, p[0]), wait(c, e, 0))
        print(watch(c, e, s, IN))
        other = socket.create_connection(peer.getpeername())
        print(wait(c, e) == [("0x1", s)])
    """, ["0 EEXIST []", "[('0x1', 1)] [('0x1', 1)] EINVAL", "0 [('0x1', 1)] []", "0 [('0x5', 1)] [] 0 [('0x4', 1)]",
          "0 [] ENOENT", "0 0 1 True", "0 0 []", "0", "True"])


def numbers_come_back_and_bounds_hold():
    gives("""
        c = context()
        before = len(os.listdir("/proc/self/fd"))
        s, a, peer = pair(c)
        print(call("close", c, a), call("socket", c, 2, 1, 0) == a, call("close", c, a))
        others = [socket.create_connection(peer.getpeername()) for _ in range(6)]
        got = [call("accept", c, s, None, None) for _ in range(4)]
        print(sorted(got[:3]), got[3])
        p = (I * 2)()
        print(call("epoll_create", c, 1), call("pipe", c, p), call("close", c, got[0]), call("pipe", c, p))
        for n in (s, *got[1:3]): call("close", c, n)
        for o in others + [peer]: o.close()
        print(len(os.listdir("/proc/self/fd")) == before, call("pipe", c, p), list(p) != [0, 0])
        m.mtcp_destroy_context(V(c)); m.mtcp_destroy_context(V(c)); m.mtcp_destroy_context(None)
        print(len(os.listdir("/proc/self/fd")) <= before)
        for _ in range(20):
            X["mctx"] = m.mtcp_create_context(0)
            listener(X["mctx"]); m.mtcp_destroy_context(V(X["mctx"]))
        print(len(os.listdir("/proc/self/fd")) <= before)
    """, ["0 True 0", "[1, 2, 3] ENFILE", "ENFILE ENFILE 0 ENFILE", "True 0 True", "True", "True"],
          "num_cores = 1\nmax_concurrency = 4\n")


def clients_take_the_addresses_of_init_rss():
    gives("""
        c = context()
        s, port = listener(c, "0.0.0.0")
        base = struct.unpack("=I", socket.inet_aton("127.0.0.10"))[0]
        print(call("init_rss", c, base, 0, 0, 0), call("init_rss", None, base, 1, 0, 0), call("init_rss", c, base, 2, 0, 0))
        for _ in range(3):
            out = call("socket", c, 2, 1, 0)
            assert call("connect", c, out, address(port), 16) == 0
            name, size = ctypes.create_string_buffer(16), I(16)
            call("accept", c, s, name, ctypes.byref(size))
            print(socket.inet_ntoa(name.raw[4:8]))
    """, ["EINVAL EACCES 0", "127.0.0.10", "127.0.0.11", "127.0.0.10"])


def events_have_names():
    gives("print(*[m.EventToString(1 << i if i >= 0 else 0).decode() for i in (-1, 0, 1, 2, 3, 4, 6, 13, 30, 31, 20)])",
          ["MTCP_EPOLLNONE MTCP_EPOLLIN MTCP_EPOLLPRI MTCP_EPOLLOUT MTCP_EPOLLERR MTCP_EPOLLHUP MTCP_EPOLLRDNORM MTCP_EPOLLRDHUP "
           "MTCP_EPOLLONESHOT MTCP_EPOLLET MTCP_EPOLLNONE"])


TESTS = [a_bad_configuration_is_refused, dpdk_takes_no_interface_that_is_not_steered,
         a_missing_file_is_named, good_configurations_are_taken,
         other_keys_are_warned_of,
         the_order_is_checked, setconf_is_checked_and_used, wrong_numbers_are_refused, a_connection_is_served,
         abort_resets_and_a_dead_peer_raises_no_signal, epoll_has_levels_edges_and_oneshot,
         numbers_come_back_and_bounds_hold,
         clients_take_the_addresses_of_init_rss, events_have_names]


def main():
    if not os.path.exists(LIBRARY):
        print("1..1\nok 1 - mtcp # SKIP libautocork-mtcp.so is not built: the source of lwIP is missing")
        return 0
    with open(LIBRARY, "rb") as library:
        if b"__asan_init" in library.read():
            print("1..1\nok 1 - mtcp # SKIP a library with AddressSanitizer cannot be loaded into Python")
            return 0
    return run_tests(TESTS)


if __name__ == "__main__":
    sys.exit(main())
