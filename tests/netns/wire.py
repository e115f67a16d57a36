# SPDX-License-Identifier: GPL-2.0-or-later
"""Real packets through the real kernel, many at a time, and what became of each.

The peers of the lab are silent: interfaces without addresses, from which frames are sent and at
which frames are seen. What is delivered to the host is seen by raw sockets, which stand behind the
input hook. No rule is added to the ruleset under test: foreign tables translate and exempt from
tracking, as other programs' would, and a drop is what the ruleset's own counters say."""

import errno
import json
import os
import socket
import struct

from conntrack import Conntrack
from counters import refused
from host import Host, Interface, address, address_text, network
from lab import BRIDGES, LINKS, Lab, wait_until
from owners import OWNERS, raw_sockets
from packets import (
    DSCP_NOTRACK,
    ESP,
    GRE,
    ICMP,
    ICMPV6,
    IGMP,
    SCTP,
    TCP,
    UDP,
    icmp_type,
    number_of,
    parse_ip,
)
from surroundings import Surroundings, halves

ETH_P_ALL, ETH_P_IP, ETH_P_IPV6, ETH_P_SENTINEL = 0x0003, 0x0800, 0x86DD, 0x88B5
SOL_PACKET, PACKET_IGNORE_OUTGOING, PACKET_STATISTICS = 263, 23, 6
SO_RCVBUFFORCE = 33
BUFFER = 32 << 20
DEADLINE = 20  # seconds until a batch counts as lost
OSPF = 89
OBSERVED = {
    4: (TCP, UDP, ICMP, IGMP, SCTP, GRE, ESP, OSPF),
    6: (TCP, UDP, ICMPV6, SCTP, GRE, ESP, OSPF),
}

# Networks behind the peers, beside those on the links.
ROUTES = [
    ("198.51.100.0/24", "wan"),
    ("2001:db8:1::/48", "wan"),
    ("10.40.30.0/24", "lan"),
    ("fd00:40:30::/64", "lan"),
    ("10.99.1.0/24", "vpn"),
    ("172.20.0.0/16", "guest"),
]
EXTRA_ADDRESSES = {"eth0": ["203.0.113.7/24", "2001:db8:ffff::7/64"]}
GROUPS = {
    "eth0": ["224.0.0.251", "ff02::fb"],
    "eth1": ["224.0.0.251", "ff02::fb"],
    "docker0": ["224.0.0.251"],
}
TABLE_OF_TRANSLATIONS, TABLE_OF_EXEMPTIONS = "foreign_nat", "foreign_raw"


class Wire(Surroundings):
    """fw with its observers. One batch at a time: send() all, settle(), seen."""

    def __init__(self):
        self.lab = Lab(silent=True)
        self.on_link = []
        try:
            self._prepare_host()
            self._open()
        except BaseException:
            self.lab.close()
            raise
        self.sentinels = 0

    def close(self):
        self.lab.close()

    # --- the host ---

    def _prepare_host(self):
        lab = self.lab
        for link in LINKS.values():
            if link[5]:
                lab.sysctl("fw", **{f"net__ipv6__conf__{link[5]}__disable_ipv6": 1})
        lab.ip("fw", self._host_batch())
        lab.nft(
            f"""
            table inet {TABLE_OF_EXEMPTIONS} {{
                chain in {{ type filter hook prerouting priority -300
                    ip dscp {DSCP_NOTRACK} notrack
                    ip6 dscp {DSCP_NOTRACK} notrack
                }}
                chain out {{ type filter hook output priority -300
                    # the host's own reports of its groups, at times of their own choice
                    ip option ra exists drop
                    exthdr hbh exists drop
                    ip dscp {DSCP_NOTRACK} notrack
                    ip6 dscp {DSCP_NOTRACK} notrack
                }}
            }}"""
        )
        # Connection tracking is there now, and its settings with it.
        lab.sysctl(
            "fw",
            net__ipv4__icmp_ratemask=0x7FFFFFFF,
            net__ipv4__icmp_msgs_per_sec=0,
            net__ipv4__icmp_msgs_burst=0,
            net__ipv4__icmp_ratelimit=1000,
            net__ipv6__icmp__ratelimit=0x7FFFFFFF,
            net__ipv4__icmp_echo_ignore_all=1,
            net__ipv6__icmp__echo_ignore_all=1,
            net__ipv4__icmp_echo_ignore_broadcasts=0,
            net__netfilter__nf_conntrack_udp_timeout=3600,
            net__netfilter__nf_conntrack_udp_timeout_stream=3600,
        )

    def _host_batch(self):
        """Every address of a link's network leads to a peer without being asked for by ARP or
        ND."""
        lines, done = [], set()
        for name, addresses in EXTRA_ADDRESSES.items():
            lines += [f"addr add {a} dev {name} nodad" for a in addresses]
        for ns, (name, net4, peer4, net6, peer6, _) in LINKS.items():
            mac = self.lab.mac[ns, "eth0"].hex(":")
            for peer, net in ((peer4, net4), (peer6, net6)):
                lines.append(f"neigh replace {peer} lladdr {mac} dev {name} nud permanent")
                lines.append(f"route replace {peer} dev {name}")
                if name not in done:
                    lines += [
                        f"route replace {half} via {peer} dev {name} onlink"
                        for half in halves(net)
                    ]
            done.add(name)
        for net, ns in ROUTES:
            peer = LINKS[ns][4 if ":" in net else 2]
            lines.append(f"route replace {net} via {peer} dev {LINKS[ns][0]} onlink")
        return "\n".join(lines) + "\n"

    def default_route(self, on):
        """With one, every source is led back to; without, few are."""
        verb = "replace" if on else "del"
        peer4, peer6 = LINKS["wan"][2], LINKS["wan"][4]
        batch = (
            f"route {verb} default via {peer4} dev eth0\n"
            f"route {verb} ::/0 via {peer6} dev eth0\n"
        )
        self.lab.run("fw", ["ip", "-force", "-batch", "-"], batch, check=False)

    def martians(self, accepted):
        """Whether the kernel lets own and loopback sources through to the hooks."""
        values = {}
        for name in ("all", *{link[0] for link in LINKS.values()}):
            for key in ("accept_local", "route_localnet"):
                values[name, key] = int(accepted)
        with self.lab.inside("fw"):
            for (name, key), value in values.items():
                with open(f"/proc/sys/net/ipv4/conf/{name}/{key}", "w", encoding="ascii") as f:
                    f.write(str(value))

    def translate(self, translations):
        """What Docker's and other programs' DNAT rules do."""
        rules = {(family, own): [] for family in (4, 6) for own in (False, True)}
        for t in translations:
            rules[t.family, False].append(_translation_rule(t))
            if t.own:
                rules[t.family, True].append(_translation_rule(t))
        text = ""
        for family, ip in ((4, "ip"), (6, "ip6")):
            table = f"table {ip} {TABLE_OF_TRANSLATIONS}"
            text += f"{table}\ndelete {table}\n{table} {{\n"
            for hook, own in (("prerouting", False), ("output", True)):
                text += f"chain {hook} {{\ntype nat hook {hook} priority -100\n"
                text += "\n".join(rules[family, own]) + "\n}\n"
            text += "}\n"
        self.lab.nft(text)

    def model(self, translations=(), default_route=False, martians=False):
        """The same host for the oracle."""
        interfaces = [Interface("lo", ["127.0.0.1/8", "::1/128"])]
        listing = json.loads(self.lab.run("fw", ["ip", "-j", "addr"]).stdout)
        for link in listing:
            if link["ifname"] == "lo":
                continue
            addresses = [f"{a['local']}/{a['prefixlen']}" for a in link.get("addr_info", [])]
            interfaces.append(Interface(link["ifname"], addresses, link["ifname"] in BRIDGES))
        routes = [(net, LINKS[ns][0]) for net, ns in ROUTES]
        routes += [(net, LINKS[ns][0]) for net, ns in self.on_link]
        if default_route:
            routes += [("0.0.0.0/0", "eth0"), ("::/0", "eth0")]
        groups = [(g, name) for name, joined in GROUPS.items() for g in joined]
        groups += [(g, i.name) for g in ("224.0.0.1", "ff02::1") for i in interfaces]
        host = Host(
            interfaces, routes, translations, groups, accept_local=martians, route_localnet=martians
        )
        # Before 5.14 a network's first address was one of its broadcasts, too.
        words = ["ip", "-j", "-4", "route", "show", "table", "local", "type", "broadcast"]
        for route in json.loads(self.lab.run("fw", words).stdout or "[]"):
            if route["dev"] != "lo":
                host.broadcasts.add(address(route["dst"]))
        host.on_link += [(LINKS[ns][0], network(net)) for net, ns in self.on_link]
        return host

    # --- sockets ---

    def _open(self):
        lab = self.lab
        self.peers, self.raw, self.members = {}, [], []
        for ns in LINKS:
            with lab.inside(ns):
                s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
                s.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
                s.bind(("eth0", ETH_P_ALL))
                self.peers[ns] = _prepare(s)
        with lab.inside("fw"):
            for family, protocols in OBSERVED.items():
                af = socket.AF_INET if family == 4 else socket.AF_INET6
                for protocol in protocols:
                    s = _prepare(socket.socket(af, socket.SOCK_RAW, protocol))
                    self.raw.append((family, protocol, s))
            self.out = {owner: raw_sockets(*owner, more) for owner, more in OWNERS.items()}
            self.sentinel = socket.socket(
                socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_SENTINEL)
            )
            _prepare(self.sentinel)
            self.conntrack = Conntrack()
            self._join()
        self.open_tunnels()

    def _join(self):
        for name, groups in GROUPS.items():
            index = socket.if_nametoindex(name)
            for g in groups:
                if ":" in g:
                    s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
                    s.setsockopt(
                        socket.IPPROTO_IPV6,
                        socket.IPV6_JOIN_GROUP,
                        socket.inet_pton(socket.AF_INET6, g) + struct.pack("@I", index),
                    )
                else:
                    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                    s.setsockopt(
                        socket.IPPROTO_IP,
                        socket.IP_ADD_MEMBERSHIP,
                        socket.inet_aton(g) + struct.pack("@4sI", b"\0" * 4, index),
                    )
                self.members.append(s)

    # --- sending ---

    def send_frame(self, ns, data, to=None):
        """From the peer; to: link-layer address, this host's if none is given."""
        to = to or self.lab.mac["fw", LINKS[ns][0]]
        kind = ETH_P_IP if data[0] >> 4 == 4 else ETH_P_IPV6
        self.peers[ns].send(to + self.lab.mac[ns, "eth0"] + struct.pack("!H", kind) + data)

    def send_own(self, p, data):
        """As one of the host's own processes would, or the kernel. False: refused."""
        if p.user is None:
            self.send_tunnel(p, data)
            return True
        try:
            s = self.out[p.user, p.group][0 if p.family == 4 else 1]
            s.sendto(data, (address_text(p.family, p.destination), 0))
        except OSError as e:
            if e.errno != errno.EPERM:
                raise
            return False
        return True

    def flush_sentinels(self):
        """Frames that no IP hook sees, one from each peer: once all have come, the host has handled
        every packet sent before them. (Sender and receiver share one processor's queue, see
        pinned().)"""
        self.sentinels += 1
        mark = struct.pack("!I", self.sentinels)
        for ns, s in self.peers.items():
            s.send(
                self.lab.mac["fw", LINKS[ns][0]]
                + self.lab.mac[ns, "eth0"]
                + struct.pack("!H", ETH_P_SENTINEL)
                + mark
                + b"\0" * 42
            )
        waiting = {LINKS[ns][0] + ns for ns in self.peers}
        by_mac = {self.lab.mac[ns, "eth0"]: LINKS[ns][0] + ns for ns in self.peers}

        def come():
            for data in _drain(self.sentinel):
                if data[14:18] == mark:
                    waiting.discard(by_mac.get(data[6:12]))
            return not waiting

        wait_until(come, DEADLINE, f"sentinels through {waiting}")

    # --- observing ---

    def collect(self, seen, kinds):
        """Adds to seen: number -> {(interface or "here", protocol, destination, port)}.
        kinds: (protocol, ICMP type) of each number; an error that quotes a packet is not that
        packet."""
        for family, protocol, s in self.raw:
            for data in _drain(s):
                number = number_of(data)
                at = (data[0] & 15) * 4 if family == 4 else 0
                if kinds.get(number) == (protocol, icmp_type(protocol, data, at)):
                    destination, port = None, _port(protocol, data)
                    if family == 4:
                        _, _, destination, port = parse_ip(data)
                    seen.setdefault(number, set()).add(("here", protocol, destination, port))
        for ns, s in self.peers.items():
            for data in _drain(s):
                number = number_of(data)
                parsed = number in kinds and parse_ip(data[14:])
                if not parsed:
                    continue
                at = 34 if parsed[0] == 4 else 54
                if kinds[number] == (parsed[1], icmp_type(parsed[1], data, at)):
                    seen.setdefault(number, set()).add((LINKS[ns][0], *parsed[1:]))

    def lost(self):
        """Packets that an observer had no room for; must be 0."""
        total = 0
        for s in self.peers.values():
            total += struct.unpack("@II", s.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))[1]
        return total

    def received(self):
        """Packets that have arrived at the host's side of each link."""
        total = {}
        with self.lab.inside("fw"):
            for ns, link in LINKS.items():
                name = link[5] or link[0]
                total[ns] = _statistic(name)
        return total

    def refused(self):
        return refused(self.lab)


def _translation_rule(t):
    ip = "ip" if t.family == 4 else "ip6"
    final = address_text(t.family, t.final)
    match = f"{ip} daddr {address_text(t.family, t.dialled)} "
    if not t.dialled_port:
        return match + f"meta l4proto {t.protocol} dnat to {final}"
    th = {TCP: "tcp", UDP: "udp", SCTP: "sctp"}[t.protocol]
    final = f"[{final}]" if t.family == 6 else final
    return match + f"{th} dport {t.dialled_port} dnat to {final}:{t.final_port}"


def _prepare(s):
    s.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
    s.setblocking(False)
    return s


def _drain(s):
    while True:
        try:
            yield s.recv(2048)
        except BlockingIOError:
            return


def _port(protocol, segment):
    if protocol in (TCP, UDP, SCTP) and len(segment) >= 4:
        return struct.unpack_from("!H", segment, 2)[0]
    return 0


def _statistic(name):
    with open("/proc/net/dev", encoding="ascii") as f:
        for line in f:
            left, _, right = line.partition(":")
            if left.strip() == name:
                return int(right.split()[1])
    raise KeyError(name)


class pinned:
    """One processor for sender and receiver: packets are handled in the order in which they are
    sent."""

    def __enter__(self):
        self.before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {min(self.before)})

    def __exit__(self, *_):
        os.sched_setaffinity(0, self.before)
