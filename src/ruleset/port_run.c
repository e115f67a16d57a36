/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ruleset/port_run.h"

#include <netinet/in.h>

#include "ruleset/pass_list.h"

#define ENTRIES_MAX ((size_t)4 << 20) /* rules written into atoms' chains before it is given up */

const uint8_t port_protocols[PORT_PROTOCOLS] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP};

/* Where a rule begins or ends to take part. */
typedef struct Event {
        uint32_t port; /* from this port on ... */
        uint32_t rule; /* ... the run's rule of this number ... */
        bool begins;   /* ... does, or no longer does, take part */
} Event;

/* ---- rules */

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
                hash = pass_mix(hash,
                                (uint64_t)p->rest[i].op << 8 | (uint64_t)p->rest[i].fields[0]);
                hash = pass_mix(pass_mix(hash, (uintptr_t)p->rest[i].set), p->rest[i].mask.low);
        }
        return pass_fold(hash);
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
static int share_rests(PortRun *run) {
        size_t size = pass_table_size(run->n_rules);
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

int port_run_collect(
        Ruleset *rs, const Chain *chain, size_t first, unsigned int number, PortRun *ret) {
        PortRun run = {.rs = rs, .scratch = ret->scratch, .name = chain->name};

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

/* ---- atoms */

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

static int list_events(const PortRun *run, uint8_t protocol, Event **ret, size_t *ret_n) {
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

static int add_atom(PortRun *run, uint32_t low, uint32_t high, const uint32_t *active, size_t n) {
        PortAtom atom = {.low = low, .high = high, .n_rules = n};
        uint32_t *copy = arena_alloc_array(run->scratch, n, sizeof(active[0]));

        if (!copy)
                return -ENOMEM;
        memcpy(copy, active, n * sizeof(active[0]));
        atom.rules = copy;
        run->n_entries += n;
        return arena_append(run->scratch, run->atoms, run->n_atoms, atom) ? 0 : -ENOMEM;
}

int port_run_cut(PortRun *run, uint8_t protocol) {
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
