# SPDX-License-Identifier: GPL-2.0-or-later
"""The ready policies, as they are shipped, with real connections: for each the few that tell whether
it keeps its promise. Without ringwall every one of them gets through."""

import pathlib

import pytest

from lab import LINKS, wait_until
from program import ROOT, ringwall
from world import PUBLISHED, World, accept_from

POLICIES = pathlib.Path(ROOT, "policies")

# The lab under the names that some policies are about: its interface → its new one.
RENAMED = {"eth1": "eth1.10", "wg0": "eth1.30"}  # vlan-router
TUNNELS = {"wg0": "tailscale0", "br-1": "cni0", "virbr0": "flannel.1"}  # tailscale, k3s-node
HOME = {"eth0": "wan0", "eth1": "eth0"}  # where eth0 leads to the network that one is at home in

TAILNET = {4: ("100.64.0.1", "100.64.0.2"), 6: ("fd7a:115c:a1e0::1", "fd7a:115c:a1e0::2")}
PRINTER = {4: "10.40.10.50", 6: "fd00:40:10::50"}
SERVICE = {4: "10.43.0.10", 6: "fd00:43::10"}  # of the cluster; translated to c2's 80

# Who, where, what; open, dropped, or refused (told at once). A place is a peer, "host" (its outer
# address), "host:INTERFACE", or a name of ADDRESSES.
ROWS = {
    "ai-server": [
        ("wan", "host", "443/tcp", "open"),
        ("wan", "host", "22/tcp", "dropped"),
        ("lan", "host:eth1", "22/tcp", "open"),
        ("vpn", "host:wg0", "22/tcp", "open"),
        ("lan", "host:eth1", "3000/tcp", "open"),
        ("lan", "host:eth1", "11434/tcp", "dropped"),
        ("wan", "published", "443/tcp", "dropped"),  # ends at a container's n8n
        ("c1", "host:docker0", "11434/tcp", "dropped"),
        ("wan", "host", "51820/udp", "open"),  # the tunnel that `vpn` comes through
        ("wan", "c1", "80/tcp", "dropped"),  # a container's own address
    ],
    "docker-compose-behind-proxy": [
        ("wan", "host", "443/tcp", "open"),
        ("wan", "host", "80/tcp", "open"),
        ("wan", "host", "443/udp", "open"),
        ("wan", "host", "8080/tcp", "dropped"),  # published to a container's 80
        ("lan", "host:eth1", "8080/tcp", "dropped"),
        ("wan", "published", "443/tcp", "dropped"),  # published to a container's n8n
        ("lan", "host:eth1", "22/tcp", "open"),
        ("wan", "host", "22/tcp", "dropped"),
        ("c1", "c2", "5432/tcp", "open"),  # its database, in one network
        ("c1", "c3", "5432/tcp", "dropped"),  # another one's
        ("wan", "c1", "80/tcp", "dropped"),  # a backend's own address
        ("c1", "wan", "80/tcp", "open"),
    ],
    "home-server": [
        ("lan", "host:eth1", "445/tcp", "open"),
        ("lan", "host:eth1", "8096/tcp", "open"),
        ("lan", "host:eth1", "53/udp", "open"),
        ("wan", "host", "445/tcp", "dropped"),
        ("wan", "host", "443/tcp", "dropped"),
        ("c1", "host:docker0", "445/tcp", "dropped"),
        ("c1", "host:docker0", "53/udp", "open"),
        ("lan", "host:eth1", "5432/tcp", "dropped"),
        ("guest", "host:eth1.20", "445/tcp", "dropped"),  # private, and not the home's
        ("lan", "host:eth1", "3702/udp", "open"),
    ],
    "web-server": [
        ("wan", "host", "443/tcp", "open"),
        ("wan", "host", "443/udp", "open"),
        ("wan", "host", "80/tcp", "open"),
        ("wan", "host", "22/tcp", "dropped"),
        ("lan", "host:eth1", "22/tcp", "open"),
        ("lan", "host:eth1", "5432/tcp", "dropped"),
        ("fw", "wan", "80/tcp", "open"),
        ("fw", "wan", "25/tcp", "refused"),
    ],
    "vlan-router": [
        ("lan", "wan", "80/tcp", "open"),
        ("guest", "wan", "80/tcp", "open"),
        ("vpn", "wan", "80/tcp", "dropped"),  # a thing
        ("guest", "printer", "631/tcp", "open"),
        ("guest", "printer", "80/tcp", "dropped"),
        ("guest", "lan", "80/tcp", "dropped"),
        ("lan", "vpn", "554/tcp", "open"),  # the office to a camera
        ("vpn", "lan", "80/tcp", "dropped"),
        ("vpn", "guest", "80/tcp", "dropped"),
        ("lan", "guest", "80/tcp", "dropped"),
        ("guest", "printer", "9100/tcp", "open"),
        ("wan", "lan", "80/tcp", "dropped"),
        ("guest", "host:eth1.20", "53/udp", "open"),
        ("guest", "host:eth1.20", "22/tcp", "dropped"),
        ("lan", "host:eth1", "22/tcp", "open"),
        ("wan", "host", "53/udp", "dropped"),
    ],
    "vpn-admin": [
        ("wan", "host", "51820/udp", "open"),
        ("vpn", "host:wg0", "22/tcp", "open"),
        ("vpn", "host:wg0", "3000/tcp", "open"),
        ("wan", "host", "22/tcp", "dropped"),
        ("lan", "host:eth1", "22/tcp", "dropped"),
        ("wan", "host", "443/tcp", "dropped"),
    ],
    "tailscale": [
        ("wan", "host", "41641/udp", "open"),
        ("vpn", "tailnet", "22/tcp", "open"),
        ("vpn", "tailnet", "11434/tcp", "open"),
        ("vpn", "host:wg0", "22/tcp", "dropped"),  # its interface, but not its address
        ("vpn", "tailnet", "5432/tcp", "dropped"),
        ("wan", "host", "443/tcp", "dropped"),
        ("lan", "host:eth1", "22/tcp", "dropped"),
    ],
    "gpu-box": [
        ("lan", "host:eth1", "8000/tcp", "open"),
        ("guest", "host:eth1.20", "8000/tcp", "open"),
        ("vpn", "host:wg0", "8000/tcp", "open"),
        ("wan", "host", "8000/tcp", "dropped"),
        ("c1", "host:docker0", "8000/tcp", "dropped"),
        ("guest", "host:eth1.20", "9400/tcp", "open"),  # the monitoring host
        ("lan", "host:eth1", "9400/tcp", "dropped"),
        ("lan", "host:eth1", "22/tcp", "open"),
        ("vpn", "host:wg0", "22/tcp", "dropped"),
    ],
    "libvirt-host": [
        ("vm", "host:virbr0", "67/udp", "open"),
        ("vm", "host:virbr0", "53/udp", "open"),
        ("vm", "host:virbr0", "22/tcp", "dropped"),
        ("vm", "wan", "80/tcp", "open"),
        ("vm", "lan", "80/tcp", "dropped"),
        ("vm", "guest", "80/tcp", "dropped"),
        ("lan", "host:eth1", "22/tcp", "open"),
        ("lan", "vm", "22/tcp", "open"),
        ("wan", "vm", "22/tcp", "dropped"),
        ("lan", "host:eth1", "5900/tcp", "dropped"),
    ],
    "k3s-node": [
        ("wan", "host", "443/tcp", "open"),
        ("wan", "host", "6443/tcp", "dropped"),
        ("lan", "host:eth1", "6443/tcp", "open"),
        ("lan", "host:eth1", "10250/tcp", "open"),
        ("wan", "host", "10250/tcp", "dropped"),
        ("c3", "host:br-1", "6443/tcp", "open"),  # a pod
        ("c3", "host:br-1", "22/tcp", "dropped"),
        ("lan", "host:eth1", "8472/udp", "open"),  # another node's pods, wrapped
        ("wan", "host", "8472/udp", "dropped"),
        ("c3", "host:br-1", "8472/udp", "dropped"),
        ("c3", "service", "80/tcp", "open"),
        ("wan", "service", "80/tcp", "dropped"),
        ("c3", "wan", "80/tcp", "open"),
        ("c3", "vm", "22/tcp", "open"),  # a pod on another node
        ("wan", "host", "8081/tcp", "dropped"),  # a NodePort
    ],
    "cloudflare-tunnel": [
        ("wan", "host", "443/tcp", "dropped"),
        ("lan", "host:eth1", "22/tcp", "dropped"),
        ("fw", "wan", "443/tcp", "open"),
        ("fw", "wan", "7844/tcp", "open"),
        ("fw", "wan", "5432/tcp", "refused"),
        ("fw", "lan", "443/tcp", "refused"),
        ("fw", "c1", "80/tcp", "open"),
        ("c1", "wan", "80/tcp", "open"),
    ],
    "workstation": [
        ("wan", "host", "22/tcp", "dropped"),
        ("lan", "host:eth1", "22/tcp", "dropped"),
        ("lan", "host:eth1", "5353/udp", "open"),
        ("wan", "host", "5353/udp", "dropped"),
        ("lan", "host:eth1", "8080/tcp", "dropped"),  # a container's published port
        ("fw", "wan", "443/tcp", "open"),
        ("fw", "c1", "5432/tcp", "open"),
        ("c1", "wan", "80/tcp", "open"),
    ],
    "lockdown": [
        ("lan", "host:eth1", "22/tcp", "open"),  # the rescue address
        ("vpn", "host:wg0", "22/tcp", "dropped"),
        ("wan", "host", "443/tcp", "dropped"),
        ("fw", "wan", "443/tcp", "dropped"),
        ("c1", "wan", "80/tcp", "dropped"),
        ("vm", "wan", "80/tcp", "dropped"),
        ("fw", "c1", "80/tcp", "dropped"),
    ],
}
WORLDS = {
    "vlan-router": "vlans",
    "tailscale": "tunnels",
    "k3s-node": "tunnels",
    "home-server": "home",
    "libvirt-host": "home",
}

LISTENERS = {
    "fw": (80, 445, 5900, 6443, 8000, 8096, 9400, 10250),
    "wan": (25, 5432, 7844),
    "lan": (631, 9100),
    "guest": (80,),
    "vpn": (554,),
    "vm": (22,),
}
RECEIVERS = (53, 67, 443, 3702, 5353, 8472, 41641, 51820)


def rename(world, names):
    """Under their new names the interfaces have the addresses that they had."""
    for old, new in names.items():
        v4, v6 = next((link[1], link[3]) for link in LINKS.values() if link[0] == old)
        world.lab.ip(
            "fw",
            f"link set {old} down\nlink set {old} name {new}\n"
            f"addr flush dev {new}\naddr add {v4} brd + dev {new}\n"
            f"addr add {v6} dev {new} nodad\nlink set {new} up\n",
        )


def make_home(world):
    rename(world, HOME)
    world.lab.ip(
        "fw",
        f"addr add {PUBLISHED[4]}/24 dev wan0\naddr add {PUBLISHED[6]}/64 dev wan0 nodad\n",
    )


def make_printer(world):
    world.lab.ip(
        "lan", f"addr add {PRINTER[4]}/24 dev eth0\naddr add {PRINTER[6]}/64 dev eth0 nodad\n"
    )


def make_tailnet(world):
    for ns, device, side in (("fw", "tailscale0", 0), ("vpn", "eth0", 1)):
        world.lab.ip(
            ns,
            f"addr add {TAILNET[4][side]}/10 dev {device}\n"
            f"addr add {TAILNET[6][side]}/48 dev {device} nodad\n",
        )


def make_cluster_service(world):
    """As kube-proxy does: a service's address leads to a pod."""
    world.lab.nft(
        f"""
        table inet foreign_service {{
            chain prerouting {{ type nat hook prerouting priority -100
                ip daddr {SERVICE[4]} tcp dport 80 dnat ip to 192.168.122.2:22
                ip6 daddr {SERVICE[6]} tcp dport 80 dnat ip6 to [fd00:122::2]:22
            }}
        }}"""
    )


class Places:
    """One lab in one dress, with the servers that the rows talk to."""

    def __init__(self, folder, dress):
        self.world = world = World(folder)
        self.before = {}  # without ringwall
        self.known = {}  # by policy
        try:
            if dress == "home":
                make_home(world)
            if dress == "vlans":
                rename(world, RENAMED)
                make_printer(world)
            if dress == "tunnels":
                make_home(world)
                rename(world, TUNNELS)
                make_tailnet(world)
                make_cluster_service(world)
            for ns, ports in LISTENERS.items():
                for port in ports:
                    world.servers[ns, port] = world.talk.listen(ns, port)
            self.receivers = {port: world.talk.receive_on("fw", port) for port in RECEIVERS}
        except BaseException:
            world.close()
            raise

    def load(self, name):
        """Anew: what an earlier test has used up of a limit is forgotten."""
        self.world.use(None)
        ringwall(self.world.lab, "load", str(POLICIES / f"{name}.yaml"))
        self.world.forget()

    def address(self, where, family):
        fixed = {"tailnet": TAILNET[family][0], "printer": PRINTER[family]}
        fixed["service"] = SERVICE[family]
        return fixed.get(where) or self.world.address(where, family)

    def try_out(self, who, where, what, family):
        port, protocol = what.split("/")
        address = self.address(where, family)
        if protocol == "tcp":
            outcome = self.world.talk.reach(who, address, int(port))
            return "refused" if outcome == "prohibited" else outcome
        server = self.receivers[int(port)]
        outcome = self.world.talk.datagram(who, address, int(port), server, 40000)
        return "open" if outcome == "arrived" else outcome

    def outcomes(self, name):
        """{(row, family): (without ringwall, with the policy)}"""
        if name not in self.known:
            rows = [(row, family) for row in ROWS[name] for family in (4, 6)]
            self.world.use(None)
            for row in set(rows) - set(self.before):
                self.before[row] = self.try_out(*row[0][:3], row[1])
            self.load(name)
            self.known[name] = {
                (row, family): (self.before[row, family], self.try_out(*row[:3], family))
                for row, family in rows
            }
        return self.known[name]


@pytest.fixture(name="places", scope="module")
def make_places(tmp_path_factory):
    made = {}

    def get(dress):
        """One at a time: the labs' namespaces bear the same names."""
        if dress not in made:
            for places in made.values():
                places.world.close()
            made.clear()
            made[dress] = Places(tmp_path_factory.mktemp("policy"), dress)
        return made[dress]

    yield get
    for places in made.values():
        places.world.close()


def test_every_ready_policy_is_tried_out():
    assert set(ROWS) == {path.stem for path in POLICIES.glob("*.yaml")} - {"catalogue"}


def dress_of(name):
    return WORLDS.get(name, "plain")


TABLE = [
    (name, row, family)
    for name in sorted(ROWS, key=dress_of)
    for row in ROWS[name]
    for family in (4, 6)
]


@pytest.mark.parametrize(
    "name, row, family",
    TABLE,
    ids=[f"{name}: {' '.join(row[:3])} IPv{family}" for name, row, family in TABLE],
)
def test_the_row(places, name, row, family):
    without, outcome = places(dress_of(name)).outcomes(name)[row, family]
    assert without == "open"
    assert outcome == row[3]


@pytest.mark.parametrize("who", ["lan", "guest"])
@pytest.mark.parametrize("family", [4, 6])
def test_from_behind_the_router_one_comes_under_its_address(places, who, family):
    world = places("vlans").world
    own = world.address(who, family)
    routers = (world.address("host", family), PUBLISHED[family])

    def comes_as():
        outcome, client = world.talk.dial(who, world.address("wan", family), 80, source=own)
        assert outcome == "open"
        address = accept_from(world, ("wan", 80), client).getpeername()[0]
        return address.removeprefix("::ffff:")

    world.use(None)
    assert comes_as() == own
    places("vlans").load("vlan-router")
    assert comes_as() in routers


def test_from_office_to_things_one_comes_as_oneself(places):
    world = places("vlans").world
    places("vlans").load("vlan-router")
    outcome, client = world.talk.dial("lan", world.address("vpn", 4), 554)
    assert outcome == "open"
    came = accept_from(world, ("vpn", 554), client).getpeername()[0]
    assert came == f"::ffff:{world.address('lan', 4)}"


def test_the_home_moves_to_another_prefix_and_the_next_load_follows(places):
    world = places("home").world
    old, new = "2001:db8:1", "2001:db8:2"

    def reach(prefix):
        return world.talk.reach("lan", f"{prefix}::1", 445, source=f"{prefix}::2")

    def add(prefix):
        world.lab.ip("fw", f"addr add {prefix}::1/64 dev eth0 nodad\n")
        world.lab.ip("lan", f"addr add {prefix}::2/64 dev eth0 nodad\n")

    add(old)
    places("home").load("home-server")
    assert reach(old) == "open"
    assert world.reach("wan", "host", 445, 6) == "dropped"
    # The provider hands out another one; somebody else may have the old one now.
    add(new)
    world.lab.ip(
        "fw",
        f"addr add {old}::1/128 dev lo nodad\naddr del {old}::1/64 dev eth0\n"
        f"route add {old}::/64 via {world.address('lan', 6)}\n",
    )
    assert reach(new) == "dropped"
    ringwall(world.lab, "load", str(POLICIES / "home-server.yaml"))
    assert reach(new) == "open"
    assert reach(old) == "dropped"


def test_whoever_says_that_he_is_at_home_must_be_there(places):
    world = places("home").world
    world.lab.ip("wan", "addr add 10.40.10.9/32 dev lo\n")
    world.lab.ip("fw", "route add 10.40.10.9/32 via 203.0.113.2\n")
    reach = lambda: world.talk.reach("wan", world.address("host", 4), 445, source="10.40.10.9")
    world.use(None)
    assert reach() == "open"
    places("home").load("home-server")
    assert reach() == "dropped"


@pytest.mark.parametrize("family", [4, 6])
def test_a_client_has_a_hundred_connections_to_the_models_and_no_more(places, family):
    world = places("plain").world
    places("plain").load("gpu-box")
    host, mine = world.address("host:eth1", family), []

    def connect():
        outcome, client = world.talk.dial("lan", host, 8000)
        if outcome == "open":
            mine.append((client, accept_from(world, ("fw", 8000), client)))
        return outcome

    assert [connect() for _ in range(100)] == ["open"] * 100
    assert connect() == "dropped"
    assert world.reach("guest", "host:eth1.20", 8000, family) == "open"  # another one's hundred
    for end in mine.pop():
        end.close()
    # it is counted until the kernel has seen the last of its packets
    wait_until(lambda: connect() == "open", 20, "a place for one more")


@pytest.mark.parametrize("family", [4, 6])
def test_guessing_passwords_ends_after_ten_logins(places, family):
    world = places("plain").world
    places("plain").load("gpu-box")
    outcomes = []
    while len(outcomes) < 40 and "dropped" not in outcomes:
        outcomes.append(world.reach("lan", "host:eth1", 22, family))
    # one more is admitted every six seconds, however long all this takes
    assert outcomes[:10] == ["open"] * 10
    assert outcomes[-1] == "dropped"
