# SPDX-License-Identifier: GPL-2.0-or-later
"""What a person sees of `ringwall`: help, mistakes on the command line, exit codes, answers."""

import json
import os
import pathlib
import socket
import subprocess
import threading

import pytest

from command import POLICY, RINGWALL, ROOT, on_terminal, run

VERBS = ["init", "check", "show", "explain", "list", "diff", "schema", "plan", "edit", "allow", "deny", "remove", "load", "unload"]


def explain(question, path=POLICY, *args):
    result = run("explain", question, path, "--json", *args)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


# --- help and usage -------------------------------------------------------------------------------


def test_help_lists_every_command_with_examples():
    result = run("--help")
    assert result.returncode == 0
    for verb in VERBS:
        assert f"\n  {verb} " in result.stdout
    assert "Examples:" in result.stdout


@pytest.mark.parametrize("verb", VERBS)
def test_each_command_has_help_with_examples(verb):
    result = run(verb, "--help")
    assert result.returncode == 0
    assert f"Usage: ringwall {verb}" in result.stdout
    assert "Examples:" in result.stdout
    assert result.stderr == ""


def test_no_command_is_a_usage_error_that_shows_the_help():
    result = run()
    assert result.returncode == 2
    assert "Commands:" in result.stderr


def test_a_misspelt_command_gets_a_suggestion():
    result = run("chekc")
    assert result.returncode == 2
    assert "Did you mean 'ringwall check'?" in result.stderr


def test_standard_input_is_nothing_that_the_daemon_could_read():
    result = run("apply", "-", "--runtime-dir", "/nonexistent")
    assert result.returncode == 2
    assert "the daemon reads the policy itself" in result.stderr


@pytest.mark.parametrize("args", [
    ["check", "--nonsense"],
    ["check", POLICY, POLICY],
    ["show", "--live", POLICY],
    ["explain"],
    ["explain", "tcp from 1.2.3.4 to 22", POLICY, POLICY],
    ["list"],
    ["list", "users"],
    ["load", POLICY, POLICY],
    ["plan", POLICY, POLICY],
    ["plan", "--live"],
    ["schema", POLICY],
    ["unload"],
    ["unload", "--yes", "now"],
])
def test_a_wrong_command_line_is_exit_2_and_says_where_help_is(args):
    result = run(*args, namespace=True)
    assert result.returncode == 2
    assert f"Try 'ringwall {args[0]} --help'." in result.stderr


def test_the_version_is_one_line():
    result = run("--version")
    assert result.returncode == 0
    assert result.stdout.startswith("ringwall ") and result.stdout.count("\n") == 1


# --- check ----------------------------------------------------------------------------------------


def test_check_accepts_every_ready_policy():
    for path in sorted((ROOT / "policies").glob("*.yaml")):
        if path.name != "catalogue.yaml":
            result = run("check", str(path))
            assert result.returncode == 0, result.stderr
            assert "valid" in result.stdout


def test_check_reports_an_absent_file_with_its_name():
    result = run("check", "/nonexistent/policy.yaml")
    assert result.returncode == 3
    assert "/nonexistent/policy.yaml" in result.stderr


def test_check_reads_standard_input():
    result = run("check", "-", stdin="ringwall: 1\n")
    assert result.returncode == 0, result.stderr


def test_check_json_holds_the_place_and_the_hint(policy):
    result = run("check", "--json", policy("ringwall: 1\ninbound:\n  - { alow: ssh }\n"))
    assert result.returncode == 3
    answer = json.loads(result.stdout)
    assert answer["valid"] is False
    assert answer["messages"][0]["line"] == 3
    assert "allow" in answer["messages"][0]["hint"]


def test_nothing_is_coloured_when_no_terminal_reads():
    for result in (run("check", POLICY), run("check", "-", stdin="ringwall: 2\n")):
        assert "\033" not in result.stdout + result.stderr


def test_stop_after_prints_each_stage_and_refuses_an_unknown_one():
    lower = run("check", POLICY, "--stop-after=lower")
    assert lower.returncode == 0 and "tcp dport" in lower.stdout and "vmap" not in lower.stdout
    assert "vmap" in run("check", POLICY, "--stop-after=dispatch").stdout
    unknown = run("check", POLICY, "--stop-after=magic")
    assert unknown.returncode == 2 and "dispatch" in unknown.stderr


# --- show -----------------------------------------------------------------------------------------


def test_nft_loads_what_show_prints(tmp_path):
    text = run("show", POLICY).stdout
    path = tmp_path / "ruleset.nft"
    path.write_text(text)
    subprocess.run(["unshare", "-n", "nft", "-f", str(path)], check=True, timeout=60)


def test_show_json_names_every_chain():
    answer = json.loads(run("show", "--json", POLICY).stdout)
    names = {chain["name"] for chain in answer["chains"]}
    assert {"input", "forward", "output", "inbound", "routed", "outbound"} <= names
    for chain in answer["chains"]:
        if "hook" in chain:
            assert chain["policy"] == "drop"
            assert chain["rules"][-1]["verdict"] == "drop"


def test_show_live_says_that_nothing_is_loaded():
    result = run("show", "--live", namespace=True)
    assert result.returncode == 1
    assert "no policy is loaded" in result.stderr


# --- explain --------------------------------------------------------------------------------------


@pytest.mark.parametrize("question, verdict, why", [
    ("tcp from 203.0.113.9 to 11434 in eth0", "drop", "protected ollama"),
    ("tcp from 10.40.10.7 to 22 in eth0", "accept", "allow ssh"),
    ("tcp from fd00:40:10::7 to 22 in eth0", "accept", "allow ssh"),
    ("tcp from 203.0.113.9 to 22 in eth0", "drop", "inbound default: drop"),
    ("tcp from 203.0.113.9 to 22 in wg0", "accept", "allow ssh"),
    ("tcp from 203.0.113.9 to 443 in eth0", "accept", "allow https"),
    ("tcp from 203.0.113.9 to 172.17.0.2:80 dialled 203.0.113.1:8080 in eth0 out docker0", "drop",
     "inbound default: drop"),
    ("tcp from 203.0.113.9 to 172.17.0.2:5678 dialled 203.0.113.1:443 in eth0 out docker0", "drop",
     "protected ollama"),
    ("tcp from 203.0.113.9 to 172.17.0.2:80 in eth0 out docker0", "drop", "routed default: drop"),
    ("tcp from 172.17.0.2 to 198.51.100.1:443 in docker0 out eth0", "accept",
     "always: containers may connect outward"),
    ("tcp from 172.17.0.2 to 11434 in docker0", "drop", "protected ollama"),
    ("tcp from 172.17.0.2 to 172.17.0.3:9999 in docker0 bridged", "accept", "frames within a bridge"),
    ("tcp from host to 198.51.100.1:443 out eth0", "accept", "outbound default: allow"),
    ("tcp from host to 127.0.0.1:8000", "accept", "always: loopback is free"),
    ("TCP from 203.0.113.9 to 443 in eth0 state established", "accept", "always: established"),
    ("tcp from 203.0.113.9 to 443 in eth0 state invalid", "drop", "always: invalid"),
    ("tcp from 10.99.0.1 to 443 in eth0 source unrouted", "drop",
     "always: no interface leads back to the source"),
    ("esp from 2001:db8::1 to ::1 in eth1", "drop", "always: a loopback address from outside"),
    ("tcp from 203.0.113.9 to :443 in eth0", "accept", "allow https"),
    ("icmpv6 nd-neighbor-solicit from fe80::1 to fe80::2 in eth0 hop-limit 255", "accept",
     "neighbour discovery (RFC 4861)"),
])
def test_explain_names_the_line_that_decides(question, verdict, why):
    answer = explain(question)
    assert answer["verdict"] == verdict
    assert why in answer["rule"]


def test_explain_points_at_the_policys_line():
    answer = explain("tcp from 203.0.113.9 to 443 in eth0")
    line = pathlib.Path(POLICY).read_text().splitlines()[answer["line"] - 1]
    assert "allow: https" in line


def test_explain_reads_questions_from_standard_input():
    result = run("explain", "-", POLICY, "--json", stdin="tcp from 10.40.10.7 to 22\n\ntcp from 203.0.113.9 to 22\n")
    assert [json.loads(line)["verdict"] for line in result.stdout.splitlines()] == ["accept", "drop"]


@pytest.mark.parametrize("question, problem", [
    ("", "ends where a protocol should stand"),
    ("tpc from 1.2.3.4 to 22", "'tpc' is not a protocol"),
    ("icmp from 1.2.3.4 to 10.0.0.1", "as in icmp echo-request from 203.0.113.9"),
    ("tcp form 1.2.3.4 to 22", "did you mean 'from'?"),
    ("tcp from 1.2.3.4 to 70000", "'70000' is not a port"),
    ("tcp from example.org to 22", "'example.org' is not an address"),
    ("tcp from 1.2.3.4 to [fd00::1]:22", "IPv4 and IPv6"),
    ("tcp from 1.2.3.4", "to which port"),
    ("tcp to 22", "from where"),
    ("icmp shout from 1.2.3.4 to 10.0.0.1", "'shout' is not a type"),
    ("tcp from 1.2.3.4 to 22 in", "an interface should stand"),
    ("tcp from 1.2.3.4 to 22 state odd", "'odd' is not new"),
    ("tcp from 1.2.3.4 to 22 to 80", "'to' is said twice"),
    ("tcp from 1.2.3.0/24 to 22", "one address, not a network"),
    ("tcp from lan to 22", "names and zones are not looked up"),
    ("tcp from fd00::1 to fd00::2:443", "[IPV6-ADDRESS]:PORT"),
    ("tcp from host to 1.2.3.4:22 in eth0", "does not arrive"),
    ("esp from 1.2.3.4 to 22", "has no ports"),
])
def test_a_question_that_cannot_be_read_is_exit_2_with_the_reason(question, problem):
    result = run("explain", question, POLICY)
    assert result.returncode == 2
    assert problem in result.stderr


# --- list -----------------------------------------------------------------------------------------


def test_list_shows_the_catalogue_and_the_policys_own():
    services = json.loads(run("list", "services", POLICY, "--json").stdout)
    ollama = next(s for s in services if s["name"] == "ollama")
    assert ollama == {"name": "ollama", "defined": "catalogue", "internal": True, "means": "11434/tcp"}
    zones = json.loads(run("list", "zones", POLICY, "--json").stdout)
    assert next(z for z in zones if z["name"] == "vpn")["means"] == "wg0"
    table = run("list", "zones", POLICY).stdout
    assert table.splitlines()[0].split()[0] == "ZONE"


def test_list_works_without_a_policy():
    result = run("list", "services")
    if not os.path.exists("/etc/ringwall/policy.yaml"):
        assert result.returncode == 0, result.stderr
        assert "postgresql" in result.stdout


# --- load and unload ------------------------------------------------------------------------------


def test_load_wants_privileges():
    result = subprocess.run(
        ["unshare", "-n", "setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin", RINGWALL, "load", POLICY],
        capture_output=True, text=True, timeout=60,
        env=dict(os.environ, RINGWALL_DATADIR=str(ROOT / "policies")))
    assert result.returncode == 4
    assert "CAP_NET_ADMIN" in result.stderr


def test_an_invalid_policy_is_not_loaded_and_leaves_what_is_in_force(tmp_path, policy):
    broken = policy("ringwall: 1\ninbound: [{ allow: nonsense }]\n", "broken.yaml")
    script = (f"'{RINGWALL}' load '{POLICY}' && '{RINGWALL}' show --live > '{tmp_path}/before';"
              f"'{RINGWALL}' load '{broken}'; code=$?; '{RINGWALL}' show --live > '{tmp_path}/after'; exit $code")
    result = subprocess.run(["unshare", "-n", "sh", "-c", script], capture_output=True, text=True, timeout=60,
                            env=dict(os.environ, RINGWALL_DATADIR=str(ROOT / "policies")))
    assert result.returncode == 3, result.stderr
    assert "nonsense" in result.stderr
    assert (tmp_path / "before").read_text() == (tmp_path / "after").read_text()


def test_an_installed_ringwall_finds_its_catalogue_below_any_prefix(tmp_path):
    binary = tmp_path / "prefix/bin/ringwall"
    data = tmp_path / "prefix/share/ringwall"
    binary.parent.mkdir(parents=True)
    data.mkdir(parents=True)
    binary.write_bytes(pathlib.Path(RINGWALL).read_bytes())
    binary.chmod(0o755)
    (data / "catalogue.yaml").write_text((ROOT / "policies/catalogue.yaml").read_text())
    environment = {k: v for k, v in os.environ.items() if k != "RINGWALL_DATADIR"}
    result = subprocess.run([str(binary), "check", POLICY], capture_output=True, text=True, timeout=60, env=environment)
    assert result.returncode == 0, result.stderr


# --- narrow terminals -----------------------------------------------------------------------------


@pytest.mark.parametrize("args", [["--help"], ["list", "policies"], ["list", "services"], ["list", "zones"]])
def test_nothing_is_wider_than_a_terminal_of_80_columns(args):
    too_wide = [line for line in on_terminal(80, *args).splitlines() if len(line) > 80]
    assert not too_wide


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_a_table_breaks_no_word(columns):
    shown = on_terminal(columns, "list", "policies")
    assert shown.split() == run("list", "policies").stdout.split()


# --- what cannot be written -----------------------------------------------------------------------


@pytest.mark.parametrize("args", [["show", POLICY], ["check", POLICY], ["list", "services", POLICY], ["--help"]])
def test_an_answer_that_cannot_be_written_is_a_failure(args):
    with open("/dev/full", "w") as full:
        result = subprocess.run([RINGWALL, *args], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60,
                                env=dict(os.environ, RINGWALL_DATADIR=str(ROOT / "policies")))
    assert result.returncode == 1
    assert "cannot write the answer" in result.stderr


def test_explain_says_when_it_takes_a_destination_for_this_hosts_own():
    result = run("explain", "tcp from 10.40.10.7 to 10.40.10.1:22 in eth0", POLICY)
    assert "taken for this host's own" in result.stdout
    result = run("explain", "tcp from 10.40.10.7 to 10.1.1.1:22 in eth0 forwarded", POLICY)
    assert "add: out INTERFACE" in result.stdout


def test_a_files_name_cannot_talk_to_the_terminal(tmp_path):
    path = tmp_path / "a\033[31mb.yaml"
    path.write_text("ringwall: 2\n")
    assert "\033" not in run("check", str(path)).stderr


# --- a daemon of another version ------------------------------------------------------------------


@pytest.mark.parametrize("error, parameters, says", [
    ("org.varlink.service.MethodNotFound", {"method": "io.ringwall.Drops"}, "does not know io.ringwall.Drops"),
    ("org.varlink.service.InvalidParameter", {"parameter": "number"}, "does not take the 'number'"),
])
def test_a_daemon_that_does_not_understand_is_told_with_a_way_out(tmp_path, error, parameters, says):
    with socket.socket(socket.AF_UNIX) as daemon:
        daemon.bind(str(tmp_path / "io.ringwall"))
        daemon.listen()
        daemon.settimeout(60)

        def answer():
            connection = daemon.accept()[0]
            with connection:
                connection.recv(65536)
                connection.sendall(json.dumps({"error": error, "parameters": parameters}).encode() + b"\0")

        server = threading.Thread(target=answer)
        server.start()
        result = run("drops", "--runtime-dir", str(tmp_path))
        server.join()
    assert result.returncode == 1
    assert says in result.stderr and "systemctl restart ringwalld" in result.stderr


def test_a_list_has_room_for_a_million_networks_whatever_is_said_of_them(tmp_path):
    policy, many = tmp_path / "policy.yaml", 1_000_000
    policy.write_text("ringwall: 1\nzones: { them: { file: them } }\ninbound: [{ deny: any, from: them }]\n")
    lines = [f"{1 + (i >> 16)}.{i >> 8 & 255}.{i & 255}.0/24" for i in range(many)]
    (tmp_path / "them").write_text("# whom nobody wants\n\n" + "\n".join(lines) + "\n")
    result = run("check", policy)
    assert result.returncode == 0, result.stderr
    with open(tmp_path / "them", "a", encoding="ascii") as f:
        f.write("203.0.113.9\n")
    result = run("check", policy)
    assert result.returncode == 3
    assert f"them:{many + 3}:1: error: a zone's list has at most {many} addresses" in result.stderr
