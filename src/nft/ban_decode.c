/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nft/ban_decode.h"

#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include "nft/attribute.h"

#define SET_COUNT 20 /* NFTA_SET_COUNT of later headers */

const char *ban_decode_set_name(const struct nlmsghdr *h) {
        Attributes a;

        if (mnl_nlmsg_get_payload_len(h) < sizeof(struct nfgenmsg))
                return NULL;
        attributes_of_message(h, &a);
        return attribute_string(&a, NFTA_SET_NAME);
}

bool ban_decode_count(const struct nlmsghdr *h, uint32_t *ret) {
        Attributes a;

        attributes_of_message(h, &a);
        return attribute_u32(&a, SET_COUNT, ret);
}

int ban_decode_one(const BanFound *f, void *to) {
        *(BanFound *)to = *f;
        return 0;
}

static void read_counter(const Attributes *element, BanFound *ret) {
        Attributes expression, data;
        const char *name;

        attributes_inside(element, NFTA_SET_ELEM_EXPR, &expression);
        name = attribute_string(&expression, NFTA_EXPR_NAME);
        if (!name || !streq(name, "counter"))
                return;
        attributes_inside(&expression, NFTA_EXPR_DATA, &data);
        ret->is_counted = attribute_u64(&data, NFTA_COUNTER_PACKETS, &ret->packets);
}

static bool read_element(BanSet set, const struct nlattr *element, BanFound *ret) {
        uint64_t timeout = 0, left = 0;
        const void *key;
        size_t size = 0;
        Attributes a;

        *ret = (BanFound){0};
        attributes_of(element, &a);
        key = attribute_value(&a, NFTA_SET_ELEM_KEY, &size);
        if (!key || !ban_key_parse(set, key, size, &ret->entry))
                return false;
        (void)attribute_u64(&a, NFTA_SET_ELEM_TIMEOUT, &timeout); /* absent: for ever */
        (void)attribute_u64(&a, NFTA_SET_ELEM_EXPIRATION, &left);
        if (timeout > 0 && left == 0)
                return false; /* over, and not yet collected */
        ret->entry.timeout_ms = timeout > 0 ? left : 0;
        read_counter(&a, ret);
        return true;
}

int ban_decode_elements(BanDecoder *d, const void *bytes, size_t size) {
        message_for_each(h, bytes, size) {
                const struct nlattr *element;
                Attributes a;

                if (mnl_nlmsg_get_payload_len(h) < sizeof(struct nfgenmsg))
                        continue;
                attributes_of_message(h, &a);
                if (!a.list[NFTA_SET_ELEM_LIST_ELEMENTS])
                        continue;
                attribute_for_each_nested(element, a.list[NFTA_SET_ELEM_LIST_ELEMENTS]) {
                        BanFound found;
                        int r;

                        if (!read_element(d->set, element, &found))
                                continue;
                        d->n++;
                        r = d->take(&found, d->to);
                        if (r < 0)
                                return r;
                }
        }
        return 0;
}
