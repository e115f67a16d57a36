# SPDX-License-Identifier: GPL-2.0-or-later
"""`nat` with real connections: whom the server sees, and where a connection ends."""

import pytest

from conntrack import Conntrack
from lab import wait_until
from program import explain, ringwall
from talk import exchange, host_address, peer_address
from world import PUBLISHED, World

GLOBAL = {"fw": "2001:db8:40::1", "lan": "2001:db8:40::2"}  # a global network behind eth1


@pytest.fixture(scope="module", name="world")
def make_world(tmp_path_factory):
    w = World(tmp_path_factory.mktemp("policy"), foreign=None)
    w.lab.ip("fw", f"addr add {GLOBAL['fw']}/64 dev eth1 nodad\n")
    w.lab.ip("lan", f"addr add {GLOBAL['lan']}/64 dev eth0 nodad preferred_lft 0\n")
    # nobody outside knows the way to the networks behind the host, unless a test says so
    for ns in ("wan", "vpn"):
        w.lab.ip(ns, "route del default\nroute del ::/0\n")
    for ns, ports in (("vpn", (80,)), ("lan", (8443, 9001)), ("c1", (8443,)), ("fw", (8080,))):
        made = w.talk.listen(ns, *ports)
        for port, s in zip(ports, made if isinstance(made, list) else [made]):
            w.servers[ns, port] = s
    # Before its link-local addresses are settled the host looks for no neighbour to which it would
    # send on what others have sent.
    unsettled = ["ip", "-6", "-o", "addr", "show", "tentative"]
    wait_until(lambda: not w.lab.run("fw", unsettled).stdout, 20, "addresses of the host")
    with w.lab.inside("fw"):
        conntrack = Conntrack()
    w.forget_connections = conntrack.flush
    yield w
    conntrack.close()
    w.close()


pytestmark = pytest.mark.usefixtures("tidy")


@pytest.fixture(autouse=True)
def afresh(world):
    """A connection that is known goes where it went before."""
    world.forget_connections()


@pytest.fixture(name="way_back")
def know_the_way_back(world):
    """The outside knows the networks behind the host."""
    batch = ""
    for family, any_ in ((4, "0.0.0.0/0"), (6, "::/0")):
        batch += f"route add {any_} via {host_address('eth0', family)}\n"
    world.lab.ip("wan", batch)
    yield
    world.lab.ip("wan", batch.replace("add", "del"))


def outer(family):
    """The host's addresses on eth0; the kernel takes one of them."""
    return host_address("eth0", family), PUBLISHED[family]


def plain(text):
    """An address as the server sees it: sockets of both families show IPv4 within IPv6."""
    return text.removeprefix("::ffff:")


class Connection:
    """Dials; .outcome, and if it is open: the server that took it, and whom that one sees."""

    def __init__(self, world, who, to, port, source=None, ends=None):
        self.outcome, self.client = world.talk.dial(who, to, port, source)
        self.sees, self.server = None, None
        if self.outcome == "open":
            assert ends, "it was to be refused"
            self.server = world.talk.keep(world.servers[ends].accept()[0])
            self.server.settimeout(10)
            self.sees = plain(self.server.getpeername()[0])
        else:
            self.client.close()  # or it would try again

    def works(self):
        return exchange(self.client, self.server)


ROUTED = """
routed:
  - { allow: http, in: [eth1, eth1.20, eth0] }
"""


# --- masquerade -----------------------------------------------------------------------------------


@pytest.mark.parametrize("family", [4, 6])
def test_those_inside_go_out_under_the_hosts_address(world, family):
    world.use(
        "ringwall: 1\n"
        'zones: { lan: [10.40.10.0/24, "fd00:40:10::/64"] }\n'
        f"nat: [{{ masquerade: lan, out: eth0 }}]\n{ROUTED}"
    )
    to = peer_address("wan", family)
    c = Connection(world, "lan", to, 80, ends=("wan", 80))
    assert c.outcome == "open"  # the server does not know the way to any other address
    assert c.sees in outer(family)
    assert c.works()


@pytest.mark.parametrize("family", [4, 6])
def test_who_is_not_of_the_zone_keeps_its_address(world, way_back, family):
    world.use(
        "ringwall: 1\n"
        'zones: { lan: [10.40.10.0/24, "fd00:40:10::/64"] }\n'
        f"nat: [{{ masquerade: lan, out: eth0 }}]\n{ROUTED}"
    )
    c = Connection(world, "guest", peer_address("wan", family), 80, ends=("wan", 80))
    assert (c.outcome, c.sees) == ("open", peer_address("guest", family))


@pytest.mark.parametrize("family", [4, 6])
def test_what_leaves_elsewhere_keeps_its_address(world, family):
    world.use(
        "ringwall: 1\nnat: [{ masquerade: private, out: wg0 }]\n"
        "routed: [{ allow: http, in: [eth0, eth1, eth1.20] }]\n"
    )
    c = Connection(world, "guest", peer_address("lan", family), 80, ends=("lan", 80))
    assert (c.outcome, c.sees) == ("open", peer_address("guest", family))
    c = Connection(world, "guest", peer_address("vpn", family), 80, ends=("vpn", 80))
    assert (c.outcome, c.sees) == ("open", host_address("wg0", family))


def test_global_addresses_of_ipv6_are_never_translated(world, way_back):
    world.use(
        "ringwall: 1\n"
        'zones: { lan: [10.40.10.0/24, "fd00:40:10::/64", "2001:db8:40::/64"] }\n'
        f"nat: [{{ masquerade: lan, out: eth0 }}]\n{ROUTED}"
    )
    to = peer_address("wan", 6)
    c = Connection(world, "lan", to, 80, source=GLOBAL["lan"], ends=("wan", 80))
    assert (c.outcome, c.sees) == ("open", GLOBAL["lan"])
    c = Connection(world, "lan", to, 80, source=peer_address("lan", 6), ends=("wan", 80))
    assert c.outcome == "open" and c.sees in outer(6)


@pytest.mark.parametrize("family", [4, 6])
def test_this_hosts_own_connections_keep_their_address(world, way_back, family):
    """Even from an address of the zone."""
    world.use(
        "ringwall: 1\n"
        'zones: { lan: [10.40.10.0/24, "fd00:40:10::/64"] }\n'
        f"nat: [{{ masquerade: lan, out: eth0 }}]\n{ROUTED}"
    )
    own = host_address("eth1", family)
    c = Connection(world, "fw", peer_address("wan", family), 80, source=own, ends=("wan", 80))
    assert (c.outcome, c.sees) == ("open", own)


@pytest.mark.parametrize("family", [4, 6])
def test_masquerading_opens_nothing(world, family):
    world.use("ringwall: 1\nnat: [{ masquerade: private, out: eth0 }]\n")
    assert Connection(world, "lan", peer_address("wan", family), 80).outcome == "dropped"
    # (containers may connect outward anyway)
    c = Connection(world, "c1", peer_address("wan", family), 80, ends=("wan", 80))
    assert c.outcome == "open" and c.sees in outer(family)


# --- forward --------------------------------------------------------------------------------------


def server(ns, family, port=None):
    a = peer_address(ns, family)
    if port is None:
        return f'"{a}"'
    return f'"[{a}]:{port}"' if family == 6 else f'"{a}:{port}"'


def forward(what, ns, port=None, rest=""):
    """For both families."""
    return "".join(f"  - {{ forward: {what}, to: {server(ns, f, port)}{rest} }}\n" for f in (4, 6))


def policy(nat, *inbound, rest=""):
    rules = "".join(f"  - {rule}\n" for rule in inbound)
    return f"ringwall: 1\nnat:\n{nat}inbound:\n{rules or '  []'}\n{rest}"


@pytest.mark.parametrize("family", [4, 6])
def test_a_port_is_forwarded_to_another_port_of_a_server(world, way_back, family):
    world.use(policy(forward("8080/tcp", "lan", 80), "{ allow: 8080/tcp }"))
    for where in ("host", "published", "host:eth1"):  # whichever of the host's addresses
        to = world.address(where, family)
        c = Connection(world, "wan", to, 8080, ends=("lan", 80))
        assert (c.outcome, c.sees) == ("open", peer_address("wan", family)), where
        assert c.works()
    # the final port is not what was allowed, nor is the server's own address
    assert Connection(world, "wan", world.address("host", family), 80).outcome == "dropped"
    assert Connection(world, "wan", peer_address("lan", family), 80).outcome == "dropped"


@pytest.mark.parametrize("family", [4, 6])
def test_several_ports_are_forwarded_each_to_itself(world, way_back, family):
    several = forward("[https, 8443/tcp, 9000-9001/tcp]", "lan")
    world.use(policy(several, "{ allow: [https, 8000-9999/tcp] }"))
    for port in (443, 8443, 9001):
        c = Connection(world, "wan", world.address("host", family), port, ends=("lan", port))
        assert (c.outcome, c.sees) == ("open", peer_address("wan", family)), port


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("port", [None, 5354])
def test_datagrams_are_forwarded_and_so_are_the_answers(world, way_back, family, port):
    world.use(policy(forward("5353/udp", "lan", port), "{ allow: 5353/udp }"))
    at_server = world.talk.receive_on("lan", port or 5353)
    client = world.talk.receive_on("wan", 5999, family)
    client.connect((world.address("host", family), 5353))
    client.send(b"question")
    data, peer = at_server.recvfrom(100)
    assert data == b"question" and plain(peer[0]) == peer_address("wan", family)
    at_server.sendto(b"answer", peer)
    assert client.recv(100) == b"answer"


@pytest.mark.parametrize("family", [4, 6])
def test_the_error_of_a_server_comes_back(world, way_back, family):
    world.use(policy(forward("5353/udp", "lan", 5355), "{ allow: 5353/udp }"))
    client = world.talk.receive_on("wan", 5999, family)
    client.connect((world.address("host", family), 5353))
    client.send(b"question")  # nobody listens there
    with pytest.raises(ConnectionRefusedError):
        client.recv(100)


@pytest.mark.parametrize("family", [4, 6])
def test_a_forward_is_of_the_family_of_its_server(world, way_back, family):
    """Connections of the other one end here."""
    nat = f"  - {{ forward: 8080/tcp, to: {server('lan', family, 80)} }}\n"
    world.use(policy(nat, "{ allow: 8080/tcp }"))
    for dialled in (4, 6):
        ends = ("lan", 80) if dialled == family else ("fw", 8080)
        c = Connection(world, "wan", world.address("host", dialled), 8080, ends=ends)
        assert c.outcome == "open", dialled


@pytest.mark.parametrize("family", [4, 6])
def test_a_forward_is_of_the_interfaces_that_it_names(world, way_back, family):
    world.use(policy(forward("443/tcp", "lan", 8443, ", in: eth0"), "{ allow: https }"))
    to = world.address("host", family)
    c = Connection(world, "wan", to, 443, ends=("lan", 8443))
    assert c.outcome == "open"
    c = Connection(world, "guest", to, 443, ends=("fw", 443))  # the host itself
    assert c.outcome == "open"


@pytest.mark.parametrize("family", [4, 6])
def test_forwarding_opens_nothing(world, way_back, family):
    world.use(policy(forward("8080/tcp", "lan", 80), "{ allow: [http, ssh] }"))
    assert Connection(world, "wan", world.address("host", family), 8080).outcome == "dropped"
    world.use(policy(forward("8080/tcp", "lan", 80), "{ allow: 8080/tcp, from: vms }"))
    assert Connection(world, "wan", world.address("host", family), 8080).outcome == "dropped"
    # nor does what lets in what is routed
    world.use(
        policy(forward("8080/tcp", "lan", 80), "{ allow: ssh }", rest="routed: [{ allow: any }]\n")
    )
    assert Connection(world, "wan", world.address("host", family), 8080).outcome == "dropped"


@pytest.mark.parametrize("family", [4, 6])
def test_what_passes_through_to_others_is_not_forwarded(world, way_back, family):
    world.use(
        policy(
            forward("http", "c1", 8443),
            "{ allow: http }",
            rest="routed: [{ allow: http, in: [eth0, eth1] }]\n",
        )
    )
    c = Connection(world, "lan", peer_address("wan", family), 80, ends=("wan", 80))
    assert (c.outcome, c.sees) == ("open", peer_address("lan", family))
    c = Connection(world, "wan", peer_address("lan", family), 80, ends=("lan", 80))
    assert c.outcome == "open"
    c = Connection(world, "wan", world.address("host", family), 80, ends=("c1", 8443))
    assert c.outcome == "open"


def test_a_broadcast_is_not_forwarded(world):
    world.use(policy(forward("5353/udp", "wan"), "{ allow: 5353/udp }"))
    here = world.talk.receive_on("fw", 5353, 4)
    for to in ("10.40.10.255", "255.255.255.255"):
        assert world.talk.datagram("lan", to, 5353, here, 0, True, "eth0") == "arrived"


@pytest.mark.parametrize("family", [4, 6])
def test_a_neighbour_of_the_server_is_answered_through_this_host(world, family):
    """It would get the answer straight from the server otherwise, from an address that it never
    dialled."""
    world.use(policy(forward("8080/tcp", "c2", 80), "{ allow: 8080/tcp }"))
    for where in ("host", "host:docker0"):
        c = Connection(world, "c1", world.address(where, family), 8080, ends=("c2", 80))
        assert (c.outcome, c.sees) == ("open", host_address("docker0", family)), where
        assert c.works()
    # clients of other networks are not
    c = Connection(world, "c3", world.address("host", family), 8080, ends=("c2", 80))
    assert (c.outcome, c.sees) == ("open", peer_address("c3", family))


@pytest.mark.parametrize("family", [4, 6])
def test_a_server_reaches_itself_by_the_hosts_address(world, family):
    world.use(policy(forward("8080/tcp", "lan", 80), "{ allow: 8080/tcp }"))
    for where in ("host", "host:eth1"):
        c = Connection(world, "lan", world.address(where, family), 8080, ends=("lan", 80))
        assert (c.outcome, c.sees) == ("open", host_address("eth1", family)), where
        assert c.works()


@pytest.mark.parametrize("family", [4, 6])
def test_a_protected_service_is_not_exposed_by_a_forward(world, way_back, family):
    protected = "protected: [{ services: 8443/tcp }]\n"
    text = policy(forward("8081/tcp", "c1", 8443), "{ allow: 8081/tcp }")
    world.use(text)
    c = Connection(world, "wan", world.address("host", family), 8081, ends=("c1", 8443))
    assert c.outcome == "open"
    world.use(text + protected)
    assert Connection(world, "wan", world.address("host", family), 8081).outcome == "dropped"
    # by the dialled port just so
    text = policy(forward("8081/tcp", "c1", 80), "{ allow: 8000-8100/tcp, from: anywhere }")
    world.use(text)
    c = Connection(world, "wan", world.address("host", family), 8081, ends=("c1", 80))
    assert c.outcome == "open"
    world.use(text + "protected: [{ services: 8081/tcp }]\n")
    assert Connection(world, "wan", world.address("host", family), 8081).outcome == "dropped"


@pytest.mark.parametrize("family", [4, 6])
def test_this_hosts_own_processes_are_not_forwarded(world, way_back, family):
    world.use(policy(forward("8080/tcp", "lan", 80), "{ allow: 8080/tcp }"))
    for where in ("host", "host:docker0"):
        c = Connection(world, "fw", world.address(where, family), 8080, ends=("fw", 8080))
        assert (c.outcome, c.sees) == ("open", world.address(where, family))
    loopback = {4: "127.0.0.1", 6: "::1"}[family]
    c = Connection(world, "fw", loopback, 8080, ends=("fw", 8080))
    assert (c.outcome, c.sees) == ("open", loopback)
    # nor what they dial elsewhere
    world.use(policy(forward("http", "lan", 8443), "{ allow: http }"))
    c = Connection(world, "fw", peer_address("wan", family), 80, ends=("wan", 80))
    assert c.outcome == "open"


@pytest.mark.parametrize("family", [4, 6])
def test_a_port_is_forwarded_to_another_address_of_this_host(world, way_back, family):
    address_here = host_address("docker0", family)
    to = f'"[{address_here}]:443"' if family == 6 else f'"{address_here}:443"'
    world.use(policy(f"  - {{ forward: 8080/tcp, to: {to} }}\n", "{ allow: 8080/tcp }"))
    c = Connection(world, "wan", world.address("host", family), 8080, ends=("fw", 443))
    assert (c.outcome, c.sees) == ("open", peer_address("wan", family))
    assert Connection(world, "wan", world.address("host", family), 443).outcome == "dropped"


@pytest.mark.parametrize("family", [4, 6])
def test_what_is_forwarded_is_subject_to_anti_spoofing_limits_and_deny(world, way_back, family):
    nat = forward("8080/tcp", "lan", 80)
    to = world.address("host", family)
    world.use(policy(nat, "{ allow: 8080/tcp, limit: 2/day }"))
    outcomes = [Connection(world, "wan", to, 8080, ends=("lan", 80)).outcome for _ in range(3)]
    assert outcomes == ["open", "open", "dropped"]
    world.use(policy(nat, "{ allow: 8080/tcp }", "{ deny: 8080/tcp, in: eth0 }"))
    assert Connection(world, "wan", to, 8080).outcome == "dropped"
    c = Connection(world, "guest", to, 8080, ends=("lan", 80))
    assert c.outcome == "open"


@pytest.mark.parametrize("family", [4, 6])
def test_masquerade_and_forward_together(world, family):
    """A client outside of a server whose way back is the host only because of translation."""
    world.use(
        "ringwall: 1\nnat:\n  - { masquerade: private, out: [eth0, wg0] }\n"
        + forward("8080/tcp", "lan", 80)
        + "inbound: [{ allow: 8080/tcp }]\nrouted: [{ allow: http, in: eth1 }]\n"
    )
    c = Connection(world, "lan", peer_address("vpn", family), 80, ends=("vpn", 80))
    assert (c.outcome, c.sees) == ("open", host_address("wg0", family))
    c = Connection(world, "guest", world.address("host", family), 8080, ends=("lan", 80))
    assert (c.outcome, c.sees) == ("open", peer_address("guest", family))
    assert c.works()


def test_loading_it_again_changes_nothing_and_leaves_connections_alone(world, way_back):
    nat = "  - { masquerade: private, out: eth0 }\n" + forward("8080/tcp", "lan", 80)
    text = policy(nat, "{ allow: 8080/tcp }", rest="routed: [{ allow: http, in: eth1 }]\n")
    world.use(text)
    into = Connection(world, "wan", world.address("host", 4), 8080, ends=("lan", 80))
    out = Connection(world, "lan", peer_address("wan", 4), 80, ends=("wan", 80))
    assert into.works() and out.works()
    assert "nothing changed" in ringwall(world.lab, "load", world.file(text)).stdout
    assert into.works() and out.works()
    # what is not forwarded and masqueraded any more goes on until it is cut
    world.use(policy(forward("8081/tcp", "lan", 80), "{ allow: 8081/tcp }"))
    assert into.works() and out.works()
    assert Connection(world, "wan", world.address("host", 4), 8080).outcome == "dropped"
    assert Connection(world, "lan", peer_address("wan", 4), 80).outcome == "dropped"


def test_explain_follows_a_forward(world):
    world.use(policy(forward("8080/tcp", "lan", 80, ", in: eth0"), "{ allow: 8080/tcp }"))

    def ask(words):
        question = f"tcp from 203.0.113.9 to 203.0.113.1:{words}"
        return explain(world.lab, [question], "--live")[0]

    answer = ask("8080 in eth0")
    assert (answer["verdict"], answer["hook"]) == ("accept", "forward")
    assert ask("80 in eth0")["verdict"] == "drop"
    answer = ask("8080 in wg0")
    assert (answer["verdict"], answer["hook"]) == ("accept", "input")
