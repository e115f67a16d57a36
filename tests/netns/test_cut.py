# SPDX-License-Identifier: GPL-2.0-or-later
"""Open connections that a change no longer admits, and what an undone one had let in: they are cut."""

import os
import socket

from fixtures import world_for
from talk import exchange, is_silent
from world import EXAMPLE, accept_from, with_inbound

make_world = world_for("function")


def test_on_confirmation_open_connections_that_are_not_admitted_are_cut(world, daemon):
    daemon.start()
    daemon.apply(with_inbound("{ allow: [ssh, https] }"), "--no-confirm")
    pairs = {}
    for port in (22, 443):
        outcome, client = world.talk.dial("wan", world.address("host", 4), port)
        assert outcome == "open"
        pairs[port] = (client, accept_from(world, ("fw", port), client))
        assert exchange(*pairs[port])
    code, _ = daemon.apply(EXAMPLE)
    assert code == 9 and exchange(*pairs[22]), "until it is confirmed nothing is cut"
    code, answer = daemon.ask("confirm")
    assert code == 0 and answer["cut"] >= 1
    assert exchange(*pairs[443])
    client, server = pairs[22]
    assert is_silent(client, server) and is_silent(server, client)


def test_what_an_undone_change_let_in_ends_with_it(world, daemon):
    daemon.start()
    daemon.apply(EXAMPLE, "--no-confirm")
    daemon.apply(with_inbound("{ allow: ssh }"))
    outcome, client = world.talk.dial("wan", world.address("host", 4), 22)
    assert outcome == "open"
    server = accept_from(world, ("fw", 22), client)
    assert exchange(client, server)
    assert daemon.ask("rollback")[0] == 0
    assert is_silent(client, server)


def connect_as(world, user, port, kind=socket.SOCK_STREAM):
    with world.lab.inside("fw"):
        os.seteuid(user)
        s = world.talk.keep(socket.socket(socket.AF_INET, kind))
        os.seteuid(0)
    s.settimeout(5)
    s.connect((world.address("wan", 4), port))
    return s


def test_connections_of_this_hosts_own_are_cut_by_who_owns_them(world, daemon):
    daemon.start()
    assert daemon.apply("ringwall: 1\n", "--no-confirm")[0] == 0
    server = world.talk.listen("wan", 8443)
    pairs = {}
    for user in (0, 1000):
        client = connect_as(world, user, 8443)
        pairs[user] = (client, server.accept()[0])
        assert exchange(*pairs[user])
    text = "ringwall: 1\noutbound: [{ allow: 8443/tcp, user: 1000 }]\n"
    code, answer = daemon.apply(text, "--no-confirm")
    assert code == 0 and answer["cut"] == 1 and "notCut" not in answer
    assert exchange(*pairs[1000])
    assert is_silent(*pairs[0])


def test_what_could_not_be_decided_is_told(world, daemon):
    daemon.start()
    assert daemon.apply("ringwall: 1\n", "--no-confirm")[0] == 0
    world.talk.receive_on("wan", 8443)
    connect_as(world, 0, 8443, socket.SOCK_DGRAM).send(b"whose?")
    assert daemon.apply("ringwall: 1\noutbound: [{ allow: 8443/udp, user: 1000 }]\n")[0] == 9
    code, answer = daemon.ask("confirm")
    assert code == 0 and "who owns them" in answer["notCut"]
    assert any("who owns them" in e["text"] for e in daemon.status()["events"])
