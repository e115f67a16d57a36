# SPDX-License-Identifier: GPL-2.0-or-later
"""verify: what is protected against the rules of all programs, in a host with Docker's tables."""

import json

import pytest

from program import ringwall
from world import EXAMPLE, World


@pytest.fixture(name="world")
def make_world(tmp_path):
    w = World(tmp_path)
    yield w
    w.close()


def verify(world, code):
    done = ringwall(world.lab, "verify", "--policy", world.file(EXAMPLE), "--json", check=False)
    assert done.returncode == code, f"exit {done.returncode}\n{done.stdout}{done.stderr}"
    return json.loads(done.stdout)["claims"]


def insert(world, rule):
    world.lab.run("fw", ["nft", "insert", "rule", "inet", "ringwall", *rule.split()])
    world.forget()


def test_without_a_policy_in_force_every_claim_is_refuted_with_a_packet(world):
    claims = verify(world, 10)
    assert [c["answer"] for c in claims] == ["refuted", "refuted"]
    assert all(c["packet"].startswith("tcp from ") for c in claims)
    assert world.reach("wan", "host", 11434, 4) == "open"


def test_a_policy_in_force_is_proved_beside_docker_and_an_accept_all(world):
    world.use(EXAMPLE)
    world.lab.nft(
        "table inet other {\n"
        "    chain in { type filter hook input priority -300; policy accept\n"
        "        accept\n    }\n}\n"
    )
    assert [c["answer"] for c in verify(world, 0)] == ["proved", "proved"]


def test_what_another_program_lets_in_is_refuted_and_really_comes_in(world):
    world.use(EXAMPLE)
    insert(world, "inbound ip saddr 203.0.113.0/24 tcp dport 11434 accept")
    broken, whole = verify(world, 10)
    assert broken["answer"] == "refuted" and whole["answer"] == "proved"
    assert "from 203.0.113." in broken["packet"] and "port 11434" in broken["packet"]
    assert broken["way"][-1]["chain"] == "inbound" and broken["way"][-1]["table"] == "ringwall"


def test_a_translation_to_a_protected_port_counts_by_where_it_ends(world):
    world.use(EXAMPLE)
    # the chain of what is translated no longer asks for what is protected
    insert(world, "inbound-dialled meta l4proto tcp ct original proto-dst 443 accept")
    broken = verify(world, 10)[0]
    assert broken["answer"] == "refuted"
    assert "port 443" in broken["packet"] and "which ends at " in broken["packet"]
    assert "port 5678" in broken["packet"]


def test_what_the_proof_does_not_know_is_named(world):
    world.use(EXAMPLE)
    insert(world, "input meta cpu 7 tcp dport 11434 accept")
    undecided = verify(world, 11)[0]
    assert undecided["answer"] == "undecided"
    assert any("cpu" in reason for reason in undecided["hangs-on"]), undecided
