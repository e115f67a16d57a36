# SPDX-License-Identifier: GPL-2.0-or-later
"""A zone file too large for its set to be listed: who is in it, while lines of it change, and what
another program does to it."""

import ipaddress
import threading

import pytest

from daemon import reach
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

    def put(self, *more, length=25):
        """length: of ten of the prefixes; the others' is 25."""
        prefixes = [f"11.{i // 256}.{i % 256}.0/{length if i % 2000 == 7 else 25}\n" for i in range(PREFIXES)]
        self.path.write_text("".join(prefixes) + "".join(f"{line}\n" for line in more))
        self.path.chmod(0o644)
        policy = OFF + with_inbound("{ allow: ssh, from: many }").replace(
            "zones:\n", f"zones:\n  many: {{ file: {self.path} }}\n"
        )
        code, said = self.daemon.apply(policy, "--no-confirm")
        assert code == 0, said
        assert self.daemon.status()["readBack"]


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
