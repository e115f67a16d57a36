/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guard/engine.h"

#include "guard/lockdown.h"
#include "nft/kernel_unit.h"

#define N_BRIDGES 12
#define N_TABLES 3000 /* more than the kernel lists before somebody reads, */
#define N_AT_ONCE 100 /* made so many at a time: nft's memory grows with the square */

static void put_something(Engine *e, Diag *d) {
        Arena *a = arena_new(0);
        Diag before = *d;
        Ruleset *rs;
        int r;

        assert_int_equal(lockdown_compile(NULL, 0, NULL, 0, LOCKDOWN_MARK, &e->features, a, &rs, d),
                         0);
        assert_non_null(ruleset_find_set(rs, RULESET_BRIDGE_FRAMES));
        r = engine_put_ruleset(e, &a, rs, d);
        if (r == -EBADMSG && engine_learn(e)) { /* as older kernels lack something */
                *d = before;
                assert_int_equal(
                        lockdown_compile(NULL, 0, NULL, 0, LOCKDOWN_MARK, &e->features, a, &rs, d),
                        0);
                r = engine_put_ruleset(e, &a, rs, d);
        }
        unit_equal("put", r, 0);
        assert_null(a);
}

static void what_is_followed_for_years_takes_no_more_memory(void **state) {
        Test *t = *state;
        _cleanup_(engine_close) Engine e = {0};
        size_t rules, host = 0;

        assert_int_equal(engine_open(&e), 0);
        put_something(&e, t->d);
        rules = arena_used(e.arena);
        for (int i = 0; i < N_BRIDGES; i++) {
                char command[64];

                (void)snprintf(command, sizeof(command), "ip link add b%d type bridge", i);
                shell(command);
                assert_int_equal(engine_refresh(&e, t->d), 1);
        }
        for (int i = 0; i < 200; i++) {
                assert_int_equal(engine_refresh(&e, t->d), 0);
                host = i == 0 ? arena_used(e.host) : host;
        }
        assert_int_equal(ruleset_find_set(e.desired, RULESET_BRIDGE_FRAMES)->n_elements, N_BRIDGES);
        assert_int_equal(arena_used(e.arena), rules);
        assert_int_equal(arena_used(e.host), host);
        assert_int_equal(engine_holds(&e), 1);
        for (int i = 0; i < N_BRIDGES; i++) {
                char command[64];

                (void)snprintf(command, sizeof(command), "ip link del b%d", i);
                shell(command);
        }
        assert_int_equal(engine_refresh(&e, t->d), 1);
        assert_int_equal(engine_holds(&e), 1);
        no_errors("followed", t);
}

static void what_others_change_is_seen_whenever_it_is_asked(void **state) {
        Test *t = *state;
        _cleanup_(engine_close) Engine e = {0};

        assert_int_equal(engine_open(&e), 0);
        put_something(&e, t->d);
        for (int i = 0; i < 3; i++) {
                assert_int_equal(engine_holds(&e), 1);
                shell(NFT " add table ip other"); /* none of ours */
                assert_int_equal(engine_holds(&e), 1);
                shell(NFT " insert rule inet ringwall input accept");
                assert_int_equal(engine_holds(&e), 0);
                assert_int_equal(engine_holds(&e), 0);
                assert_int_equal(engine_refresh(&e, t->d), 1);
                assert_int_equal(engine_holds(&e), 1);
                shell(NFT " flush ruleset");
                assert_int_equal(engine_holds(&e), 0);
                put_something(&e, t->d);
        }
        no_errors("seen", t);
}

/* As after the end of whoever had it. */
static void open_as_owner(Engine *e) {
        engine_close(e);
        *e = (Engine){.owner = ENGINE_OWNER_SELF};
        assert_int_equal(engine_open(e), 0);
}

static void a_table_that_nobody_changed_meanwhile_is_taken_over_as_it_is(void **state) {
        Test *t = *state;
        _cleanup_(engine_close) Engine e = {0};

        open_as_owner(&e);
        put_something(&e, t->d);
        for (int i = 0; i < 3; i++) {
                bool owned = engine_can_own(&e);

                open_as_owner(&e);
                put_something(&e, t->d);
                assert_int_equal(e.changes.messages, owned ? 1 : 0);
                assert_int_equal(e.wrote_flags, owned);
                assert_int_equal(e.owns, owned);
                assert_true(e.is_seen);
                assert_int_equal(engine_holds(&e), 1);
                put_something(&e, t->d);
                assert_int_equal(e.changes.messages, 0);
                assert_int_equal(e.owns, owned);
                assert_int_equal(engine_holds(&e), 1);
        }
        open_as_owner(&e); /* it is nobody's now, and anybody can change it */
        shell(NFT " insert rule inet ringwall input accept");
        put_something(&e, t->d);
        assert_false(e.wrote_flags);
        assert_int_equal(engine_holds(&e), 1);
        no_errors("taken over", t);
}

static void what_was_found_is_kept_where_that_is_wanted(void **state) {
        Test *t = *state;
        _cleanup_(engine_close) Engine e = {0};

        assert_int_equal(engine_open(&e), 0);
        put_something(&e, t->d);
        assert_null(e.found);
        e.keeps_found = true;
        put_something(&e, t->d);
        assert_non_null(e.found);
        assert_true(engine_is_as_desired(&e, e.found));
        shell(NFT " insert rule inet ringwall input accept");
        put_something(&e, t->d);
        assert_non_null(e.found);
        assert_false(engine_is_as_desired(&e, e.found));
        assert_int_equal(engine_holds(&e), 1);
        engine_forget_found(&e);
        assert_null(e.found);
        no_errors("found", t);
}

/* The lowest one that is free is the next one that is opened. */
static int next_fd(void) {
        int fd = dup(STDERR_FILENO);

        assert_true(fd >= 0);
        assert_int_equal(close(fd), 0);
        return fd;
}

static void a_link_that_is_stuck_can_be_used_again(void **state) {
        Test *t = *state;
        _cleanup_(engine_close) Engine e = {0};
        bool was_there;
        int fd;

        for (int i = 0; i < N_TABLES; i += N_AT_ONCE) {
                FILE *nft = popen(NFT " -f -", "we");

                assert_non_null(nft);
                for (int j = i; j < i + N_AT_ONCE; j++)
                        fprintf(nft, "add table ip table-with-a-long-name-number-%d\n", j);
                assert_int_equal(pclose(nft), 0);
        }
        fd = next_fd();
        assert_int_equal(engine_open(&e), 0);
        put_something(&e, t->d);
        kernel_leave_unread(fd);
        unit_equal("holds", engine_holds(&e), 1);
        fd = next_fd();
        assert_int_equal(engine_holds(&e), 1);
        engine_close(&e);
        fd = next_fd();
        assert_int_equal(engine_open(&e), 0);
        put_something(&e, t->d);
        kernel_leave_unread(fd);
        assert_int_equal(engine_refresh(&e, t->d), 0);
        assert_int_equal(engine_is_open(&e), 0);
        assert_int_equal(engine_remove(&e, &was_there, t->d), 0);
        assert_true(was_there);
        shell(NFT " flush ruleset");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                kernel_test(what_is_followed_for_years_takes_no_more_memory),
                kernel_test(what_others_change_is_seen_whenever_it_is_asked),
                kernel_test(a_table_that_nobody_changed_meanwhile_is_taken_over_as_it_is),
                kernel_test(what_was_found_is_kept_where_that_is_wanted),
                kernel_test(a_link_that_is_stuck_can_be_used_again),
        };

        if (kernel_enter_namespace() < 0)
                return 1;
        return cmocka_run_group_tests(tests, NULL, NULL);
}
