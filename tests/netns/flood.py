# SPDX-License-Identifier: GPL-2.0-or-later
"""First packets at a steady pace through the silent lab (see wire.py), and which of them got
through: seen behind the input hook, or at the peer that they were sent on to."""

import time
from dataclasses import dataclass, field, replace

from host import Packet, address
from lab import LINKS, wait_until
from packets import packet_bytes
from wire import pinned

PAUSE = 0.004  # seconds between two looks at the clock
FIRST_PORT = 20000


@dataclass
class Stream:
    """So many packets a second from a peer (None: the host itself), each of a port of its own."""

    packet: Packet
    rate: float
    peer: str = "lan"
    fresh: bool = True  # False: always the same ports, one connection that nobody answers
    start: float = 0.0  # seconds after the others
    notrack: bool = False
    sent: int = 0
    passed: int = 0
    first: float = 0.0  # when the first and the last packet left
    last: float = 0.0
    numbers: list = field(default_factory=list, repr=False)

    @property
    def seconds(self):
        return self.last - self.first


def packet(source, destination, protocol, port, peer="lan"):
    family, to = address(destination)
    p = Packet(family, address(source)[1], to, protocol, FIRST_PORT, port)
    return replace(p, came_in=LINKS[peer][0]) if peer else replace(p, user=0, group=0)


class Flood:
    def __init__(self, wire):
        self.wire, self.number = wire, 0
        self.kinds, self.seen = {}, {}

    def _bytes(self, stream):
        self.number += 1
        p = stream.packet
        if stream.fresh:
            p = replace(p, source_port=FIRST_PORT + len(stream.numbers))
        stream.numbers.append(self.number)
        self.kinds[self.number] = p.protocol, p.icmp_type
        return packet_bytes(p, self.number, notrack=stream.notrack)

    def _send(self, stream, data):
        if stream.peer:
            self.send_frame(stream.peer, data)
        else:
            self.wire.send_own(stream.packet, data)

    def send_frame(self, peer, data):
        """A slow machine has no room at times for what it has not handled yet."""

        def sent():
            try:
                self.wire.send_frame(peer, data)
            except BlockingIOError:
                return False
            return True

        wait_until(sent, 10, "room for another packet")

    def run(self, streams, seconds):
        """All at once. What a stream lags behind it catches up with, so that the number of packets
        is what was asked for, whatever else the machine does."""
        ready = [[self._bytes(s) for _ in range(int(s.rate * seconds))] for s in streams]
        begin = before = time.monotonic()
        self.longest = 0.0  # seconds in which nothing was sent at all
        while any(s.sent < len(r) for s, r in zip(streams, ready)):
            now = time.monotonic()
            self.longest, before = max(self.longest, now - before), now
            elapsed = now - begin
            for s, r in zip(streams, ready):
                due = min(len(r), int((elapsed - s.start) * s.rate) + 1)
                while s.sent < due:
                    now = time.monotonic()
                    s.first = s.first or now
                    self._send(s, r[s.sent])
                    s.sent, s.last = s.sent + 1, now
            self.wire.collect(self.seen, self.kinds)
            time.sleep(PAUSE)
        self.settle(streams)

    def burst(self, *streams, count=1):
        """So many packets of each, as fast as it goes. Those of the first that got through."""
        before = streams[0].passed
        with pinned():
            for _ in range(count):
                for s in streams:
                    self._send(s, self._bytes(s))
                    s.sent += 1
            self.settle(streams)
        return streams[0].passed - before

    def settle(self, streams):
        """Everything has come to where it was to come: what was sent by then, and was not refused,
        is seen."""
        self.wire.flush_sentinels()
        self.wire.flush_sentinels()  # again, for what the host has sent on
        self.wire.collect(self.seen, self.kinds)
        assert self.wire.lost() == 0, "an observer lost packets: nothing is proved"
        for s in streams:
            s.passed = sum(1 for n in s.numbers if n in self.seen)


def balanced(flood, streams, before):
    """What is missing has been counted as refused, packet by packet."""
    sent, passed = sum(s.sent for s in streams), sum(s.passed for s in streams)
    refused = lambda: sum(flood.wire.refused()) - sum(before)
    wait_until(lambda: sent - passed == refused(), 10, "the counters of what was refused")
