/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ruleset/lower_always.h"

/* The order in which things are judged, always (POLICY.md):
 *
 *   loopback → cut connections → established → invalid → essentials → anti-spoofing → protected →
 *   deny → allow → default
 *
 * (what is accepted as established anyway need not come by all that is judged before it)
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

/* Where the kernel lacks `fib` in input and forward, first packets are compared with the routes
 * earlier. What this chain accepts goes on to input or forward all the same. */
static int fill_prerouting(Lower *l, const Chains *c) {
        static const FieldId own[] = {FIELD_IIFNAME, FIELD_ETHER_DADDR};
        static const FieldId pair[] = {FIELD_IIFNAME, FIELD_IIFNAME};
        Chain *chain = c->prerouting;
        Rule *frames;

        if (lower_match_interface(
                    l,
                    lower_always(l, chain, verdict_of(VERDICT_ACCEPT), "always: loopback is free"),
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
        if (lower_essentials_jumps(l, chain, c->essentials_in, true) < 0 ||
            lower_antispoof(l, chain, c->unrouted) < 0)
                return -ENOMEM;
        return lower_always(l, chain, verdict_of(VERDICT_ACCEPT), NULL) ? 0 : -ENOMEM;
}

/* Whether the chains of what comes from outside look up whose a source is, for IPv4 too. */
static bool looks_up_sources(const Lower *l, const Chains *c) {
        return !c->prerouting && l->features->own_source_routed;
}

static int fill_input(Lower *l, const Chains *c) {
        Chain *chain = c->input;
        Rule *dialled;

        if (!looks_up_sources(l, c) && lower_established(l, chain, true) < 0)
                return -ENOMEM;
        if (lower_match_interface(
                    l,
                    lower_always(l, chain, verdict_of(VERDICT_ACCEPT), "always: loopback is free"),
                    FIELD_IIFNAME, "lo") < 0 ||
            lower_loopback_sources(l, chain) < 0)
                return -ENOMEM;
        if (!c->prerouting && lower_own_source(l, chain) < 0)
                return -ENOMEM;
        if (lower_cut(l, chain) < 0 ||
            lower_state(l, chain, CT_STATE_ESTABLISHED, verdict_of(VERDICT_ACCEPT),
                        "always: established") < 0 ||
            lower_state(l, chain, CT_STATE_RELATED, verdict_to(VERDICT_JUMP, c->related), NULL) <
                    0 ||
            lower_invalid(l, chain) < 0 ||
            lower_essentials_jumps(l, chain, c->essentials_in, true) < 0)
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

        if (!looks_up_sources(l, c) && lower_established(l, chain, true) < 0)
                return -ENOMEM;
        /* what is no business of the policy comes first, whatever it bears */
        if (lower_bridge_frames(l, chain, c->bridged) < 0 || lower_loopback_sources(l, chain) < 0 ||
            (!c->prerouting && lower_own_source(l, chain) < 0))
                return -ENOMEM;
        if (lower_cut(l, chain) < 0 ||
            lower_state(l, chain, CT_STATE_ESTABLISHED, verdict_of(VERDICT_ACCEPT),
                        "always: established") < 0 ||
            lower_state(l, chain, CT_STATE_RELATED, verdict_to(VERDICT_JUMP, c->related), NULL) <
                    0 ||
            lower_invalid(l, chain) < 0)
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

        if (lower_established(l, chain, false) < 0 ||
            lower_loopback_addresses(l, chain, view_header.address, "lo", VERDICT_ACCEPT,
                                     "always: loopback is free") < 0 ||
            lower_cut(l, chain) < 0 ||
            lower_state(l, chain, CT_STATE_RELATED, verdict_to(VERDICT_JUMP, c->related), NULL) <
                    0 ||
            lower_invalid(l, chain) < 0 ||
            lower_essentials_jumps(l, chain, c->essentials_out, false) < 0)
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

        if (lower_state(l, chain, CT_STATE_ESTABLISHED | CT_STATE_INVALID | CT_STATE_UNTRACKED,
                        verdict_of(VERDICT_ACCEPT), NULL) < 0 ||
            lower_state(l, chain, CT_STATE_RELATED, verdict_to(VERDICT_JUMP, c->related), NULL) <
                    0 ||
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

/* counters: each. Sets without a name get theirs when they are made: see merge. */
static void count_each(Lower *l) {
        l->rs->count_elements = true;
        for (size_t i = 0; i < l->rs->n_sets; i++)
                l->rs->sets[i]->counted = !l->rs->sets[i]->dynamic;
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
                r = lower_related(l, c->related);
        if (r == 0)
                r = lower_bridged(l, c->bridged);
        if (r == 0)
                r = lower_unrouted(l, c->unrouted);
        if (r == 0)
                r = lower_essentials(l, c->essentials_in, true);
        if (r == 0)
                r = lower_essentials(l, c->essentials_out, false);
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
        if (r == 0)
                r = lower_nat(l);
        if (r == 0 && l->policy->settings.counters == COUNTERS_EACH)
                count_each(l);
        return r;
}

static int
lower(const Policy *policy, const KernelFeatures *features, bool pairs, Arena *a, Ruleset **ret) {
        _cleanup_(arena_freep) Arena *scratch = arena_new(0);
        Lower l = {.policy = policy,
                   .arena = a,
                   .scratch = scratch,
                   .features = features,
                   .pair_rules = pairs,
                   .rs = ruleset_new(a)};
        Chains chains = {0};
        int r;

        if (!l.rs || !scratch)
                return -ENOMEM;
        r = lower_bridge_sets(&l);
        if (r == 0)
                r = add_chains(&l, &chains);
        if (r == 0)
                r = fill_chains(&l, &chains);
        lower_done(&l);
        lower_limits_done(&l);
        if (r < 0)
                return r;
        *ret = l.rs;
        return 0;
}

int ruleset_lower(const Policy *policy, const KernelFeatures *features, Arena *a, Ruleset **ret) {
        return lower(policy, features, false, a, ret);
}

int ruleset_lower_paired(const Policy *policy,
                         const KernelFeatures *features,
                         Arena *a,
                         Ruleset **ret) {
        return lower(policy, features, true, a, ret);
}
