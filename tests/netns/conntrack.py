# SPDX-License-Identifier: GPL-2.0-or-later
"""The two things that the tests ask of connection tracking, over netlink: forget all, and count."""

import socket
import struct

NETLINK_NETFILTER = 12
CTNETLINK = 1
CT_DELETE = 2
NLM_F_REQUEST, NLM_F_ACK = 1, 4
NLMSG_ERROR = 2


class Conntrack:
    """Opened inside the namespace whose table it is about."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
        self.socket.settimeout(10)
        self.socket.bind((0, 0))
        self.sequence = 0

    def flush(self):
        self.sequence += 1
        message = struct.pack(
            "=IHHIIBBH",
            20,
            CTNETLINK << 8 | CT_DELETE,
            NLM_F_REQUEST | NLM_F_ACK,
            self.sequence,
            0,
            socket.AF_UNSPEC,
            0,
            0,
        )
        self.socket.send(message)
        answer = self.socket.recv(4096)
        _, kind, _, _, _, error = struct.unpack_from("=IHHIIi", answer)
        if kind != NLMSG_ERROR or error != 0:
            raise OSError(-error, "flushing connection tracking")

    def close(self):
        self.socket.close()
