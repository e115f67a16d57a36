# SPDX-License-Identifier: GPL-2.0-or-later
"""What the scripts beside this file measure, as rows: each can be run alone, with more to choose."""

import argparse
import tempfile
from pathlib import Path

import peers
import shapes
from measure import ROOT, alone, call, compare, load_script, milliseconds

DEFAULT = ROOT / "policies/ai-server.yaml"


def values(seconds, factor):
    return [v * factor for v in seconds]


def drift(folder, runs=100, others=10):
    """tests/bench/drift: how long a foreign change stands, and what looking for one costs."""
    script = load_script("drift")
    found = script.measured(folder, 1000, 10000, runs, others)
    goals = {
        "noticed": ("foreign change noticed, on the clock", 0.5, 5),
        "healed": ("foreign change undone: a chain, on the clock", 2, 20),
        "accept": ("foreign change undone: a rule that accepts all, on the clock", 2, 20),
        "flush": ("foreign change undone: all rules gone, on the clock", None, None),
        "delete": ("foreign change undone: the table gone, on the clock", None, None),
    }
    for key, (what, goal, most) in goals.items():
        took = milliseconds(found[key])
        yield alone(what, "ms", took, goal)
        yield alone(f"{what}: the slowest of {len(took)}", "ms", [max(took)], most)
    yield compare("full compare of 10,000 rules", "ms", milliseconds(found["compare"]),
                  milliseconds(found["listing"]), "nft list ruleset", 0.35)  # fmt: skip
    yield alone("nothing has changed: to know it, on the clock", "µs", values(found["idle"], 1e6), 10)


def verify(folder, runs=15):
    """tests/bench/verify: the whole process of `ringwall verify` beside Docker and ufw."""
    call(ROOT / "packaging/apt-install", *peers.DOCKER, timeout=600)
    script = load_script("verify")
    for name, (rules, found) in script.measured(folder, script.READY, runs).items():
        note = f"{rules} rules of Docker and ufw"
        yield alone(f"verify of {name}", "ms", milliseconds(found["busy"]), 30, note=note)
        yield alone(f"verify of {name}: memory", "MiB", [max(found["mib"])], 32)


def daemon(folder, runs=5, seconds=60):
    """tests/bench/daemon: the time until ringwalld is ready, its memory, and that it sleeps."""
    script = load_script("daemon")
    policy = Path(shapes.write(f"{folder}/policy.yaml", DEFAULT.read_text(encoding="utf-8")))
    large = Path(shapes.write(f"{folder}/large.yaml", script.large(10000)))
    words = {"boot_ms": ("ready after boot, on the clock", "ms"), "restart_ms": ("ready again, on the clock", "ms"),
             "rss_mib": ("memory, idle", "MiB"), "status_ms": ("`ringwall status`, on the clock", "ms"),
             "wakeups_per_minute": ("wake-ups a minute", "")}  # fmt: skip
    for column, (path, what) in enumerate(((policy, "ai-server.yaml"), (large, "10,000 rules"))):
        args = argparse.Namespace(runs=runs, seconds=seconds)  # what is regular comes once a minute
        if column == 1:
            args = argparse.Namespace(runs=2, seconds=seconds // 2)
        found = script.measure(path, args)
        for key, (word, unit) in words.items():
            yield alone(f"ringwalld, {what}: {word}", unit, [found[key]], script.LIMITS[key][column])


def preview(_, rules=10000, connections=100000):
    """tests/bench/preview: what a change means, and which of 100,000 open connections it would break."""
    script = load_script("preview")
    with tempfile.TemporaryDirectory() as folder:
        for name, _, busy, size, _, listed in script.measured(folder, None, rules, connections, 1):
            what = f"plan of 10,000 rules ({name}) beside {connections:,} connections"
            yield alone(what, "ms", [busy * 1000], script.SECONDS * 1000, note=f"{listed} would break")
            yield alone(f"{what}: memory", "MiB", [size])
