# SPDX-License-Identifier: GPL-2.0-or-later
"""As test_takeover.py: firewalld, and takeovers that are broken off or do not hold. For tests/long."""

import pytest
import rootfs
from administrator import Administrator
from lab import wait_until
from stream import Stream
from test_takeover import (  # noqa: F401 (a fixture)
    PATH,
    POLICY,
    PORTS,
    UFW,
    WALL,
    events,
    goes_and_comes,
    make_host,
    nftables_service,
    others,
    start,
    takeover,
    ufw_status,
)

FIREWALLD = "; ".join(
    f"firewall-cmd -q --permanent --add-port={port}/{kind}" for port in PORTS for kind in ("tcp", "udp")
)
RULES = "/etc/ufw/after.init"  # a script that ufw runs when it has stopped


def ufw_runs(machine, script):
    path = machine.path(RULES)
    path.write_text(f'#!/bin/sh\n[ "$1" = stop ] || exit 0\n{script}\n')
    path.chmod(0o755)


def test_firewalld_gives_way_and_comes_back(host):
    """Whose own end, and whose start, empty all tables of iptables."""
    rootfs.inside(host.root, "systemctl", "enable", "firewalld.service")
    host.boot()
    host.run("sh", "-ec", f"{FIREWALLD}; firewall-cmd -q --reload")
    host.power_off()
    host.plug_in()
    start(host, "firewall-cmd", "--state")

    def listed():
        ports = host.run("firewall-cmd", "--list-all", check=False).stdout
        return ports, host.show("firewalld.service", "ActiveState")

    goes_and_comes(host, "firewalld", lambda: "inet firewalld" in host.tables(), listed)
    assert str(PORTS[1]) in listed()[0]


def test_nftables_service_empties_nothing_where_tables_cannot_be_owned(host):
    """As on Debian 12's own kernel: its 'flush ruleset' would take ringwall's along."""
    policy = "settings: { ownership: off }\n" + POLICY
    host.boot()
    host.apply(policy.replace("ssh", "ssh, 5003/tcp"))  # a table keeps its owner until the next boot
    host.power_off()
    host.plug_in()
    nftables_service(host, policy)
    assert not host.status()["owned"]


def test_all_of_it_outlives_a_reboot(host):
    start(host)
    host.run("sh", "-ec", UFW)
    before = ufw_status(host)
    takeover(host, "--yes")
    host.reboot()
    assert "Status: inactive" in ufw_status(host)
    refused = host.run("dpkg", "--force-unsafe-io", "--purge", "ringwall", check=False)
    assert refused.returncode != 0 and "ringwall takeover --undo" in refused.stderr
    stream = Stream(host)
    assert "ufw is restored" in takeover(host, "--undo", "--yes")
    stream.runs()
    tally = stream.stop()
    assert (tally.passed, tally.intruders) == (0, 0), tally
    assert ufw_status(host) == before


@pytest.mark.parametrize("back", [False, True])
def test_killed_in_between_it_goes_on_or_back(host, back):
    start(host)
    host.run("sh", "-ec", UFW)
    before = others(host), ufw_status(host)
    ufw_runs(host, "kill -9 $(pgrep -x ringwall || pidof ringwall)")
    stream = Stream(host)
    host.run("ringwall", "takeover", "--yes", check=False)
    record = host.path(f"{PATH}/record")
    assert "ufw disabling enabled active" in record.read_text()
    ufw_runs(host, "exit 0")
    if back:
        assert "ufw is restored" in takeover(host, "--undo", "--yes")
    else:
        said = takeover(host, "--yes")
        assert "begun before" in said and "ufw is disabled" in said
        assert "ufw disabled enabled active" in record.read_text()
        assert "ufw is restored" in takeover(host, "--undo", "--yes")
    stream.runs()
    tally = stream.stop()
    assert (tally.passed, tally.intruders) == (0, 0), tally
    assert (others(host), ufw_status(host)) == before and not host.path(PATH).exists()


def test_what_does_not_hold_without_it_brings_it_back_at_once(host):
    start(host)
    host.run("sh", "-ec", UFW)
    before = ufw_status(host)
    ufw_runs(host, f"nft '{WALL}'")
    stream = Stream(host)
    said = takeover(host, "--yes", code=10)
    assert "REFUTED" in said and "brought back" in said and "ufw is restored" in said
    stream.runs()
    tally = stream.stop()
    assert (tally.passed, tally.intruders) == (0, 0), tally
    assert ufw_status(host) == before and not host.path(PATH).exists()
    assert "restored at once" in events(host, 100)[-1]


def test_who_would_lock_himself_out_keeps_his_way_in(host, tmp_path):
    ssh = Administrator(host, tmp_path)
    start(host)
    host.run("systemctl", "unmask", "ssh")
    host.run("systemctl", "start", "ssh")
    wait_until(ssh.knock, 30, "sshd")
    host.run("sh", "-ec", UFW)
    # every connection from the neighbour is allowed now, and would not be by the ufw that comes back
    assert "all 4 claims" in ssh.says(0, "ringwall", "takeover", "--yes")  # the way in is one
    assert "by root from 203.0.113.2" in events(host, 100)[-1]
    host.run("ufw", "insert", "1", "deny", "from", "203.0.113.2")
    said = ssh.says(7, "ringwall", "takeover", "--undo", "--yes")
    assert "could not come in again" in said
    assert ssh.knock() and "Status: inactive" in ufw_status(host)
    # who says so gets it
    ssh.says(0, "ringwall", "takeover", "--undo", "--yes", "--i-have-console")
    assert not ssh.knock() and "Status: active" in ufw_status(host)


def test_what_cannot_be_told_apart_is_left_alone(host):
    rootfs.inside(host.root, "systemctl", "enable", "firewalld.service", "nftables.service")
    direct = '<?xml version="1.0"?>\n<direct><rule ipv="ipv4" table="filter" chain="INPUT" priority="0">-j ACCEPT'
    host.path("/etc/firewalld/direct.xml").write_text(f"{direct}</rule></direct>\n")
    start(host, "firewall-cmd", "--state")
    before = sorted(host.tables())
    said = " ".join(takeover(host, "firewalld", "--yes", code=1).split())
    assert "direct.xml" in said and "nothing was done" in said
    assert sorted(host.tables()) == before and host.show("firewalld.service", "ActiveState") == "active"
