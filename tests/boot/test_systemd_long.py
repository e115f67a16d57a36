# SPDX-License-Identifier: GPL-2.0-or-later
"""As test_systemd.py, often, and with more patience. For tests/long."""

import time

import pytest
from lab import wait_until
from stream import ALLOWED, POLICY, Stream, assert_nothing_wrong
from test_systemd import DAEMON, active_since, boots, damage, extend, restarted, runs

KILLS, BOOTS = 100, 20


AT_ONCE = "[Service]\nExecStartPre=\n"  # however often


def test_killed_a_hundred_times_under_traffic(machine):
    extend(machine, AT_ONCE)
    machine.boot()
    stream = Stream(machine)
    for _ in range(KILLS):
        before = machine.show(DAEMON, "MainPID")
        machine.run("kill", "-9", before)
        restarted(machine, before)
    tally = stream.stop()
    assert_nothing_wrong(tally)
    print(tally)


def test_restarted_a_hundred_times_under_traffic(machine):
    extend(machine, AT_ONCE)
    machine.boot()
    stream = Stream(machine)
    for _ in range(KILLS):
        machine.run("systemctl", "restart", DAEMON)
    tally = stream.stop()
    assert_nothing_wrong(tally)
    print(tally)


def test_it_is_in_time_at_every_boot(machine):
    for _ in range(BOOTS):
        boots(machine, "policy")
        assert active_since(machine, DAEMON) < active_since(machine, "network-pre.target")
        assert machine.show(DAEMON, "NRestarts") == "0", machine.tell()
        machine.power_off()
        machine.plug_in()


def test_power_is_cut_at_any_moment_of_a_change(machine):
    """Before, while or after it is confirmed: afterwards it is one policy or the other, whole."""
    machine.boot()
    other = f"ringwall: 1\ninbound: [{{ allow: {ALLOWED}/udp, from: anywhere }}]\n"
    for number in range(BOOTS):
        machine.write_policy(other + f"# {number}\nservices: {{ s{number}: {{ tcp: {number + 1} }} }}\n")
        pid = machine.leader
        script = "ringwall apply; ringwall confirm"
        child = machine.begin("sh", "-c", script)
        time.sleep(number * 0.01)  # where it breaks off is what is varied
        machine.cut_power()
        child.wait(30)
        assert machine.leader != pid
        machine.plug_in()
        boots(machine, "policy")
        assert machine.status()["state"] == "closed"


def test_one_that_hangs_is_replaced(machine):
    machine.boot()
    assert machine.show(DAEMON, "WatchdogUSec") == "10s"
    before = machine.show(DAEMON, "MainPID")
    stream = Stream(machine)
    machine.run("kill", "-STOP", before)
    restarted(machine, before)
    stream.runs()
    assert_nothing_wrong(stream.stop())
    assert "watchdog" in machine.tell()


def test_what_is_opened_while_it_is_stopped_does_not_stay_open(machine):
    """Of a table that is nobody's: for as long as systemd waits for a sign of life."""
    machine.boot()
    machine.run("ringwall", "unload", "--yes")  # a table that is there stays whose it is
    machine.apply(POLICY + "settings: { ownership: off }\nrouted: reject\n")
    assert not machine.status()["owned"]
    before = machine.show(DAEMON, "MainPID")
    machine.run("kill", "-STOP", before)
    machine.net.run(machine.namespace, ["nft", "flush", "ruleset"])
    assert "inet ringwall" not in machine.tables()
    restarted(machine, before)
    assert "inet ringwall" in machine.tables() and "watchdog" in machine.tell()


def test_a_turn_that_takes_longer_than_systemd_waits_is_no_hang(machine):
    """A large list comes into force: many steps, and one large transaction of the kernel's."""
    extend(machine, "[Service]\nWatchdogSec=2s\n")
    machine.boot()
    before = machine.show(DAEMON, "MainPID")
    path = machine.path("/etc/ringwall/many")
    path.write_text("".join(f"{11 + i // 65536}.{i // 256 % 256}.{i % 256}.0/25\n" for i in range(120000)))
    path.chmod(0o644)
    machine.apply(POLICY + "zones: { many: { file: many } }\nrouted: [{ allow: https, from: many }]\n")
    assert machine.show(DAEMON, "MainPID") == before and machine.show(DAEMON, "NRestarts") == "0"
    assert machine.status()["readBack"]
    machine.run("kill", "-STOP", before)  # it waits no longer than before, by now
    restarted(machine, before)


def test_as_long_as_it_cannot_start_the_policy_stays_in_force(machine):
    """The kernel goes on with what it has: the lockdown is for those that have nothing."""
    machine.boot()
    stream = Stream(machine)
    program = machine.path("/usr/sbin/ringwalld")
    whole = program.read_bytes()
    program.unlink()
    machine.run("systemctl", "kill", "--signal=KILL", DAEMON)
    wait_until(lambda: int(machine.show(DAEMON, "NRestarts")) > 12, 120, "so many tries")
    stream.runs()
    program.write_bytes(whole)
    program.chmod(0o755)
    runs(machine)
    stream.runs()
    assert_nothing_wrong(stream.stop())


def test_killed_fifteen_times_it_comes_back_and_puts_right_what_was_changed(machine):
    """Of a table that is nobody's: by then somebody has emptied it."""
    machine.boot()
    machine.run("ringwall", "unload", "--yes")  # a table that is there stays whose it is
    machine.apply(POLICY + "settings: { ownership: off }\nrouted: reject\n")
    for _ in range(15):
        before = machine.show(DAEMON, "MainPID")
        machine.run("kill", "-9", before)
        machine.net.run(machine.namespace, ["nft", "flush ruleset"])
        restarted(machine, before)
    assert "inet ringwall" in machine.tables() and machine.status()["readBack"]
    stream = Stream(machine)
    stream.runs()
    assert_nothing_wrong(stream.stop())


@pytest.mark.parametrize("name", ["armed", "rescue", "pending"])
def test_files_beside_the_sealed_copy_may_get_lost_or_damaged(machine, name):
    path = machine.path(f"/var/lib/ringwall/{name}")
    if path.exists() and path.stat().st_size:
        damage(path)
    else:
        path.write_bytes(b"what is this?")
    boots(machine, "policy")
    assert machine.status()["state"] == "closed"
