# SPDX-License-Identifier: GPL-2.0-or-later
"""Who changed the rules, told of a real Docker that publishes ports: what it ran for that, and never
somebody else (--published: how often)."""

import re
import signal

import pytest

from daemon import Daemon
from lab import wait_until
from rival import Commits
from test_bans import Shop

SECONDS = 20
POLICY = """\
ringwall: 1
settings: { ownership: off }
inbound:
  - { allow: [https, 8080/tcp], from: anywhere }
routed:
  - { allow: any }
"""
NOTICE = re.compile(r"tcp port 8080 \(IPv4\).*; (?:changed|rules were changed meanwhile) by (?P<who>.*)$")
ONE = re.compile(r"(\S+) \(process (\d+)(?:: ([^)]*)|, which is gone)?\)")
DOCKERS = ("iptables", "ip6tables", "dockerd", "nft")  # what it changes rules with


@pytest.fixture(name="daemon")
def make_daemon(host, tmp_path):
    d = Daemon(Shop(host), tmp_path)
    d.start()
    assert d.apply(POLICY, "--no-confirm")[0] == 0
    wait_until(lambda: d.status()["claims"]["known"], SECONDS, "the first proof")
    yield d
    d.stop(signal.SIGKILL)


def notices(daemon):
    return [m["who"] for line in daemon.log().splitlines() if (m := NOTICE.search(line))]


def told(daemon, commits, before):
    """What is said of who it was, and {(name, process)} of the kernel's word of it."""
    writers = set()

    def one():
        writers.update((name, pid) for _, pid, name in commits.so_far())
        return len(notices(daemon)) > before and notices(daemon)[before]

    return wait_until(one, SECONDS, "the notice"), writers


def judge(who, writers):
    """How many are named; each of them is who did it."""
    if who.startswith("somebody unknown"):
        return 0
    found = ONE.findall(who)
    assert found, who
    for name, pid, words in found:
        assert (name, int(pid)) in writers and name.startswith(DOCKERS), (who, writers)
        assert not words or "docker" in words.lower() or re.search(r"ip6?tables", words), who
    return len(found)


def test_a_published_port_is_told_with_what_docker_ran_for_it(host, daemon, pytestconfig):
    commits, named = Commits(host.lab), []
    for _ in range(pytestconfig.getoption("published")):
        for change in (
            lambda: host.docker.run("web", "8080:80", listen=80),
            lambda: host.docker.remove("web"),
        ):
            before = len(notices(daemon))
            commits.forget()
            change()
            named.append(judge(*told(daemon, commits, before)))
    commits.close()
    print(f"named: {named}")
    assert sum(n > 0 for n in named) >= 0.95 * len(named), named


def test_a_network_is_no_news_and_opens_nothing(host, daemon):
    """Docker writes rules for it, which change nothing of what the policy claims."""
    commits = Commits(host.lab)
    host.docker.network("shop", "br-shop")
    wait_until(commits.so_far, SECONDS, "Docker's rules")
    commits.close()
    # a proof that began behind it
    before = daemon.status()["claims"]["proved"]
    host.run("nft", "add table ip later")
    wait_until(lambda: daemon.status()["claims"]["proved"] > before, SECONDS, "a proof")
    host.run("nft", "delete table ip later")
    assert daemon.status()["claims"]["broken"] == [] and notices(daemon) == []
