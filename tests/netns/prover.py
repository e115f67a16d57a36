# SPDX-License-Identifier: GPL-2.0-or-later
"""Attacks on `ringwall verify`: a claim that it calls proved must hold for every packet that is tried,
by the evaluator and by the kernel.

run_foreign(): rulesets of other programs, whose drops hang on matches in one chain and their opposites
in another. run_mutants(): ringwall's own table, opened by one edit."""

import json
import random
import re
from collections import Counter
from dataclasses import dataclass, field

import packets
from foreign_packets import Sent, draw
from foreign_rules import MARKS, PORTS, V4, V6, Rules
from foreign_xt import XtRules
from host import TCP, UDP, Packet, address, address_text
from lab import LINKS
from program import ringwall
from whole import Tally as LoadTally
from whole import Whole
from wire import pinned
from world import DOCKER, EXAMPLE

ATTACHED = ("docker0", "br-1", "virbr0")
CLAIMS = [(TCP, port) for port in PORTS] + [(UDP, 53), (UDP, 8080)]
NAMES = {TCP: "tcp", UDP: "udp"}
FLAGS = packets.SYN | packets.ACK | packets.FIN | packets.RST
FOREIGN = "ringwall: 1\nprotected:\n" + "".join(
    f"  - {{ services: {port}/{NAMES[protocol]} }}\n" for protocol, port in CLAIMS
)
GUARDED = {"ollama": 11434, "n8n": 5678, "postgresql": 5432}


@dataclass
class Tally:
    worlds: int = 0
    packets: int = 0
    sent: int = 0
    opened: int = 0  # mutants that really let something in
    answers: Counter = field(default_factory=Counter)
    kinds: Counter = field(default_factory=Counter)
    wrong: list = field(default_factory=list)

    def __str__(self):
        answers = ", ".join(f"{n} {a}" for a, n in sorted(self.answers.items()))
        return (
            f"{self.worlds} rulesets, {self.opened} opened; claims: {answers}; {self.packets} packets, "
            f"{self.sent} of them sent: {len(self.wrong)} wrong"
        )


def begins(p):
    """Whether it could begin a connection to one host."""
    if p.protocol != TCP:
        return p.protocol == UDP
    transport = 20 if p.family == 4 else 40
    return p.data[transport + 13] & FLAGS == packets.SYN


def dialled(p):
    transport = 20 if p.family == 4 else 40
    return int.from_bytes(p.data[transport + 2 : transport + 4], "big")


def for_many(p, destination):
    if p.family == 6:
        return destination.startswith("ff")
    last = destination.split(".")
    return int(last[0]) >= 224 or last[3] in ("255", "0") or last[0] == "0"


def breaks(p, where, destination, port, protocol, claimed):
    """Whether a packet that ended there breaks the claim."""
    if p.peer is None or p.to_peer or p.protocol != protocol or not begins(p):
        return False
    if protocol == TCP and for_many(p, destination):
        return False
    moved = destination != address_text(*address(p.destination)) or port != dialled(p)
    if claimed not in (port, dialled(p) if moved else port):
        return False
    return moved or where == "here" or where in ATTACHED


def outcomes(answer):
    for word in answer.split(" |")[0].split()[1:]:
        where, out, destination, port, known = word.rsplit(",", 4)
        if known == "known" and where in ("here", "left"):
            yield where if where == "here" else out, address_text(*address(destination)), int(port)


class Prover(Whole):
    def verify(self, path):
        done = ringwall(self.lab, "verify", "--policy", path, "--json", check=False)
        if done.returncode not in (0, 10, 11):
            raise AssertionError(f"verify: exit {done.returncode}\n{done.stderr[-1500:]}")
        return json.loads(done.stdout)["claims"]

    def _check(self, label, claims, answers, sample, expected, tally):
        """expected: (protocol, port) of each claim."""
        proved = [e for c, e in zip(claims, expected) if c["answer"] == "proved"]
        tally.answers.update(c["answer"] for c in claims)
        tally.packets += len(sample)
        for p, answer in zip(sample, answers):
            for protocol, port in proved:
                if any(breaks(p, *o, protocol, port) for o in outcomes(answer)):
                    tally.wrong.append(
                        f"{label}: {port}/{NAMES[protocol]} is proved; the evaluator: {answer}\n"
                        f"  {self._question(p)}"
                    )

    def _check_kernel(self, label, claims, sample, expected, tally):
        proved = [e for c, e in zip(claims, expected) if c["answer"] == "proved"]
        if not proved:
            return
        self.wire.conntrack.flush()
        tally.sent += len(sample)
        seen = self.send(sample)
        for p in sample:
            for where, _, destination, port in seen.get(p.number, ()):
                # a raw socket of IPv6 does not see the header
                to = p.destination if destination is None else address_text(p.family, destination)
                for protocol, claimed in proved:
                    if breaks(p, where, to, port, protocol, claimed):
                        tally.wrong.append(
                            f"{label}: {claimed}/{NAMES[protocol]} is proved; the kernel: {where} {to} "
                            f"{port}\n  {self._question(p)}"
                        )

    def attack(self, label, path, expected, sample, to_send, tally):
        claims = self.verify(path)
        tally.worlds += 1
        self._check(label, claims, self.ask(sample), sample, expected, tally)
        self._check_kernel(label, claims, sample[:to_send], expected, tally)
        return claims


# --- rulesets of other programs ---


def opposites(rng):
    """A match and what is left, for both families."""
    v4, v6 = rng.choice(V4["peer"] + V4["far"]), rng.choice(V6["peer"] + V6["far"])
    mark, value = rng.choice(MARKS), rng.choice((63, 64, 65))
    pairs = [
        (f"meta mark {mark}", f"meta mark != {mark}"),
        ("meta mark 0", "meta mark != 0"),
        (f"ct mark {mark}", f"ct mark != {mark}"),
        ("ct mark 0", "ct mark != 0"),
        ("ct state new", "ct state != new"),
        ("ct state { new, untracked }", "ct state != { new, untracked }"),
        ("ct status dnat", "ct status & dnat == 0"),
        ("ct status 0", "ct status != 0"),
        ("fib saddr type local", "fib saddr type != local"),
        ("fib saddr type unicast", "fib saddr type != unicast"),
        ("fib saddr type broadcast", "fib saddr type != broadcast"),
        ("fib daddr type local", "fib daddr type != local"),
        ("meta pkttype host", "meta pkttype != host"),
        ("iifname eth0", "iifname != eth0"),
        ('iifname "eth*"', 'iifname != "eth*"'),
        ("meta length < 60", "meta length >= 60"),
        ("tcp flags syn", "tcp flags != syn"),
        ("th sport < 32768", "th sport >= 32768"),
        ("meta priority 0", "meta priority != 0"),
        ("numgen random mod 2 0", "numgen random mod 2 1"),
        ("meta random < 2147483648", "meta random >= 2147483648"),
        ("meta nfproto ipv4", "meta nfproto ipv6"),
    ]
    two = [
        (f"ip saddr {v4}", f"ip saddr != {v4}", f"ip6 saddr {v6}", f"ip6 saddr != {v6}"),
        (f"ip ttl {value}", f"ip ttl != {value}", f"ip6 hoplimit {value}", f"ip6 hoplimit != {value}"),
        ("ip dscp cs0", "ip dscp != cs0", "ip6 dscp cs0", "ip6 dscp != cs0"),
        ("@nh,80,16 < 0x8000", "@nh,80,16 >= 0x8000", "meta nfproto ipv6", "meta nfproto ipv6"),
        (f"ct original ip saddr {v4}", f"ct original ip saddr != {v4}", "meta nfproto ipv6",
         "meta nfproto ipv6"),
        ("ip saddr 0.0.0.0/8", "ip saddr != 0.0.0.0/8", "ip6 saddr fe80::/10", "ip6 saddr != fe80::/10"),
    ]
    if rng.random() < 0.6:
        one, other = rng.choice(pairs)
        return [one], [other]
    a, b, c, d = rng.choice(two)
    return [a, c], [b, d]


def copies(rng):
    """Copies of packets, and packets that are sent on, to where it matters and where it does not."""
    lines, out = [], ("eth0", "eth1", "wg0", "docker0", "br-1", "lo", "p-c1")
    port = rng.choice(PORTS)
    what = rng.choice((f"tcp dport {port}", f"udp dport {port}", "meta l4proto tcp"))
    if rng.random() < 0.6:
        table, v = rng.choice((("ip", V4), ("ip6", V6)))
        to = rng.choice(v["peer"] + v["own"][:4] + v["far"])
        hook = rng.choice(("prerouting", "input", "forward", "postrouting"))
        device = f' device "{rng.choice(out)}"' if rng.random() < 0.5 else ""
        lines += [
            f"add table {table} copying",
            f"add chain {table} copying c {{ type filter hook {hook} priority {rng.choice((-300, 0))}; }}",
            f"add rule {table} copying c {what} dup to {to}{device}",
        ]
    else:
        device = rng.choice(("eth0", "eth1", "wg0"))
        lines += [
            "add table netdev copying",
            f'add chain netdev copying c {{ type filter hook ingress device "{device}" priority 5; }}',
            f'add rule netdev copying c {what} {rng.choice(("dup", "fwd"))} to "{rng.choice(out)}"',
        ]
    return lines


class Closed(Rules):
    """Random rules, and a table that closes ports in two halves."""

    def __init__(self, rng):
        super().__init__(rng)
        add = self.lines.append
        add("add table inet closing")
        self.lines += copies(rng) if rng.random() < 0.3 else []
        chains = {}
        for hook in ("prerouting", "input", "forward"):
            priority = rng.choice((-290, -190, -150, -90, -10, 0, 5, 101) if hook == "prerouting"
                                  else (-150, -10, 0, 5, 50, 101, 150))
            chains[hook] = f"closing c-{hook}"
            add(f"add chain inet {chains[hook]} {{ type filter hook {hook} priority {priority}; }}")
        for protocol, port in CLAIMS:
            what = f"meta l4proto {NAMES[protocol]} th dport {port}"
            if rng.random() < 0.2:
                continue
            one, other = opposites(rng)
            early = rng.random() < 0.5
            for match in one:
                for hook in ("prerouting",) if early else ("input", "forward"):
                    add(f"add rule inet {chains[hook]} {what} {match} drop")
            for match in other:
                for hook in ("input", "forward"):
                    add(f"add rule inet {chains[hook]} {what} {match} drop")


def _packets(rng, n):
    free = rng.sample(range(1024, 65536), n)
    return [draw(rng, number + 1, free) for number in range(n)]


def run_foreign(seed, rulesets, per, to_send, folder, only=None):
    tally, loads = Tally(), LoadTally()
    path = f"{folder}/foreign.yaml"
    with open(path, "w", encoding="utf-8") as f:
        f.write(FOREIGN)
    with pinned():
        prover = Prover()
        try:
            for number in range(rulesets) if only is None else [only]:
                rng = random.Random(f"{seed}-{number}")
                made = Closed(rng)
                if number % 4 == 3:
                    # nft's own beside those of iptables
                    made.lines = [line for line in made.lines if "inet closing" in line]
                    prover.load_xt([XtRules(rng, 4), XtRules(rng, 6)], loads)
                    add(prover, made)
                else:
                    prover.load(made, loads)
                routing = made.routing()
                if routing or prover.routed:
                    prover.route(routing)
                before = len(tally.wrong)
                prover.attack(
                    f"seed {seed} ruleset {number}", path, CLAIMS, _packets(rng, per), to_send, tally
                )
                if len(tally.wrong) > before:
                    tally.wrong[before] += "\n" + prover.lab.run("fw", ["nft", "list", "ruleset"]).stdout
        finally:
            prover.close()
    return tally


def add(prover, rules):
    """Beside what is loaded; lines that nft refuses are left out."""
    for line in rules.lines:
        prover.lab.run("fw", ["nft", "-f", "-"], line + "\n", check=False)


# --- ringwall's own table, opened ---

OWN_CHAINS = ("input", "inbound", "forward", "inbound-dialled", "protected")


def _who(rng):
    return rng.choice((
        "", "ip saddr 203.0.113.2", "ip saddr 203.0.113.0/24", "ip6 saddr 2001:db8:ffff::2",
        "iifname eth0", 'iifname "eth*"', "iifname { eth0, wg0 }", "ip saddr != 10.0.0.0/8",
        "meta nfproto ipv4", "ip ttl 64", "ct state new",
    ))


def _foreign(name, hook, priority, *rules, kind="filter"):
    body = "".join(f"    {r}\n" for r in rules)
    return f"table inet {name} {{\n  chain c {{ type {kind} hook {hook} priority {priority}\n{body}  }}\n}}\n"


def mutate(rng, handles, sets, port):
    """(kind, nft commands)"""
    who, chain = _who(rng), rng.choice(("input", "input", *OWN_CHAINS))
    service = rng.choice((f"tcp dport {port}", f"tcp dport {{ 1, {port} }}", f"tcp dport {port - 1}-{port}",
                          f"meta l4proto tcp th dport {port}", f"@th,16,16 {port}", "meta l4proto tcp"))
    at = f"insert rule inet ringwall {chain}"
    first = "insert rule inet ringwall input"
    mark = rng.randint(0x100, 0xffff)
    kinds = {
        "accept": f"{at} {who} {service} accept\n",
        "accept all": f"{first} {who} accept\n",
        "map": f"{at} {who} tcp dport vmap {{ {port} : accept, 1 : drop }}\n",
        "pair map": f"{at} iifname . tcp dport vmap {{ eth0 . {port} : accept, wg0 . {port} : accept }}\n",
        "set": f"add set inet ringwall hole {{ type inet_service; flags interval; elements = {{ 1-5, {port} }} }}\n"
               f"{at} {who} tcp dport @hole accept\n",
        "other chain": f"add chain inet ringwall hole\nadd rule inet ringwall hole {service} accept\n"
                       f"{first} {who} {rng.choice(('jump', 'goto'))} hole\n",
        "mark": _foreign("m", "prerouting", rng.choice((-300, -150, -99)), f"{who} {service} meta mark set {mark}")
                + f"{first} meta mark {mark} accept\n",
        "connection mark": _foreign("m", "prerouting", rng.choice((-199, -150, -99)),
                                    f"{who} {service} ct mark set {mark}") + f"{first} ct mark {mark} accept\n",
        "mark of two": _foreign("m", "prerouting", -150, f"{service} meta mark set 1", "meta mark 1 ct mark set 7")
                       + _foreign("n", "prerouting", -150, f"{service} meta mark 0 ct mark set {mark}")
                       + f"{first} ct mark {mark} accept\n",
        "notrack": _foreign("m", "prerouting", -300, f"{who} {service} notrack")
                   + f"{first} ct state untracked {service} accept\n",
        "redirect": _foreign("m", "prerouting", rng.choice((-100, 0)), f"tcp dport 443 redirect to :{port}", kind="nat")
                    + f"{first} ct original proto-dst 443 accept\n".replace("ct ", "meta l4proto tcp ct ")
                    + "insert rule inet ringwall inbound-dialled meta l4proto tcp ct original proto-dst 443 accept\n",
        "translation": _foreign("m", "prerouting", -100,
                                f"ip daddr {rng.choice(('127.0.0.1', '203.0.113.7', '198.51.100.80'))} "
                                f"tcp dport 80 dnat ip to {rng.choice(('203.0.113.1', '172.17.0.2'))}:{port}",
                                kind="nat")
                       + f"{first} ct status dnat accept\ninsert rule inet ringwall forward ct status dnat accept\n",
        "limit": f"{at} {who} {service} limit rate 5/minute accept\n",
        "lot": f"{at} {service} numgen random mod 2 0 accept\n",
        "hop limit": f"{at} ip ttl 64 {service} accept\n{at} ip6 hoplimit 64 {service} accept\n",
        "dormant": "add table inet ringwall { flags dormant; }\n",
        "no rule": "".join(f"delete rule inet ringwall {c} handle {h}\n" for c, h in rng.sample(handles, 1)),
        "no rules": f"flush chain inet ringwall {chain}\n",
        "no elements": f"flush set inet ringwall {rng.choice(sets)}\n" if sets else f"{first} accept\n",
    }
    kind = rng.choice(list(kinds))
    return kind, kinds[kind]


def _aimed(rng, n):
    """SYNs to what is protected and to what is translated, from everywhere."""
    made = []
    free = rng.sample(range(1024, 65536), n)
    for number in range(n):
        family = rng.choice((4, 4, 6))
        peer = rng.choice(list(LINKS))
        name, own4, near4, own6, near6, _ = LINKS[peer]
        near, own = (near4, own4) if family == 4 else (near6, own6)
        far = {4: "198.51.100.5", 6: "2001:db8:1::5"}[family]
        to = rng.choice([own.split("/")[0]] * 4 + [near4 and LINKS["c1"][2 if family == 4 else 4],
                         "203.0.113.7" if family == 4 else "2001:db8:ffff::7",
                         "127.0.0.1" if family == 4 else own.split("/")[0], far])
        source = rng.choice((near, near, far if name == "eth0" else near))
        p = Packet(family, address(source)[1], address(to)[1], TCP, free.pop(),
                   rng.choice((*GUARDED.values(), 443, 80, 3000)), hop_limit=rng.choice((64, 64, 63)))
        segment = packets._segment(p, packets.tag(number + 1), packets.SYN)
        made.append(Sent(number + 1, peer, packets.header_bytes(p, len(segment), 0) + segment, TCP, 0, family, to))
    return made


def _witness_comes_in(prover, text):
    """Sends the packet that a refutation shows; None if nobody here can send it."""
    found = re.match(r"tcp from (\S+) to (\S+) port (\d+), arriving by ([^\s,]+)", text or "")
    if not found:
        return None
    source, to, port, name = found[1], found[2], int(found[3]), found[4]
    peer = next((ns for ns, link in LINKS.items() if link[0] == name), None)
    if peer is None:
        return None
    family, value = address(source)
    p = Packet(family, value, address(to)[1], TCP, 49152, port, hop_limit=64)
    segment = packets._segment(p, packets.tag(1), packets.SYN)
    sent = Sent(1, peer, packets.header_bytes(p, len(segment), 0) + segment, TCP, 0, family, to)
    if not list(outcomes(prover.ask([sent])[0])):
        return False
    prover.wire.conntrack.flush()
    return bool(prover.send([sent]))


def run_mutants(seed, mutants, per, folder, only=None):
    tally = Tally()
    path = f"{folder}/policy.yaml"
    with open(path, "w", encoding="utf-8") as f:
        f.write(EXAMPLE)
    with pinned():
        prover = Prover()
        try:
            for number in range(mutants) if only is None else [only]:
                rng = random.Random(f"{seed}-{number}")
                _mutant(prover, f"seed {seed} mutant {number}", rng, path, per, tally)
        finally:
            prover.close()
    return tally


def _mutant(prover, label, rng, path, per, tally):
    lab = prover.lab
    lab.nft("flush ruleset\n" + DOCKER)
    ringwall(lab, "load", path)
    listing = json.loads(lab.run("fw", ["nft", "-j", "list", "table", "inet", "ringwall"]).stdout)["nftables"]
    handles = [(i["rule"]["chain"], i["rule"]["handle"]) for i in listing if "rule" in i]
    sets = [i["set"]["name"] for i in listing if "set" in i]
    port = rng.choice(list(GUARDED.values()))
    for _ in range(20):
        kind, text = mutate(rng, handles, sets, port)
        done = lab.run("fw", ["nft", "-f", "-"], text, check=False)
        if done.returncode == 0:
            break
    else:
        raise AssertionError(f"{label}: nft refuses {text}\n{done.stderr}")
    sample = _aimed(rng, per)
    claims, answers = prover.verify(path), prover.ask(sample)
    tally.worlds += 1
    tally.packets += len(sample)
    tally.answers.update(c["answer"] for c in claims)
    first = claims[0]
    opened = [
        (p, a) for p, a in zip(sample, answers)
        for guarded in GUARDED.values() if any(breaks(p, *o, TCP, guarded) for o in outcomes(a))
    ]
    tally.opened += bool(opened)
    tally.kinds[kind] += 1
    if opened and first["answer"] == "proved":
        tally.wrong.append(f"{label} ({kind}): proved, yet {opened[0][1]}\n  {prover._question(opened[0][0])}\n{text}")
    if first["answer"] == "refuted":
        comes = _witness_comes_in(prover, first["packet"])
        tally.sent += comes is not None
        # (a rule of a limit or a lot may let it in or not)
        if comes is False:
            tally.wrong.append(f"{label} ({kind}): the witness does not come in: {first['packet']}\n{text}")
