# SPDX-License-Identifier: GPL-2.0-or-later
"""What a soak measures of ringwalld: memory, descriptors, and the folder of its state."""

import os
import statistics
import time

# What may come on top of the median of the beginning: allocators do not give everything back at once
MEMORY_SHARE, MEMORY_KIB = 0.15, 1024
DESCRIPTORS = 0
HISTORY_MAX, FOLDER_MAX = 50, 32 << 20
WARM_UP, EARLY, LATE = 0.1, 0.3, 0.8  # parts of a life


def measure(pid):
    """KiB of anonymous memory and of all that is private, and descriptors; None: it has ended."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
            fields = dict(line.split(":") for line in f if ":" in line and "-" not in line.split()[0])
        of = lambda name: int(fields[name].split()[0])
        return of("Anonymous"), of("Private_Clean") + of("Private_Dirty"), len(os.listdir(f"/proc/{pid}/fd"))
    except (OSError, KeyError, ValueError):
        return None


def folder_size(folder):
    """(bytes, files)"""
    size = files = 0
    for path, _, names in os.walk(folder):
        for name in names:
            try:
                size += os.lstat(os.path.join(path, name)).st_size
            except FileNotFoundError:
                continue
            files += 1
    return size, files


class Watch:
    """Of one life of the daemon: what restarts in between would hide."""

    def __init__(self):
        self.pid, self.start, self.samples = 0, 0.0, []
        self.folders = []

    def sample(self, daemon):
        pid = daemon.process.pid
        if pid != self.pid:
            self.pid, self.start, self.samples = pid, time.monotonic(), []
        found = measure(pid)
        if found:
            self.samples.append((time.monotonic() - self.start, *found))
        self.folders.append(folder_size(daemon.state))

    def _medians(self, first, last):
        life = self.samples[-1][0]
        part = [s for s in self.samples if first * life <= s[0] <= last * life]
        return [round(statistics.median(column)) for column in list(zip(*part))[1:]]

    def report(self):
        """[(name, at its start, after the warm-up, at the end)] of the last life."""
        rows = self.samples[0][1:], self._medians(WARM_UP, EARLY), self._medians(LATE, 1)
        names = "anonymous memory (KiB)", "private memory (KiB)", "descriptors"
        return list(zip(names, *rows))

    def wrong(self):
        """What has grown."""
        found = []
        for name, _, early, late in self.report():
            allowed = early + (
                DESCRIPTORS if name == "descriptors" else early * MEMORY_SHARE + MEMORY_KIB
            )
            if late > allowed:
                found.append(f"{name} grew from {early} to {late}")
        size, files = max(self.folders)
        if size > FOLDER_MAX:
            found.append(f"the state takes {size} bytes in {files} files")
        return found
