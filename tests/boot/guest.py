# SPDX-License-Identifier: GPL-2.0-or-later
"""Boots a kernel of Debian's in a virtual machine without a network, and runs the tests with real
packets in it. What tests/boot/kernel-* have in common.

Kernels differ in what a ruleset may hold and where. An emulated machine is slow, and one test that
hangs shall not keep the others from being run: so there are several parts, each in a machine of its
own, two at a time where there are two processors, each with its bound. What did not run in time is
named, and has failed.
RINGWALL names the program that is tried (build/gcc's, unless told). Needs root, and installs qemu
and debootstrap with apt if they are missing; nothing is started on this machine. The last line
counts."""

import argparse
import io
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
import xml.etree.ElementTree as ElementTree
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests/harness"))

from image import Image, call  # noqa: E402
from runner import Count, count_program, read_junit, what_failed  # noqa: E402

TOOLS = ["qemu-system-x86", "debootstrap", "e2fsprogs", "gzip", "tar"]
BOOT_SECONDS = 240  # from power-on to the first test, and from the last one to power-off
UNIT_SECONDS = 1200  # nft_kernel_test takes two minutes and more, and this machine may be busy
PATIENCE = 6  # how many times as long as elsewhere what a test waits for may take
# What defends a processor that is emulated only costs time; and while this machine is busy, the
# emulated timer may be late when the kernel tries it out.
KERNEL_WORDS = "console=ttyS0 panic=-1 loglevel=4 mitigations=off no_timer_check"
PROCESSOR = "max,-la57"  # page tables of four levels, not five
TREE = ["tests/boot", "tests/netns", "tests/oracle", "policies"]
ANSWER_SIZE = 16 << 20
LINES_SHOWN = 60
# What a kernel says of itself when it has found a mistake in itself.
OOPS = re.compile(r"BUG:|WARNING:|Oops|general protection|stack-protector|call trace", re.I)
# Emulated by two busy processors, the guest stands still now and then for longer than its kernel thinks
# possible, and that blames whichever thread of its own had much to do. That says nothing of ours,
# as long as its trace is there to the end and nothing of netfilter's or netlink's is in it. Of any
# other process, or of a trace that is cut short, a lockup is a failure.
STANDSTILL = re.compile(
    r"watchdog: BUG: soft lockup - CPU#\d+ stuck for \d+s! \[(kcompactd|ksoftirqd/)\d+:\d+\]$"
)
REPORT = re.compile(
    r"Modules linked in:|CPU: |Hardware name:|Code: "
    r"|(RIP|RSP|RAX|RDX|RBP|R10|R13|FS|CS|CR2|DR0|DR3|PKRU): ?"
    r"|Call Trace:$|</?(TASK|IRQ)>$|(\? )?[\w.]+\+0x[0-9a-f]+/0x[0-9a-f]+( \[\w+\])?$"
)
OURS = re.compile(r"\b_*(nf|nft|nfnl|nfnetlink|netlink|xt)_|\[(nf|nft|xt)_|nfnetlink|netlink")
STAMP = re.compile(r"^\[ *\d+\.\d+\] *")
# How a program runs in the guest: with its own libraries, as the guest's may be older; and by a loader
# of its name, which is what the kernel then calls the process.
START = """#!/bin/sh
exec /tmp/tree/program/loader/{name} --library-path /tmp/tree/program/lib \\
        /tmp/tree/program/bin/{name} "$@"
"""
RUN_TESTS = """#!/bin/sh
RINGWALL=/tmp/tree/program/ringwall RINGWALL_DATADIR=/tmp/tree/policies
SEED={seed} POLICIES={policies} COUNT={packets} CMOCKA_MESSAGE_OUTPUT=TAP
export RINGWALL RINGWALL_DATADIR SEED POLICIES COUNT CMOCKA_MESSAGE_OUTPUT
RINGWALL_PROGRESS=/tmp/answer PYTHONPATH=/tmp/tree/tests/boot RINGWALL_PATIENCE={patience}
export RINGWALL_PROGRESS PYTHONPATH RINGWALL_PATIENCE
# as by Ctrl-C: what has run is told of
timeout -s INT -k 60 {seconds} /usr/bin/python3 -m pytest -v -rs -p no:cacheprovider --color=no \\
        -p progress \\
        --durations=10 --junitxml=/tmp/answer/pytest.xml {tests}
echo "$?" >/tmp/answer/pytest.code
for test in {units}; do
        timeout -k 10 {unit_seconds} /tmp/tree/program/"$test" \\
                >/tmp/answer/"$test".out 2>/tmp/answer/"$test".err
        echo "$?" >/tmp/answer/"$test".code
done
"""


def libraries(program):
    """{name: path} of the libraries that it was linked for, and the name of the loader."""
    files = {}
    loader = None
    for line in call(["ldd", program], text=True).splitlines():
        path = re.search(r"(/\S+) \(0x", line)
        if path:
            name = line.split()[0].rsplit("/", 1)[-1]
            files[name] = Path(path.group(1)).resolve()
            if "=>" not in line:
                loader = name
    if not loader:
        raise RuntimeError(f"{program} is not linked as expected")
    return files, loader


class Part:
    """What one guest does: what pytest is to run, and then unit tests of the program's build folder.
    seconds: for the former."""

    def __init__(self, name, seconds, tests, units=()):
        self.name, self.seconds = name, seconds
        self.tests, self.units = list(tests), list(units)

    def bound(self):
        """Seconds from power-on to power-off."""
        return BOOT_SECONDS + self.seconds + UNIT_SECONDS * min(len(self.units), 3)


def pack(path, part, options):
    """The tar that the guest unpacks."""
    programs = {"ringwall": Path(options.program)}
    build = programs["ringwall"].parents[2]
    daemons = ("ringwalld", "ringwall-lockdown")  # where the tests look for them
    programs |= {name: build / "src/daemon" / name for name in daemons}
    programs |= {name: build / "tests" / name for name in part.units}
    files, texts = {}, {}
    for name, program in programs.items():
        place = "daemon" if name in daemons else "program"
        if name == "ringwall-lockdown":  # has none
            files[f"{place}/{name}"] = program
            continue
        found, loader = libraries(program)
        files |= {f"program/lib/{library}": file for library, file in found.items()}
        files[f"program/bin/{name}"] = program
        files[f"program/loader/{name}"] = found[loader]
        texts[f"{place}/{name}"] = START.format(name=name)
    texts["program/tests"] = RUN_TESTS.format(
        seed=options.seed,
        policies=options.policies,
        packets=options.packets,
        seconds=part.seconds,
        tests=shlex.join(part.tests),
        units=" ".join(part.units),
        unit_seconds=UNIT_SECONDS,
        patience=PATIENCE,
    )
    with tarfile.open(path, "w") as tar:
        for name in TREE:
            tar.add(ROOT / name, name, filter=_as_root)
        for name, file in files.items():
            tar.add(file, name, filter=_as_root)
        for name, text in texts.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(text.encode()), 0o755
            tar.addfile(info, io.BytesIO(text.encode()))


def _as_root(info):
    if "__pycache__" in info.name:
        return None
    info.uid = info.gid = 0
    info.mode |= 0o755 if info.isdir() or info.mode & 0o100 else 0o644
    return info


class Guests:
    """Those that run. Once they have been ended, no other one is started."""

    def __init__(self):
        self._all, self._over, self._lock = [], False, threading.Lock()

    def start(self, words):
        with self._lock:
            if self._over:
                raise RuntimeError("no guest is started any more")
            self._all.append(
                subprocess.Popen([str(word) for word in words], stdin=subprocess.DEVNULL)
            )
            return self._all[-1]

    def end(self):
        with self._lock:
            self._over = True
            for guest in self._all:
                guest.kill()


def boot(image, folder, seconds, guests):
    """Runs the guest to its end; False: it took too long. What it prints is in folder/console."""
    with open(folder / "answer", "wb") as f:
        f.truncate(ANSWER_SIZE)
    words = ["qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", PROCESSOR, "-machine", "q35"]
    words += ["-m", "1024", "-smp", "2", "-nodefaults", "-no-user-config", "-no-reboot"]
    words += ["-display", "none", "-serial", f"file:{folder / 'console'}"]
    words += ["-kernel", image.kernel, "-initrd", image.initramfs]
    words += ["-append", f"{KERNEL_WORDS} ringwall.guest start=tests/boot/init"]
    for path, options in (
        (image.disk, ",snapshot=on"),
        (folder / "tree", ",readonly=on"),
        (folder / "answer", ""),
    ):
        words += ["-drive", f"file={path},format=raw,if=virtio{options}"]
    guest = guests.start(words)
    try:
        guest.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    finally:
        if guest.poll() is None:
            guest.kill()
            guest.wait()
    return True


def judge(folder, part, kernel):
    """(count, what to show of it): the guest's answer."""
    answer = folder / "answer.d"
    shutil.rmtree(answer, ignore_errors=True)
    try:
        with tarfile.open(folder / "answer") as tar:
            tar.extractall(answer)
        parts = [_judge_pytest(answer), _judge_kernel(answer, kernel)]
        parts += [_judge_unit_test(answer, name) for name in part.units]
    except (tarfile.TarError, FileNotFoundError):
        shown = ["the guest has not answered in full; whether this has run is not known:"]
        return Count(failed=1), [*_tail(folder / "console"), *shown, *part.tests, *part.units]
    count, shown = Count(), []
    for more, lines in parts:
        count += more
        shown += lines
    return count, shown


def _judge_kernel(answer, expected):
    kernel = (answer / "kernel").read_text().strip()
    print(f"kernel {kernel}", flush=True)
    wrong = mistakes((answer / "dmesg").read_text().splitlines())
    if not kernel.startswith(f"{expected}."):
        wrong.append(f"this is another kernel: {kernel}")
    return Count(passed=int(not wrong), failed=int(bool(wrong))), wrong


def mistakes(lines):
    """Those of the kernel's lines that say that it has made one."""
    wrong, i = [], 0
    while i < len(lines):
        end = _end_of_standstill(lines, i)
        if end == i and OOPS.search(lines[i]):
            wrong.append(lines[i])
        i = max(end, i + 1)
    return wrong


def _end_of_standstill(lines, start):
    """Behind the report that begins there, if it is one of the emulation's; else start."""
    words = [STAMP.sub("", line).strip() for line in lines[start:]]
    if not STANDSTILL.match(words[0]):
        return start
    size = 1
    while size < len(words) and REPORT.match(words[size]):
        size += 1
    trace = [w for w in words[1:size] if not w.startswith("Modules linked in:")]
    whole = "Call Trace:" in trace and trace[-1] == "</TASK>"
    return start if not whole or any(OURS.search(w) for w in trace) else start + size


def _judge_unit_test(answer, name):
    test = {
        "result": "OK" if (answer / f"{name}.code").read_text() == "0\n" else "FAIL",
        "stdout": (answer / f"{name}.out").read_text(),
        "stderr": (answer / f"{name}.err").read_text(),
    }
    if test["result"] == "OK":
        return count_program(test), []
    late = ": it took too long" if (answer / f"{name}.code").read_text() == "124\n" else ""
    return count_program(test), [f"--- {name}{late}", what_failed(test)]


def _judge_pytest(answer):
    left = not_run(*(_lines(answer / name) for name in ("collected", "begun", "ended")))
    if not (answer / "pytest.xml").exists():
        return Count(failed=max(1, len(left))), [*_tail(answer.parent / "console"), *left]
    count = read_junit(answer / "pytest.xml")
    if left:
        return count + Count(failed=len(left)), [*_failures(answer / "pytest.xml"), *left]
    if count.failed or count.skipped:
        return count, _failures(answer / "pytest.xml")
    if (answer / "pytest.code").read_text() != "0\n" or not count.passed:
        return count + Count(failed=1), _tail(answer.parent / "console")
    return count, []


def not_run(collected, begun, ended):
    """A line for each test that there is and that did not come to its end."""
    begun, ended = set(begun), set(ended)
    left = [test for test in collected if test not in ended]
    return [f"--- {'broken off' if test in begun else 'not run'}: {test}" for test in left]


def _lines(path):
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def _failures(report):
    lines = []
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        for what in case:
            if what.tag in ("failure", "error", "skipped"):
                lines.append(f"--- {what.tag}: {case.get('name')}")
                lines += (what.text or what.get("message") or "").splitlines()[-LINES_SHOWN:]
    return lines


def _tail(path):
    text = path.read_text(errors="replace") if path.exists() else ""
    return text.replace("\r", "").splitlines()[-LINES_SHOWN:]


def try_it(options):
    folder = options.work
    image = Image(folder / "image", options.suite)
    if options.fresh:
        shutil.rmtree(image.folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    call([ROOT / "packaging/apt-install", *TOOLS], 600)
    image.make()
    print(f"seed {options.seed}", flush=True)
    return try_parts(options.parts, options.guests, lambda *more: try_part(image, options, *more))


def try_parts(parts, at_a_time, try_one):
    """The sum of what try_one(part, guests) returns for each. Whatever comes between, no guest is left
    over."""
    count, shown, guests = Count(), [], Guests()
    with ThreadPoolExecutor(at_a_time) as pool:
        try:
            tried = [pool.submit(try_one, part, guests) for part in parts]
            for more, lines in (one.result() for one in tried):
                count += more
                shown += lines
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            guests.end()
            raise
    return count, shown


def try_part(image, options, part, guests):
    folder = options.work / part.name
    folder.mkdir(exist_ok=True)
    (folder / "console").unlink(missing_ok=True)
    pack(folder / "tree", part, options)
    print(f"{part.name}: the guest's console is {folder / 'console'}", flush=True)
    start = time.monotonic()
    in_time = boot(image, folder, part.bound(), guests)
    count, shown = judge(folder, part, options.kernel)
    print(f"{part.name}: {count}, in {time.monotonic() - start:.0f} s", flush=True)
    if not in_time:
        shown.append(f"{part.name}: the guest was stopped after {part.bound()} s")
    (folder / "tree").unlink()
    return count, shown


def main(kernel, suite, parts):
    """The kernel's version, the suite of Debian that it comes from, and what is tried on it. Returns
    an exit code."""
    # a SIGTERM ends like Ctrl-C: the guest is ended, too
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    name = f"kernel-{kernel}"
    parser = argparse.ArgumentParser(prog=f"tests/boot/{name}", description=__doc__)
    parser.add_argument("test", nargs="*", help="only these, of pytest's")
    parser.add_argument("--part", action="append", choices=[part.name for part in parts])
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the property test")
    parser.add_argument("--policies", type=int, default=5, help="of the property test")
    parser.add_argument("--packets", type=int, default=1000, help="of the property test, in all")
    parser.add_argument("--fresh", action="store_true", help="fetch Debian's packages again")
    processors = len(os.sched_getaffinity(0))
    parser.add_argument(
        "--guests", type=int, default=min(2, processors), help="so many at a time, of 1 GiB each"
    )
    parser.add_argument("--work", type=Path, default=ROOT / "build" / name, help="a folder")
    options = parser.parse_args()
    options.kernel, options.suite = kernel, suite
    options.parts = [part for part in parts if not options.part or part.name in options.part]
    if options.test:
        options.parts = [Part("chosen", sum(part.seconds for part in parts), options.test)]
    options.program = os.environ.get("RINGWALL", ROOT / "build/gcc/src/cli/ringwall")
    count, shown = Count(failed=1), []
    try:
        if os.geteuid() != 0 or os.uname().machine != "x86_64":
            shown = ["this needs root, and an x86-64 machine"]
        elif not os.access(options.program, os.X_OK):
            shown = [f"{options.program}: not there; `tests/long {name}` builds it first"]
        else:
            count, shown = try_it(options)
    except subprocess.SubprocessError as e:
        output = e.output or b""
        output = output if isinstance(output, str) else output.decode(errors="replace")
        shown = [*output.splitlines()[-LINES_SHOWN:], str(e)]
    except (OSError, RuntimeError) as e:
        shown = [str(e)]
    except KeyboardInterrupt:
        shown = ["interrupted"]
    print("\n".join([*shown, str(count)]))
    return 1 if count.failed or count.skipped or not count.passed else 0
