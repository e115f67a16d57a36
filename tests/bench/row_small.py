# SPDX-License-Identifier: GPL-2.0-or-later
"""What is small, and shall stay so: the time until the program has begun, and memory."""

import shapes
from measure import PROGRAM, ROOT, Command, alone, by_turns, load_script, milliseconds

DEFAULT = ROOT / "policies/ai-server.yaml"


def start(folder, runs=51):
    """The time until the program has begun, and until it has read a ready policy."""
    policy = shapes.write(f"{folder}/policy.yaml", DEFAULT.read_text(encoding="utf-8"))
    seconds, _ = by_turns({
        "true": Command(["true"]),
        "version": Command([PROGRAM, "--version"]),
        "check": Command([PROGRAM, "check", policy]),
    }, runs)  # fmt: skip
    floor = sorted(seconds["true"])[runs // 2] * 1000
    yield alone("ringwall --version", "ms", milliseconds(seconds["version"]), 3, floor=floor)
    yield alone("check of ai-server.yaml", "ms", milliseconds(seconds["check"]), 5, floor=floor)


def check_10000(folder, runs=5):
    """Memory and time of `check`, for the allows and for the shapes of tests/bench/check."""
    script = load_script("check")
    policies = {"pairs": shapes.policy(f"{folder}/pairs.yaml", 10000)}
    for name, shape in script.SHAPES.items():
        random = script.random.Random(1)
        policies[name] = shapes.write(f"{folder}/{name}.yaml", *shape(random, 10000))
    seconds, sizes = by_turns({n: Command([PROGRAM, "check", p]) for n, p in policies.items()}, runs)
    for name in policies:
        yield alone(f"check of 10,000 rules ({name}): time", "ms", milliseconds(seconds[name]))
        yield alone(f"check of 10,000 rules ({name}): memory", "MiB", [sizes[name]], 64)
