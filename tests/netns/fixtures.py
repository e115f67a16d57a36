# SPDX-License-Identifier: GPL-2.0-or-later
"""Fixtures that take the place of conftest.py's in a file that wants them otherwise."""

import pytest

from world import DOCKER, World


def world_for(scope, foreign=DOCKER):
    """A fixture `world`. scope: "function", one for each test, in its tmp_path, or "module"; foreign: the
    tables of another program that are there, or None."""

    @pytest.fixture(name="world", scope=scope)
    def make_world(request):
        if scope == "function":
            folder = request.getfixturevalue("tmp_path")
        else:
            folder = request.getfixturevalue("tmp_path_factory").mktemp("world")
        w = World(folder, foreign)
        yield w
        w.close()

    return make_world
