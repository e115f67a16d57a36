/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ban/never.h"

static const struct {
        const char *text, *why;
} always[] = {
        {"127.0.0.0/8", "loopback"},
        {"::1", "loopback"},
        {"0.0.0.0/8", "no address of another host"},
        {"::", "no address of another host"},
        {"169.254.0.0/16", "link-local: what hosts on one link need to find each other"},
        {"fe80::/10", "link-local: what hosts on one link need to find each other"},
        {"224.0.0.0/4", "multicast"},
        {"ff00::/8", "multicast"},
        {"255.255.255.255", "broadcast"},
};

/* Behind "it is". */
static const char said_why[] = "one of those that the policy never bans (bans.never)";

int never_add(Arena *a, Never *never, Family family, Range range, const char *why) {
        NeverRange item = {family, range, why};

        return arena_append(a, never->items, never->n_items, item) ? 0 : -ENOMEM;
}

int never_add_always(Arena *a, Never *never) {
        for (size_t i = 0; i < ARRAY_SIZE(always); i++) {
                Family family;
                Range range;

                if (address_range_parse(always[i].text, &family, &range) != ADDRESS_OK)
                        return -EINVAL;
                if (never_add(a, never, family, range, always[i].why) < 0)
                        return -ENOMEM;
        }
        return 0;
}

static bool is_within(Range inner, Range outer) {
        return u128_compare(outer.low, inner.low) <= 0 && u128_compare(inner.high, outer.high) <= 0;
}

/* The first range of the set that ends at or behind the value; NULL: none does. */
static const Range *find_from(const RangeSet *set, U128 value) {
        size_t low = 0, high = set->n_items;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (u128_compare(set->items[middle].high, value) < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low < set->n_items ? &set->items[low] : NULL;
}

bool never_find(const Never *never, const BanEntry *key, NeverRange *ret) {
        Range banned = ban_range(key);
        const Range *said = find_from(&never->said[key->family], banned.low);

        for (size_t i = 0; i < never->n_items; i++) {
                const NeverRange *n = &never->items[i];

                if (n->family == key->family && u128_compare(n->range.low, banned.high) <= 0 &&
                    u128_compare(banned.low, n->range.high) <= 0) {
                        *ret = *n;
                        return true;
                }
        }
        if (!said || u128_compare(said->low, banned.high) > 0)
                return false;
        *ret = (NeverRange){key->family, *said, said_why};
        return true;
}

bool never_covers(const Never *never, const BanEntry *key, NeverRange *ret) {
        Range banned = ban_range(key);
        const Range *said = find_from(&never->said[key->family], banned.low);

        for (size_t i = 0; i < never->n_items; i++)
                if (never->items[i].family == key->family &&
                    is_within(banned, never->items[i].range)) {
                        *ret = never->items[i];
                        return true;
                }
        if (!said || !is_within(banned, *said))
                return false;
        *ret = (NeverRange){key->family, *said, said_why};
        return true;
}

const char *never_refuse(Arena *a,
                         const Never *never,
                         const unsigned int widest[static _FAMILY_MAX],
                         const BanEntry *key,
                         int *ret_r) {
        char banned[ADDRESS_TEXT_MAX], touched[ADDRESS_TEXT_MAX];
        const char *text;
        NeverRange n;

        *ret_r = 0;
        (void)ban_print_address(key, banned);
        if (key->prefix < widest[key->family]) {
                text = arena_printf(a, "%s is too wide: nothing wider than a /%u is banned", banned,
                                    widest[key->family]);
        } else if (never_find(never, key, &n)) {
                (void)address_range_print(n.family, n.range, touched);
                text = is_within(ban_range(key), n.range)
                               ? arena_printf(a, "%s is never banned: it is %s", banned, n.why)
                               : arena_printf(a, "%s is not banned: it holds %s, which is %s",
                                              banned, touched, n.why);
        } else
                return NULL;
        if (!text)
                *ret_r = -ENOMEM;
        return text;
}
