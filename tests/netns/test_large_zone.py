# SPDX-License-Identifier: GPL-2.0-or-later
"""A zone file too large for its set to be listed: who is in it, while lines of it change, and what
another program does to it."""

import ipaddress
import json
import re
import signal
import threading

import pytest

from daemon import reach
from lab import wait_until
from program import ENVIRONMENT, PROGRAM
from talk import host_address, peer_address
from test_drift import OFF, drift, healed
from world import with_inbound

PREFIXES = 20000  # LARGE_SET_MIN is 16384
PEER = ipaddress.ip_address(peer_address("wan", 4))


@pytest.fixture(name="zone", scope="module")
def make_zone(running):
    return Zone(running, running.folder / "many")


class Zone:
    """Who may use ssh: a list, and a line or two besides."""

    def __init__(self, daemon, path):
        self.daemon, self.path = daemon, path

    def write(self, *more, length=25, settings=OFF):
        """length: of ten of the prefixes; the others' is 25."""
        prefixes = [f"11.{i // 256}.{i % 256}.0/{length if i % 2000 == 7 else 25}\n" for i in range(PREFIXES)]
        self.path.write_text("".join(prefixes) + "".join(f"{line}\n" for line in more))
        self.path.chmod(0o644)
        return settings + with_inbound("{ allow: ssh, from: many }").replace(
            "zones:\n", f"zones:\n  many: {{ file: {self.path} }}\n"
        )

    def put(self, *more, **rest):
        code, said = self.daemon.apply(self.write(*more, **rest), "--no-confirm")
        assert code == 0, said
        assert self.daemon.status()["readBack"]

    def plan(self, policy, helped=True, under=()):
        """helped: by what ringwalld says is in force."""
        folder = self.daemon.runtime if helped else self.daemon.folder / "nobody"
        words = [*under, PROGRAM, "plan", "--json", self.daemon.world.file(policy)]
        done = self.daemon.world.lab.run(
            "fw", words, check=False, env={**ENVIRONMENT, "RINGWALL_RUNTIME_DIR": str(folder)}
        )
        assert done.returncode in (0, 8), done.stderr
        return json.loads(done.stdout)


def test_its_ranges_begin_and_end_where_the_file_says(world, zone):
    zone.put(f"{PEER - 3}-{PEER - 1}", f"{PEER + 1}-{PEER + 3}")
    assert reach(world, 22) == "dropped"
    zone.put(PEER)
    assert reach(world, 22) == "open"


def test_while_ten_lines_change_the_others_hold(world, zone):
    zone.put(PEER)
    ended, found = threading.Event(), []

    def ask():
        while not ended.is_set():
            found.append(world.talk.reach("wan", host_address("eth0", 4), 22))

    asks = threading.Thread(target=ask, daemon=True)
    asks.start()
    try:
        for length in (25, 26):
            zone.put(PEER, length=length)
    finally:
        ended.set()
        asks.join(30)
    assert found and set(found) == {"open"}
    listed = world.lab.run("fw", ["nft", "list", "set", "inet", "ringwall", "many-ipv4"]).stdout
    assert listed.count("/25") == PREFIXES - 10 and listed.count("/26") == 10


@pytest.mark.parametrize(
    "listed, command, expected",
    [
        (PEER, f"delete element inet ringwall many-ipv4 {{ {PEER} }}", "open"),
        (PEER, "flush set inet ringwall many-ipv4", "open"),
        (PEER + 9, f"add element inet ringwall many-ipv4 {{ {PEER} }}", "dropped"),
    ],
)
def test_what_another_program_does_to_it_is_undone(world, zone, listed, command, expected):
    zone.put(listed)
    before = drift(zone.daemon)["undone"]
    world.lab.run("fw", ["nft", command])
    healed(zone.daemon, before + 1)
    assert reach(world, 22) == expected
    told = [line for line in zone.daemon.log().splitlines() if "another program changed" in line]
    assert "set many-ipv4" in told[-1]  # was changed, or how much, by which compare sees it first


@pytest.mark.parametrize("command", [None, f"delete element inet ringwall many-ipv4 {{ {PEER} }}"])
def test_what_was_done_to_it_while_nobody_watched_is_told_and_undone(world, zone, command):
    zone.put(PEER)
    zone.daemon.stop()
    if command:
        world.lab.run("fw", ["nft", command])
    before = zone.daemon.log().count("were not as they should be")
    zone.daemon.start()
    assert zone.daemon.status()["readBack"]
    assert reach(world, 22) == "open"
    assert zone.daemon.log().count("were not as they should be") == before + (command is not None)


def sets(plan):
    return [(s["name"], s["come"], s["go"]) for s in plan["sets"]]


def both_ways(zone, policy):
    plan = zone.plan(policy)
    assert plan == zone.plan(policy, helped=False)
    return plan


def test_what_changes_is_the_same_with_and_without_the_daemon(world, zone):
    zone.put(PEER)
    assert not both_ways(zone, zone.write(PEER))["differs"]
    world.lab.run("fw", ["nft", "add table inet other; delete table inet other"])
    plan = both_ways(zone, zone.write(PEER, PEER + 9, length=26))
    assert sets(plan) == [("many-ipv4", 11, 10)] and plan["meaning"]
    none = both_ways(zone, OFF + with_inbound("{ allow: ssh }"))
    assert ("many-ipv4", 0, PREFIXES + 1) in sets(none)


def test_with_the_daemon_the_kernel_need_not_list_it(world, zone, tmp_path):
    zone.put(PEER)
    policy, received = zone.write(PEER, PEER + 9), {}
    for helped in (True, False):
        trace = tmp_path / f"trace-{helped}"
        zone.plan(policy, helped, under=["strace", "-o", trace, "-e", "trace=recvmsg,recvfrom,recv"])
        received[helped] = sum(int(n) for n in re.findall(r" = (\d+)$", trace.read_text(), re.M))
    assert received[False] > 20 * PREFIXES, "each range is told of"
    assert received[True] < received[False] / 4


def test_what_another_program_changed_is_planned_as_it_is(world, zone):
    settings = "settings: { ownership: off, drift: alert }\n"
    zone.put(PEER, settings=settings)
    world.lab.run("fw", ["nft", f"add element inet ringwall many-ipv4 {{ {PEER + 9} }}"])
    wait_until(lambda: not zone.daemon.status()["readBack"], 20, "the daemon to notice")
    assert sets(both_ways(zone, zone.write(PEER, settings=settings))) == [("many-ipv4", 0, 1)]
