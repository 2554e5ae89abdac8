#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Prints the table of docs/predictor.md: table.py TRACE…, run by build/autocork replay."""
import json
import os
import subprocess
import sys

print("| trace | bursts | packets per burst without | with | misses | % of bursts | delay mean | max |")
print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
for path in sys.argv[1:]:
    r = json.loads(subprocess.run(["build/autocork", "replay", "--json", path], check=True, capture_output=True).stdout)
    name = os.path.basename(path).removesuffix(".trace")
    bursts = r["bursts"]
    print(f"| {name} | {bursts} | {r['packets_without'] / bursts:.2f} | {r['packets_with'] / bursts:.3f} | "
          f"{r['misses']} | {100 * r['miss_ratio']:.3f} | {r['delay_with']['mean_us']:.0f} us | "
          f"{r['delay_with']['max_us']} us |")
