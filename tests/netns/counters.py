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


def refused(lab):
    """(dropped, rejected) packets: every rule that refuses counts."""
    dropped = rejected = 0
    for rule in rules(lab):
        expressions = rule["expr"]
        packets = sum(e["counter"]["packets"] for e in expressions if "counter" in e)
        if any("drop" in e for e in expressions):
            dropped += packets
        elif any("reject" in e for e in expressions):
            rejected += packets
    return dropped, rejected
