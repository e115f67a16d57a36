# SPDX-License-Identifier: GPL-2.0-or-later
"""`connections` with real connections, alone and together with `limit`, and how what is beyond them
is refused."""

import json
import socket
import struct

import pytest

from conntrack import Conntrack
from lab import wait_until
from talk import exchange
from world import World

SOON = 10  # seconds until there must be room again


@pytest.fixture(scope="module", name="world")
def make_world(tmp_path_factory):
    w = World(tmp_path_factory.mktemp("policy"), foreign=None)
    w.lab.ip("lan", "addr add 10.40.10.22/24 dev eth0\naddr add fd00:40:10::22/64 dev eth0 nodad\n")
    w.ends = {}  # of connections, by the client's port, until somebody asks for them
    with w.lab.inside("fw"):
        w.conntrack = Conntrack()
    yield w
    w.conntrack.close()
    w.close()


@pytest.fixture(autouse=True)
def afresh(world):
    """No connection and no policy of another test."""
    before = len(world.talk.open_sockets)
    yield
    world.talk.close(before)
    world.ends.clear()
    world.use(None)
    world.conntrack.flush()


def policy(*rules, default="drop"):
    text = "".join(f"    - {rule}\n" for rule in rules)
    return f"ringwall: 1\ninbound:\n  default: {default}\n  rules:\n{text}"


class Client:
    """One connection, and the server's end of it once it is asked for."""

    def __init__(self, world, who="lan", port=9000, family=4, source=None):
        self.world, self.port = world, port
        self.outcome, self.socket = world.talk.dial(
            who, world.address("host", family), port, source
        )
        self._server = None
        if self.outcome != "open":
            self.socket.close()  # or it would try again, and take what room there will be

    def server(self):
        ends, at = self.world.ends, self.socket.getsockname()[1]
        while not self._server and at not in ends:
            s, peer = self.world.servers["fw", self.port].accept()
            s.settimeout(SOON)
            ends[peer[1]] = self.world.talk.keep(s)
        self._server = self._server or ends.pop(at)
        return self._server

    def works(self):
        return exchange(self.socket, self.server())

    def close(self):
        """Both ends, each in its turn."""
        self.server()
        self.socket.close()
        self._server.close()

    def reset(self):
        self.server()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


def open_when_there_is_room(world, **client):
    def attempt():
        c = Client(world, **client)
        return c if c.outcome == "open" else None

    return wait_until(attempt, SOON, "room for one more connection")


def outcomes(world, count, **client):
    return [Client(world, **client).outcome for _ in range(count)]


@pytest.mark.parametrize("family", [4, 6])
def test_one_more_than_allowed_is_refused_until_one_is_closed(world, family):
    world.use(policy("{ allow: 9000/tcp, connections: 3 }"))
    clients = [Client(world, family=family) for _ in range(3)]
    assert [c.outcome for c in clients] == ["open"] * 3
    assert outcomes(world, 2, family=family) == ["dropped"] * 2
    assert all(c.works() for c in clients)  # those that are open go on
    clients.pop(0).close()
    clients.append(open_when_there_is_room(world, family=family))
    assert outcomes(world, 1, family=family) == ["dropped"]
    clients.pop(0).reset()
    clients.append(open_when_there_is_room(world, family=family))
    assert outcomes(world, 1, family=family) == ["dropped"]
    assert all(c.works() for c in clients)


def test_a_connection_that_one_side_has_closed_is_open(world):
    world.use(policy("{ allow: 9000/tcp, connections: 1 }"))
    client = Client(world)
    assert client.outcome == "open"
    server = client.server()
    client.socket.close()
    assert server.recv(1) == b""  # the server knows
    assert outcomes(world, 1) == ["dropped"]
    server.close()
    assert open_when_there_is_room(world).works()


def test_both_families_and_all_ports_of_a_rule_count_together(world):
    world.use(policy("{ allow: [9000/tcp, https], connections: 3 }"))
    assert outcomes(world, 1) + outcomes(world, 1, family=6) == ["open"] * 2
    assert outcomes(world, 1, port=443, family=6) == ["open"]
    for port in (9000, 443):
        for family in (4, 6):
            assert outcomes(world, 1, port=port, family=family) == ["dropped"]


def elements(world):
    """What the sets of sources hold."""
    listing = json.loads(world.lab.run("fw", ["nft", "-j", "list", "sets", "inet"]).stdout)
    return [
        e
        for item in listing["nftables"]
        if "set" in item and "-open-" in item["set"]["name"]
        for e in item["set"].get("elem", [])
    ]


def test_each_source_has_its_own_connections(world):
    world.use(policy("{ allow: 9000/tcp, connections: 2 per source }"))
    clients = [Client(world, source="10.40.10.2") for _ in range(2)]
    assert outcomes(world, 1, source="10.40.10.2") == ["dropped"]
    clients += [Client(world, source="10.40.10.22") for _ in range(2)]
    assert outcomes(world, 1, source="10.40.10.22") == ["dropped"]
    clients += [Client(world, who="vpn") for _ in range(2)]
    # two addresses of one /64 are one source, another /64 is another
    clients += [Client(world, family=6, source=f"fd00:40:10::{last}") for last in ("2", "22")]
    assert outcomes(world, 1, family=6, source="fd00:40:10::2") == ["dropped"]
    assert outcomes(world, 1, family=6, source="fd00:40:10::22") == ["dropped"]
    clients += [Client(world, who="vpn", family=6) for _ in range(2)]
    assert [c.outcome for c in clients] == ["open"] * 10
    assert len(elements(world)) == 5
    clients[0].close()
    assert outcomes(world, 1, source="10.40.10.22") == ["dropped"]
    clients[0] = open_when_there_is_room(world, source="10.40.10.2")
    assert all(c.works() for c in clients)
    for c in clients:
        c.close()
    # a source without connections takes up no room
    wait_until(lambda: not elements(world), 30, "the sources without connections to be forgotten")


def test_a_source_keeps_its_connections_when_a_line_is_added(world):
    rule = "{ allow: 9000/tcp, connections: 2 per source }"
    world.use(policy(rule))
    assert outcomes(world, 3) == ["open", "open", "dropped"]
    world.use(policy("{ allow: ssh, in: wg0 }", rule))
    assert outcomes(world, 1) == ["dropped"]


def test_datagrams_count_until_they_are_forgotten(world):
    world.use(policy("{ allow: 7000/udp, connections: 2 }"))
    server, to = world.talk.receive_on("fw", 7000), world.address("host", 4)
    send = lambda port: world.talk.datagram("lan", to, 7000, server, port)
    assert [send(5001), send(5002), send(5003)] == ["arrived", "arrived", "dropped"]
    # nobody has answered, and yet they are the same connections
    assert [send(5001), send(5002), send(5003)] == ["arrived", "arrived", "dropped"]
    world.conntrack.flush()
    assert wait_until(lambda: send(5003) == "arrived", SOON, "room for another")
    assert [send(5001), send(5002)] == ["arrived", "dropped"]


# --- together with limit --------------------------------------------------------------------------


@pytest.mark.parametrize("per_source", ["", " per source"])
def test_what_there_is_no_room_for_uses_up_no_rate(world, per_source):
    world.use(
        policy(f"{{ allow: 9000/tcp, limit: 4/day{per_source}, connections: 2{per_source} }}")
    )
    clients = [Client(world) for _ in range(2)]
    assert outcomes(world, 4) == ["dropped"] * 4
    for c in clients:
        assert c.works()
        c.close()
    more = [open_when_there_is_room(world) for _ in range(2)]
    for c in more:
        c.close()
    # there is room now, but the rate is used up
    assert outcomes(world, 2) == ["dropped"] * 2


def test_a_limit_for_each_source_and_one_for_all(world):
    world.use(policy("{ allow: 9000/tcp, limit: 2/day per source, connections: 3 }"))
    assert outcomes(world, 3, source="10.40.10.2") == ["open", "open", "dropped"]
    assert outcomes(world, 2, source="10.40.10.22") == ["open", "dropped"]
    world.use(policy("{ allow: 9000/tcp, limit: 3/day, connections: 2 per source }"))
    assert outcomes(world, 3, source="10.40.10.2") == ["open", "open", "dropped"]
    assert outcomes(world, 2, source="10.40.10.22") == ["open", "dropped"]


# --- beyond ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("default, refusal", [("drop", "dropped"), ("reject", "refused")])
@pytest.mark.parametrize("limit", ["limit: 2/day", "limit: 2/day per source", "connections: 2"])
@pytest.mark.parametrize("family", [4, 6])
def test_beyond_a_limit_the_default_refuses(world, limit, default, refusal, family):
    world.use(policy(f"{{ allow: 9000/tcp, {limit} }}", default=default))
    clients = [Client(world, family=family) for _ in range(3)]
    assert [c.outcome for c in clients] == ["open", "open", refusal]
    assert all(c.works() for c in clients[:2])


def test_beyond_a_limit_another_rule_may_allow_and_a_deny_refuses(world):
    limited = "{ allow: 9000/tcp, limit: 1/day }"
    world.use(policy(limited, "{ allow: 9000/tcp, from: 10.40.10.22 }"))
    assert outcomes(world, 2, source="10.40.10.22") == ["open"] * 2
    assert outcomes(world, 2, source="10.40.10.2") == ["open", "dropped"]
    world.use(None)  # the limit begins anew
    world.use(policy(limited, "{ deny: 9000/tcp, from: 10.40.10.22 }"))
    assert outcomes(world, 2, source="10.40.10.22") == ["dropped"] * 2
    assert outcomes(world, 2, source="10.40.10.2") == ["open", "dropped"]


def test_two_limits_of_one_port_add_up(world):
    """Which of them is charged first, nobody says."""
    one, two = "{ allow: 9000/tcp, limit: 2/day }", "{ allow: 9000/tcp, limit: 1/day }"
    world.use(policy(one, two))
    assert outcomes(world, 4) == ["open"] * 3 + ["dropped"]
