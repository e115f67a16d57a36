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

const NeverRange *never_find(const Never *never, const BanEntry *key) {
        Range banned = ban_range(key);

        for (size_t i = 0; i < never->n_items; i++) {
                const NeverRange *n = &never->items[i];

                if (n->family == key->family && u128_compare(n->range.low, banned.high) <= 0 &&
                    u128_compare(banned.low, n->range.high) <= 0)
                        return n;
        }
        return NULL;
}

const char *never_refuse(Arena *a, const Never *never, const BanEntry *key, int *ret_r) {
        unsigned int widest = key->family == FAMILY_IPV4 ? BAN_WIDEST_IPV4 : BAN_WIDEST_IPV6;
        const NeverRange *n = never_find(never, key);
        char banned[ADDRESS_TEXT_MAX], touched[ADDRESS_TEXT_MAX];
        const char *text;

        *ret_r = 0;
        (void)ban_print_address(key, banned);
        if (key->prefix < widest) {
                text = arena_printf(a, "%s is too wide: nothing wider than a /%u is banned", banned,
                                    widest);
        } else if (n) {
                Range range = ban_range(key);
                bool inside = u128_compare(n->range.low, range.low) <= 0 &&
                              u128_compare(range.high, n->range.high) <= 0;

                (void)address_range_print(n->family, n->range, touched);
                text = inside ? arena_printf(a, "%s is never banned: it is %s", banned, n->why)
                              : arena_printf(a, "%s is not banned: it holds %s, which is %s",
                                             banned, touched, n->why);
        } else
                return NULL;
        if (!text)
                *ret_r = -ENOMEM;
        return text;
}
