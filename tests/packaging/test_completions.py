# SPDX-License-Identifier: GPL-2.0-or-later
"""Completion as it is met: a line is typed into a shell at a terminal, Tab is pressed and then Enter,
and what counts is what the program is called with."""

import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
SOURCES = ROOT / "packaging/completions"
PROGRAM = Path(os.environ["RINGWALL"])
SECONDS = 30  # that a shell may take for a line on a busy machine

# Tells what it was called with; does it only if it is a question of the completion's.
STAND_IN = """#!/usr/bin/python3
import json, os, sys
line = json.dumps(sys.argv[1:]) + "\\n"
fd = os.open({log!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
os.write(fd, line.encode())
if "--help" in sys.argv or sys.argv[1:2] == ["list"]:
    os.execv({program!r}, [{program!r}, *sys.argv[1:]])
"""

SHELLS = {
    "bash": ["bash", "--noprofile", "--rcfile", "{folder}/bashrc", "-i"],
    "zsh": ["zsh", "-f", "-i", "-o", "no_beep"],
    "fish": ["fish", "--no-config", "-i", "-C", "source {folder}/ringwall.fish"],
}
# What is still to be typed before Enter: zsh leaves the quotation open.
QUOTE = {"bash": "", "zsh": "'", "fish": ""}
BEGIN = {
    "bash": "",
    "zsh": "fpath=({folder} $fpath); autoload -Uz compinit; compinit -u -D; bindkey '^I' complete-word\n",
    "fish": "",
}


def help_of(*words):
    done = subprocess.run([PROGRAM, *words, "--help"], capture_output=True, text=True, check=True)
    return done.stdout


def commands():
    listed = help_of().split("Commands:\n")[1].split("\n\n")[0]
    return [line.split()[0] for line in listed.splitlines()]


class Shell:
    def __init__(self, name, folder):
        self.name, self.log = name, folder / "log"
        self.text = b""
        environment = {
            "PATH": f"{folder}:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": str(folder),
            "TERM": "xterm",
            "LC_ALL": "C.UTF-8",
            "RINGWALL_DATADIR": os.environ["RINGWALL_DATADIR"],
        }
        words = [word.format(folder=folder) for word in SHELLS[name]]
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            os.execvpe(words[0], words, environment)
        self.type(BEGIN[name].format(folder=folder) + "ringwall ready\n")
        self.wait_for(["ready"])

    def type(self, text):
        os.write(self.fd, text.encode())

    def calls(self):
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def wait_for(self, call):
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            if select.select([self.fd], [], [], 0.02)[0]:
                self.text += os.read(self.fd, 65536)
            if self.log.exists() and call in self.calls():
                return
        raise AssertionError(f"{self.name}: not called with {call}: {self.text[-1500:]!r}")

    def completes(self, line, call):
        """The line with Tab at its end becomes a call of the program."""
        self.log.write_text("")
        quote = QUOTE[self.name] if "'" in line else ""
        self.type(f"ringwall {line}\t{quote}\n")
        self.wait_for(call)

    def close(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.fd)


@pytest.fixture(scope="module", name="folder")
def make_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("completion")
    shutil.copy(SOURCES / "complete", folder)
    for name in ("ringwall", "_ringwall", "ringwall.fish"):
        text = (SOURCES / f"{name}.in").read_text().replace("@complete@", f"{folder}/complete")
        (folder / (name if name != "ringwall" else "bashrc")).write_text(text)
    stand_in = folder / "ringwall"
    stand_in.write_text(STAND_IN.format(log=str(folder / "log"), program=str(PROGRAM)))
    stand_in.chmod(0o755)
    (folder / "my policies").mkdir()
    (folder / "my policies/house.yaml").write_text("ringwall: 1\n")
    (folder / "garden.yaml").write_text("ringwall: 1\n")
    return folder


@pytest.fixture(scope="module", name="shell", params=SHELLS)
def make_shell(request, folder):
    shell = Shell(request.param, folder)
    yield shell
    shell.close()


def test_every_command_is_completed(shell):
    assert len(commands()) >= 10
    for command in commands():
        if command[:-1] not in commands():  # of ban and bans the shell lists both
            shell.completes(command[:-1], [command])


@pytest.mark.parametrize(
    "line, call",
    [
        ("init --from vlan", ["init", "--from", "vlan-router"]),
        ("init --ssh-from tailn", ["init", "--ssh-from", "tailnet"]),
        ("init --public=postg", ["init", "--public=postgresql"]),
        ("init --from=vlan", ["init", "--from=vlan-router"]),
        ("check --js", ["check", "--json"]),
        ("check --stop-after=lo", ["check", "--stop-after=lower"]),
        ("check --stop-after pru", ["check", "--stop-after", "prune"]),
        ("check gard", ["check", "garden.yaml"]),
        ("check my\\ policies/ho", ["check", "my policies/house.yaml"]),
        ("show --liv", ["show", "--live"]),
        ("list serv", ["list", "services"]),
        ("list services gard", ["list", "services", "garden.yaml"]),
        ("explain q --in l", ["explain", "q", "--in", "lo"]),
        ("explain 'tcp from ho", ["explain", "tcp from host"]),
        ("allow https from private,tailn", ["allow", "https", "from", "private,tailnet"]),
        ("unload --y", ["unload", "--yes"]),
        ("--vers", ["--version"]),
    ],
)
def test_words_of_a_line(shell, line, call):
    shell.completes(line, call)


def test_fish_offers_everything_where_nothing_is_typed_yet(folder):
    words = ["fish", "--no-config", "-c", f"source {folder}/ringwall.fish; complete -C 'ringwall list '"]
    path = f"{folder}:/usr/bin:/bin"
    environment = {**os.environ, "PATH": path, "HOME": str(folder)}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    assert sorted(done.stdout.split()) == ["policies", "services", "zones"]


# --- what all shells ask --------------------------------------------------------------------------


def ask(*words, program=PROGRAM):
    done = subprocess.run(
        [SOURCES / "complete", program, *words], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    return [line.partition("\t")[0] for line in done.stdout.splitlines()]


def test_commands_are_those_that_help_lists_with_what_they_are_for():
    assert ask("") == [*commands(), "--help", "--version"]
    done = subprocess.run([SOURCES / "complete", PROGRAM, ""], capture_output=True, text=True)
    assert "check\tCheck a policy without touching anything\n" in done.stdout


@pytest.mark.parametrize("command", commands())
def test_every_option_in_a_commands_help_is_completed(command):
    rows = re.findall(r"^ +(?:-\w, *)?(--[a-z-]+)([= ][A-Z]+)?", help_of(command), re.M)
    assert ("--help", "") in rows
    assert ask(command, "-") == [name + ("=" if value else "") for name, value in rows]


@pytest.mark.parametrize("command", commands())
def test_a_command_that_takes_a_policy_completes_files(command):
    usage = re.search(r"^Usage: ringwall (.*)$", help_of(command), re.M)[1].split()[1:]
    first = next((word for word in usage if not word.strip("[").startswith("-")), "")
    if first.startswith("[FILE") or first == "OLD":
        assert ask(command, "") == [":files"]


def test_ready_policies_are_those_that_the_program_lists():
    listed = subprocess.run([PROGRAM, "list", "policies", "--json"], capture_output=True, check=True)
    names = [policy["name"] for policy in json.loads(listed.stdout)]
    assert len(names) > 5
    assert ask("init", "--from", "") == names
    assert ask("init", "--from=") == [f"--from={name}" for name in names]


ANOTHER = """#!/bin/sh
case $* in
--help) printf 'Commands:\\n  ban  ADDRESS SERVICE [ZONE] [-n COUNT]  Ban\\n\\n' ;;
'ban --help') printf 'Ban.\\n\\nUsage: ringwall ban ADDRESS SERVICE [ZONE] [-n COUNT]\\n\\n%s\\n' \\
        '  -n, --number=COUNT  how many' ;;
*) exec {program} "$@" ;;
esac
"""


def test_services_and_zones_are_completed_wherever_help_names_them(tmp_path):
    program = tmp_path / "ringwall"
    program.write_text(ANOTHER.format(program=PROGRAM))
    program.chmod(0o755)
    assert ask("ban", "", program=program) == []
    assert {"ollama", "https"} <= set(ask("ban", "192.0.2.1", "", program=program))
    assert {"ollama", "https"} <= set(ask("ban", "-n", "5", "192.0.2.1", "", program=program))
    assert {"private", "tailnet"} <= set(ask("ban", "192.0.2.1", "https", "", program=program))
    assert ask("ban", "192.0.2.1", "https", "private", "", program=program) == []


def test_words_that_say_what_follows_are_completed_with_it():
    keywords = ["from", "in", "for"]
    for command in ("allow", "deny"):
        assert {"ollama", "https"} <= set(ask(command, ""))
        assert ask(command, "https", "") == keywords
        assert {"private", "tailnet"} <= set(ask(command, "https", "from", ""))
        assert ask(command, "https", "from", "private", "") == keywords
        assert "lo" in ask(command, "-n", "https", "from", "private", "in", "")
        assert ask(command, "https", "for", "") == []


def test_a_list_goes_on_behind_its_comma():
    assert {"private,tailnet", "private,lxd"} & set(ask("allow", "https", "from", "private,"))
    assert "ssh,a/b,https" in ask("allow", "ssh,a/b,")
    assert "--ssh-from=private,tailnet" in ask("init", "--ssh-from=private,")
    # and with a blank behind it
    assert {"private", "tailnet"} <= set(ask("allow", "https", "from", "private,", ""))
    assert {"ollama", "https"} <= set(ask("allow", "ssh,", ""))
    assert ask("allow", "ssh,", "https", "") == ["from", "in", "for"]


def test_rules_that_can_be_removed_are_those_that_the_program_lists(tmp_path):
    program = tmp_path / "ringwall"
    policy = tmp_path / "policy.yaml"
    policy.write_text("ringwall: 1\n")
    program.write_text(f'#!/bin/sh\ncommand=$1\nshift\nexec {PROGRAM} $command --policy {policy} "$@"\n')
    program.chmod(0o755)
    for rule in (["allow", "ssh"], ["deny", "http", "from", "private"]):
        subprocess.run([program, *rule, "--no-apply"], check=True, capture_output=True)
    words = [SOURCES / "complete", program, "remove", ""]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout == "1\tallow ssh\n2\tdeny http from private\n"


@pytest.mark.parametrize("words", [("nothing", ""), ("$(touch /tmp/x)", "-"), ("check", "--a/b=x")])
def test_what_is_not_known_completes_nothing(words):
    assert ask(*words) == []
