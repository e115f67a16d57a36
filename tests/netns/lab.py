# SPDX-License-Identifier: GPL-2.0-or-later
"""A throw-away network: namespaces with a firewall host in the middle.

enter() moves this process into a network and a mount namespace of its own; everything made
afterwards is seen by nobody else and ends with the process. Nothing here touches the network that
the machine itself lives in: every entry point refuses to run in the namespace of process 1.

    wan  203.0.113.2 --- eth0      fw      docker0 --- c1 172.17.0.2, c2 172.17.0.3
    lan  10.40.10.2  --- eth1              br-1    --- c3 172.18.0.2
    guest 10.40.20.2 --- eth1.20           virbr0  --- vm 192.168.122.2
    vpn  10.99.0.2   --- wg0
"""

import contextlib
import ctypes
import json
import os
import re
import signal
import subprocess
import time

CLONE_NEWNS, CLONE_NEWNET = 0x00020000, 0x40000000
MS_REC, MS_PRIVATE = 0x4000, 0x40000
PR_SET_PDEATHSIG = 1
# How many times as long as elsewhere things may take: more where the machine is emulated.
PATIENCE = float(os.environ.get("RINGWALL_PATIENCE", "1"))
TOOL_TIMEOUT = 30 * PATIENCE  # seconds that any one program may take

_libc = ctypes.CDLL(None, use_errno=True)

# peer: (the host's interface, its address, the peer's address, likewise for IPv6, bridge)
LINKS = {
    "wan": (
        "eth0",
        "203.0.113.1/24",
        "203.0.113.2",
        "2001:db8:ffff::1/64",
        "2001:db8:ffff::2",
        None,
    ),
    "lan": ("eth1", "10.40.10.1/24", "10.40.10.2", "fd00:40:10::1/64", "fd00:40:10::2", None),
    "guest": ("eth1.20", "10.40.20.1/24", "10.40.20.2", "fd00:40:20::1/64", "fd00:40:20::2", None),
    "vpn": ("wg0", "10.99.0.1/24", "10.99.0.2", "fd00:99::1/64", "fd00:99::2", None),
    "c1": ("docker0", "172.17.0.1/16", "172.17.0.2", "fd00:17::1/64", "fd00:17::2", "p-c1"),
    "c2": ("docker0", "172.17.0.1/16", "172.17.0.3", "fd00:17::1/64", "fd00:17::3", "p-c2"),
    "c3": ("br-1", "172.18.0.1/16", "172.18.0.2", "fd00:18::1/64", "fd00:18::2", "p-c3"),
    "vm": ("virbr0", "192.168.122.1/24", "192.168.122.2", "fd00:122::1/64", "fd00:122::2", "p-vm"),
}
QUIET = (("ipv6/conf/default/router_solicitations", 0), ("ipv6/conf/default/dad_transmits", 0))
# Without link-local addresses IPv6 has nothing at all to say by itself (nor can it discover
# routers).
SILENT = (("ipv6/conf/default/addr_gen_mode", 1),)
ROUTER = (
    ("ipv4/ip_forward", 1),
    ("ipv6/conf/all/forwarding", 1),
    ("ipv4/conf/all/send_redirects", 0),
    ("ipv4/conf/default/send_redirects", 0),
)
BRIDGES = ("docker0", "br-1", "virbr0")


def _check(result, what):
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def refuse_the_machines_own_network():
    """/proc/1/ns/net may be unreadable; the two files' inode numbers tell the namespaces apart."""
    if os.stat("/proc/1/net/dev").st_ino == os.stat("/proc/self/net/dev").st_ino:
        raise RuntimeError("this is the network namespace of process 1: nothing is tried out here")


def enter():
    """Once per process; the second call does nothing."""
    if os.environ.get("RINGWALL_LAB") == str(os.getpid()):
        refuse_the_machines_own_network()
        return
    if os.geteuid() != 0:
        raise RuntimeError("the tests with real packets need root")
    os.makedirs("/run/netns", exist_ok=True)
    _check(_libc.unshare(CLONE_NEWNS | CLONE_NEWNET), "unshare")
    refuse_the_machines_own_network()
    _check(_libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None), "making mounts private")
    # Names never collide with another lab's, and no name outlives the process.
    _check(_libc.mount(b"none", b"/run/netns", b"tmpfs", 0, None), "mounting /run/netns")
    os.environ["RINGWALL_LAB"] = str(os.getpid())


def _die_with_parent():
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def kernel():
    """Its version, as (6, 1)."""
    return tuple(map(int, re.findall(r"\d+", os.uname().release)[:2]))


def can_own_tables():
    """So that they stay when their owner ends."""
    return kernel() >= (6, 9)


def wait_until(condition, seconds, what):
    """Polls; the deadline only decides when to give up."""
    end = time.monotonic() + seconds * PATIENCE
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds * PATIENCE:g} s in vain: {what}")
        time.sleep(0.002)


class Lab:
    def __init__(self, silent=False):
        """silent: the peers are bare interfaces that answer nothing; see wire.py."""
        enter()
        self.silent = silent
        self.children = []
        self.mac = {}
        self._fds = {"": os.open("/proc/self/ns/net", os.O_RDONLY)}
        try:
            self._build()
        except BaseException:
            self.close()
            raise

    # --- namespaces ---

    @contextlib.contextmanager
    def inside(self, ns):
        """Sockets opened here belong to the namespace for good."""
        self._setns(ns)
        try:
            yield
        finally:
            self._setns("")

    def know(self, ns, path):
        """A namespace that another program has made, by that name from now on."""
        self._fds[ns] = os.open(path, os.O_RDONLY)

    def forget(self, ns):
        os.close(self._fds.pop(ns))

    def _setns(self, ns):
        if ns not in self._fds:
            self._fds[ns] = os.open(f"/run/netns/{ns}", os.O_RDONLY)
        _check(_libc.setns(self._fds[ns], CLONE_NEWNET), f"entering {ns}")

    def run(self, ns, argv, text=None, check=True, timeout=TOOL_TIMEOUT, env=None):
        with self.inside(ns):
            refuse_the_machines_own_network()
            done = subprocess.run(
                argv, input=text, capture_output=True, text=True, timeout=timeout, env=env
            )
        if check and done.returncode != 0:
            raise AssertionError(
                f"{' '.join(argv)}: exit {done.returncode}\n"
                f"{done.stdout[-500:]}{done.stderr[-2000:]}"
            )
        return done

    def popen(self, ns, argv, **options):
        with self.inside(ns):
            refuse_the_machines_own_network()
            child = subprocess.Popen(argv, preexec_fn=_die_with_parent, **options)
        self.children.append(child)
        return child

    def close(self):
        for child in self.children:
            if child.poll() is None:
                child.kill()
            child.wait(TOOL_TIMEOUT)
        self.children.clear()
        for name in list(self._fds):
            if name:
                os.close(self._fds.pop(name))
        names = os.listdir("/run/netns")
        if names:
            subprocess.run(
                ["ip", "-batch", "-"],
                input="".join(f"netns del {n}\n" for n in names),
                text=True,
                capture_output=True,
                timeout=TOOL_TIMEOUT,
            )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # --- tools ---

    def ip(self, ns, lines):
        self.run(ns, ["ip", "-batch", "-"], lines)

    def nft(self, text, ns="fw"):
        self.run(ns, ["nft", "-f", "-"], text)

    def sysctl(self, ns, **values):
        """net__ipv4__ip_forward=1"""
        with self.inside(ns):
            for key, value in values.items():
                self._write(key.replace("__", "/"), value)

    @staticmethod
    def _write(path, value):
        with open(f"/proc/sys/{path}", "w", encoding="ascii") as f:
            f.write(str(value))

    def tables(self, ns="fw"):
        # as text: nft 1.0.6 writes past its memory for the JSON of a table that persists
        listing = self.run(ns, ["nft", "list", "tables"]).stdout.splitlines()
        return {tuple(line.split()[1:3]) for line in listing}

    # --- building ---

    def _build(self):
        batch = "".join(f"netns add {n}\n" for n in ["fw", *LINKS])
        subprocess.run(
            ["ip", "-batch", "-"],
            input=batch,
            text=True,
            check=True,
            timeout=TOOL_TIMEOUT,
            capture_output=True,
        )
        for ns in ["fw", *LINKS]:
            with self.inside(ns):
                for name, value in QUIET + ROUTER * (ns == "fw") + SILENT * self.silent:
                    self._write("net/" + name, value)
                if self.silent and ns != "fw":
                    for which in ("all", "default"):
                        self._write(f"net/ipv6/conf/{which}/disable_ipv6", 1)
        self.ip("fw", self._host_batch())
        for ns in LINKS:
            self.ip(ns, self._peer_batch(ns))
        self._learn_addresses()

    def _host_batch(self):
        lines = ["link set lo up"]
        for bridge in BRIDGES:
            lines.append(f"link add {bridge} type bridge forward_delay 0 mcast_snooping 0")
        done = set()
        for ns, (name, v4, _, v6, _, port) in LINKS.items():
            lines.append(f"link add {port or name} type veth peer name eth0 netns {ns}")
            if port:
                lines.append(f"link set {port} master {name} up")
            if name not in done:
                lines += [
                    f"addr add {v4} brd + dev {name}",
                    f"addr add {v6} dev {name} nodad",
                    f"link set {name} up",
                ]
            done.add(name)
        return "\n".join(lines) + "\n"

    def _peer_batch(self, ns):
        _, host4, v4, host6, v6, _ = LINKS[ns]
        lines = ["link set lo up", "link set eth0 up"]
        if not self.silent:
            length4, length6 = host4.split("/")[1], host6.split("/")[1]
            lines += [
                f"addr add {v4}/{length4} brd + dev eth0",
                f"addr add {v6}/{length6} dev eth0 nodad",
                f"route add default via {host4.split('/')[0]}",
                f"route add default via {host6.split('/')[0]}",
            ]
        return "\n".join(lines) + "\n"

    def _learn_addresses(self):
        """self.mac["fw", "eth0"], self.mac["lan", "eth0"] ..."""
        for ns in ["fw", *LINKS]:
            for link in json.loads(self.run(ns, ["ip", "-j", "link"]).stdout):
                self.mac[ns, link["ifname"]] = bytes.fromhex(link["address"].replace(":", ""))
