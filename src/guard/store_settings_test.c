/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guard/store_codec.h"
#include "guard/store_unit.h"

/* What is kept of the policy besides its rules. */

/* As they were written before alerts were known, they are still read. */
static void alerts_are_kept_and_an_entry_without_them_is_as_it_was(void **state) {
        StoreTest *t = *state;
        StoreContent without = store_test_content(t->arena, 1), with = without, back;
        _cleanup_(byte_writer_donep) ByteWriter plain = {0}, longer = {0};
        ByteReader r;

        with.settings.alerts.webhook = "https://example.org/hook";
        store_put_content(&plain, &without);
        store_put_content(&longer, &with);
        r = byte_reader(plain.bytes, plain.size);
        store_get_content(&r, t->arena, &back);
        assert_null(r.wrong);
        assert_null(back.settings.alerts.run);
        assert_null(back.settings.alerts.webhook);
        r = byte_reader(longer.bytes, longer.size);
        store_get_content(&r, t->arena, &back);
        assert_null(r.wrong);
        assert_null(back.settings.alerts.run);
        assert_string_equal(back.settings.alerts.webhook, "https://example.org/hook");
        assert_memory_equal(plain.bytes, longer.bytes, plain.size);
        /* but not cut off anywhere within */
        for (size_t size = plain.size + 1; size < longer.size; size++) {
                r = byte_reader(longer.bytes, size);
                store_get_content(&r, t->arena, &back);
                assert_non_null(r.wrong);
        }
}

static void rules_for_bans_are_kept_and_an_entry_without_them_is_as_it_was(void **state) {
        StoreTest *t = *state;
        StoreContent without = store_test_content(t->arena, 1), with = without, back;
        _cleanup_(byte_writer_donep) ByteWriter plain = {0}, longer = {0};
        ZonePart never = {.any_interface = true};
        ByteReader r;

        without.settings.alerts.run = with.settings.alerts.run = "/bin/tell";
        assert_int_equal(range_set_add(t->arena, &never.fixed[FAMILY_IPV4],
                                       (Range){u128(0x0a000000), u128(0x0affffff)}),
                         0);
        assert_int_equal(
                range_set_add(t->arena, &never.connected, range_single(interface_value("lan0"))),
                0);
        with.settings.bans.rules.escalate = (Escalation){2, 86400};
        with.settings.bans.rules.ipv6_cap = 48;
        with.settings.bans.never = &never;
        with.settings.bans.n_never = 1;
        store_put_content(&plain, &without);
        store_put_content(&longer, &with);
        assert_memory_equal(plain.bytes, longer.bytes, plain.size);
        r = byte_reader(plain.bytes, plain.size);
        store_get_content(&r, t->arena, &back);
        assert_null(r.wrong);
        assert_int_equal(back.settings.bans.rules.ipv6_cap, 64);
        assert_int_equal(back.settings.bans.rules.max, BANS_MAX);
        r = byte_reader(longer.bytes, longer.size);
        store_get_content(&r, t->arena, &back);
        assert_null(r.wrong);
        assert_int_equal(back.settings.bans.rules.escalate.factor, 2);
        assert_int_equal(back.settings.bans.rules.escalate.longest, 86400);
        assert_int_equal(back.settings.bans.rules.ipv6, 64);
        assert_int_equal(back.settings.bans.rules.ipv6_cap, 48);
        assert_int_equal(back.settings.bans.n_never, 1);
        assert_true(range_set_equal(&back.settings.bans.never[0].fixed[FAMILY_IPV4],
                                    &never.fixed[FAMILY_IPV4]));
        assert_true(range_set_equal(&back.settings.bans.never[0].connected, &never.connected));
        for (size_t size = plain.size + 1; size < longer.size; size++) {
                r = byte_reader(longer.bytes, size);
                store_get_content(&r, t->arena, &back);
                assert_non_null(r.wrong);
        }
}

static StoreSettings settings_of(Arena *a, const char *text) {
        static const char catalogue[] = "ringwall: 1\n"
                                        "zones:\n"
                                        "  private: 10.0.0.0/8\n"
                                        "  containers: { interfaces: docker0 }\n"
                                        "  vms: { interfaces: \"virbr*\" }\n"
                                        "services: { ssh: { tcp: 22 } }\n";
        HostNetwork network = {
                interface_value("eth0"), FAMILY_IPV4, {{0, 0xc0a80100}, {0, 0xc0a801ff}}};
        Source below = {"catalogue.yaml", catalogue, sizeof(catalogue) - 1};
        Source above = {"policy.yaml", text, strlen(text)};
        Diag *d = diag_new(a);
        StoreSettings s;
        Policy *policy;

        if (policy_load_text_on_link(a, below, above, &network, 1, &policy, d) < 0)
                fail_msg("%s", d->messages[0].text);
        assert_int_equal(store_settings(a, policy, &s), 0);
        return s;
}

static void settings_are_what_the_policy_says(void **state) {
        StoreTest *t = *state;
        StoreSettings s = settings_of(t->arena, "ringwall: 1\n");

        assert_int_equal(s.confirm, 120);
        assert_int_equal(s.mark, 0x10000000);
        assert_true(s.cut_denied);
        assert_int_equal(s.n_rescue, 0);
        s = settings_of(t->arena,
                        "ringwall: 1\n"
                        "zones: { lan: { connected: [eth0] }, vpn: { interfaces: [wg0] } }\n"
                        "settings:\n"
                        "  rescue: [lan, vpn, 203.0.113.7]\n"
                        "  confirm: 60s\n"
                        "  cut-denied: no\n"
                        "  ownership: off\n"
                        "  drift: alert\n"
                        "  alerts: { run: /bin/tell }\n");
        assert_int_equal(s.confirm, 60);
        assert_false(s.cut_denied);
        assert_int_equal(s.ownership, OWNERSHIP_OFF);
        assert_int_equal(s.drift, DRIFT_ALERT);
        assert_string_equal(s.alerts.run, "/bin/tell");
        assert_int_equal(s.n_rescue, 3);
        /* the networks as they were, which nobody can look up at boot */
        assert_true(range_set_contains(&s.rescue[0].addresses[FAMILY_IPV4], u128(0xc0a80107)));
        assert_int_equal(s.rescue[0].connected.n_items, 0);
        assert_true(s.rescue[1].any_address && !s.rescue[1].any_interface);
        assert_true(range_set_contains(&s.rescue[1].interfaces, interface_value("wg0")));
        assert_true(s.rescue[2].any_interface && !s.rescue[2].any_address);
        assert_true(range_set_contains(&s.rescue[2].addresses[FAMILY_IPV4], u128(0xcb007107)));
        assert_int_equal(s.bans.n_never, 0);
        assert_int_equal(s.bans.rules.widest[FAMILY_IPV4], 16);
        s = settings_of(t->arena, "ringwall: 1\n"
                                  "zones: { lan: { connected: eth0 } }\n"
                                  "bans: { never: [lan, 203.0.113.7, private], max: 5 }\n");
        assert_int_equal(s.bans.rules.max, 5);
        assert_int_equal(s.bans.n_never, 3);
        /* followed as they change, unlike the way in of the rescue */
        assert_int_equal(s.bans.never[0].fixed[FAMILY_IPV4].n_items, 0);
        assert_true(range_set_contains(&s.bans.never[0].connected, interface_value("eth0")));
        assert_true(range_set_contains(&s.bans.never[1].fixed[FAMILY_IPV4], u128(0xcb007107)));
        assert_true(range_set_contains(&s.bans.never[2].fixed[FAMILY_IPV4], u128(0x0a000001)));
        s = settings_of(t->arena, "ringwall: 1\nsettings: { rescue: anywhere }\n");
        assert_int_equal(s.n_rescue, 1);
        assert_true(s.rescue[0].any_interface && s.rescue[0].any_address);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                store_test(alerts_are_kept_and_an_entry_without_them_is_as_it_was),
                store_test(rules_for_bans_are_kept_and_an_entry_without_them_is_as_it_was),
                store_test(settings_are_what_the_policy_says),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
