# SPDX-License-Identifier: GPL-2.0-or-later
"""`ringwall status`: one screen, and nothing in force that was not read back."""

import signal
import time

import pytest

from fixtures import world_for
from lab import wait_until
from program import ENVIRONMENT, PROGRAM, ringwall
from world import EXAMPLE

# others' changes stay, so that they can be looked at
ALERT = "settings: { ownership: off, drift: alert }\n" + EXAMPLE

make_world = world_for("function", foreign=None)


@pytest.fixture(name="daemon")
def make_daemon(daemon):
    daemon.start()
    return daemon


def screen(world, daemon):
    done = ringwall(world.lab, "status", "--runtime-dir", str(daemon.runtime))
    lines = done.stdout.splitlines()
    assert done.stderr == "" and 0 < len(lines) <= 24
    return done.stdout


def test_in_force_is_said_with_the_file_and_since_when(world, daemon):
    assert "in force " not in screen(world, daemon).replace("not in force", "")
    assert daemon.apply(EXAMPLE, "--no-confirm")[0] == 0
    text = screen(world, daemon)
    assert text.startswith(f"in force     {world.folder}/policy.yaml, change 1, since 20")
    assert "read back now" in text and "in force: change 1" in text
    assert "files" not in text


def test_what_waits_for_its_confirmation_counts_down(world, daemon):
    assert daemon.apply(EXAMPLE)[0] == 9
    first = daemon.status()["pending"]
    assert first["number"] == 1 and 100 < first["seconds"] <= 120
    wait_until(lambda: daemon.status()["pending"]["seconds"] < first["seconds"], 10, "a second")
    assert "change 1 is undone in " in screen(world, daemon)
    daemon.ask("confirm")
    assert "pending" not in daemon.status()


def test_what_the_kernel_holds_instead_is_not_called_in_force(world, daemon):
    daemon.apply(ALERT, "--no-confirm")
    world.lab.nft("insert rule inet ringwall input tcp dport 22 accept")
    status = daemon.status()
    assert status["state"] == "changed" and not status["readBack"] and "inForce" not in status
    assert status["expected"].endswith("policy.yaml")
    assert "tcp dport 22 accept" in status["kernelDiffers"]
    text = screen(world, daemon)
    assert text.startswith("not in force") and "tcp dport 22 accept" in text
    _, history = daemon.ask("history")
    assert history["entries"][0]["state"] == "expected"
    world.lab.nft("delete table inet ringwall")
    assert "removed" in daemon.status()["kernelDiffers"]
    daemon.apply(ALERT, "--no-confirm")
    status = daemon.status()
    assert status["state"] == "closed" and "kernelDiffers" not in status


def test_what_no_connection_could_be_here_is_not_called_proved(world, daemon):
    """As `verify` has it, which calls such an expectation undecided."""
    more = "expect:\n  - { allow: https, from: 203.0.113.9, in: eth0 }\n  - { allow: https, in: wg7 }\n"
    assert daemon.apply(EXAMPLE + more, "--no-confirm")[0] == 0
    wait_until(lambda: daemon.status()["claims"]["known"], 20, "the first proof")
    claims = daemon.status()["claims"]
    assert claims["open"] == 1 and claims["broken"] == []
    text = screen(world, daemon)
    assert f"{claims['count'] - 1} proved" in text and "1 not decided: no such connection could be" in text


def test_the_file_that_says_something_else_is_named(world, daemon):
    daemon.apply(EXAMPLE, "--no-confirm")
    assert not daemon.status()["fileDiffers"]
    more = daemon.folder / "policy.d"
    more.mkdir()
    (more / "README").write_text("this is no policy")
    assert not daemon.status()["fileDiffers"]
    (more / "50.yaml").write_text("ringwall: 1\ninbound: [{ allow: smtp }]\n")
    status = daemon.status()
    assert status["fileDiffers"] and status["differingFile"] == str(more / "50.yaml")
    assert str(more / "50.yaml") in screen(world, daemon)
    assert daemon.ask("apply", f"{world.folder}/policy.yaml", "--no-confirm")[0] == 0
    assert not daemon.status()["fileDiffers"]
    (more / "50.yaml").unlink()
    assert daemon.status()["differingFile"] == str(more / "50.yaml")
    world.file(EXAMPLE + "# edited\n")
    assert daemon.status()["differingFile"].endswith("/policy.yaml")


def test_a_daemon_that_is_not_there_is_said_and_soon(world, daemon):
    daemon.stop()
    began = time.monotonic()
    code, said = daemon.ask("status")
    assert code == 5 and "ringwalld" in said and time.monotonic() - began < 10


def test_a_daemon_that_dies_while_it_is_asked_has_not_answered(world, daemon):
    daemon.process.send_signal(signal.SIGSTOP)
    asking = world.lab.popen(
        "fw", [PROGRAM, "status", "--runtime-dir", str(daemon.runtime)], env=ENVIRONMENT, stderr=-3
    )
    with pytest.raises(Exception):
        asking.wait(timeout=0.5)
    daemon.process.kill()
    assert asking.wait(timeout=10) == 5


def test_the_history_shows_letters_where_the_terminal_can(world, daemon):
    daemon.apply(EXAMPLE, "--no-confirm", "-m", "für Anna\x1b[2J")
    argv = [PROGRAM, "history", "--runtime-dir", str(daemon.runtime)]
    for locale, letters in (("C.UTF-8", True), ("C", False)):
        said = world.lab.run("fw", argv, env={**ENVIRONMENT, "LC_ALL": locale}).stdout
        assert ("für Anna" in said) == letters and "\x1b" not in said
