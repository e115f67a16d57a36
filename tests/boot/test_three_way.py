# SPDX-License-Identifier: GPL-2.0-or-later
"""The three-way property of tests/netns on a kernel whose namespaces lack a few settings."""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
TESTS = os.path.dirname(HERE)
sys.path[:0] = [os.path.join(TESTS, "netns"), os.path.join(TESTS, "oracle")]

import three_way  # noqa: E402
from lab import Lab  # noqa: E402

# Before 6.12 or so they were the machine's own, not a namespace's: a thousand errors a second.
OF_THE_MACHINE = {"net/ipv4/icmp_msgs_per_sec", "net/ipv4/icmp_msgs_burst"}


def test_oracle_evaluator_and_an_old_kernel_agree_on_every_packet(monkeypatch, tmp_path):
    write = Lab._write

    def write_if_there(path, value):
        if path not in OF_THE_MACHINE or os.path.exists(f"/proc/sys/{path}"):
            write(path, value)

    monkeypatch.setattr(Lab, "_write", staticmethod(write_if_there))
    seed, policies, packets = (int(os.environ[name]) for name in ("SEED", "POLICIES", "COUNT"))
    tally, _ = three_way.run(seed, policies, packets, tmp_path)
    print(f"seed {seed}: {tally}")
    assert not tally.wrong, "\n".join(tally.wrong)
    assert tally.policies == policies and tally.packets >= packets
