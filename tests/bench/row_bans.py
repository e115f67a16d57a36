# SPDX-License-Identifier: GPL-2.0-or-later
"""Bans: what one, many and a million of them cost, beside ipset, fail2ban and sshguard; and their packets."""

import json

import lab
import row_packet
import shapes
from measure import BUILD, HERE, PACKETS, Result, alone, call

BANS = str(BUILD / "tests/bench-bans")
SECONDS = 240
MILLION = 1000000


def one(what, unit, value, goal=None, **more):
    return alone(what, unit, [value], goal, **more)


def beside(what, unit, own, peer, name, goal=None, **more):
    return Result(what, unit, own, goal, name, peer, ratio=own / peer, spread=(), **more)


def bans(_, n=MILLION):
    """What tests/bench/bans tells, of a million. The goals are those of 200,000 and 50,000 a second."""
    told = json.loads(call(HERE / "bans", "--json", "--number", n, timeout=SECONDS))
    heard = "others listened to the kernel's events" if told["listeners"] else ""
    yield one(f"a ban into {n:,}: the kernel", "µs", told["one_us"], 10, note=heard)
    yield one("one of many bans: the kernel", "µs", told["many_us"], 5)
    yield one(f"one of {n:,} imported, kept and in force", "µs", told["import_us"], 20)
    yield one(f"one of {n:,} imported: processors", "µs", told["import_busy_us"], 20)
    for peer in ("ipset", "fail2ban", "sshguard"):
        note = "which keeps nothing" if peer == "ipset" else ""
        what = f"one of many bans, beside {peer}"
        yield beside(what, "µs", told["import_us"], told[f"{peer}_us"], peer, None if note else 1, note=note)
    yield one("a ban by message, alone: on disk, in force", "µs", told["ban_us"], floor=told["flush_us"])
    yield one("one of 60 by message at a time: the same", "µs", told["loaded_us"], 200, floor=told["flush_us"] / 60)
    for peer in ("ipset", "nft"):
        yield beside("a ban by command", "ms", told["command_ms"], told[f"{peer}_command_ms"], peer)
    yield beside(f"{n:,} restored", "s", told["restore_s"], told["ipset_restore_s"], "ipset restore", 0.75,
                 floor=told["fill_s"])  # fmt: skip
    yield one(f"{n:,} found there by a restart, and compared", "s", told["restart_s"])
    yield one(f"ringwalld with {n:,}: own memory", "MiB", told["private_mib"], 190)
    yield one(f"ringwalld with {n:,}: at most", "MiB", told["peak_mib"], 190)


BANNED = """table inet peer {{
    set banned {{ type ipv4_addr; flags timeout; elements = {{ {elements} }} }}
    chain input {{ type filter hook input priority 0; ct state established,related accept; ip saddr @banned drop; }}
}}
"""


AWAY = "table netdev peer { chain away { type filter hook egress device eth0 priority 0; meta protocol ip drop; }; }\n"


def packets(folder, n=100000, rounds=400):
    """A packet of a banned host beside one that a rule behind connection tracking drops, of sets of the same
    size, both over one that does not leave its sender; and an established one once the last ban has gone."""
    lab.enter()
    others = [f"20.{i >> 16}.{i >> 8 & 255}.{i & 255} timeout 1d" for i in range(n - 1)]
    rules = BANNED.format(elements=", ".join([f"{row_packet.PEER} timeout 1d", *others]))
    banned, away = shapes.write(f"{folder}/banned.nft", rules), shapes.write(f"{folder}/away.nft", AWAY)
    # Name → state of the connection, the namespace of what makes it so, and that.
    lanes = {
        "away": ("new", "-peer", ["nft", "-f", away]),
        "banned": ("new", "", [BANS, "fill", n, row_packet.PEER]),
        "input": ("new", "", ["nft", "-f", banned]),
        "none": ("established", "", ["true"]),
        "gone": ("established", "", [BANS, "gone", n]),
    }
    for name, (_, where, words) in lanes.items():
        row_packet.open_host(name)
        row_packet.within(name + where, *words)
    words = [
        f"{name}={name},{name}-peer,{row_packet.STATES[state]},{shapes.OPEN},{state}"
        for name, (state, _, _) in lanes.items()
    ]
    out = call(PACKETS, "cost", row_packet.SLICE_USEC, rounds, *words)
    took = dict(zip(lanes, zip(*([float(v) for v in line.split()] for line in out.splitlines()))))
    for name in lanes:
        row_packet.close_host(name)
    for name in ("banned", "input"):
        took[name] = [a - b for a, b in zip(took[name], took["away"])]
    yield row_packet.against("of a banned host", {(n, "new"): v for n, v in took.items()},
                             "banned", "input", "new", 0.7)  # fmt: skip
    yield row_packet.against("once the last ban has gone", {(n, "established"): v for n, v in took.items()},
                             "gone", "none", "established", 1.03)  # fmt: skip
