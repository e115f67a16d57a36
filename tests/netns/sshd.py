# SPDX-License-Identifier: GPL-2.0-or-later
"""A stand-in for sshd on a world's host, and an administrator in lan who logs in."""

import contextlib
import os
import shutil
import sys

# What sshd is to whoever looks: root's, of that name, with a process of its own for who has logged in.
SERVER = """
import os, socket, sys
s = socket.create_server(("0.0.0.0", int(sys.argv[1])))
print("ready", flush=True)
while True:
    came, _ = s.accept()
    if os.fork() == 0:
        s.close()
        os.dup2(came.fileno(), 0)
        os.execv(sys.argv[2], ["sshd: root@pts/0", sys.argv[3]])
    came.close()
"""
# Answers each command with its exit status and what it said of errors.
SHELL = """
import os, subprocess
os.write(0, b"!")
while command := os.read(0, 4096):
    done = subprocess.run(command.decode().split(), capture_output=True, text=True)
    os.write(0, f"{done.returncode} {done.stderr}".encode())
"""
ADMIN, HOST, PORT = "10.40.10.2", "10.40.10.1", 2222
PATIENCE = 20  # seconds; what is waited for comes far sooner


@contextlib.contextmanager
def sshd(world, folder):
    """Listens until the end; its files are in that folder."""
    program, server, shell = folder / "sshd", folder / "sshd.py", folder / "shell.py"
    shutil.copy(os.path.realpath(sys.executable), program)
    server.write_text(SERVER)
    shell.write_text(SHELL)
    child = world.lab.popen(
        "fw",
        ["sshd", str(server), str(PORT), str(program), str(shell)],
        executable=str(program),
        stdout=-1,
        text=True,
        env={**os.environ, "PYTHONHOME": sys.base_prefix},
    )
    try:
        assert child.stdout.readline() == "ready\n"
        yield
    finally:
        child.kill()


def log_in(world):
    """The connection: what is sent over it is run."""
    outcome, client = world.talk.dial("lan", HOST, PORT)
    assert outcome == "open" and client.recv(1) == b"!"
    client.settimeout(PATIENCE)
    return client
