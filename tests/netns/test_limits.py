# SPDX-License-Identifier: GPL-2.0-or-later
"""`limit` with real packets: how many first packets get through in ten seconds, and what is not
charged. All streams flow at once."""

import contextlib
import json
import struct

import pytest

from flood import Flood, Stream, balanced, packet
from host import SCTP, TCP, UDP, Translation, address
from packets import checksum, packet_bytes
from program import ringwall
from wire import Wire, pinned

SECONDS = 10
TOLERANCE = 0.05  # of what the rate admits

HOST = {4: "10.40.10.1", 6: "fd00:40:10::1"}
PUBLISHED, CONTAINER = "203.0.113.7", "172.17.0.2"

POLICY = """
ringwall: 1
settings: { antispoof: off }
inbound:
  - { allow: 7001/tcp, limit: 50/second burst 50 }
  - { allow: 7002/udp, limit: 1200/minute burst 40 }
  - { allow: [7003/tcp, 7004-7005/udp, 7006/sctp], limit: 60/second }
  - { allow: 7007/tcp, limit: 20/second burst 20 per source }
  - { allow: 7008/udp, limit: 30/second, in: eth1 }
  - { allow: 7008/udp, from: 10.40.10.80 }
  - { allow: any, from: 10.40.10.81, in: eth1 }
  - { deny: 7008/udp, from: 10.40.10.66 }
  - { allow: 7009/udp, limit: 20/second }
  - { allow: 7010/tcp, limit: 20/second per source }
  - { allow: 7011/udp, limit: 30/second burst 45 }
outbound:
  default: reject
  rules:
    - { allow: 7012/udp, limit: 40/second }
routed:
  - { allow: 7013/udp, limit: 40/second burst 100, in: eth1, out: eth0 }
"""

# Nothing answers the SYNs to 7010.
MUTE = """
table inet foreign_mute {
    chain out { type filter hook output priority -300
        tcp sport 7010 drop
    }
}
"""


def lan(source, protocol, port, rate, to=None, **rest):
    to = to or HOST[6 if ":" in source else 4]
    return Stream(packet(source, to, protocol, port), rate, **rest)


def own(to, port, rate):
    return Stream(packet(HOST[4], to, UDP, port, peer=None), rate, peer=None)


# Streams that one limit is for: rate, burst, and each stream, together three times what is let in.
# (While the sender is held up no more than the burst comes back: it is of a second, at least.)
LIMITED = {
    "tcp": (50, 50, [lan("10.40.10.2", TCP, 7001, 160)]),
    "udp, a rate by the minute": (20, 40, [lan("10.40.10.2", UDP, 7002, 70)]),
    "three protocols, four ports and both families": (
        60,
        60,
        [
            lan("10.40.10.2", TCP, 7003, 50),
            lan("fd00:40:10::2", TCP, 7003, 50),
            lan("10.40.10.3", UDP, 7004, 40),
            lan("fd00:40:30::2", UDP, 7005, 40),
            lan("10.40.10.4", SCTP, 7006, 20),
        ],
    ),
    "a source": (20, 20, [lan("10.40.10.20", TCP, 7007, 65)]),
    "another source": (20, 20, [lan("10.40.10.21", TCP, 7007, 65)]),
    "two addresses of one /64": (
        20,
        20,
        [
            lan("fd00:40:10::20", TCP, 7007, 35),
            lan("fd00:40:10::fedc:ba98:7654:3210", TCP, 7007, 35),
        ],
    ),
    "another /64": (20, 20, [lan("fd00:40:30::20", TCP, 7007, 65)]),
    "a port that others use without a limit": (30, 30, [lan("10.40.10.2", UDP, 7008, 100)]),
    "a port with connections that nobody answers": (20, 20, [lan("10.40.10.2", UDP, 7009, 65)]),
    "a source with connections that nobody answers": (20, 20, [lan("10.40.10.2", TCP, 7010, 65)]),
    "a port that is published, too": (
        30,
        45,
        [
            lan("10.40.10.2", UDP, 7011, 50),
            lan("10.40.10.2", UDP, 7011, 50, to=PUBLISHED),
        ],
    ),
    "outbound": (40, 40, [own("10.40.10.2", 7012, 130)]),
    "routed": (40, 100, [lan("10.40.10.2", UDP, 7013, 140, to="203.0.113.2")]),
}

# What is admitted beside, and uses up none of the limits above.
FREE = {
    "a rule without a limit": lan("10.40.10.80", UDP, 7008, 50),
    "a rule for everything without a limit": lan("10.40.10.81", UDP, 7008, 50),
    "one-way datagrams": lan("10.40.10.2", UDP, 7009, 100, fresh=False),
    "a SYN that is repeated": lan("10.40.10.2", TCP, 7010, 100, fresh=False),
}
REFUSED = {"what a deny is about": lan("10.40.10.66", UDP, 7008, 50)}

# What is free first, so that the burst has room for the one packet that counts.
ALL = [*FREE.values(), *REFUSED.values(), *(s for _, _, list_ in LIMITED.values() for s in list_)]


@pytest.fixture(scope="module", name="wire")
def make_wire(tmp_path_factory):
    w = Wire()
    w.path = str(tmp_path_factory.mktemp("policy") / "policy.yaml")
    yield w
    w.close()


def load(wire, text):
    with open(wire.path, "w", encoding="utf-8") as f:
        f.write(text)
    return ringwall(wire.lab, "load", wire.path).stdout


@pytest.fixture(scope="module", name="flowed")
def flow_once(tmp_path_factory):
    """Where the machine stood still for longer than a burst makes up for, nothing is measured: what
    was due meanwhile came too late to be admitted. Again then, in a new world."""
    enough = min(burst / rate for rate, burst, _ in LIMITED.values()) / 2
    for _ in range(4):
        for s in ALL:
            s.sent, s.passed, s.numbers, s.first, s.last = 0, 0, [], 0.0, 0.0
        with contextlib.closing(Wire()) as w:
            w.path = str(tmp_path_factory.mktemp("policy") / "policy.yaml")
            flood = flow(w)
        if flood.longest < enough:
            break
    return flood


def flow(wire):
    load(wire, POLICY)
    to, final = address(PUBLISHED)[1], address(CONTAINER)[1]
    wire.translate([Translation(4, UDP, to, 7011, final, 7011)])
    wire.lab.nft(MUTE)
    flood, before = Flood(wire), wire.refused()
    with pinned():
        flood.run(ALL, SECONDS)
    balanced(flood, ALL, before)
    wire.lab.nft("delete table inet foreign_mute")
    wire.translate([])
    return flood


@pytest.mark.parametrize("name", LIMITED)
def test_a_limit_admits_its_burst_and_then_its_rate(flowed, name):
    rate, burst, streams = LIMITED[name]
    sent, passed = sum(s.sent for s in streams), sum(s.passed for s in streams)
    seconds = max(s.last for s in streams) - min(s.first for s in streams)
    assert seconds >= SECONDS * 0.95 and sent >= 3 * rate * SECONDS
    off = (passed - burst - rate * seconds) / (rate * seconds)
    print(f"{off:+.2%} of {rate} a second")
    assert abs(off) <= TOLERANCE, f"{passed} of {sent} in {seconds:.2f} s"


def test_those_who_share_a_limit_share_it_whoever_comes_first(flowed):
    """No port and no family is left without."""
    for name in LIMITED:
        assert all(s.passed > 0 for s in LIMITED[name][2]), name


@pytest.mark.parametrize("name", FREE)
def test_no_limit_is_charged_for(flowed, name):
    assert FREE[name].passed == FREE[name].sent == FREE[name].rate * SECONDS


def test_a_deny_wins_over_a_limit_that_is_not_reached(flowed):
    for stream in REFUSED.values():
        assert (stream.sent, stream.passed) == (stream.rate * SECONDS, 0)


# --- the table of sources -------------------------------------------------------------------------

ROOM = 65536  # sources that a rule remembers, a family
FULL = """
ringwall: 1
settings: { antispoof: off }
inbound:
  - { allow: 7001/udp, limit: 2/day per source }
"""
FURTHER = FULL.replace("inbound:\n", "inbound:\n  - { allow: 7002/udp, in: eth0 }\n")


def untracked(source):
    """Without connection tracking, which would have to remember as many."""
    return lan(source, UDP, 7001, 1, notrack=True)


def fill(wire, flood, stream):
    """One packet from each of 65536 further sources."""
    frame = bytearray(packet_bytes(stream.packet, 0, notrack=True))
    frame[26:28] = b"\0\0"  # no checksum of UDP
    with pinned():
        for low in range(ROOM):
            struct.pack_into("!H", frame, 14, low)
            frame[10:12] = b"\0\0"
            struct.pack_into("!H", frame, 10, checksum(bytes(frame[:20])))
            flood.send_frame("lan", bytes(frame))
        flood.settle([])


def counted(wire):
    """Packets that were admitted, and those for whose source there was no room. (nft lists the
    sources with the rules, which takes its time.)"""
    admitted = no_room = 0
    shown = json.loads(ringwall(wire.lab, "show", "--live", "--json").stdout)
    for chain in shown["chains"]:
        for rule in chain["rules"] if chain["name"].startswith("limited-") else []:
            if rule.get("rule", "").startswith("no room for its source"):
                no_room += rule["packets"]
            elif rule["verdict"] == "accept":
                admitted += rule.get("packets", 0)
    return admitted, no_room


def test_a_full_table_refuses_further_sources_and_says_so(wire):
    load(wire, FULL)
    flood = Flood(wire)
    fill(wire, flood, untracked("11.0.0.0"))
    assert counted(wire) == (ROOM, 0)
    stranger, known = untracked("10.40.10.9"), untracked("11.0.255.255")
    assert flood.burst(stranger, count=3) == 0
    assert counted(wire)[1] == 3
    assert flood.burst(known, count=2) == 1  # one of its two was left
    assert counted(wire)[1] == 3
    assert flood.burst(untracked("fd00:40:10::9")) == 1  # another table
    # a line above: the sources stay known
    load(wire, FURTHER)
    assert flood.burst(known) == flood.burst(stranger) == 0
    assert counted(wire)[1] == 1


def test_loading_keeps_what_a_source_has_used_up(wire):
    load(wire, FULL.replace("7001", "7003"))
    flood, known = Flood(wire), lan("10.40.10.9", UDP, 7003, 1)
    assert flood.burst(known, count=3) == 2
    load(wire, FURTHER.replace("7001", "7003"))
    assert flood.burst(known) == 0
    assert "nothing changed" in load(wire, FURTHER.replace("7001", "7003"))
    assert flood.burst(known) == 0
    # another limit is another rule
    load(wire, FURTHER.replace("7001", "7003").replace("2/day", "3/day"))
    assert flood.burst(known) == 1
