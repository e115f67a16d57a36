# SPDX-License-Identifier: GPL-2.0-or-later
"""The words of POLICY.md that are not about addresses and ports: settings, owners, times, nat.
Sentences in quotation marks are the page's."""

import grp
import pwd
import re
import time
from calendar import timegm

from files import as_list
from host import address

ESSENTIALS = ("neighbour-discovery", "mld", "igmp", "dhcp", "errors")
DAY = 24 * 3600


class Settings:
    """Those that say something about verdicts; "default first"."""

    def __init__(self, value):
        value = value or {}
        # ("off" is a word here, which YAML reads as a boolean.)
        self.antispoof = {False: "off"}.get(value.get("antispoof"), value.get("antispoof", "loose"))
        # "what passes unasked; an entry may be left out"
        self.essentials = set(as_list(value.get("essentials", list(ESSENTIALS))))
        self.containers_open = value.get("containers", "open") == "open"
        self.counts = value.get("counters", "rules") not in ("off", False)


# --- who owns the socket -------------------------------------------------------------------------


def owners(value, by_name):
    """ "resolved to numbers at check"; None: whoever."""
    if value is None:
        return None
    return {int(v) if str(v).isdigit() else by_name(v) for v in as_list(value)}


def users(value):
    return owners(value, lambda name: pwd.getpwnam(name).pw_uid)


def groups(value):
    return owners(value, lambda name: grp.getgrnam(name).gr_gid)


# --- until ---------------------------------------------------------------------------------------

_TIME = re.compile(
    r"(\d+)-(\d+)-(\d+)(?:[ T](\d+):(\d+)(?::(\d+))?(?:(Z)|([+-])(\d\d):?(\d\d))?)?$"
)


def end_of(text):
    """ "a date or time after which the rule is gone": seconds since 1970. A date means the end of
    that day; local time unless it says otherwise (ringwall-policy(5))."""
    year, month, day, hour, minute, second, zulu, sign, hours, minutes = _TIME.match(text).groups()
    parts = [int(v or 0) for v in (year, month, day, hour, minute, second)]
    if hour is None:
        parts[2] += 1
    if zulu or sign:
        offset = (int(hours) * 3600 + int(minutes) * 60) * (-1 if sign == "-" else 1) if sign else 0
        return timegm((*parts, 0, 0, 0)) - offset
    return time.mktime((*parts, 0, 0, -1))


def is_over(rule, now):
    until = rule.get("until")
    return until is not None and end_of(str(until)) <= now


# --- nat -----------------------------------------------------------------------------------------


class Forward:
    """ "{ forward: SERVICE, to: ADDRESS[:PORT], in: IFACE } (several ports: to without a port),
    which translates but opens nothing" """

    def __init__(self, value, services):
        self.services = services
        self.arrives_on = [str(i) for i in as_list(value.get("in"))]
        text, self.port = str(value["to"]), 0
        if text.startswith("["):
            text, _, port = text[1:].partition("]")
            self.port = int(port[1:] or 0)
        elif text.count(":") == 1:
            text, _, port = text.partition(":")
            self.port = int(port)
        self.family, self.address = address(text)
