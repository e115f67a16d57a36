/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <netinet/in.h>

#include "base/text.h"
#include "ruleset/pass_list.h"

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

#define ENTRIES_MAX ((size_t)4 << 20) /* rules written into atoms' chains before it is given up */

static const uint8_t port_protocols[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP};

typedef struct PortRule {
        const Rule *rule;
        uint8_t protocol;
        FieldId field;
        const Set *ports;
        Match *rest; /* its matches without what the lookup decides */
        uint32_t n_rest;
} PortRule;

typedef struct Event {
        uint32_t port; /* from this port on ... */
        uint32_t rule; /* ... the run's rule of this number ... */
        bool begins;   /* ... does, or no longer does, take part */
} Event;

typedef struct Atom Atom;
struct Atom {
        uint32_t low, high;
        const uint32_t *rules; /* numbers within the run, ascending */
        size_t n_rules;
        Atom *first;    /* the lowest one with the same rules */
        Atom *alike;    /* of the first: the lowest one whose line says the same; or NULL */
        size_t n_alike; /* of that one: lines */
        Chain *chain;
};

typedef struct Run {
        Ruleset *rs;
        Arena *scratch;   /* what is needed no more once the chains stand */
        const char *name; /* what its chains' and maps' names begin with */
        PortRule *rules;
        size_t n_rules;
        Atom *atoms; /* of the protocol at hand */
        size_t n_atoms;
        size_t n_entries;
} Run;

static bool parse_rule(const Rule *rule, PortRule *ret) {
        PortRule p = {.rule = rule, .field = _FIELD_INVALID};

        if (!rule->origin.at.source || rule->verdict.kind == VERDICT_MAP ||
            rule->n_statements > 0 || rule->verdict.kind == VERDICT_DNAT)
                return false;
        for (size_t i = 0; i < rule->n_matches; i++) {
                const Match *m = &rule->matches[i];

                if (m->op != MATCH_IN || m->n_fields != 1 || m->set->name)
                        continue;
                if (m->fields[0] == FIELD_L4PROTO && m->set->n_elements == 1 &&
                    range_is_single(m->set->elements[0].key[0]))
                        p.protocol = (uint8_t)m->set->elements[0].key[0].low.low;
                if (m->fields[0] == FIELD_DPORT || m->fields[0] == FIELD_CT_DPORT) {
                        p.field = m->fields[0];
                        p.ports = m->set;
                }
        }
        *ret = p;
        return p.ports && memchr(port_protocols, p.protocol, sizeof(port_protocols));
}

/* By port; events of one port stay in their order, which is that of the rules. */
static Event *sort_events(Arena *a, Event *events, size_t n) {
        Event *from = events, *to = arena_alloc_array(a, n, sizeof(events[0])), *other;

        for (unsigned int shift = 0; to && shift < 24; shift += 8) {
                size_t start[257] = {0};

                for (size_t i = 0; i < n; i++)
                        start[(from[i].port >> shift & 0xff) + 1]++;
                for (size_t i = 1; i < 256; i++)
                        start[i] += start[i - 1];
                for (size_t i = 0; i < n; i++)
                        to[start[from[i].port >> shift & 0xff]++] = from[i];
                other = from;
                from = to;
                to = other;
        }
        return to ? from : NULL;
}

static int list_events(const Run *run, uint8_t protocol, Event **ret, size_t *ret_n) {
        Event *events = NULL;
        size_t n = 0;

        for (size_t i = 0; i < run->n_rules; i++) {
                const PortRule *p = &run->rules[i];

                for (size_t j = 0; p->protocol == protocol && j < p->ports->n_elements; j++) {
                        Range r = p->ports->elements[j].key[0];
                        Event begin = {(uint32_t)r.low.low, (uint32_t)i, true};
                        Event end = {(uint32_t)r.high.low + 1, (uint32_t)i, false};

                        if (!arena_append(run->scratch, events, n, begin) ||
                            !arena_append(run->scratch, events, n, end))
                                return -ENOMEM;
                }
        }
        *ret = n > 0 ? sort_events(run->scratch, events, n) : NULL;
        *ret_n = n;
        return n > 0 && !*ret ? -ENOMEM : 0;
}

/* What is active behind all events of one port; the events are in the order of their rules. */
static size_t apply_events(const uint32_t *active,
                           size_t n_active,
                           const Event *events,
                           size_t n_events,
                           uint32_t *ret) {
        size_t i = 0, n = 0;

        for (size_t j = 0; j < n_events; j++) {
                while (i < n_active && active[i] < events[j].rule)
                        ret[n++] = active[i++];
                if (events[j].begins)
                        ret[n++] = events[j].rule;
                else
                        i++;
        }
        memcpy(ret + n, active + i, (n_active - i) * sizeof(active[0]));
        return n + n_active - i;
}

static int add_atom(Run *run, uint32_t low, uint32_t high, const uint32_t *active, size_t n) {
        Atom atom = {.low = low, .high = high, .n_rules = n};
        uint32_t *copy = arena_alloc_array(run->scratch, n, sizeof(active[0]));

        if (!copy)
                return -ENOMEM;
        memcpy(copy, active, n * sizeof(active[0]));
        atom.rules = copy;
        run->n_entries += n;
        return arena_append(run->scratch, run->atoms, run->n_atoms, atom) ? 0 : -ENOMEM;
}

/* 0, -ENOMEM, or -E2BIG where so many wide ranges overlap that a list is the better form. */
static int cut_atoms(Run *run, uint8_t protocol) {
        uint32_t *active, *next, *spare;
        size_t n_events, n_active = 0;
        Event *events;

        run->atoms = NULL;
        run->n_atoms = 0;
        if (list_events(run, protocol, &events, &n_events) < 0)
                return -ENOMEM;
        active = arena_alloc_array(run->scratch, n_events + 1, sizeof(uint32_t));
        next = arena_alloc_array(run->scratch, n_events + 1, sizeof(uint32_t));
        if (!active || !next)
                return -ENOMEM;
        for (size_t i = 0, end; i < n_events; i = end) {
                for (end = i + 1; end < n_events && events[end].port == events[i].port;)
                        end++;
                n_active = apply_events(active, n_active, events + i, end - i, next);
                spare = active;
                active = next;
                next = spare;
                if (end < n_events && n_active > 0 &&
                    add_atom(run, events[i].port, events[end].port - 1, active, n_active) < 0)
                        return -ENOMEM;
                if (run->n_entries > ENTRIES_MAX)
                        return -E2BIG;
        }
        return 0;
}

static uint64_t mix(uint64_t hash, uint64_t value) {
        return (hash ^ value) * UINT64_C(1099511628211); /* FNV-1a over words */
}

/* Of a table with open addressing that holds n items: a power of two. */
static size_t table_size(size_t n) {
        size_t size = 4;

        while (size < 2 * n)
                size *= 2;
        return size;
}

static bool same_list(const Atom *a, const Atom *b) {
        return a->n_rules == b->n_rules &&
               memcmp(a->rules, b->rules, a->n_rules * sizeof(a->rules[0])) == 0;
}

static uint64_t fold(uint64_t hash) {
        return hash ^ hash >> 32;
}

/* The first atom with the same rules, which are noted in a table with open addressing. */
static Atom *find_first(Atom **table, size_t size, Atom *atom) {
        uint64_t hash = 0;

        for (size_t i = 0; i < atom->n_rules; i++)
                hash = mix(hash, atom->rules[i]);
        for (size_t i = fold(hash);; i++) {
                Atom **place = &table[i & (size - 1)];

                if (!*place)
                        *place = atom;
                if (same_list(*place, atom))
                        return *place;
        }
}

/* The place of the one line that all the atom's rules come from; NULL if they come from several. */
static const Span *find_line(const Run *run, const Atom *atom) {
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
static bool says_same(const Run *run, const Atom *a, const Atom *b) {
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
static Atom *find_same(const Run *run, Atom **table, size_t size, Atom *atom) {
        uint64_t hash = 0;

        if (!find_line(run, atom))
                return NULL;
        for (size_t i = 0; i < atom->n_rules; i++) {
                const PortRule *p = &run->rules[atom->rules[i]];

                hash = mix(mix(hash, (uintptr_t)p->rest), p->rule->verdict.kind);
        }
        for (size_t i = fold(hash);; i++) {
                Atom **place = &table[i & (size - 1)];

                if (!*place)
                        *place = atom;
                if (says_same(run, *place, atom))
                        return *place;
        }
}

/* The first of the many atoms whose lines say the same as this one's; NULL if they are few. */
static Atom *find_alike(const Atom *atom) {
        return atom->alike && atom->alike->n_alike >= ALIKE_MIN ? atom->alike : NULL;
}

static Chain *make_chain(Run *run, const Atom *atom, const char *protocol) {
        char low[TEXT_NUMBER_MAX], high[TEXT_NUMBER_MAX];
        const char *parts[] = {run->name,
                               "-",
                               protocol,
                               "-",
                               text_from_number(atom->low, low),
                               "-",
                               text_from_number(atom->high, high)};
        const char *name = arena_join(run->scratch, parts, atom->low == atom->high ? 5 : 7);
        const Atom *alike = find_alike(atom);
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
static int make_chains(Run *run, const char *protocol) {
        size_t size = table_size(run->n_atoms);
        Atom **lists = arena_alloc_array(run->scratch, size, sizeof(lists[0]));
        Atom **alikes = arena_alloc_array(run->scratch, size, sizeof(alikes[0]));

        if (!lists || !alikes)
                return -ENOMEM;
        for (size_t i = 0; i < run->n_atoms; i++) {
                Atom *atom = &run->atoms[i];

                atom->first = find_first(lists, size, atom);
                if (atom->first == atom && !run->rs->count_elements)
                        atom->alike = find_same(run, alikes, size, atom);
                if (atom->alike)
                        atom->alike->n_alike++;
        }
        for (size_t i = 0; i < run->n_atoms; i++) {
                Atom *atom = &run->atoms[i], *from = find_alike(atom->first);

                if (!from)
                        from = atom->first;
                atom->chain = from == atom ? make_chain(run, atom, protocol) : from->chain;
                if (!atom->chain)
                        return -ENOMEM;
        }
        return 0;
}

static bool is_alone(const Run *run, const Atom *atom) {
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

static int make_comparison(Run *run, Chain *into, uint8_t protocol, const Atom *atom) {
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
static int make_lookup(Run *run, Chain *into, uint8_t protocol) {
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

static int dispatch_run(Run *run, Chain *into) {
        for (size_t i = 0; i < ARRAY_SIZE(port_protocols); i++) {
                int r = cut_atoms(run, port_protocols[i]);

                if (r == 0 && run->n_atoms > 0)
                        r = make_lookup(run, into, port_protocols[i]);
                if (r < 0)
                        return r;
        }
        return 0;
}

static bool is_decided(const Match *m, const PortRule *p) {
        return m->op == MATCH_IN && m->n_fields == 1 &&
               (m->fields[0] == FIELD_L4PROTO || (m->fields[0] == p->field && m->set == p->ports));
}

/* Services come last among a rule's matches, so that most often the first ones can be left where
 * they are: the atoms' chains share them. */
static int find_rest(Ruleset *rs, PortRule *p) {
        const Rule *rule = p->rule;
        uint32_t n = 0, n_first = 0;

        for (uint32_t i = 0; i < rule->n_matches; i++)
                if (!is_decided(&rule->matches[i], p)) {
                        n_first += n == i;
                        n++;
                }
        p->n_rest = n;
        p->rest = rule->matches;
        if (n == n_first)
                return 0;
        p->rest = arena_alloc_array(rs->arena, n, sizeof(Match));
        if (!p->rest)
                return -ENOMEM;
        n = 0;
        for (uint32_t i = 0; i < rule->n_matches; i++)
                if (!is_decided(&rule->matches[i], p))
                        p->rest[n++] = rule->matches[i];
        return 0;
}

static uint64_t hash_rest(const PortRule *p) {
        uint64_t hash = p->n_rest;

        for (uint32_t i = 0; i < p->n_rest; i++) {
                hash = mix(hash, (uint64_t)p->rest[i].op << 8 | (uint64_t)p->rest[i].fields[0]);
                hash = mix(mix(hash, (uintptr_t)p->rest[i].set), p->rest[i].mask.low);
        }
        return hash ^ hash >> 32;
}

static bool same_match(const Match *a, const Match *b) {
        return a->op != MATCH_UNKNOWN && a->op == b->op && a->n_fields == b->n_fields &&
               memcmp(a->fields, b->fields, sizeof(a->fields)) == 0 && a->set == b->set &&
               u128_equal(a->mask, b->mask);
}

static bool same_rest(const PortRule *a, const PortRule *b) {
        if (a->n_rest != b->n_rest)
                return false;
        for (uint32_t i = 0; i < a->n_rest; i++)
                if (!same_match(&a->rest[i], &b->rest[i]))
                        return false;
        return true;
}

/* Many rules are from the same few zones. What they share is at hand when the chains, which are in
 * the order of ports and not of rules, are walked again and again. */
static int share_rests(Run *run) {
        size_t size = table_size(run->n_rules);
        const PortRule **table = arena_alloc_array(run->scratch, size, sizeof(table[0]));

        if (!table)
                return -ENOMEM;
        for (size_t i = 0; i < run->n_rules; i++) {
                PortRule *p = &run->rules[i];
                uint64_t place = hash_rest(p);

                while (table[place & (size - 1)] && !same_rest(table[place & (size - 1)], p))
                        place++;
                if (table[place & (size - 1)])
                        p->rest = table[place & (size - 1)]->rest;
                else
                        table[place & (size - 1)] = p;
        }
        return 0;
}

/* Collects the run of port rules that begins with rule `first`. */
static int
collect_run(Ruleset *rs, const Chain *chain, size_t first, unsigned int number, Run *ret) {
        Run run = {.rs = rs, .scratch = ret->scratch, .name = chain->name};

        if (number > 1)
                run.name = arena_printf(rs->arena, "%s.%u", chain->name, number);
        if (!run.name)
                return -ENOMEM;

        for (size_t i = first; i < chain->n_rules; i++) {
                PortRule p;

                if (!parse_rule(&chain->rules[i], &p) ||
                    (run.n_rules > 0 && p.field != run.rules[0].field))
                        break;
                if (find_rest(rs, &p) < 0 || !arena_append(run.scratch, run.rules, run.n_rules, p))
                        return -ENOMEM;
        }
        *ret = run;
        return share_rests(ret);
}

static int dispatch_chain(Ruleset *rs, Arena *scratch, Chain *chain) {
        Chain result = {0};
        unsigned int number = 1;

        for (size_t i = 0; i < chain->n_rules;) {
                size_t before = result.n_rules;
                Run run = {.scratch = scratch};
                int r = collect_run(rs, chain, i, number, &run);

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
