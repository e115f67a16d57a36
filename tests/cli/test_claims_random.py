# SPDX-License-Identifier: GPL-2.0-or-later
"""check's proofs against explain: random policies with random claims. A claim that check does not call
broken must hold for every connection that is tried, among them those at the edges of what rules tell
apart."""

import ipaddress
import json
import os
import random
import re
import subprocess
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
PROGRAM = os.environ.get("RINGWALL", os.path.join(ROOT, "build/src/cli/ringwall"))
ENVIRONMENT = {
    **os.environ,
    "RINGWALL_DATADIR": os.environ.get("RINGWALL_DATADIR", os.path.join(ROOT, "policies")),
}
POLICIES, QUESTIONS = int(os.environ.get("RINGWALL_CLAIM_POLICIES", "60")), 300
NETS = {
    4: ["10.0.0.0/8", "10.40.0.0/16", "10.40.7.0/24", "10.40.7.128/25", "203.0.113.0/24", "10.40.7.9"],
    6: ["fd00::/8", "fd00:40::/32", "fd00:40:7::/64", "2001:db8::/32", "fd00:40:7::9"],
}
INTERFACES = ["eth0", "eth1", "wg0", "br-1"]
PORTS = [22, 80, 443, 5432, 5678, 8080]


def run(*args, text=None):
    return subprocess.run(
        [PROGRAM, *args], input=text, capture_output=True, text=True, timeout=120, env=ENVIRONMENT, check=False
    )


class Made:
    def __init__(self, rng):
        self.rng = rng
        rules = [self.item(rng.choice(("allow", "allow", "deny"))) for _ in range(rng.randint(1, 8))]
        self.claims = [("protected", *self.service(), self.clients(0.4)) for _ in range(rng.randint(0, 2))]
        for _ in range(rng.randint(2, 6)):
            service = self.service()
            self.claims.append((rng.choice(("allow", "deny", "deny")), *service, self.clients(0.8)))
        self.rules = "ringwall: 1\nzones:\n  lan: [10.40.0.0/16, \"fd00:40::/32\"]\n  vpn: { interfaces: [wg0] }\n"
        self.rules += "  part: { interfaces: [eth1], addresses: [10.0.0.0/8] }\n"
        self.rules += "inbound:\n" + "".join(rules)
        if rng.random() < 0.3:
            self.rules += "nat:\n  - { forward: 8080/tcp, to: \"10.40.7.9:5678\", in: eth0 }\n"

    def service(self):
        rng = self.rng
        protocol, low = rng.choice(("tcp", "tcp", "udp")), rng.choice(PORTS)
        high = low if rng.random() < 0.6 else low + rng.randint(1, 400)
        return protocol, low, high

    def clients(self, often):
        rng = self.rng
        if rng.random() > often:
            return None
        return rng.choice((rng.choice(NETS[4]), rng.choice(NETS[6]), "lan", "vpn", "part"))

    def item(self, verb):
        protocol, low, high = self.service()
        ports = f"{low}/{protocol}" if low == high else f"{low}-{high}/{protocol}"
        who = self.clients(0.6)
        text = f"{verb}: {ports if self.rng.random() < 0.85 else 'any'}"
        if who:
            text += f", from: {_quote(who)}"
        if self.rng.random() < 0.2:
            text += f", in: {self.rng.choice(INTERFACES)}"
        return f"  - {{ {text} }}\n"

    def whole(self):
        """The text, and the line of each claim."""
        text, lines = self.rules, []
        for kind in ("protected", "expect"):
            chosen = [c for c in self.claims if (c[0] == "protected") == (kind == "protected")]
            text += f"{kind}:\n" if chosen else ""
            for claim in chosen:
                verb, protocol, low, high, who = claim
                ports = f"{low}/{protocol}" if low == high else f"{low}-{high}/{protocol}"
                key, clients = ("services", "only-from") if kind == "protected" else (verb, "from")
                text += f"  - {{ {key}: {ports}" + (f", {clients}: {_quote(who)}" if who else "") + " }\n"
                lines.append((text.count("\n"), claim))
        return text, lines


def _quote(word):
    return f'"{word}"' if ":" in word else word


def _is_from(who, source, interface):
    if who is None:
        return True
    if who == "vpn":
        return interface == "wg0"
    if who == "part":
        return interface == "eth1" and source.version == 4 and source in ipaddress.ip_network("10.0.0.0/8")
    nets = ["10.40.0.0/16", "fd00:40::/32"] if who == "lan" else [who]
    return any(source in ipaddress.ip_network(n) for n in nets if (":" in n) == (source.version == 6))


def connections(rng, n):
    for _ in range(n):
        family = rng.choice((4, 4, 6))
        net = ipaddress.ip_network(rng.choice(NETS[family]))
        edge = rng.choice((net[0], net[-1], net[rng.randrange(net.num_addresses)], net[0] + 1))
        source = edge + rng.choice((0, 0, -1, 1))
        port = max(1, rng.choice(PORTS) + rng.choice((0, 0, 0, -1, 1, rng.randint(0, 401))))
        yield rng.choice(("tcp", "udp")), source, port, rng.choice(INTERFACES)


def test_a_claim_that_check_proves_holds_for_every_connection_that_is_tried(tmp_path):
    seed = int(os.environ.get("SEED", time.time()))
    proved = broken = asked = 0
    for number in range(POLICIES):
        rng = random.Random(f"{seed}-{number}")
        made = Made(rng)
        text, lines = made.whole()
        policy, rules = tmp_path / "policy.yaml", tmp_path / "rules.yaml"
        policy.write_text(text, encoding="utf-8")
        done = run("check", str(policy))
        assert done.returncode in (0, 3), f"seed {seed} policy {number}\n{text}{done.stderr}"
        bad = {int(n) for n in re.findall(r"policy.yaml:(\d+):\d+: error: this does not hold", done.stderr)}
        others = re.findall(r"^.*: error: (?!this does not hold).*$", done.stderr, re.M)
        if others or not lines:
            continue  # a rule that holds nothing but protected services, say: nothing was proved
        broken += len(bad)
        holds = [claim for line, claim in lines if line not in bad]
        proved += len(holds)
        # the rules without the expectations, which are no part of what is loaded
        end = text.index("expect:\n") if "expect:\n" in text else len(text)
        rules.write_text(text[:end], encoding="utf-8")
        tried = list(connections(rng, QUESTIONS))
        questions = "".join(
            f"{protocol} from {f'[{s}]' if s.version == 6 else s} to {port} in {interface}\n"
            for protocol, s, port, interface in tried
        )
        done = run("explain", "-", str(rules), "--json", text=questions)
        answers = [json.loads(line)["verdict"] for line in done.stdout.splitlines()]
        assert len(answers) == len(tried), f"seed {seed} policy {number}\n{text}{done.stderr}"
        for (protocol, source, port, interface), verdict in zip(tried, answers):
            for verb, p, low, high, who in holds:
                if p != protocol or not low <= port <= high:
                    continue
                inside = _is_from(who, source, interface)
                if inside == (verb == "protected") and who is not None:
                    continue
                if verb == "protected" and who is None:
                    inside = False
                if made.rules.find("forward:") > 0 and (protocol, port, interface) == ("tcp", 8080, "eth0"):
                    continue  # it is not this host's
                asked += 1
                assert (verdict == "accept") == (verb == "allow"), (
                    f"seed {seed} policy {number}: {protocol} from {source} to {port} in {interface}: {verdict}, "
                    f"yet proved: {verb} {low}-{high} {who}\n{text}"
                )
    print(f"seed {seed}: {proved} claims proved, {broken} broken, {asked} connections tried")
    assert proved > POLICIES / 3 and broken > POLICIES / 3 and asked > POLICIES * 10
