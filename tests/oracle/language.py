# SPDX-License-Identifier: GPL-2.0-or-later
"""The words of POLICY.md: zones, services, rules, sections, and what each of them matches.
Sentences in quotation marks are the page's."""

from functools import lru_cache

import yaml

from host import ESP, GRE, ICMP, ICMPV6, IGMP, OSPF, SCTP, TCP, UDP, WITH_PORTS, address, network

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


class _Loader(yaml.SafeLoader):
    """Keeps the line on which a mapping's first key stands."""


class _Mapping(dict):
    line = 0


def _construct_mapping(loader, node):
    m = _Mapping()
    yield m
    m.update(loader.construct_mapping(node))
    m.line = (node.value[0][0] if node.value else node).start_mark.line + 1


_Loader.add_constructor("tag:yaml.org,2002:map", _construct_mapping)


@lru_cache(maxsize=4)
def read(text):
    """A document; the catalogue's is asked for again and again. Nobody changes it."""
    return yaml.load(text, _Loader)


def as_list(value):
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


# --- zones ---------------------------------------------------------------------------------------


def interface_matches(patterns, name):
    """POLICY.md: "a final * is a wildcard" """
    if name is None:
        return False
    return any(name.startswith(p[:-1]) if p.endswith("*") else name == p for p in patterns)


class Block:
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

    def contains(self, interface, family, value):
        return family == self.family and self.low <= value <= self.high

    def asks_for_interfaces(self):
        return False


class Zone:
    def __init__(self, name):
        self.name = name
        self.interfaces = None
        self.addresses = None
        self.excepted = []

    def asks_for_interfaces(self):
        within = self.addresses or []
        return self.interfaces is not None or any(a.asks_for_interfaces() for a in within)

    def contains(self, interface, family, value):
        """POLICY.md: "addresses ... add up; where interfaces are given too, both must match" """
        if self.interfaces is not None and not interface_matches(self.interfaces, interface):
            return False
        if any(e.contains(interface, family, value) for e in self.excepted):
            return False
        if self.addresses is None:
            return True
        return any(a.contains(interface, family, value) for a in self.addresses)


class Anywhere:
    def contains(self, interface, family, value):
        return True

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
        return any(t.asks_for_interfaces() for t in self.terms)


def zone_term(text, zones):
    if text == "anywhere":
        return Anywhere()
    return zones[text] if text in zones else Block(text)


def read_zones(*documents):
    """Later documents redefine what earlier ones (the catalogue) define."""
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
        zones[name].excepted = [zone_term(str(t), zones) for t in as_list(value.get("except"))]
    return zones


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
        self.line = getattr(value, "line", 0)
        self.verb = "allow" if "allow" in value else "deny"
        self.services = ServiceExpression(value[self.verb], services)
        self.source = ZoneExpression(value.get("from"), zones)
        self.to = ZoneExpression(value.get("to"), zones)
        self.excepted = ZoneExpression(value.get("except"), zones)
        self.arrives_on = [str(i) for i in as_list(value.get("in"))]
        self.leaves_on = [str(i) for i in as_list(value.get("out"))]

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
    def __init__(self, name, value, zones, services):
        rules, fallback = value, None
        if isinstance(value, dict):
            rules, fallback = value.get("rules"), value.get("default")
        elif isinstance(value, str):
            rules, fallback = None, value  # "a lone word is the default with no rules"
        self.name = name
        self.rules = [Rule(r, zones, services) for r in as_list(rules)]
        self.fallback = fallback or self._usual(name)

    def asks_for_interfaces(self):
        """Whether some rule is about the interface on which a connection leaves."""
        return any(
            r.leaves_on or r.to.asks_for_interfaces() or r.excepted.asks_for_interfaces()
            for r in self.rules
        )

    def _usual(self, name):
        # "Defaults: inbound drop, routed drop, outbound allow; but an outbound list that holds an
        # allow means that only those connections may leave (default reject ...)"
        if name != "outbound":
            return "drop"
        return "reject" if any(r.verb == "allow" for r in self.rules) else "allow"


class Protection:
    def __init__(self, value, zones, services):
        self.line = getattr(value, "line", 0)
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
