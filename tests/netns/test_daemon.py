# SPDX-License-Identifier: GPL-2.0-or-later
"""ringwalld in a namespace: apply, confirm, undo, and what is in force after it died or started anew."""

import json
import os
import signal
import socket
import struct
import subprocess
import time

import pytest

from lab import can_own_tables, wait_until
from program import ENVIRONMENT, PROGRAM, ringwall
from stored import of_another_version
from talk import exchange
from world import EXAMPLE, World, accept_from, with_inbound

DAEMON = os.path.join(os.path.dirname(PROGRAM), "../daemon/ringwalld")
QUICK = "settings: { confirm: 10s }\n"  # the shortest that there is
OPEN, SHUT = 9, 0
STATES = {"closed", "panic", "unarmed", "unloaded", "lockdown", "changed", "taken"}


class Daemon:
    def __init__(self, world, folder):
        self.world, self.folder = world, folder
        self.state, self.runtime = folder / "state", folder / "run"
        self.process = None

    def start(self, *args, ready=True, under=(), **more):
        with open(self.folder / "log", "ab") as log:
            self.process = self.world.lab.popen(
                "fw",
                [*under, DAEMON, "--state-dir", self.state, "--runtime-dir", self.runtime, *args],
                stderr=log,
                env={**ENVIRONMENT, **more},
            )
        if ready:
            wait_until(lambda: self.ask("status")[0] == 0, 10, "the daemon's first answer")

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.process.wait(timeout=10)

    def ask(self, verb, *args):
        done = ringwall(
            self.world.lab, verb, *args, "--runtime-dir", str(self.runtime), "--json", check=False
        )
        answer = json.loads(done.stdout) if done.stdout.startswith("{") else done.stderr
        return done.returncode, answer

    def status(self):
        code, answer = self.ask("status")
        assert code == 0 and answer["state"] in STATES
        return answer

    def apply(self, text, *args):
        return self.ask("apply", str(self.world.file(text)), *args)

    def log(self):
        return (self.folder / "log").read_text()


@pytest.fixture(name="world")
def make_world(tmp_path):
    w = World(tmp_path)
    yield w
    w.close()


@pytest.fixture(name="daemon")
def make_daemon(world, tmp_path):
    d = Daemon(world, tmp_path)
    yield d
    if d.process and d.process.poll() is None:
        d.stop(signal.SIGKILL)


def reach(world, port):
    return world.reach("wan", "host", port, 4)


def test_nothing_is_loaded_before_the_first_confirmation(world, daemon):
    daemon.start()
    assert daemon.status()["state"] == "unarmed"
    assert reach(world, 22) == "open"
    assert "ringwall" not in world.lab.tables()


def test_applied_and_confirmed_it_stays_through_death_and_restart(world, daemon):
    daemon.start()
    code, answer = daemon.apply(EXAMPLE, "-m", "the first")
    assert code == 9 and answer["awaitsConfirmation"] and answer["seconds"] > 100
    assert reach(world, 22) == "dropped"
    code, answer = daemon.ask("confirm")
    assert code == 0 and answer["number"] == 1
    assert daemon.stop(signal.SIGKILL) == -signal.SIGKILL
    assert reach(world, 22) == "dropped" and reach(world, 443) == "open"
    # whoever flushed it meanwhile finds it back
    world.lab.nft("flush ruleset")
    assert reach(world, 22) == "open"
    daemon.start()
    status = daemon.status()
    assert status["state"] == "closed" and status["readBack"] and status["number"] == 1
    assert reach(world, 22) == "dropped" and reach(world, 443) == "open"
    _, history = daemon.ask("history")
    assert [(e["number"], e["state"], e["message"]) for e in history["entries"]] == [
        (1, "in force", "the first")
    ]


def test_without_confirmation_it_is_undone_and_so_with_the_daemon_killed(world, daemon):
    daemon.start()
    daemon.apply(EXAMPLE, "--no-confirm")
    code, answer = daemon.apply(QUICK + with_inbound("{ deny: https }", "{ allow: ssh }"))
    assert code == 9 and 0 < answer["seconds"] <= 10
    assert reach(world, 443) == "dropped" and reach(world, 22) == "open"
    daemon.stop(signal.SIGKILL)
    daemon.start()
    assert daemon.status()["pending"]["seconds"] <= 10
    wait_until(lambda: reach(world, 443) == "open", 20, "the way back")
    assert reach(world, 22) == "dropped"
    status = daemon.status()
    assert status["number"] == 1 and "pending" not in status
    assert daemon.ask("confirm")[0] == 1


def test_the_first_policy_is_undone_to_nothing(world, daemon):
    daemon.start()
    code, _ = daemon.apply(QUICK + EXAMPLE)
    assert code == 9 and reach(world, 22) == "dropped"
    code, answer = daemon.ask("rollback")
    assert code == 0 and "number" not in answer
    assert reach(world, 22) == "open" and daemon.status()["state"] == "unarmed"


def test_a_change_that_waits_is_not_in_force_after_a_boot(world, daemon):
    daemon.start()
    daemon.apply(EXAMPLE, "--no-confirm")
    assert daemon.apply(with_inbound("{ allow: ssh }"))[0] == 9
    daemon.stop(signal.SIGKILL)
    # another boot: the kernel forgets, and what waited bears the name of the boot before
    pending = (daemon.state / "pending").read_bytes()
    boot = open("/proc/sys/kernel/random/boot_id", encoding="ascii").read().strip().encode()
    assert boot in pending
    world.lab.nft("flush ruleset")
    (daemon.state / "pending").write_bytes(pending[:-1])  # damaged counts as not confirmed, too
    daemon.start()
    assert daemon.status()["number"] == 1 and "pending" not in daemon.status()
    assert reach(world, 443) == "open" and reach(world, 22) == "dropped"


def test_a_damaged_copy_gives_way_to_history_and_that_to_the_lockdown(world, daemon):
    daemon.start()
    daemon.apply(EXAMPLE, "--no-confirm")
    daemon.stop()
    for file, expected in (("sealed", "closed"), ("history/00000001", "lockdown")):
        path = daemon.state / file
        path.write_bytes(path.read_bytes()[:-7])
        world.lab.nft("flush ruleset")
        daemon.start()
        assert daemon.status()["state"] == expected
        assert reach(world, 22) == "dropped"
        daemon.stop()
    assert reach(world, 443) == "dropped", "stopped, it leaves the lockdown in place"
    assert "damaged" in daemon.log() and "lockdown" in daemon.log()


def test_stopped_it_leaves_its_table_and_unload_takes_it_away(world, daemon):
    daemon.start()
    daemon.apply(EXAMPLE, "--no-confirm")
    assert daemon.stop() == 0
    assert reach(world, 22) == "dropped"
    daemon.start()
    done = ringwall(
        world.lab, "unload", "--yes", "--runtime-dir", str(daemon.runtime), check=False
    )
    assert done.returncode == 0 and daemon.status()["state"] == "unloaded"
    assert reach(world, 22) == "open"


def test_an_invalid_policy_changes_nothing_and_says_why(world, daemon):
    daemon.start()
    daemon.apply(EXAMPLE, "--no-confirm")
    code, said = daemon.apply("ringwall: 1\ninbound: [{ allow: shh }]\n")
    assert code == 3 and "there is no service 'shh'" in said and "did you mean 'ssh'" in said
    assert daemon.status()["number"] == 1 and reach(world, 443) == "open"
    code, said = daemon.ask("apply", "/nowhere/policy.yaml")
    assert code == 3 and "/nowhere/policy.yaml" in said


def test_what_is_in_force_already_needs_no_confirmation(world, daemon):
    daemon.start()
    daemon.apply(EXAMPLE, "--no-confirm")
    code, answer = daemon.apply(EXAMPLE + "# a remark\n")
    assert code == 0 and not answer["changed"]


def test_dry_run_does_nothing(world, daemon):
    daemon.start()
    code, answer = daemon.apply(EXAMPLE, "--dry-run")
    assert code == 0 and not answer["awaitsConfirmation"]
    assert reach(world, 22) == "open" and daemon.status()["state"] == "unarmed"


def test_on_confirmation_open_connections_that_are_not_admitted_are_cut(world, daemon):
    daemon.start()
    daemon.apply(with_inbound("{ allow: [ssh, https] }"), "--no-confirm")
    pairs = {}
    for port in (22, 443):
        outcome, client = world.talk.dial("wan", world.address("host", 4), port)
        assert outcome == "open"
        pairs[port] = (client, accept_from(world, ("fw", port), client))
        assert exchange(*pairs[port])
    code, _ = daemon.apply(EXAMPLE)
    assert code == 9 and exchange(*pairs[22]), "until it is confirmed nothing is cut"
    code, answer = daemon.ask("confirm")
    assert code == 0 and answer["cut"] >= 1
    assert exchange(*pairs[443])
    client, server = pairs[22]
    for sender, receiver in ((client, server), (server, client)):
        sender.sendall(b"still there?")
        receiver.settimeout(0.3)
        with pytest.raises(TimeoutError):
            receiver.recv(100)


def test_networks_that_come_and_go_are_followed(world, daemon):
    def home():
        listed = world.lab.run("fw", ["nft", "-j", "list", "set", "inet", "ringwall", "home-ipv4"])
        return "198.51.100.0" in listed.stdout

    daemon.start()
    code, _ = daemon.apply(
        "ringwall: 1\nzones: { home: { connected: [eth0] } }\ninbound: [{ allow: ssh, from: home }]\n",
        "--no-confirm",
    )
    assert code == 0 and reach(world, 22) == "open" and not home()
    world.lab.ip("fw", "addr add 198.51.100.1/24 dev eth0\n")
    wait_until(home, 10, "the network that came")
    world.lab.ip("fw", "addr del 198.51.100.1/24 dev eth0\n")
    wait_until(lambda: not home(), 10, "the network that is gone")
    assert daemon.status()["state"] == "closed" and reach(world, 22) == "open"
    # another name may be another zone's
    world.lab.ip("fw", "link set eth0 down\nlink set eth0 name wg7\nlink set wg7 up\n")
    wait_until(lambda: "eth0 is called wg7 now" in daemon.log(), 20, "the name")


def test_standalone_a_policy_is_in_force_at_start(world, daemon):
    daemon.start("--policy", str(world.file(EXAMPLE)))
    assert daemon.status()["state"] == "closed" and reach(world, 22) == "dropped"
    daemon.stop()
    assert reach(world, 22) == "dropped"


def test_a_second_daemon_for_the_same_state_is_refused(world, daemon):
    daemon.start()
    other = world.lab.run(
        "fw",
        [DAEMON, "--state-dir", daemon.state, "--runtime-dir", daemon.folder / "other"],
        check=False,
        env=ENVIRONMENT,
    )
    assert other.returncode == 1 and "in use by another ringwalld" in other.stderr


def test_without_a_daemon_exit_5_says_so(world, daemon):
    code, said = daemon.ask("status")
    assert code == 5 and str(daemon.runtime) in said


def test_what_rules_log_is_written_with_rule_and_connection(world, daemon):
    daemon.start()
    policy = with_inbound("{ allow: http, log: WEB }", "{ deny: smtp, log: yes }")
    assert daemon.apply(policy, "--no-confirm")[0] == 0
    assert reach(world, 80) == "refused" and reach(world, 25) == "dropped"
    for words in ("WEB allow policy.yaml:", "allow http: tcp 203.0.113.2:", "deny smtp: tcp",
                  "203.0.113.1:25 in eth0"):
        wait_until(lambda words=words: words in daemon.log(), 10, f"{words} in {daemon.log()}")


@pytest.mark.parametrize("option", ["--lockdown", "--lockdown=if-open"])
def test_lockdown_alone_closes_what_was_armed_and_nothing_else(world, daemon, option):
    def lockdown():
        return world.lab.run("fw", [DAEMON, option, "--state-dir", daemon.state], env=ENVIRONMENT)

    lockdown()
    assert reach(world, 443) == "open", "nothing was ever confirmed"
    daemon.start()
    daemon.apply(EXAMPLE, "--no-confirm")
    daemon.stop()
    world.lab.nft("flush ruleset")
    lockdown()
    assert reach(world, 443) == "dropped" and reach(world, 22) == "dropped"


def test_what_is_in_force_needs_no_lockdown(world, daemon):
    def lockdown():
        words = [DAEMON, "--lockdown=if-open", "--state-dir", daemon.state]
        assert world.lab.run("fw", words, env=ENVIRONMENT).stderr.count("the lockdown") == closes

    daemon.start()
    daemon.apply(EXAMPLE, "--no-confirm")
    daemon.stop()
    closes = 0
    lockdown()
    assert reach(world, 443) == "open" and reach(world, 22) == "dropped"
    # a table that holds nothing back is nothing in force
    world.lab.nft("delete chain inet ringwall forward")
    closes = 1
    lockdown()
    assert reach(world, 443) == "dropped" and reach(world, 22) == "dropped"


def test_where_nobody_can_tell_what_was_confirmed_it_is_closed(world, daemon):
    def lockdown(*words):
        words = [DAEMON, "--lockdown=if-open", "--state-dir", daemon.state, *words]
        done = world.lab.run("fw", list(map(str, words)), env=ENVIRONMENT)
        closed = "inet", "ringwall"
        was = closed in world.lab.tables()
        world.lab.nft("flush ruleset")
        assert was == ("the lockdown" in done.stderr)
        return was

    policy = world.file(EXAMPLE)
    # no folder: perhaps what it is on was not mounted, if there is a policy at all
    assert not lockdown("--policy", daemon.folder / "none")
    assert lockdown("--policy", policy)
    daemon.state.mkdir(mode=0o700)
    assert not lockdown("--policy", policy)
    # a folder that cannot be trusted
    daemon.state.chmod(0o777)
    assert lockdown("--policy", policy)


def test_the_lockdown_lets_in_who_may_rescue(world, daemon):
    daemon.start()
    rescue = "settings: { rescue: 203.0.113.2 }\n"
    assert daemon.apply(rescue + EXAMPLE, "--no-confirm")[0] == 0
    assert reach(world, 22) == "dropped" and reach(world, 443) == "open"
    daemon.stop()
    world.lab.run("fw", [DAEMON, "--lockdown", "--state-dir", daemon.state], env=ENVIRONMENT)
    assert reach(world, 22) == "open" and reach(world, 443) == "dropped"
    assert world.reach("lan", "host", 22, 4) == "dropped"


def test_reload_brings_nothing_that_was_not_confirmed(world, daemon):
    daemon.start()
    daemon.apply(EXAMPLE, "--no-confirm")
    more = daemon.folder / "policy.d"
    more.mkdir()
    (more / "50.yaml").write_text(with_inbound("{ allow: ssh }"))
    code, _ = daemon.ask("reload")
    assert reach(world, 22) == "dropped" and daemon.status()["number"] == 1, code


def test_apply_repairs_what_others_took_away(world, daemon):
    daemon.start()
    daemon.apply(EXAMPLE, "--no-confirm")
    world.lab.nft("flush ruleset")
    code, answer = daemon.apply(EXAMPLE)
    assert code == 0 and not answer["awaitsConfirmation"]
    assert reach(world, 22) == "dropped"


def test_a_rollback_after_a_restart_can_be_confirmed(world, daemon):
    daemon.start()
    daemon.apply(EXAMPLE, "--no-confirm")
    daemon.apply(with_inbound("{ allow: ssh }"), "--no-confirm")
    ringwall(world.lab, "unload", "--yes", "--runtime-dir", str(daemon.runtime))
    daemon.stop(signal.SIGKILL)
    daemon.start()
    code, answer = daemon.ask("rollback", "1")
    assert code == 9 and answer["seconds"] > 100
    assert daemon.ask("confirm")[0] == 0 and reach(world, 22) == "dropped"


def test_a_shell_that_outlived_its_connection_is_not_believed(world, daemon, monkeypatch):
    daemon.start()
    daemon.apply(EXAMPLE, "--no-confirm")
    monkeypatch.setitem(ENVIRONMENT, "SSH_CONNECTION", "198.51.100.7 40000 203.0.113.1 22")
    text = with_inbound("{ allow: ssh }")
    code, said = daemon.apply(text)
    assert code != 9 and "--i-have-console" in str(said) and reach(world, 22) == "dropped"
    assert daemon.apply(text, "--i-have-console")[0] == 9
    code, said = daemon.ask("confirm")
    assert code != 0 and "--same-connection" in str(said)
    assert daemon.ask("confirm", "--same-connection")[0] == 0


def test_what_is_taken_out_of_the_state_directory_is_there_for_the_next_start(world, daemon):
    daemon.start()
    daemon.apply(EXAMPLE, "--no-confirm")
    for path in sorted(daemon.state.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()

    def told():
        return ringwall(world.lab, "events", "--runtime-dir", str(daemon.runtime)).stdout

    wait_until(lambda: "had been removed from" in told(), 20, "the event")
    wait_until((daemon.state / "running").exists, 20, "that it runs")
    daemon.stop(signal.SIGKILL)
    world.lab.nft("flush ruleset")
    daemon.start()
    status = daemon.status()
    assert status["state"] == "closed" and status["number"] == 1
    assert "ringwalld was killed" in told()


def test_the_lockdown_comes_where_the_store_cannot_be_trusted(world, daemon):
    daemon.start()
    daemon.apply(EXAMPLE, "--no-confirm")
    daemon.stop(signal.SIGKILL)
    world.lab.nft("flush ruleset")
    daemon.state.chmod(0o777)
    daemon.start("--lockdown", ready=False)
    assert daemon.process.wait(20) == 0
    assert reach(world, 443) == "dropped"


def test_a_store_that_others_could_read_is_mended(world, daemon):
    daemon.start()
    daemon.apply(EXAMPLE, "--no-confirm")
    daemon.stop(signal.SIGKILL)
    world.lab.nft("flush ruleset")
    daemon.state.chmod(0o755)
    daemon.start()
    assert daemon.status()["state"] == "closed" and reach(world, 443) == "open"
    assert daemon.state.stat().st_mode & 0o777 == 0o700


def test_what_an_undone_change_let_in_ends_with_it(world, daemon):
    daemon.start()
    daemon.apply(EXAMPLE, "--no-confirm")
    daemon.apply(with_inbound("{ allow: ssh }"))
    outcome, client = world.talk.dial("wan", world.address("host", 4), 22)
    assert outcome == "open"
    server = accept_from(world, ("fw", 22), client)
    assert exchange(client, server)
    assert daemon.ask("rollback")[0] == 0
    client.sendall(b"still there?")
    server.settimeout(0.3)
    with pytest.raises(TimeoutError):
        server.recv(100)


def test_after_an_upgrade_the_policy_is_compiled_anew_from_what_was_confirmed(world, daemon):
    """Whatever its files say by now, and whoever `root` is."""
    listed = world.file("203.0.113.0/24\n", "list")
    text = "ringwall: 1\nzones: { wan: { file: list }, home: { connected: [eth0] } }\ninclude: more.yaml\n"
    more = world.file("ringwall: 1\noutbound: [{ deny: smtp, user: root }]\n", "more.yaml")
    text += "inbound: [{ allow: https, from: wan }, { allow: http, from: home }]\n"
    daemon.start()
    assert daemon.apply(text, "--no-confirm")[0] == 0
    daemon.stop()
    for file in (listed, more, world.file(text)):
        os.unlink(file)
    for copy in ("sealed", "history/00000001"):
        of_another_version(daemon.state / copy)
    world.lab.nft("flush ruleset")
    daemon.start()
    status = daemon.status()
    assert status["state"] == "closed" and status["number"] == 1
    assert reach(world, 443) == "open" and reach(world, 22) == "dropped"
    assert any("another version of ringwall compiled" in e["text"] for e in status["events"])
    assert "skuid 0" in world.lab.run("fw", ["nft", "-nn", "list", "table", "inet", "ringwall"]).stdout
    # it can be changed and gone back to as ever
    daemon.apply(EXAMPLE, "--no-confirm")
    assert daemon.ask("rollback", "1")[0] == 9 and daemon.ask("confirm")[0] == 0
    assert reach(world, 443) == "open" and reach(world, 22) == "dropped"


@pytest.fixture(name="disk")
def make_disk(daemon):
    """A file system of the state's own, of 2 MiB."""
    mount = daemon.folder / "disk"
    mount.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", mount], check=True)
    daemon.state = mount / "state"
    yield mount
    if daemon.process and daemon.process.poll() is None:
        daemon.stop(signal.SIGKILL)
    subprocess.run(["umount", mount], check=True)


def fill(disk, but):
    """All but so many bytes."""
    filler = disk / "filler"
    filler.write_bytes(b"")
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    filler.write_bytes(b"x" * max(0, free - but))
    return filler


def test_what_cannot_be_written_down_is_not_applied(world, daemon, disk):
    daemon.start()
    assert daemon.apply(EXAMPLE, "--no-confirm")[0] == 0
    failed = 0
    for room in range(0, 200_000, 4096):
        filler = fill(disk, room)
        code, said = daemon.apply(QUICK + with_inbound("{ allow: ssh }"))
        filler.unlink()
        if code == 9:
            break
        failed += 1
        assert code == 1 and "the disk is full; nothing has changed" in str(said), (room, code, said)
        assert reach(world, 22) == "dropped" and reach(world, 443) == "open"
        status = daemon.status()
        assert status["state"] == "closed" and status["number"] == 1 and "pending" not in status
    assert code == 9 and failed >= 3, "the entry, its staged copy, and what waits each need room"
    # from here on no room is needed
    fill(disk, 0)
    assert daemon.ask("confirm")[0] == 0 and reach(world, 22) == "open"
    daemon.stop(signal.SIGKILL)
    world.lab.nft("flush ruleset")
    daemon.start()
    assert reach(world, 22) == "open" and daemon.status()["state"] == "closed"


def test_on_a_read_only_disk_nothing_is_applied_or_confirmed_and_all_is_undone(world, daemon, disk):
    def remount(how):
        subprocess.run(["mount", "-o", f"remount,{how}", disk], check=True)

    daemon.start()
    assert daemon.apply(EXAMPLE, "--no-confirm")[0] == 0
    assert daemon.apply(QUICK + with_inbound("{ allow: ssh }"))[0] == 9
    daemon.stop(signal.SIGKILL)  # nobody has a file open for writing
    remount("ro")
    daemon.start()
    code, said = daemon.ask("confirm")
    assert code == 1 and "read-only" in str(said) and reach(world, 22) == "open"
    code, said = daemon.apply(with_inbound("{ allow: http }"))
    assert code == 1 and "read-only; nothing has changed" in str(said)
    assert "change 2 waits for its confirmation as before" in str(said)
    wait_until(lambda: reach(world, 22) == "dropped", 20, "the way back")
    assert reach(world, 443) == "open" and daemon.status()["number"] == 1
    # what was confirmed comes into force there, too
    daemon.stop(signal.SIGKILL)
    world.lab.nft("flush ruleset")
    daemon.start()
    assert daemon.status()["state"] == "closed" and reach(world, 443) == "open"
    remount("rw")
    wait_until(lambda: not (daemon.state / "pending").exists(), 20, "what waited is forgotten")


def test_a_policy_named_at_start_is_not_in_force_unless_it_is_written_down(world, daemon, disk):
    daemon.start()
    fill(disk, 0)
    daemon.stop()
    daemon.start("--policy", str(world.file(EXAMPLE)), ready=False)
    assert daemon.process.wait(20) == 1
    assert "the disk is full" in daemon.log() and reach(world, 22) == "open"


def own_table(world):
    """Another program takes the table for its own: the kernel lets nobody else change it."""

    def message(kind, flags, number, rest):
        return struct.pack("=LHHLL", 16 + len(rest), kind, flags, number, 0) + rest

    name = struct.pack("=HH", 4 + 9, 1) + b"ringwall\0" + b"\0" * 3
    flags = struct.pack("=HH", 8, 2) + struct.pack(">L", 2)
    batch = message(0x10, 1, 1, struct.pack(">BBH", 0, 0, 10))
    batch += message(10 << 8 | 2, 1, 2, struct.pack(">BBH", 1, 0, 0) + name)
    batch += message(10 << 8, 1 | 4 | 0x400, 3, struct.pack(">BBH", 1, 0, 0) + name + flags)
    batch += message(0x11, 1, 4, struct.pack(">BBH", 0, 0, 10))
    with world.lab.inside("fw"):
        s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
        s.bind((0, 0))
        s.send(batch)
    assert struct.unpack_from("=l", s.recv(4096), 16) == (0,)
    return s


FOR_EVERYBODY = "settings: { ownership: off }\n"  # as on kernels without tables that are owned


def test_a_change_waits_on_if_the_one_after_it_is_refused(world, daemon):
    daemon.start()
    daemon.apply(FOR_EVERYBODY + EXAMPLE, "--no-confirm")
    assert daemon.apply(FOR_EVERYBODY + with_inbound("{ allow: ssh }"))[0] == 9
    for text, expected in (("ringwall: 1\ninbound: [{ allow: shh }]\n", 3), (None, 3)):
        code, _ = daemon.apply(text) if text else daemon.ask("apply", "/nowhere")
        assert code == expected and daemon.status()["pending"]["number"] == 2
    with own_table(world):
        code, said = daemon.apply(FOR_EVERYBODY + with_inbound("{ allow: http }"))
        assert code == 6 and "change 2 waits for its confirmation as before" in str(said)
        pending = daemon.status()["pending"]
        assert pending["number"] == 2 and pending["seconds"] > 100
    daemon.stop(signal.SIGKILL)
    daemon.start()
    assert daemon.status()["pending"]["number"] == 2 and reach(world, 22) == "open"
    assert daemon.ask("confirm")[0] == 0 and daemon.status()["number"] == 2


def has_network(world):
    listed = world.lab.run("fw", ["nft", "-j", "list", "set", "inet", "ringwall", "home-ipv4"], check=False)
    return "198.51.100.0" in listed.stdout


HOME = "ringwall: 1\nzones: { home: { connected: [eth0] } }\ninbound: [{ allow: ssh, from: home }]\n"


def test_a_network_that_comes_while_it_starts_is_not_missed(world, daemon):
    """The host is listened to before it is looked at: here, each socket takes its time to be there."""
    daemon.start()
    assert daemon.apply(HOME, "--no-confirm")[0] == 0
    daemon.stop()
    world.lab.nft("flush ruleset")
    slowly = ["strace", "-D", "-o", "/dev/null", "-e", "inject=bind:delay_enter=1000000"]
    daemon.start(ready=False, under=slowly)
    wait_until(lambda: ("inet", "ringwall") in world.lab.tables(), 20, "the table")
    world.lab.ip("fw", "addr add 198.51.100.1/24 dev eth0\n")
    wait_until(lambda: has_network(world), 20, "the network that came meanwhile")
    wait_until(lambda: daemon.ask("status")[0] == 0, 20, "the daemon's first answer")


def test_what_could_not_be_followed_is_tried_again(world, daemon):
    daemon.start()
    assert daemon.apply(FOR_EVERYBODY + HOME, "--no-confirm")[0] == 0
    with own_table(world):
        world.lab.ip("fw", "addr add 198.51.100.1/24 dev eth0\n")
        wait_until(lambda: "are not followed" in daemon.log(), 10, "that it cannot be followed")
    # that table has gone with its owner, and nothing else happens
    wait_until(lambda: has_network(world), 20, "the next try")
    assert daemon.status()["state"] == "closed" and reach(world, 22) == "open"
    assert daemon.log().count("are not followed") == 1


def connect_as(world, user, port, kind=socket.SOCK_STREAM):
    with world.lab.inside("fw"):
        os.seteuid(user)
        s = world.talk.keep(socket.socket(socket.AF_INET, kind))
        os.seteuid(0)
    s.settimeout(5)
    s.connect((world.address("wan", 4), port))
    return s


def test_connections_of_this_hosts_own_are_cut_by_who_owns_them(world, daemon):
    daemon.start()
    assert daemon.apply("ringwall: 1\n", "--no-confirm")[0] == 0
    server = world.talk.listen("wan", 8443)
    pairs = {}
    for user in (0, 1000):
        client = connect_as(world, user, 8443)
        pairs[user] = (client, server.accept()[0])
        assert exchange(*pairs[user])
    text = "ringwall: 1\noutbound: [{ allow: 8443/tcp, user: 1000 }]\n"
    code, answer = daemon.apply(text, "--no-confirm")
    assert code == 0 and answer["cut"] == 1 and "notCut" not in answer
    assert exchange(*pairs[1000])
    client, peer = pairs[0]
    client.sendall(b"still there?")
    peer.settimeout(0.3)
    with pytest.raises(TimeoutError):
        peer.recv(100)


def test_what_could_not_be_decided_is_told(world, daemon):
    daemon.start()
    assert daemon.apply("ringwall: 1\n", "--no-confirm")[0] == 0
    world.talk.receive_on("wan", 8443)
    connect_as(world, 0, 8443, socket.SOCK_DGRAM).send(b"whose?")
    assert daemon.apply("ringwall: 1\noutbound: [{ allow: 8443/udp, user: 1000 }]\n")[0] == 9
    code, answer = daemon.ask("confirm")
    assert code == 0 and "who owns them" in answer["notCut"]
    assert any("who owns them" in e["text"] for e in daemon.status()["events"])


def test_while_nothing_happens_it_sleeps(world, daemon):
    def woken():
        status = open(f"/proc/{daemon.process.pid}/status", encoding="ascii").read()
        return int(status.split("voluntary_ctxt_switches:")[1].split()[0])

    daemon.start()
    daemon.apply(EXAMPLE, "--no-confirm")

    def rests():
        before = woken()
        time.sleep(3)  # what is measured
        return woken() == before

    wait_until(rests, 30, "three seconds without waking up, once the new interfaces have settled")


def test_without_the_daemon_the_lockdown_that_it_wrote_down_closes(world, daemon):
    """ringwall-lockdown needs no library, no catalogue and no daemon."""

    def lockdown():
        words = [os.path.join(os.path.dirname(DAEMON), "ringwall-lockdown"), "--state-dir", daemon.state]
        return world.lab.run("fw", words, check=False, env={})

    daemon.start()
    done = lockdown()
    assert (done.returncode, done.stderr) == (0, "") and reach(world, 22) == "open"
    rescue = "settings: { rescue: 203.0.113.2 }\n"
    assert daemon.apply(rescue + EXAMPLE)[0] == 9
    assert not (daemon.state / "lockdown.batch").exists(), "nothing is confirmed yet"
    assert daemon.ask("confirm")[0] == 0
    # what is in force stays, whoever owns it
    assert daemon.status()["owned"] == can_own_tables()
    done = lockdown()
    assert (done.returncode, done.stderr) == (0, "")
    daemon.stop()
    done = lockdown()
    assert (done.returncode, done.stderr) == (0, "")
    assert reach(world, 443) == "open" and reach(world, 22) == "dropped"
    world.lab.nft("flush ruleset")
    done = lockdown()
    assert done.returncode == 0 and "in force: the lockdown" in done.stderr
    assert reach(world, 443) == "dropped" and reach(world, 22) == "open"
    assert world.reach("lan", "host", 22, 4) == "dropped" and world.reach("wan", "host", 443, 6) == "dropped"
    # the daemon that comes back takes it over
    daemon.start()
    assert daemon.status()["state"] == "closed" and reach(world, 443) == "open"
    daemon.stop()
    world.lab.nft("flush ruleset")
    batch = daemon.state / "lockdown.batch"
    batch.write_bytes(batch.read_bytes()[:-1])
    done = lockdown()
    assert done.returncode == 1 and "lockdown.batch" in done.stderr and reach(world, 22) == "open"
    # an upgrade makes it anew
    batch.unlink()
    daemon.start()
    assert batch.exists()
