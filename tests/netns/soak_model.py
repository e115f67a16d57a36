# SPDX-License-Identifier: GPL-2.0-or-later
"""What must be in force at each moment of a soak, as far as that can be known from outside: each thing
that decides (the policy, a panic, a link ...) has a set of values that it may have, which is of one
value while nothing changes it. A packet must pass if it would with all of them, and may pass if it would
with one."""

import bisect
import functools
import itertools
import time
from dataclasses import dataclass

from lab import LINKS
from talk import host_address

KEEP_SECONDS = 300  # of the past: no question reaches back further

# name → (peer's namespace, its address of IPv4, of IPv6)
CLIENTS = {
    "wan": ("wan", *LINKS["wan"][2:5:2]),
    "lan": ("lan", *LINKS["lan"][2:5:2]),
    "vpn": ("vpn", *LINKS["vpn"][2:5:2]),
    "guest": ("guest", *LINKS["guest"][2:5:2]),
    "listed": ("wan", "203.0.113.77", "2001:db8:ffff::77"),
    "banned": ("wan", "203.0.113.66", "2001:db8:ffff::66"),
    "far": ("wan", "198.51.100.9", "2001:db8:99::9"),  # behind a route that comes and goes
    "near": ("wan", "192.0.2.9", "2001:db8:77::9"),  # in a network that comes and goes
    "forged": ("wan", "10.40.10.77", "fd00:40:10::77"),  # the LAN's, from elsewhere
}
BEHIND_ETH0 = {"wan", "listed", "banned"}
WHOLE_ADDRESS = {"wan", "listed", "banned", "far", "near"}  # of no zone with addresses

STEADY, SHUT, ROUTED, OUTWARD = 7000, 7001, 7200, 7300
SSH, HTTPS = 22, 443


@dataclass(frozen=True)
class Lane:
    """One kind of connection. section: inbound; routed, to c3; outbound, to wan."""

    client: str
    family: int
    protocol: str
    port: int
    section: str = "inbound"

    def __str__(self):
        return f"{self.section} {self.protocol}/{self.port} of {self.client}, IPv{self.family}"

    @property
    def to(self):
        if self.section == "routed":
            return LINKS["c3"][2 if self.family == 4 else 4]
        if self.section == "outbound":
            return LINKS["wan"][2 if self.family == 4 else 4]
        return host_address(LINKS[self.namespace][0], self.family)

    @property
    def namespace(self):
        return "fw" if self.section == "outbound" else CLIENTS[self.client][0]

    @property
    def source(self):
        if self.section == "outbound":
            return host_address("eth0", self.family)
        return CLIENTS[self.client][1 if self.family == 4 else 2]


def _both(port):
    return f"[{port}/tcp, {port}/udp]"


# name → (section, the rule, ports, who is meant: of a lane and the world's state)
RULES = {
    "everybody": ("inbound", f"allow: {_both(7100)}", {7100}, lambda lane, w: True),
    "lan": ("inbound", f"allow: {_both(7101)}, from: lan", {7101},
            lambda lane, w: lane.client in ("lan", "forged")),
    "vpn": ("inbound", f"allow: {_both(7102)}, from: vpn", {7102},
            lambda lane, w: lane.client == "vpn" and w["vpn"] == "wg0"),
    "guest": ("inbound", f"allow: {_both(7103)}, in: eth1.20", {7103},
              lambda lane, w: lane.client == "guest"),
    "home": ("inbound", f"allow: {_both(7104)}, from: home", {7104},
             lambda lane, w: lane.client in BEHIND_ETH0 or lane.client == "near" and w["home"]),
    "ssh": ("inbound", "allow: ssh, from: lan", {SSH},
            lambda lane, w: lane.client in ("lan", "forged")),
    "not-wan": ("inbound", f"deny: {_both(7100)}, from: [203.0.113.2, \"2001:db8:ffff::2\"]", {7100},
                lambda lane, w: lane.client == "wan"),
    "not-listed": ("inbound", "deny: any, from: listed", None,
                   lambda lane, w: lane.client == "listed" and w["policy"].listed),
    "routed": ("routed", f"allow: {ROUTED}/udp, from: lan, to: containers", {ROUTED},
               lambda lane, w: lane.client == "lan"),
    "outward": ("outbound", f"deny: {OUTWARD}/udp", {OUTWARD}, lambda lane, w: True),
}
ALWAYS = f"allow: [{STEADY}/udp, https], from: anywhere"


@dataclass(frozen=True)
class Policy:
    rules: frozenset  # names in RULES
    antispoof: str
    listed: bool  # whether the list held the client `listed` when it was read

    def text(self, ownership, confirm):
        lines = [
            "ringwall: 1",
            f"settings: {{ rescue: lan, confirm: {confirm}s, ownership: {ownership}, "
            f"antispoof: {self.antispoof} }}",
            'zones:\n  lan: [10.40.10.0/24, "fd00:40:10::/64"]\n  vpn: { interfaces: [wg0] }',
            "  home: { connected: [eth0] }\n  listed: { file: list }",
            "protected: [{ services: ollama }]",
        ]
        for section in ("inbound", "routed", "outbound"):
            rules = [ALWAYS] if section == "inbound" else []
            rules += [RULES[name][1] for name in sorted(self.rules) if RULES[name][0] == section]
            if rules:
                lines.append(f"{section}:\n" + "\n".join(f"  - {{ {rule} }}" for rule in rules))
        return "\n".join(lines) + "\n"

    def judges(self, lane, world):
        """By the sections alone: allowed or not."""
        allowed = lane.section == "outbound"
        if lane.section == "inbound" and (lane.protocol, lane.port) in (("udp", STEADY), ("tcp", HTTPS)):
            allowed = True
        for name in self.rules:
            section, text, ports, meant = RULES[name]
            if section != lane.section or (ports and lane.port not in ports) or not meant(lane, world):
                continue
            if text.startswith("deny"):
                return False
            allowed = True
        return allowed


def draw(rng, listed):
    names = [name for name in RULES if rng.random() < 0.55]
    return Policy(frozenset(names), rng.choice(("loose", "loose", "strict")), listed)


# What decides → its value at the beginning
BEGINNING = {
    "policy": None,  # what judges new connections; None: nothing is in force
    "kept": None,  # what was confirmed, by which open connections are kept
    "pending": False,
    "hole": False,  # "open": somebody may have taken rules away; "shut": perhaps all but the drop at the end
    "panic": False,
    "banned4": False,
    "banned6": False,
    "route": False,
    "home": False,  # the set of networks on link holds the one that comes and goes
    "near": False,  # and the host has it
    "vpn": "wg0",  # its interface's name; None: down
    "guest": True,
}


def _links(lane, world):
    """Whether there is a way at all."""
    if lane.client == "vpn":
        return world["vpn"] is not None
    return lane.client != "guest" or world["guest"]


def _led_back(lane, world):
    """Anti-spoofing."""
    if lane.client == "far":
        return world["route"]
    if lane.client == "near":
        return world["near"]
    return lane.client != "forged" or world["policy"].antispoof == "loose"


def _admits(lane, world):
    """Whether a new connection passes."""
    if world["hole"] or world["policy"] is None:
        return True
    if lane.client == "banned" and world[f"banned{lane.family}"]:
        return False
    if world["panic"]:
        if lane.section == "outbound":
            return True
        return lane.section == "inbound" and lane.port == SSH and lane.client == "lan"
    if lane.section != "outbound" and not _led_back(lane, world):
        return False
    return world["policy"].judges(lane, world)


def _keeps(lane, world):
    """Whether an open connection goes on."""
    if world["kept"] is None or world["panic"] or not _links(lane, world):
        return False
    if lane.client == "banned" and world[f"banned{lane.family}"]:
        return False
    return world["kept"].judges(lane, world)


def _ends(lane, world):
    """Whether an open connection is dead for certain."""
    if world["hole"] or world["pending"] or world["policy"] is None:
        return False
    if lane.client == "banned" and world[f"banned{lane.family}"]:
        return True
    if lane.section == "outbound" or lane.port == SSH and lane.client == "lan":  # the rescue path
        return False
    # nothing is cut because a link goes
    return world["panic"] or not world["policy"].judges(lane, dict(world, vpn="wg0"))


@functools.cache
def _needs(client):
    """What decides about a client, beside what decides about all."""
    own = {"banned": ("banned4", "banned6"), "far": ("route",), "near": ("near", "home"),
           "vpn": ("vpn",), "guest": ("guest",)}
    return ("policy", "kept", "pending", "hole", "panic", *own.get(client, ()))


class Dimension:
    """Since when which values were possible; the future may be written down, too."""

    def __init__(self, value):
        self.times, self.values = [0.0], [frozenset((value,))]

    def set(self, *values, at=None):
        """From now on; at: from then on, unless something is set before."""
        now = time.monotonic()
        at = now if at is None else max(at, now)
        keep = bisect.bisect_left(self.times, at)
        times, held = self.times[:keep] + [at], self.values[:keep] + [frozenset(values)]
        first = max(0, bisect.bisect_right(times, now - KEEP_SECONDS) - 1)
        self.times, self.values = times[first:], held[first:]  # values last: see between()

    def between(self, start, end):
        values, times = self.values, self.times
        while len(values) != len(times):  # the other thread is setting
            values, times = self.values, self.times
        first = max(0, bisect.bisect_right(times, start) - 1)
        last = max(first + 1, bisect.bisect_right(times, end))
        if last == first + 1:
            return values[first]
        return frozenset().union(*values[first:last])

    def now(self):
        return self.between(*[time.monotonic()] * 2)

    def value(self):
        """The only one that it may have now."""
        (value,) = self.now()
        return value


class Model:
    def __init__(self):
        self.of = {name: Dimension(value) for name, value in BEGINNING.items()}

    def set(self, name, *values, at=None):
        self.of[name].set(*values, at=at)

    def _worlds(self, lane, start, end):
        names = _needs(lane.client)
        for values in itertools.product(*(self.of[n].between(start, end) for n in names)):
            yield dict(BEGINNING, **dict(zip(names, values)))

    def may_pass(self, lane, start, end):
        return any(_admits(lane, w) for w in self._worlds(lane, start, end))

    def must_pass(self, lane, start, end):
        """A hole may also be one that lets nothing in."""
        return all(
            _admits(lane, w) and _links(lane, w) and not w["hole"]
            for w in self._worlds(lane, start, end)
        )

    def must_live(self, lane, start, end):
        return all(_keeps(lane, w) for w in self._worlds(lane, start, end))

    def must_be_dead(self, lane, start, end):
        return all(_ends(lane, w) for w in self._worlds(lane, start, end))

    def was(self, name, value, start, end):
        """Whether it may have been."""
        return value in self.of[name].between(start, end)

    def describe(self, lane, start, end):
        """What it knows of what decides about that lane."""
        lines = []
        for name in _needs(lane.client):
            for value in sorted(map(str, self.of[name].between(start, end))):
                lines.append(f"    {name}: {value}")
        return "\n".join(lines)
