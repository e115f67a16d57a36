/* SPDX-License-Identifier: GPL-2.0-or-later */

/* For tests: reads this network namespace's rules once, then answers each line of standard input, a
 * packet as words (in=INTERFACE bridged=1 link=HEX ip=HEX uid=N mark=N type=N), with a line: the ways that
 * it may go, separated by spaces, the plain one first. With --rules it prints the rules instead. */

#include "nft/world_read.h"
#include "world/print.h"
#include "world/walk.h"

static size_t from_hex(const char *s, uint8_t *ret, size_t room) {
        size_t n = 0;

        for (unsigned int byte; n < room && sscanf(s + 2 * n, "%2x", &byte) == 1; n++)
                ret[n] = (uint8_t)byte;
        return n;
}

static void take_word(WorldPacket *p, char *word) {
        char *value = strchr(word, '=');

        if (!value)
                return;
        *value++ = '\0';
        if (streq(word, "in"))
                p->in = value;
        else if (streq(word, "link"))
                p->has_link = from_hex(value, p->link, sizeof(p->link)) == sizeof(p->link);
        else if (streq(word, "ip"))
                p->size = from_hex(value, p->bytes, sizeof(p->bytes));
        else if (streq(word, "bridged"))
                p->bridged = true;
        else if (streq(word, "mark"))
                p->mark = (uint32_t)strtoul(value, NULL, 0);
        else if (streq(word, "type"))
                p->type = (uint8_t)strtoul(value, NULL, 0);
        else if (streq(word, "uid")) {
                p->has_owner = true;
                p->uid = p->gid = (uint32_t)strtoul(value, NULL, 0);
        }
}

static void print_outcome(const WorldOutcome *o, Family family) {
        static const char *const words[] = {"dropped", "refused", "here", "left"};
        char buf[ADDRESS_TEXT_MAX];

        printf(" %s,%s,%s,%u,%s", words[o->where], o->out ? o->out : "-",
               address_print(family, o->destination, buf), o->destination_port,
               o->unknown ? "unknown" : "known");
}

static void print_way(const WorldWalk *walk) {
        for (size_t i = 0; i < walk->n_steps; i++) {
                const WorldStep *s = &walk->steps[i];

                fprintf(stdout, " |%s/%s/%s/%lu/%s", world_family_to_string(s->chain->table->family),
                        s->chain->table->name, s->chain->name,
                        s->rule ? (unsigned long)s->rule->handle : 0UL,
                        world_verdict_to_string(s->verdict.kind));
        }
}

static int answer(WorldWalker *walker, char *line) {
        WorldPacket p = {0};
        WorldWalk walk;
        char *rest = line;
        int r;

        for (char *word; (word = strsep(&rest, " \n"));)
                take_word(&p, word);
        r = world_walk(walker, &p, &walk);
        if (r < 0) {
                printf("error %s\n", strerror(-r));
                return 0;
        }
        fputs(walk.incomplete ? "incomplete" : "complete", stdout);
        for (size_t i = 0; i < walk.n_outcomes; i++)
                print_outcome(&walk.outcomes[i],
                              p.bytes[0] >> 4 == 4 ? FAMILY_IPV4 : FAMILY_IPV6);
        print_way(&walk);
        putchar('\n');
        return 0;
}

int main(int argc, char **argv) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        _cleanup_(nft_link_closep) NftLink *link = NULL;
        _cleanup_(world_walker_freep) WorldWalker *walker = NULL;
        _cleanup_free_ char *line = NULL;
        size_t room = 0;
        World *w;
        int r = a ? nft_link_open(&link) : -ENOMEM;

        if (r == 0)
                r = world_read(link, a, &w);
        if (r == 0)
                r = world_walker_new(w, &walker);
        if (r < 0) {
                fprintf(stderr, "reading the rules: %s\n", strerror(-r));
                return EXIT_FAILURE;
        }
        if (argc > 1 && streq(argv[1], "--rules"))
                world_print(w, stdout);
        else
                while (getline(&line, &room, stdin) >= 0)
                        (void)answer(walker, line);
        return EXIT_SUCCESS;
}
