# SPDX-License-Identifier: GPL-2.0-or-later
"""Bans, and what a real Docker publishes: nobody comes in any more, and open connections die at once, TCP and UDP,
whoever speaks next."""

import select
import signal
import socket

import pytest

from host_with_docker import HOST
from daemon import Daemon
from lab import wait_until
from program import ringwall

SECONDS = 20
POLICY = """\
ringwall: 1
inbound:
  - { allow: [https, 8080/tcp, 8053/udp], from: anywhere }
routed:
  - { allow: any }
"""
WAN = {4: "203.0.113.2", 6: "2001:db8:ffff::2"}
WHOM = {4: WAN[4], 6: f"{WAN[6]}/128"}


@pytest.fixture(name="daemon")
def make_daemon(host, tmp_path):
    """Under the policy, with one container: its web server is published as 8080, another port of UDP as 8053."""
    host.docker.run("web", "8080:80", "8053:53/udp", listen=80)
    d = Daemon(Shop(host), tmp_path)
    d.start()
    assert d.apply(POLICY, "--no-confirm")[0] == 0
    yield d
    d.ask("unban", "--all")
    ringwall(host.lab, "unload", "--yes", "--runtime-dir", str(d.runtime))
    d.stop(signal.SIGKILL)


class Shop:
    """What a Daemon wants of a world."""

    def __init__(self, host):
        self.lab, self.file = host.lab, host.file


def dropped(daemon):
    code, answer = daemon.ask("bans")
    assert code in (0, 8), answer
    return sum(b.get("packets", 0) for b in answer["bans"])


def one_more_is_dropped(daemon, send):
    before = dropped(daemon)
    send()
    wait_until(lambda: dropped(daemon) > before, SECONDS, "the drop of what was sent")


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def in_namespace(host, ns, network, kind):
    with host.lab.inside(ns):
        s = socket.socket(network, kind)
    s.settimeout(SECONDS)
    return s


def server_of(host, kind, port, network):
    s = in_namespace(host, "web", network, kind)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("::" if network == socket.AF_INET6 else "0.0.0.0", port))
    if kind == socket.SOCK_STREAM:
        s.listen()
    return s


def container(host):
    return host.docker.addresses("web")[0]


def tcp(host, to, port):
    """A connection on which both may speak, or (of the web server) only the client: (client, server or None)."""
    client = in_namespace(host, "wan", family_of(to[0]), socket.SOCK_STREAM)
    if port == 80:
        client.connect(to)
        client.sendall(b"GET / HT")  # the rest is owed
        return client, None
    with server_of(host, socket.SOCK_STREAM, port, family_of(to[0])) as listening:
        client.connect(to)
        server, _ = listening.accept()
    server.settimeout(SECONDS)
    server.sendall(b"a")
    assert client.recv(1) == b"a"
    return client, server


def test_an_open_tcp_connection_into_a_container_dies_at_once(host, daemon):
    """Published in both families, and by the container's own address."""
    for to, port in (((HOST[4], 8080), 80), ((HOST[6], 8080), 80), ((container(host), 81), 81)):
        client, server = tcp(host, to, port)
        assert daemon.ask("ban", WHOM[6 if ":" in to[0] else 4])[0] == 0
        if server:
            one_more_is_dropped(daemon, lambda s=server: s.sendall(b"b"))
        one_more_is_dropped(daemon, lambda c=client: c.sendall(b"TP/1.0\r\n\r\n"))
        assert not select.select([s for s in (client, server) if s], [], [], 0)[0], to
        # nor does a new one come in
        with in_namespace(host, "wan", family_of(to[0]), socket.SOCK_STREAM) as fresh:
            fresh.setblocking(False)
            one_more_is_dropped(daemon, lambda f=fresh, at=to: f.connect_ex(at))
            assert not select.select([], [fresh], [], 0)[1], to
        # it was the ban alone: what was held back comes when it ends
        daemon.ask("unban", "--all")
        assert client.recv(1) == (b"b" if server else b"H"), to
        client.close()
        if server:
            server.close()


def test_an_open_udp_connection_into_a_container_dies_at_once(host, daemon):
    for to in ((HOST[4], 8053), (container(host), 53)):
        server = server_of(host, socket.SOCK_DGRAM, 53, socket.AF_INET)
        client = in_namespace(host, "wan", socket.AF_INET, socket.SOCK_DGRAM)
        client.connect(to)
        client.send(b"a")
        data, back = server.recvfrom(16)
        assert data == b"a"
        server.sendto(b"b", back)
        assert client.recv(16) == b"b"
        assert daemon.ask("ban", WHOM[4])[0] == 0
        one_more_is_dropped(daemon, lambda s=server, b=back: s.sendto(b"c", b))
        one_more_is_dropped(daemon, lambda c=client: c.send(b"d"))
        assert not select.select([client, server], [], [], 0)[0], to
        daemon.ask("unban", "--all")
        client.send(b"e")
        assert server.recvfrom(16) == (b"e", back)
        client.close()
        server.close()


def test_a_restart_of_docker_lets_nobody_in(host, daemon):
    """It makes its rules anew; the bans are none of its."""
    assert daemon.ask("ban", WHOM[4])[0] == 0
    host.docker.restart()
    s = in_namespace(host, "wan", socket.AF_INET, socket.SOCK_STREAM)
    s.setblocking(False)
    one_more_is_dropped(daemon, lambda: s.connect_ex((HOST[4], 8080)))
    assert daemon.status()["bans"]["enforced"] == 1
    s.close()


def test_a_container_and_its_gateway_are_never_banned(host, daemon):
    for address in (container(host), container(host).rpartition(".")[0] + ".1"):
        code, said = daemon.ask("ban", address)
        assert code == 7 and "is never banned" in said, said
