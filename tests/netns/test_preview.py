# SPDX-License-Identifier: GPL-2.0-or-later
"""What a change would mean, before it is made: which connections fare otherwise, and which open ones
it ends. What is shown is compared with what then happens."""

import json

import pytest

from conntrack import Conntrack
from lab import wait_until
from program import ENVIRONMENT, PROGRAM
from talk import exchange
from world import EXAMPLE, accept_from, with_inbound

OPEN = with_inbound("{ allow: [ssh, https, http] }")


@pytest.fixture(name="daemon")
def make_daemon(daemon):
    daemon.start()
    yield daemon
    if daemon.is_running():
        say(daemon, "unload", "--yes")


def connect(world, who, where, port, server=None):
    outcome, client = world.talk.dial(who, world.address(where, 4), port)
    assert outcome == "open"
    pair = client, accept_from(world, server or ("fw", port), client)
    assert exchange(*pair)
    return pair


def say(daemon, verb, *words, env=None):
    """As people read it."""
    place = ["--runtime-dir", str(daemon.runtime)] if verb != "plan" else []
    done = daemon.world.lab.run(
        "fw", [PROGRAM, verb, *words, *place], check=False, env={**ENVIRONMENT, **(env or {})}
    )
    return done


def lines(text):
    return [line.strip() for line in text.splitlines()]


def peer(pair):
    return pair[0].getsockname()[0]


def is_cut(pair):
    client, server = pair
    client.sendall(b"still there?")
    server.settimeout(0.3)
    try:
        return not server.recv(100)
    except TimeoutError:
        return True


def test_what_is_shown_is_what_is_cut(world, daemon):
    assert daemon.apply(OPEN, "--no-confirm")[0] == 0
    gone = [connect(world, "wan", "host", 22) for _ in range(3)]
    stays = connect(world, "wan", "host", 443)
    new = world.file(EXAMPLE, "new.yaml")
    for end in connect(world, "wan", "host", 22):
        end.close()  # conntrack remembers it for two minutes more
    wait_until(lambda: "once it is confirmed: 3\n" in say(daemon, "plan", new).stdout, 20, "its end")
    done = say(daemon, "apply", new)
    assert done.returncode == 9, done.stderr
    said = lines(done.stdout)
    assert said[0] == "ringwall apply changes this on this host:"
    meaning = next(i for i, line in enumerate(said) if line.startswith("- no longer reachable: tcp 22"))
    heading = said.index("open connections that it does not admit, to be cut once it is confirmed: 3")
    assert said[heading + 1] == f"tcp 22 (ssh) from {peer(gone[0])}: 3"
    force = next(i for i, line in enumerate(said) if "is in force: change" in line)
    assert meaning < heading < force
    assert "443" not in "".join(said[heading:force]), "what stays is not listed"
    assert not any(is_cut(pair) for pair in gone), "until it is confirmed nothing is cut"
    code, answer = daemon.ask("confirm")
    assert code == 0 and answer["cut"] == 3
    assert all(is_cut(pair) for pair in gone) and exchange(*stays)
    # they are cut, and so would not be once more
    again = say(daemon, "plan", world.file(EXAMPLE.replace("- allow: https", "- allow: [https, http]"), "new.yaml"))
    assert again.returncode == 8 and "newly reachable: tcp 80 (http)" in again.stdout
    assert "open connections" not in again.stdout


def test_a_first_policy_tells_what_it_would_end_also_what_conntrack_does_not_know(world, daemon):
    outside = connect(world, "lan", "host:eth1", 9000)
    with world.lab.inside("fw"):
        Conntrack().flush()  # as where nothing asked for it before
    done = say(daemon, "apply", world.file(EXAMPLE, "first.yaml"), "--dry-run")
    assert done.returncode == 0, done.stderr
    said = lines(done.stdout)
    assert said[0] == "no policy is in force on this host; ringwall apply would bring:"
    assert "to be cut once it is confirmed" in done.stdout
    assert [line for line in said if "is published closes" in line and line.endswith("ringwall exposure")]
    assert f"tcp 9000 (whisper-asr) from {peer(outside)}: 1" in said, done.stdout
    assert said[-1] == "nothing was done: --dry-run"
    code, answer = daemon.apply(EXAMPLE, "--no-confirm")
    assert code == 0 and answer["meaning"] is None
    shown = answer["connections"]
    assert shown["complete"] and shown["cut"] and shown["number"] == answer["cut"] >= 1
    assert is_cut(outside)


def test_what_passes_and_what_this_host_opened_is_listed_with_where_it_goes(world, daemon):
    assert daemon.apply("ringwall: 1\ninbound: [{ allow: any, from: anywhere }]\n", "--no-confirm")[0] == 0
    published = connect(world, "wan", "host", 8080, server=("c1", 80))
    own = connect(world, "fw", "wan", 443, server=("wan", 443))
    text = "ringwall: 1\ninbound: [{ allow: ssh }]\noutbound: [{ allow: ssh }]\n"
    code, answer = daemon.apply(text, "--dry-run")
    assert code == 0
    groups = {g["service"]: g for g in answer["connections"]["groups"]}
    assert groups["tcp 8080"]["from"] == peer(published)
    assert groups["tcp 8080"]["to"] == world.address("host", 4), "as it was dialled"
    assert groups["tcp 443 (https)"]["to"] == world.address("wan", 4)
    assert "from" not in groups["tcp 443 (https)"]
    assert not is_cut(published) and not is_cut(own), "a dry run"
    code, done = daemon.apply(text, "--no-confirm")
    assert code == 0 and done["cut"] == answer["connections"]["number"]
    assert is_cut(published) and is_cut(own)


def test_more_than_ten_are_counted_the_most_first(world, daemon):
    assert daemon.apply("ringwall: 1\ninbound: [{ allow: any, from: anywhere }]\n", "--no-confirm")[0] == 0
    ports = range(20001, 20013)
    servers = world.talk.listen("fw", *ports)
    for port, server in zip(ports, servers):
        world.servers["fw", port] = server
    held = [connect(world, "wan", "host", port) for port in [*ports, 20012]]
    done = say(daemon, "plan", world.file(EXAMPLE, "few.yaml"))
    assert done.returncode == 8, done.stderr
    said = lines(done.stdout)
    assert said[0] == "ringwall apply would change this on this host:"
    at = said.index(f"open connections that it does not admit, to be cut once it is confirmed: {len(held)}")
    assert said[at + 1] == f"tcp 20012 from {peer(held[0])}: 2"
    assert said[at + 10].startswith("tcp 20009 ") and said[at + 11] == "and 2 more"


def test_what_is_left_open_is_called_so(world, daemon):
    assert daemon.apply(OPEN, "--no-confirm")[0] == 0
    held = connect(world, "wan", "host", 22)
    text = "settings: { cut-denied: no }\n" + EXAMPLE
    done = say(daemon, "apply", world.file(text), "--no-confirm")
    assert done.returncode == 0, done.stderr
    assert "does not admit, and leaves open (settings.cut-denied): 1" in done.stdout
    assert exchange(*held)


def test_mistakes_are_told_once_and_nothing_else(world, daemon):
    assert daemon.apply(EXAMPLE, "--no-confirm")[0] == 0
    done = say(daemon, "apply", world.file(EXAMPLE.replace("allow: https", "allow: shttps")))
    assert done.returncode == 3 and done.stdout == ""
    assert done.stderr.count("there is no service 'shttps'") == 1
    warned = with_inbound("{ allow: https, from: 10.1.0.0/16 }", "{ allow: http }")
    done = say(daemon, "apply", world.file(warned))
    assert done.returncode == 9 and done.stderr.count("warning:") == 1, done.stderr


def test_in_a_panic_its_error_is_all_there_is(world, daemon):
    assert daemon.apply(EXAMPLE, "--no-confirm")[0] == 0
    assert daemon.ask("panic", "on", "--i-have-console")[0] == 0
    new = world.file(OPEN, "other.yaml")
    for words in (("apply", new), ("allow", "http", "--policy", new), ("edit", new)):
        done = say(daemon, *words, env={"EDITOR": "false"})
        assert done.returncode == 1 and done.stdout == "", words
        assert "panic is on" in done.stderr and "ringwall panic off" in done.stderr
    done = say(daemon, "apply", new, "--dry-run")
    assert done.returncode == 0 and done.stdout.startswith("note: a panic is on")
    assert daemon.ask("panic", "off")[0] == 0


def test_allow_says_what_it_does_and_dry_what_it_would(world, daemon):
    policy = world.file(EXAMPLE, "own.yaml")
    assert daemon.ask("apply", policy, "--no-confirm")[0] == 0
    held = connect(world, "lan", "host:eth1", 22)
    words = ("deny", "ssh", "from", "lan", "--policy", policy)
    done = say(daemon, *words, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "ringwall deny would change this on this host:" in done.stdout
    assert "- no longer reachable: tcp 22 (ssh) from lan" in done.stdout
    assert f"tcp 22 (ssh) from {peer(held)}: 1" in done.stdout
    done = say(daemon, *words, "--no-confirm", "--json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["connections"]["number"] == answer["cut"] == 1 and is_cut(held)
    assert [r["change"] for r in answer["meaning"]["regions"]][:1] == ["no longer reachable"]
    done = say(daemon, "remove", "1", "--policy", policy, "--no-confirm")
    assert "ringwall remove changes this on this host:" in done.stdout
    assert "+ newly reachable: tcp 22 (ssh) from lan" in done.stdout


def test_load_beside_the_daemon_names_it_and_what_to_do(world, daemon):
    assert daemon.apply(EXAMPLE, "--no-confirm")[0] == 0
    done = world.lab.run(
        "fw",
        [PROGRAM, "load", world.file(OPEN)],
        check=False,
        env={**ENVIRONMENT, "RINGWALL_RUNTIME_DIR": str(daemon.runtime)},
    )
    assert done.returncode == 4 and "ringwalld keeps ringwall's table" in done.stderr
    assert "ringwall apply" in done.stderr and "netlink port" not in done.stderr
    assert world.reach("wan", "host", 80, 4) == "dropped"


def test_who_is_not_root_is_told_what_to_do(world, daemon):
    """Not root, and yet able to read wherever the program was built."""
    able = ["--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search"]
    policy = world.file(EXAMPLE, "own.yaml")
    place = ["--runtime-dir", str(daemon.runtime)]
    for words in (["edit", policy], ["allow", "http", "--policy", policy], ["apply", policy], ["status"]):
        done = world.lab.run(
            "fw",
            ["setpriv", "--reuid", "65534", "--clear-groups", *able, PROGRAM, *words, *place],
            check=False,
            env=ENVIRONMENT,
        )
        assert done.returncode == 4 and done.stdout == "", (words, done.stderr)
        assert f"sudo ringwall {words[0]}" in done.stderr and "may call" not in done.stderr, words
        assert ("usermod -aG ringwall" in done.stderr) == (words == ["status"])


BESIDE = """\
settings
  ~ drift: heal → alert
bans
  ~ max: 1000000 → 7
"""


def test_what_stands_beside_the_rules_is_told(world, daemon):
    assert daemon.apply(OPEN, "--no-confirm")[0] == 0
    own = {"RINGWALL_RUNTIME_DIR": str(daemon.runtime)}
    new = world.file(OPEN + "settings: { drift: alert }\nbans: { max: 7 }\n")
    done = say(daemon, "plan", new, env=own)
    head, _, rest = done.stdout.partition("\n")
    assert done.returncode == 8 and rest == BESIDE, done.stdout
    assert head.endswith("ringwall apply would change no rule, only what stands beside them:")
    beside = json.loads(say(daemon, "plan", "--json", new, env=own).stdout)["beside"]
    assert beside[1] == {"change": "changes", "section": "bans", "key": "max", "before": "1000000", "after": "7"}
    done = say(daemon, "apply", new, "--no-confirm")
    assert done.returncode == 0 and BESIDE in done.stdout
    assert say(daemon, "plan", new, env=own).returncode == 0
    # whoever does not ask the daemon knows nothing of it
    done = say(daemon, "plan", world.file(OPEN), env={"RINGWALL_RUNTIME_DIR": "/nowhere"})
    assert done.returncode == 0 and "max" not in done.stdout


def test_the_first_policy_brings_what_stands_beside_its_rules(world, daemon):
    new = world.file(OPEN + "settings: { confirm: 60s }\n")
    done = say(daemon, "apply", new, "--dry-run")
    assert "settings\n  + confirm: 60s\n" in done.stdout
    assert "confirm" not in say(daemon, "plan", new, env={"RINGWALL_RUNTIME_DIR": "/nowhere"}).stdout
