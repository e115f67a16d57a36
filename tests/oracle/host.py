# SPDX-License-Identifier: GPL-2.0-or-later
"""A Linux host as far as POLICY.md needs one: which addresses are its own, where a packet leaves,
whether anything leads back to a source; and what the kernel does to a packet before any policy sees
it (translation by other programs' tables, and the packets that it refuses by itself).

Addresses are plain integers beside their family (4 or 6)."""

import ipaddress
from dataclasses import dataclass, field, replace
from functools import lru_cache

ICMP, IGMP, TCP, UDP, GRE, ESP, ICMPV6, OSPF, SCTP = 1, 2, 6, 17, 47, 50, 58, 89, 132
WITH_PORTS = {TCP, UDP, SCTP}
BITS = {4: 32, 6: 128}


@lru_cache(maxsize=65536)
def address(text):
    """ "10.0.0.1" -> (4, 167772161)"""
    a = ipaddress.ip_address(text)
    return a.version, int(a)


@lru_cache(maxsize=65536)
def address_text(family, value):
    return str(ipaddress.IPv4Address(value) if family == 4 else ipaddress.IPv6Address(value))


@lru_cache(maxsize=4096)
def network(text):
    """ "10.0.0.0/8" -> (4, first, last)"""
    n = ipaddress.ip_network(text)
    return n.version, int(n.network_address), int(n.broadcast_address)


def interface_matches(patterns, name):
    """POLICY.md: "a final * is a wildcard" """
    if name is None:
        return False
    return any(name.startswith(p[:-1]) if p.endswith("*") else name == p for p in patterns)


def inside(family, value, text):
    f, first, last = network(text)
    return f == family and first <= value <= last


def is_loopback(family, value):
    return inside(family, value, "127.0.0.0/8") or inside(family, value, "::1/128")


def is_link_local(family, value):
    return inside(family, value, "169.254.0.0/16") or inside(family, value, "fe80::/10")


def is_multicast(family, value):
    return inside(family, value, "224.0.0.0/4") or inside(family, value, "ff00::/8")


@dataclass(frozen=True)
class Packet:
    """A packet as its sender made it; what the kernel adds is in Situation."""

    family: int
    source: int
    destination: int
    protocol: int
    source_port: int = 0  # an ICMP echo's id
    port: int = 0  # destination port, where the protocol has ports
    icmp_type: int = 0
    came_in: str = None  # interface (the bridge, not its port); None: sent by this host
    hop_limit: int = 64
    state: str = "new"  # conntrack's word: new, established, related, invalid, untracked
    error: bool = False  # related: an ICMP error, not a connection that a helper announced
    frame_to: str = None  # a bridged frame: the other port's interface (of the same bridge)
    user: int = None  # who owns the sending socket; None: the kernel, or it comes from elsewhere
    group: int = None

    @property
    def from_host(self):
        return self.came_in is None


@dataclass(frozen=True)
class Situation:
    """A packet at the hook where it is judged."""

    packet: Packet
    hook: str  # input, forward, output; none: the kernel refuses it before
    destination: int  # where it goes now ...
    port: int
    translated: bool  # ... because the kernel translated what the client dialled
    goes_out: str = None  # interface, of forward and output
    bridged: bool = False
    source_route: str = "routed"  # routed, unrouted, own
    source_way: str = None  # the interface that leads back to the source; None: none does


@dataclass
class Interface:
    name: str
    addresses: list = field(default_factory=list)  # "10.40.10.1/24"
    is_bridge: bool = False


@dataclass
class Translation:
    """One rule of a foreign nat table: dialled -> final. A port 0 stands for every port."""

    family: int
    protocol: int
    dialled: int
    dialled_port: int
    final: int
    final_port: int
    own: bool = False  # of what this host's own processes dial, too


class Host:
    def __init__(
        self,
        interfaces,
        routes=(),
        translations=(),
        groups=(),
        accept_local=False,
        route_localnet=False,
    ):
        """routes: ("198.51.100.0/24", "eth0") beside those that the addresses bring along.
        groups: ("224.0.0.251", "eth0"), joined on that interface."""
        self.interfaces = {i.name: i for i in interfaces}
        self.accept_local, self.route_localnet = accept_local, route_localnet
        self.own, self.broadcasts, self.anycast = set(), set(), set()
        self.groups = {(*address(group), name) for group, name in groups}
        self.routes = []
        self.on_link = []  # (interface, (family, first, last)) of each route without a gateway
        self.forwards = []  # the policy's own, see words.Forward
        for i in interfaces:
            for text in i.addresses:
                self._add_address(i, ipaddress.ip_interface(text))
        for text, name in routes:
            self.add_route(text, name)
        self.translations = {}
        for t in translations:
            self.add_translation(t)

    def _add_address(self, interface, a):
        n = a.network
        self.own.add((a.version, int(a.ip)))
        if interface.name == "lo":
            return
        if a.version == 4 and n.prefixlen < 31:
            self.broadcasts.add((4, int(n.broadcast_address)))
        # A router answers for the subnet-router anycast address, too (RFC 4291).
        if a.version == 6 and n.prefixlen < 127:
            self.anycast.add((6, int(n.network_address)))
        self.add_route(str(n), interface.name, on_link=True)

    def add_route(self, text, name, on_link=False):
        if on_link:
            self.on_link.append((name, network(text)))
        self.routes.append((*network(text), name))
        self.routes.sort(key=lambda r: r[2] - r[1])

    def add_translation(self, t):
        self.translations[t.family, t.protocol, t.dialled, t.dialled_port] = t

    def is_own(self, family, value):
        return (family, value) in self.own

    def is_delivered(self, family, value, came_in):
        """ "connections that are delivered here (to this host's addresses, its broadcasts, the
        groups it joined)" """
        key = family, value
        return (
            key in self.own
            or key in self.broadcasts
            or key in self.anycast
            or (*key, came_in) in self.groups
            or key == (4, 0xFFFFFFFF)
            or inside(family, value, "127.0.0.0/8")
        )

    def way_out(self, family, value):
        """The interface that leads to the address; None: nothing does."""
        if self.is_own(family, value) or is_loopback(family, value):
            return "lo"
        for f, first, last, name in self.routes:
            if f == family and first <= value <= last:
                return name
        return None

    def source_route(self, family, value):
        if self.is_own(family, value) or is_loopback(family, value):
            return "own"
        return "unrouted" if self.way_out(family, value) is None else "routed"

    def translate(self, p):
        """(final address, final port, translated); identity is no translation."""
        if p.state in ("untracked", "invalid") or p.frame_to:
            return p.destination, p.port, False
        ported = p.protocol in WITH_PORTS
        t = self.translations.get((p.family, p.protocol, p.destination, p.port if ported else 0))
        if t is not None and (t.own or not p.from_host):
            final, final_port = t.final, t.final_port
        else:
            final, final_port = self._forward(p)
        final_port = final_port if ported and final_port else p.port
        return final, final_port, (final, final_port) != (p.destination, p.port)

    def _forward(self, p):
        """POLICY.md: nat: "Only connections dialled to this host's own unicast addresses are
        forwarded ... this host's own processes are not translated" """
        own = self.is_own(p.family, p.destination) or is_loopback(p.family, p.destination)
        for f in self.forwards if own and not p.from_host else ():
            arrives = not f.arrives_on or interface_matches(f.arrives_on, p.came_in)
            if arrives and f.family == p.family and f.services.contains(p.protocol, p.port, None):
                return f.address, f.port
        return p.destination, p.port

    def situate(self, p):
        destination, port, translated = self.translate(p)
        at = Situation(
            p,
            "none",
            destination,
            port,
            translated,
            source_route=self.source_route(p.family, p.source),
            source_way=self.way_out(p.family, p.source),
        )
        if p.frame_to:
            return replace(at, hook="forward", goes_out=p.frame_to, bridged=True)
        if p.from_host:
            way = self._way_of_own(p, destination)
            return replace(at, hook="output" if way else "none", goes_out=way)
        if self._refuses_source(p):
            return at
        if self.is_delivered(p.family, destination, p.came_in):
            return (
                at
                if self._refuses_delivery(p, destination, translated)
                else replace(at, hook="input")
            )
        if self._refuses_forwarding(p, destination):
            return at
        way = self.way_out(p.family, destination)
        return replace(at, hook="forward" if way else "none", goes_out=way)

    def _way_of_own(self, p, destination):
        return None if is_multicast(p.family, destination) else self.way_out(p.family, destination)

    # What the kernel refuses before the hooks (measured; routing's "martians").

    def _refuses_source(self, p):
        if p.came_in == "lo":
            return False
        if is_multicast(p.family, p.source):
            return True
        if p.family == 6:
            return is_loopback(6, p.source) or is_loopback(6, p.destination)
        if p.source == 0:
            return p.destination != 0xFFFFFFFF
        if p.source == 0xFFFFFFFF:
            return True
        if inside(4, p.source, "127.0.0.0/8"):
            return not self.route_localnet
        return self.is_own(4, p.source) and not self.accept_local

    def _refuses_delivery(self, p, destination, translated):
        return (
            p.family == 4
            and p.came_in != "lo"
            and not self.route_localnet
            and inside(4, destination, "127.0.0.0/8")
        )

    def _refuses_forwarding(self, p, destination):
        if p.hop_limit <= 1 or is_multicast(p.family, destination):
            return True
        if p.family == 4:
            return (
                p.source == 0
                or inside(4, destination, "0.0.0.0/8")
                or inside(4, destination, "240.0.0.0/4")
            )
        return (
            p.source == 0
            or is_link_local(6, p.source)
            or is_link_local(6, destination)
            or destination == 0
        )
