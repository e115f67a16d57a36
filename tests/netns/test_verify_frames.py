# SPDX-License-Identifier: GPL-2.0-or-later
"""verify beside what is no chain of IP's: chains of devices and bridges, copies of packets, and rules of
policy routing. What cannot matter leaves the claims proved; where something could come in, they are not."""

import json
import socket

import pytest
from host import TCP, Packet, address
from lab import wait_until
from packets import number_of
from program import explain, ringwall
from world import EXAMPLE

EXPECTING = (
    EXAMPLE
    + """
expect:
  - { allow: https, from: [203.0.113.0/24, "2001:db8:ffff::/64"], to: [203.0.113.1, "2001:db8:ffff::1"] }
  - { deny: ssh, in: eth0, from: [203.0.113.0/24, "2001:db8:ffff::/64"] }
  - { allow: https, from: containers, section: routed }
"""
)
NAMES = ("ollama", "grafana", "allow https", "deny ssh", "allow routed")
P, R, U = "proved", "refuted", "undecided"


@pytest.fixture(scope="module", name="world")
def make_world(world):
    world.use(EXPECTING)
    return world


@pytest.fixture(autouse=True)
def clean(world, tidy):
    yield
    for family in ("ip", "ip6", "netdev", "bridge"):
        world.lab.run("fw", ["nft", "delete", "table", family, "other"], check=False)


def verify(world, **expected):
    """The claims by name; expected: those that are not proved."""
    done = ringwall(world.lab, "verify", "--policy", world.file(EXPECTING), "--json", check=False)
    assert done.returncode in (0, 10, 11), done.stderr
    claims = dict(zip(NAMES, json.loads(done.stdout)["claims"]))
    answers = {name: claim["answer"] for name, claim in claims.items()}
    wanted = {name: expected.get(name.replace(" ", "_"), P) for name in NAMES}
    assert answers == wanted, claims
    return claims


def hangs_on(claim, *words):
    assert any(all(w in reason for w in words) for reason in claim["hangs-on"]), claim


def chain(family, hook, rules, priority=0):
    return (
        f"table {family} other {{\n  chain theirs {{ type filter hook {hook} priority {priority}\n"
        f"    {rules}\n  }}\n}}\n"
    )


def copy_arrives(world, ns, to, port):
    """Whether a packet that ringwall refuses is seen in the namespace all the same."""
    with world.lab.inside(ns):
        s = world.talk.keep(socket.socket(socket.AF_INET, socket.SOCK_RAW, TCP))
    s.setblocking(False)
    p = Packet(4, address("203.0.113.2")[1], address(to)[1], TCP, 49152, port)
    number = world.craft("wan", p)

    def seen():
        try:
            return number_of(s.recv(4096)) == number
        except BlockingIOError:
            return False

    wait_until(seen, 20, f"a copy in {ns}")


# --- copies ---


def test_a_copy_to_a_network_of_others_changes_nothing(world):
    verify(world)
    for rule in ("dup to 10.40.10.2", 'dup to 10.40.10.2 device "eth1"', 'dup to 198.51.100.9 device "eth0"'):
        world.lab.nft("table ip other\ndelete table ip other\n" + chain("ip", "prerouting", rule))
        verify(world)
    assert world.reach("wan", "host", 11434, 4) != "open"


def test_a_copy_to_a_container_may_be_what_is_protected(world):
    world.lab.nft(chain("ip", "prerouting", 'iifname "eth0" dup to 172.17.0.2'))
    claims = verify(world, ollama=U, grafana=U)
    hangs_on(claims["ollama"], "'theirs'", "'other'", "copies")
    copy_arrives(world, "c1", "172.17.0.2", 5432)


@pytest.mark.parametrize("to", ["127.0.0.1", "10.40.10.1", '10.40.10.2 device "lo"'])
def test_a_copy_to_this_host_comes_in_past_everything(world, to):
    world.lab.nft(chain("ip", "prerouting", f"dup to {to}"))
    hangs_on(verify(world, ollama=U, grafana=U, deny_ssh=U)["deny ssh"], "'theirs'", "copies")


def test_a_target_of_xt_copies_likewise(world):
    rule = "iptables-nft -t mangle -A PREROUTING -j TEE --gateway"
    world.lab.run("fw", [*rule.split(), "10.40.10.2"])
    verify(world)
    world.lab.run("fw", [*rule.split(), "172.17.0.2"])
    verify(world, ollama=U, grafana=U)
    world.lab.run("fw", ["nft", "delete", "table", "ip", "mangle"])


def test_a_copy_whose_target_a_map_tells_is_not_known(world):
    rule = "dup to ip saddr map { 203.0.113.2 : 10.40.10.2 }"
    world.lab.nft(chain("ip", "prerouting", rule))
    verify(world, ollama=U, grafana=U, deny_ssh=U)


# --- devices ---


def device(name, rules, hook="ingress"):
    return chain("netdev", f'{hook} device "{name}"', rules)


def test_a_drop_of_a_device_refutes_only_what_it_is_about(world):
    world.lab.nft(device("eth0", "ip saddr 192.0.2.0/24 drop\ntcp dport 22 drop"))
    verify(world)
    assert world.reach("wan", "host", 443, 4) == "open"
    world.lab.nft(device("eth0", "ip saddr 203.0.113.0/25 tcp dport 443 drop"))
    claim = verify(world, allow_https=R)["allow https"]
    assert claim["way"][-1]["table"] == "other" and "from 203.0.113." in claim["packet"]
    assert world.reach("wan", "host", 443, 6) == "open"


def test_a_mark_of_a_device_matters_only_to_who_asks_for_marks(world):
    world.lab.nft(device("eth0", "meta mark set 3"))
    verify(world)
    world.lab.nft(chain("ip", "input", "meta mark 3 tcp dport 443 drop"))
    claim = verify(world, allow_https=R)["allow https"]
    assert claim["way"][-1]["table"] == "other"
    assert world.reach("wan", "host", 443, 4) != "open"


def test_what_a_device_sends_on_is_refused_here_and_may_be_elsewhere(world):
    world.lab.nft(device("eth0", 'tcp dport { 443, 5432 } fwd to "eth1"'))
    claim = verify(world, allow_https=R)["allow https"]
    assert claim["way"][-1]["table"] == "other"
    assert world.reach("wan", "host", 443, 4) != "open"
    world.lab.nft("delete table netdev other\n" + device("eth0", 'tcp dport 5432 fwd to "p-c1"'))
    hangs_on(verify(world, ollama=U, grafana=U)["ollama"], "'theirs'")


@pytest.mark.parametrize("rewrites", [True, False])
def test_what_a_device_sends_on_by_loopback_comes_in_past_everything(world, rewrites):
    to = 'ether daddr set 00:00:00:00:00:00 fwd to "lo"' if rewrites else 'fwd ip to 127.0.0.1 device "lo"'
    world.lab.nft(device("eth0", f"tcp dport {{ 22, 11434 }} {to}"))
    others = {"allow_https": U, "allow_routed": U} if rewrites else {}
    claims = verify(world, ollama=R, grafana=U, deny_ssh=R, **others)
    for claim, port in (claims["ollama"], 11434), (claims["deny ssh"], 22):
        assert f"port {port}, arriving by eth0" in claim["packet"]
        sent, accepted = claim["way"][0], claim["way"][-1]
        assert (sent["table"], sent["chain"]) == ("other", "theirs") and sent["handle"] > 0
        assert (accepted["table"], accepted["chain"]) == ("ringwall", "input")
    assert world.reach("wan", "host", 11434, 4) == "open"
    assert world.reach("wan", "host", 5432, 4) != "open"


def test_loopback_takes_only_frames_that_are_for_itself(world):
    world.lab.nft(device("eth0", 'tcp dport { 22, 11434 } fwd to "lo"'))
    hangs_on(verify(world, ollama=U, grafana=U, deny_ssh=U)["ollama"], "'theirs'", "sends packets")
    assert world.reach("wan", "host", 11434, 4) != "open"


def test_what_a_device_writes_into_packets_is_not_followed(world):
    world.lab.nft(device("eth0", "tcp dport 443 tcp dport set 22"))
    found = verify(world, ollama=U, grafana=U, deny_ssh=U, allow_https=R, allow_routed=U)
    hangs_on(found["deny ssh"], "'theirs'", "changes")


# --- bridges ---


def test_a_drop_of_a_bridge_matters_to_what_containers_may_reach(world):
    world.lab.nft(chain("bridge", "prerouting", "ip saddr 172.17.0.2 tcp dport 443 drop", -200))
    hangs_on(verify(world, allow_routed=U)["allow routed"], "'theirs'", "refuses")
    assert world.reach("c1", "lan", 443, 4) != "open"
    assert world.reach("c2", "lan", 443, 4) == "open"
    answer = explain(world.lab, ["tcp from 172.17.0.2 to 10.40.10.2:443 in docker0 out eth1"], "--live")[0]
    assert answer["end"] == "dropped"
    assert (answer["tables"][-1]["family"], answer["tables"][-1]["table"]) == ("bridge", "other")


def test_what_a_bridge_lets_pass_is_still_judged(world):
    world.lab.nft(chain("bridge", "prerouting", "accept", -300))
    verify(world)
    assert world.reach("c1", "host:docker0", 11434, 4) != "open"


# --- policy routing ---


@pytest.fixture(name="vpn_routes")
def make_vpn_routes(world):
    """What a VPN's client sets up: all that is not its own goes through it."""
    lines = (
        "route add default via 10.99.0.2 dev wg0 onlink table 51820\n"
        "rule add not fwmark 0xca6c lookup 51820 priority 32764\n"
        "rule add lookup main suppress_prefixlength 0 priority 32763\n"
    )
    world.lab.ip("fw", lines)
    yield
    world.lab.ip("fw", "rule del priority 32763\nrule del priority 32764\nroute flush table 51820\n")


def test_rules_of_policy_routing_leave_what_comes_in_proved(world, vpn_routes):
    # where else containers get to hangs on more than the main table
    verify(world, allow_routed=U)
    assert world.reach("wan", "host", 443, 4) == "open"
    assert world.reach("wan", "host", 11434, 4) != "open"
    question = "tcp from 172.17.0.2 to 192.0.2.9:443 in docker0"
    assert explain(world.lab, [question], "--live")[0]["tables"]


def test_a_rule_that_leads_nowhere_refutes_that_something_is_routed(world):
    world.lab.ip("fw", "rule add from 172.17.0.0/16 unreachable priority 100\n")
    try:
        claim = verify(world, allow_routed=R)["allow routed"]
        assert "the kernel itself refuses it" in claim["packet"]
        assert world.reach("c1", "lan", 443, 4) != "open"
    finally:
        world.lab.ip("fw", "rule del priority 100\n")
