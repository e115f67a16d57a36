/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nft/ban_encoder.h"

#include <arpa/inet.h>
#include <endian.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <netinet/in.h>

#include "base/text.h"

#define PRIORITY_RAW (-300)       /* NF_IP_PRI_RAW: before connection tracking */
#define PRIORITY_AFTER_SOURCE 150 /* behind NF_IP_PRI_NAT_SRC: ports are as they were dialled */

/* nft's numbers of types (src/datatype.c of nftables), by which it lists the sets. */
#define TYPE_ADDRESS(family) ((family) == FAMILY_IPV4 ? 7U : 8U)
#define TYPE_PROTOCOL 12U
#define TYPE_PORT 13U

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

        mnl_attr_put_strz(rule.message, NFTA_RULE_TABLE, b->table);
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
        size_t size = ban_address_size(set.family);
        unsigned char mask[16];
        struct nlmsghdr *h;

        if (set.prefix == family_width(set.family))
                return;
        u128_to_bytes(ban_set_mask(set), mask, size);
        h = expression_open(rule, "bitwise");
        mnl_attr_put_u32(h, NFTA_BITWISE_SREG, htonl(NFT_REG_1));
        mnl_attr_put_u32(h, NFTA_BITWISE_DREG, htonl(NFT_REG_1));
        mnl_attr_put_u32(h, NFTA_BITWISE_LEN, htonl((uint32_t)size));
        ban_put_value(h, NFTA_BITWISE_MASK, mask, size);
        ban_put_value(h, NFTA_BITWISE_XOR, zeros, size);
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
                    family == FAMILY_IPV4 ? d->offset4 : d->offset6,
                    (uint32_t)ban_address_size(family), NFT_REG_1);
}

static void put_chain(NftBatch *b, const char *name, const Direction *base) {
        struct nlmsghdr *h = nft_batch_start(b, NFT_MSG_NEWCHAIN, NLM_F_CREATE);
        struct nlattr *nest;

        mnl_attr_put_strz(h, NFTA_CHAIN_TABLE, b->table);
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

        (void)ban_family_name(d->asks, family, chain);
        put_meta(&rule, NFT_META_NFPROTO, NFT_REG_1);
        h = expression_open(&rule, "cmp");
        mnl_attr_put_u32(h, NFTA_CMP_SREG, htonl(NFT_REG_1));
        mnl_attr_put_u32(h, NFTA_CMP_OP, htonl(NFT_CMP_EQ));
        ban_put_value(h, NFTA_CMP_DATA, &number, sizeof(number));
        expression_close(&rule);
        put_verdict(&rule, NFT_GOTO, chain);
        rule_close(&rule);
}

/* A rule of its own: where the set has no more room, the rule ends here, and the next one drops. */
static void put_count(NftBatch *b, const Direction *d, Family family, const char *chain) {
        BanRule rule = rule_open(b, chain);
        char name[BAN_SET_NAME_MAX];
        struct nlmsghdr *h;

        put_address(&rule, d, family);
        put_mask(&rule, (BanSet){family, (uint8_t)ban_host_prefix(family), false});
        h = expression_open(&rule, "dynset");
        mnl_attr_put_strz(h, NFTA_DYNSET_SET_NAME, ban_hits_name(family, name));
        mnl_attr_put_u32(h, NFTA_DYNSET_OP, htonl(NFT_DYNSET_OP_UPDATE));
        mnl_attr_put_u32(h, NFTA_DYNSET_SREG_KEY, htonl(NFT_REG_1));
        mnl_attr_put_u64(h, NFTA_DYNSET_TIMEOUT, htobe64(BAN_HITS_MS));
        ban_put_counter(h, NFTA_DYNSET_EXPR, 0);
        expression_close(&rule);
        rule_close(&rule);
}

static void put_found(NftBatch *b, const Direction *d, Family family, bool of_hosts) {
        char chain[BAN_SET_NAME_MAX], never[BAN_SET_NAME_MAX];
        BanRule rule;

        (void)ban_family_name(of_hosts ? d->host : d->found, family, chain);
        (void)ban_never_name(family, never);
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

        mnl_attr_put_strz(h, NFTA_TABLE_NAME, b->table);
        if (has_flags)
                mnl_attr_put_u32(h, NFTA_TABLE_FLAGS, htonl(flags));
        nft_batch_push(b, &(NftSubject){.kind = SUBJECT_TABLE, .name = b->table});
}

void ban_put_delete_table(NftBatch *b) {
        struct nlmsghdr *h = nft_batch_start(b, NFT_MSG_DELTABLE, 0);

        mnl_attr_put_strz(h, NFTA_TABLE_NAME, b->table);
        nft_batch_push(b, &(NftSubject){.kind = SUBJECT_TABLE, .removes = true, .name = b->table});
}

static uint32_t type_of(BanSet set) {
        uint32_t address = TYPE_ADDRESS(set.family);

        return set.of_services ? address << 12 | TYPE_PROTOCOL << 6 | TYPE_PORT : address;
}

bool ban_shape_parse(const char *name, BanShape *ret) {
        BanSet set;

        for (Family f = FAMILY_IPV4; f <= FAMILY_IPV6; f++) {
                char buf[BAN_SET_NAME_MAX];

                *ret = (BanShape){NFT_SET_INTERVAL, TYPE_ADDRESS(f), (uint32_t)ban_address_size(f),
                                  0};
                if (streq(name, ban_never_name(f, buf)))
                        return true;
                ret->flags = NFT_SET_EVAL | NFT_SET_TIMEOUT;
                ret->elements_max = BAN_COUNTED_MAX;
                if (streq(name, ban_hits_name(f, buf)))
                        return true;
        }
        if (!ban_set_parse(name, &set))
                return false;
        *ret = (BanShape){NFT_SET_TIMEOUT, type_of(set),
                          (uint32_t)ban_address_size(set.family) + (set.of_services ? 8 : 0), 0};
        return true;
}

/* One that is there stays with what it holds. */
static void put_set(NftBatch *b, const char *name) {
        struct nlmsghdr *h = nft_batch_start(b, NFT_MSG_NEWSET, NLM_F_CREATE);
        BanShape shape = {0};

        (void)ban_shape_parse(name, &shape); /* they are all ours */
        mnl_attr_put_strz(h, NFTA_SET_TABLE, b->table);
        mnl_attr_put_strz(h, NFTA_SET_NAME, name);
        mnl_attr_put_u32(h, NFTA_SET_ID, htonl(b->next_set_id++));
        mnl_attr_put_u32(h, NFTA_SET_FLAGS, htonl(shape.flags));
        mnl_attr_put_u32(h, NFTA_SET_KEY_TYPE, htonl(shape.type));
        mnl_attr_put_u32(h, NFTA_SET_KEY_LEN, htonl(shape.size));
        if (shape.elements_max > 0) {
                struct nlattr *nest = mnl_attr_nest_start(h, NFTA_SET_DESC);

                mnl_attr_put_u32(h, NFTA_SET_DESC_SIZE, htonl(shape.elements_max));
                mnl_attr_nest_end(h, nest);
        }
        nft_batch_push(b, &(NftSubject){.kind = SUBJECT_SET, .name = NULL});
}

void ban_put_no_rules(NftBatch *b) {
        struct nlmsghdr *h = nft_batch_start(b, NFT_MSG_DELRULE, 0);

        mnl_attr_put_strz(h, NFTA_RULE_TABLE, b->table);
        nft_batch_push(b, &(NftSubject){.kind = SUBJECT_RULE, .removes = true});
}

void ban_put_no_set(NftBatch *b, const char *name) {
        struct nlmsghdr *h = nft_batch_start(b, NFT_MSG_DELSET, 0);

        mnl_attr_put_strz(h, NFTA_SET_TABLE, b->table);
        mnl_attr_put_strz(h, NFTA_SET_NAME, name);
        nft_batch_push(b, &(NftSubject){.kind = SUBJECT_SET, .removes = true});
}

void ban_put_no_chain(NftBatch *b, const char *name) {
        struct nlmsghdr *h = nft_batch_start(b, NFT_MSG_DELCHAIN, 0);

        mnl_attr_put_strz(h, NFTA_CHAIN_TABLE, b->table);
        mnl_attr_put_strz(h, NFTA_CHAIN_NAME, name);
        nft_batch_push(b, &(NftSubject){.kind = SUBJECT_CHAIN, .removes = true});
}

bool ban_chain_parse(const char *name, bool *ret_is_base) {
        for (size_t i = 0; i < ARRAY_SIZE(directions); i++) {
                const Direction *d = &directions[i];
                const char *const stems[] = {d->asks, d->found, d->host};

                *ret_is_base = streq(name, d->base);
                if (*ret_is_base)
                        return true;
                for (Family f = FAMILY_IPV4; f <= FAMILY_IPV6; f++)
                        for (size_t j = 0; j < ARRAY_SIZE(stems); j++) {
                                char buf[BAN_SET_NAME_MAX];

                                if (streq(name, ban_family_name(stems[j], f, buf)))
                                        return true;
                        }
        }
        return false;
}

void ban_put_ground(NftBatch *b) {
        for (Family f = FAMILY_IPV4; f <= FAMILY_IPV6; f++) {
                char name[BAN_SET_NAME_MAX];

                put_set(b, ban_never_name(f, name));
                put_set(b, ban_hits_name(f, name));
        }
        for (size_t i = 0; i < ARRAY_SIZE(directions); i++) {
                const Direction *d = &directions[i];

                put_chain(b, d->base, d);
                for (Family f = FAMILY_IPV4; f <= FAMILY_IPV6; f++) {
                        char name[BAN_SET_NAME_MAX];

                        (void)ban_family_name(d->asks, f, name);
                        put_chain(b, name, NULL);
                        put_branch(b, d, f);
                        put_found(b, d, f, false);
                        put_found(b, d, f, true);
                }
        }
}

static void put_question(NftBatch *b, const Direction *d, BanSet set) {
        uint32_t behind = NFT_REG32_00 + (uint32_t)ban_address_size(set.family) / 4;
        char name[BAN_SET_NAME_MAX], chain[BAN_SET_NAME_MAX], found[BAN_SET_NAME_MAX];
        BanRule rule;

        (void)ban_family_name(d->asks, set.family, chain);
        (void)ban_family_name(ban_set_is_of_hosts(set) ? d->host : d->found, set.family, found);
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

        put_set(b, ban_set_name(set, name));
        for (size_t i = 0; i < ARRAY_SIZE(directions); i++)
                put_question(b, &directions[i], set);
}
