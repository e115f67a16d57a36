# SPDX-License-Identifier: GPL-2.0-or-later
"""Knocks all the time at ports that are to be closed, and counts how often one was open."""

import contextlib
import json
import select
import socket
import threading
import time
from collections import namedtuple

from host import ADDRESSES, ADMIN, STRANGER
from lab import wait_until
from program import ringwall

CLOSED = 4444  # somebody listens there, but no policy lets anybody in
PAUSE = 0.005  # seconds between two rounds
ROUNDS_A_CONNECTION = 5
CONNECT_SECONDS = 0.8  # before a packet is sent again
KINDS = {4: socket.AF_INET, 6: socket.AF_INET6}
Knock = namedtuple("Knock", "ns family protocol port")

FROM = {"admin": (ADMIN, "eth0"), "stranger": (STRANGER, "eth2")}


def knocks():
    for ns in FROM:
        for family in KINDS:
            yield Knock(ns, family, "udp", CLOSED)
            yield Knock(ns, family, "tcp", CLOSED)
    for family in KINDS:
        yield Knock("stranger", family, "tcp", 22)


def closed_by(policy):
    """Which of them the policy refuses; None: there is no policy, or none that can be read."""
    asked = list(knocks())
    if policy is None:
        return set()
    questions = ""
    for k in asked:
        addresses, interface = FROM[k.ns]
        to = f"[{ADDRESSES[6]}]" if k.family == 6 else ADDRESSES[4]
        questions += f"{k.protocol} from {addresses[k.family]} to {to}:{k.port} in {interface}\n"
    done = ringwall(None, "explain", "-", str(policy), "--json", text=questions)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(asked), done.stderr
    return {k for k, a in zip(asked, answers) if a["verdict"] != "accept"}


class Prober:
    """Runs from its making until stop()."""

    def __init__(self, net, closed):
        self.net, self.closed = net, sorted(closed)
        self.sent, self.passed = 0, []
        self.tries = {}
        self.stopping, self.failure = threading.Event(), None
        self.sockets = contextlib.ExitStack()
        with net.inside("fw"):
            self.udp = self._listen(socket.SOCK_DGRAM)
            self.tcp = self._listen(socket.SOCK_STREAM)
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _listen(self, kind):
        s = self.sockets.enter_context(socket.socket(socket.AF_INET6, kind))
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        s.bind(("::", CLOSED))
        s.setblocking(False)
        if kind == socket.SOCK_STREAM:
            s.listen(4096)
        return s

    def _run(self):
        try:
            turn = 0
            while not self.stopping.is_set():
                for ns in FROM:
                    with self.net.inside(ns):  # of this thread alone
                        for k in self.closed:
                            if k.ns == ns:
                                self._knock(k, turn)
                self._collect()
                turn += 1
                time.sleep(PAUSE)
        except BaseException as e:  # shown by stop()
            self.failure = e

    def _knock(self, k, turn):
        target = ADDRESSES[k.family], k.port
        if k.protocol == "udp":
            with socket.socket(KINDS[k.family], socket.SOCK_DGRAM) as s:
                with contextlib.suppress(OSError):  # the network is down
                    self.sent += s.sendto(b"x", target)
        elif turn % ROUNDS_A_CONNECTION == 0:
            s = socket.socket(KINDS[k.family])
            s.setblocking(False)
            s.connect_ex(target)
            self.tries[s] = k, time.monotonic() + CONNECT_SECONDS
            self.sent += 1

    def _collect(self):
        with contextlib.suppress(BlockingIOError):
            while True:
                self.passed.append(("udp", self.udp.recvfrom(64)[1][:2]))
        with contextlib.suppress(BlockingIOError):
            while True:
                s, peer = self.tcp.accept()
                s.close()
                self.passed.append(("tcp", peer[:2]))
        _, ready, _ = select.select([], list(self.tries), [], 0)
        now = time.monotonic()
        for s in {*ready, *(s for s, (_, end) in self.tries.items() if end < now)}:
            k, _ = self.tries.pop(s)
            if s in ready and s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
                self.passed.append(("connected", k))
            s.close()

    def runs(self, knocks_more):
        """So many more have been sent."""
        until = self.sent + knocks_more * bool(self.closed)
        wait_until(lambda: self.sent >= until or self.failure, 60, "knocking")

    def stop(self):
        """How many were sent, and which of them came in."""
        self.stopping.set()
        self.thread.join(10)
        if self.failure:
            raise self.failure
        self._collect()
        for s in self.tries:
            s.close()
        self.sockets.close()
        return self.sent, self.passed
