# SPDX-License-Identifier: GPL-2.0-or-later
"""What the policy's section `bans` makes of bans: who is never banned, and is let go; how long further bans last;
how far IPv6 bans are widened; how many there can be, how wide, and what a jail may ask for. With ringwalld and
real interfaces, routes and packets."""

import select
import signal
import socket

import pytest

from bans import OPEN, SOON, WAN, ban, bans, connects, is_shut, table, text
from lab import wait_until

HOUR = 3600 * 1000000  # microseconds
BURST = 10000  # of a jail


@pytest.fixture(name="daemon")
def make_daemon(running):
    """Begins without a ban, and with a policy that says nothing of them."""
    apply(running)
    assert running.ask("unban", "--all")[0] == 0
    return running


def apply(daemon, section="", zones=""):
    policy = OPEN.replace("zones:\n", "zones:\n" + zones)
    if section:
        policy += f"bans: {{ {section} }}\n"
    code, answer = daemon.apply(policy, "--no-confirm")
    assert code == 0, answer


def addresses(daemon):
    return sorted(b["address"] for b in bans(daemon))


def lasts(one):
    return one["until"] - one["since"]


def test_who_the_policy_names_is_let_go_at_once_and_not_banned_again(daemon, world):
    host = world.address("host", 4)
    ban(daemon, WAN)
    ban(daemon, "198.51.100.9")
    ban(daemon, "198.51.100.0/24", "--jail", "sshd")
    assert is_shut(daemon, WAN, "wan", host, 22)
    apply(daemon, f"never: [{WAN}, 198.51.100.9]")
    assert connects(world, "wan", host, 22)
    assert addresses(daemon) == ["198.51.100.0/24"]  # of which one alone is let in
    assert f"{WAN} is unbanned, for it is one of those that the policy never bans" in daemon.log()
    assert "bans.never" in ban(daemon, WAN, code=7)
    assert "holds 198.51.100.9" in ban(daemon, "198.51.100.8/31", code=7)
    status = daemon.status()["bans"]
    assert status["desired"] == status["enforced"] == 1
    apply(daemon)
    ban(daemon, WAN)
    assert is_shut(daemon, WAN, "wan", host, 22)


def dial_from(world, source):
    """A connection to SSH that is on its way."""
    with world.lab.inside("wan"):
        s = socket.socket()
    s.bind((source, 0))
    s.setblocking(False)
    s.connect_ex((world.address("host", 4), 22))
    return s


def test_in_a_banned_network_who_is_never_banned_is_let_in_alone(daemon, world):
    def dropped():
        return bans(daemon, "198.51.100.0/24")[0].get("packets", 0)

    world.lab.run("fw", ["ip", "route", "add", "198.51.100.0/24", "via", WAN])
    for i in (9, 10):
        world.lab.run("wan", ["ip", "address", "add", f"198.51.100.{i}/32", "dev", "lo"])
    try:
        ban(daemon, "198.51.100.0/24")
        with dial_from(world, "198.51.100.9"):
            wait_until(lambda: dropped() > 0, SOON, "the drop of what it sent")
        apply(daemon, "never: 198.51.100.9")
        assert addresses(daemon) == ["198.51.100.0/24"]
        with dial_from(world, "198.51.100.9") as s:
            assert select.select([], [s], [], SOON)[1]
            assert s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
        seen = dropped()
        with dial_from(world, "198.51.100.10") as s:
            wait_until(lambda: dropped() > seen, SOON, "the drop of what its neighbour sent")
            assert not select.select([], [s], [], 0)[1]
    finally:
        for i in (9, 10):
            world.lab.run("wan", ["ip", "address", "del", f"198.51.100.{i}/32", "dev", "lo"])
        world.lab.run("fw", ["ip", "route", "del", "198.51.100.0/24"])


def test_what_a_zone_is_connected_to_is_followed(daemon, world):
    ban(daemon, "192.0.2.77")
    apply(daemon, "never: roaming", "  roaming: { connected: eth0 }\n")
    assert "192.0.2.77" in addresses(daemon)
    assert "bans.never" in ban(daemon, WAN, code=7)  # on link there
    world.lab.run("fw", ["ip", "route", "add", "192.0.2.0/25", "dev", "eth0"])
    try:
        wait_until(lambda: addresses(daemon) == [], SOON, "the end of the ban")
        assert "bans.never" in ban(daemon, "192.0.2.78", code=7)
    finally:
        world.lab.run("fw", ["ip", "route", "del", "192.0.2.0/25"])


def test_an_address_that_becomes_the_hosts_own_or_its_gateway_is_let_go(daemon, world):
    for address in ("192.0.2.5", "192.0.2.6", "203.0.113.77"):
        ban(daemon, address, "--for", "1h")
    world.lab.run("fw", ["ip", "address", "add", "192.0.2.5/32", "dev", "eth0"])
    world.lab.run("fw", ["ip", "route", "add", "198.18.0.0/15", "via", "203.0.113.77"])
    try:
        wait_until(lambda: addresses(daemon) == ["192.0.2.6"], SOON, "the end of the bans")
        log = daemon.log()
        assert "192.0.2.5 is unbanned, for it is this host's own address" in log
        assert "203.0.113.77 is unbanned, for it is a gateway of this host's" in log
        assert "a gateway of this host's" in ban(daemon, "203.0.113.77", code=7)
    finally:
        world.lab.run("fw", ["ip", "route", "del", "198.18.0.0/15"])
        world.lab.run("fw", ["ip", "address", "del", "192.0.2.5/32", "dev", "eth0"])


def test_the_gateway_of_containers_is_many_and_refused_with_that_reason(daemon):
    assert "many share it" in ban(daemon, "172.17.0.1", code=7)
    assert "own address" in ban(daemon, "203.0.113.1", code=7)


def test_each_further_ban_lasts_longer_up_to_the_bound_and_says_so(daemon):
    apply(daemon, "escalate: 3x up to 12h")
    expected = [1, 3, 9, 12, 12]
    for i, hours in enumerate(expected):
        ban(daemon, "192.0.2.80", "--for", "1h", "--jail", "sshd")
        (one,) = bans(daemon, "192.0.2.80")
        assert (one["times"], lasts(one)) == (i + 1, hours * HOUR)
        daemon.ask("unban", "192.0.2.80")
    # another jail's count is the same address's, and to ban who is banned is no further ban
    ban(daemon, "192.0.2.80", "--for", "20h")
    ban(daemon, "192.0.2.80", "--for", "1h")
    (one,) = bans(daemon, "192.0.2.80")
    assert (one["times"], lasts(one)) == (6, 20 * HOUR)  # what was asked for is not cut
    daemon.ask("unban", "192.0.2.80")
    _, out, _ = text(daemon, "ban", "192.0.2.80", "--for", "1h")
    assert "banned 7 times by now, and so for longer" in out
    daemon.ask("unban", "192.0.2.80")
    assert "until" not in ban(daemon, "192.0.2.80")  # for ever is for ever


def test_without_escalation_and_of_a_list_a_ban_lasts_as_long_as_it_says(daemon):
    def again():
        daemon.ask("unban", "192.0.2.81")
        ban(daemon, "192.0.2.81", "--for", "1h")
        return lasts(bans(daemon, "192.0.2.81")[0])

    assert [again(), again(), again()] == [HOUR] * 3
    apply(daemon, "escalate: 2x up to 7d")
    daemon.ask("unban", "192.0.2.81")
    assert text(daemon, "bans", "--import", "-", "--for", "1h", more="192.0.2.81\n")[0] == 0
    (one,) = bans(daemon, "192.0.2.81")
    assert (one["times"], lasts(one)) == (4, HOUR)


def test_ipv6_is_widened_step_by_step_up_to_the_cap(daemon):
    apply(daemon, "ipv6: /64 up to /48")
    for i in range(3):
        assert "widened" not in ban(daemon, f"2001:db8:5:{i:x}::1", "--for", "1h")
    answer = ban(daemon, "2001:db8:5:3::1", "--for", "1h", "--jail", "sshd")
    assert answer["address"] == "2001:db8:5:3::/64" and answer["widened"] == "2001:db8:5::/56"
    (wide,) = bans(daemon, "--jail", "(widened)")
    assert wide["address"] == "2001:db8:5::/56" and wide["until"] == answer["until"]
    assert wide["reason"].startswith("4 networks of it are banned: 2001:db8:5::/64, 2001:db8:5:1::/64")
    assert "2001:db8:5::/56" in [b["address"] for b in bans(daemon, "2001:db8:5:77::9")]
    # a ban within it lasts as long as the last
    later = ban(daemon, "2001:db8:5:4::1", "--for", "2h")
    assert bans(daemon, "--jail", "(widened)")[0]["until"] == later["until"]
    # three more of these make the /48; it goes no further
    for i in range(1, 4):
        for j in range(4):
            answer = ban(daemon, f"2001:db8:5:{i:x}0{j:x}::/64", "--for", "1h")
    assert answer["widened"] == "2001:db8:5::/48"
    assert {b["address"] for b in bans(daemon, "--jail", "(widened)")} == {
        "2001:db8:5::/48", "2001:db8:5::/56", "2001:db8:5:100::/56", "2001:db8:5:200::/56",
        "2001:db8:5:300::/56",
    }
    status = daemon.status()["bans"]
    assert status["desired"] == status["enforced"]


def test_a_widened_ban_is_undone_by_hand_or_when_nothing_is_left_of_it(daemon):
    apply(daemon, "ipv6: /64 up to /56")

    def make():
        for i in range(4):
            ban(daemon, f"2001:db8:6:{i:x}::1", "--for", "1h", "--jail", "sshd")
        assert len(bans(daemon, "--jail", "(widened)")) == 1

    make()
    assert daemon.ask("unban", "2001:db8:6::/56")[1]["unbanned"] == 1  # it alone
    assert len(bans(daemon)) == 4
    daemon.ask("unban", "--all")
    make()
    daemon.ask("unban", "2001:db8:6:2::1", "--jail", "sshd")  # the jail's own end
    assert len(bans(daemon, "--jail", "(widened)")) == 1
    daemon.ask("unban", "2001:db8:6:3::1")  # by hand: that address is to come in
    assert addresses(daemon) == ["2001:db8:6:1::/64", "2001:db8:6::/64"]
    daemon.ask("unban", "--all")
    make()
    daemon.ask("unban", "--jail", "sshd")
    assert bans(daemon) == []


def test_nothing_is_widened_over_who_is_never_banned_nor_by_a_list(daemon, world):
    apply(daemon, "ipv6: /64 up to /48, never: \"2001:db8:7:99::/64\"")
    for i in range(6):
        assert "widened" not in ban(daemon, f"2001:db8:7:9{i:x}::1")
    lines = "".join(f"2001:db8:8:{i:x}::1\n" for i in range(6))
    assert text(daemon, "bans", "--import", "-", more=lines)[0] == 0
    assert bans(daemon, "--jail", "(widened)") == []
    # this host's own network
    own = world.address("host", 6)
    assert own.startswith("2001:db8:ffff:")
    for i in range(1, 6):
        assert "widened" not in ban(daemon, f"2001:db8:ffff:{i:x}::1")


def test_single_addresses_are_gathered_and_stand_for_what_the_policy_says(daemon):
    apply(daemon, "ipv6: /128 up to /64")
    for i in range(3):
        assert ban(daemon, f"2001:db8:9::{i + 1:x}")["address"] == f"2001:db8:9::{i + 1:x}"
    assert ban(daemon, "2001:db8:9::77")["widened"] == "2001:db8:9::/64"
    apply(daemon, "ipv6: /56")
    assert ban(daemon, "2001:db8:a:1234::1")["address"] == "2001:db8:a:1200::/56"
    assert ban(daemon, "2001:db8:b:1234::1", "--services", "22/tcp")["address"] == "2001:db8:b:1234::/64"
    # whatever it was banned as, an address is let in
    assert daemon.ask("unban", "2001:db8:9::77")[1]["unbanned"] == 2
    assert daemon.ask("unban", "2001:db8:b:1234::1")[1]["unbanned"] == 1


def test_what_ends_soonest_makes_room_and_a_ban_for_ever_never_does(daemon):
    apply(daemon, "max: 3")
    ban(daemon, "192.0.2.1")
    ban(daemon, "192.0.2.2", "--for", "2h")
    ban(daemon, "192.0.2.3", "--for", "1h")
    ban(daemon, "192.0.2.3", "--for", "90m")  # no new one
    assert len(bans(daemon)) == 3
    ban(daemon, "192.0.2.4", "--for", "10m")
    assert addresses(daemon) == ["192.0.2.1", "192.0.2.2", "192.0.2.4"]
    ban(daemon, "192.0.2.5")
    ban(daemon, "192.0.2.6")
    assert addresses(daemon) == ["192.0.2.1", "192.0.2.5", "192.0.2.6"]
    assert "none of them ends by itself" in ban(daemon, "192.0.2.7", "--for", "1h", code=1)
    assert len(bans(daemon)) == 3 and daemon.status()["bans"]["enforced"] == 3
    code, out, errors = text(daemon, "bans", "--import", "-", more="192.0.2.8\n192.0.2.6\n")
    assert code == 8 and "none of them ends by itself" in errors and "1 extended" in out


def test_a_lower_bound_lets_go_who_would_be_let_in_first(daemon):
    for i in range(1, 6):
        ban(daemon, f"192.0.2.{i}", "--for", f"{i}h")
    ban(daemon, "192.0.2.9")
    apply(daemon, "max: 3")
    assert addresses(daemon) == ["192.0.2.4", "192.0.2.5", "192.0.2.9"]
    assert "the 3 bans that would have ended soonest are unbanned" in daemon.log()


def test_how_wide_a_ban_may_be_and_by_hand_wider(daemon):
    apply(daemon, "widest: { ipv4: /24 }")
    assert "--wide bans down to a /8" in ban(daemon, "198.51.0.0/23", code=7)
    assert "wider than a /24" in ban(daemon, "198.51.0.0/23", "--jail", "sshd", code=7)
    assert "by hand alone" in ban(daemon, "198.51.0.0/23", "--wide", "--jail", "sshd", code=2)
    assert ban(daemon, "198.51.0.0/16", "--wide")["inForce"]
    assert ban(daemon, "12.0.0.0/8", "--wide")["inForce"]
    assert "wider than a /8" in ban(daemon, "12.0.0.0/7", "--wide", code=7)
    assert "wider than a /8" in ban(daemon, "0.0.0.0/0", "--wide", code=7)
    assert "loopback" in ban(daemon, "127.0.0.0/8", "--wide", code=7)


def test_a_jail_that_goes_mad_is_stopped_and_nobody_else(daemon):
    """Wide networks count as many, so that it takes few of them."""
    for i in range(BURST // 256):
        ban(daemon, f"100.{64 + i}.0.0/16", "--jail", "mad")
    before = len(bans(daemon))
    answer = ban(daemon, "100.127.0.0/16", "--jail", "mad", code=1)
    assert "'mad' asks for too many bans" in answer and "again in" in answer
    assert len(bans(daemon)) == before
    assert "bans are refused: 'mad' asks for too many" in daemon.log()
    assert ban(daemon, "100.127.0.0/16", "--jail", "sshd")["inForce"]
    assert ban(daemon, "100.126.0.0/16")["inForce"]
    # and a program by its name
    for i in range(BURST // 1000):
        ban(daemon, f"2600:{i + 1:x}::/32", "--source", "madder")
    assert "'madder' asks for too many" in ban(daemon, "2600:99::/32", "--source", "madder", code=1)


def test_a_jail_has_its_share_and_no_more(daemon):
    apply(daemon, "max: 20")
    for i in range(5):
        ban(daemon, f"192.0.2.{i + 1}", "--jail", "greedy")
    assert "'greedy' has 5 bans already" in ban(daemon, "192.0.2.77", "--jail", "greedy", code=1)
    assert ban(daemon, "192.0.2.77", "--jail", "other")["inForce"]
    assert ban(daemon, "192.0.2.78")["inForce"]
    lines = "".join(f"198.51.100.{i}\n" for i in range(1, 9))
    assert text(daemon, "bans", "--import", "-", "--jail", "greedy", more=lines)[0] == 0


def test_the_rules_are_kept_over_a_restart(daemon, world):
    apply(daemon, f"never: {WAN}, max: 2, escalate: 2x up to 1d")
    daemon.stop(signal.SIGKILL)
    daemon.start()
    assert "bans.never" in ban(daemon, WAN, code=7)
    for i in (1, 2, 3):
        ban(daemon, f"192.0.2.{i}", "--for", f"{i}h")
    assert addresses(daemon) == ["192.0.2.2", "192.0.2.3"]
    assert table(world) is not None


@pytest.mark.parametrize("section", ["never: anywhere", "escalate: 0x up to 1d", "widest: /0"])
def test_a_section_with_a_mistake_changes_nothing(daemon, section):
    ban(daemon, WAN)
    code, _ = daemon.apply(OPEN + f"bans: {{ {section} }}\n", "--no-confirm")
    assert code == 3
    assert addresses(daemon) == [WAN]
