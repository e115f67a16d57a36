# SPDX-License-Identifier: GPL-2.0-or-later
"""What a packet costs: nanoseconds over a host without a firewall, on one processor, by turns."""

import statistics

import lab
import peers
import shapes
from measure import PACKETS, PROGRAM, Result, alone, call, quarters

SLICE_USEC, ROUNDS = 1000, 400
# State of the connection → the host's address that it is to; both of one port.
STATES = {"established": "10.255.0.1", "new": "10.255.0.2"}
PEER = "10.255.0.3"


def open_host(name):
    """A host in a namespace, with a peer in another."""
    for ns in (name, f"{name}-peer"):
        call("ip", "netns", "add", ns)
    call("ip", "-n", name, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0",
         "netns", f"{name}-peer")  # fmt: skip
    for ns, addresses in ((name, STATES.values()), (f"{name}-peer", [PEER])):
        lines = "link set lo up\nlink set eth0 up\n"
        lines += "".join(f"addr add {a}/24 dev eth0\n" for a in addresses)
        call("ip", "-n", ns, "-batch", "-", text=lines)


def close_host(name):
    for ns in (name, f"{name}-peer"):
        call("ip", "netns", "del", ns)


def within(name, *argv):
    return call("ip", "netns", "exec", name, *argv)


def measure(configure, rounds=ROUNDS):
    """configure: name → what makes a host of that name so. Nanoseconds over "none": a list of all
    rounds for each (name, state)."""
    lab.enter()
    hosts = {"none": lambda ns: None, **configure}
    for name, make in hosts.items():
        open_host(name)
        make(name)
    lanes = [(name, state) for name in hosts for state in STATES]
    words = [
        f"{name}.{state}={name},{name}-peer,{STATES[state]},{shapes.OPEN},{state}" for name, state in lanes
    ]
    out = call(PACKETS, "cost", SLICE_USEC, rounds, *words)
    for name in hosts:
        close_host(name)
    columns = list(zip(*([float(v) for v in line.split()] for line in out.splitlines())))
    took = dict(zip(lanes, columns))
    return {
        (name, state): [a - b for a, b in zip(took[name, state], took["none", state])]
        for name, state in lanes
    }


def load(path):
    return lambda ns: within(ns, PROGRAM, "load", path)


def nft(path):
    return lambda ns: within(ns, "nft", "-f", path)


def against(what, took, own, peer, state, goal, floor=None):
    """The ratio of the medians; those of eighths of the rounds are the spread."""
    mine, other = took[own, state], took[peer, state]
    part, middle = max(1, len(mine) // 8), statistics.median
    ratios = [
        middle(mine[i : i + part]) / middle(other[i : i + part])
        for i in range(0, len(mine) - part + 1, part)
    ]
    return Result(f"packet, {state}: {what}", "ns", middle(mine), goal, peer, middle(other),
                  floor=middle(took[floor, state]) if floor else None,
                  ratio=middle(mine) / middle(other), spread=quarters(ratios))  # fmt: skip


TRACKING = (
    "table inet peer { chain input { type filter hook input priority 0; ct state established,related accept; }; }\n"
)
OFF = "ringwall: 1\nsettings: { antispoof: off }\ninbound:\n"


def packet_rules(folder):
    """ringwall and what is written by hand, of 10, 1,000 and 10,000 rules, and with zones."""
    policy, _ = shapes.zone(folder, 100000)
    took = measure({
        "ct": nft(shapes.write(f"{folder}/ct.nft", TRACKING)),
        "minimum": nft(shapes.minimum(f"{folder}/10.nft", 10)),
        "minimum-10k": nft(shapes.minimum(f"{folder}/10000.nft", 10000)),
        "r10": load(shapes.policy(f"{folder}/10.yaml", 10, shapes.opened())),
        "r1k": load(shapes.policy(f"{folder}/1000.yaml", 1000, shapes.opened())),
        "r10k": load(shapes.policy(f"{folder}/10000.yaml", 10000, shapes.opened())),
        "zone": load(policy),
    })  # fmt: skip
    names = {"r10": "10 rules", "r1k": "1,000 rules", "r10k": "10,000 rules", "zone": "a zone of 100,000 prefixes"}
    for state in STATES:
        for own, what in names.items():
            peer = "minimum-10k" if own == "r10k" else "minimum"
            yield against(what, took, own, peer, state, 1.1, "ct")
        yield against("10,000 rules", took, "r10k", "r10", state, 1.1)


def packet_peers(folder):
    """Beside ufw and firewalld as they come, with one port open; "as ufw": without looking up where
    sources lead back to, as neither of them does in rules."""
    took = measure({
        "ct": nft(shapes.write(f"{folder}/ct.nft", TRACKING)),
        "ringwall": load(shapes.policy(f"{folder}/policy.yaml", 0, shapes.opened())),
        "as-ufw": load(shapes.write(f"{folder}/as-ufw.yaml", OFF, shapes.opened())),
        "minimum": nft(shapes.minimum(f"{folder}/minimum.nft", 0)),
        "tuned": nft(shapes.minimum(f"{folder}/tuned.nft", 0, tuned=True)),
        "ufw": lambda ns: peers.ufw(ns, folder),
        "firewalld": lambda ns: peers.firewalld(ns, folder),
    })  # fmt: skip
    for state in STATES:
        yield against("one port", took, "ringwall", "minimum", state, 1.1, "ct")
        yield against("one port", took, "ringwall", "tuned", state, None, "ct")
        yield against("one port", took, "ringwall", "ufw", state, None, "ct")
        yield against("one port, as ufw", took, "as-ufw", "ufw", state, 0.8, "ct")
        yield against("one port, as ufw", took, "as-ufw", "firewalld", state, 0.6, "ct")


# What is plotted → how it is made, and of how many rules.
COUNTS = (10, 100, 1000, 10000)
LAYOUTS = {
    "ringwall": (COUNTS, lambda folder, n: load(policy_of(folder, n))),
    "hand-written minimum": (COUNTS, lambda folder, n: nft(shapes.minimum(f"{folder}/{n}.nft", n))),
    "nft, rule by rule": (COUNTS, lambda folder, n: nft(shapes.nft_linear(f"{folder}/l{n}.nft", n))),
    "ufw": (COUNTS, lambda folder, n: lambda ns: peers.ufw(ns, folder, n)),
    "firewalld": (COUNTS[:-1], lambda folder, n: lambda ns: peers.firewalld(ns, folder, n)),
}


def policy_of(folder, n):
    return shapes.policy(f"{folder}/{n}.yaml", n, shapes.opened())


def packet_curve(folder, rounds=40):
    """New packets that the last rule admits, against the number of rules: what is plotted."""
    names = {f"{i}.{n}": (what, n) for i, (what, (counts, _)) in enumerate(LAYOUTS.items()) for n in counts}
    took = measure({ns: LAYOUTS[what][1](folder, n) for ns, (what, n) in names.items()}, rounds)
    for ns, (what, n) in names.items():
        result = alone(f"packet, new: {what}, {n:,} rules", "ns", took[ns, "new"])
        result.point = (what, n)
        yield result
