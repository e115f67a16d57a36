# SPDX-License-Identifier: GPL-2.0-or-later
"""What tests of bans share: a policy under which there is something to shut, a daemon without a ban, and the ways
to ban somebody and to see whether they are shut out."""

import errno
import select
import socket

import pytest

from lab import wait_until
from program import ringwall
from talk import NETWORK, family_of
from world import with_inbound

WAN, WAN6 = "203.0.113.2", "2001:db8:ffff::2"
OPEN = with_inbound("{ allow: ssh }", "{ allow: 8080/tcp }", "{ allow: 9000/udp }")
SOON = 20


@pytest.fixture(name="running", scope="module")
def under_a_policy(running):
    assert running.apply(OPEN, "--no-confirm")[0] == 0
    return running


@pytest.fixture(name="daemon")
def without_a_ban(running):
    """Begins and ends without a ban."""
    if not running.is_running():
        running.start()
    assert running.ask("unban", "--all")[0] == 0
    yield running
    if not running.is_running():
        running.start()
    running.ask("unban", "--all")


def ban(daemon, *args, code=0):
    got, answer = daemon.ask("ban", *args)
    assert got == code, answer
    return answer


def bans(daemon, *args):
    code, answer = daemon.ask("bans", *args)
    assert code in (0, 8), answer
    return answer["bans"]


def text(daemon, verb, *args, more=None):
    done = ringwall(
        daemon.world.lab, verb, *args, "--runtime-dir", str(daemon.runtime), check=False, text=more
    )
    return done.returncode, done.stdout, done.stderr


def packets(daemon, address):
    return sum(b.get("packets", 0) for b in bans(daemon, address))


def is_shut(daemon, address, ns, to, port):
    """Whether a connection is dropped by the ban of that address: what did not come is told by its counter."""
    before = packets(daemon, address)
    with daemon.world.lab.inside(ns):
        s = socket.socket(NETWORK[family_of(to)], socket.SOCK_STREAM)
    with s:
        s.setblocking(False)
        s.connect_ex((to, port))
        result = []

        def decided():
            if select.select([], [s], [], 0.02)[1]:
                result.append(s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
            elif packets(daemon, address) > before:
                result.append(errno.ETIMEDOUT)
            return result

        wait_until(decided, SOON, "a connection, or a counted drop")
    return result[0] == errno.ETIMEDOUT


def connects(world, ns, to, port):
    return world.talk.reach(ns, to, port) == "open"


def table(world):
    done = world.lab.run("fw", ["nft", "list", "table", "inet", "ringwall_bans"], check=False)
    return done.stdout if done.returncode == 0 else None


def is_shut_by_kernel(world, address):
    done = world.lab.run(
        "fw", ["nft", "get", "element", "inet", "ringwall_bans", "hosts4", f"{{ {address} }}"], check=False
    )
    return done.returncode == 0
