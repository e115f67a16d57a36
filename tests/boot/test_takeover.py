# SPDX-License-Identifier: GPL-2.0-or-later
"""`ringwall takeover`: other firewalls as Debian packages them give way, and come back, under traffic that
never pauses, and nothing of other programs goes with them."""

import json
import re

import pytest
import rootfs
from lab import wait_until
from stream import ALLOWED, DENIED, Stream, assert_nothing_wrong

POLICY = f"""ringwall: 1
inbound:
  - {{ allow: [{ALLOWED}/udp, {ALLOWED}/tcp, 5002/tcp, ssh], from: anywhere }}
protected:
  - {{ services: [5432/tcp] }}
expect:
  - {{ allow: 5002/tcp, from: anywhere }}
  - {{ deny: {DENIED}/tcp, from: anywhere }}
"""
# Each lets in what is refused by the policy, too, but not 5002, which the policy lets in.
PORTS = (22, ALLOWED, DENIED)
UFW = "; ".join([*(f"ufw allow {port}" for port in PORTS), "ufw --force enable"])
NFTABLES = f"""#!/usr/sbin/nft -f
flush ruleset
table inet filter {{
        set ports {{ type inet_service; elements = {{ {", ".join(map(str, PORTS))} }}; }}
        chain input {{
                type filter hook input priority 0; policy drop
                ct state established accept
                meta l4proto ipv6-icmp accept
                tcp dport @ports counter accept
                udp dport @ports counter accept
        }}
}}
table ip nat {{
        chain before {{ type nat hook prerouting priority -100; }}
}}
"""
# What Docker and fail2ban have beside it, in their own tables and in those of iptables.
OTHERS = """
iptables -N DOCKER-USER; iptables -A DOCKER-USER -j RETURN; iptables -I FORWARD -j DOCKER-USER
iptables -t nat -N DOCKER; iptables -t nat -A PREROUTING -p tcp --dport 8080 -j DOCKER
iptables -t nat -A DOCKER -p tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80
nft -f - <<end
table inet f2b-table { chain f2b-chain { type filter hook input priority -1; ip saddr 192.0.2.66 drop; }; }
end
"""
LISTEN = """import socket, time
s = socket.create_server(("::", 5002), family=socket.AF_INET6, dualstack_ipv6=True)
time.sleep(600)
"""
WALL = "table inet wall { chain c { type filter hook input priority 0; tcp dport 5002 drop; }; }"
BANS = """[Unit]
PartOf=firewalld.service nftables.service
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=true
"""
PATH = "/var/lib/ringwall/takeover"


@pytest.fixture(name="host")
def make_host(yard, beside):
    """It is still switched off. No other firewall is enabled."""
    machine = yard.machine(beside)
    yield machine
    yard.retire(machine)


def start(machine, *ready, policy=POLICY):
    """With what containers and bans bring beside a policy that is confirmed. ready: a program that waits
    for what has to be there before them."""
    machine.path("/etc/systemd/system/fail2ban.service").write_text(BANS)
    machine.boot()
    machine.run("systemctl", "start", "fail2ban.service")
    machine.apply(policy)
    if ready:
        machine.run(*ready)
    machine.run("sh", "-ec", OTHERS)


def takeover(machine, *words, code=0):
    done = machine.run("ringwall", "takeover", *words, check=False)
    said = f"{done.stdout}{done.stderr}"
    assert done.returncode == code, f"exit {done.returncode}: {said}\n{machine.tell()}"
    return said


def others(machine):
    """What is not of the firewall that gives way."""
    saved = machine.run("sh", "-c", "iptables-save; iptables-save -t nat").stdout
    kept = [line for line in saved.splitlines() if "DOCKER" in line]
    assert machine.show("fail2ban.service", "ActiveState") == "active"
    return kept, machine.run("nft", "list", "table", "inet", "f2b-table").stdout


def units(machine):
    """What is enabled, and whether something has failed."""
    links = machine.run("find", "/etc/systemd/system", "/run/systemd/system", "-printf", r"%p %l\n").stdout
    return sorted(links.splitlines()), machine.run("systemctl", "--failed", "--plain", "--no-legend").stdout


def events(machine, number):
    lines = machine.run("ringwall", "events", "-n", number, "--json").stdout.splitlines()
    return [event["text"] for event in map(json.loads, lines) if event["kind"] == "takeover"]


def goes_and_comes(machine, name, is_on, in_force):
    """Over and back, with traffic all the time. is_on: whether its rules are there; in_force: as text."""
    before = others(machine), units(machine), in_force()
    assert is_on()
    stream = Stream(machine)
    stream.runs()
    said = takeover(machine, "--yes")
    assert f"{name} is disabled" in said
    stream.runs()
    assert_nothing_wrong(stream.stop())
    assert not is_on() and others(machine) == before[0] and units(machine)[1] == ""
    machine.run("ringwall", "verify")
    assert "no other firewall" in takeover(machine, "--yes")

    stream = Stream(machine)
    stream.runs()
    assert f"{name} is restored" in takeover(machine, "--undo", "--yes")
    stream.runs()
    tally = stream.stop()
    assert (tally.passed, tally.intruders) == (0, 0) and tally.denied >= 100, tally
    assert is_on() and (others(machine), units(machine), in_force()) == before
    assert not machine.path(PATH).exists()
    assert machine.status()["state"] == "closed"
    told = [f"takeover: {name.split('.')[0]} was {what}, by root" for what in ("disabled", "restored")]
    assert events(machine, 100)[-2:] == told


def ufw_status(machine):
    return machine.run("ufw", "status", "verbose").stdout


def test_ufw_gives_way_and_comes_back(host):
    start(host)
    host.run("sh", "-ec", UFW)
    listener = host.begin("python3", "-c", LISTEN)
    wait_until(lambda: ":5002" in host.run("ss", "-tln").stdout, 20, "a listener")
    verified = host.run("ringwall", "verify", check=False)
    assert verified.returncode == 10 and "5002" in verified.stdout  # ufw refuses what is to come in

    said = takeover(host, code=8)
    assert "ufw would be disabled" in said and "all 3 claims" in said and "--yes" in said
    assert "opens tcp 5002, which listens, for the network of eth0\n" in said
    assert "Status: active" in ufw_status(host) and not host.path(PATH).exists()

    goes_and_comes(host, "ufw", lambda: "Status: active" in ufw_status(host), lambda: ufw_status(host))
    listener.kill()
    listener.wait(30)


def nftables_service(host, policy):
    """Its own words for an end are 'flush ruleset'."""
    host.path("/etc/nftables.conf").write_text(NFTABLES)
    rootfs.inside(host.root, "systemctl", "enable", "nftables.service")
    start(host, policy=policy)

    def listed():
        text = host.run("nft", "list", "table", "inet", "filter", check=False).stdout
        return re.sub(r"packets \d+ bytes \d+", "", text), host.show("nftables.service", "ActiveState")

    said = takeover(host, code=8)
    assert "delete its tables (inet filter)" in " ".join(said.split())
    assert "table ip nat stays until the next boot: the chain DOCKER" in " ".join(said.split())
    goes_and_comes(host, "nftables.service", lambda: "inet filter" in host.tables(), listed)


def test_nftables_service_gives_way_and_comes_back(host):
    nftables_service(host, POLICY)


def test_nothing_is_done_before_all_is_confirmed_and_proved(host):
    start(host)
    host.run("sh", "-ec", UFW)
    before = ufw_status(host)

    # a change waits
    host.apply(POLICY.replace("5002/tcp, ssh", "5002/tcp, 5003/tcp, ssh"), confirm=False)
    said = takeover(host, "--yes", code=9)
    assert "ringwall confirm" in said and "nothing was done" in said
    host.run("ringwall", "confirm")

    # the files say something else
    host.write_policy(POLICY)
    assert "ringwall apply" in takeover(host, "--yes", code=8)
    host.run("ringwall", "apply", "--no-confirm")

    # another program refuses what is to come in
    host.run("nft", WALL)
    said = takeover(host, "--yes", code=10)
    assert "REFUTED" in said and "5002" in said and "nothing was done" in said
    host.run("nft", "delete", "table", "inet", "wall")

    # nothing is in force
    host.run("ringwall", "panic", "on", "--i-have-console")
    assert "panic off" in takeover(host, "--yes", code=1)
    host.run("ringwall", "panic", "off")
    host.run("systemctl", "stop", "ringwalld")
    assert "systemctl status ringwalld" in takeover(host, "--yes", code=5)
    assert ufw_status(host) == before and not host.path(PATH).exists()
