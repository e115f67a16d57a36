# SPDX-License-Identifier: GPL-2.0-or-later
"""What somebody does who has never seen the program: over SSH, with nothing but what it says."""

import time

import pytest
from administrator import Administrator
from lab import wait_until
from stream import Stream
from test_systemd import DAEMON, active_since

POLICY = "/etc/ringwall/policy.yaml"
CONFIRM, GRACE = 10, 5  # seconds


@pytest.fixture(name="rented")
def make_rented(yard):
    """A machine with sshd, and without the package."""
    machine = yard.machine([yard.bare])
    yield machine
    yard.retire(machine)


def edit(machine, old, new):
    path = machine.path(POLICY)
    text = path.read_text()
    assert old in text, text
    path.write_text(text.replace(old, new))


def test_a_stranger_guards_a_machine_and_survives_a_mistake(yard, rented, tmp_path):
    machine, ssh = rented, Administrator(rented, tmp_path)
    machine.boot()
    machine.run("systemctl", "unmask", "ssh")
    machine.run("systemctl", "enable", "--now", "ssh")
    wait_until(ssh.knock, 30, "sshd")

    # installed, it waits and closes nothing
    machine.path("/root/ringwall.deb").write_bytes(yard.package.read_bytes())
    ssh.says(0, "dpkg", "--force-unsafe-io", "-i", "/root/ringwall.deb")
    assert machine.tables() == [] and machine.status()["state"] == "unarmed"

    # it says what it finds, and what a policy begins with
    assert ssh("ringwall", "doctor").returncode in (0, 8)
    assert POLICY in ssh.says(0, "ringwall", "init", "--from", "web-server")

    # the ready policy's networks are not his own: nothing happens
    assert "203.0.113.2" in ssh.says(7, "ringwall", "apply")
    assert machine.tables() == []
    edit(machine, "admin: [10.40.10.0/24,", "admin: [203.0.113.0/24,")
    assert "ringwall confirm" in ssh.says(9, "ringwall", "apply")
    assert machine.tables() == ["inet ringwall"]
    ssh.says(0, "ringwall", "confirm")
    assert machine.status()["state"] == "closed"

    # it is in force before there is a network
    machine.power_off()
    machine.plug_in()
    stream = Stream(machine, expect_open=False)
    machine.boot()
    assert active_since(machine, DAEMON) < active_since(machine, "network-pre.target")
    wait_until(ssh.knock, 30, "sshd")
    assert ssh("true").returncode == 0

    # he locks himself out, on purpose, and is let in again
    edit(machine, "ringwall: 1\n", f"ringwall: 1\nsettings: {{ confirm: {CONFIRM}s }}\n")
    edit(machine, "203.0.113.0/24", "203.0.131.0/24")
    ssh.says(7, "ringwall", "apply")
    ssh.says(9, "ringwall", "apply", "--i-have-console")
    applied = time.monotonic()
    assert not ssh.knock()
    wait_until(ssh.knock, 2 * CONFIRM, "the way in")
    assert time.monotonic() - applied < CONFIRM + GRACE
    assert "not confirmed" in ssh.says(0, "journalctl", "-u", DAEMON)
    status = machine.status()
    assert status["state"] == "closed" and "pending" not in status and status["fileDiffers"]

    # all the while since the boot, nobody else came in
    tally = stream.stop()
    assert (tally.passed, tally.intruders) == (0, 0) and tally.denied >= 100, tally
    assert tally.sent == tally.dropped, tally  # neither port is the policy's
