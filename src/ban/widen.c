/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ban/widen.h"

#include "base/text.h"

/* What providers hand out: an address, a network, a household's, a site's. */
static const uint8_t steps[] = {128, 64, 56, 48};

bool widen_step(const BanEntry *key, unsigned int cap, BanEntry *ret) {
        if (key->family != FAMILY_IPV6 || key->protocol != 0)
                return false;
        for (size_t i = 0; i + 1 < ARRAY_SIZE(steps); i++)
                if (steps[i] == key->prefix && steps[i + 1] >= cap) {
                        U128 host = u128_low_mask(128U - steps[i + 1]);

                        *ret = (BanEntry){
                                .family = FAMILY_IPV6,
                                .prefix = steps[i + 1],
                                .address = u128_and(key->address, (U128){~host.high, ~host.low}),
                        };
                        return true;
                }
        return false;
}

static bool is_within(const BanEntry *key, const BanEntry *around) {
        Range inner = ban_range(key), outer = ban_range(around);

        return key->family == around->family && u128_compare(outer.low, inner.low) <= 0 &&
               u128_compare(inner.high, outer.high) <= 0;
}

bool widen_take(Widening *w, const BanEntry *ban) {
        bool counts = ban->protocol == 0 && ban->prefix == w->length && is_within(ban, &w->around);

        for (size_t i = 0; i < w->n_found && counts; i++)
                counts = !u128_equal(w->found[i].address, ban->address);
        if (counts && w->n_found < WIDEN_COUNT)
                w->found[w->n_found++] = *ban;
        return w->n_found == WIDEN_COUNT;
}

const char *widen_reason(Arena *a, const Widening *w) {
        char buf[ADDRESS_TEXT_MAX];
        const char *text = arena_printf(a, "%zu networks of it are banned:", w->n_found);

        for (size_t i = 0; i < w->n_found && text; i++)
                text = arena_printf(a, "%s%s %s", text, i > 0 ? "," : "",
                                    ban_print_address(&w->found[i], buf));
        return text;
}
