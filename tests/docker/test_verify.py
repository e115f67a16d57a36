# SPDX-License-Identifier: GPL-2.0-or-later
"""verify on a host where a real Docker publishes, beside ufw and beside us; each answer is confirmed
by packets that are sent."""

import os

import pytest

from host_with_docker import HOST
from daemon import Daemon
from lab import wait_until
from program import DATADIR, ringwall

WAN = {4: "203.0.113.2", 6: "2001:db8:ffff::2"}
LAN = "10.40.10.2"


def ready(name):
    with open(os.path.join(DATADIR, f"{name}.yaml"), encoding="utf-8") as f:
        return f.read()


# Each has a claim that ollama is protected, of which this word is part.
POLICIES = {"ai-server": "ollama", "docker-compose-behind-proxy": "ai-backends"}
AI_SERVER = ready("ai-server")
POLICY = """\
ringwall: 1
protected: [services: [ollama, n8n, postgresql]]
inbound:
  - { allow: https }
"""


def claim_of(claims, word="ollama"):
    (found,) = [c for c in claims if c["kind"] == "protected" and word in c["claim"]]
    return found


def ways(host, port, *addresses):
    """Packets that could get there: by what is published, and by a container's own address."""
    yield WAN[4], HOST[4], port, "eth0"
    yield WAN[6], HOST[6], port, "eth0"
    yield LAN, "10.40.10.1", port, "eth1"
    yield WAN[4], "127.0.0.1", port, "eth0"
    for a in addresses:
        yield WAN[6 if ":" in a else 4], a, 11434, "eth0"


def assert_closed(host, port, *addresses):
    packets = list(ways(host, port, *addresses))
    assert dict(zip(packets, host.send(*packets))) == dict.fromkeys(packets, {})


@pytest.mark.parametrize(
    "policy, port",
    [("ai-server", 11434), ("ai-server", 8443), ("docker-compose-behind-proxy", 8443)],
)
def test_what_docker_publishes_is_refuted_under_ufw_and_proved_under_ours(host, policy, port):
    text, word = ready(policy), POLICIES[policy]
    host.docker.run("ollama", f"{port}:11434")
    host.ufw("--force", "enable")
    assert host.send((WAN[4], HOST[4], 22, "eth0")) == [{}]  # it does close what is not Docker's
    claim = claim_of(host.verify(text, 10), word)
    assert claim["answer"] == "refuted"
    assert f"to {HOST[4]} port {port}, arriving by eth0" in claim["packet"]
    assert claim["way"][-1]["table"] != "ringwall"
    assert host.send_witness(claim) == {"ollama": 11434}
    assert host.get("wan", HOST[4], port)
    # ours beside ufw's, which goes on to refuse what we would let in
    host.use(text)
    claims = host.verify(text, 10)
    assert {c["answer"] for c in claims if c["kind"] != "always"} == {"proved"}
    assert_closed(host, port, *host.docker.addresses("ollama"))
    host.ufw("disable")
    assert {c["answer"] for c in host.verify(text, 0)} == {"proved"}
    assert_closed(host, port, *host.docker.addresses("ollama"))


def test_what_ufw_lets_in_is_always_reachable(host):
    """(Of IPv6 ufw drops packets with one kind of routing header: nobody's connection has one.)"""
    text = "ringwall: 1\nexpect:\n  - { allow: ssh }\n  - { allow: grafana, from: lan }\n"
    text += "zones: { lan: [10.40.10.0/24] }\n"
    host.ufw("--force", "enable")
    host.ufw("allow", "22/tcp")
    first, second = host.verify(text, 10)
    assert (first["answer"], second["answer"]) == ("proved", "refuted")
    packets = [(WAN[4], HOST[4], 22, "eth0"), (WAN[6], HOST[6], 22, "eth0"), (LAN, "10.40.10.1", 3000, "eth1")]
    assert host.send(*packets) == [{"here": 22}, {"here": 22}, {}]
    host.ufw(*"allow from 10.40.10.0/24 to any port 3000 proto tcp".split())
    assert [c["answer"] for c in host.verify(text, 0)] == ["proved", "proved"]
    assert host.send(packets[-1]) == [{"here": 3000}]


def by_hand(host, *rules):
    for rule in rules:
        host.run("iptables", *rule.split())


def test_what_is_published_at_loopback_is_within_reach_of_neighbours(host):
    host.docker.run("ollama", "127.0.0.1:11434:11434")
    (container,) = host.docker.addresses("ollama")
    packets = [(WAN[4], "127.0.0.1", 11434, "eth0"), (WAN[4], container, 11434, "eth0")]
    host.ufw("--force", "enable")
    assert host.send(*packets) == [{"ollama": 11434}, {"ollama": 11434}]
    # one way after the other is closed by hand, in the words of its guides
    by_hand(host, "-t raw -A PREROUTING -d 127.0.0.0/8 ! -i lo -j DROP")
    claim = claim_of(host.verify(AI_SERVER, 10))
    assert f"to {container} port 11434, arriving by eth0" in claim["packet"]
    assert host.send(*packets) == [{}, {"ollama": 11434}]
    assert host.send_witness(claim) == {"ollama": 11434}
    by_hand(host, "-t raw -F", "-I DOCKER-USER -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP")
    claim = claim_of(host.verify(AI_SERVER, 10))
    assert "to 127.0.0.1 port 11434, arriving by eth0" in claim["packet"]
    assert host.send(*packets) == [{"ollama": 11434}, {}]
    assert host.send_witness(claim) == {"ollama": 11434}
    by_hand(host, "-t raw -A PREROUTING -d 127.0.0.0/8 ! -i lo -j DROP")
    assert claim_of(host.verify(AI_SERVER, 10))["answer"] == "proved"
    assert_closed(host, 11434, container)


def test_a_network_of_the_users_is_closed_like_dockers_own(host):
    host.docker.network("backend", "br-back")
    host.docker.run("ollama", "8443:11434", network="backend")
    host.docker.run("beside", listen=11434)
    other, *_ = host.docker.addresses("beside")
    claim = claim_of(host.verify(POLICY, 10))
    assert "arriving by eth0" in claim["packet"] and host.send_witness(claim)
    host.use(POLICY)
    assert {c["answer"] for c in host.verify(POLICY, 0)} == {"proved"}
    assert_closed(host, 8443, *host.docker.addresses("ollama"))
    from_back = (host.docker.addresses("ollama")[0], other, 11434, "br-back")
    assert host.send(from_back) == [{}]


def test_dockers_proxy_lets_ipv6_in_where_the_port_is_allowed(host):
    """The rules see port 8443 alone, and a program of this host's that is reached."""
    text = POLICY + "  - { allow: 8443/tcp, in: eth0 }\n"
    host.docker.run("ollama", "8443:11434")
    host.use(text)
    claim = claim_of(host.verify(text, 10))
    assert claim["answer"] == "refuted" and "docker-proxy: port 8443/tcp" in claim["packet"]
    assert f"to {HOST[6]} port 8443" in claim["packet"]
    assert host.send_witness(claim) == {"here": 8443}
    assert host.get("wan", HOST[6], 8443)
    assert host.send((WAN[4], HOST[4], 8443, "eth0")) == [{}]
    # without that proxy nothing passes it on
    host.docker.restart("--userland-proxy=false")
    host.use(text)  # Docker has made its bridge anew
    assert {c["answer"] for c in host.verify(text, 0)} == {"proved"}
    assert_closed(host, 11434, *host.docker.addresses("ollama"))


SHUT = """
table {family} shut {{
    chain forward {{ type filter hook forward priority 0; policy drop; }}
    chain input {{ type filter hook input priority 0; tcp dport {{ 5432, 5678, 11434 }} drop; }}
}}
"""


def test_what_dockers_proxy_still_passes_on_after_a_flush_is_refuted(host):
    host.docker.run("ollama", "8443:11434")
    host.lab.nft("flush ruleset" + SHUT.format(family="inet"))
    claim = claim_of(host.verify(POLICY, 10))
    assert "docker-proxy: port 8443/tcp" in claim["packet"]
    assert host.send_witness(claim) == {"here": 8443} and host.get("wan", HOST[4], 8443)
    host.use(POLICY)
    host.lab.nft("delete table inet shut")
    assert {c["answer"] for c in host.verify(POLICY, 0)} == {"proved"}
    assert host.send((WAN[4], HOST[4], 8443, "eth0"), (WAN[6], HOST[6], 8443, "eth0")) == [{}, {}]


def test_where_docker_translates_ipv6_a_packet_of_ipv6_refutes(host):
    host.docker.restart("--ipv6", "--fixed-cidr-v6=fd00:17::/64", "--experimental", "--ip6tables")
    host.docker.run("ollama", "8443:11434")
    _, container = host.docker.addresses("ollama")
    host.lab.nft(SHUT.format(family="ip"))
    host.run(*"ip6tables -A INPUT -p tcp -m multiport --dports 5432,5678,11434 -j DROP".split())
    claim = claim_of(host.verify(POLICY, 10))
    assert f"port 8443, arriving by eth0, which ends at {container} port 11434" in claim["packet"]
    host.lab.nft("delete table ip shut")  # the door is behind it
    assert host.send_witness(claim) == {"ollama": 11434}
    host.use(POLICY)
    assert {c["answer"] for c in host.verify(POLICY, 0)} == {"proved"}
    assert_closed(host, 8443, *host.docker.addresses("ollama"))


def test_an_ipv6_port_that_is_open_leaves_what_is_routed_proved(host):
    """Docker translates what is dialled at addresses of this host's, link-local ones too: those of others,
    and what is no address, are none of them."""
    policy = POLICY + "expect:\n  - { deny: any, in: eth0, section: routed }\n"
    host.docker.restart("--ipv6", "--fixed-cidr-v6=fd00:17::/64", "--experimental", "--ip6tables")
    host.docker.run("web", "8444:80", listen=80)
    policy = policy.replace("allow: https", "allow: [https, 8444/tcp]")
    host.use(policy)
    assert {c["answer"] for c in host.verify(policy, 0)} == {"proved"}
    others = ("fe80::4242", "::ffff:10.0.0.7", "::", "2001:db8:1::7")
    packets = [(WAN[6], HOST[6], 8444, "eth0"), *((WAN[6], to, 8444, "eth0") for to in others)]
    assert host.send(*packets) == [{"web": 80}, *[{}] * len(others)]


def test_ringwalld_keeps_closed_what_is_published_while_it_runs(host, tmp_path):
    daemon = Daemon(host, tmp_path)
    daemon.start()
    try:
        assert daemon.apply(POLICY, "--no-confirm")[0] == 0
        host.docker.run("ollama", "11434:11434", "8443:11434")
        host.docker.network("backend", "br-back")
        host.docker.run("second", "5678:5678", listen=5678, network="backend")
        settled(host, daemon)
        assert_closed(host, 11434, *host.docker.addresses("ollama"))
        assert_closed(host, 8443)
        assert_closed(host, 5678, *host.docker.addresses("second"))
        host.docker.restart()  # its bridges have other link-layer addresses then
        settled(host, daemon)
        assert_closed(host, 11434, *host.docker.addresses("ollama"))
        assert_closed(host, 5678, *host.docker.addresses("second"))
    finally:
        daemon.stop()


def settled(host, daemon):
    """All is proved, at the latest when the daemon has seen the bridges that there are now."""
    text = host.file(POLICY)

    def proved():
        return ringwall(host.lab, "verify", "--policy", text, check=False).returncode == 0

    wait_until(proved, 20, "a proof")
    status = daemon.status()
    assert status["state"] == "closed" and status["readBack"] and status["drift"]["seen"] == 0
