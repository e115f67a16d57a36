# SPDX-License-Identifier: GPL-2.0-or-later
"""What may be different around a host from one policy to the next: its networks on link, and sockets
of the kernel's own."""

import ipaddress
import socket

from host import UDP, Packet, address
from lab import LINKS

# Routes without a gateway, beside those of the addresses. Their halves lead to the peer all the same,
# through a gateway, so that nobody has to be asked for link-layer addresses.
ON_LINK = [
    ("44.0.0.0/8", "guest"),  # just not too wide
    ("45.0.0.0/8", "vpn"),
    ("48.0.0.0/7", "guest"),  # just too wide
    ("10.41.0.0/16", "lan"),
    ("198.51.100.64/26", "wan"),  # within what is otherwise behind a gateway
    ("192.0.2.128/25", "vpn"),
    ("172.21.7.7/32", "c3"),
    ("169.254.0.0/16", "lan"),  # never local
    ("169.254.7.0/24", "vpn"),
    ("fd00:50::/48", "guest"),
    ("fd00:51::/48", "vpn"),
    ("fd00:60::/47", "guest"),
    ("2001:db8:1:8000::/50", "wan"),
    ("fd00:41::/64", "lan"),
    ("fd00:21::7/128", "c3"),
    ("fe80::/64", "lan"),
    ("fea0::/16", "vpn"),
]
# Tunnels over UDP, each to a port of some peer: what they send is nobody's.
TUNNELS = [
    ("wan", 4, 53),
    ("wan", 6, 443),
    ("lan", 4, 5432),
    ("lan", 6, 53),
    ("vpn", 4, 51820),
    ("c1", 6, 8080),
    ("c3", 4, 80),
    ("guest", 6, 1024),
]
FIRST_SOURCE_PORT = 61100


def halves(net):
    return [str(n) for n in ipaddress.ip_interface(net).network.subnets()]


class Surroundings:
    """A part of Wire."""

    def set_on_link(self, routes):
        batch = ""
        for verb, which in (("del", self.on_link), ("replace", routes)):
            for net, ns in which:
                name, _, peer4, _, peer6, _ = LINKS[ns]
                batch += f"route {verb} {net} dev {name}\n"
                peer, only = peer6 if ":" in net else peer4, net.partition("/")[0]
                if net.endswith(("/32", "/128")):
                    mac = self.lab.mac[ns, "eth0"].hex(":")
                    batch += f"neigh replace {only} lladdr {mac} dev {name} nud permanent\n"
                else:
                    batch += "".join(
                        f"route {verb} {half} via {peer} dev {name} onlink\n" for half in halves(net)
                    )
        self.lab.ip("fw", batch)
        self.on_link = list(routes)

    def open_tunnels(self):
        """One device each; a frame that is sent on it leaves the host as a datagram of the kernel's.
        The device is taken elsewhere, since the frame's socket would own the datagram, too."""
        self.tunnels = []
        for n, (ns, family, port) in enumerate(TUNNELS):
            device, source_port = f"tunnel{n}", FIRST_SOURCE_PORT + n
            _, net4, peer4, net6, peer6, _ = LINKS[ns]
            own, peer = (net4, peer4) if family == 4 else (net6, peer6)
            own = own.split("/")[0]
            self.lab.ip(
                "fw",
                f"link add {device} type vxlan id {n + 1} local {own} remote {peer} dstport {port} "
                f"srcport {source_port} {source_port + 1} nolearning ttl 64\n",
            )
            self.lab.ip("fw", f"link set {device} netns wan\n")
            self.lab.ip("wan", f"link set {device} up\n")
            with self.lab.inside("wan"):
                s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
                s.bind((device, 0))
            packet = Packet(
                family, address(own)[1], address(peer)[1], UDP, source_port, port, came_in=None
            )
            self.tunnels.append((s, packet))

    def send_tunnel(self, packet, payload):
        for s, sent in self.tunnels:
            if sent == packet:
                s.send(b"\2" * 12 + b"\x88\xb6" + payload)
