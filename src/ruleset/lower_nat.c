/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <linux/netfilter.h>

#include "ruleset/lower_always.h"

/* `nat`: translation in two chains of its own, which open nothing. What is forwarded is judged in
 * the forward hook, as inbound and by what was dialled, like every other translated connection. */

/* Unique local addresses (RFC 4193): the only ones of IPv6 that are masqueraded. */
static const Range unique_local = {{UINT64_C(0xfc00) << 48, 0},
                                   {UINT64_C(0xfdffffffffffffff), UINT64_MAX}};

static int add_masquerades(Lower *l, Chain *chain) {
        for (size_t i = 0; i < l->policy->n_masquerades; i++) {
                const Masquerade *m = &l->policy->masquerades[i];
                Condition c = {.from = &m->from, .out = &m->out};
                Origin origin = {.at = m->at, .text = lower_comment(l, m->text)};

                if (lower_condition(l, chain, &view_header, &c, PART_OTHERS,
                                    verdict_of(VERDICT_MASQUERADE), origin) < 0)
                        return -ENOMEM;
        }
        return 0;
}

/* The networks that the server is in; one set a server. */
static const Set *server_networks(Lower *l, const Forward *f) {
        char buf[ADDRESS_TEXT_MAX];
        const char *address = address_print(f->family, f->address, buf);
        const char *name = arena_printf(l->arena, "networks-of-%s", address);
        SetSource *source;
        Set *set;

        if (!name)
                return NULL;
        /* nft's names hold no colons */
        for (char *c = (char *)(uintptr_t)name; *c; c++)
                if (*c == ':')
                        *c = '_';
        set = ruleset_find_set(l->rs, name);
        if (set)
                return set;
        set = ruleset_add_set(l->rs, name,
                              f->family == FAMILY_IPV4 ? TYPE_IPV4_ADDR : TYPE_IPV6_ADDR);
        source = arena_new0(l->arena, SetSource);
        if (!set || !source)
                return NULL;
        source->of_address = true;
        source->address = f->address;
        set->source = source;
        set->interval = true;
        return set;
}

/* A client in the server's own network would get the answer straight from the server, from an
 * address that it never dialled: so the answer has to come back this way. */
static int add_hairpin(Lower *l, Chain *chain, const Forward *f) {
        FieldId client = f->family == FAMILY_IPV4 ? FIELD_IP_SADDR : FIELD_IP6_SADDR;
        FieldId server = f->family == FAMILY_IPV4 ? FIELD_IP_DADDR : FIELD_IP6_DADDR;
        Origin origin = {.at = f->at, .text = lower_comment(l, f->text)};
        Rule *rule = chain_add_rule(l->rs, chain, verdict_of(VERDICT_MASQUERADE), origin);
        Range single = range_single(f->address);
        RangeSet one = {.items = &single, .n_items = 1};

        if (!rule)
                return -ENOMEM;
        rule->counted = l->policy->settings.counters != COUNTERS_OFF;
        if (rule_match_bits(l->rs, rule, FIELD_CT_STATUS, MATCH_BITS, CT_STATUS_DNAT) < 0 ||
            rule_match_ranges(l->rs, rule, server, &one) < 0)
                return -ENOMEM;
        return rule_match_set(l->rs, rule, client, MATCH_IN, server_networks(l, f));
}

static int lower_postrouting(Lower *l, Chain *chain) {
        Range range = unique_local;
        RangeSet set = {.items = &range, .n_items = 1};
        Rule *global;

        if (lower_value(l, chain, FIELD_FIB_SADDR_TYPE, FIB_TYPE_LOCAL, verdict_of(VERDICT_ACCEPT),
                        "always: this host's own connections are not translated") < 0)
                return -ENOMEM;
        global = lower_always(l, chain, verdict_of(VERDICT_ACCEPT),
                              "always: global addresses of IPv6 are not translated");
        if (!global || rule_match_set(l->rs, global, FIELD_IP6_SADDR, MATCH_NOT_IN,
                                      ruleset_set_of_ranges(l->rs, NULL, TYPE_IPV6_ADDR, &set)) < 0)
                return -ENOMEM;
        if (add_masquerades(l, chain) < 0)
                return -ENOMEM;
        for (size_t i = 0; i < l->policy->n_forwards; i++)
                if (add_hairpin(l, chain, &l->policy->forwards[i]) < 0)
                        return -ENOMEM;
        return 0;
}

/* One rule a forward and protocol. Of two that name the same port the first one wins, in the order
 * of reading: the conflict check refuses what could be meant otherwise. */
static int lower_prerouting(Lower *l, Chain *chain) {
        Rule *elsewhere = lower_always(l, chain, verdict_of(VERDICT_ACCEPT),
                                       "always: only what is dialled to this host is forwarded");
        Range local = range_single(u128(FIB_TYPE_LOCAL));
        RangeSet one = {.items = &local, .n_items = 1};

        if (!elsewhere ||
            rule_match_set(l->rs, elsewhere, FIELD_FIB_DADDR_TYPE, MATCH_NOT_IN,
                           ruleset_set_of_ranges(l->rs, NULL, TYPE_FIB_ADDRTYPE, &one)) < 0)
                return -ENOMEM;
        for (size_t i = 0; i < l->policy->n_forwards; i++) {
                const Forward *f = &l->policy->forwards[i];
                Origin origin = {.at = f->at, .text = lower_comment(l, f->text)};
                size_t first = chain->n_rules;
                Condition c = {.services = &f->services.set, .in = &f->in};

                if (lower_condition(l, chain, &view_header, &c, PART_PORTS,
                                    verdict_of(VERDICT_DNAT), origin) < 0)
                        return -ENOMEM;
                for (size_t j = first; j < chain->n_rules; j++) {
                        NatTarget target = {f->family, f->address, f->port};

                        if (rule_set_target(l->rs, &chain->rules[j], target) < 0 ||
                            rule_match_value(l->rs, &chain->rules[j], FIELD_NFPROTO,
                                             f->family == FAMILY_IPV4 ? NFPROTO_IPV4
                                                                      : NFPROTO_IPV6) < 0)
                                return -ENOMEM;
                }
        }
        return 0;
}

int lower_nat(Lower *l) {
        const Policy *p = l->policy;
        Chain *in = NULL, *out = NULL;

        if (p->n_forwards > 0) {
                in = ruleset_add_nat_chain(l->rs, "nat-prerouting", HOOK_PREROUTING,
                                           RULESET_PRIORITY_DSTNAT);
                if (!in || lower_prerouting(l, in) < 0)
                        return -ENOMEM;
        }
        if (p->n_forwards + p->n_masquerades > 0) {
                out = ruleset_add_nat_chain(l->rs, "nat-postrouting", HOOK_POSTROUTING,
                                            RULESET_PRIORITY_SRCNAT);
                if (!out || lower_postrouting(l, out) < 0)
                        return -ENOMEM;
        }
        return 0;
}
