/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ruleset/field.h"

#include <netinet/in.h> /* before linux/, which then leaves its own copies out */

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

/* The names are those that nft 1.0.6 both prints and reads. */
// clang-format off
static const TypeSymbol oif_symbols[] = {{"missing", 0}, {"exists", 1}, {0}};
static const TypeSymbol nfproto_symbols[] = {{"ipv4", NFPROTO_IPV4}, {"ipv6", NFPROTO_IPV6}, {0}};
static const TypeSymbol proto_symbols[] = {
        {"icmp", IPPROTO_ICMP}, {"igmp", IPPROTO_IGMP}, {"tcp", IPPROTO_TCP},
        {"udp", IPPROTO_UDP},   {"icmpv6", IPPROTO_ICMPV6}, {"sctp", IPPROTO_SCTP}, {0},
};
static const TypeSymbol icmp_symbols[] = {
        {"echo-reply", 0}, {"destination-unreachable", 3}, {"redirect", 5}, {"echo-request", 8},
        {"router-advertisement", 9}, {"router-solicitation", 10}, {"time-exceeded", 11},
        {"parameter-problem", 12}, {"timestamp-request", 13}, {"timestamp-reply", 14}, {0},
};
static const TypeSymbol icmpv6_symbols[] = {
        {"destination-unreachable", 1}, {"packet-too-big", 2}, {"time-exceeded", 3},
        {"parameter-problem", 4}, {"echo-request", 128}, {"echo-reply", 129},
        {"mld-listener-query", 130}, {"mld-listener-report", 131}, {"mld-listener-done", 132},
        {"nd-router-solicit", 133}, {"nd-router-advert", 134}, {"nd-neighbor-solicit", 135},
        {"nd-neighbor-advert", 136}, {"nd-redirect", 137}, {"mld2-listener-report", 143}, {0},
};
static const TypeSymbol ct_state_symbols[] = {
        {"invalid", CT_STATE_INVALID}, {"established", CT_STATE_ESTABLISHED},
        {"related", CT_STATE_RELATED}, {"new", CT_STATE_NEW},
        {"untracked", CT_STATE_UNTRACKED}, {0},
};
static const TypeSymbol ct_status_symbols[] = {
        {"expected", CT_STATUS_EXPECTED}, {"confirmed", CT_STATUS_CONFIRMED},
        {"dnat", CT_STATUS_DNAT}, {0},
};
static const TypeSymbol fib_type_symbols[] = {
        {"unicast", FIB_TYPE_UNICAST}, {"local", FIB_TYPE_LOCAL}, {0},
};
static const TypeSymbol arphrd_symbols[] = {{"ether", 1}, {0}};

/* Numbers of nft's types: its include/datatype.h, checked against sets that nft 1.0.6 made. */
const Type types[_TYPE_MAX] = {
        /*                      name            id  bits  host   flags  symbols */
        [TYPE_PRESENCE]      = {NULL,           39, 32,   true,  false, oif_symbols},
        [TYPE_IFNAME]        = {"ifname",       41, 128,  false, false, NULL},
        [TYPE_NFPROTO]       = {"nf_proto",     2,  8,    false, false, nfproto_symbols},
        [TYPE_INET_PROTO]    = {"inet_proto",   12, 8,    false, false, proto_symbols},
        [TYPE_INET_SERVICE]  = {"inet_service", 13, 16,   false, false, NULL},
        [TYPE_IPV4_ADDR]     = {"ipv4_addr",    7,  32,   false, false, NULL},
        [TYPE_IPV6_ADDR]     = {"ipv6_addr",    8,  128,  false, false, NULL},
        [TYPE_ETHER_ADDR]    = {"ether_addr",   9,  48,   false, false, NULL},
        [TYPE_ICMP_TYPE]     = {"icmp_type",    14, 8,    false, false, icmp_symbols},
        [TYPE_ICMPV6_TYPE]   = {"icmpv6_type",  29, 8,    false, false, icmpv6_symbols},
        [TYPE_CT_STATE]      = {"ct_state",     26, 32,   true,  true,  ct_state_symbols},
        [TYPE_CT_STATUS]     = {"ct_status",    28, 32,   true,  true,  ct_status_symbols},
        [TYPE_MARK]          = {"mark",         19, 32,   true,  true,  NULL},
        [TYPE_FIB_ADDRTYPE]  = {"fib_addrtype", 38, 32,   true,  false, fib_type_symbols},
        [TYPE_ARPHRD]        = {"iface_type",   21, 16,   true,  false, arphrd_symbols},
        [TYPE_UID]           = {"uid",          24, 32,   true,  false, NULL},
        [TYPE_GID]           = {"gid",          25, 32,   true,  false, NULL},
        [TYPE_TIME]          = {"time",         43, 64,   true,  false, NULL},
        [TYPE_NUMBER]        = {NULL,           4,  8,    false, false, NULL},
};

#define NEEDS_IPV4 .has_needs = true, .needs = FIELD_NFPROTO, .needs_value = NFPROTO_IPV4
#define NEEDS_IPV6 .has_needs = true, .needs = FIELD_NFPROTO, .needs_value = NFPROTO_IPV6
#define NEEDS_ICMP .has_needs = true, .needs = FIELD_L4PROTO, .needs_value = IPPROTO_ICMP
#define NEEDS_ICMPV6 .has_needs = true, .needs = FIELD_L4PROTO, .needs_value = IPPROTO_ICMPV6
#define NEEDS_ETHER .has_needs = true, .needs = FIELD_IIFTYPE, .needs_value = 1

const Field fields[_FIELD_MAX] = {
        [FIELD_IIFNAME]        = {"iifname", TYPE_IFNAME, BASE_META, NFT_META_IIFNAME, .mergeable = true},
        [FIELD_OIFNAME]        = {"oifname", TYPE_IFNAME, BASE_META, NFT_META_OIFNAME, .mergeable = true},
        [FIELD_NFPROTO]        = {"meta nfproto", TYPE_NFPROTO, BASE_META, NFT_META_NFPROTO},
        [FIELD_L4PROTO]        = {"meta l4proto", TYPE_INET_PROTO, BASE_META, NFT_META_L4PROTO},
        [FIELD_IIFTYPE]        = {"meta iiftype", TYPE_ARPHRD, BASE_META, NFT_META_IIFTYPE},
        [FIELD_SKUID]          = {"meta skuid", TYPE_UID, BASE_META, NFT_META_SKUID, .mergeable = true},
        [FIELD_SKGID]          = {"meta skgid", TYPE_GID, BASE_META, NFT_META_SKGID, .mergeable = true},
        [FIELD_TIME]           = {"meta time", TYPE_TIME, BASE_META, NFT_META_TIME_NS},
        [FIELD_ETHER_DADDR]    = {"ether daddr", TYPE_ETHER_ADDR, BASE_LINK, 0, 0, NEEDS_ETHER},
        [FIELD_IP_SADDR]       = {"ip saddr", TYPE_IPV4_ADDR, BASE_NETWORK, 0, 12, NEEDS_IPV4, .mergeable = true},
        [FIELD_IP_DADDR]       = {"ip daddr", TYPE_IPV4_ADDR, BASE_NETWORK, 0, 16, NEEDS_IPV4, .mergeable = true},
        [FIELD_IP6_SADDR]      = {"ip6 saddr", TYPE_IPV6_ADDR, BASE_NETWORK, 0, 8, NEEDS_IPV6, .mergeable = true},
        [FIELD_IP6_DADDR]      = {"ip6 daddr", TYPE_IPV6_ADDR, BASE_NETWORK, 0, 24, NEEDS_IPV6, .mergeable = true},
        [FIELD_IP_SADDR_16]    = {"ip saddr & 255.255.0.0", TYPE_IPV4_ADDR, BASE_NETWORK, 0, 12, NEEDS_IPV4, .prefix = 16},
        [FIELD_IP_SADDR_20]    = {"ip saddr & 255.255.240.0", TYPE_IPV4_ADDR, BASE_NETWORK, 0, 12, NEEDS_IPV4, .prefix = 20},
        [FIELD_IP_SADDR_24]    = {"ip saddr & 255.255.255.0", TYPE_IPV4_ADDR, BASE_NETWORK, 0, 12, NEEDS_IPV4, .prefix = 24},
        [FIELD_IP_SADDR_28]    = {"ip saddr & 255.255.255.240", TYPE_IPV4_ADDR, BASE_NETWORK, 0, 12, NEEDS_IPV4, .prefix = 28},
        [FIELD_IP6_SADDR_48]   = {"ip6 saddr & ffff:ffff:ffff::", TYPE_IPV6_ADDR, BASE_NETWORK, 0, 8, NEEDS_IPV6, .prefix = 48},
        [FIELD_IP6_SADDR_56]   = {"ip6 saddr & ffff:ffff:ffff:ff00::", TYPE_IPV6_ADDR, BASE_NETWORK, 0, 8, NEEDS_IPV6, .prefix = 56},
        [FIELD_IP6_SADDR_64]   = {"ip6 saddr & ffff:ffff:ffff:ffff::", TYPE_IPV6_ADDR, BASE_NETWORK, 0, 8, NEEDS_IPV6, .prefix = 64},
        [FIELD_IP6_HOPLIMIT]   = {"ip6 hoplimit", TYPE_NUMBER, BASE_NETWORK, 0, 7, NEEDS_IPV6},
        [FIELD_SPORT]          = {"th sport", TYPE_INET_SERVICE, BASE_TRANSPORT, 0, 0, .needs_ports = true},
        [FIELD_DPORT]          = {"th dport", TYPE_INET_SERVICE, BASE_TRANSPORT, 0, 2, .needs_ports = true, .mergeable = true},
        [FIELD_ICMP_TYPE]      = {"icmp type", TYPE_ICMP_TYPE, BASE_TRANSPORT, 0, 0, NEEDS_ICMP, .mergeable = true},
        [FIELD_ICMPV6_TYPE]    = {"icmpv6 type", TYPE_ICMPV6_TYPE, BASE_TRANSPORT, 0, 0, NEEDS_ICMPV6, .mergeable = true},
        [FIELD_CT_STATE]       = {"ct state", TYPE_CT_STATE, BASE_CT, NFT_CT_STATE},
        [FIELD_CT_STATUS]      = {"ct status", TYPE_CT_STATUS, BASE_CT, NFT_CT_STATUS},
        [FIELD_CT_MARK]        = {"ct mark", TYPE_MARK, BASE_CT, NFT_CT_MARK},
        [FIELD_CT_IP_DADDR]    = {"ct original ip daddr", TYPE_IPV4_ADDR, BASE_CT_ORIGINAL, NFT_CT_DST_IP, .mergeable = true},
        [FIELD_CT_IP6_DADDR]   = {"ct original ip6 daddr", TYPE_IPV6_ADDR, BASE_CT_ORIGINAL, NFT_CT_DST_IP6, .mergeable = true},
        [FIELD_CT_DPORT]       = {"ct original proto-dst", TYPE_INET_SERVICE, BASE_CT_ORIGINAL, NFT_CT_PROTO_DST, .needs_ports = true, .mergeable = true},
        [FIELD_FIB_SADDR_OIF]  = {"fib saddr oif", TYPE_PRESENCE, BASE_FIB, NFT_FIB_RESULT_OIF, NFTA_FIB_F_SADDR | NFTA_FIB_F_PRESENT},
        [FIELD_FIB_SADDR_IIF_OIF] = {"fib saddr . iif oif", TYPE_PRESENCE, BASE_FIB, NFT_FIB_RESULT_OIF, NFTA_FIB_F_SADDR | NFTA_FIB_F_IIF | NFTA_FIB_F_PRESENT},
        [FIELD_FIB_SADDR_TYPE] = {"fib saddr type", TYPE_FIB_ADDRTYPE, BASE_FIB, NFT_FIB_RESULT_ADDRTYPE, NFTA_FIB_F_SADDR},
        [FIELD_FIB_DADDR_TYPE] = {"fib daddr type", TYPE_FIB_ADDRTYPE, BASE_FIB, NFT_FIB_RESULT_ADDRTYPE, NFTA_FIB_F_DADDR},
};
// clang-format on

size_t type_size(TypeId type) {
        return (types[type].bits + 7) / 8;
}

size_t field_size(FieldId field) {
        return type_size(fields[field].type);
}

U128 field_prefix(FieldId field, U128 value) {
        unsigned int bits = types[fields[field].type].bits;
        U128 rest = u128_low_mask(bits - fields[field].prefix);

        return (U128){value.high & ~rest.high, value.low & ~rest.low};
}

bool type_symbol_value(TypeId type, const char *name, uint32_t *ret) {
        for (const TypeSymbol *s = types[type].symbols; s && s->name; s++)
                if (streq(s->name, name)) {
                        *ret = s->value;
                        return true;
                }
        return false;
}

const char *type_symbol_name(TypeId type, uint32_t value) {
        for (const TypeSymbol *s = types[type].symbols; s && s->name; s++)
                if (s->value == value)
                        return s->name;
        return NULL;
}
