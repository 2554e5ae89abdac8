# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Stock Debian kernels: what the table `kernels` asks for, fetched by apt, verified by its archive keyring,
unpacked."""
import fcntl
import fnmatch
import functools
import os
import pathlib
import re
import shutil
import subprocess

HERE = pathlib.Path(__file__).resolve().parent
CACHE = pathlib.Path(os.environ.get("AUTOCORK_VM_CACHE") or HERE.parents[1] / "build/vm/kernels")
KEYRING = pathlib.Path("/usr/share/keyrings/debian-archive-keyring.gpg")
# Set here and not left to the host's apt.conf, which may be laxer: a package that cannot be verified is not used.
STRICT = {
    "APT::Get::AllowUnauthenticated": "false",
    "Acquire::AllowInsecureRepositories": "false",
    "Acquire::AllowWeakRepositories": "false",
    "Acquire::AllowDowngradeToInsecureRepositories": "false",
}


class NoKernel(Exception):
    """A kernel cannot be had; the text says why."""


class Row:
    def __init__(self, label, package, suites, need):
        self.label, self.package, self.suites, self.need = label, package, suites.split(","), need
        self.architecture = package.rsplit("-", 1)[1]


def table():
    rows = []
    for line in (HERE / "kernels").read_text().splitlines():
        fields = line.split("#")[0].split()
        if fields:
            rows.append(Row(*fields))
    return rows


def row_of(label):
    for row in table():
        if row.label == label:
            return row
    raise NoKernel(f"{label}: not in tests/vm/kernels ({', '.join(row.label for row in table())})")


class Image:
    """An unpacked kernel: `release` as uname -r says it, `architecture` as dpkg calls it, `vmlinuz`, and `modules`:
    {name: file} of what can be loaded."""

    def __init__(self, row, tree):
        label = row.label
        self.label, self.architecture, self.tree = label, row.architecture, tree
        images = [*tree.glob("boot/vmlinuz-*"), *tree.glob("usr/lib/modules/*/vmlinuz")]
        if not images:
            raise NoKernel(f"{label}: its packages hold no vmlinuz")
        self.vmlinuz = images[0]
        self.release = self.vmlinuz.parent.name if self.vmlinuz.name == "vmlinuz" else self.vmlinuz.name[8:]
        self.modules = {file.name.split(".")[0].replace("-", "_"): file
                        for file in [*tree.glob("lib/modules/*/kernel/**/*.ko*"),
                                     *tree.glob("usr/lib/modules/*/kernel/**/*.ko*")]}


def run(*command, cwd=None):
    done = subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        why = [line for line in done.stdout.splitlines() if line.startswith("E: ")] or done.stdout.splitlines()[-1:]
        raise NoKernel(f"{command[0]}: {' '.join(why) or 'status %d' % done.returncode}")
    return done.stdout


def mirror():
    """The mirror this machine gets Debian from, read from its own apt sources."""
    codename = re.search(r"^VERSION_CODENAME=(\w+)", pathlib.Path("/etc/os-release").read_text(), re.M)
    targets = run("apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages")
    for line in targets.splitlines():
        uri, release, component = line.rsplit(" ", 2)
        if codename and (release, component) == (codename[1], "main"):
            return uri
    raise NoKernel("no apt source of this machine has its own Debian release: see sources.list(5)")


class Apt:
    """apt with lists, cache and sources of its own under a folder: the host's are neither read nor changed."""

    def __init__(self, folder, suites, architecture="amd64"):
        self.folder = folder
        if not KEYRING.is_file():
            raise NoKernel(f"{KEYRING}: missing, so nothing can be verified: install debian-archive-keyring")
        for sub in ("lists/partial", "cache/archives/partial", "sources"):
            (folder / sub).mkdir(parents=True, exist_ok=True)
        (folder / "status").touch()
        (folder / "sources/debian.sources").write_text(
            f"Types: deb\nURIs: {mirror()}\nSuites: {' '.join(suites)}\nComponents: main\nSigned-By: {KEYRING}\n")
        own = {
            "Dir::State": folder, "Dir::State::lists": folder / "lists", "Dir::State::status": folder / "status",
            "Dir::Cache": folder / "cache", "Dir::Etc::sourcelist": "/dev/null",
            "Dir::Etc::sourceparts": folder / "sources", "Dir::Etc::preferences": "/dev/null",
            "Dir::Etc::preferencesparts": "/dev/null", "APT::Architecture": architecture,
            "APT::Architectures": architecture,
            # The files are this user's own; apt's sandbox user may not reach them.
            "APT::Sandbox::User": "root", "Acquire::Languages": "none", "Acquire::Retries": "3", **STRICT,
        }
        self.options = [item for key, value in own.items() for item in ("-o", f"{key}={value}")]

    def get(self, *words, cwd=None):
        return run("apt-get", *self.options, "-q", *words, cwd=cwd)

    def cache(self, *words):
        return run("apt-cache", *self.options, *words)

    def unpack(self, packages, tree):
        """Packages and all that they need, unpacked and not installed: an empty dpkg status has apt fetch it all."""
        self.get("update", "--error-on=any")
        self.get("install", "--download-only", "--no-install-recommends", "-y", *packages)
        shutil.rmtree(tree, ignore_errors=True)
        for package in sorted((self.folder / "cache/archives").glob("*.deb")):
            run("dpkg", "-x", str(package), str(tree))


def newest_first(versions):
    def compare(a, b):
        return 1 if subprocess.run(["dpkg", "--compare-versions", a[0], "lt", b[0]],
                                   check=False).returncode == 0 else -1
    return sorted(versions, key=functools.cmp_to_key(compare))


def packages_of(apt, row):
    """The image package and those with its binary and modules: [name=version …] of the newest that is complete."""
    names = set(apt.cache("pkgnames", "linux-").split())
    found = []
    for name in fnmatch.filter(names, row.package):
        shown = apt.cache("show", "--no-all-versions", name)
        version = re.search(r"^Version: (\S+)", shown, re.M)
        depends = re.search(r"^Depends: (.*)", shown, re.M)
        parts = re.findall(r"\b(linux-(?:base|binary|modules)-\d\S*)", depends[1]) if depends else []
        found.append((version[1], name, parts))
    # A new version can be listed before its binary has been signed, an old one after its modules have been removed:
    # the newest complete one, else the newest that boots.
    for essential in ("linux-binary-", "linux-modules-"), ("linux-binary-",):
        for version, name, parts in newest_first(found):
            if names.issuperset(part for part in parts if part.startswith(essential)):
                return [f"{part}={version}" for part in [name, *parts] if part in names]
    raise NoKernel(f"{row.package}: no such package in {' '.join(row.suites)}")


def fetch(row, refresh=False):
    """The Image of a row of the table, from the cache if it is there."""
    folder = CACHE / row.label
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        tree = folder / "tree"
        if refresh or not tree.is_dir():
            apt = Apt(folder / "apt", row.suites, row.architecture)
            apt.get("update", "--error-on=any")
            packages = packages_of(apt, row)
            shutil.rmtree(folder / "debs", ignore_errors=True)
            (folder / "debs").mkdir()
            apt.get("download", *packages, cwd=folder / "debs")
            new = folder / "tree.new"
            shutil.rmtree(new, ignore_errors=True)
            for package in sorted((folder / "debs").glob("*.deb")):
                run("dpkg", "-x", str(package), str(new))
            Image(row, new)
            shutil.rmtree(tree, ignore_errors=True)
            new.rename(tree)
            shutil.rmtree(folder / "debs")
            shutil.rmtree(folder / "apt")
        return Image(row, tree)
