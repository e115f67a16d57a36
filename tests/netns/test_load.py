# SPDX-License-Identifier: GPL-2.0-or-later
"""load and unload, in a namespace with traffic and with other programs' tables."""

import subprocess
import threading

import pytest

from counters import refused
from fixtures import world_for
from lab import kernel, wait_until
from program import ENVIRONMENT, PROGRAM, ringwall
from talk import exchange
from world import EXAMPLE, NOTHING, World, accept_from, with_inbound

make_world = world_for("function")


def listing(world, *what):
    return world.lab.run("fw", ["nft", "-a", "list", *what]).stdout


def open_connection(world, who, port, family=4):
    outcome, client = world.talk.dial(who, world.address("host", family), port)
    assert outcome == "open"
    return client, accept_from(world, ("fw", port), client)


def test_established_connections_survive_a_stricter_policy(world):
    world.use(EXAMPLE)
    pairs = [
        open_connection(world, who, port, family)
        for who, port in (("lan", 22), ("wan", 443))
        for family in (4, 6)
    ]
    world.use(NOTHING)
    assert all(exchange(*pair) for pair in pairs)
    assert world.reach("lan", "host", 22, 4) == "dropped"


@pytest.mark.parametrize("family", [4, 6])
def test_a_connection_from_before_the_first_load_goes_on_if_the_policy_would_admit_it(
    tmp_path, family
):
    world = World(tmp_path, foreign=None)  # nothing has switched connection tracking on
    try:
        admitted = open_connection(world, "lan", 22, family)
        others = open_connection(world, "wan", 11434, family)
        assert exchange(*admitted) and exchange(*others)
        world.use(EXAMPLE)
        assert exchange(*admitted)
        before = refused(world.lab)[0]
        others[0].sendall(b"still there?")
        wait_until(
            lambda: refused(world.lab)[0] > before, 10, "the drop of a connection in mid-stream"
        )
        others[1].settimeout(0.05)
        with pytest.raises(TimeoutError):
            others[1].recv(100)
        assert exchange(*admitted)
    finally:
        world.close()


def test_loading_the_same_policy_again_changes_nothing(world):
    world.use(EXAMPLE)
    assert world.reach("wan", "host", 22, 4) == "dropped"  # a counter that a reload would reset
    before = listing(world, "ruleset")
    ringwall(world.lab, "load", world.file(EXAMPLE))
    assert listing(world, "ruleset") == before


def test_loading_keeps_foreign_tables_as_they_are(world):
    foreign = lambda: [listing(world, "table", family, "foreign_nat") for family in ("ip", "ip6")]
    before = foreign()
    world.use(EXAMPLE)
    assert foreign() == before
    world.use(NOTHING)
    assert foreign() == before
    world.use(None)
    assert foreign() == before


def test_unload_wants_to_be_sure_and_removes_only_our_table(world):
    others = world.lab.tables()
    world.use(EXAMPLE)
    assert world.lab.tables() - others == {("inet", "ringwall")}
    done = ringwall(world.lab, "unload", check=False)
    assert done.returncode == 2 and "--yes" in done.stderr
    assert world.lab.tables() - others == {("inet", "ringwall")}
    assert world.reach("wan", "host", 22, 4) == "dropped"
    ringwall(world.lab, "unload", "--yes")
    assert world.lab.tables() == others
    assert world.reach("wan", "host", 22, 4) == "open"


def test_a_policy_with_a_mistake_leaves_the_old_one_in_force(world):
    world.use(EXAMPLE)
    before = listing(world, "ruleset")
    done = ringwall(
        world.lab,
        "load",
        world.file(EXAMPLE.replace("allow: https", "allow: htps"), "new.yaml"),
        check=False,
    )
    assert done.returncode == 3 and "htps" in done.stderr
    assert listing(world, "ruleset") == before


def test_load_gives_no_advice_and_proves_what_is_claimed(world):
    covered = world.file(with_inbound("allow: ntp", "{ allow: ntp, from: lan }"))
    assert "covers this one" in ringwall(None, "check", covered).stderr
    assert ringwall(world.lab, "load", covered).stderr == ""
    before = listing(world, "ruleset")
    claim = "expect:\n  - { deny: ntp, from: lan }\n"
    wrong = world.file(with_inbound("allow: ntp") + claim, "wrong.yaml")
    done = ringwall(world.lab, "load", wrong, check=False)
    assert done.returncode == 3 and "does not hold" in done.stderr
    assert listing(world, "ruleset") == before


def test_load_refuses_the_namespace_of_process_1(world):
    """In a namespace of its own, with a process 1 of its own that lives in the same network."""
    script = (
        'test "$$" = 1 || exit 99; ip link set lo up; "$0" load "$1"; echo "exit $?"; '
        "nft list tables; echo end"
    )
    done = world.lab.run(
        "fw",
        ["unshare", "-npf", "--mount-proc", "sh", "-c", script, PROGRAM, world.file(EXAMPLE)],
        check=False,
        env=ENVIRONMENT,
    )
    assert done.stdout == "exit 4\nend\n", done.stdout + done.stderr
    assert "ringwall" not in {name for _, name in world.lab.tables()}


def test_load_needs_the_right_to(world):
    done = world.lab.run(
        "fw",
        [
            "setpriv",
            "--reuid=65534",
            "--clear-groups",
            "--inh-caps=-all",
            PROGRAM,
            "load",
            world.file(EXAMPLE),
        ],
        check=False,
        env=ENVIRONMENT,
    )
    assert done.returncode == 4, done.stderr
    assert ("inet", "ringwall") not in world.lab.tables()


def test_the_live_ruleset_explains_itself_as_the_policy_does(world):
    path = world.file(EXAMPLE)
    world.use(EXAMPLE)
    for question in (
        "tcp from 203.0.113.2 to 203.0.113.1:22 in eth0",
        "tcp from 10.40.10.2 to 10.40.10.1:22 in eth1",
        "tcp from 203.0.113.2 to 203.0.113.1:11434 in eth0",
    ):
        compiled = ringwall(world.lab, "explain", question, path, "--json").stdout
        live = ringwall(world.lab, "explain", question, "--live", "--json").stdout
        assert '"verdict"' in compiled
        verdict = compiled.split('"verdict"')[1].split('"')[1]
        assert live.split('"verdict"')[1].split('"')[1] == verdict


def test_reloading_under_traffic_lets_nothing_wrong_through(world):
    """Two policies take turns while datagrams come in; one port is open in both, one in neither."""
    one, two = (
        with_inbound("{ allow: 7000/udp, from: [lan, vpn] }", *more)
        for more in (
            (),
            ("{ allow: [8000-9000/tcp, 600/udp], from: 10.40.10.0/25 }", "{ deny: 7002/udp }"),
        )
    )
    allowed, denied = (world.talk.receive_on("fw", port) for port in (7000, 7001))
    for s in (allowed, denied):
        s.setblocking(False)
    world.use(one)
    paths = [world.file(one, "one.yaml"), world.file(two, "two.yaml")]
    loads, stop = [], threading.Event()

    def reload():
        while not stop.is_set() or len(loads) < 10:
            done = subprocess.run(
                [PROGRAM, "load", paths[(len(loads) + 1) % 2]],
                env=ENVIRONMENT,
                capture_output=True,
                text=True,
                timeout=30,
            )
            loads.append(done)
            if done.returncode != 0 or len(loads) > 500:
                return

    sent = 0
    with world.lab.inside("lan"):
        from socket import AF_INET, SOCK_DGRAM, socket

        client = world.talk.keep(socket(AF_INET, SOCK_DGRAM))
    with world.lab.inside("fw"):
        thread = threading.Thread(target=reload)
        thread.start()  # a thread inherits the namespace of its maker
    try:
        got = wrong = 0
        while sent < 5000 or len(loads) < 10 and thread.is_alive():
            # a port of its own each time: every datagram is a new connection
            for port in (7000, 7001):
                client.sendto(b"%d" % sent, ("10.40.10.1", port))
            sent += 1
            got, wrong = got + drain(allowed), wrong + drain(denied)
            if sent % 50 == 0:
                client.close()
                with world.lab.inside("lan"):
                    client = world.talk.keep(socket(AF_INET, SOCK_DGRAM))
    finally:
        stop.set()
        thread.join(60)
    assert all(done.returncode == 0 for done in loads), loads[-1].stderr
    assert len(loads) >= 10

    def all_there():
        nonlocal got
        got += drain(allowed)
        return got >= sent

    if kernel() >= (6, 17):
        wait_until(all_there, 10, f"{sent} datagrams to the open port, {got} came")
    else:  # who looks into a set in the moment of a transaction may miss what is in it
        wait_until(lambda: all_there() or sent - got <= len(loads), 10, f"{sent} datagrams, {got} came")
    assert wrong + drain(denied) == 0


def drain(s):
    n = 0
    while True:
        try:
            s.recv(100)
            n += 1
        except BlockingIOError:
            return n
