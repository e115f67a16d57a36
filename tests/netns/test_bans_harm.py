# SPDX-License-Identifier: GPL-2.0-or-later
"""Bans when things go wrong: ringwalld killed in the midst of them, files damaged, a disk that takes nothing, others
who change what the kernel holds, users who may not, and messages that nobody of ours would send."""

import contextlib
import json
import os
import re
import select
import shutil
import signal
import socket
import tempfile
from pathlib import Path

import pytest

from bans import OPEN, SOON, WAN, ban, bans, is_shut, is_shut_by_kernel, packets, table, text
from bans import under_a_policy, without_a_ban  # noqa: F401 (fixtures)
from lab import wait_until
from program import ENVIRONMENT, PROGRAM
from test_events import events

NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"]
MANY = [f"198.51.{i // 250}.{i % 250 + 1}" for i in range(3000)]


@pytest.fixture(name="folder", scope="module")
def make_folder():
    """Into which everybody may look."""
    path = Path(tempfile.mkdtemp(prefix="ringwall-harm-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


def bring_in(daemon, addresses, *words):
    code, out, errors = text(daemon, "bans", "--import", "-", *words, more="\n".join(addresses))
    assert code == 0, out + errors


def in_force(daemon):
    return text(daemon, "bans", "--check")[:2]


# --- ends -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 17, 60])
def test_killed_in_the_midst_of_bans_it_keeps_all_that_it_acknowledged(daemon, world, n):
    """On disk, and in the kernel without a pause."""
    addresses = MANY[n : n + 200]
    words = ["stdbuf", "-oL", PROGRAM, "ban", *addresses, "--runtime-dir", str(daemon.runtime)]
    client = world.lab.popen("fw", words, stdout=-1, stderr=-3, text=True, env=ENVIRONMENT)
    told = [client.stdout.readline().split()[0] for _ in range(n)]
    daemon.stop(signal.SIGKILL)
    told += [line.split()[0] for line in client.stdout.read().splitlines()]
    client.wait(SOON)
    assert told == addresses[: len(told)] and len(told) < len(addresses)
    assert all(is_shut_by_kernel(world, address) for address in (told[0], told[-1]))
    daemon.start()
    kept = {b["address"] for b in bans(daemon)}
    # what was asked last may have been done, and not told any more
    assert kept in (set(told), set(addresses[: len(told) + 1]))
    assert in_force(daemon) == (0, f"in force: {len(kept)} of {len(kept)}\n")


def test_killed_in_the_midst_of_unbanning_it_lets_nobody_back_out(daemon, world):
    addresses = MANY[:200]
    bring_in(daemon, addresses)
    words = ["stdbuf", "-oL", PROGRAM, "unban", *addresses, "--runtime-dir", str(daemon.runtime)]
    client = world.lab.popen("fw", words, stdout=-1, stderr=-3, text=True, env=ENVIRONMENT)
    told = [client.stdout.readline() for _ in range(30)]
    daemon.stop(signal.SIGKILL)
    told += client.stdout.read().splitlines()
    client.wait(SOON)
    assert len(told) < len(addresses)
    daemon.start()
    kept = {b["address"] for b in bans(daemon)}
    assert kept in (set(addresses[len(told) :]), set(addresses[len(told) + 1 :]))
    assert in_force(daemon) == (0, f"in force: {len(kept)} of {len(kept)}\n")
    assert not is_shut_by_kernel(world, addresses[0])


def test_an_open_udp_connection_of_the_hosts_own_dies_at_once(daemon, world):
    with world.lab.inside("fw"):
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with world.lab.inside("wan"):
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with server, client:
        for s in (server, client):
            s.settimeout(SOON)
        server.bind(("0.0.0.0", 9000))
        client.connect((world.address("host", 4), 9000))
        client.send(b"a")
        data, back = server.recvfrom(16)
        server.sendto(b"b", back)
        assert (data, client.recv(16)) == (b"a", b"b")
        ban(daemon, WAN)
        for send in (lambda: server.sendto(b"c", back), lambda: client.send(b"d")):
            before = packets(daemon, WAN)
            with contextlib.suppress(PermissionError):  # which the host's own sender is told
                send()
            wait_until(lambda n=before: packets(daemon, WAN) > n, SOON, "the drop")
        assert not select.select([server, client], [], [], 0)[0]


def test_applied_anew_it_keeps_the_bans(daemon, world):
    ban(daemon, WAN, "--for", "1h", "--reason", "kept")
    before = bans(daemon)
    assert daemon.apply("settings: { confirm: 10s }\n" + OPEN, "--no-confirm")[0] == 0
    assert daemon.apply(OPEN, "--no-confirm")[0] == 0
    after = bans(daemon)
    same = ("address", "since", "until", "times", "reason")
    assert [[b[k] for k in same] for b in after] == [[b[k] for k in same] for b in before]
    assert is_shut(daemon, WAN, "wan", world.address("host", 4), 22)


# --- away -----------------------------------------------------------------------------------------


def test_what_is_asked_for_while_it_is_away_is_done_before_it_is_ready(daemon, world):
    """In that order, with the ends that were meant; what cannot be is told and holds nothing else up."""
    ban(daemon, "198.51.100.1")
    daemon.stop()
    assert text(daemon, "ban", "198.51.100.2")[0] == 5
    later = lambda verb, *words: text(daemon, verb, *words, "--or-later")
    said = "it is written down, and done as soon as ringwalld is there\n"
    assert later("ban", WAN, "--for", "1h", "--jail", "a", "--reason", "kept")[:2] == (0, said)
    assert later("unban", "198.51.100.1")[:2] == (0, said)
    assert later("ban", "198.51.100.3", "198.51.100.4")[0] == 0
    assert later("unban", "198.51.100.3")[0] == 0
    assert later("ban", "127.0.0.1")[0] == 0
    spool = daemon.runtime / "bans.later"
    assert spool.stat().st_mode & 0o777 == 0o600
    old = {"method": "io.ringwall.Ban", "at": 1, "parameters": {"address": "198.51.100.5", "seconds": 9}}
    broken = [json.dumps(old), "{", '{"method":"io.ringwall.Ban","at":1}', '{"method":"io.ringwall.Panic","at":1}']
    with spool.open("a", encoding="ascii") as f:
        f.write("\n".join(broken))
    daemon.start()
    assert not spool.exists()
    found = {b["address"]: b for b in bans(daemon)}
    assert found.keys() == {WAN, "198.51.100.4"}
    assert (found[WAN]["jail"], found[WAN]["reason"]) == ("a", "kept")
    assert 3000e6 < found[WAN]["until"] - found[WAN]["since"] <= 3600e6
    assert is_shut(daemon, WAN, "wan", world.address("host", 4), 22)
    assert in_force(daemon) == (0, "in force: 2 of 2\n")
    said = [e["text"] for e in events(daemon, "-n", "1000") if "while ringwalld was away" in e["text"]]
    assert said[-1].endswith("6 done, 4 left out"), said
    assert "is never banned: it is loopback" in daemon.log()


def test_what_was_written_down_goes_before_what_is_asked_next(daemon):
    """As by who found nobody there, and was a moment late."""
    spool = daemon.runtime / "bans.later"
    message = {"method": "io.ringwall.Ban", "at": 2**50, "parameters": {"address": "198.51.100.6"}}
    ready = daemon.folder / "ready"
    ready.write_text(json.dumps(message) + "\n")
    ready.chmod(0o600)
    ready.rename(spool)
    assert daemon.ask("unban", "198.51.100.6")[1]["unbanned"] == 1
    assert not spool.exists() and bans(daemon) == []


# --- files ----------------------------------------------------------------------------------------


def in_the_middle(daemon):
    """Its pages, behind the first ones."""
    path = daemon.state / "bans.sqlite"
    data = bytearray(path.read_bytes())
    assert len(data) > 40 * 4096
    for page in range(10, len(data) // 4096, 7):
        data[page * 4096 : page * 4096 + 600] = bytes(range(200)) * 3
    path.write_bytes(data)


def cut_off(daemon):
    path = daemon.state / "bans.sqlite"
    os.truncate(path, path.stat().st_size // 4096 // 2 * 4096)


@pytest.mark.parametrize("harm", [in_the_middle, cut_off])
def test_a_store_that_is_damaged_further_back_is_filled_from_the_kernel_too(daemon, world, harm):
    bring_in(daemon, MANY, "--for", "1d", "--jail", "list")
    daemon.stop()
    harm(daemon)
    before = len(list(daemon.state.glob("*.damaged-*")))
    daemon.start()
    assert {b["address"] for b in bans(daemon)} == set(MANY)
    assert in_force(daemon) == (0, "in force: 3000 of 3000\n")
    assert len(list(daemon.state.glob("*.damaged-*"))) > before
    said = [e for e in events(daemon) if "the store of bans was damaged" in e["text"]]
    assert said and "3000 bans that the kernel holds" in said[-1]["text"]


def test_what_a_damaged_log_hides_is_taken_from_the_kernel(daemon, world):
    """SQLite takes a frame that does not fit for the log's end, and says nothing of those behind."""
    for address in MANY[:12]:
        ban(daemon, address, "--for", "1d")
    daemon.stop(signal.SIGKILL)
    path = daemon.state / "bans.sqlite-wal"
    data = bytearray(path.read_bytes())
    assert len(data) > 20 * 4120
    for at in range(32 + 4000, len(data) // 2, 4120):
        data[at] ^= 0xFF
    path.write_bytes(data)
    daemon.start()
    assert {b["address"] for b in bans(daemon)} == set(MANY[:12])
    assert in_force(daemon) == (0, "in force: 12 of 12\n")
    assert any("the log of the store of bans was damaged" in e["text"] for e in events(daemon))


def test_what_is_no_database_at_all_keeps_the_policy_in_force_and_says_what_to_do(daemon, world):
    """A folder in its place, which is nothing that could be put aside without looking."""
    daemon.stop()
    path = daemon.state / "bans.sqlite"
    aside = path.with_name("aside")
    path.rename(aside)
    path.mkdir()
    try:
        daemon.start()
        assert daemon.status()["state"] == "closed"
        code, said = daemon.ask("ban", "198.51.100.7")
        assert code == 1 and "the store could not be opened" in said and "journal" in said, said
        assert text(daemon, "bans", "--check")[0] == 1
        assert "the bans in " in daemon.log() and "nobody can be banned" in daemon.log()
    finally:
        daemon.stop()
        path.rmdir()
        aside.rename(path)
        daemon.start()


def without_writing(daemon):
    """As its unit has it: root, but not above what files say who may."""
    daemon.start(under=["setpriv", "--bounding-set=-dac_override"])


def test_where_nothing_may_be_written_the_bans_are_in_force_all_the_same(daemon, world):
    """A state directory without permission: those of the store are read, new ones hold in the kernel."""
    bring_in(daemon, MANY[:50], "--for", "1d")
    daemon.stop()
    world.lab.nft("delete table inet ringwall_bans")  # as a boot does
    modes = {p: p.stat().st_mode for p in (daemon.state, *daemon.state.glob("bans.sqlite*"))}
    for path in modes:
        path.chmod(0o500 if path.is_dir() else 0o400)
    try:
        without_writing(daemon)
        assert {b["address"] for b in bans(daemon)} == set(MANY[:50])
        assert is_shut_by_kernel(world, MANY[0])
        code, _, errors = text(daemon, "ban", WAN)
        assert code == 1 and "could not be written" in errors
        assert is_shut_by_kernel(world, WAN)
        assert "the store of bans can be read alone" in daemon.log()
        assert daemon.status()["bans"] == {**daemon.status()["bans"], "unsaved": True, "enforced": 51}
        assert daemon.ask("unban", MANY[0])[0] == 1  # it would be banned again
        assert not is_shut_by_kernel(world, MANY[0])
        for path, mode in modes.items():
            path.chmod(mode & 0o777)
        wait_until(lambda: not daemon.status()["bans"]["unsaved"], 40, "the store itself")
        assert {b["address"] for b in bans(daemon)} == {*MANY[:50], WAN}
        assert in_force(daemon) == (0, "in force: 51 of 51\n")
    finally:
        daemon.stop(signal.SIGKILL)
        for path, mode in modes.items():
            path.chmod(mode & 0o777)
        daemon.start()
    assert {b["address"] for b in bans(daemon)} == {*MANY[:50], WAN}


# --- others ---------------------------------------------------------------------------------------

FOREIGN = {
    "an unban": f"delete element inet ringwall_bans hosts4 {{ {WAN} }}",
    "the rules": "flush chain inet ringwall_bans from4",
    "another ban": "add element inet ringwall_bans hosts4 { 198.51.100.200 }",
    "everything": "flush ruleset",
}


def test_the_table_is_the_daemons_own(daemon, world):
    ban(daemon, WAN, "--for", "1h")
    before = rules_of(table(world))
    for words in FOREIGN.values():
        done = world.lab.run("fw", ["nft", words], check=False)
        assert done.returncode != 0 or words == "flush ruleset", words
    assert rules_of(table(world)) == before
    assert is_shut_by_kernel(world, WAN) and not is_shut_by_kernel(world, "198.51.100.200")


def test_what_others_change_is_put_right_and_told_with_who_it_was(daemon, world):
    """Where the table cannot be owned, as on older kernels."""
    ban(daemon, WAN, "--for", "1h")
    ban(daemon, "198.51.100.0/24")
    assert daemon.apply("settings: { ownership: off }\n" + OPEN, "--no-confirm")[0] == 0
    try:
        whole = table(world)
        for what, words in FOREIGN.items():
            before = len(told(daemon))
            world.lab.run("fw", ["nft", words])
            wait_until(lambda n=before: len(told(daemon)) > n, SOON, f"the event: {what}")
            assert "nft (process " in told(daemon)[-1]["text"], what
            wait_until(lambda: rules_of(table(world)) == rules_of(whole), SOON, what)
            assert is_shut_by_kernel(world, WAN) and not is_shut_by_kernel(world, "198.51.100.200")
            assert in_force(daemon) == (0, "in force: 2 of 2\n"), what
        assert is_shut(daemon, WAN, "wan", world.address("host", 4), 22)
    finally:
        assert daemon.apply(OPEN, "--no-confirm")[0] == 0


def told(daemon):
    return [e for e in events(daemon, "-n", "1000") if "another program changed the bans" in e["text"]]


def rules_of(listing):
    """What does not count down."""
    lines = (listing or "").splitlines()
    return sorted(line for line in lines if "elements" not in line and "expires" not in line)


def left(world, address):
    """Seconds, of the kernel's; None: for ever."""
    words = ["nft", "get", "element", "inet", "ringwall_bans", "hosts4", f"{{ {address} }}"]
    found = re.search(r" expires (\S+)", world.lab.run("fw", words).stdout)
    units = {"d": 86400, "h": 3600, "m": 60, "s": 1, "ms": 0}
    return found and sum(int(n) * units[u] for n, u in re.findall(r"(\d+)(ms|[dhms])", found[1]))


def test_a_ban_that_is_made_longer_ends_later_in_the_kernel_too(daemon, world):
    """Kernels before 6.12 take no notice of another end of an element that is there."""
    ban(daemon, WAN, "--for", "1h")
    assert 3000 < left(world, WAN) <= 3600
    ban(daemon, WAN, "--for", "2h", "--jail", "other")
    assert 7000 < left(world, WAN) <= 7200
    ban(daemon, WAN, "--jail", "third")
    assert left(world, WAN) is None
    assert daemon.ask("unban", WAN, "--jail", "third")[0] == 0
    assert 7000 < left(world, WAN) <= 7200
    assert daemon.ask("unban", WAN, "--jail", "other")[0] == 0
    assert 3000 < left(world, WAN) <= 3600
    assert in_force(daemon) == (0, "in force: 1 of 1\n")


# --- users ----------------------------------------------------------------------------------------


def test_a_plain_user_is_refused_with_the_reason_and_a_way(daemon, world):
    ban(daemon, "198.51.100.1")
    place = ["--runtime-dir", str(daemon.runtime)]
    for words, line in (
        (["ban", "198.51.100.7"], None),
        (["unban", "198.51.100.1"], None),
        (["unban", "--all"], None),
        (["bans", "--import", "-"], "198.51.100.7\n"),
    ):
        done = world.lab.run(
            "fw", [*NOBODY, PROGRAM, *words, *place], line, check=False, env=ENVIRONMENT
        )
        assert done.returncode == 4 and "only root may" in done.stderr, done
        assert "sudo ringwall" in done.stderr, done
    done = world.lab.run("fw", [*NOBODY, PROGRAM, "bans", *place], check=False, env=ENVIRONMENT)
    assert done.returncode == 4 and "root and members of the group 'ringwall' may see" in done.stderr, done
    # whoever speaks to the socket without our program is none the better off
    os.seteuid(65534)
    try:
        for method, parameters in (
            ("Ban", {"address": "198.51.100.7"}),
            ("Unban", {"all": True}),
            ("ImportBans", {"entries": [{"address": "198.51.100.7"}]}),
        ):
            answer = call(daemon, method, **parameters)
            assert answer["error"].endswith("PermissionDenied"), answer
            assert "only root may call" in answer["parameters"]["message"], answer
    finally:
        os.seteuid(0)
    assert [b["address"] for b in bans(daemon)] == ["198.51.100.1"]


# --- messages -------------------------------------------------------------------------------------


def call(daemon, method, **parameters):
    """As it is, whatever it is: its answer. None: it hangs up, as it does on messages that are too long."""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(SOON)
        s.connect(str(daemon.runtime / "io.ringwall"))
        message = {"method": f"io.ringwall.{method}", "parameters": parameters}
        answer = b""
        try:
            s.sendall(json.dumps(message).encode() + b"\0")
            while not answer.endswith(b"\0"):
                more = s.recv(65536)
                if not more:
                    return None
                answer += more
        except (BrokenPipeError, ConnectionResetError):
            return None
    return json.loads(answer[:-1])


@pytest.mark.parametrize(
    "parameters",
    [
        {"reason": "x" * 1000000},
        {"reason": "\x01\x1b[2J\x07" * 300000},
        {"reason": "a\u0000b"},
        {"jail": "j" * 1000},
        {"source": "\n"},
        {"seconds": -1},
        {"seconds": 0},
        {"seconds": 2**62},
        {"seconds": 1.5},
        {"services": ["22/tcp"] * 100000},
        {"services": ["0/tcp"]},
        {"services": ["22/hopopt"]},
        {"services": [""]},
        {"address": ""},
        {"address": "::ffff:127.0.0.1"},
        {"address": "1" * 100000},
        {"address": "fe80::1%eth0"},
        {"address": 7},
        {"unknown": True},
    ],
    ids=lambda p: "-".join(f"{k}-{str(v)[:12]}" for k, v in p.items()).encode("unicode_escape").decode(),
)
def test_a_message_that_is_none_is_refused(daemon, parameters):
    answer = call(daemon, "Ban", **{"address": "198.51.100.7", **parameters})
    assert answer is None or "error" in answer, answer
    assert bans(daemon) == []


def test_lines_that_nobody_would_write_are_left_out_with_their_number(daemon):
    broken = [
        {"address": "198.51.100.2", "reason": "x" * 1000000},
        {"address": "198.51.100.3", "reason": "\x1b[2J"},
        {"address": "198.51.100.4", "until": -5},
        {"address": "198.51.100.5", "until": 2**62},
        {"address": "198.51.100.6", "until": "soon"},
        {"address": "198.51.100.0/24", "service": "22/tcp"},
        {"address": ["198.51.100.8"]},
        {"addres": "198.51.100.9"},
    ]
    lines = [json.dumps(b) for b in broken] + ['{"address": "198.51.100.10"', "0.0.0.0/0", "::1", "\x00"]
    good = ['{"address": "198.51.100.1"}', "198.51.100.11"]
    whole = "\n".join([good[0], *lines, good[1]]) + "\n"
    code, out, errors = text(daemon, "bans", "--import", "-", more=whole)
    assert code == 8 and out == f"2 banned, 0 extended, {len(lines)} lines left out\n", out + errors
    told = [line.split(":")[1] for line in errors.splitlines()]
    assert sorted(map(int, told)) == list(range(2, len(lines) + 2)), errors
    assert "\x1b" not in errors
    assert [b["address"] for b in bans(daemon)] == ["198.51.100.1", "198.51.100.11"]
