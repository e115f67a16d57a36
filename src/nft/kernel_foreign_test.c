/* SPDX-License-Identifier: GPL-2.0-or-later */

/* With other programs that meddle, and with a kernel that refuses. */

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include "nft/bridges.h"
#include "nft/encode.h"
#include "nft/kernel_unit.h"
#include "nft/probe.h"
#include "nft/remove.h"

static bool has_unknown(const Chain *chain) {
        for (size_t i = 0; i < chain->n_rules; i++)
                for (size_t j = 0; j < chain->rules[i].n_matches; j++)
                        if (chain->rules[i].matches[j].op == MATCH_UNKNOWN)
                                return true;
        return false;
}

/* Each is done to the applied table; `unknown`: a chain must then show that it is not understood.
 */
static void foreign_changes_are_seen_and_healed(void **state) {
        static const struct {
                const char *command;
                bool unknown;
        } rows[] = {
                {"insert rule inet ringwall input quota 1 mbytes accept", true},
                {"insert rule inet ringwall input meta mark 1 accept", true},
                {"insert rule inet ringwall input tcp flags syn counter accept", true},
                {"insert rule inet ringwall input counter ip saddr 10.0.0.1 accept", true},
                {"insert rule inet ringwall input ct reply ip saddr 10.0.0.1 accept", true},
                {"insert rule inet ringwall input log prefix \"x\"", true},
                {"insert rule inet ringwall input limit rate 1/second accept", false},
                {"insert rule inet ringwall input limit rate over 1/second drop", true},
                {"insert rule inet ringwall input ct count over 3 drop", true},
                {"insert rule inet ringwall input ip saddr 10.0.0.1 notrack", true},
                {"insert rule inet ringwall input reject with icmp port-unreachable", true},
                {"insert rule inet ringwall input @th,16,16 22 accept", true},
                {"insert rule inet ringwall input ip saddr 10.0.0.1 accept", false},
                {"insert rule inet ringwall input tcp dport { 1, 5-9 } counter accept", false},
                {"insert rule inet ringwall input jump { accept; }", true},
                {"insert rule inet ringwall input ip saddr vmap { 10.0.0.1 : accept }", false},
                {"add set inet ringwall other { type mark; }", false},
                {"add set inet ringwall other { type ipv4_addr; timeout 1h; }", false},
                {"add chain inet ringwall other", false},
                {"add chain inet ringwall o { type nat hook prerouting priority -5; }", false},
                {"add chain inet ringwall o { type filter hook input priority 5; }", false},
                {"add element inet ringwall clients { 10.9.9.9 }", false},
                {"delete element inet ringwall services { 22 }", false},
                {"flush table inet ringwall", false},
                {"flush chain inet ringwall ssh", false},
                {"delete table inet ringwall", false},
                {"add table inet ringwall { flags dormant; }", false},
                {"add chain inet ringwall input { policy accept; }", false},
        };
        Test *t = *state;
        Ruleset *rs = sample_services(t->arena, true, NULL);

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                const char *command = arena_printf(t->arena, NFT " '%s'", rows[i].command);
                bool unknown = false;
                Ruleset *live;

                (void)apply_and_check(rows[i].command, t, rs);
                shell(command);
                live = read_table(t);
                for (size_t j = 0; j < live->n_chains; j++)
                        unknown |= has_unknown(live->chains[j]);
                unit_equal(rows[i].command, unknown, rows[i].unknown);
                unit_true(rows[i].command, apply_and_check(rows[i].command, t, rs).messages > 0);
                live = read_table(t);
                unit_true(rows[i].command, !(live->flags & NFT_TABLE_F_DORMANT));
        }
}

static void a_table_read_before_a_foreign_commit_is_refused(void **state) {
        Test *t = *state;
        Ruleset *live = read_table(t), *rs = sample_services(t->arena, true, NULL);
        NftChanges changes;

        shell(NFT " add table inet somebody");
        assert_int_equal(nft_apply(t->link, live, rs, &changes, t->d), -EAGAIN);
        assert_int_equal(t->d->n_errors, 0);
        assert_false(read_table(t)->exists);
        shell(NFT " delete table inet somebody");
        (void)apply_and_check("again", t, rs);
}

static const Source policy = {.name = "policy.yaml", .text = "", .size = 0};

static void a_refused_rule_is_told_by_its_place_in_the_policy(void **state) {
        Test *t = *state;
        Ruleset *rs = ruleset_new(t->arena);
        Chain *output = ruleset_add_base_chain(rs, "output", HOOK_OUTPUT);
        Origin origin = {.at = {.source = &policy, .line = 7, .column = 3, .length = 1},
                         .text = "policy.yaml:7: deny everything"};
        NftChanges changes;
        Rule *rule;

        (void)add_rule(rs, output, VERDICT_DROP);
        /* the route back cannot be asked for on the way out */
        rule = chain_add_rule(rs, output, verdict_of(VERDICT_DROP), origin);
        assert_non_null(rule);
        assert_int_equal(rule_match_value(rs, rule, FIELD_FIB_SADDR_OIF, 0), 0);
        assert_int_equal(nft_apply(t->link, read_table(t), rs, &changes, t->d), -EBADMSG);
        assert_int_equal(t->d->n_errors, 1);
        assert_int_equal(t->d->messages[0].at.line, 7);
        assert_non_null(strstr(t->d->messages[0].text, "a rule of chain output"));
        assert_non_null(strstr(t->d->messages[0].text, "policy.yaml:7: deny everything"));
        assert_non_null(t->d->messages[0].hint);
        assert_false(read_table(t)->exists);
}

static void chains_that_something_unknown_leads_to_stay_and_are_told_once(void **state) {
        Test *t = *state;
        Ruleset *before = sample_services(t->arena, true, NULL), *live;
        NftChanges changes;
        size_t n = 0;

        (void)apply_and_check("before", t, before);
        live = read_table(t);
        for (size_t i = 0; i < live->n_sets; i++)
                if (!live->sets[i]->is_map)
                        live->sets[n++] = live->sets[i];
        live->n_sets = n;
        assert_int_equal(nft_apply(t->link, live, sample_closed(t->arena), &changes, t->d),
                         -EBADMSG);
        assert_int_equal(t->d->n_errors, 2);
        assert_non_null(strstr(t->d->messages[0].text, "the removal of chain "));
        t->d = diag_new(t->arena);
        assert_non_null(t->d);
        equal_to_live("refused", t, before);
}

static void a_refused_element_is_told_by_its_place_in_the_policy(void **state) {
        Test *t = *state;
        Ruleset *rs = sample_closed(t->arena);
        Set *set = ruleset_add_set(rs, "pairs", TYPE_IPV4_ADDR);
        NftChanges changes;

        set->types[1] = TYPE_INET_SERVICE;
        set->n_types = 2;
        /* the second one lies inside the first one: refused where fields are concatenated */
        for (uint32_t i = 0; i < 2; i++) {
                Range key[] = {{u128(0x0a000000 + 16 * i), u128(0x0a0000ff - 16 * i)},
                               range_single(u128(80))};
                Element *e = set_add_element(rs, set, key);

                assert_non_null(e);
                e->origin.at = (Span){.source = &policy, .line = 10 + i, .column = 1, .length = 1};
        }
        assert_int_equal(nft_apply(t->link, read_table(t), rs, &changes, t->d), -EBADMSG);
        assert_int_equal(t->d->n_errors, 1);
        assert_int_equal(t->d->messages[0].at.line, 11);
        assert_non_null(strstr(t->d->messages[0].text, "set pairs"));
}

static void a_table_with_another_owner_is_left_alone(void **state) {
        Test *t = *state;
        _cleanup_(nft_link_closep) NftLink *other = NULL;
        _cleanup_(nft_batch_freep) NftBatch *b = NULL;
        NftOutcome outcome;
        NftChanges changes;
        Ruleset *live;
        bool there;

        assert_int_equal(nft_link_open(&other), 0);
        b = nft_batch_new(nft_link_sequence(other), 0);
        encode_table(b, NFT_TABLE_F_OWNER);
        assert_int_equal(nft_batch_end(b, true), 0);
        assert_int_equal(nft_link_send(other, b, &outcome), 0);
        live = read_table(t);
        assert_int_equal(live->owner, nft_link_port(other));
        assert_int_equal(
                nft_apply(t->link, live, sample_services(t->arena, true, NULL), &changes, t->d),
                -EPERM);
        assert_int_equal(t->d->n_errors, 1);
        live->flags = 0; /* as if the owner had come just now */
        assert_int_equal(
                nft_apply(t->link, live, sample_services(t->arena, true, NULL), &changes, t->d),
                -EPERM);
        assert_int_equal(nft_delete(t->link, &there, t->d), -EPERM);
}

static int commit_noise(NftLink *link, uint16_t type) {
        _cleanup_(nft_batch_freep) NftBatch *b = nft_batch_new(nft_link_sequence(link), 0);
        NftOutcome outcome;
        struct nlmsghdr *h;

        if (!b)
                return -ENOMEM;
        h = nft_batch_start(b, type, type == NFT_MSG_NEWTABLE ? NLM_F_CREATE : 0);
        mnl_attr_put_strz(h, NFTA_TABLE_NAME, "noise");
        nft_batch_push(b, &(NftSubject){.kind = SUBJECT_TABLE});
        return nft_batch_end(b, true) < 0 ? -ENOMEM : nft_link_send(link, b, &outcome);
}

/* Commits to another table as fast as the kernel takes it, for two seconds or until it is killed.
 */
static pid_t start_writer(void) {
        pid_t parent = getpid(), pid = fork();
        NftLink *link;
        time_t end;

        if (pid != 0)
                return pid;
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent || nft_link_open(&link) < 0)
                _exit(1);
        end = time(NULL) + 2;
        while (time(NULL) <= end)
                if (commit_noise(link, NFT_MSG_NEWTABLE) != 0 ||
                    commit_noise(link, NFT_MSG_DELTABLE) != 0)
                        _exit(1);
        _exit(0);
}

/* What takes the kernel some time to list. */
static Ruleset *many(Test *t) {
        Ruleset *rs = sample_closed(t->arena);
        Set *set = ruleset_add_set(rs, "many", TYPE_IPV4_ADDR);

        for (uint32_t i = 0; i < 100000; i++) {
                Range r = range_single(u128(i * 16));

                assert_non_null(set_add_element(rs, set, &r));
        }
        for (unsigned int i = 0; i < 2000; i++)
                (void)add_rule(rs, rs->chains[0], VERDICT_ACCEPT);
        return rs;
}

static void tables_of_another_program_go_together_or_not_at_all(void **state) {
        static const NftTableName tables[] = {{NFPROTO_IPV4, "theirs"}, {NFPROTO_INET, "theirs"}};
        static const NftTableName gone[] = {{NFPROTO_IPV6, "theirs"}, {NFPROTO_INET, "nowhere"}};
        Test *t = *state;
        uint32_t generation;

        (void)apply_and_check("ours", t, sample_closed(t->arena));
        shell(NFT " 'add table ip theirs; add chain ip theirs c; add table inet theirs; add table "
                  "ip6 theirs'");
        assert_int_equal(nft_link_generation(t->link, &generation), 0);
        assert_int_equal(nft_remove_tables(t->link, tables, 2, generation - 1), -EAGAIN);
        assert_int_equal(nft_remove_tables(t->link, gone, 2, generation), -ENOENT);
        shell(NFT " list table ip theirs >/dev/null && " NFT " list table ip6 theirs >/dev/null");
        assert_int_equal(nft_remove_tables(t->link, tables, 2, generation), 0);
        shell("! " NFT " list table ip theirs 2>/dev/null && ! " NFT
              " list table inet theirs 2>/dev/null && " NFT " list table ip6 theirs >/dev/null");
        equal_to_live("ours", t, sample_closed(t->arena));
        shell(NFT " delete table ip6 theirs");
}

static void reading_goes_on_while_another_program_keeps_writing(void **state) {
        Test *t = *state;
        Ruleset *rs = many(t);
        bool interrupted = false;
        pid_t pid;
        int status;

        (void)apply_and_check("quiet", t, rs);
        pid = start_writer();
        assert_true(pid > 0);
        for (unsigned int i = 0; i < 200 && !interrupted; i++) {
                NftBytes bytes = {0};
                int r = nft_link_dump(t->link, NFT_MSG_GETRULE, RULESET_TABLE, NULL, &bytes);

                nft_bytes_done(&bytes);
                assert_true(r == 0 || r == -EINTR);
                interrupted = r == -EINTR;
        }
        assert_true(interrupted);
        for (unsigned int i = 0; i < 3; i++) {
                Ruleset *live = NULL;
                int r = nft_read(t->link, t->arena, &live);

                assert_true(r == 0 || r == -EBUSY);
                if (r == 0)
                        assert_true(ruleset_equal(live, rs));
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
        assert_true(ruleset_equal(read_table(t), rs));
}

static void deleting_takes_our_table_and_no_other(void **state) {
        Test *t = *state;
        bool there = true;

        assert_int_equal(nft_delete(t->link, &there, t->d), 0);
        assert_false(there);
        (void)apply_and_check("table", t, sample_services(t->arena, true, NULL));
        shell(NFT " add table inet somebody");
        assert_int_equal(nft_delete(t->link, &there, t->d), 0);
        assert_true(there);
        assert_false(read_table(t)->exists);
        shell(NFT " delete table inet somebody");
}

static void probing_leaves_no_trace(void **state) {
        Test *t = *state;
        KernelFeatures features = {0};
        uint32_t before, after;

        assert_int_equal(nft_link_generation(t->link, &before), 0);
        assert_int_equal(nft_probe(t->link, &features), 0);
        assert_int_equal(nft_link_generation(t->link, &after), 0);
        assert_int_equal(before, after);
        shell("test -z \"$(" NFT " list tables)\"");
}

static void what_the_probe_says_of_fib_is_what_a_rule_meets(void **state) {
        Test *t = *state;
        KernelFeatures features = {0};
        Ruleset *rs = sample_closed(t->arena);
        Chain *input = rs->chains[0];
        NftChanges changes;
        int r;

        assert_int_equal(
                rule_match_value(rs, add_rule(rs, input, VERDICT_DROP), FIELD_FIB_SADDR_OIF, 0), 0);
        assert_int_equal(nft_probe(t->link, &features), 0);
        r = nft_apply(t->link, read_table(t), rs, &changes, t->d);
        assert_int_equal(r == 0, features.fib_in_filter);
}

static void bridges_are_read_with_their_ports_addresses(void **state) {
        Test *t = *state;
        Bridge *bridges = NULL;
        size_t n = 0;

        assert_int_equal(nft_read_bridges(t->arena, &bridges, &n), 0);
        assert_int_equal(n, 0);
        shell("ip link add br7 type bridge && ip link add v0 type veth peer name v1 && "
              "ip link set v0 address 02:00:00:00:00:01 && ip link set v0 master br7 && "
              "ip link set br7 address 02:00:00:00:00:07");
        assert_int_equal(nft_read_bridges(t->arena, &bridges, &n), 0);
        assert_int_equal(n, 1);
        assert_string_equal(bridges[0].name, "br7");
        assert_int_equal(bridges[0].n_addresses, 2);
        for (size_t i = 0; i < 2; i++)
                assert_int_equal(bridges[0].addresses[i][0], 2);
        assert_int_equal(bridges[0].addresses[0][5] + bridges[0].addresses[1][5], 8);
        shell("ip link del br7 && ip link del v0");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                kernel_test(foreign_changes_are_seen_and_healed),
                kernel_test(a_table_read_before_a_foreign_commit_is_refused),
                kernel_test(a_refused_rule_is_told_by_its_place_in_the_policy),
                kernel_test(chains_that_something_unknown_leads_to_stay_and_are_told_once),
                kernel_test(a_refused_element_is_told_by_its_place_in_the_policy),
                kernel_test(a_table_with_another_owner_is_left_alone),
                kernel_test(tables_of_another_program_go_together_or_not_at_all),
                kernel_test(reading_goes_on_while_another_program_keeps_writing),
                kernel_test(deleting_takes_our_table_and_no_other),
                kernel_test(probing_leaves_no_trace),
                kernel_test(what_the_probe_says_of_fib_is_what_a_rule_meets),
                kernel_test(bridges_are_read_with_their_ports_addresses),
        };

        if (kernel_enter_namespace() < 0)
                return 1;
        return cmocka_run_group_tests(tests, NULL, NULL);
}
