# SPDX-License-Identifier: GPL-2.0-or-later
"""What random policies are made of: addresses, interfaces, ports and names at whose edges something
happens in the lab."""

NETWORKS = {
    4: [
        "10.40.10.0/24",
        "10.40.20.0/24",
        "10.40.0.0/16",
        "10.99.0.0/24",
        "203.0.113.0/24",
        "198.51.100.0/24",
        "172.17.0.0/16",
        "172.18.0.0/16",
        "192.168.122.0/24",
        "10.40.30.0/24",
        "192.0.2.0/24",
        "0.0.0.0/0",
    ],
    6: [
        "fd00:40:10::/64",
        "fd00:40:20::/64",
        "fd00:40::/32",
        "fd00:99::/64",
        "2001:db8:ffff::/64",
        "2001:db8:1::/48",
        "fd00:17::/64",
        "fd00:18::/64",
        "fd00:122::/64",
        "2001:db8:2::/48",
        "fe80::/10",
        "::/0",
    ],
}
# Addresses that the lab gives to somebody.
HOSTS = {
    4: [
        "10.40.10.1",
        "10.40.10.2",
        "203.0.113.1",
        "203.0.113.7",
        "203.0.113.2",
        "172.17.0.2",
        "172.17.0.3",
        "172.18.0.2",
        "192.168.122.2",
        "10.99.0.2",
        "10.40.20.2",
        "172.17.0.1",
    ],
    6: [
        "fd00:40:10::1",
        "fd00:40:10::2",
        "2001:db8:ffff::1",
        "2001:db8:ffff::7",
        "2001:db8:ffff::2",
        "fd00:17::2",
        "fd00:17::3",
        "fd00:18::2",
        "fd00:122::2",
        "fd00:99::2",
        "fd00:40:20::2",
        "fd00:17::1",
    ],
}
INTERFACES = ["eth0", "eth1", "eth1.20", "wg0", "docker0", "br-1", "virbr0"]
PATTERNS = INTERFACES + ["eth*", "eth1*", "br-*", "wg*", "virbr*", "tun0", "e*"]
PORTS = [
    1,
    22,
    53,
    67,
    68,
    80,
    123,
    443,
    546,
    547,
    1023,
    1024,
    3000,
    5353,
    5432,
    5678,
    8000,
    8080,
    11434,
    32768,
    51820,
    65534,
    65535,
]
PUBLIC = [
    "ssh",
    "https",
    "http",
    "dns",
    "ping",
    "ntp",
    "wireguard",
    "mosh",
    "ipsec",
    "stun",
]
INTERNAL = [
    "ollama",
    "n8n",
    "postgresql",
    "grafana",
    "redis",
    "vllm",
    "docker-swarm",
    "mdns",
    "ai-backends",
]
CATALOGUE_ZONES = ["private", "internet", "containers", "vms", "tailnet"]
ANY_INTERFACE = frozenset([*INTERFACES, "tun0", "tailscale0", "other0"])
PROTOCOL_NAMES = ["esp", "gre", "ospf", "igmp", 47, 89, 50]
ICMP_TERMS = [
    "echo-request/icmp",
    "8/icmp",
    "13/icmp",
    "echo-request/icmpv6",
    "128/icmpv6",
    "3/icmp",
    "redirect/icmp",
    "139/icmpv6",
    "134/icmpv6",
    "135/icmpv6",
]
# Where a policy may forward to: containers, a VM, a machine in the LAN, this host itself.
FORWARDED_TO = {
    4: ["172.17.0.2", "172.17.0.3", "172.18.0.2", "192.168.122.2", "10.40.10.2", "10.40.10.1"],
    6: ["fd00:17::2", "fd00:17::3", "fd00:18::2", "fd00:122::2", "fd00:40:10::2", "fd00:40:10::1"],
}
