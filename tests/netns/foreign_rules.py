# SPDX-License-Identifier: GPL-2.0-or-later
"""Random rulesets of other programs, as nft reads them: several tables and families, every hook,
and every kind of expression whose outcome is certain."""

PORTS = [22, 53, 80, 443, 5432, 8080, 8443, 11434]
V4 = {
    "own": ["203.0.113.1", "203.0.113.7", "10.40.10.1", "172.17.0.1", "127.0.0.1", "10.99.0.1"],
    "peer": ["203.0.113.2", "10.40.10.2", "10.99.0.2", "172.17.0.2", "172.17.0.3", "172.18.0.2"],
    "net": ["10.0.0.0/8", "10.40.0.0/16", "10.40.10.0/24", "172.16.0.0/12", "203.0.113.0/25"],
    "far": ["198.51.100.5", "198.51.100.80", "10.40.30.9", "172.20.1.1", "192.0.2.77"],
}
V6 = {
    "own": ["2001:db8:ffff::1", "2001:db8:ffff::7", "fd00:40:10::1", "fd00:17::1"],
    "peer": ["2001:db8:ffff::2", "fd00:40:10::2", "fd00:99::2", "fd00:17::2", "fd00:18::2"],
    "net": ["fd00::/8", "fd00:40::/32", "fd00:40:10::/64", "2001:db8::/32", "fd00:17::/65"],
    "far": ["2001:db8:1::5", "2001:db8:1::80", "fd00:40:30::9", "2001:db8:77::1"],
}
INTERFACES = ["eth0", "eth1", "eth1.20", "wg0", "docker0", "br-1", "virbr0", "lo"]
HOOKS = ["prerouting", "input", "forward", "output", "postrouting"]
# Neither conntrack's priority nor those of translation: what stands there is said by none.
PRIORITIES = [-400, -310, -300, -290, -199, -150, -150, -101, -99, -50, -10, 0, 0, 0, 5, 50, 99, 101, 150]
MARKS = [1, 2, 3, 0x10, 0x21, 0x8000]


class Rules:
    """One ruleset. `text` is a line for each thing, so that a line that nft refuses can go."""

    def __init__(self, rng):
        self.rng = rng
        self.lines = []
        self.n_sets = 0
        for number in range(rng.choice((1, 2, 2, 3, 4))):
            self._table(number)
        if rng.random() < 0.25:
            self._netdev()
        if rng.random() < 0.25:
            self._bridge()

    @property
    def text(self):
        return "\n".join(self.lines) + "\n"

    def without(self, number):
        """Drops the line of that number, from 1."""
        del self.lines[number - 1]

    # --- policy routing ---

    def routing(self):
        """Rules for `ip`, and the tables that they lead to: (family, words). Everything that is not
        sent to this host may go another way."""
        rng, made = self.rng, []
        if rng.random() < 0.65:
            return made
        for v in rng.choice(("4", "6", "46")):
            made += self._routing(v)
        return made

    def _routing(self, v):
        rng, addresses = self.rng, V4 if v == "4" else V6
        ways = {"eth0": addresses["peer"][0], "eth1": addresses["peer"][1], "wg0": addresses["peer"][2]}
        everything = "0.0.0.0/0" if v == "4" else "::/0"
        made = []
        for table in (100, 101):
            device = rng.choice(list(ways))
            nets = rng.choice(([everything], [everything], addresses["net"][:1], rng.sample(addresses["far"], 2)))
            made += [f"route add {net} via {ways[device]} dev {device} onlink table {table}" for net in nets]
            if rng.random() < 0.2:
                kind = rng.choice(("unreachable", "blackhole", "throw"))
                made.append(f"route add {kind} {rng.choice(addresses['far'])} table {table}")
        priorities = sorted(rng.sample(range(100, 32000), 4))
        mark = rng.choice(MARKS)
        for priority in priorities[: rng.randint(1, 4)]:
            who = rng.choice((
                f"from {rng.choice(addresses['peer'] + addresses['net'])}",
                f"to {rng.choice(addresses['far'] + addresses['net'])}",
                f"not to {rng.choice(addresses['net'])}",
                f"fwmark {mark}",
                f"fwmark {rng.choice(('0x1/0x3', '0/0x10', '0x0/0xff'))}",
                f"not fwmark {mark}",
                f"iif {rng.choice(INTERFACES)}",
                f"not iif {rng.choice(INTERFACES)} from {rng.choice(addresses['net'])}",
                "from all",
            ))
            does = rng.choice((
                "lookup 100", "lookup 100", "lookup 101", "lookup main", "unreachable", "prohibit", "blackhole",
                f"lookup main suppress_prefixlength {rng.choice((0, 0, 8, 24))}",
                "lookup 100 suppress_prefixlength 0",
                f"goto {priorities[3] + 1}",
            ))
            made.append(f"rule add {who} priority {priority} {does}")
        made.append(f"rule add from all priority {priorities[3] + 1} {rng.choice(('nop', 'lookup 101', 'lookup main'))}")
        if rng.random() < 0.15:
            # this host's own addresses are not the first question
            made += [f"rule add from all priority {priorities[1]} lookup local", "rule del priority 0"]
        return [(v, words) for words in made]

    # --- tables and chains ---

    def _table(self, number):
        rng = self.rng
        family = rng.choice(("ip", "ip6", "inet", "inet", "inet"))
        name = f"{family} t{number}"
        self.lines.append(f"add table {name}")
        sets = self._sets(name, family)
        for chain in range(rng.randint(1, 4)):
            self._base_chain(name, family, f"b{chain}", sets)
        if rng.random() < 0.5:
            self._nat(name, family)

    def _sets(self, table, family):
        """Named sets, by what they are asked with."""
        rng, made = self.rng, {}
        for v, addresses in (("4", V4), ("6", V6)):
            if (family == "ip" and v == "6") or (family == "ip6" and v == "4"):
                continue
            kind = f"ipv{v}_addr"
            interval = rng.random() < 0.6
            pool = addresses["own"] + addresses["peer"] + addresses["far"]
            items = rng.sample(pool, rng.randint(1, 4))
            if interval:
                items = _disjoint(items, rng.choice(addresses["net"]))
            flags = " flags interval;" if interval else ""
            self.lines.append(
                f"add set {table} a{v} {{ type {kind};{flags} elements = {{ {', '.join(items)} }} }}"
            )
            made[f"a{v}"] = f"@a{v}"
        ports = rng.sample(PORTS, 3)
        self.lines.append(
            f"add set {table} ports {{ type inet_service; flags interval; "
            f"elements = {{ {ports[0]}, {ports[1]}, 30000-31000 }} }}"
        )
        made["ports"] = "@ports"
        return made

    def _base_chain(self, table, family, name, sets):
        rng = self.rng
        hook = rng.choice(("prerouting", "prerouting", "input", "input", "forward", "forward", "output",
                           "postrouting"))
        kind = "route" if hook == "output" and rng.random() < 0.2 and family != "inet" else "filter"
        policy = "drop" if rng.random() < 0.15 else "accept"
        self.lines.append(
            f"add chain {table} {name} {{ type {kind} hook {hook} priority {rng.choice(PRIORITIES)}; "
            f"policy {policy}; }}"
        )
        targets = []
        for depth in range(rng.randint(0, 3)):
            target = f"{name}r{depth}"
            self.lines.append(f"add chain {table} {target}")
            self._rules(table, family, target, hook, sets, list(targets), rng.randint(1, 4))
            targets.append(target)
        self._rules(table, family, name, hook, sets, targets, rng.randint(2, 9))
        if policy == "drop" or rng.random() < 0.2:
            self.lines.append(f"add rule {table} {name} {self._match(family, hook, sets)} accept")

    def _rules(self, table, family, chain, hook, sets, targets, n):
        rng = self.rng
        for _ in range(n):
            words = [self._match(family, hook, sets) for _ in range(rng.choice((0, 1, 1, 2, 3)))]
            if rng.random() < 0.2:
                words.append("counter")
            words.append(self._end(family, hook, sets, targets, bool(words)))
            self.lines.append(f"add rule {table} {chain} {' '.join(words)}")

    def _end(self, family, hook, sets, targets, narrow):
        rng = self.rng
        kinds = ["accept", "mark", "return", "continue"] + ["drop"] * narrow
        if targets:
            kinds += ["jump", "jump", "goto", "vmap"]
        else:
            kinds += ["vmap"]
        if hook in ("prerouting", "output"):
            kinds.append("notrack")
        if hook in ("input", "forward", "output") and narrow:
            kinds.append("reject")
        kind = rng.choice(kinds)
        if kind in ("jump", "goto"):
            return f"{kind} {rng.choice(targets)}"
        if kind == "mark":
            mark = rng.choice(MARKS)
            return rng.choice((
                f"meta mark set {mark}",
                f"meta mark set meta mark or {mark}",
                f"meta mark set meta mark and {mark} xor 0x3",
                f"ct mark set {mark}",
                "meta mark set ct mark",
            ))
        if kind == "vmap":
            return self._vmap(family, hook, targets)
        if kind == "reject":
            return rng.choice(("reject", "reject", "meta l4proto tcp reject with tcp reset"))
        return kind

    def _verdicts(self, targets, n):
        rng = self.rng
        words = ["accept", "drop", "return", "continue"]
        words += [f"{verb} {t}" for t in targets for verb in ("jump", "goto")]
        return [rng.choice(words) for _ in range(n)]

    def _vmap(self, family, hook, targets):
        rng = self.rng
        which = rng.randrange(5)
        if which == 0:
            ports = rng.sample(PORTS, 3)
            keys = [str(ports[0]), str(ports[1]), "40000-50000"]
            return f"tcp dport vmap {_pairs(keys, self._verdicts(targets, 3))}"
        if which == 1:
            keys = ["tcp", "udp", "icmp", "ipv6-icmp"]
            return f"meta l4proto vmap {_pairs(keys, self._verdicts(targets, 4))}"
        if which == 2:
            name = "oifname" if hook in ("output", "postrouting") else "iifname"
            keys = rng.sample(INTERFACES, 3)
            tail = f", * : {self._verdicts(targets, 1)[0]}" if rng.random() < 0.4 else ""
            return f"{name} vmap {_pairs(keys, self._verdicts(targets, 3), tail)}"
        if which == 3:
            keys = ["established", "related", "new", "invalid"]
            return f"ct state vmap {_pairs(keys, self._verdicts(targets, 4))}"
        v4 = family == "ip" or (family == "inet" and rng.random() < 0.5)
        nets = ["10.40.0.0/16", "203.0.113.0/24"] if v4 else ["fd00::/8", "2001:db8::/32"]
        keys = [f"{net} . {rng.choice(PORTS)}-{rng.choice((9000, 65535)) + 0}" for net in nets]
        keys = [k if int(k.split(" . ")[1].split("-")[0]) < 9000 else nets[i] + " . 1-65000"
                for i, k in enumerate(keys)]
        ip = "ip" if v4 else "ip6"
        return f"{ip} saddr . tcp dport vmap {_pairs(keys, self._verdicts(targets, 2))}"

    # --- matches ---

    def _match(self, family, hook, sets):
        rng = self.rng
        v = {"ip": "4", "ip6": "6"}.get(family) or rng.choice("46")
        ip, addresses = ("ip", V4) if v == "4" else ("ip6", V6)
        some = addresses["own"] + addresses["peer"] + addresses["far"]
        neg = rng.choice(("", "", "", "!= "))
        side = rng.choice(("saddr", "daddr"))
        port = rng.choice(PORTS)
        proto = rng.choice(("tcp", "udp"))
        into = hook in ("prerouting", "input", "forward")
        out = hook in ("forward", "output", "postrouting")
        forms = [
            f"{ip} {side} {neg}{rng.choice(some)}",
            f"{ip} {side} {neg}{rng.choice(addresses['net'])}",
            f"{ip} {side} {neg}{{ {', '.join(rng.sample(some, 3))} }}",
            f"{ip} {side} {neg}@a{v}",
            f"{proto} dport {neg}{port}",
            f"{proto} dport {neg}{{ {port}, {rng.randint(9000, 9100)}, 20000-30000 }}",
            f"{proto} dport {neg}{port}-{port + rng.randint(1, 3000)}",
            f"{proto} dport {neg}@ports",
            f"{proto} sport {neg}{rng.choice((1024, 32768))}-{rng.choice((40000, 65535))}",
            f"{proto} sport >= {rng.choice((1024, 20000, 40000))}",
            f"meta l4proto {neg}{rng.choice(('tcp', 'udp', '{ tcp, udp }', 'icmp', 'ipv6-icmp'))}",
            f"meta l4proto {{ tcp, udp }} th dport {neg}{port}",
            f"tcp flags {rng.choice(('syn', '& (syn | ack) == syn', '& (fin | ack) != 0', '!= syn'))}",
            f"ip{'' if v == '4' else '6'} {'ttl' if v == '4' else 'hoplimit'} "
            f"{rng.choice(('64', '!= 64', '< 60', '> 63'))}",
            f"{ip} dscp {neg}{rng.choice(('cs0', 'cs1', '{ cs1, ef }'))}",
            f"icmp type {neg}{rng.choice(('echo-request', '{ echo-request, echo-reply }'))}",
            f"icmpv6 type {neg}{rng.choice(('echo-request', '{ echo-request, echo-reply }'))}",
            f"meta mark {neg}{rng.choice(MARKS)}",
            f"meta mark and {rng.choice(('0x3', '0x10', '0xff'))} {rng.choice(('==', '!='))} "
            f"{rng.choice(('0x0', '0x1', '0x10'))}",
            f"ct mark {neg}{rng.choice(MARKS + [0])}",
            f"ct state {rng.choice(('new', 'established,related', 'invalid', 'untracked', 'new,untracked'))}",
            f"ct state != {rng.choice(('new', 'established,related', 'invalid', '{ new, invalid }'))}",
            f"ct status {rng.choice(('dnat', 'snat', '!= dnat', 'confirmed', '& dnat == 0'))}",
            f"ct original {ip} {side} {neg}{rng.choice(some)}",
            f"meta l4proto {proto} ct original proto-dst {neg}{port}",
            f"meta l4proto {proto} ct original proto-dst {port}-{port + 2000}",
            f"ct original {ip} daddr {rng.choice(addresses['net'])}",
            f"ct direction {rng.choice(('original', 'reply'))}",
            f"{ip} saddr . {proto} dport {neg}{{ {rng.choice(some)} . {port}, "
            f"{rng.choice(some)} . {rng.choice(PORTS)} }}",
            f"{ip} saddr . {ip} daddr {{ {rng.choice(addresses['net'])} . {rng.choice(addresses['net'])} }}",
            f"meta nfproto {'ipv4' if v == '4' else 'ipv6'}",
            "meta pkttype host",
            f"@th,16,16 {neg}{port}",
            f"@nh,{'96' if v == '4' else '64'},{rng.choice((8, 16))} {neg}{rng.choice((10, 203, 0xfd00, 0x2001))}",
            f"meta length {rng.choice(('<', '>'))} {rng.choice((45, 50, 60, 70))}",
        ]
        if into:
            forms += [
                f"iifname {neg}{rng.choice(INTERFACES)}",
                f"iifname {neg}\"{rng.choice(('eth*', 'eth1*', 'br*', 'd*'))}\"",
                f"iif {neg}lo",
                f"meta iiftype {neg}ether",
                f"iifname {neg}{{ {', '.join(rng.sample(INTERFACES, 2))} }}",
                f"iifname . {proto} dport {{ eth0 . {port}, eth1 . {rng.choice(PORTS)} }}",
                "ether saddr != 02:00:00:00:00:01",
                f"meta iifkind {rng.choice(('bridge', 'veth'))}",
            ]
            if family != "inet" or True:
                forms += [
                    f"meta nfproto {'ipv4' if v == '4' else 'ipv6'} fib daddr type {neg}local",
                    f"fib saddr type {neg}{rng.choice(('local', 'unicast'))}",
                    f"fib daddr . iif type {neg}local",
                    f"fib saddr oif {rng.choice(('missing', 'exists'))}",
                    f"fib saddr . iif oif {rng.choice(('missing', 'exists'))}",
                    f"fib saddr oifname {neg}{rng.choice(('eth0', 'eth1'))}",
                ]
        if out:
            forms += [
                f"oifname {neg}{rng.choice(INTERFACES)}",
                f"oifname {neg}\"{rng.choice(('eth*', 'eth1*', 'br*', 'd*'))}\"",
                f"oif {neg}lo",
            ]
        if hook == "forward":
            forms.append(f"iifname . oifname {neg}{{ eth0 . docker0, eth1 . docker0, docker0 . eth0 }}")
        if hook == "output":
            forms += [f"meta skuid {neg}0", f"meta skuid {neg}1000"]
        return rng.choice(forms)

    # --- translation ---

    def _nat(self, table, family):
        rng = self.rng
        for number in range(rng.randint(1, 2)):
            hook = rng.choice(("prerouting", "prerouting", "prerouting", "output", "postrouting", "input"))
            priority = rng.choice((-150, -100, -100, 0, 50, 100))
            name = f"n{number}"
            policy = "drop" if rng.random() < 0.05 else "accept"
            self.lines.append(
                f"add chain {table} {name} {{ type nat hook {hook} priority {priority}; policy {policy}; }}"
            )
            for _ in range(rng.randint(1, 5)):
                v = {"ip": "4", "ip6": "6"}.get(family) or rng.choice("46")
                addresses = V4 if v == "4" else V6
                match = self._nat_match(v, addresses, hook)
                self.lines.append(
                    f"add rule {table} {name} {match} {self._translation(v, addresses, hook, family)}"
                )

    def _nat_match(self, v, addresses, hook):
        rng = self.rng
        ip = "ip" if v == "4" else "ip6"
        proto = rng.choice(("tcp", "udp"))
        some = addresses["own"] + addresses["far"]
        words = [f"{proto} dport {rng.choice(PORTS)}"]
        if rng.random() < 0.5:
            words.insert(0, f"{ip} daddr {rng.choice(some)}")
        if rng.random() < 0.2 and hook == "prerouting":
            words.insert(0, f"fib daddr type local meta nfproto {'ipv4' if v == '4' else 'ipv6'}")
        if hook == "prerouting" and rng.random() < 0.3:
            words.append(f"iifname {rng.choice(INTERFACES)}")
        return " ".join(words)

    def _translation(self, v, addresses, hook, family):
        rng = self.rng
        pool = [a for a in addresses["own"] + addresses["peer"] + addresses["far"] if a != "127.0.0.1"]
        to = rng.choice(pool)
        if hook in ("postrouting", "input"):
            ip = "" if family != "inet" else ("ip " if v == "4" else "ip6 ")
            if hook == "postrouting" and rng.random() < 0.5:
                return f"meta nfproto {'ipv4' if v == '4' else 'ipv6'} masquerade"
            return f"snat {ip}to {rng.choice(addresses['own'][:4])}"
        kind = rng.randrange(6)
        ip = "" if family != "inet" else ("ip " if v == "4" else "ip6 ")
        bracket = f"[{to}]" if v == "6" else to
        if kind == 0:
            return f"redirect to :{rng.choice(PORTS)}"
        if kind == 1:
            return "redirect"
        if kind == 2:
            return f"dnat {ip}to {to}"
        if kind == 3:
            return rng.choice(("accept", "drop", "return"))
        return f"dnat {ip}to {bracket}:{rng.choice(PORTS)}"

    def _netdev(self):
        rng = self.rng
        self.lines.append("add table netdev early")
        for number in range(rng.choice((1, 1, 2))):
            hook = rng.choice(("ingress", "ingress", "ingress", "egress"))
            device = rng.choice(("eth0", "eth1", "wg0", "docker0", "br-1", "p-c1", "p-c3"))
            name = f"d{number}"
            self.lines.append(
                f"add chain netdev early {name} {{ type filter hook {hook} device \"{device}\" "
                f"priority {rng.choice((-500, 0, 10))}; }}"
            )
            for _ in range(rng.randint(1, 3)):
                ends = ["drop", "accept", "meta mark set 3"]
                if hook == "ingress" and device in ("eth0", "eth1", "wg0"):
                    ends.append(f"fwd to \"{rng.choice(('eth0', 'eth1', 'wg0'))}\"")
                self.lines.append(f"add rule netdev early {name} {self._frame_match()} {rng.choice(ends)}")

    def _frame_match(self):
        rng = self.rng
        v = rng.choice("46")
        addresses = V4 if v == "4" else V6
        return rng.choice((
            f"ip{'' if v == '4' else '6'} saddr {rng.choice(addresses['net'])}",
            f"tcp dport {rng.choice(PORTS)}",
            f"meta protocol {'ip' if v == '4' else 'ip6'} udp dport {rng.choice(PORTS)}",
            f"ip{'' if v == '4' else '6'} daddr {rng.choice(addresses['own'])}",
            "meta l4proto icmp",
        ))

    def _bridge(self):
        rng = self.rng
        self.lines.append("add table bridge frames")
        for number in range(rng.choice((1, 1, 2, 3))):
            hook = rng.choice(HOOKS)
            policy = "drop" if rng.random() < 0.1 else "accept"
            name = f"f{number}"
            self.lines.append(
                f"add chain bridge frames {name} {{ type filter hook {hook} "
                f"priority {rng.choice((-300, -200, -10, 0, 10, 300))}; policy {policy}; }}"
            )
            # (what tells the tests that all has arrived)
            self.lines.append(f"add rule bridge frames {name} ether type 0x88b5 accept")
            for _ in range(rng.randint(1, 4)):
                match = self._frame_match()
                if rng.random() < 0.3:
                    match += rng.choice((
                        ' iifname "p-c1"', " ether type ip", " ether saddr != 02:00:00:00:00:01",
                        ' meta ibrname "docker0"', " ct state new",
                    ))
                end = rng.choice(("drop", "drop", "accept", "accept", f"meta mark set {rng.choice(MARKS)}"))
                self.lines.append(f"add rule bridge frames {name} {match} {end}")


def _pairs(keys, verdicts, tail=""):
    return "{ " + ", ".join(f"{k} : {v}" for k, v in zip(keys, verdicts)) + tail + " }"


def _disjoint(items, net):
    import ipaddress

    network = ipaddress.ip_network(net)
    return [net] + [i for i in items if ipaddress.ip_address(i) not in network]
