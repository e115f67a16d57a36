# SPDX-License-Identifier: GPL-2.0-or-later
"""A packet of the property: its bytes, the question that describes it, and where it must arrive."""

from dataclasses import dataclass, replace

import packets
from host import (
    ESP,
    GRE,
    ICMP,
    ICMPV6,
    IGMP,
    OSPF,
    SCTP,
    TCP,
    UDP,
    WITH_PORTS,
    Packet,
    Situation,
    address_text,
)
from lab import LINKS

NAMES = {
    ICMP: "icmp",
    TCP: "tcp",
    UDP: "udp",
    SCTP: "sctp",
    ICMPV6: "icmpv6",
    ESP: "esp",
    GRE: "gre",
    OSPF: "89",
    IGMP: "igmp",
}


@dataclass
class Probe:
    number: int
    packet: Packet
    at: Situation
    peer: str = None  # who sends it; None: the host itself
    flags: int = packets.SYN
    notrack: bool = False
    quoted: bytes = b""  # the packet that an ICMP error is about
    to_peer: str = None  # bridged: to that peer's link-layer address
    refused: bool = False  # by the kernel itself, before the hooks
    to_all: bool = False  # to a broadcast or an anycast address
    as_dialled: bool = False  # the question leaves it to the policy to translate
    kind: str = ""
    built: frozenset = frozenset()  # the words that a question may use, see built.py

    def bytes(self):
        if self.packet.from_host and self.packet.user is None:
            return packets.tag(self.number)  # the kernel makes the rest
        return packets.packet_bytes(self.packet, self.number, self.flags, self.quoted, self.notrack)

    def arrival(self):
        """Where it is seen if it is accepted: (interface or "here", protocol, destination,
        port)."""
        here = self.at.hook == "input" or self.at.goes_out == "lo"
        p = self.packet
        port = self.at.port if p.protocol in WITH_PORTS else 0
        destination = None if here and p.family == 6 else self.at.destination
        return "here" if here else self.at.goes_out, p.protocol, destination, port

    def can_be_asked(self, policy):
        """A question cannot say that what is delivered here was dialled to a broadcast or an anycast
        address, and so is not forwarded."""
        p = self.packet
        if not self.to_all or p.state != "new":
            return True
        return not any(f.services.contains(p.protocol, p.port, None) for f in policy.forwards)

    def question(self):
        at = self.at
        if self.as_dialled:
            p = at.packet
            at = replace(at, destination=p.destination, port=p.port, translated=False, goes_out=None)
        return question(at, self.built)


def _endpoint(family, value, port):
    text = address_text(family, value)
    if port is None:
        return f"[{text}]" if family == 6 else text
    return f"[{text}]:{port}" if family == 6 else f"{text}:{port}"


def question(at, built=frozenset()):
    """The packet as `ringwall explain` is asked about it."""
    p = at.packet
    ported = p.protocol in WITH_PORTS
    words = [NAMES[p.protocol]]
    source = _endpoint(p.family, p.source, p.source_port if ported else None)
    if p.from_host:
        source = f"host as {source}" if "host as" in built else "host"
    if p.protocol in (ICMP, ICMPV6):
        words.append(str(p.icmp_type))
    words += [
        "from",
        source,
        "to",
        _endpoint(p.family, at.destination, at.port if ported else None),
    ]
    if p.came_in:
        words += ["in", p.came_in]
    if at.goes_out:
        words += ["out", at.goes_out]
    if at.translated:
        words += ["dialled", _endpoint(p.family, p.destination, p.port if ported else None)]
    if p.state != "new":
        words += ["state", p.state]
    if at.source_route != "routed" and not p.from_host:
        words += ["source", at.source_route]
    elif p.came_in and at.source_way != p.came_in:
        words += ["source", "elsewhere"]  # another interface leads back to it
    if p.user is not None:
        words += ["user", str(p.user), "group", str(p.group)]
    if p.hop_limit != 64:
        words += ["hop-limit", str(p.hop_limit)]
    if at.bridged:
        words.append("bridged")
    return " ".join(words)


def quote(p):
    """IP header and eight bytes, as an ICMP error quotes them."""
    whole = packets.packet_bytes(p, 0)
    return whole[: (20 if p.family == 4 else 40) + 8]


@dataclass
class Flow:
    """A UDP exchange through or to the host."""

    peer: str
    other: str  # None: the host itself
    packet: Packet
    answered: bool

    def reply(self):
        p = self.packet
        came_in = LINKS[self.other][0] if self.other else None
        return replace(
            p,
            source=p.destination,
            destination=p.source,
            source_port=p.port,
            port=p.source_port,
            came_in=came_in,
        )
