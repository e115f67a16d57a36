# SPDX-License-Identifier: GPL-2.0-or-later
"""What the ruleset under test counts."""

import json

TABLE = "inet", "ringwall"


def rules(lab):
    """Every rule of the table, as nft lists it; none if there is no table."""
    done = lab.run("fw", ["nft", "-j", "list", "table", *TABLE], check=False)
    if done.returncode != 0:
        return []
    return [item["rule"] for item in json.loads(done.stdout)["nftables"] if "rule" in item]


def _chain_behind(rule):
    """The chain of a rule that logs what it refuses, or None."""
    for e in rule["expr"]:
        target = e.get("goto") or e.get("jump")
        if target and target["target"].startswith("logged-"):
            return target["target"]
    return None


def refused(lab):
    """(dropped, rejected) packets: every rule that refuses counts, and what leads to one that logs
    counts in its place."""
    listed = rules(lab)
    ends = {}  # a logging chain → how it ends
    for rule in listed:
        for word in ("drop", "reject"):
            if rule["chain"].startswith("log") and any(word in e for e in rule["expr"]):
                ends[rule["chain"].replace("logged-", "log-", 1)] = word
    dropped = rejected = 0
    for rule in listed:
        expressions = rule["expr"]
        packets = sum(e["counter"]["packets"] for e in expressions if "counter" in e)
        chain = _chain_behind(rule)
        end = ends.get(chain.replace("logged-", "log-", 1)) if chain else None
        if end == "drop" or any("drop" in e for e in expressions):
            dropped += packets
        elif end == "reject" or any("reject" in e for e in expressions):
            rejected += packets
    return dropped, rejected
