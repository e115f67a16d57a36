# SPDX-License-Identifier: GPL-2.0-or-later
"""The package on a machine with systemd: what it brings, how confined the daemon is and what it can do
all the same, and what it takes to get rid of it."""

import json
import re

import pytest
from administrator import Administrator
from lab import wait_until
from stream import ALLOWED, POLICY, Stream, assert_nothing_wrong

DAEMON, LOCKDOWN = "ringwalld.service", "ringwall-lockdown.service"
NOTIFY = "ringwall-notify.service"
AGREE = "ringwall ringwall/remove boolean true\n"
SSH = "ringwall: 1\ninbound: [{ allow: ssh, from: anywhere }]\n"


@pytest.fixture(scope="module", name="guarded")
def make_guarded(yard, armed):
    machine = yard.machine(armed)
    machine.boot()
    yield machine
    yard.retire(machine)


# the daemon's thread that looks at who changes rules may go before everybody else, and what stands in
# the tables of the old iptables is told by a socket of the Internet's
@pytest.mark.parametrize("unit, most", [(DAEMON, 2.4), (LOCKDOWN, 1.9), (NOTIFY, 1.9)])
def test_units_are_sound_and_confined(guarded, unit, most):
    assert guarded.run("systemd-analyze", "verify", "--man=no", unit).stderr == ""
    said = guarded.run("systemd-analyze", "security", "--no-pager", unit).stdout
    level = re.search(r"Overall exposure level for \S+: (\d\.\d) OK", said)
    assert level and float(level[1]) <= most, said


def test_the_daemon_has_the_privileges_that_it_needs_and_no_more(guarded):
    pid = guarded.show(DAEMON, "MainPID")
    status = guarded.run("cat", f"/proc/{pid}/status").stdout
    has = {int(mask, 16) for mask in re.findall(r"^Cap(?:Prm|Eff|Bnd):\s+(\w+)$", status, re.M)}
    net_admin, sys_ptrace, dac_read_search = 1 << 12, 1 << 19, 1 << 2
    assert has == {net_admin | sys_ptrace | dac_read_search}
    assert re.search(r"^NoNewPrivs:\s+1$", status, re.M)
    assert re.search(r"^Seccomp:\s+2$", status, re.M)


@pytest.mark.parametrize("folder", ["/root", "/home/alice", "/tmp", "/srv", "/mnt/mounted-later"])
def test_a_policy_may_stand_anywhere(guarded, folder):
    guarded.run("mkdir", "-m", "700", "-p", folder)
    if folder.endswith("later"):
        guarded.run("mount", "-t", "tmpfs", "tmpfs", folder)
    if folder.startswith("/home"):
        guarded.run("chown", "1000:1000", folder)
    guarded.run("sh", "-c", f"umask 077; cat >{folder}/new.yaml", text=POLICY)
    done = guarded.run("ringwall", "apply", "--dry-run", f"{folder}/new.yaml", check=False)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"


def test_members_of_the_group_may_look_and_others_may_not(guarded):
    guarded.run("useradd", "-G", "ringwall", "observer")
    guarded.run("useradd", "stranger")

    def status(user):
        return guarded.run("setpriv", f"--reuid={user}", "--init-groups", f"--regid={user}",
                           "ringwall", "status", check=False)  # fmt: skip

    assert status("observer").returncode == 0
    refused = status("stranger")
    assert refused.returncode == 4 and "members of the group 'ringwall'" in refused.stderr


def test_confined_as_it_is_it_proves_what_other_programs_leave_of_the_policy(guarded):
    """In a copy of itself, which ends with the proof and has nothing that the daemon has not."""

    def claims():
        return json.loads(guarded.run("ringwall", "status", "--json").stdout)["claims"]

    # there from now on, with nothing in it: it is known for harmless only to who may read it
    guarded.run_from_outside("iptables-legacy", "-t", "nat", "-L")
    expecting = POLICY + f"expect: [{{ allow: {ALLOWED}/tcp }}]\n"
    guarded.run("sh", "-c", "cat >/srv/claims.yaml", text=expecting)
    guarded.run("ringwall", "apply", "--no-confirm", "/srv/claims.yaml")
    wait_until(lambda: claims()["known"] and claims()["broken"] == [], 20, "a proof")
    drop = f"type filter hook input priority 0; tcp dport {ALLOWED} drop"
    guarded.run("nft", f"table inet other {{ chain c {{ {drop}; }}; }}")
    wait_until(lambda: claims()["broken"], 20, "what is broken")
    (broken,) = claims()["broken"]
    assert broken["answer"] == "refuted" and "inet other, chain c" in broken["why"], broken
    told = guarded.run("journalctl", "-o", "cat", "RINGWALL_EVENT=alert").stdout
    assert f"allow {ALLOWED}/tcp" in told and "nft delete rule inet other c handle" in told, told
    guarded.run("nft", "delete table inet other")
    wait_until(lambda: claims()["broken"] == [], 20, "all to hold")


def test_who_takes_it_out_of_the_next_boot_is_seen(guarded):
    def events():
        return guarded.run("ringwall", "events", "-n", "50").stdout

    assert "boot" not in guarded.run("ringwall", "status").stdout
    guarded.run("systemctl", "disable", "ringwalld")
    assert "systemctl enable ringwalld" in guarded.run("ringwall", "status").stdout
    doctor = guarded.run("ringwall", "doctor", check=False)
    assert doctor.returncode == 8 and "its unit is disabled" in doctor.stdout, doctor.stdout
    assert "does not run" not in doctor.stdout
    guarded.run("systemctl", "stop", "ringwalld")
    doctor = guarded.run("ringwall", "doctor", check=False)
    assert doctor.returncode == 8 and "ringwalld does not run" in doctor.stdout, doctor.stdout
    refused = guarded.run("ringwall", "unload", "--yes", check=False)
    assert refused.returncode == 4 and "systemctl start ringwalld" in refused.stderr
    guarded.run("systemctl", "restart", "ringwalld")  # or within a minute
    wait_until(lambda: "after the next boot nothing will be in force" in events(), 20, "the event")
    guarded.run("systemctl", "enable", "ringwalld")
    assert "next boot" not in guarded.run("ringwall", "status").stdout.split("last ")[0]


def test_what_can_be_gone_back_to_is_completed(guarded):
    words = ["/usr/share/ringwall/complete", "ringwall", "rollback", ""]
    assert [line.split()[0] for line in guarded.run(*words).stdout.splitlines()][-1] == "1"


def test_who_is_named_is_told_of_events_by_a_user_without_any_power(guarded):
    pid = guarded.show(NOTIFY, "MainPID")
    status = guarded.run("cat", f"/proc/{pid}/status").stdout
    assert {int(mask, 16) for mask in re.findall(r"^Cap\w+:\s+(\w+)$", status, re.M)} == {0}
    told = "/var/lib/ringwall-notify/told"
    program = f"#!/bin/sh\nid -un >>{told}; cat >>{told}; touch /etc/x /root/x /var/lib/x; exit 0\n"
    guarded.run("sh", "-c", "cat >/usr/local/bin/tell; chmod 755 /usr/local/bin/tell", text=program)
    alerts = 'settings: { alerts: { run: /usr/local/bin/tell, webhook: "http://127.0.0.1:9/" } }\n'
    guarded.run("sh", "-c", "cat >/srv/alerts.yaml", text=alerts + POLICY)
    guarded.run("ringwall", "apply", "--no-confirm", "/srv/alerts.yaml")
    guarded.run("ringwall", "panic", "on", "--i-have-console")
    guarded.run("ringwall", "panic", "off")
    wait_until(
        lambda: '"kind":"panic"' in guarded.run("cat", told, check=False).stdout, 20, "the alert"
    )
    assert guarded.run("cat", told).stdout.startswith("ringwall-notify\n{")
    for path in ("/etc/x", "/root/x", "/var/lib/x"):
        assert guarded.run("test", "-e", path, check=False).returncode == 1
    wait_until(lambda: "onnect to 127.0.0.1 port 9" in guarded.tell(NOTIFY), 20, "the URL's failure")
    # it outlives the daemon, which may start anew in a lockdown
    guarded.run("systemctl", "kill", "--signal=KILL", DAEMON)
    wait_until(lambda: guarded.show(DAEMON, "NRestarts") != "0", 20, "the daemon's restart")
    wait_until(lambda: guarded.run("ringwall", "status", check=False).returncode == 0, 20, "the daemon")
    assert guarded.show(NOTIFY, "MainPID") == pid
    guarded.run("ringwall", "panic", "on", "--i-have-console")
    guarded.run("ringwall", "panic", "off")
    wait_until(lambda: guarded.run("cat", told).stdout.count('"panic: only') == 2, 20, "the next")


# --- over SSH: whether the confined daemon finds out who asks --------------------------------------


@pytest.fixture(name="ssh")
def make_ssh(machine, tmp_path):
    """Runs commands in a machine on which SSH is allowed."""
    administrator = Administrator(machine, tmp_path)
    machine.boot()
    machine.apply(SSH)
    machine.run("systemctl", "unmask", "ssh")
    machine.run("systemctl", "start", "ssh")
    yield administrator
    administrator.hang_up()


def test_a_change_is_confirmed_from_a_new_connection_only(machine, ssh):
    machine.write_policy(SSH + "routed: drop\nprotected: [{ services: ollama }]\n")
    applied = ssh("ringwall", "apply", new=False)
    assert applied.returncode == 9, f"{applied.stdout}{applied.stderr}{machine.tell()}"
    assert "203.0.113.2" in applied.stdout
    again = ssh("ringwall", "confirm", new=False)
    assert again.returncode != 0 and "connect anew" in again.stderr
    confirmed = ssh("ringwall", "confirm")
    assert confirmed.returncode == 0, f"{confirmed.stdout}{confirmed.stderr}"
    assert machine.status()["number"] == 3


def test_who_would_lock_himself_out_is_told_and_nothing_changes(machine, ssh):
    machine.write_policy(POLICY)
    refused = ssh("ringwall", "apply")
    assert refused.returncode == 7, f"{refused.stdout}{refused.stderr}{machine.tell()}"
    assert machine.status()["number"] == 2 and ssh("true").returncode == 0


# --- the way out ----------------------------------------------------------------------------------


def test_a_host_that_is_guarded_stays_so_unless_somebody_agrees(machine):
    machine.boot()
    stream = Stream(machine)
    refused = machine.run("dpkg", "--force-unsafe-io", "--purge", "ringwall", check=False)
    assert refused.returncode != 0
    assert "nobody has agreed" in refused.stderr and "debconf-set-selections" in refused.stderr
    assert machine.show(DAEMON, "ActiveState") == "active"
    assert machine.status()["state"] == "closed"

    machine.path("/etc/fail2ban").mkdir()
    machine.path("/etc/fail2ban/jail.local").write_text("[DEFAULT]\nbanaction = ringwall\n")
    machine.run("debconf-set-selections", text=AGREE)
    removed = machine.run("dpkg", "--force-unsafe-io", "--purge", "ringwall")
    assert "give it another banaction" in removed.stderr
    assert "stay in the kernel until the next boot" in removed.stderr
    assert "nft delete table inet ringwall" in removed.stderr
    # closed as before, though nothing of the program is left
    stream.runs()
    assert_nothing_wrong(stream.stop())
    assert machine.tables() == ["inet ringwall"]
    assert machine.run("systemctl", "cat", DAEMON, check=False).returncode != 0
    listed = machine.run("sh", "-c", "find /etc /lib/systemd /usr /var -xdev -iname '*ringwall*'").stdout
    left = [path for path in listed.splitlines() if not path.startswith("/var/log/")]
    assert left == ["/etc/ringwall"], "the policy is its administrator's"
    # what it has told to do does it
    machine.run("nft", "delete", "table", "inet", "ringwall")
    assert machine.tables() == []


def test_where_nothing_was_confirmed_there_is_nothing_to_ask(yard, installed):
    machine = yard.machine(installed)
    machine.boot()
    machine.run("dpkg", "--force-unsafe-io", "--purge", "ringwall")
    assert machine.run("systemctl", "is-active", DAEMON, check=False).stdout.strip() == "inactive"
    assert not machine.path("/var/lib/ringwall").exists()
    yard.retire(machine)


def test_what_was_removed_and_is_installed_again_guards_at_once(yard, machine):
    machine.boot()
    machine.path("/root/ringwall.deb").write_bytes(yard.package.read_bytes())
    machine.run("debconf-set-selections", text=AGREE)
    machine.run("dpkg", "--force-unsafe-io", "--remove", "ringwall")
    machine.power_off()
    machine.plug_in()
    machine.boot()
    assert machine.tables() == []
    machine.run("dpkg", "--force-unsafe-io", "-i", "/root/ringwall.deb")
    wait_until(lambda: machine.status()["state"] == "closed", 30, "the policy")
    stream = Stream(machine)
    stream.runs()
    assert_nothing_wrong(stream.stop())
