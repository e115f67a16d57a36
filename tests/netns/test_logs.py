# SPDX-License-Identifier: GPL-2.0-or-later
"""`log` with real packets and a listener."""

import time

import pytest

from conntrack import Conntrack
from nflog import Log
from packets import parse_ip
from talk import exchange, retransmitted
from world import World, accept_from

GROUP = 4780


@pytest.fixture(scope="module", name="world")
def make_world(tmp_path_factory):
    w = World(tmp_path_factory.mktemp("policy"), foreign=None)
    with w.lab.inside("fw"):
        w.conntrack = Conntrack()
    yield w
    w.conntrack.close()
    w.close()


@pytest.fixture(autouse=True)
def afresh(world):
    before = len(world.talk.open_sockets)
    yield
    world.talk.close(before)
    world.use(None)
    world.conntrack.flush()


@pytest.fixture(name="log")
def listen(world):
    with world.lab.inside("fw"):
        log = Log(GROUP)
    yield log
    log.close()


def prefixes(log):
    return [line.prefix for line in log.lines()]


def dial(world, who="lan", port=9000, family=4):
    return world.talk.dial(who, world.address("host", family), port)


def assert_each_refusal_is_a_line(lines, line, client):
    """Of what is dropped each packet is one, and a client repeats its first until it is answered."""
    assert 1 <= len(lines) <= 1 + retransmitted(client) and set(lines) == {line}


POLICY = """ringwall: 1
inbound:
  - { allow: 9000/tcp, log: yes }
  - { allow: 443/tcp, log: WEB, name: the web }
  - { allow: 22/tcp }
  - { deny: 3000/tcp, log: yes }
  - { deny: 5678/tcp, log: n8n/denied }
  - { allow: 7000/udp, log: yes }
"""


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize(
    "port, outcome, line",
    [
        (9000, "open", "allow policy.yaml:3: allow 9000/tcp"),
        (443, "open", "WEB allow policy.yaml:4: the web"),
        (22, "open", None),
        (3000, "dropped", "deny policy.yaml:6: deny 3000/tcp"),
        (5678, "dropped", "n8n/denied deny policy.yaml:7: deny 5678/tcp"),
        (5432, "dropped", None),
    ],
)
def test_a_connection_is_one_line_that_names_the_rule(world, log, port, outcome, line, family):
    world.use(POLICY)
    got, client = dial(world, port=port, family=family)
    assert got == outcome
    if got == "open":
        server = accept_from(world, ("fw", port), client)
        assert exchange(client, server) and exchange(server, client)
    lines = log.lines()
    told = [x.prefix for x in lines]
    if line and outcome == "dropped":
        assert_each_refusal_is_a_line(told, line, client)
    else:
        assert told == ([line] if line else [])
    if line:
        made_by, _, _, to = parse_ip(lines[0].packet)
        assert (made_by, to) == (family, port)


def test_the_verdict_is_the_same_whether_anybody_listens_or_not(world):
    expected = {9000: "open", 443: "open", 3000: "dropped", 5678: "dropped", 5432: "dropped"}
    world.use(POLICY)
    for family in (4, 6):
        assert {p: dial(world, port=p, family=family)[0] for p in expected} == expected


@pytest.mark.parametrize("family", [4, 6])
def test_datagrams_of_one_connection_are_one_line(world, log, family):
    world.use(POLICY)
    server, to = world.talk.receive_on("fw", 7000), world.address("host", family)
    send = lambda port: world.talk.datagram("lan", to, 7000, server, port)
    assert [send(p) for p in (5001, 5001, 5001, 5002, 5001)] == ["arrived"] * 5
    assert prefixes(log) == ["allow policy.yaml:8: allow 7000/udp"] * 2


def test_what_a_limit_refuses_is_not_logged_as_allowed(world, log):
    world.use("ringwall: 1\ninbound: [{ allow: 9000/tcp, limit: 2/day, log: yes }]\n")
    assert [dial(world)[0] for _ in range(4)] == ["open", "open", "dropped", "dropped"]
    assert prefixes(log) == ["allow policy.yaml:2: allow 9000/tcp limit 2/day"] * 2


def test_outbound_and_routed_connections_are_logged_too(world, log):
    world.use(
        "ringwall: 1\n"
        "outbound: { default: reject, log: yes, rules: [{ allow: http, log: OUT }] }\n"
        "routed: { log: yes, rules: [{ allow: http, from: 10.40.10.0/24, log: yes }] }\n"
    )
    assert world.reach("fw", "wan", 80, 4) == "open"
    assert world.reach("fw", "wan", 443, 4) in ("refused", "prohibited")
    assert prefixes(log) == [
        "OUT allow policy.yaml:2: allow http",
        "reject policy.yaml:2: outbound default: reject",
    ]
    assert world.reach("lan", "wan", 80, 4) == "open"
    assert prefixes(log) == ["allow policy.yaml:3: allow http from 10.40.10.0/24"]
    outcome, client = world.talk.dial("lan", world.address("wan", 4), 443)
    assert outcome == "dropped"
    # which no line of the policy says
    assert_each_refusal_is_a_line(prefixes(log), "drop routed default: drop", client)


@pytest.mark.parametrize("default, outcome", [("drop", "dropped"), ("reject", "refused")])
def test_what_the_default_refuses_is_logged_as_often_as_the_section_says(
    world, log, default, outcome
):
    world.use(
        "ringwall: 1\n"
        f"inbound: {{ default: {default}, log: 3/minute, rules: [{{ allow: ssh }}] }}\n"
    )
    begin = time.monotonic()
    assert [dial(world, port=5432)[0] for _ in range(6)] == [outcome] * 6
    assert dial(world, port=22)[0] == "open"
    lines = prefixes(log)
    more = int((time.monotonic() - begin) / 20)  # a slow machine earns another line
    assert 3 <= len(lines) <= 3 + more
    assert set(lines) == {f"{default} policy.yaml:2: inbound default: {default}"}


def test_a_deny_in_a_section_that_rejects_is_logged_and_rejected(world, log):
    world.use("ringwall: 1\ninbound: { default: reject, rules: [{ deny: 3000/tcp, log: yes }] }\n")
    assert dial(world, port=3000)[0] == "refused"
    assert prefixes(log) == ["deny policy.yaml:2: deny 3000/tcp"]


def test_all_rules_together_log_no_more_than_the_settings_say(world, log):
    world.use(
        "ringwall: 1\nsettings: { log-limit: 5/minute }\n"
        "inbound:\n  log: yes\n"
        "  rules: [{ allow: 7000/udp, log: yes }, { deny: 7001/udp, log: yes }]\n"
    )
    server, to = world.talk.receive_on("fw", 7000), world.address("host", 4)
    begin = time.monotonic()
    send = lambda port: world.talk.datagram("lan", to, port, server)
    outcomes = [send(port) for _ in range(4) for port in (7000, 7001, 7002)]
    assert outcomes == ["arrived", "dropped", "dropped"] * 4
    lines = prefixes(log)
    more = int((time.monotonic() - begin) / 12)
    assert 5 <= len(lines) <= 5 + more
    assert {x.split()[0] for x in lines} == {"allow", "deny", "drop"}


def test_what_is_forwarded_to_a_server_is_logged_by_the_rule_that_lets_it_in(world, log):
    world.use(
        "ringwall: 1\nnat: [{ forward: 8080/tcp, to: '172.17.0.2:80' }]\n"
        "inbound: [{ allow: 8080/tcp, log: yes }]\n"
    )
    assert world.reach("wan", "host", 8080, 4) == "open"
    lines = log.lines()
    assert [x.prefix for x in lines] == ["allow policy.yaml:3: allow 8080/tcp"]
    _, _, _, port = parse_ip(lines[0].packet)
    assert port == 80  # where it ends


@pytest.mark.parametrize("out", ["", ", out: docker0"])
def test_a_redirected_connection_of_this_host_is_one_line(world, log, out):
    world.lab.nft(
        "table ip foreign_output { chain OUTPUT { type nat hook output priority -100; "
        "fib daddr type local tcp dport 8090 dnat to 172.17.0.2:80; }; }"
    )
    try:
        world.use(f"ringwall: 1\noutbound: [{{ allow: http, log: yes{out} }}]\n")
        assert world.reach("fw", "host", 8090, 4) == "open"
        assert len(prefixes(log)) == 1
        assert world.reach("fw", "lan", 80, 4) == ("open" if not out else "refused")
        assert len(prefixes(log)) == (1 if not out else 0)
    finally:
        world.lab.nft("delete table ip foreign_output")


def test_a_long_line_is_cut(world, log):
    ports = ", ".join(f"{p}/tcp" for p in range(9000, 9030))
    world.use(f"ringwall: 1\ninbound: [{{ allow: [{ports}], log: {'w' * 32} }}]\n")
    assert dial(world)[0] == "open"
    whole = f"{'w' * 32} allow policy.yaml:2: allow {ports}"
    assert prefixes(log) == [whole[:127]]
