# SPDX-License-Identifier: GPL-2.0-or-later
"""`ringwall edit` without a daemon: whatever the editor does, no broken policy takes the file's place and
nothing that was written is lost."""

import fcntl
import os
import pty
import select
import signal
import subprocess
import time

import pytest

from command import ENVIRONMENT, RINGWALL, TIMEOUT

POLICY = "ringwall: 1\ninbound:\n  - { allow: ssh }\n"
WRONG = "ringwall: 1\ninbound:\n  - { allow: shh }\n"
OTHER = "ringwall: 1\ninbound:\n  - { allow: [ssh, https] }\n"

# Does the next of its steps with "$file", the last of its arguments.
SCRIPT = """#!/bin/sh
cd "{folder}" || exit 99
for file; do :; done
n=$(cat count)
echo $((n + 1)) >count
printf '%s\\n' "$@" >arguments
. "./step-$n"
"""


class Editing:
    def __init__(self, folder):
        self.folder = folder / "etc"
        self.folder.mkdir()
        self.steps = folder / "my steps"
        self.steps.mkdir()
        self.policy = self.folder / "policy.yaml"
        self.set(self.policy, POLICY)
        self.draft = self.folder / ".edit-policy.yaml"
        self.script = self.steps / "an editor"
        self.script.write_text(SCRIPT.format(folder=self.steps))
        self.script.chmod(0o755)
        self.environment = {k: v for k, v in ENVIRONMENT.items() if k != "VISUAL"}
        self.environment["EDITOR"] = f"'{self.script}' --wait"
        self.number = 0

    @staticmethod
    def set(path, text):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(0o644)

    def prepare(self, *steps):
        """Shell, or a policy's text."""
        (self.steps / "count").write_text("1")
        for i, step in enumerate(steps, 1):
            if step.startswith("ringwall"):
                (self.steps / f"text-{i}").write_text(step)
                step = f'cat ./text-{i} >"$file"'
            (self.steps / f"step-{i}").write_text(step + "\n")

    def words(self, *args, file=None):
        return ["unshare", "-n", RINGWALL, "edit", *(args or ["--no-apply"]), str(file or self.policy)]

    def run(self, *steps, answers="", args=(), file=None):
        self.prepare(*steps)
        done = subprocess.run(
            self.words(*args, file=file),
            input=answers,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            env=self.environment,
        )
        self.number = int((self.steps / "count").read_text()) - 1  # times that the editor was started
        return done

    def start(self, *steps, file=None, **options):
        self.prepare(*steps)
        return subprocess.Popen(self.words(file=file), env=self.environment, text=True, **options)

    def names(self):
        return sorted(os.listdir(self.folder))


@pytest.fixture(name="editing")
def make_editing(tmp_path):
    return Editing(tmp_path)


def wait_for(condition):
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_what_is_valid_takes_the_files_place_with_its_mode_and_owner(editing):
    editing.policy.chmod(0o640)
    os.chown(editing.policy, 0, 4)
    done = editing.run('stat -c %a "$file" >mode; printf "# more\\n" >>"$file"')
    assert done.returncode == 0, done.stderr
    assert "is written; what is in force is as it was" in done.stdout
    assert editing.policy.read_text() == POLICY + "# more\n"
    stat = editing.policy.stat()
    assert (stat.st_mode & 0o777, stat.st_uid, stat.st_gid) == (0o640, 0, 4)
    assert (editing.steps / "mode").read_text() == "600\n", "the draft is root's alone"
    assert editing.names() == ["policy.yaml"]


def test_unchanged_it_is_left_as_it_is(editing):
    before = editing.policy.stat()
    done = editing.run("true")
    assert done.returncode == 0 and f"{editing.policy} is unchanged" in done.stdout
    assert editing.policy.stat().st_ino == before.st_ino and editing.names() == ["policy.yaml"]
    done = editing.run('cp "$file" x; mv x "$file"')
    assert done.returncode == 0 and "is unchanged" in done.stdout


def test_mistakes_are_shown_and_edited_again(editing):
    done = editing.run(WRONG, OTHER, answers="x\ne\n")
    assert done.returncode == 0, done.stderr
    assert f"{editing.policy}:3:14: error: there is no service 'shh'" in done.stderr
    assert "did you mean 'ssh'?" in done.stderr and editing.number == 2
    assert done.stdout.count("(e)dit again, (q)uit") == 2
    assert editing.policy.read_text() == OTHER and editing.names() == ["policy.yaml"]


@pytest.mark.parametrize("answers", ["q\n", ""])
def test_who_gives_up_finds_the_draft_again(editing, answers):
    done = editing.run(WRONG, answers=answers)
    assert done.returncode == 3 and f"is kept in {editing.draft}" in done.stderr
    assert editing.policy.read_text() == POLICY and editing.draft.read_text() == WRONG
    assert editing.draft.stat().st_mode & 0o777 == 0o600
    done = editing.run(f'grep shh "$file" && sed -i s/shh/smtp/ "$file"', answers="g\n")
    assert done.returncode == 0 and "there is a draft of" in done.stdout
    assert editing.policy.read_text() == POLICY.replace("ssh", "smtp")
    assert editing.names() == ["policy.yaml"]


def test_a_draft_can_be_left_and_thrown_away(editing):
    editing.run(WRONG)
    done = editing.run(OTHER, answers="q\n")
    assert done.returncode == 1 and editing.number == 0 and editing.draft.read_text() == WRONG
    done = editing.run('grep shh "$file" || echo "# new" >>"$file"', answers="d\n")
    assert done.returncode == 0 and editing.policy.read_text() == POLICY + "# new\n"


@pytest.mark.parametrize(
    "step, says",
    [("exit 3", "failed: exit status 3"), ("kill -9 $$", "was ended by signal 9")],
)
def test_an_editor_that_dies_changes_nothing_and_loses_nothing(editing, step, says):
    done = editing.run(step)
    assert done.returncode == 1 and says in done.stderr
    assert editing.policy.read_text() == POLICY and editing.names() == ["policy.yaml"]
    done = editing.run(f'echo "# more" >>"$file"; {step}')
    assert done.returncode == 1 and str(editing.draft) in done.stderr
    assert editing.policy.read_text() == POLICY and editing.draft.read_text() == POLICY + "# more\n"


def test_an_editor_that_takes_the_file_away_is_told_of(editing):
    done = editing.run('rm "$file"')
    assert done.returncode == 1 and f"cannot read {editing.draft}" in done.stderr
    assert editing.policy.read_text() == POLICY


def test_the_editor_is_started_without_a_shell(editing):
    mark = editing.folder / "mark"
    editing.environment["EDITOR"] = f"'{editing.script}' -c \"a b\" '$(touch {mark})' ;touch\\ {mark} `id`"
    done = editing.run(OTHER)
    assert done.returncode == 0 and not mark.exists()
    assert (editing.steps / "arguments").read_text().splitlines() == [
        "-c", "a b", f"$(touch {mark})", f";touch {mark}", "`id`", str(editing.draft),
    ]


def test_visual_comes_before_editor_and_both_before_the_usual_ones(editing, tmp_path):
    editing.environment["VISUAL"] = editing.environment["EDITOR"]
    editing.environment["EDITOR"] = "/nonexistent"
    assert editing.run(OTHER).returncode == 0 and editing.number == 1
    editing.environment["VISUAL"] = " "
    done = editing.run(POLICY)
    assert done.returncode == 1 and "'/nonexistent' cannot be started" in done.stderr
    editing.environment["EDITOR"] = "'unbalanced"
    done = editing.run(POLICY)
    assert done.returncode == 1 and "a quotation does not end in EDITOR" in done.stderr
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "nano").symlink_to(editing.script)
    del editing.environment["EDITOR"], editing.environment["VISUAL"]
    editing.environment["PATH"] = f"{folder}:/nonexistent"
    editing.prepare(POLICY)
    words = ["/usr/bin/unshare", *editing.words()[1:]]
    done = subprocess.run(words, env=editing.environment, capture_output=True, text=True, timeout=TIMEOUT)
    assert "the editor 'nano'" in done.stderr or done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["policy.yaml", "policy.d/70-new.yaml"])
def test_one_edits_at_a_time_and_the_other_is_told_who(editing, name):
    file = editing.folder / name
    wait = "touch started; for i in $(seq 2000); do [ -e go ] && break; sleep 0.01; done"
    first = editing.start(f'{wait}; cat text-2 >"$file"', OTHER, file=file)
    wait_for(lambda: (editing.steps / "started").exists())
    second = subprocess.run(
        editing.words(file=file), env=editing.environment, capture_output=True, text=True, timeout=TIMEOUT
    )
    assert second.returncode == 1
    assert f"{file} is being edited by process {first.pid}" in second.stderr
    (editing.steps / "go").touch()
    assert first.wait(timeout=TIMEOUT) == 0
    assert file.read_text() == OTHER


def test_what_others_have_changed_meanwhile_is_not_overwritten(editing):
    done = editing.run(f'echo "# theirs" >>"{editing.policy}"; cat text-2 >"$file"', OTHER)
    assert done.returncode == 1 and "somebody else has changed" in done.stderr
    assert editing.policy.read_text() == POLICY + "# theirs\n"
    assert editing.draft.read_text() == OTHER and str(editing.draft) in done.stderr


def test_a_part_is_checked_with_the_whole_policy(editing):
    part = editing.folder / "policy.d/70-office.yaml"
    editing.set(part, "ringwall: 1\n")
    done = editing.run("ringwall: 1\nzones: { lan: [10.0.0.0/8] }\n", file=part)
    assert done.returncode == 0 and editing.names() == ["policy.d", "policy.yaml"]
    # what is there already may not be defined twice: only the whole policy knows
    other = editing.folder / "policy.d/80-more.yaml"
    done = editing.run("ringwall: 1\nzones: { lan: [10.1.0.0/16] }\n", file=other)
    assert done.returncode == 3 and "80-more.yaml:2:10: error" in done.stderr
    assert "70-office.yaml:2:10" in done.stderr and not other.exists()
    done = editing.run('sed -i s/lan/other/ "$file"', answers="g\n", file=other)
    assert done.returncode == 0 and "other: [10.1.0.0/16]" in other.read_text()
    assert other.stat().st_mode & 0o777 == 0o644
    done = editing.run("ringwall: 1 # x\n", file=editing.folder / "policy.d/90-wrong.yml")
    assert done.returncode == 3 and "is not read as a part of the policy" in done.stderr


def test_a_file_that_is_not_there_yet_is_made_only_if_something_is_written(editing):
    part = editing.folder / "policy.d/70.yaml"
    done = editing.run('grep -q "^ringwall: 1$" "$file"', file=part)
    assert done.returncode == 0 and "is unchanged" in done.stdout
    assert editing.names() == ["policy.yaml"]
    done = editing.run(file=editing.folder / "none.yaml")
    assert done.returncode == 3 and "ringwall init" in done.stderr and editing.number == 0


def test_links_stay_links(editing, tmp_path):
    target = tmp_path / "repository.yaml"
    editing.policy.rename(target)
    editing.policy.symlink_to(target)
    assert editing.run(OTHER).returncode == 0
    assert editing.policy.is_symlink() and target.read_text() == OTHER


def test_without_a_daemon_the_editor_is_not_even_started(editing, tmp_path):
    done = editing.run(OTHER, args=["--runtime-dir", str(tmp_path / "none")])
    assert done.returncode == 5 and "--no-apply" in done.stderr and editing.number == 0
    assert editing.policy.read_text() == POLICY and editing.names() == ["policy.yaml"]


def test_dry_run_keeps_the_draft(editing):
    done = editing.run(OTHER, args=["--dry-run"])
    assert done.returncode == 0 and "policy.yaml:3: allow ssh" in done.stdout
    assert editing.policy.read_text() == POLICY and editing.draft.read_text() == OTHER


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_signals_at_the_question_leave_the_old_file_and_the_draft(editing, number):
    p = editing.start(WRONG, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    said = ""
    while "[e]" not in said:
        assert select.select([p.stdout], [], [], TIMEOUT)[0]
        said += os.read(p.stdout.fileno(), 4096).decode()
    p.send_signal(number)
    assert p.wait(timeout=TIMEOUT) == 3
    assert str(editing.draft) in p.stderr.read()
    p.stdin.close(), p.stdout.close(), p.stderr.close()
    assert editing.policy.read_text() == POLICY and editing.draft.read_text() == WRONG


def test_the_terminals_interrupt_belongs_to_the_editor_and_its_end_loses_nothing(editing):
    """At a real terminal: Ctrl-C while the editor runs, then the terminal goes away."""
    editing.prepare(
        'trap "touch interrupted" INT; touch started; for i in $(seq 200); do '
        '[ -e interrupted ] && break; sleep 0.1; done; cat text-2 >"$file"; touch written; sleep 20',
        OTHER,
    )
    pid, fd = pty.fork()
    if pid == 0:
        os.execvpe("unshare", editing.words(), editing.environment)
    wait_for(lambda: (editing.steps / "started").exists())
    os.write(fd, b"\x03")
    wait_for(lambda: (editing.steps / "written").exists())
    assert os.waitpid(pid, os.WNOHANG) == (0, 0), "the interrupt was the editor's"
    os.close(fd)  # hangs up
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) != 0
    assert editing.policy.read_text() == POLICY and editing.draft.read_text() == OTHER


def test_a_lock_of_nobody_is_no_obstacle(editing):
    with open(editing.policy, encoding="utf-8") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
    assert editing.run(OTHER).returncode == 0
