# SPDX-License-Identifier: GPL-2.0-or-later
"""Random words of a policy that are not about addresses and ports."""

import grp
import pwd
import time

from values import FORWARDED_TO, PORTS
from words import ESSENTIALS

HOUR = 3600
DHCP = (67, 68, 546, 547)  # what a translated DHCP exchange would mean, POLICY.md leaves open
TIMES = ["%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S"]
USERS = [0, 1000, 1001, 65534, 4294967294]
GROUPS = [0, 1000, 1001, 65534]
# Names differ from host to host.
USERS += [u.pw_name for u in pwd.getpwall() if u.pw_name in ("root", "daemon", "nobody")]
GROUPS += [g.gr_name for g in grp.getgrall() if g.gr_name in ("root", "daemon", "nogroup")]
# Of no consequence to a verdict.
OTHER_SETTINGS = {
    "mark": ["0x20000000", 0x10000000],
    "log-limit": ["1/second", "100/minute"],
    "cut-denied": [True, False],
    "rescue": ["private", ["10.40.10.2"]],
    "confirm": ["10s", "5m"],
    "ownership": ["auto", "off"],
    "drift": ["heal", "alert"],
    "alerts": ["none"],
}


class Clauses:
    """A part of PolicyMaker: of .rng, .built, .now, and what it says of services and zones."""

    def has(self, word, p):
        """With that chance, if the program does that already. (The dice fall in any case.)"""
        return self.chance(p) and word in self.built

    # --- settings ---

    def _settings(self):
        rng, s = self.rng, {}
        if self.chance(0.6):
            s["antispoof"] = rng.choices(["loose", "strict"], [3, 5])[0]
        if self.has("antispoof: off", 0.15):
            s["antispoof"] = "off"
        if self.chance(0.4):
            s["essentials"] = rng.sample(ESSENTIALS, rng.randint(0, len(ESSENTIALS)))
            if len(s["essentials"]) == 1 and self.chance(0.5):
                s["essentials"] = s["essentials"][0]
        if self.chance(0.4):
            s["containers"] = rng.choice(["open", "closed"])
        if self.chance(0.3):
            s["counters"] = rng.choice(["rules", "off"])
        if self.chance(0.2):
            s["counters"] = "each"
        if self.chance(0.2):
            key = rng.choice(list(OTHER_SETTINGS))
            s[key] = rng.choice(OTHER_SETTINGS[key])
        return s

    # --- of a rule ---

    def _more_of_a_rule(self, section, verb):
        rule = {}
        if section == "outbound" and self.chance(0.25):
            rule["user"] = self.several(lambda: self.rng.choice(USERS))
        if section == "outbound" and self.chance(0.2):
            rule["group"] = self.several(lambda: self.rng.choice(GROUPS))
        if self.chance(0.12):
            rule["until"] = self._until()
        if verb == "allow" and self.chance(0.12):
            rule["limit"] = self._limit()
        if verb == "allow" and self.chance(0.08):
            rule["connections"] = self._connections()
        if self.chance(0.15):
            rule["log"] = self.rng.choice([True, True, False, "seen", "a/b:c_d.e-f"])
        if self.chance(0.1):
            rule["name"] = f"rule {self.rng.randint(1, 99)}"
        return rule

    def _section_log(self):
        if self.chance(0.2):
            return self.rng.choice([True, False, "10/minute", "1/minute"])
        return None

    def _until(self):
        """Times that are certainly over, and others that certainly are not while this is tried."""
        rng = self.rng
        at = self.now + rng.choice([-1, 1]) * rng.choice([HOUR // 4, HOUR, 30 * HOUR, 9000 * HOUR])
        form = rng.random()
        if form < 0.25:
            # a day: over when it ends, so today's is not (unless it ends any moment)
            days = rng.choice([-4000, -2, -1, 0, 1, 2, 4000])
            day = time.localtime(self.now + days * 24 * HOUR)
            if days or (day.tm_hour, day.tm_min >= 45) != (23, True):
                return time.strftime("%Y-%m-%d", day)
        if form < 0.5:
            return time.strftime(rng.choice(TIMES), time.localtime(at))
        zone = rng.choice([0, 0, 2, -5, 14, -12])
        text = time.strftime(rng.choice(TIMES), time.gmtime(at + zone * HOUR))
        return text + ("Z" if zone == 0 else f"{zone:+03d}:00")

    def _limit(self):
        """So generous that it never bites: see three_way.py for how many packets there are."""
        rng = self.rng
        text = rng.choice(
            [
                f"{rng.choice([50000, 1000000])}/second",
                f"{rng.choice([100000, 999999])}/{rng.choice(['minute', 'hour', 'day'])}",
                f"{rng.randint(1, 50)}/{rng.choice(['second', 'minute'])} burst 100000",
                f"{rng.randint(20, 50)}/{rng.choice(['hour', 'day'])} burst 5000",
            ]
        )
        return text + rng.choice(["", " per source"])

    def _connections(self):
        n = self.rng.choice([50000, 1000000])
        return self.rng.choice([n, f"{n} per source"])

    # --- nat ---

    def _nat(self):
        if not self.chance(0.4):
            return []
        nat, taken = [], set()
        for _ in self.some(0, 3):
            clients = self.zone_term(anywhere=False)
            nat.append({"masquerade": clients, "out": self.interfaces()})
        for _ in self.some(1, 4):
            forward = self._forward(taken)
            if forward:
                nat.append(forward)
        return nat

    def _forward(self, taken):
        """No two forwards are about the same port: which of them holds is nowhere said."""
        rng = self.rng
        low = rng.choice(PORTS) if self.chance(0.8) else rng.randint(1, 65535)
        high = min(65535, low + (0 if self.chance(0.7) else rng.choice([1, 5, 100])))
        proto = rng.choices(["tcp", "udp", "sctp"], [6, 4, 1])[0]
        ports = {(proto, p) for p in range(low, high + 1)}
        if ports & taken or ports & {("udp", p) for p in DHCP}:
            return None
        taken |= ports
        family = rng.choice((4, 6))
        to = rng.choice(FORWARDED_TO[family])
        if low == high and self.chance(0.6):
            to = f"[{to}]" if family == 6 else to
            to += f":{rng.choice([p for p in PORTS if p not in DHCP])}"
        forward = {"forward": f"{low if low == high else f'{low}-{high}'}/{proto}", "to": to}
        if self.chance(0.7):
            forward["in"] = self.interfaces()
        return forward
