# SPDX-License-Identifier: GPL-2.0-or-later
"""Who comes to a machine by SSH, with a key, from its neighbour."""

import os
import socket
import subprocess

from machine import ADDRESSES

SSH_SECONDS = 60
KNOCK_SECONDS = 1


class Administrator:
    def __init__(self, machine, folder):
        """The machine may be switched off. folder: for the key."""
        self.machine = machine
        self.key = folder / "key"
        words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.key]
        subprocess.run(words, check=True, timeout=SSH_SECONDS)
        home = machine.path("/root/.ssh")
        home.mkdir(mode=0o700, exist_ok=True)
        (home / "authorized_keys").write_bytes(self.key.with_suffix(".pub").read_bytes())
        self.control = f"/tmp/ringwall-ssh-{os.getpid()}"  # a socket's path is short

    def __call__(self, *words, new=True, text=None):
        """Runs a command there; new: over a connection of its own, and not the one that is kept."""
        options = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]
        options += ["-o", "BatchMode=yes", "-o", "ConnectTimeout=10"]
        options += ["-o", "ControlPersist=60", "-F", "none", "-i", str(self.key)]
        options += ["-S", "none" if new else self.control, "-o", f"ControlMaster={'no' if new else 'auto'}"]
        command = ["ssh", *options, f"root@{ADDRESSES[4]}", *words]
        return self.machine.net.run(self.machine.peer, command, check=False, timeout=SSH_SECONDS, text=text)

    def says(self, code, *words, **options):
        """What the command says; its exit code is to be that."""
        done = self(*words, **options)
        said = f"{done.stdout}{done.stderr}"
        assert done.returncode == code, f"{' '.join(words)}: exit {done.returncode}\n{said}\n{self.machine.tell()}"
        return said

    def knock(self):
        """Whether a connection to sshd comes to be."""
        with self.machine.net.inside(self.machine.peer):
            s = socket.socket()
        with s:
            s.settimeout(KNOCK_SECONDS)
            try:
                s.connect((ADDRESSES[4], 22))
            except OSError:
                return False
            return True

    def hang_up(self):
        """What is kept."""
        command = ["ssh", "-S", self.control, "-O", "exit", "x"]
        self.machine.net.run(self.machine.peer, command, check=False)
