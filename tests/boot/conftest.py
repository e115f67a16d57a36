# SPDX-License-Identifier: GPL-2.0-or-later
"""Machines for the tests that boot systemd. RINGWALL_DEB names the package that they are about; that of
packaging/build-deb, unless told."""

import itertools
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tests/boot"), str(ROOT / "tests/netns"), str(ROOT / "tests/harness")]


class Yard:
    """Where machines are made."""

    def __init__(self, package, folder):
        import machine
        import rootfs

        # while there is a network to fetch it from: what follows is in one of its own
        self.bare = rootfs.make(ROOT / "build/rootfs", package)
        self.net = machine.Net()
        self.make = machine.Machine
        self.folder = folder
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", self.folder], check=True, timeout=30)
        self.package = Path(package)
        self.numbers = itertools.count()
        self.machines = []

    def machine(self, layers):
        folder = self.folder / str(next(self.numbers))
        folder.mkdir()
        made = self.make(self.net, layers, folder)
        self.machines.append(made)
        return made

    def retire(self, machine):
        self.machines.remove(machine)
        machine.close()

    def close(self):
        while self.machines:
            self.retire(self.machines[-1])


FIGURES = pytest.StashKey()


@pytest.fixture(name="figures")
def make_figures(request):
    """Lines that are shown when all tests are done."""
    return request.config.stash.setdefault(FIGURES, [])


def pytest_terminal_summary(terminalreporter, config):
    for line in config.stash.get(FIGURES, []):
        terminalreporter.write_line(line)


@pytest.fixture(scope="session", name="yard")
def make_yard(tmp_path_factory):
    package = os.environ.get("RINGWALL_DEB") or next((ROOT / "build/deb").glob("ringwall_*.deb"))
    yard = Yard(package, tmp_path_factory.mktemp("machines"))
    yield yard
    yard.close()


@pytest.fixture(scope="session", name="installed")
def make_installed(yard):
    """A disk with the package; it was never booted."""
    import rootfs

    folder = yard.folder / "installed"
    folder.mkdir()
    return [rootfs.install(yard.bare, folder, yard.package), yard.bare]


@pytest.fixture(scope="session", name="armed")
def make_armed(yard, installed):
    """The disk of a machine that was switched off after its policy was confirmed."""
    from stream import POLICY

    machine = yard.machine(installed)
    machine.boot()
    machine.apply(POLICY)
    machine.power_off()
    return [machine.folder / "disk", *installed]


@pytest.fixture(scope="session", name="beside")
def make_beside(yard, armed):
    """The same disk with other firewalls installed, none of them enabled."""
    import rootfs

    folder = yard.folder / "beside"
    folder.mkdir()
    return [rootfs.add_rivals(yard.bare, armed, folder), *armed]


@pytest.fixture(name="machine")
def make_machine(yard, armed):
    """One that has a confirmed policy; it is still switched off."""
    made = yard.machine(armed)
    yield made
    yard.retire(made)


@pytest.fixture(name="up")
def make_up(machine):
    machine.boot()
    return machine


@pytest.fixture(scope="session", name="newer")
def make_newer(yard):
    """The same package with a higher version."""
    tree = yard.folder / "newer"
    run = lambda *words: subprocess.run(words, check=True, timeout=60, capture_output=True)
    run("dpkg-deb", "-R", yard.package, tree)
    control = tree / "DEBIAN/control"
    lines = control.read_text().splitlines()
    control.write_text("".join(f"{line}+newer\n" if line.startswith("Version:") else f"{line}\n" for line in lines))
    run("dpkg-deb", "-z1", "-Zgzip", "-b", tree, tree.with_suffix(".deb"))
    shutil.rmtree(tree)
    return tree.with_suffix(".deb")
