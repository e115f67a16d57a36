# SPDX-License-Identifier: GPL-2.0-or-later
"""Who changed the rules, told of changers of every kind (--changers: how many of each): it is right or
says that it is not known, never somebody else."""

import collections
import contextlib
import ctypes
import os
import re
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

from fixtures import world_for
from lab import wait_until
from rival import Commits
from test_verify import EXPECTING
from world import EXAMPLE

OFF = "settings: { ownership: off }\n"
CLONE3 = 435  # on every processor
RIVAL = str(Path(__file__).with_name("rival.py"))
INSERT = "insert rule inet ringwall input accept"
ONE_OF_TEN = 0.11  # seconds: no more than ten changes a second are told
BY = re.compile(r"another program changed the rules: (?P<what>.*); by (?P<who>.*)$")
# Of a rule in a table of the changer's own, which breaks a claim; and of its end
BESIDE_BY = re.compile(
    r"deny ssh.*: (?:holds no longer|holds again, after).*"
    r"; (?:changed|rules were changed meanwhile) by (?P<who>.*)$"
)
FULL = re.compile(r"(?P<name>\S+) \(process (?P<pid>\d+): (?P<words>.*)\)")
ENDING = re.compile(r"(?P<name>\S+) \(process (?P<pid>\d+)\)")
GONE = re.compile(r"(?P<name>\S+) \(process (?P<pid>\d+), which is gone\)$")

# A process that commits and ends in the same breath, and one that first takes another's name.
AT_ONCE = (
    "import os, sys; sys.path.insert(0, {folder!r}); import rival, socket\n"
    "s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12); s.bind((0, 0))\n"
    "data = rival.new_chain('once')\n"
    "s.send(data); os._exit(0)\n"
)
RENAMED = (
    "import sys; sys.path.insert(0, {folder!r}); import rival\n"
    "open('/proc/self/comm', 'w').write('sshd'); rival.commit(rival.new_chain('renamed'))\n"
)
PYTHON = os.path.realpath(sys.executable)
FOLDER = {"folder": str(Path(RIVAL).parent)}

# What is run; the name that the kernel tells, and a word of the arguments
CHANGERS = {
    "nft": (["nft", INSERT], "nft", "insert rule"),
    "nft -f": (["sh", "-c", f"echo '{INSERT}' | nft -f -"], "nft", "nft -f -"),
    "nft -i": (["sh", "-c", f"echo '{INSERT}' | nft -i"], "nft", "nft -i"),
    "a loop of a shell": (
        ["sh", "-c", f"for i in 1; do nft {INSERT}; done"],
        "nft",
        "insert rule",
    ),
    "raw netlink": ([sys.executable, RIVAL, "chain", "1"], "python3", "rival.py chain"),
    "gone at once": ([sys.executable, "-c", AT_ONCE.format(**FOLDER)], "python3", "-c"),
    "under another's name": ([sys.executable, "-c", RENAMED.format(**FOLDER)], "sshd", "python3"),
    "in a control group": (["sh", "-c", f"exec nft {INSERT}"], "nft", "insert rule"),
}

REDIRECT = "PREROUTING -p tcp --dport 8443 -j REDIRECT --to-ports 22"

# Tables of the old iptables, of whose changes the kernel tells nobody
LEGACY = ["iptables-legacy-restore", "--noflush"]
LEGACY_RULES = f"*nat\n-A {REDIRECT}\nCOMMIT\n"
LEGACY_BY = re.compile(
    r"protected ollama.*?: (?:whether it holds is not known: it hangs on the legacy table nat of IPv4.*?|"
    r"holds again, after.*?)(?:; (?:changed|rules were changed meanwhile) by (?P<who>.*))?$"
)
TRIES = 5  # on a busy machine others may end before it is seen what they were
FIRST_PROCESSES = 0xEFFFFFFC  # the first process namespace, of which the kernel tells
LISTEN = "import socket; socket.socket(16, socket.SOCK_DGRAM, 11).bind((0, 1))"  # its connector

# They write to tables of their own: what breaks a claim, and what takes it out again
TABLE = (
    "table inet other { chain c { type nat hook prerouting priority -100;"
    " tcp dport 8443 redirect to :22; }; }"
)
RESTORE = "printf '*nat\\n{} " + REDIRECT + "\\nCOMMIT\\n' | iptables-nft-restore --noflush"
BESIDE = {
    "iptables-nft": [
        (["iptables-nft", "-t", "nat", action, *REDIRECT.split()], "iptables-nft", "--to-ports 22")
        for action in ("-A", "-D")
    ],
    "iptables-nft-restore": [
        (["sh", "-c", RESTORE.format(action)], "iptables-nft-re", "--noflush") for action in ("-A", "-D")
    ],
    "nft beside": [
        (["nft", TABLE], "nft", "redirect to"),
        (["nft", "delete table inet other"], "nft", "delete table"),
    ],
}

make_world = world_for("function", foreign=None)


class Told:
    """What the daemon says of it, line by line."""

    def __init__(self, daemon, form=BY):
        self.path, self.offset, self.form = daemon.folder / "log", 0, form

    def next(self, seconds=20):
        def line():
            with open(self.path, encoding="utf-8") as f:
                f.seek(self.offset)
                text = f.read()
            for match in re.finditer(r".*\n", text):
                found = self.form.search(match[0].rstrip("\n"))
                if found:
                    self.offset += len(text[: match.end()].encode())
                    return found
            return None

        return wait_until(line, seconds, "what is told")["who"]


@contextlib.contextmanager
def group():
    """A control group as systemd names them; None where none can be made."""
    for root in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd"):
        folder = f"{root}/system.slice/ringwall-rival-{os.getpid()}.service"
        try:
            os.makedirs(folder)
        except OSError:
            continue
        if not os.path.exists(f"{folder}/cgroup.procs"):
            continue
        try:
            yield folder
        finally:
            wait_until(lambda folder=folder: remove(folder), 10, "its processes' end")
        return
    yield None


def remove(folder):
    try:
        os.rmdir(folder)
    except OSError:
        return False
    return True


def run(world, kind, folder):
    words = CHANGERS[kind][0]
    if kind == "in a control group" and folder:
        words = ["sh", "-c", f"echo $$ > {folder}/cgroup.procs; " + words[2]]
    world.lab.run("fw", words)


def judge(kind, changer, who, pid, folder):
    """right; ending: it has no arguments any more; gone: the kernel's word alone; unknown. Anything else
    is wrong."""
    _, name, words = changer
    if who == "somebody unknown":
        return "unknown"
    result, found = next(
        (result, form.match(who))
        for result, form in {"gone": GONE, "ending": ENDING, "right": FULL}.items()
        if form.match(who)
    )
    assert (found["name"], int(found["pid"])) == (name, pid), (kind, who, pid)
    if result == "right" and re.fullmatch(r"/\S+", found["words"]):
        result = "ending"  # the program's path alone
        assert os.path.basename(found["words"]) in (name, os.path.basename(PYTHON)), (kind, who)
    elif result == "right":
        assert words in found["words"], (kind, who)
    if result != "gone" and kind == "in a control group" and folder:
        assert who.endswith(f" of {os.path.basename(folder)}"), who
    return result


def test_it_is_never_somebody_else_and_mostly_told_with_its_arguments(world, daemon, pytestconfig):
    daemon.start()
    assert daemon.apply(OFF + EXAMPLE, "--no-confirm")[0] == 0
    told, counts = Told(daemon), collections.defaultdict(collections.Counter)
    commits = Commits(world.lab)
    with group() as folder:
        for _ in range(pytestconfig.getoption("changers")):
            for kind in CHANGERS:
                commits.forget()
                run(world, kind, folder)
                writers = wait_until(
                    lambda: [c for c in commits.wait(1) if c[2] != "ringwalld"], 10, kind
                )
                counts[kind][judge(kind, CHANGERS[kind], told.next(), writers[0][1], folder)] += 1
                time.sleep(ONE_OF_TEN)
                wait_until(lambda: daemon.status()["state"] == "closed", 10, "the heal")
    commits.close()
    for kind, count in counts.items():
        print(f"{kind:24}", dict(count))
    total = sum(counts.values(), collections.Counter())
    # the kernel's word is right in any case; how much more is known depends on who is quicker
    assert total["unknown"] <= 0.05 * total.total(), counts
    assert total["right"] >= 0.5 * total.total(), counts


def test_whoever_breaks_a_claim_beside_the_table_is_never_somebody_else(world, daemon, pytestconfig):
    daemon.start()
    assert daemon.apply(OFF + EXPECTING, "--no-confirm")[0] == 0
    wait_until(lambda: daemon.status()["claims"]["known"], 20, "the first proof")
    told, counts = Told(daemon, BESIDE_BY), collections.defaultdict(collections.Counter)
    commits = Commits(world.lab)
    for _ in range(max(1, pytestconfig.getoption("changers") // 4)):
        for kind, changers in BESIDE.items():
            for changer in changers:
                commits.forget()
                world.lab.run("fw", changer[0])
                writers = wait_until(lambda: commits.wait(1), 10, kind)
                # after so many in a minute, it is told in the next
                counts[kind][judge(kind, changer, told.next(100), writers[0][1], None)] += 1
    commits.close()
    for kind, count in counts.items():
        print(f"{kind:24}", dict(count))
    total = sum(counts.values(), collections.Counter())
    assert total["unknown"] <= 0.05 * total.total(), counts


def waiting(world, ns="fw"):
    """A program of the old iptables that does nothing until it is told what."""
    child = world.lab.popen(ns, LEGACY, stdin=-1, text=True)
    wait_until(lambda: "legacy" in os.readlink(f"/proc/{child.pid}/exe"), 20, "the program")
    return child


def hears_programs():
    first = ["nsenter", "--net=/proc/2/ns/net", sys.executable, "-c", LISTEN]
    return (
        os.stat("/proc/self/ns/pid").st_ino == FIRST_PROCESSES
        and subprocess.run(first, capture_output=True, timeout=20).returncode == 0
    )


def test_whoever_changes_a_table_of_the_old_iptables_is_told_of_at_once(world, daemon):
    """But not where the kernel does not tell which programs begin: then it takes up to a minute."""
    is_told = hears_programs()
    daemon.start()
    assert daemon.apply(OFF + EXAMPLE, "--no-confirm")[0] == 0
    wait_until(lambda: daemon.status()["claims"]["known"], 20, "the first proof")
    told, elsewhere, named = Told(daemon, LEGACY_BY), waiting(world, "wan"), None
    for _ in range(TRIES if is_told else 1):
        child = waiting(world)
        child.communicate(LEGACY_RULES, timeout=20)
        who = told.next(20 if is_told else 100) or "somebody unknown"
        assert re.match(rf"(iptables-legacy \(process {child.pid}: |somebody unknown)", who), who
        named = None if "unknown" in who else who
        if named:
            break
        world.lab.run("fw", ["iptables-legacy", "-t", "nat", "-F"])
        told.next(20)
    if not is_told:
        return
    assert named and " ".join(LEGACY) in named
    # who ends it is told, too; and of two it may have been either
    one, two = waiting(world), waiting(world)
    one.communicate("*nat\n-F PREROUTING\nCOMMIT\n", timeout=20)
    who = told.next() or "somebody unknown"
    assert "somebody unknown" in who or re.match(r"one of \S+ \(process .*, or \S+ \(process ", who), who
    assert all(int(n) in (one.pid, two.pid) for n in re.findall(r"\(process (\d+)", who)), who
    two.communicate("", timeout=20)
    elsewhere.communicate("", timeout=20)


def test_a_number_that_another_process_has_by_now_names_nobody(world, daemon):
    """In the time between the commit and the look, its number goes to another process."""
    daemon.start()
    assert daemon.apply(OFF + EXAMPLE, "--no-confirm")[0] == 0
    told, commits = Told(daemon), Commits(world.lab)
    daemon.process.send_signal(signal.SIGSTOP)
    wait_until(lambda: is_stopped(daemon.process.pid), 20, "all of its threads to stand still")
    changer = world.lab.popen("fw", ["nft", INSERT])
    changer.wait(10)
    again = take_number(changer.pid)
    daemon.process.send_signal(signal.SIGCONT)
    who = told.next()
    os.kill(again, signal.SIGKILL)
    os.waitpid(again, 0)
    commits.close()
    assert GONE.match(who) and f"process {changer.pid}," in who, who


def is_stopped(pid):
    stats = [path.read_text(encoding="utf-8") for path in Path(f"/proc/{pid}/task").glob("*/stat")]
    return all(stat.rpartition(") ")[2][0] == "T" for stat in stats)


def take_number(pid):
    """A child of ours that has it: clone3(2) asks for it, however many others begin meanwhile."""
    number = ctypes.c_int(pid)
    words = [0, 0, 0, 0, signal.SIGCHLD, 0, 0, 0, ctypes.addressof(number), 1, 0]
    arguments = struct.pack("=11Q", *words)
    child = ctypes.PyDLL(None).syscall(CLONE3, arguments, len(arguments))
    while child == 0:
        signal.pause()
    assert child == pid
    return child
