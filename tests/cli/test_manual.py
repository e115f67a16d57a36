# SPDX-License-Identifier: GPL-2.0-or-later
"""The manual says what the program says of itself: commands, options, exit statuses, fields, examples."""

import json
import pathlib
import re
import shlex
import subprocess

import pytest

from command import POLICY, RINGWALL, ROOT, run, verbs

MAN = ROOT / "man"
PAGE = (MAN / "ringwall.1.scd").read_text()
TEXTS = [ROOT / "README.md", *sorted(MAN.glob("*.scd")), *sorted(MAN.glob("*.scd.in"))]
DAEMONS = {"ringwalld": "daemon", "ringwall-lockdown": "daemon", "ringwall-notify": "notify"}
LONG = re.compile(r"(?<![\w-])--[a-z][a-z-]*")


def plain(text):
    """scdoc's marks taken out."""
    return re.sub(r"[*_\\]", "", text)


def section(name, page=PAGE):
    return re.search(rf"^# {name}\n(.*?)(?=^# |\Z)", page, re.M | re.S).group(1)


VERBS = verbs()
HELP = {verb: run(verb, "--help").stdout for verb in VERBS}


def synopses():
    """[(the command or commands, the line)]"""
    lines = [plain(line.removesuffix("++")) for line in section("SYNOPSIS").splitlines() if line]
    return [(re.match(r"ringwall ([a-z|]+)", line).group(1).split("|"), line) for line in lines]


def synopsis(verb):
    return " ".join(line for names, line in synopses() if verb in names)


def option_lines(text):
    """What stands before the descriptions of a help's options: "-n, --lines=N"."""
    lines = [line.strip() for line in text.splitlines() if re.match(r"^ +(-[a-zA-Z], )?--", line)]
    return [re.split(r" {2,}", line)[0] for line in lines]


def options(text):
    return {option for line in option_lines(text) for option in LONG.findall(line)}


def test_every_command_is_in_the_page_and_no_other():
    assert {name for names, _ in synopses() for name in names} == set(VERBS)
    assert set(re.findall(r"^\*([a-z]+)\*", section("COMMANDS"), re.M)) == set(VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_the_page_has_the_options_of_the_command_and_no_other(verb):
    have = options(HELP[verb])
    for line in option_lines(HELP[verb]):
        forms = re.findall(r"(?<![\w-])-[a-zA-Z]\b|" + LONG.pattern, line)
        assert any(f"*{form}*" in PAGE or f"*{form}=*" in PAGE for form in forms), line
    said = set(LONG.findall(synopsis(verb)))
    assert said <= have, said - have
    assert "--json" not in have or "--json" in said or "OPTIONS" in synopsis(verb)


def test_the_exit_statuses_are_in_the_page():
    numbers = [int(n) for n in re.findall(r"^(?:\[\[|\|)  ?\*(\d+)\*$", section("EXIT STATUS"), re.M)]
    assert numbers == list(range(12))
    for verb, text in HELP.items():
        for said in re.findall(r"^Exit status.*?(?=\n\n|\Z)", text, re.M | re.S):
            assert {int(n) for n in re.findall(r"(?<![\w/.])(\d+) ", said)} <= set(numbers), verb


def json_entries():
    entries = {}
    for names, text in re.findall(r"^(\*[a-z*, ]+\*)\n\t(.*)$", section("JSON"), re.M):
        for name in re.findall(r"\*([a-z]+)\*", names):
            entries[name] = plain(text.replace("\\_", "-"))
    return entries


def test_the_page_says_what_each_command_prints_for_programs():
    assert set(json_entries()) == {verb for verb in VERBS if "--json" in options(HELP[verb])}


def keys(value, beyond=()):
    """Of all objects in it, but for those below `beyond`, whose keys are what it counts."""
    if isinstance(value, list):
        return {key for item in value for key in keys(item, beyond)}
    if isinstance(value, dict):
        return set(value) | {k for key, item in value.items() if key not in beyond for k in keys(item, beyond)}
    return set()


BROKEN = "ringwall: 1\nzones:\n  a: [10.0.0.0/8]\n  a: [10.0.0.0/8]\ninbound:\n  - { allow: shh, from: a }\n"


@pytest.mark.parametrize(
    "words",
    [["check", "BROKEN"], ["show", POLICY], ["explain", "tcp from 203.0.113.9 to 443", POLICY], ["list", "services"],
     ["list", "policies"], ["doctor"], ["verify", "--policy", POLICY], ["exposure", "--policy", POLICY],
     ["diff", POLICY, str(ROOT / "policies/web-server.yaml")], ["plan", POLICY]],
    ids=lambda words: words[0],
)  # fmt: skip
def test_the_page_names_every_field(words, policy):
    words = [policy(BROKEN) if word == "BROKEN" else word for word in words]
    answer = json.loads(run(*words, "--json", namespace=True).stdout)
    entries = json_entries()
    named = set(re.findall(r"[A-Za-z-]+", entries[words[0]]))
    if words[0] == "plan":
        named |= set(re.findall(r"[A-Za-z-]+", entries["diff"]))
    found = {key.replace("_", "-") for key in keys(answer, beyond=("counts",))}
    assert found and found <= named, found - named


@pytest.mark.parametrize("name", DAEMONS)
def test_the_pages_of_the_other_programs_have_their_options(name):
    program = pathlib.Path(RINGWALL).parents[1] / DAEMONS[name] / name
    done = subprocess.run([program, "--help"], capture_output=True, text=True, timeout=60)
    have = set(LONG.findall(re.sub(r"`.*?`", "", done.stdout + done.stderr)))
    page = (MAN / f"{name}.8.scd").read_text()
    said = set(LONG.findall(" ".join(re.findall(r"^\*-.*$", section("OPTIONS", page), re.M))))
    assert said | {"--help", "--version"} == have | {"--help", "--version"}
    assert set(LONG.findall(section("SYNOPSIS", page))) <= have


def test_the_page_says_what_the_group_may_call():
    program = pathlib.Path(RINGWALL).parents[1] / "daemon/ringwalld"
    text = subprocess.run([program, "--describe"], capture_output=True, text=True, timeout=60).stdout
    may = {method for who, method in re.findall(r"# (.*) may call it\.\n(?:# .*\n)*method (\w+)", text) if "group" in who}
    said = re.search(r"members of the group \*ringwall\* may call (.*?)\. ", (MAN / "ringwalld.8.scd").read_text()).group(1)
    assert may and set(re.findall(r"\*(\w+)\*", said)) == may


def commands_in(text):
    """What is there to be typed: lines of code, and words in code's marks."""
    for line in text.splitlines():
        shown = re.match(r"^(?:\t|    |  )(?:sudo |ip netns exec \w+ |unshare -n )?(ringwall [a-z].*)$", line)
        if shown:
            yield re.split(r" {2,}| #", plain(shown.group(1)) if "\t" in line else shown.group(1))[0]
        yield from re.findall(r"`(ringwall [a-z][^`]*)`", line)


EXAMPLES = sorted({(path.name, command) for path in TEXTS for command in commands_in(path.read_text())} |
                  {("--help", command) for text in HELP.values() for command in commands_in(text)})


def test_there_are_examples():
    assert len(EXAMPLES) > 60


@pytest.mark.parametrize("where, command", EXAMPLES, ids=[command for _, command in EXAMPLES])
def test_an_example_uses_a_command_that_there_is_and_its_options(where, command):
    words = shlex.split(re.split(r" [|>] ", command)[0].replace("...", ""))[1:]
    assert words[0] in VERBS, where
    said = {word.split("=")[0] for word in words if word.startswith("--")}
    assert said <= options(HELP[words[0]]), where
    short = {word[:2] for word in words if re.match(r"^-[a-z]", word)}
    assert all(re.search(rf"^ +{word}\b", HELP[words[0]], re.M) for word in short), where
