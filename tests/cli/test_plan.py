# SPDX-License-Identifier: GPL-2.0-or-later
"""`ringwall plan`: what load would change, said before it does; each in a namespace of its own."""

import json
import re
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
    assert "load would change no rule" in result.stdout


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
    result = plan(BASE, after, "-v")
    assert result.returncode == 8
    assert "policy.yaml:7: allow http" in lines(result, "+")
    assert "policy.yaml:6: allow https" in lines(result, "-")
    assert "policy.yaml:6: preview" in lines(result, "~")
    assert "- tcp 8000: ip saddr @lan-ipv4 accept" in result.stdout
    assert "+ tcp 8001: ip saddr @lan-ipv4 accept" in result.stdout


def test_the_meaning_comes_first_and_what_it_tells_is_not_told_again(plan):
    after = BASE.replace("allow: https", "allow: http").replace("name: preview", "name: preview, log: yes")
    result = plan(BASE, after)
    said = re.sub(r"\(/.*/policy.yaml", "(policy.yaml", result.stdout).splitlines()
    assert said[:4] == [
        "ringwall load would change this in this network namespace:",
        "inbound:",
        "  + newly reachable: tcp 80 (http), at this host itself (policy.yaml:6)",
        "  - no longer reachable: tcp 443 (https), at this host itself (policy.yaml:6: allow https)",
    ]
    detail = said[said.index("in detail:"):]
    assert not any("policy.yaml:6" in line for line in detail)
    assert "  ~ policy.yaml:7: preview" in detail, "logged from now on, which no packet notices"


WORD_FOR_WORD = """\
ringwall load would change this in this network namespace:
inbound:
  + newly reachable: udp 53 (dns) from 10.0.0.0/8 (policy.yaml:5)
  - no longer reachable: tcp 443 (https) from lan (IPv4) (policy.yaml:5: allow https from lan)
  ~ reachable within a limit only: tcp 8000, within 9/minute burst 9 (policy.yaml:6)
outbound:
  - no longer reachable: any protocol (outbound default: allow)
rules of the policy: 3 change (-v shows each of them)
"""


def test_the_whole_answer_word_for_word(plan):
    head = "ringwall: 1\nzones: { lan: [10.40.10.0/24] }\ninbound:\n"
    before = head + "  - { allow: ssh, from: lan }\n  - { allow: https, from: lan }\n  - { allow: 8000/tcp }\n"
    after = before.replace("allow: https, from: lan", "allow: 53/udp, from: 10.0.0.0/8")
    after = after.replace("8000/tcp", "8000/tcp, limit: 9/minute") + "outbound: drop\n"
    result = plan(before, after)
    assert re.sub(r"\(/.*/policy.yaml", "(policy.yaml", result.stdout) == WORD_FOR_WORD
    assert result.stderr == "exit 8\n"


def test_rules_without_a_meaning_of_their_own_have_the_same_meaning(plan):
    result = plan(BASE, BASE.replace("allow: https }", "allow: https, log: yes }"))
    assert "the same meaning: every connection fares alike" in result.stdout
    assert lines(result, "~") == ["policy.yaml:6: allow https"]


def test_a_line_that_is_rewritten_changes(plan):
    result = plan(BASE, BASE.replace("allow: ssh, from: lan", "allow: [ssh, ping], from: lan"), "-v")
    assert "policy.yaml:5: allow ssh, ping from lan" in lines(result, "~")
    assert "was: allow ssh from lan" in result.stdout
    assert "rules of the policy: 1 changes\n" in result.stdout


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
    result = plan(BASE, denied, "-v")
    assert "policy.yaml:7: deny https" in lines(result, "+")
    assert "policy.yaml:6: allow https" in lines(result, "-")
    assert "the policy still says so" in result.stdout


def test_what_somebody_else_put_into_the_table_goes(plan):
    result = plan(BASE, BASE, between="nft add rule inet ringwall inbound ip saddr 6.6.6.6 accept")
    assert result.returncode == 8
    assert "not from the policy, chain inbound" in result.stdout
    assert lines(result, "-") == ["ip saddr 6.6.6.6 accept"]


def test_where_the_meaning_cannot_be_known_rules_are_told(plan):
    foreign = "nft add rule inet ringwall inbound meta priority 1:2 accept"
    result = plan(BASE, BASE.replace("allow: https", "allow: http"), between=foreign)
    assert result.returncode == 8
    assert "what that means for connections is not known" in result.stdout
    assert "policy.yaml:6: allow http" in lines(result, "~")
    answer = json.loads(plan(BASE, BASE.replace("allow: https", "allow: http"), "--json", between=foreign).stdout)
    assert "not ringwall's" in answer["meaning"]["unknown"]


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
