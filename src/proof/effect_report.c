/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proof/effect_state.h"

/* The words about rules that have no effect, and the lines that are the reason. */

#define NEVER "this rule can never match: "
#define REASONS_MAX 4     /* lines that are named */
#define CANDIDATES_MAX 64 /* rules that are tried as the only reason */

static Packets nothing = {0};

/* ---- its own conditions leave nothing */

/* Which of the rule's keys say where: "from", "to" or what is left of it. */
static void report_empty_side(Effect *e, const PolicyRule *rule, bool server) {
        const char *zones = server ? "to" : "from", *interfaces = server ? "out" : "in";
        EffectSide plain = effect_side(e, rule, server);
        bool has_interfaces = plain.interfaces->n_items > 0;

        plain.except = NULL;
        if (effect_is_none(effect_of_side(e, &plain)))
                diag_warning(e->d, rule->at, NEVER "'%s' is behind other interfaces than '%s'",
                             zones, interfaces);
        else if (has_interfaces)
                diag_warning(e->d, rule->except.at,
                             NEVER "'except' leaves nothing of what '%s' and '%s' mean", zones,
                             interfaces);
        else
                diag_warning(e->d, rule->except.at, NEVER "'except' leaves nothing of '%s'", zones);
}

static void report_empty(Effect *e, const PolicyRule *rule) {
        EffectSide sides[] = {effect_side(e, rule, false), effect_side(e, rule, true)};
        const struct {
                const char *name;
                Packets packets;
        } factors[] = {
                {rule->services.text, effect_of_services(e, &rule->services.set)},
                {"from", effect_of_side(e, &sides[0])},
                {"to", effect_of_side(e, &sides[1])},
        };
        const char *only[_FAMILY_MAX] = {"", ""};

        for (size_t i = 0; i < ARRAY_SIZE(sides); i++)
                if (effect_is_none(factors[i + 1].packets)) {
                        report_empty_side(e, rule, i > 0);
                        return;
                }
        for (size_t i = ARRAY_SIZE(factors); i-- > 0;) {
                bool is4 = factors[i].packets.of[FAMILY_IPV4] != DIAGRAM_EMPTY;
                bool is6 = factors[i].packets.of[FAMILY_IPV6] != DIAGRAM_EMPTY;

                if (is4 != is6)
                        only[is4 ? FAMILY_IPV4 : FAMILY_IPV6] = factors[i].name;
        }
        diag_warning(e->d, rule->at, NEVER "'%s' means IPv4 alone, '%s' IPv6 alone",
                     only[FAMILY_IPV4], only[FAMILY_IPV6]); /* there is one of each */
}

static void report_before(Effect *e, const EffectItem *item) {
        if (effect_within(e, item->packets, e->loopback, nothing)) {
                diag_warning(e->d, item->rule->at, NEVER "loopback is free, and is never judged");
                diag_hint(e->d, "take it out: this host reaches itself in any case");
        } else {
                diag_warning(e->d, item->rule->at,
                             NEVER "what IPv4 and IPv6 need to work passes unasked");
                diag_hint(e->d, "take it out; 'essentials' in 'settings' lists what passes");
        }
}

/* ---- which others are the reason */

typedef struct Reasons {
        const EffectItem *items[CANDIDATES_MAX];
        size_t n;
        bool more;
} Reasons;

/* Those of the list that have some of the packets. */
static void find_candidates(Effect *e,
                            const EffectList *l,
                            size_t node,
                            size_t first,
                            size_t n,
                            Packets packets,
                            Reasons *ret) {
        size_t half = n / 2;

        if (n == 0 || ret->more || !effect_meets(e, l->tree[node], packets))
                return;
        if (n == 1 && ret->n == CANDIDATES_MAX)
                ret->more = true;
        else if (n == 1)
                ret->items[ret->n++] = l->sorted[first];
        else {
                find_candidates(e, l, 2 * node, first, half, packets, ret);
                find_candidates(e, l, 2 * node + 1, first + half, n - half, packets, ret);
        }
}

static const EffectItem *
find_only(Effect *e, const EffectList *l, Packets packets, Packets decided) {
        Reasons candidates = {0};

        find_candidates(e, l, 1, 0, l->n_sorted, packets, &candidates);
        for (size_t i = 0; i < candidates.n; i++)
                if (effect_within(e, packets, decided, candidates.items[i]->packets))
                        return candidates.items[i];
        return NULL;
}

static Packets without(Effect *e, Packets x, Packets y) {
        for (Family f = 0; f < _FAMILY_MAX; f++)
                x.of[f] = diagram_minus(meaning_diagram(e->m[f]), x.of[f], y.of[f]);
        return x;
}

/* Names those of the list that have packets of these; returns what is left. */
static Packets
note_parts(Effect *e, const EffectList *l, Packets left, const char *what, size_t *n_notes) {
        while (l->n_sorted > 0 && *n_notes <= REASONS_MAX && effect_meets(e, l->tree[1], left)) {
                Reasons candidates = {0};

                find_candidates(e, l, 1, 0, l->n_sorted, left, &candidates);
                for (size_t i = 0; i < candidates.n && effect_error(e) == 0; i++) {
                        const EffectItem *item = candidates.items[i];

                        if (!effect_meets(e, item->packets, left))
                                continue;
                        if (++*n_notes > REASONS_MAX) {
                                diag_note(e->d, (Span){0}, "and so do others");
                                return left;
                        }
                        diag_note(e->d, item->claim ? item->claim->services.at : item->rule->at,
                                  "%s", what);
                        left = without(e, left, item->packets);
                }
                if (effect_error(e) < 0)
                        break;
        }
        return left;
}

/* ---- a rule that others decide before */

static bool same_log(const PolicyRule *x, const PolicyRule *y) {
        return x->log == y->log && streq_null(x->log_word, y->log_word);
}

static void hint_at_effect(Effect *e, const PolicyRule *rule, const PolicyRule *by) {
        if (rule->limit.rate.number > 0)
                diag_hint(e->d, "what is beyond its limit is admitted by the other one%s",
                          by ? "" : "s");
        else if (rule->connections.number > 0)
                diag_hint(e->d, "what is beyond its connections is admitted by the other one%s",
                          by ? "" : "s");
        else if (rule->log && (!by || !same_log(rule, by)))
                diag_hint(e->d, "where both match, either may be the one that logs: say 'log' "
                                "there, or take these connections out of it");
        else
                diag_hint(e->d, "take it out, or narrow the other one%s", by ? "" : "s");
}

static void report_claims(Effect *e, const EffectItem *item) {
        const EffectItem *by = find_only(e, &e->claims, item->packets, e->before);
        size_t n = 0;

        diag_warning(e->d, item->rule->at, NEVER "'protected' keeps all of it closed");
        if (item->rule->verb == RULE_ALLOW)
                diag_hint(e->d, "take it out, or widen 'only-from'");
        else
                diag_hint(e->d, "take it out");
        if (!by)
                (void)note_parts(e, &e->claims, item->packets, "protected here", &n);
        else if (by->claim->only_from.given)
                diag_note(e->d, by->claim->services.at, "protected here, only from %s",
                          by->claim->only_from.text);
        else
                diag_note(e->d, by->claim->services.at,
                          "protected here, for this host itself alone");
}

static void report_denies(Effect *e, const EffectItem *item) {
        const EffectItem *by = find_only(e, &e->denies, item->packets, e->before);
        Packets left = item->packets;
        size_t n = 0;

        if (by) {
                diag_warning(e->d, item->rule->at, NEVER "a 'deny' refuses all of it");
                diag_hint(e->d, "take it out, or narrow the 'deny'");
                diag_note(e->d, by->rule->at, "this one refuses all of it");
                return;
        }
        diag_warning(e->d, item->rule->at, NEVER "all of it is refused, by several lines together");
        diag_hint(e->d, "take it out, or narrow what refuses it");
        left = note_parts(e, &e->claims, left, "'protected' refuses some of it", &n);
        (void)note_parts(e, &e->denies, left, "this one refuses some of it", &n);
}

static int report_covered(Effect *e, const EffectItem *item) {
        bool deny = item->rule->verb == RULE_DENY;
        EffectList *all = deny ? &e->denies : &e->allows;
        /* what `containers` and others decide together is in no group */
        EffectList *l = item->group ? item->group : all;
        const EffectItem *by;
        Packets left = item->packets;
        size_t n = 0;

        if (effect_keep(e, l) < 0)
                return -ENOMEM;
        by = find_only(e, l, item->packets, e->before);
        if (by) {
                diag_warning(e->d, item->rule->at, "another rule covers this one wholly");
                hint_at_effect(e, item->rule, by->rule);
                diag_note(e->d, by->rule->at, "this one %s all of it", deny ? "refuses" : "admits");
                return 0;
        }
        diag_warning(e->d, item->rule->at, "other lines cover this rule wholly, together");
        hint_at_effect(e, item->rule, NULL);
        left = note_parts(e, &e->claims, left, "'protected' refuses some of it", &n);
        left = note_parts(e, &e->denies, left, "this one refuses some of it", &n);
        if (!deny)
                left = note_parts(e, l, left, "this one admits some of it", &n);
        if (effect_meets(e, left, e->containers) && n <= REASONS_MAX)
                diag_note(e->d, (Span){0},
                          "containers may open connections outward anyway ('containers: open')");
        return 0;
}

static void report_containers(Effect *e, const EffectItem *item) {
        diag_warning(e->d, item->rule->at,
                     "containers may open these connections anyway: this rule adds nothing");
        diag_hint(e->d, "take it out, or set 'containers: closed'");
}

int effect_report(Effect *e, const EffectItem *item) {
        bool allow = item->rule->verb == RULE_ALLOW;
        int r = 0;

        if (effect_is_none(item->packets))
                report_empty(e, item->rule);
        else if (effect_within(e, item->packets, e->before, nothing))
                report_before(e, item);
        else if (effect_within(e, item->packets, e->refused, nothing))
                report_claims(e, item);
        else if (allow && effect_within(e, item->packets, e->denied, nothing))
                report_denies(e, item);
        else if (allow && effect_within(e, item->packets, e->before, e->containers))
                report_containers(e, item);
        else
                r = report_covered(e, item);
        return r < 0 ? r : effect_error(e);
}
