# SPDX-License-Identifier: GPL-2.0-or-later
"""Policies that take turns under traffic at full rate: what passed although it may not, and what was
lost although it may."""

import json
import subprocess

import lab
import shapes
from measure import PACKETS, PROGRAM, TIMEOUT, alone, call
from row_packet import STATES, close_host, open_host, within

RELOADS, PACKETS_MIN, RULES = 400, 1000000, 100


def reload_traffic(folder, reloads=RELOADS):
    """Two policies by turns, which differ in a rule, in a section, and in a port's chain."""
    lab.enter()
    address = STATES["new"]
    more = "routed:\n  - { allow: 80/tcp, from: 10.0.0.0/8 }\n"
    other = f"  - {{ allow: [ssh, {shapes.OPEN}/udp], from: 10.255.0.0/24 }}\n"
    policies = [
        shapes.policy(f"{folder}/one.yaml", RULES, shapes.opened()),
        shapes.policy(f"{folder}/two.yaml", RULES, shapes.opened() + other, changed=True),
    ]
    with open(policies[1], "a", encoding="utf-8") as f:
        f.write(more)
    open_host("reload")
    within("reload", PROGRAM, "load", policies[0])
    words = [PACKETS, "flow", f"reload,reload-peer,{address},{shapes.OPEN},{shapes.CLOSED}"]
    child = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    if child.stdout.readline() != "ready\n":
        raise SystemExit(f"{PACKETS}: exit {child.wait(TIMEOUT)}")
    done = 0
    while done < reloads:
        done += 1
        said = call("ip", "netns", "exec", "reload", PROGRAM, "load", policies[done % 2])
        if "nothing changed" in said:
            raise SystemExit(f"reload {done}: {said}")
    out, _ = child.communicate("", timeout=TIMEOUT)
    close_host("reload")
    seen = json.loads(out)
    sent = seen["allowed"] + seen["denied"]
    rate = sent / seen["seconds"] / 1000
    note = f"{done} reloads, {sent:,} packets, {rate:.0f},000 a second"
    if sent < PACKETS_MIN:
        note += f", fewer than {PACKETS_MIN:,}"
    dropped = seen["allowed"] - seen["arrived"] - seen["no_room"]
    yield alone("reload under traffic: wrongly passed", "", [seen["passed"]], 0, note=note)
    yield alone("reload under traffic: wrongly dropped", "", [dropped], 0, note=f"{seen['allowed']:,} allowed")
