# SPDX-License-Identifier: GPL-2.0-or-later
"""Rulesets of iptables, as iptables-nft-restore reads them: Docker's and ufw's as they are found on
hosts, and random ones of every match and target whose outcome is certain."""

from foreign_rules import INTERFACES, MARKS, PORTS, V4, V6

DOCKER = """
*nat
:PREROUTING ACCEPT
:INPUT ACCEPT
:OUTPUT ACCEPT
:POSTROUTING ACCEPT
:DOCKER -
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
-A POSTROUTING -s 172.18.0.0/16 ! -o br-1 -j MASQUERADE
-A DOCKER -i docker0 -j RETURN
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80
-A DOCKER ! -i docker0 -p udp -m udp --dport 53 -j DNAT --to-destination 172.17.0.3:53
-A DOCKER -d 203.0.113.7/32 ! -i br-1 -p tcp -m tcp --dport 443 -j DNAT --to-destination 172.18.0.2:5432
COMMIT
*raw
:PREROUTING ACCEPT
:OUTPUT ACCEPT
-A PREROUTING -d 172.17.0.3/32 ! -i docker0 -j DROP
-A PREROUTING -d 127.0.0.1/32 ! -i lo -p tcp -m tcp --dport 8443 -j DROP
COMMIT
*filter
:INPUT ACCEPT
:FORWARD DROP
:OUTPUT ACCEPT
:DOCKER -
:DOCKER-BRIDGE -
:DOCKER-CT -
:DOCKER-FORWARD -
:DOCKER-ISOLATION-STAGE-1 -
:DOCKER-ISOLATION-STAGE-2 -
:DOCKER-USER -
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER-FORWARD
-A DOCKER-FORWARD -j DOCKER-CT
-A DOCKER-FORWARD -j DOCKER-ISOLATION-STAGE-1
-A DOCKER-FORWARD -j DOCKER-BRIDGE
-A DOCKER-FORWARD -i docker0 -j ACCEPT
-A DOCKER-FORWARD -i br-1 -j ACCEPT
-A DOCKER-CT -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A DOCKER-CT -o br-1 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A DOCKER-BRIDGE -o docker0 -j DOCKER
-A DOCKER-BRIDGE -o br-1 -j DOCKER
-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT
-A DOCKER -d 172.17.0.3/32 ! -i docker0 -o docker0 -p udp -m udp --dport 53 -j ACCEPT
-A DOCKER -d 172.18.0.2/32 ! -i br-1 -o br-1 -p tcp -m tcp --dport 5432 -j ACCEPT
-A DOCKER ! -i docker0 -o docker0 -j DROP
-A DOCKER ! -i br-1 -o br-1 -j DROP
-A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2
-A DOCKER-ISOLATION-STAGE-1 -i br-1 ! -o br-1 -j DOCKER-ISOLATION-STAGE-2
-A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP
-A DOCKER-ISOLATION-STAGE-2 -o br-1 -j DROP
-A DOCKER-USER -i eth0 -m conntrack --ctorigdstport 8080 --ctdir ORIGINAL -m set ! --match-set none src -j DROP
-A DOCKER-USER -i eth0 -m conntrack --ctorigdst 203.0.113.7 --ctorigdstport 443 --ctdir ORIGINAL -m mark ! --mark 0x1 -j DROP
-A DOCKER-USER -j RETURN
COMMIT
"""

UFW = """
*filter
:INPUT DROP
:FORWARD DROP
:OUTPUT ACCEPT
:ufw-before-logging-input -
:ufw-before-input -
:ufw-after-input -
:ufw-not-local -
:ufw-skip-to-policy-input -
:ufw-user-input -
:ufw-user-limit-accept -
:ufw-before-forward -
:ufw-user-forward -
:ufw-track-output -
-A INPUT -j ufw-before-logging-input
-A INPUT -j ufw-before-input
-A INPUT -j ufw-after-input
-A FORWARD -j ufw-before-forward
-A OUTPUT -j ufw-track-output
-A ufw-before-input -i lo -j ACCEPT
-A ufw-before-input -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A ufw-before-input -m conntrack --ctstate INVALID -j DROP
-A ufw-before-input -p icmp -m icmp --icmp-type 3 -j ACCEPT
-A ufw-before-input -p icmp -m icmp --icmp-type 8 -j ACCEPT
-A ufw-before-input -p udp -m udp --sport 67 --dport 68 -j ACCEPT
-A ufw-before-input -j ufw-not-local
-A ufw-before-input -d 224.0.0.251/32 -p udp -m udp --dport 5353 -j ACCEPT
-A ufw-before-input -j ufw-user-input
-A ufw-not-local -m addrtype --dst-type LOCAL -j RETURN
-A ufw-not-local -m addrtype --dst-type MULTICAST -j RETURN
-A ufw-not-local -m addrtype --dst-type BROADCAST -j RETURN
-A ufw-not-local -j DROP
-A ufw-user-input -p tcp -m tcp --dport 22 -j ACCEPT
-A ufw-user-input -p tcp -m multiport --dports 80,443 -m comment --comment "'dapp_Nginx%20Full'" -j ACCEPT
-A ufw-user-input -s 10.40.10.0/24 -p tcp -m tcp --dport 5432 -j ACCEPT
-A ufw-user-input -s 10.99.0.2/32 -j ACCEPT
-A ufw-user-input -p udp -m multiport --dports 53,8000:9000 -j ACCEPT
-A ufw-user-input -i eth1 -p tcp -m tcp --dport 11434 -j REJECT --reject-with tcp-reset
-A ufw-after-input -p udp -m udp --dport 137 -j ufw-skip-to-policy-input
-A ufw-after-input -m addrtype --dst-type BROADCAST -j ufw-skip-to-policy-input
-A ufw-skip-to-policy-input -j DROP
-A ufw-before-forward -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A ufw-before-forward -p icmp -m icmp --icmp-type 8 -j ACCEPT
-A ufw-before-forward -j ufw-user-forward
-A ufw-user-forward -i eth1 -o eth0 -j ACCEPT
-A ufw-track-output -p tcp -m conntrack --ctstate NEW -j ACCEPT
-A ufw-track-output -p udp -m conntrack --ctstate NEW -j ACCEPT
COMMIT
"""

UFW6 = """
*filter
:INPUT DROP
:FORWARD DROP
:OUTPUT ACCEPT
:ufw6-before-input -
:ufw6-user-input -
-A INPUT -j ufw6-before-input
-A FORWARD -i eth1 -j ACCEPT
-A ufw6-before-input -i lo -j ACCEPT
-A ufw6-before-input -m rt --rt-type 0 -j DROP
-A ufw6-before-input -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A ufw6-before-input -p ipv6-icmp -m icmp6 --icmpv6-type 129 -j ACCEPT
-A ufw6-before-input -m conntrack --ctstate INVALID -j DROP
-A ufw6-before-input -p ipv6-icmp -m icmp6 --icmpv6-type 128 -m hl --hl-gt 63 -j ACCEPT
-A ufw6-before-input -p ipv6-icmp -m icmp6 --icmpv6-type 135 -m hl --hl-eq 255 -j ACCEPT
-A ufw6-before-input -j ufw6-user-input
-A ufw6-user-input -p tcp -m tcp --dport 22 -j ACCEPT
-A ufw6-user-input -s fd00:40:10::/64 -p tcp -m multiport --dports 80,443,8000:9000 -j ACCEPT
COMMIT
"""


STATES = (
    "NEW",
    "INVALID",
    "RELATED,ESTABLISHED",
    "NEW,UNTRACKED",
    "DNAT",
    "RELATED,ESTABLISHED,DNAT",
    "INVALID,SNAT,DNAT",
)


class XtRules:
    """A random ruleset of one family; text for iptables-nft-restore or ip6tables-nft-restore."""

    def __init__(self, rng, family):
        self.rng = rng
        self.family = family
        self.addresses = V4 if family == 4 else V6
        self.program = "iptables-nft-restore" if family == 4 else "ip6tables-nft-restore"
        self.lines = []
        if rng.random() < 0.4:
            self._table("raw", {"PREROUTING": True, "OUTPUT": True})
        if rng.random() < 0.5:
            self._table("mangle", dict.fromkeys(("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"), True))
        if rng.random() < 0.6:
            self._nat()
        self._table("filter", dict.fromkeys(("INPUT", "FORWARD", "OUTPUT"), True))

    @property
    def text(self):
        return "\n".join(self.lines) + "\n"

    def without(self, number):
        del self.lines[number - 1]

    def _table(self, table, chains):
        rng = self.rng
        self.lines.append(f"*{table}")
        for chain in chains:
            policy = "DROP" if table == "filter" and rng.random() < 0.25 else "ACCEPT"
            self.lines.append(f":{chain} {policy}")
        own = [f"own{i}" for i in range(rng.randint(0, 3))]
        self.lines += [f":{chain} -" for chain in own]
        for i, chain in enumerate(own):
            for _ in range(rng.randint(1, 4)):
                self._rule(table, chain, own[:i], None)
        for chain in chains:
            for _ in range(rng.randint(0, 6)):
                self._rule(table, chain, own, chain)
        self.lines.append("COMMIT")

    def _rule(self, table, chain, targets, hook):
        matches = " ".join(self._match(hook) for _ in range(self.rng.choice((1, 1, 2, 3))))
        self.lines.append(f"-A {chain} {matches} {self._target(table, targets, hook)}")

    def _target(self, table, targets, hook):
        rng = self.rng
        forms = ["-j ACCEPT", "-j RETURN", "-j DROP", "-j LOG --log-prefix x", "-m comment --comment y"]
        forms += [f"-j {t}" for t in targets] + [f"-g {t}" for t in targets]
        if table == "filter":
            forms += ["-j REJECT", "-p tcp -j REJECT --reject-with tcp-reset"]
        if table == "raw":
            forms += ["-j CT --notrack", "-j NOTRACK"]
        if table == "mangle":
            mark = rng.choice(MARKS)
            forms += [f"-j MARK --set-mark {mark}", f"-j MARK --or-mark {mark}", f"-j MARK --set-xmark {mark}/0xff",
                      f"-j CONNMARK --set-mark {mark}", "-j CONNMARK --save-mark", "-j CONNMARK --restore-mark"] * 2
        return rng.choice(forms)

    def _match(self, hook):
        rng = self.rng
        a = self.addresses
        some = a["own"] + a["peer"] + a["far"]
        no = rng.choice(("", "", "", "! "))
        proto = rng.choice(("tcp", "udp"))
        port = rng.choice(PORTS)
        pair = sorted(rng.sample(some, 2), key=lambda t: int(__import__("ipaddress").ip_address(t)))
        icmp = "icmp" if self.family == 4 else "ipv6-icmp"
        icmp_match = (
            f"-p icmp -m icmp {no}--icmp-type {rng.choice(('8', '0', '8/0', 'any', '13'))}"
            if self.family == 4
            else f"-p ipv6-icmp -m icmp6 {no}--icmpv6-type {rng.choice(('128', '129', '128/0'))}"
        )
        forms = [
            f"{no}-s {rng.choice(some)}",
            f"{no}-d {rng.choice(some)}",
            f"{no}-s {rng.choice(a['net'])}",
            f"-p {proto} -m {proto} {no}--dport {port}",
            f"-p {proto} -m {proto} {no}--dport {port}:{port + 3000}",
            f"-p {proto} -m {proto} {no}--sport 1024:{rng.choice((30000, 50000))}",
            f"-p {proto} -m multiport {no}--dports {port},9000:9100,{rng.choice(PORTS)}",
            f"-p {proto} -m multiport {no}--ports {port},20000:30000",
            f"-p {proto} -m multiport {no}--sports 1024:20000,{port}",
            f"{no}-p {rng.choice((proto, icmp))}",
            f"-p tcp -m tcp {no}--tcp-flags {rng.choice(('SYN,ACK SYN', 'FIN,RST NONE', 'ALL SYN'))}",
            f"-p tcp {no}--syn",
            icmp_match,
            f"-m conntrack {no}--ctstate {rng.choice(STATES)}",
            f"-m conntrack {no}--ctstatus {rng.choice(('CONFIRMED', 'NONE', 'ASSURED,EXPECTED'))}",
            f"-m conntrack {no}--ctorigdst {rng.choice(some)}",
            f"-p {proto} -m conntrack --ctproto {proto} {no}--ctorigdstport {port}",
            f"-p {proto} -m conntrack {no}--ctorigdstport {port}:{port + 1000}",
            f"-m conntrack {no}--ctorigsrc {rng.choice(a['net'])}",
            f"-m conntrack --ctdir {rng.choice(('ORIGINAL', 'REPLY'))}",
            f"-m conntrack --ctstate NEW --ctdir ORIGINAL",
            f"-m state {no}--state {rng.choice(('NEW', 'ESTABLISHED', 'INVALID', 'NEW,UNTRACKED'))}",
            f"-m addrtype {no}--dst-type {rng.choice(('LOCAL', 'MULTICAST') + (('BROADCAST', 'UNICAST') if self.family == 4 else ()))}",
            f"-m addrtype {no}--src-type LOCAL",
            f"-m iprange {no}--src-range {pair[0]}-{pair[1]}",
            f"-m iprange {no}--dst-range {pair[0]}-{pair[1]}",
            f"-m mark {no}--mark {rng.choice(MARKS)}",
            f"-m mark {no}--mark {rng.choice(('0x1/0x3', '0/0x10'))}",
            f"-m connmark {no}--mark {rng.choice(MARKS)}",
            f"-m pkttype --pkt-type unicast",
            f"-m ttl --ttl-{rng.choice(('eq', 'lt', 'gt'))} 64" if self.family == 4
            else f"-m hl --hl-{rng.choice(('eq', 'lt', 'gt'))} 64",
        ]
        if hook in ("PREROUTING", "INPUT", "FORWARD"):
            forms += [f"{no}-i {rng.choice(INTERFACES + ['eth+'])}" for _ in range(4)]
            forms.append(f"-m mac {no}--mac-source 02:00:00:00:00:01")
        if hook == "PREROUTING":
            forms += ["-m rpfilter --invert", "-m rpfilter --loose --invert"] * 2
        if hook in ("OUTPUT", "FORWARD", "POSTROUTING"):
            forms += [f"{no}-o {rng.choice(INTERFACES + ['eth+'])}" for _ in range(4)]
        if hook in ("OUTPUT",):
            forms.append(f"-m owner --uid-owner {rng.choice((0, 1000))}")
        return rng.choice(forms)

    def _nat(self):
        rng = self.rng
        a = self.addresses
        self.lines += ["*nat", ":PREROUTING ACCEPT", ":INPUT ACCEPT", ":OUTPUT ACCEPT", ":POSTROUTING ACCEPT"]
        for _ in range(rng.randint(1, 6)):
            proto = rng.choice(("tcp", "udp"))
            words = [f"-p {proto} -m {proto} --dport {rng.choice(PORTS)}"]
            if rng.random() < 0.5:
                words.append(self._match(None).replace("-p tcp", "").replace("-p udp", "")
                             if rng.random() < 0.3 else f"-d {rng.choice(a['own'][:4] + a['far'])}")
            chain = rng.choice(("PREROUTING", "PREROUTING", "PREROUTING", "OUTPUT", "POSTROUTING", "INPUT"))
            to = rng.choice(a["own"][:4] + a["peer"] + a["far"])
            bracket = f"[{to}]" if self.family == 6 else to
            if chain in ("PREROUTING", "OUTPUT"):
                target = rng.choice((
                    f"DNAT --to-destination {bracket}:{rng.choice(PORTS)}",
                    f"DNAT --to-destination {to}",
                    f"DNAT --to-destination {bracket}:{rng.choice((80, 5430))}-5433/{rng.choice(PORTS)}",
                    f"REDIRECT --to-ports {rng.choice(PORTS)}",
                    "REDIRECT",
                    "RETURN",
                    "ACCEPT",
                ))
            elif chain == "POSTROUTING":
                target = rng.choice(("MASQUERADE", f"SNAT --to-source {rng.choice(a['own'][:4])}"))
            else:
                target = f"SNAT --to-source {rng.choice(a['own'][:4])}"
            self.lines.append(f"-A {chain} {' '.join(words)} -j {target}")
        self.lines.append("COMMIT")
