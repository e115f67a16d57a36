/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proof/verify_state.h"

#include <netinet/in.h>

/* Expectations of outbound: regions of what this host's own processes send. A connection counts as
 * it was opened, and also as it leaves where rules send it elsewhere; what comes back to this host
 * itself leaves it not, and is free. */

static DiagramId to_lo(Verify *v) {
        Range lo = range_single(interface_value("lo"));
        RangeSet names = {.items = &lo, .n_items = 1};
        static const WholeChange none;

        return whole_where_out(v->whole, &none, &names);
}

int verify_cut_sent(Verify *v) {
        Range port = range_single(u128(547));

        return whole_cut(v->whole, WHOLE_DESTINATION_PORT, port);
}

/* All of it but where it goes. */
static DiagramId where_any(Verify *v, const PolicyRule *rule, bool allow) {
        static const WholeChange none;
        DiagramId x = DIAGRAM_ALL;

        if (rule->out.n_items > 0)
                x = whole_where_out(v->whole, &none, &rule->out);
        x = diagram_minus(v->diagram, x, to_lo(v));
        return allow ? verify_and(v, whole_where_plain(v->whole), x)
                     : diagram_minus(v->diagram, x, verify_where_essential(v));
}

DiagramId verify_where_sent(Verify *v, const PolicyRule *rule, DiagramId to, bool allow) {
        static const WholeChange none;
        DiagramId x = verify_where_services(v, &rule->services.set, &none, false);

        x = verify_and(v, to, verify_and(v, x, where_any(v, rule, allow)));
        return diagram_minus(v->diagram, x, whole_where_local(v->whole));
}

/* Whether the address may be meant, by whichever interface it leaves. */
static bool may_mean(const Verify *v, const ZoneExpression *e, U128 address) {
        for (size_t i = 0; i < e->n_terms; i++) {
                const ZoneTerm *t = &e->terms[i];

                if (!t->zone && t->family == v->family &&
                    u128_compare(t->range.low, address) <= 0 &&
                    u128_compare(address, t->range.high) <= 0)
                        return true;
                for (size_t j = 0; t->zone && j < t->zone->n_parts; j++)
                        if (t->zone->parts[j].any_address ||
                            range_set_contains(&t->zone->parts[j].addresses[v->family], address))
                                return true;
        }
        return !e->restricts;
}

bool verify_stays(const Verify *v, const WholeChange *c) {
        return !c->any_else && !c->any_address &&
               (c->here || (c->has_address && whole_is_local(v->whole, c->address)));
}

DiagramId verify_where_sent_on(Verify *v, const PolicyRule *rule, const WholeChange *c) {
        DiagramId x;

        if (!verify_is_translated(c) || (c->has_address && !may_mean(v, &rule->to, c->address)))
                return DIAGRAM_EMPTY;
        x = verify_where_services(v, &rule->services.set, c, true);
        return verify_and(v, x, where_any(v, rule, false));
}

bool verify_gets_out(const Verify *v, const WholeChange *c) {
        if (c->any_address || c->any_port || c->any_else || c->here)
                return false;
        return !c->has_address ||
               (whole_leads(v->whole, c->address) && !whole_is_local(v->whole, c->address));
}
