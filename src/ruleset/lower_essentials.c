/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <netinet/in.h>

#include <linux/netfilter.h>

#include "ruleset/lower_always.h"

/* What IPv4 and IPv6 cannot do without, as POLICY.md lists it. A redirect is in no row. */

typedef enum EssentialSource {
        SOURCE_ANY,
        SOURCE_LINK_LOCAL,         /* fe80::/10 */
        SOURCE_LINK_LOCAL_OR_NONE, /* ... or ::, of a host that has no address yet */
} EssentialSource;

typedef struct EssentialRow {
        bool in, out;
        Family family;
        uint8_t protocol;
        struct {
                uint8_t low, high;
        } types[2]; /* ICMPv6's; unused rows are zero */
        uint16_t source_port, destination_port;
        EssentialSource source;
        bool own_link;     /* hop limit 255: it was sent on this link (RFC 4861, section 7.1) */
        EssentialId group; /* settings.essentials can leave it out */
        const char *comment;
} EssentialRow;

// clang-format off
static const EssentialRow essentials[] = {
        /* in    out    family       protocol        types                   ports     source            link   group  comment */
        {true,  true,  FAMILY_IPV6, IPPROTO_ICMPV6, {{135, 136}, {133, 133}}, 0, 0,   SOURCE_ANY,        true,  ESSENTIAL_NEIGHBOURS, "neighbour discovery (RFC 4861)"},
        {true,  true,  FAMILY_IPV6, IPPROTO_ICMPV6, {{134, 134}},             0, 0,   SOURCE_LINK_LOCAL, true,  ESSENTIAL_NEIGHBOURS, "router advertisement (RFC 4861, 6.1.2)"},
        {true,  false, FAMILY_IPV6, IPPROTO_ICMPV6, {{130, 132}, {143, 143}}, 0, 0,   SOURCE_LINK_LOCAL, false, ESSENTIAL_MLD, "multicast listener discovery (RFC 3810)"},
        {false, true,  FAMILY_IPV6, IPPROTO_ICMPV6, {{130, 132}, {143, 143}}, 0, 0,   SOURCE_LINK_LOCAL_OR_NONE, false, ESSENTIAL_MLD, "multicast listener discovery (RFC 3810, 3590)"},
        {true,  true,  FAMILY_IPV4, IPPROTO_IGMP,   {{0, 0}},                 0, 0,   SOURCE_ANY,        false, ESSENTIAL_IGMP, "IGMP (RFC 3376)"},
        {true,  false, FAMILY_IPV4, IPPROTO_UDP,    {{0, 0}},                 67, 68, SOURCE_ANY,        false, ESSENTIAL_DHCP, "answer to the DHCP client (RFC 2131)"},
        {false, true,  FAMILY_IPV4, IPPROTO_UDP,    {{0, 0}},                 68, 67, SOURCE_ANY,        false, ESSENTIAL_DHCP, "DHCP client (RFC 2131)"},
        {true,  false, FAMILY_IPV6, IPPROTO_UDP,    {{0, 0}},                 0, 546, SOURCE_LINK_LOCAL, false, ESSENTIAL_DHCP, "answer to the DHCPv6 client (RFC 8415)"},
        {false, true,  FAMILY_IPV6, IPPROTO_UDP,    {{0, 0}},                 0, 547, SOURCE_ANY,        false, ESSENTIAL_DHCP, "DHCPv6 client (RFC 8415)"},
};
// clang-format on

static int match_source(Lower *l, Rule *rule, EssentialSource source) {
        /* fe80::/10 and :: */
        Range list[] = {
                {{UINT64_C(0xfe80) << 48, 0}, {UINT64_C(0xfebfffffffffffff), UINT64_MAX}},
                {U128_ZERO, U128_ZERO},
        };
        RangeSet set = {.items = list, .n_items = source == SOURCE_LINK_LOCAL ? 1 : 2};

        return source == SOURCE_ANY ? 0 : rule_match_ranges(l->rs, rule, FIELD_IP6_SADDR, &set);
}

/* What is dialled at a loopback address comes from no host: it is refused behind the essentials.
 * Nobody sends ICMPv6 there whom the kernel would not refuse, and IGMP goes to groups; DHCP's
 * answers are the ones that a host with route_localnet would take. */
static int match_not_loopback(Lower *l, Rule *rule, Family family) {
        Range list[_FAMILY_MAX] = {
                [FAMILY_IPV4] = {u128(UINT64_C(127) << 24), u128((UINT64_C(128) << 24) - 1)},
                [FAMILY_IPV6] = {u128(1), u128(1)},
        };
        RangeSet set = {.items = &list[family], .n_items = 1};
        FieldId field = family == FAMILY_IPV4 ? FIELD_IP_DADDR : FIELD_IP6_DADDR;
        TypeId type = fields[field].type;
        const Set *loopback = ruleset_set_of_ranges(l->rs, NULL, type, &set);

        return loopback ? rule_match_set(l->rs, rule, field, MATCH_NOT_IN, loopback) : -ENOMEM;
}

static int match_types(Lower *l, Rule *rule, const EssentialRow *e) {
        RangeSet set = {0};

        for (size_t i = 0; i < ARRAY_SIZE(e->types) && e->types[i].low > 0; i++) {
                Range r = {u128(e->types[i].low), u128(e->types[i].high)};

                if (range_set_add(l->arena, &set, r) < 0)
                        return -ENOMEM;
        }
        return set.n_items ? rule_match_ranges(l->rs, rule, FIELD_ICMPV6_TYPE, &set) : 0;
}

static int lower_essential(Lower *l, Chain *chain, const EssentialRow *e) {
        Rule *rule = lower_always(l, chain, verdict_of(VERDICT_ACCEPT), e->comment);
        uint64_t nfproto = e->family == FAMILY_IPV4 ? NFPROTO_IPV4 : NFPROTO_IPV6;

        if (!rule || rule_match_value(l->rs, rule, FIELD_NFPROTO, nfproto) < 0 ||
            match_source(l, rule, e->source) < 0)
                return -ENOMEM;
        if (e->in && e->protocol == IPPROTO_UDP && match_not_loopback(l, rule, e->family) < 0)
                return -ENOMEM;
        if (e->own_link && rule_match_value(l->rs, rule, FIELD_IP6_HOPLIMIT, 255) < 0)
                return -ENOMEM;
        if (rule_match_value(l->rs, rule, FIELD_L4PROTO, e->protocol) < 0 ||
            match_types(l, rule, e) < 0)
                return -ENOMEM;
        if (e->source_port && rule_match_value(l->rs, rule, FIELD_SPORT, e->source_port) < 0)
                return -ENOMEM;
        if (e->destination_port &&
            rule_match_value(l->rs, rule, FIELD_DPORT, e->destination_port) < 0)
                return -ENOMEM;
        return 0;
}

static bool is_wanted(const Lower *l, const EssentialRow *e) {
        return l->policy->settings.essentials & 1U << e->group;
}

static bool is_of(const Lower *l, const EssentialRow *e, bool in) {
        return (in ? e->in : e->out) && is_wanted(l, e);
}

int lower_essentials(Lower *l, Chain *chain, bool in) {
        for (size_t i = 0; i < ARRAY_SIZE(essentials); i++)
                if (is_of(l, &essentials[i], in) && lower_essential(l, chain, &essentials[i]) < 0)
                        return -ENOMEM;
        return 0;
}

static bool is_led_to_before(const Lower *l, size_t n, bool in) {
        for (size_t i = 0; i < n; i++)
                if (is_of(l, &essentials[i], in) &&
                    essentials[i].protocol == essentials[n].protocol &&
                    essentials[i].destination_port == essentials[n].destination_port)
                        return true;
        return false;
}

/* A comparison for each, and no set of them: of so few, looking up costs more than comparing, and
 * what is of another protocol or port is spared the whole chain. */
int lower_essentials_jumps(Lower *l, Chain *chain, const Chain *to, bool in) {
        for (size_t i = 0; i < ARRAY_SIZE(essentials); i++) {
                const EssentialRow *e = &essentials[i];
                Rule *rule;

                if (!is_of(l, e, in) || is_led_to_before(l, i, in))
                        continue;
                rule = lower_always(l, chain, verdict_to(VERDICT_JUMP, to), NULL);
                if (!rule || rule_match_value(l->rs, rule, FIELD_L4PROTO, e->protocol) < 0)
                        return -ENOMEM;
                if (e->destination_port &&
                    rule_match_value(l->rs, rule, FIELD_DPORT, e->destination_port) < 0)
                        return -ENOMEM;
        }
        return 0;
}
