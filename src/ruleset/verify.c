/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ruleset/packet.h"
#include "ruleset/ruleset.h"

/* A Ruleset that fails here is our own mistake: the messages are written for us. */

enum {
        DEPTH_UNKNOWN = 0,
        DEPTH_IN_PROGRESS = SIZE_MAX,
};

static int broken(Diag *d, const Chain *chain, const Rule *rule, const char *what) {
        return diag_error(d, rule ? rule->origin.at : (Span){0},
                          "internal error: chain %s, rule %zu: %s; please report this", chain->name,
                          rule ? (size_t)(rule - chain->rules) + 1 : 0, what);
}

static bool in_set(const Match *m,
                   FieldId field,
                   bool (*admits)(uint64_t value, uint64_t wanted),
                   uint64_t wanted) {
        if (m->op != MATCH_IN || m->n_fields != 1 || m->fields[0] != field ||
            m->set->n_elements == 0)
                return false;
        for (size_t i = 0; i < m->set->n_elements; i++) {
                Range r = m->set->elements[i].key[0];

                for (uint64_t v = r.low.low; v <= r.high.low && v - r.low.low <= UINT8_MAX; v++)
                        if (!admits(v, wanted))
                                return false;
        }
        return true;
}

static bool equals(uint64_t value, uint64_t wanted) {
        return value == wanted;
}

static bool has_ports(uint64_t value, uint64_t wanted) {
        return protocol_has_ports((uint8_t)value);
}

/* Whether the first n matches of the rule make sure that the field means something. */
static bool needs_are_met(const Rule *rule, size_t n, FieldId field) {
        const Field *f = &fields[field];
        bool met = !f->has_needs, ports = !f->needs_ports;

        if (met && ports)
                return true;
        for (size_t i = 0; i < n; i++) {
                if (f->has_needs && in_set(&rule->matches[i], f->needs, equals, f->needs_value))
                        met = true;
                if (in_set(&rule->matches[i], FIELD_L4PROTO, has_ports, 0))
                        ports = true;
        }
        return met && ports;
}

static int verify_set_use(const Chain *chain,
                          const Rule *rule,
                          const Set *set,
                          const FieldId *list,
                          size_t n,
                          Diag *d) {
        if (!set || set->n_types != n)
                return broken(d, chain, rule, "a set of another number of fields");
        for (size_t i = 0; i < n; i++)
                if (set->types[i] != fields[list[i]].type)
                        return broken(d, chain, rule, "a set of another type");
        return 0;
}

static bool statement_is_sound(const Rule *rule, const Statement *s) {
        const Set *set = s->set;

        if (set && (!set->dynamic || !set->name || set->n_types != 1 || set->room == 0 ||
                    set->types[0] != fields[s->field].type ||
                    !needs_are_met(rule, rule->n_matches, s->field)))
                return false;
        switch (s->kind) {
        case STATEMENT_LIMIT:
                return s->limit.number > 0 && s->limit.burst > 0 && s->limit.seconds > 0;
        case STATEMENT_CONNECTIONS:
                /* the kernel forgets no source that still has connections */
                return s->connections > 0 && (!set || set->timeout == 0);
        case STATEMENT_NAMED_LIMIT:
                return s->text && !set;
        case STATEMENT_LOG:
                return s->text && strlen(s->text) <= RULESET_PREFIX_MAX && !set;
        case STATEMENT_SAMPLE:
                return (!s->text || strlen(s->text) <= RULESET_PREFIX_MAX) && !set;
        case _STATEMENT_MAX:
        case _STATEMENT_INVALID:
                break;
        }
        return false;
}

static bool is_translation(VerdictKind kind) {
        return kind == VERDICT_MASQUERADE || kind == VERDICT_DNAT;
}

static bool verdict_refuses(VerdictKind kind) {
        return kind == VERDICT_DROP || kind == VERDICT_REJECT || kind == VERDICT_REJECT_RESET;
}

static int verify_rule(const Chain *chain, const Rule *rule, Diag *d) {
        for (size_t i = 0; i < rule->n_matches; i++) {
                const Match *m = &rule->matches[i];

                if (m->op == MATCH_UNKNOWN)
                        return broken(d, chain, rule, "a match that nobody knows");
                for (size_t j = 0; j < m->n_fields; j++)
                        if (!needs_are_met(rule, i, m->fields[j]))
                                return broken(d, chain, rule, "a field without what it needs");
                if ((m->op == MATCH_IN || m->op == MATCH_NOT_IN) &&
                    verify_set_use(chain, rule, m->set, m->fields, m->n_fields, d) < 0)
                        return -EBADMSG;
        }
        for (size_t i = 0; i < rule->n_statements; i++)
                if (!statement_is_sound(rule, &rule->statements[i]))
                        return broken(d, chain, rule, "a statement without what it needs");
        if (is_translation(rule->verdict.kind) != (chain->type == CHAIN_NAT) &&
            (is_translation(rule->verdict.kind) || verdict_refuses(rule->verdict.kind)))
                return broken(d, chain, rule, "a verdict that the chain's type does not know");
        if (rule->verdict.kind == VERDICT_DNAT && !rule->target)
                return broken(d, chain, rule, "a translation to nowhere");
        if (rule->verdict.kind == VERDICT_MAP) {
                for (size_t j = 0; j < rule->n_map_fields; j++)
                        if (!needs_are_met(rule, rule->n_matches, rule->map_fields[j]))
                                return broken(d, chain, rule,
                                              "a map's field without what it needs");
                if (!rule->map || !rule->map->is_map)
                        return broken(d, chain, rule, "a map without verdicts");
                return verify_set_use(chain, rule, rule->map, rule->map_fields, rule->n_map_fields,
                                      d);
        }
        if ((rule->verdict.kind == VERDICT_JUMP || rule->verdict.kind == VERDICT_GOTO) !=
            !!rule->verdict.chain)
                return broken(d, chain, rule,
                              "a jump without a target, or a target without a jump");
        return 0;
}

static int verify_set(const Set *set, Diag *d) {
        for (size_t i = 0; i + 1 < set->n_elements; i++) {
                const Element *e = &set->elements[i], *next = e + 1;

                if (set->n_types == 1 && u128_compare(e->key[0].high, next->key[0].low) >= 0)
                        return diag_error(
                                d, set->origin.at,
                                "internal error: set %s overlaps itself; please report this",
                                set->name);
        }
        return 0;
}

/* Chains on the longest way down from here, this one included; -EBADMSG for a loop. above: how many
 * have led here, so that a long way is no deep recursion. */
static int chain_depth(Chain *chain, size_t above, Diag *d) {
        size_t depth = 1;

        if (chain->scratch == DEPTH_IN_PROGRESS)
                return broken(d, chain, NULL, "it leads back to itself");
        if (chain->scratch != DEPTH_UNKNOWN)
                return (int)chain->scratch;
        if (above >= RULESET_JUMPS_MAX)
                return broken(d, chain, NULL, "jumps are nested too deeply");
        chain->scratch = DEPTH_IN_PROGRESS;
        for (size_t i = 0; i < chain->n_rules; i++) {
                const Rule *rule = &chain->rules[i];
                size_t n = rule->map ? rule->map->n_elements : 1;

                for (size_t j = 0; j < n; j++) {
                        Verdict v = rule->map ? rule->map->elements[j].verdict : rule->verdict;
                        int below;

                        if (!v.chain)
                                continue;
                        /* the targets are the ruleset's own, and so not really const */
                        below = chain_depth((Chain *)(uintptr_t)v.chain, above + 1, d);
                        if (below < 0)
                                return below;
                        depth = MAX(depth, (size_t)below + 1);
                }
        }
        chain->scratch = depth;
        if (depth > RULESET_JUMPS_MAX)
                return broken(d, chain, NULL, "jumps are nested too deeply");
        return (int)depth;
}

static bool ends_in_verdict(const Chain *chain) {
        const Rule *last = chain->n_rules ? &chain->rules[chain->n_rules - 1] : NULL;

        return last && rule_is_unconditional(last) && verdict_is_final(last->verdict.kind) &&
               last->verdict.kind != VERDICT_RETURN;
}

/* Names that have been seen: a table with open addressing. */
typedef struct Names {
        const char **items;
        size_t size; /* a power of two, more than twice the number of names */
} Names;

static bool add_name(Names *names, const char *name) {
        uint32_t hash = 2166136261U; /* FNV-1a */
        size_t len = 0;

        for (; name[len]; len++)
                hash = (hash ^ (unsigned char)name[len]) * 16777619U;
        for (size_t i = hash;; i++) {
                const char **place = &names->items[i & (names->size - 1)];

                if (!*place) {
                        *place = name;
                        return len > 0 && len <= RULESET_NAME_MAX;
                }
                if (streq(*place, name))
                        return false;
        }
}

static int bad_name(const char *name, Diag *d) {
        return diag_error(
                d, (Span){0},
                "internal error: name '%s' is taken, empty or too long; please report this", name);
}

/* A chain may be called as a set is. */
static int verify_names(const Ruleset *rs, Diag *d) {
        Names names = {.size = 64};
        _cleanup_free_ const char **items = NULL;

        while (names.size <= 2 * MAX(rs->n_chains, rs->n_sets))
                names.size *= 2;
        names.items = items = calloc(names.size, sizeof(items[0]));
        if (!items)
                return -ENOMEM;
        for (size_t i = 0; i < rs->n_chains; i++)
                if (!add_name(&names, rs->chains[i]->name))
                        return bad_name(rs->chains[i]->name, d);
        memset(items, 0, names.size * sizeof(items[0]));
        for (size_t i = 0; i < rs->n_sets; i++)
                if (!add_name(&names, rs->sets[i]->name))
                        return bad_name(rs->sets[i]->name, d);
        return 0;
}

int ruleset_verify(const Ruleset *rs, Diag *d) {
        int r = verify_names(rs, d);

        for (size_t i = 0; i < rs->n_sets && r == 0; i++)
                r = verify_set(rs->sets[i], d);
        for (size_t i = 0; i < rs->n_chains; i++)
                rs->chains[i]->scratch = DEPTH_UNKNOWN;
        for (size_t i = 0; i < rs->n_chains && r == 0; i++) {
                Chain *chain = rs->chains[i];

                for (size_t j = 0; j < chain->n_rules && r == 0; j++)
                        r = verify_rule(chain, &chain->rules[j], d);
                if (r == 0 && chain->hook != HOOK_NONE && chain->type == CHAIN_FILTER &&
                    !ends_in_verdict(chain))
                        r = broken(d, chain, NULL, "a base chain without a final verdict");
                if (r == 0) {
                        int depth = chain_depth(chain, 0, d);

                        r = depth < 0 ? depth : 0;
                }
        }
        return r;
}
