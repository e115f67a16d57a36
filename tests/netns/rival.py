# SPDX-License-Identifier: GPL-2.0-or-later
"""Another program that wants the table: commits by raw netlink, and who committed what, as the kernel
tells it (NFT_MSG_NEWGEN).

    rival.py KIND [COUNT]    does that to the table, COUNT times or for ever; one line per attempt that
                             the kernel took
    rival.py squat TABLE...  makes them its own, in place of what is there, until it ends
    rival.py watch           tells when (time.time()) each transaction of ringwalld's was told of
"""

import contextlib
import errno
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import time

NETLINK_NETFILTER = 12
NFTABLES, SOL_NETLINK, ADD_MEMBERSHIP = 10, 270, 1
GROUP = 7  # NFNLGRP_NFTABLES
NEWTABLE, DELTABLE, NEWCHAIN, NEWRULE, DELRULE, NEWGEN = 0, 2, 3, 6, 8, 15
REQUEST, ACK, CREATE, APPEND = 1, 4, 0x400, 0x800
NESTED, ACCEPT = 0x8000, 1
OWNER, PERSIST = 2, 4
SO_RCVBUFFORCE = 33

COMMANDS = {
    "flush": "flush ruleset",
    "delete": "delete table inet ringwall",
    "rule": "insert rule inet ringwall input accept",
    "add": "add rule inet ringwall inbound accept",
}
WITHOUT_NFT = ("adopt", "chain", "raw-rule", "raw-delete")  # by this process, which is far quicker


def _message(kind, flags, number, rest):
    return struct.pack("=LHHLL", 16 + len(rest), kind, flags, number, 0) + rest


def _attribute(kind, data):
    return struct.pack("=HH", 4 + len(data), kind) + data + b"\0" * (-len(data) % 4)


def batch(*messages):
    """(kind, flags, attributes) of the family inet, as one transaction."""
    data = _message(0x10, REQUEST, 1, struct.pack(">BBH", 0, 0, NFTABLES))
    for number, (kind, flags, attributes) in enumerate(messages, start=2):
        data += _message(
            NFTABLES << 8 | kind, REQUEST | flags, number, struct.pack(">BBH", 1, 0, 0) + attributes
        )
    return data + _message(0x11, REQUEST, len(messages) + 2, struct.pack(">BBH", 0, 0, NFTABLES))


def adoption(flags=OWNER | PERSIST):
    name = _attribute(1, b"ringwall\0")
    return batch((NEWTABLE, ACK | CREATE, name + _attribute(2, struct.pack(">L", flags))))


def new_chain(name):
    attributes = _attribute(1, b"ringwall\0") + _attribute(3, name.encode() + b"\0")
    return batch((NEWCHAIN, ACK | CREATE, attributes))


def accept_all():
    """A rule at the beginning of input that accepts everything."""
    verdict = _attribute(2 | NESTED, _attribute(1, struct.pack(">L", ACCEPT)))
    data = _attribute(1, struct.pack(">L", 0)) + _attribute(2 | NESTED, verdict)
    expression = _attribute(1, b"immediate\0") + _attribute(2 | NESTED, data)
    rule = _attribute(1, b"ringwall\0") + _attribute(2, b"input\0")
    rule += _attribute(4 | NESTED, _attribute(1 | NESTED, expression))
    return batch((NEWRULE, ACK | CREATE, rule))


def own_table(name):
    """In place of what is there."""
    named = _attribute(1, name.encode() + b"\0")
    owned = named + _attribute(2, struct.pack(">L", OWNER))
    return batch(
        (NEWTABLE, ACK | CREATE, named), (DELTABLE, ACK, named), (NEWTABLE, ACK | CREATE, owned)
    )


def flush_rules():
    return batch((DELRULE, ACK, _attribute(1, b"ringwall\0")))


def delete_table():
    return batch((DELTABLE, ACK, _attribute(1, b"ringwall\0")))


def commit(data):
    """The errno, or 0; the socket is closed again."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER) as s:
        s.bind((0, 0))
        s.settimeout(10)
        s.send(data)
        return -struct.unpack_from("=l", s.recv(4096), 16)[0]


class Commits:
    """Ends of transactions: (the time when it was told, pid, name)."""

    def __init__(self, lab=None, ns="fw"):
        with lab.inside(ns) if lab else contextlib.nullcontext():
            self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
        self.socket.bind((0, 0))
        self.socket.setsockopt(SOL_NETLINK, ADD_MEMBERSHIP, GROUP)
        # each element and rule of a transaction is kilobytes of the kernel's: a thousand are more than 16 MB
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 28)

    def close(self):
        self.socket.close()

    def wait(self, seconds=0.0):
        """Those of the datagram that comes next; [] if none does."""
        if not select.select([self.socket], [], [], seconds)[0]:
            return []
        data, told = self.socket.recv(1 << 16), time.monotonic()
        found = []
        while len(data) >= 16:
            size, kind = struct.unpack_from("=LH", data)
            if kind == NFTABLES << 8 | NEWGEN:
                found.append((told, *self._writer(data[20:size])))
            data = data[(size + 3) & ~3 :]
        return found

    def so_far(self):
        """All that was told of until now."""
        found = []
        while select.select([self.socket], [], [], 0)[0]:
            found += self.wait()
        return found

    def forget(self):
        """What was told of before."""
        self.so_far()

    @staticmethod
    def _writer(data):
        pid, name = 0, ""
        while len(data) >= 4:
            size, kind = struct.unpack_from("=HH", data)
            if kind == 2:
                (pid,) = struct.unpack_from(">L", data, 4)
            elif kind == 3:
                name = data[4:size].rstrip(b"\0").decode(errors="replace")
            data = data[(size + 3) & ~3 :]
        return pid, name

    def of_ringwall(self, seconds):
        """When its next transaction was told of; None within so many seconds."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for told, _, name in self.wait(0.02):
                if name == "ringwalld":
                    return told
        return None


class Heals:
    """Of ringwalld's transactions, seen by a process that does nothing else: a busy one would see them
    late."""

    def __init__(self, lab, ns="fw"):
        words = [sys.executable, os.path.abspath(__file__), "watch"]
        self.process = lab.popen(ns, words, stdout=subprocess.PIPE, text=True)
        self.process.stdout.readline()

    def next(self, seconds):
        """When the next one was told of (time.time()); None within so many seconds."""
        if not select.select([self.process.stdout], [], [], seconds)[0]:
            return None
        told = os.read(self.process.stdout.fileno(), 1 << 16).split()
        assert told, f"who watches has ended: {self.process.wait(10)}"
        return float(told[0])

    def forget(self):
        """What was told of before."""
        while self.next(0):
            pass

    def close(self):
        self.process.kill()
        self.process.wait(10)


def watch():
    commits = Commits()
    os.write(1, b"ready\n")
    while True:
        for _, _, name in commits.wait(60):
            if name == "ringwalld":
                os.write(1, f"{time.time()}\n".encode())  # in one piece


def squat(names):
    """All of them, each with a socket of its own."""
    held = []
    for name in names:
        s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
        s.bind((0, 0))
        s.settimeout(10)
        s.send(own_table(name))
        error = -struct.unpack_from("=l", s.recv(4096), 16)[0]
        if error:
            raise OSError(error, f"{name} cannot be had")
        held.append(s)
    print("squats", flush=True)
    signal.pause()


def attempt(kind):
    """Whether the kernel took it. (A flush passes over what another program owns, and is taken.)"""
    if kind in WITHOUT_NFT:
        data = {
            "adopt": adoption(),
            "chain": new_chain("rival"),
            "raw-rule": accept_all(),
            "raw-delete": delete_table(),
        }[kind]
        return commit(data) == 0
    done = subprocess.run(["nft", COMMANDS[kind]], capture_output=True, timeout=30, check=False)
    return done.returncode == 0


def main():
    if sys.argv[1] == "watch":
        watch()
    if sys.argv[1] == "squat":
        squat(sys.argv[2:])
    kinds = [*COMMANDS, "adopt", "chain"] if sys.argv[1] == "all" else [sys.argv[1]]
    count = int(sys.argv[2]) if len(sys.argv) > 2 else None
    number = 0
    while count is None or number < count:
        for kind in kinds:
            if attempt(kind) and kind != "flush":
                print(kind, flush=True)
        number += 1
        print("round", flush=True)


if __name__ == "__main__":
    # for tests only: the network of process 1 is left alone
    if os.stat("/proc/1/net/dev").st_ino == os.stat("/proc/self/net/dev").st_ino:
        sys.exit(errno.EPERM)
    main()
