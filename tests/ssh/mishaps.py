# SPDX-License-Identifier: GPL-2.0-or-later
"""What happens while a change waits for its confirmation. Each is called when the change is in force,
and says by when the administrator is to come in again, whatever patience a busy machine needs beyond
that."""

import contextlib
import time

from edits import AWAITING
from lab import wait_until

CONFIRM = 10  # seconds
DAY = 24 * 60 * 60


def nothing(case):
    return case.since + CONFIRM


def confirmed_over_the_old_connection(case):
    """By whoever applied it, over the connection that was there before."""
    if not case.is_held_up():
        case.types("ringwall confirm", AWAITING)
    return case.since + CONFIRM


def confirmed_over_a_shared_connection(case):
    """A second session, not a second connection."""
    if not case.is_held_up():
        done = case.host.ssh(case.family, "ringwall confirm", *case.share)
        assert done.returncode == AWAITING and "connect anew" in done.stderr, f"{done.returncode}: {done.stderr}"
    return case.since + CONFIRM


def the_connection_breaks(case):
    """With the terminal that the command ran in."""
    case.session.kill()
    return case.since + CONFIRM


def the_daemon_is_killed(case):
    case.host.stop("ringwalld")
    case.host.start_daemon()
    return case.since + CONFIRM


def the_daemon_is_killed_and_back_late(case):
    """What waited is over when it is back."""
    case.host.stop("ringwalld")
    wait_until(lambda: time.monotonic() > case.since + CONFIRM + 1, 2 * CONFIRM, "the end of the wait")
    case.host.start_daemon()
    return time.monotonic()


def the_machine_boots(case):
    case.host.cut_power()
    case.host.switch_on()
    case.host.start_daemon()
    case.host.bring_network_up()
    case.host.start_sshd(case.host.port)
    return time.monotonic()


def the_disk_is_full(case):
    with contextlib.suppress(OSError), open(case.host.disk / "filler", "wb", buffering=0) as f:
        while True:
            f.write(bytes(4096))
    return case.since + CONFIRM


def the_disk_is_read_only(case):
    case.host.run("mount", "--bind", case.host.disk, case.host.disk)
    case.host.run("mount", "-o", "remount,bind,ro", case.host.disk)
    return case.since + CONFIRM


def the_clock_is_set_back(case):
    case.host.set_clock(-400 * DAY)
    return case.since + CONFIRM


def the_clock_is_set_forward(case):
    """Before a daemon starts anew: what waits is not over for that."""
    case.host.set_clock(400 * DAY)
    case.host.stop("ringwalld")
    case.host.start_daemon()
    status = case.host.status()
    assert status["events"][0]["time"] / 1e6 > time.time() + 300 * DAY, "it has another clock"
    waits = "pending" in status
    assert waits or time.monotonic() > case.since + CONFIRM - 1, "it was undone before the time was over"
    return case.since + CONFIRM


def sshd_is_restarted(case):
    case.host.stop("sshd")
    case.host.start_sshd(case.host.port)
    return case.since + CONFIRM


def the_link_goes_down_and_up(case):
    case.host.net.ip("fw", "link set eth0 down\nlink set eth0 up\n")
    return case.since + CONFIRM


def another_bad_edit_follows(case):
    """In its place; it is undone to what was confirmed, and not to the first."""
    if case.is_held_up():
        return case.since + CONFIRM
    other = case.host.write("other.yaml", "ringwall: 1\nsettings: { confirm: 10s }\ninbound: [{ allow: http }]\n")
    case.types(f"ringwall apply {other} --i-have-console", AWAITING)
    case.is_followed, case.since = True, time.monotonic()
    return case.since + CONFIRM


MISHAPS = {
    function.__name__.replace("_", " "): function
    for function in (
        nothing,
        confirmed_over_the_old_connection,
        confirmed_over_a_shared_connection,
        the_connection_breaks,
        the_daemon_is_killed,
        the_daemon_is_killed_and_back_late,
        the_machine_boots,
        the_disk_is_full,
        the_disk_is_read_only,
        the_clock_is_set_back,
        the_clock_is_set_forward,
        sshd_is_restarted,
        the_link_goes_down_and_up,
        another_bad_edit_follows,
    )
}
