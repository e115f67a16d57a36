# SPDX-License-Identifier: GPL-2.0-or-later
"""Who is told of events by ringwall-notify: a program, a URL; whatever becomes of them."""

import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from daemon import Daemon
from fixtures import world_for
from lab import wait_until
from program import PROGRAM
from world import EXAMPLE

NOTIFY = os.path.join(os.path.dirname(PROGRAM), "../notify/ringwall-notify")
USER, READERS = 54321, 54322  # another user than root, and the group ringwall
PORT = 8099
URL = f"http://127.0.0.1:{PORT}/hook?secret"

PROGRAM_THAT_WRITES = """#!/bin/sh
read -r line; printf '%s\\n' "$line" >>{folder}/told
"""

make_world = world_for("function", foreign=None)


class Notify:
    """ringwalld, to whom the group is known, and ringwall-notify as another user."""

    def __init__(self, world, folder):
        self.world, self.folder, self.process = world, folder, None
        self.daemon = Daemon(world, folder)
        self.state, self.open = folder / "notify", folder / "open"
        for made in (self.state, self.open):
            made.mkdir()
            os.chown(made, USER, USER)
        with open("/etc/group", encoding="utf-8") as groups:
            others = [line for line in groups if not line.startswith("ringwall:")]
        (folder / "group").write_text("".join(others) + f"ringwall:x:{READERS}:\n")

    def start_daemon(self):
        script = f"mount --bind {self.folder}/group /etc/group; exec \"$@\""
        self.daemon.start(under=("unshare", "-m", "sh", "-ec", script, "sh"))

    def start(self, *options, groups=READERS, ready=True):
        words = ["setpriv", f"--reuid={USER}", f"--regid={USER}", f"--groups={groups}"]
        words += ["--no-new-privs", "--bounding-set=-all", "--inh-caps=-all", NOTIFY]
        words += ["--state-dir", self.state, "--runtime-dir", self.daemon.runtime, *options]
        with open(self.folder / "notify.log", "ab") as log:
            self.process = self.world.lab.popen("fw", words, stderr=log)
        if ready:
            wait_until(lambda: (self.state / "webhook").exists(), 10, "its beginning")

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.process.wait(timeout=10)

    def program(self, text, name="alert"):
        path = self.open / name
        path.write_text(text.format(folder=self.open))
        path.chmod(0o755)
        return path

    def alerts(self, **targets):
        said = ", ".join(f'{key}: "{value}"' for key, value in targets.items())
        settings = f"settings: {{ ownership: off, alerts: {{ {said} }} }}\n"
        assert self.daemon.apply(settings + EXAMPLE, "--no-confirm")[0] == 0

    def drift(self):
        before = self.daemon.status()["drift"]["undone"]
        self.world.lab.run("fw", ["nft", "flush ruleset"])
        wait_until(lambda: self.daemon.status()["drift"]["undone"] > before, 10, "the heal")

    def told(self):
        path = self.open / "told"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def log(self):
        return (self.folder / "notify.log").read_text()

    def position(self, name):
        return int((self.state / name).read_text())

    def await_told(self, n, what="the alerts", seconds=15):
        wait_until(lambda: len(self.told()) >= n, seconds, what)
        return self.told()


@pytest.fixture(name="notify")
def make_notify(world):
    folder = Path(tempfile.mkdtemp(prefix="ringwall-notify-"))  # pytest's own are root's alone
    folder.chmod(0o755)
    n = Notify(world, folder)
    n.start_daemon()
    yield n
    for process in (n.process, n.daemon.process):
        if process and process.poll() is None:
            process.kill()
            process.wait(10)
    shutil.rmtree(folder)


class Hook:
    """A server in the namespace; answer(request) says status and body, or hangs."""

    def __init__(self, world, answer=lambda hook: (200, b"")):
        self.bodies, self.hung = [], threading.Event()
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                hook.bodies.append((self.path, self.headers["Content-Type"], json.loads(body)))
                status, content = answer(hook)
                self.send_response(status)
                if status // 100 == 3:
                    self.send_header("Location", f"http://127.0.0.1:{PORT}/elsewhere")
                self.end_headers()
                try:
                    self.wfile.write(content)
                except OSError:
                    hook.hung.set()

            def log_message(self, *_):
                pass

        with world.lab.inside("fw"):
            self.server = ThreadingHTTPServer(("127.0.0.1", PORT), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def kinds(self):
        return [body["kind"] for _, _, body in self.bodies]

    def close(self):
        self.hung.set()
        self.server.shutdown()
        self.server.server_close()


def hook_with(answer):
    return lambda hook: answer(hook)


def test_a_program_is_told_of_a_drift_and_of_its_end(notify):
    notify.alerts(run=notify.program(PROGRAM_THAT_WRITES))
    notify.start()
    notify.drift()
    first, second = notify.await_told(2)
    assert [first["kind"], second["kind"]] == ["drift", "healed"]
    assert "nft flush ruleset" in first["text"] and "undone after" in second["text"]
    assert first["severity"] == "warning" and first["more"] == 0
    assert first["host"] == socket.gethostname()
    assert second["number"] == first["number"] + 1
    assert abs(first["time"] / 1e6 - time.time()) < 60
    wait_until(lambda: notify.position("run") == second["number"], 5, "its position")


def test_the_program_has_no_power_and_nothing_that_is_open(notify):
    text = "#!/bin/sh\ncat >/dev/null; {{ id -u; grep -E '^(Cap(Eff|Bnd)|NoNewPrivs|SigBlk|SigIgn)' "
    text += "/proc/self/status; ls /proc/$$/fd; env; cut -d' ' -f5 /proc/$$/stat; echo $$; }} >{folder}/seen; "
    text += "echo '{{}}' >>{folder}/told\n"
    notify.alerts(run=notify.program(text))
    notify.start()
    notify.drift()
    notify.await_told(2)
    seen = (notify.open / "seen").read_text().split()
    assert seen[0] == str(USER)
    for name in ("CapEff:", "CapBnd:", "SigBlk:", "SigIgn:"):
        assert int(seen[seen.index(name) + 1], 16) & ~(3 << 31) == 0  # 32 and 33: libc's own
    assert seen[seen.index("NoNewPrivs:") + 1] == "1"
    assert not {str(fd) for fd in range(3, 10)} & set(seen[seen.index("NoNewPrivs:") + 2 : -2])
    assert not [word for word in seen if word.startswith(("RINGWALL", "HOME="))]
    assert seen[-2] == seen[-1]  # leads its process group


def test_a_program_that_hangs_is_ended_and_so_is_what_it_started(notify):
    text = "#!/bin/sh\necho $$ >>{folder}/pids; trap '' TERM\nsleep 1000 & echo $! >>{folder}/pids\n"
    text += "if mkdir {folder}/first; then wait; wait; while :; do sleep 1; done; fi\n"
    text += "cat >>{folder}/told; echo >>{folder}/told\n"
    notify.alerts(run=notify.program(text))
    notify.start("--timeout", "1")
    notify.drift()
    (told,) = notify.await_told(1, "the next event", 20)
    assert told["kind"] == "healed"
    assert "took too long" in notify.log()
    pids = (notify.open / "pids").read_text().split()
    assert len(pids) == 4

    def all_ended():
        return not [pid for pid in pids if os.path.exists(f"/proc/{pid}")]

    wait_until(all_ended, 10, "the end of what it started")


def test_a_program_that_fails_or_is_not_there_stops_nothing(notify):
    failing = "#!/bin/sh\n[ -e {folder}/failed ] || {{ touch {folder}/failed; exit 3; }}\n"
    notify.alerts(run=notify.program(failing + "cat >>{folder}/told; echo >>{folder}/told\n"))
    notify.start()
    notify.drift()
    assert [e["kind"] for e in notify.await_told(1)] == ["healed"]
    wait_until(lambda: "told again" in notify.log(), 10, "that it works again")
    assert "exit status 3" in notify.log()
    notify.alerts(run=notify.open / "absent")
    notify.drift()
    wait_until(lambda: "No such file" in notify.log(), 10, "the failure")
    notify.alerts(run=notify.program(PROGRAM_THAT_WRITES, "another"))
    notify.drift()
    assert [e["kind"] for e in notify.await_told(3)] == ["healed", "drift", "healed"]


def test_a_url_is_told_and_what_it_floods_back_is_not_read(notify):
    sizes = iter([b"thanks", b"x" * 200_000_000])
    hook = Hook(notify.world, hook_with(lambda _: (200, next(sizes))))
    notify.alerts(webhook=URL, run=notify.program(PROGRAM_THAT_WRITES))
    notify.start()
    notify.drift()
    wait_until(lambda: len(hook.bodies) == 2, 15, "both events")
    path, content, body = hook.bodies[0]
    assert path == "/hook?secret" and content == "application/json"
    assert [path for path, _, _ in hook.bodies] == ["/hook?secret"] * 2
    assert hook.kinds() == ["drift", "healed"]
    assert hook.hung.wait(10)  # hung up on
    wait_until(lambda: notify.position("webhook") == body["number"] + 1, 10, "its position")
    assert [body for _, _, body in hook.bodies] == notify.await_told(2)
    with open(f"/proc/{notify.process.pid}/status", encoding="utf-8") as status:
        peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    assert peak < 40_000  # KiB
    hook.close()


def test_a_url_that_does_not_answer_is_tried_again_and_holds_nobody_up(notify):
    release = threading.Event()
    first = iter([True])

    def answer(_):
        if next(first, False):
            release.wait(30)
        return 200, b""

    hook = Hook(notify.world, hook_with(answer))
    notify.alerts(webhook=URL, run=notify.program(PROGRAM_THAT_WRITES))
    notify.start("--timeout", "2")
    notify.drift()
    notify.await_told(2)
    wait_until(lambda: hook.bodies, 10, "the first try")
    assert hook.kinds() == ["drift"]
    wait_until(lambda: len(hook.bodies) == 3, 15, "the second try")
    assert hook.kinds() == ["drift", "drift", "healed"]
    wait_until(lambda: "told again" in notify.log(), 10, "that it works again")
    assert "secret" not in notify.log()
    release.set()
    hook.close()


def test_a_url_that_is_absent_or_fails_is_told_when_it_is_back(notify):
    notify.alerts(webhook=URL)
    notify.start()
    notify.drift()
    wait_until(lambda: "could not be told" in notify.log(), 10, "the failure")
    answers = iter([500, 429])
    hook = Hook(notify.world, hook_with(lambda _: (next(answers, 200), b"")))
    wait_until(lambda: len(hook.bodies) == 4, 30, "all of it")
    assert hook.kinds() == ["drift", "drift", "drift", "healed"]
    hook.close()


def test_a_redirect_or_a_refusal_is_final(notify):
    answers = iter([302, 404])
    hook = Hook(notify.world, hook_with(lambda _: (next(answers, 200), b"")))
    notify.alerts(webhook=URL)
    notify.start()
    notify.drift()
    wait_until(lambda: len(hook.bodies) == 2, 15, "both")
    assert [path for path, _, _ in hook.bodies] == ["/hook?secret"] * 2
    notify.drift()
    wait_until(lambda: len(hook.bodies) == 4, 15, "the next ones")
    assert hook.kinds() == ["drift", "healed"] * 2
    assert "redirects are not followed" in notify.log()
    hook.close()


def test_a_certificate_that_nobody_vouches_for_gets_nothing(notify, tmp_path):
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=127.0.0.1"]
        + ["-keyout", tmp_path / "key", "-out", tmp_path / "certificate"],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "certificate", tmp_path / "key")
    hook = Hook(notify.world)
    hook.server.socket = context.wrap_socket(hook.server.socket, server_side=True)
    notify.alerts(webhook=URL.replace("http:", "https:"))
    notify.start()
    notify.drift()
    wait_until(lambda: "certificate" in notify.log(), 15, "the refusal")
    assert hook.bodies == []
    hook.close()


def test_no_event_is_lost_or_told_twice_over_restarts_of_both(notify):
    notify.alerts(run=notify.program(PROGRAM_THAT_WRITES))
    notify.start()
    notify.drift()
    notify.await_told(2)
    notify.daemon.stop(signal.SIGKILL)
    notify.start_daemon()  # which tells that it was killed
    notify.drift()
    notify.await_told(5)
    wait_until(lambda: notify.position("run") == notify.told()[-1]["number"], 5, "its position")
    assert notify.stop() == 0
    notify.drift()  # while nobody listens
    notify.start()
    told = notify.await_told(7)
    assert [e["kind"] for e in told] == ["drift", "healed", "failure"] + ["drift", "healed"] * 2
    numbers = [e["number"] for e in told]
    assert numbers == sorted(set(numbers))


def test_a_program_that_was_under_way_is_run_again_after_a_kill(notify):
    text = "#!/bin/sh\nmkdir {folder}/first && exec sleep 1000\ncat >>{folder}/told; echo >>{folder}/told\n"
    notify.alerts(run=notify.program(text))
    notify.start()
    notify.drift()
    wait_until(lambda: (notify.open / "first").exists(), 10, "the program")
    assert notify.stop() == 0
    notify.start()
    assert [e["kind"] for e in notify.await_told(2)] == ["drift", "healed"]


def test_with_nothing_configured_it_sleeps_and_begins_with_what_comes_later(notify):
    assert notify.daemon.apply("settings: { ownership: off }\n" + EXAMPLE, "--no-confirm")[0] == 0
    notify.start()
    notify.drift()

    def last():
        return notify.daemon.ask("events", "-n", "1")[1]["number"]

    wait_until(lambda: notify.position("run") == last(), 10, "its position")

    def switches():
        with open(f"/proc/{notify.process.pid}/status", encoding="utf-8") as status:
            return sum(int(line.split()[1]) for line in status if "ctxt_switches" in line)

    def sleeps():
        before = switches()
        time.sleep(3)
        return switches() == before

    wait_until(sleeps, 15, "that it sleeps")
    notify.alerts(run=notify.program(PROGRAM_THAT_WRITES))
    notify.drift()
    assert [e["kind"] for e in notify.await_told(2)] == ["drift", "healed"]


def test_panic_is_told_though_everything_is_closed(notify):
    notify.alerts(run=notify.program(PROGRAM_THAT_WRITES))
    notify.start()
    assert notify.daemon.ask("panic", "on", "--i-have-console")[0] == 0
    assert [e["kind"] for e in notify.await_told(1)] == ["panic"]


def test_whoever_may_not_ask_the_daemon_says_so_once(notify):
    notify.start(groups=USER, ready=False)
    wait_until(notify.log, 10, "why not")
    time.sleep(3)  # it asks every second
    assert "members of the group 'ringwall'" in notify.log()
    assert len(notify.log().splitlines()) == 1
    assert notify.process.poll() is None and not (notify.state / "run").exists()
