/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nft/decode.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include "nft/decoder.h"

static int compare_sets(const void *a, const void *b) {
        const KnownSet *x = a, *y = b;

        return strcmp(x->name, y->name);
}

static int compare_chains(const void *a, const void *b) {
        const Chain *const *x = a, *const *y = b;

        return strcmp((*x)->name, (*y)->name);
}

static void decoder_sort(Decoder *d) {
        if (d->n_sets > 0)
                qsort(d->sets, d->n_sets, sizeof(d->sets[0]), compare_sets);
        if (d->n_chains > 0)
                qsort(d->chains, d->n_chains, sizeof(d->chains[0]), compare_chains);
}

KnownSet *decoder_find_set(const Decoder *d, const char *name) {
        KnownSet key = {.name = name};

        return d->n_sets ? bsearch(&key, d->sets, d->n_sets, sizeof(key), compare_sets) : NULL;
}

Chain *decoder_find_chain(const Decoder *d, const char *name) {
        Chain wanted = {.name = name}, *key = &wanted;
        Chain **found = d->n_chains
                                ? bsearch(&key, d->chains, d->n_chains, sizeof(key), compare_chains)
                                : NULL;

        return found ? *found : NULL;
}

KnownSet *decoder_find_named_set(Decoder *d, const char *name) {
        KnownSet *found = decoder_find_set(d, name);
        Set *set = found || !d->known ? NULL : ruleset_find_set(d->known, name);

        if (!set)
                return found;
        found = arena_new0(d->rs->arena, KnownSet); /* NULL: it is not understood, and differs */
        if (found)
                *found = (KnownSet){.name = set->name, .set = set};
        return found;
}

/* Huge maps lead to as many chains. */
static bool sort_known(Decoder *d) {
        size_t n = d->known ? d->known->n_chains : 0;

        if (d->known_chains || n == 0)
                return n > 0;
        d->known_chains = arena_alloc_array(d->rs->arena, n, sizeof(*d->known_chains));
        if (!d->known_chains)
                return false;
        memcpy(d->known_chains, d->known->chains, n * sizeof(*d->known_chains));
        qsort(d->known_chains, n, sizeof(*d->known_chains), compare_chains);
        return true;
}

const Chain *decoder_find_target(Decoder *d, const char *name) {
        Chain wanted = {.name = name}, *key = &wanted, **found;
        const Chain *chain = decoder_find_chain(d, name);

        if (chain || !sort_known(d))
                return chain;
        found = bsearch(&key, d->known_chains, d->known->n_chains, sizeof(key), compare_chains);
        return found ? *found : NULL;
}

bool decode_verdict(Decoder *d, const Attributes *data, Verdict *ret) {
        Attributes verdict;
        const char *name;
        uint32_t code;

        attributes_inside(data, NFTA_DATA_VERDICT, &verdict);
        if (!attribute_u32(&verdict, NFTA_VERDICT_CODE, &code))
                return false;
        *ret = (Verdict){0};
        switch ((int32_t)code) {
        case NF_ACCEPT:
                ret->kind = VERDICT_ACCEPT;
                return true;
        case NF_DROP:
                ret->kind = VERDICT_DROP;
                return true;
        case NFT_CONTINUE:
                ret->kind = VERDICT_CONTINUE;
                return true;
        case NFT_RETURN:
                ret->kind = VERDICT_RETURN;
                return true;
        case NFT_JUMP:
        case NFT_GOTO:
                ret->kind = (int32_t)code == NFT_JUMP ? VERDICT_JUMP : VERDICT_GOTO;
                name = attribute_string(&verdict, NFTA_VERDICT_CHAIN);
                ret->chain = name ? decoder_find_target(d, name) : NULL;
                return ret->chain != NULL;
        }
        return false;
}

static int decode_table(Decoder *d, const Attributes *a) {
        d->rs->exists = true;
        (void)attribute_u32(a, NFTA_TABLE_FLAGS, &d->rs->flags); /* absent: none */
        (void)attribute_u32(a, NFTA_TABLE_OWNER, &d->rs->owner);
        return 0;
}

static Hook hook_of_number(uint32_t number) {
        switch (number) {
        case NF_INET_PRE_ROUTING:
                return HOOK_PREROUTING;
        case NF_INET_LOCAL_IN:
                return HOOK_INPUT;
        case NF_INET_FORWARD:
                return HOOK_FORWARD;
        case NF_INET_LOCAL_OUT:
                return HOOK_OUTPUT;
        case NF_INET_POST_ROUTING:
                return HOOK_POSTROUTING;
        }
        return HOOK_NONE;
}

/* Only chains that filter or translate are ours. */
static int decode_hook(Decoder *d, Chain *chain, const Attributes *a) {
        const char *type = attribute_string(a, NFTA_CHAIN_TYPE);
        uint32_t number = 0, priority = 0, policy = NF_ACCEPT;
        Match m = {.op = MATCH_UNKNOWN};
        Attributes hook;
        Rule *rule;

        attributes_inside(a, NFTA_CHAIN_HOOK, &hook);
        if (!attribute_u32(&hook, NFTA_HOOK_HOOKNUM, &number) ||
            !attribute_u32(&hook, NFTA_HOOK_PRIORITY, &priority))
                return -EPROTO;
        (void)attribute_u32(a, NFTA_CHAIN_POLICY, &policy);
        chain->priority = (int)priority;
        chain->policy_drop = policy == NF_DROP;
        if (type && (streq(type, "filter") || streq(type, "nat")))
                chain->hook = hook_of_number(number);
        if (type && streq(type, "nat"))
                chain->type = CHAIN_NAT;
        if (chain->hook != HOOK_NONE)
                return 0;
        m.text = arena_printf(d->rs->arena, "chain of type %s at hook %u", type ? type : "?",
                              number);
        rule = chain_add_rule(d->rs, chain, verdict_of(VERDICT_CONTINUE), (Origin){0});
        if (!rule || !m.text || !arena_append(d->rs->arena, rule->matches, rule->n_matches, m))
                return -ENOMEM;
        return 0;
}

static int decode_chain(Decoder *d, const Attributes *a) {
        const char *name = attribute_string(a, NFTA_CHAIN_NAME);
        uint32_t flags = 0;
        Chain *chain;

        (void)attribute_u32(a, NFTA_CHAIN_FLAGS, &flags);
        if (!name)
                return -EPROTO;
        if (flags & NFT_CHAIN_BINDING)
                return 0;
        chain = ruleset_add_chain(d->rs, name);
        if (!chain || !arena_append(d->rs->arena, d->chains, d->n_chains, chain))
                return -ENOMEM;
        (void)attribute_u64(a, NFTA_CHAIN_HANDLE, &chain->handle);
        return a->list[NFTA_CHAIN_HOOK] ? decode_hook(d, chain, a) : 0;
}

/* In each kind of message the table's name has the same number. */
#define TABLE_NAME NFTA_TABLE_NAME
_Static_assert((int)TABLE_NAME == (int)NFTA_CHAIN_TABLE && (int)TABLE_NAME == (int)NFTA_SET_TABLE &&
                       (int)TABLE_NAME == (int)NFTA_SET_ELEM_LIST_TABLE &&
                       (int)TABLE_NAME == (int)NFTA_RULE_TABLE &&
                       (int)TABLE_NAME == (int)NFTA_OBJ_TABLE,
               "the table's name");

/* One row a kind of message: what it needs to be there first decides in which round it is read. */
static const struct Kind {
        uint8_t type;
        unsigned int round;
        int (*decode)(Decoder *d, const Attributes *a);
} kinds[] = {
        {NFT_MSG_NEWTABLE, 0, decode_table}, {NFT_MSG_NEWCHAIN, 0, decode_chain},
        {NFT_MSG_NEWSET, 0, decode_set},     {NFT_MSG_NEWSETELEM, 1, decode_elements},
        {NFT_MSG_NEWRULE, 2, decode_rule},   {NFT_MSG_NEWOBJ, 0, decode_object},
};

/* The attributes of the message if it is of that type and about our table. */
static bool is_ours(const struct nlmsghdr *h, uint8_t type, Attributes *ret) {
        const struct nfgenmsg *g = mnl_nlmsg_get_payload(h);
        const char *table;

        if (h->nlmsg_type != (NFNL_SUBSYS_NFTABLES << 8 | type) ||
            mnl_nlmsg_get_payload_len(h) < sizeof(*g) || g->nfgen_family != NFPROTO_INET)
                return false;
        attributes_of_message(h, ret);
        table = attribute_string(ret, TABLE_NAME);
        return table && streq(table, RULESET_TABLE);
}

static const struct Kind *find_kind(uint16_t type) {
        for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
                if (type == (NFNL_SUBSYS_NFTABLES << 8 | kinds[i].type))
                        return &kinds[i];
        return NULL;
}

static int decode_round(Decoder *d, const void *bytes, size_t size, unsigned int round) {
        message_for_each(h, bytes, size) {
                const struct Kind *kind = find_kind(h->nlmsg_type);
                Attributes a;
                int r;

                if (!kind || kind->round != round || !is_ours(h, kind->type, &a))
                        continue;
                r = kind->decode(d, &a);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int decode(Decoder *d, const void *bytes, size_t size, Ruleset **ret) {
        int r;

        if (!d->rs)
                return -ENOMEM;
        r = decode_round(d, bytes, size, 0);
        if (r < 0)
                return r;
        decoder_sort(d);
        for (size_t i = 0; i < d->n_sets && r == 0; i++)
                r = expected_new(d->rs->arena, d->wanted, d->sets[i].set, &d->sets[i].expected);
        if (r == 0)
                r = decode_round(d, bytes, size, 1);
        for (size_t i = 0; i < d->n_sets && r == 0; i++)
                r = decode_finish_set(d, &d->sets[i]);
        if (r == 0)
                r = decode_round(d, bytes, size, 2);
        if (r < 0)
                return r;
        *ret = d->rs;
        return 0;
}

int decode_ruleset(Arena *a, const void *bytes, size_t size, Ruleset **ret) {
        Decoder d = {.rs = ruleset_new(a)};

        return decode(&d, bytes, size, ret);
}

int decode_wanted(Arena *a, const void *bytes, size_t size, const Ruleset *wanted, Ruleset **ret) {
        Decoder d = {.rs = ruleset_new(a), .wanted = wanted};

        return decode(&d, bytes, size, ret);
}

int decode_part(Arena *a, const void *bytes, size_t size, const Ruleset *known, Ruleset **ret) {
        Decoder d = {.rs = ruleset_new(a), .known = known};

        return decode(&d, bytes, size, ret);
}

int decode_set_names(const void *bytes,
                     size_t size,
                     int (*handler)(const char *name, void *userdata),
                     void *userdata) {
        message_for_each(h, bytes, size) {
                const char *name;
                uint32_t flags = 0;
                Attributes a;
                int r;

                if (!is_ours(h, NFT_MSG_NEWSET, &a))
                        continue;
                name = attribute_string(&a, NFTA_SET_NAME);
                (void)attribute_u32(&a, NFTA_SET_FLAGS, &flags); /* absent: none */
                if (flags & NFT_SET_EVAL)
                        continue;
                r = name ? handler(name, userdata) : -EPROTO;
                if (r < 0)
                        return r;
        }
        return 0;
}

/* The kernel names what has no name of its own. */
#define UNNAMED "__"

static int
sets_of_rule(const Attributes *rule, int (*handler)(const char *, void *), void *userdata) {
        const struct nlattr *attr;
        int r = 0;

        if (!rule->list[NFTA_RULE_EXPRESSIONS])
                return 0;
        attribute_for_each_nested(attr, rule->list[NFTA_RULE_EXPRESSIONS]) {
                const char *kind, *name;
                Attributes expression, data;

                attributes_of(attr, &expression);
                kind = attribute_string(&expression, NFTA_EXPR_NAME);
                if (!kind || !streq(kind, "lookup"))
                        continue;
                attributes_inside(&expression, NFTA_EXPR_DATA, &data);
                name = attribute_string(&data, NFTA_LOOKUP_SET);
                if (name && startswith(name, UNNAMED))
                        r = handler(name, userdata);
                if (r < 0)
                        return r;
        }
        return 0;
}

int decode_sets_of_rules(const void *bytes,
                         size_t size,
                         int (*handler)(const char *name, void *userdata),
                         void *userdata) {
        message_for_each(h, bytes, size) {
                Attributes a;
                int r;

                if (!is_ours(h, NFT_MSG_NEWRULE, &a))
                        continue;
                r = sets_of_rule(&a, handler, userdata);
                if (r < 0)
                        return r;
        }
        return 0;
}
