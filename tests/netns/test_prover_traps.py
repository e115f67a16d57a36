# SPDX-License-Identifier: GPL-2.0-or-later
"""verify under attack: what the kernel really lets in is never called proved; see prover.py."""

import itertools
import socket
import struct
from dataclasses import dataclass

import pytest

import packets
import prover
from foreign_packets import Sent
from host import TCP, UDP, Packet, address
from lab import wait_until
from wire import pinned

POLICY = "ringwall: 1\nprotected:\n  - { services: 5432/tcp }\n  - { services: 53/udp }\n"
CLOSED = "table inet shut { chain f { type filter hook forward priority 0; policy drop; }\n}\n"


@dataclass
class Trap:
    """Rules through which the packet comes, though they look closed."""

    rules: str
    to: str = "203.0.113.1"
    source: str = "203.0.113.2"
    port: int = 5432
    source_port: int = 40000
    protocol: int = TCP
    routes: str = ""
    shut: str = CLOSED
    seen_by_evaluator: bool = True  # which knows of no copies


def chain(hook, priority, *rules, table="a", kind="filter"):
    body = "".join(f"    {r}\n" for r in rules)
    return f"table inet {table} {{\n  chain {hook} {{ type {kind} hook {hook} priority {priority}\n{body}  }}\n}}\n"


NO6 = "meta nfproto ipv6 tcp dport 5432 drop"
DROP = "tcp dport 5432 drop"
TRAPS = {
    "the hop limit is another behind forward": Trap(
        chain("prerouting", -300, f"ip ttl != 64 {DROP}", NO6)
        + chain("forward", 0, f"ip ttl 64 {DROP}")
        + chain("input", 0, DROP),
        to="172.17.0.2",
        shut="",
    ),
    "before conntrack no connection has a mark": Trap(
        chain("prerouting", -300, "ct mark set 1") + chain("input", 0, f"ct mark 1 {DROP}")
    ),
    "what is sent where it went anyway is not translated": Trap(
        chain("prerouting", -100, "tcp dport 5432 redirect", kind="nat")
        + chain("input", 0, f"ct status dnat {DROP}")
    ),
    "what is translated is no martian": Trap(
        chain("prerouting", -100, "ip daddr 127.0.0.1 tcp dport 80 dnat ip to 203.0.113.1:5432", kind="nat")
        + chain("input", 0, "ct status dnat accept", DROP),
        to="127.0.0.1",
        port=80,
    ),
    "sources are translated in input, too": Trap(
        chain("prerouting", -300, f"ip saddr 198.51.100.9 {DROP}")
        + chain("input", 100, "ip saddr 203.0.113.2 tcp dport 5432 snat ip to 198.51.100.9", kind="nat", table="b")
        + chain("input", 150, f"ip saddr != 198.51.100.9 {DROP}", NO6)
    ),
    "the newer of two chains of one priority comes first": Trap(
        chain("prerouting", -150, "meta mark set 1", table="older")
        + chain("prerouting", -150, "meta mark 0 ct mark set 5", table="newer")
        + chain("input", 0, "ct mark 5 accept", DROP)
    ),
    "0.1.2.3 is no broadcast": Trap(
        chain("input", 0, f"ip saddr != 0.0.0.0/8 {DROP}", f"ip saddr 0.0.0.0 {DROP}",
              f"fib saddr type broadcast {DROP}", NO6),
        source="0.1.2.3",
    ),
    "an IPv4 address in IPv6 has no type": Trap(
        chain("input", 0, f"meta nfproto ipv4 {DROP}", f"fib saddr type unicast {DROP}"),
        source="::ffff:1.2.3.4",
        to="2001:db8:ffff::1",
    ),
    "without translation no connection is through with it": Trap(
        chain("input", 0, f"ct status and 0x100 == 0x100 {DROP}")
    ),
    "what is decided of destinations is known before input": Trap(
        chain("prerouting", -100, "tcp dport 1 redirect", kind="nat")
        + chain("input", 0, f"ct status and 0x100 == 0 {DROP}", f"ct status and 0x80 == 0x80 {DROP}")
    ),
    "what is decided of sources is known behind input's translation": Trap(
        chain("prerouting", -100, "tcp dport 1 redirect", kind="nat")
        + chain("input", 101, f"ct status and 0x80 == 0 {DROP}", table="b")
    ),
    "DHCP's port is another when it is translated": Trap(
        chain("prerouting", -100, "udp dport 68 redirect to :53", kind="nat")
        + chain("input", 0, "udp sport 67 ct status dnat accept", "udp dport 53 drop"),
        port=68,
        source_port=67,
        protocol=UDP,
    ),
    "a copy comes back by lo": Trap(
        "table ip a {\n  chain p { type filter hook prerouting priority -150\n"
        "    iifname eth0 tcp dport 5432 dup to 127.0.0.1 device lo\n  }\n}\n"
        + chain("input", 0, "iif lo accept", DROP, table="b"),
        seen_by_evaluator=False,
    ),
    "a route of the main table delivers as well": Trap(
        chain("input", 0, "ip daddr 198.51.100.77 accept", DROP),
        to="198.51.100.77",
        routes="route {} local 198.51.100.77/32 dev lo table main\n",
    ),
    "a chain of type nat without connections is not called": Trap(
        chain("prerouting", -100, DROP, kind="nat")
        + "table ip6 b {\n  chain out { type nat hook postrouting priority 100\n    masquerade\n  }\n}\n"
    ),
    "what has a zone looks like a new connection's before it is tracked": Trap(
        chain("prerouting", -300, "ct zone set 1", "ct state invalid drop")
        + chain("input", 0, "ct state established accept", table="b")
    ),
    "what has a zone is not exempt from tracking": Trap(
        chain("prerouting", -300, "ct zone set 1", "notrack")
        + chain("input", 0, "ct state untracked drop", table="b")
    ),
    "what is exempt from tracking is tracked with a zone": Trap(
        chain("prerouting", -300, "notrack", "ct zone set 1")
        + chain("input", 0, "ct state untracked drop", table="b")
    ),
    "a source that the kernel refuses is rewritten before it looks": Trap(
        chain("prerouting", -300, "ip saddr 127.0.0.0/8 meta mark set 1 ip saddr set 203.0.113.2")
        + chain("input", 0, "meta mark 1 accept", DROP),
        source="127.0.0.9",
    ),
}


@pytest.fixture(name="attacker", scope="module")
def make_attacker():
    with pinned():
        p = prover.Prover()
        yield p
        p.close()


def packet_of(trap):
    family, source = address(trap.source)
    p = Packet(family, source, address(trap.to)[1], trap.protocol, trap.source_port, trap.port, hop_limit=64)
    segment = packets._segment(p, packets.tag(1), packets.SYN)
    data = packets.header_bytes(p, len(segment), 0) + segment
    return Sent(1, "wan", data, trap.protocol, 0, family, trap.to)


@pytest.mark.parametrize("name", TRAPS)
def test_what_really_comes_in_is_not_proved_closed(attacker, tmp_path, name):
    trap = TRAPS[name]
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY, encoding="utf-8")
    if trap.routes:
        attacker.lab.ip("fw", trap.routes.format("replace"))
    try:
        attacker.lab.nft("flush ruleset\n" + trap.shut + trap.rules)
        sent = packet_of(trap)
        claim = attacker.verify(str(policy))[trap.protocol == UDP]
        attacker.wire.conntrack.flush()
        seen = attacker.send([sent])
        # the trap is one only if the packet comes in
        comes_in = bool(list(prover.outcomes(attacker.ask([sent])[0])))
        assert seen.get(1) and comes_in == trap.seen_by_evaluator, f"{claim} {seen}"
        assert claim["answer"] != "proved", claim
    finally:
        if trap.routes:
            attacker.lab.ip("fw", trap.routes.format("del"))


def test_what_is_drawn_anew_each_time_is_not_the_same_twice(attacker, tmp_path):
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY, encoding="utf-8")
    attacker.lab.nft(
        f"flush ruleset\n{CLOSED}table inet a {{\n"
        "  chain lot { numgen random mod 2 0 return\n meta mark set meta mark xor 1\n }\n"
        "  chain input { type filter hook input priority 0\n"
        "    jump lot\n jump lot\n meta mark 1 accept\n tcp dport 5432 drop\n }\n}\n"
    )
    assert attacker.verify(str(policy))[0]["answer"] == "undecided"


def test_a_routing_rule_in_the_place_of_a_usual_one_makes_deliveries_open(attacker, tmp_path):
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY, encoding="utf-8")
    lab = attacker.lab
    lab.nft(
        "flush ruleset\n" + CLOSED + chain("prerouting", -150, "ip daddr 198.51.100.77 meta mark set 1")
        + chain("input", 0, "ip daddr 198.51.100.77 accept", DROP, table="b")
    )
    lab.ip("fw", "rule del pref 32767\nrule add pref 100 fwmark 1 lookup 100\n"
                 "route add local default dev lo table 100\n")
    try:
        sent = packet_of(Trap("", to="198.51.100.77"))
        attacker.wire.conntrack.flush()
        assert attacker.send([sent]).get(1)
        assert attacker.verify(str(policy))[0]["answer"] == "undecided"
    finally:
        lab.ip("fw", "rule del pref 100\nrule add pref 32767 lookup default\n"
                     "route del local default dev lo table 100\n")


def test_the_type_of_an_address_is_another_with_another_mark(attacker, tmp_path):
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY, encoding="utf-8")
    lab = attacker.lab
    lab.nft(
        "flush ruleset\n" + CLOSED
        + chain("prerouting", -150, f"fib daddr . mark type != local {DROP}", "meta mark set 7",
                f"fib daddr . mark type local {DROP}", "meta mark set 0")
    )
    rules = ["rule add pref 100 fwmark 7 lookup 100", "route add blackhole default table 100",
             "rule add pref 200 lookup local", "rule del pref 0"]
    back = ["rule add pref 0 lookup local", "rule del pref 200", "rule del pref 100",
            "route del blackhole default table 100"]
    for line in rules:
        lab.run("fw", ["ip", "-6", *line.split()])
    try:
        attacker.wire.conntrack.flush()
        assert attacker.send([packet_of(Trap("", to="2001:db8:ffff::1", source="2001:db8:ffff::2"))]).get(1)
        assert attacker.verify(str(policy))[0]["answer"] != "proved"
    finally:
        for line in back:
            lab.run("fw", ["ip", "-6", *line.split()])


def test_a_first_fragment_without_flags_passes_what_asks_for_them(attacker, tmp_path):
    """Nothing puts fragments together before the rules where no rule asks for connections."""
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY, encoding="utf-8")
    text = "flush ruleset\n" + CLOSED + chain("input", 0, "tcp dport 5432 tcp flags syn drop")
    attacker.lab.nft(text)
    assert attacker.verify(str(policy))[0]["answer"] == "undecided"
    attacker.lab.nft(text + chain("input", -300, "ct state invalid drop", table="b"))
    assert attacker.verify(str(policy))[0]["answer"] == "proved"


@pytest.mark.parametrize("state", ["invalid", "untracked"])
def test_what_conntrack_holds_for_no_connection_is_not_new(attacker, tmp_path, state):
    policy = tmp_path / "policy.yaml"
    policy.write_text("ringwall: 1\nprotected:\n  - { services: any }\n", encoding="utf-8")
    attacker.lab.nft(
        "flush ruleset\n" + CLOSED + chain("input", 0, f"ct state {state} accept", "drop")
    )
    assert attacker.verify(str(policy))[0]["answer"] != "proved"


def test_a_zone_by_iptables_is_one(attacker, tmp_path):
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY, encoding="utf-8")
    attacker.lab.nft("flush ruleset\n" + CLOSED + chain("input", 0, NO6, "ct state established accept"))
    for rule in ("-j CT --zone 1", "-m conntrack --ctstate INVALID -j DROP"):
        attacker.lab.run("fw", ["iptables-nft", "-t", "raw", "-A", "PREROUTING", *rule.split()])
    sent = packet_of(Trap(""))
    attacker.wire.conntrack.flush()
    assert attacker.send([sent]).get(1) and list(prover.outcomes(attacker.ask([sent])[0]))
    assert attacker.verify(str(policy))[0]["answer"] != "proved"


FTP = 'ct helper ftp { type "ftp" protocol tcp; }\n'
SYNPROXY = "synproxy s { mss 1460\nwscale 7\ntimestamp sack-perm\n}\n"


@pytest.mark.parametrize(
    "what, rule, reason",
    [
        (FTP, 'tcp dport 21 ct helper set "ftp"', "helper"),
        (FTP, 'ct helper set tcp dport map { 21 : "ftp" }', "helper"),
        (SYNPROXY, 'tcp dport 5432 synproxy name "s"', "SYN proxy"),
        (SYNPROXY, 'synproxy name tcp dport map { 5432 : "s" }', "SYN proxy"),
    ],
)
def test_what_helpers_and_syn_proxies_let_in_is_not_known(attacker, tmp_path, what, rule, reason):
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY, encoding="utf-8")
    closed = chain("input", 10, "ct state established,related accept", DROP)
    attacker.lab.nft("flush ruleset\n" + CLOSED + closed)
    assert attacker.verify(str(policy))[0]["answer"] == "proved"
    attacker.lab.nft(f"table inet b {{\n{what}chain c {{ type filter hook input priority 0\n{rule}\n}}\n}}\n")
    claim = attacker.verify(str(policy))[0]
    assert claim["answer"] == "undecided" and any(reason in w for w in claim["hangs-on"]), claim


def comes_in(attacker, packet):
    """By the kernel, and by the evaluator, which must agree."""
    attacker.wire.conntrack.flush()
    seen = bool(attacker.send([packet]).get(1))
    assert bool(list(prover.outcomes(attacker.ask([packet])[0]))) == seen
    return seen


def test_a_redirect_of_ipv6_needs_an_address_of_the_same_scope(attacker, tmp_path):
    """Which one it is sent to, the interface says that it comes in by; without one it is dropped."""
    policy = tmp_path / "policy.yaml"
    policy.write_text(
        "ringwall: 1\nexpect:\n  - { allow: 5432/tcp, to: 'fec0::1', in: eth0, from: '2001:db8:ffff::/64' }\n",
        encoding="utf-8",
    )
    lab = attacker.lab
    lab.nft("flush ruleset\n" + chain("prerouting", -100, "tcp dport 5432 redirect to :80", kind="nat"))
    to_site, to_link, to_many = (
        packet_of(Trap("", source="2001:db8:ffff::2", to=to)) for to in ("fec0::1", "fe80::1234", "ff05::1234")
    )

    def add(own, device):
        lab.ip("fw", f"addr add {own}/64 dev {device} nodad\n")
        # the kernel makes its route a moment later
        local = ["ip", "-6", "route", "show", "table", "local", own]
        wait_until(lambda: own in lab.run("fw", local).stdout, 20, f"a route for {own}")

    try:
        add("fec0::1", "eth1")
        assert not any(comes_in(attacker, p) for p in (to_site, to_link, to_many))
        assert attacker.verify(str(policy))[0]["answer"] != "proved"
        add("fec0::2", "eth0")
        assert comes_in(attacker, to_site) and comes_in(attacker, to_many)
        assert attacker.verify(str(policy))[0]["answer"] == "proved"
        assert not comes_in(attacker, to_link)
        add("fe80::77", "eth0")
        assert comes_in(attacker, to_link)
    finally:
        for address_and_device in ("fec0::1/64 dev eth1", "fec0::2/64 dev eth0", "fe80::77/64 dev eth0"):
            lab.run("fw", ["ip", "addr", "del", *address_and_device.split()], check=False)


def test_what_a_route_unpacks_has_passed_no_prerouting(attacker, tmp_path):
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY, encoding="utf-8")
    lab, trap = attacker.lab, over_ipv6("")
    lab.nft("flush ruleset\n" + CLOSED + chain("prerouting", -150, DROP))
    assert attacker.verify(str(policy))[0]["answer"] == "undecided"  # fragments
    lab.nft("flush ruleset\n" + CLOSED + chain("prerouting", -150, DROP) + ASKS_CONNTRACK.replace("input", "forward"))
    assert attacker.verify(str(policy))[0]["answer"] == "proved"
    inner = packet_of(trap)
    outer = struct.pack("!IHBB", 6 << 28, len(inner.data), 41, 64) + address_bytes(trap.source)
    outer += address_bytes("fc00:dead::1") + inner.data
    route = "fc00:dead::1/128 encap seg6local action End.DT6 table 255 dev eth0"
    lab.run("fw", ["ip", "-6", "route", "add", *route.split()])
    try:
        attacker.wire.conntrack.flush()
        assert attacker.send([sent_of(trap, outer)]).get(1)
        assert attacker.verify(str(policy))[0]["answer"] == "undecided"
    finally:
        lab.run("fw", ["ip", "-6", "route", "del", "fc00:dead::1/128"], check=False)


NO_SYN = "tcp dport 5432 tcp flags & (fin|syn|rst|ack) == syn drop"


@pytest.mark.parametrize(
    "rules",
    [
        chain("input", 0, "ct mark 1 accept", NO_SYN, NO6, "ct mark set 1"),
        chain("input", 0, "ct status confirmed accept", NO_SYN, NO6),
        chain("prerouting", -100, "meta nfproto ipv4 tcp dport 5432 tcp flags syn redirect to :1", kind="nat")
        + chain("input", 0, NO6, table="b"),
    ],
    ids=["by its mark", "by its status", "untranslated"],
)
def test_the_connection_of_a_first_packet_may_be_there_already(attacker, tmp_path, rules):
    """Any packet begins one for conntrack, and as long as nobody answers the next one is new, too: the
    host answers no frame that is for all."""
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY, encoding="utf-8")
    attacker.lab.nft("flush ruleset\n" + CLOSED + rules)
    syn, wire = packet_of(Trap("")), attacker.wire
    data = bytearray(syn.data)
    data[33] = packets.ACK
    data[36:38] = struct.pack("!H", (int.from_bytes(syn.data[36:38], "big") + packets.SYN - packets.ACK) & 0xFFFF)

    def ports():
        return {port for _, _, _, port in attacker.send([syn]).get(1, ())}

    wire.conntrack.flush()
    assert 5432 not in ports()
    wire.conntrack.flush()
    wire.send_frame("wan", bytes(data), b"\xff" * 6)
    # the trap is one only if the packet comes in now
    assert 5432 in ports()
    assert attacker.verify(str(policy))[0]["answer"] != "proved"


def test_a_bridge_shows_frames_of_a_family_to_the_rules_as_its_own_settings_say(attacker):
    lab = attacker.lab
    lab.nft("flush ruleset\n" + chain("forward", 0, "drop"))
    settings = ["net.bridge.bridge-nf-call-iptables", "net.bridge.bridge-nf-call-ip6tables"]
    before = [lab.run("fw", ["sysctl", "-n", s]).stdout.strip() for s in settings]
    frames = {
        4: packet_of(Trap("", source="172.17.0.2", to="172.17.0.3")),
        6: packet_of(Trap("", source="fd00:17::2", to="fd00:17::3")),
    }
    try:
        for own in ((0, 0), (1, 0), (0, 1)):
            lab.run("fw", ["sysctl", "-qw", *(f"{s}=0" for s in settings)])
            words = f"nf_call_iptables {own[0]} nf_call_ip6tables {own[1]}"
            lab.run("fw", ["ip", "link", "set", "docker0", "type", "bridge", *words.split()])
            for family, frame in frames.items():
                frame.peer, frame.to_peer = "c1", "c2"
                assert comes_in(attacker, frame) == (own[family == 6] == 0), (own, family)
    finally:
        lab.run("fw", ["sysctl", "-qw", *(f"{s}={v}" for s, v in zip(settings, before))])
        words = "nf_call_iptables 0 nf_call_ip6tables 0"
        lab.run("fw", ["ip", "link", "set", "docker0", "type", "bridge", *words.split()])


# --- packets that no program sends ---


def v4_bytes(source, to, protocol, payload, fragment=0, options=b""):
    size = 20 + len(options)
    header = struct.pack("!BBHHHBBH", 0x40 | size // 4, 0, size + len(payload), 77, fragment, 64, protocol, 0)
    header += socket.inet_aton(source) + socket.inet_aton(to) + options
    return header[:10] + struct.pack("!H", packets.checksum(header)) + header[12:] + payload


def sent_of(trap, data):
    return Sent(1, "wan", data, trap.protocol, 0, address(trap.to)[0], trap.to)


def in_fragments(trap):
    """The first with eight bytes of TCP's header."""
    whole = packet_of(trap).data[20:]
    return [
        sent_of(trap, v4_bytes(trap.source, trap.to, TCP, whole[:8], fragment=0x2000)),
        sent_of(trap, v4_bytes(trap.source, trap.to, TCP, whole[8:], fragment=1)),
    ]


def by_source_route(trap):
    options = bytes([131, 7, 4]) + socket.inet_aton("203.0.113.1") + b"\0"
    return [sent_of(trap, v4_bytes(trap.source, trap.to, TCP, packet_of(trap).data[20:], options=options))]


def without_length(trap):
    """As of a jumbogram of UDP; its checksum holds."""
    data = packet_of(trap).data
    segment = data[40:44] + b"\0\0\0\0" + data[48:]
    pseudo = data[8:40] + struct.pack("!IHBB", len(segment), 0, 0, UDP)
    check = struct.pack("!H", packets.checksum(pseudo + segment))
    return [sent_of(trap, data[:40] + segment[:6] + check + segment[8:])]


identities = itertools.count(1)


def with_headers_in_fragments(trap):
    """The first ends amidst the options, before anything says that it is TCP."""
    options = bytes([60, 1, 0x1E, 12]) + bytes(12) + bytes([TCP, 0, 1, 4]) + bytes(4)
    whole, number = options + packet_of(trap).data[40:], next(identities)

    def part(offset, more, payload):
        fragment = struct.pack("!BBHI", 60, 0, offset | more, number) + payload
        header = struct.pack("!IHBB", 6 << 28, len(fragment), 44, 64)
        return header + address_bytes(trap.source) + address_bytes(trap.to) + fragment

    return [sent_of(trap, part(0, 1, whole[:8])), sent_of(trap, part(8, 0, whole[8:]))]


def address_bytes(text):
    return socket.inet_pton(socket.AF_INET6, text)


def over_ipv6(rules):
    return Trap(rules, to="2001:db8:ffff::1", source="2001:db8:ffff::2")


ASKS_CONNTRACK = chain("input", 0, "ct state invalid drop", table="b")
ODD = {
    "fragments come before they are put together": (
        in_fragments,
        Trap(chain("prerouting", -450, "tcp dport 5432 tcp flags syn drop") + ASKS_CONNTRACK),
    ),
    "what is put together is no fragment any more": (
        in_fragments,
        Trap(
            chain("prerouting", -450, "ip frag-off & 0x3fff == 0 tcp dport 5432 drop", NO6)
            + chain("prerouting", -300, "ip frag-off & 0x3fff != 0 drop", table="c")
            + ASKS_CONNTRACK
        ),
    ),
    "a fragment of IPv6 does not say what it is of": (
        with_headers_in_fragments,
        over_ipv6(chain("input", 0, DROP)),
    ),
    "a fragment of IPv6 does not say that it is of TCP": (
        with_headers_in_fragments,
        over_ipv6(chain("input", 0, "meta l4proto tcp drop")),
    ),
    "a fragment of IPv6 passes what comes before it is put together": (
        with_headers_in_fragments,
        over_ipv6(chain("prerouting", -450, DROP) + ASKS_CONNTRACK),
    ),
    "UDP's length is 0 over IPv6": (
        without_length,
        Trap(
            chain("input", 0, "udp dport 53 ct state new drop"),
            to="2001:db8:ffff::1",
            source="2001:db8:ffff::2",
            port=53,
            protocol=UDP,
        ),
    ),
    "a source route leads to another address": (
        by_source_route,
        Trap(
            chain("prerouting", -150, f"ip daddr 203.0.113.1 {DROP}", NO6)
            + chain("input", 0, f"ip daddr != 203.0.113.1 {DROP}", table="b"),
            to="172.17.0.1",
        ),
    ),
}


def set_source_routes(lab, on):
    names = (f"net.ipv4.conf.{i}.accept_source_route={int(on)}" for i in ("all", "eth0"))
    lab.run("fw", ["sysctl", "-qw", *names])


@pytest.mark.parametrize("name", ODD)
def test_what_no_program_sends_is_not_forgotten(attacker, tmp_path, name):
    make, trap = ODD[name]
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY, encoding="utf-8")
    set_source_routes(attacker.lab, make is by_source_route)
    try:
        attacker.lab.nft("flush ruleset\n" + trap.shut + trap.rules)
        claim = attacker.verify(str(policy))[trap.protocol == UDP]
        attacker.wire.conntrack.flush()
        # the trap is one only if the packet comes in
        assert attacker.send(make(trap)).get(1), claim
        assert claim["answer"] != "proved", claim
    finally:
        set_source_routes(attacker.lab, False)
