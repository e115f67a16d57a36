# SPDX-License-Identifier: GPL-2.0-or-later
"""How tests/bench/run measures: the processors' time of whole processes, by turns, and ratios of what
ran one after the other, so that noise hits both alike."""

import importlib.machinery
import importlib.util
import os
import statistics
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BUILD = ROOT / "build/release"
os.environ.setdefault("RINGWALL", str(BUILD / "src/cli/ringwall"))
os.environ.setdefault("RINGWALL_DATADIR", str(ROOT / "policies"))
sys.path.insert(0, str(ROOT / "tests/netns"))
PROGRAM = os.environ["RINGWALL"]
DAEMON = str(Path(PROGRAM).parent / "../daemon/ringwalld")
CATALOGUE = os.environ["RINGWALL_DATADIR"] + "/catalogue.yaml"
STAGES, PACKETS = str(BUILD / "tests/bench-stages"), str(BUILD / "tests/bench-packets")
TIMEOUT = 120  # seconds that any one program may take


@dataclass
class Result:
    """One line of the table. Without a peer, ringwall's own value is what the goal is about."""

    what: str
    unit: str
    ringwall: float
    goal: float | None = None
    peer: str = ""
    value: float | None = None  # the peer's
    floor: float | None = None  # the part that nobody can be below: the kernel's own
    ratio: float | None = None
    spread: tuple = ()  # the quarters' limits of ratio, or of ringwall
    note: str = ""
    point: tuple = ()  # of the plot: which line, how many rules

    @property
    def judged(self):
        return self.ratio if self.peer else self.ringwall

    @property
    def met(self):
        return None if self.goal is None else self.judged <= self.goal

    def as_dict(self):
        return {**asdict(self), "met": self.met}


@dataclass
class Command:
    argv: list
    before: list = field(default_factory=list)  # not measured
    text: str = "/dev/null"  # the file that is its standard input


def quarters(values):
    if len(values) < 4:
        return min(values), max(values)
    q = statistics.quantiles(values, n=4)
    return q[0], q[2]


def compare(what, unit, own, peer, name, goal=None, **more):
    """Of values that were taken by turns."""
    ratios = [a / b for a, b in zip(own, peer)]
    return Result(what, unit, statistics.median(own), goal, name, statistics.median(peer),
                  ratio=statistics.median(ratios), spread=quarters(ratios), **more)  # fmt: skip


def alone(what, unit, own, goal=None, **more):
    return Result(what, unit, statistics.median(own), goal, spread=quarters(own), **more)


def call(*argv, text=None, check=True, env=None, timeout=TIMEOUT):
    words = [str(w) for w in argv]
    done = subprocess.run(
        words, input=text, capture_output=True, text=True, timeout=timeout, env=env, check=False
    )
    if check and done.returncode != 0:
        raise SystemExit(f"{' '.join(words)}: exit {done.returncode}\n{done.stdout[-800:]}{done.stderr[-2000:]}")
    return done.stdout


def use(command):
    """The wait status, seconds of the processors, and MiB, of one run."""
    for words in command.before:
        call(*words)
    files = [
        (os.POSIX_SPAWN_OPEN, 0, command.text, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0),
        (os.POSIX_SPAWN_OPEN, 2, "/dev/null", os.O_WRONLY, 0),
    ]
    argv = [str(w) for w in command.argv]
    child = os.posix_spawnp(argv[0], argv, os.environ, file_actions=files)
    _, status, usage = os.wait4(child, 0)
    if status != 0:
        raise SystemExit(f"{' '.join(argv)}: wait status {status}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def by_turns(commands, runs, warm=True):
    """Seconds of each command's runs, and the MiB it took at most. warm: once more before, to fill
    caches."""
    seconds, sizes = {name: [] for name in commands}, dict.fromkeys(commands, 0.0)
    for number in range(not warm, runs + 1):
        for name, command in commands.items():
            took, size = use(command)
            if number:
                seconds[name].append(took)
                sizes[name] = max(sizes[name], size)
    return seconds, sizes


def milliseconds(values):
    return [v * 1000 for v in values]


def load_script(name):
    """One of the scripts beside this file, as a module."""
    loader = importlib.machinery.SourceFileLoader(name, str(HERE / name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader))
    loader.exec_module(module)
    return module
