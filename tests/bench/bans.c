/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What bans cost in the kernel: the table of bans, filled and changed as ringwalld does it, in the
 * network namespace that this is run in.
 *
 *     bans fill N [IPV4] N hosts for a day, of an empty kernel; the last one is IPV4
 *     bans gone N        the same, and then the last ban has gone, as ringwalld does it
 *     bans one N RUNS    the same, and then single bans into it: what each took, by the clock
 *     bans many N        N hosts into a table of one, 4,000 in a transaction
 *
 * Prints one line of JSON; times are seconds. */

#include <time.h>

#include "nft/ban_table.h"

#define DAY_MS UINT64_C(86400000)
#define BATCH 4000

static double now(clockid_t clock) {
        struct timespec t;

        clock_gettime(clock, &t);
        return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void check(int r, const char *what) {
        if (r >= 0)
                return;
        fprintf(stderr, "bans: %s: %s\n", what, strerror(-r));
        exit(1);
}

/* Scattered over the addresses from 16.0.0.0 on, each once: the multiplier is odd. */
static BanEntry host(uint32_t i) {
        uint32_t address = 0x10000000U + (i * 2654435761U & 0x7ffffffU);

        return (BanEntry){.family = FAMILY_IPV4,
                          .address = {0, address},
                          .prefix = 32,
                          .timeout_ms = DAY_MS + i % 1000};
}

static BanEntry *hosts(uint32_t from, uint32_t n) {
        BanEntry *list = calloc(n + 1UL, sizeof(*list));

        check(list ? 0 : -ENOMEM, "memory");
        for (uint32_t i = 0; i < n; i++)
                list[i] = host(from + i);
        return list;
}

static void set_address(BanEntry *e, const char *text) {
        Family family;

        check(address_parse(text, &family, &e->address) == ADDRESS_OK && family == FAMILY_IPV4
                      ? 0
                      : -EINVAL,
              text);
}

static int compare(const void *x, const void *y) {
        const double *a = x, *b = y;

        return *a < *b ? -1 : *a > *b;
}

static void single(BanTable *t, uint32_t n, uint32_t runs) {
        double *took = calloc(runs + 1UL, sizeof(*took));

        check(took ? 0 : -ENOMEM, "memory");
        for (uint32_t i = 0; i < runs; i++) {
                BanEntry e = host(n + i);
                double begin = now(CLOCK_MONOTONIC);

                check(ban_table_change(t, &e, 1, NULL, 0), "a ban");
                took[i] = now(CLOCK_MONOTONIC) - begin;
        }
        qsort(took, runs, sizeof(*took), compare);
        printf(", \"one\": %.9f, \"one_p95\": %.9f", took[runs / 2], took[runs * 19 / 20]);
        free(took);
}

static void fill(BanTable *t, const BanEntry *list, uint32_t n) {
        double begin = now(CLOCK_PROCESS_CPUTIME_ID);

        check(ban_table_replace(t, 0, list, n, NULL, 0), "replace");
        printf("\"fill\": %.6f", now(CLOCK_PROCESS_CPUTIME_ID) - begin);
}

static void many(BanTable *t, const BanEntry *list, uint32_t n) {
        double begin = now(CLOCK_MONOTONIC);

        for (uint32_t i = 0; i < n; i += BATCH)
                check(ban_table_change(t, list + i, MIN(BATCH, n - i), NULL, 0), "bans");
        printf(", \"many\": %.6f", now(CLOCK_MONOTONIC) - begin);
}

int main(int argc, char **argv) {
        _cleanup_(nft_link_closep) NftLink *link = NULL;
        _cleanup_(ban_table_freep) BanTable *table = NULL;
        uint32_t n = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 0;
        const char *what = argc > 2 ? argv[1] : "", *more = argc > 3 ? argv[3] : NULL;
        bool is_one = streq(what, "one"), is_many = streq(what, "many");
        uint32_t runs = is_one && more ? (uint32_t)strtoul(more, NULL, 10) : 1000;
        BanEntry *list;

        if (argc < 3 || n == 0 || n > 4000000 || runs == 0 || runs > 1000000) {
                fputs("usage: bans fill N [IPV4] | gone N | one N RUNS | many N\n", stderr);
                return 2;
        }
        check(nft_link_open(&link), "netlink");
        table = ban_table_new(link);
        check(table ? 0 : -ENOMEM, "memory");
        list = hosts(0, n + 1);
        if (streq(what, "fill") && more)
                set_address(&list[n - 1], more);
        putchar('{');
        fill(table, is_many ? list + n : list, is_many ? 1 : n);
        if (is_many)
                many(table, list, n);
        if (is_one)
                single(table, n, runs);
        if (streq(what, "gone"))
                check(ban_table_remove(table), "remove");
        puts("}");
        free(list);
        return 0;
}
