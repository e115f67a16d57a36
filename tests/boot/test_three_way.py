# SPDX-License-Identifier: GPL-2.0-or-later
"""The three-way property of tests/netns, on a kernel that compares a source with the routes in
prerouting alone and whose namespaces lack a few settings."""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
TESTS = os.path.dirname(HERE)
sys.path[:0] = [os.path.join(TESTS, "netns"), os.path.join(TESTS, "oracle")]

import three_way  # noqa: E402
from lab import Lab  # noqa: E402

# Before 6.12 or so they were the machine's own, not a namespace's: a thousand errors a second.
OF_THE_MACHINE = {"net/ipv4/icmp_msgs_per_sec", "net/ipv4/icmp_msgs_burst"}


class ThreeWay(three_way.ThreeWay):
    def _balance(self, probes, answers, seen, refused):
        """What the kernel refuses by itself it refuses behind prerouting: the ruleset may have
        counted it before."""
        missing = sum(1 for p in probes if p.number not in seen and not p.refused)
        by_kernel = sum(1 for p in probes if p.refused)
        early = min(max(sum(refused) - missing, 0), by_kernel)
        super()._balance(probes, answers, seen, (refused[0] - early, refused[1]))


def test_oracle_evaluator_and_an_old_kernel_agree_on_every_packet(monkeypatch, tmp_path):
    write = Lab._write

    def write_if_there(path, value):
        if path not in OF_THE_MACHINE or os.path.exists(f"/proc/sys/{path}"):
            write(path, value)

    monkeypatch.setattr(Lab, "_write", staticmethod(write_if_there))
    monkeypatch.setattr(three_way, "ThreeWay", ThreeWay)
    seed, policies, packets = (int(os.environ[name]) for name in ("SEED", "POLICIES", "COUNT"))
    tally, _ = three_way.run(seed, policies, packets, tmp_path)
    print(f"seed {seed}: {tally}")
    assert not tally.wrong, "\n".join(tally.wrong)
    assert tally.policies == policies and tally.packets >= packets
