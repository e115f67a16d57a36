/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ban/limits.h"

#include "base/text.h"

#define MICRO INT64_C(1000000)

int64_t limits_cost(const BanEntry *key) {
        unsigned int unit = key->family == FAMILY_IPV4 ? 24 : 48;
        unsigned int bits = key->prefix < unit ? unit - key->prefix : 0;

        return bits >= 10 ? LIMITS_COST_MAX : MIN(INT64_C(1) << bits, (int64_t)LIMITS_COST_MAX);
}

static void refill(LimitedCaller *c, int64_t now_usec) {
        int64_t passed = MAX(now_usec - c->last_usec, INT64_C(0));
        int64_t most = LIMITS_BURST * MICRO, more = most;

        if (passed < most / LIMITS_PER_SECOND)
                more = passed * LIMITS_PER_SECOND;
        c->left_micro = MIN(c->left_micro + more, most);
        c->last_usec = now_usec;
}

LimitedCaller *limits_find(Limits *l, const char *name, int64_t now_usec) {
        LimitedCaller *c = NULL;

        for (size_t i = 0; i < l->n_callers; i++)
                if (streq(l->callers[i].name, name)) {
                        refill(&l->callers[i], now_usec);
                        return &l->callers[i];
                }
        if (l->n_callers < LIMITS_CALLERS_MAX)
                c = &l->callers[l->n_callers++];
        else
                for (size_t i = 0; i < l->n_callers; i++)
                        if (!c || l->callers[i].last_usec < c->last_usec)
                                c = &l->callers[i];
        *c = (LimitedCaller){.left_micro = LIMITS_BURST * MICRO, .last_usec = now_usec};
        (void)snprintf(c->name, sizeof(c->name), "%s", name);
        return c;
}

int64_t limits_take(LimitedCaller *c, int64_t cost) {
        int64_t missing = cost * MICRO - c->left_micro;

        if (missing > 0)
                return (missing + LIMITS_PER_SECOND * MICRO - 1) / (LIMITS_PER_SECOND * MICRO);
        c->left_micro -= cost * MICRO;
        return 0;
}

int limits_may_have(const LimitedCaller *c, int64_t n_all, int64_t max, int64_t now_usec) {
        int64_t share = MAX(max / LIMITS_SHARE, INT64_C(1));

        if (n_all < share || (c->is_counted && c->n_bans < share))
                return 1;
        if (!c->is_counted || now_usec - c->counted_usec >= LIMITS_RECOUNT_USEC)
                return -EAGAIN; /* some may have ended */
        return 0;
}

void limits_note_count(LimitedCaller *c, int64_t n, int64_t now_usec) {
        c->is_counted = true;
        c->n_bans = n;
        c->counted_usec = now_usec;
}
