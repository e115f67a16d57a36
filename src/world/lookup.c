/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include "world/machine.h"

/* Which route an address has: the tables that the rules of policy routing lead to, one after the
 * other, until one knows the address. */

enum { ACTION_TABLE = 1, ACTION_GOTO = 2, ACTION_NOP = 3 }; /* FR_ACT_ */

#define ROUTE_LOCAL 2 /* RTN_ */
#define ROUTE_THROW 9
#define TABLE_LOCAL 255
#define TABLE_MAIN 254
#define TABLE_DEFAULT 253
#define RULES_MAX                                                                                  \
        1000 /* that are asked; those that go backwards, which no kernel takes, end there */

static bool is_within(Family family, U128 address, U128 network, uint8_t prefix) {
        unsigned int width = family_width(family);
        U128 host = u128_low_mask(prefix <= width ? width - prefix : 0);

        return prefix <= width && ((address.high ^ network.high) & ~host.high) == 0 &&
               ((address.low ^ network.low) & ~host.low) == 0;
}

static bool better(const WorldRoute *a, const WorldRoute *b) {
        if (!b || a->prefix != b->prefix)
                return !b || a->prefix > b->prefix;
        return a->metric < b->metric;
}

const WorldRoute *
world_find_in_table(const World *w, Family family, U128 address, uint32_t table, int device) {
        const WorldRoute *best = NULL;

        for (size_t i = 0; i < w->n_routes; i++) {
                const WorldRoute *route = &w->routes[i];

                if (route->table == table && route->family == family && better(route, best) &&
                    (device == 0 || route->index == device || route->type == ROUTE_LOCAL) &&
                    is_within(family, address, route->destination, route->prefix))
                        best = route;
        }
        return best;
}

bool world_is_plain_rule(const WorldRouteRule *rule) {
        return rule->action == ACTION_TABLE && !rule->inverted && !rule->open &&
               rule->source_prefix == 0 && rule->destination_prefix == 0 && !rule->in &&
               !rule->out && rule->mask == 0 && rule->mark == 0 && rule->suppress_prefix < 0;
}

bool world_is_own_limit(const WorldRule *rule, const WorldExpr *e) {
        const WorldTable *t = rule->chain ? rule->chain->table : NULL;

        return t && t->family == NFPROTO_INET && streq(t->name, "ringwall") &&
               (streq(e->name, "limit") || startswith(e->name, "dynset"));
}

bool world_makes_template(const WorldExpr *e) {
        return (e->kind == WORLD_SET_CT && e->key == NFT_CT_ZONE) ||
               (e->kind == WORLD_NOTHING && startswith(e->name, "xt target CT"));
}

static bool guess(Run *r) {
        r->unknown = true;
        return run_choose(r, 2) == 1; /* what is plain does not ask for more */
}

/* fib_rule_match() */
static bool rule_holds(Run *r, const RunFlow *f, const WorldRouteRule *rule) {
        const char *in = f->in ? f->in->name : "lo";
        bool holds = true;

        if (rule->open || (rule->out && !f->in) || (rule->mask && f->mark_unknown) ||
            (rule->source_prefix > 0 && f->from_unknown))
                return guess(r);
        if (rule->source_prefix > 0)
                holds &= is_within(r->family, f->from, rule->source, rule->source_prefix);
        if (rule->destination_prefix > 0)
                holds &= is_within(r->family, f->to, rule->destination, rule->destination_prefix);
        if (rule->in)
                holds &= streq(rule->in, in);
        if (rule->out)
                holds = false; /* nobody asked for an interface */
        holds &= ((rule->mark ^ f->mark) & rule->mask) == 0;
        return holds != rule->inverted;
}

static const WorldRoute *
ask_table(const Run *r, const RunFlow *f, uint32_t table, int suppress_prefix) {
        const WorldRoute *found = world_find_in_table(r->world, r->family, f->to, table, f->device);

        if (found && (found->type == ROUTE_THROW || found->prefix <= suppress_prefix))
                return NULL;
        return found;
}

const WorldRoute *run_find_route(Run *r, const RunFlow *f) {
        static const uint32_t usual[] = {TABLE_LOCAL, TABLE_MAIN, TABLE_DEFAULT};
        const World *w = r->world;
        const WorldRoute *found = NULL;

        for (size_t i = 0; i < ARRAY_SIZE(usual) && !w->has_route_rules[r->family] && !found; i++)
                found = ask_table(r, f, usual[i], -1);
        if (!w->has_route_rules[r->family])
                return found;
        for (size_t i = 0, n = 0; i < w->n_route_rules && n < RULES_MAX && !found; i++) {
                const WorldRouteRule *rule = &w->route_rules[i];

                if (rule->family != r->family)
                        continue;
                n++;
                if (!rule_holds(r, f, rule))
                        continue;
                if (rule->action == ACTION_TABLE)
                        found = ask_table(r, f, rule->table, rule->suppress_prefix);
                else if (rule->action == ACTION_GOTO) {
                        while (i + 1 < w->n_route_rules &&
                               (w->route_rules[i + 1].family != r->family ||
                                w->route_rules[i + 1].priority < rule->target))
                                i++;
                } else if (rule->action != ACTION_NOP)
                        return NULL; /* unreachable, in one word or another */
        }
        return found;
}
