# SPDX-License-Identifier: GPL-2.0-or-later
"""A listener for the packets that rules log to a netlink group."""

import socket
import struct
from collections import namedtuple

NETLINK_NETFILTER = 12
ULOG_PACKET, ULOG_CONFIG = 4 << 8, 4 << 8 | 1
BIND = 1
COPY_PACKET = 2
CFG_COMMAND, CFG_MODE, CFG_THRESHOLD = 1, 2, 5
PREFIX, PAYLOAD = 10, 9
NLM_F_REQUEST, NLM_F_ACK = 1, 4
NLMSG_ERROR, NLMSG_DONE = 2, 3
SO_RCVBUFFORCE = 33

Line = namedtuple("Line", "prefix packet")  # text, and the packet from its IP header on


def _attribute(kind, value):
    size = 4 + len(value)
    return struct.pack("=HH", size, kind) + value + bytes(-size % 4)


def _attributes(data):
    while len(data) >= 4:
        size, kind = struct.unpack_from("=HH", data)
        yield kind & 0x3FFF, data[4:size]
        data = data[(size + 3) & ~3 :]


class Log:
    """Opened inside the namespace whose packets it is about. A line is there when the packet has
    been judged."""

    def __init__(self, group):
        self.group = group
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
        self.socket.settimeout(10)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
        self.socket.bind((0, 0))
        self._configure(_attribute(CFG_COMMAND, struct.pack("=B", BIND)))
        self._configure(_attribute(CFG_MODE, struct.pack("!IBB", 128, COPY_PACKET, 0)))
        self._configure(_attribute(CFG_THRESHOLD, struct.pack("!I", 1)))  # each at once
        self.socket.setblocking(False)

    def _configure(self, attribute):
        body = struct.pack("!BBH", 0, 0, self.group) + attribute
        self.socket.send(
            struct.pack("=IHHII", 16 + len(body), ULOG_CONFIG, NLM_F_REQUEST | NLM_F_ACK, 1, 0)
            + body
        )
        _, kind, _, _, _, error = struct.unpack_from("=IHHIIi", self.socket.recv(4096))
        if kind != NLMSG_ERROR or error != 0:
            raise OSError(-error, "listening to the group of the log")

    def lines(self):
        """What has come since the last time."""
        found = []
        while True:
            try:
                data = self.socket.recv(65536)
            except BlockingIOError:
                return found
            while len(data) >= 16:
                size, kind = struct.unpack_from("=IH", data)
                if kind == ULOG_PACKET:
                    values = dict(_attributes(data[20:size]))
                    prefix = values.get(PREFIX, b"").rstrip(b"\0").decode()
                    found.append(Line(prefix, values[PAYLOAD]))
                data = data[(size + 3) & ~3 :]

    def close(self):
        self.socket.close()
