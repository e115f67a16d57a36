# SPDX-License-Identifier: GPL-2.0-or-later
"""Packets as bytes, with checksums that hold, and the way back from bytes to what matters of
them."""

import struct
from dataclasses import replace

ICMP, IGMP, TCP, UDP, GRE, ESP, ICMPV6, SCTP = 1, 2, 6, 17, 47, 50, 58, 132
FIN, SYN, RST, ACK = 1, 2, 4, 16
MAGIC = b"\xf1\x0erw"  # every packet carries it, and its number behind it
DSCP_NOTRACK = 5  # what the foreign table of wire.py exempts from tracking
_TOS_NOTRACK = DSCP_NOTRACK << 2


def _crc32c_table():
    table = []
    for n in range(256):
        for _ in range(8):
            n = n >> 1 ^ (0x82F63B78 if n & 1 else 0)
        table.append(n)
    return table


_CRC32C = _crc32c_table()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _CRC32C[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def tag(number):
    return MAGIC + struct.pack("!I", number)


def number_of(data):
    """The number that a packet carries, or None; the last one, as errors quote another packet."""
    at = data.rfind(MAGIC)
    if at < 0 or len(data) < at + 8:
        return None
    return struct.unpack_from("!I", data, at + 4)[0]


def pack_address(family, value):
    return value.to_bytes(4 if family == 4 else 16, "big")


def _with_checksum(family, source, destination, protocol, segment, at):
    pseudo = pack_address(family, source) + pack_address(family, destination)
    pseudo += struct.pack(
        "!BBH" if family == 4 else "!xxHxxBB",
        *((0, protocol, len(segment)) if family == 4 else (len(segment), 0, protocol)),
    )
    value = checksum(pseudo + segment) or 0xFFFF
    return segment[:at] + struct.pack("!H", value) + segment[at + 2 :]


def _segment(p, payload, flags):
    """What stands behind the IP header; p as in host.Packet."""
    ports = struct.pack("!HH", p.source_port, p.port)
    if p.protocol == TCP:
        segment = (
            ports
            + struct.pack("!IIBBHHH", 1000, 2000 if flags & ACK else 0, 5 << 4, flags, 8192, 0, 0)
            + payload
        )
        return _with_checksum(p.family, p.source, p.destination, TCP, segment, 16)
    if p.protocol == UDP:
        segment = ports + struct.pack("!HH", 8 + len(payload), 0) + payload
        return _with_checksum(p.family, p.source, p.destination, UDP, segment, 6)
    if p.protocol == SCTP:
        # An INIT chunk, as opens an association; the tag stands in an unknown parameter.
        parameter = struct.pack("!HH", 0x8FF0, 4 + len(payload)) + payload
        init = struct.pack("!IIHHI", 0x1234, 0x10000, 1, 1, 1) + parameter
        segment = ports + struct.pack("!II", 0, 0) + struct.pack("!BBH", 1, 0, 4 + len(init)) + init
        return segment[:8] + struct.pack("<I", crc32c(segment)) + segment[12:]
    if p.protocol == ICMP:
        body = struct.pack("!BBHHH", p.icmp_type, 0, 0, p.source_port, 1) + payload
        return body[:2] + struct.pack("!H", checksum(body)) + body[4:]
    if p.protocol == ICMPV6:
        body = struct.pack("!BBHHH", p.icmp_type, 0, 0, p.source_port, 1) + payload
        return _with_checksum(6, p.source, p.destination, ICMPV6, body, 2)
    if p.protocol == IGMP:
        body = struct.pack("!BBHI", 0x16, 0, 0, 0xE00000FB) + payload
        return body[:2] + struct.pack("!H", checksum(body)) + body[4:]
    if p.protocol == GRE:
        return struct.pack("!HH", 0, 0x0800) + payload
    if p.protocol == ESP:
        return struct.pack("!II", 0x1000, 1) + payload
    return payload


def packet_bytes(p, number, flags=SYN, quoted=b"", notrack=False):
    """flags: TCP's. quoted: the packet that an ICMP error is about."""
    if quoted:
        p = replace(p, source_port=0)  # an error has no id
    segment = _segment(p, quoted + tag(number), flags)
    return header_bytes(p, len(segment), _TOS_NOTRACK if notrack else 0) + segment


def header_bytes(p, length, tos=0):
    source, destination = pack_address(p.family, p.source), pack_address(p.family, p.destination)
    if p.family == 6:
        return (
            struct.pack("!IHBB", 6 << 28 | tos << 20, length, p.protocol, p.hop_limit)
            + source
            + destination
        )
    header = (
        struct.pack("!BBHHHBBH", 0x45, tos, 20 + length, 1, 0x4000, p.hop_limit, p.protocol, 0)
        + source
        + destination
    )
    return header[:10] + struct.pack("!H", checksum(header)) + header[12:]


def parse_ip(data):
    """(family, protocol, destination, destination port) of an IP packet; None if it is none."""
    if not data:
        return None
    if data[0] >> 4 == 4 and len(data) >= 20:
        protocol, destination, at = data[9], data[16:20], (data[0] & 15) * 4
    elif data[0] >> 4 == 6 and len(data) >= 40:
        protocol, destination, at = data[6], data[24:40], 40
    else:
        return None
    port = 0
    if protocol in (TCP, UDP, SCTP) and len(data) >= at + 4:
        port = struct.unpack_from("!H", data, at + 2)[0]
    return 4 if len(destination) == 4 else 6, protocol, int.from_bytes(destination, "big"), port


def icmp_type(protocol, data, at):
    """The type, if the segment at that offset is ICMP's or ICMPv6's; else 0."""
    return data[at] if protocol in (ICMP, ICMPV6) and len(data) > at else 0
