# SPDX-License-Identifier: GPL-2.0-or-later
"""Real connections and datagrams between the lab's namespaces, and what came of them. A drop is
what the ruleset's counter says; silence alone proves nothing."""

import errno
import select
import socket
import struct
import time

from counters import refused
from lab import LINKS, PATIENCE

DEADLINE = 10 * PATIENCE
TOTAL_RETRANSMITS = 100  # in struct tcp_info
NETWORK = {4: socket.AF_INET, 6: socket.AF_INET6}
PROHIBITED = {errno.EHOSTUNREACH, errno.EACCES, errno.EPERM, errno.ENETUNREACH}


def family_of(text):
    return 6 if ":" in text else 4


def host_address(interface, family):
    """The host's own address on that interface."""
    for link in LINKS.values():
        if link[0] == interface:
            return link[1 if family == 4 else 3].split("/")[0]
    raise KeyError(interface)


def peer_address(ns, family):
    return LINKS[ns][2 if family == 4 else 4]


class Talk:
    def __init__(self, lab):
        self.lab = lab
        self.open_sockets = []

    def close(self, beyond=0):
        """All sockets, or those opened after the first `beyond`."""
        while len(self.open_sockets) > beyond:
            self.open_sockets.pop().close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def keep(self, s):
        self.open_sockets.append(s)
        return s

    # --- servers ---

    def listen(self, ns, *ports):
        """TCP, both families. The kernel completes handshakes; accept() gives the other end."""
        made = []
        with self.lab.inside(ns):
            for port in ports:
                s = self.keep(socket.socket(socket.AF_INET6, socket.SOCK_STREAM))
                s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
                s.bind(("::", port))
                s.listen(64)
                s.settimeout(DEADLINE)
                made.append(s)
        return made[0] if len(made) == 1 else made

    def receive_on(self, ns, port, family=6):
        """A UDP socket; family 6 takes both."""
        with self.lab.inside(ns):
            s = self.keep(socket.socket(NETWORK[family], socket.SOCK_DGRAM))
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == 6:
                s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            s.bind(("::" if family == 6 else "0.0.0.0", port))
        s.settimeout(DEADLINE)
        return s

    # --- clients ---

    def dial(self, ns, to, port, source=None):
        """(outcome, socket): open, refused (a reset), prohibited (an ICMP error), dropped."""
        family = family_of(to)
        with self.lab.inside(ns):
            s = self.keep(socket.socket(NETWORK[family], socket.SOCK_STREAM))
        if source:
            s.bind((source, 0))
        s.setblocking(False)
        before = refused(self.lab)[0]
        number = s.connect_ex((to, port))
        end = time.monotonic() + DEADLINE
        while number == errno.EINPROGRESS:
            if select.select([], [s], [], 0.005)[1]:
                number = s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            elif refused(self.lab)[0] > before:
                # What was counted may have been another packet: this one is not to get through
                # either.
                if select.select([], [s], [], 0.05)[1]:
                    number = s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                else:
                    return "dropped", s
            elif time.monotonic() > end:
                return "silence", s
        s.settimeout(DEADLINE)
        if number == 0:
            return "open", s
        if number == errno.ECONNREFUSED:
            return "refused", s
        return ("prohibited" if number in PROHIBITED else errno.errorcode[number]), s

    def reach(self, ns, to, port, source=None):
        outcome, s = self.dial(ns, to, port, source)
        self.open_sockets.remove(s)
        s.close()
        return outcome

    def datagram(self, ns, to, port, server, source_port=0, broadcast=False, interface=None):
        """Sends one; server: the socket that would get it. arrived, dropped, prohibited or
        silence."""
        family = family_of(to)
        with self.lab.inside(ns):
            s = socket.socket(NETWORK[family], socket.SOCK_DGRAM)
        with s:
            if interface:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
            s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, broadcast)
            s.bind(("0.0.0.0" if family == 4 else "::", source_port))
            return self._send(s, to, port, server)

    def _send(self, s, to, port, server):
        before = refused(self.lab)[0]
        mark = b"datagram %d" % time.monotonic_ns()
        try:
            s.sendto(mark, (to, port))
        except OSError as e:
            if e.errno not in PROHIBITED:
                raise
            return "dropped" if refused(self.lab)[0] > before else "prohibited"
        end = time.monotonic() + DEADLINE
        while time.monotonic() < end:
            if self._got(server, mark, 0.005):
                return "arrived"
            if refused(self.lab)[0] > before:
                return "arrived" if self._got(server, mark, 0.05) else "dropped"
        return "silence"

    @staticmethod
    def _got(server, mark, seconds):
        server.settimeout(seconds)
        try:
            return server.recv(2048) == mark
        except TimeoutError:
            return False


def retransmitted(s):
    """How many of the connection's segments were sent again: its first one after a second without an
    answer."""
    info = s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 192)
    return struct.unpack_from("=L", info, TOTAL_RETRANSMITS)[0]


def exchange(one, other, words=b"are you there"):
    """Both ends of a connection still hear each other."""
    for sender, receiver in ((one, other), (other, one)):
        sender.sendall(words)
        receiver.settimeout(DEADLINE)
        if receiver.recv(len(words)) != words:
            return False
    return True


def is_silent(sender, receiver):
    """What one end sends does not come to the other."""
    sender.sendall(b"still there?")
    receiver.settimeout(0.3)
    try:
        receiver.recv(100)
    except TimeoutError:
        return True
    return False
