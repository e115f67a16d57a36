/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <netinet/in.h>

#include "ruleset/lower.h"

#include "ruleset/pair.h"

/* A list of thousands of lines such as "allow 5432/tcp from 10.1.2.0/24" is written down as the
 * sets of pairs that the pass `pair` would make of it, without a rule for each line in between:
 * that takes a tenth of the time. Only what is certain to come to the
 * same is taken; the pass finds nothing left to do then. */

typedef enum Shape {
        SHAPE_OTHER,   /* the pass would make no pairs of it */
        SHAPE_PAIRS,   /* it would, of one kernel rule */
        SHAPE_UNCLEAR, /* it might, or does of several */
} Shape;

struct SectionPairs {
        Pairs pairs;
        PairGroup groups[PAIR_GROUPS_MAX];
        bool *taken; /* rules of the section */
        bool is_used;
};

/* The one protocol whose ports are asked for, and those; 0 if there are none, or several. */
static uint8_t find_ports(const ServiceSet *s, const RangeSet **ret) {
        const struct {
                uint8_t protocol;
                const RangeSet *ports;
        } rows[] = {{IPPROTO_TCP, &s->tcp}, {IPPROTO_UDP, &s->udp}, {IPPROTO_SCTP, &s->sctp}};
        uint8_t found = 0;

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (rows[i].ports->n_items > 0) {
                        if (found)
                                return 0;
                        found = rows[i].protocol;
                        *ret = rows[i].ports;
                }
        return found;
}

/* The sources, sorted and joined, if they are written out and of one family; else none. */
static size_t list_sources(const ZoneExpression *from, Family *ret_family, Range *ret) {
        RangeSet set = {.items = ret};

        for (size_t i = 0; i < from->n_terms; i++) {
                const ZoneTerm *t = &from->terms[i];

                if (t->zone || t->family != from->terms[0].family || i == PAIRS_OF_RULE_MAX)
                        return 0;
                ret[set.n_items++] = t->range;
        }
        if (set.n_items > 0)
                *ret_family = from->terms[0].family;
        range_set_normalise(&set);
        return set.n_items;
}

static bool writes_addresses(const ZoneExpression *e) {
        for (size_t i = 0; i < e->n_terms; i++)
                if (!e->terms[i].zone)
                        return true;
        return false;
}

/* What the pass would do with a rule's ports. */
static Shape shape_of(const PolicyRule *rule, const View *view, PairRule *ret) {
        const ServiceSet *services = &rule->services.set;
        Range sources[PAIRS_OF_RULE_MAX];
        const RangeSet *ports = NULL;
        size_t n_sources;
        Family family;

        if (services->tcp.n_items + services->udp.n_items + services->sctp.n_items == 0 ||
            rule->in.n_items + rule->out.n_items + rule->users.n_items + rule->groups.n_items > 0 ||
            !writes_addresses(&rule->from))
                return SHAPE_OTHER;
        ret->protocol = find_ports(services, &ports);
        n_sources = list_sources(&rule->from, &family, sources);
        if (ret->protocol == 0 || n_sources == 0 || rule->to.given || rule->except.given ||
            rule->until != 0)
                return SHAPE_UNCLEAR;
        ret->source = family == FAMILY_IPV4 ? FIELD_IP_SADDR : FIELD_IP6_SADDR;
        ret->port = view->port;
        ret->n_pairs = 0;
        for (size_t i = 0; i < n_sources; i++)
                for (size_t j = 0; j < ports->n_items; j++)
                        if (!pair_rule_add(ret, sources[i], ports->items[j]))
                                return SHAPE_OTHER;
        return SHAPE_PAIRS;
}

/* Counts the pairs; false if some rule might be in the way. */
static bool count(SectionPairs *s, const Section *section, const View *view, PairRule *p) {
        for (size_t i = 0; i < section->n_rules; i++) {
                const PolicyRule *rule = &section->rules[i];
                Shape shape = shape_of(rule, view, p);

                if (shape == SHAPE_OTHER && !lower_needs_chain(rule))
                        continue;
                if (shape != SHAPE_PAIRS || rule->verb != RULE_ALLOW || lower_needs_chain(rule))
                        return false;
                pairs_count(&s->pairs, p);
        }
        /* beyond the last group nobody has counted */
        return s->pairs.n_groups > 0 && s->pairs.n_groups < PAIR_GROUPS_MAX;
}

/* A group that is not worth it stays whole, so that the pass comes to the same of what is left. 1
 * if something was taken. */
static int take(Lower *l, SectionPairs *s, const Section *section, const View *view, PairRule *p) {
        bool any = false;

        for (size_t i = 0; i < section->n_rules; i++) {
                const PolicyRule *rule = &section->rules[i];

                s->taken[i] =
                        shape_of(rule, view, p) == SHAPE_PAIRS && pairs_is_worth(&s->pairs, p);
                if (!s->taken[i])
                        continue;
                any = true;
                p->origin = (Origin){.at = rule->at, .text = rule->text};
                if (pairs_take(&s->pairs, p) < 0)
                        return -ENOMEM;
        }
        for (size_t i = 0; i < s->pairs.n_groups; i++) {
                Origin *origin = &s->pairs.groups[i].origin;

                origin->text = lower_comment(l, origin->text);
        }
        pairs_finish(&s->pairs);
        return any;
}

/* Likewise. */
static int make(Lower *l, SectionPairs *s, const Section *section, Chain *chain, const View *view) {
        PairRule p = {
                .verdict = verdict_of(VERDICT_ACCEPT),
                .counted = l->policy->settings.counters != COUNTERS_OFF,
        };

        s->pairs = (Pairs){.rs = l->rs, .chain = chain->name, .number = 1, .groups = s->groups};
        s->taken = arena_alloc_array(l->arena, section->n_rules, sizeof(s->taken[0]));
        if (!s->taken)
                return -ENOMEM;
        return count(s, section, view, &p) ? take(l, s, section, view, &p) : 0;
}

int lower_pairs(Lower *l, SectionId id, Chain *chain, const View *view, const bool **ret_taken) {
        const Section *section = &l->policy->sections[id];
        SectionPairs *s = l->pairs[id];

        *ret_taken = NULL;
        if (!l->pair_rules || id == SECTION_OUTBOUND || section->n_rules < PAIRS_MIN)
                return 0;
        if (!s) {
                int r;

                s = l->pairs[id] = arena_new0(l->arena, SectionPairs);
                r = s ? make(l, s, section, chain, view) : -ENOMEM;
                if (r < 0)
                        return r;
                s->is_used = r > 0;
        }
        if (!s->is_used)
                return 0;
        *ret_taken = s->taken;
        return pairs_add_lookups(&s->pairs, view->port, chain);
}
