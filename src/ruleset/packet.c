/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ruleset/packet.h"

#include <netinet/in.h>

#include <linux/netfilter.h>

bool protocol_has_ports(uint8_t protocol) {
        return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP ||
               protocol == IPPROTO_DCCP || protocol == IPPROTO_UDPLITE;
}

static void set(Packet *p, FieldId field, U128 value) {
        p->values[field] = value;
        p->present[field] = true;
}

static void set_interfaces(Packet *p, const PacketQuestion *q) {
        char in[16] = {0}, out[16] = {0};

        (void)snprintf(in, sizeof(in), "%s", q->in ? q->in : "");
        (void)snprintf(out, sizeof(out), "%s", q->out ? q->out : "");
        if (q->hook != HOOK_OUTPUT) {
                set(p, FIELD_IIFNAME, u128_from_bytes(in, sizeof(in)));
                set(p, FIELD_IIFTYPE, u128(1));
                set(p, FIELD_ETHER_DADDR, q->ether_destination);
        }
        if (q->hook == HOOK_OUTPUT || q->hook == HOOK_FORWARD)
                set(p, FIELD_OIFNAME, u128_from_bytes(out, sizeof(out)));
}

static void set_owner(Packet *p, const PacketQuestion *q) {
        if (q->hook == HOOK_OUTPUT && q->has_user)
                set(p, FIELD_SKUID, u128(q->user));
        if (q->hook == HOOK_OUTPUT && q->has_group)
                set(p, FIELD_SKGID, u128(q->group));
}

static void set_network(Packet *p, const PacketQuestion *q) {
        if (q->family == FAMILY_IPV4) {
                set(p, FIELD_NFPROTO, u128(NFPROTO_IPV4));
                set(p, FIELD_IP_SADDR, q->source);
                set(p, FIELD_IP_DADDR, q->destination);
        } else {
                set(p, FIELD_NFPROTO, u128(NFPROTO_IPV6));
                set(p, FIELD_IP6_SADDR, q->source);
                set(p, FIELD_IP6_DADDR, q->destination);
                set(p, FIELD_IP6_HOPLIMIT, u128(q->hop_limit ? q->hop_limit : 64));
        }
        for (FieldId f = 0; f < _FIELD_MAX; f++)
                if (fields[f].prefix > 0 &&
                    (fields[f].type == TYPE_IPV4_ADDR) == (q->family == FAMILY_IPV4))
                        set(p, f, field_prefix(f, q->source));
        set(p, FIELD_FIB_SADDR_OIF,
            u128(q->source_route == SOURCE_ROUTED || q->source_route == SOURCE_ELSEWHERE));
        set(p, FIELD_FIB_SADDR_IIF_OIF, u128(q->source_route == SOURCE_ROUTED));
        set(p, FIELD_FIB_SADDR_TYPE,
            u128(q->source_route == SOURCE_LOCAL ? FIB_TYPE_LOCAL : FIB_TYPE_UNICAST));
        set(p, FIELD_FIB_DADDR_TYPE,
            u128(q->hook == HOOK_INPUT ? FIB_TYPE_LOCAL : FIB_TYPE_UNICAST));
}

static void set_transport(Packet *p, const PacketQuestion *q) {
        set(p, FIELD_L4PROTO, u128(q->protocol));
        if (protocol_has_ports(q->protocol)) {
                set(p, FIELD_SPORT, u128(q->source_port));
                set(p, FIELD_DPORT, u128(q->destination_port));
        }
        if (q->protocol == IPPROTO_ICMP)
                set(p, FIELD_ICMP_TYPE, u128(q->icmp_type));
        if (q->protocol == IPPROTO_ICMPV6)
                set(p, FIELD_ICMPV6_TYPE, u128(q->icmp_type));
}

/* Invalid and untracked packets belong to no connection, so they have a state and nothing else. */
static void set_conntrack(Packet *p, const PacketQuestion *q) {
        uint32_t status = 0;

        set(p, FIELD_CT_STATE, u128(q->ct_state));
        if (q->ct_state == CT_STATE_INVALID || q->ct_state == CT_STATE_UNTRACKED)
                return;
        if (q->translated)
                status |= CT_STATUS_DNAT;
        if (q->expected)
                status |= CT_STATUS_EXPECTED;
        set(p, FIELD_CT_STATUS, u128(status));
        set(p, FIELD_CT_MARK, u128(q->ct_mark));
        set(p, q->family == FAMILY_IPV4 ? FIELD_CT_IP_DADDR : FIELD_CT_IP6_DADDR,
            q->translated ? q->dialled : q->destination);
        if (protocol_has_ports(q->protocol))
                set(p, FIELD_CT_DPORT, u128(q->translated ? q->dialled_port : q->destination_port));
}

void packet_init(Packet *p, const PacketQuestion *q) {
        memset(p, 0, sizeof(*p));
        set_interfaces(p, q);
        set_network(p, q);
        set_transport(p, q);
        set_conntrack(p, q);
        set_owner(p, q);
        set(p, FIELD_TIME, u128(q->time));
}
