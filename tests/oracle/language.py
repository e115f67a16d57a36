# SPDX-License-Identifier: GPL-2.0-or-later
"""The words of POLICY.md: zones, services, rules, sections, and what each of them matches.
Sentences in quotation marks are the page's."""

import os
from bisect import bisect_right

from files import as_list, long_form
from host import (
    BITS,
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
    address,
    interface_matches,
    is_link_local,
    network,
)
from words import groups, is_over, users

PROTOCOLS = {
    "icmp": ICMP,
    "igmp": IGMP,
    "tcp": TCP,
    "udp": UDP,
    "gre": GRE,
    "esp": ESP,
    "icmpv6": ICMPV6,
    "ipv6-icmp": ICMPV6,
    "ospf": OSPF,
    "sctp": SCTP,
    "ah": 51,
    "vrrp": 112,
    "ipip": 4,
    "ipv6": 41,
    "pim": 103,
    "dccp": 33,
    "udplite": 136,
    "l2tp": 115,
}
ICMP_TYPES = {
    "echo-reply": 0,
    "destination-unreachable": 3,
    "source-quench": 4,
    "redirect": 5,
    "echo-request": 8,
    "router-advertisement": 9,
    "router-solicitation": 10,
    "time-exceeded": 11,
    "parameter-problem": 12,
    "timestamp-request": 13,
    "timestamp-reply": 14,
    "info-request": 15,
    "info-reply": 16,
    "address-mask-request": 17,
    "address-mask-reply": 18,
}
ICMPV6_TYPES = {
    "destination-unreachable": 1,
    "packet-too-big": 2,
    "time-exceeded": 3,
    "parameter-problem": 4,
    "echo-request": 128,
    "echo-reply": 129,
    "mld-listener-query": 130,
    "mld-listener-report": 131,
    "mld-listener-done": 132,
    "nd-router-solicit": 133,
    "nd-router-advert": 134,
    "nd-neighbor-solicit": 135,
    "nd-neighbor-advert": 136,
    "nd-redirect": 137,
    "mld2-listener-report": 143,
}


# --- zones ---------------------------------------------------------------------------------------


class Network:
    """Addresses from low to high; as such, an on-link network of some interface."""

    def __init__(self, family, low, high):
        self.family, self.low, self.high = family, low, high

    def contains(self, interface, family, value):
        return family == self.family and self.low <= value <= self.high

    def asks_for_interfaces(self):
        return False

    def edges(self):
        return {(self.family, self.low), (self.family, self.high)}

    def counts(self):
        """POLICY.md: "nothing wider than /8 or /48 counts" (of IPv4 and IPv6), and never
        link-local ones."""
        widest = 1 << (BITS[self.family] - (8 if self.family == 4 else 48))
        return self.high - self.low < widest and not is_link_local(self.family, self.low)


class Block(Network):
    """Addresses written out: one, a CIDR, or a range A-B."""

    def __init__(self, text):
        if "/" in text:
            self.family, self.low, self.high = network(text)
        elif "-" in text:
            low, high = (address(t.strip()) for t in text.split("-"))
            (self.family, self.low), self.high = low, high[1]
        else:
            self.family, self.low = address(text)
            self.high = self.low


class Zone:
    def __init__(self, name):
        self.name = name
        self.interfaces = None
        self.addresses = None
        self.connected = None
        self.on_link = []
        self.excepted = []

    def settle(self, host):
        """POLICY.md: connected: "interfaces whose on-link prefixes are meant, followed as they
        change" """
        found = [
            Network(*on_link)
            for name, on_link in host.on_link
            if interface_matches(self.connected or (), name)
        ]
        self.on_link = [n for n in found if n.counts()]

    def asks_for_interfaces(self):
        within = (self.addresses or []) + self.excepted
        return self.interfaces is not None or any(a.asks_for_interfaces() for a in within)

    def edges(self):
        """The addresses at which it begins and ends, and those that are taken away: (family,
        value)."""
        ends = {(4, 0), (6, 0)}
        terms = (self.addresses or []) + self.on_link + self.excepted
        return ends.union(*(t.edges() for t in terms))

    def contains(self, interface, family, value):
        """POLICY.md: "addresses, connected and file add up; where interfaces are given too, both
        must match" """
        if self.interfaces is not None and not interface_matches(self.interfaces, interface):
            return False
        if any(e.contains(interface, family, value) for e in self.excepted):
            return False
        if self.addresses is None and self.connected is None:
            return True
        within = (self.addresses or []) + self.on_link
        return any(a.contains(interface, family, value) for a in within)


class Anywhere:
    def contains(self, interface, family, value):
        return True

    def edges(self):
        return set()

    def asks_for_interfaces(self):
        return False


class ZoneExpression:
    """POLICY.md: "a zone's name, an address, a CIDR, a range A-B, or a list of these (their
    union)" """

    def __init__(self, value, zones):
        self.given = value is not None
        self.terms = [zone_term(str(t), zones) for t in as_list(value)]

    def contains(self, interface, family, value):
        return any(t.contains(interface, family, value) for t in self.terms)

    def asks_for_interfaces(self):
        if any(isinstance(t, Anywhere) for t in self.terms):
            return False  # whatever stands beside it
        return any(t.asks_for_interfaces() for t in self.terms)


def zone_term(text, zones):
    if text == "anywhere":
        return Anywhere()
    return zones[text] if text in zones else Block(text)


def read_zones(*documents, lists=None):
    """Later documents redefine what earlier ones (the catalogue) define. lists: lines by path, in
    the place of files."""
    raw = {}
    for d in documents:
        raw.update(d.get("zones") or {})
    zones = {name: Zone(name) for name in raw}
    for name, value in raw.items():
        # "A list is short for { addresses: [...] }"
        if not isinstance(value, dict):
            value = {"addresses": value}
        if value.get("interfaces") is not None:
            zones[name].interfaces = [str(i) for i in as_list(value["interfaces"])]
        if value.get("addresses") is not None:
            zones[name].addresses = [zone_term(str(t), zones) for t in as_list(value["addresses"])]
        if value.get("file") is not None:
            zones[name].addresses = (zones[name].addresses or []) + [read_list(value, lists)]
        if value.get("connected") is not None:
            zones[name].connected = [str(i) for i in as_list(value["connected"])]
        zones[name].excepted = [zone_term(str(t), zones) for t in as_list(value.get("except"))]
    return zones


class BlockList:
    """Blocks of any number."""

    def __init__(self, blocks):
        self.blocks = {4: [], 6: []}
        for b in sorted(blocks, key=lambda b: b.low):
            mine = self.blocks[b.family]
            if mine and b.low <= mine[-1][1]:
                b.low, b.high = mine[-1][0], max(b.high, mine[-1][1])
                mine.pop()
            mine.append((b.low, b.high))
        self.lows = {f: [low for low, _ in mine] for f, mine in self.blocks.items()}

    def contains(self, interface, family, value):
        at = bisect_right(self.lows[family], value)
        return at > 0 and value <= self.blocks[family][at - 1][1]

    def asks_for_interfaces(self):
        return False

    def edges(self):
        return {(f, end) for f, mine in self.blocks.items() for block in mine for end in block}


def read_list(zone, lists):
    """POLICY.md: "a list of addresses, one a line, # comments"; beside the policy file
    (ringwall-policy(5))."""
    if lists is None:
        with open(os.path.join(os.path.dirname(zone.path), zone["file"]), encoding="utf-8") as f:
            lines = f.readlines()
    else:
        lines = lists[zone["file"]]
    words = [line.partition("#")[0].strip() for line in lines]
    return BlockList([Block(word) for word in words if word])


# --- services ------------------------------------------------------------------------------------


class Service:
    """Which packets a service, or a list of them, means."""

    def __init__(self):
        self.any = False
        self.ports = {TCP: [], UDP: [], SCTP: []}
        self.types = {ICMP: [], ICMPV6: []}
        self.protocols = set()
        self.groups = []

    def contains(self, protocol, port, icmp_type):
        if self.any or protocol in self.protocols:
            return True
        if any(low <= port <= high for low, high in self.ports.get(protocol, ())):
            return True
        if icmp_type in self.types.get(protocol, ()):
            return True
        return any(g.contains(protocol, port, icmp_type) for g in self.groups)


def _port_range(value):
    low, _, high = str(value).partition("-")
    return int(low), int(high or low)


def _icmp_type(protocol, value):
    names = ICMP_TYPES if protocol == ICMP else ICMPV6_TYPES
    return names[value] if value in names else int(value)


def _protocol(value):
    return PROTOCOLS[value] if value in PROTOCOLS else int(value)


def service_term(value, services):
    """POLICY.md: "a service's name, PORT/PROTO, LOW-HIGH/PROTO, any", or "an IP protocol's name or
    number with no port" """
    text = str(value)
    if text in services:
        return services[text]
    s = Service()
    if text == "any":
        s.any = True
    elif "/" in text:
        what, _, proto = text.partition("/")
        protocol = PROTOCOLS[proto]
        if protocol in WITH_PORTS:
            s.ports[protocol].append(_port_range(what))
        else:
            s.types[protocol].append(_icmp_type(protocol, what))
    else:
        s.protocols.add(_protocol(text))
    return s


class ServiceExpression(Service):
    def __init__(self, value, services):
        super().__init__()
        self.groups = [service_term(t, services) for t in as_list(value)]


def read_services(*documents):
    raw = {}
    for d in documents:
        raw.update(d.get("services") or {})
    services = {name: Service() for name in raw}
    for name, value in raw.items():
        s = services[name]
        if not isinstance(value, dict):
            s.groups = [service_term(t, services) for t in as_list(value)]
            continue
        for key, protocol in (("tcp", TCP), ("udp", UDP), ("sctp", SCTP)):
            s.ports[protocol] = [_port_range(p) for p in as_list(value.get(key))]
        for key, protocol in (("icmp", ICMP), ("icmpv6", ICMPV6)):
            s.types[protocol] = [_icmp_type(protocol, t) for t in as_list(value.get(key))]
        s.protocols = {_protocol(p) for p in as_list(value.get("protocols"))}
    return services


# --- sections, rules, protected ------------------------------------------------------------------


class Rule:
    def __init__(self, value, zones, services):
        self.line = value.line
        self.place = value.path, value.line
        self.verb = "allow" if "allow" in value else "deny"
        self.services = ServiceExpression(value[self.verb], services)
        self.source = ZoneExpression(value.get("from"), zones)
        self.to = ZoneExpression(value.get("to"), zones)
        self.excepted = ZoneExpression(value.get("except"), zones)
        self.arrives_on = [str(i) for i in as_list(value.get("in"))]
        self.leaves_on = [str(i) for i in as_list(value.get("out"))]
        self.users, self.groups = users(value.get("user")), groups(value.get("group"))

    def matches(self, section, at):
        p = at.packet
        # inbound: "judged by the address and port that the client dialled, before any translation";
        # outbound is judged by where the packet really goes.
        by_dialled = section == "inbound"
        destination = p.destination if by_dialled else at.destination
        port = p.port if by_dialled else at.port
        if not self.services.contains(p.protocol, port, p.icmp_type):
            return False
        if self.arrives_on and not interface_matches(self.arrives_on, p.came_in):
            return False
        if self.leaves_on and not interface_matches(self.leaves_on, at.goes_out):
            return False
        # "who owns the socket (its user, its primary group) ... sockets of the kernel match no such
        # rule"
        if self.users is not None and p.user not in self.users:
            return False
        if self.groups is not None and p.group not in self.groups:
            return False
        # "In from, and in an except taken from it, a zone's interfaces are compared with the
        # arriving one; in to of routed and outbound, and in the except of outbound, with the
        # leaving one"
        client = p.came_in, p.family, p.source
        server = at.goes_out, p.family, destination
        if self.source.given and not self.source.contains(*client):
            return False
        if self.to.given and not self.to.contains(*server):
            return False
        # "taken away from the side that it is about: inbound and routed from from, outbound from
        # to"
        side = server if section == "outbound" else client
        return not (self.excepted.given and self.excepted.contains(*side))


class Section:
    def __init__(self, name, value, zones, services, now):
        value = long_form(name, value)
        rules = as_list(value.get("rules"))
        # "until: a date or time after which the rule is gone"
        self.rules = [Rule(r, zones, services) for r in rules if not is_over(r, now)]
        # "Defaults: inbound drop, routed drop, outbound allow"
        usual = "allow" if name == "outbound" else "drop"
        self.name, self.fallback = name, value.get("default") or usual

    def asks_for_interfaces(self):
        """Whether some rule is about the interface on which a connection leaves."""
        return any(
            r.leaves_on or r.to.asks_for_interfaces() or r.excepted.asks_for_interfaces()
            for r in self.rules
        )


class Protection:
    def __init__(self, value, zones, services):
        self.line = value.line
        self.place = value.path, value.line
        self.services = ServiceExpression(value["services"], services)
        self.only_from = ZoneExpression(value.get("only-from"), zones)

    def forbids(self, at):
        """POLICY.md: "no connection to these services ... is ever accepted unless it comes from
        only-from (absent: from this host itself alone ...). The port that the client dialled
        counts and the port where the connection ends" """
        p = at.packet
        if not any(
            self.services.contains(p.protocol, port, p.icmp_type) for port in {p.port, at.port}
        ):
            return False
        return not self.only_from.contains(p.came_in, p.family, p.source)
