#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Called by tests/run and tests/long, which say what for."""

import argparse
import fcntl
import os
import signal
import sys

import steps
from runner import BUILD, Run, run_steps

# what a caller's environment may not change
CLEARED = ["CC", "CFLAGS", "CPPFLAGS", "LDFLAGS", "RINGWALL", "RINGWALL_DATADIR", "PYTHONPATH", "SEED"]


def parse(kind, words):
    parser = argparse.ArgumentParser(
        prog=f"tests/{kind}", description="Builds and tests; the last line counts."
    )
    parser.add_argument("step", nargs="*", help="only these steps")
    parser.add_argument("--list", action="store_true", help="name the steps")
    if kind == "run":
        parser.add_argument("--quick", action="store_true", help="the plain build only")
        # always the same draws: a red run is the change's, not the lot's; tests/long draws anew
        parser.add_argument("--seed", type=int, default=1, help="of what is drawn by lot")
    else:
        parser.add_argument("--fuzz", type=int, default=60, metavar="SECONDS", help="of each target")
        parser.add_argument("--seed", type=int, help="of what is drawn by lot")
        parser.set_defaults(quick=False)
    return parser, parser.parse_args(words)


def main():
    # where this runs in the background, interrupts are ignored, and by all that it starts
    signal.signal(signal.SIGINT, signal.default_int_handler)
    kind = sys.argv[1]
    parser, options = parse(kind, sys.argv[2:])
    todo = steps.RUN if kind == "run" else steps.long_steps(options)
    unknown = set(options.step) - {step.name for step in todo}
    if options.list or unknown:
        for step in todo:
            print(f"{step.name:16}{step.title}")
        if unknown:
            parser.error(f"no step is called {', '.join(sorted(unknown))}")
        return 0
    if options.quick:
        todo = [step for step in todo if step.in_quick]
    if options.step:
        todo = [step for step in todo if step.name in options.step]
    for name in CLEARED:
        os.environ.pop(name, None)
    os.environ.update(LC_ALL="C.UTF-8", PYTHONDONTWRITEBYTECODE="1")
    if options.seed is not None:
        os.environ["SEED"] = str(options.seed)

    BUILD.mkdir(exist_ok=True)
    with open(BUILD / "lock", "w", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("another run is at work in this tree; this one would spoil its build folders")
            print("0 passed, 1 failed, 0 skipped")
            return 1
        return run_steps(Run(options), todo)


# a SIGTERM ends like Ctrl-C: what was started is ended, too
signal.signal(signal.SIGTERM, signal.default_int_handler)
try:
    sys.exit(main())
except KeyboardInterrupt:
    sys.exit("interrupted")
