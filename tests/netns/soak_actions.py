# SPDX-License-Identifier: GPL-2.0-or-later
"""What happens in a soak, one after the other, drawn by lot: what administrators do, and what
befalls (soak_mishaps.py). Each action knows what it makes of the model, and which
events have to tell of it."""

import collections
import json
import os
import signal
import threading
import time
from dataclasses import replace

from daemon import Daemon
from lab import wait_until
from program import ringwall
from soak_mishaps import SOON, Mishaps, Wrong
from soak_model import CLIENTS, draw
from test_owner import Manager

CONFIRM = 10  # seconds: the shortest that there is
IN_TIME = 5  # as long as this, a change that waits can be decided
BAN4, BAN6 = CLIENTS["banned"][1], CLIENTS["banned"][2] + "/128"
INVALID = "ringwall: 1\ninbound: [{ allow: shh }]\n"
# What may always be told beside what must be
BESIDE = {"note", "cut", "alert", "undecided", "holds", "notice", "drift of bans"}


class Actions(Mishaps):
    def __init__(self, world, folder, model, rng, owned):
        self.world, self.model, self.rng, self.owned = world, model, rng, owned
        self.daemon, self.manager = Daemon(world, folder), Manager(folder)
        threading.Thread(target=self.listen, daemon=True).start()
        self.last = collections.deque(maxlen=50)
        self.count, self.events = collections.Counter(), collections.Counter()
        self.slowest = collections.Counter()  # seconds
        self.number = 0  # of the last event that was seen
        self.listed, self.waiting = False, None
        self.confirmed = collections.deque(maxlen=20)  # (number, policy)
        self.vpn, self.links = "wg0", 0
        self.expected = collections.Counter()
        self.optional = set()
        self.write_list()

    # --- the frame ---

    def begin(self):
        """The first policy is in force."""
        self.start()
        self.apply_for_good()
        self.check_events()

    def act(self, restarts):
        rows = [row for row in ACTIONS if row[1](self) and (restarts or row[0] not in RESTARTS)]
        name, _, _, function = self.rng.choices(rows, [row[2] for row in rows])[0]
        self.last.append(f"{time.monotonic():.3f} {name}")
        self.expected.clear()
        self.optional = set(BESIDE)
        self.watch_the_time()
        if not rows_still(self, name):
            return
        start, before = time.monotonic(), self.waiting
        function(self)
        if before and before is not self.waiting and time.monotonic() > before[1] + CONFIRM - 1:
            self.optional |= {"undone", "in-force"}  # a slow machine: it ended before it was replaced
        self.slowest[name] = max(self.slowest[name], time.monotonic() - start)
        self.count[name] += 1
        if self.waiting and time.monotonic() > self.waiting[1] + CONFIRM - 1:  # a slow machine
            self.time_out()
        self.check_events()

    def note(self, text):
        self.last.append(f"{time.monotonic():.3f}   {text}")

    def ask(self, verb, *args, code=0):
        got, answer = self.daemon.ask(verb, *args)
        codes = code if isinstance(code, tuple) else (code,)
        if got not in codes:
            raise Wrong(f"{verb} {args}: exit {got}, not {codes}: {answer}")
        return got, answer

    def say(self, *words, code=(0,)):
        """As people do, not programs."""
        words = (*words, "--runtime-dir", str(self.daemon.runtime))
        done = ringwall(self.world.lab, *words, check=False)
        if done.returncode not in code:
            raise Wrong(f"{words}: exit {done.returncode}: {done.stdout}{done.stderr}")

    def expect(self, *kinds):
        self.expected.update(kinds)

    def check_events(self):
        """Exactly those that were expected, without a gap in their numbers."""
        deadline = time.monotonic() + SOON
        while True:
            new = self.read_events()
            found = collections.Counter(e["kind"] for e in new)
            missing = self.expected - found
            more = {k: n for k, n in (found - self.expected).items() if k not in self.optional}
            if more or not missing or time.monotonic() > deadline:
                break
            time.sleep(0.05)
        texts = "\n".join(f"    {e['number']} {e['kind']}: {e['text']}" for e in new)
        if missing or more:
            raise Wrong(f"events: missing {dict(missing)}, more than there may be {more}, of\n{texts}")
        numbers = [e["number"] for e in new]
        if numbers != list(range(self.number + 1, self.number + 1 + len(new))):
            raise Wrong(f"events after number {self.number} are {numbers}")
        self.number += len(new)
        self.events.update(found)

    def read_events(self):
        for n in (60, 2000):
            words = ["events", "-n", str(n), "--json", "--runtime-dir", str(self.daemon.runtime)]
            done = ringwall(self.world.lab, *words)
            found = [json.loads(line) for line in done.stdout.splitlines()]
            if not found or found[0]["number"] <= self.number + 1:
                break
        for e in found:
            if e["text"].startswith("another program changed the bans"):
                e["kind"] = "drift of bans"
        return [e for e in found if e["number"] > self.number]

    # --- policies ---

    def write_list(self):
        """Another file in its place, as editors make it."""
        path = os.path.join(self.world.folder, "list")
        addresses = CLIENTS["listed"][1:] if self.listed else ()
        with open(path + ".new", "w", encoding="ascii") as f:
            f.write("\n".join(["192.0.2.200", *addresses]) + "\n")
        os.chmod(path + ".new", 0o644)
        os.rename(path + ".new", path)

    def text(self, policy):
        return policy.text("auto" if self.owned else "off", CONFIRM)

    def drawn(self):
        """Not the one in force, of which there would be nothing to tell."""
        now = self.model.of["policy"].value()
        while True:
            policy = draw(self.rng, self.listed)
            if not now or is_another(policy, now):
                return policy

    def apply_for_good(self):
        policy = self.drawn()
        self.note(f"{sorted(policy.rules)} {policy.antispoof}, listed: {policy.listed}")
        self._between("policy", policy)
        self._between("kept", policy)
        self.model.set("pending", *{True, *self.model.of["pending"].now()})
        code, answer = self.daemon.apply(self.text(policy), "--no-confirm")
        if code != 0:
            raise Wrong(f"apply: exit {code}: {answer}")
        self.model.set("policy", policy)
        self.settle(policy, answer["number"])
        self.expect("in-force")

    def _between(self, name, value):
        self.model.set(name, value, *self.model.of[name].now())

    def settle(self, policy, number):
        """It is confirmed, and what it does not admit was cut."""
        self.waiting = None
        self.model.set("kept", policy)
        self.model.set("pending", False)
        self.confirmed.append((number, policy))

    def apply(self):
        policy = self.drawn()
        self.note(f"{sorted(policy.rules)} {policy.antispoof}, listed: {policy.listed}")
        self._await(policy, lambda: self.daemon.apply(self.text(policy)))

    def _await(self, policy, function):
        """It is in force, and undone unless it is confirmed."""
        self._between("policy", policy)
        self.model.set("pending", True, *self.model.of["pending"].now())
        start = time.monotonic()
        code, answer = function()
        self.expect("in-force")
        if code == 0 and not answer["changed"]:  # it means the same
            self.model.set("policy", policy)
            self.settle(policy, answer["number"])
            return
        if code != 9:
            raise Wrong(f"apply: exit {code}: {answer}")
        base = self.model.of["kept"].value()
        self.waiting = (policy, start, answer["number"])
        self.model.set("policy", policy)
        self.model.set("pending", True)
        self.model.set("policy", policy, base, at=start + CONFIRM - 0.1)
        self.model.set("pending", True, False, at=start + CONFIRM - 0.1)

    def watch_the_time(self):
        """What is about to be undone is waited for."""
        if self.waiting and time.monotonic() > self.waiting[1] + IN_TIME:
            self.time_out()
            self.check_events()
            self.expected.clear()

    def time_out(self):
        wait_until(lambda: "pending" not in self.daemon.status(), SOON, "the end of a change")
        self.undone()
        self.expect("undone")
        if not self.panic():
            self.expect("in-force")
        self.count["not confirmed in time"] += 1

    def undone(self):
        base = self.model.of["kept"].value()
        self.waiting = None
        self.model.set("policy", base)
        self.model.set("pending", False)

    def confirm(self):
        policy = self.waiting[0]
        self._between("kept", policy)
        got, answer = self.ask("confirm", code=(0, 1))
        if got == 1 and "over" not in str(answer):
            raise Wrong(f"confirm: {answer}")
        if got == 1:  # a slow machine
            self.model.set("kept", *self.model.of["kept"].now() - {policy})
            self.time_out()
            return
        self.model.set("policy", policy)
        self.settle(policy, answer["number"])
        self.expect("confirmed")

    def roll_back(self):
        self._between("policy", self.model.of["kept"].value())
        self.ask("rollback")
        self.undone()
        self.expect("in-force")

    def former(self):
        """Numbers of what was confirmed lately and is something else."""
        now = self.model.of["policy"].value()
        return [number for number, policy in self.confirmed if is_another(policy, now)]

    def go_back(self):
        number = self.rng.choice(self.former())
        policy = dict(self.confirmed)[number]
        self.note(f"{number}: {sorted(policy.rules)} {policy.antispoof}, listed: {policy.listed}")
        self._await(policy, lambda: self.daemon.ask("rollback", str(number)))

    def apply_nonsense(self):
        code, answer = self.daemon.apply(INVALID)
        if code != 3:
            raise Wrong(f"an invalid policy: exit {code}: {answer}")

    def apply_the_same(self):
        policy = self.model.of["policy"].value()
        if policy.listed != self.listed:
            policy = replace(policy, listed=self.listed)
            self.listed = not self.listed
            self.write_list()
            policy = replace(policy, listed=self.listed)
        code, answer = self.daemon.apply(self.text(policy))
        if code != 0 or answer["changed"]:
            raise Wrong(f"applying what is in force: exit {code}: {answer}")

    def change_list(self):
        """And have it read, by command or by signal."""
        policy = self.model.of["policy"].value()
        self.listed = not self.listed
        self.write_list()
        if policy.listed == self.listed:
            return
        self.world.file(self.text(policy))  # another one may have been tried since
        changed = replace(policy, listed=self.listed)
        self._between("policy", changed)
        self._between("kept", changed)
        self.model.set("pending", True, False)
        matters = "not-listed" in policy.rules
        if matters:
            self.expect("in-force")
        if self.rng.random() < 0.7 or not matters:
            self.ask("reload")
        else:
            self.daemon.process.send_signal(signal.SIGHUP)
            wait_until(lambda: "in-force" in [e["kind"] for e in self.read_events()], SOON, "SIGHUP")
        self.model.set("policy", changed)
        self.settle(changed, self.daemon.status()["number"])

    # --- panic ---

    def panic(self):
        return True in self.model.of["panic"].now()

    def panic_on(self):
        self.model.set("panic", True, False)
        words = ["--for", "2s"] if self.rng.random() < 0.3 else []
        start = time.monotonic()
        self.ask("panic", "on", *words)
        self.model.set("panic", True)
        if words:
            self.model.set("panic", True, False, at=start + 1.9)
            wait_until(lambda: self.daemon.status()["state"] != "panic", SOON, "the panic's end")
            self.over()
        self.expect("panic")

    def over(self):
        self.model.set("panic", False)
        self.expect("panic", "in-force")

    def panic_off(self):
        self.model.set("panic", True, False)
        self.ask("panic", "off")
        self.over()

    # --- bans ---

    def ban(self):
        family = self.rng.choice((4, 6))
        name, address = f"banned{family}", BAN4 if family == 4 else BAN6
        is_banned = self.model.of[name].value()
        self.model.set(name, True, False)
        self.say(*(("unban", address) if is_banned else ("ban", address, "--for", "1h")))
        self.model.set(name, not is_banned)

    def ban_many(self):
        """Of whom there is no traffic."""
        n = self.rng.randrange(1, 10)
        addresses = [f"198.18.{self.rng.randrange(4)}.{self.rng.randrange(256)}" for _ in range(n)]
        self.say("ban", *addresses, "--for", self.rng.choice(("1s", "10s", "1h")))
        if self.rng.random() < 0.5:
            self.say("unban", *addresses)

    def bans_in_force(self):
        done = ringwall(self.world.lab, "bans", "--check", "--runtime-dir", str(self.daemon.runtime),
                        check=False)
        return done.returncode == 0

    def unload(self):
        """This host is open until something is applied."""
        self.note("unload")
        banned = self.banned()
        self.hole("flush ruleset", banned)
        self.model.set("kept", None)
        self.say("unload", "--yes")
        self.model.set("policy", None)
        self.expect("unloaded")
        self.apply_for_good()
        self.healed(banned)


def is_another(policy, than):
    """By the rules that it becomes."""
    matters = "not-listed" in policy.rules
    key = lambda p: (p.rules, p.antispoof, p.listed and matters)
    return key(policy) != key(than)


def calm(a):
    return not a.panic()


def settled(a):
    return not a.panic() and not a.waiting


RESTARTS = {"restart"}
# Name, when it can be, how often, what it does
ACTIONS = [
    ("apply", calm, 10, Actions.apply),
    ("apply for good", calm, 6, Actions.apply_for_good),
    ("confirm", lambda a: calm(a) and a.waiting, 40, Actions.confirm),
    ("rollback", lambda a: calm(a) and a.waiting, 12, Actions.roll_back),
    ("time-out", lambda a: calm(a) and a.waiting, 3, Actions.time_out),
    ("rollback to a former one", lambda a: settled(a) and a.former(), 3, Actions.go_back),
    ("apply an invalid one", calm, 3, Actions.apply_nonsense),
    ("apply the same", settled, 3, Actions.apply_the_same),
    ("list changed", settled, 8, Actions.change_list),
    ("panic on", calm, 3, Actions.panic_on),
    ("panic off", lambda a: a.panic(), 40, Actions.panic_off),
    ("ban", lambda a: True, 8, Actions.ban),
    ("bans of others", lambda a: True, 6, Actions.ban_many),
    ("attempt of a rival", lambda a: a.owned, 20, Actions.attempt),
    ("drift", lambda a: not a.owned, 20, Actions.drift),
    ("foreign table", lambda a: True, 4, Actions.foreign_table),
    ("restart", lambda a: True, 8, Actions.restart),
    ("route", lambda a: True, 5, Actions.route),
    ("network on link", lambda a: True, 5, Actions.near),
    ("vpn's link", lambda a: True, 5, Actions.vpn_link),
    ("guest's link", lambda a: True, 3, Actions.guest_link),
    ("another link", lambda a: True, 5, Actions.another_link),
    ("look", lambda a: True, 10, Actions.look),
    ("unload", settled, 1, Actions.unload),
]


def rows_still(actions, name):
    """Whether it still can be, as time goes on."""
    return any(row[0] == name and row[1](actions) for row in ACTIONS)
