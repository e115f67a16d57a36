# SPDX-License-Identifier: GPL-2.0-or-later
"""What `explain` says of rules that ask who owns a socket."""

import json

import pytest

from command import run

RULES = """ringwall: 1
outbound:
  default: reject
  rules:
    - { allow: smtp, user: 33 }
    - { allow: http, group: 0 }
    - { allow: https, user: [0, 33], group: 8 }
    - { deny: dns, user: 0 }
    - { allow: dns }
"""


@pytest.mark.parametrize("port, owner, verdict", [
    (25, "user 33", "accept"),
    (25, "user 33 group 33", "accept"),
    (25, "user 34", "reject"),
    (25, "", "reject"),
    (25, "group 0", "reject"),
    (80, "group 0", "accept"),
    (80, "user 33", "reject"),  # no group was named: not that of root
    (443, "user 33 group 8", "accept"),
    (443, "user 33", "reject"),
    (443, "group 8", "reject"),
    (53, "user 0", "reject"),
    (53, "group 0", "accept"),
    (53, "", "accept"),
])
def test_explain_knows_of_the_owner_what_the_question_says(tmp_path, port, owner, verdict):
    path = tmp_path / "policy.yaml"
    path.write_text(RULES)
    result = run("explain", f"tcp from host to 192.0.2.1:{port} out eth0 {owner}", str(path), "--json")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["verdict"] == verdict


def test_what_arrives_has_no_owner(tmp_path):
    path = tmp_path / "policy.yaml"
    path.write_text(RULES)
    for owner in ("user 0", "group 0"):
        result = run("explain", f"tcp from 192.0.2.1 to 22 {owner}", str(path))
        assert result.returncode == 2
        assert "say 'from host'" in result.stderr
