# SPDX-License-Identifier: GPL-2.0-or-later
"""The package on a machine with systemd: at boot, and through whatever ends the daemon."""

import shutil
import subprocess
import time

import pytest
from lab import wait_until
from runner import ROOT
from stream import ALLOWED, DENIED, POLICY, Stream, assert_nothing_wrong

DAEMON, LOCKDOWN = "ringwalld.service", "ringwall-lockdown.service"
CONFIRM = 10  # seconds
OTHER = f"ringwall: 1\ninbound: [{{ allow: {DENIED}/udp, from: anywhere }}]\n"


def extend(machine, text):
    """Adds to the daemon's unit; the file."""
    folder = machine.path(f"/etc/systemd/system/{DAEMON}.d")
    folder.mkdir()
    (folder / "x.conf").write_text(text)
    return folder / "x.conf"


def active_since(machine, unit):
    assert machine.show(unit, "ActiveState") == "active", machine.tell(unit)
    return int(machine.show(unit, "ActiveEnterTimestampMonotonic"))


def boots(machine, expected):
    """Traffic from before it is switched on until the network has been up for a while."""
    stream = Stream(machine, expect_open=False)
    machine.boot()
    before = machine.received()
    if expected == "policy":
        stream.arrives(ALLOWED)
    elif expected == "open":
        stream.arrives(DENIED)
    stream.runs(200)
    received = machine.received() - before
    tally = stream.stop()
    assert received >= 800, f"only {received} packets have come to its door"
    if expected != "open":
        assert (tally.passed, tally.intruders) == (0, 0), f"{tally}\n{machine.tell()}"
    if expected == "lockdown":
        assert not tally.connected and tally.dropped == tally.sent, f"{tally}\n{machine.tell()}"


# --- boots ----------------------------------------------------------------------------------------


def test_before_anything_is_confirmed_it_waits_and_closes_nothing(yard, installed):
    machine = yard.machine(installed)
    boots(machine, "open")
    assert machine.run("systemctl", "is-enabled", DAEMON).stdout.strip() == "enabled"
    assert active_since(machine, DAEMON)
    assert machine.status()["state"] == "unarmed"
    assert machine.tables() == []
    yard.retire(machine)


def test_what_was_confirmed_is_in_force_before_the_network(machine):
    boots(machine, "policy")
    assert active_since(machine, DAEMON) < active_since(machine, "network-pre.target")
    assert active_since(machine, "network-pre.target") < active_since(machine, "network.service")
    status = machine.status()
    assert (status["state"], status["readBack"]) == ("closed", True)
    assert machine.run("systemctl", "--failed", "--plain", "--no-legend").stdout == ""


def damage(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def a_policy_file_that_is_broken(machine):
    machine.write_policy("ringwall: 1\ninbound: [{ allow: any, from:\n")


def a_policy_file_that_is_gone(machine):
    machine.path("/etc/ringwall/policy.yaml").unlink()


def a_sealed_copy_that_is_damaged(machine):
    damage(machine.path("/var/lib/ringwall/sealed"))


def a_sealed_copy_that_is_gone(machine):
    machine.path("/var/lib/ringwall/sealed").unlink()


@pytest.mark.parametrize(
    "harm",
    [
        a_policy_file_that_is_broken,
        a_policy_file_that_is_gone,
        a_sealed_copy_that_is_damaged,
        a_sealed_copy_that_is_gone,
    ],
)
def test_what_was_confirmed_outlives(machine, harm):
    harm(machine)
    boots(machine, "policy")
    assert machine.status()["state"] == "closed"


def test_without_any_copy_everything_is_closed(machine):
    a_sealed_copy_that_is_damaged(machine)
    for entry in machine.path("/var/lib/ringwall/history").iterdir():
        damage(entry)
    boots(machine, "lockdown")
    assert machine.status()["state"] == "lockdown"


def test_a_change_that_nobody_confirmed_does_not_outlive_the_boot(up):
    up.apply(OTHER, confirm=False)
    up.cut_power()
    up.plug_in()
    boots(up, "policy")
    status = up.status()
    assert status["state"] == "closed" and "pending" not in status


def test_bans_are_in_force_after_a_boot_whatever_ended_the_one_before(up):
    up.run("ringwall", "ban", "198.51.100.7", "--for", "1h", "--reason", "kept")
    for end in (up.cut_power, up.power_off):
        end()
        up.plug_in()
        up.boot()
        assert "in force: 1 ban\n" in up.tell()  # before it said that it is ready
        assert active_since(up, DAEMON) < active_since(up, "network-pre.target")
        listed = up.run("ringwall", "bans").stdout
        assert "198.51.100.7" in listed and "kept" in listed
        assert "inet ringwall_bans" in up.tables()


# What happens to the disk with the state before the daemon starts.
DISK = """[Unit]
DefaultDependencies=no
After=local-fs.target
Before=ringwalld.service
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -ec '{script}'
"""
DISKS = {
    "read-only": "mount --bind $$state $$state; mount -o remount,bind,ro $$state",
    "full": "mkdir /run/disk; mount -t tmpfs -o size=1m,mode=700 tmpfs /run/disk; cp -a $$state/. /run/disk;"
    " mount --bind /run/disk $$state; cat /dev/zero >$$state/filler || :",
}


@pytest.mark.parametrize("disk", DISKS)
def test_where_nothing_can_be_written_it_guards_and_changes_nothing(machine, disk):
    script = f"state=/var/lib/ringwall; {DISKS[disk]}"
    machine.path("/etc/systemd/system/disk.service").write_text(DISK.format(script=script))
    extend(machine, "[Unit]\nWants=disk.service\nAfter=disk.service\n")
    boots(machine, "policy")
    status = machine.status()
    assert status["state"] == "closed" and status["number"] == 1, machine.tell()
    stream = Stream(machine)
    machine.write_policy(OTHER)
    done = machine.run("ringwall", "apply", check=False)
    assert done.returncode not in (0, 9) and done.stderr, done
    stream.runs()
    assert_nothing_wrong(stream.stop())
    status = machine.status()
    assert (status["state"], status["number"]) == ("closed", 1) and "pending" not in status
    # once there is room, it goes on
    if disk == "full":
        machine.run("rm", "/var/lib/ringwall/filler")
    else:
        machine.run("mount", "-o", "remount,bind,rw", "/var/lib/ringwall")
        machine.run("systemctl", "restart", DAEMON)  # its sandbox has a view of its own
    machine.apply(OTHER)
    assert machine.status()["state"] == "closed"


YEAR = 365 * 24 * 60 * 60


def test_a_clock_that_is_set_back_changes_nothing(machine):
    """Neither at boot nor while a change waits."""
    words = ["cc", "-shared", "-fPIC", "-O1", "-o", machine.path("/usr/lib/clock.so")]
    subprocess.run([*words, ROOT / "tests/netns/clock.c"], check=True, timeout=60)
    offset = machine.path("/etc/clock")
    offset.write_text(f"-{YEAR}\n")
    extend(machine, "[Service]\nEnvironment=LD_PRELOAD=/usr/lib/clock.so CLOCK_OFFSET=/etc/clock\n")
    boots(machine, "policy")
    status = machine.status()
    assert status["state"] == "closed" and status["since"] / 1e6 < time.time() - YEAR / 2
    stream = Stream(machine)
    machine.apply(POLICY + f"settings: {{ confirm: {CONFIRM}s }}\nrouted: reject\n", confirm=False)
    applied = time.monotonic()
    offset.write_text(f"-{2 * YEAR}\n")
    wait_until(lambda: "pending" not in machine.status(), 3 * CONFIRM, "the end of the wait")
    assert CONFIRM - 1 < time.monotonic() - applied < CONFIRM + 5
    assert machine.status()["number"] == 1
    assert_nothing_wrong(stream.stop())


# Why a daemon cannot start, as what is added to its unit. The second one is never reached: systemd
# fails to make the sandbox.
CANNOT_START = {
    "it dies": "ExecStart=\nExecStart=/bin/false\n",
    "no sandbox": "NoExecPaths=/\n",
}


def runs(machine):
    """It does, of itself."""
    wait_until(lambda: machine.show(DAEMON, "ActiveState") == "active", 30, "its start")
    assert machine.status()["state"] == "closed"


@pytest.mark.parametrize("why", CANNOT_START)
def test_when_the_daemon_cannot_start_all_is_closed_before_the_network(machine, why):
    extended = extend(machine, f"[Service]\n{CANNOT_START[why]}")
    boots(machine, "lockdown")
    # repaired, it takes over from there: it is never given up
    extended.unlink()
    machine.run("systemctl", "daemon-reload")
    runs(machine)
    stream = Stream(machine)
    stream.runs()
    assert_nothing_wrong(stream.stop())


def test_when_a_library_is_missing_all_is_closed_before_the_network(machine):
    """Neither the daemon nor its own --lockdown runs; what it wrote down does."""
    library = next(machine.path("/usr/lib").glob("*/libyaml-0.so.2"))
    hidden = library.with_name("libyaml.gone")
    library.rename(hidden)
    boots(machine, "lockdown")
    hidden.rename(library)
    runs(machine)
    stream = Stream(machine)
    stream.runs()
    assert_nothing_wrong(stream.stop())


UNMOUNTABLE = """[Unit]
DefaultDependencies=no
[Mount]
What=none
Where=/var/lib
Type=nosuchfs
"""


def test_when_the_state_cannot_be_mounted_all_is_closed_before_the_network(machine):
    shutil.rmtree(machine.path("/var/lib/ringwall"))
    machine.path("/etc/systemd/system/var-lib.mount").write_text(UNMOUNTABLE)
    boots(machine, "lockdown")
    assert machine.show(DAEMON, "ActiveState") == "inactive"
    assert machine.show(LOCKDOWN, "Result") == "success"


# --- while it runs --------------------------------------------------------------------------------


@pytest.fixture(scope="module", name="running")
def make_running(yard, armed):
    machine = yard.machine(armed)
    machine.boot()
    yield machine
    yard.retire(machine)


def restarted(machine, before):
    """Another process runs, and says that all is well."""

    def is_new():
        pid = machine.show(DAEMON, "MainPID")
        return pid not in ("0", before) and machine.show(DAEMON, "ActiveState") == "active"

    wait_until(is_new, 30, "the restart")
    assert machine.status()["state"] == "closed"


def tell(figures, what, machine, tally):
    """What a restart costs: the daemon is away, and packets are judged as before."""
    away = [int(machine.show(DAEMON, f"Active{word}TimestampMonotonic")) for word in ("Exit", "Enter")]
    figures.append(
        f"{what}: the daemon was away for {(away[1] - away[0]) / 1000:.0f} ms; of {tally.sent} datagrams"
        f" {tally.dropped} were lost, of {tally.denied} {tally.passed} came in;"
        f" the longest pause between two was {1000 * tally.pause:.0f} ms"
    )


def test_a_restart_lets_nothing_through_and_drops_nothing(running, figures):
    before = running.show(DAEMON, "MainPID")
    stream = Stream(running)
    running.run("systemctl", "restart", DAEMON)
    restarted(running, before)
    running.run("systemctl", "reload", DAEMON)
    stream.runs()
    tally = stream.stop()
    tell(figures, "restart", running, tally)
    assert_nothing_wrong(tally)


@pytest.mark.parametrize("number", ["KILL", "SEGV"])
def test_killed_it_comes_back_and_nothing_gets_through(running, number, figures):
    before = running.show(DAEMON, "MainPID")
    stream = Stream(running)
    running.run("systemctl", "kill", f"--signal={number}", DAEMON)
    restarted(running, before)
    stream.runs()
    tally = stream.stop()
    tell(figures, f"SIG{number}", running, tally)
    assert_nothing_wrong(tally)


def test_stopped_it_leaves_the_rules_in_place(running):
    stream = Stream(running)
    running.run("systemctl", "stop", DAEMON)
    stream.runs()
    running.run("systemctl", "start", DAEMON)
    stream.runs()
    assert_nothing_wrong(stream.stop())


def test_an_upgrade_of_the_package_lets_nothing_through_and_drops_nothing(running, newer, figures):
    before = running.show(DAEMON, "MainPID")
    running.path("/root/newer.deb").write_bytes(newer.read_bytes())
    stream = Stream(running)
    running.run("dpkg", "--force-unsafe-io", "-i", "/root/newer.deb")
    restarted(running, before)
    stream.runs()
    tally = stream.stop()
    tell(figures, "upgrade", running, tally)
    assert_nothing_wrong(tally)
    version = running.run("dpkg-query", "-W", "-f", "${Version} ${Status}", "ringwall").stdout
    assert version.endswith("+newer install ok installed")


KILLS_MAX, TRIES_MAX = 12, 10


def note_many_starts(machine):
    """What ringwall-lockdown --pace has noted: so many that the next one waits as long as any."""
    most = "18446744073709551615"
    machine.run("sh", "-c", f"echo {most} {most} 1 >/run/ringwall/starts")


def wait_for_next_try(machine):
    """Killed once more, it waits; what `ringwall status` says then."""
    for _ in range(TRIES_MAX):  # where this is slower than the wait
        note_many_starts(machine)
        before = machine.show(DAEMON, "MainPID")
        machine.run("systemctl", "kill", "--signal=KILL", DAEMON)
        wait_until(lambda: machine.show(DAEMON, "MainPID") != before, 30, "its end")
        done = machine.run("ringwall", "status", check=False)
        if done.returncode == 5 and "again and again" in done.stderr:
            return done
        restarted(machine, before)
    raise AssertionError(f"it never waits:\n{done}\n{machine.tell()}")


def test_killed_again_and_again_it_is_never_given_up(running):
    stream = Stream(running)
    for number in range(KILLS_MAX):
        if number == KILLS_MAX - 1:  # where a restart takes longer than the time that it may take
            note_many_starts(running)
        before = running.show(DAEMON, "MainPID")
        running.run("systemctl", "kill", "--signal=KILL", DAEMON)
        restarted(running, before)
        if "lateStarts" in running.status():
            break
    assert "ringwalld has ended again and again" in running.run("ringwall", "status").stdout, running.tell()
    assert "again and again" in running.run("ringwall", "events").stdout
    assert "[daemon.restarts]" in running.run("ringwall", "doctor", check=False).stdout
    # told to stop while it waits it stays so
    done = wait_for_next_try(running)
    assert "is started once more" in done.stderr
    running.run("systemctl", "stop", DAEMON)
    assert running.show(DAEMON, "ActiveState") in ("inactive", "failed")
    assert DAEMON not in running.run("systemctl", "list-jobs").stdout
    assert "inet ringwall" in running.tables()
    running.run("systemctl", "start", DAEMON)
    runs(running)
    stream.runs()
    assert_nothing_wrong(stream.stop())
