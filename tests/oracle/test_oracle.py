# SPDX-License-Identifier: GPL-2.0-or-later
"""The oracle against POLICY.md's table of cases, worked out by hand for the page's example."""

from dataclasses import replace

import pytest

import files
import language
import oracle
from example import CATALOGUE, EXAMPLE, HOST, ask, the_host
from host import ESP, ICMP, ICMPV6, IGMP, TCP, UDP, Packet, Translation, address

CASES = [  # who, to, port, verdict, why
    ("lan", "here", 22, "accept", "allow"),
    ("vpn", "here", 22, "accept", "allow"),
    ("internet", "here", 22, "drop", "default"),
    ("internet", "here", 11434, "drop", "protected"),
    ("internet", "here", 8080, "drop", "default"),  # published to a container's 80
    ("internet", "here", 443, "drop", "protected"),  # published to a container's 5678
    ("internet", "here", 9443, "drop", "default"),  # by what was dialled, not by where it ends
    ("internet", "container", 80, "drop", "default"),  # routed
    ("internet", "container", 5678, "drop", "protected"),
    ("container", "internet", 443, "accept", "containers"),
    ("container", "internet", 5678, "accept", "containers"),
    ("container", "gateway", 11434, "drop", "protected"),
    ("container", "gateway", 22, "drop", "default"),
    ("container", "other container", 80, "accept", "containers"),
    ("container", "other container", 5432, "drop", "protected"),
    ("container", "here", 8080, "drop", "default"),  # hairpin
    (
        "container",
        "neighbour",
        5432,
        "drop",
        "protected",
    ),  # same bridge, but addressed to this host
    ("vpn", "lan", 80, "drop", "default"),
    ("vpn", "lan", 5432, "drop", "default"),  # protected is not for routed networks
    ("lan", "here", 3000, "accept", "allow"),
    ("internet", "here", 3000, "drop", "protected"),
    ("nowhere", "here", 443 - 1, "drop", "antispoof"),
]


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("who,to,port,verdict,why", CASES)
def test_the_pages_case(who, to, port, verdict, why, family):
    answer = ask(who, to, port, family)
    assert (answer.verdict, answer.why) == (verdict, why)


@pytest.mark.parametrize("family", [4, 6])
def test_a_port_published_to_nothing_protected_is_open_where_it_is_allowed(family):
    host = the_host()
    host.translations.clear()
    assert ask("internet", "here", 443, family, host=host).why == "allow"


@pytest.mark.parametrize("family", [4, 6])
def test_this_host_reaches_its_containers_and_its_own_addresses(family):
    for to, port in (
        ("container", 5432),
        ("other container", 80),
        ("here", 5432),
        ("internet", 80),
    ):
        assert ask("gateway", to, port, family, came_in=None).verdict == "accept"
    assert ask("gateway", "loopback", 5432, family, came_in=None).why == "loopback"


@pytest.mark.parametrize("family", [4, 6])
def test_an_outbound_list_that_holds_an_allow_lets_only_that_out(family):
    policy = EXAMPLE + "outbound:\n  - { allow: https, to: anywhere }\n"
    assert ask("gateway", "internet", 443, family, policy=policy, came_in=None).why == "allow"
    refused = ask("gateway", "internet", 80, family, policy=policy, came_in=None)
    assert (refused.verdict, refused.why) == ("reject", "default")
    assert ask("gateway", "loopback", 80, family, policy=policy, came_in=None).why == "loopback"
    assert ask("gateway", "here", 80, family, policy=policy, came_in=None).verdict == "reject"


@pytest.mark.parametrize("family", [4, 6])
def test_a_deny_rejects_where_the_default_is_allow_and_drops_where_it_is_drop(family):
    policy = EXAMPLE + "outbound:\n  - { deny: 25/tcp }\n"
    assert ask("gateway", "internet", 25, family, policy=policy, came_in=None).verdict == "reject"
    assert ask("gateway", "internet", 26, family, policy=policy, came_in=None).verdict == "accept"
    policy = EXAMPLE.replace("  - allow: https", "  - allow: https\n  - { deny: ssh, from: vpn }")
    assert ask("vpn", "here", 22, family, policy=policy).why == "deny"
    assert ask("vpn", "here", 22, family, policy=policy).verdict == "drop"


@pytest.mark.parametrize("family", [4, 6])
def test_a_protected_service_opens_to_containers_by_two_words(family):
    policy = EXAMPLE.replace(
        "  - allow: https", "  - allow: https\n  - { allow: ollama, from: containers }"
    )
    assert ask("container", "gateway", 11434, family, policy=policy).why == "protected"
    policy = policy.replace(
        "[ollama, n8n, postgresql] }",
        "[n8n, postgresql] }\n  - { services: ollama, only-from: containers }",
    )
    assert ask("container", "gateway", 11434, family, policy=policy).why == "allow"
    assert ask("lan", "here", 11434, family, policy=policy).why == "protected"


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("who", ["here", "gateway"])
def test_own_sources_from_outside_are_always_dropped(who, family):
    assert ask(who, "here", 443, family, came_in="eth0").why == "own source"
    assert ask(who, "here", 22, family, came_in="eth0", state="established").why == "own source"


def test_loopback_addresses_from_outside_are_dropped_whatever_they_are_translated_to():
    host = the_host(accept_local=True, route_localnet=True)
    assert ask("loopback", "here", 443, 4, host=host, came_in="eth0").why == "own source"
    host.add_translation(
        Translation(4, TCP, address("127.0.0.1")[1], 443, address("172.17.0.3")[1], 443)
    )
    assert ask("internet", "loopback", 443, 4, host=host).why == "own source"
    assert ask("internet", "loopback", 22, 4, host=host).why == "own source"


def test_the_kernel_itself_refuses_martians():
    def hook(source, destination, family=4, host=the_host(), **rest):
        p = Packet(
            family, address(source)[1], address(destination)[1], TCP, 1, 1, came_in="eth0", **rest
        )
        return host.situate(p).hook

    assert hook("203.0.113.1", "203.0.113.1") == "none"
    assert hook("203.0.113.1", "203.0.113.1", host=HOST) == "input"
    assert hook("127.0.0.1", "203.0.113.1") == "none"
    assert hook("224.0.0.1", "203.0.113.1") == "none"
    assert hook("0.0.0.0", "203.0.113.1") == "none"
    assert hook("0.0.0.0", "255.255.255.255") == "input"
    assert hook("2001:db8:ffff::1", "2001:db8:ffff::1", 6) == "input"
    assert hook("::1", "2001:db8:ffff::1", 6) == "none"
    assert hook("fe80::9", "fd00:17::2", 6) == "none"
    assert hook("198.51.100.1", "192.0.2.1") == "none"
    assert hook("198.51.100.1", "172.17.0.2", hop_limit=1) == "none"
    assert hook("2001:db8:1::1", "2001:db8:ffff::", 6) == "input"


@pytest.mark.parametrize("family", [4, 6])
def test_states_are_judged_before_sections(family):
    assert ask("internet", "here", 22, family, state="established").why == "established"
    assert ask("lan", "here", 22, family, state="invalid").why == "invalid"
    assert ask("lan", "internet", 22, family, state="invalid").why == "invalid"
    assert ask("gateway", "internet", 22, family, came_in=None, state="invalid").why == "invalid"
    assert ask("lan", "here", 22, family, state="untracked").why == "allow"
    assert ask("internet", "here", 22, family, state="untracked").why == "default"
    # untracked: by the header that it carries
    assert ask("internet", "here", 443, family, state="untracked").why == "allow"


def test_errors_of_known_connections_pass_but_redirects_do_not():
    for family, protocol, error, redirect in ((4, ICMP, 3, 5), (6, ICMPV6, 2, 137)):
        known = dict(protocol=protocol, state="related", error=True)
        assert ask("internet", "here", 0, family, icmp_type=error, **known).verdict == "accept"
        assert ask("internet", "lan", 0, family, icmp_type=error, **known).verdict == "accept"
        assert ask("internet", "here", 0, family, icmp_type=redirect, **known).verdict == "drop"


def test_what_ipv6_needs_passes():
    def nd(icmp_type, who="link-local", hop_limit=255, to="here", **rest):
        return ask(
            who,
            to,
            0,
            6,
            ICMPV6,
            icmp_type=icmp_type,
            hop_limit=hop_limit,
            state="untracked",
            **rest
        ).why

    for t in (133, 135, 136):
        assert nd(t) == "essentials"
        assert nd(t, who="internet") == "essentials"
        assert nd(t, hop_limit=254) == "default"
    assert nd(134) == "essentials"
    assert nd(134, who="internet") == "default"
    assert nd(137) == "default"
    for t in (130, 131, 132, 143):
        assert nd(t, hop_limit=1) == "essentials"
        assert nd(t, who="internet") == "default"
    assert nd(135, who="internet", to="lan") == "default"  # forwarded


def test_what_ipv4_needs_passes():
    assert ask("lan", "mdns", 0, 4, IGMP).why == "essentials"
    assert ask("lan", "here", 68, 4, UDP).why == "default"
    p = Packet(4, address("10.40.10.9")[1], address("10.40.10.1")[1], UDP, 67, 68, came_in="eth1")
    judge = oracle.load(EXAMPLE, CATALOGUE).judge
    assert judge(HOST.situate(p)).why == "essentials"
    assert judge(HOST.situate(replace(p, source_port=68, port=67))).why == "default"
    p = replace(p, source=0, destination=0xFFFFFFFF)
    assert judge(HOST.situate(p)).why == "essentials"
    p = Packet(
        6, address("fe80::9")[1], address("2001:db8:ffff::1")[1], UDP, 547, 546, came_in="eth0"
    )
    assert judge(HOST.situate(p)).why == "essentials"
    assert judge(HOST.situate(replace(p, source=address("2001:db8:1::9")[1]))).why == "default"


def test_frames_between_two_ports_of_a_bridge_are_not_this_policys_business():
    for state in ("new", "invalid", "untracked"):
        answer = ask("container", "neighbour", 5432, 4, state=state, frame_to="docker0")
        assert answer.why == "bridged"


def test_hairpin_to_a_neighbour_is_inbound():
    policy = EXAMPLE + "routed: [{ deny: any, from: containers }]\n"
    host = the_host()
    host.add_translation(
        Translation(4, TCP, address("203.0.113.1")[1], 443, address("172.17.0.3")[1], 80)
    )
    assert ask("container", "here", 443, 4, policy=policy, host=host).why == "allow"


@pytest.mark.parametrize("family", [4, 6])
def test_multicast_matches_only_a_to_that_names_it(family):
    policy = EXAMPLE.replace(
        "  - allow: https", '  - { allow: 5353/udp, to: [203.0.113.1, "2001:db8:ffff::1"] }'
    )
    assert ask("lan", "mdns", 5353, family, UDP, policy=policy).why == "default"
    assert ask("lan", "here", 5353, family, UDP, policy=policy).why == "allow"


def test_zones_of_every_form():
    zones = language.read_zones(
        files.read(
            """
zones:
  a: [10.0.0.0/30, 10.0.0.9-10.0.0.11, "fd00::1"]
  wild: { interfaces: ["eth1*"] }
  both: { addresses: [a, wild], interfaces: [eth1, wg0] }
"""
        )
    )

    def has(zone, interface, text):
        return zones[zone].contains(interface, *address(text))

    assert has("a", "x", "10.0.0.3") and not has("a", "x", "10.0.0.4")
    assert (
        has("a", "x", "10.0.0.9") and has("a", "x", "10.0.0.11") and not has("a", "x", "10.0.0.12")
    )
    assert has("a", None, "fd00::1") and not has("a", None, "fd00::2")
    assert has("wild", "eth1.20", "1.2.3.4") and not has("wild", "eth0", "1.2.3.4")
    assert has("both", "eth1", "192.0.2.1")  # through wild
    assert not has("both", "eth1.20", "192.0.2.1")  # wild, but not one of both's interfaces
    assert has("both", "wg0", "10.0.0.1") and not has("both", "wg0", "10.0.0.4")


def test_services_of_every_form():
    services = language.read_services(
        files.read(
            """
services:
  web: { tcp: [80, 8000-8010], udp: 443, sctp: 7, icmp: echo-request, icmpv6: [1, 128],
         protocols: [esp, 47] }
  group: [web, 22/tcp, 9-10/udp, any-host]
  any-host: { tcp: 1 }
"""
        )
    )

    def has(protocol, port=0, icmp_type=0, name="group"):
        return services[name].contains(protocol, port, icmp_type)

    assert has(TCP, 8010) and not has(TCP, 8011) and not has(UDP, 8010)
    assert has(UDP, 443) and has(UDP, 9) and has(UDP, 10) and not has(UDP, 11)
    assert has(132, 7) and not has(132, 8)
    assert has(ICMP, 0, 8) and not has(ICMP, 0, 0) and has(ICMPV6, 0, 1) and not has(ICMPV6, 0, 8)
    assert has(ESP) and has(47) and not has(89)
    assert has(TCP, 1) and has(TCP, 22) and not has(TCP, 22, name="web")


def test_except_takes_away_from_the_side_that_the_section_is_about():
    policy = """
ringwall: 1
inbound: [{ allow: https, except: 198.51.100.9 }]
outbound: [{ allow: any, except: "198.51.100.9" }]
routed: [{ allow: any, from: 10.40.10.0/24, out: eth0, to: 198.51.100.0/24 }]
"""
    host = the_host()
    host.translations.clear()
    ask4 = lambda who, to, port, **rest: ask(
        who, to, port, 4, policy=policy, host=host, **rest
    ).verdict
    assert ask4("internet", "here", 443) == "drop"
    assert ask4("lan", "here", 443) == "accept"
    assert ask4("here", "internet", 443, came_in=None) == "reject"
    assert ask4("here", "lan", 443, came_in=None) == "accept"
    assert ask4("lan", "internet", 443) == "accept"
    assert ask4("vpn", "internet", 443) == "drop"
    assert ask4("lan", "container", 443) == "drop"
    # "except never changes the family"
    assert ask("internet", "here", 443, 6, policy=policy, host=host).verdict == "accept"


def test_the_answer_names_the_lines_that_decide():
    policy = oracle.load(
        "ringwall: 1\ninbound:\n  - allow: https\n  - deny: https\n    from: anywhere\n", CATALOGUE
    )
    p = Packet(
        4, 1 << 24, address("203.0.113.1")[1], TCP, 1, 443, came_in="eth0", state="untracked"
    )
    host = the_host()
    host.add_route("0.0.0.0/0", "eth0")
    assert policy.judge(host.situate(p)).lines == {4}
