# SPDX-License-Identifier: GPL-2.0-or-later
"""`ringwall panic`: everything closed at once but the rescue path, until it is taken back."""

import json
import signal
import socket

from daemon import QUICK, reach
from fixtures import world_for
from lab import wait_until
from program import ringwall
from talk import exchange, is_silent
from world import EXAMPLE, accept_from, with_inbound

RESCUE = "settings: { rescue: lan, confirm: 10s }\n"

make_world = world_for("function")


def closed(world):
    """But for rescue, which comes from the LAN, to sshd alone."""
    return (
        reach(world, 443) == "dropped"
        and reach(world, 22) == "dropped"
        and world.reach("lan", "host", 22, 4) == "open"
        and world.reach("lan", "host", 443, 4) == "dropped"
    )


def test_everything_is_cut_and_comes_back(world, daemon):
    daemon.start()
    daemon.apply(RESCUE + EXAMPLE, "--no-confirm")
    outcome, client = world.talk.dial("wan", world.address("host", 4), 443)
    server = accept_from(world, ("fw", 443), client)
    assert outcome == "open" and exchange(client, server)
    code, answer = daemon.ask("panic", "on")
    assert code == 0 and answer["on"] and answer["cut"] >= 1
    assert closed(world)
    assert is_silent(server, client)
    assert is_silent(client, server)
    status = daemon.status()
    assert status["state"] == "panic" and status["panic"]["seconds"] == 0 and status["readBack"]
    daemon.ask("panic", "on", "--for", "1h")
    code, answer = daemon.ask("panic", "off")
    assert code == 0 and not answer["on"]
    told = [line for line in daemon.log().splitlines() if line[3:].startswith("panic")]
    first, again, over = told
    # who it was, by what the kernel says of them
    assert all("by root: ringwall (process " in line for line in told), told
    assert "it ends on demand" in first and "panic was on already" in again and "panic off" in over
    assert "it ends in 3" in again
    assert reach(world, 443) == "open" and reach(world, 22) == "dropped"
    assert daemon.status()["state"] == "closed" and "panic" not in daemon.status()
    assert daemon.ask("panic", "off")[0] == 0


def test_neither_death_nor_a_boot_ends_it(world, daemon):
    daemon.start()
    daemon.apply(RESCUE + EXAMPLE, "--no-confirm")
    daemon.ask("panic", "on")
    since = daemon.status()["since"]
    for reboots in (False, True):
        daemon.stop(signal.SIGKILL)
        assert closed(world)
        if reboots:
            world.lab.nft("flush ruleset")
        daemon.start()
        assert daemon.status()["state"] == "panic" and closed(world)
        assert abs(daemon.status()["since"] - since) < 5_000_000
    daemon.ask("panic", "off")
    daemon.stop()
    daemon.start()
    assert daemon.status()["state"] == "closed" and reach(world, 443) == "open"


def test_it_ends_by_itself_when_its_time_is_up(world, daemon):
    daemon.start()
    daemon.apply(RESCUE + EXAMPLE, "--no-confirm")
    code, said = daemon.ask("panic", "on", "--for", "366d")
    assert code == 2 and "at most 365d" in said and daemon.status()["state"] == "closed"
    code, _ = daemon.ask("panic", "on", "--for", "4s")
    assert code == 0 and 0 < daemon.status()["panic"]["seconds"] <= 4 and closed(world)
    daemon.stop(signal.SIGKILL)
    daemon.start()
    wait_until(lambda: daemon.status()["state"] == "closed", 20, "the end")
    assert reach(world, 443) == "open"
    # and if nobody was there when it was
    daemon.ask("panic", "on", "--for", "1s")
    daemon.stop(signal.SIGKILL)
    path = daemon.state / "panic"
    if path.exists():
        path.write_text("1000000 1000000\n")
    daemon.start()
    assert daemon.status()["state"] == "closed" and not path.exists()


def test_a_damaged_file_stands_for_a_panic_without_an_end(world, daemon):
    daemon.start()
    daemon.apply(RESCUE + EXAMPLE, "--no-confirm")
    daemon.stop()
    (daemon.state / "panic").write_text("\0\1 what")
    daemon.start()
    assert daemon.status()["state"] == "panic" and closed(world)


def test_nothing_is_changed_meanwhile_and_an_unconfirmed_change_is_undone(world, daemon):
    daemon.start()
    daemon.apply(RESCUE + EXAMPLE, "--no-confirm")
    assert daemon.apply(RESCUE + with_inbound("{ allow: ssh }"))[0] == 9
    daemon.ask("panic", "on")
    for words in (["confirm"], ["rollback"], ["apply", str(world.file(QUICK + EXAMPLE))]):
        code, said = daemon.ask(*words)
        assert code == 1 and "panic is on" in str(said)
    done = ringwall(
        world.lab, "unload", "--yes", "--runtime-dir", str(daemon.runtime), check=False
    )
    assert done.returncode == 1 and "panic is on" in done.stderr
    wait_until(lambda: "pending" not in daemon.status(), 30, "that it is undone")
    assert daemon.status()["state"] == "panic" and closed(world)
    daemon.ask("panic", "off")
    assert reach(world, 443) == "open" and reach(world, 22) == "dropped"


def test_what_others_change_is_undone_in_a_panic_too(world, daemon):
    daemon.start()
    daemon.apply("settings: { rescue: lan, ownership: off }\n" + EXAMPLE, "--no-confirm")
    daemon.ask("panic", "on")
    world.lab.run("fw", ["nft", "flush ruleset"])
    wait_until(lambda: daemon.status()["drift"]["undone"] > 0, 10, "the heal")
    assert closed(world)


def test_what_was_won_while_it_was_dead_in_a_panic_is_cut(world, daemon):
    daemon.start()
    daemon.apply("settings: { rescue: lan, ownership: off }\n" + EXAMPLE, "--no-confirm")
    daemon.ask("panic", "on")
    daemon.stop(signal.SIGKILL)
    world.lab.run("fw", ["nft", "delete table inet ringwall"])
    outcome, client = world.talk.dial("wan", world.address("host", 4), 443)
    server = accept_from(world, ("fw", 443), client)
    assert outcome == "open" and exchange(client, server)
    daemon.start()
    assert closed(world)
    assert is_silent(server, client)
    assert is_silent(client, server)


def alerts(daemon):
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(10)
        s.connect(str(daemon.runtime / "io.ringwall"))
        s.send(b'{"method":"io.ringwall.Alerts"}\0')
        return json.loads(s.recv(4096).rstrip(b"\0"))["parameters"]


def test_started_in_a_panic_it_knows_whose_the_rules_are_and_who_is_told(world, daemon):
    daemon.start()
    settings = 'rescue: lan, ownership: off, alerts: { webhook: "https://example.org/x" }'
    daemon.apply(f"settings: {{ {settings} }}\n" + EXAMPLE, "--no-confirm")
    daemon.ask("panic", "on")
    daemon.stop(signal.SIGKILL)
    world.lab.run("fw", ["nft", "flush ruleset"])
    daemon.start()
    assert closed(world) and not daemon.status()["owned"]
    assert alerts(daemon) == {"webhook": "https://example.org/x"}
    world.lab.run("fw", ["nft", "insert rule inet ringwall input accept"])
    wait_until(lambda: daemon.status()["drift"]["undone"] > 0, 20, "the heal")
    assert closed(world)


def say(world, daemon, *words):
    return ringwall(world.lab, *words, "--runtime-dir", str(daemon.runtime)).stdout


def test_it_says_when_it_ends_and_what_is_in_force_then(world, daemon):
    daemon.start()
    assert "a console alone is left" in say(world, daemon, "panic", "on", "--for", "1h")
    assert ", for another " in say(world, daemon, "status")
    assert "this host is open" in say(world, daemon, "panic", "off")
    daemon.apply(RESCUE + EXAMPLE, "--no-confirm")
    assert "console" not in say(world, daemon, "panic", "on")
    assert ", for another " not in say(world, daemon, "status")
    assert "what the policy says is in force" in say(world, daemon, "panic", "off")


def test_before_anything_was_confirmed_it_closes_and_opens_again(world, daemon):
    daemon.start()
    assert daemon.ask("panic", "on")[0] == 0
    assert reach(world, 443) == "dropped" and daemon.status()["state"] == "panic"
    daemon.stop(signal.SIGKILL)
    world.lab.nft("flush ruleset")
    daemon.start()
    assert reach(world, 443) == "dropped"
    daemon.ask("panic", "off")
    assert reach(world, 443) == "open" and daemon.status()["state"] == "unarmed"


def test_wrong_words_are_told(world):
    for words in ([], ["of"], ["on", "off"], ["on", "--for", "ever"], ["off", "--for", "1h"]):
        assert ringwall(world.lab, "panic", *words, check=False).returncode == 2
