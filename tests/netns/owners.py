# SPDX-License-Identifier: GPL-2.0-or-later
"""Sockets of other users: each is opened by a process that has become that user, and handed over. A
socket stays its opener's, whoever sends through it."""

import ctypes
import os
import socket

PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP = 28, 4

# (user, group): further groups, which own nothing
OWNERS = {
    (0, 0): [1000],
    (1000, 1000): [0, 1],
    (1000, 0): [],
    (0, 1000): [],
    (1, 1): [1000, 1001],
    (65534, 65534): [],
    (1001, 1000): [1001],
    (4294967294, 4294967294): [],
}

_libc = ctypes.CDLL(None, use_errno=True)


def become(user, group, more_groups, keep=False):
    """This process, for good. keep: with its capabilities."""
    if keep and _libc.prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "keeping capabilities")
    os.setgroups(more_groups)
    os.setresgid(group, group, group)
    os.setresuid(user, user, user)


def raw_sockets(user, group, more_groups):
    """(IPv4, IPv6): sockets in this process's network that send whole packets."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                become(user, group, more_groups, keep=True)
                made = [
                    socket.socket(f, socket.SOCK_RAW, socket.IPPROTO_RAW)
                    for f in (socket.AF_INET, socket.AF_INET6)
                ]
                socket.send_fds(theirs, [b"."], [s.fileno() for s in made])
                code = 0
            finally:
                os._exit(code)
        theirs.close()
        _, fds, _, _ = socket.recv_fds(ours, 1, 2)
        _, status = os.waitpid(child, 0)
    assert status == 0 and len(fds) == 2, f"no sockets of user {user}: status {status}"
    return tuple(socket.socket(fileno=fd) for fd in fds)
