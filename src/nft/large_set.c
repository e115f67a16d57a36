/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nft/large_set.h"

#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <sys/random.h>

#include "nft/attribute.h"
#include "nft/wire.h"

#define ASKED_MAX                                                                                  \
        (NFT_KEYS_MAX / 2) /* ranges in one question: each for its beginning and its end */

bool large_set_is(const Set *set) {
        return set->name && set->interval && set->n_types == 1 && !set->is_map && !set->dynamic &&
               !set->counted && !set->source && wire_has_prefixes(set->types[0]) &&
               set->n_elements >= LARGE_SET_MIN;
}

/* The last range may reach to the last address: then it has no end. */
static bool is_open(const Set *set, Range r) {
        return u128_equal(r.high, wire_max(set->types[0]));
}

static void put_key(const Set *set, U128 value, uint32_t flags, NftKey *ret) {
        *ret = (NftKey){.size = type_size(set->types[0]), .flags = flags};
        wire_put(set->types[0], true, value, ret->bytes);
}

/* The same key, flags, and nothing else: no comment, no time at which it ends. What marks a range
 * without an end is for nft alone. */
static bool is_answer(const struct nlattr *element, const NftKey *key, bool open) {
        size_t size = 0;
        const void *found;
        uint32_t flags = 0;
        Attributes a;

        attributes_of(element, &a);
        for (size_t i = 0; i < ATTRIBUTES_MAX; i++)
                if (a.list[i] && i != NFTA_SET_ELEM_KEY && i != NFTA_SET_ELEM_FLAGS &&
                    i != NFTA_SET_ELEM_PAD && !(open && i == NFTA_SET_ELEM_USERDATA))
                        return false;
        found = attribute_value(&a, NFTA_SET_ELEM_KEY, &size);
        (void)attribute_u32(&a, NFTA_SET_ELEM_FLAGS, &flags); /* absent: none */
        return found && size == key->size && memcmp(found, key->bytes, size) == 0 &&
               flags == key->flags;
}

/* One element an answer, in the order of the questions. */
static bool are_answers(const NftBytes *bytes, const NftKey *expected, size_t n, bool open) {
        size_t i = 0;

        message_for_each(h, bytes->data, bytes->size) {
                const struct nlattr *element;
                Attributes a;

                if (h->nlmsg_type != (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWSETELEM))
                        return false;
                attributes_of_message(h, &a);
                if (!a.list[NFTA_SET_ELEM_LIST_ELEMENTS])
                        return false;
                attribute_for_each_nested(element, a.list[NFTA_SET_ELEM_LIST_ELEMENTS]) {
                        if (i == n || !is_answer(element, &expected[i], open && i + 1 == n))
                                return false;
                        i++;
                }
        }
        return i == n;
}

/* Asked with the beginning of a range, the kernel finds it there, or where the nearest one below
 * begins; and, with the next value, the end that is nearest above, unless something else begins
 * before. */
static int check_ranges(NftLink *link, const Set *set, const size_t *index, size_t n) {
        NftKey asked[NFT_KEYS_MAX], expected[NFT_KEYS_MAX];
        NftBytes bytes = {0};
        size_t n_keys = 0;
        bool open = false;
        int r;

        for (size_t i = 0; i < n; i++) {
                Range range = set->elements[index[i]].key[0];

                put_key(set, range.low, 0, &asked[n_keys]);
                expected[n_keys] = asked[n_keys];
                n_keys++;
                open = is_open(set, range);
                if (open)
                        continue; /* the last one of the set, and of the question */
                /* older kernels may take a beginning, which has no flags, for its own end */
                put_key(set, u128_next(range.low), NFT_SET_ELEM_INTERVAL_END, &asked[n_keys]);
                put_key(set, u128_next(range.high), NFT_SET_ELEM_INTERVAL_END, &expected[n_keys]);
                n_keys++;
        }
        r = nft_link_get_elements(link, RULESET_TABLE, set->name, asked, n_keys, &bytes);
        if (r == 0)
                r = are_answers(&bytes, expected, n_keys, open);
        else if (r == -ENOENT)
                r = 0;
        nft_bytes_done(&bytes);
        return r;
}

static int check_all(NftLink *link, const Set *set) {
        size_t index[ASKED_MAX];
        int r = 1;

        for (size_t i = 0; i < set->n_elements && r > 0;) {
                size_t n = 0;

                while (n < ASKED_MAX && i < set->n_elements)
                        index[n++] = i++;
                r = check_ranges(link, set, index, n);
        }
        return r;
}

/* xorshift64 */
static uint64_t draw(uint64_t *lot) {
        *lot ^= *lot << 13;
        *lot ^= *lot >> 7;
        *lot ^= *lot << 17;
        return *lot;
}

/* By lot, so that nobody knows beforehand which; and the last one. */
static int check_sample(NftLink *link, const Set *set) {
        size_t index[ASKED_MAX], left = LARGE_SET_SAMPLE;
        uint64_t lot;
        int r = 1;

        if (getrandom(&lot, sizeof(lot), 0) != sizeof(lot)) /* of so few bytes it gives all */
                return -EIO;
        lot |= 1;
        while (left > 0 && r > 0) {
                size_t n = 0;

                for (; n + 1 < ASKED_MAX && left > 0; left--)
                        index[n++] = draw(&lot) % (set->n_elements - 1);
                index[n++] = set->n_elements - 1;
                r = check_ranges(link, set, index, n);
        }
        return r;
}

static bool same_shape(const Set *live, const Set *known) {
        return live->n_types == 1 && live->types[0] == known->types[0] && live->interval &&
               !live->is_map && !live->dynamic && !live->counted && live->timeout == 0;
}

bool large_set_can_check(const Set *live, const Set *known, bool all) {
        return large_set_is(known) && (!all || live->n_told > 0);
}

int large_set_check(NftLink *link, const Set *live, const Set *known, bool all) {
        if (!same_shape(live, known) || (live->n_told > 0 && live->n_told != known->n_elements))
                return 0;
        return all ? check_all(link, known) : check_sample(link, known);
}
