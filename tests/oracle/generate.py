# SPDX-License-Identifier: GPL-2.0-or-later
"""Random policies, and the values at whose edges their meaning changes."""

import ipaddress
import os
import time

import files
import language
import oracle
from clauses import Clauses
from host import BITS, SCTP, TCP, UDP, address_text, interface_matches
from spread import Spread
from values import (
    ANY_INTERFACE,
    CATALOGUE_ZONES,
    HOSTS,
    ICMP_TERMS,
    INTERNAL,
    NETWORKS,
    PATTERNS,
    PORTS,
    PROTOCOL_NAMES,
    PUBLIC,
)

RARE = set(
    "file except essentials connected nat forward masquerade user group until limit connections"
    " log".split()
)
RARE_VALUES = {"antispoof", "containers", "counters"}
WORDS = ["loose", "strict", "off", "open", "closed", "rules", "each"]


class PolicyMaker(Clauses):
    """One random policy: .spread, .policy; .blocks and .ports for the packets."""

    def __init__(self, rng, catalogue_text, folder, built=frozenset(), now=None):
        """folder: where its files are written. built: see tests/netns/built.py. now: seconds since
        1970."""
        self.rng, self.folder, self.built = rng, folder, built
        self.now = time.time() if now is None else now
        self.catalogue_text = catalogue_text
        self.catalogue = files.read(catalogue_text)
        self.plain_zones, self.zones, self.services = [], [], []
        self.made_zones, self.lists = {}, {}
        # those that follow networks, and those that take others' interfaces away
        self.connected_zones, self.cut_zones = [], []
        self.blocks = {4: [], 6: []}
        # zone -> the interfaces of each of its boxes
        self.boxes = {
            "private": [ANY_INTERFACE],
            "internet": [ANY_INTERFACE],
            "vms": [{"virbr0"}],
            "containers": [{"docker0", "br-1"}],
            "tailnet": [{"tailscale0"}],
        }
        self._note_catalogue()
        self.document = self._document()
        self.spread = Spread(rng, self.document, self.lists)
        self.compile()

    def compile(self):
        """Writes the files and reads them."""
        self.path = self.spread.write(self.folder)
        self.policy = oracle.load_files(self.path, self.catalogue_text, self.now)

    def drop_rule(self, path, line):
        """Takes the inbound rule away that the line of the file belongs to."""
        name = os.path.relpath(path, self.folder)
        if name not in self.spread.documents:
            return False
        section = files.read(self.spread.text(name)).get("inbound", [])
        items = section["rules"] if isinstance(section, dict) else section
        at = [n for n, r in enumerate(items) if isinstance(r, dict) and r.line <= line]
        if not at:
            return False
        self.spread.drop_item(name, "inbound", at[-1])
        self.compile()
        return True

    def words(self):
        """Which of the rarer words the policy uses."""
        found, todo = {"files"} if len(self.spread.documents) > 1 else set(), [self.document]
        while todo:
            value = todo.pop()
            if isinstance(value, dict):
                said = {k: v for k, v in value.items() if v is not None}
                found |= set(said) & RARE
                found |= {f"{k}: {v}" for k, v in said.items() if k in RARE_VALUES and v in WORDS}
                todo += value.values()
            elif isinstance(value, list):
                todo += value
        return found

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
        d = {"zones": self._zones(), "services": self._services(), "settings": {}}
        for name, p in (("inbound", 0.95), ("outbound", 0.6), ("routed", 0.8)):
            section = self._section(name)
            if section is not None and self.chance(p):
                d[name] = section
        d["nat"] = self._nat()
        for item in d["nat"]:
            if "forward" in item and "inbound" in d and self.chance(0.6):
                rule = self._rule("inbound")
                rule = {k: v for k, v in rule.items() if k not in ("deny", "to")}
                d["inbound"]["rules"].append({**rule, "allow": item["forward"]})
        d["protected"] = [self._protection() for _ in self.some(0, 3)]
        if self.chance(0.7):
            d["settings"] = self._settings()
        return {key: value for key, value in d.items() if value}

    def _zones(self):
        if self.chance(0.15):
            self.made_zones["containers"] = {
                "interfaces": ["docker0", "br-*"],
                "addresses": ["172.16.0.0/13", "fd00:17::/64", self.address()],
            }
        for n in self.some(1, 6):
            name = f"z{n}"
            self.made_zones[name], plain, self.boxes[name] = self._zone(name)
            self.zones.append(name)
            if plain:
                self.plain_zones.append(name)
        return self.made_zones

    def _zone(self, name):
        """(value, whether it is free of interfaces, its boxes' interfaces)"""
        form, own, boxes = self.rng.random(), ANY_INTERFACE, [ANY_INTERFACE]
        value, plain = {}, True
        if form < 0.5:
            value["interfaces"], plain = self.interfaces(), False
            patterns = files.as_list(value["interfaces"])
            own = {i for i in ANY_INTERFACE if interface_matches(patterns, i)}
            boxes = [own]
        if form >= 0.25:
            value["addresses"] = addresses = [self.address() for _ in self.some(1, 4)]
            for _ in self.some(0, 2):
                other = self.rng.choice(self.zones + CATALOGUE_ZONES)
                # A box behind interfaces of which none is the zone's own is a mistake.
                # (Of what a zone leaves to whom, only zones of any interface are sure.)
                sure = other not in self.cut_zones or own == ANY_INTERFACE
                if sure and all(own & box for box in self.boxes[other]):
                    addresses.append(other)
                    for special in (self.connected_zones, self.cut_zones):
                        if other in special:
                            special.append(name)
                    boxes += [own & box for box in self.boxes[other]]
                    plain &= other in [*self.plain_zones, "private", "internet"]
            self.rng.shuffle(addresses)
        if self.chance(0.25):
            value["connected"] = self.interfaces()
            self.connected_zones.append(name)
            if len(boxes) == 1 and self.chance(0.5):
                value.pop("addresses", None)
        if self.chance(0.25):
            self._list_addresses(value)
        if self.chance(0.3):
            free = self._except(value)
            plain &= free
            if not free:
                self.cut_zones.append(name)
        if set(value) == {"addresses"} and self.chance(0.5):
            value = value["addresses"]
        elif isinstance(value, dict):
            value = dict(self.rng.sample(list(value.items()), len(value)))
        return value, plain, boxes

    def _list_addresses(self, value):
        """Some or all of the zone's addresses stand in a list of their own."""
        lines = [self.address() for _ in self.some(0 if "addresses" in value else 1, 6)]
        if self.chance(0.05):
            lines += [f"100.{64 + n // 16384}.{n // 64 % 256}.{n % 64 * 4}/31" for n in range(4000)]
        comments = ["# a comment", "", "   ", "#"]
        lines = [line + self.rng.choice(["", "", " # why", "#", "  "]) for line in lines]
        for _ in self.some(0, 3):
            lines.insert(self.rng.randint(0, len(lines)), self.rng.choice(comments))
        value["file"] = f"lists/{len(self.lists)}.txt"
        self.lists[value["file"]] = lines

    def _except(self, value):
        """Takes something away, if it leaves something. Returns whether that is free of
        interfaces."""
        names = [z for z in self.zones if z not in self.connected_zones] + CATALOGUE_ZONES
        taken = self.several(
            lambda: self.rng.choice(names) if self.chance(0.4) else self.address()
        )
        rest = value if "connected" not in value else {"interfaces": value.get("interfaces")}
        if not self._leaves_something({**rest, "except": taken}):
            return True
        value["except"] = taken
        bound = {*self.zones, *CATALOGUE_ZONES} - {*self.plain_zones, "private", "internet"}
        return not bound & set(files.as_list(taken))

    def _leaves_something(self, value):
        """Whether a zone that takes something away is not empty. (Zones are made of boxes: if there
        is anything, there is something at an edge.)"""
        raw = {"zones": {**self.made_zones, "it": value}}
        zone = language.read_zones(self.catalogue, raw, lists=self.lists)["it"]
        return any(
            zone.contains(interface, family, value + by)
            for family, value in zone.edges()
            for by in (0, 1)
            if value + by < 1 << BITS[family]
            for interface in ANY_INTERFACE
        )

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
        """{ rules, default, log }, the last two None if it does not say."""
        defaults = {
            "inbound": ["drop", "drop", "reject"],
            "routed": ["drop", "drop", "reject"],
            "outbound": ["allow", "drop", "reject"],
        }[name]
        log = self._section_log()
        if self.chance(0.08):
            return {"rules": [], "default": self.rng.choice(defaults), "log": log}
        most = self.rng.choice([2, 5, 8, 8, 25])
        rules = [self._rule(name) for _ in self.some(0 if name == "outbound" else 1, most)]
        if name != "outbound" and self.chance(0.12):
            at = self.rng.randint(0, len(rules))
            rules[at:at] = self._pairs()
        if name == "outbound" and self.chance(0.3):
            rules = [r for r in rules if "deny" in r]
        if not rules:
            return None
        default = self.rng.choice(defaults) if self.chance(0.4) else None
        if name == "outbound" and default is None and any("allow" in r for r in rules):
            default = "reject"
        return {"rules": rules, "default": default, "log": log}

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
        return {**rule, **self._more_of_a_rule(section, verb)}

    def _pairs(self):
        """So many sources with a port each that no rule of their own is made of them."""
        rng, family = self.rng, self.rng.choice([4, 4, 6])
        verb = rng.choice(["allow", "allow", "deny"])
        lengths = {4: [16, 18, 20, 24, 24, 27, 28, 32], 6: [47, 48, 56, 62, 64, 64, 127, 128]}[family]
        usual, protocol = rng.choice(lengths), rng.choice(["tcp", "tcp", "udp", "sctp"])
        rules = []
        for _ in range(rng.randint(70, 130)):
            host = int(ipaddress.ip_address(rng.choice(HOSTS[family])))
            host ^= rng.choice([0, 0, 1, 256, 1 << rng.randint(0, 40 if family == 6 else 12)])
            n = ipaddress.ip_network(
                (host, usual if self.chance(0.8) else rng.choice(lengths)), strict=False
            )
            self.blocks[family].append((int(n.network_address), int(n.broadcast_address)))
            port = rng.choice(PORTS) if self.chance(0.5) else rng.randint(1, 65535)
            rules.append({verb: f"{port}/{protocol}", "from": str(n)})
        return rules

    def _protection(self):
        p = {"services": self.several(lambda: self.service_term(public=False))}
        if p["services"] == "any" or isinstance(p["services"], list) and "any" in p["services"]:
            p["services"] = "5432/tcp"
        if self.chance(0.5):
            p["only-from"] = self.several(lambda: self.zone_term(anywhere=False))
        return p

    # --- edges ---

    def _note_catalogue(self):
        zones = language.read_zones(self.catalogue)
        named = [zones[z] for z in ("private", "internet")]
        blocks = [b for z in named for b in z.addresses + z.excepted]
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
