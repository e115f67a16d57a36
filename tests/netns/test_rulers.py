# SPDX-License-Identifier: GPL-2.0-or-later
"""verify and explain --live beside the rules of other programs, and with theirs alone: firewalld,
fail2ban, libvirt and Podman, the real ones. Each answer is tried with real packets."""

import ipaddress
import json
import re
import socket

import pytest
from fixtures import world_for
from host import TCP, Packet, address
from lab import LINKS, wait_until
from packets import number_of
from program import explain, ringwall
from rulers import DEADLINE, Fail2ban, Firewalld, Libvirt, cni, podman
from world import EXAMPLE, PUBLISHED

WAN = '[203.0.113.0/24, "2001:db8:ffff::/64"]'
HOST = '[203.0.113.1, "2001:db8:ffff::1"]'
EXPECTING = (
    EXAMPLE
    + f"""
expect:
  - {{ allow: https, from: {WAN}, to: {HOST} }}
  - {{ allow: ssh, from: lan }}
  - {{ deny: ssh, in: eth0, from: {WAN} }}
  - {{ deny: any, in: eth0, section: routed }}
"""
)
# Connections by which an answer is tried: who, where, port. Of claims that something is reachable
# they have to succeed if it is proved, of the others to fail.
TRIES = {
    "ollama": [("wan", "host", 11434), ("wan", "host", 5432), ("guest", "host:eth1.20", 5678)],
    "grafana": [("wan", "host", 3000), ("vpn", "host:wg0", 3000)],
    "allow https": [("wan", "host", 443)],
    "allow ssh": [("lan", "host:eth1", 22)],
    "deny ssh": [("wan", "host", 22)],
    "deny any": [("wan", "lan", 80), ("wan", "c1", 80)],
}
P, R, U = "proved", "refuted", "undecided"
ALL_PROVED = (P,) * len(TRIES)
FAMILIES = (4, 6)
PEER = ("203.0.113.2", "2001:db8:ffff::2")
HTTPS = "tcp from 203.0.113.2 to 203.0.113.1:443 in eth0"

make_world = world_for("module", foreign=None)


@pytest.fixture(autouse=True)
def clean(world, tidy):
    yield
    world.lab.nft("flush ruleset")
    world.current = None


def verify(world, policy=EXPECTING):
    done = ringwall(world.lab, "verify", "--policy", world.file(policy), "--json", check=False)
    assert done.returncode in (0, 10, 11), done.stderr
    return json.loads(done.stdout)["claims"]


# --- packets that refute ---


def give(world, ns, text):
    """The peer has that address, too."""
    long = ["-6"] * (":" in text)
    length = "128" if long else "32"
    world.lab.run(ns, ["ip", *long, "addr", "replace", f"{text}/{length}", "dev", "eth0"] + ["nodad"] * bool(long))


def home_of(world, text, homes):
    """The namespace where that address is."""
    family, _ = address(text)
    ip = ipaddress.ip_address(text)
    if text in homes:
        return homes[text]
    if text in PUBLISHED.values():
        return "fw"
    for ns, link in LINKS.items():
        host = ipaddress.ip_interface(link[1 if family == 4 else 3])
        if ip == host.ip:
            return "fw"
        if ip in host.network:
            give(world, ns, text)
            return ns
    raise AssertionError(f"{text} is nowhere")


def saw(s, number):
    while True:
        try:
            if number_of(s.recv(4096)) == number:
                return True
        except BlockingIOError:
            return False


def packet_of(claim):
    """Who could send the packet that refutes: the peer, and from where to where."""
    found = re.match(r"tcp from (\S+) to (\S+) port (\d+), arriving by ([^\s,:]+)", claim["packet"])
    assert found, claim
    source, to, port, name = found.groups()
    return next(ns for ns, link in LINKS.items() if link[0] == name), source, to, int(port)


def comes_in(world, claim, homes):
    """Sends it: it is seen where it ends, behind all hooks."""
    ns, source, to, port = packet_of(claim)
    end = re.search(r"which ends at (\S+) port", claim["packet"])
    family, value = address(source)
    with world.lab.inside(home_of(world, end[1] if end else to, homes)):
        s = world.talk.keep(
            socket.socket(socket.AF_INET if family == 4 else socket.AF_INET6, socket.SOCK_RAW, TCP)
        )
    s.setblocking(False)
    number = world.craft(ns, Packet(family, value, address(to)[1], TCP, 49152, port))
    wait_until(lambda: saw(s, number), DEADLINE, f"seen: {claim['packet']}")


def is_kept_out(world, claim):
    ns, source, to, port = packet_of(claim)
    give(world, ns, source)
    assert world.talk.reach(ns, to, port, source) != "open", claim["packet"]


def check(world, *expected, policy=EXPECTING, homes=None):
    """The answers are those, and real packets say the same. Returns the claims by their words."""
    claims = verify(world, policy)
    assert [c["answer"] for c in claims] == list(expected), claims
    found = {}
    for name, claim in zip(TRIES, claims):
        wanted = name.startswith("allow")
        found[name] = claim
        if claim["answer"] == R and wanted:
            is_kept_out(world, claim)
        elif claim["answer"] == R:
            comes_in(world, claim, homes or {})
        # (another policy than the usual one denies something else to be routed)
        known = name != "deny any" or policy is EXPECTING
        for who, where, port in TRIES[name] if claim["answer"] == P and known else ():
            # (what is prohibited by ICMPv6 takes a second)
            for family in FAMILIES if wanted or (who, port) == ("wan", 11434) else (4,):
                said = world.reach(who, where, port, family)
                assert (said == "open") == wanted, (name, who, where, port, family, said)
    return found


def refuser(world, question):
    """Who refuses what ringwall lets through, as explain --live says: owner and chain."""
    answer = explain(world.lab, [question], "--live")[0]
    last = answer["tables"][-1]
    # all of them answer what they refuse
    assert answer["verdict"] == "reject" and last["does"] == "reject" and last["handle"] > 0, answer
    said = ringwall(world.lab, "explain", question, "--live").stdout
    assert "REFUSED: rejected with an answer, by another program's rules" in said
    assert f"{last['chain']}, handle {last['handle']}  ({last['owner']})" in said
    return last["owner"], last["chain"]


# --- firewalld ---


@pytest.mark.parametrize("backend", ["nftables", "iptables"])
def test_firewalld(world, tmp_path, backend):
    firewalld = Firewalld(world.lab, tmp_path, backend)
    try:
        # alone: its zone lets ssh in, and nothing else
        check(world, P, P, R, P, R, P)
        firewalld.cmd("--add-port=11434/tcp")
        firewalld.cmd("--add-forward-port=port=8443:proto=tcp:toport=5678")
        firewalld.cmd("--add-service=https")
        found = check(world, R, P, P, P, R, R)
        assert "port 11434" in found["ollama"]["packet"] or "port 5678" in found["ollama"]["packet"]
        # beside: what it lets in does not come in, what it refuses is not reachable
        world.use(EXPECTING)
        check(world, *ALL_PROVED)
        firewalld.cmd("--remove-service=https")
        found = check(world, P, P, R, P, P, P)
        assert found["allow https"]["way"][-1]["chain"] == {
            "nftables": "filter_IN_public",
            "iptables": "IN_public",
        }[backend]
        assert refuser(world, HTTPS) == ("firewalld", found["allow https"]["way"][-1]["chain"])
    finally:
        firewalld.close()


# --- fail2ban ---

JAILS = {
    "native": 'nftables-multiport[port="443,8000:8100"]',
    "whole": "nftables-allports",
    "early": "nftables[type=multiport, port=443, table=f2b-early, chain_hook=prerouting, chain_priority=-150]",
    "old": 'iptables-multiport[port="443,8000:8100"]',
    "oldwhole": "iptables-allports",
    "set": 'iptables-ipset-proto6[port="443"]',
}


def test_fail2ban(world, tmp_path):
    fail2ban = Fail2ban(world.lab, tmp_path, JAILS)
    try:
        world.use(EXPECTING)
        check(world, *ALL_PROVED)
        for jail in ("native", "whole", "old", "oldwhole", "early"):
            fail2ban.ban(jail, *PEER)
            claims = verify(world)
            assert [c["answer"] for c in claims] == [P, P, R, P, P, P], (jail, claims)
            is_kept_out(world, claims[2])
            owner, chain = refuser(world, HTTPS)
            assert owner == "fail2ban" and chain.startswith("f2b-"), (jail, owner, chain)
            fail2ban.set(jail, "unbanip", *PEER)
            assert world.reach("wan", "host", 443, 4) == "open"
            assert verify(world)[2]["answer"] == P, jail
        # what is in a set of ipset's is not read: either way
        fail2ban.ban("set", *PEER)
        claims = verify(world)
        assert [c["answer"] for c in claims] == [P, P, U, P, P, P], claims
        assert "xt match set" in claims[2]["hangs-on"]
    finally:
        fail2ban.close()


# --- libvirt ---


def to(*networks):
    return EXPECTING.replace(
        "{ deny: any, in: eth0, section: routed }",
        "{ deny: any, in: eth0, to: [" + ", ".join(f'"{n}"' for n in networks) + "], section: routed }",
    )


def test_libvirt(world, tmp_path):
    libvirt = Libvirt(world.lab, tmp_path)
    vm = {"192.168.151.2": "vm", "fd00:150::2": "vm"}
    try:
        libvirt.network("virbr5", "nat", "192.168.150", "fd00:150")
        libvirt.network("virbr7", "", "192.168.152", "fd00:152")
        world.lab.ip(
            "fw",
            "link add p-new type veth peer name vm0 netns vm\nlink set p-new master virbr5 up\n",
        )
        world.lab.ip(
            "vm",
            "link set vm0 up\naddr add 192.168.150.2/24 dev vm0\n"
            "addr add 192.168.151.2/24 dev vm0\naddr add fd00:150::2/64 dev vm0 nodad\n"
            "route add 203.0.113.0/24 via 192.168.151.1\n",
        )
        world.talk.listen("vm", 22)
        # alone: nobody gets to machines behind a translation, everybody to the host
        check(world, R, R, P, P, R, P, policy=to("192.168.150.0/24", "192.168.152.0/24", "fd00:152::/64"))
        assert world.talk.reach("wan", "192.168.150.2", 22) != "open"
        # IPv6 is routed all the same, and so is a network that is called so
        found = check(world, R, R, P, P, R, R, policy=to("fd00:150::2"), homes=vm)
        assert "to fd00:150::2" in found["deny any"]["packet"]
        libvirt.network("virbr6", "route", "192.168.151", "fd00:151")
        world.lab.ip("fw", "link set p-new master virbr6\n")
        found = check(world, R, R, P, P, R, R, policy=to("192.168.151.2"), homes=vm)
        assert "to 192.168.151.2" in found["deny any"]["packet"]
        assert world.talk.reach("wan", "192.168.151.2", 22) == "open"
        # beside
        world.use(to("192.168.151.2", "fd00:150::2"))
        check(world, *ALL_PROVED, policy=world.current)
        assert world.talk.reach("wan", "192.168.151.2", 22) != "open"
        # what its rules refuse, and ours do not
        asked = "tcp from 172.17.0.2 to 192.168.150.9:22 in docker0 out virbr5"
        assert refuser(world, asked) == ("libvirt", "LIBVIRT_FWI")
    finally:
        libvirt.close()
        world.lab.run("fw", ["ip", "link", "del", "p-new"], check=False)


# --- Podman ---

POSTGRES = EXPECTING.replace("[ollama, n8n, postgresql]", "[5432/tcp, ollama]")


def test_podman_by_netavark(world, tmp_path):
    homes = {"10.88.0.2": "c3", "fd10:88::2": "c3"}
    ports = [(8085, 80, 1), (9000, 5431, 3)]
    published = "protected:\n  - { services: 5432/tcp, only-from: containers }\n"
    policy = "ringwall: 1\ninbound:\n  - { allow: [8085/tcp, 9000-9002/tcp] }\n" + published
    with podman(world.lab, tmp_path, "c3", "10.88.0", "fd10:88", ports):
        world.servers.setdefault(("c3", 5431), world.talk.listen("c3", 5431))
        # alone: one port of a range that is published leads to what is protected
        only = policy.replace("5432/tcp, only", "5431-5433/tcp, only")
        (claim,) = verify(world, only)
        assert claim["answer"] == R, claim
        comes_in(world, claim, homes)
        assert world.reach("wan", "host", 9001, 4) == "open"
        # beside
        world.use(policy)
        (claim,) = verify(world, policy)
        assert claim["answer"] == P, claim
        for family in FAMILIES:
            assert world.reach("wan", "host", 9001, family) != "open"
            assert world.reach("wan", "host", 9000, family) == "open"
            assert world.reach("wan", "host", 8085, family) == "open"


def test_podman_by_cni(world, tmp_path):
    policy = "ringwall: 1\ninbound:\n  - { allow: 8086/tcp }\nprotected:\n  - { services: postgresql }\n"
    with cni(world.lab, tmp_path, "c3", "10.89.0", 8086, 5432):
        (claim,) = verify(world, policy)
        assert claim["answer"] == R, claim
        comes_in(world, claim, {"10.89.0.2": "c3"})
        assert world.reach("wan", "host", 8086, 4) == "open"
        world.use(policy)
        assert verify(world, policy)[0]["answer"] == P
        assert world.reach("wan", "host", 8086, 4) != "open"
