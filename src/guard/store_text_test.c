/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guard/store_text.h"
#include "guard/store_unit.h"

#define HEAD "ringwall: 1\nzones: { lan: { connected: [eth0] }, vpn: { interfaces: [wg0] } }\n"

/* "settings.confirm: 120s → 60s; ..." */
static const char *text_of(Arena *a, const char *before, const char *after) {
        StoreSettings x = {0}, y = store_test_settings(a, after);
        const char *text = "";
        StoreChange *list;
        size_t n;

        if (before)
                x = store_test_settings(a, before);
        assert_int_equal(store_compare(a, before ? &x : NULL, &y, &list, &n), 0);
        for (size_t i = 0; i < n; i++) {
                const StoreChange *c = &list[i];

                text = arena_printf(a, "%s%s%s.%s: %s → %s", text, i > 0 ? "; " : "", c->section,
                                    c->key, c->before ? c->before : "", c->after ? c->after : "");
                assert_non_null(text);
        }
        return text;
}

static void what_changes_is_told_in_the_policys_words(void **state) {
        static const struct {
                const char *name, *before, *after, *expected;
        } rows[] = {
                {"nothing is said", NULL, HEAD, ""},
                {"the defaults are said", NULL, HEAD "settings: { confirm: 2m, drift: heal }\n",
                 ""},
                {"something is said", NULL, HEAD "settings: { confirm: 1m }\n",
                 "settings.confirm:  → 60s"},
                {"the same", HEAD "bans: { max: 7 }\n", HEAD "bans: { max: 7 }\n", ""},
                {"rules alone differ", HEAD, HEAD "inbound: [{ allow: ssh, from: vpn }]\n", ""},
                {"a default is left", HEAD, HEAD "bans: { max: 7 }\n", "bans.max: 1000000 → 7"},
                {"and taken again", HEAD "settings: { cut-denied: no, ownership: off }\n", HEAD,
                 "settings.cut-denied: no → yes; settings.ownership: off → auto"},
                {"alerts come", HEAD, HEAD "settings: { alerts: { run: /bin/tell } }\n",
                 "settings.alerts:  → { run: /bin/tell }"},
                {"and go", HEAD "settings: { alerts: { webhook: \"https://a.example\" } }\n", HEAD,
                 "settings.alerts: { webhook: https://a.example } → "},
                {"a token is not shown", HEAD,
                 HEAD "settings: { alerts: { webhook: "
                      "\"https://h.example:8443/hook/s3cret?k=s3cret\" } }\n",
                 "settings.alerts:  → { webhook: https://h.example:8443/… }"},
                {"nor a password", HEAD,
                 HEAD "settings: { alerts: { webhook: \"https://me:s3cret@h.example\" } }\n",
                 "settings.alerts:  → { webhook: https://h.example/… }"},
                {"nor one with an at sign in it, or in a query", HEAD,
                 HEAD
                 "settings: { alerts: { webhook: \"https://a@b:s3cret@h.example?u=x@s3cret\" } }\n",
                 "settings.alerts:  → { webhook: https://h.example/… }"},
                {"but that it is another one",
                 HEAD "settings: { alerts: { webhook: \"https://h.example/hook/s3cret\" } }\n",
                 HEAD "settings: { alerts: { webhook: \"https://h.example/hook/other\" } }\n",
                 "settings.alerts: { webhook: https://h.example/… } → "
                 "{ webhook: https://h.example/… } (another URL)"},
                {"beside another change",
                 HEAD
                 "settings: { alerts: { run: /bin/a, webhook: \"https://h.example/s3cret\" } }\n",
                 HEAD
                 "settings: { alerts: { run: /bin/b, webhook: \"https://h.example/other\" } }\n",
                 "settings.alerts: { run: /bin/a, webhook: https://h.example/… } → "
                 "{ run: /bin/b, webhook: https://h.example/… } (another URL)"},
                {"another host is seen",
                 HEAD "settings: { alerts: { webhook: \"https://h.example/s3cret\" } }\n",
                 HEAD "settings: { alerts: { webhook: \"https://i.example/s3cret\" } }\n",
                 "settings.alerts: { webhook: https://h.example/… } → "
                 "{ webhook: https://i.example/… }"},
                {"the same token is no change",
                 HEAD "settings: { alerts: { webhook: \"https://h.example/s3cret\" } }\n",
                 HEAD "settings: { alerts: { webhook: \"https://h.example/s3cret\" } }\n", ""},
                {"rescue by interface and address", HEAD,
                 HEAD "settings: { rescue: [vpn, 203.0.113.0/24] }\n",
                 "settings.rescue:  → wg0; 203.0.113.0/24"},
                {"rescue from anywhere", HEAD, HEAD "settings: { rescue: anywhere }\n",
                 "settings.rescue:  → anywhere"},
                {"bans of every kind", HEAD,
                 HEAD "bans: { never: [lan, 203.0.113.7], escalate: 2x up to 36h,\n"
                      "  ipv6: /64 up to /48, widest: { ipv4: /20 } }\n",
                 "bans.escalate:  → 2x up to 36h; bans.ipv6: /64 → /64 up to /48; "
                 "bans.never:  → connected to eth0; 203.0.113.7; "
                 "bans.widest: { ipv4: /16, ipv6: /32 } → { ipv4: /20, ipv6: /32 }"},
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                unit_string(rows[i].name, text_of(*state, rows[i].before, rows[i].after),
                            rows[i].expected);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                unit_arena_test(what_changes_is_told_in_the_policys_words),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
