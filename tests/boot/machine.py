# SPDX-License-Identifier: GPL-2.0-or-later
"""A machine with systemd of its own, in namespaces of its own, with a neighbour on its network.

    peer  203.0.113.2  2001:db8:ffff::2 --- eth0  203.0.113.1  2001:db8:ffff::1

Its disk outlives a boot, its kernel's rules do not: each boot gets a new network namespace. All of it
ends with this process."""

import itertools
import json
import os
import re
import shlex
import signal
import subprocess
from pathlib import Path

import lab
import rootfs

HERE = Path(__file__).resolve().parent

BOOT_SECONDS, STOP_SECONDS, TOOL_SECONDS = 90, 60, 90
ADDRESSES = {4: "203.0.113.1", 6: "2001:db8:ffff::1"}
MAC = "02:00:00:00:00:01"  # of its eth0

_numbers = itertools.count()


class Net:
    """Namespaces by name, as in lab.py."""

    inside = lab.Lab.inside
    _setns = lab.Lab._setns
    run = lab.Lab.run

    def __init__(self):
        lab.enter()
        self._fds = {"": os.open("/proc/self/ns/net", os.O_RDONLY)}

    def add(self, name):
        subprocess.run(["ip", "netns", "add", name], check=True, timeout=TOOL_SECONDS)

    def remove(self, name):
        fd = self._fds.pop(name, None)
        if fd is not None:
            os.close(fd)
        subprocess.run(["ip", "netns", "del", name], check=True, timeout=TOOL_SECONDS)


class Machine:
    """layers: its disk before the first boot, the topmost first. folder: a new one on a tmpfs."""

    def __init__(self, net, layers, folder):
        self.net, self.folder = net, folder
        self.root = folder / "root"
        rootfs.lay_over(layers, folder / "disk", self.root)
        self.console = folder / "console"
        self.namespace, self.leader, self._child, self._cgroup = None, None, None, None
        self.plug_in()

    # --- power and cables ---

    def plug_in(self):
        """A new network for the next boot; nothing is up on this side."""
        number = next(_numbers)
        self.namespace, self.peer = f"machine-{number}", f"peer-{number}"
        for name in (self.namespace, self.peer):
            self.net.add(name)
        batch = f"link add eth0 type veth peer name eth0 address {MAC} netns {self.namespace}\n"
        batch += "addr add 203.0.113.2/24 dev eth0\naddr add 2001:db8:ffff::2/64 dev eth0 nodad\n"
        batch += "link set lo up\nlink set eth0 up\n"
        # nobody has to be asked for the way, so that what is sent arrives as soon as there is one
        batch += "".join(
            f"neigh add {address} lladdr {MAC} dev eth0 nud permanent\n"
            for address in ADDRESSES.values()
        )
        self.net.run(self.peer, ["ip", "-batch", "-"], batch)

    def start(self):
        """Returns as soon as its first process is there."""
        self._cgroup = _make_cgroup()
        self.console.write_text("")
        words = ["unshare", "--pid", "--mount", "--uts", "--ipc", "--cgroup", "--fork"]
        words += ["--kill-child=KILL", "--propagation", "private"]
        words += [HERE / "systemd", self.root, self.console]

        def prepare():
            lab._die_with_parent()
            (self._cgroup / "cgroup.procs").write_text("0")

        with self.net.inside(self.namespace):
            lab.refuse_the_machines_own_network()
            self._child = subprocess.Popen(
                words, preexec_fn=prepare, stdin=subprocess.DEVNULL, start_new_session=True
            )
        pid = self._child.pid
        children = Path(f"/proc/{pid}/task/{pid}/children")
        lab.wait_until(lambda: children.read_text().split(), 30, "the machine's first process")
        self.leader = int(children.read_text().split()[0])

    def boot(self):
        self.start()
        self.wait_until_up()

    def wait_until_up(self):
        def is_up():
            if self._child.poll() is not None:
                raise AssertionError(f"it does not boot:\n{self.console_text()}")
            done = self.run("systemctl", "is-system-running", check=False)
            return done.stdout.strip() in ("running", "degraded")

        lab.wait_until(is_up, BOOT_SECONDS, "the end of the boot")

    def power_off(self):
        """In good order."""
        os.kill(self.leader, signal.SIGRTMIN + 4)
        self._ended()

    def cut_power(self):
        self._child.kill()
        self._ended()

    def _ended(self):
        try:
            self._child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired as e:
            self._child.kill()
            self._child.wait()
            raise AssertionError(f"it does not power off:\n{self.console_text()}") from e
        _remove_cgroup(self._cgroup)
        self.net.remove(self.namespace)
        self.net.remove(self.peer)
        self._child = self.leader = None

    def reboot(self):
        self.power_off()
        self.plug_in()
        self.boot()

    def close(self):
        if self._child:
            self.cut_power()
        subprocess.run(["umount", "-l", self.root], check=True, timeout=TOOL_SECONDS)

    # --- inside ---

    def _enter(self, words):
        return [
            *("nsenter", "-t", str(self.leader), "-a", "env", "-i"),
            *("PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "HOME=/root"),
            *("DEBIAN_FRONTEND=noninteractive", *map(str, words)),
        ]

    def begin(self, *words):
        """A program in the machine that is not waited for."""
        return subprocess.Popen(
            self._enter(words),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def run(self, *words, check=True, text=None):
        """A program in the machine, as root at its console."""
        done = subprocess.run(
            self._enter(words),
            input=text,
            stdin=None if text is not None else subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TOOL_SECONDS,
        )
        if check and done.returncode != 0:
            raise AssertionError(
                f"{shlex.join(map(str, words))}: exit {done.returncode}\n{done.stdout[-2000:]}"
                f"{done.stderr[-2000:]}\n{self.tell()}"
            )
        return done

    def run_from_outside(self, *words):
        """A program that the machine has not, in its network."""
        words = ["nsenter", "-t", str(self.leader), "-n", *words]
        subprocess.run(words, check=True, timeout=TOOL_SECONDS, stdout=subprocess.DEVNULL)

    def write_policy(self, text):
        path = self.path("/etc/ringwall/policy.yaml")
        path.write_text(text)
        path.chmod(0o644)

    def apply(self, text, confirm=True):
        """The host's own policy, as its administrator would."""
        self.write_policy(text)
        done = self.run("ringwall", "apply", check=False)
        assert done.returncode == 9, f"{done.stdout}{done.stderr}\n{self.tell()}"
        if confirm:
            self.run("ringwall", "confirm")

    def status(self):
        return json.loads(self.run("ringwall", "status", "--json").stdout)

    def tell(self, unit="ringwalld.service"):
        """How a unit is, and what it said; for whoever has to find out why a test failed."""
        status = self.run("systemctl", "status", "--no-pager", "--full", unit, check=False).stdout
        words = ["journalctl", "-b", "-o", "short-monotonic", "--no-pager", "-u", unit]
        return status + self.run(*words, check=False).stdout

    def console_text(self):
        return "\n".join(self.console.read_text(errors="replace").splitlines()[-40:])

    def show(self, unit, name):
        """A property of a unit."""
        return self.run("systemctl", "show", "--value", "-p", name, unit).stdout.strip()

    def path(self, inside):
        """A file of its disk, seen from here."""
        return self.root / str(inside).lstrip("/")

    def received(self):
        """Packets that its network card has ever seen."""
        words = ["ip", "-j", "-s", "link", "show", "eth0"]
        shown = json.loads(self.net.run(self.namespace, words).stdout)
        return shown[0]["stats64"]["rx"]["packets"]

    def tables(self):
        listed = self.net.run(self.namespace, ["nft", "list", "tables"]).stdout
        return re.findall(r"^table (\S+ \S+)$", listed, re.M)


def _make_cgroup():
    """The machine's processes see it as the root of all."""
    with open("/proc/mounts", encoding="ascii") as mounts:
        found = [line.split()[1] for line in mounts if line.split()[2] == "cgroup2"]
    top = Path(found[0] if found else "/tmp/ringwall-cgroup")
    if not found:
        top.mkdir(exist_ok=True)
        subprocess.run(["mount", "-t", "cgroup2", "cgroup2", top], check=True, timeout=TOOL_SECONDS)
    for left in top.glob("ringwall-test-*"):  # by a run that was killed
        if not Path("/proc", left.name.split("-")[2]).exists():
            _try_to_remove(left)
    cgroup = top / f"ringwall-test-{os.getpid()}-{next(_numbers)}"
    cgroup.mkdir()
    return cgroup


def _try_to_remove(cgroup):
    for folder, _, _ in os.walk(cgroup, topdown=False):
        try:
            os.rmdir(folder)
        except OSError:
            return False
    return True


def _remove_cgroup(cgroup):
    lab.wait_until(
        lambda: _try_to_remove(cgroup), 10, f"the end of all that ran in {cgroup}"
    )
