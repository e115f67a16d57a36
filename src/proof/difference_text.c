/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <inttypes.h>
#include <netinet/in.h>
#include <time.h>

#include "proof/difference.h"

#define ITEMS_MAX 6 /* of a list of ranges; the rest is counted */

typedef struct Text {
        const DifferenceRegion *r;
        const Policy *policy;
        Arena *arena;
        FILE *f;
        bool of_family; /* something tells which family is meant */
} Text;

static const char *const kinds[_DIFFERENCE_KIND_MAX] = {
        [DIFFERENCE_GAINED] = "newly reachable",
        [DIFFERENCE_GAINED_LIMITED] = "newly reachable within a limit",
        [DIFFERENCE_LOST] = "no longer reachable",
        [DIFFERENCE_LIMITED] = "reachable within a limit only",
        [DIFFERENCE_UNLIMITED] = "no longer limited",
        [DIFFERENCE_OTHER_LIMIT] = "within another limit",
        [DIFFERENCE_SENT] = "newly translated",
        [DIFFERENCE_NOT_SENT] = "no longer translated",
};

static const char *const ways[_DIFFERENCE_WAY_MAX] = {
        [DIFFERENCE_INBOUND] = "inbound",   [DIFFERENCE_DIALLED] = "published",
        [DIFFERENCE_ROUTED] = "routed",     [DIFFERENCE_OUTBOUND] = "outbound",
        [DIFFERENCE_FORWARD] = "forwarded", [DIFFERENCE_MASQUERADE] = "masqueraded",
};

const char *difference_kind_to_string(DifferenceKind kind) {
        return kinds[kind];
}

const char *difference_way_to_string(DifferenceWay way) {
        return ways[way];
}

typedef void (*PrintRange)(Text *t, Range r);

static void print_number(Text *t, Range r) {
        fprintf(t->f, "%" PRIu64, r.low.low);
        if (!range_is_single(r))
                fprintf(t->f, "-%" PRIu64, r.high.low);
}

static void print_address(Text *t, Range r) {
        char buf[ADDRESS_TEXT_MAX];

        t->of_family = true;
        fputs(address_range_print(t->r->family, r, buf), t->f);
}

static void print_protocol(Text *t, Range r) {
        const char *name = range_is_single(r) ? protocol_to_string((uint8_t)r.low.low) : NULL;

        if (name)
                fputs(name, t->f);
        else
                print_number(t, r);
}

static void print_icmp(Text *t, Range r) {
        const char *name =
                range_is_single(r) ? icmp_type_to_string(t->r->family, (uint8_t)r.low.low) : NULL;

        if (name)
                fputs(name, t->f);
        else
                print_number(t, r);
}

static void print_interface(Text *t, Range r) {
        char low[17] = {0};
        size_t n;

        u128_to_bytes(r.low, low, 16);
        n = strlen(low);
        fwrite(low, 1, n, t->f); /* of a checked policy's names: printable */
        if (!range_is_single(r) && n < 16 && u128_equal(interface_prefix_range(low).high, r.high))
                fputc('*', t->f);
        else if (!range_is_single(r))
                fputs(" and what comes behind it", t->f);
}

static void print_list(Text *t, const RangeSet *set, PrintRange print) {
        for (size_t i = 0; i < set->n_items && i < ITEMS_MAX; i++) {
                fputs(i > 0 ? ", " : "", t->f);
                print(t, set->items[i]);
        }
        if (set->n_items > ITEMS_MAX)
                fprintf(t->f, " and %zu more", set->n_items - ITEMS_MAX);
}

/* Whether the values that are missing are easier to tell. */
static bool tells_rest(const Text *t, MeaningVariable v) {
        const RangeSet *set = &t->r->values[v], *rest = &t->r->rest[v];

        if (rest->n_items != set->n_items || set->n_items == 0)
                return rest->n_items < set->n_items;
        return range_is_prefix(rest->items[0], 128, NULL) &&
               !range_is_prefix(set->items[0], 128, NULL);
}

static void print_values(Text *t, MeaningVariable v, const char *any, PrintRange print) {
        bool rest = tells_rest(t, v);

        fputs(rest ? any : "", t->f);
        print_list(t, rest ? &t->r->rest[v] : &t->r->values[v], print);
}

static const RangeSet *ports_of(const ServiceSet *s, uint64_t protocol) {
        return protocol == IPPROTO_TCP ? &s->tcp : protocol == IPPROTO_UDP ? &s->udp : &s->sctp;
}

/* The name of the one service that is just these ports, as far as the protocol goes. */
static void print_service_name(Text *t, uint64_t protocol, const RangeSet *ports) {
        const Service *found = NULL;

        if (protocol != IPPROTO_TCP && protocol != IPPROTO_UDP && protocol != IPPROTO_SCTP)
                return;
        for (size_t i = 0; i < t->policy->n_services; i++) {
                const Service *s = t->policy->services[i];

                if (!range_set_equal(ports_of(&s->set, protocol), ports))
                        continue;
                if (found)
                        return;
                found = s;
        }
        if (found)
                fprintf(t->f, " (%s)", found->name);
}

/* word: "port ", or nothing where it goes without saying. */
static void print_ports(Text *t, MeaningVariable v, const char *word) {
        fprintf(t->f, " %s", tells_rest(t, v) ? "" : word);
        print_values(t, v, "any port but ", print_number);
}

static void print_service(Text *t) {
        const RangeSet *protocols = &t->r->values[MEANING_PROTOCOL];
        bool all = t->r->all[MEANING_PROTOCOL];
        uint64_t one = !all && protocols->n_items == 1 && range_is_single(protocols->items[0])
                               ? protocols->items[0].low.low
                               : UINT64_MAX;

        if (all)
                fputs("any protocol", t->f);
        else
                print_values(t, MEANING_PROTOCOL, "any protocol but ", print_protocol);
        if (!t->r->all[MEANING_DIALLED_PORT]) {
                fputs(one == UINT64_MAX ? " to" : "", t->f);
                print_ports(t, MEANING_DIALLED_PORT, one == UINT64_MAX ? "port " : "");
                print_service_name(t, one, &t->r->values[MEANING_DIALLED_PORT]);
        }
        if (!t->r->all[MEANING_ICMP]) {
                t->of_family = true;
                fputs(one == UINT64_MAX ? " of type " : " ", t->f);
                print_list(t, &t->r->values[MEANING_ICMP], print_icmp);
        }
}

static bool equal_addresses(const DifferenceRegion *r, MeaningVariable v, const ZonePart *p) {
        return p->any_address
                       ? r->all[v]
                       : !r->all[v] && range_set_equal(&r->values[v], &p->addresses[r->family]);
}

static bool equal_interfaces(const DifferenceRegion *r, MeaningVariable v, const ZonePart *p) {
        return p->any_interface ? r->all[v]
                                : !r->all[v] && range_set_equal(&r->values[v], &p->interfaces);
}

static const Zone *find_zone(const Text *t, MeaningVariable address, MeaningVariable interface) {
        for (size_t i = 0; i < t->policy->n_zones; i++) {
                const Zone *z = t->policy->zones[i];

                if (z->n_parts == 1 && !(z->parts[0].any_address && z->parts[0].any_interface) &&
                    equal_addresses(t->r, address, &z->parts[0]) &&
                    equal_interfaces(t->r, interface, &z->parts[0]))
                        return z;
        }
        return NULL;
}

/* The zone of just the addresses that are not meant. */
static const Zone *find_other_zone(const Text *t, MeaningVariable address) {
        for (size_t i = 0; i < t->policy->n_zones && !t->r->all[address]; i++) {
                const ZonePart *p = &t->policy->zones[i]->parts[0];

                if (t->policy->zones[i]->n_parts == 1 && p->any_interface && !p->any_address &&
                    range_set_equal(&t->r->rest[address], &p->addresses[t->r->family]))
                        return t->policy->zones[i];
        }
        return NULL;
}

static void print_interfaces(Text *t, const char *word, MeaningVariable v) {
        bool open = interface_set_is_open(&t->r->values[v]);

        if (t->r->all[v])
                return;
        fprintf(t->f, " %s %s", word, open ? "any interface but " : "");
        print_list(t, open ? &t->r->rest[v] : &t->r->values[v], print_interface);
}

static void print_side(Text *t,
                       const char *word,
                       const char *interface_word,
                       MeaningVariable address,
                       MeaningVariable interface) {
        const Zone *zone = find_zone(t, address, interface);

        if (zone) {
                fprintf(t->f, " %s %s", word, zone->name);
                return;
        }
        zone = find_other_zone(t, address);
        if (zone) {
                fprintf(t->f, " %s anywhere but %s", word, zone->name);
        } else if (!t->r->all[address]) {
                fprintf(t->f, " %s ", word);
                print_values(t, address, "anywhere but ", print_address);
        }
        print_interfaces(t, interface_word, interface);
}

static void print_owner(Text *t, const char *word, MeaningVariable v) {
        const RangeSet *set = &t->r->values[v];

        if (t->r->all[v])
                return;
        fprintf(t->f, " of %s ", word);
        print_values(t, v, "anybody but ", print_number);
        if (set->n_items > 0 && set->items[set->n_items - 1].high.low == MEANING_NOBODY)
                fputs(" (or of no socket)", t->f);
}

static void print_time(Text *t, Range r) {
        const char *words[] = {"from", "until"};
        U128 ends[] = {r.low, r.high};

        for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
                time_t seconds = (time_t)(ends[i].low / 1000000000);
                struct tm tm;
                char buf[32];

                if (ends[i].low == 0 || ends[i].low == UINT64_MAX || !gmtime_r(&seconds, &tm) ||
                    strftime(buf, sizeof(buf), "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
                        continue;
                fprintf(t->f, "%s%s %s", i > 0 && r.low.low > 0 ? " " : "", words[i], buf);
        }
}

static void print_class(Text *t, Range r) {
        static const char *const words[] = {"new", "untracked", "announced by another connection"};

        for (uint64_t c = r.low.low; c <= r.high.low && c < ARRAY_SIZE(words); c++)
                fprintf(t->f, "%s%s", c > r.low.low ? ", " : "", words[c]);
}

static void print_hook(Text *t, Range r) {
        fputs(r.low.low == 0 ? "ending here" : "passing through", t->f);
}

static void print_facts(Text *t) {
        static const struct {
                MeaningVariable v;
                const char *words; /* in front of the values */
                PrintRange print;
        } rows[] = {
                {MEANING_SOURCE_PORT, "from port ", print_number},
                {MEANING_HOOK, "", print_hook},
                {MEANING_CLASS, "", print_class},
                {MEANING_TIME, "", print_time},
                {MEANING_HOPS, "hop limit ", print_number},
                {MEANING_LINK, "frames to another machine of the bridge", NULL},
                {MEANING_FIB_SOURCE_OUT, "by whether any interface leads back to the source", NULL},
                {MEANING_FIB_SOURCE_IN_OUT, "by whether the interface leads back to the source",
                 NULL},
                {MEANING_FIB_SOURCE_TYPE, "by what the source is to this host", NULL},
                {MEANING_FIB_DESTINATION_TYPE, "by what the destination is to this host", NULL},
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                if (t->r->all[rows[i].v])
                        continue;
                fprintf(t->f, ", %s", rows[i].words);
                if (rows[i].print)
                        print_list(t, &t->r->values[rows[i].v], rows[i].print);
        }
}

bool difference_describe(const DifferenceRegion *r, const Policy *p, Arena *a, FILE *f) {
        Text t = {r, p, a, f, false};
        char buf[ADDRESS_TEXT_MAX];

        print_service(&t);
        print_side(&t, "from", "in", MEANING_SOURCE, MEANING_IN);
        print_side(&t, "to", "out", MEANING_DIALLED, MEANING_OUT);
        if (!r->all[MEANING_FINAL] || !r->all[MEANING_FINAL_PORT])
                fputs(", ending at", f);
        if (!r->all[MEANING_FINAL]) {
                fputc(' ', f);
                print_values(&t, MEANING_FINAL, "any address but ", print_address);
        }
        if (!r->all[MEANING_FINAL_PORT])
                print_ports(&t, MEANING_FINAL_PORT, "port ");
        print_owner(&t, "user", MEANING_USER);
        print_owner(&t, "group", MEANING_GROUP);
        if (r->target) {
                t.of_family = true;
                fprintf(f, ", sent to %s", address_print(r->family, r->target->address, buf));
                if (r->target->port > 0)
                        fprintf(f, " port %u", r->target->port);
        }
        print_facts(&t);
        if (r->limit_after)
                fprintf(f, ", within %s", r->limit_after);
        if (r->limit_before)
                fprintf(f, ", %s %s", r->limit_after ? "before" : "before within", r->limit_before);
        return t.of_family;
}
