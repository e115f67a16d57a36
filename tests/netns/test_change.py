# SPDX-License-Identifier: GPL-2.0-or-later
"""`ringwall allow`, `deny`, `remove` with ringwalld: from words to packets, and what is refused."""

import json
import os
import re
import time
from datetime import datetime

import pytest

from daemon import QUICK
from fixtures import world_for
from lab import wait_until
from program import ENVIRONMENT, PROGRAM, ringwall
from world import EXAMPLE

make_world = world_for("function")


class Host:
    """A daemon whose policy is in force, and the commands that change it."""

    def __init__(self, world, daemon, text=EXAMPLE):
        self.world, self.daemon = world, daemon
        self.policy = world.file(text)
        self.environment = {**ENVIRONMENT}
        self.path = os.path.join(world.folder, "policy.d/50-cli.yaml")
        daemon.start("--policy", self.policy)

    def say(self, *words, policy=None):
        place = ["--policy", policy or self.policy, "--runtime-dir", str(self.daemon.runtime)]
        return self.world.lab.run(
            "fw", [PROGRAM, *words, *place], check=False, env=self.environment
        )

    def reach(self, port, who="wan"):
        return self.world.reach(who, "host", port, 4)

    def text(self):
        if not os.path.exists(self.path):
            return None
        with open(self.path, encoding="utf-8") as f:
            return f.read()

    def confirm(self):
        assert self.daemon.ask("confirm")[0] == 0


@pytest.fixture(name="host")
def make_host(world, daemon):
    return Host(world, daemon)


def test_allowed_it_is_open_confirmed_it_stays_and_removed_it_is_closed(host):
    assert host.reach(22) == "dropped"
    done = host.say("allow", "ssh", "from", "203.0.113.2", "-m", "from home")
    assert done.returncode == 9, done.stderr
    assert "+ allow ssh from 203.0.113.2" in done.stdout
    assert "+ newly reachable: tcp 22 (ssh) from 203.0.113.2" in done.stdout, "what it means"
    assert "50-cli.yaml:6)" in done.stdout and "rules of the policy: 1 comes" in done.stdout
    assert "`ringwall remove 1` takes it out again" in done.stdout
    assert host.reach(22) == "open" and host.reach(443) == "open"
    host.confirm()
    _, history = host.daemon.ask("history")
    assert history["entries"][0]["message"] == "from home"
    assert not host.daemon.status()["fileDiffers"]
    done = host.say("remove", "allow", "ssh", "from", "203.0.113.2")
    assert done.returncode == 9 and host.reach(22) == "dropped"
    host.confirm()
    assert host.reach(443) == "open" and host.text().endswith("inbound: []\n")


def test_for_a_while_it_is_open_and_then_no_more(host):
    done = host.say("allow", "ssh", "for", "6s", "--no-confirm")
    assert done.returncode == 0, done.stderr
    end = datetime.fromisoformat(re.search(r'allow: ssh, until: "(.*)"', host.text())[1])
    assert host.reach(22) == "open" and time.time() < end.timestamp()
    wait_until(lambda: time.time() > end.timestamp() + 1, 20, "its end")
    assert host.reach(22) == "dropped"
    # what is over goes when the file is written next
    done = host.say("allow", "ssh", "from", "lan", "for", "1h", "--no-confirm")
    assert done.returncode == 0 and host.text().count("- {") == 1
    assert host.reach(22) == "dropped" and host.reach(22, "lan") == "open"


def test_denied_it_is_closed_whatever_the_policy_says(host):
    assert host.reach(443) == "open"
    assert host.say("deny", "https", "from", "203.0.113.0/24", "--no-confirm").returncode == 0
    assert host.reach(443) == "dropped" and host.reach(443, "lan") == "open"
    done = host.say("allow", "https", "from", "203.0.113.0/24", "--no-confirm")
    assert done.returncode == 0 and host.reach(443) == "open"
    assert "- { allow: https, from: 203.0.113.0/24 }" in host.text() and "deny:" not in host.text()


def test_not_confirmed_it_is_closed_again_and_status_tells_of_the_file(world, daemon):
    host = Host(world, daemon, QUICK + EXAMPLE)
    assert not daemon.status()["fileDiffers"]
    assert host.say("allow", "ssh").returncode == 9 and daemon.ask("rollback")[0] == 0
    assert daemon.status()["fileDiffers"], "the first rule's file is a new one"
    assert host.say("allow", "ssh", "--no-confirm").returncode == 0
    assert host.say("allow", "smtp").returncode == 9
    assert host.reach(25) == "refused"
    done = ringwall(world.lab, "rollback", "--runtime-dir", str(daemon.runtime), check=False)
    assert done.returncode == 0 and "files say something else than that" in done.stdout
    assert host.reach(25) == "dropped" and daemon.status()["fileDiffers"]
    assert "allow: smtp" in host.text()
    done = host.say("remove", "smtp")
    assert done.returncode == 0 and not daemon.status()["fileDiffers"]
    assert host.reach(22) == "open"


@pytest.mark.parametrize("made", [False, True])
def test_what_is_refused_leaves_the_file_as_it_was(host, made):
    if made:
        assert host.say("allow", "ssh", "--no-confirm").returncode == 0
    before, number = host.text(), host.daemon.status()["number"]
    # the connection that this shell came by is gone, so that nobody knows whether another comes in
    host.environment["SSH_CONNECTION"] = "203.0.113.77 40000 203.0.113.1 22"
    done = host.say("allow", "http", "from", "lan")
    assert done.returncode == 7, done.stderr
    assert "--i-have-console" in done.stderr and "50-cli.yaml is as it was" in done.stderr
    assert host.text() == before and host.daemon.status()["number"] == number
    assert made or not os.path.exists(os.path.dirname(host.path))
    assert host.say("allow", "http", "from", "lan", "--i-have-console").returncode == 9
    assert host.reach(80, "lan") == "refused" and "allow: http" in host.text()


def test_what_the_daemon_cannot_write_down_is_not_in_the_file_either(host, daemon):
    (daemon.state / "history").rename(daemon.state / "away")
    (daemon.state / "history").touch()
    done = host.say("allow", "ssh")
    assert done.returncode == 1 and "50-cli.yaml is as it was" in done.stderr
    assert host.text() is None and host.reach(22) == "dropped"


def test_another_policy_than_the_one_in_force_is_not_changed(world, host):
    other = world.file(EXAMPLE, "other.yaml")
    done = host.say("allow", "ssh", policy=other)
    assert done.returncode == 1 and f"another policy is in force: {host.policy}" in done.stderr
    assert host.text() is None and host.reach(22) == "dropped"


def test_what_was_changed_before_is_told_of(world, host):
    world.file(EXAMPLE.replace("allow: https", "allow: [https, http]"))
    done = host.say("allow", "ssh", "--no-confirm")
    assert done.returncode == 0 and "say something else already" in done.stdout
    assert host.reach(80) == "refused" and host.reach(22) == "open"


def test_programs_get_json(host):
    done = host.say("allow", "ssh", "--json")
    answer = json.loads(done.stdout)
    assert done.returncode == 9 and answer["awaitsConfirmation"] and answer["written"]
    assert answer["come"] == ["allow ssh"] and answer["go"] == []
    done = host.say("allow", "ssh", "--json", "--no-confirm")
    assert done.returncode == 0 and not json.loads(done.stdout)["written"]


# --- edit -----------------------------------------------------------------------------------------


def edit(host, command, *words):
    """With an editor that is one command on the file, behind it."""
    host.environment["EDITOR"] = command
    words = [PROGRAM, "edit", host.policy, "--runtime-dir", str(host.daemon.runtime), *words]
    return host.world.lab.run("fw", words, text="", check=False, env=host.environment)


def test_edited_it_is_in_force_and_confirmed_it_stays(host):
    assert host.reach(80) == "dropped"
    done = edit(host, "sed -i 's/- allow: https/- allow: [https, http]/'", "-m", "a web server")
    assert done.returncode == 9, done.stderr
    assert "+ newly reachable: tcp 80 (http)" in done.stdout and "policy.yaml:10)" in done.stdout
    assert "unless confirmed within" in done.stdout and "keeps its new text even then" in done.stdout
    assert host.reach(80) == "refused"
    host.confirm()
    assert not host.daemon.status()["fileDiffers"]
    done = edit(host, "true")
    assert done.returncode == 0 and "is unchanged" in done.stdout
    done = edit(host, "sed -i s/https,.http/https/", "--no-confirm")
    assert done.returncode == 0 and host.reach(80) == "dropped" and host.reach(443) == "open"


def test_an_edit_that_is_refused_leaves_the_file_and_keeps_what_was_written(host):
    draft = os.path.join(host.world.folder, ".edit-policy.yaml")
    done = edit(host, "sed -i s/https/shttps/")
    assert done.returncode == 3 and "there is no service 'shttps'" in done.stderr
    os.unlink(draft)
    host.environment["SSH_CONNECTION"] = "203.0.113.77 40000 203.0.113.1 22"
    done = edit(host, "sed -i s/https/http/")
    assert done.returncode == 7 and f"is kept in {draft}" in done.stderr, done.stderr
    with open(host.policy, encoding="utf-8") as f:
        assert f.read() == EXAMPLE
    with open(draft, encoding="utf-8") as f:
        assert f.read() == EXAMPLE.replace("https", "http")
    assert host.reach(443) == "open" and host.reach(80) == "dropped"
    assert not host.daemon.status()["fileDiffers"]


def test_two_changes_at_once_are_both_there(host):
    """While somebody edits the policy, somebody else lets a service in."""
    words = [PROGRAM, "allow", "ssh", "--no-confirm", "--policy", host.policy]
    words += ["--runtime-dir", str(host.daemon.runtime)]
    done = edit(host, f"sh -c '{' '.join(words)} && sed -i s/https/http/ \"$0\"'", "--no-confirm")
    assert done.returncode == 0, done.stderr
    assert host.reach(22) == "open" and host.reach(80) == "refused" and host.reach(443) == "dropped"
