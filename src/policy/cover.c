/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/cover.h"

static void cover_done(Cover *c) {
        free(c->slots);
        c->arena = arena_free(c->arena);
        c->scratch = arena_free(c->scratch);
}

/* ---- the rules, and what may cover them */

/* Where `protected` applies to what is routed. */
static int attached_networks(Cover *c, ZoneExpression *ret) {
        const Zone *zones[] = {c->loader->policy->containers, c->loader->policy->vms};

        *ret = (ZoneExpression){.given = true, .restricts = true};
        for (size_t i = 0; i < ARRAY_SIZE(zones); i++) {
                ZoneTerm term = {.zone = zones[i]};

                if (zones[i] && !arena_append(c->arena, ret->terms, ret->n_terms, term))
                        return -ENOMEM;
        }
        return 0;
}

/* A claim refuses like a rule that has no `from` but an `except`. */
static int add_claims(Cover *c) {
        const Policy *p = c->loader->policy;
        ZoneExpression to = {0};

        if (c->section == SECTION_OUTBOUND)
                return 0;
        if (c->section == SECTION_ROUTED && attached_networks(c, &to) < 0)
                return -ENOMEM;
        for (size_t i = 0; i < p->n_protected; i++) {
                PolicyRule *rule = arena_new0(c->arena, PolicyRule);

                if (!rule)
                        return -ENOMEM;
                *rule = (PolicyRule){
                        .at = p->protected[i].at,
                        .verb = RULE_DENY,
                        .services = p->protected[i].services,
                        .except = p->protected[i].only_from,
                        .to = to,
                };
                c->entries[c->n_entries++] = (Entry){
                        .rule = rule,
                        .claim = &p->protected[i],
                        .role = ROLE_PROTECTED,
                };
        }
        return 0;
}

static Role role_of(const PolicyRule *rule) {
        if (rule->verb == RULE_DENY)
                return ROLE_DENY;
        return rule->limit.rate.number > 0 || rule->connections.number > 0 ? ROLE_NONE : ROLE_ALLOW;
}

static int add_rules(Cover *c) {
        const Section *s = &c->loader->policy->sections[c->section];

        c->entries = arena_alloc_array(c->arena, s->n_rules + c->loader->policy->n_protected,
                                       sizeof(*c->entries));
        if (!c->entries)
                return -ENOMEM;
        for (size_t i = 0; i < s->n_rules; i++)
                c->entries[c->n_entries++] = (Entry){
                        .rule = &s->rules[i],
                        .role = role_of(&s->rules[i]),
                };
        c->n_rules = s->n_rules;
        return add_claims(c);
}

static bool is_too_large(const Entry *e) {
        return e->keys[DIMENSION_CLIENT]->too_large || e->keys[DIMENSION_SERVER]->too_large;
}

static int find_keys(Cover *c, Entry *e) {
        int r = 0;

        for (Dimension i = 0; i < _DIMENSION_MAX && r == 0; i++)
                r = cover_key_find(c, e->rule, i, &e->keys[i]);
        for (Family f = 0; f < _FAMILY_MAX && r == 0; f++) {
                e->live[f] = true;
                for (Dimension i = 0; i < _DIMENSION_MAX; i++)
                        e->live[f] &= cover_key_has_family(e->keys[i], f);
        }
        if (r == 0)
                e->left_out = is_too_large(e) || cover_is_dead(c, e);
        return r;
}

static void add_to_keys(Entry *e) {
        for (Dimension i = 0; i < _DIMENSION_MAX; i++) {
                Key *key = e->keys[i];

                e->next[i] = key->roles[e->role].first;
                key->roles[e->role].first = e;
                key->roles[e->role].n_entries++;
        }
}

/* ---- what has no effect */

static int find_cover(Cover *c, Entry *e) {
        Role last = e->rule->verb == RULE_DENY ? ROLE_DENY : ROLE_ALLOW;
        int r = 0;

        for (Role role = 0; role <= last && r == 0; role++)
                r = cover_find(c, e, role, &e->cover);
        return MIN(r, 0);
}

static int check_rules(Cover *c) {
        int r = 0;

        for (size_t i = 0; i < c->n_rules && r == 0; i++) {
                Entry *e = &c->entries[i];

                if (!e->left_out)
                        r = find_cover(c, e);
                else if (!is_too_large(e))
                        r = cover_report_dead(c, e);
        }
        for (size_t i = 0; i < c->n_rules && r == 0; i++)
                if (c->entries[i].cover)
                        cover_report(c, &c->entries[i]);
        return r;
}

static int check_section(Cover *c) {
        int r = add_rules(c);

        for (size_t i = 0; i < c->n_entries && r == 0; i++)
                r = find_keys(c, &c->entries[i]);
        /* each comes before those that are there */
        for (size_t i = c->n_entries; i > 0 && r == 0; i--) {
                Entry *e = &c->entries[i - 1];

                if (e->role == ROLE_NONE || e->left_out)
                        continue;
                add_to_keys(e);
                c->n_by_role[e->role]++;
        }
        if (r == 0)
                r = cover_key_index_all(c);
        return r < 0 ? r : check_rules(c);
}

int cover_check(Loader *l) {
        int r = 0;

        for (SectionId id = 0; id < _SECTION_MAX && r == 0; id++) {
                Cover c = {.loader = l, .section = id};

                if (l->policy->sections[id].n_rules == 0)
                        continue;
                c.arena = arena_new(0);
                c.scratch = arena_new(0);
                r = c.arena && c.scratch ? check_section(&c) : -ENOMEM;
                cover_done(&c);
        }
        return r;
}
