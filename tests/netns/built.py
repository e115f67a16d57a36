# SPDX-License-Identifier: GPL-2.0-or-later
"""What the program under test does not do yet, although the property asks for it: found out at the
start and left out until it does, without anyone's doing."""

import os

from program import explain, ringwall


def built(folder):
    """Those of these words that it knows."""
    return frozenset(_without_antispoof(folder) | _host_as(folder))


def _write(folder, policy):
    path = os.path.join(folder, "built.yaml")
    with open(path, "w", encoding="utf-8") as f:
        f.write(f"ringwall: 1\n{policy}\n")
    return path


def _without_antispoof(folder):
    """Whether an own source from outside is dropped by the ruleset, and not only by routing, when
    nothing else asks where sources lead back to."""
    path = _write(folder, "settings: { antispoof: off }\ninbound: [allow: ssh]")
    answer = explain(None, ["tcp from 10.0.0.1 to 22 in eth0 source own"], path)[0]
    return {"antispoof: off"} if answer["verdict"] == "drop" else set()


def _host_as(folder):
    """Whether a question can say from which of this host's addresses and ports something comes."""
    question = "udp from host as 10.0.0.1:68 to 10.0.0.2:67 out eth0"
    done = ringwall(None, "explain", question, _write(folder, "outbound: drop"), check=False)
    return {"host as"} if done.returncode == 0 else set()
