/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nft/encode.h"

#include <arpa/inet.h>
#include <libnftnl/udata.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include "nft/attribute.h"
#include "nft/wire.h"

#define ROOM_MIN 512 /* elements; below that the kernel has room enough from the start */
#define DATA_TYPE_VERDICT 0xffffff00U /* NFT_DATA_VERDICT */

bool encode_is_interval(const Set *set) {
        if (set->name || set->interval)
                return set->interval;
        for (size_t i = 0; i < set->n_elements; i++)
                for (size_t j = 0; j < set->n_types; j++)
                        if (!range_is_single(set->elements[i].key[j]))
                                return true;
        return false;
}

static bool is_concatenated_interval(const Set *set) {
        return set->n_types > 1 && encode_is_interval(set);
}

/* Elements as the kernel counts them: of a plain interval set, the ends of intervals and the gap
 * before the first one are elements, too. */
static size_t kernel_elements(const Set *set) {
        size_t n = set->n_elements;

        if (set->n_types > 1 || !encode_is_interval(set) || n == 0)
                return n;
        n *= 2;
        n += !u128_is_zero(set->elements[0].key[0].low);
        return n -
               u128_equal(set->elements[set->n_elements - 1].key[0].high, wire_max(set->types[0]));
}

/* How many elements the kernel shall make room for; 0: it grows the set as it goes. Growing is
 * slow, and whoever lists the set meanwhile misses elements or sees them twice. So a big set gets a
 * table of a fixed size, in which it can double. */
static uint32_t room_for(const Set *set) {
        size_t room = 2 * ROOM_MIN;

        if (set->dynamic)
                return set->room;
        if (!set->name)
                return (uint32_t)kernel_elements(set);
        if (set->interval || set->n_elements < ROOM_MIN)
                return 0;
        while (room < 2 * set->n_elements && room <= UINT32_MAX / 2)
                room *= 2;
        return (uint32_t)room;
}

/* Without it nft lists names of interfaces, which it takes for numbers, as empty strings. */
static void put_byte_order(struct nftnl_set *s, const Set *set) {
        enum { ORDER_MIXED, ORDER_HOST, ORDER_BIG } order = ORDER_MIXED; /* nft's numbers */
        TypeId type = set->types[0];
        unsigned char data[2 + sizeof(uint32_t)] = {NFTNL_UDATA_SET_KEYBYTEORDER, sizeof(uint32_t)};
        uint32_t value;

        if (set->n_types == 1)
                order = types[type].host_order || type == TYPE_IFNAME ? ORDER_HOST : ORDER_BIG;
        value = order;
        memcpy(data + 2, &value, sizeof(value));
        nftnl_set_set_data(s, NFTNL_SET_USERDATA, data, sizeof(data));
}

/* Each element gets one like it. */
static bool put_counter(struct nftnl_set *s) {
        struct nftnl_expr *counter = nftnl_expr_alloc("counter");

        if (!counter)
                return false;
        nftnl_set_add_expr(s, counter);
        return true;
}

void encode_set(NftBatch *b, const Set *set, const char *name, uint32_t id) {
        _cleanup_(wire_set_freep) struct nftnl_set *s = nftnl_set_alloc();
        bool interval = encode_is_interval(set);
        uint32_t flags = 0;
        struct nlmsghdr *h;

        if (!s) {
                nft_batch_fail(b, -ENOMEM);
                return;
        }
        if (!set->name)
                flags |= NFT_SET_ANONYMOUS | NFT_SET_CONSTANT;
        if (interval)
                flags |= NFT_SET_INTERVAL;
        if (set->is_map)
                flags |= NFT_SET_MAP;
        if (set->dynamic)
                flags |= NFT_SET_EVAL;
        if (set->timeout > 0) {
                flags |= NFT_SET_TIMEOUT;
                nftnl_set_set_u64(s, NFTNL_SET_TIMEOUT, set->timeout * UINT64_C(1000));
        }
        if (set->counted && !put_counter(s)) {
                nft_batch_fail(b, -ENOMEM);
                return;
        }
        if (is_concatenated_interval(set)) {
                uint8_t sizes[RULESET_FIELDS_MAX];

                flags |= NFT_SET_CONCAT;
                for (size_t i = 0; i < set->n_types; i++)
                        sizes[i] = (uint8_t)type_size(set->types[i]);
                nftnl_set_set_data(s, NFTNL_SET_DESC_CONCAT, sizes, (uint32_t)set->n_types);
        }
        nftnl_set_set_u32(s, NFTNL_SET_FAMILY, NFPROTO_INET);
        nftnl_set_set_str(s, NFTNL_SET_TABLE, b->table);
        nftnl_set_set_str(s, NFTNL_SET_NAME, name);
        nftnl_set_set_u32(s, NFTNL_SET_ID, id);
        nftnl_set_set_u32(s, NFTNL_SET_FLAGS, flags);
        nftnl_set_set_u32(s, NFTNL_SET_KEY_TYPE, wire_key_type(set->types, set->n_types));
        nftnl_set_set_u32(s, NFTNL_SET_KEY_LEN, (uint32_t)wire_key_size(set->types, set->n_types));
        if (set->is_map) {
                nftnl_set_set_u32(s, NFTNL_SET_DATA_TYPE, DATA_TYPE_VERDICT);
                nftnl_set_set_u32(s, NFTNL_SET_DATA_LEN, 0);
        }
        put_byte_order(s, set);
        if (room_for(set) > 0)
                nftnl_set_set_u32(s, NFTNL_SET_DESC_SIZE, room_for(set));
        h = nft_batch_start(b, NFT_MSG_NEWSET, NLM_F_CREATE | NLM_F_EXCL);
        nftnl_set_nlmsg_build_payload(h, s);
        nft_batch_push(
                b, &(NftSubject){.kind = SUBJECT_SET, .name = set->name, .origin = &set->origin});
}

void encode_delete_set(NftBatch *b, const Set *set) {
        struct nlmsghdr *h = nft_batch_start(b, NFT_MSG_DELSET, 0);

        mnl_attr_put_strz(h, NFTA_SET_TABLE, b->table);
        mnl_attr_put_strz(h, NFTA_SET_NAME, set->name);
        nft_batch_push(b, &(NftSubject){.kind = SUBJECT_SET, .removes = true, .name = set->name});
}

static void list_close(EncodeList *l) {
        NftSubject subject = {
                .kind = SUBJECT_ELEMENTS,
                .removes = l->removes,
                .name = l->set->name,
                .origin = &l->set->origin,
                .set = l->set,
        };

        if (!l->message)
                return;
        mnl_attr_nest_end(l->message, l->nest);
        nft_batch_push(l->batch, &subject);
        l->message = NULL;
        l->n = 0;
}

static void list_open(EncodeList *l) {
        uint16_t type = l->removes ? NFT_MSG_DELSETELEM : NFT_MSG_NEWSETELEM;
        uint16_t flags = l->removes ? 0 : NLM_F_CREATE | NLM_F_EXCL;

        l->message = nft_batch_start(l->batch, type, flags);
        mnl_attr_put_strz(l->message, NFTA_SET_ELEM_LIST_TABLE, l->batch->table);
        mnl_attr_put_strz(l->message, NFTA_SET_ELEM_LIST_SET, l->name);
        if (l->id != 0)
                mnl_attr_put_u32(l->message, NFTA_SET_ELEM_LIST_SET_ID, htonl(l->id));
        l->nest = mnl_attr_nest_start(l->message, NFTA_SET_ELEM_LIST_ELEMENTS);
}

static void put_data(struct nlmsghdr *h, uint16_t type, const void *data, size_t size) {
        struct nlattr *nest = mnl_attr_nest_start(h, type);

        mnl_attr_put(h, NFTA_DATA_VALUE, size, data);
        mnl_attr_nest_end(h, nest);
}

static bool put_verdict(struct nlmsghdr *h, Verdict v) {
        struct nlattr *data, *verdict;
        int32_t code = NFT_CONTINUE;

        switch (v.kind) {
        case VERDICT_CONTINUE:
                break;
        case VERDICT_ACCEPT:
                code = NF_ACCEPT;
                break;
        case VERDICT_DROP:
                code = NF_DROP;
                break;
        case VERDICT_JUMP:
                code = NFT_JUMP;
                break;
        case VERDICT_GOTO:
                code = NFT_GOTO;
                break;
        case VERDICT_RETURN:
                code = NFT_RETURN;
                break;
        case VERDICT_REJECT: /* these take more than a verdict */
        case VERDICT_REJECT_RESET:
        case VERDICT_MASQUERADE:
        case VERDICT_DNAT:
        case VERDICT_MAP:
        case _VERDICT_MAX:
        case _VERDICT_INVALID:
                return false;
        }
        data = mnl_attr_nest_start(h, NFTA_SET_ELEM_DATA);
        verdict = mnl_attr_nest_start(h, NFTA_DATA_VERDICT);
        mnl_attr_put_u32(h, NFTA_VERDICT_CODE, htonl((uint32_t)code));
        if (v.chain)
                mnl_attr_put_strz(h, NFTA_VERDICT_CHAIN, v.chain->name);
        mnl_attr_nest_end(h, verdict);
        mnl_attr_nest_end(h, data);
        return true;
}

/* Makes room for one more element in a message, and starts it. */
static struct nlattr *element_start(EncodeList *l) {
        if (l->message &&
            (l->n >= ENCODE_ELEMENTS_MAX || l->message->nlmsg_len > ENCODE_LIST_SIZE_MAX))
                list_close(l);
        if (!l->message)
                list_open(l);
        l->n++;
        return mnl_attr_nest_start(l->message, NFTA_LIST_ELEM);
}

/* Where an interval ends, or the gap before the first one begins: the first key outside. */
static void put_end(EncodeList *l, U128 key) {
        unsigned char value[WIRE_VALUE_MAX];
        struct nlattr *nest = element_start(l);

        wire_put(l->set->types[0], true, key, value);
        put_data(l->message, NFTA_SET_ELEM_KEY, value, type_size(l->set->types[0]));
        mnl_attr_put_u32(l->message, NFTA_SET_ELEM_FLAGS, htonl(NFT_SET_ELEM_INTERVAL_END));
        mnl_attr_nest_end(l->message, nest);
}

static void put_user_data(EncodeList *l, const Element *e, bool is_open) {
        /* one more attribute: what tells nft that the interval has no end */
        unsigned char data[WIRE_COMMENT_MAX + 2 + sizeof(uint32_t)];
        size_t size = 0;

        if (comment_size(e->origin.text) > 0)
                size = wire_put_comment(e->origin.text, data);
        if (is_open) {
                uint32_t flag = NFTNL_SET_ELEM_F_INTERVAL_OPEN;

                data[size++] = NFTNL_UDATA_SET_ELEM_FLAGS;
                data[size++] = sizeof(flag);
                memcpy(data + size, &flag, sizeof(flag));
                size += sizeof(flag);
        }
        if (size > 0)
                mnl_attr_put(l->message, NFTA_SET_ELEM_USERDATA, size, data);
}

static void put_element(EncodeList *l, const Element *e) {
        unsigned char key[WIRE_KEY_MAX];
        bool plain_interval = l->interval && l->set->n_types == 1;
        bool is_open = plain_interval && u128_equal(e->key[0].high, wire_max(l->set->types[0]));
        struct nlattr *nest = element_start(l);
        size_t size = wire_put_key(l->set, l->interval, e, false, key);

        put_data(l->message, NFTA_SET_ELEM_KEY, key, size);
        if (l->interval && l->set->n_types > 1) {
                size = wire_put_key(l->set, true, e, true, key);
                put_data(l->message, NFTA_SET_ELEM_KEY_END, key, size);
        }
        if (l->set->is_map && !l->removes && !put_verdict(l->message, e->verdict))
                nft_batch_fail(l->batch, -EINVAL);
        if (!l->removes)
                put_user_data(l, e, is_open);
        mnl_attr_nest_end(l->message, nest);
        if (plain_interval && !is_open)
                put_end(l, u128_next(e->key[0].high));
}

void encode_list_start(EncodeList *l, NftBatch *b, const Set *set, bool removes) {
        *l = (EncodeList){
                .batch = b,
                .set = set,
                .name = set->name,
                .removes = removes,
                .interval = encode_is_interval(set),
        };
}

void encode_list_add(EncodeList *l, const Element *e) {
        if (l->batch->error == 0)
                put_element(l, e);
}

void encode_list_end(EncodeList *l) {
        list_close(l);
}

void encode_elements(NftBatch *b, const Set *set, const char *name, uint32_t id) {
        EncodeList l;

        encode_list_start(&l, b, set, false);
        l.name = name;
        l.id = id;
        if (set->dynamic)
                return;
        if (l.interval && set->n_types == 1 && set->n_elements > 0 &&
            !u128_is_zero(set->elements[0].key[0].low))
                put_end(&l, U128_ZERO);
        for (size_t i = 0; i < set->n_elements; i++)
                encode_list_add(&l, &set->elements[i]);
        encode_list_end(&l);
}

void encode_flush_set(NftBatch *b, const Set *set) {
        struct nlmsghdr *h = nft_batch_start(b, NFT_MSG_DELSETELEM, 0);

        mnl_attr_put_strz(h, NFTA_SET_ELEM_LIST_TABLE, b->table);
        mnl_attr_put_strz(h, NFTA_SET_ELEM_LIST_SET, set->name);
        nft_batch_push(b,
                       &(NftSubject){.kind = SUBJECT_ELEMENTS, .removes = true, .name = set->name});
}

/* The set's element whose lower key is in the attribute of one. */
static const Element *find_element(const Set *set, const struct nlattr *attr) {
        unsigned char key[WIRE_KEY_MAX];
        size_t size = 0;
        const void *found;
        uint32_t flags = 0;
        Attributes a;

        attributes_of(attr, &a);
        found = attribute_value(&a, NFTA_SET_ELEM_KEY, &size);
        (void)attribute_u32(&a, NFTA_SET_ELEM_FLAGS, &flags); /* absent: none */
        if (!found || flags & NFT_SET_ELEM_INTERVAL_END)
                return NULL;
        for (size_t i = 0; i < set->n_elements; i++)
                if (wire_put_key(set, encode_is_interval(set), &set->elements[i], false, key) ==
                            size &&
                    memcmp(key, found, size) == 0)
                        return &set->elements[i];
        return NULL;
}

const Element *encode_element_at(const NftBatch *b, const NftSubject *s, uint32_t offset) {
        const unsigned char *message = b->bytes.data + s->offset;
        const struct nlattr *element;
        Attributes a;

        attributes_of_message((const void *)message, &a);
        if (!s->set || offset == 0 || !a.list[NFTA_SET_ELEM_LIST_ELEMENTS])
                return NULL;
        attribute_for_each_nested(element, a.list[NFTA_SET_ELEM_LIST_ELEMENTS]) {
                size_t start = (size_t)((const unsigned char *)element - message);

                if (offset >= start && offset < start + mnl_attr_get_len(element))
                        return find_element(s->set, element);
        }
        return NULL;
}
