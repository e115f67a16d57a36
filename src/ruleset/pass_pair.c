/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ruleset/pair.h"
#include "ruleset/pass_list.h"

/* Neighbours that admit a few sources each to a port of its own, "allow 5432 from 10.1.2.0/24",
 * become sets of pairs. Meaning is kept since neighbours with one final verdict, and without
 * statements, may change places. */

static bool is_listed(const Match *m) {
        return m->op == MATCH_IN && m->n_fields == 1 && !m->set->name;
}

/* False if it asks for anything but sources, a protocol and ports, or for too many. */
static bool parse_rule(const Rule *rule, PairRule *ret) {
        const Set *sources = NULL, *ports = NULL;

        ret->n_pairs = 0;
        ret->protocol = 0;
        ret->verdict = rule->verdict;
        ret->origin = rule->origin;
        ret->counted = rule->counted;
        if (!rule->origin.at.source)
                return false;
        for (size_t i = 0; i < rule->n_matches; i++) {
                const Match *m = &rule->matches[i];

                if (!is_listed(m))
                        return false;
                if (m->fields[0] == FIELD_L4PROTO && m->set->n_elements == 1 &&
                    range_is_single(m->set->elements[0].key[0])) {
                        ret->protocol = (uint8_t)m->set->elements[0].key[0].low.low;
                } else if (m->fields[0] == FIELD_IP_SADDR || m->fields[0] == FIELD_IP6_SADDR) {
                        ret->source = m->fields[0];
                        sources = m->set;
                } else if (m->fields[0] == FIELD_DPORT || m->fields[0] == FIELD_CT_DPORT) {
                        ret->port = m->fields[0];
                        ports = m->set;
                } else if (m->fields[0] != FIELD_NFPROTO)
                        return false; /* that one is the source's own need */
        }
        if (!sources || !ports || !pair_has_ports(ret->protocol))
                return false;
        for (size_t i = 0; i < sources->n_elements; i++)
                for (size_t j = 0; j < ports->n_elements; j++)
                        if (!pair_rule_add(ret, sources->elements[i].key[0],
                                           ports->elements[j].key[0]))
                                return false;
        return ret->n_pairs > 0;
}

/* Appends what stands for rules[0..n), which have one final verdict. */
static int pair_run(Pairs *pairs, const Rule *rules, size_t n, Chain *into) {
        _cleanup_free_ bool *taken = calloc(n, sizeof(*taken));
        PairRule p = {.n_pairs = 0};

        if (!taken)
                return -ENOMEM;
        pairs->n_groups = 0;
        for (size_t i = 0; i < n; i++)
                if (parse_rule(&rules[i], &p))
                        pairs_count(pairs, &p);
        for (size_t i = 0; i < n && pairs->n_groups > 0; i++) {
                int r;

                if (!parse_rule(&rules[i], &p) || !pairs_is_worth(pairs, &p))
                        continue;
                r = pairs_take(pairs, &p);
                if (r < 0)
                        return r;
                taken[i] = true;
        }
        pairs_finish(pairs);
        if (pairs_add_lookups(pairs, _FIELD_INVALID, into) < 0)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++)
                if (!taken[i] &&
                    !arena_append(pairs->rs->arena, into->rules, into->n_rules, rules[i]))
                        return -ENOMEM;
        return 0;
}

static int pair_chain(Pairs *pairs, Chain *chain) {
        Chain result = {0};

        pairs->chain = chain->name;
        pairs->number = 1;
        for (size_t i = 0, end; i < chain->n_rules; i = end) {
                size_t n_sets = pairs->rs->n_sets;

                end = i + pass_count_alike(chain, i);
                if (pair_run(pairs, &chain->rules[i], end - i, &result) < 0)
                        return -ENOMEM;
                pairs->number += pairs->rs->n_sets > n_sets;
        }
        chain->rules = result.rules;
        chain->n_rules = result.n_rules;
        chain->room = 0;
        return 0;
}

static bool may_pair(const Chain *chain) {
        for (size_t i = 0; i < chain->n_rules; i += pass_count_alike(chain, i))
                if (pass_count_alike(chain, i) >= PAIRS_MIN / PAIRS_OF_RULE_MAX)
                        return true;
        return false;
}

int pass_pair(Ruleset *rs) {
        _cleanup_free_ PairGroup *groups = calloc(PAIR_GROUPS_MAX, sizeof(*groups));
        Pairs pairs = {.rs = rs, .groups = groups};

        if (!groups)
                return -ENOMEM;
        for (size_t i = 0; i < rs->n_chains; i++)
                if (may_pair(rs->chains[i]) && pair_chain(&pairs, rs->chains[i]) < 0)
                        return -ENOMEM;
        return 0;
}
