# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs steps one after the other, shows a line for each, and counts.

A step is a function of a Run that returns a Count; it raises Failed with the output to be shown. All
that a step starts goes through Run.call(), so that it ends with the step, and its output into a log.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections import namedtuple
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
BUILD = ROOT / "build"
LINES_SHOWN = 200  # of a failing step; the log has all
LINES_OF_A_PROGRAM = 15


class Count(namedtuple("Count", "passed failed skipped", defaults=[0, 0, 0])):
    def __add__(self, other):
        return Count(*(a + b for a, b in zip(self, other)))

    def __str__(self):
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


class Failed(Exception):
    """A step failed as a whole, or in parts that `count` tells."""

    def __init__(self, output, count=Count(failed=1)):
        super().__init__(output)
        self.output, self.count = output, count


Step = namedtuple("Step", "name title function seconds in_quick needs_root", defaults=[True, False])


class Run:
    """One run of the steps: what was built, the options, and the log of the step at hand."""

    def __init__(self, options):
        self.options = options
        self.built = {}  # variant → None, or why it did not build
        self.log = None
        self.deadline = 0

    def call(self, words, env=None, cwd=ROOT, may_fail=False):
        """Runs a command to its end; (exit code, output). Failed if it fails, unless it may."""
        words = [str(word) for word in words]
        self.log.write(f"$ {' '.join(words)}\n")
        self.log.flush()
        start = self.log.tell()
        child = subprocess.Popen(
            words,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = child.wait(max(1, self.deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            code = None
        finally:  # whatever it left behind, too
            try:
                os.killpg(child.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            child.wait()
        self.log.seek(start)
        output = self.log.read()
        self.log.seek(0, os.SEEK_END)
        if code is None:
            raise Failed(f"{output}\n{' '.join(words)}: stopped, it took too long")
        if code != 0 and not may_fail:
            raise Failed(f"{output}\n{' '.join(words)}: exit code {code}")
        return code, output

    def program(self, variant="gcc"):
        """The environment in which a test finds the built program."""
        return {
            "RINGWALL": str(BUILD / variant / "src/cli/ringwall"),
            "RINGWALL_DATADIR": str(ROOT / "policies"),
            "ASAN_OPTIONS": "detect_leaks=1",
            "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
        }


TAP = re.compile(r"^(not )?ok \d+(.*)$", re.MULTILINE)


def count_tap(output):
    count = Count()
    for failed, rest in TAP.findall(output):
        if failed:
            count += Count(failed=1)
        elif re.match(r"(\s|- )*# ?SKIP", rest, re.IGNORECASE):
            count += Count(skipped=1)
        else:
            count += Count(passed=1)
    return count


def count_program(test):
    """Of one line of meson's testlog.json: the tests inside the program, if it tells."""
    count = count_tap(test.get("stdout", ""))
    if test["result"] in ("SKIP", "EXPECTEDFAIL"):
        return count + Count(skipped=1)
    if test["result"] != "OK" and count.failed == 0:
        return count + Count(failed=1)  # it crashed, or hung, in one that it could not report
    return count if count != Count() else Count(passed=1)


# A failed test with what it says of itself, and the first line of a sanitizer's report.
REASON = re.compile(r"^not ok .*(?:\n#.*)*|^.*(?:runtime error: |ERROR: \w+Sanitizer).*", re.MULTILINE)


def what_failed(test):
    """Of a program's output what tells why: the failed tests with their reasons, and its last words."""
    lines = []
    for stream in ("stdout", "stderr"):
        said = test.get(stream, "").strip().splitlines()
        if len(said) > LINES_OF_A_PROGRAM:
            lines += REASON.findall("\n".join(said))
        lines += said[-LINES_OF_A_PROGRAM:]
    return "\n".join(lines)


def read_testlog(path):
    """(the count, the output of what failed) of a run of `meson test`."""
    count, output = Count(), []
    for line in path.read_text().splitlines():
        test = json.loads(line)
        count += count_program(test)
        if test["result"] != "OK":
            output.append(f"--- {test['name']}: {test['result']}\n{what_failed(test)}")
    return count, "\n".join(output)


def read_junit(path):
    """The count of a run of pytest."""
    suites = ElementTree.parse(path).getroot().iter("testsuite")
    count = Count()
    for suite in suites:
        total, skipped = int(suite.get("tests")), int(suite.get("skipped", 0))
        failed = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        count += Count(max(0, total - failed - skipped), failed, skipped)
    return count


def abridged(text):
    """The first lines and the last, if there are too many."""
    lines = text.strip().splitlines()
    if len(lines) <= LINES_SHOWN:
        return "\n".join(lines)
    half = LINES_SHOWN // 2
    left_out = f"({len(lines) - 2 * half} lines left out)"
    return "\n".join([*lines[:half], left_out, *lines[-half:]])


def run_step(run, step):
    """(count, output to show)"""
    if step.needs_root and os.geteuid() != 0:
        return Count(skipped=1), "this step needs root"
    run.deadline = time.monotonic() + step.seconds
    log = BUILD / "logs" / f"{step.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "w+", encoding="utf-8", errors="replace") as run.log:
        try:
            return step.function(run), ""
        except Failed as e:
            return e.count, f"{abridged(e.output)}\n(the log: {log.relative_to(ROOT)})"
        except OSError as e:
            return Count(failed=1), f"{e.filename or ''}: {e.strerror}"


def run_steps(run, steps):
    """Runs them all, whatever fails; the exit code."""
    total, began = Count(), time.monotonic()
    for number, step in enumerate(steps, 1):
        print(f"[{number:2}/{len(steps)}] {step.name:15} {step.title} ... ", end="", flush=True)
        started = time.monotonic()
        count, output = run_step(run, step)
        total += count
        said = [f"{n} {word}" for n, word in zip(count, Count._fields) if n or word == "passed"]
        print(f"{', '.join(said)} ({time.monotonic() - started:.0f} s)", flush=True)
        if output:
            print("\n".join("    " + line for line in output.splitlines()), flush=True)
    print(f"{len(steps)} steps in {time.monotonic() - began:.0f} s", flush=True)
    print(total, flush=True)
    return 1 if total.failed or total.skipped or not total.passed else 0
