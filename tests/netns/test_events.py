# SPDX-License-Identifier: GPL-2.0-or-later
"""What happened, as `ringwall events` tells it; and that nobody changes it unnoticed."""

import json
import os
import signal
import subprocess

import pytest

from fixtures import world_for
from lab import wait_until
from program import ENVIRONMENT, PROGRAM, ringwall
from world import EXAMPLE

make_world = world_for("function", foreign=None)


def events(daemon, *words):
    done = ringwall(
        daemon.world.lab, "events", *words, "--json", "--runtime-dir", str(daemon.runtime)
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def check(daemon):
    done = ringwall(
        daemon.world.lab,
        *("events", "--check-chain", "--state-dir", str(daemon.state), "--json"),
        check=False,
    )
    return done.returncode, json.loads(done.stdout)


def kinds(found):
    return [e["kind"] for e in found]


def test_a_change_and_what_others_did_to_it_are_told_in_their_order(world, daemon):
    daemon.start()
    daemon.apply("settings: { ownership: off }\n" + EXAMPLE)
    daemon.ask("confirm")
    world.lab.run("fw", ["nft", "flush ruleset"])
    wait_until(lambda: "healed" in kinds(events(daemon)), 10, "the heal")
    found = events(daemon)
    assert kinds(found)[:2] == ["in-force", "confirmed"]
    assert kinds(found)[-2:] == ["drift", "healed"]
    assert [e["number"] for e in found] == list(range(1, len(found) + 1))
    for event in found[:2]:
        assert "by root: ringwall (process " in event["text"], event["text"]
    assert "ringwall apply" in found[0]["text"] and "ringwall confirm" in found[1]["text"]
    assert "nft flush ruleset" in found[-2]["text"] and "undone after" in found[-1]["text"]
    assert events(daemon, "-n", "1") == found[-1:]
    assert events(daemon, "--since", "1h") == found


def test_they_outlive_the_daemon_and_further_ones_are_waited_for(world, daemon):
    daemon.start()
    daemon.apply(EXAMPLE, "--no-confirm")
    daemon.stop(signal.SIGKILL)
    daemon.start()
    before = events(daemon)
    assert kinds(before).count("in-force") == 2
    words = ["events", "-f", "-n", "1", "--json", "--runtime-dir", str(daemon.runtime)]
    child = world.lab.popen("fw", [PROGRAM, *words], stdout=-1, text=True)
    assert json.loads(child.stdout.readline()) == before[-1]
    daemon.apply(EXAMPLE.replace("https", "ssh"), "--no-confirm")
    assert json.loads(child.stdout.readline())["kind"] == "in-force"
    child.kill()


def start_following(daemon, verb):
    """Its lines go to a file, so that nobody has to read along."""
    argv = [PROGRAM, verb, "-f", "--json", "--runtime-dir", str(daemon.runtime)]
    with open(daemon.folder / "followed", "wb") as out, open(daemon.folder / "said", "wb") as said:
        return daemon.world.lab.popen("fw", argv, stdout=out, stderr=said, env=ENVIRONMENT)


def followed(daemon):
    lines = (daemon.folder / "followed").read_text().splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]


def said(daemon):
    return (daemon.folder / "said").read_text().splitlines()


@pytest.mark.parametrize("verb", ["events", "drops"])
@pytest.mark.parametrize("is_there", [True, False])
def test_whoever_follows_ends_with_who_reads_along(world, daemon, verb, is_there):
    """As `ringwall events -f | head -1` does, although nothing happens any more."""
    daemon.start()
    daemon.apply(EXAMPLE, "--no-confirm")
    argv = [PROGRAM, verb, "-f", "--json", "--runtime-dir", str(daemon.runtime)]
    child = world.lab.popen("fw", argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT)
    if verb == "drops":
        world.reach("wan", "host", 22, 4)
    assert child.stdout.readline()
    if not is_there:
        daemon.stop()
        assert b"waiting for it" in child.stderr.readline()
    child.stdout.close()
    assert child.wait(timeout=20) == 0


def test_events_are_followed_across_restarts_each_once(world, daemon):
    daemon.start()
    daemon.apply(EXAMPLE, "--no-confirm")
    child = start_following(daemon, "events")
    wait_until(lambda: followed(daemon), 20, "the first events")
    for n, number in enumerate((signal.SIGTERM, signal.SIGKILL), 1):
        daemon.stop(number)
        wait_until(lambda n=n: len(said(daemon)) == n, 20, "that it is waited for")
        daemon.start()
        daemon.apply(EXAMPLE.replace("https", f"{n}/tcp"), "--no-confirm")
        last = events(daemon)[-1]
        wait_until(lambda last=last: last in followed(daemon), 20, "what has happened since")
    assert child.poll() is None
    child.send_signal(signal.SIGINT)
    child.wait(timeout=20)
    assert followed(daemon) == events(daemon)
    assert len(said(daemon)) == 2 and all("waiting for it" in line for line in said(daemon))


def test_a_log_that_was_begun_anew_meanwhile_is_followed(world, daemon):
    daemon.start()
    for port in ("https", "ssh", "http"):
        daemon.apply(EXAMPLE.replace("https", port), "--no-confirm")
    child = start_following(daemon, "events")
    wait_until(lambda: len(followed(daemon)) >= 3, 20, "the first events")
    before = events(daemon)
    daemon.stop()
    wait_until(lambda: said(daemon), 20, "that it is waited for")
    for path in daemon.state.glob("events*"):
        path.unlink()
    daemon.start()
    daemon.apply(EXAMPLE, "--no-confirm")
    last = events(daemon)[-1]
    wait_until(lambda: last in followed(daemon), 20, "what stands in the new log")
    assert child.poll() is None
    lines = followed(daemon)
    assert lines[: len(before)] == before and lines[-len(events(daemon)) :] == events(daemon)


def test_refusals_are_followed_across_a_restart(world, daemon):
    daemon.start()
    daemon.apply(EXAMPLE, "--no-confirm")
    child = start_following(daemon, "drops")

    def ports():
        return [drop["port"] for drop in followed(daemon)]

    world.reach("wan", "host", 22, 4)
    wait_until(lambda: ports() == [22], 20, "the first refusal")
    daemon.stop()
    wait_until(lambda: said(daemon), 20, "that it is waited for")
    daemon.start()
    world.reach("wan", "host", 5432, 4)
    wait_until(lambda: ports() == [22, 5432], 20, "the next one")
    assert child.poll() is None and len(said(daemon)) == 1


def test_a_daemon_that_is_not_there_at_first_is_not_waited_for(world, daemon):
    for verb in ("events", "drops"):
        done = ringwall(world.lab, verb, "-f", "--runtime-dir", str(daemon.runtime), check=False)
        assert done.returncode == 5 and "systemctl status ringwalld" in done.stderr


def test_what_is_changed_in_the_log_is_found(world, daemon):
    daemon.start()
    for port in ("https", "ssh", "http"):
        daemon.apply(EXAMPLE.replace("https", port), "--no-confirm")
    code, answer = check(daemon)
    assert code == 0 and answer["whole"] and answer["events"] == answer["last"]
    log = daemon.state / "events"
    text = log.read_bytes()
    lines = text.splitlines(keepends=True)
    for damaged, words in (
        (text.replace(b"change 2", b"change 9"), "it was changed"),
        (b"".join(lines[:2] + lines[3:]), "events are missing"),
        (b"".join(lines[:-1]), "the end was cut off"),
        (b"", "the end was cut off"),
    ):
        log.write_bytes(damaged)
        code, answer = check(daemon)
        assert code == 8 and not answer["whole"] and words in " ".join(answer["wrong"]), answer
    # the daemon says so when it starts, and goes on
    log.write_bytes(b"".join(lines[:-1]))
    daemon.stop()
    daemon.start()
    found = events(daemon)
    assert "in-force" in kinds(found)[kinds(found).index("tampered") :]


def test_a_log_that_cannot_be_written_keeps_nothing_from_coming_into_force(world, daemon):
    daemon.state.mkdir(mode=0o700)
    (daemon.state / "events").mkdir()
    daemon.start()
    assert daemon.apply(EXAMPLE, "--no-confirm")[0] == 0
    assert daemon.status()["state"] == "closed" and events(daemon) == []


def test_wrong_words_are_told(world, daemon):
    chain = "--check-chain"
    for words in (
        ["-n", "0"],
        ["--since", "yesterday"],
        ["more"],
        [chain, "-f"],
        [chain, "-n", "3"],
        [chain, "--since", "1h"],
        ["--state-dir", str(daemon.state)],
    ):
        assert ringwall(world.lab, "events", *words, check=False).returncode == 2
    done = ringwall(world.lab, "events", "--runtime-dir", str(daemon.runtime), check=False)
    assert done.returncode == 5
    done = ringwall(
        world.lab, "events", "--check-chain", "--state-dir", str(daemon.state), check=False
    )
    assert done.returncode == 1 and "no log" in done.stderr


def put(daemon):
    daemon.start()
    daemon.apply("settings: { ownership: off }\n" + EXAMPLE, "--no-confirm")
    return events(daemon)[-1]["number"]


def since(daemon, mark):
    return [(e["kind"], e["text"]) for e in events(daemon) if e["number"] > mark]


def test_what_was_done_while_it_was_stopped_is_told_when_it_is_back(world, daemon):
    mark = put(daemon)
    daemon.stop()
    world.lab.run("fw", ["nft", "flush ruleset"])
    daemon.start()
    told = since(daemon, mark)
    assert [kind for kind, _ in told] == ["note", "in-force", "note", "drift"], told
    assert f"told to by python3 (process {os.getpid()}" in told[0][1] or "pytest" in told[0][1]
    assert "nobody watches" in told[0][1] and "runs again: for" in told[2][1]
    assert "all of them were removed" in told[3][1] and "somebody unknown" in told[3][1]


def test_a_kill_is_told_and_so_is_a_rule_that_came_meanwhile(world, daemon):
    mark = put(daemon)
    daemon.stop(signal.SIGKILL)
    daemon.start()
    told = since(daemon, mark)
    assert [kind for kind, _ in told] == ["in-force", "failure"], told
    assert "was killed" in told[1][1]
    mark = events(daemon)[-1]["number"]
    daemon.stop(signal.SIGKILL)
    world.lab.run("fw", ["nft", "insert rule inet ringwall input tcp dport 5432 accept"])
    daemon.start()
    kind, text = [e for e in since(daemon, mark) if e[0] != "cut"][-1]
    assert kind == "drift" and "'tcp dport 5432 accept' came to input" in text, text


def test_nobody_is_suspected_of_what_an_administrator_did(world, daemon):
    put(daemon)
    assert daemon.ask("panic", "on", "--i-have-console")[0] == 0
    daemon.stop(signal.SIGKILL)
    daemon.start()
    assert daemon.ask("panic", "off")[0] == 0
    assert "drift" not in kinds(events(daemon))
    ringwall(world.lab, "unload", "--yes", "--runtime-dir", str(daemon.runtime))
    mark = events(daemon)[-1]["number"]
    daemon.stop()
    daemon.start()
    assert [kind for kind, _ in since(daemon, mark)] == ["in-force"]
