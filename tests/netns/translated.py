# SPDX-License-Identifier: GPL-2.0-or-later
"""The property's packets whose destination is translated: by other programs, or as the policy's own
`nat` says; and those that are almost that."""

from aim import service_edge
from control import NEW_TYPES
from host import ICMP, ICMPV6, interface_matches
from lab import LINKS

PEERS = {}  # interface -> the peers behind it
for _ns, _link in LINKS.items():
    PEERS.setdefault(_link[0], []).append(_ns)


class TranslatedTraffic:
    """A part of Traffic."""

    def _translated(self):
        t = self.rng.choice(list(self.host.translations.values()))
        interface = self._interface()
        if t.protocol in (ICMP, ICMPV6):
            p = self._make(
                t.family,
                t.protocol,
                self._source(t.family, interface),
                t.dialled,
                0,
                interface,
                icmp_type=NEW_TYPES[t.protocol][0],
            )
            return self._from(interface, p)
        port = t.dialled_port or self._port(t.protocol)
        p = self._make(
            t.family, t.protocol, self._source(t.family, interface), t.dialled, port, interface
        )
        return self._from(interface, p)

    def _translated_outbound(self, t):
        """Judged by where it goes. (The way out stays the same: the kernel keeps the first one for
        the rest of the hook.)"""
        p = self._make(
            t.family,
            t.protocol,
            self.rng.choice(self.own[t.family]),
            t.dialled,
            t.dialled_port,
            None,
        )
        return self._probe(p, None, vary=False)

    def _forwarded(self):
        """What the policy itself forwards, and what is almost that."""
        rng, forward = self.rng, self.rng.choice(self.policy.forwards)
        protocol, port = service_edge(rng, forward.services)
        family = forward.family if rng.random() < 0.85 else 10 - forward.family
        if rng.random() < 0.08:
            # by this host itself: not translated
            own = rng.choice(self.own[family]), rng.choice(self.own[family])
            return self._probe(self._make(family, protocol, *own, port, None), None, vary=False)
        names = [n for n in PEERS if interface_matches(forward.arrives_on or ["*"], n)]
        interface = rng.choice(names) if names and rng.random() < 0.8 else self._interface()
        destination = rng.choice(self.own[family])
        if rng.random() < 0.1:
            others = self.host.broadcasts | self.host.anycast
            destination = rng.choice([v for f, v in others if f == family])
        source = self._source(family, interface)
        if family == forward.family and rng.random() < 0.15:
            source = forward.address - 1 if forward.address % 2 else forward.address + 1
            if not self._acceptable_source(family, source):
                return None
        p = self._make(family, protocol, source, destination, port, interface)
        probe = self._from(interface, p)
        foreign = (family, protocol, destination, port) in self.host.translations
        if probe is not None and probe.at.translated and not foreign:
            probe.as_dialled = rng.random() < 0.5
        return probe
