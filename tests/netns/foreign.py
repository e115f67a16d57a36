# SPDX-License-Identifier: GPL-2.0-or-later
"""What stands around a policy: other programs' translations, and connections that were open
before."""

from aim import service_edge
from clauses import DHCP
from host import ESP, ICMP, ICMPV6, SCTP, TCP, UDP, Packet, Translation, address
from lab import LINKS
from probe import Flow


def translations(rng, policy, ports, n=24):
    made, forwarded = {}, [f.services for f in policy.forwards]
    own = {
        4: ["203.0.113.1", "203.0.113.7", "10.40.10.1", "172.17.0.1"],
        6: ["2001:db8:ffff::1", "2001:db8:ffff::7", "fd00:40:10::1", "fd00:17::1"],
    }
    finals = {
        4: [
            "172.17.0.2",
            "172.17.0.3",
            "172.18.0.2",
            "10.40.10.2",
            "198.51.100.5",
            "203.0.113.1",
            "192.168.122.2",
        ],
        6: [
            "fd00:17::2",
            "fd00:17::3",
            "fd00:18::2",
            "fd00:40:10::2",
            "2001:db8:1::5",
            "2001:db8:ffff::1",
            "fd00:122::2",
        ],
    }
    elsewhere = {4: ["198.51.100.80", "198.51.100.81"], 6: ["2001:db8:1::80", "2001:db8:1::81"]}
    # (IPv6 refuses its loopback address before anything could translate it.)
    loopback = {4: ["127.0.0.1"], 6: own[6]}
    for _ in range(n):
        family = rng.choice((4, 6))
        protocol = rng.choices((TCP, UDP, SCTP), (6, 3, 1))[0]
        pool = rng.choices((own[family], elsewhere[family], loopback[family]), (8, 2, 1))[0]
        dialled = address(rng.choice(pool))[1]
        final = address(rng.choice(finals[family]))[1]
        port, final_port = rng.choice(ports), rng.choice(ports)
        rules = policy.sections["inbound"].rules
        edge = (
            service_edge(rng, rng.choice(rules).services) if rules and rng.random() < 0.7 else None
        )
        if edge and edge[1]:
            protocol, port = edge
        # (Which of two translations of one port holds, POLICY.md leaves open.)
        if any(s.contains(protocol, port, None) for s in forwarded):
            continue
        if not {port, final_port} & set(DHCP):
            made[family, protocol, dialled, port] = Translation(
                family,
                protocol,
                dialled,
                port,
                final,
                final_port,
                own=elsewhere[family] is pool and final == address(finals[family][4])[1],
            )
    # One address that is translated whole, as a "floating" address is.
    for family, protocol, text in (
        (4, ICMP, "203.0.113.7"),
        (4, ESP, "203.0.113.7"),
        (6, ICMPV6, "2001:db8:ffff::7"),
    ):
        final = address(rng.choice(finals[family][:4]))[1]
        made[family, protocol, address(text)[1], 0] = Translation(
            family, protocol, address(text)[1], 0, final, 0
        )
    return list(made.values())


def open_flows(rng, free_ports, n=6):
    """(peer, packet) pairs to send before the policy is loaded, and what each is for."""
    flows = []
    for n_flow in range(n):
        family = (4, 6)[n_flow % 2]
        index = 2 if family == 4 else 4
        peer = rng.choice(["lan", "wan", "vpn"])
        client = address(LINKS[peer][index])[1]
        if n_flow % 3 == 2:
            other = None
            server = address(LINKS["wan"][1 if family == 4 else 3].split("/")[0])[1]
        else:
            other = "c3"
            server = address(LINKS["c3"][index])[1]
        p = Packet(
            family,
            client,
            server,
            UDP,
            free_ports.pop(),
            61000 + n_flow,
            came_in=LINKS[peer][0],
        )
        flows.append(Flow(peer, other, p, answered=n_flow < n // 2 + 1 and other is not None))
    return flows
