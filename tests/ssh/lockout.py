# SPDX-License-Identifier: GPL-2.0-or-later
"""lockout.py EDIT MISHAP FAMILY KEYS : one administrator, over SSH, edits the policy of one host, and has
bad luck. Ends with 0 if he was let in again in time, and nobody else ever was; says how late, and of how
many who knocked. Works in the current folder, an empty one.

A program of its own, so that many can go on beside each other."""

import itertools
import json
import socket
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "netns")]

import lab  # noqa: E402
from edits import AWAITING, EDITS, INVALID, LOCKED_OUT, OK  # noqa: E402
from host import ADDRESSES, PATIENCE, Host  # noqa: E402
from mishaps import CONFIRM, MISHAPS  # noqa: E402
from prober import Prober, closed_by, knocks  # noqa: E402

GRACE = 8  # seconds beyond the confirm time, on a machine that has other things to do
KNOCK_SECONDS, IMPATIENT_SECONDS = 1, 0.3
UNGUARDED = "nobody edits anything"  # the prober is tried
KILLED = "the command is killed"  # while the daemon is at it


class Case:
    def __init__(self, folder, keys, edit, mishap, family):
        self.edit, self.mishap, self.family = EDITS[edit], mishap, family
        self.host = Host(folder, keys)
        self.share = ["-o", "ControlPath=control", "-o", "ControlMaster=auto"]
        self.numbers = itertools.count(1)
        self.number = None  # of the change that he confirmed
        self.is_followed = False  # by another edit, which locks out
        self.session, self.since, self.prober, self.late = None, None, None, None
        self.said = None  # the file with what the last command said

    # --- the administrator's shell ---

    def log_in(self):
        """With a terminal, over a connection that can be shared."""
        words = self.host.ssh_words(self.family, "-tt", *self.share)
        with open(self.host.folder / "session", "ab") as f:
            self.session = self.host.net.popen(
                "admin", [*words, "exec sh"], stdin=subprocess.PIPE, stdout=f, stderr=f, text=True
            )
        self.types("stty -echo", OK)

    def types(self, command, expected=None):
        """Types it; its exit code."""
        number = next(self.numbers)
        self.said = f"said-{number}"
        code = self.host.folder / f"code-{number}"
        line = f"{{ {command}; }} >{self.host.folder}/said-{number} 2>&1; echo $? >{code}.new; mv {code}.new {code}"
        self.session.stdin.write(line + "\n")
        self.session.stdin.flush()
        try:
            lab.wait_until(code.exists, PATIENCE, f"the end of `{command}`")
        except AssertionError as e:
            raise AssertionError(f"{e}\n{self.host.read('session')}") from e
        answer = int(code.read_text())
        if expected is not None:
            said = self.host.read(self.said)
            assert answer == expected, f"`{command}`: exit {answer}, not {expected}\n{said}"
        return answer

    def is_held_up(self):
        """What he types arrives only when it is over."""
        return self.edit.holds_up and self.edit.shut[self.family]

    # --- whether somebody comes in ---

    def knock(self, seconds=KNOCK_SECONDS):
        """Whether a connection comes to be."""
        with self.host.net.inside("admin"):
            s = socket.socket(socket.AF_INET if self.family == 4 else socket.AF_INET6)
        with s:
            s.settimeout(seconds)
            try:
                s.connect((ADDRESSES[self.family], self.host.port))
            except OSError:
                return False
            return True

    def comes_in(self, by=None):
        """With a new connection, as the administrator; by: the latest time for it."""
        lab.wait_until(lambda: self.knock(IMPATIENT_SECONDS), PATIENCE, "the way in")
        opened = time.monotonic()
        if by is not None:
            self.late = opened - by
            assert self.late <= GRACE, f"the way in came {self.late:.1f} s after the confirm time"
        done = lambda: self.host.ssh(self.family, "true").returncode == 0
        lab.wait_until(done, PATIENCE, "a new SSH connection")

    def is_as_before(self):
        status = self.host.status()
        if self.edit.before:
            state = status["state"], status.get("number"), status["readBack"]
            assert state == ("closed", self.number, True), status
        else:
            assert status["state"] == "unarmed", status
        assert "pending" not in status, status

    # --- the story ---

    def run(self):
        host, edit = self.host, self.edit
        host.start_sshd()
        host.start_daemon()
        if edit.first:
            edit.first(host)
        if edit.before:
            # not in a hurry: what is in question comes later
            host.write(host.policy.name, edit.before.replace("confirm: 10s", "confirm: 10m"))
            done = host.ssh(self.family, f"ringwall apply {host.policy}")
            assert done.returncode == AWAITING, done.stdout + done.stderr
            # however soon it comes, it is new
            done = host.ssh(self.family, "ringwall confirm")
            assert done.returncode == OK, done.stdout + done.stderr
            self.number = host.status()["number"]
        if edit.also:
            edit.also(host)
        self.log_in()
        closed = closed_by(host.policy) if edit.before else set()
        if edit.moved:
            edit.moved(host)
        if edit.command.startswith("apply"):
            host.write(host.policy.name, edit.policy(), edit.mode)
        if edit.answer[self.family] != INVALID:
            closed &= closed_by(host.policy)
        self.prober = Prober(host.net, closed)
        if self.apply():
            self.waits()
        self.comes_in()
        self.is_as_before()
        self.prober.runs(200)
        sent, passed = self.prober.stop()
        assert not passed, f"{len(passed)} of {sent} came in: {passed[:5]}"
        print(json.dumps({"knocks": sent, "late": self.late}))

    def apply(self):
        """Whether it is in force, and waits."""
        command = "ringwall " + self.edit.command.format(policy=self.host.policy)
        answer = self.edit.answer[self.family]
        if answer in (LOCKED_OUT, INVALID):
            self.types(command, answer)
            if answer == LOCKED_OUT and self.edit.is_about_rules:
                # before it was refused, what it would end was shown
                said = self.host.read(self.said)
                assert "tcp 22" in said and "by which you came yourself" in said, said
            self.is_as_before()
            if answer == INVALID or not self.edit.can_insist:
                return False
            lab.wait_until(self.knock, PATIENCE, "the way in that is as before")
            command += " --i-have-console"
        if self.mishap == KILLED:
            pending = self.host.state / "pending"
            command = f"{command} & until [ -e {pending} ]; do kill -0 $! || break; done; kill -9 $!"
            self.types(command)
            self.since = time.monotonic()
            return "pending" in self.host.status()
        self.types(command, AWAITING)
        self.since = time.monotonic()
        return True

    def waits(self):
        if self.edit.after:
            self.edit.after(self.host)
        by = MISHAPS.get(self.mishap, MISHAPS["nothing"])(self)
        if self.mishap == "the machine boots" and self.edit.also:
            self.edit.also(self.host)
        until = self.since + CONFIRM
        if self.edit.shut[self.family] or self.is_followed:
            self.is_shut(until)
        elif time.monotonic() < until - 4 * KNOCK_SECONDS:  # a link that has just come up takes a while
            came = lambda: self.knock() or time.monotonic() > until
            lab.wait_until(came, PATIENCE, "the way in")
            assert time.monotonic() <= until, "an edit that leaves the way open has closed it"
        self.comes_in(by)
        lab.wait_until(lambda: "pending" not in self.host.status(), PATIENCE, "the end of the wait")
        # whoever is let in again is let in for good
        self.comes_in()

    def is_shut(self, until):
        """The edit does lock out: otherwise there was nothing to be let in again after."""
        if self.mishap in ("the machine boots", "the daemon is killed and back late"):
            return  # it is over already
        seen = False
        while not seen and time.monotonic() < until - KNOCK_SECONDS / 2:
            seen = not self.knock()
        assert seen or time.monotonic() > until, "an edit that locks out has not"


def sees_who_comes_in(keys):
    """Where nothing is in force, whoever knocks comes in, by each way."""
    host = Host(Path.cwd(), keys)
    host.start_sshd()
    prober = Prober(host.net, set(knocks()))
    expected = {k for k in knocks() if k.protocol == "tcp"}, 2 * [4]

    def seen():
        what = [list({p[1] for p in prober.passed if p[0] == kind}) for kind in ("connected", "udp", "tcp")]
        return set(what[0]), [len({address for address, _ in w}) for w in what[1:]]

    lab.wait_until(lambda: seen() == expected, PATIENCE, f"{expected}")
    prober.stop()
    host.close()


def main():
    edit, mishap, family, keys = sys.argv[1:]
    lab._die_with_parent()
    lab.enter()
    if edit == UNGUARDED:
        sees_who_comes_in(Path(keys))
        print(json.dumps({"knocks": 0, "late": None}))
        return
    case = Case(Path.cwd(), Path(keys), edit, mishap, int(family))
    try:
        case.run()
    except BaseException:
        for name in ("ringwalld", "sshd", "session", "console"):
            print(f"--- {name}\n{case.host.read(name)}", file=sys.stderr)
        raise
    finally:
        case.host.close()


if __name__ == "__main__":
    main()
