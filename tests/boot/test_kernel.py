# SPDX-License-Identifier: GPL-2.0-or-later
"""What old kernels do otherwise than newer ones, and what must come out the same.

Runs in the guest of tests/boot/kernel-* and nowhere else: it tries out what ringwall does in the
network namespace of process 1."""

import json
import os
import re
import socket
import subprocess
import sys
from dataclasses import replace

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
TESTS = os.path.dirname(HERE)
sys.path[:0] = [os.path.join(TESTS, "netns"), os.path.join(TESTS, "oracle")]

with open("/proc/cmdline", encoding="ascii") as f:
    if "ringwall.guest" not in f.read().split():
        raise RuntimeError("these tests are for the guest of tests/boot/kernel-* alone")

from daemon import Daemon  # noqa: E402
from host import TCP, UDP, Packet, address  # noqa: E402
from lab import can_own_tables, wait_until  # noqa: E402
from packets import number_of, packet_bytes  # noqa: E402
from program import ENVIRONMENT, PROGRAM, explain, ringwall  # noqa: E402
from world import NOTHING, World  # noqa: E402

AI_SERVER = os.path.join(os.path.dirname(TESTS), "policies/ai-server.yaml")
REJECTS = "ringwall: 1\ninbound: reject\nrouted: reject\n"
UNROUTED = {4: "192.0.2.9", 6: "2001:db8:2::9"}


def policy_text():
    with open(AI_SERVER, encoding="utf-8") as policy:
        return policy.read()


def program(*words, text=None):
    return subprocess.run(
        words, input=text, capture_output=True, text=True, timeout=60, env=ENVIRONMENT
    )


def loaded_modules():
    with open("/proc/modules", encoding="ascii") as modules:
        return {line.split()[0] for line in modules}


# --- before any program has used nf_tables: these come first --------------------------------------


@pytest.mark.parametrize("module, text", [("nf_tables", None), ("nft_reject_inet", REJECTS)])
def test_the_kernel_loads_its_modules_when_a_policy_needs_them(tmp_path, module, text):
    path = tmp_path / "policy.yaml"
    path.write_text(text or policy_text())
    assert module not in loaded_modules(), "too late: something has loaded it already"
    done = program("unshare", "-n", PROGRAM, "load", str(path))
    assert (done.returncode, done.stderr) == (0, "")
    assert module in loaded_modules()


OTHER_PORTS = """
ringwall: 1
inbound:
  - { allow: 68-168/tcp, from: private }
  - { allow: 3000/tcp, from: private }
routed:
  - { allow: 5353/udp, from: private }
"""
CONNECTIONS = """
ringwall: 1
inbound:
  - { allow: 22/tcp, from: private, connections: 10 }
"""


def test_a_module_that_is_loaded_on_the_way_leaves_nothing_of_the_old_policy_in_use(tmp_path):
    """To load a module the kernel takes the transaction back and starts anew. Some count a map's
    elements twice in it, and then refuse to remove the chains that the map leads to."""
    files = [tmp_path / "old.yaml", tmp_path / "new.yaml"]
    for path, text in zip(files, (OTHER_PORTS, CONNECTIONS)):
        path.write_text(text)
    assert "nft_connlimit" not in loaded_modules(), "too late: something has loaded it already"
    script = '"$0" load "$1" && "$0" load "$2" && exec "$0" show --live'
    done = program("unshare", "-n", "sh", "-c", script, PROGRAM, *map(str, files))
    assert (done.returncode, done.stderr) == (0, "")
    assert "nft_connlimit" in loaded_modules()
    assert "inbound-tcp-22" in done.stdout and "3000" not in done.stdout


def test_the_machines_own_network_is_refused():
    done = program("nsenter", "-t", "1", "-n", PROGRAM, "load", AI_SERVER)
    assert done.returncode == 4 and "network namespace of process 1" in done.stderr
    assert program("nsenter", "-t", "1", "-n", "nft", "list", "tables").stdout == ""


# --- a policy in force ----------------------------------------------------------------------------


@pytest.fixture(scope="module", name="world")
def make_world(tmp_path_factory):
    w = World(tmp_path_factory.mktemp("policy"))
    yield w
    w.close()


@pytest.fixture(autouse=True)
def tidy(request):
    """A test's sockets end with it."""
    if "world" not in request.fixturenames:
        yield
        return
    talk = request.getfixturevalue("world").talk
    before = len(talk.open_sockets)
    yield
    talk.close(before)


def test_a_second_load_changes_nothing_and_says_so(world):
    world.use(policy_text())
    listing = lambda: world.lab.run("fw", ["nft", "-a", "list", "ruleset"]).stdout
    before = listing()
    done = ringwall(world.lab, "load", world.file(policy_text()))
    assert "was in force already: nothing changed" in done.stdout
    assert listing() == before


def compares_with_routes(expression):
    """Whether nft's JSON holds a fib expression that asks where a source is led back to."""
    if isinstance(expression, list):
        return any(compares_with_routes(e) for e in expression)
    if not isinstance(expression, dict):
        return False
    fib = expression.get("fib")
    if fib and fib["result"] == "oif" and "saddr" in fib["flags"]:
        return True
    return any(compares_with_routes(e) for e in expression.values())


FIB_IN_INPUT = """
table inet foreign_fib {
    chain input { type filter hook input priority 0
        fib saddr oif missing counter
    }
}
"""


def test_sources_are_compared_with_the_routes_where_this_kernel_can(world):
    """Old kernels do it in prerouting alone."""
    tried = world.lab.run("fw", ["nft", "-f", "-"], FIB_IN_INPUT, check=False)
    if tried.returncode == 0:
        world.lab.nft("delete table inet foreign_fib")
    else:
        assert "Operation not supported" in tried.stderr
    if os.uname().release.startswith("5."):
        assert tried.returncode != 0, "then no kernel here tries the other way"
    world.use(policy_text())
    listing = world.lab.run("fw", ["nft", "-j", "list", "table", "inet", "ringwall"]).stdout
    where = {
        item["rule"]["chain"]
        for item in json.loads(listing)["nftables"]
        if "rule" in item and compares_with_routes(item["rule"]["expr"])
    }
    assert where == ({"input", "forward"} if tried.returncode == 0 else {"prerouting"})


QUESTIONS = [
    "tcp from 10.40.10.2 to 10.40.10.1:22 in eth1",
    "tcp from fd00:40:10::2 to [fd00:40:10::1]:22 in eth1",
    "tcp from 203.0.113.2 to 203.0.113.1:22 in eth0",
    "tcp from 203.0.113.2 to 203.0.113.1:443 in eth0",
    "tcp from 203.0.113.2 to 203.0.113.1:443 in eth0 source unrouted",
    "tcp from 10.40.10.2 to 10.40.10.1:11434 in eth1",
    "tcp from 10.40.10.2 to 10.40.10.1:3000 in eth1",
    "tcp from 203.0.113.2 to 172.17.0.2:5678 in eth0 out docker0 dialled 203.0.113.7:443",
    "tcp from 172.17.0.2 to 203.0.113.2:443 in docker0 out eth0",
    "tcp from 172.17.0.2 to 203.0.113.2:443 in docker0 out eth0 source unrouted",
    "tcp from 192.0.2.9 to 172.17.0.3:80 in docker0 out docker0 bridged source unrouted",
    "udp from 192.0.2.9:67 to 10.40.10.1:68 in eth1 source unrouted",
    "icmpv6 nd-neighbor-solicit from :: to fd00:40:10::1 in eth1 hop-limit 255 source unrouted",
    "udp from fd00:40:10::1 to [fd00:40:10::1]:53 in eth1 source own",
    "tcp from host to 203.0.113.2:443 out eth0",
]


def test_what_is_in_force_means_what_the_policy_says(world):
    world.use(policy_text())
    meant = explain(world.lab, QUESTIONS, AI_SERVER)
    live = explain(world.lab, QUESTIONS, "--live")
    assert {answer["verdict"] for answer in meant} == {"accept", "drop"}
    told = lambda answers: [(a["question"], a["hook"], a["verdict"]) for a in answers]
    assert told(live) == told(meant)


def test_what_show_prints_of_the_kernel_loads_again_as_the_same(world):
    without_counts = lambda text: re.sub(r"counter packets \d+ bytes \d+", "counter", text)
    world.use(policy_text())
    shown = without_counts(ringwall(world.lab, "show", "--live").stdout)
    script = 'ip link set lo up; nft -f - && exec "$0" show --live'
    done = program("unshare", "-n", "sh", "-c", script, PROGRAM, text=shown)
    assert (done.returncode, done.stderr) == (0, "")
    assert without_counts(done.stdout) == shown


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize(
    "who, where, port, expected",
    [
        ("lan", "host:eth1", 22, "open"),
        ("lan", "host:eth1", 443, "open"),
        ("lan", "host:eth1", 3000, "open"),
        ("lan", "host:eth1", 11434, "dropped"),
        ("wan", "host", 443, "open"),
        ("wan", "host", 22, "dropped"),
        ("wan", "host", 3000, "dropped"),
        ("wan", "host", 11434, "dropped"),
        ("wan", "host", 8080, "dropped"),  # published to a container's 80
        ("wan", "published", 443, "dropped"),  # published to a container's protected 5678
        ("c1", "host:docker0", 11434, "dropped"),
        ("c1", "wan", 443, "open"),
    ],
)
def test_the_ready_policy_with_real_connections(world, who, where, port, expected, family):
    world.use(policy_text())
    assert world.reach(who, where, port, family) == expected


# --- where the other way could go wrong: in prerouting, nothing is yet known of where a packet goes


@pytest.mark.parametrize("family", [4, 6])
def test_a_source_to_which_nothing_leads_back_is_dropped_whatever_it_dials(world, family):
    """Delivered here, published by a container, routed: each would be admitted otherwise."""
    to = '[172.17.0.2, "fd00:17::2"]'
    world.use(
        "ringwall: 1\ninbound: [{ allow: any, from: anywhere }]\n"
        f"routed: [{{ allow: any, to: {to} }}]\n"
    )
    raw = world.raw(family, TCP)
    for where, port in (("host", 443), ("host", 8080), ("c1", 80)):
        spoofed = Packet(
            family,
            address(UNROUTED[family])[1],
            address(world.address(where, family))[1],
            TCP,
            1234,
            port,
        )
        assert world.fate("wan", spoofed, raw) == "dropped"
        assert world.reach("wan", where, port, family) == "open"


def test_the_answer_of_a_dhcp_server_that_no_route_leads_to_arrives(world):
    raw = world.raw(4, UDP)
    world.use(NOTHING)
    here = address("10.40.10.1")[1]
    answer = Packet(4, address(UNROUTED[4])[1], here, UDP, 67, 68, came_in="eth1")
    assert world.fate("lan", answer, raw) == "arrived"
    broadcast = replace(answer, destination=address("255.255.255.255")[1])
    assert world.fate("lan", broadcast, raw) == "arrived"
    assert world.fate("lan", replace(answer, source_port=66), raw) == "dropped"
    assert world.fate("lan", replace(answer, port=69), raw) == "dropped"


COUNT_BRIDGED = """
table inet foreign_count {
    chain forward { type filter hook forward priority -20
        iifname docker0 oifname docker0 ip saddr 192.0.2.9 counter
        iifname docker0 oifname docker0 ip6 saddr 2001:db8:2::9 counter
    }
}
"""


@pytest.mark.parametrize("family", [4, 6])
def test_frames_within_a_bridge_pass_though_br_netfilter_shows_them_to_the_hooks(world, family):
    """From a source that no route leads back to, to a protected service: not this policy's
    business."""
    world.use(NOTHING)
    with world.lab.inside("fw"):
        for name in ("iptables", "ip6tables"):
            with open(f"/proc/sys/net/bridge/bridge-nf-call-{name}", encoding="ascii") as setting:
                assert setting.read() == "1\n"
    with world.lab.inside("c2"):
        wire = world.talk.keep(socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3)))
        wire.bind(("eth0", 3))
    wire.setblocking(False)
    frame = Packet(
        family,
        address(UNROUTED[family])[1],
        address(world.address("c2", family))[1],
        TCP,
        1234,
        5432,
    )
    world.lab.nft(COUNT_BRIDGED)
    try:
        world.number += 1
        send_frame(world, "c1", world.lab.mac["c2", "eth0"], packet_bytes(frame, world.number))

        def seen():
            try:
                return number_of(wire.recv(2048)) == world.number
            except BlockingIOError:
                return False

        wait_until(seen, 10, "the frame at the other port")
        listing = world.lab.run("fw", ["nft", "list", "table", "inet", "foreign_count"]).stdout
        assert "counter packets 1 " in listing, "the frame did not pass the forward hook"
        # What this host is to route is not the bridge's own, even back through the same bridge.
        routed = replace(frame, source_port=1235)
        assert world.fate("c1", routed, world.raw(family, TCP)) == "dropped"
    finally:
        world.lab.nft("delete table inet foreign_count")


def send_frame(world, ns, to, data):
    kind = 0x0800 if data[0] >> 4 == 4 else 0x86DD
    with world.lab.inside(ns):
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as s:
            s.bind(("eth0", 0))
            s.send(to + world.lab.mac[ns, "eth0"] + kind.to_bytes(2, "big") + data)


# --- the daemon, last: its tables stay ------------------------------------------------------------

NOBODYS = "owner none: other programs can change the rules"
LET_IN = "insert rule inet ringwall input tcp dport 22 accept"


def tables(world):
    return world.lab.run("fw", ["nft", "list", "tables"]).stdout.splitlines()


def test_where_no_owner_persists_the_daemon_watches_and_puts_right(world, tmp_path):
    """The rules are nobody's, for they would go with their owner."""
    assert not can_own_tables(), "this is for older kernels"
    world.lab.nft("add table inet ringwall\ndelete table inet ringwall")
    daemon = Daemon(world, tmp_path)
    status = lambda: " ".join(
        ringwall(world.lab, "status", "--runtime-dir", str(daemon.runtime)).stdout.split()
    )
    from_outside = lambda: world.reach("wan", "host", 22, 4)
    try:
        daemon.start()
        assert daemon.apply(policy_text(), "--no-confirm")[0] == 0
        listing = world.lab.run("fw", ["nft", "list", "table", "inet", "ringwall"]).stdout
        assert NOBODYS in status() and not re.search(r"^\tflags\b", listing, re.M)
        assert from_outside() == "dropped"
        world.lab.nft(LET_IN)
        wait_until(lambda: daemon.status()["drift"]["undone"] == 1, 20, "the heal")
        assert from_outside() == "dropped"
        assert "other programs changed the rules 1 time, undone 1" in status()
        # What may go with the daemon is the daemon's own.
        assert "table inet ringwall_track" in tables(world)
        daemon.kill()
        wait_until(lambda: "table inet ringwall_track" not in tables(world), 10, "its end")
        assert from_outside() == "dropped" and world.reach("wan", "host", 443, 4) == "open"
        world.lab.nft(LET_IN)
        assert from_outside() == "open"
        daemon.start()
        assert from_outside() == "dropped" and NOBODYS in status()
    finally:
        daemon.kill()
