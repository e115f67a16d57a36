# SPDX-License-Identifier: GPL-2.0-or-later
"""The property's packets of ICMP, IGMP and DHCP: what the network itself needs to work, and its
errors."""

from dataclasses import replace

from host import ICMP, ICMPV6, IGMP, UDP, Packet, address, inside
from lab import LINKS

# What conntrack makes of the first packet of its kind (measured).
NEW_TYPES = {ICMP: (8, 13, 17), ICMPV6: (128, 139)}
INVALID_TYPES = {ICMP: (0, 3, 5, 9, 14), ICMPV6: (1, 2, 129, 137, 200)}
UNTRACKED_TYPES = (130, 131, 132, 133, 134, 135, 136, 143)


class ControlTraffic:
    """A part of Traffic."""

    def _icmp(self):
        family, interface = self._family(), self._interface()
        protocol = ICMP if family == 4 else ICMPV6
        chance = self.rng.random()
        rest, state = {}, "new"
        icmp_type = self.rng.choice(NEW_TYPES[protocol])
        if chance < 0.25:
            icmp_type, state = self.rng.choice(INVALID_TYPES[protocol]), "invalid"
        elif chance < 0.35:
            icmp_type, state, rest = NEW_TYPES[protocol][0], "untracked", {"notrack": True}
        local = self.rng.random() < 0.6
        destination = self.rng.choice(self.own[family] if local else self.addresses[family])
        p = self._make(
            family,
            protocol,
            self._source(family, interface),
            destination,
            0,
            interface,
            icmp_type=icmp_type,
            state=state,
        )
        if not local and self.host.situate(p).hook != "forward":
            return None
        if state != "new" and self.host.translate(replace(p, state="new"))[2]:
            return None
        return self._from(interface, p, **rest)

    def _essential(self):
        if self.rng.random() < 0.25:
            return self._essential_outbound()
        rng, interface = self.rng, self._interface()
        chance = rng.random()
        if chance < 0.15:
            # The last ones are routed: no essential of anybody's.
            to = rng.choice(["224.0.0.1", "224.0.0.251", "203.0.113.1", "10.40.10.2", "172.17.0.2"])
            p = self._make(4, IGMP, self._source(4, interface), address(to)[1], 0, interface)
        elif chance < 0.35:
            source = 0 if rng.random() < 0.3 else self._source(4, interface)
            destination = 0xFFFFFFFF if source == 0 else rng.choice(self.own[4] + [0xFFFFFFFF])
            p = Packet(
                4,
                source,
                destination,
                UDP,
                rng.choice((66, 67, 67, 67, 68)),
                rng.choice((67, 68, 68, 68, 69)),
                came_in=interface,
            )
        elif chance < 0.5:
            source = self._link_local_or_not(interface)
            p = self._make(
                6, UDP, source, rng.choice(self.own[6]), rng.choice((545, 546, 546, 547)), interface
            )
        else:
            return self._neighbour(interface)
        return self._from(interface, p, vary=False)

    def _link_local_or_not(self, interface):
        if self.rng.random() < 0.6:
            return address("fe80::" + "%x" % self.rng.randint(2, 9))[1]
        return self._source(6, interface)

    def _neighbour(self, interface):
        """Untracked by nature, except redirects; sometimes with the wrong hop limit."""
        rng = self.rng
        icmp_type = rng.choice(UNTRACKED_TYPES)
        usual = 1 if icmp_type in (130, 131, 132, 143) else 255
        source = 0 if rng.random() < 0.1 else self._link_local_or_not(interface)
        forwarded = rng.random() < 0.15 and not inside(6, source, "fe80::/10") and source != 0
        destination = rng.choice(self.own[6] + [address("ff02::1")[1]])
        if forwarded:
            destination = address("fd00:40:10::2")[1]
        p = self._make(
            6,
            ICMPV6,
            source,
            destination,
            0,
            interface,
            icmp_type=icmp_type,
            hop_limit=rng.choice((usual, usual, usual, 254, 64)),
            state="untracked",
        )
        if forwarded and p.hop_limit == 1:
            return None
        return self._from(interface, p)

    def _essential_outbound(self):
        """What this host says by itself: DHCP, IGMP, multicast listening; and what is like it."""
        rng, chance = self.rng, self.rng.random()
        family = 4 if chance < 0.4 else 6
        asked = "host as" in self.built  # otherwise a question knows no source, nor a port of it
        destination = address(rng.choice(list(LINKS.values()))[2 if family == 4 else 4])[1]
        source = rng.choice(self.own[family])
        if chance < 0.15:
            return self._probe(self._make(4, IGMP, source, destination, 0, None), None)
        if chance < 0.7:
            client, server = (68, 67) if family == 4 else (546, 547)
            ports = (
                rng.choice([client, client, server, client + 3] if asked else [server, client + 3]),
                rng.choice([server, server, client]),
            )
            return self._probe(Packet(family, source, destination, UDP, *ports), None, vary=False)
        p = self._make(
            6,
            ICMPV6,
            rng.choice([0, address("fe80::5")[1], source if asked else 0]),
            destination,
            0,
            None,
            icmp_type=rng.choice((130, 131, 132, 143)),
            hop_limit=1,
            state="untracked",
        )
        return self._probe(p, None)

    def _icmp_outbound(self, family):
        rng, protocol = self.rng, ICMP if family == 4 else ICMPV6
        icmp_type, state, hop_limit = rng.choice(NEW_TYPES[protocol]), "new", 64
        if rng.random() < 0.2:
            icmp_type, state = rng.choice(INVALID_TYPES[protocol]), "invalid"
        elif family == 6 and rng.random() < 0.4:
            icmp_type, state, hop_limit = (
                rng.choice((133, 135, 136)),
                "untracked",
                rng.choice((255, 254)),
            )
        link = rng.choice(list(LINKS.values()))
        destination = address(link[2 if family == 4 else 4])[1]
        p = self._make(
            family,
            protocol,
            rng.choice(self.own[family]),
            destination,
            0,
            None,
            icmp_type=icmp_type,
            state=state,
            hop_limit=hop_limit,
        )
        return self._probe(p, None)
