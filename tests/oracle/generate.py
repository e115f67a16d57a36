# SPDX-License-Identifier: GPL-2.0-or-later
"""Random policies, and the values at whose edges their meaning changes."""

import ipaddress

import yaml

import files
import language
import oracle
from host import SCTP, TCP, UDP, address_text, interface_matches

NETWORKS = {
    4: [
        "10.40.10.0/24",
        "10.40.20.0/24",
        "10.40.0.0/16",
        "10.99.0.0/24",
        "203.0.113.0/24",
        "198.51.100.0/24",
        "172.17.0.0/16",
        "172.18.0.0/16",
        "192.168.122.0/24",
        "10.40.30.0/24",
        "192.0.2.0/24",
        "0.0.0.0/0",
    ],
    6: [
        "fd00:40:10::/64",
        "fd00:40:20::/64",
        "fd00:40::/32",
        "fd00:99::/64",
        "2001:db8:ffff::/64",
        "2001:db8:1::/48",
        "fd00:17::/64",
        "fd00:18::/64",
        "fd00:122::/64",
        "2001:db8:2::/48",
        "fe80::/10",
        "::/0",
    ],
}
# Addresses that the lab gives to somebody.
HOSTS = {
    4: [
        "10.40.10.1",
        "10.40.10.2",
        "203.0.113.1",
        "203.0.113.7",
        "203.0.113.2",
        "172.17.0.2",
        "172.17.0.3",
        "172.18.0.2",
        "192.168.122.2",
        "10.99.0.2",
        "10.40.20.2",
        "172.17.0.1",
    ],
    6: [
        "fd00:40:10::1",
        "fd00:40:10::2",
        "2001:db8:ffff::1",
        "2001:db8:ffff::7",
        "2001:db8:ffff::2",
        "fd00:17::2",
        "fd00:17::3",
        "fd00:18::2",
        "fd00:122::2",
        "fd00:99::2",
        "fd00:40:20::2",
        "fd00:17::1",
    ],
}
INTERFACES = ["eth0", "eth1", "eth1.20", "wg0", "docker0", "br-1", "virbr0"]
PATTERNS = INTERFACES + ["eth*", "eth1*", "br-*", "wg*", "virbr*", "tun0", "e*"]
PORTS = [
    1,
    22,
    53,
    67,
    68,
    80,
    123,
    443,
    546,
    547,
    1023,
    1024,
    3000,
    5353,
    5432,
    5678,
    8000,
    8080,
    11434,
    32768,
    51820,
    65534,
    65535,
]
PUBLIC = [
    "ssh",
    "https",
    "http",
    "dns",
    "ping",
    "ntp",
    "wireguard",
    "mosh",
    "ipsec",
    "stun",
]
INTERNAL = [
    "ollama",
    "n8n",
    "postgresql",
    "grafana",
    "redis",
    "vllm",
    "docker-swarm",
    "mdns",
    "ai-backends",
]
CATALOGUE_ZONES = ["private", "internet", "containers", "vms", "tailnet"]
ANY_INTERFACE = frozenset([*INTERFACES, "tun0", "tailscale0", "other0"])
PROTOCOL_NAMES = ["esp", "gre", "ospf", "igmp", 47, 89, 50]
ICMP_TERMS = [
    "echo-request/icmp",
    "8/icmp",
    "13/icmp",
    "echo-request/icmpv6",
    "128/icmpv6",
    "3/icmp",
    "redirect/icmp",
    "139/icmpv6",
    "134/icmpv6",
    "135/icmpv6",
]


class PolicyMaker:
    """One random policy: .document, .text, .policy; .blocks and .ports for the packets."""

    def __init__(self, rng, catalogue_text):
        self.rng = rng
        self.catalogue_text = catalogue_text
        self.plain_zones, self.zones, self.services = [], [], []
        self.blocks = {4: [], 6: []}
        # zone -> the interfaces of each of its boxes
        self.boxes = {
            "private": [ANY_INTERFACE],
            "internet": [ANY_INTERFACE],
            "vms": [{"virbr0"}],
            "containers": [{"docker0", "br-1"}],
            "tailnet": [{"tailscale0"}],
        }
        self.document = self._document()
        self._note_catalogue()
        self.style = self.rng.choice([None, None, False])
        self.width = self.rng.choice([90, 200])
        self.compile()

    def compile(self):
        self.text = yaml.safe_dump(
            self.document, default_flow_style=self.style, sort_keys=False, width=self.width
        )
        self.policy = oracle.load(self.text, self.catalogue_text)

    def drop_rule(self, line):
        """Takes the inbound rule away that the line of the text belongs to."""
        rules = self.policy.sections["inbound"].rules
        section = self.document["inbound"]
        items = section if isinstance(section, list) else section["rules"]
        at = [n for n, r in enumerate(rules) if r.line <= line]
        if not at:
            return False
        del items[at[-1]]
        self.compile()
        return True

    # --- what everything is made of ---

    def chance(self, p):
        return self.rng.random() < p

    def some(self, low, high):
        return range(self.rng.randint(low, high))

    def several(self, make, most=3):
        """One, bare or in a list, or a list of several."""
        n = self.rng.choices(range(1, most + 1), [5, 2, 1][:most])[0]
        items = []
        for _ in range(n):
            item = make()
            if item not in items:
                items.append(item)
        return items if len(items) > 1 or self.chance(0.3) else items[0]

    def address(self):
        rng = self.rng
        family = 4 if self.chance(0.6) else 6
        net = ipaddress.ip_network(
            rng.choice(NETWORKS[family][:-2] if self.chance(0.9) else NETWORKS[family])
        )
        first, last = int(net.network_address), int(net.broadcast_address)

        def point():
            near = [
                first,
                first + 1,
                first + 2,
                first + 7,
                (first + last) // 2,
                (first + last) // 2 + 1,
                last - 1,
                last,
                int(ipaddress.ip_address(rng.choice(HOSTS[family]))),
            ]
            return rng.choice(near) if self.chance(0.8) else rng.randint(first, last)

        form = rng.random()
        bits = 32 if family == 4 else 128
        if form < 0.3:
            low = high = point()
            text = address_text(family, low)
        elif form < 0.65:
            length = rng.choice(
                [
                    net.prefixlen,
                    min(bits, net.prefixlen + rng.randint(0, 8)),
                    rng.randint(max(1, net.prefixlen - 4), bits),
                    bits,
                ]
            )
            n = ipaddress.ip_network((point(), length), strict=False)
            low, high, text = int(n.network_address), int(n.broadcast_address), str(n)
        else:
            low, high = sorted((point(), point()))
            text = f"{address_text(family, low)}-{address_text(family, high)}"
        self.blocks[family].append((low, high))
        return text

    def interfaces(self):
        return self.several(lambda: self.rng.choice(PATTERNS))

    def port_range(self):
        low = self.rng.choice(PORTS) if self.chance(0.8) else self.rng.randint(1, 65535)
        if self.chance(0.6):
            return low
        high = min(65535, low + self.rng.choice([1, 2, 10, 1000, 65535]))
        return f"{low}-{high}"

    def service_term(self, public):
        """public: one that an inbound allow may name without saying from where."""
        rng, form = self.rng, self.rng.random()
        if form < 0.05 and not public:
            return "any"
        if form < 0.3:
            return rng.choice(PUBLIC if public or self.chance(0.5) else INTERNAL)
        if form < 0.45 and self.services:
            return rng.choice(self.services)
        if form < 0.55:
            return rng.choice(ICMP_TERMS)
        if form < 0.62:
            return rng.choice(PROTOCOL_NAMES)
        return f"{self.port_range()}/{rng.choices(['tcp', 'udp', 'sctp'], [6, 4, 1])[0]}"

    def zone_term(self, plain=False, anywhere=True):
        """plain: without interfaces, as `to` of inbound wants it."""
        form = self.rng.random()
        names = self.plain_zones if plain else self.zones
        if form < 0.4 and names:
            return self.rng.choice(names)
        if form < 0.55:
            return self.rng.choice(["private", "internet"] if plain else CATALOGUE_ZONES)
        if form < 0.6 and anywhere:
            return "anywhere"
        return self.address()

    # --- the document ---

    def _document(self):
        d = {"ringwall": 1}
        zones = self._zones()
        services = self._services()
        if zones:
            d["zones"] = zones
        if services:
            d["services"] = services
        for name, p in (("inbound", 0.95), ("outbound", 0.6), ("routed", 0.8)):
            if self.chance(p):
                section = self._section(name)
                if section is not None:
                    d[name] = section
        protections = [self._protection() for _ in self.some(0, 3)]
        if protections:
            d["protected"] = protections
        return d

    def _zones(self):
        zones = {}
        for n in self.some(1, 6):
            name = f"z{n}"
            value, plain, self.boxes[name] = self._zone()
            zones[name] = value
            self.zones.append(name)
            if plain:
                self.plain_zones.append(name)
        if self.chance(0.15):
            zones["containers"] = {
                "interfaces": ["docker0", "br-*"],
                "addresses": ["172.16.0.0/13", "fd00:17::/64", self.address()],
            }
        return zones

    def _zone(self):
        """(value, whether it is free of interfaces, its boxes' interfaces)"""
        form, own, boxes = self.rng.random(), ANY_INTERFACE, [ANY_INTERFACE]
        value = {}
        if form < 0.5:
            value["interfaces"] = self.interfaces()
            patterns = value["interfaces"]
            patterns = patterns if isinstance(patterns, list) else [patterns]
            own = {i for i in ANY_INTERFACE if interface_matches(patterns, i)}
            boxes = [own]
        if form < 0.25:
            return value, False, boxes
        addresses, plain = [self.address() for _ in self.some(1, 4)], form >= 0.5
        for _ in self.some(0, 2):
            other = self.rng.choice(self.zones + CATALOGUE_ZONES)
            # A box behind interfaces of which none is the zone's own is a mistake.
            if all(own & box for box in self.boxes[other]):
                addresses.append(other)
                boxes += [own & box for box in self.boxes[other]]
                plain &= all(box == ANY_INTERFACE for box in self.boxes[other])
        self.rng.shuffle(addresses)
        value = {"addresses": addresses, **value}
        return (addresses if form > 0.75 else value), plain, boxes

    def _services(self):
        services = {}
        for n in self.some(0, 4):
            if self.chance(0.4):
                services[f"s{n}"] = [self.service_term(public=True) for _ in self.some(1, 4)]
            else:
                services[f"s{n}"] = self._service()
            self.services.append(f"s{n}")
        return services

    def _service(self):
        s = {}
        for proto, p in (("tcp", 0.8), ("udp", 0.5), ("sctp", 0.15)):
            if self.chance(p):
                s[proto] = self.several(self.port_range)
        if self.chance(0.2):
            s["icmp"] = self.several(lambda: self.rng.choice(["echo-request", 13, 17]))
        if self.chance(0.2):
            s["icmpv6"] = self.several(lambda: self.rng.choice(["echo-request", 139]))
        if self.chance(0.15) or not s:
            s["protocols"] = self.several(lambda: self.rng.choice(["esp", 47, "ospf"]))
        return s

    def _section(self, name):
        defaults = {
            "inbound": ["drop", "drop", "reject"],
            "routed": ["drop", "drop", "reject"],
            "outbound": ["allow", "drop", "reject"],
        }[name]
        if self.chance(0.08):
            return self.rng.choice(defaults)
        most = self.rng.choice([2, 5, 8, 8, 25])
        rules = [self._rule(name) for _ in self.some(0 if name == "outbound" else 1, most)]
        if name == "outbound" and self.chance(0.3):
            rules = [r for r in rules if "deny" in r]
        if not rules:
            return None
        if self.chance(0.5):
            return rules
        long_form = {"rules": rules}
        holds_allow = any("allow" in r for r in rules)
        if self.chance(0.7) or name == "outbound" and holds_allow:
            long_form["default"] = self.rng.choice(defaults)
        return long_form

    def _rule(self, section):
        rule = {}
        verb = self.rng.choices(["allow", "deny"], [7, 3] if section != "outbound" else [1, 1])[0]
        if section != "outbound":
            if self.chance(0.6):
                rule["from"] = self.several(self.zone_term)
            if self.chance(0.2):
                rule["in"] = self.interfaces()
        if self.chance({"inbound": 0.2, "outbound": 0.6, "routed": 0.5}[section]):
            rule["to"] = self.several(lambda: self.zone_term(plain=section == "inbound"))
        if self.chance(0.25):
            rule["except"] = self.several(lambda: self.zone_term(anywhere=False))
        if section != "inbound" and self.chance(0.2):
            rule["out"] = self.interfaces()
        public = section == "inbound" and verb == "allow" and not {"from", "in"} & set(rule)
        rule = {verb: self.several(lambda: self.service_term(public)), **rule}
        if self.chance(0.1):
            rule["name"] = f"rule {self.rng.randint(1, 99)}"
        return rule

    def _protection(self):
        p = {"services": self.several(lambda: self.service_term(public=False))}
        if p["services"] == "any" or isinstance(p["services"], list) and "any" in p["services"]:
            p["services"] = "5432/tcp"
        if self.chance(0.5):
            p["only-from"] = self.several(lambda: self.zone_term(anywhere=False))
        return p

    # --- edges ---

    def _note_catalogue(self):
        zones = language.read_zones(files.read(self.catalogue_text))
        blocks = [b for z in ("private", "internet") for b in zones[z].addresses + zones[z].excepted]
        for b in self.rng.sample(blocks, 4):
            self.blocks[b.family].append((b.low, b.high))

    def edge_addresses(self, family):
        edges = {int(ipaddress.ip_address(h)) for h in HOSTS[family]}
        top = (1 << (32 if family == 4 else 128)) - 1
        for low, high in self.blocks[family]:
            edges.update((low - 1, low, low + 1, high - 1, high, high + 1, (low + high) // 2))
        return sorted(e for e in edges if 0 <= e <= top)

    def edge_ports(self):
        """Ports where some service that the policy names begins or ends, and their neighbours."""
        edges = {22, 80, 443}
        todo = [r.services for s in self.policy.sections.values() for r in s.rules]
        todo += [p.services for p in self.policy.protections]
        while todo:
            s = todo.pop()
            todo += s.groups
            for protocol in (TCP, UDP, SCTP):
                for low, high in s.ports[protocol]:
                    edges.update((low - 1, low, high, high + 1))
        return sorted(e for e in edges if 1 <= e <= 65535)
