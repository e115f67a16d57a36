# SPDX-License-Identifier: GPL-2.0-or-later
"""What a policy means for a packet, computed from the words of POLICY.md and from nothing else.

It shares no code with the program and no idea of how rules are compiled: a policy is walked rule by
rule for every packet. Sentences in quotation marks are the page's."""

import time
from dataclasses import dataclass, replace

from host import ICMP, ICMPV6, IGMP, UDP, inside, is_link_local, is_loopback
from files import merge, read, read_all
from language import Protection, Section, ServiceExpression, read_services, read_zones
from words import Forward, Settings

IPV4_ERRORS = {3, 4, 11, 12}
IPV6_ERRORS = {1, 2, 3, 4}


@dataclass(frozen=True)
class Answer:
    verdict: str  # accept, drop, reject
    why: str  # the step of the order that decided
    section: str = None  # of why "deny", "allow", "default"
    rules: tuple = ()  # the deciding Rules or Protections (each of them would)
    alike: tuple = ()  # those of a later step that would have done the same

    @property
    def lines(self):
        """What a user may be told to have decided."""
        return {r.line for r in self.rules + self.alike}

    @property
    def places(self):
        """The same, each with its file."""
        return {r.place for r in self.rules + self.alike}


class Policy:
    def __init__(self, documents, catalogue, now):
        """now: seconds since 1970."""
        whole = merge(documents)
        self.zones = read_zones(catalogue, whole)
        self.services = read_services(catalogue, whole)
        self.sections = {
            name: Section(name, whole.get(name), self.zones, self.services, now)
            for name in ("inbound", "outbound", "routed")
        }
        self.protections = [
            Protection(p, self.zones, self.services) for p in whole.get("protected", ())
        ]
        self.settings = Settings(whole.get("settings"))
        nat = whole.get("nat", ())
        self.forwards = [
            Forward(n, ServiceExpression(n["forward"], self.services))
            for n in nat
            if "forward" in n
        ]
        self.masquerades = any("masquerade" in n for n in nat)

    def settle(self, host):
        """On that host: its networks are known to the zones, and it translates as the policy
        says."""
        for zone in self.zones.values():
            zone.settle(host)
        host.forwards = self.forwards

    # "The order in which things are judged, always: bans → loopback → cut connections →
    # established → invalid → essentials → anti-spoofing → protected → deny → allow → default."
    def judge(self, at):
        for step in (
            _bridged,
            _loopback,
            _always_dropped,
            self._known,
            _invalid,
            self._essential,
            self._spoofed,
            self._protected,
        ):
            answer = step(at)
            if answer:
                return answer
        return self._silent(self._section(section_of(at), at), at)

    def _known(self, at):
        """POLICY.md: "once it is established its packets, both ways, and the ICMP errors that
        belong to it follow that judgement"; "A connection that a protocol helper announces ... is
        judged as a new one" """
        p = at.packet
        if p.state == "established":
            return Answer("accept", "established")
        if p.state == "related" and p.error:
            if p.protocol == ICMP and p.icmp_type == 5:
                return Answer("drop", "redirect")  # "never redirects"
            errors = {ICMP: IPV4_ERRORS, ICMPV6: IPV6_ERRORS}.get(p.protocol, ())
            if p.icmp_type in errors and "errors" in self.settings.essentials:
                return Answer("accept", "error of a known connection")
        return None

    def _essential(self, at):
        """POLICY.md: "What IPv6 and IPv4 need to work passes without being asked for, in and out" -
        delivered here or sent by this host, that is; settings.essentials: "an entry may be left
        out" """
        if at.hook == "forward" or essential(at) not in self.settings.essentials:
            return None
        return Answer("accept", "essentials")

    def _spoofed(self, at):
        """POLICY.md: "a source that no interface (strict: that this interface does not) lead back
        to is dropped"; "the unspecified address, link-local sources and frames inside a bridge are
        exempt" """
        p = at.packet
        if p.from_host or p.source == 0 or is_link_local(p.family, p.source):
            return None
        wanted = {"loose": at.source_way is not None, "strict": at.source_way == p.came_in}
        return None if wanted.get(self.settings.antispoof, True) else Answer("drop", "antispoof")

    def _silent(self, answer, at):
        """POLICY.md leaves open how a connection of this host's own is refused that its own
        translation sends out by another interface; ringwall-policy(5) says: without an answer, if
        outbound asks for interfaces."""
        asks = answer.section == "outbound" and self.sections["outbound"].asks_for_interfaces()
        if answer.verdict == "reject" and at.translated and asks:
            return replace(answer, verdict="drop")
        return answer

    def _protected(self, at):
        """POLICY.md: "It never applies to the internet or to other networks that this host only
        routes to, nor to what this host's own processes open"; it does "on this host, or on the
        container and VM networks attached to it" """
        if at.hook == "output":
            return None
        if at.hook == "forward" and not at.translated:
            towards = at.goes_out, at.packet.family, at.destination
            if not any(self.zones[z].contains(*towards) for z in ("containers", "vms")):
                return None
        rules = tuple(p for p in self.protections if p.forbids(at))
        if not rules:
            return None
        # "protected drops"
        deny = self._deny(section_of(at), at)
        return Answer(
            "drop", "protected", None, rules, deny.rules if deny and deny.verdict == "drop" else ()
        )

    def _deny(self, name, at):
        """POLICY.md: "denied, if any deny rule matches it" """
        section = self.sections[name]
        denying = tuple(r for r in section.rules if r.verb == "deny" and r.matches(name, at))
        # "A deny refuses as the section's default does, and rejects where the default is allow"
        verdict = "drop" if section.fallback == "drop" else "reject"
        return Answer(verdict, "deny", name, denying) if denying else None

    def _section(self, name, at):
        section = self.sections[name]
        deny = self._deny(name, at)
        if deny:
            return deny
        # "otherwise allowed, if any allow rule matches it"
        allowing = tuple(r for r in section.rules if r.verb == "allow" and r.matches(name, at))
        if allowing:
            return Answer("accept", "allow", name, allowing)
        # "routed has one rule of its own, which settings.containers: open|closed (default open)
        # governs: zone containers may open connections to anywhere but this host"
        client = at.packet.came_in, at.packet.family, at.packet.source
        opens = name == "routed" and self.settings.containers_open
        if opens and self.zones["containers"].contains(*client):
            return Answer("accept", "containers", name)
        # "otherwise the section's default"
        return Answer({"allow": "accept"}.get(section.fallback, section.fallback), "default", name)


def section_of(at):
    """inbound: "connections that are delivered here ..., and forwarded ones whose destination was
    translated, whatever they dialled"; outbound: "connections that this host's own processes open";
    routed: "connections that pass through this host and were not addressed to it" """
    if at.hook == "output":
        return "outbound"
    return "inbound" if at.hook == "input" or at.translated else "routed"


def _bridged(at):
    """POLICY.md: "Frames that a bridge passes between two of its own ports are not this policy's
    business" """
    return Answer("accept", "bridged") if at.bridged else None


def _loopback(at):
    """POLICY.md: "Loopback belongs to no section and is free": what arrives on lo, and what leaves
    on it to a loopback address. (To its own other addresses a host's connections are outbound.)"""
    if at.packet.came_in == "lo":
        return Answer("accept", "loopback")
    if (
        at.hook == "output"
        and at.goes_out == "lo"
        and is_loopback(at.packet.family, at.destination)
    ):
        return Answer("accept", "loopback")
    return None


def _always_dropped(at):
    """POLICY.md: "Packets from outside that bear a loopback address, or this host's own, are
    dropped." As a destination, the loopback address counts as dialled."""
    p = at.packet
    if p.from_host:
        return None
    if (
        at.source_route == "own"
        or is_loopback(p.family, p.source)
        or is_loopback(p.family, p.destination)
    ):
        return Answer("drop", "own source")
    return None


def _invalid(at):
    """POLICY.md: "what conntrack calls invalid is dropped" """
    return Answer("drop", "invalid") if at.packet.state == "invalid" else None


def essential(at):
    """Which entry of settings.essentials it is about, if any."""
    p = at.packet
    outgoing = at.hook == "output"
    link_local = inside(6, p.source, "fe80::/10")
    if p.protocol == ICMPV6 and p.family == 6:
        # "neighbour discovery, router solicitations and advertisements with hop limit 255 and,
        # where they must be, from link-local sources (never redirects)"
        if p.icmp_type in (133, 135, 136) and p.hop_limit == 255:
            return "neighbour-discovery"
        if p.icmp_type == 134 and p.hop_limit == 255 and link_local:
            return "neighbour-discovery"
        # "multicast listener discovery from link-local"
        if p.icmp_type in (130, 131, 132, 143) and (link_local or outgoing and p.source == 0):
            return "mld"
    if p.protocol == IGMP and p.family == 4:
        return "igmp"
    # "a DHCPv4 or DHCPv6 client's exchange"
    if p.protocol == UDP and p.family == 4:
        if (p.source_port, p.port) == ((68, 67) if outgoing else (67, 68)):
            return "dhcp"
    if p.protocol == UDP and p.family == 6:
        if p.port == 547 if outgoing else p.port == 546 and link_local:
            return "dhcp"
    return None


def left_out(at, settings):
    """Whether it would have passed unasked, had the policy not left that out."""
    word = essential(at) if at.hook != "forward" else None
    if at.packet.state == "related" and at.packet.error:
        word = "errors"
    return word is not None and word not in settings.essentials


def load(policy_text, catalogue_text, now=None):
    """now: None: when this is asked."""
    now = time.time() if now is None else now
    return Policy([read(policy_text)], read(catalogue_text), now)


def load_files(path, catalogue_text, now=None):
    now = time.time() if now is None else now
    return Policy(read_all(path), read(catalogue_text), now)
