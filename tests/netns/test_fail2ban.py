# SPDX-License-Identifier: GPL-2.0-or-later
"""fail2ban's own server with the actions of packaging/fail2ban: real lines of a log become bans of ringwall's, and
what fail2ban prolongs, unbans, flushes and restores goes the same way."""

import os
import shutil
import signal
import sqlite3
import time

import pytest

from bans import OPEN, WAN, bans, is_shut
from lab import wait_until
from program import PROGRAM, ROOT
from rulers import DEADLINE, Ruler, stop, write

ACTIONS = os.path.join(ROOT, "packaging/fail2ban/action.d")

JAIL = """[DEFAULT]
backend = polling
bantime = 1h
findtime = 10m
maxretry = 3
enabled = true
filter = sshd
logpath = {folder}/watched
port = ssh
protocol = tcp
usedns = no
ignoreself = false
ignoreip = 198.51.100.50
[sshd]
action = ringwall[name=sshd, port="ssh,8080", protocol=tcp, ringwall="{program}", options="--runtime-dir {runtime}"]
[all]
maxretry = 100
action = ringwall-allports[name=all, ringwall="{program}", options="--runtime-dir {runtime}"]
[longer]
maxretry = 100
bantime = 600
bantime.increment = true
bantime.formula = ban.Time + 4
action = ringwall-allports[name=longer, ringwall="{program}", options="--runtime-dir {runtime}"]
[many]
maxretry = 1
logpath = {folder}/many
action = ringwall[name=many, port="ssh", ringwall="{program}", options="--runtime-dir {runtime}"]
[hasty]
maxretry = 100
action = ringwall-allports[name=hasty, ringwall="{program}", options="--runtime-dir {runtime}", patience=1]
[ever]
maxretry = 100
bantime = -1
action = ringwall-allports[name=ever, ringwall="{program}", options="--runtime-dir {runtime}"]
"""


class Fail2ban(Ruler):
    """A server whose database outlives it."""

    def __init__(self, lab, parent, runtime):
        super().__init__(lab, parent, "fail2ban")
        for name in ("filter.d", "fail2ban.conf"):
            os.symlink(f"/etc/fail2ban/{name}", f"{self.folder}/{name}")
        shutil.copytree(ACTIONS, f"{self.folder}/action.d")
        write(f"{self.folder}/fail2ban.local", f"[Definition]\ndbfile = {self.folder}/bans.db\n")
        for name in ("watched", "many"):
            write(f"{self.folder}/{name}", "")
        text = JAIL.format(folder=self.folder, program=PROGRAM, runtime=runtime)
        write(f"{self.folder}/jail.conf", text)
        self.base = ["-c", self.folder, "-s", f"{self.folder}/socket", "-p", f"{self.folder}/pid"]
        self.begin()

    def begin(self):
        self.start(["fail2ban-server", "-f", *self.base, "--logtarget", "STDOUT", "start"])
        self.ready("fail2ban-client", *self.base, "ping")

    def end(self):
        stop(self.children.pop())

    def client(self, *words):
        return self.run("fail2ban-client", *self.base, *words)

    def begin_client(self, *words):
        """It ends when the server has done it."""
        return self.lab.popen("fw", ["fail2ban-client", *self.base, *words], stdout=-3, env=self.env)

    def everything_said(self):
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return f.read()

    def remember(self, jail, address, ago, seconds):
        """A ban of earlier, in its database, while it does not run."""
        row = (jail, address, int(time.time()) - ago, seconds, 1, '{"matches": [], "failures": 3}')
        with sqlite3.connect(f"{self.folder}/bans.db") as db:
            for table in ("bans", "bips"):
                names = "jail, ip, timeofban, bantime, bancount, data"
                db.execute(f"INSERT INTO {table} ({names}) VALUES (?, ?, ?, ?, ?, ?)", row)
        db.close()

    def fail(self, address, times):
        self.write_lines("watched", [address] * times)

    def write_lines(self, log, addresses):
        when = time.strftime("%b %d %H:%M:%S")
        with open(f"{self.folder}/{log}", "a", encoding="utf-8") as f:
            for address in addresses:
                f.write(f"{when} box sshd[4242]: Failed password for root from {address} port 40000 ssh2\n")


@pytest.fixture(name="daemon", scope="module")
def make_daemon(running):
    assert running.apply(OPEN, "--no-confirm")[0] == 0
    return running


@pytest.fixture(name="fail2ban", scope="module")
def make_fail2ban(world, daemon, tmp_path_factory):
    f = Fail2ban(world.lab, tmp_path_factory.mktemp("ruler"), daemon.runtime)
    yield f
    for child in f.children:
        stop(child)


def wait_for_bans(fail2ban, daemon, jail, addresses):
    wait_until(
        lambda: {b["address"] for b in bans(daemon, "--jail", jail)} == set(addresses),
        DEADLINE,
        f"bans of {addresses}\n{fail2ban.said()}",
    )


def test_lines_of_a_log_shut_the_jails_ports(fail2ban, daemon, world):
    fail2ban.fail(WAN, 3)
    wait_for_bans(fail2ban, daemon, "sshd", [WAN])
    list_ = bans(daemon, "--jail", "sshd")
    assert {b["service"] for b in list_} == {"22/tcp", "8080/tcp"}
    assert {(b["source"], b["reason"]) for b in list_} == {("fail2ban", "3 failures")}
    assert all(3500 < (b["until"] - b["since"]) / 1e6 < 3700 for b in list_)
    assert is_shut(daemon, WAN, "wan", world.address("host", 4), 22)
    assert is_shut(daemon, WAN, "wan", world.address("host", 4), 8080)
    assert world.talk.reach("wan", world.address("host", 4), 443) == "open"
    fail2ban.client("set", "sshd", "unbanip", WAN)
    wait_for_bans(fail2ban, daemon, "sshd", [])


def test_a_jail_with_ports_shuts_all_of_them_to_an_ipv6_address_and_to_a_network(fail2ban, daemon):
    fail2ban.client("set", "sshd", "banip", "2001:db8:9::9", "192.0.2.0/24")
    wait_for_bans(fail2ban, daemon, "sshd", ["2001:db8:9::9", "192.0.2.0/24"])
    assert not any("service" in b for b in bans(daemon, "--jail", "sshd"))
    fail2ban.client("set", "sshd", "unbanip", "2001:db8:9::9", "192.0.2.0/24")
    wait_for_bans(fail2ban, daemon, "sshd", [])


def test_bans_by_hand_networks_ipv6_and_bans_without_an_end(fail2ban, daemon):
    fail2ban.client("set", "all", "banip", "198.51.100.7", "192.0.2.0/24", "2001:db8:9::7")
    wait_for_bans(fail2ban, daemon, "all", ["198.51.100.7", "192.0.2.0/24", "2001:db8:9::7"])
    fail2ban.client("set", "ever", "banip", "198.51.100.7")
    wait_for_bans(fail2ban, daemon, "ever", ["198.51.100.7"])
    assert "until" not in bans(daemon, "--jail", "ever")[0]
    # another jail's ban is not this one's to end
    fail2ban.client("set", "all", "unbanip", "198.51.100.7")
    wait_for_bans(fail2ban, daemon, "all", ["192.0.2.0/24", "2001:db8:9::7"])
    wait_for_bans(fail2ban, daemon, "ever", ["198.51.100.7"])


def test_what_is_never_banned_is_an_error_in_fail2bans_log(fail2ban, daemon):
    """It tries twice, as fail2ban does with all that fails, and goes on with others."""
    fail2ban.client("set", "all", "banip", "127.0.0.5")
    wait_until(lambda: "Error banning 127.0.0.5" in fail2ban.said(), DEADLINE, "the end of the tries")
    fail2ban.client("set", "all", "banip", "198.51.100.8")
    wait_for_bans(fail2ban, daemon, "all", ["192.0.2.0/24", "2001:db8:9::7", "198.51.100.8"])
    said = fail2ban.everything_said()
    assert said.count("ringwall ban: 127.0.0.5 is never banned: it is loopback") == 2, said
    assert "Invariant check failed" not in said
    fail2ban.client("set", "all", "unbanip", "127.0.0.5", "198.51.100.8")
    wait_for_bans(fail2ban, daemon, "all", ["192.0.2.0/24", "2001:db8:9::7"])


def test_whom_a_jail_ignores_is_not_banned(fail2ban, daemon):
    fail2ban.fail("198.51.100.50", 5)
    fail2ban.fail("198.51.100.51", 5)
    wait_for_bans(fail2ban, daemon, "sshd", ["198.51.100.51"])
    assert "Ignore 198.51.100.50" in fail2ban.everything_said()
    fail2ban.client("set", "sshd", "unbanip", "198.51.100.51")
    wait_for_bans(fail2ban, daemon, "sshd", [])


def test_a_restart_of_fail2ban_brings_its_bans_back(fail2ban, daemon):
    """As they were: with the same end, and none counted as another one."""
    fail2ban.client("reload")
    before = {b["address"]: b for b in bans(daemon)}
    assert before.keys() == {"198.51.100.7", "192.0.2.0/24", "2001:db8:9::7"}
    fail2ban.end()
    wait_until(lambda: bans(daemon) == [], DEADLINE, "the flush")
    fail2ban.remember("all", "198.51.100.70", 1800, 3600)
    fail2ban.remember("all", "198.51.100.71", 3600, 3600)
    fail2ban.remember("longer", "198.51.100.72", 7200, 600)
    fail2ban.begin()
    wait_until(
        lambda: {b["address"] for b in bans(daemon)} == before.keys() | {"198.51.100.70"},
        DEADLINE,
        f"the same bans\n{fail2ban.said()}",
    )
    after = {b["address"]: b for b in bans(daemon)}
    half = after.pop("198.51.100.70")
    assert 1500 < half["until"] / 1e6 - time.time() < 1810
    for address, b in after.items():
        assert b["times"] == before[address]["times"], b
        assert ("until" in b) == ("until" in before[address]), b


def test_a_ban_that_fail2ban_prolongs_is_prolonged(fail2ban, daemon):
    """The second one of an address, in that jail: fail2ban bans first, and says for how long later."""
    fail2ban.client("set", "longer", "banip", "198.51.100.72")
    wait_for_bans(fail2ban, daemon, "longer", ["198.51.100.72"])
    spans = lambda: [(b["until"] - b["since"]) / 1e6 for b in bans(daemon, "--jail", "longer")]
    wait_until(lambda: spans()[0] > 603, DEADLINE, f"four seconds more\n{fail2ban.said()}")
    assert bans(daemon, "--jail", "longer")[0]["times"] == 1


def test_unbanning_all_ends_the_bans_of_all_jails(fail2ban, daemon):
    assert {b["jail"] for b in bans(daemon)} == {"all", "ever", "longer"}
    fail2ban.client("unban", "--all")
    wait_until(lambda: bans(daemon) == [], DEADLINE, "the flush")


def test_what_is_done_while_ringwalld_is_away_is_done_when_it_is_back(fail2ban, daemon):
    """The actions wait for it: nobody is forgotten."""
    fail2ban.client("set", "all", "banip", "198.51.100.20")
    wait_for_bans(fail2ban, daemon, "all", ["198.51.100.20"])
    for verb, left in (("banip", ["198.51.100.20", "198.51.100.21"]), ("unbanip", ["198.51.100.20"])):
        daemon.stop(signal.SIGKILL)
        client = fail2ban.begin_client("set", "all", verb, "198.51.100.21")
        word = "Ban" if verb == "banip" else "Unban"
        wait_until(lambda w=word: f"[all] {w} 198.51.100.21" in fail2ban.said(), DEADLINE, verb)
        daemon.start()
        assert client.wait(DEADLINE) == 0
        wait_for_bans(fail2ban, daemon, "all", left)
    fail2ban.client("unban", "--all")
    wait_until(lambda: bans(daemon) == [], DEADLINE, "the flush")


def test_what_was_banned_while_ringwalld_was_away_for_long_comes_with_it(fail2ban, daemon):
    """Of the jail that waits for no longer than a second."""
    fail2ban.client("set", "hasty", "banip", "198.51.100.30")
    wait_for_bans(fail2ban, daemon, "hasty", ["198.51.100.30"])
    daemon.stop(signal.SIGKILL)
    begun = time.time()
    before = fail2ban.everything_said()
    fail2ban.client("set", "hasty", "banip", "198.51.100.31", "198.51.100.32")
    spool = daemon.runtime / "bans.later"
    wait_until(
        lambda: spool.exists() and "198.51.100.32" in spool.read_text(),
        DEADLINE,
        f"what is written down\n{fail2ban.said()}",
    )
    assert "Error banning" not in fail2ban.everything_said()[len(before) :]
    daemon.start()
    wait_for_bans(fail2ban, daemon, "hasty", ["198.51.100.30", "198.51.100.31", "198.51.100.32"])
    late = {b["address"]: b for b in bans(daemon, "--jail", "hasty")}["198.51.100.31"]
    assert (late["source"], late["times"]) == ("fail2ban", 1)
    assert late["until"] / 1e6 - begun < 3600 + DEADLINE
    fail2ban.client("set", "hasty", "unbanip", "198.51.100.31")
    wait_for_bans(fail2ban, daemon, "hasty", ["198.51.100.30", "198.51.100.32"])
    fail2ban.client("unban", "--all")
    wait_until(lambda: bans(daemon) == [], DEADLINE, "the flush")


def test_many_at_once_are_all_banned(fail2ban, daemon, request):
    """Half of them by lines of a log, and half by hand, in one command. Then all end in one."""
    count = request.config.getoption("--bans")
    addresses = [f"198.{18 + i // 62500}.{i // 250 % 250}.{i % 250 + 1}" for i in range(count)]
    begun = time.monotonic()
    client = fail2ban.begin_client("set", "many", "banip", *addresses[: count // 2])
    fail2ban.write_lines("many", addresses[count // 2 :])
    number = lambda: daemon.status()["bans"]["bans"]
    seconds = DEADLINE + count // 4
    wait_until(lambda: time.sleep(0.1) or number() == count, seconds, f"{count} bans\n{fail2ban.said()}")
    assert client.wait(DEADLINE) == 0
    print(f"{count} bans of fail2ban's: {count / (time.monotonic() - begun):.0f} a second")
    assert {b["address"] for b in bans(daemon, "--jail", "many")} == set(addresses)
    status = daemon.status()["bans"]
    assert status["enforced"] == status["desired"] == count
    fail2ban.client("unban", "--all")
    wait_until(lambda: bans(daemon) == [], DEADLINE, "the flush")


def test_a_ban_outlives_a_kill_of_ringwalld(fail2ban, daemon):
    fail2ban.client("set", "all", "banip", "198.51.100.9")
    wait_for_bans(fail2ban, daemon, "all", ["198.51.100.9"])
    daemon.stop(signal.SIGKILL)
    daemon.start()
    wait_for_bans(fail2ban, daemon, "all", ["198.51.100.9"])
    fail2ban.client("set", "all", "unbanip", "198.51.100.9")
    wait_for_bans(fail2ban, daemon, "all", [])
