# SPDX-License-Identifier: GPL-2.0-or-later
"""The lab with a real Docker on its host, ufw as it sets itself up, and packets that either arrive or
do not."""

import json
import os
import re
import shutil
import socket
import struct

from engine import Engine
from host import TCP, Packet, address
from lab import LINKS, Lab
from packets import number_of, packet_bytes, parse_ip
from program import ringwall
from wire import PACKET_IGNORE_OUTGOING, SOL_PACKET, pinned

SECONDS = 20
ETH_P_IP, ETH_P_IPV6, ETH_P_ALL = 0x0800, 0x86DD, 3
HOST = {4: "203.0.113.1", 6: "2001:db8:ffff::1"}


IPTABLES = ("iptables-nft", "ip6tables-nft")
DOOR = "door"  # a container whose port always lets in: what was sent before has come, or never will


class Host:
    def __init__(self, folder):
        self.folder = str(folder)
        self.lab = Lab()
        self.number = 0
        self.ufw_folder = os.path.join(self.folder, "ufw")
        try:
            self.lab.ip("fw", "link del docker0\nlink del br-1\n")  # Docker makes its own
            os.makedirs(os.path.join(self.folder, "engine"))
            self.docker = Engine(self.lab, os.path.join(self.folder, "engine"))
            self.docker.run(DOOR, "443:80", listen=80)
            self.rules = {p: self.run(f"{p}-save") for p in IPTABLES}
        except BaseException:
            self.lab.close()
            raise

    def close(self):
        try:
            self.docker.stop()
        finally:
            self.lab.close()

    def clear(self):
        """As it was: the door, and Docker's rules for it."""
        self.docker.clear(DOOR)
        if ("inet", "ringwall") in self.lab.tables():
            ringwall(self.lab, "unload", "--yes")
        if os.path.exists(self.ufw_folder):
            shutil.rmtree(self.ufw_folder)
        self.lab.nft("flush ruleset")
        for program, text in self.rules.items():
            self.lab.run("fw", [f"{program}-restore"], text)
        if self.docker.options:
            self.docker.restart()

    # --- ufw ---

    def ufw(self, *words):
        """The program, with a copy of its settings as the package brings them."""
        if not os.path.exists(self.ufw_folder):
            shutil.copytree("/etc/ufw", self.ufw_folder)
        script = 'mount --bind "$0" /etc/ufw && mount -t tmpfs none /run && exec ufw "$@"'
        words = ["unshare", "--mount", "sh", "-c", script, self.ufw_folder, *words]
        return self.lab.run("fw", words).stdout

    # --- ringwall ---

    def file(self, text):
        path = os.path.join(self.folder, "policy.yaml")
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return path

    def use(self, text):
        ringwall(self.lab, "load", self.file(text))

    def verify(self, text, code):
        argv = ["verify", "--policy", self.file(text), "--json"]
        done = ringwall(self.lab, *argv, check=False)
        assert done.returncode == code, f"exit {done.returncode}\n{done.stdout}{done.stderr}"
        return json.loads(done.stdout)["claims"]

    # --- packets ---

    def run(self, *words):
        """In the host's namespace."""
        return self.lab.run("fw", list(words)).stdout

    def get(self, ns, to, port):
        """Whether a web server answers there, whoever passes the question on."""
        with self.lab.inside(ns):
            s = socket.socket(socket.AF_INET6 if ":" in to else socket.AF_INET)
        with s:
            s.settimeout(SECONDS)
            s.connect((to, port))
            s.sendall(b"GET / HTTP/1.0\r\n\r\n")
            return s.recv(5) == b"HTTP/"

    def send(self, *packets):
        """SYNs: (source, destination, port, the interface that they arrive by). Where each comes out,
        {container or "here": port}: {} if nowhere, since what is sent behind them has come."""
        observers = self._observe()
        try:
            with pinned():
                numbers = [self._craft(*p) for p in packets]
                assert self.get("wan", HOST[4], 443), "the door is shut"
            seen = [(name, *found) for name, s in observers for found in _received(s)]
        finally:
            for _, s in observers:
                s.close()
        return [{name: port for name, n, port in seen if n == number} for number in numbers]

    def send_witness(self, claim):
        """The packet that a refutation shows."""
        found = re.match(r"tcp from (\S+) to (\S+) port (\d+), arriving by ([^\s,;]+)", claim["packet"])
        assert found, claim
        return self.send((found[1], found[2], int(found[3]), found[4]))[0]

    def _observe(self):
        """Behind all rules: sockets of the host's own that see what it is given, and of containers."""
        made = []
        with self.lab.inside("fw"):
            for network in (socket.AF_INET, socket.AF_INET6):
                made.append(("here", socket.socket(network, socket.SOCK_RAW, TCP)))
        for name in self.docker.ports:
            with self.lab.inside(name):
                s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
                s.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
                s.bind(("eth0", ETH_P_ALL))
            made.append((name, s))
        for _, s in made:
            s.setblocking(False)
        return made

    def _craft(self, source, to, port, interface):
        self.number += 1
        family, value = address(source)
        p = Packet(family, value, address(to)[1], TCP, 20000 + self.number, port, hop_limit=64)
        kind = struct.pack("!H", ETH_P_IP if family == 4 else ETH_P_IPV6)
        with self.lab.inside("fw"), _bound(interface) as s:
            hardware = s.getsockname()[4]
        with self.lab.inside(self._beside(interface)), _bound("eth0") as s:
            s.send(hardware + s.getsockname()[4] + kind + packet_bytes(p, self.number))
        return self.number

    def _beside(self, interface):
        """Who reaches the host by it: a peer, or a container of that bridge."""
        for ns, link in LINKS.items():
            if link[0] == interface and not (link[5] and interface.startswith(("docker", "br-"))):
                return ns
        ports = self.run("ip", "-j", "link", "show", "master", interface)
        for port in json.loads(ports):
            for name in self.docker.ports:
                if self._peer_of(name) == port["ifindex"]:
                    return name
        raise AssertionError(f"nobody is beside {interface}")

    def _peer_of(self, name):
        (link,) = json.loads(self.lab.run(name, ["ip", "-j", "link", "show", "eth0"]).stdout)
        return link["link_index"]


def _bound(interface):
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    s.bind((interface, 0))
    return s


def _received(s):
    """(number, the port that it was sent to) of each numbered packet."""
    while True:
        try:
            data = s.recv(4096)
        except BlockingIOError:
            return
        number = number_of(data)
        if number is None:
            continue
        if s.family == socket.AF_INET6:  # without the header
            yield number, struct.unpack_from("!H", data, 2)[0]
            continue
        _, protocol, _, port = parse_ip(data[14:] if s.family == socket.AF_PACKET else data)
        if protocol == TCP:
            yield number, port
