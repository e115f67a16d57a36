/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/bans.h"

/* Unbans that are in force and could not be written down: without them the store would shut those
 * out again, once it can be written. They are the first that is written then. */

typedef struct BanUndone {
        bool all, has_address;
        BanEntry address;
        char *jail; /* malloc'ed; NULL: whichever */
} BanUndone;

void bans_undone_clear(Bans *b) {
        for (size_t i = 0; i < b->n_undone; i++)
                free(b->undone[i].jail);
        free(b->undone);
        b->undone = NULL;
        b->n_undone = 0;
}

int bans_undone_add(Daemon *d, const UnbanRequest *request) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        Bans *b = d->bans;
        BanUndone *grown, one = {.all = !request->address && !request->jail,
                                 .has_address = request->address != NULL};
        const char *why;
        int r = a ? 0 : -ENOMEM;

        if (r == 0 && request->address)
                r = ban_parse_address(a, request->address, d->ban_rules.rules.ipv6, &one.address,
                                      &why);
        if (r < 0)
                return r;
        if (request->jail && !(one.jail = strdup(request->jail)))
                return -ENOMEM;
        if (one.all)
                bans_undone_clear(b); /* it stands for all before it */
        grown = reallocarray(b->undone, b->n_undone + 1, sizeof(*grown));
        if (!grown) {
                free(one.jail);
                return -ENOMEM;
        }
        b->undone = grown;
        b->undone[b->n_undone++] = one;
        return 0;
}

static int pass_over(const BanChange *c, void *to) {
        turn_step(to, 0);
        return 0;
}

int bans_undone_write(Daemon *d, int64_t now_usec) {
        const Bans *b = d->bans;
        int64_t n;
        int r = 0;

        for (size_t i = 0; i < b->n_undone && r == 0; i++) {
                const BanUndone *one = &b->undone[i];
                BanFilter filter = {.jail = one->jail,
                                    .address = one->has_address ? &one->address : NULL};

                r = one->all ? ban_store_drop_all(b->store, now_usec, &n)
                             : ban_store_drop(b->store, &filter, now_usec, pass_over, d);
        }
        return r;
}
