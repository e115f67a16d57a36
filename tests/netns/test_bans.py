# SPDX-License-Identifier: GPL-2.0-or-later
"""ringwall ban, unban and bans, with ringwalld and real packets: to this host, to a published container, routed,
open connections, services, IPv6; and what becomes of the bans when the daemon dies, the disk is full, or somebody
else writes to their table."""

import json
import os
import select
import signal
import socket
import subprocess
import time

import pytest

from bans import OPEN, SOON, WAN, WAN6, ban, bans, connects, is_shut, is_shut_by_kernel, packets, table, text
from bans import under_a_policy, without_a_ban  # noqa: F401 (fixtures)
from daemon import Daemon
from lab import wait_until
from program import ringwall
from sshd import ADMIN, PORT, log_in, sshd
from world import accept_from, with_inbound

def test_a_host_is_shut_out_everywhere_and_let_in_again(daemon, world):
    host = world.address("host", 4)
    answer = ban(daemon, WAN, "--for", "1h", "--reason", "tries passwords", "--jail", "sshd")
    assert answer["inForce"] and answer["stored"] and not answer["extended"]
    assert is_shut(daemon, WAN, "wan", host, 22)
    assert is_shut(daemon, WAN, "wan", host, 8080)  # of a container
    assert is_shut(daemon, WAN, "wan", "172.17.0.3", 80)  # routed
    assert connects(world, "lan", world.address("host:eth1", 4), 22)
    (one,) = bans(daemon)
    assert (one["address"], one["jail"], one["reason"]) == (WAN, "sshd", "tries passwords")
    assert one["packets"] >= 3 and one["times"] == 1 and one["user"] == 0
    assert one["until"] - one["since"] == 3600 * 1000000
    code, answer = daemon.ask("unban", WAN)
    assert code == 0 and answer["unbanned"] == 1
    assert table(world) is None  # it costs nothing more
    assert connects(world, "wan", host, 22) and connects(world, "wan", host, 8080)
    assert daemon.ask("unban", WAN)[1]["unbanned"] == 0


def open_connection(world, port):
    """Of a client in wan with the host: (client, server)."""
    outcome, client = world.talk.dial("wan", world.address("host", 4), port)
    assert outcome == "open"
    return client, accept_from(world, ("fw", port), client)


def test_an_open_connection_dies_at_once_also_when_the_server_speaks(daemon, world):
    client, server = open_connection(world, 22)
    server.sendall(b"a")
    assert client.recv(1) == b"a"
    ban(daemon, WAN)
    server.sendall(b"b")
    wait_until(lambda: packets(daemon, WAN) > 0, SOON, "the drop of what the server sent")
    client.sendall(b"c")
    seen = packets(daemon, WAN)
    wait_until(lambda: packets(daemon, WAN) > seen, SOON, "the drop of what the client sent")
    assert not select.select([client, server], [], [], 0)[0]
    daemon.ask("unban", WAN)
    assert client.recv(1) == b"b"  # it was only that: the retransmission comes


def test_an_open_connection_into_a_container_dies_too(daemon, world):
    outcome, client = world.talk.dial("wan", world.address("host", 4), 8080)
    assert outcome == "open"
    server = accept_from(world, ("c1", 80), client)
    ban(daemon, WAN)
    server.sendall(b"x")
    wait_until(lambda: packets(daemon, WAN) > 0, SOON, "the drop of what the container sent")
    assert not select.select([client], [], [], 0)[0]


def test_services_are_shut_by_the_port_that_is_dialled(daemon, world):
    host = world.address("host", 4)
    ban(daemon, WAN, "--services", "8080/tcp,ssh")
    assert {b["service"] for b in bans(daemon)} == {"8080/tcp", "22/tcp"}
    assert is_shut(daemon, WAN, "wan", host, 8080)
    assert is_shut(daemon, WAN, "wan", host, 22)
    assert connects(world, "wan", host, 443)
    _, out, _ = text(daemon, "ban", WAN, "--services", "ssh", "--for", "2h")
    assert out.startswith(f"{WAN} is banned still from ssh, until ")


def test_ipv6_is_banned_by_its_64_and_single_addresses_where_asked_for(daemon, world):
    host = world.address("host", 6)
    # this host has an address in the same network
    assert "own address" in ban(daemon, WAN6, code=7)
    assert ban(daemon, WAN6 + "/128")["address"] == WAN6
    assert is_shut(daemon, WAN6 + "/128", "wan", host, 22)
    assert ban(daemon, "2001:db8:99::7")["address"] == "2001:db8:99::/64"


@pytest.mark.parametrize(
    "address, word",
    [
        ("203.0.113.1", "this host's own address"),
        ("203.0.113.0/24", "holds 203.0.113.1"),
        ("127.0.0.1", "loopback"),
        ("::1", "loopback"),
        ("172.17.0.2", "containers"),
        ("224.0.0.1", "multicast"),
        ("198.0.0.0/8", "too wide"),
        ("0.0.0.0/0", "too wide"),
        ("::/0", "too wide"),
        ("2400::/20", "too wide"),
    ],
)
def test_who_is_never_banned_is_told_why(daemon, address, word):
    assert word in ban(daemon, address, code=7)
    assert bans(daemon) == []


def test_an_administrator_who_is_connected_over_ssh_is_not_banned(daemon, world, tmp_path):
    """Not before they have gone."""
    try:
        with sshd(world, tmp_path):
            assert daemon.apply(with_inbound(f"{{ allow: {PORT}/tcp }}"), "--no-confirm")[0] == 0
            client = log_in(world)
            assert "an administrator is connected from over SSH" in ban(daemon, ADMIN, code=7)
            assert bans(daemon) == []
            client.close()
            wait_until(lambda: daemon.ask("ban", ADMIN)[0] == 0, SOON, "the end of the session")
    finally:
        assert daemon.apply(OPEN, "--no-confirm")[0] == 0


@pytest.mark.parametrize(
    "args, word",
    [
        (["hello"], "no address"),
        (["203.0.113.9/24"], "the network is 203.0.113.0/24"),
        (["198.51.100.7", "--for", "-5s"], "--for takes"),
        (["198.51.100.7", "--for", "99999999999999999999d"], "--for takes"),
        (["198.51.100.7", "--for", "101000000h"], "--for takes"),
        (["198.51.100.7", "--for", "0s"], "--for takes"),
        (["198.51.100.7", "--reason", "a\nb"], "control characters"),
        (["198.51.100.7", "--reason", "x" * 100000], "too long"),
        (["198.51.100.7", "--services", "nonsense"], "no service"),
        (["198.51.100.0/24", "--services", "22/tcp"], "to a host"),
        ([], "say whom"),
    ],
)
def test_bad_input_is_a_clear_error_and_changes_nothing(daemon, args, word):
    code, _, errors = text(daemon, "ban", *args)
    assert code == 2 and word in errors, errors
    assert bans(daemon) == []


def test_a_second_ban_extends_and_each_jail_ends_its_own(daemon):
    first = ban(daemon, "192.0.2.77", "--for", "1h", "--jail", "sshd")
    assert ban(daemon, "192.0.2.77", "--for", "10s", "--jail", "sshd")["until"] == first["until"]
    assert ban(daemon, "192.0.2.77", "--for", "2h", "--jail", "sshd")["until"] > first["until"]
    ban(daemon, "192.0.2.77", "--for", "1d", "--jail", "nginx")
    assert daemon.ask("unban", "--jail", "nginx")[1]["unbanned"] == 1
    assert [b["jail"] for b in bans(daemon)] == ["sshd"]
    assert [b["jail"] for b in bans(daemon, "--jail", "nginx")] == []
    daemon.ask("unban", "192.0.2.77")
    assert ban(daemon, "192.0.2.77")["times"] == 2


def test_a_ban_ends_when_its_time_is_over(daemon, world):
    ban(daemon, WAN, "--for", "1s")
    wait_until(lambda: bans(daemon) == [] and table(world) is None, SOON, "the end of the ban")
    assert connects(world, "wan", world.address("host", 4), 22)


def test_what_bans_an_address_is_found_also_in_a_network(daemon):
    ban(daemon, "198.51.100.0/24", "--reason", "the whole of it")
    assert [b["address"] for b in bans(daemon, "198.51.100.77")] == ["198.51.100.0/24"]
    code, out, _ = text(daemon, "bans", "198.51.101.1")
    assert code == 8 and out == "198.51.101.1 is not banned\n"
    code, out, _ = text(daemon, "bans")
    assert code == 0 and "198.51.100.0/24" in out and "the whole of it" in out


def test_a_kill_and_a_restart_change_nothing(daemon, world):
    host = world.address("host", 4)
    ban(daemon, WAN, "--for", "1h", "--reason", "kept")
    assert is_shut(daemon, WAN, "wan", host, 22)
    before = bans(daemon)[0]
    daemon.stop(signal.SIGKILL)
    assert not connects_within(world, host)
    daemon.start()
    after = bans(daemon)[0]
    assert after["packets"] > before["packets"] > 0
    assert (after["until"], after["reason"]) == (before["until"], "kept")
    assert is_shut(daemon, WAN, "wan", host, 22)
    daemon.stop()
    world.lab.nft("flush ruleset")  # as a reboot does
    daemon.start()
    assert is_shut(daemon, WAN, "wan", host, 22)
    assert daemon.status()["bans"]["enforced"] == daemon.status()["bans"]["desired"] == 1


def connects_within(world, host):
    """Without a daemon nobody counts: a connection that is not made within a moment is not made."""
    with world.lab.inside("wan"):
        s = socket.socket()
    with s:
        s.settimeout(0.3)
        return s.connect_ex((host, 22)) == 0


def test_every_ban_that_was_acknowledged_is_there_after_a_kill(daemon):
    for i in range(20):
        ban(daemon, f"198.51.100.{i + 1}")
    daemon.stop(signal.SIGKILL)
    daemon.start()
    assert len(bans(daemon)) == 20
    assert text(daemon, "bans", "--check")[:2] == (0, "in force: 20 of 20\n")
    ban(daemon, "198.51.100.99", "--jail", "web")
    said = text(daemon, "bans", "--check", "--jail", "web")[:2]
    assert said == (0, "in force of web: 1 of 1\n")


def test_bans_that_end_while_it_is_dead_take_no_others_with_them(daemon, world):
    ban(daemon, WAN, "--for", "1h")
    ends = [ban(daemon, f"198.51.100.{i}", "--for", "1s")["until"] for i in (1, 2, 3)]
    daemon.stop(signal.SIGKILL)
    wait_until(lambda: time.time() * 1000000 > max(ends), SOON, "the end of three bans")
    daemon.start()
    assert [b["address"] for b in bans(daemon)] == [WAN]
    assert is_shut(daemon, WAN, "wan", world.address("host", 4), 22)
    assert daemon.status()["bans"]["enforced"] == daemon.status()["bans"]["desired"] == 1
    # nor do those that come later
    ban(daemon, "198.51.100.4", "--for", "1s")
    wait_until(lambda: len(bans(daemon)) == 1, SOON, "the end of another ban")
    assert is_shut(daemon, WAN, "wan", world.address("host", 4), 22)


def test_a_damaged_store_is_put_aside_and_filled_from_the_kernel(daemon, world):
    ban(daemon, WAN, "--for", "1h")
    ban(daemon, "198.51.100.0/24")
    daemon.stop(signal.SIGKILL)
    for name in ("bans.sqlite", "bans.sqlite-wal"):
        path = daemon.state / name
        if path.exists():
            path.write_bytes(b"not a database.." * 4096)
    daemon.start()
    assert {b["address"] for b in bans(daemon)} == {WAN, "198.51.100.0/24"}
    assert is_shut(daemon, WAN, "wan", world.address("host", 4), 22)
    assert [p for p in daemon.state.iterdir() if ".damaged-" in p.name]
    assert "the store of bans was damaged" in daemon.log()


def test_unload_lets_everybody_in_and_apply_shuts_them_out_again(daemon, world):
    host = world.address("host", 4)
    ban(daemon, WAN)
    assert text(daemon, "unload", "--yes")[0] == 0
    assert table(world) is None and connects(world, "wan", host, 22)
    code, _, errors = text(daemon, "ban", "198.51.100.7")
    assert code == 1 and "not in force" in errors
    assert daemon.apply(OPEN, "--no-confirm")[0] == 0
    assert is_shut(daemon, WAN, "wan", host, 22)
    assert daemon.status()["bans"]["enforced"] == 2


def test_import_and_export_and_a_line_that_is_none(daemon, world, folder):
    path = folder / "list.txt"
    lines = [f"198.51.{i // 250}.{i % 250 + 1}" for i in range(5000)]
    for i in range(0, 5000, 100):
        lines[i] = ("nonsense", "127.0.0.1", "10.0.0.0/8", "1.2.3.4 5.6.7.8")[i // 100 % 4]
    path.write_text("# a list\n" + "\n".join(lines) + "\n\n2001:db8:5::/64 # a network\n")
    code, _, errors = text(daemon, "bans", "--import", str(path.parent))
    assert code == 1 and f"cannot read {path.parent}: Is a directory" in errors
    code, out, errors = text(daemon, "bans", "--import", str(path), "--for", "1d")
    assert code == 8 and out == "4951 banned, 0 extended, 50 lines left out\n"
    assert f"{path}:2: error: 'nonsense' is no address" in errors
    assert f"{path}:102: error: 127.0.0.1 is never banned" in errors
    said = [int(line[len(str(path)) + 1 :].split(":")[0]) for line in errors.splitlines()]
    assert said == list(range(2, 5002, 100))  # in the order of the lines
    _, out, _ = text(daemon, "bans", "--export")
    assert len(out.splitlines()) == 4951 and "2001:db8:5::/64" in out
    _, first, _ = text(daemon, "bans", "--export", "--json")
    daemon.ask("unban", "--all")
    code, out, errors = text(daemon, "bans", "--import", "-", more=first)
    assert code == 0, errors
    _, second, _ = text(daemon, "bans", "--export", "--json")
    ends = [{json.loads(x)["address"]: json.loads(x)["until"] for x in t.splitlines()} for t in (first, second)]
    assert ends[0] == ends[1]
    assert daemon.status()["bans"]["enforced"] == 4951


def test_what_comes_at_once_is_done_in_turns(daemon):
    """Four calls of 7,000, all of which wait when the daemon wakes up; a turn is of 20,000."""
    connections = []
    daemon.process.send_signal(signal.SIGSTOP)
    for i in range(4):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(SOON)
        s.connect(str(daemon.runtime / "io.ringwall"))
        entries = [{"address": f"198.{18 + i}.{k // 250}.{k % 250 + 1}"} for k in range(7000)]
        call = {"method": "io.ringwall.ImportBans", "parameters": {"entries": entries}}
        connections.append((s, json.dumps(call, separators=(",", ":")).encode() + b"\0"))
    sent = dict.fromkeys(range(4), 0)
    for i, (s, data) in enumerate(connections):
        s.setblocking(False)
        sent[i] = s.send(data)
    daemon.process.send_signal(signal.SIGCONT)
    for i, (s, data) in enumerate(connections):
        s.settimeout(SOON)
        s.sendall(data[sent[i] :])
    for s, _ in connections:
        answer = b""
        while not answer.endswith(b"\0"):
            answer += s.recv(65536)
        assert json.loads(answer[:-1])["parameters"]["added"] == 7000
        s.close()
    assert text(daemon, "bans", "--check")[:2] == (0, "in force: 28000 of 28000\n")
    assert daemon.ask("unban", "--all")[1]["unbanned"] == 28000
    assert bans(daemon) == [] and daemon.status()["bans"]["desired"] == 0


def test_other_lengths_of_prefix_are_bounded(daemon):
    for length in range(16, 29):
        ban(daemon, f"198.51.0.0/{length}")
    ban(daemon, "198.51.0.1")
    assert "lengths of prefix" in ban(daemon, "198.51.0.0/29", code=7)


def test_verify_and_status_take_the_table_for_ringwalls_own(daemon, world):
    ban(daemon, WAN)
    ban(daemon, "198.51.100.9", "--services", "ssh")
    # bans drop what is sent to the banned as well: neither way do they break what is to be open
    policy = str(world.file(OPEN + "expect: [{ allow: [ssh, 8080/tcp], from: anywhere }]\n"))
    done = ringwall(world.lab, "verify", "--policy", policy, "--json", check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    claims = json.loads(done.stdout)["claims"]
    assert all(c["answer"] == "proved" for c in claims) and claims[-1]["kind"] == "always"
    status = daemon.status()
    assert status["state"] == "closed" and status["readBack"]
    assert status["drift"]["seen"] == 0
    done = ringwall(world.lab, "explain", f"tcp from {WAN} to 22", "--live", check=False)
    assert "dropped" in done.stdout and "ringwall_bans" in done.stdout, done.stdout


def test_a_full_disk_keeps_nobody_in(daemon, world, tmp_path):
    """The state directory is a small file system of its own, which is filled."""
    daemon.stop()
    state = tmp_path / "state"
    state.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "none", state], check=True)
    daemon = Daemon(world, tmp_path)
    try:
        daemon.start()
        ban(daemon, "198.51.100.1")
        ban(daemon, "198.51.100.50", "--jail", "sshd")
        ban(daemon, "198.51.100.50", "--jail", "nginx")
        filler = os.open(state / "filler", os.O_WRONLY | os.O_CREAT)
        with pytest.raises(OSError):
            while os.write(filler, b"x" * 4096):
                pass
        os.close(filler)
        codes = [text(daemon, "ban", f"198.51.100.{i}") for i in range(2, 40)]
        assert any(code == 1 and "could not be written" in errors for code, _, errors in codes)
        assert is_shut_by_kernel(world, "198.51.100.39")
        assert "bans cannot be written down" in daemon.log()
        # who is let in meanwhile stays so, whether the store knows of the ban or the kernel alone
        for address in ("198.51.100.50", "198.51.100.39"):
            code, _, errors = text(daemon, "unban", address)
            assert code == 1 and "could not be written" in errors
            assert not is_shut_by_kernel(world, address)
        os.unlink(state / "filler")
        wait_until(lambda: len(bans(daemon)) == 38, 40, "the bans on the disk")
        wait_until(lambda: not daemon.status()["bans"]["unsaved"], SOON, "that all is written")
        daemon.stop(signal.SIGKILL)
        daemon.start()
        assert {b["address"] for b in bans(daemon)} == {f"198.51.100.{i}" for i in range(1, 39)}
        assert not is_shut_by_kernel(world, "198.51.100.50")
        assert daemon.status()["bans"]["enforced"] == 38
    finally:
        daemon.ask("unban", "--all")
        daemon.stop(signal.SIGKILL)
        subprocess.run(["umount", "-l", state], check=True)


def test_where_others_can_write_the_table_it_is_put_right(daemon, world):
    ban(daemon, WAN)
    done = world.lab.run("fw", ["nft", "delete", "table", "inet", "ringwall_bans"], check=False)
    assert done.returncode != 0  # it is the daemon's own
    assert daemon.apply("settings: { ownership: off }\n" + OPEN, "--no-confirm")[0] == 0
    try:
        world.lab.nft("flush set inet ringwall_bans hosts4")
        wait_until(lambda: is_shut_by_kernel(world, WAN), SOON, "the ban again")
        world.lab.nft("delete table inet ringwall_bans")
        wait_until(lambda: is_shut_by_kernel(world, WAN), SOON, "the table again")
        wait_until(lambda: "another program changed the bans" in daemon.log(), SOON, "the event")
        assert daemon.status()["bans"]["enforced"] == 1
    finally:
        assert daemon.apply(OPEN, "--no-confirm")[0] == 0
