/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "world/published.h"

#include <netinet/in.h>

#include <linux/netfilter/nf_tables.h>

#include "world/print.h"

static const char *engine_of(const WorldChain *chain) {
        static const char *const engines[] = {"CNI", "Docker", "Podman"};
        const char *owner = world_chain_owner(chain);

        for (size_t i = 0; i < ARRAY_SIZE(engines); i++)
                if (streq_null(owner, engines[i]))
                        return engines[i];
        return NULL;
}

/* What a register holds, as far as a publication asks for it. */
typedef enum Held { HELD_ELSE, HELD_PROTOCOL, HELD_PORT, HELD_DESTINATION, HELD_VALUE } Held;

typedef struct Reader {
        Held held[WORLD_REGISTERS];
        uint8_t values[WORLD_REGISTERS][2]; /* the first two bytes of HELD_VALUE */
        Published found;
        bool has_port;
} Reader;

static Held held_of(const WorldExpr *e) {
        if (e->kind == WORLD_META && e->key == NFT_META_L4PROTO)
                return HELD_PROTOCOL;
        if (e->kind == WORLD_PAYLOAD && e->base == WORLD_TRANSPORT && e->offset == 2 &&
            e->size == 2)
                return HELD_PORT;
        if (e->kind == WORLD_PAYLOAD && e->base == WORLD_NETWORK &&
            (e->offset == 16 || e->offset == 24))
                return HELD_DESTINATION;
        return e->kind == WORLD_DATA ? HELD_VALUE : HELD_ELSE;
}

static uint16_t port_in(const uint8_t *bytes) {
        return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

static bool is_loopback(const WorldExpr *e) {
        static const uint8_t one[16] = {[15] = 1};

        return e->data.size > 0 &&
               (e->data.size <= 4 ? e->data.bytes[0] == 127 : memcmp(e->data.bytes, one, 16) == 0);
}

static void compare(Reader *r, const WorldExpr *e) {
        if (e->op != WORLD_EQUAL || e->source < 0)
                return;
        switch (r->held[e->source]) {
        case HELD_PROTOCOL:
                r->found.proto = e->data.bytes[0];
                break;
        case HELD_PORT:
                r->found.port = port_in(e->data.bytes);
                r->has_port = true;
                break;
        case HELD_DESTINATION:
                r->found.loopback |= is_loopback(e);
                break;
        case HELD_ELSE:
        case HELD_VALUE:
                break;
        }
}

/* True if the rule publishes. */
static bool translate(Reader *r, const WorldNat *nat) {
        if (nat->kind != WORLD_DNAT || !r->has_port || nat->address_low < 0)
                return false;
        r->found.inner = r->found.port;
        if (nat->port_low >= 0 && r->held[nat->port_low] == HELD_VALUE)
                r->found.inner = port_in(r->values[nat->port_low]);
        return r->found.proto == IPPROTO_TCP || r->found.proto == IPPROTO_UDP ||
               r->found.proto == IPPROTO_SCTP;
}

static bool read_rule(const WorldRule *rule, Reader *r) {
        for (size_t i = 0; i < rule->n_exprs; i++) {
                const WorldExpr *e = &rule->exprs[i];

                if (e->kind == WORLD_NAT)
                        return translate(r, &e->nat);
                if (e->kind == WORLD_CMP)
                        compare(r, e);
                else if (e->target >= 0 && e->kind != WORLD_BITWISE) {
                        r->held[e->target] = held_of(e);
                        memcpy(r->values[e->target], e->data.bytes,
                               e->kind == WORLD_DATA ? sizeof(r->values[0]) : 0);
                }
        }
        return false;
}

/* A port may be published at loopback and, by another container, elsewhere. */
static bool is_known(const Published *list, size_t n, const Published *p) {
        for (size_t i = 0; i < n; i++)
                if (list[i].proto == p->proto && list[i].port == p->port &&
                    list[i].inner == p->inner && list[i].loopback == p->loopback)
                        return true;
        return false;
}

static int look_at(const WorldChain *chain, Arena *a, Published **list, size_t *n) {
        const char *engine = engine_of(chain);

        for (size_t i = 0; i < chain->n_rules && engine && *n < PUBLISHED_MAX; i++) {
                Reader r = {.found = {.engine = engine}};

                if (read_rule(&chain->rules[i], &r) && !is_known(*list, *n, &r.found) &&
                    !arena_append(a, *list, *n, r.found))
                        return -ENOMEM;
        }
        return 0;
}

int published_find(const World *w, Arena *a, Published **ret, size_t *ret_n) {
        Published *list = NULL;
        size_t n = 0;

        for (size_t i = 0; i < w->n_chains; i++)
                if (look_at(w->chains[i], a, &list, &n) < 0)
                        return -ENOMEM;
        *ret = list;
        *ret_n = n;
        return 0;
}
