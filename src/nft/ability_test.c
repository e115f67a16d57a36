/* SPDX-License-Identifier: GPL-2.0-or-later */

/* With the running kernel: what is said of it is what nft, or the kernel's version, says. */

#include "nft/ability.h"

#include <sys/utsname.h>

#include "nft/kernel_unit.h"

static Ability *probe(Test *t, size_t *ret_n) {
        Ability *list = NULL;

        assert_int_equal(nft_probe_abilities(t->link, t->arena, &list, ret_n), 0);
        assert_true(*ret_n > 10);
        return list;
}

static bool is_there(const Ability *list, size_t n, const char *id) {
        for (size_t i = 0; i < n; i++)
                if (streq(list[i].id, id))
                        return list[i].is_there;
        fail_msg("nobody asked for '%s'", id);
        return false;
}

static const struct Try {
        const char *id, *chain, *text;
} tries[] = {
        {"conntrack", "input", "ct state new"},
        {"fib", "prerouting", "fib saddr oif missing"},
        {"fib-in-filter", "input", "fib saddr oif missing"},
        {"reject", "input", "reject with icmpx admin-prohibited"},
        {"limit", "input", "limit rate 1/second"},
        {"per-source", "input", "update @seen { meta mark limit rate 1/second }"},
        {"connections", "input", "ct count 1"},
        {"log", "input", "log group 1"},
        {"user", "output", "meta skuid 7"},
        {"time", "input", "meta time < 1900000000"},
        {"nat", "postrouting", "masquerade"},
};

static void says_what_nft_meets(void **state) {
        Test *t = *state;
        size_t n;
        Ability *list = probe(t, &n);

        shell(NFT " 'add table inet try; add chain inet try input { type filter hook input "
                  "priority 0; };"
                  "add chain inet try output { type filter hook output priority 0; };"
                  "add chain inet try prerouting { type filter hook prerouting priority 0; };"
                  "add chain inet try postrouting { type nat hook postrouting priority 0; };"
                  "add set inet try seen { type mark; size 64; flags dynamic, timeout; }'");
        for (size_t i = 0; i < ARRAY_SIZE(tries); i++) {
                char *command = arena_printf(t->arena, NFT " add rule inet try %s '%s' 2>/dev/null",
                                             tries[i].chain, tries[i].text);

                unit_equal(tries[i].id, is_there(list, n, tries[i].id), system(command) == 0);
        }
        shell(NFT " delete table inet try");
}

static void owners_come_with_the_kernels_version(void **state) {
        Test *t = *state;
        size_t n;
        const Ability *list = probe(t, &n);
        struct utsname name;
        char *rest;
        long major, minor;

        assert_int_equal(uname(&name), 0);
        major = strtol(name.release, &rest, 10);
        minor = strtol(rest + 1, NULL, 10);
        assert_int_equal(is_there(list, n, "owner"), major > 5 || (major == 5 && minor >= 12));
        assert_int_equal(is_there(list, n, "persist"), major > 6 || (major == 6 && minor >= 9));
        assert_true(is_there(list, n, "nftables"));
}

static void leaves_no_trace(void **state) {
        Test *t = *state;
        uint32_t before, after;
        size_t n;

        assert_int_equal(nft_link_generation(t->link, &before), 0);
        (void)probe(t, &n);
        assert_int_equal(nft_link_generation(t->link, &after), 0);
        assert_int_equal(before, after);
        shell("test -z \"$(" NFT " list tables)\"");
}

static void needs_privileges(void **state) {
        Test *t = *state;
        NftLink *link = NULL;
        Ability *list;
        size_t n;
        int r;

        assert_int_equal(seteuid(65534), 0);
        r = nft_link_open(&link);
        if (r == 0)
                r = nft_probe_abilities(link, t->arena, &list, &n);
        (void)nft_link_close(link);
        assert_int_equal(seteuid(0), 0);
        assert_int_equal(r, -EPERM);
}

static void everything_is_explained(void **state) {
        Test *t = *state;
        size_t n;
        const Ability *list = probe(t, &n);

        for (size_t i = 0; i < n; i++)
                unit_true(list[i].id, list[i].name && list[i].lack && list[i].advice);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                kernel_test(says_what_nft_meets),
                kernel_test(owners_come_with_the_kernels_version),
                kernel_test(leaves_no_trace),
                kernel_test(needs_privileges),
                kernel_test(everything_is_explained),
        };

        if (kernel_enter_namespace() < 0)
                return 1;
        return cmocka_run_group_tests(tests, NULL, NULL);
}
