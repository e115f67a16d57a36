# SPDX-License-Identifier: GPL-2.0-or-later
"""Zones that are `connected`, and `counters: each`, with real packets."""

import json

from fixtures import world_for
from host import UDP, Packet, address
from program import explain, ringwall

POLICY = """ringwall: 1
settings: { antispoof: off }
zones:
  home: { connected: [eth1], addresses: [192.0.2.0/24] }
  guests: { connected: ["eth1.*"], except: 10.40.20.128/25 }
  inside: { connected: [eth1], interfaces: [eth1] }
inbound:
  - { allow: ssh, from: home }
  - { allow: 7000/udp, from: home }
  - { allow: 7001/udp, from: guests }
  - { allow: 7002/udp, from: inside }
"""

make_world = world_for("function", foreign=None)


def load(world, text=POLICY):
    world.forget()
    world.use(text)


class Knocker:
    """Who gets through to a port of the host, by the address that it says it has."""

    def __init__(self, world):
        self.world = world
        self.raw = {family: world.raw(family, UDP) for family in (4, 6)}

    def __call__(self, source, port=7000, ns="lan"):
        family, value = address(source)
        to = address(self.world.address("host", family))[1]
        p = Packet(family, value, to, UDP, 5000, port)
        return self.world.fate(ns, p, self.raw[family]) == "arrived"


def elements(world, name):
    """What a set holds → packets that each element counts (None: it does not)."""
    done = world.lab.run("fw", ["nft", "-j", "list", "set", "inet", "ringwall", name])
    (held,) = [item["set"] for item in json.loads(done.stdout)["nftables"] if "set" in item]
    found = {}
    for e in held.get("elem", []):
        counted = isinstance(e, dict) and "elem" in e
        value = e["elem"]["val"] if counted else e
        if isinstance(value, dict) and "prefix" in value:
            value = f"{value['prefix']['addr']}/{value['prefix']['len']}"
        elif isinstance(value, dict) and "range" in value:
            value = "-".join(value["range"])
        found[value] = e["elem"]["counter"]["packets"] if counted else None
    return found


# --- connected ------------------------------------------------------------------------------------


def test_a_connected_zone_is_what_is_on_link(world):
    load(world)
    knock = Knocker(world)
    for family in (4, 6):
        assert world.reach("lan", "host:eth1", 22, family) == "open"
        assert world.reach("wan", "host", 22, family) == "dropped"
    assert knock("10.40.10.77") and knock("fd00:40:10::77")
    assert knock("10.40.10.77", ns="wan")  # by its address alone
    assert knock("192.0.2.9")  # and what the zone holds beside
    assert not knock("10.40.11.1") and not knock("fd00:40:11::1")
    assert not knock("10.40.20.2", ns="guest")  # eth1.20 is not eth1
    # a wildcard, and what is taken away from it
    assert knock("10.40.20.2", 7001, "guest") and knock("fd00:40:20::2", 7001, "guest")
    assert not knock("10.40.20.200", 7001, "guest")
    assert not knock("10.40.10.2", 7001)
    # with the interface both must match
    assert knock("10.40.10.2", 7002) and not knock("10.40.10.2", 7002, "wan")
    assert not knock("192.0.2.9", 7002)


def test_the_next_load_follows_the_networks(world):
    load(world)
    knock = Knocker(world)
    path = f"{world.folder}/policy.yaml"
    world.lab.ip(
        "fw",
        "addr add 10.50.0.1/24 dev eth1\naddr add fd00:50::1/64 dev eth1 nodad\n"
        "addr del 10.40.10.1/24 dev eth1\naddr del fd00:40:10::1/64 dev eth1\n",
    )
    # not before: this host's program is not told
    assert knock("10.40.10.2") and not knock("10.50.0.2") and not knock("fd00:50::2")
    plan = ringwall(world.lab, "plan", path, check=False)
    assert plan.returncode == 8 and "home (IPv4 addresses)" in plan.stdout
    load(world)
    assert knock("10.50.0.2") and knock("fd00:50::2")
    assert not knock("10.40.10.2") and not knock("fd00:40:10::2")
    assert ringwall(world.lab, "plan", path, check=False).returncode == 0
    question = "udp from 10.50.0.2 to 7000 in eth1"
    assert explain(world.lab, [question], "--live")[0]["verdict"] == "accept"


def test_no_router_makes_the_world_local(world):
    """Nothing wider than /8 and /48, nothing by way of a gateway, nothing link-local counts."""
    world.lab.ip(
        "fw",
        "route add 0.0.0.0/0 dev eth1\nroute add 10.0.0.0/7 dev eth1\n"
        "route add ::/0 dev eth1\nroute add 2000::/3 dev eth1\nroute add fd00::/47 dev eth1\n"
        "route add 198.51.100.0/24 via 10.40.10.2 dev eth1\n"
        "route add fd00:77::/64 via fd00:40:10::2 dev eth1\n"
        "addr add 169.254.7.1/16 dev eth1\naddr add fe80::77/64 dev eth1 nodad\n"
        "route add 12.0.0.0/8 dev eth1\nroute add fd00:80::/48 dev eth1\n"
        "route add unreachable 13.0.0.0/8\n",
    )
    load(world)
    assert set(elements(world, "home-ipv4")) == {"10.40.10.0/24", "12.0.0.0/8", "192.0.2.0/24"}
    assert set(elements(world, "home-ipv6")) == {"fd00:40:10::/64", "fd00:80::/48"}
    knock = Knocker(world)
    for source in ("10.40.11.1", "11.0.0.1", "198.51.100.1", "8.8.8.8", "169.254.7.2"):
        assert not knock(source), source
    for source in ("fd00:1::1", "2001:db8::1", "fd00:77::1", "fe80::2"):
        assert not knock(source), source
    assert knock("12.1.2.3") and knock("fd00:80:0:1::1")


def test_without_a_network_a_connected_zone_is_nobody(world):
    """And it is not everybody."""
    text = "ringwall: 1\nzones: { home: { connected: [eth7] } }\n"
    load(world, text + "inbound: [{ allow: ssh, from: home }]\n")
    for family in (4, 6):
        assert world.reach("lan", "host", 22, family) == "dropped"
    load(world, text + "inbound: [{ allow: ssh }, { deny: ssh, from: home }]\n")
    for family in (4, 6):
        assert world.reach("lan", "host", 22, family) == "open"


# --- counters: each -------------------------------------------------------------------------------

EACH = """ringwall: 1
settings: { counters: each, antispoof: off }
zones:
  some: [10.40.10.0/28, 10.40.10.64-10.40.10.70, "fd00:40:10::/64"]
inbound:
  - { allow: 7000/udp, from: some }
"""
MANY = "".join(f"  - {{ allow: 7001/udp, from: 203.0.113.{n} }}\n" for n in range(100, 110))


def test_each_element_counts_what_it_let_in(world):
    load(world, EACH + MANY)
    assert elements(world, "some-ipv4") == {"10.40.10.0/28": 0, "10.40.10.64-10.40.10.70": 0}
    knock = Knocker(world)
    assert knock("10.40.10.2") and knock("10.40.10.3") and knock("10.40.10.66")
    assert not knock("10.40.10.99")
    assert knock("fd00:40:10::9")
    assert elements(world, "some-ipv4") == {"10.40.10.0/28": 2, "10.40.10.64-10.40.10.70": 1}
    assert elements(world, "some-ipv6") == {"fd00:40:10::/64": 1}
    # of rules that became one rule each counts for itself
    assert knock("203.0.113.103", 7001, "wan")
    listing = world.lab.run("fw", ["nft", "list", "table", "inet", "ringwall"]).stdout
    assert "203.0.113.103 counter packets 1 bytes" in listing
    assert "203.0.113.104 counter packets 0 bytes" in listing
    # loading it again resets nothing
    assert "nothing changed" in ringwall(world.lab, "load", world.file(EACH + MANY)).stdout
    assert elements(world, "some-ipv4")["10.40.10.0/28"] == 2


def test_the_other_words_of_counters(world):
    load(world, EACH.replace("each", "rules"))
    assert set(elements(world, "some-ipv4").values()) == {None}
    load(world, EACH.replace("each", "off"))
    listing = world.lab.run("fw", ["nft", "list", "table", "inet", "ringwall"]).stdout
    assert not [line for line in listing.splitlines() if "counter" in line and "7000" in line]
