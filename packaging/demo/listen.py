#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""listen.py NAME PORT...: listens on every port, IPv4 and IPv6, and tells each caller "NAME PORT".

Prints "ready" when all ports are open. Ends with the process that started it.
"""

import ctypes
import selectors
import signal
import socket
import sys

PR_SET_PDEATHSIG = 1


def main():
    name, ports = sys.argv[1], sys.argv[2:]
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    selector = selectors.DefaultSelector()
    for port in ports:
        server = socket.create_server(
            ("", int(port)), family=socket.AF_INET6, dualstack_ipv6=True, backlog=64
        )
        server.setblocking(False)
        selector.register(server, selectors.EVENT_READ, f"{name} {port}\n".encode())
    print("ready", flush=True)
    while True:
        for key, _ in selector.select():
            try:
                caller, _ = key.fileobj.accept()
                with caller:
                    caller.settimeout(1)
                    caller.sendall(key.data)
            except OSError:
                pass  # the caller has gone again


main()
