# SPDX-License-Identifier: GPL-2.0-or-later
"""Traffic that goes on whatever happens: what may pass and what may not, counted."""

import contextlib
import itertools
import select
import socket
import struct
import threading
import time

from lab import wait_until
from talk import retransmitted

ALLOWED, DENIED = 7000, 7001  # UDP
SO_RCVBUFFORCE, SO_TIMESTAMPNS = 33, 35


def accept_all(world, port):
    """Takes what has been connected, so that there is room for more; how many."""
    server, n = world.servers["fw", port], 0
    while select.select([server], [], [], 0)[0]:
        server.accept()[0].close()
        n += 1
    return n


class Steady:
    """From the peer `wan`: datagrams of one long flow, and of new ones; connections to 443 and 22."""

    def __init__(self, world):
        self.world, self.ended = world, threading.Event()
        self.sent = self.got = self.passed = self.opened = self.asked = 0
        self.lost, self.problems = [], []
        self.servers = [world.talk.receive_on("fw", port, 4) for port in (ALLOWED, DENIED)]
        for s in self.servers:
            s.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 25)
        self.address = world.address("host", 4)
        self.threads = [
            threading.Thread(target=self._guarded, args=(f,), daemon=True)
            for f in (self._datagrams, self._connections, self._count)
        ]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        for thread in self.threads:
            thread.join(30)

    def _guarded(self, function):
        try:
            function()
        except Exception as e:  # a thread's death would pass for silence
            self.problems.append(repr(e))

    def _datagrams(self):
        with self.world.lab.inside("wan"), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as flow:
            flow.bind(("0.0.0.0", 0))
            while not self.ended.is_set():
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as new:
                    for s in (flow, new):
                        for port in (ALLOWED, DENIED):
                            s.sendto(b"%d" % self.sent, (self.address, port))
                        self.sent += 1
                time.sleep(0.001)  # the rate

    def _connections(self):
        with self.world.lab.inside("wan"):
            while not self.ended.is_set():
                with self._begin(443) as good, self._begin(22) as bad:
                    self.asked += 1
                    if not select.select([], [good], [], 5)[1]:
                        self.lost.append("no answer")
                    elif good.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                        self.lost.append("an error")
                    elif retransmitted(good):
                        self.lost.append("at the second attempt")
                    if select.select([], [bad], [], 0.002)[1]:
                        self.opened += 1
                accept_all(self.world, 443)

    @contextlib.contextmanager
    def _begin(self, port):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as s:
            s.setblocking(False)
            s.connect_ex((self.address, port))
            yield s

    def _count(self):
        while not self.ended.is_set():
            ready = select.select(self.servers, [], [], 0.05)[0]
            for s in ready:
                s.recv(2048)
                if s is self.servers[0]:
                    self.got += 1
                else:
                    self.passed += 1

    def assert_nothing_passed(self):
        """After the end: of what is denied; what is allowed may have been lost."""
        assert not self.problems, self.problems
        assert self.sent > 100 and self.asked > 10
        assert (self.passed, self.opened) == (0, 0), "denied datagrams and connections"
        assert accept_all(self.world, 22) == 0

    def assert_all_was_right(self):
        """After the end."""
        assert not self.problems, self.problems
        for s in self.servers:
            s.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while self.servers[0].recv(2048):
                self.got += 1
        assert self.sent > 100 and self.asked > 10
        datagrams = self.sent, self.got, self.passed
        assert datagrams == (self.sent, self.sent, 0), f"sent, admitted, denied ones: {datagrams}"
        assert not self.lost and not self.opened, f"connections: {self.lost}, {self.opened} opened"
        assert accept_all(self.world, 22) == 0


class Won:
    """Connections that got in although they may not: over TCP and UDP, where the client speaks, and
    where the server does. Whoever speaks goes on."""

    PORTS = itertools.count(10000)  # what was cut is remembered: none is used a second time

    def __init__(self, world):
        self.world, self.ended = world, threading.Event()
        self.pairs, self.heard, self.problems = [], {}, []
        address = world.address("host", 4)
        with world.lab.inside("wan"):
            self.clients = [
                socket.create_connection((address, 22), 5, ("0.0.0.0", next(self.PORTS)))
                for _ in range(2)
            ]
        self.accepted = {}
        for client in self.clients:
            self._accept(client)
        for number, client in enumerate(self.clients):
            self._add(f"tcp {number}", client, self.accepted[client.getsockname()[1]], number)
        for number in range(2):
            with world.lab.inside("fw"):
                server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            with world.lab.inside("wan"):
                client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            server.bind(("0.0.0.0", 7100 + number))
            client.bind(("0.0.0.0", next(self.PORTS)))
            client.connect((address, 7100 + number))
            client.send(b"one")
            server.settimeout(5)
            server.connect(server.recvfrom(100)[1])
            server.send(b"two")
            client.settimeout(5)
            assert client.recv(100) == b"two"
            self._add(f"udp {number}", client, server, number)
        self.thread = threading.Thread(target=self._talk, daemon=True)

    def _accept(self, client):
        while client.getsockname()[1] not in self.accepted:
            s, peer = self.world.servers["fw", 22].accept()
            self.accepted[peer[1]] = s

    def _add(self, name, client, server, server_speaks):
        speaker, listener = (server, client) if server_speaks else (client, server)
        for s in (speaker, listener):
            s.setblocking(False)
        listener.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.pairs.append((name, speaker, listener))
        self.heard[name] = []

    def _talk(self):
        by_listener = {listener: name for name, _, listener in self.pairs}
        while not self.ended.is_set():
            for _, speaker, _ in self.pairs:
                with contextlib.suppress(OSError):
                    speaker.send(b".")
            for listener in select.select(list(by_listener), [], [], 0.002)[0]:
                with contextlib.suppress(OSError):
                    data, more, _, _ = listener.recvmsg(4096, 256)
                    arrived = self._arrived(more)
                    if data and arrived:
                        self.heard[by_listener[listener]].append(arrived)
            time.sleep(0.002)  # the rate

    @staticmethod
    def _arrived(more):
        """When the kernel got it, however late it is read here (time.time()). None: it came before the
        kernel had begun to look at its clock, which takes it a moment."""
        for level, kind, data in more:
            if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPNS):
                seconds, nanoseconds = struct.unpack("qq", data)
                return seconds + nanoseconds / 1e9
        return None

    def start(self):
        self.thread.start()
        wait_until(lambda: all(self.heard.values()), 10, "that they are heard in the gap")

    def close(self):
        self.ended.set()
        self.thread.join(10)
        for s in [*self.clients, *self.accepted.values(), *(s for _, *p in self.pairs for s in p)]:
            s.close()

    def last(self):
        """When the last of each arrived (time.time())."""
        return {name: times[-1] for name, times in self.heard.items()}
