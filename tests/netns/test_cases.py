# SPDX-License-Identifier: GPL-2.0-or-later
"""POLICY.md's table "What that means, case by case", with real packets, and what goes with it."""

import errno
import socket

import pytest

from counters import refused
from lab import LINKS
from world import EXAMPLE, MDNS, NOTHING, accept_from, join_mdns, with_inbound

pytestmark = pytest.mark.usefixtures("tidy")

# who, where, port, with the example loaded
ROWS = {
    "LAN client to this host's ssh": ("lan", "host", 22, "open"),
    "VPN client to this host's ssh": ("vpn", "host", 22, "open"),
    "internet to this host's ssh": ("wan", "host", 22, "dropped"),
    "internet to this host's https": ("wan", "host", 443, "open"),
    "internet to a protected service": ("wan", "host", 11434, "dropped"),
    "LAN client to a protected service": ("lan", "host:eth1", 5432, "dropped"),
    "LAN client to a service that is protected but for the LAN": ("lan", "host", 3000, "open"),
    "internet to a service that is protected but for the LAN": ("wan", "host", 3000, "dropped"),
    "internet to 8080, published to a container's 80": ("wan", "host", 8080, "dropped"),
    "internet to 443, published to a container's 5678": ("wan", "published", 443, "dropped"),
    "internet to a container's own address": ("wan", "c1", 80, "dropped"),
    "internet to a container's protected service": ("wan", "c1", 5678, "dropped"),
    "container to the internet": ("c1", "wan", 80, "open"),
    "container to this host's ollama": ("c1", "host:docker0", 11434, "dropped"),
    "container to this host's ssh": ("c1", "host:docker0", 22, "dropped"),
    "container to container on the same bridge": ("c1", "c2", 80, "open"),
    "container to a protected service on the same bridge": ("c1", "c2", 5432, "open"),
    "container to container on another bridge": ("c1", "c3", 80, "open"),
    "container to a protected service on another bridge": ("c1", "c3", 5432, "dropped"),
    "container to this host's published port (hairpin)": ("c1", "host", 8081, "dropped"),
    "this host to a container": ("fw", "c1", 80, "open"),
    "this host to a container's protected service": ("fw", "c1", 5678, "open"),
    "this host to its own address": ("fw", "host", 5432, "open"),
    "VPN client to a LAN machine": ("vpn", "lan", 80, "dropped"),
    "LAN machine to the internet through this host": ("lan", "wan", 80, "dropped"),
    "VM to this host's ssh": ("vm", "host:virbr0", 22, "dropped"),
}


@pytest.fixture(scope="module", name="before")
def reached_before(world):
    """Without ringwall every row is open: what is dropped later, ringwall drops."""
    world.use(None)
    return {
        (row, family): world.reach(who, where, port, family)
        for row, (who, where, port, _) in ROWS.items()
        for family in (4, 6)
    }


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("row", ROWS)
def test_the_row(world, before, row, family):
    assert before[row, family] == "open"
    who, where, port, expected = ROWS[row]
    world.use(EXAMPLE)
    assert world.reach(who, where, port, family) == expected


@pytest.mark.parametrize("family", [4, 6])
def test_two_words_open_a_protected_service_to_containers(world, family):
    policy = with_inbound("{ allow: ollama, from: containers }").replace(
        "[ollama, n8n, postgresql] }",
        "[n8n, postgresql] }\n  - { services: ollama, only-from: containers }",
    )
    world.use(policy)
    assert world.reach("c1", "host:docker0", 11434, family) == "open"
    assert world.reach("lan", "host", 11434, family) == "dropped"
    assert world.reach("c1", "host:docker0", 5432, family) == "dropped"


@pytest.mark.parametrize("family", [4, 6])
def test_a_published_port_is_opened_by_the_port_that_is_dialled(world, family):
    world.use(
        with_inbound("{ allow: 8080/tcp, from: anywhere }", "{ allow: 8081/tcp, from: containers }")
    )
    assert world.reach("wan", "host", 8080, family) == "open"
    assert world.reach("lan", "host:eth1", 8080, family) == "open"
    assert world.reach("c1", "host", 8081, family) == "open"  # hairpin, to a neighbour
    assert world.reach("wan", "host", 8081, family) == "dropped"
    # where it ends opens nothing
    world.use(with_inbound("{ allow: 80/tcp, from: anywhere }"))
    assert world.reach("wan", "host", 8080, family) == "dropped"


@pytest.mark.parametrize("family", [4, 6])
def test_a_route_to_a_container_is_opened_by_routed_alone(world, family):
    to = '[172.17.0.2, "fd00:17::2"]'
    world.use(EXAMPLE + f"routed:\n  - {{ allow: [80/tcp, 5678/tcp], from: internet, to: {to} }}\n")
    assert world.reach("wan", "c1", 80, family) == "open"
    assert world.reach("wan", "c1", 5678, family) == "dropped"  # protected all the same
    assert world.reach("wan", "host", 8080, family) == "dropped"


@pytest.mark.parametrize("family", [4, 6])
def test_a_vpn_client_reaches_the_lan_when_routed_says_so(world, family):
    world.use(EXAMPLE + "routed:\n  - { allow: http, from: vpn, to: lan, in: wg0, out: eth1 }\n")
    assert world.reach("vpn", "lan", 80, family) == "open"
    assert world.reach("vpn", "lan", 443, family) == "dropped"
    assert world.reach("wan", "lan", 80, family) == "dropped"


@pytest.mark.parametrize("family", [4, 6])
def test_a_deny_in_routed_takes_the_containers_way_out(world, family):
    world.use(EXAMPLE + "routed:\n  - { deny: http, from: containers, to: internet }\n")
    assert world.reach("c1", "wan", 80, family) == "dropped"
    assert world.reach("c1", "wan", 443, family) == "open"
    assert world.reach("c1", "c2", 80, family) == "open"


@pytest.mark.parametrize("family", [4, 6])
def test_a_relay_is_inbound_on_its_listening_side_and_outbound_behind(world, family):
    """As docker-proxy: listens on 9000, opens a connection of the host's own to the container."""
    world.use(EXAMPLE)
    assert world.reach("wan", "host", 9000, family) == "dropped"
    world.use(with_inbound("{ allow: 9000/tcp, from: anywhere }"))
    outcome, client = world.talk.dial("wan", world.address("host", family), 9000)
    assert outcome == "open"
    front = world.talk.keep(world.servers["fw", 9000].accept()[0])
    outcome, back = world.talk.dial("fw", world.address("c1", family), 5678)
    assert outcome == "open"
    container = accept_from(world, ("c1", 5678), back)
    client.sendall(b"question")
    back.sendall(front.recv(100))
    assert container.recv(100) == b"question"


# --- datagrams ------------------------------------------------------------------------------------


def receiver(world, port):
    return world.talk.receive_on("fw", port)


@pytest.mark.parametrize("family", [4, 6])
def test_wireguards_own_udp_is_denied_until_it_is_allowed(world, family):
    server = receiver(world, 51820)
    send = lambda who: world.talk.datagram(who, world.address("host", family), 51820, server)
    world.use(EXAMPLE)
    assert send("wan") == "dropped"
    world.use(with_inbound("{ allow: wireguard, in: eth0 }"))
    assert send("wan") == "arrived"
    assert send("lan") == "dropped"


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("port", [53, 67])
def test_a_vms_dhcp_and_dns_are_denied_until_they_are_allowed(world, port, family):
    server = receiver(world, port)
    send = lambda who: world.talk.datagram(
        who, world.address("host:virbr0", family), port, server, 30000
    )
    world.use(EXAMPLE)
    assert send("vm") == "dropped"
    world.use(with_inbound("{ allow: [dhcp, dns], from: vms }"))
    assert send("vm") == "arrived"
    assert send("lan") == "dropped"


def test_a_vms_dhcp_discovery_by_broadcast_is_inbound(world):
    server = world.talk.receive_on("fw", 67, 4)
    send = lambda: world.talk.datagram("vm", "255.255.255.255", 67, server, 68, True, "eth0")
    world.use(EXAMPLE)
    assert send() == "dropped"
    world.use(with_inbound("{ allow: dhcp, from: vms }"))
    assert send() == "arrived"


@pytest.mark.parametrize("family", [4, 6])
def test_syslog_that_nobody_answers_is_judged_packet_by_packet(world, family):
    server = receiver(world, 514)
    send = lambda: world.talk.datagram("lan", world.address("host", family), 514, server, 20514)
    world.use(EXAMPLE)
    assert [send() for _ in range(3)] == ["dropped"] * 3
    world.use(with_inbound("{ allow: syslog, from: lan }"))
    assert [send() for _ in range(3)] == ["arrived"] * 3
    world.use(EXAMPLE)
    assert send() == "dropped"  # never established, so judged by the new policy


@pytest.mark.parametrize("family", [4, 6])
def test_an_mdns_question_is_inbound_and_no_unicast_address_matches_it(world, family):
    server = world.talk.receive_on("fw", 5353, family)
    join_mdns(world, server, family)
    ask = lambda: world.talk.datagram("lan", MDNS[family], 5353, server, 5353, interface="eth0")
    answer = lambda: world.talk.datagram(
        "lan", world.address("host:eth1", family), 5353, server, 5353
    )
    world.use(EXAMPLE)
    assert ask() == "dropped"
    assert answer() == "dropped"  # a unicast answer is a new connection
    world.use(with_inbound('{ allow: mdns, from: anywhere, to: [10.40.10.1, "fd00:40:10::1"] }'))
    assert (ask(), answer()) == ("dropped", "arrived")
    world.use(with_inbound('{ allow: mdns, from: anywhere, to: [224.0.0.251, "ff02::fb"] }'))
    assert (ask(), answer()) == ("arrived", "dropped")
    world.use(with_inbound("{ allow: mdns, in: eth1 }"))  # (IPv6 asks from a link-local address)
    assert (ask(), answer()) == ("arrived", "arrived")


# --- outbound, reject -----------------------------------------------------------------------------


@pytest.mark.parametrize("family", [4, 6])
def test_an_outbound_list_lets_only_that_out_and_refuses_the_rest_at_once(world, family):
    world.use(EXAMPLE + "outbound:\n  - { allow: https, to: internet }\n")
    assert world.reach("fw", "wan", 443, family) == "open"
    assert world.reach("fw", "wan", 80, family) in ("refused", "prohibited")
    assert world.reach("fw", "lan", 443, family) in ("refused", "prohibited")
    assert world.reach("fw", "host", 22, family) in ("refused", "prohibited")  # outbound, too
    assert world.talk.reach("fw", {4: "127.0.0.1", 6: "::1"}[family], 5432) == "open"
    # what others have opened is answered all the same
    assert world.reach("wan", "host", 443, family) == "open"


# This host's own connections to its port 8090 go to a container, as Docker's OUTPUT chain does it.
REDIRECT = """
table ip foreign_output {
    chain OUTPUT { type nat hook output priority -100
        fib daddr type local tcp dport 8090 dnat to 172.17.0.2:80
    }
}
table ip6 foreign_output {
    chain OUTPUT { type nat hook output priority -100
        fib daddr type local tcp dport 8090 dnat to [fd00:17::2]:80
    }
}
"""


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize(
    "outbound, expected",
    [
        ("allow", ["open"]),
        ("[{ deny: http, to: containers }]", ["dropped"]),
        ("[{ allow: http, to: containers }]", ["open"]),
        ("[{ allow: http, out: docker0 }]", ["open"]),
        ("[{ allow: http, out: eth0 }]", ["dropped"]),
        ("[{ allow: [http, 8090/tcp], out: lo }]", ["dropped"]),
        ("[{ allow: 8090/tcp }]", ["refused", "prohibited"]),
        ("[{ allow: http }]", ["open"]),
    ],
)
def test_a_redirected_connection_of_this_host_is_judged_by_where_it_leaves(
    world, outbound, expected, family
):
    world.use(f"ringwall: 1\noutbound: {outbound}\n")
    world.lab.nft(REDIRECT)
    try:
        assert world.reach("fw", "host", 8090, family) in expected
    finally:
        world.lab.nft("delete table ip foreign_output\ndelete table ip6 foreign_output")


@pytest.mark.parametrize("family", [4, 6])
def test_loopback_is_free_whatever_the_policy_says(world, family):
    world.use(NOTHING)
    assert world.talk.reach("fw", {4: "127.0.0.1", 6: "::1"}[family], 22) == "open"
    assert world.reach("fw", "host", 22, family) == "dropped"
    assert world.reach("fw", "c1", 80, family) == "dropped"


@pytest.mark.parametrize("family", [4, 6])
def test_reject_tells_the_client_at_once(world, family):
    world.use(
        "ringwall: 1\ninbound: { default: reject, rules: [{ allow: https, from: anywhere }] }\n"
        "routed: reject\n"
    )
    assert world.reach("wan", "host", 443, family) == "open"
    assert world.reach("wan", "host", 22, family) == "refused"
    assert world.reach("wan", "host", 8080, family) == "refused"  # published
    assert world.reach("wan", "c1", 80, family) == "refused"
    with world.lab.inside("lan"):
        s = world.talk.keep(
            socket.socket(socket.AF_INET if family == 4 else socket.AF_INET6, socket.SOCK_DGRAM)
        )
    s.settimeout(10)
    s.connect((world.address("host", family), 514))
    s.send(b"hello")
    with pytest.raises(OSError) as told:
        s.recv(100)
    assert told.value.errno in (errno.EHOSTUNREACH, errno.EACCES, errno.ECONNREFUSED)


def test_the_ruleset_counts_what_it_refuses(world):
    world.use(EXAMPLE)
    before = refused(world.lab)
    assert world.reach("wan", "host", 22, 4) == "dropped"
    after = refused(world.lab)
    assert after[0] >= before[0] + 1 and after[1] == before[1]


def test_every_interface_of_the_lab_is_in_a_row(world):
    """Nothing in the table is about an interface that does not exist."""
    with world.lab.inside("fw"):
        names = {name for _, name in socket.if_nameindex()}
    assert {link[0] for link in LINKS.values()} <= names
