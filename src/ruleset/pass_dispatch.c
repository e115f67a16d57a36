/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/text.h"
#include "ruleset/pass_list.h"
#include "ruleset/port_run.h"

/* Rules on ports, one after the other, become one lookup a protocol: a map from ports to chains.
 * The ports of all rules are cut into atoms, ranges that every rule takes wholly or leaves wholly,
 * so that no two elements overlap: the kernel refuses overlaps, or worse, takes them in one order
 * and not in the other. An atom's chain holds its rules in their order, without what the lookup has
 * decided; atoms with the same rules share a chain. Meaning is kept since a packet meets the same
 * rules as before, in the same order, and comes back where none of them ends.
 *
 * A protocol's one or two atoms are compared, which costs a packet less than a lookup does. Where
 * an atom has only one rule, and the rule no other atom, that rule needs no chain either.
 *
 * Where many lines say the same of different ports, "allow 8443 from office", the ports that each
 * has for itself lead to one chain, and the map's elements know the lines. */

#define ALIKE_MIN 64 /* lines; below, each keeps a counter of its own */

#define COMPARE_MAX 2 /* atoms; looking up costs what two and a half comparisons do */

static bool same_list(const PortAtom *a, const PortAtom *b) {
        return a->n_rules == b->n_rules &&
               memcmp(a->rules, b->rules, a->n_rules * sizeof(a->rules[0])) == 0;
}

/* The first atom with the same rules, which are noted in a table with open addressing. */
static PortAtom *find_first(PortAtom **table, size_t size, PortAtom *atom) {
        uint64_t hash = 0;

        for (size_t i = 0; i < atom->n_rules; i++)
                hash = pass_mix(hash, atom->rules[i]);
        for (size_t i = pass_fold(hash);; i++) {
                PortAtom **place = &table[i & (size - 1)];

                if (!*place)
                        *place = atom;
                if (same_list(*place, atom))
                        return *place;
        }
}

/* The place of the one line that all the atom's rules come from; NULL if they come from several. */
static const Span *find_line(const PortRun *run, const PortAtom *atom) {
        const Span *first = &run->rules[atom->rules[0]].rule->origin.at;

        for (size_t i = 1; i < atom->n_rules; i++) {
                const Span *at = &run->rules[atom->rules[i]].rule->origin.at;

                if (at->source != first->source || at->line != first->line ||
                    at->column != first->column)
                        return NULL;
        }
        return first;
}

/* What rules share is at one place, see share_rests(). */
static bool says_same(const PortRun *run, const PortAtom *a, const PortAtom *b) {
        if (a->n_rules != b->n_rules)
                return false;
        for (size_t i = 0; i < a->n_rules; i++) {
                const PortRule *x = &run->rules[a->rules[i]], *y = &run->rules[b->rules[i]];

                if (x->rest != y->rest || x->n_rest != y->n_rest ||
                    x->rule->verdict.kind != y->rule->verdict.kind ||
                    x->rule->verdict.chain != y->rule->verdict.chain ||
                    x->rule->counted != y->rule->counted)
                        return false;
        }
        return true;
}

/* Likewise the first atom whose line says the same, if the rules come from one line. */
static PortAtom *find_same(const PortRun *run, PortAtom **table, size_t size, PortAtom *atom) {
        uint64_t hash = 0;

        if (!find_line(run, atom))
                return NULL;
        for (size_t i = 0; i < atom->n_rules; i++) {
                const PortRule *p = &run->rules[atom->rules[i]];

                hash = pass_mix(pass_mix(hash, (uintptr_t)p->rest), p->rule->verdict.kind);
        }
        for (size_t i = pass_fold(hash);; i++) {
                PortAtom **place = &table[i & (size - 1)];

                if (!*place)
                        *place = atom;
                if (says_same(run, *place, atom))
                        return *place;
        }
}

/* The first of the many atoms whose lines say the same as this one's; NULL if they are few. */
static PortAtom *find_alike(const PortAtom *atom) {
        return atom->alike && atom->alike->n_alike >= ALIKE_MIN ? atom->alike : NULL;
}

static Chain *make_chain(PortRun *run, const PortAtom *atom, const char *protocol) {
        char low[TEXT_NUMBER_MAX], high[TEXT_NUMBER_MAX];
        const char *parts[] = {run->name,
                               "-",
                               protocol,
                               "-",
                               text_from_number(atom->low, low),
                               "-",
                               text_from_number(atom->high, high)};
        const char *name = arena_join(run->scratch, parts, atom->low == atom->high ? 5 : 7);
        const PortAtom *alike = find_alike(atom);
        Chain *chain = name ? ruleset_add_chain(run->rs, name) : NULL;

        for (size_t i = 0; chain && i < atom->n_rules; i++) {
                const PortRule *p = &run->rules[atom->rules[i]];
                Rule *copy = chain_add_rule(run->rs, chain, p->rule->verdict, p->rule->origin);

                if (!copy)
                        return NULL;
                copy->counted = p->rule->counted;
                copy->matches = p->rest;
                copy->n_matches = p->n_rest;
                if (alike && pass_name_many(run->rs, copy, alike->n_alike) < 0)
                        return NULL;
        }
        return chain;
}

/* Chains stand in the order of their ports; the lowest of the atoms that share one names it. */
static int make_chains(PortRun *run, const char *protocol) {
        size_t size = pass_table_size(run->n_atoms);
        PortAtom **lists = arena_alloc_array(run->scratch, size, sizeof(lists[0]));
        PortAtom **alikes = arena_alloc_array(run->scratch, size, sizeof(alikes[0]));

        if (!lists || !alikes)
                return -ENOMEM;
        for (size_t i = 0; i < run->n_atoms; i++) {
                PortAtom *atom = &run->atoms[i];

                atom->first = find_first(lists, size, atom);
                if (atom->first == atom && !run->rs->count_elements)
                        atom->alike = find_same(run, alikes, size, atom);
                if (atom->alike)
                        atom->alike->n_alike++;
        }
        for (size_t i = 0; i < run->n_atoms; i++) {
                PortAtom *atom = &run->atoms[i], *from = find_alike(atom->first);

                if (!from)
                        from = atom->first;
                atom->chain = from == atom ? make_chain(run, atom, protocol) : from->chain;
                if (!atom->chain)
                        return -ENOMEM;
        }
        return 0;
}

static bool is_alone(const PortRun *run, const PortAtom *atom) {
        for (size_t i = 0; i < run->n_atoms; i++)
                if (&run->atoms[i] != atom && run->atoms[i].chain == atom->chain)
                        return false;
        return atom->n_rules == 1;
}

/* The matches that the lookup does not decide, behind those that stand in its place. */
static int append_rest(Ruleset *rs, Rule *rule, const PortRule *p) {
        size_t n = rule->n_matches + (size_t)p->n_rest;
        Match *matches = arena_alloc_array(rs->arena, n, sizeof(Match));

        if (!matches)
                return -ENOMEM;
        memcpy(matches, rule->matches, rule->n_matches * sizeof(Match));
        if (p->n_rest > 0)
                memcpy(matches + rule->n_matches, p->rest, p->n_rest * sizeof(Match));
        rule->matches = matches;
        rule->n_matches = (uint32_t)n;
        return 0;
}

static int make_comparison(PortRun *run, Chain *into, uint8_t protocol, const PortAtom *atom) {
        const PortRule *only = is_alone(run, atom) ? &run->rules[atom->rules[0]] : NULL;
        Range ports = {u128(atom->low), u128(atom->high)};
        RangeSet set = {.items = &ports, .n_items = 1};
        Rule *rule = only ? chain_add_rule(run->rs, into, only->rule->verdict, only->rule->origin)
                          : chain_add_rule(run->rs, into, verdict_to(VERDICT_JUMP, atom->chain),
                                           (Origin){0});

        if (!rule || rule_match_value(run->rs, rule, FIELD_L4PROTO, protocol) < 0 ||
            rule_match_ranges(run->rs, rule, run->rules[0].field, &set) < 0)
                return -ENOMEM;
        if (!only)
                return 0;
        rule->counted = only->rule->counted;
        return append_rest(run->rs, rule, only);
}

/* What leads to the chains of the protocol's ports, appended to `into`. */
static int make_lookup(PortRun *run, Chain *into, uint8_t protocol) {
        const char *name = type_symbol_name(TYPE_INET_PROTO, protocol);
        char map_name[RULESET_NAME_MAX + 1];
        Rule *rule;
        Set *map;

        if (make_chains(run, name) < 0)
                return -ENOMEM;
        if (run->n_atoms <= COMPARE_MAX) {
                for (size_t i = 0; i < run->n_atoms; i++)
                        if (make_comparison(run, into, protocol, &run->atoms[i]) < 0)
                                return -ENOMEM;
                return 0;
        }
        (void)snprintf(map_name, sizeof(map_name), "%s-%s", run->name, name);
        map = ruleset_add_set(run->rs, map_name, TYPE_INET_SERVICE);
        if (!map)
                return -ENOMEM;
        map->is_map = true;
        for (size_t i = 0; i < run->n_atoms; i++) {
                Range key = {u128(run->atoms[i].low), u128(run->atoms[i].high)};
                Element *e = set_add_element(run->rs, map, &key);
                const Span *line = NULL;

                if (!e)
                        return -ENOMEM;
                e->verdict = verdict_to(VERDICT_JUMP, run->atoms[i].chain);
                if (find_alike(run->atoms[i].first))
                        line = find_line(run, &run->atoms[i]);
                if (line)
                        e->origin.at = *line;
        }
        rule = chain_add_rule(run->rs, into, verdict_of(VERDICT_CONTINUE), (Origin){0});
        if (!rule || rule_match_value(run->rs, rule, FIELD_L4PROTO, protocol) < 0)
                return -ENOMEM;
        return rule_set_map(run->rs, rule, run->rules[0].field, map);
}

static int dispatch_run(PortRun *run, Chain *into) {
        for (size_t i = 0; i < ARRAY_SIZE(port_protocols); i++) {
                int r = port_run_cut(run, port_protocols[i]);

                if (r == 0 && run->n_atoms > 0)
                        r = make_lookup(run, into, port_protocols[i]);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int dispatch_chain(Ruleset *rs, Arena *scratch, Chain *chain) {
        Chain result = {0};
        unsigned int number = 1;

        for (size_t i = 0; i < chain->n_rules;) {
                size_t before = result.n_rules;
                PortRun run = {.scratch = scratch};
                int r = port_run_collect(rs, chain, i, number, &run);

                if (r == 0 && run.n_rules > 0)
                        r = dispatch_run(&run, &result);
                if (r == -ENOMEM)
                        return r;
                if (r == -E2BIG || run.n_rules == 0) {
                        size_t n = MAX(run.n_rules, 1UL);

                        result.n_rules = before;
                        for (size_t j = 0; j < n; j++)
                                if (!arena_append(rs->arena, result.rules, result.n_rules,
                                                  chain->rules[i + j]))
                                        return -ENOMEM;
                }
                number += run.n_rules > 0;
                i += MAX(run.n_rules, 1UL);
                arena_reset(scratch);
        }
        chain->rules = result.rules;
        chain->room = 0;
        chain->n_rules = result.n_rules;
        return 0;
}

int pass_dispatch(Ruleset *rs) {
        _cleanup_(arena_freep) Arena *scratch = arena_new(0);
        size_t n = rs->n_chains; /* those that it makes hold no more ports */

        if (!scratch)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                int r = dispatch_chain(rs, scratch, rs->chains[i]);

                if (r < 0)
                        return r;
        }
        return 0;
}
