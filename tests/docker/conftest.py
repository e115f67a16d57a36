# SPDX-License-Identifier: GPL-2.0-or-later
import os
import sys
import time

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
TESTS = os.path.dirname(HERE)
sys.path[:0] = [HERE, os.path.join(TESTS, "netns"), os.path.join(TESTS, "oracle")]


def pytest_addoption(parser):
    parser.addoption("--seed", type=int, default=int(os.environ.get("SEED", "0")) or int(time.time()))
    parser.addoption("--packets", type=int, default=2000, help="for which evaluator and kernel are compared")
    parser.addoption("--published", type=int, default=1, help="ports, one after the other, by test_changers.py")


@pytest.fixture(scope="session", autouse=True)
def of_its_own():
    """Nothing in this folder runs in the machine's own network."""
    import lab

    lab.enter()
    lab.refuse_the_machines_own_network()


@pytest.fixture(scope="module", name="host")
def make_host(tmp_path_factory):
    from host_with_docker import Host

    h = Host(tmp_path_factory.mktemp("docker"))
    yield h
    h.close()


@pytest.fixture(autouse=True)
def nothing_stays(request):
    """Containers, networks and rules end with their test."""
    host = request.getfixturevalue("host") if "host" in request.fixturenames else None
    yield
    if host:
        host.clear()
