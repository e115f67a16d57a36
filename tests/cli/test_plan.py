# SPDX-License-Identifier: GPL-2.0-or-later
"""`ringwall plan`: what load would change, said before it does; each in a namespace of its own."""

import json
import subprocess

import pytest

from command import ENVIRONMENT, POLICY, RINGWALL, TIMEOUT, run, script

BASE = """\
ringwall: 1
zones:
  lan: [10.40.10.0/24, "fd00:40:10::/64"]
inbound:
  - { allow: ssh, from: lan }
  - { allow: https }
  - { allow: 8000/tcp, from: lan, name: preview }
protected:
  - { services: postgresql }
"""


@pytest.fixture
def plan(policy):
    """Loads one policy, plans another one in its place, after an optional command between them."""

    def answer(before, after, *options, between=":"):
        old = policy(before) if before else ""
        loaded = '"$RINGWALL" load "$1" >/dev/null;' if before else ""
        # the same path, so that only what is said differs
        new = policy(after, "new.yaml")
        text = (f'{loaded} {between}; cp "$2" "$3"; shift 3; set +e; "$RINGWALL" plan "$@"; echo "exit $?" >&2')
        path = old or new.replace("new.yaml", "policy.yaml")
        result = script(text, old, new, path, *options, path)
        assert result.stderr.splitlines()[-1].startswith("exit "), result.stderr
        result.returncode = int(result.stderr.splitlines()[-1][5:])
        return result

    return answer


def lines(result, sign):
    return [line[4:] for line in result.stdout.splitlines() if line.startswith(f"  {sign} ")]


def test_a_policy_that_is_in_force_needs_no_change(plan):
    result = plan(BASE, BASE)
    assert result.returncode == 0
    assert "load would change nothing" in result.stdout


def test_on_an_empty_host_everything_comes(plan):
    result = plan(None, BASE)
    assert result.returncode == 8
    assert "no policy is in force" in result.stdout
    assert "policy.yaml:6: allow https" in lines(result, "+")
    assert "policy.yaml:9: protected postgresql" in lines(result, "+")
    assert not lines(result, "-")


def test_rules_come_go_and_change_by_name_and_line(plan):
    after = BASE.replace("  - { allow: https }\n", "").replace("allow: 8000/tcp", "allow: 8001/tcp")
    after = after.replace("protected:", "  - { allow: http }\nprotected:")
    result = plan(BASE, after)
    assert result.returncode == 8
    assert lines(result, "+") == ["policy.yaml:7: allow http"]
    assert lines(result, "-") == ["policy.yaml:6: allow https"]
    assert "policy.yaml:6: preview" in lines(result, "~")
    assert "- tcp 8000: ip saddr @lan-ipv4 accept" in result.stdout
    assert "+ tcp 8001: ip saddr @lan-ipv4 accept" in result.stdout


def test_a_line_that_is_rewritten_changes(plan):
    result = plan(BASE, BASE.replace("allow: ssh, from: lan", "allow: [ssh, ping], from: lan"))
    assert lines(result, "~") == ["policy.yaml:5: allow ssh, ping from lan"]
    assert "was: allow ssh from lan" in result.stdout
    assert not lines(result, "+") and not lines(result, "-")


def test_an_empty_line_only_moves_rules(plan):
    after = BASE.replace("inbound:", "\n\ninbound:")
    result = plan(BASE, after)
    assert result.returncode == 8  # the kernel keeps the lines' numbers
    assert not [line for sign in "+-~" for line in lines(result, sign)]
    assert "4 only move" in result.stdout
    assert "policy.yaml:8: allow https" in lines(plan(BASE, after, "-v"), "=")


def test_zones_change_with_the_number_of_their_elements(plan):
    result = plan(BASE, BASE.replace("10.40.10.0/24", "10.40.10.0/25, 10.50.0.1"))
    assert lines(result, "~") == ["lan (IPv4 addresses): 2 come, 1 goes"]


def test_a_default_changes(plan):
    result = plan(BASE + "routed: drop\n", BASE + "routed: reject\n")
    assert "policy.yaml:10: routed default: reject" in " ".join(lines(result, "~"))
    assert "was: routed default: drop" in result.stdout


def test_a_deny_that_takes_everything_from_an_allow_says_so(plan):
    denied = BASE.replace("- { allow: https }", "- { allow: https }\n  - { deny: https }")
    result = plan(BASE, denied)
    assert "policy.yaml:7: deny https" in lines(result, "+")
    assert "policy.yaml:6: allow https" in lines(result, "-")
    assert "the policy still says so" in result.stdout


def test_what_somebody_else_put_into_the_table_goes(plan):
    result = plan(BASE, BASE, between="nft add rule inet ringwall inbound ip saddr 6.6.6.6 accept")
    assert result.returncode == 8
    assert "not from the policy, chain inbound" in result.stdout
    assert lines(result, "-") == ["ip saddr 6.6.6.6 accept"]


def test_a_table_that_was_put_to_sleep_is_not_called_in_force(plan):
    result = plan(BASE, BASE, between="nft add table inet ringwall '{ flags dormant; }'")
    assert result.returncode == 8
    assert "asleep" in result.stdout


def test_a_bridge_that_was_made_since_is_seen(plan):
    result = plan(BASE, BASE, between="ip link add br-x type bridge")
    assert result.returncode == 8
    assert "this host's bridges (bridge-frames): 1 comes" in lines(result, "~")


def test_verbose_tells_of_chains_and_rules(plan):
    result = plan(BASE, BASE.replace("{ allow: https }", "{ allow: [https, http] }"), "-v")
    assert "kernel: lookups" in result.stdout
    assert "inbound-tcp: 2 come, 1 goes" in lines(result, "~")
    assert "inbound-tcp-80" in " ".join(lines(result, "+"))
    assert "+ counter accept comment \"policy.yaml:6: allow https, http\"" in result.stdout


def test_json_has_it_all(plan):
    result = plan(BASE, BASE.replace("allow: https", "allow: http"), "--json")
    assert result.returncode == 8
    answer = json.loads(result.stdout)
    assert answer["differs"] and answer["loaded"]
    rule = next(r for r in answer["rules"] if r["change"] == "changes")
    assert rule["section"] == "inbound" and rule["from_policy"]
    assert rule["rule"] == "policy.yaml:6: allow http"
    assert rule["was"] == "policy.yaml:6: allow https"
    assert rule["before"] == ["tcp 443: accept"] and rule["after"] == ["tcp 80: accept"]
    assert {chain["name"]: chain["change"] for chain in answer["chains"]}["inbound-tcp-80"] == "comes"
    same = plan(BASE, BASE, "--json")
    assert same.returncode == 0 and json.loads(same.stdout)["differs"] is False


def test_a_plan_changes_nothing_and_load_does_what_it_said(policy):
    old, new = policy(BASE), policy(BASE.replace("allow: https", "allow: http"), "new.yaml")
    result = script(
        '"$RINGWALL" load "$1"; nft -a list ruleset >"$3/a"; "$RINGWALL" plan "$2" || test $? = 8;'
        'nft -a list ruleset >"$3/b"; cmp "$3/a" "$3/b"; "$RINGWALL" load "$2"; "$RINGWALL" plan "$2"',
        old, new, str(new).rsplit("/", 1)[0])
    assert result.returncode == 0, result.stdout + result.stderr


def test_an_invalid_policy_has_no_plan(policy):
    result = run("plan", policy("ringwall: 1\ninbound: [{ allow: nonsense }]\n"), namespace=True)
    assert result.returncode == 3
    assert "nonsense" in result.stderr and result.stdout == ""


def test_a_plan_wants_privileges():
    result = subprocess.run(
        ["unshare", "-n", "setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin", RINGWALL, "plan", POLICY],
        capture_output=True, text=True, timeout=TIMEOUT, env=ENVIRONMENT)
    assert result.returncode == 4
    assert "CAP_NET_ADMIN" in result.stderr
