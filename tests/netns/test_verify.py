# SPDX-License-Identifier: GPL-2.0-or-later
"""verify: what is protected against the rules of all programs, in a host with Docker's tables."""

import json
import os
import re
import shutil
import sys

import pytest

from fixtures import world_for
from program import ringwall
from world import EXAMPLE, accept_from, with_inbound

make_world = world_for("function")


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


@pytest.mark.parametrize("family", ["ip", "ip6"])
def test_a_port_that_is_written_into_packets_behind_the_rules_is_found(world, family):
    world.use(EXAMPLE)
    world.lab.nft(
        f"table {family} other {{\n"
        "    chain in { type filter hook input priority 10\n"
        "        tcp dport 443 tcp dport set 5432\n    }\n"
        "    chain out { type filter hook output priority -310\n"
        "        tcp sport 5432 tcp sport set 443\n    }\n}\n"
    )
    number = 4 if family == "ip" else 6
    _, client = world.talk.dial("wan", world.address("host", number), 443)
    assert accept_from(world, ("fw", 5432), client)
    broken = verify(world, 10)[0]
    assert broken["answer"] == "refuted", broken
    assert "port 443" in broken["packet"] and "port 5432" in broken["packet"]
    # what it says to do is what helps
    said = ringwall(world.lab, "verify", "--policy", world.file(EXAMPLE), check=False).stdout
    (remedy,) = set(re.findall(r"^  do +(.*)$", said, re.M))
    assert remedy.startswith(f"nft delete rule {family} other in handle") and "rewrites it" in said
    world.lab.run("fw", remedy.split())
    assert [c["answer"] for c in verify(world, 0)] == ["proved", "proved"]
    # what changes neither addresses nor ports does not matter
    world.lab.nft(f"flush chain {family} other in")
    hops = "ip ttl set 9" if family == "ip" else "ip6 hoplimit set 9"
    world.lab.nft(f"add rule {family} other in {hops}")
    assert [c["answer"] for c in verify(world, 0)] == ["proved", "proved"]


def test_who_rewrites_what_the_rules_then_ask_for_is_named(world):
    world.use(EXAMPLE)
    world.lab.nft(other("prerouting", "ip daddr 203.0.113.1 tcp dport 443 tcp dport set 5432", priority=-350))
    undecided = verify(world, 11)[0]
    assert "what chain 'theirs' of table 'other' rewrites in packets" in undecided["hangs-on"]


def test_what_is_rewritten_to_a_port_that_no_claim_is_about_refutes_none(world):
    policy = with_inbound("{ allow: 8080/tcp }")
    policy += "expect:\n  - { deny: ssh, from: internet, in: eth0 }\n"
    world.use(policy)
    world.lab.nft(other("prerouting", "tcp dport 8443 tcp dport set 8080", priority=-350))
    done = ringwall(world.lab, "verify", "--policy", world.file(policy), "--json", check=False)
    answers = [(c["claim"], c["answer"]) for c in json.loads(done.stdout)["claims"]]
    assert len(answers) == 3 and all(answer == "undecided" for _, answer in answers), answers


@pytest.mark.parametrize("line", ["rule add iif eth0 lookup 77", "addr add 203.0.113.1/24 dev docker0"])
def test_where_routes_are_not_known_an_answer_is_given_all_the_same(world, line):
    policy = EXAMPLE + "expect:\n  - { allow: https, from: internet, to: 203.0.113.1 }\n"
    world.use(policy)
    world.lab.ip("fw", line + "\n")
    done = ringwall(world.lab, "verify", "--policy", world.file(policy), "--json", check=False)
    assert done.returncode in (0, 11), done.stdout + done.stderr  # nothing is refuted by a spoofed packet


def test_what_the_proof_does_not_know_is_named(world):
    world.use(EXAMPLE)
    insert(world, "input meta cpu 7 tcp dport 11434 accept")
    undecided = verify(world, 11)[0]
    assert undecided["answer"] == "undecided"
    assert any("cpu" in reason for reason in undecided["hangs-on"]), undecided


# --- expectations ---

WAN = "[203.0.113.0/24, \"2001:db8:ffff::/64\"]"
HOST = "[203.0.113.1, \"2001:db8:ffff::1\"]"
EXPECTING = (
    with_inbound("{ allow: 8443/tcp, limit: 10/minute per source }")
    + f"""
expect:
  - {{ allow: https, to: {HOST} }}
  - {{ allow: ssh, from: lan }}
  - {{ deny: ssh, in: eth0, from: {WAN} }}
  - {{ allow: 8443/tcp }}
  - {{ allow: https, from: containers, section: routed }}
  - {{ deny: any, in: eth0, section: routed }}
"""
)
ALL_PROVED = ["proved"] * 8


def other(hook, rules, kind="filter", priority=0):
    return (
        f"table inet other {{\n    chain theirs {{ type {kind} hook {hook} priority {priority}\n"
        f"        {rules}\n    }}\n}}\n"
    )


def answers(world, code):
    """By what they say: the expectation without its place."""
    claims = verify_text(world, EXPECTING, code)
    return {c["claim"].split(": ", 1)[1]: c for c in claims if c["kind"] in ("never", "always")}


def verify_text(world, text, code, env=None):
    argv = ["verify", "--policy", world.file(text), "--json"]
    done = ringwall(world.lab, *argv, check=False, more=env or {})
    assert done.returncode == code, f"exit {done.returncode}\n{done.stdout}{done.stderr}"
    return json.loads(done.stdout)["claims"]


def find(found, word):
    (claim,) = [c for text, c in found.items() if word in text]
    return claim


def test_what_the_policy_expects_is_proved_beside_docker(world):
    world.use(EXPECTING)
    claims = verify_text(world, EXPECTING, 0)
    assert [c["answer"] for c in claims] == ALL_PROVED
    line = EXPECTING[: EXPECTING.index("{ deny: ssh")].count("\n") + 1
    assert claims[4]["line"] == line and claims[4]["kind"] == "never"
    assert world.reach("wan", "host", 443, 4) == world.reach("wan", "host", 443, 6) == "open"
    assert world.reach("wan", "host", 22, 4) != "open"


def test_what_another_table_drops_refutes_an_allow_and_is_named(world):
    world.use(EXPECTING)
    world.lab.nft(other("input", "ip saddr 203.0.113.0/24 tcp dport 443 reject"))
    claim = find(answers(world, 10), "allow https to")
    assert claim["answer"] == "refuted" and claim["kind"] == "always"
    assert "tcp from 203.0.113." in claim["packet"] and "'other'" in claim["packet"]
    assert claim["way"][-1]["table"] == "other"
    assert world.reach("wan", "host", 443, 4) != "open"
    assert world.reach("wan", "host", 443, 6) == "open"


def test_an_accept_of_another_table_neither_breaks_a_deny_nor_an_allow(world):
    world.use(EXPECTING)
    world.lab.nft(other("input", "accept", priority=-300))
    assert [c["answer"] for c in verify_text(world, EXPECTING, 0)] == ALL_PROVED
    assert world.reach("wan", "host", 22, 4) != "open"


def test_what_is_let_in_refutes_a_deny(world):
    world.use(EXPECTING)
    insert(world, 'inbound iifname "eth0" ip6 saddr 2001:db8:ffff::/64 tcp dport 22 accept')
    claim = find(answers(world, 10), "deny ssh")
    assert claim["answer"] == "refuted" and claim["kind"] == "never"
    assert "from 2001:db8:ffff:" in claim["packet"] and "port 22" in claim["packet"]
    assert world.reach("wan", "host", 22, 6) == "open"


def test_another_programs_translation_to_a_denied_port_refutes_the_deny(world):
    world.use(EXPECTING)
    assert world.reach("wan", "host", 8443, 4) == "refused"
    world.lab.nft(other("prerouting", "tcp dport 8443 redirect to :22", "nat", -100))
    claim = find(answers(world, 10), "deny ssh")
    assert claim["answer"] == "refuted"
    assert "port 8443" in claim["packet"] and "port 22" in claim["packet"]
    assert world.reach("wan", "host", 8443, 4) == "open"


def test_what_is_sent_to_where_no_route_leads_is_not_reachable(world):
    world.use(EXPECTING)
    away = "ip daddr 203.0.113.1 tcp dport 443 dnat ip to 198.51.100.9"
    world.lab.nft(other("prerouting", away, "nat", -101))
    claim = find(answers(world, 10), "allow https to")
    assert claim["answer"] == "refuted"
    assert world.reach("wan", "host", 443, 4) != "open"


def test_what_an_allow_hangs_on_is_named(world):
    world.use(EXPECTING)
    world.lab.nft(
        "table inet other { chain theirs { type filter hook input priority 0\n"
        "meta cpu 7 tcp dport 443 drop\n}\n}\n"
        "table netdev early { chain first { type filter hook ingress device eth1 priority 0\n"
        "tcp dport 22 drop\n}\n"
        "chain second { type filter hook ingress device p-c1 priority 0\ntcp dport 443 drop\n}\n}\n"
    )
    found = answers(world, 10)
    https, ssh = find(found, "allow https to"), find(found, "allow ssh")
    assert https["answer"] == "undecided" and ssh["answer"] == "refuted"
    assert any("cpu" in reason for reason in https["hangs-on"])
    # (what comes in by a bridge's port is not told from what else the bridge hands over)
    assert any("'second'" in reason and "'early'" in reason for reason in https["hangs-on"])
    assert not any("'first'" in reason for reason in https["hangs-on"])
    assert ssh["way"][-1]["table"] == "early"
    assert world.reach("lan", "host:eth1", 22, 4) != "open"
    assert find(found, "deny ssh")["answer"] == "proved"


def chain_of(hook, kind, priority, rule, name="theirs"):
    return f"chain {name} {{ type {kind} hook {hook} priority {priority}; {rule}; }}\n"


def test_chains_that_translate_what_has_come_in_can_give_it_no_other_source_in_time(world):
    """They run behind our own, whatever priority they name; and only sources can be translated there."""
    world.use(EXPECTING)
    for priority in (-199, 100):
        trusted = chain_of("input", "nat", priority, "tcp dport 22 snat ip to 10.40.10.2")
        world.lab.nft(f"table ip other {{ {trusted} }}")
        assert find(answers(world, 0), "deny ssh")["answer"] == "proved"
        assert world.reach("wan", "host", 22, 4) != "open"
        assert world.reach("lan", "host:eth1", 22, 4) == world.reach("wan", "host", 443, 4) == "open"
        world.lab.nft("delete table ip other")
    for rule in ("tcp dport 443 redirect to :22", "tcp dport 443 dnat to 127.0.0.1", "masquerade"):
        table = f"table ip other {{ {chain_of('input', 'nat', 100, rule)} }}"
        assert world.lab.run("fw", ["nft", table], check=False).returncode != 0, rule


def test_what_they_refuse_or_what_stands_behind_them_leaves_an_allow_open(world):
    world.use(EXPECTING)
    snat = chain_of("input", "nat", 100, "udp dport 9 snat ip to 10.9.9.9")
    refusing = {
        "theirs": chain_of("input", "nat", 100, "tcp dport 443 reject"),
        "late": snat + chain_of("input", "filter", 150, "tcp dport 443 reject", "late"),
    }
    for name, chains in refusing.items():
        world.lab.nft(f"table inet other {{ {chains} }}")
        found = answers(world, 10)
        assert find(found, "allow https to")["answer"] == "refuted"
        assert find(found, "deny ssh")["answer"] == "proved"
        (reason,) = find(found, "allow ssh")["hangs-on"]
        assert reason == f"what chain '{name}' of table 'other' refuses"
        assert world.reach("wan", "host", 443, 4) != "open"
        world.lab.nft("delete table inet other")


def test_what_another_table_forwards_not_refutes_an_allow_of_routed(world):
    world.use(EXPECTING)
    world.lab.nft(other("forward", 'iifname "docker0" meta nfproto ipv4 reject'))
    found = answers(world, 10)
    assert find(found, "allow https from containers")["answer"] == "refuted"
    assert find(found, "allow https to")["answer"] == "proved"
    assert world.reach("c1", "lan", 443, 4) != "open"
    assert world.reach("c1", "lan", 443, 6) == "open"


# --- the administrator's way ---


def way_in(world, peer, local, code=None):
    env = {"SSH_CONNECTION": f"{peer} 40000 {local} 22"}
    argv = ["verify", "--policy", world.file(EXAMPLE), "--json"]
    done = ringwall(world.lab, *argv, check=False, more=env)
    (claim,) = [c for c in json.loads(done.stdout)["claims"] if c["kind"] == "way-in"]
    assert claim["claim"] == f"your way in: {peer} → 22"
    return claim


def test_your_way_in_is_asked_of_all_tables(world):
    world.use(EXAMPLE)
    for peer, local in (("10.40.10.2", "10.40.10.1"), ("fd00:40:10::2", "fd00:40:10::1")):
        assert way_in(world, peer, local)["answer"] == "proved"
    refused = way_in(world, "203.0.113.2", "203.0.113.1")
    assert refused["answer"] == "refuted" and refused["way"][-1]["table"] == "ringwall"
    assert world.reach("lan", "host:eth1", 22, 4) == "open"
    world.lab.nft(other("input", "ip saddr 10.40.10.0/24 tcp dport 22 reject"))
    refused = way_in(world, "10.40.10.2", "10.40.10.1")
    assert refused["answer"] == "refuted" and refused["way"][-1]["table"] == "other"
    assert world.reach("lan", "host:eth1", 22, 4) != "open"
    assert way_in(world, "fd00:40:10::2", "fd00:40:10::1")["answer"] == "proved"


def test_the_limits_of_the_policy_leave_your_way_in_proved_those_of_others_do_not(world):
    rule = "{ allow: ssh, from: [lan, vpn], limit: 10/minute per source, connections: 9 per source }"
    world.use(EXAMPLE.replace("{ allow: ssh, from: [lan, vpn] }", rule))
    assert way_in(world, "10.40.10.2", "10.40.10.1")["answer"] == "proved"
    world.lab.nft(other("input", "tcp dport 22 limit rate over 9/second drop"))
    claim = way_in(world, "10.40.10.2", "10.40.10.1")
    assert claim["answer"] == "undecided" and "another program's limit" in claim["hangs-on"][0]


def test_a_way_in_that_another_program_sends_elsewhere_is_none(world):
    world.use(EXAMPLE.replace("[lan, vpn] }", "[lan, vpn] }\n  - { allow: https, from: lan }"))
    world.lab.nft(other("prerouting", "tcp dport 22 dnat ip to 172.17.0.2:80", "nat", -101))
    assert way_in(world, "10.40.10.2", "10.40.10.1")["answer"] == "refuted"


def test_without_an_ssh_connection_to_here_there_is_no_way_in(world):
    world.use(EXAMPLE)
    for env in ({"SSH_CONNECTION": "192.0.2.1 40000 192.0.2.2 22"}, {"SSH_CONNECTION": "nonsense"}):
        assert all(c["kind"] != "way-in" for c in verify_text(world, EXAMPLE, 0, env))


# --- what lies beside nftables ---

RELAY = """
import socket, sys
port, target = (int(sys.argv[sys.argv.index(o) + 1]) for o in ("-host-port", "-container-port"))
server = socket.create_server(("0.0.0.0", port))
print("ready", flush=True)
while True:
    came, _ = server.accept()
    went = socket.create_connection(("127.0.0.1", target))
    came.sendall(went.recv(1) or b"")
    came.close()
    went.close()
"""


def relay(world, tmp_path, port, target):
    """What Docker's userland proxy does, under its name."""
    program = tmp_path / "docker-proxy"
    if not program.exists():
        shutil.copy(os.path.realpath(sys.executable), program)
    (tmp_path / "relay.py").write_text(RELAY)
    argv = [str(program), str(tmp_path / "relay.py"), "-proto", "tcp"]
    argv += ["-host-port", str(port), "-container-port", str(target)]
    child = world.lab.popen(
        "fw", argv, stdout=-1, text=True, env={**os.environ, "PYTHONHOME": sys.base_prefix}
    )
    assert child.stdout.readline() == "ready\n"
    return child


def test_a_relay_to_what_is_protected_refutes_it_if_the_rules_let_anybody_reach_it(world, tmp_path):
    world.use(EXPECTING)
    relay(world, tmp_path, 9443, 11434)
    assert all(c["answer"] == "proved" for c in verify_text(world, EXPECTING, 0))
    assert world.reach("wan", "host", 9443, 4) != "open"
    relay(world, tmp_path, 8443, 11434)
    broken, whole = verify_text(world, EXPECTING, 10)[:2]
    assert broken["answer"] == "refuted" and whole["answer"] == "proved"
    assert "docker-proxy" in broken["packet"] and "port 8443" in broken["packet"]
    assert world.reach("wan", "host", 8443, 4) == "open"


def test_what_gets_packets_that_no_rule_sees_leaves_a_claim_undecided(world):
    world.use(EXPECTING)
    world.lab.run("fw", "ip link add link eth0 name mv0 type macvlan mode bridge".split())
    world.lab.run("fw", "ip link set mv0 netns c3".split())
    world.lab.popen("c3", ["sleep", "60"])  # somebody has to be there
    claims = verify_text(world, EXPECTING, 11)
    assert [c["answer"] for c in claims[:2]] == ["undecided", "undecided"]
    assert any("macvlan" in reason for reason in claims[0]["hangs-on"]), claims[0]
    # to containers alone: this host's own ports are not touched
    assert all(c["answer"] == "proved" for c in claims if "ssh" in c["claim"])
