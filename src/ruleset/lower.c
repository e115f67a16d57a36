/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ruleset/lower.h"

#include <netinet/in.h>

#include <linux/netfilter.h>

/* The order in which things are judged, always (POLICY.md):
 *
 *   loopback → established → invalid → essentials → anti-spoofing → protected → deny → allow →
 * default
 *
 * in three base chains. A first packet that arrives here goes input → inbound; one that the kernel
 * translated, wherever it goes, is judged as inbound too, by what the client dialled; what passes
 * through goes forward → routed; what this host sends goes output → outbound. */

typedef struct Chains {
        Chain *prerouting; /* only where the kernel has no `fib` in input and forward */
        Chain *input, *forward, *output;
        Chain *related, *bridged, *unrouted;
        Chain *essentials_in, *essentials_out;
        Chain *inbound, *dialled, *protected, *routed, *outbound;
        /* only where `outbound` asks for interfaces */
        Chain *postrouting, *redirected;
} Chains;

typedef struct LoopbackRange {
        Family family;
        Range range;
} LoopbackRange;

/* 127.0.0.0/8 (RFC 1122, 3.2.1.3) and ::1 (RFC 4291, 2.5.3). */
static const LoopbackRange loopbacks[] = {
        {FAMILY_IPV4, {{0, 0x7f000000}, {0, 0x7fffffff}}},
        {FAMILY_IPV6, {{0, 1}, {0, 1}}},
};

static RangeSet one_range(const Range *r) {
        /* the set is only read */
        return (RangeSet){.items = (Range *)(uintptr_t)r, .n_items = 1};
}

static int match_interface(Lower *l, Rule *rule, FieldId field, const char *name) {
        Range r = range_single(interface_value(name));
        RangeSet set = one_range(&r);

        return rule ? rule_match_ranges(l->rs, rule, field, &set) : -ENOMEM;
}

/* A rule for each of the loopback ranges. */
static int lower_loopback_addresses(Lower *l,
                                    Chain *chain,
                                    const FieldId *address,
                                    const char *out,
                                    VerdictKind verdict,
                                    const char *comment) {
        for (size_t i = 0; i < ARRAY_SIZE(loopbacks); i++) {
                Rule *rule = lower_always(l, chain, verdict_of(verdict), comment);
                RangeSet set = one_range(&loopbacks[i].range);

                if (!rule || (out && match_interface(l, rule, FIELD_OIFNAME, out) < 0) ||
                    rule_match_ranges(l->rs, rule, address[loopbacks[i].family], &set) < 0)
                        return -ENOMEM;
        }
        return 0;
}

static int
lower_state(Lower *l, Chain *chain, uint32_t state, Verdict verdict, const char *comment) {
        Rule *rule = lower_always(l, chain, verdict, comment);

        return rule ? rule_match_bits(l->rs, rule, FIELD_CT_STATE, MATCH_BITS, state) : -ENOMEM;
}

static int lower_status(
        Lower *l, Chain *chain, MatchOp op, uint32_t status, Verdict verdict, const char *comment) {
        Rule *rule = lower_always(l, chain, verdict, comment);

        return rule ? rule_match_bits(l->rs, rule, FIELD_CT_STATUS, op, status) : -ENOMEM;
}

static int lower_value(Lower *l,
                       Chain *chain,
                       FieldId field,
                       uint64_t value,
                       Verdict verdict,
                       const char *comment) {
        Rule *rule = lower_always(l, chain, verdict, comment);

        return rule ? rule_match_value(l->rs, rule, field, value) : -ENOMEM;
}

static int lower_jump(Lower *l, Chain *chain, const Chain *target) {
        return lower_always(l, chain, verdict_to(VERDICT_JUMP, target), NULL) ? 0 : -ENOMEM;
}

static int lower_end(Lower *l, Chain *chain) {
        Rule *rule =
                lower_always(l, chain, verdict_of(VERDICT_DROP), "always: nothing admitted it");

        return rule ? 0 : -ENOMEM;
}

/* conntrack calls three kinds of packets related: errors about a known connection, which belong to
 * it; a connection that a helper announced, which is judged as a new one; and the reset with which
 * a reject answers. Nobody outside can make the third without the first two being false. A redirect
 * is no error and never needed. */
static int fill_related(Lower *l, Chain *chain) {
        Rule *redirect = lower_always(l, chain, verdict_of(VERDICT_DROP), "always: no redirects");
        Rule *errors4, *errors6;
        const char *errors = "errors of a known connection";

        if (!redirect || rule_match_value(l->rs, redirect, FIELD_NFPROTO, NFPROTO_IPV4) < 0 ||
            rule_match_value(l->rs, redirect, FIELD_ICMP_TYPE, 5) < 0)
                return -ENOMEM;
        errors4 = lower_always(l, chain, verdict_of(VERDICT_ACCEPT), errors);
        if (!errors4 || rule_match_value(l->rs, errors4, FIELD_L4PROTO, IPPROTO_ICMP) < 0)
                return -ENOMEM;
        errors6 = lower_always(l, chain, verdict_of(VERDICT_ACCEPT), errors);
        if (!errors6 || rule_match_value(l->rs, errors6, FIELD_L4PROTO, IPPROTO_ICMPV6) < 0)
                return -ENOMEM;
        return lower_status(l, chain, MATCH_NO_BITS, CT_STATUS_EXPECTED, verdict_of(VERDICT_ACCEPT),
                            "the reset of a reject");
}

static int add_bridge_sets(Lower *l) {
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
static int lower_bridge_frames(Lower *l, Chain *chain, const Chain *bridged) {
        static const FieldId pair[] = {FIELD_IIFNAME, FIELD_OIFNAME};
        static const FieldId own[] = {FIELD_IIFNAME, FIELD_ETHER_DADDR};
        Rule *rule = lower_always(l, chain, verdict_to(VERDICT_JUMP, bridged), NULL);
        const Set *frames = ruleset_find_set(l->rs, RULESET_BRIDGE_FRAMES);
        const Set *addresses = ruleset_find_set(l->rs, RULESET_BRIDGE_OWN);

        if (!rule || rule_match_concat(l->rs, rule, pair, 2, MATCH_IN, frames) < 0)
                return -ENOMEM;
        return rule_match_concat(l->rs, rule, own, 2, MATCH_NOT_IN, addresses);
}

static int fill_bridged(Lower *l, Chain *chain) {
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
static int fill_unrouted(Lower *l, Chain *chain) {
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

static int lower_antispoof(Lower *l, Chain *chain, const Chain *unrouted) {
        return lower_value(l, chain, FIELD_FIB_SADDR_OIF, 0, verdict_to(VERDICT_JUMP, unrouted),
                           NULL);
}

/* A packet from outside with this host's own source. IPv4's routing refuses it unless it is told
 * not to, IPv6's does not; conntrack may even take it for one of a connection between two of our
 * own addresses, so this comes before `established`. `oif missing` spares the copies of our own
 * multicasts, which the kernel loops back on the interface that they left by. */
static int lower_own_source(Lower *l, Chain *chain) {
        Rule *rule = lower_always(l, chain, verdict_of(VERDICT_DROP),
                                  "always: an own address from outside");

        if (!rule || (!l->features->own_source_routed &&
                      rule_match_value(l->rs, rule, FIELD_NFPROTO, NFPROTO_IPV6) < 0))
                return -ENOMEM;
        if (rule_match_value(l->rs, rule, FIELD_FIB_SADDR_TYPE, FIB_TYPE_LOCAL) < 0)
                return -ENOMEM;
        return rule_match_value(l->rs, rule, FIELD_FIB_SADDR_OIF, 0);
}

static int lower_essentials_jump(Lower *l, Chain *chain, const Chain *essentials) {
        Range protocols[] = {
                range_single(u128(IPPROTO_IGMP)),
                range_single(u128(IPPROTO_UDP)),
                range_single(u128(IPPROTO_ICMPV6)),
        };
        Rule *rule = lower_always(l, chain, verdict_to(VERDICT_JUMP, essentials), NULL);

        if (!rule)
                return -ENOMEM;
        return rule_match_ranges(l->rs, rule, FIELD_L4PROTO,
                                 &(RangeSet){.items = protocols, .n_items = 3});
}

static int lower_invalid(Lower *l, Chain *chain) {
        return lower_state(l, chain, CT_STATE_INVALID, verdict_of(VERDICT_DROP), "always: invalid");
}

/* Where the kernel lacks `fib` in input and forward, first packets are compared with the routes
 * earlier. What this chain accepts goes on to input or forward all the same. */
static int fill_prerouting(Lower *l, const Chains *c) {
        static const FieldId own[] = {FIELD_IIFNAME, FIELD_ETHER_DADDR};
        static const FieldId pair[] = {FIELD_IIFNAME, FIELD_IIFNAME};
        Chain *chain = c->prerouting;
        Rule *frames;

        if (match_interface(l, lower_always(l, chain, verdict_of(VERDICT_ACCEPT), NULL),
                            FIELD_IIFNAME, "lo") < 0 ||
            lower_own_source(l, chain) < 0 ||
            lower_state(l, chain, CT_STATE_ESTABLISHED | CT_STATE_RELATED | CT_STATE_INVALID,
                        verdict_of(VERDICT_ACCEPT), NULL) < 0)
                return -ENOMEM;
        frames = lower_always(l, chain, verdict_of(VERDICT_ACCEPT), "frames within a bridge");
        if (!frames ||
            rule_match_concat(l->rs, frames, pair, 2, MATCH_IN,
                              ruleset_find_set(l->rs, RULESET_BRIDGE_FRAMES)) < 0 ||
            rule_match_concat(l->rs, frames, own, 2, MATCH_NOT_IN,
                              ruleset_find_set(l->rs, RULESET_BRIDGE_OWN)) < 0)
                return -ENOMEM;
        if (lower_essentials_jump(l, chain, c->essentials_in) < 0 ||
            lower_antispoof(l, chain, c->unrouted) < 0)
                return -ENOMEM;
        return lower_always(l, chain, verdict_of(VERDICT_ACCEPT), NULL) ? 0 : -ENOMEM;
}

static int fill_input(Lower *l, const Chains *c) {
        Chain *chain = c->input;
        Rule *dialled;

        if (match_interface(l, lower_always(l, chain, verdict_of(VERDICT_ACCEPT), NULL),
                            FIELD_IIFNAME, "lo") < 0 ||
            lower_loopback_addresses(l, chain, (const FieldId[]){FIELD_IP_SADDR, FIELD_IP6_SADDR},
                                     NULL, VERDICT_DROP,
                                     "always: a loopback address from outside") < 0)
                return -ENOMEM;
        if (!c->prerouting && lower_own_source(l, chain) < 0)
                return -ENOMEM;
        if (lower_state(l, chain, CT_STATE_ESTABLISHED, verdict_of(VERDICT_ACCEPT), NULL) < 0 ||
            lower_state(l, chain, CT_STATE_RELATED, verdict_to(VERDICT_JUMP, c->related), NULL) <
                    0 ||
            lower_invalid(l, chain) < 0 || lower_essentials_jump(l, chain, c->essentials_in) < 0)
                return -ENOMEM;
        if (!c->prerouting && lower_antispoof(l, chain, c->unrouted) < 0)
                return -ENOMEM;
        dialled = lower_always(l, chain, verdict_to(VERDICT_JUMP, c->dialled), NULL);
        if (!dialled ||
            rule_match_bits(l->rs, dialled, FIELD_CT_STATUS, MATCH_BITS, CT_STATUS_DNAT) < 0)
                return -ENOMEM;
        if (lower_loopback_addresses(l, chain, view_header.address, NULL, VERDICT_DROP,
                                     "always: a loopback address from outside") < 0 ||
            lower_jump(l, chain, c->inbound) < 0)
                return -ENOMEM;
        return lower_end(l, chain);
}

/* protected: where a connection ends counts on the networks of containers and VMs alone. */
static int lower_protected_networks(Lower *l, Chain *chain, const Chain *target) {
        const Zone *zones[] = {l->policy->containers, l->policy->vms};

        for (size_t i = 0; i < ARRAY_SIZE(zones) && l->policy->n_protected > 0; i++) {
                ZoneTerm term = {.zone = zones[i]};
                ZoneExpression to = {
                        .given = true, .restricts = true, .terms = &term, .n_terms = 1};
                Condition c = {.to = &to};
                size_t first = chain->n_rules;

                if (!zones[i])
                        continue;
                if (lower_condition(l, chain, &view_header, &c, PART_OTHERS,
                                    verdict_to(VERDICT_JUMP, target), (Origin){0}) < 0)
                        return -ENOMEM;
                for (size_t j = first; j < chain->n_rules; j++)
                        chain->rules[j].counted = false;
        }
        return 0;
}

static int fill_forward(Lower *l, const Chains *c) {
        Chain *chain = c->forward;

        if (lower_state(l, chain, CT_STATE_ESTABLISHED, verdict_of(VERDICT_ACCEPT), NULL) < 0 ||
            lower_bridge_frames(l, chain, c->bridged) < 0 ||
            lower_state(l, chain, CT_STATE_RELATED, verdict_to(VERDICT_JUMP, c->related), NULL) <
                    0 ||
            lower_invalid(l, chain) < 0 ||
            lower_loopback_addresses(l, chain, (const FieldId[]){FIELD_IP_SADDR, FIELD_IP6_SADDR},
                                     NULL, VERDICT_DROP,
                                     "always: a loopback address from outside") < 0)
                return -ENOMEM;
        if (!c->prerouting && lower_antispoof(l, chain, c->unrouted) < 0)
                return -ENOMEM;
        if (lower_status(l, chain, MATCH_BITS, CT_STATUS_DNAT, verdict_to(VERDICT_JUMP, c->dialled),
                         NULL) < 0 ||
            lower_protected_networks(l, chain, c->protected) < 0 ||
            lower_jump(l, chain, c->routed) < 0)
                return -ENOMEM;
        return lower_end(l, chain);
}

static int fill_output(Lower *l, const Chains *c) {
        Chain *chain = c->output;

        if (lower_loopback_addresses(l, chain, view_header.address, "lo", VERDICT_ACCEPT, NULL) <
                    0 ||
            lower_state(l, chain, CT_STATE_ESTABLISHED, verdict_of(VERDICT_ACCEPT), NULL) < 0 ||
            lower_state(l, chain, CT_STATE_RELATED, verdict_to(VERDICT_JUMP, c->related), NULL) <
                    0 ||
            lower_invalid(l, chain) < 0 || lower_essentials_jump(l, chain, c->essentials_out) < 0)
                return -ENOMEM;
        if (c->postrouting &&
            lower_status(l, chain, MATCH_BITS, CT_STATUS_DNAT, verdict_of(VERDICT_ACCEPT),
                         "redirected: postrouting") < 0)
                return -ENOMEM;
        if (lower_jump(l, chain, c->outbound) < 0)
                return -ENOMEM;
        return lower_end(l, chain);
}

/* A connection of this host's own that is redirected (to a container, say) leaves by another
 * interface than the output hook is told of. Where the policy asks for interfaces it is judged when
 * the right one is known. Only what this host sends has one of its addresses as source here:
 * forward has refused all others that do. */
static int fill_postrouting(Lower *l, const Chains *c) {
        Chain *chain = c->postrouting;

        if (lower_state(l, chain,
                        CT_STATE_ESTABLISHED | CT_STATE_RELATED | CT_STATE_INVALID |
                                CT_STATE_UNTRACKED,
                        verdict_of(VERDICT_ACCEPT), NULL) < 0 ||
            lower_status(l, chain, MATCH_NO_BITS, CT_STATUS_DNAT, verdict_of(VERDICT_ACCEPT),
                         NULL) < 0 ||
            lower_value(l, chain, FIELD_FIB_SADDR_TYPE, FIB_TYPE_LOCAL,
                        verdict_to(VERDICT_JUMP, c->redirected), NULL) < 0)
                return -ENOMEM;
        return lower_always(l, chain, verdict_of(VERDICT_ACCEPT), NULL) ? 0 : -ENOMEM;
}

static int fill_redirected(Lower *l, Chain *chain) {
        int r;

        l->mute = true;
        r = lower_section(l, SECTION_OUTBOUND, chain, &view_header, false);
        l->mute = false;
        return r;
}

static bool asks_for_interfaces(const ZoneExpression *e) {
        for (size_t i = 0; i < e->n_terms; i++)
                for (size_t j = 0; e->terms[i].zone && j < e->terms[i].zone->n_parts; j++)
                        if (!e->terms[i].zone->parts[j].any_interface)
                                return true;
        return false;
}

static bool outbound_asks_for_interfaces(const Policy *policy) {
        const Section *section = &policy->sections[SECTION_OUTBOUND];

        for (size_t i = 0; i < section->n_rules; i++) {
                const PolicyRule *rule = &section->rules[i];

                if (rule->out.n_items > 0 || asks_for_interfaces(&rule->to) ||
                    asks_for_interfaces(&rule->except))
                        return true;
        }
        return false;
}

/* Translated connections: `protected` by the port where they end and by the one that was dialled,
 * then the section by what was dialled. */
static int fill_dialled(Lower *l, const Chains *c) {
        if (lower_loopback_addresses(l, c->dialled, view_dialled.address, NULL, VERDICT_DROP,
                                     "always: a loopback address from outside") < 0)
                return -ENOMEM;
        if (l->policy->n_protected > 0 && lower_jump(l, c->dialled, c->protected) < 0)
                return -ENOMEM;
        return lower_section(l, SECTION_INBOUND, c->dialled, &view_dialled, true);
}

typedef struct ChainRow {
        size_t offset; /* in Chains */
        const char *name;
        Hook hook;
} ChainRow;

// clang-format off
static const ChainRow chain_rows[] = {
        {offsetof(Chains, input),          "input",          HOOK_INPUT},
        {offsetof(Chains, forward),        "forward",        HOOK_FORWARD},
        {offsetof(Chains, output),         "output",         HOOK_OUTPUT},
        {offsetof(Chains, related),        "related",        HOOK_NONE},
        {offsetof(Chains, bridged),        "bridged",        HOOK_NONE},
        {offsetof(Chains, unrouted),       "unrouted-source", HOOK_NONE},
        {offsetof(Chains, essentials_in),  "essentials-in",  HOOK_NONE},
        {offsetof(Chains, essentials_out), "essentials-out", HOOK_NONE},
        {offsetof(Chains, inbound),        "inbound",        HOOK_NONE},
        {offsetof(Chains, dialled),        "inbound-dialled", HOOK_NONE},
        {offsetof(Chains, protected),      "protected",      HOOK_NONE},
        {offsetof(Chains, routed),         "routed",         HOOK_NONE},
        {offsetof(Chains, outbound),       "outbound",       HOOK_NONE},
};
// clang-format on

static int add_chains(Lower *l, Chains *ret) {
        if (!l->features->fib_in_filter) {
                ret->prerouting = ruleset_add_base_chain(l->rs, "prerouting", HOOK_PREROUTING);
                if (!ret->prerouting)
                        return -ENOMEM;
        }
        if (outbound_asks_for_interfaces(l->policy)) {
                ret->postrouting = ruleset_add_base_chain(l->rs, "postrouting", HOOK_POSTROUTING);
                ret->redirected = ruleset_add_chain(l->rs, "outbound-redirected");
                if (!ret->postrouting || !ret->redirected)
                        return -ENOMEM;
        }
        for (size_t i = 0; i < ARRAY_SIZE(chain_rows); i++) {
                const ChainRow *row = &chain_rows[i];
                Chain *chain = row->hook == HOOK_NONE
                                       ? ruleset_add_chain(l->rs, row->name)
                                       : ruleset_add_base_chain(l->rs, row->name, row->hook);

                if (!chain)
                        return -ENOMEM;
                *(Chain **)(void *)((char *)ret + row->offset) = chain;
        }
        return 0;
}

static int fill_chains(Lower *l, const Chains *c) {
        int r = c->prerouting ? fill_prerouting(l, c) : 0;

        if (r == 0)
                r = fill_input(l, c);
        if (r == 0)
                r = fill_forward(l, c);
        if (r == 0)
                r = fill_output(l, c);
        if (r == 0)
                r = fill_related(l, c->related);
        if (r == 0)
                r = fill_bridged(l, c->bridged);
        if (r == 0)
                r = fill_unrouted(l, c->unrouted);
        if (r == 0)
                r = lower_essentials_in(l, c->essentials_in);
        if (r == 0)
                r = lower_essentials_out(l, c->essentials_out);
        if (r == 0)
                r = lower_section(l, SECTION_INBOUND, c->inbound, &view_header, true);
        if (r == 0)
                r = fill_dialled(l, c);
        if (r == 0)
                r = lower_protected(l, c->protected, &view_header, PART_OTHERS | PART_PORTS);
        if (r == 0)
                r = lower_section(l, SECTION_ROUTED, c->routed, &view_header, false);
        if (r == 0)
                r = lower_section(l, SECTION_OUTBOUND, c->outbound, &view_header, false);
        if (r == 0 && c->postrouting)
                r = fill_postrouting(l, c);
        if (r == 0 && c->redirected)
                r = fill_redirected(l, c->redirected);
        return r;
}

int ruleset_lower(const Policy *policy, const KernelFeatures *features, Arena *a, Ruleset **ret) {
        _cleanup_(arena_freep) Arena *scratch = arena_new(0);
        Lower l = {.policy = policy,
                   .arena = a,
                   .scratch = scratch,
                   .features = features,
                   .rs = ruleset_new(a)};
        Chains chains = {0};
        int r;

        if (!l.rs || !scratch)
                return -ENOMEM;
        r = add_bridge_sets(&l);
        if (r == 0)
                r = add_chains(&l, &chains);
        if (r == 0)
                r = fill_chains(&l, &chains);
        lower_done(&l);
        if (r < 0)
                return r;
        *ret = l.rs;
        return 0;
}
