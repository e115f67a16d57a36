/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Of this very process, and of such as are not there. */

#include "guard/who.h"

#include "base/unit.h"

static Commit commit_of(pid_t pid, const char *name) {
        Commit c = {.pid = pid};

        (void)snprintf(c.name, sizeof(c.name), "%s", name);
        return c;
}

static const char *own_name(char buf[COMMIT_NAME_SIZE]) {
        FILE *f = fopen("/proc/self/comm", "re");

        assert_non_null(f);
        assert_non_null(fgets(buf, COMMIT_NAME_SIZE, f));
        (void)fclose(f); /* only read */
        buf[strcspn(buf, "\n")] = '\0';
        return buf;
}

static const char *told(Arena *a, Commit c, bool *ret_known) {
        const Tree tree = {.arena = a, .root = ""};
        Who who;

        assert_int_equal(who_read(&tree, &c, &who), 0);
        *ret_known = who.known;
        return who_describe(a, &who);
}

static void a_process_that_is_there_is_told_with_its_arguments(void **state) {
        Arena *a = *state;
        char name[COMMIT_NAME_SIZE];
        bool known;
        const char *text = told(a, commit_of(getpid(), own_name(name)), &known);

        assert_true(known);
        assert_non_null(strstr(text, "guard_who_test"));
        assert_non_null(strstr(text, arena_printf(a, "(process %d: ", (int)getpid())));
}

static void a_number_that_is_anothers_by_now_names_nobody(void **state) {
        Arena *a = *state;
        bool known;
        const char *text = told(a, commit_of(getpid(), "nft"), &known);

        assert_false(known);
        assert_string_equal(text,
                            arena_printf(a, "nft (process %d, which is gone)", (int)getpid()));
        assert_null(strstr(text, "who_test"));
}

static void without_a_number_or_a_process_nobody_is_known(void **state) {
        Arena *a = *state;
        bool known;

        assert_string_equal(told(a, commit_of(0, ""), &known), "somebody unknown");
        assert_false(known);
        (void)told(a, commit_of(INT32_MAX, "nft"), &known);
        assert_false(known);
}

static void of_another_process_namespace_the_name_is_told(void **state) {
        bool known;

        assert_string_equal(told(*state, commit_of(0, "iptables"), &known),
                            "iptables (a process that is not to be seen from here)");
        assert_false(known);
}

static Who program_of(const char *name, const char *unit, uint32_t login) {
        Who who = {.known = true, .login_uid = login, .pid = 4711};

        (void)snprintf(who.name, sizeof(who.name), "%s", name);
        who.process.cgroup.unit = unit;
        return who;
}

static void what_a_service_runs_again_is_alike(void **state) {
        const Who docker = program_of("iptables", "docker.service", WHO_UNKNOWN_LOGIN);
        Who other = docker;

        other.pid = 4712;
        assert_true(who_is_alike(&docker, &other));
        other = program_of("iptables", "fail2ban.service", WHO_UNKNOWN_LOGIN);
        assert_false(who_is_alike(&docker, &other));
        other = program_of("nft", "docker.service", WHO_UNKNOWN_LOGIN);
        assert_false(who_is_alike(&docker, &other));
        other = docker;
        other.known = false;
        assert_false(who_is_alike(&docker, &other));
}

static void people_are_told_one_by_one(void **state) {
        const Who anna = program_of("nft", "ssh.service", 1000);
        const Who nobody = program_of("nft", NULL, WHO_UNKNOWN_LOGIN);

        assert_false(who_is_alike(&anna, &anna));
        assert_false(who_is_alike(&nobody, &nobody)); /* of which service is not known */
}

static void a_process_is_known_by_its_number_alone_where_that_is_certain(void **state) {
        const Tree tree = {.arena = *state, .root = ""};
        char name[COMMIT_NAME_SIZE];
        Who who;

        assert_int_equal(who_read_process(&tree, getpid(), &who), 0);
        assert_true(who.known);
        assert_string_equal(who.name, own_name(name));
        assert_non_null(strstr(who_describe(*state, &who), "guard_who_test"));
        assert_int_equal(who_read_process(&tree, INT32_MAX, &who), -ESRCH);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                unit_arena_test(a_process_that_is_there_is_told_with_its_arguments),
                unit_arena_test(a_number_that_is_anothers_by_now_names_nobody),
                unit_arena_test(without_a_number_or_a_process_nobody_is_known),
                unit_arena_test(of_another_process_namespace_the_name_is_told),
                unit_arena_test(what_a_service_runs_again_is_alike),
                unit_arena_test(people_are_told_one_by_one),
                unit_arena_test(a_process_is_known_by_its_number_alone_where_that_is_certain),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
