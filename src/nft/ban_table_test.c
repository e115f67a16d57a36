/* SPDX-License-Identifier: GPL-2.0-or-later */

/* With the running kernel and real packets over loopback, in a network namespace of this program's
 * own. Nothing but the table of bans stands in it, so what does not arrive was dropped by it. */

#include "nft/ban_table.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/time.h>

#include "nft/kernel_unit.h"
#include "nft/owner.h"

#define SERVER "127.0.0.1"
#define PEER "127.0.7.9"
#define OTHER "127.0.8.9"
#define SOON_MSEC 10000 /* within which what comes has come */

typedef struct Bench {
        NftLink *link;
        BanTable *bans;
        int server; /* a datagram socket */
        uint16_t port;
} Bench;

static struct sockaddr_in place(const char *address, uint16_t port) {
        struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};

        assert_int_equal(inet_pton(AF_INET, address, &in.sin_addr), 1);
        return in;
}

static int bound(int type, const char *address, uint16_t *port) {
        struct sockaddr_in in = place(address, port ? *port : 0);
        socklen_t size = sizeof(in);
        int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

        assert_true(fd >= 0);
        assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
        assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &size), 0);
        if (port)
                *port = ntohs(in.sin_port);
        return fd;
}

static int setup(void **state) {
        Bench *b = calloc(1, sizeof(*b));

        *state = b;
        if (!b || nft_link_open(&b->link) < 0)
                return -1;
        b->bans = ban_table_new(b->link);
        if (!b->bans || ban_table_remove(b->bans) < 0)
                return -1;
        b->server = bound(SOCK_DGRAM, SERVER, &b->port);
        return 0;
}

static int teardown(void **state) {
        Bench *b = *state;

        (void)close(b->server);
        (void)ban_table_free(b->bans);
        (void)nft_link_close(b->link);
        free(b);
        return 0;
}

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

static BanEntry service(const char *address, uint8_t protocol, uint16_t port) {
        BanEntry e = entry(address, 0);

        e.protocol = protocol;
        e.port = port;
        return e;
}

static bool comes(int fd, int msec) {
        struct pollfd p = {.fd = fd, .events = POLLIN};

        return poll(&p, 1, msec) == 1;
}

static void take_all(int fd) {
        char buf[64];

        while (recv(fd, buf, sizeof(buf), MSG_DONTWAIT) >= 0)
                ;
}

/* Whether a datagram from there arrives. Over loopback it has arrived once it is sent, or never
 * does. */
static bool reaches(Bench *b, const char *from) {
        struct sockaddr_in to = place(SERVER, b->port);
        int fd = bound(SOCK_DGRAM, from, NULL);
        bool arrived;

        take_all(b->server);
        (void)sendto(fd, "x", 1, 0, (struct sockaddr *)&to, sizeof(to));
        arrived = comes(b->server, 0);
        (void)close(fd);
        return arrived;
}

static void replace(Bench *b, const BanEntry *entries, size_t n) {
        unit_equal("replace", ban_table_replace(b->bans, 0, entries, n, NULL, 0), 0);
}

static void a_host_is_shut_out_and_let_in(void **state) {
        Bench *b = *state;
        BanEntry e = entry(PEER, 0);

        assert_true(reaches(b, PEER));
        replace(b, &e, 1);
        assert_true(ban_table_is_made(b->bans));
        assert_false(reaches(b, PEER));
        assert_true(reaches(b, OTHER));
        assert_int_equal(ban_table_change(b->bans, NULL, 0, &e, 1), 0);
        assert_true(reaches(b, PEER));
}

static void networks_of_several_lengths(void **state) {
        Bench *b = *state;
        const BanEntry both[] = {entry("127.0.7.0/24", 0), entry("127.0.8.8/31", 0)};
        BanEntry wide = entry("127.1.0.0/16", 0);

        replace(b, both, 2);
        assert_false(reaches(b, PEER));
        assert_false(reaches(b, OTHER));
        assert_true(reaches(b, "127.0.8.10"));
        assert_int_equal(ban_table_change(b->bans, &wide, 1, both, 1), 0);
        assert_false(reaches(b, "127.1.200.3"));
        assert_true(reaches(b, PEER));
}

static void a_service_is_shut_and_others_are_not(void **state) {
        Bench *b = *state;
        BanEntry e = service(PEER, IPPROTO_UDP, b->port);

        replace(b, &e, 1);
        assert_false(reaches(b, PEER));
        assert_true(reaches(b, OTHER));
        e.protocol = IPPROTO_TCP;
        replace(b, &e, 1);
        assert_true(reaches(b, PEER));
}

static void who_is_never_banned_comes_through(void **state) {
        Bench *b = *state;
        BanEntry e = entry("127.0.0.0/9", 0);
        BanRange never[] = {{FAMILY_IPV4, {entry(PEER, 0).address, entry(PEER, 0).address}},
                            {FAMILY_IPV4, {entry(SERVER, 0).address, entry(SERVER, 0).address}}};

        assert_int_equal(ban_table_replace(b->bans, 0, &e, 1, never, 2), 0);
        assert_true(reaches(b, PEER));
        assert_false(reaches(b, OTHER));
        assert_int_equal(ban_table_set_never(b->bans, never + 1, 1), 0);
        assert_false(reaches(b, PEER));
}

/* The peer reads only, so that nothing of what it sends is needed. */
static void an_open_connection_dies_when_the_server_speaks(void **state) {
        Bench *b = *state;
        uint16_t port = 0;
        int listener = bound(SOCK_STREAM, SERVER, &port), client = bound(SOCK_STREAM, PEER, NULL),
            peer;
        struct sockaddr_in to = place(SERVER, port);
        BanEntry e = entry(PEER, 0);

        assert_int_equal(listen(listener, 1), 0);
        assert_int_equal(connect(client, (struct sockaddr *)&to, sizeof(to)), 0);
        peer = accept(listener, NULL, NULL);
        assert_true(peer >= 0);
        assert_int_equal(send(peer, "a", 1, MSG_NOSIGNAL), 1);
        assert_true(comes(client, SOON_MSEC));
        take_all(client);
        replace(b, &e, 1);
        assert_int_equal(send(peer, "b", 1, MSG_NOSIGNAL), 1);
        assert_int_equal(send(client, "c", 1, MSG_NOSIGNAL), 1);
        assert_false(comes(client, 50));
        assert_false(comes(peer, 0));
        assert_int_equal(ban_table_remove(b->bans), 0);
        assert_true(comes(client, SOON_MSEC)); /* it was only that */
        (void)close(peer);
        (void)close(client);
        (void)close(listener);
}

static void what_is_added_again_has_the_new_end(void **state) {
        Bench *b = *state;
        static const uint64_t ends[] = {3600000, 60000, 0, 7200000};
        BanEntry e = entry(PEER, 600000);
        BanFound found;

        replace(b, &e, 1);
        for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
                e.timeout_ms = ends[i];
                e.is_there = true;
                assert_int_equal(ban_table_change(b->bans, &e, 1, NULL, 0), 0);
                assert_int_equal(ban_table_find(b->bans, &e, &found), 1);
                assert_true(found.entry.timeout_ms <= ends[i]);
                assert_true(found.entry.timeout_ms + 30000 >= ends[i]);
        }
}

static void a_ban_ends_by_itself(void **state) {
        Bench *b = *state;
        const BanEntry both[] = {entry(PEER, 100), entry(OTHER, 0)};
        BanFound found;

        replace(b, both, 2);
        for (int i = 0; i < 200 && !reaches(b, PEER); i++)
                (void)usleep(50000);
        assert_true(reaches(b, PEER));
        assert_false(reaches(b, OTHER));
        assert_int_equal(ban_table_find(b->bans, &both[0], &found), 0);
}

static void what_is_not_there_can_be_dropped(void **state) {
        Bench *b = *state;
        BanEntry e = entry(PEER, 0);
        const BanEntry gone[] = {entry(OTHER, 0), entry("127.3.0.0/20", 0),
                                 entry("2001:db8::/64", 0)};

        assert_int_equal(ban_table_change(b->bans, &e, 1, NULL, 0), -ENOENT);
        replace(b, &e, 1);
        assert_int_equal(ban_table_change(b->bans, NULL, 0, gone, ARRAY_SIZE(gone)), 0);
        assert_false(reaches(b, PEER));
}

static void packets_are_counted(void **state) {
        Bench *b = *state;
        BanEntry e = entry("127.0.7.0/24", 0);
        BanFound found;

        replace(b, &e, 1);
        for (int i = 0; i < 5; i++)
                assert_false(reaches(b, PEER));
        assert_int_equal(ban_table_find(b->bans, &e, &found), 1);
        assert_true(found.is_counted);
        assert_int_equal(found.packets, 5);
}

static uint64_t packets_of(Bench *b, const BanEntry *e) {
        BanFound found;

        assert_int_equal(ban_table_find(b->bans, e, &found), 1);
        assert_true(found.is_counted);
        return found.packets;
}

/* Of hosts the count begins with the first packet, of networks and services with the ban. */
static void counts_outlive_all_but_the_ban(void **state) {
        Bench *b = *state;
        BanEntry all[] = {entry(PEER, 0), entry("127.0.8.0/24", 0),
                          service("127.0.9.9", IPPROTO_UDP, b->port), entry("127.0.10.1", 0)};
        static const char *const from[] = {PEER, OTHER, "127.0.9.9"};

        replace(b, all, ARRAY_SIZE(all));
        for (size_t i = 0; i < ARRAY_SIZE(from); i++)
                for (size_t n = 0; n <= i; n++)
                        assert_false(reaches(b, from[i]));
        for (int round = 0; round < 2; round++) {
                ban_table_recall(b->bans, all, ARRAY_SIZE(all), true);
                if (round == 0)
                        replace(b, all, ARRAY_SIZE(all)); /* as a restart does */
                for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
                        all[i].timeout_ms = 60000;
                        all[i].is_there = true;
                }
                if (round == 1) /* they are extended */
                        assert_int_equal(ban_table_change(b->bans, all, ARRAY_SIZE(all), NULL, 0),
                                         0);
                for (size_t i = 0; i < ARRAY_SIZE(all); i++)
                        assert_int_equal(packets_of(b, &all[i]), i < 3 ? i + 1 : 0);
        }
}

static void a_host_that_is_banned_again_is_counted_anew(void **state) {
        Bench *b = *state;
        BanEntry both[] = {entry(PEER, 0), entry(OTHER, 0)};

        replace(b, both, 2);
        assert_false(reaches(b, PEER));
        assert_int_equal(ban_table_change(b->bans, NULL, 0, both, 1), 0);
        assert_int_equal(ban_table_change(b->bans, both, 1, NULL, 0), 0);
        assert_int_equal(packets_of(b, both), 0); /* after an unban */
        assert_false(reaches(b, PEER));
        assert_int_equal(packets_of(b, both), 1);
        shell("nft delete element inet ringwall_bans hosts4 '{ " PEER " }'"); /* as its end does */
        both[0].begins_anew = true;
        assert_int_equal(ban_table_change(b->bans, both, 1, NULL, 0), 0);
        assert_int_equal(packets_of(b, both), 0);
}

static int count(const BanFound *f, void *to) {
        size_t *n = to;

        n[0]++;
        n[1] += f->entry.timeout_ms > 0;
        n[2] += f->entry.family == FAMILY_IPV6;
        n[3] += f->entry.protocol == IPPROTO_TCP && f->entry.port == 22;
        return 0;
}

static void all_are_read_back_also_by_another(void **state) {
        Bench *b = *state;
        enum { MANY = 20000 };
        BanEntry *many = calloc(MANY, sizeof(*many));
        _cleanup_(nft_link_closep) NftLink *link = NULL;
        _cleanup_(ban_table_freep) BanTable *other = NULL;
        size_t n[4] = {0};

        assert_non_null(many);
        for (uint32_t i = 0; i < MANY; i++) {
                many[i] = entry(i % 2 ? "2001:db8::/64" : "10.0.0.0", i % 4 < 2 ? 3600000 : 0);
                if (i % 2)
                        many[i].address.high += i;
                else
                        many[i].address.low += i;
        }
        many[0] = service("10.9.9.9", IPPROTO_TCP, 22);
        many[1] = service("2001:db8:1::/64", IPPROTO_TCP, 22);
        replace(b, many, MANY);
        assert_int_equal(nft_link_open(&link), 0);
        other = ban_table_new(link);
        assert_non_null(other);
        assert_int_equal(ban_table_read(other, count, n), 0);
        assert_int_equal(n[0], MANY);
        assert_int_equal(n[1], MANY / 2 - 2);
        assert_int_equal(n[2], MANY / 2);
        assert_int_equal(n[3], 2);
        free(many);
        assert_int_equal(ban_table_remove(b->bans), 0);
        assert_int_equal(ban_table_read(other, count, n), 0);
        assert_int_equal(n[0], MANY);
}

static void the_kernel_counts_what_is_there_whoever_took_some(void **state) {
        Bench *b = *state;
        const BanEntry all[] = {entry(PEER, 0), entry(OTHER, 60000), entry("127.3.0.0/20", 0)};
        const BanRange never = {FAMILY_IPV4, {all[0].address, all[0].address}};
        uint64_t n = 0;

        assert_int_equal(ban_table_count(b->bans, &n), 1);
        assert_int_equal(n, 0);
        assert_int_equal(ban_table_replace(b->bans, 0, all, ARRAY_SIZE(all), &never, 1), 0);
        if (ban_table_count(b->bans, &n) == 0) {
                print_message("this kernel does not count\n");
                return;
        }
        assert_int_equal(n, 3);
        shell("nft delete element inet ringwall_bans hosts4 '{ " OTHER " }'");
        assert_int_equal(ban_table_count(b->bans, &n), 1);
        assert_int_equal(n, 2);
}

static int find_generation(Bench *b) {
        uint32_t generation;

        assert_int_equal(nft_link_generation(b->link, &generation), 0);
        return (int)generation;
}

static void many_come_part_by_part_and_once(void **state) {
        Bench *b = *state;
        enum { MANY = 2 * BAN_PART_MAX + 1 };
        BanEntry *many = calloc(MANY, sizeof(*many));
        BanFound found;
        int before = find_generation(b);
        uint64_t n;

        assert_non_null(many);
        for (uint32_t i = 0; i < MANY; i++) {
                many[i] = entry("10.0.0.0", 3600000);
                many[i].address.low += i;
        }
        for (int round = 0; round < 2; round++) {
                replace(b, many, MANY);
                if (round == 0 || ban_table_count(b->bans, &n) == 1) /* else all of them again */
                        assert_int_equal(find_generation(b) - before, round == 0 ? 3 : 4);
                assert_int_equal(ban_table_find(b->bans, &many[0], &found), 1);
                assert_int_equal(ban_table_find(b->bans, &many[MANY - 1], &found), 1);
        }
        free(many);
}

static void nobody_else_changes_an_owned_table(void **state) {
        Bench *b = *state;
        _cleanup_(nft_link_closep) NftLink *link = NULL;
        _cleanup_(ban_table_freep) BanTable *other = NULL;
        BanEntry e = entry(PEER, 0);

        if (nft_probe_owner(b->link) != 1) { /* a kernel that knows none: see test_bans.py */
                print_message("this kernel has no tables that are owned and persist\n");
                return;
        }
        assert_int_equal(ban_table_replace(b->bans, TABLE_OWNER | TABLE_PERSIST, &e, 1, NULL, 0),
                         0);
        assert_int_equal(nft_link_open(&link), 0);
        other = ban_table_new(link);
        assert_non_null(other);
        assert_int_equal(ban_table_remove(other), -EPERM);
        assert_int_equal(ban_table_replace(other, 0, &e, 1, NULL, 0), -EPERM);
        assert_false(reaches(b, PEER));
}

static void too_many_lengths_are_refused_and_nothing_changes(void **state) {
        Bench *b = *state;
        BanEntry e[16];

        for (size_t i = 0; i < ARRAY_SIZE(e); i++) {
                e[i] = entry("127.0.7.9", 0);
                e[i].prefix = (uint8_t)(32 - i);
                e[i].address.low &= ~u128_low_mask((unsigned int)i).low;
        }
        replace(b, e, 1);
        assert_int_equal(ban_table_change(b->bans, e + 1, 15, NULL, 0), -E2BIG);
        assert_false(reaches(b, PEER));
        assert_true(reaches(b, "127.0.7.8"));
        assert_int_equal(ban_table_change(b->bans, e + 1, 13, NULL, 0), 0);
        assert_false(reaches(b, "127.0.7.8"));
}

#define bench_test(function) cmocka_unit_test_setup_teardown((function), setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                bench_test(a_host_is_shut_out_and_let_in),
                bench_test(networks_of_several_lengths),
                bench_test(a_service_is_shut_and_others_are_not),
                bench_test(who_is_never_banned_comes_through),
                bench_test(an_open_connection_dies_when_the_server_speaks),
                bench_test(what_is_added_again_has_the_new_end),
                bench_test(a_ban_ends_by_itself),
                bench_test(what_is_not_there_can_be_dropped),
                bench_test(packets_are_counted),
                bench_test(counts_outlive_all_but_the_ban),
                bench_test(a_host_that_is_banned_again_is_counted_anew),
                bench_test(all_are_read_back_also_by_another),
                bench_test(the_kernel_counts_what_is_there_whoever_took_some),
                bench_test(many_come_part_by_part_and_once),
                bench_test(nobody_else_changes_an_owned_table),
                bench_test(too_many_lengths_are_refused_and_nothing_changes),
        };

        if (kernel_enter_namespace() < 0)
                return 1;
        shell("ip link set lo up");
        return cmocka_run_group_tests(tests, NULL, NULL);
}
