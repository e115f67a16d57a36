# SPDX-License-Identifier: GPL-2.0-or-later
"""What other programs change in the table: noticed, told of with who it was, undone, and what got in
meanwhile cut. Without ownership: with it there is nothing to undo (test_owner.py)."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from daemon import reach
from fixtures import world_for
from lab import wait_until
from program import ringwall
from talk import exchange, is_silent
from world import EXAMPLE, accept_from, with_inbound

RIVAL = str(Path(__file__).with_name("rival.py"))
OFF = "settings: { ownership: off }\n"
CHANGES = {
    "insert rule inet ringwall input tcp dport 22 accept": "tcp dport 22 accept",
    "delete table inet ringwall": "removed",
    "flush ruleset": "removed",
    "flush table inet ringwall": "flushed",
    "flush chain inet ringwall inbound": "gone from inbound",
    "add table inet ringwall { flags dormant; }": "to sleep",
    "delete table inet ringwall; add table inet ringwall { flags dormant; }": "to sleep",
    "add chain inet ringwall input { policy accept; }": "input",
    "add element inet ringwall inbound-tcp { 23 : accept }": "inbound-tcp",
    "add chain inet ringwall another": "another",
}

make_world = world_for("function")


def drift(daemon):
    return daemon.status()["drift"]


def healed(daemon, count):
    wait_until(lambda: drift(daemon)["undone"] >= count, 30, f"heal number {count}")
    status = daemon.status()
    assert status["state"] == "closed" and status["readBack"], daemon.log()
    return status


def test_every_kind_of_change_is_told_of_and_undone(world, daemon):
    daemon.start()
    daemon.apply(OFF + EXAMPLE, "--no-confirm")
    for number, (command, words) in enumerate(CHANGES.items(), start=1):
        world.lab.run("fw", ["nft", command])
        healed(daemon, number)
        assert drift(daemon)["seen"] == number, command
        told = [line for line in daemon.log().splitlines() if "another program changed" in line]
        assert len(told) == number and words in told[-1], (command, told[-1])
        assert reach(world, 22) == "dropped" and reach(world, 443) == "open"
    assert 0 < drift(daemon)["longest"] < 5_000_000


def test_what_comes_behind_a_large_transaction_of_our_own_is_noticed(world, daemon, tmp_path):
    """For which nobody listens: the kernel would take 15 KiB for each of the prefixes."""
    (tmp_path / "many").write_text("".join(f"11.{i // 256}.{i % 256}.0/25\n" for i in range(30000)))
    (tmp_path / "many").chmod(0o644)
    policy = OFF + with_inbound("{ allow: smtp, from: many }").replace(
        "zones:\n", f"zones:\n  many: {{ file: {tmp_path}/many }}\n"
    )
    daemon.start()
    for number in (1, 2):
        code, said = daemon.apply(policy, "--no-confirm")
        assert code == 0, said
        world.lab.run("fw", ["nft", "insert rule inet ringwall input tcp dport 22 accept"])
        healed(daemon, number)
        assert reach(world, 22) == "dropped"
        (tmp_path / "many").write_text("".join(f"11.{i // 256}.{i % 256}.128/25\n" for i in range(30000)))


def test_who_it_was_is_told_or_unknown_but_never_somebody_else(world, daemon):
    daemon.start()
    daemon.apply(OFF + EXAMPLE, "--no-confirm")
    # a process that stays has its arguments told
    nft = world.lab.popen("fw", ["nft", "-i"], stdin=-1, stdout=-1, text=True)
    nft.stdin.write("insert rule inet ringwall input accept\n")
    nft.stdin.flush()
    healed(daemon, 1)
    line = [line for line in daemon.log().splitlines() if "another program changed" in line][-1]
    assert f"by nft (process {nft.pid}: nft -i)" in line, line
    nft.kill()


def drifts(daemon):
    return [line for line in daemon.log().splitlines() if "another program changed" in line]


def test_nobody_is_blamed_for_what_another_did_before_or_after(world, daemon):
    daemon.start()
    daemon.apply(OFF + EXAMPLE, "--no-confirm")
    first, second = (
        world.lab.popen("fw", ["nft", "-i"], stdin=-1, stdout=-3, text=True) for _ in range(2)
    )
    # while nobody looks, both change something
    daemon.process.send_signal(signal.SIGSTOP)
    for child, port in ((first, 1), (second, 2)):
        child.stdin.write(f"insert rule inet ringwall input tcp dport {port} accept\n")
        child.stdin.flush()
        mark = f"dport {port} "
        listed = lambda: world.lab.run("fw", ["nft", "list", "chain", "inet", "ringwall", "input"]).stdout
        wait_until(lambda: mark in listed(), 10, "the rule")
    daemon.process.send_signal(signal.SIGCONT)
    healed(daemon, 1)
    (line,) = drifts(daemon)
    assert f"process {first.pid}" in line and f"process {second.pid}" in line, line
    # and then one alone
    second.stdin.write("insert rule inet ringwall input tcp dport 3 accept\n")
    second.stdin.flush()
    healed(daemon, 2)
    line = drifts(daemon)[-1]
    assert f"process {first.pid}" not in line and f"process {second.pid}" in line, line
    for child in (first, second):
        child.kill()


def test_changes_to_other_tables_are_no_drift(world, daemon):
    daemon.start()
    daemon.apply(OFF + EXAMPLE, "--no-confirm")
    world.lab.nft("table inet other { chain c { type filter hook input priority 0; accept; }; }")
    world.lab.nft("table ip ringwall { chain c { type filter hook input priority 0; accept; }; }")
    world.lab.run("fw", ["nft", "insert rule inet ringwall input accept"])
    healed(daemon, 1)
    assert drift(daemon)["seen"] == 1 and ("inet", "other") in world.lab.tables()


def test_connections_that_were_won_meanwhile_are_cut(world, daemon):
    daemon.start()
    daemon.apply(OFF + EXAMPLE, "--no-confirm")
    daemon.process.send_signal(signal.SIGSTOP)  # as long as it looks away, the gap is open
    world.lab.run("fw", ["nft", "flush ruleset"])
    pairs = {}
    for port in (22, 443):
        outcome, client = world.talk.dial("wan", world.address("host", 4), port)
        assert outcome == "open"
        pairs[port] = (client, accept_from(world, ("fw", port), client))
        assert exchange(*pairs[port])
    with world.lab.inside("fw"):
        server = world.talk.keep(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        server.bind(("0.0.0.0", 999))
        server.settimeout(2)
    with world.lab.inside("wan"):
        client = world.talk.keep(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        client.connect((world.address("host", 4), 999))
    client.send(b"one")
    peer = server.recvfrom(100)[1]
    server.sendto(b"two", peer)
    assert client.recv(100) == b"two"
    daemon.process.send_signal(signal.SIGCONT)
    healed(daemon, 1)
    assert exchange(*pairs[443])
    # the server speaks first, then the client
    assert is_silent(pairs[22][1], pairs[22][0])
    assert is_silent(*pairs[22])
    client.settimeout(0.3)
    with pytest.raises((TimeoutError, OSError)):
        server.sendto(b"three", peer)
        client.recv(100)
    client.send(b"four")
    server.settimeout(0.3)
    with pytest.raises(TimeoutError):
        server.recv(100)


def test_who_wants_to_watch_only_is_told_once(world, daemon):
    daemon.start()
    daemon.apply("settings: { ownership: off, drift: alert }\n" + EXAMPLE, "--no-confirm")
    world.lab.run("fw", ["nft", "insert rule inet ringwall input tcp dport 22 accept"])
    wait_until(lambda: drift(daemon)["seen"] == 1, 10, "the change")
    world.lab.run("fw", ["nft", "add chain inet ringwall another"])
    assert daemon.status()["state"] == "changed" and reach(world, 22) == "open"
    assert daemon.log().count("another program changed") == 1
    # put right by hand, and changed again
    daemon.apply("settings: { ownership: off, drift: alert }\n# again\n" + EXAMPLE, "--no-confirm")
    assert daemon.status()["state"] == "closed"
    world.lab.run("fw", ["nft", "insert rule inet ringwall input tcp dport 22 accept"])
    wait_until(lambda: daemon.log().count("another program changed") == 2, 10, "the second alert")


def feed(rival, pause):
    """0.01: faster than they are undone, and not so fast that nothing can be read."""
    try:
        while True:
            rival.stdin.write("insert rule inet ringwall input accept\n")
            rival.stdin.flush()
            time.sleep(pause)
    except OSError:
        pass


@contextlib.contextmanager
def rival_of(world, pause):
    rival = world.lab.popen("fw", ["nft", "-i"], stdin=-1, stdout=-3, text=True)
    threading.Thread(target=feed, args=(rival, pause), daemon=True).start()
    try:
        yield rival
    finally:
        rival.kill()
        rival.wait()


def busy(daemon):
    """Seconds of processors so far."""
    with open(f"/proc/{daemon.process.pid}/schedstat", encoding="ascii") as f:
        return int(f.read().split()[0]) / 1e9


def is_listed(world, text):
    listed = world.lab.run("fw", ["nft", "list", "table", "inet", "ringwall_shut"], check=False)
    return text in listed.stdout


def is_owned(world):
    return is_listed(world, "flags owner")


def reach_shut(world, daemon, port):
    """As reach(), while the host is shut: where the others are slow it is opened now and then, and shut again."""
    ended = "the other program has stopped"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        before = daemon.log().count(ended)
        if drift(daemon)["shut"]:
            outcome = reach(world, port)
            # the answer comes after the end of the siege was told
            if drift(daemon)["shut"] and daemon.log().count(ended) == before:
                return outcome
    raise AssertionError("it is never shut for as long as a connection takes")


def is_calm(world, daemon):
    """After the last of the changes: as before."""
    wait_until(lambda: not drift(daemon)["shut"] and daemon.status()["state"] == "closed", 30, "calm")
    assert daemon.status()["readBack"] and ("inet", "ringwall_shut") not in world.lab.tables()
    assert reach(world, 22) == "dropped" and reach(world, 443) == "open"
    found = drift(daemon)
    assert found["undone"] == found["seen"]
    # those that had to wait are told of like the others, or counted
    told = daemon.log().count("another program changed the rules")
    untold = sum(int(line.split(" times before")[0].split()[-1]) for line in drifts(daemon) if "times before" in line)
    assert told + untold <= found["seen"] and daemon.log().count("undone after") <= told


def test_two_that_undo_each_others_changes_do_not_spin(world, daemon):
    daemon.start()
    daemon.apply(OFF + EXAMPLE, "--no-confirm")
    with rival_of(world, 0.01):
        wait_until(lambda: drift(daemon)["seen"] > 5, 60, "heals")
        before = time.monotonic(), busy(daemon)
        wait_until(lambda: time.monotonic() > before[0] + 3, 60, "three seconds")
        part = (busy(daemon) - before[1]) / (time.monotonic() - before[0])
    assert part < 0.85, "of a processor"
    is_calm(world, daemon)


def test_what_a_change_keeps_until_it_is_confirmed_a_heal_does_not_cut(world, daemon):
    daemon.start()
    daemon.apply(OFF + EXAMPLE, "--no-confirm")
    outcome, client = world.talk.dial("wan", world.address("host", 4), 443)
    assert outcome == "open"
    pair = client, accept_from(world, ("fw", 443), client)
    assert daemon.apply(OFF + EXAMPLE.replace("allow: https", "deny: https"))[0] == 9
    world.lab.run("fw", ["nft", "insert rule inet ringwall input accept"])
    healed(daemon, 1)
    assert exchange(*pair)
    assert daemon.ask("confirm")[0] == 0
    assert is_silent(*pair)


@pytest.mark.parametrize("command", ["flush ruleset", "insert rule inet ringwall input accept"])
def test_one_that_changes_them_without_end_holds_nothing_open(world, daemon, command):
    """The rules stand in a table of the daemon's own until it ends; then nothing is left of either."""
    daemon.start()
    daemon.apply(OFF + EXAMPLE, "--no-confirm")
    outcome, client = world.talk.dial("wan", world.address("host", 4), 443)
    assert outcome == "open"
    pair = client, accept_from(world, ("fw", 443), client)
    loop = ["sh", "-c", f"while :; do nft '{command}'; done"]
    rivals = [world.lab.popen("fw", loop, stdout=-3, stderr=-3) for _ in range(2)]
    wait_until(lambda: drift(daemon)["shut"], 60, "that the host is shut")
    if is_owned(world):
        assert "until it stops, they stand in a table that nobody else can change" in daemon.log()
        for _ in range(3):
            assert reach_shut(world, daemon, 22) != "open"
        wait_until(lambda: answers_shut(world, daemon, 443), 60, "whoever is admitted")
        assert world.lab.run("fw", ["nft", "delete table inet ringwall_shut"], check=False).returncode
    else:
        assert "until it stops, nothing comes in" in daemon.log()
    assert exchange(*pair)  # what was open and is admitted goes on
    for rival in rivals:
        rival.kill()
        rival.wait()
    is_calm(world, daemon)
    assert exchange(*pair)
    # the next one is an ordinary one
    count = drift(daemon)["undone"]
    world.lab.run("fw", ["nft", "insert rule inet ringwall input tcp dport 22 accept"])
    healed(daemon, count + 1)


def answers(world, port):
    """Within half a second."""
    with world.lab.inside("wan"), socket.socket(socket.AF_INET, socket.SOCK_STREAM) as s:
        s.settimeout(0.5)
        return s.connect_ex((world.address("host", 4), port)) == 0


def answers_shut(world, daemon, port):
    """While the host is shut, from beginning to end of that."""
    before = drift(daemon)
    found = before["kept"] and answers(world, port)
    after = drift(daemon)
    return found and after["kept"] and after["times"] == before["times"]


@pytest.mark.parametrize("beside", [False, True], ids=["the table", "the one that shuts, too"])
def test_one_that_makes_the_table_its_own_holds_nothing_open(world, daemon, beside):
    """A program can own it that nobody else does, and then nothing can be put right."""
    daemon.start()
    daemon.apply(OFF + EXAMPLE, "--no-confirm")
    names = ["ringwall_shut"] * beside + ["ringwall"]
    words = [sys.executable, RIVAL, "squat", *names]
    rival = world.lab.popen("fw", words, stdout=subprocess.PIPE, text=True)
    assert rival.stdout.readline() == "squats\n"
    wait_until(lambda: drift(daemon)["shut"], 30, "that the host is shut")
    assert daemon.status()["state"] == "taken"
    wait_until(lambda: answers_shut(world, daemon, 443), 20, "whoever is admitted")
    assert not answers(world, 22)
    wait_until(lambda: "could not be put right" in daemon.log(), 20, "that it is told")
    told = drifts(daemon)
    assert len(told) == 1 and f"process {rival.pid}:" in told[0], told
    # what cannot be put in force is refused, and takes nothing of what was confirmed away
    code, said = daemon.apply(OFF + with_inbound("{ allow: ssh }"), "--no-confirm")
    assert code == 6 and "another program owns the table" in str(said), said
    code, said = daemon.ask("rollback", "1")
    assert code == 6 and "another program owns the table" in str(said), said
    rival.kill()
    rival.wait()
    is_calm(world, daemon)
    assert daemon.log().count("could not be put right") == 1, "it is told once"
    assert not any("ringwall_shut" in name for _, name in world.lab.tables())


def test_one_that_took_the_table_while_it_was_dead_holds_nothing_open(world, daemon):
    daemon.start()
    daemon.apply(OFF + EXAMPLE, "--no-confirm")
    daemon.stop(signal.SIGKILL)
    words = [sys.executable, RIVAL, "squat", "ringwall_shut", "ringwall"]
    rival = world.lab.popen("fw", words, stdout=subprocess.PIPE, text=True)
    assert rival.stdout.readline() == "squats\n" and reach(world, 22) == "open"
    daemon.start()
    status = daemon.status()
    assert status["state"] == "taken" and status["drift"]["shut"]
    wait_until(lambda: answers_shut(world, daemon, 443), 20, "whoever is admitted")
    assert not answers(world, 22)
    assert "what was confirmed is not in force" in daemon.log()
    assert "in force: change" not in daemon.log().split("what was confirmed")[1]
    rival.kill()
    rival.wait()
    is_calm(world, daemon)


@contextlib.contextmanager
def table_taken(world, daemon, until="kept"):
    """Another program owns it, so that nothing there can be put right, for as long as this takes."""
    words = [sys.executable, RIVAL, "squat", "ringwall"]
    rival = world.lab.popen("fw", words, stdout=subprocess.PIPE, text=True)
    try:
        assert rival.stdout.readline() == "squats\n"
        wait_until(lambda: drift(daemon)[until], 30, "that the host is shut")
        yield
    finally:
        rival.kill()
        rival.wait()
    wait_until(lambda: not drift(daemon)["shut"], 30, "calm")



def test_where_the_rules_stand_meanwhile_they_follow_what_should_be_in_force(world, daemon):
    """A network that comes and goes, a change that nobody has confirmed, and a panic."""
    daemon.start()
    here = "  - allow: https\n  - { allow: 9000/tcp, from: here }\n"
    text = EXAMPLE.replace("  - allow: https\n", here).replace("zones:\n", "zones:\n  here: { connected: eth0 }\n")
    daemon.apply(OFF + text, "--no-confirm")
    address = lambda verb: world.lab.ip("fw", f"addr {verb} 198.51.100.1/24 dev eth0\n")
    world.lab.ip("wan", "addr add 198.51.100.2/24 dev eth0\n")
    near = lambda: world.talk.reach("wan", "198.51.100.1", 9000, "198.51.100.2") == "open"
    with table_taken(world, daemon):
        for port in (443, 9000):
            wait_until(lambda p=port: answers_shut(world, daemon, p), 20, "whoever is admitted")
        assert not answers(world, 22)
        said = ringwall(world.lab, "status", "--runtime-dir", str(daemon.runtime)).stdout
        assert "they stand in one that nobody else can change" in said.replace("\n", " ")
        address("add")
        wait_until(near, 20, "that the new network is admitted")
        address("del")
        wait_until(lambda: not is_listed(world, "198.51.100."), 20, "that it is not any more")
        assert daemon.ask("panic", "on")[0] == 0
        assert not answers(world, 443)
        assert daemon.ask("panic", "off")[0] == 6 and not answers(world, 443)
    assert daemon.status()["state"] == "panic" and daemon.ask("panic", "off")[0] == 0
    is_calm(world, daemon)


def test_what_nobody_has_confirmed_does_not_stand_elsewhere(world, daemon):
    """It might have to be undone."""
    daemon.start()
    daemon.apply(OFF + EXAMPLE, "--no-confirm")
    assert daemon.apply(OFF + with_inbound("{ allow: ssh }"))[0] == 9
    with table_taken(world, daemon, "shut"):
        assert not answers(world, 443) and not answers(world, 22)
        assert daemon.ask("confirm")[0] == 0
        for port in (443, 22):
            wait_until(lambda p=port: answers_shut(world, daemon, p), 20, "whoever is admitted")
    wait_until(lambda: daemon.status()["state"] == "closed", 20, "the end")


def test_where_somebody_is_banned_nobody_comes_in_meanwhile(world, daemon):
    """Bans are no part of the rules, and may be taken away as well."""
    daemon.start()
    daemon.apply(OFF + EXAMPLE, "--no-confirm")
    with table_taken(world, daemon):
        wait_until(lambda: answers_shut(world, daemon, 443), 20, "whoever is admitted")
        assert daemon.ask("ban", "198.51.100.7")[0] == 0
        assert not drift(daemon)["kept"] and not answers(world, 443)
        assert daemon.ask("unban", "198.51.100.7")[0] == 0
        wait_until(lambda: answers_shut(world, daemon, 443), 20, "that it is admitted again")
    is_calm(world, daemon)


def test_what_shuts_the_host_does_not_outlive_what_it_was_for(world, daemon):
    """`unload` opens the host, whatever else there is."""
    daemon.start()
    daemon.apply(OFF + EXAMPLE, "--no-confirm")
    loop = ["sh", "-c", "while :; do nft flush ruleset; done"]
    rivals = [world.lab.popen("fw", loop, stdout=-3, stderr=-3) for _ in range(2)]
    wait_until(lambda: drift(daemon)["shut"], 60, "that the host is shut")
    ringwall(world.lab, "unload", "--yes", "--runtime-dir", str(daemon.runtime))
    for rival in rivals:
        rival.kill()
        rival.wait()
    wait_until(lambda: ("inet", "ringwall_shut") not in world.lab.tables(), 20, "that it is gone")
    assert reach(world, 22) == "open"


def test_a_storm_of_foreign_changes_hides_none_of_ours(world, daemon):
    daemon.start()
    daemon.apply(OFF + EXAMPLE, "--no-confirm")
    # as long as anybody listens, the kernel holds a page for each element until the commit is over
    many = 60_000 if os.sysconf("SC_PHYS_PAGES") > 2 * 60_000 * 5 else 10_000
    elements = ", ".join(f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}" for i in range(many))
    daemon.process.send_signal(signal.SIGSTOP)
    world.lab.nft(
        "add table inet storm\nadd set inet storm s { type ipv4_addr; }\n"
        f"add element inet storm s {{ {elements} }}\n"
    )
    for _ in range(5):
        world.lab.nft(f"flush set inet storm s\nadd element inet storm s {{ {elements} }}\n")
    world.lab.run("fw", ["nft", "insert rule inet ringwall input tcp dport 22 accept"])
    assert reach(world, 22) == "open"
    daemon.process.send_signal(signal.SIGCONT)
    healed(daemon, 1)
    assert reach(world, 22) == "dropped"


def test_noticed_and_healed_when_killed_meanwhile(world, daemon):
    daemon.start()
    daemon.apply(OFF + EXAMPLE, "--no-confirm")
    daemon.stop(signal.SIGKILL)
    world.lab.run("fw", ["nft", "flush ruleset"])
    daemon.start()
    assert daemon.status()["state"] == "closed" and reach(world, 22) == "dropped"
