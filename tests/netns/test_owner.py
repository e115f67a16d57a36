# SPDX-License-Identifier: GPL-2.0-or-later
"""Whose the table is: other programs cannot change it, and it has an owner over the daemon's death
where a service manager keeps the socket (sd_pid_notify_with_fds(3))."""

import contextlib
import os
import re
import signal
import socket
import sys
import threading

import pytest

from daemon import DAEMON, reach
from fixtures import world_for
from lab import wait_until
from program import ENVIRONMENT, ringwall
from steady import ALLOWED, Steady
from world import EXAMPLE

ATTEMPTS = [
    "add rule inet ringwall input accept",
    "insert rule inet ringwall input tcp dport 22 accept",
    "flush chain inet ringwall input",
    "flush table inet ringwall",
    "delete table inet ringwall",
    "delete chain inet ringwall input",
    "add element inet ringwall inbound-tcp { 22 : accept }",
    "add table inet ringwall { flags dormant; }",
    "add chain inet ringwall input { policy accept; }",
]


class Manager:
    """What systemd does for a service with a descriptor store, over one socket."""

    def __init__(self, folder):
        self.path = folder / "notify"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(self.path))
        self.socket.settimeout(0.2)
        self.kept = {}

    def collect(self):
        while True:
            try:
                text, fds, _, _ = socket.recv_fds(self.socket, 4096, 4)
            except TimeoutError:
                return
            words = dict(line.split("=", 1) for line in text.decode().splitlines() if "=" in line)
            if words.get("FDSTORE") == "1":
                assert words["FDPOLL"] == "0" and len(fds) == 1
                self.kept[words["FDNAME"]] = fds.pop()
            for fd in fds:
                os.close(fd)

    def start(self, daemon):
        """Hands on what was kept, from the third descriptor on."""
        self.collect()
        environment = {**ENVIRONMENT, "NOTIFY_SOCKET": str(self.path)}
        words = [DAEMON, "--state-dir", daemon.state, "--runtime-dir", daemon.runtime]
        script = 'exec "$@"'
        if self.kept:
            (name, fd), = self.kept.items()
            environment |= {"LISTEN_FDS": "1", "LISTEN_FDNAMES": name}
            script = f'exec 3<&{fd}; LISTEN_PID=$$ exec "$@"'
        with open(daemon.folder / "log", "ab") as log:
            daemon.process = daemon.world.lab.popen(
                "fw",
                ["bash", "-c", script, "bash", *map(str, words)],
                stderr=log,
                env=environment,
                pass_fds=list(self.kept.values()),
            )
        wait_until(lambda: daemon.ask("status")[0] == 0, 10, "the daemon's first answer")
        self.collect()

    def close(self):
        for fd in self.kept.values():
            os.close(fd)
        self.socket.close()

make_world = world_for("function")


@pytest.fixture(name="manager")
def make_manager(tmp_path):
    m = Manager(tmp_path)
    yield m
    m.close()


def refused(world, command):
    done = world.lab.run("fw", ["nft", command], check=False)
    return done.returncode != 0 and "not permitted" in done.stderr


def test_no_other_program_can_change_the_rules(world, daemon):
    daemon.start()
    daemon.apply(EXAMPLE, "--no-confirm")
    assert daemon.status()["owned"]
    for command in ATTEMPTS:
        assert refused(world, command), command
    world.lab.nft("flush ruleset")  # says nothing, and passes the table over
    status = daemon.status()
    assert status["state"] == "closed" and status["readBack"] and status["owned"]
    assert reach(world, 22) == "dropped" and reach(world, 443) == "open"
    # ours are taken as ever
    daemon.apply(EXAMPLE.replace("https", "ssh"), "--no-confirm")
    assert reach(world, 22) == "open" and daemon.status()["owned"]


# Takes the daemon's sockets of nf_tables out of it, pidfd_getfd(2), and deletes the table with each.
STOLEN = """
import ctypes, os, socket, struct, sys
pid, call = int(sys.argv[1]), ctypes.CDLL(None, use_errno=True).syscall
held = os.pidfd_open(pid)

def message(kind, body, flags):
    return struct.pack("IHHII", 16 + len(body), kind, flags, 1, 0) + body

all_of_them = struct.pack("BBH", 0, 0, socket.htons(10))  # NFNL_SUBSYS_NFTABLES
table = struct.pack("BBH", 1, 0, 0) + struct.pack("HH", 13, 1) + b"ringwall".ljust(12, b"\\0")
batch = message(16, all_of_them, 1) + message(0xa02, table, 1) + message(17, all_of_them, 1)
for n in map(int, os.listdir(f"/proc/{pid}/fd")):
    fd = call(438, held, n, 0)  # -1: closed meanwhile
    if fd >= 0 and os.readlink(f"/proc/self/fd/{fd}").startswith("socket:"):
        taken = socket.socket(fileno=fd)
        if taken.family == socket.AF_NETLINK and taken.proto == 12:
            taken.send(batch)
"""


@pytest.mark.parametrize("settings", ["", "settings: { ownership: off }\n"])
def test_who_writes_with_the_daemons_own_socket_is_somebody_else(world, daemon, settings):
    daemon.start()
    daemon.apply(settings + EXAMPLE, "--no-confirm")
    world.lab.run("fw", [sys.executable, "-c", STOLEN, str(daemon.process.pid)])
    wait_until(lambda: daemon.status()["drift"]["undone"] >= 1, 20, "the heal")
    status = daemon.status()
    assert status["state"] == "closed" and status["readBack"], daemon.log()
    assert reach(world, 22) == "dropped" and reach(world, 443) == "open"
    assert re.search(r"all of them were removed; by python\S* \(process", daemon.log()), daemon.log()


def test_a_rule_that_slipped_in_while_nobody_owned_the_table_is_gone(world, daemon):
    daemon.start()
    daemon.apply(EXAMPLE, "--no-confirm")
    daemon.stop(signal.SIGKILL)
    # nothing keeps the socket here: the rules stay, and are anybody's
    assert reach(world, 22) == "dropped"
    world.lab.nft("insert rule inet ringwall input tcp dport 22 accept")
    assert reach(world, 22) == "open"
    daemon.start()
    assert reach(world, 22) == "dropped" and daemon.status()["owned"]
    assert refused(world, ATTEMPTS[0])


def test_the_table_has_its_owner_while_the_daemon_is_dead(world, daemon, manager):
    manager.start(daemon)
    assert "nftables" in manager.kept
    daemon.apply(EXAMPLE, "--no-confirm")
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL):
        daemon.stop(number)
        for command in ATTEMPTS:
            assert refused(world, command), command
        world.lab.nft("flush ruleset")
        assert reach(world, 22) == "dropped" and reach(world, 443) == "open"
        manager.start(daemon)
        status = daemon.status()
        assert status["state"] == "closed" and status["readBack"] and status["owned"]
        assert refused(world, ATTEMPTS[0])
    # the socket that was handed on writes as the first one did
    assert daemon.apply(EXAMPLE.replace("https", "ssh"), "--no-confirm")[0] == 0
    assert reach(world, 22) == "open" and reach(world, 443) == "dropped"


def test_a_descriptor_that_is_no_such_socket_is_left_behind(world, daemon, manager):
    manager.kept["nftables"] = os.open("/dev/null", os.O_RDONLY)
    manager.start(daemon)
    daemon.apply(EXAMPLE, "--no-confirm")
    assert daemon.status()["owned"] and reach(world, 22) == "dropped"


def test_without_ownership_others_can_change_it_and_status_says_so(world, daemon):
    daemon.start()
    daemon.apply("settings: { ownership: off }\n" + EXAMPLE, "--no-confirm")
    status = daemon.status()
    assert status["readBack"] and not status["owned"]
    assert not refused(world, "insert rule inet ringwall input tcp dport 22 accept")


def test_a_table_made_without_an_owner_is_made_anew_and_nothing_passes(world, daemon):
    """As `ringwall load` makes it, and ringwall-lockdown."""
    text = EXAMPLE.replace("  - allow: https\n", f"  - allow: https\n  - allow: {ALLOWED}/udp\n")
    world.use(text)
    assert not refused(world, "add chain inet ringwall another")
    with Steady(world) as steady:
        wait_until(lambda: steady.got > 100, 20, "traffic before")
        daemon.start()
        assert daemon.apply(text, "--no-confirm")[0] == 0
        got = steady.got
        wait_until(lambda: steady.got > got + 100, 20, "traffic after")
    steady.assert_nothing_passed()
    status = daemon.status()
    assert status["state"] == "closed" and status["readBack"] and status["owned"]
    for attempt in ATTEMPTS:
        assert refused(world, attempt), attempt


def test_a_lockdown_is_adopted(world, daemon):
    daemon.start()
    daemon.apply(EXAMPLE, "--no-confirm")
    daemon.stop()
    world.lab.nft("flush ruleset")
    world.lab.run("fw", [DAEMON, "--lockdown", "--state-dir", daemon.state], env=ENVIRONMENT)
    assert reach(world, 443) == "dropped"
    daemon.start()
    assert daemon.status()["owned"] and reach(world, 443) == "open"


def test_unloaded_on_demand_it_is_gone(world, daemon, manager):
    manager.start(daemon)
    daemon.apply(EXAMPLE, "--no-confirm")
    ringwall(world.lab, "unload", "--yes", "--runtime-dir", str(daemon.runtime))
    assert ("inet", "ringwall") not in world.lab.tables()
    assert reach(world, 22) == "open"


class Watch:
    """Signs of life, and for how long to wait for one, as they come: whoever gives them waits for a reader."""

    def __init__(self, folder):
        self.path, self.lines, self.over = folder / "notify", [], False
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(self.path))
        self.socket.settimeout(0.1)
        self.thread = threading.Thread(target=self._read)
        self.thread.start()

    def _read(self):
        while not self.over:
            with contextlib.suppress(TimeoutError):
                text = self.socket.recv(4096).decode()
                self.lines += [line for line in text.splitlines() if line.startswith("WATCHDOG")]

    def close(self):
        self.over = True
        self.thread.join()
        self.socket.close()


def test_a_large_transaction_is_announced_with_the_time_that_it_may_take(world, daemon, tmp_path):
    """systemd waits so long for a sign of life, and no longer once the kernel has taken it."""
    wait = 100000  # microseconds: what is large is measured by it
    watch = Watch(tmp_path)
    try:
        daemon.start(NOTIFY_SOCKET=str(watch.path), WATCHDOG_USEC=str(wait))
        daemon.apply(EXAMPLE, "--no-confirm")
        wait_until(lambda: "WATCHDOG=1" in watch.lines, 20, "a sign of life")
        assert not any("USEC" in line for line in watch.lines)
        many = tmp_path / "many"
        many.write_text("".join(f"11.{i // 256}.{i % 256}.0/25\n" for i in range(4000)))
        policy = EXAMPLE.replace("zones:\n", f"zones:\n  many: {{ file: {many} }}\n")
        policy = policy.replace("from: [lan, vpn]", "from: [lan, vpn, many]")
        assert daemon.apply(policy, "--no-confirm")[0] == 0
        usual = f"WATCHDOG_USEC={wait}"
        wait_until(lambda: usual in watch.lines[:-1], 20, "the usual wait")
    finally:
        daemon.stop(signal.SIGKILL)
        watch.close()
    (first, longer), (last, _) = (
        (i, line) for i, line in enumerate(watch.lines) if line.startswith("WATCHDOG_USEC=")
    )
    assert int(longer.split("=")[1]) > 2 * wait
    # it counts from then on, both times
    assert watch.lines[first + 1] == watch.lines[last + 1] == "WATCHDOG=1"
