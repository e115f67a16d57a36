/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proof/meaning_state.h"

/* Rules and chains. */

#define TARGETS_MAX 4096
#define LIMITS_MAX 4096

static DiagramId target_leaf(Meaning *m, const NatTarget *target) {
        for (size_t i = 0; i < m->n_targets; i++)
                if (m->targets[i]->family == target->family &&
                    m->targets[i]->port == target->port &&
                    u128_equal(m->targets[i]->address, target->address))
                        return diagram_leaf(m->diagram, (uint16_t)(MEANING_TARGET + i));
        if (m->n_targets == TARGETS_MAX)
                return meaning_fail(m, -E2BIG);
        if (!arena_append(m->arena, m->targets, m->n_targets, target))
                return meaning_fail(m, -ENOMEM);
        return diagram_leaf(m->diagram, (uint16_t)(MEANING_TARGET + m->n_targets - 1));
}

/* Of all packets alike. */
static DiagramId verdict_leaf(Meaning *m, VerdictKind kind, const Rule *rule) {
        switch (kind) {
        case VERDICT_ACCEPT:
                return diagram_leaf(m->diagram, MEANING_ACCEPT);
        case VERDICT_MASQUERADE:
                return diagram_leaf(m->diagram, MEANING_MASQUERADE);
        case VERDICT_DROP:
        case VERDICT_REJECT:
        case VERDICT_REJECT_RESET:
                return diagram_leaf(m->diagram, MEANING_DROP);
        case VERDICT_RETURN:
                return diagram_leaf(m->diagram, MEANING_RETURN);
        case VERDICT_DNAT:
                return rule ? target_leaf(m, rule->target) : meaning_fail(m, -EINVAL);
        case VERDICT_JUMP:
        case VERDICT_GOTO:
        case VERDICT_CONTINUE:
        case VERDICT_MAP:
        case _VERDICT_MAX:
        case _VERDICT_INVALID:
                break;
        }
        return DIAGRAM_EMPTY;
}

MeaningFate meaning_of_verdict(Meaning *m, Verdict v, const Rule *rule, DiagramId care) {
        MeaningFate fate = {DIAGRAM_EMPTY, care};
        DiagramId leaf;

        if (v.kind == VERDICT_CONTINUE)
                return fate;
        if (v.kind != VERDICT_JUMP && v.kind != VERDICT_GOTO)
                return (MeaningFate){
                        diagram_and(m->diagram, care, verdict_leaf(m, v.kind, rule)),
                        DIAGRAM_EMPTY,
                };
        fate = meaning_of_chain(m, v.chain, care);
        if (v.kind == VERDICT_JUMP)
                return fate;
        leaf = diagram_leaf(m->diagram, MEANING_RETURN);
        return (MeaningFate){
                diagram_union(m->diagram, fate.ends, diagram_and(m->diagram, fate.left, leaf)),
                DIAGRAM_EMPTY,
        };
}

static void describe_limit(const Statement *s, FILE *f) {
        const char *source = s->set ? " per source" : "";

        if (s->kind == STATEMENT_CONNECTIONS)
                fprintf(f, "%u connections%s", s->connections, source);
        if (s->kind != STATEMENT_LIMIT)
                return;
        for (RateUnit u = 0; u < _RATE_UNIT_MAX; u++)
                if (rate_unit_seconds(u) == s->limit.seconds)
                        fprintf(f, "%u/%s burst %u%s", s->limit.number, rate_unit_to_string(u),
                                s->limit.burst, source);
}

/* The label of what the rule's limits say. */
static DiagramId limit_leaf(Meaning *m, const Rule *rule) {
        _cleanup_free_ char *text = NULL;
        size_t size = 0, i = 0;
        FILE *f = open_memstream(&text, &size);
        const char *copy;

        if (!f)
                return meaning_fail(m, -ENOMEM);
        for (size_t j = 0; j < rule->n_statements; j++)
                describe_limit(&rule->statements[j], f);
        (void)fclose(f); /* fails only without memory, and then leaves text NULL */
        while (text && i < m->n_limits && !streq(m->limits[i], text))
                i++;
        if (i == LIMITS_MAX)
                return meaning_fail(m, -E2BIG);
        copy = text && i == m->n_limits ? arena_strdup(m->arena, text) : NULL;
        if (!text ||
            (i == m->n_limits && (!copy || !arena_append(m->arena, m->limits, m->n_limits, copy))))
                return meaning_fail(m, -ENOMEM);
        return diagram_leaf(m->diagram, (uint16_t)(MEANING_LIMIT + i));
}

/* x, behind the limit. */
static DiagramId limited(Meaning *m, const Rule *rule, DiagramId x) {
        DiagramId limit = limit_leaf(m, rule);

        for (size_t i = 0; i < m->n_limits; i++)
                x = diagram_union(
                        m->diagram, x,
                        diagram_and(m->diagram,
                                    diagram_where_may(m->diagram, x, (uint16_t)(MEANING_LIMIT + i)),
                                    limit));
        return diagram_replace(m->diagram, x, MEANING_ACCEPT, limit);
}

static bool is_told(const Meaning *m, const Rule *rule) {
        return m->told && streq_null(rule->origin.text, m->told);
}

/* A limit in front of an accept is never reached here, unless limits are to be told: that admits
 * the most. In front of another verdict it may be reached or not. */
static MeaningFate rule_action(Meaning *m, const Rule *rule, DiagramId care) {
        Elements s = {rule->map, rule->map_fields, rule->n_map_fields, true};
        DiagramId accept = diagram_leaf(m->diagram, MEANING_ACCEPT);
        MeaningFate fate;

        if (is_told(m, rule))
                return (MeaningFate){
                        diagram_and(m->diagram, care, diagram_leaf(m->diagram, MEANING_LIMIT)),
                        DIAGRAM_EMPTY,
                };
        fate = rule->verdict.kind == VERDICT_MAP ? meaning_of_elements(m, &s, care)
                                                 : meaning_of_verdict(m, rule->verdict, rule, care);
        if (rule_has_state(rule) && m->tell_limits)
                fate = (MeaningFate){limited(m, rule, fate.ends), care};
        else if (rule_has_state(rule) &&
                 (fate.left != DIAGRAM_EMPTY || fate.ends != diagram_and(m->diagram, care, accept)))
                fate.left = care;
        return fate;
}

/* Rules of a chain that may match. */
typedef struct RuleList {
        const Rule *rules;
        const size_t *numbers;
} RuleList;

static MeaningFate rule_piece(Meaning *m, const void *context, size_t i, DiagramId care) {
        const RuleList *list = context;
        const Rule *rule = &list->rules[list->numbers[i]];
        MeaningFate fate = {DIAGRAM_EMPTY, DIAGRAM_EMPTY};
        DiagramId holds, scope;
        bool sure = !is_told(m, rule), ends;

        if (rule->verdict.kind == VERDICT_CONTINUE)
                return (MeaningFate){DIAGRAM_EMPTY, care};
        /* a verdict that leads nowhere else goes along with the conditions */
        ends = !rule->verdict.chain && !rule->map && !rule_has_state(rule);
        holds = meaning_rule_condition(m, rule, ends ? rule_action(m, rule, care).ends : care);
        if (holds == DIAGRAM_EMPTY)
                return (MeaningFate){DIAGRAM_EMPTY, care};
        for (size_t j = 0; j < rule->n_matches; j++)
                sure &= !meaning_is_unsure(&rule->matches[j]);
        if (ends)
                fate.ends = holds;
        else {
                scope = meaning_narrow(m, care, holds);
                fate = rule_action(m, rule, scope);
                if (scope != holds)
                        fate = meaning_within(m, fate, holds);
        }
        /* a match that nobody understands may fail, and such a rule not be there */
        return meaning_or_past(m, fate, holds, care, sure);
}

static size_t rule_weight(Meaning *m, const Rule *rule) {
        size_t weight = 1 + (rule->map ? rule->map->n_elements : 0);

        for (size_t i = 0; i < rule->n_matches; i++)
                if (rule->matches[i].op <= MATCH_NOT_IN && rule->matches[i].set)
                        weight += rule->matches[i].set->n_elements;
        return weight + (rule->verdict.chain ? meaning_chain_weight(m, rule->verdict.chain) : 0);
}

/* About how many edges the chain's meaning has, so that what is large is put together last. */
size_t meaning_chain_weight(Meaning *m, const Chain *chain) {
        size_t *weight = &m->weights[chain->scratch];

        if (*weight > 0)
                return *weight;
        *weight = 1; /* chains form no loops: verify saw to it */
        for (size_t i = 0; i < chain->n_rules; i++)
                *weight += rule_weight(m, &chain->rules[i]);
        return *weight;
}

static size_t known_hash(const Known *k) {
        uint64_t hash = (uint64_t)k->care << 32 | k->chain->scratch << 2 | k->way;

        hash *= UINT64_C(0x9e3779b97f4a7c15);
        return (size_t)(hash ^ hash >> 32);
}

/* Where the meaning of the chain for these packets is, or is to be, remembered; NULL without
 * memory.
 */
static Known *find_known(Meaning *m, const Chain *chain, DiagramId care) {
        Known key = {.chain = chain, .way = m->way, .care = care};
        size_t slot;

        if (m->n_known * 2 >= m->known_size) {
                size_t size = m->known_size ? m->known_size * 2 : 256;
                Known *old = m->known, *known = calloc(size, sizeof(*known));

                if (!known)
                        return NULL;
                for (size_t i = 0; i < m->known_size; i++) {
                        if (!old[i].chain)
                                continue;
                        slot = known_hash(&old[i]) & (size - 1);
                        while (known[slot].chain)
                                slot = (slot + 1) & (size - 1);
                        known[slot] = old[i];
                }
                free(old);
                m->known = known;
                m->known_size = size;
        }
        slot = known_hash(&key) & (m->known_size - 1);
        while (m->known[slot].chain &&
               (m->known[slot].chain != chain || m->known[slot].way != m->way ||
                m->known[slot].care != care))
                slot = (slot + 1) & (m->known_size - 1);
        return &m->known[slot];
}

static MeaningFate failed(Meaning *m) {
        DiagramId nothing = meaning_fail(m, -ENOMEM);

        return (MeaningFate){nothing, nothing};
}

static MeaningFate fold_rules(Meaning *m, const Chain *chain, DiagramId care) {
        _cleanup_(meaning_sieve_freep) MeaningSieve *sieve =
                meaning_sieve_new(m, care, chain->n_rules);
        _cleanup_free_ size_t *weights = calloc(chain->n_rules + 1, sizeof(*weights));
        _cleanup_free_ size_t *numbers = calloc(chain->n_rules + 1, sizeof(*numbers));
        RuleList list = {chain->rules, numbers};
        Pieces p = {.piece = rule_piece, .context = &list, .weights = weights};
        size_t n = 0;

        if (!weights || !numbers)
                return failed(m);
        for (size_t i = 0; i < chain->n_rules; i++) {
                if (sieve && !meaning_sieve_holds_rule(sieve, &chain->rules[i]))
                        continue;
                weights[n + 1] = weights[n] + rule_weight(m, &chain->rules[i]);
                numbers[n++] = i;
        }
        return n > 0 ? meaning_fold(m, &p, 0, n, care) : (MeaningFate){DIAGRAM_EMPTY, care};
}

static bool returns(Verdict v) {
        return v.kind == VERDICT_RETURN || v.kind == VERDICT_GOTO;
}

/* Whether packets may come back from it before its end. */
static bool has_return(const Chain *chain) {
        for (size_t i = 0; i < chain->n_rules; i++) {
                const Rule *rule = &chain->rules[i];

                if (returns(rule->verdict))
                        return true;
                for (size_t j = 0; rule->map && j < rule->map->n_elements; j++)
                        if (returns(rule->map->elements[j].verdict))
                                return true;
        }
        return false;
}

MeaningFate meaning_of_chain(Meaning *m, const Chain *chain, DiagramId care) {
        static const uint16_t essential[] = {MEANING_FALL, MEANING_ESSENTIAL};
        Known *known = find_known(m, chain, care);
        Diagram *d = m->diagram;
        MeaningFate fate;

        if (!known)
                return failed(m);
        if (known->chain)
                return known->fate;
        if (chain->n_rules == 0)
                return (MeaningFate){DIAGRAM_EMPTY, care};
        fate = fold_rules(m, chain, care);
        if (meaning_is_essential(chain))
                fate.ends = diagram_relabel(d, fate.ends, essential, ARRAY_SIZE(essential));
        if (has_return(chain)) {
                fate.left = diagram_union(d, fate.left,
                                          diagram_where_may(d, fate.ends, MEANING_RETURN));
                fate.ends = diagram_replace(d, fate.ends, MEANING_RETURN, DIAGRAM_EMPTY);
        }
        /* others were put in meanwhile */
        known = find_known(m, chain, care);
        if (!known)
                return failed(m);
        *known = (Known){chain, m->way, care, fate};
        m->n_known++;
        return fate;
}
