# SPDX-License-Identifier: GPL-2.0-or-later
"""A World and a ringwalld for every file here. What a file wants otherwise it says by world_for() of
fixtures.py, or by a fixture of the same name that builds on the one here."""

import os
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "oracle")]


def pytest_addoption(parser):
    group = parser.getgroup("three-way property")
    group.addoption("--seed", type=int, default=int(os.environ.get("SEED", "0")) or None)
    group.addoption("--policies", type=int, default=int(os.environ.get("POLICIES", "50")))
    group.addoption(
        "--count", type=int, default=int(os.environ.get("COUNT", "25000")), help="packets"
    )
    parser.addoption("--kills", type=int, default=10, help="of ringwalld, by test_rivals.py")
    parser.addoption("--bans", type=int, default=30, help="at once, by test_fail2ban.py; and at least, by test_bans_many.py")
    parser.addoption("--changers", type=int, default=4, help="of each kind, by test_changers.py")


@pytest.fixture(scope="session", autouse=True)
def of_its_own():
    """Nothing in this folder runs in the machine's own network."""
    import lab

    lab.enter()
    lab.refuse_the_machines_own_network()


@pytest.fixture(scope="module", name="world")
def make_world(tmp_path_factory):
    from world import World

    w = World(tmp_path_factory.mktemp("policy"))
    yield w
    w.close()


@pytest.fixture(name="daemon")
def make_daemon(world, tmp_path):
    """A test's own; it does not run yet."""
    from daemon import Daemon

    d = Daemon(world, tmp_path)
    yield d
    d.kill()


@pytest.fixture(scope="module", name="folder")
def make_folder(tmp_path_factory):
    """Of the daemon that runs for all tests of a file."""
    return tmp_path_factory.mktemp("daemon")


@pytest.fixture(scope="module", name="running")
def make_running(world, folder):
    from daemon import Daemon

    d = Daemon(world, folder)
    d.start()
    yield d
    d.kill()


@pytest.fixture
def tidy(world):
    """A test's sockets end with it."""
    before = len(world.talk.open_sockets)
    yield
    world.talk.close(before)
