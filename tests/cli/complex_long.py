# SPDX-License-Identifier: GPL-2.0-or-later
"""Policies that nobody writes: rules that overlap in more ways than the proof may hold at once. It ends
with words, within its memory."""

import os
import random
import resource

import pytest

from command import ENVIRONMENT, RINGWALL

MIB = 1 << 20
ADDRESS_SPACE, RESIDENT = 4096 * MIB, 1024 * MIB  # the diagrams have 384 MiB of edges at most


def draw_range(lot):
    low = lot.randrange(0x0A000000, 0x0AFFFF00)
    high = min(low + lot.randrange(1, 1 << 22), 0x0AFFFFFF)
    return "-".join(".".join(str(a >> k & 255) for k in (24, 16, 8, 0)) for a in (low, high))


def write(path, n):
    lot = random.Random(1)
    with open(path, "w", encoding="utf-8") as file:
        file.write("ringwall: 1\nsettings: { containers: closed }\nrouted:\n")
        for _ in range(n):
            port, verb = lot.randrange(1, 60000), lot.choice(("allow", "deny"))
            ports = f"{port}-{port + lot.randrange(1, 5000)}/tcp"
            file.write(f"  - {{ {verb}: {ports}, from: {draw_range(lot)}, to: {draw_range(lot)} }}\n")
        file.write("protected:\n  - { services: ssh }\nexpect:\n")
        file.write("  - { deny: 1-65535/tcp, from: 10.0.0.0/8, to: 10.0.0.0/8, section: routed }\n")


def check(path, said):
    """Exit code and the most memory that it held, in a process of its own."""
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
        out = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(out, 1)
        os.dup2(out, 2)
        os.execve(RINGWALL, [RINGWALL, "check", path], ENVIRONMENT)
    _, status, usage = os.wait4(child, 0)
    assert os.WIFEXITED(status), f"ended by a signal: {status}"
    return os.WEXITSTATUS(status), usage.ru_maxrss * 1024


@pytest.mark.parametrize("n", [2500])
def test_rules_that_are_too_complex_end_in_words_and_not_without_memory(tmp_path, n):
    path, said = str(tmp_path / "policy.yaml"), str(tmp_path / "said")
    write(path, n)
    code, held = check(path, said)
    with open(said, encoding="utf-8") as file:
        text = file.read()
    assert code == 3, text[-2000:]
    assert "the rules are too complex for the proof that what is protected stays closed" in text
    assert "which of the routed rules have no effect was not found out" in text
    assert held < RESIDENT
