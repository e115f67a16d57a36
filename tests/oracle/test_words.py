# SPDX-License-Identifier: GPL-2.0-or-later
"""The oracle on the words that are not about addresses and ports: settings, owners, times, limits,
nat, on-link networks. Worked out by hand from POLICY.md; quotations are the page's."""

import time

import pytest

import oracle
from example import CATALOGUE, EXAMPLE, WHO, ask, the_host
from host import ICMP, ICMPV6, IGMP, TCP, UDP, Packet, address

BOTH = pytest.mark.parametrize("family", [4, 6])


def with_settings(text):
    return EXAMPLE + f"settings: {text}\n"


# --- settings ------------------------------------------------------------------------------------


@BOTH
def test_loose_asks_whether_any_interface_leads_back(family):
    """ "a source that no interface (strict: that this interface does not) lead back to" """
    for policy in (EXAMPLE, with_settings("{ antispoof: loose }")):
        assert ask("internet", "here", 442, family, policy=policy).why == "default"
        assert ask("internet", "here", 442, family, policy=policy, came_in="eth1").why == "default"
        assert ask("nowhere", "here", 442, family, policy=policy).why == "antispoof"


@BOTH
def test_strict_asks_whether_the_arriving_interface_leads_back(family):
    policy = with_settings("{ antispoof: strict }")
    assert ask("internet", "here", 442, family, policy=policy).why == "default"
    assert ask("internet", "here", 442, family, policy=policy, came_in="eth1").why == "antispoof"
    assert ask("lan", "here", 22, family, policy=policy).why == "allow"
    assert ask("lan", "here", 22, family, policy=policy, came_in="eth0").why == "antispoof"
    assert ask("nowhere", "here", 442, family, policy=policy).why == "antispoof"
    # routed, too
    assert ask("container", "internet", 443, family, policy=policy).why == "containers"
    spoofed = ask("neighbour", "internet", 443, family, policy=policy, came_in="br-1")
    assert spoofed.why == "antispoof"


def test_strict_means_the_best_route_even_where_a_default_route_leads_back_too():
    host = the_host(accept_local=True, route_localnet=True)
    host.add_route("0.0.0.0/0", "eth0")
    policy = with_settings("{ antispoof: strict }")
    assert ask("nowhere", "here", 442, 4, policy=policy, host=host).why == "default"
    assert ask("lan", "here", 22, 4, policy=policy, host=host, came_in="eth0").why == "antispoof"


@BOTH
def test_antispoof_off_lets_any_source_come_but_never_the_hosts_own(family):
    policy = with_settings("{ antispoof: off }")
    assert ask("nowhere", "here", 443 - 1, family, policy=policy).why == "default"
    assert ask("nowhere", "here", 22, family, policy=policy).why == "default"
    assert ask("here", "here", 443, family, policy=policy, came_in="eth0").why == "own source"


@BOTH
@pytest.mark.parametrize("mode", ["loose", "strict"])
def test_antispoof_judges_first_packets_only_and_exempts_link_local_and_unspecified(mode, family):
    policy = with_settings(f"{{ antispoof: {mode} }}")
    known = ask("nowhere", "here", 22, family, policy=policy, state="established")
    assert known.why == "established"
    assert ask("link-local", "here", 442, family, policy=policy).why == "default"
    frame = dict(came_in="docker0", frame_to="docker0")
    bridged = ask("nowhere", "neighbour", 1, family, policy=policy, **frame)
    assert bridged.why == "bridged"
    if family == 4:
        judge = oracle.load(policy, CATALOGUE).judge
        p = Packet(4, 0, 0xFFFFFFFF, UDP, 68, 67, came_in="eth1")
        assert judge(the_host().situate(p)).why == "default"


ESSENTIALS = {  # word: (who, to, protocol, family, what else) that passes by it
    "neighbour-discovery": [
        dict(who="link-local", to="here", family=6, protocol=ICMPV6, icmp_type=t, hop_limit=255)
        for t in (133, 134, 135, 136)
    ],
    "mld": [
        dict(who="link-local", to="here", family=6, protocol=ICMPV6, icmp_type=t, hop_limit=1)
        for t in (130, 131, 132, 143)
    ],
    "igmp": [dict(who="lan", to="mdns", family=4, protocol=IGMP)],
    "dhcp": [
        dict(who="lan", to="here", family=4, protocol=UDP, port=68, source_port=67),
        dict(who="link-local", to="here", family=6, protocol=UDP, port=546, source_port=547),
        dict(who="gateway", to="lan", family=4, protocol=UDP, port=67, source_port=68, out=True),
        dict(who="gateway", to="lan", family=6, protocol=UDP, port=547, source_port=546, out=True),
    ],
    "errors": [
        dict(who="internet", to="here", family=f, protocol=p, icmp_type=t, error=True)
        for f, p, types in ((4, ICMP, (3, 11, 12)), (6, ICMPV6, (1, 2, 3, 4)))
        for t in types
    ],
}


def ask_essential(policy, who, to, family, protocol, port=0, source_port=0, out=False, **rest):
    index = 0 if family == 4 else 1
    if protocol == ICMPV6 and "error" not in rest:
        rest["state"] = "untracked"
    elif "error" in rest:
        rest["state"] = "related"
    p = Packet(
        family,
        address(WHO[who][index])[1],
        address(WHO[to][index])[1],
        protocol,
        source_port,
        port,
        came_in=None if out else "eth1",
        **rest,
    )
    return oracle.load(policy, CATALOGUE).judge(the_host().situate(p))


@pytest.mark.parametrize("word", list(ESSENTIALS))
@pytest.mark.parametrize("left_out", list(ESSENTIALS))
def test_an_essential_that_is_left_out_is_judged_like_everything_else(word, left_out):
    """ "what passes unasked (below); an entry may be left out" """
    kept = ", ".join(w for w in ESSENTIALS if w != left_out)
    closed = with_settings(f"{{ essentials: [{kept}] }}") + "outbound: drop\n"
    asked = closed.replace("- allow: https", "- { allow: any, from: anywhere }")
    for question in ESSENTIALS[word]:
        answer = ask_essential(closed, **question)
        passed_by = {"errors": "error of a known connection"}.get(word, "essentials")
        assert answer.why == ("default" if word == left_out else passed_by), question
        assert answer.verdict == ("drop" if word == left_out else "accept")
        if not question.get("out"):
            assert ask_essential(asked, **question).verdict == "accept"


def test_without_essentials_redirects_of_known_connections_still_never_pass():
    policy = with_settings("{ essentials: [] }").replace(
        "- allow: https", "- { allow: any, from: anywhere }"
    )
    redirect = ask_essential(policy, "internet", "here", 4, ICMP, icmp_type=5, error=True)
    assert redirect.verdict == "drop"


def test_essentials_of_one_word_and_of_none():
    ns = ESSENTIALS["neighbour-discovery"][2]
    igmp = ESSENTIALS["igmp"][0]
    assert ask_essential(with_settings("{ essentials: igmp }"), **igmp).why == "essentials"
    assert ask_essential(with_settings("{ essentials: igmp }"), **ns).why == "default"
    assert ask_essential(with_settings("{ essentials: [] }"), **igmp).why == "default"


@BOTH
def test_closed_containers_open_nothing_unless_a_rule_says_so(family):
    policy = with_settings("{ containers: closed }")
    assert ask("container", "internet", 443, family, policy=policy).why == "default"
    assert ask("container", "other container", 80, family, policy=policy).why == "default"
    policy += "routed: [{ allow: https, from: containers }]\n"
    assert ask("container", "internet", 443, family, policy=policy).why == "allow"
    opened = with_settings("{ containers: open }")
    assert ask("container", "internet", 443, family, policy=opened).why == "containers"


@BOTH
@pytest.mark.parametrize(
    "text",
    [
        "{ counters: off }",
        "{ counters: each }",
        "{ mark: 0x20000000, log-limit: 1/second, cut-denied: no, confirm: 60s, drift: alert }",
        "{ rescue: lan, ownership: off, alerts: none }",
    ],
)
def test_the_other_settings_change_no_verdict(text, family):
    for who, port, why in (("lan", 22, "allow"), ("internet", 22, "default")):
        assert ask(who, "here", port, family, policy=with_settings(text)).why == why
    assert ask("container", "internet", 443, family, policy=with_settings(text)).why == "containers"


# --- owners --------------------------------------------------------------------------------------

ROOT, USER, NOBODY, KERNEL = (0, 0), (1000, 1000), (65534, 65534), (None, None)


def leaves(rule, owner, family=4, port=25):
    policy = EXAMPLE + f"outbound: [{rule}]\n"
    user, group = owner
    return ask(
        "gateway", "internet", port, family, policy=policy, came_in=None, user=user, group=group
    ).verdict


@BOTH
def test_a_rule_with_a_user_is_about_that_users_sockets(family):
    """ "who owns the socket (its user, its primary group), resolved to numbers at check; sockets
    of the kernel match no such rule" """
    rule = "{ deny: 25/tcp, user: 1000 }"
    assert leaves(rule, USER, family) == "reject"
    assert leaves(rule, ROOT, family) == "accept"
    assert leaves(rule, (1000, 0), family) == "reject"
    assert leaves(rule, (0, 1000), family) == "accept"
    assert leaves(rule, USER, family, port=26) == "accept"
    assert leaves(rule, KERNEL, family) == "accept"


def test_users_and_groups_have_names_and_lists():
    assert leaves("{ deny: 25/tcp, user: root }", ROOT) == "reject"
    assert leaves("{ deny: 25/tcp, user: root }", KERNEL) == "accept"
    assert leaves("{ deny: 25/tcp, user: [nobody, 1000] }", NOBODY) == "reject"
    assert leaves("{ deny: 25/tcp, user: [nobody, 1000] }", USER) == "reject"
    assert leaves("{ deny: 25/tcp, user: [nobody, 1000] }", ROOT) == "accept"
    assert leaves("{ deny: 25/tcp, group: 1000 }", (0, 1000)) == "reject"
    assert leaves("{ deny: 25/tcp, group: 1000 }", (1000, 0)) == "accept"
    assert leaves("{ deny: 25/tcp, group: root }", ROOT) == "reject"
    assert leaves("{ deny: 25/tcp, group: root }", KERNEL) == "accept"


def test_a_rule_with_both_wants_both():
    rule = "{ allow: 25/tcp, user: 1000, group: 0 }"
    assert leaves(rule, (1000, 0)) == "accept"
    assert leaves(rule, USER) == "reject"
    assert leaves(rule, ROOT) == "reject"
    assert leaves(rule, KERNEL) == "reject"


# --- until ---------------------------------------------------------------------------------------


@pytest.fixture(name="utc")
def in_utc(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    "until,over",
    [
        ("2000-01-01", True),
        ("2030-03-16", True),
        ("2030-03-17", False),  # "a date": its day is the last
        ("2030-03-18", False),
        ("2030-03-17 17:46", True),
        ("2030-03-17 17:47", False),
        ("2030-03-17 17:46:39", True),
        ("2030-03-17 17:46:41", False),
        ("2030-03-17 17:47:00Z", False),
        ("2030-03-17 18:46:30+01:00", True),
        ("2030-03-17 18:46:50+01:00", False),
        ("2030-03-17 12:46:50-05:00", False),
        ("2030-03-17 12:16:30-05:30", True),
        ("2030-03-17 12:17:50-05:30", False),
        ("2099-12-31", False),
    ],
)
@pytest.mark.parametrize("quoted", [True, False])
def test_a_rule_ends_with_its_time(until, over, quoted, utc):
    """ "a date or time after which the rule is gone" """
    until = f'"{until}"' if quoted else until
    policy = f"ringwall: 1\ninbound: [{{ allow: ssh, until: {until} }}]\n"
    assert ask("lan", "here", 22, 4, policy=policy).why == ("default" if over else "allow")
    policy = f"ringwall: 1\ninbound: [allow: ssh, {{ deny: ssh, until: {until} }}]\n"
    assert ask("lan", "here", 22, 4, policy=policy).why == ("allow" if over else "deny")


def test_times_without_a_zone_are_local(monkeypatch):
    policy = "ringwall: 1\ninbound: [{ allow: ssh, until: 2030-03-17 17:50 }]\n"
    day = "ringwall: 1\ninbound: [{ allow: ssh, until: 2030-03-17 }]\n"
    with monkeypatch.context() as m:
        for zone, over, day_over in (
            ("XXX-1", True, False),
            ("XXX+1", False, False),
            ("XXX-7", True, True),
        ):
            m.setenv("TZ", zone)
            time.tzset()
            assert ask("lan", "here", 22, 4, policy=policy).why == ("default" if over else "allow")
            assert ask("lan", "here", 22, 4, policy=day).why == ("default" if day_over else "allow")
    time.tzset()


def test_a_list_whose_only_allow_is_over_still_lets_nothing_else_out(utc):
    policy = "ringwall: 1\noutbound: [{ allow: https, until: 2001-01-01 }]\n"
    refused = ask("gateway", "internet", 443, 4, policy=policy, came_in=None)
    assert (refused.verdict, refused.why) == ("reject", "default")


# --- limits and logs -----------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize(
    "words",
    [
        "limit: 100000/second",
        "limit: 1000/minute burst 5000 per source",
        "connections: 100000",
        "connections: 1000 per source",
        "limit: 10/hour burst 5000, connections: 5000 per source, log: yes",
        "log: yes",
        "log: no",
        "log: seen/here",
        "name: a name",
    ],
)
def test_within_its_limits_a_rule_says_what_it_says_without_them(words, family):
    policy = EXAMPLE.replace("{ allow: ssh, from: [lan, vpn]", "{ allow: ssh, from: lan, " + words)
    assert ask("lan", "here", 22, family, policy=policy).why == "allow"
    assert ask("vpn", "here", 22, family, policy=policy).why == "default"
    assert ask("lan", "here", 22, family, policy=policy, state="untracked").why == "allow"


@BOTH
@pytest.mark.parametrize("log", ["no", "yes", "10/minute"])
def test_a_sections_log_changes_no_verdict(log, family):
    policy = f"ringwall: 1\ninbound: {{ log: {log}, default: reject, rules: [allow: ssh] }}\n"
    assert ask("lan", "here", 22, family, policy=policy).why == "allow"
    assert ask("lan", "here", 23, family, policy=policy).verdict == "reject"


# --- connected -----------------------------------------------------------------------------------


def connected_host():
    host = the_host()
    for text in ("10.40.10.0/24", "44.0.0.0/8", "48.0.0.0/7", "fd00:50::/48", "fd00:60::/47"):
        host.add_route(text, "eth1", on_link=True)
    for text in ("169.254.0.0/16", "169.254.7.0/24", "fe80::/64"):
        host.add_route(text, "eth1", on_link=True)
    host.add_route("10.40.30.0/24", "eth1")
    return host


def in_zone(zone, text, interface="eth1", host=None, more=""):
    policy = oracle.load(f"ringwall: 1\nzones: {{ z: {zone}{more} }}\n", CATALOGUE)
    policy.settle(host or connected_host())
    return policy.zones["z"].contains(interface, *address(text))


@pytest.mark.parametrize(
    "text,inside",
    [
        ("10.40.10.0", True),
        ("10.40.10.255", True),
        ("10.40.11.0", False),
        ("10.40.9.255", False),
        ("10.40.30.7", False),  # behind a gateway
        ("203.0.113.2", False),  # on another interface's link
        ("44.0.0.0", True),  # a /8 counts
        ("44.255.255.255", True),
        ("48.0.0.1", False),  # "nothing wider than /8"
        ("169.254.7.7", False),
        ("fd00:40:10::ffff", True),
        ("fd00:40:11::", False),
        ("fd00:50::1", True),
        ("fd00:60::1", False),  # "or /48"
        ("fe80::1", False),
    ],
)
def test_connected_means_the_on_link_networks_of_an_interface(text, inside):
    assert in_zone("{ connected: [eth1] }", text) == inside
    assert in_zone("{ connected: eth1 }", text) == inside


def test_connected_is_about_addresses_wherever_they_arrive():
    assert in_zone("{ connected: [eth1] }", "10.40.10.2", interface="eth0")
    # "where interfaces are given too, both must match"
    zone = "{ connected: [eth1], interfaces: [eth1] }"
    assert not in_zone(zone, "10.40.10.2", interface="eth0")
    assert in_zone(zone, "10.40.10.2") and not in_zone(zone, "10.40.30.2")


def test_connected_adds_up_with_addresses():
    zone = "{ connected: [eth1, wg0], addresses: [192.0.2.0/24] }"
    for text in ("10.40.10.2", "192.0.2.9", "10.99.0.9", "fd00:99::9"):
        assert in_zone(zone, text)
    assert not in_zone(zone, "203.0.113.2")


def test_connected_to_an_interface_without_networks_is_nobody():
    for text in ("10.40.10.2", "0.0.0.0", "fd00:40:10::2"):
        assert not in_zone("{ connected: [tun0] }", text)


# --- nat -----------------------------------------------------------------------------------------

FORWARDING = """
ringwall: 1
zones:
  lan: [10.40.10.0/24, "fd00:40:10::/64"]
inbound:
  - { allow: 8443/tcp, from: lan }
  - { allow: 2222/tcp, from: anywhere }
  - { allow: 9000-9010/tcp }
nat:
  - { forward: 8443/tcp, to: "172.17.0.2:443", in: eth1 }
  - { forward: 2222/tcp, to: "172.17.0.3:22" }
  - { forward: 9000-9001/tcp, to: 172.18.0.2 }
  - { forward: 9002/tcp, to: "172.17.0.2:11434" }
  - { forward: 9003/tcp, to: "[fd00:17::2]:443" }
  - { masquerade: containers, out: eth0 }
protected:
  - { services: ollama }
"""


def forwarded(who, to, port, family=4, protocol=TCP, came_in="", **rest):
    """(verdict, why, where it ends)"""
    host = the_host()
    host.translations.clear()
    policy = oracle.load(FORWARDING, CATALOGUE)
    policy.settle(host)
    index = 0 if family == 4 else 1
    interfaces = {"internet": "eth0", "lan": "eth1", "container": "docker0"}
    p = Packet(
        family,
        address(WHO[who][index])[1],
        address(WHO[to][index] if to in WHO else to)[1],
        protocol,
        40000,
        port,
        came_in=interfaces[who] if came_in == "" else came_in,
        **rest,
    )
    at = host.situate(p)
    answer = policy.judge(at)
    end = address(WHO[to][index] if to in WHO else to)[1] != at.destination or at.port != port
    assert end == at.translated
    return answer.verdict, answer.why, (at.destination, at.port) if at.translated else None


def end_of(text, port):
    return address(text)[1], port


def test_a_forward_translates_and_an_inbound_rule_opens_it_by_what_was_dialled():
    assert forwarded("lan", "here", 8443) == ("accept", "allow", end_of("172.17.0.2", 443))
    assert forwarded("internet", "here", 8443) == ("drop", "default", None)  # in: eth1
    spoofed = forwarded("internet", "here", 8443, came_in="eth1")
    assert spoofed == ("drop", "default", end_of("172.17.0.2", 443))
    assert forwarded("internet", "here", 2222) == ("accept", "allow", end_of("172.17.0.3", 22))
    assert forwarded("internet", "here", 22) == ("drop", "default", None)
    assert forwarded("internet", "here", 9001) == ("accept", "allow", end_of("172.18.0.2", 9001))


def test_protected_counts_the_port_where_a_forwarded_connection_ends():
    assert forwarded("lan", "here", 9002) == ("drop", "protected", end_of("172.17.0.2", 11434))


def test_only_what_is_dialled_to_this_hosts_own_unicast_addresses_is_forwarded():
    assert forwarded("lan", "gateway", 2222)[2] == end_of("172.17.0.3", 22)
    assert forwarded("lan", "container", 2222) == ("drop", "default", None)  # routed
    assert forwarded("lan", "203.0.113.255", 2222) == ("accept", "allow", None)  # a broadcast
    assert forwarded("lan", "mdns", 2222) == ("accept", "allow", None)
    assert forwarded("lan", "2001:db8:ffff::", 9003, 6) == ("accept", "allow", None)  # anycast


def test_a_forward_is_of_the_family_of_its_address():
    assert forwarded("internet", "here", 9003, 6) == ("accept", "allow", end_of("fd00:17::2", 443))
    assert forwarded("internet", "here", 9003, 4) == ("accept", "allow", None)
    assert forwarded("internet", "here", 2222, 6) == ("accept", "allow", None)
    assert forwarded("lan", "here", 2222, protocol=UDP) == ("drop", "default", None)


def test_this_hosts_own_processes_are_not_translated():
    policy = FORWARDING + "outbound: drop\n"
    host = the_host()
    host.translations.clear()
    read = oracle.load(policy, CATALOGUE)
    read.settle(host)
    here = address("203.0.113.1")[1]
    at = host.situate(Packet(4, here, here, TCP, 40000, 2222, came_in=None))
    assert not at.translated and read.judge(at).why == "default"


def test_untracked_packets_are_not_forwarded():
    assert forwarded("internet", "here", 2222, state="untracked") == ("accept", "allow", None)


def test_masquerade_changes_no_verdict():
    assert forwarded("container", "internet", 443) == ("accept", "containers", None)
    assert forwarded("lan", "internet", 443) == ("drop", "default", None)
