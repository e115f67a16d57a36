/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/load_unit.h"

static Settings decode(Arena *a, const char *text) {
        Loader l = load_start(a);
        PolicyFile file = {.settings = load_entry(&l, text)};

        settings_init(&l.policy->settings);
        if (settings_decode(&l, &file) < 0)
                fail_msg("%s", l.d->messages[0].text);
        return l.policy->settings;
}

static void what_is_not_said_has_its_default(void **state) {
        const Settings s = load(*state, "ringwall: 1\n")->settings;

        assert_int_equal(s.antispoof, ANTISPOOF_LOOSE);
        assert_int_equal(s.essentials, (1 << _ESSENTIAL_MAX) - 1);
        assert_int_equal(s.containers, CONTAINERS_OPEN);
        assert_int_equal(s.mark, 0x10000000);
        assert_int_equal(s.log_limit.number, 10);
        assert_int_equal(s.log_limit.unit, RATE_SECOND);
        assert_true(s.cut_denied);
        assert_false(s.rescue.given);
        assert_int_equal(s.confirm, 120);
        assert_int_equal(s.ownership, OWNERSHIP_AUTO);
        assert_int_equal(s.drift, DRIFT_HEAL);
        assert_null(s.alerts.run);
        assert_null(s.alerts.webhook);
        assert_int_equal(s.counters, COUNTERS_RULES);
}

static void what_is_said_is_taken(void **state) {
        Settings s = decode(*state, "settings: { antispoof: off, essentials: [errors, igmp], "
                                    "containers: closed, mark: 0x400, log-limit: 5/minute, "
                                    "cut-denied: no, rescue: [10.0.0.1, \"fd00::/8\"], "
                                    "confirm: 2m, ownership: off, drift: alert, "
                                    "alerts: { run: /bin/true, webhook: \"https://h/x\" }, "
                                    "counters: off }");

        assert_int_equal(s.antispoof, ANTISPOOF_OFF);
        assert_int_equal(s.essentials, 1 << ESSENTIAL_ERRORS | 1 << ESSENTIAL_IGMP);
        assert_int_equal(s.containers, CONTAINERS_CLOSED);
        assert_int_equal(s.mark, 0x400);
        assert_int_equal(s.log_limit.number, 5);
        assert_int_equal(s.log_limit.unit, RATE_MINUTE);
        assert_false(s.cut_denied);
        assert_true(load_expression_contains(&s.rescue, NULL, "fd00::1"));
        assert_false(load_expression_contains(&s.rescue, NULL, "10.0.0.2"));
        assert_int_equal(s.confirm, 120);
        assert_int_equal(s.ownership, OWNERSHIP_OFF);
        assert_int_equal(s.drift, DRIFT_ALERT);
        assert_string_equal(s.alerts.run, "/bin/true");
        assert_string_equal(s.alerts.webhook, "https://h/x");
        assert_int_equal(s.counters, COUNTERS_OFF);
}

static void other_forms_mean_the_same(void **state) {
        assert_int_equal(decode(*state, "settings: { mark: 1024 }").mark, 0x400);
        assert_int_equal(decode(*state, "settings: { confirm: 90s }").confirm, 90);
        assert_int_equal(decode(*state, "settings: { confirm: 1h }").confirm, 3600);
        assert_int_equal(decode(*state, "settings: { essentials: dhcp }").essentials,
                         1 << ESSENTIAL_DHCP);
        assert_int_equal(decode(*state, "settings: { essentials: [] }").essentials, 0);
        assert_null(decode(*state, "settings: { alerts: none }").alerts.run);
        assert_int_equal(decode(*state, "settings: {}").confirm, 120);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                unit_arena_test(what_is_not_said_has_its_default),
                unit_arena_test(what_is_said_is_taken),
                unit_arena_test(other_forms_mean_the_same),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
