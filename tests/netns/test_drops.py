# SPDX-License-Identifier: GPL-2.0-or-later
"""`ringwall drops`: what was refused lately, which line refused it, and what would admit it."""

import json
import signal
import socket
import struct

import pytest

from daemon import Daemon
from fixtures import world_for
from host import UDP, Packet, address
from lab import LINKS, wait_until
from nflog import Log
from packets import packet_bytes
from program import ENVIRONMENT, PROGRAM, ringwall

SAMPLES = 4781
POLICY = """ringwall: 1
zones:
  lan: [10.40.10.0/24, "fd00:40:10::/64"]
inbound:
  - { allow: https }
  - { allow: 9000/tcp, from: lan, limit: 1/hour burst 1 }
  - { deny: 3000/tcp, name: no dashboards }
protected:
  - { services: [ollama, n8n] }
outbound:
  default: reject
  rules:
    - { allow: dns }
"""

make_world = world_for("function")


@pytest.fixture(name="daemon")
def make_daemon(daemon):
    daemon.start()
    assert daemon.apply(POLICY, "--no-confirm")[0] == 0
    return daemon


def drops(daemon, *args):
    code, answer = daemon.ask("drops", *args)
    assert code == 0, answer
    return answer


def seen(daemon, **wanted):
    """The group that has all of these, once there is one."""

    def find():
        for drop in drops(daemon)["drops"]:
            if all(drop.get(key) == value for key, value in wanted.items()):
                return drop
        return None

    return wait_until(find, 10, f"a refusal with {wanted}")


def test_each_refusal_is_told_with_its_line_and_what_would_admit_it(world, daemon):
    wan, lan = LINKS["wan"], LINKS["lan"]
    assert world.reach("wan", "host", 22, 4) == "dropped"
    drop = seen(daemon, port=22)
    assert drop["from"] == wan[2] and drop["to"] == "203.0.113.1" and drop["in"] == "eth0"
    assert drop["kind"] == "default" and drop["by"] == "inbound default: drop"
    assert drop["service"] == "ssh"
    assert drop["admit"] == "- { allow: ssh, from: 203.0.113.2 }"
    assert drop["count"] >= 1 and drop["first"] <= drop["last"]

    assert world.reach("lan", "host", 5432, 6) == "dropped"
    drop = seen(daemon, port=5432)
    assert drop["from"] == lan[4] and drop["section"] == "inbound"
    assert drop["admit"] == '- { allow: postgresql, from: "fd00:40:10::2" }'

    assert world.reach("wan", "host", 3000, 4) == "dropped"
    drop = seen(daemon, port=3000)
    assert drop["kind"] == "deny" and drop["by"] == "policy.yaml:7: no dashboards"
    assert "admit" not in drop

    assert world.reach("lan", "host", 11434, 4) == "dropped"
    drop = seen(daemon, port=11434)
    assert drop["kind"] == "protected" and drop["by"].startswith("policy.yaml:9: protected ")
    assert "admit" not in drop

    assert world.reach("lan", "host", 9000, 4) == "open"
    assert world.reach("lan", "host", 9000, 4) == "dropped"
    drop = seen(daemon, port=9000)
    assert drop["kind"] == "limit" and drop["by"].startswith("policy.yaml:6: allow 9000/tcp")


def test_what_passes_through_and_what_leaves_is_told_too(world, daemon):
    assert world.reach("lan", "wan", 443, 4) == "dropped"
    drop = seen(daemon, section="routed")
    assert drop["in"] == "eth1" and drop["out"] == "eth0" and drop["kind"] == "default"
    assert drop["admit"] == "- { allow: https, from: 10.40.10.2, to: 203.0.113.2 }"

    assert world.reach("fw", "wan", 443, 6) in ("refused", "prohibited")
    drop = seen(daemon, section="outbound")
    assert drop["user"] == 0 and drop["out"] == "eth0"
    assert drop["by"] == "policy.yaml:11: outbound default: reject"
    assert drop["admit"] == '- { allow: https, to: "2001:db8:ffff::2" }'


def test_a_published_port_is_told_as_one(world, daemon):
    """It ends in a container; not every kernel tells what was dialled."""
    assert world.reach("wan", "host", 8081, 4) == "dropped"
    drop = seen(daemon, section="inbound", target="172.17.0.3")
    assert drop["targetPort"] == 80 and drop["by"] == "inbound default: drop"
    assert drop.get("port", 8081) == 8081
    # where it ends is protected, though what was dialled is open
    assert world.reach("wan", "published", 443, 4) == "dropped"
    drop = seen(daemon, targetPort=5678)
    assert drop["kind"] == "protected" and "admit" not in drop
    text = ringwall(world.lab, "drops", "--runtime-dir", str(daemon.runtime)).stdout
    assert "    no rule: it is protected\n" in text.split(" 5678", 1)[1], text


def test_the_list_is_for_people(world, daemon):
    done = ringwall(world.lab, "drops", "--runtime-dir", str(daemon.runtime))
    assert done.stdout == "nothing was refused lately\n"
    world.reach("wan", "host", 22, 4)
    world.reach("wan", "host", 3000, 4)
    seen(daemon, port=3000)
    text = ringwall(world.lab, "drops", "--runtime-dir", str(daemon.runtime)).stdout
    assert all(len(line) <= 100 for line in text.splitlines())
    first, by, why, second, _, admit = text.splitlines()
    assert "3000/tcp" in first and "no dashboards" in by and "deny wins" in why
    assert "22/tcp (ssh)" in second and admit == "    inbound: - { allow: ssh, from: 203.0.113.2 }"
    # no word is broken, and no rule
    narrow = ["script", "-qec", f"stty cols 40; {PROGRAM} drops --runtime-dir {daemon.runtime}", "/dev/null"]
    shown = world.lab.run("fw", narrow, env=ENVIRONMENT, text="").stdout.replace("\r", "").splitlines()
    assert admit in shown and "3000/tcp" in "".join(shown) and len(shown) > 6
    assert all(len(line) <= 40 for line in shown if line not in (admit, why))


def test_following_tells_what_comes_and_nothing_twice(world, daemon):
    world.reach("wan", "host", 22, 4)
    seen(daemon, port=22)
    follower = world.lab.popen(
        "fw",
        [PROGRAM, "drops", "-f", "--json", "--runtime-dir", str(daemon.runtime)],
        stdout=open(daemon.folder / "followed", "wb"),
        env=ENVIRONMENT,
    )

    def followed():
        lines = (daemon.folder / "followed").read_text().splitlines()
        return [json.loads(line) for line in lines if line.endswith("}")]

    wait_until(lambda: len(followed()) == 1, 10, "what was refused before")
    world.reach("wan", "host", 5432, 4)
    wait_until(lambda: [d["port"] for d in followed()] == [22, 5432], 10, "the next one")
    follower.send_signal(signal.SIGINT)
    follower.wait(timeout=10)
    # whoever has gone is not waited for
    world.reach("wan", "host", 9000, 4)
    seen(daemon, port=9000)


def send_many(world, peer, sources, ports):
    """Datagrams to the host, as fast as they go."""
    interface = LINKS[peer][0]
    to = address("203.0.113.1" if peer == "wan" else "10.40.10.1")[1]
    head = world.lab.mac["fw", interface] + world.lab.mac[peer, "eth0"] + struct.pack("!H", 0x0800)
    sent = 0
    with world.lab.inside(peer), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as s:
        s.bind(("eth0", 0))
        for source, port in zip(sources, ports):
            p = Packet(4, source, to, UDP, 4000, port, came_in=interface)
            try:
                s.send(head + packet_bytes(p, sent))
                sent += 1
            except BlockingIOError:
                continue
    return sent


def test_a_loud_source_hides_no_other(world, daemon):
    lan = address(LINKS["lan"][2])[1]
    sent = send_many(world, "lan", [lan] * 400, range(7000, 7400))
    assert world.reach("wan", "host", 22, 4) == "dropped"
    seen(daemon, port=22, **{"from": LINKS["wan"][2]})
    loud = [d for d in drops(daemon, "-n", "500")["drops"] if d["from"] == LINKS["lan"][2]]
    assert sent > 100 and 0 < len(loud) < 60


def memory(daemon):
    """KiB of its own; what it maps of the machine's libraries differs from machine to machine."""
    with open(f"/proc/{daemon.process.pid}/status", encoding="ascii") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("RssAnon:"))


def test_many_sources_take_bounded_room_and_are_told_by_network(world, daemon):
    wan = address("203.0.113.0")[1]
    quiet = memory(daemon)
    send_many(world, "wan", [wan + 3 + i % 200 for i in range(400)], [5000] * 400)
    seen(daemon, port=5000, **{"from": "203.0.113.0/24"})
    first = address("172.17.1.0")[1]  # there is a way back, so that they are no forged ones
    send_many(world, "wan", [first + i * 3 for i in range(20000)], range(1, 20001))
    wait_until(lambda: drops(daemon)["number"] > 1000, 10, "the flood")
    answer = drops(daemon, "-n", "500")
    assert len(answer["drops"]) == 500
    assert memory(daemon) < quiet + 2048
    assert daemon.status()["readBack"]


def test_the_same_policy_once_more_is_no_change(world, daemon):
    code, answer = daemon.apply(POLICY)
    assert code == 0 and not answer["awaitsConfirmation"] and not answer["changed"]
    done = ringwall(world.lab, "plan", world.file(POLICY), check=False)
    assert done.returncode == 0, done.stdout
    assert daemon.status()["readBack"]


def test_where_another_program_reads_the_samples_it_says_so(world, tmp_path):
    with world.lab.inside("fw"):
        log = Log(SAMPLES)
    d = Daemon(world, tmp_path)
    try:
        d.start()
        assert d.apply(POLICY, "--no-confirm")[0] == 0
        assert world.reach("wan", "host", 22, 4) == "dropped"
        assert world.reach("wan", "host", 443, 4) == "open"
        assert not drops(d)["watching"]
        assert "another program reads it" in d.log()
    finally:
        d.stop(signal.SIGKILL)
        log.close()


def test_the_rule_to_copy_is_whole_on_a_narrow_terminal(world, daemon):
    assert world.reach("wan", "host", 22, 4) == "dropped"
    rule = seen(daemon, section="inbound", port=22)["admit"]
    command = f"stty cols 80; {PROGRAM} drops --runtime-dir {daemon.runtime}"
    argv = ["script", "-qec", command, "/dev/null"]
    said = world.lab.run("fw", argv, env=ENVIRONMENT).stdout
    assert f"inbound: {rule}" in said
