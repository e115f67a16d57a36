# SPDX-License-Identifier: GPL-2.0-or-later
"""packaging/install and packaging/uninstall, into a folder that stands for a host."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
BUILD = ROOT / "build/release"
POLICY = ROOT / "policies/web-server.yaml"
SECONDS = 300


def call(*words, before=""):
    """In a network namespace of its own, in which a policy may be in force."""
    script = f'{before}\nexec "$@"'
    return subprocess.run(
        ["unshare", "-n", "sh", "-ec", script, "sh", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )


def tree(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.fixture(name="host")
def make_host(tmp_path):
    """What other programs have there."""
    (tmp_path / "usr/local/share/man/man1").mkdir(parents=True)
    (tmp_path / "usr/local/share/man/man1/other.1").write_text("")
    return tmp_path


def install(host, *options):
    done = call(ROOT / "packaging/install", "--build", BUILD, "--destdir", host, *options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def uninstall(host, *options, before=""):
    return call(ROOT / "packaging/uninstall", "--destdir", host, *options, before=before)


def test_everything_is_put_where_it_is_looked_for_and_nothing_stays(host):
    before = tree(host)
    said = install(host)
    assert "Nothing has been opened or closed" in said
    for path in (
        "bin/ringwall",
        "sbin/ringwalld",
        "sbin/ringwall-lockdown",
        "sbin/ringwall-notify",
        "lib/systemd/system/ringwalld.service",
        "lib/systemd/system/ringwall-lockdown.service",
        "lib/systemd/system/ringwall-notify.service",
        "lib/sysusers.d/ringwall.conf",
        "share/man/man8/ringwalld.8",
        "share/man/man8/ringwall-lockdown.8",
        "share/man/man8/ringwall-notify.8",
        "share/ringwall/catalogue.yaml",
        "share/bash-completion/completions/ringwall",
        "share/zsh/site-functions/_ringwall",
        "share/fish/vendor_completions.d/ringwall.fish",
    ):
        assert (host / "usr/local" / path).is_file(), path
    unit = (host / "usr/local/lib/systemd/system/ringwalld.service").read_text()
    assert "\nExecStart=/usr/local/sbin/ringwalld\n" in unit
    assert "exec /usr/local/sbin/ringwalld --lockdown=if-open" in unit
    assert "\nExecStopPost=+/usr/local/sbin/ringwall-lockdown\n" in unit
    program = host / "usr/local/bin/ringwall"
    assert "ollama" in call(program, "list", "services").stdout
    assert call(program, "check", POLICY).returncode == 0

    done = uninstall(host)
    assert done.returncode == 0, done.stderr
    assert tree(host) == before


def test_units_of_another_prefix_go_where_systemd_finds_them(host):
    install(host, "--prefix=/opt/ringwall")
    unit = host / "etc/systemd/system/ringwalld.service"
    assert "\nExecStart=/opt/ringwall/sbin/ringwalld\n" in unit.read_text()
    assert uninstall(host, "--prefix=/opt/ringwall").returncode == 0
    assert not unit.exists() and not (host / "opt").exists()


def test_an_older_version_leaves_nothing_behind(host):
    before = tree(host)
    install(host)
    stale = host / "usr/local/share/ringwall/policies/of-yesterday.yaml"
    stale.write_text("")
    with open(host / "usr/local/share/ringwall/installed", "a", encoding="ascii") as listed:
        listed.write("/usr/local/share/ringwall/policies/of-yesterday.yaml\n")
    install(host)
    assert not stale.exists()
    assert uninstall(host).returncode == 0
    assert tree(host) == before


def test_nothing_is_taken_away_from_a_host_that_is_guarded(host):
    install(host)
    load = f"{host}/usr/local/bin/ringwall load {POLICY}"
    before = tree(host)
    for harm in ("in the kernel", "confirmed"):
        if harm == "confirmed":
            (host / "var/lib/ringwall").mkdir(parents=True)
            (host / "var/lib/ringwall/armed").write_text("")
            before, load = tree(host), ""
        refused = uninstall(host, before=load)
        assert refused.returncode == 1 and "a policy is in force" in refused.stderr, harm
        assert tree(host) == before
    done = uninstall(host, "--yes")
    assert done.returncode == 0 and "nft delete table inet ringwall" in done.stdout
    assert not (host / "usr/local/bin/ringwall").exists()
    assert (host / "var/lib/ringwall/armed").exists()


def test_where_nothing_was_installed_that_is_said(host):
    done = uninstall(host)
    assert done.returncode == 1 and "nothing was installed" in done.stderr
