# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""The clients of tests/bench/program_table.py: each puts a server under load for some seconds, and gives operations,
seconds, p50 and p99 in us."""
import json
import pathlib
import re
import statistics

from lib import Program, program

HERE = pathlib.Path(__file__).resolve().parent
WARM = 3	# seconds: node's compiler needs two until its rate is what it stays


def wrk(stage, case, port, seconds, *options):
    with Program(stage.net, [program("wrk"), "-c4", "-t1", f"-d{max(1, round(seconds))}s", "--latency", *options,
                             f"http://127.0.0.1:{port}{case.url}"], stage.client, cpu=stage.client_cpu) as client:
        output = client.wait()
    if "Non-2xx" in output:
        raise AssertionError("wrk met errors:\n" + output)

    def microseconds(share):
        value, unit = re.search(rf"{share}%\s+([\d.]+)(us|ms|s)\b", output).groups()
        return float(value) * {"us": 1, "ms": 1e3, "s": 1e6}[unit]
    requests, elapsed, unit = re.search(r"(\d+) requests in ([\d.]+)(m?s)", output).groups()
    return {"operations": int(requests), "seconds": float(elapsed) / (1000 if unit == "ms" else 1),
            "p50": microseconds(50), "p99": microseconds(99)}


def wrk_close(stage, case, port, seconds):
    return wrk(stage, case, port, seconds, "-H", "Connection: close")


def redis(stage, case, port, seconds):
    count = int(20000 * seconds)
    with Program(stage.net, [program("redis-benchmark"), "-p", port, "-c", "4", "-n", count, "-t", "set,get", "--csv"],
                 stage.client, cpu=stage.client_cpu) as client:
        lines = [line for line in client.wait().splitlines() if line.startswith(('"SET', '"GET'))]
        rows = [line.strip('"').split('","') for line in lines]
    rates = [float(row[1]) for row in rows]
    return {"operations": 2 * count, "seconds": sum(count / rate for rate in rates),
            "p50": statistics.mean(float(row[4]) * 1e3 for row in rows),
            "p99": statistics.mean(float(row[6]) * 1e3 for row in rows)}


def dns(stage, case, port, seconds):
    """dnsperf has no percentiles: the mean, twice."""
    queries = stage.directory / "queries"
    queries.write_text("ns.test A\n")
    with Program(stage.net, [program("dnsperf"), "-m", "tcp", "-s", "127.0.0.1", "-p", port, "-d", queries, "-c", "4",
                             "-l", max(1, round(seconds))], stage.client, cpu=stage.client_cpu) as client:
        output = client.wait()
    mean = float(re.search(r"Average Latency \(s\):\s+([\d.]+)", output)[1]) * 1e6
    return {"operations": int(re.search(r"Queries completed:\s+(\d+)", output)[1]),
            "seconds": float(re.search(r"Run time \(s\):\s+([\d.]+)", output)[1]), "p50": mean, "p99": mean}


def pgbench(stage, case, port, seconds):
    script = stage.directory / "select.sql"
    script.write_text("SELECT generate_series(1, 10);\n")
    with Program(stage.net, [program("pgbench"), "-n", "-h", "127.0.0.1", "-p", port, "-U", "postgres", "-c1", "-T",
                             max(1, round(seconds)), "-f", script, "-l", "--log-prefix", stage.directory / "log",
                             "postgres"], stage.client, cpu=stage.client_cpu) as client:
        client.wait()
    times = []
    for log in stage.directory.glob("log.*"):
        times += [float(line.split()[2]) for line in log.read_text().splitlines()]
        log.unlink()
    times.sort()
    return {"operations": len(times), "seconds": sum(times) / 1e6, "p50": times[len(times) // 2],
            "p99": times[len(times) * 99 // 100]}


def own(stage, case, port, seconds):
    with Program(stage.net, ["/usr/bin/python3", HERE / "program_client.py", case.client, port, seconds], stage.client,
                 cpu=stage.client_cpu, environment=stage.environment() or None) as client:
        return json.loads(next(line for line in client.wait().splitlines() if line.startswith("{")))


CLIENTS = {"wrk": wrk, "wrk-close": wrk_close, "redis": redis, "dns": dns, "pgbench": pgbench}


def load(stage, case, port, seconds):
    return CLIENTS.get(case.client, own)(stage, case, port, seconds)
