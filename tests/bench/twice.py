# SPDX-License-Identifier: GPL-2.0-or-later
"""How the ratios of two runs differ: what two neighbours cost beside each other should be the same on a
noisy machine as on a quiet one."""

import json
import statistics
from dataclasses import dataclass
from pathlib import Path

SHOWN = 5  # lines: those that differ most


@dataclass
class Run:
    commit: str
    date: str
    ratios: dict  # (what, the peer) → ratio


def key(what, peer):
    return what.split(" (", 1)[0], peer  # what is in brackets is a number of this run


def of(results):
    return {
        key(r.what, r.peer): r.ratio for rows in results.values() for r in rows if r.peer and r.ratio and r.unit
    }


def of_table(text):
    found = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| ") and len(cells) == 10 and cells[3] and cells[6]:
            try:
                found[key(cells[0], cells[3])] = float(cells[6].replace(",", ""))
            except ValueError:
                pass  # the header
    return found


def read(path):
    """RESULTS.md, or what --json wrote; None if there is no such file."""
    if not Path(path).exists():
        return None
    text = Path(path).read_text(encoding="utf-8")
    if text.startswith("{"):
        run = json.loads(text)
        rows = [r for row in run["rows"].values() for r in row if r["peer"] and r["ratio"]]
        return Run(run["commit"], run["date"], {key(r["what"], r["peer"]): r["ratio"] for r in rows})
    head = text.split("\n## ", 1)[0]
    words = head.split("` on ", 1)[-1].split()
    return Run(words[3].rstrip(",") if len(words) > 3 else "?", words[0].rstrip(",") if words else "?", of_table(text))


def lines(before, now):
    both = [(max(now[k], r) / min(now[k], r) - 1, k, r, now[k]) for k, r in before.ratios.items() if k in now and r > 0]
    if not both:
        yield "Nothing to compare with."
        return
    both.sort(reverse=True)
    parts = [part for part, *_ in both]
    within = lambda limit: sum(part <= limit for part in parts)
    yield (
        f"Of {len(both)} ratios, {within(0.05)} are within 5 % of those of {before.date}, commit {before.commit}, "
        f"and {within(0.1)} within 10 %; half of them within {statistics.median(parts) * 100:.1f} %. The farthest apart:"
    )
    yield ""
    for part, (what, peer), then, ratio in both[:SHOWN]:
        yield f"- {what}, beside {peer}: {then:.3g} then, {ratio:.3g} now ({part * 100:.0f} %)"
