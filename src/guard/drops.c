/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guard/drops.h"

#include <sodium.h>

typedef struct Group {
        Drop drop;        /* a network without a count only counts its sources */
        uint32_t sources; /* of a network: that have had a group of their own */
        uint32_t next;    /* of the same bucket; as all of these an index + 1, 0 for none */
        uint32_t newer, older;
        uint32_t bucket;
} Group;

struct Drops {
        size_t max, n;
        uint32_t newest, oldest;
        uint64_t number, forgotten;
        size_t n_buckets; /* a power of two */
        unsigned char seed[crypto_shorthash_KEYBYTES];
        uint32_t *buckets;
        Group *groups;
};

/* What groups have in common, without holes. */
typedef struct Key {
        uint64_t source[2], destination[2], target[2], by;
        uint32_t user;
        uint16_t port, target_port;
        uint8_t kind, section, family, prefix, protocol, flags;
        uint8_t unused[2];
} Key;

Drops *drops_new(size_t max) {
        _cleanup_(drops_freep) Drops *d = calloc(1, sizeof(*d));

        if (!d)
                return NULL;
        d->max = MAX(max, (size_t)2); /* a source and its network */
        for (d->n_buckets = 16; d->n_buckets < max;)
                d->n_buckets *= 2;
        d->groups = calloc(d->max, sizeof(*d->groups));
        d->buckets = calloc(d->n_buckets, sizeof(*d->buckets));
        if (!d->groups || !d->buckets)
                return NULL;
        /* nobody who sends packets knows which fall together */
        crypto_shorthash_keygen(d->seed);
        return TAKE_PTR(d);
}

Drops *drops_free(Drops *d) {
        if (d) {
                free(d->groups);
                free(d->buckets);
        }
        free(d);
        return NULL;
}

Drop drop_make(const LogLine *line, const Refusal *refusal) {
        Drop drop = {
                .kind = refusal->kind,
                .section = refusal->section,
                .family = line->family,
                .source = line->source,
                .prefix = line->family == FAMILY_IPV4 ? 32 : 128,
                .destination = refusal->destination,
                .protocol = line->protocol,
                .has_port = (line->has_ports && refusal->is_dialled_known) || line->has_icmp_type,
                .has_dialled = refusal->is_dialled_known,
                .has_user = line->has_user,
                .user = line->user,
                .translated = refusal->translated,
                .target = refusal->translated ? line->destination : U128_ZERO,
                .target_port = refusal->translated ? line->destination_port : 0,
        };

        if (drop.has_port)
                drop.port = line->has_ports ? refusal->destination_port : line->icmp_type;
        memcpy(drop.in, line->in, sizeof(drop.in));
        memcpy(drop.out, line->out, sizeof(drop.out));
        memcpy(drop.by, refusal->by, sizeof(drop.by));
        return drop;
}

static Key key_of(const Drop *drop, const unsigned char *seed) {
        Key key = {
                .source = {drop->source.high, drop->source.low},
                .target = {drop->target.high, drop->target.low},
                .target_port = drop->target_port,
                .user = drop->user,
                .port = drop->port,
                .kind = (uint8_t)drop->kind,
                .section = (uint8_t)drop->section,
                .family = (uint8_t)drop->family,
                .prefix = drop->prefix,
                .protocol = drop->protocol,
                .flags = (uint8_t)(drop->has_port | drop->has_user << 1 | drop->translated << 2),
        };
        unsigned char hash[crypto_shorthash_BYTES];

        _Static_assert(sizeof(hash) == sizeof(key.by), "");
        /* to this host it is one address as good as the other */
        if (drop->section != SECTION_INBOUND) {
                key.destination[0] = drop->destination.high;
                key.destination[1] = drop->destination.low;
        }
        (void)crypto_shorthash(hash, (const void *)drop->by, strlen(drop->by), seed);
        memcpy(&key.by, hash, sizeof(hash));
        return key;
}

static uint32_t bucket_of(const Drops *d, const Key *key) {
        unsigned char hash[crypto_shorthash_BYTES];
        uint64_t number;

        (void)crypto_shorthash(hash, (const void *)key, sizeof(*key), d->seed);
        memcpy(&number, hash, sizeof(number));
        return (uint32_t)(number & (d->n_buckets - 1));
}

static Group *group_at(const Drops *d, uint32_t place) {
        return place > 0 ? &d->groups[place - 1] : NULL;
}

static uint32_t place_of(const Drops *d, const Group *g) {
        return (uint32_t)(g - d->groups) + 1;
}

static void unlink_age(Drops *d, Group *g) {
        Group *newer = group_at(d, g->newer), *older = group_at(d, g->older);

        *(newer ? &newer->older : &d->newest) = g->older;
        *(older ? &older->newer : &d->oldest) = g->newer;
        g->newer = g->older = 0;
}

static void link_newest(Drops *d, Group *g) {
        Group *newest = group_at(d, d->newest);

        g->older = d->newest;
        d->newest = place_of(d, g);
        *(newest ? &newest->newer : &d->oldest) = d->newest;
}

static void unlink_bucket(Drops *d, const Group *g) {
        uint32_t *at = &d->buckets[g->bucket];

        while (*at != place_of(d, g))
                at = &group_at(d, *at)->next;
        *at = g->next;
}

/* A group that is free, or was seen longest ago. */
static Group *take_group(Drops *d) {
        Group *g;

        if (d->n < d->max)
                return &d->groups[d->n++];
        g = &d->groups[d->oldest - 1];
        unlink_age(d, g);
        unlink_bucket(d, g);
        d->forgotten += g->drop.count > 0;
        return g;
}

static Group *find_group(const Drops *d, const Drop *drop, uint32_t *ret_bucket) {
        Key key = key_of(drop, d->seed), other;
        Group *g;

        *ret_bucket = bucket_of(d, &key);
        for (g = group_at(d, d->buckets[*ret_bucket]); g; g = group_at(d, g->next)) {
                other = key_of(&g->drop, d->seed);
                if (memcmp(&key, &other, sizeof(key)) == 0)
                        break;
        }
        return g;
}

/* The group of these, which is the newest from now on. */
static Group *touch(Drops *d, const Drop *drop) {
        uint32_t bucket;
        Group *g = find_group(d, drop, &bucket);

        if (g) {
                unlink_age(d, g);
        } else {
                g = take_group(d);
                *g = (Group){.drop = *drop, .bucket = bucket, .next = d->buckets[bucket]};
                g->drop.count = 0;
                d->buckets[bucket] = place_of(d, g);
        }
        link_newest(d, g);
        return g;
}

static Drop network_of(const Drop *drop) {
        Drop network = *drop;

        network.prefix = drop->family == FAMILY_IPV4 ? 24 : 64;
        if (drop->family == FAMILY_IPV4)
                network.source.low &= UINT64_C(0xffffff00);
        else
                network.source.low = 0;
        return network;
}

static void count(Drops *d, Group *g, const Drop *drop, uint64_t now_usec) {
        Drop *to = &g->drop;

        if (to->count++ == 0)
                to->first_usec = now_usec;
        to->last_usec = now_usec;
        to->number = ++d->number;
        to->destination = drop->destination;
        memcpy(to->in, drop->in, sizeof(to->in));
        memcpy(to->out, drop->out, sizeof(to->out));
}

void drops_add(Drops *d, const Drop *drop, uint64_t now_usec) {
        Drop network = network_of(drop);
        Group *g = NULL;
        uint32_t bucket;

        /* this host's own addresses are no network of others */
        if (drop->section != SECTION_OUTBOUND && !find_group(d, drop, &bucket)) {
                g = touch(d, &network);
                if (g->sources < DROPS_SOURCES) {
                        g->sources++;
                        g = NULL;
                }
        }
        if (!g)
                g = touch(d, drop);
        count(d, g, drop, now_usec);
}

void drops_each(const Drops *d,
                uint64_t since,
                bool (*take)(const Drop *drop, void *to),
                void *to) {
        for (const Group *g = group_at(d, d->newest); g; g = group_at(d, g->older)) {
                if (g->drop.count == 0)
                        continue; /* a network that only counts its sources */
                if (g->drop.number <= since || !take(&g->drop, to))
                        return;
        }
}

uint64_t drops_number(const Drops *d) {
        return d->number;
}

uint64_t drops_forgotten(const Drops *d) {
        return d->forgotten;
}
