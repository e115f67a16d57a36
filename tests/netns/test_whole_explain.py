# SPDX-License-Identifier: GPL-2.0-or-later
"""`ringwall explain --live` beside other programs' tables: the answer is that of all of them."""

import json

import pytest
from program import explain, ringwall
from world import EXAMPLE

SSH = "tcp from 10.40.10.2 to 10.40.10.1:22 in eth1"
OTHERS = """
table ip filter {
    chain LATE {
        tcp dport 22 counter drop
    }
    chain INPUT { type filter hook input priority 0; policy accept
        iifname "eth1" jump LATE
    }
}
"""


@pytest.fixture(name="loaded")
def make_loaded(world):
    world.use(EXAMPLE)
    yield world
    world.lab.run("fw", ["nft", "delete", "table", "ip", "filter"], check=False)


def test_another_programs_drop_is_the_answer_and_its_rule_is_named(loaded):
    assert explain(loaded.lab, [SSH], "--live")[0]["verdict"] == "accept"
    loaded.lab.nft(OTHERS)
    answer = explain(loaded.lab, [SSH], "--live")[0]
    assert answer["verdict"] == "drop" and answer["end"] == "dropped"
    last = answer["tables"][-1]
    assert (last["family"], last["table"], last["chain"], last["does"]) == (
        "ip",
        "filter",
        "LATE",
        "drop",
    )
    assert last["owner"] == "iptables"
    listing = loaded.lab.run("fw", ["nft", "-a", "list", "chain", "ip", "filter", "LATE"]).stdout
    assert f"# handle {last['handle']}" in listing
    said = ringwall(loaded.lab, "explain", SSH, "--live").stdout
    assert "REFUSED: dropped by another program's rules" in said
    assert f"  by        ip filter LATE, handle {last['handle']}  (iptables)\n" in said
    assert "  ringwall  lets it through: " in said
    # and so it is
    assert loaded.reach("lan", "host:eth1", 22, 4) == "silence"


def test_a_limit_of_another_program_leaves_it_open(loaded):
    loaded.lab.nft(OTHERS.replace("counter drop", "limit rate over 10/second drop"))
    answer = explain(loaded.lab, [SSH], "--live")[0]
    # within the limit it passes: `over` leaves the rule then
    assert answer["open"] is True
    said = ringwall(loaded.lab, "explain", SSH, "--live").stdout
    assert "it may end otherwise" in said


def test_an_answer_of_another_program_is_said_to_be_one(loaded):
    loaded.lab.nft(OTHERS.replace("counter drop", "reject with tcp reset"))
    answer = explain(loaded.lab, [SSH], "--live")[0]
    assert answer["verdict"] == "reject" and answer["tables"][-1]["does"] == "reject"
    said = ringwall(loaded.lab, "explain", SSH, "--live").stdout
    assert "REFUSED: rejected with an answer, by another program's rules" in said
    assert "  end       rejected with an answer\n" in said and "dropped" not in said


def test_iptables_reject_is_an_answer_too(loaded):
    loaded.lab.run("fw", ["iptables-nft", "-A", "INPUT", "-p", "tcp", "--dport", "22", "-j", "REJECT"])
    answer = explain(loaded.lab, [SSH], "--live")[0]
    assert answer["verdict"] == "reject" and answer["tables"][-1]["does"] == "reject"
    assert loaded.reach("lan", "host:eth1", 22, 4) == "refused"


def test_an_address_that_is_this_hosts_own_is_not_doubted(loaded):
    said = ringwall(loaded.lab, "explain", SSH, "--live").stdout
    assert "this host's own" not in said
    other = ringwall(loaded.lab, "explain", SSH.replace("to 10.40.10.1:", "to 192.0.2.77:"), "--live").stdout
    assert "is taken for this host's own" in other


def test_a_published_port_is_followed_to_where_another_program_sends_it(loaded):
    question = "tcp from 203.0.113.2 to 203.0.113.1:8080 in eth0"
    answer = explain(loaded.lab, [question], "--live")[0]
    does = [s["does"] for s in answer["tables"]]
    assert "dnat" in does
    said = ringwall(loaded.lab, "explain", question, "--live").stdout
    assert "foreign_nat" in said and "(Docker)" in said


def test_where_nobody_else_has_rules_nothing_is_added(loaded):
    loaded.lab.run("fw", ["nft", "delete", "table", "ip", "foreign_nat"])
    loaded.lab.run("fw", ["nft", "delete", "table", "ip6", "foreign_nat"])
    try:
        answer = explain(loaded.lab, [SSH], "--live")[0]
        assert answer["verdict"] == "accept" and "tables" not in answer
        assert "tables" not in ringwall(loaded.lab, "explain", SSH, "--live").stdout
        assert json.dumps(answer)
    finally:
        from world import DOCKER

        loaded.lab.nft(DOCKER)
