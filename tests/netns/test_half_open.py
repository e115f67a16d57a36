# SPDX-License-Identifier: GPL-2.0-or-later
"""Connections from before a policy comes into force that are half open, half closed, or in the middle of
what a server says: those that it refuses die, also where conntrack knew nothing of them."""

import contextlib
import select
import socket
import threading

import pytest

from daemon import reach
from lab import wait_until
from program import ringwall
from world import DOCKER, EXAMPLE, World, accept_from

# Ports that the policy refuses. Of connections to the first two the client's own rules hold something
# back until it is in force: the server's answer, or the client's to that.
UNANSWERED, UNENDED, OPEN = 5678, 3000, 9000
# A container's, which may open connections itself.
BEHIND = ("c1", 80)
HOLD = f"""
table inet held {{
    chain in {{ type filter hook input priority 0
        tcp sport {UNANSWERED} tcp flags & (syn | ack | rst) == (syn | ack) drop
    }}
    chain out {{ type filter hook output priority 0
        tcp dport {UNENDED} tcp flags & (syn | ack | rst) == ack drop
    }}
}}
"""
SPEAKING = 8  # connections of each family: which packet is the first that conntrack sees, is luck
SILENCE = 2  # seconds: a server repeats its answer after one
FAMILIES = (4, 6)


@pytest.fixture(name="world", params=["conntrack asleep", "conntrack awake"])
def make_world(request, tmp_path):
    w = World(tmp_path, foreign=DOCKER if request.param == "conntrack awake" else None)
    yield w
    w.close()


def begin(world, family, port):
    """Does not wait for the handshake."""
    with world.lab.inside("wan"):
        kind = socket.AF_INET if family == 4 else socket.AF_INET6
        client = world.talk.keep(socket.socket(kind, socket.SOCK_STREAM))
    client.setblocking(False)
    client.connect_ex((world.address("host", family), port))
    return client


def half_open(world, port):
    listed = world.lab.run("fw", ["ss", "-tanH", "state", "syn-recv", f"sport = :{port}"]).stdout
    return len(listed.splitlines())


def dial(world, family, server=("fw", OPEN)):
    to = world.address("host" if server[0] == "fw" else server[0], family)
    outcome, client = world.talk.dial("wan", to, server[1])
    assert outcome == "open"
    client.setblocking(False)
    return client, accept_from(world, server, client)


@contextlib.contextmanager
def speaking(servers):
    """They say something all the time, as in a download."""
    over = threading.Event()

    def speak():
        while not over.wait(0.0003):
            for s in servers:
                with contextlib.suppress(BlockingIOError):
                    s.send(b"x")

    for s in servers:
        s.setblocking(False)
    thread = threading.Thread(target=speak)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def drain(s):
    """Whether anything has come so far."""
    came = False
    with contextlib.suppress(BlockingIOError):
        while s.recv(1 << 16):
            came = True
    return came


def is_silent(sockets):
    """Nothing comes any more, but what was on its way; to those that listen, nobody ever."""
    for s in sockets:
        if not s.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            drain(s)
    return select.select(sockets, [], [], SILENCE)[0] == []


def test_what_the_policy_refuses_dies_whatever_state_it_is_in(world, daemon):
    daemon.start()
    daemon.apply(EXAMPLE, "--no-confirm")
    ringwall(world.lab, "unload", "--yes", "--runtime-dir", str(daemon.runtime))
    world.lab.run("wan", ["nft", "-f", "-"], text=HOLD)
    clients = [begin(world, f, port) for f in FAMILIES for port in (UNANSWERED, UNENDED)]
    for port in (UNANSWERED, UNENDED):
        wait_until(lambda p=port: half_open(world, p) == len(FAMILIES), 20, "half open connections")
    half_closed = [dial(world, f) for f in FAMILIES]
    for client, server in half_closed:
        client.shutdown(socket.SHUT_WR)
        assert server.recv(10) == b""
    ends = half_closed + [dial(world, f) for f in FAMILIES for _ in range(SPEAKING)]
    ends += [dial(world, f, BEHIND) for f in FAMILIES for _ in range(SPEAKING)]
    heard = [client for client, _ in ends]
    with speaking([server for _, server in ends]):
        wait_until(lambda: all([drain(client) for client in heard]), 20, "what the servers say")
        assert daemon.apply(EXAMPLE, "--no-confirm")[0] == 0
        world.lab.run("wan", ["nft", "delete table inet held"])
        for client in clients:
            with contextlib.suppress(OSError):
                client.send(b"is anybody there?")
        heard += [world.servers["fw", port] for port in (UNANSWERED, UNENDED)]
        wait_until(lambda: is_silent(heard), 20, "silence")
    assert reach(world, 443) == "open" and reach(world, OPEN) == "dropped"


def test_what_is_silent_while_the_others_are_cut_does_not_go_on(world, daemon):
    """Through this host, where nobody's socket tells that there is a connection."""
    daemon.start()
    ends = [dial(world, f, BEHIND) for f in FAMILIES]
    for client, server in ends:
        server.setblocking(False)
        server.send(b"welcome")
        wait_until(lambda c=client: drain(c), 20, "what the server says")
    assert daemon.apply(EXAMPLE, "--no-confirm")[0] == 0
    heard = [client for client, _ in ends]
    with speaking([server for _, server in ends]):
        wait_until(lambda: is_silent(heard), 30, "silence")
    assert world.reach("c1", "wan", 80, 4) == "open"
