/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/loader.h"

typedef struct Word {
        const char *name;
        uint8_t number;
} Word;

/* IANA's registry, as far as a host meets it; its name first, then what else it is called. Sorted
 * by number. Names that would hide a service's (rdp, ftp) are left out: the number says it, too. */
// clang-format off
static const Word protocols[] = {
        {"icmp", 1},
        {"igmp", 2},
        {"ipip", 4}, {"ipv4", 4},
        {"tcp", 6},
        {"egp", 8},
        {"udp", 17},
        {"dccp", 33},
        {"ipv6", 41}, {"sit", 41},
        {"rsvp", 46},
        {"gre", 47},
        {"esp", 50},
        {"ah", 51},
        {"icmpv6", 58}, {"ipv6-icmp", 58},
        {"eigrp", 88},
        {"ospf", 89},
        {"etherip", 97},
        {"pim", 103},
        {"ipcomp", 108},
        {"vrrp", 112},
        {"l2tp", 115},
        {"sctp", 132},
        {"udplite", 136},
        {"mpls-in-ip", 137},
        {"hip", 139},
};

static const Word icmp_types[] = {
        {"echo-reply", 0},
        {"destination-unreachable", 3},
        {"source-quench", 4},
        {"redirect", 5},
        {"echo-request", 8},
        {"router-advertisement", 9},
        {"router-solicitation", 10},
        {"time-exceeded", 11},
        {"parameter-problem", 12},
        {"timestamp-request", 13},
        {"timestamp-reply", 14},
        {"info-request", 15},
        {"info-reply", 16},
        {"address-mask-request", 17},
        {"address-mask-reply", 18},
};

static const Word icmpv6_types[] = {
        {"destination-unreachable", 1},
        {"packet-too-big", 2},
        {"time-exceeded", 3},
        {"parameter-problem", 4},
        {"echo-request", 128},
        {"echo-reply", 129},
        {"mld-listener-query", 130},
        {"mld-listener-report", 131},
        {"mld-listener-done", 132}, {"mld-listener-reduction", 132},
        {"nd-router-solicit", 133},
        {"nd-router-advert", 134},
        {"nd-neighbor-solicit", 135},
        {"nd-neighbor-advert", 136},
        {"nd-redirect", 137},
        {"router-renumbering", 138},
        {"ind-neighbor-solicit", 141},
        {"ind-neighbor-advert", 142},
        {"mld2-listener-report", 143},
};
// clang-format on

static bool find_number(const Word *words, size_t n, const char *name, uint8_t *ret) {
        for (size_t i = 0; i < n; i++)
                if (streq(words[i].name, name)) {
                        *ret = words[i].number;
                        return true;
                }
        return false;
}

static const char *find_name(const Word *words, size_t n, uint8_t number) {
        for (size_t i = 0; i < n; i++)
                if (words[i].number == number)
                        return words[i].name;
        return NULL;
}

bool protocol_from_string(const char *name, uint8_t *ret) {
        return find_number(protocols, ARRAY_SIZE(protocols), name, ret);
}

const char *protocol_to_string(uint8_t protocol) {
        return find_name(protocols, ARRAY_SIZE(protocols), protocol);
}

bool icmp_type_from_string(Family family, const char *name, uint8_t *ret) {
        if (family == FAMILY_IPV4)
                return find_number(icmp_types, ARRAY_SIZE(icmp_types), name, ret);
        return find_number(icmpv6_types, ARRAY_SIZE(icmpv6_types), name, ret);
}

const char *icmp_type_to_string(Family family, uint8_t type) {
        if (family == FAMILY_IPV4)
                return find_name(icmp_types, ARRAY_SIZE(icmp_types), type);
        return find_name(icmpv6_types, ARRAY_SIZE(icmpv6_types), type);
}

void protocol_suggest(Nearest *n) {
        for (size_t i = 0; i < ARRAY_SIZE(protocols); i++)
                nearest_consider(n, protocols[i].name);
}

void icmp_type_suggest(Family family, Nearest *n) {
        const Word *words = family == FAMILY_IPV4 ? icmp_types : icmpv6_types;
        size_t n_words = family == FAMILY_IPV4 ? ARRAY_SIZE(icmp_types) : ARRAY_SIZE(icmpv6_types);

        for (size_t i = 0; i < n_words; i++)
                nearest_consider(n, words[i].name);
}
