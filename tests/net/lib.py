# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""What the tests with real programs share. Python's standard library only; root; kernel state is the test's own and
goes with it."""
from agent import LOCK, MANAGE, OBSERVE, OFF, Agent, build, control, no_agent
from cgroup import Cgroup
from netns import Net, Pair
from ports import Stream, congestion, pattern, seen_congestion, tcp_info
from programs import Program, forked, free_port, program, wait_port
from tap import Skip, check, equal, kernel_log, main, wait_for
from world import LEARN_S, PATIENT, World, world
