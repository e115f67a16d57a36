/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/cover.h"

#define NEVER "this rule can never match: "

static Range loopback_ranges[_FAMILY_MAX] = {
        [FAMILY_IPV4] = {.low = {.low = 0x7f000000}, .high = {.low = 0x7fffffff}},
        [FAMILY_IPV6] = {.low = {.low = 1}, .high = {.low = 1}},
};

static bool is_loopback_address(const RangeSet *addresses, Family family) {
        RangeSet loopback = {&loopback_ranges[family], 1};

        return range_set_covers(&loopback, addresses);
}

/* What arrives on `lo` is free, and what else claims to be loopback is dropped. */
static bool is_loopback(const Region *region, Family family, Range loopback) {
        for (size_t i = 0; i < region->n_slices; i++) {
                const Slice *s = &region->slices[i];
                bool on_it =
                        s->interfaces.n_items == 1 && range_equal(s->interfaces.items[0], loopback);

                if (!on_it && !is_loopback_address(&s->addresses[family], family))
                        return false;
        }
        return true;
}

bool cover_is_dead(const Cover *c, const Entry *e) {
        const Region *client = &e->keys[DIMENSION_CLIENT]->region;
        const Region *server = &e->keys[DIMENSION_SERVER]->region;
        Range lo = range_single(interface_value("lo")), none = {U128_ZERO, U128_ZERO};

        for (Family f = 0; f < _FAMILY_MAX; f++)
                if (e->live[f] &&
                    (c->section == SECTION_OUTBOUND ||
                     (!is_loopback(client, f, lo) &&
                      (c->section == SECTION_ROUTED || !is_loopback(server, f, none)))))
                        return false;
        return true;
}

/* ---- a rule that another one covers */

static bool same_log(const PolicyRule *x, const PolicyRule *y) {
        return x->log == y->log && streq_null(x->log_word, y->log_word);
}

static void hint_at_effect(Loader *l, const PolicyRule *rule, const PolicyRule *by) {
        if (rule->limit.rate.number > 0)
                diag_hint(l->d, "what is beyond its limit is admitted by the other one");
        else if (rule->connections.number > 0)
                diag_hint(l->d, "what is beyond its connections is admitted by the other one");
        else if (rule->log && !same_log(rule, by))
                diag_hint(l->d, "where both match, either may be the one that logs: say 'log' "
                                "there, or take these connections out of it");
        else
                diag_hint(l->d, "take it out, or narrow the other one");
}

static void report_cover(Loader *l, const PolicyRule *rule, const PolicyRule *by) {
        if (rule->verb == by->verb) {
                diag_warning(l->d, rule->at, "another rule covers this one wholly");
                hint_at_effect(l, rule, by);
        } else {
                diag_warning(l->d, rule->at, NEVER "a 'deny' refuses all of it");
                diag_hint(l->d, "take it out, or narrow the 'deny'");
        }
        diag_note(l->d, by->at, "this one %s all of it",
                  by->verb == RULE_ALLOW ? "admits" : "refuses");
}

static void report_claim(Loader *l, const PolicyRule *rule, const Protected *claim) {
        diag_warning(l->d, rule->at, NEVER "'protected' keeps all of it closed");
        if (rule->verb == RULE_ALLOW)
                diag_hint(l->d, "take it out, or widen 'only-from'");
        else
                diag_hint(l->d, "take it out");
        if (claim->only_from.given)
                diag_note(l->d, claim->services.at, "protected here, only from %s",
                          claim->only_from.text);
        else
                diag_note(l->d, claim->services.at, "protected here, for this host itself alone");
}

/* The one that stays when all that have no effect are gone. */
static const Entry *find_root(Entry *e) {
        Entry *root = e, *next;

        while (root->cover)
                root = root->cover;
        for (; e->cover; e = next) {
                next = e->cover;
                e->cover = root; /* the next one need not go the whole way */
        }
        return root;
}

void cover_report(Cover *c, Entry *e) {
        const Entry *by = find_root(e);
        Loader *l = c->loader;

        if (!by->claim)
                report_cover(l, e->rule, by->rule);
        else if (c->section != SECTION_INBOUND || e->rule->verb == RULE_DENY ||
                 l->d->n_errors == 0) /* else it is one of the errors already */
                report_claim(l, e->rule, by->claim);
}

/* ---- a rule whose own conditions leave nothing */

/* Which of the rule's keys say where: "from", "to" or what is left of it. */
static int report_empty_side(Cover *c, const Entry *e, Dimension dimension) {
        bool client = dimension == DIMENSION_CLIENT;
        const char *zones = client ? "from" : "to", *interfaces = client ? "in" : "out";
        Side side = cover_key_side(c, e->keys[dimension]), plain = side;
        Region region;
        int r;

        plain.except = NULL;
        r = region_build(c->scratch, &plain, BOUND_POSSIBLE, &region);
        if (r == 0 && region.n_slices == 0)
                diag_warning(c->loader->d, e->rule->at,
                             NEVER "'%s' is behind other interfaces than '%s'", zones, interfaces);
        else if (r == 0 && side.interfaces->n_items > 0)
                diag_warning(c->loader->d, e->rule->except.at,
                             NEVER "'except' leaves nothing of what '%s' and '%s' mean", zones,
                             interfaces);
        else if (r == 0)
                diag_warning(c->loader->d, e->rule->except.at,
                             NEVER "'except' leaves nothing of '%s'", zones);
        arena_reset(c->scratch);
        return r;
}

/* The first of the rule's factors that means one family alone, and that one; NULL if none does. */
static const char *find_family(const Entry *e, Family family) {
        static const char *const names[] = {
                [DIMENSION_CLIENT] = "from",
                [DIMENSION_SERVER] = "to",
        };

        for (Dimension i = 0; i <= DIMENSION_SERVER; i++)
                if (cover_key_has_family(e->keys[i], family) &&
                    !cover_key_has_family(e->keys[i],
                                          family == FAMILY_IPV4 ? FAMILY_IPV6 : FAMILY_IPV4))
                        return i == DIMENSION_SERVICE ? e->rule->services.text : names[i];
        return NULL;
}

int cover_report_dead(Cover *c, const Entry *e) {
        const char *only4, *only6;
        Loader *l = c->loader;

        if (e->live[FAMILY_IPV4] || e->live[FAMILY_IPV6]) {
                diag_warning(l->d, e->rule->at, NEVER "loopback is free, and is never judged");
                diag_hint(l->d, "take it out: this host reaches itself in any case");
                return 0;
        }
        for (Dimension i = DIMENSION_CLIENT; i <= DIMENSION_SERVER; i++)
                if (!cover_key_has_family(e->keys[i], FAMILY_IPV4) &&
                    !cover_key_has_family(e->keys[i], FAMILY_IPV6))
                        return report_empty_side(c, e, i);
        only4 = find_family(e, FAMILY_IPV4);
        only6 = find_family(e, FAMILY_IPV6);
        diag_warning(l->d, e->rule->at, NEVER "'%s' means IPv4 alone, '%s' IPv6 alone",
                     only4 ? only4 : "", only6 ? only6 : ""); /* there is one of each */
        return 0;
}
