#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""deploy/ansible: ansible-lint, and the role applied to a copy of this system: its root under an overlay, so the
package is installed by apt as anywhere, and this machine keeps nothing of it."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/unit"))
from run_tests import run_tests

FOLDER = ROOT / "deploy/ansible"
POLICY = "etc/autocork/policy.d/50-ansible.conf"
# Without a network: what the package needs is here, since the package was built here.
INSIDE = """set -e
mount --make-rprivate /
mount -t overlay overlay -o lowerdir=/,upperdir={work}/upper,workdir={work}/work {work}/root
for at in proc sys dev; do mount --rbind /$at {work}/root/$at; done
mount -t tmpfs tmpfs {work}/root/run
mount -t tmpfs tmpfs {work}/root/tmp
printf '#!/bin/sh\\nexit 101\\n' >{work}/root/usr/sbin/policy-rc.d
chmod 755 {work}/root/usr/sbin/policy-rc.d
mkdir -p {work}/root/role
cp -a {folder}/. {debs}/autocork_*.deb {work}/root/role
exec chroot {work}/root /bin/sh -c 'cd /role && exec "$@"' sh "$@"
"""


class Host:
    """Where the role is applied; what it changes stays from one application to the next."""
    def __init__(self):
        # An overlay cannot lie on an overlay, and /tmp may be one.
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="autocork-ansible-", dir="/var/tmp"))
        for name in "upper", "work", "root", "debs":
            (self.work / name).mkdir()
        self.run(str(ROOT / "packaging/build-deb"), str(self.work / "debs"))
        self.deb = next((self.work / "debs").glob("autocork_*.deb")).name

    @staticmethod
    def run(*words):
        done = subprocess.run(words, capture_output=True, text=True, timeout=900, check=False)
        assert done.returncode == 0, (done.stdout + done.stderr)[-1500:]
        return done.stdout

    def apply(self, *hosts, good=True, **variables):
        """{"changed": N, "failed": N, ...} of the only host, and all that was said."""
        script = INSIDE.format(work=self.work, folder=FOLDER, debs=self.work / "debs")
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/tmp", "LC_ALL": "C.UTF-8",
                       "ANSIBLE_NOCOLOR": "1", "ANSIBLE_LOCALHOST_WARNING": "no"}
        words = ["ansible-playbook", "-i", ",".join((*hosts, "localhost,")), "-c", "local", "site.yml", "-e",
                 json.dumps({"autocork_deb": f"/role/{self.deb}", "autocork_service": False,
                             "ansible_python_interpreter": "/usr/bin/python3", **variables})]
        done = subprocess.run(["unshare", "--mount", "sh", "-c", script, "sh", *words], capture_output=True, text=True,
                              timeout=600, env=environment, check=False)
        said = done.stdout + done.stderr
        assert (done.returncode == 0) == good, said[-3000:]
        recap = re.search(r"^localhost +: (.*)$", said, re.M)
        assert recap, said[-3000:]
        return {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", recap[1])}, said

    def policy(self):
        return (self.work / "upper" / POLICY).read_text()

    def close(self):
        shutil.rmtree(self.work, ignore_errors=True)


def role_is_clean():
    if not shutil.which("ansible-lint"):
        return "ansible-lint is not installed"
    with tempfile.TemporaryDirectory() as home:
        copy = shutil.copytree(FOLDER, pathlib.Path(home) / "ansible")
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": home, "LC_ALL": "C.UTF-8"}

        def lint():
            return subprocess.run(["ansible-lint", "--offline", "-p", "--strict", "site.yml"], cwd=copy, timeout=300,
                                  capture_output=True, text=True, env=environment, check=False)
        done = lint()
        assert done.returncode == 0, done.stdout + done.stderr
        tasks = copy / "roles/autocork/tasks/main.yml"
        tasks.write_text(tasks.read_text().replace("ansible.builtin.file:", "file:"))
        assert lint().returncode != 0, "a mistake is not found"
    return None


def first_time_installs_and_observes():
    recap, said = HOST.apply()
    assert recap["changed"] >= 3 and recap["failed"] == 0, said
    upper = HOST.work / "upper"
    assert (upper / "usr/sbin/autocorkd").exists() and (upper / "usr/bin/autocork").exists(), said
    assert "mode = observe" in HOST.policy() and "autocork\n" not in HOST.policy(), HOST.policy()


def second_time_changes_nothing():
    recap, said = HOST.apply()
    assert recap["changed"] == 0 and recap["failed"] == 0 and recap["ok"] >= 4, said


def canary_manages_and_one_command_takes_it_back():
    recap, said = HOST.apply(autocork_canary=True)
    assert recap["changed"] == 1 and "RUNNING HANDLER [autocork : Reload autocorkd]" in said, said
    assert "mode = autocork" in HOST.policy(), HOST.policy()
    HOST.apply(autocork_canary=True, autocork_rollback="true")
    assert "mode = observe" in HOST.policy() and "mode = autocork" not in HOST.policy(), HOST.policy()


def invalid_policy_is_never_in_place():
    before = HOST.policy()
    recap, said = HOST.apply(good=False, autocork_policies=[{"name": "web", "keys": {"max_hold": "2h"}}])
    assert recap["failed"] == 1 and "max_hold" in said, said
    assert HOST.policy() == before


TESTS = [role_is_clean, first_time_installs_and_observes, second_time_changes_nothing,
         canary_manages_and_one_command_takes_it_back, invalid_policy_is_never_in_place]
missing = [tool for tool in ("ansible-playbook", "dpkg-buildpackage", "dh") if not shutil.which(tool)]
if missing or os.geteuid() or not (ROOT / "build/autocork-fastpath").exists():
    print(f"1..0\nok 1 # SKIP {', '.join(missing) or 'needs root, and autocork-fastpath built'}")
    sys.exit(0)
HOST = Host()
try:
    FAILED = run_tests(TESTS)
finally:
    HOST.close()
sys.exit(FAILED)
