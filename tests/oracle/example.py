# SPDX-License-Identifier: GPL-2.0-or-later
"""POLICY.md's example, and a host for it: what the oracle's own tests are about."""

import oracle
from host import TCP, Host, Interface, Packet, Translation, address

CATALOGUE = """
ringwall: 1
zones:
  containers: { interfaces: [docker0, "br-*", "podman*"] }
  vms: { interfaces: ["virbr*"] }
services:
  ssh: { tcp: 22 }
  https: { tcp: 443 }
  grafana: { tcp: 3000, internal: yes }
  ollama: { tcp: 11434, internal: yes }
  n8n: { tcp: 5678, internal: yes }
  postgresql: { tcp: 5432, internal: yes }
  ping: { icmp: echo-request, icmpv6: echo-request }
"""

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


def the_host(**sysctls):
    host = Host(
        [
            Interface("lo", ["127.0.0.1/8", "::1/128"]),
            Interface("eth0", ["203.0.113.1/24", "2001:db8:ffff::1/64"]),
            Interface("eth1", ["10.40.10.1/24", "fd00:40:10::1/64"]),
            Interface("wg0", ["10.99.0.1/24", "fd00:99::1/64"]),
            Interface("docker0", ["172.17.0.1/16", "fd00:17::1/64"], True),
            Interface("br-1", ["172.18.0.1/16", "fd00:18::1/64"], True),
            Interface("virbr0", ["192.168.122.1/24"], True),
        ],
        routes=[("198.51.100.0/24", "eth0"), ("2001:db8:1::/48", "eth0")],
        groups=[("224.0.0.251", "eth1"), ("ff02::fb", "eth1")],
        **sysctls
    )
    for family, own, container in (
        (4, "203.0.113.1", "172.17.0.2"),
        (6, "2001:db8:ffff::1", "fd00:17::2"),
    ):
        for dialled, final in ((8080, 80), (443, 5678), (9443, 443), (443 + 1, 443)):
            host.add_translation(
                Translation(family, TCP, address(own)[1], dialled, address(container)[1], final)
            )
    return host


NOW = 1_900_000_000  # 2030-03-17 17:46:40 UTC, a Sunday

HOST = the_host(accept_local=True, route_localnet=True)

# What stands for "the internet", "the LAN client" ... in either family.
WHO = {
    "internet": ("198.51.100.9", "2001:db8:1::9"),
    "lan": ("10.40.10.2", "fd00:40:10::2"),
    "vpn": ("10.99.0.2", "fd00:99::2"),
    "container": ("172.17.0.2", "fd00:17::2"),
    "neighbour": ("172.17.0.3", "fd00:17::3"),
    "other container": ("172.18.0.2", "fd00:18::2"),
    "here": ("203.0.113.1", "2001:db8:ffff::1"),
    "gateway": ("172.17.0.1", "fd00:17::1"),
    "nowhere": ("192.0.2.77", "2001:db8:dead::1"),
    "loopback": ("127.0.0.1", "::1"),
    "link-local": ("169.254.7.7", "fe80::7"),
    "mdns": ("224.0.0.251", "ff02::fb"),
}
CAME_IN = {
    "internet": "eth0",
    "lan": "eth1",
    "vpn": "wg0",
    "container": "docker0",
    "neighbour": "docker0",
    "other container": "br-1",
}


def ask(who, to, port, family, protocol=TCP, policy=EXAMPLE, host=HOST, came_in="", **rest):
    index = 0 if family == 4 else 1
    p = Packet(
        family,
        address(WHO[who][index])[1],
        address(WHO[to][index])[1],
        protocol,
        40000,
        port,
        came_in=CAME_IN.get(who, "eth0") if came_in == "" else came_in,
        **rest
    )
    read = oracle.load(policy, CATALOGUE, NOW)
    read.settle(host)
    at = host.situate(p)
    assert at.hook != "none"
    return read.judge(at)
