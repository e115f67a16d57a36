# SPDX-License-Identifier: GPL-2.0-or-later
"""Traffic without a pause between a machine and its neighbour, and what became of each packet.

To one port the policy lets everybody in, to the other nobody; behind both somebody listens, and has
done so since before the machine was switched on. Each datagram is the first of a connection of its own."""

import contextlib
import select
import socket
import struct
import threading
import time
from dataclasses import dataclass, field

from lab import wait_until
from machine import ADDRESSES

ALLOWED, DENIED = 5000, 5001
PAUSE = 0.002  # seconds between two rounds
ROUNDS_A_CONNECTION = 10
CONNECT_SECONDS = 3
SETTLE_SECONDS = 10
KINDS = {4: socket.AF_INET, 6: socket.AF_INET6}
BUFFER = 16 << 20
TOTAL_RETRANSMITS = 100  # offset in struct tcp_info

POLICY = f"""ringwall: 1
inbound:
  - {{ allow: [{ALLOWED}/udp, {ALLOWED}/tcp], from: anywhere }}
"""


@dataclass
class Tally:
    sent: int = 0  # datagrams that were to arrive
    dropped: int = 0  # of those
    denied: int = 0  # datagrams that were not to arrive
    passed: int = 0  # of those
    connected: int = 0  # connections to the open port
    hindered: int = 0  # of those: a packet had to be sent twice, or it never came to be
    intruders: int = 0  # connections to the closed port that came to be
    held: int = 0  # bytes over connections that were open all the time
    pause: float = 0.0  # seconds, the longest between two datagrams that arrived
    wrong: list = field(default_factory=list)


class Stream:
    """Runs from its making until stop()."""

    def __init__(self, machine, expect_open=True):
        """expect_open: the machine is up, and connections are held open through all of it."""
        self.net, self.peer, self.expect_open = machine.net, machine.peer, expect_open
        self.tally = Tally()
        self.number = 0
        self.sent = {}  # number -> (family, port)
        self.arrived = {ALLOWED: set(), DENIED: set()}
        self.last = None  # when something arrived
        self.tries, self.accepted, self.held = {}, [], []
        self.stopping = threading.Event()
        self.failure = None
        self.sockets = contextlib.ExitStack()
        with self.net.inside(machine.namespace):
            self.udp = {port: self._listen(socket.SOCK_DGRAM, port) for port in (ALLOWED, DENIED)}
            self.tcp = {port: self._listen(socket.SOCK_STREAM, port) for port in (ALLOWED, DENIED)}
        if expect_open:
            for family in KINDS:
                self._hold(family)
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _listen(self, kind, port):
        s = self.sockets.enter_context(socket.socket(socket.AF_INET6, kind))
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.setsockopt(socket.SOL_SOCKET, 33, BUFFER)  # SO_RCVBUFFORCE
        s.bind(("::", port))
        s.setblocking(False)
        if kind == socket.SOCK_STREAM:
            s.listen(4096)
        return s

    def _hold(self, family):
        with self.net.inside(self.peer):
            client = self.sockets.enter_context(socket.socket(KINDS[family]))
        client.settimeout(CONNECT_SECONDS)
        client.connect((ADDRESSES[family], ALLOWED))
        select.select([self.tcp[ALLOWED]], [], [], CONNECT_SECONDS)
        server = self.sockets.enter_context(self.tcp[ALLOWED].accept()[0])
        for s in (client, server):
            s.setblocking(False)
        self.held.append([client, server, b""])

    # --- the thread ---

    def _run(self):
        try:
            self.net._setns(self.peer)  # of this thread alone
            turn = 0
            while not self.stopping.is_set():
                for family in KINDS:
                    for port in (ALLOWED, DENIED):
                        self._send(family, port)
                        if turn % ROUNDS_A_CONNECTION == 0:
                            self._connect(family, port)
                self._exchange()
                self._collect()
                turn += 1
                time.sleep(PAUSE)
        except BaseException as e:  # shown by stop()
            self.failure = e

    def _send(self, family, port):
        self.number += 1
        with socket.socket(KINDS[family], socket.SOCK_DGRAM) as s:
            try:
                s.sendto(struct.pack("!Q", self.number), (ADDRESSES[family], port))
            except OSError:
                return  # there is no network yet
        self.sent[self.number] = family, port

    def _connect(self, family, port):
        s = socket.socket(KINDS[family])
        s.setblocking(False)
        s.connect_ex((ADDRESSES[family], port))
        self.tries[s] = family, port, time.monotonic() + CONNECT_SECONDS

    def _exchange(self):
        for held in self.held:
            client, server, _ = held
            client.send(b"x")
            server.send(b"y")
            self._receive(held)

    @staticmethod
    def _receive(held):
        for s in held[:2]:
            with contextlib.suppress(BlockingIOError):
                held[2] += s.recv(65536)

    def _collect(self):
        for port, s in self.udp.items():
            with contextlib.suppress(BlockingIOError):
                while True:
                    self.arrived[port].add(struct.unpack("!Q", s.recv(64))[0])
                    self._note_pause(port)
        for port, s in self.tcp.items():
            with contextlib.suppress(BlockingIOError):
                while True:
                    s.accept()[0].close()
                    self.tally.intruders += port == DENIED
        _, ready, _ = select.select([], list(self.tries), [], 0)
        for s in ready:
            self._connected(s, s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
        now = time.monotonic()
        for s in [s for s, (_, _, end) in self.tries.items() if end < now]:
            self._connected(s, -1)

    def _note_pause(self, port):
        now = time.monotonic()
        if port == ALLOWED:
            self.tally.pause = max(self.tally.pause, now - (self.last or now))
            self.last = now

    def _connected(self, s, error):
        family, port, _ = self.tries.pop(s)
        with s:
            if port == DENIED:
                return  # who came in was accepted above; a refusal is as good as silence
            self.tally.connected += error == 0
            if error or _retransmits(s):
                self.tally.hindered += 1
                self.tally.wrong.append(f"a connection, IPv{family}: {error or 'sent twice'}")

    # --- of the caller ---

    def arrives(self, port):
        """Whether something arrives now, of both families."""
        before = self.number
        new = lambda: {
            self.sent[n][0] for n in list(self.arrived[port]) if n > before and n in self.sent
        }
        wait_until(lambda: new() == set(KINDS) or self.failure, 30, f"datagrams to {port}")

    def runs(self, rounds=50):
        """So many more rounds are done."""
        until = self.number + 4 * rounds
        wait_until(lambda: self.number >= until or self.failure, 60, "traffic")

    def stop(self):
        """The tally; everything that was sent has come to where it was to come."""
        self.stopping.set()
        self.thread.join(SETTLE_SECONDS)
        if self.failure:
            raise self.failure
        t = self.tally
        to = lambda port: {n for n, (_, p) in self.sent.items() if p == port}
        expected = to(ALLOWED)
        t.sent, t.denied = len(expected), len(to(DENIED))

        def settled():
            self._collect()
            return expected <= self.arrived[ALLOWED] and not any(
                port == ALLOWED for _, port, _ in self.tries.values()
            )

        # of a boot, nobody knows when the network was there
        with contextlib.suppress(AssertionError):
            wait_until(settled, SETTLE_SECONDS * self.expect_open, "all that was sent")
        t.dropped, t.passed = len(expected - self.arrived[ALLOWED]), len(self.arrived[DENIED])
        self._settle_held()
        self.sockets.close()
        for s in self.tries:
            s.close()
        return t

    def _settle_held(self):
        for held in self.held:
            client, server, _ = held
            for s in (client, server):
                s.shutdown(socket.SHUT_WR)
            end = time.monotonic() + SETTLE_SECONDS
            while select.select([client, server], [], [], 0)[0] and time.monotonic() < end:
                before = len(held[2])
                self._receive(held)
                if len(held[2]) == before:
                    break
            self.tally.held += len(held[2])
            if _retransmits(client) or _retransmits(server):
                self.tally.hindered += 1
                self.tally.wrong.append("a connection that was open had to send twice")


def _retransmits(s):
    info = s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    return struct.unpack_from("=I", info, TOTAL_RETRANSMITS)[0]


def assert_nothing_wrong(tally):
    """Nothing passed that was not to pass, nothing was lost that was to arrive; and there was enough
    traffic to tell."""
    assert (tally.passed, tally.intruders) == (0, 0), tally
    assert (tally.dropped, tally.hindered) == (0, 0), tally
    assert tally.sent >= 100 and tally.denied >= 100 and tally.connected >= 10, tally
