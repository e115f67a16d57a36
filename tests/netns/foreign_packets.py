# SPDX-License-Identifier: GPL-2.0-or-later
"""Random first packets for foreign_rules.py: what those rules ask for, and the kernel's own edges."""

from dataclasses import dataclass

import packets
from foreign_rules import PORTS, V4, V6
from host import ICMP, ICMPV6, TCP, UDP, Packet, address
from lab import LINKS

STRANGE = {
    4: ["127.0.0.1", "0.0.0.0", "255.255.255.255", "224.0.0.5", "203.0.113.1", "203.0.113.255", "240.0.0.1",
        "0.1.2.3", "192.0.2.1", "10.40.10.1"],
    6: ["::1", "::", "ff02::1", "2001:db8:ffff::1", "fe80::1", "::ffff:1.2.3.4", "2001:db8:99::1"],
}
BRIDGED = {"c1": "c2", "c2": "c1"}
NEAR = {4: 2, 6: 4}  # column of LINKS


@dataclass
class Sent:
    number: int
    peer: str  # None: the host itself
    data: bytes
    protocol: int
    icmp_type: int
    family: int
    destination: str
    to_peer: str = None  # a frame for another port of its bridge


def draw(rng, number, free_ports):
    family = rng.choice((4, 4, 6))
    table = V4 if family == 4 else V6
    peer = rng.choice(list(LINKS)) if rng.random() < 0.9 else None
    protocol = rng.choices((TCP, UDP, ICMP if family == 4 else ICMPV6, 89), (10, 6, 2, 0.5))[0]
    if peer is None:
        source = rng.choice(table["own"][:4])
        destination = rng.choice(table["peer"] + table["far"] + table["own"][:4])
    else:
        source = LINKS[peer][NEAR[family]]
        if rng.random() < 0.25:
            source = rng.choice(table["peer"] + table["far"])
        if rng.random() < 0.06:
            source = rng.choice(STRANGE[family])
        own = [LINKS[peer][1 if family == 4 else 3].split("/")[0]]
        destination = rng.choice(own * 6 + table["own"] + table["peer"] + table["far"])
        if rng.random() < 0.04:
            destination = rng.choice(
                [s for s in STRANGE[family] if not s.startswith(("224.", "ff02", "fe80"))]
            )
    if protocol == 89:
        # without ports a connection is its addresses: each pair once
        if peer is None:
            protocol = UDP
        else:
            source = f"10.40.30.{number % 250 + 1}" if family == 4 else f"fd00:40:30::{number:x}"
            if family == 4 and number > 250:
                protocol = UDP
    to_peer = None
    if peer in BRIDGED and rng.random() < 0.3:
        to_peer = BRIDGED[peer]
        destination = LINKS[to_peer][NEAR[family]]
    port = rng.choice(PORTS)
    if rng.random() < 0.3:
        port = min(65535, max(1, rng.choice((rng.randint(1, 65535), port + rng.choice((-1, 1))))))
    icmp_type = 0
    if protocol in (ICMP, ICMPV6):
        kinds = (8, 8, 8, 0, 13) if protocol == ICMP else (128, 128, 128, 129)
        icmp_type = rng.choice(kinds)
    flags = packets.SYN
    if rng.random() < 0.1:
        flags = rng.choice((packets.ACK, packets.SYN | packets.ACK, packets.FIN | packets.ACK, packets.RST))
    p = Packet(
        family,
        address(source)[1],
        address(destination)[1],
        protocol,
        free_ports.pop(),
        port,
        icmp_type=icmp_type,
        hop_limit=rng.choice((64, 64, 64, 63, 255, 2, 1)),
    )
    segment = packets._segment(p, packets.tag(number) + b"x" * rng.choice((0, 0, 5, 20)), flags)
    tos = rng.choice((0, 0, 0, 8 << 2, 46 << 2))
    data = packets.header_bytes(p, len(segment), tos) + segment
    return Sent(number, peer, data, protocol, icmp_type, family, destination, to_peer)
