/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/ufw.h"

#include "host/tree_unit.h"

/* As ufw 0.36 writes it. */
static const char rules4[] = "*filter\n"
                             ":ufw-user-input - [0:0]\n"
                             "### RULES ###\n"
                             "\n"
                             "### tuple ### limit tcp 22 0.0.0.0/0 any 0.0.0.0/0 in\n"
                             "-A ufw-user-input -p tcp --dport 22 -j ufw-user-limit-accept\n"
                             "\n"
                             "### tuple ### allow tcp 80,443 0.0.0.0/0 any 0.0.0.0/0 "
                             "Nginx%20Full - in\n"
                             "### tuple ### allow any 5432 10.0.0.5 any 10.40.10.0/24 in_eth0 "
                             "comment=746865206461746162617365\n"
                             "### tuple ### deny_log any any 0.0.0.0/0 any 192.0.2.66 in\n"
                             "### tuple ### allow udp 60000:61000 0.0.0.0/0 any 0.0.0.0/0 in\n"
                             "### tuple ### route:allow tcp 80 10.0.3.7 any 0.0.0.0/0 "
                             "in_eth0!out_lxdbr0\n"
                             "### tuple ### reject tcp 25 0.0.0.0/0 any 0.0.0.0/0 out\n"
                             "### tuple ### allow tcp 2222 0.0.0.0/0 1024:65535 0.0.0.0/0\n"
                             "### END RULES ###\n"
                             "COMMIT\n";

static const char *describe(Arena *a, const UfwRule *rule) {
        char from[ADDRESS_TEXT_MAX] = "any", to[ADDRESS_TEXT_MAX] = "any";
        const char *ports = "";

        if (rule->has_source)
                (void)address_range_print(rule->family, rule->source, from);
        if (rule->has_destination)
                (void)address_range_print(rule->family, rule->destination, to);
        for (size_t i = 0; i < rule->ports.n_items; i++)
                ports = arena_printf(a, "%s %d-%d", ports, (int)rule->ports.items[i].low.low,
                                     (int)rule->ports.items[i].high.low);
        return arena_printf(a, "%s%s%s %s%s from %s to %s in %s out %s%s '%s'",
                            rule->is_routed ? "route " : "", rule->is_outgoing ? "out " : "",
                            ufw_action_to_string(rule->action), rule->protocol, ports, from, to,
                            rule->in ? rule->in : "-", rule->out ? rule->out : "-",
                            rule->has_source_ports ? " sports" : "", rule->name ? rule->name : "");
}

static void reads_what_ufw_writes(void **state) {
        static const char *const expected[] = {
                "limit tcp 22-22 from any to any in - out - ''",
                "allow tcp 80-80 443-443 from any to any in - out - 'Nginx Full'",
                "allow any 5432-5432 from 10.40.10.0/24 to 10.0.0.5 in eth0 out - 'the database'",
                "deny any from 192.0.2.66 to any in - out - ''",
                "allow udp 60000-61000 from any to any in - out - ''",
                "route allow tcp 80-80 from any to 10.0.3.7 in eth0 out lxdbr0 ''",
                "out reject tcp 25-25 from any to any in - out - ''",
                "allow tcp 2222-2222 from any to any in - out - sports ''",
                "allow tcp 22-22 from fd00::/8 to any in - out - ''",
        };
        const Tree *t = *state;
        Ufw ufw;

        tree_write(t, "/etc/ufw/ufw.conf", "# set to yes to start on boot\nENABLED=yes\n");
        tree_write(t, "/etc/ufw/user.rules", rules4);
        tree_write(t, "/etc/ufw/user6.rules", "### tuple ### allow tcp 22 ::/0 any fd00::/8 in\n");
        assert_int_equal(ufw_read(t, &ufw), 0);
        assert_true(ufw.is_enabled);
        assert_false(ufw.is_unreadable);
        assert_int_equal(ufw.n_left_out, 0);
        assert_int_equal(ufw.n_rules, ARRAY_SIZE(expected));
        for (size_t i = 0; i < ARRAY_SIZE(expected); i++)
                unit_string(expected[i], describe(t->arena, &ufw.rules[i]), expected[i]);
}

static void without_ufw_there_is_nothing(void **state) {
        Ufw ufw;

        assert_int_equal(ufw_read(*state, &ufw), 0);
        assert_false(ufw.is_enabled || ufw.is_unreadable);
        assert_int_equal(ufw.n_rules, 0);
}

static void what_is_no_file_is_not_read(void **state) {
        const Tree *t = *state;
        Ufw ufw;

        (void)tree_folder(t, "/etc/ufw/user.rules");
        assert_int_equal(ufw_read(t, &ufw), 0);
        assert_true(ufw.is_unreadable);
}

static void what_cannot_be_made_out_is_counted(void **state) {
        static const char *const lines[] = {
                "",
                "allow tcp 22 0.0.0.0/0 any",
                "permit tcp 22 0.0.0.0/0 any 0.0.0.0/0 in",
                "allow tpc 22 0.0.0.0/0 any 0.0.0.0/0 in",
                "allow tcp 0 0.0.0.0/0 any 0.0.0.0/0 in",
                "allow tcp 65536 0.0.0.0/0 any 0.0.0.0/0 in",
                "allow tcp 30:20 0.0.0.0/0 any 0.0.0.0/0 in",
                "allow tcp 22, 0.0.0.0/0 any 0.0.0.0/0 in",
                "allow tcp 22 0.0.0.0/0 x 0.0.0.0/0 in",
                "allow tcp 22 nowhere any 0.0.0.0/0 in",
                "allow tcp 22 0.0.0.0/0 any fd00::/8 in",
                "allow tcp 22 0.0.0.0/0 any 0.0.0.0/0 sideways",
                "allow tcp 22 0.0.0.0/0 any 0.0.0.0/0 a b in c",
        };
        Ufw ufw = {0};

        for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
                const char *text = arena_printf(*state, "### tuple ### %s\n", lines[i]);

                assert_int_equal(ufw_take(*state, text, strlen(text), FAMILY_IPV4, &ufw), 0);
                unit_equal(lines[i], ufw.n_rules, 0);
                unit_equal(lines[i], ufw.n_left_out, i + 1);
        }
}

static void names_and_comments_stay_in_their_line(void **state) {
        /* a newline and a rule, an escape sequence, half a byte */
        static const char text[] = "### tuple ### allow tcp 1 0.0.0.0/0 any 0.0.0.0/0 in "
                                   "comment=0a2d207b20616c6c6f773a20616e79207d1b5b33316d7\n"
                                   "### tuple ### allow tcp 2 0.0.0.0/0 any 0.0.0.0/0 "
                                   "a\033[31m\xff - in_e\033\n";
        Ufw ufw = {0};

        assert_int_equal(ufw_take(*state, text, sizeof(text) - 1, FAMILY_IPV4, &ufw), 0);
        assert_int_equal(ufw.n_rules, 2);
        assert_string_equal(ufw.rules[0].name, "?- { allow: any }?[31m");
        assert_string_equal(ufw.rules[1].name, "a?[31m?");
        assert_string_equal(ufw.rules[1].in, "e?");
}

static void more_rules_than_anybody_has_are_counted(void **state) {
        static const char line[] = "### tuple ### allow tcp 1 0.0.0.0/0 any 0.0.0.0/0 in\n";
        Ufw ufw = {0};

        for (size_t i = 0; i < UFW_RULES_MAX + 2; i++)
                assert_int_equal(ufw_take(*state, line, sizeof(line) - 1, FAMILY_IPV4, &ufw), 0);
        assert_int_equal(ufw.n_rules, UFW_RULES_MAX);
        assert_int_equal(ufw.n_left_out, 2);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                tree_test(reads_what_ufw_writes),
                tree_test(without_ufw_there_is_nothing),
                tree_test(what_is_no_file_is_not_read),
                unit_arena_test(what_cannot_be_made_out_is_counted),
                unit_arena_test(names_and_comments_stay_in_their_line),
                unit_arena_test(more_rules_than_anybody_has_are_counted),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
