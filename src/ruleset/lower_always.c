/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ruleset/lower_always.h"

#include <netinet/in.h>

#include <linux/netfilter.h>

Rule *lower_always(Lower *l, Chain *chain, Verdict verdict, const char *comment) {
        Rule *rule = chain_add_rule(l->rs, chain, verdict, (Origin){.text = comment});

        if (rule)
                rule->counted = verdict.kind == VERDICT_DROP &&
                                l->policy->settings.counters != COUNTERS_OFF;
        return rule;
}

typedef struct LoopbackRange {
        Family family;
        Range range;
} LoopbackRange;

/* 127.0.0.0/8 (RFC 1122, 3.2.1.3) and ::1 (RFC 4291, 2.5.3). */
static const LoopbackRange loopbacks[] = {
        {FAMILY_IPV4, {{0, 0x7f000000}, {0, 0x7fffffff}}},
        {FAMILY_IPV6, {{0, 1}, {0, 1}}},
};

static const FieldId source_fields[_FAMILY_MAX] = {
        [FAMILY_IPV4] = FIELD_IP_SADDR,
        [FAMILY_IPV6] = FIELD_IP6_SADDR,
};

static RangeSet one_range(const Range *r) {
        /* the set is only read */
        return (RangeSet){.items = (Range *)(uintptr_t)r, .n_items = 1};
}

int lower_match_interface(Lower *l, Rule *rule, FieldId field, const char *name) {
        Range r = range_single(interface_value(name));
        RangeSet set = one_range(&r);

        return rule ? rule_match_ranges(l->rs, rule, field, &set) : -ENOMEM;
}

/* A rule for each of the loopback ranges. */
int lower_loopback_addresses(Lower *l,
                             Chain *chain,
                             const FieldId *address,
                             const char *out,
                             VerdictKind verdict,
                             const char *comment) {
        for (size_t i = 0; i < ARRAY_SIZE(loopbacks); i++) {
                Rule *rule = lower_always(l, chain, verdict_of(verdict), comment);
                RangeSet set = one_range(&loopbacks[i].range);

                if (!rule || (out && lower_match_interface(l, rule, FIELD_OIFNAME, out) < 0) ||
                    rule_match_ranges(l->rs, rule, address[loopbacks[i].family], &set) < 0)
                        return -ENOMEM;
        }
        return 0;
}

/* ::ffff:0:0/96 (RFC 4291, 2.5.5.2) never stands in a packet's header; a socket that takes both
 * families would call such a sender by the IPv4 address. */
int lower_loopback_sources(Lower *l, Chain *chain) {
        static const Range mapped = {{0, UINT64_C(0xffff00000000)}, {0, UINT64_C(0xffffffffffff)}};
        RangeSet set = one_range(&mapped);
        Rule *rule;

        if (lower_loopback_addresses(l, chain, source_fields, NULL, VERDICT_DROP,
                                     "always: a loopback address from outside") < 0)
                return -ENOMEM;
        rule = lower_always(l, chain, verdict_of(VERDICT_DROP),
                            "always: an IPv4 address within IPv6");
        return rule ? rule_match_ranges(l->rs, rule, FIELD_IP6_SADDR, &set) : -ENOMEM;
}

int lower_state(Lower *l, Chain *chain, uint32_t state, Verdict verdict, const char *comment) {
        Rule *rule = lower_always(l, chain, verdict, comment);

        return rule ? rule_match_bits(l->rs, rule, FIELD_CT_STATE, MATCH_BITS, state) : -ENOMEM;
}

int lower_status(
        Lower *l, Chain *chain, MatchOp op, uint32_t status, Verdict verdict, const char *comment) {
        Rule *rule = lower_always(l, chain, verdict, comment);

        return rule ? rule_match_bits(l->rs, rule, FIELD_CT_STATUS, op, status) : -ENOMEM;
}

int lower_value(Lower *l,
                Chain *chain,
                FieldId field,
                uint64_t value,
                Verdict verdict,
                const char *comment) {
        Rule *rule = lower_always(l, chain, verdict, comment);

        return rule ? rule_match_value(l->rs, rule, field, value) : -ENOMEM;
}

int lower_jump(Lower *l, Chain *chain, const Chain *target) {
        return lower_always(l, chain, verdict_to(VERDICT_JUMP, target), NULL) ? 0 : -ENOMEM;
}

int lower_end(Lower *l, Chain *chain) {
        Rule *rule =
                lower_always(l, chain, verdict_of(VERDICT_DROP), "always: nothing admitted it");

        return rule ? 0 : -ENOMEM;
}

/* conntrack calls three kinds of packets related: errors about a known connection, which belong to
 * it; a connection that a helper announced, which is judged as a new one; and the reset with which
 * a reject answers. Nobody outside can make the third without the first two being false. A redirect
 * is no error and never needed. */
int lower_related(Lower *l, Chain *chain) {
        Rule *redirect = lower_always(l, chain, verdict_of(VERDICT_DROP), "always: no redirects");
        Rule *errors4, *errors6, *reset;
        const char *errors = "errors of a known connection";
        bool wanted = l->policy->settings.essentials & 1U << ESSENTIAL_ERRORS;

        if (!redirect || rule_match_value(l->rs, redirect, FIELD_NFPROTO, NFPROTO_IPV4) < 0 ||
            rule_match_value(l->rs, redirect, FIELD_ICMP_TYPE, 5) < 0)
                return -ENOMEM;
        errors4 = wanted ? lower_always(l, chain, verdict_of(VERDICT_ACCEPT), errors) : NULL;
        if (wanted &&
            (!errors4 || rule_match_value(l->rs, errors4, FIELD_L4PROTO, IPPROTO_ICMP) < 0))
                return -ENOMEM;
        errors6 = wanted ? lower_always(l, chain, verdict_of(VERDICT_ACCEPT), errors) : NULL;
        if (wanted &&
            (!errors6 || rule_match_value(l->rs, errors6, FIELD_L4PROTO, IPPROTO_ICMPV6) < 0))
                return -ENOMEM;
        reset = lower_always(l, chain, verdict_of(VERDICT_ACCEPT), "the reset of a reject");
        if (!reset || rule_match_value(l->rs, reset, FIELD_L4PROTO, IPPROTO_TCP) < 0)
                return -ENOMEM;
        return rule_match_bits(l->rs, reset, FIELD_CT_STATUS, MATCH_NO_BITS, CT_STATUS_EXPECTED);
}

int lower_bridge_sets(Lower *l) {
        Set *frames = ruleset_add_set(l->rs, RULESET_BRIDGE_FRAMES, TYPE_IFNAME);
        Set *own = ruleset_add_set(l->rs, RULESET_BRIDGE_OWN, TYPE_IFNAME);

        if (!frames || !own)
                return -ENOMEM;
        frames->types[1] = TYPE_IFNAME;
        own->types[1] = TYPE_ETHER_ADDR;
        frames->n_types = own->n_types = 2;
        return 0;
}

/* A frame that a bridge passes between its own ports reaches the forward hook when br_netfilter is
 * on. It arrives and leaves by the same bridge and is addressed to neither the bridge nor a port of
 * it; a packet that is routed back into the bridge is addressed to this host. */
int lower_bridge_frames(Lower *l, Chain *chain, const Chain *bridged) {
        static const FieldId pair[] = {FIELD_IIFNAME, FIELD_OIFNAME};
        static const FieldId own[] = {FIELD_IIFNAME, FIELD_ETHER_DADDR};
        Rule *rule = lower_always(l, chain, verdict_to(VERDICT_JUMP, bridged), NULL);
        const Set *frames = ruleset_find_set(l->rs, RULESET_BRIDGE_FRAMES);
        const Set *addresses = ruleset_find_set(l->rs, RULESET_BRIDGE_OWN);

        if (!rule || rule_match_concat(l->rs, rule, pair, 2, MATCH_IN, frames) < 0)
                return -ENOMEM;
        return rule_match_concat(l->rs, rule, own, 2, MATCH_NOT_IN, addresses);
}

int lower_bridged(Lower *l, Chain *chain) {
        int r = lower_status(l, chain, MATCH_BITS, CT_STATUS_DNAT, verdict_of(VERDICT_RETURN),
                             "translated: inbound");

        if (r < 0)
                return r;
        return lower_always(l, chain, verdict_of(VERDICT_ACCEPT), "frames within a bridge")
                       ? 0
                       : -ENOMEM;
}

/* The sources that anti-spoofing leaves alone: unspecified and link-local ones (169.254.0.0/16 of
 * RFC 3927, fe80::/10). They are asked for last, since hardly a packet comes this far. */
int lower_unrouted(Lower *l, Chain *chain) {
        Range v4[] = {{{0, 0}, {0, 0}}, {{0, 0xa9fe0000}, {0, 0xa9feffff}}};
        Range v6[] = {
                {U128_ZERO, U128_ZERO},
                {{UINT64_C(0xfe80) << 48, 0}, {UINT64_C(0xfebfffffffffffff), UINT64_MAX}},
        };
        Rule *exempt4 = lower_always(l, chain, verdict_of(VERDICT_RETURN), NULL);
        Rule *exempt6;

        if (!exempt4 || rule_match_ranges(l->rs, exempt4, FIELD_IP_SADDR,
                                          &(RangeSet){.items = v4, .n_items = 2}) < 0)
                return -ENOMEM;
        exempt6 = lower_always(l, chain, verdict_of(VERDICT_RETURN), NULL);
        if (!exempt6 || rule_match_ranges(l->rs, exempt6, FIELD_IP6_SADDR,
                                          &(RangeSet){.items = v6, .n_items = 2}) < 0)
                return -ENOMEM;
        return lower_always(l, chain, verdict_of(VERDICT_DROP),
                            "always: no interface leads back to the source")
                       ? 0
                       : -ENOMEM;
}

int lower_antispoof(Lower *l, Chain *chain, const Chain *unrouted) {
        FieldId field = FIELD_FIB_SADDR_OIF;

        switch (l->policy->settings.antispoof) {
        case ANTISPOOF_OFF:
                return 0;
        case ANTISPOOF_STRICT:
                field = FIELD_FIB_SADDR_IIF_OIF;
                break;
        case ANTISPOOF_LOOSE:
                break;
        }
        return lower_value(l, chain, field, 0, verdict_to(VERDICT_JUMP, unrouted), NULL);
}

/* A packet from outside with this host's own source. IPv4's routing refuses it unless it is told
 * not to, IPv6's does not; conntrack may even take it for one of a connection between two of our
 * own addresses, so this comes before `established`. `oif missing` spares the copies of our own
 * multicasts, which the kernel loops back on the interface that they left by. */
int lower_own_source(Lower *l, Chain *chain) {
        Rule *rule = lower_always(l, chain, verdict_of(VERDICT_DROP),
                                  "always: an own address from outside");

        if (!rule || (!l->features->own_source_routed &&
                      rule_match_value(l->rs, rule, FIELD_NFPROTO, NFPROTO_IPV6) < 0))
                return -ENOMEM;
        if (rule_match_value(l->rs, rule, FIELD_FIB_SADDR_TYPE, FIB_TYPE_LOCAL) < 0)
                return -ENOMEM;
        return rule_match_value(l->rs, rule, FIELD_FIB_SADDR_OIF, 0);
}

/* A connection that the policy no longer admits gets a bit of its mark. To delete it from conntrack
 * would not do: the next packet of either side would make it anew, perhaps the other way round. */
int lower_cut(Lower *l, Chain *chain) {
        Rule *rule = lower_always(l, chain, verdict_of(VERDICT_DROP), "always: cut");

        return rule ? rule_match_bits(l->rs, rule, FIELD_CT_MARK, MATCH_BITS,
                                      l->policy->settings.mark)
                    : -ENOMEM;
}

/* Nearly all packets are of an open connection, and hardly one of these is cut or bears an address
 * that it may not: a rule that asks for all of it at once spares them the others, at whose end they
 * would be accepted as well. What it does not take goes on to them: it decides nothing, and
 * loopback and a bridge's frames, which come before, lose nothing by it. Not for IPv6, whose own
 * addresses have to be looked up, nor for IPv4 where the kernel does not refuse them by itself. The
 * state is asked for first, so that others fail at once. */
int lower_established(Lower *l, Chain *chain, bool from_outside) {
        RangeSet loopback = one_range(&loopbacks[0].range);
        const Set *sources;
        Rule *rule = lower_always(l, chain, verdict_of(VERDICT_ACCEPT), "always: established");

        if (!rule ||
            rule_match_bits(l->rs, rule, FIELD_CT_STATE, MATCH_BITS, CT_STATE_ESTABLISHED) < 0)
                return -ENOMEM;
        if (from_outside) {
                sources = ruleset_set_of_ranges(l->rs, NULL, TYPE_IPV4_ADDR, &loopback);
                if (!sources ||
                    rule_match_set(l->rs, rule, FIELD_IP_SADDR, MATCH_NOT_IN, sources) < 0)
                        return -ENOMEM;
        }
        return rule_match_bits(l->rs, rule, FIELD_CT_MARK, MATCH_NO_BITS, l->policy->settings.mark);
}

int lower_invalid(Lower *l, Chain *chain) {
        return lower_state(l, chain, CT_STATE_INVALID, verdict_of(VERDICT_DROP), "always: invalid");
}
