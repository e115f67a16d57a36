# SPDX-License-Identifier: GPL-2.0-or-later
"""As test_edits.py, with edits and mishaps drawn by lot. For tests/long."""

import stories


def pytest_generate_tests(metafunc):
    option = metafunc.config.getoption
    drawn = stories.drawn(option("--seed"), option("--edits"))
    metafunc.parametrize("story", drawn, ids=stories.name)


def test_the_administrator_comes_in_again(story, stage):
    stage.end(story)
