# SPDX-License-Identifier: GPL-2.0-or-later
"""`user`, `group` and `until` with real sockets."""

import json
import pwd
import socket
import time
from datetime import datetime, timezone

import pytest

from fixtures import world_for
from host import ICMP, ICMPV6, Packet, address
from lab import wait_until
from program import explain, ringwall
from talk import NETWORK, exchange, peer_address
from world import accept_from

# Becomes who it is told to be, dials, and says what came of it; a process for each.
DIAL = """
import json, os, socket, sys
def dial(user, group, others, to, port):
    os.setgroups(others); os.setresgid(group, group, group); os.setresuid(user, user, user)
    s = socket.socket(socket.AF_INET6 if ":" in to else socket.AF_INET)
    s.settimeout(10)
    try:
        s.connect((to, port))
        return "open"
    except OSError as e:
        return "refused" if e.errno in (111, 113) else "errno %s" % e.errno
for case in json.load(sys.stdin):
    r, w = os.pipe()
    if os.fork() == 0:
        os.write(w, dial(*case).encode())
        os._exit(0)
    os.wait()
    print(os.read(r, 100).decode())
"""

NOBODY = 65534
# By name where there is one: a bare machine may know no users.
NOBODYS_NAME = "nobody" if any(p.pw_name == "nobody" for p in pwd.getpwall()) else NOBODY
REDIRECT = """
table ip foreign_output {
    chain OUTPUT { type nat hook output priority -100
        fib daddr type local tcp dport 8090 dnat to 172.17.0.2:80
    }
}
table ip6 foreign_output {
    chain OUTPUT { type nat hook output priority -100
        fib daddr type local tcp dport 8090 dnat to [fd00:17::2]:80
    }
}
"""

make_world = world_for("module", foreign=None)


pytestmark = pytest.mark.usefixtures("tidy")


def dial_as(world, cases):
    """What came of each (user, group, other groups, address, port)."""
    done = world.lab.run("fw", ["/usr/bin/python3", "-c", DIAL], json.dumps(cases))
    return done.stdout.split("\n")[:-1]


# (user, group, other groups, port) → whether the policy below lets it out
OWNERS = [
    (1234, 7, [], 80, True),
    (0, 7, [], 80, False),
    (0, 0, [], 80, False),
    (1235, 7, [], 80, False),
    (7, 4321, [], 443, True),
    (0, 4321, [], 443, True),
    (7, 4322, [4321], 443, False),  # not its primary group
    (4321, 7, [], 443, False),
    (NOBODY, 4321, [], 5432, True),
    (1236, 4321, [], 5432, True),
    (NOBODY, 4322, [], 5432, False),
    (1234, 4321, [], 5432, False),
    (7, 7, [], 3000, True),
    (1234, 7, [], 3000, False),  # denied
]


@pytest.mark.parametrize("family", [4, 6])
def test_the_owner_of_the_socket_decides(world, family):
    world.use(
        "ringwall: 1\noutbound:\n  default: reject\n  rules:\n"
        "    - { allow: 80/tcp, user: 1234 }\n"
        "    - { allow: 443/tcp, group: 4321 }\n"
        f"    - {{ allow: 5432/tcp, user: [{NOBODYS_NAME}, 1236], group: 4321 }}\n"
        "    - { allow: 3000/tcp }\n"
        "    - { deny: 3000/tcp, user: [1234, 1236] }\n"
    )
    world.talk.listen("lan", 5432, 3000)
    to = peer_address("lan", family)
    got = dial_as(world, [(u, g, others, to, port) for u, g, others, port, _ in OWNERS])
    assert got == ["open" if allowed else "refused" for *_, allowed in OWNERS]
    for user, group, _, port, allowed in OWNERS:
        to_text = f"[{to}]" if family == 6 else to
        question = f"tcp from host to {to_text}:{port} out eth1 user {user} group {group}"
        answer = explain(world.lab, [question], "--live")[0]
        assert (answer["verdict"] == "accept") == allowed, question


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("out", ["", ", out: docker0"])
def test_the_owner_of_a_redirected_connection_decides(world, out, family):
    """With interfaces it is judged where it leaves."""
    world.use(
        "ringwall: 1\noutbound:\n  default: reject\n  rules:\n"
        f"    - {{ allow: 80/tcp, user: 1234{out} }}\n"
        f"    - {{ allow: 80/tcp, group: 4321{out} }}\n"
    )
    world.lab.nft(REDIRECT)
    try:
        to = world.address("host", family)
        owners = [(1234, 7, []), (7, 4321, []), (0, 0, []), (7, 7, [4321])]
        expected = ["open", "open"]
        if not out:  # (else it is dropped, and so has nothing to wait for)
            expected += ["refused", "refused"]
        got = dial_as(world, [(*o, to, 8090) for o in owners[: len(expected)]])
        assert got == expected
        if out:
            assert world.reach("fw", "host", 8090, family) == "dropped"
    finally:
        world.lab.nft("delete table ip foreign_output\ndelete table ip6 foreign_output")


UNTRACKED = """
table inet foreign_raw {
    chain in { type filter hook prerouting priority -300
        tcp dport 9999 notrack
        meta l4proto { icmp, icmpv6 } notrack
    }
    chain out { type filter hook output priority -300
        tcp sport 9999 notrack
        meta l4proto { icmp, icmpv6 } notrack
    }
}
"""


def pong(world, family):
    """Whether a peer that pings the host gets its answer."""
    protocol, kind = (ICMP, 8) if family == 4 else (ICMPV6, 128)
    with world.lab.inside("lan"):
        observer = world.talk.keep(socket.socket(NETWORK[family], socket.SOCK_RAW, protocol))
    observer.setblocking(False)
    source, to = peer_address("lan", family), world.address("host:eth1", family)
    ping = Packet(family, address(source)[1], address(to)[1], protocol, icmp_type=kind)
    return world.fate("lan", ping, observer) == "arrived"


@pytest.mark.parametrize("family", [4, 6])
def test_sockets_of_the_kernel_have_no_owner(world, family):
    """A reset and the answer to a ping, untracked, so that rules judge them as new."""
    inbound = "inbound: [{ allow: [ping, 9999/tcp], from: anywhere }]\n"
    world.lab.nft(UNTRACKED)
    try:
        world.use("ringwall: 1\n" + inbound)
        assert world.reach("lan", "host", 9999, family) == "refused"  # nobody listens
        assert pong(world, family)
        world.use("ringwall: 1\n" + inbound + "outbound: [{ deny: any, user: 0 }]\n")
        assert world.reach("lan", "host", 9999, family) == "refused"
        assert pong(world, family)
        assert world.reach("fw", "lan", 80, family) == "refused"  # a process of root
        mine = "outbound: { default: drop, rules: [{ allow: any, user: 0 }] }\n"
        world.use("ringwall: 1\n" + inbound + mine)
        assert world.reach("lan", "host", 9999, family) == "dropped"
        assert not pong(world, family)
        assert world.reach("fw", "lan", 80, family) == "open"
    finally:
        world.lab.nft("delete table inet foreign_raw")


# --- until ----------------------------------------------------------------------------------------

# In more nanoseconds than the kernel can count.
FAR = "{ allow: 5432/tcp, until: 2555-01-01 }"


def until(seconds):
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


SHORT_LIVED = "tcp from 10.40.10.2 to 10.40.10.1:9000 in eth1"


def before_its_end(world, end):
    """What happens while the rules are there; a connection that one of them has let in."""
    world.use(
        f"ringwall: 1\ninbound:\n  - {{ allow: 9000/tcp, until: '{until(end)}' }}\n"
        f"  - {{ deny: 443/tcp, until: '{until(end)}' }}\n  - allow: https\n  - {FAR}\n"
        f"outbound:\n  default: reject\n"
        f"  rules: [{{ allow: 80/tcp, user: 0, until: '{until(end)}', log: yes }}]\n"
    )
    outcome, client = world.talk.dial("lan", world.address("host", 4), 9000)
    happened = [
        outcome,
        world.reach("lan", "host", 443, 4),
        world.reach("fw", "lan", 80, 4),
        explain(world.lab, [SHORT_LIVED], "--live")[0]["verdict"],
    ]
    return happened, client


def test_a_rule_ends_when_its_time_comes(world):
    """Without anybody loading anything."""
    for seconds in (3, 9, 27):  # a slow machine needs more
        end = int(time.time()) + seconds
        happened, client = before_its_end(world, end)
        if time.time() < end:
            break
    assert happened == ["open", "dropped", "open", "accept"]
    server = accept_from(world, ("fw", 9000), client)

    def refused():
        begin = time.time()
        over = world.reach("lan", "host", 9000, 4) == "dropped"
        assert not over or time.time() >= end
        assert over or begin <= end
        return over

    wait_until(refused, 60, "the rule's end")
    assert world.reach("fw", "lan", 80, 4) == "refused"
    assert world.reach("lan", "host", 443, 4) == "open"  # the deny is over, too
    assert world.reach("lan", "host", 5432, 4) == "open"
    assert exchange(client, server)  # what was open goes on
    assert explain(world.lab, [SHORT_LIVED], "--live")[0]["verdict"] == "drop"


def test_a_rule_that_is_over_is_gone_when_it_is_loaded(world):
    over = until(int(time.time()) - 1)
    text = (
        f"ringwall: 1\ninbound:\n  - {{ allow: 9000/tcp, until: '{over}' }}\n  - {FAR}\n"
        f"outbound:\n  - {{ allow: http, until: '{over}' }}\n"
    )
    done = ringwall(world.lab, "load", world.file(text))
    world.forget()
    assert done.stderr.count("this time is over: the rule is gone") == 2
    assert world.reach("lan", "host", 9000, 4) == "dropped"
    assert world.reach("lan", "host", 5432, 4) == "open"
    assert world.reach("fw", "lan", 80, 4) == "refused"  # nothing may leave any more
    assert "9000" not in world.lab.run("fw", ["nft", "list", "table", "inet", "ringwall"]).stdout
