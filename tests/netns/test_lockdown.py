# SPDX-License-Identifier: GPL-2.0-or-later
"""The lockdown: what closes the host where what was confirmed cannot be in force, and whom it lets in."""

import os
import signal

import pytest

from daemon import DAEMON, reach
from fixtures import world_for
from lab import can_own_tables
from program import ENVIRONMENT
from world import EXAMPLE

make_world = world_for("function")


def test_a_damaged_copy_gives_way_to_history_and_that_to_the_lockdown(world, daemon):
    daemon.start()
    daemon.apply(EXAMPLE, "--no-confirm")
    daemon.stop()
    for file, expected in (("sealed", "closed"), ("history/00000001", "lockdown")):
        path = daemon.state / file
        path.write_bytes(path.read_bytes()[:-7])
        world.lab.nft("flush ruleset")
        daemon.start()
        assert daemon.status()["state"] == expected
        assert reach(world, 22) == "dropped"
        daemon.stop()
    assert reach(world, 443) == "dropped", "stopped, it leaves the lockdown in place"
    assert "damaged" in daemon.log() and "lockdown" in daemon.log()


@pytest.mark.parametrize("option", ["--lockdown", "--lockdown=if-open"])
def test_lockdown_alone_closes_what_was_armed_and_nothing_else(world, daemon, option):
    def lockdown():
        return world.lab.run("fw", [DAEMON, option, "--state-dir", daemon.state], env=ENVIRONMENT)

    lockdown()
    assert reach(world, 443) == "open", "nothing was ever confirmed"
    daemon.start()
    daemon.apply(EXAMPLE, "--no-confirm")
    daemon.stop()
    world.lab.nft("flush ruleset")
    lockdown()
    assert reach(world, 443) == "dropped" and reach(world, 22) == "dropped"


def test_what_is_in_force_needs_no_lockdown(world, daemon):
    def lockdown():
        words = [DAEMON, "--lockdown=if-open", "--state-dir", daemon.state]
        assert world.lab.run("fw", words, env=ENVIRONMENT).stderr.count("the lockdown") == closes

    daemon.start()
    daemon.apply(EXAMPLE, "--no-confirm")
    daemon.stop()
    closes = 0
    lockdown()
    assert reach(world, 443) == "open" and reach(world, 22) == "dropped"
    # a table that holds nothing back is nothing in force
    world.lab.nft("delete chain inet ringwall forward")
    closes = 1
    lockdown()
    assert reach(world, 443) == "dropped" and reach(world, 22) == "dropped"


def test_where_nobody_can_tell_what_was_confirmed_it_is_closed(world, daemon):
    def lockdown(*words):
        words = [DAEMON, "--lockdown=if-open", "--state-dir", daemon.state, *words]
        done = world.lab.run("fw", list(map(str, words)), env=ENVIRONMENT)
        closed = "inet", "ringwall"
        was = closed in world.lab.tables()
        world.lab.nft("flush ruleset")
        assert was == ("the lockdown" in done.stderr)
        return was

    policy = world.file(EXAMPLE)
    # no folder: perhaps what it is on was not mounted, if there is a policy at all
    assert not lockdown("--policy", daemon.folder / "none")
    assert lockdown("--policy", policy)
    daemon.state.mkdir(mode=0o700)
    assert not lockdown("--policy", policy)
    # a folder that cannot be trusted
    daemon.state.chmod(0o777)
    assert lockdown("--policy", policy)


def test_the_lockdown_lets_in_who_may_rescue(world, daemon):
    daemon.start()
    rescue = "settings: { rescue: 203.0.113.2 }\n"
    assert daemon.apply(rescue + EXAMPLE, "--no-confirm")[0] == 0
    assert reach(world, 22) == "dropped" and reach(world, 443) == "open"
    daemon.stop()
    world.lab.run("fw", [DAEMON, "--lockdown", "--state-dir", daemon.state], env=ENVIRONMENT)
    assert reach(world, 22) == "open" and reach(world, 443) == "dropped"
    assert world.reach("lan", "host", 22, 4) == "dropped"


def test_the_lockdown_comes_where_the_store_cannot_be_trusted(world, daemon):
    daemon.start()
    daemon.apply(EXAMPLE, "--no-confirm")
    daemon.stop(signal.SIGKILL)
    world.lab.nft("flush ruleset")
    daemon.state.chmod(0o777)
    daemon.start("--lockdown", ready=False)
    assert daemon.process.wait(20) == 0
    assert reach(world, 443) == "dropped"


def test_without_the_daemon_the_lockdown_that_it_wrote_down_closes(world, daemon):
    """ringwall-lockdown needs no library, no catalogue and no daemon."""

    def lockdown():
        words = [os.path.join(os.path.dirname(DAEMON), "ringwall-lockdown"), "--state-dir", daemon.state]
        return world.lab.run("fw", words, check=False, env={})

    daemon.start()
    done = lockdown()
    assert (done.returncode, done.stderr) == (0, "") and reach(world, 22) == "open"
    rescue = "settings: { rescue: 203.0.113.2 }\n"
    assert daemon.apply(rescue + EXAMPLE)[0] == 9
    assert not (daemon.state / "lockdown.batch").exists(), "nothing is confirmed yet"
    assert daemon.ask("confirm")[0] == 0
    # what is in force stays, whoever owns it
    assert daemon.status()["owned"] == can_own_tables()
    done = lockdown()
    assert (done.returncode, done.stderr) == (0, "")
    daemon.stop()
    done = lockdown()
    assert (done.returncode, done.stderr) == (0, "")
    assert reach(world, 443) == "open" and reach(world, 22) == "dropped"
    world.lab.nft("flush ruleset")
    done = lockdown()
    assert done.returncode == 0 and "in force: the lockdown" in done.stderr
    assert reach(world, 443) == "dropped" and reach(world, 22) == "open"
    assert world.reach("lan", "host", 22, 4) == "dropped" and world.reach("wan", "host", 443, 6) == "dropped"
    # the daemon that comes back takes it over
    daemon.start()
    assert daemon.status()["state"] == "closed" and reach(world, 443) == "open"
    daemon.stop()
    world.lab.nft("flush ruleset")
    batch = daemon.state / "lockdown.batch"
    batch.write_bytes(batch.read_bytes()[:-1])
    done = lockdown()
    assert done.returncode == 1 and "lockdown.batch" in done.stderr and reach(world, 22) == "open"
    # an upgrade makes it anew
    batch.unlink()
    daemon.start()
    assert batch.exists()
