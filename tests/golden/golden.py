# SPDX-License-Identifier: GPL-2.0-or-later
"""What test_golden.py and update share: the cases, and how ringwall is run for one.

A case is a folder NN-name with a policy.yaml. errors.txt holds what `ringwall check policy.yaml`
says about it, word for word; ruleset.nft what `ringwall show --nft policy.yaml` prints.
The environment says which program is meant: RINGWALL, and RINGWALL_DATADIR for its catalogue.
"""

import os
import pathlib
import subprocess

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
RINGWALL = os.environ.get("RINGWALL", str(ROOT / "build" / "src" / "cli" / "ringwall"))
DATADIR = os.environ.get("RINGWALL_DATADIR", str(ROOT / "policies"))
SECONDS = 60  # no input may keep ringwall busy for longer

# What each file of a case holds: arguments of ringwall, and which of its streams.
OUTPUTS = {
    "errors.txt": (["check", "policy.yaml"], "stderr"),
    "ruleset.nft": (["show", "--nft", "policy.yaml"], "stdout"),
}


def cases():
    return sorted(p.parent for p in HERE.glob("[0-9]*/policy.yaml"))


def run(arguments, folder, wrapper=(), **options):
    environment = {**os.environ, "RINGWALL_DATADIR": DATADIR, "LC_ALL": "C.UTF-8"}
    return subprocess.run(
        [*wrapper, RINGWALL, *arguments],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        timeout=SECONDS,
        check=False,
        **options,
    )


def expected_code(errors):
    """Exit code of `check` whose messages are these: warnings and notes never change it."""
    return 3 if b": error: " in errors or errors.startswith(b"error: ") else 0
