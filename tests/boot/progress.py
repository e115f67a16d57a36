# SPDX-License-Identifier: GPL-2.0-or-later
"""A plugin of pytest's: writes down which tests there are, and which have begun and come to their end,
so that those that did not can be named. RINGWALL_PROGRESS names the folder."""

import os

FOLDER = os.environ["RINGWALL_PROGRESS"]


def _write(name, mode, lines):
    with open(os.path.join(FOLDER, name), mode, encoding="utf-8") as f:
        f.writelines(f"{line}\n" for line in lines)


def pytest_collection_finish(session):
    _write("collected", "w", (item.nodeid for item in session.items))


def pytest_runtest_logstart(nodeid):
    _write("begun", "a", [nodeid])


def pytest_runtest_logfinish(nodeid):
    _write("ended", "a", [nodeid])
