#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""The kernels boot and offer what the other tests need; and the harness sees a kernel that crashes or hangs."""
from harness import Suite
from machine import Machine


def judge(kernel):
    said = kernel.boot("boot.sh", 60, agent=False)
    kernel.check(said.get("kernel", {}).get("release") == kernel.image.release, f"runs {kernel.image.release}", said)
    if kernel.label != "6.1":
        return
    ended = Machine(kernel.image, "echo c >/proc/sysrq-trigger; sleep 60\n").run("boot.crash", 60, lambda line: None)
    kernel.check(ended.status is None and not ended.timed_out and ended.complaints, "a crash is seen", ended.log[-500:])
    ended = Machine(kernel.image, "echo here; sleep 600\n").run("boot.hang", 30, lambda line: None)
    kernel.check(ended.status is None and ended.timed_out and ended.output == ["here"], "a guest that hangs is ended",
                 ended.output)


with Suite("boot") as suite:
    suite.each_kernel(judge)
