# SPDX-License-Identifier: GPL-2.0-or-later
"""The help of each command: the same however it is asked for, and as wide as the terminal."""

import re

import pytest

from command import on_terminal, run, verbs

VERBS = verbs()
HELP = {verb: run(verb, "--help").stdout for verb in VERBS}


@pytest.mark.parametrize("columns", [80, 60])
@pytest.mark.parametrize("verb", VERBS)
def test_help_fits_the_terminal_but_for_what_is_there_to_be_copied(verb, columns):
    shown = on_terminal(columns, verb, "--help")
    wide = [line for line in shown.splitlines() if len(line) > columns]
    assert not [line for line in wide if not re.match(r"Usage: |  ringwall |  \S+ |  # ", line)], shown
    words = shown.split()
    assert words == HELP[verb].split()


def test_help_of_a_command_is_found_both_ways():
    for verb in VERBS:
        assert run("help", verb).stdout == HELP[verb]
    wrong = run("help", "statsu")
    assert wrong.returncode == 2 and "Did you mean 'ringwall status'?" in wrong.stderr
