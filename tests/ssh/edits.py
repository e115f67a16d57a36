# SPDX-License-Identifier: GPL-2.0-or-later
"""Edits of a policy that lock its administrator out, or might."""

import time
from dataclasses import dataclass
from typing import Callable

# exit codes
OK, INVALID, LOCKED_OUT, AWAITING = 0, 3, 7, 9

OFFICE = '[203.0.113.0/24, "2001:db8:ffff::/64"]'
HEAD = "ringwall: 1\nsettings: { confirm: 10s }\n"


def policy(*inbound, office=OFFICE, more=""):
    text = f"{HEAD}zones: {{ office: {office} }}\n" if office else HEAD
    if inbound:
        text += "inbound:\n" + "".join(f"  - {rule}\n" for rule in inbound)
    return text + more


SSH, WEB = "{ allow: ssh, from: office }", "allow: https"
GOOD = policy(SSH, WEB)


@dataclass
class Edit:
    name: str
    text: str | Callable[[], str]
    answer: dict  # family by which the administrator came: what `apply` says
    shut: dict  # likewise: nobody comes in any more while it is in force
    before: str = GOOD  # what is in force and confirmed; None: nothing at all
    first: Callable | None = None  # what else is there before anything is confirmed
    also: Callable | None = None  # what else is done to the host, before the administrator comes
    moved: Callable | None = None  # and behind his back, before it is applied
    after: Callable | None = None  # and when it is in force
    holds_up: bool = False  # connections that are open hear nothing any more either
    mode: int = 0o644
    command: str = "apply {policy}"
    can_insist: bool = True

    @property
    def is_about_rules(self):
        """An `apply` that nothing else than the rules for SSH's port makes one that locks out."""
        return self.command.startswith("apply") and not self.moved and "forwarded" not in self.name

    def policy(self):
        return self.text if isinstance(self.text, str) else self.text()


def _by_family(value):
    return value if isinstance(value, dict) else {4: value, 6: value}


EDITS = {}


def edit(name, text, answer, shut=None, **more):
    """shut: whether it locks out; what is refused for that does, unless told."""
    answer = _by_family(answer)
    shut = {f: a == LOCKED_OUT for f, a in answer.items()} if shut is None else _by_family(shut)
    assert name not in EDITS
    EDITS[name] = Edit(name, text, answer, shut, **more)


def in_seconds(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))


# --- the rule is not what it was ------------------------------------------------------------------

edit("the rule for SSH is gone", policy(WEB), LOCKED_OUT)
edit("nothing is left at all", HEAD, LOCKED_OUT)
edit("SSH is denied", policy(SSH, "{ deny: ssh }"), LOCKED_OUT)
edit("everything is denied to a range that the office is in",
     policy(SSH, '{ deny: any, from: [203.0.112.0/23, "2001:db8::/32"] }'), LOCKED_OUT)  # fmt: skip
edit("another port", policy("{ allow: 2222/tcp, from: office }"), LOCKED_OUT)
edit("SSH means another port", policy(SSH, more="services: { ssh: { tcp: 2222 } }\n"), LOCKED_OUT)
edit("another protocol", policy("{ allow: 22/udp, from: office }"), LOCKED_OUT)
edit("the address is mistyped", policy(SSH, office='[203.0.131.0/24, "2001:db8:fff::/64"]'), LOCKED_OUT)
edit("an interface that is not there", policy(SSH, office="{ interfaces: [eht0] }"), LOCKED_OUT)
edit("networks of another interface", policy(SSH, office="{ connected: [eth1] }"), LOCKED_OUT)
edit("networks of an interface that is not there", policy(SSH, office="{ connected: [eht0] }"), LOCKED_OUT)
edit("arriving elsewhere", policy("{ allow: ssh, from: office, in: eth1 }"), LOCKED_OUT)
edit("to an address that is not the host's",
     policy('{ allow: ssh, from: office, to: [203.0.113.9, "2001:db8:ffff::9"] }'), LOCKED_OUT)  # fmt: skip
edit("the office is excepted",
     policy('{ allow: ssh, from: anywhere, except: [203.0.113.0/28, "2001:db8:ffff::/112"] }'),
     LOCKED_OUT)  # fmt: skip
edit("IPv6 alone", policy(SSH, office='["2001:db8:ffff::/64"]'), {4: LOCKED_OUT, 6: AWAITING})
edit("IPv4 alone", policy(SSH, office="[203.0.113.0/24]"), {4: AWAITING, 6: LOCKED_OUT})
edit("SSH is protected from everybody",
     policy("{ allow: any, from: office }", more="protected: [{ services: ssh }]\n"), LOCKED_OUT)  # fmt: skip
edit("SSH is protected and allowed", policy(SSH, more="protected: [{ services: ssh }]\n"), INVALID)
edit("the rule is routed's",
     policy(office=OFFICE, more="routed: [{ allow: ssh, from: office }]\n"), LOCKED_OUT)  # fmt: skip
edit("the default rejects",
     policy(more="inbound: { default: reject, rules: [{ allow: https }] }\n"), LOCKED_OUT)  # fmt: skip
edit("the rule was over yesterday",
     policy("{ allow: ssh, from: office, until: 2020-01-01 }"), LOCKED_OUT)  # fmt: skip
edit("the rule is over at once",
     lambda: policy(f"{{ allow: ssh, from: office, until: {in_seconds(4)} }}"), AWAITING, True)  # fmt: skip
edit("one connection an hour",
     policy("{ allow: ssh, from: office, limit: 1/hour }"), AWAITING, True)  # fmt: skip
edit("one connection at once",
     policy("{ allow: ssh, from: office, connections: 1 }"), AWAITING, False)  # fmt: skip

# --- other parts ----------------------------------------------------------------------------------

edit("nothing leaves", policy(SSH, more="outbound: drop\n"), AWAITING, False)
edit("nothing but the web leaves", policy(SSH, more="outbound: [{ allow: https }]\n"), AWAITING, False)
edit("everything is routed",
     policy(SSH, more="routed: [{ allow: any, from: anywhere, to: anywhere }]\n"), AWAITING, False)  # fmt: skip
edit("SSH is forwarded to another machine",
     policy(SSH, more='nat: [{ forward: ssh, to: 10.40.10.77 }]\n'),
     {4: LOCKED_OUT, 6: AWAITING}, {4: True, 6: False})  # fmt: skip
edit("neighbours are not found any more",
     policy(SSH).replace("confirm: 10s", "confirm: 10s, essentials: []"),
     AWAITING, {4: False, 6: True}, holds_up=True,
     after=lambda host: host.net.run("admin", ["ip", "neigh", "flush", "dev", "eth0"]))  # fmt: skip


def goes_out_elsewhere(host):
    """What comes in by one interface is answered by another."""
    host.net.ip("admin", "addr replace 192.0.2.7/32 dev lo\nroute replace 203.0.113.1/32 dev eth0 src 192.0.2.7\n")
    host.net.ip("fw", "route replace 192.0.2.7/32 via 10.40.10.2 dev eth1\n")
    for ns in ("fw", "admin"):
        host.net.sysctl(ns, net__ipv4__conf__all__rp_filter=0, net__ipv4__conf__eth0__rp_filter=0,
                        net__ipv4__conf__eth1__rp_filter=0)  # fmt: skip


SPREAD = '[203.0.113.0/24, 192.0.2.0/24, "2001:db8:ffff::/64"]'
edit("sources must be where routes lead",
     policy(SSH, WEB, office=SPREAD).replace("confirm: 10s", "confirm: 10s, antispoof: strict"),
     AWAITING, {4: True, 6: False}, before=policy(SSH, WEB, office=SPREAD),
     also=goes_out_elsewhere)  # fmt: skip


def sshd_moves(host):
    host.stop("sshd")
    host.start_sshd(2222)


edit("sshd listens elsewhere by now", GOOD, LOCKED_OUT,
     before=policy("{ allow: [ssh, 2222/tcp], from: office }"), moved=sshd_moves)  # fmt: skip
edit("the first policy of all", policy(WEB), LOCKED_OUT, before=None)
edit("a file beside it denies", GOOD, LOCKED_OUT,
     also=lambda host: host.write("policy.d/50.yaml", f"{HEAD.splitlines()[0]}\ninbound: [{{ deny: ssh }}]\n"))  # fmt: skip
edit("the list has other addresses",
     lambda: policy(SSH, office="{ file: list }"), LOCKED_OUT,
     also=lambda host: host.write("list", "# the office moved\n198.51.100.77\n"))  # fmt: skip

LISTED = policy(SSH, office="{ file: list }")


def in_the_list(*addresses):
    return lambda host: host.write("list", "".join(f"{a}\n" for a in addresses))


edit("the list is read again, and has other addresses", LISTED, LOCKED_OUT, before=LISTED,
     first=in_the_list("203.0.113.2", "2001:db8:ffff::2"), moved=in_the_list("198.51.100.77"),
     command="reload", can_insist=False)  # fmt: skip

def confirmed_before(*texts):
    """At the console."""

    def first(host):
        for text in texts:
            host.run("ringwall", "apply", host.write("former.yaml", text), "--no-confirm")

    return first


edit("back to a policy without SSH", GOOD, LOCKED_OUT, command="rollback 1",
     first=confirmed_before(policy(WEB), policy(SSH)))  # fmt: skip
edit("not to be confirmed", policy(WEB), LOCKED_OUT, command="apply {policy} --no-confirm",
     can_insist=False)  # fmt: skip

# --- what cannot be read --------------------------------------------------------------------------

edit("half a file", policy(SSH)[:-9], INVALID)
edit("an include that is gone", policy(SSH, more="include: [gone.yaml]\n"), INVALID)
edit("a list that is gone", policy(SSH, office="{ file: gone }"), INVALID)
edit("a zone that is not there", policy("{ allow: ssh, from: offfice }"), INVALID)
edit("its own test fails",
     policy(WEB, more="expect: [{ allow: ssh, from: 203.0.113.2 }]\n"), INVALID)  # fmt: skip
edit("others may write it", GOOD + "# new\n", INVALID, mode=0o666)
