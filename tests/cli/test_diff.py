# SPDX-License-Identifier: GPL-2.0-or-later
"""`ringwall diff`: what a policy changes in meaning."""

import json

import pytest

from command import POLICY, run, script

OLD = """\
ringwall: 1
zones:
  lan: [10.0.0.0/8, "fd00::/8"]
  vpn: { interfaces: [wg0] }
inbound:
  - { allow: ssh, from: lan }
  - { allow: https }
  - { allow: 8000/tcp, limit: 3/minute }
"""

NEW = """\
ringwall: 1
zones:
  lan: [10.0.0.0/8, "fd00::/8"]
  vpn: { interfaces: [wg0] }
inbound:
  - { allow: ssh, from: [lan, vpn] }
  - { allow: 8000/tcp, limit: 4/minute }
  - { allow: postgresql, from: 10.0.0.0/8 }
routed:
  - { allow: any, from: vpn, to: lan }
outbound:
  default: drop
nat:
  - { masquerade: vpn, out: eth0 }
"""

EXPECTED = """\
inbound:
  + newly reachable: tcp 22 (ssh) from anywhere but lan in wg0 (new.yaml:6)
  + newly reachable: tcp 5432 (postgresql) from lan (IPv4) (new.yaml:8)
  - no longer reachable: tcp 443 (https) (policy.yaml:7)
  ~ within another limit: tcp 8000, within 4/minute burst 4, before 3/minute burst 3 (new.yaml:7)
routed:
  + newly reachable: any protocol from vpn to lan (new.yaml:10)
outbound:
  - no longer reachable: any protocol (outbound default: allow)
masqueraded:
  + newly translated: any protocol from vpn out eth0 (IPv4)
  + newly translated: any protocol from fc00::/7 in wg0 out eth0
"""


@pytest.fixture
def diff(policy):
    def answer(old, new, *options):
        return run("diff", policy(old), policy(new, "new.yaml"), *options)

    return answer


def without_folders(text, tmp_path):
    return text.replace(f"{tmp_path}/", "")


def test_each_change_is_told_with_the_line_that_makes_it(diff, tmp_path):
    result = diff(OLD, NEW)
    assert without_folders(result.stdout, tmp_path) == EXPECTED
    assert result.returncode == 8


def test_another_text_with_the_same_meaning_is_no_difference(diff):
    other = OLD.replace("{ allow: https }", "{ allow: 443/tcp, name: shop }").replace("allow: ssh", "allow: 22/tcp")
    result = diff(OLD, other)
    assert result.stdout == "the same meaning: every connection fares alike\n"
    assert result.returncode == 0


def test_what_is_only_so_at_this_host_itself_is_said(diff, tmp_path):
    guard = "protected:\n  - { services: postgresql }\n"
    result = diff("ringwall: 1\n" + guard, "ringwall: 1\ninbound: [{ allow: 8080/tcp }]\n" + guard)
    assert without_folders(result.stdout, tmp_path) == """\
inbound:
  + newly reachable: tcp 8080, at this host itself (new.yaml:2)
published:
  + newly reachable: tcp 8080, ending at any port but 5432 (new.yaml:2)
"""


def test_what_is_no_usual_packet_is_counted_and_listed_as_json(diff):
    strict = OLD + "settings: { antispoof: strict }\n"
    result = diff(OLD, strict)
    assert result.returncode == 8
    assert "packets that are not what they seem" in result.stdout
    regions = json.loads(diff(OLD, strict, "--json").stdout)["regions"]
    assert regions and all(r["unusual"] for r in regions)
    assert {r["change"] for r in regions} >= {"no longer reachable"}


def test_json_has_a_packet_and_a_line_for_each_region(diff):
    result = diff(OLD, NEW, "--json")
    assert result.returncode == 8
    answer = json.loads(result.stdout)
    assert answer["same"] is False and answer["more"] is False
    first = answer["regions"][1]
    assert first["region"] == "tcp 5432 (postgresql) from lan"
    assert first["ways"] == ["inbound", "published"]
    assert first["families"] == ["IPv4"]
    assert first["line"] == 8
    assert first["packet"].startswith("tcp from 10.")


def test_many_regions_are_cut_and_json_has_them_all(diff):
    rules = "".join(f"  - {{ allow: {2000 + i * 3}/tcp, from: 192.0.{i}.0/24 }}\n" for i in range(70))
    new = f"ringwall: 1\ninbound:\n{rules}"
    result = diff("ringwall: 1\n", new)
    assert result.stdout.splitlines()[-1] == "and 20 more regions: --json has them"
    assert len(result.stdout.splitlines()) == 52
    assert len(json.loads(diff("ringwall: 1\n", new, "--json").stdout)["regions"]) == 70


@pytest.mark.parametrize("args", [[], [POLICY], [POLICY, POLICY, POLICY], ["--live"], ["--live", POLICY, POLICY],
                                  [POLICY, POLICY, "--nonsense"]])
def test_wrong_arguments_are_usage_errors(args):
    result = run("diff", *args)
    assert result.returncode == 2
    assert "Try 'ringwall diff --help'." in result.stderr


@pytest.mark.parametrize("wrong", ["first", "second"])
def test_a_policy_that_is_not_valid_is_not_compared(diff, wrong):
    bad = "ringwall: 1\ninbound: [{ allow: nonsense }]\n"
    result = diff(bad, OLD) if wrong == "first" else diff(OLD, bad)
    assert result.returncode == 3
    assert "nonsense" in result.stderr
    assert result.stdout == ""


LIVE = '"$RINGWALL" load "$1" >/dev/null; set +e; "$RINGWALL" diff --live "$2"; echo "exit $?"'


def test_what_is_in_force_is_compared_with_its_own_policy(policy):
    path = policy(OLD)
    result = script(LIVE, path, path)
    assert result.stdout == "the same meaning: every connection fares alike\nexit 0\n", result.stderr


def test_what_is_in_force_is_compared_with_another_policy(policy, tmp_path):
    result = script(LIVE, policy(OLD), policy(NEW, "new.yaml"))
    lines = without_folders(result.stdout, tmp_path).splitlines()
    assert "  + newly reachable: tcp 5432 (postgresql) from lan (IPv4) (new.yaml:8)" in lines
    assert "  - no longer reachable: tcp 443 (https) (policy.yaml:7: allow https)" in lines
    assert lines[-1] == "exit 8"


def test_nothing_in_force_is_nothing_to_compare(policy):
    result = script('"$RINGWALL" diff --live "$1" || echo "exit $?"', policy(OLD))
    assert result.stdout == "exit 1\n"
    assert "no policy is loaded" in result.stderr
