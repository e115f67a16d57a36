# SPDX-License-Identifier: GPL-2.0-or-later
"""What befalls ringwalld in a soak: other programs, kills and restarts, links and networks that come and
go, and whoever only looks."""

import os
import signal
import time

from lab import wait_until
from program import ringwall
from rival import accept_all, adoption, commit, delete_table, flush_rules, new_chain

SOON = 120  # seconds that anything may take: only to give up
WRITES = {"accept": accept_all, "flush rules": flush_rules, "delete": delete_table,
          "chain": lambda: new_chain("rival"), "adopt": adoption}


class Wrong(AssertionError):
    pass


class Mishaps:
    """A part of Actions."""

    # --- other programs ---

    def attempt(self):
        """What the kernel refuses, of a table that is owned."""
        name = self.rng.choice(list(WRITES))
        self.note(name)
        with self.world.lab.inside("fw"):
            taken = commit(WRITES[name]()) == 0
        if taken:
            raise Wrong(f"the kernel took what a rival did to the table: {name}")
        if self.rng.random() < 0.3:
            self.world.lab.run("fw", ["nft", "flush", "ruleset"])

    def drift(self):
        """What the daemon puts right at once, or as soon as it looks again."""
        seen = self.daemon.status()["drift"]["undone"]
        banned = self.banned()
        looks_away = self.rng.random() < 0.4
        kind = self.rng.choice(("insert", "accept", "delete", "flush", "flush ruleset", "adopt"))
        self.note(f"{kind}, looking away: {looks_away}")
        self.hole(kind, banned)
        if looks_away:
            self.daemon.process.send_signal(signal.SIGSTOP)
        self.write(kind)
        if looks_away:
            time.sleep(self.rng.uniform(0.1, 1.0))  # so that something gets in
            self.daemon.process.send_signal(signal.SIGCONT)
        wait_until(lambda: self.daemon.status()["drift"]["undone"] > seen, SOON, "that it is undone")
        self.healed(banned if kind == "flush ruleset" else ())
        self.expect("drift", "healed")
        if kind in ("adopt", "delete"):
            self.optional |= {"drift", "healed"}  # a transaction for each step

    def banned(self):
        return [n for n in ("banned4", "banned6") if self.model.of[n].value()]

    def hole(self, kind, banned):
        self.model.set("hole", False, "open", *(["shut"] if kind == "flush" else []))
        for name in banned if kind == "flush ruleset" else ():
            self.model.set(name, True, False)

    def healed(self, banned):
        def is_closed():
            status = self.daemon.status()
            return status["state"] in ("closed", "panic") and status["readBack"]

        wait_until(is_closed, SOON, "that what should be is in force")
        if banned:
            wait_until(self.bans_in_force, SOON, "the bans")
        self.model.set("hole", False)
        for name in banned:
            self.model.set(name, True)

    def write(self, kind):
        run = lambda *words: self.world.lab.run("fw", ["nft", *words])
        if kind == "insert":
            run("insert rule inet ringwall input accept")
        elif kind == "flush ruleset":
            run("flush", "ruleset")
        else:
            steps = {"accept": [accept_all], "delete": [delete_table], "flush": [flush_rules],
                     "adopt": [delete_table, adoption]}[kind]
            with self.world.lab.inside("fw"):
                for step in steps:
                    commit(step())

    def foreign_table(self):
        """Another program's, which has nothing to do with ringwall's."""
        if ("inet", "other") in self.world.lab.tables():
            self.world.lab.nft("delete table inet other")
        else:
            self.world.lab.nft("table inet other { set s { type ipv4_addr; elements = { 192.0.2.1 } }\n"
                               "chain c { type filter hook input priority 0; accept; }; }")

    # --- ringwalld itself ---

    def listen(self):
        """What it tells the service manager is read at once: it waits for that."""
        while True:
            self.manager.collect()

    def start(self):
        self.manager.start(self.daemon)

    def restart(self):
        number = self.rng.choice((signal.SIGTERM, signal.SIGKILL, signal.SIGKILL))
        rival = self.rng.random() < 0.5
        self.note(f"{number.name}, a rival meanwhile: {rival}")
        banned = self.banned()
        kind = self.rng.choice(("insert", "accept", "delete", "flush", "flush ruleset"))
        if rival and not self.owned:
            self.note(kind)
            self.hole(kind, banned)
        waited = self.waiting
        self.daemon.stop(number)
        if rival:
            if self.owned:
                self.attempt()
            else:
                self.write(kind)
        if self.rng.random() < 0.5:
            time.sleep(self.rng.uniform(0, 0.5))
        self.start()
        self.expect("failure" if number == signal.SIGKILL else "note")
        if number == signal.SIGTERM:
            self.expect("note")
        if self.panic():
            self.expect("panic")
        else:
            self.expect("in-force")
        if rival and not self.owned:
            self.healed(banned if kind == "flush ruleset" else ())
            self.optional |= {"drift", "healed"}
        if waited and "pending" not in self.daemon.status():
            self.undone()
            self.optional |= {"undone", "in-force"}
        if waited:
            self.optional.add("undone")

    # --- the host ---

    def route(self):
        value = self.model.of["route"].value()
        self.model.set("route", True, False)
        word = "del" if value else "add"
        self.world.lab.ip("fw", f"route {word} 198.51.100.0/24 via 203.0.113.2\n"
                                f"route {word} 2001:db8:99::/64 via 2001:db8:ffff::2\n")
        self.model.set("route", not value)

    def near(self):
        value = self.model.of["near"].value()
        for name in ("near", "home"):
            self.model.set(name, True, False)
        word, more = ("del", "") if value else ("add", " nodad")
        self.world.lab.ip("fw", f"addr {word} 192.0.2.1/24 dev eth0\n"
                                f"addr {word} 2001:db8:77::1/64 dev eth0{more}\n")
        self.model.set("near", not value)
        if not self.panic():
            wait_until(lambda: self.follows(not value), SOON, "that the network is followed")
            self.model.set("home", not value)

    def follows(self, is_there):
        """A set that no rule needs is not there."""
        if "home" not in self.model.of["policy"].value().rules:
            return True
        for family, network in (("ipv4", "192.0.2.0"), ("ipv6", "2001:db8:77::")):
            words = ["nft", "-j", "list", "set", "inet", "ringwall", f"home-{family}"]
            if (network in self.world.lab.run("fw", words).stdout) != is_there:
                return False
        return True

    def vpn_link(self):
        """Down and up, perhaps by another name."""
        name = self.rng.choice(("wg0", "wg9"))
        self.model.set("vpn", None, self.vpn)
        lines = f"link set {self.vpn} down\n"
        if name != self.vpn:
            lines += f"link set {self.vpn} name {name}\n"
        self.world.lab.ip("fw", lines)
        self.vpn = name
        self.model.set("vpn", None, name)
        self.world.lab.ip("fw", f"link set {name} up\n")
        self.model.set("vpn", name, at=time.monotonic() + 3)

    def guest_link(self):
        self.model.set("guest", True, False)
        self.world.lab.ip("fw", "link set eth1.20 down\n")
        time.sleep(self.rng.uniform(0, 0.2))
        self.world.lab.ip("fw", "link set eth1.20 up\n")
        self.model.set("guest", True, at=time.monotonic() + 3)

    def another_link(self):
        self.links += 1
        name, n = f"more{self.links}", self.links % 200
        kind = self.rng.choice(("veth peer name peer", "bridge"))
        self.world.lab.ip("fw", f"link add {name} type {kind}\naddr add 10.77.{n}.1/24 dev {name}\n"
                                f"addr add fd00:77:{n:x}::1/64 dev {name} nodad\nlink set {name} up\n")
        if self.rng.random() < 0.3:
            self.world.lab.ip("fw", f"link set {name} down\nlink set {name} name x{name}\n"
                                    f"link set x{name} up\n")
            name = "x" + name
        self.world.lab.ip("fw", f"link del {name}\n")

    # --- whoever only looks ---

    def look(self):
        policy = os.path.join(self.world.folder, "policy.yaml")
        question = "tcp from 203.0.113.2 to 7100 in eth0"
        verb = self.rng.choice(("status", "history", "drops", "bans", "show", "explain", "plan"))
        self.note(verb)
        if verb in ("status", "history", "drops", "bans"):
            self.say(verb)
            return
        words = {"show": ("--live",), "explain": (question, "--live"), "plan": (policy,)}[verb]
        done = ringwall(self.world.lab, verb, *words, check=False)
        if done.returncode not in (0, 8, 3):  # 3: the file is not the one in force
            raise Wrong(f"{verb} {words}: exit {done.returncode}: {done.stdout}{done.stderr}")
