# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""What most tests stand on: a namespace, a cgroup that this process and its servers are in, and an agent that manages
it."""
import contextlib
import time

from agent import Agent
from cgroup import Cgroup
from netns import Net
from ports import Stream, congestion, pattern
from tap import Skip, check, equal

LEARN_S = 10
# A Python program is slow and may be preempted within a burst; a test that looks at holds gives it time.
PATIENT = "[policy all]\nmode = autocork\nmax_hold = 50ms\nburst_gap = 50ms\npacket_worth = 10ms\nadopt = yes\n"


class World:
    def __init__(self, stack, policy, net_congestion):
        self.group = stack.enter_context(Cgroup())
        self.net = stack.enter_context(Net(net_congestion))
        self.group.enter()
        self.agent = stack.enter_context(Agent(self.group, policy))
        if not self.agent.feature("wrapper " + net_congestion):
            raise Skip(f"this kernel has no wrapper for {net_congestion}")
        self.servers = self.group.child("servers")
        self.clients = self.group.child("clients")

    def learn(self, stream, writes=5, size=20, limit=2000):
        """Exchanges until whole requests leave as one segment each. Requests are fast, and a busy machine lets the agent
        wait: it has some time, too."""
        done, end = 0, time.monotonic() + LEARN_S
        while done < limit or time.monotonic() < end:
            segments = stream.exchange(writes, size, rounds=10)
            done += 10
            if segments <= 1.1:
                return done
        raise AssertionError(f"after {done} requests of {writes} writes still {segments} segments each "
                             f"({congestion(stream.client)})")

    def hold(self, stream, writes=3, size=20):
        """Writes less than the flow has learned, so that something stays held. Returns the bytes written."""
        for i in range(writes):
            stream.client.sendall(pattern(i * size, size))
        return pattern(0, writes * size)

    def misses_below(self, share, least_bursts=1):
        totals = self.agent.totals()
        check(totals["bursts"] >= least_bursts, f"only {totals['bursts']} bursts were seen")
        missed = totals["misses"] / max(1, totals["bursts"])
        check(missed <= share, f"{totals['misses']} misses in {totals['bursts']} bursts ({missed:.4f} > {share})")

    def give_back(self, *streams):
        """Stops the agent: every flow that is alive has its own congestion control back, and still works."""
        self.agent.stop()
        equal(self.net.wrapped(), 0, "flows on a wrapper after the stop")
        for stream in streams:
            equal(congestion(stream.client), self.net.congestion, "the client's congestion control after the stop")
            equal(congestion(stream.server), self.net.congestion, "the server's congestion control after the stop")
            stream.exchange(rounds=3)


@contextlib.contextmanager
def world(policy=PATIENT, congestion_control="cubic"):
    with contextlib.ExitStack() as stack:
        yield World(stack, policy, congestion_control)
