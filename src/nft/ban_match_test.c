/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Large tables that are there already, with the running kernel, in a network namespace of this
 * program's own. What is large is said to be little. */

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "nft/ban_table.h"
#include "nft/kernel_unit.h"
#include "nft/owner.h"

#define PART 8
#define MANY 100
#define SERVER "127.0.0.1"
#define PEER "127.0.7.9"

typedef struct Bench {
        NftLink *link;
        BanTable *bans;
        bool counts;         /* the kernel, what sets hold */
        uint64_t begin_msec; /* of the entries' timeouts */
        BanEntry entries[MANY];
} Bench;

static BanEntry entry(const char *cidr, uint64_t timeout_ms) {
        BanEntry e = {.timeout_ms = timeout_ms};
        unsigned int length;
        Range range;

        assert_int_equal(address_range_parse(cidr, &e.family, &range), ADDRESS_OK);
        assert_true(range_is_prefix(range, family_width(e.family), &length));
        e.prefix = (uint8_t)length;
        e.address = range.low;
        return e;
}

/* Of all kinds. */
static void choose(BanEntry entries[static MANY]) {
        for (uint32_t i = 0; i < MANY; i++) {
                uint64_t end = i % 2 ? UINT64_C(86400000) * (i + 1) : 0;

                entries[i] = entry(i % 5 == 4 ? "2001:db8::/64" : "10.0.0.0", end);
                if (i % 5 == 4)
                        entries[i].address.high += i;
                else
                        entries[i].address.low += i;
        }
        entries[0] = entry(PEER, 0);
        entries[1] = entry("10.2.0.0/16", 3600000);
        entries[2].protocol = IPPROTO_TCP;
        entries[2].port = 22;
        entries[3] = entry("10.3.0.0/24", 0);
}

static uint64_t now_msec(void) {
        struct timespec t;

        assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &t), 0);
        return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* The ends are those that they were, however long a test takes. */
static void replace(Bench *b, uint32_t flags) {
        const BanRange never = {FAMILY_IPV4, {entry(SERVER, 0).address, entry(SERVER, 0).address}};
        uint64_t passed = now_msec() - b->begin_msec;
        BanEntry left[MANY];

        for (size_t i = 0; i < MANY; i++) {
                left[i] = b->entries[i];
                if (left[i].timeout_ms > 0)
                        left[i].timeout_ms -= passed;
        }
        unit_equal("replace", ban_table_replace(b->bans, flags, left, MANY, &never, 1), 0);
}

static int setup(void **state) {
        Bench *b = calloc(1, sizeof(*b));
        uint64_t n;

        *state = b;
        if (!b || nft_link_open(&b->link) < 0)
                return -1;
        b->bans = ban_table_new(b->link);
        if (!b->bans || ban_table_remove(b->bans) < 0)
                return -1;
        ban_table_set_part(b->bans, PART);
        choose(b->entries);
        b->begin_msec = now_msec();
        replace(b, 0);
        b->counts = ban_table_count(b->bans, &n) == 1;
        return 0;
}

static int teardown(void **state) {
        Bench *b = *state;

        (void)ban_table_remove(b->bans);
        (void)ban_table_free(b->bans);
        (void)nft_link_close(b->link);
        free(b);
        return 0;
}

static size_t find_generation(Bench *b) {
        uint32_t generation;

        assert_int_equal(nft_link_generation(b->link, &generation), 0);
        return generation;
}

static int count(const BanFound *f, void *to) {
        *(size_t *)to += 1;
        return 0;
}

/* Just the entries, with their ends, and no second table. */
static void holds_all(const char *row, Bench *b) {
        _cleanup_(ban_table_freep) BanTable *other = ban_table_new(b->link);
        size_t n = 0;

        assert_non_null(other);
        unit_equal(row, ban_table_read(other, count, &n), 0);
        unit_equal(row, n, MANY);
        for (size_t i = 0; i < MANY; i++) {
                const BanEntry *e = &b->entries[i];
                BanFound found;

                unit_equal(row, ban_table_find(other, e, &found), 1);
                unit_true(row, (e->timeout_ms == 0) == (found.entry.timeout_ms == 0));
                unit_true(row, found.entry.timeout_ms <= e->timeout_ms + 10000);
                unit_true(row, found.entry.timeout_ms + 600000 >= e->timeout_ms);
        }
        unit_true(row, system(NFT " list table inet " BAN_TABLE_BESIDE " 2>/dev/null") != 0);
}

/* As nft lists it, without what differs from time to time. */
static char *listing(void) {
        FILE *f = popen(NFT " list table inet ringwall_bans | grep -v 'expires\\|elements\\|},*$'",
                        "r");
        char *text = calloc(1, 65536);

        assert_non_null(f);
        assert_non_null(text);
        assert_true(fread(text, 1, 65535, f) > 0);
        assert_int_equal(pclose(f), 0);
        return text;
}

static void what_is_as_it_should_be_gets_its_rules_and_nothing_else(void **state) {
        Bench *b = *state;
        size_t before = find_generation(b);

        for (size_t round = 1; round <= 3; round++) {
                replace(b, 0);
                if (b->counts)
                        assert_int_equal(find_generation(b), before + round);
                holds_all("as it was", b);
        }
}

/* What another program did meanwhile; how many transactions put it right, where the kernel counts;
 * 0: the table is made anew. */
static const struct {
        const char *what, *command;
        size_t n;
} doings[] = {
        {"an unban", "delete element inet ringwall_bans hosts4 { " PEER " }", 2},
        {"another ban", "add element inet ringwall_bans hosts4 { 198.51.100.200 }", 0},
        {"one for another",
         "delete element inet ringwall_bans hosts4 { " PEER " };"
         " add element inet ringwall_bans hosts4 { 198.51.100.200 }",
         0},
        {"another end",
         "delete element inet ringwall_bans hosts4 { " PEER " };"
         " add element inet ringwall_bans hosts4 { " PEER " timeout 1h }",
         2},
        {"a network", "delete element inet ringwall_bans nets4-24 { 10.3.0.0 }", 2},
        {"all hosts", "flush set inet ringwall_bans hosts4", 0},
        {"no rules", "flush chain inet ringwall_bans from4", 1},
        {"no rules anywhere", "flush table inet ringwall_bans", 1},
        {"a rule before", "insert rule inet ringwall_bans prerouting accept", 1},
        {"a rule that drops", "insert rule inet ringwall_bans postrouting drop", 1},
        {"a chain that drops",
         "add chain inet ringwall_bans x { type filter hook input priority 0; policy drop; }", 1},
        {"a map that leads to a chain",
         "add chain inet ringwall_bans x;"
         " add map inet ringwall_bans m { type ipv4_addr : verdict;"
         " elements = { 192.0.2.1 : jump x }; };"
         " add rule inet ringwall_bans from4 ip saddr vmap @m",
         1},
        {"a set that nobody needs", "add set inet ringwall_bans nets4-17 { type ipv4_addr; }", 1},
        {"who is never banned", "add element inet ringwall_bans never4 { " PEER " }", 1},
        {"asleep", "add table inet ringwall_bans { flags dormant; }", 1},
        {"a policy that drops",
         "add chain inet ringwall_bans prerouting { type filter hook prerouting priority raw;"
         " policy drop; }",
         1},
        {"a set of another kind",
         "flush chain inet ringwall_bans from4; flush chain inet ringwall_bans to4;"
         " delete set inet ringwall_bans hosts4;"
         " add set inet ringwall_bans hosts4 { type ipv4_addr; flags interval; }",
         0},
        {"a chain at another place",
         "delete chain inet ringwall_bans prerouting;"
         " add chain inet ringwall_bans prerouting { type filter hook input priority 0; }",
         0},
        {"everything", "flush ruleset", 0},
};

static void what_others_did_is_put_right(void **state) {
        Bench *b = *state;
        _cleanup_free_ char *whole = listing();

        for (size_t i = 0; i < ARRAY_SIZE(doings); i++) {
                const char *row = doings[i].what;
                _cleanup_free_ char *after = NULL;
                char command[1024];
                size_t before;

                (void)snprintf(command, sizeof(command), NFT " '%s'", doings[i].command);
                shell(command);
                before = find_generation(b);
                replace(b, 0);
                holds_all(row, b);
                after = listing();
                if (!streq(after, whole))
                        fail_msg("%s: %s\n%s", row, whole, after);
                if (b->counts && doings[i].n > 0)
                        unit_equal(row, find_generation(b) - before, doings[i].n);
        }
}

static void what_the_store_has_by_now_comes_in_and_goes(void **state) {
        Bench *b = *state;

        b->entries[0] = entry("192.0.2.0/25", 0); /* a set more, and an element less */
        b->entries[3] = entry("192.0.2.200", 0);  /* a set less */
        b->entries[5].timeout_ms = 0;
        b->entries[7].timeout_ms = 600000;
        replace(b, 0);
        holds_all("others", b);
        assert_true(system(NFT " list set inet ringwall_bans nets4-24 2>/dev/null") != 0);
        for (size_t i = 0; i < MANY; i++)
                b->entries[i].address.low ^= 0x100; /* all of them */
        b->entries[0] = entry(PEER, 0);
        b->entries[1] = entry("10.2.0.0/16", 3600000);
        for (size_t i = 4; i < MANY; i += 5)
                b->entries[i].address.low = 0, b->entries[i].address.high ^= 0x1000;
        replace(b, 0);
        holds_all("none of the former", b);
}

/* Whether the kernel has collected it or not. */
static void what_has_ended_is_not_missed(void **state) {
        Bench *b = *state;
        uint64_t n;

        for (size_t i = 0; i < 10; i++) {
                b->entries[10 + 2 * i].timeout_ms = 100 + 20 * i;
                b->entries[10 + 2 * i].is_there = true;
        }
        assert_int_equal(ban_table_change(b->bans, b->entries + 10, 20, NULL, 0), 0);
        for (size_t i = 0; i < 6; i++) {
                const BanRange never = {0};

                unit_equal("replace", ban_table_replace(b->bans, 0, b->entries, MANY, &never, 0),
                           0);
                for (size_t j = 0; j < 10; j++) {
                        BanEntry *e = &b->entries[10 + 2 * j];

                        e->timeout_ms = e->timeout_ms > 20 ? e->timeout_ms - 20 : 1;
                }
                (void)usleep(20000);
        }
        choose(b->entries);
        replace(b, 0);
        holds_all("afterwards", b);
        assert_true(ban_table_count(b->bans, &n) >= 0);
}

static void its_owner_finds_it_as_it_was_and_others_make_it_anew(void **state) {
        Bench *b = *state;
        const uint32_t flags = TABLE_OWNER | TABLE_PERSIST;
        size_t before;

        if (nft_probe_owner(b->link) != 1) {
                print_message("this kernel has no tables that are owned and persist\n");
                return;
        }
        replace(b, flags); /* from nobody's */
        holds_all("owned", b);
        before = find_generation(b);
        replace(b, flags);
        if (b->counts)
                assert_int_equal(find_generation(b) - before, 1);
        holds_all("the owner's", b);
        (void)nft_link_close(b->link); /* it is nobody's now, and persists */
        assert_int_equal(nft_link_open(&b->link), 0);
        (void)ban_table_free(b->bans);
        b->bans = ban_table_new(b->link);
        assert_non_null(b->bans);
        ban_table_set_part(b->bans, PART);
        shell(NFT " delete element inet ringwall_bans hosts4 '{ " PEER " }'");
        before = find_generation(b);
        replace(b, flags);
        if (b->counts)
                assert_int_equal(find_generation(b) - before, 2);
        holds_all("adopted", b);
        assert_true(system(NFT " flush table inet ringwall_bans 2>/dev/null") != 0);
        replace(b, 0);
        holds_all("nobody's again", b);
}

static void one_that_another_owns_is_left_alone(void **state) {
        Bench *b = *state;
        _cleanup_(nft_link_closep) NftLink *link = NULL;
        _cleanup_(ban_table_freep) BanTable *other = NULL;

        if (nft_probe_owner(b->link) != 1)
                return;
        replace(b, TABLE_OWNER | TABLE_PERSIST);
        assert_int_equal(nft_link_open(&link), 0);
        other = ban_table_new(link);
        assert_non_null(other);
        ban_table_set_part(other, PART);
        assert_int_equal(ban_table_replace(other, 0, b->entries, MANY, NULL, 0), -EPERM);
        holds_all("the owner's", b);
}

static void what_was_left_beside_goes(void **state) {
        Bench *b = *state;

        shell(NFT " add table inet " BAN_TABLE_BESIDE "; " NFT " add set inet " BAN_TABLE_BESIDE
                  " hosts4 '{ type ipv4_addr; }'");
        replace(b, 0);
        holds_all("one alone", b);
        shell(NFT " add table inet " BAN_TABLE_BESIDE "; " NFT " add set inet " BAN_TABLE_BESIDE
                  " hosts4 '{ type ipv4_addr; }'");
        assert_int_equal(ban_table_remove(b->bans), 0);
        assert_true(system(NFT " list table inet " BAN_TABLE_BESIDE " 2>/dev/null") != 0);
}

/* ---- packets */

typedef struct Sender {
        struct sockaddr_in to, from;
        atomic_bool ends;
        atomic_size_t n;
} Sender;

static void *send_on(void *to) {
        Sender *s = to;
        int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

        if (fd < 0 || bind(fd, (struct sockaddr *)&s->from, sizeof(s->from)) < 0)
                return NULL;
        while (!s->ends) {
                (void)sendto(fd, "x", 1, 0, (struct sockaddr *)&s->to, sizeof(s->to));
                s->n++;
        }
        (void)close(fd);
        return s;
}

/* Over loopback what arrives has arrived once it is sent. */
static void nobody_gets_through_while_it_is_made_anew(void **state) {
        Bench *b = *state;
        struct sockaddr_in in = {.sin_family = AF_INET};
        socklen_t size = sizeof(in);
        int server = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        Sender s = {0};
        char buf[16];
        pthread_t thread;
        void *ended;

        assert_true(server >= 0);
        assert_int_equal(inet_pton(AF_INET, SERVER, &in.sin_addr), 1);
        assert_int_equal(bind(server, (struct sockaddr *)&in, sizeof(in)), 0);
        assert_int_equal(getsockname(server, (struct sockaddr *)&in, &size), 0);
        s.to = s.from = in;
        s.from.sin_port = 0;
        assert_int_equal(inet_pton(AF_INET, PEER, &s.from.sin_addr), 1);
        assert_int_equal(pthread_create(&thread, NULL, send_on, &s), 0);
        for (size_t i = 0; i < 6; i++) {
                size_t before = s.n;

                if (i % 2)
                        shell(NFT " add element inet ringwall_bans hosts4 '{ 198.51.100.200 }'");
                replace(b, 0);
                for (size_t j = 0; s.n == before && j < 20000; j++)
                        (void)usleep(1000); /* until some were sent, if it can be */
        }
        s.ends = true;
        assert_int_equal(pthread_join(thread, &ended), 0);
        assert_non_null(ended);
        assert_true(s.n > 0);
        assert_true(recv(server, buf, sizeof(buf), MSG_DONTWAIT) < 0);
        assert_int_equal(ban_table_remove(b->bans), 0);
        (void)close(server);
}

#define bench_test(function) cmocka_unit_test_setup_teardown((function), setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                bench_test(what_is_as_it_should_be_gets_its_rules_and_nothing_else),
                bench_test(what_others_did_is_put_right),
                bench_test(what_the_store_has_by_now_comes_in_and_goes),
                bench_test(what_has_ended_is_not_missed),
                bench_test(its_owner_finds_it_as_it_was_and_others_make_it_anew),
                bench_test(one_that_another_owns_is_left_alone),
                bench_test(what_was_left_beside_goes),
                bench_test(nobody_gets_through_while_it_is_made_anew),
        };

        if (kernel_enter_namespace() < 0)
                return 1;
        shell("ip link set lo up");
        return cmocka_run_group_tests(tests, NULL, NULL);
}
