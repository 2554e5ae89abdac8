#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""The Debian packages: built from what is built already, looked into, and their dependencies counted. Installs
nothing."""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
NEEDED = ("dpkg-buildpackage", "dh", "lintian")
MOST_DEPENDENCIES = 10


class Skip(Exception):
    pass


def run(*words, **more):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=600, check=False,
                          **more)
    assert done.returncode == 0, f"{words}: {done.returncode}: {(done.stdout + done.stderr)[-1500:]}"
    return done.stdout


class Built:
    """The packages, from what is built already."""

    def __init__(self, directory):
        missing = [tool for tool in NEEDED if not shutil.which(tool)]
        if missing:
            raise Skip(f"{', '.join(missing)} not installed")
        self.directory = pathlib.Path(directory)
        self.endpoint = (ROOT / "build/libautocork-endpoint.so").exists()
        if not (ROOT / "build/autocork-fastpath").exists():
            raise Skip("autocork-fastpath is not built: DPDK or libxdp is missing")
        run(ROOT / "packaging/build-deb", self.directory)
        self.packages = {path.name.split("_")[0]: path for path in self.directory.glob("*.deb")}
        self.roots = {}
        for name, path in self.packages.items():
            self.roots[name] = self.directory / "root" / name
            self.roots[name].parent.mkdir(exist_ok=True)
            run("dpkg-deb", "-x", path, self.roots[name])

    def field(self, package, name):
        return run("dpkg-deb", "-f", self.packages[package], name).strip()

    def scripts(self, package):
        control = self.directory / f"control-{package}"
        run("dpkg-deb", "-e", self.packages[package], control)
        return control


def files_are_where_they_belong(built):
    wanted = {"autocork", "autocork-fastpath"} | ({"autocork-endpoint", "autocork-mtcp", "autocork-mtcp-dpdk"} if built.endpoint else set())
    assert set(built.packages) == wanted, built.packages
    root = built.roots["autocork"]
    for path in ("usr/sbin/autocorkd", "usr/bin/autocork", "usr/share/man/man8/autocorkd.8.gz",
                 "usr/share/man/man1/autocork.1.gz", "usr/share/man/man5/autocork.conf.5.gz",
                 "usr/lib/sysusers.d/autocork.conf",
                 "usr/share/bash-completion/completions/autocork", "usr/share/doc/autocork/copyright",
                 "etc/autocork/policy.d"):
        assert (root / path).exists(), path
    unit, = [*root.glob("lib/systemd/system/autocorkd.service"), *root.glob("usr/lib/systemd/system/autocorkd.service")]
    assert "ExecStart=/usr/sbin/autocorkd\n" in unit.read_text()
    assert not (root / "usr/sbin/autocork-fastpath").exists(), "DPDK's process is a package of its own"
    assert (built.roots["autocork-fastpath"] / "usr/sbin/autocork-fastpath").exists()
    if built.endpoint:
        assert (built.roots["autocork-endpoint"] / "usr/lib/autocork/libautocork-endpoint.so").exists()
    strays = [path for path in root.rglob("*") if path.is_file() and re.search(r"/(build|tests|usr/local|home|root)/",
                                                                               str(path.relative_to(root)))]
    assert not strays, strays


def programs_run(built):
    root = built.roots["autocork"]
    version = built.field("autocork", "Version")
    assert run(root / "usr/bin/autocork", "--version").strip() == f"autocork {version}", version
    assert run(root / "usr/sbin/autocorkd", "--version").strip() == f"autocorkd {version}"


def mtcp_programs_build(built):
    """The examples, against what the packages hold, and they start: the library finds the endpoint's beside it"""
    if not built.endpoint:
        return
    whole, root = built.directory / "whole", built.roots["autocork-mtcp"]
    for package in "autocork-endpoint", "autocork-mtcp":
        run("cp", "-a", f"{built.roots[package]}/.", whole) if whole.exists() else run("cp", "-a",
                                                                                       built.roots[package], whole)
    examples = root / "usr/share/doc/autocork-mtcp/examples"
    for name in "server", "client":
        run("gcc", "-Wall", "-Werror", f"-I{root}/usr/include", examples / f"{name}.c", f"-L{root}/usr/lib",
            "-lautocork-mtcp",
            "-lpthread", "-o", whole / name)
        used = run("ldd", whole / name, env=dict(os.environ, LD_LIBRARY_PATH=str(whole / "usr/lib")))
        assert f"libautocork-mtcp.so => {whole}/usr/lib/libautocork-mtcp.so" in used, used
    config = whole / "wrong.ini"
    config.write_text("io = netmap\n")
    done = subprocess.run([whole / "server", config, "9000"], capture_output=True, text=True, timeout=30, check=False,
                          env=dict(os.environ, LD_LIBRARY_PATH=str(whole / "usr/lib")))
    assert done.returncode > 0 and "io" in done.stderr, done


def group_and_service_are_set_up(built):
    scripts = built.scripts("autocork")
    postinst = (scripts / "postinst").read_text()
    assert re.search(r"systemd-sysusers.*autocork\.conf", postinst), postinst
    assert re.search(r"deb-systemd-helper.* enable .*autocorkd\.service", postinst), postinst
    assert "deb-systemd-invoke" in (scripts / "prerm").read_text()


def status_of(names):
    """The paragraphs of dpkg's own status of these packages."""
    paragraphs = pathlib.Path("/var/lib/dpkg/status").read_text(errors="replace").split("\n\n")
    return {re.match(r"Package: (\S+)", p)[1]: p for p in paragraphs if re.match(r"Package: (\S+)", p) and
            (names is None or re.match(r"Package: (\S+)", p)[1] in names)}


def base_system():
    """What a minimal system has: the essential and required packages, apt, systemd, and what these need."""
    installed, base = status_of(None), set()
    provides = {}
    for name, text in installed.items():
        for virtual in re.findall(r"[a-z0-9.+-]+", (re.search(r"^Provides: (.*)$", text, re.M) or [0, ""])[1]):
            provides.setdefault(virtual, name)
    todo = [name for name, text in installed.items() if re.search(r"^Priority: required$|^Essential: yes$", text, re.M)]
    todo += ["apt", "systemd"]
    while todo:
        name = todo.pop()
        name = name if name in installed else provides.get(name)
        if not name or name in base:
            continue
        base.add(name)
        for line in re.findall(r"^(?:Pre-)?Depends: (.*)$", installed[name], re.M):
            for group in line.split(","):
                words = [re.match(r"[a-z0-9.+-]+", word.strip())[0] for word in group.split("|")]
                todo += [word for word in words if word in installed or word in provides][:1]
    return base


def few_packages_come_along(built):
    base, wanted, seen = base_system(), [built.field("autocork", "Depends"),
                                         built.field("autocork", "Pre-Depends")], set()
    assert "libc6" in base, sorted(base)
    installed = status_of(None)
    while wanted:
        for group in wanted.pop().split(","):
            names = [re.match(r"[a-z0-9.+-]+", word.strip())[0] for word in group.split("|") if word.strip()]
            if not names or base & set(names) or seen & set(names):
                continue
            seen.add(names[0])
            lines = re.findall(r"^(?:Pre-)?Depends: (.*)$", installed.get(names[0], ""), re.M)
            wanted += lines
    print(f"# beside a minimal system: {', '.join(sorted(seen))}")
    assert 3 < len(seen) <= MOST_DEPENDENCIES, sorted(seen)


def lintian_finds_no_error(built):
    done = subprocess.run(["lintian", "--allow-root", "--fail-on", "error", *map(str, built.packages.values())],
                          capture_output=True, text=True, timeout=300, check=False)
    errors = [line for line in done.stdout.splitlines() if line.startswith("E:")]
    assert done.returncode == 0 and not errors, errors or done.stdout + done.stderr


TESTS = [files_are_where_they_belong, programs_run, mtcp_programs_build, group_and_service_are_set_up,
         few_packages_come_along, lintian_finds_no_error]


def main():
    failed = 0
    print(f"1..{len(TESTS)}", flush=True)
    with tempfile.TemporaryDirectory() as directory:
        built, why = None, ""
        try:
            built = Built(directory)
        except Skip as skip:
            why = str(skip)
        except Exception as error:
            print(f"not ok 1 - the packages are built: {type(error).__name__}: {error}")
            return True
        for number, test in enumerate(TESTS, 1):
            if not built:
                print(f"ok {number} - {test.__name__} # SKIP {why}", flush=True)
                continue
            try:
                test(built)
                print(f"ok {number} - {test.__name__}", flush=True)
            except Exception as error:
                failed += 1
                print(f"not ok {number} - {test.__name__}: {type(error).__name__}: {error}", flush=True)
    return failed > 0


sys.exit(main())
