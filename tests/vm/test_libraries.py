#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""The programs that were built here run with the libraries of Debian's next release: libbpf has made the struct_ops
link already from 1.2 on. Four wrappers, writes held by each, nothing left over."""
import libraries
from harness import Suite

RELEASE, ITS_KERNEL = "trixie", "6.12"
ALGORITHMS = ("cubic", "bbr", "dctcp", "reno")


def judge(kernel):
    said = kernel.boot("libraries.sh", 300, release=RELEASE)
    kernel.check(said.get("libbpf") == f"/{RELEASE}/libbpf.so.1",
                 f"runs with {RELEASE}'s libbpf {libraries.version(RELEASE, 'libbpf')}", said.get("libbpf"))
    kernel.check(said.get("loader") == f"/{RELEASE}/{libraries.LOADER}", "run by their own loader", said.get("loader"))
    features = {feature["name"]: feature for feature in said.get("doctor", {}).get("features", [])}
    for algorithm in ALGORITHMS:
        feature = features.get(f"wrapper {algorithm}", {})
        kernel.check(feature.get("works") is True, f"{algorithm}: registered", feature)
        run = said.get(algorithm, {})
        kernel.check(run.get("wrong_bytes") == 0, f"{algorithm}: bytes identical", run)
        kernel.check(0.99 < run.get("segments", 0) < 1.01, f"{algorithm}: one packet per message: "
                                                           f"{run.get('segments')}")


with Suite("libraries") as suite:
    suite.each_kernel(judge, [ITS_KERNEL])
