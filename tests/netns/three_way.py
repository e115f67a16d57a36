# SPDX-License-Identifier: GPL-2.0-or-later
"""The property: what POLICY.md's words mean (the oracle) == what the evaluator says of the compiled
policy == what it says of the rules read back from the kernel == what the kernel does to a real
packet.

Everything comes from one seed. A failure names the seed and the policy's number, which replay it:
    tests/netns/property --seed S --only N"""

import contextlib
import os
import random
import re
import shutil
import time
from collections import Counter
from dataclasses import dataclass, field

import foreign
from built import built
from generate import PolicyMaker
from host import TCP
from oracle import left_out
from packets import packet_bytes
from program import ENVIRONMENT, catalogue, explain, ringwall
from surroundings import ON_LINK
from traffic import Traffic
from wire import DEADLINE, Wire, pinned

FIXES = 400  # inbound rules that may be taken out because they hold nothing but protected services


@dataclass
class Tally:
    policies: int = 0
    packets: int = 0
    verdicts: Counter = field(default_factory=Counter)  # (kind, verdict)
    reasons: Counter = field(default_factory=Counter)
    words: Counter = field(default_factory=Counter)  # what the policies say, once a policy
    wrong: list = field(default_factory=list)

    def __str__(self):
        verdicts = Counter()
        for (_, verdict), n in self.verdicts.items():
            verdicts[verdict] += n
        counts = ", ".join(f"{n} {v}" for v, n in sorted(verdicts.items()))
        return (
            f"{self.policies} policies, {self.packets} packets ({counts}): {len(self.wrong)} wrong"
        )


class ThreeWay:
    def __init__(self, seed, folder):
        self.seed, self.folder = seed, str(folder)
        # A time without a zone is local.
        self.zone_before = os.environ.get("TZ")
        _set_zone(random.Random(seed).choice(["UTC0", "EAST-5:30", "WEST+8", "FAR-13"]))
        self.catalogue = catalogue()
        self.built = built(self.folder)
        self.wire = Wire()
        self.tally = Tally()
        self.number = 0
        self.phases = Counter()

    def close(self):
        _set_zone(self.zone_before)
        self.wire.close()

    @contextlib.contextmanager
    def _phase(self, name):
        start = time.monotonic()
        yield
        self.phases[name] += time.monotonic() - start

    def run_policy(self, index, n_packets):
        self.index = index
        rng = random.Random(f"{self.seed}/{index}")
        with self._phase("generate"):
            folder = os.path.join(self.folder, f"policy-{index}")
            shutil.rmtree(folder, ignore_errors=True)  # what an earlier run kept
            maker = PolicyMaker(rng, self.catalogue, folder, self.built)
        # (Which rules hold nothing but protected services depends on what is on link.)
        self.wire.set_on_link([route for route in ON_LINK if rng.random() < 0.5])
        if not self._settle_policy(maker):
            return
        with self._phase("load"):
            host, traffic, flows = self._load(rng, maker)
        with self._phase("generate"):
            probes = traffic.probes(n_packets + n_packets // 50 + 4, host, flows)
        with self._phase("oracle"):
            answers = [maker.policy.judge(p.at) for p in probes]
        both = [
            (p, a)
            for p, a in zip(probes, answers)
            if not _answers_itself(p, a, maker.policy.settings.essentials)
        ]
        probes, answers = [p for p, _ in both], [a for _, a in both]
        questions = [p.question() for p in probes]
        with self._phase("explain"):
            compiled = explain(self.wire.lab, questions, maker.path)
        with self._phase("explain --live"):
            live = explain(self.wire.lab, questions, "--live")
        with self._phase("kernel"):
            kernel = self._send(probes, answers, maker.policy.settings.counts)
        self._compare(index, maker, probes, answers, compiled, live, kernel)

    def _settle_policy(self, maker):
        """POLICY.md: "an allow item that holds nothing but protected services ... is an error":
        those rules go."""
        for _ in range(FIXES):
            with self._phase("check"):
                done = ringwall(self.wire.lab, "check", maker.path, check=False)
            if done.returncode == 0:
                return True
            errors = re.findall(r"^([^\n]*):(\d+):\d+: error: ([^\n]*)", done.stderr, re.M)
            claims = [(path, int(line)) for path, line, text in errors if "protected" in text]
            if done.returncode != 3 or not claims or len(claims) != len(errors):
                self._fail(
                    maker, f"check refuses the policy: exit {done.returncode}\n{done.stderr}"
                )
                return False
            path, line = claims[-1]  # the other lines may move
            if not maker.drop_rule(path, line):
                self._fail(
                    maker, f"check names {path}:{line}, which is no inbound rule\n{done.stderr}"
                )
                return False
        self._fail(maker, f"check refuses one rule after the other\n{done.stderr[-3000:]}")
        return False

    def _load(self, rng, maker):
        """Half of the policies replace another; the others come to a host without one."""
        wire = self.wire
        martians, default_route = rng.random() < 0.7, rng.random() < 0.6
        fresh = rng.random() < 0.5
        self.setting = (
            f"{'a' if default_route else 'no'} default route, the kernel lets martians "
            f"{'pass' if martians else 'not pass'}, the policy "
            f"{'is the first' if fresh else 'replaces another'}"
        )
        traffic = Traffic(rng, maker, self.number, wire.tunnels)
        translations = foreign.translations(rng, maker.policy, traffic.ports)
        wire.conntrack.flush()
        # What the kernel lets pass may change while the policy is in force.
        wire.martians(martians if rng.random() < 0.5 else not martians)
        wire.default_route(default_route)
        wire.translate(translations)
        host = wire.model(translations, default_route, martians)
        maker.policy.settle(host)
        flows = []
        if fresh:
            ringwall(wire.lab, "unload", "--yes")
            flows = foreign.open_flows(rng, traffic.free_ports)
            self._open(flows)
        ringwall(wire.lab, "load", maker.path)
        wire.martians(martians)
        return host, traffic, flows

    def _open(self, flows):
        with pinned():
            for f in flows:
                self.wire.send_frame(f.peer, packet_bytes(f.packet, 0))
                self.wire.flush_sentinels()
                if f.answered:
                    self.wire.send_frame(f.other, packet_bytes(f.reply(), 0))
            self.wire.flush_sentinels()
        self.wire.collect({}, {})

    # --- the kernel ---

    def _send(self, probes, answers, counts):
        """The kernel's verdict on each probe: accept, refuse (drop or reject), or what is odd
        about it. Certified: what has arrived = what was seen + what the ruleset counted as refused
        + what the kernel refuses by itself. A ruleset that does not count must let everything come
        that should."""
        wire, own = self.wire, {}
        self.number = probes[-1].number
        before, arrived = wire.refused(), wire.received()
        with pinned():
            for p in probes:
                if p.peer is None:
                    own[p.number] = wire.send_own(p.packet, p.bytes())
                else:
                    to = wire.lab.mac[p.to_peer, "eth0"] if p.to_peer else None
                    wire.send_frame(p.peer, p.bytes(), to)
            wire.flush_sentinels()
            wire.flush_sentinels()  # again, for what the host has sent on
        self._certify_arrival(probes, arrived)
        after = wire.refused()
        refused = after[0] - before[0], after[1] - before[1]
        seen = {}
        expected = sum(1 for p in probes if not p.refused) - sum(refused)
        if not counts:
            expected = sum(
                1 for p, a in zip(probes, answers) if a.verdict == "accept" and not p.refused
            )
        end = time.monotonic() + DEADLINE
        kinds = {p.number: (p.packet.protocol, p.packet.icmp_type) for p in probes}
        wire.collect(seen, kinds)
        while len(seen) < expected and time.monotonic() < end:
            time.sleep(0.002)
            wire.collect(seen, kinds)
        assert wire.lost() == 0, "an observer lost packets: nothing is proved"
        if counts:
            self._balance(probes, answers, seen, refused)
        elif refused != (0, 0):
            self.tally.wrong.append(
                f"seed {self.seed} policy {self.index}: counters are off, yet {refused} is counted"
            )
        return [self._verdict(p, seen.get(p.number), own) for p in probes]

    def _certify_arrival(self, probes, before):
        after = self.wire.received()
        sent = Counter(p.peer for p in probes if p.peer)
        for peer in after:
            # two sentinels
            assert (
                after[peer] - before[peer] == sent[peer] + 2
            ), f"packets of {peer} got lost on the way"

    def _balance(self, probes, answers, seen, refused):
        missing = sum(1 for p in probes if p.number not in seen and not p.refused)
        if missing != sum(refused):
            self.tally.wrong.append(
                f"seed {self.seed} policy {self.index}: {len(probes)} sent, {len(seen)} seen, but "
                f"{refused[0]} counted as dropped and {refused[1]} as rejected"
            )
        rejected = sum(
            1 for p, a in zip(probes, answers) if a.verdict == "reject" and not p.refused
        )
        if rejected != refused[1]:
            self.tally.wrong.append(
                f"seed {self.seed} policy {self.index}: {rejected} should be rejected, "
                f"{refused[1]} counted as such"
            )

    @staticmethod
    def _verdict(probe, places, own):
        if probe.peer is None and not own[probe.number]:
            return "refuse" if not places else f"refused, yet seen at {places}"
        if not places:
            return "refuse"
        if places != {probe.arrival()}:
            return f"seen at {places}, not at {probe.arrival()}"
        return "accept"

    # --- comparing ---

    def _compare(self, index, maker, probes, answers, compiled, live, kernel):
        self.tally.policies += 1
        self.tally.words.update(maker.words())
        wrong_before = len(self.tally.wrong)
        for probe, answer, c, l, k in zip(probes, answers, compiled, live, kernel):
            self.tally.packets += 1
            self.tally.verdicts[probe.kind, answer.verdict] += 1
            self.tally.reasons[answer.why] += 1
            if answer.why != "essentials" and left_out(probe.at, maker.policy.settings):
                self.tally.reasons["an essential that is left out"] += 1
            by_kernel = "refuse" if answer.verdict != "accept" or probe.refused else "accept"
            right = k == by_kernel
            if probe.can_be_asked(maker.policy):
                right = right and c["verdict"] == l["verdict"] == answer.verdict
                # The line that decides is one of those that do.
                place = c.get("file"), c.get("line")
                right = right and (not answer.rules or place in answer.places)
            if not right:
                self.tally.wrong.append(self._describe(index, probe, answer, c, l, k))
        if len(self.tally.wrong) > wrong_before:
            self.tally.wrong[-1] += f"\npolicy {index} of seed {self.seed}:\n{maker.spread.whole()}"

    def _describe(self, index, probe, answer, c, l, k):
        return (
            f"seed {self.seed} policy {index}: {probe.question()}  [{probe.kind}"
            f"{', TCP flags %d' % probe.flags if probe.packet.protocol == 6 else ''}]\n"
            f"  oracle:    {answer.verdict} ({answer.why}"
            f"{' of ' + answer.section if answer.section else ''}; lines {_places(answer)})\n"
            f"  evaluator: {c['verdict']} (line {c.get('line')}: {c.get('rule')})\n"
            f"  live:      {l['verdict']} ({l.get('rule')})\n"
            f"  kernel:    {k}{' (refuses it by itself)' if probe.refused else ''}\n"
            f"  host:      {self.setting}"
        )

    def _fail(self, maker, what):
        where = f"seed {self.seed} policy {self.index}"
        self.tally.wrong.append(f"{where}: {what}\n{maker.spread.whole()}")


def _set_zone(text):
    for environment in (os.environ, ENVIRONMENT):
        environment.pop("TZ", None)
        if text is not None:
            environment["TZ"] = text
    time.tzset()


def _answers_itself(probe, answer, essentials):
    """Whether this host gets an ICMP error of its own that its ruleset counts: conntrack calls the
    one about an untracked packet invalid, and without the essential `errors` it is judged."""
    if probe.peer is not None:
        return False
    rejected = answer.verdict == "reject"
    if probe.packet.state == "untracked" and rejected:
        return True
    judged = "errors" not in essentials and probe.packet.protocol != TCP
    return judged and (rejected or probe.at.goes_out == "lo")


def _places(answer):
    return ", ".join(f"{os.path.basename(path)}:{line}" for path, line in sorted(answer.places))


def run(seed, policies, packets, folder, only=None, stop_after=20):
    """Tally of `policies` policies with about `packets` packets in all."""
    prover = ThreeWay(seed, folder)
    try:
        for index in range(policies) if only is None else [only]:
            prover.run_policy(index, -(-packets // policies))
            if len(prover.tally.wrong) >= stop_after:
                break
        return prover.tally, prover.phases
    finally:
        prover.close()
