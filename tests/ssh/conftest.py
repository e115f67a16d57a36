# SPDX-License-Identifier: GPL-2.0-or-later
import os
import sys
import time

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "netns")]

SUMMARY = pytest.StashKey()


def pytest_addoption(parser):
    group = parser.getgroup("edits over SSH")
    group.addoption("--seed", type=int, default=int(os.environ.get("SEED", "0")) or int(time.time()))
    group.addoption("--edits", type=int, default=int(os.environ.get("EDITS", "200")))


def pytest_report_header(config):
    return f"seed of the edits: {config.getoption('--seed')}"


def pytest_terminal_summary(terminalreporter, config):
    terminalreporter.write_line(config.stash.get(SUMMARY, ""))


@pytest.fixture(scope="session", name="stage")
def make_stage(request, tmp_path_factory):
    from stories import Stage

    params = [getattr(item, "callspec", None) for item in request.session.items]
    stories = [p.params["story"] for p in params if p and "story" in p.params]
    stage = Stage(tmp_path_factory.mktemp("stage"), stories)
    yield stage
    stage.close()
    request.config.stash[SUMMARY] = stage.summary()
