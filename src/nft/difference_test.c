/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nft/difference.h"

#include <linux/netfilter/nf_tables.h>

#include "base/unit.h"
#include "nft/sample.h"

typedef struct Test {
        NftBatch *batch;
        NftChanges changes;
} Test;

static Test difference_with(const Ruleset *live, const Ruleset *desired, bool empties_maps) {
        Test t = {.batch = nft_batch_new(1, 0)};

        assert_non_null(t.batch);
        assert_non_null(desired);
        assert_int_equal(difference_encode(t.batch, live, desired, empties_maps, &t.changes), 0);
        assert_int_equal(nft_batch_end(t.batch, true), 0);
        return t;
}

static Test difference(const Ruleset *live, const Ruleset *desired) {
        return difference_with(live, desired, false);
}

static void done(Test *t) {
        t->batch = nft_batch_free(t->batch);
}

static Ruleset *applied(Arena *a, bool second_client, const char *comment) {
        Ruleset *rs = sample_services(a, second_client, comment);

        assert_non_null(rs);
        rs->exists = true;
        return rs;
}

/* The place of the first message of that sort; SIZE_MAX if there is none. */
static size_t place_of(const Test *t, NftSubjectKind kind, bool removes, const char *name) {
        for (size_t i = 0; i < t->batch->n_subjects; i++) {
                const NftSubject *s = &t->batch->subjects[i];

                if (s->kind == kind && s->removes == removes && streq_null(s->name, name))
                        return i;
        }
        return SIZE_MAX;
}

static bool is_there(const Test *t, NftSubjectKind kind, bool removes, const char *name) {
        return place_of(t, kind, removes, name) != SIZE_MAX;
}

static void equal_tables_need_no_message(void **state) {
        Test t = difference(applied(*state, true, "x"), sample_services(*state, true, "x"));

        assert_int_equal(t.changes.messages, 0);
        done(&t);
}

static void an_absent_table_is_made_and_then_filled_from_the_chains_on(void **state) {
        Ruleset *absent = ruleset_new(*state);
        Test t;

        assert_non_null(absent);
        t = difference(absent, sample_services(*state, true, NULL));
        assert_true(t.changes.table_created);
        assert_int_equal(place_of(&t, SUBJECT_TABLE, false, RULESET_TABLE), 0);
        /* what is referred to comes first: chains, the map that leads to them, the rule with the
         * map */
        assert_true(place_of(&t, SUBJECT_CHAIN, false, "web") <
                    place_of(&t, SUBJECT_ELEMENTS, false, "services"));
        assert_true(place_of(&t, SUBJECT_SET, false, "services") <
                    place_of(&t, SUBJECT_ELEMENTS, false, "services"));
        assert_true(place_of(&t, SUBJECT_ELEMENTS, false, "services") <
                    place_of(&t, SUBJECT_RULE, false, "input"));
        assert_int_equal(t.changes.rules_added, 4);
        assert_int_equal(t.changes.chains_added, 3);
        done(&t);
}

static void everything_that_goes_is_freed_of_references_first(void **state) {
        Test t = difference(applied(*state, true, NULL), sample_closed(*state));

        assert_true(place_of(&t, SUBJECT_RULE, true, "input") <
                    place_of(&t, SUBJECT_SET, true, "services"));
        assert_true(place_of(&t, SUBJECT_SET, true, "services") <
                    place_of(&t, SUBJECT_CHAIN, true, "ssh"));
        assert_true(place_of(&t, SUBJECT_RULE, true, "ssh") <
                    place_of(&t, SUBJECT_CHAIN, true, "ssh"));
        assert_false(is_there(&t, SUBJECT_CHAIN, true, "input"));
        assert_int_equal(t.changes.chains_removed, 2);
        assert_int_equal(t.changes.sets_removed, 2);
        done(&t);
}

static void what_goes_is_emptied_only_if_it_is_a_map_and_that_is_asked_for(void **state) {
        Test t = difference(applied(*state, true, NULL), sample_closed(*state));

        assert_false(is_there(&t, SUBJECT_ELEMENTS, true, "services"));
        assert_false(is_there(&t, SUBJECT_ELEMENTS, true, "clients"));
        assert_int_equal(t.changes.elements_removed, 4);
        done(&t);
        t = difference_with(applied(*state, true, NULL), sample_closed(*state), true);
        assert_true(place_of(&t, SUBJECT_ELEMENTS, true, "services") <
                    place_of(&t, SUBJECT_SET, true, "services"));
        assert_false(is_there(&t, SUBJECT_ELEMENTS, true, "clients"));
        assert_int_equal(t.changes.elements_removed, 4);
        done(&t);
}

static void a_changed_rule_touches_its_chain_alone(void **state) {
        Test t = difference(applied(*state, true, "old"), sample_services(*state, true, "new"));

        assert_true(is_there(&t, SUBJECT_RULE, true, "input"));
        assert_false(is_there(&t, SUBJECT_RULE, true, "ssh"));
        assert_int_equal(t.changes.messages, 3); /* flush, and two rules */
        done(&t);
}

static void a_base_chain_that_moves_takes_every_rule_along(void **state) {
        Ruleset *live = applied(*state, true, NULL);
        Test t;

        ruleset_find_chain(live, "input")->priority++;
        t = difference(live, sample_services(*state, true, NULL));
        assert_true(place_of(&t, SUBJECT_CHAIN, true, "input") <
                    place_of(&t, SUBJECT_CHAIN, false, "input"));
        assert_true(is_there(&t, SUBJECT_RULE, true, "web"));
        assert_true(is_there(&t, SUBJECT_ELEMENTS, true, "services"));
        assert_int_equal(t.changes.rules_added, 4);
        done(&t);
}

static void a_base_chains_policy_is_one_message(void **state) {
        Ruleset *live = applied(*state, true, NULL);
        Test t;

        ruleset_find_chain(live, "input")->policy_drop = false;
        t = difference(live, sample_services(*state, true, NULL));
        assert_int_equal(t.changes.messages, 1);
        done(&t);
}

static void an_interval_set_that_differs_is_refilled_as_a_whole(void **state) {
        Ruleset *live = applied(*state, false, NULL),
                *desired = sample_services(*state, true, NULL);
        Test t;

        assert_non_null(desired);
        ruleset_find_set(live, "clients")->interval = true;
        ruleset_find_set(desired, "clients")->interval = true;
        t = difference(live, desired);
        assert_int_equal(t.changes.elements_removed, 1);
        assert_int_equal(t.changes.elements_added, 2);
        assert_int_equal(t.changes.rules_added, 0);
        done(&t);
}

static void an_element_with_another_verdict_is_taken_out_before_it_is_put_in(void **state) {
        Ruleset *live = applied(*state, true, NULL);
        Test t;

        ruleset_find_set(live, "services")->elements[1].verdict = verdict_of(VERDICT_ACCEPT);
        t = difference(live, sample_services(*state, true, NULL));
        assert_int_equal(t.changes.messages, 2);
        assert_int_equal(place_of(&t, SUBJECT_ELEMENTS, true, "services"), 0);
        assert_int_equal(place_of(&t, SUBJECT_ELEMENTS, false, "services"), 1);
        done(&t);
}

static void a_set_of_somebody_elses_making_is_replaced(void **state) {
        Ruleset *live = applied(*state, true, NULL);
        Test t;

        ruleset_find_set(live, "clients")->n_types = 0;
        t = difference(live, sample_services(*state, true, NULL));
        assert_true(place_of(&t, SUBJECT_SET, true, "clients") <
                    place_of(&t, SUBJECT_SET, false, "clients"));
        assert_true(place_of(&t, SUBJECT_RULE, true, "ssh") <
                    place_of(&t, SUBJECT_SET, true, "clients"));
        done(&t);
}

static void a_sleeping_table_is_woken(void **state) {
        Ruleset *live = applied(*state, true, NULL);
        Test t;

        live->flags = NFT_TABLE_F_DORMANT;
        t = difference(live, sample_services(*state, true, NULL));
        assert_int_equal(t.changes.messages, 1);
        assert_false(t.changes.table_created);
        done(&t);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                unit_arena_test(equal_tables_need_no_message),
                unit_arena_test(an_absent_table_is_made_and_then_filled_from_the_chains_on),
                unit_arena_test(everything_that_goes_is_freed_of_references_first),
                unit_arena_test(what_goes_is_emptied_only_if_it_is_a_map_and_that_is_asked_for),
                unit_arena_test(a_changed_rule_touches_its_chain_alone),
                unit_arena_test(a_base_chain_that_moves_takes_every_rule_along),
                unit_arena_test(a_base_chains_policy_is_one_message),
                unit_arena_test(an_interval_set_that_differs_is_refilled_as_a_whole),
                unit_arena_test(an_element_with_another_verdict_is_taken_out_before_it_is_put_in),
                unit_arena_test(a_set_of_somebody_elses_making_is_replaced),
                unit_arena_test(a_sleeping_table_is_woken),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
