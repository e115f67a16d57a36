/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What the kernel tells of others' transactions is enough to read and to undo them. */

#include "nft/part.h"

#include "nft/commits.h"
#include "nft/kernel_unit.h"

#define RANDOM_RULESETS 100

static void take(const Commit *c, void *to) {
        if (c->touches_ours)
                touched_merge(to, &c->touched);
}

static void told(CommitWatch *w, Touched *t) {
        touched_clear(t);
        unit_equal("told", commit_watch_read(w, take, t), 0);
}

/* As the whole of it is read, too. */
static Ruleset *read_part(const char *row, Test *t, const Ruleset *known, const Touched *touched) {
        Ruleset *live = NULL, *again = NULL;

        unit_equal(row, part_read(t->link, t->arena, known, touched, true, &live), 0);
        unit_equal(row, part_read(t->link, t->arena, known, touched, true, &again), 0);
        unit_equal(row, part_complete(again, known, touched), 0);
        unit_true(row, ruleset_equal(again, read_table(t)));
        return live;
}

static void
heal_part(const char *row, Test *t, const Ruleset *known, const Touched *touched, Ruleset *live) {
        const Ruleset *part = live->exists ? part_of(t->arena, known, touched) : known;
        NftChanges changes;
        int r;

        assert_non_null(part);
        r = nft_apply(t->link, live, part, &changes, t->d);
        no_errors(row, t);
        unit_equal(row, r, 0);
        equal_to_live(row, t, known);
}

static void whatever_becomes_of_the_table_is_read_and_undone_from_what_was_told(void **state) {
        _cleanup_(commit_watch_close) CommitWatch watch = {.fd = -1};
        Test *t = *state;

        assert_int_equal(commit_watch_open(&watch), 0);
        for (uint64_t seed = 1; seed <= RANDOM_RULESETS; seed++) {
                Arena *all = t->arena;
                Ruleset *known, *other;
                Touched touched;
                char row[32];

                (void)snprintf(row, sizeof(row), "seed %llu", (unsigned long long)seed);
                t->arena = arena_new(0);
                t->d = diag_new(t->arena);
                known = sample_random(t->arena, seed);
                other = sample_random(t->arena, seed + RANDOM_RULESETS);
                assert_true(known && other);
                (void)apply_and_check(row, t, known);
                told(&watch, &touched);
                (void)apply_and_check(row, t, other);
                told(&watch, &touched);
                heal_part(row, t, known, &touched, read_part(row, t, known, &touched));
                (void)arena_free(t->arena);
                t->arena = all;
        }
}

static const char *const changes[] = {
        "insert rule inet ringwall input accept",
        "insert rule inet ringwall input tcp dport { 1, 2, 7 } accept",
        "add chain inet ringwall another; add rule inet ringwall input jump another",
        "flush chain inet ringwall input",
        "flush table inet ringwall",
        "delete table inet ringwall",
        "flush ruleset",
        "add table inet ringwall { flags dormant; }",
        "add chain inet ringwall input { policy accept; }",
        "add set inet ringwall s { type ipv4_addr; elements = { 192.0.2.1 }; }",
        "delete table inet ringwall; add table inet ringwall; add chain inet ringwall input",
        "delete table inet ringwall; add table inet ringwall { flags dormant; }",
        "add chain inet ringwall mine { type filter hook input priority -300; }; add table inet "
        "ringwall { flags dormant; }",
        "delete table inet ringwall; add table inet ringwall { flags dormant; }; add chain inet "
        "ringwall input { type filter hook input priority 7; policy accept; }",
};

static void each_change_of_another_program_is_undone(void **state) {
        _cleanup_(commit_watch_close) CommitWatch watch = {.fd = -1};
        Test *t = *state;
        Ruleset *known = sample_closed(t->arena);
        Touched touched;

        assert_int_equal(commit_watch_open(&watch), 0);
        for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
                char command[512];
                Ruleset *live;

                (void)apply_and_check(changes[i], t, known);
                told(&watch, &touched);
                (void)snprintf(command, sizeof(command), NFT " '%s'", changes[i]);
                shell(command);
                told(&watch, &touched);
                live = read_part(changes[i], t, known, &touched);
                heal_part(changes[i], t, known, &touched, live);
        }
}

static void what_is_taken_back_by_somebody_else_first_is_refused(void **state) {
        Test *t = *state;
        Ruleset *known = sample_closed(t->arena), *live;
        Touched touched = {0};
        NftChanges done;

        (void)apply_and_check("first", t, known);
        shell(NFT " insert rule inet ringwall input accept");
        touched_add(&touched, TOUCHED_CHAIN, known->chains[0]->name);
        live = read_part("one", t, known, &touched);
        shell(NFT " insert rule inet ringwall input accept");
        assert_int_equal(nft_apply(t->link, live, part_of(t->arena, known, &touched), &done, t->d),
                         -EAGAIN);
}

static void without_looking_every_rule_is_put_right(void **state) {
        Test *t = *state;

        for (uint64_t seed = 1; seed <= RANDOM_RULESETS / 10; seed++) {
                Ruleset *known = sample_random(t->arena, seed);

                assert_non_null(known);
                (void)apply_and_check("first", t, known);
                for (size_t i = 0; i < 2; i++) {
                        shell(i == 0 ? NFT " flush table inet ringwall"
                                     : NFT " delete table inet ringwall");
                        for (int j = 0; j < 2; j++) { /* also where all is right */
                                int r = nft_apply_blind(t->link, known, t->d);

                                no_errors("blind", t);
                                unit_equal("blind", r, 0);
                                equal_to_live("blind", t, known);
                        }
                }
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                kernel_test(whatever_becomes_of_the_table_is_read_and_undone_from_what_was_told),
                kernel_test(each_change_of_another_program_is_undone),
                kernel_test(what_is_taken_back_by_somebody_else_first_is_refused),
                kernel_test(without_looking_every_rule_is_put_right),
        };

        if (kernel_enter_namespace() < 0)
                return 1;
        return cmocka_run_group_tests(tests, NULL, NULL);
}
