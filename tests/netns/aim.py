# SPDX-License-Identifier: GPL-2.0-or-later
"""Aims at one rule of a policy: values at the edges of what it says, so that packets are not all
judged by the section's default."""

from host import ESP, GRE, OSPF, SCTP, TCP, UDP, interface_matches
from language import Anywhere, BlockList, Network
from owners import OWNERS
from values import INTERFACES


def service_edge(rng, service):
    """(protocol, port) at an edge of one range of the service; None if it is about neither."""
    while service.groups:
        service = rng.choice(service.groups)
    edges = [
        (protocol, edge)
        for protocol in (TCP, UDP, SCTP)
        for low, high in service.ports[protocol]
        for edge in (low, low, high, low - 1, high + 1)
    ]
    edges = [(protocol, port) for protocol, port in edges if 1 <= port <= 65535]
    edges += [(protocol, 0) for protocol in service.protocols & {ESP, GRE, OSPF}]
    return rng.choice(edges) if edges else None


def zone_point(rng, expression, family):
    """(interface, address) at an edge of one box of the zone expression; None: any."""
    interface, value = None, None
    terms = expression.terms
    while terms:
        term = rng.choice(terms)
        if isinstance(term, Anywhere):
            break
        if isinstance(term, Network):
            if term.family == family:
                value = rng.choice(
                    (
                        term.low,
                        term.low,
                        term.high,
                        term.high,
                        term.low - 1,
                        term.high + 1,
                        (term.low + term.high) // 2,
                    )
                )
            break
        if isinstance(term, BlockList):
            value = rng.choice(sorted(v for f, v in term.edges() if f == family) or [None])
            break
        if term.interfaces is not None:
            names = [n for n in INTERFACES if interface_matches(term.interfaces, n)]
            interface = rng.choice(names) if names else interface
        terms = (term.addresses or []) + term.on_link + term.excepted
    top = (1 << (32 if family == 4 else 128)) - 1
    return interface, value if value is not None and 0 <= value <= top else None


class Aim:
    """.protocol and .port, .came_in, .goes_out, .source, .destination, .owner: None where anything
    goes."""

    def __init__(self, rng, policy, section, family):
        self.protocol = self.port = self.came_in = self.goes_out = None
        self.source = self.destination = self.owner = None
        rules = policy.sections[section].rules
        if not rules or rng.random() < 0.3:
            return
        rule = rng.choice(rules)
        services = rule.services
        if policy.protections and section == "inbound" and rng.random() < 0.2:
            services = rng.choice(policy.protections).services
        edge = service_edge(rng, services)
        if edge:
            self.protocol, self.port = edge
        client = rule.excepted if section != "outbound" and rng.random() < 0.2 else rule.source
        self.came_in, self.source = zone_point(rng, client, family)
        server = rule.excepted if section == "outbound" and rng.random() < 0.2 else rule.to
        self.goes_out, self.destination = zone_point(rng, server, family)
        # Those that match both, or one of the two.
        owners = [
            (user, group)
            for user, group in OWNERS
            if user in (rule.users or ()) or group in (rule.groups or ())
        ]
        if owners and rng.random() < 0.7:
            self.owner = rng.choice(owners)
        if rule.arrives_on and rng.random() < 0.8:
            names = [n for n in INTERFACES if interface_matches(rule.arrives_on, n)]
            self.came_in = rng.choice(names) if names else self.came_in
