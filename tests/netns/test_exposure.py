# SPDX-License-Identifier: GPL-2.0-or-later
"""exposure: what the table says of each listener is what real packets find, with the policy in force
and without, beside the tables of other programs."""

import json
import socket
import subprocess

import pytest

from lab import wait_until
from program import ENVIRONMENT, PROGRAM, ringwall
from talk import NETWORK, host_address, peer_address
from world import EXAMPLE, PUBLISHED

# Every client of the lab's stands in exactly one of these.
ZONES = """
  wan: [203.0.113.0/24, "2001:db8:ffff::/64"]
  guest: { interfaces: [eth1.20] }
"""
POLICY = (
    EXAMPLE.replace("\n\ninbound:", ZONES + "\ninbound:", 1)
    .replace(
        "  - allow: https\n",
        "  - allow: https\n"
        "  - { allow: 7001/tcp }\n"
        "  - { allow: 7002-7004/tcp, from: [wan, guest] }\n"
        "  - { allow: 7005/udp, from: lan }\n"
        "  - { allow: 8080/tcp, from: wan }\n"
        "  - { allow: 8081/tcp, limit: 1000/second }\n",
    )
)
CLIENTS = {"wan": "wan", "lan": "lan", "guest": "guest", "vpn": "vpn", "c3": "containers"}
LAN = {family: host_address("eth1", family) for family in (4, 6)}


def listen_at(world, address, port, only6=False):
    family = 6 if ":" in address else 4
    with world.lab.inside("fw"):
        s = world.talk.keep(socket.socket(NETWORK[family], socket.SOCK_STREAM))
        if family == 6:
            s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only6)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind((address, port))
        s.listen(64)
    return s


@pytest.fixture(name="world", scope="module")
def make_world(world):
    for address, port, only6 in (
        ("127.0.0.1", 7000, False),
        ("::1", 7000, True),
        (LAN[4], 7001, False),
        (LAN[6], 7001, True),
        ("0.0.0.0", 7002, False),
        ("::", 7003, True),
        (LAN[4], 7004, False),
        ("127.0.0.1", 7004, False),
    ):
        listen_at(world, address, port, only6)
    world.datagrams = {port: world.talk.receive_on("fw", port) for port in (7005, 7006)}
    return world


def exposure(world, code, *more):
    argv = ["exposure", "--policy", world.file(POLICY), "--json", *more]
    done = ringwall(world.lab, *argv, check=False)
    assert done.returncode == code, f"exit {done.returncode}\n{done.stdout}{done.stderr}"
    return json.loads(done.stdout)


def rows(answer, port, kind="listens", protocol="tcp"):
    found = [
        r
        for r in answer["ports"]
        if r["port"] == port and r["kind"] == kind and r["protocol"] == protocol
    ]
    assert found, f"{port}/{protocol} is not listed: {answer['ports']}"
    return found


def row(answer, port, kind="listens", protocol="tcp"):
    (found,) = rows(answer, port, kind, protocol)
    return found


def reached(one, zone, family):
    """Whether the row says that the zone's clients get there over that family."""
    for answer in one["reachedFrom"]:
        if answer["zone"] == zone:
            assert answer["sure"] and answer["all"], one
            return answer.get("family", f"IPv{family}") == f"IPv{family}"
    return False


def dialled(one, family):
    if one["at"] in ("*", "0.0.0.0", "::"):
        return PUBLISHED[family] if one["port"] == 443 else host_address("eth0", family)
    return one["at"]


def test_each_answer_is_what_a_connection_finds_with_the_policy_in_force(world):
    world.use(POLICY)
    answer = exposure(world, 0)
    assert answer["inForce"] and not answer["notSure"]
    n = {True: 0, False: 0}
    for one in answer["ports"]:
        if one["protocol"] != "tcp" or one["kind"] == "routed" or one["at"] == "loopback":
            continue
        for family in (4, 6):
            to = dialled(one, family)
            # the outer address at which 443 is translated has a row of its own
            if f"IPv{family}" not in one["families"] or (one["port"] == 443 and one["at"] == "*"):
                continue
            for client, zone in CLIENTS.items():
                told = reached(one, zone, family)
                # a packet that is refused takes its time: of these a few will do
                if not told and client in ("vpn", "c3") and one["port"] not in (22, 8080):
                    continue
                found = world.talk.reach(client, to, one["port"]) == "open"
                assert told == found, f"{client} to {to}, family {family}: {one}"
                n[told] += 1
    assert n[True] >= 20 and n[False] >= 30, n


def test_what_is_bound_to_loopback_is_this_hosts_alone(world):
    world.use(POLICY)
    one = row(exposure(world, 0), 7000)
    assert one["at"] == "loopback" and one["families"] == ["IPv4", "IPv6"]
    assert one["danger"] == "closed" and not one["byNeighbours"]
    assert {r["at"] for r in rows(exposure(world, 0), 7004)} == {LAN[4], "loopback"}


def test_datagrams_find_what_the_table_says(world):
    world.use(POLICY)
    answer = exposure(world, 0)
    for port, server in world.datagrams.items():
        one = row(answer, port, protocol="udp")
        for client, zone in CLIENTS.items():
            for family in (4, 6):
                fate = world.talk.datagram(client, host_address("eth0", family), port, server)
                assert reached(one, zone, family) == (fate == "arrived"), (client, family, one)
    assert row(answer, 7005, protocol="udp")["danger"] == "outside"
    assert row(answer, 7006, protocol="udp")["danger"] == "closed"


def test_published_ports_are_listed_with_where_they_end_whoever_translates(world):
    world.use(POLICY)
    lines = (
        "*nat\n:PREROUTING ACCEPT [0:0]\n"
        "-A PREROUTING -d 203.0.113.1 -p tcp --dport 9090 -j DNAT --to-destination 172.17.0.3:80\n"
        "COMMIT\n"
    )
    world.lab.run("fw", ["iptables-nft-restore"], text=lines)
    try:
        answer = exposure(world, 0)
        theirs = row(answer, 9090, "published")
        assert theirs["at"] == "203.0.113.1" and theirs["target"] == "172.17.0.3:80"
        assert theirs["targetPort"] == 80 and theirs["danger"] == "closed"
        assert {r["target"] for r in rows(answer, 8080, "published")} == {
            "172.17.0.2:80",
            "[fd00:17::2]:80",
        }
        # a container's own socket is not this host's
        assert not [r for r in answer["ports"] if r["port"] == 80 and r["kind"] == "listens"]
    finally:
        world.lab.run("fw", ["nft", "delete", "table", "ip", "nat"])


def test_without_a_policy_in_force_what_is_protected_comes_first(world):
    world.use(None)
    answer = exposure(world, 10)
    assert not answer["inForce"]
    order = ["protected", "internal", "undecided", "internet", "outside", "closed"]
    dangers = [order.index(r["danger"]) for r in answer["ports"]]
    assert dangers == sorted(dangers)
    ollama = row(answer, 11434)
    assert ollama["danger"] == "protected" and "protected ollama" in ollama["protected"]
    assert "port 11434" in ollama["packet"]
    assert world.reach("wan", "host", 11434, 4) == "open"
    # 443 of the other outer address ends at n8n
    (n8n,) = [r for r in rows(answer, 443, "published") if r["at"] == PUBLISHED[4]]
    assert n8n["danger"] == "protected" and n8n["target"] == "172.17.0.2:5678"
    assert world.reach("wan", "published", 443, 4) == "open"
    # that n8n is reached at its own address as well is no news
    assert not [r for r in answer["ports"] if r["kind"] == "routed"]
    assert row(answer, 7000)["danger"] == "closed"
    world.forget()


def test_a_container_that_is_reached_at_its_own_address_is_told_of(world):
    world.use(None)
    world.lab.nft(
        "table ip other {\n    chain theirs { type filter hook forward priority 0\n"
        f"        ct original ip daddr {PUBLISHED[4]} drop\n    }}\n}}\n"
    )
    try:
        answer = exposure(world, 10)
        (published,) = [r for r in rows(answer, 443, "published") if r["at"] == PUBLISHED[4]]
        assert published["danger"] == "closed"
        direct = row(answer, 5678, "routed")
        assert direct["at"] == peer_address("c1", 4) and direct["danger"] == "protected"
        assert world.talk.reach("wan", direct["at"], 5678) == "open"
    finally:
        world.lab.run("fw", ["nft", "delete", "table", "ip", "other"])
        world.forget()


def test_another_programs_drop_closes_what_it_closes(world):
    world.use(None)
    world.lab.nft(
        "table inet other {\n    chain in { type filter hook input priority 0; policy accept\n"
        "        ip saddr 203.0.113.0/24 tcp dport 7002 reject with tcp reset\n"
        "        tcp dport 7003 ct count over 100 drop\n    }\n}\n"
    )
    try:
        answer = exposure(world, 10)
        # whoever stays within a limit comes in
        assert reached(row(answer, 7003), "wan", 6) and not answer["notSure"]
        one = row(answer, 7002)
        assert not reached(one, "wan", 4) and reached(one, "lan", 4)
        assert world.reach("wan", "host", 7002, 4) == "refused"
        assert world.reach("lan", "host", 7002, 4) == "open"
    finally:
        world.lab.run("fw", ["nft", "delete", "table", "inet", "other"])
        world.forget()


def test_what_is_not_understood_is_not_sure(world):
    world.use(POLICY)
    world.lab.run("fw", "nft insert rule inet ringwall input meta cpu 7 tcp dport 11434 accept".split())
    world.forget()
    answer = exposure(world, 11)
    assert row(answer, 11434)["danger"] == "undecided"
    assert any("cpu" in reason for reason in answer["notSure"]), answer["notSure"]
    assert row(answer, 443)["danger"] == "internet"


def test_the_table_is_narrow_has_no_escapes_and_ends_with_a_summary(world):
    world.use(POLICY)
    done = ringwall(world.lab, "exposure", "--policy", world.file(POLICY))
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["PORT", "AT", "WHAT", "REACHED", "FROM"]
    assert "\033" not in done.stdout and max(map(len, lines)) <= 100
    (ssh,) = [line for line in lines if line.split()[:1] == ["22/tcp"]]
    assert ssh.endswith("lan, vpn")
    assert "this host alone" in [line for line in lines if " 7000/tcp" in line][0]
    assert lines[-1].startswith(f"{len(lines) - 2} ports: ")
    world.use(None)
    done = ringwall(world.lab, "exposure", "--policy", world.file(POLICY), check=False)
    assert done.returncode == 10 and "No policy of ringwall's is in force" in done.stdout
    assert "\n!! 11434/tcp" in done.stdout and "ringwall apply" in done.stdout
    world.forget()


def test_without_root_it_says_what_is_needed(world):
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"]
    done = world.lab.run("fw", [*nobody, PROGRAM, "exposure"], check=False, env=ENVIRONMENT)
    assert done.returncode == 4 and "run it as root" in done.stderr and not done.stdout


def test_a_policy_that_is_not_there_is_no_answer(world):
    done = ringwall(world.lab, "exposure", "--policy", "/nowhere.yaml", check=False)
    assert done.returncode == 3 and "/nowhere.yaml" in done.stderr
    done = ringwall(world.lab, "exposure", "/nowhere.yaml", check=False)
    assert done.returncode == 2 and "--policy FILE" in done.stderr


def test_who_listens_is_named_and_programs_of_other_namespaces_are_not(world):
    code = (
        "import socket; s = socket.socket(); s.bind(('', 7010)); s.listen(); "
        "print('ready', flush=True); input()"
    )
    with world.lab.popen(
        "fw", ["/usr/bin/python3", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        wait_until(child.stdout.readline, 20, "the listener")
        world.use(POLICY)
        one = row(exposure(world, 0), 7010)
        child.stdin.close()
    assert one["program"].startswith("python3") and one["process"] == child.pid
    assert one["at"] == "0.0.0.0"
