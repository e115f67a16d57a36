/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Tables as the kernel returns them, and, in a network namespace of this program's own, those that
 * iptables-legacy makes. */

#include "nft/legacy.h"

#include <net/if.h>
#include <sched.h>
#include <sys/socket.h>

#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>

#include "base/unit.h"

#define HEAD                                                                                       \
        sizeof(struct ipt_entry) /* ends with an array of no length: cannot stand in a struct */

typedef struct Entry {
        char bytes[HEAD + sizeof(struct xt_entry_target)];
} Entry;

static Entry make_with(const char *name, uint16_t target, uint16_t next) {
        struct ipt_entry entry = {.target_offset = target, .next_offset = next};
        struct xt_entry_target t = {0};
        Entry e;

        (void)snprintf(t.u.user.name, sizeof(t.u.user.name), "%s", name);
        memcpy(e.bytes, &entry, HEAD);
        memcpy(e.bytes + HEAD, &t, sizeof(t));
        return e;
}

static Entry make(const char *name) {
        return make_with(name, HEAD, sizeof(Entry));
}

static void the_first_target_that_could_let_in_is_told(void **state) {
        const Entry list[] = {make(""), make("LOG"), make("DNAT"), make("REDIRECT"), make("ERROR")};
        LegacyTable table;

        assert_int_equal(legacy_parse(*state, FAMILY_IPV4, list, sizeof(list), &table), 0);
        assert_string_equal(table.target, "DNAT");
        assert_int_equal(legacy_parse(*state, FAMILY_IPV4, list, 2 * sizeof(*list), &table), 0);
        assert_null(table.target);
        assert_int_equal(table.n_rules, 2);
}

static void entries_that_lead_nowhere_are_refused(void **state) {
        static const struct {
                uint16_t target, next;
        } rows[] = {{0, 0},
                    {HEAD, 0},
                    {0, sizeof(Entry)},
                    {HEAD, UINT16_MAX},
                    {sizeof(Entry), HEAD},
                    {HEAD, HEAD + 4}};
        LegacyTable table;

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                Entry e = make_with("DNAT", rows[i].target, rows[i].next);

                unit_equal("entry", legacy_parse(*state, FAMILY_IPV4, &e, sizeof(e), &table),
                           -EPROTO);
        }
        for (size_t size = 1; size < sizeof(Entry); size++) {
                Entry e = make("DNAT");

                unit_equal("size", legacy_parse(*state, FAMILY_IPV4, &e, size, &table), -EPROTO);
        }
}

static void reads_what_iptables_has_made(void **state) {
        static const struct {
                const char *command;
                Family family;
                const char *table, *target;
                size_t n_rules;
                bool may_refuse;
        } rows[] = {
                {"iptables-legacy -A INPUT -p tcp --dport 80 -j DROP", FAMILY_IPV4, "filter", NULL,
                 1, true},
                {"iptables-legacy -F; iptables-legacy -A INPUT -j ACCEPT", FAMILY_IPV4, "filter",
                 NULL, 1, false},
                {"iptables-legacy -F; iptables-legacy -P INPUT DROP", FAMILY_IPV4, "filter", NULL,
                 0, true},
                {"ip6tables-legacy -N own; ip6tables-legacy -A INPUT -j own", FAMILY_IPV6, "filter",
                 NULL, 1, false},
                {"iptables-legacy -t raw -A PREROUTING -p tcp -j NOTRACK", FAMILY_IPV4, "raw", "CT",
                 1, true},
                {"ip6tables-legacy -t nat -A PREROUTING -p tcp --dport 80 -j REDIRECT --to-ports 8",
                 FAMILY_IPV6, "nat", "REDIRECT", 1, true},
        };
        LegacyTable table;

        assert_int_equal(legacy_read(*state, FAMILY_IPV4, "no-such-table", &table), -ENOENT);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                unit_equal(rows[i].command, system(rows[i].command), 0);
                unit_equal(rows[i].command,
                           legacy_read(*state, rows[i].family, rows[i].table, &table), 0);
                unit_equal(rows[i].command, table.n_rules, rows[i].n_rules);
                unit_equal(rows[i].command, table.may_refuse, rows[i].may_refuse);
                if (rows[i].target)
                        assert_string_equal(table.target, rows[i].target);
                else
                        assert_null(table.target);
        }
}

static uint64_t digest(int fd, const char *command) {
        uint64_t hash = 7;

        unit_equal(command, system(command), 0);
        unit_equal(command, legacy_digest(fd, FAMILY_IPV4, "mangle", &hash), 0);
        return hash;
}

static void another_table_has_another_digest_and_what_rules_count_is_none(void **state) {
        _cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        uint64_t empty, one, two, hash = 7;

        assert_int_equal(legacy_digest(fd, FAMILY_IPV4, "no-such-table", &hash), -ENOENT);
        assert_int_equal(hash, 7);
        empty = digest(fd, "iptables-legacy -t mangle -S >/dev/null");
        one = digest(fd, "iptables-legacy -t mangle -A INPUT -p udp --dport 9 -j DROP");
        assert_true(empty != one);
        /* as if it had seen packets */
        assert_true(digest(fd,
                           "iptables-legacy-save -c -t mangle | sed 's/^.0:0. -A/[5:300] -A/' | "
                           "iptables-legacy-restore -c; iptables-legacy -t mangle -nvL INPUT | "
                           "grep -q '5  *300'") == one);
        two = digest(fd, "iptables-legacy -t mangle -R INPUT 1 -p udp --dport 8 -j DROP");
        assert_true(two != one && two != empty);
        assert_true(digest(fd, "iptables-legacy -t mangle -F") == empty);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                unit_arena_test(the_first_target_that_could_let_in_is_told),
                unit_arena_test(entries_that_lead_nowhere_are_refused),
                unit_arena_test(reads_what_iptables_has_made),
                cmocka_unit_test(another_table_has_another_digest_and_what_rules_count_is_none),
        };

        if (unshare(CLONE_NEWNET) < 0) {
                perror("legacy_test needs root");
                return 1;
        }
        return cmocka_run_group_tests(tests, NULL, NULL);
}
