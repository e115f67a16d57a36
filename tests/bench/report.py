# SPDX-License-Identifier: GPL-2.0-or-later
"""The results of tests/bench/run as a table for people, and as RESULTS.md with its plot."""

import plot
import twice
from measure import HERE

HEADER = ("what", "", "ringwall", "peer", "", "floor", "ratio", "goal", "spread", "")
WORDS = {True: "met", False: "MISSED", None: ""}


def number(value):
    if value is None:
        return ""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def cells(r):
    spread = f"{number(r.spread[0])} to {number(r.spread[1])}" if r.spread else ""
    ratio = f"{r.ratio:.2f}" if r.ratio is not None and r.ratio >= 0.1 else number(r.ratio)
    goal = "" if r.goal is None else f"≤ {r.goal:g}" + ("" if r.peer else f" {r.unit}".rstrip())
    return (r.what, r.unit, number(r.ringwall), r.peer, number(r.value), number(r.floor), ratio, goal,
            spread, WORDS[r.met])  # fmt: skip


def table(results):
    widths = (52, 4, 9, 24, 9, 8, 7, 10, 18, 7)
    lines = []
    for r in results:
        row = cells(r)
        lines.append("".join(f"{c:<{w}} " if i in (0, 1, 3) else f"{c:>{w}} " for i, (c, w) in enumerate(zip(row, widths))))
        if r.note:
            lines.append(f"    {r.note}")
    return "\n".join(line.rstrip() for line in lines)


def markdown(rows):
    yield "| " + " | ".join(("what", "unit", "ringwall", "peer", "peer's", "floor", "ratio", "goal", "spread", "")) + " |"
    yield "|" + " --- |" * len(HEADER)
    for r in rows:
        row = list(cells(r))
        if r.note:
            row[0] += f" ({r.note})"
        yield "| " + " | ".join(row) + " |"


GROUPS = {
    "Loading and changing": ("load-10000", "compiled-10000", "load-10", "change", "zone", "zone-1000000"),
    "Where the time of a load goes": ("stages",),
    "Packets": ("packet", "packet-peers", "reload"),
    "Bans": ("bans", "bans-packets"),
    "Drift and claims": ("drift", "verify", "preview"),
    "Small things": ("start", "check", "daemon"),
}
HEAD = """# What ringwall costs

Written by `tests/bench/run --results` on {date}, of commit {commit}, in {seconds} s.

- {processors}; Linux {kernel}
- {versions}
- Load of the machine before and after: {load:.1f} and {load_after:.1f}.{noise}

*Ratio* is ringwall by peer, both in this run and by turns; *spread* are the quarters of the ratio, or of
ringwall's value where there is no peer. Times are the processors', of whole processes, where the line says
nothing else. *Floor* is what nobody can be below: the kernel's part of a load, an empty process, or
connection tracking with one rule. Packets are UDP over veth, on one processor; their cost is what is added
to that of a host without a firewall. "New" are packets of a flow that nobody answers. *minimum* is
[minimum.nft](minimum.nft), what an expert writes for the same duties; *tuned* is the same with comparisons in
place of its small maps and sets (the map of connection states alone costs some 80 ns more than they do).
*As ufw* is `antispoof: off`: without looking up where sources lead back to.
"""
NOISY = 1.0
NOISE = " **Other work was going on**, so that values are high and spreads wide; ratios are of neighbours."


def misses(results):
    notes = (HERE / "REASONS.md").read_text(encoding="utf-8")
    missed = [r for rows in results.values() for r in rows if r.met is False]
    yield f"## Goals\n\n{sum(r.met is True for rows in results.values() for r in rows)} met, {len(missed)} missed.\n"
    yield notes


def curve(results):
    lines = {}
    for r in results:
        if r.point and r.ringwall > 0:
            lines.setdefault(r.point[0], []).append((r.point[1], r.ringwall))
    return lines


def repeated(results, before):
    yield "## Twice\n"
    if before is None:
        yield "There was no earlier run to compare with.\n"
        return
    yield from twice.lines(before, twice.of(results))
    yield ""


def durations(took):
    longest = sorted(took, key=took.get, reverse=True)[:8]
    return "Seconds of the longest rows: " + ", ".join(f"{name} {took[name]}" for name in longest) + ".\n"


def write(about, results, took, before):
    lines = curve(results["packet-curve"])
    title = "Cost of a new packet that the last of so many rules admits"
    if lines:
        picture = plot.draw(lines, title, "rules (source /24 and TCP port)", "ns over no firewall")
        (HERE / "packets.svg").write_text(picture, encoding="utf-8")
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    noise = NOISE if max(about["load"], about["load_after"] - 1) > NOISY else ""
    out = [HEAD.format(**{**about, "versions": versions}, noise=noise), *misses(results)]
    out += repeated(results, before)
    for title, names in GROUPS.items():
        rows = [r for name in names for r in results[name]]
        out += [f"## {title}\n", *markdown(rows), ""]
    out += ["![Cost of a packet against the number of rules](packets.svg)\n"]
    counts = sorted({x for line in lines.values() for x, _ in line})
    out += ["| ns | " + " | ".join(f"{n:,} rules" for n in counts) + " |", "|" + " --- |" * (len(counts) + 1)]
    for name, line in lines.items():
        at = dict(line)
        out.append(f"| {name} | " + " | ".join(number(at.get(n)) for n in counts) + " |")
    out += ["", durations(took).rstrip()]
    (HERE / "RESULTS.md").write_text("\n".join(out) + "\n", encoding="utf-8")
