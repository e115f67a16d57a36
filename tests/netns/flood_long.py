# SPDX-License-Identifier: GPL-2.0-or-later
"""Whoever breaks claims and mends them again until nothing of it is told any more does not hide what
they break then."""


import pytest

from fixtures import world_for
from lab import wait_until
from test_alerts import OFF, POLICY, REDIRECT, broken, claims, told, whole
from test_events import events

MUTED = "changes all the time"
TOO_MUCH = 60  # events, and more than a minute may hold
A_MINUTE = 200  # seconds, at most, until what waited is told on a busy machine

make_world = world_for("function")


@pytest.fixture(name="daemon")
def make_daemon(daemon):
    daemon.start()
    assert daemon.apply(OFF + POLICY, "--no-confirm")[0] == 0
    wait_until(lambda: claims(daemon)["known"], 20, "the first proof")
    whole(daemon)
    daemon.mark = max(e["number"] for e in events(daemon))
    return daemon


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
