# SPDX-License-Identifier: GPL-2.0-or-later
"""What it costs to put a policy in force, and to change it."""

import json
import statistics

import shapes
from measure import CATALOGUE, PROGRAM, STAGES, Command, alone, by_turns, call, compare, milliseconds, use

LEGACY, HASHED, RANGES = "iptables-legacy-restore", "nft -f, hash set", "nft -f, prefix set"
RUNS = 9


def peers(folder, n):
    """n allows: what else can load them."""
    flush = ["iptables-legacy", "-F"]
    return {
        LEGACY: Command([LEGACY], [flush], shapes.legacy(f"{folder}/legacy.{n}", n)),
        HASHED: Command(["nft", "-f", shapes.nft_hashed(f"{folder}/hashed.{n}.nft", n)], shapes.FLUSH),
        RANGES: Command(["nft", "-f", shapes.nft_ranges(f"{folder}/ranges.{n}.nft", n)], shapes.FLUSH),
    }


def stages(runs, *policies):
    lines = call(STAGES, CATALOGUE, runs, *policies).splitlines()
    rows = [json.loads(line) for line in lines]
    return {key: [row[key] for row in rows] for key in rows[0]}


def load_10000(folder, runs=RUNS):
    """The whole process, from YAML to rules that have been read back."""
    policy = shapes.policy(f"{folder}/policy.yaml", 10000)
    own = Command([PROGRAM, "load", policy], shapes.FLUSH)
    seconds, _ = by_turns({"ringwall": own, **peers(folder, 10000)}, runs)
    floor = statistics.median(stages(runs, policy)["send"]) * 1000
    goals = {LEGACY: 0.8, HASHED: 0.35, RANGES: None}
    for peer, goal in goals.items():
        yield compare("load 10,000 allows, from YAML", "ms", milliseconds(seconds["ringwall"]),
                      milliseconds(seconds[peer]), peer, goal, floor=floor)  # fmt: skip


def compiled_10000(folder, runs=RUNS):
    """The same from a parsed policy: what is left to do is compiling and sending."""
    policy = shapes.policy(f"{folder}/policy.yaml", 10000)
    others, own, floor = peers(folder, 10000), [], []
    taken = {peer: [] for peer in others}
    for _ in range(runs):
        took = stages(1, policy)
        own.append(1000 * sum(took[key][0] for key in ("compile", "encode", "send")))
        floor.append(1000 * took["send"][0])
        seconds, _ = by_turns(others, 1)
        for peer in others:
            taken[peer] += milliseconds(seconds[peer])
    goals = {LEGACY: 0.4, HASHED: 0.15, RANGES: None}
    for peer, goal in goals.items():
        yield compare("the same, compile and send alone", "ms", own, taken[peer], peer, goal,
                      floor=statistics.median(floor))  # fmt: skip


def load_10(folder, runs=31):
    """The same of 10 allows."""
    policy = shapes.policy(f"{folder}/policy.yaml", 10)
    nothing = Command(["true"])
    own = Command([PROGRAM, "load", policy], shapes.FLUSH)
    some = peers(folder, 10)
    seconds, _ = by_turns({"ringwall": own, "true": nothing, **some}, runs)
    floor = statistics.median(seconds["true"]) * 1000
    for peer, goal in ((HASHED, 0.5), (LEGACY, None)):
        yield compare("load 10 rules", "ms", milliseconds(seconds["ringwall"]),
                      milliseconds(seconds[peer]), peer, goal, floor=floor)  # fmt: skip


def change_one(folder, runs=RUNS):
    """The kernel's transaction for one rule that is changed."""
    for n in (1000, 10000):
        policy = shapes.policy(f"{folder}/{n}.yaml", n)
        changed = shapes.policy(f"{folder}/{n}-changed.yaml", n, changed=True)
        took = stages(runs, policy, changed)
        note = f"{took['change_messages'][0]} messages, {took['change_bytes'][0]} bytes"
        note += f" (all: {took['messages'][0]}, {took['bytes'][0]})"
        yield compare(f"one rule of {n:,} changed, transaction", "ms", milliseconds(took["change_send"]),
                      milliseconds(took["send"]), "all rules sent", 0.05, note=note)  # fmt: skip


def where_it_goes(folder, runs=RUNS):
    """The stages of a load of 10,000 allows, one after the other."""
    took = stages(runs, shapes.policy(f"{folder}/policy.yaml", 10000))
    names = {
        "read": "YAML to policy",
        "advise": "rules without effect",
        "compile": "lower and passes",
        "prove": "claims",
        "encode": "difference, messages",
        "send": "the kernel's transaction",
        "read_back": "read back, compared",
    }
    for key, name in names.items():
        yield alone(f"stage: {name}", "ms", milliseconds(took[key]))


def zone_file(folder, n=100000, runs=3):
    """A list of prefixes: all of it, and ten lines of it changed."""
    policy, path = shapes.zone(folder, n)
    own = Command([PROGRAM, "load", policy], shapes.FLUSH)
    other = Command(["nft", "-f", shapes.nft_zone(f"{folder}/zone.nft", n)], shapes.FLUSH)
    seconds, sizes = by_turns({"ringwall": own, "nft": other}, runs, warm=runs > 1)
    note = f"{sizes['ringwall']:.0f} MiB (nft: {sizes['nft']:.0f})"
    yield compare(f"zone file of {n:,} prefixes, load", "ms", milliseconds(seconds["ringwall"]),
                  milliseconds(seconds["nft"]), "nft -f", 0.45, note=note)  # fmt: skip
    if runs == 1:
        return
    call("nft", "flush", "ruleset")
    call(PROGRAM, "load", policy)
    with open(path, encoding="utf-8") as f:
        lines = f.readlines()
    step = len(lines) // 10
    lines[::step] = [line + "\n" for line in shapes.networks(len(lines[::step]), n)]
    shapes.write(path, *lines)
    took, _ = use(Command([PROGRAM, "load", policy]))
    yield alone("ten lines of it changed, whole process", "ms", milliseconds([took]), 50)


def zone_million(folder):
    """1,000,000 prefixes, once: it takes minutes."""
    yield from zone_file(folder, 1000000, 1)
