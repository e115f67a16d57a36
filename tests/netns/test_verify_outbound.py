# SPDX-License-Identifier: GPL-2.0-or-later
"""verify: what the policy expects of outbound, against the rules of all programs; and real sockets."""

import json

import pytest

from program import ringwall
from world import World

WAN = '[203.0.113.0/24, "2001:db8:ffff::/64"]'
NOBODY = 65534
POLICY = f"""
ringwall: 1
outbound:
  default: drop
  rules:
    - {{ allow: https }}
    - {{ deny: https, to: "fd00:dead::/32" }}
    - {{ allow: 22/tcp, user: {NOBODY} }}
expect:
  - {{ allow: https, to: {WAN}, section: outbound }}
  - {{ deny: 80/tcp, section: outbound }}
  - {{ deny: 25/tcp, to: {WAN}, section: outbound }}
"""
DIAL = """
import socket, sys
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET)
s.settimeout(2)
try:
    s.connect((sys.argv[1], int(sys.argv[2])))
    print("open")
except OSError as e:
    print(e)
"""


@pytest.fixture(scope="module", name="host")
def make_world(tmp_path_factory):
    w = World(tmp_path_factory.mktemp("policy"), foreign=None)
    yield w
    w.close()


@pytest.fixture(name="world")
def clean(host):
    host.lab.nft("flush ruleset")
    host.forget()
    host.use(POLICY)
    host.forget()
    return host


def verify(world, code):
    """The answers: to the allow, the deny of 80 and that of 25."""
    argv = ["verify", "--policy", world.file(POLICY), "--json"]
    done = ringwall(world.lab, *argv, check=False)
    assert done.returncode == code, f"exit {done.returncode}\n{done.stdout}{done.stderr}"
    return json.loads(done.stdout)["claims"]


def said(claims):
    return [c["answer"] for c in claims]


def other(hook, rules, kind="filter", priority=0):
    return (
        f"table inet other {{\n    chain theirs {{ type {kind} hook {hook} priority {priority}\n"
        f"        {rules}\n    }}\n}}\n"
    )


def dial_as(world, user, port):
    argv = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]
    argv += ["/usr/bin/python3", "-c", DIAL, world.address("wan", 4), str(port)]
    return world.lab.run("fw", argv).stdout.strip()


def test_what_the_policy_expects_is_proved_of_all_that_is_sent(world):
    world.lab.nft(other("output", "accept", priority=-300))
    claims = verify(world, 0)
    assert said(claims) == ["proved"] * 3
    assert [c["kind"] for c in claims] == ["always", "never", "never"]
    assert world.reach("fw", "wan", 443, 4) == world.reach("fw", "wan", 443, 6) == "open"
    assert world.reach("fw", "wan", 80, 4) == "dropped"


def test_without_a_policy_in_force_a_deny_is_refuted_with_a_packet(world):
    world.lab.nft("flush ruleset")
    claims = verify(world, 10)
    assert said(claims) == ["proved", "refuted", "refuted"]
    assert claims[1]["packet"].startswith("tcp from ") and "port 80" in claims[1]["packet"]
    assert world.reach("fw", "wan", 80, 4) == "open"


def test_what_another_table_drops_refutes_an_allow_and_is_named(world):
    world.lab.nft(other("postrouting", "meta nfproto ipv4 tcp dport 443 drop"))
    claims = verify(world, 10)
    assert said(claims) == ["refuted", "proved", "proved"]
    assert "'other'" in claims[0]["packet"] and claims[0]["way"][-1]["table"] == "other"
    assert world.reach("fw", "wan", 443, 4) != "open"
    assert world.reach("fw", "wan", 443, 6) == "open"


def test_a_hole_for_one_user_refutes_a_deny_and_names_the_owner(world):
    rule = f"outbound meta skuid {NOBODY} meta skgid {NOBODY} tcp dport 80 accept"
    world.lab.run("fw", ["nft", "insert", "rule", "inet", "ringwall", *rule.split()])
    claims = verify(world, 10)
    assert said(claims) == ["proved", "refuted", "proved"]
    assert f"sent by user {NOBODY}, group {NOBODY}" in claims[1]["packet"]
    assert dial_as(world, NOBODY, 80) == "open"
    assert dial_as(world, 0, 80) != "open"


def test_an_allow_that_one_range_of_users_has_not_is_refuted(world):
    world.lab.nft(other("output", "meta skuid 1000-2000 tcp dport 443 drop"))
    claims = verify(world, 10)
    assert said(claims) == ["refuted", "proved", "proved"]
    assert "sent by user 1000" in claims[0]["packet"]
    assert dial_as(world, 1000, 443) != "open"
    assert dial_as(world, 999, 443) == "open"


def test_what_is_sent_elsewhere_counts_as_it_was_opened_and_as_it_leaves(world):
    away = f"tcp dport 80 ip daddr 203.0.113.0/24 dnat ip to {world.address('wan', 4)}:443"
    world.lab.nft(other("output", away, "nat", -100))
    claims = verify(world, 10)
    assert said(claims) == ["proved", "refuted", "proved"]
    assert "port 80" in claims[1]["packet"] and "port 443" in claims[1]["packet"]
    assert world.reach("fw", "wan", 80, 4) == "open"
    assert world.reach("fw", "wan", 80, 6) == "dropped"


def test_what_leads_an_allow_to_where_it_is_refused_refutes_it(world):
    away = f"tcp dport 443 ip daddr 203.0.113.0/24 dnat ip to {world.address('wan', 4)}:80"
    world.lab.nft(other("output", away, "nat", -100))
    claims = verify(world, 10)
    assert said(claims) == ["refuted", "proved", "proved"]
    assert world.reach("fw", "wan", 443, 4) == "dropped"


def test_what_comes_back_to_this_host_itself_does_not_leave_it(world):
    world.lab.nft(other("output", "tcp dport 25 redirect to :22", "nat", -100))
    claims = verify(world, 0)
    assert said(claims) == ["proved"] * 3


def test_what_an_answer_hangs_on_is_named(world):
    world.lab.nft(other("output", "meta cgroup 7 tcp dport 443 drop"))
    claims = verify(world, 11)
    assert said(claims) == ["undecided", "proved", "proved"]
    assert any("cgroup" in reason for reason in claims[0]["hangs-on"])
