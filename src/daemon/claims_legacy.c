/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/claims.h"

/* Who changed tables of the old iptables, of which no transaction tells. */

static bool is_same(const SuspectChange *a, const SuspectChange *b) {
        if (a->n_who != b->n_who || a->is_open != b->is_open)
                return false;
        for (size_t i = 0; i < a->n_who; i++)
                if (a->who[i].pid != b->who[i].pid)
                        return false;
        return true;
}

/* The table, and what is in it, may be two changes. */
static bool extend_last(ClaimWatch *w, const SuspectChange *c) {
        SuspectChange *last = w->n_legacy > 0 && w->n_legacy <= CLAIMS_AUTHORS_MAX
                                      ? &w->legacy[w->n_legacy - 1]
                                      : NULL;

        if (!last || !is_same(last, c))
                return false;
        last->end_usec = c->end_usec;
        return true;
}

void claims_note_legacy(Daemon *d, SuspectChange *c) {
        ClaimWatch *w = d->claims;

        if (!w) {
                suspect_change_clear(c);
                return;
        }
        if (extend_last(w, c))
                suspect_change_clear(c);
        else if (w->n_legacy < CLAIMS_AUTHORS_MAX)
                w->legacy[w->n_legacy++] = *c;
        else {
                w->n_legacy = CLAIMS_AUTHORS_MAX + 1; /* counted, and not known */
                suspect_change_clear(c);
        }
        claims_doubt(d);
}

const char *claims_describe_legacy(Daemon *d, Arena *a, uint64_t looked_usec) {
        ClaimWatch *w = d->claims;
        const char *text = NULL;

        for (size_t i = 0; i < MIN(w->n_legacy, (size_t)CLAIMS_AUTHORS_MAX); i++) {
                const char *one;

                if (w->legacy[i].begin_usec > looked_usec)
                        continue;
                one = suspects_describe(a, &w->legacy[i]);
                if (one)
                        text = text ? arena_printf(a, "%s, and %s", text, one) : one;
        }
        if (text && w->n_legacy > CLAIMS_AUTHORS_MAX)
                text = arena_printf(a, "%s, and others", text);
        return text;
}

void claims_drop_legacy(ClaimWatch *w, uint64_t looked_usec) {
        size_t n = MIN(w->n_legacy, (size_t)CLAIMS_AUTHORS_MAX), kept = 0;

        for (size_t i = 0; i < n; i++)
                if (w->legacy[i].end_usec <= looked_usec)
                        suspect_change_clear(&w->legacy[i]);
                else
                        w->legacy[kept++] = w->legacy[i];
        w->n_legacy = kept;
}
