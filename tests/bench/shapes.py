# SPDX-License-Identifier: GPL-2.0-or-later
"""The same policies in the languages of all that tests/bench/run compares."""

from pathlib import Path

from measure import HERE

OPEN, CLOSED = 7000, 7001  # UDP: to everybody, and to nobody
FLUSH = [["nft", "flush", "ruleset"]]
TABLE = "table inet peer {{\n{}\tchain input {{\n\t\ttype filter hook input priority 0; policy drop;\n{}\t}}\n}}\n"
START = "\t\tct state established,related accept\n\t\tiifname lo accept\n"


def pairs(n):
    """Sources (/24) with a TCP port each."""
    return [(f"10.{i >> 8 & 255}.{i & 255}.0", 1024 + i) for i in range(n)]


def write(path, *texts):
    with open(path, "w", encoding="utf-8") as f:
        f.writelines(texts)
    return str(path)


def policy(path, n, first="", changed=False):
    """ringwall's; changed: the one in the middle has another port."""
    lines = [f"  - {{ allow: {port}/tcp, from: {source}/24 }}\n" for source, port in pairs(n)]
    if changed:
        source, _ = pairs(n)[n // 2]
        lines[n // 2] = f"  - {{ allow: 1000/tcp, from: {source}/24 }}\n"
    return write(path, "ringwall: 1\ninbound:\n", first, *lines)


def opened():
    return f"  - {{ allow: {OPEN}/udp, from: anywhere }}\n"


def elements(n, join=" . ", mask=""):
    listed = ", ".join(f"{source}{mask}{join}{port}" for source, port in pairs(n))
    return f"elements = {{ {listed} }}" if n else ""


def nft_ranges(path, n):
    """A set of prefixes with ports, as everybody writes it."""
    text = f"\tset s {{ type ipv4_addr . inet_service; flags interval; {elements(n, mask='/24')} }}\n"
    rule = "\t\tmeta l4proto tcp ip saddr . tcp dport @s counter accept\n\t\tcounter drop\n"
    return write(path, TABLE.format(text, START + rule))


def nft_hashed(path, n):
    """Where all prefixes are of one length: its best form."""
    text = f"\tset s {{ type ipv4_addr . inet_service; {elements(n)} }}\n"
    rule = "\t\tmeta l4proto tcp ip saddr & 255.255.255.0 . tcp dport @s counter accept\n\t\tcounter drop\n"
    return write(path, TABLE.format(text, START + rule))


def nft_linear(path, n):
    rules = [f"\t\tip saddr {s}/24 tcp dport {p} counter accept\n" for s, p in pairs(n)]
    last = f"\t\tudp dport {OPEN} counter accept\n\t\tcounter drop\n"
    return write(path, TABLE.format("", START + "".join(rules) + last))


def legacy(path, n):
    """What iptables-restore reads."""
    rules = [f"-A INPUT -s {s}/24 -p tcp -m tcp --dport {p} -j ACCEPT\n" for s, p in pairs(n)]
    start = "*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n"
    begin = "-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n-A INPUT -i lo -j ACCEPT\n"
    last = f"-A INPUT -p udp -m udp --dport {OPEN} -j ACCEPT\n"
    return write(path, start, begin, *rules, last, "COMMIT\n")


# What measuring finds faster, and hardly anybody writes: comparisons in place of small maps and sets.
STATES = """ct state established accept
		ct state related jump related
		ct state invalid jump invalid"""
ESSENTIALS = """meta l4proto igmp jump essentials
		meta l4proto icmpv6 jump essentials
		udp dport 68 jump essentials
		udp dport 546 jump essentials"""
TUNED = {
    "ct state vmap { established : accept, related : jump related, invalid : jump invalid }": STATES,
    "meta l4proto { igmp, udp, icmpv6 } jump essentials": ESSENTIALS,
}


def minimum(path, n, tuned=False):
    text = Path(HERE / "minimum.nft").read_text(encoding="utf-8")
    for usual, faster in TUNED.items() if tuned else ():
        if usual not in text:
            raise SystemExit(f"minimum.nft does not say '{usual}'")
        text = text.replace(usual, faster)
    for word, value in (("COUNT", n), ("OPEN", OPEN), ("ELEMENTS", elements(n))):
        text = text.replace(f"@@{word}@@", str(value))
    return write(path, text)


def networks(n, skip=0):
    """So many prefixes of 28 bits, that do not touch."""
    first = 0x0B000000
    for i in range(skip, n + skip):
        a = first + i * 32
        yield f"{a >> 24}.{a >> 16 & 255}.{a >> 8 & 255}.{a & 255}/28"


def zone(folder, n):
    """A policy with a list; the list's path too."""
    folder = Path(folder)
    path = write(folder / "list.txt", *(line + "\n" for line in networks(n)))
    text = "ringwall: 1\nzones: { listed: { file: list.txt } }\ninbound:\n" + opened()
    return write(folder / "zone.yaml", text, "  - { allow: 22/tcp, from: listed }\n"), path


def nft_zone(path, n):
    text = "\tset s { type ipv4_addr; flags interval; elements = { " + ", ".join(networks(n)) + " } }\n"
    return write(path, TABLE.format(text, START + "\t\tip saddr @s tcp dport 22 accept\n"))
