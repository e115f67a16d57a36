# SPDX-License-Identifier: GPL-2.0-or-later
"""A host with ringwalld and a real sshd, its administrator, and a stranger.

    admin    203.0.113.2   2001:db8:ffff::2 --- eth0  203.0.113.1   2001:db8:ffff::1
             10.40.10.2    (another way)    --- eth1  10.40.10.1
    stranger 198.51.100.2  2001:db8:5::2    --- eth2  198.51.100.1  2001:db8:5::1

Its processes are in a namespace of their own: a boot ends them all, as it does rules and /run. Its disk
outlives that. All of it ends with this process."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

from lab import Lab, wait_until
from program import DATADIR, PROGRAM

HERE = Path(__file__).resolve().parent
DAEMON = Path(PROGRAM).parent.parent / "daemon/ringwalld"
PATIENCE = 60  # seconds; only decides when to give up
ADDRESSES = {4: "203.0.113.1", 6: "2001:db8:ffff::1"}
ADMIN = {4: "203.0.113.2", 6: "2001:db8:ffff::2"}
STRANGER = {4: "198.51.100.2", 6: "2001:db8:5::2"}
DISK = "size=8m"  # so that it can be filled
QUIET = (
    ("net/ipv6/conf/default/router_solicitations", 0),
    ("net/ipv6/conf/default/dad_transmits", 0),
    ("net/ipv6/conf/all/keep_addr_on_down", 1),
    ("net/ipv6/conf/default/keep_addr_on_down", 1),
)
LINKS = """link set lo up
link add eth0 type veth peer name eth0 netns admin
link add eth1 type veth peer name eth1 netns admin
link add eth2 type veth peer name eth0 netns stranger
addr add 203.0.113.1/24 dev eth0
addr add 2001:db8:ffff::1/64 dev eth0 nodad
addr add 10.40.10.1/24 dev eth1
addr add 198.51.100.1/24 dev eth2
addr add 2001:db8:5::1/64 dev eth2 nodad
link set eth0 up
link set eth1 up
link set eth2 up
"""
ADMIN_LINKS = """link set lo up
addr add 203.0.113.2/24 dev eth0
addr add 2001:db8:ffff::2/64 dev eth0 nodad
addr add 10.40.10.2/24 dev eth1
link set eth0 up
link set eth1 up
"""
STRANGER_LINKS = """link set lo up
addr add 198.51.100.2/24 dev eth0
addr add 2001:db8:5::2/64 dev eth0 nodad
link set eth0 up
route add default via 198.51.100.1
route add default via 2001:db8:5::1
"""
SSHD = """HostKey {folder}/hostkey
AuthorizedKeysFile {folder}/key.pub
StrictModes no
PermitRootLogin yes
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
UseDNS no
PidFile none
MaxStartups 100
SetEnv PATH={path} RINGWALL_DATADIR={data} RINGWALL_RUNTIME_DIR=/run/ringwall
"""


def make_clock(at):
    """What sets a program's clock, as clock.c says."""
    words = ["cc", "-shared", "-fPIC", "-O1", "-o", str(at), str(HERE.parent / "netns/clock.c")]
    subprocess.run(words, check=True, timeout=PATIENCE)


def make_keys(folder):
    """Once; they are the same on every host."""
    for name in ("hostkey", "key"):
        words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(words, check=True, timeout=PATIENCE)


class Net(Lab):
    def _build(self):
        names = ("fw", "admin", "stranger")
        batch = "".join(f"netns add {n}\n" for n in names)
        subprocess.run(["ip", "-batch", "-"], input=batch, text=True, check=True, timeout=PATIENCE)
        for ns in names:
            with self.inside(ns):
                for name, value in QUIET:
                    self._write(name, value)
        for ns, text in (("fw", LINKS), ("admin", ADMIN_LINKS), ("stranger", STRANGER_LINKS)):
            self.ip(ns, text)


class Host:
    def __init__(self, folder, keys):
        """folder: an empty one."""
        self.net = Net()
        self.folder, self.keys = folder, keys
        self.disk = folder / "disk"
        self.disk.mkdir()
        words = ["mount", "-t", "tmpfs", "-o", DISK, "tmpfs", str(self.disk)]
        subprocess.run(words, check=True, timeout=PATIENCE)
        self.state, self.policy = self.disk / "state", self.disk / "policy.yaml"
        self._write_accounts()
        text = SSHD.format(folder=keys, path=f"{DAEMON.parent}:{Path(PROGRAM).parent}:{os.defpath}", data=DATADIR)
        (folder / "sshd_config").write_text(text)
        self.init = None
        self.switch_on()

    def _write_accounts(self):
        """root's shell and home are what they are nowhere else."""
        users = Path("/etc/passwd").read_text().splitlines()
        users = [u for u in users if not u.startswith("root:")]
        root = "root:x:0:0:root:/:/bin/sh"
        (self.folder / "passwd").write_text("\n".join([root, *users]) + "\n")
        (self.folder / "shadow").write_text("root:*:20000:0:99999:7:::\n")

    def close(self):
        self.net.close()

    # --- power ---

    def switch_on(self):
        """The clocks that tell how long it has been up begin at nothing."""
        up = -int(time.clock_gettime(time.CLOCK_BOOTTIME))
        words = ["unshare", "--pid", "--mount", "--fork", "--kill-child=KILL", "--propagation", "private"]
        words += ["--time", "--boottime", up, HERE / "machine", self.folder]
        with open(self.folder / "console", "ab") as f:
            self._first = self.net.popen("fw", [str(w) for w in words], stdin=subprocess.DEVNULL, stdout=f, stderr=f)
        children = Path(f"/proc/{self._first.pid}/task/{self._first.pid}/children")
        wait_until(lambda: children.read_text().split(), PATIENCE, "the first process")
        self.init = int(children.read_text().split()[0])
        up = Path(f"/proc/{self.init}/root/run/up")
        wait_until(up.exists, PATIENCE, f"the end of the boot:\n{self.read('console')}")

    def cut_power(self):
        """Processes, /run, rules and links are gone. As in a boot, the network comes last."""
        self.net.ip("fw", "link set eth0 down\nlink set eth1 down\nlink set eth2 down\n")
        self._first.kill()
        self._first.wait(PATIENCE)
        wait_until(lambda: not Path(f"/proc/{self.init}").exists(), PATIENCE, "the end of all")
        self.net.nft("flush ruleset")

    def bring_network_up(self):
        self.net.ip("fw", "link set eth0 up\nlink set eth1 up\nlink set eth2 up\n")

    # --- inside ---

    def _enter(self, words):
        return ["nsenter", "-t", str(self.init), "-p", "-m", "-T", *map(str, words)]

    def run(self, *words, check=True, text=None):
        """A program of the host's, at its console."""
        environment = {"PATH": f"{Path(PROGRAM).parent}:{os.defpath}", "RINGWALL_DATADIR": DATADIR}
        return self.net.run("fw", self._enter(words), text=text, check=check, timeout=PATIENCE, env=environment)

    def set_clock(self, seconds):
        """Of ringwalld alone: so far from the machine's."""
        (self.folder / "clock").write_text(f"{seconds}\n")

    def _service(self, name, *words):
        """In the background; its process number is in /run. Its output is a file of that name."""
        script = f'echo $$ >/run/{name}.pid; exec "$@"'
        with open(self.folder / name, "ab") as f:
            self.net.popen(
                "fw",
                self._enter(["sh", "-c", script, name, *words]),
                stdin=subprocess.DEVNULL,
                stdout=f,
                stderr=f,
                env={**os.environ, "RINGWALL_DATADIR": DATADIR},
            )

    def stop(self, name, number=signal.SIGKILL):
        pid = Path(f"/proc/{self.init}/root/run/{name}.pid").read_text().strip()
        self.run("kill", f"-{int(number)}", pid)
        gone = lambda: self.run("kill", "-0", pid, check=False).returncode != 0
        wait_until(gone, PATIENCE, f"the end of {name}")

    def start_daemon(self):
        clock = {"LD_PRELOAD": str(self.keys / "clock.so"), "CLOCK_OFFSET": str(self.folder / "clock")}
        self._service("ringwalld", "env", *(f"{k}={v}" for k, v in clock.items()), DAEMON, "--state-dir", self.state)
        wait_until(lambda: self.ask("status").returncode == 0, PATIENCE, f"ringwalld:\n{self.read('ringwalld')}")

    def start_sshd(self, port=22):
        words = ["/usr/sbin/sshd", "-D", "-e", "-p", port, "-f", self.folder / "sshd_config"]
        self._service("sshd", *words)
        self.port = port
        listens = lambda: self.net.run("fw", ["ss", "-Hltn", f"sport = :{port}"]).stdout.strip()
        wait_until(listens, PATIENCE, f"sshd:\n{self.read('sshd')}")

    def ask(self, verb, *words):
        return self.run("ringwall", verb, *words, "--json", check=False)

    def status(self):
        done = self.ask("status")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def write(self, name, text, mode=0o644):
        """A file beside the policy."""
        path = self.disk / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
        return path

    def read(self, name):
        """What one of its programs has said."""
        path = self.folder / name
        return path.read_text(errors="replace")[-3000:] if path.exists() else ""

    # --- the administrator, elsewhere ---

    def ssh_words(self, family, *options):
        words = ["ssh", "-F", "none", "-i", str(self.keys / "key"), "-p", str(self.port)]
        for option in ("BatchMode=yes", "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null",
                       "LogLevel=ERROR", "ConnectTimeout=5", "ConnectionAttempts=1"):  # fmt: skip
            words += ["-o", option]
        return [*words, *options, f"root@{ADDRESSES[family]}"]

    def ssh(self, family, command, *options):
        """To its end, over a connection of its own."""
        words = [*self.ssh_words(family, *options), command]
        return self.net.run("admin", words, check=False, timeout=PATIENCE)

    def begin_ssh(self, family, command, *options):
        with open(self.folder / "session", "ab") as f:
            return self.net.popen(
                "admin",
                [*self.ssh_words(family, *options), command],
                stdin=subprocess.DEVNULL,
                stdout=f,
                stderr=f,
            )
