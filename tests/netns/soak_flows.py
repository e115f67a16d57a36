# SPDX-License-Identifier: GPL-2.0-or-later
"""The traffic of a soak: new and open connections of every lane, without a pause, each compared with what
the model knows of the time between its first packet and its last."""

import collections
import contextlib
import errno
import random
import select
import socket
import threading
import time

from lab import wait_until
from soak_model import CLIENTS, HTTPS, OUTWARD, ROUTED, SHUT, SSH, STEADY, Lane
from talk import NETWORK

SO_RCVBUFFORCE, RESET = 33, b"\1\0\0\0\0\0\0\0"
PAUSE = 0.02  # seconds between two rounds: the rate
SETTLED = 0.5  # a datagram that was not dropped is there by then, or its loss decided
LATE = 10.0  # until then what was sent may arrive: a machine may be busy
STALLED = 30.0  # of an open TCP connection, which repeats what was lost
SILENT = 1.0  # for so long one that is dead is listened to
KNOCK = 0.4  # a connection that may not be made is waited for: less than until its second SYN
TOGGLED = (7100, 7101, 7102, 7103, 7104)
FAMILIES = (4, 6)
PORTS = (20000, 60000)
HALF_OPEN = 3.0  # seconds that a handshake may take
MAX_FLOWS = 60
MAX_CONNECTING = 40

DATAGRAMS = [
    *(Lane(c, f, "udp", p) for c in CLIENTS for f in FAMILIES for p in (STEADY, SHUT, *TOGGLED)),
    *(Lane(c, f, "udp", ROUTED, "routed") for c in ("lan", "wan", "guest") for f in FAMILIES),
    *(Lane("wan", f, "udp", OUTWARD, "outbound") for f in FAMILIES),
]
CONNECTIONS = [
    Lane(c, f, "tcp", p)
    for c in ("wan", "lan", "vpn", "guest", "listed", "banned")
    for f in FAMILIES
    for p in (HTTPS, SSH, SHUT, *TOGGLED)
]
# Those that are kept open as long as they may be
OPEN = [
    Lane(c, f, protocol, p)
    for c, ports in (
        ("wan", (STEADY, 7100, 7104)),
        ("lan", (STEADY, 7100, 7101)),
        ("listed", (STEADY, 7100)),
        ("banned", (STEADY, 7104)),
    )
    for f in FAMILIES
    for protocol in ("udp", "tcp")
    for p in (HTTPS if protocol == "tcp" and p == STEADY else p for p in ports)
] + [Lane("lan", f, "udp", ROUTED, "routed") for f in FAMILIES]


def machine_drops():
    """Packets of whatever network that found no room in a processor's queue."""
    with open("/proc/net/softnet_stat", encoding="ascii") as f:
        return sum(int(line.split()[1], 16) for line in f)


class Flow:
    """An open connection, of which each datagram or line is answered."""

    def __init__(self, lane, s, now, live):
        self.lane, self.socket, self.live = lane, s, live
        self.checked = now
        self.number, self.waits, self.next = 0, collections.OrderedDict(), now
        self.doomed = None  # when it was found to have to be dead
        self.known, self.born = True, now
        self.rest = b""


class Traffic:
    def __init__(self, world, model, seed):
        self.world, self.model, self.rng = world, model, random.Random(seed)
        self.lab = world.lab
        self.ended, self.problems = threading.Event(), []
        self.count = collections.Counter()
        self.waits = collections.OrderedDict()  # number → (lane, sent, since when its flow is)
        self.number, self.port = 0, PORTS[0]
        self.poll, self.handlers = select.epoll(), {}
        self.connecting, self.flows, self.long = {}, [], {}
        self.is_ending = False  # nothing new is begun
        self.drops = collections.deque([(0.0, machine_drops())], maxlen=1000)  # when there were more
        self.peers, self.accepted = {}, {}  # client's address and port → server's end
        self._serve()
        self.thread = threading.Thread(target=self._guarded, daemon=True)

    def start(self):
        self.thread.start()

    def stop(self):
        self.ended.set()
        self.thread.join(60)

    def drain(self):
        """Until all that was sent is decided."""
        self.is_ending = True
        wait_until(lambda: self.problems or not (self.waits or self.connecting), 60, "the last packets")

    def _guarded(self):
        try:
            while not self.ended.is_set() and not self.problems:
                self._round()
        except Exception as e:  # a thread's death would pass for silence
            import traceback

            self.problems.append("the traffic broke off: " + traceback.format_exc() + repr(e))

    def wrong(self, lane, start, what):
        now = time.monotonic()
        self.problems.append(
            f"{what}: {lane}, from {lane.source} to {lane.to}; {now - start:.3f} s ago, at {start:.3f}\n"
            f"  what may have been in force since:\n{self.model.describe(lane, start, now)}"
        )

    # --- servers ---

    def _on(self, s, handler):
        s.setblocking(False)
        self.handlers[s.fileno()] = (s, handler)
        self.poll.register(s.fileno(), select.EPOLLIN)

    def _off(self, s):
        if self.handlers.pop(s.fileno(), None):
            self.poll.unregister(s.fileno())
        s.close()

    def _serve(self):
        udp = [("fw", p) for p in (STEADY, SHUT, *TOGGLED)] + [("c3", ROUTED), ("wan", OUTWARD)]
        for ns, port in udp:
            self._on(self._bind(ns, socket.SOCK_DGRAM, port), self._datagram)
        for port in (HTTPS, SSH, SHUT, *TOGGLED):
            s = self.world.servers.get(("fw", port))
            if not s:
                s = self._bind("fw", socket.SOCK_STREAM, port)
                s.listen(256)
            self._on(s, self._accept)

    def _bind(self, ns, kind, port):
        with self.lab.inside(ns):
            s = socket.socket(socket.AF_INET6, kind)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 24)
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        s.bind(("::", port))
        return s

    def _datagram(self, s):
        """b"n NUMBER" is counted, b"f NUMBER" answered: it is of a flow."""
        with contextlib.suppress(OSError):
            for _ in range(200):
                data, peer = s.recvfrom(100)
                if data[:1] == b"n":
                    self._arrived(int(data[2:]))
                else:
                    self.peers[_plain(peer)] = s, peer
                    if data[:1] == b"d":
                        self._doomed_spoke("udp", peer, data)
                    else:
                        s.sendto(data, peer)

    def _accept(self, s):
        with contextlib.suppress(OSError):
            for _ in range(100):
                one, peer = s.accept()
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                self.accepted[_plain(peer)] = one
                self._on(one, lambda s, peer=peer: self._line(s, peer))

    def _line(self, s, peer):
        try:
            data = s.recv(4096)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._hang_up(peer)
            return
        if b"d" in data:
            self._doomed_spoke("tcp", peer, data)
        with contextlib.suppress(OSError):
            s.send(data)

    def _hang_up(self, peer):
        """The server's end: a client that was cut off cannot tell that it is gone."""
        s = self.accepted.pop(_plain(peer), None)
        if s:
            self._off(s)

    # --- datagrams, each of a flow of its own ---

    def _next_port(self):
        self.port = self.port + 1 if self.port + 1 < PORTS[1] else PORTS[0]
        return self.port

    def _socket(self, lane, kind):
        """In the client's namespace already."""
        s = socket.socket(NETWORK[lane.family], kind)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        while True:
            try:
                s.bind((lane.source, self._next_port()))
                return s
            except OSError as e:
                if e.errno != errno.EADDRINUSE:
                    s.close()
                    if e.errno in (errno.EADDRNOTAVAIL, errno.ENODEV):
                        return None  # its link is down just now
                    raise

    def _send(self, lane, s, born):
        self.number += 1
        sent = time.monotonic()
        self.waits[self.number] = (lane, sent, sent if born is None else born)
        try:
            s.sendto(b"n %d" % self.number, (lane.to, lane.port))
        except OSError as e:  # EPERM: outbound refuses; others: the link is down
            if e.errno not in (errno.EPERM, errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN,
                               errno.ECONNREFUSED, errno.EADDRNOTAVAIL, errno.EINVAL):
                raise
        self.count["datagrams"] += 1

    def _datagrams(self):
        client = self.rng.choice(("wan", "wan", "wan", "lan", "lan", "vpn", "guest", "fw"))
        lanes = [lane for lane in DATAGRAMS if lane.namespace == client]
        with self.lab.inside(client):
            for lane in self.rng.choices(lanes, k=6):
                s = self._socket(lane, socket.SOCK_DGRAM)
                if s:
                    with s:
                        self._send(lane, s, None)
            for lane in lanes:
                if lane.port in (STEADY, SHUT) and lane.client == client and lane.section == "inbound":
                    self._send_long(lane)

    def _send_long(self, lane):
        """One way, as a flow that goes on as long as nothing could have cut it."""
        now = time.monotonic()
        born, s = self.long.get(lane, (None, None))
        if s and not (
            now - born < 60
            and (self.model.must_pass(lane, born, now) or not self.model.may_pass(lane, born, now))
        ):
            s.close()
            s = None
        if not s:
            born, s = now, self._socket(lane, socket.SOCK_DGRAM)
            if not s:
                self.long.pop(lane, None)
                return
            self.long[lane] = born, s
        self._send(lane, s, born)

    def _arrived(self, number):
        lane, sent, _ = self.waits.pop(number, (None, 0, 0))
        if not lane:
            self.count["late"] += 1
            return
        self.count["arrived"] += 1
        if not self.model.may_pass(lane, sent, time.monotonic()):
            self.wrong(lane, sent, "a datagram passed that may not")

    def _expire(self, now):
        while self.waits:
            number, (lane, sent, born) = next(iter(self.waits.items()))
            must = self.model.must_pass(lane, born, sent + SETTLED)
            if now < sent + (LATE if must else SETTLED):
                return
            del self.waits[number]
            self.count["kept out"] += not must
            if must and self._machine_dropped(sent):
                self.count["lost by the machine"] += 1
            elif must:
                self.wrong(lane, born, f"a datagram was lost that must pass (sent at {sent:.3f})")

    # --- connections ---

    def _knock(self, lane, keep):
        with self.lab.inside(lane.namespace):
            s = self._socket(lane, socket.SOCK_STREAM)
        if not s:
            return
        s.setblocking(False)
        now = time.monotonic()
        number = s.connect_ex((lane.to, lane.port))
        if number not in (0, errno.EINPROGRESS):
            s.close()
            return
        self.count["connections"] += 1
        fd = s.fileno()
        self.connecting[fd] = (s, lane, now, keep)
        self.poll.register(fd, select.EPOLLOUT)

    def _connected(self, fd):
        s, lane, start, keep = self.connecting.pop(fd)
        self.poll.unregister(fd)
        if s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            s.close()  # its link is down, or a neighbour was not found
            return
        now = time.monotonic()
        self.count["connected"] += 1
        if not self.model.may_pass(lane, start, now):
            self.wrong(lane, start, "a connection was made that may not be")
        must = self.model.must_pass(lane, start, now)
        if (keep or not must) and len(self.flows) < MAX_FLOWS:
            self._begin(lane, s, now, must)
            self.flows[-1].known = not self.model.was("policy", None, start, now)
        else:
            s.close()

    def _wait_for_connections(self, now):
        for fd, (s, lane, start, _) in list(self.connecting.items()):
            if now - start < KNOCK:
                continue
            must = self.model.must_pass(lane, start, now)
            if must and now - start < STALLED:
                continue
            del self.connecting[fd]
            self.poll.unregister(fd)
            s.close()
            self.count["refused"] += not must
            if must:
                self.wrong(lane, start, "a connection was not made that must be")

    # --- flows ---

    def _begin(self, lane, s, now, live):
        if lane.protocol == "tcp":
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        flow = Flow(lane, s, now, live)
        self._on(s, lambda _, flow=flow: self._answer(flow))
        self.flows.append(flow)
        self.count["flows"] += 1

    def _end(self, flow, word):
        self.count[f"flows: {word}"] += 1
        me = _plain(flow.socket.getsockname())
        if flow.lane.protocol == "tcp":
            self._hang_up(me)
        else:
            self.peers.pop(me, None)
        self._off(flow.socket)
        self.flows.remove(flow)

    def _answer(self, flow):
        try:
            data = flow.socket.recv(4096)
        except OSError:
            return
        lines = [data] if flow.lane.protocol == "udp" else (flow.rest + data).split(b"\n")
        flow.rest = lines.pop() if flow.lane.protocol == "tcp" else b""
        for line in lines:
            if line[:1] == b"d":
                self._spoke(flow)
            elif line[:1] == b"f":
                flow.waits.pop(int(line[2:]), None)
                self.count["answers"] += 1

    def _doomed_spoke(self, protocol, peer, data):
        for flow in list(self.flows):
            if flow.doomed and flow.lane.protocol == protocol:
                if _plain(flow.socket.getsockname()) == _plain(peer):
                    self._spoke(flow)

    def _spoke(self, flow):
        if flow.doomed and self.model.must_be_dead(flow.lane, flow.doomed, time.monotonic()):
            self.wrong(flow.lane, flow.doomed, "a connection is heard that must be dead")

    def _say(self, flow, word, now):
        flow.number += 1
        data = b"%s %d\n" % (word, flow.number)
        if word == b"f":
            flow.waits[flow.number] = now
        try:
            if flow.lane.protocol == "udp":
                flow.socket.sendto(data[:-1], (flow.lane.to, flow.lane.port))
            else:
                flow.socket.send(data)
        except OSError as e:
            return e.errno in (errno.EAGAIN, errno.EPERM)
        return True

    def _doom(self, flow, now):
        """Both ends speak, and neither may be heard."""
        flow.doomed = now
        me = _plain(flow.socket.getsockname())
        with contextlib.suppress(OSError):
            if flow.lane.protocol == "tcp" and me in self.accepted:
                self.accepted[me].send(b"d 0\n")
            elif me in self.peers:
                s, peer = self.peers[me]
                s.sendto(b"d 0", peer)
        self._say(flow, b"d", now)

    def _tend(self, flow, now):
        if flow.doomed:
            if now - flow.doomed > SILENT:
                self._end(flow, "found dead")
            return
        flow.live = flow.live and self.model.must_live(flow.lane, flow.checked, now)
        # without a table conntrack may have known nothing of datagrams
        flow.known = flow.known and not self.model.was("policy", None, flow.checked, now)
        flow.checked = now
        # nor of what was half open: it becomes known by the server's repeated answer
        if not flow.known and (flow.lane.protocol == "udp" or now - flow.born < HALF_OPEN):
            self._end(flow, "unknown by now")
            return
        if self.model.must_be_dead(flow.lane, now, now):
            self._doom(flow, now)
            return
        patience = LATE if flow.lane.protocol == "udp" else STALLED
        oldest = next(iter(flow.waits.values()), now)
        if flow.waits and now - oldest > patience and self._may_be_lost(flow, oldest):
            flow.waits.popitem(last=False)
            return
        if flow.live and now - oldest > patience:
            self.wrong(flow.lane, oldest, "an open connection is dead that must live")
        elif not flow.live and now - oldest > 3:
            self._end(flow, "ended as they may")
        elif now >= flow.next and len(flow.waits) < 20:
            flow.next = now + 0.5
            if not self._say(flow, b"f", now):
                if flow.live:
                    self.wrong(flow.lane, flow.checked, "an open connection has an error")
                self._end(flow, "broken")

    def _may_be_lost(self, flow, sent):
        """A datagram is not repeated, and a chain without rules lets none through."""
        return flow.lane.protocol == "udp" and (
            self.model.was("hole", "shut", sent, sent + SETTLED) or self._machine_dropped(sent)
        )

    def _machine_dropped(self, sent):
        return any(sent - 1 < when < sent + SETTLED + 1 for when, _ in self.drops)

    def _open(self):
        lane = self.rng.choice(OPEN)
        if any(flow.lane == lane and not flow.doomed for flow in self.flows):
            return
        if lane.protocol == "tcp":
            self._knock(lane, True)
            return
        now = time.monotonic()
        with self.lab.inside(lane.namespace):
            s = self._socket(lane, socket.SOCK_DGRAM)
        if s:
            self._begin(lane, s, now, self.model.must_pass(lane, now, now))

    # --- all together ---

    def _round(self):
        now, drops = time.monotonic(), machine_drops()
        if drops != self.drops[-1][1]:
            self.drops.append((now, drops))
        if not self.is_ending:
            self._datagrams()
        if not self.is_ending and len(self.connecting) < MAX_CONNECTING:
            if self.rng.random() < 0.5:
                self._knock(self.rng.choice(CONNECTIONS), False)
            if len(self.flows) < MAX_FLOWS and self.rng.random() < 0.5:
                self._open()
        end = now + PAUSE
        while True:
            for fd, _ in self.poll.poll(max(0, end - time.monotonic())):
                if fd in self.connecting:
                    self._connected(fd)
                elif fd in self.handlers:
                    s, handler = self.handlers[fd]
                    handler(s)
            now = time.monotonic()
            if now >= end:
                break
        for flow in list(self.flows):
            self._tend(flow, now)
        self._wait_for_connections(now)
        self._expire(now)


def _plain(peer):
    """An address and port, the same whichever socket tells it."""
    return peer[0].removeprefix("::ffff:"), peer[1]
