# SPDX-License-Identifier: GPL-2.0-or-later
"""What the evaluator of all tables says of a packet is what the kernel does with it under the rules that
this Docker and this ufw have made."""

import whole
from host_with_docker import Host

UFW = (
    "allow 22/tcp",
    "limit 443/tcp",
    "allow from 10.40.10.0/24 to any port 3000,5432 proto tcp",
    "deny in on eth0 to any port 80 proto tcp",
    "reject 25",
    "route allow in on eth1 out on docker0",
    "allow from fd00:40:10::/64 to any port 53 proto udp",
)


def test_evaluator_and_kernel_agree_on_the_rules_of_this_docker_and_ufw(tmp_path, request):
    seed, packets = (request.config.getoption(o) for o in ("seed", "packets"))
    host = Host(tmp_path)
    try:
        texts = list(_rules(host))
    finally:
        host.close()  # the packets are sent in a lab of their own
    tally = whole.run_texts(seed, texts, packets)
    print(f"seed {seed}: {tally}")
    assert not tally.wrong, "\n".join(tally.wrong[:20])
    assert tally.packets == 2 * packets and tally.sure > 0.95 * tally.packets
    assert not tally.refused_lines and {"here", "nowhere", "docker0"} <= set(tally.ends)


def _rules(host):
    """Of both families, as they are saved: Docker's alone, and beside ufw's."""
    host.docker.network("backend", "br-1")
    host.docker.run("one", "11434:11434", "8443:11434", "127.0.0.1:5678:5678")
    host.docker.run("two", "203.0.113.1:8080:80", "[::1]:3000:3000", listen=80, network="backend")
    yield _saved(host)
    host.ufw("--force", "enable")
    for words in UFW:
        host.ufw(*words.split())
    yield _saved(host)


def _saved(host):
    return [(4, host.run("iptables-nft-save")), (6, host.run("ip6tables-nft-save"))]
