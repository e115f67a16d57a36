# SPDX-License-Identifier: GPL-2.0-or-later
"""Whoever breaks claims and mends them again until nothing of it is told any more does not hide what
they break then."""

import signal

import pytest

from lab import wait_until
from test_alerts import OFF, POLICY, REDIRECT, broken, claims, told, whole
from test_daemon import Daemon
from test_events import events
from world import World

MUTED = "changes all the time"
TOO_MUCH = 60  # events, and more than a minute may hold
A_MINUTE = 200  # seconds, at most, until what waited is told on a busy machine


@pytest.fixture(name="world")
def make_world(tmp_path):
    w = World(tmp_path)
    yield w
    w.close()


@pytest.fixture(name="daemon")
def make_daemon(world, tmp_path):
    d = Daemon(world, tmp_path)
    d.start()
    assert d.apply(OFF + POLICY, "--no-confirm")[0] == 0
    wait_until(lambda: claims(d)["known"], 20, "the first proof")
    whole(d)
    d.mark = max(e["number"] for e in events(d))
    yield d
    if d.process and d.process.poll() is None:
        d.stop(signal.SIGKILL)


def test_what_is_broken_behind_a_flood_of_events_is_told_with_who_it_was(world, daemon):
    for _ in range(TOO_MUCH):
        if any(MUTED in e["text"] for e in events(daemon) if e["number"] > daemon.mark):
            break
        world.lab.nft(REDIRECT)
        broken(daemon, "deny ssh")
        world.lab.nft("delete table inet other")
        whole(daemon)
    daemon.mark = max(e["number"] for e in events(daemon))
    world.lab.run("fw", ["nft", "-f", "-"], REDIRECT)
    broken(daemon, "deny ssh")
    alerts = wait_until(lambda: told(daemon, "alert", "deny ssh"), A_MINUTE, "what was not told")
    assert "by nft (process" in alerts[0], alerts
