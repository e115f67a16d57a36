/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proof/effect.h"

#include "proof/difference.h"
#include "proof/effect_world.h"
#include "ruleset/pass.h"

/* What effect_check() says, against trying every connection. */

/* What was said of each rule, and the lines that were named. */
typedef struct Outcome {
        bool told, incomplete; /* incomplete: others are not named */
        bool reasons[RULES_MAX + CLAIMS_MAX];
} Outcome;

/* Before, between and after the ends that rules have. */
#define N_TIMES 3

static bool decides(const World *w, size_t draft, size_t point, int time) {
        const Draft *x = &w->drafts[draft];

        return w->matches[draft][point] && !x->limited && (x->until == 0 || time < x->until);
}

/* Whether one of those that `counts` marks decides the rule's packet without it. */
static bool is_decided(const World *w, size_t rule, size_t point, int time, const bool *counts) {
        bool allows = w->drafts[rule].verb == RULE_ALLOW;

        for (size_t i = 0; i < w->n_drafts; i++)
                if (i != rule && counts[i] && (allows || w->drafts[i].verb == RULE_DENY) &&
                    decides(w, i, point, time))
                        return true;
        return false;
}

static bool is_needed(const World *w, size_t rule, const bool *counts, bool containers) {
        bool allows = w->drafts[rule].verb == RULE_ALLOW;
        int until = w->drafts[rule].until;

        for (int time = 0; time < N_TIMES; time++)
                for (size_t i = 0; i < w->n_points; i++)
                        if (w->matches[rule][i] && (until == 0 || time < until) &&
                            !(containers && allows && w->of_containers[i]) &&
                            !is_decided(w, rule, i, time, counts))
                                return true;
        return false;
}

static void read_outcomes(const World *w, const Diag *d, Outcome *ret) {
        size_t n_protected_line = WORLD_RULES_LINE + w->n_rules + 1;
        Outcome *o = NULL;

        memset(ret, 0, RULES_MAX * sizeof(*ret));
        for (size_t i = 0; i < d->n_messages; i++) {
                const DiagMessage *m = &d->messages[i];
                size_t line = m->at.line;

                if (m->continues && o && !m->at.source)
                        o->incomplete = true;
                else if (m->continues && o)
                        o->reasons[line > n_protected_line
                                           ? line - n_protected_line - 1 + w->n_rules
                                           : line - WORLD_RULES_LINE - 1] = true;
                if (m->continues)
                        continue;
                o = NULL;
                if (m->severity != DIAG_WARNING || strstr(m->text, "takes nothing away") ||
                    strstr(m->text, "IP protocol"))
                        continue;
                assert_true(line - WORLD_RULES_LINE - 1 < w->n_rules);
                o = &ret[line - WORLD_RULES_LINE - 1];
                assert_false(o->told); /* each is told once */
                o->told = true;
        }
}

/* A claim counts as it is; of rules, those that were not told. */
static void find_kept(const World *w, const Outcome *outcomes, bool *ret) {
        for (size_t i = 0; i < w->n_drafts; i++)
                ret[i] = i >= w->n_rules || !outcomes[i].told;
}

/* False for a policy that is refused. */
static bool check(Arena *a, const World *w, const char *text, Outcome *ret) {
        Diag *d;
        Policy *p = load_with_diag(a, text, &d);

        if (!p)
                return false;
        assert_int_equal(effect_check(p, d), 0);
        read_outcomes(w, d, ret);
        return true;
}

static void a_rule_is_told_exactly_if_the_others_decide_all_of_it(void **state) {
        World *w = arena_new0(*state, World);
        size_t n_told = 0, n_together = 0, n_needed = 0;
        uint64_t seed = 1;

        assert_non_null(w);
        for (unsigned int round = 0; round < 800; round++) {
                _cleanup_(arena_freep) Arena *a = arena_new(0);
                Outcome outcomes[RULES_MAX];
                bool kept[RULES_MAX + CLAIMS_MAX];
                const char *text;

                draw_world(a, &seed, false, w);
                try_world(a, w, "[10.0.0.1]");
                text = write_world(a, w, "[10.0.0.1]", true);
                if (!check(a, w, text, outcomes))
                        continue;
                find_kept(w, outcomes, kept);
                for (size_t i = 0; i < w->n_rules; i++) {
                        const char *row = arena_printf(a, "rule %zu of %s", i + 1, text);
                        const Outcome *o = &outcomes[i];
                        size_t n_reasons = 0;

                        unit_true(row, is_needed(w, i, kept, true) != o->told);
                        for (size_t j = 0; j < w->n_drafts; j++) {
                                n_reasons += o->reasons[j];
                                unit_true(row, !o->reasons[j] || kept[j]);
                        }
                        if (o->told && !o->incomplete)
                                unit_true(row,
                                          n_reasons == 0 || !is_needed(w, i, o->reasons, false));
                        n_told += o->told;
                        n_together += n_reasons > 1;
                        n_needed += !o->told;
                }
        }
        assert_true(n_told > 300 && n_together > 5 && n_needed > 700);
}

/* Whatever is on link: each of these worlds is one that may be. */
static void what_is_told_of_networks_on_link_holds_for_all_of_them(void **state) {
        static const char *const homes[] = {
                "[10.0.0.1]",      "[10.0.0.2-10.0.0.4]",     "[10.0.0.0/24]",
                "[\"fd00::/64\"]", "[10.0.0.3, \"fd00::1\"]",
        };
        World *w = arena_new0(*state, World);
        size_t n_told = 0;
        uint64_t seed = 2;

        assert_non_null(w);
        for (unsigned int round = 0; round < 150; round++) {
                _cleanup_(arena_freep) Arena *a = arena_new(0);
                Outcome outcomes[RULES_MAX];
                bool kept[RULES_MAX + CLAIMS_MAX];
                const char *text;

                draw_world(a, &seed, true, w);
                text = write_world(a, w, "{ connected: [eth7] }", true);
                if (!check(a, w, text, outcomes))
                        continue;
                find_kept(w, outcomes, kept);
                for (size_t i = 0; i < ARRAY_SIZE(homes); i++) {
                        try_world(a, w, homes[i]);
                        for (size_t j = 0; j < w->n_rules; j++) {
                                const char *row = arena_printf(a, "home %s, rule %zu of %s",
                                                               homes[i], j + 1, text);

                                if (outcomes[j].told)
                                        unit_true(row, !is_needed(w, j, kept, true));
                                n_told += outcomes[j].told;
                        }
                }
        }
        assert_true(n_told > 300);
}

/* The policy without the rules that are not marked, and but for one. */
static const Ruleset *
compile(Arena *a, const Policy *p, SectionId id, const bool *kept, size_t but) {
        const KernelFeatures features = {.fib_in_filter = true};
        PolicyRule *rules = arena_alloc_array(a, RULES_MAX, sizeof(*rules));
        Policy copy = *p;
        Ruleset *rs = NULL;

        copy.sections[id].rules = rules;
        copy.sections[id].n_rules = 0;
        for (size_t i = 0; i < p->sections[id].n_rules; i++)
                if (kept[i] && i != but)
                        rules[copy.sections[id].n_rules++] = p->sections[id].rules[i];
        assert_int_equal(ruleset_compile(&copy, &features, NULL, a, &rs, diag_new(a)), 0);
        return rs;
}

/* Where outbound rules ask for interfaces, one chain more looks at what was redirected, which is of
 * no consequence but for packets that no host sends. */
static bool differ(Arena *a, const World *w, const Ruleset *x, const Ruleset *y) {
        Difference d;

        assert_int_equal(difference_find(x, y, 20, a, &d), 0);
        for (size_t i = 0; i < d.n_regions; i++)
                if (w->section != SECTION_OUTBOUND || !d.regions[i].unusual)
                        return true;
        return false;
}

static void the_compiled_rules_mean_the_same_without_them_and_without_no_other(void **state) {
        static const bool all[RULES_MAX + CLAIMS_MAX] = {true, true, true, true, true, true};
        World *w = arena_new0(*state, World);
        size_t n_told = 0, n_needed = 0;
        uint64_t seed = 3;

        assert_non_null(w);
        for (unsigned int round = 0; round < 60; round++) {
                _cleanup_(arena_freep) Arena *a = arena_new(0);
                bool kept[RULES_MAX + CLAIMS_MAX];
                Outcome outcomes[RULES_MAX];
                const Ruleset *rest;
                const char *text;
                Policy *p;
                Diag *d;

                draw_world(a, &seed, false, w);
                text = write_world(a, w, "[10.0.0.1]", true);
                if (!check(a, w, text, outcomes))
                        continue;
                find_kept(w, outcomes, kept);
                p = load_with_diag(a, text, &d);
                rest = compile(a, p, w->section, kept, SIZE_MAX);
                unit_true(text, !differ(a, w, compile(a, p, w->section, all, SIZE_MAX), rest));
                for (size_t i = 0; i < w->n_rules; i++) {
                        n_told += outcomes[i].told;
                        /* a 'deny' may refuse what nothing allows; and of limits that say the same
                         * each is another one, which the difference does not tell */
                        if (outcomes[i].told || w->drafts[i].verb == RULE_DENY ||
                            w->drafts[i].limited)
                                continue;
                        unit_true(arena_printf(a, "rule %zu of %s", i + 1, text),
                                  differ(a, w, rest, compile(a, p, w->section, kept, i)));
                        n_needed++;
                }
        }
        assert_true(n_told > 10 && n_needed > 30);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                unit_arena_test(a_rule_is_told_exactly_if_the_others_decide_all_of_it),
                unit_arena_test(the_compiled_rules_mean_the_same_without_them_and_without_no_other),
                unit_arena_test(what_is_told_of_networks_on_link_holds_for_all_of_them),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
