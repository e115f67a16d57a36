# SPDX-License-Identifier: GPL-2.0-or-later
"""ringwalld in a namespace: apply, confirm, undo, and what is in force after it died or started anew."""

import signal
import time

from daemon import FOR_EVERYBODY, QUICK, QUICK_SECONDS, own_table, reach
from fixtures import world_for
from lab import wait_until
from program import ENVIRONMENT, ringwall
from world import EXAMPLE, with_inbound

make_world = world_for("function")


def test_nothing_is_loaded_before_the_first_confirmation(world, daemon):
    daemon.start()
    assert daemon.status()["state"] == "unarmed"
    assert reach(world, 22) == "open"
    assert "ringwall" not in world.lab.tables()


def test_applied_and_confirmed_it_stays_through_death_and_restart(world, daemon):
    daemon.start()
    code, answer = daemon.apply(EXAMPLE, "-m", "the first")
    assert code == 9 and answer["awaitsConfirmation"] and answer["seconds"] > 100
    assert reach(world, 22) == "dropped"
    code, answer = daemon.ask("confirm")
    assert code == 0 and answer["number"] == 1
    assert daemon.stop(signal.SIGKILL) == -signal.SIGKILL
    assert reach(world, 22) == "dropped" and reach(world, 443) == "open"
    # whoever flushed it meanwhile finds it back
    world.lab.nft("flush ruleset")
    assert reach(world, 22) == "open"
    daemon.start()
    status = daemon.status()
    assert status["state"] == "closed" and status["readBack"] and status["number"] == 1
    assert reach(world, 22) == "dropped" and reach(world, 443) == "open"
    _, history = daemon.ask("history")
    assert [(e["number"], e["state"], e["message"]) for e in history["entries"]] == [
        (1, "in force", "the first")
    ]


def test_without_confirmation_it_is_undone_and_so_with_the_daemon_killed(world, daemon):
    daemon.start()
    daemon.apply(EXAMPLE, "--no-confirm")
    code, answer = daemon.apply(QUICK + with_inbound("{ deny: https }", "{ allow: ssh }"))
    assert code == 9 and 0 < answer["seconds"] <= QUICK_SECONDS
    assert reach(world, 443) == "dropped" and reach(world, 22) == "open"
    daemon.stop(signal.SIGKILL)
    daemon.start()
    assert daemon.status()["pending"]["seconds"] <= QUICK_SECONDS
    wait_until(lambda: reach(world, 443) == "open", 20, "the way back")
    assert reach(world, 22) == "dropped"
    status = daemon.status()
    assert status["number"] == 1 and "pending" not in status
    assert daemon.ask("confirm")[0] == 1


def test_the_first_policy_is_undone_to_nothing(world, daemon):
    daemon.start()
    code, _ = daemon.apply(QUICK + EXAMPLE)
    assert code == 9 and reach(world, 22) == "dropped"
    code, answer = daemon.ask("rollback")
    assert code == 0 and "number" not in answer
    assert reach(world, 22) == "open" and daemon.status()["state"] == "unarmed"


def test_a_change_that_waits_is_not_in_force_after_a_boot(world, daemon):
    daemon.start()
    daemon.apply(EXAMPLE, "--no-confirm")
    assert daemon.apply(with_inbound("{ allow: ssh }"))[0] == 9
    daemon.stop(signal.SIGKILL)
    # another boot: the kernel forgets, and what waited bears the name of the boot before
    pending = (daemon.state / "pending").read_bytes()
    boot = open("/proc/sys/kernel/random/boot_id", encoding="ascii").read().strip().encode()
    assert boot in pending
    world.lab.nft("flush ruleset")
    (daemon.state / "pending").write_bytes(pending[:-1])  # damaged counts as not confirmed, too
    daemon.start()
    assert daemon.status()["number"] == 1 and "pending" not in daemon.status()
    assert reach(world, 443) == "open" and reach(world, 22) == "dropped"


def test_stopped_it_leaves_its_table_and_unload_takes_it_away(world, daemon):
    daemon.start()
    daemon.apply(EXAMPLE, "--no-confirm")
    assert daemon.stop() == 0
    assert reach(world, 22) == "dropped"
    daemon.start()
    done = ringwall(
        world.lab, "unload", "--yes", "--runtime-dir", str(daemon.runtime), check=False
    )
    assert done.returncode == 0 and daemon.status()["state"] == "unloaded"
    assert reach(world, 22) == "open"


def test_an_invalid_policy_changes_nothing_and_says_why(world, daemon):
    daemon.start()
    daemon.apply(EXAMPLE, "--no-confirm")
    code, said = daemon.apply("ringwall: 1\ninbound: [{ allow: shh }]\n")
    assert code == 3 and "there is no service 'shh'" in said and "did you mean 'ssh'" in said
    assert daemon.status()["number"] == 1 and reach(world, 443) == "open"
    code, said = daemon.ask("apply", "/nowhere/policy.yaml")
    assert code == 3 and "/nowhere/policy.yaml" in said


def test_what_is_in_force_already_needs_no_confirmation(world, daemon):
    daemon.start()
    daemon.apply(EXAMPLE, "--no-confirm")
    code, answer = daemon.apply(EXAMPLE + "# a remark\n")
    assert code == 0 and not answer["changed"]


def test_dry_run_does_nothing(world, daemon):
    daemon.start()
    code, answer = daemon.apply(EXAMPLE, "--dry-run")
    assert code == 0 and not answer["awaitsConfirmation"]
    assert reach(world, 22) == "open" and daemon.status()["state"] == "unarmed"


def test_standalone_a_policy_is_in_force_at_start(world, daemon):
    daemon.start("--policy", str(world.file(EXAMPLE)))
    assert daemon.status()["state"] == "closed" and reach(world, 22) == "dropped"
    daemon.stop()
    assert reach(world, 22) == "dropped"


def test_without_a_daemon_exit_5_says_so(world, daemon):
    code, said = daemon.ask("status")
    assert code == 5 and str(daemon.runtime) in said


def test_what_rules_log_is_written_with_rule_and_connection(world, daemon):
    daemon.start()
    policy = with_inbound("{ allow: http, log: WEB }", "{ deny: smtp, log: yes }")
    assert daemon.apply(policy, "--no-confirm")[0] == 0
    assert reach(world, 80) == "refused" and reach(world, 25) == "dropped"
    for words in ("WEB allow policy.yaml:", "allow http: tcp 203.0.113.2:", "deny smtp: tcp",
                  "203.0.113.1:25 in eth0"):
        wait_until(lambda words=words: words in daemon.log(), 10, f"{words} in {daemon.log()}")


def test_reload_brings_nothing_that_was_not_confirmed(world, daemon):
    daemon.start()
    daemon.apply(EXAMPLE, "--no-confirm")
    more = daemon.folder / "policy.d"
    more.mkdir()
    (more / "50.yaml").write_text(with_inbound("{ allow: ssh }"))
    code, _ = daemon.ask("reload")
    assert reach(world, 22) == "dropped" and daemon.status()["number"] == 1, code


def test_apply_repairs_what_others_took_away(world, daemon):
    daemon.start()
    daemon.apply(EXAMPLE, "--no-confirm")
    world.lab.nft("flush ruleset")
    code, answer = daemon.apply(EXAMPLE)
    assert code == 0 and not answer["awaitsConfirmation"]
    assert reach(world, 22) == "dropped"


def test_a_rollback_after_a_restart_can_be_confirmed(world, daemon):
    daemon.start()
    daemon.apply(EXAMPLE, "--no-confirm")
    daemon.apply(with_inbound("{ allow: ssh }"), "--no-confirm")
    ringwall(world.lab, "unload", "--yes", "--runtime-dir", str(daemon.runtime))
    daemon.stop(signal.SIGKILL)
    daemon.start()
    code, answer = daemon.ask("rollback", "1")
    assert code == 9 and answer["seconds"] > 100
    assert daemon.ask("confirm")[0] == 0 and reach(world, 22) == "dropped"


def test_a_shell_that_outlived_its_connection_is_not_believed(world, daemon, monkeypatch):
    daemon.start()
    daemon.apply(EXAMPLE, "--no-confirm")
    monkeypatch.setitem(ENVIRONMENT, "SSH_CONNECTION", "198.51.100.7 40000 203.0.113.1 22")
    text = with_inbound("{ allow: ssh }")
    code, said = daemon.apply(text)
    assert code != 9 and "--i-have-console" in str(said) and reach(world, 22) == "dropped"
    assert daemon.apply(text, "--i-have-console")[0] == 9
    code, said = daemon.ask("confirm")
    assert code != 0 and "--same-connection" in str(said)
    assert daemon.ask("confirm", "--same-connection")[0] == 0


def test_a_change_waits_on_if_the_one_after_it_is_refused(world, daemon):
    daemon.start()
    daemon.apply(FOR_EVERYBODY + EXAMPLE, "--no-confirm")
    assert daemon.apply(FOR_EVERYBODY + with_inbound("{ allow: ssh }"))[0] == 9
    for text, expected in (("ringwall: 1\ninbound: [{ allow: shh }]\n", 3), (None, 3)):
        code, _ = daemon.apply(text) if text else daemon.ask("apply", "/nowhere")
        assert code == expected and daemon.status()["pending"]["number"] == 2
    with own_table(world):
        code, said = daemon.apply(FOR_EVERYBODY + with_inbound("{ allow: http }"))
        assert code == 6 and "change 2 waits for its confirmation as before" in str(said)
        pending = daemon.status()["pending"]
        assert pending["number"] == 2 and pending["seconds"] > 100
    daemon.stop(signal.SIGKILL)
    daemon.start()
    assert daemon.status()["pending"]["number"] == 2 and reach(world, 22) == "open"
    assert daemon.ask("confirm")[0] == 0 and daemon.status()["number"] == 2


def test_while_nothing_happens_it_sleeps(world, daemon):
    def woken():
        status = open(f"/proc/{daemon.process.pid}/status", encoding="ascii").read()
        return int(status.split("voluntary_ctxt_switches:")[1].split()[0])

    daemon.start()
    daemon.apply(EXAMPLE, "--no-confirm")

    def rests():
        before = woken()
        time.sleep(3)  # what is measured
        return woken() == before

    wait_until(rests, 30, "three seconds without waking up, once the new interfaces have settled")
