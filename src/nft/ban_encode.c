/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nft/ban_encode.h"

#include <arpa/inet.h>
#include <endian.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <netinet/in.h>

#include "base/text.h"

#define PRIORITY_RAW (-300)       /* NF_IP_PRI_RAW: before connection tracking */
#define PRIORITY_AFTER_SOURCE 150 /* behind NF_IP_PRI_NAT_SRC: ports are as they were dialled */
#define HITS_MS (UINT64_C(86400000) * BAN_COUNTED_DAYS)
#define NEST_SIZE_MAX 60000 /* bytes of elements in a message: a nest's length has 16 bits */

/* nft's numbers of types (src/datatype.c of nftables), by which it lists the sets. */
#define TYPE_ADDRESS(family) ((family) == FAMILY_IPV4 ? 7U : 8U)
#define TYPE_PROTOCOL 12U
#define TYPE_PORT 13U

/* ---- keys and names */

BanSet ban_set_of(const BanEntry *e) {
        return (BanSet){e->family, e->prefix, e->protocol != 0};
}

static unsigned int host_prefix(Family family) {
        return family == FAMILY_IPV4 ? 32 : 64;
}

static char digit(Family family) {
        return family == FAMILY_IPV4 ? '4' : '6';
}

const char *ban_set_name(BanSet set, char buf[static BAN_SET_NAME_MAX]) {
        if (set.of_services)
                (void)snprintf(buf, BAN_SET_NAME_MAX, "services%c", digit(set.family));
        else if (set.prefix == host_prefix(set.family))
                (void)snprintf(buf, BAN_SET_NAME_MAX, "hosts%c", digit(set.family));
        else
                (void)snprintf(buf, BAN_SET_NAME_MAX, "nets%c-%u", digit(set.family), set.prefix);
        return buf;
}

bool ban_set_parse(const char *name, BanSet *ret) {
        static const Family families[] = {FAMILY_IPV4, FAMILY_IPV6};

        for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
                BanSet set = {.family = families[i], .prefix = (uint8_t)host_prefix(families[i])};
                char buf[BAN_SET_NAME_MAX];
                uint64_t prefix;

                *ret = set;
                if (streq(name, ban_set_name(set, buf)))
                        return true;
                ret->of_services = set.of_services = true;
                if (streq(name, ban_set_name(set, buf)))
                        return true;
                (void)snprintf(buf, sizeof(buf), "nets%c-", digit(families[i]));
                if (!startswith(name, buf) ||
                    !text_to_number(name + strlen(buf), 1, family_width(families[i]), &prefix))
                        continue;
                *ret = (BanSet){families[i], (uint8_t)prefix, false};
                return true;
        }
        return false;
}

const char *ban_hits_name(Family family, char buf[static BAN_SET_NAME_MAX]) {
        (void)snprintf(buf, BAN_SET_NAME_MAX, "hits%c", digit(family));
        return buf;
}

bool ban_set_is_of_hosts(BanSet set) {
        return !set.of_services && set.prefix == host_prefix(set.family);
}

static size_t address_size(Family family) {
        return family == FAMILY_IPV4 ? 4 : 16;
}

static U128 mask_of(BanSet set) {
        unsigned int width = family_width(set.family);
        U128 host = u128_low_mask(width - set.prefix), all = u128_low_mask(width);

        return (U128){all.high & ~host.high, all.low & ~host.low};
}

/* Fields of a concatenation begin at multiples of four bytes. */
size_t ban_key_put(BanSet set, const BanEntry *e, unsigned char key[static BAN_KEY_MAX]) {
        size_t size = address_size(set.family);
        uint16_t port = htons(e->port);

        u128_to_bytes(u128_and(e->address, mask_of(set)), key, size);
        if (!set.of_services)
                return size;
        memset(key + size, 0, 8);
        key[size] = e->protocol;
        memcpy(key + size + 4, &port, sizeof(port));
        return size + 8;
}

bool ban_key_parse(BanSet set, const unsigned char *key, size_t size, BanEntry *ret) {
        size_t address = address_size(set.family);
        uint16_t port;

        if (size != address + (set.of_services ? 8 : 0))
                return false;
        *ret = (BanEntry){.family = set.family, .prefix = set.prefix};
        ret->address = u128_from_bytes(key, address);
        if (!u128_equal(ret->address, u128_and(ret->address, mask_of(set))))
                return false;
        if (!set.of_services)
                return true;
        ret->protocol = key[address];
        memcpy(&port, key + address + 4, sizeof(port));
        ret->port = ntohs(port);
        return ret->protocol != 0;
}

/* ---- rules */

typedef struct BanRule {
        NftBatch *batch;
        const char *chain;
        struct nlmsghdr *message;
        struct nlattr *list, *element, *data;
} BanRule;

static BanRule rule_open(NftBatch *b, const char *chain) {
        BanRule rule = {
                .batch = b,
                .chain = chain,
                .message = nft_batch_start(b, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND),
        };

        mnl_attr_put_strz(rule.message, NFTA_RULE_TABLE, BAN_TABLE);
        mnl_attr_put_strz(rule.message, NFTA_RULE_CHAIN, chain);
        rule.list = mnl_attr_nest_start(rule.message, NFTA_RULE_EXPRESSIONS);
        return rule;
}

static struct nlmsghdr *expression_open(BanRule *rule, const char *name) {
        rule->element = mnl_attr_nest_start(rule->message, NFTA_LIST_ELEM);
        mnl_attr_put_strz(rule->message, NFTA_EXPR_NAME, name);
        rule->data = mnl_attr_nest_start(rule->message, NFTA_EXPR_DATA);
        return rule->message;
}

static void expression_close(BanRule *rule) {
        mnl_attr_nest_end(rule->message, rule->data);
        mnl_attr_nest_end(rule->message, rule->element);
}

static void rule_close(BanRule *rule) {
        mnl_attr_nest_end(rule->message, rule->list);
        nft_batch_push(rule->batch, &(NftSubject){.kind = SUBJECT_RULE, .name = rule->chain});
}

static void put_value(struct nlmsghdr *h, uint16_t type, const void *value, size_t size) {
        struct nlattr *nest = mnl_attr_nest_start(h, type);

        mnl_attr_put(h, NFTA_DATA_VALUE, size, value);
        mnl_attr_nest_end(h, nest);
}

static void put_meta(BanRule *rule, uint32_t key, uint32_t target) {
        struct nlmsghdr *h = expression_open(rule, "meta");

        mnl_attr_put_u32(h, NFTA_META_DREG, htonl(target));
        mnl_attr_put_u32(h, NFTA_META_KEY, htonl(key));
        expression_close(rule);
}

static void
put_payload(BanRule *rule, uint32_t base, uint32_t offset, uint32_t size, uint32_t target) {
        struct nlmsghdr *h = expression_open(rule, "payload");

        mnl_attr_put_u32(h, NFTA_PAYLOAD_DREG, htonl(target));
        mnl_attr_put_u32(h, NFTA_PAYLOAD_BASE, htonl(base));
        mnl_attr_put_u32(h, NFTA_PAYLOAD_OFFSET, htonl(offset));
        mnl_attr_put_u32(h, NFTA_PAYLOAD_LEN, htonl(size));
        expression_close(rule);
}

static void put_mask(BanRule *rule, BanSet set) {
        static const unsigned char zeros[16];
        size_t size = address_size(set.family);
        unsigned char mask[16];
        struct nlmsghdr *h;

        if (set.prefix == family_width(set.family))
                return;
        u128_to_bytes(mask_of(set), mask, size);
        h = expression_open(rule, "bitwise");
        mnl_attr_put_u32(h, NFTA_BITWISE_SREG, htonl(NFT_REG_1));
        mnl_attr_put_u32(h, NFTA_BITWISE_DREG, htonl(NFT_REG_1));
        mnl_attr_put_u32(h, NFTA_BITWISE_LEN, htonl((uint32_t)size));
        put_value(h, NFTA_BITWISE_MASK, mask, size);
        put_value(h, NFTA_BITWISE_XOR, zeros, size);
        expression_close(rule);
}

static void put_lookup(BanRule *rule, const char *set) {
        struct nlmsghdr *h = expression_open(rule, "lookup");

        mnl_attr_put_strz(h, NFTA_LOOKUP_SET, set);
        mnl_attr_put_u32(h, NFTA_LOOKUP_SREG, htonl(NFT_REG_1));
        expression_close(rule);
}

static void put_verdict(BanRule *rule, int32_t code, const char *chain) {
        struct nlmsghdr *h = expression_open(rule, "immediate");
        struct nlattr *data, *verdict;

        mnl_attr_put_u32(h, NFTA_IMMEDIATE_DREG, htonl(NFT_REG_VERDICT));
        data = mnl_attr_nest_start(h, NFTA_IMMEDIATE_DATA);
        verdict = mnl_attr_nest_start(h, NFTA_DATA_VERDICT);
        mnl_attr_put_u32(h, NFTA_VERDICT_CODE, htonl((uint32_t)code));
        if (chain)
                mnl_attr_put_strz(h, NFTA_VERDICT_CHAIN, chain);
        mnl_attr_nest_end(h, verdict);
        mnl_attr_nest_end(h, data);
        expression_close(rule);
}

/* Of packets from somebody, and of those to somebody. */
typedef struct Direction {
        const char *base, *asks, *found,
                *host; /* chains, without the family's digit behind all but the first */
        uint32_t hook;
        int32_t priority;
        uint32_t offset4, offset6; /* of the address in the header */
        uint32_t port;             /* of this host's or the container's port */
} Direction;

static const Direction directions[] = {
        {"prerouting", "from", "banned", "host", NF_INET_PRE_ROUTING, PRIORITY_RAW, 12, 8, 2},
        {"postrouting", "to", "silenced", "unheard", NF_INET_POST_ROUTING, PRIORITY_AFTER_SOURCE,
         16, 24, 0},
};

static void put_address(BanRule *rule, const Direction *d, Family family) {
        put_payload(rule, NFT_PAYLOAD_NETWORK_HEADER,
                    family == FAMILY_IPV4 ? d->offset4 : d->offset6, (uint32_t)address_size(family),
                    NFT_REG_1);
}

static void chain_name(char buf[static BAN_SET_NAME_MAX], const char *stem, Family family) {
        (void)snprintf(buf, BAN_SET_NAME_MAX, "%s%c", stem, digit(family));
}

static void put_chain(NftBatch *b, const char *name, const Direction *base) {
        struct nlmsghdr *h = nft_batch_start(b, NFT_MSG_NEWCHAIN, NLM_F_CREATE);
        struct nlattr *nest;

        mnl_attr_put_strz(h, NFTA_CHAIN_TABLE, BAN_TABLE);
        mnl_attr_put_strz(h, NFTA_CHAIN_NAME, name);
        if (base) {
                nest = mnl_attr_nest_start(h, NFTA_CHAIN_HOOK);
                mnl_attr_put_u32(h, NFTA_HOOK_HOOKNUM, htonl(base->hook));
                mnl_attr_put_u32(h, NFTA_HOOK_PRIORITY, htonl((uint32_t)base->priority));
                mnl_attr_nest_end(h, nest);
                mnl_attr_put_u32(h, NFTA_CHAIN_POLICY, htonl(NF_ACCEPT));
                mnl_attr_put_strz(h, NFTA_CHAIN_TYPE, "filter");
        }
        nft_batch_push(b, &(NftSubject){.kind = SUBJECT_CHAIN, .name = name});
}

/* A family's packets are asked about in a chain of their own. */
static void put_branch(NftBatch *b, const Direction *d, Family family) {
        uint8_t number = family == FAMILY_IPV4 ? NFPROTO_IPV4 : NFPROTO_IPV6;
        BanRule rule = rule_open(b, d->base);
        char chain[BAN_SET_NAME_MAX];
        struct nlmsghdr *h;

        chain_name(chain, d->asks, family);
        put_meta(&rule, NFT_META_NFPROTO, NFT_REG_1);
        h = expression_open(&rule, "cmp");
        mnl_attr_put_u32(h, NFTA_CMP_SREG, htonl(NFT_REG_1));
        mnl_attr_put_u32(h, NFTA_CMP_OP, htonl(NFT_CMP_EQ));
        put_value(h, NFTA_CMP_DATA, &number, sizeof(number));
        expression_close(&rule);
        put_verdict(&rule, NFT_GOTO, chain);
        rule_close(&rule);
}

static void put_counter(struct nlmsghdr *h, uint16_t type, uint64_t packets) {
        struct nlattr *nest = mnl_attr_nest_start(h, type), *data;

        mnl_attr_put_strz(h, NFTA_EXPR_NAME, "counter");
        data = mnl_attr_nest_start(h, NFTA_EXPR_DATA);
        if (packets > 0)
                mnl_attr_put_u64(h, NFTA_COUNTER_PACKETS, htobe64(packets));
        mnl_attr_nest_end(h, data);
        mnl_attr_nest_end(h, nest);
}

/* A rule of its own: where the set has no more room, the rule ends here, and the next one drops. */
static void put_count(NftBatch *b, const Direction *d, Family family, const char *chain) {
        BanRule rule = rule_open(b, chain);
        char name[BAN_SET_NAME_MAX];
        struct nlmsghdr *h;

        put_address(&rule, d, family);
        put_mask(&rule, (BanSet){family, (uint8_t)host_prefix(family), false});
        h = expression_open(&rule, "dynset");
        mnl_attr_put_strz(h, NFTA_DYNSET_SET_NAME, ban_hits_name(family, name));
        mnl_attr_put_u32(h, NFTA_DYNSET_OP, htonl(NFT_DYNSET_OP_UPDATE));
        mnl_attr_put_u32(h, NFTA_DYNSET_SREG_KEY, htonl(NFT_REG_1));
        mnl_attr_put_u64(h, NFTA_DYNSET_TIMEOUT, htobe64(HITS_MS));
        put_counter(h, NFTA_DYNSET_EXPR, 0);
        expression_close(&rule);
        rule_close(&rule);
}

static void put_found(NftBatch *b, const Direction *d, Family family, bool of_hosts) {
        char chain[BAN_SET_NAME_MAX], never[BAN_SET_NAME_MAX];
        BanRule rule;

        chain_name(chain, of_hosts ? d->host : d->found, family);
        chain_name(never, "never", family);
        put_chain(b, chain, NULL);
        rule = rule_open(b, chain);
        put_address(&rule, d, family);
        put_lookup(&rule, never);
        put_verdict(&rule, NFT_RETURN, NULL);
        rule_close(&rule);
        if (of_hosts)
                put_count(b, d, family, chain);
        rule = rule_open(b, chain);
        put_verdict(&rule, NF_DROP, NULL);
        rule_close(&rule);
}

/* ---- tables and sets */

void ban_put_table(NftBatch *b, bool has_flags, uint32_t flags) {
        struct nlmsghdr *h = nft_batch_start(b, NFT_MSG_NEWTABLE, NLM_F_CREATE);

        mnl_attr_put_strz(h, NFTA_TABLE_NAME, BAN_TABLE);
        if (has_flags)
                mnl_attr_put_u32(h, NFTA_TABLE_FLAGS, htonl(flags));
        nft_batch_push(b, &(NftSubject){.kind = SUBJECT_TABLE, .name = BAN_TABLE});
}

void ban_put_delete_table(NftBatch *b) {
        struct nlmsghdr *h = nft_batch_start(b, NFT_MSG_DELTABLE, 0);

        mnl_attr_put_strz(h, NFTA_TABLE_NAME, BAN_TABLE);
        nft_batch_push(b, &(NftSubject){.kind = SUBJECT_TABLE, .removes = true, .name = BAN_TABLE});
}

static void put_new_set(NftBatch *b, const char *name, uint32_t flags, uint32_t type, size_t size) {
        struct nlmsghdr *h = nft_batch_start(b, NFT_MSG_NEWSET, NLM_F_CREATE | NLM_F_EXCL);

        mnl_attr_put_strz(h, NFTA_SET_TABLE, BAN_TABLE);
        mnl_attr_put_strz(h, NFTA_SET_NAME, name);
        mnl_attr_put_u32(h, NFTA_SET_ID, htonl(b->next_set_id++));
        mnl_attr_put_u32(h, NFTA_SET_FLAGS, htonl(flags));
        mnl_attr_put_u32(h, NFTA_SET_KEY_TYPE, htonl(type));
        mnl_attr_put_u32(h, NFTA_SET_KEY_LEN, htonl((uint32_t)size));
        if (flags & NFT_SET_EVAL) {
                struct nlattr *nest = mnl_attr_nest_start(h, NFTA_SET_DESC);

                mnl_attr_put_u32(h, NFTA_SET_DESC_SIZE, htonl(BAN_COUNTED_MAX));
                mnl_attr_nest_end(h, nest);
        }
        nft_batch_push(b, &(NftSubject){.kind = SUBJECT_SET, .name = NULL});
}

void ban_put_ground(NftBatch *b) {
        for (Family f = FAMILY_IPV4; f <= FAMILY_IPV6; f++) {
                char name[BAN_SET_NAME_MAX];

                chain_name(name, "never", f);
                put_new_set(b, name, NFT_SET_INTERVAL, TYPE_ADDRESS(f), address_size(f));
                put_new_set(b, ban_hits_name(f, name), NFT_SET_EVAL | NFT_SET_TIMEOUT,
                            TYPE_ADDRESS(f), address_size(f));
        }
        for (size_t i = 0; i < ARRAY_SIZE(directions); i++) {
                const Direction *d = &directions[i];

                put_chain(b, d->base, d);
                for (Family f = FAMILY_IPV4; f <= FAMILY_IPV6; f++) {
                        char name[BAN_SET_NAME_MAX];

                        chain_name(name, d->asks, f);
                        put_chain(b, name, NULL);
                        put_branch(b, d, f);
                        put_found(b, d, f, false);
                        put_found(b, d, f, true);
                }
        }
}

static uint32_t type_of(BanSet set) {
        uint32_t address = TYPE_ADDRESS(set.family);

        return set.of_services ? address << 12 | TYPE_PROTOCOL << 6 | TYPE_PORT : address;
}

static void put_question(NftBatch *b, const Direction *d, BanSet set) {
        uint32_t behind = NFT_REG32_00 + (uint32_t)address_size(set.family) / 4;
        char name[BAN_SET_NAME_MAX], chain[BAN_SET_NAME_MAX], found[BAN_SET_NAME_MAX];
        BanRule rule;

        chain_name(chain, d->asks, set.family);
        chain_name(found, ban_set_is_of_hosts(set) ? d->host : d->found, set.family);
        rule = rule_open(b, chain);
        put_address(&rule, d, set.family);
        put_mask(&rule, set);
        if (set.of_services) {
                put_meta(&rule, NFT_META_L4PROTO, behind);
                put_payload(&rule, NFT_PAYLOAD_TRANSPORT_HEADER, d->port, 2, behind + 1);
        }
        put_lookup(&rule, ban_set_name(set, name));
        put_verdict(&rule, NFT_JUMP, found);
        rule_close(&rule);
}

void ban_put_set(NftBatch *b, BanSet set) {
        char name[BAN_SET_NAME_MAX];

        put_new_set(b, ban_set_name(set, name), NFT_SET_TIMEOUT, type_of(set),
                    address_size(set.family) + (set.of_services ? 8 : 0));
        for (size_t i = 0; i < ARRAY_SIZE(directions); i++)
                put_question(b, &directions[i], set);
}

/* ---- elements */

typedef struct List {
        NftBatch *batch;
        const char *set;
        bool removes;
        struct nlmsghdr *message; /* NULL: none is open */
        struct nlattr *nest;
} List;

static void list_close(List *l) {
        if (!l->message)
                return;
        mnl_attr_nest_end(l->message, l->nest);
        nft_batch_push(l->batch, &(NftSubject){.kind = SUBJECT_ELEMENTS, .removes = l->removes});
        l->message = NULL;
}

static struct nlattr *list_add(List *l) {
        uint16_t type = l->removes ? NFT_MSG_DELSETELEM : NFT_MSG_NEWSETELEM;

        if (l->message && l->message->nlmsg_len > NEST_SIZE_MAX)
                list_close(l);
        if (!l->message) {
                l->message = nft_batch_start(l->batch, type, l->removes ? 0 : NLM_F_CREATE);
                mnl_attr_put_strz(l->message, NFTA_SET_ELEM_LIST_TABLE, BAN_TABLE);
                mnl_attr_put_strz(l->message, NFTA_SET_ELEM_LIST_SET, l->set);
                l->nest = mnl_attr_nest_start(l->message, NFTA_SET_ELEM_LIST_ELEMENTS);
        }
        return mnl_attr_nest_start(l->message, NFTA_LIST_ELEM);
}

static bool same_set(BanSet set, const BanEntry *e) {
        BanSet other = ban_set_of(e);

        return other.family == set.family && other.prefix == set.prefix &&
               other.of_services == set.of_services;
}

/* only_there: of those alone that may be there already. */
static void
put_all(List *l, BanSet set, const BanEntry *entries, size_t n, bool only_there, bool counted) {
        for (size_t i = 0; i < n; i++) {
                const BanEntry *e = &entries[i];
                unsigned char key[BAN_KEY_MAX];
                struct nlattr *nest;
                size_t size;

                if (!same_set(set, e) || (only_there && !e->is_there))
                        continue;
                size = ban_key_put(set, e, key);
                nest = list_add(l);
                put_value(l->message, NFTA_SET_ELEM_KEY, key, size);
                if (!l->removes && !only_there && e->timeout_ms > 0)
                        mnl_attr_put_u64(l->message, NFTA_SET_ELEM_TIMEOUT, htobe64(e->timeout_ms));
                if (!l->removes && counted)
                        put_counter(l->message, NFTA_SET_ELEM_EXPR, e->packets);
                mnl_attr_nest_end(l->message, nest);
        }
        list_close(l);
}

/* What is not there any more could not be removed: it is added first, which changes nothing where
 * it is there. */
static void put_removal(
        NftBatch *b, const char *name, BanSet set, const BanEntry *entries, size_t n, bool all) {
        List add = {.batch = b, .set = name}, drop = {.batch = b, .set = name, .removes = true};

        put_all(&add, set, entries, n, !all, false);
        put_all(&drop, set, entries, n, !all, false);
}

void ban_put_elements(
        NftBatch *b, BanSet set, const BanEntry *entries, size_t n, bool removes, bool counted) {
        char name[BAN_SET_NAME_MAX];
        List add = {.batch = b, .set = ban_set_name(set, name)};

        put_removal(b, name, set, entries, n, removes);
        if (!removes)
                put_all(&add, set, entries, n, false, counted);
}

/* Adding and removing, as put_removal() does. */
void ban_put_no_hits(NftBatch *b, Family family, const BanEntry *entries, size_t n, bool all) {
        const BanSet set = {family, (uint8_t)host_prefix(family), false};
        char name[BAN_SET_NAME_MAX];

        (void)ban_hits_name(family, name);
        for (size_t round = 0; round < 2; round++) {
                List l = {.batch = b, .set = name, .removes = round == 1};

                for (size_t i = 0; i < n; i++) {
                        unsigned char key[BAN_KEY_MAX];
                        struct nlattr *nest;

                        if (!same_set(set, &entries[i]) || !(all || entries[i].begins_anew))
                                continue;
                        nest = list_add(&l);
                        put_value(l.message, NFTA_SET_ELEM_KEY, key,
                                  ban_key_put(set, &entries[i], key));
                        mnl_attr_nest_end(l.message, nest);
                }
                list_close(&l);
        }
}

void ban_put_hits(NftBatch *b, Family family, const BanFound *hits, size_t n) {
        const BanSet set = {family, (uint8_t)host_prefix(family), false};
        char name[BAN_SET_NAME_MAX];
        List l = {.batch = b, .set = ban_hits_name(family, name)};

        for (size_t i = 0; i < n; i++) {
                unsigned char key[BAN_KEY_MAX];
                struct nlattr *nest;
                size_t size;

                if (!same_set(set, &hits[i].entry))
                        continue;
                size = ban_key_put(set, &hits[i].entry, key);
                nest = list_add(&l);
                put_value(l.message, NFTA_SET_ELEM_KEY, key, size);
                mnl_attr_put_u64(l.message, NFTA_SET_ELEM_TIMEOUT, htobe64(HITS_MS));
                put_counter(l.message, NFTA_SET_ELEM_EXPR, hits[i].packets);
                mnl_attr_nest_end(l.message, nest);
        }
        list_close(&l);
}

static void put_edge(List *l, Family family, U128 value, bool is_end) {
        struct nlattr *nest = list_add(l);
        unsigned char key[16];

        u128_to_bytes(value, key, address_size(family));
        put_value(l->message, NFTA_SET_ELEM_KEY, key, address_size(family));
        if (is_end)
                mnl_attr_put_u32(l->message, NFTA_SET_ELEM_FLAGS, htonl(NFT_SET_ELEM_INTERVAL_END));
        mnl_attr_nest_end(l->message, nest);
}

int ban_put_never(NftBatch *b, const BanRange *never, size_t n) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);

        if (!a)
                return -ENOMEM;
        for (Family f = FAMILY_IPV4; f <= FAMILY_IPV6; f++) {
                char name[BAN_SET_NAME_MAX];
                List l = {.batch = b, .set = name};
                RangeSet set = {0};
                struct nlmsghdr *h;

                chain_name(name, "never", f);
                for (size_t i = 0; i < n; i++)
                        if (never[i].family == f && range_set_add(a, &set, never[i].range) < 0)
                                return -ENOMEM;
                range_set_normalise(&set);
                h = nft_batch_start(b, NFT_MSG_DELSETELEM, 0); /* all of them */
                mnl_attr_put_strz(h, NFTA_SET_ELEM_LIST_TABLE, BAN_TABLE);
                mnl_attr_put_strz(h, NFTA_SET_ELEM_LIST_SET, name);
                nft_batch_push(b, &(NftSubject){.kind = SUBJECT_ELEMENTS, .removes = true});
                /* a gap before the first one has to be said, and no end behind the last address */
                if (set.n_items > 0 && !u128_is_zero(set.items[0].low))
                        put_edge(&l, f, U128_ZERO, true);
                for (size_t i = 0; i < set.n_items; i++) {
                        put_edge(&l, f, set.items[i].low, false);
                        if (!u128_equal(set.items[i].high, u128_low_mask(family_width(f))))
                                put_edge(&l, f, u128_next(set.items[i].high), true);
                }
                list_close(&l);
        }
        return 0;
}
