# SPDX-License-Identifier: GPL-2.0-or-later
"""The control socket describes itself, and ringwall-varlink(7) says the same."""

import os
import re
import subprocess
import sys

import pytest

from daemon import DAEMON, Daemon
from program import PROGRAM, ROOT
from world import World

sys.path.insert(0, os.path.join(ROOT, "tests/rpc"))
# pylint: disable-next=wrong-import-position
from varlink import Client, Reader  # noqa: E402

PAGE = os.path.join(os.path.dirname(PROGRAM), "../../man/ringwall-varlink.7.scd")


@pytest.fixture(name="socket_path", scope="module")
def start(tmp_path_factory):
    folder = tmp_path_factory.mktemp("daemon")
    world = World(folder, foreign=None)
    daemon = Daemon(world, folder)
    try:
        daemon.start()
        yield str(daemon.runtime / "io.ringwall")
    finally:
        daemon.stop()
        world.close()


@pytest.fixture(name="description")
def ask(socket_path):
    with Client(socket_path) as c:
        reply = c.call("org.varlink.service.GetInterfaceDescription", interface="io.ringwall")
        return reply["parameters"]["description"]


def flat(fields, path=""):
    """Every field by its way, as the page writes it."""
    for name, kind in fields.items():
        yield path + name
        inner = kind[1] if isinstance(kind, tuple) else kind
        if isinstance(inner, dict):
            many = "[]" if isinstance(kind, tuple) and "[]" in kind[0] else ""
            yield from flat(inner, f"{path}{name}{many}.")


def sections():
    """{method or error: (fields before "It answers", fields behind)} of the page."""
    with open(PAGE, encoding="utf-8") as f:
        body = f.read().split("# METHODS")[1].split("# EXAMPLES")[0]
    found = {}
    for section in re.split(r"^## ", body, flags=re.MULTILINE)[1:]:
        name, _, text = section.partition("\n")
        taken, _, given = text.partition("It answers")
        found[name] = tuple(
            re.findall(r"^\*(.+?)\* \(", part, flags=re.MULTILINE) for part in (taken, given)
        )
    return found


def test_what_the_socket_says_of_itself_needs_no_socket(description):
    done = subprocess.run([DAEMON, "--describe"], capture_output=True, text=True, timeout=10)
    assert done.returncode == 0 and done.stdout == description


def test_the_page_has_every_method_field_and_error_and_no_other(description):
    name, methods, errors = Reader(description).interface()
    assert name == "io.ringwall" and {"Status", "Apply", "Drops"} < set(methods)
    expected = {m: tuple(list(flat(f)) for f in both) for m, both in methods.items()}
    expected.update({e: (list(flat(fields)), []) for e, fields in errors.items()})
    assert sections() == expected


def test_the_page_names_no_method_that_there_is_not(description):
    _, methods, errors = Reader(description).interface()
    with open(PAGE, encoding="utf-8") as f:
        named = set(re.findall(r"io\.ringwall\.([A-Z]\w+)", f.read()))
    assert named and named <= set(methods) | set(errors)


def test_the_example_in_python_does_what_it_says(socket_path):
    with open(PAGE, encoding="utf-8") as f:
        code = re.search(r"```\n(import json.*?)```", f.read(), re.DOTALL)[1]
    code = code.replace("\\\\", "\\").replace("/run/ringwall/io.ringwall", socket_path)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=20
    )
    assert (done.stdout, done.stderr) == ("unarmed True\n", "")
