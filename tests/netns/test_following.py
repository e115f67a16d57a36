# SPDX-License-Identifier: GPL-2.0-or-later
"""Networks and names of interfaces that come and go while ringwalld runs are followed."""

from daemon import FOR_EVERYBODY, own_table, reach
from fixtures import world_for
from lab import wait_until

HOME = "ringwall: 1\nzones: { home: { connected: [eth0] } }\ninbound: [{ allow: ssh, from: home }]\n"

make_world = world_for("function")


def has_network(world):
    listed = world.lab.run("fw", ["nft", "-j", "list", "set", "inet", "ringwall", "home-ipv4"], check=False)
    return "198.51.100.0" in listed.stdout


def test_networks_that_come_and_go_are_followed(world, daemon):
    daemon.start()
    assert daemon.apply(HOME, "--no-confirm")[0] == 0
    assert reach(world, 22) == "open" and not has_network(world)
    world.lab.ip("fw", "addr add 198.51.100.1/24 dev eth0\n")
    wait_until(lambda: has_network(world), 10, "the network that came")
    world.lab.ip("fw", "addr del 198.51.100.1/24 dev eth0\n")
    wait_until(lambda: not has_network(world), 10, "the network that is gone")
    assert daemon.status()["state"] == "closed" and reach(world, 22) == "open"
    # another name may be another zone's
    world.lab.ip("fw", "link set eth0 down\nlink set eth0 name wg7\nlink set wg7 up\n")
    wait_until(lambda: "eth0 is called wg7 now" in daemon.log(), 20, "the name")


def test_a_network_that_comes_while_it_starts_is_not_missed(world, daemon):
    """The host is listened to before it is looked at: here, each socket takes its time to be there."""
    daemon.start()
    assert daemon.apply(HOME, "--no-confirm")[0] == 0
    daemon.stop()
    world.lab.nft("flush ruleset")
    slowly = ["strace", "-D", "-o", "/dev/null", "-e", "inject=bind:delay_enter=1000000"]
    daemon.start(ready=False, under=slowly)
    wait_until(lambda: ("inet", "ringwall") in world.lab.tables(), 20, "the table")
    world.lab.ip("fw", "addr add 198.51.100.1/24 dev eth0\n")
    wait_until(lambda: has_network(world), 20, "the network that came meanwhile")
    wait_until(lambda: daemon.ask("status")[0] == 0, 20, "the daemon's first answer")


def test_what_could_not_be_followed_is_tried_again(world, daemon):
    daemon.start()
    assert daemon.apply(FOR_EVERYBODY + HOME, "--no-confirm")[0] == 0
    with own_table(world):
        world.lab.ip("fw", "addr add 198.51.100.1/24 dev eth0\n")
        wait_until(lambda: "are not followed" in daemon.log(), 10, "that it cannot be followed")
    # that table has gone with its owner, and nothing else happens
    wait_until(lambda: has_network(world), 20, "the next try")
    assert daemon.status()["state"] == "closed" and reach(world, 22) == "open"
    assert daemon.log().count("are not followed") == 1
