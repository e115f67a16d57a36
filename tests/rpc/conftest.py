# SPDX-License-Identifier: GPL-2.0-or-later
import os
import pathlib
import subprocess
import tempfile

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
RINGWALL = os.environ.get("RINGWALL", str(ROOT / "build/plain/src/cli/ringwall"))
SAMPLE = pathlib.Path(RINGWALL).parent.parent / "rpc/sample_server"


class Server:
    def __init__(self, path):
        self.path = str(path)
        self.child = subprocess.Popen([SAMPLE, self.path], stdout=subprocess.PIPE)
        assert self.child.stdout.readline() == b"listening\n"

    def memory(self):
        """KiB that it has in memory now."""
        with open(f"/proc/{self.child.pid}/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.child.pid}/fd"))

    def seconds(self):
        """Processor time that it took so far."""
        with open(f"/proc/{self.child.pid}/stat") as stat:
            fields = stat.read().rpartition(") ")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.fixture
def server():
    with tempfile.TemporaryDirectory(prefix="ringwall-rpc-") as folder:
        os.chmod(folder, 0o755)  # other users connect, too
        one = Server(f"{folder}/io.ringwall")
        yield one
        alive = one.child.poll() is None
        one.child.kill()
        one.child.wait()
        one.child.stdout.close()
        assert alive, f"the server has ended: {one.child.returncode}"
