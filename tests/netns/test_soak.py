# SPDX-License-Identifier: GPL-2.0-or-later
"""The soak of tests/long, for a moment: that it runs, and that ringwalld passes."""

import os
import subprocess
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
MINUTES = "0.2"


@pytest.mark.parametrize("variant", ["owned", "unowned"])
def test_under_everything_at_once_nothing_wrong_passes_or_is_lost(variant, pytestconfig):
    words = [sys.executable, "-B", os.path.join(HERE, "soak"), "--variant", variant]
    words += ["--seed", str(pytestconfig.getoption("seed") or 1), "--minutes", MINUTES]
    # not in pytest's folder: its name is too long for the daemon's socket
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
