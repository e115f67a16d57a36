# SPDX-License-Identifier: GPL-2.0-or-later
"""`ringwall list policies` and `ringwall init --from`: from a ready policy to one's own."""

import json
import os
import subprocess

import pytest

from command import ENVIRONMENT, RINGWALL, ROOT, TIMEOUT, run

READY = sorted(path.stem for path in (ROOT / "policies").glob("*.yaml") if path.stem != "catalogue")


def test_every_ready_policy_is_listed_with_what_it_is_for():
    listed = json.loads(run("list", "policies", "--json").stdout)
    assert [policy["name"] for policy in listed] == READY
    for policy in listed:
        assert len(policy["summary"]) > 20, policy
        assert os.path.exists(policy["file"])
    table = run("list", "policies").stdout
    assert table.splitlines()[0].split() == ["POLICY", "FOR"]
    assert all(name in table for name in READY)


def test_ready_policies_stand_in_no_file():
    result = run("list", "policies", "policy.yaml")
    assert result.returncode == 2 and "Try 'ringwall list --help'." in result.stderr


@pytest.mark.parametrize("name", READY)
def test_a_copy_has_every_word_and_is_valid(name, tmp_path):
    path = tmp_path / "mine.yaml"
    result = run("init", "--from", name, "-o", str(path))
    assert result.returncode == 0, result.stderr
    assert path.read_text() == (ROOT / f"policies/{name}.yaml").read_text()
    assert f"ringwall check {path}" in result.stdout
    assert run("check", str(path)).returncode == 0
    assert run("init", "--from", name, "-o", "-").stdout == path.read_text()


@pytest.mark.parametrize("umask", ["000", "077"])
def test_a_copy_can_be_written_by_its_owner_alone(umask, tmp_path):
    path = tmp_path / "mine.yaml"
    subprocess.run(["sh", "-c", f'umask {umask}; exec "$0" init --from ai-server -o "$1"', RINGWALL, str(path)],
                   check=True, capture_output=True, timeout=TIMEOUT, env=ENVIRONMENT)
    assert path.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("kind", ["file", "link to a file", "link to nowhere", "folder"])
def test_what_is_there_already_stays_as_it_is(kind, tmp_path):
    path, other = tmp_path / "mine.yaml", tmp_path / "other"
    if kind == "folder":
        path.mkdir()
    elif kind == "file":
        path.write_text("mine\n")
    else:
        path.symlink_to(other)
        if kind == "link to a file":
            other.write_text("mine\n")
    result = run("init", "--from", "ai-server", "-o", str(path))
    assert result.returncode == 1
    assert "is there already and stays as it is" in result.stderr
    if kind == "link to nowhere":
        assert not other.exists()
    elif kind != "folder":
        assert path.read_text() == "mine\n"


def test_without_a_file_it_is_the_hosts_policy_in_a_folder_of_its_own(tmp_path):
    """In a mount namespace with an empty /etc."""
    script = ('mount --make-rprivate / && mount -t tmpfs none /etc && "$0" init --from ai-server &&'
              ' stat -c %a /etc/ringwall && cat /etc/ringwall/policy.yaml; "$0" init --from ai-server; echo "exit $?"')
    result = subprocess.run(["unshare", "-m", "sh", "-c", script, RINGWALL], capture_output=True, text=True,
                            timeout=TIMEOUT, env=ENVIRONMENT)
    assert "ringwall check\n" in result.stdout
    assert "\n755\n" in result.stdout
    assert (ROOT / "policies/ai-server.yaml").read_text() in result.stdout
    assert result.stdout.endswith("exit 1\n"), result.stderr


def test_a_disk_that_is_full_leaves_no_half_of_a_policy(tmp_path):
    script = ('mount --make-rprivate / && mount -t tmpfs -o size=4k none "$1" && dd if=/dev/zero of="$1/x" bs=4096'
              ' count=1 2>/dev/null; "$0" init --from ai-server -o "$1/mine.yaml"; code=$?; ls "$1"; exit $code')
    result = subprocess.run(["unshare", "-m", "sh", "-c", script, RINGWALL, str(tmp_path)], capture_output=True,
                            text=True, timeout=TIMEOUT, env=ENVIRONMENT)
    assert result.returncode == 1
    assert "No space left" in result.stderr
    assert result.stdout == "x\n"


@pytest.mark.parametrize("args, code, problem", [
    (["--from", "ai-server", "--public", "https"], 2, "copied as it is"),
    (["--from", "ai-server", "--yes"], 2, "copied as it is"),
    (["--from", "ai-server", "policy.yaml"], 2, "-o FILE"),
    (["--from", "ai-srever"], 1, "did you mean 'ai-server'?"),
    (["--from", "../catalogue"], 1, "there is no ready policy"),
    (["--from", "catalogue"], 1, "there is no ready policy"),
    (["--from", "ai-server", "-o", "/nonexistent/mine.yaml"], 1, "No such file or directory"),
])
def test_what_cannot_be_done_is_said(args, code, problem):
    result = run("init", *args)
    assert result.returncode == code
    assert problem in result.stderr


def test_an_installation_without_policies_says_what_is_missing(tmp_path):
    environment = {**ENVIRONMENT, "RINGWALL_DATADIR": str(tmp_path / "nowhere")}
    for args in (["list", "policies"], ["init", "--from", "ai-server"]):
        result = run(*args, env=environment)
        assert result.returncode == 1
        assert str(tmp_path / "nowhere") in result.stderr
