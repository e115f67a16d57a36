# SPDX-License-Identifier: GPL-2.0-or-later
"""The program under test; what needs a network gets one of its own, which ends with the command."""

import fcntl
import os
import pathlib
import pty
import re
import struct
import subprocess
import termios

ROOT = pathlib.Path(__file__).resolve().parents[2]
RINGWALL = os.environ.get("RINGWALL", str(ROOT / "build/plain/src/cli/ringwall"))
POLICY = str(ROOT / "policies/ai-server.yaml")
ENVIRONMENT = {"RINGWALL_DATADIR": str(ROOT / "policies"), **os.environ}
TIMEOUT = 60


def run(*args, stdin=None, cwd=None, namespace=False, env=None, binary=False):
    command = [RINGWALL, *args]
    if namespace:
        command = ["unshare", "-n", *command]
    return subprocess.run(command, input=stdin, capture_output=True, text=not binary, timeout=TIMEOUT, cwd=cwd,
                          env=env or ENVIRONMENT)


def verbs():
    """The commands that its help lists."""
    text = run("--help").stdout
    return re.findall(r"^  ([a-z]+) +.* {2,}", text[text.index("Commands:"):text.index("Examples:")], re.M)


def script(text, *args):
    """A shell script in a network namespace of its own; $RINGWALL is the program, "$@" the args."""
    return subprocess.run(["unshare", "-n", "sh", "-ec", text, "sh", *args], capture_output=True, text=True,
                          timeout=TIMEOUT, env={**ENVIRONMENT, "RINGWALL": RINGWALL})


def on_terminal(columns, *args):
    """What it prints on a terminal as wide as that, without colours."""
    ours, theirs = pty.openpty()
    with open(ours, "rb", buffering=0) as screen:
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        process = subprocess.Popen([RINGWALL, *args], stdin=subprocess.DEVNULL, stdout=theirs, stderr=subprocess.STDOUT,
                                   env={**ENVIRONMENT, "TERM": "dumb", "LC_ALL": "C.UTF-8"})
        os.close(theirs)
        shown = b""
        try:
            while piece := screen.read(65536):
                shown += piece
        except OSError:  # nobody has the other end any more
            pass
        process.wait(TIMEOUT)
    return shown.decode().replace("\r\n", "\n")
