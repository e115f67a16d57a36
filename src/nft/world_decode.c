/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include "nft/shut.h"
#include "nft/world_decoder.h"
#include "nft/world_read.h"

/* Who makes a table of that name; of those with a family 0, in any. */
static const struct {
        uint8_t family;
        const char *table, *owner;
} owners[] = {
        {NFPROTO_INET, "ringwall", "ringwall"},
        {NFPROTO_INET, "ringwall_bans", "ringwall"},
        {NFPROTO_INET, "ringwall_bans_beside", "ringwall"},
        {0, "ringwall_track", "ringwall"},
        {0, "firewalld", "firewalld"},
        {0, "f2b-table", "fail2ban"},
        {0, "netavark", "Podman"},
        {0, "libvirt_network", "libvirt"},
        {0, "docker-bridges", "Docker"},
        {0, "crowdsec", "CrowdSec"},
        {0, "crowdsec6", "CrowdSec"},
        {0, "kube-proxy", "kube-proxy"},
        {0, "tailscale", "Tailscale"},
        {0, "lxd", "LXD"},
        {0, "incus", "Incus"},
        {NFPROTO_IPV4, "filter", "iptables"},
        {NFPROTO_IPV4, "nat", "iptables"},
        {NFPROTO_IPV4, "mangle", "iptables"},
        {NFPROTO_IPV4, "raw", "iptables"},
        {NFPROTO_IPV4, "security", "iptables"},
        {NFPROTO_IPV6, "filter", "ip6tables"},
        {NFPROTO_IPV6, "nat", "ip6tables"},
        {NFPROTO_IPV6, "mangle", "ip6tables"},
        {NFPROTO_IPV6, "raw", "ip6tables"},
        {NFPROTO_IPV6, "security", "ip6tables"},
};

static const char *owner_of(uint8_t family, const char *name) {
        for (size_t i = 0; i < ARRAY_SIZE(owners); i++)
                if ((owners[i].family == 0 || owners[i].family == family) &&
                    streq(owners[i].table, name))
                        return owners[i].owner;
        if (family == NFPROTO_INET && nft_is_shut_table(name))
                return "ringwall";
        return NULL;
}

static int compare_tables(const void *a, const void *b) {
        const WorldTable *x = *(WorldTable *const *)a, *y = *(WorldTable *const *)b;

        return x->family != y->family ? x->family - y->family : strcmp(x->name, y->name);
}

static int compare_owners(const WorldTable *x, const WorldTable *y) {
        return x == y ? 0 : (uintptr_t)x < (uintptr_t)y ? -1 : 1;
}

static int compare_chains(const void *a, const void *b) {
        const WorldChain *x = *(WorldChain *const *)a, *y = *(WorldChain *const *)b;
        int c = compare_owners(x->table, y->table);

        return c != 0 ? c : strcmp(x->name, y->name);
}

static int compare_sets(const void *a, const void *b) {
        const SetState *x = *(SetState *const *)a, *y = *(SetState *const *)b;
        int c = compare_owners(x->set->table, y->set->table);

        if (c == 0)
                c = strcmp(x->set->name, y->set->name);
        return c != 0 ? c : (x->id > y->id) - (x->id < y->id);
}

WorldTable *world_find_table(const WorldDecoder *d, uint8_t family, const char *name) {
        const WorldTable key = {.family = family, .name = name}, *p = &key;
        WorldTable **found;

        if (!name)
                return NULL;
        found = bsearch(&p, d->tables, d->world->n_tables, sizeof(p), compare_tables);
        return found ? *found : NULL;
}

WorldChain *world_find_chain(const WorldDecoder *d, const WorldTable *table, const char *name) {
        const WorldChain key = {.table = table, .name = name}, *p = &key;
        WorldChain **found;

        if (!name)
                return NULL;
        found = bsearch(&p, d->chains, d->world->n_chains, sizeof(p), compare_chains);
        return found ? *found : NULL;
}

SetState *
world_find_set(const WorldDecoder *d, const WorldTable *table, const char *name, uint32_t id) {
        WorldSet key = {.table = table, .name = name};
        SetState state = {.set = &key, .id = id}, *p = &state, **found;

        if (!name)
                return NULL;
        found = bsearch(&p, d->sets, d->world->n_sets, sizeof(p), compare_sets);
        if (!found && id != 0) { /* made without a number */
                state.id = 0;
                found = bsearch(&p, d->sets, d->world->n_sets, sizeof(p), compare_sets);
        }
        return found ? *found : NULL;
}

int world_decode_verdict(const WorldDecoder *d,
                         const WorldTable *table,
                         const Attributes *data,
                         WorldVerdict *ret) {
        static const WorldVerdictKind plain[] = {
                [NF_DROP] = WORLD_DROP,
                [NF_ACCEPT] = WORLD_ACCEPT,
                [NF_STOLEN] = WORLD_STOLEN,
                [NF_QUEUE] = WORLD_QUEUE,
        };
        Attributes verdict;
        uint32_t code;

        *ret = (WorldVerdict){0};
        attributes_inside(data, NFTA_DATA_VERDICT, &verdict);
        if (!attribute_u32(&verdict, NFTA_VERDICT_CODE, &code))
                return -ENOENT;
        switch ((int32_t)code) {
        case NFT_CONTINUE:
                ret->kind = WORLD_CONTINUE;
                return 0;
        case NFT_BREAK:
                ret->kind = WORLD_BREAK;
                return 0;
        case NFT_RETURN:
                ret->kind = WORLD_RETURN;
                return 0;
        case NFT_JUMP:
        case NFT_GOTO:
                ret->kind = (int32_t)code == NFT_JUMP ? WORLD_JUMP : WORLD_GOTO;
                ret->chain =
                        world_find_chain(d, table, attribute_string(&verdict, NFTA_VERDICT_CHAIN));
                return ret->chain ? 0 : -ENOENT;
        }
        if ((code & NF_VERDICT_MASK) >= ARRAY_SIZE(plain))
                return -ENOENT;
        ret->kind = plain[code & NF_VERDICT_MASK];
        return 0;
}

/* --- messages --- */

typedef struct Message {
        unsigned int type; /* NFT_MSG_ */
        uint8_t family;
        Attributes a;
} Message;

static bool message_is(const struct nlmsghdr *h, Message *ret) {
        const struct nfgenmsg *g = mnl_nlmsg_get_payload(h);

        if (h->nlmsg_type >> 8 != NFNL_SUBSYS_NFTABLES || mnl_nlmsg_get_payload_len(h) < sizeof(*g))
                return false;
        ret->type = h->nlmsg_type & 0xff;
        ret->family = g->nfgen_family;
        return true;
}

static int decode_table(WorldDecoder *d, const Message *m) {
        World *w = d->world;
        const char *name = attribute_string(&m->a, NFTA_TABLE_NAME);
        WorldTable *table = &w->tables[w->n_tables];

        if (!name)
                return -EPROTO;
        *table = (WorldTable){.family = m->family, .name = arena_strdup(w->arena, name)};
        if (!table->name)
                return -ENOMEM;
        table->owner = owner_of(m->family, name);
        (void)attribute_u32(&m->a, NFTA_TABLE_FLAGS, &table->flags); /* absent: none */
        d->tables[w->n_tables++] = table;
        return 0;
}

static bool add_device(World *w, WorldChain *chain, const char *name) {
        const char *copy = name ? arena_strdup(w->arena, name) : NULL;

        return copy && arena_append(w->arena, chain->devices, chain->n_devices, copy);
}

static int decode_devices(World *w, WorldChain *chain, const Attributes *hook) {
        const struct nlattr *attr;

        if (hook->list[NFTA_HOOK_DEV] &&
            !add_device(w, chain, attribute_string(hook, NFTA_HOOK_DEV)))
                return -ENOMEM;
        if (!hook->list[NFTA_HOOK_DEVS])
                return 0;
        attribute_for_each_nested(attr, hook->list[NFTA_HOOK_DEVS]) {
                const char *name = mnl_attr_get_payload(attr);
                size_t size = mnl_attr_get_payload_len(attr);

                if (size == 0 || !memchr(name, '\0', size))
                        return -EPROTO;
                if (!add_device(w, chain, name))
                        return -ENOMEM;
        }
        return 0;
}

static int decode_hook(World *w, WorldChain *chain, const Attributes *a) {
        const char *type = attribute_string(a, NFTA_CHAIN_TYPE);
        uint32_t number, priority, policy = NF_ACCEPT;
        uint8_t family = chain->table->family;
        Attributes hook;

        attributes_inside(a, NFTA_CHAIN_HOOK, &hook);
        if (!attribute_u32(&hook, NFTA_HOOK_HOOKNUM, &number) || number > NF_INET_INGRESS ||
            !attribute_u32(&hook, NFTA_HOOK_PRIORITY, &priority))
                return -EPROTO;
        (void)attribute_u32(a, NFTA_CHAIN_POLICY, &policy); /* absent: accept */
        chain->is_base = true;
        chain->hook = (int)number;
        chain->priority = (int)priority;
        chain->policy_drop = policy == NF_DROP;
        chain->type = type && streq(type, "nat")     ? WORLD_NATS
                      : type && streq(type, "route") ? WORLD_ROUTE
                                                     : WORLD_FILTER;
        if (family == NFPROTO_NETDEV) {
                chain->ingress = number == NF_NETDEV_INGRESS;
                chain->egress = number != NF_NETDEV_INGRESS;
        } else
                chain->ingress = family == NFPROTO_INET && number == NF_INET_INGRESS;
        return decode_devices(w, chain, &hook);
}

static int decode_chain(WorldDecoder *d, const WorldTable *table, const Attributes *a) {
        World *w = d->world;
        const char *name = attribute_string(a, NFTA_CHAIN_NAME);
        WorldChain *chain = arena_new0(w->arena, WorldChain);

        if (!name)
                return -EPROTO;
        if (!chain)
                return -ENOMEM;
        chain->table = table;
        chain->name = arena_strdup(w->arena, name);
        chain->number = w->n_chains;
        if (!chain->name)
                return -ENOMEM;
        if (strstr(name, "_ZONES"))
                w->tables[table - w->tables].has_zones = true;
        (void)attribute_u64(a, NFTA_CHAIN_HANDLE, &chain->handle); /* a batch has none */
        w->chains[w->n_chains] = chain;
        d->chains[w->n_chains++] = chain;
        return a->list[NFTA_CHAIN_HOOK] ? decode_hook(w, chain, a) : 0;
}

/* --- passes: what later ones refer to comes first --- */

typedef int Take(WorldDecoder *d, const WorldTable *table, const Attributes *a);

/* Every message of that kind whose table is known. The name of the table is the first attribute of
 * each kind. */
static int pass(WorldDecoder *d, const void *bytes, size_t size, unsigned int type, Take *take) {
        message_for_each(h, bytes, size) {
                const WorldTable *table;
                Message m;
                int r;

                if (!message_is(h, &m) || m.type != type)
                        continue;
                attributes_of_message(h, &m.a);
                table = world_find_table(d, m.family, attribute_string(&m.a, NFTA_CHAIN_TABLE));
                if (!table)
                        return -EPROTO;
                r = take(d, table, &m.a);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int pass_tables(WorldDecoder *d, const void *bytes, size_t size) {
        World *w = d->world;

        message_for_each(h, bytes, size) {
                Message m;
                int r;

                if (!message_is(h, &m) || m.type != NFT_MSG_NEWTABLE)
                        continue;
                attributes_of_message(h, &m.a);
                r = decode_table(d, &m);
                if (r < 0)
                        return r;
        }
        qsort(d->tables, w->n_tables, sizeof(d->tables[0]), compare_tables);
        for (size_t i = 1; i < w->n_tables; i++)
                if (compare_tables(&d->tables[i - 1], &d->tables[i]) == 0)
                        return -EPROTO;
        return 0;
}

static int sort_names(WorldDecoder *d) {
        World *w = d->world;

        qsort(d->chains, w->n_chains, sizeof(d->chains[0]), compare_chains);
        for (size_t i = 1; i < w->n_chains; i++)
                if (compare_chains(&d->chains[i - 1], &d->chains[i]) == 0)
                        return -EPROTO;
        for (size_t i = 0; i < w->n_sets; i++) {
                d->states[i].set = w->sets[i];
                d->sets[i] = &d->states[i];
        }
        qsort(d->sets, w->n_sets, sizeof(d->sets[0]), compare_sets);
        for (size_t i = 1; i < w->n_sets; i++)
                if (compare_sets(&d->sets[i - 1], &d->sets[i]) == 0)
                        return -EPROTO;
        return 0;
}

static int reserve_elements(WorldDecoder *d) {
        World *w = d->world;

        for (size_t i = 0; i < w->n_sets; i++) {
                SetState *s = &d->states[i];

                if (s->room == 0)
                        continue;
                s->set->elements = arena_alloc_array(w->arena, s->room, sizeof(WorldElement));
                s->low = arena_alloc_array(w->arena, s->room, s->set->key_size);
                s->high = s->set->interval ? arena_alloc_array(w->arena, s->room, s->set->key_size)
                                           : s->low;
                if (!s->set->elements || !s->low || !s->high)
                        return -ENOMEM;
        }
        return 0;
}

/* Room for as many as there are messages. */
static int reserve(WorldDecoder *d, const void *bytes, size_t size) {
        size_t n_tables = 0, n_chains = 0, n_sets = 0;
        Arena *a = d->world->arena;

        message_for_each(h, bytes, size) {
                Message m;

                if (!message_is(h, &m))
                        continue;
                n_tables += m.type == NFT_MSG_NEWTABLE;
                n_chains += m.type == NFT_MSG_NEWCHAIN;
                n_sets += m.type == NFT_MSG_NEWSET;
        }
        d->world->tables = arena_alloc_array(a, n_tables, sizeof(WorldTable));
        d->world->chains = arena_alloc_array(a, n_chains, sizeof(WorldChain *));
        d->world->sets = arena_alloc_array(a, n_sets, sizeof(WorldSet *));
        d->tables = arena_alloc_array(a, n_tables, sizeof(WorldTable *));
        d->chains = arena_alloc_array(a, n_chains, sizeof(WorldChain *));
        d->sets = arena_alloc_array(a, n_sets, sizeof(SetState *));
        d->states = arena_alloc_array(a, n_sets, sizeof(SetState));
        return d->world->tables && d->world->chains && d->world->sets && d->tables && d->chains &&
                               d->sets && d->states
                       ? 0
                       : -ENOMEM;
}

static int decode_all(WorldDecoder *d, const void *bytes, size_t size) {
        int r = reserve(d, bytes, size);

        if (r == 0)
                r = pass_tables(d, bytes, size);
        if (r == 0)
                r = pass(d, bytes, size, NFT_MSG_NEWCHAIN, decode_chain);
        if (r == 0)
                r = pass(d, bytes, size, NFT_MSG_NEWSET, world_decode_set);
        if (r == 0)
                r = sort_names(d);
        if (r == 0)
                r = pass(d, bytes, size, NFT_MSG_NEWSETELEM, world_count_elements);
        if (r == 0)
                r = reserve_elements(d);
        if (r == 0)
                r = pass(d, bytes, size, NFT_MSG_NEWSETELEM, world_decode_elements);
        if (r == 0)
                r = pass(d, bytes, size, NFT_MSG_NEWRULE, world_decode_rule);
        for (size_t i = 0; i < d->world->n_sets && r == 0; i++)
                r = world_finish_set(d, &d->states[i]);
        return r;
}

int world_decode(Arena *a, const void *bytes, size_t size, World **ret) {
        WorldDecoder d = {.world = arena_new0(a, World)};
        int r;

        if (!d.world)
                return -ENOMEM;
        d.world->arena = a;
        r = decode_all(&d, bytes, size);
        free(d.exprs);
        if (r == 0)
                *ret = d.world;
        return r;
}
