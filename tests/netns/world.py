# SPDX-License-Identifier: GPL-2.0-or-later
"""The live lab of the cases: peers with real stacks, servers, and foreign tables as Docker makes
them."""

import os
import socket
import struct

from counters import refused
from lab import LINKS, Lab, wait_until
from packets import number_of, packet_bytes
from program import ringwall
from talk import Talk, host_address, peer_address

EXAMPLE = """
ringwall: 1

zones:
  lan: [10.40.10.0/24, "fd00:40:10::/64"]
  vpn: { interfaces: [wg0] }

inbound:
  - { allow: ssh, from: [lan, vpn] }
  - allow: https
  - { allow: grafana, from: lan }

protected:
  - { services: [ollama, n8n, postgresql] }
  - { services: grafana, only-from: lan }
"""


def with_inbound(*rules):
    return EXAMPLE.replace(
        "  - allow: https\n", "".join(f"  - {r}\n" for r in ("allow: https", *rules))
    )


# Nothing at all is allowed, in any direction.
NOTHING = "ringwall: 1\ninbound: drop\noutbound: drop\nrouted: drop\n"

PUBLISHED = {4: "203.0.113.7", 6: "2001:db8:ffff::7"}  # another address of the host's, on eth0

DOCKER = """
table ip foreign_nat {
    chain DOCKER {
        ip daddr 203.0.113.7 tcp dport 443 dnat to 172.17.0.2:5678
        tcp dport 8080 dnat to 172.17.0.2:80
        tcp dport 8081 dnat to 172.17.0.3:80
    }
    chain PREROUTING { type nat hook prerouting priority -100
        fib daddr type local jump DOCKER
    }
}
table ip6 foreign_nat {
    chain DOCKER {
        ip6 daddr 2001:db8:ffff::7 tcp dport 443 dnat to [fd00:17::2]:5678
        tcp dport 8080 dnat to [fd00:17::2]:80
        tcp dport 8081 dnat to [fd00:17::3]:80
    }
    chain PREROUTING { type nat hook prerouting priority -100
        fib daddr type local jump DOCKER
    }
}
"""

SERVERS = {
    "fw": (22, 443, 3000, 5432, 5678, 9000, 11434),
    "c1": (80, 5432, 5678),
    "c2": (80, 5432),
    "c3": (80, 5432),
    "lan": (80, 443),
    "wan": (80, 443),
}


class World:
    def __init__(self, folder, foreign=DOCKER):
        self.folder = str(folder)
        self.lab = Lab()
        self.current = None
        self.number = 0
        try:
            self.talk = Talk(self.lab)
            self.lab.ip(
                "fw",
                f"addr add {PUBLISHED[4]}/24 dev eth0\n"
                f"addr add {PUBLISHED[6]}/64 dev eth0 nodad\n",
            )
            if foreign:
                self.lab.nft(foreign)
            self.servers = {}
            for ns, ports in SERVERS.items():
                for port, s in zip(ports, self.talk.listen(ns, *ports)):
                    self.servers[ns, port] = s
        except BaseException:
            self.lab.close()
            raise

    def close(self):
        self.talk.close()
        self.lab.close()

    def address(self, where, family):
        """Names: "host" is the outer address, "host:docker0" the one on that interface,
        "published" another outer one; else a peer's."""
        if where == "published":
            return PUBLISHED[family]
        if where == "host":
            return host_address("eth0", family)
        if where.startswith("host:"):
            return host_address(where[5:], family)
        return peer_address(where, family)

    # --- policies ---

    def file(self, text, name="policy.yaml"):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return path

    def use(self, text):
        """Loads the policy; None: no ringwall at all."""
        if text == self.current:
            return
        if text is None:
            ringwall(self.lab, "unload", "--yes")
        else:
            ringwall(self.lab, "load", self.file(text))
        self.current = text

    def forget(self):
        """A test has changed what is loaded by itself."""
        self.current = object()

    # --- what happens ---

    def reach(self, who, where, port, family):
        return self.talk.reach(who, self.address(where, family), port)

    def raw(self, family, protocol):
        """A raw socket on the host: sees what has passed the input hook."""
        with self.lab.inside("fw"):
            s = socket.socket(
                socket.AF_INET if family == 4 else socket.AF_INET6, socket.SOCK_RAW, protocol
            )
        s.setblocking(False)
        return self.talk.keep(s)

    def craft(self, ns, packet, **options):
        """Sends a crafted packet to the host from the peer and returns its number."""
        self.number += 1
        data = packet_bytes(packet, self.number, **options)
        interface = LINKS[ns][0]
        with self.lab.inside(ns):
            with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as s:
                s.bind(("eth0", 0))
                kind = 0x0800 if packet.family == 4 else 0x86DD
                s.send(
                    self.lab.mac["fw", interface]
                    + self.lab.mac[ns, "eth0"]
                    + struct.pack("!H", kind)
                    + data
                )
        return self.number

    def fate(self, ns, packet, observer, **options):
        """arrived or dropped: by the observing raw socket, and by the ruleset's counters."""
        before = refused(self.lab)[0]
        number = self.craft(ns, packet, **options)

        def known():
            if _saw(observer, number):
                return "arrived"
            if refused(self.lab)[0] > before:
                return "arrived" if _saw(observer, number) else "dropped"
            return None

        return wait_until(known, 10, f"the fate of {packet}")


def _saw(observer, number):
    while True:
        try:
            if number_of(observer.recv(4096)) == number:
                return True
        except BlockingIOError:
            return False


MDNS = {4: "224.0.0.251", 6: "ff02::fb"}


def join_mdns(world, s, family):
    """The host joins the group on eth1."""
    with world.lab.inside("fw"):
        index = socket.if_nametoindex("eth1")
    if family == 4:
        s.setsockopt(
            socket.IPPROTO_IP,
            socket.IP_ADD_MEMBERSHIP,
            socket.inet_aton(MDNS[4]) + bytes(4) + index.to_bytes(4, "little"),
        )
    else:
        s.setsockopt(
            socket.IPPROTO_IPV6,
            socket.IPV6_JOIN_GROUP,
            socket.inet_pton(socket.AF_INET6, MDNS[6]) + index.to_bytes(4, "little"),
        )


def accept_from(world, server, client):
    """The other end of that client's connection, passing over those that hung up."""
    port = client.getsockname()[1]
    while True:
        s, peer = world.servers[server].accept()
        world.talk.keep(s)
        s.settimeout(10)
        if peer[1] == port:
            return s
