# SPDX-License-Identifier: GPL-2.0-or-later
"""Who does not read what ringwalld says, and what becomes of its control socket, stops nothing."""

import contextlib
import json
import os
import socket

from daemon import DAEMON, reach
from fixtures import world_for
from lab import wait_until
from program import ENVIRONMENT
from world import EXAMPLE, with_inbound

make_world = world_for("function")


def test_whoever_has_stopped_reading_what_it_says_stops_nothing(world, daemon):
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while os.write(writer, b"\n" * 4096):
            pass
    words = ["--state-dir", daemon.state, "--runtime-dir", daemon.runtime]
    # another open file, which waits, of the same pipe
    with open(f"/proc/self/fd/{writer}", "wb") as full:
        os.close(writer)
        daemon.process = world.lab.popen("fw", [DAEMON, *words], stderr=full, env=ENVIRONMENT)
    wait_until(lambda: daemon.ask("status")[0] == 0, 20, "the daemon's first answer")
    for inbound in ("{ deny: https }", "{ allow: ssh }"):
        assert daemon.apply(with_inbound(inbound), "--no-confirm")[0] == 0
    with open(reader, "rb") as said:
        while said.read(1) == b"\n":
            os.set_blocking(said.fileno(), False)
        os.set_blocking(said.fileno(), True)
        assert daemon.apply(EXAMPLE, "--no-confirm")[0] == 0
        assert b" lines are missing here" in said.readline()
    # and now nobody can read it any more
    assert daemon.apply(with_inbound("{ allow: ssh }"), "--no-confirm")[0] == 0
    assert daemon.status()["number"] == 4 and reach(world, 22) == "open"


def test_a_control_socket_that_is_taken_away_is_made_again(world, daemon):
    """Its folder, too; whoever is connected stays so."""
    daemon.start()
    daemon.apply(EXAMPLE, "--no-confirm")
    path, words = daemon.runtime / "io.ringwall", "control socket had been removed"
    request = json.dumps({"method": "io.ringwall.Status"}).encode() + b"\0"
    with socket.socket(socket.AF_UNIX) as before:
        before.connect(str(path))
        taken = [path.unlink, lambda: (path.unlink(), path.write_text("a file")), None]
        for number, take in enumerate(taken, 1):
            if take:
                take()
            else:
                path.unlink()
                daemon.runtime.rmdir()
            wait_until(lambda n=number: daemon.log().count(words) == n, 20, "the event")
        before.settimeout(20)
        before.sendall(request)
        assert b'"state"' in before.recv(1 << 16)
    assert daemon.status()["number"] == 1


def test_a_control_socket_that_somebody_else_listens_at_is_theirs(world, daemon):
    daemon.start()
    daemon.apply(EXAMPLE, "--no-confirm")
    path = daemon.runtime / "io.ringwall"
    other = socket.socket(socket.AF_UNIX)
    other.bind(str(daemon.runtime / "other"))
    other.listen()
    os.rename(daemon.runtime / "other", path)
    wait_until(lambda: "another program listens there" in daemon.log(), 20, "the failure")
    assert reach(world, 22) == "dropped"
    other.close()
    path.unlink()
    wait_until(lambda: daemon.ask("status")[0] == 0, 20, "an answer")
    assert daemon.log().count("another program listens there") == 1
