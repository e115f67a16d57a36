/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/unit.h"

#include "host/tree_unit.h"

#define FILE_ "/usr/lib/systemd/system/ringwalld.service"
#define MASK "/etc/systemd/system/ringwalld.service"
#define LINK "/etc/systemd/system/sysinit.target.wants/ringwalld.service"

static void the_links_tell_what_is_started(void **state) {
        static const struct {
                const char *path, *target; /* of a link; "": a file */
                UnitStart start;
                const char *seen;
        } steps[] = {
                {NULL, NULL, UNIT_MISSING, NULL},
                {FILE_, "", UNIT_DISABLED, FILE_},
                {"/run/systemd/system/sysinit.target.wants/ringwalld.service", FILE_, UNIT_DISABLED,
                 FILE_},
                {LINK, FILE_, UNIT_ENABLED, LINK},
                {MASK, "/dev/null", UNIT_MASKED, MASK},
        };
        const Tree *t = *state;

        for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
                UnitStart start;
                const char *seen;

                if (steps[i].path && *steps[i].target)
                        tree_link(t, steps[i].path, steps[i].target);
                else if (steps[i].path)
                        tree_write(t, steps[i].path, "[Service]\n");
                assert_int_equal(unit_read_start(t, UNIT_DAEMON, &start, &seen), 0);
                assert_int_equal(start, steps[i].start);
                if (steps[i].seen)
                        assert_string_equal(seen, steps[i].seen);
                else
                        assert_null(seen);
        }
}

static void an_administrators_own_unit_is_no_mask(void **state) {
        const Tree *t = *state;
        UnitStart start;
        const char *seen;

        tree_write(t, MASK, "[Service]\n");
        tree_link(t, LINK, MASK);
        assert_int_equal(unit_read_start(t, UNIT_DAEMON, &start, &seen), 0);
        assert_int_equal(start, UNIT_ENABLED);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                tree_test(the_links_tell_what_is_started),
                tree_test(an_administrators_own_unit_is_no_mask),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
