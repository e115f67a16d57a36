/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <netinet/in.h>

#include "world/machine.h"

/* The bytes of a packet. */

#define V4_HEADER 20
#define V6_HEADER 40

static bool is_extension(uint8_t next) {
        return next == IPPROTO_HOPOPTS || next == IPPROTO_ROUTING || next == IPPROTO_DSTOPTS ||
               next == IPPROTO_FRAGMENT || next == IPPROTO_AH;
}

static bool parse_v6(Run *r) {
        uint8_t next = r->bytes[6];
        size_t at = V6_HEADER;

        while (is_extension(next) && at + 8 <= r->size) {
                size_t size = next == IPPROTO_FRAGMENT ? 8
                              : next == IPPROTO_AH     ? (r->bytes[at + 1] + 2UL) * 4
                                                       : (r->bytes[at + 1] + 1UL) * 8;

                if (next == IPPROTO_FRAGMENT &&
                    ((r->bytes[at + 2] << 8 | r->bytes[at + 3]) & 0xfff8) != 0)
                        return true; /* a later fragment has no transport header */
                next = r->bytes[at];
                at += size;
        }
        if (is_extension(next) || at > r->size)
                return true;
        r->protocol = next;
        r->transport = at;
        r->has_transport = true;
        return true;
}

bool run_parse(Run *r) {
        if (r->size < V4_HEADER || r->size > WORLD_PACKET_MAX)
                return false;
        r->has_transport = false;
        if (r->bytes[0] >> 4 == 4) {
                size_t header = (r->bytes[0] & 0xfU) * 4;

                r->family = FAMILY_IPV4;
                if (header < V4_HEADER || header > r->size)
                        return false;
                r->protocol = r->bytes[9];
                r->transport = header;
                r->has_transport = ((r->bytes[6] << 8 | r->bytes[7]) & 0x1fff) == 0;
                return true;
        }
        if (r->bytes[0] >> 4 != 6 || r->size < V6_HEADER)
                return false;
        r->family = FAMILY_IPV6;
        return parse_v6(r);
}

uint8_t *run_address(Run *r, bool source) {
        if (r->family == FAMILY_IPV4)
                return r->bytes + (source ? 12 : 16);
        return r->bytes + (source ? 8 : 24);
}

static bool has_ports(const Run *r) {
        return r->has_transport && r->transport + 4 <= r->size &&
               (r->protocol == IPPROTO_TCP || r->protocol == IPPROTO_UDP ||
                r->protocol == IPPROTO_SCTP || r->protocol == IPPROTO_DCCP ||
                r->protocol == IPPROTO_UDPLITE);
}

uint8_t *run_port(Run *r, bool source) {
        return has_ports(r) ? r->bytes + r->transport + (source ? 0 : 2) : NULL;
}

U128 run_address_value(const Run *r, bool source) {
        return u128_from_bytes(run_address((Run *)(uintptr_t)r, source), run_address_size(r));
}

uint16_t run_port_value(const Run *r, bool source) {
        const uint8_t *p = run_port((Run *)(uintptr_t)r, source);

        return p ? (uint16_t)(p[0] << 8 | p[1]) : 0;
}

Tuple run_tuple(Run *r) {
        const uint8_t *port = run_port(r, true), *segment = r->bytes + r->transport;
        Tuple t = {0};

        memcpy(t.source, run_address(r, true), run_address_size(r));
        memcpy(t.destination, run_address(r, false), run_address_size(r));
        if (port) {
                memcpy(t.source_port, port, 2);
                memcpy(t.destination_port, port + 2, 2);
        } else if (r->has_transport && r->transport + 8 <= r->size &&
                   (r->protocol == IPPROTO_ICMP || r->protocol == IPPROTO_ICMPV6)) {
                memcpy(t.source_port, segment + 4, 2);
                memcpy(t.destination_port, segment, 2);
        }
        return t;
}

#define STATE_INVALID 1U
#define STATE_NEW 8U

enum { FIN = 1, SYN = 2, RST = 4, ACK = 16 };

static bool tcp_begins(uint8_t flags) {
        if (flags & RST)
                return false;
        if (flags & SYN)
                return !(flags & (ACK | FIN));
        return !(flags & FIN) && flags & ACK; /* picked up in the middle (tcp_loose) */
}

uint32_t run_first_state(const Run *r) {
        static const uint8_t asks[] = {8, 13, 15,
                                       17}; /* ICMP: echo, timestamp, information, mask */
        uint8_t type;

        if (!r->has_transport || r->transport + 4 > r->size)
                return r->has_transport && r->protocol != IPPROTO_TCP && r->protocol != IPPROTO_UDP
                               ? STATE_NEW
                               : STATE_INVALID;
        type = r->bytes[r->transport];
        switch (r->protocol) {
        case IPPROTO_TCP:
                return r->transport + 20 <= r->size &&
                                       tcp_begins(r->bytes[r->transport + 13] & 0x3f)
                               ? STATE_NEW
                               : STATE_INVALID;
        case IPPROTO_UDP:
                /* a length of 0, as of jumbograms, is none to conntrack */
                return r->transport + 8 <= r->size && (r->bytes[r->transport + 4] << 8 |
                                                       r->bytes[r->transport + 5]) < 8
                               ? STATE_INVALID
                               : STATE_NEW;
        case IPPROTO_ICMP:
                if (r->family != FAMILY_IPV4)
                        return STATE_NEW;
                for (size_t i = 0; i < ARRAY_SIZE(asks); i++)
                        if (asks[i] == type)
                                return STATE_NEW;
                return STATE_INVALID;
        case IPPROTO_ICMPV6:
                if (r->family != FAMILY_IPV6)
                        return STATE_NEW;
                if (type == 128 || type == 139)
                        return STATE_NEW;
                /* multicast listeners and neighbours are not tracked */
                return (type >= 130 && type <= 136) || type == 143 ? 0 : STATE_INVALID;
        }
        return STATE_NEW;
}

static void put16(uint8_t *at, unsigned int value) {
        at[0] = (uint8_t)(value >> 8);
        at[1] = (uint8_t)value;
}

/* What stands behind IP's header; returns its size. */
static size_t put_transport(uint8_t *at, const WorldFields *f) {
        switch (f->protocol) {
        case IPPROTO_TCP:
                put16(at, f->source_port);
                put16(at + 2, f->destination_port);
                at[12] = 5 << 4;
                at[13] = f->tcp_flags ? f->tcp_flags : SYN;
                return 20;
        case IPPROTO_UDP:
        case IPPROTO_UDPLITE:
                put16(at, f->source_port);
                put16(at + 2, f->destination_port);
                put16(at + 4, 8);
                return 8;
        case IPPROTO_SCTP:
                put16(at, f->source_port);
                put16(at + 2, f->destination_port);
                at[12] = 1; /* INIT */
                put16(at + 14, 20);
                return 32;
        case IPPROTO_DCCP:
                put16(at, f->source_port);
                put16(at + 2, f->destination_port);
                return 16;
        case IPPROTO_ICMP:
        case IPPROTO_ICMPV6:
                at[0] = f->icmp_type;
                at[1] = f->icmp_code;
                return 8;
        }
        return 8;
}

void world_packet_fill(WorldPacket *p, const WorldFields *f) {
        bool v4 = f->family == FAMILY_IPV4;
        size_t header = v4 ? V4_HEADER : V6_HEADER, size;
        uint8_t hops = f->hop_limit ? f->hop_limit : 64;

        memset(p->bytes, 0, sizeof(p->bytes));
        size = put_transport(p->bytes + header, f);
        if (v4) {
                p->bytes[0] = 0x45;
                p->bytes[1] = (uint8_t)(f->dscp << 2);
                put16(p->bytes + 2, (unsigned int)(header + size));
                p->bytes[8] = hops;
                p->bytes[9] = f->protocol;
                u128_to_bytes(f->source, p->bytes + 12, 4);
                u128_to_bytes(f->destination, p->bytes + 16, 4);
        } else {
                put16(p->bytes, 6U << 12 | (unsigned int)f->dscp << 6);
                put16(p->bytes + 4, (unsigned int)size);
                p->bytes[6] = f->protocol;
                p->bytes[7] = hops;
                u128_to_bytes(f->source, p->bytes + 8, 16);
                u128_to_bytes(f->destination, p->bytes + 24, 16);
        }
        p->size = header + size;
        p->has_link = p->in != NULL;
        memset(p->link, 0, sizeof(p->link));
        put16(p->link + 12, v4 ? 0x0800 : 0x86dd);
}
