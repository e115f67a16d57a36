# SPDX-License-Identifier: GPL-2.0-or-later
"""POLICY.md's "What is always so", with real packets."""

import socket

from dataclasses import replace

import pytest

from host import ICMP, ICMPV6, IGMP, TCP, UDP, Packet, address
from lab import wait_until
from packets import RST, header_bytes
from talk import NETWORK, exchange, peer_address
from world import EXAMPLE, NOTHING, join_mdns, with_inbound

pytestmark = pytest.mark.usefixtures("tidy")


# --- what needs no rule ---------------------------------------------------------------------------


def test_the_answer_to_a_dhcpv4_client_arrives(world):
    client = world.talk.receive_on("fw", 68, 4)
    world.use(NOTHING)
    lan = lambda to, port, **rest: world.talk.datagram("lan", to, 68, client, port, **rest)
    assert lan("10.40.10.1", 67) == "arrived"
    assert lan("255.255.255.255", 67, broadcast=True, interface="eth0") == "arrived"
    assert lan("10.40.10.1", 6767) == "dropped"


def test_a_dhcpv4_client_of_this_host_asks(world):
    server = world.talk.receive_on("lan", 67, 4)
    world.use(NOTHING)
    ask = lambda source: world.talk.datagram(
        "fw", "255.255.255.255", 67, server, source, True, "eth1"
    )
    assert ask(68) == "arrived"
    assert ask(6868) == "dropped"


def packet6(source, to, protocol, **rest):
    return Packet(6, address(source)[1], address(to)[1], protocol, came_in="eth1", **rest)


def packet4(source, to, protocol, **rest):
    return Packet(4, address(source)[1], address(to)[1], protocol, came_in="eth1", **rest)


def test_the_answer_to_a_dhcpv6_client_arrives_from_a_link_local_address(world):
    raw = world.raw(6, UDP)
    world.use(NOTHING)
    answer = packet6("fe80::9", "fd00:40:10::1", UDP, source_port=547, port=546)
    assert world.fate("lan", answer, raw) == "arrived"
    answer = packet6("fd00:40:10::2", "fd00:40:10::1", UDP, source_port=547, port=546)
    assert world.fate("lan", answer, raw) == "dropped"


@pytest.mark.parametrize(
    "name,icmp_type,source,hop_limit,expected",
    [
        ("solicitation", 135, "fd00:40:10::2", 255, "arrived"),
        ("solicitation from the unspecified address", 135, "::", 255, "arrived"),
        ("solicitation from a router away", 135, "fd00:40:10::2", 254, "dropped"),
        ("advertisement", 136, "fd00:40:10::2", 255, "arrived"),
        ("router solicitation", 133, "fe80::9", 255, "arrived"),
        ("router advertisement", 134, "fe80::9", 255, "arrived"),
        ("router advertisement from a router away", 134, "fe80::9", 64, "dropped"),
        ("router advertisement of a global address", 134, "fd00:40:10::2", 255, "dropped"),
        ("redirect", 137, "fe80::9", 255, "dropped"),
        ("listener query", 130, "fe80::9", 1, "arrived"),
        ("listener report", 131, "fe80::9", 1, "arrived"),
        ("listener report, version 2", 143, "fe80::9", 1, "arrived"),
        ("listener query of a global address", 130, "fd00:40:10::2", 1, "dropped"),
        ("ping", 128, "fd00:40:10::2", 64, "dropped"),
    ],
)
def test_what_ipv6_needs_to_work_arrives(world, name, icmp_type, source, hop_limit, expected):
    raw = world.raw(6, ICMPV6)
    world.use(NOTHING)
    p = packet6(source, "fd00:40:10::1", ICMPV6, icmp_type=icmp_type, hop_limit=hop_limit)
    assert world.fate("lan", p, raw) == expected


def test_igmp_arrives(world):
    raw = world.raw(4, IGMP)
    world.use(NOTHING)
    assert (
        world.fate("lan", packet4("10.40.10.2", "224.0.0.1", IGMP, hop_limit=1), raw) == "arrived"
    )
    ping = packet4("10.40.10.2", "10.40.10.1", ICMP, icmp_type=8)
    assert world.fate("lan", ping, world.raw(4, ICMP)) == "dropped"


def test_this_hosts_neighbour_discovery_goes_both_ways(world):
    world.use(
        "ringwall: 1\ninbound: [{ allow: https, from: anywhere }]\n"
        "outbound: [{ allow: http, to: anywhere }]\n"
    )
    for ns in ("fw", "lan"):
        world.lab.ip(ns, "neigh flush all\n")
    assert world.talk.reach("lan", "fd00:40:10::1", 443) == "open"
    world.lab.ip("fw", "neigh flush all\n")
    assert world.talk.reach("fw", "fd00:40:10::2", 80) == "open"


@pytest.mark.parametrize("family", [4, 6])
def test_this_host_says_which_groups_it_has_joined(world, family):
    world.use(NOTHING)
    with world.lab.inside("lan"):
        wire = world.talk.keep(socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3)))
        wire.bind(("eth0", 3))
    wire.settimeout(0.01)
    server = world.talk.receive_on("fw", 5353, family)
    join_mdns(world, server, family)

    def reported():
        try:
            data = wire.recv(2048)
        except TimeoutError:
            return False
        if family == 4:
            return data[0] >> 4 == 4 and data[9] == IGMP
        # a hop-by-hop header stands in front of the report
        return data[0] >> 4 == 6 and data[6] == 0 and data[40] == ICMPV6 and data[48] == 143

    wait_until(reported, 10, "a membership report")


# --- states ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("who", ["fw", "c1"])
def test_the_icmp_error_of_a_known_connection_passes(world, who, family):
    """To the host's own socket, and through the host to a container's."""
    world.use(EXAMPLE)
    with world.lab.inside(who):
        s = world.talk.keep(
            socket.socket(socket.AF_INET if family == 4 else socket.AF_INET6, socket.SOCK_DGRAM)
        )
    s.settimeout(10)
    s.connect((peer_address("wan", family), 9))  # nobody is there
    s.send(b"hello")
    with pytest.raises(ConnectionRefusedError):
        s.recv(100)


@pytest.mark.parametrize("family", [4, 6])
def test_the_icmp_error_of_no_connection_is_dropped(world, family):
    protocol = ICMP if family == 4 else ICMPV6
    make, here, there = (
        (packet4, "203.0.113.1", "203.0.113.2")
        if family == 4
        else (packet6, "2001:db8:ffff::1", "2001:db8:ffff::2")
    )
    raw = world.raw(family, protocol)
    about = make(here, there, UDP)
    quoted = (
        header_bytes(about, 16) + (40000).to_bytes(2, "big") + (9).to_bytes(2, "big") + bytes(4)
    )
    error = make(there, here, protocol, icmp_type=3 if family == 4 else 1)
    # even where everything is allowed: it is invalid
    world.use("ringwall: 1\ninbound: [{ allow: any, from: anywhere }]\n")
    assert world.fate("wan", error, raw, quoted=quoted) == "dropped"
    ping = make(there, here, protocol, icmp_type=8 if family == 4 else 128)
    assert world.fate("wan", ping, raw) == "arrived"


NOTRACK = """
table inet foreign_raw {
    chain in { type filter hook prerouting priority -300
        tcp dport 22 notrack
        udp dport 514 notrack
    }
    chain out { type filter hook output priority -300
        tcp sport 22 notrack
    }
}
"""


@pytest.mark.parametrize("family", [4, 6])
def test_untracked_packets_are_judged_by_the_header_that_they_carry(world, family):
    world.use(EXAMPLE)
    world.lab.nft(NOTRACK)
    try:
        assert world.reach("lan", "host", 22, family) == "open"
        raw = world.raw(family, TCP)
        p = Packet(
            family,
            address(peer_address("wan", family))[1],
            address(world.address("host", family))[1],
            TCP,
            40001,
            22,
        )
        assert world.fate("wan", p, raw, flags=RST) == "dropped"
        server = world.talk.receive_on("fw", 514)
        syslog = lambda: world.talk.datagram("lan", world.address("host", family), 514, server)
        assert syslog() == "dropped"
        world.use(with_inbound("{ allow: syslog, from: lan }"))
        assert syslog() == "arrived"
    finally:
        world.lab.nft("delete table inet foreign_raw")


@pytest.mark.parametrize("family", [4, 6])
def test_own_and_loopback_addresses_from_outside_are_dropped(world, family):
    world.use("ringwall: 1\ninbound: [{ allow: any, from: anywhere }]\nrouted: [{ allow: any }]\n")
    for interface in ("all", "eth0"):
        world.lab.sysctl(
            "fw",
            **{
                f"net__ipv4__conf__{interface}__accept_local": 1,
                f"net__ipv4__conf__{interface}__route_localnet": 1,
            },
        )
    raw = world.raw(family, UDP)
    here = world.address("host", family)
    pair = lambda source, to: Packet(family, address(source)[1], address(to)[1], UDP, 1234, 9)
    sources = [here, world.address("host:docker0", family)] + (["127.0.0.1"] if family == 4 else [])
    for source in sources:
        assert world.fate("wan", pair(source, here), raw) == "dropped"
    if family == 4:
        assert world.fate("wan", pair("203.0.113.2", "127.0.0.1"), raw) == "dropped"
        # no answer to the DHCP client comes to such an address, either
        answer = Packet(4, address("203.0.113.2")[1], address("127.0.0.1")[1], UDP, 67, 68)
        assert world.fate("wan", answer, raw) == "dropped"
        assert world.fate("wan", replace(answer, destination=address(here)[1]), raw) == "arrived"
    assert world.fate("wan", pair(peer_address("wan", family), here), raw) == "arrived"


@pytest.mark.parametrize("family", [4, 6])
def test_a_spoofed_own_address_does_not_join_an_open_connection(world, family):
    """The host talks to itself by its own address; a neighbour sends in its name. (IPv4's routing
    refuses such a packet unless it is told not to, IPv6's does not.)"""
    for interface in ("all", "eth1"):
        world.lab.sysctl("fw", **{f"net__ipv4__conf__{interface}__accept_local": 1})
    world.forget()  # what the kernel lets in is asked when the policy is loaded
    world.use("ringwall: 1\ninbound: [{ allow: any, from: anywhere }]\n")
    own = world.address("host:eth1", family)
    one, two = (world.talk.receive_on("fw", port, family) for port in (5001, 5002))
    one.connect((own, 5002))
    two.connect((own, 5001))
    assert exchange(one, two)
    spoofed = Packet(family, address(own)[1], address(own)[1], UDP, 5001, 5002)
    assert world.fate("lan", spoofed, world.raw(family, UDP)) == "dropped"
    assert exchange(one, two)


def test_a_spoofed_loopback_address_does_not_join_an_open_connection(world):
    """As container engines have it, the kernel routes loopback's addresses. A packet that came in with
    one would be of the host's connection to itself, for conntrack knows no interfaces."""
    for interface in ("all", "eth0", "eth1"):
        routed = {f"net__ipv4__conf__{interface}__route_localnet": 1}
        world.lab.sysctl("fw", **routed, **{f"net__ipv4__conf__{interface}__accept_local": 0})
    world.forget()
    world.use("ringwall: 1\ninbound: [{ allow: any, from: anywhere }]\n")
    own = "127.0.0.9"  # 127.0.0.1, which lo bears, is refused by the kernel itself
    with world.lab.inside("fw"):
        pair = [world.talk.keep(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(2)]
    for s, (here, there) in zip(pair, ((6001, 6002), (6002, 6001))):
        s.bind((own, here))
        s.connect((own, there))
        s.settimeout(20)
    assert exchange(*pair)
    spoofed = Packet(4, address(own)[1], address(own)[1], UDP, 6001, 6002)
    assert world.fate("lan", spoofed, world.raw(4, UDP)) == "dropped"
    assert exchange(*pair)


@pytest.mark.parametrize("family", [4, 6])
def test_a_spoofed_own_address_does_not_join_a_containers_connection_to_this_host(world, family):
    """A container asks this host by its own address; the internet answers in this host's name, and
    such a packet is forwarded."""
    for interface in ("all", "eth0"):
        world.lab.sysctl("fw", **{f"net__ipv4__conf__{interface}__accept_local": 1})
    world.forget()
    world.use("ringwall: 1\ninbound: [{ allow: 9053/udp, from: containers }]\n")
    own, container = world.address("host:docker0", family), world.address("c1", family)
    server = world.talk.receive_on("fw", 9053, family)
    client = world.talk.receive_on("c1", 5555, family)
    client.connect((own, 9053))
    client.send(b"question")
    _, peer = server.recvfrom(100)
    server.sendto(b"answer", peer)
    assert client.recv(100) == b"answer"
    with world.lab.inside("c1"):
        raw = world.talk.keep(
            socket.socket(NETWORK[family], socket.SOCK_RAW, socket.IPPROTO_UDP)
        )
    raw.setblocking(False)
    forged = Packet(family, address(own)[1], address(container)[1], UDP, 9053, 5555)
    assert world.fate("wan", forged, raw) == "dropped"


def test_an_ipv4_address_within_ipv6_is_no_source(world):
    """A socket of both families would take ::ffff:127.0.0.1 for this host itself."""
    world.use("ringwall: 1\ninbound: [{ allow: any, from: anywhere }]\n")
    world.lab.ip("fw", "route add default via 2001:db8:ffff::2\n")
    try:
        raw, here = world.raw(6, UDP), world.address("host", 6)
        for source in ("::ffff:127.0.0.1", "::ffff:10.40.10.2"):
            assert world.fate("wan", packet6(source, here, UDP, port=9), raw) == "dropped"
        assert world.fate("wan", packet6("2001:db8:1234::1", here, UDP, port=9), raw) == "arrived"
    finally:
        world.lab.ip("fw", "route del default via 2001:db8:ffff::2\n")


@pytest.mark.parametrize("family", [4, 6])
def test_a_source_to_which_nothing_leads_back_is_dropped(world, family):
    world.use("ringwall: 1\ninbound: [{ allow: any, from: anywhere }]\n")
    raw = world.raw(family, UDP)
    here = address(world.address("host", family))[1]
    fate = lambda source: world.fate(
        "wan", Packet(family, address(source)[1], here, UDP, 1234, 9), raw
    )
    assert fate({4: "192.0.2.9", 6: "2001:db8:2::9"}[family]) == "dropped"
    assert fate({4: "169.254.1.1", 6: "fe80::9"}[family]) == "arrived"
    world.lab.ip(
        "fw", "route add default via 203.0.113.2\nroute add default via 2001:db8:ffff::2\n"
    )
    try:
        assert fate({4: "192.0.2.9", 6: "2001:db8:2::9"}[family]) == "arrived"
    finally:
        world.lab.ip("fw", "route del default\nroute del ::/0\n")


FTP = """
table inet foreign_helper {
    ct helper ftp { type "ftp" protocol tcp; }
    chain in { type filter hook prerouting priority -150
        tcp dport 21 ct helper set "ftp"
        tcp dport 51210 ct state related counter
    }
}
"""


def test_a_connection_that_a_helper_announces_is_judged_as_a_new_one(world):
    control_server, data_server = world.talk.listen("fw", 21, 51210)
    assert data_server
    world.lab.nft(FTP)

    def passive():
        """The outcome of dialling the port that the server has named."""
        outcome, client = world.talk.dial("lan", "10.40.10.1", 21)
        assert outcome == "open"
        server = world.talk.keep(control_server.accept()[0])
        server.sendall(b"220 ready\r\n")
        assert client.recv(100) == b"220 ready\r\n"
        client.sendall(b"PASV\r\n")
        assert server.recv(100) == b"PASV\r\n"
        server.sendall(b"227 Entering Passive Mode (10,40,10,1,200,10)\r\n")
        assert client.recv(100).startswith(b"227")
        return world.talk.reach("lan", "10.40.10.1", 51210)

    try:
        world.use(with_inbound("{ allow: ftp, from: lan }"))
        assert passive() == "dropped"
        listing = world.lab.run("fw", ["nft", "list", "table", "inet", "foreign_helper"]).stdout
        assert "counter packets 0" not in listing, "the helper announced nothing"
        world.use(with_inbound("{ allow: [ftp, 51210/tcp], from: lan }"))
        assert passive() == "open"
    finally:
        world.lab.nft("delete table inet foreign_helper")
