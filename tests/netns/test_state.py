# SPDX-License-Identifier: GPL-2.0-or-later
"""The state directory of ringwalld: damaged, removed, readable for others, of another version, on a disk that is
full or read-only."""

import os
import signal
import subprocess

import pytest

from daemon import DAEMON, QUICK, reach
from fixtures import world_for
from lab import wait_until
from program import ENVIRONMENT, ringwall
from stored import of_another_version
from world import EXAMPLE, with_inbound

make_world = world_for("function")


def test_a_second_daemon_for_the_same_state_is_refused(world, daemon):
    daemon.start()
    other = world.lab.run(
        "fw",
        [DAEMON, "--state-dir", daemon.state, "--runtime-dir", daemon.folder / "other"],
        check=False,
        env=ENVIRONMENT,
    )
    assert other.returncode == 1 and "in use by another ringwalld" in other.stderr


def test_what_is_taken_out_of_the_state_directory_is_there_for_the_next_start(world, daemon):
    daemon.start()
    daemon.apply(EXAMPLE, "--no-confirm")
    for path in sorted(daemon.state.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()

    def told():
        return ringwall(world.lab, "events", "--runtime-dir", str(daemon.runtime)).stdout

    wait_until(lambda: "had been removed from" in told(), 20, "the event")
    wait_until((daemon.state / "running").exists, 20, "that it runs")
    daemon.stop(signal.SIGKILL)
    world.lab.nft("flush ruleset")
    daemon.start()
    status = daemon.status()
    assert status["state"] == "closed" and status["number"] == 1
    assert "ringwalld was killed" in told()


def test_what_is_written_into_what_the_next_start_needs_is_undone(world, daemon):
    daemon.start()
    daemon.apply(EXAMPLE, "--no-confirm")
    daemon.apply(with_inbound("{ deny: https }"), "--no-confirm")
    sealed = daemon.state / "sealed"
    whole, words = sealed.read_bytes(), "had been changed in"
    for number, damaged in enumerate((b"", whole[: len(whole) // 2], whole[:-9] + b"something"), 1):
        with open(sealed, "r+b") as file:  # the same file, as it is held open
            file.write(damaged)
            file.truncate()
        wait_until(lambda n=number: daemon.log().count(words) == n, 20, "the event")
        assert sealed.read_bytes()[-200:] == whole[-200:]
    batch = daemon.state / "lockdown.batch"
    whole = batch.read_bytes()
    batch.write_bytes(whole[:-1])
    wait_until(lambda: "what ringwall-lockdown needs" in daemon.log(), 20, "the event")
    assert len(batch.read_bytes()) == len(whole)  # but for the numbers of its messages
    daemon.stop(signal.SIGKILL)
    world.lab.nft("flush ruleset")
    daemon.start()
    assert daemon.status()["number"] == 2 and reach(world, 443) == "dropped"


def test_a_store_that_others_could_read_is_mended(world, daemon):
    daemon.start()
    daemon.apply(EXAMPLE, "--no-confirm")
    daemon.stop(signal.SIGKILL)
    world.lab.nft("flush ruleset")
    daemon.state.chmod(0o755)
    daemon.start()
    assert daemon.status()["state"] == "closed" and reach(world, 443) == "open"
    assert daemon.state.stat().st_mode & 0o777 == 0o700


def test_after_an_upgrade_the_policy_is_compiled_anew_from_what_was_confirmed(world, daemon):
    """Whatever its files say by now, and whoever `root` is."""
    listed = world.file("203.0.113.0/24\n", "list")
    text = "ringwall: 1\nzones: { wan: { file: list }, home: { connected: [eth0] } }\ninclude: more.yaml\n"
    more = world.file("ringwall: 1\noutbound: [{ deny: smtp, user: root }]\n", "more.yaml")
    text += "inbound: [{ allow: https, from: wan }, { allow: http, from: home }]\n"
    daemon.start()
    assert daemon.apply(text, "--no-confirm")[0] == 0
    daemon.stop()
    for file in (listed, more, world.file(text)):
        os.unlink(file)
    for copy in ("sealed", "history/00000001"):
        of_another_version(daemon.state / copy)
    world.lab.nft("flush ruleset")
    daemon.start()
    status = daemon.status()
    assert status["state"] == "closed" and status["number"] == 1
    assert reach(world, 443) == "open" and reach(world, 22) == "dropped"
    assert any("another version of ringwall compiled" in e["text"] for e in status["events"])
    assert "skuid 0" in world.lab.run("fw", ["nft", "-nn", "list", "table", "inet", "ringwall"]).stdout
    # it can be changed and gone back to as ever
    daemon.apply(EXAMPLE, "--no-confirm")
    assert daemon.ask("rollback", "1")[0] == 9 and daemon.ask("confirm")[0] == 0
    assert reach(world, 443) == "open" and reach(world, 22) == "dropped"


@pytest.fixture(name="disk")
def make_disk(daemon):
    """A file system of the state's own, of 2 MiB."""
    mount = daemon.folder / "disk"
    mount.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", mount], check=True)
    daemon.state = mount / "state"
    yield mount
    if daemon.process and daemon.process.poll() is None:
        daemon.stop(signal.SIGKILL)
    subprocess.run(["umount", mount], check=True)


def fill(disk, but):
    """All but so many bytes."""
    filler = disk / "filler"
    filler.write_bytes(b"")
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    filler.write_bytes(b"x" * max(0, free - but))
    return filler


def test_what_cannot_be_written_down_is_not_applied(world, daemon, disk):
    daemon.start()
    assert daemon.apply(EXAMPLE, "--no-confirm")[0] == 0
    failed = 0
    for room in range(0, 200_000, 4096):
        filler = fill(disk, room)
        code, said = daemon.apply(QUICK + with_inbound("{ allow: ssh }"))
        filler.unlink()
        if code == 9:
            break
        failed += 1
        assert code == 1 and "the disk is full; nothing has changed" in str(said), (room, code, said)
        assert reach(world, 22) == "dropped" and reach(world, 443) == "open"
        status = daemon.status()
        assert status["state"] == "closed" and status["number"] == 1 and "pending" not in status
    assert code == 9 and failed >= 3, "the entry, its staged copy, and what waits each need room"
    # from here on no room is needed
    fill(disk, 0)
    assert daemon.ask("confirm")[0] == 0 and reach(world, 22) == "open"
    daemon.stop(signal.SIGKILL)
    world.lab.nft("flush ruleset")
    daemon.start()
    assert reach(world, 22) == "open" and daemon.status()["state"] == "closed"


def test_on_a_read_only_disk_nothing_is_applied_or_confirmed_and_all_is_undone(world, daemon, disk):
    def remount(how):
        subprocess.run(["mount", "-o", f"remount,{how}", disk], check=True)

    daemon.start()
    assert daemon.apply(EXAMPLE, "--no-confirm")[0] == 0
    assert daemon.apply(QUICK + with_inbound("{ allow: ssh }"))[0] == 9
    daemon.stop(signal.SIGKILL)  # nobody has a file open for writing
    remount("ro")
    daemon.start()
    code, said = daemon.ask("confirm")
    assert code == 1 and "read-only" in str(said) and reach(world, 22) == "open"
    code, said = daemon.apply(with_inbound("{ allow: http }"))
    assert code == 1 and "read-only; nothing has changed" in str(said)
    assert "change 2 waits for its confirmation as before" in str(said)
    wait_until(lambda: reach(world, 22) == "dropped", 20, "the way back")
    assert reach(world, 443) == "open" and daemon.status()["number"] == 1
    # what was confirmed comes into force there, too
    daemon.stop(signal.SIGKILL)
    world.lab.nft("flush ruleset")
    daemon.start()
    assert daemon.status()["state"] == "closed" and reach(world, 443) == "open"
    remount("rw")
    wait_until(lambda: not (daemon.state / "pending").exists(), 20, "what waited is forgotten")


def test_a_policy_named_at_start_is_not_in_force_unless_it_is_written_down(world, daemon, disk):
    daemon.start()
    fill(disk, 0)
    daemon.stop()
    daemon.start("--policy", str(world.file(EXAMPLE)), ready=False)
    assert daemon.process.wait(20) == 1
    assert "the disk is full" in daemon.log() and reach(world, 22) == "open"
