# SPDX-License-Identifier: GPL-2.0-or-later
"""Which edit meets which mishap; and many at once, as each of them mostly waits."""

import itertools
import json
import os
import random
import subprocess
import sys
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor

from edits import EDITS, INVALID
from host import HERE, make_clock, make_keys
from lockout import KILLED
from mishaps import MISHAPS

LANES = 10 * (os.cpu_count() or 1)
SECONDS = 240  # that one may take on a machine that has other things to do

Story = namedtuple("Story", "edit mishap family")


def name(story):
    return f"{story.edit}, {story.mishap}, IPv{story.family}".replace(" ", "-")


def scripted():
    """Each edit once, by the family that it locks out, and each mishap several times."""
    mishaps, families = itertools.cycle([*MISHAPS, KILLED]), itertools.cycle((4, 6))
    for edit in EDITS.values():
        shut = [f for f in (4, 6) if edit.shut[f]]
        family = shut[0] if len(shut) == 1 else next(families)
        waits = edit.answer[family] != INVALID and edit.can_insist
        yield Story(edit.name, next(mishaps) if waits else "nothing", family)


def drawn(seed, count):
    rng = random.Random(seed)
    for _ in range(count):
        yield Story(rng.choice(list(EDITS)), rng.choice([*MISHAPS, KILLED]), rng.choice((4, 6)))


class Stage:
    """All stories are begun as soon as there is a lane for them; end() waits for one."""

    def __init__(self, folder, stories):
        self.folder, self.keys = folder, folder / "keys"
        self.keys.mkdir()
        make_keys(self.keys)
        make_clock(self.keys / "clock.so")
        self.told = []
        self.pool = ThreadPoolExecutor(LANES)
        self.running = [(s, self.pool.submit(self._play, i, s)) for i, s in enumerate(stories)]

    def _play(self, number, story):
        folder = self.folder / str(number)
        folder.mkdir()
        words = [sys.executable, "-B", HERE / "lockout.py", story.edit, story.mishap, story.family, self.keys]
        return subprocess.run(
            [str(w) for w in words],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=SECONDS,
        )

    def end(self, story):
        """Of the first that nobody has asked for."""
        found = next(pair for pair in self.running if pair[0] == story)
        self.running.remove(found)
        done = found[1].result()
        assert done.returncode == 0, done.stderr[-8000:]
        self.told.append(json.loads(done.stdout))

    def summary(self):
        late = max((t["late"] for t in self.told if t["late"] is not None), default=0)
        knocks = sum(t["knocks"] for t in self.told)
        return f"{len(self.told)} stories; at most {late:.1f} s beyond the confirm time; {knocks} knocks, 0 came in"

    def close(self):
        self.pool.shutdown(cancel_futures=True)
