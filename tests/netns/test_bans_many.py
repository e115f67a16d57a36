# SPDX-License-Identifier: GPL-2.0-or-later
"""More bans than one transaction takes: a restart sends only what differs, whoever changed it meanwhile."""

import errno
import json
import signal
import socket
import struct

import pytest

from bans import OPEN, WAN, ban, is_shut_by_kernel, text
from bans import under_a_policy  # noqa: F401 (a fixture)
from daemon import FOR_EVERYBODY
from lab import wait_until

PART = 32768  # BAN_PART_MAX
READY, MANY_EVENTS = 120, 1 << 30
NEW_ELEMENT, EVENTS = 10 << 8 | 12, 7
NETFILTER, SOL_NETLINK, ADD_MEMBERSHIP, SO_RCVBUFFORCE = 12, 270, 1, 33


@pytest.fixture(name="n", scope="module")
def choose_number(request):
    return max(PART + 200, request.config.getoption("--bans"))


@pytest.fixture(name="many", scope="module")
def make_many(running, n):
    """A running daemon with so many. They are the module's, and no test leaves others."""
    lines = "\n".join(f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}" for i in range(65536, 65536 + n))
    code, out, errors = text(running, "bans", "--import", "-", "--for", "1d", more=lines)
    assert code == 0 and out.startswith(f"{n} banned"), out + errors
    return running


def start(daemon):
    daemon.start(ready=False)
    wait_until(lambda: daemon.ask("status")[0] == 0, READY, "the daemon's first answer")


class Listener:
    """Hears of each element that anybody adds, as `nft monitor` does."""

    def __init__(self, world):
        with world.lab.inside("fw"):
            self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETFILTER)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
        self.socket.bind((0, 0))
        self.socket.setsockopt(SOL_NETLINK, ADD_MEMBERSHIP, EVENTS)

    def count(self):
        """Of the table of bans: those who are never banned, and what differs."""
        self.socket.setblocking(False)
        n = 0
        while True:
            try:
                data = self.socket.recv(1 << 20)
            except OSError as e:  # that was all; or more than there was room for
                self.socket.close()
                return n if e.errno == errno.EAGAIN else MANY_EVENTS
            while len(data) >= 16:
                size, kind = struct.unpack_from("=LH", data)
                n += kind == NEW_ELEMENT and b"ringwall_bans" in data[:size]
                data = data[size + 3 & ~3 :]


def held(world, name="hosts4"):
    """As many as the kernel lists, one by one."""
    words = ["nft", "-j", "list", "set", "inet", "ringwall_bans", name]
    whole = json.loads(world.lab.run("fw", words).stdout)["nftables"]
    return len(next(o["set"]["elem"] for o in whole if "set" in o))


def counts(world):
    """Whether the kernel tells how many elements a set has: as far as it does not, all are made anew."""
    words = tuple(map(int, world.lab.run("fw", ["uname", "-r"]).stdout.split("-")[0].split(".")[:2]))
    return words >= (6, 17)


def in_force(daemon):
    return text(daemon, "bans", "--check")[:2]


def is_beside(world):
    words = ["nft", "list", "table", "inet", "ringwall_bans_beside"]
    return world.lab.run("fw", words, check=False).returncode == 0


@pytest.mark.parametrize("ends", [signal.SIGTERM, signal.SIGKILL])
def test_a_restart_sends_no_ban_that_is_there(many, world, n, ends):
    many.stop(ends)
    listener = Listener(world)
    start(many)
    heard = listener.count()
    assert heard < 100 or not counts(world), heard
    assert in_force(many) == (0, f"in force: {n} of {n}\n")
    assert not is_beside(world)


def test_what_others_did_while_it_was_away_is_undone(many, world, n):
    """The table is nobody's then, as where no systemd keeps the socket that owns it."""
    many.stop(signal.SIGKILL)
    world.lab.run("fw", ["nft", "delete element inet ringwall_bans hosts4 { 10.1.0.7 }"])
    world.lab.run("fw", ["nft", "insert rule inet ringwall_bans prerouting accept"])
    start(many)
    assert is_shut_by_kernel(world, "10.1.0.7")
    chain = world.lab.run("fw", ["nft", "list", "chain", "inet", "ringwall_bans", "prerouting"]).stdout
    assert chain.count("accept") == 1  # its policy
    many.stop(signal.SIGKILL)
    world.lab.run("fw", ["nft", "delete element inet ringwall_bans hosts4 { 10.1.0.8 }"])
    world.lab.run("fw", ["nft", f"add element inet ringwall_bans hosts4 {{ {WAN} }}"])
    start(many)
    assert is_shut_by_kernel(world, "10.1.0.8") and not is_shut_by_kernel(world, WAN)
    assert held(world) == n
    assert in_force(many) == (0, f"in force: {n} of {n}\n")
    assert not is_beside(world)


def test_it_tells_what_the_kernel_lacks_and_puts_it_right(many, world, n):
    """Where the table cannot be owned; with a ban of each kind besides."""
    assert many.apply(FOR_EVERYBODY + OPEN, "--no-confirm")[0] == 0
    try:
        ban(many, WAN, "--for", "1h")
        ban(many, "198.51.100.0/24")
        assert in_force(many) == (0, f"in force: {n + 2} of {n + 2}\n")
        many.process.send_signal(signal.SIGSTOP)
        world.lab.run("fw", ["nft", "flush set inet ringwall_bans hosts4"])
        many.process.send_signal(signal.SIGCONT)
        status = many.status()["bans"]
        assert status["desired"] == n + 2 and status["enforced"] in (0, 1, n + 2)  # told, or healed
        wait_until(lambda: in_force(many)[0] == 0, READY, "all of them in force")
        assert all(many.ask("unban", a)[0] == 0 for a in (WAN, "198.51.100.0/24"))
    finally:
        many.process.send_signal(signal.SIGCONT)
        assert many.apply(OPEN, "--no-confirm")[0] == 0
    assert held(world) == n
    assert not is_beside(world)

