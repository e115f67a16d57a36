# SPDX-License-Identifier: GPL-2.0-or-later
"""Bans on a machine with systemd, and fail2ban as Debian packages it, with the actions and the part of its unit that
the package brings: boots, power cuts, disks that take nothing. For tests/long."""

import json
import time

import pytest
import rootfs
from lab import wait_until
from test_systemd import DAEMON, DISK, DISKS, active_since, extend

SOON = 30
PEER = "203.0.113.2"
SHIPPED = "/usr/share/ringwall/fail2ban"
JAILS = """[DEFAULT]
banaction = ringwall
banaction_allports = ringwall-allports
ignoreself = false
usedns = no
[sshd]
enabled = true
backend = polling
logpath = /var/log/auth.log
maxretry = 3
bantime = 1h
"""
# As ringwall(1) says.
SET_UP = f"""cp {SHIPPED}/action.d/* /etc/fail2ban/action.d/
mkdir -p /etc/systemd/system/fail2ban.service.d
cp {SHIPPED}/fail2ban.service.conf /etc/systemd/system/fail2ban.service.d/ringwall.conf
"""


@pytest.fixture(name="armed_fail2ban", scope="module")
def make_armed_fail2ban(yard, armed):
    folder = yard.folder / "fail2ban"
    folder.mkdir()
    return [rootfs.add_fail2ban(yard.bare, armed, folder), *armed]


@pytest.fixture(name="host")
def make_host(yard, armed_fail2ban):
    machine = yard.machine(armed_fail2ban)
    rootfs.inside(machine.root, "sh", "-ec", SET_UP)
    machine.path("/etc/fail2ban/jail.local").write_text(JAILS)
    machine.path("/var/log/auth.log").write_text("")
    machine.boot()
    yield machine
    yard.retire(machine)


def bans(machine, may_be_away=False):
    """None: ringwalld is away."""
    done = machine.run("ringwall", "bans", "--json", check=False)
    if may_be_away and done.returncode == 5:
        return None
    assert done.returncode in (0, 8), done
    return json.loads(done.stdout)["bans"]


def fail(machine, address, times=3):
    when = time.strftime("%b %d %H:%M:%S", time.gmtime())
    line = f"{when} machine sshd[4242]: Failed password for root from {address} port 40000 ssh2\n"
    with machine.path("/var/log/auth.log").open("a", encoding="ascii") as f:
        f.write(line * times)


def banned(machine, *addresses):
    def are_banned():
        found = bans(machine, may_be_away=True)
        return found is not None and [b["address"] for b in found] == list(addresses)

    wait_until(
        are_banned,
        SOON,
        f"bans of {addresses}\n{machine.tell('fail2ban.service')}",
    )


def dropped(machine):
    return sum(b.get("packets", 0) for b in bans(machine))


def is_shut_out(machine):
    """The neighbour, which knocks at the port of the jail."""
    before = dropped(machine)
    knock = "import socket; s = socket.socket(); s.setblocking(False); s.connect_ex(('203.0.113.1', 22))"

    def is_dropped():
        machine.net.run(machine.peer, ["/usr/bin/python3", "-c", knock])
        return dropped(machine) > before

    wait_until(is_dropped, SOON, "the drop of what the neighbour sends")


def test_what_fail2ban_banned_is_in_force_from_the_first_packet_of_each_boot(host):
    assert active_since(host, DAEMON) < active_since(host, "fail2ban.service")
    fail(host, PEER)
    banned(host, PEER)
    is_shut_out(host)
    (first,) = bans(host)
    for end in (host.power_off, host.cut_power):
        end()
        host.plug_in()
        host.boot()
        assert active_since(host, DAEMON) < active_since(host, "network-pre.target")
        assert "in force: 1 bans" in host.tell()  # before it said that it is ready
        (ban,) = bans(host)
        same = ("address", "jail", "source", "service", "since", "times")
        assert [ban[k] for k in same] == [first[k] for k in same]
        assert abs(ban["until"] - first["until"]) < 60e6
        is_shut_out(host)
        # fail2ban finds it there, and it is one ban still
        said = lambda: host.run("fail2ban-client", "status", "sshd", check=False).stdout
        wait_until(lambda: PEER in said(), SOON, f"fail2ban's own ban\n{host.tell('fail2ban.service')}")
        assert active_since(host, DAEMON) < active_since(host, "fail2ban.service")
        (ban,) = bans(host)
        assert (ban["times"], ban["since"]) == (1, first["since"])
    # a restart of fail2ban alone ends it and brings it back; who is unbanned stays so
    host.run("systemctl", "stop", "fail2ban")
    banned(host)
    host.run("systemctl", "start", "fail2ban")
    banned(host, PEER)
    assert bans(host)[0]["times"] == 1
    host.run("fail2ban-client", "unban", PEER)
    banned(host)


def test_restarted_both_lose_nothing(host):
    fail(host, PEER)
    banned(host, PEER)
    host.run("systemctl", "restart", DAEMON)
    host.run("systemctl", "reload", DAEMON)
    banned(host, PEER)
    host.run("systemctl", "kill", "--signal=KILL", DAEMON)
    fail(host, "198.51.100.9")
    banned(host, "198.51.100.9", PEER)
    assert "Unable to restore" not in host.path("/var/log/fail2ban.log").read_text()
    status = host.status()["bans"]
    assert status["enforced"] == status["desired"] == 2
    is_shut_out(host)


@pytest.mark.parametrize("disk", DISKS)
def test_bans_are_in_force_from_a_disk_that_takes_nothing(machine, disk):
    machine.boot()
    machine.run("ringwall", "ban", PEER, "--for", "1h", "--reason", "kept")
    machine.power_off()
    script = f"state=/var/lib/ringwall; {DISKS[disk]}"
    machine.path("/etc/systemd/system/disk.service").write_text(DISK.format(script=script))
    extend(machine, "[Unit]\nWants=disk.service\nAfter=disk.service\n")
    machine.plug_in()
    machine.boot()
    assert machine.status()["state"] == "closed"
    assert [(b["address"], b["reason"]) for b in bans(machine)] == [(PEER, "kept")], machine.tell()
    is_shut_out(machine)
    done = machine.run("ringwall", "ban", "198.51.100.9", check=False)
    assert done.returncode == 1 and "would be lost with a restart" in done.stderr, done
    status = machine.status()["bans"]
    assert (status["enforced"], status["desired"], status["unsaved"]) == (2, 2, True)
    if disk == "full":
        machine.run("rm", "/var/lib/ringwall/filler")
        wait_until(lambda: not machine.status()["bans"]["unsaved"], SOON, "the store itself")
        machine.run("systemctl", "restart", DAEMON)
        assert [b["address"] for b in bans(machine)] == ["198.51.100.9", PEER]
