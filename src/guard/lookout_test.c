/* SPDX-License-Identifier: GPL-2.0-or-later */

/* With the running kernel, and programs that end at once. */

#include "guard/lookout.h"

#include <sys/stat.h>
#include <sys/wait.h>

#include "nft/kernel_unit.h"

/* The kernel tells numbers of the first process namespace (PROC_PID_INIT_INO). */
static bool sees_pids(void) {
        struct stat st;

        return stat("/proc/self/ns/pid", &st) == 0 && st.st_ino == 0xEFFFFFFCU;
}

/* The generation that a program brought, and its number. */
static uint32_t change(Test *t, pid_t *ret_pid) {
        uint32_t generation = 0;
        int status;
        pid_t child = fork();

        if (child == 0) {
                (void)execl(NFT, "nft", "add table ip other; delete table ip other", NULL);
                _exit(1);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
        assert_int_equal(nft_link_generation(t->link, &generation), 0);
        *ret_pid = child;
        return generation;
}

static void whoever_it_was_is_known_by_the_generation(void **state) {
        _cleanup_(lookout_freep) Lookout *w = NULL;
        uint32_t generations[3];
        pid_t pids[3];
        Test *t = *state;
        Who who;

        assert_int_equal(lookout_new(&w), 0);
        for (size_t i = 0; i < ARRAY_SIZE(pids); i++)
                generations[i] = change(t, &pids[i]);
        for (size_t i = 0; i < ARRAY_SIZE(pids); i++) {
                assert_true(lookout_find(w, generations[i], t->arena, &who));
                assert_string_equal(who.name, "nft");
                if (sees_pids())
                        assert_int_equal(who.pid, pids[i]);
                if (who.known && who.process.command)
                        assert_non_null(strstr(who.process.command, "table ip other"));
        }
}

static void what_was_before_it_looked_or_is_to_come_it_does_not_know(void **state) {
        _cleanup_(lookout_freep) Lookout *w = NULL;
        Test *t = *state;
        pid_t pid;
        uint32_t before = change(t, &pid);
        Who who;

        assert_int_equal(lookout_new(&w), 0);
        assert_false(lookout_find(w, before, t->arena, &who));
        assert_false(lookout_find(w, change(t, &pid) + 5, t->arena, &who));
}

static void its_own_process_is_nobody(void **state) {
        _cleanup_(lookout_freep) Lookout *w = NULL;
        Test *t = *state;
        uint32_t generation;
        Who who;

        assert_int_equal(lookout_new(&w), 0);
        (void)apply_and_check("own", t, sample_closed(t->arena));
        assert_int_equal(nft_link_generation(t->link, &generation), 0);
        if (sees_pids())
                assert_false(lookout_find(w, generation, t->arena, &who));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                kernel_test(whoever_it_was_is_known_by_the_generation),
                kernel_test(what_was_before_it_looked_or_is_to_come_it_does_not_know),
                kernel_test(its_own_process_is_nobody),
        };

        if (kernel_enter_namespace() < 0)
                return 1;
        return cmocka_run_group_tests(tests, NULL, NULL);
}
