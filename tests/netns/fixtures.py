# SPDX-License-Identifier: GPL-2.0-or-later
"""Fixtures that take the place of conftest.py's in a file that wants them otherwise."""

import pytest

from world import DOCKER, World


def world_for(scope, foreign=DOCKER):
    """For each "function" a world of its own, in its tmp_path; or for the "module", without Docker's rules."""

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
