# SPDX-License-Identifier: GPL-2.0-or-later
"""A command that fails although programs wait for its answer: they get one object, people the same in words."""

import json
import re

import pytest

from command import POLICY, run, verbs

INVALID = "ringwall: 1\ninbound:\n  - { allow: shh }\n"
NO_DAEMON = ["--runtime-dir", "/nonexistent"]
NO_POLICY = ["--policy", "/nonexistent.yaml"]

# Verb → what it is asked beside --json, and how that ends. FILE is a policy that is not valid.
FAILURES = {
    "show": (["FILE"], 3),
    "explain": (["tcp from 10.0.0.1 to 22", "FILE"], 3),
    "list": (["zones", "FILE"], 3),
    "verify": (["--policy", "FILE"], 3),
    "exposure": (["--policy", "FILE"], 3),
    "diff": ([POLICY, "FILE"], 3),
    "plan": (["FILE"], 3),
    "apply": (NO_DAEMON, 5),
    "confirm": (NO_DAEMON, 5),
    "rollback": (NO_DAEMON, 5),
    "allow": (["ssh", *NO_POLICY, *NO_DAEMON], 5),
    "deny": (["ssh", *NO_POLICY, *NO_DAEMON], 5),
    "remove": (["7", *NO_POLICY, *NO_DAEMON], 1),
    "status": (NO_DAEMON, 5),
    "history": (NO_DAEMON, 5),
    "events": (NO_DAEMON, 5),
    "drops": (NO_DAEMON, 5),
    "ban": (["203.0.113.9", *NO_DAEMON], 5),
    "unban": (["203.0.113.9", *NO_DAEMON], 5),
    "bans": (NO_DAEMON, 5),
    "panic": (["on", *NO_DAEMON], 5),
    "takeover": ([], 4),  # in a network namespace that is not the host's
    "reload": (NO_DAEMON, 5),
}
# Those whose one object is the answer also when they fail: about the policy, about this host.
ANSWERS = {"check", "doctor"}


def takes_json(verb):
    return re.search(r"^ +--json", run(verb, "--help").stdout, re.M) is not None


def only_object(result):
    assert result.stdout.count("\n") == 1, result.stdout
    return json.loads(result.stdout)


def test_the_table_has_every_command_that_takes_json():
    assert {verb for verb in verbs() if takes_json(verb)} == FAILURES.keys() | ANSWERS


@pytest.mark.parametrize("verb", FAILURES)
def test_a_failure_is_one_object_that_says_what_people_read(verb, policy):
    words, code = FAILURES[verb]
    file = policy(INVALID)
    words = [file if word == "FILE" else word for word in words]
    result = run(verb, *words, "--json", namespace=True)
    assert result.returncode == code, result.stderr
    error = only_object(result)["error"]
    assert (error["command"], error["exit"]) == (verb, code)
    assert error["message"] in result.stderr
    assert error.get("hint", "") in result.stderr
    assert error["messages"][0]["message"] == error["message"]
    if code == 3 and file in words:
        assert [error[key] for key in ("file", "line", "column", "hint")] == [file, 3, 14, "did you mean 'ssh'?"]


@pytest.mark.parametrize("verb", [*FAILURES, *sorted(ANSWERS)])
def test_a_command_line_that_is_wrong_is_one_object(verb):
    result = run(verb, "--json", "--no-such-option")
    assert result.returncode == 2
    error = only_object(result)["error"]
    assert error == {
        "command": verb,
        "exit": 2,
        "message": "the command line is wrong at --no-such-option",
        "hint": f"ringwall {verb} --help",
        "messages": [{"severity": "error", "message": "the command line is wrong at --no-such-option",
                      "hint": f"ringwall {verb} --help"}],
    }  # fmt: skip
    assert "--no-such-option" in result.stderr


def test_no_command_is_one_object_too():
    result = run("statsu", "--json")
    assert result.returncode == 2
    assert only_object(result)["error"]["message"] == "there is no command 'statsu'"
    assert "Did you mean 'ringwall status'?" in result.stderr


@pytest.mark.parametrize("verb", FAILURES)
def test_without_json_standard_output_stays_empty(verb, policy):
    words, code = FAILURES[verb]
    file = policy(INVALID)
    result = run(verb, *[file if word == "FILE" else word for word in words], namespace=True)
    assert (result.returncode, result.stdout) == (code, "")


def test_check_says_what_it_could_not_read_as_an_error_and_not_as_a_policy(policy):
    result = run("check", policy("ringwall: 1\n"), "--stop-after=nothing", "--json")
    assert result.returncode == 2
    assert only_object(result)["error"]["message"].startswith("there is no pass 'nothing'; the passes are: lower, ")


def test_a_word_that_is_no_text_is_told_without_it():
    result = run("status", b"\xff\xfe", "--json")
    assert result.returncode == 2
    assert only_object(result)["error"]["message"] == "it takes no argument"
    result = run(b"\xff\xfe", "--json", binary=True)
    assert json.loads(result.stdout)["error"]["message"] == "the command line is wrong"


def test_of_several_questions_each_has_its_line():
    questions = "tcp from 203.0.113.9 to 22\nspeak friend\ntcp from 203.0.113.9 to 443\n"
    result = run("explain", "-", POLICY, "--json", stdin=questions)
    assert result.returncode == 2
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    assert ["verdict" in answer for answer in answers] == [True, False, True]
    assert answers[1]["error"]["line"] == 1
    assert answers[1]["error"]["messages"][0]["message"] == "'speak' is not a protocol"


def test_of_several_addresses_each_has_its_line():
    result = run("ban", "203.0.113.9", "203.0.113.10", *NO_DAEMON, "--json")
    assert [json.loads(line)["error"]["exit"] for line in result.stdout.splitlines()] == [5, 5]


def test_an_import_that_breaks_off_says_what_it_has_done(tmp_path):
    (tmp_path / "list").write_text("203.0.113.9\nnobody at all\n")
    result = run("bans", "--import", str(tmp_path / "list"), *NO_DAEMON, "--json")
    assert result.returncode == 5
    answer = only_object(result)
    assert (answer["added"], answer["error"]["exit"]) == (0, 5)
