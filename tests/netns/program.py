# SPDX-License-Identifier: GPL-2.0-or-later
"""The program under test, run where a test says."""

import json
import os
import subprocess

from lab import PATIENCE

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
PROGRAM = os.environ.get("RINGWALL", os.path.join(ROOT, "build/src/cli/ringwall"))
DATADIR = os.environ.get("RINGWALL_DATADIR", os.path.join(ROOT, "policies"))
ENVIRONMENT = {**os.environ, "RINGWALL_DATADIR": DATADIR}
TIMEOUT = 120 * PATIENCE


def catalogue():
    with open(os.path.join(DATADIR, "catalogue.yaml"), encoding="utf-8") as f:
        return f.read()


def ringwall(lab, *args, text=None, check=True, ns="fw", more=None):
    """In the lab's host namespace; lab None: a verb that needs no kernel. more: variables of the
    environment."""
    argv = [PROGRAM, *args]
    if lab is not None:
        env = {**ENVIRONMENT, **(more or {})}
        return lab.run(ns, argv, text=text, check=check, timeout=TIMEOUT, env=env)
    done = subprocess.run(
        argv, input=text, capture_output=True, text=True, timeout=TIMEOUT, env=ENVIRONMENT
    )
    if check and done.returncode != 0:
        raise AssertionError(
            f"{' '.join(argv)}: exit {done.returncode}\n{done.stdout[-500:]}"
            f"{done.stderr[-2000:]}"
        )
    return done


def explain(lab, questions, *source):
    """One answer (a dictionary) for each question."""
    done = ringwall(
        lab, "explain", "-", *source, "--json", text="".join(q + "\n" for q in questions)
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(questions), f"{len(questions)} questions, {len(answers)} answers"
    return answers
