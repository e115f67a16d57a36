# SPDX-License-Identifier: GPL-2.0-or-later
"""The evaluator of the kernel's whole ruleset against the kernel: random rulesets of other programs,
real packets, and where each of them ends. The observers are raw sockets behind the hooks."""

import os
import random
import re
from collections import Counter
from dataclasses import dataclass, field

from foreign_packets import draw
from foreign_rules import Rules
from foreign_xt import XtRules
from host import address, address_text
from lab import LINKS
from program import PROGRAM, ringwall
from wire import ETH_P_IP, ETH_P_IPV6, Wire, pinned

ASK = os.environ.get(
    "RINGWALL_WORLD_ASK", os.path.join(os.path.dirname(PROGRAM), "../../tests/world_ask")
)
BATCH = 250
REFUSED_LINES_MAX = 60  # of a ruleset; beyond it the generator is at fault


@dataclass
class Tally:
    rulesets: int = 0
    packets: int = 0
    wrong: list = field(default_factory=list)
    ends: Counter = field(default_factory=Counter)
    sure: int = 0  # packets with one possible outcome
    routed: int = 0  # rulesets with rules of policy routing
    lines: int = 0
    refused_lines: int = 0

    def __str__(self):
        return (
            f"{self.rulesets} rulesets of {self.lines} lines ({self.refused_lines} refused by nft), "
            f"{self.routed} with rules of policy routing, "
            f"{self.packets} packets ({self.sure} with one outcome), {len(self.wrong)} wrong; "
            + ", ".join(f"{end} {n}" for end, n in sorted(self.ends.items()))
        )


class Whole:
    def __init__(self):
        self.wire = Wire()
        self.lab = self.wire.lab
        self.wire.default_route(True)
        self.routed = False

    def close(self):
        self.wire.close()

    def route(self, lines):
        """Policy routing anew: (family, words) for `ip`; what it refuses is left out."""
        for v in "46":
            local = "rule add from all priority 0 lookup local\n"
            usual = "rule add from all priority 32766 lookup main\n"
            if v == "4":
                usual += "rule add from all priority 32767 lookup default\n"
            mine = "".join(f"{words}\n" for family, words in lines if family == v)
            clean = "".join(f"route flush table {table}\n" for table in (100, 101)) + "rule flush\n"
            text = clean + local + usual + mine
            self.lab.run("fw", ["ip", f"-{v}", "-force", "-batch", "-"], text, check=False)
        self.routed = bool(lines)

    def load(self, rules, tally):
        """Into an empty ruleset; lines that nft refuses are left out."""
        for _ in range(REFUSED_LINES_MAX):
            done = self.lab.run("fw", ["nft", "-f", "-"], "flush ruleset\n" + rules.text, check=False)
            if done.returncode == 0:
                tally.lines += len(rules.lines)
                return
            bad = {int(n) - 1 for n in re.findall(r"/dev/stdin:(\d+):\d+-\d+: Error", done.stderr)}
            if not bad:
                raise AssertionError(f"{done.stderr[-1500:]}\n{rules.text}")
            for number in sorted(bad, reverse=True):
                tally.refused_lines += 1
                rules.without(number)
        raise AssertionError(f"nft refuses too much:\n{done.stderr[-1500:]}\n{rules.text}")

    def load_xt(self, made, tally):
        """Likewise, of iptables: one ruleset of a family after the other."""
        self.lab.nft("flush ruleset")
        for rules in made:
            for _ in range(REFUSED_LINES_MAX):
                done = self.lab.run("fw", [rules.program], rules.text, check=False)
                if done.returncode == 0:
                    tally.lines += len(rules.lines)
                    break
                bad = re.search(r"line:? (\d+)", done.stderr)
                number = int(bad[1]) if bad else 0
                if not number or not rules.lines[number - 1].startswith("-A"):
                    raise AssertionError(f"{done.stderr[-1500:]}\n{rules.text}")
                tally.refused_lines += 1
                rules.without(number)
            else:
                raise AssertionError(f"{rules.program} refuses too much:\n{done.stderr[-1500:]}")

    def _question(self, sent):
        if sent.peer is None:
            return f"uid=0 ip={sent.data.hex()}"
        name = LINKS[sent.peer][0]
        kind = ETH_P_IP if sent.family == 4 else ETH_P_IPV6
        to = self.lab.mac[sent.to_peer, "eth0"] if sent.to_peer else self.lab.mac["fw", name]
        link = to + self.lab.mac[sent.peer, "eth0"] + kind.to_bytes(2, "big")
        bridged = " bridged=1" if sent.to_peer else ""
        return f"in={name}{bridged} link={link.hex()} ip={sent.data.hex()}"

    def ask(self, packets):
        text = "".join(self._question(p) + "\n" for p in packets)
        done = self.lab.run("fw", [ASK], text, timeout=120)
        answers = done.stdout.splitlines()
        assert len(answers) == len(packets), done.stderr
        return answers

    def send(self, packets):
        """number -> where it was seen: {("here" or interface, protocol, destination, port)}"""
        seen, kinds = {}, {p.number: (p.protocol, p.icmp_type) for p in packets}
        for at in range(0, len(packets), BATCH):
            for p in packets[at : at + BATCH]:
                if p.peer:
                    to = self.lab.mac[p.to_peer, "eth0"] if p.to_peer else None
                    self.wire.send_frame(p.peer, p.data, to)
                else:
                    self._send_own(p)
            self.wire.flush_sentinels()
            self.wire.collect(seen, kinds)
        return seen

    def _send_own(self, p):
        try:
            s = self.wire.out[0, 0][0 if p.family == 4 else 1]
            s.sendto(p.data, (p.destination, 0))
        except OSError:
            pass  # refused: it is then seen nowhere

    def compare(self, label, packets, tally):
        self.wire.conntrack.flush()
        answers = self.ask(packets)
        seen = self.send(packets)
        for p, answer in zip(packets, answers):
            words = answer.split(" |")[0].split()
            expected = {_outcome(w, p) for w in words[1:]}
            found = seen.get(p.number, set())
            observed = found.pop() if len(found) == 1 else None
            if found:
                observed = f"seen twice: {found}"
            observed = _observed(observed, p)
            tally.packets += 1
            tally.sure += len(expected) == 1
            tally.ends[observed if isinstance(observed, str) else observed[0]] += 1
            if isinstance(observed, tuple) and ("-", *observed[1:]) in expected:
                continue  # it leaves, and it is not said where
            if words[0] == "complete" and observed not in expected:
                tally.wrong.append(
                    f"{label}: the kernel: {observed}; the evaluator: {answer}\n"
                    f"  {self._question(p)}"
                )


def _outcome(word, p):
    """What is seen of an outcome."""
    where, out, destination, port, _ = word.rsplit(",", 4)
    destination = address_text(*address(destination))
    if where in ("dropped", "refused"):
        return "nowhere"
    if where == "here":
        # a raw socket of IPv6 does not see the header
        return ("here", destination if p.family == 4 else None, int(port))
    return (out, destination, int(port))


def _observed(found, p):
    if found is None or isinstance(found, str):
        return found or "nowhere"
    where, _, destination, port = found
    if destination is not None:
        destination = address_text(p.family, destination)
    return (where, destination, port)


def _packets(rng, n):
    # each source port once: no connection has a packet before
    free = rng.sample(range(1024, 65536), min(n, 64000))
    return [draw(rng, number + 1, free) for number in range(n)]


class Text:
    """A ruleset of iptables that is written down."""

    def __init__(self, family, text):
        self.program = "iptables-nft-restore" if family == 4 else "ip6tables-nft-restore"
        self.lines = text.strip().splitlines()

    @property
    def text(self):
        return "\n".join(self.lines) + "\n"

    def without(self, number):
        del self.lines[number - 1]


def run_texts(seed, texts, packets):
    """Rulesets of iptables ((family, text) pairs each), with so many packets each."""
    tally = Tally()
    with pinned():
        whole = Whole()
        try:
            for number, pairs in enumerate(texts):
                rng = random.Random(f"{seed}-{number}")
                whole.load_xt([Text(*pair) for pair in pairs], tally)
                tally.rulesets += 1
                whole.compare(f"text {number}", _packets(rng, packets), tally)
        finally:
            whole.close()
    return tally


def run_policies(seed, paths, packets, foreign):
    """Policies of ringwall beside another program's table, with so many packets each."""
    tally = Tally()
    with pinned():
        whole = Whole()
        try:
            for number, path in enumerate(paths):
                rng = random.Random(f"{seed}-{number}")
                whole.lab.nft("flush ruleset\n" + foreign)
                ringwall(whole.lab, "load", path)
                tally.rulesets += 1
                whole.compare(os.path.basename(path), _packets(rng, packets), tally)
        finally:
            whole.close()
    return tally


def run(seed, rulesets, packets, only=None, keep=None):
    """The tally of so many rulesets with so many packets in all; every third one is of iptables."""
    tally = Tally()
    per = max(1, packets // rulesets)
    with pinned():
        whole = Whole()
        try:
            for number in range(rulesets):
                if only is not None and number != only:
                    continue
                rng = random.Random(f"{seed}-{number}")
                if number % 3 == 2:
                    made = [XtRules(rng, 4), XtRules(rng, 6)]
                    whole.load_xt(made, tally)
                else:
                    made = [Rules(rng)]
                    whole.load(made[0], tally)
                routing = made[0].routing() if len(made) == 1 else []
                if routing or whole.routed:
                    whole.route(routing)
                    tally.routed += bool(routing)
                if keep:
                    with open(os.path.join(keep, f"{seed}-{number}.nft"), "w", encoding="utf-8") as f:
                        f.write("".join(rules.text for rules in made))
                        f.write("".join(f"# ip -{v} {words}\n" for v, words in routing))
                    words = whole.lab.run("fw", [ASK, "--rules"]).stdout
                    with open(os.path.join(keep, f"{seed}-{number}.world"), "w", encoding="utf-8") as f:
                        f.write(words)
                tally.rulesets += 1
                whole.compare(f"seed {seed} ruleset {number}", _packets(rng, per), tally)
        finally:
            whole.close()
    return tally
