/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What others do to a large set is noticed without listing it, and a change of it is of what
 * differs alone. What is listed decides, each time. */

#include "nft/large_set.h"

#include "nft/kernel_unit.h"

#define RANGES (LARGE_SET_MIN + 100)
#define FIRST 0x0b000000U /* 11.0.0.0: the ranges are a /28 in each /27 */

/* 11.0.0.0/28, 11.0.0.32/28, ..., but for those that `skip` divides, as a zone's set. */
static Ruleset *
with_ranges(Test *t, uint32_t n, uint32_t skip, const Range *more, const char *name) {
        Ruleset *rs = sample_closed(t->arena);
        RangeSet ranges = {0};
        Rule *rule;
        Set *set;

        for (uint32_t i = 0; i < n; i++) {
                Range r = {u128(FIRST + i * 32), u128(FIRST + i * 32 + 15)};

                if (skip == 0 || i % skip != skip - 1)
                        assert_int_equal(range_set_add(t->arena, &ranges, r), 0);
        }
        if (more)
                assert_int_equal(range_set_add(t->arena, &ranges, *more), 0);
        range_set_normalise(&ranges);
        set = ruleset_set_of_ranges(rs, name, TYPE_IPV4_ADDR, &ranges);
        assert_non_null(set);
        rule = add_rule(rs, rs->chains[0], VERDICT_ACCEPT);
        assert_int_equal(rule_match_set(rs, rule, FIELD_IP_SADDR, MATCH_IN, set), 0);
        return rs;
}

static Ruleset *read_known(Test *t, const Ruleset *rs, uint32_t generation) {
        NftKnown known = {.ruleset = rs, .generation = generation};
        Ruleset *live = NULL;

        assert_int_equal(nft_read_known(t->link, t->arena, &known, &live), 0);
        return live;
}

static uint32_t generation(Test *t) {
        uint32_t g = 0;

        assert_int_equal(nft_link_generation(t->link, &g), 0);
        return g;
}

static const Set *many(const Ruleset *rs) {
        const Set *set = ruleset_find_set(rs, "many");

        assert_non_null(set);
        return set;
}

static const Range to_the_end = {{.low = 0xff000000U}, {.low = UINT32_MAX}};
static const Range from_the_start = {{.low = 0}, {.low = 0x00ffffffU}};

static void a_set_that_is_as_it_should_be_is_found_so(void **state) {
        const Range *const more[] = {NULL, &to_the_end, &from_the_start};
        Test *t = *state;

        for (size_t i = 0; i < ARRAY_SIZE(more); i++) {
                Ruleset *rs = with_ranges(t, RANGES, 0, more[i], "many");
                Ruleset *live;

                (void)apply_and_check("as it should be", t, rs);
                live = read_known(t, rs, 0);
                assert_true(ruleset_equal(live, rs));
                /* looked at, and not listed */
                assert_ptr_equal(many(live)->elements, many(rs)->elements);
                live = read_known(t, rs, generation(t));
                assert_true(ruleset_equal(live, rs));
        }
}

/* What another program does, and whether the number of ranges tells. */
static const struct {
        const char *name, *commands;
        bool changes_number;
} foreign[] = {
        {"one comes into a gap", NFT " add element inet ringwall many '{ 11.0.1.20 }'", true},
        {"one comes before the first", NFT " add element inet ringwall many '{ 1.0.0.0/8 }'", true},
        {"one comes behind the last", NFT " add element inet ringwall many '{ 200.0.0.0/8 }'",
         true},
        {"one comes that never ends", NFT " add element inet ringwall many '{ 255.0.0.0/8 }'",
         true},
        {"one goes", NFT " delete element inet ringwall many '{ 11.0.1.0/28 }'", true},
        {"the last one goes",
         NFT " delete element inet ringwall many '{ 11.8.12.96-11.8.12.111 }' 2>/dev/null || " NFT
             " delete element inet ringwall many '{ 11.8.0.0/28 }'",
         true},
        {"one goes, and one comes elsewhere",
         NFT " 'delete element inet ringwall many { 11.0.1.0/28 } ; add element inet ringwall many "
             "{ 11.0.1.20 }'",
         false},
        {"one becomes longer",
         NFT " 'delete element inet ringwall many { 11.0.1.0/28 } ; add element inet ringwall many "
             "{ 11.0.1.0-11.0.1.16 }'",
         false},
        {"one becomes shorter",
         NFT " 'delete element inet ringwall many { 11.0.1.0/28 } ; add element inet ringwall many "
             "{ 11.0.1.0-11.0.1.14 }'",
         false},
        {"one begins earlier",
         NFT " 'delete element inet ringwall many { 11.0.1.0/28 } ; add element inet ringwall many "
             "{ 11.0.0.255-11.0.1.15 }'",
         false},
        {"one begins later",
         NFT " 'delete element inet ringwall many { 11.0.1.0/28 } ; add element inet ringwall many "
             "{ 11.0.1.1-11.0.1.15 }'",
         false},
        {"one gets a comment",
         NFT " 'delete element inet ringwall many { 11.0.1.0/28 } ; add element inet ringwall many "
             "{ 11.0.1.0/28 comment \"x\" }'",
         false},
        {"all go", NFT " flush set inet ringwall many", true},
};

static void whatever_others_do_to_it_is_noticed_and_undone(void **state) {
        Test *t = *state;
        Ruleset *rs = with_ranges(t, RANGES, 0, NULL, "many");

        (void)apply_and_check("first", t, rs);
        for (size_t i = 0; i < ARRAY_SIZE(foreign); i++) {
                const char *row = foreign[i].name;
                NftChanges changes = {0};
                Ruleset *live;

                shell(foreign[i].commands);
                live = read_known(t, rs, 0);
                unit_true(row, !ruleset_equal(live, rs));
                /* it is listed where the kernel tells no number, or none is left */
                unit_true(row, many(live)->is_unlisted || many(live)->n_told == 0);
                /* also where a sample is thought to be enough, if the kernel tells the number */
                if (foreign[i].changes_number && many(live)->n_told > 0)
                        unit_true(row, many(read_known(t, rs, generation(t)))->is_unlisted);
                unit_equal(row, nft_apply(t->link, live, rs, &changes, t->d), 0);
                unit_true(row, changes.elements_added > 0);
                equal_to_live(row, t, rs);
        }
}

static void only_what_differs_is_sent(void **state) {
        Test *t = *state;
        Ruleset *all = with_ranges(t, RANGES + 100, 0, NULL, "many");
        Ruleset *fewer = with_ranges(t, RANGES + 100, 1000, NULL, "many");
        size_t n = all->sets[all->n_sets - 1]->n_elements - many(fewer)->n_elements;
        NftChanges changes;

        (void)apply_and_check("all", t, all);
        changes = apply_and_check("fewer", t, fewer);
        assert_int_equal(changes.elements_removed, n);
        assert_int_equal(changes.elements_added, 0);
        changes = apply_and_check("all again", t, all);
        assert_int_equal(changes.elements_added, n);
        assert_int_equal(changes.elements_removed, 0);
        /* the kernel is told of the gap before the first one: there is one more, or less */
        (void)apply_and_check("from the start", t,
                              with_ranges(t, RANGES, 0, &from_the_start, "many"));
        (void)apply_and_check("to the end", t, with_ranges(t, RANGES, 0, &to_the_end, "many"));
        (void)apply_and_check("all once more", t, all);
}

/* A range changes in each way in which two neighbours can. */
static void a_range_that_changes_its_ends_is_replaced(void **state) {
        const Range more[] = {
                {{.low = FIRST + 16}, {.low = FIRST + 31}},   /* closes a gap: two become one */
                {{.low = FIRST + 16}, {.low = FIRST + 20}},   /* the first one becomes longer */
                {{.low = FIRST + 60}, {.low = FIRST + 63}},   /* another one begins earlier */
                {{.low = FIRST + 20}, {.low = FIRST + 20}},   /* one comes between */
                {{.low = FIRST - 100}, {.low = FIRST + 90}},  /* many become one */
                {{.low = FIRST - 100}, {.low = FIRST - 100}}, /* and come back, but for a new one */
        };
        Test *t = *state;

        (void)apply_and_check("first", t, with_ranges(t, RANGES, 0, NULL, "many"));
        for (size_t i = 0; i < ARRAY_SIZE(more); i++) {
                NftChanges changes =
                        apply_and_check("changed", t, with_ranges(t, RANGES, 0, &more[i], "many"));

                assert_true(changes.elements_added + changes.elements_removed < 20);
        }
}

static void a_set_of_another_kind_under_its_name_is_replaced(void **state) {
        Test *t = *state;
        Ruleset *rs = with_ranges(t, RANGES, 0, NULL, "many");
        NftChanges changes = {0};
        Ruleset *live;

        shell(NFT " -f - <<'EOF'\ntable inet ringwall {\n"
                  "set many { type ipv6_addr; flags interval; elements = { fd00::/8 } }\n}\nEOF");
        live = read_known(t, rs, 0);
        assert_false(ruleset_equal(live, rs));
        assert_int_equal(nft_apply(t->link, live, rs, &changes, t->d), 0);
        equal_to_live("replaced", t, rs);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                kernel_test(a_set_that_is_as_it_should_be_is_found_so),
                kernel_test(whatever_others_do_to_it_is_noticed_and_undone),
                kernel_test(only_what_differs_is_sent),
                kernel_test(a_range_that_changes_its_ends_is_replaced),
                kernel_test(a_set_of_another_kind_under_its_name_is_replaced),
        };

        if (kernel_enter_namespace() < 0)
                return 1;
        return cmocka_run_group_tests(tests, NULL, NULL);
}
