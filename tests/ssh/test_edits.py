# SPDX-License-Identifier: GPL-2.0-or-later
"""Whatever an administrator does to the policy over SSH, and whatever happens then: a new connection of
his comes in within the confirm time, and nobody comes in who may not."""

import lockout
import pytest
import stories


@pytest.mark.parametrize("story", [stories.Story(lockout.UNGUARDED, "nothing", 4)], ids=["nobody"])
def test_whoever_comes_in_is_seen(story, stage):
    stage.end(story)


@pytest.mark.parametrize("story", stories.scripted(), ids=stories.name)
def test_the_administrator_comes_in_again(story, stage):
    stage.end(story)
