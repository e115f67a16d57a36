# SPDX-License-Identifier: GPL-2.0-or-later
"""`ringwall allow`, `deny` and `remove` without a daemon: what they write, and what they refuse."""

import fcntl
import json
import os
import re
import subprocess
from datetime import datetime, timedelta

import pytest

from command import ENVIRONMENT, RINGWALL, run

POLICY = """ringwall: 1
zones: { lan: [10.40.10.0/24], vpn: { interfaces: [wg0] } }
inbound:
  - { allow: ssh, from: lan }
protected: [{ services: postgresql }]
"""
HEAD = "ringwall: 1\n\ninbound:\n"


class Rules:
    def __init__(self, folder, text=POLICY):
        self.policy = folder / "policy.yaml"
        self.policy.write_text(text)
        self.policy.chmod(0o644)
        self.path = folder / "policy.d/50-cli.yaml"

    def run(self, *words, namespace=True):
        return run(*words, "--policy", str(self.policy), namespace=namespace)

    def write(self, *words):
        done = self.run(*words, "--no-apply")
        assert done.returncode == 0, done.stderr
        return done.stdout

    def text(self):
        return self.path.read_text() if self.path.exists() else None

    def lines(self):
        return [line.strip() for line in self.text().splitlines() if line.startswith("  - ")]

    def set(self, text):
        self.path.parent.mkdir(exist_ok=True)
        self.path.write_text(text)
        self.path.chmod(0o644)

    def listed(self):
        return json.loads(self.run("remove", "--json").stdout)


@pytest.fixture(name="rules")
def make_rules(tmp_path):
    return Rules(tmp_path)


def test_a_rule_becomes_a_line_of_a_file_that_says_what_it_is(rules):
    said = rules.write("allow", "https", "from", "lan,", "203.0.113.9", "in", "eth0")
    assert "+ allow https from lan, 203.0.113.9 in eth0" in said
    assert "what is in force is as it was" in said
    text = rules.text()
    assert text.startswith("# Rules that `ringwall allow`")
    assert text.endswith(HEAD + "  - { allow: https, from: [lan, 203.0.113.9], in: eth0 }\n")
    assert run("check", str(rules.policy)).returncode == 0
    question = "tcp from 203.0.113.9 to 443 in eth0"
    answer = json.loads(run("explain", question, str(rules.policy), "--json").stdout)
    assert answer["verdict"] == "accept" and answer["file"] == str(rules.path)


def test_the_file_belongs_to_whom_the_policy_does(rules):
    rules.policy.chmod(0o640)
    os.chown(rules.policy, 0, 4)
    rules.write("allow", "https")
    rules.path.chmod(0o600)
    rules.write("allow", "http")
    stat = rules.path.stat()
    assert (stat.st_mode & 0o777, stat.st_uid, stat.st_gid) == (0o600, 0, 4)
    assert os.listdir(rules.path.parent) == ["50-cli.yaml"]


def test_a_time_is_written_as_the_moment_it_ends(rules):
    before = datetime.now().astimezone()
    rules.write("allow", "ssh", "for", "1h30m")
    until = re.search(r'until: "(.*)"', rules.text())[1]
    ends = datetime.fromisoformat(until)
    # in whole seconds, by a clock that may be some milliseconds behind
    left = ends - before - timedelta(hours=1.5)
    assert timedelta(seconds=-2) < left < timedelta(minutes=1)
    assert run("check", str(rules.policy)).stderr == ""


def test_the_same_words_said_again_replace_what_was_said(rules):
    rules.write("allow", "http,https", "from", "lan")
    rules.write("allow", "https, http", "from", "lan", "limit", "10/minute")
    assert rules.lines() == ['- { allow: [https, http], from: lan, limit: 10/minute }']
    said = rules.write("deny", "http", ",", "https", "from", "lan")
    assert "- allow https, http from lan" in said and "+ deny http, https from lan" in said
    assert rules.lines() == ["- { deny: [http, https], from: lan }"]
    text = rules.text()
    assert "says so already" in rules.write("deny", "http,https", "from", "lan")
    assert rules.text() == text


def test_rules_are_removed_by_number_and_by_their_words(rules):
    for service in ("http", "https", "smtp"):
        rules.write("allow", service)
    rules.write("deny", "any", "from", "203.0.113.9", "for", "1h")
    assert [(r["number"], r["rule"].split(" until")[0]) for r in rules.listed()] == [
        (1, "allow http"),
        (2, "allow https"),
        (3, "allow smtp"),
        (4, "deny any from 203.0.113.9"),
    ]
    rules.write("remove", "2")
    rules.write("remove", "deny", "any", "from", "203.0.113.9")
    rules.write("remove", "http")
    assert rules.lines() == ["- { allow: smtp }"]
    rules.write("remove", "1")
    assert rules.text().endswith("\ninbound: []\n") and rules.listed() == []
    assert run("check", str(rules.policy)).returncode == 0
    rules.write("allow", "http")
    assert rules.lines() == ["- { allow: http }"]
    done = rules.run("remove")
    assert done.returncode == 0 and re.search(r"^1 +allow http", done.stdout, re.M)


def test_what_people_wrote_there_is_kept(rules):
    text = (
        "# ours\nringwall: 1 # really\nservices: { printer: 9100/tcp }\ninbound:\n"
        "  # Tom's\n  - { allow: printer, from: lan } # until he moves\n\n  # the rest\n"
    ).replace("9100/tcp", "{ tcp: 9100 }")
    rules.set(text)
    rules.write("allow", "https")
    line = "  - { allow: https }\n"
    assert line in rules.text() and rules.text().replace(line, "") == text
    done = rules.run("remove", "allow", "printer", "from", "lan", "--no-apply")
    assert done.returncode == 1 and "50-cli.yaml:6: allow printer from lan" in done.stderr
    rules.write("remove", "https")
    assert rules.text() == text


@pytest.mark.parametrize(
    "text",
    ["ringwall: 1\ninbound: [{ allow: https }]\n", "ringwall: 1\ninbound: drop\n", "{ ringwall: 1 }\n"],
)
def test_a_file_that_cannot_be_added_to_is_left_alone(rules, text):
    rules.set(text)
    done = rules.run("allow", "http", "--no-apply")
    assert done.returncode in (1, 3) and f"ringwall edit {rules.path}" in done.stderr
    assert rules.text() == text


def test_rules_that_are_over_go_when_the_file_is_written(rules):
    over = '  - { allow: smtp, until: "2020-01-31 18:00:00+00:00" }\n'
    kept = '  - { allow: pop3s, until: "2020-01-31 18:00:00+00:00" } # Tom\n'
    rules.set(HEAD + over + kept)
    assert [r["over"] for r in rules.listed()] == [True]
    said = rules.write("allow", "http")
    assert "- allow smtp until 2020-01-31 18:00:00+00:00 (is over)" in said
    assert rules.text() == HEAD + kept + "  - { allow: http }\n"


@pytest.mark.parametrize(
    "words, code, place, error, hint",
    [
        ("allow shh", 3, 7, "there is no service 'shh'", "did you mean 'ssh'?"),
        ("allow ssh from lna", 3, 16, "there is no zone 'lna'", "did you mean 'lan'?"),
        ("allow http,shh", 3, 12, "there is no service 'shh'", "did you mean 'ssh'?"),
        ("allow ssh from 10.0.0.1/8", 3, 16, "not the network", "10.0.0.0/8?"),
        ("allow 80000/tcp", 3, 7, "80000", None),
        ("allow ollama", 3, 7, "'ollama' never belongs on the internet", "say from where"),
        ("allow any", 3, 7, "would open everything", "say from where"),
        ("allow http limit 5/weeks", 3, 18, "week", None),
        ("deny http limit 5/minute", 3, 17, "'limit' belongs to rules that allow", None),
        ("allow http until tomorrow", 3, 18, "'tomorrow' is not a date", "2030-01-31"),
        ("allow http to vpn", 3, 15, "'to' wants addresses here", "'in' says"),
        ("allow postgresql from lan", 3, None, "postgresql", "only-from"),
        ("allow ssh form lan", 2, 11, "'form' has no place here", "did you mean 'from'?"),
        ("allow 22", 2, 7, "'22' says no protocol", "22/tcp"),
        ("allow http for long", 2, 16, "'long' is not a time", "1h30m"),
        ("deny from lan", 2, 6, "a service or a port is missing here", "deny ssh from lan"),
        ("remove allow from", 2, 14, "a service or a port is missing here", None),
    ],
)
def test_mistakes_are_told_with_their_place_and_nothing_is_written(rules, words, code, place, error, hint):
    done = rules.run(*words.split(" "), "--no-apply")
    assert done.returncode == code
    first = done.stderr.splitlines()[0]
    assert error in done.stderr
    if place:
        assert first.startswith(f"command line:1:{place}: error: "), done.stderr
        assert done.stderr.splitlines()[1] == f"  {words}"
    if hint:
        assert hint in done.stderr
    assert not rules.path.parent.exists()


def test_other_files_mistakes_keep_their_place(rules):
    rules.policy.write_text(POLICY + "outbound: [{ allow: htps }]\n")
    done = rules.run("allow", "http", "--no-apply")
    assert done.returncode == 3 and f"{rules.policy}:6:21: error" in done.stderr
    assert rules.text() is None


@pytest.mark.parametrize("args", [["allow"], ["deny"], ["allow", "ssh", "--nonsense"]])
def test_an_unfit_command_line_is_a_usage_error(args):
    done = run(*args, namespace=True)
    assert done.returncode == 2 and f"Try 'ringwall {args[0]} --help'." in done.stderr


def test_without_a_daemon_nothing_is_written(rules, tmp_path):
    for words in (["allow", "http"], ["deny", "http", "--no-confirm"]):
        done = rules.run(*words, "--runtime-dir", str(tmp_path / "none"))
        assert done.returncode == 5 and "--no-apply" in done.stderr
        assert rules.text() is None
    rules.write("allow", "http")
    text = rules.text()
    assert rules.run("remove", "1", "--runtime-dir", str(tmp_path / "none")).returncode == 5
    assert rules.text() == text


def test_dry_run_shows_the_difference_and_writes_nothing(rules):
    done = rules.run("allow", "http", "--dry-run")
    assert done.returncode == 0 and "nothing was done: --dry-run" in done.stdout
    assert "+ allow http" in done.stdout and "50-cli.yaml:6: allow http" in done.stdout
    assert not rules.path.parent.exists()


def test_without_a_policy_there_is_nothing_to_add_to(tmp_path):
    done = run("allow", "http", "--policy", str(tmp_path / "none/policy.yaml"), "--no-apply", namespace=True)
    assert done.returncode == 3 and "there is no such file" in done.stderr
    assert not (tmp_path / "none").exists()


def test_removing_what_is_not_there_changes_nothing(rules):
    rules.write("allow", "http")
    text = rules.text()
    for words in (["2"], ["https"], ["deny", "http"], ["http", "from", "lan"]):
        done = rules.run("remove", *words, "--no-apply")
        said = "there is no rule 2" if words == ["2"] else "no rule of just these words"
        assert done.returncode == 1 and said in done.stderr
    done = rules.run("remove", "ssh", "from", "lan", "--no-apply")
    assert done.returncode == 1 and "policy.yaml:4: allow ssh from lan" in done.stderr
    assert rules.text() == text


def test_a_rule_of_the_commands_is_not_taken_for_one_of_people(rules):
    rules.write("allow", "http", "from", "203.0.113.9")
    done = rules.run("remove", "http", "--no-apply")
    assert done.returncode == 1 and "people" not in done.stderr
    assert "no rule of just these words" in done.stderr


def test_who_is_changing_the_file_is_named(rules):
    rules.write("allow", "http")
    text = rules.text()
    with open(rules.path, encoding="utf-8") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        done = rules.run("allow", "https", "--no-apply")
    assert done.returncode == 1 and f"{rules.path} is being changed by process {os.getpid()}" in done.stderr
    assert rules.text() == text


def test_many_at_once_lose_no_rule(rules):
    ports = range(4000, 4012)
    words = ["unshare", "-n", RINGWALL, "allow", "--no-apply", "--policy", str(rules.policy)]
    running = [
        subprocess.Popen([*words, f"{port}/tcp"], env=ENVIRONMENT, stdout=subprocess.DEVNULL)
        for port in ports
    ]
    assert [p.wait(timeout=60) for p in running] == [0] * len(ports)
    assert sorted(rules.lines()) == [f"- {{ allow: {port}/tcp }}" for port in ports]


def test_a_link_stays_a_link(rules, tmp_path):
    target = tmp_path / "elsewhere.yaml"
    target.write_text("ringwall: 1\n")
    target.chmod(0o644)
    rules.path.parent.mkdir()
    rules.path.symlink_to(target)
    rules.write("allow", "http")
    assert rules.path.is_symlink() and "{ allow: http }" in target.read_text()
