# SPDX-License-Identifier: GPL-2.0-or-later
"""What other programs' rules make of the policy's claims: told of with a packet that really comes in,
with whoever made them, and again when it is over."""

import contextlib
import re
import shlex
import signal
import threading
import time
from pathlib import Path

import pytest

from lab import wait_until
from program import PROGRAM, ringwall
from sshd import ADMIN, PORT, log_in, sshd
from test_events import events
from test_verify import EXPECTING, other, relay

LONG = 20  # seconds; what is waited for comes far sooner
PATIENCE = 2  # seconds for which what should be let in may be shut before it is told of
MOVING = 10  # seconds after which what is proved counts although links still change
PORTS = 40
OFF = "settings: { ownership: off }\n"
POLICY = EXPECTING.replace("  - allow: https\n", "  - allow: https\n  - allow: 9000/tcp\n")
REDIRECT = other("prerouting", "tcp dport 8443 redirect to :22", "nat", -100)
DROP = other("input", "ip saddr 203.0.113.0/24 tcp dport 443 reject")
PACKET = re.compile(r"(?:tcp|udp) from (\S+) to (\S+) port (\d+), arriving by (\w+)")


@pytest.fixture(name="daemon")
def make_daemon(world, running):
    """With the policy in force, and all claims proved."""
    running.mark = 0
    assert running.apply(OFF + POLICY, "--no-confirm")[0] == 0
    wait_until(lambda: claims(running)["known"], LONG, "the first proof")
    whole(running)
    running.mark = max(e["number"] for e in events(running))
    yield running
    world.lab.run("fw", ["nft", "delete table inet other"], check=False)
    whole(running)


def claims(daemon):
    return daemon.status()["claims"]


def proved(daemon):
    """Until a proof was made that began after now."""
    now = time.time() * 1e6
    # what brings one without changing anything: an address comes and goes
    for word in ("add", "del"):
        daemon.world.lab.run("fw", ["ip", "addr", word, "198.18.0.1/32", "dev", "lo"])
    wait_until(lambda: claims(daemon)["known"] and claims(daemon)["proved"] > now, LONG, "a proof")


def broken(daemon, word, answer="refuted"):
    def find():
        found = [c for c in claims(daemon)["broken"] if word in c["claim"]]
        return found and found[0]["answer"] == answer and found[0]

    wait_until(find, LONG, f"{word} to be {answer}")
    return find()


def whole(daemon):
    wait_until(lambda: claims(daemon)["broken"] == [], LONG, "all claims to hold")


def told(daemon, kind, word):
    """By this test's events."""
    found = (e for e in events(daemon) if e["number"] > daemon.mark and e["kind"] == kind)
    return [e["text"] for e in found if word in e["text"]]


def send(world, packet):
    """The packet that a claim was refuted with, from where it says that it comes: what answers."""
    source, target, port, interface = PACKET.search(packet).groups()
    assert interface == "eth0", packet
    for command in (f"addr replace {source}/24 dev eth0", f"route replace {target} via 203.0.113.1"):
        if not (command.startswith("route") and target.startswith("203.0.113.")):
            world.lab.run("wan", ["ip", *command.split()])
    return world.talk.reach("wan", target, int(port), source=source)


def test_a_new_translation_is_an_alert_with_a_packet_that_comes_in(world, daemon):
    before = time.time() * 1e6
    world.lab.nft(REDIRECT)
    claim = broken(daemon, "deny ssh")
    assert before < claim["since"] < time.time() * 1e6
    assert "inet other, chain theirs" in claim["why"]
    (alert,) = told(daemon, "alert", "deny ssh")
    assert claim["why"] in alert and "holds no longer" in alert and "changed by nft (process" in alert
    assert send(world, alert) == "open"
    # what it says to do is what helps
    remedy = claim["why"].split("to take it out: ")[1]
    world.lab.run("fw", shlex.split(remedy))
    whole(daemon)
    assert send(world, alert) != "open"
    (over,) = told(daemon, "holds", "deny ssh")
    assert re.search(r"holds again, after \d+\.\d s; rules were changed meanwhile by nft", over), over
    assert len(told(daemon, "alert", "deny ssh")) == 1  # once


def test_iptables_is_named_like_any_other(world, daemon):
    rule = "PREROUTING -p tcp --dport 8443 -j REDIRECT --to-ports 22"
    world.lab.run("fw", ["iptables-nft", "-t", "nat", "-I", *rule.split()])
    claim = broken(daemon, "deny ssh")
    assert "ip nat, chain PREROUTING" in claim["why"]
    (alert,) = told(daemon, "alert", "deny ssh")
    assert "changed by iptables" in alert and send(world, alert) == "open"
    world.lab.run("fw", ["iptables-nft", "-t", "nat", "-D", *rule.split()])
    whole(daemon)
    world.lab.run("fw", ["nft", "delete table ip nat"])


def test_a_rule_that_sends_packets_on_by_loopback_is_an_alert_with_that_rule(world, daemon):
    world.lab.nft(
        "table netdev turning {\n    chain c { type filter hook ingress device eth0 priority 0\n"
        '        tcp dport 22 ether daddr set 00:00:00:00:00:00 fwd to "lo"\n    }\n}\n'
    )
    claim = broken(daemon, "deny ssh")
    assert "netdev turning, chain c" in claim["why"] and "sends it on" in claim["why"]
    (alert,) = told(daemon, "alert", "deny ssh")
    assert "changed by nft (process" in alert and send(world, alert) == "open"
    remedy = claim["why"].split("to take it out: ")[1]
    assert remedy.startswith("nft delete rule netdev turning c handle ")
    world.lab.run("fw", shlex.split(remedy))
    whole(daemon)
    assert send(world, alert) != "open"
    world.lab.run("fw", ["nft", "delete table netdev turning"])


def test_what_another_table_refuses_breaks_an_allow(world, daemon):
    world.lab.nft(DROP)
    claim = broken(daemon, "allow https to")
    assert "table inet other" in claim["why"] and send(world, claim["why"]) != "open"
    done = ringwall(world.lab, "status", "--runtime-dir", str(daemon.runtime))
    first = done.stdout.splitlines()[0]
    assert first.startswith("broken") and "allow https to" in first and "does not hold" in first
    world.lab.run("fw", ["nft", "flush ruleset"])  # ours as well, which comes back
    whole(daemon)
    assert world.reach("wan", "host", 443, 4) == "open"
    done = ringwall(world.lab, "status", "--runtime-dir", str(daemon.runtime))
    assert done.stdout.startswith("in force") and "8 proved" in done.stdout


def test_what_is_shut_for_a_moment_alone_is_no_alert(world, daemon):
    began = time.monotonic()
    world.lab.nft(DROP)
    wait_until(lambda: not claims(daemon)["known"] or claims(daemon)["broken"], LONG, "a proof that saw it")
    world.lab.run("fw", ["nft", "delete table inet other"])
    took = time.monotonic() - began
    proved(daemon)
    whole(daemon)
    assert took > PATIENCE or not (told(daemon, "alert", "allow https") or told(daemon, "holds", "allow https"))


def test_ports_of_bridges_that_come_one_after_the_other_are_no_alert(world, daemon):
    """As a container engine brings them: until the rules follow, a frame within a bridge is not told from
    one that is routed."""
    names = [f"new{n}" for n in range(PORTS)]
    began = time.monotonic()
    for name in names:
        # what is proved meanwhile is proved of rules that know some of them
        world.lab.ip("fw", f"link add {name} type veth peer name {name}p\nlink set {name} master docker0 up\n")
        world.lab.run("fw", ["nft", "list", "tables"])
    proved(daemon)
    took = time.monotonic() - began
    alerts = [e["text"] for e in events(daemon) if e["number"] > daemon.mark and e["kind"] in ("alert", "holds")]
    assert took > MOVING or not alerts, alerts
    for name in names:
        world.lab.ip("fw", f"link del {name}\n")


def test_what_nobody_can_decide_is_told_with_what_it_hangs_on(world, daemon):
    world.lab.nft(other("input", "meta cpu 7 tcp dport 443 drop"))
    claim = broken(daemon, "allow https to", "undecided")
    assert "cpu" in claim["why"]
    (text,) = told(daemon, "undecided", "allow https to")
    assert "is not known" in text and told(daemon, "alert", "") == []


def test_what_changes_no_claim_is_not_told(world, daemon):
    world.lab.nft(
        other("input", "accept", priority=-300)
        + "table ip quiet { chain raw { type filter hook prerouting priority -300\n"
        "tcp dport 9 notrack\n}\n}\n"
    )
    proved(daemon)
    assert claims(daemon)["broken"] == [] and events(daemon)[-1]["number"] == daemon.mark
    world.lab.run("fw", ["nft", "delete table ip quiet"])


def test_where_an_open_port_ends_is_a_notice(world, daemon):
    rule = 'iifname "eth0" ip daddr 203.0.113.1 tcp dport 9000 redirect to :443'
    world.lab.nft(other("prerouting", rule, "nat", -110))
    wait_until(lambda: told(daemon, "notice", "tcp port 9000 (IPv4)"), LONG, "the notice")
    (text,) = told(daemon, "notice", "")
    assert "ends now at this host port 443" in text and "by nft (process" in text, text
    assert claims(daemon)["broken"] == [] and world.reach("wan", "host", 9000, 4) == "open"
    world.lab.run("fw", ["nft", "delete table inet other"])
    wait_until(lambda: told(daemon, "notice", "translated no longer"), LONG, "its end")
    # what the policy refuses anyway ends nowhere
    world.lab.nft(other("prerouting", "tcp dport 9999 redirect to :11434", "nat", -110))
    proved(daemon)
    assert len(told(daemon, "notice", "")) == 2


def test_a_relay_is_found_when_anything_is_looked_at(world, daemon, tmp_path):
    child = relay(world, tmp_path, 8443, 11434)
    proved(daemon)
    claim = broken(daemon, "protected ollama")
    assert "docker-proxy" in claim["why"]
    child.kill()
    child.wait(timeout=LONG)
    proved(daemon)
    whole(daemon)


def test_a_daemon_that_starts_anew_tells_nothing_twice(world, daemon):
    world.lab.nft(REDIRECT)
    claim = broken(daemon, "deny ssh")
    daemon.stop(signal.SIGKILL)
    daemon.start()
    assert claim["since"] == broken(daemon, "deny ssh")["since"]
    proved(daemon)
    assert len(told(daemon, "alert", "deny ssh")) == 1
    daemon.stop()
    world.lab.run("fw", ["nft", "delete table inet other"])
    daemon.start()
    whole(daemon)
    assert len(told(daemon, "holds", "deny ssh")) == 1


def test_what_a_policy_only_watches_is_an_alert_of_its_claims_too(world, daemon):
    daemon.apply(OFF.replace("off", "off, drift: alert") + POLICY, "--no-confirm")
    before = daemon.status()["drift"]
    rule = "insert rule inet ringwall inbound iifname eth0 tcp dport 11434 accept"
    world.lab.run("fw", ["nft", rule])
    assert send(world, broken(daemon, "protected ollama")["why"]) == "open"
    drift = daemon.status()["drift"]
    assert drift["seen"] == before["seen"] + 1 and drift["undone"] == before["undone"]
    daemon.apply(OFF + POLICY, "--no-confirm")
    whole(daemon)


def test_a_storm_delays_neither_healing_nor_answers_and_hides_nothing(world, daemon):
    nft = world.lab.popen("fw", ["nft", "-i"], stdin=-1, stdout=-3, text=True)
    over = threading.Event()
    undone = daemon.status()["drift"]["undone"]

    def storm():
        nft.stdin.write("add table ip storm\nadd chain ip storm c\n")
        with contextlib.suppress(BrokenPipeError):  # it is ended with much still to do
            while not over.is_set():
                nft.stdin.write("add rule ip storm c accept\nflush chain ip storm c\n")
                nft.stdin.flush()

    thread = threading.Thread(target=storm)
    thread.start()
    try:
        wait_until(lambda: ("ip", "storm") in world.lab.tables(), LONG, "the storm")
        world.lab.run("fw", ["nft", "insert rule inet ringwall input accept"])
        wait_until(lambda: daemon.status()["drift"]["undone"] > undone, LONG, "the heal")
        world.lab.nft(REDIRECT)
    finally:
        over.set()
        nft.kill()
        thread.join()
        nft.wait(timeout=LONG)
        with contextlib.suppress(BrokenPipeError):
            nft.stdin.close()
    assert "from 2" in broken(daemon, "deny ssh")["why"]
    world.lab.run("fw", ["nft", "delete table ip storm"])


# --- the administrator's way in ---

WAY_IN = f"the way in from {ADMIN} to port {PORT}"


@pytest.fixture(name="listed")
def make_listed(world, daemon, tmp_path):
    """The policy admits the administrator by a list, and they have logged in."""
    listed = Path(world.folder) / "admins.txt"
    listed.write_text("10.40.10.0/24\n")
    policy = OFF + POLICY.replace("zones:\n", "zones:\n  admins: { file: admins.txt }\n", 1).replace(
        "inbound:\n", f"inbound:\n  - {{ allow: {PORT}/tcp, from: admins }}\n", 1
    )
    with sshd(world, tmp_path):
        assert daemon.apply(policy, "--no-confirm")[0] == 0
        client = log_in(world)
        yield listed
        client.close()


def test_a_rule_that_shuts_out_an_administrator_is_an_alert(world, daemon, listed):
    world.lab.nft(other("input", f"tcp dport {PORT} ct state new reject"))
    claim = broken(daemon, WAY_IN)
    assert "refused" in claim["why"] and "inet other, chain theirs" in claim["why"]
    assert len(told(daemon, "alert", WAY_IN)) == 1
    world.lab.run("fw", shlex.split(claim["why"].split("to take it out: ")[1]))
    whole(daemon)


def test_a_signal_that_would_lock_somebody_out_does_nothing(world, daemon, listed):
    listed.write_text("192.0.2.0/24\n")
    daemon.process.send_signal(signal.SIGHUP)
    wait_until(lambda: told(daemon, "failure", "could not come in again"), LONG, "the refusal")
    (text,) = told(daemon, "failure", "could not come in again")
    assert f"somebody came by {ADMIN} → {PORT}" in text
    assert world.reach("lan", "host:eth1", PORT, 4) == "open" and daemon.status()["state"] == "closed"
    # what leaves them in does what it says
    number = daemon.status()["number"]
    listed.write_text("10.40.10.0/24\n192.0.2.0/24\n")
    daemon.process.send_signal(signal.SIGHUP)
    wait_until(lambda: daemon.status()["number"] > number, LONG, "the new lists")


def test_a_confirmation_asks_all_tables_whether_one_could_come_again(world, daemon, listed):
    policy = (Path(world.folder) / "policy.yaml").read_text()
    assert daemon.apply(policy.replace("9000/tcp\n", "[9000/tcp, 9001/tcp]\n"))[0] == 9
    client = log_in(world)  # which shows that it could
    words = f"{PROGRAM} confirm --runtime-dir {daemon.runtime}".encode()
    world.lab.nft(other("input", f"tcp dport {PORT} ct state new reject"))
    client.sendall(words)
    answer = client.recv(4096).decode()
    assert answer.startswith("7 ") and "inet other, chain theirs" in answer, answer
    assert "--same-connection insists" in answer
    world.lab.run("fw", ["nft", "delete table inet other"])
    client.sendall(words)
    assert client.recv(4096).decode().startswith("0 ")
    client.close()
