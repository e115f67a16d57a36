# SPDX-License-Identifier: GPL-2.0-or-later
"""ringwalld in the namespace of a world's host, with folders of its own, and the commands that ask it."""

import json
import os
import signal
import socket
import struct

from lab import PATIENCE, wait_until
from program import ENVIRONMENT, PROGRAM, ringwall

DAEMON = os.path.join(os.path.dirname(PROGRAM), "../daemon/ringwalld")
QUICK_SECONDS = round(10 * PATIENCE)  # the shortest that there is, where nothing is emulated
QUICK = f"settings: {{ confirm: {QUICK_SECONDS}s }}\n"
FOR_EVERYBODY = "settings: { ownership: off }\n"  # as on kernels without tables that are owned
STATES = {"closed", "panic", "unarmed", "unloaded", "lockdown", "changed", "taken"}


class Daemon:
    def __init__(self, world, folder):
        self.world, self.folder = world, folder
        self.state, self.runtime = folder / "state", folder / "run"
        self.process = None

    def start(self, *args, ready=True, under=(), **more):
        with open(self.folder / "log", "ab") as log:
            self.process = self.world.lab.popen(
                "fw",
                [*under, DAEMON, "--state-dir", self.state, "--runtime-dir", self.runtime, *args],
                stderr=log,
                env={**ENVIRONMENT, **more},
            )
        if ready:
            wait_until(lambda: self.ask("status")[0] == 0, 10, "the daemon's first answer")

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.process.wait(timeout=10 * PATIENCE)

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def kill(self):
        """If it runs: nothing is left of it but its folders, and what is in the kernel."""
        if self.is_running():
            self.stop(signal.SIGKILL)

    def ask(self, verb, *args):
        done = ringwall(
            self.world.lab, verb, *args, "--runtime-dir", str(self.runtime), "--json", check=False
        )
        answer = json.loads(done.stdout) if done.stdout.startswith("{") else {"error": None}
        return done.returncode, done.stderr if answer.keys() == {"error"} else answer

    def status(self):
        code, answer = self.ask("status")
        assert code == 0 and answer["state"] in STATES
        return answer

    def apply(self, text, *args):
        return self.ask("apply", str(self.world.file(text)), *args)

    def log(self):
        return (self.folder / "log").read_text()


def reach(world, port):
    return world.reach("wan", "host", port, 4)


def own_table(world):
    """Another program takes the table for its own: the kernel lets nobody else change it."""

    def message(kind, flags, number, rest):
        return struct.pack("=LHHLL", 16 + len(rest), kind, flags, number, 0) + rest

    name = struct.pack("=HH", 4 + 9, 1) + b"ringwall\0" + b"\0" * 3
    flags = struct.pack("=HH", 8, 2) + struct.pack(">L", 2)
    batch = message(0x10, 1, 1, struct.pack(">BBH", 0, 0, 10))
    batch += message(10 << 8 | 2, 1, 2, struct.pack(">BBH", 1, 0, 0) + name)
    batch += message(10 << 8, 1 | 4 | 0x400, 3, struct.pack(">BBH", 1, 0, 0) + name + flags)
    batch += message(0x11, 1, 4, struct.pack(">BBH", 0, 0, 10))
    with world.lab.inside("fw"):
        s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
        s.bind((0, 0))
        s.send(batch)
    assert struct.unpack_from("=l", s.recv(4096), 16) == (0,)
    return s
