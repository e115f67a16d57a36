# SPDX-License-Identifier: GPL-2.0-or-later
"""Random packets for one policy: at the edges of its addresses and ports, in every situation that a
packet can be in, each the first of its connection."""

from dataclasses import replace

import packets
from aim import Aim
from control import ControlTraffic
from foreign import DHCP
from host import (
    ESP,
    GRE,
    ICMP,
    ICMPV6,
    OSPF,
    SCTP,
    TCP,
    UDP,
    WITH_PORTS,
    Packet,
    address,
    inside,
    is_loopback,
    is_multicast,
)
from lab import LINKS
from owners import OWNERS
from probe import Probe, quote
from translated import PEERS, TranslatedTraffic
from wire import GROUPS

INVALID_FLAGS = (packets.SYN | packets.ACK, packets.FIN, packets.RST, 0)


class Traffic(ControlTraffic, TranslatedTraffic):
    """For one policy. flows: whether connections may be opened before the policy is loaded."""

    def __init__(self, rng, maker, first_number, tunnels=()):
        self.rng = rng
        self.policy, self.built = maker.policy, maker.built
        self.ports = maker.edge_ports()
        self.addresses = {f: [a for a in maker.edge_addresses(f)] for f in (4, 6)}
        self.number, self.tunnels = first_number, tunnels
        self.used = set()
        self.free_ports = rng.sample(range(20000, 60000), 40000)
        self.host = None
        self.flows = []

    # --- probes ---

    def probes(self, n, host, flows=()):
        self.host, self.flows = host, list(flows)
        for f in (4, 6):
            edges = {
                v
                for _, (g, low, high) in host.on_link
                for v in (low - 1, low, low + 1, high, high + 1)
                if g == f
            }
            self.addresses[f] += self.rng.sample(sorted(edges), min(len(edges), 40))
        self.own = {
            f: [
                v
                for g, v in host.own
                if g == f and not is_loopback(f, v) and not inside(f, v, "fe80::/10")
            ]
            for f in (4, 6)
        }
        made, tries = [], 0
        kinds = [
            ("inbound", 28),
            ("forward", 22),
            ("translated", 20),
            ("outbound", 12),
            ("icmp", 7),
            ("essential", 4),
            ("own-source", 3),
            ("bridged", 3),
            ("route-back", 2),
            ("multicast", 2),
            ("known", 4 if self.flows else 0),
            ("forwarded", 10 if self.policy.forwards else 0),
            ("kernels", 1),
        ]
        names, weights = zip(*kinds)
        while len(made) < n:
            tries += 1
            if tries > 60 * n:
                raise AssertionError("cannot find enough packets for this policy")
            kind = self.rng.choices(names, weights)[0]
            probe = getattr(self, "_" + kind.replace("-", "_"))()
            if probe is not None:
                probe.kind, probe.built = kind, self.built
                p = probe.packet
                everybody = self.host.broadcasts | self.host.anycast | {(4, 0xFFFFFFFF)}
                probe.to_all = (p.family, p.destination) in everybody
                made.append(probe)
        return made

    def _probe(self, p, peer, **rest):
        """Situates it; None if it would not be a first packet, or cannot be sent."""
        owner = rest.pop("owner", None) or self.rng.choice(list(OWNERS))
        if p.from_host and not rest.pop("kernels", False):
            user, group = owner
            p = replace(p, user=user, group=group)
        if rest.pop("vary", True):
            p, more = self._vary(p)
            rest = {**more, **rest}
        at = self.host.situate(p)
        if at.hook == "none" or not self._is_first(p, at):
            return None
        self.number += 1
        return Probe(self.number, p, at, peer, **rest)

    def _is_first(self, p, at):
        if p.state in ("established", "related"):
            return True
        if p.protocol in WITH_PORTS or p.protocol in (ICMP, ICMPV6):
            key = p.family, p.protocol, p.source_port
            if p.source_port in DHCP:
                # not the answer to an earlier one either
                ends = (p.source, p.source_port), (p.destination, p.port)
                key = p.family, p.protocol, frozenset(ends)
        else:
            # Without ports a connection is a pair of addresses; either way round.
            both = [(p.source, d) for d in (p.destination, at.destination)]
            if self.policy.masquerades or self.policy.forwards:
                both = [(a,) for pair in both for a in pair]  # whose sources change
            pairs = {(p.family, p.protocol, *sorted(b)) for b in both}
            if pairs & self.used:
                return False
            self.used |= pairs
            return True
        if key in self.used:
            return False
        self.used.add(key)
        return True

    def _vary(self, p):
        """A few are not tracked, invalid, or pick a connection up in mid-stream."""
        chance = self.rng.random()
        if p.protocol == TCP:
            if chance < 0.06:
                return replace(p, state="invalid"), {"flags": self.rng.choice(INVALID_FLAGS)}
            if chance < 0.14:
                # (The host's stack answers no RST; an answer to what is not tracked would be
                # judged.)
                return replace(p, state="untracked"), {"flags": packets.RST, "notrack": True}
            if chance < 0.2:
                return p, {"flags": packets.ACK}
        elif p.protocol in (UDP, SCTP) and chance < 0.08:
            return replace(p, state="untracked"), {"notrack": True}
        return p, {}

    # --- what they are made of ---

    def _family(self):
        return self.rng.choices((4, 6), (11, 9))[0]

    def _protocol(self):
        return self.rng.choices((TCP, UDP, SCTP, ESP, GRE, OSPF), (50, 32, 8, 3, 2, 2))[0]

    def _source_port(self, protocol):
        return self.free_ports.pop() if protocol in WITH_PORTS or protocol in (ICMP, ICMPV6) else 0

    def _port(self, protocol):
        if protocol not in WITH_PORTS:
            return 0
        return (
            self.rng.choice(self.ports) if self.rng.random() < 0.93 else self.rng.randint(1, 65535)
        )

    def _interface(self):
        return self.rng.choices(
            ("eth0", "eth1", "eth1.20", "wg0", "docker0", "br-1", "virbr0"), (6, 5, 2, 3, 4, 2, 2)
        )[0]

    def _acceptable_source(self, family, value):
        if (
            is_multicast(family, value)
            or is_loopback(family, value)
            or self.host.is_own(family, value)
        ):
            return False
        if family == 4:
            return not (
                inside(4, value, "0.0.0.0/8")
                or inside(4, value, "240.0.0.0/4")
                or (4, value) in self.host.broadcasts
            )
        return (
            value != 0
            and (6, value) not in self.host.anycast
            and not inside(6, value, "::ffff:0:0/96")
        )

    def _source(self, family, interface):
        """Where anti-spoofing is strict, most packets come by the interface that leads back."""
        back = self.policy.settings.antispoof == "strict" and self.rng.random() < 0.7
        for _ in range(40):
            chance = self.rng.random()
            if chance < 0.3:
                link = LINKS[self.rng.choice(PEERS[interface])]
                value = address(link[2 if family == 4 else 4])[1]
            elif chance < 0.9:
                value = self.rng.choice(self.addresses[family])
            elif chance < 0.95:
                value = address(
                    self.rng.choice(
                        {
                            4: ["192.0.2.5", "169.254.3.3", "100.64.0.1", "198.51.100.200"],
                            6: ["2001:db8:dead::5", "fe80::99", "fd11::1", "2001:db8:1::200"],
                        }[family]
                    )
                )[1]
            else:
                value = self.rng.getrandbits(32 if family == 4 else 125) | (
                    0 if family == 4 else 1 << 125
                )
            led_back = not back or self.host.way_out(family, value) == interface
            if led_back and self._acceptable_source(family, value):
                return value
        return address({4: "198.51.100.9", 6: "2001:db8:1::9"}[family])[1]

    def _make(self, family, protocol, source, destination, port, interface, **rest):
        return Packet(
            family,
            source,
            destination,
            protocol,
            self._source_port(protocol),
            port,
            came_in=interface,
            **rest
        )

    def _from(self, interface, p, **rest):
        """From one of the peers behind the interface."""
        peers = PEERS[interface]
        final, _, translated = self.host.translate(p)
        if translated and self.host.way_out(p.family, final) == interface and LINKS[peers[0]][5]:
            # A bridge never sends a frame back through the port by which it came.
            peers = [n for n in peers if final != address(LINKS[n][2 if p.family == 4 else 4])[1]]
            if len(peers) == len(PEERS[interface]):
                return None
        return self._probe(p, self.rng.choice(peers), **rest) if peers else None

    # --- situations ---

    def _inbound(self):
        family = self._family()
        aim = Aim(self.rng, self.policy, "inbound", family)
        interface = aim.came_in or self._interface()
        delivered = list(self.own[family])
        if self.rng.random() < 0.08:
            delivered = [v for f, v in self.host.broadcasts | self.host.anycast if f == family]
            if family == 4:
                delivered.append(0xFFFFFFFF)
        elif aim.destination is not None and self.host.is_delivered(
            family, aim.destination, interface
        ):
            delivered = [aim.destination]
        elif self.rng.random() < 0.3:
            # at the edges of a `to`
            edges = [a for a in self.addresses[family] if self.host.is_own(family, a)]
            delivered = edges or delivered
        p = self._aimed(aim, family, interface, self.rng.choice(delivered))
        if self.host.situate(p).hook != "input" and not self.host.translate(p)[2]:
            return None
        return self._from(interface, p)

    def _aimed(self, aim, family, interface, destination):
        protocol = aim.protocol or self._protocol()
        port = aim.port if aim.protocol else self._port(protocol)
        source = aim.source
        unfit = source is None or not self._acceptable_source(family, source)
        spoofed = source is not None and self.host.way_out(family, source) != interface
        strict = self.policy.settings.antispoof == "strict"
        if interface and (unfit or strict and spoofed and self.rng.random() < 0.7):
            source = self._source(family, interface)
        return self._make(family, protocol, source, destination, port, interface)

    def _forward(self):
        family = self._family()
        aim = Aim(self.rng, self.policy, "routed", family)
        interface = aim.came_in or self._interface()
        destination = aim.destination
        if destination is None:
            behind = [link for link in LINKS.values() if aim.goes_out in (None, link[0])]
            destination = address(self.rng.choice(behind)[2 if family == 4 else 4])[1]
            if self.rng.random() < 0.3:
                destination = self.rng.choice(self.addresses[family])
        if self.host.way_out(family, destination) in (None, "lo"):
            return None
        p = self._aimed(aim, family, interface, destination)
        return self._from(interface, p) if self.host.situate(p).hook == "forward" else None

    def _kernels(self):
        """A socket of the kernel's own sends it."""
        return self._probe(self.rng.choice(self.tunnels)[1], None, vary=False, kernels=True)

    def _outbound(self):
        family = self._family()
        aim = Aim(self.rng, self.policy, "outbound", family)
        chance = self.rng.random()
        own = [t for t in self.host.translations.values() if t.own]
        if own and chance < 0.06:
            return self._translated_outbound(self.rng.choice(own))
        if chance > 0.9:
            return self._icmp_outbound(family)
        destination = aim.destination
        if chance < 0.15:
            destination = self.rng.choice(self.own[family])
        elif chance < 0.2:
            destination = address({4: "127.0.0.1", 6: "::1"}[family])[1]
        elif destination is None or chance < 0.3:
            behind = [link for link in LINKS.values() if aim.goes_out in (None, link[0])]
            destination = address(self.rng.choice(behind)[2 if family == 4 else 4])[1]
        if not self._sendable(family, destination):
            return None
        aim.source = self.rng.choice(self.own[family])
        if is_loopback(family, destination):
            aim.source = destination
        p = self._aimed(aim, family, None, destination)
        probe = self._probe(p, None, owner=aim.owner)
        if probe and probe.notrack and (probe.at.goes_out == "lo" or probe.packet.protocol != TCP):
            return None  # the host's own answer to itself would be judged, and counted, too
        return probe

    def _sendable(self, family, destination):
        return not (
            (family, destination) in self.host.broadcasts | self.host.anycast
            or destination == 0
            or any(
                inside(family, destination, net)
                for net in ("fe80::/10", "0.0.0.0/8", "240.0.0.0/4", "127.255.255.255/32")
            )
        )

    def _own_source(self):
        """Spoofed: the host's own address, or a loopback one, from outside; or to a loopback
        one."""
        family, protocol, interface = self._family(), self._protocol(), self._interface()
        loopback = address(
            {4: self.rng.choice(["127.0.0.1", "127.255.255.254"]), 6: "::1"}[family]
        )[1]
        source = self.rng.choice(self.own[family])
        destination = self.rng.choice(self.own[family])
        chance = self.rng.random()
        if chance < 0.3:
            source = loopback
        elif chance < 0.5:
            source, destination = self._source(family, interface), loopback
        elif chance < 0.65:
            link = self.rng.choice(list(LINKS.values()))
            destination = address(link[2 if family == 4 else 4])[1]
        p = self._make(family, protocol, source, destination, self._port(protocol), interface)
        at = self.host.situate(p)
        if at.hook == "none":
            # The kernel refuses it by itself here; the evaluator is asked all the same.
            hook = (
                "input"
                if self.host.is_delivered(family, destination, interface)
                or is_loopback(family, destination)
                else None
            )
            if hook is None or at.translated:
                return None
            self.number += 1
            return Probe(
                self.number,
                p,
                replace(at, hook=hook),
                self.rng.choice(PEERS[interface]),
                refused=True,
            )
        return self._from(interface, p)

    def _bridged(self):
        family, protocol = self._family(), self._protocol()
        peer, other = self.rng.choice((("c1", "c2"), ("c2", "c1")))
        index = 2 if family == 4 else 4
        source = address(LINKS[peer][index])[1]
        if self.rng.random() < 0.3:
            source = self._source(family, "docker0")
        p = self._make(
            family,
            protocol,
            source,
            address(LINKS[other][index])[1],
            self._port(protocol),
            "docker0",
            frame_to="docker0",
        )
        return self._probe(p, peer, to_peer=other)

    def _route_back(self):
        """Enters and leaves by the same bridge, but was addressed to this host: routed."""
        family, protocol = self._family(), self._protocol()
        peer, other = self.rng.choice((("c1", "c2"), ("c2", "c1")))
        index = 2 if family == 4 else 4
        p = self._make(
            family,
            protocol,
            address(LINKS[peer][index])[1],
            address(LINKS[other][index])[1],
            self._port(protocol),
            "docker0",
        )
        return self._probe(p, peer)

    def _multicast(self):
        interface = self.rng.choice(list(GROUPS))
        group = self.rng.choice(GROUPS[interface] + ["224.0.0.1", "ff02::1"])
        family, destination = address(group)
        p = self._make(
            family,
            UDP,
            self._source(family, interface),
            destination,
            self.rng.choice([5353, *self.ports]),
            interface,
        )
        return self._from(interface, p)

    # --- connections that were open before the policy came ---

    def _known(self):
        flow = self.rng.choice(self.flows)
        p, rng = flow.packet, self.rng
        if flow.answered and rng.random() < 0.4:
            if rng.random() < 0.5:
                return self._probe(replace(p, state="established"), flow.peer, vary=False)
            return self._probe(replace(flow.reply(), state="established"), flow.other, vary=False)
        # An error about the answer, from the client's side, or about the question, from the
        # server's.
        protocol = ICMP if p.family == 4 else ICMPV6
        icmp_type = rng.choice((3, 5, 11, 12) if p.family == 4 else (1, 2, 3, 4))
        about, sender = p, flow.other
        if flow.other is None and rng.random() < 0.5:
            sender = None  # this host's own
        elif flow.other is None or rng.random() < 0.5:
            about, sender = flow.reply(), flow.peer
        interface = LINKS[sender][0] if sender else None
        error = Packet(
            p.family,
            self._source(p.family, interface) if sender else rng.choice(self.own[p.family]),
            about.source,
            protocol,
            0,
            0,
            icmp_type=icmp_type,
            came_in=interface,
            state="related",
            error=True,
        )
        return self._probe(error, sender, vary=False, quoted=quote(about))
