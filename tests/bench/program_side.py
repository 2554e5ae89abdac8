# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""A program of the table on a stage of its own, started and warm: what a round of its client costs, per operation."""
import contextlib
import pathlib
import tempfile

import bpf_profile
import harness
from program_load import WARM, load

# Within its budget the agent would look for one second in 16 or more: a round may have none of them.
EXACT = "[agent]\nbudget = off\n"


def agent_counts(agent):
    """Totals since the agent's start: bursts, misses, and what `advise` says would be, or is, saved."""
    services = agent.services()
    advised = agent.ask("advise", "--all")
    counts = {name: sum(row[name] for row in services) for name in ("bursts", "misses")}
    counts["saved"] = sum(row["packets_per_second"] * row["seconds"] for row in advised)
    return counts, advised


def sent_segments(net):
    """With data or a FIN, of all connections, also those that an agent has no reason to follow; none sent again. Less
    the two FINs of each: where a round has few operations, they would count as much as what is saved."""
    return net.counters("TcpExt")["TCPOrigDataSent"] - 2 * net.counters()["ActiveOpens"]


class Side:
    def __init__(self, case, stage, port):
        self.case, self.stage, self.port = case, stage, port

    def round(self, counted=False):
        """`counted`: while the kernel counts what BPF programs cost. Its clock slows them: times are not to be used."""
        stage, cost, profile = self.stage, {}, []
        before = agent_counts(stage.agent)[0] if stage.agent else None
        sent = sent_segments(stage.net)
        with stage.count(cost), bpf_profile.counted(profile) if counted else contextlib.nullcontext():
            figures = load(stage, self.case, self.port, stage.seconds)
        operations = figures["operations"]
        result = {"segments": cost["segments"] / operations, "sent": (sent_segments(stage.net) - sent) / operations,
                  "rate": operations / figures["seconds"], "p50": figures["p50"], "p99": figures["p99"],
                  "cpu_us": (cost["server_cpu"] + cost["client_cpu"]) / operations,
                  "bpf_runs": sum(runs for _, runs, _, _ in profile) / operations,
                  "bpf_us": sum(spent for spent, _, _, _ in profile) / 1000 / operations}
        if stage.agent:
            after, advised = agent_counts(stage.agent)
            for name in before:
                result["data_" + name] = after[name] - before[name]
            result["operations"], result["advised"] = operations, advised
        return result


@contextlib.contextmanager
def side(case, mode, plan):
    """`mode`: of harness.MODES. An agent sees this side's cgroup only, so that another side may stand beside it."""
    policy = harness.MODES[mode]
    if mode == "observed":
        policy += EXACT
    with harness.stage(mode, plan, None, policy) as stage, contextlib.ExitStack() as stack:
        stage.directory = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="autocork-bench-")))
        port = case.serve(stage, stack)
        load(stage, case, port, WARM)
        yield Side(case, stage, port)


def pairs(case, plan):
    """Both sides stand all the time and take turns, so that nothing is started between two rounds, and a machine that
    changes its speed every second meets both: [{"unmanaged": figures, "managed": figures}]."""
    history = []
    with side(case, "unmanaged", plan) as unmanaged, side(case, "managed", plan) as managed:
        turns = {"unmanaged": unmanaged, "managed": managed}
        for number in range(plan.rounds):
            order = list(turns) if number % 2 == 0 else list(reversed(turns))
            history.append({mode: turns[mode].round() for mode in order})
    return history


def once(case, mode, plan):
    """One round: of the limit; of one that only observes, the third, as a program with few responses per second is not
    known before; or "counted": managed, its BPF programs counted."""
    counted = mode == "counted"
    with side(case, "managed" if counted else mode, plan) as alone:
        if mode == "observed":
            alone.round()
            alone.round()
        return alone.round(counted)
