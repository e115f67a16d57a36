# SPDX-License-Identifier: GPL-2.0-or-later
"""What the commands print fits a terminal of 80 columns, whatever names and addresses stand in it."""

import json

import pytest

from daemon import Daemon
from fixtures import world_for
from lab import wait_until
from program import ENVIRONMENT, PROGRAM, ringwall

LONGEST = "2001:db8:1234:5678:9abc:def0:1234:5678/128"
POLICY = """ringwall: 1
zones:
  the-machines-of-the-people-in-the-second-floor: [10.40.10.0/24, "2001:db8:1234:5678:9abc:def0:1234:0/112"]
services:
  something-with-quite-a-long-name-for-a-service: { tcp: 8443 }
inbound:
  - { allow: something-with-quite-a-long-name-for-a-service, from: the-machines-of-the-people-in-the-second-floor }
  - allow: https
protected:
  - { services: [ollama, n8n, postgresql, redis, something-with-quite-a-long-name-for-a-service],
      only-from: the-machines-of-the-people-in-the-second-floor }
expect:
  - { allow: something-with-quite-a-long-name-for-a-service, from: 10.40.10.7 }
"""
REASON = "too many attempts to log in as somebody who has never been on this machine, as its log says"
SHORT = ["ban", "203.0.113.9", "--jail", "sshd", "--source", "fail2ban", "--reason", REASON, "--for", "3h"]

make_world = world_for("module", foreign=None)


@pytest.fixture(name="daemon", scope="module")
def make_daemon(world, tmp_path_factory):
    d = Daemon(world, tmp_path_factory.mktemp("daemon"))
    d.start()
    message = "because the people in the second floor asked for it, and nobody else had said anything"
    assert d.apply(POLICY, "--no-confirm", "-m", message)[0] == 0
    assert d.ask(*SHORT)[0] == 0
    assert d.ask("ban", "2001:db8:77:66::1", "--jail", "recidive", "--source", "fail2ban", "--reason", REASON)[0] == 0
    assert world.reach("lan", "host", 5432, 6) == "dropped"
    wait_until(lambda: d.ask("drops")[1]["drops"], 20, "the refusal")
    yield d
    d.kill()


def shown(daemon, columns, *words):
    """On a terminal, as its user sees it."""
    line = " ".join([PROGRAM, *words, "2>/dev/null; true"])  # messages quote the policy as it is written
    script = ["script", "-qec", f"stty cols {columns}; {line}", "/dev/null"]
    env = {**ENVIRONMENT, "TERM": "dumb", "RINGWALL_RUNTIME_DIR": str(daemon.runtime)}
    return daemon.world.lab.run("fw", script, env=env, text="").stdout.replace("\r", "").splitlines()


def too_wide(lines, columns=80):
    """A word is never broken, nor a rule that is there to be copied."""
    longest = columns - len("in force     ")
    return [
        line
        for line in lines
        if len(line) > columns and "- { allow: " not in line
        and len(line.split()) > 1 and all(len(word) <= longest for word in line.split())
    ]


@pytest.mark.parametrize("columns", [80, 50])
@pytest.mark.parametrize("verb", ["status", "history", "events", "bans", "drops", "exposure", "doctor", "verify", "list"])
def test_no_line_is_wider_than_the_terminal(daemon, verb, columns):
    policy = str(daemon.world.file(POLICY))
    words = {"verify": ["--policy", policy], "exposure": ["--policy", policy], "list": ["zones", policy]}
    lines = shown(daemon, columns, verb, *words.get(verb, []))
    assert len(lines) > 1 and not too_wide(lines, columns), "\n".join(lines)


def test_bans_are_a_table_as_long_as_their_addresses_let_them(daemon):
    head, *rows = shown(daemon, 80, "bans")
    assert head.split() == ["ADDRESS", "AGE", "LEFT", "TIMES", "DROPPED", "BY", "WHY"]
    first = next(row.split() for row in rows if row.startswith("203.0.113.9 "))
    assert first[2] in ("3h", "2h") and first[3] == "1" and first[5:7] == ["sshd,", "fail2ban"]
    assert any(row.startswith("2001:db8:77:66::/64 ") for row in rows)
    assert daemon.ask("ban", LONGEST)[0] == 0
    try:
        lines = shown(daemon, 80, "bans")
        address = lines.index(LONGEST.removesuffix("/128"))
        assert "left ever; times 1; dropped 0; by root" in lines[address + 1]
        assert not too_wide(lines)
    finally:
        assert daemon.ask("unban", LONGEST)[0] == 0


def test_of_one_address_the_moments_are_told(daemon):
    lines = shown(daemon, 80, "bans", "203.0.113.9")
    ban = daemon.ask("bans", "203.0.113.9")[1]["bans"][0]
    text = " ".join(line.strip() for line in lines)
    assert lines[0] == "203.0.113.9" and "since 20" in text and "until 20" in text and REASON in text
    assert (ban["jail"], ban["source"], ban["reason"]) == ("sshd", "fail2ban", REASON)


def test_whatever_a_pipe_gets_is_one_line_each(daemon):
    for verb in ("events", "history"):
        done = ringwall(daemon.world.lab, verb, "--runtime-dir", str(daemon.runtime))
        as_json = ringwall(daemon.world.lab, verb, "--json", "--runtime-dir", str(daemon.runtime)).stdout
        answer = json.loads(as_json.splitlines()[0])
        n = len(as_json.splitlines()) if verb == "events" else 1 + len(answer["entries"])
        assert len(done.stdout.splitlines()) == n
