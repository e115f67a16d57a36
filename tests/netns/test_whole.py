# SPDX-License-Identifier: GPL-2.0-or-later
"""What the evaluator of all tables says of a packet is what the kernel does with it: rulesets of
other programs, random ones and those of Docker and ufw; see whole.py."""

import os
import time

import foreign_xt
import whole
from program import DATADIR
from world import DOCKER, EXAMPLE

RULESETS, PACKETS = 20, 16000


def test_evaluator_and_kernel_agree_on_random_rulesets_of_other_programs(request):
    seed = request.config.getoption("--seed") or int(time.time())
    tally = whole.run(seed, RULESETS, PACKETS)
    print(f"seed {seed}: {tally}")
    assert not tally.wrong, "\n".join(tally.wrong[:20])
    assert tally.rulesets == RULESETS and tally.packets == PACKETS
    # they are worth something only if packets went every way, and most outcomes are certain (a
    # single ruleset may leave half of its packets open)
    assert tally.sure > 0.9 * tally.packets
    assert {"here", "nowhere", "eth0", "docker0"} <= set(tally.ends)
    assert tally.ends["nowhere"] < 0.8 * tally.packets


def test_evaluator_and_kernel_agree_on_rules_as_docker_and_ufw_make_them(request):
    seed = request.config.getoption("--seed") or int(time.time())
    texts = [
        [(4, foreign_xt.DOCKER)],
        [(4, foreign_xt.UFW), (6, foreign_xt.UFW6)],
        [(4, foreign_xt.UFW + foreign_xt.DOCKER.replace("*filter", "*security").split("*security")[0])],
    ]
    tally = whole.run_texts(seed, texts, 2500)
    print(f"seed {seed}: {tally}")
    assert not tally.wrong, "\n".join(tally.wrong[:20])
    assert tally.packets == 7500 and tally.sure > 0.9 * tally.packets
    # (this kernel has no sets of ipset: that line is the only one that may go)
    assert tally.refused_lines <= 1


def test_evaluator_and_kernel_agree_on_ringwalls_own_table(request, tmp_path):
    seed = request.config.getoption("--seed") or int(time.time())
    path = tmp_path / "policy.yaml"
    path.write_text(EXAMPLE, encoding="utf-8")
    ready = os.path.join(DATADIR, "docker-compose-behind-proxy.yaml")
    tally = whole.run_policies(seed, [str(path), ready], 4000, DOCKER)
    print(f"seed {seed}: {tally}")
    assert not tally.wrong, "\n".join(tally.wrong[:20])
    assert tally.packets == 8000 and {"here", "nowhere"} <= set(tally.ends)
