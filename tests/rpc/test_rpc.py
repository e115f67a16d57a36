# SPDX-License-Identifier: GPL-2.0-or-later
"""The control socket's library, in a server of its own, with clients that know Varlink and nothing else;
most of them mean harm."""

import os
import random
import resource
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

from varlink import Client, Reader

SERVICE = "org.varlink.service."
SAMPLE = "io.ringwall."
NOBODY = 65534
MIB = 1024  # KiB, the unit of Server.memory()
SECONDS_OF_FLOOD = 3


@contextmanager
def user(uid):
    """Connections made within are that user's: what counts is who called connect()."""
    os.setegid(uid)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


def counts(server):
    with Client(server.path) as client:
        return client.call(SAMPLE + "GetCounts")["parameters"]


def await_counts(server, **wanted):
    """Until the server has counted that; it counts when it notices, which is not at once."""
    end = time.monotonic() + 20
    while True:
        found = counts(server)
        if all(found[name] == value for name, value in wanted.items()):
            return
        assert time.monotonic() < end, f"{wanted} is not reached: {found}"
        time.sleep(0.02)


def describe(client, interface):
    reply = client.call(SERVICE + "GetInterfaceDescription", interface=interface)
    return Reader(reply["parameters"]["description"]).interface()


def test_a_service_describes_itself_and_is_as_described(server):
    with Client(server.path) as client:
        info = client.call(SERVICE + "GetInfo")["parameters"]
        name, methods, errors = describe(client, "org.varlink.service")
        assert name == "org.varlink.service"
        assert methods["GetInfo"] == ({}, {key: "string" for key in info if key != "interfaces"}
                                      | {"interfaces": "[]string"})
        assert methods["GetInterfaceDescription"] == ({"interface": "string"}, {"description": "string"})
        assert errors["MethodNotFound"] == {"method": "string"}
        assert errors["InvalidParameter"] == {"parameter": "string"}

        assert info["interfaces"] == ["org.varlink.service", "io.ringwall"]
        name, methods, errors = describe(client, "io.ringwall")
        assert name == "io.ringwall"
        assert methods["Echo"][0] == methods["Echo"][1] == {
            "text": "string", "count": "?int", "loud": "?bool", "pace": ("?", ["fast", "slow"]),
            "names": "?[]string", "anything": "?object", "parts": ("?[]", {"size": "int", "title": "?string"}),
        }
        assert methods["Wait"] == ({}, {})
        for error in ("PermissionDenied", "Failed", "TooManyClients", "InvalidMessage"):
            assert errors[error] == {"message": "string"}
        assert errors["Refused"] == {"message": "string", "days": "int"}


def test_an_answer_of_many_parts_is_complete(server):
    with Client(server.path) as client:
        client.send(SAMPLE + "Count", more=True, ticks=200, bytes=10000)
        replies = [client.receive() for _ in range(200)]
    assert [reply["parameters"]["number"] for reply in replies] == list(range(1, 201))
    assert [reply.get("continues", False) for reply in replies] == [True] * 199 + [False]


@pytest.mark.parametrize("uid, limit", [(0, 1 << 20), (NOBODY, 64 << 10)])
def test_a_message_of_a_gigabyte_is_refused_at_the_limit(server, uid, limit):
    before = server.memory()
    piece = b"x" * (1 << 20)
    sent = 0
    with user(uid):
        client = Client(server.path)
    try:
        while sent < 1 << 30:
            sent += client.socket.send(piece)
    except (BrokenPipeError, ConnectionResetError):
        pass
    assert sent < limit + (1 << 20)  # the socket's buffer is in it
    reply = client.receive()
    assert reply["error"] == SAMPLE + "InvalidMessage"
    assert reply["parameters"]["message"] == f"the message is longer than {limit} bytes"
    assert client.receive() is None
    client.close()
    assert server.memory() < before + 3 * MIB


def test_garbage_ends_connections_and_nothing_else(server):
    generator = random.Random(4)
    before = None
    for number in range(1500):
        with Client(server.path) as client:
            try:
                client.socket.sendall(generator.randbytes(generator.randrange(1, 3000)) + b"\0")
                reply = client.receive()
            except BrokenPipeError:
                reply = client.receive()
        assert reply is None or reply["error"] == SAMPLE + "InvalidMessage"
        if number == 100:
            before = server.memory()
    assert counts(server)["invalid"] == 1500
    assert server.memory() < before + 1 * MIB


def test_half_messages_do_not_last(server):
    clients = [Client(server.path) for _ in range(20)]
    for client in clients:
        client.socket.sendall(b'{"method":"io.ringwall.Wr')
    for client in clients:
        assert client.receive()["error"] == SAMPLE + "InvalidMessage"
        assert client.receive() is None
        client.close()
    assert counts(server)["late"] == 20


def test_who_does_not_read_is_disconnected_and_its_memory_freed(server):
    before = server.memory()
    clients = []
    with user(NOBODY):
        for _ in range(8):
            clients.append(Client(server.path))
            clients[-1].send(SAMPLE + "Count", more=True, ticks=100, bytes=1 << 20)
    await_counts(server, unread=8, clients=1)
    assert server.memory() < before + 16 * MIB
    for client in clients:
        client.close()


def test_a_client_that_is_killed_leaves_no_call_behind(server):
    script = ("import socket, sys, time; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]);"
              "s.sendall(b'{\"method\":\"io.ringwall.Wait\"}\\0'); print('sent', flush=True); time.sleep(60)")
    children = [subprocess.Popen([sys.executable, "-c", script, server.path], stdout=subprocess.PIPE)
                for _ in range(5)]
    for child in children:
        assert child.stdout.readline() == b"sent\n"
    await_counts(server, clients=6)
    for child in children:
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
    await_counts(server, gone=5, clients=1)


def test_ten_thousand_clients_at_once(server):
    """As many at a time as this process may have descriptors; whoever is too many is told so."""
    at_a_time = min(10000, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 100)
    before = None
    total = refused = 0
    while total < 10000:
        with user(NOBODY):
            clients = [Client(server.path) for _ in range(min(at_a_time, 10000 - total))]
        total += len(clients)
        with Client(server.path) as root:  # while all of them are there
            assert root.call(SAMPLE + "Write") == {"parameters": {}}
        assert server.descriptors() < 100
        for client in clients[16:]:
            reply = client.receive()
            assert reply["error"] == SAMPLE + "TooManyClients"
            assert client.receive() is None
            refused += 1
        for client in clients:
            client.close()
        await_counts(server, clients=1)
        before = before or server.memory()
    assert counts(server)["refused"] == refused
    assert server.memory() < before + 1 * MIB


FLOOD = """
import os, socket, struct, sys, time
os.setgid({uid}); os.setuid({uid})
end = time.monotonic() + {seconds}
print("begins", flush=True)
while time.monotonic() < end:
    held = []
    for _ in range(100):
        s = socket.socket(socket.AF_UNIX)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", 5, 0))
        try:
            s.connect(sys.argv[1])
            s.send(b'{{"method":"io.ringwall.Nothing","oneway":true}}\\0' * 500 + b'{{')
        except OSError:
            pass
        held.append(s)
    for s in held:
        s.close()
"""


def test_root_is_served_while_others_flood(server):
    floods = [subprocess.Popen([sys.executable, "-c", FLOOD.format(uid=uid, seconds=SECONDS_OF_FLOOD),
                                server.path], stdout=subprocess.PIPE) for uid in (1000, 1001, 1002, 1003)]
    for flood in floods:
        assert flood.stdout.readline() == b"begins\n"
    slowest = n_calls = 0
    while any(flood.poll() is None for flood in floods):
        start = time.monotonic()
        with Client(server.path) as root:
            assert root.call(SAMPLE + "Write") == {"parameters": {}}
        slowest = max(slowest, time.monotonic() - start)
        n_calls += 1
    for flood in floods:
        assert flood.returncode == 0
        flood.stdout.close()
    print(f"{n_calls} calls of root's, the slowest in {slowest * 1000:.1f} ms")
    assert n_calls > 20
    assert slowest < 2
    await_counts(server, clients=1)


def test_idle_clients_cost_no_time(server):
    with user(NOBODY):
        clients = [Client(server.path) for _ in range(16)]
    for client in clients[:8]:
        client.send(SAMPLE + "Wait")
    await_counts(server, clients=17)
    before = server.seconds()
    time.sleep(1)
    assert server.seconds() - before < 0.1
    for client in clients:
        client.close()


def test_a_socket_left_by_a_killed_server_is_taken_over(server):
    server.child.kill()
    server.child.wait()
    with pytest.raises(ConnectionRefusedError):
        Client(server.path)
    server.child.stdout.close()
    server.__init__(server.path)
    assert counts(server)["accepted"] == 1
