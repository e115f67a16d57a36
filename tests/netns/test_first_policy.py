# SPDX-License-Identifier: GPL-2.0-or-later
"""What `ringwall init` writes of a host with servers of its own, in force, with real connections."""

import os
import pathlib
import select
import shutil
import subprocess

import pytest

from lab import Lab
from program import ENVIRONMENT, PROGRAM, TIMEOUT, ringwall
from talk import Talk, host_address, peer_address

SERVERS = {"sshd": 22, "nginx": 443, "postgres": 5432, "ollama": 11434, "shop": 9999}

LISTEN = """
import socket, sys
s = socket.socket(socket.AF_INET6)
s.bind(("::", int(sys.argv[1])))
s.listen()
print("ready", flush=True)
sys.stdin.read()
"""

# Whatever was answered
ALWAYS = [
    ("wan", "host", 443, "open"),
    ("lan", "host:eth1", 443, "open"),
    ("wan", "host", 5432, "dropped"),
    ("lan", "host:eth1", 5432, "dropped"),
    ("wan", "host", 11434, "dropped"),
    ("lan", "host:eth1", 11434, "dropped"),
    ("wan", "host", 9999, "dropped"),
    ("lan", "host:eth1", 9999, "dropped"),
    ("wan", "c1", 80, "dropped"),  # a container's own address
    ("c1", "host:docker0", 5432, "dropped"),
]


class Host:
    """The lab's host with servers that are processes of these names, and a way to the internet."""

    def __init__(self, folder):
        self.folder = folder
        self.lab = Lab()
        try:
            self.talk = Talk(self.lab)
            self.lab.ip("fw", "route add default via 203.0.113.2\nroute add default via 2001:db8:ffff::2\n")
            for name, port in SERVERS.items():
                self.serve(name, port)
            self.talk.listen("c1", 80)
            self.talk.listen("wan", 80)
        except BaseException:
            self.lab.close()
            raise

    def serve(self, name, port):
        program = self.folder / name
        shutil.copy(os.path.realpath("/usr/bin/python3"), program)
        child = self.lab.popen("fw", [str(program), "-c", LISTEN, str(port)], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, env={**os.environ, "PYTHONHOME": "/usr"})
        readable, _, _ = select.select([child.stdout], [], [], TIMEOUT)
        assert readable and child.stdout.readline() == b"ready\n"

    def use(self, caller, *args):
        """Writes the policy for whoever came from there, checks and loads it."""
        path = str(self.folder / "policy.yaml")
        env = {**ENVIRONMENT, "SSH_CONNECTION": f"{caller} 50000 10.40.10.1 22"}
        pathlib.Path(path).unlink(missing_ok=True)
        self.lab.run("fw", [PROGRAM, "init", "--yes", *args, "-o", path], env=env, timeout=TIMEOUT)
        checked = ringwall(self.lab, "check", path)
        assert "warning" not in checked.stderr, checked.stderr
        ringwall(self.lab, "load", path)

    def reach(self, who, where, port, family):
        to = host_address(where[5:] if ":" in where else "eth0", family)
        return self.talk.reach(who, peer_address(where, family) if where == "c1" else to, port)

    def close(self):
        self.talk.close()
        self.lab.close()


@pytest.fixture(name="host", scope="module")
def make_host(tmp_path_factory):
    h = Host(tmp_path_factory.mktemp("init"))
    yield h
    h.close()


def wrong(host, rows):
    return [(family, *row[:3], was) for family in (4, 6) for row in rows
            if (was := host.reach(*row[:3], family)) != row[3]]


def test_without_a_policy_everything_is_open(host):
    assert wrong(host, [(*row[:3], "open") for row in ALWAYS if row[1] != "c1"]) == []


def test_for_whoever_came_from_the_local_network(host):
    host.use("10.40.10.2")
    assert wrong(host, [
        *ALWAYS,
        ("lan", "host:eth1", 22, "open"),
        ("wan", "host", 22, "dropped"),
        ("guest", "host:eth1.20", 22, "dropped"),
        ("c1", "host:docker0", 22, "dropped"),
        ("c1", "host:docker0", 11434, "dropped"),
    ]) == []


@pytest.mark.parametrize("family", [4, 6])
def test_containers_reach_the_internet_unless_they_must_not(host, family):
    host.use("10.40.10.2")
    assert host.talk.reach("c1", peer_address("wan", family), 80) == "open"
    host.use("10.40.10.2", "--containers", "none")
    assert host.talk.reach("c1", peer_address("wan", family), 80) == "dropped"


def test_containers_use_what_was_named_for_them(host):
    host.use("10.40.10.2", "--containers", "internet,ollama")
    assert wrong(host, [
        *ALWAYS,
        ("c1", "host:docker0", 11434, "open"),
        ("c1", "host:docker0", 22, "dropped"),
    ]) == []


def test_for_whoever_came_from_the_internet(host):
    host.use("203.0.113.2")
    assert wrong(host, [*ALWAYS, ("wan", "host", 22, "open"), ("lan", "host:eth1", 22, "open")]) == []


def test_whoever_the_answer_forgets_keeps_the_way_in(host):
    host.use("203.0.113.2", "--ssh-from", "10.40.20.0/24")
    assert host.reach("wan", "host", 22, 4) == "open"
    assert host.reach("wan", "host", 22, 6) == "dropped"
    assert host.reach("guest", "host:eth1.20", 22, 4) == "open"
    assert host.reach("lan", "host:eth1", 22, 4) == "dropped"


def test_public_is_what_was_named(host):
    host.use("10.40.10.2", "--public", "9999/tcp")
    assert host.reach("wan", "host", 9999, 4) == "open"
    assert host.reach("wan", "host", 443, 4) == "dropped"
