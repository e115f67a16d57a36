#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Shows who reaches what on a server, before and after ringwall loads policies/ai-server.yaml there.

Called by ../quickstart in namespaces of its own, with the program in RINGWALL and the policy as its
argument. Every cell of the table is a TCP connection that was really opened. Three answers must agree
for each: what the table below expects of the policy, what `ringwall explain` says, and what happened.
Exit code 1 if any do not.
"""

import json
import os
import sys
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor

import world

# One destination as one client sees it: its addresses, who answers there if anybody does, the place
# where a translated connection ends, and whether the policy lets it in.
#   way: the interfaces by which the server sees the packet
Row = namedtuple("Row", "what port ipv4 ipv6 answer allowed way ends", defaults=["", None])

LAN_SIDE = ("10.40.10.1", "fd00:40:10::1")
INTERNET_SIDE = ("203.0.113.1", "2001:db8:203::1")
DOCKER_SIDE = ("172.17.0.1", "fd00:17::1")
CONTAINER = ("172.17.0.2", "fd00:17::2")
WEB_SERVER = ("203.0.113.9", "2001:db8:203::9")
LOOPBACK = ("127.0.0.1", "::1")

SERVICES = {
    "https": 443,
    "ssh": 22,
    "grafana": 3000,
    "ollama": 11434,
    "postgresql": 5432,
}


def services_seen_from(side, interface, allowed):
    return [
        Row(name, port, *side, f"demo {port}", name in allowed, f"in {interface}")
        for name, port in SERVICES.items()
    ]


def published_seen_from(side, interface):
    way = f"in {interface} out docker0"
    return [
        Row("n8n, published by Docker", 5678, *side, "container 5678", False, way, (CONTAINER, 5678)),
        Row("8080, published by Docker", 8080, *side, "container 80", False, way, (CONTAINER, 80)),
    ]


# Client → (who that is, its addresses, its rows). "demo" is the server itself.
CLIENTS = {
    "lan": (
        "A client on the LAN",
        ("10.40.10.7", "fd00:40:10::7"),
        services_seen_from(LAN_SIDE, "lan0", {"https", "ssh", "grafana"})
        + published_seen_from(LAN_SIDE, "lan0"),
    ),
    "internet": (
        "A client on the internet",
        ("203.0.113.9", "2001:db8:203::9"),
        services_seen_from(INTERNET_SIDE, "wan0", {"https"})
        + published_seen_from(INTERNET_SIDE, "wan0")
        + [
            Row(
                "the container's own address",
                5678,
                *CONTAINER,
                "container 5678",
                False,
                "in wan0 out docker0",
            )
        ],
    ),
    "container": (
        "The container",
        CONTAINER,
        services_seen_from(DOCKER_SIDE, "docker0", {"https"})
        + [
            Row(
                "a web server outside", 443, *WEB_SERVER, "internet 443", True, "in docker0 out wan0"
            ),
        ],
    ),
    "demo": (
        "This server itself",
        ("host", "host"),
        [
            Row("its own ollama", 11434, *LOOPBACK, "demo 11434", True, "out lo"),
            Row("n8n in its container", 5678, *CONTAINER, "container 5678", True, "out docker0"),
            Row("a web server outside", 443, *WEB_SERVER, "internet 443", True, "out wan0"),
        ],
    ),
}

# How `explain` is shown where no line of the policy decides.
WITHOUT_RULE = {
    "accept": "always: loopback is free",
    "drop": "nothing allows it",
    "reject": "nothing allows it",
}

STEPS = 6
GREEN, RED, BOLD, PLAIN = (
    ("\033[32m", "\033[31m", "\033[1m", "\033[0m") if sys.stdout.isatty() else ("", "", "", "")
)


def step(number, text):
    print(f"[{number}/{STEPS}] {text}", flush=True)


def connect_all():
    """{(client, row's index, family's index): the answer}"""

    def connect(client):
        rows = CLIENTS[client][2]
        keys = [(client, i, f) for i in range(len(rows)) for f in (0, 1)]
        targets = [((rows[i].ipv4, rows[i].ipv6)[f], rows[i].port) for _, i, f in keys]
        return zip(keys, world.probe(client, targets))

    with ThreadPoolExecutor() as pool:
        return {key: answer for some in pool.map(connect, CLIENTS) for key, answer in some}


def with_port(address, port):
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def question(source, row, family):
    """What `ringwall explain` is to be asked about a row."""
    dialled = with_port((row.ipv4, row.ipv6)[family], row.port)
    if not row.ends:
        return f"tcp from {source} to {dialled} {row.way}"
    addresses, port = row.ends
    return f"tcp from {source} to {with_port(addresses[family], port)} {row.way} dialled {dialled}"


def explain_all(ringwall, policy):
    """{(client, row's index, family's index): (allowed, the words of the rule that decides)}"""
    keys, questions = [], []
    for client, (_, sources, rows) in CLIENTS.items():
        for i, row in enumerate(rows):
            for f in (0, 1):
                keys.append((client, i, f))
                questions.append(question(sources[f], row, f))
    done = world.run(
        [ringwall, "explain", "-", policy, "--json"], "\n".join(questions) + "\n", "demo"
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    if len(lines) != len(keys):
        raise world.Failure(f"ringwall explain gave {len(lines)} answers to {len(keys)} questions")
    return {
        key: (line["verdict"] == "accept", line["rule"] or WITHOUT_RULE[line["verdict"]])
        for key, line in zip(keys, lines)
    }


def cell(answer):
    return f"{GREEN}open{PLAIN}  " if answer else f"{RED}closed{PLAIN}"


def print_table(before, after, explained):
    """The table; the number of rows that are not as the policy says."""
    n_wrong = n_rows = 0
    print(f"\n{'':36}{BOLD}before          with ringwall{PLAIN}")
    print(f"{BOLD}{'from':<30}{'port':>5} {'IPv4   IPv6':<16}{'IPv4   IPv6':<16}why{PLAIN}")
    for client, (title, sources, rows) in CLIENTS.items():
        print(f"{BOLD}{title}{PLAIN}" + ("" if client == "demo" else f" ({', '.join(sources)})"))
        for i, row in enumerate(rows):
            keys = [(client, i, f) for f in (0, 1)]
            was = " ".join(cell(before[k]) for k in keys)
            is_now = " ".join(cell(after[k]) for k in keys)
            print(f"  {row.what:<28}{row.port:>5} {was}   {is_now}   {explained[keys[0]][1]}")
            wrong = list(mistakes(row, keys, before, after, explained))
            n_wrong += bool(wrong)
            n_rows += 1
            for text in wrong:
                print(f"    {RED}^ NOT AS THE POLICY SAYS: {text}{PLAIN}")
    print()
    return n_rows, n_wrong


def mistakes(row, keys, before, after, explained):
    """Yields what is not as it should be, in words."""
    for family, key in zip(("IPv4", "IPv6"), keys):
        expected = row.answer if row.allowed else None
        word = "allows" if row.allowed else "refuses"
        if before[key] != row.answer:
            yield f"{family}: before, {before[key] or 'nobody'} answered, not {row.answer}"
        if explained[key][0] != row.allowed:
            yield f"{family}: the policy {word} it, ringwall explain says otherwise"
        if after[key] != expected:
            yield f"{family}: the policy {word} it, but {after[key] or 'nobody'} answered"


def main():
    ringwall, policy = os.environ["RINGWALL"], sys.argv[1]

    step(3, "Making a throw-away network: a server, a LAN, the internet, a container")
    servers = world.build()
    step(4, "Connecting from everywhere, before there is any policy")
    before = connect_all()
    step(5, f"Loading {os.path.basename(policy)} into the throw-away server")
    world.run([ringwall, "load", policy], namespace="demo")
    explained = explain_all(ringwall, policy)
    step(6, "Connecting from everywhere again")
    after = connect_all()
    n_rows, n_wrong = print_table(before, after, explained)
    for server in servers:
        server.kill()
    if n_wrong:
        print(f"FAILED: {n_wrong} of {n_rows} rows are not as the policy says.")
        return 1
    print(f"All {n_rows} rows are as the policy says; every cell was a real TCP connection.")
    return 0


try:
    sys.exit(main())
except world.Failure as e:
    print(f"quickstart: {e}", file=sys.stderr)
    sys.exit(1)
