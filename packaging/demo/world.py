# SPDX-License-Identifier: GPL-2.0-or-later
"""A small world of network namespaces: a server, two clients and a container.

    client "lan"        10.40.10.7   fd00:40:10::7    ─ lan0 ┐
                                                             ├ server "demo" ─ docker0 ─ "container"
    client "internet"   203.0.113.9  2001:db8:203::9  ─ wan0 ┘                172.17.0.2 fd00:17::2

The server publishes two of the container's ports in the way in which Docker does: by a DNAT table of
its own, and by accepting what it forwards to them. Whoever imports this must already live in network
and mount namespaces of its own, with a private tmpfs on /run/netns: see ../quickstart.
"""

import json
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
PATIENCE = 30  # seconds that any one command may take

SERVICES = [22, 443, 3000, 5432, 5678, 8080, 11434]  # the server listens on these itself
CONTAINER_SERVICES = [80, 5678]

LINKS = """
link add lan0 netns demo type veth peer name eth0 netns lan
link add wan0 netns demo type veth peer name eth0 netns internet
link add veth0 netns demo type veth peer name eth0 netns container
"""

ADDRESSES = {
    "demo": """
link set lo up
link add docker0 type bridge
link set veth0 master docker0
addr add 10.40.10.1/24 dev lan0
addr add fd00:40:10::1/64 dev lan0 nodad
addr add 203.0.113.1/24 dev wan0
addr add 2001:db8:203::1/64 dev wan0 nodad
addr add 172.17.0.1/16 dev docker0
addr add fd00:17::1/64 dev docker0 nodad
link set lan0 up
link set wan0 up
link set veth0 up
link set docker0 up
""",
    "lan": """
link set lo up
addr add 10.40.10.7/24 dev eth0
addr add fd00:40:10::7/64 dev eth0 nodad
link set eth0 up
route add default via 10.40.10.1
route add default via fd00:40:10::1
""",
    "internet": """
link set lo up
addr add 203.0.113.9/24 dev eth0
addr add 2001:db8:203::9/64 dev eth0 nodad
link set eth0 up
route add default via 203.0.113.1
route add default via 2001:db8:203::1
""",
    "container": """
link set lo up
addr add 172.17.0.2/16 dev eth0
addr add fd00:17::2/64 dev eth0 nodad
link set eth0 up
route add default via 172.17.0.1
route add default via fd00:17::1
""",
}

SYSCTLS = "echo 1 >/proc/sys/net/ipv4/ip_forward && echo 1 >/proc/sys/net/ipv6/conf/all/forwarding"

# What a container engine leaves in the kernel, once for each family.
DOCKER = """
table {family} nat {{
        chain DOCKER {{
                iifname != "docker0" tcp dport 8080 counter dnat to {container_80}
                iifname != "docker0" tcp dport 5678 counter dnat to {container_5678}
        }}
        chain PREROUTING {{
                type nat hook prerouting priority dstnat;
                fib daddr type local counter jump DOCKER
        }}
        chain POSTROUTING {{
                type nat hook postrouting priority srcnat;
                {family} saddr {network} oifname != "docker0" counter masquerade
        }}
}}
table {family} filter {{
        chain DOCKER {{
                iifname != "docker0" oifname "docker0" {family} daddr {container} tcp dport {{ 80, 5678 }} counter accept
        }}
        chain FORWARD {{
                type filter hook forward priority filter; policy drop;
                oifname "docker0" ct state related,established counter accept
                oifname "docker0" counter jump DOCKER
                iifname "docker0" counter accept
        }}
}}
"""
FAMILIES = [
    {
        "family": "ip",
        "network": "172.17.0.0/16",
        "container": "172.17.0.2",
        "container_80": "172.17.0.2:80",
        "container_5678": "172.17.0.2:5678",
    },
    {
        "family": "ip6",
        "network": "fd00:17::/64",
        "container": "fd00:17::2",
        "container_80": "[fd00:17::2]:80",
        "container_5678": "[fd00:17::2]:5678",
    },
]


class Failure(Exception):
    """Something that the demonstration needs did not work; the text is for the user."""


def run(words, text="", namespace=None, may_fail=False):
    """Runs a command to its end; what it wrote comes back, and a failure is a Failure."""
    if namespace:
        words = ["ip", "netns", "exec", namespace, *words]
    try:
        done = subprocess.run(words, input=text, capture_output=True, text=True, timeout=PATIENCE)
    except subprocess.TimeoutExpired as e:
        raise Failure(f"{' '.join(words)}: no end after {PATIENCE} seconds") from e
    except OSError as e:
        raise Failure(f"{words[0]}: {e.strerror}") from e
    if done.returncode != 0 and not may_fail:
        said = (done.stderr or done.stdout).strip()
        raise Failure(f"{' '.join(words)}: exit code {done.returncode}\n{said}")
    return done


def listen(namespace, name, ports):
    server = subprocess.Popen(
        ["ip", "netns", "exec", namespace, sys.executable, HERE / "listen.py", name, *map(str, ports)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    if server.stdout.readline() != "ready\n":
        raise Failure(f"the servers of '{namespace}' did not start")
    return server


def build():
    """Makes everything; the servers, to be kept until the end."""
    for name in ADDRESSES:
        run(["ip", "netns", "add", name])
    run(["ip", "-batch", "-"], LINKS)
    for name, batch in ADDRESSES.items():
        run(["ip", "-n", name, "-batch", "-"], batch)
    run(["sh", "-c", SYSCTLS], namespace="demo")
    run(["nft", "-f", "-"], "".join(DOCKER.format(**f) for f in FAMILIES), namespace="demo")
    return [
        listen("demo", "demo", SERVICES),
        listen("container", "container", CONTAINER_SERVICES),
        listen("internet", "internet", [443]),
    ]


def probe(namespace, targets):
    """For each (address, port) the answer of whoever answered there, or None."""
    done = run([sys.executable, str(HERE / "probe.py")], json.dumps(targets), namespace)
    return json.loads(done.stdout)
